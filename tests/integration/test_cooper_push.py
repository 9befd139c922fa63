"""cooper image push: to registries as they are, plain and with TLS, and to one that breaks off, lies, redirects and forgets.

Whatever happens, a registry never gets a manifest without all its blobs, nor bytes of another digest than it is told.
"""

import contextlib
import json
import os
import shutil
import signal
import threading
import time

import pytest

from lib import proc
from lib.cooper import busybox_layout, engine_dir, new_engine  # noqa: F401
from lib.layouts import MANIFEST, Layout, digest, entry, layer
from lib.registries import SKOPEO, DebianRegistry, Hostile, make_certificate

pytestmark = pytest.mark.needs("root", "cooper", "isolation", "docker-registry", "skopeo")
USERS = {"cooper": "barrel:stave"}
NAME = "localhost/test:1"


@pytest.fixture(scope="module")
def plain(engine_dir):  # noqa: F811
    """A registry that speaks plain http."""
    with DebianRegistry(engine_dir / "push-plain") as registry:
        yield registry


@pytest.fixture(scope="module")
def secured(engine_dir):  # noqa: F811
    """A registry with a certificate of its own and a password."""
    with DebianRegistry(engine_dir / "push-tls", tls=True, users=USERS) as registry:
        yield registry


@pytest.fixture
def trusted(secured):
    """The directory with the authority of the registry."""
    folder = secured.folder / "trusted"
    folder.mkdir(exist_ok=True)
    shutil.copy(secured.ca, folder / "ca.crt")
    return folder


@pytest.fixture
def layout(workdir):
    """An image of two layers: one that goes in one request, and one that does not."""
    made = Layout(workdir / "layout")
    made.layers = [layer(entry("small", os.urandom(1000))), layer(entry("large", os.urandom(2_500_000)))]
    made.descriptor = made.image(*made.layers)
    made.index(made.descriptor)
    made.small, made.large = (digest(data) for data in made.layers)
    return made


@pytest.fixture
def engine(new_engine, layout):  # noqa: F811
    """An engine whose store has that image."""
    made = new_engine(load=False)
    made("image", "load", layout.path).check()
    return made


@pytest.fixture
def registry():
    """The hostile registry, without an image."""
    with Hostile() as it:
        yield it


def push(engine, registry, *flags, **options):
    return engine("image", "push", *flags, NAME, registry.name, timeout=60, **options)


def refused(engine, registry, *words, **options):
    """The push fails with these words, and the registry has no manifest."""
    push(engine, registry, **options).fails(registry.host, *words, rc=1)
    assert "1" not in registry.documents


def has_all(registry, layout):
    """The registry has the image, byte for byte."""
    for blob in (layout.path / "blobs/sha256").iterdir():
        assert registry.documents["sha256:" + blob.name][0] == blob.read_bytes()
    assert registry.documents["1"] == (layout.file(layout.descriptor).read_bytes(), MANIFEST)


def changes(registry, since):
    """Requests to docker-registry that sent something."""
    return [method for method, _, _ in registry.requests()[since:] if method in ("POST", "PATCH", "PUT")]


# --- registries as they are ------------------------------------------------------------------


def test_push_and_pull_back(engine, plain, layout, workdir, new_engine):  # noqa: F811
    """What skopeo and another engine pull back is what was there, byte for byte; a second push sends nothing."""
    name = f"{plain.host}/team/app:1"
    result = engine("image", "push", NAME, name, timeout=60).check()
    assert result.out == f"Pushed image: {name}\n" and result.err.count("complete") == 3
    proc.run(*SKOPEO, "copy", "--quiet", "--preserve-digests", "--src-tls-verify=false", f"docker://{name}", f"oci:{workdir}/back:x", timeout=60).check()
    before, after = ({file.name: file.read_bytes() for file in (top / "blobs/sha256").iterdir()} for top in (layout.path, workdir / "back"))
    assert before == after
    other = new_engine(load=False)
    other("image", "pull", name, timeout=60).check()
    other("image", "extract", name, workdir / "x").check()
    assert sorted(os.listdir(workdir / "x")) == ["large", "small"]
    count = len(plain.requests())
    result = engine("image", "push", NAME, "docker://" + name, timeout=60).check()
    assert result.out == f"Image is up to date: {name}\n" and result.err.count("is there already") == 3
    assert changes(plain, count) == []


