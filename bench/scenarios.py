"""What is measured. Each scenario returns a list of report.Row."""

import json
import os
import pathlib
import shutil
import time

import measure
import peers
import stores
from measure import Job
from report import Row, rows_of

RUNTIMES = ("crun", "runc")


class Bench:
    """Everything scenarios share: programs, directories, how many rounds."""

    def __init__(self, folder, cache, bin_dir, quick):
        self.folder = pathlib.Path(folder)
        self.cache = pathlib.Path(cache)
        self.bin = pathlib.Path(bin_dir)
        self.rounds = 30 if quick else 200
        self.spaced_rounds = 8 if quick else 40
        self.slow_rounds = 5 if quick else 25
        self.load_rounds = 1 if quick else 3
        self.harness = measure.Harness(self.cache)
        self.floor = measure.compiled("floor", self.cache, "-static")
        self.rootfs = peers.make_rootfs(self.folder / "rootfs")
        self.runtimes = {"coop": self.bin / "coop", **{name: shutil.which(name) for name in RUNTIMES if shutil.which(name)}}
        self._podman = None
        self._docker = None
        self._cooper = None

    def state(self, runtime):
        """A state root for each runtime."""
        path = peers.in_memory(self.folder / "run") / runtime
        path.mkdir(exist_ok=True)
        return path

    @property
    def podman(self):
        """podman with the image localhost/bench, started once."""
        if self._podman is None:
            podman = peers.stock_podman(self.folder / "podman")
            tar = self.folder / "rootfs.tar"
            peers.run("tar", "-C", self.rootfs, "-cf", tar, ".")
            podman("import", tar, "localhost/bench").check()
            podman.run("--rm", "localhost/bench", "/bin/true").check()
            self._podman = podman
        return self._podman

    @property
    def docker(self):
        """dockerd with the image bench."""
        if self._docker is None:
            docker = peers.StockDocker(self.folder / "docker")
            self._docker = docker
            docker("import", self.folder / "rootfs.tar", "bench").check()
            docker("run", "--rm", "--network", "none", "bench", "/bin/true").check()
        return self._docker

    @property
    def cooper(self):
        """Command line of cooper with an engine of its own and the image bench."""
        if self._cooper is None:
            base = [str(self.bin / "cooper"), "--root", str(self.folder / "cooper/lib"), "--run-root", str(peers.in_memory(self.folder / "run") / "cooper")]
            tar = self.folder / "rootfs.tar"
            if not tar.exists():
                peers.run("tar", "-C", self.rootfs, "-cf", tar, ".")
            peers.run(*base, "image", "import", tar, "localhost/bench:latest")
            peers.run(*base, "run", "--rm", "localhost/bench", "/bin/true")
            self._cooper = base
        return self._cooper

    def close(self):
        """End what was started."""
        if self._docker is not None:
            self._docker.stop()
        if self._podman is not None:
            self._podman("rm", "--all", "--force", "--time", "0")
        if self._cooper is not None:
            peers.run(*self._cooper, "rm", "-a", "-f")


def both_paces(bench, group, jobs, baseline, rounds=None, spaced=None):
    """Back to back, then with 0.3 s between the starts."""
    rows = rows_of(f"{group}, back to back", bench.harness.run(jobs, rounds or bench.rounds), baseline)
    rows += rows_of(f"{group}, 0.3 s apart", bench.harness.run(jobs, spaced or bench.spaced_rounds, warmup=1, spacing_ms=300), baseline)
    return rows


def run_jobs(bench, bundle):
    """`run` of one bundle by every runtime."""
    return [Job(name, [program, "--root", bench.state(name), "run", "--bundle", bundle, f"{name}-%n"]) for name, program in bench.runtimes.items()]


def run_plain(bench):
    """run of a static true with runc spec's config, and the floor."""
    bundle = peers.make_bundle(bench.folder / "plain", bench.rootfs)
    jobs = run_jobs(bench, bundle)
    jobs += [Job("floor", [bench.floor, bench.rootfs, "/bin/true"]), Job("floor with cgroups", [bench.floor, "-c", "floor-%n", bench.rootfs, "/bin/true"])]
    return both_paces(bench, "run, config of runc spec", jobs, "coop")


def run_seccomp(bench):
    """The same with podman's default seccomp profile."""
    bundle = peers.make_bundle(bench.folder / "seccomp", bench.rootfs, peers.podman_seccomp(bench.podman))
    return both_paces(bench, "run, podman's seccomp profile", run_jobs(bench, bundle), "coop")


