"""Watching containers: events (counters, out-of-memory), wait, and how a container ended."""

import json
import os
import signal
import subprocess
import sys

import pytest

from lib import cgroups, mountinfo, proc

pytestmark = pytest.mark.needs("root")
only_coop = pytest.mark.differs(runc="has no such verb", crun="has no such verb")

MIB = 1 << 20


def stats(runtime, box):
    """The data of events --stats."""
    return json.loads(runtime("events", "--stats", box.id).check().out)["data"]


@pytest.mark.needs("cgroup1-memory", "cgroup1-cpu", "cgroup1-pids")
class TestEvents:
    """events: one JSON object a line, in the shape of runc's."""

    @pytest.fixture
    def box(self, runtime, bundle):
        """A running container with a small memory limit."""
        bundle.resources.update(memory={"limit": 24 * MIB, "swap": 24 * MIB}, pids={"limit": 50})
        with runtime.running(bundle.sh("sleep 1000")) as state:
            bundle.pid = state["pid"]
            yield bundle

    @pytest.mark.differs(crun="has no events")
    def test_members(self, runtime, box):
        """The members are those of runc, which leaves out what is zero."""
        data = stats(runtime, box)
        assert set(data) >= {"cpu", "cpuset", "memory", "pids", "blkio", "hugetlb", "intel_rdt", "network_interfaces"}
        assert set(data["cpu"]) >= {"usage", "throttling"}
        assert set(data["cpu"]["usage"]) >= {"total", "percpu", "percpu_kernel", "percpu_user", "kernel", "user"}
        assert set(data["memory"]) >= {"usage", "swap", "kernel", "kernelTCP", "raw"}
        assert set(data["cpuset"]) >= {"cpus", "mems", "cpu_exclusive", "sched_load_balance", "sched_relax_domain_level"}

    @pytest.mark.differs(crun="has no events")
    def test_values(self, runtime, box):
        """The values are those of the cgroup's files."""
        runtime("exec", box.id, "sh", "-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done").check()
        data = stats(runtime, box)
        read = lambda controller, name: cgroups.read(controller, box.linux["cgroupsPath"], name)
        assert data["memory"]["usage"]["limit"] == data["memory"]["swap"]["limit"] == 24 * MIB
        assert data["memory"]["raw"]["hierarchical_memory_limit"] == 24 * MIB
        assert data["cpuset"]["cpus"] == cpus(read("cpuset", "cpuset.cpus"))
        assert 0 < data["cpu"]["usage"]["total"] <= int(read("cpuacct", "cpuacct.usage"))
        assert len(data["cpu"]["usage"]["percpu"]) == len(read("cpuacct", "cpuacct.usage_percpu").split())
        assert data["pids"] == {"current": int(read("pids", "pids.current")), "limit": 50}

    @pytest.mark.differs(crun="has no events")
    def test_throttling(self, runtime, bundle):
        """Periods in which a CPU quota stopped the container are counted."""
        bundle.resources["cpu"] = {"quota": 2000, "period": 20000}
        with runtime.running(bundle.sh("while :; do :; done")):
            seen = lambda: stats(runtime, bundle)["cpu"]["throttling"]
            proc.until(lambda: set(seen()) == {"periods", "throttledPeriods", "throttledTime"}, 20, 0.1, "throttling")

    @pytest.mark.differs(runc="reports veth pairs of its own only", crun="has no events")
    def test_interfaces(self, runtime, box):
        """Interfaces of the container's own network namespace are listed with their counters, the loopback is not."""
        assert stats(runtime, box)["network_interfaces"] is None
        enter = ("nsenter", "--net", "--target", box.pid)
        proc.run(*enter, "ip", "link", "add", "cask0", "type", "veth", "peer", "name", "cask1").check()
        proc.run(*enter, "sh", "-c", "ip link set cask0 up; ip link set cask1 up").check()
        proc.until(lambda: stats(runtime, box)["network_interfaces"][0]["TxPackets"] > 0, 10, 0.1, "a packet")
        assert {i["Name"] for i in stats(runtime, box)["network_interfaces"]} == {"cask0", "cask1"}

    @pytest.mark.differs(crun="has no events")
    def test_interval(self, runtime, box):
        """--interval is the time between two lines."""
        with runtime.background("events", "--interval", "100ms", box.id) as events:
            for _ in range(3):
                assert json.loads(events.readline())["type"] == "stats"

    @only_coop
    def test_reader_goes_away(self, runtime, box):
        """events ends when nobody reads it any more, not only at the next line."""
        with runtime.background("events", "--interval", "1h", box.id) as events:
            events.readline()
            events.child.stdout.close()
            events.child.stdout = None
            assert events.wait(20).rc in (0, 1)

    @pytest.mark.parametrize("text", ["", "0s", "-1s", "5", "soon", "5s5"])
    def test_bad_interval(self, runtime, box, text):
        """What is no duration above zero is refused."""
        runtime("events", "--interval", text, box.id).fails(rc=1)

    def test_stopped(self, runtime, bundle):
        """A stopped container has no events."""
        with runtime.running(bundle.args("true")):
            runtime.wait_status(bundle.id, "stopped")
            runtime("events", "--stats", bundle.id).fails("not running", rc=1)


