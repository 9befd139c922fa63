"""cgroup v1: limits written to the files, membership, clean-up, refusals."""

import os
import pathlib
import time

import pytest

from lib import cgroups, proc

pytestmark = [pytest.mark.needs("cgroup1"), pytest.mark.guest]

MIB = 1 << 20


def written(runtime, bundle, controller, name):
    """Content of a cgroup file of the running container."""
    with runtime.running(bundle.sh("sleep 1000")):
        return cgroups.read(controller, bundle.linux["cgroupsPath"], name)


def swap_is_counted():
    """True when the kernel has the memory+swap file."""
    return (cgroups.v1_hierarchies()["memory"] / "memory.memsw.limit_in_bytes").exists()


# resources object, controller, file, expected content
FILES = [
    ({"memory": {"limit": 64 * MIB}}, "memory", "memory.limit_in_bytes", str(64 * MIB)),
    ({"memory": {"reservation": 32 * MIB}}, "memory", "memory.soft_limit_in_bytes", str(32 * MIB)),
    ({"memory": {"limit": 64 * MIB, "swap": 128 * MIB}}, "memory", "memory.memsw.limit_in_bytes", str(128 * MIB)),
    ({"memory": {"limit": 64 * MIB, "swappiness": 7}}, "memory", "memory.swappiness", "7"),
    ({"memory": {"limit": -1}}, "memory", "memory.limit_in_bytes", "9223372036854771712"),
    ({"cpu": {"shares": 512}}, "cpu", "cpu.shares", "512"),
    ({"cpu": {"quota": 20000}}, "cpu", "cpu.cfs_quota_us", "20000"),
    ({"cpu": {"quota": 20000, "period": 50000}}, "cpu", "cpu.cfs_period_us", "50000"),
    ({"cpu": {"quota": 500000, "period": 1000000}}, "cpu", "cpu.cfs_quota_us", "500000"),
    ({"cpu": {"quota": -1}}, "cpu", "cpu.cfs_quota_us", "-1"),
    ({"cpu": {"cpus": "0"}}, "cpuset", "cpuset.cpus", "0"),
    ({"cpu": {"mems": "0"}}, "cpuset", "cpuset.mems", "0"),
    ({"pids": {"limit": 77}}, "pids", "pids.max", "77"),
    ({"pids": {"limit": -1}}, "pids", "pids.max", "max"),
]  # fmt: skip


@pytest.mark.parametrize("resources,controller,name,content", FILES, ids=lambda v: v if isinstance(v, str) and "." in v else None)
def test_file(runtime, bundle, resources, controller, name, content):
    """Each resource is written to the file of its controller."""
    if not (cgroups.v1_hierarchies()[controller] / name).exists() and name not in ("pids.max",):
        pytest.skip(f"this kernel has no {name}")
    bundle.resources.update(resources)
    assert written(runtime, bundle, controller, name) == content


@pytest.mark.differs(runc="1.1 does not know burst", crun="1.8 does not know burst")
def test_cpu_burst(runtime, bundle):
    """cpu.burst goes to cfs_burst_us."""
    bundle.resources["cpu"] = {"quota": 20000, "period": 100000, "burst": 10000}
    assert written(runtime, bundle, "cpu", "cpu.cfs_burst_us") == "10000"


@pytest.mark.differs(runc="1.1 does not know idle on v1", crun="1.8 does not know idle on v1")
def test_cpu_idle(runtime, bundle):
    """cpu.idle goes to the file of that name."""
    bundle.resources["cpu"] = {"idle": 1}
    assert written(runtime, bundle, "cpu", "cpu.idle") == "1"


def test_oom_killer_off(runtime, bundle):
    """memory.disableOOMKiller writes oom_control."""
    bundle.resources["memory"] = {"limit": 64 * MIB, "disableOOMKiller": True}
    assert "oom_kill_disable 1" in written(runtime, bundle, "memory", "memory.oom_control")


def test_blkio_throttle(runtime, bundle):
    """Throttle rules of a block device are written for reads and writes, bytes and operations."""
    device = os.stat("/").st_dev
    major, minor = os.major(device), os.minor(device)
    if not os.path.exists(f"/sys/dev/block/{major}:{minor}"):
        pytest.skip("the root file system is not on a block device")
    kinds = {
        "throttleReadBpsDevice": "blkio.throttle.read_bps_device",
        "throttleWriteBpsDevice": "blkio.throttle.write_bps_device",
        "throttleReadIOPSDevice": "blkio.throttle.read_iops_device",
        "throttleWriteIOPSDevice": "blkio.throttle.write_iops_device",
    }
    bundle.resources["blockIO"] = {k: [{"major": major, "minor": minor, "rate": 1000000 + i}] for i, k in enumerate(kinds)}
    with runtime.running(bundle.sh("sleep 1000")):
        for i, name in enumerate(kinds.values()):
            assert cgroups.read("blkio", bundle.linux["cgroupsPath"], name) == f"{major}:{minor} {1000000 + i}"


