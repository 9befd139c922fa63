"""Images written where containers' tools write them: push and save to oci:, oci-archive:, docker-archive: and dir:; run from there."""

import contextlib
import fcntl
import json
import os
import pathlib
import resource
import signal

import pytest

from lib import proc, trees
from lib.cooper import busybox_layout, engine_dir, new_engine  # noqa: F401
from lib.layouts import Layout, digest, directory, entry, layer, symlink
from lib.registries import SKOPEO

pytestmark = pytest.mark.needs("root", "cooper", "isolation", "skopeo")
BASE = layer(directory("etc"), entry("etc/a", b"A" * 5000, uid=7, gid=8), symlink("link", "etc/a"))
NAME = "localhost/one:1"
REF = "org.opencontainers.image.ref.name"


@pytest.fixture
def engine(new_engine, workdir):  # noqa: F811
    """An engine that holds one small image."""
    made = new_engine(load=False)
    source = Layout(workdir / "source")
    source.index(source.image(BASE, compress="gzip"), name=NAME)
    made("image", "load", source.path).check()
    return made


@pytest.fixture
def out(workdir):
    """An empty directory to write into."""
    (workdir / "out").mkdir()
    return workdir / "out"


def push(engine, *args, **options):
    return engine("image", "push", NAME, *args, timeout=60, **options)


def names(layout):
    """name -> digest of an OCI layout."""
    return {e.get("annotations", {}).get(REF): e["digest"] for e in json.loads((layout / "index.json").read_text())["manifests"]}


def files(path):
    """Everything below a directory, with what is in it."""
    return {p.relative_to(path): p.read_bytes() if p.is_file() and not p.is_symlink() else None for p in path.rglob("*")}


def manifest_digest(engine):
    return engine.json("image", "inspect", NAME)["images"][0]["manifest_digest"]


# --- readers -------------------------------------------------------------------------


@pytest.mark.parametrize("kind, name", [("oci", ":v1.2"), ("oci-archive", ":v1.2"), ("docker-archive", ":localhost:5000/x/y:tag"), ("dir", "")])
def test_skopeo_reads_it(engine, out, kind, name):
    """By the same words; the digests are what they were where the form keeps them; save writes what push does."""
    place = f"{kind}:{out}/pushed{name}"
    assert push(engine, place).check().out == f"Pushed image: {place}\n"
    wanted = manifest_digest(engine)
    if kind != "docker-archive":
        assert digest(proc.run(*SKOPEO, "inspect", "--raw", place).check().out.encode()) == wanted
    proc.run(*SKOPEO, "copy", "--quiet", place, f"oci:{out}/copy:x", timeout=60).check()
    config = json.loads(proc.run(*SKOPEO, "inspect", "--config", f"oci:{out}/copy:x").check().out)
    assert config["rootfs"]["diff_ids"] == [digest(BASE)]
    engine("image", "save", "--quiet", "-o", f"{kind}:{out}/saved{name}", NAME).check()
    pushed, saved = out / "pushed", out / "saved"
    assert files(pushed) == files(saved) if pushed.is_dir() else pushed.read_bytes() == saved.read_bytes()


@pytest.mark.needs("umoci")
def test_umoci_unpacks_it(engine, out):
    """The files are those of extract."""
    push(engine, f"oci:{out}/l:v1").check()
    engine("image", "extract", NAME, out / "ours").check()
    proc.run("umoci", "unpack", "--image", f"{out}/l:v1", out / "bundle", timeout=60).check()
    assert trees.differences(trees.describe(out / "ours"), trees.describe(out / "bundle/rootfs")) == []


@pytest.mark.needs("podman")
def test_podman_takes_it(podman, engine, out):  # noqa: F811
    """podman load names it as it was called there, podman pull takes a layout and a directory of skopeo's."""
    places = {"docker-archive": ":web:1", "oci": ":web", "dir": ""}
    for kind, name in places.items():
        push(engine, "--quiet", f"{kind}:{out}/{kind}{name}").check()
    try:
        assert "docker.io/library/web:1" in podman("load", "-i", out / "docker-archive").check().out
        loaded = engine.json("image", "inspect", NAME)["images"][0]["id"].split(":")[1]
        for kind in ("oci", "dir"):
            assert podman("pull", "--quiet", f"{kind}:{out}/{kind}{places[kind]}").check().out.strip() == loaded
    finally:
        podman("rmi", "-f", loaded)


