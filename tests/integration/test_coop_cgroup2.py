"""cgroup v2: limits written to the files, membership from birth, device filter, freezer, kill, delegation, refusals."""

import json
import os
import pathlib

import pytest

from lib import cgroups, proc

pytestmark = pytest.mark.needs("cgroup2")

MIB = 1 << 20
TOP = pathlib.Path("/sys/fs/cgroup")


def folder(bundle, *more):
    """Directory of the container's cgroup, or of one below it."""
    return TOP.joinpath(bundle.linux["cgroupsPath"].lstrip("/"), *more)


def read(bundle, name):
    """One cgroup file of the container."""
    return (folder(bundle) / name).read_text().strip()


# resources object, file, expected content
FILES = [
    ({"memory": {"limit": 64 * MIB}}, "memory.max", str(64 * MIB)),
    ({"memory": {"limit": -1}}, "memory.max", "max"),
    ({"memory": {"reservation": 32 * MIB}}, "memory.low", str(32 * MIB)),
    ({"memory": {"limit": 64 * MIB, "swap": 80 * MIB}}, "memory.swap.max", str(16 * MIB)),
    ({"memory": {"limit": 64 * MIB, "swap": 64 * MIB}}, "memory.swap.max", "0"),
    ({"memory": {"limit": 64 * MIB, "swap": -1}}, "memory.swap.max", "max"),
    ({"memory": {"limit": -1, "swap": 80 * MIB}}, "memory.swap.max", str(80 * MIB)),
    ({"cpu": {"shares": 1024}}, "cpu.weight", "100"),
    ({"cpu": {"shares": 2}}, "cpu.weight", "1"),
    ({"cpu": {"quota": 20000}}, "cpu.max", "20000 100000"),
    ({"cpu": {"quota": 20000, "period": 50000}}, "cpu.max", "20000 50000"),
    ({"cpu": {"quota": -1}}, "cpu.max", "max 100000"),
    ({"cpu": {"quota": 20000, "burst": 10000}}, "cpu.max.burst", "10000"),
    ({"cpu": {"idle": 1}}, "cpu.idle", "1"),
    ({"unified": {"cpu.idle": "1", "cpu.weight": "50"}}, "cpu.idle", "1"),
    ({"cpu": {"cpus": "0"}}, "cpuset.cpus", "0"),
    ({"cpu": {"mems": "0"}}, "cpuset.mems", "0"),
    ({"pids": {"limit": 77}}, "pids.max", "77"),
    ({"pids": {"limit": -1}}, "pids.max", "max"),
    ({"hugepageLimits": [{"pageSize": "2MB", "limit": 4 * MIB}]}, "hugetlb.2MB.max", str(4 * MIB)),
    ({"hugepageLimits": [{"pageSize": "2MB", "limit": 4 * MIB}]}, "hugetlb.2MB.rsvd.max", str(4 * MIB)),
    ({"unified": {"memory.high": str(48 * MIB)}}, "memory.high", str(48 * MIB)),
    ({"unified": {"memory.oom.group": "1"}}, "memory.oom.group", "1"),
    ({"memory": {"limit": 64 * MIB}, "unified": {"memory.max": str(80 * MIB)}}, "memory.max", str(80 * MIB)),
]  # fmt: skip


def test_files(runtime, make_bundle):
    """Each resource is written to its file."""
    wrong = []
    for resources, name, content in FILES:
        bundle = make_bundle()
        bundle.resources.update(resources)
        with runtime.running(bundle.sh("sleep 1000")):
            found = read(bundle, name)
        if found != content:
            wrong.append(f"{resources}: {name} is {found!r}, not {content!r}")
    assert not wrong, "\n".join(wrong)


def block_device():
    """major:minor of a whole disk."""
    for disk in sorted(pathlib.Path("/sys/block").iterdir()):
        if not disk.name.startswith(("loop", "ram", "zram")):
            return tuple(int(n) for n in (disk / "dev").read_text().strip().split(":"))
    pytest.skip("no disk")


