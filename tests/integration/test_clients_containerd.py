"""containerd's ctr run --runc-binary with the runtime under test."""

import pytest

from lib import cgroups, isolate, proc, rootfs

pytestmark = [pytest.mark.needs("root", "isolation", "containerd"), pytest.mark.may_leave("/.seccomp/", "/run/containerd")]


@pytest.fixture
def tree(workdir):
    """A busybox root file system of the test's own (ctr writes into it)."""
    return rootfs.make_busybox(workdir / "tree")


@pytest.fixture
def debian_overlay(workdir, debian_tree):
    """The Debian root file system under a writable layer of the test's own."""
    for name in ("upper", "work", "debian"):
        (workdir / name).mkdir()
    options = f"lowerdir={debian_tree}/rootfs,upperdir={workdir}/upper,workdir={workdir}/work"
    isolate.mount("overlay", workdir / "debian", "overlay", 0, options)
    yield workdir / "debian"
    isolate.umount(workdir / "debian")


def test_run(containerd, tree, unique):
    """Output and success."""
    assert containerd.run(tree, unique("ct"), "echo", "hello").check().out == "hello\n"


@pytest.mark.parametrize("status", [1, 42, 255])
def test_exit_status(containerd, tree, unique, status):
    """The exit status of the program is that of ctr run."""
    assert containerd.run(tree, unique("ct"), "sh", "-c", f"exit {status}").rc == status


@pytest.mark.parametrize("argv,words", [(["no-such-command"], "executable file not found"), (["/no/such"], "no such file"), (["/etc"], "permission denied")])
def test_failed_start(containerd, tree, unique, argv, words):
    """The runtime's sentence reaches the user, and nothing is left."""
    containerd.run(tree, unique("ct"), *argv).fails(words)


def test_ends_with_its_process(containerd, tree, unique):
    """ctr run ends when the process does (with standard input at its end; it would not end for that alone)."""
    assert containerd.run(tree, unique("ct"), "sh", "-c", "sleep 0.2; echo done", timeout=20).check().out == "done\n"


def test_terminal(containerd, tree, unique):
    """--tty gives a terminal."""
    name = unique("ct")
    with containerd.on_terminal("run", "--rm", "--tty", *containerd.options(tree), name, "sh", "-c", "sleep 0.3; tty; exit 6") as run:
        status, text = run.wait(60)
    assert status == 6 and "/dev/" in text


def test_terminal_input(containerd, tree, unique):
    """Typing reaches the shell."""
    with containerd.on_terminal("run", "--rm", "--tty", *containerd.options(tree), unique("ct"), "sh") as run:
        run.expect("#")
        run.write("echo $((40+2)); exit 4\n")
        status, text = run.wait(60)
        assert status == 4 and "42" in text


def test_detached_life(containerd, tree, unique):
    """A detached task: ls, exec, ps, metrics, pause, resume, kill, delete."""
    with containerd.running(tree, unique("ct"), "sleep", "1000") as name:
        status = lambda: next(l.split()[2] for l in containerd("task", "ls").check().lines if l.startswith(name))
        assert status() == "RUNNING"
        assert containerd("task", "exec", "--exec-id", "e1", name, "echo", "x").check().out == "x\n"
        assert containerd("task", "exec", "--exec-id", "e2", name, "sh", "-c", "exit 9").rc == 9
        assert len(containerd("task", "ps", name).check().lines) == 2
        assert "memory" in containerd("task", "metrics", name).check().out
        containerd("task", "pause", name).check()
        assert status() == "PAUSED"
        containerd("task", "resume", name).check()
        assert status() == "RUNNING"
        containerd("task", "kill", "--signal", "SIGKILL", name).check()
        proc.until(lambda: status() == "STOPPED", 10)


def test_exec_terminal(containerd, tree, unique):
    """task exec --tty has a terminal of its own."""
    with containerd.running(tree, unique("ct"), "sleep", "1000") as name:
        with containerd.on_terminal("task", "exec", "--tty", "--exec-id", "e1", name, "sh", "-c", "sleep 0.3; tty; exit 5") as run:
            status, text = run.wait(60)
        assert status == 5 and "/dev/pts" in text


def test_exec_failure(containerd, tree, unique):
    """A failed exec reports the runtime's words and leaves the task running."""
    with containerd.running(tree, unique("ct"), "sleep", "1000") as name:
        containerd("task", "exec", "--exec-id", "e1", name, "no-such-command").fails("executable file not found")
        assert containerd("task", "exec", "--exec-id", "e2", name, "echo", "x").check().out == "x\n"


def test_options(containerd, tree, unique, workdir):
    """Working directory, environment, mounts, read-only root."""
    (workdir / "data").mkdir()
    (workdir / "data/file").write_text("volume\n")
    args = ("run", "--rm", "--cwd", "/tmp", "--env", "A=b", "--read-only", "--mount", f"type=bind,src={workdir}/data,dst=/data,options=rbind:ro")
    out = containerd(*args, *containerd.options(tree), unique("ct"), "sh", "-c", "pwd; echo $A; cat /data/file; touch /x 2>/dev/null || echo ro").check().lines
    assert out == ["/tmp", "b", "volume", "ro"]


@pytest.mark.needs("cgroup1-memory")
def test_memory_limit(containerd, tree, unique):
    """--memory-limit reaches the cgroup."""
    name = unique("ct")
    try:
        containerd("run", "--detach", "--memory-limit", str(64 << 20), *containerd.options(tree), name, "sleep", "1000").check()
        assert cgroups.read("memory", f"{containerd.cgroup_parent}/{name}", "memory.limit_in_bytes") == str(64 << 20)
    finally:
        containerd("task", "kill", "--signal", "SIGKILL", name)
        proc.until(lambda: containerd("task", "delete", name).rc == 0, 10, 0.1, "end of the task")
        containerd("container", "delete", name).check()


def test_host_network(containerd, tree, unique):
    """--net-host shares the network namespace."""
    import os

    args = ("run", "--rm", "--net-host", *containerd.options(tree), unique("ct"), "readlink", "/proc/self/ns/net")
    assert containerd(*args).check().out.strip() == os.readlink("/proc/self/ns/net")


def test_seccomp(containerd, tree, unique):
    """--seccomp: containerd's default profile is loaded."""
    args = ("run", "--rm", "--seccomp", *containerd.options(tree), unique("ct"), "grep", "Seccomp:", "/proc/self/status")
    assert containerd(*args).check().out.split()[1] == "2"


def test_parallel(containerd, tree, unique):
    """Ten ctr runs at once on one root file system."""
    runs = [containerd.background("run", "--rm", *containerd.options(tree), unique("ct"), "sh", "-c", f"exit {i}") for i in range(10)]
    try:
        assert [run.wait(60).rc for run in runs] == list(range(10))
    finally:
        for run in runs:
            run.__exit__()


def test_debian(containerd, debian_overlay, unique):
    """A Debian root file system: its own shell, libraries, perl and package list work."""
    out = containerd.run(debian_overlay, unique("ct"), "bash", "-c", "cat /etc/debian_version; dpkg -l | grep -c ^ii; perl -e 'print 6*7'").check().lines
    assert out[0].startswith("12") and int(out[1]) > 50 and out[2] == "42"


def test_debian_terminal(containerd, debian_overlay, unique):
    """The same on a terminal, typing at bash."""
    with containerd.on_terminal("run", "--rm", "--tty", *containerd.options(debian_overlay), unique("ct"), "bash") as run:
        run.expect("#")
        run.write("echo $((6*7)); exit 8\n")
        status, text = run.wait(60)
        assert status == 8 and "42" in text
