"""cooper's other verbs: ps, logs, stop, kill, wait, rm, inspect, stats, top, pause, pods, settings, help, completion."""

import contextlib
import json
import os
import pathlib
import re
import signal
import subprocess
import threading
import time

import pytest

from lib import proc, ptys
from lib.cooper import busybox_layout, cooper, cooper_session, engine_dir, new_engine  # noqa: F401

pytestmark = pytest.mark.needs("root", "cooper", "isolation")


# --- ps and inspect --------------------------------------------------------------------


def test_ps(cooper, unique):
    """Running ones by default; all with -a; ids with -q; the table has a status for people."""
    up, ended = unique("up"), unique("end")
    cooper("run", "--name", ended, "busybox", "sh", "-c", "exit 3").check(3)
    with cooper.running(up, "-l", "kind=x"):
        table = cooper("ps").check().out
        assert up in table and "Up " in table and ended not in table and table.startswith("CONTAINER ID")
        everything = cooper("ps", "-a").check().out
        assert re.search(rf"Exited \(3\) .* ago\s+{ended}", everything)
        ids = cooper("ps", "-aq").check().out.split()
        assert len(ids) == 2 and all(len(i) == 8 for i in ids)
        assert cooper("ps", "-q", "--no-trunc").check().out.strip() == cooper.inspect(up)["id"]


def test_ps_filters(cooper, unique):
    """Values of one key are alternatives, different keys must all hold."""
    a, b = unique("fa"), unique("fb")
    with cooper.running(a, "-l", "kind=x", "-l", "n=1"), cooper.running(b, "-l", "kind=y"):

        def names(*filters):
            words = [w for f in filters for w in ("--filter", f)]
            return sorted(c["name"] for c in cooper.json("ps", *words)["containers"])

        assert names() == sorted([a, b])
        assert names("label=kind=x") == [a] and names("label=kind") == sorted([a, b])
        assert names(f"name={a}", f"name={b}") == sorted([a, b])
        assert names(f"name={a}", "label=kind=y") == []
        assert names("status=running") == sorted([a, b]) and names("status=exited") == []
        assert names("ancestor=busybox") == sorted([a, b]) and names("ancestor=debian") == []
        assert names(f"id={cooper.inspect(b)['id'][:8]}") == [b]
        cooper("kill", a).check()
        cooper.wait_state(a, "exited")
        assert names("exited=137") == [a] and names("status=exited") == [a]
    cooper("ps", "--filter", "colour=red").fails("colour", rc=125)
    cooper("ps", "--filter", "status=happy").fails("happy", rc=125)


def test_inspect(cooper, unique):
    """Everything as a record with stable keys; images too; what is unknown is an error."""
    name = unique()
    with cooper.running(name, "-e", "A=1", "-h", "cask"):
        record = cooper.inspect(name)
        assert record["name"] == name and record["state"] == "running" and record["hostname"] == "cask" and record["network"] == "none"
        assert record["command"] == ["sleep", "1000"] and record["exit"] is None and record["pod"] is None
        assert os.path.exists(f"/proc/{record['pid']}") and record["started_unix_ms"] >= record["created_unix_ms"]
        assert "A=1" in record["config"]["process"]["env"] and pathlib.Path(record["log_files"][-1]).exists()
        both = json.loads(cooper("inspect", name, "busybox").check().out)
        assert len(both["containers"]) == 1 and both["images"][0]["config"]["config"]["Cmd"] == ["sh"]
    cooper("inspect", "nothing").fails("nothing", rc=1)


def test_names_and_prefixes(cooper, unique):
    """A container is its name, its id, or a part of the id's beginning that is nobody else's."""
    with cooper.running(unique()) as name:
        uuid = cooper.inspect(name)["id"]
        for text in (uuid, uuid[:8], uuid[:13]):
            cooper("exec", text, "true").check()
        cooper("exec", "0" * 8 if not uuid.startswith("0" * 8) else "1" * 8, "true").fails(rc=125)


# --- logs --------------------------------------------------------------------------------


def test_logs(cooper, unique):
    """Both streams apart, byte for byte, with times on request, the last lines on request."""
    name = unique()
    cooper("run", "--name", name, "busybox", "sh", "-c", "echo one; echo two >&2; printf 'three'").check()
    result = cooper("logs", name).check()
    assert result.err == "two\n" and result.out.startswith("one\nthree")
    stamped = cooper("logs", "-t", name).check().out.splitlines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z one", stamped[0])
    assert cooper("logs", "--tail", "0", name).check().out == ""
    assert "one" not in cooper("logs", "--tail", "1", name).check().out
    cooper("run", "--name", name + "2", "busybox", "printf", "a\\nb\\nc").check()
    assert cooper("logs", "--tail", "1", name + "2").check().out.strip() == "c"


def test_logs_since_and_until(cooper, unique):
    """Durations and times select lines."""
    name = unique()
    cooper("run", "--name", name, "busybox", "sh", "-c", "echo early; sleep 1.2; echo late").check()
    stamps = [line.split()[0] for line in cooper("logs", "-t", name).check().lines]
    assert cooper("logs", "--since", stamps[1], name).check().out == "late\n"
    assert cooper("logs", "--until", stamps[0], name).check().out == "early\n"
    assert cooper("logs", "--since", "1h", name).check().out == "early\nlate\n"
    assert cooper("logs", "--since", "0.000001s", name).check().out == ""
    assert cooper("logs", "--since", str(int(time.time()) + 5), name).check().out == ""
    cooper("logs", "--since", "noon", name).fails("noon", rc=125)
    cooper("logs", "--tail", "few", name).fails("few", rc=125)


