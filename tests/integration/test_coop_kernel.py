"""Devices, masked and read-only paths, sysctl, seccomp: as the kernel enforces them."""

import os
import pathlib
import re

import pytest

from lib import cgroups, mountinfo

EPERM, EACCES, EROFS = 1, 13, 30
HEADER = "/usr/include/x86_64-linux-gnu/asm/unistd_64.h"


def call_numbers():
    """{name: number} of x86-64 system calls, from the C library's kernel headers."""
    text = pathlib.Path(HEADER).read_text()
    return {n: int(v) for n, v in re.findall(r"#define __NR_(\w+) (\d+)", text)}


def opens(runtime, bundle, path, how="r"):
    """0 if the probe could open the path in the container, else the errno."""
    out = runtime.output(bundle.args(bundle.probe("open"), path, how)).strip()
    return 0 if out == "ok" else int(out)


def syscall(runtime, bundle, number, *args, **options):
    """(result, errno) of a system call made in the container."""
    out = runtime.output(bundle.args(bundle.probe("syscall"), number, *args), **options)
    return tuple(int(w) for w in out.split())


# --- devices -------------------------------------------------------------------------


def test_default_devices(runtime, bundle):
    """The six usual devices and the links of /dev are there."""
    names = ["null", "zero", "full", "random", "urandom", "tty"]
    out = runtime.output(bundle.sh("; ".join(f"stat -c '%n %F %t:%T %a' /dev/{n}" for n in names)))
    assert [l.split("/dev/")[1] for l in out.splitlines()] == [
        f"{n} character special file {v} 666" for n, v in zip(names, ["1:3", "1:5", "1:7", "1:8", "1:9", "5:0"])
    ]
    links = runtime.output(bundle.sh("for l in fd stdin stdout stderr ptmx; do readlink /dev/$l; done")).split()
    assert links[:4] == ["/proc/self/fd", "/proc/self/fd/0", "/proc/self/fd/1", "/proc/self/fd/2"]
    assert links[4].lstrip("/dev/") in ("pts/ptmx", "ts/ptmx")


def test_devices_work(runtime, bundle):
    """null, zero, full, urandom do what they should under the default device rules."""
    script = "head -c 4 /dev/zero | od -An -tx1; head -c 8 /dev/urandom | wc -c; echo x > /dev/full"
    result = runtime.run(bundle.sh(script + "; echo x > /dev/null && echo null"))
    assert result.out.split() == ["00", "00", "00", "00", "8", "null"]
    assert "no space left" in result.err.lower()


def test_extra_device(runtime, bundle):
    """linux.devices: type, numbers, mode and owner."""
    bundle.linux["devices"] = [
        {"path": "/dev/mychar", "type": "c", "major": 1, "minor": 5, "fileMode": 0o640, "uid": 1000, "gid": 29},
        {"path": "/dev/sub/myblock", "type": "b", "major": 7, "minor": 200, "fileMode": 0o600},
        {"path": "/dev/mypipe", "type": "p", "fileMode": 0o622},
    ]
    out = runtime.output(bundle.sh("stat -c '%F|%t:%T|%a|%u:%g' /dev/mychar /dev/sub/myblock /dev/mypipe"))
    assert out.splitlines()[0] == "character special file|1:5|640|1000:29"
    assert out.splitlines()[1] == "block special file|7:c8|600|0:0"
    assert out.splitlines()[2].startswith("fifo|") and "|622|" in out.splitlines()[2]


def test_device_unknown_type(runtime, bundle):
    """An unknown device type is refused."""
    bundle.linux["devices"] = [{"path": "/dev/x", "type": "q", "major": 1, "minor": 5}]
    runtime.run(bundle).fails(rc=1)


@pytest.mark.needs("cgroup1-devices")
def test_device_rules_default_deny(runtime, bundle):
    """With a deny-all rule, a device node that no rule allows cannot be opened."""
    bundle.linux["devices"] = [{"path": "/dev/kmsg", "type": "c", "major": 1, "minor": 11, "fileMode": 0o666}]
    assert opens(runtime, bundle, "/dev/kmsg") == EPERM
    assert opens(runtime, bundle, "/dev/null", "rw") == 0