def test_own_name(engine, plain, layout):
    """Without a destination the image goes where its name says; a name of this machine, or an id, says nothing."""
    name = f"{plain.host}/own/name:7"
    engine("image", "tag", NAME, name).check()
    report = engine.json("image", "push", name)
    assert report["destination"] == name and report["manifest_digest"] == layout.descriptor["digest"]
    assert report["sent_blobs"] == 3 and report["sent_bytes"] > 2_500_000 and not report["was_there"]
    assert plain.digest("own/name:7") == layout.descriptor["digest"]
    engine("image", "push", NAME).fails("localhost/test:1", "this machine", "image push", rc=1)
    image = engine.json("image", "ls")["images"][0]["id"].split(":")[1][:12]
    engine("image", "push", image).fails(image, "REGISTRY/NAME", rc=1)
    engine("image", "push", image, f"{plain.host}/own/id", timeout=60).check()
    assert plain.digest("own/id:latest") == layout.descriptor["digest"]


def test_only_what_is_missing(engine, plain, layout, workdir):
    """Of an image that shares layers with one that is there only the rest is sent; a layer that it has twice goes once."""
    engine("image", "push", NAME, f"{plain.host}/shared:1", timeout=60).check()
    second = Layout(workdir / "second")
    top = layer(entry("top", b"t"))
    second.index(second.image(*layout.layers, top, top), name="second:1")
    engine("image", "load", second.path).check()
    report = engine.json("image", "push", "second:1", f"{plain.host}/shared:2")
    assert report["sent_blobs"] == 2, "its configuration and one layer"


def test_docker_manifest_and_mount(engine, plain, busybox_layout, new_engine):  # noqa: F811
    """Docker's media types stay as they are; what another repository of the registry has is not sent again."""
    source = plain.push(f"oci:{busybox_layout}", "docker/source:1", "--format", "v2s2")
    other = new_engine(load=False)
    other("image", "pull", source, timeout=60).check()
    count = len(plain.requests())
    report = other.json("image", "push", source, f"{plain.host}/docker/copy:1")
    assert plain.digest("docker/copy:1") == plain.digest("docker/source:1") == report["manifest_digest"]
    mounts = [status for method, path, status in plain.requests()[count:] if method == "POST" and "mount=" in path]
    assert mounts and set(mounts) == {201}
    assert report["sent_blobs"] == 0
    raw = proc.run(*SKOPEO, "inspect", "--raw", "--tls-verify=false", f"docker://{plain.host}/docker/copy:1").check().out
    assert json.loads(raw)["mediaType"] == "application/vnd.docker.distribution.manifest.v2+json"


def test_tls_and_password(engine, secured, trusted, layout, workdir):
    """TLS and credentials are as for a pull; the digest is printed and written to a file."""
    name = f"{secured.host}/team/app:1"
    engine("image", "push", NAME, name).fails("certificate", "/etc/cooper/certs.d/", rc=1)
    engine("image", "push", "--cert-dir", trusted, NAME, name).fails("401", "--creds", secured.host, rc=1)
    engine("image", "push", "--cert-dir", trusted, "--creds", "cooper:wrong", NAME, name).fails("401", "'cooper'", rc=1)
    flags = ["--cert-dir", trusted, "--creds", "cooper:" + USERS["cooper"]]
    result = engine("image", "push", *flags, "--quiet", "--digestfile", workdir / "digest", NAME, name, timeout=60).check()
    assert result.out == layout.descriptor["digest"] + "\n" and result.err == ""
    assert (workdir / "digest").read_text() == layout.descriptor["digest"]
    engine("image", "push", NAME, "localhost:1/x:1", "--digestfile", workdir / "unsent", timeout=60).fails("localhost:1", rc=1)
    assert not any(name.startswith((".cooper", "unsent")) for name in os.listdir(workdir))
    engine("image", "push", "--tls-verify=false", "--creds", flags[-1], NAME, f"{secured.host}/other:1", timeout=60).check()
    engine("image", "pull", *flags, name, timeout=60).check()
    proc.run(*SKOPEO, "inspect", "--raw", "--cert-dir", trusted, "--creds", flags[-1], f"docker://{name}").check()


