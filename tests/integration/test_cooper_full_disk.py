"""Disks that are full: one sentence that names the place, nothing left behind, and it works when there is room."""

import contextlib
import os
import shutil

import pytest

from lib import hostile, isolate, proc
from lib.cooper import busybox_layout, engine_dir, new_engine  # noqa: F401
from lib.layouts import Layout, directory, entry, layer
from lib.registries import Hostile

pytestmark = pytest.mark.needs("root", "cooper", "isolation")
NAME = "apps.example.com/full:1"
SIZE = 4_000_000


@contextlib.contextmanager
def small(place, kilobytes):
    """A small file system at a place."""
    place.mkdir(parents=True, exist_ok=True)
    proc.run("mount", "-t", "tmpfs", "-o", f"size={kilobytes}k,mode=755", "small", place).check()
    try:
        yield place
    finally:
        isolate.umount(place)


@pytest.fixture
def layout(workdir):
    """An image of 6 MB whose /bin/true runs."""
    with open("/bin/busybox", "rb") as file:
        busybox = file.read()
    made = Layout(workdir / "layout")
    image = made.image(layer(directory("bin"), entry("bin/true", busybox, mode=0o755)), layer(entry("large", os.urandom(SIZE))))
    made.index(image, name=NAME)
    return made


@pytest.fixture
def engine(new_engine, layout):  # noqa: F811
    """An engine whose store is on a disk of its own, and whose image is not unpacked."""
    made = new_engine(load=False)
    with small(made.root / "images", 40_000) as store:
        made("image", "load", layout.archive(made.folder / "a.tar")).check()
        for tree in (store / "trees").iterdir():
            isolate.remove_tree(tree)
            shutil.rmtree(tree, ignore_errors=True)
        yield made
        made.remove_all()


@contextlib.contextmanager
def full(place, left=1_000_000):
    """Nearly nothing is left of a disk."""
    filler = place / "filler"
    info = os.statvfs(place)
    with open(filler, "wb") as file:
        os.posix_fallocate(file.fileno(), 0, info.f_bavail * info.f_bsize - left)
    try:
        yield
    finally:
        filler.unlink()


def check(result, place, rc):
    """One line that names the place, and what to try."""
    result.fails(f"the disk of {place} is full: ", "no space left on device (ENOSPC) (", rc=rc)
    assert result.err.count("\n") == 1, result.err


def test_run_unpacks(engine):
    """A run that has to unpack: no tree, no job, no pod is left."""
    store = engine.root / "images"
    with full(store):
        check(engine("run", "--rm", NAME, "true"), f"the image store '{store}'", 125)
        assert os.listdir(store / "trees") == [] and os.listdir(store / "tmp") == []
        assert engine.pods() == [] and engine.leftovers() == []
    engine("run", "--rm", NAME, "true").check()


@pytest.mark.needs("mkfs.erofs", "erofs")
def test_run_makes_an_erofs_image(engine):
    """mkfs.erofs passes over writes that fail: half an image is none."""
    store = engine.root / "images"
    run = ("run", "--rm", "--rootfs-backend", "erofs", NAME, "true")
    engine("run", "--rm", NAME, "true").check()
    with full(store):
        check(engine(*run), f"the image store '{store}'", 125)
        assert not list(store.glob("trees/*.erofs")) and os.listdir(store / "tmp") == [] and engine.pods() == []
    engine(*run).check()
    engine("image", "verify").check()


def test_convert_unpacks_in_the_store(engine, workdir):
    """An ACI of another image is packed from files in the store."""
    store = engine.root / "images"
    with full(store):
        check(engine("image", "convert", NAME, workdir / "out.aci"), "the image store", 1)
        assert os.listdir(store / "tmp") == [] and not (workdir / "out.aci").exists()
    engine("image", "convert", NAME, workdir / "out.aci").check()


def test_extract(engine, workdir):
    """The directory goes with what was unpacked into it; one that was there stays, empty."""
    with small(workdir / "disk", 3_000) as disk:
        check(engine("image", "extract", NAME, disk / "out"), f"directory '{disk}/out'", 1)
        assert os.listdir(disk) == []
        (disk / "out").mkdir()
        check(engine("image", "extract", NAME, disk / "out"), f"directory '{disk}/out'", 1)
        assert os.listdir(disk / "out") == []
        proc.run("mount", "-o", "remount,size=20000k", disk).check()
        engine("image", "extract", NAME, disk / "out").check()
        assert (disk / "out/large").stat().st_size == SIZE


