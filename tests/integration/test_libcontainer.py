"""The behaviours libcontainer's own tests asked for, on our containers: each name in a docstring is the test it answers."""

import json
import os
import re
import signal

import pytest

from lib import cgroups, criu
from lib import libcontainer as lc
from lib import proc
from lib.libcontainer import box, group_of, lc_engine, limit, make_container  # noqa: F401


def link(pid, name):
    """Which namespace a process is in."""
    return os.readlink(f"/proc/{pid}/ns/{name}")


def map_root(box, uid=1000):
    """A user namespace whose root is another user of the host."""
    box.config["namespaces"].append({"type": "NEWUSER"})
    for kind in ("uid_mappings", "gid_mappings"):
        box.config[kind] = [{"container_id": 0, "host_id": uid, "size": 1}, {"container_id": 1, "host_id": 100000, "size": 65535}]
    os.chmod(box.folder, 0o755)


def rule(name, action=lc.ERRNO, *args):
    """One system call of a seccomp profile."""
    return {"name": name, "action": action, "args": [{"index": i, "value": v, "value_two": w, "op": op} for i, v, w, op in args]}


# --- namespaces -------------------------------------------------------------------------


def test_exec_ps(box):
    """ExecPS: ps inside shows its header and one process."""
    assert len(box.run("ps").check().lines) == 2


def test_userns_exec_ps(box):
    """UsernsExecPS: the same with a user namespace, whose root is another user outside."""
    map_root(box)
    assert len(box.run("ps").check().lines) == 2
    with box.running() as there:
        assert os.stat(f"/proc/{there.pid}").st_uid == 1000


def test_ipc_private(box):
    """IPCPrivate: a namespace of its own."""
    assert box.output("readlink /proc/self/ns/ipc").strip() != link("self", "ipc")


def test_ipc_host(box):
    """IPCHost: a namespace that is not named is the caller's."""
    box.namespaces("NEWNS", "NEWUTS", "NEWPID", "NEWNET")
    assert box.output("readlink /proc/self/ns/ipc").strip() == link("self", "ipc")


def test_ipc_join_path(box, make_container):
    """IPCJoinPath: a path joins another's namespace."""
    with make_container("other").running() as other:
        box.config["namespaces"] = [n for n in box.config["namespaces"] if n["type"] != "NEWIPC"]
        box.config["namespaces"].append({"type": "NEWIPC", "path": f"/proc/{other.pid}/ns/ipc"})
        assert box.output("readlink /proc/self/ns/ipc").strip() == link(other.pid, "ipc")


def test_ipc_bad_path(box):
    """IPCBadPath: a path that is none fails the start, and nothing is left."""
    box.config["namespaces"] = [n for n in box.config["namespaces"] if n["type"] != "NEWIPC"]
    box.config["namespaces"].append({"type": "NEWIPC", "path": "/proc/1/ns/ipcc"})
    box.run("true").fails("/proc/1/ns/ipcc", rc=1)
    box.verb("state").fails("does not exist")


def test_pid_host(box):
    """PIDHost: without NEWPID the process is among the host's; the rest is killed when it ends."""
    box.namespaces("NEWNS", "NEWUTS", "NEWIPC", "NEWNET")
    assert box.output("readlink /proc/self/ns/pid; sleep 1000 &").strip() == link("self", "pid")


# --- process ----------------------------------------------------------------------------


def test_rlimit(box):
    """Rlimit, ExecInRlimit: the limit of open files, for the first process and for one that joins."""
    assert box.output("ulimit -n").strip() == "1025"
    with box.running():
        assert box.exec("sh", "-c", "ulimit -n").check().out.strip() == "1025"


def test_enter(box):
    """Enter, ExecIn: a second process joins: same PID namespace, the list of processes has two, ps shows the first."""
    with box.running() as there:
        with box.cooper.background("libcontainer", "exec", "--id", box.id, "sh", "-c", "readlink /proc/self/ns/pid; sleep 1000") as second:
            assert second.readline() == link(there.pid, "pid")
            group = next(p for p in box.state()["cgroup_paths"].values())
            assert len(open(f"{group}/cgroup.procs", encoding="ascii").read().split()) >= 2
            assert "sleep 1000" in box.exec("ps").check().out
            second.signal(signal.SIGTERM)
            there.end()


def test_process_environment(box):
    """ProcessEnv, ExecInEnvironment: variables are seen, HOME is supplied, the last of two wins."""
    flags = ("--env", "FOO=first", "--env", "FOO=BAR")
    out = box.run("env", flags=flags).check().lines
    assert "FOO=BAR" in out and "HOME=/root" in out and "FOO=first" not in out
    with box.running():
        assert "FOO=BAR" in box.exec("env", flags=flags).check().lines


