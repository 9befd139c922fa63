"""cooper image pull from a registry that lies, stalls, breaks off, redirects and asks for patience; and kills in the middle.

Whatever happens, the store is as it was before or has the whole image, and the next command clears what a kill has left.
"""

import base64
import contextlib
import hashlib
import json
import os
import pathlib
import re
import signal
import struct
import subprocess
import threading
import time

import pytest

from lib import proc, ptys
from lib.cooper import busybox_layout, empty_engine as engine, engine_dir, new_engine  # noqa: F401
from lib.layouts import CONFIG, INDEX, Layout, MANIFEST, digest, entry, layer, small_and_large
from lib.registries import Hostile, failing, make_certificate, once

pytestmark = pytest.mark.needs("root", "cooper", "isolation")


@pytest.fixture
def layout(workdir):
    """An image of two layers, the second of them large enough to be cut somewhere."""
    return small_and_large(workdir / "layout")


@pytest.fixture
def registry(layout):
    """The hostile registry, with that image."""
    with Hostile(layout) as it:
        yield it


def pull(engine, registry, *flags, timeout=60, **options):
    return engine("image", "pull", *flags, registry.name, timeout=timeout, **options)


def store_contents(engine):
    return sorted(
        f"{folder}/{name}"
        for folder in ("blobs/sha256", "refs/images", "refs/names", "trees", "tmp")
        for name in os.listdir(engine.root / "images" / folder)
    )


def refused(engine, registry, *words, **options):
    """The pull fails with these words and leaves nothing."""
    engine("image", "ls").check()
    pull(engine, registry, **options).fails(*words, rc=1)
    assert store_contents(engine) == []


def test_honest(engine, registry):
    """The registry of these tests is one, when it is let."""
    pull(engine, registry).check()
    assert len(registry.paths("/blobs/")) == 3


# --- lies ------------------------------------------------------------------------------


def test_wrong_bytes_of_a_mirror(engine, registry, layout):
    """A mirror that lies costs time, not the image: all of it comes from the registry itself."""
    with Hostile(layout) as mirror:
        mirror.rules[layout.large] = lambda h, data: h.reply(200, b"x" + data[1:])
        engine.config.write_text(engine.config.read_text() + f'[registries]\nmirrors = ["{registry.host}={mirror.host}"]\n')
        result = pull(engine, registry).check()
        assert "corrupt" in result.err and "registry itself" in result.err
        assert mirror.paths(layout.large) and registry.paths(layout.large)
    # The registry's own lie is the end, mirrors or not.
    other = layout.image(layer(entry("other", b"o")))
    layout.index(other)
    registry.serve(layout)
    wrong = json.loads(layout.file(other).read_text())["layers"][0]["digest"]
    registry.rules[wrong] = lambda h, data: h.reply(200, b"x" + data[1:])
    pull(engine, registry).fails(wrong, "corrupt", rc=1)


def test_damage_that_is_no_mirrors(engine, registry, layout):
    """A layer whose digest is right and which is no tar is not asked for again at the registry."""
    broken = layout.image(b"no tar at all" * 100)
    layout.index(broken)
    with Hostile(layout) as mirror:
        engine.config.write_text(engine.config.read_text() + f'[registries]\nmirrors = ["{registry.host}={mirror.host}"]\n')
        result = pull(engine, registry).fails("tar", rc=1)
        assert "registry itself" not in result.err
        assert mirror.paths("/blobs/") and registry.requests == []
    assert store_contents(engine) == []


def test_wrong_bytes(engine, registry, layout):
    """A layer of the right size with other bytes."""
    registry.rules[layout.large] = lambda h, data: h.reply(200, b"x" + data[1:])
    refused(engine, registry, layout.large, "corrupt", "digest", "try again")


def test_wrong_manifest_by_digest(engine, registry, layout):
    """What comes for a digest has another one."""
    wanted = digest(registry.documents["1"][0])
    registry.rules["/manifests/"] = lambda h, data: h.reply(200, data + b" ", content_type=MANIFEST)
    engine("image", "pull", f"{registry.host}/name@{wanted}").fails("digest", wanted, rc=1)


def test_wrong_digest_header(engine, registry):
    """The registry itself says that the bytes are others than those it sends."""
    registry.rules["/manifests/"] = lambda h, data: h.reply(200, data, content_type=MANIFEST, docker_content_digest="sha256:" + "1" * 64)
    refused(engine, registry, "digest", "sha256:1111", "try again")