@pytest.mark.skipif(not pathlib.Path("/dev/net/tun").exists(), reason="the machine has no tun devices")
@pytest.mark.differs(runc="1.2.0 to 1.2.3 leave it out")
def test_tun_is_allowed(runtime, bundle):
    """Networks of user space open /dev/net/tun: with the default rules whoever may make the node may open it."""
    bundle.writable().caps("CAP_MKNOD", "CAP_NET_ADMIN")
    script = "mkdir -p /dev/net && mknod /dev/net/tun c 10 200 && : <>/dev/net/tun && echo opened; mknod /dev/uhid c 10 239 && : <>/dev/uhid"
    result = runtime.run(bundle.sh(script))
    assert result.out == "opened\n" and "/dev/uhid" in result.err and "not permitted" in result.err, result


@pytest.mark.needs("cgroup1-devices")
def test_device_rules_access(runtime, bundle):
    """A rule allows exactly the access it names."""
    bundle.linux["devices"] = [{"path": "/dev/z", "type": "c", "major": 10, "minor": 200, "fileMode": 0o666}]
    bundle.resources["devices"].append({"allow": True, "type": "c", "major": 1, "minor": 11, "access": "r"})
    bundle.linux["devices"] = [{"path": "/dev/kmsg", "type": "c", "major": 1, "minor": 11, "fileMode": 0o666}]
    bundle.caps("CAP_SYSLOG", "CAP_SYS_ADMIN")
    assert opens(runtime, bundle, "/dev/kmsg", "r") == 0
    assert opens(runtime, bundle, "/dev/kmsg", "w") == EPERM


@pytest.mark.needs("cgroup1-devices")
@pytest.mark.differs(runc="compresses and sorts the list")
def test_device_rules_are_written_in_order(runtime, bundle):
    """The rules users read back in devices.list are the ones given, in the order given."""
    rules = [("c", 10, 229, "rwm"), ("b", 8, 0, "r"), ("c", 10, 201, "rw"), ("c", 4, 1, "m")]
    bundle.resources["devices"] = [{"allow": False, "access": "rwm"}]
    bundle.resources["devices"] += [{"allow": True, "type": t, "major": a, "minor": i, "access": m} for t, a, i, m in rules]
    with runtime.running(bundle.sh("sleep 1000")):
        lines = cgroups.read("devices", bundle.linux["cgroupsPath"], "devices.list").splitlines()
        wanted = [f"{t} {a}:{i} {m}" for t, a, i, m in rules]
        assert [l for l in lines if l in wanted] == wanted


@pytest.mark.needs("cgroup1-devices")
def test_device_rules_deny_one(runtime, bundle):
    """Rules apply one after the other: allow all, then deny one."""
    bundle.resources["devices"] = [
        {"allow": True, "access": "rwm"},
        {"allow": False, "type": "c", "major": 1, "minor": 11, "access": "rw"},
    ]
    bundle.linux["devices"] = [
        {"path": "/dev/kmsg", "type": "c", "major": 1, "minor": 11, "fileMode": 0o666},
        {"path": "/dev/tun", "type": "c", "major": 10, "minor": 200, "fileMode": 0o666},
    ]
    assert opens(runtime, bundle, "/dev/kmsg") == EPERM
    assert opens(runtime, bundle, "/dev/tun", "rw") == 0


@pytest.mark.needs("cgroup1-devices")
@pytest.mark.differs(runc="has its own words for it", crun="leaves the device open")
def test_device_rules_that_the_kernel_forgets(runtime, bundle):
    """Of a class that is allowed v1 takes no single device back, without an error: nothing is started with such rules."""
    bundle.resources["devices"] = [
        {"allow": False, "access": "rwm"},
        {"allow": True, "type": "c", "major": 1, "access": "rwm"},
        {"allow": False, "type": "c", "major": 1, "minor": 11, "access": "rwm"},
    ]
    runtime.run(bundle.sh(":")).fails("'c 1:11 rwm' takes nothing back", "'c 1:* rwm'", "cgroup v2", rc=1)


# --- masked and read-only paths ------------------------------------------------------


def test_masked_file(runtime, bundle):
    """A masked file reads as empty and is /dev/null."""
    bundle.linux["maskedPaths"] = ["/etc/passwd", "/proc/uptime"]
    out = runtime.output(bundle.sh("cat /etc/passwd /proc/uptime | wc -c; stat -c %F /etc/passwd"))
    assert out.splitlines() == ["0", "character special file"]


def test_masked_directory(runtime, bundle):
    """A masked directory is empty and read-only, for root with all rights too."""
    bundle.linux["maskedPaths"] = ["/usr/bin", "/sys/firmware"]
    bundle.writable()
    result = runtime.run(bundle.sh("ls -A /usr/bin | wc -l; /bin/touch /usr/bin/x || echo refused"))
    assert result.check().lines == ["0", "refused"]