def test_io_limits(runtime, bundle):
    """Throttle rules of a disk share one line of io.max, each with its own key."""
    major, minor = block_device()
    rules = {"throttleReadBpsDevice": "rbps", "throttleWriteBpsDevice": "wbps", "throttleReadIOPSDevice": "riops", "throttleWriteIOPSDevice": "wiops"}
    bundle.resources["blockIO"] = {name: [{"major": major, "minor": minor, "rate": 1000000 + i}] for i, name in enumerate(rules)}
    with runtime.running(bundle.sh("sleep 1000")):
        assert read(bundle, "io.max") == f"{major}:{minor} rbps=1000000 wbps=1000001 riops=1000002 wiops=1000003"
        resources = {"blockIO": {"throttleReadBpsDevice": [{"major": major, "minor": minor, "rate": 2000000}]}}
        runtime("update", "--resources", "-", bundle.id, stdin=json.dumps(resources)).check()
        assert read(bundle, "io.max") == f"{major}:{minor} rbps=2000000 wbps=1000001 riops=1000002 wiops=1000003"


@pytest.mark.parametrize(
    "resources,word",
    [
        ({"memory": {"limit": 64 * MIB, "swappiness": 7}}, "swappiness"),
        ({"memory": {"limit": 64 * MIB, "disableOOMKiller": True}}, "disableOOMKiller"),
        ({"memory": {"limit": 64 * MIB, "swap": 32 * MIB}}, "less than"),
        ({"cpu": {"realtimeRuntime": 1000}}, "realtimeRuntime"),
        ({"network": {"classID": 5}}, "classID"),
        ({"cpu": {"cpus": "4000"}}, "cpuset.cpus"),
        ({"cpu": {"quota": 1}}, "cpu.max"),
        ({"unified": {"no.such.file": "1"}}, "no.such.file"),
        ({"unified": {"memory.max": "lots"}}, "memory.max"),
        ({"unified": {"cgroup.procs": "1"}}, "cgroup.procs"),
        ({"unified": {"../x.y": "1"}}, "../x.y"),
    ],
)
def test_refused(runtime, bundle, resources, word):
    """What v2 cannot do, and values that the kernel refuses, are an error that names them; the cgroup is removed again."""
    bundle.resources.update(resources)
    runtime.run(bundle).fails(word, rc=1)
    assert cgroups.named(bundle.id) == []


def test_member_from_birth(runtime, bundle):
    """From its first instruction the program is in its cgroup, and exec'd processes join it."""
    path = bundle.linux["cgroupsPath"]
    assert runtime.output(bundle.args("cat", "/proc/self/cgroup")) == f"0::{path}\n"
    with runtime.running(bundle.sh("sleep 1000")) as state:
        assert cgroups.of_process(state["pid"]) == {"": path}
        assert runtime.exec(bundle.id, "cat", "/proc/self/cgroup").check().out == f"0::{path}\n"


def test_born_inside(runtime, bundle, workdir):
    """The init is cloned into its cgroup, not moved there."""
    bundle.save()
    log = workdir / "calls"
    trace = proc.run("strace", "-f", "-e", "trace=clone3,openat", "-o", log, *runtime.argv("run", "--bundle", bundle.path, bundle.id), env=runtime.environ)
    trace.check()
    calls = log.read_text()
    assert "CLONE_INTO_CGROUP" in calls
    assert "cgroup.procs" not in "".join(line for line in calls.splitlines() if "O_WRONLY" in line)


def test_removed(runtime, bundle):
    """After delete no cgroup of the container is left, whatever it made below."""
    bundle.mount_for("/sys/fs/cgroup")["options"].remove("ro")
    bundle.namespace("cgroup")
    bundle.sh("mkdir -p /sys/fs/cgroup/a/b /sys/fs/cgroup/c && echo $$ >/sys/fs/cgroup/a/b/cgroup.procs && sleep 1000")
    with runtime.running(bundle):
        proc.until(lambda: folder(bundle, "a", "b").exists() and (folder(bundle, "a", "b") / "cgroup.procs").read_text())
        runtime("delete", "--force", bundle.id).check()
        assert cgroups.named(bundle.id) == []


