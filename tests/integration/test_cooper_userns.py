"""User namespaces of pods: whose ids, over trees that stay as they are, on every backend; ranges that no two pods share."""

import concurrent.futures
import os
import pathlib
import struct

import pytest

from lib import image_files, isolate, mountinfo, proc
from lib.cooper import busybox_layout, cooper, cooper_session, engine_dir, new_engine  # noqa: F401

pytestmark = pytest.mark.needs("root", "cooper", "isolation", "userns")

BASE = 0x50000000
MAP = ("--uidmap", f"0:{BASE}:65536")


def id_map(pid, kind="uid"):
    """[(inside, outside, count)] of a process."""
    return [tuple(int(n) for n in line.split()) for line in pathlib.Path(f"/proc/{pid}/{kind}_map").read_text().splitlines()]


def first_id(engine, name):
    """The host's id of the container's root."""
    ((inside, outside, count),) = id_map(engine.pid(name))
    assert (inside, count) == (0, 65536) and id_map(engine.pid(name), "gid") == [(0, outside, 65536)]
    return outside


def owner(path):
    info = os.lstat(path)
    return info.st_uid, info.st_gid


def snapshot(engine):
    """What would tell that anybody has touched a tree of the store: owner, mode, change time, of every file."""
    found = {}
    for folder, names, files in os.walk(engine.root / "images/trees"):
        for name in (".", *names, *files):
            info = os.lstat(os.path.join(folder, name))
            found[os.path.normpath(os.path.join(folder, name))] = (info.st_ino, info.st_uid, info.st_gid, info.st_mode, info.st_ctime_ns)
    return {path: seen for path, seen in found.items() if "/rootfs" in path}


def upper(engine, name, app="busybox"):
    """The directory on the disk that holds what the app writes."""
    return engine.root / "pods/run" / engine.inspect(name)["id"] / f"upper-{app}"


def noted(engine):
    """[(first, count, uuid)] that the engine keeps."""
    place = engine.root / "pods/id-ranges"
    words = [n.replace("@", "-", 1).split("-", 2) for n in os.listdir(place)] if place.exists() else []
    return sorted((int(first), int(count), uuid) for first, count, uuid in words)


def test_two_ranges_share_a_tree(cooper):
    """Root's files are root's in both at once; what they write is owned by their ids; the tree is never touched."""
    before = snapshot(cooper)
    assert before
    with cooper.running("a", "--userns", "auto"), cooper.running("b", "--userns=auto"):
        firsts = {name: first_id(cooper, name) for name in "ab"}
        assert abs(firsts["a"] - firsts["b"]) >= 65536
        for name, first in firsts.items():
            pid = cooper.pid(name)
            assert os.stat(f"/proc/{pid}").st_uid == first
            root = mountinfo.at(mountinfo.read(pid), "/")
            assert root.fstype == "overlay" and any(o.startswith("lowerdir=") and "/images/trees/" in o for o in root.super_options)
            out = cooper("exec", name, "stat", "-c", "%u:%g", "/", "/bin/busybox", "/etc/passwd", "/proc/1", "/dev/pts").check().out
            assert set(out.split()) == {"0:0"}
            script = "echo x > /new; mkdir /made; chown 1000:100 /made; echo y >> /etc/passwd; rm /etc/group; cat /new"
            assert cooper("exec", name, "sh", "-c", script).check().out == "x\n"
            top = upper(cooper, name)
            assert owner(top) == owner(top / "new") == owner(top / "etc/passwd") == owner(top / "etc") == (first, first)
            assert owner(top / "made") == (first + 1000, first + 100)
            assert os.major(os.lstat(top / "etc/group").st_rdev) == 0
            # Through the container's own mount the host sees the same owners.
            assert owner(f"/proc/{pid}/root/bin/busybox") == (first, first)
        assert cooper("exec", "a", "cat", "/etc/group").rc != 0
        assert cooper("run", "--rm", "busybox", "cat", "/etc/group").rc == 0
    assert snapshot(cooper) == before


