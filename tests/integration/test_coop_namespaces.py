"""Namespaces: new, inherited, joined by path; user namespaces with mappings; time offsets."""

import os
import pathlib
import signal

import pytest

from lib import mountinfo, proc

LINKS = {"pid": "pid", "network": "net", "ipc": "ipc", "uts": "uts", "mount": "mnt", "cgroup": "cgroup", "user": "user", "time": "time"}
SHARED = ["pid", "network", "ipc", "uts", "cgroup"]


def mine(kind):
    """The namespace link of this test process."""
    return os.readlink(f"/proc/self/ns/{LINKS[kind]}")


def inside(runtime, bundle, kind):
    """The namespace link of the container's process."""
    return runtime.output(bundle.args("readlink", f"/proc/self/ns/{LINKS[kind]}")).strip()


@pytest.mark.parametrize("kind", ["pid", "network", "ipc", "uts", "mount", "cgroup"])
def test_new(runtime, bundle, kind):
    """A listed namespace without path is a new one."""
    bundle.namespace(kind)
    assert inside(runtime, bundle, kind) != mine(kind)


@pytest.mark.parametrize("kind", SHARED)
def test_inherited(runtime, bundle, kind):
    """A namespace that is not listed is the caller's."""
    bundle.namespace(kind, absent=True)
    if kind == "uts":
        del bundle.config["hostname"]
    assert inside(runtime, bundle, kind) == mine(kind)


@pytest.mark.parametrize("kind", SHARED)
def test_joined_by_path(runtime, make_bundle, kind):
    """A namespace with a path is entered."""
    holder, bundle = make_bundle("holder"), make_bundle()
    holder.namespace(kind)
    with runtime.running(holder.args(holder.probe("pause"))) as state:
        path = f"/proc/{state['pid']}/ns/{LINKS[kind]}"
        bundle.namespace(kind, path)
        assert inside(runtime, bundle, kind) == os.readlink(path)


