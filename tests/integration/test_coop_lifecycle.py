"""create, start, state, list, ps, kill, delete, pause, resume: states, exit statuses and words."""

import json
import os
import signal
import time

import pytest

from lib import cgroups, proc

only_coop = pytest.mark.differs(runc="behaves otherwise", crun="behaves otherwise")


def test_run_output_and_status(runtime, bundle):
    """Standard output, standard error and the exit status of the process come through."""
    result = runtime.run(bundle.sh("echo hello; echo oops >&2; exit 7"))
    assert (result.rc, result.out, result.err) == (7, "hello\n", "oops\n")


def test_run_stdin(runtime, bundle):
    """Standard input reaches the process and ends with it."""
    assert runtime.run(bundle.args("cat"), stdin="a\nb\n").check().out == "a\nb\n"


def test_run_is_gone_afterwards(runtime, bundle):
    """A foreground run deletes the container: same id again at once, list is empty."""
    for _ in range(2):
        runtime.run(bundle).check()
    assert runtime.ids() == []
    assert cgroups.named(bundle.id) == []


def test_run_keep(runtime, bundle):
    """run --keep leaves a stopped container."""
    bundle.save()
    runtime("run", "--keep", "--bundle", bundle.path, bundle.id).check()
    assert runtime.status(bundle.id) == "stopped"
    runtime("delete", bundle.id).check()


@pytest.mark.differs(crun="state shows the old pid of a stopped container")
def test_create_start_states(runtime, bundle, workdir):
    """created -> running -> stopped, and the process starts only at start."""
    bundle.sh("echo started; sleep 1000")
    out = workdir / "out"
    runtime.create(bundle, output=out).check()
    state = runtime.state(bundle.id)
    assert state["status"] == "created"
    assert state["id"] == bundle.id
    assert state["bundle"] == str(bundle.path)
    assert state["pid"] > 0
    assert out.read_text() == ""
    runtime("start", bundle.id).check()
    proc.until(lambda: out.read_text() == "started\n", what="output of the container")
    assert runtime.status(bundle.id) == "running"
    assert runtime.state(bundle.id)["pid"] == state["pid"]
    runtime("kill", bundle.id, "KILL").check()
    runtime.wait_status(bundle.id, "stopped")
    assert runtime.state(bundle.id)["pid"] == 0
    runtime("delete", bundle.id).check()
    assert not runtime.has_state(bundle.id)


def test_state_fields(runtime, bundle):
    """state prints what callers parse: ociVersion, id, pid, status, bundle, rootfs, created, annotations, owner."""
    bundle.config["annotations"] = {"org.example.key": "a value"}
    with runtime.created(bundle) as state:
        assert set(state) >= {"ociVersion", "id", "pid", "status", "bundle", "rootfs", "created", "annotations", "owner"}
        assert state["rootfs"] == str(bundle.rootfs)
        assert state["annotations"]["org.example.key"] == "a value"
        assert state["ociVersion"].count(".") >= 2
        created = time.strptime(state["created"][:19], "%Y-%m-%dT%H:%M:%S")
        assert abs(time.time() - time.mktime(created) + time.timezone) < 100


def test_state_unknown_id(runtime):
    """state of an unknown id: exit 1 and 'does not exist'."""
    runtime("state", "nobody").fails("does not exist", rc=1)


def test_longest_id(runtime, bundle):
    """An id as long as a name of a file can be: the container runs, and is deleted again."""
    bundle.id = bundle.id.ljust(255, "x")
    bundle.save()
    runtime("run", "--bundle", bundle.path, bundle.id).check()
    assert not [name for name in os.listdir(runtime.root) if bundle.id in name]


@pytest.mark.parametrize("command", ["start", "kill", "delete", "pause", "resume", "ps"])
def test_unknown_id(runtime, command):
    """Every other verb on an unknown id: exit 1 and 'does not exist'."""
    runtime(command, "nobody").fails("does not exist", rc=1)


@pytest.mark.differs(crun="exec's own errors exit 1")
def test_exec_unknown_id(runtime):
    """exec into an unknown container exits 255."""
    runtime("exec", "nobody", "true").fails("does not exist", rc=255)


def test_delete_force_unknown_id(runtime):
    """delete --force of an unknown id succeeds silently (docker and containerd clean up twice)."""
    runtime("delete", "--force", "nobody").check()


