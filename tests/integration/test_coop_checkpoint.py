"""checkpoint and restore: processes go on where they were; what cannot be saved goes on; a failure leaves nothing."""

import os
import pathlib
import signal
import stat

import pytest

from lib import cgroups, isolate, proc, ptys
from lib.criu import COUNT, SLOW, Counter, checkpoint, deleted, fake_criu, restore, run, start, with_log


def mounts_of(pid):
    """What a process sees mounted, as far as a restore must bring it back."""
    lines = pathlib.Path(f"/proc/{pid}/mountinfo").read_text().splitlines()
    out = []
    for line in lines:
        before, after = line.split(" - ")
        fields = before.split()
        flags = {"ro", "nosuid", "nodev", "noexec"} & set(fields[5].split(","))
        out.append((fields[4], after.split()[0], tuple(sorted(flags))))
    return sorted(out)


# ---- with CRIU


@pytest.mark.needs("criu")
def test_goes_on(runtime, bundle, workdir):
    """A counter counts on after a restore; mounts, cgroup, namespaces, exec, kill and hooks are those of a container."""
    volume = workdir / "volume"
    (volume / "below").mkdir(parents=True)
    isolate.mount("tmpfs", volume / "below", "tmpfs")
    (volume / "below" / "file").write_text("from below\n")
    (workdir / "one").write_text("one file\n")
    bundle.add_mount("/volume", "bind", volume, "rbind", "ro").add_mount("/twice", "bind", volume, "bind", "ro").add_mount("/etc/one", "bind", workdir / "one", "bind")
    bundle.resources["pids"] = {"limit": 77}
    bundle.namespace("cgroup")
    ended = workdir / "ended"
    bundle.hook("poststop", "/bin/sh", "-c", f"echo ended >> {ended}")
    bundle.hook("createRuntime", "/bin/sh", "-c", f"echo made >> {ended}")
    images = workdir / "images"
    with deleted(runtime, bundle.id), Counter() as first, Counter() as second:
        run(runtime, bundle.sh(COUNT), first)
        before = mounts_of(runtime.state(bundle.id)["pid"])
        checkpoint(runtime, bundle, images).check()
        reached = first.end()
        assert not runtime.has_state(bundle.id)
        assert ended.read_text() == "made\nended\n"
        assert stat.S_IMODE(images.stat().st_mode) == 0o700

        restore(runtime, bundle, images, second, "--pid-file", workdir / "pid").check()
        state = runtime.state(bundle.id)
        assert state["status"] == "running"
        assert (workdir / "pid").read_text() == str(state["pid"])
        assert ended.read_text() == "made\nended\nmade\n"
        second.beyond(reached + 2)
        # What was in the pipe when it was saved comes again.
        assert second.first <= reached + 1
        after = mounts_of(state["pid"])
        assert set(before) ^ set(after) == set()
        assert after == before
        script = "cat /volume/below/file /etc/one; cat /proc/kcore | wc -c; cat /proc/1/comm; hostname"
        assert runtime.exec(bundle.id, "sh", "-c", script).check().out == "from below\none file\n0\nsh\ncask\n"
        group = cgroups.home(bundle.linux["cgroupsPath"])
        assert str(state["pid"]) in (group / "cgroup.procs").read_text().split()
        assert (group / "pids.max").read_text() == "77\n"
        runtime("pause", bundle.id).check()
        assert runtime.status(bundle.id) == "paused"
        runtime("resume", bundle.id).check()
        # The id is taken.
        with Counter() as nobody:
            restore(runtime, bundle, images, nobody).fails("already exists")
        assert runtime.status(bundle.id) == "running"
        runtime("kill", bundle.id, "KILL").check()
        runtime.wait_status(bundle.id, "stopped")
        runtime("delete", bundle.id).check()
        assert not group.exists()
    assert ended.read_text() == "made\nended\nmade\nended\n"
    isolate.umount(volume / "below")


@pytest.mark.needs("criu")
def test_in_the_foreground(runtime, bundle, workdir):
    """A restore without --detach passes signals on, ends with the program's status, and deletes the container."""
    images = workdir / "images"
    with deleted(runtime, bundle.id), Counter() as counter:
        run(runtime, bundle.sh(COUNT), counter)
        checkpoint(runtime, bundle, images).check()
        counter.end()
        with runtime.background("restore", "--image-path", images, "--bundle", bundle.path, bundle.id) as running:
            assert int(running.readline(30)) > 1
            running.signal(signal.SIGTERM)
            running.wait().check(7)
    assert not runtime.has_state(bundle.id)


