"""What a test may need from the machine, and whether it is there.

A test says @pytest.mark.needs("cgroup1", "podman"). Each word has a check here that
returns None when the need is met, or one sentence saying why it is not; the runner
prints that sentence as the reason for skipping.
"""

import functools
import os
import pathlib
import shutil
import subprocess

from lib import cgroups, isolate, paths


def _program(name, package=None):
    def check():
        return None if shutil.which(name) else f"'{name}' is not installed (apt-get install {package or name})"

    return check


def _root():
    return None if os.geteuid() == 0 else "must run as root"


def _file(path, why):
    return lambda: None if pathlib.Path(path).exists() else why


def _capability(number, name):
    def check():
        status = pathlib.Path("/proc/self/status").read_text()
        held = int(status.split("CapEff:")[1].split()[0], 16)
        return None if held >> number & 1 else f"this process lacks {name}"

    return check


def _systemd():
    if not os.path.isdir("/run/systemd/system") or pathlib.Path("/proc/1/comm").read_text() != "systemd\n":
        return "systemd is not process 1 as the tests see it"
    return None


def _apparmor():
    enabled = pathlib.Path("/sys/module/apparmor/parameters/enabled")
    if not enabled.exists() or enabled.read_text() != "Y\n":
        return "the kernel has no AppArmor, or it is switched off"
    return _program("apparmor_parser", "apparmor")()


def _user_namespaces():
    """How many user namespaces may be made."""
    try:
        return int(pathlib.Path("/proc/sys/user/max_user_namespaces").read_text())
    except FileNotFoundError:
        return 0


def _pressure():
    try:
        pathlib.Path("/proc/pressure/memory").read_text()
    except OSError:
        return "the kernel has no pressure stall information, or it is switched off"
    return None


def _criu():
    """CRIU must know the kernel as well: one of another age refuses to begin."""
    lacking = _program("criu")()
    if lacking:
        return lacking
    check = subprocess.run(["criu", "check"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return None if check.returncode == 0 else f"'criu check' fails: {check.stdout.strip().splitlines()[-1:]}"


def _squashfs():
    lacking = _program("mksquashfs", "squashfs-tools")()
    if lacking:
        return lacking
    if "squashfs" not in pathlib.Path("/proc/filesystems").read_text():
        return "the kernel has no squashfs (modprobe squashfs)"
    return None if pathlib.Path("/dev/loop-control").exists() else "there are no loop devices"


def _controller(name):
    return lambda: None if name in cgroups.v1_hierarchies() else f"no cgroup v1 hierarchy with the {name} controller"


CHECKS = {
    "root": _root,
    "isolation": lambda: None if isolate.active() else "the session has no namespaces of its own (root needed)",
    "cgroup1": lambda: None if cgroups.is_v1() else "resource controllers are not on cgroup v1",
    "cgroup2": lambda: None if (pathlib.Path("/sys/fs/cgroup/cgroup.controllers")).exists() else "the machine is not on pure cgroup v2",
    "systemd": _systemd,
    "apparmor": _apparmor,
    "psi": _pressure,
    "squashfs": _squashfs,
    "mkfs.erofs": _program("mkfs.erofs", "erofs-utils"),
    "erofs": lambda: None if "erofs" in pathlib.Path("/proc/filesystems").read_text() else "the kernel has no erofs (modprobe erofs)",
    "mkfs.btrfs": _program("mkfs.btrfs", "btrfs-progs"),
    "criu": _criu,
    "seccomp": _file("/proc/sys/kernel/seccomp/actions_avail", "the kernel has no seccomp filters"),
    "userns": lambda: None if _user_namespaces() else "the kernel has no user namespaces, or they are switched off",
    "no-userns": lambda: "user namespaces can be made" if _user_namespaces() else None,
    "timens": _file("/proc/self/ns/time", "the kernel has no time namespaces"),
    "cap_sys_resource": _capability(24, "CAP_SYS_RESOURCE"),
    "uidmap": _program("newuidmap", "uidmap"),
    "podman": _program("podman"),
    "crun": _program("crun"),
    "skopeo": _program("skopeo"),
    "umoci": _program("umoci"),
    "gpg": _program("gpg", "gnupg"),
    "gpgv": _program("gpgv"),
    "docker-registry": _program("docker-registry"),
    "docker": _program("dockerd", "docker.io"),
    "containerd": _program("containerd"),
    "buildah": _program("buildah"),
    "mmdebstrap": _program("mmdebstrap"),
    "gcc": _program("gcc"),
    "strace": _program("strace"),
    "runtime": lambda: None if paths.runtime_binary().exists() else f"no runtime at {paths.runtime_binary()} (build it, or set COOP_BINARY)",
    "conmon": lambda: None if paths.monitor_binary().exists() else f"no monitor at {paths.monitor_binary()}",
    "cooper": lambda: None if (paths.bin_dir() / "cooper").exists() else f"no cooper in {paths.bin_dir()}",
}
CHECKS["memory-limits"] = lambda: None if cgroups.is_v1() or CHECKS["cgroup2"]() is None else "no cgroup hierarchy with the memory controller"
for _name in ("cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids", "hugetlb"):
    CHECKS[f"cgroup1-{_name}"] = _controller(_name)

# Words that few machines meet and a guest of tests/vm does. A test with one of them is a guest test without further ado.
GUEST = {"cgroup2", "systemd", "apparmor", "psi", "criu", "no-userns"}


@functools.lru_cache(maxsize=None)
def unmet(name):
    """None if the need is met, else the reason. Unknown words are a test bug."""
    return CHECKS[name]()
