"""cooper image verify, diff, gc with its limits, and ls of many: damage done by hand is named, path by path, and nothing else is."""

import contextlib
import hashlib
import json
import os
import pathlib
import signal
import threading
import time

import pytest

from lib import proc
from lib.cooper import busybox_layout, engine_dir, new_engine  # noqa: F401
from lib.layouts import Layout, directory, entry, hardlink, layer, symlink

pytestmark = pytest.mark.needs("root", "cooper", "isolation")
BASE = layer(
    directory("etc"),
    entry("etc/conf", b"value", uid=7, gid=8, mode=0o640, mtime=1_000_000_000.25),
    entry("etc/gone", b"x"),
    directory("opt"),
    entry("opt/old", b"x"),
    entry("bin/tool", b"T" * 70000, mode=0o4755),
    hardlink("bin/alias", "bin/tool"),
    symlink("link", "etc/conf"),
    entry("capable", b"c", pax_headers={"SCHILY.xattr.user.note": "text", "SCHILY.xattr.trusted.overlay.opaque": "y"}),
)
TOP = layer(
    directory("etc", mode=0o700),
    entry("etc/.wh.gone"),
    directory("opt"),
    entry("opt/.wh..wh..opq"),
    entry("opt/new", b"new"),
    entry("etc2/implied/file", b"in directories nobody lists"),
    entry("null", type=b"3", devmajor=1, devminor=3, mode=0o666),
    entry("fifo", type=b"6"),
)
ONE, TWO = "localhost/one:1", "localhost/two:2"
DAMAGED = 2


