"""exec: joins namespaces and cgroup, takes over the container's process settings, every flag, its own errors exit 255."""

import json
import os
import pathlib
import signal

import pytest

from lib import cgroups, proc, ptys

pytestmark = pytest.mark.needs("root")


@pytest.fixture
def box(runtime, bundle):
    """A running container with all probes this file uses."""
    for name in ("ids", "env", "fds", "signals", "syscall", "suicide", "rlimits"):
        bundle.probe(name)
    bundle.process["env"] += ["FROM=container"]
    with runtime.running(bundle.args(bundle.probe("pause"))) as state:
        bundle.pid = state["pid"]
        yield bundle


def test_output_status_stdin(runtime, box):
    """Output, error output, input and exit status of the new process."""
    result = runtime("exec", box.id, "sh", "-c", "cat; echo err >&2; exit 23", stdin="input")
    assert (result.rc, result.out, result.err) == (23, "input", "err\n")


@pytest.mark.parametrize("kind", ["pid", "net", "ipc", "uts", "mnt", "cgroup", "user"])
def test_namespaces(runtime, box, kind):
    """The new process is in every namespace of the container."""
    assert runtime("exec", box.id, "readlink", f"/proc/self/ns/{kind}").check().out.strip() == os.readlink(f"/proc/{box.pid}/ns/{kind}")


@pytest.mark.needs("cgroup1")
def test_cgroup(runtime, box):
    """The new process is in the container's cgroup, in every hierarchy."""
    out = runtime("exec", box.id, "cat", "/proc/self/cgroup").check().out
    inside = {l.split(":")[1]: l.split(":", 2)[2] for l in out.splitlines()}
    init = pathlib.Path(f"/proc/{box.pid}/cgroup").read_text()
    wanted = {l.split(":")[1]: l.split(":", 2)[2] for l in init.splitlines()}
    assert {k: v for k, v in inside.items() if k} == {k: v for k, v in wanted.items() if k}


def test_inherits_process_settings(runtime, box):
    """Environment, directory, user, capabilities and limits come from the container's process."""
    lines = runtime("exec", box.id, "/probe/env").check().lines
    assert lines[0] == "/"
    assert "FROM=container" in lines and any(l.startswith("PATH=") for l in lines)
    status = lambda text: [l for l in text.splitlines() if l.startswith(("CapPrm", "CapEff", "CapBnd", "NoNewPrivs"))]
    out = runtime("exec", box.id, "cat", "/proc/self/status").check().out
    assert status(out) == status(pathlib.Path(f"/proc/{box.pid}/status").read_text())
    assert "7 1024 1024" in runtime("exec", box.id, "/probe/rlimits").check().lines


def test_nothing_of_the_caller(runtime, box):
    """The caller's environment does not leak in."""
    out = runtime("exec", box.id, "env", env={"SECRET": "x"}).check().out
    assert "SECRET" not in out


def test_env_adds(runtime, box):
    """--env adds to the container's environment (PATH stays) and overrides its values."""
    lines = runtime("exec", "--env", "A=1", "--env", "FROM=exec", box.id, "env").check().lines
    assert "A=1" in lines and "FROM=exec" in lines and "FROM=container" not in lines
    assert any(l.startswith("PATH=") for l in lines)


def test_env_short(runtime, box):
    """-e is the same."""
    assert "A=1" in runtime("exec", "-e", "A=1", box.id, "env").check().lines


@pytest.mark.differs(crun="1.8 starts from the new variables only")
def test_env_keeps_path(runtime, box):
    """With --env the container's own PATH still finds programs."""
    runtime("exec", "--env", "X=1", box.id, "true").check()
    own = [e for e in box.process["env"] if e.startswith("PATH=")]
    assert [l for l in runtime("exec", "--env", "X=1", box.id, "env").check().lines if l.startswith("PATH=")] == own


def test_cwd(runtime, box):
    """--cwd sets the directory."""
    assert runtime("exec", "--cwd", "/usr/bin", box.id, "pwd").check().out == "/usr/bin\n"


@pytest.mark.differs(crun="1.8 refuses an empty --cwd")
def test_empty_is_not_given(runtime, box):
    """An empty --cwd or --user is that of a script whose variable is not set: the container's own counts."""
    assert runtime("exec", "--cwd", "", "--user", "", box.id, "sh", "-c", "pwd; id -u").check().lines == ["/", "0"]


def test_cwd_missing(runtime, box):
    """A missing or relative --cwd is an error, exit 255."""
    runtime("exec", "--cwd", "relative", box.id, "pwd").fails(rc=255)


