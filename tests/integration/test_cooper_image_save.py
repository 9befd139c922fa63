"""cooper image save, history, tree, df: what leaves the store is what came in, for every reader; and what shares what."""

import json
import os
import resource
import signal
import tarfile

import pytest

from lib import proc, trees
from lib.cooper import busybox_layout, engine_dir, new_engine  # noqa: F401
from lib.layouts import Layout, digest, directory, entry, hardlink, layer, symlink
from lib.registries import SKOPEO

pytestmark = pytest.mark.needs("root", "cooper", "isolation")
BASE = layer(directory("etc"), entry("etc/a", b"A" * 5000, uid=7, gid=8, mode=0o4755), symlink("link", "etc/a"))
TOP = layer(directory("etc"), entry("etc/.wh.a"), entry("b", b"B" * 70000), hardlink("c", "b"))
HISTORY = [{"created_by": "ADD base", "created": "2024-01-02T03:04:05Z"}, {"created_by": "ENV A=b", "empty_layer": True}, {"created_by": "RUN top", "comment": "made it"}]
ONE, TWO = "localhost/one:1", "localhost/two:2"


@pytest.fixture
def layout(workdir):
    """Two images whose first layer is the same blob."""
    made = Layout(workdir / "layout")

    def config(*layers, **more):
        return {"rootfs": {"type": "layers", "diff_ids": [digest(data) for data in layers]}, **more}

    named = {ONE: made.image(BASE, compress="gzip"), TWO: made.image(BASE, TOP, compress="gzip", config=config(BASE, TOP, history=HISTORY))}
    entries = [{**d, "annotations": {"org.opencontainers.image.ref.name": name}} for name, d in named.items()]
    (made.path / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": entries}))
    return made


@pytest.fixture
def engine(new_engine, layout):  # noqa: F811
    """An engine that holds the two images."""
    made = new_engine(load=False)
    made("image", "load", layout.path).check()
    return made


@pytest.fixture
def out(workdir):
    """An empty directory to save into."""
    (workdir / "out").mkdir()
    return workdir / "out"


def save(engine, *args, **options):
    return engine("image", "save", *args, timeout=60, **options)


def image(engine, name):
    return engine.json("image", "inspect", name)["images"][0]


def in_progress(engine):
    return os.listdir(engine.root / "images/tmp")


def big(workdir, engine, size):
    """An image of random bytes, 'big:1'."""
    made = Layout(workdir / "big")
    made.index(made.image(layer(entry("data", os.urandom(size)))), name="big:1")
    engine("image", "load", made.path).check()


# --- readers -------------------------------------------------------------------------


@pytest.mark.needs("podman")
def test_podman_loads_and_runs(podman, new_engine, out):  # noqa: F811
    """podman load takes several images of a docker-archive, and one of an oci-archive with its digest; they run."""
    engine = new_engine()
    engine("image", "tag", "busybox", "saved:1", "saved:2").check()
    try:
        save(engine, "-o", out / "docker.tar", "saved:1", "saved:2").check()
        loaded = podman("load", "-i", out / "docker.tar", timeout=60).check().out
        assert "localhost/saved:1" in loaded and "localhost/saved:2" in loaded
        known = image(engine, "saved:1")
        assert podman("image", "inspect", "--format", "{{.Id}}", "localhost/saved:1").check().out.strip() == known["id"].split(":")[1]
        assert podman.run("--rm", "localhost/saved:2", "echo", "hello").check().out == "hello\n"
        podman("rmi", "-f", "localhost/saved:1", "localhost/saved:2").check()
        save(engine, "--format", "oci-archive", "-o", out / "oci.tar", "saved:1").check()
        podman("load", "-i", out / "oci.tar", timeout=60).check()
        assert podman("image", "inspect", "--format", "{{.Digest}}", "localhost/saved:1").check().out.strip() == known["manifest_digest"]
        assert podman.run("--rm", "localhost/saved:1", "echo", "again").check().out == "again\n"
    finally:
        podman("rmi", "-f", "localhost/saved:1", "localhost/saved:2")


@pytest.mark.needs("docker")
def test_docker_loads_and_runs(docker, new_engine, out):  # noqa: F811
    """docker load takes it with its name and its id."""
    engine = new_engine()
    engine("image", "tag", "busybox", "saved:1").check()
    script = " ".join(engine.argv("image", "save", "saved:1")) + " | " + " ".join(docker.argv("load"))
    assert "localhost/saved:1" in proc.run("sh", "-c", script, env={**docker.environ, **engine.environ}, timeout=60).check().out
    assert docker("image", "inspect", "--format", "{{.Id}}", "localhost/saved:1").check().out.strip() == image(engine, "saved:1")["id"]
    assert docker.run("--rm", "localhost/saved:1", "echo", "hello").check().out == "hello\n"
    docker("rmi", "-f", "localhost/saved:1").check()


@pytest.mark.needs("skopeo")
def test_skopeo_reads_every_form(engine, out):
    """By name, each of several; in an OCI layout every digest is what it was."""
    for name in ("docker.tar", "oci.tar", "dir"):
        kind = {"docker.tar": "docker-archive", "oci.tar": "oci-archive", "dir": "oci-dir"}[name]
        save(engine, "--transport", kind, "-o", out / name, ONE, TWO).check()
        source = f"{kind.removesuffix('-dir')}:{out / name}:{TWO}"
        proc.run(*SKOPEO, "copy", "--quiet", source, f"oci:{out}/copy-{name}:x", timeout=60).check()
        config = json.loads(proc.run(*SKOPEO, "inspect", "--config", f"oci:{out}/copy-{name}:x").check().out)
        assert config["rootfs"]["diff_ids"] == [digest(BASE), digest(TOP)], name
        if kind != "docker-archive":
            raw = proc.run(*SKOPEO, "inspect", "--raw", source).check().out
            assert digest(raw.encode()) == image(engine, TWO)["manifest_digest"], name


@pytest.mark.needs("umoci")
def test_umoci_unpacks_the_same_files(engine, out):
    """What umoci makes of a saved layout is what cooper makes of the image."""
    save(engine, "-o", f"{out}/dir/", ONE, TWO).check()
    engine("image", "extract", TWO, out / "ours").check()
    proc.run("umoci", "unpack", "--image", f"{out}/dir:{TWO}", out / "bundle", timeout=60).check()
    assert trees.differences(trees.describe(out / "ours"), trees.describe(out / "bundle/rootfs")) == []


@pytest.mark.parametrize("kind", ["docker-archive", "oci-archive", "oci-dir", "stdout"])
def test_cooper_loads_it_again(engine, new_engine, out, kind):  # noqa: F811
    """Ids, names, trees, and in a layout the digests; saved again it is the same bytes."""
    other = new_engine(load=False)
    if kind == "stdout":
        script = " ".join(engine.argv("image", "save", ONE, TWO)) + " | " + " ".join(other.argv("image", "load"))
        proc.run("sh", "-c", script, env=engine.environ, timeout=60).check()
    else:
        said = save(engine, "--transport", kind, "-o", out / "x", ONE, TWO).check().out
        assert said == f"Saved image: {ONE}\nSaved image: {TWO}\n"
        other("image", "load", out / "x").check()
    for name in (ONE, TWO):
        before, after = image(engine, name), image(other, name)
        same = ("id", "names", "size_bytes", "config", *(("manifest_digest",) if kind.startswith("oci") else ()))
        assert {key: before[key] for key in same} == {key: after[key] for key in same}
    other("image", "extract", TWO, out / "theirs").check()
    engine("image", "extract", TWO, out / "ours").check()
    assert trees.differences(trees.describe(out / "ours"), trees.describe(out / "theirs")) == []
    if kind.endswith("archive"):
        save(other, "--transport", kind, "-o", out / "y", ONE, TWO).check()
        # Of docker-archive the stored layers differ, what is written of them does not.
        assert (out / "x").read_bytes() == (out / "y").read_bytes()
    assert in_progress(engine) == []


def test_what_is_in_a_docker_archive(engine, out):
    """Layers uncompressed under their digests, each once; manifest.json and repositories name them."""
    record = json.loads(save(engine, "-o", out / "x.tar", "--format", "json", ONE, TWO).check().out)
    assert record["size_bytes"] == (out / "x.tar").stat().st_size and record["transport"] == "docker-archive"
    assert [entry["names"] for entry in record["images"]] == [[ONE], [TWO]]
    with tarfile.open(out / "x.tar") as tar:
        names = tar.getnames()
        assert len(names) == len(set(names))
        first, second = json.load(tar.extractfile("manifest.json"))
        assert first["RepoTags"] == [ONE] and second["RepoTags"] == [TWO] and second["Layers"][0] == first["Layers"][0]
        assert [tar.extractfile(name).read() for name in second["Layers"]] == [BASE, TOP]
        assert digest(tar.extractfile(second["Config"]).read()) == image(engine, TWO)["id"]
        assert json.load(tar.extractfile("repositories")) == {"localhost/one": {"1": digest(BASE)[7:]}, "localhost/two": {"2": digest(TOP)[7:]}}


def test_names(engine, out):
    """An id brings all names; a name itself; an image that is named twice is one."""
    engine("image", "tag", ONE, "other:3").check()
    identity = image(engine, ONE)["id"]

    def saved(*words):
        return [entry["names"] for entry in json.loads(save(engine, "-o", out / "x.tar", "--format", "json", *words).check().out)["images"]]

    assert saved("other:3") == [["localhost/other:3"]]
    assert saved(identity[7:19]) == [[ONE, "localhost/other:3"]]
    assert saved("other:3", TWO, "one:1") == [[ONE, "localhost/other:3"], [TWO]]


def test_into_a_directory_that_is_there(engine, out):
    """It stays the same directory, for who is in it and for its mounts; nothing is left of a failure."""
    before = out.stat()
    save(engine, "--transport", "oci-dir", "-o", ".", "nosuch", cwd=out).fails("not in the store", rc=1)
    assert os.listdir(out) == []
    inside = os.open(out, os.O_RDONLY | os.O_DIRECTORY)
    try:
        save(engine, "-o", ".", ONE, cwd=out).check()
        assert sorted(os.listdir(inside)) == ["blobs", "index.json", "oci-layout"]
    finally:
        os.close(inside)
    assert (out.stat().st_ino, out.stat().st_mode) == (before.st_ino, before.st_mode)


def test_words_that_go_together(engine, out):
    """The last --format counts; it may say the same as --transport. A file that is replaced stays as private as it was."""
    file = out / "x"
    file.write_text("old")
    file.chmod(0o600)
    os.chown(file, 7, 8)
    words = ["--format", "docker-archive", "--format", "oci-archive", "--transport", "oci-archive", "--quiet"]
    result = save(engine, *words, "-o", file, ONE).check()
    assert result.out == "" and result.err == "", "--quiet"
    with tarfile.open(file) as tar:
        assert "index.json" in tar.getnames()
    assert (file.stat().st_mode & 0o7777, file.stat().st_uid, file.stat().st_gid) == (0o600, 7, 8)
    save(engine, "--format", "oci", "--transport", "oci-dir", "-o", out / "dir", ONE).check()


# --- what must not happen ------------------------------------------------------------


def test_wrong_words(engine, out):
    """What is asked for is refused before anything is written."""
    (out / "full").mkdir()
    (out / "full/theirs").write_text("x")
    save(engine).fails("needs an argument", rc=125)
    save(engine, "--transport", "zip", ONE).fails("'zip'", "docker-archive", rc=125)
    save(engine, "--transport", "docker-dir", ONE).fails("standard output", "--output", rc=125)
    save(engine, "--transport", "docker-dir", "-o", out / "x", ONE, TWO).fails("one image, not 2", "oci-dir", rc=1)
    save(engine, "--transport", "oci-dir", ONE).fails("standard output", "--output", rc=125)
    save(engine, "--transport", "oci-archive", "-o", out, ONE).fails("is a directory", rc=125)
    save(engine, "-o", out / "full", ONE).fails("not empty", rc=1)
    save(engine, "-o", out / "x.tar", "nosuch", ONE).fails("'nosuch'", "not in the store", rc=1)
    assert save(engine, "-o", out / "no/such.tar", ONE).fails("no such file", rc=1).err.count("such.tar") <= 1
    save(engine, "--transport", "oci-dir", "-o", out / "full/theirs", ONE).fails("not a directory", rc=1)
    save(engine, "--transport", "oci-dir", "--format", "oci-archive", "-o", out / "x", ONE).fails("--transport oci-dir", "--format oci-archive", rc=125)
    os.symlink("nothing", out / "full/dangling")
    save(engine, "-o", out / "full/dangling", ONE).fails("symbolic link to nothing", rc=1)
    os.unlink(out / "full/dangling")
    assert sorted(os.listdir(out)) == ["full"] and os.listdir(out / "full") == ["theirs"]
    assert in_progress(engine) == []
    with engine.on_terminal("image", "save", ONE) as session:
        session.expect("standard output is a terminal")
        assert session.wait()[0] == 125
    save(engine, "-o", "/dev/null", ONE).check()


@pytest.mark.parametrize("kind", ["docker-archive", "oci-archive", "oci-dir"])
def test_broken_store(engine, out, kind):
    """A wrong byte in the store is named and is not written; what was there before stays."""
    if kind != "oci-dir":
        save(engine, "--transport", kind, "-o", out / "x", ONE).check()
    before = {name: (out / name).read_bytes() for name in os.listdir(out)}
    blob = engine.root / "images/blobs/sha256" / engine.json("image", "tree", TWO)["images"][0]["layers"][1]["digest"][7:]
    good = blob.read_bytes()
    blob.write_bytes(good[:30] + bytes([good[30] ^ 1]) + good[31:])
    save(engine, "--transport", kind, "-o", out / "x", TWO).fails("layer 2 of 2", "its digest is", f"image verify --repair {TWO}", "load the image again", rc=1)
    assert {name: (out / name).read_bytes() for name in os.listdir(out)} == before
    assert in_progress(engine) == []


def test_full_disk(engine, workdir, out):
    """What cannot be written whole is not there."""
    big(workdir, engine, 1_000_000)

    def small_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))

    for kind in ("docker-archive", "oci-archive", "oci-dir"):
        save(engine, "--transport", kind, "-o", out / "x", "big:1", preexec=small_files).fails("save to", "EFBIG", rc=1)
        assert os.listdir(out) == [] and in_progress(engine) == []
    script = " ".join(engine.argv("image", "save", "big:1")) + " > /dev/full"
    told = proc.run("sh", "-c", script, env=engine.environ).fails("standard output", "ENOSPC", rc=1)
    assert "image store" not in told.err
    assert in_progress(engine) == []


