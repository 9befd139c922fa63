"""Bad input: every wrong JSON type, broken files, odd root file systems, a full disk. A clear error each, nothing left."""

import copy
import json
import os

import resource
import socket
import time

import pytest

from lib import cgroups, proc

WRONG = {"string": "text", "number": 5, "boolean": True, "array": [], "object": {}}
only_coop = pytest.mark.differs(runc="keeps directories", crun="keeps directories")


def kind(value):
    """The JSON type of a value."""
    if isinstance(value, bool):
        return "boolean"
    names = {str: "string", int: "number", float: "number", list: "array", dict: "object"}
    return names[type(value)]


def full_config(bundle):
    """A valid configuration with every part of the specification that a Linux runtime reads."""
    config = copy.deepcopy(bundle.config)
    ids = [{"containerID": 0, "hostID": 0, "size": 10}]
    hook = {"path": "/bin/true", "args": ["true"], "env": ["A=1"], "timeout": 5}
    config.update(
        domainname="example",
        annotations={"org.example": "value"},
        hooks={k: [hook] for k in ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")},
    )
    config["process"].update(
        consoleSize={"height": 10, "width": 20}, oomScoreAdj=100, apparmorProfile="profile", selinuxLabel="label",
        user={"uid": 1, "gid": 2, "umask": 18, "additionalGids": [5]},
        scheduler={"policy": "SCHED_OTHER", "nice": 1, "flags": ["SCHED_FLAG_RESET_ON_FORK"]},
        ioPriority={"class": "IOPRIO_CLASS_BE", "priority": 4},
    )  # fmt: skip
    config["process"]["capabilities"].update(ambient=["CAP_KILL"], inheritable=["CAP_KILL"])
    config["mounts"].append({"destination": "/mnt", "type": "bind", "source": "/tmp", "options": ["rbind"], "uidMappings": ids, "gidMappings": ids})
    device = {"path": "/dev/x", "type": "c", "major": 1, "minor": 5, "fileMode": 438, "uid": 0, "gid": 0}
    rate = [{"major": 1, "minor": 5, "rate": 100}]
    config["linux"].update(
        uidMappings=ids, gidMappings=ids, timeOffsets={"monotonic": {"secs": 1, "nanosecs": 2}}, devices=[device],
        sysctl={"net.ipv4.ip_forward": "1"}, rootfsPropagation="slave", mountLabel="label", personality={"domain": "LINUX"},
        seccomp={
            "defaultAction": "SCMP_ACT_ALLOW", "defaultErrnoRet": 1, "architectures": ["SCMP_ARCH_X86_64"], "flags": [],
            "syscalls": [{"names": ["getppid"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1, "args": [{"index": 0, "value": 1, "valueTwo": 2, "op": "SCMP_CMP_EQ"}]}],
        },
    )  # fmt: skip
    config["linux"]["resources"].update(
        devices=[{"allow": True, "type": "c", "major": 1, "minor": 5, "access": "rwm"}],
        memory={"limit": 1 << 26, "reservation": 1 << 25, "swap": 1 << 27, "swappiness": 5, "disableOOMKiller": False, "useHierarchy": True},
        cpu={"shares": 100, "quota": 10000, "period": 100000, "cpus": "0", "mems": "0", "burst": 1, "idle": 0},
        pids={"limit": 10},
        blockIO={"weight": 100, "throttleReadBpsDevice": rate, "throttleWriteBpsDevice": rate, "throttleReadIOPSDevice": rate, "throttleWriteIOPSDevice": rate},
        hugepageLimits=[{"pageSize": "2MB", "limit": 1}],
        unified={"memory.max": "1"},
    )  # fmt: skip
    return json.loads(json.dumps(config))  # no part of it is shared with another


def nodes(value, pointer="", path=()):
    """(JSON pointer, path, value) of every value below the top."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in items:
        here = f"{pointer}/{str(key).replace('~', '~0').replace('/', '~1')}"
        yield here, (*path, key), child
        yield from nodes(child, here, (*path, key))


def replaced(config, path, value):
    """A copy of the configuration with one value changed."""
    changed = copy.deepcopy(config)
    place = changed
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return changed


def refused(runtime, bundle, pointer, text):
    """None if the configuration is refused as it should be, else what was wrong."""
    (bundle.path / "config.json").write_text(text)
    result = runtime("run", "--bundle", bundle.path, bundle.id, timeout=10)
    if result.rc != 1:
        return f"{pointer}: exit status {result.rc}, not 1"
    if pointer not in result.err:
        return f"{pointer}: not named in: {result.err.strip()[-300:]}"
    if runtime.has_state(bundle.id):
        return f"{pointer}: left state"
    return None


PARTS = ["ociVersion", "process", "root", "hostname", "domainname", "mounts", "hooks", "annotations", "linux"]


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.differs(runc="errors have no JSON pointer", crun="errors have no JSON pointer, many values pass")
def test_wrong_types(runtime, bundle, part):
    """Every value of the configuration, replaced by every other JSON type: exit 1, and the error names its JSON pointer."""
    config = full_config(bundle)
    bad = []
    for pointer, path, value in nodes(config):
        if path[0] != part:
            continue
        for name, wrong in WRONG.items():
            if name != kind(value):
                problem = refused(runtime, bundle, pointer, json.dumps(replaced(config, path, wrong)))
                if problem:
                    bad.append(f"{problem} ({name} for {kind(value)})")
        if len(bad) > 20:
            break
    assert not bad, f"{len(bad)} cases:\n" + "\n".join(bad[:20])
    assert cgroups.named(bundle.id) == []


@pytest.mark.parametrize("number", ["-1", "1.5", "1e30", "18446744073709551616", "4294967296"])
@pytest.mark.differs(runc="errors have no JSON pointer", crun="some values pass")
def test_wrong_numbers(runtime, bundle, number):
    """Numbers that are negative, broken or too large for an id: exit 1 and the pointer."""
    text = json.dumps(replaced(bundle.config, ("process", "user", "uid"), "@@")).replace('"@@"', number)
    assert refused(runtime, bundle, "/process/user/uid", text) is None


@pytest.mark.parametrize("part", ["process", "root"])
def test_missing_part(runtime, bundle, part):
    """Without process or root there is nothing to run."""
    del bundle.config[part]
    runtime.run(bundle).fails(part, rc=1)


@pytest.mark.parametrize(
    "text",
    ["", " ", "{", "[]", "null", "5", '"x"', "{}", '{"ociVersion": "1.0.2"', '{"a": nul}', "\x00\x01\x02", "{'a': 1}", '{"a": 1,}', "[" * 200000, '{"a":' * 100000],
    ids=["empty", "blank", "open", "array", "null", "number", "string", "no-fields", "cut", "literal", "binary", "quotes", "comma", "deep-array", "deep-object"],
)
@pytest.mark.differs(runc="null makes 1.1 panic", crun="deep nesting crashes it")
def test_not_json(runtime, bundle, text):
    """A config.json that is no configuration: exit 1 with an error, never a crash."""
    (bundle.path / "config.json").write_text(text)
    runtime("run", "--bundle", bundle.path, bundle.id).fails(rc=1)
    assert not runtime.has_state(bundle.id)


def test_truncated_everywhere(runtime, bundle):
    """A valid file cut at any of 60 places: exit 1."""
    text = json.dumps(bundle.config)
    for size in range(0, len(text), len(text) // 60):
        (bundle.path / "config.json").write_text(text[:size])
        result = runtime("run", "--bundle", bundle.path, bundle.id)
        assert result.rc == 1, f"cut at {size}\n{result}"


def test_invalid_utf8(runtime, bundle):
    """Bytes that are no UTF-8: an error or an exact pass-through, never a crash."""
    text = json.dumps(bundle.args("echo", "@@").config).encode().replace(b"@@", b"\xff\xfe")
    (bundle.path / "config.json").write_bytes(text)
    assert runtime("run", "--bundle", bundle.path, bundle.id).rc in (0, 1)


def test_unknown_fields_are_ignored(runtime, bundle):
    """Fields of a later specification are no error."""
    bundle.config["later"] = {"x": [1, 2]}
    bundle.process["alsoLater"] = "x"
    bundle.linux["more"] = None
    runtime.run(bundle).check()


def test_missing_config(runtime, bundle):
    """No config.json: exit 1, and the file is named."""
    runtime("run", "--bundle", bundle.path, bundle.id).fails("config.json", rc=1)


def test_config_is_a_directory(runtime, bundle):
    """config.json is a directory."""
    (bundle.path / "config.json").mkdir()
    runtime("run", "--bundle", bundle.path, bundle.id).fails(rc=1)


@pytest.mark.differs(runc="waits for a writer", crun="waits for a writer")
def test_config_is_a_fifo(runtime, bundle):
    """config.json is a fifo: refused, not waited for."""
    os.mkfifo(bundle.path / "config.json")
    runtime("run", "--bundle", bundle.path, bundle.id, timeout=5).fails(rc=1)


def test_missing_bundle(runtime):
    """A bundle directory that does not exist is named."""
    runtime("run", "--bundle", "/no/such/bundle", "x").fails("/no/such/bundle", rc=1)


@pytest.mark.parametrize("path", ["missing", "", "config.json", "/no/such/root", "rootfs/../../../no/such"])
@pytest.mark.differs(crun="an empty path is the bundle")
def test_bad_root(runtime, bundle, path):
    """A root that is missing, empty or a file is an error."""
    bundle.config["root"]["path"] = path
    runtime.run(bundle).fails(rc=1)


def test_root_is_a_symlink(runtime, bundle):
    """A root file system that is a symlink: runs in what it points to, or is refused; nothing else."""
    (bundle.path / "link").symlink_to("rootfs")
    bundle.config["root"]["path"] = "link"
    result = runtime.run(bundle.args("ls", "/probe", "/bin/busybox"))
    assert (result.rc == 0 and "/bin/busybox" in result.out) or (result.rc == 1 and result.err)


def test_root_is_a_dangling_symlink(runtime, bundle):
    """A root that is a symlink to nowhere is an error."""
    (bundle.path / "link").symlink_to("nowhere")
    bundle.config["root"]["path"] = "link"
    runtime.run(bundle).fails(rc=1)
    assert not (bundle.path / "nowhere").exists()


def test_root_is_slash(runtime, bundle):
    """The host's / as root: works (with every mount inside it) or is refused; the host stays whole."""
    bundle.config["root"]["path"] = "/"
    result = runtime.run(bundle.args("/bin/true"), timeout=20)
    assert result.rc in (0, 1)
    assert os.path.exists("/etc/passwd") and os.path.ismount("/proc")


@pytest.mark.parametrize("size", [4, 16, 24, 28, 32, 40, 48, 64, 96])
@pytest.mark.differs(crun="may leave its directory", runc="does not say what is full")
def test_full_disk(runtime, bundle, size):
    """The state directory's disk is full at different moments: an error that says so, no container, nothing left."""
    runtime.root.mkdir()
    proc.run("mount", "-t", "tmpfs", "-o", f"size={size}k", "tiny", runtime.root).check()
    bundle.config["annotations"] = {f"org.example.{i}": "x" * 500 for i in range(40)}
    result = runtime.run(bundle)
    assert result.rc in (0, 1), result
    if result.rc:
        assert "no space left" in result.err.lower(), str(result)
        assert cgroups.named(bundle.id) == []
    proc.run("umount", runtime.root).check()


@pytest.mark.parametrize("inodes", [1, 2, 3, 4, 5, 6, 7])
@pytest.mark.differs(crun="may leave its directory")
def test_no_inodes(runtime, bundle, inodes):
    """The same with inodes: each file or socket of the state directory is once the one too many."""
    runtime.root.mkdir()
    proc.run("mount", "-t", "tmpfs", "-o", f"nr_inodes={inodes}", "tiny", runtime.root).check()
    result = runtime.run(bundle)
    assert result.rc in (0, 1), result
    assert not runtime.has_state(bundle.id)
    assert cgroups.named(bundle.id) == []
    proc.run("umount", runtime.root).check()


def test_read_only_state_root(runtime, bundle):
    """A read-only state root is an error that names it."""
    runtime.root.mkdir()
    proc.run("mount", "-t", "tmpfs", "-o", "ro", "tiny", runtime.root).check()
    runtime.run(bundle).fails("read-only", rc=1)
    proc.run("umount", runtime.root).check()


@pytest.mark.parametrize("limit", [3, 4, 5, 6, 8, 10, 14, 20])
def test_few_descriptors(runtime, bundle, limit):
    """The caller's descriptor limit is tiny: success or an error, nothing left."""
    import resource

    bundle.process["rlimits"] = []
    bundle.save()
    result = runtime("run", "-b", bundle.path, bundle.id, preexec=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit)))
    assert result.rc in (0, 1, 127, 134, 2), result
    runtime("delete", "--force", bundle.id)
    assert not runtime.has_state(bundle.id)


