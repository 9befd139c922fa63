"""A seccomp agent: takes listeners over a socket and answers the calls that wait for it."""

import fcntl
import json
import os
import select
import socket
import struct
import threading

RECEIVE, SEND = 0xC0502100, 0xC0182101
CONTINUE = 1


class Agent:
    """Listens on a path. Answers every call: errors[nr] as errno, values[nr] as result, else it goes on in the kernel.

    Use as a context manager. states: the documents that came with the listeners; calls: (pid, number) of each call.
    """

    def __init__(self, path, errors=None, values=None):
        self.errors, self.values = errors or {}, values or {}
        self.states, self.calls, self.failures = [], [], []
        self._listeners = []
        self._server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._server.bind(str(path))
        self._server.listen(8)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join(10)
        self._server.close()
        for fd in self._listeners:
            os.close(fd)

    def _loop(self):
        while not self._stop.is_set():
            try:
                ready, _, _ = select.select([self._server, *self._listeners], [], [], 0.05)
                for one in ready:
                    self._accept() if one is self._server else self._answer(one)
            except OSError as error:
                self.failures.append(error)

    def _accept(self):
        peer, _ = self._server.accept()
        with peer:
            data, fds, _, _ = socket.recv_fds(peer, 65536, 4)
        self.states.append(json.loads(data))
        self._listeners += fds

    def _answer(self, fd):
        event = bytearray(80)
        try:
            fcntl.ioctl(fd, RECEIVE, event)
        except OSError:
            # Nobody is filtered by it any more.
            self._listeners.remove(fd)
            os.close(fd)
            return
        number, pid, _, nr = struct.unpack_from("=QIIi", event)
        self.calls.append((pid, nr))
        answer = struct.pack("=QqiI", number, 0, 0, CONTINUE)
        if nr in self.errors:
            answer = struct.pack("=QqiI", number, 0, -self.errors[nr], 0)
        elif nr in self.values:
            answer = struct.pack("=QqiI", number, self.values[nr], 0, 0)
        try:
            fcntl.ioctl(fd, SEND, answer)
        except FileNotFoundError:
            pass  # the caller was killed meanwhile
