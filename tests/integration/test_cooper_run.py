"""cooper run: every flag's effect as the kernel shows it, exit statuses, standard streams, bad input."""

import json
import os
import pathlib
import re
import signal
import time

import pytest

from lib import cgroups, mountinfo, proc
from lib.cooper import busybox_layout, cooper, cooper_session, engine_dir, new_engine  # noqa: F401

pytestmark = pytest.mark.needs("root", "cooper", "isolation")

# podman's default capabilities.
DEFAULT_CAPS = {"CHOWN": 0, "DAC_OVERRIDE": 1, "FOWNER": 3, "FSETID": 4, "KILL": 5, "SETGID": 6, "SETUID": 7, "SETPCAP": 8, "NET_BIND_SERVICE": 10, "SYS_CHROOT": 18, "SETFCAP": 31}


def caps(cooper, *flags):
    """{set: mask} of the first process."""
    lines = cooper.sh("grep ^Cap /proc/self/status", *flags).check().lines
    return {line.split(":")[0]: int(line.split(":")[1], 16) for line in lines}


def mask(*numbers):
    return sum(1 << n for n in numbers)


# --- output and exit status ------------------------------------------------------------


def test_output(cooper):
    """Standard output and standard error arrive apart, byte for byte."""
    result = cooper.sh("printf 'a\\n\\0b'; echo problem >&2").check()
    assert result.out == "a\n\0b" and result.err == "problem\n"


def test_default_command(cooper):
    """Without a command the image's own runs (sh, which ends with its input)."""
    assert cooper("run", "--rm", "-i", "busybox", stdin="echo from sh\n").check().out == "from sh\n"


@pytest.mark.parametrize("status", [0, 1, 42, 255])
def test_exit_status(cooper, status):
    """The app's exit status is that of run."""
    cooper.sh(f"exit {status}").check(status)


@pytest.mark.parametrize("size", [100_000, 250_000, 400_000])
def test_output_of_who_leaves_input_unread(cooper, workdir, size):
    """An app that ends with input on its way, and a reader who takes his time: all that it wrote arrives, and its status."""
    (workdir / "input").write_bytes(bytes(size))
    for _ in range(5):
        with open(workdir / "input", "rb") as stdin:
            with cooper.background("run", "--rm", "-i", "busybox", "sh", "-c", "seq 1 20000; exit 3", stdin=stdin) as running:
                time.sleep(0.4)
                out = running.child.stdout.read()
                assert running.child.wait(30) == 3
        assert len(out.splitlines()) == 20000


def test_killed_by_signal(cooper):
    """An app that a signal ended: 128 + its number."""
    cooper.sh("sh -c 'kill -9 $$' & wait $!; exit $?").check(137)
    with cooper.background("run", "--rm", "--init", "busybox", "sleep", "1000") as child:
        proc.until(lambda: any(p["state"] == "running" for p in cooper.pods()), what="running")
        child.signal(signal.SIGTERM)
        assert child.wait().rc == 143


def test_signals_right_after_the_start(cooper):
    """A signal that comes as soon as the pod is told to run is not lost, though its process 1 may only just be executed."""
    for _ in range(20):
        with cooper.background("run", "--rm", "--init", "busybox", "sleep", "1000") as child:
            proc.until(lambda: any(p["state"] == "running" for p in cooper.pods()), step=0, what="running")
            child.signal(signal.SIGTERM)
            assert child.wait(timeout=10).rc == 143


@pytest.mark.parametrize(
    "command, status, words",
    [
        (("nosuchprogram",), 127, ("nosuchprogram", "not found")),
        (("/no/such/program",), 127, ("/no/such/program", "no such file")),
        (("/etc",), 126, ("/etc", "directory")),
        (("/etc/passwd",), 126, ("/etc/passwd", "permission denied")),
    ],
)
def test_command_that_cannot_run(cooper, command, status, words):
    """127 when it is not there, 126 when it cannot be executed, as a shell says it."""
    cooper("run", "--rm", "busybox", *command).fails(*words, rc=status)


def test_missing_interpreter(cooper, workdir):
    """A script whose interpreter is missing: 127, and the message says what is missing."""
    script = workdir / "script"
    script.write_text("#!/no/interpreter\n")
    script.chmod(0o755)
    cooper("run", "--rm", "-v", f"{script}:/script", "busybox", "/script").fails("interpreter", rc=127)


