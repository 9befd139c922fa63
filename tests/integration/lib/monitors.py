"""A container monitor called as podman and CRI-O call it, and the sockets of a service manager that it speaks to."""

import contextlib
import json
import os
import pathlib
import re
import socket
import struct
import threading

from lib import paths, proc


class Datagrams:
    """A socket that keeps what it is sent: the journal's, or a service manager's."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.path))
        self.path.chmod(0o777)
        self.messages = []
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        while True:
            data, fds, _, _ = socket.recv_fds(self.socket, 1 << 20, 8)
            for fd in fds:
                os.close(fd)
            if data == b"end":
                return
            self.messages.append(data)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"end", str(self.path))
        self.reader.join()
        self.socket.close()
        self.path.unlink()


def journal_entry(data):
    """The fields of a message in the journal's own protocol."""
    out = {}
    while data:
        line, _, data = data.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            (length,) = struct.unpack("<Q", data[:8])
            value, data = data[8 : 8 + length], data[9 + length :]
        out[name.decode()] = value.decode(errors="backslashreplace")
    return out


class Monitor:
    """One container under one monitor. The runtime is the one under test, with the test's state root."""

    def __init__(self, runtime, bundle, workdir, binary=None):
        self.runtime, self.bundle, self.workdir = runtime, bundle, workdir
        self.binary = str(binary or paths.monitor_binary())
        self.cid = bundle.id
        self.log = workdir / "ctr.log"
        self.exits, self.persist = workdir / "exits", workdir / "persist"
        for folder in (self.exits, self.persist):
            folder.mkdir(exist_ok=True)
        self.pidfile = workdir / "conmon.pid"

    def argv(self, *flags, log=None):
        """The command line, as podman has it."""
        named = {
            "--api-version": "1", "-c": self.cid, "-u": f"u{self.cid}", "-r": self.runtime.binary, "-b": self.bundle.path, "-p": self.workdir / "ctr.pid", "-P": self.pidfile,
            "--exit-dir": self.exits, "--persist-dir": self.persist, "-l": log or f"k8s-file:{self.log}",
        }  # fmt: skip
        words = [self.binary, *(w for pair in named.items() for w in pair), "--full-attach", "--runtime-arg", "--root", "--runtime-arg", self.runtime.root, *flags]
        return [str(w) for w in words]

    def call(self, *flags, log=None, env=None):
        """Start it; returns its own result and the first line of the sync pipe."""
        self.bundle.save()
        reader, writer = os.pipe()
        with os.fdopen(reader, encoding="utf-8") as answers:
            try:
                result = proc.run(*self.argv(*flags, log=log), env={**self.runtime.environ, "_OCI_SYNCPIPE": str(writer), **(env or {})}, pass_fds=(writer,))
            finally:
                os.close(writer)
            line = answers.readline()
        return result, json.loads(line) if line else None

    @contextlib.contextmanager
    def running(self, *flags, **options):
        """A container that has been started; removed afterwards, with the monitor gone."""
        try:
            result, answer = self.call(*flags, **options)
            assert result.rc == 0 and answer["data"] > 0, f"{answer}\n{result}"
            self.runtime("start", self.cid).check()
            yield answer["data"]
        finally:
            self.runtime("delete", "--force", self.cid)
            if self.pidfile.exists():
                pid = int(self.pidfile.read_text())
                proc.until(lambda: not os.path.exists(f"/proc/{pid}/exe"), 15, what="end of the monitor")

    def status(self):
        """The exit status in the exit file, awaited."""
        file = self.exits / self.cid
        return int(proc.until(lambda: file.exists() and file.read_text(), 15, what="exit file"))

    def lines(self, *names):
        """(stream, F or P, text) of the log, or of the files named."""
        form = re.compile(rb"\S+ (stdout|stderr) ([PF]) (.*)")
        texts = [pathlib.Path(n).read_bytes() for n in names or (self.log,)]
        return [tuple(part.decode(errors="backslashreplace") for part in form.fullmatch(line).groups()) for text in texts for line in text.splitlines()]
