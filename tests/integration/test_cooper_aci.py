"""ACIs, the images of the App Container specification: loaded, put together from their dependencies, run; hostile ones refused."""

import gzip
import json
import tarfile

import pytest

from lib import proc, trees
from lib.acis import PACKERS, aci, app, below, busybox_files, image_id, manifest
from lib.cooper import busybox_layout, empty_engine as engine, engine_dir, new_engine  # noqa: F401
from lib.layouts import Layout, digest, directory, entry, hardlink, layer, symlink

pytestmark = pytest.mark.needs("root", "cooper", "isolation")
BASE = "example.com/busybox"


@pytest.fixture
def load(engine, workdir):
    """load(manifest, members...) -> the record of the image; its name is that of the manifest."""
    count = iter(range(1000))

    def do(document, *members, **options):
        path = workdir / f"{next(count)}.aci"
        path.write_bytes(aci(document, *members, **options))
        done = engine.json("image", "load", path)
        (record,) = done["images"]
        return record

    return do


@pytest.fixture
def base(load):
    """A shell, as a dependency of others."""
    return load(manifest(BASE), *busybox_files(), compress="gzip")


def depends(*names, **members):
    return {"dependencies": [n if isinstance(n, dict) else {"imageName": n} for n in names], **members}


def files(engine, workdir, name):
    """What a load gives out again: path -> record."""
    engine("image", "extract", name, workdir / "out").check()
    found = trees.describe(workdir / "out")
    engine("image", "extract", name, workdir / "out").fails()
    return found


def inspect(engine, name):
    return engine.json("image", "inspect", name)["images"][0]


def test_every_compression_is_the_same_image(engine, workdir, load):
    """The id is that of the uncompressed archive, and nothing is read twice into the store."""
    document = manifest("example.com/app", {"version": "1.0+git", "os": "linux", "arch": "amd64"}, app=app("/x"))
    plain = aci(document, entry("x", b"hello", mode=0o755))
    for packer in PACKERS:
        record = load(document, entry("x", b"hello", mode=0o755), compress=packer)
        assert record["id"] == image_id(plain)
        assert record["names"] == ["example.com/app:1.0_git"]
        engine("image", "load", stdin=PACKERS[packer](plain)).check()
    (only,) = engine.json("image", "ls")["images"]
    hexadecimal = only["id"].split(":")[1]
    for name in ("example.com/app:1.0_git", "example.com/app:1.0+git", "example.com/app", "example.com/app,arch=amd64", "example.com/app:1.0+git,os=linux", f"sha512-{hexadecimal[:12]}", hexadecimal[:12], only["id"]):
        record = inspect(engine, name)
        assert record["id"] == only["id"], name
    assert record["aci"]["name"] == "example.com/app" and record["aci"]["labels"]["version"] == "1.0+git"
    assert json.loads(engine("image", "cat-manifest", "example.com/app").check().out) == document
    assert json.loads(engine("image", "cat-manifest", "--oci", "example.com/app").check().out)["schemaVersion"] == 2
    engine("image", "inspect", "example.com/app:2").fails("not in the store")
    engine("image", "inspect", "example.com/app,arch=arm64").fails("not in the store")
    engine("image", "rm", "example.com/app:1.0_git").check()
    assert not [p for p in (engine.root / "images/blobs").rglob("*") if p.is_file()]
    assert not list((engine.root / "images/trees").iterdir())


def test_the_app_section_is_what_runs(engine, load, base, workdir):
    """Command, user, group, directory, environment, and more arguments after the image."""
    document = manifest("example.com/worker", **depends(BASE), app=app("/bin/sh", "-c", 'id; pwd; echo "$GREETING" "$0" "$@"', user="worker", group="staff", workingDirectory="/bin", environment=[{"name": "GREETING", "value": "good day"}]))
    load(document)
    out = engine("run", "--rm", "example.com/worker:1", "one", "two").check().out
    assert "uid=1234(worker) gid=50(staff)" in out and out.endswith("/bin\ngood day one two\n")
    assert "gid=77" in engine("run", "--rm", "--user", "1234:77", "example.com/worker:1").check().out
    load(manifest("example.com/owner", **depends(BASE), app=app("/bin/id", user="/data/mine", group="/data/mine")), directory("data"), entry("data/mine", uid=4321, gid=765))
    assert "uid=4321 gid=765" in engine("run", "--rm", "example.com/owner:1").check().out