def test_default_path(runtime, bundle):
    """Without cgroupsPath the runtime picks a cgroup that carries the id, and removes it."""
    del bundle.linux["cgroupsPath"]
    with runtime.running(bundle.sh("sleep 1000")) as state:
        assert bundle.id in cgroups.of_process(state["pid"])[""]
    assert cgroups.named(bundle.id) == []


def test_controllers_are_enabled_on_the_way(runtime, bundle, prefix):
    """Parents that hand down nothing are made to, and new parents are made."""
    outer = TOP / prefix / f"outer{bundle.id}"
    outer.mkdir(parents=True)
    bundle.linux["cgroupsPath"] = f"/{prefix}/{outer.name}/middle/{bundle.id}"
    bundle.resources.update(memory={"limit": 64 * MIB}, pids={"limit": 30}, cpu={"quota": 20000, "cpus": "0"})
    try:
        with runtime.running(bundle.sh("sleep 1000")):
            assert read(bundle, "memory.max") == str(64 * MIB)
            assert (read(bundle, "pids.max"), read(bundle, "cpu.max"), read(bundle, "cpuset.cpus")) == ("30", "20000 100000", "0")
    finally:
        cgroups.remove(cgroups.named(outer.name) + [str(outer)])


def test_parent_with_processes(runtime, bundle, prefix):
    """A parent that has processes hands nothing down and stays what it is: a limit is refused in words, no limit works."""
    parent = TOP / prefix / f"busy{bundle.id}"
    parent.mkdir(parents=True)
    bundle.linux["cgroupsPath"] = f"/{prefix}/{parent.name}/{bundle.id}"
    with proc.Background("sleep", "1000") as sleeper:
        (parent / "cgroup.procs").write_text(str(sleeper.pid))
        try:
            for name in ("memory", "pids"):
                bundle.resources[name] = {"limit": 64 * MIB}
                runtime.run(bundle).fails(name, parent.name, "processes of its own", rc=1)
                del bundle.resources[name]
            runtime.run(bundle).check()
            assert (parent / "cgroup.type").read_text() == "domain\n"
        finally:
            (TOP / "cgroup.procs").write_text(str(sleeper.pid))
            cgroups.remove(cgroups.named(parent.name) + [str(parent)])


def test_threaded_parent(runtime, bundle, prefix):
    """A parent of type threaded takes no processes of its own kind: refused with a sentence that says so, and nothing is left."""
    parent = TOP / prefix / f"thr{bundle.id}"
    (parent / "inner").mkdir(parents=True)
    (parent / "inner" / "cgroup.type").write_text("threaded")
    bundle.linux["cgroupsPath"] = f"/{prefix}/{parent.name}/inner/{bundle.id}"
    try:
        runtime.run(bundle).fails("threaded", rc=1)
        assert not (parent / "inner" / bundle.id).exists()
    finally:
        cgroups.remove(cgroups.named(parent.name) + [str(parent)])


def test_threads_inside(runtime, bundle):
    """A container with threaded groups below its own is listed, paused and killed as any other."""
    bundle.mount_for("/sys/fs/cgroup")["options"].remove("ro")
    bundle.namespace("cgroup").namespace("pid", absent=True)
    bundle.drop_mount("/proc").add_mount("/proc", "bind", "/proc", "rbind")
    bundle.sh("mkdir /sys/fs/cgroup/t && echo threaded >/sys/fs/cgroup/t/cgroup.type && echo $$ >/sys/fs/cgroup/t/cgroup.threads && sleep 1000 & sleep 1000")
    with runtime.running(bundle) as state:
        proc.until(lambda: folder(bundle, "t").exists() and (folder(bundle, "t") / "cgroup.threads").read_text())
        assert state["pid"] in json.loads(runtime("ps", "--format", "json", bundle.id).check().out)
        runtime("pause", bundle.id).check()
        runtime("resume", bundle.id).check()
        runtime("kill", "--all", bundle.id, "KILL").check()
        runtime.wait_status(bundle.id, "stopped")
        proc.until(lambda: read(bundle, "cgroup.events").startswith("populated 0"))


