"""The bundled image: a valid layout, the same bytes each time, with the content the tests of the engine rely on."""

import gzip
import hashlib
import io
import json
import pathlib
import subprocess
import tarfile

import pytest

TOOL = pathlib.Path(__file__).resolve().parents[1] / "make-busybox-image"


@pytest.fixture(scope="module")
def layout(tmp_path_factory):
    directory = tmp_path_factory.mktemp("image") / "busybox"
    subprocess.run([TOOL, directory], check=True)
    return directory


def blob(layout, descriptor):
    data = (layout / "blobs" / descriptor["digest"].replace(":", "/")).read_bytes()
    assert descriptor["size"] == len(data)
    assert descriptor["digest"] == "sha256:" + hashlib.sha256(data).hexdigest()
    return data


@pytest.fixture(scope="module")
def image(layout):
    index = json.loads((layout / "index.json").read_bytes())
    (listed,) = index["manifests"]
    assert listed["annotations"]["org.opencontainers.image.ref.name"] == "busybox:latest"
    manifest = json.loads(blob(layout, listed))
    return manifest, json.loads(blob(layout, manifest["config"])), [blob(layout, layer) for layer in manifest["layers"]]


def test_marker(layout):
    assert json.loads((layout / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}


def test_every_blob_is_reachable(layout, image):
    assert len(list((layout / "blobs" / "sha256").iterdir())) == 3


def test_config(image):
    _, config, layers = image
    assert config["config"]["Cmd"] == ["sh"]
    assert config["config"]["Env"][0].startswith("PATH=")
    assert config["rootfs"]["diff_ids"] == ["sha256:" + hashlib.sha256(gzip.decompress(layer)).hexdigest() for layer in layers]
    assert sum(not entry.get("empty_layer", False) for entry in config["history"]) == len(layers)


def test_content(image):
    _, _, (layer,) = image
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(layer))) as tar:
        names = tar.getnames()
        assert names == sorted(names) and len(names) == len(set(names))
        assert tar.getmember("bin/busybox").mode == 0o755
        assert tar.getmember("bin/sh").linkname == "/bin/busybox"
        assert tar.getmember("tmp").mode == 0o1777
        home = tar.getmember("home/app")
        assert (home.uid, home.gid) == (1000, 1000)
        passwd = tar.extractfile("etc/passwd").read().decode()
        assert [line.split(":")[0] for line in passwd.splitlines()] == ["root", "daemon", "app", "nobody"]
        assert all(entry.mtime == tar.getmembers()[0].mtime for entry in tar.getmembers())


def test_reproducible(layout, tmp_path):
    subprocess.run([TOOL, tmp_path / "again"], check=True)
    assert not subprocess.run(["diff", "-r", layout, tmp_path / "again"]).returncode


def test_an_up_to_date_layout_is_left_alone(layout):
    before = (layout / "index.json").stat()
    subprocess.run([TOOL, layout], check=True)
    assert (layout / "index.json").stat() == before or (layout / "index.json").stat().st_mtime_ns == before.st_mtime_ns
