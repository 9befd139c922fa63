"""cooper image pull: registries as they are, plain and with TLS, credentials, platforms; and what is not fetched again."""

import base64
import json
import os
import shutil

import pytest

from lib import proc, trees
from lib.cooper import busybox_layout, empty_engine as engine, engine_dir, new_engine  # noqa: F401
from lib.layouts import INDEX, Layout, entry, layer
from lib.registries import SKOPEO, DebianRegistry

pytestmark = pytest.mark.needs("root", "cooper", "isolation", "docker-registry", "skopeo")
USERS = {"cooper": "barrel:stave"}


@pytest.fixture(scope="module")
def plain(engine_dir, busybox_layout):  # noqa: F811
    """A registry that speaks plain http, with busybox:1."""
    with DebianRegistry(engine_dir / "registry-plain") as registry:
        registry.push(f"oci:{busybox_layout}", "library/busybox:1")
        yield registry


@pytest.fixture(scope="module")
def secured(engine_dir, busybox_layout):  # noqa: F811
    """A registry with a certificate of its own and a password, with busybox:1."""
    with DebianRegistry(engine_dir / "registry-tls", tls=True, users=USERS) as registry:
        registry.push(f"oci:{busybox_layout}", "busybox:1")
        yield registry


@pytest.fixture
def trusted(secured):
    """The directory with the authority of the registry."""
    folder = secured.folder / "trusted"
    folder.mkdir(exist_ok=True)
    shutil.copy(secured.ca, folder / "ca.crt")
    return folder


def auth(user="cooper", password=USERS["cooper"]):
    return base64.b64encode(f"{user}:{password}".encode()).decode()


def in_progress(engine):
    return os.listdir(engine.root / "images/tmp")


def test_pull_and_run(engine, plain):
    """An image comes from a registry on this machine over plain http, and runs."""
    name = f"{plain.host}/library/busybox:1"
    result = engine("image", "pull", name, timeout=60).check()
    assert result.out == f"Pulled image: {name}\n"
    assert "complete" in result.err
    assert engine("run", "--rm", name, "echo", "hi").check().out == "hi\n"
    assert in_progress(engine) == []


def test_docker_scheme(engine, plain):
    """docker://NAME, as other tools write it, is NAME."""
    name = f"{plain.host}/library/busybox:1"
    assert engine("image", "pull", f"docker://{name}", timeout=60).check().out == f"Pulled image: {name}\n"


def test_second_pull_fetches_nothing(engine, plain):
    """Of what is there the registry is asked what the tag names, and sends nothing; by digest it is not asked."""
    name = f"{plain.host}/library/busybox:1"
    first = json.loads(engine("image", "pull", "--format", "json", name, timeout=60).check().out)
    assert not first["was_there"] and first["fetched_layers"] >= 1 and first["fetched_bytes"] > 0
    before = len(plain.requests())
    second = json.loads(engine("image", "pull", "--format", "json", name, timeout=60).check().out)
    assert second["was_there"] and second["fetched_layers"] == 0 and second["fetched_bytes"] == 0
    assert second["image"]["id"] == first["image"]["id"]
    asked = [(method, path) for method, path, _ in plain.requests()[before:] if path != "/v2/"]
    assert asked == [("HEAD", "/v2/library/busybox/manifests/1")]
    before = len(plain.requests())
    engine("image", "pull", f"{plain.host}/library/busybox@{plain.digest('library/busybox:1')}").check()
    asked = [path for _, path, _ in plain.requests()[before:] if "manifests/sha256" in path or "blobs" in path]
    assert asked == []


def test_by_digest(engine, plain):
    """An image without a tag has no name, is found by its digest, and stays when rubbish is collected."""
    digest = plain.digest("library/busybox:1")
    name = f"{plain.host}/library/busybox@{digest}"
    engine("image", "pull", "--quiet", name, timeout=60).check()
    [image] = engine.json("image", "ls")["images"]
    assert image["names"] == [] and image["manifest_digest"] == digest
    engine("image", "gc").check()
    assert engine("run", "--rm", name, "echo", "hi").check().out == "hi\n"
    wrong = "sha256:" + "0" * 64
    engine("image", "pull", f"{plain.host}/library/busybox@{wrong}").fails("404", wrong, rc=1)