def test_signals(engine, workdir):
    """TERM ends it and leaves nothing; what KILL leaves in the store is unfinished work, which gc takes away."""
    big(workdir, engine, 1_000_000)
    for number, left in ((signal.SIGTERM, 0), (signal.SIGKILL, 1)):
        # A megabyte is more than the pipe takes: it waits for us.
        with engine.background("image", "save", "big:1") as saving:
            assert len(saving.child.stdout.read(1000)) == 1000
            saving.signal(number)
            saving.wait().check(128 + number)
        assert len(in_progress(engine)) == left
    assert engine.json("image", "df")["unfinished"]["count"] == 1
    engine("image", "gc").check()
    assert in_progress(engine) == []


def test_a_reader_that_goes_away(engine, workdir):
    """The failure of a pipe is told, and nothing is left."""
    big(workdir, engine, 1_000_000)
    script = "{ " + " ".join(engine.argv("image", "save", "big:1")) + "; echo status $? >&2; } | head -c 100 > /dev/null"
    result = proc.run("sh", "-c", script, env=engine.environ).check()
    assert "EPIPE" in result.err and "status 1" in result.err
    assert in_progress(engine) == []


def test_memory_is_bounded(engine, workdir, out):
    """An image of 60 MB is written by a process that may have 40 MB."""
    made = Layout(workdir / "zeros")
    data = layer(entry("data", b"\0" * 60_000_000))
    made.index(made.image(data, compress="gzip"), name="zeros:1")
    engine("image", "load", made.path, timeout=60).check()

    def little_memory():
        resource.setrlimit(resource.RLIMIT_AS, (40_000_000, 40_000_000))

    save(engine, "-o", out / "x.tar", "zeros:1", preexec=little_memory).check()
    with tarfile.open(out / "x.tar") as tar:
        assert tar.getmember(f"{digest(data)[7:]}.tar").size == len(data)


