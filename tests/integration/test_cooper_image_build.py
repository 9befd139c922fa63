"""cooper image build-from-dir: a directory becomes an image, as its files are, and the same one each time."""

import hashlib
import io
import json
import os
import pathlib
import socket
import tarfile

import pytest

from lib import proc, rootfs
from lib.cooper import busybox_layout, engine_dir, new_engine  # noqa: F401
from lib.exchange import exchanging
from lib.layouts import Layout, entry, layer

pytestmark = pytest.mark.needs("root", "cooper", "isolation")
THEN = 1_500_000_000


def layer_of(engine, name, number=-1):
    """The tar of a layer, as it is stored; its members by name."""
    digest = engine.json("image", "ls", name)["images"][0]["layers"][number]
    data = (engine.root / "images/blobs" / digest.replace(":", "/")).read_bytes()
    assert digest == "sha256:" + hashlib.sha256(data).hexdigest()
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {member.name: member for member in tar}


@pytest.fixture
def tree(workdir):
    """A root file system with a file of every kind."""
    tree = rootfs.make_busybox(workdir / "tree")
    (tree / "etc/secret").write_text("x\n")
    os.chown(tree / "etc/secret", 7, 8)
    (tree / "etc/secret").chmod(0o4750)
    os.setxattr(tree / "etc/secret", "user.note", b"kept")
    os.link(tree / "etc/secret", tree / "etc/zz-same")
    (tree / "leads-out").symlink_to("/etc/shadow")
    os.mkfifo(tree / "pipe")
    os.mknod(tree / "null", 0o20666, os.makedev(1, 3))
    with open(tree / "sparse", "wb") as file:
        file.truncate(64 << 20)
        file.seek(32 << 20)
        file.write(b"middle")
    for path in (*tree.rglob("*"), tree):
        os.utime(path, (THEN, THEN), follow_symlinks=False)
    return tree


def test_files_are_as_they_are(new_engine, tree):
    """Owners, modes, times, attributes, links, devices and holes; in a container, and for other programs."""
    engine = new_engine(load=False)
    with socket.socket(socket.AF_UNIX) as here:
        here.bind(str(tree / "run.sock"))
        os.utime(tree, (THEN, THEN))
        result = engine("image", "build-from-dir", "--cmd", "sh", "--env", "A=b", "--compression", "none", tree, "mine:1").check()
    assert result.lines == ["Loaded image: localhost/mine:1"] and "'run.sock' is left out" in result.err
    script = "stat -c '%u:%g %a %h %i %Y' /etc/secret /etc/zz-same; stat -c %F:%t:%T /null /pipe; readlink /leads-out; du -k /sparse; echo $A"
    lines = engine("run", "--rm", "mine:1", "sh", "-c", script).check().lines
    assert lines[0] == lines[1] and lines[0].startswith("7:8 4750 2 ") and lines[0].endswith(str(THEN))
    assert lines[2:5] == ["character special file:1:3", "fifo:0:0", "/etc/shadow"]
    assert int(lines[5].split()[0]) < 1024 and lines[6] == "b"
    chain = next((engine.root / "images/trees").iterdir())
    assert os.getxattr(chain / "rootfs/etc/secret", "user.note") == b"kept"
    members = layer_of(engine, "mine:1")
    assert members["etc/zz-same"].islnk() and members["etc/zz-same"].linkname == "etc/secret" and "run.sock" not in members
    assert members["sparse"].size == 64 << 20 and members["."].isdir() and "etc/shadow" not in members


def test_same_input_same_digest(new_engine, tree, workdir):
    """In another store, from a copy, with every compression; and one byte more makes another image."""
    first, second = new_engine(load=False), new_engine(load=False)
    proc.run("cp", "-a", "--sparse=auto", tree, workdir / "copy").check()
    for kind in ("gzip", "zstd", "none"):
        words = ("--compression", kind, "--label", "b=2", "--label", "a=1", "-q")
        ids = [engine("image", "build-from-dir", *words, folder, f"x:{kind}").check().out
               for engine, folder in ((first, tree), (first, tree), (second, workdir / "copy"))]  # fmt: skip
        assert len(set(ids)) == 1
        manifests = {engine("image", "cat-manifest", f"x:{kind}").check().out for engine in (first, second)}
        assert len(manifests) == 1 and ("tar+" + kind in manifests.pop()) == (kind != "none")
    (tree / "etc/secret").write_text("y\n")
    assert first("image", "build-from-dir", *words, tree, "x:none").check().out != ids[0]
    record = first.json("image", "inspect", "x:gzip")["images"][0]
    assert record["created"] == "2017-07-14T02:40:00Z"
    env = {"SOURCE_DATE_EPOCH": str(THEN - 60)}
    first("image", "build-from-dir", tree, "x:old", env=env).check()
    assert first.json("image", "inspect", "x:old")["images"][0]["created"] == "2017-07-14T02:39:00Z"
    assert {member.mtime for member in layer_of(first, "x:old").values()} == {THEN - 60}
    first("image", "build-from-dir", tree, "x:old", env={"SOURCE_DATE_EPOCH": "soon"}).fails("SOURCE_DATE_EPOCH", rc=125)


