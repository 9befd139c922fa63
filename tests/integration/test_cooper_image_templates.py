"""What lists and records look like: templates of docker and podman, rkt's columns and orders, filters by label; names that are taken away."""

import json
import os
import time

import pytest

from lib.cooper import busybox_layout, cooper, cooper_session, engine_dir, new_engine  # noqa: F401
from lib.layouts import Layout, entry, layer

pytestmark = pytest.mark.needs("root", "cooper", "isolation")
CONFIG = {"Cmd": ["sh", "-c", "<x>"], "Env": ["A=b", "C=d e"], "Labels": {"team.x": "y=z", "empty": ""}, "WorkingDir": "/w", "User": "7:8", "ExposedPorts": {"80/tcp": {}}, "Volumes": {"/v": {}}, "StopSignal": "SIGINT"}


@pytest.fixture
def engine(new_engine, workdir):  # noqa: F811
    """Images 'one' (with a configuration) and 'two' (without), loaded in this order."""
    made = new_engine(load=False)
    for name, config in (("one", CONFIG), ("two", {})):
        source = Layout(workdir / name)
        data = layer(entry("x", name.encode() * 1000))
        source.index(source.image(data, config={"config": config, "author": "me"}), name=f"localhost/{name}:1")
        made("image", "load", source.path).check()
    return made


def shown(engine, template, *words):
    return engine("image", "inspect", "--format", template, *(words or ("one:1",))).check().out.removesuffix("\n")


@pytest.mark.needs("podman")
def test_the_same_as_podman(podman, engine, workdir):  # noqa: F811
    """Fields that both have show the same, for images as for lists."""
    engine("image", "save", "-o", workdir / "x.tar", "one:1").check()
    podman("load", "-i", workdir / "x.tar").check()
    try:
        for field in (
            "{{.Architecture}} {{.Os}} {{.Author}}", "{{.Config.Env}}|{{.Config.Cmd}}|{{.Config.Entrypoint}}", "{{json .Config.Env}} {{json .RepoTags}} {{.RepoTags}}",
            "{{.Config.User}} {{.Config.WorkingDir}} {{.Config.StopSignal}}", "{{.Labels}} {{json .Labels}}", '{{index .Config.Labels "team.x"}}', "{{index .Config.Env 1}}",
            "{{json .Config.ExposedPorts}} {{json .Config.Volumes}} {{.Config.Volumes}}", "{{.RootFS.Type}} {{json .RootFS.Layers}}", "a\\tb {{.Os}}", "{{ .Os }}{{\"\\n\"}}",
        ):
            theirs = podman("image", "inspect", "--format", field, "localhost/one:1").check().out
            assert shown(engine, field) == theirs.removesuffix("\n"), field
        assert "sha256:" + podman("image", "inspect", "--format", "{{.Id}}", "localhost/one:1").check().out.strip() == shown(engine, "{{.Id}}")
        for field in ("{{.Repository}}:{{.Tag}} {{.ID}}", "table {{.Repository}} {{.Tag}}"):
            theirs = podman("images", "--format", field, "localhost/one").check().out
            ours = engine("image", "ls", "--format", field, "localhost/one").check().out
            assert [line.split() for line in ours.splitlines()] == [line.split() for line in theirs.splitlines()], field
    finally:
        podman("rmi", "-f", "localhost/one:1")


def test_wrong_templates(cooper, engine):  # noqa: F811
    """Refused before anything is looked for, with what there is instead."""
    for verb in (("image", "ls"), ("image", "inspect", "nosuch"), ("ps",)):
        engine(*verb, "--format", "{{.Nothing}}").fails("'.Nothing'", "the fields are", rc=125)
        for template in ("{{range .X}}", "{{.ID", "{{}}", "{{len .ID}}"):
            engine(*verb, "--format", template).fails("--format", rc=125)
    engine("image", "df", "--format", "{{.ID}}").fails("image ls, image inspect and ps", rc=125)
    engine("image", "ls", "--quiet", "--format", "{{.ID}}").fails("--quiet", rc=125)
    engine("ps", "--quiet", "--format", "{{.ID}}").fails("--quiet", rc=125)
    engine("image", "inspect", "--format", "{{.Os}}", "nosuch", "one:1").fails("'nosuch'", rc=1)
    assert engine("image", "inspect", "--format", "{{.Os}}", "nosuch", "one:1").out == "linux\n"