@pytest.mark.needs("memory-limits")
@pytest.mark.guest
class TestOutOfMemory:
    """The out-of-memory killer at work is an event, and part of how a container ended; on cgroup v1 and v2."""

    @pytest.fixture
    def box(self, runtime, bundle):
        """A running container with a small memory limit."""
        bundle.resources.update(memory={"limit": 24 * MIB, "swap": 24 * MIB})
        with runtime.running(bundle.sh("sleep 1000")):
            yield bundle

    @pytest.mark.differs(crun="has no events")
    def test_oom(self, runtime, box):
        """An out-of-memory kill is an event of its own, at once, whatever the interval."""
        with runtime.background("events", "--interval", "1h", box.id) as events:
            if runtime.kind == "coop":
                assert json.loads(events.readline())["type"] == "stats"
            else:
                proc.until(lambda: registered(events.pid), 10, 0.02, "the eventfd")
            runtime("exec", box.id, "tail", "/dev/zero").fails()
            assert json.loads(events.readline()) == {"type": "oom", "id": box.id}

    @only_coop
    def test_oom_of_the_init(self, runtime, bundle):
        """The event of the kill that ends the container is not lost, and the end of the container is no event."""
        bundle.resources.update(memory={"limit": 24 * MIB, "swap": 24 * MIB})
        (bundle.rootfs / "go").unlink(missing_ok=True)
        with runtime.running(bundle.sh("until [ -e /go ]; do sleep 0.05; done; exec tail /dev/zero")):
            with runtime.background("events", "--interval", "1h", bundle.id) as events:
                events.readline()
                (bundle.rootfs / "go").touch()
                lines = [json.loads(line) for line in events.wait(20).check().lines]
        assert lines == [{"type": "oom", "id": bundle.id}]

    @only_coop
    def test_end_is_no_oom(self, runtime, box):
        """Killing and deleting the container ends the stream without an out-of-memory event."""
        with runtime.background("events", "--interval", "50ms", box.id) as events:
            events.readline()
            runtime("delete", "--force", box.id).check()
            kinds = {json.loads(line)["type"] for line in events.wait(20).check().lines}
        assert kinds <= {"stats"}

    @only_coop
    def test_exit_status(self, runtime, bundle):
        """A container that the out-of-memory killer ended says so."""
        bundle.resources.update(memory={"limit": 24 * MIB, "swap": 24 * MIB})
        bundle.args("tail", "/dev/zero").save()
        assert runtime("run", "--keep", "--bundle", bundle.path, bundle.id).rc == 137
        state = runtime.state(bundle.id)
        assert (state["exitCode"], state["signal"], state["oom"]) == (137, signal.SIGKILL, True)
        assert json.loads(runtime("wait", "--format", "json", bundle.id).check().out)["oom"] is True
        runtime("delete", bundle.id).check()


