"""What is measured of images: loads, pulls, the first start, and stores with thousands of them. Each returns a list of report.Row."""

import contextlib
import os
import pathlib
import shutil
import tempfile
import time

import measure
import peers
from lib import clients, registries
from measure import Job
from report import rows_of

OURS = "cooper image load"
UNTAR = 'cd "$0" && for tar; do tar -xf "$tar" || exit; done'
TAR_ON_DISK = "tar of the uncompressed layers, then sync"  # what a load promises when it returns, and tar by itself does not
MANY = 10_000
LINEAR = (1_000, 10_000)


@contextlib.contextmanager
def running(argv):
    """A command without a daemon."""
    yield argv


@contextlib.contextmanager
def in_containerd(own, tar):
    """ctr image import, which unpacks too; its daemon is there before the clock starts."""
    daemon = clients.Containerd(own, "/cooperbench")
    try:
        yield daemon.argv("image", "import", tar)
    finally:
        daemon.stop()


def loads(bench):
    """The same image of three layers, 300 MB, into an empty store, unpacked: on the disk and in memory, gzip and zstd. Then once more into the same store."""
    image = peers.large_image(bench.cache)
    zstd = peers.zstd_image(image)
    rows = []
    with tempfile.TemporaryDirectory(prefix="b") as short:
        for layers, tar, layout in (("gzip", image / "large.tar", image / "layout"), ("zstd", zstd / "large.tar", zstd / "layout")):
            commands = load_commands(bench, pathlib.Path(short), tar, layout, peers.plain_layers(image))
            for where, place in (("on disk", peers.new_ext4), ("in memory", peers.new_tmpfs)):
                rows += into_empty_stores(bench, f"load of a 300 MB image in three layers, {layers}, {where}", commands, place)
    base = [bench.bin / "cooper", "--root", bench.folder / "again/lib", "--run-root", bench.folder / "again/run"]
    again = Job(OURS, [*base, "image", "load", image / "large.tar"])
    peers.run(*map(str, again.argv))
    rows += rows_of("load of an image that is there", bench.harness.run([again], bench.slow_rounds), OURS)
    shutil.rmtree(bench.folder / "again")
    return rows


def load_commands(bench, short, tar, layout, plain):
    """Everybody's way to load that image."""
    return [
        (OURS, lambda own: running([*cooper_argv(bench, own), "image", "load", tar])),
        ("podman load", lambda own: running([*podman_argv(own, short), "load", "-q", "-i", tar])),
        ("umoci unpack", lambda own: running(["umoci", "unpack", "--image", f"{layout}:large", own / "bundle"])),
        ("ctr image import", lambda own: in_containerd(own, tar)),
        ("tar of the uncompressed layers", lambda own: running(["sh", "-c", UNTAR, own, *plain])),
        (TAR_ON_DISK, lambda own: running(["sh", "-c", f"{UNTAR}; sync -f .", own, *plain])),
    ]


def pulls(bench):
    """The image from a registry on this machine, over plain http, beside its load from a file; then its first start, from an empty store."""
    image = peers.large_image(bench.cache)
    with tempfile.TemporaryDirectory(prefix="b") as short, registries.DebianRegistry(bench.folder / "registry") as registry:
        registry.push(f"oci:{image}/layout:large", "large:1")
        name = f"{registry.host}/large:1"
        podman = lambda own: podman_argv(own, pathlib.Path(short))  # noqa: E731
        commands = [
            (OURS, lambda own: running([*cooper_argv(bench, own), "image", "load", image / "large.tar"])),
            ("cooper image pull", lambda own: running([*cooper_argv(bench, own), "image", "pull", "-q", name])),
            ("podman pull", lambda own: running([*podman(own), "pull", "-q", "--tls-verify=false", name])),
        ]
        rows = into_empty_stores(bench, "pull of a 300 MB image in three layers", commands, peers.new_ext4)
        options = bench.podman.options()
        os.environ["CONTAINERS_CONF"] = bench.podman.environ["CONTAINERS_CONF"]
        bench.harness.environ = {**os.environ, "HOME": str(bench.folder)}
        commands = [
            ("cooper run, erofs", lambda own: running([*cooper_argv(bench, own), "run", "--rm", "-q", "--rootfs-backend", "erofs", name, "/bin/true"])),
            ("cooper run, overlay", lambda own: running([*cooper_argv(bench, own), "run", "--rm", "-q", name, "/bin/true"])),
            ("podman run", lambda own: running([*podman(own), "run", *options, "--rm", "-q", "--tls-verify=false", name, "/bin/true"])),
        ]
        return rows + into_empty_stores(bench, "first start of a 300 MB image from a registry", commands, peers.new_ext4)


