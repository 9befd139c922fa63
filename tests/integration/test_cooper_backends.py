"""Root file systems as a copy and as an erofs image: what is in them, what stays on the disk, what goes wrong."""

import hashlib
import json
import os
import shutil
import stat

import pytest

from lib import image_files, isolate, layouts, mountinfo, proc
from lib.cooper import busybox_layout, cooper, cooper_session, engine_dir, new_engine  # noqa: F401

pytestmark = pytest.mark.needs("root", "cooper", "isolation")
erofs = pytest.mark.needs("mkfs.erofs", "erofs")


def tree_of(root):
    """{path: (mode, owner, device, size, time, content or target, attributes)} of a directory; links count by first name."""
    found, seen = {}, {}
    for folder, names, files in os.walk(root):
        if os.path.samefile(folder, root):
            names[:] = [n for n in names if n not in ("dev", "proc", "sys")]
        for name in [".", *names, *files]:
            path = os.path.normpath(os.path.join(folder, name))
            info = os.lstat(path)
            content = seen.setdefault((info.st_dev, info.st_ino), os.path.relpath(path, root)) if info.st_nlink > 1 and not stat.S_ISDIR(info.st_mode) else None
            if stat.S_ISLNK(info.st_mode):
                content = os.readlink(path)
            elif stat.S_ISREG(info.st_mode) and content is None:
                content = hashlib.sha256(open(path, "rb").read()).hexdigest()
            kept = sorted((n, os.getxattr(path, n, follow_symlinks=False)) for n in os.listxattr(path, follow_symlinks=False))
            size = info.st_size if stat.S_ISREG(info.st_mode) else 0
            found[os.path.relpath(path, root)] = (info.st_mode, info.st_uid, info.st_gid, info.st_rdev, size, info.st_mtime_ns, content, kept)
    return found


@pytest.fixture
def odd(new_engine, tmp_path):
    """An engine of its own with the image 'odd': one of each kind of file, over busybox's."""
    engine = new_engine()
    engine("image", "extract", "busybox", tmp_path / "odd").check()
    top = tmp_path / "odd/odd"
    top.mkdir(mode=0o1751)
    (top / "file").write_bytes(b"x" * 70000)
    (top / "file").chmod(0o4711)
    os.chown(top / "file", 1234, 70000)
    os.setxattr(top / "file", "user.note", b"kept")
    os.setxattr(top / "file", "security.capability", bytes.fromhex("0100000200200000000000000000000000000000"))
    os.link(top / "file", top / "second")
    os.symlink("/etc/passwd", top / "link")
    os.mkfifo(top / "pipe", 0o640)
    os.mknod(top / "null", 0o20666, os.makedev(1, 3))
    with open(top / "sparse", "wb") as handle:
        handle.write(b"head")
        handle.truncate(8 << 20)
    (top / "blank and \n newline").mkdir()
    os.utime(top / "file", ns=(0, 1_000_000_001_000_000_007))
    os.chown(tmp_path / "odd", 7, 8)
    (tmp_path / "odd").chmod(0o751)
    proc.run("tar", "--xattrs", "--xattrs-include=*", "--sparse", "-C", tmp_path / "odd", "-cf", tmp_path / "odd.tar", ".").check()
    engine("image", "import", tmp_path / "odd.tar", "odd").check()
    return engine


def root_of(engine, name):
    return f"/proc/{engine.pid(name)}/root"


# What every start puts into a root.
MADE = {"etc/hosts", "etc/hostname", "etc/resolv.conf", "etc", "."}


def compare(engine, *flags):
    """The root of a container is the same file by file as one over the tree."""
    with engine.running("plain", image="odd"), engine.running("other", *flags, image="odd"):
        skip = lambda tree: {p: v for p, v in tree.items() if p not in MADE}
        plain, other = (skip(tree_of(root_of(engine, name))) for name in ("plain", "other"))
        assert other.keys() == plain.keys()
        assert {p: (other[p], plain[p]) for p in plain if other[p] != plain[p]} == {}
        info = os.stat(root_of(engine, "other"))
        assert (info.st_uid, info.st_gid, stat.S_IMODE(info.st_mode)) == (7, 8, 0o751)
        engine("exec", "other", "sh", "-c", "echo mine > /odd/file && rm /odd/link && mkdir /new").check()
        assert engine("exec", "plain", "ls", "/odd/link").check().out == "/odd/link\n"


# --- copy ------------------------------------------------------------------------------


def test_copy_is_the_same(odd):
    """All files, with everything about them; what one container changes no other sees. Holes stay holes."""
    compare(odd, "--rootfs-backend", "copy")
    with odd.running("sparse", "--rootfs-backend", "copy", image="odd"):
        assert os.stat(root_of(odd, "sparse") + "/odd/sparse").st_blocks * 512 < 1 << 20