def effective(text):
    """The effective set of a process status."""
    return int(re.search(r"CapEff:\s+(\w+)", text)[1], 16)


def test_capabilities(box):
    """ProcessCaps: exactly the listed ones, unless the process brings its own."""
    net_admin = 1 << 12
    own = effective(box.output("cat /proc/self/status"))
    assert own & net_admin == 0 and own & 1
    given = [word for name in (*lc.CAPABILITIES, "NET_ADMIN") for word in ("--cap", name)]
    assert effective(box.run("cat", "/proc/self/status", flags=given).check().out) == own | net_admin


def test_additional_groups(box):
    """AdditionalGroups: names are looked up in the container's file, numbers are taken."""
    (box.rootfs / "etc/group").write_text("root:x:0:\naudio:x:29:\nplugdev:x:46:\n")
    box.config["additional_groups"] = ["plugdev", "audio", "77"]
    assert set(box.output("id -G").split()) >= {"0", "29", "46", "77"}
    box.config["additional_groups"] = ["nobody-has-it"]
    box.run("true").fails("nobody-has-it", rc=1)


def test_user(box):
    """The user is a name or a number of the container."""
    assert box.run("id", "-u", flags=("--user", "user")).check().out == "1000\n"
    box.run("true", flags=("--user", "stranger")).fails("stranger", rc=1)


def test_extra_files(box, workdir):
    """PassExtraFiles, ExecinPassExtraFiles: the process has descriptors 0 to 5, and what it writes arrives."""
    script = "ls /proc/self/fd; echo 1 >&3; echo 2 >&4"

    def passing(*words):
        for name in ("a", "b"):
            (workdir / name).write_text("")
        argv = box.cooper.argv(*words)
        result = proc.run("sh", "-c", 'exec "$@" 3>>a 4>>b 5>>a', "sh", *argv, env=box.cooper.environ, cwd=workdir)
        # The directory that ls reads is one of its own.
        assert set(result.check().out.split()) - {"6"} == {"0", "1", "2", "3", "4", "5"}
        assert (workdir / "a").read_text() == "1\n" and (workdir / "b").read_text() == "2\n"

    flags = ("--preserve-fds", "3")
    passing(*box.argv("sh", "-c", script, flags=flags))
    with box.running():
        passing("libcontainer", "exec", "--id", box.id, *flags, "sh", "-c", script)
    box.run("true", flags=("--preserve-fds", "9")).fails("is not open", rc=125)


def test_oom_score(box):
    """OomScoreAdj, ExecInOomScoreAdj: the value is the process's, also for one that joins."""
    box.config["oom_score_adj"] = 200
    assert box.output("cat /proc/self/oom_score_adj").strip() == "200"
    with box.running():
        assert box.exec("cat", "/proc/self/oom_score_adj").check().out.strip() == "200"


def with_score(box, *words):
    """cooper, started by somebody whose own score is 300."""
    return proc.run("sh", "-c", 'echo 300 > /proc/self/oom_score_adj; exec "$@"', "sh", *box.cooper.argv(*words), env=box.cooper.environ)


def test_oom_score_of_zero(box):
    """OomScoreAdj: 0, which is what is meant when there is none, is the process's too, whatever the caller's is; the numeric generation leaves the caller's."""
    look = ("cat", "/proc/self/oom_score_adj")
    assert with_score(box, *box.argv(*look)).check().out == "0\n"
    with box.running():
        assert with_score(box, "libcontainer", "exec", "--id", box.id, *look).check().out == "0\n"
    box.config["privatefs"] = True
    assert with_score(box, *box.argv(*look)).check().out == "300\n"


@pytest.mark.needs("cap_sys_resource")
@pytest.mark.guest
def test_oom_score_that_cannot_be_lowered(box):
    """OomScoreAdj: a caller who may not lower its own score starts containers without one all the same, and no others."""
    script = 'echo 300 > /proc/self/oom_score_adj; exec setpriv --bounding-set=-sys_resource "$@"'
    start = lambda: proc.run("sh", "-c", script, "sh", *box.cooper.argv(*box.argv("cat", "/proc/self/oom_score_adj")), env=box.cooper.environ)  # noqa: E731
    assert start().check().out == "300\n"
    box.config["oom_score_adj"] = 100
    start().fails("CAP_SYS_RESOURCE", rc=1)


def test_exec_error(box):
    """ExecInError: a program that is not there is said to be not there."""
    box.run("no-such-program").fails("executable file not found", rc=1)
    with box.running():
        box.exec("no-such-program").fails("executable file not found", rc=1)


