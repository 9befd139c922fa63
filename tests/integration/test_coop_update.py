"""update and events: limits of a living container, as docker update and podman update change them."""

import json

import pytest

from lib import cgroups

pytestmark = [pytest.mark.needs("cgroup1-memory", "cgroup1-cpu", "cgroup1-pids"), pytest.mark.guest]

MIB = 1 << 20


@pytest.fixture
def box(runtime, bundle):
    """A running container with limits."""
    bundle.resources.update(memory={"limit": 64 * MIB, "swap": 64 * MIB}, cpu={"quota": 50000, "period": 100000}, pids={"limit": 50})
    with runtime.running(bundle.sh("sleep 1000")):
        bundle.file = lambda controller, name: cgroups.read(controller, bundle.linux["cgroupsPath"], name)
        yield bundle


@pytest.mark.parametrize(
    "flags,controller,name,content",
    [
        (["--memory", "80m"], "memory", "memory.limit_in_bytes", None),
        (["--memory", str(32 * MIB)], "memory", "memory.limit_in_bytes", str(32 * MIB)),
        (["--memory-reservation", "16M"], "memory", "memory.soft_limit_in_bytes", str(16 * MIB)),
        (["--cpu-quota", "30000"], "cpu", "cpu.cfs_quota_us", "30000"),
        (["--cpu-period", "200000"], "cpu", "cpu.cfs_period_us", "200000"),
        (["--cpu-quota", "-1"], "cpu", "cpu.cfs_quota_us", "-1"),
        (["--cpu-share", "300"], "cpu", "cpu.shares", "300"),
        (["--cpuset-cpus", "0"], "cpuset", "cpuset.cpus", "0"),
        (["--pids-limit", "33"], "pids", "pids.max", "33"),
        (["--pids-limit", "-1"], "pids", "pids.max", "max"),
        (["--pids-limit", "0"], "pids", "pids.max", "max"),  # below ociVersion 1.3, as at create
    ],
)
def test_flag(runtime, box, flags, controller, name, content):
    """Each flag writes its file and leaves the others alone."""
    if content is None:  # beyond memory+swap: refused, and nothing changes
        runtime("update", *flags, box.id).fails(rc=1)
        content = str(64 * MIB)
    else:
        runtime("update", *flags, box.id).check()
    assert box.file(controller, name) == content
    untouched = {("memory", "memory.limit_in_bytes"): str(64 * MIB), ("cpu", "cpu.cfs_quota_us"): "50000", ("pids", "pids.max"): "50"}
    for (other, file), value in untouched.items():
        if other != controller:
            assert box.file(other, file) == value


@pytest.mark.parametrize("steps", [[(128, 256), (256, 256), (32, 48), (64, 200), (48, 48)]])
def test_memory_order(runtime, box, steps):
    """memory and memory+swap up and down in one call each: written in the order that the kernel takes."""
    for memory, swap in steps:
        runtime("update", "--memory", memory * MIB, "--memory-swap", swap * MIB, box.id).check()
        assert box.file("memory", "memory.limit_in_bytes") == str(memory * MIB)
        assert box.file("memory", "memory.memsw.limit_in_bytes") == str(swap * MIB)


@pytest.mark.differs(runc="1.1: the kernel's words", crun="the kernel's words")
def test_memory_limit_below_what_is_used(runtime, box):
    """The error says what is used and what was wanted; the old limit stays."""
    runtime("exec", box.id, "sh", "-c", "head -c 20000000 /dev/zero > /dev/shm/x").check()
    used = int(box.file("memory", "memory.usage_in_bytes"))
    refused = runtime("update", "--memory", "4M", box.id).fails("cannot set a memory limit of 4.00 MiB (4194304 bytes): ", " are in use", "choose a limit", rc=1)
    said = int(refused.err.split(" bytes) are in use")[0].rsplit("(", 1)[1])
    assert 20000000 < said <= used + (2 << 20) and box.file("memory", "memory.limit_in_bytes") == str(64 * MIB)


