"""The flags of checkpoint and restore: what each does to the kernel and to the files, and what is said when one is missing."""

import contextlib
import errno
import os
import pathlib
import socket

import pytest

from lib import cgroups, proc, ptys
from lib.criu import COUNT, SLOW, Counter, checkpoint, deleted, restore, run, with_log

pytestmark = pytest.mark.needs("criu")


@contextlib.contextmanager
def counting(runtime, bundle, script="", flags=()):
    """A container that counts after the script; yields what it prints."""
    with deleted(runtime, bundle.id), Counter() as counter:
        run(runtime, bundle.sh(f"{script}\n{COUNT}"), counter, *flags)
        yield counter


def goes_on(runtime, bundle, counter):
    """After a checkpoint that failed: the container is what it was."""
    counter.beyond(counter.last + 1)
    assert runtime.status(bundle.id) == "running"


def there_and_back(runtime, bundle, images, first, *flags):
    """Checkpoint and restore with the same flags; the counter counts on. Returns the new pid."""
    checkpoint(runtime, bundle, images, *flags).check()
    reached = first.end()
    with Counter() as second:
        restore(runtime, bundle, images, second, *flags).check()
        second.beyond(reached + 1)
        yield runtime.state(bundle.id)["pid"]


def page_images(images):
    """Files with pages of memory."""
    return [item for item in pathlib.Path(images).glob("pages-*.img") if item.stat().st_size]


# ---- what must be allowed


def test_file_locks(runtime, bundle, workdir):
    """--file-locks: a lock is held on; without it the error names the flag, and the container goes on."""
    images = workdir / "images"
    lock = bundle.probe("lock")
    bundle.args(lock, "/dev/shm/lock")
    with deleted(runtime, bundle.id), Counter() as first:
        run(runtime, bundle, first)
        runtime("checkpoint", "--image-path", images, bundle.id, timeout=SLOW).fails("--file-locks", f"{images}/dump.log", rc=1)
        goes_on(runtime, bundle, first)
        for _ in there_and_back(runtime, bundle, images, first, "--file-locks"):
            assert (images / "filelocks.img").stat().st_size > 8
            assert runtime.exec(bundle.id, lock, "/dev/shm/lock", "try").rc == 1


def test_link_remap(runtime, bundle, workdir):
    """--link-remap: an open file whose name is gone while another name of it is not."""
    images = workdir / "images"
    with counting(runtime, bundle.writable(), "echo kept > /a; ln /a /b; exec 3</a; rm /a") as first:
        runtime("checkpoint", "--image-path", images, bundle.id, timeout=SLOW).fails("--link-remap", f"{images}/dump.log", rc=1)
        goes_on(runtime, bundle, first)
        checkpoint(runtime, bundle, images, "--link-remap").check()
        reached = first.end()
        assert [item.name for item in bundle.rootfs.glob("link_remap.*")]
        with Counter() as second:
            restore(runtime, bundle, images, second).check()
            second.beyond(reached + 1)
            assert runtime.exec(bundle.id, "sh", "-c", "cat /proc/1/fd/3; ls /").check().out.startswith("kept\n")
            assert not list(bundle.rootfs.glob("link_remap.*")) and not (bundle.rootfs / "a").exists()


def newest(sink):
    """The number received last, once there are no more; None when there is none."""
    sink.setblocking(False)
    last = None
    with contextlib.suppress(BlockingIOError):
        while True:
            last = int(sink.recv(64))
    return last


