"""Descriptors and files that callers pass and expect: pid files, extra descriptors, socket activation, sd_notify, logs."""

import json
import os
import socket

import pytest

from lib import proc, ptys


def listed(text):
    """{number: target} as the fds probe printed it."""
    return {int(l.split(" ", 1)[0]): l.split(" ", 1)[1] for l in text.splitlines()}


def test_only_standard_streams(runtime, bundle):
    """The process has descriptors 0, 1, 2 and no other, even when the caller has many open."""
    extra = [os.open("/etc/passwd", os.O_RDONLY) for _ in range(8)]
    try:
        out = runtime.output(bundle.args(bundle.probe("fds")), pass_fds=extra)
    finally:
        for fd in extra:
            os.close(fd)
    assert set(listed(out)) == {0, 1, 2}


def test_exec_only_standard_streams(runtime, bundle):
    """The same for exec."""
    probe = bundle.probe("fds")
    with runtime.running(bundle.sh("sleep 1000")):
        extra = os.open("/etc", os.O_RDONLY)
        try:
            out = runtime("exec", bundle.id, probe, pass_fds=[extra]).check().out
        finally:
            os.close(extra)
        assert set(listed(out)) == {0, 1, 2}


def test_pid_file(runtime, bundle, workdir):
    """--pid-file holds the init's pid on the host when create returns, without a newline."""
    bundle.save()
    with runtime.created(bundle, "--pid-file", workdir / "pid") as state:
        assert (workdir / "pid").read_text() == str(state["pid"])


def test_pid_file_relative(runtime, bundle, workdir):
    """A relative --pid-file is taken from the caller's directory."""
    bundle.save()
    runtime("run", "-b", bundle.path, "--pid-file", "relative.pid", bundle.id, cwd=workdir).check()
    assert int((workdir / "relative.pid").read_text()) > 1


def test_pid_file_replaces(runtime, bundle, workdir):
    """An existing pid file is replaced as a whole; a symlink is not followed."""
    (workdir / "target").write_text("precious")
    (workdir / "pid").symlink_to(workdir / "target")
    runtime.run(bundle, "--pid-file", workdir / "pid").check()
    assert (workdir / "target").read_text() == "precious"
    assert (workdir / "pid").read_text().isdigit()


@pytest.mark.differs(crun="words")
def test_pid_file_unwritable(runtime, bundle):
    """A pid file that cannot be written is an error, and the container is undone."""
    runtime.run(bundle, "--pid-file", "/no/such/folder/pid").fails("/no/such/folder", rc=1)


def test_exec_pid_file(runtime, bundle, workdir):
    """exec --pid-file holds the new process's pid on the host."""
    with runtime.running(bundle.sh("sleep 1000")):
        runtime("exec", "-d", "--pid-file", workdir / "pid", bundle.id, "sleep", "1000", stdio="null").check()
        pid = int((workdir / "pid").read_text())
        assert "sleep" in open(f"/proc/{pid}/cmdline", encoding="utf-8").read()


def preserve(fds, first=3):
    """preexec function that puts fds at first, first+1, ..."""

    def set_up():
        for number, fd in enumerate(fds):
            os.dup2(fd, first + number)
            os.set_inheritable(first + number, True)

    return set_up


def test_preserve_fds(runtime, bundle, workdir):
    """--preserve-fds N passes the caller's descriptors 3 .. N+2 and no more."""
    for name in ("one", "two", "three"):
        (workdir / name).write_text(name)
    files = [os.open(workdir / n, os.O_RDONLY) for n in ("one", "two", "three")]
    high = [os.dup2(fd, 50 + i) for i, fd in enumerate(files)]
    try:
        result = runtime("run", "--preserve-fds", "2", "-b", bundle.sh("cat <&3; cat <&4; cat <&5").save().path, bundle.id, pass_fds=(3, 4, 5), preexec=preserve(high))
        assert result.out == "onetwo"
        assert result.rc != 0
        bundle.args(bundle.probe("fds")).save()
        out = runtime("run", "--preserve-fds", "2", "-b", bundle.path, bundle.id, pass_fds=(3, 4, 5), preexec=preserve(high)).check().out
        assert set(listed(out)) == {0, 1, 2, 3, 4}
    finally:
        for fd in {*files, *high}:
            os.close(fd)