def lifecycle(bench):
    """create, start and delete, as an engine calls them."""
    bundle = peers.make_bundle(bench.folder / "plain", bench.rootfs)
    jobs = []
    for name, program in bench.runtimes.items():
        base = [program, "--root", bench.state(name)]
        jobs.append(Job(name, [*base, "create", "--bundle", bundle, f"{name}-l%n", ";", *base, "start", f"{name}-l%n", ";", *base, "delete", "--force", f"{name}-l%n"]))
    return both_paces(bench, "create + start + delete", jobs, "coop")


def with_sleepers(bench, measured):
    """measured({runtime: (command line with --root, id of a running container)})."""
    bundle = peers.make_bundle(bench.folder / "sleeping", bench.rootfs, args=("/bin/sleep", "100000"))
    started = {}
    try:
        for name, program in bench.runtimes.items():
            base = [str(program), "--root", str(bench.state(name))]
            peers.run(*base, "run", "--detach", "--bundle", bundle, f"{name}-sleeps", stdin=open(os.devnull, "rb"))
            started[name] = (base, f"{name}-sleeps")
        return measured(started)
    finally:
        for base, container in started.values():
            peers.run(*base, "delete", "--force", container)


def execs(bench):
    """exec of a static true in a running container."""

    def measured(started):
        return both_paces(bench, "exec", [Job(name, [*base, "exec", container, "/bin/true"]) for name, (base, container) in started.items()], "coop")

    return with_sleepers(bench, measured)


def states(bench):
    """state of a running container."""

    def measured(started):
        jobs = [Job(name, [*base, "state", container]) for name, (base, container) in started.items()]
        return rows_of("state", bench.harness.run(jobs, bench.rounds), "coop")

    return with_sleepers(bench, measured)


def crowd(bench):
    """run with many idle containers alive, against run with none.

    Back to back, a start also waits for the kernel to put away the container before it: some milliseconds for each memory cgroup that ends, growing
    with the file systems that are mounted on the machine, whoever starts it. Spaced starts show the start alone.
    """
    count = 100 if bench.rounds < 100 else 1000
    plain = peers.make_bundle(bench.folder / "plain", bench.rootfs)
    sleeping = peers.make_bundle(bench.folder / "sleeping", bench.rootfs, args=("/bin/sleep", "100000"))
    jobs = [Job(name, [program, "--root", bench.state(f"{name}-crowd"), "run", "--bundle", plain, f"{name}-crowd-%n"]) for name, program in bench.runtimes.items()]
    jobs.append(Job("floor with cgroups", [bench.floor, "-c", "floor-%n", bench.rootfs, "/bin/true"]))
    paces = {"back to back": {"rounds": bench.rounds}, "0.1 s apart": {"rounds": 2 * bench.spaced_rounds, "spacing_ms": 100}}

    def measured():
        return {pace: bench.harness.run(jobs, **how) for pace, how in paces.items()}

    base = [str(bench.bin / "coop"), "--root", str(bench.state("crowd"))]
    alone = measured()
    started = []
    try:
        for number in range(count):
            peers.run(*base, "run", "--detach", "--bundle", sleeping, f"idle-{number}", stdin=open(os.devnull, "rb"))
            started.append(f"idle-{number}")
        among = measured()
    finally:
        for container in started:
            peers.run(*base, "delete", "--force", container)
    rows = []
    for pace in paces:
        for job in jobs:
            series = {f"{job.name} alone": alone[pace][job.name], f"{job.name} among {count}": among[pace][job.name]}
            rows += rows_of(f"run beside idle containers, {pace}: {job.name}", series, f"{job.name} alone")
    return rows


