"""Changes of a running container's mounts and devices."""

import json
import pathlib

import pytest

from lib import cgroups, mountinfo, proc

pytestmark = [pytest.mark.needs("root"), pytest.mark.differs(runc="has no such verb", crun="1.8 has no such verb")]


@pytest.fixture
def box(runtime, bundle):
    """A running container that may write to its root file system."""
    with runtime.running(bundle.writable().sh("sleep 1000")) as state:
        bundle.pid = state["pid"]
        yield bundle


@pytest.fixture
def data(workdir):
    """A host directory with one file."""
    (workdir / "data").mkdir()
    (workdir / "data" / "file").write_text("from the host\n")
    return workdir / "data"


def mounts_at(pid, point):
    """The mounts of a process at this point."""
    return [m for m in mountinfo.parse(pathlib.Path(f"/proc/{pid}/mountinfo").read_text()) if m.point == point]


def test_bind(runtime, box, data):
    """A directory appears in the container, in no other mount namespace, and goes again."""
    host = pathlib.Path("/proc/self/mountinfo").read_text()
    runtime("mount", "add", box.id, data, "/new/place").check()
    assert runtime("exec", box.id, "cat", "/new/place/file").check().out == "from the host\n"
    assert pathlib.Path("/proc/self/mountinfo").read_text() == host
    runtime("exec", box.id, "sh", "-c", "echo changed > /new/place/file").check()
    assert (data / "file").read_text() == "changed\n"
    runtime("mount", "rm", box.id, "/new/place").check()
    assert mounts_at(box.pid, "/new/place") == []
    assert (data / "file").read_text() == "changed\n"


@pytest.mark.parametrize("options", [[], ["-o", "rbind,rshared"]], ids=["plain", "shared"])
def test_mounts_below_stay_inside(runtime, bundle, data, options):
    """What the container mounts below a bind of a directory that shares its mounts does not show on the host."""
    (data / "in").mkdir()
    proc.run("mount", "--bind", data, data).check()
    proc.run("mount", "--make-shared", data).check()
    with runtime.running(bundle.writable().caps("CAP_SYS_ADMIN").sh("sleep 1000")):
        runtime("mount", "add", *options, bundle.id, data, "/mnt").check()
        runtime("exec", bundle.id, "mount", "-t", "tmpfs", "fromwithin", "/mnt/in").check()
        assert "fromwithin /mnt/in tmpfs" in runtime("exec", bundle.id, "cat", "/proc/mounts").check().out
        assert not [m for m in mountinfo.read() if m.source == "fromwithin"]
        proc.run("mount", "-t", "tmpfs", "fromoutside", data / "in").check()
        assert "fromoutside /mnt/in tmpfs" in runtime("exec", bundle.id, "cat", "/proc/mounts").check().out


def test_file(runtime, box, data):
    """A single file can be added and removed."""
    runtime("mount", "add", box.id, data / "file", "/etc/extra").check()
    assert runtime("exec", box.id, "cat", "/etc/extra").check().out == "from the host\n"
    runtime("mount", "rm", box.id, "/etc/extra").check()
    assert mounts_at(box.pid, "/etc/extra") == []


def test_options(runtime, box, data):
    """Options are those of the configuration's mounts."""
    runtime("mount", "add", "-o", "ro,nosuid", "-o", "noexec", box.id, data, "/mnt").check()
    options = mounts_at(box.pid, "/mnt")[0].options
    assert {"ro", "nosuid", "noexec"} <= set(options)
    runtime("exec", box.id, "touch", "/mnt/x").fails("read-only")


def test_tmpfs(runtime, box):
    """A file system that belongs to no namespace, with its own options."""
    runtime("mount", "add", "-t", "tmpfs", "-o", "size=64k,mode=700,nodev", box.id, "scratch", "/scratch").check()
    mount = mounts_at(box.pid, "/scratch")[0]
    assert mount.fstype == "tmpfs" and "nodev" in mount.options
    assert runtime("exec", box.id, "stat", "-c", "%a", "/scratch").check().out == "700\n"
    runtime("exec", box.id, "sh", "-c", "head -c 100000 /dev/zero > /scratch/big").fails()
    runtime("mount", "rm", box.id, "/scratch").check()


