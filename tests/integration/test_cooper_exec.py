"""cooper exec: processes in running containers, and signals while they start."""

import contextlib
import os
import pathlib
import signal

import pytest

from lib import cgroups, proc
from lib.cooper import busybox_layout, cooper, cooper_session, engine_dir, new_engine  # noqa: F401

pytestmark = pytest.mark.needs("root", "cooper", "isolation")



def test_exec(cooper, unique):
    """Output apart, exit status, input, in the container's namespaces."""
    with cooper.running(unique()) as name:
        result = cooper("exec", name, "sh", "-c", "echo out; echo err >&2; exit 9")
        assert (result.rc, result.out, result.err) == (9, "out\n", "err\n")
        assert cooper("exec", "-i", name, "cat", stdin="in\n").check().out == "in\n"
        assert cooper("exec", name, "cat", stdin="in\n").check().out == ""
        inside = cooper("exec", name, "readlink", "/proc/self/ns/pid").check().out.strip()
        assert inside == os.readlink(f"/proc/{cooper.pid(name)}/ns/pid")
        cooper("exec", name, "sh", "-c", "kill -9 $$").check(137)


def test_exec_process(cooper, unique):
    """-e, --env-file, -w and -u on top of the container's own."""
    with cooper.running(unique(), "-e", "A=1", "-e", "B=1", "-w", "/tmp", "-u", "app") as name:
        assert cooper("exec", "-e", "A=2", name, "sh", "-c", "echo $A$B $HOME $(pwd) $(id -u)").check().out == "21 /home/app /tmp 1000\n"
        assert cooper("exec", "-u", "0", "-w", "/etc", name, "sh", "-c", "echo $HOME $(pwd) $(id -u)").check().out == "/root /etc 0\n"
        assert cooper("exec", "-u", "app:staff", name, "id", "-g").check().out == "50\n"
        cooper("exec", "-u", "wizard", name, "true").fails("wizard", rc=125)


def test_exec_of_a_number_is_that_user(cooper, unique):
    """A container that writes its own /etc/passwd and /etc/group does not choose who a number is (CVE-2016-3697)."""
    with cooper.running(unique()) as name:
        lie = "echo 4321:x:0:0::/:/bin/sh >> /etc/passwd; echo 4294967296:x:0:0::/:/bin/sh >> /etc/passwd; echo 4321:x:0: >> /etc/group"
        cooper("exec", name, "sh", "-c", lie).check()
        assert cooper("exec", "-u", "4321", name, "id", "-u").check().out == "4321\n"
        assert cooper("exec", "-u", "app:4321", name, "id", "-g").check().out == "4321\n"
        cooper("exec", "-u", "4294967296", name, "true").fails("4294967296", rc=125)


def test_exec_capabilities(cooper, unique):
    """root has the container's, others none, --privileged all."""

    def effective(*flags):
        return int(cooper("exec", *flags, name, "grep", "CapEff", "/proc/self/status").check().out.split()[1], 16)

    with cooper.running(unique(), "--cap-drop", "all", "--cap-add", "kill") as name:
        assert effective() == 1 << 5
        assert effective("-u", "app") == 0
        assert effective("--privileged") > 1 << 30


def test_exec_limits_and_filter(cooper, unique):
    """A further process has the container's seccomp filter, limits and cgroup."""
    with cooper.running(unique(), "--ulimit", "nofile=99:99", "--security-opt", "no-new-privileges") as name:
        out = cooper("exec", name, "sh", "-c", "ulimit -n; grep -E '^(Seccomp|NoNewPrivs):' /proc/self/status; cat /proc/self/cgroup").check().lines
        assert out[0] == "99" and out[1].split()[1] == "1" and out[2].split()[1] == "2"
        theirs = pathlib.Path(f"/proc/{cooper.pid(name)}/cgroup").read_text()
        with cooper.background("exec", name, "sleep", "5") as child:
            pids = proc.until(lambda: [int(p) for p in os.listdir("/proc") if p.isdigit() and _comm(p) == "sleep" and _args(p)[-1:] == ["5"]], what="the process")
            assert pathlib.Path(f"/proc/{pids[0]}/cgroup").read_text() == theirs
            assert child.child.poll() is None


