"""The annotation io.cooper.landlock: which files the processes of a container may use."""

import pathlib

import pytest

KEY = "io.cooper.landlock"


@pytest.fixture
def fenced(bundle):
    """A writable container with programs to run, and a fence around the rest."""
    if "landlock" not in pathlib.Path("/sys/kernel/security/lsm").read_text() if pathlib.Path("/sys/kernel/security/lsm").exists() else False:
        pytest.skip("the kernel has no Landlock")
    bundle.writable()
    bundle.config["annotations"] = {KEY: "rx:/bin,ro:/etc,rw:/tmp,rw:/dev"}
    (bundle.rootfs / "srv").mkdir(exist_ok=True)
    (bundle.rootfs / "srv/secret").write_text("secret\n")
    (bundle.rootfs / "etc").mkdir(exist_ok=True)
    (bundle.rootfs / "etc/motd").write_text("hello\n")
    return bundle


def test_reads_and_writes(runtime, fenced):
    """Each mode allows what it says below its path, nothing elsewhere, also to root with all rights."""
    fenced.process["capabilities"] = {s: ["CAP_DAC_OVERRIDE", "CAP_SYS_ADMIN"] for s in ("bounding", "effective", "permitted")}
    script = "cat /etc/motd; cat /srv/secret 2>&1; echo x > /etc/new 2>&1 || echo refused; echo x > /tmp/new && cat /tmp/new; ls / 2>&1"
    out = runtime.output(fenced.sh(script + "; true"))
    assert "hello\n" in out and "secret\n" not in out.replace("/srv/secret", "")
    assert "refused" in out and "x\n" in out
    assert out.count("Permission denied") >= 2


def test_execution(runtime, fenced):
    """A program outside of what may be executed is refused: by the shell, and as the container's own."""
    probe = fenced.probe("true")
    assert runtime.output(fenced.sh(f"{probe} 2>&1 || echo refused")).endswith("refused\n")
    runtime.run(fenced.args(probe)).fails("permission denied", rc=1)


def test_exec(runtime, fenced):
    """A process of exec is under the same rules."""
    with runtime.running(fenced.sh("sleep 1000")):
        assert runtime("exec", fenced.id, "cat", "/etc/motd").check().out == "hello\n"
        assert "Permission denied" in runtime("exec", fenced.id, "cat", "/srv/secret").err


@pytest.mark.parametrize("no_new_privileges", [True, False])
def test_other_users(runtime, fenced, no_new_privileges):
    """Also for a user without rights, with and without no_new_privs."""
    fenced.process.update(user={"uid": 1000, "gid": 1000}, noNewPrivileges=no_new_privileges)
    fenced.caps()
    out = runtime.output(fenced.sh("cat /etc/motd; cat /srv/secret 2>&1 || echo refused"))
    assert out.startswith("hello\n") and out.endswith("refused\n")


def test_hooks_are_outside(runtime, fenced):
    """The fence is around the process, not around the hooks inside."""
    fenced.hook("startContainer", "/bin/sh", "-c", "cat > /dev/null; cp /srv/secret /srv/copy")
    runtime.run(fenced.sh("true")).check()
    assert (fenced.rootfs / "srv/copy").read_text() == "secret\n"


@pytest.mark.parametrize("value", ["", "/usr", "x:/usr", "rx:usr", "rx:/bin,"])
def test_malformed(runtime, bundle, value):
    """A wrong value is an error, never a container without a fence."""
    bundle.config["annotations"] = {KEY: value}
    runtime.run(bundle).fails(f"/annotations/{KEY}", rc=1)


def test_missing_path(runtime, bundle):
    """A path that does not exist is an error that names it."""
    bundle.config["annotations"] = {KEY: "rx:/bin,ro:/no/such"}
    runtime.run(bundle).fails("/no/such", rc=1)
