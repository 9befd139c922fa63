"""Run the whole test session in its own PID and mount namespace.

Why: leaks become exact. Every process the tests (or a runtime, or a daemon under
test) leave behind is visible in /proc and belongs to the session; every mount in
/proc/self/mountinfo was made by the session; /run is private. When the session
ends - even by SIGKILL - the kernel ends all of its processes and mounts.

The process tree afterwards:

    the process you started      waits, hands on the exit status
      reaper (PID 1 inside)      collects orphans, as init does on a real machine
        pytest

Set COOPER_TEST_NO_ISOLATION=1 to run without it (leak checks then compare only
what carries the session's name).

Set COOPER_TEST_SHARED_PIDS=1 to keep the machine's process numbers, which tests with
systemd need (it is told of processes by number). The reaper then collects orphans as
a subreaper, and what descends from it belongs to the session.
"""

import ctypes
import os
import pathlib
import shutil
import signal
import sys

CLONE_NEWNS = 0x00020000
CLONE_NEWPID = 0x20000000
MS_REC = 0x4000
MS_PRIVATE = 1 << 18
MS_NOSUID, MS_NODEV, MS_NOEXEC = 2, 4, 8
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36

_MARK = "COOPER_TEST_ISOLATED"
_REAPER = "COOPER_TEST_REAPER"
_libc = ctypes.CDLL(None, use_errno=True)


def _check(result, what):
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def mount(source, target, fstype, flags=0, data=None):
    """mount(2)."""
    encode = lambda text: None if text is None else os.fsencode(str(text))
    _check(
        _libc.mount(encode(source), encode(target), encode(fstype), ctypes.c_ulong(flags), encode(data)),
        f"mount {target}",
    )


def umount(target, detach=True):
    """umount2(2); lazily by default."""
    _check(_libc.umount2(os.fsencode(str(target)), 2 if detach else 0), f"umount {target}")


def unshare(flags):
    """unshare(2)."""
    _check(_libc.unshare(flags), "unshare")


def prctl(option, value):
    """prctl(2) with one argument."""
    _check(_libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0), "prctl")


def active():
    """True inside the isolated session."""
    return os.environ.get(_MARK) == "1"


def reaper():
    """Process number of the session's reaper when process numbers are shared with the machine, else 0."""
    return int(os.environ.get(_REAPER, "0"))


def wanted():
    """True when isolation can and should be entered."""
    return os.geteuid() == 0 and not active() and os.environ.get("COOPER_TEST_NO_ISOLATION") != "1"


def _wait_status(pid):
    while True:
        try:
            _, status = os.waitpid(pid, 0)
            return status
        except InterruptedError:
            continue


def _leave(status):
    if os.WIFSIGNALED(status):
        os._exit(128 + os.WTERMSIG(status))
    os._exit(os.WEXITSTATUS(status))


def _reap_until(pid):
    while True:
        try:
            seen, status = os.waitpid(-1, 0)
        except InterruptedError:
            continue
        if seen == pid:
            _end_orphans()
            _leave(status)


def _end_orphans():
    """With shared process numbers nothing else ends what the session leaves."""
    if not reaper():
        return
    for task in pathlib.Path("/proc/self/task").iterdir():
        for child in (task / "children").read_text().split():
            os.kill(int(child), signal.SIGKILL)


def _private_run():
    """A fresh /dev/shm, and a fresh /run unless systemd runs this machine and its sockets are needed."""
    mount("tmpfs", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777")
    if os.path.isdir("/run/systemd/system"):
        return
    resolv = os.path.realpath("/etc/resolv.conf")
    content = None
    if resolv.startswith("/run/") and os.path.isfile(resolv):
        content = pathlib.Path(resolv).read_bytes()
    mount("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755")
    for name in ("lock", "mount"):  # mount(8) makes the second
        os.mkdir(f"/run/{name}")
    os.chmod("/run/lock", 0o1777)
    if content is not None:
        os.makedirs(os.path.dirname(resolv), exist_ok=True)
        pathlib.Path(resolv).write_bytes(content)


def _hierarchies():
    """[(mount point, type, options)] of the cgroup mounts, and the names in /proc/self/cgroup that have none."""
    mounted, names = [], set()
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        left, right = line.split(" - ", 1)
        fstype, _, options = right.split()[:3]
        if fstype in ("cgroup", "cgroup2"):
            kept = ",".join(o for o in options.split(",") if o not in ("rw", "ro"))
            mounted.append((left.split()[4], fstype, kept))
            names.update(kept.split(","))
    listed = {l.split(":")[1] for l in pathlib.Path("/proc/self/cgroup").read_text().splitlines()}
    return mounted, sorted(n for n in listed if n and not set(n.split(",")) <= names)


def _complete_cgroups(wanted):
    """Mount, for this session only, the v1 hierarchies that are active but mounted nowhere, and those wanted.

    Programs that walk /proc/self/cgroup (containerd's statistics) fail on a hierarchy that
    is active and not mounted; crun 1.8 wants hugetlb mounted on v1.
    """
    mounted, missing = _hierarchies()
    active = {o for _, _, options in mounted for o in options.split(",")}
    missing += [name for name in wanted if name not in active and name not in missing]
    if not missing or not any(fstype == "cgroup" for _, fstype, _ in mounted):
        return
    top = "/sys/fs/cgroup"
    mount("tmpfs", top, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=755")
    todo = mounted + [(f"{top}/{n.removeprefix('name=')}", "cgroup", n) for n in missing]
    for point, fstype, options in todo:
        os.makedirs(point, exist_ok=True)
        mount(fstype, point, fstype, MS_NOSUID | MS_NODEV | MS_NOEXEC, options or None)


def enter(controllers=()):
    """Fork into the namespaces. Returns only in the process that is to be pytest.

    controllers: v1 controllers to mount for the session if they are not.
    """
    if not wanted():
        return
    sys.stdout.flush()
    sys.stderr.flush()
    shared = os.environ.get("COOPER_TEST_SHARED_PIDS") == "1"
    unshare(CLONE_NEWNS if shared else CLONE_NEWNS | CLONE_NEWPID)
    mount(None, "/", None, MS_REC | MS_PRIVATE)
    inside = os.fork()
    if inside:
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: os.kill(inside, signal.SIGKILL))
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _leave(_wait_status(inside))
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if shared:
        prctl(PR_SET_CHILD_SUBREAPER, 1)
        os.environ[_REAPER] = str(os.getpid())
    else:
        mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    _private_run()
    _complete_cgroups(controllers)
    os.environ[_MARK] = "1"
    runner = os.fork()
    if runner:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _reap_until(runner)


def in_memory(path):
    """Mount a tmpfs at path if the session has its own mounts and memory is plenty (4 GiB).

    COOPER_TEST_TMP, which names a place for scratch data, switches it off.
    """
    available = int(pathlib.Path("/proc/meminfo").read_text().split("MemAvailable:")[1].split()[0])
    if active() and "COOPER_TEST_TMP" not in os.environ and available > 4 << 20:
        mount("tmpfs", path, "tmpfs", 0, "mode=755")


def remove_tree(path):
    """Delete a tree, first detaching anything mounted in it. Missing is fine."""
    prefix = os.path.realpath(path)
    points = []
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as info:
        for line in info:
            point = line.split()[4].encode("latin-1", "surrogateescape").decode("unicode_escape")
            if point == prefix or point.startswith(prefix + "/"):
                points.append(point)
    for point in reversed(points):
        try:
            umount(point)
        except OSError:
            pass
    shutil.rmtree(prefix, ignore_errors=True)