def test_damaged_state(runtime, bundle):
    """A broken record: state and list answer with an error or skip it, and it works again when it is mended."""
    with runtime.running(bundle.sh("sleep 1000")) as state:
        file = runtime.root / bundle.id
        if not file.is_file():
            pytest.skip("the runtime keeps its state elsewhere")
        before = file.read_text()
        for text in ("{", "[]", before.replace("state ", "state x", 1), before.replace('"version":1', '"version":9'), "\x00" * 100):
            file.write_text(text)
            runtime("state", bundle.id).fails(rc=1)
            assert runtime("list", "-q").rc in (0, 1)
        file.write_text(before)
        assert runtime.state(bundle.id)["pid"] == state["pid"]


@pytest.mark.differs(crun="says that it cannot parse it")
@pytest.mark.parametrize("damage", ["number", "length", "word", "document", "version"])
def test_damaged_state_can_be_deleted(runtime, bundle, damage):
    """What stands before the damage is enough for delete --force to remove everything; the error says so."""
    bundle.sh("sleep 1000")
    runtime.create(bundle).check()
    pid = runtime.state(bundle.id)["pid"]
    file = runtime.root / bundle.id
    before = file.read_text()
    last = before.rindex("state ")
    file.write_text({
        "number": before[:last] + "state many" + before[last + 9 :],
        "length": before[:last] + "state 17" + before[last + 9 :],
        "word": before[:last] + "stale" + before[last + 5 :],
        "document": before[:last] + "state 2\n{]\n",
        "version": before[:last] + 'state 13\n{"version":9}\n',
    }[damage])  # fmt: skip
    runtime("state", bundle.id, timeout=10).fails(bundle.id, "--force", rc=1)
    runtime("list", timeout=10)
    runtime("delete", "--force", bundle.id, timeout=20).check()
    assert not runtime.has_state(bundle.id)
    proc.until(lambda: not os.path.exists(f"/proc/{pid}"))  # dead at once, collected by whoever is its parent now


