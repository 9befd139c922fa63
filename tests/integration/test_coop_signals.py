"""Exit statuses 128+n and what a foreground run does with signals."""

import os
import signal

import pytest

from lib import cgroups, proc


@pytest.mark.parametrize("status", [0, 1, 2, 42, 125, 126, 127, 128, 200, 255])
def test_exit_status(runtime, bundle, status):
    """The exit status of the process is that of run."""
    assert runtime.run(bundle.sh(f"exit {status}")).rc == status


def test_crash(runtime, bundle):
    """A real fault of the init: 128 + SIGSEGV."""
    assert runtime.run(bundle.args(bundle.probe("crash"))).rc == 139


@pytest.mark.parametrize("number", [1, 2, 3, 6, 9, 13, 15])
def test_death_by_signal(runtime, bundle, number):
    """A process that dies by signal n: 128 + n (in the host's PID namespace, where it is no init)."""
    bundle.namespace("pid", absent=True).args(bundle.probe("suicide"), number)
    assert runtime.run(bundle).rc == 128 + number


@pytest.mark.parametrize("name", ["SIGHUP", "SIGINT", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGCONT", "SIGPIPE", "SIGALRM"])
def test_forwarding(runtime, bundle, name):
    """A foreground run passes signals on to the process."""
    number = getattr(signal, name)
    bundle.args(bundle.probe("signals"), 5).save()
    with runtime.background("run", "--bundle", bundle.path, bundle.id) as run:
        assert run.readline() == "ready"
        run.signal(number)
        assert run.readline() == str(int(number))
        run.signal(signal.SIGTERM)
        assert run.readline() == "15"
        assert run.wait().rc == 5


def test_forwarding_many(runtime, bundle):
    """Different signals in quick succession all arrive."""
    bundle.args(bundle.probe("signals"), 5).save()
    numbers = [1, 2, 10, 12]
    with runtime.background("run", "--bundle", bundle.path, bundle.id) as run:
        assert run.readline() == "ready"
        for number in numbers:
            run.signal(number)
        assert sorted(int(run.readline()) for _ in numbers) == numbers
        run.signal(signal.SIGTERM)
        run.wait()


def test_init_ignores_what_it_does_not_handle(runtime, bundle):
    """SIGTERM to an init without handler changes nothing (kernel rule); SIGKILL by 'kill' ends it: 137."""
    bundle.sh("trap '' TERM; echo up; while :; do sleep 0.05; done").save()
    with runtime.background("run", "--bundle", bundle.path, bundle.id) as run:
        run.readline()
        run.signal(signal.SIGTERM)
        assert runtime.status(bundle.id) == "running"
        runtime("kill", bundle.id, "KILL").check()
        assert run.wait().rc == 137


@pytest.mark.differs(runc="keeps ignored signals ignored", crun="keeps both")
def test_clean_signal_state(runtime, bundle):
    """The process starts with no blocked and no ignored signals, whatever the caller did."""

    def spoil():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGUSR2])

    bundle.args("grep", "^Sig", "/proc/self/status").save()
    result = runtime("run", "-b", bundle.path, bundle.id, preexec=spoil).check()
    masks = {l.split(":")[0]: int(l.split(":")[1], 16) for l in result.lines if not l.startswith("SigQ")}
    assert masks["SigBlk"] == 0
    assert masks["SigIgn"] & (1 << 1 | 1 << 9) == 0


def test_background_children_end(runtime, bundle):
    """With a PID namespace, everything the process left behind dies with it, and run ends at once."""
    bundle.sh("sleep 1000 & sleep 1000 & exit 3")
    assert runtime.run(bundle, timeout=10).rc == 3
    assert cgroups.named(bundle.id) == []


def test_background_children_end_shared_pid(runtime, bundle):
    """Without one, too: run deletes the container and with it all processes of its cgroup."""
    bundle.namespace("pid", absent=True).sh("sleep 1000 > /dev/null 2>&1 & exit 3")
    assert runtime.run(bundle, timeout=10).rc == 3
    assert cgroups.named(bundle.id) == []


def test_killed_runtime_leaves_a_deletable_container(runtime, bundle):
    """SIGKILL of the foreground runtime: the container is still there for state, kill and delete."""
    bundle.sh("echo up; sleep 1000").save()
    with runtime.background("run", "--bundle", bundle.path, bundle.id) as run:
        run.readline()
        os.kill(run.pid, signal.SIGKILL)
        run.child.wait()
        assert runtime.status(bundle.id) in ("running", "stopped")
        runtime("delete", "--force", bundle.id).check()
    assert not runtime.has_state(bundle.id)
    assert cgroups.named(bundle.id) == []


@pytest.mark.parametrize("delay", [0.0, 0.001, 0.003, 0.006, 0.01, 0.02])
@pytest.mark.differs(runc="1.1 leaves cgroups when killed early", crun="leaves cgroups when killed early")
def test_killed_while_starting(runtime, bundle, delay):
    """SIGKILL of the runtime at any moment of the start: delete --force (or nothing) cleans up all."""
    bundle.sh("sleep 1000").save()
    with runtime.background("run", "--bundle", bundle.path, bundle.id) as run:
        if delay:
            import time

            time.sleep(delay)
        os.kill(run.pid, signal.SIGKILL)
        run.child.wait()
    proc.until(lambda: runtime("delete", "--force", bundle.id).rc == 0, 10, 0.1, "delete --force after a kill")
    proc.until(lambda: cgroups.processes(bundle.linux["cgroupsPath"]) == [], 5, what="an empty cgroup")
    assert not runtime.has_state(bundle.id)
