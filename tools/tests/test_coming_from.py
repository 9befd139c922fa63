"""docs/coming-from.md: complete against the list of names, and every test it names exists."""

import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
NAMES = pathlib.Path(__file__).with_name("libcontainer-names.txt")
CELL = r"\[[\w.]+\]\(\.\./[\w./]+\)"
ROW = re.compile(rf"^\| `([\w.]+)` \| (.+?) \| {CELL}(?:, {CELL})* \|$")
TESTS = re.compile(rf"^\| (.+?) \| .+ \| ({CELL}(?:, {CELL})*) \|$")
LINK = re.compile(r"\[([\w.]+)\]\(\.\./([\w./]+)\)")
REST = "\n## libcontainer: the rest"


def page():
    return (ROOT / "docs/coming-from.md").read_text(encoding="utf-8")


def rows():
    """(name, answer) of each name of the package configs."""
    return [match.groups() for line in page().split(REST, maxsplit=1)[0].splitlines() if (match := ROW.match(line))]


def test_every_name_has_a_row():
    listed = [name for name, _ in rows()]
    assert listed == NAMES.read_text(encoding="utf-8").split()


def test_every_named_test_exists():
    cells = [match.groups() for line in page().splitlines() if (match := TESTS.match(line))]
    named = [(name, *link) for name, cell in cells for link in LINK.findall(cell)]
    assert len(named) > len(rows())
    for name, test, file in named:
        text = (ROOT / file).read_text(encoding="utf-8")
        if file.endswith(".py"):
            assert f"def {test}(" in text, name
        else:
            suite, case = test.split(".")
            assert f"TEST({suite}, {case})" in text, name


def test_every_answer_is_in_the_sources():
    types = (ROOT / "src/spec/libcontainer/types.h").read_text(encoding="utf-8")
    for name, answer in rows():
        member = re.match(r"`\w+::(\w+)(?:\(\))?`", answer)
        if member and not answer.startswith("`library::"):
            assert re.search(rf"\b{member[1]}\b", types), name
