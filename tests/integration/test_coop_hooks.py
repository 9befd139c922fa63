"""Hooks: order, namespaces, state on standard input, environment, time limits, failure."""

import json
import os

import pytest

from lib import cgroups, proc

KINDS = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"]
HOST_KINDS = [k for k in KINDS if k != "startContainer"]


@pytest.fixture
def log(workdir, bundle):
    """A directory seen at the same path outside and inside; hooks write into it."""
    path = workdir / "log"
    path.mkdir(mode=0o777)
    (bundle.rootfs / str(path).lstrip("/")).mkdir(parents=True)
    bundle.add_mount(str(path), "bind", path, "bind")
    return path


def note(bundle, kind, log, tail="", **more):
    """Add a hook that appends its kind to 'order' and keeps its standard input and facts."""
    script = f"cat > {log}/{kind}.json; echo {kind} >> {log}/order; for n in mnt uts; do readlink /proc/self/ns/$n; done > {log}/{kind}.ns; {tail}"
    return bundle.hook(kind, "/bin/sh", "-c", script, **more)


def order(log):
    """Kinds in the order their hooks ran."""
    return (log / "order").read_text().split()


@pytest.mark.differs(runc="1.1 runs poststart before the process starts", crun="1.8 has another order")
def test_order(runtime, bundle, log):
    """All six kinds run, in the order of the specification, around the process."""
    for kind in reversed(KINDS):
        note(bundle, kind, log)
    bundle.sh(f"echo process >> {log}/order; sleep 0.3")
    runtime.run(bundle).check()
    ran = order(log)
    assert ran[:4] == KINDS[:4]
    assert sorted(ran[4:6]) == ["poststart", "process"]
    assert ran[6] == "poststop"


def test_order_within_a_kind(runtime, bundle, log):
    """Hooks of one kind run one after the other as listed."""
    for number in range(5):
        bundle.hook("createRuntime", "/bin/sh", "-c", f"cat > /dev/null; sleep 0.0{5 - number}; echo {number} >> {log}/order")
    runtime.run(bundle).check()
    assert order(log) == ["0", "1", "2", "3", "4"]


@pytest.mark.differs(runc="1.1 runs poststart at create")
def test_phases(runtime, bundle, log):
    """create runs the create hooks, start the start hooks (poststart too), delete poststop."""
    for kind in KINDS:
        note(bundle, kind, log)
    runtime.create(bundle.sh("sleep 1000")).check()
    try:
        assert order(log) == KINDS[:3]
        runtime("start", bundle.id).check()
        assert order(log) == KINDS[:5]
    finally:
        runtime("delete", "--force", bundle.id).check()
    assert order(log) == KINDS


STATUS = {"prestart": "creating", "createRuntime": "creating", "createContainer": "creating", "startContainer": "created", "poststart": "running", "poststop": "stopped"}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_state_on_stdin(runtime, bundle, log, kind):
    """Each hook gets the state as JSON: ociVersion, id, status, pid, bundle, annotations."""
    bundle.config["annotations"] = {"org.example": "value"}
    note(bundle, kind, log)
    runtime.run(bundle).check()
    state = json.loads((log / f"{kind}.json").read_text())
    assert state["id"] == bundle.id
    assert state["bundle"] == str(bundle.path)
    assert state["annotations"] == {"org.example": "value"}
    assert state["ociVersion"]
    if kind != "poststop":
        assert state["pid"] > 0
    assert state["status"] in STATUS.values()


