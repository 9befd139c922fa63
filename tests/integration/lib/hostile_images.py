"""Layouts and archives that mean harm by their documents, their files and their names."""

import json
import os
import pathlib
import shutil
import subprocess

from lib.hostile_layers import bomb, holds, refused, small, that
from lib.layouts import CONFIG, INDEX, LAYER, MANIFEST, Layout, digest, entry, gzipped, layer
from lib.rawtar import BLOCK, archive, base256, header, member, pax, pax_of

CASES = {}
PLAIN = layer(entry("x", b"data"))
FINE = holds(x=b"data")
MANIFEST_100 = 100 << 20


def case(name, outcome, make):
    """make(folder) writes an image there and returns its path."""
    assert name not in CASES, name
    CASES[name] = (make, outcome)


def layout(name, outcome, **options):
    """A case of an OCI layout: the function gets a Layout and writes it. With archive the layout is packed."""

    def register(make):
        def run(folder):
            made = Layout(folder / "layout")
            make(made)
            return made.archive(folder / "image.tar") if options.get("archive") else made.path

        case(name, outcome, run)
        return make

    return register


def edited(made, descriptor, **changes):
    """A document of the layout with other members (None: without it)."""
    body = json.loads(made.file(descriptor).read_text())
    body = {key: value for key, value in {**body, **changes}.items() if value is not None}
    return {**descriptor, **made.blob(body, descriptor["mediaType"])}


def manifest_case(name, outcome, change):
    """change(layout, manifest as a dictionary) bends a good manifest."""

    @layout(name, outcome)
    def _(made):
        descriptor = made.image(PLAIN)
        body = json.loads(made.file(descriptor).read_text())
        changed = change(made, body)
        made.index({**descriptor, **made.blob(body if changed is None else changed, MANIFEST)})


def config_case(name, outcome, **changes):
    """A configuration with other members, the rest of the image is in order."""
    layout(name, outcome)(lambda made: made.index(made.image(PLAIN, config=changes)) and None)


def text_case(name, outcome, text):
    """Every document of an image can be this: index.json, a manifest, a configuration."""
    data = text.encode() if isinstance(text, str) else text
    layout(f"{name}-as-index", outcome)(lambda made: (made.path / "index.json").write_bytes(data) and None)
    manifest_case(f"{name}-as-manifest", outcome, lambda made, body: data)
    manifest_case(f"{name}-as-config", outcome, lambda made, body: body.update(config=made.blob(data, CONFIG)))


# --- lies --------------------------------------------------------------------------------


def of_layer(**changes):
    return lambda made, body: body["layers"][0].update(changes)


