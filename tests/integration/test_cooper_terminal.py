"""Terminals of cooper: run -it, exec -it and attach on a pty; sizes, detach keys, raw mode and its end."""

import os
import signal
import termios
import time

import pytest

from lib import proc, ptys
from lib.cooper import busybox_layout, cooper, cooper_session, engine_dir, new_engine  # noqa: F401

pytestmark = pytest.mark.needs("root", "cooper", "isolation")

DETACH = "\x10\x11"


def settings(fd):
    """Terminal settings that can be compared."""
    return termios.tcgetattr(fd)[:4]


def test_run_on_a_terminal(cooper):
    """The app has a controlling terminal of its own, named in /dev/pts, of our size."""
    with cooper.on_terminal("run", "--rm", "-it", "busybox", "sh", "-c", "tty; sleep 0.2; stty size; test -t 0 -a -t 1 -a -t 2 && echo all; exit 4", rows=41, columns=123) as terminal:
        status, text = terminal.wait()
    assert status == 4 and "/dev/pts/0" in text and "41 123" in text and "all" in text


def test_size_from_the_beginning(cooper):
    """The first thing the app can ask already has the right answer."""
    sizes = set()
    for _ in range(5):
        with cooper.on_terminal("run", "--rm", "-it", "busybox", "stty", "size", rows=31, columns=97) as terminal:
            sizes.add(terminal.wait()[1].strip())
    assert sizes == {"31 97"}


def test_typing(cooper):
    """What is typed arrives, once echoed by the app's terminal; control-D ends the input."""
    with cooper.on_terminal("run", "--rm", "-it", "busybox", "sh") as terminal:
        terminal.expect("#")
        terminal.write("echo $((6*7))\r")
        if "#" not in terminal.expect("42").split("42")[-1]:
            terminal.expect("#")
        terminal.write("\x04")
        assert terminal.wait()[0] == 0


def test_control_c(cooper):
    """Signal keys act inside, not on the client."""
    with cooper.on_terminal("run", "--rm", "-it", "busybox", "sh", "-c", "trap 'echo interrupted; exit 3' INT; echo ready; while :; do sleep 0.05; done") as terminal:
        terminal.expect("ready")
        terminal.write("\x03")
        status, text = terminal.wait()
    assert status == 3 and "interrupted" in text


def test_resize(cooper):
    """A new size reaches the app as SIGWINCH."""
    with cooper.on_terminal("run", "--rm", "-it", "busybox", "sh", "-c", "trap 'stty size' WINCH; echo ready; while [ \"$(stty size)\" != '12 34' ]; do sleep 0.05; done") as terminal:
        terminal.expect("ready")
        time.sleep(0.2)
        ptys.resize(terminal.master, 12, 34)
        os.kill(terminal.pid, signal.SIGWINCH)
        status, text = terminal.wait()
        assert status == 0 and "12 34" in text


def test_detach_keys(cooper, unique):
    """The keys leave the app running and the terminal as it was; attach comes back."""
    name = unique()
    with cooper.on_terminal("run", "-it", "--name", name, "busybox", "sh") as terminal:
        before = settings(terminal.slave)
        terminal.expect("#")
        assert settings(terminal.slave) != before
        terminal.write("echo kept$((1+1))\r")
        terminal.expect("kept2")
        terminal.write(DETACH)
        proc.until(lambda: terminal.child.poll() is not None, what="detach")
        assert settings(terminal.slave) == before
        assert terminal.child.returncode == 0
    assert cooper.state(name) == "running"
    with cooper.on_terminal("attach", name) as terminal:
        terminal.write("echo again$((2+2))\r")
        terminal.expect("again4")
        terminal.write("exit 6\r")
        assert terminal.wait()[0] == 6


