"""docker 20.10 with the runtime under test, by dockerd --add-runtime."""

import json
import os
import signal
import time

import pytest

from lib import cgroups, proc

pytestmark = [pytest.mark.needs("root", "isolation", "docker"), pytest.mark.may_leave("/.seccomp/", "/run/docker", "/run/containerd", "/exec/netns/default")]

IMAGE = "busybox"


def test_run(docker):
    """Output and success."""
    assert docker.run("--rm", IMAGE, "echo", "hello").check().out == "hello\n"


def test_runtime_is_ours(docker, unique):
    """The container really runs under the runtime given by --add-runtime."""
    with docker.running(unique("dk"), IMAGE, "sleep", "1000") as name:
        assert docker("inspect", "--format", "{{.HostConfig.Runtime}}", name).check().out == "coop\n"
        assert docker("info", "--format", "{{(index .Runtimes \"coop\").Path}}").check().out.strip() == docker.runtime


@pytest.mark.parametrize("status", [1, 42, 255])
def test_exit_status(docker, status):
    """The exit status of the program is that of docker run."""
    assert docker.run("--rm", IMAGE, "sh", "-c", f"exit {status}").rc == status


def test_stdin(docker):
    """-i passes standard input and its end."""
    assert docker.run("--rm", "-i", IMAGE, "cat", stdin="a\nb\n").check().out == "a\nb\n"


def test_streams_stay_apart(docker):
    """Standard output and error output are kept apart."""
    result = docker.run("--rm", IMAGE, "sh", "-c", "echo out; echo err >&2").check()
    assert (result.out, result.err) == ("out\n", "err\n")


@pytest.mark.parametrize("argv,status", [(["no-such-command"], 127), (["/no/such/file"], 127), (["/etc"], 126), (["/etc/passwd"], 126)])
def test_failed_start(docker, argv, status):
    """docker finds runc's words in the runtime's error: 127 for not found, 126 for cannot be run - never 125."""
    assert docker.run("--rm", IMAGE, *argv).rc == status


def test_terminal(docker):
    """-it gives a terminal; typing reaches the shell."""
    with docker.on_terminal("run", "--runtime", "coop", "--network", "none", "--rm", "-it", IMAGE, "sh") as run:
        run.expect("#")
        run.write("tty; echo $((40+2))\n")
        run.expect("42")
        run.write("exit 6\n")
        assert run.wait(60)[0] == 6


def test_detached_life(docker, unique):
    """run -d, ps, inspect, logs, top, kill, wait."""
    with docker.running(unique("dk"), IMAGE, "sh", "-c", "echo started; trap 'echo bye; exit 3' TERM; while :; do sleep 0.05; done") as name:
        assert name in docker("ps", "--format", "{{.Names}}").check().out.split()
        state = json.loads(docker("inspect", name).check().out)[0]["State"]
        assert state["Running"] is True and os.path.exists(f"/proc/{state['Pid']}")
        proc.until(lambda: "started" in docker("logs", name).check().out, 10)
        assert "sh -c" in docker("top", name).check().out
        docker("kill", "--signal", "TERM", name).check()
        assert docker("wait", name).check().out == "3\n"
        assert docker("logs", name).check().out == "started\nbye\n"


def test_exec(docker, unique):
    """exec: output, status, input, user, directory, environment; failures are 126 and 127."""
    with docker.running(unique("dk"), IMAGE, "sleep", "1000") as name:
        assert docker("exec", name, "echo", "x").check().out == "x\n"
        assert docker("exec", name, "sh", "-c", "exit 9").rc == 9
        assert docker("exec", "-i", name, "cat", stdin="in").check().out == "in"
        out = docker("exec", "-u", "1000", "-w", "/tmp", "-e", "A=1", name, "sh", "-c", "id -u; pwd; echo $A").check().out
        assert out.split() == ["1000", "/tmp", "1"]
        assert docker("exec", name, "no-such-command").rc in (126, 127)
        assert docker("exec", name, "/etc").rc == 126


def test_exec_terminal(docker, unique):
    """exec -it has a terminal of its own."""
    with docker.running(unique("dk"), IMAGE, "sleep", "1000") as name:
        with docker.on_terminal("exec", "-it", name, "sh", "-c", "tty; exit 5") as run:
            status, text = run.wait(60)
        assert status == 5 and "/dev/pts" in text


def test_pause(docker, unique):
    """pause and unpause."""
    with docker.running(unique("dk"), IMAGE, "sleep", "1000") as name:
        docker("pause", name).check()
        assert docker("inspect", "--format", "{{.State.Status}}", name).check().out == "paused\n"
        docker("unpause", name).check()
        docker("exec", name, "true").check()


def test_stats(docker, unique):
    """stats reads the cgroup."""
    with docker.running(unique("dk"), "--memory", "64m", IMAGE, "sleep", "1000") as name:
        out = docker("stats", "--no-stream", "--format", "{{.Name}} {{.MemUsage}} {{.PIDs}}", name).check().out
        assert out.startswith(name) and "/ 64MiB" in out and out.split()[-1] == "1"