# --- history, tree, df ---------------------------------------------------------------


def test_history(engine, workdir):
    """Newest first; each step has the layer it made, with the size of its tar."""
    steps = engine.json("image", "history", TWO)["history"]
    assert [step["created_by"] for step in steps] == ["RUN top", "ENV A=b", "ADD base"]
    assert [step["size_bytes"] for step in steps] == [len(TOP), None, len(BASE)]
    assert [step["diff_id"] for step in steps] == [digest(TOP), None, digest(BASE)]
    assert steps[0]["comment"] == "made it" and steps[1]["empty_layer"] is True and steps[2]["created"] == "2024-01-02T03:04:05Z"
    lines = engine("image", "history", TWO).check().lines
    assert lines[0].split() == ["LAYER", "CREATED", "CREATED", "BY", "SIZE", "COMMENT"] and len(lines) == 4
    full = engine("image", "history", "-q", "--no-trunc", TWO).check().lines
    assert full == [steps[0]["layer"], steps[2]["layer"]]
    assert engine("image", "history", "-q", TWO).check().lines == [name[7:19] for name in full]
    # Of an image without a history its layers are shown.
    assert [step["created_by"] for step in engine.json("image", "history", ONE)["history"]] == [None]
    engine("image", "history", "nosuch").fails("not in the store", rc=1)
    # Of records that do not have the sizes yet they are found out.
    record = engine.root / "images/refs/images" / image(engine, TWO)["id"]
    document = json.loads(record.read_text())
    assert document.pop("layer_bytes") == [len(BASE), len(TOP)]
    record.write_text(json.dumps(document))
    assert engine.json("image", "history", TWO)["history"] == steps
    assert [step["empty_layer"] for step in steps] == [False, True, False]
    # What the configuration says, also where it lies.
    lying = Layout(workdir / "lying")
    lying.index(lying.image(BASE, config={"rootfs": {"type": "layers", "diff_ids": [digest(BASE)]}, "history": HISTORY[::2]}), name="lying:1")
    engine("image", "load", lying.path).check()
    steps = engine.json("image", "history", "lying:1")["history"]
    assert [(step["empty_layer"], step["layer"] is None) for step in steps] == [(False, True), (False, False)]