# --- layouts that are there ----------------------------------------------------------


def test_a_layout_gets_more(engine, out):
    """What others have put there stays, byte for byte; a name goes over; what is there is not written again."""
    place = out / "l"
    theirs = Layout(place)
    entries = [{**theirs.image(layer(entry("x", name.encode()))), "annotations": {REF: name}} for name in ("old", "mine")]
    foreign = {"mediaType": "their/own", "digest": "sha256:" + "1" * 64, "size": 12345678901, "data": "eA==", "annotations": {"k": "v"}}
    (place / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [*entries, foreign], "annotations": {"a": "b"}}))
    (place / "index.json").chmod(0o640)
    os.chown(place / "index.json", 7, 8)
    before = files(place)
    told = engine.json("image", "push", NAME, f"oci:{place}:mine")
    assert told["manifest_digest"] == manifest_digest(engine) and told["sent_bytes"] > 0
    index = json.loads((place / "index.json").read_text())
    assert index["annotations"] == {"a": "b"} and index["manifests"][:2] == [entries[0], foreign]
    assert names(place)["mine"] == manifest_digest(engine) and len(index["manifests"]) == 3
    info = (place / "index.json").stat()
    assert (info.st_mode & 0o777, info.st_uid, info.st_gid) == (0o640, 7, 8)
    after = files(place)
    assert {k: v for k, v in after.items() if k in before and k.name != "index.json"} == {k: v for k, v in before.items() if k.name != "index.json"}
    inodes = {p: p.stat().st_ino for p in place.rglob("blobs/sha256/*")}
    # A blob of the right size that is wrong is written anew, the others are left alone.
    [wrong] = [p for p, n in inodes.items() if p.name == manifest_digest(engine)[7:]]
    wrong.write_bytes(b"x" * wrong.stat().st_size)
    assert engine.json("image", "push", NAME, f"oci:{place}:more")["sent_bytes"] == wrong.stat().st_size
    assert [p for p, n in inodes.items() if p.stat().st_ino != n] == [wrong]
    assert set(names(place)) == {"old", "mine", "more", None}
    assert digest(proc.run(*SKOPEO, "inspect", "--raw", f"oci:{place}:more").check().out.encode()) == manifest_digest(engine)


@pytest.mark.parametrize("there", ["nothing", "empty", "layout"])
def test_many_writers_of_one_layout(engine, out, there):
    """None loses what another has written, whatever was there at first."""
    place = out / "l"
    if there == "empty":
        place.mkdir()
    if there == "layout":
        push(engine, f"oci:{place}:first").check()
    with contextlib.ExitStack() as stack:
        writers = [stack.enter_context(engine.background("image", "push", NAME, f"oci:{place}:n{i}")) for i in range(5)]
        for writer in writers:
            writer.wait().check()
    assert {f"n{i}" for i in range(5)} <= set(names(place))
    assert sorted(os.listdir(place)) == ["blobs", "index.json", "oci-layout"]


def hostile(kind, place, elsewhere):
    """A layout that would have us write or read somewhere else, or that is none."""
    Layout(place).index()
    index, blobs = place / "index.json", place / "blobs/sha256"
    if kind in ("index is a link", "mark is a link"):
        file = index if kind.startswith("index") else place / "oci-layout"
        os.rename(file, elsewhere / "theirs")
        file.symlink_to(elsewhere / "theirs")
    elif kind == "blobs is a link":
        blobs.rmdir()
        (place / "blobs").rmdir()
        (elsewhere / "sha256").mkdir()
        (place / "blobs").symlink_to(elsewhere)
    elif kind == "sha256 is a link":
        blobs.rmdir()
        blobs.symlink_to(elsewhere)
    elif kind == "index is a pipe":
        index.unlink()
        os.mkfifo(index)
    elif kind == "another version":
        (place / "oci-layout").write_text('{"imageLayoutVersion":"2.0.0"}')
    else:
        index.write_text({"index is cut": '{"schemaVersion":2,"manifests":[', "index is a list": "[]", "no list": '{"manifests":{}}', "deep": '{"manifests":[' + "[" * 100_000}[kind])


