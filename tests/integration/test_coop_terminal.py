"""Terminals: --console-socket, run and exec in the foreground on a pty, sizes, restoring the caller's terminal."""

import contextlib
import os
import signal
import socket
import termios

import pytest

from lib import proc, ptys


def on_terminal(runtime, *args):
    """Run a runtime command on a fresh pty."""
    return ptys.OnTerminal(*runtime.argv(*args), env=runtime.environ)


def test_console_socket(runtime, bundle, workdir):
    """create with a terminal sends the pty master to the console socket; the process has it as controlling terminal."""
    bundle.process["terminal"] = True
    bundle.args(bundle.probe("tty"))
    with ptys.Console(workdir / "console.sock") as console:
        bundle.save()
        runtime("create", "--bundle", bundle.path, "--console-socket", console.path, bundle.id).check()
        master = console.receive()
        assert console.name
        runtime("start", bundle.id).check()
        text = ptys.read_all(master)
        assert "tty=111" in text and "leader=1" in text and "foreground=1" in text
        runtime.wait_status(bundle.id, "stopped")
        runtime("delete", bundle.id).check()


def test_console_size(runtime, bundle, workdir):
    """consoleSize is the terminal's size from the beginning."""
    bundle.process.update(terminal=True, consoleSize={"height": 41, "width": 123})
    bundle.args(bundle.probe("tty"))
    with ptys.Console(workdir / "console.sock") as console:
        bundle.save()
        runtime("run", "--detach", "--bundle", bundle.path, "--console-socket", console.path, bundle.id).check()
        assert "size=41x123" in ptys.read_all(console.receive())
        runtime("delete", "--force", bundle.id).check()


def test_console_resize(runtime, bundle, workdir):
    """The receiver of the master can resize; the process gets SIGWINCH and sees the new size."""
    bundle.process["terminal"] = True
    bundle.sh("trap 'stty size; exit' WINCH; echo ready; while :; do sleep 0.05; done")
    with ptys.Console(workdir / "console.sock") as console:
        bundle.save()
        runtime("run", "--detach", "--bundle", bundle.path, "--console-socket", console.path, bundle.id).check()
        master = console.receive()
        ptys.read_all(master, until="ready")
        ptys.resize(master, 10, 20)
        assert "10 20" in ptys.read_all(master)
        runtime("delete", "--force", bundle.id).check()


def test_console_is_two_way(runtime, bundle, workdir):
    """What is written to the master reaches the process; control-D ends its input."""
    bundle.process["terminal"] = True
    bundle.args("cat")
    with ptys.Console(workdir / "console.sock") as console:
        bundle.save()
        runtime("run", "-d", "-b", bundle.path, "--console-socket", console.path, bundle.id).check()
        master = console.receive()
        os.write(master, b"typed\n")
        assert ptys.read_all(master, until="typed\r\ntyped\r\n")
        os.write(master, b"\x04")
        runtime.wait_status(bundle.id, "stopped")
        runtime("delete", bundle.id).check()


def test_dev_console(runtime, bundle, workdir):
    """/dev/console is the terminal, owned by the process's user."""
    bundle.process.update(terminal=True, user={"uid": 1000, "gid": 1000})
    bundle.sh("stat -c 'owner=%u type=%F' /dev/console; echo to console > /dev/console; tty")
    with ptys.Console(workdir / "console.sock") as console:
        bundle.save()
        runtime("run", "-d", "-b", bundle.path, "--console-socket", console.path, bundle.id).check()
        text = ptys.read_all(console.receive())
        assert "owner=1000 type=character special file" in text
        assert "to console" in text
        assert "/dev/" in text.splitlines()[-1]
        runtime("delete", "--force", bundle.id).check()


@pytest.mark.differs(crun="other words")
def test_detached_terminal_needs_socket(runtime, bundle):
    """A terminal with create or run --detach and no console socket is refused."""
    bundle.process["terminal"] = True
    runtime.create(bundle).fails("console", "socket", rc=1)
    runtime.run_detached(bundle).fails("console", "socket", rc=1)


@pytest.mark.differs(crun="ignores it")
def test_socket_without_terminal(runtime, bundle, workdir):
    """A console socket without a terminal is refused."""
    with ptys.Console(workdir / "console.sock") as console:
        runtime.create(bundle, "--console-socket", console.path).fails("console", "socket", rc=1)


def test_socket_missing(runtime, bundle, workdir):
    """A console socket that nobody listens on is an error and nothing is left."""
    bundle.process["terminal"] = True
    runtime.create(bundle, "--console-socket", workdir / "nobody.sock").fails(rc=1)
    assert not runtime.has_state(bundle.id)


@pytest.mark.differs(crun="waits for ever")
def test_socket_without_end(runtime, bundle, workdir):
    """A console socket whose queue is full and stays so ends the wait, and nothing is left."""
    bundle.process["terminal"] = True
    with socket.socket(socket.AF_UNIX) as listener, contextlib.ExitStack() as others:
        listener.bind(str(workdir / "full.sock"))
        listener.listen(0)
        for _ in range(4):
            other = others.enter_context(socket.socket(socket.AF_UNIX))
            other.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                other.connect(str(workdir / "full.sock"))
        runtime.create(bundle, "--console-socket", workdir / "full.sock").fails("full.sock", rc=1)
    assert not runtime.has_state(bundle.id)