def test_masked_missing(runtime, bundle):
    """Masked paths that do not exist are ignored."""
    bundle.linux["maskedPaths"] = ["/no/such/path", "/proc/no-such-file"]
    runtime.run(bundle).check()


@pytest.mark.differs(runc="1.1: not a directory")
def test_masked_below_a_file(runtime, bundle):
    """A masked path whose parent is a file cannot exist, so it is ignored, too."""
    bundle.linux["maskedPaths"] = ["/etc/passwd/below/a/file"]
    runtime.run(bundle).check()


@pytest.mark.differs(runc="1.1 mounts one tmpfs each", crun="one tmpfs each")
def test_masked_directories_share(runtime, bundle):
    """All masked directories are one file system, not one superblock each."""
    bundle.linux["maskedPaths"] = ["/usr/bin", "/usr/sbin", "/sys/firmware"]
    mounts = mountinfo.parse(runtime.output(bundle.args("/bin/cat", "/proc/self/mountinfo")))
    assert len({m.device for m in mounts if m.point in bundle.linux["maskedPaths"]}) == 1


def test_readonly_path(runtime, bundle):
    """A read-only path refuses writes inside a writable root; what is beside it does not."""
    bundle.linux["readonlyPaths"] = ["/etc", "/bin/busybox"]
    bundle.writable()
    result = runtime.run(bundle.sh("touch /var/fine; touch /etc/x; echo x > /bin/busybox"))
    assert result.err.lower().count("read-only file system") == 2
    assert (bundle.rootfs / "var/fine").exists()


def test_readonly_path_keeps_flags(runtime, bundle):
    """Making a path read-only keeps the other flags of the mount it lies in."""
    mounts = mountinfo.parse(runtime.output(bundle.args("cat", "/proc/self/mountinfo")))
    assert "ro" in mountinfo.at(mounts, "/proc/sys").options
    bundle.mount_for("/proc")["options"] = ["nosuid", "noexec", "nodev"]
    mounts = mountinfo.parse(runtime.output(bundle.args("cat", "/proc/self/mountinfo")))
    assert {"ro", "nosuid", "noexec", "nodev"} <= mountinfo.at(mounts, "/proc/sys").options


def test_readonly_missing(runtime, bundle):
    """Read-only paths that do not exist are ignored."""
    bundle.linux["readonlyPaths"] = ["/no/such/path"]
    runtime.run(bundle).check()


def test_sysrq_and_sys_are_protected(runtime, bundle):
    """With the default lists, writes to /proc/sys and /proc/sysrq-trigger fail for a full root."""
    if os.path.exists("/proc/sysrq-trigger"):
        assert opens(runtime, bundle, "/proc/sysrq-trigger", "w") in (EROFS, EACCES)
    assert opens(runtime, bundle, "/proc/sys/kernel/hostname", "w") == EROFS


# --- sysctl --------------------------------------------------------------------------


@pytest.mark.parametrize("key,value", [("kernel.shmmni", "8192"), ("kernel.msgmax", "9000"), ("net.ipv4.ip_forward", "1"), ("fs.mqueue.msg_max", "12"), ("net/ipv4/conf/lo/forwarding", "1")])
def test_sysctl(runtime, bundle, key, value):
    """Namespaced keys are written in the container, and the host's stay."""
    file = "/proc/sys/" + (key if "/" in key else key.replace(".", "/"))
    before = pathlib.Path(file).read_text()
    bundle.linux["sysctl"] = {key: value}
    assert runtime.output(bundle.args("cat", file)).strip() == value
    assert pathlib.Path(file).read_text() == before


@pytest.mark.parametrize("key", ["kernel.panic", "vm.swappiness", "fs.file-max", "kernel.core_pattern", "no.such.key", "net"])
def test_sysctl_host_wide(runtime, bundle, key):
    """Keys that are not of a namespace are refused."""
    bundle.linux["sysctl"] = {key: "1"}
    runtime.run(bundle).fails(key, rc=1)


@pytest.mark.parametrize("key,namespace", [("net.ipv4.ip_forward", "network"), ("kernel.shmmni", "ipc"), ("fs.mqueue.msg_max", "ipc")])
def test_sysctl_without_namespace(runtime, bundle, key, namespace):
    """A key of a namespace that the container shares with the host is refused; the host's value stays."""
    file = pathlib.Path("/proc/sys/" + key.replace(".", "/"))
    before = file.read_text()
    bundle.namespace(namespace, absent=True)
    bundle.linux["sysctl"] = {key: before.strip()}
    runtime.run(bundle).fails(key, rc=1)
    assert file.read_text() == before


