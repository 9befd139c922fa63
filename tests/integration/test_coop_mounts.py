"""Mounts: every option that applies, each mount type, propagation, read-only root; seen in the kernel's mountinfo."""

import json
import os
import pathlib
import shlex
import stat
import subprocess

import pytest

from lib import cgroups, mountinfo, proc


def seen(runtime, bundle, point):
    """The mount at this point as the container's own mountinfo shows it."""
    mounts = mountinfo.parse(runtime.output(bundle.args("cat", "/proc/self/mountinfo")))
    found = mountinfo.at(mounts, point)
    assert found is not None, f"nothing mounted at {point}"
    return found


ATIME = {"noatime", "relatime", "nodiratime"}

# options given -> (words that must be there, words that must not), for the mount's own flags
FLAGS = [
    (["ro"], {"ro"}, {"rw"}),
    (["rw"], {"rw"}, {"ro"}),
    (["ro", "rw"], {"rw"}, {"ro"}),
    (["nosuid"], {"nosuid"}, set()),
    (["nosuid", "suid"], set(), {"nosuid"}),
    (["nodev"], {"nodev"}, set()),
    (["nodev", "dev"], set(), {"nodev"}),
    (["noexec"], {"noexec"}, set()),
    (["noexec", "exec"], set(), {"noexec"}),
    (["noatime"], {"noatime"}, {"relatime"}),
    (["noatime", "atime"], set(), {"noatime"}),
    (["nodiratime"], {"nodiratime"}, set()),
    (["nodiratime", "diratime"], set(), {"nodiratime"}),
    (["relatime"], {"relatime"}, {"noatime"}),
    (["strictatime"], set(), {"noatime", "relatime"}),
    (["nosuid", "nodev", "noexec", "ro"], {"nosuid", "nodev", "noexec", "ro"}, set()),
]


@pytest.mark.parametrize("options,present,absent", FLAGS, ids=lambda v: "-".join(sorted(v)) if isinstance(v, set) else "+".join(v))
def test_flags_tmpfs(runtime, bundle, options, present, absent):
    """Per-mount flags on a new tmpfs."""
    found = seen(runtime, bundle.add_mount("/mnt", "tmpfs", "tmpfs", *options), "/mnt")
    assert found.fstype == "tmpfs"
    assert present <= found.options
    assert not absent & found.options


@pytest.mark.parametrize("options,present,absent", FLAGS, ids=lambda v: "-".join(sorted(v)) if isinstance(v, set) else "+".join(v))
def test_flags_bind(runtime, bundle, workdir, options, present, absent):
    """Per-mount flags on a bind mount (they need a second step in the kernel)."""
    (workdir / "data").mkdir()
    found = seen(runtime, bundle.add_mount("/mnt", "bind", workdir / "data", "bind", *options), "/mnt")
    assert present <= found.options
    assert not absent & found.options


@pytest.mark.differs(runc="1.1 hands the word to the kernel")
def test_defaults(runtime, bundle):
    """'defaults' means no flag at all."""
    found = seen(runtime, bundle.add_mount("/mnt", "tmpfs", "tmpfs", "defaults"), "/mnt")
    assert not {"ro", "nosuid", "nodev", "noexec"} & found.options


@pytest.mark.parametrize("option", ["sync", "dirsync", "lazytime"])
def test_superblock_flags(runtime, bundle, option):
    """Flags of the file system show among its own options; their opposites undo them."""
    bundle.add_mount("/mnt", "tmpfs", "tmpfs", option)
    assert option in seen(runtime, bundle, "/mnt").super_options


@pytest.mark.parametrize("options", [["sync", "async"], ["lazytime", "nolazytime"]], ids="+".join)
def test_superblock_flags_undone(runtime, bundle, options):
    """async undoes sync, nolazytime undoes lazytime."""
    bundle.add_mount("/mnt", "tmpfs", "tmpfs", *options)
    assert options[0] not in seen(runtime, bundle, "/mnt").super_options


@pytest.mark.parametrize("option", ["silent", "loud", "iversion", "noiversion", "norelatime", "nostrictatime", "mand", "nomand"])
def test_accepted(runtime, bundle, option):
    """Options with no visible effect on tmpfs are accepted, not passed to the file system."""
    runtime.run(bundle.add_mount("/mnt", "tmpfs", "tmpfs", option)).check()


def test_nosymfollow(runtime, bundle):
    """nosymfollow: symlinks in the mount are not followed."""
    found = seen(runtime, bundle.add_mount("/mnt", "tmpfs", "tmpfs", "nosymfollow"), "/mnt")
    assert "nosymfollow" in found.options


@pytest.mark.parametrize("option", ["nosuch", "size=banana", "rroo"])
def test_unknown_option(runtime, bundle, option):
    """A word the file system does not know is an error that names the mount point."""
    runtime.run(bundle.add_mount("/mnt", "tmpfs", "tmpfs", option)).fails("/mnt", rc=1)


def test_data_options(runtime, bundle):
    """Other options go to the file system: size, mode, uid."""
    bundle.add_mount("/mnt", "tmpfs", "tmpfs", "size=1024k", "mode=0711", "uid=1000", "gid=29")
    out = runtime.output(bundle.sh("stat -c '%a %u %g' /mnt; df -k /mnt | tail -1"))
    assert out.splitlines()[0] == "711 1000 29"
    assert out.splitlines()[1].split()[1] == "1024"