def parallel(bench):
    """A hundred runs at once."""
    bundle = peers.make_bundle(bench.folder / "plain", bench.rootfs)
    jobs = []
    for name, program in bench.runtimes.items():
        one = f'"{program}" --root "{bench.state(name)}" run --bundle "{bundle}"'
        script = f'status=0; pids=; for i in $(seq 100); do {one} {name}-%n-$i & pids="$pids $!"; done; for p in $pids; do wait $p || status=1; done; exit $status'
        jobs.append(Job(name, ["/bin/sh", "-c", script]))
    return rows_of("100 runs at once", bench.harness.run(jobs, max(3, bench.slow_rounds // 3), warmup=1), "coop")


def smallest_memory(bench):
    """The smallest memory limit with which a static true still runs, in KiB."""
    rows = []
    for name, program in bench.runtimes.items():
        low, high = 0, 65536  # does not run; runs
        while high - low > 16:
            middle = (low + high) // 2
            bundle = peers.make_bundle(bench.folder / "small", bench.rootfs, memory=middle * 1024)
            try:
                peers.run(program, "--root", bench.state(name), "run", "--bundle", bundle, f"{name}-small-{middle}", stdin=open(os.devnull, "rb"))
                high = middle
            except RuntimeError:
                low = middle
                peers.forget(program, "--root", bench.state(name), "delete", "--force", f"{name}-small-{middle}")
        rows.append(Row("smallest memory limit that starts", name, kib=high))
    for row in rows:
        row.ratio = row.kib / max(rows[0].kib, 1)
    return rows


def engines(bench):
    """A container from an image, whole engines."""
    jobs = [Job("cooper", [*bench.cooper, "run", "--rm", "localhost/bench", "/bin/true"])]
    podman, docker = bench.podman, bench.docker
    os.environ.update(CONTAINERS_CONF=podman.environ["CONTAINERS_CONF"], DOCKER_API_VERSION="1.41")
    bench.harness.environ = {**os.environ, "HOME": str(bench.folder)}
    jobs.append(Job("podman", podman.argv("run", *podman.options(), "--rm", "localhost/bench", "/bin/true")))
    jobs.append(Job("docker", docker.argv("run", "--rm", "--network", "none", "bench", "/bin/true")))
    jobs.append(Job("systemd-nspawn", ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--private-network", "--machine=bench%n", "-D", bench.rootfs, "/bin/true"]))
    return both_paces(bench, "run --rm from an image", jobs, "cooper", bench.slow_rounds, bench.spaced_rounds // 2)


def idle_monitor(bench):
    """Private memory of what watches one idle container."""
    rows = []
    uuid = peers.run(*bench.cooper, "run", "-d", "localhost/bench", "/bin/sleep", "100000").strip()
    try:
        time.sleep(0.5)
        rows.append(Row("idle container", "cooper: monitor and guardian", kib=sum_private(lambda line: line.startswith("cooper") and uuid in line)))
    finally:
        peers.run(*bench.cooper, "rm", "-f", uuid)
    podman = bench.podman
    made = podman.run("--detach", "localhost/bench", "/bin/sleep", "100000").check().out.strip()
    try:
        time.sleep(0.5)
        rows.append(Row("idle container", "podman: conmon", kib=sum_private(lambda line: "conmon" in line.split(" ")[0] and made in line)))
    finally:
        podman("rm", "--force", "--time", "0", made)
    rows[0].ratio, rows[1].ratio = 1.0, rows[1].kib / max(rows[0].kib, 1)
    return rows


def sum_private(wanted):
    """Private memory of all processes whose command line is wanted."""
    total = 0
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                line = pathlib.Path(f"/proc/{entry}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if wanted(line):
                    total += measure.private_kib(entry)
            except (FileNotFoundError, ProcessLookupError):
                continue
    return total


def start_up(bench):
    """The programs themselves: version, over a static true."""
    jobs = [Job("true", [bench.rootfs / "bin/true"]), Job("coop --version", [bench.bin / "coop", "--version"]), Job("cooper version", [bench.bin / "cooper", "version"])]
    jobs += [Job(f"{name} --version", [program, "--version"]) for name, program in bench.runtimes.items() if name != "coop"]
    return rows_of("start-up of the programs", bench.harness.run(jobs, bench.rounds), "coop --version")


SCENARIOS = {
    "start-up": start_up,
    "run": run_plain,
    "seccomp": run_seccomp,
    "exec": execs,
    "state": states,
    "lifecycle": lifecycle,
    "crowd": crowd,
    "parallel": parallel,
    "memory": smallest_memory,
    "engines": engines,
    "monitor": idle_monitor,
    "load": stores.loads,
    "pull": stores.pulls,
    "images": stores.many,
}


def verdicts(rows):
    """What the project promises, against the rows: (text, kept)."""
    found = {(row.group, row.name): row for row in rows if row.ms is not None}
    lines = []
    for (group, name), row in found.items():
        ours = found.get((group, "coop"))
        if name == "crun" and ours:
            lines.append((f"{group}: coop no slower than crun ({ours.ms:.2f} against {row.ms:.2f} ms)", ours.ms <= row.ms))
        ours = found.get((group, "cooper"))
        if name == "podman" and ours:
            lines.append((f"{group}: cooper run 10 times faster than podman run ({row.ms / ours.ms:.1f} times)", row.ms >= 10 * ours.ms))
    return lines + stores.verdicts(found)


def dump(rows, path, extra):
    """The same as JSON."""
    data = {**extra, "rows": [vars(row) for row in rows]}
    pathlib.Path(path).write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
