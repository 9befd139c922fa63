"""cooper image fetch: images of the App Container kind, found by discovery, and only if somebody trusted has signed them."""

import json
import os
import shutil
import time

import pytest

from lib import proc, ptys
from lib.aci_web import ARCH, FILES, NAME, PLACE, TEMPLATE, aci, engine, engine_dir, keys, page, publish, refused, taken, trust, web  # noqa: F401
from lib.cooper import command_line
from lib.exchange import exchanging
from lib.layouts import entry, layer

pytestmark = pytest.mark.needs("root", "cooper", "isolation", "gpg", "gpgv")


def test_by_name(engine, publish, keys, web, workdir):
    """A name leads by discovery to an image, whose signature is checked before it is taken."""
    publish()
    trust(engine, keys, keys.maker, workdir)
    result = taken(engine.fetch(f"{NAME}:1.0"))
    assert keys.maker.upper() in result.err.replace(" ", "") and "Maker <maker@example.com>" in result.err
    assert web.asked == [f"https://{NAME}?ac-discovery=1", f"https://{PLACE}.asc", f"https://{PLACE}"]


def remembered(publish, web, headers, image=None):
    """The published image behind an ETag; the statuses of its answers."""
    publish(image)
    body, statuses = web.pages[PLACE], []

    def serve(handler):
        tags = dict(headers)
        same = "ETag" in tags and handler.headers.get("If-None-Match") == tags["ETag"]
        statuses.append(304 if same else 200)
        handler.answer(statuses[-1], b"" if same else body, headers)

    web.pages[PLACE] = serve
    return statuses


@pytest.mark.parametrize("tag", ['"abc-1"', 'W/"weak"'])
def test_unchanged_is_not_fetched(engine, publish, keys, web, workdir, tag):
    """Of an image that has its ETag still only headers come, and no signature; another one is fetched and checked anew."""
    statuses = remembered(publish, web, [("ETag", tag)])
    trust(engine, keys, keys.maker, workdir)
    first = taken(engine.fetch(f"{NAME}:1.0"))
    web.asked.clear()
    second = taken(engine.fetch(f"{NAME}:1.0"))
    assert statuses == [200, 304] and web.asked == [f"https://{NAME}?ac-discovery=1", f"https://{PLACE}"]
    assert "unchanged" in second.err and second.out == first.out
    assert engine.fetch("--quiet", f"{NAME}:1.0").check().err == ""
    remembered(publish, web, [("ETag", '"abc-2"')])
    web.asked.clear()
    taken(engine.fetch(f"{NAME}:1.0"))
    assert f"https://{PLACE}.asc" in web.asked


def test_fresh_is_not_asked_for(engine, publish, keys, web, workdir):
    """Within max-age the server is not asked, for a day at most; no-store and nonsense count for nothing."""
    trust(engine, keys, keys.maker, workdir)
    remembered(publish, web, [("Cache-Control", "public, max-age=99999999999")])
    taken(engine.fetch(f"https://{PLACE}"))
    [record] = (engine.root / "images/web").iterdir()
    note = json.loads(record.read_text())
    assert 0 < note["until_unix_ms"] / 1000 - time.time() <= 86400
    web.asked.clear()
    taken(engine.fetch(f"https://{PLACE}"))
    assert web.asked == []
    note["until_unix_ms"] = int((time.time() + 10 * 86400) * 1000)
    record.write_text(json.dumps(note))
    taken(engine.fetch(f"https://{PLACE}"))
    assert f"https://{PLACE}" in web.asked, "a clock was put back"
    record.unlink()
    for value in ("max-age=60, no-store", "no-cache", "max-age=-1", "max-age=x"):
        remembered(publish, web, [("Cache-Control", value)])
        taken(engine.fetch(f"https://{PLACE}"))
        assert not record.exists(), value