@pytest.fixture
def engine(new_engine, workdir):  # noqa: F811
    """An engine that holds two images whose first layer is the same blob."""
    made = Layout(workdir / "layout")
    named = {ONE: made.image(BASE, compress="gzip"), TWO: made.image(BASE, TOP, compress="gzip")}
    entries = [{**d, "annotations": {"org.opencontainers.image.ref.name": name}} for name, d in named.items()]
    (made.path / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": entries}))
    engine = new_engine(load=False)
    engine("image", "load", made.path).check()
    engine.layout = made.path
    return engine


def image(engine, name):
    return next(one for one in engine.json("image", "ls")["images"] if any(n in (name, f"localhost/{name}") for n in one["names"]))


def tree_of(engine, name):
    """Root file system of the unpacked tree: the one that has what the image's layers bring last."""
    marker = {ONE: "etc/gone", TWO: "opt/new"}[name]
    return next(t / "rootfs" for t in (engine.root / "images/trees").iterdir() if (t / "rootfs" / marker).exists())


def blob(engine, name):
    return engine.root / "images/blobs" / name.replace(":", "/")


def verify(engine, *args, rc=DAMAGED):
    """The records of --format json by name, and the lines for people; both say the same by their exit status."""
    result = engine("image", "verify", *args, "--format", "json", timeout=60)
    assert result.rc == rc, result.err
    found = json.loads(result.out)
    assert found["good"] == (rc == 0)
    return {tuple(one["names"]): one for one in found["images"]}


def findings(record):
    """{path: 'missing', 'extra' or the aspects that changed}."""
    return {p["path"]: p["finding"] if p["finding"] != "changed" else sorted(a["aspect"] for a in p["aspects"]) for p in record["tree"]["paths"]}


def tmp_files(engine):
    return os.listdir(engine.root / "images/tmp")


def test_what_was_loaded_is_good(engine):
    """Whiteouts, links, devices, attributes, fractions of seconds: the trees are what the layers say."""
    found = verify(engine, rc=0)
    assert {r["tree"]["state"] for r in found.values()} == {"good"} and len(found) == 2
    text = engine("image", "verify").check().out
    assert text.count(": good, ") == 2 and engine("image", "verify", "-q").check().out == ""
    engine("image", "verify", "nosuch").fails("'nosuch'", rc=1)
    engine("image", "verify", "--lines", "few").fails("--lines", rc=125)
    assert tmp_files(engine) == []


def test_each_damage_of_a_tree_is_named(engine):
    """Done by hand, without a trace in sizes and times where it can be; the other image stays good."""
    root = tree_of(engine, TWO)
    with open(root / "etc/conf", "r+b") as file:
        before = os.fstat(file.fileno())
        file.write(b"VALUE")
    os.utime(root / "etc/conf", ns=(before.st_atime_ns, before.st_mtime_ns))
    os.chmod(root / "opt", 0o777)
    os.chown(root / "opt/new", 1, 2)
    os.utime(root / "fifo", (1, 1))
    os.setxattr(root / "capable", "user.note", b"other")
    os.setxattr(root / "capable", "trusted.overlay.redirect", b"/x")
    (root / "link").unlink()
    (root / "link").symlink_to("/etc/shadow")
    os.utime(root / "link", (1_000_000_000, 1_000_000_000), follow_symlinks=False)
    (root / "bin/alias").unlink()
    (root / "bin/alias").write_bytes((root / "bin/tool").read_bytes())
    (root / "null").unlink()
    os.mknod(root / "null", 0o20666, os.makedev(1, 5))
    os.chmod(root / "null", 0o666)
    os.utime(root / "null", (1_000_000_000, 1_000_000_000))
    (root / "etc/extra").mkdir()
    (root / "etc/extra/file").write_text("x")
    (root / "etc2/implied/file").unlink()
    (root / "etc2/implied").rmdir()
    found = verify(engine)
    assert findings(found[(ONE,)]) == {} and found[(ONE,)]["good"]
    differs = findings(found[(TWO,)])
    expected = {
        "/bin/alias": ["links", "mode", "modified"],
        "/bin/tool": ["linked_to", "links"],
        "/capable": ["attribute", "attribute"],
        "/etc/conf": ["content"],
        "/etc/extra": "extra",
        "/etc/extra/file": "extra",
        "/etc2/implied": "missing",
        "/etc2/implied/file": "missing",
        "/fifo": ["modified"],
        "/link": ["target"],
        "/null": ["device"],
        "/opt": ["mode"],
        "/opt/new": ["owner"],
    }
    expected |= {path: ["modified"] for path in ("/", "/bin", "/etc", "/etc2")}
    assert differs == expected
    few = engine("image", "verify", "--lines", "3", TWO)
    assert few.rc == DAMAGED and "more paths" in few.out and few.out.count("\n  /") == 3
    all_lines = engine("image", "verify", "--lines", "0", TWO).out
    assert all(f"\n  {path}: " in all_lines for path in expected) and "--repair localhost/two:2" in all_lines


def test_damaged_and_missing_blobs(engine):
    """Each by its digest; the tree that stands on them is not called good."""
    first, second = image(engine, ONE), image(engine, TWO)
    top = blob(engine, second["layers"][1])
    data = bytearray(top.read_bytes())
    data[len(data) // 2] ^= 1
    os.chmod(top, 0o644)
    top.write_bytes(data)
    found = verify(engine)
    assert found[(ONE,)]["good"]
    states = {b["digest"]: b["state"] for b in found[(TWO,)]["blobs"]}
    assert states[second["layers"][1]] == "corrupt" and states[first["layers"][0]] == "good"
    assert found[(TWO,)]["tree"]["state"] == "not-compared"
    blob(engine, first["id"]).unlink()
    blob(engine, first["layers"][0]).unlink()
    record = verify(engine, ONE)[(ONE,)]
    assert [b["state"] for b in record["blobs"]] == ["good", "missing", "missing"]
    text = engine("image", "verify", ONE).out
    assert f"layer 1 of 1 ({first['layers'][0]}) is missing" in text and "pull or load the image again" in text


def test_repair(engine):
    """A damaged tree goes when nobody uses it, a damaged blob always; both come back, and only then all is good."""
    root = tree_of(engine, ONE)
    (root / "etc/conf").write_text("damage")
    uuid = engine("pod", "prepare", ONE, "--", "x").check().out.strip()
    used = engine("image", "verify", "--repair", ONE)
    assert used.rc == DAMAGED and f"used by 1 container ({uuid})" in used.out and root.exists()
    engine("pod", "rm", uuid).check()
    repaired = engine("image", "verify", "--repair", ONE).check()
    assert "repaired" in repaired.out and not root.exists()
    assert verify(engine, ONE, rc=0)[(ONE,)]["tree"]["state"] == "not-unpacked"
    uuid = engine("pod", "prepare", ONE, "--", "x").check().out.strip()
    assert verify(engine, ONE, rc=0)[(ONE,)]["tree"]["state"] == "good"
    engine("pod", "rm", uuid).check()

    shared = blob(engine, image(engine, ONE)["layers"][0])
    os.chmod(shared, 0o644)
    shared.write_bytes(b"garbage")
    record = verify(engine, "--repair")
    assert all(b["taken_away"] for r in record.values() for b in r["blobs"] if b["state"] == "corrupt") and not shared.exists()
    verify(engine)
    engine("image", "load", engine.layout).check()
    verify(engine, rc=0)
    assert tmp_files(engine) == []


@pytest.mark.needs("strace")
def test_failing_disk(engine):
    """A blob whose reading fails once is read again; one that cannot be read at all is told, and stays where it is: nobody knows that it is wrong."""
    one = image(engine, TWO)
    for digest in (one["manifest_digest"], one["id"], one["layers"][1]):
        for when, rc in (("1", 0), ("1+", DAMAGED)):
            fault = ("strace", "-f", "-o", "/dev/null", "-P", blob(engine, digest), "-e", "trace=read", "-e", f"inject=read:error=EIO:when={when}")
            done = proc.run(*fault, *engine.argv("image", "verify", "--repair", TWO), env=engine.environ, timeout=60)
            assert done.rc == rc and blob(engine, digest).exists(), (digest, when, done.out, done.err)
            if rc:
                assert f"({digest})" in done.out and "EIO" in done.out and "is left as it is" in done.out and "--repair" not in done.out
    assert {r["tree"]["state"] for r in verify(engine, rc=0).values()} == {"good"}


def test_images_come_and_go_meanwhile(engine):
    """What is removed while it is read is not damaged: nothing but 'good' and 'removed' is ever said."""
    stop = threading.Event()

    def churn():
        while not stop.is_set():
            engine("image", "rm", TWO)
            engine("image", "load", engine.layout)

    other = threading.Thread(target=churn)
    other.start()
    try:
        for _ in range(12):
            result = engine("image", "verify", "--format", "json")
            assert result.rc == 0, result.out + result.err
    finally:
        stop.set()
        other.join()


def test_sigint_leaves_nothing(engine, workdir):
    """The process ends by the signal, and the store is as it was."""
    big = Layout(workdir / "big")
    big.index(big.image(layer(entry("data", os.urandom(1 << 20) * 100)), compress="zstd"), name="big:1")
    engine("image", "load", big.path).check()
    data = image(engine, "big:1")["layers"][0].split(":")[1]

    def files():
        return sorted(str(p) for p in (engine.root / "images").rglob("*") if "/rootfs/" not in str(p))

    def reads_the_layer(pid):
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            return any(data in os.readlink(link) for link in pathlib.Path(f"/proc/{pid}/fd").iterdir())
        return False

    before = files()
    for verb in (("verify", "big:1"), ("diff", ONE, "big:1")):
        with engine.background("image", *verb) as running:
            proc.until(lambda: reads_the_layer(running.pid), 10, 0.005, "the layer is open")
            running.signal(signal.SIGINT)
            assert running.wait(20).rc == 128 + signal.SIGINT
    assert files() == before


def test_diff(engine):
    """What the second makes different, and nothing else."""
    lines = engine("image", "diff", ONE, TWO).check().out.splitlines()
    assert [line.split("  ")[0] for line in lines] == ["C /etc", "D /etc/gone", "A /etc2", "A /etc2/implied", "A /etc2/implied/file", "A /fifo", "A /null", "A /opt/new", "D /opt/old"]
    assert lines[0] == "C /etc  mode is 0700, not 0755"
    back = engine.json("image", "diff", TWO, ONE)["changes"]
    assert {(c["path"], c["change"]) for c in back} >= {("/etc/gone", "added"), ("/opt/new", "removed")}
    assert engine("image", "diff", ONE, ONE).check().out == ""
    engine("image", "diff", ONE, "nosuch").fails("'nosuch'", rc=1)
    blob(engine, image(engine, TWO)["layers"][1]).unlink()
    engine("image", "diff", ONE, TWO).fails("is missing", rc=1)


def test_gc_of_named_images(engine):
    """Only with --all, never what a container uses; --dry-run tells the same and does nothing."""
    uuid = engine("pod", "prepare", ONE, "--", "x").check().out.strip()
    assert engine.json("image", "gc", "--older", "0s")["deleted"] == []
    assert engine.json("image", "gc", "--all", "--older", "1h")["deleted"] == []
    assert engine.json("image", "gc", "--all", "--keep", "1")["deleted"] == []
    would = engine.json("image", "gc", "--all", "--dry-run")
    assert would["untagged"] == [TWO] and would["dry_run"] and len(engine.json("image", "ls")["images"]) == 2
    assert f"Would untag: {TWO}" in engine("image", "gc", "-a", "--dry-run").check().out
    done = engine.json("image", "gc", "--all")
    assert (done["untagged"], done["deleted"], done["freed_bytes"]) == (would["untagged"], would["deleted"], would["freed_bytes"])
    assert [i["names"] for i in engine.json("image", "ls")["images"]] == [[ONE]]
    verify(engine, rc=0)
    engine("pod", "rm", uuid).check()
    for words in (("--older", "soon"), ("--keep", "-1")):
        engine("image", "gc", *words).fails(words[0], rc=125)


def fabricate(engine, count):
    """Records as the store writes them, for images without bytes."""
    for i in range(count):
        parts = [hashlib.sha256(f"{kind} {i}".encode()).hexdigest() for kind in ("config", "manifest", "chain", "layer")]
        name = f"quay.io/many/app:{i}"
        record = {"version": 1, "id": f"sha256:{parts[0]}", "manifest": f"sha256:{parts[1]}", "chain": parts[2], "created": "2024-05-01T12:00:00Z", "size_bytes": i, "loaded_unix_ms": 1_700_000_000_000 + i, "layers": [f"sha256:{parts[3]}"], "names": [name]}
        (engine.root / f"images/refs/images/sha256:{parts[0]}").write_text(json.dumps(record))
        (engine.root / f"images/refs/names/{name.replace('/', '+')}").write_text(json.dumps({"version": 1, "name": name, "image": f"sha256:{parts[0]}"}))


def test_ls_of_many_is_never_old(engine):
    """The copy of the records that makes it fast is used, and never after a change; gc does not look at it."""
    fabricate(engine, 400)
    listing = engine.root / "images/refs/listing"
    assert len(engine("image", "ls", "-q").check().lines) == 402 and not listing.exists()
    time.sleep(2.1)
    slow = engine("image", "ls").check().out
    assert listing.exists() and engine("image", "ls").check().out == slow
    record = next((engine.root / "images/refs/images").iterdir())
    whole = record.read_bytes()
    record.write_bytes(b"")  # which the directory does not show: the copy is what is read
    assert engine("image", "ls").check().out == slow
    record.write_bytes(whole)
    for change in (("tag", ONE, "new:1"), ("rm", "new:1"), ("rm", "quay.io/many/app:7")):
        engine("image", *change).check()
        listed = engine("image", "ls", "--sort", "name").check().out
        assert ("localhost/new " in listed) == (change[0] == "tag")
    assert len(listed.splitlines()) == 402 and engine("image", "ls", "-q", "quay.io/many/app:7").check().out == ""
    assert len(engine("image", "ls", "-q", "quay.io/many/app:1?").check().lines) == 10
    assert len(engine("image", "ls", "-q", "--filter", "reference=one", "--filter", "dangling=false").check().lines) == 1
    engine("image", "ls", "--filter", "colour=red").fails("colour=red", rc=125)
    engine("image", "ls", "--sort", "colour").fails("colour", rc=125)
    sizes = engine.json("image", "ls", "--size", "one")["sizes"]
    assert sizes[0]["shared_bytes"] > 0 and sizes[0]["unique_bytes"] == 0
    assert len(engine.json("image", "gc", "--all", "--older", "1h")["deleted"]) == 399