def test_copy_needs_no_overlay(cooper):
    """The root is a bind of the pod's directory, read-only when asked."""
    with cooper.running("c", "--rootfs-backend", "copy"):
        root = mountinfo.at(mountinfo.read(cooper.pid("c")), "/")
        assert root.fstype != "overlay" and root.root.endswith("/upper-busybox")
    result = cooper.sh("touch /x; touch /tmp/y && echo tmp", "--rootfs-backend", "copy", "--read-only")
    assert result.out == "tmp\n" and "Read-only file system" in result.err


@pytest.mark.needs("squashfs")
def test_copy_of_a_file(cooper, tmp_path, busybox_layout):
    """A file image is copied too, still without set-user-ID programs; afterwards the file is not needed."""
    cooper("image", "extract", "busybox", tmp_path / "tree").check()
    path = image_files.squashfs(tmp_path / "tree", tmp_path / "image.sqfs")
    with cooper.running("f", "--rootfs-backend", "copy", image=path):
        assert {"nosuid", "nodev"} <= mountinfo.at(mountinfo.read(cooper.pid("f")), "/").options
        proc.until(lambda: not image_files.loops(path), 10, 0.02, "loop devices that go away")
        cooper("exec", "f", "touch", "/etc/new").check()


@pytest.mark.needs("mkfs.btrfs", "squashfs")
def test_copy_shares_blocks(new_engine, tmp_path, busybox_layout):
    """On btrfs a copy takes no space of its own."""
    disk, place = tmp_path / "disk", tmp_path / "btrfs"
    with open(disk, "wb") as handle:
        handle.truncate(256 << 20)
    proc.run("mkfs.btrfs", "-q", disk).check()
    place.mkdir()
    proc.run("mount", "-o", "loop", disk, place).check()
    try:
        engine = new_engine(load=False)
        engine.root = place / "lib"
        engine("image", "load", busybox_layout).check()
        with engine.running("shared", "--rootfs-backend", "copy"):
            extents = proc.run("filefrag", "-v", root_of(engine, "shared") + "/bin/busybox").check().out
            assert "shared" in extents
        engine.remove_all()
    finally:
        isolate.umount(place)


def test_copy_on_a_full_disk(new_engine, tmp_path, busybox_layout):
    """A disk that fills up is an error that says so; nothing is left of the copy."""
    place = tmp_path / "small"
    place.mkdir()
    isolate.mount("none", place, "tmpfs", data="size=12m")
    try:
        engine = new_engine(load=False)
        engine.root = place / "lib"
        engine("image", "load", busybox_layout).check()
        filler = place / "filler"
        free = os.statvfs(place)
        filler.write_bytes(b"\1" * (free.f_bavail * free.f_frsize - (200 << 10)))
        result = engine("run", "--rm", "--rootfs-backend", "copy", "busybox", "true").check(125)
        assert "no space left" in result.err and "copy" in result.err
        assert not engine.pods()
        filler.unlink()
        engine("run", "--rm", "--rootfs-backend", "copy", "busybox", "true").check()
    finally:
        isolate.umount(place)


# --- erofs -----------------------------------------------------------------------------


def trees(engine):
    return {p.name.partition(".")[2] or "directory" for p in (engine.root / "images/trees").iterdir()}


@erofs
def test_erofs_is_the_same(odd):
    """All files, with everything about them, although the tree was packed and mounted; one image for all containers."""
    compare(odd, "--rootfs-backend", "erofs")


@erofs
def test_erofs_is_made_once(new_engine):
    """The first run makes it, and the unpacked tree goes with its container; its digest is noted; the next run only mounts it."""
    engine = new_engine()
    engine.config.write_text(engine.config.read_text() + '[images]\nbackend = "erofs"\n')
    engine("run", "--rm", "busybox", "true").check()
    proc.until(lambda: trees(engine) == {"erofs"}, 5, 0.05, "the unpacked tree to go")
    (tree,) = (engine.root / "images/trees").iterdir()
    before = os.stat(tree / "rootfs")
    note = json.loads((tree / "tree.json").read_text())
    assert note["erofs_digest"] == layouts.digest((tree / "rootfs").read_bytes()) and note["size_bytes"] == before.st_size
    assert stat.S_IMODE(before.st_mode) == 0o400
    empty = dict(engine.environ, PATH="/nonexistent")
    assert engine("run", "--rm", "busybox", "echo", "again", env=empty).check().out == "again\n"
    assert os.stat(tree / "rootfs").st_ino == before.st_ino
    assert not image_files.loops(tree / "rootfs")