class TestSharedMounts:
    """Containers whose mounts are in a namespace that others use: chroot, and all is unmounted at the end."""

    @pytest.fixture
    def other(self):
        """Path of somebody else's mount namespace."""
        with proc.Background("unshare", "--mount", "sleep", "1000") as holder:
            path = f"/proc/{holder.pid}/ns/mnt"
            proc.until(lambda: os.readlink(path) != mine("mount"))
            yield path

    def test_inherited(self, runtime, bundle):
        """Without a mount namespace in the list the container is in the caller's."""
        bundle.namespace("mount", absent=True)
        assert inside(runtime, bundle, "mount") == mine("mount")
        assert not [m for m in mountinfo.read() if m.point.startswith(str(bundle.rootfs))]

    def test_joined(self, runtime, bundle, other):
        """With a path it is in that one, and nothing is mounted in the caller's."""
        bundle.namespace("mount", other).sh("sleep 1000")
        with runtime.created(bundle) as state:
            assert os.readlink(f"/proc/{state['pid']}/ns/mnt") == os.readlink(other)
            assert not [m for m in mountinfo.read() if m.point.startswith(str(bundle.rootfs))]
            assert [m for m in mountinfo.read(other.split("/")[2]) if m.point == str(bundle.rootfs)]
            runtime("start", bundle.id).check()
            assert runtime("exec", bundle.id, "ls", "/probe").check().out == ""
            assert runtime("exec", bundle.id, "readlink", "/proc/self/ns/mnt").check().out.strip() == os.readlink(other)
        assert not [m for m in mountinfo.read(other.split("/")[2]) if m.point.startswith(str(bundle.rootfs))]

    @pytest.mark.needs("cgroup1")
    @pytest.mark.differs(runc="mounts nothing in a namespace that is joined", crun="")
    def test_groups_out_of_view(self, runtime, bundle):
        """Where the other namespace does not show the host's control groups, a cgroup namespace shows the container's all the same."""
        with proc.Background("unshare", "--mount", "sh", "-c", "mount -t tmpfs nothing /sys && exec sleep 1000") as holder:
            proc.until(lambda: [m for m in mountinfo.read(holder.pid) if m.source == "nothing"])
            bundle.namespace("mount", f"/proc/{holder.pid}/ns/mnt").namespace("cgroup")
            out = runtime.output(bundle.args("cat", "/proc/self/mountinfo"))
        roots = {m.root for m in mountinfo.parse(out) if m.fstype == "cgroup"}
        assert roots == {"/"}

    def test_namespace_is_left_as_it_was(self, runtime, bundle, other):
        """Its root and the propagation of its mounts do not change."""
        pid = other.split("/")[2]
        before = [(m.point, m.propagation) for m in mountinfo.read(pid)]
        bundle.namespace("mount", other).linux["rootfsPropagation"] = "private"
        runtime.run(bundle).check()
        assert [(m.point, m.propagation) for m in mountinfo.read(pid)] == before

    def test_root_is_the_containers(self, runtime, bundle):
        """The process sees its own root, masked and read-only as configured."""
        bundle.namespace("mount", absent=True)
        bundle.linux["maskedPaths"] = ["/etc/passwd"]
        out = runtime.output(bundle.sh("ls -d /probe; touch /x 2>&1; wc -c < /etc/passwd"))
        assert out.startswith("/probe\n") and "Read-only" in out and out.endswith("0\n")

    @pytest.mark.parametrize("kind", ["createRuntime", "createContainer", "startContainer"])
    def test_failure_unmounts(self, runtime, bundle, kind):
        """A start that fails leaves no mount."""
        bundle.namespace("mount", absent=True)
        bundle.hook(kind, "/bin/false")
        runtime.run(bundle).fails("hook", rc=1)
        assert not [m for m in mountinfo.read() if m.point.startswith(str(bundle.rootfs))]

    def test_directory_moved(self, runtime, bundle, workdir):
        """The bundle has another name at the end: its mounts go all the same."""
        bundle.namespace("mount", absent=True)
        with runtime.created(bundle.sh("sleep 1000")):
            bundle.path.rename(workdir / "moved")
            assert [m for m in mountinfo.read() if m.point == str(workdir / "moved/rootfs")]
        assert not [m for m in mountinfo.read() if m.point.startswith(str(workdir / "moved"))]
        (workdir / "moved").rename(bundle.path)

    def test_covered(self, runtime, bundle):
        """What others mounted over the root goes with it."""
        bundle.namespace("mount", absent=True)
        with runtime.created(bundle.sh("sleep 1000")):
            for _ in range(2):
                proc.run("mount", "-t", "tmpfs", "over", bundle.rootfs).check()
        assert not [m for m in mountinfo.read() if m.point.startswith(str(bundle.rootfs))]

    @pytest.mark.parametrize("how", ["alive", "killed"])
    def test_deleted_from_elsewhere(self, runtime, bundle, how):
        """A delete in another mount namespace unmounts where the mounts are, whether the init still lives or not."""
        bundle.namespace("mount", absent=True)
        with runtime.created(bundle.sh("sleep 1000")) as state:
            if how == "killed":
                os.kill(state["pid"], signal.SIGKILL)
                runtime.wait_status(bundle.id, "stopped")
            proc.run("unshare", "--mount", "--propagation", "private", *runtime.argv("delete", "--force", bundle.id)).check()
            assert not runtime.ids()
            assert not [m for m in mountinfo.read() if m.point.startswith(str(bundle.rootfs))]

    def test_mount_of_somebody_else_stays(self, runtime, bundle):
        """What was mounted on the root's directory before is still there afterwards."""
        proc.run("mount", "--bind", bundle.rootfs, bundle.rootfs).check()
        try:
            bundle.namespace("mount", absent=True)
            runtime.run(bundle).check()
            runtime.run(bundle.hook("createRuntime", "/bin/false")).fails(rc=1)
            assert [m.point for m in mountinfo.read()].count(str(bundle.rootfs)) == 1
        finally:
            proc.run("umount", bundle.rootfs).check()

    def test_no_linux_section(self, runtime, bundle):
        """'linux' is optional: without it every namespace is the caller's."""
        del bundle.config["linux"], bundle.config["hostname"]
        out = runtime.output(bundle.sh("ls -d /probe; for n in mnt pid net uts ipc; do readlink /proc/self/ns/$n; done"))
        assert out.split() == ["/probe", *(os.readlink(f"/proc/self/ns/{n}") for n in ("mnt", "pid", "net", "uts", "ipc"))]

    def test_user_namespace_is_refused(self, runtime, bundle):
        """A new user namespace may not mount in somebody else's mount namespace."""
        bundle.userns().namespace("mount", absent=True)
        runtime.run(bundle).fails("/linux/namespaces", "mount namespace", rc=1)