def test_terminal(box):
    """ExecInTTY: the process has a terminal of the container; what it writes arrives."""
    with box.running():
        with box.cooper.on_terminal("libcontainer", "exec", "--id", box.id, "--tty", "sh", "-c", "tty; echo $((6*7))") as there:
            assert "/dev/" in there.expect("42")
            assert there.wait()[0] == 0
        box.exec("true", flags=("--tty",)).fails("the input device is not a TTY", "leave --tty out", rc=125)


def test_standard_streams_of_mapped_root(box):
    """STDIOPermissions: root of a user namespace is a user of the host, and can open /dev/stderr as well."""
    map_root(box)
    assert box.run("sh", "-c", "echo seen > /dev/stderr").check().err.endswith("seen\n")
    with box.running():
        assert box.exec("sh", "-c", "echo seen > /dev/stderr").check().err.endswith("seen\n")


def test_standard_streams_of_a_user(box):
    """STDIOPermissions: a process of another user can open /dev/stderr."""
    assert box.run("sh", "-c", "echo seen > /dev/stderr", flags=("--user", "1000")).check().err.endswith("seen\n")


def test_exit_status_and_signals(box):
    """The exit status is the process's; signals are passed on; the container is removed."""
    assert box.sh("exit 7").rc == 7
    with box.running("trap 'exit 9' TERM; echo ready; while :; do sleep 0.02; done") as there:
        there.background.readline()
        there.background.signal(signal.SIGTERM)
        assert there.background.wait().rc == 9
    box.verb("state").fails("does not exist", rc=1)
    # Process 1 of a PID namespace cannot be killed from inside.
    box.namespaces("NEWNS", "NEWUTS", "NEWIPC", "NEWNET")
    assert box.sh("kill -KILL $$").rc == 137


def test_parent_death_signal(box):
    """parent_death_signal: when cooper is killed, the container's first process gets it."""
    box.config["parent_death_signal"] = int(signal.SIGKILL)
    with box.running() as there:
        there.background.signal(signal.SIGKILL)
        proc.until(lambda: not os.path.exists(f"/proc/{there.pid}/root/bin"), 10, 0.02, "the end of the process")
        there.background.wait()
    # What a killed exec left: its record. A new start takes its place.
    box.verb("state").check()
    assert box.exec("echo", "again").check().out == "again\n"
    box.cooper("libcontainer", "delete", "--id", box.id).check()


# --- limits -----------------------------------------------------------------------------


def frozen(state):
    """Whether the kernel has stopped it."""
    if "freezer" in state["cgroup_paths"]:
        return open(group_of(state, "freezer") + "/freezer.state", encoding="ascii").read().strip() == "FROZEN"
    return "frozen 1" in open(group_of(state, "freezer") + "/cgroup.events", encoding="ascii").read()


@pytest.mark.guest
def test_freeze(box):
    """Freeze: frozen is visible in the kernel and in the state; a process cannot join; it goes on after."""
    with box.running():
        box.verb("pause").check()
        state = box.state()
        assert state["config"]["cgroups"]["freezer"] == "FROZEN"
        assert frozen(state)
        box.exec("true").fails("paused", rc=1)
        box.verb("pause").fails("not running", rc=1)
        box.verb("unpause").check()
        assert box.state()["config"]["cgroups"]["freezer"] == "THAWED"
        assert box.exec("true").check()


@pytest.mark.guest
def test_frozen_from_the_start(box):
    """cgroups.freezer: a container may be born frozen."""
    box.config["cgroups"]["freezer"] = "FROZEN"
    with box.running():
        state = box.state()
        proc.until(lambda: frozen(state), 5, 0.02, "the frozen state")
        box.verb("unpause").check()


def test_cpu_shares(box):
    """CpuShares: 1, which the kernel would not take, fails the start."""
    box.config["cgroups"]["cpu_shares"] = 1
    box.run("true").fails("cpu_shares", rc=1)


@pytest.mark.needs("memory-limits")
@pytest.mark.guest
def test_limits(box):
    """RunWithKernelMemory: limits are in the kernel's files; a limit that the kernel dropped does not stop the start."""
    box.config["cgroups"] |= {"memory": 64 << 20, "kernel_memory": 50 << 20, "cpu_shares": 1024, "cpu_quota": 50000, "cpu_period": 100000}
    with box.running():
        state = box.state()
        if not cgroups.is_v1():
            assert limit(state, "memory", "memory.max") == str(64 << 20)
            assert limit(state, "cpu", "cpu.weight") == "100"
            assert limit(state, "cpu", "cpu.max") == "50000 100000"
            return
        assert limit(state, "memory", "memory.limit_in_bytes") == str(64 << 20)
        assert limit(state, "cpu", "cpu.shares") == "1024"
        assert limit(state, "cpu", "cpu.cfs_quota_us") == "50000"