def test_what_is_remembered_is_not_believed_blindly(engine, publish, keys, web, workdir):
    """Not without the key, the bytes or the image; not when nobody asked for a signature; gc forgets what is gone."""
    statuses = remembered(publish, web, [("ETag", '"one"')])
    taken(engine.fetch("--insecure-options=image", f"{NAME}:1.0"))
    trust(engine, keys, keys.maker, workdir)
    taken(engine.fetch(f"{NAME}:1.0"))
    assert statuses == [200, 200], "the first one was not verified"
    [record] = (engine.root / "images/web").iterdir()
    engine("trust", "rm", keys.maker).check()
    refused(engine.fetch(f"{NAME}:1.0"), "no key")
    trust(engine, keys, keys.maker, workdir)
    del statuses[:]
    for damaged in ("{", json.dumps({**json.loads(record.read_text()), "etag": 'x" \r\nEvil: 1'}), "x" * 100_000):
        record.write_text(damaged)
        taken(engine.fetch(f"{NAME}:1.0"))
    assert statuses == [200, 200, 200]
    [image] = engine.json("image", "ls")["images"]
    engine("image", "rm", image["id"]).check()
    taken(engine.fetch(f"{NAME}:1.0"))
    assert statuses == [200] * 4
    engine("image", "rm", image["id"]).check()
    engine("image", "gc").check()
    assert not record.exists()


@pytest.mark.parametrize("headers", [[("Cache-Control", "max-age=600")], [("ETag", '"same"')]])
@pytest.mark.parametrize("waived", ["tls", "http"])
def test_what_nobody_vouched_for_is_not_remembered_for_others(engine, publish, web, headers, waived):
    """What came while certificates, or TLS, were waived says nothing to who asks for them: neither its time nor its ETag."""
    remembered(publish, web, headers, aci(extra=b"of somebody between\n"))
    taken(engine.fetch(f"--insecure-options=image,{waived}", f"https://{PLACE}"))
    assert "unchanged" in engine.fetch(f"--insecure-options=image,{waived}", f"https://{PLACE}").err
    statuses = remembered(publish, web, headers, aci(extra=b"of the server\n"))
    result = taken(engine.fetch("--insecure-options=image", f"https://{PLACE}"))
    assert "unchanged" not in result.err and statuses == [200]
    [image] = [one for one in engine.json("image", "ls")["images"] if one["names"]]
    engine("image", "extract", image["id"], engine.folder / "out").check()
    assert (engine.folder / "out/file").read_bytes() == b"of the server\n"
    assert "unchanged" in engine.fetch("--insecure-options=image", f"https://{PLACE}").err, "as before when nothing is waived"


@pytest.mark.parametrize("tag", ["plain", '"' + "x" * 600 + '"', '"a"b"'])
def test_etags_that_are_none(engine, publish, keys, web, workdir, tag):
    """What is no ETag is not sent back; an answer 304 to what was not asked so is an error."""
    remembered(publish, web, [("ETag", tag)])
    trust(engine, keys, keys.maker, workdir)
    taken(engine.fetch(f"{NAME}:1.0"))
    assert not (engine.root / "images/web").exists()
    web.pages[PLACE] = lambda handler: handler.answer(304)
    refused(engine.fetch(f"{NAME}:1.0"), "304")


def test_dependencies_are_fetched_too(engine, publish, keys, web, workdir):
    """What an image needs is found, fetched and verified like itself; a need that nobody signed takes the whole with it."""
    base = f"{FILES}/apps.example.com/team/base-latest-linux-{ARCH}.aci"
    publish(aci(needs=["apps.example.com/team/base"]))
    trust(engine, keys, keys.maker, workdir)
    publish(aci(name="apps.example.com/team/base", version="latest", extra=b"base\n"), key=None, place=base)
    web.pages["apps.example.com/team/base"] = web.pages["apps.example.com/team/web"]
    refused(engine.fetch(f"{NAME}:1.0"), "base", "sign")
    assert engine.json("image", "ls")["images"] == []
    publish(aci(name="apps.example.com/team/base", version="latest", extra=b"base\n"), place=base)
    taken(engine.fetch(f"{NAME}:1.0"))
    names = sorted(name for image in engine.json("image", "ls")["images"] for name in image["names"])
    assert names == ["apps.example.com/team/base:latest", "apps.example.com/team/web:1.0"]


