"""podman with conmon_path set to the monitor under test, over coop and over crun."""

import json
import os
import pathlib
import re
import shutil
import signal
import time

import pytest

from lib import cgroups, isolate, paths, probes, proc
from lib.criu import podman_there_and_back
from lib.monitors import Datagrams

pytestmark = [
    pytest.mark.needs("root", "isolation", "podman", "conmon"),
    pytest.mark.may_leave("/conmon", "/st/overlay (root", "/dev/shm/libpod", "/run/containers", "/run/libpod", "/.seccomp/"),
]

IMAGE = "localhost/busybox"
LOOP = "while :; do sleep 0.05; done"


def inspect(podman, name, template):
    """One value of podman inspect."""
    return podman("inspect", "--format", template, name).check().out.strip()


def monitor_of(podman, name):
    """Process number of the monitor, which must be the one under test."""
    with open(inspect(podman, name, "{{.ConmonPidFile}}"), encoding="ascii") as file:
        pid = int(file.read())
    assert os.path.samefile(f"/proc/{pid}/exe", paths.monitor_binary())
    return pid


def log_file(podman, name):
    """The lines of the log file itself."""
    with open(inspect(podman, name, "{{.HostConfig.LogConfig.Path}}"), "rb") as file:
        return file.read().splitlines()


@pytest.mark.parametrize("script,status", [("exit 0", 0), ("exit 7", 7)])
def test_exit_status(monitored, script, status):
    """podman run ends as the program did."""
    assert monitored.run("--rm", IMAGE, "sh", "-c", script).rc == status


def test_streams(monitored):
    """Input, output and errors each reach their end, megabytes of them too."""
    result = monitored.run("--rm", "-i", IMAGE, "sh", "-c", "cat; echo err >&2", stdin="a\nb\n").check()
    assert (result.out, result.err) == ("a\nb\n", "err\n")
    big = "0123456789abcde\n" * 200_000
    assert monitored.run("--rm", "-i", IMAGE, "cat", stdin=big).check().out == big


def test_input_that_the_program_has_closed(monitored):
    """run -i of a program that takes no input: its output and its status come all the same."""
    script = "exec 0<&-; sleep 0.3; echo end; exit 3"
    result = monitored.run("--rm", "-i", IMAGE, "sh", "-c", script, stdin="x" * 200_000)
    assert (result.rc, result.out) == (3, "end\n"), result


def test_output_for_a_slow_client_that_says_too_much(monitored):
    """run -i with more input than the program takes, and nobody in a hurry for the output: all of it comes."""
    script = "head -c 200000 /dev/zero | tr '\\0' x; exit 3"
    run = " ".join(monitored.argv("run", *monitored.options(), "--rm", "-i", IMAGE, "sh", "-c")) + f' "{script}"'
    result = proc.run("bash", "-c", f"yes | {run} | (sleep 1; wc -c); echo ${{PIPESTATUS[1]}}", env=monitored.environ, timeout=60)
    assert result.lines == ["200000", "3"], result


def test_detached(monitored, unique):
    """run -d, wait, and what inspect says afterwards."""
    with monitored.running(unique("m"), IMAGE, "sh", "-c", "sleep 0.5; exit 5") as name:
        monitor_of(monitored, name)
        assert monitored("wait", name).check().out == "5\n"
        assert inspect(monitored, name, "{{.State.Status}} {{.State.ExitCode}} {{.State.OOMKilled}}") == "exited 5 false"


def test_terminal(monitored):
    """-t: the caller's size at the start, and its changes."""
    script = f"sleep 0.5; stty size; trap 'stty size; exit 6' WINCH; echo ready; {LOOP}"
    with monitored.on_terminal("run", *monitored.options(), "--rm", "-it", IMAGE, "sh", "-c", script) as run:
        assert "33 77" in run.expect("ready")
        run.resize(40, 100)
        status, text = run.wait(60)
    assert status == 6 and "40 100" in text


