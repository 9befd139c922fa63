"""Attacks from the container or its image on the start and on exec. One test or more for each known attack:

    CVE-2016-9962                       test_joining_process_is_opaque
    CVE-2019-5736                       TestProgramFile
    CVE-2024-21626                      TestCwd, test_security_descriptors.py
    CVE-2019-19921, 2023-27561, -28642  TestProc, test_security_races.py (test_shared_root, test_masks_of_a_moved_proc)
    CVE-2021-30465                      test_mount_point_symlinks, test_security_races.py (test_mount_point_in_a_shared_volume)
    CVE-2022-29162                      test_coop_exec.py (test_cap, test_inheritable_is_empty)
    CVE-2023-25809                      test_security_confinement.py (test_host_cgroups_through_sys)
    CVE-2024-45310                      test_mkdir_through_dangling_symlink, test_security_races.py (test_directories_on_the_way)
    CVE-2025-31133                      TestDevNull, test_security_races.py (test_shared_root)
    CVE-2025-52565                      TestConsole, test_security_confinement.py (test_terminal_links)
    CVE-2025-52881                      TestProc, test_security_confinement.py (test_exec_ignores_the_containers_proc, test_sysctl_ignores_the_image)
    CVE-2026-41579, 2026-47766          TestDevSymlink, test_security_races.py (test_shared_root)
    CVE-2026-30892                      test_coop_exec.py (test_user_is_parsed_strictly)
    no pivot_root                       test_no_pivot_hides_host_proc, test_security_confinement.py (test_chroot_escape)
    host-wide sysctl                    test_coop_kernel.py (test_sysctl_host_wide, test_sysctl_without_namespace)
    newer system calls                  test_coop_kernel.py (test_newer_calls_get_enosys)
    setgid directories, streams, hooks, test_security_confinement.py, test_security_descriptors.py (test_hooks), test_coop_process.py
    environment, death of the init      (test_env_duplicates, test_capability_sets_of_a_user)
"""

import hashlib
import os
import pathlib
import shutil
import subprocess

import pytest

from lib import mountinfo, proc, ptys


def digest(path):
    """SHA-256 of a file."""
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


def tree(path):
    """Every path below a directory with its kind: to see that nothing was added or changed."""
    found = {}
    for folder, names, files in os.walk(path):
        for name in names + files:
            item = os.path.join(folder, name)
            info = os.lstat(item)
            found[item] = (info.st_mode, info.st_rdev, info.st_size)
    return found


@pytest.fixture
def own_copy(runtime, workdir):
    """The runtime as a private copy of its program file, which an attack may spoil."""
    copy = workdir / "bin"
    copy.mkdir()
    shutil.copy2(os.path.realpath(runtime.binary), copy / "coop")
    runtime.binary = str(copy / "coop")
    return copy / "coop"


