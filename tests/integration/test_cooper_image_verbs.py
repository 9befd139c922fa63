"""cooper image: what its verbs say and do with images that are as they should be, and what they refuse."""

import json
import os

import pytest

from lib import proc
from lib.cooper import busybox_layout, engine_dir, new_engine  # noqa: F401
from lib.layouts import Layout, entry, layer

pytestmark = pytest.mark.needs("root", "cooper", "isolation")


def test_image_verbs(new_engine, busybox_layout):
    """load, ls, tag, cat-manifest, extract, rm, gc on the bundled image."""
    engine = new_engine(load=False)
    out = engine("image", "load", busybox_layout).check().out
    assert "busybox:latest" in out
    out = engine("image", "load", "-n", "mine:1", busybox_layout).check().out
    assert len(out.splitlines()) == 2 and "localhost/mine:1" in out
    assert "mine" not in engine("image", "load", busybox_layout).check().out
    engine("image", "rm", "mine:1").check()
    engine("image", "load", "--platform", "linux/s390x", busybox_layout).fails("linux/s390x", "--platform linux/", rc=1)
    for verb in ("load", "import"):
        engine("image", verb, "/etc/passwd").fails("is neither a tar archive nor", rc=1)
        result = engine("image", verb, "/no/such").fails("no such file", rc=1)
        assert result.err.count("/no/such") == 1
        engine("image", verb, "-", stdin="").fails("is neither a tar archive nor", rc=1)
    listed = engine.json("image", "ls")["images"][0]
    assert listed["size_bytes"] > 100_000 and len(listed["layers"]) == 1
    engine("image", "tag", "busybox", "other:1").check()
    table = engine("image", "ls").check().out
    assert "other" in table and table.startswith("REPOSITORY")
    manifest = json.loads(engine("image", "cat-manifest", "busybox").check().out)
    assert manifest["layers"][0]["digest"] == listed["layers"][0]
    target = engine.folder / "out"
    engine("image", "extract", "busybox", target).check()
    assert (target / "bin/busybox").exists() and (target / "bin/sh").is_symlink()
    engine("image", "extract", "busybox", target).fails(rc=1)
    assert "Untagged" in engine("image", "rm", "other:1").check().out
    assert "Deleted" in engine("image", "rm", "busybox").check().out
    assert engine.json("image", "ls")["images"] == []
    engine("image", "gc").check()
    engine("run", "--rm", "--pull", "never", "busybox", "true").fails("image load", rc=125)


def test_image_ls_of_a_name_and_inspect(new_engine):
    """A name, with or without its tag, shows only what it means; inspect is the record of one."""
    engine = new_engine()
    for name in ("other:1", "other:2", "quay.io/x/other:1"):
        engine("image", "tag", "busybox", name).check()

    def names(*words):
        return sorted(tuple(line.split()[:2]) for line in engine("image", "ls", *words).check().lines[1:])

    assert names("busybox") == [("localhost/busybox", "latest")]
    assert names("other") == [("localhost/other", "1"), ("localhost/other", "2")]
    assert names("other:2") == [("localhost/other", "2")]
    assert names("quay.io/x/other") == [("quay.io/x/other", "1")] and names("nosuch") == []
    engine("image", "ls", "BAD NAME").fails("BAD NAME")
    record = engine.json("image", "inspect", "other:1")["images"][0]
    assert record == engine.json("inspect", "busybox")["images"][0] and record["config"]["architecture"]
    result = engine("image", "inspect", "nosuch", "busybox").fails("'nosuch'", rc=1)
    assert len(json.loads(result.out)["images"]) == 1


def test_image_gc_prunes_what_has_no_name(new_engine, workdir, unique):
    """Unless a container was made of it."""
    engine = new_engine()

    def build(text):
        (workdir / "f").write_text(text)
        proc.run("tar", "-C", workdir, "-cf", workdir / "f.tar", "f").check()
        engine("image", "import", workdir / "f.tar", "mine").check()
        return engine.json("image", "inspect", "mine")["images"][0]["id"]

    first, second = build("1"), build("2")
    engine("image", "tag", "busybox", "mine").check()
    uuid = engine("pod", "prepare", second, "--", "x").check().out.strip()
    assert engine("image", "ls").out.count("<none>") == 4
    assert engine("image", "gc").check().lines[0] == f"Deleted: {first}"
    ids = [image["id"] for image in engine.json("image", "ls")["images"]]
    assert first not in ids and second in ids
    engine("pod", "rm", uuid).check()
    assert engine.json("image", "gc")["deleted"] == [second]
    engine("run", "--rm", "mine", "true").check()


