"""What real clients need from a runtime: one test for each fact, here or - where it belongs to a family - by name in ROWS."""

import os
import pathlib
import re
import resource
import shutil
import signal
import statistics
import time

import pytest

from lib import paths, profiles

# fact -> test that proves the rule made from it
ROWS = {
    "docker reads 126 and 127 out of the runtime's words": "test_clients_docker.py::test_failed_start",
    "docker update sends the memory limit again": "test_clients_docker.py::test_update",
    "ulimits beyond the hard limit": "test_clients_compat.py::test_rlimit_beyond_the_hard_limit",
    "storage, run root and cgroup manager per instance": "test_clients_compat.py::test_clients_stay_in_their_own_directories",
    "docker attach and ctr swallow SIGTERM": "test_clients_docker.py::test_attach_sigterm",
    "the runtime is not the one that hangs": "test_clients_compat.py::test_sigterm_then_sigkill",
    "ctr run without a terminal": "test_clients_containerd.py::test_ends_with_its_process",
    "podman --init needs catatonit": "test_clients_podman.py::test_init",
    "health checks by hand": "test_clients_podman.py::test_healthcheck",
    "a frozen cgroup is refused": "test_coop_cgroups.py::test_frozen_target",
    "small address-space limits": "test_clients_compat.py::test_small_address_space",
    "a profile that denies getcwd": "test_clients_compat.py::test_seccomp_denies_getcwd",
    "SELinux label without SELinux": "test_coop_kernel.py::test_selinux_label_elsewhere",
    "unknown capability": "test_coop_process.py::test_capability_unknown",
    "ungrantable capability": "test_coop_process.py::test_capability_ungrantable",
    "poststart hooks run at start": "test_coop_hooks.py::test_phases",
    "exec --env adds": "test_coop_exec.py::test_env_keeps_path",
    "failed exec is 255": "test_coop_exec.py::test_own_errors",
    "rootfs propagation shared": "test_coop_mounts.py::test_rootfs_propagation_shared",
    "device rules in order": "test_coop_kernel.py::test_device_rules_are_written_in_order",
    "seccomp cache": "test_clients_compat.py::test_seccomp_is_cheap",
}


def test_every_row_has_a_test():
    """Each entry of ROWS names a test that exists."""
    for row, name in ROWS.items():
        file, function = name.split("::")
        text = (paths.HERE / file).read_text()
        assert re.search(rf"^\s*def {function}\(", text, re.M), f"{row}: {name}"


@pytest.mark.differs(runc="names only a number", crun="names only the rlimit")
def test_rlimit_beyond_the_hard_limit(runtime, bundle):
    """podman's default nofile of 1048576 may be beyond what can be set: the error names the rlimit, the wish and the hard limit."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    wish = max(int(pathlib.Path("/proc/sys/fs/nr_open").read_text()), hard) + 1
    bundle.process["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": wish, "hard": wish}]
    # At create, in a user namespace, too: nobody is there to be told later.
    for _ in range(2):
        runtime.create(bundle).fails("RLIMIT_NOFILE", str(wish), str(hard), rc=1)
        bundle.userns()


@pytest.mark.needs("isolation", "podman")
@pytest.mark.may_leave("/conmon", "/st/overlay (root", "/dev/shm/libpod", "/run/containers", "/run/libpod", "/.seccomp/")
def test_clients_stay_in_their_own_directories(podman):
    """A podman with its own --root, --runroot and cgroup parent touches no storage but its own."""
    shared = [p for p in ("/var/lib/containers", "/var/lib/docker", "/var/lib/containerd") if os.path.isdir(p)]
    before = {p: sorted(os.listdir(p)) for p in shared}
    assert podman.run("--rm", "localhost/busybox", "cat", "/proc/self/cgroup").check().out.count(podman.cgroup_parent) >= 8
    assert {p: sorted(os.listdir(p)) for p in shared} == before


def test_sigterm_then_sigkill(runtime, bundle):
    """SIGTERM to a run whose program ignores it is passed on; SIGKILL of the container always ends the run."""
    bundle.sh("trap '' TERM INT HUP; echo up; while :; do sleep 0.05; done").save()
    with runtime.background("run", "--bundle", bundle.path, bundle.id) as run:
        run.readline()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            run.signal(number)
        time.sleep(0.2)
        assert run.child.poll() is None
        runtime("kill", bundle.id, "KILL", timeout=5).check()
        assert run.wait(5).rc == 137


@pytest.mark.parametrize("megabytes", [32, 64, 128])
@pytest.mark.needs("seccomp")
@pytest.mark.differs(runc="1.1 dies while it compiles the filter")
def test_small_address_space(runtime, bundle, megabytes):
    """A small RLIMIT_AS with a large seccomp profile starts: limits come after everything that allocates."""
    if not profiles.FILE.exists():
        pytest.skip(f"no {profiles.FILE} (apt-get install golang-github-containers-common)")
    bundle.linux["seccomp"] = profiles.podman_default()
    bundle.process["rlimits"] = [{"type": "RLIMIT_AS", "soft": megabytes << 20, "hard": megabytes << 20}]
    assert runtime.output(bundle.args("echo", "alive")) == "alive\n"


@pytest.mark.needs("seccomp")
@pytest.mark.parametrize(
    "names,no_new_privileges",
    [
        (["getcwd"], True),
        (["getcwd"], False),
        (["getcwd", "getpid", "getppid", "gettid", "close", "close_range", "fcntl", "prctl", "newfstatat", "openat", "setgroups", "capset", "chdir"], True),
    ],
    ids=["getcwd", "getcwd-without-no-new-privileges", "many"],
)
@pytest.mark.differs(runc="1.1 calls it after loading the filter", crun="makes calls after loading the filter")
def test_seccomp_denies_getcwd(runtime, bundle, names, no_new_privileges):
    """A profile that denies getcwd (or any call of a runtime's last steps) starts: the filter is loaded last, only exec follows."""
    bundle.process["noNewPrivileges"] = no_new_privileges
    bundle.linux["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": [{"names": names, "action": "SCMP_ACT_ERRNO"}]}
    runtime.run(bundle.args(bundle.probe("true"))).check()


def cost(runtime, bundle, rounds, fresh_root=False):
    """Median milliseconds of processor time of a run: what other load on the machine changes least."""
    samples = []
    for _ in range(rounds):
        if fresh_root and runtime.root.exists():
            shutil.rmtree(runtime.root)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        runtime.run(bundle).check()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        samples.append((after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1000)
    return statistics.median(samples)


@pytest.mark.needs("seccomp")
@pytest.mark.differs(runc="has no cache", crun="1.8 has no cache")
def test_seccomp_is_cheap(runtime, bundle):
    """podman's full profile adds little: under 4 ms when the compiled filter is cached, under 14 ms (crun's) when it is not."""
    if not profiles.FILE.exists():
        pytest.skip(f"no {profiles.FILE} (apt-get install golang-github-containers-common)")
    bundle.args(bundle.probe("true"))
    plain = cost(runtime, bundle, 15)
    bundle.linux["seccomp"] = profiles.podman_default()
    cold = cost(runtime, bundle, 9, fresh_root=True)
    warm = cost(runtime, bundle, 15)
    assert warm - plain < 4, f"plain {plain:.1f} ms, warm {warm:.1f} ms, cold {cold:.1f} ms"
    assert cold - plain < 14, f"plain {plain:.1f} ms, warm {warm:.1f} ms, cold {cold:.1f} ms"
