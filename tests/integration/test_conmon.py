"""The monitor called directly: log drivers, notifications, timeouts and exit commands. Debian's conmon must pass as well, where it can."""

import contextlib
import json
import os
import pathlib
import shutil
import socket
import stat
import time

import pytest

from lib import config, paths, proc
from lib.monitors import Datagrams, Monitor, journal_entry

pytestmark = [pytest.mark.needs("root", "isolation", "conmon")]

JOURNAL = "/run/systemd/journal/socket"
LOOP = "while :; do sleep 0.05; done"


@pytest.fixture(params=["ours", "debian"])
def monitor(request, runtime, bundle, workdir):
    """A monitor for one container: the one under test, and the one it replaces."""
    binary = paths.monitor_binary() if request.param == "ours" else shutil.which("conmon")
    if binary is None:
        pytest.skip("'conmon' is not installed (apt-get install conmon)")
    bundle.id = bundle.id.ljust(20, "0")
    bundle.writable()
    return Monitor(runtime, bundle, workdir, binary)


def ours_only(monitor):
    """Skip what the other one does not have in Debian's version."""
    if monitor.binary != str(paths.monitor_binary()):
        pytest.skip("not in this version")


@pytest.fixture
def journal():
    """Who listens in the journal's place."""
    if os.path.exists(JOURNAL):
        pytest.skip("a journal runs here")
    with Datagrams(JOURNAL) as receiver:
        yield receiver
    shutil.rmtree("/run/systemd", ignore_errors=True)


def entries(journal, count):
    """What has been told to the journal, once it is so much."""
    proc.until(lambda: len(journal.messages) >= count, 10, what=f"{count} journal entries")
    found = [journal_entry(m) for m in journal.messages]
    for entry in found:
        # Debian's keeps the newline, which readers take off.
        entry["MESSAGE"] = entry["MESSAGE"].removesuffix("\n")
    return found


class TestJournal:
    """Log driver journald."""

    def test_fields(self, monitor, journal):
        """Each line is an entry with the fields that readers of container logs look for."""
        monitor.bundle.sh(r"echo out; echo err >&2; printf 'bytes \001\377\n'; printf 'no end'")
        flags = ["-n", "box", "--log-tag", "tag/1", "--log-label", "COLOR=red", "--log-label", "A_B=c=d"]
        if "--log-label" not in proc.run(monitor.binary, "--help").out:
            del flags[4:]
        with monitor.running(*flags, log="journald:"):
            assert monitor.status() == 0
            found = entries(journal, 4)
        wanted = {"CONTAINER_ID_FULL": monitor.cid, "CONTAINER_ID": monitor.cid[:12], "CONTAINER_NAME": "box", "CONTAINER_TAG": "tag/1", "SYSLOG_IDENTIFIER": "tag/1"}
        if "--log-label" in flags:
            wanted.update(COLOR="red", A_B="c=d")
        for entry in found:
            assert {k: entry[k] for k in wanted} == wanted
        # Of one stream: nobody orders two.
        told = [(e["MESSAGE"], e["PRIORITY"], e.get("CONTAINER_PARTIAL_MESSAGE")) for e in found if e["PRIORITY"] == "6"]
        assert told == [("out", "6", None), ("bytes \x01\\xff", "6", None), ("no end", "6", "true")]
        assert [e["MESSAGE"] for e in found if e["PRIORITY"] == "3"] == ["err"]

    @pytest.mark.parametrize("flags,identifier", [(["-n", "box"], "box"), ([], None)])
    def test_identifier(self, monitor, journal, flags, identifier):
        """Without a tag the name identifies, without a name the short id."""
        monitor.bundle.args("echo", "x")
        with monitor.running(*flags, log="journald"):
            (entry,) = entries(journal, 1)
        assert entry["SYSLOG_IDENTIFIER"] == (identifier or monitor.cid[:12]) and entry.get("CONTAINER_NAME") == identifier and "CONTAINER_TAG" not in entry

    def test_long_line(self, monitor, journal):
        """A long line comes in pieces, of which only the last is no partial one."""
        monitor.bundle.sh(r"head -c 40000 /dev/zero | tr '\0' x; echo; echo next")
        with monitor.running(log="journald"):
            assert monitor.status() == 0
            proc.until(lambda: entries(journal, 1)[-1]["MESSAGE"] == "next", 10)
        found = entries(journal, 3)[:-1]
        assert "".join(e["MESSAGE"] for e in found) == "x" * 40000
        assert [e.get("CONTAINER_PARTIAL_MESSAGE") for e in found] == ["true"] * (len(found) - 1) + [None]

    def test_line_in_pieces(self, monitor, journal):
        """A line that is written piece by piece is one entry."""
        monitor.bundle.sh("printf a; sleep 0.2; printf b; sleep 0.2; echo c; echo d")
        with monitor.running(log="journald"):
            found = entries(journal, 2)
        assert [e["MESSAGE"] for e in found] == ["abc", "d"] and "CONTAINER_PARTIAL_MESSAGE" not in found[0]

    def test_priority_of_a_line(self, monitor, journal):
        """A line may carry its own priority, as services of systemd have it."""
        ours_only(monitor)
        monitor.bundle.sh("echo '<4>careful'; echo '<9>no'; echo '<1>' >&2")
        with monitor.running(log="journald"):
            found = {e["MESSAGE"]: e["PRIORITY"] for e in entries(journal, 3)}
        assert found["careful"] == "4" and found["<9>no"] == "6"

    def test_with_a_file(self, monitor, journal):
        """Two drivers at once."""
        monitor.bundle.args("echo", "both")
        with monitor.running("-l", "journald"):
            assert entries(journal, 1)[0]["MESSAGE"] == "both"
            monitor.status()
            assert monitor.lines() == [("stdout", "F", "both")]