def test_words(engine, plain, workdir):
    """Wrong command lines have their exit status; what cannot be found is said before a registry is asked."""
    engine("image", "push").fails("argument", rc=125)
    engine("image", "push", NAME, "containers-storage:x").fails("another program's store", rc=125)
    engine("image", "push", NAME, "Bad Name").fails("name", rc=125)
    engine("image", "push", NAME, "x", "--creds", "nopassword").fails("USER:PASSWORD", rc=125)
    count = len(plain.requests())
    for path, word in (("/nowhere/at/all", "no such"), ("/dev/null", "not a regular file"), ("", "empty"), ("/proc/digest", "/proc"), (workdir, "is a directory")):
        engine("image", "push", NAME, f"{plain.host}/x:1", "--digestfile", path).fails("--digestfile", word, rc=125)
    engine("image", "push", "missing:1", f"{plain.host}/x:1").fails("missing:1", "not in the store", rc=1)
    wrong = f"{plain.host}/x@sha256:" + "0" * 64
    engine("image", "push", NAME, wrong).fails("manifest of the image is", rc=1)
    engine("image", "push", NAME, "localhost:1/x:1", timeout=60).fails("localhost:1", "connect", rc=1)
    assert len(plain.requests()) == count


def test_mirrors_are_passed_over(engine, plain, registry):
    """Only the registry itself is written to."""
    engine.config.write_text(engine.config.read_text() + f'[registries]\nmirrors = ["{plain.host}={registry.host}"]\n')
    engine("image", "push", NAME, f"{plain.host}/unmirrored:1", timeout=60).check()
    assert registry.requests == []


# --- the store ------------------------------------------------------------------------


def stored(engine, name):
    return engine.root / "images/blobs/sha256" / name.split(":")[1]


@pytest.mark.parametrize("harm", ["other bytes", "too short", "gone"])
def test_damaged_blob(engine, registry, layout, harm):
    """A blob of the store that is not what it should be is not sent, and no manifest of it."""
    file = stored(engine, layout.large)
    data = file.read_bytes()
    file.unlink()
    if harm != "gone":
        file.write_bytes(data[:-1] if harm == "too short" else data[:-1] + bytes([data[-1] ^ 1]))
    push(engine, registry).fails(layout.large, f"image verify --repair {NAME}", "load the image again", rc=1)
    assert "1" not in registry.documents and layout.large not in registry.documents and registry.sent("PATCH") == []
    engine("image", "verify", "--repair", NAME)
    engine("image", "load", layout.path).check()
    push(engine, registry).check()
    has_all(registry, layout)


def test_removed_meanwhile(engine, registry, layout):
    """An image that is removed while it is sent arrives all the same."""
    going = threading.Event()

    def wait(handler, data):
        going.wait(20)
        registry.honest(handler, data)

    registry.rules["POST /uploads/"] = wait
    with engine.background("image", "push", NAME, registry.name) as running:
        proc.until(lambda: registry.sent("POST"), 20, 0.02, "the first upload")
        engine("image", "rm", NAME).check()
        going.set()
        assert running.child.wait(60) == 0
    has_all(registry, layout)


# --- broken connections ------------------------------------------------------------------


def first(registry, rule, times=1):
    """A rule for the first requests only."""
    left = [times]

    def apply(handler, data):
        left[0] -= 1
        return rule(handler, data) if left[0] >= 0 else registry.honest(handler, data)

    return apply


def cut_after(registry, count, keep):
    """Takes some bytes of an upload, keeps `keep` of them and breaks off."""

    def rule(handler, _):
        registry.uploads[upload_of(handler)] += handler.body(count)[:keep]
        handler.cut()

    return rule