def test_external_sockets(runtime, bundle, workdir):
    """--ext-unix-sk: a datagram socket whose other end is outside, as of a program that logs, is connected again by its path."""
    images = workdir / "images"
    bundle.namespace("network", absent=True).add_mount(str(workdir), "bind", workdir, "bind")
    with deleted(runtime, bundle.id), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.bind(f"{workdir}/log")
        log.settimeout(10 * proc.SLOW)
        runtime.run_detached(bundle.args(bundle.probe("sender"), f"{workdir}/log")).check()
        assert log.recv(64) == b"1"
        runtime("checkpoint", "--image-path", images, bundle.id, timeout=SLOW).fails("try --ext-unix-sk", f"{images}/dump.log", rc=1)
        assert runtime.status(bundle.id) == "running"
        checkpoint(runtime, bundle, images, "--ext-unix-sk").check()
        last = newest(log)
        log.settimeout(10 * proc.SLOW)
        words = ("restore", "--detach", "--image-path", images, "--bundle", bundle.path, "--ext-unix-sk", bundle.id)
        with_log(runtime.detached(*words, timeout=SLOW), images / "restore.log").check()
        assert int(log.recv(64)) == last + 1


@pytest.mark.parametrize("kind,words", [("network", "another network namespace"), ("stream", "datagram")])
def test_external_sockets_that_cannot_be_saved(runtime, bundle, workdir, kind, words):
    """CRIU looks for the other end in the container's network namespace alone, and takes datagram sockets only: the error says so."""
    images = workdir / "images"
    stream = kind == "stream"
    bundle.add_mount(str(workdir), "bind", workdir, "bind").args(bundle.probe("sender"), f"{workdir}/log", *["stream"] * stream)
    if stream:
        bundle.namespace("network", absent=True)
    with deleted(runtime, bundle.id), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM if stream else socket.SOCK_DGRAM) as log:
        log.bind(f"{workdir}/log")
        log.settimeout(10 * proc.SLOW)
        if stream:
            log.listen()
        runtime.run_detached(bundle).check()
        with (log.accept()[0] if stream else log.dup()) as end:
            assert end.recv(1) == b"1"
            result = runtime("checkpoint", "--image-path", images, "--ext-unix-sk", bundle.id, timeout=SLOW)
            result.fails(words, f"{images}/dump.log", rc=1)
            assert runtime.status(bundle.id) == "running"


def test_shell_job(runtime, bundle, workdir):
    """--shell-job: a terminal of the host as standard stream; the restored process has the one that restore has."""
    images = workdir / "images"
    bundle.sh("while read line; do echo got $line; done").save()
    with deleted(runtime, bundle.id):
        master, slave = os.openpty()
        with proc.Background(*runtime.argv("run", "--detach", "--bundle", bundle.path, bundle.id), stdin=slave, stdout=slave, stderr=slave) as child:
            child.child.wait(60)
        os.write(master, b"one\n")
        ptys.read_all(master, SLOW, until="got one")
        runtime("checkpoint", "--image-path", images, bundle.id, timeout=SLOW).fails("--shell-job", rc=1)
        assert runtime.status(bundle.id) == "running"
        checkpoint(runtime, bundle, images, "--shell-job").check()
        master, slave = os.openpty()
        words = ("restore", "--detach", "--image-path", images, "--bundle", bundle.path, "--shell-job", bundle.id)
        with proc.Background(*runtime.argv(*words), stdin=slave, stdout=slave, stderr=slave) as child:
            child.child.wait(60)
        os.write(master, b"two\n")
        print(ptys.read_all(master, SLOW, until="got two"))


def test_connections_in_flight(runtime, bundle, workdir):
    """--tcp-skip-in-flight: of connections that nobody has accepted, one in the queue is lost, one that is still being made goes on."""
    images = workdir / "images"
    bundle.args(bundle.probe("flight"))
    with deleted(runtime, bundle.id), Counter() as first, Counter() as second:
        run(runtime, bundle, first)
        result = runtime("checkpoint", "--image-path", images, "--tcp-established", bundle.id, timeout=SLOW)
        result.fails("try --tcp-skip-in-flight", f"{images}/dump.log", rc=1)
        goes_on(runtime, bundle, first)
        checkpoint(runtime, bundle, images, "--tcp-established", "--tcp-skip-in-flight").check()
        reached = first.end()
        restore(runtime, bundle, images, second, "--tcp-established").check()
        second.beyond(reached + 1)
        runtime("kill", bundle.id, "USR1").check()
        second.beyond(2999)
        assert f"\n1001\n{2000 + errno.ECONNRESET}\n3000\n".encode() in second.text