class TestNotify:
    """--sdnotify-socket, with which podman asks for what a container tells its service manager."""

    def test_relayed(self, monitor, workdir):
        """READY of the container arrives outside, through the bundle's own socket."""
        ours_only(monitor)  # Debian's hands nothing on without podman
        monitor.bundle.args(monitor.bundle.probe("notify")).env(NOTIFY_SOCKET="/run/notify/notify.sock")
        (monitor.bundle.path / "notify").mkdir()
        monitor.bundle.add_mount("/run/notify", "bind", monitor.bundle.path / "notify", "bind")
        (monitor.bundle.rootfs / "run/notify").mkdir(parents=True)
        with Datagrams(workdir / "manager") as manager:
            with monitor.running("--sdnotify-socket", manager.path, env={"NOTIFY_SOCKET": str(manager.path)}):
                proc.until(lambda: b"READY=1" in b"\n".join(manager.messages), 10, what="READY")
                inside = monitor.bundle.path / "notify/notify.sock"
                assert stat.S_IMODE(inside.stat().st_mode) == 0o777
        # The runtime has no part in it: a MAINPID of its own would name another process than podman does.
        assert b"MAINPID" not in b"".join(manager.messages)


class TestLogFile:
    """Limits of log files."""

    LINES = "i=0; while [ $i -lt 400 ]; do echo line $i; i=$((i+1)); done; echo last >&2"

    def test_size(self, monitor):
        """A full file is begun anew; the last line is there."""
        monitor.bundle.sh(self.LINES)
        with monitor.running("--log-size-max", "5000"):
            assert monitor.status() == 0
            lines = monitor.lines()
            assert monitor.log.stat().st_size <= 5000 and ("stderr", "F", "last") in lines and ("stdout", "F", "line 0") not in lines

    def test_rotation(self, monitor):
        """--log-rotate keeps so many files; nothing is lost between them."""
        ours_only(monitor)
        monitor.bundle.sh(self.LINES)
        with monitor.running("--log-size-max", "5000", "--log-rotate", "--log-max-files", "3"):
            assert monitor.status() == 0
            names = sorted(p.name for p in monitor.log.parent.glob("ctr.log*"))
            assert names == ["ctr.log", "ctr.log.1", "ctr.log.2"]
            texts = [t for _, _, t in monitor.lines(*(monitor.log.parent / n for n in reversed(names))) if t != "last"]
        first = int(texts[0].split()[1])
        assert first > 0 and texts == [f"line {i}" for i in range(first, 400)]

    def test_global_size(self, monitor):
        """--log-global-size-max ends the logging, not the container."""
        monitor.bundle.sh(self.LINES)
        with monitor.running("--log-global-size-max", "1000"):
            assert monitor.status() == 0
            assert 0 < len(monitor.lines()) < 150

    def test_reopened(self, monitor):
        """Request 2 on the fifo: who moved the file away gets a new one."""
        monitor.bundle.sh(f"echo one; while [ ! -e /go ]; do sleep 0.02; done; echo two; {LOOP}")
        with monitor.running():
            proc.until(monitor.log.exists)
            proc.until(monitor.lines)
            monitor.log.rename(f"{monitor.log}.old")
            (monitor.bundle.path / "ctl").write_text("2 0 0\n")
            proc.until(monitor.log.exists, 10, what="new log file")
            (monitor.bundle.rootfs / "go").touch()
            proc.until(lambda: monitor.lines() == [("stdout", "F", "two")], 10, what="line in the new file")


