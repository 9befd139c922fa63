"""The image verbs for a user without privileges: a store of the user's own, owners by subordinate ids, and what others are told."""

import json
import os
import pathlib
import stat
import subprocess
import tarfile

import pytest

from lib import acis, isolate, proc, users
from lib.cooper import busybox_layout, empty_engine, engine_dir, new_engine  # noqa: F401
from lib.layouts import Layout, directory, entry, hardlink, layer, symlink
from lib.pgp import Keys
from lib.registries import DebianRegistry
from lib.users import NAME, RANGE, UID, UserCooper

pytestmark = pytest.mark.needs("root", "cooper", "isolation", "userns", "uidmap")

OTHER = UID + 1  # has no subordinate ids
OWNERS = {"root": 0, "shadow": 42, "web": 1000, "nobody": 65534}


@pytest.fixture
def user(workdir, accounts):
    """The engine of that user."""
    return UserCooper(workdir / "home")


@pytest.fixture
def alone(workdir, accounts):
    """The engine of a user without any."""
    return UserCooper(workdir / "alone", OTHER)


@pytest.fixture
def owned(workdir):
    """A layout of an image whose files belong to several."""
    made = Layout(workdir / "owned")
    files = [entry(f"files/{name}", name.encode(), uid=uid, gid=uid, mode=0o640) for name, uid in OWNERS.items()]
    files += [directory("files/dir", 0o700, uid=42, gid=42), entry("files/dir/inside", b"i", uid=42, gid=0, mode=0o600)]
    return made.index(made.image(layer(directory("files"), *files)), name="owned:1")


def outside(uid):
    """The id on this machine."""
    return UID if uid == 0 else RANGE + uid - 1


def tree_of(engine):
    """The root file system of the one tree of a store."""
    (tree,) = (engine.root / "images/trees").iterdir()
    return tree / "rootfs"


def everything(top):
    """Every path below a directory."""
    return [os.path.join(folder, name) for folder, names, files in os.walk(top) for name in (*names, *files)]


def check_nothing_left(engine):
    """No blob, tree or work in progress is in the store."""
    images = engine.root / "images"
    assert [p for part in ("blobs", "trees", "tmp", "partial") for p in everything(images / part) if not os.path.isdir(p)] == []
    assert os.listdir(images / "trees") == []


def test_load_list_and_remove(user, owned):
    """Owners are the user and the subordinate ids, the kernel says; nothing lies outside the home, and nothing stays."""
    before = set(everything("/run"))
    assert user("image", "load", owned.path).check().out == "Loaded image: localhost/owned:1\n"
    tree = tree_of(user)
    for name, uid in OWNERS.items():
        info = (tree / "files" / name).stat()
        assert (info.st_uid, info.st_gid) == (outside(uid), outside(uid)), name
        assert stat.S_IMODE(info.st_mode) == 0o640
    info = (tree / "files/dir/inside").stat()
    assert (info.st_uid, info.st_gid) == (RANGE + 41, UID)
    for path in everything(user.root / "images"):
        if not path.startswith(str(tree)):
            assert os.lstat(path).st_uid == UID, path
    assert [i["names"] for i in user.json("image", "ls")["images"]] == [["localhost/owned:1"]]
    assert json.loads(user("image", "inspect", "owned:1").check().out)["images"][0]["names"] == ["localhost/owned:1"]
    for verb in ("history", "tree", "cat-manifest", "exists"):
        user("image", verb, "owned:1").check()
    assert user.json("image", "verify", "owned:1")["images"][0]["good"] is True
    user("image", "df").check()
    user("image", "tag", "owned:1", "other:2").check()
    user("image", "untag", "other:2", "other:2").check()
    assert user("image", "load", owned.path).check().out == "Loaded image: localhost/owned:1\n"
    user("image", "rm", "owned:1").check()
    check_nothing_left(user)
    assert not os.path.exists(user.root / "pods"), "images need none"
    assert set(everything("/run")) == before
    user("image", "gc").check()


def test_verify_sees_another_owner(user, owned):
    """A file whose owner is no longer what the layer says is found, and mended."""
    user("image", "load", owned.path).check()
    os.chown(tree_of(user) / "files/shadow", RANGE + 50, RANGE + 41)
    result = user("image", "verify", "owned:1")
    assert result.rc == 2 and "files/shadow" in result.out + result.err
    user("image", "verify", "--repair", "owned:1").check()
    user("image", "verify", "owned:1").check()