def test_recursive(runtime, box, data):
    """What is mounted below the source comes along, unless 'bind' says otherwise."""
    (data / "below").mkdir()
    proc.run("mount", "-t", "tmpfs", "below", data / "below").check()
    try:
        (data / "below" / "deep").write_text("deep")
        runtime("mount", "add", box.id, data, "/all").check()
        runtime("mount", "add", "-o", "bind", box.id, data, "/one").check()
        assert runtime("exec", box.id, "ls", "/all/below").check().out == "deep\n"
        assert runtime("exec", box.id, "ls", "/one/below").check().out == ""
        runtime("mount", "rm", box.id, "/all").check()
    finally:
        proc.run("umount", "-l", data / "below").check()


def test_links_stay_inside(runtime, box, data, workdir):
    """A symbolic link in the container leads to a place in the container, never to one of the host."""
    target = workdir / "host"
    target.mkdir()
    (box.rootfs / "link").symlink_to(target)
    (box.rootfs / "up").symlink_to("../../../../../../../.." + str(target))
    for name in ("link", "up"):
        runtime("mount", "add", box.id, data, f"/{name}/sub").check()
        assert list(target.iterdir()) == []
        assert (box.rootfs / str(target).lstrip("/") / "sub").is_dir()
        runtime("mount", "rm", box.id, f"/{name}/sub").check()


def test_race(runtime, box, data, workdir):
    """A container that exchanges a directory for a link all the time leads no mount out of its root."""
    target = workdir / "host"
    target.mkdir()
    script = f"mkdir -p /d /new; while :; do mv /d /e; ln -s {target} /d; rm /d; mv /e /d; done"
    with runtime.background("exec", box.id, "sh", "-c", script):
        for _ in range(20):
            if runtime("mount", "add", box.id, data, "/d/sub").rc == 0:
                runtime("mount", "rm", box.id, "/d/sub")
    assert list(target.iterdir()) == []
    assert not any(str(target) in line for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines())


@pytest.mark.parametrize("point", ["/proc", "/proc/sys", "/proc/self", "/proc/1/attr", "/"])
def test_proc_is_not_covered(runtime, box, data, point):
    """Nothing is mounted over the kernel's own files, nor over the root."""
    before = pathlib.Path(f"/proc/{box.pid}/mountinfo").read_text()
    runtime("mount", "add", box.id, data, point).fails(rc=1)
    assert pathlib.Path(f"/proc/{box.pid}/mountinfo").read_text() == before


def test_link_to_proc(runtime, box, data):
    """Not through a link either."""
    (box.rootfs / "tricky").symlink_to("/proc/sys")
    runtime("mount", "add", box.id, data, "/tricky").fails("/tricky", rc=1)


def test_user_namespace(runtime, bundle, data):
    """A container in a user namespace: mount points belong to its root."""
    bundle.writable().userns()
    data.chmod(0o755)
    with runtime.running(bundle.sh("sleep 1000")) as state:
        runtime("mount", "add", bundle.id, data, "/deep/new/place").check()
        assert runtime("exec", bundle.id, "cat", "/deep/new/place/file").check().out == "from the host\n"
        assert runtime("exec", bundle.id, "stat", "-c", "%u", "/deep").check().out == "0\n"
        runtime("mount", "rm", bundle.id, "/deep/new/place").check()
        assert mounts_at(state["pid"], "/deep/new/place") == []


def test_created(runtime, bundle, data):
    """A created container takes mounts before its program runs."""
    with runtime.created(bundle.writable().sh("cat /mnt/file; sleep 1000"), output=bundle.path / "out"):
        runtime("mount", "add", bundle.id, data, "/mnt").check()
        runtime("start", bundle.id).check()
        proc.until(lambda: (bundle.path / "out").read_text() == "from the host\n", 10, 0.05, "the output")