def test_discovery_walks_up(engine, publish, keys, web, workdir):
    """Pages that do not speak of images are passed over, up to the one of the domain; tags for other names count nowhere."""
    publish()
    web.pages["apps.example.com/team/web"] = page(("ac-discovery", f"apps.example.com/other https://{FILES}/wrong.aci"))
    web.pages["apps.example.com/team"] = b"<html><!-- <meta name='ac-discovery' content='apps.example.com https://x/y'> -->"
    web.pages["apps.example.com"] = page(
        ("ac-discovery", f"apps.example.com https://{FILES}/{{nothing}}/{{name}}.{{ext}}"), ("ac-discovery", f"apps.example.com {TEMPLATE}")
    )
    trust(engine, keys, keys.maker, workdir)
    taken(engine.fetch(f"{NAME},version=1.0"))
    assert web.asked[:3] == [f"https://{name}?ac-discovery=1" for name in (NAME, "apps.example.com/team", "apps.example.com")]


def test_meta_tags_for_another_prefix(engine, publish, keys, web, workdir):
    """A domain that speaks of other names only has no image of this one."""
    publish()
    web.pages["apps.example.com/team/web"] = page(("ac-discovery", f"apps.example.com/teams {TEMPLATE}"))
    refused(engine.fetch(f"{NAME}:1.0"), "discovery", NAME)
    assert not any(FILES in one for one in web.asked)


def endless(handler):
    """A file that nobody can have read to its end."""
    handler.send_response(200)
    handler.end_headers()
    try:
        for _ in range(1 << 20):
            handler.wfile.write(b"<meta name='x' content='y'>" * 4096)
    except OSError:
        pass
    handler.close_connection = True


def test_giant_page(engine, web):
    """A page that does not end is left."""
    for path in (NAME, "apps.example.com/team", "apps.example.com"):
        web.pages[path] = endless
    refused(engine.fetch(f"{NAME}:1.0"), "larger than 1")


@pytest.mark.parametrize("case", ["unknown key", "other prefix", "no key at all", "expired key", "tampered", "no signature", "not a signature"])
def test_what_is_refused(engine, publish, keys, web, workdir, case):
    """An image is only as good as its signature by a key that is trusted for its name."""
    words = {"unknown key": ["which is not trusted for it"], "other prefix": ["no key is trusted"], "no key at all": ["no key is trusted"],
             "expired key": ["expired"], "tampered": ["does not match"], "no signature": ["signature", "404"],
             "not a signature": ["no OpenPGP signature"]}[case]  # fmt: skip
    if case == "expired key":
        publish(key=keys.old, faked="20200101T000000")
        trust(engine, keys, keys.old, workdir)
    else:
        publish(key=keys.other if case == "unknown key" else keys.maker)
    if case in ("unknown key", "tampered", "no signature", "not a signature"):
        trust(engine, keys, keys.maker, workdir)
    if case == "other prefix":
        trust(engine, keys, keys.maker, workdir, ("--prefix", "apps.example.com/tea"))
    if case == "tampered":
        web.pages[PLACE] = aci(extra=b"evil\n")
    if case == "no signature":
        del web.pages[PLACE + ".asc"]
    if case == "not a signature":
        web.pages[PLACE + ".asc"] = b"a text\n"
    if case == "no signature":
        web.pages[PLACE] = endless
    refused(engine.fetch(f"{NAME}:1.0"), *words)


@pytest.mark.parametrize("flags", [(), ("--insecure-options=image",)])
def test_no_such_image(engine, publish, keys, web, workdir, flags):
    """A wrong version or address is no matter of signatures, and nobody is told to do without them."""
    publish()
    trust(engine, keys, keys.maker, workdir)
    result = engine.fetch(*flags, f"{NAME}:1.1")
    refused(result, "there is no image", "web-1.1-", "404", "check the name and the version")
    assert "signature" not in result.err and "insecure" not in result.err
    refused(engine.fetch(*flags, f"https://{FILES}/nothing.aci"), "there is no image", "404", "check the address")


def test_what_is_no_aci(engine, publish, web):
    """A web page and an archive of another kind are called that; the line of an address that ends in a slash has a name."""
    web.pages[f"{FILES}/login"] = b"<!doctype html><html>login</html>" * 100
    result = engine.fetch("--insecure-options=image", f"https://{FILES}/login/")
    refused(result, "is neither a tar archive nor", "web page")
    assert "login  complete" in result.err
    web.pages[f"{FILES}/x.tar"] = layer(entry("x"))
    refused(engine.fetch("--insecure-options=image", f"https://{FILES}/x.tar"), "there is no manifest in it", "cooper image load")