def cpus(text):
    """"0-1" -> [0, 1]"""
    answer = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        answer += range(int(first), int(last or first) + 1)
    return answer


def registered(pid):
    """The process holds an eventfd."""
    return any("eventfd" in what for what in proc.descriptors(pid).values())


@only_coop
class TestExitStatus:
    """How a container ended is kept where somebody could see it."""

    @pytest.mark.parametrize("script,code,number", [("exit 0", 0, None), ("exit 7", 7, None), ("kill -9 $$", 137, 9), ("kill -TERM $$", 143, 15)])
    def test_keep(self, runtime, bundle, script, code, number):
        """After run --keep, state shows the exit status and the signal."""
        bundle.namespace("pid", absent=True)  # an init of its own namespace is deaf to its own signals
        bundle.sh(script).save()
        assert runtime("run", "--keep", "--bundle", bundle.path, bundle.id).rc == code
        state = runtime.state(bundle.id)
        assert (state["status"], state["exitCode"], state.get("signal"), state["oom"]) == ("stopped", code, number, False)
        assert runtime("wait", bundle.id).check().out == f"{code}\n"
        runtime("delete", bundle.id).check()

    def test_wait(self, runtime, bundle):
        """wait blocks until the end and learns the status of a process that is no child of its own."""
        with runtime.running(bundle.sh("trap 'exit 9' TERM; while :; do sleep 0.05; done")):
            with runtime.background("wait", bundle.id) as waiting:
                with pytest.raises(subprocess.TimeoutExpired):
                    waiting.child.wait(0.3)
                proc.until(lambda: runtime("kill", bundle.id).rc >= 0 and waiting.child.poll() is not None, 20, 0.1, "the end")
                assert waiting.wait().check().out == "9\n"
            assert runtime.state(bundle.id)["exitCode"] == 9

    def test_wait_json(self, runtime, bundle):
        """--format json: id, exitCode, oom."""
        bundle.args("false").save()
        runtime("run", "--keep", "--bundle", bundle.path, bundle.id)
        record = json.loads(runtime("wait", "--format", "json", bundle.id).check().out)
        assert (record["id"], record["exitCode"], record["oom"]) == (bundle.id, 1, False)
        runtime("delete", bundle.id).check()

    def test_seen_once(self, runtime, bundle):
        """Who sees the status while the parent has not collected the init keeps it, with the time, for when it has."""
        script = "import ctypes, os, subprocess, sys; ctypes.CDLL(None).prctl(36, 1, 0, 0, 0); subprocess.run(sys.argv[1:], check=True); sys.stdin.read(1); os.wait()"
        bundle.sh("exit 5").save()
        with proc.Background(sys.executable, "-c", script, *runtime.argv("run", "--detach", "--bundle", bundle.path, bundle.id), stdin=subprocess.PIPE) as parent:
            proc.until(lambda: os.path.exists(runtime.root / bundle.id) and runtime.state(bundle.id).get("exitCode") == 5, 20, 0.05, "the end")
            first = runtime.state(bundle.id)
            parent.child.communicate(b"x", 20)
        after = runtime.state(bundle.id)
        assert (after["exitCode"], after["finished"]) == (5, first["finished"])
        assert runtime("wait", bundle.id).check().out == "5\n"
        runtime("delete", bundle.id).check()

    def test_not_known(self, runtime, bundle):
        """When nobody was watching, state has no exit status and wait says that it is not known."""
        # Not one that ends of itself: the state that is asked for at the start might see it as a zombie, and keep what it sees.
        with runtime.running(bundle.sh("sleep 600")) as state:
            os.kill(state["pid"], signal.SIGKILL)
            proc.until(lambda: not os.path.exists(f"/proc/{state['pid']}"), 10, 0.02, "the init is collected")
            assert "exitCode" not in runtime.state(bundle.id)
            runtime("wait", bundle.id).fails("not known", rc=1)

    @pytest.mark.parametrize("how", ["run", "create"])
    def test_kept_by_the_kernel(self, runtime, bundle, workdir, how):
        """--keep-exit-status: known although somebody has collected the init unseen. An older kernel is named, and nothing is left."""
        def mounts():
            return [m.point for m in mountinfo.read() if m.point.startswith(str(runtime.root))]
        bundle.sh("exit 3")
        if how == "run":
            result = runtime.run_detached(bundle, "--keep-exit-status", output=workdir / "out")
        else:
            result = runtime.create(bundle, "--keep-exit-status", output=workdir / "out")
        if result.rc:
            result.fails("kernel 6.15", rc=1)
            assert not runtime.has_state(bundle.id) and not mounts()
            return
        assert len(mounts()) == 1
        if how == "create":
            pid = runtime.state(bundle.id)["pid"]
            runtime("start", bundle.id).check()
            proc.until(lambda: not os.path.exists(f"/proc/{pid}"), 10, 0.02, "the init is collected")
        else:
            proc.until(lambda: runtime.status(bundle.id) == "stopped", 10, 0.02, "the end")
        assert runtime("wait", bundle.id).check().out == "3\n"
        assert runtime.state(bundle.id)["exitCode"] == 3
        runtime("delete", bundle.id).check()
        assert not runtime.has_state(bundle.id) and not mounts()

    def test_kept_in_the_foreground(self, runtime, bundle):
        """--keep-exit-status is not for a start that ends with the status anyway."""
        runtime.run(bundle, "--keep-exit-status").fails("--detach", rc=1)

    def test_unknown_id(self, runtime):
        """wait of an unknown id is an error at once."""
        runtime("wait", "nobody").fails("does not exist", rc=1)

    def test_damaged_record(self, runtime, bundle):
        """A record that is no JSON hides nothing else of the state."""
        bundle.args("true").save()
        runtime("run", "--keep", "--bundle", bundle.path, bundle.id).check()
        record = runtime.root / bundle.id
        record.write_text(record.read_text().rpartition("exit ")[0] + "exit 1\n{\n")
        assert runtime.status(bundle.id) == "stopped"
        runtime("wait", bundle.id).fails(": exit", rc=1)
        runtime("delete", bundle.id).check()