@pytest.mark.differs(crun="ignores it")
def test_preserve_fds_closed(runtime, bundle):
    """--preserve-fds with a descriptor that is not open is an error, also where the runtime has opened one of that number itself."""
    for count in ("1", "2", "5"):
        runtime.run(bundle, "--preserve-fds", count).fails("file descriptor 3 is not open", rc=1)
    runtime.run_detached(bundle.sh("sleep 100")).check()
    runtime("exec", "--preserve-fds", "1", bundle.id, "true").fails("file descriptor 3 is not open", rc=255)


def test_listen_fds(runtime, bundle, workdir):
    """Socket activation: LISTEN_FDS descriptors arrive at 3.., LISTEN_PID is the process, names are kept."""
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(workdir / "sock"))
    server.listen(1)
    high = os.dup2(server.fileno(), 60)
    bundle.sh("echo $LISTEN_FDS $LISTEN_PID $LISTEN_FDNAMES; readlink /proc/self/fd/3").save()
    script = 'export LISTEN_PID=$$; exec "$@"'
    try:
        result = proc.run(
            "sh", "-c", script, "sh", *runtime.argv("run", "-b", bundle.path, bundle.id),
            env={**runtime.environ, "LISTEN_FDS": "1", "LISTEN_FDNAMES": "web"}, pass_fds=(3,), preexec=preserve([high]),
        )  # fmt: skip
    finally:
        server.close()
        os.close(high)
    lines = result.check().lines
    assert lines[0].split()[:2] == ["1", "1"]
    assert lines[0].split()[2:] in (["web"], [])
    assert lines[1].startswith("socket:")


@pytest.mark.differs(crun="1.8 drops the names", runc="1.1 drops the names")
def test_listen_fds_names(runtime, bundle):
    """LISTEN_FDNAMES is passed on."""
    fd = os.open("/etc/passwd", os.O_RDONLY)
    high = os.dup2(fd, 61)
    bundle.sh("echo $LISTEN_FDNAMES").save()
    try:
        result = proc.run(
            "sh", "-c", 'export LISTEN_PID=$$; exec "$@"', "sh", *runtime.argv("run", "-b", bundle.path, bundle.id),
            env={**runtime.environ, "LISTEN_FDS": "1", "LISTEN_FDNAMES": "web"}, pass_fds=(3,), preexec=preserve([high]),
        )  # fmt: skip
    finally:
        os.close(fd)
        os.close(high)
    assert result.check().out == "web\n"


class Notify:
    """A datagram socket like the one systemd gives a service."""

    def __init__(self, path):
        self.path = str(path)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.settimeout(10)
        os.chmod(self.path, 0o777)

    def message(self):
        """The next datagram as a dict (a descriptor sent along is closed: that answers a barrier)."""
        data, fds, _, _ = socket.recv_fds(self.socket, 4096, 8)
        for fd in fds:
            os.close(fd)
        return dict(l.split("=", 1) for l in data.decode().split("\n") if "=" in l)

    def close(self):
        """Close and remove."""
        self.socket.close()
        os.unlink(self.path)


def test_notify_socket(runtime, bundle, workdir):
    """READY=1 from inside reaches the caller's NOTIFY_SOCKET, with MAINPID, and start waits for it; whatever else a container sends
    there, empty or too long, is no failure of the start."""
    notify = Notify(workdir / "notify.sock")
    bundle.args(bundle.probe("notify"), "odd")
    out = workdir / "out"
    try:
        runtime.create(bundle, output=out, env={"NOTIFY_SOCKET": notify.path}).check()
        pid = runtime.state(bundle.id)["pid"]
        with runtime.background("start", bundle.id, env={"NOTIFY_SOCKET": notify.path}) as start:
            seen = {}
            while not {"READY", "MAINPID"} <= set(seen):
                seen.update(notify.message())
            assert seen["READY"] == "1"
            assert seen["MAINPID"] == str(pid)
            # a barrier may follow; answer whatever comes until start ends
            notify.socket.settimeout(0.2)
            while start.child.poll() is None:
                try:
                    notify.message()
                except TimeoutError:
                    pass
            assert start.wait().rc == 0
        inner = out.read_text().strip()
        assert inner.startswith("/run/") and inner != notify.path
    finally:
        runtime("delete", "--force", bundle.id).check()
        notify.close()