@pytest.mark.guest
def test_device_rules(box):
    """allowed_devices, allow_all_devices with denied_devices: exactly what the lists say."""
    read = "head -c 1 /dev/zero > /dev/null && echo zero"
    box.config["cgroups"]["allowed_devices"] = [lc.char("", 1, 3)]
    assert "zero" not in box.sh(read).out
    box.config["cgroups"] |= {"allow_all_devices": True, "denied_devices": [lc.char("", 1, 7)]}
    assert "zero" in box.sh(read).out
    assert box.sh("head -c 1 /dev/full").rc != 0


@pytest.mark.guest
def test_later_device_rules(box):
    """cgroups.devices: one list, whose rules count in their order; v1 says that it cannot take part of an allowance back."""
    def rules(*more):
        box.config["cgroups"] = {"path": box.cgroup, "devices": [{"type": ord("a"), "allow": False}, *({**device, "allow": allow} for device, allow in more)]}

    read = "head -c 1 /dev/zero > /dev/null && echo zero; head -c 1 /dev/urandom > /dev/null && echo random"
    rules((lc.char("", -1, -1), True), (lc.char("", 1, 5), False))
    if cgroups.is_v1():
        box.sh(read).fails("takes nothing back", "c 1:5", rc=1)
    else:
        assert box.sh(read).out.split() == ["random"]
    rules((lc.char("", 1, 3), True), (lc.char("", 1, 9), True), (lc.char("", 1, 5), True), (lc.char("", 1, 5), False))
    assert box.sh(read).out.split() == ["random"]


def test_devices(box):
    """devices: the nodes that are listed, with their owners and modes; none at all leaves /dev alone."""
    box.config["devices"] = [lc.char("/dev/null", 1, 3, file_mode=0o600, uid=5, gid=6)]
    assert box.output("stat -c '%a %u %g %t:%T' /dev/null").strip() == "600 5 6 1:3"
    assert box.run("test", "-e", "/dev/zero").rc == 1
    box.config["devices"] = []
    box.config["mounts"] = [m for m in box.config["mounts"] if not m["destination"].startswith("/dev")]
    (box.rootfs / "dev/own").write_text("untouched")
    assert box.output("ls /dev").split() == ["own"]


def test_oom_events(box):
    """NotifyOOM: the verb prints a line when the kernel kills for want of memory, and ends with the container."""
    box.config["cgroups"] |= {"memory": 16 << 20, "memory_swap": 16 << 20}
    script = "sleep 1; sh -c 'x=$(head -c 64000000 /dev/zero | tr \"\\\\0\" a); echo ${#x}'; sleep 1000"
    with box.running(script) as there:
        with box.cooper.background("libcontainer", "oom", "--id", box.id) as events:
            assert events.readline(timeout=20) == "out of memory"
            there.end()
            assert events.wait().rc == 0


@pytest.mark.needs("memory-limits")
@pytest.mark.guest
def test_stats(box):
    """stats: the counters of the control group, by libcontainer's names; no limit of memory is no limit of 0."""
    with box.running():
        counters = json.loads(box.verb("stats").check().out)["cgroup_stats"]
        memory, cpu = counters["memory_stats"], counters["cpu_stats"]
        assert memory["usage"]["usage"] > 0 and memory["usage"]["limit"] > 1 << 62
        assert set(memory) == {"cache", "usage", "swap_usage", "kernel_usage", "oom_kills", "stats"} and memory["stats"]
        assert set(memory["kernel_usage"]) == {"usage", "max_usage", "failcnt", "limit"}
        assert cpu["cpu_usage"]["total_usage"] > 0 and set(cpu["throttling_data"]) == {"periods", "throttled_periods", "throttled_time"}
        if cgroups.is_v1():
            assert sum(cpu["cpu_usage"]["percpu_usage"]) > 0
        kinds = ("io_service_bytes", "io_serviced", "io_queue", "io_service_time", "io_wait_time", "io_merged", "io_time", "sectors")
        assert set(counters["blkio_stats"]) == {f"{kind}_recursive" for kind in kinds}
        assert all(set(entry) == {"usage", "max_usage", "failcnt"} for entry in counters["hugetlb_stats"].values())
        if "hugetlb" in cgroups.v1_hierarchies():
            assert "2MB" in counters["hugetlb_stats"]