def test_index_gives_this_machines_platform(engine, plain, workdir):
    """Of an image for several platforms the one of this machine comes, or the one that is asked for; no other bytes do."""
    layout = Layout(workdir / "l")
    ours, other = layer(entry("ours", b"x")), layer(entry("other", b"y" * 5000))
    manifests = [layout.image(other, platform=("linux", "s390x")), layout.image(ours)]
    index = layout.blob({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}, INDEX)
    layout.index(index)
    name = plain.push(f"oci:{layout.path}", "multi:1", "--all")
    before = len(plain.fetched())
    engine("image", "pull", name, timeout=60).check()
    engine("image", "extract", name, workdir / "x").check()
    assert os.listdir(workdir / "x") == ["ours"]
    assert len([p for p in plain.fetched()[before:] if "/blobs/" in p]) == 2, "its configuration and its layer"
    before = len(plain.fetched())
    engine("image", "pull", name, timeout=60).check()
    assert plain.fetched()[before:] == [], "the index is the same"
    engine("image", "pull", "--platform", "linux/s390x", name, timeout=60).check()
    engine("image", "extract", name, workdir / "y").check()
    assert os.listdir(workdir / "y") == ["other"]
    before = len(plain.fetched())
    engine("image", "pull", "--platform", "linux/s390x", name, timeout=60).check()
    assert plain.fetched()[before:] == []
    engine("image", "pull", name, timeout=60).check()
    engine("image", "extract", name, workdir / "z").check()
    assert os.listdir(workdir / "z") == ["ours"], "another platform of the same index"
    engine("image", "pull", "--platform", "linux/ppc64le", name).fails("ppc64le", "amd64", "s390x", rc=1)


def test_digest_of_an_index_means_this_machines_platform(engine, plain, workdir):
    """An image that was pulled for another platform by the digest of its index does not stand for the one of this machine."""
    layout = Layout(workdir / "l")
    manifests = [layout.image(layer(entry(name, name.encode())), platform=("linux", name)) for name in ("s390x", "amd64", "ppc64le")]
    layout.index(layout.blob({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}, INDEX))
    plain.push(f"oci:{layout.path}", "multi/by:digest", "--all")
    name = f"{plain.host}/multi/by@{plain.digest('multi/by:digest')}"
    for other in ("s390x", "ppc64le"):
        engine("image", "pull", "--platform", f"linux/{other}", name, timeout=60).check()
    assert "Pulled image" in engine("image", "pull", name, timeout=60).check().out
    engine("image", "extract", name, workdir / "x").check()
    assert os.listdir(workdir / "x") == ["amd64"]
    before = len(plain.fetched())
    assert "up to date" in engine("image", "pull", name, timeout=60).check().out
    assert plain.fetched()[before:] == []


@pytest.mark.parametrize("form", ["oci", "v2s2"])
def test_same_files_as_skopeo(engine, plain, workdir, form):
    """What was pulled is, file by file, what skopeo pulls and cooper loads; gzip by a registry's client, docker's media types too."""
    layout = Layout(workdir / "l")
    layers = [layer(entry(f"d{i}/f", os.urandom(200_000), uid=i, mode=0o640), entry("all", bytes([i]))) for i in range(4)]
    layout.index(layout.image(*layers))
    name = plain.push(f"oci:{layout.path}", f"files-{form}:1", "--format", form, "--dest-compress")
    engine("image", "pull", name, timeout=60).check()
    proc.run(*SKOPEO, "copy", "--quiet", "--src-tls-verify=false", f"docker://{name}", f"docker-archive:{workdir}/a.tar:other:1", timeout=60).check()
    engine("image", "load", workdir / "a.tar").check()
    engine("image", "extract", name, workdir / "x").check()
    engine("image", "extract", "other:1", workdir / "y").check()
    assert trees.differences(trees.describe(workdir / "x"), trees.describe(workdir / "y")) == []


def test_shared_layers_are_fetched_once(engine, plain, workdir):
    """A layer that another image has brought is not fetched again; one that an image has twice comes once."""
    layout = Layout(workdir / "l")
    base, top = layer(entry("base", os.urandom(100_000))), layer(entry("top", b"t"))
    first = plain.push(f"oci:{layout.index(layout.image(base)).path}", "shared:a")
    second = plain.push(f"oci:{layout.index(layout.image(base, top, base)).path}", "shared:b")
    engine("image", "pull", first, timeout=60).check()
    before = len(plain.fetched())
    result = json.loads(engine("image", "pull", "--format", "json", second, timeout=60).check().out)
    assert result["fetched_layers"] == 1
    assert len([p for p in plain.fetched()[before:] if "/blobs/" in p]) == 2, "its configuration and one layer"


def test_tls_needs_its_authority(engine, secured):
    """A certificate of an unknown authority is refused, with what to do about it."""
    engine("image", "pull", f"{secured.host}/busybox:1").fails("certificate", "/etc/cooper/certs.d/", "ca.crt", rc=1)
    assert engine.json("image", "ls")["images"] == []


