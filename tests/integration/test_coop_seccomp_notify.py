"""SCMP_ACT_NOTIFY: calls are answered by an agent that got the filter's listener from the runtime."""

import json

import pytest

from lib import agent, proc

pytestmark = pytest.mark.needs("seccomp")

GETPPID, MKDIR, EXECVE, CAPSET, SENDMSG, CLOSE, FUTEX = 110, 83, 59, 126, 46, 3, 202


@pytest.fixture
def address(workdir):
    """Path of the agent's socket."""
    return workdir / "agent"


def notify(bundle, address, *names, **more):
    """Let the agent answer these calls."""
    rule = {"names": list(names), "action": "SCMP_ACT_NOTIFY"}
    bundle.linux["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"], "listenerPath": str(address), "syscalls": [rule], **more}
    return bundle


@pytest.mark.parametrize("no_new_privileges", [True, False])
@pytest.mark.parametrize("caps", [[], ["CAP_SYS_ADMIN"]])
def test_agent_answers(runtime, bundle, address, no_new_privileges, caps):
    """The agent's result and errno reach the caller, whatever the process may."""
    bundle.process["noNewPrivileges"] = no_new_privileges
    bundle.caps(*caps)
    probe = bundle.probe("syscall")
    with agent.Agent(address, errors={MKDIR: 42}, values={GETPPID: 4711}) as seen:
        notify(bundle, address, "getppid", "mkdir").sh(f"{probe} {GETPPID}; {probe} {MKDIR} 0 0")
        assert runtime.output(bundle).split() == ["4711", "0", "-1", "42"]
    assert not seen.failures


def test_state_document(runtime, bundle, address):
    """The document names the descriptor, the process, the metadata and the container's state."""
    bundle.config["annotations"] = {"org.example": "x"}
    notify(bundle, address, "getppid", listenerMetadata="for the agent").sh("sleep 1000")
    with agent.Agent(address) as seen, runtime.created(bundle) as state:
        assert seen.states == []
        runtime("start", bundle.id).check()
        document = proc.until(lambda: seen.states)[0]
        assert document["fds"] == ["seccompFd"]
        assert document["pid"] == state["pid"]
        assert document["metadata"] == "for the agent"
        assert document["ociVersion"] == bundle.config["ociVersion"]
        assert document["state"]["id"] == bundle.id
        assert document["state"]["pid"] == state["pid"]
        assert document["state"]["status"] == "created"
        assert document["state"]["bundle"] == str(bundle.path)
        assert document["state"]["annotations"] == {"org.example": "x"}
        assert len(seen.states) == 1


def test_exec(runtime, bundle, address):
    """A process of exec has a listener of its own."""
    probe = bundle.probe("syscall")
    with agent.Agent(address, values={GETPPID: 7}) as seen, runtime.running(notify(bundle, address, "getppid").sh("sleep 1000")) as state:
        assert runtime("exec", bundle.id, probe, GETPPID).check().out.split() == ["7", "0"]
        assert len(seen.states) == 2
        assert seen.states[1]["pid"] != state["pid"]
        assert seen.states[1]["state"]["pid"] == state["pid"]
        assert seen.states[1]["state"]["status"] == "running"


@pytest.mark.parametrize("no_new_privileges", [True, False])
def test_runtimes_own_calls(runtime, bundle, address, no_new_privileges):
    """The start itself may need the calls that the agent answers."""
    bundle.process.update(noNewPrivileges=no_new_privileges, user={"uid": 1000, "gid": 1000})
    bundle.caps()
    names = ["execve", "capset", "prctl", "sendmsg", "recvmsg", "recvfrom", "close", "close_range", "futex", "nanosleep", "read", "poll", "exit_group", "chdir", "setresuid"]
    with agent.Agent(address) as seen:
        assert runtime.output(notify(bundle, address, *names).args("echo", "fine")) == "fine\n"
    assert EXECVE in [nr for _, nr in seen.calls]


def test_flags(runtime, bundle, address):
    """All flags go together with a listener."""
    flags = ["SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]
    probe = bundle.probe("syscall")
    with agent.Agent(address, values={GETPPID: 9}):
        notify(bundle, address, "getppid", flags=flags).args(probe, GETPPID)
        assert runtime.output(bundle).split() == ["9", "0"]


def test_no_thread_is_left(runtime, bundle, address):
    """The process starts with one thread, no child and no descriptor of the hand-over."""
    script = "grep Threads /proc/self/status; ls /proc/1/fd; cat /proc/1/task/1/children"
    with agent.Agent(address):
        out = runtime.output(notify(bundle, address, "getppid").sh(script))
    words = out.split()
    assert words[:2] == ["Threads:", "1"]
    assert set(words[2:5]) == {"0", "1", "2"}


@pytest.mark.parametrize("verb", ["run", "start", "exec"])
def test_no_agent(runtime, bundle, address, verb):
    """Without an agent nothing runs, and the message says which socket was tried."""
    mark = bundle.path / "rootfs" / "tmp" / "mark"
    if verb == "run":
        notify(bundle, address, "getppid").sh("touch /tmp/mark")
        runtime.run(bundle).fails("seccomp listener", str(address), rc=1)
    elif verb == "start":
        runtime.create(notify(bundle, address, "getppid").sh("touch /tmp/mark")).check()
        runtime("start", bundle.id).fails("seccomp listener", str(address), rc=1)
        runtime.wait_status(bundle.id, "stopped")
        runtime("delete", bundle.id).check()
    else:
        with agent.Agent(address), runtime.running(notify(bundle, address, "getppid").sh("sleep 1000")):
            address.unlink()
            runtime("exec", bundle.id, "touch", "/tmp/mark").fails("seccomp listener", rc=255)
    assert not mark.exists()


def test_listener_path_is_required(runtime, bundle, address):
    """NOTIFY without listenerPath is an error; a listenerPath without NOTIFY is never used."""
    notify(bundle, address, "getppid")
    del bundle.linux["seccomp"]["listenerPath"]
    runtime.run(bundle).fails("/linux/seccomp/listenerPath", rc=1)
    bundle.linux["seccomp"]["syscalls"] = []
    bundle.linux["seccomp"]["listenerPath"] = "/no/such/socket"
    runtime.run(bundle).check()


@pytest.mark.parametrize("change", [{"defaultAction": "SCMP_ACT_NOTIFY"}, {"syscalls": [{"names": ["write"], "action": "SCMP_ACT_NOTIFY"}]}])
def test_refused(runtime, bundle, address, change):
    """NOTIFY can be neither the default action nor the answer to write."""
    notify(bundle, address, "getppid", **change)
    runtime.run(bundle).fails("SCMP_ACT_NOTIFY cannot be used", rc=1)


def test_features_say_so(runtime):
    """features lists the action and the flags."""
    document = json.loads(runtime("features").check().out)["linux"]["seccomp"]
    assert "SCMP_ACT_NOTIFY" in document["actions"]
    assert set(document["supportedFlags"]) <= set(document["knownFlags"])
