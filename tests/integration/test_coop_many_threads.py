"""The switch of the root on a machine with many threads, each of which pivot_root(2) would look at."""

import subprocess
import sys

import pytest

from lib import mountinfo, proc

THREADS = """
import threading
threading.stack_size(65536)
end = threading.Event()
for _ in range(700):
    threading.Thread(target=end.wait, daemon=True).start()
print("up", flush=True)
input()
"""


@pytest.fixture
def many_threads():
    """700 threads that wait."""
    with subprocess.Popen([sys.executable, "-c", THREADS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "up\n"
        yield process
        process.communicate("\n", timeout=30)


def tree(text):
    """Mounts in their order, without what differs from one container to the next."""
    return [(m.point, m.root.replace("/first", "").replace("/second", ""), m.fstype, sorted(m.options), m.propagation) for m in mountinfo.parse(text)]


def calls(runtime, bundle, workdir):
    """The system calls about mounts that a start makes."""
    log = workdir / "trace"
    bundle.save()
    proc.run("strace", "-f", "-o", log, "-e", "trace=pivot_root,umount2,setns", *runtime.argv("run", "--bundle", bundle.path, bundle.id), env=runtime.environ).check()
    return log.read_text()


@pytest.mark.needs("strace")
def test_no_pivot_root(runtime, bundle, workdir, many_threads):
    """No system call that looks at every thread is made."""
    seen = calls(runtime, bundle.args("true"), workdir)
    assert "pivot_root(" not in seen and 'umount2("/", MNT_DETACH)' in seen


@pytest.mark.needs("strace")
@pytest.mark.parametrize("option", ["unbindable", "runbindable"])
def test_unbindable_mounts_are_kept(runtime, bundle, workdir, many_threads, option):
    """A tree that cannot be copied is switched to by pivot_root, and keeps its mounts."""
    bundle.add_mount("/mnt", "tmpfs", "tmpfs", option)
    assert "pivot_root(" in calls(runtime, bundle.sh("grep -q ' /mnt .*unbindable' /proc/self/mountinfo"), workdir)


def test_same_tree(runtime, bundle, workdir, request):
    """The container sees the mounts that it sees on a machine with few threads: the host's file systems are gone, shared mounts are shared."""
    data = workdir / "data"
    (data / "sub").mkdir(parents=True)
    proc.run("mount", "--bind", data, data).check()
    proc.run("mount", "--make-shared", data).check()
    proc.run("mount", "-t", "tmpfs", "below", data / "sub").check()
    bundle.add_mount("/shared", "bind", data, "rbind", "rshared").add_mount("/slave", "bind", data, "rbind", "rslave").args("cat", "/proc/self/mountinfo")
    few = tree(runtime.output(bundle))
    request.getfixturevalue("many_threads")
    before = mountinfo.read()
    assert tree(runtime.output(bundle)) == few
    assert {m.point for m in mountinfo.read()} == {m.point for m in before}
    assert [m for m in before if m.source == "below"]


def test_propagation(runtime, bundle, workdir, many_threads):
    """What is mounted outside later arrives; what is mounted inside stays there."""
    data = workdir / "data"
    (data / "out").mkdir(parents=True)
    (data / "in").mkdir()
    proc.run("mount", "--bind", data, data).check()
    proc.run("mount", "--make-shared", data).check()
    bundle.add_mount("/shared", "bind", data, "rbind", "rshared").caps("CAP_SYS_ADMIN")
    with runtime.running(bundle.sh("sleep 1000")):
        proc.run("mount", "-t", "tmpfs", "outside", data / "out").check()
        assert "outside /shared/out tmpfs" in runtime("exec", bundle.id, "cat", "/proc/mounts").check().out
        runtime("exec", bundle.id, "mount", "-t", "tmpfs", "inside", "/shared/in").check()
        assert not [m for m in mountinfo.read() if m.source == "inside"]


def test_nothing_of_the_host(runtime, bundle, many_threads):
    """The root's parent directory is the root, and no mount of the host is left in the namespace."""
    out = runtime.output(bundle.caps("CAP_SYS_CHROOT", "CAP_DAC_READ_SEARCH").sh("cd /.. && pwd && ls / && cat /proc/self/mountinfo"))
    mounts = mountinfo.parse("\n".join(line for line in out.splitlines() if " - " in line))
    assert out.splitlines()[0] == "/"
    assert not [m for m in mounts if m.point == "/" and m.fstype == "rootfs"]
    assert [m.point for m in mounts].count("/") == 1