def test_run_with_the_flags_of_pull(engine, secured, trusted, workdir):
    """What reaches the registry of a pull does so for run."""
    name = f"{secured.host}/busybox:1"
    engine("run", "--rm", "--cert-dir", workdir, name, "true").fails("certificate", f"{workdir}/ca.crt", rc=125)
    engine("run", "--rm", "--tls-verify=false", name, "true").fails("401", "--creds", rc=125)
    document = engine.folder / "auth.json"
    document.write_text(json.dumps({"auths": {secured.host: {"auth": auth()}}}))
    flags = ("--cert-dir", trusted, "--authfile", document, "--platform", "linux", "--quiet")
    result = engine("run", "--rm", *flags, f"docker://{name}", "echo", "hi", timeout=60).check()
    assert (result.out, result.err) == ("hi\n", "")
    engine("image", "rm", f"docker://{name}").check()
    engine("run", "--rm", "--tls-verify=false", "--creds", "cooper:" + USERS["cooper"], name, "true", timeout=60).check()


@pytest.mark.parametrize("way", ["--creds", "--authfile", "REGISTRY_AUTH_FILE", "docker", "containers"])
def test_tls_and_password(engine, secured, trusted, way):
    """TLS with an authority of one's own, and credentials from every place they may come from."""
    document = json.dumps({"auths": {secured.host: {"auth": auth()}}})
    flags, env = ["--cert-dir", trusted], {}
    file = engine.folder / "auth.json"
    if way == "--creds":
        flags += ["--creds", "cooper:" + USERS["cooper"]]
    elif way == "--authfile":
        file.write_text(document)
        flags += ["--authfile", file]
    elif way == "REGISTRY_AUTH_FILE":
        file.write_text(document)
        env[way] = str(file)
    else:
        place = engine.folder / (".docker/config.json" if way == "docker" else ".config/containers/auth.json")
        place.parent.mkdir(parents=True)
        place.write_text(document)
    name = f"{secured.host}/busybox:1"
    engine("image", "pull", *flags, name, env=env, timeout=60).check()
    assert engine("run", "--rm", name, "echo", "hi").check().out == "hi\n"


def test_helper_program(engine, secured, trusted):
    """Credentials from a helper program; what it says when it fails is passed on."""
    programs = engine.folder / "bin"
    programs.mkdir()
    helper = programs / "docker-credential-barrel"
    answer = json.dumps({"ServerURL": secured.host, "Username": "cooper", "Secret": USERS["cooper"]})
    helper.write_text(f"#!/bin/sh\nread server\n[ \"$1 $server\" = 'get {secured.host}' ] || exit 3\necho '{answer}'\n")
    helper.chmod(0o755)
    (engine.folder / "auth.json").write_text(json.dumps({"credHelpers": {secured.host: "barrel"}}))
    env = {"PATH": f"{programs}:{engine.environ['PATH']}"}
    flags = ["--cert-dir", trusted, "--authfile", engine.folder / "auth.json"]
    engine("image", "pull", *flags, f"{secured.host}/busybox:1", env=env, timeout=60).check()
    helper.write_text("#!/bin/sh\necho no keyring here\nexit 1\n")
    engine("image", "pull", *flags, f"{secured.host}/busybox:1", env=env).fails("docker-credential-barrel", "no keyring here", rc=1)
    # It has ended before it is asked.
    late = ("strace", "-o", "/dev/null", "-e", "trace=write", "-e", "inject=write:delay_enter=300000")
    asked = proc.run(*late, *engine.argv("image", "pull", *flags, f"{secured.host}/busybox:1"), env={**engine.environ, **env}, timeout=60)
    asked.fails("docker-credential-barrel", "no keyring here", rc=1)


def test_wrong_password(engine, secured, trusted):
    """Without and with wrong credentials the error says so, and how to give them."""
    name = f"{secured.host}/busybox:1"
    engine("image", "pull", "--cert-dir", trusted, name).fails("401", "--creds", secured.host, rc=1)
    engine("image", "pull", "--cert-dir", trusted, "--creds", "cooper:wrong", name).fails("401", "'cooper'", rc=1)
    engine("image", "pull", "--authfile", "/nowhere/auth.json", name).fails("/nowhere/auth.json", rc=1)


def test_tls_verify_false(engine, secured):
    """With --tls-verify=false, or when the configuration calls it insecure, an unknown certificate will do."""
    name = f"{secured.host}/busybox:1"
    engine("image", "pull", "--tls-verify=false", "--creds", "cooper:" + USERS["cooper"], name, timeout=60).check()
    engine("image", "rm", name).check()
    engine.config.write_text(engine.config.read_text() + f'[registries]\ninsecure = ["{secured.host}"]\n')
    engine("image", "pull", "--creds", "cooper:" + USERS["cooper"], name, timeout=60).check()


