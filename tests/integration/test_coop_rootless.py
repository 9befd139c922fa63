"""coop as a user without privileges, and as root inside a container."""

import json
import os
import pathlib
import re
import shutil

import pytest

from lib import isolate, proc, rootfs, users
from lib.runtime import Runtime
from lib.users import RANGE, UID

pytestmark = pytest.mark.needs("root", "isolation", "userns")


class Unprivileged(Runtime):
    """The runtime, started by the user UID."""

    def argv(self, *args, flags=()):
        return users.as_user(*super().argv(*args, flags=flags))


@pytest.fixture
def user(workdir, accounts):
    """The runtime of the user, with a state root of their own."""
    home = workdir / "home"
    home.mkdir()
    os.chown(home, UID, UID)
    value = Unprivileged(home / "state", home)
    os.chown(home / "tmp", UID, UID)
    yield value
    value.delete_all()


@pytest.fixture
def box(user, bundle):
    """A bundle as spec --rootless describes it: one id is mapped."""
    own(bundle.path, UID)
    mapping = [{"containerID": 0, "hostID": UID, "size": 1}]
    bundle.namespace("user").namespace("network", absent=True)
    bundle.linux.update(uidMappings=mapping, gidMappings=mapping)
    bundle.linux.pop("cgroupsPath", None)
    bundle.linux.pop("resources", None)
    bundle.drop_mount("/sys").drop_mount("/sys/fs/cgroup").add_mount("/sys", "none", "/sys", "rbind", "nosuid", "noexec", "nodev", "ro")
    pts = bundle.mount_for("/dev/pts")
    pts["options"] = [o for o in pts["options"] if not o.startswith("gid=")]
    return bundle


@pytest.fixture
def wide(box):
    """A range of ids is mapped."""
    mapping = [{"containerID": 0, "hostID": UID, "size": 1}, {"containerID": 1, "hostID": RANGE, "size": 65535}]
    box.linux.update(uidMappings=mapping, gidMappings=mapping)
    return box


def own(path, uid):
    """chown -R"""
    for folder, names, files in os.walk(path):
        for name in [*names, *files, "."]:
            os.lchown(os.path.join(folder, name), uid, uid)


def test_run(user, box):
    """The process is root inside and the user outside."""
    assert user.output(box.args("id", "-u")) == "0\n"
    with user.running(box.sh("sleep 1000")) as state:
        assert os.stat(f"/proc/{state['pid']}").st_uid == UID
        assert user("exec", box.id, "id", "-u").check().out == "0\n"


def test_spec(user, box, workdir):
    """What spec --rootless writes runs."""
    user("spec", "--rootless", cwd=workdir / "home").check()
    config = json.loads((workdir / "home" / "config.json").read_text())
    assert config["linux"]["uidMappings"] == [{"containerID": 0, "hostID": UID, "size": 1}]
    config["process"].update(terminal=False, args=["echo", "rootless"])
    config["root"]["path"] = str(box.rootfs)
    box.config = config
    assert user.output(box) == "rootless\n"


def test_life(user, box):
    """create, start, state, list, ps, kill, delete without control groups."""
    with user.created(box.sh("sleep 1000")):
        assert user.status(box.id) == "created"
        user("start", box.id).check()
        assert user.status(box.id) == "running"
        assert user.ids() == [box.id]
        pid = user.state(box.id)["pid"]
        assert json.loads(user("ps", "--format", "json", box.id).check().out) == [pid]
        user("kill", box.id, "KILL").check()
        user.wait_status(box.id, "stopped")
        user("delete", box.id).check()
        assert user.ids() == []


def test_devices(user, box):
    """The standard devices are there and work."""
    assert user.output(box.sh("echo x > /dev/null && head -c 2 /dev/zero | wc -c")).strip() == "2"


def test_setgroups_is_denied(user, box):
    """With the user's own group alone, setgroups is off, and asking for further groups only warns."""
    box.process["user"]["additionalGids"] = [5]
    result = user.run(box.sh("cat /proc/self/setgroups")).check()
    assert result.out == "deny\n"
    assert "supplementary groups" in result.err


def test_resources_are_tolerated(user, box):
    """Limits that cannot be set are no error."""
    box.resources.update(memory={"limit": 1 << 26}, pids={"limit": 10})
    user.run(box.args("true")).check()