def test_exec_where_controllers_are_handed_down(runtime, bundle):
    """When the init has moved below its cgroup and handed controllers on, exec joins it there."""
    bundle.mount_for("/sys/fs/cgroup")["options"].remove("ro")
    bundle.namespace("cgroup")
    script = "cd /sys/fs/cgroup && mkdir init && echo 1 >init/cgroup.procs && echo +pids +memory >cgroup.subtree_control && sleep 1000"
    with runtime.running(bundle.sh(script)):
        proc.until(lambda: "memory" in read(bundle, "cgroup.subtree_control"))
        out = runtime.exec(bundle.id, "cat", "/proc/self/cgroup").check().out
        assert out == "0::/init\n"


def test_exec_where_the_group_is_gone(runtime, bundle, prefix):
    """When somebody has moved the init and removed its group, exec joins it where it is."""
    elsewhere = TOP / prefix / f"moved{bundle.id}"
    with runtime.running(bundle.sh("sleep 1000")) as state:
        elsewhere.mkdir()
        try:
            (elsewhere / "cgroup.procs").write_text(str(state["pid"]))
            proc.until(lambda: read(bundle, "cgroup.events").startswith("populated 0"))
            folder(bundle).rmdir()
            runtime.exec(bundle.id, "true").check()
            with runtime.background("exec", bundle.id, "sleep", "1000"):
                proc.until(lambda: len((elsewhere / "cgroup.procs").read_text().split()) == 2)
        finally:
            (elsewhere / "cgroup.kill").write_text("1")
            runtime("delete", "--force", bundle.id)
            proc.until(lambda: "populated 0" in (elsewhere / "cgroup.events").read_text())
            elsewhere.rmdir()


def test_pids_limit_is_enforced(runtime, bundle):
    """pids.limit stops fork."""
    bundle.resources["pids"] = {"limit": 20}
    assert 15 <= int(runtime.output(bundle.args(bundle.probe("forks"), "100"))) <= 19


def test_pids_limit_of_zero(runtime, bundle):
    """From version 1.3 on a limit of 0 reaches the kernel: the init is moved in, and cannot fork."""
    bundle.config["ociVersion"] = "1.3.0"
    bundle.resources["pids"] = {"limit": 0}
    with runtime.running(bundle.args("sleep", "1000")):
        assert read(bundle, "pids.max") == "0"
        assert runtime.exec(bundle.id, "sh", "-c", "sleep 0 & wait $!").rc != 0


def test_memory_limit_is_enforced(runtime, bundle):
    """A process that wants more than memory.limit is killed: status 137."""
    bundle.resources["memory"] = {"limit": 32 * MIB, "swap": 32 * MIB}
    probe = bundle.probe("hog")
    assert runtime.run(bundle.args(probe, "8")).check().out == "done\n"
    assert runtime.run(bundle.args(probe, "200")).rc == 137


def test_tiny_memory_limit(runtime, bundle):
    """A memory limit too small to live in ends in an error that names it, not in a hang."""
    bundle.resources["memory"] = {"limit": 4096, "swap": 4096}
    result = runtime.run(bundle)
    assert result.rc == 1 and result.err.count("\n") == 1 and "the memory limit is 4.00 KiB" in result.err, result
    assert cgroups.named(bundle.id) == []


@pytest.fixture
def nodes(bundle):
    """The bundle makes two nodes: /disk, which a rule lets read, and /line, a serial line, which none does."""
    major, minor = block_device()
    bundle.writable().caps("CAP_MKNOD")
    bundle.resources["devices"] = [{"allow": False, "access": "rwm"}, {"allow": True, "type": "b", "major": major, "minor": minor, "access": "r"}]
    bundle.making = f"mknod /disk b {major} {minor} && mknod /line c 4 64"
    return bundle


READ_DISK, WRITE_DISK, OPEN_LINE = "head -c 1 /disk >/dev/null", ": >/disk", ": </line"