# --- state ------------------------------------------------------------------------------


def test_state(box):
    """ContainerState: pid, cgroups and namespaces of the first process, for any joiner."""
    box.namespaces("NEWNS", "NEWUTS", "NEWPID", "NEWNET")
    with box.running() as there:
        state = box.state()
        assert state["id"] == box.id and state["init_process_pid"] == there.pid
        assert os.readlink(state["namespace_paths"]["NEWIPC"]) == link("self", "ipc")
        assert os.readlink(state["namespace_paths"]["NEWPID"]) == link(there.pid, "pid")
        started = open(f"/proc/{there.pid}/stat", encoding="ascii").read().rsplit(")", 1)[1].split()[19]
        assert state["init_process_start"] == started
        assert all(os.path.isdir(path) for path in state["cgroup_paths"].values())
        assert state["config"]["rootfs"] == str(box.rootfs)
        assert len(state["external_descriptors"]) == 3


@pytest.mark.needs("criu")
def test_checkpoint(box, workdir):
    """Checkpoint: images are there, the container is checkpointed and stays, a restore goes on with its streams."""
    images = workdir / "images"
    with box.running(criu.COUNT) as there:
        assert there.background.readline(20) == "1"
        box.verb("checkpoint", "--image-path", images, "--leave-running", "--work-path", workdir / "left").check()
        assert box.pid() == there.pid
        box.verb("checkpoint", "--image-path", images, timeout=60).check()
        assert there.background.wait().rc == 137
    assert (images / "inventory.img").exists()
    assert box.cooper("libcontainer", "ls").check().out.split() == [box.id] and box.state()["init_process_pid"] == 0
    box.exec("true").fails("is checkpointed", "restore it", rc=1)
    box.verb("checkpoint", "--image-path", images).fails("is not running", rc=1)
    with box.cooper.background("libcontainer", "restore", "--id", box.id, "--image-path", images) as restored:
        reached = int(restored.readline(60))
        assert reached > 1 and int(restored.readline(20)) == reached + 1
        assert box.exec("cat", "/proc/1/comm").check().out == "sh\n"
        box.verb("restore", "--image-path", images).fails("is running", rc=1)
        restored.signal(signal.SIGTERM)
        assert restored.wait(60).rc == 7
    assert not box.cooper("libcontainer", "ls").check().out
    # Of the images and the configuration alone.
    with box.cooper.background("libcontainer", "restore", "--id", box.id, "--from", box.write(), "--image-path", images) as restored:
        assert int(restored.readline(60)) == reached
        os.kill(box.pid(), signal.SIGKILL)
        assert restored.wait(60).rc == 137
    assert not box.cooper("libcontainer", "ls").check().out


def test_checkpoints_that_fail(box, workdir):
    """Checkpoint: what is wrong is said, the container goes on, nothing is left."""
    images = workdir / "images"
    box.verb("checkpoint").fails("--image-path", rc=125)
    box.verb("restore", "--image-path", images).fails("does not exist", "--from", rc=1)
    with box.running() as there:
        box.verb("checkpoint", "--image-path", images, "--page-server", "host").fails("ADDRESS:PORT", rc=125)
        env = criu.fake_criu(workdir, log=images / "dump.log")
        box.verb("checkpoint", "--image-path", images, env=env).fails("it cannot be", f"{images}/dump.log", rc=1)
        assert box.pid() == there.pid
        box.verb("restore", "--image-path", images, env=env).fails("is running", rc=1)
    assert box.cooper("libcontainer", "ls").check().out == ""
    (images / "inventory.img").write_text("")
    box.verb("restore", "--image-path", images, "--from", box.write(), env=env).fails("EINVAL", rc=1)
    box.config["networks"].append({"type": "veth", "name": "eth0", "address": "10.0.0.2/24", "mtu": 1500})
    box.verb("restore", "--image-path", images, "--from", box.write(), env=env).fails("network interfaces", rc=1)
    assert box.cooper("libcontainer", "ls").check().out == ""