@pytest.mark.parametrize("word", ["private", "rprivate", "shared", "rshared", "slave", "rslave", "unbindable", "runbindable"])
def test_propagation(runtime, bundle, workdir, word):
    """Propagation words of a mount, as mountinfo's optional fields show them."""
    data = workdir / "data"
    data.mkdir()
    proc.run("mount", "--bind", data, data).check()
    proc.run("mount", "--make-shared", data).check()
    found = seen(runtime, bundle.add_mount("/mnt", "bind", data, "rbind", word), "/mnt")
    kind = word[1:] if word.startswith("r") else word
    assert kind in found.propagation


def test_slave_receives(runtime, bundle, workdir):
    """Mounts made outside appear in an rslave bind mount, while the container runs."""
    data = workdir / "data"
    (data / "sub").mkdir(parents=True)
    proc.run("mount", "--bind", data, data).check()
    proc.run("mount", "--make-shared", data).check()
    bundle.add_mount("/mnt", "bind", data, "rbind", "rslave")
    with runtime.running(bundle.sh("sleep 1000")):
        proc.run("mount", "-t", "tmpfs", "outside", data / "sub").check()
        assert "outside /mnt/sub tmpfs" in runtime("exec", bundle.id, "cat", "/proc/mounts").check().out


def test_bind_directory(runtime, bundle, workdir):
    """A bind mount shows the same directory; writes go through."""
    (workdir / "data").mkdir()
    bundle.add_mount("/mnt", "bind", workdir / "data", "bind")
    runtime.run(bundle.sh("echo from inside > /mnt/file")).check()
    assert (workdir / "data/file").read_text() == "from inside\n"


def test_bind_file(runtime, bundle, workdir):
    """A file can be bound on a file; the mount point is created when missing."""
    (workdir / "one").write_text("one file\n")
    bundle.add_mount("/etc/new.conf", "bind", workdir / "one", "bind", "ro")
    assert runtime.output(bundle.args("cat", "/etc/new.conf")) == "one file\n"


def test_bind_without_option(runtime, bundle, workdir):
    """Type 'bind' alone and option 'bind' alone both make a bind mount; 'none' as type, too."""
    (workdir / "data").mkdir()
    (workdir / "data/file").write_text("x\n")
    bundle.add_mount("/mnt", "none", workdir / "data", "rbind").add_mount("/opt", "bind", workdir / "data", "bind")
    assert runtime.output(bundle.args("cat", "/mnt/file", "/opt/file")) == "x\nx\n"


def test_bind_readonly(runtime, bundle, workdir):
    """A read-only bind mount refuses writes although its source is writable."""
    (workdir / "data").mkdir()
    bundle.add_mount("/mnt", "bind", workdir / "data", "bind", "ro")
    runtime.run(bundle.sh("touch /mnt/x")).fails("read-only file system")


def test_bind_missing_source(runtime, bundle):
    """A bind mount whose source is missing is an error naming it."""
    runtime.run(bundle.add_mount("/mnt", "bind", "/nonexistent/source", "bind")).fails("/nonexistent/source", rc=1)


def test_bind_relative_source(runtime, bundle):
    """A relative source is taken from the bundle."""
    (bundle.path / "data").mkdir()
    (bundle.path / "data/file").write_text("relative\n")
    bundle.add_mount("/mnt", "bind", "data", "bind")
    assert runtime.output(bundle.args("cat", "/mnt/file")) == "relative\n"


def test_rbind_is_recursive(runtime, bundle, workdir):
    """rbind takes the mounts below along, bind does not."""
    data = workdir / "data"
    (data / "sub").mkdir(parents=True)
    proc.run("mount", "-t", "tmpfs", "inner", data / "sub").check()
    (data / "sub/file").write_text("x")
    bundle.add_mount("/mnt", "bind", data, "rbind").add_mount("/opt", "bind", data, "bind")
    assert runtime.output(bundle.args("sh", "-c", "ls /mnt/sub; echo -; ls /opt/sub")) == "file\n-\n"


def test_rbind_ro_is_not_recursive(runtime, bundle, workdir):
    """ro with rbind makes the top mount read-only only; rro makes all of them so."""
    data = workdir / "data"
    (data / "sub").mkdir(parents=True)
    proc.run("mount", "-t", "tmpfs", "inner", data / "sub").check()
    bundle.add_mount("/mnt", "bind", data, "rbind", "ro").add_mount("/opt", "bind", data, "rbind", "rro")
    mounts = mountinfo.parse(runtime.output(bundle.args("cat", "/proc/self/mountinfo")))
    flag = {m.point: "ro" in m.options for m in mounts if m.point.startswith(("/mnt", "/opt"))}
    assert flag == {"/mnt": True, "/mnt/sub": False, "/opt": True, "/opt/sub": True}


@pytest.mark.parametrize(
    "option,word",
    [("rnosuid", "nosuid"), ("rnodev", "nodev"), ("rnoexec", "noexec"), ("rnoatime", "noatime"), ("rnodiratime", "nodiratime"), ("rnosymfollow", "nosymfollow")],
)
def test_recursive_attributes(runtime, bundle, workdir, option, word):
    """r-prefixed attributes apply to the whole mount tree."""
    data = workdir / "data"
    (data / "sub").mkdir(parents=True)
    proc.run("mount", "-t", "tmpfs", "inner", data / "sub").check()
    bundle.add_mount("/mnt", "bind", data, "rbind", option)
    mounts = mountinfo.parse(runtime.output(bundle.args("cat", "/proc/self/mountinfo")))
    assert all(word in mountinfo.at(mounts, point).options for point in ("/mnt", "/mnt/sub"))