def test_not_a_program(cooper, workdir):
    """A file of another world is 126."""
    script = workdir / "garbage"
    script.write_bytes(b"\x7fELF" + b"\0" * 100)
    script.chmod(0o755)
    cooper("run", "--rm", "-v", f"{script}:/garbage", "busybox", "/garbage").fails(rc=126)


def test_path_lookup(cooper):
    """Programs are found in the container's PATH, also one given by -e."""
    assert cooper.output("-e", "PATH=/usr/bin:/bin", "--", "sh", "-c", "which env").strip() in ("/usr/bin/env", "/bin/env")
    cooper("run", "--rm", "-e", "PATH=/nowhere", "busybox", "ls").fails("not found", rc=127)


# --- process -------------------------------------------------------------------------


def test_environment(cooper, workdir):
    """The image's PATH, HOME and HOSTNAME, files before flags, names without a value from the caller."""
    listed = workdir / "env"
    listed.write_text("# comment\n\nFROM_FILE=1\nBOTH=file\nINHERITED\nUNSET_HERE\n")
    out = cooper.output("--env-file", listed, "-e", "BOTH=flag", "-e", "EMPTY=", "-e", "SECOND", "-h", "cask", "--", "env", env={"INHERITED": "yes", "SECOND": "two"})
    env = dict(line.split("=", 1) for line in out.splitlines())
    assert env["FROM_FILE"] == "1" and env["BOTH"] == "flag" and env["EMPTY"] == "" and env["INHERITED"] == "yes" and env["SECOND"] == "two"
    assert env["PATH"].endswith(":/bin") and env["HOME"] == "/root" and env["HOSTNAME"] == "cask"
    assert env["TERM"] == "xterm" and "UNSET_HERE" not in env and "LC_ALL" not in env


def test_entrypoint(cooper):
    """--entrypoint replaces the image's; the command is its arguments; a JSON array; empty clears it."""
    assert cooper.output("--entrypoint", "echo", "--", "a", "b") == "a b\n"
    assert cooper.output("--entrypoint", '["sh","-c","echo x$1","sh"]', "--", "y") == "xy\n"
    assert cooper.output("--entrypoint=", "--", "echo", "c") == "c\n"
    cooper("run", "--rm", "--entrypoint", "", "busybox").fails("--entrypoint '' drops", "after the image", rc=125)


def test_workdir(cooper):
    """-w, made when missing."""
    assert cooper.output("-w", "/new/dir", "--", "pwd") == "/new/dir\n"
    cooper("run", "--rm", "-w", "relative", "busybox", "pwd").fails("absolute", rc=125)
    for path in ("/etc/passwd", "/etc/passwd/x"):
        cooper("run", "--rm", "-w", path, "busybox", "pwd").fails(f"working directory '{path}'", "not a directory", rc=125)


@pytest.mark.parametrize("user, expected", [("app", "1000:1000:1000 50"), ("app:staff", "1000:50:50"), ("1234", "1234:0:0"), ("7:8", "7:8:8"), ("nobody", "65534:65534:65534"), ("1000", "1000:1000:1000 50")])
def test_user(cooper, user, expected):
    """-u: names of the image, numbers, groups."""
    out = cooper.sh("echo $(id -u):$(id -g):$(id -G)", "-u", user).check().out.strip()
    assert out == expected


def test_unknown_user(cooper):
    """A name that the image does not have is a clear error."""
    cooper("run", "--rm", "-u", "wizard", "busybox", "true").fails("wizard", rc=125)


def test_user_has_no_capabilities(cooper):
    """Another user than root: an empty effective set, the bounding set as ever."""
    found = caps(cooper, "-u", "app")
    assert found["CapEff"] == 0 and found["CapPrm"] == 0 and found["CapAmb"] == 0
    assert found["CapBnd"] == mask(*DEFAULT_CAPS.values())


def test_home_of_user(cooper):
    """HOME is the user's."""
    assert cooper.sh("echo $HOME", "-u", "app").check().out == "/home/app\n"


def test_stdin(cooper):
    """-i passes input on until its end; without it there is none."""
    assert cooper.output("-i", "--", "cat", stdin="hello\n") == "hello\n"
    assert cooper.output("--", "cat", stdin="hello\n") == ""


def test_large_stdin(cooper):
    """Megabytes through the app and back, unchanged."""
    data = os.urandom(3 << 20)
    result = cooper.run("-i", "--", "md5sum", stdin=data, timeout=60)
    import hashlib

    assert result.check().out.split()[0] == hashlib.md5(data).hexdigest()