# ---- memory


def port_of(listener_pid):
    """The TCP port that a process listens on, once it does."""
    def look():
        inodes = proc.descriptors(listener_pid).values()
        for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes:
                return int(fields[1].split(":")[1], 16)
        return None
    return proc.until(look, 20)


def test_page_server(runtime, bundle, workdir):
    """--page-server: memory goes to 'criu page-server', everything else to --image-path."""
    images, pages = workdir / "images", workdir / "pages"
    pages.mkdir()
    with counting(runtime, bundle) as first:
        with proc.Background("criu", "page-server", "--images-dir", pages, "--address", "127.0.0.1", "--port", "9771") as server:
            port = port_of(server.pid)
            checkpoint(runtime, bundle, images, "--page-server", f"127.0.0.1:{port}").check()
            server.wait().check()
        reached = first.end()
        assert not page_images(images) and page_images(pages)
        for item in pages.glob("page*.img"):
            item.rename(images / item.name)
        with Counter() as second:
            restore(runtime, bundle, images, second).check()
            second.beyond(reached + 1)
        runtime("delete", "--force", bundle.id)
    # Nobody listens there any more.
    with counting(runtime, bundle) as first:
        result = runtime("checkpoint", "--image-path", workdir / "none", "--page-server", f"127.0.0.1:{port}", bundle.id, timeout=SLOW)
        result.fails("criu failed, saying", rc=1)
        goes_on(runtime, bundle, first)


def test_killed(runtime, bundle, workdir):
    """CRIU is killed while it sends memory to somebody who does not read: the container goes on."""
    bundle.args(bundle.probe("dirty"), "24")
    with deleted(runtime, bundle.id), Counter() as counter, socket.create_server(("127.0.0.1", 0)) as nobody:
        run(runtime, bundle, counter)
        words = ("checkpoint", "--image-path", workdir / "images", "--page-server", f"127.0.0.1:{nobody.getsockname()[1]}", bundle.id)
        with runtime.background(*words) as saving:
            nobody.settimeout(20 * proc.SLOW)
            connection, _ = nobody.accept()
            with connection:
                log = workdir / "images" / "dump.log"
                proc.until(lambda: "Dumping pages" in log.read_text(), 20)
                pids = pathlib.Path(f"/proc/{saving.pid}/task/{saving.pid}/children").read_text().split()
                for pid in pids:
                    os.kill(int(pid), 9)
                saving.wait(SLOW).fails("criu was killed by SIGKILL", rc=1)
        goes_on(runtime, bundle, counter)


def test_restore_that_breaks(runtime, bundle, workdir):
    """Images that lack the memory: neither processes nor mounts, control groups or state are left."""
    images = workdir / "images"
    with counting(runtime, bundle) as first:
        checkpoint(runtime, bundle, images).check()
        first.end()
        for item in page_images(images):
            item.unlink()
        mounts = pathlib.Path("/proc/self/mountinfo").read_text()
        words = ("restore", "--detach", "--image-path", images, "--bundle", bundle.path, bundle.id)
        runtime(*words, timeout=SLOW).fails("criu failed, saying", f"{images}/restore.log", rc=1)
        assert not runtime.has_state(bundle.id) and not (cgroups.home(bundle.linux["cgroupsPath"])).exists()
        assert pathlib.Path("/proc/self/mountinfo").read_text() == mounts