def test_recursive_attributes_cleared(runtime, bundle, workdir):
    """rrw and rexec clear attributes of the mounts below."""
    data = workdir / "data"
    (data / "sub").mkdir(parents=True)
    proc.run("mount", "-t", "tmpfs", "-o", "ro,noexec", "inner", data / "sub").check()
    bundle.add_mount("/mnt", "bind", data, "rbind", "rrw", "rexec")
    mounts = mountinfo.parse(runtime.output(bundle.args("cat", "/proc/self/mountinfo")))
    assert not mountinfo.at(mounts, "/mnt/sub").options & {"ro", "noexec"}


def test_order(runtime, bundle, workdir):
    """Mounts are made in the order listed: later ones cover earlier ones and may lie inside them."""
    (workdir / "data").mkdir()
    (workdir / "data/file").write_text("x")
    bundle.add_mount("/mnt", "tmpfs", "first").add_mount("/mnt/below", "bind", workdir / "data", "bind")
    bundle.add_mount("/mnt", "tmpfs", "second")
    points = [m.source for m in mountinfo.parse(runtime.output(bundle.args("cat", "/proc/self/mountinfo"))) if m.point == "/mnt"]
    assert points == ["first", "second"]


@pytest.mark.parametrize("point,fstype", [("/proc", "proc"), ("/sys", "sysfs"), ("/dev", "tmpfs"), ("/dev/pts", "devpts"), ("/dev/shm", "tmpfs"), ("/dev/mqueue", "mqueue")])
def test_default_mounts(runtime, bundle, point, fstype):
    """The usual mounts exist with the file system asked for and the options of the config."""
    found = seen(runtime, bundle, point)
    assert found.fstype == fstype
    wanted = {o for o in bundle.mount_for(point).get("options", []) if o in ("nosuid", "nodev", "noexec", "ro")}
    assert wanted <= found.options


def test_devpts_options(runtime, bundle):
    """/dev/pts is a new instance with the mode and group asked for."""
    found = seen(runtime, bundle, "/dev/pts")
    assert {"gid=5", "mode=620", "ptmxmode=666"} <= found.super_options


def test_proc_shows_own_processes(runtime, bundle):
    """/proc is that of the container's PID namespace."""
    assert runtime.output(bundle.args("cat", "/proc/1/comm")) == "cat\n"


@pytest.mark.needs("cgroup1")
def test_cgroup_mount(runtime, bundle):
    """The cgroup mount shows each hierarchy, with the container's own cgroup at its top, read-only."""
    mounts = mountinfo.parse(runtime.output(bundle.args("cat", "/proc/self/mountinfo")))
    memory = mountinfo.at(mounts, "/sys/fs/cgroup/memory")
    assert memory is not None and memory.fstype == "cgroup"
    assert "ro" in memory.options
    assert {"nosuid", "nodev", "noexec"} <= memory.options
    pids = runtime.output(bundle.sh("cat /sys/fs/cgroup/memory/cgroup.procs /sys/fs/cgroup/pids/cgroup.procs")).split()
    assert "1" in pids
    runtime.run(bundle.sh("mkdir /sys/fs/cgroup/memory/sub")).fails()


@pytest.mark.needs("cgroup1")
@pytest.mark.differs(crun="leaves the directory writable", runc="leaves the directory writable")
def test_mount_below_cgroup_mount(runtime, bundle, workdir):
    """A mount among the hierarchies has its mount point made there, and the directory is read-only all the same.

    Seen to fail with coop while the directory was read-only from the beginning: podman --systemd=always without privileges, and
    a volume on /sys/fs/cgroup/unified.
    """
    (workdir / "more").mkdir()
    (workdir / "more/file").write_text("content\n")
    bundle.add_mount("/sys/fs/cgroup/more", "bind", workdir / "more", "bind", "ro")
    result = runtime.run(bundle.sh("cat /sys/fs/cgroup/more/file; grep ' /sys/fs/cgroup tmpfs ro,' /proc/mounts | wc -l; mkdir /sys/fs/cgroup/other /sys/fs/cgroup/memory/sub"))
    assert result.rc != 0 and result.out == "content\n1\n"
    assert result.err.lower().count("read-only file system") == 2


@pytest.mark.needs("cgroup1")
def test_cgroup_mount_writable(runtime, bundle):
    """Without 'ro' the container may make cgroups below its own, and only there."""
    entry = bundle.mount_for("/sys/fs/cgroup")
    entry["options"].remove("ro")
    bundle.namespace("cgroup")
    runtime.run(bundle.sh("mkdir /sys/fs/cgroup/memory/sub && rmdir /sys/fs/cgroup/memory/sub")).check()