ZERO = "sha256:" + "0" * 64
manifest_case("layer-digest-of-another", refused("layer 1 of 1", "missing"), of_layer(digest=ZERO))
manifest_case("layer-digest-no-digest", refused("digest"), of_layer(digest="sha256:../../../../etc/shadow"))
manifest_case("layer-digest-with-slash", refused("digest"), of_layer(digest="sha256/../../x:" + "0" * 64))
manifest_case("layer-digest-upper-case", refused("digest"), of_layer(digest="sha256:" + "A" * 64))
manifest_case("layer-digest-algorithm", refused("digest"), of_layer(digest="md5:" + "0" * 32))
manifest_case("layer-digest-number", refused("digest"), of_layer(digest=7))
manifest_case("layer-size-more", refused("layer 1 of 1", "bytes, not"), of_layer(size=1 << 40))
manifest_case("layer-size-less", refused("layer 1 of 1", "bytes, not"), of_layer(size=1))
manifest_case("layer-size-negative", refused("negative"), of_layer(size=-1))
manifest_case("layer-size-overflow", refused("size"), of_layer(size=1 << 64))
manifest_case("layer-size-fraction", refused("size"), of_layer(size=10.5))
manifest_case("layer-size-text", refused("size"), of_layer(size="10240"))
manifest_case("config-size-huge", refused("larger than 4.00 MiB"), lambda made, body: body["config"].update(size=1 << 62))
manifest_case("config-size-lie", refused("bytes, not"), lambda made, body: body["config"].update(size=3))
manifest_case("config-missing", refused("missing"), lambda made, body: body["config"].update(digest=ZERO))
manifest_case("layers-none-but-diff-ids", refused("0 layers, its configuration 1"), lambda made, body: body.update(layers=[]))
manifest_case("layers-twice", refused("2 layers, its configuration 1"), lambda made, body: body.update(layers=body["layers"] * 2))
manifest_case("layers-by-the-ten-thousand", refused("more than 1000 layers"), lambda made, body: body.update(layers=body["layers"] * 10_000))
config_case("diff-id-lie", refused("uncompressed", "digest"), rootfs={"type": "layers", "diff_ids": [ZERO]})
config_case("diff-ids-missing", refused("1 layers, its configuration 0"), rootfs={"type": "layers"})
config_case("diff-ids-ten-thousand", refused("more than 1000 layers"), rootfs={"type": "layers", "diff_ids": [digest(PLAIN)] * 10_000})
config_case("rootfs-missing", refused("rootfs"), rootfs=None)
config_case("rootfs-of-another-type", refused("layers"), rootfs={"type": "base+layers", "diff_ids": [digest(PLAIN)]})
config_case("history-longer-than-layers", FINE, history=[{"created_by": f"step {i}"} for i in range(1000)])
config_case("history-of-control-characters", FINE, history=[{"created_by": "\x1b[2J\u202e\n", "comment": "\r\x07"}], author="\x1b]0;x\x07")
config_case("history-of-numbers", refused("history"), history=[7])
config_case("created-long", FINE, created="9" * 4_193_700)
config_case("created-of-control-characters", FINE, created="\x1b[31m2024")
config_case("created-number", refused("created"), created=7)
config_case("environment-odd", FINE, config={"Env": ["", "=", "LD_PRELOAD=/x", "a\nb=c"], "User": "../../root", "WorkingDir": "../../.."})
config_case("labels-endless", FINE, config={"Labels": {f"l{i}": "v" for i in range(100_000)}})
config_case("volumes-out", FINE, config={"Volumes": {"../../etc": {}, "/": {}}})
config_case("architecture-of-control-characters", refused("\\x1b[31m"), architecture="\x1b[31m\n")

# --- shapes ------------------------------------------------------------------------------

text_case("empty", refused("json"), b"")
text_case("no-json", refused(""), b"#!/bin/sh\nexit 0\n")
text_case("json-deep", refused("nested deeper"), "[" * 100_000 + "]" * 100_000)
text_case("json-deep-members", refused("nested deeper"), '{"a":' * 1000 + "1" + "}" * 1000)
text_case("json-open", refused(""), '{"schemaVersion": 2, "manifests": [')
text_case("json-trailing", refused(""), '{"schemaVersion":2,"manifests":[]}{}')
text_case("json-number-huge", refused(""), '{"schemaVersion": 1e999}')
text_case("json-number-long", refused(""), '{"schemaVersion": ' + "9" * 100_000 + "}")
text_case("json-not-utf8", refused(""), b'{"schemaVersion":2,"mediaType":"\xff\xfe"}')
text_case("json-nul", refused(""), b'{"schemaVersion":2,\0"manifests":[]}')
text_case("json-utf16", refused(""), '{"schemaVersion":2}'.encode("utf-16"))
text_case("json-null", refused(""), "null")
text_case("json-four-mib-of-lists", refused(""), "[" + "[]," * 1_390_000 + "[]]")
text_case("json-four-mib-of-objects", refused(""), '{"history":[' + "{}," * 1_390_000 + "{}]}")
text_case("json-four-mib-of-nothing", refused(""), b" " * ((4 << 20) - 2) + b"{}")
text_case("larger-than-a-document", refused("larger than 4.00 MiB"), b" " * ((4 << 20) + 1))
manifest_case("json-nul-in-digest", refused("nul"), lambda made, body: json.dumps(body).replace(digest(PLAIN), digest(PLAIN)[:-6] + "\\u0000").encode())
manifest_case("json-lone-surrogate", refused(""), lambda made, body: json.dumps(body).replace(MANIFEST, "\\ud800").encode())
manifest_case("json-duplicate-layers", FINE, lambda made, body: json.dumps(body).replace('"layers"', '"layers": [], "layers"').encode())
manifest_case("json-duplicate-layers-other-way", refused("0 layers"), lambda made, body: (json.dumps(body)[:-1] + ', "layers": []}').encode())
config_case("config-history-of-a-million", refused("more than 250000 values"), history=[{}] * 990_000)
config_case("config-history-of-thousands", refused("more than 10000 steps"), history=[{}] * 100_000)