def test_the_name_in_the_manifest_counts(engine, publish, keys, workdir):
    """Who may sign is decided by the name in the manifest, and this must be the one that was asked for."""
    other = "other.example.com/app"
    publish(image=aci(name=other))
    trust(engine, keys, keys.maker, workdir)
    refused(engine.fetch(f"{NAME}:1.0"), "no key is trusted", other)
    trust(engine, keys, keys.maker, workdir, ("--all-names",))
    refused(engine.fetch(f"{NAME}:1.0"), other, "was asked for")
    publish(image=aci(version="1.1"))
    refused(engine.fetch(f"{NAME}:1.0"), "version", "1.1", "was asked for", f"image '{NAME}:1.0' from '")


def test_without_a_signature_if_told_so(engine, publish, keys, web):
    """--insecure-options=image asks for no signature; unknown words are a wrong command line."""
    publish(key=None)
    taken(engine.fetch("--insecure-options=image", f"{NAME}:1.0"))
    assert not any(one.endswith(".asc") for one in web.asked)
    engine.fetch("--insecure-options=images", f"{NAME}:1.0").fails("does not know", "the words are: none, image", rc=125)


def test_plain_http(engine, publish, keys, web, workdir):
    """Neither an address, nor a redirect, nor discovery leads to plain http unless http is allowed."""
    publish()
    trust(engine, keys, keys.maker, workdir)
    for suffix in ("", ".asc"):
        web.plain[PLACE + suffix] = web.pages[PLACE + suffix]
    image = web.pages[PLACE]
    web.pages[PLACE] = lambda handler: handler.answer(302, headers=[("Location", f"http://{PLACE}")])
    refused(engine.fetch(f"{NAME}:1.0"), "redirect from https down to")
    refused(engine.fetch(f"http://{PLACE}"), "plain http")
    assert not any(one.startswith("http:") for one in web.asked)
    taken(engine.fetch("--insecure-options=http", f"{NAME}:1.0"))
    web.pages[PLACE] = image
    taken(engine.fetch("--insecure-options=http", f"http://{PLACE}"))


def test_unknown_authority(engine, publish, keys, workdir):
    """A server that nobody this machine trusts vouches for is not believed, unless tls is waived."""
    publish()
    trust(engine, keys, keys.maker, workdir)
    refused(engine("image", "fetch", f"https://{PLACE}", timeout=60), "certificate", "--insecure-options=tls")
    taken(engine("image", "fetch", "--insecure-options=tls", f"https://{PLACE}", timeout=60))


def test_from_a_file(engine, publish, keys, web, workdir):
    """A file has its signature beside it, or where --signature says; nothing is asked of the web."""
    file = publish()
    trust(engine, keys, keys.maker, workdir)
    taken(engine.fetch(file))
    os.rename(f"{file}.asc", workdir / "elsewhere")
    refused(engine.fetch(file), "signature", "--insecure-options=image")
    taken(engine.fetch("--signature", workdir / "elsewhere", file))
    assert web.asked == []


def test_the_checking_program_has_nothing(engine, publish, keys, workdir):
    """What checks signatures reads no file but its own, writes none, and signals nobody; what it says has a limit."""
    file = publish()
    trust(engine, keys, keys.maker, workdir)
    script, said = workdir / "gpgv", "echo '[GNUPG:] NEWSIG' >&3; echo '[GNUPG:] BADSIG 0 x' >&3"
    tries = ["true < /etc/passwd", f"true < {file}", "true < /proc/self/status", f"true > {workdir}/written", "kill -0 $PPID"]
    script.write_text("#!/bin/sh\n" + "".join(f"if {one} 2>/dev/null; then {said}; fi\n" for one in tries))
    script.chmod(0o755)
    with engine.config.open("a") as config:
        config.write(f'gpgv_path = "{script}"\n')
    refused(engine.fetch(file), "no OpenPGP signature")
    assert not (workdir / "written").exists()
    script.write_text(f"#!/bin/sh\n{said}\n")
    refused(engine.fetch(file), "does not match")
    script.write_text("#!/bin/sh\nwhile :; do echo '[GNUPG:] NEWSIG' >&3; done\n")
    refused(engine.fetch(file), "says more than")