@pytest.mark.parametrize("kind", ["index is a link", "mark is a link", "blobs is a link", "sha256 is a link", "index is a pipe", "another version", "index is cut", "index is a list", "no list", "deep"])
def test_hostile_layouts(engine, out, kind):
    """Refused in words; the layout stays as it was, and nothing is written elsewhere."""
    place, elsewhere = out / "l", out / "elsewhere"
    elsewhere.mkdir()
    hostile(kind, place, elsewhere)
    before = files(out)
    push(engine, f"oci:{place}:x").fails(str(place), rc=1)
    assert files(out) == before


def test_blobs_that_are_links(engine, out):
    """A link in the place of a blob is neither followed nor taken for it."""
    place = out / "l"
    push(engine, f"oci:{place}:a").check()
    blob = place / "blobs/sha256" / manifest_digest(engine)[7:]
    good = blob.read_bytes()
    os.rename(blob, out / "theirs")
    blob.symlink_to(out / "theirs")
    before = files(out)
    push(engine, f"oci:{place}:b").fails(str(place), "not a regular file", rc=1)
    assert files(out) == before and (out / "theirs").read_bytes() == good


# --- what must not happen ------------------------------------------------------------


def test_wrong_places(engine, out):
    """One sentence each, and nothing is written."""
    (out / "full").mkdir()
    (out / "full/theirs").write_text("x")
    before = files(out)
    push(engine, f"oci:{out}/full:x").fails("not empty", "no OCI layout", "'oci-layout'", rc=1)
    push(engine, f"dir:{out}/full").fails("not empty", "name a new or an empty one", "oci:DIR:NAME", rc=1)
    engine("image", "save", "-o", f"{out}/full/", NAME).fails("not empty", "name a new or an empty directory", rc=1)
    for kind in ("oci", "dir", "oci-archive", "docker-archive"):
        push(engine, f"{kind}:{out}/no/such/x").fails("no such file", rc=1)
    push(engine, f"oci:{out}/full/theirs/x:y").fails("not a directory", rc=1)
    push(engine, f"oci-archive:{out}:x").fails("is a directory", rc=125)
    push(engine, f"dir:{out}/d:name").fails("'name'", "has no names", rc=125)
    push(engine, f"oci:{out}/d:-bad").fails("'-bad'", rc=125)
    push(engine, f"docker-archive:{out}/d:Bad").fails("Bad", rc=125)
    push(engine, "oci:").fails("names no path", rc=125)
    push(engine, "docker-daemon:x:1").fails("docker load", rc=125)
    for words in (("image", "pull"), ("run",), ("image", "load")):
        engine(*words, "containers-storage:x:1").fails("another program's store", "podman save IMAGE | cooper image load", rc=125)
    push(engine, "--digestfile", out / "digest", f"docker-archive:{out}/d").fails("--digestfile", rc=125)
    engine("image", "push", "nosuch", f"oci:{out}/d:x").fails("'nosuch'", "not in the store", rc=1)
    engine("image", "save", "-o", f"oci:{out}/d:x", NAME, "two").fails("'two'", rc=1)
    for words in (("image", "pull"), ("run",), ("image", "load")):
        engine(*words, "oci:no:x", cwd=out).fails("'no'", "no such file", rc=125 if words == ("run",) else 1)
    engine("image", "pull", "oci-archive:no.tar").fails("'no.tar'", "no such file", rc=1)
    engine("image", "inspect", f"oci:{out}/full:x").fails("cooper image pull oci:", rc=125)
    assert files(out) == before
    push(engine, "--digestfile", out / "digest", f"oci:{out}/d:x").check()
    assert (out / "digest").read_text().strip() == manifest_digest(engine)
    engine("image", "load", "--name", "two", f"oci:{out}/d:x").check()