def test_joined_pid_namespace_sees_its_processes(runtime, make_bundle):
    """In a joined PID namespace the other container's init is process 1."""
    holder, bundle = make_bundle("holder"), make_bundle()
    with runtime.running(holder.args(holder.probe("pause"))) as state:
        bundle.namespace("pid", f"/proc/{state['pid']}/ns/pid").sh("cat /proc/1/comm; echo $$")
        name, pid = runtime.output(bundle).split()
        assert name == "pause"
        assert int(pid) > 1


def test_joined_by_bind_mounted_file(runtime, bundle, workdir):
    """A path may be a bind-mounted namespace file, as 'ip netns' makes them."""
    target = workdir / "netns"
    target.touch()
    with proc.Background("unshare", "--net", "sh", "-c", "echo ready; exec sleep 1000") as holder:
        holder.readline()
        proc.run("mount", "--bind", f"/proc/{holder.pid}/ns/net", target).check()
    bundle.namespace("network", target)
    assert inside(runtime, bundle, "network") == f"net:[{os.stat(target).st_ino}]"


@pytest.mark.parametrize("kind", SHARED)
def test_missing_path(runtime, bundle, kind):
    """A path that does not exist is an error that names it."""
    bundle.namespace(kind, "/nonexistent/ns")
    runtime.run(bundle).fails("/nonexistent/ns", rc=1)


@pytest.mark.parametrize("kind,other", [("network", "ipc"), ("ipc", "uts"), ("pid", "net"), ("uts", "mnt")])
def test_path_of_wrong_type(runtime, bundle, kind, other):
    """A path that is a namespace of another type is refused."""
    bundle.namespace(kind, f"/proc/self/ns/{other}")
    runtime.run(bundle).fails(rc=1)


@pytest.mark.parametrize("kind", [*SHARED, "mount", "user"])
@pytest.mark.differs(runc="the kernel's words", crun="the kernel's words")
def test_words_about_wrong_type(runtime, bundle, kind):
    """The error says what was asked for, where, and what is there."""
    other = "ipc" if kind != "ipc" else "uts"
    bundle.namespace(kind, f"/proc/self/ns/{other}")
    runtime.run(bundle).fails(f"{kind} namespace '/proc/self/ns/{other}'", f"the file is a namespace of type {other}", rc=1)


def test_path_is_no_namespace(runtime, bundle, workdir):
    """A path that is a plain file is refused."""
    (workdir / "plain").write_text("")
    bundle.namespace("network", workdir / "plain")
    runtime.run(bundle).fails(rc=1)


@pytest.mark.parametrize("kind", [*SHARED, "mount", "user"])
@pytest.mark.differs(runc="waits for a writer", crun="waits for a writer")
def test_path_is_fifo(runtime, bundle, workdir, kind):
    """A FIFO is refused at once: its opening would wait for a writer that never comes."""
    os.mkfifo(workdir / "fifo")
    bundle.namespace(kind, workdir / "fifo")
    runtime.run(bundle, timeout=10).fails("no namespace", rc=1)


@pytest.mark.parametrize("kind", ["pid", "network", "mount"])
def test_duplicate(runtime, bundle, kind):
    """A namespace listed twice is refused."""
    bundle.linux["namespaces"].append({"type": kind})
    runtime.run(bundle).fails(rc=1)


def test_unknown_type(runtime, bundle):
    """An unknown namespace type is refused."""
    bundle.linux["namespaces"].append({"type": "colour"})
    runtime.run(bundle).fails("colour", rc=1)


def test_hostname(runtime, bundle):
    """hostname and domainname are set in the container and not outside."""
    before = os.uname().nodename
    bundle.config["hostname"] = "barrel"
    assert runtime.output(bundle.args("hostname")) == "barrel\n"
    assert os.uname().nodename == before


