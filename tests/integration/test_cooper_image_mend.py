"""Images whose blobs were damaged on the disk before their tree was unpacked: fetched again alone, or refused in one sentence."""

import base64
import os
import shutil
import threading

import pytest

from lib import isolate, proc
from lib.cooper import busybox_layout, empty_engine as engine, engine_dir, new_engine  # noqa: F401
from lib.layouts import INDEX, Layout, digest, directory, entry, layer
from lib.registries import Hostile

pytestmark = pytest.mark.needs("root", "cooper", "isolation")


@pytest.fixture
def layout(workdir):
    """An image of two layers whose /bin/true runs."""
    with open("/bin/busybox", "rb") as file:
        busybox = file.read()
    made = Layout(workdir / "layout")
    layers = [layer(directory("bin"), entry("bin/true", busybox, mode=0o755)), layer(entry("large", os.urandom(100_000)))]
    made.index(made.image(*layers), name="apps.example.com/test:1")
    made.first, made.second = (digest(data) for data in layers)
    return made


def blob(engine, name):
    return engine.root / "images/blobs/sha256" / name.split(":")[1]


def not_unpacked(engine):
    """As after a crash that took the trees: gc or verify --repair leave it so, too."""
    for tree in (engine.root / "images/trees").iterdir():
        isolate.remove_tree(tree)
        shutil.rmtree(tree, ignore_errors=True)


def cut(path):
    os.truncate(path, 100)


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("damage", [os.unlink, cut, flip])
def test_run_fetches_the_blob_again(engine, layout, damage):
    """The damaged layer alone comes from the registry again, and a line says so; the next run asks nobody."""
    with Hostile(layout) as registry:
        engine("image", "pull", registry.name, timeout=60).check()
        not_unpacked(engine)
        damage(blob(engine, layout.second))
        registry.requests.clear()
        result = engine("run", "--rm", registry.name, "true", timeout=60).check()
        assert layout.second in result.err and "again" in result.err and layout.first not in result.err
        assert [path.rsplit("/", 1)[1] for path in registry.paths("/blobs/")] == [layout.second]
        registry.requests.clear()
        assert engine("run", "--rm", registry.name, "true").check().err == ""
        assert registry.requests == []
        engine("image", "verify", registry.name).check()
        assert os.listdir(engine.root / "images/tmp") == []


@pytest.mark.parametrize("what", ["config", "manifest"])
def test_documents_too(engine, layout, what):
    """Configuration and manifest are blobs as well."""
    with Hostile(layout) as registry:
        engine("image", "pull", registry.name, timeout=60).check()
        not_unpacked(engine)
        [image] = engine.json("image", "ls")["images"]
        blob(engine, image["id"] if what == "config" else image["manifest_digest"]).unlink()
        engine("run", "--rm", registry.name, "true", timeout=60).check()
        engine("image", "verify", registry.name).check()


def test_extract_and_pods(engine, layout, workdir):
    """So do image extract, and a pod that may fetch; the tag of the registry may name another image by now."""
    with Hostile(layout) as registry:
        engine("image", "pull", registry.name, timeout=60).check()
        [image] = engine.json("image", "ls")["images"]
        del registry.documents["1"]
        flip(blob(engine, layout.second))
        engine("image", "extract", registry.name, workdir / "out", timeout=60).check()
        assert (workdir / "out/large").stat().st_size == 100_000
        not_unpacked(engine)
        blob(engine, layout.first).unlink()
        engine("pod", "run", registry.name, "--pull=missing", "--", "true", timeout=60).check()
        [after] = engine.json("image", "ls")["images"]
        assert (after["id"], after["names"]) == (image["id"], image["names"])


def test_a_name_that_moves_meanwhile_stays_where_it_is(engine, layout, workdir):
    """Only bytes come back: the tag may have been given to another image while they did."""
    newer = Layout(workdir / "newer")
    newer.index(newer.image(layer(entry("new", b"new"))), name="apps.example.com/newer:1")
    with Hostile(layout) as registry:
        engine("image", "pull", registry.name, timeout=60).check()
        [old] = engine.json("image", "ls")["images"]
        engine("image", "load", newer.path).check()
        not_unpacked(engine)
        blob(engine, layout.second).unlink()
        moved = threading.Event()

        def late(handler, data):
            assert moved.wait(30)
            handler.reply(200, data)

        registry.requests.clear()
        registry.rules[layout.second] = late
        with engine.background("run", "--rm", registry.name, "true") as running:
            proc.until(lambda: registry.paths(layout.second), 20, 0.02, "the request for the layer")
            engine("image", "tag", "apps.example.com/newer:1", registry.name).check()
            moved.set()
            assert running.child.wait(60) == 0
        names = {image["id"]: image["names"] for image in engine.json("image", "ls")["images"]}
        assert names.pop(old["id"]) == [] and sorted(*names.values()) == ["apps.example.com/newer:1", registry.name]


