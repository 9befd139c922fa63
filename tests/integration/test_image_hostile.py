"""Images that mean harm: each is refused in one sentence or contained, touches nothing outside the store and leaves nothing in it.

The corpus is in lib/hostile_layers.py and lib/hostile_images.py; what is looked at, in lib/hostile.py.
"""

import os
import tarfile

import pytest

from lib import hostile, hostile_images, hostile_layers, isolate, probes, rawtar, trees
from lib.cooper import Cooper, engine_dir  # noqa: F401
from lib.layouts import Layout, directory, entry, layer, symlink
from lib.registries import Hostile

pytestmark = pytest.mark.needs("root", "cooper", "isolation")


@pytest.fixture(scope="module")
def engine(engine_dir, prefix):  # noqa: F811
    """An engine for all of them: each case leaves its store empty."""
    folder = engine_dir / "hostile"
    folder.mkdir()
    isolate.in_memory(folder)
    made = Cooper(folder, f"/{prefix}/hostile")
    made.canaries = hostile.Canaries(made)
    yield made
    isolate.remove_tree(folder)


@pytest.fixture(autouse=True)
def untouched(engine):
    """Whatever a test did: the store is empty after gc, and everything around it is as it was."""
    yield
    if hostile.contents(engine):
        for identity in engine("image", "ls", "-q", "--no-trunc").check().out.split():
            engine("image", "rm", "--force", identity).check()
        engine("image", "gc").check()
    engine.canaries.sing()
    assert hostile.contents(engine) == []


def tree(engine):
    """The only unpacked tree of the store."""
    (chain,) = os.listdir(engine.root / "images/trees")
    return engine.root / "images/trees" / chain / "rootfs"


def judged(engine, result, outcome):
    """Whether an image was loaded that had to be; one that was refused has left nothing."""
    assert result.peak_mib < outcome.limit_mib, result.peak_mib
    if isinstance(outcome, hostile_layers.Refused):
        if result.rc == 0 and outcome.or_held:
            return False
        hostile.one_sentence(result, *outcome.words)
        assert hostile.contents(engine) == []
        return False
    result.check()
    outcome.check(tree(engine))
    return True


def layers_layout(workdir, case):
    """The image of a case of layers."""
    layout = Layout(workdir / "layout")
    manifest = layout.image(hostile_layers.BASE, *case.layers())
    return layout.index(layout.repacked(manifest, case.packed) if case.packed else manifest)


def load_layers(engine, workdir, case):
    """Load it, in a form that changes from case to case."""
    layout = layers_layout(workdir, case)
    form = list(hostile_layers.CASES.values()).index(case) % 3
    path = layout.path if form == 0 else layout.archive(workdir / "image.tar") if form == 1 else layout.docker_archive(workdir / "image.tar")
    return hostile.measured(engine, "image", "load", path)


@pytest.mark.parametrize("case", hostile_layers.CASES.values(), ids=hostile_layers.CASES)
def test_layers(engine, workdir, case):
    """A layer over a harmless one; what is contained comes out the same by extract."""
    result = load_layers(engine, workdir, case)
    if judged(engine, result, case.outcome):
        engine("image", "extract", "test:1", workdir / "out").check()
        assert trees.differences(trees.describe(tree(engine)), trees.describe(workdir / "out")) == []
    elif result.rc != 0:
        assert "layer " in result.err


@pytest.mark.parametrize("make, outcome", hostile_images.CASES.values(), ids=hostile_images.CASES)
def test_images(engine, workdir, make, outcome):
    """An image whose documents, files or names mean harm; what is loaded can be shown."""
    if judged(engine, hostile.measured(engine, "image", "load", make(workdir)), outcome):
        identity = engine("image", "ls", "-q", "--no-trunc").check().out.strip()
        for words in (("ls",), ("history", "--no-trunc", identity), ("tree",), ("inspect", identity)):
            shown = engine("image", *words).check().out
            assert not any(ord(c) < 32 and c != "\n" for c in shown), repr(shown[:2000])


PULLED_LAYERS = (
    "dotdot", "symlink-chain", "hardlink-out-by-pax", "opaque-through-symlink", "hardlink-to-symlink-then-file", "truncated-data", "gzip-bomb", "gzip-garbage-after", "zstd-window-2-gib",
    "xattrs-that-speak-to-overlayfs", "nodes", "sparse-1.0",
)  # fmt: skip
PULLED_IMAGES = (
    "both-manifest-and-index", "config-as-layer", "config-as-layer-in-disguise", "layers-by-the-ten-thousand", "json-deep-as-manifest", "json-four-mib-of-lists-as-config", "diff-id-lie",
    "config-size-huge", "created-long", "history-of-control-characters",
)  # fmt: skip
OTHERWISE_PULLED = {"zstd-window-2-gib": hostile_layers.refused("window of more than 32 MiB")}


