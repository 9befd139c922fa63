"""The process: user, groups, umask, capabilities, limits, environment, directory, program lookup."""

import os
import pathlib
import resource

import pytest

SETS = {"inheritable": "CapInh", "permitted": "CapPrm", "effective": "CapEff", "bounding": "CapBnd", "ambient": "CapAmb"}
BITS = {"CAP_CHOWN": 0, "CAP_KILL": 5, "CAP_SETUID": 7, "CAP_NET_BIND_SERVICE": 10, "CAP_SYS_RESOURCE": 24, "CAP_AUDIT_WRITE": 29}


def mask(*names):
    """The bit mask of capability names."""
    return sum(1 << BITS[n] for n in names)


def cap_sets(runtime, bundle):
    """{set: mask} of the container's process."""
    lines = runtime.output(bundle.args("grep", "^Cap", "/proc/self/status")).splitlines()
    shown = {l.split(":")[0]: int(l.split(":")[1], 16) for l in lines}
    return {name: shown[key] for name, key in SETS.items()}


def test_user(runtime, bundle):
    """uid, gid, additional groups and umask are those of process.user."""
    bundle.process["user"] = {"uid": 1000, "gid": 1001, "additionalGids": [5, 29, 4000], "umask": 0o027}
    out = runtime.output(bundle.args(bundle.probe("ids")))
    lines = dict(l.split(" ", 1) for l in out.splitlines())
    assert lines["uid"] == "1000 1000 1000"
    assert lines["gid"] == "1001 1001 1001"
    assert sorted(set(map(int, lines["groups"].split())) - {1001}) == [5, 29, 4000]
    assert lines["umask"] == "0027"


def test_no_caller_groups(runtime, bundle):
    """Without additionalGids the caller's supplementary groups do not leak in."""
    bundle.save()
    result = runtime("run", "--bundle", bundle.args(bundle.probe("ids")).save().path, bundle.id, preexec=lambda: os.setgroups([0, 7, 4242]))
    groups = next(l for l in result.check().lines if l.startswith("groups")).split()[1:]
    assert set(groups) <= {"0"}


def test_default_umask(runtime, bundle):
    """Without umask in the config the process gets 0022, whatever the caller has."""
    bundle.args(bundle.probe("ids")).save()
    result = runtime("run", "--bundle", bundle.path, bundle.id, preexec=lambda: os.umask(0o077))
    assert "umask 0022" in result.check().out


def test_capability_sets(runtime, bundle):
    """Each of the five sets is exactly what the config says."""
    bundle.process["capabilities"] = {
        "bounding": ["CAP_CHOWN", "CAP_KILL", "CAP_NET_BIND_SERVICE", "CAP_AUDIT_WRITE"],
        "permitted": ["CAP_CHOWN", "CAP_KILL", "CAP_NET_BIND_SERVICE"],
        "effective": ["CAP_CHOWN", "CAP_NET_BIND_SERVICE"],
        "inheritable": ["CAP_NET_BIND_SERVICE"],
        "ambient": ["CAP_NET_BIND_SERVICE"],
    }
    found = cap_sets(runtime, bundle)
    assert found["bounding"] == mask("CAP_CHOWN", "CAP_KILL", "CAP_NET_BIND_SERVICE", "CAP_AUDIT_WRITE")
    assert found["inheritable"] == found["ambient"] == mask("CAP_NET_BIND_SERVICE")
    # At exec, a root process gets effective = permitted; noNewPrivileges keeps permitted from growing.
    assert found["permitted"] == found["effective"] == mask("CAP_CHOWN", "CAP_KILL", "CAP_NET_BIND_SERVICE")
    bundle.process["noNewPrivileges"] = False
    found = cap_sets(runtime, bundle)
    assert found["permitted"] == found["effective"] == found["bounding"]


def test_capability_sets_of_a_user(runtime, bundle):
    """For a user other than root only ambient capabilities survive the exec."""
    bundle.process["user"] = {"uid": 1000, "gid": 1000}
    bundle.caps("CAP_KILL", "CAP_NET_BIND_SERVICE")
    found = cap_sets(runtime, bundle)
    assert (found["permitted"], found["effective"], found["ambient"]) == (0, 0, 0)
    assert found["bounding"] == mask("CAP_KILL", "CAP_NET_BIND_SERVICE")
    bundle.process["capabilities"].update(inheritable=["CAP_KILL"], ambient=["CAP_KILL"])
    found = cap_sets(runtime, bundle)
    assert found["permitted"] == found["effective"] == found["ambient"] == found["inheritable"] == mask("CAP_KILL")