def test_blobs_come_out_as_they_came(user, owned, workdir):
    """Saved as the user, every digest is the one that was loaded; skopeo reads it."""
    user("image", "load", owned.path).check()
    out = user.home / "out.tar"
    user("image", "save", "--transport", "oci-archive", "-o", out, "owned:1").check()
    assert out.stat().st_uid == UID
    listed = json.loads(proc.run("skopeo", "inspect", f"oci-archive:{out}").check().out)
    manifest = json.loads((owned.path / "index.json").read_text())["manifests"][0]
    assert listed["Digest"] == manifest["digest"]
    assert user("image", "rm", "owned:1").rc == 0
    user("image", "load", out).check()
    user("image", "verify").check()


def test_extract_and_export(user, owned):
    """Files of an image unpacked by the user have its owners, through the map; as an ACI they have its numbers."""
    user("image", "load", owned.path).check()
    for verb, below in (("extract", "files"), ("render", "rootfs/files")):
        target = user.home / verb
        for _ in range(2):  # the second replaces the first
            user("image", verb, "--overwrite", "owned:1", target).check()
            assert (target / below / "shadow").stat().st_uid == RANGE + 41
            assert (target / below / "root").stat().st_uid == UID
    assert sorted(p for p in os.listdir(user.home) if p.startswith(".") and p not in (".local", ".config")) == []
    aci = user.home / "out.aci"
    user("image", "export", "owned:1", aci).check()
    with tarfile.open(aci) as tar:
        assert {i.name: (i.uid, i.gid) for i in tar if i.isfile() and i.name.startswith("rootfs/files/")} == {
            **{f"rootfs/files/{name}": (uid, uid) for name, uid in OWNERS.items()},
            "rootfs/files/dir/inside": (42, 0),
        }
    other = user.home / "mine"
    other.mkdir()
    (other / "kept").write_text("k")
    os.chown(other, UID, UID)
    assert "was not" in user("image", "extract", "--overwrite", "owned:1", other).fails(rc=1).err
    assert (other / "kept").read_text() == "k"


def test_device_nodes_are_left_out(user, workdir):
    """Neither they nor hard links to them are there, other files are, and verify agrees."""
    made = Layout(workdir / "devices")
    device = {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 3}
    lower = layer(entry("was-a-file", b"x"), entry("stays", b"s"), directory("dev"))
    upper = layer(
        entry("dev/null", **device),
        entry("dev/sda", type=tarfile.BLKTYPE, devmajor=8),
        entry("dev/pipe", type=tarfile.FIFOTYPE),
        hardlink("dev/also-null", "dev/null"),
        hardlink("dev/again", "dev/also-null"),
        entry("was-a-file", **device),
        entry("dev/late", **device),
        entry("dev/late", b"a file after all"),
        hardlink("dev/of-late", "dev/late"),
    )
    made.index(made.image(lower, upper), name="devices:1")
    user("image", "load", made.path).check()
    tree = tree_of(user)
    assert sorted(p.name for p in (tree / "dev").iterdir()) == ["late", "of-late", "pipe"]
    assert (tree / "dev/of-late").read_text() == "a file after all" and stat.S_ISFIFO((tree / "dev/pipe").stat().st_mode)
    assert sorted(p.name for p in tree.iterdir()) == ["dev", "stays"]
    user("image", "verify", "devices:1").check()
    assert "4 device nodes are left out" in user("image", "extract", "devices:1", user.home / "x").check().err
    assert sorted(p.name for p in (user.home / "x").iterdir()) == ["dev", "stays"]


def test_attributes_of_the_machine_are_left_out(user, workdir):
    """trusted.* cannot be set in a user namespace; file capabilities and user.* can, and verify agrees."""
    made = Layout(workdir / "attributes")
    capability = bytes.fromhex("0100000200200000000000000000000000000000")
    names = {"user.word": b"w", "trusted.word": b"t", "security.capability": capability}
    info, data = entry("file", b"f")
    info.pax_headers = {f"SCHILY.xattr.{name}": value.decode("utf-8", "surrogateescape") for name, value in names.items()}
    made.index(made.image(layer((info, data))), name="attributes:1")
    user("image", "load", made.path).check()
    file = tree_of(user) / "file"
    assert sorted(os.listxattr(file)) == ["security.capability", "user.word"]
    user("image", "verify", "attributes:1").check()