def test_hooks(box, workdir):
    """Hook: each kind runs at its time and reads the state; poststop runs after the end."""
    def hook(kind, script):
        return {"path": "/bin/sh", "args": ["sh", "-c", f"{script} > {workdir}/{kind}"], "env": ["PATH=/usr/bin:/bin"]}

    box.config["version"] = "0.2"
    box.config["Hooks"] = {
        "prestart": [hook("prestart", "cat")],
        "poststart": [hook("poststart", "cat")],
        "poststop": [hook("poststop", "cat")],
    }
    box.run("sleep", "0.2").check()
    for kind in ("prestart", "poststart", "poststop"):
        state = json.loads((workdir / kind).read_text())
        assert (state.pop("pid") > 0) == (kind != "poststop"), kind
        assert state == {"version": "0.2", "id": box.id, "root": str(box.rootfs)}, kind
    box.config["Hooks"] = {"prestart": [{"path": "/bin/false", "args": ["false"]}]}
    box.run("true").fails("prestart hook", rc=1)
    box.config["Hooks"] = {"poststart": [{"path": "/bin/false", "args": ["false"]}]}
    box.run("sleep", "1000").fails("poststart hook", rc=1)


def test_poststop_hooks(box, workdir):
    """Hook: all poststop hooks run, also after a start that failed; a failure is said, and the exit status stays."""
    seen = workdir / "seen"
    box.config["Hooks"] = {
        "prestart": [{"path": "/bin/sh", "args": ["sh", "-c", f"test ! -e {workdir}/refuse"]}],
        "poststop": [{"path": "/bin/false", "args": ["false"]}, {"path": "/bin/sh", "args": ["sh", "-c", f"echo run >> {seen}"]}],
    }
    result = box.sh("exit 4")
    assert result.rc == 4 and "poststop hook" in result.err
    assert seen.read_text() == "run\n"
    (workdir / "refuse").touch()
    box.run("true").fails("prestart hook", rc=1)
    assert seen.read_text() == "run\nrun\n"
    assert not box.cooper("libcontainer", "ls").check().out


# --- mounts -----------------------------------------------------------------------------


def test_mount_commands(box, workdir):
    """MountCmds: commands before and after one mount ran, on the host's side; a failure stops the start."""
    data = workdir / "data"
    data.mkdir()
    where = f"{box.rootfs}/data"
    box.config["mounts"].append(
        lc.mount(str(data), "/data", "bind", lc.MS_BIND | lc.MS_REC)
        | {
            "premount_cmds": [{"path": "touch", "args": [f"{data}/hello"]}, {"path": "sh", "args": ["-c", "pwd > world"], "dir": str(data)}],
            "postmount_cmds": [{"path": "cp", "args": [f"{where}/hello", f"{where}/hello-backup"]}],
        }
    )
    assert box.output("ls /data").split() == ["hello", "hello-backup", "world"]
    assert (data / "hello-backup").exists()
    assert (data / "world").read_text().strip() == str(data)
    box.config["mounts"][-1]["premount_cmds"] = [{"path": "sh", "args": ["-c", "echo no luck >&2; exit 3"]}]
    box.run("true").fails("before the mount on '/data'", "exit status 3", "no luck", rc=1)


def test_sysctl(box):
    """SystemProperties, Sysctl: a kernel parameter of the namespace, by either generation's name."""
    box.config["sysctl"] = {"kernel.shmmni": "8192"}
    assert box.output("cat /proc/sys/kernel/shmmni").strip() == "8192"
    box.config["system_properties"] = box.config.pop("sysctl")
    assert box.output("cat /proc/sys/kernel/shmmni").strip() == "8192"


@pytest.mark.guest
@pytest.mark.parametrize("flags", [lc.MS_RDONLY, 0])
def test_mount_cgroup(box, flags):
    """MountCgroupRO, MountCgroupRW: a write to the group fails, or works."""
    box.config["mounts"].append(lc.mount("cgroup", "/sys/fs/cgroup", "cgroup", lc.SAFE | flags))
    made = "/sys/fs/cgroup/memory/made" if cgroups.is_v1() else "/sys/fs/cgroup/made"
    wrote = box.sh(f"mkdir {made} && rmdir {made}").rc == 0
    assert wrote == (flags == 0)


def mounts_of(pid):
    """Mount points of a process."""
    return [line.split()[4] for line in open(f"/proc/{pid}/mountinfo", encoding="utf-8")]


def test_root_propagation_slave(box, workdir):
    """RootfsPropagationSlaveMount: what is mounted on the host appears inside."""
    source = workdir / "shared"
    source.mkdir()
    proc.run("mount", "--bind", source, source).check()
    proc.run("mount", "--make-shared", source).check()
    (source / "sub").mkdir()
    box.config["rootPropagation"] = lc.MS_SLAVE | lc.MS_REC
    box.config["mounts"].append(lc.mount(str(source), "/data", "bind", lc.MS_BIND | lc.MS_REC))
    try:
        with box.running() as there:
            proc.run("mount", "-t", "tmpfs", "tmpfs", source / "sub").check()
            assert "/data/sub" in mounts_of(there.pid)
            proc.run("umount", source / "sub").check()
    finally:
        proc.run("umount", "-R", source).check()


