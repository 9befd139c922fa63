"""Containers without a control group: hosts that have none, or only to look at, and callers that want none."""

import pathlib

import pytest

from lib import proc

# In a mount namespace of its own: the host's mounts stay as they are.
READ_ONLY = 'for m in $(awk \'$3 ~ /^cgroup/ {print $2}\' /proc/mounts); do mount -o remount,bind,ro "$m" || exit 9; done; exec "$@"'
ABSENT = 'while umount -l /sys/fs/cgroup 2>/dev/null; do :; done; exec "$@"'
HOSTS = {"read-only": (READ_ONLY, "the cgroup file systems are mounted read-only"), "absent": (ABSENT, "no cgroup file system is mounted")}

pytestmark = pytest.mark.differs(runc="fails where cgroups cannot be written", crun="has other words for it")


def on(host, runtime, *args):
    """The command on a host whose cgroup file systems are like that."""
    return proc.run("unshare", "-m", "sh", "-c", HOSTS[host][0], "sh", *runtime.argv(*args), env=runtime.environ)


@pytest.mark.parametrize("host", sorted(HOSTS))
def test_degraded(runtime, bundle, host):
    """A container without limits runs, and a warning says what it lacks; nothing of other groups is shown in it."""
    bundle.linux["resources"] = {"devices": [{"allow": False, "access": "rwm"}]}
    bundle.sh("cat /proc/self/cgroup; ls -A /sys/fs/cgroup").save()
    result = on(host, runtime, "run", "--bundle", bundle.path, bundle.id).check()
    assert HOSTS[host][1] in result.err
    assert "device rules are not enforced" in result.err
    assert [line for line in result.lines if bundle.id in line] == []
    runtime("state", bundle.id).fails(rc=1)


@pytest.mark.parametrize("host", sorted(HOSTS))
def test_limits_are_refused(runtime, bundle, host):
    """A limit that could not be kept is an error, not a warning, and leaves nothing behind."""
    bundle.linux["resources"] = {"memory": {"limit": 64 << 20}, "pids": {"limit": 50}}
    result = on(host, runtime, "run", "--bundle", bundle.sh("true").save().path, bundle.id)
    result.fails("/linux/resources: limits of memory, pids cannot be set: " + HOSTS[host][1], rc=1)
    runtime("state", bundle.id).fails(rc=1)


@pytest.mark.parametrize("host", sorted(HOSTS))
def test_disabled_ignores_limits(runtime, bundle, host):
    """Who disables control groups gets a warning that names the limits."""
    bundle.linux["resources"] = {"memory": {"limit": 64 << 20}, "pids": {"limit": -1}}
    result = on(host, runtime, "--cgroup-manager", "disabled", "run", "--bundle", bundle.sh("echo ran").save().path, bundle.id).check()
    assert result.out == "ran\n"
    assert "limits of memory are ignored: control groups are disabled" in result.err


def test_disabled(runtime, bundle):
    """--cgroup-manager disabled: the container stays where its caller is, lives and ends as others do, and cannot be paused."""
    bundle.linux["resources"] = {}
    bundle.sh("sleep 1000").save()
    runtime.detached("--cgroup-manager", "disabled", "run", "--detach", "--bundle", bundle.path, bundle.id).check()
    pid = runtime.state(bundle.id)["pid"]
    assert pathlib.Path(f"/proc/{pid}/cgroup").read_text() == pathlib.Path("/proc/self/cgroup").read_text()
    assert runtime("exec", bundle.id, "cat", "/proc/self/cgroup").check().out == pathlib.Path("/proc/self/cgroup").read_text()
    for command in (("pause",), ("update", "--memory", "64M"), ("events", "--stats")):
        runtime(command[0], *command[1:], bundle.id).fails("no cgroup", rc=1)
    assert runtime("ps", "--format", "json", bundle.id).check().out.strip() == f"[{pid}]"
    runtime("kill", bundle.id, "KILL").check()
    runtime.wait_status(bundle.id, "stopped")
    runtime("delete", bundle.id).check()


def test_manager_words(runtime, bundle):
    """cgroupfs is what there is without the flag; other words and contradictions are errors."""
    bundle.sh("echo ran").save()
    assert runtime("--cgroup-manager", "cgroupfs", "run", "--bundle", bundle.path, bundle.id).check().out == "ran\n"
    runtime("--cgroup-manager", "elogind", "run", "--bundle", bundle.path, bundle.id).fails("must be cgroupfs, systemd or disabled", rc=1)
    runtime("--systemd-cgroup", "--cgroup-manager", "disabled", "run", "--bundle", bundle.path, bundle.id).fails("contradicts", rc=1)