def test_no_capabilities(runtime, bundle):
    """Empty sets leave nothing, even for root."""
    bundle.caps()
    assert set(cap_sets(runtime, bundle).values()) == {0}


def test_capabilities_absent(runtime, bundle):
    """No capabilities object: no capability."""
    del bundle.process["capabilities"]
    found = cap_sets(runtime, bundle)
    assert found["effective"] == found["permitted"] == 0


@pytest.mark.parametrize("name", ["CAP_NOSUCH", "NOSUCH", "CAP_"])
def test_capability_unknown(runtime, bundle, name):
    """Unknown capabilities are a warning, not a failure; the known ones are set."""
    bundle.caps("CAP_KILL", name)
    assert cap_sets(runtime, bundle)["bounding"] == mask("CAP_KILL")


@pytest.mark.differs(runc="1.1 fails: operation not permitted")
def test_capability_ungrantable(runtime, bundle):
    """A capability that the caller's bounding set lacks is a warning, not a failure; the others are set."""
    held = int(pathlib.Path("/proc/self/status").read_text().split("CapBnd:")[1].split()[0], 16)
    if held >> BITS["CAP_SYS_RESOURCE"] & 1:
        pytest.skip("this process may grant every capability")
    bundle.caps("CAP_KILL", "CAP_SYS_RESOURCE")
    found = cap_sets(runtime, bundle)
    assert found["bounding"] == found["effective"] == mask("CAP_KILL")
    warnings = [line for line in runtime.run(bundle.args("true")).check().err.splitlines() if "CAP_SYS_RESOURCE" in line]
    assert len(warnings) == 1 and "cannot be granted" in warnings[0]


def test_capability_not_permitted(runtime, bundle):
    """What is effective without being permitted is left out, with a warning."""
    bundle.caps("CAP_KILL")
    bundle.process["capabilities"]["effective"].append("CAP_CHOWN")
    assert "CAP_CHOWN' is effective but not permitted" in runtime.run(bundle.args("true")).check().err


@pytest.mark.parametrize("value", [True, False])
def test_no_new_privileges(runtime, bundle, value):
    """noNewPrivileges sets the kernel's flag."""
    bundle.process["noNewPrivileges"] = value
    assert runtime.output(bundle.args("grep", "NoNewPrivs", "/proc/self/status")).split()[1] == str(int(value))


def test_rlimits(runtime, bundle):
    """Each limit is set, soft and hard."""
    numbers = {"RLIMIT_CORE": 4, "RLIMIT_NPROC": 6, "RLIMIT_NOFILE": 7, "RLIMIT_STACK": 3, "RLIMIT_FSIZE": 1, "RLIMIT_CPU": 0}
    bundle.process["rlimits"] = [
        {"type": name, "soft": 1000 + i if name != "RLIMIT_STACK" else 1 << 20, "hard": 2000 + i if name != "RLIMIT_STACK" else 1 << 21}
        for i, name in enumerate(numbers)
    ]
    shown = {int(l.split()[0]): l.split()[1:] for l in runtime.output(bundle.args(bundle.probe("rlimits"))).splitlines()}
    for limit in bundle.process["rlimits"]:
        assert shown[numbers[limit["type"]]] == [str(limit["soft"]), str(limit["hard"])], limit


def test_rlimits_unlisted_are_inherited(runtime, bundle):
    """Limits that the config does not name stay as the caller has them."""
    bundle.process["rlimits"] = []
    bundle.args(bundle.probe("rlimits")).save()
    result = runtime("run", "--bundle", bundle.path, bundle.id, preexec=lambda: resource.setrlimit(resource.RLIMIT_CORE, (5, 6)))
    assert "4 5 6" in result.check().lines


@pytest.mark.parametrize("value", [(1 << 64) - 1])
def test_rlimit_infinity(runtime, bundle, value):
    """The largest number means no limit."""
    if resource.getrlimit(resource.RLIMIT_STACK)[1] != resource.RLIM_INFINITY:
        pytest.skip("the stack limit here is not unlimited")
    bundle.process["rlimits"] = [{"type": "RLIMIT_STACK", "soft": value, "hard": value}]
    assert "3 -1 -1" in runtime.output(bundle.args(bundle.probe("rlimits"))).splitlines()


