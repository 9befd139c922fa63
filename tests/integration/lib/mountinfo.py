"""Read /proc/PID/mountinfo lines."""

import dataclasses
import pathlib


@dataclasses.dataclass
class Mount:
    """One line: options are those of the mount, super_options those of the file system."""

    id: int
    parent: int
    device: str
    root: str
    point: str
    options: set
    optional: list
    fstype: str
    source: str
    super_options: set

    @property
    def propagation(self):
        """'private', 'shared', 'slave', 'shared+slave' or 'unbindable'."""
        words = [w.split(":")[0] for w in self.optional]
        if "unbindable" in words:
            return "unbindable"
        kinds = [name for word, name in (("shared", "shared"), ("master", "slave")) if word in words]
        return "+".join(kinds) or "private"


def _plain(text):
    return text.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")


def parse(text):
    """All mounts of a mountinfo text, in order."""
    mounts = []
    for line in text.splitlines():
        left, right = line.split(" - ", 1)
        fields = left.split()
        tail = right.split(" ")
        mounts.append(
            Mount(
                int(fields[0]), int(fields[1]), fields[2], _plain(fields[3]), _plain(fields[4]), set(fields[5].split(",")),
                fields[6:], tail[0], _plain(tail[1]), set(tail[2].split(",")),
            )
        )  # fmt: skip
    return mounts


def read(pid="self"):
    """All mounts seen by a process."""
    return parse(pathlib.Path(f"/proc/{pid}/mountinfo").read_text())


def at(mounts, point):
    """The topmost mount at a mount point, or None."""
    return next((m for m in reversed(mounts) if m.point == point), None)