@pytest.mark.needs("criu")
def test_in_steps(runtime, bundle, make_bundle, workdir):
    """Memory first, then the rest, leaving the container running; a second container is made of it, with its own cgroup."""
    other = make_bundle("other")
    with deleted(runtime, bundle.id, other.id), Counter() as first, Counter() as second:
        run(runtime, bundle.sh(COUNT), first)
        checkpoint(runtime, bundle, workdir / "pre", "--pre-dump").check()
        first.beyond(first.last)
        checkpoint(runtime, bundle, workdir / "full", "--parent-path", "../pre", "--leave-running").check()
        assert (workdir / "full" / "parent").resolve() == workdir / "pre"
        first.beyond(first.last + 1)
        assert runtime.status(bundle.id) == "running"

        linux = {**bundle.linux, "cgroupsPath": other.linux["cgroupsPath"]}
        other.config = {**bundle.config, "linux": linux, "root": {"path": str(bundle.rootfs), "readonly": True}}
        other.save()
        restore(runtime, other, workdir / "full", second).check()
        second.beyond(2)
        pid = runtime.state(other.id)["pid"]
        assert str(pid) in (cgroups.home(linux["cgroupsPath"]) / "cgroup.procs").read_text().split()
        first.beyond(first.last + 1)


@pytest.mark.needs("criu")
def test_connections(runtime, bundle, workdir):
    """Open connections are saved when asked for; otherwise the container goes on, and CRIU's words are shown."""
    images = workdir / "images"
    numbers = "i=0; while :; do i=$((i+1)); echo $i; usleep 200000; done"
    bundle.sh(f"exec </dev/null; ip link set lo up; ({numbers}) | nc -l -p 999 & mkfifo /dev/shm/open; exec 3<>/dev/shm/open; until nc 127.0.0.1 999 <&3; do usleep 200000; done")
    bundle.caps("CAP_NET_ADMIN", "CAP_NET_BIND_SERVICE", "CAP_KILL")
    with deleted(runtime, bundle.id), Counter() as first, Counter() as second:
        start(runtime, "run", "--detach", "--bundle", bundle.save().path, bundle.id, counter=first).check()
        proc.until(lambda: b"\n2\n" in first.text or not first._fill(), 30)
        runtime("checkpoint", "--image-path", images, bundle.id, timeout=SLOW).fails("tcp", f"{images}/dump.log", rc=1)
        assert [item.name for item in images.iterdir()] == ["dump.log"]
        assert runtime.status(bundle.id) == "running"
        checkpoint(runtime, bundle, images, "--tcp-established").check()
        reached = first.end()
        restore(runtime, bundle, images, second, "--tcp-established").check()
        second.beyond(reached + 1)


@pytest.mark.needs("criu")
def test_terminal(runtime, bundle, workdir):
    """The terminal goes to the console socket again, with the process that reads from it."""
    images = workdir / "images"
    bundle.process["terminal"] = True
    bundle.sh("while read line; do echo got $line; done")
    with deleted(runtime, bundle.id), ptys.Console(workdir / "console") as console:
        runtime.run_detached(bundle, "--console-socket", console.path).check()
        master = console.receive()
        os.write(master, b"one\n")
        ptys.read_all(master, SLOW, until="got one")
        checkpoint(runtime, bundle, images).check()
        with ptys.Console(workdir / "again") as again:
            words = ("restore", "--detach", "--image-path", images, "--bundle", bundle.path, "--console-socket", again.path, bundle.id)
            with_log(runtime.detached(*words, timeout=SLOW), images / "restore.log").check()
            master = again.receive()
            os.write(master, b"two\n")
            ptys.read_all(master, SLOW, until="got two")


@pytest.mark.needs("criu")
def test_joined_network(runtime, bundle, workdir):
    """A network namespace that was joined is joined again, by the path of the configuration."""
    images = workdir / "images"
    with proc.Background("unshare", "--net", "sh", "-c", "echo there; exec sleep 1000") as holder:
        assert holder.readline(30) == "there"
        bundle.namespace("network", f"/proc/{holder.pid}/ns/net")
        with deleted(runtime, bundle.id), Counter() as first, Counter() as second:
            run(runtime, bundle.sh(COUNT), first)
            checkpoint(runtime, bundle, images).check()
            restore(runtime, bundle, images, second).check()
            second.beyond(first.end())
            pid = runtime.state(bundle.id)["pid"]
            assert os.stat(f"/proc/{pid}/ns/net").st_ino == os.stat(f"/proc/{holder.pid}/ns/net").st_ino


