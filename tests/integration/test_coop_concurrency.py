"""Many at once: one id twice, start and delete racing, 200 starts side by side."""

import os
import re
import time

import pytest

from lib import cgroups, proc


def spawn(runtime, *args):
    """Start a command whose output goes to a pipe."""
    return runtime.background(*args)


def finish(runs, timeout=120):
    """Results of all commands."""
    try:
        return [run.wait(timeout) for run in runs]
    finally:
        for run in runs:
            run.__exit__()


@pytest.mark.differs(runc="1.1: the two may undo each other")
def test_one_id_twice(runtime, bundle):
    """Two starts of one id at once: one wins, the other gets a clear error, ten times over."""
    bundle.sh("sleep 0.2; echo ran").save()
    for _ in range(10):
        results = finish([spawn(runtime, "run", "--bundle", bundle.path, bundle.id) for _ in range(2)])
        good = [r for r in results if r.rc == 0]
        bad = [r for r in results if r.rc != 0]
        assert len(good) >= 1, "\n".join(map(str, results))
        for result in bad:
            assert result.rc == 1 and "exist" in result.err, result
        for result in good:
            assert result.out == "ran\n"
        assert not runtime.has_state(bundle.id)
        assert cgroups.named(bundle.id) == []


@pytest.mark.differs(runc="1.1: a loser removes what the winner made")
def test_one_id_many_times(runtime, bundle):
    """Twelve creates of one id at once: exactly one wins and it works."""
    bundle.sh("sleep 1000").save()
    runs = [proc.Background(*runtime.argv("create", "--bundle", bundle.path, bundle.id, flags=("--log", runtime.workdir / f"log{i}")), env=runtime.environ, stdout=-3, stderr=-3) for i in range(12)]
    results = finish(runs)
    assert sorted(r.rc for r in results) == [0] + [1] * 11
    assert runtime.status(bundle.id) == "created"
    runtime("start", bundle.id).check()
    runtime("delete", "--force", bundle.id).check()


def test_start_twice_at_once(runtime, bundle, workdir):
    """Two starts of one created container: one wins, the program runs once."""
    bundle.sh(f"echo ran; sleep 0.5")
    for number in range(5):
        out = workdir / f"out{number}"
        runtime.create(bundle, output=out).check()
        results = finish([spawn(runtime, "start", bundle.id) for _ in range(3)])
        assert sorted(r.rc for r in results) == [0, 1, 1], "\n".join(map(str, results))
        runtime.wait_status(bundle.id, "stopped")
        assert out.read_text() == "ran\n"
        runtime("delete", bundle.id).check()


def test_start_against_delete(runtime, bundle):
    """start and delete --force at the same time: each either works or says why not; nothing is left."""
    bundle.sh("sleep 1000")
    for _ in range(10):
        runtime.create(bundle).check()
        results = finish([spawn(runtime, "start", bundle.id), spawn(runtime, "delete", "--force", bundle.id)])
        assert all(r.rc in (0, 1) for r in results)
        runtime("delete", "--force", bundle.id).check()
        assert not runtime.has_state(bundle.id)
        assert cgroups.named(bundle.id) == []


def test_delete_twice_at_once(runtime, bundle):
    """Four deletes at once: all end, the container is gone."""
    bundle.sh("sleep 1000")
    for _ in range(5):
        runtime.run_detached(bundle).check()
        results = finish([spawn(runtime, "delete", "--force", bundle.id) for _ in range(4)])
        assert 0 in [r.rc for r in results]
        assert not runtime.has_state(bundle.id)
        assert cgroups.named(bundle.id) == []


