"""Which images are taken: policy.json, GnuPG and sigstore signatures, made by skopeo, GnuPG and openssl.

Whatever is refused leaves nothing in the store, and no layer of it was fetched.
"""

import base64
import functools
import http.server
import json
import os
import pathlib
import shutil
import threading

import pytest

from lib import layouts, proc
from lib.cooper import busybox_layout, engine_dir, new_engine  # noqa: F401
from lib.layouts import CONFIG, Layout, entry, layer
from lib.pgp import Keys
from lib.registries import SKOPEO, DebianRegistry, Hostile

pytestmark = pytest.mark.needs("root", "cooper", "isolation", "docker-registry", "skopeo", "gpg", "gpgv")
ACCEPT = {"type": "insecureAcceptAnything"}
REJECT = {"type": "reject"}
SIMPLE, COSIGN = "atomic container signature", "cosign container image signature"


class Signed:
    """A registry with images of one small layer, two keys of GnuPG, two of sigstore, and where signatures lie."""

    def __init__(self, folder, registry, keys):
        self.folder, self.registry, self.keys = folder, registry, keys
        self.lookaside, self.config = folder / "lookaside", folder / "registries.d"
        self.lookaside.mkdir()
        self.config.mkdir()
        self.alice, self.bob = (keys.make(f"{name} <{name}@example.com>") for name in ("alice", "bob"))
        self.key_files = {name: keys.export(folder / f"{name}.asc", getattr(self, name)) for name in ("alice", "bob")}
        for name in ("one", "two"):
            self.sigstore_key(name, "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
        self.places(lookaside=f"file://{self.lookaside}")
        self.layout = self.make_layout("signed")

    def sigstore_key(self, name, *how):
        proc.run("openssl", "genpkey", *how, "-out", self.folder / f"{name}.key").check()
        proc.run("openssl", "pkey", "-in", self.folder / f"{name}.key", "-pubout", "-out", self.folder / f"{name}.pub").check()

    def make_layout(self, content):
        made = Layout(self.folder / content)
        made.index(made.image(layer(entry("file", content.encode()))))
        return made

    def places(self, **section):
        section = {name.replace("_", "-"): value for name, value in section.items()}
        (self.config / "a.yaml").write_text(json.dumps({"docker": {self.registry.host: section}}))

    def push(self, name, key=None, layout=None):
        """Push the image, signed by skopeo if there is a key; its full name and its digest."""
        target = f"{self.registry.host}/{name}"
        sign = ["--sign-by", key] if key else []
        proc.run(
            *SKOPEO, "--registries.d", self.config, "copy", "--quiet", "--dest-tls-verify=false", *sign,
            f"oci:{(layout or self.layout).path}", f"docker://{target}", env={**os.environ, "GNUPGHOME": self.keys.home.name},
        ).check()
        return target, self.registry.digest(name)

    def folder_of(self, name, digest, lookaside=None):
        repository = name.partition("/")[2].partition(":")[0]
        folder = (lookaside or self.lookaside) / f"{repository}@{digest.replace(':', '=')}"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def attach(self, name, digest, key, payload=None, garbage=False):
        """A signature as cosign makes it, beside the image."""
        repository = name.partition("/")[2].partition(":")[0]
        payload = payload or claim(COSIGN, digest, name)
        (self.folder / "payload").write_bytes(payload)
        algorithm = ["-rawin"] if "ed25519" in key else ["-rawin", "-digest", "sha256"]
        proc.run("openssl", "pkeyutl", "-sign", "-inkey", self.folder / f"{key}.key", *algorithm, "-in", self.folder / "payload",
                 "-out", self.folder / "sig").check()
        signature = b"garbage" if garbage else (self.folder / "sig").read_bytes()
        self.registry.upload(repository, payload)
        config = b"{}"
        document = {
            "schemaVersion": 2, "mediaType": layouts.MANIFEST,
            "config": {"mediaType": CONFIG, "digest": self.registry.upload(repository, config), "size": len(config)},
            "layers": [{
                "mediaType": "application/vnd.dev.cosign.simplesigning.v1+json", "digest": layouts.digest(payload), "size": len(payload),
                "annotations": {"dev.cosignproject.cosign/signature": base64.b64encode(signature).decode()},
            }],
        }  # fmt: skip
        self.registry.put_manifest(repository, digest.replace(":", "-") + ".sig", document)


def claim(kind, digest, name, **optional):
    """What is signed."""
    critical = {"type": kind, "image": {"docker-manifest-digest": digest}, "identity": {"docker-reference": name}}
    return json.dumps({"critical": critical, "optional": optional}).encode()


@pytest.fixture(scope="module")
def signed(engine_dir):  # noqa: F811
    folder = engine_dir / "signed"
    folder.mkdir()
    with Keys() as keys, DebianRegistry(folder / "registry") as registry:
        yield Signed(folder, registry, keys)


@pytest.fixture
def engine(new_engine, signed):  # noqa: F811
    """An engine with an empty store, and its policy: engine.policy(requirement...) is the default one."""
    made = new_engine(load=False)
    made.policy_file = made.folder / "policy.json"
    text = made.config.read_text()
    made.config.write_text(f'{text}signature_policy = "{made.policy_file}"\n[registries]\nsignatures_dir = "{signed.config}"\n')

    def policy(*requirements, **transports):
        made.policy_file.write_text(json.dumps({"default": requirements, "transports": transports}))

    made.policy = policy
    signed.places(lookaside=f"file://{signed.lookaside}")
    return made


def by_gpg(signed, *names, **more):
    return {"type": "signedBy", "keyType": "GPGKeys", "keyPaths": [str(signed.key_files[n]) for n in names], **more}


def by_sigstore(signed, name, **more):
    return {"type": "sigstoreSigned", "keyPath": str(signed.folder / f"{name}.pub"), **more}


def refused(engine, *args, status=1, signed=None):
    """Run what must be refused: nothing may be left, and no layer may have been fetched. What was said."""
    before = len(signed.registry.requests()) if signed else 0
    result = engine(*args, timeout=60)
    assert result.rc == status, result
    assert "refused by policy" in result.err, result
    assert engine.json("image", "ls")["images"] == []
    assert [f for top in ("blobs", "refs", "tmp", "trees") for _, _, files in os.walk(engine.root / "images" / top) for f in files] == []
    if signed:
        layers = [d["digest"] for d in json.loads(signed.layout.file(json.loads((signed.layout.path / "index.json").read_text())[
            "manifests"][0]["digest"]).read_text())["layers"]]
        assert not [path for _, path, _ in signed.registry.requests()[before:] if any(digest in path for digest in layers)]
    return result.err


# --- without cryptography -----------------------------------------------------------


def test_reject_asks_nobody(engine, signed):
    """What is rejected is not even asked for; another scope of the same registry is taken."""
    name, _ = signed.push("reject/app:1")
    other, _ = signed.push("taken/app:1")
    host = signed.registry.host
    engine.policy(REJECT, docker={f"{host}/taken": [ACCEPT]})
    before = len(signed.registry.requests())
    message = refused(engine, "image", "pull", name)
    assert "reject" in message and "(default)" in message and "cooper image policy shows the rules" in message
    assert refused(engine, "run", "--pull", "missing", name, status=125)
    assert len(signed.registry.requests()) == before
    engine("image", "pull", other, timeout=60).check()
    assert len(engine.json("image", "ls")["images"]) == 1


def test_default_path_asks_for_no_signatures(engine, signed):
    """Where everything is accepted there is no request more than without a policy."""
    name, _ = signed.push("plain/app:1")
    signed.places(lookaside=f"http://{signed.registry.host}/signatures", use_sigstore_attachments=True)
    engine.policy(ACCEPT)
    before = len(signed.registry.requests())
    engine("image", "pull", name, timeout=60).check()
    asked = [path for _, path, _ in signed.registry.requests()[before:]]
    assert not [path for path in asked if ".sig" in path or "signature-" in path], asked
    assert len([path for path in asked if "/manifests/" in path]) == 1


@pytest.mark.parametrize("text", ['{"default":[]}', '{"default":[{"type":"accept"}]}', '{"default":[{"type":"reject"}],"x":1}', "no JSON"])
def test_bad_policy_stops_everything(engine, signed, text):
    """A policy that is not understood lets nothing in."""
    engine.policy_file.write_text(text)
    for args in (("image", "pull", f"{signed.registry.host}/plain/app:1"), ("image", "load", signed.layout.path)):
        result = engine(*args)
        assert result.rc == 1 and str(engine.policy_file) in result.err, result
    assert engine.json("image", "ls")["images"] == []


def test_flag_and_missing_file(engine, signed, workdir):
    """--signature-policy wins over the configuration; a file that is named must be there."""
    engine.policy(REJECT)
    other = workdir / "other.json"
    other.write_text(json.dumps({"default": [ACCEPT]}))
    engine("image", "load", "--signature-policy", other, signed.layout.path).check()
    result = engine("image", "load", "--signature-policy", workdir / "none", signed.layout.path)
    assert result.rc == 1 and "signature policy" in result.err


def test_flag_of_what_runs(engine, signed, workdir):
    """run and pods take --signature-policy for what they fetch."""
    name, _ = signed.push("flagged/app:1")
    engine.policy(ACCEPT)
    other = workdir / "other.json"
    other.write_text(json.dumps({"default": [REJECT]}))
    refused(engine, "run", "--signature-policy", other, name, status=125)
    refused(engine, "pod", "run", "--signature-policy", other, name, "--pull", "missing", status=125)
    refused(engine, "pod", "prepare", "--signature-policy", other, name, "--pull", "missing")
    engine.policy(REJECT)
    other.write_text(json.dumps({"default": [ACCEPT]}))
    engine("run", "--rm", "--signature-policy", other, name, "true", timeout=60)
    assert engine.json("image", "ls")["images"] != []


def test_load_by_transport(engine, signed, workdir):
    """Archives and directories are let in by transport and path; as signed they count never."""
    archive = signed.layout.archive(workdir / "image.tar")
    tar = workdir / "rootfs.tar"
    proc.run("tar", "-C", signed.folder / "registries.d", "-cf", tar, ".").check()
    engine.policy(REJECT)
    assert "(default)" in refused(engine, "image", "load", archive)
    refused(engine, "image", "load", signed.layout.path)
    refused(engine, "image", "import", tar, "x")
    engine.policy(REJECT, **{"oci-archive": {"": [by_gpg(signed, "alice")]}, "oci": {"": [by_sigstore(signed, "one")]}})
    assert "archives and directories have none" in refused(engine, "image", "load", archive)
    assert "archives and directories have none" in refused(engine, "image", "load", signed.layout.path)
    engine.policy(REJECT, **{"oci-archive": {str(workdir.resolve()): [ACCEPT]}, "tarball": {"": [ACCEPT]}})
    (workdir / "link.tar").symlink_to(archive)
    engine("image", "load", workdir / "link.tar").check()
    engine("image", "import", tar, "x").check()
    assert engine("image", "load", signed.layout.path).rc == 1


def test_what_is_judged_is_what_is_read(engine, signed, workdir):
    """The path is used once, to open it: nobody can put another file there between the policy and the reading."""
    archive = signed.layout.archive(workdir / "image.tar")
    (workdir / "link.tar").symlink_to(archive)
    (workdir / "link").symlink_to(signed.layout.path)
    (workdir / "root.tar").symlink_to(workdir / "rootfs.tar")
    proc.run("tar", "-C", signed.folder / "registries.d", "-cf", workdir / "rootfs.tar", ".").check()
    engine.policy(REJECT, **{"oci-archive": {str(workdir.resolve()): [ACCEPT]}, "oci": {str(signed.layout.path.resolve()): [ACCEPT]}, "tarball": {"": [ACCEPT]}})
    for verb, name in (("load", "link.tar"), ("load", "link"), ("import", "root.tar")):
        trace = workdir / "trace"
        proc.run("strace", "-f", "-e", "trace=file", "-o", trace, *engine.argv("image", verb, workdir / name), env=engine.environ, timeout=60).check()
        used = [line for line in trace.read_text().splitlines() if f'{workdir}/{name}"' in line and "execve" not in line]
        assert len(used) == 1 and "openat(" in used[0], used


# --- GnuPG --------------------------------------------------------------------------


def test_signed_by_skopeo(engine, signed):
    """What skopeo signed is taken, with the right key and the right name only."""
    name, digest = signed.push("gpg/app:1", signed.alice)
    engine.policy(by_gpg(signed, "bob"))
    assert "which is not trusted" in refused(engine, "image", "pull", name, signed=signed)
    engine.policy(by_gpg(signed, "alice", signedIdentity={"type": "exactReference", "dockerReference": "vendor.example/app:1"}))
    assert "another image" in refused(engine, "image", "pull", name, signed=signed)
    engine.policy(by_gpg(signed, "alice"), by_gpg(signed, "bob"))
    refused(engine, "image", "pull", name, signed=signed)
    engine.policy(by_gpg(signed, "bob", "alice"))
    engine("image", "pull", name, timeout=60).check()
    engine("image", "pull", f"{signed.registry.host}/gpg/app@{digest}", timeout=60).check()
    assert engine("run", "--pull", "always", name, "x").rc == 127


def test_tag_and_digest_match_exactly(engine, signed):
    """matchExact: a name with tag and digest is the one with that tag; one without a tag is another."""
    name, digest = signed.push("exact/app:1", signed.alice)
    engine.policy(by_gpg(signed, "alice", signedIdentity={"type": "matchExact"}))
    assert "another image" in refused(engine, "image", "pull", f"{signed.registry.host}/exact/app@{digest}", signed=signed)
    engine("image", "pull", f"{name}@{digest}", timeout=60).check()


def test_policy_holds_for_what_is_there(engine, signed):
    """An image that is in the store is pulled again by its digest only when the policy of now takes it."""
    name, digest = signed.push("again/app:1")
    by_digest = f"{signed.registry.host}/again/app@{digest}"
    engine.policy(ACCEPT)
    engine("image", "pull", by_digest, timeout=60).check()
    engine.policy(by_gpg(signed, "alice"))
    result = engine("image", "pull", by_digest, timeout=60)
    assert result.rc == 1 and "there is none" in result.err, result


def test_no_signature_says_where(engine, signed):
    """Without a signature the place is named where it was looked for."""
    name, digest = signed.push("none/app:1")
    engine.policy(by_gpg(signed, "alice"))
    message = refused(engine, "image", "pull", name, signed=signed)
    assert "there is none" in message and f"{signed.lookaside}/none/app@{digest.replace(':', '=')}/signature-1" in message


def test_signatures_that_do_not_count(engine, signed):
    """Replayed, expired, for others, damaged, unsigned, detached: none of them is one; the right one behind them is."""
    name, digest = signed.push("bad/app:1")
    other_name, other_digest = signed.push("bad/other:1", signed.alice, signed.make_layout("other"))
    place = signed.folder_of(name, digest)
    keys, alice = signed.keys, signed.alice
    expired = keys.make("old <old@example.com>", expires="seconds=86400", faked="20200101T000000")
    signed.key_files["old"] = keys.export(signed.folder / "old.asc", expired)
    good = claim(SIMPLE, digest, name)
    shutil.copy(signed.folder_of(other_name, other_digest) / "signature-1", place / "signature-1")
    keys.message(alice, claim(SIMPLE, digest, f"{signed.registry.host}/bad/app:2"), place / "signature-2")
    keys.message(expired, good, place / "signature-3", faked="20200101T010000")
    (place / "signature-4").write_bytes(b"garbage" * 20)
    (place / "signature-5").write_bytes(good)
    (place / "signature-6").write_bytes(b"")
    keys.message(alice, good[:-1] + b',"critical":{}}', place / "signature-7")
    keys.message(alice, claim(COSIGN, digest, name), place / "signature-8")
    damaged = bytearray(keys.message(alice, good, place / "signature-9").read_bytes())
    damaged[-8] ^= 0x55
    (place / "signature-9").write_bytes(damaged)
    (signed.folder / "good").write_bytes(good)
    keys.sign(alice, signed.folder / "good", place / "signature-10")
    engine.policy(by_gpg(signed, "alice", "old"))
    for number in range(10, 0, -1):
        # Each alone as well as all of them.
        only = signed.folder / "only"
        shutil.rmtree(only, ignore_errors=True)
        shutil.copy(place / f"signature-{number}", signed.folder_of(name, digest, only) / "signature-1")
        signed.places(lookaside=f"file://{only}")
        assert "signature 1: " in refused(engine, "image", "pull", name, signed=signed), number
    signed.places(lookaside=f"file://{signed.lookaside}")
    assert "and so on" in refused(engine, "image", "pull", name, signed=signed)
    keys.message(alice, good, place / "signature-11")
    engine("image", "pull", name, timeout=60).check()


class Lookaside(http.server.SimpleHTTPRequestHandler):
    """Files of a folder."""

    def log_message(self, *_):
        pass


def test_lookaside_over_http(engine, signed):
    """Signatures come over the network, too, through cooper-fetch; errors of the server are not taken for 'none'."""
    name, digest = signed.push("http/app:1")
    served = signed.folder / "served"
    place = signed.folder_of(name, digest, served)
    signed.keys.message(signed.bob, claim(SIMPLE, digest, name), place / "signature-1")
    engine.policy(by_gpg(signed, "alice"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Lookaside, directory=served))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        signed.places(lookaside=f"http://localhost:{server.server_address[1]}/")
        assert "which is not trusted" in refused(engine, "image", "pull", name, signed=signed)
        signed.keys.message(signed.alice, claim(SIMPLE, digest, name), place / "signature-2")
        engine("image", "pull", name, timeout=60).check()
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    result = engine("image", "pull", name, timeout=60)
    assert result.rc == 1 and "localhost" in result.err and "there is none" not in result.err, result


def test_key_files_must_be_keys(engine, signed, workdir):
    """A key that cannot be read, or is none, is said to be so."""
    name, _ = signed.push("keys/app:1", signed.alice)
    for content in (None, b"", b"no key", b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nAAAA\n"):
        path = workdir / "key"
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_bytes(content)
        engine.policy({"type": "signedBy", "keyType": "GPGKeys", "keyPath": str(path)})
        result = engine("image", "pull", name, timeout=60)
        assert result.rc == 1 and str(path) in result.err, result
    data = base64.b64encode(signed.key_files["alice"].read_bytes()).decode()
    engine.policy({"type": "signedBy", "keyType": "GPGKeys", "keyData": data})
    engine("image", "pull", name, timeout=60).check()


# --- sigstore -----------------------------------------------------------------------


def test_sigstore(engine, signed):
    """Attachments are looked for where registries.d says so, and count with the right key, name and bytes only."""
    name, digest = signed.push("sigstore/app:1")
    signed.attach(name, digest, "one")
    engine.policy(by_sigstore(signed, "one"))
    assert "use-sigstore-attachments" in refused(engine, "image", "pull", name, signed=signed)
    signed.places(use_sigstore_attachments=True)
    engine.policy(by_sigstore(signed, "two"))
    assert "not by this key" in refused(engine, "image", "pull", name, signed=signed)
    engine.policy(by_sigstore(signed, "one"))
    engine("image", "pull", name, timeout=60).check()


def test_sigstore_signatures_that_do_not_count(engine, signed):
    """For other bytes, for another name, damaged, of the other kind; and what is not supported is refused."""
    name, digest = signed.push("cosign/app:1")
    _, other = signed.push("cosign/other:1", layout=signed.make_layout("cosigned"))
    signed.places(use_sigstore_attachments=True)
    engine.policy(by_sigstore(signed, "one"))
    assert "there is none" in refused(engine, "image", "pull", name, signed=signed)
    for payload, garbage, why in (
        (claim(COSIGN, other, name), False, "another manifest"),
        (claim(COSIGN, digest, name.replace("app", "other")), False, "another image"),
        (claim(SIMPLE, digest, name), False, "type is"),
        (b"garbage", False, "what is signed"),
        (None, True, "not by this key"),
    ):
        signed.attach(name, digest, "one", payload, garbage)
        assert why in refused(engine, "image", "pull", name, signed=signed)
    fulcio = {"caPath": "/ca", "oidcIssuer": "i", "subjectEmail": "e"}
    for rule, why in (
        (by_sigstore(signed, "one", rekorPublicKeyPath="/etc/hostname"), "'rekorPublicKeyPath'"),
        ({"type": "sigstoreSigned", "fulcio": fulcio, "rekorPublicKeyPath": "/r"}, "'fulcio'"),
        ({"type": "sigstoreSigned", "pki": {"caRootsPath": "/ca", "subjectEmail": "e"}}, "'pki'"),
    ):
        engine.policy(rule)
        said = refused(engine, "image", "pull", name, signed=signed)
        assert f"({why}), which is not supported" in said and "keyPath, keyPaths, keyData, keyDatas" in said
    engine.policy(by_sigstore(signed, "one"))
    # As cosign writes it: a name without a tag, and null.
    signed.attach(name, digest, "one", claim(COSIGN, digest, name.rpartition(":")[0]).replace(b'"optional": {}', b'"optional": null'))
    assert "another image" in refused(engine, "image", "pull", name, signed=signed)
    engine.policy(by_sigstore(signed, "one", signedIdentity={"type": "matchRepository"}))
    engine("image", "pull", name, timeout=60).check()


def test_sigstore_signatures_without_end(engine, signed, workdir):
    """What is attached as signatures is kept in memory until it is checked: 4 MiB of it, whatever there is."""
    made = Layout(workdir / "layout")
    image = made.image(layer(entry("file", b"x")))
    made.index(image)
    payloads = [bytes([number]) * (1 << 20) for number in range(64)]
    attached = [
        {"mediaType": "application/vnd.dev.cosign.simplesigning.v1+json", "digest": layouts.digest(payload), "size": len(payload),
         "annotations": {"dev.cosignproject.cosign/signature": "eA=="}} for payload in payloads
    ]  # fmt: skip
    document = {"schemaVersion": 2, "mediaType": layouts.MANIFEST, "config": {"mediaType": CONFIG, "digest": image["digest"], "size": 2}, "layers": attached}
    with Hostile(made) as registry:
        (signed.config / "b.yaml").write_text(json.dumps({"docker": {registry.host: {"use-sigstore-attachments": True}}}))
        registry.documents |= {layouts.digest(payload): (payload, "application/octet-stream") for payload in payloads}
        registry.documents[image["digest"].replace(":", "-") + ".sig"] = (json.dumps(document).encode(), layouts.MANIFEST)
        engine.policy(by_sigstore(signed, "one"))
        engine("image", "pull", registry.name, timeout=60).fails("not by this key", rc=1)
        (signed.config / "b.yaml").unlink()
        assert len(registry.paths("/blobs/")) == 4


@pytest.mark.parametrize("algorithm", ["ed25519", "RSA"])
def test_sigstore_keys_of_other_kinds(engine, signed, algorithm):
    """Ed25519 and RSA as well as ECDSA."""
    key = f"key-{algorithm}"
    signed.sigstore_key(key, "-algorithm", algorithm)
    name, digest = signed.push(f"kinds/{algorithm.lower()}:1")
    signed.attach(name, digest, key)
    signed.places(use_sigstore_attachments=True)
    engine.policy(by_sigstore(signed, key))
    engine("image", "pull", name, timeout=60).check()


def test_podman_agrees(engine, signed, workdir):
    """podman's own library takes and refuses the same images by the same files."""
    engine.policy(REJECT, docker={signed.registry.host: [by_gpg(signed, "alice")]})
    for name, key in (("agree/signed:1", signed.alice), ("agree/other:1", signed.bob), ("agree/none:1", None)):
        full, _ = signed.push(name, key)
        theirs = proc.run("skopeo", "--policy", engine.policy_file, "--registries.d", signed.config, "copy", "--quiet",
                          "--src-tls-verify=false", f"docker://{full}", f"dir:{workdir / name.replace('/', '-')}", timeout=60)
        ours = engine("image", "pull", full, timeout=60)
        assert (theirs.rc == 0) == (ours.rc == 0) == (key == signed.alice), (theirs, ours)


def test_verifier_alone_is_confined(engine, signed, workdir):
    """cooper-fetch checks a signature as nobody, and without its descriptors it does nothing."""
    program = pathlib.Path(engine.binary).with_name("cooper-fetch")
    result = proc.run(program, "verify")
    assert result.rc == 125 and "started by cooper" in result.err
    (workdir / "payload").write_bytes(b"hello")
    key = signed.folder / "one"
    proc.run("openssl", "dgst", "-sha256", "-sign", f"{key}.key", "-out", workdir / "sig", workdir / "payload").check()
    trace = workdir / "trace"
    script = f"exec 3<{key}.pub 4<{workdir}/payload 5<{workdir}/sig; strace -f -o {trace} {program} verify"
    assert proc.run("sh", "-c", script, timeout=60).check().out == "good\n"
    calls = trace.read_text().splitlines()
    confined = next(i for i, line in enumerate(calls) if "seccomp(" in line and "SET_MODE_FILTER" in line or "PR_SET_SECCOMP" in line)
    assert any("setresuid(65534, 65534, 65534)" in line for line in calls[:confined])
    assert not [line for line in calls[confined:] if "socket(" in line or "openat(" in line and " = -1" not in line]


# --- the verb -----------------------------------------------------------------------


def test_image_policy(engine, signed):
    """cooper image policy says which rule holds for a name or a path, and where signatures are looked for."""
    host = signed.registry.host
    engine.policy(REJECT, docker={f"{host}/team": [by_gpg(signed, "alice")], "*.example.com": [ACCEPT]}, oci={"/srv": [ACCEPT]})
    shown = engine.json("image", "policy", f"{host}/team/app")
    assert shown["image"] == f"{host}/team/app:latest" and shown["policy"] == str(engine.policy_file)
    assert shown["place"] == f"docker: {host}/team" and shown["requirements"][0]["type"] == "signedBy"
    assert shown["requirements"][0]["key_paths"] == [str(signed.key_files["alice"])]
    assert shown["lookaside"] == f"file://{signed.lookaside}/team/app" and shown["sigstore_attachments"] is False
    assert engine.json("image", "policy", "a.example.com/x")["place"] == "docker: *.example.com"
    assert engine.json("image", "policy", "oci:/srv")["place"] == "oci: /srv"
    assert engine.json("image", "policy", "oci:/srv/none:name:1")["place"] == "oci: /srv"
    assert engine.json("image", "policy", "docker-archive:/srv/x.tar")["place"] == "default"
    engine.policy(ACCEPT, oci={str(signed.layout.path): [REJECT]})
    assert engine.json("image", "policy", f"oci:{signed.layout.path}:test:1")["place"] == f"oci: {signed.layout.path}"
    engine("image", "load", f"oci:{signed.layout.path}:test:1").fails("refused by policy", rc=1)
    engine.policy(REJECT, docker={f"{host}/team": [by_gpg(signed, "alice")], "*.example.com": [ACCEPT]}, oci={"/srv": [ACCEPT]})
    assert [rule["place"] for rule in engine.json("image", "policy")["rules"]] == [
        "docker: *.example.com", f"docker: {host}/team", "oci: /srv", "default"]  # fmt: skip
    text = engine("image", "policy", f"{host}/team/app").check().out
    assert "matchRepoDigestOrExact" in text and str(engine.policy_file) in text
    assert "reject" in engine("image", "policy").check().out
    assert engine("image", "policy", "Bad Name").rc == 125