def test_lazy_pages(runtime, bundle, make_bundle, workdir):
    """--lazy-pages: pages are served while the restored container runs; --status-fd says when they can be asked for."""
    images, work = workdir / "images", workdir / "work"
    work.mkdir()
    other = make_bundle("other")
    with deleted(runtime, other.id), counting(runtime, bundle) as first:
        runtime("checkpoint", "--image-path", images, "--lazy-pages", bundle.id).fails("--page-server", rc=1)
        ready, told = os.pipe()
        os.set_inheritable(told, True)
        words = ("checkpoint", "--image-path", images, "--lazy-pages", "--page-server", "127.0.0.1:9772", "--status-fd", told, bundle.id)
        with runtime.background(*words, pass_fds=(told,)) as saving:
            os.close(told)
            assert os.read(ready, 16) == b"\0"
            lazy = ("criu", "lazy-pages", "--images-dir", images, "--work-dir", work, "--page-server", "--address", "127.0.0.1", "--port", "9772")
            with proc.Background(*lazy) as daemon, Counter() as second:
                proc.until((work / "lazy-pages.socket").exists, 20)
                linux = {**bundle.linux, "cgroupsPath": other.linux["cgroupsPath"]}
                other.config = {**bundle.config, "linux": linux, "root": {"path": str(bundle.rootfs), "readonly": True}}
                restore(runtime, other.save(), images, second, "--lazy-pages", "--work-path", work).check()
                second.beyond(first.last + 2)
                saving.wait(SLOW).check()
                daemon.wait(SLOW).check()
        assert not runtime.has_state(bundle.id)


def test_chain_of_dumps(runtime, bundle, workdir):
    """--pre-dump twice, then the rest, with --auto-dedup: what comes later frees what came before."""
    bundle.args(bundle.probe("dirty"), "4")
    with deleted(runtime, bundle.id), Counter() as first, Counter() as second:
        run(runtime, bundle, first)
        checkpoint(runtime, bundle, workdir / "one", "--pre-dump").check()
        before = sum(item.stat().st_blocks for item in page_images(workdir / "one"))
        first.beyond(first.last + 1)
        checkpoint(runtime, bundle, workdir / "two", "--pre-dump", "--parent-path", "../one", "--auto-dedup").check()
        freed = sum(item.stat().st_blocks for item in page_images(workdir / "one"))
        assert before * 512 > 4 << 20 and freed < before // 2
        first.beyond(first.last + 1)
        checkpoint(runtime, bundle, workdir / "full", "--parent-path", "../two").check()
        reached = first.end()
        restore(runtime, bundle, workdir / "full", second).check()
        second.beyond(reached + 1)


# ---- network, labels, control groups


def test_empty_network(runtime, bundle, workdir):
    """--empty-ns network: the namespace's devices are neither saved nor restored."""
    images = workdir / "images"
    with counting(runtime, bundle) as first:
        assert "UP" in runtime.exec(bundle.id, "ip", "link", "show", "lo").check().out
        for pid in there_and_back(runtime, bundle, images, first, "--empty-ns", "network"):
            assert not list(images.glob("netdev-*"))
            assert os.stat(f"/proc/{pid}/ns/net").st_ino != os.stat("/proc/self/ns/net").st_ino
            assert "UP" not in runtime.exec(bundle.id, "ip", "link", "show", "lo").check().out


PROFILE = """
profile {name} flags=(attach_disconnected,mediate_deleted) {{
  capability, network, signal, ptrace, umount, mount, unix, file, change_profile,
}}
"""


@pytest.mark.needs("apparmor")
def test_other_profile(runtime, bundle, unique, workdir):
    """--lsm-profile: the restored processes are under another AppArmor profile."""
    images = workdir / "images"
    names = [unique("one"), unique("two")]
    (workdir / "profiles").write_text("".join(PROFILE.format(name=name) for name in names))
    proc.run("apparmor_parser", "--skip-cache", "--replace", workdir / "profiles").check()
    bundle.process["apparmorProfile"] = names[0]
    with counting(runtime, bundle) as first, Counter() as second:
        checkpoint(runtime, bundle, images).check()
        reached = first.end()
        restore(runtime, bundle, images, second, "--lsm-profile", f"apparmor:{names[1]}", "--lsm-mount-context", "system_u:object_r:x:s0").check()
        second.beyond(reached)
        pid = runtime.state(bundle.id)["pid"]
        assert pathlib.Path(f"/proc/{pid}/attr/current").read_text() == f"{names[1]} (enforce)\n"
    proc.run("apparmor_parser", "--remove", workdir / "profiles").check()


