"""cooper image: what its verbs say and do with images that are as they should be, and what they refuse."""

import json
import os
import signal

import pytest

from lib import proc, rawtar
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


def test_records_of_verbs_that_change(new_engine):
    """--format json: what was tagged, unpacked and removed, and ids alone."""
    engine = new_engine()
    identity = engine.json("image", "ls")["images"][0]["id"]
    assert engine.json("image", "ls", "-q") == {"images": [{"id": identity}]}
    tagged = engine.json("image", "tag", "busybox", "other:1")["image"]
    assert tagged["id"] == identity and tagged["names"] == ["localhost/busybox:latest", "localhost/other:1"]
    out = engine.json("image", "extract", "busybox", engine.folder / "out")
    assert out["image"]["id"] == identity and out["directory"] == str(engine.folder / "out")
    assert engine.json("image", "rm", "other:1", "busybox") == {"untagged": ["localhost/other:1", "localhost/busybox:latest"], "deleted": [identity]}


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


@pytest.mark.parametrize("program", ["xz", "bzip2", "gzip"])
def test_image_import_of_compressed_archives(new_engine, workdir, program):
    """All that load takes; what no layer may be is kept uncompressed, with the digest of the plain archive."""
    engine = new_engine(load=False)
    (workdir / "f").write_text("f" * 100_000)
    proc.run("tar", "-C", workdir, "-cf", workdir / "plain.tar", "f").check()
    proc.run(program, "-k", workdir / "plain.tar").check()
    packed = next(workdir.glob("plain.tar.*"))
    engine("image", "import", "-m", "1", packed, "packed").check()
    engine("image", "import", "-m", "2", "-", "piped", stdin=packed.read_bytes()).check()
    engine("image", "import", "-m", "3", workdir / "plain.tar", "plain").check()
    packed, piped, plain = (engine.json("image", "ls", name)["images"][0] for name in ("packed", "piped", "plain"))
    assert packed["layers"] == piped["layers"] and packed["size_bytes"] == plain["size_bytes"] > 100_000
    assert (packed["layers"] == plain["layers"]) == (program != "gzip")
    engine("image", "extract", "packed", workdir / "x").check()
    assert (workdir / "x/f").stat().st_size == 100_000


@pytest.mark.parametrize("verb", ["load", "import"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_load_and_import(new_engine, workdir, verb, number):
    """While they wait for the rest of the archive; nothing is left, and they end by the signal."""
    engine = new_engine(load=False)
    os.mkfifo(workdir / "pipe")
    tmp = engine.root / "images/tmp"
    with engine.background("image", verb, workdir / "pipe") as running, open(workdir / "pipe", "wb") as pipe:
        pipe.write(rawtar.header(b"f", 1 << 20) + bytes(1 << 16))
        pipe.flush()
        proc.until(lambda: tmp.is_dir() and os.listdir(tmp), 10, 0.005, "the work has begun")
        running.signal(number)
        assert running.wait(20).rc == 128 + number
        assert os.listdir(tmp) == []


BAD_NAMES = [
    ("rm", "Up"), ("rm", ""), ("rm", "busybox", "a:b:c"), ("tag", "busybox", "Up:1"), ("tag", "Up", "x"), ("load", "-n", "my name"), ("verify", "a:b:c"), ("inspect", "./t.sif"), ("convert", "./t.sif", "x.tar"),
    ("history", "Up"), ("tree", "Up"), ("diff", "busybox", "Up"), ("save", "Up"), ("cat-manifest", "Up"), ("extract", "Up", "x"), ("push", "Up"), ("pull", "https://r.example/a"), ("pull", "a", "--platform", "foo"),
]


@pytest.mark.parametrize("words", BAD_NAMES, ids=lambda words: "-".join(words))
def test_bad_names_are_a_wrong_command_line(new_engine, busybox_layout, words):
    """Nothing is looked for or done."""
    engine = new_engine()
    more = (busybox_layout,) if words[0] == "load" else ()
    result = engine("image", *words, *more).fails(rc=125)
    assert any(f"'{word}'" in result.err for word in words[1:]) or "is empty" in result.err
    assert [i["names"] for i in engine.json("image", "ls")["images"]] == [["localhost/busybox:latest"]]


def test_hints_fit(new_engine, workdir):
    """What to try is what helps here."""
    engine = new_engine()
    for words in (("rm", "nosuch"), ("tag", "nosuch", "x"), ("diff", "nosuch", "busybox"), ("save", "nosuch")):
        assert "pull" not in engine("image", *words).fails("'nosuch' is not in the store", "image ls", rc=1).err
    engine("image", "rm", "busybix").fails("did you mean localhost/busybox:latest?", rc=1)
    engine("image", "inspect", "./t.sif").fails("is the path of a file", "cooper run", rc=125)
    (workdir / "f").write_text("f")
    proc.run("tar", "-C", workdir, "-cf", workdir / "f.tar", "f").check()
    engine("image", "import", "-c", "FOO bar", workdir / "f.tar").fails("'foo' is not known", "ENTRYPOINT", "WORKDIR", rc=125)
    (workdir / "policy.json").write_text('{"default": [{"type": "reject"}]}')
    engine("image", "import", "--signature-policy", workdir / "policy.json", workdir / "f.tar").fails(f"{workdir}/f.tar", rc=1)


def test_hints_for_image_files(new_engine, workdir):
    """A file that is run where it lies is neither loaded nor asked for."""
    engine = new_engine(load=False)
    (workdir / "t.squashfs").write_bytes(b"hsqs" + bytes(200))
    engine("image", "load", "t.squashfs", cwd=workdir).fails("is an image file", "cooper run ./t.squashfs", rc=1)
    engine("image", "load", workdir / "t.squashfs").fails(f"cooper run {workdir}/t.squashfs", rc=1)
    engine("run", "t.squashfs", cwd=workdir).fails("not in the store", "did you mean ./t.squashfs?", rc=125)


def test_always_needs_a_name(new_engine):
    """No registry knows an id."""
    engine = new_engine()
    identity = engine.json("image", "ls")["images"][0]["id"]
    for word in (identity, identity.removeprefix("sha256:")[:12]):
        engine("run", "--rm", "--pull", "always", word, "true").fails("named by its id", "--pull missing", rc=125)
        engine("run", "--rm", "--pull", "newer", word, "true").check()


def test_run_of_another_platform(new_engine, workdir):
    """An image of the store for another platform is none: it would be fetched, and never without asking."""
    engine = new_engine()
    other = "s390x" if os.uname().machine != "s390x" else "amd64"
    engine("run", "--rm", "--platform", f"linux/{other}", "--pull", "never", "busybox", "true").fails(f"not for linux/{other}", rc=125)
    engine("run", "--rm", "--platform", "linux", "--pull", "never", "busybox", "true").check()
    engine("run", "--rm", "--platform", "foo", "busybox", "true").fails("--platform", "'foo'", rc=125)
    engine("run", "--rm", "--creds", "nopassword", "busybox", "true").fails("USER:PASSWORD", rc=125)


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