def test_too_few_ids(workdir, owned):
    """Of ten ids none is for owner 42: the image is stored and comes out again, but is not unpacked."""
    with users.accounts(workdir, f"{NAME}:{RANGE}:10\n"):
        few = UserCooper(workdir / "few")
        result = few("image", "load", owned.path).check()
        assert "stored, but not unpacked" in result.err and "user 42 and group 42" in result.err and "--add-subuids" in result.err
        assert os.listdir(few.root / "images/trees") == [] and os.listdir(few.root / "images/tmp") == []
        again = few("image", "load", owned.path).check()
        assert again.err == "" and again.out == "Loaded image: localhost/owned:1\n"
        few("image", "verify").check()
        few("image", "save", "--transport", "oci-archive", "-o", few.home / "o.tar", "owned:1").check()
        few("image", "convert", "owned:1", f"{few.home}/layout/").check()
        failed = few("image", "extract", "owned:1", few.home / "x").fails("user 42", "--add-subuids", rc=1)
        assert not (few.home / "x").exists(), failed.err
        few("image", "export", "owned:1", few.home / "x.aci").fails("user 42", rc=1)
        assert not (few.home / "x.aci").exists() and os.listdir(few.root / "images/tmp") == []
        few("image", "rm", "owned:1").check()
        check_nothing_left(few)


def test_no_subordinate_ids(alone, owned, workdir):
    """One id is enough for an image whose files are all root's; of another the layers are stored."""
    made = Layout(workdir / "plain")
    made.index(made.image(layer(directory("d", 0o555), entry("d/f", b"f", mode=0o4755), symlink("l", "d"))), name="plain:1")
    assert alone("image", "load", made.path).check().err == ""
    assert stat.S_IMODE((tree_of(alone) / "d/f").stat().st_mode) == 0o4755
    assert {os.lstat(p).st_uid for p in everything(tree_of(alone))} == {OTHER}
    alone("image", "verify").check()
    alone("image", "extract", "plain:1", alone.home / "x").check()
    assert "not unpacked" in alone("image", "load", owned.path).check().err
    tar = alone.file("mine.tar", layer(entry("a", b"a", uid=OTHER, gid=OTHER)))
    alone("image", "import", tar, "mine").fails(f"user {OTHER}", rc=1)
    tar = alone.file("roots.tar", layer(entry("a", b"a")))
    alone("image", "import", tar, "roots").check()
    alone("image", "rm", "--all").check()
    check_nothing_left(alone)


def test_build_and_import(user):
    """What is the user's becomes root's; what a subordinate id owns gets its number."""
    source = user.home / "src"
    source.mkdir()
    (source / "mine").write_text("m")
    (source / "theirs").write_text("t")
    os.chown(source, UID, UID)
    os.chown(source / "mine", UID, UID)
    os.chown(source / "theirs", RANGE + 41, RANGE + 41)
    os.chmod(source / "theirs", 0o600)
    user("image", "build-from-dir", source, "built").check()
    built = tree_of(user)
    assert (built / "mine").stat().st_uid == UID and (built / "theirs").stat().st_uid == RANGE + 41
    user("image", "save", "--transport", "oci-dir", "-o", user.home / "dir", "built").check()
    stored = Layout.at(user.home / "dir")
    manifest = json.loads((stored.path / "index.json").read_text())["manifests"][0]
    (last,) = json.loads(stored.file(manifest).read_text())["layers"]
    with tarfile.open(stored.file(last)) as tar:
        assert {i.name: (i.uid, i.gid) for i in tar if i.isfile()} == {"mine": (0, 0), "theirs": (42, 42)}
    user("image", "rm", "built").check()
    tar = user.file("root.tar", layer(entry("a", b"a", uid=42)))
    user("image", "import", tar, "imported").check()
    assert (tree_of(user) / "a").stat().st_uid == RANGE + 41


