"""AppArmor: the profile of the configuration and of exec is on the process and holds; what is not loaded is an error."""

import json

import pytest

from lib import cgroups
from lib.apparmor import profile  # noqa: F401

pytestmark = pytest.mark.needs("apparmor")

@pytest.fixture
def box(bundle):
    """A bundle with the file that the profile denies."""
    (bundle.rootfs / "etc/forbidden").write_text("secret\n")
    return bundle


LOOK = "cat /proc/self/attr/current; cat /etc/forbidden 2>&1"


@pytest.mark.parametrize("no_new_privileges", [False, True])
def test_profile_holds(runtime, box, profile, no_new_privileges):
    """The program runs under the profile, with and without no_new_privs."""
    box.process.update(apparmorProfile=profile, noNewPrivileges=no_new_privileges)
    assert runtime.output(box.sh(LOOK + "; true")).splitlines() == [f"{profile} (enforce)", "cat: can't open '/etc/forbidden': Permission denied"]


def test_profile_without_proc(runtime, box, profile):
    """The label needs no /proc in the container."""
    box.process["apparmorProfile"] = profile
    box.drop_mount("/proc")
    box.linux.update(maskedPaths=[], readonlyPaths=[])
    with runtime.running(box.sh("sleep 1000")) as state:
        with open(f"/proc/{state['pid']}/attr/current", encoding="utf-8") as label:
            assert label.read() == f"{profile} (enforce)\n"


def test_unconfined(runtime, box):
    """'unconfined' and no profile leave the program alone."""
    for name in ("unconfined", None):
        if name:
            box.process["apparmorProfile"] = name
        else:
            del box.process["apparmorProfile"]
        assert runtime.output(box.sh(LOOK)).splitlines() == ["unconfined", "secret"]


def test_exec(runtime, box, profile):
    """exec is under the container's profile, or under the one it names."""
    box.process["apparmorProfile"] = profile
    with runtime.running(box.sh("sleep 1000")):
        assert f"{profile} (enforce)" in runtime.exec(box.id, "cat", "/proc/self/attr/current").check().out
        silent = json.dumps({"args": ["cat", "/proc/self/attr/current"], "cwd": "/", "env": ["PATH=/bin"]})
        assert f"{profile} (enforce)" in runtime("exec", "--process", "/dev/stdin", box.id, stdin=silent).check().out
        runtime("exec", "--apparmor", "no-such-profile", box.id, "true").fails("no-such-profile", "loaded", rc=255)
        assert runtime.exec(box.id, "true").check()


def test_profile_that_is_not_loaded(runtime, box):
    """A profile the kernel does not know is an error that names it, and nothing is left."""
    box.process["apparmorProfile"] = "no-such-profile"
    runtime.run(box).fails("no-such-profile", "loaded", rc=1)
    assert cgroups.named(box.id) == []


def test_features(runtime):
    """features says that AppArmor can be used."""
    assert json.loads(runtime("features").check().out)["linux"]["apparmor"]["enabled"] is True
