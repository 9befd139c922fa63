"""podman 4 with the runtime under test: run, exec, kill, pause, stats, logs, cp; with and without a terminal."""

import json
import os
import pathlib
import shutil
import signal
import time

import pytest

from lib import proc
from lib.criu import podman_there_and_back

pytestmark = [
    pytest.mark.needs("root", "isolation", "podman"),
    pytest.mark.may_leave("/conmon", "/st/overlay (root", "/dev/shm/libpod", "/run/containers", "/run/libpod", "/.seccomp/"),
]

IMAGE = "localhost/busybox"


def test_run(podman):
    """Output and success."""
    assert podman.run("--rm", IMAGE, "echo", "hello").check().out == "hello\n"


@pytest.mark.parametrize("status", [1, 42, 125, 255])
def test_exit_status(podman, status):
    """The exit status of the program is that of podman run."""
    assert podman.run("--rm", IMAGE, "sh", "-c", f"exit {status}").rc == status


def test_stdin(podman):
    """-i passes standard input and its end."""
    assert podman.run("--rm", "-i", IMAGE, "cat", stdin="a\nb\n").check().out == "a\nb\n"


def test_streams_stay_apart(podman):
    """Standard output and error output are kept apart."""
    result = podman.run("--rm", IMAGE, "sh", "-c", "echo out; echo err >&2").check()
    assert (result.out, result.err) == ("out\n", "err\n")


@pytest.mark.parametrize("argv,status", [(["no-such-command"], 127), (["/no/such/file"], 127), (["/etc"], 126), (["/etc/passwd"], 126)])
def test_failed_start(podman, argv, status):
    """podman turns the runtime's words into 127 (not found) and 126 (cannot be run)."""
    assert podman.run("--rm", IMAGE, *argv).rc == status


def test_terminal(podman):
    """-t gives a terminal with the caller's size."""
    with podman.on_terminal("run", *podman.options(), "--rm", "-it", IMAGE, "sh", "-c", "sleep 0.3; tty; stty size; exit 6") as run:
        status, text = run.wait(60)
    assert status == 6
    assert "/dev/pts/0" in text or "/dev/console" in text
    assert "33 77" in text


def test_terminal_input(podman):
    """Typing reaches the program; control-C interrupts it."""
    with podman.on_terminal("run", *podman.options(), "--rm", "-it", IMAGE, "sh") as run:
        run.write("echo $((40+2))\n")
        run.expect("42")
        run.write("exit 3\n")
        assert run.wait(60)[0] == 3


def test_detached_life(podman, unique):
    """run -d, ps, inspect, exec, logs, top, kill, wait, rm."""
    name = unique("pod")
    with podman.running(name, IMAGE, "sh", "-c", "echo started; trap 'echo bye; exit 3' TERM; while :; do sleep 0.05; done"):
        assert name in podman("ps", "--format", "{{.Names}}").check().out.split()
        state = json.loads(podman("inspect", name).check().out)[0]["State"]
        assert state["Running"] is True and os.path.exists(f"/proc/{state['Pid']}")
        proc.until(lambda: "started" in podman("logs", name).check().out, 10)
        assert "sleep" in podman("top", name).check().out or "sh" in podman("top", name).check().out
        podman("kill", "--signal", "TERM", name).check()
        assert podman("wait", name).check().out == "3\n"
        assert podman("logs", name).check().out == "started\nbye\n"


def test_exec(podman, unique):
    """exec: output, status, input, user, directory, environment."""
    with podman.running(unique("pod"), IMAGE, "sleep", "1000") as name:
        assert podman("exec", name, "echo", "x").check().out == "x\n"
        assert podman("exec", name, "sh", "-c", "exit 9").rc == 9
        assert podman("exec", "-i", name, "cat", stdin="in").check().out == "in"
        assert podman("exec", "-u", "1000", "-w", "/tmp", "-e", "A=1", name, "sh", "-c", "id -u; pwd; echo $A; echo $PATH").check().out.split()[:3] == ["1000", "/tmp", "1"]
        assert podman("exec", name, "no-such-command").rc == 127
        assert podman("exec", name, "/etc").rc == 126


def test_exec_terminal(podman, unique):
    """exec -it has a terminal of its own."""
    with podman.running(unique("pod"), IMAGE, "sleep", "1000") as name:
        with podman.on_terminal("exec", "-it", name, "sh", "-c", "tty; exit 5") as run:
            status, text = run.wait(60)
        assert status == 5 and "/dev/pts" in text


def test_exec_detached(podman, unique):
    """exec -d leaves a process in the container."""
    with podman.running(unique("pod"), IMAGE, "sleep", "1000") as name:
        podman("exec", "-d", name, "sleep", "777").check()
        proc.until(lambda: "777" in podman("top", name, "args").out, 10)