@pytest.mark.needs("docker-registry", "skopeo")
def test_pull_and_push(user, alone, owned, workdir):
    """A registry gives and takes as it does with root; cooper-fetch runs as nobody of the namespace."""
    with DebianRegistry(workdir / "registry") as registry:
        name = registry.push(f"oci:{owned.path}:owned:1", "team/owned:1")
        user("image", "pull", name, timeout=60).check()
        assert (tree_of(user) / "files/shadow").stat().st_uid == RANGE + 41
        user("image", "verify").check()
        other = f"{registry.host}/team/copy:1"
        user("image", "push", name, other, timeout=60).check()
        assert registry.digest("team/copy:1") == registry.digest("team/owned:1")
        assert "not unpacked" in alone("image", "pull", name, timeout=60).check().err
        before = len(registry.fetched())
        alone("image", "pull", name, timeout=60).check()
        assert [p for p in registry.fetched()[before:] if "/blobs/" in p] == [], "no layer comes twice"
        alone("image", "push", name, f"{registry.host}/team/third:1", timeout=60).check()
    assert os.listdir(user.root / "images/tmp") == []


def test_full_disk(user, workdir):
    """A disk that is full while layers are unpacked leaves no part of the image."""
    made = Layout(workdir / "large")
    made.index(made.image(layer(entry("big", b"b" * 6_000_000, uid=42))), name="large:1")
    small = user.home / "small"
    small.mkdir()
    isolate.mount("small", small, "tmpfs", 0, f"size=8m,uid={UID},gid={UID}")
    try:
        user("--root", small / "c", "image", "load", made.path).fails("is full", rc=1)
        assert [p for p in everything(small / "c/images") if not os.path.isdir(p)] == [str(small / "c/images/oci-layout")]
    finally:
        isolate.umount(small)


def test_containers_are_refused(user, busybox_layout):  # noqa: F811
    """Nothing is made for a verb that needs root, and the error says what works."""
    user("image", "load", busybox_layout).check()
    for words in (("run", "busybox", "true"), ("ps",), ("pod", "ls"), ("exec", "x", "true")):
        result = user(*words)
        assert result.rc != 0 and "containers and pods need root" in result.err and "cooper image" in result.err
    assert not (user.root / "pods").exists()


def test_stores_of_others(user, owned, empty_engine, workdir):  # noqa: F811
    """Neither root nor another user opens a store that is not theirs."""
    user("image", "load", owned.path).check()
    before = sorted(everything(user.root))
    binary = user.binary
    for verb in ("image", "ls"), ("ps",):
        proc.run(binary, "--root", user.root, "--run-root", workdir / "run", *verb).fails(f"another user ({UID})", rc=1)
    proc.run(*users.as_user(binary, "--root", user.root, "image", "gc", uid=OTHER), env=user.environ).fails("another user", rc=1)
    assert sorted(everything(user.root)) == before and not (workdir / "run").exists()
    empty_engine("image", "load", owned.path).check()
    for verb in ("ls", "gc"):
        user("--root", empty_engine.root, "image", verb).fails("belongs to root", rc=1)


def test_places(user, owned):
    """HOME and the directories of XDG say where the store is; without any that is an error."""
    base = {"PATH": user.environ["PATH"], "LC_ALL": "C"}
    data = user.home / "data"
    user("image", "load", owned.path, env={"XDG_DATA_HOME": str(data)}).check()
    assert (data / "cooper/images/oci-layout").exists()
    user("--root", user.home / "own", "image", "load", owned.path).check()
    assert (user.home / "own/images/oci-layout").exists() and not user.root.exists()
    proc.run(*user.argv("image", "ls"), env=base).fails("neither XDG_DATA_HOME nor HOME", rc=1)
    assert "owned" in proc.run(*user.argv("--root", user.home / "own", "image", "ls"), env=base).check().out
    proc.run(*user.argv("image", "ls"), env={**base, "HOME": "/root"}).fails("permission denied")


