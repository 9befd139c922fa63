"""cooper-fetch: what the program that speaks to registries can do when somebody has taken it over, and what it makes of
what it is told. cooper is not part of these tests: they stand in its place."""

import errno
import json
import os
import pathlib
import socket
import subprocess

import pytest

from lib import paths, proc

pytestmark = pytest.mark.needs("root", "cooper", "isolation", "gcc")
PROGRAM = paths.bin_dir() / "cooper-fetch"
SETUP = {"version": 1, "endpoints": [{"host": "localhost:1", "repository": "name", "plain_http": True}], "attempts": 1}
SHADOW = "read-shadow"


@pytest.fixture(scope="module")
def intruder():
    """The compiled probe that is put into the program."""
    target = paths.cache_dir() / "intruder.so"
    target.parent.mkdir(parents=True, exist_ok=True)
    proc.run("gcc", "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", target, paths.REPOSITORY / "tests/probes/preload/intruder.c", timeout=120).check()
    return target


class Fetch:
    """cooper-fetch with the test at the other end of its socket (a context manager)."""

    def __init__(self, workdir, setup=None, env=None):
        self.ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        file = pathlib.Path(workdir) / "setup.json"
        file.write_text(setup if isinstance(setup, str) else json.dumps(setup or SETUP))
        with open(file, "rb") as document:
            high = [os.dup(theirs.fileno()), os.dup(document.fileno())]

            def place():
                os.dup2(high[0], 3)
                os.dup2(high[1], 4)

            self.child = subprocess.Popen([PROGRAM], env=env or {}, preexec_fn=place, close_fds=False,
                                          stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            for fd in high:
                os.close(fd)
        theirs.close()
        self.ours.settimeout(30 * proc.SLOW)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.ours.close()
        self.child.kill()
        self.child.wait()
        self.child.stderr.close()

    def send(self, request, *files):
        """Send a request with these descriptors."""
        socket.send_fds(self.ours, [json.dumps(request).encode()], [file.fileno() for file in files])

    def ask(self, request):
        """Send a request with the write end of a pipe; returns the read end."""
        read, write = os.pipe()
        text = request if isinstance(request, bytes) else json.dumps(request).encode()
        socket.send_fds(self.ours, [text], [write])
        os.close(write)
        return read

    def answer(self):
        return json.loads(self.ours.recv(1 << 16))

    def end(self):
        """The exit status, when it has ended by itself."""
        return self.child.wait(30 * proc.SLOW)


def attempts(text):
    """What the intruder told: name -> errno."""
    lines = text.split("end\n")[0].splitlines()
    return {name: int(number) for name, number in (line.split() for line in lines)}


def test_taken_over(workdir, intruder):
    """Code that runs in it after it was confined reads no secret, writes nothing, starts nothing and gains nothing."""
    with Fetch(workdir, env={"LD_PRELOAD": str(intruder)}) as fetch:
        os.close(fetch.ask({"id": 0, "kind": "manifest", "reference": "x", "bytes": 100}))
        assert fetch.answer()["kind"] == "failed"
        os.set_blocking(fetch.child.stderr.fileno(), False)
        told = attempts(fetch.child.stderr.read().decode())
        status = pathlib.Path(f"/proc/{fetch.child.pid}/status").read_text()
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert fields["Uid"].split() == ["65534"] * 4 and fields["Gid"].split() == ["65534"] * 4
    assert fields["Groups"].strip() == ""
    assert all(int(fields[name], 16) == 0 for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"))
    assert fields["NoNewPrivs"] == "1" and fields["Seccomp"] == "2"
    well = {"read-hosts", "inet"}
    assert {name for name, number in told.items() if number == 0} == well, told
    assert told[SHADOW] == told["read-passwd"] == errno.EACCES and len(told) == 23
    assert not os.path.exists("/tmp/cooper-intruder-file")


def test_the_intruder_can_do_it_elsewhere(workdir, intruder):
    """The same code does all of it outside: the test above shows what the program forbids, not what the machine lacks."""
    file = workdir / "file"
    code = f"import ctypes; ctypes.CDLL({str(intruder)!r}).intrude({str(file)!r}.encode())"
    result = proc.run("unshare", "-m", "/usr/bin/python3", "-c", code, env={"PATH": os.environ["PATH"], "INTRUDER_NO_EXEC": "1"}).check()
    told = attempts(result.err)
    failed = {name for name, number in told.items() if number}
    # A directory cannot be read as a file; whether a parent may be traced is the machine's to say.
    assert failed <= {"read-root", "ptrace"}, told
    assert SHADOW in told


def test_ends_with_its_socket(workdir):
    """When cooper is gone, so is it."""
    with Fetch(workdir) as fetch:
        fetch.ours.close()
        assert fetch.end() == 0


@pytest.mark.parametrize("request_text", [b"{}", b"x", b'{"id":0,"kind":"file","reference":"/etc/shadow"}', b'{"id":0,"kind":"blob","reference":"../x"}',
                                          b"[" * 20000, b"\xff" * 100])  # fmt: skip
def test_nonsense_from_the_other_end(workdir, request_text):
    """A request that is none ends the program with an error."""
    with Fetch(workdir) as fetch:
        os.close(fetch.ask(request_text))
        assert fetch.end() == 1
        assert b"request" in fetch.child.stderr.read()


DIGEST = "sha256:" + "0" * 64


@pytest.mark.parametrize("push, kind, count", [(False, "send-blob", 1), (False, "has-blob", 0), (True, "blob", 1), (True, "has-blob", 1),
                                               (True, "send-blob", 0), (True, "send-blob", 2)])  # fmt: skip
def test_requests_of_the_other_kind(workdir, push, kind, count):
    """A pull takes no request of a push, and a push none of a pull; nor one with too many or too few descriptors."""
    with Fetch(workdir, {**SETUP, "push": push}) as fetch, open("/etc/hostname", "rb") as file:
        fetch.send({"id": 0, "kind": kind, "reference": DIGEST, "bytes": 1}, *[file] * count)
        assert fetch.end() == 1
        assert b"request" in fetch.child.stderr.read()


def test_a_manifest_that_is_none(workdir):
    """A manifest that is shorter than was said, too large, or of another digest is not sent."""
    (workdir / "file").write_bytes(b"{}")
    wanted = {"id": 0, "kind": "send-manifest", "media_type": "a/b", "reference": "x"}
    for change in ({"bytes": 3}, {"bytes": 1 << 40}, {"bytes": 2, "reference": DIGEST}):
        with Fetch(workdir, {**SETUP, "push": True}) as fetch, open(workdir / "file", "rb") as file:
            fetch.send({**wanted, **change}, file)
            answer = fetch.answer()
            assert answer["kind"] == "failed" and "connect" not in answer["message"], answer


@pytest.mark.parametrize("setup", ["", "{}", '{"version":2}', json.dumps({**SETUP, "endpoints": [{"host": "a/b", "repository": "x"}]})])
def test_nonsense_as_setup(workdir, setup):
    """So does a setup that is none."""
    with Fetch(workdir, setup) as fetch:
        assert fetch.end() == 1


def test_started_by_hand():
    """People who start it are told what to use."""
    proc.run(PROGRAM).fails("cooper image pull", rc=125)
    assert proc.run(PROGRAM, "--version").check().out.startswith("cooper-fetch ")


def test_the_start_path_has_no_tls():
    """coop and cooper are linked statically, without any library of TLS or HTTP."""
    for name in ("coop", "cooper"):
        data = (paths.bin_dir() / name).read_bytes()
        assert b"libcurl" not in data and b"SSL_connect" not in data, name