def test_size_too_large(engine, registry, layout):
    """More bytes than the manifest says, announced or not."""
    registry.rules[layout.large] = lambda h, data: h.reply(200, data + b"x")
    refused(engine, registry, layout.large, "says that it has")

    def endless(handler, data):
        handler.reply(200, data, content_length=None, connection="close")
        with contextlib.suppress(OSError):
            while True:
                handler.wfile.write(b"x" * 65536)

    registry.rules[layout.large] = endless
    refused(engine, registry, layout.large, "more than")


def test_size_too_small(engine, registry, layout):
    """Fewer bytes, announced."""
    registry.rules[layout.large] = lambda h, data: h.reply(200, data[:-1])
    refused(engine, registry, layout.large, "corrupt")


def test_endless_manifest(engine, registry):
    """A manifest without an end is given up at 4 MiB; so is an answer that is only a reason."""

    def endless(status):
        def rule(handler, _):
            handler.reply(status, b"{", content_length=None, connection="close")
            with contextlib.suppress(OSError):
                while True:
                    handler.wfile.write(b" " * 65536)

        return rule

    registry.rules["/manifests/"] = endless(200)
    refused(engine, registry, "4.00 MiB")
    registry.rules["/manifests/"] = endless(404)
    refused(engine, registry, "404")


def test_endless_headers(engine, registry):
    """Headers without an end are given up."""

    def rule(handler, _):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
        with contextlib.suppress(OSError):
            while True:
                handler.wfile.write(b"X-More: " + b"y" * 8000 + b"\r\n")

    registry.rules["/manifests/"] = rule
    refused(engine, registry, registry.host)


@pytest.mark.parametrize("document", [b"", b"{}", b"[]", b"x", b'{"schemaVersion":1}', b"[" * 100000, b"\0" * 1000])
def test_nonsense_manifest(engine, registry, document):
    """What is no manifest is refused."""
    registry.documents["1"] = (document, MANIFEST)
    refused(engine, registry, "manifest")


def test_web_page(engine, registry):
    """A login page, or a web server at the wrong port, is called that."""
    registry.documents["1"] = (b"\n <!doctype html><html>login</html>", "text/html")
    refused(engine, registry, "is a web page", "check the host and the port")


def test_artifact_and_foreign_layer(engine, registry, layout):
    """What is no image to run, and layers that lie elsewhere, are refused clearly, and before a layer is asked for."""
    descriptor = layout.image(layout.layers[0])
    body = json.loads(layout.file(descriptor).read_text())
    chart = {**body, "config": layout.blob({}, "application/vnd.example.chart")}
    empty = {**body, "config": layout.blob({}, "application/vnd.oci.empty.v1+json"), "artifactType": "application/vnd.example.sbom"}
    for artifact, words in ((chart, "application/vnd.example.chart"), (empty, "application/vnd.example.sbom")):
        layout.index(layout.blob(artifact, MANIFEST))
        registry.serve(layout)
        refused(engine, registry, "artifact", words)
    for kind in ("docker.image.rootfs.foreign.diff.tar.gzip", "oci.image.layer.nondistributable.v1.tar+gzip", "oci.image.layer.nondistributable.v1.tar+zstd"):
        body["layers"][0].update(mediaType=f"application/vnd.{kind}", urls=["http://localhost:1/x"])
        layout.index(layout.blob(body, MANIFEST))
        registry.serve(layout)
        refused(engine, registry, "foreign")
    assert registry.paths(layout.small) == []


