"""The files of images in directories: extract --overwrite, rkt's render and export; what failures and signals leave."""

import json
import os
import resource
import shutil
import signal
import struct
import tarfile

import pytest

from lib import proc, trees
from lib.acis import aci, app, manifest
from lib.cooper import busybox_layout, engine_dir, new_engine  # noqa: F401
from lib.layouts import Layout, digest, directory, entry, layer, symlink

pytestmark = pytest.mark.needs("root", "cooper", "isolation")
APP = manifest("example.com/app", app=app("/x"))


@pytest.fixture
def engine(new_engine, workdir):  # noqa: F811
    """An engine with the image 'oci:1', whose user has a name, and the ACI 'example.com/app'."""
    made = new_engine(load=False)
    source = Layout(workdir / "source")
    data = layer(directory("etc"), entry("etc/passwd", b"me:x:7:8::/:/bin/sh\n"), entry("x", b"hello", uid=5, mode=0o750))
    source.index(source.image(data, config={"config": {"User": "me", "Cmd": ["/x"]}}), name="oci:1")
    made("image", "load", source.path).check()
    (workdir / "a.aci").write_bytes(aci(APP, entry("x", b"hello")))
    made("image", "load", workdir / "a.aci").check()
    return made


@pytest.fixture
def out(workdir):
    """A directory whose 'd' was unpacked before and has somebody's file in it."""
    (workdir / "out/d/sub").mkdir(parents=True)
    (workdir / "out/d/sub/theirs").write_text("x")
    os.setxattr(workdir / "out/d", "trusted.cooper.unpacked", b"1")
    return workdir / "out"


def test_overwrite(engine, out):
    """The new tree stands where the old one was, whole; without the flag that is refused."""
    engine("image", "extract", "oci:1", out / "d").fails("not empty", rc=1)
    engine("image", "extract", "--rootfs-only", "--overwrite", "oci:1", out / "d").check()
    engine("image", "extract", "--overwrite", "oci:1", out / "new").check()
    assert trees.differences(trees.describe(out / "d"), trees.describe(out / "new")) == []
    engine("image", "extract", "--overwrite", "oci:1", ".", cwd=out / "d").check()
    assert sorted(os.listdir(out)) == ["d", "new"] and sorted(os.listdir(out / "d")) == ["etc", "x"]


def hand_down(folder):
    """What is made in the directory gets its group, access for somebody besides, and none for others."""
    os.chown(folder, 0, 4321)
    folder.chmod(0o2755)
    # Tag, permissions, id: the owner, user 7, the group, the mask, others.
    entries = [(1, 7, 0xFFFFFFFF), (2, 7, 7), (4, 5, 0xFFFFFFFF), (0x10, 7, 0xFFFFFFFF), (0x20, 0, 0xFFFFFFFF)]
    lists = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
    os.setxattr(folder, "system.posix_acl_default", lists)


@pytest.mark.parametrize("verb", ["extract", "render"])
def test_nothing_is_handed_down(engine, out, verb):
    """Files have the owners, modes and access lists of the image wherever they are unpacked; a failure gives a directory back its list."""
    source = Layout(out / "source")
    files = layer(directory("d"), entry("d/open", b"x", mode=0o666), symlink("l", "d"))
    source.index(source.image(files), name="open:1")
    engine("image", "load", source.path).check()
    (out / "team").mkdir()
    hand_down(out / "team")
    engine("image", verb, "open:1", out / "plain").check()
    engine("image", verb, "open:1", out / "team/new").check()
    (out / "team/empty").mkdir()
    engine("image", "extract", "open:1", out / "team/empty").check()
    rootfs = "rootfs" if verb == "render" else "."
    wanted = trees.describe(out / "plain" / rootfs)
    assert wanted["/d/open"]["mode"] == 0o666 and wanted["/l"]["gid"] == 0
    assert trees.differences(wanted, trees.describe(out / "team/new" / rootfs)) == []
    assert trees.differences(wanted, trees.describe(out / "team/empty")) == []
    for made in (out / "team/new" / rootfs, out / "team/empty"):
        assert [name for name in os.listxattr(made) if "acl" in name] == [], made
    kept = out / "team/kept"
    kept.mkdir()
    before = [os.getxattr(kept, f"system.posix_acl_{kind}") for kind in ("access", "default")], os.stat(kept).st_mode
    blob = engine.root / "images/blobs/sha256" / digest(files)[7:]
    blob.write_bytes(files[:-1] + b"x")
    engine("image", "extract", "open:1", kept).fails("digest", rc=1)
    assert ([os.getxattr(kept, f"system.posix_acl_{kind}") for kind in ("access", "default")], os.stat(kept).st_mode) == before


def test_store_below_a_directory_that_hands_down(new_engine, busybox_layout, out):  # noqa: F811
    """Trees of a store and root directories of containers have the owners and modes of their images wherever the store is."""
    made = new_engine(load=False)
    hand_down(made.folder)
    made("image", "load", busybox_layout).check()
    made("image", "verify").check()
    made("image", "extract", "busybox", out / "x").check()
    (tree,) = (made.root / "images/trees").iterdir()
    assert trees.differences(trees.describe(out / "x"), trees.describe(tree / "rootfs")) == []
    seen = made("run", "--rm", "-u", "1000:1000", "-v", "/vol", "busybox", "sh", "-c", "stat -c '%a %u:%g' / /vol").check()
    assert seen.out == "755 0:0\n755 0:0\n"
    seen = made("run", "--rm", "-v", "/vol", "busybox", "sh", "-c", "touch /x /vol/x; stat -c '%a %u:%g' /x /vol/x").check()
    assert seen.out == "644 0:0\n644 0:0\n"