def test_maps_of_ones_own(cooper):
    """Both maps as given, in the kernel; a user that is not mapped is refused before anything is started."""
    flags = ("--uidmap", f"0:{BASE}:1000", "--uidmap", f"1000:{BASE + 70000}:1", "--gidmap", f"0:{BASE + 5}:2000")
    with cooper.running("own", *flags, "-u", "1000:1999"):
        pid = cooper.pid("own")
        assert id_map(pid) == [(0, BASE, 1000), (1000, BASE + 70000, 1)] and id_map(pid, "gid") == [(0, BASE + 5, 2000)]
        assert os.stat(f"/proc/{pid}").st_uid == BASE + 70000 and os.stat(f"/proc/{pid}").st_gid == BASE + 2004
        assert cooper("exec", "own", "id", "-u").check().out == "1000\n"
        assert noted(cooper) == sorted((first, count, cooper.inspect("own")["id"]) for first, count in ((BASE, 2005), (BASE + 70000, 1)))
    for user, word in (("1001", "user 1001"), ("0:2000", "group 2000")):
        result = cooper("run", "--rm", *flags, "-u", user, "busybox", "true").check(125)
        assert f"{word} is not in the pod's user namespace" in result.err
    assert not cooper.pods() and not noted(cooper)


def test_everything_inside_works(cooper):
    """Devices, terminals, /proc, /sys, control groups, streams, host name, network, support files."""
    script = """
        set -e
        echo to-stdout > /dev/stdout; echo to-null > /dev/null; head -c 4 /dev/urandom | wc -c
        test "$(cat /proc/self/uid_map | tr -s ' ')" != " 0 0 4294967295"
        grep -q ' /sys sysfs ' /proc/mounts; ls /sys/fs/cgroup /sys/class/net
        ls -ld /dev/mqueue /dev/shm
        hostname changed 2>/dev/null && exit 1; echo 127.0.0.9 more >> /etc/hosts; tail -n 1 /etc/hosts
        touch /dev/shm/x; umask
    """
    out = cooper.sh(script, "--userns", "auto", "-h", "inside").check().out
    assert "to-stdout" in out and "127.0.0.9 more" in out and "\nlo\n" in out
    out = cooper.sh("id -u; cat < /proc/self/fd/0; echo err > /proc/self/fd/2", "--userns=auto", "-u", "1234", "-i", stdin="given").check()
    assert out.out == "1234\ngiven" and out.err == "err\n"
    with cooper.on_terminal("run", "-it", "--rm", "--userns", "auto", "busybox", "sh", "-c", "tty; stat -c %u:%g $(tty); test -c /dev/console && echo console") as term:
        status, shown = term.wait()
        assert status == 0 and "/dev/pts/0" in shown and "0:5" in shown.split() and "console" in shown
    assert cooper.output("--userns=auto", "--network", "host", "--", "ls", "/sys/class/net").split() == sorted(os.listdir("/sys/class/net"))
    assert cooper.output("--userns=auto", "--init", "--read-only", "--", "cat", "/proc/1/comm") == "init\n"
    assert cooper.output("--userns=auto", "--privileged", "--", "sh", "-c", "mount -t tmpfs x /tmp && echo mounted") == "mounted\n"


