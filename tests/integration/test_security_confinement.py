"""What a container may use against those who start it or join it later: beside test_security_attacks.py, which has the list."""

import json
import os
import pathlib
import stat

import pytest

from lib import cgroups, config, mountinfo, proc


@pytest.mark.parametrize("plant", ["touch", "mkfifo"])
@pytest.mark.differs(runc="1.1.5 is older than the fix", crun="writes through the container's /proc")
def test_exec_ignores_the_containers_proc(runtime, bundle, workdir, plant):
    """CVE-2025-52881: the container has put its own files over /proc; exec writes oom_score_adj to the kernel all the same, or waits for
    nobody at a FIFO.

    Seen to fail with coop while it wrote the value after it had entered the container.
    """
    bundle.caps("CAP_SYS_ADMIN").writable()
    bundle.linux["maskedPaths"] = bundle.linux["readonlyPaths"] = []
    script = f"mount -t tmpfs planted /proc && mkdir -p /proc/self && {plant} /proc/self/oom_score_adj && touch /tmp/ready; sleep 1000"
    process = config.default()["process"]
    process.update(args=["sleep", "1000"], oomScoreAdj=123)
    (workdir / "process.json").write_text(json.dumps(process))
    with runtime.running(bundle.sh(script)) as state:
        proc.until(lambda: (bundle.rootfs / "tmp/ready").exists())
        runtime("exec", "--detach", "--pid-file", workdir / "pid", "--process", workdir / "process.json", bundle.id, stdio="null").check()
        pid = (workdir / "pid").read_text()
        assert pathlib.Path(f"/proc/{pid}/oom_score_adj").read_text() == "123\n"
        if plant == "touch":
            assert pathlib.Path(f"/proc/{state['pid']}/root/proc/self/oom_score_adj").read_text() == ""


def test_oom_score_in_a_user_namespace(runtime, bundle):
    """oomScoreAdj works in a user namespace as well, where the file belongs to nobody of the container."""
    bundle.userns()
    bundle.process["oomScoreAdj"] = 321
    assert runtime.output(bundle.args("cat", "/proc/self/oom_score_adj")) == "321\n"


def test_sysctl_ignores_the_image(runtime, make_bundle):
    """CVE-2025-52881: without a /proc mount the image's own file of the name stays untouched; the namespace gets the value."""
    bundle, reader = make_bundle("writer"), make_bundle("reader")
    planted = bundle.rootfs / "proc/sys/net/ipv4/ip_forward"
    planted.parent.mkdir(parents=True)
    planted.write_text("planted")
    bundle.drop_mount("/proc").writable()
    bundle.linux["maskedPaths"] = bundle.linux["readonlyPaths"] = []
    bundle.linux["sysctl"] = {"net.ipv4.ip_forward": "1"}
    with runtime.running(bundle.args("sleep", "1000")) as state:
        assert planted.read_text() == "planted"
        reader.namespace("network", f"/proc/{state['pid']}/ns/net")
        assert runtime.output(reader.args("cat", "/proc/sys/net/ipv4/ip_forward")) == "1\n"


@pytest.mark.needs("cgroup1")
def test_host_cgroups_through_sys(runtime, bundle, prefix):
    """CVE-2023-25809: a user namespace in the host's network namespace sees the host's /sys, with all its cgroups: read-only, as every
    mount below it, and with the flags of the configuration - though its root owns a cgroup there.

    Seen to fail with a build that does not make the borrowed sysfs read-only.
    """
    folder = cgroups.directory("pids", f"/{prefix}/{bundle.id}-delegated")
    folder.mkdir(parents=True)
    for path in (folder, folder / "cgroup.procs"):
        os.chown(path, 100000, 100000)
    bundle.userns().namespace("network", absent=True).drop_mount("/sys/fs/cgroup")
    bundle.mount_for("/sys")["options"].remove("ro")
    inside = f"/sys/fs/cgroup/pids/{prefix}/{folder.name}"
    try:
        script = f"test -d {inside} && echo seen; echo 0 > {inside}/cgroup.procs && echo joined; mkdir {inside}/made && echo made; cat /proc/self/mountinfo"
        out = runtime.run(bundle.sh(script)).check().out
        words = [l for l in out.splitlines() if " - " not in l]
        assert words == ["seen"], out
        top = mountinfo.at(mountinfo.parse("\n".join(l for l in out.splitlines() if " - " in l)), "/sys")
        assert {"ro", "nosuid", "nodev", "noexec"} <= top.options, out
    finally:
        os.rmdir(folder)


def test_streams_are_not_given_away(runtime, bundle):
    """The null device as standard stream is not chowned to the container's user: it is the host's. Only pipes of the caller are.

    Seen to fail with a build that gives every stream to the user.
    """
    bundle.process["user"] = {"uid": 1000, "gid": 1000}
    before = os.stat("/dev/null")
    runtime.run(bundle, stdio="null").check()
    after = os.stat("/dev/null")
    assert (before.st_uid, before.st_gid, before.st_mode) == (after.st_uid, after.st_gid, after.st_mode)


