"""Fixtures for all integration tests. README.md in this directory explains their use."""

import itertools
import os
import pathlib
import re
import signal
import sys
import tempfile

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from lib import bundle as bundles  # noqa: E402
from lib import cgroups, isolate, leaks, needs, paths, rootfs, users  # noqa: E402
from lib.client_fixtures import buildah, busybox_tar, clients_dir, containerd, docker, docker_debian, monitored, podman, podman_debian  # noqa: E402, F401
from lib.runtime import Runtime  # noqa: E402

PREFIX = f"coopit{os.getpid()}x"
SCRATCH = pathlib.Path(os.environ.get("COOPER_TEST_TMP", "/tmp"))
_numbers = itertools.count(1)


def pytest_configure(config):
    """Enter the session's own namespaces before anything else happens."""
    config.addinivalue_line("markers", "needs(*words): what the machine must have; see lib/needs.py")
    config.addinivalue_line("markers", "differs(**kinds): how a stand-in runtime (runc=..., crun=...) is known to behave otherwise")
    config.addinivalue_line("markers", "may_leave(*parts): leak lines containing one of the parts are expected")
    config.addinivalue_line("markers", "guest: is also run in the virtual machines of ./dev test vm; implied by the words of needs.GUEST")
    if not config.option.collectonly:
        sweep()
        isolate.enter(["hugetlb"] if paths.runtime_kind() == "crun" else [])
        must_have(os.environ.get("COOPER_TEST_MUST_HAVE", "").split())
    # A shell starts what it runs in the background with SIGINT ignored, and programs inherit that.
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def must_have(words):
    """End the session if the machine lacks what it is there for: its tests would be skipped and nobody would see."""
    lacking = [f"{word}: {reason}" for word in words if (reason := needs.unmet(word))]
    if lacking:
        raise pytest.UsageError("this machine must have what it lacks: " + "; ".join(lacking))


def sweep():
    """Remove what sessions that were killed could not: their cgroups and scratch directories."""
    stale = re.compile(r"coopit(\d+)x")
    tops = [p for root in cgroups.roots() for p in root.glob("coopit*x")] + list(SCRATCH.glob("coopit*x*"))
    for path in tops:
        found = stale.match(path.name)
        if not found or os.path.exists(f"/proc/{found[1]}"):
            continue
        if path.parent == SCRATCH:
            isolate.remove_tree(path)
        else:
            cgroups.remove([folder for folder, _, _ in os.walk(path)])


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Tests made for a guest are marked so. A known deviation of a stand-in is an expected failure, with its reason."""
    for item in items:
        if any(needs.GUEST.intersection(mark.args) for mark in item.iter_markers("needs")):
            item.add_marker(pytest.mark.guest)
        for mark in item.iter_markers("differs"):
            reason = mark.kwargs.get(paths.runtime_kind())
            if reason:
                item.add_marker(pytest.mark.xfail(reason=reason, strict=False))


def pytest_runtest_setup(item):
    """Skip, saying why, when a need is not met."""
    for mark in item.iter_markers("needs"):
        for word in mark.args:
            reason = needs.unmet(word)
            if reason:
                pytest.skip(f"needs {word}: {reason}")


def pytest_report_header():
    """Name what is under test."""
    return [
        f"programs: {paths.bin_dir()}, runtime: {paths.runtime_binary()} ({paths.runtime_kind()})",
        f"isolated: {isolate.active() or isolate.wanted()}, names start with: {PREFIX}",
    ]


@pytest.fixture(scope="session")
def prefix():
    """Every id, cgroup and socket of this session starts with this."""
    yield PREFIX
    cgroups.remove(cgroups.named(PREFIX))


@pytest.fixture(scope="session")
def session_dir(prefix):
    """A directory for the whole session; unmounted and removed at its end.

    In memory, unless COOPER_TEST_TMP names a place: making the links of a root file system on a disk takes most of a test.
    """
    # Letters around the random part, which has underscores: parts of images' names begin and end so, and paths become such names.
    path = pathlib.Path(tempfile.mkdtemp(prefix=f"{prefix}-d", suffix="d", dir=SCRATCH))
    isolate.in_memory(path)
    path.chmod(0o755)
    yield path
    isolate.remove_tree(path)


@pytest.fixture
def unique(prefix):
    """unique('name') -> an id no other test uses."""
    return lambda stem="c": f"{prefix}{next(_numbers)}{stem}"


@pytest.fixture
def workdir(session_dir, unique):
    """An empty directory for one test, removed afterwards."""
    path = session_dir / unique("w")
    path.mkdir()
    yield path
    isolate.remove_tree(path)


@pytest.fixture(autouse=True)
def leakcheck(request, prefix, session_dir):
    """Fail the test if it leaves mounts, processes, network namespaces, cgroups or files."""
    folders = leaks.watched(session_dir)
    before = leaks.Snapshot.take(prefix, folders)
    yield
    allowed = [part for mark in request.node.iter_markers("may_leave") for part in mark.args]
    left = leaks.settle(before, prefix, folders, lambda line: any(part in line for part in allowed))
    if left:
        _tidy(before, prefix)
        pytest.fail("left behind:\n  " + "\n  ".join(left[:40]), pytrace=False)


def _tidy(before, prefix):
    """After a leak was reported: end what is left so that the next test starts clean."""
    import signal

    now = leaks.Snapshot.take(prefix, [])
    if isolate.active():
        for pid, _ in set(now.processes) - set(before.processes):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
    cgroups.remove(now.cgroups - before.cgroups)


@pytest.fixture
def runtime(workdir):
    """The OCI runtime with a state root of its own, empty again after the test."""
    reason = needs.unmet("runtime") or needs.unmet("root")
    if reason:
        pytest.skip(reason)
    value = Runtime(workdir / "state", workdir)
    yield value
    value.delete_all()


@pytest.fixture
def make_bundle(workdir, unique, prefix):
    """make_bundle() -> a new Bundle (busybox root unless tree= names another)."""

    def make(stem="c", tree=None):
        made = bundles.Bundle(workdir / unique("b"), unique(stem), tree)
        made.linux["cgroupsPath"] = f"/{prefix}/{made.id}"
        return made

    return make


@pytest.fixture
def bundle(make_bundle):
    """One bundle with a busybox root."""
    return make_bundle()


@pytest.fixture(scope="session")
def debian_tree():
    """Cached Debian: a directory with 'rootfs' and 'rootfs.tar' (read only, please)."""
    reason = needs.unmet("mmdebstrap")
    if reason:
        pytest.skip(reason)
    return rootfs.debian()


@pytest.fixture
def accounts(workdir):
    """A user exists, with a range of subordinate ids, in this session's view of /etc only."""
    with users.accounts(workdir):
        yield