def test_honest(engine, registry, layout):
    """The registry of these tests is one, when it is let."""
    push(engine, registry).check()
    has_all(registry, layout)
    assert len(registry.sent("PATCH")) == 1 and len(registry.sent("POST")) == 3
    manifest = [headers for method, path, headers in registry.requests if method == "PUT" and "/manifests/" in path]
    assert [headers["Content-Type"] for headers in manifest] == [MANIFEST]
    assert registry.requests[-1][:2] == ("PUT", "/v2/name/manifests/1"), "the manifest comes last"


def test_taken_up(engine, registry, layout):
    """After a broken connection only what the registry lacks is sent."""
    registry.rules["PATCH /uploads/"] = first(registry, cut_after(registry, 1_000_000, 700_000))
    result = push(engine, registry).check()
    assert "trying again" in result.err
    has_all(registry, layout)
    ranges = [headers.get("Content-Range") for method, _, headers in registry.requests if method == "PATCH"]
    assert ranges == [None, f"700000-{len(layout.layers[1]) - 1}"]


def test_registry_forgets(engine, registry, layout):
    """When the registry knows nothing of the upload any more, or has kept nothing of it, another one begins."""

    def forget(handler, _):
        del registry.uploads[upload_of(handler)]
        handler.cut()

    for rule in (forget, cut_after(registry, 500_000, 0)):
        registry.rules["PATCH /uploads/"] = first(registry, rule)
        push(engine, registry).check()
        has_all(registry, layout)
        registry.documents.clear()


def test_lost_answer(engine, registry, layout):
    """When only the answer is lost nothing is sent twice: neither a blob nor the manifest."""

    def lose(handler, data):
        with contextlib.suppress(Exception):
            handler.wfile = open(os.devnull, "wb")
            registry.honest(handler, data)
        handler.cut()

    registry.rules["PUT /uploads/"] = first(registry, lose, 3)
    registry.rules["PUT /manifests/"] = first(registry, lose)
    push(engine, registry).check()
    has_all(registry, layout)
    assert len(registry.sent("PATCH")) == 1 and len([p for p in registry.sent("PUT") if "/manifests/" in p]) == 1


def test_server_errors_pass(engine, registry, layout):
    """503 and 429 are waited for, whatever the request."""
    registry.rules["HEAD /blobs/"] = first(registry, lambda h, _: h.reply(503))
    registry.rules["POST /uploads/"] = first(registry, lambda h, _: h.reply(429, retry_after=1))
    registry.rules["PATCH /uploads/"] = first(registry, lambda h, _: h.reply(500))
    registry.rules["PUT /manifests/"] = first(registry, lambda h, _: h.reply(502))
    push(engine, registry).check()
    has_all(registry, layout)


def test_given_up(engine, registry, layout):
    """A registry that always breaks off is given up after some tries, and the error names it and the blob."""
    registry.rules["PATCH /uploads/"] = cut_after(registry, 1000, 0)
    started = time.monotonic()
    refused(engine, registry, layout.large)
    assert 2 <= len(registry.sent("PATCH")) <= 10
    assert time.monotonic() - started > 1, "it paused between the tries"


def test_stalled(engine, registry, layout):
    """A registry that takes nothing any more is given up after the configured time, and tried again."""
    engine.config.write_text(engine.config.read_text() + "[registries]\nstall_timeout_s = 1\n")
    done = threading.Event()
    registry.rules["PATCH /uploads/"] = first(registry, lambda h, _: done.wait(60))
    push(engine, registry).check()
    done.set()
    has_all(registry, layout)


def test_registry_that_thinks(engine, registry, layout):
    """Who has got all of it may take longer over the answer than a stalled connection is given."""
    engine.config.write_text(engine.config.read_text() + "[registries]\nstall_timeout_s = 1\n")

    def think(handler, data):
        time.sleep(2.5)
        registry.honest(handler, data)

    registry.rules["PUT /uploads/"] = think
    result = push(engine, registry).check()
    assert "trying again" not in result.err
    has_all(registry, layout)


# --- answers ------------------------------------------------------------------------