@pytest.mark.needs("criu", "systemd")
def test_systemd_unit(runtime, bundle, workdir, unique):
    """With --systemd-cgroup the restored processes are in a unit of their own."""
    images = workdir / "images"
    name = unique("s")
    bundle.linux["cgroupsPath"] = f"system.slice:coop:{name}"
    with deleted(runtime, bundle.id), Counter() as first, Counter() as second:
        run(runtime, bundle.sh(COUNT), first, "--systemd-cgroup")
        checkpoint(runtime, bundle, images).check()
        restore(runtime, bundle, images, second, flags=("--systemd-cgroup",)).check()
        second.beyond(first.end())
        pid = runtime.state(bundle.id)["pid"]
        assert str(pid) in (cgroups.home(f"/system.slice/coop-{name}.scope") / "cgroup.procs").read_text().split()


# ---- without


def freezer(bundle):
    """The file that freezes the container, and the word for it."""
    folder = cgroups.home(bundle.linux["cgroupsPath"], "freezer")
    return (folder / "freezer.state", "FROZEN") if cgroups.is_v1() else (folder / "cgroup.freeze", "1")


def test_failures_of_criu(runtime, bundle, workdir):
    """Whatever CRIU does, one sentence says it; the container goes on and nothing but the log is left."""
    images = workdir / "images"
    with runtime.running(bundle.sh("sleep 1000")):
        refused = lambda *flags, env: runtime("checkpoint", "--image-path", images, *flags, bundle.id, env=env)
        beside = workdir / "new/images"
        runtime("checkpoint", "--image-path", beside, bundle.id, env={"PATH": "/nowhere"}).fails("'criu'", "$PATH", "install CRIU", rc=1)
        assert not beside.parent.exists()
        refused(env=fake_criu(workdir, version=(3, 9))).fails("is CRIU 3.9", "3.16", rc=1)
        refused("--lazy-pages", "--page-server", "127.0.0.1:9", env=fake_criu(workdir)).fails("lazily", rc=1)
        refused("--pre-dump", env=fake_criu(workdir)).fails("which pages have changed", rc=1)
        assert not images.exists()
        for act, words in [
            ("break", "ended without an answer"),
            ("os.kill(os.getpid(), 11)", "killed by SIGSEGV"),
            ("end.send(b'garbage'); break", "damaged message"),
            ("end.send(bytes([8, 2, 16, 1])); break", "another request"),
        ]:
            refused(env=fake_criu(workdir, act=act)).fails(words, rc=1)
            assert not images.exists()
        env = fake_criu(workdir, log=images / "dump.log")
        refused(env=env).fails("it cannot be", "EINVAL", f"its log is {images}/dump.log", rc=1)
        assert [item.name for item in images.iterdir()] == ["dump.log"]
        (images / "dump.log").unlink()
        refused(env=fake_criu(workdir, log=images / "dump.log", words="Some locks! You can try --file-locks")).fails("try --file-locks; its log is", rc=1)
        # Killed while it held the processes.
        state, frozen = freezer(bundle)
        killed = f"open({str(state)!r}, 'w').write({frozen!r}); os.kill(os.getpid(), 9)"
        refused(env=fake_criu(workdir, act=killed)).fails("killed by SIGKILL", rc=1)
        assert runtime.status(bundle.id) == "running"
        # A directory that was there keeps what was in it.
        (images / "mine.img").write_text("")
        refused("--work-path", workdir / "logs", env=fake_criu(workdir, log=workdir / "logs" / "dump.log")).fails(f"{workdir}/logs/dump.log")
        assert (images / "mine.img").exists()
        assert runtime.status(bundle.id) == "running"