@pytest.mark.parametrize("spec,uid,gid", [("1000", 1000, 0), ("1000:1001", 1000, 1001), ("0:5", 0, 5), ("65534:65534", 65534, 65534)])
def test_user(runtime, box, spec, uid, gid):
    """--user UID[:GID] sets the ids."""
    out = runtime("exec", "--user", spec, box.id, "/probe/ids").check().out
    assert f"uid {uid} {uid} {uid}\n" in out
    assert f"gid {gid} {gid} {gid}\n" in out


@pytest.mark.parametrize("spec", ["0x0", "+1", "-1", "1e3", " 1", "1 ", "1:", ":1", "1:0x0", "4294967296", "4294967295", "18446744073709551616", "root", "1000:user", "1.5", "1:2:3", "٣"])
@pytest.mark.differs(runc="1.1 takes +1 and cuts to 32 bits", crun="1.8 takes some")
def test_user_is_parsed_strictly(runtime, box, spec):
    """--user takes plain decimal numbers in range only (CVE-2026-30892): all else is refused, nothing runs."""
    result = runtime("exec", "--user", spec, box.id, "/probe/ids")
    assert result.rc == 255 and "uid" not in result.out, result


@pytest.mark.differs(crun="1.8 has no such flag")
def test_additional_groups(runtime, box):
    """--additional-gids (repeatable) sets the supplementary groups."""
    out = runtime("exec", "-u", "1000:1000", "--additional-gids", "5", "--additional-gids", "29", box.id, "/probe/ids").check().out
    groups = next(l for l in out.splitlines() if l.startswith("groups")).split()[1:]
    assert set(groups) - {"1000"} == {"5", "29"}


def test_no_new_privs(runtime, bundle):
    """--no-new-privs sets the flag for the new process only."""
    bundle.process["noNewPrivileges"] = False
    with runtime.running(bundle.sh("sleep 1000")):
        ask = ("grep", "NoNewPrivs", "/proc/self/status")
        assert runtime("exec", bundle.id, *ask).check().out.split()[1] == "0"
        assert runtime("exec", "--no-new-privs", bundle.id, *ask).check().out.split()[1] == "1"


def test_cap(runtime, bundle):
    """--cap adds a capability for the new process, but never to its inheritable set (CVE-2022-29162)."""
    bundle.process["noNewPrivileges"] = False
    with runtime.running(bundle.sh("sleep 1000")):
        out = runtime("exec", "--cap", "CAP_SYS_ADMIN", bundle.id, "cat", "/proc/self/status").check().out
        sets = {l.split(":")[0]: int(l.split(":")[1], 16) for l in out.splitlines() if l.startswith("Cap")}
        assert sets["CapEff"] >> 21 & 1 and sets["CapBnd"] >> 21 & 1
        assert sets["CapInh"] == 0


def test_inheritable_is_empty(runtime, box):
    """The inheritable set of an exec'd process is what the config says: empty here."""
    out = runtime("exec", box.id, "grep", "CapInh", "/proc/self/status").check().out
    assert int(out.split()[1], 16) == 0


def test_detach(runtime, box, workdir):
    """--detach returns at once; the process lives on in the container."""
    runtime("exec", "--detach", "--pid-file", workdir / "pid", box.id, "sleep", "1000", stdio="null", timeout=10).check()
    pid = int((workdir / "pid").read_text())
    assert os.path.exists(f"/proc/{pid}")
    assert pid in json.loads(runtime("ps", "-f", "json", box.id).check().out)


def test_process_file(runtime, box, workdir):
    """--process FILE is a whole process object and replaces the container's."""
    spec = {
        "terminal": False, "user": {"uid": 1000, "gid": 1000, "additionalGids": [29]}, "args": ["/probe/env"],
        "env": ["ONLY=this"], "cwd": "/tmp", "capabilities": {}, "rlimits": [{"type": "RLIMIT_CORE", "soft": 1, "hard": 2}],
    }  # fmt: skip
    (workdir / "process.json").write_text(json.dumps(spec))
    lines = runtime("exec", "--process", workdir / "process.json", box.id).check().lines
    assert lines[0] == "/tmp"
    assert [l for l in lines[1:] if not l.startswith("HOME=")] == ["ONLY=this"]
    spec["args"] = ["/probe/ids"]
    (workdir / "process.json").write_text(json.dumps(spec))
    out = runtime("exec", "-p", workdir / "process.json", box.id).check().out
    assert "uid 1000 1000 1000" in out and "29" in out
    spec["args"] = ["/probe/rlimits"]
    (workdir / "process.json").write_text(json.dumps(spec))
    assert "4 1 2" in runtime("exec", "-p", workdir / "process.json", box.id).check().lines


