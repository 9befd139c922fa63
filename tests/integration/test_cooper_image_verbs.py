"""cooper image: what its verbs say and do with images that are as they should be, and what they refuse."""

import json
import os
import signal

import pytest

from lib import proc, rawtar
from lib.cooper import busybox_layout, engine_dir, new_engine  # noqa: F401
from lib.layouts import INDEX, Layout, entry, layer

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
        engine("image", verb, "/etc/passwd").fails("is neither a tar archive nor", "cooper image import", rc=1)
        result = engine("image", verb, "/no/such").fails("no such file", rc=1)
        assert result.err.count("/no/such") == 1
        engine("image", verb, "-", stdin="").fails("is neither a tar archive nor", rc=1)
        engine("image", verb, "https://example.com/x.tar").fails("no such file", f"curl -fL https://example.com/x.tar | cooper image {verb} -", rc=1)
        engine("image", verb, "example.com/x:1").fails("no such file", "cooper image pull example.com/x:1", rc=1)
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
    engine("image", "extract", "busybox", target).fails("is not empty", "--overwrite", rc=1)
    engine("run", "--rm", target, "true").fails("a directory", "build-from-dir", rc=125)
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
    """Refused, in each form; so is what skopeo keeps in a directory."""
    engine = new_engine(load=False)
    proc.run("tar", "-C", busybox_layout, "-czf", workdir / "image.tar.gz", ".").check()
    for source in (busybox_layout, workdir / "image.tar.gz"):
        engine("image", "import", source, "x").fails("is an image already", "cooper image load", rc=1)
    engine("image", "import", "-", stdin=(workdir / "image.tar.gz").read_bytes()).fails("standard input is an image already", rc=1)
    (workdir / "dir").mkdir()
    (workdir / "dir/manifest.json").write_text("{}")
    (workdir / "dir/version").write_text("Directory Transport Version: 1.1\n")
    engine("image", "import", workdir / "dir").fails("is an image already", "cooper image load", rc=1)
    engine("image", "load", workdir / "dir").fails("manifest", rc=1)
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


def plain_layout(folder, name="test:1", **options):
    """A layout with an image of one file, and its manifest."""
    made = Layout(folder)
    manifest = made.image(layer(entry("who", str(folder).encode())), **options)
    return made.index(manifest, name=name), manifest


def test_no_name_is_taken_for_an_id(new_engine, workdir):
    """Whoever names an image by its id gets that image, whatever other images are called."""
    engine = new_engine()
    good = engine.json("image", "ls")["images"][0]["id"]
    digits = good.split(":")[1]
    for name in (good, f"docker.io/library/{good}", "sha256:abcdef", "sha512:1", f"sha512-{'0' * 128}"):
        engine("image", "tag", "busybox", name).fails("like the id of an image", rc=125)
        engine("image", "load", plain_layout(workdir / f"layout-{len(os.listdir(workdir))}", name)[0].path).fails("like the id of an image", rc=1)
    engine("image", "load", plain_layout(workdir / "short", digits[:12])[0].path).check()
    assert engine.json("image", "inspect", digits[:12])["images"][0]["id"] != good
    for word in (good, digits, f"sha256:{digits[:12]}", digits[:11]):
        assert engine.json("image", "inspect", word)["images"][0]["id"] == good
        engine("run", "--rm", word, "true").check()
    engine("run", "--rm", "sha256:" + "0" * 64, "true").fails("is not in the store", rc=125)


def test_image_rm_of_one_image_twice(new_engine, workdir):
    """Each goes once; with --force what is not there is no failure."""
    engine = new_engine()
    identity = engine.json("image", "ls")["images"][0]["id"]
    engine("image", "tag", "busybox", "docker.io/busybox", "other").check()
    assert engine("image", "rm", "busybox", "localhost/busybox:latest", "busybox").check().lines == ["Untagged: localhost/busybox:latest"]
    engine("image", "rm", "other", identity, "other", identity).check()
    assert engine.json("image", "ls")["images"] == []
    engine("image", "rm", "nosuch").fails("'nosuch' is not in the store", rc=1)
    assert engine("image", "rm", "-f", "nosuch").check().out == ""
    for name in ("one", "two"):
        engine("image", "load", plain_layout(workdir / name, name)[0].path).check()
    engine("image", "rm", "-a", "one").fails("--all", rc=125)
    engine("image", "rm").fails("no image is named", rc=125)
    engine("image", "rm", "-a").check()
    assert engine.json("image", "ls")["images"] == []
    engine("image", "rm", "-a").check()