@pytest.mark.differs(runc="1.1: the kernel's words", crun="the kernel's words")
def test_memory_limit_above_that_of_memory_and_swap(runtime, box):
    """The error names both limits, whichever was to change."""
    runtime("update", "--memory", "80M", box.id).fails("memory limit of 80.0 MiB", "limit of memory and swap is 64.0 MiB", "both", rc=1)
    runtime("update", "--memory-swap", "48M", box.id).fails("limit of memory and swap of 48.0 MiB", "memory limit is 64.0 MiB", "both", rc=1)


def test_same_values_again(runtime, box):
    """docker sends what is already set along with a change: that is no error."""
    for _ in range(2):
        resources = {"memory": {"limit": 64 * MIB, "swap": 64 * MIB}, "cpu": {"quota": 70000, "period": 100000}}
        runtime("update", "--resources", "-", box.id, stdin=json.dumps(resources)).check()
    assert box.file("cpu", "cpu.cfs_quota_us") == "70000"


def test_quota_and_period_together(runtime, box):
    """Quota and period change in one call, though each alone would be refused with the other's old value."""
    resources = {"cpu": {"quota": 1000000, "period": 1000000}}
    runtime("update", "--resources", "-", box.id, stdin=json.dumps(resources)).check()
    assert (box.file("cpu", "cpu.cfs_quota_us"), box.file("cpu", "cpu.cfs_period_us")) == ("1000000", "1000000")
    resources = {"cpu": {"quota": 2000, "period": 5000}}
    runtime("update", "--resources", "-", box.id, stdin=json.dumps(resources)).check()
    assert (box.file("cpu", "cpu.cfs_quota_us"), box.file("cpu", "cpu.cfs_period_us")) == ("2000", "5000")


def test_device_rules_stay(runtime, box):
    """update never touches device rules."""
    before = box.file("devices", "devices.list")
    runtime("update", "--pids-limit", "40", box.id).check()
    assert box.file("devices", "devices.list") == before


def test_realtime(runtime, box):
    """--cpu-rt-runtime and --cpu-rt-period; the parent, which had none, is given as much."""
    folder = cgroups.v1_hierarchies()["cpu"]
    if not (folder / "cpu.rt_runtime_us").exists():
        pytest.skip("this kernel has no real-time limits of groups")
    if cgroups.read("cpu", "/", "cpu.rt_runtime_us") == "0":
        pytest.skip("the root group has no real-time to give")
    runtime("update", "--cpu-rt-period", "900000", "--cpu-rt-runtime", "4000", box.id).check()
    assert box.file("cpu", "cpu.rt_period_us") == "900000"
    assert box.file("cpu", "cpu.rt_runtime_us") == "4000"
    runtime("update", "--cpu-rt-runtime", "2000", box.id).check()
    assert box.file("cpu", "cpu.rt_runtime_us") == "2000"
    runtime("update", "--cpu-rt-period", "1000", "--cpu-rt-runtime", "5000", box.id).fails(rc=1)
    assert [box.file("cpu", "cpu.rt_period_us"), box.file("cpu", "cpu.rt_runtime_us")] == ["900000", "2000"]
    # The old runtime is more than the new period.
    runtime("update", "--cpu-rt-period", "900000", "--cpu-rt-runtime", "30000", box.id).check()
    runtime("update", "--cpu-rt-period", "20000", "--cpu-rt-runtime", "500", box.id).check()
    assert [box.file("cpu", "cpu.rt_period_us"), box.file("cpu", "cpu.rt_runtime_us")] == ["20000", "500"]


