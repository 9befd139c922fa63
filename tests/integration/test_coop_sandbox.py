"""coop sandbox: a program in a root file system made of options; descriptors that drive a start; time limits."""

import contextlib
import fcntl
import json
import os
import pathlib
import signal
import time

import pytest

from lib import cgroups, mountinfo, proc, ptys, rootfs
from lib.runtime import Runtime

pytestmark = pytest.mark.needs("root", "isolation", "userns")

UID = 54322  # of no account
INODES = ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts")


class Sandbox(Runtime):
    """`coop sandbox`, as root or as the user UID."""

    user = None

    def argv(self, *args, flags=()):
        argv = super().argv(*args, flags=flags)
        if self.user is None:
            return argv
        return ["setpriv", "--reuid", str(self.user), "--regid", str(self.user), "--clear-groups", "--inh-caps=-all", *argv]

    def words(self, *words):
        """The busybox root, bound read-only, and more."""
        return ("sandbox", "--ro-bind", self.tree, "/", *words)

    def sandbox(self, *words, **options):
        """Run it; nothing may be left in the state root."""
        options.setdefault("cwd", "/")
        result = self(*self.words(*words), **options)
        assert not self.root.exists() or not os.listdir(self.root), f"left in the state root\n{result}"
        return result

    def output(self, *words, **options):
        """Standard output of a sandbox that must succeed."""
        return self.sandbox(*words, **options).check().out


@pytest.fixture(scope="module")
def tree(session_dir):
    """A busybox root that everybody may read."""
    return rootfs.make_busybox(session_dir / "sandbox-tree")


def make(kind, workdir, tree):
    home = workdir / kind
    home.mkdir()
    made = Sandbox(home / "state", home)
    made.tree = tree
    if kind == "user":
        made.user = UID
        for path in (home, home / "tmp"):
            os.chown(path, UID, UID)
    return made


@pytest.fixture(params=["root", "user"])
def box(request, workdir, tree):
    """As root, and as a user without privileges."""
    value = make(request.param, workdir, tree)
    yield value
    value.delete_all()


@pytest.fixture
def root(workdir, tree):
    """As root."""
    value = make("root", workdir, tree)
    yield value
    value.delete_all()


@pytest.fixture
def user(workdir, tree):
    """As a user without privileges."""
    value = make("user", workdir, tree)
    yield value
    value.delete_all()


def mounts(text):
    """{mount point: (type, options)} of a mountinfo."""
    out = {}
    for line in text.splitlines():
        left, right = line.split(" - ")
        out[left.split()[4]] = (right.split()[0], set(left.split()[5].split(",")))
    return out


@contextlib.contextmanager
def pipe():
    """(read end, write end), closed at the end where nobody has done so."""
    ends = os.pipe()
    try:
        yield ends
    finally:
        for fd in ends:
            with contextlib.suppress(OSError):
                os.close(fd)


@contextlib.contextmanager
def data(content):
    """A descriptor to read this from."""
    fd = os.memfd_create("data")
    os.write(fd, content if isinstance(content, bytes) else content.encode())
    os.lseek(fd, 0, os.SEEK_SET)
    try:
        yield fd
    finally:
        os.close(fd)


# --- files ---------------------------------------------------------------------------


def test_root_and_status(box):
    """The command runs in the root that is bound, and its status is that of coop."""
    assert box.output("--", "cat", "/etc/group").startswith("root:x:0:")
    box.sandbox("sh", "-c", "exit 7").check(7)
    box.sandbox("sh", "-c", "kill -KILL $$").check(137)


def test_binds(box, workdir):
    """Binds are nosuid and nodev, those of --ro-bind read-only, with what is below them; --dev-bind keeps devices."""
    source = workdir / "source"
    source.mkdir()
    source.chmod(0o777)
    words = ("--proc", "/proc", "--unshare-pid", "--tmpfs", "/tmp", "--bind", source, "/tmp/rw", "--ro-bind", source, "/tmp/ro", "--dev-bind", source, "/tmp/dev")
    found = mounts(box.output(*words, "cat", "/proc/self/mountinfo"))
    assert {"rw", "nosuid", "nodev"} <= found["/tmp/rw"][1]
    assert {"ro", "nosuid", "nodev"} <= found["/tmp/ro"][1]
    assert "nodev" not in found["/tmp/dev"][1]
    assert {"ro", "nosuid", "nodev"} <= found["/"][1]
    box.output(*words, "touch", "/tmp/rw/file")
    assert (source / "file").exists()
    box.sandbox(*words, "touch", "/tmp/ro/other").fails("read-only")


@pytest.mark.parametrize("flags", [(), ("--unshare-user",)], ids=["root", "user namespace"])
def test_mounts_below_a_bind_stay_inside(root, workdir, flags):
    """What is mounted below a bind of a directory that shares its mounts does not show on the host."""
    (workdir / "data/in").mkdir(parents=True)
    proc.run("mount", "--bind", workdir / "data", workdir / "data").check()
    proc.run("mount", "--make-shared", workdir / "data").check()
    out = root.output(*flags, "--bind", workdir / "data", "/tmp", "--tmpfs", "/tmp/in", "--proc", "/proc", "cat", "/proc/mounts")
    assert " /tmp/in tmpfs" in out
    assert str(workdir / "data/in") not in [m.point for m in mountinfo.read()]