@pytest.mark.parametrize("request_part, status, words", [
    ("HEAD /blobs/", 403, ["403", "credentials"]),
    ("POST /uploads/", 404, ["404", "repository"]),
    ("POST /uploads/", 405, ["405", "mirror"]),
    ("PATCH /uploads/", 413, ["413", "limits"]),
    ("PUT /uploads/", 400, ["400", "oops (X)"]),
    ("PUT /manifests/", 400, ["manifest 1", "400", "oops (X)"]),
])  # fmt: skip
def test_refusals(engine, registry, request_part, status, words):
    """What a registry refuses is said in its words, with what to try; nothing of it is printed as it came."""
    body = json.dumps({"errors": [{"code": "X", "message": "oops"}, {"message": "\x1b[2J"}]}).encode()
    registry.rules[request_part] = lambda h, _: h.reply(status, body)
    refused(engine, registry, *words)


def test_rate_limit(engine, registry):
    """A registry that asks for more patience than is bearable is not waited for."""
    registry.rules["POST /uploads/"] = lambda h, _: h.reply(429, b'{"errors":[{"code":"TOOMANYREQUESTS","message":"slow \\u001b[2J"}]}', retry_after=3600)
    result = push(engine, registry).fails("429", "3600 s", rc=1)
    assert "\x1b" not in result.err


@pytest.mark.parametrize("request_part", ["PUT /uploads/", "PUT /manifests/"])
def test_kept_something_else(engine, registry, request_part):
    """A registry that says it has other bytes than were sent is not believed to have the image."""
    other = "sha256:" + "1" * 64

    def lie(handler, _):
        handler.body()
        handler.reply(201, docker_content_digest=other)

    registry.rules[request_part] = lie
    refused(engine, registry, other, "keeps")


def test_endless_answer(engine, registry):
    """An answer without an end is given up."""

    def endless(handler, _):
        handler.reply(202, content_length=None, connection="close", location="/x")
        with contextlib.suppress(OSError):
            while True:
                handler.wfile.write(b" " * 65536)

    registry.rules["POST /uploads/"] = endless
    refused(engine, registry, "larger than")


def test_takes_little(engine, registry, layout):
    """A registry may take a part at a time."""

    def part(handler, _):
        name = upload_of(handler)
        registry.uploads[name] += handler.body()[:900_000]
        handler.reply(202, range=f"0-{len(registry.uploads[name]) - 1}")

    registry.rules["PATCH /uploads/"] = first(registry, part, 2)
    push(engine, registry).check()
    has_all(registry, layout)
    assert len(registry.sent("PATCH")) == 3


def upload_of(handler):
    """The number of the upload that a request belongs to."""
    return handler.path.split("?")[0].rsplit("/", 1)[1]


# --- locations and secrets ------------------------------------------------------------------


def need_password(registry):
    def rule(handler, data):
        if "Authorization" not in handler.headers:
            return handler.reply(401, b"", www_authenticate='Basic realm="x"')
        return registry.honest(handler, data)

    return rule


@pytest.mark.parametrize("way", ["location", "redirect"])
def test_another_host_without_secrets(engine, registry, layout, way):
    """An upload may go on at another host, which sees no authorization."""
    with Hostile() as storage:
        storage.uploads = {"a": b"", "b": b"", "c": b""}
        names = iter("abc")
        registry.rules["/v2/"] = need_password(registry)

        def elsewhere(handler, data):
            if "Authorization" not in handler.headers:
                return handler.reply(401, b"", www_authenticate='Basic realm="x"')
            if way == "location":
                return handler.reply(202, location=f"http://{storage.host}/v2/name/blobs/uploads/{next(names)}?signed")
            if handler.command == "POST":
                return registry.honest(handler, data)
            storage.uploads.setdefault(upload_of(handler), b"")
            return handler.reply(307, location=f"http://{storage.host}{handler.path}")

        registry.rules = {"/uploads/": elsewhere, **registry.rules}
        push(engine, registry, "--creds", "user:secret").check()
        assert storage.documents[layout.large][0] == layout.layers[1] and storage.documents[layout.small][0] == layout.layers[0]
        assert storage.requests and not any("Authorization" in headers for _, _, headers in storage.requests)
        assert "1" in registry.documents