@pytest.mark.needs("cgroup1")
@pytest.mark.parametrize("user", [False, True])
def test_cgroup_mount_in_a_namespace(runtime, bundle, user):
    """With a cgroup namespace each hierarchy has the container's group as its root, in mountinfo as well; nothing of others is seen, and
    other hierarchies than those of the host are none."""
    bundle.namespace("cgroup")
    if user:
        bundle.userns()
    out = runtime.output(bundle.sh("cat /proc/self/mountinfo; echo ---; cat /proc/self/cgroup; echo ---; cat /sys/fs/cgroup/*/cgroup.procs | sort -u"))
    mounts, groups, pids = out.split("---\n")
    inside = [m for m in mountinfo.parse(mounts) if m.fstype == "cgroup"]
    hierarchies = {m.point for m in mountinfo.read() if m.fstype == "cgroup"}
    assert {m.point for m in inside} == hierarchies
    assert {m.root for m in inside} == {"/"}
    assert all({"nosuid", "nodev", "noexec"} <= m.options for m in inside)
    assert all(line.endswith(":/") for line in groups.splitlines())
    # The shell and the programs of its pipe.
    assert "1" in pids.split() and len(pids.split()) <= 4


@pytest.mark.needs("cgroup1")
def test_cgroup_mount_that_is_shared(runtime, bundle):
    """With rootfsPropagation rshared, on a host whose mounts are shared: what is mounted over a hierarchy inside does not show in the host's
    control groups, which can be removed at the end."""
    name = next(pathlib.Path(m.point).name for m in mountinfo.read() if m.fstype == "cgroup")
    bundle.namespace("cgroup").caps("CAP_SYS_ADMIN").linux["rootfsPropagation"] = "rshared"
    bundle.sh(f"mount -t tmpfs fromwithin /sys/fs/cgroup/{name} && grep -q fromwithin /proc/self/mounts").save()
    run = shlex.join(str(word) for word in runtime.argv("run", "--bundle", bundle.path, bundle.id))
    script = f"mount --make-rshared / && {run} && cat /proc/self/mountinfo"
    result = proc.run("unshare", "--mount", "--propagation", "private", "sh", "-c", script, env=runtime.environ).check()
    seen = mountinfo.parse(result.out)
    assert [m for m in seen if m.fstype == "cgroup" and "shared" in m.propagation]
    assert not [m for m in seen if m.source == "fromwithin" and "/sys/fs/cgroup" in m.point and not m.point.startswith(str(bundle.rootfs))]
    assert cgroups.named(bundle.id) == []


@pytest.mark.needs("cgroup1")
@pytest.mark.differs(runc="1.1 looks for a directory that is not there", crun="")
@pytest.mark.parametrize("private", [False, True])
def test_cgroup_mount_of_a_part(runtime, bundle, private):
    """Where the hierarchies of the caller are parts of trees, as in a container, and the container's group is below that part by its whole path."""
    if private:
        bundle.namespace("cgroup")
    part = f"/{bundle.id}-part"
    bundle.linux["cgroupsPath"] = f"{part}/{bundle.id}"
    bundle.sh("cat /sys/fs/cgroup/*/cgroup.procs | sort -u; cat /proc/self/cgroup").save()
    hierarchies = [m.point for m in mountinfo.read() if m.fstype in ("cgroup", "cgroup2")]
    made = [pathlib.Path(f"{point}{part}") for point in hierarchies]
    run = shlex.join(str(word) for word in runtime.argv("run", "--bundle", bundle.path, bundle.id))
    binds = " && ".join(f"mount --bind {point}{part} {point}" for point in hierarchies)
    try:
        for path in made:
            path.mkdir()
            for name in ("cpuset.cpus", "cpuset.mems"):
                if (path.parent / name).exists():
                    (path / name).write_text((path.parent / name).read_text())
        out = proc.run("unshare", "--mount", "sh", "-c", f"{binds} && {run}", env=runtime.environ).check().out.split()
    finally:
        for path in made:
            path.rmdir()
    assert "1" in out and all(line.endswith(":/") == private for line in out if ":" in line)


def test_readonly_root(runtime, bundle):
    """root.readonly: the root refuses writes, mounts in it do not."""
    result = runtime.run(bundle.sh("touch /x; touch /dev/shm/y && echo fine"))
    assert result.out == "fine\n"
    assert "read-only file system" in result.err.lower()
    assert "ro" in seen(runtime, bundle, "/").options


def test_writable_root(runtime, bundle):
    """Without root.readonly the root file system takes writes."""
    runtime.run(bundle.writable().sh("echo x > /file")).check()
    assert (bundle.rootfs / "file").read_text() == "x\n"


def test_readonly_root_keeps_submounts(runtime, bundle, workdir):
    """A writable bind mount below a read-only root stays writable."""
    (workdir / "data").mkdir()
    bundle.add_mount("/mnt", "bind", workdir / "data", "bind")
    runtime.run(bundle.sh("touch /mnt/file")).check()


def test_relative_root(runtime, bundle):
    """root.path may be absolute or relative to the bundle."""
    bundle.config["root"]["path"] = str(bundle.rootfs)
    assert runtime.output(bundle.args("echo", "a")) == "a\n"
    bundle.config["root"]["path"] = "./rootfs"
    assert runtime.output(bundle.args("echo", "b")) == "b\n"


def test_mount_point_is_created(runtime, bundle):
    """Missing mount points are made, with mode 0755."""
    runtime.run(bundle.add_mount("/a/b/c", "tmpfs", "tmpfs")).check()
    assert stat.S_IMODE((bundle.rootfs / "a/b").stat().st_mode) == 0o755