@pytest.mark.parametrize("name", (*PULLED_LAYERS, *PULLED_IMAGES))
def test_pulled(engine, workdir, name):
    """The same from a registry: what comes over the network is trusted as little."""
    if name in hostile_layers.CASES:
        layout, outcome = layers_layout(workdir, hostile_layers.CASES[name]), hostile_layers.CASES[name].outcome
    else:
        make, outcome = hostile_images.CASES[name]
        make(workdir)
        layout = Layout.at(workdir / "layout")
    with Hostile(layout) as registry:
        result = hostile.measured(engine, "image", "pull", "--quiet", registry.name)
    judged(engine, result, OTHERWISE_PULLED.get(name, outcome))


IMPORTED = ("dotdot", "dotdot-by-pax", "symlink-chain", "hardlink-out-by-pax", "truncated-data", "checksum-lie", "gzip-garbage-after", "zstd-truncated", "pax-headers-endless", "capability-malformed")


@pytest.mark.parametrize("name", IMPORTED)
def test_imported(engine, workdir, name):
    """The same as a root file system."""
    case = hostile_layers.CASES[name]
    (data,) = case.layers()
    (workdir / "rootfs.tar").write_bytes(case.packed(data) if case.packed else data)
    judged(engine, hostile.measured(engine, "image", "import", workdir / "rootfs.tar", "x:1"), case.outcome)


@pytest.fixture(scope="module")
def bombs(engine_dir):  # noqa: F811
    """Two archives: of an image with a bomb in a layer, and a bomb that is no image."""
    folder = engine_dir / "bombs"
    folder.mkdir()
    layout = layers_layout(folder, hostile_layers.CASES["gzip-bomb"])
    yield layout.archive(folder / "layer.tar"), hostile_images.CASES["archive-bomb"][0](folder)
    isolate.remove_tree(folder)


@pytest.mark.parametrize("kind, megabytes", [("tmpfs", 3), ("tmpfs", 12), ("ext4", 6), ("ext4", 24)])
def test_bombs_on_a_small_disk(workdir, bombs, prefix, kind, megabytes):
    """What does not fit says so, leaves nothing, and the store works again at once."""
    if kind == "ext4" and not os.path.exists("/dev/loop-control"):
        pytest.skip("no loop devices")
    small = Cooper(workdir, f"/{prefix}/small")
    with hostile.small_disk(small.root, kind, megabytes):
        small("image", "ls").check()
        for bomb in bombs:
            hostile.one_sentence(hostile.measured(small, "image", "load", bomb), "no space left")
            assert hostile.contents(small) == []
        fine = Layout(workdir / "fine")
        small("image", "load", fine.index(fine.image(hostile_layers.BASE)).path).check()
        small("image", "rm", "test:1").check()
        assert hostile.contents(small) == []


DATABASES = {
    "fifo": entry("etc/passwd", type=tarfile.FIFOTYPE),
    "zeros": entry("etc/passwd", type=tarfile.CHRTYPE, devmajor=1, devminor=5),
    "directory": directory("etc/passwd"),
    "link-out": symlink("etc/passwd", "/../../../../etc/passwd"),
    "endless-line": entry("etc/passwd", b"x" * 17_000_000),
    "terabyte": None,
}


@pytest.mark.parametrize("kind", DATABASES)
def test_user_of_a_hostile_database(engine, workdir, kind):
    """Names of users are looked up in files that an image chooses: nothing hangs, and none is the host's."""
    member = DATABASES[kind]
    upper = layer(member) if member else rawtar.archive(hostile_layers.sparse_1([(0, 4)], 1 << 40, b"root", "etc/passwd"))
    layout = Layout(workdir / "layout")
    layout.index(layout.image(layer(directory("etc"), entry("true", probes.path("true").read_bytes(), mode=0o755)), upper))
    engine("image", "load", layout.path).check()
    result = hostile.measured(engine, "run", "--rm", "--user", "daemon", "test:1", "/true")
    hostile.one_sentence(result, "passwd" if kind != "link-out" else "daemon", rc=125)
    assert result.peak_mib < 64
    engine("rm", "--all", "--force").check()
    engine("pod", "gc", "--grace-period", "0").check()