def test_another_host_that_wants_a_password(engine, registry):
    """Another host that asks for credentials gets none, and no token service of its choice does."""
    with Hostile() as storage:
        storage.rules["/"] = lambda h, _: h.reply(401, www_authenticate=f'Bearer realm="http://{storage.host}/token"')
        registry.rules["POST /uploads/"] = lambda h, _: h.reply(202, location=f"http://{storage.host}/v2/name/blobs/uploads/0")
        push(engine, registry, "--creds", "user:secret").fails(registry.host, storage.host, "401", rc=1)
        assert not any("Authorization" in headers or "/token" in path for _, path, headers in storage.requests)


def test_relative_location(engine, registry, layout):
    """A location without a slash goes on from where the upload was begun, with credentials."""

    def rule(handler, data):
        if "Authorization" not in handler.headers:
            return handler.reply(401, b"", www_authenticate='Basic realm="x"')
        if handler.command == "POST":
            name = str(next(registry.numbers))
            registry.uploads[name] = b""
            return handler.reply(202, location=name)
        return registry.honest(handler, data)

    registry.rules["/v2/"] = rule
    push(engine, registry, "--creds", "user:secret").check()
    has_all(registry, layout)


@pytest.mark.parametrize("location, words", [
    (None, ["no location"]),
    ("file:///etc/shadow", ["neither http nor https"]),
    ("http://user@localhost/", ["user in it"]),
    ("http://[::1/", ["bad host"]),
    ("/a b\x7f", ["control characters"]),
])  # fmt: skip
def test_bad_locations(engine, registry, location, words):
    """Where an upload cannot go on is said."""
    registry.rules["POST /uploads/"] = lambda h, _: h.reply(202, location=location)
    refused(engine, registry, *words)


def test_not_followed(engine, registry, workdir, layout):
    """Circles, redirects that turn a PATCH into something else, and ways from https down to http."""
    registry.rules["PATCH /uploads/"] = lambda h, _: h.reply(307, location=h.path)
    refused(engine, registry, "redirects")
    registry.rules["PATCH /uploads/"] = lambda h, _: h.reply(302, location="/elsewhere")
    refused(engine, registry, "redirect (302)")
    certificate = make_certificate(workdir)
    folder = workdir / "trusted"
    folder.mkdir()
    (folder / "ca.crt").write_bytes(certificate[0].read_bytes())
    with Hostile(certificate=certificate) as secure:
        secure.rules["POST /uploads/"] = lambda h, _: h.reply(202, location=f"http://{registry.host}/v2/name/blobs/uploads/0")
        push(engine, secure, "--cert-dir", folder).fails("https", "down", rc=1)
        del secure.rules["POST /uploads/"]
        push(engine, secure, "--cert-dir", folder).check()
        has_all(secure, layout)


def test_token(engine, registry, layout):
    """A token is asked for that allows to push, although the first request only looks; the password stays with its service."""
    with Hostile() as service:
        service.rules["/token"] = lambda h, _: h.reply(200, b'{"token":"t"}')

        def check(handler, data):
            if handler.headers.get("Authorization") != "Bearer t":
                scope = "repository:name:pull"
                return handler.reply(401, b"", www_authenticate=f'Bearer realm="http://{service.host}/token",service="tests",scope="{scope}"')
            return registry.honest(handler, data)

        registry.rules["/v2/"] = check
        push(engine, registry, "--creds", "me:pass").check()
        has_all(registry, layout)
        [(_, path, headers)] = service.requests
        assert "scope=repository%3Aname%3Apull%2Cpush" in path and headers["Authorization"].startswith("Basic ")
    assert not any(headers.get("Authorization", "").startswith("Basic") for _, _, headers in registry.requests)


def test_mount_that_is_refused(engine, registry, layout):
    """Another repository that may not be read is only a longer way."""
    engine("image", "tag", NAME, f"{registry.host}/secret:1").check()

    def rule(handler, data):
        if "mount=" in handler.path:
            return handler.reply(401, b"", www_authenticate='Basic realm="x"')
        return registry.honest(handler, data)

    registry.rules["POST /uploads/"] = rule
    push(engine, registry, "--creds", "user:secret").check()
    has_all(registry, layout)
    asked = [path for path in registry.sent("POST") if "mount=" in path]
    assert asked and all("from=secret" in path for path in asked)