def test_devices(runtime, nodes):
    """The filter refuses what no rule allows, to root as well, and allows what one does."""
    script = f"{nodes.making}; {READ_DISK} && echo read; ({WRITE_DISK}) 2>&1; ({OPEN_LINE}) 2>&1; head -c 1 /dev/zero | wc -c"
    lines = runtime.output(nodes.sh(script)).splitlines()
    assert (lines[0], lines[-1]) == ("read", "1")
    assert [line.split(": ")[-1] for line in lines[1:-1]] == ["Operation not permitted"] * 2


def test_devices_of_a_living_container(runtime, nodes):
    """Processes that join later are under the filter too, and update of another resource leaves it as it is."""
    with runtime.running(nodes.sh(f"{nodes.making}; sleep 1000")):
        proc.until(lambda: (nodes.rootfs / "line").exists())
        for _ in range(2):
            runtime.exec(nodes.id, "sh", "-c", READ_DISK).check()
            runtime.exec(nodes.id, "sh", "-c", OPEN_LINE).fails("not permitted")
            runtime("update", "--pids-limit", "40", nodes.id).check()


@pytest.mark.parametrize(
    "flags,name,content",
    [
        (["--memory", str(32 * MIB)], "memory.max", str(32 * MIB)),
        (["--memory", str(32 * MIB), "--memory-swap", str(48 * MIB)], "memory.swap.max", str(16 * MIB)),
        (["--memory-swap", str(80 * MIB)], "memory.swap.max", str(16 * MIB)),
        (["--memory", "-1", "--memory-swap", str(80 * MIB)], "memory.swap.max", str(80 * MIB)),
        (["--memory-reservation", "16M"], "memory.low", str(16 * MIB)),
        (["--cpu-quota", "30000"], "cpu.max", "30000 100000"),
        (["--cpu-period", "200000"], "cpu.max", "50000 200000"),
        (["--cpu-quota", "-1"], "cpu.max", "max 100000"),
        (["--cpu-share", "1024"], "cpu.weight", "100"),
        (["--cpuset-cpus", "0"], "cpuset.cpus", "0"),
        (["--pids-limit", "33"], "pids.max", "33"),
        (["--pids-limit", "-1"], "pids.max", "max"),
    ],
)
def test_update(runtime, bundle, flags, name, content):
    """Each flag writes its file and leaves the others alone."""
    bundle.resources.update(memory={"limit": 64 * MIB, "swap": 64 * MIB}, cpu={"quota": 50000, "period": 100000}, pids={"limit": 50})
    before = {"memory.max": str(64 * MIB), "memory.swap.max": "0", "cpu.max": "50000 100000", "pids.max": "50"}
    with runtime.running(bundle.sh("sleep 1000")):
        runtime("update", *flags, bundle.id).check()
        assert read(bundle, name) == content
        for other, value in before.items():
            if other.split(".")[0] != name.split(".")[0]:
                assert read(bundle, other) == value


def test_failed_update_is_taken_back(runtime, bundle):
    """One refused value of an update, and all others are as before."""
    bundle.resources.update(memory={"limit": 64 * MIB}, pids={"limit": 50})
    resources = {"memory": {"limit": 80 * MIB}, "pids": {"limit": 7}, "unified": {"memory.high": "lots"}}
    with runtime.running(bundle.sh("sleep 1000")):
        runtime("update", "--resources", "-", bundle.id, stdin=json.dumps(resources)).fails("memory.high", rc=1)
        assert (read(bundle, "memory.max"), read(bundle, "pids.max")) == (str(64 * MIB), "50")


def test_what_an_update_takes_back(runtime, bundle):
    """Lines of files with a line per device are as before, and so is the weight, which the kernel forgets; processors and nodes too.

    Their lists were empty, which the kernel does not take from a group with processes.
    """
    major, minor = block_device()
    bundle.resources["cpu"] = {"shares": 512}
    names = ("cpuset.cpus.effective", "cpuset.mems.effective", "cpu.idle", "cpu.weight", "io.max", "pids.max")
    resources = {
        "cpu": {"cpus": "0", "mems": "0", "idle": 1},
        "unified": {"io.max": f"{major}:{minor} rbps=1000000", "pids.max": "44", "zz.no": "1"},
    }
    with runtime.running(bundle.sh("sleep 1000")):
        before = [read(bundle, name) for name in names]
        assert before[4] == ""
        runtime("update", "--resources", "-", bundle.id, stdin=json.dumps(resources)).fails("zz.no", rc=1)
        assert [read(bundle, name) for name in names] == before