def test_refusals(runtime, bundle, workdir):
    """Wrong states, wrong words, and configurations that a restore would not bring back."""
    env = fake_criu(workdir)
    images = workdir / "images"
    refused = lambda *flags: runtime("checkpoint", "--image-path", images, *flags, bundle.id, env=env)
    refused().fails("does not exist")
    with runtime.created(bundle.sh("sleep 1000")):
        refused().fails("not running", "created", rc=1)
    with runtime.running(bundle):
        refused("--parent-path", "/tmp").fails("relative")
        refused("--parent-path", "missing").fails("--parent-path", "ENOENT")
        refused("--manage-cgroups-mode", "hard").fails("'hard'", "soft, full, strict or ignore")
        refused("--empty-ns", "pid").fails("'pid'", "network")
        for wrong in ("host", "host:", "host:0", "host:70000", ":27"):
            refused("--page-server", wrong).fails("ADDRESS:PORT")
        refused("--status-fd", "77").fails("77", "not an open descriptor")
        runtime("checkpoint", "--image-path", images, bundle.id, env=env, flags=("--rootless", "true")).fails("CRIU needs root")
        (workdir / "file").write_text("")
        runtime("checkpoint", "--image-path", workdir / "file", bundle.id, env=env).fails("directory of the images", "ENOTDIR")
        refused("--lazy-pages").fails("--page-server", rc=1)
        runtime("checkpoint", "--image-path", images, "--status-fd", "0", bundle.id, env=env, stdin="").fails("--status-fd 0", "cannot be written to", rc=1)
        runtime("pause", bundle.id).check()
        refused().fails("EINVAL")
        assert runtime.status(bundle.id) == "paused"
        runtime("resume", bundle.id).check()
        runtime("kill", bundle.id, "KILL").check()
        runtime.wait_status(bundle.id, "stopped")
        refused().fails("not running", "stopped")
    for change, words in [
        (lambda: bundle.config.update(annotations={"io.cooper.landlock": "ro:/"}), "Landlock"),
        (lambda: bundle.namespace("mount", absent=True), "mount namespace"),
    ]:
        kept = {**bundle.config, "linux": dict(bundle.linux)}
        change()
        runtime("restore", "--detach", "--image-path", images, "--bundle", bundle.save().path, bundle.id, env=env).fails(words, "CRIU")
        bundle.config = kept
    assert not images.exists()
    assert runtime.ids() == []


def test_restores_that_fail(runtime, bundle, workdir):
    """Missing, hostile and unusable images: one sentence, and neither state nor cgroup nor pid file."""
    bundle.sh("sleep 1000").save()
    images = workdir / "images"
    pid_file = workdir / "pid"
    hooks = workdir / "hooks"
    bundle.hook("poststop", "/bin/sh", "-c", f"echo stop >> {hooks}")
    env = fake_criu(workdir, log=images / "restore.log")
    refused = lambda: runtime("restore", "--detach", "--image-path", images, "--bundle", bundle.path, "--pid-file", pid_file, bundle.id, env=env)

    def nothing_left():
        assert runtime.ids() == [] and not pid_file.exists()
        assert not any(path.exists() for path in pathlib.Path("/sys/fs/cgroup").glob(f"*/{bundle.linux['cgroupsPath']}"))

    refused().fails("directory of the images", "ENOENT", rc=1)
    nothing_left()
    images.mkdir()
    refused().fails("there is no checkpoint in", "--image-path", rc=1)
    nothing_left()
    (images / "inventory.img").write_text("")
    for name, text in [("descriptors.json", "[1]"), ("descriptors.json", "{"), ("cooper.json", "{}"), ("cooper.json", '{"version":1,"streams":{"9":"x"}}')]:
        (images / name).write_text(text)
        refused().fails(name, rc=1)
        (images / name).unlink()
        nothing_left()
    os.mkfifo(images / "descriptors.json")
    refused().fails("descriptors.json", rc=1)
    (images / "descriptors.json").unlink()
    refused().fails("it cannot be", "EINVAL", f"{images}/restore.log", rc=1)
    nothing_left()
    # Killed when it had made a process.
    env = fake_criu(workdir, act="os.fork() or os.execlp('sleep', 'sleep', '1000'); os.kill(os.getpid(), 9)")
    refused().fails("killed by SIGKILL", rc=1)
    nothing_left()
    runtime("restore", "--detach", "--image-path", images, "--bundle", workdir, bundle.id, env=env).fails("config.json")
    runtime("restore", "--detach", "--image-path", images, "--bundle", bundle.path, bundle.id, env=env, flags=("--rootless", "true")).fails("CRIU needs root")
    with runtime.running(bundle):
        refused().fails("already exists", rc=1)
        assert runtime.status(bundle.id) == "running"


def test_features_say_so(runtime):
    """Callers ask 'features' whether checkpoints can be made."""
    assert '"org.opencontainers.runc.checkpoint.enabled": "true"' in runtime("features").check().out