def test_variants(engine, registry, layout):
    """Of an index the best comes that the processor asked for runs: an older one of arm and amd64, none that is newer; statements about images are none."""
    known = ("arm/v5", "arm/v6", "arm/v7", "arm64/v8", "amd64", "amd64/v2", "amd64/v3", "s390x")
    digests, manifests = {}, []
    for name in known:
        architecture, _, variant = name.partition("/")
        config = {"variant": variant} if variant else {}
        manifest = layout.image(layout.layers[0], platform=("linux", architecture), config=config)
        digests[name] = json.loads(layout.file(manifest).read_text())["config"]["digest"]
        manifests.append({**manifest, "platform": {**manifest["platform"], **config}})
        statement = layout.image(platform=("unknown", "unknown"), config={"author": name})
        manifests.append({**statement, "annotations": {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": manifest["digest"]}})
    layout.index(layout.blob({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests[::-1]}, INDEX))
    registry.serve(layout)
    asked = {
        "linux/arm": "arm/v7", "linux/arm/v6": "arm/v6", "linux/arm/v8": "arm/v7", "linux/arm/v4": None, "linux/arm64": "arm64/v8",
        "linux/amd64": "amd64", "linux/amd64/v2": "amd64/v2", "linux/amd64/v4": "amd64/v3", "linux/riscv64": None,
    }  # fmt: skip
    for platform, expected in asked.items():
        done = pull(engine, registry, "--format", "json", "--platform", platform)
        if expected is None:
            done.fails(platform, "only for", "linux/arm64/v8", "--platform linux/", rc=1)
        else:
            assert json.loads(done.check().out)["image"]["id"] == digests[expected], platform


def test_index_of_itself(engine, registry, layout):
    """Indexes that never come to an end."""
    inner = layout.image(layout.layers[0])
    for _ in range(12):
        inner = layout.blob({"schemaVersion": 2, "mediaType": INDEX, "manifests": [{k: inner[k] for k in ("mediaType", "digest", "size")}]}, INDEX)
    layout.index(inner)
    registry.serve(layout)
    refused(engine, registry, "nested")


def test_words_for_the_terminal(engine, registry):
    """Nothing of what a registry says reaches the terminal as a control sequence."""
    body = json.dumps({"errors": [{"code": "X", "message": "\x1b]0;owned\x07\x1b[2J\nline \u202efdp"}]}).encode()
    registry.rules["/manifests/"] = lambda h, _: h.reply(404, body)
    result = pull(engine, registry).fails("owned", rc=1)
    assert "\x1b" not in result.err and "\x07" not in result.err and result.err.count("\n") == 1
    assert "\u202e" not in result.err, "which turns around what follows"


# --- broken connections ------------------------------------------------------------------


def cut_after(count, length=None):
    def rule(handler, data):
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(data) if length is None else length))
        handler.end_headers()
        handler.wfile.write(data[:count])
        handler.cut()

    return rule


def test_resumed(engine, registry, layout):
    """After a broken connection only what is missing is asked for."""
    registry.rules[layout.large] = once(cut_after(200_000))
    result = pull(engine, registry).check()
    assert "trying again" in result.err
    ranges = [headers.get("Range") for _, path, headers in registry.requests if layout.large in path]
    assert ranges[0] is None and len(ranges) == 2
    assert 0 < int(ranges[1].removeprefix("bytes=").removesuffix("-")) <= 200_000


def test_resumed_without_ranges(engine, registry, layout):
    """A registry that knows no ranges sends all of it again: what is there is passed over."""
    state = {"left": 2}

    def rule(handler, data):
        state["left"] -= 1
        return cut_after(300_000)(handler, data) if state["left"] >= 0 else handler.reply(200, data)

    registry.rules[layout.large] = rule
    pull(engine, registry).check()


def test_wrong_range(engine, registry, layout):
    """Another part than was asked for is refused."""

    def rule(handler, data):
        if "Range" not in handler.headers:
            return cut_after(200_000)(handler, data)
        return handler.reply(206, data[5:], content_range=f"bytes 5-{len(data) - 1}/{len(data)}")

    registry.rules[layout.large] = rule
    refused(engine, registry, layout.large, "another part")


def test_always_cut(engine, registry, layout):
    """A registry that always breaks off at once is given up."""
    registry.rules[layout.large] = cut_after(0)
    started = time.monotonic()
    refused(engine, registry, layout.large, registry.host)
    assert len(registry.paths(layout.large)) == 5
    assert time.monotonic() - started > 3, "it paused between the tries"


def test_stalled(engine, registry, layout):
    """A connection that brings nothing any more is given up after the configured time."""
    engine.config.write_text(engine.config.read_text() + "[registries]\nstall_timeout_s = 1\n")
    done = threading.Event()

    def stall(handler, data):
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data[:1000])
        handler.wfile.flush()
        done.wait(60)

    registry.rules[layout.large] = once(stall)
    pull(engine, registry).check()
    done.set()


