"""cooper image: images of real producers come out file by file; hostile and broken ones are refused and leave nothing."""

import concurrent.futures
import fcntl
import gzip
import json
import os
import random
import shutil
import stat
import subprocess
import tarfile
import time

import pytest

from lib import proc, trees
from lib.cooper import busybox_layout, empty_engine as engine, engine_dir, new_engine  # noqa: F401
from lib.layouts import CONFIG, INDEX, MANIFEST, Layout, directory, entry, layer, symlink

pytestmark = pytest.mark.needs("root", "cooper", "isolation")


@pytest.fixture
def layout(workdir):
    """A fresh OCI layout."""
    return Layout(workdir / "layout")


def store(engine):
    return engine.root / "images"


def contents(engine):
    """All there is in the store but its fixed files: blobs, records, names, trees, work in progress."""
    return sorted(
        f"{folder}/{name}"
        for folder in ("blobs/sha256", "blobs/sha512", "refs/images", "refs/names", "trees", "tmp")
        for name in os.listdir(store(engine) / folder)
    )


def load(engine, path, *flags, **options):
    return engine("image", "load", *flags, path, timeout=120, **options)


def loaded(engine, path, *flags):
    """Load one image; returns its record."""
    load(engine, path, *flags).check()
    images = engine.json("image", "ls")["images"]
    return images[0]


def rootfs(engine, image="test:1"):
    """Extracts the image; returns the directory."""
    target = engine.folder / "out"
    shutil.rmtree(target, ignore_errors=True)
    engine("image", "extract", image, target, timeout=60).check()
    return target


def tree(engine):
    """The only unpacked tree of the store."""
    (chain,) = os.listdir(store(engine) / "trees")
    return store(engine) / "trees" / chain / "rootfs"


def refused(engine, path, *words):
    """Loading fails with these words and leaves nothing."""
    result = load(engine, path).fails(*words)
    assert contents(engine) == []
    return result


# --- real producers ------------------------------------------------------------------


@pytest.fixture(scope="module")
def producers(podman, buildah, clients_dir):
    """An image with everything in it, made by buildah; and what it must look like."""
    with buildah.working("everything", "scratch"):
        top = buildah("mount", "everything").check().out.strip()
        fill(top)
        expected = trees.describe(top)
        buildah("umount", "everything").check()
        buildah("config", "--cmd", "/bin/sh", "--env", "A=b", "everything").check()
        buildah("commit", "--quiet", "everything", "localhost/all:base").check()
    with buildah.working("changed", "localhost/all:base"):
        top = buildah("mount", "changed").check().out.strip()
        change(top)
        expected = trees.describe(top)
        buildah("umount", "changed").check()
        buildah("commit", "--quiet", "changed", "localhost/all:1").check()
    folder = clients_dir / "images"
    folder.mkdir()
    return podman, buildah, folder, expected