def test_blkio_weight(runtime, bundle):
    """blockIO.weight goes to the weight file that the kernel has."""
    top = cgroups.v1_hierarchies()["blkio"]
    name = next((n for n in ("blkio.bfq.weight", "blkio.weight") if (top / n).exists()), None)
    if name is None:
        pytest.skip("this kernel has no blkio weight file")
    bundle.resources["blockIO"] = {"weight": 321}
    assert "321" in written(runtime, bundle, "blkio", name)


def test_membership(runtime, bundle):
    """The process is in the container's cgroup in every v1 hierarchy."""
    with runtime.running(bundle.sh("sleep 1000")) as state:
        paths = cgroups.of_process(state["pid"])
        for name in cgroups.v1_hierarchies():
            assert paths[name] == bundle.linux["cgroupsPath"], name


def test_membership_of_children(runtime, bundle):
    """Children and exec'd processes are in the same cgroup."""
    with runtime.running(bundle.sh("sleep 1000 & wait")):
        runtime("exec", "--detach", bundle.id, "sleep", "1000", stdio="null").check()
        proc.until(lambda: len(cgroups.processes(bundle.linux["cgroupsPath"])) == 3)


def test_member_before_the_program_runs(runtime, bundle):
    """From its first instruction the program is in its cgroup."""
    out = runtime.output(bundle.args("cat", "/proc/self/cgroup"))
    for line in out.splitlines():
        _, name, path = line.split(":", 2)
        if name:
            assert path == bundle.linux["cgroupsPath"], line


def test_removed(runtime, bundle):
    """After delete no cgroup of the container is left, whatever it made below."""
    bundle.mount_for("/sys/fs/cgroup")["options"].remove("ro")
    bundle.sh("mkdir -p /sys/fs/cgroup/memory/a/b /sys/fs/cgroup/pids/a && sleep 1000")
    with runtime.running(bundle):
        proc.until(lambda: cgroups.directory("pids", bundle.linux["cgroupsPath"] + "/a").exists())
        runtime("delete", "--force", bundle.id).check()
        assert cgroups.named(bundle.id) == []


def test_default_path(runtime, bundle):
    """Without cgroupsPath the runtime picks a cgroup that carries the id, and removes it."""
    del bundle.linux["cgroupsPath"]
    with runtime.running(bundle.sh("sleep 1000")) as state:
        assert bundle.id in cgroups.of_process(state["pid"])["pids"]
        assert cgroups.named(bundle.id)
    assert cgroups.named(bundle.id) == []


def test_relative_path(runtime, bundle, prefix):
    """A relative cgroupsPath works."""
    bundle.linux["cgroupsPath"] = f"{prefix}/{bundle.id}"
    with runtime.running(bundle.sh("sleep 1000")) as state:
        assert cgroups.of_process(state["pid"])["pids"].endswith(f"{prefix}/{bundle.id}")


def test_path_cannot_escape(runtime, bundle, prefix):
    """.. in cgroupsPath does not leave the cgroup hierarchy."""
    bundle.linux["cgroupsPath"] = f"/../../../../{prefix}/{bundle.id}"
    outside = [pathlib.Path("/") / prefix, pathlib.Path("/sys/fs") / prefix, pathlib.Path("/sys") / prefix]
    runtime.run(bundle)
    assert not [p for p in outside if p.exists()]


@pytest.mark.differs(runc="1.1 takes 0 for no limit", crun="1.8 takes 0 for no limit")
@pytest.mark.parametrize("version, limit", [("1.0.2-dev", "max"), ("1.2.1", "max"), ("1.3.0", "0")])
def test_pids_limit_of_zero(runtime, bundle, version, limit):
    """A limit of 0 is one since version 1.3 of the specification; before, callers write it for none."""
    bundle.config["ociVersion"] = version
    bundle.resources["pids"] = {"limit": 0}
    with runtime.created(bundle.args("true")):
        assert cgroups.read("pids", bundle.linux["cgroupsPath"], "pids.max") == limit


def test_pids_limit_is_enforced(runtime, bundle):
    """pids.limit stops fork."""
    bundle.resources["pids"] = {"limit": 20}
    count = int(runtime.output(bundle.args(bundle.probe("forks"), "100")))
    assert 15 <= count <= 19


def test_memory_limit_is_enforced(runtime, bundle):
    """A process that wants more than memory.limit is killed: status 137."""
    bundle.resources["memory"] = {"limit": 32 * MIB, "swap": 32 * MIB}
    probe = bundle.probe("hog")
    assert runtime.run(bundle.args(probe, "8")).check().out == "done\n"
    result = runtime.run(bundle.args(probe, "200"))
    assert result.rc == 137 and "the memory limit is 32.0 MiB" in result.err, result


