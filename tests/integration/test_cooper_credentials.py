"""Credentials of every kind, from the file they lie in to the request that carries them."""

import base64
import json
import os
import shutil
import urllib.parse

import pytest

from lib.cooper import busybox_layout, empty_engine as engine, engine_dir, new_engine  # noqa: F401
from lib.layouts import Layout, entry, layer
from lib.registries import Hostile, make_certificate

pytestmark = pytest.mark.needs("root", "cooper", "isolation")
BASIC = "Basic " + base64.b64encode(b"cooper:stave").decode()


@pytest.fixture
def registry(workdir):
    """A registry of Python with an image."""
    layout = Layout(workdir / "l")
    layout.index(layout.image(layer(entry("f", os.urandom(1000)))))
    with Hostile(layout) as made:
        yield made


def wants(registry, authorization, challenge='Basic realm="x"'):
    """Nothing without that authorization."""

    def check(handler, data):
        if handler.headers.get("Authorization") == authorization:
            return registry.honest(handler, data)
        return handler.reply(401, www_authenticate=challenge)

    registry.rules["/v2/"] = check


def auth_file(engine, document):
    path = engine.folder / "auth.json"
    path.write_text(json.dumps(document))
    return "--authfile", path


def test_docker_auth_of_rkt(engine, registry):
    """rkt's dockerAuth file counts; one of a kind that has no credentials is called that."""
    wants(registry, BASIC)
    document = {"rktKind": "dockerAuth", "rktVersion": "v1", "registries": [registry.host], "credentials": {"user": "cooper", "password": "stave"}}
    engine("image", "pull", *auth_file(engine, document), registry.name, timeout=60).check()
    document["rktKind"] = "paths"
    engine("image", "pull", *auth_file(engine, document), registry.name).fails("auth.json", "'paths'", "dockerAuth", rc=1)


def test_registry_token(engine, registry):
    """docker's registrytoken goes to the registry as it is."""
    wants(registry, "Bearer t0ken", 'Bearer realm="http://nowhere.invalid/token",service="s"')
    engine("image", "pull", *auth_file(engine, {"auths": {registry.host: {"registrytoken": "t0ken"}}}), registry.name, timeout=60).check()
    wrong = engine("image", "pull", *auth_file(engine, {"auths": {registry.host: {"registrytoken": "old"}}}), f"{registry.host}/name:2")
    wrong.fails("does not accept the token", rc=1)


def test_identity_token(engine, registry):
    """An identity token is sent in a form to the token service, and to nobody else."""
    forms = []

    def give(handler, _):
        forms.append((handler.command, urllib.parse.parse_qs(handler.body().decode())))
        handler.reply(200, b'{"access_token":"abc"}')

    wants(registry, "Bearer abc", f'Bearer realm="http://{registry.host}/token",service="s"')
    registry.rules["/token"] = give
    engine("image", "pull", *auth_file(engine, {"auths": {registry.host: {"identitytoken": "secret"}}}), registry.name, timeout=60).check()
    method, form = forms[0]
    assert (method, form["grant_type"], form["refresh_token"]) == ("POST", ["refresh_token"], ["secret"])
    assert form["scope"] == ["repository:name:pull"]
    assert not [headers for _, _, headers in registry.requests if "secret" in str(headers)]


