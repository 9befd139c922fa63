"""Child processes with a time limit that always holds (SIGKILL to the whole group)."""

import contextlib
import dataclasses
import os
import shlex
import signal
import subprocess
import time

DEFAULT_TIMEOUT = float(os.environ.get("COOPER_TEST_TIMEOUT", "30"))
# Every time limit is stretched by this much: for machines whose processors are slow.
SLOW = float(os.environ.get("COOPER_TEST_SLOW", "1"))


class TimedOut(AssertionError):
    """The command did not end in time; it has been killed."""


def _cut(text, limit=3000):
    return text if len(text) <= limit else f"{text[:limit // 2]}\n[... {len(text) - limit} characters ...]\n{text[-limit // 2:]}"


@dataclasses.dataclass
class Result:
    """What a finished command left: status as a shell sees it (128+n for signals), and its output."""

    args: list
    rc: int
    out: str
    err: str

    def __str__(self):
        return f"$ {shlex.join(self.args)}\nexit status {self.rc}\n--- stdout\n{_cut(self.out)}\n--- stderr\n{_cut(self.err)}"

    def check(self, rc=0):
        """Assert the exit status; returns self for chaining."""
        assert self.rc == rc, f"expected exit status {rc}\n{self}"
        return self

    def fails(self, *words, rc=None):
        """Assert failure (optionally one exact status) with all words in stderr, ignoring case."""
        assert self.rc != 0, f"expected a failure\n{self}"
        if rc is not None:
            assert self.rc == rc, f"expected exit status {rc}\n{self}"
        for word in words:
            assert word.lower() in self.err.lower(), f"expected {word!r} in stderr\n{self}"
        return self

    @property
    def lines(self):
        """Standard output as a list of lines."""
        return self.out.splitlines()


def _status(code):
    return 128 - code if code < 0 else code


def kill_group(pid):
    """SIGKILL to the process group led by pid, if it is still there."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def run(*args, stdin=None, env=None, cwd=None, timeout=DEFAULT_TIMEOUT, pass_fds=(), stdio=None, preexec=None):
    """Run to the end and return a Result.

    stdin   text fed to standard input (default: /dev/null)
    stdio   'null' discards output. Needed for commands that leave a container behind
            which inherits the pipes (create, run -d): waiting for end of file on the
            pipes would wait for the container.
    """
    argv = [str(a) for a in args]
    sink = subprocess.DEVNULL if stdio == "null" else subprocess.PIPE
    with subprocess.Popen(
        argv,
        stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
        stdout=sink,
        stderr=sink,
        env=env,
        cwd=cwd,
        pass_fds=pass_fds,
        start_new_session=True,
        preexec_fn=preexec,
    ) as child:
        try:
            data = stdin.encode() if isinstance(stdin, str) else stdin
            out, err = child.communicate(data, timeout=timeout * SLOW)
        except subprocess.TimeoutExpired:
            kill_group(child.pid)
            try:
                out, err = child.communicate(timeout=2)
            except subprocess.TimeoutExpired:
                out, err = b"", b"(output pipes are still held open)"
            text = Result(argv, -1, (out or b"").decode(errors="replace"), (err or b"").decode(errors="replace"))
            raise TimedOut(f"no end within {timeout * SLOW} s\n{text}") from None
        except BaseException:
            kill_group(child.pid)
            raise
    return Result(argv, _status(child.returncode), (out or b"").decode(errors="replace"), (err or b"").decode(errors="replace"))


def children(pid):
    """Processes that this one has started."""
    return [int(p) for p in run("ps", "--ppid", pid, "-o", "pid=").out.split()]


def descriptors(pid):
    """What the descriptors of a process are: number to link."""
    out = {}
    for number in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            out[int(number)] = os.readlink(f"/proc/{pid}/fd/{number}")
    return out


def terminal(pid):
    """The number of a process' controlling terminal; 0 for none."""
    with open(f"/proc/{pid}/stat") as stat:
        return int(stat.read().rsplit(")", 1)[1].split()[4])


class Background:
    """A command running beside the test; killed and collected on leaving the with-block."""

    def __init__(self, *args, env=None, cwd=None, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, pass_fds=()):
        self.args = [str(a) for a in args]
        self.child = subprocess.Popen(
            self.args, stdin=stdin, stdout=stdout, stderr=stderr, env=env, cwd=cwd, pass_fds=pass_fds, start_new_session=True
        )
        self.pid = self.child.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.child.poll() is None:
            kill_group(self.pid)
        for stream in (self.child.stdin, self.child.stdout, self.child.stderr):
            if stream is not None:
                stream.close()
        self.child.wait()

    def signal(self, number):
        """Send a signal to the command itself."""
        os.kill(self.pid, number)

    def readline(self, timeout=10.0):
        """One line of standard output, within the time limit."""
        import select  # noqa: PLC0415 - only here

        line = b""
        limit = time.monotonic() + timeout * SLOW
        while not line.endswith(b"\n"):
            left = limit - time.monotonic()
            if left <= 0 or not select.select([self.child.stdout], [], [], left)[0]:
                raise TimedOut(f"no line within {timeout * SLOW} s, got {line!r} from {shlex.join(self.args)}")
            piece = os.read(self.child.stdout.fileno(), 1)
            if not piece:
                break
            line += piece
        return line.decode(errors="replace").rstrip("\n")

    def wait(self, timeout=DEFAULT_TIMEOUT):
        """Wait for the end; returns a Result with the output not read so far."""
        try:
            out, err = self.child.communicate(timeout=timeout * SLOW)
        except subprocess.TimeoutExpired:
            kill_group(self.pid)
            raise TimedOut(f"no end within {timeout * SLOW} s: {shlex.join(self.args)}") from None
        return Result(self.args, _status(self.child.returncode), (out or b"").decode(errors="replace"), (err or b"").decode(errors="replace"))


def until(condition, timeout=5.0, step=0.01, what="condition"):
    """Poll until the condition returns something true; returns that value."""
    limit = time.monotonic() + timeout * SLOW
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > limit:
            raise TimedOut(f"{what} did not come true within {timeout * SLOW} s")
        time.sleep(step)