def test_pause_without_cgroup(user, box):
    """pause says that there is nothing to freeze with."""
    with user.running(box.sh("sleep 1000")):
        user("pause", box.id).fails(rc=1)
        assert user.status(box.id) == "running"


def test_mapping_of_others(user, box):
    """An id that is not the user's is refused, and nothing is left."""
    box.linux["uidMappings"] = [{"containerID": 0, "hostID": UID + 1, "size": 1}]
    user.run(box.args("true")).fails("uid mappings", rc=1)


@pytest.mark.needs("uidmap")
class TestRange:
    """Mappings through newuidmap and newgidmap."""

    def test_ids(self, user, wide):
        """Other users exist inside, with the ids of the range outside."""
        wide.process["user"] = {"uid": 1000, "gid": 1000, "additionalGids": [29]}
        assert user.output(wide.sh("id -u; id -g; id -G")).split() == ["1000", "1000", "1000", "29"]
        with user.running(wide.sh("sleep 1000")) as state:
            assert os.stat(f"/proc/{state['pid']}").st_uid == RANGE + 999

    def test_chown(self, user, wide):
        """Files may be given to them."""
        wide.writable().caps("CAP_CHOWN")
        user.run(wide.sh("touch /file && chown 7:8 /file")).check()
        info = (wide.rootfs / "file").stat()
        assert (info.st_uid, info.st_gid) == (RANGE + 6, RANGE + 7)

    def test_beyond_the_range(self, user, wide):
        """A range that is not the user's is refused by name."""
        wide.linux["uidMappings"][1]["hostID"] = RANGE + 100000
        user.run(wide.args("true")).fails("newuidmap", "subuid", rc=1)

    def test_no_helper(self, user, wide):
        """Without the helper the error says what to install."""
        wide.save()
        argv = user.argv("run", "-b", wide.path, wide.id)
        argv[0] = "/usr/bin/setpriv"
        proc.run(*argv, env={**user.environ, "PATH": "/nowhere"}).fails("newuidmap", "'uidmap'", rc=1)


def test_maps_by_default(user, box):
    """A user namespace without maps gets the caller as 0 and the caller's subordinate ids from 1 on."""
    box.linux.pop("uidMappings")
    box.linux.pop("gidMappings")
    box.process["user"] = {"uid": 7, "gid": 8}
    lines = user.output(box.sh("id -u; id -g; cat /proc/self/uid_map /proc/self/gid_map")).splitlines()
    assert lines[:2] == ["7", "8"]
    assert [line.split() for line in lines[2:]] == 2 * [["0", str(UID), "1"], ["1", str(RANGE), "65536"]]


def test_maps_by_default_without_helpers(user, box, workdir):
    """Without newuidmap there is one id: the caller's, as 0."""
    box.linux.pop("uidMappings")
    box.linux.pop("gidMappings")
    box.sh("cat /proc/self/uid_map /proc/self/gid_map").save()
    env = {**user.environ, "PATH": str(workdir)}
    result = proc.run(shutil.which("setpriv"), *user.argv("run", "--bundle", box.path, box.id)[1:], env=env).check()
    assert [line.split() for line in result.lines] == 2 * [["0", str(UID), "1"]]


def test_exec_with_maps_by_default(user, box):
    """What was filled in is what later commands know of the container."""
    box.linux.pop("uidMappings")
    box.linux.pop("gidMappings")
    with user.running(box.sh("sleep 1000")):
        assert user("exec", "--user", "5:6", box.id, "sh", "-c", "id -u; id -g").check().out.split() == ["5", "6"]


@pytest.mark.differs(runc="wants user 0 mapped")
def test_nobody_is_user_0(user, box):
    """A map of the caller to the same id, and of nobody to 0: the container has that user, with and without exec."""
    mapping = [{"containerID": UID, "hostID": UID, "size": 1}]
    box.linux.update(uidMappings=mapping, gidMappings=mapping)
    box.process["user"] = {"uid": UID, "gid": UID}
    with user.running(box.sh("sleep 1000")):
        assert user("exec", "--user", f"{UID}:{UID}", box.id, "sh", "-c", "id -u; cat /proc/self/uid_map").check().out.split() == [str(UID), str(UID), str(UID), "1"]