@pytest.mark.differs(runc="1.1 takes the last", crun="takes the last")
def test_rlimit_duplicate(runtime, bundle):
    """The same limit twice is refused."""
    bundle.process["rlimits"] = [{"type": "RLIMIT_CORE", "soft": 0, "hard": 0}] * 2
    runtime.run(bundle).fails("RLIMIT_CORE", rc=1)


def test_rlimit_unknown(runtime, bundle):
    """An unknown limit name is refused."""
    bundle.process["rlimits"] = [{"type": "RLIMIT_NOSUCH", "soft": 0, "hard": 0}]
    runtime.run(bundle).fails("RLIMIT_NOSUCH", rc=1)


def test_rlimit_soft_above_hard(runtime, bundle):
    """A soft limit above the hard one is refused."""
    bundle.process["rlimits"] = [{"type": "RLIMIT_CORE", "soft": 10, "hard": 1}]
    runtime.run(bundle).fails(rc=1)


def test_oom_score_raise(runtime, bundle):
    """oomScoreAdj is set before rights are dropped."""
    wanted = int(pathlib.Path("/proc/self/oom_score_adj").read_text()) + 150
    bundle.process["oomScoreAdj"] = min(wanted, 1000)
    assert int(runtime.output(bundle.args("cat", "/proc/self/oom_score_adj"))) == min(wanted, 1000)


def test_oom_score_unset(runtime, bundle):
    """Without oomScoreAdj the caller's value stays."""
    mine = pathlib.Path("/proc/self/oom_score_adj").read_text()
    assert runtime.output(bundle.args("cat", "/proc/self/oom_score_adj")) == mine


def test_env(runtime, bundle):
    """The environment is the config's, in order, with HOME supplied and nothing of the caller's."""
    bundle.env(A="1", B="two words", EMPTY="").args(bundle.probe("env"))
    lines = runtime.run(bundle, env={"LEAK": "from the caller"}).check().lines
    assert lines[0] == "/"
    listed = [l for l in lines[1:] if not l.startswith("HOME=")]
    assert listed == bundle.process["env"]
    assert "HOME=/root" in lines


def test_env_home_of_user(runtime, bundle):
    """HOME comes from the container's passwd file, / for an unknown user; a HOME in the config wins."""
    bundle.args(bundle.probe("env"))
    bundle.process["user"] = {"uid": 1000, "gid": 1000}
    assert "HOME=/home/user" in runtime.output(bundle).splitlines()
    bundle.process["user"] = {"uid": 4321, "gid": 4321}
    assert "HOME=/" in runtime.output(bundle).splitlines()
    bundle.env(HOME="/elsewhere")
    lines = runtime.output(bundle).splitlines()
    assert [l for l in lines if l.startswith("HOME=")] == ["HOME=/elsewhere"]


def test_empty_home(runtime, bundle):
    """An empty HOME counts as none, and is not left beside the one that is supplied."""
    bundle.process["env"] += ["HOME="]
    lines = runtime.output(bundle.args(bundle.probe("env"))).splitlines()
    assert [l for l in lines if l.startswith("HOME=")] == ["HOME=/root"]


def test_env_duplicates(runtime, bundle):
    """Of duplicate names the last counts."""
    bundle.env(KEY="first").env(KEY="second").sh("echo $KEY")
    assert runtime.output(bundle) == "second\n"


def test_cwd(runtime, bundle):
    """cwd is the working directory."""
    bundle.process["cwd"] = "/usr/bin"
    assert runtime.output(bundle.args("pwd")) == "/usr/bin\n"


def test_cwd_is_created(runtime, bundle):
    """A missing cwd is made, as runtimes do."""
    bundle.process["cwd"] = "/made/space"
    bundle.writable()
    assert runtime.output(bundle.args("pwd")) == "/made/space\n"


def test_cwd_is_a_file(runtime, bundle):
    """Said at create, when the caller still listens."""
    (bundle.rootfs / "file").touch()
    bundle.process["cwd"] = "/file"
    runtime.create(bundle).fails("working directory", "/file", "not a directory", rc=1)


def test_name_of_nothing(runtime, bundle):
    """An empty name is one of a program that is not found."""
    runtime.run(bundle.args("")).fails("executable file not found in $PATH", rc=1)


@pytest.mark.parametrize("cwd", ["relative", ""])
def test_cwd_not_absolute(runtime, bundle, cwd):
    """A relative or empty cwd is refused."""
    bundle.process["cwd"] = cwd
    runtime.run(bundle).fails("cwd", rc=1)