@pytest.mark.parametrize("mode", ["soft", "full", "strict", "ignore"])
def test_control_groups_below(runtime, bundle, workdir, mode):
    """--manage-cgroups-mode: with groups below the container's, its processes are in its groups again, or nothing is left."""
    images = workdir / "images"
    with counting(runtime, bundle, "sleep 1000 &") as first:
        group = cgroups.home(bundle.linux["cgroupsPath"])
        (group / "below").mkdir()
        pids = (group / "cgroup.procs").read_text().split()
        (group / "below" / "cgroup.procs").write_text(pids[1])
        flags = ("--manage-cgroups-mode", mode)
        checkpoint(runtime, bundle, images, *flags).check()
        first.end()
        with Counter() as second:
            result = restore(runtime, bundle, images, second, *flags)
            if result.rc:
                # What CRIU refuses leaves nothing.
                result.fails("criu failed, saying", f"{images}/restore.log", rc=1)
                assert not runtime.has_state(bundle.id) and not group.exists()
                return
            second.beyond(second.last + 1)
            listed = [path.read_text().split() for path in (group / "cgroup.procs", group / "below" / "cgroup.procs") if path.exists()]
            assert str(runtime.state(bundle.id)["pid"]) in listed[0]
            assert sum(map(len, listed)) >= 2, "both processes are in groups of the container"


# ---- containers of other kinds


@pytest.mark.needs("userns")
def test_user_namespace(runtime, bundle, workdir):
    """A container in a user namespace: its root, who reads the images at a restore, may not write them. A mount point with a blank."""
    images = workdir / "images"
    (workdir / "files").mkdir()
    (workdir / "files" / "one").write_text("one\n")
    bundle.userns().add_mount("/dev/shm/a b", "bind", workdir / "files", "bind", "ro")
    with counting(runtime, bundle) as first:
        for pid in there_and_back(runtime, bundle, images, first):
            assert os.stat(f"/proc/{pid}").st_uid == 100000
            assert runtime.exec(bundle.id, "cat", "/dev/shm/a b/one").check().out == "one\n"
        info = images.stat()
        assert (info.st_uid, info.st_gid, info.st_mode & 0o027) == (0, 100000, 0)
        assert not [item for item in images.glob("*.img") if item.stat().st_mode & 0o022 or item.stat().st_uid != 0]


@pytest.mark.needs("userns")
def test_user_namespace_frees_pages(runtime, bundle, workdir):
    """restore --auto-dedup of a user namespace: its root may free what it has read, and afterwards no longer write the files."""
    images = workdir / "images"
    bundle.userns().args(bundle.probe("dirty"), "4")
    with deleted(runtime, bundle.id), Counter() as first, Counter() as second:
        run(runtime, bundle, first)
        checkpoint(runtime, bundle, images).check()
        reached = first.end()
        before = sum(item.stat().st_blocks for item in page_images(images))
        restore(runtime, bundle, images, second, "--auto-dedup").check()
        second.beyond(reached + 1)
        after = sum(item.stat().st_blocks for item in page_images(images))
        assert before * 512 > 4 << 20 and after < before // 2
        assert not [item for item in images.glob("*.img") if item.stat().st_mode & 0o022 or item.stat().st_uid != 0]


def test_paused(runtime, bundle, workdir):
    """A paused container is saved; left running it is still paused, restored it runs."""
    images = workdir / "images"
    with counting(runtime, bundle) as first:
        runtime("pause", bundle.id).check()
        checkpoint(runtime, bundle, workdir / "left", "--leave-running").check()
        assert runtime.status(bundle.id) == "paused"
        for _ in there_and_back(runtime, bundle, images, first):
            assert runtime.status(bundle.id) == "running"