@pytest.mark.differs(crun="other words")
def test_start_twice(runtime, bundle):
    """start of a running container is refused with the words callers know."""
    with runtime.running(bundle.sh("sleep 1000")):
        runtime("start", bundle.id).fails("cannot start an already running container", rc=1)
        assert runtime.status(bundle.id) == "running"


@pytest.mark.differs(crun="other words")
def test_start_stopped(runtime, bundle):
    """start of a stopped container is refused."""
    with runtime.running(bundle.args("true")):
        runtime.wait_status(bundle.id, "stopped")
        runtime("start", bundle.id).fails("cannot start a container that has stopped", rc=1)


@pytest.mark.needs("strace")
@pytest.mark.parametrize("call", ["pidfd_open", "connect", "sendmsg"])
@pytest.mark.differs(runc="other calls", crun="other calls")
def test_start_of_one_that_ends_meanwhile(runtime, bundle, call):
    """The init ends after start has seen it alive, before one of its next calls: refused as one that has stopped."""
    with runtime.created(bundle.sh("exit 0")) as state:
        held = ("strace", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:delay_enter=400000")
        with proc.Background(*held, *runtime.argv("start", bundle.id), env=runtime.environ) as start:
            time.sleep(0.2)
            os.kill(state["pid"], signal.SIGKILL)
            start.wait().fails("cannot start a container that has stopped", rc=1)


def test_create_duplicate_id(runtime, bundle, make_bundle):
    """A second create with an id in use is refused and does not harm the first."""
    with runtime.running(bundle.sh("sleep 1000")) as state:
        other = make_bundle()
        other.id = bundle.id
        runtime.create(other).fails("already exists", rc=1)
        runtime("run", "--bundle", other.save().path, other.id).fails("already exists", rc=1)
        assert runtime.state(bundle.id)["pid"] == state["pid"]
        assert runtime.status(bundle.id) == "running"


@pytest.mark.parametrize("name", ["", ".", "..", "...", ".a", "a/b", "../x", "a b", "ä", "a\nb"])
@pytest.mark.differs(crun="takes names with spaces", runc="takes names that begin with a dot")
def test_bad_ids(runtime, bundle, name):
    """Ids outside [A-Za-z0-9_+.-], and the names . and .., are refused."""
    bundle.save()
    runtime("run", "--bundle", bundle.path, name).fails(rc=1)
    assert not runtime.root.exists() or os.listdir(runtime.root) == []


@pytest.mark.parametrize("name", ["a", "A-b_c+d.e", "0", "x" * 200, "a..."])
def test_good_ids(runtime, bundle, name):
    """Every id of the documented charset works."""
    bundle.linux["cgroupsPath"] += "x"
    bundle.id = name
    runtime.run(bundle).check()


def test_delete_running(runtime, bundle):
    """delete of a running container is refused without --force."""
    with runtime.running(bundle.sh("sleep 1000")):
        runtime("delete", bundle.id).fails("running", rc=1)
        assert runtime.status(bundle.id) == "running"


def test_delete_force_running(runtime, bundle):
    """delete --force kills the container and removes everything."""
    with runtime.running(bundle.sh("sleep 1000 & sleep 1000")) as state:
        runtime("delete", "--force", bundle.id).check()
        assert not runtime.has_state(bundle.id)
        proc.until(lambda: not os.path.exists(f"/proc/{state['pid']}"), what="end of the init process")
        assert cgroups.named(bundle.id) == []


@pytest.mark.differs(crun="1.8 wants --force for created containers")
def test_delete_created(runtime, bundle):
    """delete of a created container ends its init and removes it."""
    with runtime.created(bundle) as state:
        runtime("delete", bundle.id).check()
        assert not runtime.has_state(bundle.id)
        proc.until(lambda: not os.path.exists(f"/proc/{state['pid']}"), what="end of the init process")


def test_delete_shared_pid_namespace(runtime, bundle):
    """Without a PID namespace, delete --force ends every process of the container's cgroup."""
    bundle.namespace("pid", absent=True).sh("sleep 1000 & sleep 1000 & sleep 1000 & wait")
    with runtime.running(bundle):
        path = bundle.linux["cgroupsPath"]
        proc.until(lambda: len(cgroups.processes(path)) == 4, what="four processes")
        pids = cgroups.processes(path)
        runtime("delete", "--force", bundle.id).check()
        proc.until(lambda: not any(os.path.exists(f"/proc/{p}") for p in pids), what="end of all processes")


@pytest.mark.parametrize("name", ["KILL", "SIGKILL", "9", "kill"])
@pytest.mark.differs(crun="upper case only")
def test_kill_names(runtime, bundle, name):
    """kill takes a number and names with or without SIG, in either case."""
    with runtime.running(bundle.sh("sleep 1000")):
        runtime("kill", bundle.id, name).check()
        runtime.wait_status(bundle.id, "stopped")


def test_kill_default_is_term(runtime, bundle, workdir):
    """kill without a signal sends SIGTERM."""
    out = workdir / "out"
    with runtime.running(bundle.args(bundle.probe("signals")), output=out):
        proc.until(lambda: "ready" in out.read_text())
        runtime("kill", bundle.id).check()
        runtime.wait_status(bundle.id, "stopped")
        assert out.read_text().split() == ["ready", "15"]


@pytest.mark.parametrize("number", [1, 2, 10, 12, 28, 34, 64])
def test_kill_any_signal(runtime, bundle, workdir, number):
    """kill delivers every signal number, real-time ones too."""
    out = workdir / "out"
    with runtime.running(bundle.args(bundle.probe("signals")), output=out):
        proc.until(lambda: "ready" in out.read_text())
        runtime("kill", bundle.id, str(number)).check()
        proc.until(lambda: out.read_text().split() == ["ready", str(number)], what="the signal")


@pytest.mark.differs(crun="1.8: a stopped one has other words")
def test_kill_zero_asks(runtime, bundle):
    """Signal 0 is sent to nobody: success while the container runs, the usual error when it has stopped."""
    with runtime.running(bundle.sh("sleep 1000")) as state:
        runtime("kill", bundle.id, "0").check()
        assert runtime.status(bundle.id) == "running"
        os.kill(state["pid"], signal.SIGKILL)
        runtime.wait_status(bundle.id, "stopped")
        runtime("kill", bundle.id, "0").fails("container not running", rc=1)


def test_kill_empty_word(runtime, bundle):
    """An empty signal is one that the caller left out: SIGTERM."""
    with runtime.running(bundle.sh("trap 'exit 3' TERM; while :; do sleep 0.05; done")):
        runtime("kill", bundle.id, "").check()
        runtime.wait_status(bundle.id, "stopped")


@pytest.mark.parametrize("word", ["NOSUCH", "0x9", "-1", "99", "9x"])
def test_kill_unknown_signal(runtime, bundle, word):
    """An unknown signal is refused and nothing is sent."""
    with runtime.running(bundle.sh("sleep 1000")):
        runtime("kill", bundle.id, "--", word).fails(rc=1)
        assert runtime.status(bundle.id) == "running"


@pytest.mark.differs(crun="other words")
def test_kill_stopped(runtime, bundle):
    """kill of a stopped container: exit 1, words that containerd maps to 'not found'."""
    with runtime.running(bundle.args("true")):
        runtime.wait_status(bundle.id, "stopped")
        runtime("kill", bundle.id, "TERM").fails("container not running", rc=1)


def test_kill_created(runtime, bundle):
    """A created container can be killed; it is then stopped."""
    with runtime.created(bundle):
        runtime("kill", bundle.id, "KILL").check()
        runtime.wait_status(bundle.id, "stopped")


def test_kill_all(runtime, bundle):
    """kill --all signals every process of the container."""
    bundle.namespace("pid", absent=True).sh("sleep 1000 & sleep 1000 & wait")
    with runtime.running(bundle):
        path = bundle.linux["cgroupsPath"]
        proc.until(lambda: len(cgroups.processes(path)) == 3, what="three processes")
        runtime("kill", "--all", bundle.id, "KILL").check()
        proc.until(lambda: cgroups.processes(path) == [], what="an empty cgroup")
        runtime.wait_status(bundle.id, "stopped")


@pytest.mark.differs(runc="1.1 signals the init only", crun="signals the init only")
def test_kill_shared_pid_namespace(runtime, bundle):
    """KILL of a container in a shared PID namespace ends its whole cgroup, not just the init."""
    bundle.namespace("pid", absent=True).sh("sleep 1000 & sleep 1000 & wait")
    with runtime.running(bundle):
        path = bundle.linux["cgroupsPath"]
        proc.until(lambda: len(cgroups.processes(path)) == 3, what="three processes")
        runtime("kill", bundle.id, "KILL").check()
        proc.until(lambda: cgroups.processes(path) == [], what="an empty cgroup")


def test_pause_resume(runtime, bundle):
    """pause freezes the cgroup (status paused), resume lets it go on."""
    with runtime.running(bundle.sh("while :; do :; done")) as state:
        runtime("pause", bundle.id).check()
        assert runtime.status(bundle.id) == "paused"
        stat = lambda: open(f"/proc/{state['pid']}/stat", encoding="utf-8").read().split()[13]
        before = stat()
        time.sleep(0.2)
        assert stat() == before, "a paused process used the processor"
        runtime("resume", bundle.id).check()
        assert runtime.status(bundle.id) == "running"
        proc.until(lambda: stat() != before, what="progress after resume")


@pytest.mark.differs(crun="resume of a running container succeeds")
def test_pause_refused(runtime, bundle):
    """pause of a stopped and resume of a running container are refused."""
    with runtime.running(bundle.sh("sleep 0.3")):
        runtime("resume", bundle.id).fails("not paused", rc=1)
        runtime.wait_status(bundle.id, "stopped")
        runtime("pause", bundle.id).fails(rc=1)


@pytest.mark.differs(runc="thaws it", crun="thaws it")
def test_kill_all_paused(runtime, bundle):
    """A signal to all processes of a paused container waits for them: only resume lets them go on, only KILL needs none."""
    with runtime.running(bundle.sh("trap 'exit 5' TERM; while :; do sleep 0.05; done")):
        runtime("pause", bundle.id).check()
        runtime("kill", "--all", bundle.id, "TERM").check()
        assert runtime.status(bundle.id) == "paused"
        runtime("resume", bundle.id).check()
        runtime.wait_status(bundle.id, "stopped")
    with runtime.running(bundle):
        runtime("pause", bundle.id).check()
        runtime("kill", "--all", bundle.id, "KILL").check()
        runtime.wait_status(bundle.id, "stopped")


@pytest.mark.differs(crun="exits 1")
def test_exec_paused(runtime, bundle):
    """exec into a paused container is refused at once (255), not hung."""
    with runtime.running(bundle.sh("sleep 1000")):
        runtime("pause", bundle.id).check()
        runtime("exec", bundle.id, "true", timeout=10).fails("paused", rc=255)
        runtime("resume", bundle.id).check()


@only_coop
def test_pause_created(runtime, bundle):
    """A created container that is paused says so, cannot be started (and does not hang), and can be resumed or deleted."""
    with runtime.created(bundle.sh("exit 0")):
        runtime("pause", bundle.id).check()
        assert runtime.status(bundle.id) == "paused"
        runtime("start", bundle.id, timeout=10).fails("paused", rc=1)
        runtime("resume", bundle.id).check()
        assert runtime.status(bundle.id) == "created"
        runtime("pause", bundle.id).check()
        runtime("delete", "--force", bundle.id, timeout=10).check()


def ignoring_children():
    """What some supervisors leave to their children: SIGCHLD ignored."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)


@only_coop
def test_sigchld_ignored_by_the_caller(runtime, bundle):
    """The exit status is found all the same, of run, exec and hooks."""
    bundle.hook("prestart", "/bin/true").sh("exit 7").save()
    proc.run(*runtime.argv("run", "--bundle", bundle.path, bundle.id), preexec=ignoring_children, timeout=15).check(7)
    bundle.sh("sleep 1000")
    with runtime.running(bundle):
        proc.run(*runtime.argv("exec", bundle.id, "sh", "-c", "exit 9"), preexec=ignoring_children, timeout=15).check(9)


def test_delete_force_paused(runtime, bundle):
    """A paused container can be force-deleted."""
    with runtime.running(bundle.sh("sleep 1000")):
        runtime("pause", bundle.id).check()
        runtime("delete", "--force", bundle.id).check()
        assert not runtime.has_state(bundle.id)


def test_kill_paused(runtime, bundle):
    """KILL of a paused container ends it (after resume at the latest)."""
    with runtime.running(bundle.sh("sleep 1000")):
        runtime("pause", bundle.id).check()
        runtime("kill", bundle.id, "KILL").check()
        if runtime.status(bundle.id) == "paused":
            runtime("resume", bundle.id)
        runtime.wait_status(bundle.id, "stopped")


@pytest.mark.differs(crun="other columns")
def test_list(runtime, bundle):
    """list: a table with the columns ID PID STATUS BUNDLE CREATED OWNER, JSON, and ids only with -q."""
    with runtime.running(bundle.sh("sleep 1000")) as state:
        lines = runtime("list").check().lines
        assert lines[0].split() == ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]
        assert lines[1].split()[:4] == [bundle.id, str(state["pid"]), "running", str(bundle.path)]
        assert lines[1].split()[5] == "root"
        (entry,) = json.loads(runtime("list", "--format", "json").check().out)
        assert entry["id"] == bundle.id
        assert entry["pid"] == state["pid"]
        assert entry["status"] == "running"
        assert entry["bundle"] == str(bundle.path)
        assert runtime("list", "-q").check().out == f"{bundle.id}\n"
        runtime("list", "--format", "yaml").fails(rc=1)


@pytest.mark.differs(crun="prints [] and other columns")
def test_list_empty(runtime):
    """list without containers: the header only, JSON null, and no state root is needed."""
    assert runtime("list").check().out.split() == ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]
    assert runtime("list", "-f", "json").check().out.strip() == "null"
    assert runtime("list", "-q").check().out == ""


@pytest.mark.differs(crun="table is a list of pids")
def test_ps(runtime, bundle):
    """ps: pids of the cgroup as JSON, and ps(1)'s table cut down to them."""
    with runtime.running(bundle.sh("sleep 1000 & sleep 1000 & wait")) as state:
        proc.until(lambda: len(cgroups.processes(bundle.linux["cgroupsPath"])) == 3)
        pids = json.loads(runtime("ps", "--format", "json", bundle.id).check().out)
        assert state["pid"] in pids
        assert len(pids) == 3
        lines = runtime("ps", bundle.id).check().lines
        assert lines[0].split()[:3] == ["UID", "PID", "PPID"]
        assert sorted(int(l.split()[1]) for l in lines[1:]) == sorted(pids)
        lines = runtime("ps", bundle.id, "-o", "pid,comm").check().lines
        assert lines[0].split() == ["PID", "COMMAND"]
        assert len(lines) == 4


@pytest.mark.differs(crun="crashes")
def test_ps_stopped(runtime, bundle):
    """A stopped container has no processes: null, and a table of its head."""
    with runtime.running(bundle.args("true")):
        runtime.wait_status(bundle.id, "stopped")
        assert runtime("ps", "--format", "json", bundle.id).check().out == "null\n"
        assert len(runtime("ps", bundle.id).check().lines) == 1


@pytest.mark.differs(runc="exec reads the bundle's config again", crun="")
def test_config_edits_after_create(runtime, bundle, workdir):
    """The configuration is taken at create: later edits have no effect on start or on a later exec."""
    out = workdir / "out"
    bundle.sh("echo original; sleep 1000")
    runtime.create(bundle, output=out).check()
    try:
        bundle.sh("echo edited").env(EDITED="1").save()
        (bundle.path / "config.json").write_text("not even JSON")
        runtime("start", bundle.id).check()
        proc.until(lambda: out.read_text() == "original\n", what="the original output")
        assert "EDITED" not in runtime("exec", bundle.id, "env").check().out
        (bundle.path / "config.json").unlink()
        assert runtime.status(bundle.id) == "running"
    finally:
        runtime("delete", "--force", bundle.id).check()


def test_bundle_default_is_cwd(runtime, bundle):
    """Without --bundle the current directory is the bundle, and state shows it absolute."""
    bundle.args("echo", "here").save()
    assert runtime("run", bundle.id, cwd=bundle.path).check().out == "here\n"
    relative = os.path.relpath(bundle.path, bundle.path.parent)
    assert runtime("run", "-b", relative, bundle.id, cwd=bundle.path.parent).check().out == "here\n"


def test_detach_returns(runtime, bundle):
    """run --detach returns while the container goes on."""
    started = time.monotonic()
    with runtime.running(bundle.sh("sleep 1000")) as state:
        assert time.monotonic() - started < 5
        assert os.path.exists(f"/proc/{state['pid']}")
        assert state["status"] == "running"


def test_init_dies_by_signal(runtime, bundle):
    """A container whose init was killed from outside is stopped, and can be deleted."""
    with runtime.running(bundle.sh("sleep 1000")) as state:
        os.kill(state["pid"], signal.SIGKILL)
        runtime.wait_status(bundle.id, "stopped")
        runtime("delete", bundle.id).check()