def test_stdin_from_a_file(cooper, workdir):
    """A file as standard input ends like one."""
    source = workdir / "input"
    source.write_text("line\n" * 1000)
    with open(source, "rb") as stdin, cooper.background("run", "--rm", "-i", "busybox", "wc", "-l", stdin=stdin) as child:
        assert child.wait().check().out.strip() == "1000"


def test_output_without_reader(cooper):
    """When nobody reads any more, the app ends soon, as in a pipeline."""
    with cooper.background("run", "--rm", "busybox", "yes") as child:
        assert child.readline() == "y"
        child.child.stdout.close()
        proc.until(lambda: child.child.poll() is not None, 10, 0.05, "end of run")
        child.child.stdout = open(os.devnull, "rb")
    assert cooper.pods() == []


def test_slow_reader_loses_nothing(cooper):
    """An app that writes faster than we read waits; no byte is lost."""
    with cooper.background("run", "--rm", "busybox", "seq", "1", "400000") as child:
        time.sleep(1)
        lines = child.wait(60).check().lines
    assert len(lines) == 400000 and lines[-1] == "400000"


def test_init(cooper):
    """--init: a first process that is not the app, and that reaps."""
    out = cooper.sh("cat /proc/1/comm; (sleep 0.05 &) ; sleep 0.3; ps -o stat | grep -c Z || true", "--init").check().lines
    assert "init" in out[0] and out[-1] == "0"
    assert cooper.sh("echo $$").check().out == "1\n"


def test_stop_signal_and_timeout(cooper, unique):
    """stop sends the container's own signal; KILL follows after the container's own time."""
    name = unique()
    with cooper.running(name, "--stop-signal", "USR1", "--stop-timeout", "20", command=("sh", "-c", "trap 'exit 7' USR1; while :; do sleep 0.05; done")):
        time.sleep(0.3)
        begin = time.monotonic()
        cooper("stop", name).check()
        assert time.monotonic() - begin < 5
        assert cooper.inspect(name)["exit"]["code"] == 7
    with cooper.running(name, "--stop-timeout", "1", command=("sh", "-c", "trap '' TERM; while :; do sleep 0.05; done")):
        time.sleep(0.3)
        begin = time.monotonic()
        cooper("stop", name).check()
        assert 0.8 < time.monotonic() - begin < 6
        assert cooper.inspect(name)["exit"]["code"] == 137


# --- namespaces, network, names ---------------------------------------------------------


def test_namespaces_are_new(cooper, unique):
    """pid, mount, ipc, uts and net are the container's own."""
    with cooper.running(unique()) as name:
        pid = cooper.pid(name)
        for kind in ("pid", "mnt", "ipc", "uts", "net"):
            assert os.readlink(f"/proc/{pid}/ns/{kind}") != os.readlink(f"/proc/self/ns/{kind}"), kind


def test_hostname(cooper):
    """--hostname, in the kernel and in /etc; without it a name made from the id."""
    assert cooper.sh("hostname; cat /etc/hostname; grep -c cask /etc/hosts", "--hostname", "cask").check().out == "cask\ncask\n1\n"
    assert re.fullmatch(r"[0-9a-f-]{6,64}\n", cooper.output("hostname"))


def test_network_none(cooper):
    """The default: a loopback that is up, and nothing else."""
    out = cooper.sh("ls /sys/class/net; ip -4 addr show lo; (echo over | nc -l -p 99 &); until sleep 0.2 | nc 127.0.0.1 99 2>/dev/null; do usleep 10000; done").check().out
    assert out.split("\n")[0] == "lo" and "127.0.0.1" in out and "UP" in out and "over" in out


def test_network_host(cooper):
    """The host's own network namespace."""
    ours = os.readlink("/proc/self/ns/net")
    assert cooper.output("--network", "host", "--", "readlink", "/proc/self/ns/net").strip() == ours
    assert cooper.output("readlink", "/proc/self/ns/net").strip() != ours


def test_network_unknown(cooper):
    """Another network is a clear error."""
    cooper("run", "--rm", "--network", "bridge", "busybox", "true").fails("bridge", "none", "host", rc=125)


def test_name_is_unique(cooper, unique):
    """A name can be taken once, and again after rm."""
    with cooper.running(unique()) as name:
        cooper("run", "-d", "--name", name, "busybox", "true").fails(name, rc=125)
    cooper("run", "--rm", "--name", name, "busybox", "true").check()
    cooper("run", "--rm", "--name", name, "busybox", "true").check()