def test_ro_bind_is_recursive(root, workdir):
    """What is mounted below the source is read-only as well."""
    below = workdir / "top" / "below"
    below.mkdir(parents=True)
    proc.run("mount", "-t", "tmpfs", "none", below).check()
    try:
        root.sandbox("--tmpfs", "/tmp", "--ro-bind", below.parent, "/tmp/x", "touch", "/tmp/x/below/f").fails("read-only")
    finally:
        proc.run("umount", below).check()


def test_empty_root(box):
    """Without a root there is nothing but what the options make; it is gone with the sandbox."""
    words = ("--ro-bind", box.tree / "bin", "/bin", "--dir", "/a/b", "--symlink", "/a/b", "/link", "--perms", "0700", "--dir", "/private")
    out = box("sandbox", *words, "sh", "-c", "ls /; readlink /link; stat -c %a /private /a", cwd="/").check().lines
    assert out == ["a", "bin", "link", "private", "/a/b", "700", "755"]


def test_order(box):
    """Options act in their order: what comes later covers what was before."""
    words = ("--tmpfs", "/tmp", "--dir", "/tmp/one", "--tmpfs", "/tmp", "--dir", "/tmp/two")
    assert box.output(*words, "ls", "/tmp") == "two\n"


def test_try_leaves_out_what_is_missing(box):
    """The -try forms mind no missing source, the others name it."""
    box.output("--tmpfs", "/tmp", "--bind-try", "/missing", "/tmp/a", "--ro-bind-try", "/missing", "/tmp/b", "--dev-bind-try", "/missing", "/tmp/c", "true")
    box.sandbox("--bind", "/missing", "/tmp/a", "true").fails("--bind '/missing' '/tmp/a'", "no such file", "-try", rc=1)


def test_tmpfs_size_and_mode(box):
    """--perms and --size are about the next tmpfs."""
    words = ("--perms", "0711", "--size", "65536", "--tmpfs", "/tmp", "--tmpfs", "/var")
    assert box.output(*words, "sh", "-c", "stat -c %a /tmp /var; stat -f -c '%b*%S' /tmp").split()[:2] == ["711", "755"]
    box.sandbox(*words, "dd", "if=/bin/busybox", "of=/tmp/x", "bs=4096", "count=50").fails("no space")


def test_data(box):
    """--file, --bind-data and --ro-bind-data make files of what descriptors hold."""
    with data("one\n") as one, data("two\n") as two, data("three\n") as three:
        words = ("--tmpfs", "/tmp", "--file", one, "/tmp/file", "--perms", "0640", "--bind-data", two, "/tmp/data", "--ro-bind-data", three, "/tmp/ro")
        script = "cat /tmp/file /tmp/data /tmp/ro; stat -c %a /tmp/file /tmp/data /tmp/ro; echo x > /tmp/ro"
        result = box.sandbox(*words, "sh", "-c", script, pass_fds=(one, two, three)).fails("read-only")
    assert result.out.split() == ["one", "two", "three", "666", "640", "600"]


def test_chmod_and_remount(box):
    """--chmod changes what is there, --remount-ro makes a mount read-only and leaves those below."""
    words = ("--tmpfs", "/tmp", "--tmpfs", "/tmp/below", "--chmod", "0750", "/tmp", "--remount-ro", "/tmp")
    assert box.output(*words, "sh", "-c", "stat -c %a /tmp; touch /tmp/below/f; touch /tmp/f 2>/dev/null || echo refused").split() == ["750", "refused"]