def test_mount_points_and_ports(engine, load, base, workdir):
    """Mount points are empty volumes, or what the user mounts there; ports are known."""
    load(manifest("example.com/db", **depends(BASE), app=app("/bin/sh", "-c", "cat /var/lib/db/x || touch /var/lib/db/x", mountPoints=[{"name": "data", "path": "/var/lib/db"}], ports=[{"name": "sql", "protocol": "tcp", "port": 5432, "count": 2}])), directory("var"), directory("var/lib"), directory("var/lib/db"))
    config = inspect(engine, "example.com/db:1")["config"]["config"]
    assert set(config["ExposedPorts"]) == {"5432/tcp", "5433/tcp"} and set(config["Volumes"]) == {"/var/lib/db"}
    engine("run", "--rm", "example.com/db:1").check()
    (workdir / "data").mkdir()
    (workdir / "data/x").write_text("kept")
    assert engine("run", "--rm", "-v", f"{workdir}/data:/var/lib/db", "example.com/db:1").check().out == "kept"


def test_dependencies_lie_below_in_order(engine, load, workdir):
    """Later ones hide earlier ones, an image hides all of its own; each branch counts whole."""
    load(manifest("example.com/e"), entry("who", b"e"), entry("e", b"e"))
    load(manifest("example.com/b", **depends("example.com/e")), entry("who", b"b"), entry("b", b"b"), entry("both", b"b"))
    load(manifest("example.com/c", **depends("example.com/e")), entry("c", b"c"), entry("both", b"c"))
    load(manifest("example.com/a", **depends("example.com/b", "example.com/c")), entry("a", b"a"))
    engine("image", "extract", "example.com/a:1", workdir / "out").check()
    assert {p.name: p.read_text() for p in (workdir / "out").iterdir()} == {"a": "a", "b": "b", "c": "c", "e": "e", "both": "c", "who": "e"}
    assert len(inspect(engine, "example.com/a:1")["config"]["rootfs"]["diff_ids"]) == 5
    # What it is made of is its own, whatever happens to the images.
    for name in ("b", "c", "e"):
        engine("image", "rm", f"example.com/{name}:1").check()
    engine("image", "gc").check()
    engine("image", "extract", "example.com/a:1", workdir / "again").check()
    assert trees.describe(workdir / "again") == trees.describe(workdir / "out")


def test_which_dependency_is_meant(engine, load, workdir):
    """By labels, by id, and for this machine; a missing one is named."""
    old = load(manifest("example.com/lib", {"version": "1", "os": "linux", "arch": "amd64"}), entry("lib", b"old"))
    load(manifest("example.com/lib", {"version": "2", "os": "linux", "arch": "amd64"}), entry("lib", b"new"))

    def content(name, dependency):
        load(manifest(name, **depends(dependency)))
        engine("image", "extract", f"{name}:1", workdir / name.split("/")[1]).check()
        return (workdir / name.split("/")[1] / "lib").read_text()

    assert content("example.com/newest", {"imageName": "example.com/lib"}) == "new"
    assert content("example.com/labelled", {"imageName": "example.com/lib", "labels": [{"name": "version", "value": "1"}]}) == "old"
    identity = "sha512-" + old["id"].split(":")[1]
    for length in (len("sha512-") + 64, len(identity)):
        assert content(f"example.com/by-id-{length}", {"imageName": "example.com/lib", "imageID": identity[:length]}) == "old"
    for dependency, words in (
        ({"imageName": "example.com/none", "labels": [{"name": "version", "value": "3"}]}, "needs image 'example.com/none:3', which is not in the store"),
        ({"imageName": "example.com/lib", "imageID": "sha512-" + "0" * 64}, "not in the store"),
        ({"imageName": "example.com/other", "imageID": identity}, "is 'example.com/lib:1,os=linux,arch=amd64' in the store"),
        ({"imageName": "example.com/self"}, "circle: example.com/self -> example.com/self"),
    ):
        (workdir / "bad.aci").write_bytes(aci(manifest("example.com/self", **depends(dependency))))
        engine("image", "load", workdir / "bad.aci").fails(words)
    assert not list((engine.root / "images/tmp").iterdir())