@pytest.mark.parametrize("name", ["../x", "a/b", ".", "-x", "a b", "x" * 200, ""])
def test_bad_names(cooper, name):
    """Names that are no file names are refused (an empty one is none)."""
    result = cooper("run", "--rm", f"--name={name}", "busybox", "true")
    assert result.rc == (0 if name == "" else 125), result


# --- mounts --------------------------------------------------------------------------


def test_volumes(cooper, workdir):
    """-v shows a host directory, writable or read-only; a file; only a target is an empty directory."""
    data = workdir / "data"
    data.mkdir()
    (data / "f").write_text("host\n")
    assert cooper.sh("cat /d/f; echo in > /d/g", "-v", f"{data}:/d").check().out == "host\n"
    assert (data / "g").read_text() == "in\n"
    cooper.sh("echo x > /d/h", "-v", f"{data}:/d:ro").fails("read-only")
    assert cooper.sh("cat /one", "-v", f"{data}/f:/one").check().out == "host\n"
    assert cooper.sh("ls -A /fresh | wc -l; touch /fresh/x", "-v", "/fresh").check().out.strip() == "0"
    assert cooper.sh("cat /m/f; touch /m/x", "--mount", f"type=bind,src={data},dst=/m,readonly").rc != 0


def test_volume_options(cooper, workdir, unique):
    """Mount options reach the kernel."""
    data = workdir / "data"
    data.mkdir()
    with cooper.running(unique(), "-v", f"{data}:/d:ro,noexec,nosuid") as name:
        mount = mountinfo.at(mountinfo.read(cooper.pid(name)), "/d")
        assert {"ro", "noexec", "nosuid"} <= mount.options


def test_volume_that_is_missing(cooper, workdir):
    """A host path that does not exist is named."""
    cooper("run", "--rm", "-v", f"{workdir}/nothing:/d", "busybox", "true").fails("nothing", rc=125)


def test_tmpfs(cooper, unique):
    """--tmpfs with options; the kernel shows them."""
    with cooper.running(unique(), "--tmpfs", "/t:size=1m,mode=700,noexec") as name:
        mount = mountinfo.at(mountinfo.read(cooper.pid(name)), "/t")
        assert mount.fstype == "tmpfs" and "noexec" in mount.options and "size=1024k" in mount.super_options
        cooper("exec", name, "sh", "-c", "dd if=/dev/zero of=/t/x bs=1M count=2").fails("space")


def test_read_only(cooper):
    """--read-only: the root cannot be written; /dev/shm and tmpfs can."""
    cooper.sh("touch /x", "--read-only").fails("read-only")
    cooper.sh("touch /dev/shm/x /t/x", "--read-only", "--tmpfs", "/t").check()


def test_root_is_private(cooper, unique):
    """Each container has its own copy on write of the image."""
    with cooper.running(unique("a")) as first, cooper.running(unique("b")) as second:
        cooper("exec", first, "sh", "-c", "echo mine > /etc/passwd; rm /etc/group").check()
        assert "root:" in cooper("exec", second, "cat", "/etc/passwd").check().out
        cooper("exec", second, "test", "-f", "/etc/group").check()


def test_masked_and_readonly_paths(cooper):
    """Kernel files that a container may not see or write, as podman has them."""
    out = cooper.sh("cat /proc/kcore | head -c1 | wc -c; cat /proc/timer_list | wc -c; echo 1 > /proc/sys/kernel/domainname || echo refused; ls /sys/firmware | wc -l").check().lines
    assert out[0].strip() == "0" and out[1].strip() == "0" and "refused" in out and out[-1].strip() == "0"


def test_dev(cooper):
    """The usual devices and nothing more."""
    names = set(cooper.output("ls", "/dev").split())
    assert {"null", "zero", "full", "random", "urandom", "tty", "pts", "ptmx", "shm", "mqueue", "fd", "stdin", "stdout", "stderr"} <= names
    assert not {"sda", "vda", "kmsg", "mem", "kvm"} & names


# --- privileges ------------------------------------------------------------------------


def test_default_capabilities(cooper):
    """podman's eleven, no ambient or inheritable ones."""
    found = caps(cooper)
    assert found["CapEff"] == found["CapPrm"] == found["CapBnd"] == mask(*DEFAULT_CAPS.values())
    assert found["CapInh"] == found["CapAmb"] == 0


