"""One machine for faults: a state root, a small root file system, the injector, and what is compared before and after."""

import dataclasses
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time

from lib import cgroups, config, isolate, leaks, probes, proc

HERE = pathlib.Path(__file__).resolve().parent
NODES = ("/proc/kcore", "/proc/keys", "/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/dev/null", "/dev/zero", "/dev/tty", "/dev/ptmx", "/sys/firmware", "/ro", "/tmp", "/")
LIMIT = float(os.environ.get("COOPER_FAULT_TIMEOUT", "20"))
SECCOMP = {
    "defaultAction": "SCMP_ACT_ALLOW",
    "architectures": ["SCMP_ARCH_X86_64"],
    "syscalls": [{"names": ["kexec_load", "add_key"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}],
}


def compile_injector(cache):
    """The path of the injector, compiled when its source is newer."""
    source, target = HERE / "inject.c", pathlib.Path(cache) / "inject"
    if not target.exists() or target.stat().st_mtime < source.stat().st_mtime:
        proc.run("gcc", *probes.FLAGS, "-o", f"{target}.new", source, timeout=120).check()
        os.rename(f"{target}.new", target)
    return target


def make_rootfs(top):
    """Just the probes and empty directories: a look over all files must be quick."""
    for name in ("probe", "etc", "proc", "sys", "dev", "tmp", "ro", "run"):
        (top / name).mkdir(parents=True)
    for name in ("confined", "pause", "true"):
        shutil.copy2(probes.path(name), top / "probe" / name)
    (top / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home:/bin/sh\n")


def base_config():
    """A configuration that uses much of the runtime."""
    made = config.default()
    made["process"].update(
        args=["/probe/confined", *NODES],
        user={"uid": 0, "gid": 0, "umask": 18, "additionalGids": [29, 1000]},
        oomScoreAdj=100,
    )
    made["process"]["capabilities"] = {s: ["CAP_CHOWN", "CAP_KILL"] for s in ("bounding", "effective", "permitted")}
    made["linux"]["sysctl"] = {"net.ipv4.ip_forward": "1"}
    made["linux"]["seccomp"] = SECCOMP
    made["linux"]["devices"] = [{"path": "/dev/extra", "type": "c", "major": 1, "minor": 5, "fileMode": 438}]
    made["linux"]["resources"] = {"devices": [{"allow": False, "access": "rwm"}], "pids": {"limit": 50}, "memory": {"limit": 64 << 20}, "cpu": {"shares": 512}}
    made["mounts"].append(config.mount("/ro", "bind", "/etc", "rbind", "ro", "nosuid", "nodev"))
    return made


@dataclasses.dataclass
class Outcome:
    """What the injector and the command under it left."""

    rc: int
    output: pathlib.Path
    err: str
    hung: bool
    injected: bool
    calls: list

    @property
    def out(self):
        """Standard output so far: a container that lives on writes to it still."""
        return self.output.read_text(errors="replace")

    @property
    def errors(self):
        """The records on standard error that are errors, not warnings."""
        return [line for line in self.err.splitlines() if line.strip() and "level=warning" not in line]


class Stage:
    """Made once for a runtime; every case leaves it as it was."""

    def __init__(self, binary, kind, top, prefix, cache):
        self.binary, self.kind, self.prefix = str(binary), kind, prefix
        self.top = pathlib.Path(top)
        self.injector = compile_injector(cache)
        self.root = self.top / "state"
        self.bundle = self.top / "bundle"
        self.rootfs = self.bundle / "rootfs"
        self.id = "fault"
        self.report, self.outputs = self.top / "report", self.top / "outputs"
        self.outputs.mkdir(parents=True)
        self.commands = 0
        self.root.mkdir(mode=0o711)
        make_rootfs(self.rootfs)
        self.environ = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(self.top), "LC_ALL": "C", "XDG_RUNTIME_DIR": str(self.top)}
        self.host = {name: os.readlink(f"/proc/self/ns/{name}") for name in os.listdir("/proc/self/ns")}
        self.before = None

    def end(self):
        """Nothing is tried any more."""

    # --- commands ----------------------------------------------------------------

    def argv(self, *words):
        """A command line of the runtime."""
        return [self.binary, "--root", str(self.root), *map(str, words)]

    def run(self, *words):
        """A command without a fault; its output goes to files, as containers inherit it."""
        return self.execute(self.argv(*words))

    def execute(self, argv, report=False):
        """Run to the end, at most LIMIT seconds; a hung command is killed."""
        self.report.unlink(missing_ok=True)
        self.commands += 1
        output, error = self.outputs / f"{self.commands}.out", self.outputs / f"{self.commands}.err"
        with open(output, "wb") as out, open(error, "wb") as err:
            child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=self.environ, start_new_session=True)
            try:
                rc, hung = child.wait(LIMIT), False
            except subprocess.TimeoutExpired:
                proc.kill_group(child.pid)
                rc = child.wait()
                hung = rc == -signal.SIGKILL  # or it has ended meanwhile
        text = lambda path: path.read_text(errors="replace") if path.exists() else ""
        lines = [line.split() for line in text(self.report).splitlines()] if report else []
        calls = [tuple(map(int, words[1:])) for words in lines if words[0] == "call"]
        return Outcome(128 - rc if rc < 0 else rc, output, text(error), hung, any(w[0] == "injected" for w in lines), calls)

    def until_options(self):
        """How the injector knows the container's program."""
        return [word for name in ("confined", "pause", "true") for word in ("--until", str(self.rootfs / "probe" / name))]

    def inject(self, options, argv, attach=None):
        """Run the command with a fault (or traced, by --trace)."""
        attached = ["--attach", str(attach)] if attach else []
        return self.execute([str(self.injector), "--report", str(self.report), *self.until_options(), *attached, *options, "--", *argv], report=True)

    def save(self, made):
        """Write the configuration."""
        made["linux"]["cgroupsPath"] = f"/{self.prefix}/{self.id}"
        (self.bundle / "config.json").write_text(json.dumps(made))

    def state(self):
        """The answer of 'state' as a dictionary, {} if there is none."""
        asked = self.run("state", self.id)
        return json.loads(asked.out) if asked.rc == 0 else {}

    def wait_status(self, wanted, limit=10.0):
        """True once the container has this status."""
        end = time.monotonic() + limit
        while self.state().get("status") != wanted:
            if time.monotonic() > end:
                return False
            time.sleep(0.01)
        return True

    def exists(self):
        """Whether the state root holds something of the container."""
        return (self.root / self.id).exists()

    def until(self, condition, limit=3.0):
        """Whether the condition comes true."""
        end = time.monotonic() + limit
        while not condition():
            if time.monotonic() > end:
                return False
            time.sleep(0.005)
        return True

    def forget_outputs(self):
        """Remove the files that commands have written to."""
        for path in self.outputs.iterdir():
            path.unlink()

    # --- what is compared ----------------------------------------------------------

    def facts(self, text):
        """The output of the probe without what differs from start to start."""
        found = []
        for line in text.splitlines():
            if line.startswith("namespace "):
                name = line.split()[1].split(":")[0]
                line = f"namespace {name} {'of the host' if self.host[name] in line else 'own'}"
            elif line.startswith("interface "):
                line = line.split(":")[0]
                if "|" in line:
                    continue
            elif line.startswith("cgroup ") and not self.mounted(line.split(":")[1]):
                continue  # hierarchies come and go with other users of the machine
            found.append(re.sub(r"/dev/pts/\d+", "/dev/pts/N", line))
        return found

    @staticmethod
    def mounted(controllers):
        """Whether the hierarchy with these controllers ('' for v2) is mounted here."""
        return not controllers or all(word in cgroups.v1_hierarchies() for word in controllers.split(","))

    def snapshot(self):
        """As leaks.Snapshot.take, with cgroups looked for where they belong only."""
        groups = set()
        for root in cgroups.roots():
            for folder, names, _ in os.walk(root / self.prefix):
                groups.update(os.path.join(folder, name) for name in names)
        files = leaks._files([str(self.root), str(self.bundle), "/dev/shm", "/run"])
        processes = leaks._processes()
        return leaks.Snapshot(leaks._mounts(), processes, leaks._net_namespaces(processes), groups, files)

    def leaks(self, limit=3.0):
        """What is here and was not before the first case; given a moment, as kernels tidy up behind."""
        end = time.monotonic() + limit
        while True:
            left = self.snapshot().leaks_since(self.before)
            if not left or time.monotonic() > end:
                return left
            time.sleep(0.01)

    def processes(self):
        """Pids of the container's cgroup."""
        return cgroups.processes(f"/{self.prefix}/{self.id}")

    def wipe(self):
        """By force, after a case that did not survive: processes, cgroups, mounts and files go."""
        now = self.snapshot()
        for pid, _ in set(now.processes) - set(self.before.processes):
            try:
                os.kill(pid, 9)
            except ProcessLookupError:
                pass
        for root in cgroups.roots():
            frozen = root / self.prefix / self.id / "freezer.state"
            if frozen.exists():
                frozen.write_text("THAWED")
        time.sleep(0.2)
        cgroups.remove(self.snapshot().cgroups - self.before.cgroups)
        isolate.remove_tree(self.root)
        self.root.mkdir(mode=0o711)
        for path in sorted(self.snapshot().files - self.before.files, key=len, reverse=True):
            try:
                os.rmdir(path) if os.path.isdir(path) and not os.path.islink(path) else os.unlink(path)
            except OSError:
                pass