def test_volumes(cooper, tmp_path):
    """A directory of the host keeps its owners unless idmap or U is said; volumes of the pod belong to its ids."""
    tmp_path.chmod(0o755)
    (tmp_path / "given").mkdir()
    (tmp_path / "file").write_text("x")
    with cooper.running("v", *MAP, "-v", f"{tmp_path}:/plain", "-v", f"{tmp_path}:/mapped:idmap", "-v", f"{tmp_path}/given:/given:U", "-v", "/etc"):
        mounts = mountinfo.read(cooper.pid("v"))
        assert "idmapped" in mountinfo.at(mounts, "/mapped").options and "idmapped" not in mountinfo.at(mounts, "/plain").options
        out = cooper("exec", "v", "stat", "-c", "%u", "/plain/file", "/mapped/file", "/given", "/etc", "/etc/passwd").check().out
        assert out.split() == ["65534", "0", "0", "0", "0"]
        assert cooper("exec", "v", "touch", "/plain/no").rc != 0
        cooper("exec", "v", "sh", "-c", "touch /mapped/made; chown 7:8 /mapped/made; touch /given/made /etc/made").check()
        assert owner(tmp_path / "made") == (7, 8)
        assert owner(tmp_path / "given") == owner(tmp_path / "given/made") == (BASE, BASE)
    tmp_path.chmod(0o700)
    with cooper.running("closed", *MAP, "-v", f"{tmp_path}:/plain", "-v", f"{tmp_path}:/mapped:idmap"):
        assert "denied" in cooper("exec", "closed", "ls", "/plain").check(1).err
        assert "file" in cooper("exec", "closed", "ls", "/mapped").check().out
    for flags, words in (
        (("-v", f"{tmp_path}:/m:idmap"), "needs a user namespace"),
        (("-v", f"{tmp_path}:/m:idmap=uids=@0-1-2;gids=0-1-2"), "needs a user namespace"),
        ((*MAP, "-v", f"{tmp_path}:/m:idmap=uids=0-1-2"), "both uids and gids are needed"),
        ((*MAP, "-v", f"{tmp_path}:/m:idmap=uids=@0-65535-2;gids=0-1-2"), "id 65536 of an id-mapped mount is not in the container's user namespace"),
        (("-v", f"{tmp_path}:/m:idmap=uids=0-1-2#1-5-1;gids=0-1-2"), "overlaps that of index 0"),
        (("-v", f"{tmp_path}:/m:idmap,idmap=uids=0-1-2;gids=0-1-2"), "exclude each other"),
    ):
        assert words in cooper("run", "--rm", *flags, "busybox", "true").check(125).err


def test_volumes_with_mappings_of_their_own(cooper, tmp_path):
    """podman's idmap=uids=...;gids=...: ids of the directory to ids of the host, or with @ to those of the pod."""
    tmp_path.chmod(0o755)
    (tmp_path / "file").touch()
    os.chown(tmp_path / "file", 2000, 3000)
    show = ("busybox", "stat", "-c", "%u:%g", "/m/file")
    for flags, words, expected in (
        ((), "idmap=uids=2000-7-1;gids=0-0-1#3000-8-1", "7:8"),
        ((), "ridmap,ro", None),
        (MAP, "idmap=uids=@2000-1-1;gids=@3000-5-1", "1:5"),
        (MAP, f"ro,idmap=uids=2000-{BASE}-1;gids=@3000-5-1", "0:5"),
        (MAP, "idmap=uids=2000-1-1;gids=3000-1-1", "65534:65534"),
    ):
        result = cooper("run", "--rm", *flags, "-v", f"{tmp_path}:/m:{words}", *show)
        assert result.check().out == expected + "\n" if expected else result.rc == 125, result


@pytest.mark.parametrize("backend", ["copy", pytest.param("erofs", marks=pytest.mark.needs("mkfs.erofs", "erofs"))])
def test_other_backends(new_engine, backend):
    """The same owners inside and on the disk, whatever lies below."""
    engine = new_engine()
    before = snapshot(engine)
    with engine.running("x", *MAP, "--rootfs-backend", backend):
        fstype = mountinfo.at(mountinfo.read(engine.pid("x")), "/").fstype
        assert (fstype == "overlay") == (backend == "erofs")
        assert set(engine("exec", "x", "stat", "-c", "%u:%g", "/", "/bin/busybox", "/etc/passwd").check().out.split()) == {"0:0"}
        engine("exec", "x", "sh", "-c", "echo y >> /etc/passwd; touch /new; chown 5:6 /new").check()
        assert owner(upper(engine, "x") / "etc/passwd") == (BASE, BASE) and owner(upper(engine, "x") / "new") == (BASE + 5, BASE + 6)
    if backend == "copy":
        assert snapshot(engine) == before