def huge(name, where):
    """A document of 100 MB that is a hole."""

    @layout(f"{name}-100-mb", refused("larger than 4.00 MiB"))
    def _(made):
        made.index(made.image(PLAIN))
        with open(made.path / where, "wb") as file:
            file.truncate(MANIFEST_100)


huge("index", "index.json")
huge("oci-layout", "oci-layout")


@layout("manifest-100-mb", refused("larger than 4.00 MiB"))
def _(made):
    made.index({**made.image(PLAIN), "size": MANIFEST_100})


@layout("manifest-100-mb-that-says-it-is-small", refused("larger than 4.00 MiB"))
def _(made):
    descriptor = made.image(PLAIN)
    os.truncate(made.file(descriptor), MANIFEST_100)
    made.index(descriptor)


@layout("config-100-mb-that-says-it-is-small", refused("larger than 4.00 MiB"))
def _(made):
    descriptor = made.image(PLAIN)
    os.truncate(made.file(json.loads(made.file(descriptor).read_text())["config"]), MANIFEST_100)
    made.index(descriptor)


@layout("manifest-one-byte-other", refused("digest"))
def _(made):
    descriptor = made.image(PLAIN)
    data = made.file(descriptor).read_bytes()
    made.file(descriptor).write_bytes(data.replace(b"2", b"3", 1))
    made.index(descriptor)


# --- kinds ---------------------------------------------------------------------------------

manifest_case("both-manifest-and-index", refused("has both"), lambda made, body: body.update(manifests=[]))
manifest_case("both-without-media-type", refused("has both"), lambda made, body: (body.pop("mediaType"), body.update(manifests=[]))[0] and None)
manifest_case("manifest-that-says-index", refused("does not fit"), lambda made, body: body.update(mediaType=INDEX))
manifest_case("config-as-layer", refused("not a file system layer"), lambda made, body: body.update(layers=[body["config"]]))
manifest_case("config-as-layer-in-disguise", refused("layer 1 of 1"), lambda made, body: body.update(layers=[{**body["config"], "mediaType": LAYER}]))
manifest_case("layer-as-config", refused("configuration"), lambda made, body: body.update(config={**body["layers"][0], "mediaType": CONFIG}))
manifest_case("config-is-the-manifest", refused("rootfs"), lambda made, body: body.update(config=made.blob({"schemaVersion": 2, "layers": [], "config": {}}, CONFIG)))
manifest_case("schema-1", refused("schema 1"), lambda made, body: body.update(schemaVersion=1))
manifest_case("schema-missing", refused("schemaVersion"), lambda made, body: body.pop("schemaVersion") and None)
manifest_case("layer-foreign", refused("foreign"), of_layer(mediaType="application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", urls=["file:///etc/shadow"]))
manifest_case("layer-encrypted", refused("encrypted"), of_layer(mediaType=LAYER + "+encrypted"))
manifest_case("layer-of-another-compression", FINE, of_layer(mediaType=LAYER + "+zstd"))
manifest_case("artifact", refused("artifact"), lambda made, body: body.update(artifactType="x/y", config=made.blob({}, "application/vnd.oci.empty.v1+json")))


@layout("indexes-nested", refused("nested more than 8 deep"))
def _(made):
    inner = made.image(PLAIN)
    del inner["platform"]
    for _ in range(100):
        inner = made.blob({"schemaVersion": 2, "manifests": [inner]}, INDEX)
    made.index(inner)


