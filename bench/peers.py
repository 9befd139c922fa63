"""Bundles, images and the other engines, each with everything of its own below one directory."""

import contextlib
import gzip
import hashlib
import io
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
REPOSITORY = HERE.parent
sys.path.insert(0, str(REPOSITORY / "tests/integration"))

from lib import clients, isolate  # noqa: E402

TRUE_SOURCE = "int main(void) { return 0; }\n"
PACKAGES = "python3,gcc,git,perl,vim,curl"


def run(*argv, **options):
    """A command that must succeed; returns its output. Files, not pipes: what it leaves running may hold them open."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        done = subprocess.run([str(a) for a in argv], stdout=out, stderr=err, check=False, **options)
        out.seek(0)
        err.seek(0)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(str(a) for a in argv)}: {err.read().strip()[-500:]}")
        return out.read()


def make_rootfs(target):
    """Static true and busybox, and the mount points that a start needs."""
    target.mkdir(parents=True, exist_ok=True)
    for name in ("bin", "proc", "sys", "dev", "etc", "tmp", "root", "run", "usr", "var"):
        (target / name).mkdir(exist_ok=True)
    shutil.copy2("/bin/busybox", target / "bin/busybox")
    for name in ("sh", "sleep"):
        if not (target / "bin" / name).exists():
            (target / "bin" / name).symlink_to("busybox")
    (target / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (target / "etc/os-release").write_text("ID=bench\n")
    source = target.parent / "true.c"
    source.write_text(TRUE_SOURCE)
    run("gcc", "-static", "-O2", "-o", target / "bin/true", source)
    return target


def forget(*argv):
    """A command whose failure is none of ours."""
    subprocess.run([str(a) for a in argv], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


def make_bundle(path, rootfs, seccomp=None, args=("/bin/true",), memory=None):
    """What `runc spec` writes, without a terminal; optionally with a seccomp profile."""
    path.mkdir(parents=True, exist_ok=True)
    (path / "config.json").unlink(missing_ok=True)
    run("runc", "spec", "--bundle", path)
    config = json.loads((path / "config.json").read_text())
    config["process"]["terminal"] = False
    config["process"]["args"] = list(args)
    config["root"]["path"] = str(rootfs)
    if seccomp:
        config["linux"]["seccomp"] = seccomp
    if memory:
        config["linux"].setdefault("resources", {})["memory"] = {"limit": memory}
    (path / "config.json").write_text(json.dumps(config, indent=1))
    return path


def in_memory(path):
    """A directory on a tmpfs, as everything below /run is on a real machine: what is kept there goes with a reboot."""
    path.mkdir(parents=True, exist_ok=True)
    if not os.path.ismount(path):
        isolate.mount("tmpfs", path, "tmpfs", isolate.MS_NOSUID | isolate.MS_NODEV, "mode=0755")
    return path


def stock_podman(folder):
    """podman as installed (its own choice of runtime), with the image localhost/bench."""
    in_memory(folder / "rr")
    in_memory(folder / "tmp")
    podman = clients.Podman(folder, "/cooperbench")
    podman.runtime = shutil.which("crun") or shutil.which("runc")
    return podman


class StockDocker(clients.Daemon):
    """dockerd with its own default runtime."""

    def __init__(self, folder):
        super().__init__(folder, "/cooperbench")
        self.socket = self.folder / "d.sock"
        self.environ["DOCKER_API_VERSION"] = "1.41"
        self.environ.pop("DOCKER_HOST", None)
        in_memory(self.folder / "exec")
        (self.folder / "daemon.json").write_text("{}")
        self.launch(
            "dockerd", "--config-file", self.folder / "daemon.json", "--data-root", self.folder / "data", "--exec-root", self.folder / "exec",
            "-H", f"unix://{self.socket}", "-p", self.folder / "pid", "--oom-score-adjust", "0", "--iptables=false", "--ip6tables=false",
            "--bridge=none", "--exec-opt", "native.cgroupdriver=cgroupfs",
            socket=self.socket, log="dockerd.log",
        )  # fmt: skip

    def argv(self, *args):
        program = "/usr/bin/docker" if os.path.exists("/usr/bin/docker") else "docker"
        return [program, "-H", f"unix://{self.socket}", *[str(a) for a in args]]


def podman_seccomp(podman):
    """The seccomp section that podman puts into config.json for a container with its defaults."""
    made = podman("create", *podman.options(), "localhost/bench", "/bin/true").check().out.strip()
    try:
        podman("init", made).check()
        config = next(podman.folder.glob(f"st/*-containers/{made}/userdata/config.json"))
        return json.loads(config.read_text())["linux"]["seccomp"]
    finally:
        podman("rm", "--force", "--time", "0", made)


# --- the large image ---------------------------------------------------------------------


def layer_of(path):
    """Which of three layers a path goes to."""
    if path.startswith("usr/lib/"):
        return 1
    if path.startswith("usr/share/"):
        return 2
    return 0


def large_image(cache):
    """OCI layout (directory 'layout', tag 'large') and archive ('large.tar') of a Debian root in three gzip layers; cached.

    About 300 MB of files. Needs mmdebstrap and the machine's package mirror the first time.
    """
    folder = pathlib.Path(cache) / f"large-{hashlib.sha256(PACKAGES.encode()).hexdigest()[:10]}"
    if (folder / "done").exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    tar = folder / "root.tar"
    run("mmdebstrap", "--variant=minbase", "--mode=root", "--skip=output/dev", f"--include={PACKAGES}", "bookworm", tar)
    layout = folder / "layout"
    (layout / "blobs/sha256").mkdir(parents=True)
    (layout / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    layers, diff_ids = split_layers(tar, layout)
    config = add_blob(layout, "config.v1+json", json.dumps({
        "created": "2026-01-01T00:00:00Z", "architecture": "amd64", "os": "linux", "config": {"Cmd": ["/bin/true"]},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    }).encode())  # fmt: skip
    manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config, "layers": layers}
    entry = add_blob(layout, "manifest.v1+json", json.dumps(manifest).encode())
    entry["annotations"] = {"org.opencontainers.image.ref.name": "large"}
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    run("tar", "-C", layout, "-cf", folder / "large.tar", "oci-layout", "index.json", "blobs")
    tar.unlink()
    (folder / "done").touch()
    return folder


def plain_layers(image):
    """The layers of that image as uncompressed tars, base first."""
    layout = image / "layout"
    manifest = json.loads((layout / "index.json").read_text())["manifests"][0]["digest"]
    blob = lambda digest: layout / "blobs" / digest.replace(":", "/")  # noqa: E731
    out = []
    for number, layer in enumerate(json.loads(blob(manifest).read_text())["layers"]):
        tar = image / f"layer{number}.tar"
        if not tar.exists():
            part = image / "layer.part"
            with gzip.open(blob(layer["digest"])) as source, open(part, "wb") as target:
                shutil.copyfileobj(source, target)
            part.rename(tar)
        out.append(str(tar))
    return out


def zstd_image(image):
    """The same image with zstd layers, beside it; cached."""
    folder = image / "zstd"
    if (folder / "done").exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    layout = folder / "layout"
    (layout / "blobs/sha256").mkdir(parents=True)
    (layout / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    read = lambda descriptor: json.loads((image / "layout/blobs" / descriptor["digest"].replace(":", "/")).read_text())  # noqa: E731
    manifest = read(json.loads((image / "layout/index.json").read_text())["manifests"][0])
    config = add_blob(layout, "config.v1+json", json.dumps(read(manifest["config"])).encode())
    layers = []
    for tar in plain_layers(image):
        packed = folder / "layer.zst"
        run("zstd", "-q", "-f", "-3", tar, "-o", packed)
        layers.append(add_blob(layout, "layer.v1.tar+zstd", packed.read_bytes()))
        packed.unlink()
    entry = add_blob(layout, "manifest.v1+json", json.dumps({**manifest, "config": config, "layers": layers}).encode())
    entry["annotations"] = {"org.opencontainers.image.ref.name": "large"}
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    run("tar", "-C", layout, "-cf", folder / "large.tar", "oci-layout", "index.json", "blobs")
    (folder / "done").touch()
    return folder


@contextlib.contextmanager
def new_ext4(path):
    """A directory on a new ext4. On one that is in use a file is made the slower the more files were removed in the minutes before:
    ext4 passes over each inode that was freed a short while ago."""
    image = path.with_name(f"{path.name}.ext4")
    with open(image, "wb") as file:
        file.truncate(8 << 30)
    run("mkfs.ext4", "-q", "-F", image)
    loop = run("losetup", "--find", "--show", "--direct-io=on", image).strip()
    path.mkdir(parents=True, exist_ok=True)
    try:
        run("mount", "-o", "noinit_itable", loop, path)
        try:
            yield path
        finally:
            run("umount", "-l", path)
    finally:
        run("losetup", "--detach", loop)
        image.unlink()


@contextlib.contextmanager
def new_tmpfs(path):
    """A directory on a new tmpfs."""
    path.mkdir(parents=True, exist_ok=True)
    isolate.mount("tmpfs", path, "tmpfs", isolate.MS_NOSUID | isolate.MS_NODEV, "mode=0755")
    try:
        yield path
    finally:
        run("umount", "-l", path)


def unmount_below(folder):
    """What an engine left mounted in its store."""
    points = [line.split()[4] for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines()]
    for point in reversed(points):
        if pathlib.Path(point).is_relative_to(folder):
            forget("umount", "-l", point)


def add_blob(layout, media, data):
    """Store bytes; returns the descriptor."""
    digest = hashlib.sha256(data).hexdigest()
    (layout / "blobs/sha256" / digest).write_bytes(data)
    return {"mediaType": f"application/vnd.oci.image.{media}", "digest": f"sha256:{digest}", "size": len(data)}


def split_layers(tar, layout):
    """Three layers of one tar; hard links stay with their target's layer or become copies."""
    buffers = [io.BytesIO() for _ in range(3)]
    outs = [tarfile.open(fileobj=b, mode="w", format=tarfile.PAX_FORMAT) for b in buffers]
    with tarfile.open(tar) as source:
        for member in source:
            member.name = member.name.removeprefix("./") or "."
            if member.name == ".":
                continue
            number = layer_of(member.name)
            if member.islnk():
                member.linkname = member.linkname.removeprefix("./")
                if layer_of(member.linkname) != number:
                    original = source.getmember(f"./{member.linkname}")
                    member.type, member.size = tarfile.REGTYPE, original.size
                    outs[number].addfile(member, source.extractfile(original))
                    continue
            outs[number].addfile(member, source.extractfile(member) if member.isreg() else None)
    layers, diff_ids = [], []
    for out, buffer in zip(outs, buffers):
        out.close()
        data = buffer.getvalue()
        diff_ids.append("sha256:" + hashlib.sha256(data).hexdigest())
        layers.append(add_blob(layout, "layer.v1.tar+gzip", gzip.compress(data, 6, mtime=0)))
    return layers, diff_ids