class TestEnd:
    """What happens at the end of a container."""

    def test_timeout(self, monitor):
        """--timeout kills it, and the status says that it was not its own end."""
        monitor.bundle.sh(LOOP)
        started = time.monotonic()
        with monitor.running("-T", "1"):
            assert monitor.status() == -1
            assert 0.5 < time.monotonic() - started < 5
            assert (monitor.persist / "exit").read_text() == "-1"

    @pytest.mark.parametrize("script,status", [("exit 7", 7), ("kill -9 $$", 137), ("kill -TERM $$; sleep 1", 143)])
    def test_status(self, monitor, script, status):
        """Exit file and persistent copy; a signal is 128 more."""
        script = f"sh -c '{script}'; exit $?"
        with monitor.running() if monitor.bundle.sh(script) else None:
            assert monitor.status() == status
            assert (monitor.persist / "exit").read_text() == str(status)

    def test_exit_command(self, monitor, workdir):
        """Runs after the exit file is there, with its arguments and the monitor's environment, and after the delay."""
        out = workdir / "called"
        script = f"cat {monitor.exits}/{monitor.cid} > {out}.new; echo \"$@\" \"$WORD\" >> {out}.new; mv {out}.new {out}"
        flags = ["--exit-command", "/bin/sh"]
        for word in ("-c", script, "name", "one", "two three"):
            flags += ["--exit-command-arg", word]
        with monitor.running(*flags, "--exit-delay", "1", env={"WORD": "word"}) if monitor.bundle.sh("exit 3") else None:
            monitor.status()
            began = time.monotonic()
            assert not out.exists()
            proc.until(out.exists, 10, what="exit command")
            assert time.monotonic() - began > 0.5
            assert out.read_text() == "3one two three word\n"

    @staticmethod
    @contextlib.contextmanager
    def attached(monitor):
        """A client of the attach socket, by a short way: the path may be longer than the address of a socket."""
        folder = os.open(monitor.bundle.path, os.O_PATH)
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
                client.connect(f"/proc/self/fd/{folder}/attach")
                client.settimeout(15)
                yield client
        finally:
            os.close(folder)

    def test_input_that_the_program_has_closed(self, monitor):
        """What comes for a program without an input is lost; the log and the status of the program are not.

        Seen to fail with conmon while a write to the closed pipe ended it, and the container ran on without a monitor.
        """
        monitor.bundle.sh("exec 0<&-; echo closed; while [ ! -e /go ]; do sleep 0.05; done; echo end; exit 3")
        with monitor.running("-i"), self.attached(monitor) as client:
            proc.until(lambda: monitor.lines() == [("stdout", "F", "closed")], 10, what="line")
            for words in (b"lost\n", b"lost, too\n"):
                client.send(words)
                time.sleep(0.2)
            (monitor.bundle.rootfs / "go").touch()
            assert monitor.status() == 3
            assert monitor.lines() == [("stdout", "F", "closed"), ("stdout", "F", "end")]

    def test_output_before_unread_input(self, monitor):
        """A client that has said more than anybody reads gets all output all the same, however late it takes it.

        Seen to fail with conmon while it closed the socket over what was unread: the client was told of a reset, and podman lost the rest.
        """
        ours_only(monitor)
        monitor.bundle.sh("while [ ! -e /go ]; do sleep 0.05; done; head -c 20000 /dev/zero | tr '\\0' x; exit 3")
        with monitor.running("-i"):
            pid = int(monitor.pidfile.read_text())
            with self.attached(monitor) as client:
                client.setblocking(False)
                taken = time.monotonic()
                while time.monotonic() - taken < 0.5:
                    try:
                        client.send(b"y" * 8192)
                        taken = time.monotonic()
                    except BlockingIOError:
                        time.sleep(0.02)
                (monitor.bundle.rootfs / "go").touch()
                assert monitor.status() == 3
                proc.until(lambda: not os.path.exists(f"/proc/{pid}/exe"), 15, what="end of the monitor")
                client.settimeout(15)
                packets = list(iter(lambda: client.recv(8193), b""))
            assert {packet[0] for packet in packets} == {2} and b"".join(packet[1:] for packet in packets) == b"x" * 20000

    def test_failed_runtime(self, monitor):
        """What the runtime says comes over the sync pipe."""
        monitor.bundle.config["root"]["path"] = "nowhere"
        _, answer = monitor.call()
        assert answer["data"] == -1 and "nowhere" in answer["message"]


class TestCommandLine:
    """Words that are refused."""

    @pytest.mark.parametrize(
        "flags,word",
        [(["--log-tag", "x"], "log-tag"), (["-l", "syslog:x"], "syslog"), (["--no-such"], "no-such"), (["-T", "soon"], "soon")],
    )
    def test_refused(self, monitor, flags, word):
        """With a status of its own and a sentence."""
        result, _ = monitor.call(*flags)
        assert result.rc != 0 and word in (result.out + result.err).lower()
        assert not pathlib.Path(monitor.pidfile).exists()