@only_coop
@pytest.mark.parametrize("what", ["text", "fifo", "directory", "link", "socket"])
def test_what_is_no_record(runtime, bundle, workdir, what):
    """Something else of that name below the root: nobody waits for it, nobody takes it for a container, and it stays."""
    runtime.root.mkdir()
    file = runtime.root / bundle.id
    if what == "text":
        file.write_text("root:x:0:0:\n")
    elif what == "fifo":
        os.mkfifo(file)
    elif what == "directory":
        file.mkdir()
        (file / "precious").write_text("")
    elif what == "socket":
        socket.socket(socket.AF_UNIX).bind(str(file))
    else:
        file.symlink_to(workdir / "elsewhere")
        (workdir / "elsewhere").write_text("coop container 1\n")
    for command in (["state"], ["kill"], ["delete"], ["delete", "--force"], ["start"]):
        runtime(*command, bundle.id, timeout=10).fails(bundle.id, rc=1)
    runtime("list", timeout=10)
    bundle.args("true").save()
    runtime("run", "--bundle", bundle.path, bundle.id).fails("exists", rc=1)
    assert os.path.lexists(file)
    assert what != "directory" or (file / "precious").exists()
    file.rename(workdir / "gone")


@only_coop
def test_creator_killed_in_a_write(runtime, bundle):
    """A record that ends in the middle of what was being written: the container's creation was interrupted, and delete removes it."""
    bundle.sh("sleep 1000")
    runtime.create(bundle).check()
    pid = runtime.state(bundle.id)["pid"]
    file = runtime.root / bundle.id
    before = file.read_text()
    file.write_text(before[: before.rindex("state ") + 100])
    assert runtime.status(bundle.id) == "stopped"
    runtime("start", bundle.id).fails("interrupted", rc=1)
    runtime("delete", bundle.id, timeout=20).check()
    assert not runtime.has_state(bundle.id)
    proc.until(lambda: not os.path.exists(f"/proc/{pid}"))