def test_dripping(engine, registry, layout):
    """Bytes that come one by one are as good as none: of a manifest, of headers, of a layer."""
    engine.config.write_text(engine.config.read_text() + "[registries]\nstall_timeout_s = 1\n")
    done = threading.Event()
    dripped = []

    def first(start):
        def rule(handler, data):
            if handler.path in dripped:
                return registry.honest(handler, data)
            dripped.append(handler.path)
            handler.wfile.write(start.format(len(data)).encode())
            for i in range(100_000):
                if done.wait(0.2):
                    return None
                handler.wfile.write(data[i : i + 1])
                handler.wfile.flush()

        return rule

    registry.rules["/manifests/"] = first("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n")
    registry.rules[layout.small] = first("HTTP/1.1 200 OK\r\nX: ")
    registry.rules[layout.large] = first("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n")
    try:
        pull(engine, registry).check()
    finally:
        done.set()
    assert len(dripped) == 3


def test_server_errors_pass(engine, registry, layout):
    """503 and 500 are tried again."""
    answers = iter([503, 500])

    def rule(handler, data):
        status = next(answers, 200)
        handler.reply(status, data if status == 200 else b"oops")

    registry.rules[layout.small] = rule
    pull(engine, registry).check()
    assert len(registry.paths(layout.small)) == 3


@pytest.mark.parametrize("retries", [0, 2])
def test_retry(engine, registry, layout, retries):
    """--retry says how often, --retry-delay after which pause."""
    times = []

    def rule(handler, _):
        times.append(time.monotonic())
        handler.reply(503, b"oops")

    registry.rules[layout.small] = rule
    pull(engine, registry, "--retry", str(retries), "--retry-delay", "50ms").fails("503", rc=1)
    assert len(times) == retries + 1
    assert all(0.05 <= b - a < 0.4 for a, b in zip(times, times[1:]))


@pytest.mark.parametrize("how", ["429", "503", "reset"])
def test_retry_until_it_works(engine, registry, layout, how):
    """A registry that fails every request twice: with --retry 2 a pull and a push work, with --retry 1 neither does, and nothing is left."""
    flags = ("--retry-delay", "1ms", "--retry")
    registry.rules["/"] = failing(registry, 2, how)
    word = {"reset": "onnection"}.get(how, how)
    engine("image", "ls").check()
    pull(engine, registry, *flags, "1").fails(registry.host, word, rc=1)
    assert store_contents(engine) == []
    registry.rules["/"] = failing(registry, 2, how)
    pull(engine, registry, *flags, "2").check()
    engine("image", "verify").check()
    with Hostile() as shelf:

        def fail():
            shelf.rules = {f"{method} /v2/": failing(shelf, 2, how) for method in ("HEAD", "POST", "PATCH", "PUT")}

        fail()
        engine("image", "push", *flags, "1", registry.name, shelf.name, timeout=60).fails(shelf.host, word, rc=1)
        assert "1" not in shelf.documents
        fail()
        engine("image", "push", *flags, "2", registry.name, shelf.name, timeout=60).check()
        assert {layout.small, layout.large, "1"} <= set(shelf.documents)


@pytest.mark.parametrize("flag, value", [("--retry", "-1"), ("--retry", "50"), ("--retry", "x"), ("--retry-delay", "2h"), ("--retry-delay", "-5s"), ("--retry-delay", "soon")])
def test_retry_words(engine, registry, flag, value):
    """What is no number of times or no pause is a wrong command line."""
    pull(engine, registry, f"{flag}={value}").fails(flag, value, rc=125)


def test_rate_limit(engine, registry, layout):
    """429 is waited for as long as the registry asks, when that is bearable; else the error says how long."""
    times = []

    def rule(handler, data):
        times.append(time.monotonic())
        if len(times) == 1:
            return handler.reply(429, b"", retry_after=2)
        return handler.reply(200, data)

    registry.rules[layout.small] = rule
    pull(engine, registry).check()
    assert times[1] - times[0] >= 1.9
    engine("image", "rm", registry.name).check()
    registry.rules["/manifests/"] = lambda h, _: h.reply(429, b'{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}', retry_after=3600)
    refused(engine, registry, "429", "slow down", "3600 s")


# --- redirects and secrets ------------------------------------------------------------------


def test_redirect_without_secrets(engine, registry, layout):
    """A blob behind a redirect comes from another host, which sees no authorization; a relative one is followed with it."""
    with Hostile(layout) as other:
        def need_password(handler, data):
            if "Authorization" not in handler.headers:
                return handler.reply(401, b"", www_authenticate='Basic realm="x"')
            if layout.large in handler.path:
                return handler.reply(307, b"", location=f"http://{other.host}/v2/name/blobs/{layout.large}?signed")
            if layout.small in handler.path and "moved" not in handler.path:
                return handler.reply(302, b"", location=f"/v2/moved/blobs/{layout.small}")
            return handler.reply(200, data, content_type=MANIFEST)

        registry.rules["/v2/"] = need_password
        pull(engine, registry, "--creds", "user:secret").check()
        [(_, path, headers)] = other.requests
        assert path.endswith("?signed") and "Authorization" not in headers
        moved = [headers for _, path, headers in registry.requests if "moved" in path]
        assert moved and all("Authorization" in headers for headers in moved)