@pytest.mark.parametrize("words", [("save", "--transport", "oci-archive"), ("save", "--transport", "docker-archive"), ("save", "--transport", "oci"), ("convert",)])
def test_save(engine, workdir, words):
    """Neither half a file nor a temporary one, nor a directory."""
    with small(workdir / "disk", 3_000) as disk:
        out = disk / ("out.aci" if words[0] == "convert" else "out")
        argv = ("image", *words, NAME, out) if words[0] == "convert" else ("image", *words, "-o", out, NAME)
        check(engine(*argv), f"'{out}'", 1)
        assert os.listdir(disk) == [] and os.listdir(engine.root / "images/tmp") == []
        proc.run("mount", "-o", "remount,size=20000k", disk).check()
        engine(*argv).check()
        assert os.listdir(disk) == [out.name]


def filled(place, left):
    """Write until so many bytes are left; the file. fallocate(2) of an ext4 takes what its own metadata needs later."""
    filler = place / "filler"
    with open(filler, "wb", buffering=0) as file, contextlib.suppress(OSError):
        while (room := (info := os.statvfs(place)).f_bfree * info.f_frsize - left) > 0:
            file.write(bytes(min(room, 1 << 20)))
            os.fsync(file.fileno())
    return filler


def store_contents(store):
    """Blobs, records, trees and what is unfinished."""
    return sorted(str(path.relative_to(store)) for folder in ("blobs/sha256", "refs/images", "refs/names", "trees", "tmp", "partial") for path in (store / folder).glob("*"))


@pytest.mark.parametrize("kind", ["ext4", "tmpfs"])
def test_store_on_a_full_disk(new_engine, layout, workdir, kind):  # noqa: F811
    """load, pull and save of a store whose disk fills up, from nothing left to nearly enough; rm and gc, which make room, work on a full one."""
    if kind == "ext4" and not os.path.exists("/dev/loop-control"):
        pytest.skip("no loop devices")
    made = new_engine(load=False)
    store = made.root / "images"
    made.root.mkdir()
    small = Layout(workdir / "small")
    small.index(small.image(layer(entry("small", b"s" * 10_000))), name="apps.example.com/small:1")
    with hostile.small_disk(store, kind, 24), Hostile(layout) as registry:
        made("image", "load", small.path).check()
        before = store_contents(store)
        archive = layout.archive(workdir / "a.tar")
        for left in (0, 5_000_000):
            filler = filled(store, left)
            for words in (("load", archive), ("load", layout.path), ("pull", "--quiet", registry.name)):
                check(made("image", *words, timeout=60), f"the image store '{store}'", 1)
                found = [name for name in store_contents(store) if words[0] != "pull" or not name.startswith("partial/")]
                assert found == before, words
            made("image", "ls").check()
            made("image", "gc", "--older", "0s").check()
            assert store_contents(store) == before
            filler.unlink()
        made("image", "verify").check()
        made("image", "load", archive).check()
        made("image", "pull", "--quiet", registry.name, timeout=60).check()
        filled(store, 0)
        check(made("image", "save", "-o", store / "out.tar", NAME), f"'{store}/out.tar'", 1)
        assert not list(store.glob("*out.tar*")) and os.listdir(store / "tmp") == []
        made("image", "verify").check()
        made("image", "save", "-o", workdir / "out.tar", NAME).check()
        made("image", "rm", NAME, registry.name).check()
        made("image", "gc").check()
        assert store_contents(store) == before
        made("image", "load", workdir / "out.tar").check()
        made("image", "verify").check()


def test_fetch(new_engine):  # noqa: F811
    """An image of the web that does not fit."""
    made = new_engine(load=False)
    with small(made.root, 3_000), Hostile() as server:
        server.rules["/big.aci"] = lambda handler, _: handler.reply(200, os.urandom(SIZE))
        url = f"http://{server.host}/big.aci"
        check(made("image", "fetch", "--quiet", "--insecure-options=image,http", url), f"'{made.root}'", 1)
        assert os.statvfs(made.root).f_bavail > 400, "what came is gone"