def test_tree(engine):
    """Which layers are whose."""
    one, two = engine.json("image", "tree", ONE, TWO)["images"]
    assert [entry["names"] for entry in one["layers"][0]["shared_with"]] == [[TWO]]
    assert two["layers"][0]["digest"] == one["layers"][0]["digest"] and two["layers"][1]["shared_with"] == []
    assert one["layers"][0]["size_bytes"] == len(BASE) and one["tree"] != two["tree"] and one["tree_shared_with"] == []
    text = engine("image", "tree", TWO).check().out
    assert f"also in {ONE}" in text and len(text.splitlines()) == 3
    assert two["layers"][0]["digest"] not in text
    text = engine("image", "tree", "--no-trunc", TWO).check().out
    assert all(whole in text for whole in (image(engine, TWO)["id"], *(entry["digest"] for entry in two["layers"])))
    assert len(engine.json("image", "tree")["images"]) == 2
    engine("image", "tree", "nosuch").fails("not in the store", rc=1)


def test_df(engine):
    """What df says can be freed is what gc frees."""
    before = engine.json("image", "df")
    assert before["images"] == {"count": 2, "in_use": 0} and before["trees"]["count"] == 2
    assert before["blobs"]["shared"]["count"] == 1 and before["blobs"]["unique"]["count"] == 5
    disk = sum(os.lstat(f"{top}/{name}").st_blocks * 512 for top, _, files in os.walk(engine.root / "images/blobs") for name in files)
    assert sum(part["size_bytes"] for part in before["blobs"].values()) == disk
    assert before["reclaimable_bytes"] == 0
    engine("image", "tag", ONE, TWO).check()
    expected = engine.json("image", "df")["reclaimable_bytes"]
    assert expected > 0 and engine.json("image", "gc")["freed_bytes"] == expected
    after = engine.json("image", "df")
    assert after["images"]["count"] == 1 and after["size_bytes"] == before["size_bytes"] - expected
    assert engine("image", "df").check().lines[0].split() == ["TYPE", "COUNT", "IN", "USE", "SIZE", "RECLAIMABLE"]


def test_df_of_what_runs(new_engine, layout, unique):  # noqa: F811
    """The image of a container, and its tree, are in use while it is there."""
    engine = new_engine()
    engine("image", "load", layout.path).check()

    def in_use():
        told = engine.json("image", "df")
        [images, trees] = (line.split() for line in engine("image", "df").check().lines if line.startswith(("Images", "  unpacked")))
        assert (images[2], trees[3]) == (str(told["images"]["in_use"]), str(told["trees"]["in_use"]))
        return told["images"]["count"], told["images"]["in_use"], told["trees"]["in_use"]

    assert in_use() == (3, 0, 0)
    with engine.running(unique()):
        assert in_use() == (3, 1, 1)
    assert in_use() == (3, 0, 0)