@pytest.mark.parametrize("name", ["/dev/stdin", "/proc/self/fd/0"])
def test_process_from_a_pipe(runtime, box, name):
    """--process takes what a pipe brings; it is read to its end."""
    text = json.dumps({"args": ["echo", "x" * 70000], "cwd": "/"})
    assert runtime("exec", "--process", name, box.id, stdin=text).check().out == "x" * 70000 + "\n"


def test_process_file_without_capabilities(runtime, box, workdir):
    """A process object that names no capabilities has the container's; one that names an empty set has none."""
    spec = {"args": ["grep", "CapEff", "/proc/self/status"], "cwd": "/", "env": ["PATH=/bin:/usr/bin"]}
    held = [runtime("exec", "--process", "/dev/stdin", box.id, stdin=json.dumps(spec | more)).check().out.split()[1] for more in ({}, {"capabilities": None}, {"capabilities": {}})]
    assert held == [pathlib.Path(f"/proc/{box.pid}/status").read_text().split("CapEff:\t")[1].split()[0]] * 2 + ["0" * 16]


def test_process_file_without_oom_score(runtime, bundle, workdir):
    """--process FILE without oomScoreAdj: the container's own score, not that of the caller."""
    bundle.process["oomScoreAdj"] = 321
    process = {"cwd": "/", "args": ["cat", "/proc/self/oom_score_adj"], "user": {"uid": 0, "gid": 0}, "env": ["PATH=/bin"]}
    with runtime.running(bundle.sh("sleep 1000")):
        (workdir / "process.json").write_text(json.dumps(process))
        assert runtime("exec", "--process", workdir / "process.json", bundle.id).check().out == "321\n"
        (workdir / "process.json").write_text(json.dumps(process | {"oomScoreAdj": 400}))
        assert runtime("exec", "--process", workdir / "process.json", bundle.id).check().out == "400\n"


@pytest.mark.differs(runc="waits for ever", crun="exits 1")
def test_process_from_a_fifo_without_writer(runtime, box, workdir):
    """A fifo that nobody writes is empty, and not waited for."""
    os.mkfifo(workdir / "fifo")
    runtime("exec", "--process", workdir / "fifo", box.id).fails(rc=255)


@pytest.mark.differs(runc="joins the container's", crun="keeps the caller's")
def test_session_keyring(runtime, bundle, make_bundle):
    """A process has a session keyring of its own named _ses.ID; none of the caller's keys, unless the container keeps that."""
    caller = runtime.run(bundle.args(bundle.probe("keyring")), "--no-new-keyring").check().out
    bundle.args(bundle.probe("pause"))
    with runtime.running(bundle):
        assert f"_ses.{bundle.id}" in runtime("exec", bundle.id, "/probe/keyring").check().out
    with runtime.running(bundle, "--no-new-keyring"):
        assert runtime("exec", bundle.id, "/probe/keyring").check().out == caller


@pytest.mark.parametrize("content", ["", "{", "[]", '{"args": 5}', '{"args": [], "cwd": "/"}', '{"args": ["true"], "cwd": "x"}'])
@pytest.mark.differs(crun="exits 1")
def test_bad_process_file(runtime, box, workdir, content):
    """A broken --process file is an error, exit 255."""
    (workdir / "process.json").write_text(content)
    runtime("exec", "--process", workdir / "process.json", box.id).fails(rc=255)


@pytest.mark.differs(runc="other words", crun="other words")
def test_errors_name_what_is_wrong(runtime, box, workdir):
    """A wrong value of a flag is reported by the flag's name, one of a --process file by the file's; never as config.json's."""
    for flag, value in (("--cwd", "x"), ("--env", "TERM"), ("--additional-gids", "4294967295")):
        assert "config.json" not in runtime("exec", flag, value, box.id, "true").fails(f"{flag}: ", value, rc=255).err
    (workdir / "process.json").write_text('{"args": ["true"], "cwd": "x"}')
    result = runtime("exec", "--process", workdir / "process.json", box.id).fails(str(workdir / "process.json"), "/cwd: 'x'", rc=255)
    assert "config.json" not in result.err