@pytest.mark.needs("cgroup1-memory", "cgroup1-cpu")
def test_update(docker, unique):
    """update --cpus and --memory change the cgroup, in every order: docker sends the memory limit again each time."""
    with docker.running(unique("dk"), "--memory", "64m", "--memory-swap", "64m", IMAGE, "sleep", "1000") as name:
        full = docker("inspect", "--format", "{{.Id}}", name).check().out.strip()
        path = f"{docker.cgroup_parent}/{full}"
        read = lambda controller, file: cgroups.read(controller, path, file)
        docker("update", "--cpus", "0.5", name).check()
        assert read("cpu", "cpu.cfs_quota_us") == "50000"
        assert read("memory", "memory.limit_in_bytes") == str(64 << 20)
        docker("update", "--memory", "128m", "--memory-swap", "256m", name).check()
        assert read("memory", "memory.limit_in_bytes") == str(128 << 20)
        docker("update", "--cpus", "0.7", name).check()
        assert read("memory", "memory.memsw.limit_in_bytes") == str(256 << 20)
        docker("update", "--memory", "32m", "--memory-swap", "48m", name).check()
        assert read("memory", "memory.limit_in_bytes") == str(32 << 20)
        assert read("memory", "memory.memsw.limit_in_bytes") == str(48 << 20)
        docker("update", "--cpus", "0.6", name).check()
        assert read("cpu", "cpu.cfs_quota_us") == "60000"


def test_cp(docker, unique, workdir):
    """cp in and out of a running container."""
    (workdir / "in").write_text("content")
    with docker.running(unique("dk"), IMAGE, "sleep", "1000") as name:
        docker("cp", workdir / "in", f"{name}:/tmp/file").check()
        assert docker("exec", name, "cat", "/tmp/file").check().out == "content"
        docker("cp", f"{name}:/tmp/file", workdir / "out").check()
        assert (workdir / "out").read_text() == "content"


def test_stop_and_restart(docker, unique):
    """stop (TERM, then KILL), start again, restart."""
    with docker.running(unique("dk"), IMAGE, "sh", "-c", "echo x >> /count; trap '' TERM; while :; do sleep 0.05; done") as name:
        docker("stop", "--time", "1", name).check()
        assert docker("inspect", "--format", "{{.State.ExitCode}}", name).check().out == "137\n"
        docker("start", name).check()
        docker("restart", "--time", "0", name).check()
        proc.until(lambda: docker("exec", name, "cat", "/count").out == "x\n" * 3, 10)


def test_options(docker, workdir):
    """Many options in one container."""
    (workdir / "data").mkdir()
    (workdir / "data/file").write_text("volume\n")
    script = "id -u; pwd; hostname; echo $A; cat /data/file; grep -c ' /scratch tmpfs' /proc/mounts; ulimit -n; touch /x 2>/dev/null || echo ro; grep NoNewPrivs /proc/self/status | cut -f2"
    result = docker.run(
        "--rm", "-u", "1000:1000", "-w", "/tmp", "--hostname", "cask", "-e", "A=b", "-v", f"{workdir}/data:/data:ro", "--tmpfs", "/scratch",
        "--read-only", "--ulimit", "nofile=512:512", "--cap-drop", "all", "--security-opt", "no-new-privileges", "--memory", "64m", "--cpus", "0.5",
        "--pids-limit", "20", IMAGE, "sh", "-c", script,
    )  # fmt: skip
    assert result.check().lines == ["1000", "/tmp", "cask", "b", "volume", "1", "512", "ro", "1"]


@pytest.mark.parametrize("options", [("--pid", "host"), ("--ipc", "host"), ("--uts", "host"), ("--network", "host"), ("--cgroupns", "private"), pytest.param(("--privileged",), marks=pytest.mark.differs(runc="1.1 fails on capabilities that it cannot grant"))], ids=" ".join)
def test_namespace_modes(docker, options):
    """Shared and private namespaces work."""
    args = ("run", "--runtime", "coop", "--rm", *options, *(() if "--network" in options else ("--network", "none")))
    assert docker(*args, IMAGE, "echo", "fine").check().out == "fine\n"


def test_init(docker):
    """--init: docker-init is process 1."""
    from shutil import which

    if not which("docker-init"):
        pytest.skip("docker-init is not installed (apt-get install tini)")
    assert docker.run("--rm", "--init", IMAGE, "sh", "-c", "echo $$").check().out.strip() != "1"


def test_attach_sigterm(docker, unique):
    """docker attach swallows or forwards SIGTERM: killed by SIGKILL it leaves a container that is still in hand."""
    with docker.running(unique("dk"), IMAGE, "sh", "-c", "trap '' TERM; while :; do echo tick; sleep 0.1; done") as name:
        with docker.background("attach", name) as attach:
            assert attach.readline(20) == "tick"
            attach.signal(signal.SIGTERM)
            time.sleep(0.3)
            os.kill(attach.pid, signal.SIGKILL)
            attach.child.wait()
        assert docker("inspect", "--format", "{{.State.Running}}", name).check().out == "true\n"
        docker("kill", name, timeout=20).check()


def test_oom(docker):
    """A container beyond its memory limit: 137."""
    assert docker.run("--rm", "--memory", "16m", "--memory-swap", "16m", IMAGE, "sh", "-c", "tail /dev/zero").rc == 137


def test_parallel(docker):
    """Ten docker runs at once."""
    runs = [docker.background("run", "--runtime", "coop", "--network", "none", "--rm", IMAGE, "sh", "-c", f"exit {i}") for i in range(10)]
    try:
        assert [run.wait(60).rc for run in runs] == list(range(10))
    finally:
        for run in runs:
            run.__exit__()


def test_debian(docker, docker_debian):
    """A Debian root file system: its own shell, libraries, perl and package list work."""
    out = docker.run("--rm", docker_debian, "bash", "-c", "cat /etc/debian_version; dpkg -l | grep -c ^ii; perl -e 'print 6*7'").check().lines
    assert out[0].startswith("12") and int(out[1]) > 50 and out[2] == "42"


def test_debian_terminal(docker, docker_debian):
    """The same on a terminal, typing at bash."""
    with docker.on_terminal("run", "--runtime", "coop", "--network", "none", "--rm", "-it", docker_debian, "bash") as run:
        run.expect("#")
        run.write("echo $((6*7)); exit 8\n")
        status, text = run.wait(60)
        assert status == 8 and "42" in text