@pytest.mark.parametrize("lies", [False, True])
def test_mount(engine, registry, layout, lies):
    """What another repository has is not sent; a registry that takes another blob from there is not believed."""
    engine("image", "tag", NAME, f"{registry.host}/source:1").check()
    registry.mountable = {layout.large}
    other = "sha256:" + "1" * 64

    def rule(handler, data):
        if lies and layout.large.removeprefix("sha256:") in handler.path:
            return handler.reply(201, docker_content_digest=other)
        return registry.honest(handler, data)

    registry.rules["POST /uploads/"] = rule
    if lies:
        refused(engine, registry, other, "keeps")
    else:
        push(engine, registry).check()
        assert "1" in registry.documents and registry.documents[layout.small][0] == layout.layers[0]
    assert registry.sent("PATCH") == []


# --- kills ------------------------------------------------------------------------


def slow(handler, _):
    """Takes a blob in small pieces for some seconds."""
    while handler.unread and handler.body(min(handler.unread, 100_000)):
        time.sleep(0.2)
    handler.cut()


def children(pid):
    return [int(p) for p in proc.run("ps", "--ppid", pid, "-o", "pid=").out.split()]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(engine, registry, number):
    """A signal ends the push at once, cooper-fetch with it, and the caller sees the signal."""
    registry.rules["PATCH /uploads/"] = slow
    with engine.background("image", "push", NAME, registry.name) as running:
        proc.until(lambda: registry.sent("PATCH"), 20, 0.02, "the layer on its way")
        [fetch] = proc.until(lambda: children(running.pid), 10, 0.02, "cooper-fetch")
        running.child.send_signal(number)
        assert running.child.wait(20) == -number
        proc.until(lambda: not os.path.exists(f"/proc/{fetch}"), 10, 0.02, "the end of cooper-fetch")
    assert "1" not in registry.documents
    assert os.listdir(engine.root / "images/tmp") == []


def test_killed(engine, registry):
    """When cooper-fetch is killed the push fails and says so."""
    registry.rules["PATCH /uploads/"] = slow
    with engine.background("image", "push", NAME, registry.name) as running:
        proc.until(lambda: registry.sent("PATCH"), 20, 0.02, "the layer on its way")
        [fetch] = proc.until(lambda: children(running.pid), 10, 0.02, "cooper-fetch")
        os.kill(fetch, signal.SIGKILL)
        assert running.child.wait(20) == 1
        assert b"cooper-fetch was killed by signal 9" in running.child.stderr.read()
    assert "1" not in registry.documents


def test_progress_on_a_terminal(engine, registry):
    """On a terminal there is one line a blob, redrawn."""
    with engine.on_terminal("image", "push", NAME, registry.name) as session:
        _, text = session.wait(60)
    assert "complete" in text and f"Pushed image: {registry.name}" in text and "\x1b[K" in text


def test_memory(new_engine, registry, workdir):  # noqa: F811
    """The memory of a push does not grow with the image."""
    big = Layout(workdir / "big")
    zeros = layer(entry("zeros", bytes(100_000_000)))
    big.index(big.image(zeros))
    engine = new_engine(load=False)
    engine("image", "load", big.path, timeout=60).check()

    taken = []

    def swallow(handler, _):
        taken.append(handler.unread)
        while handler.unread and handler.body(min(handler.unread, 1 << 20)):
            pass
        handler.reply(202)

    registry.rules["PATCH /uploads/"] = swallow
    registry.rules["PUT /uploads/"] = lambda h, _: (h.body(), h.reply(201))
    result = proc.run("/usr/bin/python3", "-c", "import resource,subprocess,sys\n"
                      "code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode\n"
                      "print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)",
                      *engine.argv("image", "push", NAME, registry.name), env=engine.environ, timeout=120).check()  # fmt: skip
    code, peak_kib = map(int, result.out.split())
    assert code == 0 and peak_kib < 64 * 1024
    assert taken == [len(zeros)]