def test_other_detach_keys(cooper, unique):
    """--detach-keys replaces them; the usual ones then reach the app."""
    name = unique()
    with cooper.on_terminal("run", "-it", "--detach-keys", "ctrl-a,d", "--name", name, "busybox", "cat", "-v") as terminal:
        time.sleep(0.3)
        terminal.write("\x10\x16\x11x\r")
        terminal.expect("x")
        assert terminal.child.poll() is None
        terminal.write("\x01d")
        proc.until(lambda: terminal.child.poll() is not None, what="detach")
    assert cooper.state(name) == "running"
    cooper("run", "--rm", "--detach-keys", "strg-a", "busybox", "true").fails("strg-a", rc=125)


def test_broken_detach_sequence(cooper):
    """Half of the keys, then something else: both arrive."""
    with cooper.on_terminal("run", "--rm", "-it", "busybox", "sh", "-c", "stty raw -echo; echo ready; dd bs=1 count=3 2>/dev/null | od -An -tx1") as terminal:
        terminal.expect("ready")
        terminal.write("\x10ab")
        assert "10 61 62" in terminal.wait()[1]


@pytest.mark.parametrize("end", ["exit", "kill", "signal"])
def test_terminal_is_restored(cooper, unique, end):
    """However the session ends, the terminal has its old settings."""
    name = unique()
    with cooper.on_terminal("run", "-it", "--name", name, "--sig-proxy=false", "busybox", "sh") as terminal:
        before = settings(terminal.slave)
        terminal.expect("#")
        if end == "exit":
            terminal.write("exit\r")
        elif end == "kill":
            cooper("kill", name).check()
        else:
            os.kill(terminal.pid, signal.SIGTERM)
        proc.until(lambda: terminal.child.poll() is not None, what="the end")
        assert settings(terminal.slave) == before
        assert terminal.child.returncode == {"exit": 0, "kill": 137, "signal": -15}[end]


def test_terminal_is_restored_when_the_monitor_dies(cooper, unique):
    """Also then, with the status of the record that the guardian leaves."""
    name = unique()
    with cooper.on_terminal("run", "-it", "--name", name, "busybox", "sh") as terminal:
        before = settings(terminal.slave)
        terminal.expect("#")
        os.kill(cooper.monitor(name), signal.SIGKILL)
        proc.until(lambda: terminal.child.poll() is not None, what="the end")
        assert settings(terminal.slave) == before and terminal.child.returncode != 0


def test_stop_and_continue(cooper, unique):
    """After the shell's job control the terminal is raw again."""
    with cooper.on_terminal("run", "--rm", "-it", "busybox", "sh") as terminal:
        terminal.expect("#")
        raw = settings(terminal.slave)
        cooked = termios.tcgetattr(terminal.slave)
        cooked[3] |= termios.ECHO | termios.ICANON
        os.kill(terminal.pid, signal.SIGSTOP)
        termios.tcsetattr(terminal.slave, termios.TCSANOW, cooked)
        os.kill(terminal.pid, signal.SIGCONT)
        proc.until(lambda: settings(terminal.slave) == raw, what="raw mode")
        terminal.write("exit\r")
        assert terminal.wait()[0] == 0


def test_terminal_without_input(cooper):
    """-t alone: a terminal for the output, our terminal stays as it is."""
    with cooper.on_terminal("run", "--rm", "-t", "busybox", "sh", "-c", "test -t 1 && echo yes; sleep 0.3") as terminal:
        before = settings(terminal.slave)
        terminal.expect("yes")
        assert settings(terminal.slave) == before
        assert terminal.wait()[0] == 0


def test_terminal_wanted_without_one(cooper):
    """-it with pipes: a warning, and it works; the end of input is the end of file key."""
    result = cooper("run", "--rm", "-it", "busybox", "cat", stdin="word\n")
    assert result.rc == 0 and "word" in result.out and "no terminal" in result.err
    result = cooper("run", "--rm", "-t", "busybox", "tty")
    assert result.out.startswith("/dev/pts/") and "no terminal" not in result.err


