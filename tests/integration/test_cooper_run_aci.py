"""ACIs of the web that are run by their names, and fetches of them that were cut off; what others need is what they say it is."""

import gzip
import os
import time
from urllib.parse import quote

import pytest

from lib import acis
from lib.aci_web import ARCH, FILES, NAME, PLACE, aci, engine, engine_dir, keys, publish, refused, taken, trust, web  # noqa: F401

pytestmark = pytest.mark.needs("root", "cooper", "isolation", "gpg", "gpgv")


class Cut:
    """A server of a file that cuts the connection half way, once, and then refuses once: a fetch ends there."""

    def __init__(self, body, headers=(("ETag", '"one"'),)):
        self.body, self.headers, self.cuts, self.refuse, self.ranges, self.asked, self.sent = body, headers, 1, False, True, [], 0

    def __call__(self, handler):
        if self.refuse:
            self.refuse = False
            return handler.answer(403)
        asked, words = handler.headers.get("Range"), [value for _, value in self.headers]
        self.asked.append((asked, handler.headers.get("If-Range")))
        start = int(asked.split("=")[1].rstrip("-")) if asked and self.ranges and handler.headers["If-Range"] in words else 0
        handler.send_response(206 if start else 200)
        for name, value in [*self.headers, ("Content-Length", str(len(self.body) - start))]:
            handler.send_header(name, value)
        if start:
            handler.send_header("Content-Range", f"bytes {start}-{len(self.body) - 1}/{len(self.body)}")
        handler.end_headers()
        end = len(self.body)
        if self.cuts:
            self.cuts, self.refuse, handler.close_connection = self.cuts - 1, True, True
            end = end // 2
        handler.wfile.write(self.body[start:end])
        self.sent += max(end - start, 0)


def kept(engine):
    """Sizes of what is kept of interrupted fetches, by name."""
    folder = engine.root / "images/partial"
    return {path.name: path.stat().st_size for path in folder.iterdir()} if folder.exists() else {}


OLD = "Sun, 06 Nov 1994 08:49:37 GMT"


@pytest.mark.parametrize("case", ["etag", "date", "weak", "changed", "no ranges", "other bytes"])
def test_a_fetch_that_was_cut_off_is_gone_on_with(engine, publish, keys, web, workdir, case):
    """By a strong ETag or an old date the rest alone is asked for; otherwise all of it. The signature is that of the whole."""
    image = aci(extra=os.urandom(100000))
    publish(image=image)
    trust(engine, keys, keys.maker, workdir)
    headers = {"date": [("Last-Modified", OLD)], "weak": [("ETag", 'W/"one"')]}.get(case, [("ETag", '"one"')])
    server = web.pages[PLACE] = Cut(image, headers)
    refused(engine.fetch(f"{NAME}:1.0"), "cannot be taken up" if case == "weak" else "403")
    server.refuse = False
    half, there = len(image) // 2, kept(engine)
    assert sorted(there.values())[-1:] == ([] if case == "weak" else [half]), there
    if case == "changed":
        image = aci(extra=os.urandom(90000))
        publish(image=image)
        server = web.pages[PLACE] = Cut(image, [("ETag", '"two"')])
        server.cuts = 0
    if case == "no ranges":
        server.ranges = False
    if case == "other bytes":
        [file] = [path for path in (engine.root / "images/partial").iterdir() if path.stat().st_size == half]
        file.write_bytes(bytes(half))
    server.sent, server.asked = 0, []
    result = taken(engine.fetch(f"{NAME}:1.0"))
    rest = len(image) - half + 1
    assert server.sent == {"etag": rest, "date": rest, "other bytes": rest + len(image)}.get(case, len(image))
    if case in ("etag", "date"):
        assert server.asked == [(f"bytes={half - 1}-", headers[0][1])] and "going on after" in result.err
    assert ("once more, without what an earlier fetch had left" in result.err) == (case == "other bytes")
    assert kept(engine) == {}


def runnable(name=NAME, version="1.0"):
    """An image with a shell that says who it is."""
    document = acis.manifest(name, {"version": version, "os": "linux", "arch": ARCH}, app=acis.app("/bin/busybox", "echo", f"{name} {version}"))
    return acis.aci(document, *acis.busybox_files())