def test_notify_socket_not_leaked(runtime, bundle):
    """Without NOTIFY_SOCKET the process has none."""
    assert runtime.output(bundle.sh("echo [$NOTIFY_SOCKET]")) == "[]\n"


@pytest.mark.differs(crun="file only, other format")
def test_log_text(runtime, bundle, workdir):
    """--log FILE: the error goes to the file as a logfmt line, and to standard error."""
    log = workdir / "log"
    bundle.args("no-such-command").save()
    result = runtime("run", "-b", bundle.path, bundle.id, flags=("--log", log)).fails("executable file not found", rc=1)
    assert "level=error" in log.read_text()
    assert "executable file not found" in log.read_text()
    assert result.err


def test_log_json(runtime, bundle, workdir):
    """--log-format json: one object a line with level, msg and time; podman and containerd read it."""
    log = workdir / "log"
    bundle.args("no-such-command").save()
    runtime("run", "-b", bundle.path, bundle.id, flags=("--log", log, "--log-format", "json")).fails(rc=1)
    entries = [json.loads(l) for l in log.read_text().splitlines()]
    errors = [e for e in entries if e["level"] == "error"]
    assert errors and "executable file not found" in errors[-1]["msg"]
    assert errors[-1]["time"][:2] == "20"


def test_log_appends(runtime, bundle, workdir):
    """The log file is appended to, not truncated."""
    log = workdir / "log"
    log.write_text("earlier\n")
    bundle.args("no-such-command").save()
    runtime("run", "-b", bundle.path, bundle.id, flags=("--log", log)).fails(rc=1)
    assert log.read_text().startswith("earlier\n")


def test_log_quotes(runtime, bundle, workdir):
    """Hostile strings cannot forge log lines."""
    log = workdir / "log"
    bundle.args('x\ntime="now" level=error msg="forged"').save()
    runtime("run", "-b", bundle.path, bundle.id, flags=("--log", log)).fails(rc=1)
    assert not [l for l in log.read_text().splitlines() if l.startswith('time="now"')]


@pytest.mark.differs(crun="words")
def test_log_format_unknown(runtime, bundle):
    """An unknown log format is refused."""
    runtime("list", flags=("--log-format", "xml")).fails("xml", rc=1)


@pytest.mark.differs(crun="hands the caller's pipes on as they are")
def test_stdio_of_a_user(runtime, bundle):
    """A process of another user may reopen its standard streams by name (pipes)."""
    bundle.process["user"] = {"uid": 1000, "gid": 1000}
    result = runtime.run(bundle.sh("echo out > /dev/stdout; echo err > /dev/stderr")).check()
    assert (result.out, result.err) == ("out\n", "err\n")


def test_large_streams(runtime, bundle):
    """Megabytes through standard input and output, unchanged."""
    data = "0123456789abcdef\n" * 200000
    assert runtime.run(bundle.args("cat"), stdin=data).check().out == data


def test_closed_stdin(runtime, bundle):
    """A caller without standard input at all gets a working container."""
    bundle.sh("cat; echo done").save()
    result = proc.run("sh", "-c", '"$@" <&-', "sh", *runtime.argv("run", "-b", bundle.path, bundle.id), env=runtime.environ)
    assert "done" in result.check().out


def test_reader_goes_away(runtime, bundle):
    """When nobody reads the output any more, run still ends with the container."""
    bundle.sh("i=0; while [ $i -lt 20000 ]; do echo filler filler filler; i=$((i+1)); done; exit 0").save()
    result = proc.run("sh", "-c", '"$@" | head -1', "sh", *runtime.argv("run", "-b", bundle.path, bundle.id), env=runtime.environ)
    assert result.out == "filler filler filler\n"


@pytest.mark.differs(runc="1.1 has no such flag", crun="1.8 has no such flag")
def test_pidfd_socket(runtime, bundle, workdir):
    """--pidfd-socket receives a pidfd of the init."""
    with ptys.Console(workdir / "pidfd.sock") as receiver:
        with runtime.created(bundle.sh("sleep 1000"), "--pidfd-socket", receiver.path) as state:
            fd = receiver.receive()
            with open(f"/proc/self/fdinfo/{fd}", encoding="utf-8") as info:
                assert f"Pid:\t{state['pid']}\n" in info.read()
