"""coop --systemd-cgroup: transient scopes as systemctl shows them, and the cgroup files behind them."""

import json
import os
import pathlib
import signal
import subprocess

import pytest

from lib import cgroups, proc, units
from lib.criu import Counter, deleted, run

pytestmark = pytest.mark.needs("systemd")

MIB = 1 << 20
FLAGS = {"flags": ("--systemd-cgroup",)}


def folder(path, controller="memory"):
    """Directory of a cgroup path, in the tree that has the controller."""
    return cgroups.directory(controller, path) if cgroups.is_v1() else cgroups.MOUNT / path.lstrip("/")


def read(path, name_v1, name_v2):
    """One file of a group, by the name it has on this machine."""
    name = name_v1 if cgroups.is_v1() else name_v2
    return (folder(path, name.split(".")[0] if cgroups.is_v1() else "memory") / name).read_text().strip()


def gone(unit):
    """systemd has forgotten the unit."""
    proc.until(lambda: not units.exists(unit), 20, 0.1, f"end of {unit}")


def test_scope(runtime, bundle, prefix):
    """The container is in a delegated transient scope below its slice, in every hierarchy, and nobody else is."""
    unit = units.use(bundle, prefix)
    with runtime.running(bundle.sh("sleep 1000"), **FLAGS) as state:
        shown = units.show(unit, "ActiveState", "Slice", "Transient", "Delegate", "Description", "ControlGroup", "MemoryAccounting", "DefaultDependencies")
        assert shown == {
            "ActiveState": "active", "Slice": "system.slice", "Transient": "yes", "Delegate": "yes", "Description": f"coop container {bundle.id}",
            "ControlGroup": f"/system.slice/{unit}", "MemoryAccounting": "yes", "DefaultDependencies": "no",
        }  # fmt: skip
        assert set(cgroups.of_process(state["pid"]).values()) == {f"/system.slice/{unit}"}
        assert cgroups.processes(f"/system.slice/{unit}") == [state["pid"]], "the process that held the scope has gone"
        record = json.loads((runtime.root / bundle.id).read_text().rpartition("\nstate ")[2].splitlines()[1])
        assert (record["systemdCgroup"], record["systemdUnit"], record["cgroupPath"]) == (True, unit, f"/system.slice/{unit}")
    gone(unit)


def test_run_in_the_foreground(runtime, bundle, prefix):
    """run hands on the exit status, and the scope ends with it."""
    unit = units.use(bundle, prefix)
    assert runtime.run(bundle.sh("cat /proc/self/cgroup; exit 7"), **FLAGS).rc == 7
    gone(unit)


def test_default_name(runtime, bundle):
    """Without a cgroupsPath the scope is coop-ID.scope in system.slice."""
    del bundle.linux["cgroupsPath"]
    with runtime.running(bundle.sh("sleep 1000"), **FLAGS):
        assert units.show(f"coop-{bundle.id}.scope", "ActiveState", "Slice") == {"ActiveState": "active", "Slice": "system.slice"}


def test_nested_slice(runtime, bundle, prefix):
    """A slice with dashes lies in the slices its name says."""
    unit = units.use(bundle, prefix, f"{prefix}-inner.slice")
    path = f"/{prefix}.slice/{prefix}-inner.slice/{unit}"
    try:
        with runtime.running(bundle.sh("sleep 1000"), **FLAGS) as state:
            assert units.show(unit, "ControlGroup") == {"ControlGroup": path}
            assert path in cgroups.of_process(state["pid"]).values()
    finally:
        subprocess.run(["systemctl", "stop", f"{prefix}-inner.slice", f"{prefix}.slice"], check=True)
        cgroups.remove(cgroups.named(f"{prefix}.slice"))