@pytest.mark.needs("squashfs")
def test_file_images(cooper, tmp_path):
    """A squashfs is mapped where it lies, and stays without set-user-ID programs."""
    cooper("image", "extract", "busybox", tmp_path / "tree").check()
    path = image_files.squashfs(tmp_path / "tree", tmp_path / "image.sqfs")
    with cooper.running("f", *MAP, image=path):
        assert {"nosuid", "nodev"} <= mountinfo.at(mountinfo.read(cooper.pid("f")), "/").options
        assert cooper("exec", "f", "stat", "-c", "%u", "/bin/busybox").check().out == "0\n"
        cooper("exec", "f", "touch", "/etc/new").check()
        assert owner(upper(cooper, "f", "image") / "etc/new") == (BASE, BASE)
    proc.until(lambda: not image_files.loops(path), 10, 0.02, "loop devices that go away")


def test_attributes_and_owners(new_engine, tmp_path):
    """File capabilities work on both backends, lists of access name the mapped user; owners beyond the map."""
    engine = new_engine()
    engine("image", "extract", "busybox", tmp_path / "tree").check()
    probe = tmp_path / "tree/bin/busybox-probe"
    probe.write_bytes((tmp_path / "tree/bin/busybox").read_bytes())
    probe.chmod(0o755)
    # cap_dac_override, effective: one that containers may have without being given it by name, which would make it ambient
    os.setxattr(probe, "security.capability", struct.pack("<IIIII", 0x02000001, 1 << 1, 0, 0, 0))
    secret = tmp_path / "tree/secret"
    secret.write_text("read\n")
    secret.chmod(0o600)
    listed = tmp_path / "tree/listed"
    listed.write_text("listed\n")
    # Owner rw, user 1000 r, group none, mask r, others none.
    entries = ((1, 6, 0xFFFFFFFF), (2, 4, 1000), (4, 0, 0xFFFFFFFF), (16, 4, 0xFFFFFFFF), (32, 0, 0xFFFFFFFF))
    os.setxattr(listed, "system.posix_acl_access", struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries))
    far = tmp_path / "tree/far"
    far.write_text("far")
    os.chown(far, 70000, 70000)
    proc.run("tar", "--xattrs", "--xattrs-include=*", "-C", tmp_path / "tree", "-cf", tmp_path / "odd.tar", ".").check()
    engine("image", "import", tmp_path / "odd.tar", "odd").check()
    flags = ("--rm", *MAP, "-u", "1000")
    out = engine("run", *flags, "odd", "sh", "-c", "cat /secret 2>&1; stat -c %u:%g /far").check().out
    assert "denied" in out and out.endswith("\n65534:65534\n")
    assert engine("run", *flags, "--cap-add", "DAC_OVERRIDE", "odd", "cat", "/secret").check().out == "read\n"
    wide = ("--uidmap", f"0:{BASE}:100000")
    with engine.running("c", *wide, "--rootfs-backend", "copy", image="odd"):
        assert owner(upper(engine, "c", "odd") / "far") == (BASE + 70000, BASE + 70000)
        value = os.getxattr(upper(engine, "c", "odd") / "bin/busybox-probe", "security.capability")
        assert struct.unpack("<IIIIII", value)[0] == 0x03000001 and struct.unpack("<IIIIII", value)[5] == BASE
    for backend in ("overlay", "copy"):
        words = ("run", "--rm", *wide, "-u", "1000", "--rootfs-backend", backend)
        assert engine(*words, "odd", "/bin/busybox-probe", "cat", "/secret").check().out == "read\n"
        assert "denied" in engine(*words, "odd", "cat", "/secret").check(1).err
        result = engine(*words, "--cap-drop", "DAC_OVERRIDE", "odd", "sh", "-c", "/bin/busybox-probe cat /secret")
        assert result.rc == 126 and "not permitted" in result.err, result
        assert engine(*words, "odd", "cat", "/listed").check().out == "listed\n"
        assert "denied" in engine(*words, "-u", "1001", "odd", "cat", "/listed").check(1).err
    result = engine("run", "--rm", *MAP, "--rootfs-backend", "copy", "odd", "true").check(125)
    assert "'far'" in result.err and "70000:70000 is not in the pod's user namespace" in result.err
    assert not engine.pods() and not noted(engine)