@layout("index-of-itself", refused("digest"))
def _(made):
    body = json.dumps({"schemaVersion": 2, "manifests": [{"mediaType": INDEX, "digest": ZERO, "size": 147}]}).encode()
    made.file(ZERO).write_bytes(body)
    made.index({"mediaType": INDEX, "digest": ZERO, "size": len(body)})


@layout("index-json-names-itself", refused("missing"))
def _(made):
    made.index({"mediaType": INDEX, "digest": digest(b"index.json"), "size": 100})


@layout("index-of-a-thousand-large-images", refused("together"))
def _(made):
    large = made.image(PLAIN, config={"author": "x" * 4_000_000})
    made.index(*(edited(made, large, annotations={"n": str(i)}) for i in range(100)))
    named = json.loads((made.path / "index.json").read_text())
    for number, one in enumerate(named["manifests"]):
        one["annotations"] = {"org.opencontainers.image.ref.name": f"test:{number}"}
    (made.path / "index.json").write_text(json.dumps(named))


@layout("index-of-too-many-images", refused("more than 1000 images"))
def _(made):
    descriptor = made.image(PLAIN)
    del descriptor["platform"]
    (made.path / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [descriptor] * 15_000}))


@layout("index-of-too-many-names", refused("more than 1000 images"))
def _(made):
    descriptor = made.image(PLAIN)
    many = [{**descriptor, "annotations": {"org.opencontainers.image.ref.name": f"t:{i}"}} for i in range(12_000)]
    (made.path / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": many}))


@layout("index-empty", refused("lists no image"))
def _(made):
    made.index()


@layout("layout-of-another-version", refused("9.0"))
def _(made):
    made.index(made.image(PLAIN))
    (made.path / "oci-layout").write_text('{"imageLayoutVersion":"9.0.0"}')


@layout("layers-by-the-thousand", that(lambda tree: len(os.listdir(tree)) == 1000))
def _(made):
    made.index(made.image(*(layer(entry(f"x{i}", b"data")) for i in range(1000))))


# --- names ---------------------------------------------------------------------------------


def plain(folder):
    """A layout with a harmless image."""
    made = Layout(folder / "layout")
    return made.index(made.image(PLAIN))


def named(name, outcome, text):
    """The image has this name in index.json, or in manifest.json."""
    layout(f"name-{name}", outcome)(lambda made: made.index(made.image(PLAIN), name=text) and None)

    def archived(folder):
        return plain(folder).docker_archive(folder / "image.tar", RepoTags=[text])

    case(f"name-{name}-of-docker", outcome, archived)


for title, text in {
    "dotdot": "../../../etc/passwd:1", "dots": "x/../../y:1", "absolute": "/etc/passwd:1", "control": "x\x1b[31m\n:1", "nul-like": "x%00y:1", "tag-dotdot": "x:../1", "long": "x" * 300 + ":1",
    "tag-long": "x:" + "y" * 200, "plus": "a+b+c:1", "space": "a b:1", "not-ascii": "caf\u00e9:1", "dash": "--force", "two-tags": "x:1:2", "only-tag": ":1",
    "id": "sha256:" + "0" * 64, "id-begins": "sha256:abcdef", "id-of-hub": "docker.io/library/sha256:" + "0" * 64, "id-of-aci": "sha512-" + "0" * 128,
}.items():  # fmt: skip
    named(title, refused("name"), text)

# --- files that are none ---------------------------------------------------------------------


def replaced(name, outcome, which, make):
    """A file of a layout (by its path, or a role) is something else."""

    @layout(name, outcome)
    def _(made):
        descriptor = made.image(PLAIN)
        made.index(descriptor)
        body = json.loads(made.file(descriptor).read_text())
        roles = {"manifest": descriptor, "config": body["config"], "layer": body["layers"][0]}
        path = made.file(roles[which]) if which in roles else made.path / which
        data = path.read_bytes()
        path.unlink()
        make(path, data)


def linked_inside(path, data):
    """The bytes are in another file of the layout."""
    (path.parent / "elsewhere").write_bytes(data)
    path.symlink_to("elsewhere")


KINDS = {
    "fifo": ("not a regular file", lambda path, _: os.mkfifo(path)),
    "directory": ("not a regular file", lambda path, _: path.mkdir()),
    "socket": ("not a regular file", lambda path, _: os.mknod(path, 0o140644)),
    "zero": ("not a regular file", lambda path, _: os.mknod(path, 0o020666, os.makedev(1, 5))),
    "link-out": ("", lambda path, _: path.symlink_to("/etc/shadow")),
    "link-up": ("", lambda path, _: path.symlink_to("../../../../../../../../etc/shadow")),
    "link-loop": ("", lambda path, _: path.symlink_to(path.name)),
    "link-proc": ("", lambda path, _: path.symlink_to("/proc/self/fd/0")),
}
for title, (words, make) in KINDS.items():
    for which in ("index.json", "oci-layout", "manifest", "config", "layer"):
        # Without an oci-layout file the rest is an image all the same.
        outcome = FINE if which == "oci-layout" and title in ("link-out", "link-up", "link-proc") else refused(words)
        replaced(f"{which.split('.')[0]}-is-a-{title}", outcome, which, make)
replaced("blob-is-a-link-inside", FINE, "layer", linked_inside)


@layout("blobs-is-a-link-out", refused("missing"))
def _(made):
    made.index(made.image(PLAIN))
    outside = made.path.parent / "outside"
    shutil.move(made.path / "blobs", outside)
    (made.path / "blobs").symlink_to(outside)


# --- archives ----------------------------------------------------------------------------------


def packed(name, outcome, *before, after=(), drop=None):
    """An OCI archive with members of ours before or after the honest ones; drop is the role of a blob that is left out."""

    def run(folder):
        made = Layout(folder / "layout")
        descriptor = made.image(PLAIN)
        made.index(descriptor)
        blob = json.loads(made.file(descriptor).read_text())["layers"][0]["digest"].split(":")[1]
        path = f"blobs/sha256/{blob}"
        names = {"layer": path}
        honest = [pathlib.Path(top, file) for top, _, files in os.walk(made.path) for file in files]
        members = [member(str(p.relative_to(made.path)), p.read_bytes()) for p in honest if str(p.relative_to(made.path)) != names.get(drop)]
        extra = [one(path) if callable(one) else one for one in (*before, *after)]
        (folder / "image.tar").write_bytes(archive(*extra[: len(before)], *members, *extra[len(before) :]))
        return folder / "image.tar"

    case(name, outcome, run)


packed("archive-member-dotdot", refused("leads out"), member("../../escaped", b"x"))
packed("archive-member-absolute", FINE, member("/etc/escaped", b"x"))
packed("archive-blob-is-symlink-out", refused("missing"), lambda path: member(path, kind="symlink", link="/etc/shadow"), drop="layer")
packed("archive-blob-is-symlink-up", refused("missing"), lambda path: member(path, kind="symlink", link="../../../../../etc/shadow"), drop="layer")
packed("archive-blob-is-hardlink-out", refused("missing"), lambda path: member(path, kind="hardlink", link="/etc/shadow"), drop="layer")
packed("archive-blob-is-symlink-loop", refused("circles"), lambda path: member(path, kind="symlink", link="/a"), member("a", kind="symlink", link="b"), member("b", kind="symlink", link="a"), drop="layer")
packed("archive-blob-is-directory", refused("missing"), lambda path: member(path + "/", kind="directory"), drop="layer")
packed("archive-blob-is-fifo", refused("missing"), lambda path: member(path, kind="fifo"), drop="layer")
packed("archive-blob-is-link-inside", FINE, lambda path: member(path, kind="symlink", link="../../data"), member("data", PLAIN), drop="layer")
packed("archive-blob-is-sparse", refused("missing"), lambda path: pax_of([("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.name", path), ("GNU.sparse.realsize", str(1 << 40))]) + member("s", b"0\n".ljust(BLOCK, b"\0")), drop="layer")
packed("archive-index-twice", refused("index.json"), after=(member("index.json", b"[]"),))
packed("archive-index-twice-last-wins", FINE, member("index.json", b"[]"))
packed("archive-size-lie", refused("truncated"), after=(header("more", base256(1 << 50, 12)),))
packed("archive-checksum-lie", refused("check sum"), after=(header("more", checksum=1),))
packed("archive-name-nul", refused("NUL"), after=(pax(path=b"a\0b") + member("x"),))


def archive_of_names(folder):
    """More names than anybody would keep in memory, in few bytes."""
    with open(folder / "image.tar.gz", "wb") as out:
        for at in range(0, 6000, 500):
            out.write(gzipped(b"".join(pax(path=f"{i}/" + "n" * 4000) + member("x") for i in range(at, at + 500))))
        out.write(gzipped(archive()))
    return folder / "image.tar.gz"


def archive_bomb(folder):
    """A member of zeros, and no image."""
    (folder / "image.tar.gz").write_bytes(small(bomb()))
    return folder / "image.tar.gz"


case("archive-of-names", refused("names of its members take more than"), archive_of_names)
case("archive-bomb", refused("is not an image"), archive_bomb)

# --- docker archives -----------------------------------------------------------------------------


def docker(name, outcome, manifest=None, extra=b"", **lies):
    """An archive of docker save whose manifest.json lies."""

    def run(folder):
        made = plain(folder)
        path = made.docker_archive(folder / "image.tar", **lies)
        if manifest is not None:
            data = manifest if isinstance(manifest, bytes) else json.dumps(manifest).encode()
            listing = subprocess.run(["tar", "-C", made.path, "-cf", "-", "blobs"], capture_output=True, check=True).stdout.rstrip(b"\0")
            path.write_bytes(archive(member("manifest.json", data)) if not extra else member("manifest.json", data) + extra + listing + bytes(10240))
        elif extra:
            path.write_bytes(extra + path.read_bytes())
        return path

    case(f"docker-{name}", outcome, run)


docker("honest", FINE)
docker("layer-outside", refused("missing"), Layers=["../../../../etc/shadow"])
docker("layer-absolute", refused("missing"), Layers=["/etc/shadow"])
docker("layer-is-directory", refused("missing"), Layers=["blobs/sha256"])
docker("layer-is-config", refused("layer 1 of 1"), Layers=["manifest.json"])
docker("layer-empty-name", refused("missing"), Layers=[""])
docker("layer-control", refused("\\x1b[31m"), Layers=["\x1b[31m\n"])
docker("layer-nul", refused("nul"), Layers=["a\0b"])
docker("layers-ten-thousand", refused("more than 1000 layers"), Layers=["x"] * 10_000)
docker("layers-none", refused("0 layers"), Layers=[])
docker("config-outside", refused("missing"), Config="../../../../etc/passwd")
docker("config-absolute", refused("missing"), Config="/etc/passwd")
docker("config-missing", refused("Config"), Config=None)
docker("names-by-the-hundred-thousand", refused("more than 1000 names"), RepoTags=[f"a:{i}" for i in range(200_000)])
docker("names-null", FINE, RepoTags=None)
docker("names-of-numbers", refused("RepoTags"), RepoTags=[1, 2])
docker("manifest-empty", refused("lists no image"), manifest=[])
docker("manifest-object", refused("manifest.json"), manifest={})
docker("manifest-100-mb", refused("larger than 4.00 MiB"), manifest=b" " * MANIFEST_100)
docker("repositories-lie", FINE, extra=member("repositories", b'{"../../etc": {"passwd": "../../../etc/shadow"}}'))
docker("layer-is-symlink-out", refused("missing"), extra=member("l/layer.tar", kind="symlink", link="/etc/shadow"), Layers=["l/layer.tar"])
docker("version-1-symlinks", refused("circles"), extra=member("l/layer.tar", kind="symlink", link="../m/layer.tar") + member("m/layer.tar", kind="symlink", link="../l/layer.tar"), Layers=["l/layer.tar"])
docker("thousand-times-one-configuration", refused(""), manifest=[{"Config": "c", "RepoTags": [], "Layers": []}] * 40_000, extra=member("c", b'{"author":"' + b"x" * 4_000_000 + b'"}'))