@pytest.mark.differs(crun="no such record")
def test_state_while_it_is_created(runtime, bundle, workdir):
    """A hook of the creation sees a state with every member that is known by then."""
    hook = workdir / "hook"
    hook.write_text("#!/bin/sh\nsleep 1000\n")
    hook.chmod(0o755)
    bundle.config["hooks"] = {"createRuntime": [{"path": str(hook), "args": ["hook"], "timeout": 3}]}
    bundle.save()
    with runtime.background("create", "--bundle", bundle.path, bundle.id) as child:
        state = proc.until(lambda: runtime.has_state(bundle.id) and json.loads(runtime("state", bundle.id).out or "null"), 5, 0.02)
        assert (state["status"], state["bundle"], state["ociVersion"].count(".")) == ("creating", str(bundle.path), 2)
        assert child.wait().rc != 0
    assert not runtime.has_state(bundle.id)


def test_very_many_variables(runtime, bundle):
    """The time taken grows with their number, not with its square."""
    bundle.process["env"] += [f"a{i}=1" for i in range(60_000)]
    start = time.monotonic()
    runtime.run(bundle.args("true")).check()
    assert time.monotonic() - start < 5


def test_file_size_limit(runtime, bundle):
    """A caller that may write no byte to files is told so; the runtime does not die of SIGXFSZ."""
    bundle.save()
    result = runtime("run", "--bundle", bundle.path, bundle.id, preexec=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)))
    result.fails("file too large", rc=1)
    assert not runtime.has_state(bundle.id)