def test_cap_add_and_drop(cooper):
    """--cap-add and --cap-drop, with ALL."""
    assert caps(cooper, "--cap-add", "net_admin")["CapEff"] == mask(*DEFAULT_CAPS.values(), 12)
    assert caps(cooper, "--cap-drop", "CAP_CHOWN")["CapEff"] == mask(*DEFAULT_CAPS.values()) & ~1
    assert caps(cooper, "--cap-drop", "all")["CapEff"] == 0
    assert caps(cooper, "--cap-drop", "all", "--cap-add", "kill")["CapBnd"] == mask(5)
    cooper("run", "--rm", "--cap-add", "fly", "busybox", "true").fails("fly", rc=125)


def test_seccomp(cooper, workdir):
    """A filter by default; unconfined; a profile of one's own; one that does not exist."""
    line = ("grep", "^Seccomp:", "/proc/self/status")
    assert cooper.output(*line).split()[1] == "2"
    assert cooper.output("--security-opt", "seccomp=unconfined", "--", *line).split()[1] == "0"
    profile = workdir / "profile.json"
    profile.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}]}))
    cooper.sh("mkdir /x", "--security-opt", f"seccomp={profile}").fails("not supported")
    cooper("run", "--rm", "--security-opt", "seccomp=/no/profile", "busybox", "true").fails("/no/profile", rc=125)


def test_seccomp_default_refuses(cooper):
    """The default profile refuses what podman's does."""
    cooper.sh("unshare -U true").fails("not permitted")
    cooper.sh("mount -t tmpfs none /tmp").fails()


def test_no_new_privileges(cooper):
    """--security-opt no-new-privileges"""
    line = ("grep", "NoNewPrivs", "/proc/self/status")
    assert cooper.output("--security-opt", "no-new-privileges", "--", *line).split()[1] == "1"
    assert cooper.output("--security-opt", "no-new-privileges:true", "--", *line).split()[1] == "1"
    assert cooper.output(*line).split()[1] == "0"


def test_unknown_security_option(cooper):
    """A misspelt option is not passed over."""
    cooper("run", "--rm", "--security-opt", "secomp=unconfined", "busybox", "true").fails("secomp", rc=125)


def test_privileged(cooper):
    """All capabilities of the caller, no filter, nothing masked, the host's devices."""
    out = cooper.sh("grep -E '^(CapEff|Seccomp):' /proc/self/status; ls /dev | wc -l; awk '$2 == \"/proc/kcore\"' /proc/mounts | wc -l", "--privileged").check().lines
    ours = int(pathlib.Path("/proc/self/status").read_text().split("CapEff:")[1].split()[0], 16)
    assert int(out[0].split()[1], 16) == ours and out[1].split()[1] == "0"
    assert int(out[2]) > 15 and out[3].strip() == "0"


# --- limits ----------------------------------------------------------------------------


@pytest.mark.needs("cgroup1")
def test_cgroup_limits(cooper, unique):
    """-m, --cpus, --cpu-shares, --cpuset-cpus and --pids-limit as the kernel has them."""
    with cooper.running(unique(), "-m", "64m", "--cpus", "0.5", "--cpu-shares", "512", "--cpuset-cpus", "0", "--pids-limit", "77") as name:
        path = cgroups.of_process(cooper.pid(name))
        assert cgroups.read("memory", path["memory"], "memory.limit_in_bytes") == str(64 << 20)
        quota = int(cgroups.read("cpu", path["cpu"], "cpu.cfs_quota_us")) / int(cgroups.read("cpu", path["cpu"], "cpu.cfs_period_us"))
        assert quota == 0.5
        assert cgroups.read("cpu", path["cpu"], "cpu.shares") == "512"
        assert cgroups.read("cpuset", path["cpuset"], "cpuset.cpus") == "0"
        assert cgroups.read("pids", path["pids"], "pids.max") == "77"
        assert path["memory"].startswith(cooper.cgroup_parent)


@pytest.mark.needs("cgroup1")
def test_zero_is_no_limit(cooper):
    """-m 0 and --cpus 0, as podman has them."""
    cooper.sh("true", "-m", "0", "--cpus", "0").check()


def test_default_pids_limit(cooper, unique):
    """2048 processes, unless -1 says otherwise."""
    with cooper.running(unique("a")) as first, cooper.running(unique("b"), "--pids-limit", "-1") as second:
        path = cgroups.of_process(cooper.pid(first))
        assert cgroups.read("pids", path["pids"], "pids.max") == "2048"
        path = cgroups.of_process(cooper.pid(second))
        assert cgroups.read("pids", path["pids"], "pids.max") == "max"