@pytest.mark.parametrize("how", ["run", "run --detach", "create"])
@pytest.mark.differs(runc="fails to set the limit", crun="other words")
def test_memory_limit_without_room_for_a_start(runtime, bundle, workdir, how):
    """A limit too small for anything: the start fails, and says which limit killed it; nothing is left but what was created."""
    bundle.resources["memory"] = {"limit": 4096} | ({"swap": 4096} if how == "run" and swap_is_counted() else {})
    if how == "run":
        result = runtime.run(bundle)
    elif how == "create":
        result = runtime.create(bundle, output=workdir / "out")
        if result.rc == 0:
            result = runtime("start", bundle.id)
            runtime("delete", "--force", bundle.id).check()
    else:
        result = runtime.run_detached(bundle, output=workdir / "out")
    result.fails("killed by the kernel: the memory limit is 4.00 KiB (4096 bytes)", "choose a larger memory limit", rc=1)
    assert not runtime.has_state(bundle.id) and not cgroups.home(bundle.linux["cgroupsPath"]).exists()


@pytest.mark.differs(runc="fails to set the limit", crun="other words")
def test_memory_limit_of_less_than_a_page(runtime, bundle):
    """The kernel reads it as 0, which is a limit all the same, and the container's own."""
    bundle.resources["memory"] = {"limit": 1024}
    runtime.run(bundle).fails("killed by the kernel: the memory limit is less than a page", "choose a larger memory limit", rc=1)
    assert not runtime.has_state(bundle.id) and not cgroups.home(bundle.linux["cgroupsPath"]).exists()


def test_cpuset_is_enforced(runtime, bundle):
    """cpu.cpus limits the processors the process may run on."""
    bundle.resources["cpu"] = {"cpus": "0"}
    out = runtime.output(bundle.args("grep", "Cpus_allowed_list", "/proc/self/status"))
    assert out.split()[1] == "0"


def test_cpu_quota_is_enforced(runtime, bundle):
    """cpu.quota throttles the process."""
    bundle.resources["cpu"] = {"quota": 10000, "period": 100000}
    with runtime.running(bundle.sh("while :; do :; done")):
        time.sleep(0.5)
        stat = dict(l.split() for l in cgroups.read("cpu", bundle.linux["cgroupsPath"], "cpu.stat").splitlines())
        assert int(stat["nr_throttled"]) > 0


@pytest.mark.parametrize(
    "resources",
    [{"cpu": {"cpus": "4000"}}, {"cpu": {"mems": "200"}}, {"cpu": {"cpus": "zero"}}, {"cpu": {"quota": 1}}, {"cpu": {"quota": 20000, "period": 5}}],
)
def test_refused_values(runtime, bundle, resources):
    """A value that the kernel refuses is an error, and the cgroup is removed again."""
    bundle.resources.update(resources)
    runtime.run(bundle).fails(rc=1)
    assert cgroups.named(bundle.id) == []


@pytest.mark.differs(crun="ignores it")
def test_unified_without_v2_controllers(runtime, bundle):
    """linux.resources.unified on a machine with v1 controllers is an error, not silence."""
    bundle.resources["unified"] = {"memory.max": "100000000"}
    runtime.run(bundle).fails(rc=1)


@pytest.mark.differs(crun="1.8 waits for ever")
def test_frozen_target(runtime, bundle):
    """A container that would start in a frozen cgroup is refused with a clear error, and never waits for it."""
    folder = cgroups.directory("freezer", bundle.linux["cgroupsPath"])
    folder.mkdir(parents=True)
    try:
        (folder / "freezer.state").write_text("FROZEN")
        runtime.run(bundle, timeout=15).fails("froz", rc=1)
    finally:
        if folder.exists():
            (folder / "freezer.state").write_text("THAWED")
        runtime("delete", "--force", bundle.id)
        cgroups.remove(cgroups.named(bundle.id))


@pytest.mark.differs(runc="1.1 waits", crun="1.8 waits for ever")
def test_frozen_parent(runtime, bundle, prefix):
    """The same for a frozen parent."""
    parent = f"/{prefix}/frozen{bundle.id}"
    folder = cgroups.directory("freezer", parent)
    folder.mkdir(parents=True)
    bundle.linux["cgroupsPath"] = f"{parent}/{bundle.id}"
    try:
        (folder / "freezer.state").write_text("FROZEN")
        runtime.run(bundle, timeout=15).fails("froz", rc=1)
    finally:
        (folder / "freezer.state").write_text("THAWED")
        runtime("delete", "--force", bundle.id)
        cgroups.remove(cgroups.named(bundle.id) + cgroups.named(f"frozen{bundle.id}"))


@pytest.mark.differs(runc="1.1 warns only", crun="does not look")
def test_occupied_target(runtime, bundle, make_bundle):
    """A cgroup that already has processes is refused: two containers would share their limits and their end."""
    with runtime.running(bundle.sh("sleep 1000")):
        other = make_bundle()
        other.linux["cgroupsPath"] = bundle.linux["cgroupsPath"]
        runtime.run(other).fails(rc=1)
        assert runtime.status(bundle.id) == "running"


def test_parent_exists(runtime, bundle, prefix):
    """An empty existing cgroup is fine, its parent stays."""
    for name in ("memory", "pids"):
        cgroups.directory(name, bundle.linux["cgroupsPath"]).mkdir(parents=True, exist_ok=True)
    runtime.run(bundle).check()
    assert cgroups.directory("pids", f"/{prefix}").exists()
    assert cgroups.named(bundle.id) == []