class TestProgramFile:
    """CVE-2019-5736: a container overwrites the host's runtime through /proc/PID/exe."""

    def attack(self, bundle):
        """A container that watches for foreign program files, with rights to do harm."""
        return bundle.caps("CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_SYS_ADMIN").args(bundle.probe("overwrite"), "2")

    def test_exec(self, runtime, bundle, own_copy, workdir):
        """While the container watches, execs of harmless programs and of /proc/self/exe leave the runtime's file alone."""
        before = digest(own_copy)
        out = workdir / "out"
        with runtime.running(self.attack(bundle), output=out):
            proc.until(lambda: "watching" in out.read_text())
            for argv in [("true",), ("/proc/self/exe",), ("/proc/self/exe", "--version"), ("/proc/1/exe",)] * 6:
                if runtime.status(bundle.id) != "running":
                    break
                runtime("exec", bundle.id, *argv, timeout=20)
            runtime.wait_status(bundle.id, "stopped")
        assert digest(own_copy) == before

    def test_vain_writes(self, runtime, bundle, own_copy, workdir):
        """A container that finds a program file and tries to write to it cannot even make the host's execs of it fail (ETXTBSY)."""
        out = workdir / "out"
        with runtime.running(self.attack(bundle).args(bundle.probe("overwrite"), "5"), output=out):
            proc.until(lambda: "watching" in out.read_text())
            while "found" not in out.read_text():
                runtime("exec", bundle.id, "true").check()
            for _ in range(400):
                subprocess.run([own_copy, "--version"], stdout=subprocess.DEVNULL, check=True)

    @pytest.mark.parametrize("arguments", [("/proc/self/exe", "--version"), ("/script",)])
    def test_own_program(self, runtime, bundle, arguments):
        """The runtime's file cannot be the program of a container, or the interpreter of its program."""
        (bundle.rootfs / "script").write_text("#!/proc/self/exe --version\n")
        (bundle.rootfs / "script").chmod(0o755)
        result = runtime.run(bundle.args(*arguments))
        assert result.rc != 0 and "spec" not in result.out, result
        assert "ermission denied" in result.err, result

    @pytest.mark.parametrize("program", ["/proc/self/exe", "/script"])
    def test_run(self, runtime, bundle, own_copy, program):
        """A start whose program is the runtime itself (/proc/self/exe, or a script with it as interpreter)."""
        before = digest(own_copy)
        (bundle.rootfs / "script").write_text("#!/proc/self/exe\n")
        (bundle.rootfs / "script").chmod(0o755)
        runtime.run(bundle.args(program), timeout=20)
        assert digest(own_copy) == before

    @pytest.mark.differs(runc="protects its program in another way", crun="protects its program in another way")
    @pytest.mark.needs("strace")
    @pytest.mark.parametrize("fault, executions, copied", [
        (None, 1, False),
        ("prctl:error=EPERM:when=1", 2, False),
        ("mmap:error=ENOMEM:when=2", 2, False),
        ("mmap:error=ENOMEM:when=4", 2, False),
        ("open_tree:error=EPERM", 2, True)])
    def test_the_init_runs_from_what_cannot_be_written(self, runtime, bundle, workdir, fault, executions, copied):
        """Whether the kernel takes another executable for the running program, or it has to be executed again from there, or from a copy."""
        bundle.args("true").save()
        log = workdir / "trace"
        tracer = ["strace", "-o", log, "-e", "trace=execve,execveat,open_tree,mmap,prctl", *(["-e", f"inject={fault}"] if fault else [])]
        proc.run(*tracer, *runtime.argv("create", "--bundle", bundle.path, bundle.id), env=runtime.environ, stdio="null").check()
        assert log.read_text().count("exec") == executions
        executable = f"/proc/{runtime.state(bundle.id)['pid']}/exe"
        assert "memfd" in os.readlink(executable) if copied else os.statvfs(executable).f_flag & os.ST_RDONLY
        with pytest.raises(OSError):
            os.close(os.open(executable, os.O_WRONLY))
        runtime("delete", "--force", bundle.id).check()

    @pytest.mark.differs(runc="protects its program in another way", crun="protects its program in another way")
    @pytest.mark.needs("strace")
    def test_memory_that_cannot_be_executed(self, runtime, bundle, workdir):
        """Without a copy to run from (vm.memfd_noexec=2) a container that may trace others is started from the clone; without the clone, too, nothing is started."""
        bundle.caps("CAP_SYS_PTRACE").args("true").save()
        create = runtime.argv("create", "--bundle", bundle.path, bundle.id)
        tracer = ["strace", "-o", workdir / "trace", "-e", "trace=open_tree,memfd_create", "-e", "inject=memfd_create:error=EACCES"]
        proc.run(*tracer, *create, env=runtime.environ, stdio="null").check()
        executable = f"/proc/{runtime.state(bundle.id)['pid']}/exe"
        assert os.statvfs(executable).f_flag & os.ST_RDONLY
        with pytest.raises(OSError):
            os.close(os.open(executable, os.O_WRONLY))
        runtime("delete", "--force", bundle.id).check()
        proc.run(*tracer, "-e", "inject=open_tree:error=EPERM", *create, env=runtime.environ).fails("protect the runtime's executable", rc=1)

    def test_shared_pid_namespace(self, runtime, make_bundle, own_copy, workdir):
        """An attacker in a shared PID namespace watches the start of a second container."""
        before = digest(own_copy)
        attacker, victim = make_bundle("attacker"), make_bundle("victim")
        out = workdir / "out"
        with runtime.running(self.attack(attacker), output=out) as state:
            proc.until(lambda: "watching" in out.read_text())
            victim.namespace("pid", f"/proc/{state['pid']}/ns/pid")
            for _ in range(10):
                if not os.path.exists(f"/proc/{state['pid']}/ns/pid"):
                    break
                runtime.run(victim)
            runtime.wait_status(attacker.id, "stopped")
        assert digest(own_copy) == before