def test_logs_format_on_disk(cooper, unique):
    """The file is in the format of the Kubernetes runtime interface."""
    name = unique()
    cooper("run", "--name", name, "busybox", "sh", "-c", "echo out; echo err >&2").check()
    lines = pathlib.Path(cooper.inspect(name)["log_files"][0]).read_text().splitlines()
    assert sorted(line.split(" ", 1)[1] for line in lines) == ["stderr F err", "stdout F out"]


def test_logs_follow(cooper, unique):
    """-f shows what comes and ends with the container."""
    with cooper.running(unique(), command=("sh", "-c", "echo first; while [ ! -e /go ]; do sleep 0.05; done; echo second")) as name:
        with cooper.background("logs", "-f", name) as child:
            assert child.readline() == "first"
            cooper("exec", name, "touch", "/go").check()
            assert child.readline() == "second"
            assert child.wait(10).rc == 0


def test_logs_follow_across_rotation(cooper, unique):
    """Rotated files are followed and read; no line is lost or doubled."""
    script = "i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done; sleep 0.3"
    with cooper.running(unique(), "--log-max-size", "32k", command=("sh", "-c", "sleep 0.3; " + script)) as name:
        with cooper.background("logs", "-f", name) as child:
            got = child.wait(30).check().lines
        assert got == [f"line {i}" for i in range(3000)][-len(got) :] and len(got) > 2900
        files = cooper.inspect(name)["log_files"]
        assert len(files) > 1
        kept = cooper("logs", name).check().lines
        assert kept == [f"line {i}" for i in range(3000)][-len(kept) :]
        assert cooper("logs", "--tail", "1000", name).check().lines == kept[-1000:]


@pytest.mark.parametrize("size", ["4k", "64k"])
def test_logs_while_the_log_rotates(cooper, unique, size):
    """Each line once and in order, with a word about those that were rotated away; a plain look has no holes."""
    script = "i=0; while [ $i -lt 40000 ]; do echo $i; i=$((i+1)); done; sleep 0.3"
    with cooper.running(unique(), "--log-max-size", size, command=("sh", "-c", "sleep 0.2; " + script)) as name:
        with cooper.background("logs", "-f", name) as child:
            looks = []
            while child.child.poll() is None and len(looks) < 20:
                looks.append([int(line) for line in cooper("logs", name).check().lines])
            result = child.wait(60).check()
        for look in looks:
            assert look == list(range(look[0], look[0] + len(look))) if look else True
        got = [int(line) for line in result.lines]
        assert all(a < b for a, b in zip(got, got[1:]))
        assert got[-1] == 39999
        if got != list(range(40000)):
            assert "may be missing" in result.err and result.err.count("\n") == 1
        kept = [int(line) for line in cooper("logs", name).check().lines]
        assert kept == list(range(kept[0], 40000))


def test_logs_without_reader(cooper, unique):
    """logs -f whose reader went away ends."""
    with cooper.running(unique(), command=("sh", "-c", "echo x; sleep 1000")) as name, cooper.background("logs", "-f", name) as child:
        assert child.readline() == "x"
        child.child.stdout.close()
        proc.until(lambda: child.child.poll() is not None, 5, 0.05, "end of logs")
        child.child.stdout = open(os.devnull, "rb")


# --- ends ------------------------------------------------------------------------------


def test_kill(cooper, unique):
    """Names and numbers of signals; the record has the signal."""
    with cooper.running(unique(), command=("sh", "-c", "trap 'exit 4' HUP; while :; do sleep 0.05; done")) as name:
        time.sleep(0.3)
        cooper("kill", "-s", "HUP", name).check()
        cooper.wait_state(name, "exited")
        assert cooper.inspect(name)["exit"]["code"] == 4
        cooper("kill", name).fails("not running", rc=1)
    with cooper.running(unique()) as name:
        cooper("kill", "--signal", "9", name).check()
        cooper.wait_state(name, "exited")
        assert cooper.inspect(name)["exit"]["signal"] == 9
        cooper("kill", "-s", "NOPE", name).fails("NOPE", rc=125)


def test_wait(cooper, unique):
    """wait prints the status of each, also of one that ended before."""
    name = unique()
    cooper("run", "-d", "--name", name, "busybox", "sh", "-c", "sleep 0.4; exit 6").check()
    assert cooper("wait", name).check().out == "6\n"
    assert cooper("wait", name, name).check().out == "6\n6\n"
    cooper("wait", "nothing").fails("nothing", rc=1)


def test_several_arguments(cooper, unique):
    """Each is done and printed; one that fails does not keep the others from it."""
    a, b = unique("a"), unique("b")
    with cooper.running(a), cooper.running(b):
        result = cooper("stop", "-t", "0", a, "nothing", b)
        assert result.rc == 1 and result.lines == [a, b] and "nothing" in result.err
        assert cooper.state(a) == cooper.state(b) == "exited"