def into_empty_stores(bench, group, commands, place):
    """Rounds of every command in turn: (name, context with the argv, of a directory of its own). The first is the baseline.

    `place` is the context of a directory on a file system of its own.
    """
    series = {}
    for _ in range(bench.load_rounds):
        for name, prepare in commands:
            with place(bench.folder / "store") as folder:
                own = folder / "own"
                own.mkdir()
                with prepare(own) as argv:
                    os.sync()
                    found = bench.harness.run_once(Job(name, argv))
                peers.unmount_below(own)
            if isinstance(found, str):
                series[name] = found
            elif not isinstance(series.get(name), str):
                whole = series.setdefault(name, measure.Series())
                whole.ms += found.ms
                whole.rss_kib += found.rss_kib
    return rows_of(group, series, commands[0][0])


def cooper_argv(bench, own):
    """cooper with an engine below that directory."""
    return [str(bench.bin / "cooper"), "--root", own / "lib", "--run-root", own / "run"]


def podman_argv(own, short):
    """podman with a store below that directory; it wants a run root of at most 50 characters."""
    return ["podman", "--root", own / "st", "--runroot", short / "rr", "--tmpdir", own / "tmp", "--events-backend", "file"]


def many(bench):
    """Verbs that look at all images, with ten thousand of them: names and records as the store writes them, no layers of any size. And gc of a thousand beside it."""
    jobs = []
    for count in sorted(LINEAR, reverse=True):
        root = bench.folder / f"many-{count}"
        peers.many_images(root / "images", count)
        base = [bench.bin / "cooper", "--root", root, "--run-root", peers.in_memory(bench.folder / "run") / f"many-{count}", "image"]
        if count == MANY:
            jobs += [Job("cooper image ls", [*base, "ls"]), Job("cooper image ls --format json", [*base, "ls", "--format", "json"])]
        jobs.append(Job(f"cooper image gc of {count:,}", [*base, "gc"]))
    time.sleep(2.1)  # a change of just now would keep ls from using its copy of the records
    bench.harness.run_once(jobs[0])
    return rows_of(f"{MANY:,} images in the store", bench.harness.run(jobs, bench.slow_rounds), "cooper image ls")


def verdicts(found):
    """What the project promises of images, against {(group, name): row}: (text, kept)."""
    lines = []
    for group in dict.fromkeys(group for group, _ in found):
        times = {name: row.ms for (of, name), row in found.items() if of == group}
        if group.startswith("load of a 300 MB"):
            lines += load_verdicts(group, times)
        if group.startswith("pull of a 300 MB"):
            lines += pull_verdicts(group, times)
        if group.startswith("first start") and {"cooper run, erofs", "podman run"} <= set(times):
            ours, peer = times["cooper run, erofs"], times["podman run"]
            lines.append((f"{group}: faster than podman's ({ours:.0f} against {peer:.0f} ms)", ours <= peer))
        if group == "load of an image that is there":
            lines.append((f"{group}: under 50 ms ({times[OURS]:.1f} ms)", times[OURS] < 50))
        if group == f"{MANY:,} images in the store":
            lines += many_verdicts(times)
    return lines


def load_verdicts(group, times):
    """Beside the fastest peer, and beside tar."""
    peers_ms = [ms for name, ms in times.items() if name.split()[0] in ("podman", "umoci", "ctr")]
    if OURS not in times or not peers_ms:
        return []
    ours, most = times[OURS], 0.30 if group.endswith("in memory") else 0.55
    lines = [(f"{group}: at most {most:.2f} of the fastest peer ({ours:.0f} against {min(peers_ms):.0f} ms: {ours / min(peers_ms):.2f})", ours <= most * min(peers_ms))]
    plain = times.get(TAR_ON_DISK)
    if plain and group.endswith("on disk"):
        lines.append((f"{group}: at most 1.15 of tar without decompression, both until it is on the disk ({ours:.0f} against {plain:.0f} ms: {ours / plain:.2f})", ours <= 1.15 * plain))
    return lines


def pull_verdicts(group, times):
    """Beside a load and podman."""
    if not {OURS, "cooper image pull", "podman pull"} <= set(times):
        return []
    ours, load, peer = times["cooper image pull"], times[OURS], times["podman pull"]
    return [
        (f"{group}: as fast as podman's ({ours:.0f} against {peer:.0f} ms)", ours <= peer),
        (f"{group}: at most a fifth slower than a load ({ours:.0f} against {load:.0f} ms)", ours <= 1.2 * load),
    ]


def many_verdicts(times):
    """A list in 50 ms; ten times the images, ten times the time (a little more for caches that no longer hold it)."""
    lines = []
    if "cooper image ls" in times:
        lines.append((f"image ls of {MANY:,} images under 50 ms ({times['cooper image ls']:.1f} ms)", times["cooper image ls"] < 50))
    few, lot = (times.get(f"cooper image gc of {count:,}") for count in LINEAR)
    if few and lot:
        lines.append((f"image gc is linear: ten times the images, at most 12 times the time ({few:.1f} and {lot:.1f} ms)", lot <= 12 * few))
    return lines