@pytest.mark.differs(runc="other words", crun="other words")
def test_foreground_needs_terminal(runtime, bundle):
    """run and exec -t whose input is no terminal are refused: a shell that never hears of its end would wait for ever."""
    bundle.process["terminal"] = True
    runtime.run(bundle.args("sh")).fails("not a TTY", rc=1)
    assert not runtime.has_state(bundle.id)
    bundle.process["terminal"] = False
    with runtime.running(bundle.args(bundle.probe("pause"))):
        runtime("exec", "-t", bundle.id, "sh").fails("not a TTY", rc=255)


def test_foreground(runtime, bundle):
    """run in the foreground with a terminal: the process gets one of its own."""
    bundle.process["terminal"] = True
    bundle.args(bundle.probe("tty")).save()
    with on_terminal(runtime, "run", "--bundle", bundle.path, bundle.id) as run:
        status, text = run.wait()
        assert status == 0, text
        assert "tty=111" in text and "leader=1" in text


@pytest.mark.differs(runc="1.1 sets the size a moment after the start", crun="")
def test_foreground_size(runtime, bundle):
    """From its first instruction the process sees the caller's terminal size."""
    bundle.process["terminal"] = True
    bundle.args(bundle.probe("tty")).save()
    for _ in range(3):
        with on_terminal(runtime, "run", "--bundle", bundle.path, bundle.id) as run:
            assert "size=33x77" in run.wait()[1]


@pytest.mark.differs(runc="1.1 sets the size a moment after the start", crun="keeps that of the configuration")
def test_foreground_size_is_the_callers(runtime, bundle):
    """In the foreground consoleSize does not count: the program sees the caller's size from its first instruction."""
    bundle.process.update(terminal=True, consoleSize={"height": 10, "width": 20})
    bundle.args(bundle.probe("tty")).save()
    for _ in range(5):
        with on_terminal(runtime, "run", "--bundle", bundle.path, bundle.id) as run:
            assert "size=33x77" in run.wait()[1]


def test_foreground_status(runtime, bundle):
    """The exit status comes through the terminal path, too."""
    bundle.process["terminal"] = True
    bundle.sh("exit 9").save()
    with on_terminal(runtime, "run", "--bundle", bundle.path, bundle.id) as run:
        assert run.wait()[0] == 9


def test_foreground_input(runtime, bundle):
    """Typing reaches the process; interrupt from the keyboard reaches it as SIGINT."""
    bundle.process["terminal"] = True
    bundle.sh("trap 'echo interrupted; exit 5' INT; read line; echo got $line; while :; do sleep 0.05; done").save()
    with on_terminal(runtime, "run", "--bundle", bundle.path, bundle.id) as run:
        run.write("hello\n")
        run.expect("got hello")
        run.write("\x03")
        status, text = run.wait()
        assert status == 5 and "interrupted" in text


def test_foreground_resize(runtime, bundle):
    """A resize of the caller's terminal reaches the container's."""
    bundle.process["terminal"] = True
    bundle.sh("trap 'stty size; exit' WINCH; echo ready; while :; do sleep 0.05; done").save()
    with on_terminal(runtime, "run", "--bundle", bundle.path, bundle.id) as run:
        run.expect("ready")
        ptys.resize(run.master, 11, 22)
        assert "11 22" in run.wait()[1]


def test_foreground_restores_terminal(runtime, bundle):
    """The caller's terminal is raw while the container runs and as before afterwards - also after a kill of the container."""
    bundle.process["terminal"] = True
    bundle.sh("echo ready; sleep 1000").save()
    with on_terminal(runtime, "run", "--bundle", bundle.path, bundle.id) as run:
        before = termios.tcgetattr(run.slave)
        run.expect("ready")
        assert not termios.tcgetattr(run.slave)[3] & termios.ICANON
        runtime("kill", bundle.id, "KILL").check()
        proc.until(lambda: run.child.poll() is not None, 15, what="end of run")
        assert termios.tcgetattr(run.slave) == before
        assert run.child.returncode == 137


def test_foreground_large_output(runtime, bundle):
    """A megabyte through the terminal arrives complete."""
    bundle.process["terminal"] = True
    bundle.sh("i=0; while [ $i -lt 20000 ]; do echo 0123456789012345678901234567890123456789012345678; i=$((i+1)); done; echo END").save()
    with on_terminal(runtime, "run", "--bundle", bundle.path, bundle.id) as run:
        text = run.wait(60)[1]
        assert text.count("0123456789012345678901234567890123456789012345678") == 20000
        assert "END" in text


def test_exec_terminal(runtime, bundle):
    """exec -t in the foreground gives a terminal to the new process, with size and exit status."""
    probe = bundle.probe("tty")
    with runtime.running(bundle.sh("sleep 1000")):
        with on_terminal(runtime, "exec", "-t", bundle.id, "sh", "-c", f"{probe}; exit 4") as run:
            status, text = run.wait()
            assert status == 4
            assert "tty=111" in text


def test_exec_console_socket(runtime, bundle, workdir):
    """exec -t -d --console-socket hands the terminal over."""
    probe = bundle.probe("tty")
    with runtime.running(bundle.sh("sleep 1000")), ptys.Console(workdir / "console.sock") as console:
        runtime("exec", "-t", "-d", "--console-socket", console.path, bundle.id, probe).check()
        assert "tty=111" in ptys.read_all(console.receive())


def test_hangup(runtime, bundle):
    """When the caller's terminal goes away the container gets its signal and the runtime ends."""
    bundle.process["terminal"] = True
    bundle.sh("echo ready; sleep 1000").save()
    with on_terminal(runtime, "run", "--bundle", bundle.path, bundle.id) as run:
        run.expect("ready")
        os.kill(run.pid, signal.SIGTERM)
        runtime("kill", bundle.id, "KILL")
        proc.until(lambda: run.child.poll() is not None, 15, what="end of run")