def test_root_propagation_shared(box, workdir):
    """RootfsPropagationSharedMount: what is mounted inside appears on the host."""
    source = workdir / "shared"
    source.mkdir()
    proc.run("mount", "--bind", source, source).check()
    proc.run("mount", "--make-shared", source).check()
    (source / "sub").mkdir()
    box.config["rootPropagation"] = lc.MS_SHARED | lc.MS_REC
    box.config["capabilities"].append("SYS_ADMIN")
    box.config["mounts"].append(lc.mount(str(source), "/data", "bind", lc.MS_BIND | lc.MS_REC))
    try:
        with box.running("mount -t tmpfs tmpfs /data/sub && echo done; sleep 1000") as there:
            assert there.background.readline() == "done"
            assert str(source / "sub") in mounts_of("self")
            proc.run("umount", source / "sub").check()
    finally:
        proc.run("umount", "-R", source).check()


@pytest.mark.parametrize("flags, kind", [(lc.MS_PRIVATE, "private"), (lc.MS_SLAVE, "slave"), (lc.MS_SHARED, "shared")])
def test_mount_propagation(box, workdir, flags, kind):
    """propagation_flags: each mount has its own."""
    source = workdir / "shared"
    source.mkdir()
    proc.run("mount", "--bind", source, source).check()
    proc.run("mount", "--make-shared", source).check()
    box.config["mounts"].append(lc.mount(str(source), "/data", "bind", lc.MS_BIND) | {"propagation_flags": [flags]})
    try:
        fields = next(l for l in box.output("cat /proc/self/mountinfo").splitlines() if " /data " in l).split(" - ")[0]
    finally:
        proc.run("umount", source).check()
    seen = "shared" if " shared:" in fields else "slave" if " master:" in fields else "private"
    # A slave that is in a peer group of its own is both.
    assert seen == kind or (kind == "slave" and " master:" in fields)


def test_readonly_root_and_pivot_dir(box):
    """readonlyfs, pivot_dir, no_pivot_root: the root is read-only, nothing of the host's tree is left."""
    box.config["readonlyfs"] = True
    box.config["pivot_dir"] = "/tmp"
    assert box.sh("touch /file").rc == 1
    assert box.output("ls -A /tmp") == ""
    assert "/tmp" not in [l.split()[4] for l in box.output("cat /proc/self/mountinfo").splitlines()]
    box.config["pivot_dir"] = "/nowhere"
    box.run("true").fails("pivot directory", rc=1)
    box.config["pivot_dir"] = ""
    box.config["no_pivot_root"] = True
    assert "bin" in box.output("ls /").split()


def test_symbolic_link_as_root(box, workdir):
    """rootfs: a path through a symbolic link is refused."""
    (workdir / "link").symlink_to(box.folder)
    box.config["rootfs"] = str(workdir / "link" / "rootfs")
    box.run("true").fails("symbolic link", rc=1)


# --- seccomp ----------------------------------------------------------------------------


def test_seccomp_no_chown(box):
    """SeccompNoChown: by name."""
    box.config["seccomp"] = {"default_action": lc.ALLOW, "syscalls": [rule("chown"), rule("fchownat"), rule("lchown")]}
    box.sh("touch /tmp/f; chown 1 /tmp/f").fails("not permitted")


def test_seccomp_numeric(box):
    """SeccompNoChown of the numeric generation: by number, with any errno."""
    box.config["seccomp"] = {"syscalls": [{"value": n, "action": 38} for n in (92, 94, 260)]}
    box.sh("touch /tmp/f; chown 1 /tmp/f").fails("not implemented")


def test_seccomp_deny_getcwd(box):
    """SeccompDenyGetcwd."""
    box.config["seccomp"] = {"default_action": lc.ALLOW, "syscalls": [rule("getcwd")]}
    box.run("/bin/busybox", "pwd").fails("not permitted")


# What is written to descriptor 1 goes through when the comparison of the descriptor with the value does not hold.
@pytest.mark.parametrize(
    "op, value, two, refused",
    [
        (lc.EQ, 1, 0, True), (lc.EQ, 2, 0, False), (lc.NE, 1, 0, False), (lc.NE, 2, 0, True), (lc.GT, 0, 0, True), (lc.GT, 1, 0, False),
        (lc.GE, 1, 0, True), (lc.GE, 2, 0, False), (lc.LT, 2, 0, True), (lc.LT, 1, 0, False), (lc.LE, 1, 0, True), (lc.LE, 0, 0, False),
        (lc.MASKED, 1, 1, True), (lc.MASKED, 2, 2, False),
    ],
)  # fmt: skip
def test_seccomp_write_conditional(box, op, value, two, refused):
    """SeccompPermitWriteConditional, SeccompDenyWriteConditional: every operator on an argument."""
    box.config["seccomp"] = {"default_action": lc.ALLOW, "architectures": ["amd64"], "syscalls": [rule("write", lc.ERRNO, (0, value, two, op))]}
    assert ("seen" not in box.sh("echo seen").out) == refused