def test_limits(runtime, bundle, prefix):
    """Limits are known to systemd and in force in the kernel."""
    unit = units.use(bundle, prefix)
    bundle.resources.update({"memory": {"limit": 64 * MIB}, "pids": {"limit": 77}, "cpu": {"quota": 33333, "period": 100000, "shares": 512}})
    with runtime.running(bundle.sh("sleep 1000"), **FLAGS):
        shown = units.show(unit, "MemoryLimit", "MemoryMax", "TasksMax", "CPUQuotaPerSecUSec", "CPUShares", "CPUWeight")
        assert shown["MemoryLimit" if cgroups.is_v1() else "MemoryMax"] == str(64 * MIB)
        assert (shown["TasksMax"], shown["CPUQuotaPerSecUSec"]) == ("77", "340ms")
        path = f"/system.slice/{unit}"
        assert read(path, "memory.limit_in_bytes", "memory.max") == str(64 * MIB)
        assert read(path, "pids.max", "pids.max") == "77"
        assert read(path, "cpu.cfs_quota_us", "cpu.max").split()[0] == "34000", "rounded up to what systemd writes"
        if cgroups.is_v1():
            assert shown["CPUShares"] == read(path, "cpu.shares", "") == "512"
        else:
            assert shown["CPUWeight"] == read(path, "", "cpu.weight")


def test_limits_survive_a_reload(runtime, bundle, prefix):
    """systemd writes its own values again at a reload: they are ours, and the devices stay what the configuration says."""
    unit = units.use(bundle, prefix)
    bundle.resources.update({"memory": {"limit": 64 * MIB}, "pids": {"limit": 77}, "cpu": {"cpus": "0"}})
    bundle.resources["devices"].append({"allow": True, "type": "c", "major": 10, "minor": 229, "access": "rw"})
    bundle.linux["devices"] = [{"path": "/dev/kmsg", "type": "c", "major": 1, "minor": 11, "fileMode": 0o666}]
    with runtime.running(bundle.sh("sleep 1000"), **FLAGS):
        path = f"/system.slice/{unit}"

        def check():
            assert read(path, "memory.limit_in_bytes", "memory.max") == str(64 * MIB)
            assert read(path, "pids.max", "pids.max") == "77"
            assert read(path, "cpuset.cpus", "cpuset.cpus") == "0"
            # For writing: to read it takes a capability as well, and the error is the same.
            script = "echo x > /dev/null && head -c 1 /dev/zero > /dev/null && echo x > /dev/ptmx; echo x > /dev/kmsg"
            result = runtime.exec(bundle.id, "sh", "-c", script)
            assert "/dev/kmsg: Operation not permitted" in result.err and "null" not in result.err and "zero" not in result.err, result

        check()
        subprocess.run(["systemctl", "daemon-reload"], check=True)
        # Makes systemd write the group's files again.
        subprocess.run(["systemctl", "set-property", "--runtime", unit, "CPUWeight=90"], check=True)
        check()
        assert units.show(unit, "DevicePolicy", "AllowedCPUs") == {"DevicePolicy": "strict", "AllowedCPUs": "0"}
        assert "/dev/char/10:229 rw" in proc.run("systemctl", "show", unit, "--property=DeviceAllow").check().out, "one line for each device"


def test_devices_during_reloads(runtime, bundle, prefix):
    """systemd puts its device rules in place anew: at no moment can a forbidden device be opened, or an allowed one not.

    On cgroup v1 it denies all devices before it allows some, so the second does not hold there.
    """
    unit = units.use(bundle, prefix)
    bundle.linux["devices"] = [{"path": "/dev/kmsg", "type": "c", "major": 1, "minor": 11, "fileMode": 0o666}]
    with deleted(runtime, bundle.id), Counter() as counter:
        run(runtime, bundle.args(bundle.probe("devices"), "/dev/kmsg", *["/dev/null"] * (not cgroups.is_v1())), counter, "--systemd-cgroup")
        for number in range(3):
            subprocess.run(["systemctl", "daemon-reload"], check=True)
            # Makes systemd write the group's files again.
            subprocess.run(["systemctl", "set-property", "--runtime", unit, f"CPUWeight={90 + number}"], check=True)
            # A line that is no number is an open that ended otherwise.
            counter.beyond(counter.last)
        counter.beyond(counter.last)
        assert runtime.status(bundle.id) == "running"