def test_on_top_of_an_image(new_engine, workdir):
    """One layer more, and the configuration of the one below but for what is said; owners as asked for."""
    engine = new_engine()
    (workdir / "more/etc").mkdir(parents=True)
    (workdir / "more").chmod(0o700)
    (workdir / "more/etc/new").write_text("new\n")
    (workdir / "more/drop.o").write_text("")
    os.chown(workdir / "more/etc/new", 5, 5)
    engine("image", "build-from-dir", "--from", "busybox", "--owner", "3:4", "--exclude", "*.o", "--env", "X=1", "--workdir", "/etc",
           "--cmd", '["cat", "new"]', "--annotation", "a.b=c", workdir / "more", "top").check()  # fmt: skip
    assert engine("run", "--rm", "top").check().out == "new\n"
    assert engine("run", "--rm", "top", "stat", "-c", "%u:%g %a", "/etc/new", "/").check().lines == ["3:4 644", "0:0 755"]
    assert set(layer_of(engine, "top")) == {"etc", "etc/new"}
    manifest = json.loads(engine("image", "cat-manifest", "top").check().out)
    assert manifest["annotations"] == {"a.b": "c"} and len(manifest["layers"]) == 2
    assert engine.json("image", "verify", "top")["images"][0]["good"]
    engine("image", "build-from-dir", "--from", "nosuch", workdir / "more", "x").fails("'nosuch'", rc=1)
    engine("image", "build-from-dir", "--from", "busybox", "--platform", "linux/arm64", workdir / "more", "x").fails("platform", rc=125)


def test_refusals_leave_nothing(new_engine, workdir):
    """What cannot be an image is named, and the store is as it was."""
    engine = new_engine(load=False)
    tree = workdir / "tree"
    tree.mkdir()
    build = ("image", "build-from-dir")
    engine(*build, tree, "x").fails("holds no files", rc=1)
    engine(*build, workdir / "none", "x").fails("none", rc=1)
    (tree / ".wh.gone").write_text("")
    engine(*build, tree, "x").fails("'.wh.gone'", "--exclude", rc=1)
    os.mknod(tree / ".wh.gone2", 0o20000, 0)
    (tree / ".wh.gone").rename(tree / "file")
    (tree / ".wh.gone2").rename(tree / "overlay")
    engine(*build, tree, "x").fails("'overlay'", "overlayfs", rc=1)
    for words in (("--owner", "me"), ("--compression", "xz"), ("--env", "A"), ("--port", "x"), ("--workdir", "w"), ("--created", "soon"),
                  ("--exclude", "../x"), ("--stop-signal", "SIGX"), ("--annotation", "x"), ("--platform", "a/b/c/d")):  # fmt: skip
        engine(*build, *words, tree, "x").fails(words[1], rc=125)
    engine(*build, tree, "BAD NAME").fails("BAD NAME", rc=125)
    assert engine.json("image", "ls")["images"] == [] and not list((engine.root / "images/tmp").iterdir())
    assert not list((engine.root / "images/blobs/sha256").iterdir())


def test_steps_of_a_base_without_any(new_engine, workdir):
    """The new step is that of the new layer, not of the lowest one."""
    engine = new_engine(load=False)
    made = Layout(workdir / "base")
    made.index(made.image(*(layer(entry(name, b"x")) for name in "abc")), name="base:1")
    engine("image", "load", made.path).check()
    (workdir / "more").mkdir()
    (workdir / "more/d").write_text("x")
    engine("image", "build-from-dir", "--from", "base:1", workdir / "more", "made:1").check()
    steps = engine.json("image", "history", "made:1")["history"]
    assert ["build-from-dir" in (step["created_by"] or "") for step in steps] == [True, False, False, False]


def test_policy_is_asked(new_engine, tree, workdir):
    """As transport dir, by the path of the directory."""
    engine = new_engine(load=False)
    policy = workdir / "policy.json"
    accept = [{"type": "insecureAcceptAnything"}]
    policy.write_text(json.dumps({"default": [{"type": "reject"}], "transports": {"dir": {str(pathlib.Path(tree).resolve()): accept}}}))
    words = ("--signature-policy", policy)
    engine("image", "build-from-dir", *words, tree, "x").check()
    engine("image", "build-from-dir", *words, tree / "etc", "y").check()
    engine("image", "build-from-dir", *words, workdir, "z").fails("refused by policy", "reject", rc=1)


def test_the_policy_is_asked_about_the_directory_that_is_read(new_engine, workdir):
    """Whoever can put another directory in its place meanwhile gets nothing past a policy by path."""
    for name in ("good", "evil"):
        (workdir / name).mkdir()
        (workdir / name / name).write_text("x\n")
    policy, place = workdir / "policy.json", workdir / "place"
    accept = [{"type": "insecureAcceptAnything"}]
    policy.write_text(json.dumps({"default": [{"type": "reject"}], "transports": {"dir": {str(workdir / "good"): accept}}}))
    engine = new_engine(load=False)

    with exchanging(place, workdir / "evil", workdir / "good"):
        results = [engine("image", "build-from-dir", "--signature-policy", policy, place, "z:1", timeout=60) for _ in range(60)]
    assert {result.rc for result in results} == {0, 1}
    for image in engine.json("image", "ls")["images"]:
        data = (engine.root / "images/blobs" / image["layers"][0].replace(":", "/")).read_bytes()
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            assert not [name for name in tar.getnames() if "evil" in name]


def test_interrupted(new_engine, workdir):
    """A signal ends it, and takes everything back."""
    engine = new_engine(load=False)
    (workdir / "tree").mkdir()
    with open(workdir / "tree/large", "wb") as file:
        for _ in range(64):
            file.write(os.urandom(1 << 20))
    with engine.background("image", "build-from-dir", workdir / "tree", "x") as running:
        proc.until(lambda: list((engine.root / "images/tmp").glob("*/layer-0")), 20, 0.01, "a layer that grows")
        running.signal(15)
        assert running.wait().rc in (-15, 143)
    assert engine.json("image", "ls")["images"] == [] and not list((engine.root / "images/tmp").iterdir())