def test_pods_of_several_apps(cooper):
    """The apps share one user namespace, which owns the network; each has its own mapped tree."""
    words = ("pod", "run", "-d", "--private-users", "--name", "p", "busybox", "--name=a", "--", "sleep", "1000")
    uuid = cooper(*words, "---", "busybox", "--name=b", "--user=33", "--", "sh", "-c", "echo hello; sleep 1000").check().out.strip()
    try:
        apps = {app["name"]: app["pid"] for app in cooper.json("pod", "status", "p")["apps"]}
        links = {name: os.readlink(f"/proc/{pid}/ns/user") for name, pid in apps.items()}
        assert links["a"] == links["b"] != os.readlink("/proc/self/ns/user")
        assert os.readlink(f"/proc/{apps['a']}/ns/mnt") != os.readlink(f"/proc/{apps['b']}/ns/mnt")
        ((_, first, count),) = id_map(apps["a"])
        assert count == 65536 and os.stat(f"/proc/{apps['b']}").st_uid == first + 33
        for app in "ab":
            assert cooper("exec", f"p/{app}", "stat", "-c", "%u", "/bin/busybox").check().out == "0\n"
            assert cooper("exec", f"p/{app}", "cat", "/proc/1/comm").check().out == "cooper-init\n"
        cooper("exec", "p/a", "sh", "-c", "touch /new; ls /sys/class/net /sys/fs/cgroup").check()
        assert owner(cooper.root / "pods/run" / uuid / "upper-a/new") == (first, first)
        assert "hello" in proc.until(lambda: cooper("logs", "p/b").out, 5, 0.05, "the log of b")
        assert noted(cooper) == [(first, 65536, uuid)]
        cooper("pod", "stop", "-t", "0", "p").check()
        assert noted(cooper) == [(first, 65536, uuid)], "its files are still there"
    finally:
        cooper("pod", "rm", "-f", "p")
    assert not noted(cooper)


def test_prepared_keeps_its_range(cooper):
    """From the preparation until the removal; the next pod of the same name starts as before."""
    for _ in range(2):
        uuid = cooper("pod", "prepare", "--userns", "auto", "--name", "kept", "busybox", "--", "touch", "/done").check().out.strip()
        ((first, count, owner_of_it),) = noted(cooper)
        assert (count, owner_of_it) == (65536, uuid)
        assert owner(cooper.root / "pods/prepared" / uuid / "upper-busybox") == (first, first)
        cooper("pod", "run-prepared", uuid).check()
        assert owner(cooper.root / "pods/run" / uuid / "upper-busybox/done") == (first, first)
        cooper("pod", "rm", uuid).check()
        assert not noted(cooper)


def test_many_at_once(cooper):
    """Starts side by side never choose the same range."""
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        made = list(pool.map(lambda n: cooper("pod", "prepare", "--userns=auto:size=100000", "busybox", "--", "true"), range(6)))
    assert len({result.check().out for result in made}) == 6
    ranges = noted(cooper)
    assert len(ranges) == 6 and all(count == 100000 for _, count, _ in ranges)
    assert all(a[0] + a[1] <= b[0] for a, b in zip(ranges, ranges[1:], strict=False))
    place = cooper.root / "pods/id-ranges/7-7@00000000-0000-4000-8000-000000000000"
    place.touch()
    assert "freed ids 7 " in cooper("pod", "gc", "--expire-prepared", "1h").check().out and not place.exists()
    cooper("rm", "-a", "-f").check()
    cooper("pod", "gc", "--expire-prepared", "0").check()
    assert not noted(cooper)


