"""cooper image pull after another one that was killed, interrupted or left alone by its registry: it goes on where that one was."""

import os
import signal
import threading
import time

import pytest

from lib import proc
from lib.cooper import busybox_layout, empty_engine as engine, engine_dir, new_engine  # noqa: F401
from lib.layouts import Layout, digest, entry, gzipped, layer
from lib.registries import DebianRegistry, Hostile

pytestmark = pytest.mark.needs("root", "cooper", "isolation")
SIZE = 3_000_000


@pytest.fixture
def layout(workdir):
    """An image of a small and a large layer."""
    made = Layout(workdir / "layout")
    made.layers = [layer(entry("small", b"s")), layer(entry("large", os.urandom(SIZE)))]
    made.index(made.image(*made.layers))
    made.small, made.large = (digest(data) for data in made.layers)
    return made


class Ranges:
    """A rule for a blob: serves what is asked for, at first only half of it and then as `stop` does; counts what was sent."""

    def __init__(self, stop):
        self.stop, self.left, self.refuse = stop, 1, False
        self.starts, self.sent = [], 0
        self.half = threading.Event()

    def __call__(self, handler, data):
        if self.refuse:
            self.refuse = False
            return handler.reply(403)
        start = int(handler.headers.get("Range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))
        self.starts.append(start)
        part = data[start:]
        handler.send_response(206 if start else 200)
        handler.send_header("Content-Length", str(len(part)))
        if start:
            handler.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        handler.end_headers()
        if self.left:
            self.left -= 1
            part = part[: len(data) // 2 - start]
            handler.wfile.write(part)
            handler.wfile.flush()
            self.half.set()
            self.refuse = self.stop is refuse
            return self.stop(handler)
        self.sent += len(part)
        return handler.wfile.write(part)


def refuse(handler):
    """Cuts the connection, and refuses the next request: the pull ends at once."""
    handler.cut()


def hang(handler):
    """Sends nothing more until the other side goes away."""
    handler.connection.settimeout(20)
    handler.connection.recv(1)
    handler.close_connection = True


@pytest.fixture
def registry(layout):
    """A registry that hangs in the middle of the large layer, once."""
    with Hostile(layout) as it:
        it.rules[layout.large] = it.ranges = Ranges(hang)
        yield it


def partials(engine):
    """What is kept of blobs: sizes by name."""
    folder = engine.root / "images/partial"
    return {path.name: path.stat().st_size for path in folder.iterdir()} if folder.exists() else {}


def half_there(engine, registry, layout):
    registry.ranges.half.wait(20)
    small, large = (name.replace(":", "-") for name in (layout.small, layout.large))
    proc.until(lambda: partials(engine).get(small, 0) == len(layout.layers[0]), 20, 0.02, "the small layer")
    proc.until(lambda: partials(engine).get(large, 0) >= len(layout.layers[1]) // 2, 20, 0.02, "half of the layer")


def went_on(engine, registry, layout):
    """The next pull has asked for the rest alone; the image is whole, and nothing is left."""
    result = engine("image", "pull", registry.name, timeout=60).check()
    half, size = len(layout.layers[1]) // 2, len(layout.layers[1])
    assert registry.ranges.starts == [0, half] and registry.ranges.sent == size - half
    assert len(registry.paths(layout.small)) == 1, "it was there whole"
    assert "going on after" in result.err
    assert partials(engine) == {} and os.listdir(engine.root / "images/tmp") == []
    engine("image", "verify", registry.name).check()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_killed(engine, registry, layout, number):
    """A pull that was killed or interrupted half way through a layer is gone on with."""
    with engine.background("image", "pull", registry.name) as running:
        half_there(engine, registry, layout)
        running.child.send_signal(number)
        assert running.child.wait(20) == -number
    assert engine.json("image", "ls")["images"] == []
    went_on(engine, registry, layout)


def test_network_gone(engine, registry, layout):
    """So is one whose registry went away."""
    registry.ranges.stop = refuse
    engine("image", "pull", registry.name, timeout=60).fails("403", rc=1)
    went_on(engine, registry, layout)


def test_run_goes_on(engine, registry, layout):
    """What a pull has left is used whoever fetches, and under another name, too."""
    registry.ranges.stop = refuse
    engine("run", "--rm", registry.name, "large", timeout=60).fails(layout.large, rc=125)
    registry.repository = "other"
    went_on(engine, registry, layout)


@pytest.mark.parametrize("damage", ["other bytes", "too long", "whole and wrong"])
def test_damaged_meanwhile(engine, registry, layout, damage):
    """Bytes that a power cut has left wrong are noticed by the digest of the whole, and fetched again."""
    registry.ranges.stop = refuse
    engine("image", "pull", registry.name, timeout=60).fails(layout.large, rc=1)
    file = engine.root / "images/partial" / layout.large.replace(":", "-")
    size = len(layout.layers[1])
    file.write_bytes({"other bytes": bytes(file.stat().st_size), "too long": bytes(size + 1), "whole and wrong": bytes(size)}[damage])
    result = engine("image", "pull", registry.name, timeout=60).check()
    assert damage == "too long" or "without what an earlier pull had left" in result.err
    assert registry.ranges.starts[-1] == 0 and partials(engine) == {}
    engine("image", "verify", registry.name).check()


def test_registry_without_ranges(engine, registry, layout):
    """Where all of a blob comes again, what is there is passed over."""
    registry.ranges.stop = refuse
    engine("image", "pull", registry.name, timeout=60).fails(rc=1)
    del registry.rules[layout.large]
    engine("image", "pull", registry.name, timeout=60).check()
    assert partials(engine) == {}
    engine("image", "verify", registry.name).check()


def test_wrong_bytes_are_not_kept(engine, registry, layout):
    """Nothing stays of a pull that ended because of what came."""
    registry.rules[layout.large] = lambda h, data: h.reply(200, b"x" + data[1:])
    engine("image", "pull", registry.name, timeout=60).fails("corrupt", rc=1)
    assert partials(engine) == {}
    layout.index(layout.image(b"no tar at all" * 1000))
    registry.serve(layout)
    engine("image", "pull", registry.name, timeout=60).fails("tar", rc=1)
    assert partials(engine) == {}


def test_gc(engine, registry, layout):
    """What was not gone on with for a day is collected, or for as long as --older says; never what a pull writes."""
    with engine.background("image", "pull", registry.name) as running:
        half_there(engine, registry, layout)
        engine("image", "gc", "--older", "0s").check()
        assert len(partials(engine)) == 3, "two layers, and the manifest that is being pulled"
        running.child.send_signal(signal.SIGKILL)
        running.child.wait(20)
    engine("image", "gc").check()
    assert partials(engine)[layout.large.replace(":", "-")] > 0
    unfinished = engine.json("image", "df")["unfinished"]
    assert unfinished["size_bytes"] > SIZE // 2 and unfinished["reclaimable_bytes"] == 0, unfinished
    assert engine.json("image", "gc", "--older", "0s", "--dry-run")["freed_bytes"] > SIZE // 2
    old = time.time() - 25 * 3600
    for path in (engine.root / "images/partial").iterdir():
        os.utime(path, (old, old))
    assert engine.json("image", "gc")["freed_bytes"] > SIZE // 2
    assert partials(engine) == {}


def test_two_at_once(engine, registry, layout):
    """Of two pulls of one image the second waits; when the first is killed it goes on where that was."""
    with engine.background("image", "pull", registry.name) as first:
        half_there(engine, registry, layout)
        with engine.background("image", "pull", registry.name) as second, engine.background("image", "pull", registry.name) as third:
            proc.until(lambda: len(registry.paths("/manifests/")) == 3, 20, 0.02, "all of them at work")
            third.child.send_signal(signal.SIGINT)
            assert third.child.wait(20) == -signal.SIGINT, "waiting can be interrupted"
            first.child.send_signal(signal.SIGKILL)
            assert second.child.wait(30) == 0
    half = len(layout.layers[1]) // 2
    assert registry.ranges.starts == [0, half]
    assert len(engine.json("image", "ls")["images"]) == 1 and partials(engine) == {}


def test_shared_layer_at_once(engine, registry, layout):
    """Another image with the layer that is being fetched does not wait for it."""
    other = Layout(layout.path.parent / "other")
    other.index(other.image(layout.layers[1]))
    with Hostile(other) as second, engine.background("image", "pull", registry.name) as first:
        half_there(engine, registry, layout)
        engine("image", "pull", second.name, timeout=60).check()
        first.child.send_signal(signal.SIGKILL)
        first.child.wait(20)
    engine("image", "verify", second.name).check()
    assert engine("image", "pull", registry.name, timeout=60).check()
    assert registry.ranges.starts == [0], "the other one has brought it"
    assert set(partials(engine)) <= {layout.large.replace(":", "-")}


@pytest.mark.needs("docker-registry", "skopeo")
def test_debian_registry(engine, workdir):
    """The registry that Debian has sends the rest alone: what its log says of bytes."""
    layout = Layout(workdir / "big")
    plain = layer(entry("large", os.urandom(8_000_000)))
    data = gzipped(plain)  # skopeo compresses what is not
    layout.index(layout.image(plain, compress="gzip"))
    with DebianRegistry(workdir / "registry") as registry:
        name = registry.push(f"oci:{layout.path}", "large:1")
        engine("image", "pull", name, timeout=60).check()
        engine("image", "rm", name).check()
        [blob] = [path for path in registry.fetched() if digest(data) in path]
        kept = engine.root / "images/partial" / digest(data).replace(":", "-")
        kept.write_bytes(data[:7_000_000])
        engine("image", "pull", name, timeout=60).check()
        sent = [line for line in (registry.folder / "log").read_text().splitlines() if f'"GET {blob}' in line]
        assert sent[-1].split('"')[2].split() == ["206", str(len(data) - 7_000_000)], sent
        engine("image", "verify", name).check()


def damage(engine, name, data):
    """Put these bytes into a blob of the store."""
    file = engine.root / "images/blobs" / name.replace(":", "/")
    file.chmod(0o644)
    file.write_bytes(data)


def test_damaged_layer_of_the_store(engine, registry, layout):
    """A layer of the store whose bytes are wrong is fetched again when another image needs it; a shorter one at once."""
    del registry.rules[layout.large]
    engine("image", "pull", registry.name, timeout=60).check()
    damage(engine, layout.large, bytes(len(layout.layers[1])))
    engine("image", "pull", registry.name, timeout=60).check()
    assert len(registry.paths(layout.large)) == 1, "reading all layers each time costs too much"
    other = Layout(layout.path.parent / "other")
    other.index(other.image(layout.layers[1]))
    with Hostile(other) as second:
        result = engine("image", "pull", second.name, timeout=60).check()
        assert "fetched again" in result.err and len(second.paths(layout.large)) == 1
    engine("image", "verify").check()
    damage(engine, layout.large, layout.layers[1][:1000])
    engine("image", "pull", registry.name, timeout=60).check()
    assert len(registry.paths(layout.large)) == 2
    engine("image", "verify").check()


def test_damaged_before_it_is_unpacked(engine, registry, layout):
    """A container does not get a damaged layer where nothing may be fetched; a pull says nothing of it and replaces it."""
    del registry.rules[layout.large]
    engine("image", "pull", registry.name, timeout=60).check()
    for tree in (engine.root / "images/trees").iterdir():
        proc.run("rm", "-r", tree).check()
    damage(engine, layout.large, bytes(len(layout.layers[1])))
    engine("run", "--pull", "never", "--rm", registry.name, "large").fails("damaged", f"image verify --repair {registry.name}", "pull or load the image again", rc=125)
    engine("image", "pull", registry.name, timeout=60).check()
    assert len(registry.paths(layout.large)) == 2
    engine("image", "verify").check()


def test_same_tag(engine, registry, layout):
    """A registry that does not tell what a tag names, however it fails, is asked for the manifest, whose answer counts; a tag that has moved brings its image."""
    del registry.rules[layout.large]
    engine("image", "pull", registry.name, timeout=60).check()
    wrong = "sha256:" + "0" * 64
    failures = [lambda h, data, status=status: h.reply(status, docker_content_digest=wrong) for status in (400, 403, 404, 405, 408, 500, 501, 503)]
    for rule in (*failures, lambda h, data: h.cut(), lambda h, data: h.reply(200, data), lambda h, data: h.reply(200, data, docker_content_digest="sha256:x")):
        registry.rules["HEAD /manifests/"] = rule
        del registry.requests[:]
        assert "up to date" in engine("image", "pull", registry.name, timeout=60).check().out
        assert [method for method, *_ in registry.requests] == ["HEAD", "GET"]
    registry.rules["/manifests/"] = lambda h, data: h.reply(403, b'{"errors":[{"code":"DENIED","message":"not for you"}]}')
    registry.rules["HEAD /manifests/"] = lambda h, data: h.reply(403)
    engine("image", "pull", registry.name, timeout=60).fails("403", rc=1)
    del registry.rules["HEAD /manifests/"]
    engine("image", "pull", registry.name, timeout=60).fails("403", "not for you", rc=1)
    del registry.rules["/manifests/"]
    times = []

    def limited(handler, data):
        times.append(time.monotonic())
        return handler.reply(429, retry_after=2) if len(times) == 1 else registry.honest(handler, data)

    registry.rules["HEAD /manifests/"] = limited
    del registry.requests[:]
    assert "up to date" in engine("image", "pull", registry.name, timeout=60).check().out
    assert times[1] - times[0] >= 1.9 and [method for method, *_ in registry.requests] == ["HEAD", "HEAD"]
    del registry.rules["HEAD /manifests/"]
    layout.index(layout.image(layer(entry("new", b"n"))))
    registry.serve(layout)
    engine("image", "pull", registry.name, timeout=60).check()
    engine("image", "extract", registry.name, layout.path.parent / "x").check()
    assert os.listdir(layout.path.parent / "x") == ["new"]


def test_tokens_that_end_with_each_connection(engine, layout):
    """A layer of which each token brings a part comes whole: a token that is over is no refusal when something came by it."""
    parts, given, over = 6, [], []
    with Hostile(layout) as registry:
        ask = {"www_authenticate": f'Bearer realm="http://{registry.host}/token",service="s"'}

        def give(handler, _):
            given.append(f"token{len(given)}")
            return handler.reply(200, f'{{"token":"{given[-1]}"}}'.encode())

        def a_part(handler, data):
            token = handler.headers.get("Authorization", "").removeprefix("Bearer ")
            if token not in given or token in over:
                return handler.reply(401, **ask)
            over.append(token)
            start = int(handler.headers.get("Range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))
            where = {"content_range": f"bytes {start}-{len(data) - 1}/{len(data)}"} if start else {}
            part = data[start : start + len(data) // parts + 1]
            handler.reply(206 if start else 200, part, content_length=len(data) - start, **where)
            return handler.cut()

        registry.rules = {"/token": give, layout.large: a_part}
        engine("image", "pull", "--retry-delay", "10ms", registry.name, timeout=60).check()
        assert len(over) == parts == len(given)


def test_a_token_that_brings_nothing(engine, layout):
    """Who takes tokens and then sends nothing new is given up."""
    with Hostile(layout) as registry:
        ask = {"www_authenticate": f'Bearer realm="http://{registry.host}/token",service="s"'}
        registry.rules = {"/token": lambda handler, _: handler.reply(200, b'{"token":"abc"}'), layout.large: lambda handler, _: handler.reply(401, **ask)}
        engine("image", "pull", "--retry-delay", "10ms", registry.name, timeout=60).fails("401", "do not allow this", rc=1)
        assert len(registry.paths("/token")) <= 4
