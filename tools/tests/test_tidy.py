"""The batches in which tools/tidy looks at sources."""

import importlib.machinery
import importlib.util
import pathlib

import pytest

TIDY = pathlib.Path(__file__).resolve().parents[1] / "tidy"


@pytest.fixture
def tidy(tmp_path, monkeypatch):
    """The program as a module, for a tree in tmp_path."""
    loader = importlib.machinery.SourceFileLoader("tidy_program", str(TIDY))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("tidy_program", loader))
    loader.exec_module(module)
    monkeypatch.setattr(module.repo, "ROOT", tmp_path)
    return module


def source(tidy, name, text):
    path = tidy.repo.ROOT / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return tidy.Source(name, name.replace("/", "-"))


LOCALS = """namespace cooper::room {
namespace {

constexpr int kLimit = 3;

struct Found {
  int line = 0;
};

enum class Mode { kOne };

using Pairs = int;

Result<int> look(const char* text) {
  const int inside = 1;
  return inside;
}

TEST(Parser, Empty) {}
TEST_F(Reader, Broken) {}

}  // namespace

int shared() { return 0; }

}  // namespace cooper::room
"""


def test_names_that_only_a_file_may_use(tidy):
    one = source(tidy, "src/room/one.cpp", "#define FIELD 1\n" + LOCALS)
    local = {"kLimit", "Found", "Mode", "Pairs", "look", "Parser_Empty", "Reader_Broken"}
    assert one.names == {f"src/room:{name}" for name in local} | {"FIELD"}


def test_sources_that_share_a_name_are_apart(tidy):
    one = source(tidy, "src/room/one.cpp", LOCALS)
    batch = tidy.Batch()
    batch.add(one)
    assert not batch.takes(source(tidy, "src/room/two.cpp", "namespace {\n\nvoid look() {}\n\n}  // namespace\n"))
    assert batch.takes(source(tidy, "src/other/two.cpp", "namespace {\n\nvoid look() {}\n\n}  // namespace\n"))
    assert batch.takes(source(tidy, "src/room/three.cpp", "namespace {\n\nvoid watch() {}\n\n}  // namespace\n"))


def test_a_batch_has_a_limit(tidy):
    batch = tidy.Batch()
    for number in range(tidy.BATCH_FILES):
        one = source(tidy, f"src/room/{number}.cpp", "int x;\n")
        assert batch.takes(one)
        batch.add(one)
    assert not batch.takes(source(tidy, "src/room/more.cpp", "int x;\n"))


def test_a_complaint_belongs_to_a_source(tidy):
    batch = tidy.Batch()
    one, two, three = (source(tidy, f"src/room/{name}.cpp", text) for name, text in (("one", "int a;\nint b;"), ("two", "int c;\nint d;\n"), ("three", "int e;\n")))
    for each in (one, two, three):
        batch.add(each)
    written = tidy.repo.ROOT / "batch.cpp"
    batch.write(written)
    assert written.read_text().splitlines() == ["int a;", "int b;", "int c;", "int d;", "int e;"]
    assert [batch.place(line) for line in range(1, 6)] == [one, one, two, two, three]
    runner = object.__new__(tidy.Runner)
    header = f"{tidy.repo.ROOT}/src/room/x.h:9:1: error: y\nint y;\n^"
    said = f"{written}:2:5: error: b\nint b;\n{header}\n{written}:5:5: warning: e\nint e;\n{written}:3:5: note: see c"
    assert runner.divide(said, batch, written) == (["src/room/x.h:9:1: error: y\nint y;\n^"], [one, three])
    assert runner.divide("", batch, written) == ([], [])


@pytest.mark.parametrize("header", [False, True])
def test_who_does_not_fit_or_looks_bad_is_looked_at_alone(tidy, monkeypatch, header):
    """A source that does not compile behind the others, one that is bad, and one that is bad only behind the others."""
    batch = tidy.Batch()
    for name, text in (("good", "int a;\n"), ("misfit", "int b;\n"), ("bad", "int c;\n"), ("seems", "int d;\n")):
        batch.add(source(tidy, f"src/room/{name}.cpp", text))
    runner = object.__new__(tidy.Runner)
    runner.work = runner.cache = tidy.repo.ROOT
    runner.commands = {one.name: ["c++"] for one in batch.sources}
    runner.exempt = set()
    monkeypatch.setattr(runner, "misfits", lambda batch, path: [batch.sources[1]], raising=False)
    calls = []

    def run(name, path):
        calls.append(path.read_text())
        if path != tidy.repo.ROOT / name:
            return f"{path}:2:5: error: c [x]\n{path}:3:5: error: d [x]" + ("\nsrc/room/a.h:1:1: error: h [x]" if header else "")
        return f"{path}:1:5: error: c [x]" if path.name == "bad.cpp" else ""

    monkeypatch.setattr(runner, "run", run, raising=False)
    complaints, _ = runner.look(batch)
    assert complaints == ["src/room/a.h:1:1: error: h [x]"] * header + ["src/room/bad.cpp:1:5: error: c [x]"]
    assert calls == ["int a;\nint c;\nint d;\n", "int b;\n", "int c;\n", "int d;\n"]
    passed = {path.name for path in runner.cache.iterdir() if path.is_file()}
    assert passed == {"src-room-misfit.cpp", "src-room-seems.cpp"} | ({"src-room-good.cpp"} if not header else set())
