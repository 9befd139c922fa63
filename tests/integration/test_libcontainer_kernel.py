"""What a libcontainer configuration asks of the kernel, as the kernel shows it: files of control groups, paths, labels, pressure."""

import contextlib
import json
import os
import pathlib
import shutil
import tempfile

import pytest

from lib import cgroups, paths, proc, units
from lib import libcontainer as lc
from lib.apparmor import profile  # noqa: F401
from lib.libcontainer import box, group_of, lc_engine, limit, make_container  # noqa: F401

MIB = 1 << 20


# --- limits -----------------------------------------------------------------------------


@pytest.mark.needs("memory-limits")
@pytest.mark.guest
def test_memory_reservation(box):
    """memory_reservation: the soft limit of v1, the protected amount of v2."""
    box.config["cgroups"]["memory_reservation"] = 32 * MIB
    with box.running():
        assert limit(box.state(), "memory", "memory.soft_limit_in_bytes" if cgroups.is_v1() else "memory.low") == str(32 * MIB)


@pytest.mark.needs("cgroup1-memory")
def test_memory_of_v1(box):
    """oom_kill_disable, memory_swappiness: in the files that only v1 has."""
    box.config["cgroups"] |= {"memory": 64 * MIB, "oom_kill_disable": True, "memory_swappiness": 10}
    with box.running():
        state = box.state()
        assert "oom_kill_disable 1" in limit(state, "memory", "memory.oom_control").splitlines()
        assert limit(state, "memory", "memory.swappiness") == "10"


@pytest.mark.guest
def test_cpuset(box):
    """cpuset_cpus, cpuset_mems: the processors and memory nodes that the process may use."""
    box.config["cgroups"] |= {"cpuset_cpus": "0", "cpuset_mems": "0"}
    with box.running():
        state = box.state()
        assert (limit(state, "cpuset", "cpuset.cpus"), limit(state, "cpuset", "cpuset.mems")) == ("0", "0")
        assert "Cpus_allowed_list:\t0\n" in box.exec("cat", "/proc/self/status").check().out


@pytest.mark.guest
def test_hugetlb_limit(box):
    """hugetlb_limit: of one page size."""
    if not pathlib.Path("/sys/kernel/mm/hugepages/hugepages-2048kB").exists():
        pytest.skip("the machine has no huge pages of 2 MB")
    if cgroups.is_v1() and "hugetlb" not in cgroups.v1_hierarchies():
        pytest.skip("no cgroup v1 hierarchy with the hugetlb controller")
    box.config["cgroups"]["hugetlb_limit"] = [{"page_size": "2MB", "limit": 4 * MIB}]
    with box.running():
        assert limit(box.state(), "hugetlb", "hugetlb.2MB.limit_in_bytes" if cgroups.is_v1() else "hugetlb.2MB.max") == str(4 * MIB)


@pytest.mark.needs("cgroup1-net_cls")
def test_class_of_packets(box):
    """net_cls_classid: a number in any notation."""
    box.config["cgroups"]["net_cls_classid"] = "0x100001"
    with box.running():
        assert limit(box.state(), "net_cls", "net_cls.classid") == str(0x100001)


@pytest.mark.needs("cgroup1-net_prio")
def test_priority_of_packets(box):
    """net_prio_ifpriomap: by the names of the host's interfaces."""
    box.config["cgroups"]["net_prio_ifpriomap"] = [{"interface": "lo", "priority": 5}]
    with box.running():
        assert "lo 5" in limit(box.state(), "net_prio", "net_prio.ifpriomap").splitlines()


def disk():
    """major, minor of a whole disk."""
    for entry in sorted(pathlib.Path("/sys/block").iterdir()):
        if not entry.name.startswith(("loop", "ram", "zram")):
            return tuple(int(n) for n in (entry / "dev").read_text().strip().split(":"))
    pytest.skip("the machine has no disk")


