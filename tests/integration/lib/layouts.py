"""Images made by hand: OCI layouts whose every byte a test may bend."""

import gzip
import hashlib
import io
import json
import os
import pathlib
import subprocess
import tarfile

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"


def digest(data):
    """The sha256 digest of bytes, as images write it."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def entry(name, data=b"", **attributes):
    """One member for layer(): attributes are those of tarfile.TarInfo."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    info.mtime = 1_000_000_000
    info.mode = 0o644
    for key, value in attributes.items():
        setattr(info, key, value)
    return info, data


def directory(name, mode=0o755, **attributes):
    """A directory member."""
    return entry(name, type=tarfile.DIRTYPE, mode=mode, **attributes)


def symlink(name, target):
    """A symbolic link member."""
    return entry(name, type=tarfile.SYMTYPE, linkname=target)


def hardlink(name, target):
    """A hard link member."""
    return entry(name, type=tarfile.LNKTYPE, linkname=target)


def layer(*members, form=tarfile.PAX_FORMAT):
    """An uncompressed layer."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as tar:
        for info, data in members:
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def gzipped(data):
    """Bytes compressed by gzip, the same ones each time."""
    return gzip.compress(data, mtime=0)


def zstd(data):
    """Bytes compressed by the zstd program."""
    return subprocess.run(["zstd", "-q", "-c"], input=data, stdout=subprocess.PIPE, check=True).stdout


class Layout:
    """An OCI layout in a directory."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        (self.path / "blobs/sha256").mkdir(parents=True)
        (self.path / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')

    @classmethod
    def at(cls, path):
        """The layout that is in a directory."""
        made = cls.__new__(cls)
        made.path = pathlib.Path(path)
        return made

    def blob(self, data, media_type):
        """Store bytes (or a value as JSON); returns the descriptor."""
        if not isinstance(data, bytes):
            data = json.dumps(data).encode()
        self.file(digest(data)).write_bytes(data)
        return {"mediaType": media_type, "digest": digest(data), "size": len(data)}

    def file(self, name):
        """Where the blob of a digest (or descriptor) lies."""
        return self.path / "blobs/sha256" / (name["digest"] if isinstance(name, dict) else name).split(":")[1]

    def image(self, *layers, compress="", platform=("linux", "amd64"), config=None, **manifest):
        """Store a manifest for uncompressed layers; returns its descriptor."""
        pack, suffix = {"": (bytes, ""), "gzip": (gzipped, "+gzip"), "zstd": (zstd, "+zstd")}[compress]
        document = {
            "created": "2024-01-02T03:04:05Z",
            "os": platform[0],
            "architecture": platform[1],
            "config": {"Cmd": ["sh"]},
            "rootfs": {"type": "layers", "diff_ids": [digest(data) for data in layers]},
            **(config or {}),
        }
        document = {key: value for key, value in document.items() if value is not None}
        body = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self.blob(document, CONFIG),
            "layers": [self.blob(pack(data), LAYER + suffix) for data in layers],
            **manifest,
        }
        return {**self.blob(body, MANIFEST), "platform": {"os": platform[0], "architecture": platform[1]}}

    def repacked(self, manifest, pack):
        """The manifest with its last layer packed by a function of bytes; returns the new descriptor."""
        body = json.loads(self.file(manifest).read_text())
        body["layers"][-1] = self.blob(pack(self.file(body["layers"][-1]).read_bytes()), LAYER)
        return {**manifest, **self.blob(body, MANIFEST)}

    def index(self, *descriptors, name="test:1"):
        """Write index.json naming each descriptor; returns the layout."""
        named = [{**d, "annotations": {"org.opencontainers.image.ref.name": name}} for d in descriptors]
        (self.path / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": named}))
        return self

    def archive(self, path):
        """The layout as a tar; returns its path."""
        subprocess.run(["tar", "-C", self.path, "-cf", path, "oci-layout", "index.json", "blobs"], check=True)
        return pathlib.Path(path)

    def docker_archive(self, path, **lies):
        """The image of the layout as docker save writes it; lies are members of its manifest.json. Returns the path."""
        descriptor = json.loads((self.path / "index.json").read_text())["manifests"][0]
        manifest = json.loads(self.file(descriptor).read_text())
        names = [self.file(part).relative_to(self.path) for part in (manifest["config"], *manifest["layers"])]
        config, *layers = map(str, names)
        listed = {"Config": config, "RepoTags": [descriptor["annotations"]["org.opencontainers.image.ref.name"]], "Layers": layers, **lies}
        (self.path / "manifest.json").write_text(json.dumps([listed]))
        subprocess.run(["tar", "-C", self.path, "-cf", path, "manifest.json", "blobs"], check=True)
        return pathlib.Path(path)


def small_and_large(path):
    """A layout of an image of two layers, one that gzip makes smaller and one, of 600 kB, that it does not."""
    made = Layout(path)
    made.layers = [layer(entry("small", b"s")), layer(entry("large", os.urandom(600_000)))]
    manifest = made.image(*made.layers)
    made.index(manifest)
    made.small, made.large = (digest(data) for data in made.layers)
    made.config = json.loads(made.file(manifest).read_text())["config"]["digest"]
    return made