def test_devices_during_updates(runtime, bundle, prefix):
    """While update tells systemd, which writes its device rules anew, no device that is allowed is refused."""
    units.use(bundle, prefix)
    bundle.linux["devices"] = [{"path": "/dev/kmsg", "type": "c", "major": 1, "minor": 11, "fileMode": 0o666}]
    with deleted(runtime, bundle.id), Counter() as counter:
        run(runtime, bundle.args(bundle.probe("devices"), "/dev/kmsg", "/dev/null"), counter, "--systemd-cgroup")
        for number in range(8):
            runtime("update", "--cpu-share", str(500 + number * 100), "--pids-limit", str(50 + number), bundle.id).check()
        counter.beyond(counter.last)
        assert runtime.status(bundle.id) == "running"


def test_update(runtime, bundle, prefix):
    """update tells systemd and the kernel, without a flag."""
    unit = units.use(bundle, prefix)
    bundle.resources.update({"memory": {"limit": 64 * MIB}, "cpu": {"quota": 20000, "period": 50000}})
    with runtime.running(bundle.sh("sleep 1000"), **FLAGS):
        runtime("update", "--memory", str(48 * MIB), "--pids-limit", "55", "--cpu-quota", "10000", bundle.id).check()
        shown = units.show(unit, "MemoryLimit", "MemoryMax", "TasksMax", "CPUQuotaPerSecUSec")
        assert shown["MemoryLimit" if cgroups.is_v1() else "MemoryMax"] == str(48 * MIB)
        assert (shown["TasksMax"], shown["CPUQuotaPerSecUSec"]) == ("55", "200ms")
        path = f"/system.slice/{unit}"
        assert read(path, "memory.limit_in_bytes", "memory.max") == str(48 * MIB)
        assert read(path, "pids.max", "pids.max") == "55"
        assert read(path, "cpu.cfs_quota_us", "cpu.max").split()[0] == "10000"


def test_update_of_device_rules(runtime, bundle, prefix):
    """systemd is told of the device rules of an update: what is allowed since then stays so when it writes its own again."""
    unit = units.use(bundle, prefix)
    bundle.linux["devices"] = [{"path": "/dev/kmsg", "type": "c", "major": 1, "minor": 11, "fileMode": 0o666}]
    text = json.dumps({"devices": [{"allow": True, "type": "c", "major": 1, "minor": 11, "access": "w"}]})
    writes = lambda: runtime.exec(bundle.id, "sh", "-c", "echo x > /dev/null && : > /dev/kmsg")
    with runtime.running(bundle.sh("sleep 1000"), **FLAGS):
        writes().fails("not permitted")
        runtime("update", "--devices", "--resources", "-", bundle.id, stdin=text).check()
        writes().check()
        assert "/dev/char/1:11 w" in proc.run("systemctl", "show", unit, "--property=DeviceAllow").check().out
        subprocess.run(["systemctl", "daemon-reload"], check=True)
        # Makes systemd write the group's files again.
        subprocess.run(["systemctl", "set-property", "--runtime", unit, "CPUWeight=90"], check=True)
        writes().check()


@pytest.mark.needs("cgroup2")
def test_update_that_systemd_refuses(runtime, bundle, prefix):
    """What systemd does not take, or cannot be told, is not in force either."""
    unit = units.use(bundle, prefix)
    bundle.resources["pids"] = {"limit": 50}
    with runtime.running(bundle.sh("sleep 1000"), **FLAGS):
        path = f"/system.slice/{unit}"
        files = lambda: (read(path, "", "pids.max"), read(path, "", "memory.high"), units.show(unit, "TasksMax")["TasksMax"])
        before = files()
        # The kernel takes this one, to systemd it is out of range.
        text = json.dumps({"pids": {"limit": 44}, "unified": {"memory.high": "0"}})
        runtime("update", "--resources", "-", bundle.id, stdin=text).fails("MemoryHigh", rc=1)
        assert files() == before
        runtime("update", "--pids-limit", "44", bundle.id, env={"DBUS_SYSTEM_BUS_ADDRESS": "tcp:host=x"}).fails("DBUS_SYSTEM_BUS_ADDRESS", rc=1)
        assert files() == before == ("50", "max", "50")
        runtime("update", "--pids-limit", "44", bundle.id).check()
        assert files() == ("44", "max", "44")