@pytest.mark.differs(runc="1.1 fails when a container vanishes meanwhile")
def test_list_while_others_come_and_go(runtime, make_bundle):
    """list and state never fail or crash while containers are made and deleted beside them."""
    tree = make_bundle("tree")
    boxes = [make_bundle(f"n{i}", tree=tree.rootfs) for i in range(4)]
    for box in boxes:
        box.save()
    runs = [spawn(runtime, "run", "--bundle", box.path, box.id) for box in boxes]
    try:
        while any(r.child.poll() is None for r in runs):
            runtime("list", "--format", "json").check()
    finally:
        results = finish(runs)
    assert [r.rc for r in results] == [0] * 4


def test_two_hundred_starts(runtime, make_bundle):
    """200 starts at once: every one works, nothing is left."""
    tree = make_bundle("tree")
    tree.probe("true")
    boxes = [make_bundle(f"n{i}", tree=tree.rootfs) for i in range(200)]
    for number, box in enumerate(boxes):
        box.sh(f"exit {number % 100}").save()
    fds = len(os.listdir("/proc/self/fd"))
    results = finish([spawn(runtime, "run", "--bundle", box.path, box.id) for box in boxes])
    wrong = [str(r) for number, r in enumerate(results) if r.rc != number % 100]
    assert not wrong, f"{len(wrong)} of 200:\n" + "\n".join(wrong[:3])
    assert len(os.listdir("/proc/self/fd")) == fds
    assert not runtime.root.exists() or os.listdir(runtime.root) == []


def test_fifty_alive(runtime, make_bundle):
    """Fifty containers side by side, listed, then deleted at once."""
    tree = make_bundle("tree")
    program = tree.probe("pause")
    boxes = [make_bundle(f"n{i}", tree=tree.rootfs) for i in range(50)]
    for box in boxes:
        runtime.run_detached(box.args(program)).check()
    assert sorted(runtime.ids()) == sorted(b.id for b in boxes)
    results = finish([spawn(runtime, "delete", "--force", box.id) for box in boxes])
    assert [r.rc for r in results] == [0] * 50
    assert runtime.ids() == []


def test_execs_and_delete(runtime, bundle):
    """Execs while the container is deleted: each ends with its status, 137 or 255; nothing hangs."""
    with runtime.running(bundle.sh("sleep 1000")):
        runs = [spawn(runtime, "exec", bundle.id, "sleep", "5") for _ in range(8)]
        runtime("delete", "--force", bundle.id).check()
        for result in finish(runs, 20):
            assert result.rc in (137, 255, 1), result


@pytest.mark.differs(runc="1.1: a container that is killed while it is paused stays frozen", crun="1.8 too")
@pytest.mark.parametrize("words", [("kill", "KILL"), ("delete", "--force")], ids=" ".join)
def test_pause_against_the_end(runtime, bundle, words):
    """Whoever pauses a container at the moment it is killed does not keep it from ending."""
    bundle.sh("sleep 1000")
    end = ("kill", bundle.id, "KILL") if words[0] == "kill" else ("delete", "--force", bundle.id)
    for round_ in range(40):
        runtime.run_detached(bundle).check()
        pause = spawn(runtime, "pause", bundle.id)
        time.sleep(round_ % 8 / 2000)
        paused, ended = finish([pause, spawn(runtime, *end)])
        ended.check()
        assert paused.rc in (0, 1), paused
        if words[0] == "kill":
            runtime.wait_status(bundle.id, "stopped")
            runtime("delete", bundle.id).check()
        assert not runtime.has_state(bundle.id)


@pytest.mark.differs(runc="1.1: the hooks run while the record is there", crun="1.8 too")
@pytest.mark.parametrize("kind", ["createRuntime", "poststart"])
def test_made_anew_during_poststop(runtime, bundle, make_bundle, workdir, kind):
    """A start fails and its poststop hooks run; a container that takes the id meanwhile keeps its record."""
    bundle.config["ociVersion"] = "1.3.0"
    bundle.sh("sleep 1000").hook(kind, "/bin/false").hook("poststop", "/bin/sh", "-c", f"touch {workdir}/here; sleep 0.5").save()
    other = make_bundle("other", tree=bundle.rootfs).sh("sleep 1000")
    other.id = bundle.id
    other.save()
    with runtime.background("run", "--bundle", bundle.path, bundle.id) as first:
        proc.until(lambda: (workdir / "here").exists(), what="the poststop hook")
        runtime.detached("run", "--detach", "--bundle", other.path, other.id).check()
        assert first.wait().rc == 1
    assert runtime.status(other.id) == "running"
    runtime("delete", "--force", other.id).check()