def test_joining_process_is_opaque(runtime, bundle, workdir):
    """CVE-2016-9962: a container's root cannot open descriptors of the process that joins it.

    Without CAP_SYS_PTRACE: with it the kernel lets a process look at any other of its user namespace.
    """
    out = workdir / "out"
    bundle.args(bundle.probe("snoop"), "3")
    with runtime.running(bundle, output=out):
        proc.until(lambda: "watching" in out.read_text())
        while runtime.status(bundle.id) == "running":
            runtime("exec", bundle.id, "true")
    assert "opened" not in out.read_text()


class TestCwd:
    """CVE-2024-21626: the working directory is a leaked descriptor of the host."""

    @pytest.mark.differs(crun="1.8 gets as far")
    def test_run(self, runtime, bundle):
        """cwd = /proc/self/fd/N never works, for any N."""
        for number in range(3, 31):
            bundle.process["cwd"] = f"/proc/self/fd/{number}"
            result = runtime.run(bundle.args("cat", "../../../../etc/hostname"))
            assert result.rc == 1, f"descriptor {number}\n{result}"

    @pytest.mark.differs(crun="exits 1")
    def test_exec(self, runtime, bundle):
        """The same for exec --cwd."""
        with runtime.running(bundle.sh("sleep 1000")):
            for number in range(3, 31):
                result = runtime("exec", "--cwd", f"/proc/self/fd/{number}", bundle.id, "pwd")
                assert result.rc == 255, f"descriptor {number}\n{result}"

    def test_symlink(self, runtime, bundle):
        """A cwd that is a symlink to such a path, in the image."""
        for number in range(3, 20):
            link = bundle.rootfs / "link"
            link.unlink(missing_ok=True)
            link.symlink_to(f"/proc/self/fd/{number}")
            bundle.process["cwd"] = "/link"
            result = runtime.run(bundle.args("pwd"))
            assert result.rc != 0, f"descriptor {number}\n{result}"


class TestDevNull:
    """CVE-2025-31133: the image's own /dev/null takes part in masking."""

    @pytest.fixture
    def hostile(self, bundle, workdir):
        """An image without a /dev mount whose /dev/null is a symlink to something precious."""
        (workdir / "precious").write_text("precious")
        for point in ("/dev/pts", "/dev/shm", "/dev/mqueue", "/dev"):
            bundle.drop_mount(point)
        bundle.writable()
        return bundle

    @pytest.mark.parametrize("target", ["/proc/sys/kernel/core_pattern", "/etc/secret", "/proc/sysrq-trigger"])
    @pytest.mark.differs(runc="1.1.5 is older than the fix")
    def test_symlink(self, runtime, hostile, target):
        """A masked path never becomes what a symlink at /dev/null points to."""
        (hostile.rootfs / "etc/secret").write_text("content of another file")
        (hostile.rootfs / "dev/null").symlink_to(target)
        hostile.linux["maskedPaths"] = ["/etc/passwd", "/proc/kcore"]
        before = pathlib.Path("/proc/sys/kernel/core_pattern").read_text()
        result = runtime.run(hostile.sh("stat -L -c %t:%T /etc/passwd; cat /etc/passwd"), timeout=10)
        assert result.rc != 0 or result.out.strip() == "1:3", result
        assert pathlib.Path("/proc/sys/kernel/core_pattern").read_text() == before

    def test_regular_file(self, runtime, hostile):
        """A regular file at /dev/null is not used for masking."""
        (hostile.rootfs / "dev/null").write_text("not a device")
        hostile.linux["maskedPaths"] = ["/etc/passwd"]
        result = runtime.run(hostile.sh("cat /etc/passwd"))
        assert "not a device" not in result.out


class TestConsole:
    """CVE-2025-52565: /dev/console and the pty are redirected."""

    @pytest.mark.differs(runc="1.1.5 is older than the fix")
    @pytest.mark.parametrize("target", ["/etc/victim", "/proc/sys/kernel/core_pattern", "../../outside"])
    def test_console_symlink(self, runtime, bundle, workdir, target):
        """An image whose /dev/console is a symlink: refused or replaced; what it points to stays untouched."""
        for point in ("/dev/pts", "/dev/shm", "/dev/mqueue", "/dev"):
            bundle.drop_mount(point)
        bundle.writable().add_mount("/dev/pts", "devpts", "devpts", "newinstance", "ptmxmode=0666", "mode=0620")
        (bundle.rootfs / "dev/pts").mkdir()
        (bundle.rootfs / "etc/victim").write_text("victim")
        (bundle.path / "outside").write_text("outside")
        (bundle.rootfs / "dev/console").symlink_to(target)
        bundle.process["terminal"] = True
        bundle.sh("cat /etc/victim; cat /proc/self/mountinfo").save()
        with ptys.OnTerminal(*runtime.argv("run", "--bundle", bundle.path, bundle.id), env=runtime.environ) as run:
            status, text = run.wait(10)
        assert status != 0 or "victim" in text
        assert (bundle.path / "outside").read_text() == "outside"
        assert not [l for l in text.splitlines() if " /etc/victim " in l or " /proc/sys/kernel/core_pattern " in l]