def test_later_commands_need_no_flag(runtime, bundle, prefix):
    """exec joins the scope; pause, resume, kill and delete work on it."""
    unit = units.use(bundle, prefix)
    runtime.create(bundle.sh("sleep 1000"), **FLAGS).check()
    runtime("start", bundle.id).check()
    # Outside the container's cgroup namespace, because the test reads it from there.
    with runtime.background("exec", bundle.id, "sleep", "1000"):
        proc.until(lambda: len(cgroups.processes(f"/system.slice/{unit}")) == 2, 20, 0.1, "second process in the scope")
        runtime("pause", bundle.id).check()
        assert runtime.status(bundle.id) == "paused"
        runtime("resume", bundle.id).check()
        runtime("kill", bundle.id, "KILL").check()
        runtime.wait_status(bundle.id, "stopped")
        runtime("delete", bundle.id).check()
    gone(unit)


def test_ps_and_events(runtime, bundle, prefix):
    """ps lists the processes of the scope, events counts them."""
    units.use(bundle, prefix)
    with runtime.running(bundle.sh("sleep 1000"), **FLAGS) as state:
        assert json.loads(runtime("ps", "--format", "json", bundle.id).check().out) == [state["pid"]]
        assert json.loads(runtime("events", "--stats", bundle.id).check().out)["data"]["pids"]["current"] == 1


def test_a_start_that_fails(runtime, bundle, prefix):
    """No unit is left of a container that could not be made, and the name can be used again."""
    unit = units.use(bundle, prefix)
    result = runtime.run(bundle.args("/no/such/program"), **FLAGS)
    assert result.rc == 1 and "/no/such/program" in result.err
    gone(unit)
    bundle.hook("createRuntime", "/bin/false")
    assert runtime.run(bundle.sh("true"), **FLAGS).rc == 1
    gone(unit)
    del bundle.config["hooks"]
    assert runtime.output(bundle.args("echo", "again"), **FLAGS) == "again\n"


def test_slice_as_unit(runtime, bundle, prefix):
    """A name that ends in .slice is the unit."""
    unit = f"{prefix}-box.slice"
    bundle.linux["cgroupsPath"] = f"system.slice:unused:{unit}"
    path = f"/{prefix}.slice/{unit}"
    bundle.resources["pids"] = {"limit": 31}
    try:
        with runtime.running(bundle.sh("sleep 1000"), **FLAGS) as state:
            assert path in cgroups.of_process(state["pid"]).values()
            assert units.show(unit, "ActiveState", "TasksMax") == {"ActiveState": "active", "TasksMax": "31"}
        assert units.show(unit, "ActiveState")["ActiveState"] == "inactive"
    finally:
        subprocess.run(["systemctl", "stop", unit, f"{prefix}.slice"], check=True)
        cgroups.remove(cgroups.named(f"{prefix}.slice"))


def test_annotations(runtime, bundle, prefix):
    """org.systemd.property.NAME sets the property; …Sec takes seconds."""
    unit = units.use(bundle, prefix)
    bundle.config["annotations"] = {
        "org.systemd.property.TimeoutStopSec": "7",
        "org.systemd.property.CollectMode": "'inactive-or-failed'",
        "org.systemd.property.Documentation": "['man:coop(1)']",
    }
    with runtime.running(bundle.sh("sleep 1000"), **FLAGS):
        shown = units.show(unit, "TimeoutStopUSec", "CollectMode", "Documentation")
        assert shown == {"TimeoutStopUSec": "7s", "CollectMode": "inactive-or-failed", "Documentation": '"man:coop(1)"'}


@pytest.mark.parametrize(
    "path,annotations,words",
    [
        ("/some/path", {}, "slice:prefix:name"),
        ("bad--name.slice:p:n", {}, "bad--name.slice"),
        ("system.slice:p:a b", {}, "p-a b.scope"),
        ("system.slice:p:n", {"org.systemd.property.CollectMode": "inactive"}, "org.systemd.property.CollectMode"),
        ("system.slice:p:n", {"org.systemd.property.NoSuchThing": "1"}, "NoSuchThing"),
    ],
)
def test_mistakes(runtime, bundle, path, annotations, words):
    """What cannot be a unit is refused in words that name it, and nothing is left."""
    bundle.linux["cgroupsPath"] = path
    bundle.config["annotations"] = annotations
    result = runtime.run(bundle.sh("true"), **FLAGS)
    assert result.rc == 1 and words in result.err


