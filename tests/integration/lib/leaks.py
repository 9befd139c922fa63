"""What exists outside the programs: compared before and after every test.

mounts       of this mount namespace (the session has its own, see isolate.py)
processes    of this PID namespace, or those that descend from the session's reaper
netns        distinct network namespaces held by those processes or bind mounts
cgroups      directories, in every hierarchy, that carry the session's name
files        below the directories given, and in /run
shm          System V and POSIX leftovers: /dev/shm
"""

import dataclasses
import os
import pathlib
import time

from lib import cgroups, isolate, proc


def _mounts():
    found = []
    for line in pathlib.Path("/proc/self/mountinfo").read_text(errors="replace").splitlines():
        fields = line.split(" - ")[0].split()
        found.append(f"{fields[4]} (root {fields[3]}, {line.split(' - ')[1].split()[0]})")
    return found


def _ours(parents):
    """Of {pid: parent}, the processes of the session: all, or those that descend from its reaper."""
    top = isolate.reaper()
    if not top:
        return set(parents)
    found = set()
    for pid in parents:
        chain = [pid]
        while chain[-1] in parents and chain[-1] != top and chain[-1] not in found:
            chain.append(parents[chain[-1]])
        if chain[-1] == top or chain[-1] in found:
            found.update(chain)
    return found


def _processes():
    found, parents = {}, {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            stat = pathlib.Path(f"/proc/{entry}/stat").read_text(errors="replace")
            name, rest = stat[stat.index("(") + 1 : stat.rindex(")")], stat[stat.rindex(")") + 2 :].split()
            command = pathlib.Path(f"/proc/{entry}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except (FileNotFoundError, ProcessLookupError):
            continue
        parents[int(entry)] = int(rest[1])
        if rest[0] not in "ZX":
            found[(int(entry), rest[19])] = f"{entry} ({name}) {command[:200]}"
    ours = _ours(parents)
    return {key: text for key, text in found.items() if key[0] in ours}


def _net_namespaces(processes):
    found = set()
    for pid, _ in processes:
        try:
            found.add(os.readlink(f"/proc/{pid}/ns/net"))
        except OSError:
            continue
    for line in pathlib.Path("/proc/self/mountinfo").read_text(errors="replace").splitlines():
        fields = line.split()
        if fields[3].startswith("net:["):
            found.add(fields[3])
    return found


# Below /run, where it is the machine's own: what systemd and udev write as they please.
_FOREIGN = {"/run/udev", "/run/log", "/run/user", "/run/utmp", "/run/systemd"}


def _files(folders):
    found = set()
    for top in folders:
        for folder, names, files in os.walk(top):
            if folder == "/run" and isolate.reaper():
                names[:] = [n for n in names if f"/run/{n}" not in _FOREIGN]
            found.update(os.path.join(folder, n) for n in names + files)
    return found


@dataclasses.dataclass
class Snapshot:
    """The state of the machine as far as a test may change it."""

    mounts: list
    processes: dict
    netns: set
    cgroups: set
    files: set

    @classmethod
    def take(cls, prefix, folders):
        """Look now. prefix: name that all cgroups of the session start with.

        The session's top directory, named exactly so, does not count: a runtime makes
        missing parents of cgroupsPath and leaves them.
        """
        groups = {g for g in cgroups.named(prefix) if os.path.basename(g) != prefix}
        processes = _processes()
        return cls(_mounts(), processes, _net_namespaces(processes), groups, _files(folders))

    def leaks_since(self, before):
        """Human-readable lines: what is here and was not there before."""
        lines = []
        seen = list(before.mounts)
        for point in self.mounts:
            if point in seen:
                seen.remove(point)
            else:
                lines.append(f"mount {point}")
        if isolate.active():
            lines += [f"process {text}" for key, text in self.processes.items() if key not in before.processes]
            lines += [f"network namespace {name}" for name in sorted(self.netns - before.netns)]
        lines += [f"cgroup {name}" for name in sorted(self.cgroups - before.cgroups)]
        lines += [f"file {name}" for name in sorted(self.files - before.files)]
        return lines


def watched(*folders):
    """Folders whose files count: those given, /dev/shm, and /run while it is private."""
    units = ["/run/systemd/transient"] if isolate.reaper() else []
    return [str(f) for f in folders] + ["/dev/shm"] * isolate.active() + ["/run"] * isolate.active() + units


def settle(before, prefix, folders, ignore, limit=3.0 * proc.SLOW):
    """Leaks after giving asynchronous clean-up a moment. ignore(line) drops known lines."""
    end = time.monotonic() + limit
    while True:
        left = [l for l in Snapshot.take(prefix, folders).leaks_since(before) if not ignore(l)]
        if not left or time.monotonic() > end:
            return left
        time.sleep(0.05)