@pytest.mark.parametrize("kind", [k if k not in ("startContainer", "poststart") else pytest.param(k, marks=pytest.mark.differs(runc="1.1: one step early")) for k in KINDS])
@pytest.mark.differs(crun="1.8 says 'created' in all create hooks")
def test_status_in_state(runtime, bundle, log, kind):
    """The status in the hook's state is the one the specification gives for its moment."""
    note(bundle, kind, log)
    runtime.run(bundle).check()
    assert json.loads((log / f"{kind}.json").read_text())["status"] == STATUS[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_namespaces(runtime, bundle, log, kind):
    """createContainer and startContainer run in the container's namespaces, the others outside."""
    note(bundle, kind, log)
    bundle.sh(f"for n in mnt uts; do readlink /proc/self/ns/$n; done > {log}/process.ns")
    runtime.run(bundle).check()
    container = (log / "process.ns").read_text()
    outside = f"{os.readlink('/proc/self/ns/mnt')}\n{os.readlink('/proc/self/ns/uts')}\n"
    inside = kind in ("createContainer", "startContainer")
    assert (log / f"{kind}.ns").read_text() == (container if inside else outside)


def test_create_container_sees_mounts(runtime, bundle, log):
    """createContainer runs before pivot_root: host paths still resolve, the container's mounts are made."""
    bundle.hook("createContainer", "/bin/sh", "-c", f"cat /proc/self/mountinfo > {log}/mounts; cat > /dev/null")
    runtime.run(bundle).check()
    assert str(bundle.rootfs) in (log / "mounts").read_text()


def test_start_container_path_is_inside(runtime, bundle, log):
    """A startContainer hook is a program of the container."""
    (bundle.rootfs / "hook.sh").write_text(f"#!/bin/sh\necho inside > {log}/mark\n")
    (bundle.rootfs / "hook.sh").chmod(0o755)
    runtime.run(bundle.hook("startContainer", "/hook.sh")).check()
    assert (log / "mark").read_text() == "inside\n"


@pytest.mark.parametrize("kind", ["createRuntime", "startContainer", "poststop"])
def test_environment_and_arguments(runtime, bundle, log, kind):
    """A hook has exactly its own environment and arguments, none of the caller's."""
    script = f'echo "$0 $1" > {log}/args; env > {log}/env'
    bundle.hook(kind, "/bin/sh", "-c", script, "zero", "one", env=["A=1", "B=two words"])
    runtime.run(bundle, env={"SECRET": "x"}).check()
    lines = {l for l in (log / "env").read_text().splitlines() if not l.startswith(("PWD=", "SHLVL=", "_=", "OLDPWD=", "PATH="))}
    assert lines == {"A=1", "B=two words"}
    assert (log / "args").read_text() == "zero one\n"


@pytest.mark.needs("strace")
@pytest.mark.differs(runc="protects its program in another way", crun="protects its program in another way")
def test_environment_of_a_second_execution(runtime, bundle, log, workdir):
    """A hook without an environment of its own has the runtime's, and in it nothing of how that protects its program: a runtime that the hook
    starts would take it for its own."""
    note(bundle, "poststop", log, tail=f"env > {log}/env; ls /proc/self/fd > {log}/fds")
    trace = workdir / "trace"
    with runtime.created(bundle):
        # 'run' is a word that the program is executed again for where the kernel does not let it become its clone.
        delete = runtime.argv("delete", "--force", bundle.id, flags=("--log", "run"))
        tracer = ("strace", "-o", trace, "-e", "trace=prctl,execveat", "-e", "inject=prctl:error=EPERM:when=1")
        proc.run(*tracer, *delete, cwd=workdir, env=runtime.environ).check()
    assert trace.read_text().count("execveat(") == 1
    assert "_COOPER" not in (log / "env").read_text()
    assert max(int(fd) for fd in (log / "fds").read_text().split()) < 100


@pytest.mark.parametrize("kind", ["prestart", "createRuntime", "createContainer", "startContainer"])
def test_failure_before_start(runtime, bundle, log, kind):
    """A failing hook before the process: an error naming the hook's kind, the process never runs, all is undone."""
    bundle.hook(kind, "/bin/sh", "-c", "echo the reason >&2; exit 3")
    note(bundle, "poststop", log)
    bundle.sh(f"echo process >> {log}/order")
    result = runtime.run(bundle).fails(rc=1)
    assert "hook" in result.err
    # What the hooks before had set up is taken down by the poststop hooks.
    assert order(log) == ["poststop"]
    assert json.loads((log / "poststop.json").read_text())["status"] == "stopped"
    assert cgroups.named(bundle.id) == []


@pytest.mark.parametrize("kind", ["pid", pytest.param("time", marks=pytest.mark.needs("timens"))])
@pytest.mark.differs(runc="1.1 runs no hooks then, and has no time namespaces", crun="runs no hooks then")
def test_namespaces_after_a_failure(runtime, make_bundle, bundle, log, kind):
    """A start that fails before there is a process of the container: poststop hooks run in the caller's namespaces, not in those it would have had."""
    note(bundle, "poststop", log, tail=f"readlink /proc/self/ns/{kind} > {log}/namespace")
    holder = make_bundle("holder")
    with runtime.running(holder.args(holder.probe("pause"))) as state:
        if kind == "pid":
            bundle.namespace("pid", f"/proc/{state['pid']}/ns/pid")
            bundle.process["rlimits"] = [{"type": "RLIMIT_NOFILE", "hard": 2**40, "soft": 1024}]
        else:
            bundle.namespace("time").linux["timeOffsets"] = {"boottime": {"secs": -(10**9)}}
        runtime.run(bundle).fails(rc=1)
    assert (log / "namespace").read_text().strip() == os.readlink(f"/proc/self/ns/{kind}")


@pytest.mark.parametrize("kind", ["startContainer", "poststart"])
@pytest.mark.differs(runc="1.1 goes on to the process", crun="1.8 only warns")
def test_failure_at_start(runtime, bundle, log, kind):
    """A failing hook of the start fails it; the container is ended and deleted, and poststop hooks run."""
    bundle.config["ociVersion"] = "1.3.0"
    bundle.hook(kind, "/bin/false").sh("sleep 1000")
    note(bundle, "poststop", log)
    with runtime.created(bundle) as state:
        runtime("start", bundle.id).fails(kind, "hook", rc=1)
        assert not runtime.has_state(bundle.id)
        assert not os.path.exists(f"/proc/{state['pid']}")
        assert order(log) == ["poststop"]
        assert cgroups.named(bundle.id) == []


@pytest.mark.differs(runc="1.1 ends the container")
def test_poststart_failure_before_1_3(runtime, bundle, log):
    """Below version 1.3 of the specification a failing poststart hook is a warning: the others run, the container goes on."""
    bundle.config["ociVersion"] = "1.2.1"
    bundle.hook("poststart", "/bin/false").sh("exit 3")
    note(bundle, "poststart", log)
    result = runtime.run(bundle)
    assert result.rc == 3
    assert "poststart hook #0 '/bin/false'" in result.err
    assert order(log) == ["poststart"]


@pytest.mark.parametrize("kind", ["createContainer", "startContainer"])
def test_pid_inside(runtime, bundle, log, kind):
    """A hook in the container's namespaces gets the pid that the container sees."""
    note(bundle, kind, log)
    runtime.run(bundle).check()
    assert json.loads((log / f"{kind}.json").read_text())["pid"] == 1


@pytest.mark.parametrize("kind", [k for k in KINDS if k != "startContainer"])
def test_no_inherited_descriptors(runtime, bundle, log, kind):
    """What the caller left open, and what is preserved for the process, is not the hooks'."""
    bundle.save()
    bundle.hook(kind, "/bin/sh", "-c", f"cat > /dev/null; ls /proc/self/fd > {log}/fds")
    read, write = os.pipe()
    try:
        bundle.save()
        runtime("run", "--bundle", bundle.path, "--preserve-fds", "1", bundle.id, pass_fds=(3, read, write), preexec=lambda: os.dup2(read, 3)).check()
    finally:
        os.close(read)
        os.close(write)
    assert set((log / "fds").read_text().split()) <= {"0", "1", "2", "3"}
    assert len((log / "fds").read_text().split()) <= 4


@pytest.mark.differs(runc="1.1 stops at the first failure")
def test_failure_of_poststop(runtime, bundle, log):
    """A failing poststop hook is a warning: the others still run and the container is gone."""
    bundle.hook("poststop", "/bin/false")
    note(bundle, "poststop", log)
    runtime.run(bundle).check()
    assert order(log) == ["poststop"]
    assert cgroups.named(bundle.id) == []


def test_poststop_after_resources(runtime, bundle, log):
    """poststop runs after the container's resources are gone."""
    folder = cgroups.directory("pids", bundle.linux["cgroupsPath"])
    bundle.hook("poststop", "/bin/sh", "-c", f"test -d {folder} && echo there > {log}/found; cat > /dev/null")
    runtime.run(bundle).check()
    assert not (log / "found").exists()


@pytest.mark.parametrize("kind", ["createRuntime", "createContainer", "startContainer"])
def test_timeout(runtime, bundle, kind):
    """A hook that outlives its timeout is killed and counts as failed."""
    bundle.hook(kind, "/bin/sleep", "30", timeout=1)
    runtime.run(bundle, timeout=15).fails(rc=1)


def test_no_timeout_when_fast(runtime, bundle):
    """A hook within its timeout is fine."""
    runtime.run(bundle.hook("createRuntime", "/bin/true", timeout=5)).check()


@pytest.mark.parametrize("path", ["relative", "/no/such/hook", "/etc/passwd"])
@pytest.mark.differs(crun="words")
def test_bad_path(runtime, bundle, path):
    """A hook that is relative, missing or not executable is an error that names it."""
    runtime.run(bundle.hook("createRuntime", path)).fails(path, rc=1)


@pytest.mark.parametrize("timeout", [0, -5])
@pytest.mark.differs(crun="takes any")
def test_bad_timeout(runtime, bundle, timeout):
    """A timeout must be more than zero."""
    runtime.run(bundle.hook("createRuntime", "/bin/true", timeout=timeout)).fails("timeout", rc=1)


def test_no_descriptors(runtime, bundle, log):
    """Hooks see none of the runtime's file descriptors, only 0, 1 and 2."""
    (log / "fds").touch()
    script = f"cat > /dev/null; ls -l /proc/self/fd > {log}/fds"
    bundle.hook("createRuntime", "/bin/sh", "-c", script)
    runtime.run(bundle).check()
    numbers = [l.split()[8] for l in (log / "fds").read_text().splitlines()[1:]]
    assert set(numbers) <= {"0", "1", "2", "3"}  # 3 is the directory that ls reads


def test_ignores_stdin(runtime, bundle):
    """A hook that never reads its standard input is no error."""
    bundle.config["annotations"] = {"filler": "x" * 200000}
    runtime.run(bundle.hook("createRuntime", "/bin/true")).check()


def test_sees_network_namespace(runtime, bundle, log):
    """A createRuntime hook can reach the new network namespace by the pid of the state, as CNI callers do."""
    script = f"pid=$(sed 's/.*\"pid\": *\\([0-9]*\\).*/\\1/' | tail -1); readlink /proc/$pid/ns/net > {log}/net"
    bundle.hook("createRuntime", "/bin/sh", "-c", script)
    inside = runtime.output(bundle.args("readlink", "/proc/self/ns/net"))
    assert proc.until(lambda: (log / "net").read_text()) == inside


def test_output(runtime, bundle):
    """What hooks say goes to standard error: standard output is the container's."""
    for kind in KINDS:
        bundle.hook(kind, "/bin/sh", "-c", f"echo {kind} says; echo {kind} warns >&2")
    result = runtime.run(bundle.sh("echo result")).check()
    assert result.out == "result\n"
    for kind in KINDS:
        assert f"{kind} says\n{kind} warns\n" in result.err


@pytest.mark.parametrize("kind", KINDS)
def test_without_environment(runtime, bundle, log, kind):
    """Without one of its own, a hook of the host has the caller's environment, one of the container that of its process."""
    bundle.hook(kind, "/bin/sh", "-c", f"echo $OF_CALLER,$OF_PROCESS > {log}/env")
    bundle.process["env"].append("OF_PROCESS=inside")
    runtime.run(bundle, env={"OF_CALLER": "outside"}).check()
    assert (log / "env").read_text() == (",inside\n" if kind == "startContainer" else "outside,\n")