def test_a_failed_scope_of_the_name_is_no_obstacle(runtime, bundle, prefix):
    """A unit that has failed is forgotten; one that runs is not touched."""
    unit = units.use(bundle, prefix)
    # A scope fails when its processes outlive the time they have to stop.
    command = ["systemd-run", "--quiet", "--scope", f"--unit={unit}", "--property=TimeoutStopSec=1", "sh", "-c", "trap '' TERM; while :; do sleep 1; done"]
    with proc.Background(*command):
        proc.until(lambda: units.exists(unit), 20, 0.1, "the other scope")
        result = runtime.run(bundle.sh("true"), **FLAGS)
        assert result.rc == 1 and unit in result.err and "UnitExists" in result.err
        subprocess.run(["systemctl", "stop", unit], check=False)
    proc.until(lambda: units.show(unit, "ActiveState")["ActiveState"] in ("failed", "inactive"), 20, 0.1, "failure of the scope")
    assert units.show(unit, "ActiveState")["ActiveState"] == "failed"
    assert runtime.run(bundle.sh("true"), **FLAGS).rc == 0
    gone(unit)


def test_stopped_by_systemctl(runtime, bundle, prefix):
    """systemctl stop ends the container; delete finds nothing to do and succeeds."""
    unit = units.use(bundle, prefix)
    # A first process without a handler does not end by SIGTERM.
    bundle.config["annotations"] = {"org.systemd.property.TimeoutStopSec": "1"}
    runtime.run_detached(bundle.sh("sleep 1000"), **FLAGS).check()
    subprocess.run(["systemctl", "stop", unit], check=True)
    runtime.wait_status(bundle.id, "stopped")
    runtime("delete", bundle.id).check()
    gone(unit)


def test_out_of_memory_leaves_no_unit(runtime, bundle, prefix):
    """A scope that the OOM killer emptied is failed for systemd; delete resets it."""
    unit = units.use(bundle, prefix)
    bundle.resources["memory"] = {"limit": 16 * MIB, "swap": 16 * MIB}
    runtime.run_detached(bundle.args(bundle.probe("hog"), "64"), **FLAGS).check()
    runtime.wait_status(bundle.id, "stopped", 60)
    runtime("delete", bundle.id).check()
    gone(unit)


def test_a_creator_that_is_killed(runtime, bundle, prefix):
    """When create dies in the middle, the scope ends with it, and delete --force removes the rest."""
    unit = units.use(bundle, prefix)
    fifo = runtime.workdir / "hook"
    os.mkfifo(fifo)
    bundle.hook("createRuntime", "/bin/sh", "-c", f"echo $$ > {fifo}; exec sleep 1000")
    bundle.save()
    with runtime.background("create", "--bundle", bundle.path, bundle.id, **FLAGS) as creator:
        hook = int(fifo.read_text())
        assert units.exists(unit)
        creator.child.send_signal(signal.SIGKILL)
        creator.child.wait()
    os.kill(hook, signal.SIGKILL)
    runtime("delete", "--force", bundle.id).check()
    gone(unit)


def test_small_limit_of_processes(runtime, bundle, prefix):
    """A limit of one leaves room for the container's only process."""
    units.use(bundle, prefix)
    bundle.resources["pids"] = {"limit": 1}
    assert runtime.output(bundle.args("echo", "alone"), **FLAGS) == "alone\n"


@pytest.mark.needs("userns", "cgroup2")
def test_delegation(runtime, bundle, prefix):
    """Root of a user namespace may make groups below its own, and not change its own limits."""
    unit = units.use(bundle, prefix)
    bundle.userns()
    bundle.namespace("cgroup")
    bundle.drop_mount("/sys/fs/cgroup")
    bundle.add_mount("/sys/fs/cgroup", "cgroup", "cgroup", "rw", "nosuid", "noexec", "nodev", "relatime")
    script = "mkdir /sys/fs/cgroup/below && echo 0 > /sys/fs/cgroup/below/cgroup.procs && cat /proc/self/cgroup; echo max > /sys/fs/cgroup/pids.max || echo refused"
    bundle.resources["pids"] = {"limit": 50}
    out = runtime.output(bundle.sh(script + "; true"), **FLAGS)
    assert "0::/below" in out and "refused" in out
    gone(unit)


