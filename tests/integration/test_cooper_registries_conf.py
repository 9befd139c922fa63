"""registries.conf: places, mirrors, blocked names and short names, as podman has them."""

import os

import pytest

from lib.cooper import busybox_layout, engine_dir, new_engine  # noqa: F401
from lib.layouts import Layout, entry, layer
from lib.registries import Hostile, make_certificate

pytestmark = pytest.mark.needs("root", "cooper", "isolation")


@pytest.fixture
def engine(new_engine):  # noqa: F811
    """An engine with an empty image store and a registries.conf of its own, which is still empty."""
    made = new_engine(load=False)
    made.registries = made.folder / "registries.conf"
    made.registries.write_text("")
    made.environ["CONTAINERS_REGISTRIES_CONF"] = str(made.registries)
    made.config.write_text(made.config.read_text() + "[registries]\nstall_timeout_s = 1\n")
    return made


@pytest.fixture
def layout(workdir):
    """An image of one layer."""
    made = Layout(workdir / "l")
    made.index(made.image(layer(entry("f", os.urandom(1000)))))
    return made


@pytest.fixture
def registry(layout):
    """A registry of Python that has it."""
    with Hostile(layout) as made:
        yield made


def names(engine):
    return engine.json("image", "ls")["images"][0]["names"]


def test_another_place(engine, registry):
    """A name's images come from where its prefix lies, wildcards too; the name stays."""
    engine.registries.write_text(
        f'[[registry]]\nprefix = "vendor.invalid/team"\nlocation = "{registry.host}/copies"\n'
        f'[[registry]]\nprefix = "*.lab.invalid"\nlocation = "{registry.host}"\n'
    )
    engine("image", "pull", "vendor.invalid/team/app:1", timeout=60).check()
    assert names(engine) == ["vendor.invalid/team/app:1"]
    assert all(path.startswith("/v2/copies/app/") for path in registry.paths("/v2/"))
    engine("image", "pull", "a.lab.invalid/x/y:1", timeout=60).check()
    assert registry.paths("/v2/x/y/manifests/1")


def test_mirrors(engine, registry, layout):
    """Mirrors come first; those for digests are not asked for a tag; what none has comes from the registry."""
    with Hostile() as empty, Hostile(layout) as by_digest:
        engine.registries.write_text(
            f'[[registry]]\nlocation = "{registry.host}"\n'
            f'[[registry.mirror]]\nlocation = "{by_digest.host}/d"\npull-from-mirror = "digest-only"\n'
            f'[[registry.mirror]]\nlocation = "{empty.host}/hub"\n'
        )
        engine("image", "pull", registry.name, timeout=60).check()
        assert empty.paths("/v2/hub/name/manifests/1") and not by_digest.requests
        digest = engine.json("image", "ls")["images"][0]["manifest_digest"]
        engine("image", "rm", registry.name).check()
        engine("image", "pull", f"{registry.host}/name@{digest}", timeout=60).check()
        assert by_digest.paths("/v2/d/name/")


def test_own_mirrors_win(engine, registry, layout):
    """Mirrors of the settings count instead of those of registries.conf, also for a part of a registry."""
    with Hostile(layout) as own:
        engine.registries.write_text('[[registry]]\nlocation = "vendor.invalid"\n[[registry.mirror]]\nlocation = "other.invalid"\n')
        engine.config.write_text(engine.config.read_text() + f'mirrors = ["vendor.invalid/team={own.host}/t"]\n')
        engine("image", "pull", "vendor.invalid/team/app:1", timeout=60).check()
        assert own.paths("/v2/t/app/manifests/1")
        engine("image", "pull", "vendor.invalid/other/app:1", timeout=60).fails("other.invalid", rc=1)


def test_insecure(engine, workdir, layout):
    """insecure = true: any certificate will do."""
    with Hostile(layout, certificate=make_certificate(workdir / "c")) as registry:
        engine("image", "pull", registry.name, timeout=60).fails("certificate", rc=1)
        engine.registries.write_text(f'[[registry]]\nlocation = "{registry.host}"\ninsecure = true\n')
        engine("image", "pull", registry.name, timeout=60).check()
        engine("image", "pull", "--tls-verify=true", registry.name, timeout=60).fails("certificate", rc=1)


def test_blocked(engine, registry):
    """What is blocked is neither pulled, nor run, nor pushed to, and nobody is asked."""
    engine("image", "pull", registry.name, timeout=60).check()
    before = len(registry.requests)
    engine.registries.write_text(f'\n[[registry]]\nprefix = "{registry.host}/bad"\nblocked = true\n')
    engine("image", "pull", f"{registry.host}/bad/x:1").fails("blocked", f"{engine.registries}: line 2", rc=1)
    engine("run", "--rm", f"{registry.host}/bad/x:1", "true").fails("blocked", rc=125)
    engine("image", "push", registry.name, f"{registry.host}/bad/x:1").fails("blocked", rc=1)
    assert len(registry.requests) == before


@pytest.mark.parametrize("scope", ["localhost", "localhost/bad", "*.localhost", "*.localhost/bad"])
def test_blocked_whatever_the_port(engine, registry, scope):
    """A prefix without a port blocks its host at every port."""
    host = f"a.{registry.host}" if scope.startswith("*") else registry.host
    engine.registries.write_text(f'[[registry]]\nprefix = "{scope}"\nblocked = true\n')
    engine("image", "pull", f"{host}/bad/x:1").fails("blocked", scope, rc=1)
    assert registry.requests == []


def test_insecure_whatever_the_port(engine, workdir, layout):
    """What is said of a host without a port is said of its ports, and the port of the name stays."""
    with Hostile(layout, certificate=make_certificate(workdir / "c")) as registry:
        engine.registries.write_text('[[registry]]\nlocation = "localhost"\ninsecure = true\n')
        engine("image", "pull", registry.name, timeout=60).check()


def test_short_names(engine, registry):
    """An alias, then the registries to search; the store knows what was pulled by its short name."""
    engine.registries.write_text(
        f'unqualified-search-registries = ["nowhere.invalid", "{registry.host}"]\n[aliases]\n"tool" = "{registry.host}/tools/tool"\n'
    )
    assert "tools/tool:1" in engine("image", "pull", "tool:1", timeout=60).check().out
    assert names(engine) == [f"{registry.host}/tools/tool:1"]
    before = len(registry.requests)
    engine("image", "inspect", "tool:1").check()
    engine("image", "extract", "tool:1", engine.folder / "x").check()
    assert len(registry.requests) == before
    engine("image", "rm", "tool:1").check()
    assert f"{registry.host}/thing:1" in engine("image", "pull", "thing:1", timeout=60).check().out
    engine("image", "pull", "lost:2", timeout=60).fails("nowhere.invalid", "404", rc=1)
    engine.registries.write_text(engine.registries.read_text().replace("\n", '\nshort-name-mode = "enforcing"\n', 1))
    engine("image", "pull", "thing:1").fails("nowhere.invalid/thing:1 or", "enforcing", rc=125)


def test_what_is_wrong(engine, registry):
    """What is wrong in the file is said with its line; one that is named must be there."""
    engine.registries.write_text("[[registry]]\nlocation = 7\n")
    engine("image", "pull", registry.name).fails("registries.conf: line 2: 'location' must be text", rc=1)
    engine("image", "pull", "short:1").fails("registries.conf: line 2", rc=125)
    engine.registries.unlink()
    engine("image", "pull", registry.name).fails("registries.conf", "no such file", rc=1)
    assert registry.requests == []