@pytest.mark.guest
def test_throttle_devices(box):
    """blkio_throttle_*_device: a rate for each direction and unit, of one disk."""
    if cgroups.is_v1() and "blkio" not in cgroups.v1_hierarchies():
        pytest.skip("no cgroup v1 hierarchy with the blkio controller")
    major, minor = disk()
    kinds = ("read_bps", "write_bps", "read_iops", "write_iops")
    box.config["cgroups"] |= {f"blkio_throttle_{kind}_device": [{"major": major, "minor": minor, "rate": 1000000 + i}] for i, kind in enumerate(kinds)}
    with box.running():
        state = box.state()
        if cgroups.is_v1():
            found = [limit(state, "blkio", f"blkio.throttle.{kind}_device") for kind in kinds]
            assert found == [f"{major}:{minor} {1000000 + i}" for i in range(4)]
        else:
            assert limit(state, "io", "io.max") == f"{major}:{minor} rbps=1000000 wbps=1000001 riops=1000002 wiops=1000003"


def test_weight_devices(box):
    """blkio_weight_device: the weight and the leaf weight of one disk, where the kernel's scheduler knows them."""
    major, minor = disk()
    if "[bfq]" not in pathlib.Path(f"/sys/dev/block/{major}:{minor}/queue/scheduler").read_text():
        pytest.skip("the disk's I/O scheduler, which is not BFQ, knows no weights")
    with box.running():
        group = group_of(box.state(), "blkio")
        file = next((name for name in ("blkio.weight_device", "blkio.bfq.weight_device", "io.bfq.weight") if os.path.exists(f"{group}/{name}")), None)
        leaf = os.path.exists(f"{group}/blkio.leaf_weight_device")
    if file is None:
        pytest.skip("no I/O scheduler of this kernel has weights (CFQ, BFQ)")
    entry = {"major": major, "minor": minor, "weight": 321, **({"leafWeight": 123} if leaf else {})}
    box.config["cgroups"]["blkio_weight_device"] = [entry]
    with box.running():
        state = box.state()
        assert f"{major}:{minor} 321" in limit(state, "blkio", file).splitlines()
        if leaf:
            assert f"{major}:{minor} 123" in limit(state, "blkio", "blkio.leaf_weight_device").splitlines()


# --- events -----------------------------------------------------------------------------


@pytest.fixture
def on_disk():
    """A directory whose files the kernel keeps in memory only as long as it likes."""
    folder = tempfile.mkdtemp(prefix="pressure-", dir=paths.cache_dir())
    kind = proc.run("stat", "-f", "-c", "%T", folder).check().out.strip()
    if kind in ("tmpfs", "ramfs"):
        os.rmdir(folder)
        pytest.skip(f"{paths.cache_dir()} is a {kind}, whose files cannot be dropped from memory")
    yield folder
    shutil.rmtree(folder)


@pytest.mark.needs("memory-limits")
@pytest.mark.parametrize("level", ["low"])
def test_memory_pressure(box, on_disk, level):
    """notify_memory_pressure: oom --pressure prints a line when the kernel has to look for memory, and ends with the container."""
    if not cgroups.is_v1() and not os.path.exists("/proc/pressure/memory"):
        pytest.skip("the kernel has no pressure stall information, or it is switched off")
    box.config["cgroups"] |= {"memory": 16 * MIB}
    box.config["mounts"].append(lc.mount(on_disk, "/disk", "bind", lc.MS_BIND))
    script = "until [ -e /disk/go ]; do sleep 0.05; done; while :; do dd if=/dev/zero of=/disk/file bs=1M count=64 2>/dev/null; done"
    with box.running(script) as there:
        with box.cooper.background("libcontainer", "oom", "--id", box.id, "--pressure", level) as events:
            proc.until(lambda: watches(events.pid), 10, 0.02, "the watch")
            pathlib.Path(on_disk, "go").touch()
            assert events.readline(timeout=20) == f"memory pressure: {level}"
            there.end()
            assert events.wait().rc == 0
    box.verb("oom", "--pressure", "some").fails("low, medium or critical", rc=125)


def watches(pid):
    """Whether a process has asked the kernel for events."""
    names = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):  # it may be closed meanwhile
            names.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
    return any("eventfd" in name or "memory.pressure" in name for name in names)


# --- paths ------------------------------------------------------------------------------