def test_run_fetches_acis(engine, publish, keys, web, workdir):
    """A name under which keys are trusted is an ACI's for run: found, verified, run; the store's is used then, or not, as rkt's policies say."""
    run = lambda *words: engine("run", "--rm", "--cert-dir", workdir / "certs", *words, timeout=60)  # noqa: E731
    publish(runnable())
    file = keys.export(workdir / "maker.asc", keys.maker)
    engine("trust", "add", "--prefix", "apps.example.com/team", "--fingerprint", keys.maker, file).check()
    run("--pull-policy=never", f"{NAME}:1.0").fails("is not in the store", rc=125)
    assert web.asked == []
    result = run(f"{NAME}:1.0", "and", "more").check()
    assert result.out == f"{NAME} 1.0 and more\n" and "signature verified" in result.err.lower()
    assert web.asked == [f"https://{NAME}?ac-discovery=1", f"https://{PLACE}.asc", f"https://{PLACE}"]
    web.asked.clear()
    assert run(f"{NAME},version=1.0").check().out == f"{NAME} 1.0\n" and web.asked == []
    run("--no-store", f"{NAME}:1.0").check()
    assert f"https://{PLACE}.asc" in web.asked
    publish(runnable(), key=keys.other)
    run("--pull-policy=update", f"{NAME}:1.0").fails("is not trusted for it", rc=125)
    result = run("--pull=newer", f"{NAME}:1.0").check()
    assert "is used as it is here" in result.err
    run("--insecure-options=image", "--pull-policy=update", f"{NAME}:1.0").check()
    elsewhere = keys.sign(keys.maker, workdir / "image.aci")
    run("--signature", elsewhere, "--pull-policy=update", f"{NAME}:1.0").check()
    assert engine("ps", "--all", "--quiet").check().out == ""


def test_run_of_addresses_and_files(engine, publish, web, workdir):
    """So are addresses, files, and any name when the command line speaks of ACIs; pods take them too, if they may fetch."""
    file = publish(runnable(), key=None)
    image, tls = "--insecure-options=image", "--insecure-options=image,tls"
    said = f"{NAME} 1.0\n"
    engine("run", "--rm", f"https://{PLACE}", "--", timeout=60).fails("certificate", rc=125)
    for word in (f"https://{PLACE}", f"{NAME}:1.0", file):
        assert engine("run", "--rm", tls, word, timeout=60).check().out == said, word
        image_bytes = web.pages[PLACE]
    web.pages[PLACE] = lambda handler: handler.answer(200, image_bytes, [("ETag", '"one"')])
    engine("run", "--rm", tls, f"https://{PLACE}", timeout=60).check()
    web.asked.clear()
    assert engine("run", "--rm", "--store-only", f"https://{PLACE}").check().out == said and web.asked == []
    engine("run", "--rm", "--store-only", "https://files.example.com/other.aci").fails("nothing may be fetched", rc=125)
    engine("run", "--rm", "--signature", file, "busybox").fails("--signature", "names none", rc=125)
    engine("image", "rm", f"{NAME}:1.0").check()
    engine("pod", "run", tls, f"{NAME}:1.0", timeout=60).fails("not in the store", rc=125)
    uuid = engine("pod", "prepare", "--pull-policy=new", tls, f"{NAME}:1.0", "---", file, timeout=60).check().out.strip()
    assert said in engine("pod", "run-prepared", uuid, timeout=60).check().out
    full = engine.fetch(image, "--pull-policy=never", "--full", f"{NAME}:1.0").check()
    assert full.out == engine.json("image", "ls")["images"][0]["id"].replace(":", "-") + "\n"
    engine.fetch("--pull-policy=never", f"{NAME}:2.0").fails("nothing may be fetched", rc=1)
    web.asked.clear()
    assert engine.fetch("--pull-policy=new", f"{NAME}:1.0").check().out.startswith("Loaded image: ") and web.asked == []