def test_redirects_that_are_not_followed(engine, registry, workdir, layout):
    """Circles, other schemes, and a way from https down to http."""
    registry.rules[layout.large] = lambda h, _: h.reply(307, b"", location=h.path)
    refused(engine, registry, "redirects")
    registry.rules[layout.large] = lambda h, _: h.reply(307, b"", location="file:///etc/shadow")
    refused(engine, registry, "redirect", "neither http nor https")
    certificate = make_certificate(workdir)
    folder = workdir / "trusted"
    folder.mkdir()
    (folder / "ca.crt").write_bytes(certificate[0].read_bytes())
    with Hostile(layout, certificate) as secure:
        secure.rules[layout.large] = lambda h, _: h.reply(307, b"", location=f"http://{registry.host}/v2/name/blobs/{layout.large}")
        pull(engine, secure, "--cert-dir", folder).fails("https", "down", rc=1)
    registry.rules[layout.large] = lambda h, _: h.reply(302, location="gopher://" + "A" * 90_000)
    assert len(pull(engine, registry).fails("redirect", "gopher://AAA", rc=1).err) < 2000


def token_rules(registry, service, lifetime=300, user=None):
    """The registry wants a token of the service; returns the list of tokens given out."""
    given = []

    def give(handler, _):
        if user and handler.headers.get("Authorization") != "Basic " + base64.b64encode(user.encode()).decode():
            return handler.reply(401, b'{"errors":[{"code":"UNAUTHORIZED","message":"who are you"}]}')
        given.append(f"token{len(given)}")
        return handler.reply(200, json.dumps({"token": given[-1], "expires_in": lifetime}).encode())

    def check(handler, data):
        if not given or handler.headers.get("Authorization") != f"Bearer {given[-1]}":
            return handler.reply(401, b"", www_authenticate=f'Bearer realm="http://{service.host}/token",service="tests",scope="repository:name:pull"')
        return handler.reply(200, data, content_type=MANIFEST)

    service.rules["/token"] = give
    registry.rules["/v2/"] = check
    return given


def test_token(engine, registry):
    """A token is asked for once and used for everything; the password goes to the token service alone."""
    with Hostile() as service:
        given = token_rules(registry, service, user="me:pass")
        pull(engine, registry).fails("401", "who are you", "--creds", rc=1)
        pull(engine, registry, "--creds", "me:pass").check()
        assert given == ["token0"]
        [*_, (_, path, _)] = service.requests
        assert "service=tests" in path and "scope=repository%3Aname%3Apull" in path and "account=me" in path
    assert not any(headers.get("Authorization", "").startswith("Basic") for _, _, headers in registry.requests)


def test_token_that_expires(engine, registry, layout):
    """When the registry does not take a token any more, another one is asked for."""
    with Hostile() as service:
        given = token_rules(registry, service)
        check = registry.rules["/v2/"]

        def expire(handler, data):
            if layout.large in handler.path and len(given) == 1:
                given.append("never given out")
            return check(handler, data)

        registry.rules["/v2/"] = expire
        pull(engine, registry).check()
        assert given[-1] == "token2"


def test_token_that_is_never_enough(engine, registry):
    """A registry that takes no token is given up."""
    with Hostile() as service:
        token_rules(registry, service)
        registry.rules["/v2/"] = lambda h, _: h.reply(401, b"", www_authenticate=f'Bearer realm="http://{service.host}/token"')
        refused(engine, registry, "401")
        assert len(service.requests) <= 4


def test_strange_challenges(engine, registry):
    """Challenges of unknown schemes, or that cannot be read."""
    for challenge in ("Negotiate", 'Bearer realm="file:///etc/shadow"', 'Bearer realm="', 'Bearer service="x"', ""):
        registry.rules["/v2/"] = lambda h, _, c=challenge: h.reply(401, b"", www_authenticate=c)
        pull(engine, registry).fails(registry.host, rc=1)


