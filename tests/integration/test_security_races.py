"""Containers that attack starts beside them, through a volume or a root file system that they share.

COOPER_RACE_ROUNDS is the number of starts for each attack: 40 here, 1000 for the full run.
"""

import os
import pathlib

import pytest

from lib import mountinfo, proc

ROUNDS = int(os.environ.get("COOPER_RACE_ROUNDS", "40"))


def listing(path):
    """Everything below a directory."""
    return sorted(os.path.join(folder, name) for folder, names, files in os.walk(path) for name in names + files)


@pytest.fixture
def outside(workdir):
    """A directory of the host that nothing may be made in, or mounted on."""
    path = workdir / "outside"
    path.mkdir()
    (path / "precious").write_text("precious")
    return path


@pytest.fixture
def attacker(runtime, make_bundle, workdir):
    """attacker(volume, *pairs): a container that exchanges pairs of paths of the volume, until the test ends."""
    started = []

    def start(volume, *pairs):
        bundle = make_bundle("attacker")
        bundle.add_mount("/volume", "bind", volume, "rbind", "rw")
        bundle.args(bundle.probe("swap"), *[f"/volume/{path}" for pair in pairs for path in pair])
        out = workdir / "attacker.out"
        runtime.run_detached(bundle, output=out).check()
        started.append(bundle.id)
        proc.until(lambda: "swapping" in out.read_text())

    yield start
    for name in started:
        runtime("delete", "--force", name).check()


@pytest.fixture
def victim(make_bundle, workdir):
    """A container with a volume; it says what is mounted where."""
    bundle = make_bundle("victim").writable()
    (workdir / "volume").mkdir()
    bundle.add_mount("/volume", "bind", workdir / "volume", "rbind", "rw")
    return bundle.args("cat", "/proc/self/mountinfo")


def test_mount_point_in_a_shared_volume(runtime, victim, attacker, workdir, outside):
    """CVE-2021-30465: a mount point in a shared volume turns into a symlink to the host at any moment of the start.

    The mount is made in the container or the start fails; a runtime that resolves the path and then mounts by path would make it on
    the host's directory, and it would be missing in the container. Seen to fail with a build of coop whose open_target()
    resolves in the root, then opens the mount point by its path.
    """
    volume = workdir / "volume"
    (volume / "point").mkdir()
    (volume / "link").symlink_to(f"../../../../../../../..{outside}")
    victim.add_mount("/volume/point", "tmpfs", "race", "size=64k")
    attacker(volume, ("point", "link"))
    made = 0
    for _ in range(ROUNDS):
        result = runtime.run(victim)
        assert result.rc in (0, 1), result
        if result.rc == 0:
            made += 1
            assert [m for m in mountinfo.parse(result.out) if m.source == "race"], f"the mount went somewhere else\n{result}"
        assert listing(outside) == [str(outside / "precious")]
    assert made > 0
    assert not [m for m in mountinfo.read() if m.source == "race"]


def test_directories_on_the_way(runtime, victim, attacker, workdir, outside):
    """CVE-2024-45310: the runtime makes missing directories and files of mount points; a swap on the way must not lead them out.

    Seen to fail with a build of coop whose RootDir resolves with flags 0 in the place of RESOLVE_IN_ROOT.
    """
    volume = workdir / "volume"
    (volume / "way").mkdir()
    (volume / "link").symlink_to(f"../../../../../../../..{outside}")
    (workdir / "file").write_text("x")
    attacker(volume, ("way", "link"))
    for number in range(ROUNDS):
        victim.config["mounts"] = [m for m in victim.mounts if not m["destination"].startswith("/volume/")]
        victim.add_mount(f"/volume/way/directory{number}/deep", "tmpfs", "race", "size=64k")
        victim.add_mount(f"/volume/way/file{number}", "bind", workdir / "file", "bind")
        runtime.run(victim)
        assert listing(outside) == [str(outside / "precious")]