@erofs
def test_erofs_and_the_store(new_engine, busybox_layout):
    """Loading again unpacks nothing; a container keeps its image; image rm and gc take it along; df counts it."""
    engine = new_engine()
    run = ("run", "--rootfs-backend", "erofs")
    engine(*run, "--rm", "busybox", "true").check()
    engine("image", "load", busybox_layout).check()
    assert trees(engine) == {"erofs"}
    assert engine.json("image", "df")["trees"]["count"] == 1
    engine(*run, "-d", "--name", "user", "busybox", "sleep", "1000").check()
    assert "in use" in engine("image", "rm", "busybox").check(1).err
    engine("image", "rm", "-f", "busybox").check()
    engine("image", "gc").check()
    assert trees(engine) == {"erofs"} and engine("exec", "user", "true").rc == 0
    engine("rm", "-f", "user").check()
    proc.until(lambda: not trees(engine), 5, 0.05, "the image's tree to go")
    engine("image", "load", busybox_layout).check()
    engine("run", "--rm", "busybox", "true").check()
    assert trees(engine) == {"directory"}


@erofs
def test_erofs_start_does_not_wait_for_the_tree(new_engine, busybox_layout):
    """The unpacked tree is still there when the first app runs; gc takes it, and loading again keeps it superseded."""
    engine = new_engine()
    engine("run", "-d", "--name", "first", "--rootfs-backend", "erofs", "busybox", "sleep", "1000").check()
    assert trees(engine) == {"directory", "erofs"}
    assert engine("image", "gc", "--dry-run").check().out != ""
    engine("image", "load", busybox_layout).check()
    engine("image", "gc").check()
    assert trees(engine) == {"erofs"} and engine("exec", "first", "true").rc == 0
    assert engine("run", "--rm", "busybox", "echo", "overlay").check().out == "overlay\n"
    engine("rm", "-f", "first").check()
    assert trees(engine) == {"directory", "erofs"}


@erofs
def test_erofs_by_many_at_once(new_engine):
    """Several first runs make one image; a tree that is in use stays until its last container is gone."""
    engine = new_engine()
    with engine.running("plain"):
        starts = [engine.background("run", "--rm", "--rootfs-backend", "erofs", "busybox", "echo", "up") for _ in range(4)]
        for start in starts:
            with start as child:
                assert child.wait(timeout=60).check().out == "up\n"
        assert trees(engine) == {"directory", "erofs"}
    proc.until(lambda: trees(engine) == {"erofs"}, 5, 0.05, "the unpacked tree to go")


@erofs
def test_erofs_with_both_in_one_pod(new_engine):
    """Apps of one pod may have the same image in both forms."""
    engine = new_engine()
    words = ("pod", "run", "busybox", "--name=a", "--", "sleep", "1", "---", "busybox", "--name=b", "--rootfs-backend=erofs", "--", "sleep", "1")
    engine(*words).check()
    assert trees(engine) == {"directory", "erofs"}
    engine.remove_all()
    proc.until(lambda: trees(engine) == {"erofs"}, 5, 0.05, "the unpacked tree to go")


@erofs
def test_erofs_without_the_program(new_engine):
    """The error names what to install; nothing is left."""
    engine = new_engine()
    result = engine("run", "--rm", "--rootfs-backend", "erofs", "busybox", "true", env={"PATH": "/nonexistent"}).check(125)
    assert "mkfs.erofs" in result.err and "erofs-utils" in result.err
    assert trees(engine) == {"directory"} and not engine.pods() and not os.listdir(engine.root / "images/tmp")


@erofs
def test_erofs_program_fails(new_engine, tmp_path):
    """What the program says is in the error; a program that is killed is told apart."""
    engine = new_engine()
    fake = tmp_path / "mkfs.erofs"
    # A write that fails is passed over by some versions.
    last = f'{shutil.which("mkfs.erofs")} "$@" && dd if=/dev/zero of=$3 bs=4096 count=1 conv=notrunc seek=$(($(stat -Lc %s $3) / 4096 - 1))'
    for script, words in (
        ("echo first; echo broken >&2; exit 1", "failed: broken"),
        ("kill -9 $$", "signal 9"),
        ("exit 0", "cannot be mounted"),
        (last, "from what it was made of"),
    ):
        fake.write_text("#!/bin/sh\n" + script + "\n")
        fake.chmod(0o755)
        result = engine("run", "--rm", "--rootfs-backend", "erofs", "busybox", "true", env={"PATH": f"{tmp_path}:/bin"}).check(125)
        assert words in result.err, result.err
        assert trees(engine) == {"directory"} and not os.listdir(engine.root / "images/tmp")
    assert engine("run", "--rm", "busybox", "true").rc == 0


