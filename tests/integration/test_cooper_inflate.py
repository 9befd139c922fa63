"""Large gzip layers are undone by cooper-inflate: without any right, not believed, and not needed."""

import os
import random
import shutil
import signal
import subprocess
import time

import pytest

from lib import paths, proc
from lib.cooper import busybox_layout, empty_engine as engine, engine_dir, new_engine  # noqa: F401
from lib.layouts import Layout, entry, layer

pytestmark = [
    pytest.mark.needs("root", "cooper", "isolation"),
    pytest.mark.skipif(not (paths.bin_dir() / "cooper-inflate").exists(), reason="this build has no cooper-inflate"),
]

TEXT = random.Random(7).randbytes(3 << 20)  # gzip cannot make it smaller
# One that speaks as it must (src/fetch/inflate.h) and does what it likes: take(n) takes n pieces of the input, give() sends one of the output.
LYING = """#!/usr/bin/python3
import mmap, os, signal, struct, sys, time
memory = mmap.mmap(4, 3 << 20)
os.write(3, b"r")
def take(pieces):
    while pieces and struct.unpack("=I", os.read(0, 4))[0]:
        os.write(0, bytes(4))
        pieces -= 1
def give(data, size=None, at=1 << 20):
    memory[at : at + len(data)] = data
    os.write(1, struct.pack("=I", len(data) if size is None else size))
{what}
"""
ALL = 1 << 30


def can_run():
    """Whether its library is here."""
    return subprocess.run([paths.bin_dir() / "cooper-inflate", "--version"], capture_output=True, check=False).returncode == 0


@pytest.fixture
def image(workdir):
    """A layout with one large gzip layer."""
    made = Layout(workdir / "layout")
    return made.index(made.image(layer(entry("data", TEXT)), compress="gzip"))


@pytest.fixture
def beside(engine, workdir):
    """beside(lines of Python or None) -> the engine, whose program has that cooper-inflate beside it; None: a file that is no program for this machine."""
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


@pytest.mark.parametrize(
    "deed,words",
    [
        pytest.param(f"take({ALL}); give(b'something else'); os.write(3, b'g')", ("uncompressed", "its digest is"), id="other bytes than the image promises"),
        pytest.param("take(2); os.kill(os.getpid(), signal.SIGSEGV)", ("cooper-inflate was killed by signal 11",), id="dies"),
        pytest.param(f"take({ALL})", ("cooper-inflate has ended before the data has",), id="says nothing"),
        pytest.param("time.sleep(1000)", ("cooper-inflate has done next to nothing for 30 s",), id="does nothing"),
        pytest.param("while True: give(b'x'); os.read(1, 4); time.sleep(0.1)", ("cooper-inflate has done next to nothing for 30 s",), id="does next to nothing"),
        pytest.param("take(1)\nwhile True: give(bytes(512 << 10)); os.read(1, 4)", ("cooper-inflate has made more of the data than can be in it",), id="makes bytes without end"),
    ],
)
def test_one_that_fails_in_its_work(beside, image, deed, words):
    """It is said what it did, and nothing is left."""
    engine = beside(deed)
    engine("image", "load", image.path, timeout=60).fails(*words)
    empty(engine)


def test_pieces_of_no_possible_size_are_said(beside, image):
    for size in (0, (512 << 10) + 1, 0xFFFFFFFF):
        engine = beside(f"take(1); give(b'', {size}); time.sleep(60)")
        engine("image", "load", image.path, timeout=30).fails("cooper-inflate has sent what is no size")
        empty(engine)


def test_messages_of_no_possible_form_are_its_end(beside, image):
    for message in ("b'x'", "bytes(5)"):
        engine = beside(f"take(1); os.write(1, {message}); time.sleep(2)")
        engine("image", "load", image.path, timeout=30).fails("cooper-inflate has ended before the data has")
        empty(engine)


def test_what_it_changes_after_it_was_taken_changes_nothing(beside, image):
    """The bytes that are hashed are those that are unpacked: the memory is written over all the time while they are taken."""
    engine = beside(f"""
import threading
def spoil():
    while True:
        memory[1 << 20 : (1 << 20) + 65536] = os.urandom(65536)
threading.Thread(target=spoil, daemon=True).start()
take(1)
for _ in range(8):
    give(bytes(512 << 10))
os.write(3, b"g")
os._exit(0)""")
    engine("image", "load", image.path, timeout=60).fails("uncompressed", "its digest is")
    empty(engine)


def test_the_memory_cannot_be_made_shorter(beside, image):
    """Whoever reads it would be ended by SIGBUS."""
    engine = beside(f"""
try:
    os.ftruncate(4, 0)
except PermissionError:
    take({ALL})
    os.write(3, b"t")
    os._exit(1)
time.sleep(60)""")
    engine("image", "load", image.path, timeout=30).fails("gzip stream is truncated")
    empty(engine)


def test_broken_layers_are_named_by_their_digest(engine, image):
    descriptor = next(file for file in (image.path / "blobs/sha256").iterdir() if file.stat().st_size > 1 << 20)
    data = bytearray(descriptor.read_bytes())
    data[len(data) // 2] ^= 0xFF
    descriptor.write_bytes(data)
    engine("image", "load", image.path, timeout=60).fails(descriptor.name[:20], "its digest is")
    empty(engine)


def test_nothing_is_left_when_the_load_is_killed(beside, image, workdir):
    engine = beside(f"take(1); open('{workdir}/pid.new', 'w').write(str(os.getpid())); os.rename('{workdir}/pid.new', '{workdir}/pid'); take({ALL})")
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