def test_terminal_detach_and_attach(monitored, unique):
    """The detach keys leave the container running; attach finds its terminal again."""
    name = unique("m")
    with monitored.on_terminal("run", *monitored.options(), "--name", name, "-it", IMAGE, "sh") as run:
        run.write("echo $((40+2))\n")
        run.expect("42")
        for key in "\x10\x11":  # podman knows them one by one
            time.sleep(0.3)
            run.write(key)
        run.wait(60)
    assert inspect(monitored, name, "{{.State.Running}}") == "true"
    with monitored.on_terminal("attach", name) as client:
        time.sleep(0.5)
        client.write("echo $((50+3)); exit 4\n")
        assert "53" in client.wait(60)[1]
    assert monitored("wait", name).check().out == "4\n"
    monitored("rm", "--force", "--time", "0", name).check()


def test_attach(monitored, unique):
    """attach without a terminal: output from then on, input to the program, its exit status."""
    with monitored.running(unique("m"), "-i", IMAGE, "sh", "-c", 'read line; echo "got $line"; exit 3') as name:
        result = monitored("attach", name, stdin="word\n")
        assert result.out.startswith("got word\n")
        assert monitored("wait", name).check().out == "3\n"


def test_create_start_attach(monitored, unique):
    """create, then start --attach."""
    name = unique("m")
    monitored("create", *monitored.options(), "--name", name, IMAGE, "sh", "-c", "echo attached; exit 2").check()
    result = monitored("start", "--attach", name)
    assert (result.rc, result.out) == (2, "attached\n")
    monitored("rm", name).check()


def test_logs(monitored, unique):
    """Lines, unfinished lines, long lines and bytes that are no text come back from the log."""
    script = r"echo first; echo oops >&2; head -c 40000 /dev/zero | tr '\0' x; echo; printf '\001\377\n'; printf end"
    with monitored.running(unique("m"), IMAGE, "sh", "-c", script) as name:
        monitored("wait", name).check()
        lines = log_file(monitored, name)
        form = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}[+-]\d\d:\d\d (stdout|stderr) [PF] ")
        assert all(form.match(line) for line in lines)
        assert any(line.endswith(b" stderr F oops") for line in lines)
        # Of one stream: nobody orders two, and a busy machine may hand over the standard error last.
        assert [line for line in lines if b" stdout " in line][-1].endswith(b" stdout P end") and any(line.endswith(b" \x01\xff") for line in lines)
        out = monitored("logs", name).check().out
        assert out.startswith("first\n") and "x" * 40000 + "\n" in out
        last = monitored("logs", "--tail", "1", name).check()
        assert (last.out + last.err).rstrip("\n").endswith("end" if lines[-1].endswith(b"end") else "oops")


def test_logs_follow_and_since(monitored, unique):
    """logs -f ends with the container; --since leaves out what is older."""
    with monitored.running(unique("m"), IMAGE, "sh", "-c", "echo one; sleep 1; echo two") as name:
        assert monitored("logs", "-f", name).check().out == "one\ntwo\n"
        assert monitored("logs", "--since", "2099-01-01T00:00:00Z", name).check().out == ""


def test_prompt_is_logged_at_once(monitored, unique):
    """What has no newline yet is in the log while the program waits."""
    with monitored.running(unique("m"), IMAGE, "sh", "-c", "printf 'name? '; sleep 1000") as name:
        proc.until(lambda: any(line.endswith(b" stdout P name? ") for line in log_file(monitored, name)), 10)


@pytest.mark.parametrize("driver", ["none", "k8s-file", "json-file"])
def test_log_drivers(monitored, unique, driver):
    """Drivers that write files, and the one that does not."""
    with monitored.running(unique("m"), "--log-driver", driver, IMAGE, "echo", "line") as name:
        monitored("wait", name).check()
        result = monitored("logs", name)
        assert (result.rc != 0) if driver == "none" else (result.out == "line\n")


def test_log_driver_passthrough(monitored):
    """The program has podman's own streams."""
    result = monitored.run("--rm", "--log-driver", "passthrough", IMAGE, "sh", "-c", "echo through; echo err >&2; exit 4")
    assert result.rc == 4 and result.out == "through\n" and "err\n" in result.err


