"""buildah run --runtime with the runtime under test."""

import pytest

pytestmark = [
    pytest.mark.needs("root", "isolation", "podman", "buildah"),
    pytest.mark.may_leave("/conmon", "/st/overlay (root", "/dev/shm/libpod", "/run/containers", "/run/libpod", "/.seccomp/"),
]

IMAGE = "localhost/busybox"


@pytest.fixture
def box(buildah, unique):
    """A working container of busybox."""
    with buildah.working(unique("bd"), IMAGE) as name:
        yield name


def test_run(buildah, box):
    """Output and success."""
    assert buildah.run(box, "--", "echo", "hello").check().out == "hello\n"


@pytest.mark.parametrize("status", [1, 42, 255])
def test_exit_status(buildah, box, status):
    """The exit status of the program is that of buildah run."""
    assert buildah.run(box, "--", "sh", "-c", f"exit {status}").rc == status


def test_changes_stay(buildah, box):
    """What one run writes the next one sees."""
    buildah.run(box, "--", "sh", "-c", "echo kept > /file").check()
    assert buildah.run(box, "--", "cat", "/file").check().out == "kept\n"


def test_failed_start(buildah, box):
    """The runtime's sentence reaches the user."""
    result = buildah.run(box, "--", "no-such-command").fails()
    assert "executable file not found" in result.err


def test_stdin(buildah, box):
    """Standard input reaches the program."""
    assert buildah.run(box, "--", "cat", stdin="input\n").check().out == "input\n"


def test_terminal(buildah, box):
    """--tty gives a terminal."""
    args = ("run", "--runtime", buildah.runtime, "--isolation", "oci", "--network", "none", "--tty", box, "--", "sh", "-c", "sleep 0.3; tty; exit 6")
    with buildah.on_terminal(*args) as run:
        status, text = run.wait(60)
    assert status == 6 and "/dev/" in text


def test_options(buildah, box, workdir):
    """User, directory, environment, volume, capabilities."""
    (workdir / "data").mkdir()
    (workdir / "data/file").write_text("volume\n")
    script = "id -u; pwd; echo $A; cat /data/file"
    out = buildah.run("--user", "1000:1000", "--workingdir", "/tmp", "--env", "A=b", "-v", f"{workdir}/data:/data:ro", "--cap-drop", "CAP_CHOWN", box, "--", "sh", "-c", script)
    assert out.check().lines == ["1000", "/tmp", "b", "volume"]


def test_build(buildah, unique, workdir):
    """A Containerfile with RUN steps, built with the runtime under test."""
    (workdir / "Containerfile").write_text(f"FROM {IMAGE}\nRUN echo built > /built\nRUN cat /built && mkdir /made\nCMD cat /built\n")
    name = f"localhost/{unique('img')}"
    buildah("build", "--pull-never", "--runtime", buildah.runtime, "--isolation", "oci", "--network", "none", "--tag", name, workdir).check()
    with buildah.working(unique("bd"), name) as made:
        assert buildah.run(made, "--", "sh", "-c", "cat /built; ls -d /made").check().out == "built\n/made\n"
    buildah("rmi", name).check()


def test_debian(buildah, podman_debian, unique):
    """A Debian root file system: its own shell, libraries and dpkg work."""
    with buildah.working(unique("bd"), podman_debian) as name:
        out = buildah.run(name, "--", "bash", "-c", "cat /etc/debian_version; dpkg -l | grep -c ^ii; perl -e 'print 6*7'").check().lines
        assert out[0].startswith("12") and int(out[1]) > 50 and out[2] == "42"


def test_debian_terminal(buildah, podman_debian, unique):
    """The same on a terminal."""
    with buildah.working(unique("bd"), podman_debian) as name:
        args = ("run", "--runtime", buildah.runtime, "--isolation", "oci", "--network", "none", "--tty", name, "--", "bash", "-c", "sleep 0.3; tty; exit 8")
        with buildah.on_terminal(*args) as run:
            status, text = run.wait(60)
        assert status == 8 and "/dev/" in text