def test_detached_terminal(cooper, unique):
    """-dt: the app has a terminal although nobody looks; attach shows it."""
    with cooper.running(unique(), "-t", "-i", command=("sh", "-c", "tty; while read line; do echo got $line; done")) as name:
        assert cooper.inspect(name)["terminal"] is True
        proc.until(lambda: "/dev/pts/0" in cooper("logs", name).out, what="the log")
        with cooper.on_terminal("attach", name) as terminal:
            time.sleep(0.3)
            terminal.write("this\r")
            terminal.expect("got this")
            terminal.write(DETACH)
            proc.until(lambda: terminal.child.poll() is not None, what="detach")
        assert cooper.state(name) == "running"


def test_log_of_a_terminal(cooper, unique):
    """The log has the terminal's output as one stream."""
    name = unique()
    with cooper.on_terminal("run", "-it", "--name", name, "busybox", "sh", "-c", "echo out; echo err >&2") as terminal:
        terminal.wait()
    assert cooper("logs", name).check().out.splitlines() == ["out", "err"]


# --- exec ------------------------------------------------------------------------------


def test_exec_on_a_terminal(cooper, unique):
    """A terminal of its own, of our size from the beginning; typing; the status."""
    with cooper.running(unique()) as name, cooper.on_terminal("exec", "-it", name, "sh", "-c", "stty size; tty; read x; echo got $x; exit 9", rows=22, columns=66) as terminal:
        text = terminal.expect("/dev/pts/")
        assert "22 66" in text
        terminal.write("word\r")
        status, text = terminal.wait()
        assert status == 9 and "got word" in text


def test_exec_resize(cooper, unique):
    """SIGWINCH is passed on."""
    with cooper.running(unique()) as name:
        with cooper.on_terminal("exec", "-it", name, "sh", "-c", "trap 'stty size; exit' WINCH; echo ready; while :; do sleep 0.05; done") as terminal:
            terminal.expect("ready")
            ptys.resize(terminal.master, 9, 8)
            os.kill(terminal.pid, signal.SIGWINCH)
            assert "9 8" in terminal.wait()[1]


def test_exec_detach(cooper, unique):
    """The keys leave the process running; its terminal stays open for it."""
    with cooper.running(unique()) as name:
        with cooper.on_terminal("exec", "-it", name, "sh", "-c", "echo ready; i=0; while [ $i -lt 20 ]; do echo noise; sleep 0.05; i=$((i+1)); done; touch /done") as terminal:
            before = settings(terminal.slave)
            terminal.expect("ready")
            terminal.write(DETACH)
            proc.until(lambda: terminal.child.poll() is not None, what="detach")
            assert settings(terminal.slave) == before and terminal.child.returncode == 0
        proc.until(lambda: cooper("exec", name, "test", "-e", "/done").rc == 0, 10, 0.1, "the end of the process")


def test_exec_restores_the_terminal(cooper, unique):
    """When the container ends under it."""
    with cooper.running(unique()) as name, cooper.on_terminal("exec", "-it", name, "sh") as terminal:
        before = settings(terminal.slave)
        terminal.expect("#")
        cooper("kill", name).check()
        proc.until(lambda: terminal.child.poll() is not None, what="the end")
        assert settings(terminal.slave) == before and terminal.child.returncode == 137


def test_exec_large_output(cooper, unique):
    """Much output over a terminal arrives whole."""
    with cooper.running(unique()) as name, cooper.on_terminal("exec", "-t", name, "seq", "1", "20000") as terminal:
        text = terminal.expect("\n20000\r", 60)
        assert text.replace("\r", "").split() == [str(i) for i in range(1, 20001)]


def test_progress_only_on_a_terminal(new_engine, busybox_layout):
    """image load redraws one line on a terminal and is silent elsewhere."""
    engine = new_engine(load=False)
    assert engine("image", "load", busybox_layout).check().err == ""
    with engine.on_terminal("image", "load", busybox_layout) as terminal:
        status, text = terminal.wait()
    assert status == 0 and "Loaded image" in text
