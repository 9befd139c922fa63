"""How a hostile image is given to cooper, and what is looked at afterwards."""

import contextlib
import dataclasses
import hashlib
import os
import pathlib
import re

from lib import probes, proc

HOST_FILES = ("/etc/passwd", "/etc/shadow", "/etc/hostname")
STORED = ("blobs/sha256", "blobs/sha512", "refs/images", "refs/names", "trees", "tmp", "partial")


@dataclasses.dataclass
class Measured(proc.Result):
    """What a command left, and the most memory it had."""

    peak_mib: float = 0.0


def measured(engine, *args, stdin=None, timeout=60):
    """Run a command of an engine to its end."""
    report = engine.folder / "measured"
    result = proc.run(probes.path("peak"), report, *engine.argv(*args), env=engine.environ, stdin=stdin, timeout=timeout)
    rc, peak_kib = map(int, report.read_text().split())
    report.unlink()
    return Measured(result.args[2:], rc, result.out, result.err, peak_kib / 1024)


def one_sentence(result, *words, rc=1):
    """A failure is one printable sentence that has these words, with a hint at most."""
    result.fails(*words, rc=rc)
    lines = result.err.splitlines()
    told = [line for line in lines if not line.lower().startswith("hint")]
    assert len(told) == 1 and len(lines) <= 2, result
    assert result.err.endswith("\n") and not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", result.err), repr(result.err)
    assert 20 < len(told[0]) < 6000, result
    for silly in ("internal", "basic_string", "std::", "errno 0", "success"):
        assert silly not in result.err.lower(), result


def contents(engine):
    """All there is in the store but its fixed files: blobs, records, names, trees, work in progress, what pulls have left."""
    return sorted(f"{folder}/{name}" for folder in STORED for name in os.listdir(engine.root / "images" / folder))


def _record(path):
    info = os.lstat(path)
    content = ""
    if os.path.isfile(path) and not os.path.islink(path):
        content = hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()
    return (info.st_mode, info.st_ino, info.st_nlink, info.st_uid, info.st_gid, info.st_size, info.st_mtime_ns, info.st_ctime_ns, content)


class Canaries:
    """Files and directories beside and above a store; a look at them tells whether anything was touched."""

    def __init__(self, engine):
        self.engine = engine
        self.images = engine.root / "images"
        engine("image", "ls").check()
        for folder in (engine.folder, engine.root, self.images, self.images / "blobs"):
            (folder / "canary").mkdir()
            (folder / "canary/file").write_text("sings")
            (folder / "canary/link").symlink_to("file")
        self.before = self.look()

    def look(self):
        """Everything around what the store is there for."""
        own = {self.images / name for name in (*STORED, "locks")} | {self.engine.root / "pods", self.engine.run_root}
        # Where these are, names come and go: the directories themselves are not compared.
        busy = {self.engine.folder, self.images / "refs"}
        found = {name: _record(name) for name in HOST_FILES}
        for folder, names, files in os.walk(self.engine.folder):
            folder = pathlib.Path(folder)
            names[:] = [name for name in names if folder / name not in own]
            for name in (*names, *files):
                if folder / name not in busy:
                    found[str(folder / name)] = _record(folder / name)
        return found

    def sing(self):
        """Nothing was made, changed, linked or removed."""
        now = self.look()
        assert now == self.before, [name for name in {*now, *self.before} if now.get(name) != self.before.get(name)]


@contextlib.contextmanager
def small_disk(path, kind, megabytes):
    """A new directory of this size: a tmpfs, or an ext4 in a file beside it."""
    path.mkdir()
    image = path.with_name(path.name + ".disk")
    if kind == "ext4":
        with open(image, "wb") as file:
            file.truncate(megabytes << 20)
        proc.run("mkfs.ext4", "-q", "-O", "^has_journal", image).check()
        proc.run("mount", "-o", "loop", image, path).check()
    else:
        proc.run("mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", path).check()
    try:
        yield
    finally:
        proc.run("umount", path).check()
        image.unlink(missing_ok=True)