def test_rm(cooper, unique):
    """A running one needs -f; -a removes all that ended."""
    with cooper.running(unique("up")) as name:
        cooper("rm", name).fails("running", rc=1)
        cooper("run", "--name", unique("end"), "busybox", "true").check()
        cooper("rm", "-a").check()
        assert [c["name"] for c in cooper.json("ps", "-a")["containers"]] == [name]
        cooper("rm", "-f", name).check()
    assert cooper.pods() == []
    cooper("rm", "nothing").fails("nothing", rc=1)
    assert cooper("rm", "-f", "nothing").check().out == ""
    cooper("rm").fails(rc=125)
    cooper("rm", "-f").fails(rc=125)


def test_detached_life(cooper, unique):
    """A killed client leaves a detached container running; a killed monitor ends it and leaves a record."""
    with cooper.running(unique()) as name:
        with cooper.background("attach", "--no-stdin", name) as child:
            time.sleep(0.3)
            child.signal(signal.SIGKILL)
        assert cooper.state(name) == "running"
        os.kill(cooper.monitor(name), signal.SIGKILL)
        record = proc.until(lambda: cooper.inspect(name)["exit"], 10, 0.05, "the record")
        assert record["code"] == 137 and record["error"] and cooper.state(name) == "exited"


def test_other_roots_are_told_apart(cooper, new_engine, unique):
    """A root and a run root belong together while pods run: nobody else's gc, stop or rm does harm, or waits."""
    other = new_engine(load=False)
    with cooper.running(unique()) as name:
        mixed = ("--root", other.root, "--run-root", cooper.run_root)
        proc.run(cooper.binary, *mixed, "pod", "gc", env=cooper.environ).fails(str(cooper.root), "belong together", rc=1)
        assert cooper.state(name) == "running"
        mixed = ("--root", cooper.root, "--run-root", other.run_root)
        proc.run(cooper.binary, *mixed, "rm", "-f", name, env=cooper.environ, timeout=10).fails(str(cooper.run_root), "belong together", rc=1)
        assert cooper.state(name) == "running"


# --- attach -----------------------------------------------------------------------------


def test_attach(cooper, unique):
    """Output from now on, input, and the app's exit status."""
    with cooper.running(unique(), "-i", command=("sh", "-c", "read line; echo got $line; exit 8")) as name:
        result = cooper("attach", name, stdin="word\n")
        assert result.rc == 8 and result.out == "got word\n"
    cooper("attach", "nothing").fails("nothing", rc=125)


def test_attach_to_one_that_ended(cooper, unique):
    """Says so, and what to do."""
    name = unique()
    cooper("run", "--name", name, "busybox", "true").check()
    cooper("attach", name).fails("not running", "logs", rc=125)


def test_attach_to_one_that_ends(cooper, unique):
    """At the very end: the app's status, or that it is not running; the monitor that goes with it is nobody's concern."""
    for round_ in range(30):
        name = unique()
        cooper("run", "-d", "--name", name, "busybox", "sh", "-c", f"usleep {round_ * 1000}; echo x; exit 4").check()
        result = cooper("attach", "--no-stdin", name)
        assert (result.rc == 4 and result.out in ("", "x\n")) or (result.rc == 125 and "not running" in result.err), result
        cooper("rm", name).check()


def test_rm_waits_for_a_monitor_that_has_yet_to_record_the_end(cooper, unique):
    """The app has ended, and its monitor, which is slow, has not said so: rm waits for it, and does not call it running."""
    name = unique()
    cooper("run", "-d", "--name", name, "busybox", "sleep", "600").check()
    monitor = cooper.monitor(name)
    os.kill(monitor, signal.SIGSTOP)
    try:
        os.kill(cooper.pid(name), signal.SIGKILL)
        cooper.wait_state(name, "exited")
        with cooper.background("rm", name) as removal:
            time.sleep(0.3)
            assert removal.child.poll() is None
            os.kill(monitor, signal.SIGCONT)
            removal.wait(30).check()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(monitor, signal.SIGCONT)
    cooper("rm", name).fails("no such container", rc=1)


def test_attach_without_input_leaves_it_running(cooper, unique):
    """A client that has no input, and did not start the app, does not end it."""
    with cooper.running(unique(), "-i", "-t", command=("sh",)) as name:
        with cooper.background("attach", name) as child:
            time.sleep(0.5)
            assert child.child.poll() is None and cooper.state(name) == "running"
        cooper("exec", name, "kill", "-9", "1")


def test_two_clients(cooper, unique):
    """Every attached client gets all of the output."""
    with cooper.running(unique(), command=("sh", "-c", "while [ ! -e /go ]; do sleep 0.05; done; seq 1 1000")) as name:
        with cooper.background("attach", "--no-stdin", name) as a, cooper.background("attach", "--no-stdin", name) as b:
            time.sleep(0.5)
            cooper("exec", name, "touch", "/go").check()
            expected = [str(i) for i in range(1, 1001)]
            assert a.wait().check().lines == expected and b.wait().check().lines == expected