def test_the_checking_program_has_no_terminal(engine, publish, keys, workdir):
    """It is in a session of its own, has none of the descriptors of whoever has started cooper, and types on no terminal."""
    file = publish()
    trust(engine, keys, keys.maker, workdir)
    script = workdir / "gpgv"
    # EPERM is the filter's; what is no terminal says ENOTTY.
    script.write_text("#!/usr/bin/perl\nopen(S, '>&=3'); my $c = 'x';\n"
                      "print S \"[GNUPG:] NEWSIG\\n[GNUPG:] BADSIG 0 x\\n\" if ioctl(STDOUT, 0x5412, $c) || $! + 0 != 1;\n")  # fmt: skip
    script.chmod(0o755)
    with engine.config.open("a") as config:
        config.write(f'gpgv_path = "{script}"\n')
    refused(engine.fetch(file), "no OpenPGP signature")
    script.write_text("#!/bin/sh\nwhile :; do :; done\n")
    (workdir / "secret").write_text("x")
    command = engine.argv("image", "fetch", "--insecure-options=tls", file)
    opened = f'exec 7<{workdir}/secret 31<{workdir}/secret; exec "$@"'
    with ptys.OnTerminal("bash", "-c", opened, "bash", *command, env=engine.environ) as running:
        [child] = proc.until(lambda: proc.children(running.pid), 20, 0.01, "the checking program")
        proc.until(lambda: command_line(child).startswith("/bin/sh"), 10, 0.01, "its exec")
        links = proc.descriptors(child)
        assert [link for link in links.values() if "secret" in link or "pts" in link] == []
        assert os.getsid(child) == child and proc.terminal(child) == 0


def test_no_file_of_this_machine_by_discovery(engine, web, workdir):
    """A page leads to addresses only: what looks like a path is not opened, be it the image's or the signature's."""
    (workdir / "private.aci").write_bytes(aci())
    for options in ((), ("--insecure-options=image",)):
        web.pages["apps.example.com/team/web"] = page(("ac-discovery", f"apps.example.com {workdir}/private.{{ext}}"))
        refused(engine.fetch(*options, f"{NAME}:1.0"), "discovery", "private.aci", "no http or https address")


def test_credentials_are_for_one_server(engine, publish, keys, web, workdir):
    """--creds are seen by the server of the address, and neither by one it sends on to nor by those of discovery."""
    file = publish()
    trust(engine, keys, keys.maker, workdir)
    seen = []

    def sends_on(handler):
        seen.append(handler.headers["Authorization"])
        handler.answer(302, headers=[("Location", "https://other.example.com/there")])

    def there(handler):
        seen.append(handler.headers["Authorization"])
        handler.answer(200, file.read_bytes())

    web.pages[PLACE], web.pages["other.example.com/there"] = sends_on, there
    taken(engine.fetch("--creds", "me:secret", f"https://{PLACE}"))
    assert seen == ["Basic bWU6c2VjcmV0", None]
    engine.fetch("--creds", "me:secret", f"{NAME}:1.0").fails("--creds", "names none", rc=125)


def test_keys_from_the_web(engine, publish, keys, web, workdir):
    """Keys come from an address, or by discovery for a prefix; over https alone, and confirmed as others are."""
    file = keys.export(workdir / "maker.asc", keys.maker)
    place = f"{FILES}/pubkeys.gpg"
    web.pages[place] = web.plain[place] = file.read_bytes()
    web.pages["apps.example.com"] = page(("ac-discovery-pubkeys", f"apps.example.com https://{place}"))
    where = ("--cert-dir", workdir / "certs", "--prefix", "apps.example.com/team")
    engine("trust", "add", *where, f"https://{place}").fails("no terminal", rc=1)
    engine("trust", "add", *where, "--skip-fingerprint-review", f"http://{place}").fails("plain http", rc=1)
    assert not any(one.startswith("http:") for one in web.asked)
    engine("trust", "add", *where, "--skip-fingerprint-review", "--insecure-allow-http", f"http://{place}").check()
    engine("trust", "rm", keys.maker).check()
    engine("trust", "add", *where, "--fingerprint", keys.maker).check()
    publish()
    taken(engine.fetch(f"{NAME}:1.0"))