def test_a_whitelist_leaves_out_the_rest(engine, load, workdir):
    """Of the image and of all below it; a hard link whose file goes becomes the file."""
    load(manifest("example.com/below"), directory("usr"), directory("usr/lib", mode=0o750), entry("usr/lib/one", b"1", uid=3), hardlink("usr/lib/link", "usr/lib/one"), hardlink("usr/lib/more", "usr/lib/one"), entry("usr/two", b"2"), directory("empty"), entry("empty/x", b"x"))
    load(manifest("example.com/top", **depends("example.com/below", pathWhitelist=["/usr/lib/link", "/usr/lib/more", "/own", "/empty/"])), entry("own", b"o"), entry("other", b"o"))
    found = files(engine, workdir, "example.com/top:1")
    assert set(found) == {"/usr", "/usr/lib", "/usr/lib/link", "/usr/lib/more", "/own", "/empty"}
    assert found["/usr/lib/link"]["size"] == 1 and found["/usr/lib/link"]["uid"] == 3 and found["/usr/lib/more"]["same as"] == "/usr/lib/link"
    assert found["/usr/lib"]["mode"] == 0o750
    # Who builds on it gets no more of it.
    load(manifest("example.com/over", **depends("example.com/top")), entry("over"))
    engine("image", "extract", "example.com/over:1", workdir / "over").check()
    assert set(trees.describe(workdir / "over")) == set(found) | {"/over"}


def test_everything_a_file_has_is_kept(engine, load, workdir):
    """Owners, modes, times, devices, links, holes, attributes."""
    hole = entry("nothing", b"", mtime=7)
    load(manifest("example.com/all"), directory("d", mode=0o1777, uid=5), entry("d/suid", b"x", mode=0o4755, uid=6, gid=7), entry("null", type=tarfile.CHRTYPE, devmajor=1, devminor=3), entry("pipe", type=tarfile.FIFOTYPE), symlink("way", "/d/suid"), hardlink("twin", "d/suid"), entry("n" * 120, b"long"), entry("attr", b"a", pax_headers={"SCHILY.xattr.user.note": "yes"}), hole)
    found = files(engine, workdir, "example.com/all:1")
    assert found["/d"]["mode"] == 0o1777 and found["/d"]["uid"] == 5
    assert found["/d/suid"]["mode"] == 0o4755 and (found["/d/suid"]["uid"], found["/d/suid"]["gid"]) == (6, 7)
    assert found["/null"]["device"] == 0x103 and found["/way"]["target"] == "/d/suid" and found["/twin"]["same as"] == "/d/suid"
    assert "/" + "n" * 120 in found and found["/attr"]["xattrs"] == {"user.note": b"yes"} and found["/nothing"]["mtime"] == 7


def test_other_tools_read_what_is_saved(engine, load, base, workdir):
    """A loaded ACI leaves the store as any image does, and comes back as one."""
    load(manifest("example.com/app", **depends(BASE), app=app("/bin/true")), entry("own", b"o"))
    engine("image", "save", "--transport", "oci-archive", "-o", workdir / "x.tar", "example.com/app:1", timeout=60).check()
    engine("image", "extract", "example.com/app:1", workdir / "before").check()
    engine("image", "rm", "-f", "example.com/app:1").check()
    engine("image", "load", workdir / "x.tar", timeout=60).check()
    engine("image", "extract", "example.com/app:1", workdir / "after").check()
    assert not trees.differences(trees.describe(workdir / "before"), trees.describe(workdir / "after"))
    engine("run", "--rm", "example.com/app:1").check()