def test_signals_are_passed_on(cooper, unique):
    """A signal to run reaches the app; with --sig-proxy=false it ends the client alone."""
    script = "trap 'echo got; exit 5' TERM; echo ready; while :; do sleep 0.05; done"
    with cooper.background("run", "--rm", "busybox", "sh", "-c", script) as child:
        assert child.readline() == "ready"
        child.signal(signal.SIGTERM)
        assert child.readline() == "got" and child.wait().rc == 5
    name = unique()
    with cooper.background("run", "--name", name, "--sig-proxy=false", "busybox", "sh", "-c", script) as child:
        assert child.readline() == "ready"
        child.signal(signal.SIGTERM)
        assert child.wait().rc == 143
    assert cooper.state(name) == "running"


# --- stats, top, pause ---------------------------------------------------------------------


def test_stats(cooper, unique):
    """One look as a table and as a record; a busy container uses its processor."""
    with cooper.running(unique(), "-m", "64m", command=("sh", "-c", "while :; do :; done")) as name:
        table = cooper("stats", "--no-stream", name).check().out
        assert name in table and "64.0 MiB" in table
        one = cooper.json("stats", "--no-stream")["stats"][0]
        assert one["name"] == name and one["memory_limit_bytes"] == 64 << 20 and 0 < one["memory_usage_bytes"] < 64 << 20
        assert one["cpu_percent"] > 5 and one["pids"] >= 1 and one["running"]
    assert cooper.json("stats", "--no-stream")["stats"] == []


def test_stats_stream(cooper, unique):
    """Again and again until the reader is gone."""
    with cooper.running(unique()) as name, cooper.background("stats", "--format", "json", "-i", "0.2") as child:
        for _ in range(3):
            assert json.loads(child.readline())["stats"][0]["name"] == name
        child.signal(signal.SIGINT)
        child.wait()


def test_top(cooper, unique):
    """Every process with its user and its number inside."""
    with cooper.running(unique(), "-u", "app", command=("sh", "-c", "sleep 999 & wait")) as name:
        proc.until(lambda: "sleep 999" in cooper("top", name).out, 5, 0.05, "sleep")
        table = cooper("top", name).check().lines
        assert table[0].split()[:2] == ["USER", "PID"] and all(line.split()[0] == "app" for line in table[1:])
        found = {p["command"]: p for p in cooper.json("top", name)["processes"]}
        assert found["sleep 999"]["parent_pid"] == 1 and found["sleep 999"]["uid"] == 1000


@pytest.mark.needs("cgroup1-freezer")
def test_pause(cooper, unique):
    """A paused container does not move; ps and inspect say so; stop still works."""
    with cooper.running(unique(), command=("sh", "-c", "i=0; while :; do i=$((i+1)); echo $i; sleep 0.02; done")) as name:
        cooper("pause", name).check()
        cooper("pause", name).fails(f"container '{name}' is paused already", rc=1)
        assert cooper.state(name) == "paused" and "(paused)" in cooper("ps").out
        before = len(cooper("logs", name).check().lines)
        time.sleep(0.3)
        assert len(cooper("logs", name).check().lines) <= before + 1
        cooper("unpause", name).check()
        proc.until(lambda: len(cooper("logs", name).check().lines) > before + 2, what="going on")
        cooper("unpause", name).fails(f"container '{name}' is not paused", rc=1)


# --- pods --------------------------------------------------------------------------------


def test_pod_run(cooper):
    """Two apps share the loopback, the host name and the process tree; each has its own root."""
    server = "echo hello | nc -l -p 8080; hostname; touch /mine"
    client = "until nc 127.0.0.1 8080; do usleep 20000; done </dev/null 2>/dev/null; hostname; ls /mine 2>/dev/null; cat /proc/1/comm"
    result = cooper("pod", "run", "--hostname", "shared", "busybox", "--name", "server", "--", "sh", "-c", server, "---", "busybox", "--name", "client", "--", "sh", "-c", client).check()
    lines = result.lines
    assert "client: hello" in lines and "server: shared" in lines and "client: shared" in lines
    assert "client: cooper-init" in lines and not any("/mine" in line for line in lines)


def test_pod_exit_status(cooper):
    """The first app that failed, in the order given."""
    cooper("pod", "run", "busybox", "--name", "a", "--", "true", "---", "busybox", "--name", "b", "--", "sh", "-c", "exit 5").check(5)


def test_pod_of_one(cooper):
    """Behaves like run: streams as they are, input, status."""
    result = cooper("pod", "run", "busybox", "-i", "--", "sh", "-c", "cat; exit 3", stdin="in\n")
    assert (result.rc, result.out) == (3, "in\n")


