"""Mirrors that do not work: the next place is asked soon, and the broken one once. Proxies, and plain http."""

import base64
import os
import socket
import threading
import time

import pytest

from lib.cooper import busybox_layout, empty_engine as engine, engine_dir, new_engine  # noqa: F401
from lib.layouts import Layout, entry, layer
from lib.registries import Hostile, make_certificate

pytestmark = pytest.mark.needs("root", "cooper", "isolation")


@pytest.fixture
def layout(workdir):
    """An image of three layers."""
    made = Layout(workdir / "l")
    made.index(made.image(*[layer(entry(f"f{i}", os.urandom(1000))) for i in range(3)]))
    return made


@pytest.fixture
def registry(layout):
    """The registry itself, which has it."""
    with Hostile(layout) as made:
        yield made


def pull_by_mirror(engine, registry, mirror, *settings, seconds=3.0):
    """Pull through that mirror, which must not hold it up; how long it took."""
    lines = "".join(f"{line}\n" for line in settings)
    engine.config.write_text(engine.config.read_text() + f'[registries]\nmirrors = ["{registry.host}={mirror}"]\n{lines}')
    begin = time.monotonic()
    engine("image", "pull", registry.name, timeout=120).check()
    took = time.monotonic() - begin
    assert took < seconds
    return took


@pytest.mark.parametrize(("status", "headers"), [(401, {}), (403, {}), (404, {}), (429, {}), (429, {"retry_after": "30"}), (500, {}), (503, {"retry_after": "20"})])
def test_answers(engine, registry, status, headers):
    """An answer that is none: the registry has it, and the mirror is not asked for each part again."""
    with Hostile() as mirror:
        mirror.rules["/v2/"] = lambda handler, _: handler.reply(status, **headers)
        pull_by_mirror(engine, registry, mirror.host)
        if status != 404:
            assert len(mirror.requests) <= 2


def test_certificate(engine, registry, layout, workdir):
    """A mirror whose certificate nobody knows."""
    with Hostile(layout, certificate=make_certificate(workdir / "c")) as mirror:
        pull_by_mirror(engine, registry, mirror.host)
        assert mirror.requests == []


def test_silence(engine, registry):
    """A mirror that takes connections and says nothing is waited for once."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = []

        def accept():
            while True:
                try:
                    taken.append(server.accept()[0])
                except OSError:
                    return

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        pull_by_mirror(engine, registry, f"localhost:{server.getsockname()[1]}", "stall_timeout_s = 1", seconds=6.0)
        assert len(taken) <= 2
        for connection in taken:
            connection.close()
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def test_dead_in_the_middle(engine, registry, layout):
    """A mirror that dies while it sends: what came of it counts, the rest comes from the registry."""
    with Hostile(layout) as mirror:

        def cut(handler, data):
            handler.send_response(200)
            handler.send_header("Content-Length", str(len(data)))
            handler.end_headers()
            handler.wfile.write(data[:50])
            handler.cut()

        mirror.rules["/blobs/"] = cut
        pull_by_mirror(engine, registry, mirror.host, seconds=8.0)
        assert [headers for _, path, headers in registry.requests if "/blobs/" in path and "Range" in headers]


@pytest.mark.parametrize("status", [403, 405, 500])
def test_head_that_fails(engine, registry, layout, status):
    """A mirror that does not tell what the tag names still has the image: nobody else is asked. One that fails GET too has it not."""
    with Hostile(layout) as mirror:
        mirror.rules["HEAD /manifests/"] = lambda handler, _: handler.reply(status)
        pull_by_mirror(engine, registry, mirror.host)
        del mirror.requests[:]
        assert "up to date" in engine("image", "pull", registry.name, timeout=60).check().out
        assert [method for method, *_ in mirror.requests] == ["HEAD", "GET"] and registry.requests == []
        mirror.rules["/v2/"] = mirror.rules["HEAD /manifests/"]
        begin = time.monotonic()
        assert "up to date" in engine("image", "pull", registry.name, timeout=60).check().out
        assert time.monotonic() - begin < 3.0 and [method for method, *_ in registry.requests] == ["GET"]


# --- proxies ------------------------------------------------------------------


def test_proxy(engine, registry, layout):
    """The proxy of the environment is asked, except for hosts that it is not for."""
    with Hostile(layout) as proxy:
        name = "registry.invalid:5000/name:1"
        env = {"http_proxy": f"http://{proxy.host}", "https_proxy": "http://127.0.0.1:1"}
        engine("image", "pull", "--tls-verify=false", name, env=env, timeout=60).check()
        assert proxy.requests[0][1].startswith("http://registry.invalid:5000/v2/")
        for other in ("registry.invalid:5001", ".registry.invalid", "x.invalid,192.0.2.0/24"):
            count = len(proxy.requests)
            engine("image", "pull", "--tls-verify=false", name, env={**env, "no_proxy": other}, timeout=60).check()
            assert len(proxy.requests) > count
        count = len(proxy.requests)
        for same in ("registry.invalid:5000", "*.invalid", "a.example, invalid", "*"):
            direct = engine("image", "pull", "--retry", "0", "--tls-verify=false", name, env={**env, "no_proxy": same}, timeout=60)
            direct.fails("resolve", "registry.invalid", rc=1)
        assert len(proxy.requests) == count


def test_proxy_is_not_for_this_machine(engine, registry, layout):
    """What goes to this machine in clear is not shown to a proxy: neither a password nor a token, and not what is redirected."""
    basic = "Basic " + base64.b64encode(b"cooper:stave").decode()
    with Hostile() as proxy, Hostile(layout) as other:
        ask = {"www_authenticate": f'Bearer realm="http://127.0.0.1:{other.port}/token",service="s"'}

        def give(handler, _):
            return handler.reply(200, b'{"token":"abc"}') if handler.headers.get("Authorization") == basic else handler.reply(401)

        def check(handler, data):
            if handler.headers.get("Authorization") != "Bearer abc":
                return handler.reply(401, **ask)
            if "/blobs/" in handler.path:
                return handler.reply(307, location=f"http://127.0.0.1:{other.port}{handler.path}")
            return registry.honest(handler, data)

        other.rules["/token"] = give
        registry.rules["/v2/"] = check
        env = {"http_proxy": f"http://{proxy.host}", "https_proxy": f"http://{proxy.host}", "no_proxy": "unrelated.example"}
        engine("image", "pull", "--creds", "cooper:stave", registry.name, env=env, timeout=60).check()
        assert other.paths("/token") and other.paths("/blobs/")
        assert proxy.requests == []


@pytest.mark.parametrize("proxy, said", [("http://127.0.0.1:1", "127.0.0.1 port 1"), ("http://user:secret@127.0.0.1:1/", "127.0.0.1 port 1"), ("http://nosuch.invalid:1", "proxy"), ("socks9://127.0.0.1:1", "proxy")])
def test_proxy_that_is_not_there(engine, proxy, said):
    """The proxy is what has to be looked at, not the registry; nothing of its password is told."""
    env = {"https_proxy": proxy}
    result = engine("image", "pull", "--retry", "0", "registry.example/name:1", env=env, timeout=60).fails(said, "https_proxy", "no_proxy", rc=1)
    assert "check that a registry runs there" not in result.err and "user:secret" not in result.err


def test_tls_that_is_asked_for_in_words(engine, registry):
    """Plain http will do with a registry of this machine, unless the command line says --tls-verify=true."""
    engine("image", "pull", registry.name, timeout=60).check()
    result = engine("image", "pull", "--tls-verify=true", "--retry", "0", registry.name, timeout=60).fails(registry.host, rc=1)
    assert "plain http" in result.err, result.err