def test_what_is_not_replaced(engine, out):
    """Files, links, mounts, the root, the store, what is around the current directory and what was not unpacked by this program stay."""
    (out / "own").mkdir()
    (out / "own/theirs").write_text("x")
    for verb in ("extract", "render"):
        engine("image", verb, "--overwrite", "oci:1", out / "own").fails("was not", "remove it yourself", rc=1)
    assert (out / "own/theirs").read_text() == "x"
    shutil.rmtree(out / "own")
    (out / "file").write_text("x")
    (out / "link").symlink_to("d")
    for name in ("file", "link"):
        engine("image", "extract", "--overwrite", "oci:1", out / name).fails("no directory", rc=1)
    engine("image", "extract", "--overwrite", "oci:1", "/").fails("the root directory", rc=1)
    engine("image", "extract", "--overwrite", "oci:1", "..", cwd=out / "d").fails("the current directory is below it", rc=1)
    for store in (engine.root.parent, engine.root, engine.root / "images"):
        engine("image", "extract", "--overwrite", "oci:1", store).fails("the store of the images", rc=1)
    script = f"mount -t tmpfs none {out}/d/sub && exec " + " ".join(engine.argv("image", "extract", "--overwrite", "oci:1", out / "d"))
    proc.run("unshare", "-m", "sh", "-c", script, env=engine.environ).fails("something is mounted at", f"{out}/d/sub", rc=1)
    script = f"mount --bind {out} {out} && mount -o remount,bind,ro {out} && exec " + " ".join(engine.argv("image", "render", "--overwrite", "oci:1", out / "d"))
    proc.run("unshare", "-m", "sh", "-c", script, env=engine.environ).fails("read-only", f"{out}/d'", rc=1)
    engine("image", "extract", "--overwrite", "oci:1", out / "no/such").fails("no such file", rc=1)
    assert sorted(os.listdir(out)) == ["d", "file", "link"] and (out / "d/sub/theirs").read_text() == "x"


def test_render(engine, workdir, out):
    """An ACI comes out as rkt lays it out, an OCI image with the manifest that it has as an ACI."""
    engine("image", "render", "example.com/app", out / "aci").check()
    assert json.loads((out / "aci/manifest").read_text()) == APP and (out / "aci/rootfs/x").read_text() == "hello"
    engine("image", "render", "oci:1", out / "oci").check()
    engine("image", "export", "oci:1", out / "oci.aci").check()
    with tarfile.open(out / "oci.aci") as tar:
        made = json.load(tar.extractfile("manifest"))
    assert json.loads((out / "oci/manifest").read_text()) == made and made["app"]["user"] == "me"
    engine("image", "extract", "oci:1", out / "x").check()
    assert trees.differences(trees.describe(out / "oci/rootfs"), trees.describe(out / "x")) == []
    engine("image", "render", "--rootfs-only", "oci:1", out / "only").check()
    assert trees.differences(trees.describe(out / "only"), trees.describe(out / "x")) == []
    (out / "empty").mkdir()
    engine("image", "render", "oci:1", out / "empty").check()
    engine("image", "render", "oci:1", out / "empty").fails("not empty", "--overwrite", rc=1)
    engine("image", "render", "--overwrite", "oci:1", out / "empty").check()
    assert sorted(os.listdir(out / "empty")) == ["manifest", "rootfs"]


def test_export(engine, workdir, out):
    """An ACI comes out byte for byte, uncompressed, and replaces no file unless told."""
    file = out / "x.aci"
    engine("image", "export", "example.com/app", file).check()
    assert file.read_bytes() == (workdir / "a.aci").read_bytes()
    file.write_text("old")
    engine("image", "export", "example.com/app", file).fails("is there already", "--overwrite", rc=1)
    assert file.read_text() == "old"
    engine("image", "export", "--overwrite", "oci:1", file).check()
    assert tarfile.is_tarfile(file)
    engine("image", "export", "nosuch", out / "y.aci").fails("not in the store", rc=1)
    engine("image", "export", "oci:1", out / "d").fails("is a directory", rc=125)
    assert sorted(os.listdir(out)) == ["d", "x.aci"]


@pytest.mark.parametrize("words", [("extract",), ("extract", "--overwrite"), ("render",), ("render", "--overwrite")])
def test_nothing_is_left(engine, workdir, out, words):
    """Of a full disk and of a signal: what was there is there, and nothing else."""
    source = Layout(workdir / "big")
    source.index(source.image(layer(*(entry(f"f{i}", os.urandom(1_000_000)) for i in range(30)))), name="big:1")
    engine("image", "load", source.path).check()
    target = out / ("d" if "--overwrite" in words else "new")

    def small_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))

    def nothing_changed():
        return os.listdir(out) == ["d"] and (out / "d/sub/theirs").read_text() == "x"

    engine("image", *words, "big:1", target, preexec=small_files).fails("EFBIG", rc=1)
    assert nothing_changed()
    with engine.background("image", *words, "big:1", target) as running:
        proc.until(lambda: len(os.listdir(out)) == 2 or running.child.poll() is not None, 10, 0.0005, "it has begun")
        running.signal(signal.SIGTERM)
        ended = running.wait()
    # On a fast machine it may be done.
    assert ended.rc == 128 + signal.SIGTERM
    assert nothing_changed() or set(os.listdir(out)) == {"d", target.name}