def test_pod_life(cooper, unique):
    """prepare, run-prepared, ls, status, exec into an app, stop, rm."""
    name = unique("pod")
    uuid = cooper("pod", "prepare", "--name", name, "busybox", "--name", "a", "--", "sleep", "100", "---", "busybox", "--name", "b", "--", "sleep", "100").check().out.strip()
    assert "state=prepared" in cooper("pod", "status", uuid).check().out
    assert cooper("pod", "run-prepared", "-d", uuid).check().out.strip() == uuid
    status = cooper("pod", "status", name).check().out
    assert "state=running" in status and re.search(r"^pid=\d+$", status, re.M) and "exited=false" in status
    assert "app-a=running" in status and "app-b=running" in status
    rows = cooper("pod", "ls").check().lines
    assert uuid[:8] in rows[1] and uuid[:8] not in rows[2] and " b " in rows[2]
    assert cooper("exec", f"{name}/b", "true").rc == 0
    cooper("exec", name, "true").fails("several apps", rc=125)
    assert sorted(c["name"] for c in cooper.json("ps")["containers"]) == [f"{name}/a", f"{name}/b"]
    assert cooper("exec", f"{name}/a", "readlink", "/proc/self/ns/net").out == cooper("exec", f"{name}/b", "readlink", "/proc/self/ns/net").out
    cooper("kill", f"{name}/a").check()
    cooper("wait", f"{name}/a").check()
    status = cooper("pod", "status", name).check().out
    assert "app-a=137" in status and "app-b=running" in status and "exited=false" in status
    cooper("pod", "rm", name).fails("running", rc=1)
    cooper("pod", "stop", "-t", "0", name).check()
    status = cooper("pod", "status", name).check().out
    assert "state=exited" in status and "app-a=137" in status and "app-b=137" in status
    manifest = json.loads(cooper("pod", "cat-manifest", name).check().out)
    assert manifest
    cooper("pod", "rm", name).check()
    cooper("pod", "status", name).fails(name, rc=1)


def test_pod_gc(cooper, unique):
    """Ended pods are kept for a while, then removed; prepared ones as well."""
    name = unique()
    cooper("run", "--name", name, "busybox", "true").check()
    cooper("pod", "prepare", "busybox", "--", "true").check()
    cooper("pod", "gc").check()
    assert len(cooper.pods()) >= 1
    cooper("pod", "gc", "--grace-period=0", "--expire-prepared=0").check()
    assert cooper.pods() == []
    cooper("pod", "gc", "--grace-period=soon").fails("soon", rc=125)


def test_pod_detached(cooper):
    """-d prints the uuid; --uuid-file-save keeps it."""
    out = cooper("pod", "run", "-d", "busybox", "--name", "a", "--", "sleep", "100", "---", "busybox", "--name", "b", "--", "sleep", "100").check().out.strip()
    assert re.fullmatch(r"[0-9a-f-]{36}", out)
    cooper("pod", "rm", "-f", out).check()


def test_pod_bad_grammar(cooper):
    """What is missing or wrong is named."""
    cooper("pod", "run").fails("usage", rc=125)
    cooper("pod", "run", "busybox", "---").fails("no image after the last '---'", rc=125)
    cooper("pod", "run", "---", "busybox").fails("no image before the first '---'", rc=125)
    cooper("pod", "run", "busybox", "true").fails("'true' is not in the store", "after --", rc=125)
    cooper("pod", "prepare", "busybox", "true").fails("'true' is not in the store", "after --", rc=1)
    cooper("pod", "run", "busybox", "--nosuch", "--", "true").fails("nosuch", rc=125)
    cooper("pod", "run", "busybox", "--name", "x", "--", "true", "---", "busybox", "--name", "x", "--", "true").fails("x", rc=125)
    cooper("pod", "run", "busybox", "-i", "---", "busybox").fails("one image", rc=125)


# --- the program itself -------------------------------------------------------------------


def test_version(cooper):
    """version, --version, and as a record."""
    assert cooper("version").check().out.startswith("cooper ")
    assert cooper("--version").check().out == cooper("version").out
    assert cooper.json("version")["version"]


def test_help(cooper):
    """Every command has a page; the flags in it are those that work."""
    page = cooper("--help").check().out
    assert cooper("help").check().out == page
    for name in ("run", "ps", "image load", "pod run", "exec"):
        assert name in page
        words = name.split()
        text = cooper("help", *words).check().out
        assert cooper(*words, "--help").check().out == text and "Usage:" in text and "Exit status" in text
    assert "image load" in cooper("help", "image").check().out
    cooper("help", "nothing").fails(rc=125)


def test_no_command(cooper):
    """The help page on standard error, 125."""
    result = cooper()
    assert result.rc == 125 and "Usage:" in result.err and result.out == ""


def test_unknown_commands_and_flags(cooper):
    """A guess at what was meant."""
    cooper("rnu").fails("'rnu'", "run", rc=125)
    cooper("image", "lod").fails("image load", rc=125)
    cooper("ps", "--quite").fails("--quiet", rc=125)
    cooper("run", "--interactve", "busybox").fails("--interactive", rc=125)
    cooper("ps", "extra").fails("extra", "cooper ps)", rc=125)


OTHER_WORDS = [
    ("pull", "image pull"), ("push", "image push"), ("load", "image load"), ("rmi", "image rm"), ("images", "image ls"), ("image prune", "image gc"), ("pod ps", "pod ls"), ("pod create", "pod prepare"), ("pod start", "pod run-prepared"),
    ("create", "pod prepare"), ("start", "runs once"), ("restart", "runs once"), ("cp", "cooper exec NAME tar"), ("build", "buildah"), ("search", "skopeo"), ("save", "image save"), ("commit", "image load"), ("info", "help lists"),
    ("gc", "use cooper pod gc, or cooper image gc"), ("prepare", "use cooper pod prepare"), ("verify", "use cooper image verify"), ("list", "cooper pod ls"), ("enter", "cooper exec -it"), ("copy", "image pull"), ("list-tags", "skopeo"), ("manifest inspect", "skopeo inspect --raw"),
    ("unpack", "image extract"), ("image delete", "image rm"), ("image trust", "image policy"), ("export", "cooper image export"), ("image nothing", "cooper help image"), ("trust key.asc", "cooper help trust"), ("config", "cooper help lists"),
    ("logout", "podman logout"), ("trust list", "trust ls"), ("image remove", "image rm"), ("image search", "skopeo"), ("image mount", "image extract"), ("untag", "image untag"), ("image sign", "cosign"), ("image scp", "ssh HOST"),
]