def test_cwd_private_to_the_user(runtime, bundle):
    """A cwd that only the user may enter works (chdir as the user)."""
    folder = bundle.rootfs / "home/own"
    folder.mkdir()
    os.chown(folder, 1000, 1000)
    folder.chmod(0o700)
    bundle.process.update(cwd="/home/own", user={"uid": 1000, "gid": 1000})
    bundle.caps()
    assert runtime.output(bundle.args("pwd")) == "/home/own\n"


def test_cwd_is_a_file(runtime, bundle):
    """A cwd that is no directory is an error."""
    bundle.process["cwd"] = "/etc/passwd"
    runtime.run(bundle).fails(rc=1)


def test_path_lookup_uses_container_env(runtime, bundle):
    """args[0] is looked up in the PATH of process.env, in the container."""
    (bundle.rootfs / "opt").mkdir()
    (bundle.rootfs / "opt/tool").write_text("#!/bin/sh\necho found\n")
    (bundle.rootfs / "opt/tool").chmod(0o755)
    bundle.process["env"] = ["PATH=/nonexistent:/opt"]
    assert runtime.output(bundle.args("tool")) == "found\n"


def test_arguments_are_exact(runtime, bundle):
    """Arguments arrive unchanged, whatever they contain."""
    words = ["", " ", "a b", "ü", "$HOME", "\\n", "-x", "'\""]
    assert runtime.output(bundle.args("sh", "-c", 'for a; do echo "[$a]"; done', "sh", *words)).splitlines() == [f"[{w}]" for w in words]


def test_missing_command(runtime, bundle):
    """A command not found in PATH: exit 1 and the words that docker looks for."""
    runtime.run(bundle.args("no-such-command")).fails("executable file not found", "no-such-command", rc=1)


def test_missing_program_path(runtime, bundle):
    """A missing program given by path."""
    runtime.run(bundle.args("/no/such/program")).fails("no such file or directory", "/no/such/program", rc=1)


def test_directory_as_command(runtime, bundle):
    """A directory as command: 'permission denied', as docker expects (126) - or 'is a directory'."""
    runtime.run(bundle.args("/etc")).fails("permission denied", "/etc", rc=1)


@pytest.mark.differs(crun="'is a directory' only")
def test_directory_words(runtime, bundle):
    """The sentence for a directory has the words 'permission denied'."""
    runtime.run(bundle.args("/usr/bin")).fails("permission denied", rc=1)


def test_not_executable(runtime, bundle):
    """A program without execute permission: 'permission denied'."""
    (bundle.rootfs / "plain").write_text("#!/bin/sh\n")
    runtime.run(bundle.args("/plain")).fails("permission denied", "/plain", rc=1)


def test_missing_interpreter(runtime, bundle):
    """A script whose interpreter is missing: 'no such file or directory'."""
    (bundle.rootfs / "script").write_text("#!/no/such/interpreter\n")
    (bundle.rootfs / "script").chmod(0o755)
    runtime.run(bundle.args("/script")).fails("no such file or directory", rc=1)


def test_wrong_format(runtime, bundle):
    """An executable that is neither ELF nor script: 'exec format error'."""
    (bundle.rootfs / "junk").write_bytes(b"\x00\x01junk")
    (bundle.rootfs / "junk").chmod(0o755)
    runtime.run(bundle.args("/junk")).fails("exec format error", rc=1)


def test_wrong_architecture(runtime, bundle):
    """A program of another architecture: 'exec format error'."""
    elf = bytearray((bundle.rootfs / "bin/busybox").read_bytes()[:4096])
    elf[18:20] = (243).to_bytes(2, "little")  # e_machine: RISC-V
    (bundle.rootfs / "alien").write_bytes(elf)
    (bundle.rootfs / "alien").chmod(0o755)
    runtime.run(bundle.args("/alien")).fails("exec format error", rc=1)


@pytest.mark.parametrize("args", [[], [""], None])
def test_no_command(runtime, bundle, args):
    """No args, empty args, an empty program name: an error, and nothing is left."""
    bundle.process["args"] = args
    if args is None:
        del bundle.process["args"]
    runtime.run(bundle).fails(rc=1)