@pytest.mark.skipif(os.path.exists("/run/systemd/journal/socket"), reason="a journal runs here")
def test_log_driver_journald_without_journal(monitored):
    """Without a journal podman's error says so."""
    result = monitored.run("--rm", "--log-driver", "journald", IMAGE, "true")
    assert result.rc != 0 and "journal" in result.err


@pytest.fixture
def journald():
    """A journal of the session's own, in memory, which neither reads the kernel's audit nor tells anybody."""
    program = "/usr/lib/systemd/systemd-journald"
    if os.path.exists("/run/systemd/journal/socket") or not os.path.exists(program):
        pytest.skip("a journal runs here, or there is none to run")
    for folder in ("systemd/journal", "systemd/journald.conf.d", "log"):
        os.makedirs(f"/run/{folder}", exist_ok=True)
    with open("/run/systemd/journald.conf.d/test.conf", "w", encoding="ascii") as file:
        file.write("[Journal]\nStorage=volatile\nAudit=no\nForwardToWall=no\nForwardToConsole=no\nForwardToKMsg=no\nForwardToSyslog=no\nRuntimeMaxUse=16M\n")
    with proc.Background(program, stdout=None, stderr=None) as server:
        proc.until(lambda: os.path.exists("/run/systemd/journal/socket"), 10, what="journal")
        yield server
    for folder in ("systemd", "log"):
        isolate.remove_tree(pathlib.Path("/run") / folder)


@pytest.mark.may_leave("/run/systemd", "/run/log", "systemd-journal")
def test_log_driver_journald(monitored, unique, journald):
    """podman logs reads what the journal was told: whole lines, pieces of one, what is followed; the tag is there."""
    script = r"echo one; head -c 20000 /dev/zero | tr '\0' x; echo; sleep 0.5; echo two >&2; printf end"
    name, journal_events = unique("m"), ("--events-backend", "journald")  # logs -f wants both in one place
    options = ("--detach", "--name", name, "--log-driver", "journald", "--log-opt", "tag={{.ImageName}}")
    try:
        monitored(*journal_events, "run", *monitored.options(), *options, IMAGE, "sh", "-c", script).check()
        followed = monitored(*journal_events, "logs", "-f", name).check()
        shown = monitored("logs", name).check()
        ident = inspect(monitored, name, "{{.Id}}")
    finally:
        monitored(*journal_events, "rm", "--force", "--time", "0", name)
    for result in (shown, followed):
        assert result.out.rstrip("\n") == f"one\n{'x' * 20000}\nend" and result.err == "two\n"
    found = [json.loads(l) for l in proc.run("journalctl", "--all", "-o", "json", f"CONTAINER_ID_FULL={ident}").check().lines]
    assert {(e["CONTAINER_TAG"], e["CONTAINER_NAME"], e["CONTAINER_ID"]) for e in found} == {("localhost/busybox:latest", name, ident[:12])}
    told = [(e["PRIORITY"], len(e["MESSAGE"]), "CONTAINER_PARTIAL_MESSAGE" in e) for e in found]
    assert told == [("6", 3, False), ("6", 16 << 10, True), ("6", 20000 - (16 << 10), False), ("3", 3, False), ("6", 3, True)]


@pytest.mark.parametrize("mode", ["conmon", "container", "ignore"])
def test_sdnotify(monitored, unique, workdir, mode):
    """Who is ready is said once, by podman or by the container, and the process to watch is the monitor."""
    name = unique("m")
    notify = pathlib.Path(shutil.copy2(probes.path("notify"), workdir / "notify"))
    options = ["-d", "--sdnotify", mode, "--name", name, "-v", f"{notify}:/notify", IMAGE, "/notify" if mode == "container" else "sleep", "1000"]
    with Datagrams(workdir / "manager") as manager:
        try:
            monitored.environ["NOTIFY_SOCKET"] = str(manager.path)
            monitored.run(*options).check()
            pid = monitor_of(monitored, name)
            if mode != "ignore":
                proc.until(lambda: b"READY=1" in b"\n".join(manager.messages), 10, what="READY")
        finally:
            del monitored.environ["NOTIFY_SOCKET"]
            monitored("rm", "--force", "--time", "0", name)
    said = b"\n".join(manager.messages).decode().split("\n")
    assert said.count("READY=1") == (0 if mode == "ignore" else 1)
    assert {w for w in said if w.startswith("MAINPID")} == (set() if mode == "ignore" else {f"MAINPID={pid}"})