def test_templates_of_containers(cooper, unique):  # noqa: F811
    """One line a container; a table has a heading unless told otherwise."""
    name = unique()
    with cooper.running(name, "--label", "a=b"):
        what = ("ps", "--filter", f"name={name}", "--format")
        assert cooper(*what, "{{.Names}} {{.State}} {{.ExitCode}} {{.Image}} {{.Labels}}").check().out == f"{name} running 0 busybox map[a:b]\n"
        assert cooper(*what, '{{.Command}} {{index .Labels "a"}}').check().out == "sleep 1000 b\n"
        assert cooper(*what, "{{.Pid}}").check().out == f"{cooper.pid(name)}\n"
        assert [line.split() for line in cooper(*what, "table {{.Names}}\\t{{.ImageID}}").check().lines] == [["NAMES", "IMAGE", "ID"], [name, cooper.json("image", "inspect", "busybox")["images"][0]["id"][7:19]]]
        assert len(cooper(*what, "table {{.Names}}", "--noheading").check().lines) == 1
        assert json.loads(cooper(*what, "{{json .}}").check().out)["Names"] == name


def test_columns_and_orders_of_rkt(engine):
    """--fields, --full, --no-legend, --sort and --order as rkt has them."""
    lines = engine("image", "ls", "--fields", "name,importtime", "--sort", "importtime", "--order", "asc").check().lines
    assert lines[0].split() == ["NAME", "IMPORT", "TIME"] and [line.split()[0] for line in lines[1:]] == ["localhost/one:1", "localhost/two:1"]
    bare = engine("image", "ls", "--no-legend", "--fields", "id", "--order", "desc", "--sort", "name", "--full").check().lines
    assert bare == [engine.json("image", "inspect", n)["images"][0]["id"] for n in ("two:1", "one:1")]
    engine("image", "ls", "--fields", "used").fails("importtime and lastused", rc=125)
    engine("image", "ls", "--fields", "id,").fails("''", rc=125)
    engine("image", "ls", "--fields", "id", "--format", "{{.ID}}").fails("give one", rc=125)
    engine("image", "ls", "--order", "up").fails("neither asc nor desc", rc=125)
    assert engine("image", "ls", "--", "one:1").check().lines[1].split()[0] == "localhost/one"


def test_filters_by_label(engine):
    """label=KEY, label=KEY=VALUE, and after=."""
    def names(*filters):
        words = [word for f in filters for word in ("--filter", f)]
        return [n for i in engine.json("image", "ls", *words)["images"] for n in i["names"]]

    assert names("label=team.x") == names("label=team.x=y=z") == names("label=empty=") == ["localhost/one:1"]
    assert names("label=team.x=y") == names("label=team") == names("label=team.x", "label=no") == []
    assert names("after=one:1") == names("since=one:1")


def test_untag(engine):
    """The image stays, found by its id; a name that is not its own changes nothing."""
    engine("image", "tag", "one:1", "a:1", "b:1", "c:1").check()
    identity = engine.json("image", "inspect", "one:1")["images"][0]["id"]
    engine("image", "untag", "one:1", "a:1", "two:1").fails("has no name 'two:1'", "localhost/a:1", rc=1)
    assert engine("image", "untag", "one:1", "a:1", "b:1", "a:1").check().out == "Untagged: localhost/a:1\nUntagged: localhost/b:1\n"
    assert engine.json("image", "untag", "one:1")["untagged"] == ["localhost/c:1", "localhost/one:1"]
    assert shown(engine, "{{.Id}} {{.RepoTags}}", identity) == f"{identity} []"
    engine("image", "untag", identity).check()
    engine("image", "untag", "nosuch").fails("not in the store", rc=1)