def fill(top):
    os.makedirs(f"{top}/usr/bin")
    os.makedirs(f"{top}/gone/deep")
    os.makedirs(f"{top}/opaque/sub")
    shutil.copy("/bin/busybox", f"{top}/usr/bin/busybox")
    os.symlink("usr/bin", f"{top}/bin")
    os.symlink("busybox", f"{top}/usr/bin/sh")
    os.setxattr(f"{top}/usr/bin/busybox", "security.capability", bytes.fromhex("0100000200200000000000000000000000000000"))
    for name in ("gone/deep/file", "opaque/old", "opaque/sub/old", "plain", "replaced", "n" * 120, "caf\u00e9"):
        with open(f"{top}/{name}", "w", encoding="utf-8") as file:
            file.write(name)
    os.chmod(f"{top}/plain", 0o4755)
    os.chown(f"{top}/plain", 1000, 100)
    os.chmod(f"{top}/plain", 0o6711)
    os.link(f"{top}/plain", f"{top}/hard")
    os.mkfifo(f"{top}/fifo")
    os.mknod(f"{top}/null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mkdir(f"{top}/sticky")
    os.chmod(f"{top}/sticky", 0o1777)
    os.chown(f"{top}/sticky", 70000, 3000000)
    long = "d" * 60
    os.makedirs(f"{top}/{long}/{long}/{long}/{long}")
    with open(f"{top}/{long}/{long}/{long}/{long}/file", "w", encoding="utf-8") as file:
        file.truncate(5_000_000)
    os.symlink("t" * 200, f"{top}/longlink")
    settle_times(top)


def settle_times(top):
    """Whole seconds: archivers round fractions in different ways."""
    for folder, folders, files in os.walk(top):
        for name in files + folders:  # links to directories count as directories here
            info = os.lstat(f"{folder}/{name}")
            if info.st_mtime != int(info.st_mtime):
                os.utime(f"{folder}/{name}", (1_700_000_000, 1_700_000_000), follow_symlinks=False)


def change(top):
    shutil.rmtree(f"{top}/gone")
    shutil.rmtree(f"{top}/opaque")
    os.makedirs(f"{top}/opaque/sub")
    with open(f"{top}/opaque/new", "w", encoding="utf-8") as file:
        file.write("new")
    os.remove(f"{top}/replaced")
    os.mkdir(f"{top}/replaced")
    with open(f"{top}/caf\u00e9", "a", encoding="utf-8") as file:
        file.write("more")
    settle_times(top)


def made_by(kind, producers, folder):
    """Write the image as this producer does; returns its path."""
    podman, buildah, _, _ = producers
    target = folder / kind
    if kind.startswith("podman-"):
        podman("save", "--quiet", "--format", kind.removeprefix("podman-"), "-o", target, "localhost/all:1").check()
    elif kind == "buildah-oci":
        buildah("push", "--quiet", "localhost/all:1", f"oci:{target}:all").check()
    else:
        base = folder / "base"
        podman("save", "--quiet", "--format", "oci-dir", "-o", base, "localhost/all:1").check()
        words = {"oci": f"oci:{target}:all", "docker": f"docker-archive:{target}:localhost/all:1", "zstd": f"oci:{target}:all"}
        flags = ["--dest-compress-format", "zstd"] if kind == "skopeo-zstd" else []
        proc.run("skopeo", "--insecure-policy", "copy", "--quiet", *flags, f"oci:{base}", words[kind.removeprefix("skopeo-")]).check()
    return target


KINDS = ["podman-oci-archive", "podman-oci-dir", "podman-docker-archive", "buildah-oci", "skopeo-oci", "skopeo-docker", "skopeo-zstd"]


@pytest.mark.needs("podman", "buildah")
@pytest.mark.parametrize("kind", KINDS)
def test_real_images(kind, producers, engine, workdir):
    """Every file of an image made by Debian's own tools comes out as it went in."""
    if kind.startswith("skopeo") and not shutil.which("skopeo"):
        pytest.skip("skopeo is not installed")
    image = loaded(engine, made_by(kind, producers, workdir))
    assert image["names"], image
    assert trees.differences(producers[3], trees.describe(tree(engine))) == []
    assert trees.differences(producers[3], trees.describe(rootfs(engine, image["id"]))) == []
    manifest = json.loads(engine("image", "cat-manifest", image["id"]).check().out)
    config = json.loads((store(engine) / "blobs/sha256" / manifest["config"]["digest"].split(":")[1]).read_text())
    assert "A=b" in config["config"]["Env"]


@pytest.mark.needs("podman", "buildah")
@pytest.mark.parametrize("kind", ["podman-oci-archive", "podman-docker-archive"])
def test_standard_input(kind, producers, engine, workdir):
    """Archives stream from standard input, also compressed."""
    path = made_by(kind, producers, workdir)
    for pack in ("cat", "gzip -c", "zstd -q -c"):
        script = f"{pack} {path} | " + " ".join(engine.argv("image", "load", "--quiet"))
        proc.run("sh", "-c", script, timeout=60, env=engine.environ).check()
        assert trees.differences(producers[3], trees.describe(tree(engine))) == []
        engine("image", "rm", "all:1").check()
        assert contents(engine) == []


@pytest.mark.needs("podman", "buildah")
def test_several_images(producers, engine, workdir):
    """An archive of several images loads all of them; shared layers survive the removal of one."""
    podman = producers[0]
    podman("save", "--quiet", "--multi-image-archive", "-o", workdir / "two.tar", "localhost/all:base", "localhost/all:1").check()
    load(engine, workdir / "two.tar").check()
    assert {n for i in engine.json("image", "ls")["images"] for n in i["names"]} == {"localhost/all:base", "localhost/all:1"}
    engine("image", "rm", "localhost/all:base").check()
    assert trees.differences(producers[3], trees.describe(rootfs(engine, "localhost/all:1"))) == []


@pytest.mark.needs("docker")
def test_docker_save(docker, engine, workdir):
    """docker save."""
    docker("save", "-o", workdir / "docker.tar", "busybox").check()
    image = loaded(engine, workdir / "docker.tar")
    assert image["names"] == ["docker.io/library/busybox:latest"]
    assert os.readlink(tree(engine) / "bin/ls") == "/bin/busybox"
    engine("run", "--rm", "busybox", "true").check()


def test_umoci(engine, workdir):
    """An image made by umoci; and umoci unpacks ours to the same files."""
    if not shutil.which("umoci"):
        pytest.skip("umoci is not installed")
    path = workdir / "u"
    proc.run("umoci", "init", "--layout", path).check()
    proc.run("umoci", "new", "--image", f"{path}:first").check()
    proc.run("umoci", "unpack", "--image", f"{path}:first", workdir / "bundle").check()
    fill(workdir / "bundle/rootfs")
    proc.run("umoci", "repack", "--image", f"{path}:all", workdir / "bundle").check()
    proc.run("umoci", "rm", "--image", f"{path}:first").check()
    expected = trees.describe(workdir / "bundle/rootfs")
    loaded(engine, path)
    assert trees.differences(expected, trees.describe(tree(engine))) == []


@pytest.mark.needs("umoci")
def test_umoci_insert(engine, workdir):
    """Layers of umoci insert end with the last byte of their last file, as podman and skopeo take them."""
    source, path = workdir / "files", workdir / "u"
    source.mkdir()
    (source / "one").write_bytes(b"x" * 700)
    proc.run("umoci", "init", "--layout", path).check()
    proc.run("umoci", "new", "--image", f"{path}:made").check()
    proc.run("umoci", "insert", "--image", f"{path}:made", source, "/opt").check()
    blobs = [gzip.decompress(b) for b in (p.read_bytes() for p in (path / "blobs/sha256").iterdir()) if b[:2] == b"\x1f\x8b"]
    assert [len(blob) % 512 for blob in blobs] == [700 % 512]  # what this test is about
    engine("image", "load", path).check()
    assert (rootfs(engine, "made") / "opt/one").read_bytes() == b"x" * 700
    engine("image", "verify", "made").check()
    (workdir / "cut.tar").write_bytes(blobs[0])  # nobody knows its digest: it may have been longer
    engine("image", "import", workdir / "cut.tar", "cut").fails("truncated", rc=1)
    for hidden in (".wh.keep", "a/.wh.b/c", ".wh..wh..opq"):
        (workdir / "hides.tar").write_bytes(layer(directory("a"), entry(hidden)))
        engine("image", "import", workdir / "hides.tar", "x").fails(hidden, "would hide files", rc=1)


def test_gnu_tar_import(engine, workdir):
    """image import of what GNU tar writes: sparse files, long names and attributes, in each of its formats."""
    source = workdir / "root"
    source.mkdir()
    fill(source)
    with open(source / "sparse", "wb") as file:
        for at in range(0, 60):
            file.seek(at * 1_000_000)
            file.write(b"data")
    os.setxattr(source / "sparse", "user.note", b"value")
    expected = trees.describe(source)
    for number, flags in enumerate([["--format=gnu"], ["--format=posix"], *(["--format=posix", f"--sparse-version={v}"] for v in ("0.0", "0.1", "1.0"))]):
        attributes = ["--xattrs", "--xattrs-include=*"] if "--format=posix" in flags else []
        proc.run("tar", *flags, *attributes, "--sparse", "-C", source, "-cf", workdir / "root.tar", ".").check()
        engine("image", "import", "-c", 'CMD ["sh"]', workdir / "root.tar", f"made:{number}").check()
        out = rootfs(engine, f"made:{number}")
        found = trees.describe(out)
        if not attributes:
            found = {k: {**v, "xattrs": expected[k]["xattrs"]} for k, v in found.items()}
        assert trees.differences(expected, found) == [], flags
        assert os.stat(out / "sparse").st_blocks * 512 < 10_000_000, flags


# --- platforms and names -------------------------------------------------------------


def test_multi_platform(engine, layout):
    """Of an index the machine's image is taken, another on demand; attestations never."""
    ours, theirs = layout.image(layer(entry("who", b"ours"))), layout.image(layer(entry("who", b"theirs")), platform=("linux", "s390x"))
    attestation = {**layout.blob({"x": 1}, MANIFEST), "platform": {"os": "unknown", "architecture": "unknown"}}
    inner = layout.blob({"schemaVersion": 2, "mediaType": INDEX, "manifests": [attestation, theirs, ours]}, INDEX)
    layout.index(layout.blob({"schemaVersion": 2, "mediaType": INDEX, "manifests": [inner]}, INDEX))
    loaded(engine, layout.path)
    assert (rootfs(engine) / "who").read_text() == "ours"
    load(engine, layout.path, "--platform", "linux/s390x").check()
    assert (rootfs(engine) / "who").read_text() == "theirs"
    load(engine, layout.path, "--platform", "linux/riscv64").fails("linux/riscv64", "linux/amd64, linux/s390x", "--platform linux/amd64, for example")
    layout.file(theirs).unlink()  # as docker save leaves it out of an archive
    load(engine, layout.path).check()
    load(engine, layout.path, "--platform", "linux/s390x").fails("is missing", "docker save leaves out", "--platform OS/ARCH")


def test_variants_that_only_the_index_names(engine, layout):
    """Configurations of images for arm often name no variant: then what the index says counts."""
    made = [
        {**layout.image(layer(entry("who", variant.encode())), platform=("linux", "arm")), "platform": {"os": "linux", "architecture": "arm", "variant": variant}}
        for variant in ("v7", "v6")
    ]
    layout.index(*made)
    for variant in ("v6", "v7"):
        load(engine, layout.path, "--platform", f"linux/arm/{variant}").check()
        assert (rootfs(engine) / "who").read_text() == variant
    load(engine, layout.path, "--platform", "linux/arm/v5").fails("no image for platform linux/arm/v5", rc=1)


def test_wrong_architecture(engine, layout):
    """An image for another machine is refused by name."""
    refused(engine, layout.index(layout.image(layer(entry("x")), platform=("linux", "s390x"))).path, "linux/s390x", "linux/amd64")


def test_names(engine, layout):
    """Tags come and go; the image goes with its last name, an id takes all names with force."""
    loaded(engine, layout.index(layout.image(layer(entry("x")))).path)
    before = contents(engine)
    load(engine, layout.path).check()
    assert contents(engine) == before
    engine("image", "tag", "test:1", "quay.io/x/y", "docker.io/z").check()
    assert engine.json("image", "ls")["images"][0]["names"] == ["docker.io/library/z:latest", "localhost/test:1", "quay.io/x/y:latest"]
    engine("image", "rm", "z").check()
    identity = engine("image", "ls", "--quiet", "--no-trunc").check().out.strip()
    engine("image", "rm", identity).fails("several names")
    engine("image", "rm", "--force", identity[7:15]).check()
    assert contents(engine) == []
    engine("image", "rm", "test:1").fails("not in the store")


# --- what must not work --------------------------------------------------------------

def test_absolute_names_stay_inside(engine, layout, workdir):
    """Absolute names and absolute links count from the root of the image."""
    target = workdir / "outside"
    target.mkdir()
    members = [entry("/abs", b"x"), symlink("link", str(target)), entry("link/file", b"inside")]
    loaded(engine, layout.index(layout.image(layer(*members))).path)
    assert os.listdir(target) == []
    assert (tree(engine) / str(target)[1:] / "file").read_bytes() == b"inside"


def test_corrupt_blobs(engine, layout):
    """One wrong byte, one byte less, a missing blob: each is named."""
    manifest = layout.image(layer(entry("f", os.urandom(200_000))), compress="gzip")
    layout.index(manifest)
    blob = layout.file(json.loads(layout.file(manifest).read_text())["layers"][0])
    good = blob.read_bytes()
    for at in (0, 5, 100_000, len(good) - 3):
        blob.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
        refused(engine, layout.path, "layer 1 of 1", "digest")
    blob.write_bytes(good[:-1])
    refused(engine, layout.path, "layer 1 of 1", "bytes")
    blob.unlink()
    refused(engine, layout.path, "layer 1 of 1", "missing")
    blob.write_bytes(good)
    layout.file(manifest).write_bytes(b"{}" + b" " * (manifest["size"] - 2))
    refused(engine, layout.path, "manifest", "digest")


def test_lying_documents(engine, layout):
    """diff_ids, layer counts and sizes that do not fit."""
    data = layer(entry("f"))
    wrong = {"rootfs": {"type": "layers", "diff_ids": ["sha256:" + "0" * 64]}}
    refused(engine, layout.index(layout.image(data, config=wrong)).path, "uncompressed", "digest")
    refused(engine, layout.index(layout.image(data, config={"rootfs": {"type": "layers", "diff_ids": []}})).path, "layers")
    refused(engine, layout.index({**layout.image(data), "size": 7}).path, "bytes")


def test_truncated_archives(engine, layout, workdir):
    """An archive cut anywhere is refused, from a file and from a pipe."""
    path = layout.index(layout.image(layer(entry("f", b"x" * 5000)))).archive(workdir / "all.tar")
    whole = path.read_bytes()
    used = len(whole.rstrip(b"\0"))
    for size in (0, 1, 511, 512, 700, used // 2, used // 1024 * 512, used):
        (workdir / "cut.tar").write_bytes(whole[:size])
        refused(engine, workdir / "cut.tar")
        proc.run("sh", "-c", "cat cut.tar | " + " ".join(engine.argv("image", "load")), cwd=workdir, env=engine.environ).fails()
        assert contents(engine) == []
    packed = gzip.compress(whole)
    (workdir / "cut.tar").write_bytes(packed[: len(packed) // 2])
    refused(engine, workdir / "cut.tar", "truncated")


def test_not_an_image(engine, workdir, layout):
    """Things that are no image say so, and what to do instead."""
    refused(engine, workdir / "missing", "no such file")
    (workdir / "text").write_text("hello, " * 200)
    refused(engine, workdir / "text", "tar")
    (workdir / "dir").mkdir()
    refused(engine, workdir / "dir", "not an OCI layout")
    (workdir / "rootfs.tar").write_bytes(layer(directory("etc"), entry("etc/passwd")))
    refused(engine, workdir / "rootfs.tar", "image import")
    (layout.path / "index.json").write_text("[]")
    refused(engine, layout.path, "index.json")
    for magic, word in ((b"BZh91AY&SY", "bzip2"), (b"\xfd7zXZ\0", "xz")):
        (workdir / "packed").write_bytes(magic + b"\0" * 1000)
        refused(engine, workdir / "packed", word)


def test_other_content(engine, layout):
    """Artifacts, encrypted, foreign and unknown layers, old schemas, bottomless and endless indexes."""
    empty = layout.blob({}, "application/vnd.oci.empty.v1+json")
    refused(engine, layout.index(layout.blob({"schemaVersion": 2, "config": empty, "layers": [], "artifactType": "x/y"}, MANIFEST)).path, "artifact")
    config = layout.blob({"rootfs": {"type": "layers", "diff_ids": ["sha256:" + "0" * 64]}}, CONFIG)
    for kind, word in (
        ("application/vnd.oci.image.layer.v1.tar+encrypted", "encrypted"),
        ("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "foreign"),
        ("text/plain", "not a file system layer"),
    ):
        document = {"schemaVersion": 2, "config": config, "layers": [layout.blob(b"x", kind)]}
        refused(engine, layout.index(layout.blob(document, MANIFEST)).path, word)
    refused(engine, layout.index(layout.blob({"schemaVersion": 1, "fsLayers": []}, MANIFEST)).path, "schema 1")
    inner = layout.image(layer(entry("x")))
    for _ in range(10):
        inner = layout.blob({"schemaVersion": 2, "manifests": [{k: v for k, v in inner.items() if k != "platform"}]}, INDEX)
    refused(engine, layout.index(inner).path, "nested")
    (layout.path / "index.json").write_bytes(b" " * (100 << 20))
    refused(engine, layout.path, "larger than 4.00 MiB")


def test_more_attributes_than_a_file_can_have(engine, layout):
    """The message says that they are the trouble, and not the disk, where a file system has such a limit."""
    info, data = entry("f", b"x")
    info.pax_headers = {f"SCHILY.xattr.user.a{i}": "x" * 3000 for i in range(4)}
    layout.index(layout.image(layer((info, data))))
    result = load(engine, layout.path)
    if result.rc != 0:
        result.fails("attributes of", "need not be full")
        assert contents(engine) == []


def test_import_refuses(engine, workdir):
    """A root file system that is cut, escapes or is empty makes no image."""
    whole = layer(entry("f", b"x" * 5000))
    cases = {"cut": whole[:2000], "no end": whole[: 512 + 5120], "escape": layer(entry("../x")), "empty": layer(), "text": b"hello " * 300}
    for name, data in cases.items():
        (workdir / "in.tar").write_bytes(data)
        engine("image", "import", workdir / "in.tar", "x").fails()
        assert contents(engine) == [], name
    (workdir / "in.tar").write_bytes(whole)
    file = workdir / "in"
    pack = "tar -C DIR -c . | cooper image import - NAME"
    for data, words in ((b"", ["it is empty", pack]), (b"hello\n", [pack]), (os.urandom(5000), [pack]), (bytes(10240), ["holds no files", pack]), (gzip.compress(b"hello\n"), [pack])):
        file.write_bytes(data)
        engine("image", "import", file, "x").fails(str(file), *words, rc=1)
    engine("image", "import", "-", "x", stdin="").fails("standard input", "it is empty", "try again", rc=1)
    assert contents(engine) == []
    engine("image", "import", "-c", "NONSENSE x", workdir / "in.tar").fails("nonsense")
    assert contents(engine) == []


@pytest.mark.parametrize("megabytes", [1, 3, 5, 9])
def test_full_disk(engine, layout, megabytes):
    """A full disk is named, leaves nothing, and the store works again afterwards."""
    layout.index(layout.image(*(layer(entry(f"f{i}", os.urandom(1_500_000))) for i in range(2)), compress="gzip"))
    engine("image", "ls").check()
    target = store(engine)
    shutil.rmtree(target)
    target.mkdir()
    proc.run("mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", target).check()
    try:
        engine("image", "ls").check()
        result = load(engine, layout.path)
        if megabytes < 7:
            result.fails("no space left", f"the disk of the image store '{target}' is full", "image gc", rc=1)
            assert contents(engine) == []
            proc.run("mount", "-o", "remount,size=64m", target).check()
        load(engine, layout.path).check()
        assert len(contents(engine)) == 7
    finally:
        proc.run("umount", target).check()


@pytest.mark.needs("strace")
def test_large_images_are_synced_on_the_way(engine, layout, workdir):
    """The last sync decides: one that fails before it changes nothing, and of one that fails at the end nothing is left."""
    layout.index(layout.image(layer(entry("large", bytes(210 << 20))), compress="gzip"), name="large:1")
    trace = workdir / "trace"

    def load(*inject):
        command = ("strace", "-f", "-e", "trace=syncfs", *inject, "-o", trace, *engine.argv("image", "load", layout.path))
        return proc.run(*command, env=engine.environ, timeout=60), [line.split()[0] for line in trace.read_text().splitlines() if "syncfs(" in line]

    # strace counts the calls of each thread: the last one is the first of its own.
    done, threads = load("-e", "inject=syncfs:error=EIO:when=1")
    done.fails("sync file system", rc=1)
    assert contents(engine) == [] and len(threads) > 1 and threads[-1] not in threads[:-1], threads
    done, _ = load("-e", "inject=syncfs:error=EIO:when=2+")
    done.check()


def test_every_file_may_be_one_too_many(engine, layout):
    """Whichever of its files a load cannot create, nothing is left; the first that has room for all works."""
    layout.index(layout.image(layer(directory("d"), entry("d/f")), layer(entry("g"))))
    engine("image", "ls").check()
    target = store(engine)
    shutil.rmtree(target)
    target.mkdir()
    proc.run("mount", "-t", "tmpfs", "-o", "nr_inodes=12", "tmpfs", target).check()
    try:
        engine("image", "ls").check()
        for inodes in range(13, 60):
            proc.run("mount", "-o", f"remount,nr_inodes={inodes}", target).check()
            result = load(engine, layout.path)
            if result.rc == 0:
                break
            result.fails("no space left")
            engine("image", "gc")
            assert contents(engine) == [], inodes
        assert 20 < inodes < 59
        assert sorted(os.listdir(tree(engine))) == ["d", "g"]
    finally:
        proc.run("umount", target).check()


# --- crashes and concurrency ---------------------------------------------------------


def test_killed_loads(engine, layout):
    """kill -9 at any moment leaves nothing that counts; gc removes the rest; the next load works."""
    members = [entry(f"d{i % 20}/f{i}", os.urandom(3000)) for i in range(2000)]
    layout.index(layout.image(layer(*members), compress="gzip"))
    engine("image", "ls").check()
    started = time.monotonic()
    load(engine, layout.path).check()
    whole = time.monotonic() - started
    engine("image", "rm", "test:1").check()
    for _ in range(12):
        process = subprocess.Popen(engine.argv("image", "load", layout.path), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(random.uniform(0, whole))
        process.kill()
        process.wait()
        images = engine.json("image", "ls")["images"]
        engine("image", "gc").check()
        assert bool(contents(engine)) == bool(images)
        assert not [c for c in contents(engine) if c.startswith("tmp/")]
        if images:
            assert len(os.listdir(tree(engine))) == 20
            engine("image", "rm", "test:1").check()
            assert contents(engine) == []
    load(engine, layout.path).check()
    assert len(trees.describe(rootfs(engine))) == 2020


def waits_for_a_lock(pid):
    """It sleeps in flock(2)."""
    return any("->" in line and line.split("->")[1].split()[3] == str(pid) for line in open("/proc/locks"))


@pytest.mark.parametrize("kind", ["oci", "aci"])
def test_removed_while_it_is_loaded(engine, layout, workdir, kind):
    """rm and load of the same image, waiting for the store one behind the other: afterwards it is there, with all its bytes."""
    layout.index(layout.image(layer(entry("a", b"x"))))
    load(engine, layout.path).check()
    source = layout.path
    if kind == "aci":
        source = workdir / "a.aci"
        engine("image", "convert", "test:1", source).check()
        engine("image", "rm", "test:1").check()
        load(engine, source).check()
    name = engine.json("image", "ls")["images"][0]["names"][0]
    with open(engine.root / "images/locks/store", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with engine.background("image", "rm", name) as removing:
            proc.until(lambda: waits_for_a_lock(removing.child.pid), 10)
            with engine.background("image", "load", source) as loading:
                proc.until(lambda: waits_for_a_lock(loading.child.pid), 10)
                fcntl.flock(lock, fcntl.LOCK_UN)
                loading.wait().check()
                removing.wait().check()
    assert len(engine.json("image", "ls")["images"]) == 1
    engine("image", "verify").check()
    engine("image", "save", "-o", workdir / "saved.tar", name).check()


def test_many_at_once(engine, layout):
    """Loads, removals and collections of one image at once: each works or says why, and the store stays whole."""
    layout.index(layout.image(layer(*(entry(f"f{i}", os.urandom(1000)) for i in range(300))), compress="gzip"))

    def work(number):
        if number % 4 == 3:
            return engine("image", "rm", "test:1", timeout=60)
        return engine("image", "gc", timeout=60).check() if number % 4 == 2 else load(engine, layout.path).check()

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for result in pool.map(work, range(24)):
            assert result.rc == 0 or "not in the store" in result.err, result
    load(engine, layout.path).check()
    engine("image", "gc").check()
    assert len(trees.describe(rootfs(engine))) == 300
    engine("image", "rm", "test:1").check()
    assert contents(engine) == []


def test_many_starts_of_an_unpacked_image(engine, layout, busybox_layout):
    """When the tree is gone, many starts at once unpack it once; a broken blob stops them all."""
    load(engine, busybox_layout).check()
    shutil.rmtree(tree(engine).parent)
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        for result in pool.map(lambda _: engine("run", "--rm", "busybox", "true", timeout=60), range(12)):
            result.check()
    assert len(os.listdir(store(engine) / "trees")) == 1
    shutil.rmtree(tree(engine).parent)
    image = engine.json("image", "ls")["images"][0]
    blob = store(engine) / "blobs/sha256" / image["layers"][0].split(":")[1]
    good = blob.read_bytes()
    blob.unlink()
    blob.write_bytes(good[:-9] + b"x" * 9)
    engine("run", "--rm", "busybox", "true").fails("corrupt", "verify --repair", "load the image again")
    load(engine, busybox_layout).check()
    engine("run", "--rm", "busybox", "true").check()


def test_what_images_say_is_shown_safely(new_engine, layout):
    """Control characters and bytes that are no text reach neither a terminal nor a JSON log."""
    engine = new_engine(load=False)
    layout.index(layout.image(layer(entry("f", b"x")), config={"architecture": "x\n\x1b[31mRED", "os": "linux"}))
    result = engine("image", "load", layout.path)
    result.fails("\\x0a\\x1b[31mRED", rc=1)
    assert len(result.err.splitlines()) == 1 and "\x1b" not in result.err
    header = tarfile.TarInfo("../a").tobuf(tarfile.USTAR_FORMAT).replace(b"../a", b"../\xff")
    checksum = sum(header[:148]) + 8 * 32 + sum(header[156:])
    broken = header[:148] + b"%06o\0 " % checksum + header[156:] + bytes(1024)
    layout.index(layout.image(broken))
    done = subprocess.run(engine.argv("--log-format", "json", "image", "load", layout.path), capture_output=True, env=engine.environ, check=False)
    assert done.returncode == 1
    assert "\\xff" in json.loads(done.stderr.decode("utf-8"))["msg"]