def test_image_exists(new_engine):
    """The exit status says it, and nothing else does."""
    engine = new_engine()
    for word, status in (("busybox", 0), ("nosuch", 1), ("Up", 125)):
        result = engine("image", "exists", word)
        assert result.rc == status and result.out == "" and (result.err == "" or status == 125), result


@pytest.mark.parametrize("platform", [{"architecture": None}, {"os": None}, {"architecture": None, "os": None}], ids=["architecture", "os", "both"])
def test_configuration_without_a_platform(new_engine, workdir, platform):
    """It is taken; when a program of it cannot be run, the message says what it does not."""
    engine = new_engine(load=False)
    layout = Layout(workdir / "layout")
    manifest = layout.image(layer(entry("prog", b"\x7fELF" + b"\0" * 100, mode=0o755)), config=platform)
    del manifest["platform"]
    layout.index(manifest)
    for source in (layout.path, layout.docker_archive(workdir / "image.tar")):
        engine("image", "load", source).check()
        result = engine("run", "--rm", "test:1", "/prog").fails("exec format error", rc=126)
        assert "does not say for which architecture" in result.err or "architecture" not in platform
        engine("image", "rm", "-f", "test:1").check()
    if "architecture" in platform:
        engine("image", "load", "--platform", "linux/s390x", layout.path).check()


def amd64_level():
    """The variant of amd64 that this machine has, by the names of its flags."""
    flags = set(next(line for line in open("/proc/cpuinfo") if line.startswith("flags")).split(":")[1].split())
    levels = [{"cx16", "lahf_lm", "popcnt", "pni", "sse4_1", "sse4_2", "ssse3"}, {"avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe", "xsave"}, {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}]
    return next((number for number, level in enumerate(levels, 1) if not level <= flags), 4)


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="levels are those of amd64")
def test_variants_of_amd64(new_engine, workdir):
    """The best that this processor has is taken of an index, and a single image when the processor has its level."""
    engine = new_engine(load=False)
    own = amd64_level()
    layout = Layout(workdir / "layout")
    images = {}
    for level in range(1, 5):
        config = {"variant": f"v{level}"} if level > 1 else {}
        manifest = layout.image(layer(entry(f"v{level}")), config=config)
        images[level] = {**manifest, "platform": {**manifest["platform"], **config}}
    layout.index(layout.blob({"schemaVersion": 2, "mediaType": INDEX, "manifests": list(images.values())}, INDEX))
    engine("image", "load", layout.path).check()
    engine("image", "extract", "test:1", workdir / "best").check()
    assert os.listdir(workdir / "best") == [f"v{own}"]
    engine("image", "load", "--platform", "linux/amd64", layout.path).check()
    engine("image", "extract", "test:1", workdir / "plain").check()
    assert os.listdir(workdir / "plain") == ["v1"]
    for level, manifest in images.items():
        result = engine("image", "load", layout.index(manifest).path)
        result.check() if level <= own else result.fails(f"is for platform 'linux/amd64/v{level}'", f"--platform linux/amd64/v{level}", rc=1)


def test_what_a_word_of_fetch_and_run_means(new_engine, workdir):
    """A file, a directory or an id is no name of a registry: nobody is asked for it."""
    engine = new_engine()
    identity = engine.json("image", "ls")["images"][0]["id"]
    engine("image", "fetch", "foo.aci", cwd=workdir).fails("foo.aci", "no such file", rc=1)
    engine("image", "fetch", "sha512-abc").fails("is not in the store", "an id cannot be fetched", rc=1)
    assert engine("image", "fetch", "-q", identity).check().out.strip() == identity
    plain_layout(workdir / "lbare")
    assert "test:1" in engine("image", "fetch", "lbare", cwd=workdir).check().out
    (workdir / "w.aci").write_text("w")
    engine("run", "--rm", "w.aci", "true", cwd=workdir).fails("w.aci", "without a signature is refused", rc=125)