def test_other_machines(engine, load, workdir):
    """An ACI for another machine is refused with its name, and taken with --platform; labels are checked."""
    (workdir / "arm.aci").write_bytes(aci(manifest("example.com/arm", {"version": "1", "os": "linux", "arch": "aarch64"}), entry("x")))
    engine("image", "load", workdir / "arm.aci").fails("linux/arm64")
    engine("image", "load", "--platform", "linux/arm64", workdir / "arm.aci").check()
    (workdir / "bad.aci").write_bytes(aci(manifest("example.com/bad", {"os": "plan9"}), entry("x")))
    engine("image", "load", workdir / "bad.aci").fails("bad os 'plan9'")
    load(manifest("example.com/data", {}), entry("x"))
    assert inspect(engine, "example.com/data")["names"] == ["example.com/data:latest"]


def hostile():
    """What is refused: archive, and words of the sentence that says so."""
    good = json.dumps(manifest("example.com/evil", app=app("/x"))).encode()
    head = (entry("manifest", good), directory("rootfs"))
    inside = below([entry("x", b"x")])
    whitelist = json.dumps(manifest("example.com/evil", pathWhitelist=["/../etc"])).encode()
    return {
        "escape": (layer(*head, entry("rootfs/../../etc/passwd", b"x")), "../etc/passwd"),
        "absolute": (layer(*head, entry("/etc/passwd", b"x")), "nothing but manifest and rootfs"),
        "outside": (layer(*head, entry("other", b"x")), "nothing but manifest and rootfs"),
        "beside": (layer(*head, entry("rootfs2/x", b"x")), "nothing but manifest and rootfs"),
        "twice": (layer(*head, *inside, entry("manifest", good)), "there twice"),
        "twice by another name": (layer(*head, entry("rootfs/../manifest", good)), "there twice"),
        "manifest is a symbolic link": (layer(symlink("manifest", "rootfs/x"), *head[1:], *inside), "no plain file"),
        "manifest is a hard link": (layer(*head[1:], *inside, hardlink("manifest", "rootfs/x")), "no plain file"),
        "manifest links out": (layer(symlink("manifest", "/etc/passwd"), *head[1:], *inside), "no plain file"),
        "no rootfs": (layer(head[0]), "no rootfs"),
        "rootfs is a file": (layer(head[0], entry("rootfs", b"x")), "not a directory"),
        "rootfs is a link": (layer(head[0], symlink("rootfs", "/etc")), "not a directory"),
        "no manifest": (layer(*head[1:], *inside), "neither index.json nor manifest.json"),
        "hard link out": (layer(*head, hardlink("rootfs/x", "../etc/passwd")), "../etc/passwd"),
        "hard link to the manifest": (layer(*head, hardlink("rootfs/x", "manifest")), "leads out of rootfs"),
        "hard link to rootfs": (layer(*head, hardlink("rootfs/x", "rootfs")), "leads out of rootfs"),
        "symbolic link, then through it": (layer(*head, symlink("rootfs/l", "../.."), entry("rootfs/l/x", b"x")), "l/x"),
        "whiteout": (layer(*head, entry("rootfs/.wh.x")), ".wh."),
        "whitelist": (layer(entry("manifest", whitelist), *head[1:], *inside), "/pathWhitelist/0"),
        "huge manifest": (layer(entry("manifest", b" " * ((4 << 20) + 1)), *head[1:], *inside), "larger than"),
        "manifest is no JSON": (layer(entry("manifest", b"{"), *head[1:], *inside), "manifest"),
        "other kind": (layer(entry("manifest", good.replace(b"ImageManifest", b"PodManifest")), *head[1:], *inside), "/acKind"),
        "cut": (layer(*head, *inside)[:2048], "truncated"),
    }


def test_hostile_archives_are_refused(engine, workdir):
    """One sentence each, and nothing is left of it, in the store or outside."""
    for what, (data, words) in hostile().items():
        (workdir / "evil.aci").write_bytes(data)
        for packer in ("", "xz"):
            failed = engine("image", "load", stdin=PACKERS[packer](data)) if packer else engine("image", "load", workdir / "evil.aci")
            failed.fails(words)
            assert failed.err.count("\n") == 1, (what, failed.err)
    assert not engine.json("image", "ls")["images"]
    for folder in ("blobs/sha256", "blobs/sha512", "trees", "tmp", "refs/images", "refs/names"):
        assert not list((engine.root / "images" / folder).iterdir()), folder