def test_features(runtime):
    """features says so."""
    group = json.loads(runtime("features").check().out)
    assert group["linux"]["cgroup"]["systemd"] and group["linux"]["cgroup"]["systemdUser"]
    assert "org.systemd.property." in group["potentiallyUnsafeConfigAnnotations"]


def test_no_bus(runtime, bundle, prefix):
    """Without the broker, root talks to systemd itself; a broken address is named."""
    units.use(bundle, prefix)
    result = runtime.run(bundle.sh("true"), env={"DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nonexistent"}, **FLAGS)
    assert result.rc == 0, "the private socket of systemd is the fallback"
    result = runtime.run(bundle.sh("true"), env={"DBUS_SYSTEM_BUS_ADDRESS": "tcp:host=x"}, **FLAGS)
    assert result.rc == 1 and "DBUS_SYSTEM_BUS_ADDRESS" in result.err


@pytest.fixture
def user_manager():
    """The environment of user 1000, whose own systemd tests/vm/in-guest has started."""
    assert os.path.exists("/run/user/1000/bus"), "user 1000 has no systemd of its own"
    return {"XDG_RUNTIME_DIR": "/run/user/1000", "HOME": "/home/tester", "PATH": os.environ["PATH"]}


@pytest.mark.needs("cgroup2", "userns")
def test_user(runtime, bundle, prefix, user_manager):
    """A user's container is in a scope of the user's own manager, although the caller is elsewhere in the tree."""
    unit = units.use(bundle, prefix, "user.slice")
    bundle.namespace("user").namespace("network", absent=True)
    for kind in ("uidMappings", "gidMappings"):
        bundle.linux[kind] = [{"containerID": 0, "hostID": 1000, "size": 1}]
    bundle.drop_mount("/sys")
    bundle.drop_mount("/sys/fs/cgroup")
    bundle.process.pop("rlimits", None)
    bundle.resources["pids"] = {"limit": 40}
    bundle.resources.pop("devices", None)
    for entry in bundle.mounts:
        entry["options"] = [o for o in entry.get("options", []) if not o.startswith(("gid=", "uid="))]
    bundle.sh("sleep 1000").save()
    subprocess.run(["chown", "-R", "1000:1000", bundle.path], check=True)
    root = pathlib.Path("/run/user/1000/coop-test")

    def coop(*args, **options):
        command = ["setpriv", "--reuid", "1000", "--regid", "1000", "--clear-groups", runtime.binary, "--root", root, *args]
        return proc.run(*command, env=user_manager, **options)

    try:
        log = runtime.workdir / "user.out"
        with open(log, "wb") as sink:
            command = ["setpriv", "--reuid", "1000", "--regid", "1000", "--clear-groups", runtime.binary, "--root", root, "--systemd-cgroup",
                       "run", "--detach", "--bundle", bundle.path, bundle.id]  # fmt: skip
            done = subprocess.run(command, env=user_manager, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, timeout=100, check=False)
        assert done.returncode == 0, log.read_text()
        state = json.loads(coop("state", bundle.id).check().out)
        path = cgroups.of_process(state["pid"])[""]
        assert path == f"/user.slice/user-1000.slice/user@1000.service/user.slice/{unit}"
        assert (cgroups.MOUNT / path.lstrip("/") / "pids.max").read_text() == "40\n"
        assert coop("exec", bundle.id, "true").rc == 0
        coop("update", "--pids-limit", "41", bundle.id).check()
        assert (cgroups.MOUNT / path.lstrip("/") / "pids.max").read_text() == "41\n"
    finally:
        coop("delete", "--force", bundle.id).check()
        subprocess.run(["rm", "-rf", root], check=True)
    assert not (cgroups.MOUNT / path.lstrip("/")).exists()
