"""A user without privileges, with subordinate ids, in this session's view of /etc only."""

import contextlib
import os
import pathlib

import pytest

from lib import isolate
from lib.cooper import Cooper
from lib.paths import bin_dir

UID = 54321  # of no account; subordinate ids are far from those of the other tests
RANGE = 700000
COUNT = 65536
NAME = "cask"
MS_BIND = 4096


def as_user(*words, uid=UID):
    """The command line that runs words as the user."""
    return [*("setpriv", "--reuid", str(uid), "--regid", str(uid), "--clear-groups", "--inh-caps=-all"), *map(str, words)]


@contextlib.contextmanager
def accounts(workdir, subordinate=f"{NAME}:{RANGE}:{COUNT}\n"):
    """The user exists, and has these subordinate ids."""
    files = {
        "/etc/passwd": f"{NAME}:x:{UID}:{UID}::/nonexistent:/bin/sh\n",
        "/etc/group": f"{NAME}:x:{UID}:\n",
        "/etc/subuid": subordinate,
        "/etc/subgid": subordinate,
    }
    with contextlib.ExitStack() as stack:
        for path, line in files.items():
            copy = workdir / pathlib.Path(path).name
            copy.write_text((pathlib.Path(path).read_text() if os.path.exists(path) else "") + line)
            if not os.path.exists(path):
                pytest.skip(f"{path} does not exist")
            isolate.mount(copy, path, None, MS_BIND)
            stack.callback(isolate.umount, path)
        yield


class UserCooper(Cooper):
    """cooper as the user starts it: what it keeps lies below the user's home."""

    def __init__(self, home, uid=UID):
        self.home = pathlib.Path(home)
        self.uid = uid
        self.home.mkdir()
        os.chown(self.home, uid, uid)
        self.root = self.home / ".local/share/cooper"
        self.binary = str(bin_dir() / "cooper")
        self.environ = {"PATH": os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"), "HOME": str(self.home), "LC_ALL": "C", "TZ": "UTC"}

    def argv(self, *args):
        return as_user(self.binary, *args, uid=self.uid)

    def file(self, name, data):
        """A file of the user in the home."""
        path = self.home / name
        path.write_bytes(data)
        os.chown(path, self.uid, self.uid)
        return path