def test_missing_process_file(runtime, box):
    """A missing --process file is an error, exit 255."""
    runtime("exec", "--process", "/no/such/file", box.id).fails("/no/such/file", rc=255)


@pytest.mark.parametrize(
    "argv,words",
    [
        (["no-such-command"], "executable file not found"),
        (["/no/such/program"], "no such file or directory"),
        (["/etc"], "permission denied"),
        (["/etc/passwd"], "permission denied"),
    ],
)
@pytest.mark.differs(crun="exits 1")
def test_own_errors(runtime, box, argv, words):
    """A program that cannot be started: exit 255 and the words callers know."""
    runtime("exec", box.id, *argv).fails(words, rc=255)


@pytest.mark.differs(crun="exits 1")
def test_no_command(runtime, box):
    """exec without a command is a usage error."""
    assert runtime("exec", box.id).rc in (1, 255)


@pytest.mark.parametrize("number", [1, 2, 9, 10, 15])
def test_killed_by_signal(runtime, box, number):
    """A process that dies by a signal: 128 + number."""
    assert runtime("exec", box.id, "/probe/suicide", str(number)).rc == 128 + number


def test_signal_forwarding(runtime, box):
    """Signals to the foreground exec reach the process."""
    with runtime.background("exec", box.id, "/probe/signals", "7") as run:
        assert run.readline() == "ready"
        run.signal(signal.SIGUSR1)
        assert run.readline() == "10"
        run.signal(signal.SIGTERM)
        assert run.readline() == "15"
        assert run.wait().rc == 7


def test_stopped_container(runtime, bundle):
    """exec into a stopped container is refused."""
    with runtime.running(bundle.args("true")):
        runtime.wait_status(bundle.id, "stopped")
        runtime("exec", bundle.id, "true").fails(rc=255)


def test_created_container(runtime, bundle):
    """exec into a created, not started container works: its namespaces are there."""
    with runtime.created(bundle.sh("sleep 1000")):
        assert runtime("exec", bundle.id, "echo", "early").check().out == "early\n"


def test_container_dies_meanwhile(runtime, bundle):
    """When the container is killed the foreground exec ends with 137."""
    bundle.probe("signals")
    with runtime.running(bundle.sh("sleep 1000")):
        with runtime.background("exec", bundle.id, "/probe/signals") as run:
            run.readline()
            runtime("kill", bundle.id, "KILL").check()
            assert run.wait(15).rc == 137


def test_orphans_do_not_hold_exec(runtime, box):
    """exec ends with its process, though a child of it still runs (with its output elsewhere)."""
    runtime("exec", box.id, "sh", "-c", "sleep 1000 > /dev/null 2>&1 < /dev/null & exit 3", timeout=10).check(3)


def test_many_at_once(runtime, box):
    """Twenty execs side by side."""
    runs = [runtime.background("exec", box.id, "sh", "-c", f"echo {i}; exit {i}") for i in range(20)]
    try:
        for i, run in enumerate(runs):
            result = run.wait()
            assert (result.rc, result.out) == (i, f"{i}\n")
    finally:
        for run in runs:
            run.__exit__()


@pytest.mark.needs("cgroup1-pids")
@pytest.mark.differs(runc="1.1: works on each controller given only")
def test_sub_cgroup(runtime, box):
    """--cgroup PATH puts the process into a cgroup below the container's."""
    for name in cgroups.v1_hierarchies():
        (cgroups.directory(name, box.linux["cgroupsPath"]) / "sub").mkdir(exist_ok=True)
    for name in ("cpus", "mems"):
        top = cgroups.directory("cpuset", box.linux["cgroupsPath"])
        (top / "sub" / f"cpuset.{name}").write_text((top / f"cpuset.{name}").read_text())
    out = runtime("exec", "--cgroup", "sub", box.id, "cat", "/proc/self/cgroup").check().out
    assert f"pids:{box.linux['cgroupsPath']}/sub" in out


@pytest.mark.needs("cgroup1-pids", "cgroup1-memory")
def test_sub_cgroup_of_controllers(runtime, box):
    """--cgroup CONTROLLER,...:PATH moves the process in those hierarchies only."""
    path = box.linux["cgroupsPath"]
    for name, sub in (("pids", "a"), ("memory", "a"), ("freezer", "b")):
        (cgroups.directory(name, path) / sub).mkdir()
    out = runtime("exec", "--cgroup", "pids,memory:a", "--cgroup", "freezer:/b/", box.id, "cat", "/proc/self/cgroup").check().out
    seen = {c: l.split(":", 2)[2] for l in out.splitlines() for c in l.split(":")[1].split(",")}
    assert {c: seen[c] for c in ("pids", "memory", "freezer", "devices")} == {"pids": f"{path}/a", "memory": f"{path}/a", "freezer": f"{path}/b", "devices": path}