def test_tmpfs_takes_mode(runtime, bundle):
    """A tmpfs over an existing directory takes that directory's mode unless told otherwise."""
    (bundle.rootfs / "private").mkdir(mode=0o700)
    bundle.add_mount("/private", "tmpfs", "tmpfs")
    assert runtime.output(bundle.args("stat", "-c", "%a", "/private")) == "700\n"


def test_tmpcopyup(runtime, bundle):
    """tmpcopyup fills the tmpfs with what it covers."""
    bundle.add_mount("/etc", "tmpfs", "tmpfs", "tmpcopyup", "nosuid")
    out = runtime.output(bundle.sh("touch /etc/new && head -1 /etc/passwd; grep ' /etc ' /proc/mounts"))
    assert out.startswith("root:x:0:0")
    assert "tmpfs /etc tmpfs" in out
    assert not (bundle.rootfs / "etc/new").exists()


def test_destination_symlink_in_root(runtime, bundle, workdir):
    """A symlink in the way is resolved inside the root file system, never on the host."""
    outside = workdir / "outside"
    outside.mkdir()
    (bundle.rootfs / "link").symlink_to(outside)
    bundle.add_mount("/link/point", "tmpfs", "tmpfs")
    runtime.run(bundle)
    assert os.listdir(outside) == []
    (bundle.rootfs / "up").symlink_to("../../../../../../" + str(outside))
    bundle.mounts[-1]["destination"] = "/up/point"
    runtime.run(bundle)
    assert os.listdir(outside) == []


def test_destination_dotdot(runtime, bundle):
    """.. in a destination stays inside the root file system."""
    before = set(os.listdir(bundle.path))
    runtime.run(bundle.add_mount("/../../mnt", "tmpfs", "tmpfs"))
    assert set(os.listdir(bundle.path)) <= before | {"config.json"}


def test_destination_root(runtime, bundle):
    """A mount on / of the container is refused or stays inside; the container never gets the host's root."""
    bundle.add_mount("/", "bind", "/etc", "bind")
    result = runtime.run(bundle.sh("ls /"), timeout=20)
    assert result.rc != 0 or "proc" in result.out


def test_relative_destination(runtime, bundle):
    """A relative destination is taken from the root (tolerated since spec 1.2)."""
    bundle.config["ociVersion"] = "1.2.0"
    assert seen(runtime, bundle.add_mount("mnt/x", "tmpfs", "tmpfs"), "/mnt/x").fstype == "tmpfs"


def test_unknown_file_system(runtime, bundle):
    """An unknown file system type is an error naming it."""
    result = runtime.run(bundle.add_mount("/mnt", "nosuchfs", "none")).fails(rc=1)
    assert "nosuchfs" in result.err or "/mnt" in result.err


@pytest.mark.differs(runc="1.1 makes the parent private: nothing shows outside", crun="")
def test_rootfs_propagation_shared(runtime, bundle, workdir):
    """rootfsPropagation shared: a mount made inside shows outside, in the tree the root came from."""
    proc.run("mount", "--bind", workdir, workdir).check()
    proc.run("mount", "--make-rshared", workdir).check()
    (bundle.rootfs / "mnt").mkdir()
    bundle.linux["rootfsPropagation"] = "shared"
    bundle.writable().caps("CAP_SYS_ADMIN")
    runtime.run(bundle.sh("mount -t tmpfs fromwithin /mnt && grep -q 'shared:' /proc/self/mountinfo")).check()
    assert [m for m in mountinfo.read() if m.source == "fromwithin"]


@pytest.mark.parametrize("kind", ["--make-rprivate", "--make-rslave"])
def test_rootfs_propagation_shared_with_nobody(runtime, bundle, workdir, kind):
    """rootfsPropagation shared of a root that lies on a mount without peers: it is the first of its group (podman -v A:B:shared)."""
    proc.run("mount", "--bind", workdir, workdir).check()
    proc.run("mount", "--make-private", workdir).check()
    proc.run("mount", kind, workdir).check()
    bundle.linux["rootfsPropagation"] = "shared"
    out = runtime.output(bundle.args("cat", "/proc/self/mountinfo"))
    assert "shared" in mountinfo.at(mountinfo.parse(out), "/").propagation


@pytest.mark.parametrize("options, seen", [(("noatime", "norelatime"), "noatime"), (("noatime", "nostrictatime"), "noatime"), (("strictatime", "norelatime"), ""), (("strictatime", "nostrictatime"), "relatime")])
def test_negations_of_access_times(runtime, bundle, options, seen):
    """norelatime and nostrictatime take back themselves, nothing else."""
    bundle.add_mount("/mnt", "tmpfs", "tmpfs", *options)
    found = runtime.output(bundle.sh("grep ' /mnt ' /proc/self/mounts")).split()[3].split(",")
    assert [word for word in found if word.endswith("atime")] == ([seen] if seen else [])