def test_keys_are_trusted_on_the_way(engine, publish, keys, web, workdir):
    """With --trust-keys-from-https the keys a domain names are trusted for the image's name when there are none."""
    publish()
    place = f"{FILES}/pubkeys.gpg"
    web.pages[place] = keys.export(workdir / "maker.asc", keys.maker).read_bytes()
    web.pages["apps.example.com"] = page(("ac-discovery-pubkeys", f"apps.example.com https://{place}"))
    refused(engine.fetch(f"{NAME}:1.0"), "no terminal", f"cooper trust add --prefix {NAME} --fingerprint", "--trust-keys-from-https")
    assert f"https://{PLACE}" not in web.asked, "asked before the image is fetched"
    result = taken(engine.fetch("--trust-keys-from-https", f"{NAME}:1.0"))
    [said] = [line for line in result.err.splitlines() if line.startswith("Trusted: ")]
    assert keys.maker.upper() in said.replace(" ", "") and said.endswith(f" for '{NAME}'")
    [key] = engine.json("trust", "ls")["keys"]
    assert (key["prefix"], key["fingerprint"]) == (NAME, keys.maker)


def test_what_a_terminal_shows(engine, publish, keys, web, workdir):
    """The question stands until it is answered, and the result under the progress; nothing is drawn over either."""
    publish()
    place = f"{FILES}/pubkeys.gpg"
    web.pages[place] = keys.export(workdir / "maker.asc", keys.maker).read_bytes()
    web.pages["apps.example.com"] = page(("ac-discovery-pubkeys", f"apps.example.com https://{place}"))
    with engine.on_terminal("image", "fetch", "--cert-dir", workdir / "certs", f"{NAME}:1.0") as terminal:
        terminal.expect("yes or no: ")
        time.sleep(0.5)
        terminal.write("yes\n")
        status, text = terminal.wait()
    assert status == 0 and "\x1b[" not in text.split("Trusted: ")[0]
    progress, result = text.split("Loaded image: ")
    assert "complete, " in progress and result == f"{NAME}:1.0\r\n", text


def test_broken_connection_is_taken_up(engine, publish, keys, web, workdir):
    """What came before a connection broke is not fetched again; a file that was changed meanwhile is refused."""
    image = aci(extra=os.urandom(300000))
    publish(image=image)
    trust(engine, keys, keys.maker, workdir)
    ranges, tags = [], ['"one"']

    def breaking(handler):
        asked = handler.headers.get("Range")
        ranges.append(asked)
        start = int(asked.split("=")[1].rstrip("-")) if asked and handler.headers["If-Range"] == tags[-1] else 0
        handler.send_response(206 if start else 200)
        handler.send_header("ETag", tags[-1])
        handler.send_header("Content-Length", str(len(image) - start))
        if start:
            handler.send_header("Content-Range", f"bytes {start}-{len(image) - 1}/{len(image)}")
        handler.end_headers()
        handler.wfile.write(image[start : start + 100000])
        if start + 100000 < len(image):
            handler.close_connection = True
            if len(tags) == 2:
                tags.append('"three"')

    web.pages[PLACE] = breaking
    taken(engine.fetch(f"{NAME}:1.0"))
    assert ranges[0] is None and ranges[1] == "bytes=100000-" and len(ranges) >= 3
    tags.append('"two"')
    shutil.rmtree(engine.root / "images/web")  # what it remembers of the first
    refused(engine.fetch(f"{NAME}:1.0"), "was changed while it was fetched")