def test_isolators_and_groups(engine, load, base):
    """What a configuration has no words for holds for a run all the same; what does not is said."""
    isolators = [
        {"name": "resource/memory", "value": {"limit": "64Mi"}},
        {"name": "os/linux/capabilities-retain-set", "value": {"set": ["CAP_KILL"]}},
        {"name": "os/linux/no-new-privileges", "value": True},
        {"name": "os/linux/oom-score-adj", "value": 7},
    ]
    document = manifest("example.com/tight", **depends(BASE), app=app("/bin/sh", "-c", "id; cat /proc/self/status", supplementaryGIDs=[4242], isolators=isolators))
    load(document)
    done = engine("run", "--rm", "example.com/tight:1").check()
    assert "4242" in done.out.splitlines()[0]
    status = dict(line.split(":\t") for line in done.out.splitlines() if ":\t" in line)
    assert int(status["CapBnd"], 16) == 1 << 5 and status["NoNewPrivs"] == "1"
    assert done.err == ""
    plan = engine("run", "--dry-run", "--format", "json", "example.com/tight:1").check().out
    assert str(64 << 20) in plan
    assert int(dict(line.split(":\t") for line in engine("run", "--rm", "--cap-add", "CHOWN", "example.com/tight:1").check().out.splitlines() if ":\t" in line)["CapBnd"], 16) & 1


def isolated(load, name, *isolators, command=("/bin/sh", "-c", "mkdir /new; echo made $?; cat /proc/self/oom_score_adj"), **section):
    """An image with these isolators: (name, value)."""
    load(manifest(f"example.com/{name}", **depends(BASE), app=app(*command, isolators=[{"name": n, "value": v} for n, v in isolators], **section)))
    return f"example.com/{name}:1"


def test_system_call_sets(engine, load, base):
    """A set makes the default filter tighter, with its errno or by ending the process; an option of run is stronger."""
    calls = ["mkdir", "mkdirat"]
    name = isolated(load, "errno", ("os/linux/seccomp-remove-set", {"set": calls, "errno": "EXFULL"}), ("os/linux/oom-score-adj", 77))
    done = engine("run", "--rm", name).check()
    assert "Exchange full" in done.err and done.out == "made 1\n77\n"
    assert "made 0" in engine("run", "--rm", "--security-opt", "seccomp=unconfined", name).check().out
    name = isolated(load, "kill", ("os/linux/seccomp-remove-set", {"set": calls}), command=("/bin/busybox", "mkdir", "/new"))
    assert engine("run", "--rm", name).rc == 128 + 31
    name = isolated(load, "few", ("os/linux/seccomp-retain-set", {"set": ["read"], "errno": "EPERM"}), command=("/bin/busybox", "mkdir", "/new"))
    assert engine("run", "--rm", name).rc != 0
    name = isolated(load, "all", ("os/linux/seccomp-retain-set", {"set": ["@appc.io/all"]}), command=("/bin/busybox", "grep", "Seccomp:", "/proc/self/status"))
    assert engine("run", "--rm", name).check().out == "Seccomp:\t2\n"


def test_what_confines_and_cannot_be_had_is_refused(engine, load, base):
    """By its name, and nothing runs; what does not confine is a warning."""
    for number, (isolator, value) in enumerate([("os/linux/seccomp-retain-set", {"set": ["@systemd/clock"]}), ("os/linux/apparmor-profile", {"profile": "x"})]):
        name = isolated(load, f"no{number}", (isolator, value))
        engine("run", "--rm", name).fails(isolator, rc=125)
    name = isolated(load, "odd", ("os/unix/sysctl", {"net.core.somaxconn": "1"}), command=("/bin/busybox", "true"))
    err = engine("run", "--rm", name).check().err
    assert "os/unix/sysctl" in err


