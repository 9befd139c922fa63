"""Pod states, and what kill -9 leaves: nothing that the next `cooper pod gc` does not repair."""

import fcntl
import json
import os
import pathlib
import random
import signal
import subprocess
import time

import pytest

from lib import cgroups, isolate, needs, paths, proc, rootfs

pytestmark = pytest.mark.needs("root", "cooper")

UUID_LENGTH = 36


class Engine:
    """cooper with directories and a control group of its own."""

    def __init__(self, folder, cgroup):
        self.folder = pathlib.Path(folder)
        self.root, self.run_root = self.folder / "root", self.folder / "run"
        self.cgroup = cgroup
        self.config = self.folder / "cooper.toml"
        self.config.write_text(f'cgroup_parent = "{cgroup}"\n')

    def argv(self, *args):
        """The command line of one command."""
        base = [paths.bin_dir() / "cooper", "--root", self.root, "--run-root", self.run_root, "--config", self.config]
        return [str(a) for a in (*base, *args)]

    def __call__(self, *args, **options):
        return proc.run(*self.argv(*args), **options)

    def detached(self, *args):
        """run -d or the like: the uuid it prints. Its pipes would be held open by nobody, but files are safer."""
        output = self.folder / "detached.out"
        with open(output, "w+", encoding="utf-8") as file:
            code = subprocess.run(self.argv(*args), stdin=subprocess.DEVNULL, stdout=file, stderr=file, timeout=30, check=False).returncode
            file.seek(0)
            text = file.read()
        assert code == 0, text
        return text.split()[-1]

    def pods(self):
        """All pods, by uuid."""
        return {pod["id"]: pod for pod in json.loads(self("pod", "ls", "--format", "json").check().out)["pods"]}

    def state(self, pod):
        """The state word, None when the pod is gone."""
        found = self.pods().get(pod)
        return found["state"] if found else None

    def places(self):
        """{uuid: directory} of everything below pods/."""
        found = {}
        for place in (self.root / "pods").iterdir():
            if place.name != "names":
                found.update({entry.name: place.name for entry in place.iterdir()})
        return found

    def monitor(self, uuid):
        """(guardian pid, monitor pid); 0 for one that is not there."""
        guardian = monitor = 0
        for entry in os.listdir("/proc"):
            if not entry.isdigit():
                continue
            try:
                words = pathlib.Path(f"/proc/{entry}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            except OSError:
                continue
            if words == f"cooper: monitor {uuid} (guardian)":
                guardian = int(entry)
            elif words == f"cooper: monitor {uuid}":
                monitor = int(entry)
        return guardian, monitor

    def supervised(self, uuid):
        """The same, as soon as both have taken their names."""
        return proc.until(lambda: all(self.monitor(uuid)) and self.monitor(uuid), what="monitor and guardian")

    def processes(self):
        """Pids in any of the engine's control groups."""
        found = set()
        for directory in self.groups():
            try:
                found.update(int(word) for word in (pathlib.Path(directory) / "cgroup.procs").read_text().split())
            except OSError:
                pass
        return found

    def groups(self):
        """Control group directories of pods."""
        found = []
        for top in cgroups.roots():
            for folder, names, _ in os.walk(top / self.cgroup.lstrip("/")):
                found += [os.path.join(folder, name) for name in names]
        return found

    def locked(self):
        """Pods whose lock somebody holds: a command, a monitor, a guardian."""
        found = []
        for uuid, place in self.places().items():
            try:
                directory = os.open(self.root / "pods" / place / uuid, os.O_RDONLY | os.O_DIRECTORY)
            except FileNotFoundError:
                found.append(uuid)  # it moves: look again
                continue
            try:
                fcntl.flock(directory, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                found.append(uuid)
            finally:
                os.close(directory)
        return found

    def settle(self):
        """Until nobody works on any pod."""
        proc.until(lambda: not self.locked(), timeout=20, what="all pods being left alone")

    def leftovers(self):
        """Everything that should not be there when no pod exists."""
        left = [f"pod {place}/{uuid}" for uuid, place in self.places().items()]
        left += [f"name {entry.name}" for entry in (self.root / "pods/names").iterdir()]
        left += [f"run directory {entry.name}" for entry in (self.run_root / "pods").iterdir()]
        left += [f"container {entry.name}" for entry in (self.run_root / "coop").iterdir()]
        left += [f"tree user {entry}" for entry in (self.root / "images/trees").glob("*/users/*")]
        left += [f"cgroup {entry}" for entry in self.groups()]
        left += [f"process {pid}" for pid in self.processes()]
        left += [f"mount {line}" for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines() if f"{self.folder}/" in line]
        return left

    def clean(self, why=""):
        """Assert that nothing is left, without gc's help. Files of a pod that removes itself go a moment after it."""
        try:
            proc.until(lambda: not self.leftovers(), timeout=10)
        except proc.TimedOut:
            pytest.fail(f"left behind: {self.leftovers()}\n{why}")

    def collect(self):
        """gc without a grace period; then nothing may be left."""
        self.settle()
        text = self("pod", "gc", "--grace-period", "0s").check().out
        assert "failed" not in text, text
        assert self.leftovers() == [], text
        return text


@pytest.fixture(scope="module")
def shared(session_dir, prefix):
    """One engine with a busybox image for all tests of the file."""
    reason = needs.unmet("cooper") or needs.unmet("root")
    if reason:
        pytest.skip(reason)
    folder = session_dir / "podstates"
    folder.mkdir()
    engine = Engine(folder, f"/{prefix}/podstates")
    tree = rootfs.make_busybox(folder / "tree")
    proc.run("tar", "-C", tree, "-cf", folder / "busybox.tar", ".").check()
    engine("image", "import", folder / "busybox.tar", "busybox").check()
    (folder / "detached.out").touch()
    # Makes caches and control groups that stay.
    engine("run", "--rm", "busybox", "true").check()
    engine("pod", "run", "--rm", "busybox", "--", "true", "---", "busybox", "--", "true").check()
    return engine


@pytest.fixture
def engine(shared):
    """The shared engine, empty before and after."""
    shared.collect()
    yield shared
    for uuid in shared.pods():
        shared("pod", "rm", "--force", uuid)
    shared.collect()


def kill(pid):
    """SIGKILL; gone already is fine."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


# ---- states ---------------------------------------------------------------------------------------------------------


def test_a_pod_moves_through_its_directories(engine):
    """prepared -> run -> exited-garbage -> gone."""
    uuid = engine.detached("pod", "prepare", "--name", "walk", "busybox", "--", "sh", "-c", "exit 3")
    assert len(uuid) == UUID_LENGTH
    assert engine.places() == {uuid: "prepared"}
    assert engine.state(uuid) == "prepared"
    assert engine("pod", "run-prepared", "walk").rc == 3
    assert engine.places() == {uuid: "run"}
    assert engine.state(uuid) == "exited"
    engine("pod", "gc", "--grace-period", "1h").check()
    assert engine.places() == {uuid: "exited-garbage"}
    assert engine.state(uuid) == "exited garbage"
    engine("pod", "gc", "--grace-period", "0s").check()
    assert engine.places() == {}


def test_a_pod_runs_once(engine):
    """run-prepared of an exited pod is refused."""
    uuid = engine.detached("pod", "prepare", "busybox", "--", "true")
    engine("pod", "run-prepared", uuid).check()
    engine("pod", "run-prepared", uuid).fails("not prepared")


def test_the_last_pod_takes_the_parent_cgroup_along(engine, session_dir, unique):
    """The one that is made for a run root, not one that was configured. A start after that makes it again."""
    run_root, config = session_dir / unique("r"), session_dir / unique("c")
    config.write_text("")

    def argv(*args):
        return [paths.bin_dir() / "cooper", "--root", engine.root, "--run-root", run_root, "--config", config, *args]

    def run(*args, **options):
        return proc.run(*argv(*args), **options)

    try:
        uuid = run("run", "-d", "busybox", "sleep", "60").check().out.strip()
        pid = json.loads(run("inspect", uuid).check().out)["containers"][0]["pid"]
        path = max(cgroups.of_process(pid).values(), key=len).split("/")[1]
        assert path.startswith("cooper-")
        gone = lambda: not any((root / path).exists() for root in cgroups.roots())  # noqa: E731
        run("run", "--rm", "busybox", "true").check()
        assert not gone()  # the other one runs
        run("rm", "-f", uuid).check()
        proc.until(gone, 10, 0.02, "the parent cgroup to go")
        run("run", "--rm", "busybox", "/no/such").fails("no such file", rc=127)
        proc.until(gone, 10, 0.02, "the parent cgroup to go after a failed start")
        children = [proc.Background(*argv("run", "--rm", "busybox", "true")) for _ in range(20)]
        for child in children:
            with child:
                assert child.wait(60).rc == 0
        proc.until(gone, 10, 0.02, "the parent cgroup to go after many pods")
    finally:
        run("rm", "-a", "-f", timeout=60)
        run("pod", "gc", "--grace-period", "0", timeout=60)
        isolate.remove_tree(run_root)
        config.unlink()


def test_gc_leaves_a_running_pod_alone(engine):
    """Whatever gc is told, the living stay."""
    uuid = engine.detached("run", "-d", "busybox", "sleep", "60")
    engine("pod", "gc", "--grace-period", "0s").check()
    assert engine.state(uuid) == "running"
    engine("stop", "-t", "0", uuid).check()


def test_removing_a_running_pod_needs_force(engine):
    """The error says how."""
    uuid = engine.detached("run", "-d", "--stop-timeout", "1", "busybox", "sleep", "60")
    engine("rm", uuid).fails("running", "--force")
    engine("rm", "--force", uuid).check()
    assert engine.places() == {}


def test_names_are_unique_and_come_back(engine):
    """A name is taken while its pod exists."""
    engine("run", "--name", "one", "busybox", "true").check()
    engine("run", "--name", "one", "busybox", "true").fails("in use")
    engine("rm", "one").check()
    engine("run", "--rm", "--name", "one", "busybox", "true").check()
    engine("run", "--rm", "--name", "one", "busybox", "true").check()


def test_one_of_many_gets_the_name(engine):
    """Eight starts of one name at once: one pod."""
    children = [subprocess.Popen(engine.argv("run", "--name", "race", "busybox", "true"), stderr=subprocess.DEVNULL) for _ in range(8)]
    codes = [child.wait(timeout=60) for child in children]
    assert codes.count(0) == 1
    assert len(engine.places()) == 1


def test_a_failed_start_leaves_a_record(engine):
    """Without --rm the pod tells why; with it nothing stays."""
    assert engine("run", "--name", "bad", "busybox", "no-such-program").rc == 127
    pod = next(iter(engine.pods().values()))
    assert pod["state"] == "exited"
    assert "no-such-program" in pod["apps"][0]["exit"]["error"]
    assert engine("run", "--rm", "busybox", "no-such-program").rc == 127
    proc.until(lambda: len(engine.places()) == 1, what="the pod with --rm being gone")


def test_a_failed_preparation_leaves_nothing(engine):
    """No image, no volume source, no user."""
    engine("run", "no-such-image", "true").fails()
    engine("run", "-v", "/no/such/place:/x", "busybox", "true").fails("/no/such/place")
    engine("run", "-u", "nobody-here", "busybox", "true").fails("nobody-here")
    assert engine.leftovers() == []
    engine("run", "--cap-add", "fly", "busybox", "true").fails("fly")
    assert engine.leftovers() == []


def test_volumes_of_the_pod(engine):
    """A volume without a source is empty, per pod, filled from the image, and goes with the pod."""
    # Exit 0 only if /etc was copied up and is writable, without changing the image.
    engine("run", "--name", "v", "-v", "/etc", "busybox", "sh", "-c", "grep -q root: /etc/passwd && echo x >/etc/mine").check()
    found = list((engine.root / "pods/run").glob("*/sharedVolumes/0/mine"))
    assert len(found) == 1
    engine("run", "--rm", "busybox", "test", "-e", "/etc/mine").fails()
    engine("rm", "v").check()


def test_the_host_sees_no_mount(engine):
    """The root file system of a running container is mounted in its own namespace only."""
    uuid = engine.detached("run", "-d", "busybox", "sleep", "60")
    assert str(engine.folder) not in pathlib.Path("/proc/self/mountinfo").read_text()
    engine("stop", "-t", "0", uuid).check()


# ---- wait -----------------------------------------------------------------------------------------------------------


def test_wait_sees_the_end_of_pods_that_remove_themselves(engine):
    """However the race between `wait` and --rm ends, the status is right."""
    for status in range(12):
        uuid = engine.detached("run", "-d", "--rm", "busybox", "sh", "-c", f"sleep 0.{status % 4}; exit {status}")
        result = engine("wait", uuid)
        if "no such container" in result.err:
            continue  # it was gone before `wait` looked
        assert result.check().lines == [str(status)]


def test_many_waiters(engine):
    """All get the status, also while the pod removes itself."""
    uuid = engine.detached("run", "-d", "--rm", "busybox", "sh", "-c", "sleep 1; exit 7")
    waiters = [subprocess.Popen(engine.argv("wait", uuid), stdout=subprocess.PIPE) for _ in range(6)]
    assert [waiter.communicate(timeout=30)[0] for waiter in waiters] == [b"7\n"] * 6


def test_wait_then_rm(engine):
    """rm right after wait does not find a running pod."""
    for _ in range(5):
        uuid = engine.detached("run", "-d", "busybox", "sh", "-c", "sleep 0.1; exit 5")
        assert engine("wait", uuid).check().lines == ["5"]
        engine("rm", uuid).check()


# ---- kill -9 --------------------------------------------------------------------------------------------------------

KINDS = {
    "single": ("run", "-d", "busybox", "sleep", "60"),
    "removed": ("run", "-d", "--rm", "busybox", "sleep", "60"),
    "stubborn": ("run", "-d", "--init", "busybox", "sh", "-c", "trap '' TERM HUP; setsid sleep 60 & sleep 60"),
    "pod": ("pod", "run", "-d", "busybox", "--", "sleep", "60", "---", "busybox", "--", "sleep", "60"),
    "pod-removed": ("pod", "run", "-d", "--rm", "busybox", "--", "sleep", "60", "---", "busybox", "--", "sleep", "60"),
}


def victims(engine, uuid, who):
    """Pids by role."""
    guardian, monitor = engine.supervised(uuid)
    inits = [app["pid"] for app in engine.pods()[uuid]["apps"] if app["pid"]]
    return {"guardian": [guardian], "monitor": [monitor], "both": [guardian, monitor], "init": inits, "all": [guardian, monitor, *inits]}[who]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("who", ["guardian", "monitor", "both", "init", "all"])
def test_kill_nine(engine, kind, who):
    """Nothing survives its monitor, and gc finds nothing it cannot repair."""
    uuid = engine.detached(*KINDS[kind])
    for pid in victims(engine, uuid, who):
        kill(pid)
    if who == "guardian":
        # The monitor goes on alone; the pod is as before.
        time.sleep(0.1)
        assert engine.state(uuid) == "running"
        engine("stop", "-t", "0", uuid).check()
    engine.settle()
    state = engine.state(uuid)
    if kind.endswith("removed") and who not in ("both", "all"):
        engine.clean()
    else:
        assert state == "exited"
        for app in engine.pods()[uuid]["apps"]:
            assert app["state"] == "exited"
            if who in ("both", "all"):
                assert "killed" in app["exit"]["error"]
    if who != "both" and who != "all":
        proc.until(lambda: not engine.groups(), what="control groups being removed")
        assert engine.processes() == set()
    engine.collect()


def test_sandbox_killed(engine):
    """The end of the process that holds the namespaces is the end of the pod."""
    uuid = engine.detached(*KINDS["pod"])
    engine.supervised(uuid)
    pids = proc.until(lambda: [pid for pid in engine.processes() if b"cooper-init\0pause" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()])
    kill(pids[0])
    engine.settle()
    assert engine.state(uuid) == "exited"
    assert engine.processes() == set()


@pytest.mark.parametrize("kind", ["single", "removed", "pod"])
def test_foreground_client_killed(engine, kind):
    """A killed `cooper run` in the foreground: the pod goes on (a detached one) or ends, but is never lost."""
    words = [word for word in KINDS[kind] if word != "-d"]
    with proc.Background(*engine.argv(*words)) as client:
        proc.until(lambda: any(pod["state"] == "running" for pod in engine.pods().values()), what="running pod")
        client.signal(signal.SIGKILL)
        time.sleep(0.2)
        for uuid, pod in engine.pods().items():
            if pod["state"] == "running":
                engine("pod", "stop", "--force", uuid).check()
    engine.collect()


@pytest.mark.parametrize("round_", range(4))
@pytest.mark.parametrize("kind", ["single", "removed", "pod"])
def test_start_killed_at_any_instant(engine, kind, round_):
    """SIGKILL to the starting command after a random time."""
    chance = random.Random(f"{kind}{round_}")
    for _ in range(6):
        command = subprocess.Popen(engine.argv(*KINDS[kind]), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(chance.uniform(0, 0.06))
        command.kill()
        command.wait(timeout=10)
    # Those that were not told of in time end by themselves; the others run.
    time.sleep(0.3)
    for uuid, pod in engine.pods().items():
        if pod["state"] == "running":
            engine("pod", "stop", "--force", uuid)
    engine.collect()


@pytest.mark.parametrize("kind", ["single", "removed", "pod-removed"])
def test_everything_killed_at_any_instant(engine, kind):
    """SIGKILL to everything that belongs to a pod - command, guardian, monitor, containers - while it starts or ends."""
    chance = random.Random(kind)
    for _ in range(8):
        words = [word if word != "60" else "0.02" for word in KINDS[kind]]
        command = subprocess.Popen(engine.argv(*words), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        time.sleep(chance.uniform(0, 0.08))
        command.kill()
        for uuid in engine.places():
            for pid in engine.monitor(uuid):
                if pid:
                    kill(pid)
        for pid in engine.processes():
            kill(pid)
        command.wait(timeout=10)
    for uuid, pod in engine.pods().items():
        if pod["state"] == "running":
            engine("pod", "stop", "--force", uuid)
    engine.collect()


def test_rm_killed_at_any_instant(engine):
    """A removal that was cut off is finished by gc."""
    chance = random.Random("rm")
    for _ in range(8):
        uuid = engine.detached("run", "-d", "busybox", "true")
        engine("wait", uuid).check()
        command = subprocess.Popen(engine.argv("rm", uuid), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(chance.uniform(0, 0.01))
        command.kill()
        command.wait(timeout=10)
    engine.collect()


def test_gc_repairs_what_was_removed_by_hand(engine):
    """Stale names, run directories and tree users without a pod."""
    uuid = engine.detached("pod", "prepare", "--name", "lost", "busybox", "--", "true")
    proc.run("rm", "-rf", engine.root / "pods/prepared" / uuid).check()
    (engine.run_root / "pods" / uuid).mkdir()
    text = engine("pod", "gc").check().out
    assert "freed name" in text
    assert "released tree" in text
    assert engine.leftovers() == []


def test_damaged_manifest(engine):
    """A pod whose manifest the disk has lost can be listed and removed."""
    uuid = engine.detached("run", "-d", "busybox", "true")
    engine("wait", uuid).check()
    (engine.root / "pods/run" / uuid / "pod").write_bytes(b"\0" * 100)
    assert engine.state(uuid) == "exited"
    engine("rm", uuid).check()
    engine.collect()


def test_gc_and_starts_at_once(engine):
    """gc that runs beside starts disturbs none of them."""
    starts = [subprocess.Popen(engine.argv("run", "--rm", "busybox", "true")) for _ in range(10)]
    for _ in range(5):
        text = engine("pod", "gc", "--grace-period", "0s").check().out
        assert "failed" not in text, text
    assert [start.wait(timeout=60) for start in starts] == [0] * 10
    engine.collect()


@pytest.mark.parametrize("action", [("stop", "-t", "1"), ("rm", "--force")])
def test_a_stopped_monitor_does_not_save_its_pod(engine, action):
    """SIGSTOP to the monitor: stop and rm --force end the pod all the same."""
    uuid = engine.detached("run", "-d", "--stop-timeout", "1", "busybox", "sleep", "60")
    os.kill(engine.supervised(uuid)[1], signal.SIGSTOP)
    start = time.monotonic()
    engine(*action, uuid, timeout=100).check()
    assert time.monotonic() - start < 15
    assert engine.processes() == set()
    engine.collect()


# ---- full disk ------------------------------------------------------------------------------------------------------


@pytest.mark.needs("isolation")
@pytest.mark.parametrize("kib", [4, 8, 12])
def test_full_run_root(engine, session_dir, unique, kib):
    """The message names the file that could not be written."""
    run_root = session_dir / unique("r")
    run_root.mkdir()
    isolate.mount("tmpfs", run_root, "tmpfs", 0, f"size={kib}k")
    try:
        engine("run", "--rm", "--run-root", run_root, "busybox", "true").fails("no space left", str(run_root), rc=125)
    finally:
        isolate.umount(run_root)
        run_root.rmdir()


@pytest.fixture
def small_disk(session_dir, shared, unique, prefix):
    """An engine on a file system of its own, whose size a test may change."""
    folder = session_dir / unique("disk")
    folder.mkdir()
    isolate.mount("tmpfs", folder, "tmpfs", 0, "size=32m")
    engine = Engine(folder, f"/{prefix}/{folder.name}")
    engine("image", "import", shared.folder / "busybox.tar", "busybox").check()
    engine("run", "--rm", "busybox", "true").check()
    yield engine
    engine.collect()
    isolate.umount(folder)
    folder.rmdir()


@pytest.mark.needs("isolation")
@pytest.mark.parametrize("kind", ["run", "pod"])
def test_no_inodes_left(small_disk, kind):
    """Whichever file cannot be made: an error that says so, and nothing left behind."""
    engine = small_disk
    words = ("run", "--rm", "busybox", "true")
    if kind == "pod":
        words = ("pod", "run", "-d", "--rm", "busybox", "--", "true", "---", "busybox", "--", "true")
    used = os.statvfs(engine.folder).f_files - os.statvfs(engine.folder).f_ffree
    succeeded = 0
    for spare in range(0, 80, 1 if kind == "run" else 3):
        proc.run("mount", "-o", f"remount,nr_inodes={used + spare}", engine.folder).check()
        result = engine(*words, stdio="null" if kind == "pod" else None)
        if result.rc == 0:
            succeeded += 1
        else:
            # EROFS: overlayfs mounts read-only when it cannot make its own directories.
            assert kind == "pod" or "ENOSPC" in result.err or "EROFS" in result.err, result
        proc.run("mount", "-o", "remount,nr_inodes=100000", engine.folder).check()
        engine.clean(result)
    assert succeeded > 0


FILL = "dd if=/dev/zero of=/x bs=1M count=40 2>/dev/null; exit 7"


@pytest.mark.needs("isolation")
@pytest.mark.parametrize("detached", [False, True])
def test_disk_filled_at_once(small_disk, detached):
    """The status of an app that fills the disk with its first breath is kept."""
    engine = small_disk
    for i in range(5):
        name = f"full{i}"
        result = engine("run", *(["-d"] if detached else []), "--name", name, "busybox", "sh", "-c", FILL)
        assert result.rc == (0 if detached else 7), result
        assert engine("wait", name).check().out == "7\n"
        assert "Exited (7)" in engine("ps", "-a").check().out
        engine("rm", name).check()


@pytest.mark.needs("isolation")
def test_no_record_is_no_kill(small_disk):
    """A status that could not be written is unknown, to everybody."""
    engine = small_disk
    uuid = engine.detached("run", "-d", "--name", "lost", "busybox", "sh", "-c", "exit 7")
    engine("wait", uuid).check()
    (engine.root / "pods/run" / uuid / "status/busybox").unlink()
    engine("wait", uuid).fails("unknown", rc=1)
    assert "Exited (unknown)" in engine("ps", "-a").check().out
    engine("rm", uuid).check()


@pytest.mark.needs("isolation")
def test_no_blocks_left(small_disk):
    """A full disk, to the last page."""
    engine = small_disk
    filler = engine.folder / "filler"
    with open(filler, "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            pass
    for spare in range(0, 14, 1):
        os.truncate(filler, max(filler.stat().st_size - 4096, 0))
        result = engine("run", "--rm", "busybox", "true")
        if result.rc:
            assert "space" in result.err.lower(), (spare, result)
        engine.clean(result)
    filler.unlink()
    engine("run", "--rm", "busybox", "true").check()
