"""Images where they lie, in the words of containers' tools: oci:, oci-archive:, docker-archive:, dir:, docker://; one image of several."""

import json

import pytest

from lib import proc
from lib.cooper import busybox_layout, empty_engine as engine, engine_dir, new_engine  # noqa: F401
from lib.layouts import Layout, entry, layer
from lib.registries import SKOPEO

pytestmark = pytest.mark.needs("root", "cooper", "isolation", "skopeo")


@pytest.fixture
def two(workdir):
    """A layout of two images, 'one' and 'two', whose file /name says which it is."""
    made = Layout(workdir / "two")
    entries = []
    for name in ("one", "two"):
        entries.append({**made.image(layer(entry("name", name.encode()))), "annotations": {"org.opencontainers.image.ref.name": name}})
    (made.path / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": entries}))
    return made.path


def copied(source, target):
    """By skopeo."""
    proc.run(*SKOPEO, "copy", "--quiet", source, target, timeout=60).check()


@pytest.fixture
def places(two, workdir):
    """The image 'two' as skopeo writes it, everywhere: word -> what loads it."""
    made = {
        "oci": f"oci:{workdir}/oci:tag",
        "oci-archive": f"oci-archive:{workdir}/o.tar:tag",
        "docker-archive": f"docker-archive:{workdir}/d.tar:localhost:5000/x/y:tag",
        "dir": f"dir:{workdir}/dir",
    }
    for target in made.values():
        copied(f"oci:{two}:two", target)
    return made


def names(engine):
    return sorted(n for i in engine.json("image", "ls")["images"] for n in i["names"])


def name_file(engine, image, folder):
    """The file /name of an image of the store."""
    engine("image", "extract", image, folder).check()
    return (folder / "name").read_text()


@pytest.mark.parametrize("word", ["oci", "oci-archive", "docker-archive", "dir"])
@pytest.mark.parametrize("verb", ["load", "pull"])
def test_words_of_skopeo(engine, places, workdir, word, verb):
    """What skopeo writes into a place is read from it by the same words."""
    place = places[word]
    image = engine("image", verb, "--quiet", place).check().out.split()[0]
    assert name_file(engine, image, workdir / "x") == "two"
    if word == "docker-archive":
        assert names(engine) == ["localhost:5000/x/y:tag"]


def test_a_directory_of_skopeo_alone(engine, places):
    """Without a word it is recognized, and may be given a name; one of several platforms and one with a lie inside are judged as anywhere."""
    path = places["dir"].removeprefix("dir:")
    engine("image", "load", "--name", "mine:1", path).check()
    assert names(engine) == ["localhost/mine:1"]


@pytest.mark.parametrize("form", ["{}", "oci:{}", "oci-dir:{}"])
@pytest.mark.parametrize("only, expected", [(":two", "two"), (":one", "one"), (":@1", "two"), (":localhost/one:latest", None), ("", None)])
def test_one_of_several(engine, two, workdir, form, only, expected):
    """By its tag or its place in the list; without either all come."""
    result = engine("image", "load", form.format(two) + only)
    if only == ":localhost/one:latest":
        expected = "one"
    result.check()
    if expected is None:
        assert names(engine) == ["localhost/one:latest", "localhost/two:latest"]
        return
    assert names(engine) == [f"localhost/{expected}:latest"]
    assert name_file(engine, expected, workdir / "x") == expected


def test_one_of_an_archive_of_several(engine, two, workdir):
    """Of docker-archive the image comes with that name alone."""
    engine("image", "load", two).check()
    engine("image", "tag", "one", "more:1").check()
    engine("image", "save", "-o", workdir / "both.tar", "one", "more:1", "two").check()
    engine("image", "rm", "--all", "--force").check()
    engine("image", "load", f"docker-archive:{workdir}/both.tar:more:1").check()
    assert names(engine) == ["localhost/more:1"]
    engine("image", "load", f"{workdir}/both.tar:three").fails("has no image 'three'", "localhost/one:latest", "localhost/two:latest", rc=1)


@pytest.mark.parametrize("only", ["three", "@2", "@x", "two:no", "@-1"])
def test_no_such_image(engine, two, only):
    """The error lists what there is, and nothing is loaded."""
    engine("image", "load", f"{two}:{only}").fails(f"has no image '{only}'", "'one', 'two'", rc=1)
    assert names(engine) == []


def test_paths_with_colons(engine, two, workdir):
    """A path that is there is a path, whatever colons it has."""
    place = workdir / "a:b:one"
    two.rename(place)
    engine("image", "load", place).check()
    assert len(names(engine)) == 2
    engine("image", "load", f"oci:{place}:two").check()
    (workdir / "oci:here").symlink_to(place)
    engine("image", "load", "oci:here", cwd=workdir).check()


def test_wrong_places(engine, places, two, workdir):
    """Each is one sentence that names the place."""
    engine("image", "load", f"oci-archive:{two}:one").fails(str(two), "is a directory", rc=1)
    engine("image", "load", f"dir:{two}").fails("manifest.json", rc=1)
    engine("image", "load", places["dir"] + ":tag").fails("of which none can be chosen", rc=1)
    engine("image", "load", f"oci:{workdir}/nothing:x").fails("nothing", "no such file", rc=1)
    engine("image", "load", "--transport", "oci-archive", f"oci:{two}").fails("different kinds", rc=125)
    engine("image", "pull", f"aci:{two}").fails("cooper image fetch", rc=125)


def test_damaged_directory(engine, places):
    """Digests are checked as of any other source."""
    path = places["dir"].removeprefix("dir:")
    manifest = json.loads(open(f"{path}/manifest.json", encoding="utf-8").read())
    blob = f"{path}/{manifest['layers'][0]['digest'].split(':')[1]}"
    with open(blob, "r+b") as file:
        file.seek(20)
        file.write(b"\xff\xff")
    engine("image", "load", path).fails("corrupt", rc=1)
    assert names(engine) == []