@pytest.mark.differs(runc="the kernel refuses it", crun="the kernel refuses it")
def test_realtime_of_several(runtime, make_bundle, prefix):
    """Containers side by side have real-time each; the group above them is given what they need together, and no more."""
    top = cgroups.v1_hierarchies()["cpu"]
    if not (top / "cpu.rt_runtime_us").exists() or cgroups.read("cpu", "/", "cpu.rt_runtime_us") == "0":
        pytest.skip("this kernel has no real-time limits of groups, or the root group none to give")
    first, second = make_bundle(), make_bundle()
    parent = f"/{prefix}/rt{first.id}"
    runtimes = lambda: [int(cgroups.read("cpu", path, "cpu.rt_runtime_us")) for path in (parent, f"{parent}/a", f"{parent}/b")]
    try:
        for bundle, name in ((first, "a"), (second, "b")):
            bundle.linux["cgroupsPath"] = f"{parent}/{name}"
            bundle.resources["cpu"] = {"realtimePeriod": 1000000, "realtimeRuntime": 1000}
        with runtime.running(first.sh("sleep 1000")), runtime.running(second.sh("sleep 1000")):
            # The kernel adds parts of 1/2^20, rounded down.
            assert runtimes() in ([2000, 1000, 1000], [1999, 1000, 1000])
            runtime("update", "--cpu-rt-runtime", "20000", second.id).check()
            before = runtimes()
            assert before in ([21000, 1000, 20000], [20999, 1000, 20000])
            # 77 is no processor: what was raised for the new runtime goes back.
            runtime("update", "--cpu-rt-runtime", "30000", "--cpuset-cpus", "77", second.id).fails(rc=1)
            assert runtimes() == before
    finally:
        cgroups.remove(cgroups.named(f"rt{first.id}"))


@pytest.mark.differs(runc="the kernel refuses it", crun="the kernel refuses it")
def test_idle_and_shares(runtime, box):
    """A group that is idle takes no shares: they come after an end of idleness, and mean nothing at its beginning."""
    if not (cgroups.directory("cpu", box.linux["cgroupsPath"]) / "cpu.idle").exists():
        pytest.skip("this kernel has no cpu.idle")
    for _ in range(2):
        runtime("update", "--cpu-idle", "1", "--cpu-share", "512", box.id).check()
        assert box.file("cpu", "cpu.idle") == "1"
    for _ in range(2):
        runtime("update", "--cpu-idle", "0", "--cpu-share", "512", box.id).check()
        assert (box.file("cpu", "cpu.idle"), box.file("cpu", "cpu.shares")) == ("0", "512")


@pytest.mark.differs(runc="leaves what was written", crun="leaves what was written")
def test_what_the_kernel_forgets_is_taken_back_too(runtime, box):
    """The end of idleness resets the shares, and the file of the OOM killer says more than it takes: both are as before a failed update."""
    before = json.dumps({"cpu": {"shares": 512}})
    runtime("update", "--resources", "-", box.id, stdin=before).check()
    resources = {"cpu": {"idle": 1, "shares": 600}, "memory": {"disableOOMKiller": True}, "hugepageLimits": [{"pageSize": "3KB", "limit": 1}]}
    runtime("update", "--resources", "-", box.id, stdin=json.dumps(resources)).fails(rc=1)
    assert "oom_kill_disable 0" in box.file("memory", "memory.oom_control")
    assert box.file("cpu", "cpu.shares") == "512"
    runtime("update", "--cpu-idle", "1", "--pids-limit", "100", "--cpuset-cpus", "77", box.id).fails(rc=1)
    assert (box.file("cpu", "cpu.idle"), box.file("cpu", "cpu.shares"), box.file("pids", "pids.max")) == ("0", "512", "50")


@pytest.mark.differs(runc="leaves what was written", crun="leaves what was written")
def test_failed_update_is_taken_back(runtime, box):
    """When one value is refused those written before it have their old ones again."""
    runtime("update", "--cpu-quota", "30000", "--cpu-share", "300", "--memory", str(256 * MIB), "--memory-swap", str(128 * MIB), box.id).fails(rc=1)
    runtime("update", "--resources", "-", box.id, stdin=json.dumps({"cpu": {"quota": 30000}, "pids": {"limit": 20}, "memory": {"swappiness": 500}})).fails(rc=1)
    assert [box.file("cpu", "cpu.cfs_quota_us"), box.file("pids", "pids.max"), box.file("memory", "memory.limit_in_bytes")] == ["50000", "50", str(64 * MIB)]