def test_manifests_for_people(engine):
    """--pretty-print has line breaks; grace periods are gc's."""
    plain = engine("image", "cat-manifest", "one:1").check().out
    pretty = engine("image", "cat-manifest", "--pretty-print", "one:1").check().out
    assert json.loads(plain) == json.loads(pretty) and len(pretty.splitlines()) > len(plain.splitlines())
    assert engine("image", "cat-manifest", "--pretty-print=false", "one:1").check().out == plain
    engine("image", "untag", "one:1").check()
    assert engine.json("image", "gc", "--grace-period", "1h")["deleted"] == []
    engine("image", "gc", "--grace-period", "1h", "--older", "now").fails("--older", "not a duration", rc=125)
    engine("image", "gc", "--grace-period", "soon").fails("--grace-period", "not a duration", rc=125)
    assert len(engine.json("image", "gc", "--grace-period", "0s")["deleted"]) == 1


def test_json_with_line_breaks(engine):
    """json-pretty is the same document as json, of lists, records and messages."""
    for words in (("image", "ls"), ("image", "ls", "--quiet"), ("image", "history", "one:1"), ("image", "tree"), ("image", "verify"), ("image", "diff", "one:1", "two:1"), ("image", "gc", "--dry-run"), ("version",), ("ps",), ("pod", "ls"), ("trust", "ls"), ("image", "policy"), ("image", "tag", "one:1", "also:1")):
        pretty, plain = (engine(*words, "--format", form).check().out for form in ("json-pretty", "json"))
        assert json.loads(pretty) == json.loads(plain), words
        assert plain.count("\n") == 1 and pretty.startswith("{\n  \""), words
    engine("image", "ls", "--format", "yaml").fails("use table, json or json-pretty", rc=125)


def test_when_an_image_was_last_used(cooper, engine, workdir):  # noqa: F811
    """By containers that are made and removed, and by who writes it out; looking at it is no use."""
    def used(name="one:1", program=engine):
        return program.json("image", "inspect", name)["images"][0]["last_used_unix_ms"]

    loaded = engine.json("image", "inspect", "one:1")["images"][0]["loaded_unix_ms"]
    users = next(d for d in (engine.root / "images/trees").iterdir() if (d / "rootfs/x").read_bytes() == b"one" * 1000) / "users"
    steps = []
    for words in (("image", "save", "-o", workdir / "one.tar", "one:1"), ("image", "convert", "one:1", workdir / "one.aci"), ("image", "extract", "one:1", workdir / "out")):
        os.utime(users, (2000, 2000))
        assert used() == loaded
        engine(*words).check()
        steps.append(used())
        assert steps[-1] > loaded
    assert steps == sorted(steps)
    for words in (("image", "ls"), ("image", "verify"), ("image", "cat-manifest", "one:1"), ("image", "history", "one:1"), ("image", "tree")):
        engine(*words).check()
    assert used() == steps[-1]
    assert [i["last_used_unix_ms"] for i in engine.json("image", "ls", "--sort", "lastused")["images"]] == [steps[-1], used("two:1")]
    lines = engine("image", "ls", "--fields", "name,lastused", "--sort", "lastused", "--order", "asc").check().lines
    assert lines[0].split() == ["NAME", "LAST", "USED"] and [line.split()[0] for line in lines[1:]] == ["localhost/two:1", "localhost/one:1"]
    before = used("busybox", cooper)
    cooper("run", "--rm", "busybox", "true").check()
    assert used("busybox", cooper) > before


def test_grace_periods_begin_with_the_last_use(engine, workdir):
    """Of two images that came at the same time the one that was used stays."""
    engine("image", "untag", "one:1").check()
    engine("image", "untag", "two:1").check()
    time.sleep(1.2)
    identity = next(i["id"] for i in engine.json("image", "ls", "--sort", "loaded", "--order", "asc")["images"])
    engine("image", "save", "-o", workdir / "x.tar", identity).check()
    assert len(engine.json("image", "gc", "--older", "1s", "--dry-run")["deleted"]) == 2
    gone = engine.json("image", "gc", "--grace-period", "1s")["deleted"]
    assert len(gone) == 1 and gone != [identity]