def test_ranges_of_the_machine(cooper, tmp_path):
    """'containers' of /etc/subuid is where ranges come from; names of others are for --subuidname; what is left runs out."""
    try:
        for name, text in (("subuid", f"anna:{BASE}:1000\nanna:{BASE + 5000}:65536\ncontainers:{BASE + 200000}:150000\n"), ("subgid", f"anna:{BASE}:70000\ncontainers:{BASE + 210000}:140000\n")):
            (tmp_path / name).write_text(text)
            pathlib.Path("/etc", name).touch()
            isolate.mount(tmp_path / name, f"/etc/{name}", None, 4096)
        with cooper.running("anna", "--subuidname", "anna"):
            assert id_map(cooper.pid("anna")) == [(0, BASE, 1000), (1000, BASE + 5000, 65536)]
            assert id_map(cooper.pid("anna"), "gid") == [(0, BASE, 70000)]
        assert "gives no ids to 'bert'" in cooper("run", "--rm", "--subuidname", "bert", "busybox", "true").check(125).err
        with cooper.running("one", "--userns=auto"), cooper.running("two", "--userns=auto"):
            assert {first_id(cooper, n) - BASE for n in ("one", "two")} == {210000, 210000 + 65536}
            result = cooper("run", "--rm", "--userns=auto", "busybox", "true").check(125)
            assert "no 65536 ids of the host are free" in result.err and "'containers'" in result.err
    finally:
        for name in ("subuid", "subgid"):
            isolate.umount(f"/etc/{name}")


def test_file_system_without_mapped_mounts(new_engine, busybox_layout, tmp_path):
    """One clear sentence with the way out, which works; nothing is left."""
    place = tmp_path / "ramfs"
    place.mkdir()
    isolate.mount("none", place, "ramfs")
    try:
        engine = new_engine(load=False)
        engine.root = place / "lib"
        engine("image", "load", busybox_layout).check()
        result = engine("run", "--rm", *MAP, "busybox", "true").check(125)
        assert "id-mapped mount" in result.err and "copy" in result.err and not engine.pods() and not noted(engine)
        assert engine("run", "--rm", *MAP, "--rootfs-backend", "copy", "busybox", "id", "-u").check().out == "0\n"
    finally:
        isolate.umount(place)


def test_words(cooper):
    """What is refused, and the default of the settings; the plan shows the map and keeps nothing."""
    for flags, words in (
        (("--userns", "keep-id"), "not supported"),
        (("--userns", "auto:size=0"), "size must be a number"),
        (("--userns", "auto", "--uidmap", "0:1:1"), "exclude each other"),
        (("--uidmap", "1:100000:10"), "id 0 is missing"),
        (("--uidmap", "0:1:0"), "must be CONTAINER:HOST:COUNT"),
        (("--uidmap", "0:100000:10", "--uidmap", "5:200000:1"), "in common"),
    ):
        result = cooper("run", "--rm", *flags, "busybox", "true").check(125)
        assert words in result.err, result.err
    out = cooper("run", "--dry-run", "--userns", "auto", "busybox", "true").check().out
    assert "by=parent" in out and "write-id-maps" in out and not noted(cooper)
    settings = cooper.config.read_text()
    try:
        cooper.config.write_text(settings + '[containers]\nuserns = "auto"\n')
        assert cooper.output("cat", "/proc/self/uid_map").split()[1] != "0"
        assert cooper.output("--userns", "host", "--", "cat", "/proc/self/uid_map").split()[1] == "0"
        cooper.config.write_text(settings + '[containers]\nuserns = "never"\n')
        assert "userns" in cooper("run", "--rm", "busybox", "true").check(125).err
    finally:
        cooper.config.write_text(settings)