RUNTIME = """#!/bin/sh
echo "$@" > {told}
while [ "$1" != --pid-file ]; do shift; done
sh -c 'sleep 0.2; exit 3' &
echo $! > "$2"
"""


class TestCrio:
    """The command lines of CRI-O, which speaks the protocol before version 1, with words in its own order."""

    @staticmethod
    def call(monitor, argv, cwd):
        """Start the monitor; lets it go on by the start pipe. Returns what it says first."""
        monitor.bundle.save()
        (begin, go), (reader, writer) = os.pipe(), os.pipe()
        os.write(go, b"\0")
        env = {"_OCI_SYNCPIPE": str(writer), "_OCI_STARTPIPE": str(begin)}
        with os.fdopen(reader, encoding="utf-8") as answers:
            result = proc.run(*argv, env={**monitor.runtime.environ, **env}, pass_fds=(writer, begin), cwd=cwd)
            for fd in (begin, go, writer):
                os.close(fd)
            line = answers.readline()
        assert line, result
        return json.loads(line)

    @staticmethod
    def say(path, words):
        """Attach, say something, go."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
            client.connect(str(path))
            client.send(words)

    @staticmethod
    def common(monitor, log):
        """What all command lines have."""
        return [
            "-c", monitor.cid, "-n", "k8s_box", "-r", monitor.runtime.binary, "-l", log, "--log-level", "info", "--socket-dir-path", monitor.workdir / "s",
            "--runtime-arg", f"--root={monitor.runtime.root}",
        ]  # fmt: skip

    def test_create_and_exec(self, monitor, workdir):
        """A container that can be attached to, before and after a command in it; the command leaves nothing where CRI-O stands.

        Seen to fail with conmon while an exec without --bundle took the working directory for one.
        """
        for name in ("cwd", "s"):
            (workdir / name).mkdir()
        bundle, attach = monitor.bundle, workdir / "s" / monitor.cid / "attach"
        bundle.sh("while read x; do echo got $x; [ $x = end ] && exit 6; done")
        argv = [
            monitor.binary, "-b", bundle.path, *self.common(monitor, monitor.log), "--exit-dir", monitor.exits, "-P", monitor.pidfile, "-p", bundle.path / "pidfile",
            "--persist-dir", monitor.persist, "--syslog", "-u", monitor.cid, "--log-size-max", "-1", "--no-sync-log", "--leave-stdin-open", "-i",
        ]  # fmt: skip
        try:
            assert self.call(monitor, argv, bundle.path)["pid"] == int((bundle.path / "pidfile").read_text())
            monitor.runtime("start", monitor.cid).check()
            self.say(attach, b"one\n")
            proc.until(lambda: monitor.lines() == [("stdout", "F", "got one")], 10, what="line")
            process = config.default()["process"] | {"args": ["sh", "-c", "echo out; echo err >&2; exit 5"]}
            (workdir / "process.json").write_text(json.dumps(process))
            flags = ["-p", workdir / "exec.pid", "-e", "--sync", "--log-global-size-max", "16777216", "-T", "30", "--exec-process-spec", workdir / "process.json"]
            assert self.call(monitor, [monitor.binary, *self.common(monitor, workdir / "exec.log"), *flags], workdir / "cwd")["exit_code"] == 5
            assert sorted(t for _, _, t in monitor.lines(workdir / "exec.log")) == ["err", "out"]
            assert os.listdir(workdir / "cwd") == []
            self.say(attach, b"end\n")
            assert monitor.status() == 6 and (monitor.persist / "exit").read_text() == "6"
        finally:
            monitor.runtime("delete", "--force", monitor.cid)

    def test_restore(self, monitor, workdir):
        """The runtime is told to restore, with CRI-O's labels, and its container is watched like one that was made."""
        script = workdir / "runtime"
        script.write_text(RUNTIME.format(told=workdir / "told"))
        script.chmod(0o755)
        (workdir / "s").mkdir()
        options = ["--restore", workdir / "images", "--runtime-opt", "--lsm-profile=selinux:a:b:c:s0"]
        argv = [monitor.binary, "-b", workdir, *self.common(monitor, monitor.log), "--exit-dir", monitor.exits, "-p", workdir / "pidfile", "-u", monitor.cid, *options]
        argv[argv.index("-r") + 1] = script
        assert self.call(monitor, argv, workdir)["pid"] == int((workdir / "pidfile").read_text())
        assert monitor.status() == 3
        words = f"--root={monitor.runtime.root} restore --bundle {workdir} --pid-file {workdir}/pidfile --detach --image-path {workdir}/images --work-path {workdir}"
        assert (workdir / "told").read_text().split() == [*words.split(), "--lsm-profile=selinux:a:b:c:s0", monitor.cid]