def test_store_of_helpers(engine, registry):
    """credsStore: one helper program for every registry."""
    wants(registry, BASIC)
    programs = engine.folder / "bin"
    programs.mkdir()
    helper = programs / "docker-credential-cellar"
    answer = json.dumps({"ServerURL": registry.host, "Username": "cooper", "Secret": "stave"})
    helper.write_text(f"#!/bin/sh\nread server\n[ \"$1 $server\" = 'get {registry.host}' ] || exit 3\necho '{answer}'\n")
    helper.chmod(0o755)
    env = {"PATH": f"{programs}:{engine.environ['PATH']}"}
    engine("image", "pull", *auth_file(engine, {"credsStore": "cellar"}), registry.name, env=env, timeout=60).check()
    # What docker has left in the file is old; an entry for a part of the registry is meant, and no helper knows such.
    old = {"auth": base64.b64encode(b"cooper:old").decode()}
    new = {"auth": base64.b64encode(b"cooper:stave").decode()}
    again = ("image", "pull", f"{registry.host}/name:1")
    engine(*again, *auth_file(engine, {"credsStore": "cellar", "auths": {registry.host: old}}), env=env, timeout=60).check()
    helper.write_text("#!/bin/sh\nread server\necho credentials not found in native keychain\nexit 1\n")
    engine(*again, *auth_file(engine, {"credsStore": "cellar", "auths": {registry.host: old}}), env=env, timeout=60).fails("401", rc=1)
    engine(*again, *auth_file(engine, {"credsStore": "cellar", "auths": {registry.host: new}}), env=env, timeout=60).check()
    helper.write_text(f"#!/bin/sh\nread server\necho '{json.dumps({'Username': 'cooper', 'Secret': 'old'})}'\n")
    engine(*again, *auth_file(engine, {"credsStore": "cellar", "auths": {f"{registry.host}/name": new}}), env=env, timeout=60).check()


def test_a_part_of_a_registry_whose_name_is_a_version(engine, registry):
    """The password for HOST/team/v2 is for what lies there, and not for the rest of HOST/team."""
    entry_of_a_part = {"auths": {f"{registry.host}/team/v2": {"auth": base64.b64encode(b"cooper:stave").decode()}}}
    wants(registry, BASIC)
    engine("image", "pull", *auth_file(engine, entry_of_a_part), f"{registry.host}/team/v2/app:1", timeout=60).check()
    before = len(registry.requests)
    engine("image", "pull", *auth_file(engine, entry_of_a_part), f"{registry.host}/team/other:1", timeout=60).fails("401", rc=1)
    assert not [1 for *_, headers in registry.requests[before:] if "Authorization" in headers]


def web_answer(wanted):
    """A server that has nothing, and says so to whom it knows only."""
    return lambda handler, _: handler.reply(404 if handler.headers.get("Authorization") == wanted else 401)


def test_fetch_in_clear(engine, registry):
    """--creds go over plain http to the server they were given for; those of files do not, and the error says so."""
    registry.rules["/a.aci"] = web_answer(BASIC)
    url = f"http://{registry.host}/a.aci"
    flags = ("--insecure-options=image,http", url)
    engine("image", "fetch", "--creds", "cooper:stave", *flags).fails("404", rc=1)
    engine("image", "fetch", "--creds", "cooper:wrong", *flags).fails("401", "are wrong", rc=1)
    document = {"auths": {registry.host: {"auth": base64.b64encode(b"cooper:stave").decode()}}}
    engine("image", "fetch", *auth_file(engine, document), *flags).fails("401", "over plain http", "--creds", rc=1)


def test_oauth_of_rkt(engine, workdir):
    """A bearer token of rkt's auth file goes to its web server."""
    certificate = make_certificate(workdir / "c")
    folder = workdir / "certs"
    folder.mkdir()
    shutil.copy(certificate[0], folder / "ca.crt")
    with Hostile(certificate=certificate) as server:
        server.rules["/a.aci"] = web_answer("Bearer t0ken")
        document = {"rktKind": "auth", "rktVersion": "v1", "domains": [server.host], "type": "oauth", "credentials": {"token": "t0ken"}}
        flags = ("--insecure-options=image", "--cert-dir", folder, f"https://{server.host}/a.aci")
        engine("image", "fetch", *auth_file(engine, document), *flags).fails("404", rc=1)
        engine("image", "fetch", *flags).fails("401", rc=1)


def test_no_registry(engine, registry):
    """A web server that is no registry is called that."""
    registry.rules["/v2/"] = lambda handler, _: handler.reply(404, b"<html>", content_type="text/html")
    engine("image", "pull", registry.name).fails("404", "no answer of a registry", registry.host, rc=1)