class TestProc:
    """CVE-2019-19921 and its successors: /proc or /sys are not what they seem."""

    @pytest.mark.parametrize("point", ["proc", "sys"])
    def test_symlink(self, runtime, bundle, point):
        """/proc (or /sys) of the image is a symlink: refused."""
        (bundle.rootfs / point).rmdir()
        (bundle.rootfs / "tmp/fake").mkdir()
        (bundle.rootfs / point).symlink_to("/tmp/fake")
        runtime.run(bundle).fails(rc=1)

    @pytest.mark.parametrize("target", ["/proc/version", "/proc/sys/kernel/hostname", "/proc/self/attr", "/proc/1/attr/exec", "/proc/sysrq-trigger"])
    @pytest.mark.differs(crun="has no such rule")
    def test_mount_inside(self, runtime, bundle, workdir, target):
        """Mounts over other files of /proc are refused."""
        if not os.path.lexists(target.replace("/proc/1", "/proc/self")):
            pytest.skip(f"no {target} here")
        (workdir / "file").write_text("x")
        bundle.add_mount(target, "bind", workdir / "file", "bind")
        runtime.run(bundle).fails(rc=1)

    @pytest.mark.parametrize("name", ["cpuinfo", "meminfo", "stat", "uptime", "loadavg", "swaps", "diskstats"])
    def test_allowed_inside(self, runtime, bundle, workdir, name):
        """The files that LXCFS and the like replace may be covered."""
        (workdir / "file").write_text("replaced\n")
        bundle.add_mount(f"/proc/{name}", "bind", workdir / "file", "bind", "ro")
        assert runtime.output(bundle.args("cat", f"/proc/{name}")) == "replaced\n"

    @pytest.mark.differs(crun="accepts it")
    def test_proc_on_proc(self, runtime, bundle, workdir):
        """A directory bound over all of /proc: only a real proc may be there (labels are written through it)."""
        (workdir / "fake/self/attr").mkdir(parents=True)
        bundle.add_mount("/proc", "bind", workdir / "fake", "bind")
        bundle.linux["maskedPaths"] = bundle.linux["readonlyPaths"] = []
        runtime.run(bundle).fails(rc=1)

    @pytest.mark.parametrize("kind,target", [("bind", "self/attr/exec"), ("bind of proc", "self/attr/exec"), ("proc", "sys"), ("tmpfs", "sys")])
    @pytest.mark.differs(runc="1.1.5 is older than the fix", crun="has no such rule")
    def test_symlink_from_volume(self, runtime, bundle, workdir, kind, target):
        """A mount point that leads over symlinks into /proc is not a way around, whatever is mounted; not for a proc either.

        Seen to fail with coop while it looked at the file system of what is mounted alone.
        """
        (bundle.rootfs / "link").symlink_to("/other")
        (bundle.rootfs / "other").symlink_to("proc/.")
        (workdir / "file").write_text("x")
        source = {"bind": workdir / "file", "bind of proc": "/proc/uptime"}.get(kind, kind)
        bundle.add_mount(f"/link/{target}", kind.split()[0], source, *["bind"] * kind.startswith("bind"))
        runtime.run(bundle).fails("/proc", rc=1)

    @pytest.mark.parametrize("source", ["/proc/self", "/proc/sys"])
    @pytest.mark.differs(runc="1.1.5 is older than the fix", crun="accepts it")
    def test_part_of_proc(self, runtime, bundle, source):
        """A directory of a proc is no proc: what others find at /proc/self there is not their own."""
        bundle.drop_mount("/proc").add_mount("/proc", "bind", source, "bind")
        bundle.linux["maskedPaths"] = bundle.linux["readonlyPaths"] = []
        runtime.run(bundle).fails("/proc", rc=1)

    @pytest.mark.differs(runc="has no such rule", crun="has no such rule")
    def test_device_inside(self, runtime, bundle):
        """In a user namespace devices are bound: a symlink of the image does not lead one over a file of /proc."""
        (bundle.rootfs / "link").symlink_to("/proc/self/attr")
        bundle.linux["devices"] = [{"path": "/link/exec", "type": "c", "major": 1, "minor": 5}]
        runtime.run(bundle.userns()).fails("/proc", rc=1)