def test_what_runs_before_the_app(engine, load, base):
    """The pre-start handler, inside and as root whoever the app is; one that fails ends the start."""
    handler = [{"name": "pre-start", "exec": ["/bin/sh", "-c", "id -u > /prepared"]}]
    name = isolated(load, "ready", command=("/bin/busybox", "cat", "/prepared"), eventHandlers=handler, user="1234")
    done = engine("run", "--rm", name).check()
    assert (done.out, done.err) == ("0\n", "")
    name = isolated(load, "unready", command=("/bin/busybox", "true"), eventHandlers=[{"name": "pre-start", "exec": ["/bin/busybox", "false"]}])
    engine("run", "--rm", name).fails("startContainer")
    assert not engine.json("ps", "-a")["containers"]


def test_what_runs_after_the_app(engine, load, base, workdir):
    """The post-stop handler: as root, with the app's files; its failure is told, the status stays that of the app. After a stop too, and not for long."""
    def handler(*words):
        return [{"name": "post-stop", "exec": ["sh", "-c", *words]}]

    (shared := workdir / "shared").mkdir()
    shared.chmod(0o777)
    say = 'echo "$(cat /tmp/left) $(id -u) $WORD $EXIT_CODE $EXIT_STATUS $(cat /proc/sys/kernel/hostname)"; exit 9'
    name = isolated(load, "tidied", command=("/bin/sh", "-c", "echo mine > /tmp/left; exit 3"), eventHandlers=handler(say), user="1234", environment=[{"name": "WORD", "value": "word"}])
    result = engine("run", "--rm", "--hostname", "here", "--tmpfs", "/x", "-v", f"{shared}:/tmp", name)
    assert result.rc == 3 and result.out == "mine 0 word exited 3 here\n" and "post-stop handler of app 'tidied' failed: it ended with status 9" in result.err
    result = engine("run", "--rm", "-t", "--hostname", "here", "-v", f"{shared}:/tmp", name)
    assert result.rc == 3 and result.out == "mine 0 word exited 3 here\r\n"
    slow = isolated(load, "slow", command=("/bin/busybox", "sleep", "60"), eventHandlers=handler('echo "$EXIT_CODE $EXIT_STATUS"; sleep 60'))
    # In a pod: the other's process tree, and both are told.
    uuid = engine("pod", "run", "-d", "--stop-timeout", "1", name, "---", slow, "--name", "two").check().out.strip()
    engine("kill", "-s", "KILL", f"{uuid}/two").check()
    status = engine("pod", "status", "--wait", uuid).check().out
    assert "app-tidied=3\npost-stop-tidied=it ended with status 9\napp-two=137\npost-stop-two=it did not end in time" in status
    assert engine("logs", f"{uuid}/two").check().out == "killed KILL\n"
    record = engine.json("inspect", f"{uuid}/two")["containers"][0]["exit"]
    assert record["signal"] == 9 and record["post_stop_error"] == "it did not end in time and was killed"


def test_an_archive_comes_out_as_it_was(engine, load, base, workdir):
    """Byte for byte, however it was compressed and whatever it depends on."""
    document = manifest("example.com/app", **depends(BASE), app=app("/bin/true"))
    load(document, entry("x", b"x" * 5000), compress="xz")
    engine("image", "convert", "example.com/app:1", workdir / "again.aci").check()
    assert (workdir / "again.aci").read_bytes() == aci(document, entry("x", b"x" * 5000))
    engine("image", "save", "--transport", "aci", "-o", workdir / "saved.aci", "example.com/app:1").check()
    assert (workdir / "saved.aci").read_bytes() == (workdir / "again.aci").read_bytes()
    engine("image", "save", "--transport", "aci", "-o", workdir / "two.aci", "example.com/app:1", f"{BASE}:1").fails("holds one image")
    engine("image", "convert", "example.com/app:1", workdir / "what").fails("does not tell what to convert to")