def test_password_in_clear(engine, registry):
    """A registry on this machine does not send the password to another host over plain http, unless that one is named."""
    ask = {"www_authenticate": 'Bearer realm="http://tokens.example/token",service="tests"'}
    with Hostile() as service:
        given = token_rules(registry, service, user="me:pass")
        check = registry.rules["/v2/"]

        def challenge(handler, data):
            if given and handler.headers.get("Authorization") == f"Bearer {given[-1]}":
                return check(handler, data)
            return handler.reply(401, b"", **ask)

        registry.rules["/v2/"] = challenge
        env = {"http_proxy": f"http://{service.host}", "no_proxy": "localhost"}
        pull(engine, registry, "--creds", "me:pass", env=env).fails("tokens.example", "unencrypted", "registries.insecure", rc=1)
        assert service.requests == []
        engine.config.write_text(engine.config.read_text() + '[registries]\ninsecure = ["Tokens.example"]\n')
        pull(engine, registry, "--creds", "me:pass", env=env).check()
        assert given == ["token0"]


def test_capitals_of_the_host(engine, registry, workdir):
    """A registry whose name is written in capitals is the same: for a policy, and for its name in the store."""
    policy = workdir / "policy.json"
    policy.write_text(json.dumps({"default": [{"type": "insecureAcceptAnything"}], "transports": {"docker": {registry.host: [{"type": "reject"}]}}}))
    loud = registry.name.replace("localhost", "LocalHost")
    engine("image", "pull", "--signature-policy", policy, loud, timeout=60).fails("refused by policy", registry.host, rc=1)
    assert registry.requests == []
    engine("image", "pull", loud, timeout=60).check()
    assert [one["names"] for one in engine.json("image", "ls")["images"]] == [[registry.name]]


# --- kills ------------------------------------------------------------------