# --- config and convert -----------------------------------------------------------------


def test_config_verb(box, workdir):
    """config: the template with flags, as a file that starts a container."""
    target = workdir / "made.json"
    flags = ("--rootfs", box.rootfs, "--hostname", "cask", "--bind", f"{workdir}:/mnt:ro", "--tmpfs", "/run", "--sysctl", "kernel.shmmni=4000", "--cgroup-path", box.cgroup)
    box.cooper("libcontainer", "config", "--file", target, *flags).check()
    made = json.loads(target.read_text())
    assert made["hostname"] == "cask" and made["sysctl"] == {"kernel.shmmni": "4000"}
    out = box.cooper("libcontainer", "exec", "--id", box.id, "--from", target, "sh", "-c", "hostname; cat /proc/sys/kernel/shmmni; touch /mnt/x; touch /run/y && echo run")
    assert out.check().out.split() == ["cask", "4000", "run"]
    assert made["mounts"][-1]["destination"] == "/run" and made["mounts"][-1]["flags"] == lc.SAFE
    box.cooper("libcontainer", "config", "--security", "most").fails("high, medium or low", rc=125)
    box.cooper("libcontainer", "config", "--bind", "/a").fails("SOURCE:DESTINATION", rc=125)


@pytest.mark.parametrize("level", ["high", "medium", "low"])
def test_security_levels(box, level):
    """--security: capabilities and refused calls of the three levels."""
    run = lambda script: box.cooper("libcontainer", "exec", "--id", box.id, "--rootfs", box.rootfs, "--cgroup-path", box.cgroup, "--security", level, "sh", "-c", script)  # noqa: E731
    bits = {"high": 3, "medium": 11, "low": 12}[level]
    assert bin(effective(run("cat /proc/self/status").check().out)).count("1") == bits
    run("mount -t tmpfs tmpfs /tmp").fails("denied")
    assert (run("touch /tmp/f && chmod 600 /tmp/f").rc == 0) == (level != "high")


def test_userns_flag(box):
    """--userns-root-uid: root inside is that user outside."""
    os.chmod(box.folder, 0o755)
    out = box.cooper("libcontainer", "exec", "--id", box.id, "--rootfs", box.rootfs, "--cgroup-path", box.cgroup, "--userns-root-uid", "1000", "cat", "/proc/self/uid_map")
    assert out.check().out.split()[:3] == ["0", "1000", "1"]


def test_convert_there_and_back(box, workdir, lc_engine, runtime):
    """convert: a container.json becomes a bundle that runs, and comes back the same; what is lost is printed."""
    box.config["networks"].append({"type": "veth", "name": "eth0", "address": "10.9.8.7/24"})
    bundle = workdir / "bundle"
    bundle.mkdir()
    said = lc_engine("convert", box.write(), bundle).check().out
    assert "/networks/1: the runtime specification has no networks" in said
    config = json.loads((bundle / "config.json").read_text())
    config["process"]["args"] = ["hostname"]
    (bundle / "config.json").write_text(json.dumps(config))
    assert runtime("run", "--bundle", bundle, box.id).check().out == "integration\n"
    back = json.loads(lc_engine("convert", bundle, "-").check().out)
    assert back["hostname"] == "integration" and back["mask_paths"] == box.config["mask_paths"]
    assert [n["type"] for n in back["namespaces"]] == [n["type"] for n in box.config["namespaces"]]
    lc_engine("convert", "--strict", box.file, workdir / "x.json").fails("have no counterpart", rc=1)
    assert not (workdir / "x.json").exists()
    lc_engine("convert", workdir / "nothing", "-").fails("nothing")


def test_unknown_members_are_named(box):
    """A member that the format does not have is warned about."""
    box.config["colour"] = "blue"
    assert "/colour" in box.run("true").check().err


def test_ids(box):
    """An id is taken once, and is a plain word."""
    with box.running():
        box.run("true").fails("exists", rc=125)
    box.cooper("libcontainer", "exec", "--id", "../x", "--from", box.write(), "true").fails("id", rc=125)
    assert box.cooper("libcontainer", "ls").check().out == ""
