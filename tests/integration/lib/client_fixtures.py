"""Session fixtures of the client tests; conftest.py imports them.

Each starts its client once (daemons too), brings in the images and runs one container, so that directories made on first
use exist before the leak check of the first test looks.
"""

import pathlib
import shutil
import tempfile

import pytest

from lib import isolate, needs, paths, rootfs
from lib.clients import Buildah, Containerd, Docker, Podman


def _require(*words):
    for word in words:
        reason = needs.unmet(word)
        if reason:
            pytest.skip(f"needs {word}: {reason}")


@pytest.fixture(scope="session")
def clients_dir(prefix):
    """Storage of all clients: outside the scratch directory that the leak check watches."""
    path = pathlib.Path(tempfile.mkdtemp(prefix=f"{prefix}c", dir="/tmp"))
    isolate.in_memory(path)
    path.chmod(0o711)
    yield path
    isolate.remove_tree(path)


@pytest.fixture(scope="session")
def busybox_tar(clients_dir):
    """A tar of the busybox root file system."""
    from lib import proc

    tree = rootfs.make_busybox(clients_dir / "busybox")
    proc.run("tar", "-C", tree, "-cf", clients_dir / "busybox.tar", ".").check()
    return clients_dir / "busybox.tar"


@pytest.fixture(scope="session")
def podman(clients_dir, busybox_tar, prefix):
    """podman with the image 'busybox'."""
    _require("root", "podman", "runtime", "isolation")
    client = Podman(clients_dir / "p", f"/{prefix}")
    client("import", busybox_tar, "localhost/busybox").check()
    client.run("--rm", "localhost/busybox", "true").check()
    yield client
    client("rm", "--all", "--force", "--time", "0")


@pytest.fixture(scope="session", params=["coop", "crun"])
def monitored(request, clients_dir, busybox_tar, prefix):
    """podman with the monitor of this project in place of its own, over two runtimes."""
    _require("root", "podman", "runtime", "isolation", "conmon")
    runtime = paths.runtime_binary()
    if request.param == "crun":
        _require("crun")
        runtime = shutil.which("crun")
    client = Podman(clients_dir / f"m-{request.param}", f"/{prefix}", runtime, paths.monitor_binary())
    client("import", busybox_tar, "localhost/busybox").check()
    client.run("--rm", "localhost/busybox", "true").check()
    yield client
    client("rm", "--all", "--force", "--time", "0")


@pytest.fixture(scope="session")
def podman_debian(podman, debian_tree):
    """The name of a Debian image in podman's storage."""
    podman("import", debian_tree / "rootfs.tar", "localhost/debian", timeout=200).check()
    return "localhost/debian"


@pytest.fixture(scope="session")
def buildah(podman):
    """buildah on podman's storage (images 'localhost/busybox' and, with podman_debian, 'localhost/debian')."""
    _require("buildah")
    client = Buildah(podman)
    with client.working("warmup", "localhost/busybox"):
        client.run("warmup", "--", "true").check()
    return client


@pytest.fixture(scope="session")
def docker(clients_dir, busybox_tar, prefix):
    """dockerd and docker with the image 'busybox'."""
    _require("root", "docker", "runtime", "isolation")
    client = Docker(clients_dir / "d", f"/{prefix}")
    try:
        client("import", busybox_tar, "busybox").check()
        client.run("--rm", "busybox", "true").check()
        yield client
    finally:
        client.stop()


@pytest.fixture(scope="session")
def docker_debian(docker, debian_tree):
    """The name of a Debian image in dockerd's storage."""
    docker("import", debian_tree / "rootfs.tar", "debian", timeout=200).check()
    return "debian"


@pytest.fixture(scope="session")
def containerd(clients_dir, prefix):
    """containerd and ctr."""
    _require("root", "containerd", "runtime", "isolation")
    client = Containerd(clients_dir / "c", f"/{prefix}")
    try:
        client.run(rootfs.make_busybox(clients_dir / "warm"), "warmup", "true").check()
        yield client
    finally:
        client.stop()