@pytest.mark.parametrize("word, hint", OTHER_WORDS)
def test_commands_of_others(cooper, word, hint):
    """Where another name or another way does it, that; else no wrong guess."""
    result = cooper(*word.split(), "x").fails("unknown command", hint, rc=125)
    assert "did you mean" not in result.err


def test_logs_for_a_reader_that_leaves(cooper, unique):
    """logs -f ends by SIGPIPE, as logs and every filter do, also when there is nothing more to write."""
    with cooper.running(unique(), command=("sh", "-c", "echo one; echo two; sleep 1000")) as name:
        child = subprocess.Popen(cooper.argv("logs", "-f", name), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=cooper.environ)
        assert child.stdout.readline() == b"one\n"
        child.stdout.close()
        assert child.wait(20) == -signal.SIGPIPE and child.stderr.read() == b""
        child.stderr.close()


def test_stats_end_with_what_they_show(cooper, unique):
    """stats of containers that are removed come to an end."""
    with cooper.running(unique()) as name, cooper.background("stats", "-i", "0.1", name) as child:
        assert name in child.readline() + child.readline()
        cooper("rm", "-f", name).check()
        assert child.wait(20).rc == 0


def test_start_time_stays(cooper, unique):
    """When a pod was started is told the same while it runs and after its end."""
    name = unique()
    cooper("pod", "run", "-d", "--name", name, "busybox", "--name", "a", "--", "sleep", "100", "---", "busybox", "--name", "b", "--", "sleep", "100").check()

    def started():
        return next(pod["started_unix_ms"] for pod in cooper.pods() if pod["name"] == name)

    before = started()
    cooper("rm", name).fails(f"'{name}' is running", rc=1)
    cooper("pod", "stop", "--force", name).check()
    assert started() == before > 0
    cooper("pod", "rm", name).check()


def test_what_the_hints_name_exists(cooper):
    """Every command of ours that a hint recommends is one."""
    for word, _ in OTHER_WORDS:
        for ours in re.findall(r"cooper ((?:image|pod) [a-z-]+|exec|run|help)", cooper(*word.split(), "x").err):
            if ours != "help":
                cooper("help", *ours.split()).check()


WRONG_VALUES = [
    (("ps", "-f", "bogus=x"), "bogus"), (("ps", "-f", "bogus"), "KEY=VALUE"), (("ps", "-f", "status=bogus"), "bogus"), (("ps", "-f", "exited=x"), "exited=x"),
    (("logs", "-n", "x", "c"), "--tail"), (("logs", "--since", "bogus", "c"), "--since"), (("stop", "-t", "x", "c"), "'x' is no number of seconds"), (("stop", "-t", "-1", "c"), "'-1' is no number of seconds"),
    (("kill", "-s", "BOGUS", "c"), "BOGUS"), (("rm",), "needs a container"), (("pod", "gc", "--grace-period", "x"), "--grace-period"), (("stats", "-i", "0"), "--interval"),
    (("image", "load", "--transport", "xx", "/x"), "xx"), (("image", "import", "-c", "FOO", "/x"), "FOO"), (("image", "import", "/x", "BAD NAME"), "BAD NAME"), (("completion", "zsh"), "zsh"),
]


@pytest.mark.parametrize("words, named", WRONG_VALUES)
def test_wrong_values(cooper, words, named):
    """A wrong command line is 125 for every verb, before anything is looked up."""
    cooper(*words).fails(named, rc=125)


@pytest.mark.parametrize("verb", ["logs", "stop", "rm", "kill", "wait", "pause", "top", "inspect"])
def test_no_such_container(cooper, verb):
    """What is not there is called what the user called it, and fails with 1."""
    cooper(verb, "nosuch").fails("no image 'nosuch'" if verb == "inspect" else "no such container: 'nosuch'", rc=1)


@pytest.mark.parametrize("verb", ["stop", "rm", "status", "cat-manifest"])
def test_no_such_pod(cooper, verb):
    """The verbs of pods speak of pods."""
    cooper("pod", verb, "nosuch").fails("no such pod: 'nosuch'", "cooper pod ls", rc=1)


def test_global_flags_anywhere(cooper, new_engine):
    """Before and after the command."""
    other = new_engine(load=False)
    binary = other.binary
    assert json.loads(proc.run(binary, "--root", other.root, "image", "ls", "--run-root", other.run_root, "--format=json").check().out)["images"] == []
    proc.run(binary, "ps", "--root", other.root, "--run-root", other.run_root, "--log-level", "loud").fails("loud", rc=125)
    proc.run(binary, "ps", "--root", other.root, "--run-root", other.run_root, "--format", "xml").fails("xml", rc=125)


