"""OpenPGP keys for tests, made by GnuPG in a directory of their own."""

import os
import pathlib
import tempfile

from lib import proc


class Keys:
    """A key ring. Its agent ends with it (a context manager)."""

    def __init__(self):
        # The path of the agent's socket must be short.
        self.home = tempfile.TemporaryDirectory(prefix="pgp", dir="/tmp")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        proc.run("gpgconf", "--homedir", self.home.name, "--kill", "all", timeout=30)
        self.home.cleanup()

    def gpg(self, *args, faked=None):
        """Run gpg; 'faked' is the time it believes in, as "20200101T000000"."""
        clock = ["--faked-system-time", faked] if faked else []
        words = ["--homedir", self.home.name, "--quiet", "--batch", "--yes", "--passphrase", "", "--pinentry-mode", "loopback"]
        return proc.run("gpg", *words, *clock, *args, timeout=60, env={"PATH": os.environ["PATH"], "LC_ALL": "C"}).check()

    def make(self, user, expires="never", faked=None):
        """A new ed25519 key; its fingerprint in lower case."""
        self.gpg("--quick-gen-key", user, "ed25519", "sign", expires, faked=faked)
        out = self.gpg("--list-keys", "--with-colons", user).out
        return next(line for line in out.splitlines() if line.startswith("fpr")).split(":")[9].lower()

    def export(self, path, *keys, private=False):
        """Write keys into one armored file; its path."""
        self.gpg("--armor", "--output", path, "--export-secret-keys" if private else "--export", *keys)
        return pathlib.Path(path)

    def sign(self, key, path, output=None, faked=None):
        """A detached armored signature beside the file; its path."""
        output = pathlib.Path(output or f"{path}.asc")
        self.gpg("--armor", "--local-user", key, "--output", output, "--detach-sign", path, faked=faked)
        return output

    def message(self, key, data, output, faked=None):
        """A message that holds the bytes and is signed; its path."""
        source = pathlib.Path(self.home.name) / "message"
        source.write_bytes(data)
        self.gpg("--local-user", key, "--output", output, "--sign", source, faked=faked)
        return pathlib.Path(output)