@erofs
def test_erofs_of_a_file_with_holes(new_engine, tmp_path):
    """8 TiB of nothing are not written out: an error, soon, and nothing is left."""
    engine = new_engine()
    (tmp_path / "tree").mkdir()
    os.truncate(os.open(tmp_path / "tree/hole", os.O_CREAT | os.O_WRONLY), 8 << 40)
    proc.run("tar", "-C", tmp_path / "tree", "-Scf", tmp_path / "sparse.tar", ".").check()
    engine("image", "import", tmp_path / "sparse.tar", "sparse:1").check()
    result = engine("run", "--rm", "--rootfs-backend", "erofs", "sparse:1", "true", timeout=60).check(125)
    assert "has holes" in result.err and "another backend" in result.err
    assert not engine.pods() and not os.listdir(engine.root / "images/tmp")


def test_bad_words(cooper, tmp_path):
    """Backends that do not exist, on the command line and in the settings."""
    result = cooper("run", "--rm", "--rootfs-backend", "zfs", "busybox", "true").check(125)
    assert "'zfs' is not one of overlay, copy and erofs" in result.err
    config = tmp_path / "cooper.toml"
    shutil.copy(cooper.config, config)
    config.write_text(config.read_text() + '[images]\nbackend = "zfs"\n')
    result = proc.run(cooper.binary, "--root", cooper.root, "--run-root", cooper.run_root, "--config", config, "ps")
    assert result.rc != 0 and "images.backend" in result.err and "zfs" in result.err


@erofs
def test_erofs_is_verified(new_engine):
    """Every byte of it is held against the digest that was noted; --repair makes a damaged one anew, unless somebody uses it."""
    engine = new_engine()
    run = ("run", "--rootfs-backend", "erofs")
    engine(*run, "-d", "--name", "user", "busybox", "sleep", "1000").check()
    engine("image", "gc").check()  # the unpacked tree, before a container goes
    (tree,) = (engine.root / "images/trees").iterdir()
    verify = lambda *words: engine("image", "verify", *words)  # noqa: E731
    assert "the erofs image" in verify().check().out
    with open(tree / "rootfs", "r+b") as file:
        file.seek(-1, os.SEEK_END)
        last = file.read(1)
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last[0] ^ 1]))
    result = verify("busybox").check(2)
    assert "erofs image is damaged: its digest is" in result.out and "used by 1 container" in result.out
    assert verify("--repair").rc == 2
    engine("rm", "-f", "user").check()
    [report] = json.loads(engine("image", "verify", "--format", "json").check(2).out)["images"]
    assert report["erofs"]["state"] == "differs" and not report["good"]
    assert "made anew" in verify("--repair").check().out
    assert verify().check().out.count("good") == 1 and trees(engine) == {"erofs"}
    assert engine(*run, "--rm", "busybox", "echo", "up").check().out == "up\n"
    (tree / "tree.json").write_text("{}")
    assert "what was noted" in verify().check(2).out


def flip(path, old, new):
    """Exchange bytes that a file has once."""
    data = path.read_bytes()
    assert data.count(old) == 1
    path.chmod(0o600)
    path.write_bytes(data.replace(old, new))


@erofs
def test_erofs_damage_is_named(new_engine, tmp_path):
    """Each path that differs from the layers: content, an inode; a structure that cannot be read is told as such."""
    engine = new_engine(load=False)
    (tmp_path / "tree").mkdir()
    for i in range(200):  # the first block has a checksum of its own
        (tmp_path / f"tree/{i:03}").touch()
    (tmp_path / "tree/file").write_bytes(b"needle" * 1000 + b"END")
    (tmp_path / "tree/other").write_bytes(b"x")
    os.chown(tmp_path / "tree/other", 0x31323334, 0x35363738)
    proc.run("tar", "-C", tmp_path / "tree", "-cf", tmp_path / "tree.tar", ".").check()
    engine("image", "import", "--change", "CMD true", tmp_path / "tree.tar", "tree:1").check()
    engine("pod", "prepare", "tree:1", "--rootfs-backend", "erofs").check()
    engine("pod", "gc", "--expire-prepared", "0s", "--grace-period", "0s").check()
    (tree,) = (engine.root / "images/trees").iterdir()
    flip(tree / "rootfs", b"needleEND", b"needleEnD")
    flip(tree / "rootfs", bytes.fromhex("3433323138373635"), bytes.fromhex("3433323138373600"))
    result = engine("image", "verify").check(2)
    assert "\n  /file: content\n" in result.out and "\n  /other: owner is 825373492:3553080, not " in result.out, result.out
    [report] = json.loads(engine("image", "verify", "--format", "json").check(2).out)["images"]
    assert {p["path"]: [a["aspect"] for a in p["aspects"]] for p in report["erofs"]["paths"]} == {"/file": ["content"], "/other": ["owner"]}
    with open(tree / "rootfs", "r+b") as file:
        file.seek(1024)
        file.write(bytes(128))
    assert "its structure is too damaged to be read: " in engine("image", "verify").check(2).out
    engine("image", "verify", "--repair").check()
    assert engine("image", "verify").check().out.count("good") == 1