@pytest.mark.differs(runc="1.1 does not know domainname")
def test_domainname(runtime, bundle):
    """domainname is set in the container's UTS namespace."""
    bundle.config["domainname"] = "cellar.example"
    assert runtime.output(bundle.args("cat", "/proc/sys/kernel/domainname")) == "cellar.example\n"


def test_hostname_needs_uts(runtime, bundle):
    """hostname without a UTS namespace of its own is refused, the host keeps its name."""
    before = os.uname().nodename
    bundle.namespace("uts", absent=True)
    runtime.run(bundle).fails(rc=1)
    assert os.uname().nodename == before


def test_loopback(runtime, bundle):
    """A new network namespace has its loopback interface only, and it is up."""
    out = runtime.output(bundle.args("ip", "-o", "link"))
    assert out.count("\n") == 1
    assert ": lo: <LOOPBACK,UP,LOWER_UP>" in out


def test_new_pid_namespace_is_init(runtime, bundle):
    """The process of a new PID namespace is number 1 and alone."""
    out = runtime.output(bundle.args("ps", "-o", "pid,args"))
    assert [l.split() for l in out.splitlines()] == [["PID", "COMMAND"], ["1", "ps", "-o", "pid,args"]]


def test_cgroup_namespace_hides_path(runtime, bundle):
    """In a new cgroup namespace the container's cgroup is the root."""
    bundle.namespace("cgroup")
    paths = {l.split(":", 2)[2] for l in runtime.output(bundle.args("cat", "/proc/self/cgroup")).splitlines()}
    assert paths == {"/"}