def test_idle_and_weight(runtime, bundle):
    """A group that is idle takes no weight: it comes after an end of idleness, and means nothing at its beginning."""
    with runtime.running(bundle.sh("sleep 1000")):
        for _ in range(2):
            runtime("update", "--cpu-idle", "1", "--cpu-share", "512", bundle.id).check()
            assert read(bundle, "cpu.idle") == "1"
        for _ in range(2):
            runtime("update", "--cpu-idle", "0", "--cpu-share", "1024", bundle.id).check()
            assert (read(bundle, "cpu.idle"), read(bundle, "cpu.weight")) == ("0", "100")


def test_check_before_update(runtime, bundle):
    """checkBeforeUpdate refuses a limit below what is in use."""
    bundle.resources["memory"] = {"limit": 256 * MIB}
    with runtime.running(bundle.sh("head -c 40000000 /dev/zero >/dev/shm/x; sleep 1000")):
        proc.until(lambda: int(read(bundle, "memory.current")) > 40000000)
        resources = {"memory": {"limit": 8 * MIB, "checkBeforeUpdate": True}}
        runtime("update", "--resources", "-", bundle.id, stdin=json.dumps(resources)).fails("usage", rc=1)
        assert read(bundle, "memory.max") == str(256 * MIB)


def test_pause_and_resume(runtime, bundle):
    """pause freezes the cgroup and everything below it, resume thaws it; kill reaches a paused container."""
    with runtime.running(bundle.sh("sleep 1000 & wait")):
        runtime("pause", bundle.id).check()
        assert "frozen 1" in read(bundle, "cgroup.events") and runtime.status(bundle.id) == "paused"
        runtime.exec(bundle.id, "true").fails("paused", rc=255)
        runtime("resume", bundle.id).check()
        assert "frozen 0" in read(bundle, "cgroup.events") and runtime.status(bundle.id) == "running"
        runtime("pause", bundle.id).check()
        runtime("kill", bundle.id, "KILL").check()
        runtime.wait_status(bundle.id, "stopped")


def test_frozen_parent(runtime, bundle, prefix):
    """A start below a frozen parent is refused with a clear error, and never waits for it."""
    parent = TOP / prefix / f"frozen{bundle.id}"
    parent.mkdir(parents=True)
    bundle.linux["cgroupsPath"] = f"/{prefix}/{parent.name}/{bundle.id}"
    try:
        (parent / "cgroup.freeze").write_text("1")
        runtime.run(bundle).fails("frozen", rc=1)
    finally:
        (parent / "cgroup.freeze").write_text("0")
        cgroups.remove(cgroups.named(parent.name) + [str(parent)])


def test_occupied_target(runtime, bundle, make_bundle):
    """A cgroup that already has processes is refused."""
    with runtime.running(bundle.sh("sleep 1000")):
        other = make_bundle()
        other.linux["cgroupsPath"] = bundle.linux["cgroupsPath"]
        runtime.run(other).fails("not empty", rc=1)
        assert runtime.status(bundle.id) == "running"


def owners(bundle, *names):
    """Who has the files of the container's cgroup."""
    return [os.stat(folder(bundle) / name).st_uid for name in names]


# Processes of exec may still be in the group, which then hands nothing on.
DIVIDE = "cd /sys/fs/cgroup && mkdir sub && echo 1 >sub/cgroup.procs && until echo +memory >cgroup.subtree_control; do sleep 0.05; done && cat sub/memory.max"


