"""Where a process runs and takes its memory: memoryPolicy, execCPUAffinity, intelRdt, scheduler."""

import ctypes
import errno
import json
import os
import pathlib
import re

import pytest

from lib import proc

CPUS = os.cpu_count() or 1


@pytest.mark.parametrize(
    "policy,shown",
    [
        ({"mode": "MPOL_DEFAULT"}, "mode=0x0 nodes=0x0"),
        ({"mode": "MPOL_BIND", "nodes": "0"}, "mode=0x2 nodes=0x1"),
        ({"mode": "MPOL_PREFERRED", "nodes": "0"}, "mode=0x1 nodes=0x1"),
        ({"mode": "MPOL_INTERLEAVE", "nodes": "0-0", "flags": ["MPOL_F_STATIC_NODES"]}, "mode=0x8003 nodes=0x1"),
        ({"mode": "MPOL_LOCAL"}, "mode=0x4 nodes=0x0"),
        ({"mode": "MPOL_PREFERRED_MANY", "nodes": "0", "flags": ["MPOL_F_RELATIVE_NODES"]}, "mode=0x4005 nodes=0x1"),
        ({"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_NUMA_BALANCING"]}, "mode=0x2002 nodes=0x1"),
        ({"mode": "MPOL_WEIGHTED_INTERLEAVE", "nodes": "0"}, "mode=0x6 nodes=0x1"),
    ],
)
def test_memory_policy(runtime, bundle, policy, shown):
    """linux.memoryPolicy is the policy of the process, and of one that exec adds."""
    probe = bundle.probe("mempolicy")
    if runtime.output(bundle.args(probe)).startswith("mode=0xffffffff"):
        pytest.skip("the kernel has no memory policies")
    bundle.linux["memoryPolicy"] = policy
    result = runtime.run(bundle.args(probe))
    if result.rc != 0 and policy["mode"] == "MPOL_WEIGHTED_INTERLEAVE":
        pytest.skip("the kernel is older than 6.9")
    assert result.check().out.strip() == shown
    if policy["mode"] == "MPOL_BIND":
        with runtime.running(bundle.args("sleep", "1000")):
            assert runtime("exec", bundle.id, probe).check().out.strip() == shown


def test_memory_policy_of_a_missing_node(runtime, bundle):
    """A node that the machine does not have is an error that says what was asked for."""
    bundle.linux["memoryPolicy"] = {"mode": "MPOL_BIND", "nodes": "1000"}
    result = runtime.run(bundle).fails("MPOL_BIND", rc=1)
    assert "no_such" not in result.err


@pytest.mark.parametrize(
    "policy,pointer",
    [
        ({"mode": "MPOL_NONE"}, "/linux/memoryPolicy/mode"),
        ({"mode": "MPOL_BIND"}, "/linux/memoryPolicy/nodes"),
        ({"mode": "MPOL_BIND", "nodes": "x"}, "/linux/memoryPolicy/nodes"),
        ({"mode": "MPOL_LOCAL", "nodes": "0"}, "/linux/memoryPolicy/nodes"),
        ({"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_X"]}, "/linux/memoryPolicy/flags/0"),
        ({"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES", "MPOL_F_RELATIVE_NODES"]}, "/linux/memoryPolicy/flags"),
        ({"nodes": "0"}, "mode"),
    ],
)
def test_bad_memory_policy(runtime, bundle, policy, pointer):
    """What no kernel would take is refused with its place."""
    bundle.linux["memoryPolicy"] = policy
    runtime.run(bundle).fails(pointer, rc=1)


def allowed(text):
    """Cpus_allowed_list of a /proc/PID/status."""
    return next(l.split()[1] for l in text.splitlines() if l.startswith("Cpus_allowed_list"))


