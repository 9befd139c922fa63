"""What comes in an encoding that nobody has asked for: a registry, or a cache or proxy before it, that compresses what it sends."""

import gzip
import zlib

import pytest

from lib.cooper import busybox_layout, empty_engine as engine, engine_dir, new_engine  # noqa: F401
from lib.hostile import contents
from lib.layouts import MANIFEST, digest, small_and_large
from lib.registries import Hostile

pytestmark = pytest.mark.needs("root", "cooper", "isolation")


@pytest.fixture
def layout(workdir):
    """An image of two layers."""
    return small_and_large(workdir / "layout")


@pytest.fixture
def registry(layout):
    """The registry, with that image."""
    with Hostile(layout) as it:
        yield it


def pull(engine, registry):
    return engine("image", "pull", registry.name, timeout=60)


def refused(engine, registry, *words):
    """The pull fails with these words and leaves nothing."""
    engine("image", "ls").check()
    pull(engine, registry).fails(*words, rc=1)
    assert contents(engine) == []


def test_manifest_in_gzip(engine, registry):
    """Nobody asks for an encoding. A manifest that is sent in gzip all the same is decoded, within the limit of a manifest; what cannot be decoded is said."""
    plain = registry.documents["1"][0]
    bomb = gzip.compress(b"{" + b" " * (64 << 20))
    cases = (
        (gzip.compress(plain)[:-9], "gzip", ("Content-Encoding 'gzip'", "nobody asked", "truncated", "proxy")),
        (b"\0" + plain, "gzip", ("Content-Encoding 'gzip'", "cannot be decoded")),
        (zlib.compress(plain), "deflate", ("Content-Encoding 'deflate'", "nobody asked", "proxy")),
        (bomb, "gzip", ("larger than 4.00 MiB",)),
    )
    for body, encoding, words in cases:
        registry.rules["/manifests/"] = lambda h, _, body=body, encoding=encoding: h.reply(200, body, content_type=MANIFEST, content_encoding=encoding)
        refused(engine, registry, *words)
    # The digest is that of the manifest itself.
    registry.rules["/manifests/"] = lambda h, data: h.reply(200, gzip.compress(data), content_type=MANIFEST, content_encoding="GZIP", docker_content_digest=digest(data))
    pull(engine, registry).check()
    engine("image", "verify").check()
    engine("image", "rm", registry.name).check()
    # Said, and not done.
    registry.rules["/manifests/"] = lambda h, data: h.reply(200, data, content_type=MANIFEST, content_encoding="gzip")
    pull(engine, registry).check()
    assert {headers.get("Accept-Encoding") for _, _, headers in registry.requests} == {"identity"}


def test_blob_in_gzip(engine, registry, layout):
    """A blob is what the bytes are: one that is called encoded and is not is taken, one that is encoded is refused in these words."""
    for length in ("announced", None):

        def encoded(handler, data, length=length):
            body = gzip.compress(data)
            handler.reply(200, body, content_encoding="gzip", **({} if length else {"content_length": None, "connection": "close"}))
            handler.close_connection = not length

        for part in (layout.small, layout.large, layout.config):
            registry.rules = {part: encoded}
            before = len(registry.requests)
            refused(engine, registry, "Content-Encoding 'gzip'", "nobody asked", "proxy")
            assert len([1 for _, path, _ in registry.requests[before:] if part in path]) == 1, "it would be the same again"
    registry.rules = {"/blobs/": lambda h, data: h.reply(200, data, content_encoding="gzip")}
    pull(engine, registry).check()
    engine("image", "verify").check()