def test_of_another_platform(engine, layout, workdir):
    """What was pulled for another platform needs no --platform to be fetched again, and keeps the digest of its index."""
    data = layer(entry("large", os.urandom(100_000)))
    index = layout.blob({"schemaVersion": 2, "mediaType": INDEX, "manifests": [layout.image(data, platform=("linux", "s390x"))]}, INDEX)
    layout.index(index)
    with Hostile(layout) as registry:
        name = f"{registry.host}/{registry.repository}@{index['digest']}"
        engine("image", "pull", "--platform", "linux/s390x", name, timeout=60).check()
        blob(engine, digest(data)).unlink()
        engine("image", "extract", name, workdir / "out", timeout=60).check()
        assert (workdir / "out/large").stat().st_size == 100_000
        engine("image", "verify", name).check()


def test_the_blob_alone(engine, layout, workdir):
    """The manifest is here and right, so nobody asks for it, and its registry may have forgotten it."""
    with Hostile(layout) as registry:
        engine("image", "pull", registry.name, timeout=60).check()
        flip(blob(engine, layout.second))
        registry.documents = {layout.second: registry.documents[layout.second]}
        registry.requests.clear()
        engine("image", "extract", registry.name, workdir / "out", timeout=60).check()
        assert registry.paths("/manifests/") == []


def test_credentials_of_extract(engine, layout, workdir):
    """The registry wants to know who asks: the flags of image pull are those of image extract."""
    with Hostile(layout) as registry:
        engine("image", "pull", registry.name, timeout=60).check()
        blob(engine, layout.second).unlink()

        def members_only(handler, data):
            if handler.headers.get("Authorization") != "Basic " + base64.b64encode(b"user:word").decode():
                handler.reply(401, www_authenticate='Basic realm="members"')
            else:
                handler.reply(200, data)

        registry.rules[layout.second] = members_only
        engine("image", "extract", registry.name, workdir / "out", timeout=60).fails("401", rc=1)
        engine("image", "extract", "--creds", "user", registry.name, workdir / "out").fails("--creds", rc=125)
        engine("image", "extract", "--creds", "user:word", registry.name, workdir / "out", timeout=60).check()
        assert (workdir / "out/large").stat().st_size == 100_000


def told(engine, layout, *words, **options):
    """One sentence: which image, which digest, what to try; nothing is left."""
    result = engine(*words, timeout=60).fails(layout.second, "is missing", "pull or load the image again", **options)
    assert len([line for line in result.err.splitlines() if layout.second in line and "fetching" not in line]) == 1
    assert os.listdir(engine.root / "images/tmp") == [] and engine.pods() == []
    return result


def test_not_fetched(engine, layout, workdir):
    """With --pull never, without a registry, and when the registry has it no more."""
    with Hostile(layout) as registry:
        engine("image", "pull", registry.name, timeout=60).check()
        not_unpacked(engine)
        blob(engine, layout.second).unlink()
        registry.requests.clear()
        told(engine, layout, "run", "--rm", "--pull", "never", registry.name, "true", rc=125)
        assert registry.requests == []
        del registry.documents[layout.second]
        told(engine, layout, "run", "--rm", registry.name, "true", rc=125)
        told(engine, layout, "image", "extract", registry.name, workdir / "out", rc=1)
        assert not (workdir / "out").exists()


def test_of_an_archive(engine, layout, workdir):
    """A name of this machine is in no registry."""
    engine("image", "load", "--name", "localhost/mine:1", layout.archive(workdir / "a.tar")).check()
    engine("image", "rm", "apps.example.com/test:1")
    not_unpacked(engine)
    blob(engine, layout.second).unlink()
    told(engine, layout, "run", "--rm", "localhost/mine:1", "true", rc=125)
    told(engine, layout, "image", "extract", "localhost/mine:1", workdir / "out", rc=1)