@pytest.mark.needs("userns")
def test_delegation(runtime, bundle):
    """With a user namespace, a cgroup namespace and a writable mount the container's root owns its cgroup, and no limit of it; exec goes on working."""
    bundle.userns().namespace("cgroup")
    bundle.mount_for("/sys/fs/cgroup")["options"].remove("ro")
    bundle.resources["memory"] = {"limit": 64 * MIB}
    with runtime.running(bundle.sh("until [ -e /dev/shm/go ]; do sleep 0.05; done; " + DIVIDE + "; sleep 1000")):
        assert owners(bundle, ".", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads") == [100000] * 4
        assert owners(bundle, "memory.max", "cgroup.freeze") == [0, 0]
        assert runtime.exec(bundle.id, "cat", "/proc/self/cgroup").check().out == "0::/\n"
        runtime.exec(bundle.id, "sh", "-c", "echo 1 >/sys/fs/cgroup/memory.max").fails("denied")
        runtime.exec(bundle.id, "touch", "/dev/shm/go").check()
        proc.until(lambda: "memory" in read(bundle, "cgroup.subtree_control"))
        assert runtime.exec(bundle.id, "cat", "/proc/self/cgroup").check().out == "0::/sub\n"


def test_delegation_to_a_user(runtime, bundle):
    """Without a user namespace the cgroup is that of the process's user."""
    bundle.namespace("cgroup")
    bundle.mount_for("/sys/fs/cgroup")["options"].remove("ro")
    bundle.process["user"] = {"uid": 1234, "gid": 1234}
    assert runtime.output(bundle.sh(DIVIDE + "; cat /proc/self/cgroup")).endswith("0::/sub\n")


@pytest.mark.needs("userns")
@pytest.mark.parametrize("read_only,namespace", [(True, True), (False, False)])
def test_no_delegation(runtime, bundle, read_only, namespace):
    """A read-only mount, and a mount that shows the cgroups of others too, hand nothing over."""
    bundle.userns()
    if namespace:
        bundle.namespace("cgroup")
    if not read_only:
        bundle.mount_for("/sys/fs/cgroup")["options"].remove("ro")
    with runtime.running(bundle.sh("sleep 1000")):
        assert owners(bundle, ".", "cgroup.procs") == [0, 0]


def test_mount(runtime, bundle):
    """The cgroup mount is the v2 tree with the container's cgroup at its top, read-only."""
    bundle.namespace("cgroup")
    out = runtime.output(bundle.sh("cat /sys/fs/cgroup/cgroup.procs; grep ' /sys/fs/cgroup ' /proc/self/mountinfo; mkdir /sys/fs/cgroup/x 2>/dev/null || echo read-only"))
    lines = out.splitlines()
    assert lines[0] == "1" and lines[-1] == "read-only"
    assert " cgroup2 " in lines[-2] and lines[-2].split()[3] == "/"


def test_events_stats(runtime, bundle):
    """events --stats prints one JSON object with the usage of the cgroup."""
    bundle.resources.update(memory={"limit": 64 * MIB}, pids={"limit": 50})
    with runtime.running(bundle.sh("sleep 1000")):
        data = json.loads(runtime("events", "--stats", bundle.id).check().out)["data"]
    assert data["memory"]["usage"]["limit"] == 64 * MIB and data["memory"]["usage"]["usage"] > 0
    assert data["pids"]["current"] >= 1 and data["pids"]["limit"] == 50
    assert data["cpu"]["usage"]["total"] > 0


def total(bundle, controller, line):
    """Microseconds of stalls in a pressure file."""
    return next(int(text.rsplit("total=")[1]) for text in read(bundle, f"{controller}.pressure").splitlines() if text.startswith(line))


@pytest.mark.needs("psi")
def test_pressure(runtime, bundle):
    """events --stats has the pressure of CPU, memory and disks, as the files of the cgroup say it."""
    bundle.resources["cpu"] = {"quota": 5000, "period": 20000}
    with runtime.running(bundle.sh("while :; do :; done & while :; do :; done")):
        proc.until(lambda: total(bundle, "cpu", "some") > 0, what="a stall")
        before = total(bundle, "cpu", "some")
        data = json.loads(runtime("events", "--stats", bundle.id).check().out)["data"]
        assert before <= data["cpu"]["psi"]["some"]["total"] <= total(bundle, "cpu", "some")
        for part in ("cpu", "memory", "blkio"):
            for line in ("some", "full"):
                assert set(data[part]["psi"][line]) == {"avg10", "avg60", "avg300", "total"}