# --- the machine -----------------------------------------------------------------------


def cgroup_lock_mode():
    """(median ms of ten attaches 0.3 s apart, what that says). Only looks; never switches anything."""
    for name in ("pids", "unified", ""):
        base = pathlib.Path("/sys/fs/cgroup") / name
        if (base / "cgroup.procs").exists():
            break
    group = base / f"cooperbench-probe-{os.getpid()}"
    group.mkdir()
    times = []
    try:
        for _ in range(10):
            child = subprocess.Popen(["sleep", "10"])
            time.sleep(0.3)
            with open(group / "cgroup.procs", "w", encoding="ascii") as procs:
                begin = time.perf_counter()
                procs.write(str(child.pid))
                procs.flush()
                times.append((time.perf_counter() - begin) * 1e3)
            child.kill()
            child.wait()
    finally:
        for _ in range(50):
            try:
                group.rmdir()
                break
            except OSError:
                time.sleep(0.02)
    median = sorted(times)[len(times) // 2]
    return median, "per-cpu rwsem (default)" if median > 2 else "favordynmods-like (no wait for a grace period)"


def mount_hugetlb():
    """crun wants every enabled controller mounted on a hybrid host. In our own mount namespace: it ends with us."""
    base = pathlib.Path("/sys/fs/cgroup")
    if not (base / "memory").is_dir() or (base / "hugetlb").exists():
        return lambda: None
    if "hugetlb" not in pathlib.Path("/proc/cgroups").read_text():
        return lambda: None
    try:
        (base / "hugetlb").mkdir()
    except OSError:
        return lambda: None
    if subprocess.run(["mount", "-t", "cgroup", "-o", "hugetlb", "hugetlb", base / "hugetlb"], stderr=subprocess.DEVNULL).returncode != 0:
        (base / "hugetlb").rmdir()
        return lambda: None

    def undo():
        subprocess.run(["umount", base / "hugetlb"], stderr=subprocess.DEVNULL, check=False)
        try:
            (base / "hugetlb").rmdir()
        except OSError:
            pass

    return undo


def many_images(store, count):
    """An image store with the records, names and (tiny) blobs of that many images; some layers are shared."""
    for folder in ("blobs/sha256", "blobs/sha512", "refs/images", "refs/names", "trees", "tmp", "locks"):
        (store / folder).mkdir(parents=True)
    for i in range(count):
        words = (f"config {i}", f"manifest {i}", f"base {i % 50}", f"middle {i % 1000}", f"top {i}")
        config, manifest, *layers = [f"sha256:{hashlib.sha256(word.encode()).hexdigest()}" for word in words]
        for digest in (config, manifest, *layers):
            (store / "blobs" / digest.replace(":", "/")).write_bytes(b"x")
        name = f"registry.example/team{i % 20}/app{i // 10}:v{i % 10}"
        record = {"version": 1, "id": config, "manifest": manifest, "chain": hashlib.sha256(words[-1].encode()).hexdigest(), "created": "2024-05-01T12:00:00Z"}
        record |= {"size_bytes": 60_000_000 + i, "loaded_unix_ms": 1_700_000_000_000 + i, "layers": layers, "layer_bytes": [50_000_000, 10_000_000, i], "names": [name]}
        (store / "refs/images" / config).write_text(json.dumps(record, separators=(",", ":")))
        (store / "refs/names" / name.replace("/", "+")).write_text(json.dumps({"version": 1, "name": name, "image": config}, separators=(",", ":")))
    (store / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