def test_pause(podman, unique):
    """pause, unpause and the states in between."""
    with podman.running(unique("pod"), IMAGE, "sleep", "1000") as name:
        podman("pause", name).check()
        assert podman("inspect", "--format", "{{.State.Status}}", name).check().out == "paused\n"
        assert podman("exec", name, "true").rc != 0
        podman("unpause", name).check()
        assert podman("exec", name, "true").check().rc == 0


def test_stats(podman, unique):
    """stats reads the cgroup."""
    with podman.running(unique("pod"), "--memory", "64m", "--pids-limit", "50", IMAGE, "sleep", "1000") as name:
        (entry,) = json.loads(podman("stats", "--no-stream", "--format", "json", name).check().out)
        assert entry["name"] == name
        assert "67.11MB" in entry["mem_usage"]
        assert entry["pids"] == "1"


def test_cp(podman, unique, workdir):
    """cp in and out of a running container."""
    (workdir / "in").write_text("content")
    with podman.running(unique("pod"), IMAGE, "sleep", "1000") as name:
        podman("cp", workdir / "in", f"{name}:/tmp/file").check()
        assert podman("exec", name, "cat", "/tmp/file").check().out == "content"
        podman("cp", f"{name}:/tmp/file", workdir / "out").check()
        assert (workdir / "out").read_text() == "content"


def test_stop(podman, unique):
    """stop: TERM, then KILL after its time."""
    with podman.running(unique("pod"), IMAGE, "sh", "-c", "trap '' TERM; while :; do sleep 0.05; done") as name:
        podman("stop", "--time", "1", name).check()
        assert podman("inspect", "--format", "{{.State.Status}} {{.State.ExitCode}}", name).check().out == "exited 137\n"


def test_restart(podman, unique):
    """stop, start again, with the same root file system."""
    with podman.running(unique("pod"), IMAGE, "sh", "-c", "echo x >> /count; sleep 1000") as name:
        podman("stop", "--time", "0", name).check()
        podman("start", name).check()
        proc.until(lambda: podman("exec", name, "cat", "/count").out == "x\nx\n", 10)


def test_create_start_attach(podman, unique):
    """create, then start --attach."""
    name = unique("pod")
    podman("create", *podman.options(), "--name", name, IMAGE, "echo", "attached").check()
    assert podman("start", "--attach", name).check().out == "attached\n"
    podman("rm", name).check()


def test_signal_proxy(podman, unique):
    """A signal to podman run reaches the program."""
    name = unique("pod")
    script = "trap 'echo got; exit 4' USR1; echo ready; while :; do sleep 0.05; done"
    with podman.background("run", *podman.options(), "--name", name, IMAGE, "sh", "-c", script) as run:
        assert run.readline(30) == "ready"
        for _ in range(50):  # podman installs its signal proxy a moment after the start
            if run.child.poll() is not None:
                break
            run.signal(signal.SIGUSR1)
            time.sleep(0.1)
        result = run.wait(30)
    podman("rm", "--force", "--time", "0", name).check()
    assert result.rc == 4


def test_options(podman, workdir):
    """Many options in one container: user, directory, hostname, environment, volumes, tmpfs, read-only, limits, capabilities."""
    (workdir / "data").mkdir()
    (workdir / "data/file").write_text("volume\n")
    script = "id -u; pwd; hostname; echo $A; cat /data/file; grep -c ' /scratch tmpfs' /proc/mounts; ulimit -n; touch /x 2>/dev/null || echo ro; grep NoNewPrivs /proc/self/status | cut -f2"
    result = podman.run(
        "--rm", "-u", "1000:1000", "-w", "/tmp", "--hostname", "cask", "-e", "A=b", "-v", f"{workdir}/data:/data:ro", "--tmpfs", "/scratch",
        "--read-only", "--ulimit", "nofile=512:512", "--ulimit", "nproc=1000:1000", "--cap-drop", "all", "--security-opt", "no-new-privileges", "--memory", "64m", "--cpus", "0.5",
        "--pids-limit", "20", IMAGE, "sh", "-c", script,
    )  # fmt: skip
    assert result.check().lines == ["1000", "/tmp", "cask", "b", "volume", "1", "512", "ro", "1"]


def test_seccomp_default_profile(podman):
    """podman's default profile is active."""
    assert podman.run("--rm", IMAGE, "grep", "Seccomp:", "/proc/self/status").check().out.split()[1] == "2"


def test_seccomp_own_profile(podman, workdir):
    """A profile given by file is enforced."""
    profile = {"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"}]}
    (workdir / "profile.json").write_text(json.dumps(profile))
    result = podman.run("--rm", "--security-opt", f"seccomp={workdir}/profile.json", IMAGE, "mkdir", "/tmp/x")
    assert result.rc != 0 and "not permitted" in result.err


