"""ACIs on a web of their own: the domains of lib.web, keys that sign, an engine that trusts the web's authority."""

import gzip
import io
import json
import os
import tarfile

import pytest

from lib.cooper import Cooper, engine_dir  # noqa: F401
from lib.pgp import Keys
from lib.web import Web

NAME = "apps.example.com/team/web"
FILES = "files.example.com"
ARCH = {"x86_64": "amd64"}.get(os.uname().machine, os.uname().machine)
DOMAINS = ("apps.example.com", FILES, "other.example.com")


def aci(name=NAME, version="1.0", extra=b"hello\n", needs=()):
    """The bytes of an image with one file, which may need others by their names, or by what a manifest says of them."""
    labels = [{"name": "version", "value": version}, {"name": "os", "value": "linux"}, {"name": "arch", "value": ARCH}]
    manifest = {"acKind": "ImageManifest", "acVersion": "0.8.11", "name": name, "labels": labels,
                "dependencies": [one if isinstance(one, dict) else {"imageName": one} for one in needs], "app": {"exec": ["/bin/true"], "user": "0", "group": "0"}}  # fmt: skip
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for path, data in (("manifest", json.dumps(manifest).encode()), ("rootfs/file", extra)):
            member = tarfile.TarInfo(path)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return gzip.compress(out.getvalue(), mtime=0)


def page(*tags):
    """A web page with discovery tags of the form (kind, content)."""
    metas = "".join(f'<meta name="{kind}" content="{content}">\n' for kind, content in tags)
    return f"<!doctype html><html><head><title>x</title>\n{metas}</head><body>hi</body></html>".encode()


TEMPLATE = f"https://{FILES}/{{name}}-{{version}}-{{os}}-{{arch}}.{{ext}}"
PLACE = f"{FILES}/{NAME}-1.0-linux-{ARCH}.aci"


@pytest.fixture(scope="module")
def keys():
    """The key of the images' maker, one of somebody else, and one that has expired."""
    with Keys() as ring:
        ring.maker = ring.make("Maker <maker@example.com>")
        ring.other = ring.make("Other <other@example.com>")
        ring.old = ring.make("Old <old@example.com>", expires="1d", faked="20200101T000000")
        yield ring


@pytest.fixture(scope="module")
def web(engine_dir):  # noqa: F811
    """The servers; each test has its own tables."""
    (engine_dir / "web").mkdir()
    with Web(engine_dir / "web", DOMAINS) as web:
        yield web


@pytest.fixture
def engine(workdir, prefix, web):
    """An engine that sees this web and trusts its authority, and no key yet."""
    web.pages.clear(), web.plain.clear(), web.asked.clear()
    engine = Cooper(workdir, f"/{prefix}")
    engine.environ |= web.environ
    (workdir / "certs").mkdir()
    (workdir / "certs/ca.crt").write_bytes(web.ca.read_bytes())
    with engine.config.open("a") as config:
        config.write(f'[trust]\ndirectory = "{workdir}/trust"\nvendor_directory = "{workdir}/vendor"\n')
    engine.fetch = lambda *args, **options: engine("image", "fetch", "--cert-dir", workdir / "certs", *args, timeout=60, **options)
    yield engine
    assert not engine.root.exists() or engine.json("image", "ls") is not None
    tmp = engine.root / "images/tmp"
    assert not tmp.exists() or os.listdir(tmp) == [], "nothing unfinished is left"


@pytest.fixture
def publish(web, keys, workdir):
    """publish(image=..., key=..., place=...) puts an image and its signature where discovery leads."""

    def put(image=None, key=keys.maker, place=PLACE, faked=None):
        image = aci() if image is None else image
        file = workdir / "image.aci"
        file.write_bytes(image)
        web.pages["apps.example.com/team/web"] = page(("ac-discovery", f"apps.example.com {TEMPLATE}"))
        web.pages[place] = image
        if key:
            web.pages[place + ".asc"] = keys.sign(key, file, faked=faked).read_bytes()
        return file

    return put


def trust(engine, keys, key, workdir, where=("--prefix", "apps.example.com/team")):
    file = keys.export(workdir / f"{key}.asc", key)
    engine("trust", "add", *where, "--fingerprint", key, file).check()


def taken(result):
    """The bytes were what they should be, and are an image now."""
    result.check()
    assert result.out.startswith("Loaded image: ") and result.out.count("\n") == 1
    return result


def refused(result, *words):
    """Said, and nothing was taken in."""
    result.fails(*words, rc=1)
    assert result.out == ""