@pytest.mark.parametrize(
    "args,words",
    [
        (["add", "{id}", "/no/such/source", "/mnt"], "no such file"),
        (["add", "{id}", "{data}", "relative"], "absolute"),
        (["add", "-t", "proc", "{id}", "proc", "/mnt"], "proc"),
        (["add", "-t", "no-such-fs", "{id}", "x", "/mnt"], "no-such-fs"),
        (["add", "-t", "tmpfs", "-o", "size=nonsense", "{id}", "x", "/mnt"], "size"),
        (["add", "-o", "remount", "{id}", "{data}", "/mnt"], "remount"),
        (["add", "{id}", "{data}"], "arguments"),
        (["rm", "{id}", "/usr"], "not a mount point"),
        (["rm", "{id}", "/no/such"], "no such file"),
        (["rm", "{id}", "/"], "root"),
        (["rm", "-o", "ro", "{id}", "/mnt"], "options"),
        (["list", "{id}"], "'add' or 'rm'"),
        (["add", "nobody", "{data}", "/mnt"], "does not exist"),
    ],
)
def test_errors(runtime, box, data, args, words):
    """Failures say why and change nothing."""
    before = pathlib.Path(f"/proc/{box.pid}/mountinfo").read_text()
    runtime("mount", *(a.format(id=box.id, data=data) for a in args)).fails(words, rc=1)
    assert pathlib.Path(f"/proc/{box.pid}/mountinfo").read_text() == before


def test_readonly_root(runtime, bundle, data):
    """A mount point that would have to be made in a read-only root is an error; one that is there is not."""
    (bundle.rootfs / "there").mkdir()
    with runtime.running(bundle.sh("sleep 1000")):
        runtime("mount", "add", bundle.id, data, "/not/there").fails("read-only", rc=1)
        runtime("mount", "add", bundle.id, data, "/there").check()


def test_stopped(runtime, bundle, data):
    """A stopped container takes none."""
    with runtime.running(bundle.args("true")):
        runtime.wait_status(bundle.id, "stopped")
        runtime("mount", "add", bundle.id, data, "/mnt").fails("not running", rc=1)


@pytest.mark.needs("cgroup1-devices")
class TestDevices:
    """update --devices: device rules of a running container."""

    @staticmethod
    def rules(bundle):
        """devices.list as the kernel shows it."""
        return set(cgroups.read("devices", bundle.linux["cgroupsPath"], "devices.list").splitlines())

    @staticmethod
    def update(runtime, bundle, *rules, flags=("--devices",)):
        """update with these rules."""
        text = json.dumps({"devices": [{"allow": a, "type": t, "major": x, "minor": y, "access": z} for a, t, x, y, z in rules]})
        return runtime("update", *flags, "--resources", "-", bundle.id, stdin=text)

    @pytest.mark.skipif(not pathlib.Path("/dev/fuse").exists(), reason="needs a device that containers do not have by default")
    def test_allow_and_deny(self, runtime, box):
        """A device is allowed, then refused again; the standard devices stay."""
        proc.run("mknod", box.rootfs / "fuse", "c", "10", "229").check()
        before = self.rules(box)
        assert "not permitted" in runtime("exec", box.id, "dd", "if=/fuse", "count=0").err.lower()
        self.update(runtime, box, (True, "c", 10, 229, "rw")).check()
        assert self.rules(box) - before == {"c 10:229 rw"} and before <= self.rules(box)
        runtime("exec", box.id, "dd", "if=/fuse", "count=0").check()
        self.update(runtime, box, (True, "c", 10, 200, "rw")).check()
        assert "c 10:229 rw" not in self.rules(box)
        assert "not permitted" in runtime("exec", box.id, "dd", "if=/fuse", "count=0").err.lower()

    def test_not_asked(self, runtime, box):
        """Without the flag device rules of the file are ignored, as by runc."""
        before = self.rules(box)
        self.update(runtime, box, (True, "c", 10, 229, "rw"), flags=()).check()
        assert self.rules(box) == before

    def test_no_gap(self, runtime, box):
        """A device that is allowed before and after is never refused in between."""
        script = "n=0; while [ ! -e /stop ]; do : > /dev/null || { echo refused; exit 1; }; n=$((n+1)); done; echo $n"
        with runtime.background("exec", box.id, "sh", "-c", script) as loop:
            for minor in range(10):
                self.update(runtime, box, (True, "c", 10, 200 + minor, "rwm")).check()
            (box.rootfs / "stop").touch()
            assert int(loop.wait().check().out) > 0

    def test_errors(self, runtime, box):
        """No rules, no file, a rule that is none: nothing changes."""
        before = self.rules(box)
        runtime("update", "--devices", box.id).fails("--resources", rc=1)
        runtime("update", "--devices", "--resources", "-", box.id, stdin="{}").fails("no device rules", rc=1)
        self.update(runtime, box, (True, "x", 1, 11, "rw")).fails(rc=1)
        assert self.rules(box) == before