def _comm(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def _args(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
    except OSError:
        return []


def test_exec_failures(cooper, unique):
    """126, 127, 125 as a shell and podman have them."""
    with cooper.running(unique()) as name:
        cooper("exec", name, "nosuchprogram").fails("nosuchprogram", rc=127)
        cooper("exec", name, "/etc").fails(rc=126)
        cooper("exec", "nosuchcontainer", "true").fails("nosuchcontainer", rc=125)
        cooper("exec", name).fails("usage", rc=125)
        cooper("exec", "-w", "x", name, "true").fails("absolute", rc=125)
        cooper("exec", "-w", "/etc/passwd", name, "true").fails("'/etc/passwd'", "not a directory", rc=125)
        cooper("exec", name, "").fails("empty word", rc=125)
        cooper("pause", name).check()
        cooper("exec", name, "true").fails("paused", "unpause", rc=125)
        cooper("unpause", name).check()
        cooper("kill", name).check()
        cooper.wait_state(name, "exited")
        cooper("exec", name, "true").fails("not running", rc=125)


@pytest.mark.needs("cgroup1")
def test_exec_while_the_container_ends(cooper, unique):
    """An init that is exiting waits for the others, here for one that is frozen: the container is not running."""
    with cooper.running(unique(), command=("sh", "-c", "sleep 1000 & wait")) as name:
        init = cooper.pid(name)
        child = proc.until(lambda: pathlib.Path(f"/proc/{init}/task/{init}/children").read_text().split(), 5, 0.02, "the child of the shell")[0]
        frozen = cgroups.directory("freezer", cgroups.of_process(init)["freezer"]) / "frozen"
        frozen.mkdir()
        try:
            (frozen / "cgroup.procs").write_text(child)
            (frozen / "freezer.state").write_text("FROZEN")
            os.kill(init, signal.SIGKILL)
            proc.until(lambda: not os.path.exists(f"/proc/{init}/root"), 5, 0.02, "the init to give up its root")
            for flags in ((), ("-u", "0")):
                result = cooper("exec", *flags, name, "true").fails("is not running", rc=125)
                assert "/proc/" not in result.err
        finally:
            (frozen / "freezer.state").write_text("THAWED")
        cooper.wait_state(name, "exited")


def test_exec_detached(cooper, unique):
    """-d returns at once; the process goes on."""
    with cooper.running(unique()) as name:
        assert cooper("exec", "-d", name, "sh", "-c", "sleep 0.3; echo done > /mark; echo noise").check().out == ""
        proc.until(lambda: cooper("exec", name, "cat", "/mark").out == "done\n", 5, 0.05, "the mark")


def test_exec_signals(cooper, unique):
    """Signals to the client reach the process; its end is the client's."""
    with cooper.running(unique()) as name:
        with cooper.background("exec", name, "sh", "-c", "trap 'echo got; exit 5' TERM; echo ready; while :; do sleep 0.05; done") as child:
            assert child.readline() == "ready"
            child.signal(signal.SIGTERM)
            assert child.readline() == "got"
            assert child.wait().rc == 5


@pytest.mark.needs("strace")
@pytest.mark.parametrize("verb", ["exec", "run", "pod run"])
def test_signals_while_it_starts(cooper, unique, verb):
    """A signal that comes when the process runs, but the client is not yet done with its own set-up, is passed on."""
    script = "trap 'echo got; exit 5' TERM; echo ready > /mark/word; while :; do sleep 0.05; done"
    name = unique()
    mark = pathlib.Path(cooper.root).parent / name
    mark.mkdir()
    mount = ("-v", f"{mark}:/mark")
    words = {"exec": ("exec", name), "run": ("run", "--rm", *mount, "busybox"), "pod run": ("pod", "run", "--rm", "busybox", *mount, "--")}
    # The client takes a while over each message: it is far behind the process.
    slow = ("strace", "-o", "/dev/null", "-e", "trace=recvmsg", "-e", "inject=recvmsg:delay_exit=150000")
    with contextlib.ExitStack() as stack:
        if verb == "exec":
            cooper("run", "-d", "--name", name, *mount, "busybox", "sleep", "1000").check()
            stack.callback(cooper, "rm", "-f", name)
        client = stack.enter_context(proc.Background(*slow, *cooper.argv(*words[verb], "sh", "-c", script)))
        proc.until(lambda: (mark / "word").exists(), 20, 0.01, "the process")
        os.kill(int(proc.run("pgrep", "-P", str(client.pid)).check().out), signal.SIGTERM)
        assert client.readline() == "got"
        assert client.wait().rc == 5
