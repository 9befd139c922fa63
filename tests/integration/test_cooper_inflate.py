"""Large gzip layers are undone by cooper-inflate: without any right, not believed, and not needed."""

import os
import random
import shutil
import signal
import subprocess
import time

import pytest

from lib import paths, proc
from lib.cooper import busybox_layout, engine_dir, new_engine  # noqa: F401
from lib.layouts import Layout, entry, layer

pytestmark = [
    pytest.mark.needs("root", "cooper", "isolation"),
    pytest.mark.skipif(not (paths.bin_dir() / "cooper-inflate").exists(), reason="this build has no cooper-inflate"),
]

TEXT = random.Random(7).randbytes(3 << 20)  # gzip cannot make it smaller
LYING = """#!/bin/sh
printf r >&3
{what}
"""


def can_run():
    """Whether its library is here."""
    return subprocess.run([paths.bin_dir() / "cooper-inflate", "--version"], capture_output=True, check=False).returncode == 0


@pytest.fixture
def image(workdir):
    """A layout with one large gzip layer."""
    made = Layout(workdir / "layout")
    return made.index(made.image(layer(entry("data", TEXT)), compress="gzip"))


@pytest.fixture
def engine(new_engine):
    """An empty store."""
    return new_engine(load=False)


@pytest.fixture
def beside(engine, workdir):
    """beside(script or None) -> the engine, whose program has that cooper-inflate beside it; None: a file that is no program for this machine."""
    folder = workdir / "bin"
    folder.mkdir()
    for name in ("cooper", "cooper-init"):
        shutil.copy2(paths.bin_dir() / name, folder / name)

    def make(script):
        (folder / "cooper-inflate").write_text(LYING.format(what=script) if script is not None else "\x7fELF")
        (folder / "cooper-inflate").chmod(0o755)
        engine.binary = str(folder / "cooper")
        return engine

    yield make
    engine.binary = str(paths.bin_dir() / "cooper")


def data_of(engine, workdir):
    """The file of the stored image."""
    engine("image", "extract", "test:1", workdir / "out", timeout=60).check()
    return (workdir / "out/data").read_bytes()


def empty(engine):
    """Nothing is left of a load."""
    store = engine.root / "images"
    assert [name for folder in ("blobs/sha256", "refs/images", "refs/names", "trees", "tmp") for name in os.listdir(store / folder)] == []


@pytest.mark.needs("strace")
@pytest.mark.skipif(not can_run(), reason="its library is not here")
def test_it_does_the_work_without_any_right(engine, image, workdir):
    trace = workdir / "trace"
    calls = "trace=execve,setresuid,setresgid,setgroups,capset,landlock_restrict_self,seccomp,openat,socket,clone,clone3,vfork,exit_group"
    proc.run("strace", "-ff", "-e", calls, "-o", trace, *engine.argv("image", "load", image.path), env=engine.environ, timeout=60).check()
    (own,) = [lines for file in workdir.glob("trace.*") if "cooper-inflate" in (lines := file.read_text())]
    own = own[own.index('/cooper-inflate"') :]
    for done in ("setgroups(0", "setresgid(65534", "setresuid(65534", "capset(", "seccomp(SECCOMP_SET_MODE_FILTER"):
        assert done in own, f"{done} in {own}"
    confined = own[own.index("seccomp(SECCOMP_SET_MODE_FILTER") :].splitlines()[1:]
    assert [line for line in confined if not line.startswith(("exit_group(0)", "+++ exited with 0"))] == []
    assert data_of(engine, workdir) == TEXT


def test_without_a_working_one_images_load_all_the_same(beside, image, workdir):
    engine = beside(None)
    engine("image", "load", image.path, timeout=60).check()
    assert data_of(engine, workdir) == TEXT


def test_other_bytes_than_the_image_promises_are_refused(beside, image):
    engine = beside("cat >/dev/null; echo something else; printf g >&3")
    engine("image", "load", image.path, timeout=60).fails("uncompressed", "its digest is")
    empty(engine)


def test_one_that_dies_is_said(beside, image):
    engine = beside("head -c 100000 >/dev/null; kill -SEGV $$")
    engine("image", "load", image.path, timeout=60).fails("cooper-inflate was killed by signal 11")
    empty(engine)


def test_one_that_says_nothing_is_said(beside, image):
    engine = beside("cat >/dev/null")
    engine("image", "load", image.path, timeout=60).fails("cooper-inflate has ended before the data has")
    empty(engine)


def test_broken_layers_are_named_by_their_digest(engine, image):
    descriptor = next(file for file in (image.path / "blobs/sha256").iterdir() if file.stat().st_size > 1 << 20)
    data = bytearray(descriptor.read_bytes())
    data[len(data) // 2] ^= 0xFF
    descriptor.write_bytes(data)
    engine("image", "load", image.path, timeout=60).fails(descriptor.name[:20], "its digest is")
    empty(engine)


def test_nothing_is_left_when_the_load_is_killed(beside, image, workdir):
    engine = beside(f"head -c 100000 >/dev/null; echo $$ >{workdir}/pid.new; mv {workdir}/pid.new {workdir}/pid; exec cat >/dev/null")
    (workdir / "slow").mkdir()
    child = subprocess.Popen(
        ["strace", "-f", "-o", "/dev/null", "-e", "trace=read", "-e", "inject=read:delay_enter=50000", *engine.argv("image", "load", image.path)],
        env=engine.environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        proc.until(lambda: (workdir / "pid").exists(), 30, 0.05, "the start of the program")
        pid = int((workdir / "pid").read_text())
    finally:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    proc.until(lambda: not os.path.exists(f"/proc/{pid}"), 10, 0.05, "its end")
    deadline = time.monotonic() + 20
    while engine("image", "gc").rc != 0 and time.monotonic() < deadline:
        time.sleep(0.1)
    empty(engine)