@pytest.mark.parametrize("word", ["slave", "rslave", "private", "rprivate"])
def test_rootfs_propagation_closed(runtime, bundle, workdir, word):
    """rootfsPropagation slave and private: a mount made inside does not show outside."""
    proc.run("mount", "--bind", workdir, workdir).check()
    proc.run("mount", "--make-rshared", workdir).check()
    (bundle.rootfs / "mnt").mkdir()
    bundle.linux["rootfsPropagation"] = word
    bundle.writable().caps("CAP_SYS_ADMIN")
    out = runtime.output(bundle.sh("mount -t tmpfs fromwithin /mnt && cat /proc/self/mountinfo"))
    assert not [m for m in mountinfo.read() if m.source == "fromwithin"]
    assert "shared" not in mountinfo.at(mountinfo.parse(out), "/").propagation


def test_rootfs_propagation_slave_receives(runtime, bundle, workdir):
    """rootfsPropagation rslave: a mount made outside, below the root, appears inside."""
    proc.run("mount", "--bind", workdir, workdir).check()
    proc.run("mount", "--make-rshared", workdir).check()
    (bundle.rootfs / "mnt").mkdir()
    bundle.linux["rootfsPropagation"] = "rslave"
    with runtime.running(bundle.writable().sh("sleep 1000")):
        proc.run("mount", "-t", "tmpfs", "outside", bundle.rootfs / "mnt").check()
        assert "outside /mnt tmpfs" in runtime("exec", bundle.id, "cat", "/proc/mounts").check().out


@pytest.mark.differs(runc="1.1 has no id-mapped mounts")
def test_idmapped_mount(runtime, bundle, workdir):
    """uidMappings of a mount: files of the host id show with the container's id."""
    data = workdir / "data"
    data.mkdir()
    (data / "file").touch()
    bundle.userns(100000, 65536).add_mount("/mnt", "bind", data, "bind")
    for kind in ("uidMappings", "gidMappings"):
        bundle.mounts[-1][kind] = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    assert runtime.output(bundle.args("stat", "-c", "%u:%g", "/mnt/file")) == "0:0\n"


def mapped(bundle, point, *mount):
    """A mount whose owner 0 shows as 1000."""
    bundle.add_mount(point, *mount)
    for kind in ("uidMappings", "gidMappings"):
        bundle.mounts[-1][kind] = [{"containerID": 0, "hostID": 1000, "size": 10}]


@pytest.mark.differs(runc="1.1 has no id-mapped mounts")
def test_idmapped_mount_without_user_namespace(runtime, bundle, workdir):
    """Mappings of a bind mount need no user namespace of the container."""
    (workdir / "data").mkdir()
    (workdir / "data/file").touch()
    mapped(bundle, "/mnt", "bind", workdir / "data", "bind", "idmap")
    assert runtime.output(bundle.args("stat", "-c", "%u:%g", "/mnt/file")) == "1000:1000\n"


@pytest.fixture
def shared(workdir):
    """A directory with a place to mount on, which shares its mounts as a host's do under systemd."""
    path = workdir / "shared"
    (path / "in").mkdir(parents=True)
    proc.run("mount", "--bind", path, path).check()
    proc.run("mount", "--make-shared", path).check()
    return path


SOURCES = {
    "user namespace": lambda bundle, source: bundle.userns().add_mount("/mnt", "bind", source, "rbind"),
    "id-mapped": lambda bundle, source: mapped(bundle, "/mnt", "bind", source, "rbind", "idmap"),
    "plain": lambda bundle, source: bundle.add_mount("/mnt", "bind", source, "rbind"),
}


@pytest.mark.parametrize("word", ["", "slave", "rprivate", "rshared"])
@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.differs(runc="1.1 has no id-mapped mounts")
def test_mounts_below_a_bind_stay_inside(runtime, bundle, shared, kind, word):
    """What the configuration and the container mount below a bind of a shared directory does not show on the host, whoever opened the directory; rshared does without a user namespace."""
    SOURCES[kind](bundle, shared)
    bundle.add_mount("/mnt/in", "tmpfs", "fromconfig").caps("CAP_SYS_ADMIN")
    if word:
        bundle.linux["rootfsPropagation"] = word
    with runtime.running(bundle.sh("mount -t tmpfs fromprocess /mnt/in && sleep 1000")) as state:
        proc.until(lambda: [m for m in mountinfo.read(state["pid"]) if m.source == "fromprocess"])
        outside = {m.source for m in mountinfo.read() if m.source.startswith("from")}
        assert mountinfo.at(mountinfo.read(state["pid"]), "/mnt/in").source == "fromprocess"
    for _ in range(2 * len(outside)):
        proc.run("umount", "-l", shared / "in")
    assert outside == ({"fromconfig", "fromprocess"} if word == "rshared" and kind != "user namespace" else set())


@pytest.mark.parametrize("word", ["", "rshared"])
def test_mounts_over_a_mask_stay_inside(runtime, bundle, word):
    """The host's /dev/null, which masks files, shares no mounts with the masks."""
    bundle.linux["maskedPaths"] = ["/etc/hidden"]
    (bundle.rootfs / "etc/hidden").write_text("hidden")
    (bundle.rootfs / "etc/evil").write_text("evil")
    if word:
        bundle.linux["rootfsPropagation"] = word
    proc.run("mount", "--bind", "/dev/null", "/dev/null").check()
    proc.run("mount", "--make-shared", "/dev/null").check()
    try:
        assert runtime.output(bundle.caps("CAP_SYS_ADMIN").sh("mount --bind /etc/evil /etc/hidden; cat /etc/hidden")) == "evil"
        assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    finally:
        while [mount for mount in mountinfo.read() if mount.point == "/dev/null"]:
            subprocess.run(["umount", "/dev/null"], check=True)  # proc.run() opens it