@only_coop
class TestErrorReport:
    """--log-format json: an error names its class, its errno and the step of the plan that failed."""

    def failure(self, runtime, bundle, workdir, verb="run"):
        """The last record of a failing start."""
        bundle.save()
        log = workdir / "log.json"
        runtime(verb, "--bundle", bundle.path, bundle.id, flags=("--log", log, "--log-format", "json")).fails()
        return json.loads(log.read_text().splitlines()[-1])

    def test_program(self, runtime, bundle, workdir):
        """A missing program."""
        record = self.failure(runtime, bundle.args("no-such"), workdir)
        assert list(record)[:3] == ["level", "msg", "time"]
        assert (record["level"], record["step"]) == ("error", "find-executable")

    def test_mount(self, runtime, bundle, workdir):
        """A bind source that does not exist."""
        bundle.add_mount("/mnt", "bind", "/no/such/source", "rbind")
        record = self.failure(runtime, bundle, workdir)
        assert (record["step"], record["errno"], record["code"]) == ("mount", "ENOENT", "not-found")

    def test_last_mile(self, runtime, bundle, workdir):
        """A program that the kernel does not take."""
        (bundle.rootfs / "bad").write_text("#!/no/such/interpreter\n")
        (bundle.rootfs / "bad").chmod(0o755)
        record = self.failure(runtime, bundle.args("/bad"), workdir)
        assert (record["step"], record["errno"]) == ("exec", "ENOENT")

    def test_parent(self, runtime, bundle, workdir):
        """A step of the parent: a hook on the host."""
        bundle.hook("createRuntime", "/bin/false", "false")
        assert self.failure(runtime, bundle, workdir)["step"] == "run-hooks"

    def test_config(self, runtime, bundle, workdir):
        """What fails before any step has none."""
        bundle.config["ociVersion"] = "nonsense"
        record = self.failure(runtime, bundle, workdir)
        assert "step" not in record and record["code"] == "invalid-argument"