def test_dev(box):
    """--dev has the devices of every container, and they work."""
    words = ("--unshare-pid", "--proc", "/proc", "--dev", "/dev")
    listed = box.output(*words, "ls", "/dev").split()
    assert listed == sorted(["core", "fd", "full", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout", "tty", "urandom", "zero"])
    assert box.output(*words, "sh", "-c", "echo x > /dev/null; head -c 3 /dev/zero | wc -c").strip() == "3"


@pytest.mark.needs("cgroup1")
def test_devices_of_the_host(root):
    """Other devices can be used through --dev-bind alone, whatever nodes root makes."""
    script = "mknod /tmp/loop b 7 0 && dd if=/tmp/loop of=/dev/null count=0 2>&1"
    words = ("--cap-add", "ALL", "--dev", "/dev", "--tmpfs", "/tmp")
    root.sandbox(*words, "sh", "-c", script).fails(rc=1)


def test_proc_and_mqueue(box):
    """--proc shows the sandbox's own processes, --mqueue is a message queue file system."""
    words = ("--unshare-pid", "--unshare-ipc", "--proc", "/proc", "--tmpfs", "/tmp", "--mqueue", "/tmp/mq")
    out = box.output(*words, "sh", "-c", "cat /proc/1/comm; grep mqueue /proc/mounts | cut -d' ' -f2").split()
    assert out[-1] == "/tmp/mq"
    assert "sh" not in out[0]


class TestOverlay:
    """Overlays, as the root and elsewhere."""

    @pytest.fixture
    def layers(self, box, workdir):
        """low, high, up and work, of whoever runs the sandbox."""
        out = {}
        for name in ("low", "high", "up", "work"):
            out[name] = workdir / "home" / name
            out[name].mkdir(parents=True)
            os.chown(out[name], box.user or 0, box.user or 0)
        for name in ("low", "high"):
            (out[name] / "both").write_text(name)
            (out[name] / name).write_text(name)
            for file in out[name].iterdir():
                os.chown(file, box.user or 0, box.user or 0)
        return out

    def test_read_only(self, box, layers):
        """The last source is on top."""
        words = ("--tmpfs", "/tmp", "--overlay-src", layers["low"], "--overlay-src", layers["high"], "--ro-overlay", "/tmp/o")
        assert box.output(*words, "sh", "-c", "cat /tmp/o/both /tmp/o/low; touch /tmp/o/x 2>/dev/null || echo refused") == "highlowrefused\n"

    def test_writes(self, box, layers):
        """--overlay writes to its upper directory and nowhere else."""
        words = ("--tmpfs", "/tmp", "--overlay-src", layers["low"], "--overlay", layers["up"], layers["work"], "/tmp/o")
        box.output(*words, "sh", "-c", "echo new > /tmp/o/both")
        assert (layers["up"] / "both").read_text() == "new\n"
        assert (layers["low"] / "both").read_text() == "low"

    def test_in_memory(self, box, layers):
        """--tmp-overlay keeps nothing."""
        words = ("--tmpfs", "/tmp", "--overlay-src", layers["low"], "--tmp-overlay", "/tmp/o")
        assert box.output(*words, "sh", "-c", "echo new > /tmp/o/both; cat /tmp/o/both") == "new\n"
        assert (layers["low"] / "both").read_text() == "low"

    def test_as_root(self, box):
        """The root of the sandbox may be one."""
        words = ("sandbox", "--overlay-src", box.tree, "--tmp-overlay", "/")
        assert box(*words, "sh", "-c", "echo new > /file; cat /file", cwd="/").check().out == "new\n"
        assert not (box.tree / "file").exists()


# --- namespaces and identity ---------------------------------------------------------


def test_namespaces(box):
    """--unshare-all makes them all, --share-net leaves the network."""
    show = ("sh", "-c", "cd /proc/self/ns; for n in " + " ".join(INODES) + "; do readlink $n; done")
    mine = [os.readlink(f"/proc/self/ns/{n}") for n in INODES]
    words = ("--proc", "/proc")
    all_new = box.output("--unshare-all", *words, *show).split()
    assert not set(all_new) & set(mine)
    shared = box.output("--unshare-all", "--share-net", *words, *show).split()
    assert set(shared) & set(mine) == {os.readlink("/proc/self/ns/net")}


def test_mount_namespace_alone(root):
    """Root without options gets a mount namespace and nothing else."""
    out = root.output("--ro-bind", "/proc", "/proc", "sh", "-c", "for n in " + " ".join(INODES) + "; do readlink /proc/self/ns/$n; done").split()
    mine = [os.readlink(f"/proc/self/ns/{n}") for n in INODES]
    assert {a for a, b in zip(out, mine) if a != b} == {out[INODES.index("mnt")]}


def test_ids_of_a_user(user):
    """A user stays who they are, or is whom they say; only one id is there."""
    assert user.output("sh", "-c", "id -u; id -g").split() == [str(UID), str(UID)]
    assert user.output("--uid", "0", "--gid", "0", "sh", "-c", "id -u; id -g").split() == ["0", "0"]
    assert user.output("--uid", "7", "--gid", "8", "--unshare-pid", "--proc", "/proc", "sh", "-c", "id -u; id -g; cat /proc/self/uid_map").split() == ["7", "8", "7", "0", "1"]


def test_files_belong_to_the_user(user, workdir):
    """What the program makes outside is the user's."""
    place = workdir / "user" / "out"
    place.mkdir()
    os.chown(place, UID, UID)
    user.output("--tmpfs", "/tmp", "--uid", "7", "--bind", place, "/tmp/o", "touch", "/tmp/o/f")
    assert (place / "f").stat().st_uid == UID


def test_root_as_somebody(root):
    """Root may be somebody else, with and without a user namespace."""
    assert root.output("--uid", "1000", "--gid", "1001", "sh", "-c", "id -u; id -g; id -G").split() == ["1000", "1001", "1001"]
    assert root.output("--unshare-user", "--uid", "1000", "id", "-u") == "1000\n"


def test_capabilities(box):
    """Nobody but root has any; they are added and dropped in order, and no exec gives more."""
    show = ("--unshare-pid", "--proc", "/proc", "grep", "-E", "^(CapEff|CapBnd|NoNewPrivs)", "/proc/self/status")
    values = [line.split()[1] for line in box.sandbox("--cap-drop", "ALL", *show).check().lines]
    assert [int(v, 16) for v in values] == [0, 0, 1]
    values = [line.split()[1] for line in box.sandbox("--cap-drop", "ALL", "--cap-add", "CAP_KILL", *show).check().lines]
    assert [int(v, 16) for v in values] == [1 << 5, 1 << 5, 1]
    if box.user:
        values = [line.split()[1] for line in box.sandbox(*show).check().lines]
        assert [int(v, 16) for v in values] == [0, 0, 1]


def test_environment_and_directory(box):
    """Variables are those of the caller with what the options change; so is the directory, where it is there."""
    env = {"A": "1", "B": "2"}
    out = box.output("--unsetenv", "A", "--setenv", "C", "3", "env", env=env).split()
    assert {"B=2", "C=3"} <= set(out) and "A=1" not in out
    assert set(box.output("--clearenv", "--setenv", "PATH", "/usr/bin", "--setenv", "HOME", "/tmp", "env").split()) == {"PATH=/usr/bin", "HOME=/tmp", "PWD=/"}
    assert box.output("--chdir", "/usr/bin", "sh", "-c", "pwd; echo $PWD").split() == ["/usr/bin", "/usr/bin"]
    assert box.output("pwd", cwd="/usr") == "/usr\n"
    assert box.output("--setenv", "HOME", "/home/user", "pwd", cwd=box.workdir) == "/home/user\n"
    box.sandbox("--chdir", "/nowhere", "true").fails("working directory '/nowhere'", rc=1)


def test_hostname(box):
    """--hostname is that of the UTS namespace."""
    assert box.output("--unshare-uts", "--hostname", "barrel", "hostname") == "barrel\n"
    box.sandbox("--hostname", "barrel", "true").fails("--hostname", "--unshare-uts", rc=1)


class TestProcessOne:
    """Who is process 1 of the PID namespace."""

    def test_coop(self, box):
        """coop's: the command is another one, has signals as everybody, and leaves no orphans."""
        assert box.output("--unshare-pid", "sh", "-c", "echo $$") == "2\n"
        box.sandbox("--unshare-pid", "sh", "-c", "kill -TERM $$; sleep 5").check(143)
        script = "(sleep 0.05 & ) ; sleep 0.3; ls /proc | grep -c '^[0-9]'"
        assert box.output("--unshare-pid", "--proc", "/proc", "sh", "-c", script) == "4\n"

    def test_command(self, box):
        """--as-pid-1: the command's own."""
        assert box.output("--unshare-pid", "--as-pid-1", "sh", "-c", "echo $$") == "1\n"
        box.sandbox("--as-pid-1", "true").fails("--as-pid-1", "--unshare-pid", rc=1)

    def test_signals_are_passed_on(self, box):
        """A signal to coop reaches the command."""
        script = "trap 'echo got; exit 3' USR1; echo ready; while :; do sleep 0.02; done"
        with box.background(*box.words("--unshare-pid", "sh", "-c", script), cwd="/") as child:
            assert child.readline() == "ready"
            child.signal(signal.SIGUSR1)
            child.wait().check(3)

    def test_nothing_outlives_the_command(self, box):
        """With it everything in the namespace ends, and coop with them."""
        start = time.monotonic()
        box.output("--unshare-pid", "sh", "-c", "sleep 1000 & true")
        assert time.monotonic() - start < 20


# --- limits --------------------------------------------------------------------------


def test_limits(root, unique):
    """Limits are those of the sandbox's control group, which is gone afterwards."""
    name = unique("sandbox")
    words = ("--id", name, "--memory", "64m", "--pids-limit", "9", "--cpus", "0.5")
    with root.background(*root.words(*words, "sh", "-c", "echo ready; sleep 1000"), cwd="/") as child:
        assert child.readline() == "ready"
        where = f"/coop/{name}"
        assert (cgroups.home(where) / "pids.max").read_text() == "9\n"
        if cgroups.is_v1():
            assert (cgroups.home(where, "memory") / "memory.limit_in_bytes").read_text() == f"{64 << 20}\n"
            assert (cgroups.home(where, "cpu") / "cpu.cfs_quota_us").read_text() == "50000\n"
        assert root.ids() == [name]
        assert root("exec", name, "echo", "inside").check().out == "inside\n"
        child.signal(signal.SIGTERM)
        child.wait().check(143)
    assert not [p for p in cgroups.roots() if (p / where.lstrip("/")).exists()]
    assert root.ids() == []


def test_limits_that_cannot_be_had(user):
    """A user who may make no control group is told, and nothing is left."""
    result = user.sandbox("--memory", "64m", "true")
    if result.rc != 0:  # where control groups are delegated, it works
        result.fails("cgroup", rc=1)


def test_rlimit(box):
    """--rlimit limits the command."""
    assert box.output("--rlimit", "nofile=20:30", "sh", "-c", "ulimit -Sn; ulimit -Hn").split() == ["20", "30"]


@pytest.mark.needs("seccomp")
def test_seccomp(box):
    """A compiled filter is loaded: here, mkdir answers EPERM and all else is allowed."""
    instructions = [(0x20, 0, 0, 0), (0x15, 0, 1, 83), (0x06, 0, 0, 0x00050001), (0x06, 0, 0, 0x7FFF0000)]
    filter_ = b"".join(code.to_bytes(2, "little") + bytes([jt, jf]) + k.to_bytes(4, "little") for code, jt, jf, k in instructions)
    with data(filter_) as fd:
        box.sandbox("--unshare-pid", "--tmpfs", "/tmp", "--seccomp", fd, "mkdir", "/tmp/x", pass_fds=(fd,)).fails("not permitted", rc=1)
    with data(b"odd") as fd:
        box.sandbox("--seccomp", fd, "true", pass_fds=(fd,)).fails("filter of 3 bytes", rc=1)
    with data(b"\xff" * 8) as fd:
        box.sandbox("--seccomp", fd, "true", pass_fds=(fd,)).fails("seccomp filter", rc=1)


# --- what surrounds it ---------------------------------------------------------------


def test_args(box):
    """--args takes options from a descriptor, in their place."""
    with data("--dir\0/tmp/a\0--setenv\0X\0y\0") as fd:
        assert box.output("--tmpfs", "/tmp", "--args", fd, "--dir", "/tmp/b", "sh", "-c", "ls /tmp; echo $X", pass_fds=(fd,)).split() == ["a", "b", "y"]


def test_descriptors(box):
    """The command gets its standard streams, and what --preserve-fds says."""
    with data("x") as fd:
        assert box.output("--unshare-pid", "--proc", "/proc", "ls", "/proc/self/fd", pass_fds=(fd,)).split() == ["0", "1", "2", "3"]  # 3: of ls


def test_terminal(box):
    """--tty gives the command a terminal of its own."""
    master, slave = os.openpty()
    try:
        words = ("--unshare-pid", "--proc", "/proc", "--dev", "/dev", "--tty", "sh", "-c", "tty; test -t 0 && echo yes")
        with box.background(*box.words(*words), cwd="/", stdin=slave, stdout=slave, stderr=slave) as child:
            os.close(slave)
            slave = -1
            text = ptys.read_all(master, until="yes")
            assert child.child.wait(20) == 0
        assert "/dev/pts/0" in text or "/dev/console" in text, text
    finally:
        os.close(master)
        if slave >= 0:
            os.close(slave)
    box.sandbox("--tty", "true").fails("not a TTY", rc=1)


def test_die_with_parent(box, workdir):
    """The sandbox ends when the process that started coop does, and is removed."""
    out = workdir / "out"
    argv = " ".join(str(a) for a in box.argv(*box.words("--die-with-parent", "--unshare-pid", "sh", "-c", "'echo ready; exec sleep 1000'")))
    with open(out, "wb") as sink, proc.Background("sh", "-c", f"{argv} & wait", stdout=sink, stderr=sink, env=box.environ, cwd="/") as parent:
        proc.until(lambda: "ready" in out.read_text(), 10)
        parent.signal(signal.SIGKILL)
        parent.child.wait()
    proc.until(lambda: not os.listdir(box.root), 10, what="the state root is empty")


def test_dry_run(box):
    """--dry-run prints the plan and does nothing."""
    plan = json.loads(box.output("--tmpfs", "/tmp", "--dir", "/tmp/a", "--dry-run=json", "true"))
    steps = [s["step"] for s in plan["steps"]]
    assert steps.index("make-entry") > steps.index("mount-root")


@pytest.mark.parametrize(
    "words, said",
    [
        (("--nonsense", "true"), "'--nonsense'"),
        (("--bind", "/a"), "--bind"),
        ((), "sandbox"),
        (("--dir", "relative", "true"), "--dir: 'relative'"),
        (("--file", "99", "/x", "true"), "--file: descriptor 99 is not open"),
        (("--args", "99", "true"), "--args: descriptor 99 is not open"),
        (("--seccomp", "99", "true"), "--seccomp: descriptor 99 is not open"),
        (("--info-fd", "99", "true"), "--info-fd 99: the descriptor is not open"),
        (("--json-status-fd", "99", "true"), "--json-status-fd 99: the descriptor is not open"),
        (("--block-fd", "99", "true"), "--block-fd 99: the descriptor is not open"),
        (("--sync-fd", "99", "true"), "--sync-fd 99: the descriptor is not open"),
        (("--userns", "99", "true"), "--userns: descriptor 99 is not open"),
        (("--lock-file", "/no/such", "true"), "lock '/no/such'"),
        (("--uid", "x", "true"), "--uid: 'x'"),
        (("--tmpfs", "/tmp", "--ro-bind", "/", "/", "true"), "would cover"),
        (("--unshare-pid", "--proc", "/proc", "--tmpfs", "/proc/x", "true"), "--tmpfs '/proc/x'"),
        (("--remount-ro", "/usr", "true"), "'/usr'"),
        (("--symlink", "x", "/etc/passwd", "true"), "make symbolic link '/etc/passwd'"),
        (("no-such-program",), "no-such-program"),
        (("--time-limit", "x", "true"), "--time-limit"),
        (("--rlimit", "x", "true"), "--rlimit"),
        (("--id", "../x", "true"), "../x"),
    ],
)
def test_refusals(box, words, said):
    """Whatever is wrong is named, and nothing is left."""
    box.sandbox(*words).fails(said, rc=1)


def test_proc_without_pid_namespace(user):
    """A user may not mount the proc of processes that are not theirs, and is shown what there is already."""
    ours = os.readlink("/proc/self/ns/pid")
    assert user.output("--proc", "/proc", "sh", "-c", "readlink /proc/self/ns/pid; cat /proc/self/comm").split() == [ours, "cat"]


def test_root_must_come_first(box):
    """A root behind other options is refused."""
    box("sandbox", "--dir", "/x", "--ro-bind", box.tree, "/", "true", cwd="/").fails("would cover", rc=1)


# --- namespaces, locks and descriptors of the caller ----------------------------------


@contextlib.contextmanager
def holder(box, *unshare, kind):
    """A descriptor for the namespace that a process of the box's user keeps, made by unshare(1)."""
    as_user = [] if box.user is None else ["setpriv", "--reuid", str(box.user), "--regid", str(box.user), "--clear-groups"]
    with proc.Background(*as_user, "unshare", *unshare, "sh", "-c", "echo up; exec sleep 1000") as child:
        child.readline()
        inside = [child.pid, *proc.children(child.pid)][-1]
        fd = os.open(f"/proc/{inside}/ns/{kind}", os.O_RDONLY)
        try:
            yield fd, inside
        finally:
            os.close(fd)


def test_userns(box):
    """--userns: the command is in the namespace of the descriptor, as whoever the caller is there; --uid names another."""
    with holder(box, "-U", "-r", kind="user") as (fd, _):
        words = ("--userns", fd, "--unshare-pid", "--proc", "/proc", "sh", "-c", "id -u; readlink /proc/self/ns/user")
        assert box.output(*words, pass_fds=(fd,)).split() == ["0", f"user:[{os.fstat(fd).st_ino}]"]
        box.sandbox("--userns", fd, "--uid", "77", "true", pass_fds=(fd,)).fails("maps no user 77", rc=1)
        box.sandbox("--userns", fd, "--unshare-user", "true", pass_fds=(fd,)).fails("leave out --unshare-user", rc=1)
    with data("x") as fd:
        box.sandbox("--userns", fd, "true", pass_fds=(fd,)).fails(f"--userns {fd}", "must be a user namespace", rc=1)


def test_userns2(box):
    """--userns2: the mounts belong to the one, the command is in the other one below it."""
    with holder(box, "-U", "-r", "unshare", "-U", "--map-user=1234", "--map-group=1234", kind="user") as (below, pid):
        above = os.open(f"/proc/{pid}/ns/user", os.O_RDONLY)
        parent = fcntl.ioctl(above, 0xB702)  # NS_GET_PARENT
        os.close(above)
        try:
            words = ("--userns", parent, "--userns2", below, "--unshare-pid", "--proc", "/proc", "--tmpfs", "/tmp", "sh", "-c", "id -u; readlink /proc/self/ns/user; umount /tmp")
            result = box.sandbox(*words, pass_fds=(parent, below)).fails("ermitted", rc=1)
            assert result.out.split() == ["1234", f"user:[{os.fstat(below).st_ino}]"]
        finally:
            os.close(parent)
        box.sandbox("--unshare-user", "--userns2", below, "true", pass_fds=(below,)).fails("--userns2", rc=1)


def test_pidns(box):
    """--pidns: the command is among the processes of that namespace."""
    with holder(box, "-U", "-r", "-p", "-f", kind="pid") as (fd, pid):
        user = os.open(f"/proc/{pid}/ns/user", os.O_RDONLY)
        try:
            out = box.output("--userns", user, "--pidns", fd, "--proc", "/proc", "sh", "-c", "readlink /proc/self/ns/pid; cat /proc/1/comm", pass_fds=(user, fd))
        finally:
            os.close(user)
        assert out.split() == [f"pid:[{os.fstat(fd).st_ino}]", "sleep"]


def test_pidns_above(root):
    """--pidns with --unshare-pid: a new namespace below that one."""
    with holder(root, "-p", "-f", kind="pid") as (fd, _), pipe() as (info, info_write), pipe() as (block, block_write):
        words = ("--pidns", fd, "--unshare-pid", "--info-fd", info_write, "--block-fd", block, "true")
        with root.background(*root.words(*words), cwd="/", pass_fds=(fd, info_write, block)) as child:
            os.close(info_write)
            pid = read_line(info)["child-pid"]
            status = pathlib.Path(f"/proc/{pid}/status").read_text()
            assert len(status.split("NSpid:")[1].split("\n")[0].split()) == len(pathlib.Path("/proc/self/status").read_text().split("NSpid:")[1].split("\n")[0].split()) + 2
            os.close(block_write)
            child.wait().check()


def locked(path):
    """Whether somebody else has a lock on the file."""
    with open(path, "r+b") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


@pytest.mark.parametrize("more", [(), ("--unshare-pid",)], ids=["shared", "own"])
def test_lock_file_and_sync_fd(box, more):
    """--lock-file locks a file of the sandbox for reading, and --sync-fd stays open, as long as it runs; the command has neither."""
    file = box.workdir / "lock"
    file.touch(mode=0o666)
    with pipe() as (gate, gate_write), pipe() as (sync, sync_write):
        words = ("--bind", file, "/tmp/lock", *more, "--dev-bind", "/proc", "/proc", "--lock-file", "/tmp/lock", "--sync-fd", sync_write, "sh", "-c", "ls /proc/self/fd; cat")
        with proc.Background(*box.argv(*box.words("--tmpfs", "/tmp", *words)), env=box.environ, cwd="/", stdin=gate, pass_fds=(sync_write,)) as child:
            os.close(sync_write)
            for number in (b"0", b"1", b"2", b"3"):  # 3: of ls
                assert child.readline().strip() == number.decode()
            assert locked(file)
            os.set_blocking(sync, False)
            with pytest.raises(BlockingIOError):
                os.read(sync, 1)
            os.close(gate_write)
            child.wait().check()
        assert os.read(sync, 1) == b"" and not locked(file)
    with open(file, "r+b") as mine:
        fcntl.lockf(mine, fcntl.LOCK_EX)
        box.sandbox("--tmpfs", "/tmp", "--bind", file, "/tmp/lock", "--lock-file", "/tmp/lock", "true").fails("lock '/tmp/lock'", "locked for writing", rc=1)


def test_lock_outlives_coop(root):
    """Process 1 holds locks and the descriptor when coop is killed and the sandbox goes on."""
    file = root.workdir / "lock"
    file.touch()
    with pipe() as (sync, sync_write), pipe() as (info, info_write):
        words = ("--tmpfs", "/tmp", "--bind", file, "/tmp/lock", "--unshare-pid", "--lock-file", "/tmp/lock", "--sync-fd", sync_write, "--info-fd", info_write, "sleep", "1000")
        with root.background(*root.words(*words), cwd="/", pass_fds=(sync_write, info_write)) as child:
            os.close(sync_write)
            os.close(info_write)
            read_line(info)
            proc.until(lambda: root.ids() and root.status(root.ids()[0]) == "running", what="the sandbox")
            os.set_blocking(sync, False)
            child.signal(signal.SIGKILL)
            child.child.wait()
            with pytest.raises(BlockingIOError):
                os.read(sync, 1)
            assert locked(file)
            root("delete", "--force", root.ids()[0]).check()
            assert os.read(sync, 1) == b"" and not locked(file)


def test_no_checkpoint(root):
    """A sandbox has no bundle that it could be restored from, and says so."""
    with root.background(*root.words("--id", "sand", "sh", "-c", "echo up; sleep 1000"), cwd="/") as child:
        child.readline()
        root("checkpoint", "--image-path", root.workdir / "images", "sand").fails("it is a sandbox, and has no bundle", rc=1)
        assert root.status("sand") == "running" and not (root.workdir / "images").exists()
        root("kill", "sand", "KILL").check()
        child.wait()


# --- control descriptors -------------------------------------------------------------


def namespaces_of(pid):
    """As --info-fd names them."""
    names = {n: f"{n}-namespace" for n in (*INODES, "time")}
    return {names[n]: os.stat(f"/proc/{pid}/ns/{n}").st_ino for n in names if os.path.exists(f"/proc/{pid}/ns/{n}")}


def read_line(fd):
    """One line of a pipe."""
    line = b""
    while not line.endswith(b"\n"):
        piece = os.read(fd, 1)
        assert piece, f"end after {line!r}"
        line += piece
    return json.loads(line)


def test_info_and_block(box):
    """The descriptors tell before the start, and the command waits for a byte."""
    with pipe() as (info, info_write), pipe() as (block, block_write), pipe() as (status, status_write):
        words = ("--unshare-all", "--info-fd", info_write, "--json-status-fd", status_write, "--block-fd", block, "sh", "-c", "echo ran; exit 5")
        with box.background(*box.words(*words), cwd="/", pass_fds=(info_write, block, status_write)) as child:
            for fd in (info_write, status_write, block):
                os.close(fd)
            told = read_line(info)
            assert os.read(info, 1) == b""  # its end, while the command waits
            pid = told.pop("child-pid")
            assert told == namespaces_of(pid)
            assert pathlib.Path(f"/proc/{pid}/comm").read_text() != "sh\n"
            assert read_line(status) == {"child-pid": pid, **told}
            os.write(block_write, b"x")
            result = child.wait().check(5)
            assert result.out == "ran\n"
            assert read_line(status) == {"exit-code": 5}
            assert os.read(status, 1) == b""


def test_block_ends_with_the_descriptor(box):
    """Its end starts the command, too."""
    with pipe() as (block, block_write):
        with box.background(*box.words("--block-fd", block, "echo", "ran"), cwd="/", pass_fds=(block,)) as child:
            os.close(block_write)
            assert child.wait().check().out == "ran\n"


def test_signal_while_blocked(box):
    """A signal ends the wait; the command has never run and nothing is left."""
    with pipe() as (block, block_write), pipe() as (info, info_write):
        with box.background(*box.words("--block-fd", block, "--info-fd", info_write, "echo", "ran"), cwd="/", pass_fds=(block, info_write)) as child:
            os.close(info_write)
            read_line(info)
            child.signal(signal.SIGTERM)
            result = child.wait().fails("SIGTERM", "--block-fd", rc=143)
            assert result.out == ""
    assert os.listdir(box.root) == []


def test_control_descriptors_are_not_passed_on(root, bundle):
    """The container has none of them; one that --preserve-fds passes is refused."""
    with pipe() as (info, info_write):
        bundle.args(bundle.probe("fds")).save()
        result = root("run", "-b", bundle.path, "--info-fd", info_write, bundle.id, pass_fds=(info_write,)).check()
        assert [line.split()[0] for line in result.lines] == ["0", "1", "2"]
        os.close(info_write)
        read_line(info)
    with pipe() as (_, write):
        args = ("run", "-b", bundle.path, "--preserve-fds", "1", "--info-fd", "3", bundle.id)
        root(*args, pass_fds=(3, write), preexec=lambda: os.dup2(write, 3)).fails("--info-fd", "--preserve-fds", rc=1)


def test_wrong_direction(root):
    """A descriptor that cannot be written or read is refused."""
    with pipe() as (read, write):
        root.sandbox("--info-fd", read, "true", pass_fds=(read,)).fails("not open for writing", rc=1)
        root.sandbox("--block-fd", write, "true", pass_fds=(write,)).fails("not open for reading", rc=1)


class TestBundles:
    """The same for containers of bundles."""

    def test_run(self, runtime, bundle):
        """run tells, and writes the exit status at the end."""
        bundle.sh("exit 3").save()
        with pipe() as (status, write):
            runtime("run", "-b", bundle.path, "--json-status-fd", write, bundle.id, pass_fds=(write,)).check(3)
            os.close(write)
            assert read_line(status)["child-pid"] > 0
            assert read_line(status) == {"exit-code": 3}

    def test_create(self, runtime, bundle):
        """create returns when the byte has come; start is not earlier."""
        bundle.sh("sleep 1000").save()
        with pipe() as (info, info_write), pipe() as (block, block_write):
            argv = ("create", "-b", bundle.path, "--info-fd", info_write, "--block-fd", block, bundle.id)
            null = os.open("/dev/null", os.O_RDWR)
            with runtime.background(*argv, pass_fds=(info_write, block), stdout=null, stderr=null) as child:
                os.close(null)
                os.close(info_write)
                pid = read_line(info)["child-pid"]
                assert child.child.poll() is None
                os.write(block_write, b"x")
                assert child.child.wait(20) == 0
            assert runtime.state(bundle.id)["pid"] == pid
            assert runtime.status(bundle.id) == "created"
        runtime("delete", "--force", bundle.id).check()

    def test_time_limit(self, runtime, bundle):
        """run ends what takes too long, with the status of timeout(1)."""
        bundle.sh("trap 'exit 0' TERM; while :; do sleep 0.02; done").save()
        runtime("run", "-b", bundle.path, "--time-limit", "0.3", bundle.id).check(124)
        assert runtime.ids() == []

    def test_time_limit_detached(self, runtime, bundle):
        """Nobody would watch the time of a detached container."""
        bundle.save()
        runtime("run", "-d", "-b", bundle.path, "--time-limit", "1", bundle.id).fails("--time-limit", "--detach", rc=1)
        assert runtime.ids() == []


class TestTimeLimit:
    """--time-limit of a sandbox."""

    def test_in_time(self, box):
        """What ends in time keeps its status."""
        box.sandbox("--unshare-pid", "--time-limit", "20", "sh", "-c", "exit 9").check(9)

    def test_terminated(self, box):
        """SIGTERM comes first; the status says so in the descriptor as well."""
        with pipe() as (status, write):
            result = box.sandbox("--unshare-pid", "--time-limit", "0.3", "--json-status-fd", write, "sh", "-c", "trap 'echo term; exit 0' TERM; while :; do sleep 0.02; done", pass_fds=(write,))
            os.close(write)
            assert result.check(124).out == "term\n"
            read_line(status)
            assert read_line(status) == {"exit-code": 124, "timed-out": True}

    def test_killed(self, box):
        """What ignores it is killed after the grace time, stopped or not."""
        start = time.monotonic()
        box.sandbox("--unshare-pid", "--time-limit", "0.2", "--kill-after", "0.2", "sh", "-c", "trap '' TERM; while :; do sleep 0.02; done").check(124)
        box.sandbox("--unshare-pid", "--time-limit", "0.2", "--kill-after", "0", "sleep", "1000").check(124)
        box.sandbox("--unshare-pid", "--time-limit", "0.2", "sh", "-c", "kill -STOP $$").check(124)
        assert time.monotonic() - start < 20