def test_texts_of_image_verbs(new_engine, workdir):
    """Errors name what was written, once."""
    engine = new_engine()
    engine("image", "tag", "busybox", "a:1", "z:1").check()
    assert engine("image", "verify", "z:1").check().out.startswith("localhost/z:1 (")
    assert engine("image", "inspect", "nosuch").fails("'nosuch'", rc=1).out == ""
    (workdir / "files").mkdir()
    (workdir / "files/f").write_text("f")
    wrong = engine("image", "build-from-dir", "--cmd", '["a"', workdir / "files", "x").fails("--cmd", rc=125)
    assert "entrypoint" not in wrong.err
    proc.run("tar", "-C", workdir, "-cf", workdir / "f.tar", "files").check()
    engine("image", "import", "-c", "STOPSIGNAL FOO", workdir / "f.tar").fails("'FOO' is not known", rc=125)
    engine("image", "convert", workdir / "f.tar", workdir / "x.aci").fails("cooper image load", rc=125)
    engine("image", "convert", "f.tar", workdir / "x.aci", cwd=workdir).fails("cooper image load f.tar", rc=1)
    engine("image", "build-from-dir", "-t", "x:1", workdir / "files").check()
    engine("image", "build-from-dir", "-t", "x:1", workdir / "files", "y:1").fails("named twice", rc=125)
    engine("image", "build-from-dir", workdir / "files").fails("has no name", rc=125)
    engine("image", "import", "--arch", "s390x", workdir / "f.tar", "far").check()
    assert engine.json("image", "inspect", "far")["images"][0]["config"]["architecture"] == "s390x"


def test_damaged_layers_are_named_once(new_engine, workdir):
    """Whatever reads them."""
    engine = new_engine(load=False)
    made = Layout(workdir / "layout")
    manifest = made.image(layer(entry("x", os.urandom(100_000))), compress="gzip")
    engine("image", "load", made.index(manifest).path).check()
    (digest,) = engine.json("image", "ls")["images"][0]["layers"]
    blob = engine.root / "images/blobs" / digest.replace(":", "/")
    data = bytearray(blob.read_bytes())
    data[len(data) // 2] ^= 0xFF
    os.chmod(blob, 0o644)
    blob.write_bytes(data)
    for words in (("save", "-o", workdir / "x.tar", "test:1"), ("convert", "test:1", workdir / "x.aci"), ("save", "--transport", "oci-dir", "-o", workdir / "x", "test:1")):
        assert engine("image", *words).fails("layer 1 of 1", rc=1).err.count("layer 1 of 1") == 1


def test_image_ls_filters(new_engine, workdir):
    """Those of podman that need nothing but the records."""
    engine = new_engine(load=False)
    for number, year in enumerate((2001, 2002, 2003)):
        plain_layout(workdir / str(year), f"y{year}", config={"created": f"{year}-01-01T00:00:00Z"})
        engine("image", "load", workdir / str(year)).check()

    def years(*words):
        return sorted(name.split("/y")[1][:4] for image in engine.json("image", "ls", "-a", *words)["images"] for name in image["names"])

    assert years("--filter", "before=y2002") == ["2001"] and years("--filter", "since=y2002") == ["2003"]
    assert years("--filter", "until=2002-06-01T00:00:00Z") == ["2001", "2002"]
    identity = engine.json("image", "inspect", "y2003")["images"][0]["id"]
    assert years("--filter", f"id={identity}") == years("--filter", f"id={identity.split(':')[1][:6]}") == ["2003"]
    engine("image", "ls", "--filter", "before=nosuch").fails("'nosuch' is not in the store", rc=1)