@pytest.mark.parametrize("name", ["proc", "dev", "sys", "etc"])
def test_shared_root(runtime, victim, attacker, workdir, outside, name):
    """CVE-2019-19921, CVE-2026-41579 and CVE-2025-31133 in motion: directories of the root file system itself are exchanged with symlinks.

    Nothing is made on the host. (Who may write to a root file system can always move a mount point away, with what is mounted there.)
    Seen to fail with a build of coop whose RootDir resolves with flags 0 in the place of RESOLVE_IN_ROOT.
    """
    fake = victim.rootfs / "fake"
    (fake / "self/attr").mkdir(parents=True)
    (victim.rootfs / "planted").symlink_to("/fake" if name == "proc" else f"../../../../../../../..{outside}")
    for point in ("/dev/pts", "/dev/shm", "/dev/mqueue", "/dev"):
        if name == "dev":
            victim.drop_mount(point)
    victim.linux["devices"] = [{"path": "/dev/extra", "type": "c", "major": 1, "minor": 5}]
    victim.add_mount("/etc/made", "tmpfs", "race", "size=64k")
    attacker(victim.rootfs, (name, "planted"))
    before = pathlib.Path("/proc/sys/kernel/core_pattern").read_text()
    for _ in range(ROUNDS):
        result = runtime.run(victim, timeout=20)
        assert listing(outside) == [str(outside / "precious")], result
    assert pathlib.Path("/proc/sys/kernel/core_pattern").read_text() == before


def test_masks_of_a_moved_proc(runtime, victim, attacker):
    """/proc of the root file system is exchanged between the mount and the masks: what was mounted has all of them, wherever it is now.

    Seen to fail with coop while it looked masked paths up from the root: 6 of 28 containers had a proc without any.
    """
    for name in ("kcore", "timer_list", "sys/kernel"):
        (victim.rootfs / "fake" / name).mkdir(parents=True)
    (victim.rootfs / "planted").symlink_to("/fake")
    victim.linux.update(maskedPaths=["/proc/timer_list"], readonlyPaths=["/proc/fs", "/proc/sys"])
    attacker(victim.rootfs, ("proc", "planted"))
    victim.args("sh", "-c", "cat /proc/self/mountinfo || cat /planted/self/mountinfo")
    for _ in range(ROUNDS):
        mounts = mountinfo.parse(runtime.run(victim, timeout=20).out)
        for proc_mount in (m for m in mounts if m.fstype == "proc" and m.root == "/"):
            inside = {m.root for m in mounts if m.parent == proc_mount.id}
            assert inside == {"/null", "/fs", "/sys"}, mounts


def test_own_start(runtime, make_bundle, workdir, outside):
    """A container attacks its own start: a createContainer hook, in its namespaces, exchanges its mount points while they are used.

    The hook goes on in the background when it has returned, so that masks, read-only paths, pivot and the search for the program run
    beside it.
    """
    bundle = make_bundle("own").writable()
    probe = bundle.rootfs / bundle.probe("swap").lstrip("/")
    (bundle.rootfs / "real").mkdir()
    (bundle.rootfs / "planted").symlink_to(f"../../../../../../../..{outside}")
    inside = bundle.rootfs
    script = f"{probe} {inside}/real {inside}/planted {inside}/etc {inside}/planted >/dev/null 2>&1 & exit 0"
    bundle.hook("createContainer", "/bin/sh", "-c", script)
    bundle.linux["maskedPaths"] += ["/etc/passwd", "/real"]
    bundle.linux["readonlyPaths"] += ["/etc", "/real"]
    bundle.process["cwd"] = "/real"
    bundle.sh("cat /proc/self/mountinfo")
    for _ in range(ROUNDS):
        result = runtime.run(bundle, timeout=20)
        assert result.rc in (0, 1), result
        assert listing(outside) == [str(outside / "precious")], result
        # Resolved in the root file system the symlink leads to a directory of the same name inside; the host's is not below rootfs.
        assert not [m for m in mountinfo.parse(result.out) if m.root.endswith("/outside") and "/rootfs/" not in m.root], result
