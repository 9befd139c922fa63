"""cooper trust: which keys are good for which images."""

import os
import stat

import pytest

from lib import proc
from lib.cooper import Cooper, engine_dir  # noqa: F401
from lib.pgp import Keys

pytestmark = pytest.mark.needs("root", "cooper", "gpg")


@pytest.fixture(scope="module")
def keys():
    """Two keys, of alice and of bob."""
    with Keys() as ring:
        ring.alice = ring.make("Alice <alice@example.com>")
        ring.bob = ring.make("Bob <bob@example.com>")
        yield ring


@pytest.fixture
def engine(workdir, prefix):
    """An engine whose trusted keys lie in directories of the test."""
    engine = Cooper(workdir, f"/{prefix}/trust")
    engine.local, engine.vendor = workdir / "trust", workdir / "vendor"
    with engine.config.open("a") as config:
        config.write(f'[trust]\ndirectory = "{engine.local}"\nvendor_directory = "{engine.vendor}"\n')
    return engine


def listed(engine, *args):
    return [(k["prefix"], k["fingerprint"]) for k in engine.json("trust", "ls", *args)["keys"] if not k["masked"]]


def test_add_list_remove(engine, keys, workdir):
    """A key becomes a file named by its fingerprint, which everybody reads and its owner alone writes, and goes again."""
    file = keys.export(workdir / "alice.asc", keys.alice)
    for where in (("--prefix", "example.com/team"), ("--all-names",)):
        out = engine("trust", "add", *where, "--skip-fingerprint-review", file).check().out
        assert out.replace(" ", "").lower().count(keys.alice) == 1
    path = engine.local / "prefix.d/example.com/team" / keys.alice
    assert stat.S_IMODE(path.stat().st_mode) == 0o644 and (engine.local / "root.d" / keys.alice).exists()
    shown = proc.run("gpg", "--homedir", keys.home.name, "--show-keys", "--with-colons", path).check().out
    assert keys.alice.upper() in shown, "others read it"
    assert listed(engine) == [("", keys.alice), ("example.com/team", keys.alice)]
    assert listed(engine, "--all-names") == [("", keys.alice)]
    for name in ("example.com/team", "example.com/team/app"):
        assert listed(engine, "--prefix", name) == listed(engine), "what counts for images of that name"
    assert listed(engine, "--prefix", "example.com/teammate") == [("", keys.alice)]
    table = engine("trust", "ls").check().out
    assert "Alice <alice@example.com>" in table and all(row.replace(" ", "").count(keys.alice.upper()) for row in table.splitlines()[1:])
    engine("trust", "rm", "--all-names", keys.alice.upper()).check()
    engine("trust", "rm", keys.alice[-16:]).check()
    assert listed(engine) == [] and os.listdir(engine.local / "prefix.d") == []
    engine("trust", "rm", keys.alice).fails("is not trusted", rc=1)


def test_vendor_key_is_masked(engine, keys, workdir):
    """A key that the distribution brings is masked by an empty file, and taken back by adding it."""
    file = keys.export(workdir / "alice.asc", keys.alice)
    (engine.vendor / "root.d").mkdir(parents=True)
    (engine.vendor / "root.d" / keys.alice).write_bytes(file.read_bytes())
    assert listed(engine) == [("", keys.alice)]
    assert engine("trust", "rm", keys.alice).check().out.startswith("Masked: ")
    assert listed(engine) == [] and (engine.local / "root.d" / keys.alice).read_bytes() == b""
    engine("trust", "add", "--all-names", "--fingerprint", keys.alice, file).check()
    assert listed(engine) == [("", keys.alice)]


@pytest.mark.parametrize("answer, trusted", [("yes", True), ("no", False), ("n", False)])
def test_review_on_a_terminal(engine, keys, workdir, answer, trusted):
    """Fingerprint and user id are shown before anything is trusted; only yes is yes."""
    file = keys.export(workdir / "alice.asc", keys.alice)
    with engine.on_terminal("trust", "add", "--prefix", "example.com", file) as terminal:
        text = terminal.expect("yes or no: ")
        assert keys.alice.upper() in text.replace(" ", "") and "Alice <alice@example.com>" in text
        terminal.write("perhaps\n")
        terminal.expect("yes or no: ")
        terminal.write(answer + "\n")
        assert terminal.wait()[0] == (0 if trusted else 1)
    assert (listed(engine) != []) == trusted


def test_nobody_is_asked_without_a_terminal(engine, keys, workdir):
    """Without a terminal a key is trusted only if its fingerprint was said, or the review was called off."""
    file = keys.export(workdir / "alice.asc", keys.alice)
    engine("trust", "add", "--all-names", file).fails("no terminal", "--fingerprint", rc=1)
    engine("trust", "add", "--all-names", "--fingerprint", keys.bob, file).fails("no key with such a fingerprint", rc=1)
    assert listed(engine) == []
    engine("trust", "add", "--all-names", "--fingerprint", keys.alice, file).check()


def test_several_keys_of_a_file(engine, keys, workdir):
    """Several keys are not trusted unseen; of those that are named only these are."""
    file = keys.export(workdir / "both.asc", keys.alice, keys.bob)
    engine("trust", "add", "--all-names", "--skip-fingerprint-review", file).fails("holds 2 keys", "--fingerprint", rc=1)
    assert listed(engine) == []
    engine("trust", "add", "--all-names", "--fingerprint", keys.bob, file).check()
    assert listed(engine) == [("", keys.bob)]


def test_what_is_refused(engine, keys, workdir):
    """Private keys, what is no key, a wrong place to trust it for: each is said, and nothing is stored."""
    secret = keys.export(workdir / "secret.asc", keys.alice, private=True)
    unarmored = workdir / "secret.gpg"
    keys.gpg("--output", unarmored, "--dearmor", secret)
    (workdir / "text").write_text("hello\n")
    skip = "--skip-fingerprint-review"
    for file, why in ((secret, "private key"), (unarmored, "private key"), (workdir / "text", "no OpenPGP"), ("/dev/null", ""), ("/nowhere", "")):
        engine("trust", "add", "--all-names", skip, file).fails(why, rc=1)
    file = keys.export(workdir / "alice.asc", keys.alice)
    engine("trust", "add", skip, file).fails("--prefix", "--all-names", rc=125)
    engine("trust", "add", skip, "--all-names", "--prefix", "a", file).fails("exclude", rc=125)
    for prefix in ("https://example.com", "../x", "Example.com", "a/", ""):
        engine("trust", "add", skip, "--prefix", prefix, file).fails("no name of images", rc=125)
    assert not engine.local.exists()
