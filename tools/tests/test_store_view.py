"""The view of image stores that tests have sees each kind of damage."""

import hashlib
import json
import pathlib
import sys

import pytest

TESTS = pathlib.Path(__file__).resolve().parents[2] / "tests"
sys.path.insert(0, str(TESTS / "integration"))

from lib.store_view import StoreView  # noqa: E402

CHAIN = "c" * 64


@pytest.fixture
def store(tmp_path):
    """A store with one image."""
    for folder in ("blobs/sha256", "refs/images", "refs/names", f"trees/{CHAIN}/rootfs", "tmp"):
        (tmp_path / folder).mkdir(parents=True)

    def blob(data):
        data = data if isinstance(data, bytes) else json.dumps(data).encode()
        value = hashlib.sha256(data).hexdigest()
        (tmp_path / "blobs/sha256" / value).write_bytes(data)
        return {"digest": f"sha256:{value}"}

    layer = blob(b"layer")
    config = blob({"rootfs": {"diff_ids": ["x"]}})
    manifest = blob({"config": config, "layers": [layer]})
    record = {"id": config["digest"], "manifest": manifest["digest"], "layers": [layer["digest"]], "chain": CHAIN}
    (tmp_path / "refs/images" / config["digest"]).write_text(json.dumps(record))
    (tmp_path / "refs/names/localhost+x:1").write_text(json.dumps({"name": "localhost/x:1", "image": config["digest"]}))
    (tmp_path / f"trees/{CHAIN}/tree.json").write_text("{}")
    (tmp_path / f"trees/{CHAIN}/rootfs/file").write_text("content")
    return tmp_path, {"layer": layer["digest"], "configuration": config["digest"], "manifest": manifest["digest"]}


def complaints(top, known=None):
    view = StoreView(top)
    view.check_trees({} if known is None else known)
    return view.complaints


def test_whole(store):
    """A good store has no complaint, and nothing over."""
    top, _ = store
    view = StoreView(top)
    assert complaints(top) == [] and view.leftovers() == []
    assert view.meaning()["names"] and view.meaning()["trees"] == [CHAIN]


@pytest.mark.parametrize("part", ["layer", "configuration", "manifest"])
def test_blobs(store, part):
    """One that is missing, and one with other bytes."""
    top, digests = store
    path = top / "blobs/sha256" / digests[part].split(":")[1]
    data = path.read_bytes()
    path.write_bytes(data + b" ")
    assert any("other bytes" in c for c in complaints(top))
    path.unlink()
    assert any("missing" in c for c in complaints(top))


def test_records(store):
    """A name without an image, and records that are cut."""
    top, digests = store
    record = top / "refs/images" / digests["configuration"]
    text = record.read_text()
    record.write_text(text[:20])
    assert complaints(top)
    record.unlink()
    assert any("no image here" in c for c in complaints(top))
    record.write_text(text.replace(CHAIN, "d" * 64))
    assert complaints(top) == [] and StoreView(top).leftovers() == [f"trees/{CHAIN}"]


def test_trees(store):
    """One that lacks a file, one that is not complete."""
    top, _ = store
    known = {}
    assert complaints(top, known) == []
    (top / f"trees/{CHAIN}/rootfs/file").unlink()
    assert any("differs" in c for c in complaints(top, known))
    (top / f"trees/{CHAIN}/tree.json").unlink()
    assert any("not complete" in c for c in complaints(top, known))


def test_leftovers(store):
    """Work in progress, halves of records, blobs that nobody needs."""
    top, _ = store
    (top / "tmp/job").mkdir()
    (top / "refs/names/.half").write_text("")
    (top / "blobs/sha256" / hashlib.sha256(b"x").hexdigest()).write_bytes(b"x")
    assert len(StoreView(top).leftovers()) == 3