def test_start_reports_late_failures(runtime, bundle):
    """create checks what it can; a program that vanishes before start fails start, with exit 1."""
    (bundle.rootfs / "tool").write_text("#!/bin/sh\nsleep 1000\n")
    (bundle.rootfs / "tool").chmod(0o755)
    with runtime.created(bundle.args("/tool")):
        (bundle.rootfs / "tool").unlink()
        runtime("start", bundle.id)
        runtime.wait_status(bundle.id, "stopped")


@pytest.mark.differs(runc="1.1 does not look", crun="1.8 does not look")
def test_oci_version_unsupported(runtime, bundle):
    """A major version that nobody wrote yet is refused."""
    bundle.config["ociVersion"] = "9.0.0"
    runtime.run(bundle).fails("9.0.0", rc=1)


@pytest.mark.parametrize("version", ["1.0.0", "1.0.2-dev", "1.1.0", "1.2.0", "1.2.1", "1.3.0"])
def test_oci_versions(runtime, bundle, version):
    """Every 1.x version is accepted."""
    bundle.config["ociVersion"] = version
    runtime.run(bundle).check()


@pytest.mark.differs(runc="applies them in silence", crun="applies them in silence")
def test_members_newer_than_the_version(runtime, bundle):
    """Members that came after the ociVersion count, and are named once: at log level info, and by --dry-run; no warning."""
    bundle.config.update(ociVersion="1.0.0", domainname="cask.example")
    bundle.process["user"]["umask"] = 0o27
    bundle.sh("umask; cat /proc/sys/kernel/domainname")
    quiet = runtime.run(bundle).check()
    assert quiet.out == "0027\ncask.example\n" and quiet.err == ""
    words = "newer than its ociVersion '1.0.0', and applied all the same: /process/user/umask (1.0.2), /domainname (1.1.0)"
    assert runtime.run(bundle, flags=("--log-level", "info")).check().err.count(words) == 1
    assert f"note: config.json: {words}\n" in runtime.run(bundle, "--dry-run").check().out
    bundle.config.update(ociVersion="1.9.0", later={"unknown": 1})
    assert "'1.9.0' is newer than" in runtime.run(bundle, "--dry-run").check().out
    assert runtime.run(bundle).check().err == ""


@pytest.mark.differs(crun="named after the id only")
def test_session_keyring(runtime, bundle):
    """The process has a session keyring of its own, named _ses.ID; --no-new-keyring keeps the caller's."""
    bundle.args(bundle.probe("keyring"))
    assert f"_ses.{bundle.id}" in runtime.output(bundle)
    assert f"_ses.{bundle.id}" not in runtime.run(bundle, "--no-new-keyring").check().out


@pytest.mark.differs(runc="1.1 does not know it", crun="1.8: not this policy")
@pytest.mark.parametrize(
    "scheduler,shown",
    [({"policy": "SCHED_BATCH", "nice": 7}, "policy=3 nice=7"), ({"policy": "SCHED_OTHER", "nice": 3}, "policy=0 nice=3"), ({"policy": "SCHED_IDLE"}, "policy=5 nice=0")],
)
def test_scheduler(runtime, bundle, scheduler, shown):
    """process.scheduler sets policy and nice value."""
    bundle.process["scheduler"] = scheduler
    assert shown in runtime.output(bundle.args(bundle.probe("sched")))


@pytest.mark.differs(runc="1.1 does not know it", crun="1.8 does not know it")
@pytest.mark.parametrize("name,number", [("IOPRIO_CLASS_BE", 2), ("IOPRIO_CLASS_IDLE", 3)])
def test_io_priority(runtime, bundle, name, number):
    """process.ioPriority sets class and level."""
    bundle.process["ioPriority"] = {"class": name, "priority": 5}
    assert f"io={number}:" in runtime.output(bundle.args(bundle.probe("sched")))


@pytest.mark.differs(runc="1.1 does not know it")
def test_personality(runtime, bundle):
    """linux.personality sets the execution domain."""
    bundle.linux["personality"] = {"domain": "LINUX32"}
    out = runtime.output(bundle.args(bundle.probe("sched")))
    assert int(out.split("personality=")[1], 16) & 0xFF == 8


def test_apparmor_elsewhere(runtime, bundle):
    """An AppArmor profile on a machine without AppArmor: the program runs, or an error names AppArmor."""
    if os.path.exists("/sys/kernel/security/apparmor/profiles"):
        pytest.skip("AppArmor is active here")
    bundle.process["apparmorProfile"] = "some-profile"
    result = runtime.run(bundle)
    assert result.rc == 0 or "apparmor" in result.err.lower()