def test_log_format_json(cooper):
    """Errors as records, one a line."""
    result = cooper("--log-format", "json", "run", "--rm", "nosuchimage", "true")
    assert result.rc == 125
    record = json.loads(result.err.strip().splitlines()[-1])
    assert record["level"] == "error" and "nosuchimage" in record["msg"]


def test_debug_log(cooper, unique):
    """The steps of engine and monitor with what they are about, one record a line; without the flag nothing."""
    with cooper.running(unique()):  # the tree is there
        result = cooper("--log-level", "debug", "--log-format", "json", "run", "--rm", "busybox", "echo", "out").check()
    assert result.out == "out\n"
    records = [json.loads(line) for line in result.err.splitlines()]
    assert all(record["level"] == "debug" and float(record["elapsed_ms"]) >= 0 for record in records)
    steps = {record["msg"]: record for record in records}
    assert steps["engine"]["root"] == str(cooper.root) and steps["engine"]["cgroup_parent"] == cooper.cgroup_parent
    assert steps["tree reused"]["rootfs"].startswith(str(cooper.root / "images/trees"))
    assert steps["pod prepared"]["pod"] == steps["monitor"]["pod"] == steps["pod runs"]["pod"]
    assert int(steps["monitor"]["pid"]) > 1 and steps["runtime plan"]["cgroup"].startswith(cooper.cgroup_parent)
    assert int(steps["runtime plan"]["steps"]) > 20 and int(steps["container created"]["pid"]) > 1
    assert float(steps["lock of starts"]["waited_ms"]) >= 0 and steps["app has ended"]["exit_code"] == "0"
    text = cooper("--log-level", "debug", "run", "--rm", "busybox", "true").check().err
    assert 'level=debug msg="tree reused" rootfs="' in text
    assert cooper("run", "--rm", "busybox", "true").check().err == ""


def test_config_file(cooper, workdir):
    """Its settings hold unless a flag says otherwise; mistakes name file and line."""
    config = workdir / "c.toml"

    def with_config(text, *args):
        config.write_text(f'root = "{cooper.root}"\nrun_root = "{cooper.run_root}"\ncgroup_parent = "{cooper.cgroup_parent}"\n' + text)
        return proc.run(cooper.binary, "--config", config, *args, env=cooper.environ)

    ours = os.readlink("/proc/self/ns/net")
    assert with_config('[containers]\nnetwork = "host"\n', "run", "--rm", "busybox", "readlink", "/proc/self/ns/net").check().out.strip() == ours
    assert with_config('[containers]\nnetwork = "host"\n', "run", "--rm", "--network", "none", "busybox", "readlink", "/proc/self/ns/net").check().out.strip() != ours
    assert json.loads(with_config('[output]\nformat = "json"\n', "ps").check().out) == {"containers": []}
    with_config("colour = 1\n", "ps").fails("c.toml, line 4", "colour", rc=125)
    with_config("[log]\nlevel = 1\n", "ps").fails("log.level", rc=125)
    proc.run(cooper.binary, "--config", "/no/such/file", "ps").fails("/no/such/file", rc=125)


def test_completion(cooper, unique):
    """The script is bash; the program offers commands, flags, containers and images."""
    script = cooper("completion", "bash").check().out
    proc.run("bash", "-n", "/dev/stdin", stdin=script).check()
    cooper("completion", "fish").fails("bash", rc=125)

    def offers(*words):
        return cooper("__complete", "--", *words).check().out.split()

    assert "run" in offers("") and offers("im") == ["image"] and "load" in offers("image", "")
    assert "--interactive" in offers("run", "--int") and offers("run", "--network", "n") == ["none"]
    assert any("busybox" in image for image in offers("run", ""))
    with cooper.running(unique()) as name:
        assert offers("exec", name[:-1]) == [name]
    bash = f"cooper() {{ {cooper.binary} \"$@\"; }}; PATH={os.path.dirname(cooper.binary)}:$PATH; {script}\nCOMP_WORDS=(cooper image l); COMP_CWORD=2; COMP_LINE=\"cooper image l\"; COMP_POINT=14; _cooper; echo ${{COMPREPLY[*]}}"
    assert proc.run("bash", "-c", bash).check().out.split() == ["load", "ls"]


def test_completion_at_a_prompt(cooper, unique, workdir):
    """Tab in a real bash: names with colons, another engine's images, files, values behind an equals sign, ids."""
    name = unique("tab")
    cooper("image", "tag", "busybox", f"{name}:1.0").check()
    identity = cooper.json("image", "inspect", f"{name}:1.0")["images"][0]["id"]
    (workdir / "sub").mkdir()
    (workdir / "root.sif").touch()
    (workdir / "rc").write_text(f"PS1='@ '\nPATH={os.path.dirname(cooper.binary)}:$PATH\nbind 'set bell-style none'\nsource <(cooper completion bash)\n")
    place = f"--root {cooper.root} --run-root={cooper.run_root}"
    lines = {
        f"cooper {place} image rm localhost/{name}:": f"localhost/{name}:1.0",
        f"cooper {place} image history localhost/{name[:-1]}": f"localhost/{name}:1.0",
        f"cooper {place} image rm {identity[7:14]}": identity[7:19],
        f"cooper {place} image rm {identity[:14]}": identity[:19],
        "cooper run ./ro": "./root.sif",
        "cooper image extract busybox s": "sub/",
        "cooper run --network=no": "--network=none",
        "cooper run --cidfile=ro": "--cidfile=root.sif",
        "cooper --root /nowhere image rm b": "b",
    }
    with ptys.OnTerminal("bash", "--norc", "-i", env={**os.environ, **cooper.environ, "TERM": "dumb"}, cwd=workdir, columns=500) as shell:
        shell.write(f"source {workdir}/rc\n")
        shell.expect("@ ")
        for line, end in lines.items():
            shell.write(f"{line}\t\x01set -- \necho [${{@: -1}}]\n")  # to the beginning of the line, and there other words
            assert f"[{end}]" in shell.expect(f"[{end}]"), line
        shell.write("exit\n")
        shell.wait()
    assert not os.path.exists("/nowhere")
    cooper("image", "rm", f"{name}:1.0").check()