@pytest.mark.differs(runc="has no such lock", crun="has no such lock")
def test_made_anew_before_delete(runtime, bundle, workdir):
    """delete judges the container that it locks, not the one of that id which it read before: it removes no running one."""
    bundle.sh("exit 0")
    runtime.run_detached(bundle).check()
    runtime.wait_status(bundle.id, "stopped")
    trace = ("strace", "-o", workdir / "trace", "-e", "trace=openat")
    proc.run(*trace, *runtime.argv("delete", bundle.id), env=runtime.environ).check()
    opened = [line for line in (workdir / "trace").read_text().splitlines() if "openat(" in line]
    when = 1 + next(i for i, line in enumerate(opened) if bundle.id in line and "O_RDWR" in line)
    runtime.run_detached(bundle).check()
    runtime.wait_status(bundle.id, "stopped")
    held = (*trace, "-e", f"inject=openat:delay_enter=1500000:when={when}")
    with proc.Background(*held, *runtime.argv("delete", bundle.id), env=runtime.environ) as late:
        time.sleep(0.5)
        runtime("delete", bundle.id).check()
        runtime.run_detached(bundle.sh("sleep 1000")).check()
        late.wait().fails("not stopped", rc=1)
    assert runtime.status(bundle.id) == "running"
    runtime("delete", "--force", bundle.id).check()


@pytest.mark.parametrize("before, after", [(("pause",), ()), (("update", "--memory", "64M"), ()), (("mount", "add"), ("/etc", "/mnt")), (("mount", "rm"), ("/mnt",))])
@pytest.mark.differs(runc="other words", crun="other words")
def test_ends_meanwhile(runtime, bundle, workdir, before, after):
    """Who has looked at a running container, and then finds nothing to act on, says that it has stopped meanwhile."""
    argv = runtime.argv(*before, bundle.id, *after)
    trace = ("strace", "-o", workdir / "trace", "-e", "trace=openat")
    with runtime.running(bundle.sh("sleep 1000")) as state:
        proc.run(*trace, *argv, env=runtime.environ)
        runtime("resume", bundle.id)
        opened = [line for line in (workdir / "trace").read_text().splitlines() if "openat(" in line]
        looked = 1 + next(i for i, line in enumerate(opened) if f"/proc/{state['pid']}/stat" in line)
        # What it looked at is open; what it looks for next is gone.
        held = (*trace, "-e", f"inject=openat:delay_enter=500000:when={looked + 1}")
        with proc.Background(*held, *argv, env=runtime.environ) as late:
            time.sleep(0.2)
            runtime("delete", "--force", bundle.id).check()
            late.wait().fails("has stopped meanwhile", rc=1)


@pytest.mark.differs(runc="walks through /sys", crun="walks through /sys")
def test_start_looks_nothing_up_below_sys(runtime, bundle, workdir):
    """Network namespaces that come and go hold the lock of sysfs: starts that walk through /sys meanwhile wait for each other."""
    bundle.sh("exit 0").save()
    runtime("run", "--bundle", bundle.path, bundle.id).check()
    trace = ("strace", "-f", "-o", workdir / "trace", "-e", "trace=file")
    proc.run(*trace, *runtime.argv("run", "--bundle", bundle.path, bundle.id), env=runtime.environ).check()
    walked = re.findall(r'\((?:AT_FDCWD, )?"(/sys/[^"]*)"', (workdir / "trace").read_text())
    # Once, to hold it open.
    assert set(walked) <= {"/sys/fs/cgroup/"}