@pytest.mark.parametrize("status", [429, 503])
def test_retry(engine, publish, keys, web, workdir, status):
    """Servers that fail at first: --retry says how often they are asked again, --retry-delay after which pause, and Retry-After is obeyed."""
    publish()
    trust(engine, keys, keys.maker, workdir)
    whole, tries = web.pages[PLACE], []

    def failing(handler):
        tries.append(time.monotonic())
        if len(tries) < 3:
            return handler.answer(status, headers=[("Retry-After", "1")] if status == 429 and len(tries) == 2 else ())
        return handler.answer(200, whole)

    web.pages[PLACE] = failing
    refused(engine.fetch("--retry", "1", "--retry-delay", "10ms", f"{NAME}:1.0"), str(status))
    assert len(tries) == 2
    tries.clear()
    taken(engine.fetch("--retry", "2", "--retry-delay", "10ms", f"{NAME}:1.0"))
    assert len(tries) == 3 and (tries[2] - tries[1] >= 0.9) == (status == 429)


def test_a_server_that_says_nothing(engine, publish, keys, web, workdir):
    """It is tried again after the time of the configuration, and what was waited for is said in our words."""
    image = aci()
    publish(image=image)
    trust(engine, keys, keys.maker, workdir)
    tries = []

    def slow(handler):
        tries.append(time.monotonic())
        if len(tries) == 1:
            time.sleep(2.5)
            handler.close_connection = True
            return
        handler.answer(200, image)

    web.pages[PLACE] = slow
    with engine.config.open("a") as config:
        config.write("[registries]\nstall_timeout_s = 1\n")
    result = taken(engine.fetch(f"{NAME}:1.0"))
    assert len(tries) >= 2 and "trying again: nothing came for 1 s\n" in result.err


def test_signature_that_is_made_later(engine, publish, keys, web, workdir):
    """A server that answers 202 for the signature is asked again after the image."""
    publish()
    trust(engine, keys, keys.maker, workdir)
    signature, asked = web.pages[PLACE + ".asc"], []

    def later(handler):
        asked.append(True)
        handler.answer(202 if len(asked) == 1 else 200, b"" if len(asked) == 1 else signature)

    web.pages[PLACE + ".asc"] = later
    taken(engine.fetch(f"{NAME}:1.0"))
    assert len(asked) == 2


def test_load_asks_for_signatures_where_keys_are_trusted(engine, publish, keys, workdir):
    """Without a key for the name as it comes; with one only what it has signed, from a file beside it or where --signature says."""
    load = lambda *words, **options: engine("image", "load", *words, **options)  # noqa: E731
    file = publish(key=None)
    taken(load(file))
    engine("image", "rm", f"{NAME}:1.0").check()
    trust(engine, keys, keys.maker, workdir)
    refused(load(file), "signature", "--insecure-options=image")
    refused(load(stdin=file.read_bytes()), "standard input has no signature", "--insecure-options=image")
    publish(key=keys.other)
    refused(load(file), "is not trusted for it")
    assert engine.json("image", "ls")["images"] == []
    taken(load("--insecure-options=image", stdin=file.read_bytes()))
    engine("image", "rm", f"{NAME}:1.0").check()
    os.rename(keys.sign(keys.maker, file), workdir / "elsewhere")
    assert keys.maker.upper() in taken(load("--signature", workdir / "elsewhere", file)).err.replace(" ", "")
    os.rename(workdir / "elsewhere", f"{file}.asc")
    taken(load(file))
    load("--signature", f"{file}.asc", "--insecure-options=image", file).fails("asks for none")
    load("--signature", f"{file}.asc", f"{file}.asc").fails()


