"""Configurations of libcontainer, and the verbs of `cooper libcontainer` on them."""

import copy
import json
import pathlib

import pytest

from lib import needs, paths, proc, rootfs
from lib.cooper import Cooper

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND, MS_REC = 1, 2, 4, 8, 4096, 16384
MS_PRIVATE, MS_SLAVE, MS_SHARED, MS_STRICTATIME = 1 << 18, 1 << 19, 1 << 20, 1 << 24
SAFE = MS_NOEXEC | MS_NOSUID | MS_NODEV
KILL, ERRNO, TRAP, ALLOW, TRACE = 1, 2, 3, 4, 5
EQ, NE, GT, GE, LT, LE, MASKED = 1, 2, 3, 4, 5, 6, 7

CAPABILITIES = ["CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "MKNOD", "NET_RAW", "SETGID", "SETUID", "SETFCAP", "SETPCAP", "NET_BIND_SERVICE", "SYS_CHROOT", "KILL", "AUDIT_WRITE"]  # fmt: skip
SIMPLE = [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("tty", 5, 0), ("urandom", 1, 9), ("random", 1, 8)]


def char(path, major, minor, permissions="rwm", **more):
    """A character device."""
    return {"type": ord("c"), "path": path, "major": major, "minor": minor, "permissions": permissions, **more}


def mount(source, destination, device, flags=0, data="", **more):
    """One entry of mounts."""
    return {"source": source, "destination": destination, "device": device, "flags": flags, "data": data, **more}


def template(root, cgroup):
    """What most tests start from: the standard mounts, nodes, namespaces and capabilities."""
    nodes = [char(f"/dev/{name}", major, minor, file_mode=0o666) for name, major, minor in SIMPLE]
    rules = [char("", -1, -1, "m"), {"type": ord("b"), "major": -1, "minor": -1, "permissions": "m"}, char("", 136, -1), char("", 5, 2)]
    return {
        "rootfs": str(root),
        "mounts": [
            mount("proc", "/proc", "proc", SAFE),
            mount("tmpfs", "/dev", "tmpfs", MS_NOSUID | MS_STRICTATIME, "mode=755"),
            mount("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5"),
            mount("shm", "/dev/shm", "tmpfs", SAFE, "mode=1777,size=65536k"),
            mount("mqueue", "/dev/mqueue", "mqueue", SAFE),
            mount("sysfs", "/sys", "sysfs", SAFE | MS_RDONLY),
        ],
        "devices": nodes,
        "hostname": "integration",
        "namespaces": [{"type": t} for t in ("NEWNS", "NEWUTS", "NEWIPC", "NEWPID", "NEWNET")],
        "capabilities": list(CAPABILITIES),
        "networks": [{"type": "loopback"}],
        "cgroups": {"path": cgroup, "allowed_devices": rules + nodes, "memory_swappiness": -1},
        "rlimits": [{"type": 7, "hard": 1025, "soft": 1025}],
        "mask_paths": ["/proc/kcore"],
        "readonly_paths": ["/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus"],
    }


def group_of(state, controller):
    """The directory of a controller, of a container's state document."""
    groups = state["cgroup_paths"]
    return groups.get(controller) or groups["unified"]


def limit(state, controller, name):
    """One file of a container's group."""
    return pathlib.Path(group_of(state, controller), name).read_text(encoding="ascii").strip()


class Libcontainer:
    """One container: change `config`, then run() it, or keep it running()."""

    def __init__(self, cooper, folder, ident, cgroup):
        self.cooper, self.folder, self.id, self.cgroup = cooper, pathlib.Path(folder), ident, cgroup
        self.rootfs = rootfs.make_busybox(self.folder / "rootfs")
        self.config = template(self.rootfs, cgroup)
        self.file = self.folder / "container.json"

    def namespaces(self, *types):
        """Only these namespaces."""
        self.config["namespaces"] = [copy.deepcopy(n) for n in self.config["namespaces"] if n["type"] in types]

    def write(self):
        """The configuration as a file."""
        self.file.write_text(json.dumps(self.config))
        return self.file

    def verb(self, name, *flags, **options):
        """Another verb on this container."""
        return self.cooper("libcontainer", name, "--id", self.id, *flags, **options)

    def argv(self, *command, flags=()):
        """Command line that starts it."""
        return ("libcontainer", "exec", "--id", self.id, "--from", self.write(), *flags, *command)

    def run(self, *command, flags=(), **options):
        """Start it, wait for its end."""
        return self.cooper(*self.argv(*command, flags=flags), **options)

    def sh(self, script, **options):
        """Run a shell script as its process."""
        return self.run("sh", "-c", script, **options)

    def output(self, script, **options):
        """What a script prints."""
        return self.sh(script, **options).check().out

    def exec(self, *command, flags=(), **options):
        """A further process in the running container."""
        return self.cooper("libcontainer", "exec", "--id", self.id, *flags, *command, **options)

    def state(self):
        """Its state document."""
        return json.loads(self.verb("state").check().out)

    def pid(self):
        """Its first process; 0 while there is none."""
        result = self.verb("state")
        return json.loads(result.out)["init_process_pid"] if result.rc == 0 else 0

    def running(self, script="sleep 1000", flags=()):
        """A context manager: running beside the test. Ends with the container's end."""
        return Running(self, script, flags)


class Running:
    """`cooper libcontainer exec` in the background, until its container has a process; ended by SIGKILL inside."""

    def __init__(self, container, script, flags):
        self.container = container
        self.background = container.cooper.background(*container.argv("sh", "-c", script, flags=flags))
        self.pid = 0

    def __enter__(self):
        self.background.__enter__()
        self.pid = proc.until(self._started, 20, 0.02, "the container's first process")
        return self

    def _started(self):
        if self.background.child.poll() is not None:
            raise AssertionError(self.background.wait().err)
        return self.container.pid()

    def end(self):
        """Kill the first process; the result of exec."""
        self.container.verb("unpause")
        self.background.signal(15)
        pid = self.container.pid()
        if pid:
            try:
                import os
                import signal

                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        return self.background.wait()

    def __exit__(self, *_):
        if self.background.child.poll() is None:
            self.end()
        self.background.__exit__()


@pytest.fixture
def lc_engine(workdir, prefix):
    """A cooper whose libcontainer state lies in the test's directory."""
    for word in ("root", "cooper"):
        if reason := needs.unmet(word):
            pytest.skip(f"needs {word}: {reason}")
    folder = workdir / "engine"
    folder.mkdir()
    assert (paths.bin_dir() / "cooper").exists()
    return Cooper(folder, f"/{prefix}/lc")


@pytest.fixture
def make_container(lc_engine, workdir, unique, prefix):
    """make_container() -> a new Libcontainer, not started."""

    def make(stem="lc"):
        ident = unique(stem)
        return Libcontainer(lc_engine, workdir / unique("r"), ident, f"/{prefix}/{ident}")

    return make


@pytest.fixture
def box(make_container):
    """One libcontainer container."""
    return make_container()
