"""What `cooper libcontainer` and `cooper convert` write: stored configurations hold all that was asked for, flags mean what they say."""

import fcntl
import json
import os
import shutil
import signal
import stat

import pytest

from lib import probes, proc
from lib.libcontainer import box, lc_engine, make_container  # noqa: F401

# --- the stored configuration -----------------------------------------------------------


def left_by_a_killed_exec(box):
    """The container, whose exec was killed: what starts next goes by the stored file."""
    box.config["parent_death_signal"] = int(signal.SIGKILL)
    with box.running() as there:
        there.background.signal(signal.SIGKILL)
        proc.until(lambda: not os.path.exists(f"/proc/{there.pid}/root/bin"), 10, 0.02, "the end of the process")
        there.background.wait()


@pytest.mark.parametrize("newer", [{}, {"version": "1"}, {"sysctl": {"kernel.shmmni": "8192"}}, {"oom_score_adj": 1}])
def test_stored_seccomp(box, newer):
    """Rules by number hold in a container that is started from its stored file, also beside newer members."""
    box.config |= {"seccomp": {"syscalls": [{"value": n, "action": 38} for n in (90, 91, 268, 452)]}, **newer}
    left_by_a_killed_exec(box)
    box.exec("sh", "-c", "touch /tmp/f; chmod 600 /tmp/f").fails("not implemented")
    box.verb("delete").check()


def test_stored_hooks(box, workdir):
    """Hooks beside members of the older generation are stored: delete runs poststop."""
    hook = {"path": "/bin/sh", "args": ["sh", "-c", f"echo run >> {workdir}/seen"]}
    box.config |= {"privatefs": True, "Hooks": {"poststop": [hook]}}
    left_by_a_killed_exec(box)
    box.verb("delete").check()
    assert (workdir / "seen").read_text() == "run\n"


# --- flags and outputs ------------------------------------------------------------------


EPERM, ENOSYS = 1, 38
NEW_MOUNT_CALLS = {"open_tree": 428, "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433, "mount_setattr": 442, "open_tree_attr": 467}
BY_OTHER_WAYS = {"fchmodat2": 452, "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427}


@pytest.mark.needs("gcc")
@pytest.mark.parametrize("level", ["high", "medium", "low"])
def test_security_levels_by_other_calls(box, level):
    """--security: what a level refuses is refused by newer calls of the kernel as well; clone3, whose flags no filter sees, is not there."""
    shutil.copy(probes.path("syscall"), box.rootfs / "bin/probe")
    calls = {**NEW_MOUNT_CALLS, **BY_OTHER_WAYS, "kexec_file_load": 320, "clone3": 435}
    script = "; ".join(f"echo {name} $(/bin/probe {number} 0 0 0 0 0)" for name, number in calls.items())
    out = box.cooper("libcontainer", "exec", "--id", box.id, "--rootfs", box.rootfs, "--cgroup-path", box.cgroup, "--security", level, "sh", "-c", script)
    answers = {words[0]: (int(words[1]), int(words[2])) for words in (line.split() for line in out.check().lines)}
    assert answers["clone3"] == (-1, ENOSYS)
    for name in (*NEW_MOUNT_CALLS, "kexec_file_load", *(BY_OTHER_WAYS if level == "high" else ())):
        assert answers[name] == (-1, EPERM), name


def test_cgroup_flag(box):
    """--cgroup: nsinit's, which takes no value: the control groups are mounted on /sys/fs/cgroup."""
    flags = ("--rootfs", box.rootfs, "--cgroup-path", box.cgroup)
    look = ("sh", "-c", "grep -c ' /sys/fs/cgroup' /proc/self/mounts")
    assert box.cooper("libcontainer", "exec", "--id", box.id, *flags, "--cgroup", *look).check().out.strip() != "0"
    assert box.cooper("libcontainer", "exec", "--id", box.id, *flags, *look).out.strip() == "0"


@pytest.mark.parametrize("verb", ["convert", "config"])
def test_outputs_that_are_no_regular_files(box, workdir, verb):
    """A device and a FIFO are written to, a symbolic link stays one: none of them is replaced."""
    box.write()
    words = lambda path: ("convert", box.file, path) if verb == "convert" else ("libcontainer", "config", "-f", path)  # noqa: E731
    device = workdir / "null"
    os.mknod(device, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    box.cooper(*words(device)).check()
    assert stat.S_ISCHR(os.lstat(device).st_mode) and os.stat(device).st_rdev == os.makedev(1, 3)
    fifo = workdir / "fifo"
    os.mkfifo(fifo)
    end = os.open(fifo, os.O_RDWR)
    try:
        fcntl.fcntl(end, fcntl.F_SETPIPE_SZ, 1 << 20)
        box.cooper(*words(fifo)).check()
        json.loads(os.read(end, 1 << 20))
    finally:
        os.close(end)
    assert stat.S_ISFIFO(os.lstat(fifo).st_mode)
    (workdir / "kept.json").write_text("old")
    for target in ("kept.json", "made.json"):
        link = workdir / f"to-{target}"
        link.symlink_to(target)
        box.cooper(*words(link)).check()
        assert os.readlink(link) == target
        json.loads((workdir / target).read_text())


def test_convert_refuses_what_would_not_be_valid(box, workdir, bundle):
    """convert: what would be refused afterwards is refused at once, by the name it has in the source; nothing is written."""
    made = workdir / "made.json"
    bundle.config["mounts"].append({"destination": "/nowhere", "source": "x"})
    bundle.save()
    box.cooper("convert", bundle.path, made).fails(f"/mounts/{len(bundle.config['mounts']) - 1}/type", rc=1)
    bundle.config["mounts"].pop()
    bundle.config["linux"].setdefault("resources", {})["cpu"] = {"shares": 1}
    bundle.save()
    assert not made.exists()
    assert "/linux/resources/cpu/shares: becomes 2" in box.cooper("convert", bundle.path, made).check().out
    assert json.loads(made.read_text())["cgroups"]["cpu_shares"] == 2
    box.config["sysctl"] = {"kernel.hostname": "x"}
    box.cooper("convert", box.write(), workdir / "config.json").fails("container.json: /sysctl", rc=1)
    assert not (workdir / "config.json").exists()
