"""Registries and web servers that ask for a client's certificate."""

import os
import shutil
import ssl
import time

import pytest

from lib.cooper import busybox_layout, empty_engine as engine, engine_dir, new_engine  # noqa: F401
from lib.layouts import Layout, entry, layer
from lib.registries import Hostile, make_certificate

pytestmark = pytest.mark.needs("root", "cooper", "isolation")


@pytest.fixture
def layout(workdir):
    """An image of one layer."""
    made = Layout(workdir / "l")
    made.index(made.image(layer(entry("f", os.urandom(1000)))))
    return made


@pytest.fixture
def client(workdir):
    """A client's certificate: its authority, itself, its key."""
    return make_certificate(workdir / "client", names=("client",))


@pytest.fixture(params=[ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["tls12", "tls13"])
def registry(request, layout, workdir, client):
    """A registry that asks for it, and the directory with its own authority."""
    certificate = make_certificate(workdir / "server")
    with Hostile(layout, certificate, client_authority=client[0], newest_tls=request.param) as made:
        made.folder = workdir / "certs"
        made.folder.mkdir()
        shutil.copy(certificate[0], made.folder / "ca.crt")
        yield made


def test_with_it(engine, registry, client):
    """With NAME.cert and NAME.key it is like any registry."""
    shutil.copy(client[1], registry.folder / "me.cert")
    shutil.copy(client[2], registry.folder / "me.key")
    engine("image", "pull", "--cert-dir", registry.folder, registry.name, timeout=60).check()
    engine("image", "push", "--cert-dir", registry.folder, registry.name, timeout=60).check()


def test_without_it(engine, registry):
    """Without one it says what to provide and where, at once."""
    begin = time.monotonic()
    refused = engine("image", "pull", "--cert-dir", registry.folder, registry.name, timeout=60)
    refused.fails("asks for a client's certificate", f"{registry.folder}/NAME.cert", "NAME.key", rc=1)
    assert "getpeername" not in refused.err and "again later" not in refused.err
    assert time.monotonic() - begin < 3
    assert registry.requests == []


def test_of_another_authority(engine, registry, workdir):
    """One that the registry does not like."""
    other = make_certificate(workdir / "other", names=("other",))
    shutil.copy(other[1], registry.folder / "me.cert")
    shutil.copy(other[2], registry.folder / "me.key")
    refused = engine("image", "pull", "--cert-dir", registry.folder, registry.name, timeout=60)
    refused.fails("does not accept the client's certificate", str(registry.folder), rc=1)


def test_fetch_without_it(engine, registry):
    """The same of a web server."""
    refused = engine("image", "fetch", "--insecure-options=image", "--cert-dir", registry.folder, f"https://{registry.host}/a.aci", timeout=60)
    refused.fails("asks for a client's certificate", "NAME.cert", rc=1)
