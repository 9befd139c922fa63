"""Drive cooper by its command line, with an image store, state and cgroups of its own; fixtures for the tests of cooper."""

import contextlib
import json
import os
import pathlib
import shutil
import tempfile
import time

import pytest

from lib import isolate, needs, paths, proc, ptys

TOOL = paths.REPOSITORY / "tools" / "make-busybox-image"


class Cooper:
    """One engine: everything it keeps lies below 'folder'."""

    def __init__(self, folder, cgroup_parent):
        self.folder = pathlib.Path(folder)
        self.root = self.folder / "lib"
        self.run_root = self.folder / "run"
        self.cgroup_parent = cgroup_parent
        self.binary = str(paths.bin_dir() / "cooper")
        self.config = self.folder / "cooper.toml"
        self.config.write_text(f'cgroup_parent = "{cgroup_parent}"\n')
        self.environ = {
            "PATH": os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
            "HOME": str(self.folder),
            "LC_ALL": "C",
            "TZ": "UTC",
        }

    def argv(self, *args):
        """The full command line: the flags that make it this engine, then the command."""
        base = (self.binary, "--root", self.root, "--run-root", self.run_root, "--config", self.config)
        return [str(a) for a in (*base, *args)]

    def __call__(self, *args, env=None, **options):
        """Run any command to its end; returns a proc.Result."""
        return proc.run(*self.argv(*args), env={**self.environ, **(env or {})}, **options)

    def background(self, *args, env=None, **options):
        """Start a command beside the test (a context manager)."""
        return proc.Background(*self.argv(*args), env={**self.environ, **(env or {})}, **options)

    def on_terminal(self, *args, env=None, **options):
        """Start a command on a fresh pty (a context manager)."""
        return ptys.OnTerminal(*self.argv(*args), env={**self.environ, **(env or {})}, **options)

    def json(self, *args):
        """The parsed answer of a command with --format json."""
        return json.loads(self(*args, "--format", "json").check().out)

    # --- containers ------------------------------------------------------------------

    def run(self, *args, **options):
        """run --rm of busybox: flags, then '--', then the command; or the command alone."""
        words = [str(a) for a in args]
        at = words.index("--") if "--" in words else 0
        flags, command = words[:at], words[at + 1 :] if "--" in words else words
        return self("run", "--rm", *flags, "busybox", *command, **options)

    def sh(self, script, *flags, **options):
        """run --rm of a shell script."""
        return self("run", "--rm", *flags, "busybox", "sh", "-c", script, **options)

    def output(self, *args, **options):
        """Standard output of a run() that must succeed."""
        return self.run(*args, **options).check().out

    @contextlib.contextmanager
    def running(self, name, *flags, command=("sleep", "1000"), image="busybox"):
        """A detached container, removed afterwards. 'sleep' ignores TERM as PID 1: remove with force."""
        self("run", "-d", "--name", name, *flags, image, *command).check()
        try:
            yield name
        finally:
            self("rm", "-f", name)

    def inspect(self, name):
        """The record of one container."""
        return self.json("inspect", name)["containers"][0]

    def state(self, name):
        """created, running, paused or exited."""
        return self.inspect(name)["state"]

    def pid(self, name):
        """Host pid of the container's first process."""
        return self.inspect(name)["pid"]

    def wait_state(self, name, wanted, timeout=10):
        """Poll until the container is in this state."""
        proc.until(lambda: self.state(name) == wanted, timeout, 0.02, f"state {wanted} of {name}")

    def monitor(self, name):
        """Pid of the process that watches over the container (it takes its title a moment after the start)."""
        title = f"cooper: monitor {self.inspect(name)['id']}"
        found = proc.until(lambda: [p for p in os.listdir("/proc") if p.isdigit() and command_line(p) == title], 5, 0.05, title)
        return int(found[0])

    def pods(self):
        """Every pod, in every state."""
        return self.json("pod", "ls")["pods"]

    def remove_all(self):
        """No pod is left afterwards."""
        self("rm", "-a", "-f", timeout=60)
        self("pod", "gc", "--grace-period", "0", "--expire-prepared", "0", timeout=60)

    def leftovers(self):
        """Files of pods that exist although no pod does."""
        found = []
        for top in (self.root / "pods", self.run_root):
            for folder, names, files in os.walk(top):
                found += [os.path.join(folder, n) for n in files]
                found += [os.path.join(folder, n) for n in names if len(n) == 36 or n.count("_")]
        return [f for f in found if "/seccomp/" not in f]


def command_line(pid):
    """Arguments of a process as ps shows them; empty when it is gone."""
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").rstrip("\0").replace("\0", " ")
    except (FileNotFoundError, ProcessLookupError):
        return ""


@pytest.fixture(scope="session")
def busybox_layout():
    """Directory of the bundled busybox image (an OCI layout)."""
    target = paths.cache_dir() / "busybox-image" / "busybox"
    proc.run(TOOL, target, timeout=60).check()
    return target


@pytest.fixture(scope="session")
def engine_dir():
    """Parent of engines: outside the scratch directory that the leak check watches."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="cooperit", dir=os.environ.get("COOPER_TEST_TMP", "/tmp")))
    path.chmod(0o755)
    yield path
    isolate.remove_tree(path)


@pytest.fixture(scope="session")
def cooper_session(engine_dir, busybox_layout, prefix):
    """An engine with the image 'busybox', used once, so that what is made on first use is there."""
    for word in ("root", "cooper", "isolation"):
        if reason := needs.unmet(word):
            pytest.skip(f"needs {word}: {reason}")
    (engine_dir / "e").mkdir()
    engine = Cooper(engine_dir / "e", f"/{prefix}/e")
    engine("image", "load", busybox_layout).check()
    engine("run", "--rm", "busybox", "true").check()
    return engine


@pytest.fixture
def cooper(cooper_session):
    """The session's engine; every pod of the test is removed afterwards, and nothing of it may be left."""
    yield cooper_session
    cooper_session.remove_all()
    deadline = time.monotonic() + 3
    while (left := cooper_session.leftovers()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not left, f"files of removed pods: {left[:20]}"


@pytest.fixture
def new_engine(engine_dir, busybox_layout, unique, prefix):
    """new_engine(load=True) -> another engine, removed with all its pods afterwards."""
    made = []

    def make(load=True):
        folder = engine_dir / unique("n")
        folder.mkdir()
        engine = Cooper(folder, f"/{prefix}/{folder.name}")
        made.append(engine)
        if load:
            engine("image", "load", busybox_layout).check()
        return engine

    yield make
    for engine in made:
        engine.remove_all()
        isolate.remove_tree(engine.folder)
        shutil.rmtree(engine.folder, ignore_errors=True)


@pytest.fixture
def empty_engine(new_engine):
    """An engine with an empty image store."""
    return new_engine(load=False)
