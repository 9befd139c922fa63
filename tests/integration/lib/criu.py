"""What tests of checkpoint and restore share: a container that counts, the two verbs, a program in the place of CRIU."""

import contextlib
import json
import os
import pathlib
import select

from lib import proc

COUNT = "trap 'exit 7' TERM; i=0; while :; do i=$((i+1)); echo $i; usleep 100000; done"
SLOW = 60


@contextlib.contextmanager
def deleted(runtime, *ids):
    """Delete these containers on leaving."""
    try:
        yield
    finally:
        for name in ids:
            runtime("delete", "--force", name)


class Counter:
    """The numbers that a container prints, through a pipe."""

    def __init__(self):
        self.read, self.write = os.pipe()
        self.text = b""

    def started(self):
        """The container has the pipe's other end, and nobody else."""
        os.close(self.write)
        self.write = -1

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.read)
        if self.write >= 0:
            os.close(self.write)

    def _fill(self):
        ready = select.select([self.read], [], [], 30 * proc.SLOW)[0]
        assert ready, f"no output, after {self.text!r}"
        piece = os.read(self.read, 4096)
        self.text += piece
        return bool(piece)

    @property
    def last(self):
        """The last number so far."""
        return int((self.text.split(b"\n")[:-1] or [b"0"])[-1])

    @property
    def first(self):
        """The first number."""
        return int(self.text.split(b"\n")[0])

    def beyond(self, number):
        """Read until the counter is past that number; returns how far it is."""
        while self.last <= number:
            assert self._fill(), f"the counter ended at {self.last}"
        return self.last

    def end(self):
        """Read until nobody can write any more; returns the last number."""
        while self._fill():
            pass
        return self.last


def start(runtime, *words, counter, flags=()):
    """A command that leaves a container behind with the counter's pipe as its output."""
    log = runtime.workdir / "runtime.log"
    log.unlink(missing_ok=True)
    with proc.Background(*runtime.argv(*words, flags=("--log", log, *flags)), env=runtime.environ, stdout=counter.write, stderr=counter.write) as child:
        result = child.wait(SLOW)
    counter.started()
    result.err = log.read_text(errors="replace") if log.exists() else ""
    return result


def run(runtime, bundle, counter, *flags):
    """run --detach; waits for the first numbers."""
    bundle.save()
    start(runtime, "run", "--detach", "--bundle", bundle.path, bundle.id, counter=counter, flags=flags).check()
    return counter.beyond(1)


def checkpoint(runtime, bundle, images, *flags):
    """Run checkpoint; a failure comes with the end of CRIU's log."""
    return with_log(runtime("checkpoint", "--image-path", images, *flags, bundle.id, timeout=SLOW), pathlib.Path(images) / "dump.log")


def restore(runtime, bundle, images, counter, *more, flags=()):
    """Run restore --detach; a failure comes with the end of CRIU's log."""
    words = ("restore", "--detach", "--image-path", images, "--bundle", bundle.path, *more, bundle.id)
    return with_log(start(runtime, *words, counter=counter, flags=flags), pathlib.Path(images) / "restore.log")


def with_log(result, log):
    """The result, with CRIU's errors if it failed."""
    if result.rc and log.exists():
        result.err += "\n" + "\n".join(line for line in log.read_text(errors="replace").splitlines() if "Error" in line or "Warn" in line)
    return result


def podman_there_and_back(podman, image, name, other, workdir):
    """podman container checkpoint and restore: where it was, and from an exported file under another name."""

    def last(container):
        return int((podman("logs", "--tail", "1", container).check().out.split() or ["0"])[-1])

    with podman.running(name, image, "sh", "-c", "i=0; while :; do i=$((i+1)); echo $i; sleep 0.1; done"):
        proc.until(lambda: last(name) > 1, 20, 0.2)
        podman("container", "checkpoint", "--leave-running", "--export", workdir / "saved.tar.gz", name, timeout=90).check()
        reached = last(name)
        podman("container", "checkpoint", name, timeout=90).check()
        assert json.loads(podman("inspect", name).check().out)[0]["State"]["Checkpointed"]
        stopped = last(name)
        assert stopped >= reached
        podman("container", "restore", name, timeout=90).check()
        proc.until(lambda: last(name) > stopped + 1, 20, 0.2)
        assert podman("exec", name, "cat", "/proc/1/comm").check().out == "sh\n"
        try:
            podman("container", "restore", "--import", workdir / "saved.tar.gz", "--name", other, timeout=90).check()
            proc.until(lambda: last(other) > 1, 20, 0.2)
        finally:
            podman("rm", "--force", "--time", "0", other)
        podman("kill", name).check()
        assert podman("wait", name).check().out == "137\n"


FAKE = """#!/usr/bin/python3
import os, socket
end = socket.socket(fileno=3)
version, log = {version!r}, {log!r}
while True:
    request = end.recv(65536)
    if not request:
        break
    kind = request[1]
    if kind == 10:
        end.send(bytes([8, 10, 16, 1, 82, 4, 8, version[0], 16, version[1]]))
        continue
    if kind == 9:
        end.send(bytes([8, 9, 16, 1, 66, 0]))
        continue
    if log:
        open(log, "w").write("(00.1) x\\n(00.2) Error (criu/a.c:12): {words}\\n")
    {act}
"""


def fake_criu(workdir, version=(3, 17), log="", words="it cannot be", act="end.send(bytes([8, kind, 16, 0, 56, 22])); break"):
    """A program in the place of CRIU. Returns the environment to find it with."""
    folder = workdir / "bin"
    folder.mkdir(exist_ok=True)
    program = folder / "criu"
    program.write_text(FAKE.format(version=version, log=str(log), words=words, act=act))
    program.chmod(0o755)
    return {"PATH": f"{folder}:/usr/bin:/bin"}