@pytest.mark.differs(runc="wants user 0 mapped")
def test_root_makes_a_namespace_without_user_0(runtime, bundle):
    """The same by root, who has no number inside."""
    mapping = [{"containerID": 1000, "hostID": RANGE, "size": 10}]
    bundle.namespace("user").linux.update(uidMappings=mapping, gidMappings=mapping)
    for folder, _, files in os.walk(bundle.rootfs):
        for path in [folder, *(os.path.join(folder, name) for name in files)]:
            os.chown(path, RANGE, RANGE, follow_symlinks=False)
    bundle.process["user"] = {"uid": 1003, "gid": 1003}
    bundle.mount_for("/dev/pts")["options"] = ["newinstance", "ptmxmode=0666"]
    with runtime.running(bundle.sh("sleep 1000")):
        assert runtime("exec", "--user", "1004:1004", bundle.id, "id", "-u").check().out == "1004\n"


def test_update_without_a_group(user, box):
    """An update of a container that could have no control group says that, not that the kernel lacks a file."""
    with user.running(box.sh("sleep 1000")):
        user("update", "--memory", "10M", box.id).fails("has no cgroup that could be updated", rc=1)


def test_namespaces_need_a_user_namespace(user, box):
    """Who is not root is told which namespace is missing."""
    box.namespace("user", absent=True)
    box.linux.pop("uidMappings")
    box.linux.pop("gidMappings")
    user.run(box.sh("true")).fails("coop spec --rootless", rc=1)


def moved(box):
    """Ask for a clock since boot that is years ahead; the program prints offsets, namespace and that clock."""
    box.namespace("time").linux["timeOffsets"] = {"boottime": {"secs": 10**8}}
    return box.sh("cat /proc/self/timens_offsets; readlink /proc/self/ns/time; cut -d. -f1 /proc/uptime")


@pytest.mark.needs("timens")
def test_time_namespace(user, box):
    """The clocks of the container stand where its configuration says, for exec as well; its owner is its user namespace."""
    words = user.output(moved(box)).split()
    assert words[-4:-2] == ["100000000", "0"] and words[-2] != os.readlink("/proc/self/ns/time") and int(words[-1]) >= 10**8
    with user.running(box.sh("sleep 1000")) as state:
        assert os.readlink(f"/proc/{state['pid']}/ns/time") == os.readlink(f"/proc/{state['pid']}/ns/time_for_children")
        assert int(user("exec", box.id, "cut", "-d.", "-f1", "/proc/uptime").check().out) >= 10**8
        assert os.stat(f"/proc/{state['pid']}/environ").st_uid == UID


def is_other(namespace, own):
    """A PID namespace is shown when the first process in it is born."""
    return os.path.exists(namespace) and os.readlink(namespace) != os.readlink(own)


@pytest.mark.needs("timens", "strace")
def test_time_namespace_beside_neighbours(user, box, workdir):
    """In user and PID namespaces that others are in, the offsets are written by a process that they do not see: for that it must let itself be
    traced, and its root is the host's."""
    holder = ("setpriv", "--reuid", str(UID), "--regid", str(UID), "--clear-groups", "unshare", "--user", "--map-root-user", "--pid", "--fork")
    with proc.Background(*holder, "--kill-child", "sleep", "1000") as neighbour:
        namespaces = f"/proc/{neighbour.pid}/ns"
        proc.until(lambda: all(is_other(f"{namespaces}/{one}", f"/proc/self/ns/{one}") for one in ("user", "pid_for_children")))
        moved(box).namespace("user", f"{namespaces}/user").namespace("pid", f"{namespaces}/pid_for_children")
        box.linux.pop("uidMappings")
        box.linux.pop("gidMappings")
        box.save()
        log = workdir / "calls"
        trace = ("strace", "-f", "-X", "raw", "-e", "trace=prctl,execve", "-o", log)
        words = proc.run(*trace, *user.argv("run", "--bundle", box.path, box.id), env=user.environ).check().out.split()
    assert words[-4:-2] == ["100000000", "0"] and int(words[-1]) >= 10**8
    calls = log.read_text()
    (program,) = re.findall(r'^(\d+) +execve\("[^"]*/sh".* = 0$', calls, re.MULTILINE)
    traceable = re.findall(r"^(\d+) +prctl\(0x4, 0x1[,)]", calls, re.MULTILINE)
    assert traceable and program not in traceable