def test_places_of_the_administrator(engine, publish, keys, web, workdir):
    """paths.d leads to files or addresses instead of the domain's pages, by the longest prefix; nothing of it is skipped in silence."""
    admin, vendor, images = workdir / "paths.d", workdir / "vendor.d", workdir / "images"
    for folder in (admin, vendor, images):
        folder.mkdir()
    config = engine.config.read_text() + f'[images]\npaths_directories = ["{admin}", "{vendor}"]\n'
    engine.config.write_text(config)
    entry = lambda prefix, *templates: json.dumps({"images": [{"prefix": prefix, "templates": templates}]})  # noqa: E731
    place = f"{images}/{{name}}-{{version}}-{{os}}-{{arch}}.{{ext}}"
    (vendor / "a.json").write_text(entry("apps.example.com/team", f"{images}/none", place))
    file = publish()
    target = images / f"{NAME}-1.0-linux-{ARCH}.aci"
    refused(engine.fetch(f"{NAME}:1.0"), "is not where", "a.json", str(target))
    target.parent.mkdir(parents=True)
    target.write_bytes(file.read_bytes())
    refused(engine.fetch(f"{NAME}:1.0"), "signature")
    os.rename(keys.sign(keys.maker, file), f"{target}.asc")
    refused(engine.fetch(f"{NAME}:1.0"), "no key is trusted")
    trust(engine, keys, keys.maker, workdir)
    taken(engine.fetch(f"{NAME}:1.0"))
    assert web.asked == []
    (admin / "a.json").write_text(entry("apps.example.com/team", f"https://{PLACE}"))
    taken(engine.fetch(f"{NAME}:1.0"))
    assert web.asked == [f"https://{PLACE}.asc", f"https://{PLACE}"]
    (admin / "a.json").write_text("")
    taken(engine.fetch(f"{NAME}:1.0"))
    assert f"https://{NAME}?ac-discovery=1" in web.asked
    (admin / "b.json").write_text('{"rktKind": "paths", "rktVersion": "v1", "data": "/x"}')
    refused(engine.fetch(f"{NAME}:1.0"), "b.json", "is of rkt")


def test_policy_is_asked_about_acis(engine, publish, keys, web, workdir):
    """Rejected by default, they are not fetched; an accepted one must be signed all the same."""
    file = publish()
    policy = workdir / "policy.json"
    accept = [{"type": "insecureAcceptAnything"}]
    engine.config.write_text(f'signature_policy = "{policy}"\n' + engine.config.read_text())
    policy.write_text(json.dumps({"default": [{"type": "reject"}], "transports": {"aci": {str(file): accept}}}))
    refused(engine.fetch(f"{NAME}:1.0"), "refused by policy", NAME)
    assert web.asked == []
    refused(engine.fetch(file), "no key is trusted")
    trust(engine, keys, keys.maker, workdir)
    taken(engine.fetch(file))
    taken(engine("image", "load", file))
    (workdir / "other.aci").write_bytes(file.read_bytes())
    refused(engine("image", "load", workdir / "other.aci"), "refused by policy")


def test_the_policy_is_asked_about_the_file_that_is_read(engine, workdir):
    """Whoever can put another file in its place while it is fetched gets nothing past a policy by path."""
    (workdir / "good").mkdir()
    (workdir / "good/a.aci").write_bytes(aci(name="good.example.com/a"))
    (workdir / "evil.aci").write_bytes(aci(name="evil.example.com/a"))
    policy = workdir / "policy.json"
    policy.write_text(json.dumps({"default": [{"type": "reject"}], "transports": {"aci": {str(workdir / "good"): [{"type": "insecureAcceptAnything"}]}}}))
    engine.config.write_text(f'signature_policy = "{policy}"\n' + engine.config.read_text())
    place = workdir / "place.aci"

    with exchanging(place, workdir / "evil.aci", workdir / "good/a.aci"):
        results = [engine.fetch("--insecure-options=image", place) for _ in range(40)]
    for result in results:
        assert "evil" not in result.out if result.rc == 0 else "refused by policy" in result.err, result
    assert {result.rc for result in results} == {0, 1}


def test_several(engine, workdir):
    """Several at once; the first that fails is the last; what is for one is refused."""
    files = []
    for name in ("one", "two"):
        files.append(workdir / f"{name}.aci")
        files[-1].write_bytes(aci(name=f"apps.example.com/{name}"))
    result = engine.fetch("--insecure-options=image", *files).check()
    assert result.out.count("Loaded image: ") == 2
    engine.fetch("--insecure-options=image", files[0], workdir / "none.aci", files[1]).fails("none.aci", rc=1)
    for flag in (("--signature", files[0]), ("--creds", "u:p"), ("--format", "json")):
        engine.fetch(*flag, *files).fails(flag[0], "several", rc=125)


def test_policy_of_the_command_line(engine, workdir):
    """--signature-policy says which images come at all."""
    file, policy = workdir / "one.aci", workdir / "policy.json"
    file.write_bytes(aci())
    policy.write_text('{"default": [{"type": "reject"}]}')
    refused(engine.fetch("--insecure-options=image", "--signature-policy", policy, file), "policy")
    engine.fetch("--insecure-options=image", file).check()