def test_image_of_another_machine(new_engine, workdir):
    """It is tried, and the message says why it cannot run."""
    other = "s390x" if os.uname().machine != "s390x" else "amd64"
    engine = new_engine(load=False)
    layout = Layout(workdir / "layout")
    program = b"\x7fELF" + b"\0" * 100
    layout.index(layout.image(layer(entry("prog", program, mode=0o755)), platform=("linux", other)))
    engine("image", "load", "--platform", f"linux/{other}", layout.path).check()
    engine("image", "tag", "test:1", "far").check()
    result = engine("run", "--rm", "far", "/prog").fails(f"is for linux/{other}", "exec format error", rc=126)
    assert "level=warning" in result.err and result.err.splitlines()[-1].count(f"linux/{other}") == 1
    uuid = engine("pod", "prepare", "far", "--", "/prog").check().out.strip()
    engine("pod", "run-prepared", uuid).fails("exec format error", f"the image is for linux/{other}", rc=126)


def test_image_import(new_engine, workdir):
    """A tar of a root file system becomes an image."""
    from lib import rootfs

    engine = new_engine(load=False)
    tree = rootfs.make_busybox(workdir / "tree")
    proc.run("tar", "-C", tree, "-cf", workdir / "root.tar", ".").check()
    engine("image", "import", "-c", 'CMD ["echo", "imported"]', "-c", "ENV A=b", workdir / "root.tar", "mine:1").check()
    assert engine("run", "--rm", "mine:1").check().out == "imported\n"
    assert engine("run", "--rm", "mine:1", "sh", "-c", "echo $A").check().out == "b\n"
    out = engine("image", "import", "-c", 'CMD ["echo", "imported"]', "-c", "ENV A=b", workdir / "root.tar", "mine:2").check().out
    assert out.splitlines() == ["Loaded image: localhost/mine:2"]
    data = (workdir / "root.tar").read_bytes()
    assert engine("image", "import", "-", "piped", stdin=data).rc == 0


def test_image_import_of_an_image(new_engine, busybox_layout, workdir):
    """Refused, in each form; so is what skopeo keeps in a directory, with the way out."""
    engine = new_engine(load=False)
    proc.run("tar", "-C", busybox_layout, "-czf", workdir / "image.tar.gz", ".").check()
    for source in (busybox_layout, workdir / "image.tar.gz"):
        engine("image", "import", source, "x").fails("is an image already", "cooper image load", rc=1)
    engine("image", "import", "-", stdin=(workdir / "image.tar.gz").read_bytes()).fails("standard input is an image already", rc=1)
    (workdir / "dir").mkdir()
    (workdir / "dir/manifest.json").write_text("{}")
    (workdir / "dir/version").write_text("Directory Transport Version: 1.1\n")
    for verb in ("load", "import"):
        engine("image", verb, workdir / "dir").fails("skopeo copy dir:", "oci:", rc=1)
    assert engine.json("image", "ls")["images"] == []


def test_image_tag_all_or_nothing(new_engine):
    """A wrong name among several: none is given."""
    engine = new_engine()
    engine("image", "tag", "busybox", "zz1", "Bad Name").fails("Bad Name")
    assert "zz1" not in engine("image", "ls").check().out


def test_image_in_use(new_engine, unique):
    """A name of it may go; the image itself only with --force, and the container does not notice."""
    engine = new_engine()
    with engine.running(unique()) as name:
        engine("image", "tag", "busybox", "again").check()
        engine("image", "rm", "again").check()
        engine("image", "rm", "busybox").fails("in use", engine.inspect(name)["id"], "--force", rc=1)
        assert len(engine.json("image", "ls")["images"]) == 1
        engine("image", "rm", "-f", "busybox").check()
        assert engine.json("image", "ls")["images"] == []
        engine("exec", name, "ls", "/bin").check()