def test_restart(monitored, unique):
    """restart: the old monitor ends, a new one has the same log."""
    with monitored.running(unique("m"), IMAGE, "sh", "-c", f"trap 'exit 0' TERM; echo up; {LOOP}") as name:
        old = monitor_of(monitored, name)
        proc.until(lambda: monitored("logs", name).out == "up\n", 10)
        monitored("restart", name).check()
        new = monitor_of(monitored, name)
        assert new != old and not os.path.exists(f"/proc/{old}/exe")
        proc.until(lambda: monitored("logs", name).out == "up\nup\n", 10)
        assert inspect(monitored, name, "{{.State.Running}}") == "true"


def test_timeout(monitored, unique):
    """--timeout ends the container from outside."""
    with monitored.running(unique("m"), "--timeout", "1", IMAGE, "sleep", "1000") as name:
        monitored("wait", name).check()
        assert inspect(monitored, name, "{{.State.Status}} {{.State.ExitCode}}") in ("exited 255", "exited -1", "exited 137")


def test_log_size(monitored, unique):
    """--log-opt max-size keeps the file small, and the last line in it."""
    script = "i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done; echo last"
    with monitored.running(unique("m"), "--log-opt", "max-size=20k", IMAGE, "sh", "-c", script) as name:
        monitored("wait", name).check()
        lines = log_file(monitored, name)
        assert sum(len(line) + 1 for line in lines) <= 20 * 1024 and lines[-1].endswith(b" last")


def test_exec(monitored, unique):
    """exec: output, status, input, words of a failure; detached; many of them."""
    with monitored.running(unique("m"), IMAGE, "sleep", "1000") as name:
        result = monitored("exec", name, "sh", "-c", "echo out; echo err >&2; exit 9")
        assert (result.rc, result.out) == (9, "out\n") and "err\n" in result.err
        assert monitored("exec", "-i", name, "cat", stdin="in").check().out == "in"
        assert monitored("exec", name, "no-such-command").rc == 127
        assert monitored("exec", name, "/etc").rc == 126
        monitored("exec", "-d", name, "sleep", "777").check()
        proc.until(lambda: "777" in monitored("top", name, "args").out, 10)
        for i in range(15):
            assert monitored("exec", name, "echo", str(i)).check().out == f"{i}\n"


def test_exec_terminal(monitored, unique):
    """exec -it: a terminal of its own, with the caller's size, and its status."""
    with monitored.running(unique("m"), IMAGE, "sleep", "1000") as name:
        with monitored.on_terminal("exec", "-it", name, "sh", "-c", "sleep 0.5; tty; stty size; read x; echo =$x; exit 5") as run:
            before = run.expect("33 77")
            run.write("typed\n")
            status, text = run.wait(60)
        assert status == 5 and "/dev/pts" in before and "=typed" in text


def test_stop_kill_pause(monitored, unique):
    """TERM and its handler, KILL after the time, pause."""
    with monitored.running(unique("m"), IMAGE, "sh", "-c", f"trap 'echo bye; exit 3' TERM; echo up; {LOOP}") as name:
        proc.until(lambda: "up" in monitored("logs", name).out, 10)
        monitored("pause", name).check()
        monitored("unpause", name).check()
        monitored("stop", "--time", "10", name).check()
        assert inspect(monitored, name, "{{.State.ExitCode}}") == "3"
        assert monitored("logs", name).out == "up\nbye\n"
        monitored("start", name).check()
        monitored("kill", name).check()
        assert monitored("wait", name).check().out == "137\n"


def test_restart_policy(monitored, unique):
    """The exit command starts the container again, under a new monitor."""
    with monitored.running(unique("m"), "--restart", "on-failure:2", IMAGE, "sh", "-c", "echo run; sleep 0.2; exit 1") as name:
        proc.until(lambda: monitored("logs", name).out == "run\n" * 3 and inspect(monitored, name, "{{.State.Running}}") == "false", 30)
        assert inspect(monitored, name, "{{.RestartCount}}") == "2"