def test_settings_of_the_machine(workdir):
    """In /etc/cooper/cooper.toml the places are root's; everything else counts for users, too, and their own file instead of it."""
    upper = workdir / "upper"
    (upper / "cooper").mkdir(parents=True)
    (workdir / "work").mkdir()
    (upper / "cooper/cooper.toml").write_text('root = "/nonexistent/root"\nrun_root = "/nonexistent/run"\n[output]\nformat = "json"\n')
    engine = UserCooper(workdir / "home", OTHER)
    isolate.mount("etc", "/etc", "overlay", 0, f"lowerdir=/etc,upperdir={upper},workdir={workdir}/work")
    try:
        assert json.loads(engine("image", "ls").check().out)["images"] == []
        assert (engine.root / "images/oci-layout").exists()
        own = engine.home / ".config/cooper"
        own.mkdir(parents=True)
        (own / "cooper.toml").write_text(f'root = "{engine.home}/elsewhere"\n')
        assert engine("image", "ls").check().out.startswith("REPOSITORY")
        assert (engine.home / "elsewhere/images/oci-layout").exists()
    finally:
        isolate.umount("/etc")


def without_user_namespaces(user, *words):
    """A verb of the user, in a user namespace like the machine's own where no more of them may be made: status and errors."""
    # Two shells: only what is executed once there is a map has rights over the namespace.
    inner = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"'
    argv = ["unshare", "--user", "sh", "-c", 'read go && exec sh -c "$0" sh "$@"', inner, *user.argv(*words)]
    child = subprocess.Popen(argv, env=user.environ, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    own = os.readlink("/proc/self/ns/user")
    proc.until(lambda: os.readlink(f"/proc/{child.pid}/ns/user") != own, 10, 0.01, "the user namespace")
    for kind in ("uid", "gid"):
        pathlib.Path(f"/proc/{child.pid}/{kind}_map").write_text("0 0 4294967295")
    return child.communicate("go\n", timeout=60)[1], child.returncode


def test_without_user_namespaces(user, owned):
    """Verbs that only look do without; others say what to change, and leave nothing."""
    errors, status = without_user_namespaces(user, "image", "load", owned.path)
    assert status == 1 and "make a user namespace" in errors and "max_user_namespaces" in errors, errors
    assert not user.root.exists()
    user("image", "load", owned.path).check()
    for words in (("image", "ls"), ("image", "inspect", "owned:1"), ("image", "save", "-o", user.home / "o.tar", "owned:1"), ("image", "diff", "owned:1", "owned:1")):
        assert without_user_namespaces(user, *words) == ("", 0), words


def test_inside_a_user_namespace(user, owned):
    """Root of a namespace that somebody else has made, with all ids and with one."""
    for name, how, words in (("wide", ("--map-auto",), ""), ("narrow", (), "not unpacked")):
        argv = ["unshare", "--map-root-user", *how, user.binary, "--root", user.home / name, "--run-root", user.home / f"{name}-run", "image"]
        result = proc.run(*users.as_user(*argv, "load", owned.path), env=user.environ).check()
        assert (words in result.err) if words else result.err == "", name
        proc.run(*users.as_user(*argv, "verify"), env=user.environ).check()
        proc.run(*users.as_user(*argv, "rm", "owned:1"), env=user.environ).check()


@pytest.mark.needs("gpg")
def test_keys_of_a_user(user, alone, workdir):
    """trust add writes below XDG_CONFIG_HOME; an ACI signed by that key is taken, by gpgv in the namespace, with many ids and with one."""
    with Keys() as ring:
        alice = ring.make("Alice <alice@example.com>")
        exported = pathlib.Path(ring.export(workdir / "alice.asc", alice)).read_bytes()
        for engine in (user, alone):
            key = engine.file("alice.asc", exported)
            engine("trust", "add", "--prefix", "example.com/app", "--skip-fingerprint-review", key).check()
            assert (engine.home / ".config/cooper/trust/prefix.d/example.com/app" / alice).stat().st_uid == engine.uid
            assert [k["fingerprint"] for k in engine.json("trust", "ls")["keys"]] == [alice]
            image = engine.file("app.aci", acis.aci(acis.manifest("example.com/app"), entry("a", b"a")))
            engine("image", "fetch", image).fails(rc=1)
            ring.sign(alice, image, pathlib.Path(f"{image}.asc"))
            engine("image", "fetch", image).check()
            engine("trust", "rm", alice).check()
            assert engine.json("trust", "ls")["keys"] == []