@pytest.mark.differs(runc="has no such option")
def test_mappings_as_an_option(runtime, bundle, workdir):
    """crun's idmap=uids=FROM-TO-COUNT#...;gids=...: ids of the host; the mount's own mappings win."""
    (workdir / "data").mkdir()
    (workdir / "data/file").touch()
    os.chown(workdir / "data/file", 5, 6)
    words = "idmap=uids=0-100-1#5-1000-1;gids=0-0-10"
    bundle.add_mount("/mnt", "bind", workdir / "data", "bind", words)
    assert runtime.output(bundle.args("stat", "-c", "%u:%g", "/mnt", "/mnt/file")).split() == ["100:0", "1000:6"]
    for kind in ("uidMappings", "gidMappings"):
        bundle.mounts[-1][kind] = [{"containerID": 0, "hostID": 500, "size": 10}]
    assert runtime.output(bundle.args("stat", "-c", "%u:%g", "/mnt/file")) == "505:506\n"


@pytest.mark.differs(runc="has no such option", crun="1.8 looks up the file system's id instead of the container's")
def test_relative_mappings_as_an_option(runtime, bundle, workdir):
    """With @ they are ids of the container's user namespace, also over two of its ranges."""
    (workdir / "data").mkdir()
    for owner in (50, 51, 53):
        (workdir / f"data/{owner}").touch()
        os.chown(workdir / f"data/{owner}", owner, owner)
    bundle.userns(100000, 65536)
    for kind in ("uidMappings", "gidMappings"):
        bundle.config["linux"][kind] = [{"containerID": 0, "hostID": 100000, "size": 2}, {"containerID": 2, "hostID": 200000, "size": 65534}]
    bundle.add_mount("/mnt", "bind", workdir / "data", "bind", "idmap=uids=@50-1-3;gids=@0-0-65536")
    files = [f"/mnt/{owner}" for owner in (50, 51, 53)]
    assert runtime.output(bundle.args("stat", "-c", "%u:%g", *files)).split() == ["1:50", "2:51", "65534:53"]
    bundle.mounts[-1]["options"] = ["bind", "idmap=uids=@0-65530-10;gids=0-0-1"]
    runtime.run(bundle).fails("/mounts/", "id 65536 of an id-mapped mount is not in the container's user namespace")


@pytest.mark.differs(runc="lets the kernel say it", crun="lets the kernel say it")
def test_mappings_that_overlap(runtime, bundle, workdir):
    """Said with their place, before anything is made."""
    mapped(bundle, "/mnt", "bind", workdir, "bind", "idmap")
    bundle.mounts[-1]["gidMappings"].append({"containerID": 5, "hostID": 7000, "size": 1})
    runtime.run(bundle).fails(f"/mounts/{len(bundle.mounts) - 1}/gidMappings/1: the mapping overlaps that of index 0")


@pytest.mark.parametrize("options,inner", [(["rbind", "ridmap"], "1000:1000"), (["rbind", "idmap"], "0:0")], ids=["ridmap", "idmap"])
@pytest.mark.differs(runc="1.1 has no id-mapped mounts")
def test_recursive_idmap(runtime, bundle, workdir, options, inner):
    """ridmap maps the owners of the mounts below, too; idmap those of the one mount."""
    (workdir / "data/sub").mkdir(parents=True)
    proc.run("mount", "-t", "tmpfs", "inner", workdir / "data/sub").check()
    mapped(bundle, "/mnt", "bind", workdir / "data", *options)
    assert runtime.output(bundle.args("stat", "-c", "%u:%g", "/mnt", "/mnt/sub")).split() == ["1000:1000", inner]


@pytest.mark.differs(runc="1.1 has no id-mapped mounts")
def test_idmapped_file_system(runtime, bundle):
    """A new file system can be id-mapped as well, keeping its flags and options."""
    mapped(bundle, "/mnt", "tmpfs", "tmpfs", "idmap", "nosuid", "noexec", "size=1024k", "mode=0711")
    found = seen(runtime, bundle, "/mnt")
    assert {"nosuid", "noexec"} <= found.options and "size=1024k" in found.super_options
    assert runtime.output(bundle.args("stat", "-c", "%u:%g %a", "/mnt")) == "1000:1000 711\n"


def test_all_option_words(runtime, bundle, workdir):
    """Every word that 'features' lists is taken by the kernel on a bind mount or a file system."""
    words = json.loads(runtime("features").check().out)["mountOptions"]
    (workdir / "data").mkdir()
    for word in words:
        point = f"/all/{word}"
        if word in ("bind", "rbind"):
            bundle.add_mount(point, "none", workdir / "data", word)
        elif word == "remount":
            bundle.add_mount("/all/bind", "none", "none", "remount", "ro")
        elif word in ("idmap", "ridmap"):
            mapped(bundle, point, "bind", workdir / "data", "rbind", word)
        elif word == "tmpcopyup":
            bundle.add_mount(point, "tmpfs", "tmpfs", word)
        else:
            bundle.add_mount(point, "tmpfs", "tmpfs", word)
    mounts = mountinfo.parse(runtime.output(bundle.args("cat", "/proc/self/mountinfo")))
    points = {m.point for m in mounts}
    assert {f"/all/{w}" for w in words if w != "remount"} <= points
    assert "ro" in mountinfo.at(mounts, "/all/bind").options
    assert len(words) > 60