class TestExecAffinity:
    """process.execCPUAffinity is for exec only."""

    def test_final(self, runtime, bundle):
        """The final affinity is that of the process."""
        bundle.process["execCPUAffinity"] = {"initial": "0", "final": str(CPUS - 1)}
        with runtime.running(bundle.sh("grep Cpus /proc/self/status; sleep 1000")) as state:
            with open(f"/proc/{state['pid']}/status", encoding="utf-8") as file:
                own = allowed(file.read())
            with open("/proc/self/status", encoding="utf-8") as file:
                assert own == allowed(file.read())
            assert allowed(runtime("exec", bundle.id, "cat", "/proc/self/status").check().out) == str(CPUS - 1)

    def test_of_a_process_document(self, runtime, bundle, workdir):
        """exec --process brings its own."""
        with runtime.running(bundle.sh("sleep 1000")):
            process = {**bundle.process, "args": ["cat", "/proc/self/status"], "execCPUAffinity": {"final": "0"}}
            (workdir / "process.json").write_text(json.dumps(process))
            assert allowed(runtime("exec", "--process", workdir / "process.json", bundle.id).check().out) == "0"

    @pytest.mark.parametrize("affinity", [{"final": "x"}, {"initial": "3-1"}])
    def test_malformed(self, runtime, bundle, affinity):
        """No list of processors."""
        bundle.process["execCPUAffinity"] = affinity
        runtime.run(bundle).fails("/process/execCPUAffinity/", rc=1)

    def test_missing_processor(self, runtime, bundle):
        """A processor that the machine does not have fails the exec, not the container."""
        bundle.process["execCPUAffinity"] = {"final": "60000"}
        with runtime.running(bundle.sh("sleep 1000")):
            runtime("exec", bundle.id, "true").fails("final CPU affinity", "60000", rc=255)
            assert runtime.status(bundle.id) == "running"


@pytest.mark.skipif(os.path.exists("/sys/fs/resctrl/schemata"), reason="this machine has resctrl")
def test_intel_rdt_elsewhere(runtime, bundle):
    """Without a resctrl file system intelRdt is an error that says so, and nothing is left."""
    bundle.linux["intelRdt"] = {"l3CacheSchema": "L3:0=f"}
    runtime.run(bundle).fails("intelRdt", "/sys/fs/resctrl", rc=1)


@pytest.mark.skipif(os.path.exists("/sys/fs/resctrl/schemata"), reason="this machine has resctrl")
@pytest.mark.parametrize(
    "flags,words",
    [
        (["--l3-cache-schema", "L3:0=f"], ["intelRdt", "/sys/fs/resctrl"]),
        (["--mem-bw-schema", "MB:0=20", "--pids-limit", "30"], ["intelRdt", "/sys/fs/resctrl"]),
        (["--l3-cache-schema", "MB:0=20"], ["--l3-cache-schema", "MB:0=20"]),
        (["--mem-bw-schema", "L3:0=f"], ["--mem-bw-schema", "L3:0=f"]),
        (["--mem-bw-schema", ""], ["--mem-bw-schema"]),
    ],
)
def test_update_of_shares(runtime, bundle, flags, words):
    """update of cache and bandwidth says what is wrong with the words, or that there is no resctrl; nothing else changes then."""
    bundle.resources["pids"] = {"limit": 50}
    with runtime.running(bundle.sh("sleep 1000")):
        runtime("update", *flags, bundle.id).fails(*words, rc=1)
        assert json.loads(runtime("events", "--stats", bundle.id).check().out)["data"]["pids"]["limit"] == 50


@pytest.mark.parametrize("rdt,pointer", [({"closID": "a/b"}, "/linux/intelRdt/closID"), ({"schemata": ["L3"]}, "/linux/intelRdt/schemata/0"), ({"memBwSchema": "L3:0=1"}, "/linux/intelRdt/memBwSchema")])
def test_bad_intel_rdt(runtime, bundle, rdt, pointer):
    """Wrong members are refused with their place."""
    bundle.linux["intelRdt"] = rdt
    runtime.run(bundle).fails(pointer, rc=1)


def test_deadline_scheduler(runtime, bundle):
    """SCHED_DEADLINE reaches the kernel, or the kernel's refusal the caller."""
    bundle.process["scheduler"] = {"policy": "SCHED_DEADLINE", "runtime": 1000000, "deadline": 10000000, "period": 10000000, "flags": ["SCHED_FLAG_RESET_ON_FORK"]}
    result = runtime.run(bundle.args(bundle.probe("sched")))
    if result.rc != 0:
        result.fails("SCHED_DEADLINE", rc=1)
    else:
        assert "policy=6" in result.out or "policy=1073741830" in result.out  # with SCHED_RESET_ON_FORK