@pytest.mark.needs("timens")
def test_time_before_zero(user, box):
    """An offset that cannot be is told in words."""
    box.namespace("time").linux["timeOffsets"] = {"boottime": {"secs": -(10**9)}}
    user.run(box.sh("true")).fails("time offsets: a clock would stand before zero", rc=1)


class Engine(Unprivileged):
    """The runtime as podman calls it without privileges: as root of a user namespace that the engine has made."""

    namespace = 0  # a process in it

    def argv(self, *args, flags=()):
        """Without --root, as podman does."""
        words = Unprivileged.argv(self, *args, flags=flags)
        at = words.index(self.binary)
        enter = ("nsenter", "--target", str(self.namespace), "--user", "--mount", "--preserve-credentials")
        return [*words[:at], *enter, self.binary, *words[at + 3 :]]


@pytest.mark.needs("uidmap")
@pytest.mark.differs(crun="its state is elsewhere", runc="its state is elsewhere")
class TestCallersNamespace:
    """In the user namespace of an engine the container makes none."""

    @pytest.fixture
    def engine(self, user, workdir):
        """State is where the user's own commands look for it."""
        value = Engine(workdir / "home/run/cooper/coop", workdir / "home")
        value.environ["XDG_RUNTIME_DIR"] = str(workdir / "home/run")
        (workdir / "home/run").mkdir()
        os.chown(workdir / "home/run", UID, UID)
        become = Unprivileged.argv(user)
        make = (*become[: become.index(user.binary)], "unshare", "--user", "--map-root-user", "--map-auto", "--mount", "sleep", "1000")
        with proc.Background(*make) as holder:
            value.namespace = holder.pid
            proc.until(lambda: pathlib.Path(f"/proc/{holder.pid}/comm").read_text() == "sleep\n", 10, 0.01, "the user namespace")
            yield value

    @pytest.fixture
    def plain(self, bundle):
        """A bundle as engines write it for root, with a mount of the control groups; the files are the user's."""
        own(bundle.path, UID)
        return bundle

    def test_run(self, engine, plain):
        """Nothing is asked of the host's directories and control groups, and nothing of the latter is shown."""
        lines = engine.output(plain.sh("id -u; cat /proc/self/uid_map; find /sys/fs/cgroup -type d | wc -l")).splitlines()
        assert lines[0] == "0" and lines[1].split() == ["0", str(UID), "1"] and lines[-1] == "1"

    @pytest.mark.needs("cgroup1")
    def test_mount_below_the_control_groups(self, engine, plain):
        """Where nothing of them is shown, a mount among them is all there is (podman --systemd=always)."""
        plain.add_mount("/sys/fs/cgroup/systemd", "bind", plain.path, "bind", "rprivate")
        assert engine.output(plain.sh("ls /sys/fs/cgroup; ls /sys/fs/cgroup/systemd")).splitlines()[:3] == ["systemd", "config.json", "rootfs"]

    def test_groups(self, engine, plain):
        """Supplementary groups are those of the configuration, as the namespace lets them be set."""
        plain.process["user"]["additionalGids"] = [29]
        with engine.running(plain.sh("id -G; sleep 1000")) as state:
            assert os.stat(f"/proc/{state['pid']}").st_uid == UID
            groups = pathlib.Path(f"/proc/{state['pid']}/status").read_text().split("Groups:")[1].splitlines()[0]
            assert groups.split() == [str(RANGE + 28)]
            assert engine("exec", "--additional-gids", "31", plain.id, "id", "-G").check().out.split() == ["0", "29", "31"]

    def test_namespace_of_its_own(self, engine, plain):
        """A user namespace in that of the engine, as podman's --userns=keep-id makes it."""
        mapping = [{"containerID": 0, "hostID": 1, "size": 7}, {"containerID": 7, "hostID": 0, "size": 1}]
        plain.namespace("user").linux.update(uidMappings=mapping, gidMappings=mapping)
        plain.process["user"] = {"uid": 7, "gid": 7}
        plain.mount_for("/dev/pts")["options"] = ["newinstance", "ptmxmode=0666"]
        with engine.running(plain.sh("sleep 1000")) as state:
            assert os.stat(f"/proc/{state['pid']}").st_uid == UID
            assert engine("exec", plain.id, "id", "-u").check().out == "7\n"

    @pytest.mark.needs("timens")
    def test_time_namespace(self, engine, plain):
        """The container makes its own."""
        words = engine.output(moved(plain)).split()
        assert words[-2] != os.readlink("/proc/self/ns/time") and int(words[-1]) >= 10**8

    def test_state_is_the_users(self, engine, user, plain):
        """Outside of the namespace the user's commands find the container; root by name has the state of root."""
        with engine.running(plain.sh("sleep 1000")):
            listed = proc.run(*[w for w in user.argv("list", "-q") if w not in ("--root", str(user.root))], env=engine.environ).check()
            assert listed.out.split() == [plain.id]
            engine("state", plain.id, env={"USER": "root"}).fails("does not exist", rc=1)