def test_remove_after_end(monitored, unique):
    """--rm of a detached container is the exit command's work."""
    name = unique("m")
    monitored.run("-d", "--rm", "--name", name, IMAGE, "sleep", "0.3").check()
    proc.until(lambda: monitored("container", "exists", name).rc == 1, 20)


def test_pod(monitored, unique):
    """Containers of a pod, its infra container among them."""
    pod, name = unique("pod"), unique("m")
    try:
        monitored("pod", "create", "--name", pod, "--cgroup-parent", monitored.cgroup_parent, "--network", "none", "--infra-image", IMAGE, "--infra-command", "sleep 1000").check()
        monitored("run", "-d", "--pod", pod, "--name", name, IMAGE, "sleep", "1000").check()
        assert monitored("exec", name, "hostname").check().out.strip() == pod
    finally:
        monitored("pod", "rm", "--force", "--time", "0", pod)
        cgroups.remove(cgroups.named(monitored.cgroup_parent.strip("/")))  # podman leaves the pod's own


@pytest.mark.needs("memory-limits")
def test_oom(monitored, unique):
    """inspect says OOMKilled."""
    with monitored.running(unique("m"), "--memory", "16m", IMAGE, "sh", "-c", "sleep 0.5; tail /dev/zero") as name:
        monitored("wait", name).check()
        assert inspect(monitored, name, "{{.State.OOMKilled}}") == "true"


@pytest.mark.parametrize("argv,status", [(["no-such-command"], 127), (["/etc"], 126)])
def test_failed_start(monitored, argv, status):
    """podman prints the runtime's own words and has its status."""
    result = monitored.run("--rm", IMAGE, *argv)
    assert result.rc == status
    assert argv[0] in result.err or "permission denied" in result.err


def test_signals_to_the_monitor(monitored, unique):
    """SIGTERM goes on to the container; SIGKILL leaves it running."""
    with monitored.running(unique("m"), IMAGE, "sh", "-c", f"trap 'exit 8' TERM; echo up; {LOOP}") as name:
        proc.until(lambda: "up" in monitored("logs", name).out, 10)
        os.kill(monitor_of(monitored, name), signal.SIGTERM)
        assert monitored("wait", name).check().out == "8\n"
    with monitored.running(unique("m"), IMAGE, "sleep", "1000") as name:
        os.kill(monitor_of(monitored, name), signal.SIGKILL)
        time.sleep(0.3)
        assert os.path.exists(f"/proc/{inspect(monitored, name, '{{.State.Pid}}')}")
        assert monitored("exec", name, "echo", "alive").check().out == "alive\n"
        # podman waits for the status that only the monitor could have written, and leaves the rest to the runtime.
        proc.run(monitored.runtime, "delete", "--force", inspect(monitored, name, "{{.Id}}")).check()


def test_memory_of_the_idle_monitor(monitored, unique):
    """Little memory of its own after megabytes of output, and one thread."""
    with monitored.running(unique("m"), IMAGE, "sh", "-c", "head -c 3000000 /dev/zero; sleep 1000") as name:
        pid = monitor_of(monitored, name)

        def dirty_kib():
            # Not what is clean: pages of the program, which the kernel maps in pieces as large as they lie in its cache.
            with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
                return next(int(line.split()[1]) for line in file if line.startswith("Private_Dirty:"))

        proc.until(lambda: dirty_kib() < 256, 15)
        with open(f"/proc/{pid}/status", encoding="ascii") as file:
            assert "Threads:\t1\n" in file.read()


def test_info_names_the_monitor(monitored):
    """podman info finds it and its version."""
    info = json.loads(monitored("info", "--format", "json").check().out)
    assert info["host"]["conmon"]["path"].endswith("/bin/conmon") and "cooper" in info["host"]["conmon"]["version"]


@pytest.mark.needs("criu")
def test_checkpoint(monitored, unique, workdir):
    """checkpoint and restore: the monitor of a restored container logs, and knows how it ends."""
    if monitored.runtime.endswith("crun"):
        pytest.skip("Debian's crun is built without CRIU")
    podman_there_and_back(monitored, IMAGE, unique("m"), unique("n"), workdir)
