"""Which descriptors each program that the runtime starts can see, on every path (CVE-2024-21626 and its kind).

The caller of the runtime has directories of the host open without close-on-exec, at low and at high numbers.
"""

import pytest

from lib import proc, ptys

NUMBERS = (3, 4, 9, 33, 500)


@pytest.fixture
def careless(runtime):
    """Runs commands of the runtime with descriptors of the host open: careless('run', ...), with output=FILE for its streams."""

    def run(*argv, output=None):
        words = " ".join(f"{number}</" for number in NUMBERS)
        where = f">{output} 2>&1" if output else ""
        return proc.run("bash", "-c", f'exec "$@" {words} {where}', "bash", *runtime.argv(*argv), env=runtime.environ, stdio="null" if output else None)

    return run


def numbers(text):
    """The descriptors that the probe printed."""
    return [int(line.split()[0]) for line in text.splitlines() if line[:1].isdigit()]


def test_run(careless, bundle):
    """run: the program has 0, 1 and 2. Seen to fail with a build whose last mile closes nothing."""
    bundle.args(bundle.probe("fds")).save()
    assert numbers(careless("run", "-b", bundle.path, bundle.id).check().out) == [0, 1, 2]


@pytest.mark.parametrize("how", ["create", "run"])
def test_detached(careless, runtime, bundle, workdir, how):
    """create and start, run --detach: the same. Seen to fail as above."""
    bundle.args(bundle.probe("fds")).save()
    out = workdir / "out"
    flags = ("--detach",) if how == "run" else ()
    careless(how, *flags, "-b", bundle.path, bundle.id, output=out).check()
    if how == "create":
        careless("start", bundle.id, output=workdir / "start").check()
    runtime.wait_status(bundle.id, "stopped")
    runtime("delete", bundle.id).check()
    assert numbers(out.read_text()) == [0, 1, 2]


def test_terminal(runtime, bundle):
    """run with a terminal: 0, 1 and 2 are the terminal, and there is nothing else."""
    bundle.process["terminal"] = True
    bundle.args(bundle.probe("fds")).save()
    with ptys.OnTerminal(*runtime.argv("run", "-b", bundle.path, bundle.id), env=runtime.environ) as run:
        status, text = run.wait(10)
    assert status == 0 and numbers(text) == [0, 1, 2], text


@pytest.mark.parametrize("detach", [False, True])
def test_exec(careless, runtime, bundle, workdir, detach):
    """exec in the foreground and detached: the same. Seen to fail as above."""
    probe = bundle.probe("fds")
    out = workdir / "out"
    with runtime.running(bundle.sh("sleep 1000")):
        if detach:
            careless("exec", "--detach", bundle.id, probe, output=out).check()
            proc.until(lambda: "2 " in out.read_text())
            text = out.read_text()
        else:
            text = careless("exec", bundle.id, probe).check().out
    assert numbers(text) == [0, 1, 2]


def test_preserved(careless, runtime, bundle, workdir):
    """--preserve-fds 2 hands on 3 and 4, on purpose, and nothing of the rest."""
    bundle.args(bundle.probe("fds")).save()
    assert numbers(careless("run", "--preserve-fds", "2", "-b", bundle.path, bundle.id).check().out) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("preserve", ["0", "2"])
@pytest.mark.parametrize("kind", ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"])
@pytest.mark.differs(runc="hands descriptors of its caller on to hooks", crun="hands descriptors of its caller on to hooks")
def test_hooks(careless, runtime, bundle, workdir, kind, preserve):
    """A hook of any kind has 0, 1 and 2, whatever the caller left open or has handed on to the container.

    A startContainer hook is a program of the image: with a directory of the host it would be out. Seen to fail with coop before hooks
    closed what they inherit.
    """
    (workdir / "hooks").mkdir()
    inside = bundle.probe("fds")
    program = inside if kind == "startContainer" else bundle.rootfs / inside.lstrip("/")
    if kind == "startContainer":
        bundle.add_mount("/hooks", "bind", workdir / "hooks", "bind", "rw")
    target = "/hooks/out" if kind == "startContainer" else workdir / "hooks/out"
    bundle.hook(kind, "/bin/sh", "-c", f"{program} > {target}")
    bundle.args("true").save()
    careless("run", "--preserve-fds", preserve, "-b", bundle.path, bundle.id).check()
    assert numbers((workdir / "hooks/out").read_text()) == [0, 1, 2]


def test_waiting_init(careless, runtime, bundle, workdir):
    """The init of a created container, which others in its PID namespace may look at, holds nothing of what the caller left open
    that leads out of the container when it executes the program: all but 0, 1 and 2 closes on exec or before."""
    bundle.args(bundle.probe("fds")).save()
    out = workdir / "out"
    careless("create", "-b", bundle.path, bundle.id, output=out).check()
    runtime("start", bundle.id).check()
    runtime.wait_status(bundle.id, "stopped")
    runtime("delete", bundle.id).check()
    assert not [l for l in out.read_text().splitlines() if l[:1].isdigit() and int(l.split()[0]) > 2]


def test_waiting_init_holds_no_group(runtime, bundle):
    """The init of a created container holds no directory of the host's control groups while it waits for its start."""
    with runtime.created(bundle.args("true")) as state:
        links = list(proc.descriptors(state["pid"]).values())
    assert links and not [link for link in links if link.startswith("/sys/fs/cgroup")]