def test_a_full_disk_and_a_read_only_one(engine, new_engine, workdir, out):
    """A layout keeps what it had and nothing of ours; the error says which disk."""
    source = Layout(workdir / "big")
    source.index(source.image(layer(entry("data", os.urandom(1_000_000)))), name="big:1")
    engine("image", "load", source.path).check()
    push(engine, f"oci:{out}/l:a").check()
    before = files(out)

    def small_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))

    for place in ("oci:{}/l:b", "oci:{}/new:b", "dir:{}/new", "oci-archive:{}/new:b", "docker-archive:{}/new:b"):
        engine("image", "push", "big:1", place.format(out), preexec=small_files).fails("save to", "EFBIG", rc=1)
        assert files(out) == before
    script = f"mount --bind {out} {out} && mount -o remount,bind,ro {out} && exec " + " ".join(engine.argv("image", "push", NAME))
    for place in ("oci:{}/l:b", "oci:{}/new:b", "dir:{}/new", "oci-archive:{}/new:b"):
        proc.run("unshare", "-m", "sh", "-c", f"{script} {place.format(out)}", env=engine.environ).fails("read-only", rc=1)
    assert files(out) == before


def test_signals(engine, out):
    """Who waits for another writer is ended by a signal at once, and has changed nothing."""
    place = out / "l"
    push(engine, f"oci:{place}:a").check()
    before = files(out)
    lock = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with engine.background("image", "push", NAME, f"oci:{place}:b") as waiting:
            proc.until(lambda: str(place) in open_files(waiting.pid), 5, 0.01, "the layout is open")
            waiting.signal(signal.SIGTERM)
            waiting.wait().check(128 + signal.SIGTERM)
    finally:
        os.close(lock)
    assert files(out) == before and os.listdir(engine.root / "images/tmp") == []


def open_files(pid):
    found = []
    for link in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            found.append(os.readlink(link))
    return found


# --- run ------------------------------------------------------------------------------


def test_run_from_places(new_engine, out, unique):  # noqa: F811
    """One image of a place is loaded and run; of several one must be named."""
    engine = new_engine()
    for name in ("a", "b"):
        engine("image", "push", "busybox", f"oci:{out}/l:{name}").check()
    engine("image", "save", "-o", f"dir:{out}/d", "busybox").check()
    other = new_engine(load=False)
    assert other("run", "--rm", "--quiet", f"oci:{out}/l:a", "echo", "hi").check().out == "hi\n"
    other("image", "ls", "--noheading").check()
    assert "localhost/a:latest" in other.json("image", "ls")["images"][0]["names"]
    assert other("run", "--rm", "--quiet", f"dir:{out}/d", "echo", "dir").check().out == "dir\n"
    with other.running(unique("r"), image=f"oci:{out}/l:b") as name:
        assert other("ps", "--filter", f"name={name}", "--format", "{{.Image}}").check().out == "localhost/b:latest\n"
    two = Layout.at(out / "l")
    image = two.image(layer(entry("x")))
    index = json.loads((two.path / "index.json").read_text())
    index["manifests"].append({**image, "annotations": {REF: "c"}})
    (two.path / "index.json").write_text(json.dumps(index))
    other("run", "--rm", f"oci:{two.path}", "true").fails("several images", "'localhost/c:latest'", "@0", rc=125)
    other("run", "--rm", f"oci:{two.path}:none", "true").fails("has no image 'none'", rc=125)
    other("run", "--rm", f"oci:{out}/nothing:x", "true").fails("no such file", rc=125)


def test_words_in_the_wrong_place_are_answered(engine, out):
    """A path without a kind, the image last, a kind said twice: in words that help, and nothing is written."""
    push(engine, f"{out}/x").fails("is a path", f"oci:{out}/x", rc=125)
    engine("image", "push", "registry.example/app:1", NAME).fails("not in the store", f"cooper image push {NAME} registry.example/app:1", rc=1)
    engine("image", "save", "--format", "oci-archive", "-o", f"oci:{out}/x", NAME).fails("contradict each other", rc=125)
    assert not list(out.iterdir())
    engine("image", "save", "--format", "oci-dir", "-o", f"oci:{out}/x:v1", NAME).check()
    assert set(names(out / "x")) == {"v1"}
    engine("image", "save", "-o", f"{out}/x", NAME).fails("not empty", f"oci:{out}/x:NAME", rc=1)
    for verb in (("image", "ls"), ("image", "inspect"), ("ps",)):
        assert engine(*verb, "--help").check().out.count("{{json .Field}}") == 1, verb