@pytest.mark.needs("userns")
class TestUser:
    """User namespaces."""

    def test_mapping(self, runtime, bundle):
        """uidMappings and gidMappings are what the kernel shows; the process is root inside."""
        bundle.userns(100000, 65536)
        out = runtime.output(bundle.sh("cat /proc/self/uid_map /proc/self/gid_map; id -u; id -g"))
        lines = [l.split() for l in out.splitlines()]
        assert lines == [["0", "100000", "65536"], ["0", "100000", "65536"], ["0"], ["0"]]

    def test_outside_owner(self, runtime, bundle):
        """Outside, the process runs as the mapped user."""
        bundle.userns(100000, 65536)
        bundle.process["user"] = {"uid": 1000, "gid": 1000}
        with runtime.running(bundle.sh("sleep 1000")) as state:
            assert os.stat(f"/proc/{state['pid']}").st_uid in (101000, 0)
            status = pathlib.Path(f"/proc/{state['pid']}/status").read_text()
            assert "Uid:\t101000\t101000" in status

    def test_several_ranges(self, runtime, bundle):
        """More than one range is written in order."""
        bundle.userns()
        for kind in ("uidMappings", "gidMappings"):
            bundle.linux[kind] = [
                {"containerID": 0, "hostID": 100000, "size": 2000},
                {"containerID": 2000, "hostID": 300000, "size": 10},
            ]
        lines = [l.split() for l in runtime.output(bundle.args("cat", "/proc/self/uid_map")).splitlines()]
        assert lines == [["0", "100000", "2000"], ["2000", "300000", "10"]]

    def test_devices_by_number(self, runtime, bundle):
        """A device is its numbers: the host's node of them is bound, whatever its name; another one of that name is not."""
        bundle.userns()
        bundle.linux["devices"] = [
            {"path": "/dev/other", "type": "c", "major": 1, "minor": 5},
            {"path": "/dev/loop-control", "type": "c", "major": 1, "minor": 3},
        ]
        out = runtime.output(bundle.sh("for n in other loop-control; do stat -c '%t,%T' /dev/$n; done; head -c 1 /dev/other | od -An -td1; echo x > /dev/loop-control"))
        assert out.split() == ["1,5", "1,3", "0"]

    def test_device_that_the_host_has_not(self, runtime, bundle):
        """There is nothing to bind: an error that names the device and its numbers."""
        bundle.userns()
        bundle.linux["devices"] = [{"path": "/dev/none", "type": "b", "major": 399, "minor": 7}]
        runtime.run(bundle).fails("/dev/none", "399:7", rc=1)

    @pytest.mark.parametrize("user, pointer", [({"uid": 5000, "gid": 0}, "/process/user/uid"), ({"uid": 0, "gid": 5000}, "/process/user/gid"), ({"uid": 0, "gid": 0, "additionalGids": [5, 5000]}, "/process/user/additionalGids/1")])  # fmt: skip
    def test_user_that_is_not_mapped(self, runtime, bundle, user, pointer):
        """create says what is the matter with the id."""
        bundle.userns(100000, 1000)
        bundle.process["user"] = user
        runtime.create(bundle).fails(pointer, "5000 is not among the ids", "Mappings maps", rc=1)
        assert not runtime.has_state(bundle.id)

    def test_setgroups_works(self, runtime, bundle):
        """additionalGids are set in a privileged user namespace."""
        bundle.userns()
        bundle.process["user"] = {"uid": 1000, "gid": 1000, "additionalGids": [5, 29]}
        out = runtime.output(bundle.args(bundle.probe("ids")))
        assert "uid 1000 1000 1000" in out
        assert out.split("groups ")[1].split("\n")[0].split() in (["5", "29"], ["1000", "5", "29"], ["5", "29", "1000"])

    def test_devices_are_there(self, runtime, bundle):
        """/dev/null and friends work in a user namespace (bound from the host)."""
        bundle.userns()
        out = runtime.output(bundle.sh("echo x > /dev/null && head -c 3 /dev/zero | wc -c; stat -c '%t:%T' /dev/null"))
        assert out.split() == ["3", "1:3"]

    @pytest.mark.parametrize("joined", [False, True])
    @pytest.mark.differs(runc="group 65534")
    def test_message_queues_are_the_containers(self, runtime, make_bundle, joined):
        """The file system of message queues belongs to the container's root, as its other file systems do."""
        holder, bundle = make_bundle("holder").userns(), make_bundle().userns()
        bundle.args("stat", "-c", "%u:%g %a", "/dev/mqueue")
        with runtime.running(holder.args(holder.probe("pause"))) as state:
            if joined:
                bundle.namespace("user", f"/proc/{state['pid']}/ns/user")
                del bundle.linux["uidMappings"], bundle.linux["gidMappings"]
            assert runtime.output(bundle) == "0:0 1777\n"

    def test_ipc_namespace_is_new(self, runtime, bundle):
        """It is another one than the caller's, and what is made in it is only seen there."""
        bundle.userns().sh("readlink /proc/self/ns/ipc; touch /dev/mqueue/of-the-container")
        assert runtime.output(bundle).strip() not in ("", mine("ipc"))

    def test_too_many_ranges(self, runtime, bundle):
        """What the kernel does not take is an error of one short line."""
        bundle.userns().linux["uidMappings"] = [{"containerID": n, "hostID": 100000 + 2 * n, "size": 1} for n in range(341)]
        result = runtime.run(bundle).fails("uid mappings", "341 ranges", rc=1)
        assert len(result.err) < 500

    def test_host_files_stay_protected(self, runtime, bundle, workdir):
        """Root in the container has no rights over host root's files."""
        secret = workdir / "secret"
        secret.write_text("for root only")
        secret.chmod(0o600)
        bundle.userns().add_mount("/probe/secret", "bind", secret, "bind")
        (bundle.rootfs / "probe/secret").touch()
        runtime.run(bundle.args("cat", "/probe/secret")).fails("permission denied")

    @pytest.mark.differs(crun="maps the caller")
    def test_no_mappings(self, runtime, bundle):
        """A new user namespace without mappings is refused."""
        bundle.namespace("user")
        runtime.run(bundle).fails(rc=1)

    @pytest.mark.differs(runc="has no warning", crun="has no warning")
    def test_mappings_without_namespace(self, runtime, bundle):
        """Mappings without a user namespace, even impossible ones, map nothing: ignored as by runc and crun, with a warning."""
        bundle.linux["uidMappings"] = [{"containerID": 0, "hostID": 100000, "size": 1}] * 2
        bundle.process["user"] = {"uid": 5, "gid": 6}
        result = runtime.run(bundle.sh("readlink /proc/self/ns/user; stat -L -c %u /proc/self/fd/1")).check()
        assert result.out.split() == [mine("user"), "5"]
        assert "uidMappings and gidMappings are ignored" in result.err

    def test_user_not_mapped(self, runtime, bundle):
        """A process user outside the mapping is an error."""
        bundle.userns(100000, 100)
        bundle.process["user"] = {"uid": 5000, "gid": 0}
        runtime.run(bundle).fails(rc=1)

    def test_exec(self, runtime, bundle):
        """exec enters the user namespace."""
        bundle.userns()
        with runtime.running(bundle.sh("sleep 1000")) as state:
            out = runtime("exec", bundle.id, "readlink", "/proc/self/ns/user").check().out.strip()
            assert out == os.readlink(f"/proc/{state['pid']}/ns/user") != mine("user")

    @pytest.mark.differs(runc="1.1 wants mappings too")
    def test_join_by_path(self, runtime, make_bundle):
        """A user namespace with a path is entered, with the ids of its mapping."""
        holder, bundle = make_bundle("holder"), make_bundle()
        holder.userns()
        with runtime.running(holder.args(holder.probe("pause"))) as state:
            bundle.userns().namespace("user", f"/proc/{state['pid']}/ns/user")
            del bundle.linux["uidMappings"], bundle.linux["gidMappings"]
            assert inside(runtime, bundle, "user") == os.readlink(f"/proc/{state['pid']}/ns/user")
            bundle.process["user"] = {"uid": 3_000_000_000, "gid": 0}
            runtime.create(bundle).fails("maps no user 3000000000", rc=1)