def test_pids_limit_holds(cooper):
    """More processes than allowed: fork fails."""
    cooper.sh("for i in 1 2 3 4 5 6 7 8 9; do sleep 1 & done; wait", "--pids-limit", "4").fails("fork")


def test_out_of_memory(cooper, unique):
    """An app beyond its limit is killed, and the record says why."""
    name = unique()
    result = cooper("run", "--name", name, "-m", "16m", "busybox", "sh", "-c", "x=xxxxxxxxxxxxxxxx; while :; do x=$x$x; done", timeout=60)
    assert result.rc == 137, result
    assert cooper.inspect(name)["exit"]["oom_killed"] is True


def test_ulimits(cooper):
    """--ulimit, soft and hard."""
    out = cooper.sh("ulimit -Sn; ulimit -Hn; ulimit -Sc", "--ulimit", "nofile=123:456", "--ulimit", "core=0").check().lines
    assert out == ["123", "456", "0"]


# --- ids, files, plans -------------------------------------------------------------------


def test_cidfile(cooper, workdir, unique):
    """--cidfile gets the id; an existing file is refused before anything starts; a failed start leaves none."""
    path = workdir / "cid"
    name = unique()
    cooper("run", "--name", name, "--cidfile", path, "busybox", "true").check()
    assert path.read_text() == cooper.inspect(name)["id"]
    cooper("run", "--cidfile", path, "busybox", "true").fails("cid", rc=125)
    path.unlink()
    cooper("run", "--rm", "--cidfile", path, "busybox", "nosuchprogram").fails(rc=127)
    assert not path.exists()


def test_detached(cooper, unique):
    """-d prints the id at once and leaves the caller's pipes alone."""
    name = unique()
    begin = time.monotonic()
    out = cooper("run", "-d", "--name", name, "busybox", "sleep", "1000").check().out
    assert time.monotonic() - begin < 5
    record = cooper.inspect(name)
    assert out.strip() == record["id"] and record["state"] == "running"
    cooper("rm", "-f", name).check()


def test_rm_removes(cooper, unique):
    """--rm leaves nothing, in the foreground and in the background, whatever the end."""
    cooper.sh("exit 3", "--name", unique()).check(3)
    assert cooper.pods() == []
    cooper("run", "-d", "--rm", "busybox", "sleep", "0.2").check()
    proc.until(lambda: cooper.pods() == [], 5, 0.05, "no pods")


def test_labels_and_annotations(cooper, unique):
    """--label and --annotation are kept; annotations reach the runtime's configuration."""
    name = unique()
    cooper("run", "--name", name, "-l", "a=b", "-l", "c", "--annotation", "org.example=x", "busybox", "true").check()
    record = cooper.inspect(name)
    assert record["labels"]["a"] == "b" and record["labels"]["c"] == ""
    assert record["annotations"]["org.example"] == "x"


def test_dry_run(cooper):
    """--dry-run and plan print the steps and do nothing."""
    text = cooper("run", "--dry-run", "-m", "64m", "busybox", "echo", "hi").check().out
    for word in ("clone", "mount", "pivot-root", "exec", "cgroup"):
        assert word in text, word
    plan = json.loads(cooper("--format", "json", "plan", "busybox", "echo", "hi").check().out)["plans"][0]
    steps = [step["step"] for step in plan["steps"]]
    assert steps[-1] == "exec" or "exec" in steps
    assert steps.index("pivot-root") < steps.index("exec")
    assert cooper.pods() == []


def test_pull_policies(cooper):
    """Nothing is fetched for an image that is there, or that shall not be; a name of this machine is in no registry."""
    cooper("run", "--rm", "--pull=never", "busybox", "true").check()
    cooper("run", "--rm", "--pull=missing", "busybox", "true").check()
    cooper("run", "--rm", "--pull", "sometimes", "busybox", "true").fails("never, missing, newer or always", rc=125)
    cooper("run", "--rm", "--pull", "always", "localhost:1/busybox", "true").fails("localhost:1", rc=125)
    for word in ("localhost/missing", "3f2a91c0de77", "sha256:" + 64 * "a"):
        cooper("run", "--rm", word, "true").fails(f"'{word}' is not in the store", rc=125)
    # The image here has a name of this machine: its namesake of docker.io is another one.
    cooper("image", "tag", "busybox", "localhost/cask:1").check()
    cooper("run", "--rm", "--pull", "newer", "cask:1", "true").check()
    cooper("run", "--rm", "--pull", "always", "cask:1", "true").fails("localhost/cask:1", "this machine only", rc=125)
    identity = cooper.json("image", "inspect", "cask:1")["images"][0]["id"]
    cooper("run", "--rm", "--pull", "always", identity, "true").fails("named by its id", rc=125)
    cooper("image", "rm", "localhost/cask:1").check()
    assert cooper.pods() == []