def test_what_is_not_there(engine, plain):
    """A missing tag, a missing repository, a port where nobody listens and a host nobody knows are told apart."""
    engine("image", "pull", f"{plain.host}/library/busybox:nope").fails("404", "nope", plain.host, "manifest unknown", rc=1)
    engine("image", "pull", f"{plain.host}/nothing/here:1").fails("404", rc=1)
    engine("image", "pull", "localhost:1/x:1", timeout=60).fails("localhost:1", "connect", rc=1)
    engine("image", "pull", "registry.invalid/x:1").fails("registry.invalid", "resolve", rc=1)
    engine("image", "pull", "Bad Name").fails("name", rc=125)
    assert in_progress(engine) == []


def test_mirror(engine, plain):
    """A mirror is asked before the registry; where it lacks the image, the registry is."""
    engine.config.write_text(engine.config.read_text() + f'[registries]\nmirrors = ["docker.io={plain.host}", "registry.invalid={plain.host}/library"]\n')
    engine("image", "pull", "busybox:1", timeout=60).check()
    assert engine.json("image", "ls")["images"][0]["names"] == ["docker.io/library/busybox:1"]
    engine("image", "pull", "registry.invalid/busybox:1", timeout=60).check()
    engine("image", "pull", "registry.invalid/other:1").fails("registry.invalid", "resolve", "404", rc=1)


def test_run_fetches_what_is_missing(engine, plain):
    """run fetches once; never fetches nothing, always asks each time, newer does if the registry answers; no more than what the tag names."""
    name = f"{plain.host}/library/busybox:1"
    engine("run", "--rm", "--pull", "never", name, "true").fails(name, "image pull", rc=125)
    assert engine("run", "--rm", name, "echo", "hi", timeout=60).check().out == "hi\n"
    before = len(plain.requests())
    engine("run", "--rm", "--pull", "missing", name, "true").check()
    assert len(plain.requests()) == before
    for policy in ("always", "newer"):
        before = len(plain.requests())
        engine("run", "--rm", "--pull", policy, name, "true", timeout=60).check()
        assert [(method, path) for method, path, _ in plain.requests()[before:] if path != "/v2/"] == [("HEAD", "/v2/library/busybox/manifests/1")]
    engine("image", "tag", name, "localhost:1/gone:1").check()
    result = engine("run", "--rm", "--pull", "newer", "localhost:1/gone:1", "echo", "hi", timeout=60).check()
    assert result.out == "hi\n" and "localhost:1" in result.err and "as it is here" in result.err
    engine("run", "--rm", "--pull", "newer", "localhost:1/other:1", "true", timeout=60).fails("not in the store", "localhost:1", rc=125)


def test_pods_fetch_when_told(engine, plain):
    """Pods fetch nothing unless an app or the configuration says so: a misplaced command would be an image."""
    name = f"{plain.host}/library/busybox:1"
    engine("pod", "run", name, "--", "true").fails(name, "not in the store", rc=125)
    engine("pod", "run", "--rm", name, "--pull", "missing", "--", "true", timeout=60).check()
    engine("image", "rm", name).check()
    before = engine.config.read_text()
    engine.config.write_text(before + '[containers]\npull = "often"\n')
    engine("ps").fails("pull", "often", rc=125)
    engine.config.write_text(before + '[containers]\npull = "missing"\n')
    engine("pod", "run", "--rm", name, "--", "true", timeout=60).check()


def test_progress_on_a_terminal(engine, plain, workdir):
    """On a terminal there is one line a layer; --quiet prints the id alone."""
    layout = Layout(workdir / "l")
    layout.index(layout.image(layer(entry("a", os.urandom(50_000))), layer(entry("b", os.urandom(50_000)))))
    name = plain.push(f"oci:{layout.path}", "progress:1")
    with engine.on_terminal("image", "pull", name) as session:
        _, text = session.wait(60)
    assert text.count("complete") >= 2 and f"Pulled image: {name}" in text
    assert "\x1b[K" in text
    engine("image", "rm", name).check()
    result = engine("image", "pull", "-q", name, timeout=60).check()
    assert result.err == "" and result.out.startswith("sha256:")


@pytest.mark.parametrize("verb", ["pull", "fetch"])
def test_words(engine, plain, verb):
    """pull is fetch; a wrong command line has its own exit status."""
    engine("image", verb, f"docker://{plain.host}/library/busybox:1", timeout=60).check()
    engine("image", verb).fails("argument", rc=125)
    engine("image", verb, "x", "--creds", "nopassword").fails("USER:PASSWORD", rc=125)
    engine("image", verb, "x", "--platform", "a/b/c/d").fails("platform", rc=125)


def test_missing_program(engine, plain):
    """An engine that cannot find cooper-fetch says where it may be named."""
    engine.config.write_text('fetch_path = "/nowhere/cooper-fetch"\n' + engine.config.read_text())
    engine("image", "pull", f"{plain.host}/library/busybox:1").fails("fetch_path", "/nowhere/cooper-fetch", rc=1)