def test_mount_points_below_a_setgid_directory(runtime, bundle):
    """Directories made for mount points below a setgid directory inherit its group, and the start does not stumble over the bit."""
    top = bundle.rootfs / "shared"
    top.mkdir()
    os.chown(top, 0, 1234)
    top.chmod(0o2775)
    bundle.writable().add_mount("/shared/one/two", "tmpfs", "tmpfs")
    runtime.run(bundle).check()
    assert (top / "one").stat().st_gid == 1234
    assert (top / "one").stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("kind", ["prestart", "createRuntime"])
def test_init_dies_during_create(runtime, bundle, kind):
    """The init is killed while its creator talks to it: an error at once, no wait for an answer that cannot come (runc's issue 5087)."""
    script = 'pid=$(grep -o \'"pid":[0-9]*\' | tr -dc 0-9); kill -9 "$pid"; exit 0'
    bundle.hook(kind, "/bin/sh", "-c", script, env=["PATH=/usr/bin:/bin"])
    runtime.create(bundle, timeout=15).fails(rc=1)
    assert not runtime.has_state(bundle.id)


def test_start_of_a_dead_init(runtime, bundle):
    """start of a container whose waiting init was killed: an error at once."""
    with runtime.created(bundle) as state:
        os.kill(state["pid"], 9)
        runtime.wait_status(bundle.id, "stopped")
        runtime("start", bundle.id, timeout=15).fails("stopped", rc=1)


@pytest.mark.parametrize("flags", [(), ("--no-pivot",)])
def test_chroot_escape(runtime, bundle, workdir, flags):
    """A container that may chroot leaves its root in the classical way: with and without pivot_root it finds nothing of the host."""
    (workdir / "precious").write_text("x")
    bundle.caps("CAP_SYS_CHROOT", "CAP_DAC_OVERRIDE").writable()
    out = runtime.output(bundle.args(bundle.probe("escape"), workdir / "precious", "/etc/debian_version", "/bin/busybox"), *flags)
    assert out == f"{workdir}/precious no\n/etc/debian_version no\n/bin/busybox yes\n"


@pytest.mark.parametrize("target", ["/proc/sysrq-trigger", "../../../outside", "/etc/victim"])
def test_terminal_links(runtime, bundle, target):
    """CVE-2025-52565: the image's /dev/pts/ptmx and /dev/pts/0 are links; the terminal comes from a real devpts or there is none."""
    for point in ("/dev/pts", "/dev/shm", "/dev/mqueue", "/dev"):
        bundle.drop_mount(point)
    (bundle.rootfs / "dev/pts").mkdir()
    (bundle.rootfs / "etc/victim").write_text("victim")
    (bundle.path / "outside").write_text("outside")
    for name in ("ptmx", "0"):
        (bundle.rootfs / "dev/pts" / name).symlink_to(target)
    bundle.process["terminal"] = True
    bundle.writable().save()
    result = proc.run("script", "-qec", " ".join(runtime.argv("run", "-b", bundle.path, bundle.id)), "/dev/null", env=runtime.environ, timeout=15)
    assert result.rc == 1, result
    assert (bundle.rootfs / "etc/victim").read_text() == "victim"
    assert (bundle.path / "outside").read_text() == "outside"


@pytest.mark.differs(runc="opens it")
def test_device_node_without_device_is_covered(runtime, bundle):
    """In a user namespace nodes are bound over those of the image, which are not opened: this one has no device, and would say ENXIO."""
    for point in ("/dev/pts", "/dev/shm", "/dev/mqueue", "/dev"):
        bundle.drop_mount(point)
    os.mknod(bundle.rootfs / "dev/tty", 0o600 | stat.S_IFCHR, os.makedev(9, 200))
    bundle.userns(host_id=0)
    assert runtime.output(bundle.writable().sh("stat -c %t:%T /dev/tty")).split() == ["5:0"]


@pytest.mark.parametrize("name", ["ptmx", "console"])
@pytest.mark.differs(runc="opens them", crun="opens them")
def test_device_nodes_of_the_image_are_not_opened(runtime, bundle, name):
    """A node that the image has at /dev/pts/ptmx or /dev/console is not opened on the way to a terminal: some devices act on that.

    Opening the tape device here, which is not there, would be the error ENXIO.
    """
    for point in ("/dev/pts", "/dev/shm", "/dev/mqueue", "/dev"):
        bundle.drop_mount(point)
    (bundle.rootfs / "dev/pts").mkdir()
    place = bundle.rootfs / ("dev/pts/ptmx" if name == "ptmx" else "dev/console")
    os.mknod(place, 0o600 | stat.S_IFCHR, os.makedev(9, 200))
    if name == "console":
        bundle.add_mount("/dev/pts", "devpts", "devpts", "newinstance", "ptmxmode=0666", "mode=0620")
    bundle.process["terminal"] = True
    bundle.writable().save()
    result = proc.run("script", "-qec", " ".join(runtime.argv("run", "-b", bundle.path, bundle.id)), "/dev/null", env=runtime.environ, timeout=15)
    assert "ENXIO" not in result.out
    assert result.rc == (1 if name == "ptmx" else 0), result