def test_privileged(podman):
    """--privileged: devices, capabilities, no filter."""
    out = podman.run("--rm", "--privileged", IMAGE, "sh", "-c", "ls /dev | wc -l; grep Seccomp: /proc/self/status").check().lines
    assert int(out[0]) > 15 and out[1].split()[1] == "0"


@pytest.mark.parametrize("options", [("--pid", "host"), ("--ipc", "host"), ("--uts", "host"), ("--cgroupns", "private"), ("--pid", "host", "--ipc", "host")], ids=" ".join)
def test_namespace_modes(podman, options):
    """Shared and private namespaces work."""
    assert podman.run("--rm", *options, IMAGE, "echo", "fine").check().out == "fine\n"


def test_no_cgroup(podman):
    """--cgroups=disabled: no group is made, the container stays where podman is."""
    result = podman("run", "--rm", "--network", "none", "--cgroups", "disabled", "--cgroupns", "host", IMAGE, "cat", "/proc/self/cgroup").check()
    own = pathlib.Path("/proc/self/cgroup").read_text().split()
    assert result.out.split() == own


def test_user_namespace(podman):
    """--uidmap: a user namespace with its own copy of the root file system's owners."""
    out = podman.run("--rm", "--uidmap", "0:200000:1000", "--gidmap", "0:200000:1000", IMAGE, "sh", "-c", "id -u; cat /proc/self/uid_map; stat -c %u /bin/busybox").check().lines
    assert out[0] == "0" and out[1].split() == ["0", "200000", "1000"] and out[2] == "0"


def test_mapped_volume(podman, workdir):
    """-v ...:idmap=uids=...: owners of the directory as the option says."""
    (workdir / "file").touch()
    os.chown(workdir / "file", 2000, 3000)
    volume = f"{workdir}:/m:idmap=uids=2000-0-1;gids=3000-7-1"
    assert podman.run("--rm", "-v", volume, IMAGE, "stat", "-c", "%u:%g", "/m/file").check().out == "0:7\n"


def test_shared_namespaces(podman, unique):
    """--network container: and --pid container: join another container's namespaces."""
    with podman.running(unique("pod"), IMAGE, "sleep", "1000") as name:
        out = podman("run", "--rm", "--cgroup-parent", podman.cgroup_parent, "--network", f"container:{name}", "--pid", f"container:{name}", IMAGE, "ps").check().out
        assert "sleep 1000" in out


def test_init(podman):
    """--init needs catatonit; with it the program is not process 1."""
    if not (os.path.exists("/usr/libexec/podman/catatonit") or shutil.which("catatonit")):
        pytest.skip("catatonit is not installed (apt-get install catatonit)")
    assert podman.run("--rm", "--init", IMAGE, "sh", "-c", "echo $$").check().out.strip() != "1"


def test_healthcheck(podman, unique):
    """A health check, called by hand (there is no systemd timer here)."""
    with podman.running(unique("pod"), "--health-cmd", "test -e /healthy", "--health-interval", "disable", IMAGE, "sleep", "1000") as name:
        assert podman("healthcheck", "run", name).rc == 1
        podman("exec", name, "touch", "/healthy").check()
        assert podman("healthcheck", "run", name).rc == 0


def test_parallel(podman):
    """Ten podman runs at once."""
    runs = [podman.background("run", *podman.options(), "--rm", IMAGE, "sh", "-c", f"exit {i}") for i in range(10)]
    try:
        assert [run.wait(60).rc for run in runs] == list(range(10))
    finally:
        for run in runs:
            run.__exit__()


def test_debian(podman, podman_debian):
    """A Debian root file system: its own shell, libraries, perl and package list work."""
    out = podman.run("--rm", podman_debian, "bash", "-c", "cat /etc/debian_version; dpkg -l | grep -c ^ii; perl -e 'print 6*7'").check().lines
    assert out[0].startswith("12") and int(out[1]) > 50 and out[2] == "42"


def test_debian_terminal(podman, podman_debian):
    """The same on a terminal, typing at bash."""
    with podman.on_terminal("run", *podman.options(), "--rm", "-it", podman_debian, "bash") as run:
        run.expect("#")
        run.write("echo $((6*7)); exit 8\n")
        status, text = run.wait(60)
        assert status == 8 and "42" in text


@pytest.mark.needs("criu")
def test_checkpoint(podman, unique, workdir):
    """container checkpoint and restore: where it was, and from an exported file under another name."""
    podman_there_and_back(podman, IMAGE, unique("p"), unique("q"), workdir)