def test_canonical_names_of_rkt(engine, publish, web, workdir):
    """cimd: is what rkt calls its images inside, and takes on its command line: read where images are fetched, told elsewhere."""
    file = publish(runnable(), key=None)
    image, tls = "--insecure-options=image", "--insecure-options=image,tls"
    said = f"{NAME} 1.0\n"
    address, path = (f"cimd:aci-archive:v=0:{quote(place, safe='')}" for place in (f"https://{PLACE}", f"file://{file}"))
    name = f"cimd:appc:v=0:{quote(NAME, safe='')}?version=1.0"
    for word in (path, address, name):
        assert engine("run", "--rm", tls, word, timeout=60).check().out == said, word
    assert f"https://{NAME}?ac-discovery=1" not in web.asked  # the store has it
    engine("image", "rm", f"{NAME}:1.0").check()
    engine("run", "--rm", "--insecure-options=tls", name, timeout=60).fails("signature", rc=125)
    assert f"https://{NAME}?ac-discovery=1" in web.asked  # an ACI's name, though no key is trusted for it
    assert engine("pod", "run", "--pull-policy=new", tls, f"{name}&os=linux", timeout=60).check().out.endswith(said)
    assert engine.fetch(image, path).check().out.startswith("Loaded image: ")
    engine.fetch(image, "cimd:docker:v=0:registry-1.docker.io/library/BAD").fails("BAD", rc=125)
    engine.fetch(image, "cimd:oci:v=0:x").fails("'cimd:oci:v=0:x' is none of rkt's names", "cimd:docker:v=0:REFERENCE", rc=125)
    engine.fetch(image, "cimd:aci-archive:v=0:%2Fetc%2Fshadow").fails("begins with none of", rc=125)
    engine("image", "pull", name).fails("App Container kind", "cooper image fetch", rc=125)
    engine("image", "rm", name).fails(f"{NAME},version=1.0", "write that", rc=125)


def test_dependencies_are_what_they_should_be(engine, publish, web):
    """Size and id of what is fetched for an image are checked; of a size, both that of the file and that of the archive will do."""
    name = "apps.example.com/team/base"
    base = aci(name=name, version="latest", extra=os.urandom(20000))
    place, plain = f"{FILES}/{name}-latest-linux-{ARCH}.aci", gzip.decompress(base)
    fetch = lambda: engine.fetch("--insecure-options=image", f"{NAME}:1.0")  # noqa: E731

    def needs(**members):
        publish(aci(needs=[{"imageName": name, **members}]), key=None)
        publish(base, key=None, place=place)
        web.pages[name] = web.pages["apps.example.com/team/web"]

    needs(size=len(base) + 1)
    refused(fetch(), name, f"has {len(base)} bytes, uncompressed more than {len(base) + 1}", f"says that it has {len(base) + 1}")
    needs(size=1000)
    refused(fetch(), name, "larger than", "shall have 1000 bytes")
    other = "sha512-" + "0" * 128
    needs(imageID=other)
    refused(fetch(), other, acis.image_id(plain).replace(":", "-"), "what came under that name")
    for good in ({"size": len(base)}, {"size": len(plain), "imageID": acis.image_id(plain).replace(":", "-")}):
        for image in engine.json("image", "ls")["images"]:
            engine("image", "rm", image["id"]).check()
        needs(**good)
        taken(fetch())
    needs(size=len(plain) + 1)
    refused(fetch(), name, f"has {len(plain)} bytes", f"says that it has {len(plain) + 1}")


def test_what_a_cut_fetch_has_left_is_not_for_everybody(engine, publish, web):
    """Not for who asks for TLS when it came without; gc takes it, and its note, when it is old."""
    image = aci(extra=os.urandom(100000))
    publish(image=image)
    server = web.pages[PLACE] = Cut(image)
    refused(engine.fetch("--insecure-options=image,tls", f"https://{PLACE}"), "403")
    taken(engine.fetch("--insecure-options=image", f"https://{PLACE}"))
    assert server.asked[-1] == (None, None) and len(kept(engine)) == 2
    old = time.time() - 25 * 3600
    for path in (engine.root / "images/partial").iterdir():
        os.utime(path, (old, old))
    assert engine.json("image", "gc")["freed_bytes"] > 40000
    assert kept(engine) == {}