def test_output_to_a_full_disk(cooper):
    """A table that cannot be written is an error."""
    with open("/dev/full", "wb") as sink, cooper.background("image", "ls", stdout=sink) as child:
        result = child.wait()
    assert result.rc == 1 and "space" in result.err


def test_not_root(cooper):
    """Without rights: a clear error, not a crash."""
    result = proc.run(*cooper.argv("ps"), preexec=lambda: os.setuid(65534))
    assert result.rc != 0 and result.err.startswith("cooper: ")


def test_start_up_time(cooper):
    """version takes about a millisecond more than nothing (ten times that is a failure)."""
    best = min(_time(cooper.binary, "version") for _ in range(20)) - min(_time("/bin/true") for _ in range(20))
    assert best < 0.010


def _time(*argv):
    begin = time.perf_counter()
    pid = os.posix_spawn(argv[0], argv, os.environ, file_actions=[(os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)])
    os.waitpid(pid, 0)
    return time.perf_counter() - begin


def test_concurrent_readers(cooper, unique):
    """ps while containers come and go never fails."""
    failures = []
    stop = threading.Event()

    def look():
        while not stop.is_set():
            result = cooper("ps", "-a")
            if result.rc:
                failures.append(str(result))

    reader = threading.Thread(target=look)
    reader.start()
    for _ in range(30):
        cooper.run("true").check()
    stop.set()
    reader.join()
    assert not failures, failures[0]


def test_attach_shows_an_app_without_input(cooper, unique):
    """An app that was started without -i: its output is shown, and nothing is asked of its input."""
    with cooper.running(unique(), command=("sh", "-c", "while :; do echo tick; sleep 0.1; done")) as name:
        with cooper.background("attach", name, "--sig-proxy=false") as child:
            assert child.readline() == "tick"
            child.signal(signal.SIGTERM)
        assert cooper.state(name) == "running"


def test_pod_rm_after_a_failed_start(cooper):
    """pod run --rm leaves nothing when an app cannot be started; without it, those that never ran say so."""
    before = len(cooper.pods())
    cooper("pod", "run", "--rm", "busybox", "--", "nosuch", "---", "busybox", "--name", "s", "--", "sleep", "2").check(127)
    assert len(cooper.pods()) == before
    cooper("pod", "run", "busybox", "--name", "s", "--", "sleep", "2", "---", "busybox", "--name", "b", "--", "nosuch").check(127)
    pod = cooper.pods()[0]
    codes = {app["name"]: app["exit"]["code"] for app in cooper.json("pod", "status", pod["id"])["apps"]}
    assert codes == {"s": 125, "b": 127}
    cooper("pod", "rm", pod["id"]).check()


def test_rm_during_the_start(cooper, unique):
    """rm -f of a container that is just starting removes it, and does not wait for long."""
    name = unique()
    for _ in range(15):
        with cooper.background("run", "-d", "--name", name, "busybox", "sleep", "1000") as start:
            proc.until(lambda: cooper("rm", "-f", name, timeout=10).rc == 0 or None, 15, 0.01, "removal")
            start.wait()
        cooper("rm", "-f", name)
        assert name not in [pod["name"] for pod in cooper.pods()]


def test_exec_in_a_missing_directory(cooper, unique):
    """Is refused, and makes no directory."""
    with cooper.running(unique()) as name:
        cooper("exec", "-w", "/typo/dir", name, "pwd").fails("/typo/dir")
        cooper("exec", name, "test", "-e", "/typo").check(1)


def test_roots_with_dots(cooper):
    """'..' in --root is what it is for a shell."""
    os.makedirs(cooper.folder / "x", exist_ok=True)
    dotted = ("--root", cooper.folder / "x" / ".." / "lib", "--run-root", "x/../run")
    proc.run(cooper.binary, *dotted, "image", "ls", env=cooper.environ, cwd=cooper.folder).check()
    proc.run(cooper.binary, "--root", "nosuch/../x", "ps", env=cooper.environ, cwd=cooper.folder).fails("nosuch", rc=125)


def test_needs_root(cooper):
    """Somebody else is told so, and nothing is made on their behalf."""

    def drop():
        os.setgid(65534)
        os.setuid(65534)

    env = {"PATH": os.environ["PATH"], "HOME": "/tmp"}
    result = proc.run(cooper.binary, "ps", env=env, preexec=drop)
    result.fails("root", rc=1)
    assert not os.path.exists("/tmp/.local/share/cooper")