class TestNested:
    """coop as root in a container of coop."""

    INNER = {
        "ociVersion": "1.0.2",
        "process": {"terminal": False, "user": {"uid": 0, "gid": 0}, "args": ["sh", "-c", "echo $$; id -u"], "env": ["PATH=/bin"], "cwd": "/"},
        "root": {"path": "/", "readonly": False},
        "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
        "linux": {"namespaces": [{"type": kind} for kind in ("pid", "mount", "ipc", "uts")]},
    }

    def outer(self, runtime, bundle):
        """A container with all capabilities and the runtime's own binary in it; the inner bundle in /inner."""
        status = pathlib.Path("/proc/self/status").read_text()
        bound = int(status.split("CapBnd:")[1].split()[0], 16)
        names = [n for n in json.loads(runtime("features").check().out)["linux"]["capabilities"]]
        bundle.writable().caps(*(n for i, n in enumerate(names) if bound >> i & 1))
        bundle.linux.update(maskedPaths=[], readonlyPaths=[])
        bundle.process["noNewPrivileges"] = False
        shutil.copy2(runtime.binary, bundle.rootfs / "bin" / "coop")
        inner = bundle.rootfs / "inner"
        (inner / "rootfs").mkdir(parents=True)
        rootfs.make_busybox(inner / "rootfs")
        config = json.loads(json.dumps(self.INNER))
        config["root"]["path"] = "rootfs"
        (inner / "config.json").write_text(json.dumps(config))
        return bundle.args("coop", "--root", "/run/c", "run", "--bundle", "/inner", "inner")

    def test_in_user_namespace(self, runtime, bundle):
        """Inside a user namespace missing rights on control groups are tolerated."""
        bundle = self.outer(runtime, bundle)
        bundle.userns(host_id=RANGE)
        assert runtime.output(bundle).split() == ["1", "0"]

    MASKED = ("/proc/acpi", "/proc/kcore", "/proc/keys")

    @pytest.mark.differs(runc="says EPERM alone", crun="says EPERM alone")
    @pytest.mark.parametrize("pid", ["new pid namespace", "pid namespace of the outer container"])
    def test_proc_partly_covered(self, runtime, bundle, pid):
        """In a container whose /proc is masked the kernel makes no proc for user namespaces: the outer one is shown, or what to do is said."""
        bundle = self.outer(runtime, bundle)
        bundle.linux["maskedPaths"] = list(self.MASKED)
        path = bundle.rootfs / "inner/config.json"
        config = json.loads(path.read_text())
        config["linux"]["namespaces"].append({"type": "user"})
        mapping = [{"containerID": 0, "hostID": 0, "size": 1000}]
        config["linux"].update(uidMappings=mapping, gidMappings=mapping)
        config["process"]["args"] = ["sh", "-c", "grep -c . /proc/self/uid_map"]
        if pid.startswith("pid"):
            config["linux"]["namespaces"] = [n for n in config["linux"]["namespaces"] if n["type"] != "pid"]
        path.write_text(json.dumps(config))
        bundle.args("coop", "--root", "/run/c", "--rootless", "true", "run", "--bundle", "/inner", "inner")
        if pid.startswith("pid"):
            assert runtime.output(bundle).split() == ["1"]
        else:
            runtime.run(bundle).fails("unmask=ALL", rc=1)

    def test_privileged(self, runtime, bundle):
        """With writable control groups in it."""
        bundle = self.outer(runtime, bundle)
        bundle.mount_for("/sys/fs/cgroup")["options"].remove("ro")
        assert runtime.output(bundle).split() == ["1", "0"]