# --- seccomp -------------------------------------------------------------------------


def seccomp(default="SCMP_ACT_ALLOW", *rules, **more):
    """A seccomp object for this machine's architecture."""
    return {"defaultAction": default, "architectures": ["SCMP_ARCH_X86_64"], "syscalls": list(rules), **more}


def deny(*names, action="SCMP_ACT_ERRNO", **more):
    """One rule."""
    return {"names": list(names), "action": action, **more}


@pytest.mark.needs("seccomp")
class TestSeccomp:
    """Filters, tried with real system calls (getppid takes no arguments and cannot hurt)."""

    NR = {"getppid": 110, "personality": 135, "mkdir": 83, "clone3": 435}

    def test_mode(self, runtime, bundle):
        """A filter is loaded (mode 2) exactly when the config has one."""
        bundle.args("grep", "Seccomp:", "/proc/self/status")
        assert runtime.output(bundle).split()[1] == "0"
        bundle.linux["seccomp"] = seccomp()
        assert runtime.output(bundle).split()[1] in ("0", "2")
        bundle.linux["seccomp"] = seccomp("SCMP_ACT_ALLOW", deny("getppid"))
        assert runtime.output(bundle).split()[1] == "2"

    @pytest.mark.parametrize("more,number", [({}, 1), ({"errnoRet": 38}, 38), ({"errnoRet": 110}, 110)])
    def test_errno(self, runtime, bundle, more, number):
        """SCMP_ACT_ERRNO answers EPERM, or errnoRet."""
        bundle.linux["seccomp"] = seccomp("SCMP_ACT_ALLOW", deny("getppid", **more))
        assert syscall(runtime, bundle, self.NR["getppid"]) == (-1, number)

    @pytest.mark.parametrize("action", ["SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_TRAP"])
    def test_kill(self, runtime, bundle, action):
        """Kill and trap actions end the process by SIGSYS: status 128+31."""
        bundle.linux["seccomp"] = seccomp("SCMP_ACT_ALLOW", deny("getppid", action=action))
        result = runtime.run(bundle.args(bundle.probe("syscall"), self.NR["getppid"]))
        assert result.rc == 159 or (action == "SCMP_ACT_TRAP" and result.rc != 0)

    @pytest.mark.parametrize("action", ["SCMP_ACT_LOG", "SCMP_ACT_ALLOW"])
    def test_harmless_actions(self, runtime, bundle, action):
        """LOG and ALLOW let the call through."""
        bundle.linux["seccomp"] = seccomp("SCMP_ACT_ALLOW", deny("getppid", action=action))
        assert syscall(runtime, bundle, self.NR["getppid"]) == (0, 0)

    OPERATORS = [
        ("SCMP_CMP_EQ", 8, 0, 8, True), ("SCMP_CMP_EQ", 8, 0, 0, False), ("SCMP_CMP_NE", 8, 0, 0, True), ("SCMP_CMP_NE", 8, 0, 8, False),
        ("SCMP_CMP_LT", 8, 0, 0, True), ("SCMP_CMP_LT", 8, 0, 8, False), ("SCMP_CMP_LE", 8, 0, 8, True), ("SCMP_CMP_LE", 7, 0, 8, False),
        ("SCMP_CMP_GT", 7, 0, 8, True), ("SCMP_CMP_GT", 8, 0, 8, False), ("SCMP_CMP_GE", 8, 0, 8, True), ("SCMP_CMP_GE", 9, 0, 8, False),
        ("SCMP_CMP_MASKED_EQ", 8, 8, 8, True), ("SCMP_CMP_MASKED_EQ", 8, 8, 0, False),
    ]  # fmt: skip

    @pytest.mark.parametrize("op,value,two,arg,hit", OPERATORS)
    def test_arguments(self, runtime, bundle, op, value, two, arg, hit):
        """Every comparison operator, matching and not matching (personality(0) and (8) are harmless)."""
        rule = deny("personality", args=[{"index": 0, "value": value, "valueTwo": two, "op": op}])
        bundle.linux["seccomp"] = seccomp("SCMP_ACT_ALLOW", rule)
        assert (syscall(runtime, bundle, self.NR["personality"], arg) == (-1, EPERM)) == hit

    def test_wide_arguments(self, runtime, bundle):
        """All 64 bits of an argument are compared."""
        rule = deny("getppid", args=[{"index": 1, "value": 1 << 40 | 5, "op": "SCMP_CMP_EQ"}])
        bundle.linux["seccomp"] = seccomp("SCMP_ACT_ALLOW", rule)
        assert syscall(runtime, bundle, self.NR["getppid"], 0, 5) == (0, 0)
        assert syscall(runtime, bundle, self.NR["getppid"], 0, 1 << 40 | 5) == (-1, EPERM)

    def test_arguments_all_must_match(self, runtime, bundle):
        """Several arguments of one rule are joined by 'and'."""
        args = [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}, {"index": 1, "value": 2, "op": "SCMP_CMP_EQ"}]
        bundle.linux["seccomp"] = seccomp("SCMP_ACT_ALLOW", deny("getppid", args=args))
        assert syscall(runtime, bundle, self.NR["getppid"], 1, 3) == (0, 0)
        assert syscall(runtime, bundle, self.NR["getppid"], 1, 2) == (-1, EPERM)

    def test_unknown_names(self, runtime, bundle):
        """System call names that the runtime does not know are ignored."""
        bundle.linux["seccomp"] = seccomp("SCMP_ACT_ALLOW", deny("no_such_call", "getppid"))
        assert syscall(runtime, bundle, self.NR["getppid"]) == (-1, EPERM)

    def test_newer_calls_get_enosys(self, runtime, bundle):
        """In a deny-by-default profile, calls newer than all it names fail with ENOSYS, older ones with EPERM."""
        names = [n for n, nr in call_numbers().items() if nr <= 334 and n != "mkdir"]
        bundle.linux["seccomp"] = seccomp("SCMP_ACT_ERRNO", deny(*names, action="SCMP_ACT_ALLOW"))
        assert syscall(runtime, bundle, self.NR["mkdir"], 0, 0) == (-1, EPERM)
        assert syscall(runtime, bundle, self.NR["clone3"], 0, 0) == (-1, 38)
        assert syscall(runtime, bundle, 1000) == (-1, 38)

    def test_default_errno(self, runtime, bundle):
        """defaultErrnoRet is the answer of the default action."""
        names = [n for n, nr in call_numbers().items() if n != "mkdir"]
        bundle.linux["seccomp"] = seccomp("SCMP_ACT_ERRNO", deny(*names, action="SCMP_ACT_ALLOW"), defaultErrnoRet=42)
        assert syscall(runtime, bundle, self.NR["mkdir"], 0, 0) == (-1, 42)

    @pytest.mark.differs(runc="1.1 calls getppid after loading the filter and panics")
    def test_filter_without_no_new_privileges(self, runtime, bundle):
        """A filter works when noNewPrivileges is off and the process drops to a user without rights."""
        bundle.process.update(noNewPrivileges=False, user={"uid": 1000, "gid": 1000})
        bundle.caps()
        bundle.linux["seccomp"] = seccomp("SCMP_ACT_ALLOW", deny("getppid"))
        assert syscall(runtime, bundle, self.NR["getppid"]) == (-1, EPERM)

    def test_exec_is_filtered(self, runtime, bundle):
        """exec loads the same filter."""
        bundle.linux["seccomp"] = seccomp("SCMP_ACT_ALLOW", deny("getppid"))
        probe = bundle.probe("syscall")
        with runtime.running(bundle.sh("sleep 1000")):
            assert runtime("exec", bundle.id, probe, "110").check().out.split() == ["-1", "1"]

    @pytest.mark.parametrize("change", [{"defaultAction": "SCMP_ACT_NOSUCH"}, {"architectures": ["SCMP_ARCH_NOSUCH"]}, {"syscalls": [{"names": ["getppid"], "action": "nosuch"}]}])
    def test_bad_profile(self, runtime, bundle, change):
        """Unknown actions and architectures are refused."""
        bundle.linux["seccomp"] = {**seccomp(), **change}
        runtime.run(bundle).fails(rc=1)

    def test_other_architectures(self, runtime, bundle):
        """A profile may name other architectures than the machine's."""
        profile = seccomp("SCMP_ACT_ALLOW", deny("getppid"))
        profile["architectures"] = ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32", "SCMP_ARCH_AARCH64"]
        bundle.linux["seccomp"] = profile
        assert syscall(runtime, bundle, self.NR["getppid"]) == (-1, EPERM)


@pytest.mark.differs(runc="fails: SELinux is not enabled")
def test_selinux_label_elsewhere(runtime, bundle):
    """On a machine without SELinux a label is ignored (with a warning in the log), not an error."""
    if os.path.exists("/sys/fs/selinux/enforce"):
        pytest.skip("SELinux is active here")
    bundle.process["selinuxLabel"] = "system_u:system_r:svirt_lxc_net_t:s0:c124,c675"
    runtime.run(bundle).check()