def test_host_root_is_gone(runtime, bundle):
    """After pivot_root nothing of the host's mounts is left in the container's mountinfo."""
    mounts = mountinfo.parse(runtime.output(bundle.args("cat", "/proc/self/mountinfo")))
    assert [m.point for m in mounts].count("/") == 1
    assert not [m for m in mounts if m.point.startswith(str(pathlib.Path("/tmp/")))]


def test_no_pivot(runtime, bundle):
    """--no-pivot works with a move of the root instead."""
    assert runtime.run(bundle.args("ls", "/probe"), "--no-pivot").check().out == ""


@pytest.mark.parametrize("userns", [False, True], ids=["root", "user namespace"])
def test_no_pivot_leaves_no_whole_proc(runtime, bundle, workdir, userns):
    """--no-pivot: the host's mounts of proc are gone or covered wherever they were, so that a user namespace inside gets no proc without the masks."""
    (workdir / "elsewhere").mkdir()
    (workdir / "hidden/below").mkdir(parents=True)
    for place in (workdir / "elsewhere", "/proc", *([] if userns else [workdir / "hidden/below"])):
        proc.run("mount", "-t", "proc", "proc", place).check()
    proc.run("mount", "-t", "tmpfs", "cover", workdir / "hidden").check()
    (bundle.rootfs / "mnt").mkdir()
    if userns:
        bundle.userns()
    bundle.process["user"] = {"uid": 1000, "gid": 1000}
    try:
        before = [m.point for m in mountinfo.read()]
        result = runtime.run(bundle.sh("unshare -r -m -p -f sh -c 'mount -t proc proc /mnt && ls /mnt/keys'; cat /proc/self/mountinfo"), "--no-pivot").check()
        assert "/mnt/keys" not in result.out and "mount: permission denied" in result.err, result
        assert "/proc/keys" in [m.point for m in mountinfo.parse("\n".join(line for line in result.lines if " - " in line))]
        assert [m.point for m in mountinfo.read()] == before
    finally:
        proc.run("umount", "-l", "/proc").check()


def test_no_pivot_and_shared_mounts(runtime, bundle, shared):
    """--no-pivot with rootfsPropagation rshared: nothing that goes in the container's namespace goes on the host, and binds share all the same."""
    kinds = {point: mountinfo.at(mountinfo.read(), point).propagation for point in ("/", "/proc")}
    for point in kinds:
        proc.run("mount", "--make-shared", point).check()
    proc.run("mount", "-t", "proc", "proc", "/proc").check()
    try:
        before = [m.point for m in mountinfo.read()]
        bundle.linux["rootfsPropagation"] = "rshared"
        bundle.add_mount("/mnt", "bind", shared, "rbind").caps("CAP_SYS_ADMIN", "CAP_SETFCAP")
        script = "mount -t tmpfs fromprocess /mnt/in; unshare -r -m -p -f mount -t proc proc /mnt; ls /proc/self/comm"
        result = runtime.run(bundle.sh(script), "--no-pivot").check()
        assert result.out == "/proc/self/comm\n" and "mount: permission denied" in result.err, result
        assert [m.point for m in mountinfo.read()] == [*before, str(shared / "in")]
    finally:
        proc.run("umount", "-l", "/proc").check()
        for point, kind in kinds.items():
            proc.run("mount", f"--make-{kind}", point).check()


def test_remount_changes_the_file_system(runtime, bundle):
    """remount without bind changes what it names of the file system too; with bind only the mount."""
    bundle.add_mount("/mnt", "tmpfs", "tmpfs", "size=64k", "nr_inodes=9").add_mount("/mnt", "tmpfs", "tmpfs", "remount", "size=32k", "sync", "nosuid")
    found = seen(runtime, bundle, "/mnt")
    assert {"size=32k", "nr_inodes=9", "sync"} <= found.super_options and "nosuid" in found.options
    bundle.mounts[-1]["options"] = ["bind", "remount", "size=32k", "ro"]
    found = seen(runtime, bundle, "/mnt")
    assert "size=64k" in found.super_options and {"ro"} <= found.options
    bundle.mounts[-1]["options"] = ["remount", "size=banana"]
    runtime.run(bundle).fails("/mnt", "size", rc=1)


def test_covered_read_only_tmpfs(runtime, bundle, workdir):
    """A read-only tmpfs that a later mount covers is read-only; the later mount is what its own options say."""
    (workdir / "data").mkdir()
    bundle.add_mount("/mnt/low/deep", "tmpfs", "low", "ro").add_mount("/mnt/same", "tmpfs", "low", "ro").add_mount("/mnt/same/below", "tmpfs", "below")
    bundle.add_mount("/mnt/same", "bind", workdir / "data", "rbind", "rw").add_mount("/mnt/low", "tmpfs", "cover")
    mounts = mountinfo.parse(runtime.output(bundle.args("cat", "/proc/self/mountinfo")))
    assert ["ro" in m.options for m in mounts if m.source == "low"] == [True, True]
    assert "rw" in mountinfo.at(mounts, "/mnt/same").options and "rw" in mountinfo.at(mounts, "/mnt/low").options
    assert "rw" in next(m for m in mounts if m.source == "below").options