class TestDevSymlink:
    """CVE-2026-41579: /dev of the image is a symlink out of the root file system."""

    @pytest.mark.differs(runc="1.1.5 is older than the fix")
    @pytest.mark.parametrize("target", ["../../outside", "/../../../../{outside}", "{outside}"])
    def test_dev_symlink(self, runtime, bundle, target):
        """Nothing is created outside, with and without a mount on /dev."""
        outside = bundle.path / "outside"
        outside.mkdir()
        (bundle.rootfs / "dev").rmdir()
        (bundle.rootfs / "dev").symlink_to(target.format(outside=outside))
        before = tree(outside)
        runtime.run(bundle.writable())
        assert tree(outside) == before
        for point in ("/dev/pts", "/dev/shm", "/dev/mqueue", "/dev"):
            bundle.drop_mount(point)
        bundle.linux["devices"] = [{"path": "/dev/extra", "type": "c", "major": 1, "minor": 5}]
        runtime.run(bundle)
        assert tree(outside) == before
        assert not [m for m in mountinfo.read() if m.point.startswith(str(outside))]

    def test_device_path_symlink(self, runtime, bundle):
        """A device whose parent directory is a symlink outward stays inside."""
        outside = bundle.path / "outside"
        outside.mkdir()
        (bundle.rootfs / "nodes").symlink_to(f"../../{outside.name}")
        bundle.linux["devices"] = [{"path": "/nodes/extra", "type": "c", "major": 1, "minor": 5}]
        runtime.run(bundle.writable())
        assert os.listdir(outside) == []


@pytest.mark.parametrize("link", ["/etc", "../../../../../../etc"])
def test_mount_point_symlinks(runtime, bundle, workdir, link):
    """CVE-2021-30465, the still form: a mount point that is a symlink to a host path is resolved in the root."""
    host = tree("/etc")
    (bundle.rootfs / "point").symlink_to(link)
    bundle.add_mount("/point/created-by-test", "tmpfs", "tmpfs")
    runtime.run(bundle)
    assert tree("/etc") == host


def test_mkdir_through_dangling_symlink(runtime, bundle, workdir):
    """CVE-2024-45310: a dangling symlink on the way makes no file or directory on the host."""
    target = workdir / "made-by-attack"
    (bundle.rootfs / "dangling").symlink_to(target)
    (workdir / "file").write_text("x")
    bundle.add_mount("/dangling", "bind", workdir / "file", "bind")
    runtime.run(bundle)
    bundle.mounts[-1] = {"destination": "/dangling/below", "type": "tmpfs", "source": "tmpfs"}
    runtime.run(bundle)
    assert not target.exists()


def test_setuid_in_bind_source_is_respected(runtime, bundle):
    """noNewPrivileges: a setuid program gives no rights to a user."""
    shutil.copy2(bundle.rootfs / "bin/busybox", bundle.rootfs / "probe/suid")
    bundle.probe("ids")
    os.chmod(bundle.rootfs / "probe/ids", 0o4755)
    bundle.process["user"] = {"uid": 1000, "gid": 1000}
    assert "uid 1000 1000 1000" in runtime.output(bundle.args("/probe/ids"))
    bundle.process["noNewPrivileges"] = False
    assert "uid 1000 0 0" in runtime.output(bundle.args("/probe/ids"))


def test_no_pivot_hides_host_proc(runtime, bundle):
    """--no-pivot: the host's /proc and /sys cannot be reached by leaving the chroot."""
    bundle.caps("CAP_SYS_CHROOT", "CAP_SYS_ADMIN").writable()
    script = "mkdir -p /x && chroot /x /bin/true 2>/dev/null; cat /proc/self/mountinfo"
    result = runtime.run(bundle.sh(script), "--no-pivot")
    points = [m.point for m in mountinfo.parse(result.check().out)]
    assert "/proc" in points


def test_exec_in_changed_root(runtime, bundle):
    """exec after the container replaced programs with symlinks outward: still inside."""
    bundle.writable()
    with runtime.running(bundle.sh("rm /bin/cat; ln -s /../../../../bin/cat /bin/cat; sleep 1000")):
        result = runtime("exec", bundle.id, "/bin/busybox", "stat", "/etc/debian_version")
        assert result.rc != 0