@pytest.mark.needs("timens")
@pytest.mark.differs(runc="1.1 has no time namespaces")
def test_time_offsets(runtime, bundle):
    """timeOffsets shift the monotonic and boot clocks of a new time namespace."""
    bundle.namespace("time")
    bundle.linux["timeOffsets"] = {"monotonic": {"secs": 100000, "nanosecs": 0}, "boottime": {"secs": 200000, "nanosecs": 5}}
    own = [int(w) for w in proc.run(str(bundle.rootfs) + bundle.probe("clock")).check().out.split()]
    seen = [int(w) for w in runtime.output(bundle.args("/probe/clock")).split()]
    assert 100000 <= seen[0] - own[0] < 100060
    assert 200000 <= seen[1] - own[1] < 200060


@pytest.mark.needs("timens")
@pytest.mark.differs(runc="1.1: no time namespaces", crun="the kernel's words")
def test_time_before_zero(runtime, bundle):
    """A clock that would stand before zero is called that."""
    bundle.namespace("time").linux["timeOffsets"] = {"boottime": {"secs": -(10**9)}}
    runtime.run(bundle).fails("time offsets: a clock would stand before zero", rc=1)


@pytest.mark.differs(crun="the kernel's words")
def test_path_that_is_not_there(runtime, bundle):
    """The error names the namespace and the path."""
    bundle.namespace("uts", "/proc/1/ns/no-such")
    runtime.run(bundle).fails("namespace", "/proc/1/ns/no-such", "no such file", rc=1)


@pytest.mark.needs("timens")
@pytest.mark.differs(runc="1.1 has no time namespaces", crun="1.8: the offsets stay unused")
def test_time_offsets_need_namespace(runtime, bundle):
    """timeOffsets without a new time namespace are refused."""
    bundle.linux["timeOffsets"] = {"monotonic": {"secs": 1}}
    runtime.run(bundle).fails(rc=1)


def test_mount_namespace_is_private(runtime, bundle):
    """Mounts of the container are not seen outside."""
    with runtime.running(bundle.sh("sleep 1000")):
        assert not [m for m in mountinfo.read() if m.point.startswith(str(bundle.rootfs))]


@pytest.mark.differs(crun="1.8 sets them there")
@pytest.mark.parametrize("kind, name", [("network", "net.ipv4.ip_forward"), ("ipc", "kernel.msgmax"), ("uts", "kernel.domainname")])
def test_sysctl_of_the_host(runtime, bundle, kind, name):
    """Joining the caller's own namespace by path does not make its sysctls the container's."""
    bundle.namespace(kind, path=f"/proc/{os.getpid()}/ns/{'net' if kind == 'network' else kind}")
    bundle.config.pop("hostname", None)
    path = pathlib.Path("/proc/sys") / name.replace(".", "/")
    before = path.read_text()
    bundle.linux["sysctl"] = {name: before.strip()}
    runtime.run(bundle).fails("sysctl", name, rc=1)