@pytest.mark.parametrize("padding", [10240, 1 << 20], ids=["as tar pads", "more"])
def test_what_pads_an_archive_belongs_to_it(engine, workdir, padding):
    """Also where the end mark is the end of a piece that is read at once (512 KiB), and the padding follows."""
    name, piece = "example.com/app", 512 << 10
    text = json.dumps(manifest(name)).encode()
    head = 512 + -(-len(text) // 512) * 512  # the manifest and its header
    members = aci(manifest(name), entry("x", bytes(range(256)) * ((piece - 1024 - head - 2 * 512) // 256)))
    assert members[piece - 1024 :].strip(b"\0") == b"" and members[piece - 1025] != 0
    plain = members[:piece].ljust(piece + padding, b"\0")
    packed = gzip.compress(plain)
    for given in (plain, packed):
        (workdir / "x.aci").write_bytes(given)
        (record,) = engine.json("image", "load", workdir / "x.aci")["images"]
        assert record["id"] == image_id(plain)
        engine("image", "load", stdin=given).check()
        engine("image", "export", name, workdir / "out.aci").check()
        assert (workdir / "out.aci").read_bytes() == plain
        (workdir / "out.aci").unlink()
        engine("image", "rm", name).check()
    for cut in (packed[:-8] + bytes(8), packed[:-4], packed[:-20]):
        (workdir / "x.aci").write_bytes(cut)
        engine("image", "load", workdir / "x.aci").fails(rc=1)
        assert engine.json("image", "ls")["images"] == []


def test_the_user_is_the_owner_of_what_is_there_in_the_end(engine, load):
    """Hard links and symbolic links count as they do in the finished root."""
    load(manifest(BASE), entry("hl", b"", uid=1, gid=1))
    load(manifest("example.com/a", **depends(BASE), app=app("/x", user="/hl", group="/way/hl")), entry("a", b"", uid=55, gid=66), hardlink("hl", "a"), symlink("way", "/"))
    assert inspect(engine, "example.com/a")["config"]["config"]["User"] == "55:66"
    load(manifest("example.com/c", app=app("/x", user="/bin/a", group="0")), directory("usr/bin"), entry("usr/bin/a", b"", uid=77), symlink("bin", "usr/bin"))
    assert inspect(engine, "example.com/c")["config"]["config"]["User"] == "77:0"


def test_there_and_back(engine, workdir):
    """An OCI image as an ACI and loaded again: every file, and what it runs, is the same."""
    below = layer(directory("etc"), entry("etc/passwd", b"me:x:7:8::/:\n"), entry("etc/group", b"more:x:9:me\n"), entry("etc/gone", b"g"), entry("suid", b"s", mode=0o4711, uid=7, gid=8), hardlink("twin", "suid"), symlink("etc/link", "../suid"), entry("fifo", type=tarfile.FIFOTYPE), entry("zero", type=tarfile.CHRTYPE, devmajor=1, devminor=5), directory("sticky", mode=0o1777, uid=3), entry("n" * 150, b"long"), entry("attr", b"a", pax_headers={"SCHILY.xattr.user.note": "yes"}))
    above = layer(directory("etc"), entry("etc/.wh.gone"), entry("top", b"t" * 100_000, mtime=5))
    made = Layout(workdir / "layout")
    config = {"created": "2024-01-02T03:04:05Z", "config": {"User": "me", "Env": ["A=b"], "Entrypoint": ["/bin/run"], "Cmd": ["--fast"], "WorkingDir": "/etc", "StopSignal": "SIGINT", "ExposedPorts": {"80/tcp": {}, "8000-8010/tcp": {}}, "Volumes": {"/sticky": {}}, "Labels": {"who": "me"}, "Healthcheck": {"Test": ["CMD", "/bin/ok"], "Retries": 3}, "Shell": ["/bin/x", "-c"], "OnBuild": ["RUN y"]}, "history": [{"created_by": "one"}, {"created_by": "two"}, {"created_by": "three", "empty_layer": True}], "rootfs": {"type": "layers", "diff_ids": [digest(below), digest(above)]}}
    descriptor = made.image(below, above, config=config, annotations={"org.example.note": "kept"})
    made.index(descriptor, name="example.com/there:2")
    engine("image", "load", made.path).check()
    engine("image", "extract", "example.com/there:2", workdir / "before").check()
    engine("image", "convert", "example.com/there:2", workdir / "there.aci").check()
    engine("image", "rm", "example.com/there:2").check()
    with tarfile.open(workdir / "there.aci") as archive:
        names = archive.getnames()
        document = json.load(archive.extractfile("manifest"))
    assert names[:2] == ["manifest", "rootfs"] and all(n.startswith("rootfs/") for n in names[2:])
    assert document["app"]["exec"] == ["/bin/run", "--fast"] and (document["app"]["user"], document["app"]["group"]) == ("me", "8")
    assert document["app"]["supplementaryGIDs"] == [9]
    assert document["app"]["mountPoints"] == [{"name": "volume-sticky", "path": "/sticky"}]
    assert {"name": "version", "value": "2"} in document["labels"] and {"name": "arch", "value": "amd64"} in document["labels"]
    engine("image", "load", workdir / "there.aci").check()
    engine("image", "extract", "example.com/there:2", workdir / "after").check()
    assert not trees.differences(trees.describe(workdir / "before"), trees.describe(workdir / "after"))
    after = inspect(engine, "example.com/there:2")["config"]
    assert after["config"] == {**config["config"], "User": "me:8"}
    assert [step["created_by"] for step in after["history"]][:3] == ["one", "two", "three"]
    assert [step for step in after["history"] if not step.get("empty_layer")] == after["history"][-1:]
    assert json.loads(engine("image", "cat-manifest", "--oci", "example.com/there:2").check().out)["annotations"] == {"org.example.note": "kept"}


def test_a_name_with_a_port_comes_back(engine, workdir):
    """As an ACI it is called otherwise; loaded again it is what it was."""
    made = Layout(workdir / "layout")
    made.index(made.image(layer(entry("x", b"x"))), name="localhost:5000/t/big:1.0")
    engine("image", "load", made.path).check()
    engine("image", "convert", "localhost:5000/t/big:1.0", workdir / "big.aci").check()
    engine("image", "rm", "localhost:5000/t/big:1.0").check()
    assert engine("image", "load", workdir / "big.aci").check().out == "Loaded image: localhost:5000/t/big:1.0\n"
    assert [image["created"] for image in engine.json("image", "ls")["images"] if image["names"] == ["localhost:5000/t/big:1.0"]] == ["2024-01-02T03:04:05Z"]


def test_holes_stay_holes(engine, workdir):
    """A file of 64 GiB without data is no file of 64 GiB in an archive."""
    tree = workdir / "tree"
    tree.mkdir()
    with open(tree / "big", "wb") as file:
        file.truncate(64 << 30)
        file.seek(1 << 30)
        file.write(b"data")
    proc.run("tar", "--format=pax", "--sparse", "-C", tree, "-cf", workdir / "rootfs.tar", ".").check()
    engine("image", "import", workdir / "rootfs.tar", "big", timeout=60).check()
    engine("image", "convert", "big", workdir / "big.aci", timeout=60).check()
    assert (workdir / "big.aci").stat().st_size < 1 << 20
    engine("image", "load", workdir / "big.aci", timeout=60).check()
    engine("image", "extract", "localhost/big:latest", workdir / "out", timeout=60).check()
    with open(workdir / "out/big", "rb") as file:
        file.seek(1 << 30)
        assert file.read(5) == b"data\0" and (workdir / "out/big").stat().st_size == 64 << 30


def test_verify(new_engine, workdir):
    """The archive, its manifest and what was made of them are read; damage is named."""
    engine = new_engine(load=False)
    (workdir / "app.aci").write_bytes(aci(manifest("example.com/app", app=app("/x")), entry("x", b"hello", mode=0o755)))
    engine("image", "load", workdir / "app.aci").check()
    assert "good, 5 blobs" in engine("image", "verify").check().out
    blob = engine.root / "images/blobs/sha512" / engine.json("image", "ls")["images"][0]["id"].partition(":")[2]
    blob.write_bytes(blob.read_bytes() + b"x")
    assert "archive of the ACI" in engine("image", "verify").check(2).out
