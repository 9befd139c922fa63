"""Terminals: receive one over a console socket, or run a program on one."""

import array
import errno
import fcntl
import os
import pty
import select
import signal
import socket
import struct
import subprocess
import termios
import time

from lib import proc


class Console:
    """The socket named by --console-socket; receives the pty master."""

    def __init__(self, path):
        self.path = str(path)
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(self.path)
        self.listener.listen(1)
        self.master = -1
        self.name = ""

    def receive(self, timeout=10):
        """Accept one connection and take the descriptor out of its one message."""
        self.listener.settimeout(timeout)
        connection, _ = self.listener.accept()
        with connection:
            connection.settimeout(timeout)
            data, ancillary, _, _ = connection.recvmsg(4096, socket.CMSG_SPACE(64))
        fds = array.array("i")
        for level, kind, content in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds.frombytes(content[: len(content) - len(content) % fds.itemsize])
        assert len(fds) == 1, f"expected one descriptor, got {len(fds)}"
        self.master, self.name = fds[0], data.decode()
        return self.master

    def close(self):
        """Close all that is open and remove the socket."""
        if self.master >= 0:
            os.close(self.master)
            self.master = -1
        self.listener.close()
        if os.path.exists(self.path):
            os.unlink(self.path)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def read_all(master, timeout=10, until=None):
    """Read from a pty master until its other side closes, or until some text has come."""
    data = b""
    limit = time.monotonic() + timeout
    while until is None or until.encode() not in data:
        left = limit - time.monotonic()
        if left <= 0:
            raise proc.TimedOut(f"terminal: no end within {timeout} s, got {data!r}")
        if not select.select([master], [], [], left)[0]:
            continue
        try:
            piece = os.read(master, 65536)
        except OSError as error:
            if error.errno == errno.EIO:
                break
            raise
        if not piece:
            break
        data += piece
    return data.decode(errors="replace")


def resize(master, rows, columns):
    """Set the terminal's size."""
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def size(fd):
    """(rows, columns)"""
    return struct.unpack("HHHH", fcntl.ioctl(fd, termios.TIOCGWINSZ, b"\0" * 8))[:2]


class OnTerminal:
    """A command whose controlling terminal is a fresh pty. A context manager; kills on exit."""

    def __init__(self, *args, env=None, cwd=None, rows=33, columns=77):
        self.args = [str(a) for a in args]
        self.master, slave = pty.openpty()
        resize(self.master, rows, columns)
        self.child = subprocess.Popen(
            self.args, stdin=slave, stdout=slave, stderr=slave, env=env, cwd=cwd, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )  # fmt: skip
        self.slave = slave
        self.pid = self.child.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.child.poll() is None:
            proc.kill_group(self.pid)
            self.child.wait()
        os.close(self.master)
        if self.slave >= 0:
            os.close(self.slave)

    def write(self, text):
        """Type something."""
        os.write(self.master, text.encode())

    def resize(self, rows, columns):
        """Change the terminal's size; the program's side is told by SIGWINCH."""
        resize(self.master, rows, columns)

    def expect(self, text, timeout=15):
        """Read until this text has come; returns all that was read."""
        return read_all(self.master, timeout, until=text)

    def wait(self, timeout=proc.DEFAULT_TIMEOUT):
        """(status, remaining output) at the end of the command."""
        os.close(self.slave)
        self.slave = -1
        limit = time.monotonic() + timeout
        data = ""
        while self.child.poll() is None:
            if time.monotonic() > limit:
                os.killpg(self.pid, signal.SIGKILL)
                raise proc.TimedOut(f"no end within {timeout} s: {self.args}, got {data!r}")
            if select.select([self.master], [], [], 0.05)[0]:
                try:
                    data += os.read(self.master, 65536).decode(errors="replace")
                except OSError:
                    time.sleep(0.01)
        try:
            data += read_all(self.master, 1)
        except proc.TimedOut:
            pass
        code = self.child.returncode
        return (128 - code if code < 0 else code), data