def slow(handler, data):
    """Sends a blob in small pieces for some seconds."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(data)))
    handler.end_headers()
    for i in range(0, len(data), 20_000):
        handler.wfile.write(data[i : i + 20_000])
        handler.wfile.flush()
        time.sleep(0.2)


def test_fetch_has_no_terminal(engine, registry, layout, workdir):
    """cooper-fetch is in a session without a terminal, and has nothing of what whoever has started cooper had open."""
    registry.rules[layout.large] = slow
    secret = workdir / "secret"
    secret.write_text("x")
    script = f'exec 3<{secret} 4<{secret} 9<{secret} 99<{secret}; exec "$@"'
    with ptys.OnTerminal("bash", "-c", script, "bash", *engine.argv("image", "pull", registry.name), env=engine.environ) as running:
        [fetch] = proc.until(lambda: registry.paths(layout.large) and proc.children(running.pid), 20, 0.02, "cooper-fetch at work")
        assert any("secret" in link for link in proc.descriptors(running.pid).values()) and proc.terminal(running.pid) != 0
        links = proc.descriptors(fetch)
        assert links[0] == links[1] == "/dev/null" and links[2].startswith("pipe:")
        assert [link for link in links.values() if "secret" in link or "pts" in link or "tty" in link] == []
        assert os.getsid(fetch) == fetch and proc.terminal(fetch) == 0
        assert running.wait(60)[0] == 0


@pytest.mark.parametrize("victim", ["cooper", "cooper-fetch"])
def test_killed(engine, registry, layout, victim):
    """SIGKILL to either in the middle: no name, no blob; the next pull clears up and succeeds."""
    registry.rules[layout.large] = slow
    with engine.background("image", "pull", registry.name) as running:
        proc.until(lambda: registry.paths(layout.large), 20, 0.02, "the request for the layer")
        [fetch] = proc.until(lambda: proc.children(running.pid), 10, 0.02, "cooper-fetch")
        os.kill(running.pid if victim == "cooper" else fetch, signal.SIGKILL)
        running.child.wait(20)
        if victim == "cooper-fetch":
            assert running.child.returncode == 1
            assert b"cooper-fetch was killed by signal 9" in running.child.stderr.read()
        proc.until(lambda: not os.path.exists(f"/proc/{fetch}"), 10, 0.02, "the end of cooper-fetch")
    left = store_contents(engine)
    assert all(name.startswith("tmp/") for name in left) and len(left) == (victim == "cooper")
    engine("image", "gc").check()
    assert store_contents(engine) == []
    del registry.rules[layout.large]
    pull(engine, registry).check()
    assert [name for name in store_contents(engine) if name.startswith("tmp/")] == []


def test_fetch_ends_with_cooper(engine, registry, layout):
    """Also one that would not end by itself, as one that somebody has taken over."""
    registry.rules[layout.large] = slow
    with engine.background("image", "pull", registry.name) as running:
        proc.until(lambda: registry.paths(layout.large), 20, 0.02, "the request for the layer")
        [fetch] = proc.until(lambda: proc.children(running.pid), 10, 0.02, "cooper-fetch")
        os.kill(fetch, signal.SIGSTOP)
        try:
            os.kill(running.pid, signal.SIGKILL)
            running.child.wait(20)
            proc.until(lambda: not os.path.exists(f"/proc/{fetch}"), 10, 0.02, "the end of cooper-fetch")
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(fetch, signal.SIGKILL)
    engine("image", "gc").check()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(engine, registry, layout, number):
    """A signal ends the pull at once, nothing is left, and the caller sees the signal."""
    registry.rules[layout.large] = slow
    with engine.background("image", "pull", registry.name) as running:
        proc.until(lambda: registry.paths(layout.large), 20, 0.02, "the request for the layer")
        running.child.send_signal(number)
        assert running.child.wait(20) == -number
    assert store_contents(engine) == []


def test_interrupted_run(engine, registry, layout, workdir):
    """A signal while run fetches ends it as the signal does, and leaves no container, no image and no file for the id."""
    registry.rules[layout.large] = slow
    with engine.background("run", "--name", "a", "--cidfile", workdir / "id", registry.name, "small") as running:
        proc.until(lambda: registry.paths(layout.large), 20, 0.02, "the request for the layer")
        running.child.send_signal(signal.SIGINT)
        assert running.child.wait(20) == -signal.SIGINT
    assert store_contents(engine) == [] and engine.pods() == [] and not (workdir / "id").exists()


def test_two_at_once(engine, registry, layout):
    """Two pulls of one image beside each other both succeed."""
    registry.rules[layout.large] = slow
    with engine.background("image", "pull", registry.name) as first, engine.background("image", "pull", registry.name) as second:
        assert first.child.wait(60) == 0 and second.child.wait(60) == 0
    assert len(engine.json("image", "ls")["images"]) == 1


def peak_kib(child):
    """The sum of the largest memory that a process and its children have had, until it ends."""
    peaks = {}
    while child.poll() is None:
        for pid in [child.pid, *proc.children(child.pid)]:
            with contextlib.suppress(OSError):
                status = pathlib.Path(f"/proc/{pid}/status").read_text()
                if found := re.search(r"VmHWM:\s+(\d+)", status):
                    peaks[pid] = int(found.group(1))
        time.sleep(0.05)
    return sum(peaks.values())


@pytest.mark.parametrize("form", ["plain", "zstd"])
def test_memory(engine, workdir, form):
    """The memory of a pull, all its processes together, does not grow with the image; not with the largest window that zstd may have either."""
    layout = Layout(workdir / "big")
    if form == "plain":
        layout.index(layout.image(layer(entry("zeros", bytes(100_000_000))), layer(entry("more", os.urandom(30_000_000)))))
    else:
        layout.index(zstd_image(layout, 25))
    with Hostile(layout) as registry, engine.background("image", "pull", registry.name) as running:
        peak = peak_kib(running.child)
        assert running.child.returncode == 0
    assert peak < 64 * 1024


@pytest.mark.parametrize("one", ["0", "{}", '"":0'])
def test_memory_of_documents(engine, one):
    """Nor with a document of very many very small values, which take many times their text."""
    opened, closed = "{}" if ":" in one else "[]"
    count = ((4 << 20) - 100) // (len(one) + 1)
    document = ('{"schemaVersion":2,"x":' + opened + ",".join([one] * count) + closed + ',"manifests":[]}').encode()
    with Hostile() as registry:
        registry.documents["1"] = (document, INDEX)
        with engine.background("image", "pull", registry.name) as running:
            peak = peak_kib(running.child)
            assert running.child.returncode == 1
        refused(engine, registry, "more than 250000 values")
    assert peak < 64 * 1024


def zstd_image(layout, window_log):
    """An image of a layer that takes a window of 2**window_log bytes, and more than fills it."""
    data = layer(entry("zeros", bytes(80_000_000)))
    packed = subprocess.run(["zstd", "-q", "-1", f"--zstd=wlog={window_log}"], input=data, stdout=subprocess.PIPE, check=True).stdout
    config = layout.blob({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": [digest(data)]}}, CONFIG)
    layers = [layout.blob(packed, "application/vnd.oci.image.layer.v1.tar+zstd")]
    return layout.blob({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers}, MANIFEST)


def chunked(layout, data):
    """A layer as zstd:chunked of podman, buildah and skopeo: a frame for each part, of the window that they name, then frames to be skipped that say where files lie. Its descriptor."""

    def frame(part):
        return subprocess.run(["zstd", "-q", "-1", "--zstd=wlog=25"], input=part, stdout=subprocess.PIPE, check=True).stdout

    def skipped(part):
        return struct.pack("<II", 0x184D2A50, len(part)) + part

    contents = b"".join(frame(data[at : at + 300_000]) for at in range(0, len(data), 300_000))
    entries = json.dumps({"version": 1, "entries": [{"type": "reg", "name": "large", "size": 600_000, "offset": 0, "endOffset": len(contents)}]}).encode()
    packed = frame(entries)
    footer = struct.pack("<QQQQ", len(contents) + 8, len(packed), len(entries), 1) + bytes(24) + b"GNUlInUx"
    position = f"{len(contents) + 8}:{len(packed)}:{len(entries)}:1"
    notes = {"io.containers.zstd-chunked.manifest-checksum": digest(packed), "io.containers.zstd-chunked.manifest-position": position}
    return {**layout.blob(contents + skipped(packed) + skipped(footer), "application/vnd.oci.image.layer.v1.tar+zstd"), "annotations": notes}


def test_zstd_chunked(engine, layout, registry, workdir):
    """It is zstd: the frames to be skipped are, whatever they and the annotations say."""
    manifest = layout.image(*layout.layers)
    body = json.loads(layout.file(manifest).read_text())
    body["layers"] = [chunked(layout, data) for data in layout.layers]
    body["layers"][0]["annotations"]["io.containers.zstd-chunked.manifest-checksum"] = "sha256:" + "0" * 64
    layout.index({**manifest, **layout.blob(body, MANIFEST)})
    registry.serve(layout)
    pull(engine, registry).check()
    engine("image", "verify").check()
    engine("image", "extract", registry.name, workdir / "out").check()
    assert (workdir / "out/large").stat().st_size == 600_000 and (workdir / "out/small").read_bytes() == b"s"


def test_window_of_zstd(engine, workdir):
    """A layer that needs more memory than a pull may have is refused with what to do; from an archive it is taken."""
    layout = Layout(workdir / "wide")
    layout.index(zstd_image(layout, 26), name="wide:1")
    with Hostile(layout) as registry:
        refused(engine, registry, "window of more than 32 MiB", "recompress")
    engine("image", "load", layout.path).check()


@pytest.mark.parametrize("what", ["manifest", "index"])
def test_documents_named_by_sha512(engine, registry, layout, workdir, what):
    """What is pinned so keeps that digest: it is found again without asking anybody, also after a pull of the tag."""
    document = registry.documents["1"][0]
    media_type = MANIFEST
    manifest = "sha512:" + hashlib.sha512(document).hexdigest()
    registry.documents[manifest] = (document, MANIFEST)
    pinned = manifest
    if what == "index":
        entry_of_it = {"mediaType": MANIFEST, "digest": manifest, "size": len(document), "platform": {"os": "linux", "architecture": os.uname().machine}}
        media_type, document = INDEX, json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry_of_it]}).encode()
        pinned = "sha512:" + hashlib.sha512(document).hexdigest()
        registry.documents[pinned] = (document, media_type)
    name = f"{registry.host}/name@{pinned}"
    engine("image", "pull", name).check()
    for _ in range(2):
        assert engine.json("image", "inspect", name)["images"][0]["manifest_digest"] == manifest
        assert hashlib.sha512(engine("image", "cat-manifest", name).check().out.encode()).hexdigest() == manifest.split(":")[1]
        asked = len(registry.requests)
        engine("run", "--rm", name, "/nothing").fails("no such file", rc=127)
        engine("run", "--rm", "--pull", "never", name, "/nothing").fails("no such file", rc=127)
        assert len(registry.requests) == asked
        engine("image", "pull", registry.name).check()
    out = workdir / "saved"
    engine("image", "save", "--transport", "oci-dir", "-o", out, name).check()
    assert [one["digest"] for one in json.loads((out / "index.json").read_text())["manifests"]] == [manifest]
    assert (out / "blobs" / manifest.replace(":", "/")).exists()
    engine("image", "inspect", f"{registry.host}/name@{digest(registry.documents[manifest][0])}").check()