def test_features_of_1_3(runtime):
    """features names what version 1.3 of the specification brought."""
    document = json.loads(runtime("features").check().out)
    assert document["ociVersionMax"] == "1.3.0"
    linux = document["linux"]
    assert linux["netDevices"] == {"enabled": True}
    assert linux["intelRdt"] == {"enabled": True, "schemata": True, "monitoring": True}
    assert linux["mountExtensions"]["idmap"] == {"enabled": True}
    assert {"MPOL_BIND", "MPOL_WEIGHTED_INTERLEAVE", "MPOL_PREFERRED_MANY"} <= set(linux["memoryPolicy"]["modes"])
    assert {"MPOL_F_STATIC_NODES", "MPOL_F_NUMA_BALANCING"} <= set(linux["memoryPolicy"]["flags"])
    assert "time" in linux["namespaces"] and linux["cgroup"]["rdma"] is True
    assert document["potentiallyUnsafeConfigAnnotations"]


CORES = "io.cooper.core-scheduling"


def core_cookie(pid):
    """The core scheduling cookie of a process; None where the kernel has none, 0 when it shares cores with everybody."""
    value = ctypes.c_ulong(0)
    pr_sched_core, get, thread = 62, 0, 0
    if ctypes.CDLL(None, use_errno=True).prctl(pr_sched_core, get, pid, thread, ctypes.byref(value)) == 0:
        return value.value
    return 0 if ctypes.get_errno() == errno.ENODEV else None


@pytest.mark.parametrize("own_pids", [True, False])
def test_core_scheduling(runtime, bundle, own_pids):
    """The container's processes, those of exec too, share a cookie that is nobody else's; a kernel without it is an error."""
    bundle.config["annotations"] = {CORES: "new"}
    if not own_pids:
        bundle.namespace("pid", absent=True)
    bundle.sh("sleep 1000 & wait")
    if core_cookie(0) is None:
        runtime.run(bundle).fails("core scheduling", "CONFIG_SCHED_CORE", rc=1)
        return
    hyperthreads = pathlib.Path("/sys/devices/system/cpu/smt/active").read_text() == "1\n"
    with runtime.running(bundle) as state:
        with runtime.background("exec", bundle.id, "sh", "-c", "echo $$; exec sleep 1000") as executed:
            executed.readline()
            cookies = {core_cookie(pid) for pid in json.loads(runtime("ps", "--format", "json", bundle.id).check().out)}
        assert len(cookies) == 1 and (cookies != {0}) == hyperthreads and cookies == {core_cookie(state["pid"])}
    assert core_cookie(0) == 0


def test_bad_core_scheduling(runtime, bundle):
    """A value that means nothing is refused."""
    bundle.config["annotations"] = {CORES: "yes"}
    runtime.run(bundle).fails("/annotations/" + CORES, rc=1)


def calls_about_cores(runtime, workdir, *command):
    """Run the runtime, whatever comes of it; returns its prctl(PR_SCHED_CORE, ...) calls as lists of numbers."""
    log = workdir / "calls"
    proc.run("strace", "-f", "-X", "raw", "-e", "trace=prctl", "-o", log, *runtime.argv(*command), env=runtime.environ)
    calls = re.findall(r"prctl\(0x3e[^,]*, ([^)]*)\)", log.read_text())
    return [[int(number, 0) for number in call.split(",")[:3]] for call in calls]


@pytest.mark.needs("strace")
@pytest.mark.parametrize("own_pids", [True, False])
def test_core_scheduling_calls(runtime, bundle, workdir, own_pids):
    """What is asked of the kernel, which may not have it: a new cookie for the whole process, and for exec that of the init."""
    if not own_pids:
        bundle.namespace("pid", absent=True)
    create, share_from, thread, process = 1, 3, 0, 1
    with runtime.running(bundle.sh("sleep 1000")) as state:
        # As if it had been created with it, where the kernel has it.
        kept = runtime.root / bundle.id
        before, _, after = kept.read_text().partition("\nconfig ")
        size, _, rest = after.partition("\n")
        config = json.loads(rest[: int(size)])
        config["annotations"] = {CORES: "new"}
        text = json.dumps(config)
        kept.write_text(f"{before}\nconfig {len(text)}\n{text}{rest[int(size) :]}")
        assert calls_about_cores(runtime, workdir, "exec", bundle.id, "true") == [[share_from, 1 if own_pids else state["pid"], thread]]
    bundle.config["annotations"] = {CORES: "new"}
    bundle.args("true").save()
    assert calls_about_cores(runtime, workdir, "run", "--bundle", bundle.path, bundle.id) == [[create, 0, process]]