@pytest.mark.parametrize("flags", [["pids:a:b"], ["a", "b"], ["pids:x", "pids:y"], ["no-such:x"], ["no-such:/"], ["pids:no-such-sub"], ["pids:../.."], [",:x"], [":x"]])
@pytest.mark.needs("cgroup1-pids")
@pytest.mark.differs(crun="exits 1", runc="cleans '..' instead")
def test_sub_cgroup_bad(runtime, box, flags):
    """Wrong --cgroup arguments are refused, exit 255."""
    runtime("exec", *(f"--cgroup={f}" for f in flags), box.id, "true").fails("cgroup", rc=255)


@pytest.mark.parametrize("path", ["../..", "/../x", "no-such-sub"])
@pytest.mark.differs(crun="exits 1")
def test_sub_cgroup_cannot_escape(runtime, box, path):
    """--cgroup cannot leave the container's cgroup and must exist."""
    runtime("exec", "--cgroup", path, box.id, "true").fails(rc=255)


@pytest.mark.differs(crun="1.8 has no such flag")
def test_ignore_paused(runtime, box):
    """--ignore-paused execs into a paused container; the process runs after resume."""
    runtime("pause", box.id).check()
    with runtime.background("exec", "--ignore-paused", box.id, "echo", "later") as run:
        proc.until(lambda: len(cgroups.processes(box.linux["cgroupsPath"])) > 1 or run.child.poll() is not None, 5)
        runtime("resume", box.id).check()
        result = run.wait()
    assert (result.rc, result.out) == (0, "later\n")


def test_home(runtime, box):
    """HOME is looked up for the exec user."""
    out = runtime("exec", "--user", "1000:1000", box.id, "env").check().out
    assert "HOME=/home/user" in out.splitlines() or "HOME=/root" in out.splitlines()


def test_preserve_fds(runtime, box, workdir):
    """--preserve-fds works for exec."""
    (workdir / "file").write_text("passed")
    fd = os.open(workdir / "file", os.O_RDONLY)
    high = os.dup2(fd, 70)

    def place():
        os.dup2(high, 3)
        os.set_inheritable(3, True)

    try:
        out = runtime("exec", "--preserve-fds", "1", box.id, "sh", "-c", "cat <&3", pass_fds=(3,), preexec=place).check().out
    finally:
        os.close(fd)
        os.close(high)
    assert out == "passed"


def test_own_errors_every_time(runtime, box):
    """The reason of a failed exec is never lost on the way: forty times in a row."""
    for number in range(40):
        argv, words = [("no-such-command", "executable file not found"), ("/etc", "permission denied")][number % 2]
        runtime("exec", box.id, argv).fails(words)


@pytest.mark.differs(runc="1.1 has no such flag", crun="1.8 has no such flag")
def test_pidfd_socket(runtime, box, workdir):
    """--pidfd-socket receives a pidfd of the new process."""
    with ptys.Console(workdir / "pidfd.sock") as receiver:
        runtime("exec", "-d", "--pid-file", workdir / "pid", "--pidfd-socket", receiver.path, box.id, "sleep", "1000", stdio="null").check()
        fd = receiver.receive()
        info = pathlib.Path(f"/proc/self/fdinfo/{fd}").read_text()
    assert f"Pid:\t{(workdir / 'pid').read_text()}\n" in info


@pytest.mark.differs(runc="fails: SELinux is not enabled")
def test_process_label_elsewhere(runtime, box):
    """--process-label on a machine without SELinux is ignored, like the label in a config."""
    if os.path.exists("/sys/fs/selinux/enforce"):
        pytest.skip("SELinux is active here")
    runtime("exec", "--process-label", "system_u:system_r:container_t:s0", box.id, "true").check()


@pytest.mark.parametrize("flag,value", [("--preserve-fds", "x"), ("--preserve-fds", "-1"), ("--env", "NOEQUALS"), ("--cap", ""), ("--additional-gids", "staff"), ("--additional-gids", "-1")])
def test_odd_values(runtime, box, flag, value):
    """Flag values that mean nothing end in an error or have no effect; never in a crash or a hang."""
    assert runtime("exec", flag, value, box.id, "true", timeout=10).rc in (0, 1, 255)