# --- bad input -----------------------------------------------------------------------


def test_no_image(cooper):
    """An unknown image: 125, its name, and what to try."""
    cooper("run", "--rm", "--pull", "never", "nosuchimage", "true").fails("nosuchimage", "image load", rc=125)
    cooper("run", "--rm", "localhost:1/nosuchimage", "true").fails("nosuchimage", "not in the store", "localhost:1", rc=125)
    assert cooper.pods() == []


def test_no_arguments(cooper):
    """run without an image."""
    cooper("run").fails("usage", rc=125)


def test_flags_after_the_image(cooper):
    """They belong to the command."""
    assert cooper.output("echo", "--rm", "-it", "--name") == "--rm -it --name\n"


@pytest.mark.parametrize("flags", [("--memory", "lots"), ("--cpus", "-1"), ("--ulimit", "x=1"), ("-e", "=x"), ("--env-file", "/no/file"), ("-v", "name:/x"), ("--tmpfs", "x"), ("--nosuchflag",), ("--network",), ("-v", "/etc:/x:bogus"), ("-v", "/etc:/x:ro,rw"), ("--mount", "type=bind,source=/etc,target=/x,readonly=maybe"), ("--tmpfs", "/x:bogus"), ("--cpuset-cpus", "junk"), ("--cpuset-cpus", "60000")])
def test_wrong_flags(cooper, flags):
    """Each is refused with 125 and its name, and nothing is left."""
    result = cooper("run", *flags, "busybox") if flags != ("--network",) else cooper("run", "--network")
    result.fails(flags[0].lstrip("-") if flags[0].startswith("--") else "", rc=125)
    assert cooper.pods() == []


def test_ulimit_above_the_hard_limit(cooper):
    """A limit that the caller may not raise: the name, the wish and what is possible."""
    import resource

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard == resource.RLIM_INFINITY:
        pytest.skip("the hard limit is unlimited here")
    held = int(pathlib.Path("/proc/self/status").read_text().split("CapEff:")[1].split()[0], 16)
    if held >> 24 & 1:
        pytest.skip("CAP_SYS_RESOURCE may raise it")
    cooper("run", "--rm", "--ulimit", f"nofile={hard + 1}", "busybox", "true").fails("nofile", str(hard), rc=125)


def test_two_starts_of_one_name(cooper, unique):
    """Of two at once one wins; the other says that the name is taken."""
    name = unique()
    with cooper.background("run", "-d", "--name", name, "busybox", "sleep", "1000") as a, cooper.background("run", "-d", "--name", name, "busybox", "sleep", "1000") as b:
        results = [a.wait(), b.wait()]
    assert sorted(r.rc for r in results) == [0, 125], results
    cooper("rm", "-f", name).check()


def test_many_starts_at_once(cooper):
    """200 at once: each runs or says why; nothing is left."""
    children = [cooper.background("run", "--rm", "busybox", "echo", str(i)) for i in range(200)]
    try:
        results = [child.wait(120) for child in children]
    finally:
        for child in children:
            child.__exit__()
    assert [r.out for r in results] == [f"{i}\n" for i in range(200)], [str(r) for r in results if r.rc][:3]
    assert cooper.pods() == []


def test_moved_roots_touch_nothing_else(new_engine):
    """With --root and --run-root moved, nothing is made outside of them."""
    engine = new_engine()
    watched = ["/var/lib", "/run", "/etc", "/var/tmp"]

    def listing():
        return {os.path.join(folder, n) for top in watched for folder, names, files in os.walk(top) for n in names + files}

    before = listing()
    engine("run", "-d", "--name", "a", "busybox", "sleep", "1000").check()
    during = listing()
    engine("rm", "-f", "a").check()
    assert during - before == set() and listing() - before == set()


