"""cgroup v1, hybrid and v2 as the kernel shows them."""

import functools
import os
import pathlib

MOUNT = pathlib.Path("/sys/fs/cgroup")


@functools.lru_cache(maxsize=1)
def v1_hierarchies():
    """{controller or 'name=...': mount point} of every mounted v1 hierarchy."""
    found = {}
    words = {"cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids", "hugetlb", "net_cls", "net_prio", "perf_event", "rdma", "misc"}
    with open("/proc/self/mountinfo", encoding="utf-8") as info:
        for line in info:
            left, right = line.split(" - ", 1)
            kind, _, options = right.split()[:3]
            if kind == "cgroup":
                point = pathlib.Path(left.split()[4])
                for option in options.split(","):
                    if option in words or option.startswith("name="):
                        found[option] = point
    return found


@functools.lru_cache(maxsize=1)
def v2_mount():
    """Mount point of the v2 tree, or None."""
    with open("/proc/self/mountinfo", encoding="utf-8") as info:
        for line in info:
            left, right = line.split(" - ", 1)
            if right.split()[0] == "cgroup2":
                return pathlib.Path(left.split()[4])
    return None


def is_v1():
    """True when resource controllers live in v1 hierarchies (legacy or hybrid)."""
    return "memory" in v1_hierarchies()


def roots():
    """Mount points of all hierarchies."""
    points = set(v1_hierarchies().values())
    if v2_mount() is not None:
        points.add(v2_mount())
    return sorted(points)


def directory(controller, path):
    """Directory of a cgroup path ('/a/b') in the controller's v1 hierarchy."""
    return v1_hierarchies()[controller] / path.lstrip("/")


def home(path, controller="pids"):
    """Directory of a cgroup path where the controller is: in its v1 hierarchy, or in the v2 tree."""
    return directory(controller, path) if is_v1() else v2_mount() / path.lstrip("/")


def read(controller, path, name):
    """Content of one cgroup v1 file, stripped."""
    return (directory(controller, path) / name).read_text().strip()


def of_process(pid):
    """{controller: path} of a process ('' for v2)."""
    answer = {}
    for line in pathlib.Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            answer[controller] = path
    return answer


def named(prefix):
    """Every cgroup directory, in any hierarchy, with a path component starting with prefix."""
    found = []
    for root in roots():
        for folder, names, _ in os.walk(root):
            found += [os.path.join(folder, n) for n in names if n.startswith(prefix) or f"/{prefix}" in folder]
    return sorted(found)


def processes(path):
    """Process ids in the cgroup at path, in the first hierarchy that has it."""
    for root in roots():
        file = root / path.lstrip("/") / "cgroup.procs"
        if file.exists():
            return [int(word) for word in file.read_text().split()]
    return []


def remove(directories):
    """Remove cgroup directories, deepest first; those in use stay."""
    for folder in sorted(directories, key=len, reverse=True):
        try:
            os.rmdir(folder)
        except OSError:
            pass