@pytest.mark.guest
def test_masked_and_readonly_paths(box):
    """mask_paths, readonly_paths: files read empty, directories are empty, what is read-only cannot be changed; a path that is not there is none."""
    for name in ("secret", "fixed"):
        (box.rootfs / name).write_text("content\n")
        (box.rootfs / f"{name}.d").mkdir()
        (box.rootfs / f"{name}.d/file").write_text("content\n")
    box.config["mask_paths"] = ["/secret", "/secret.d", "/none", "/proc/kcore"]
    box.config["readonly_paths"] = ["/fixed", "/fixed.d", "/none", "/proc/sys"]
    assert box.output("cat /secret; ls -A /secret.d") == ""
    assert box.output("cat /fixed; ls /fixed.d") == "content\nfile\n"
    for attempt in ("echo x > /fixed", "rm /fixed.d/file", "touch /fixed.d/new", "echo 1 > /proc/sys/kernel/shmmni"):
        assert "Read-only file system" in box.sh(attempt).fails().err, attempt
    box.sh("touch /beside").check()


# --- labels -----------------------------------------------------------------------------


@pytest.mark.needs("apparmor")
def test_apparmor_profile(box, profile):
    """apparmor_profile: the process runs under it, and so does one that joins."""
    (box.rootfs / "etc/forbidden").write_text("secret\n")
    box.config["apparmor_profile"] = profile
    look = "cat /proc/self/attr/current; cat /etc/forbidden 2>&1 || true"
    assert box.output(look).splitlines() == [f"{profile} (enforce)", "cat: can't open '/etc/forbidden': Permission denied"]
    with box.running():
        assert box.exec("sh", "-c", look).check().out.startswith(f"{profile} (enforce)\n")


def label_of(path):
    """SELinux label of a file."""
    return os.getxattr(path, "security.selinux").rstrip(b"\0").decode()


@pytest.mark.needs("selinux")
def test_selinux_labels(box, workdir):
    """process_label, mount_label, relabel: the process, tmpfs mounts and made devices, and the source of a bind mount carry them."""
    process, files = "system_u:system_r:container_t:s0:c1,c2", "system_u:object_r:container_file_t:s0:c1,c2"
    source = workdir / "source"
    source.mkdir()
    box.config |= {"process_label": process, "mount_label": files}
    box.config["mounts"].append(lc.mount(str(source), "/data", "bind", lc.MS_BIND) | {"relabel": "Z"})
    with box.running() as there:
        assert pathlib.Path(f"/proc/{there.pid}/attr/current").read_text().rstrip("\0\n") == process
        assert label_of(f"/proc/{there.pid}/root/dev/shm") == files
        assert label_of(f"/proc/{there.pid}/root/dev/null") == files
    assert label_of(source) == files


# --- systemd ----------------------------------------------------------------------------


def test_slice_without_systemd(box):
    """cgroups.slice: without --systemd it is said that it has no effect; with it, and no systemd, what is missing."""
    box.config["cgroups"]["slice"] = "machine.slice"
    result = box.run("true").check()
    assert "/cgroups/slice is ignored" in result.err and "systemd" in result.err
    if not os.path.isdir("/run/systemd/system"):
        box.run("true", flags=("--systemd",)).fails("systemd does not run on this host", "leave --systemd out", rc=1)
        assert not box.cooper("libcontainer", "ls").check().out


@pytest.mark.needs("systemd")
def test_systemd_groups(box, prefix):
    """--systemd, cgroups.slice: the group is a scope that systemd has made in that slice, with the limits; it ends with the container."""
    box.config["cgroups"] = {"slice": "machine.slice", "parent": prefix, "name": box.id, "memory": 64 * MIB}
    unit = f"{prefix}-{box.id}.scope"
    with box.running(flags=("--systemd",)) as there:
        assert units.show(unit, "ActiveState", "Slice") == {"ActiveState": "active", "Slice": "machine.slice"}
        assert set(cgroups.of_process(there.pid).values()) == {f"/machine.slice/{unit}"}
        assert limit(box.state(), "memory", "memory.limit_in_bytes" if cgroups.is_v1() else "memory.max") == str(64 * MIB)
        assert box.exec("true").check()
        assert json.loads(box.verb("stats").check().out)["cgroup_stats"]["memory_stats"]["usage"]["limit"] == 64 * MIB
    proc.until(lambda: not units.exists(unit), 20, 0.1, f"end of {unit}")