def test_two_engines(cooper, new_engine):
    """Engines with other roots see nothing of each other, and the same name can live in both."""
    other = new_engine()
    with cooper.running("same") as name, other.running("same"):
        assert cooper.inspect(name)["id"] != other.inspect(name)["id"]
        other("kill", name).check()
        other.wait_state(name, "exited")
        assert cooper.state(name) == "running"
        other("image", "rm", "-f", "busybox").check()
        cooper.run("true").check()
        cooper("exec", name, "true").check()


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1), (1, 2), (0, 1, 2)], ids=str)
def test_closed_streams(cooper, unique, closed):
    """A caller without standard streams: /dev/null takes their places, and nothing else does."""

    def close():
        for fd in closed:
            os.close(fd)

    name = unique()
    result = cooper.sh("echo out; echo err >&2; cat; exit 3", "-i", "--name", name, timeout=20, preexec=close)
    assert result.rc == 3
    assert (result.out, result.err) == ("" if 1 in closed else "out\n", "" if 2 in closed else "err\n")


# --- what a caller may leave behind, or a container may try ------------------------------


def test_masked_files_cannot_be_changed(cooper):
    """A masked file is the host's /dev/null underneath: neither its mode nor its owner can be changed through it."""
    before = os.stat("/dev/null")
    result = cooper.sh("chmod 666 /proc/keys; chown 0:0 /proc/keys; touch /proc/keys; echo x >/proc/keys && cat /proc/keys").check()
    assert result.err.count("Read-only file system") >= 3, result
    assert os.stat("/dev/null").st_ctime_ns == before.st_ctime_ns


def test_working_directory_is_gone(cooper, workdir):
    """A relative source cannot mean anything then, least of all the host's root."""
    place = workdir / "gone"
    script = f'mkdir "{place}" && cd "{place}" && rmdir "{place}" && exec "$@"'
    for source in (".", "./etc"):
        argv = cooper.argv("run", "--rm", "-v", f"{source}:/x", "busybox", "ls", "/x")
        proc.run("/bin/sh", "-c", script, "sh", *argv).fails("working directory", rc=125)


@pytest.mark.parametrize("umask", [0o077, 0o777])
def test_umask_of_the_caller(cooper, umask):
    """The caller's umask is no matter of the container's: another user can enter its root and read its hosts file."""
    script = "ls -ld / /etc/hosts /v; cat /etc/hosts /etc/resolv.conf >/dev/null"
    result = cooper("run", "--rm", "-u", "1000", "-v", "/v", "busybox", "sh", "-c", script, preexec=lambda: os.umask(umask)).check()
    modes = [line.split()[0][:10] for line in result.lines]
    assert modes == ["drwxr-xr-x", "-rw-r--r--", "drwxr-xr-x"], result


def test_primary_group_is_a_supplementary_one(cooper, unique):
    """A program cannot get around a rule against its group by leaving it."""
    groups = "grep ^Groups: /proc/self/status"
    assert cooper.sh(groups, "-u", "1234:5678").check().out.split()[1:] == ["5678"]
    with cooper.running(unique()) as name:
        assert cooper("exec", "-u", "77:88", name, "sh", "-c", groups).check().out.split()[1:] == ["88"]


def test_mount_of_a_file_deep_inside(cooper, workdir):
    """Directories made for it let other users through."""
    file = workdir / "f"
    file.write_text("data")
    assert cooper.output("-u", "1000", "-v", f"{file}:/a/b/c", "--", "cat", "/a/b/c") == "data"


def test_lost_output_is_no_success(cooper):
    """Output that could not be written is an error, even if the app did well."""
    with open("/dev/full", "wb") as full:
        child = proc.Background(*cooper.argv("run", "--rm", "busybox", "echo", "x"), env=cooper.environ, stdout=full)
        with child:
            result = child.wait()
    assert result.rc == 125


def test_frozen_below(cooper, unique):
    """Processes that a privileged container froze by itself end with it."""
    script = (
        "mkdir /sys/fs/cgroup/freezer/f; sleep 1000 & echo $! >/sys/fs/cgroup/freezer/f/cgroup.procs;"
        "echo FROZEN >/sys/fs/cgroup/freezer/f/freezer.state; echo ready; exec sleep 1000"
    )
    if not os.path.isdir("/sys/fs/cgroup/freezer"):
        pytest.skip("no v1 freezer here")
    name = unique()
    cooper("run", "-d", "--name", name, "--privileged", "busybox", "sh", "-c", script).check()
    proc.until(lambda: "ready" in cooper("logs", name).out, what="ready")
    cooper("rm", "-f", name, timeout=30).check()
    assert "failed" not in cooper("pod", "gc", "--grace-period", "0").check().out