@pytest.mark.differs(crun="the kernel's words")
def test_hierarchy(runtime, box, bundle):
    """Accounting without groups below, which kernels no longer have, is left out with a warning: the other values count."""
    text = json.dumps({"memory": {"useHierarchy": False}, "pids": {"limit": 20}})
    result = runtime("update", "--resources", "-", box.id, stdin=text).check()
    assert runtime.kind != "coop" or "useHierarchy" in result.err
    assert box.file("pids", "pids.max") == "20"
    assert box.file("memory", "memory.use_hierarchy") == "1"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"memory": 5}', '{"cpu": {"quota": "x"}}'])
def test_bad_resources(runtime, box, text):
    """Broken input is an error and changes nothing."""
    runtime("update", "--resources", "-", box.id, stdin=text).fails(rc=1)
    assert box.file("cpu", "cpu.cfs_quota_us") == "50000"


@pytest.mark.parametrize("flags", [["--memory", "lots"], ["--cpu-quota", "1.5"], ["--pids-limit", "x"], ["--kernel-memory", "x"], ["--kernel-memory-tcp", "1Q"], ["--memory", "99999999999999999999"]])
def test_bad_values(runtime, box, flags):
    """A value that is no number is an error."""
    runtime("update", *flags, box.id).fails(rc=1)


def test_empty_values(runtime, box):
    """An empty value is that of a flag which the caller left out."""
    runtime("update", "--memory", "", "--cpu-quota", "", "--pids-limit", "33", box.id).check()
    assert box.file("pids", "pids.max") == "33"
    assert box.file("cpu", "cpu.cfs_quota_us") == "50000"


@pytest.mark.differs(runc="1.1: the kernel's words", crun="the kernel's words")
def test_bad_value_is_named(runtime, box, workdir):
    """What the rules refuse is told by its place among the resources, not in a file that has nothing to do with it."""
    runtime("update", "--cpuset-cpus", "a", box.id).fails("resources: /cpu/cpus: 'a'", rc=1)


def test_resources_from_a_pipe(runtime, box):
    """--resources takes what a pipe brings."""
    runtime("update", "--resources", "/dev/stdin", box.id, stdin='{"pids": {"limit": 12}}').check()
    assert box.file("pids", "pids.max") == "12"


def test_stopped(runtime, bundle):
    """update of a stopped container is refused."""
    with runtime.running(bundle.args("true")):
        runtime.wait_status(bundle.id, "stopped")
        runtime("update", "--pids-limit", "10", bundle.id).fails(rc=1)


def test_holds_for_exec(runtime, box):
    """The new limit holds for processes that join later."""
    runtime("update", "--pids-limit", "1", box.id).check()
    assert runtime("exec", box.id, "sh", "-c", "sleep 0 & wait $!").rc != 0


def test_events_stats(runtime, box):
    """events --stats prints one JSON object with the usage of the cgroup."""
    document = json.loads(runtime("events", "--stats", box.id).check().out)
    assert (document["type"], document["id"]) == ("stats", box.id)
    data = document["data"]
    assert data["memory"]["usage"]["limit"] == 64 * MIB
    assert data["pids"]["current"] >= 1 and data["pids"]["limit"] == 50
    assert data["cpu"]["usage"]["total"] > 0


@pytest.mark.differs(runc="1.1 goes on")
def test_events_end(runtime, bundle):
    """events ends when the container does."""
    with runtime.running(bundle.sh("sleep 0.5")):
        runtime("events", "--interval", "100ms", bundle.id, timeout=10)
