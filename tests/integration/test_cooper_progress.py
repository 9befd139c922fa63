"""What people see while something takes long: bars on a terminal, lines elsewhere, nothing when asked for nothing."""

import os
import re
import subprocess
import time

import pytest

from lib import ptys
from lib.cooper import busybox_layout, empty_engine as engine, engine_dir, new_engine  # noqa: F401
from lib.layouts import Layout, entry, layer

pytestmark = pytest.mark.needs("root", "cooper", "isolation")
LARGE = 24 << 20


@pytest.fixture
def archive(workdir):
    """An OCI archive whose second layer takes a moment."""
    made = Layout(workdir / "layout")
    small, large = layer(entry("a", b"a")), layer(entry("b", os.urandom(1 << 20) * (LARGE >> 20)))
    made.index(made.image(small, large), name="example.com/big:1")
    subprocess.run(["tar", "-C", made.path, "-cf", workdir / "big.tar", "."], check=True)
    return workdir / "big.tar"


def slowly(path, seconds):
    """A shell command that writes a file in that time."""
    return f"for i in $(seq 0 19); do dd if={path} bs=$(( ($(stat -c %s {path}) + 19) / 20 )) skip=$i count=1 2>/dev/null; sleep {seconds / 20}; done"


def on_terminal(engine, archive, seconds, *flags, **options):
    """What a terminal shows of a load from a slow pipe: (status, text)."""
    command = " ".join(map(str, engine.argv("image", "load", *flags, "-")))
    options.setdefault("env", {**os.environ, **(engine.environ if hasattr(engine, "environ") else {})})
    with ptys.OnTerminal("sh", "-c", f"({slowly(archive, seconds)}) | {command}", **options) as terminal:
        return terminal.wait(timeout=60)


def test_a_pipe_that_takes_long(engine, archive):
    """It is redrawn again and again with rate and amount, and nothing of it stays."""
    status, text = on_terminal(engine, archive, 3)
    assert status == 0, text
    frames = re.findall(r"reading  [0-9.]+ .iB  [0-9.]+ .iB/s", text)
    assert len(set(frames)) >= 3, text
    assert text.split("\x1b[J")[-1] == "Loaded image: example.com/big:1\r\n", text


def test_dumb_terminals_and_quiet(engine, archive):
    """No cursor is moved where the terminal cannot, nor with --quiet."""
    env = {**os.environ, "TERM": "dumb"}
    status, text = on_terminal(engine, archive, 1, env=env)
    assert status == 0 and "\x1b" not in text
    engine("image", "rm", "example.com/big:1").check()
    status, text = on_terminal(engine, archive, 1, "--quiet")
    assert status == 0 and re.fullmatch(r"sha256:[0-9a-f]{64}\r\n", text)


def test_narrow_terminals(engine, archive):
    """No line is wider than the window."""
    status, text = on_terminal(engine, archive, 2, columns=20)
    lines = [line for line in re.split(r"\x1b\[[0-9]*[A-Z]|\r|\n", text) if "reading" in line]
    assert status == 0 and lines and all(len(line) < 20 for line in lines)


def test_elsewhere_a_line_now_and_then(engine, archive):
    """Of what takes long about every five seconds; of what does not, nothing."""
    begun = time.monotonic()
    done = engine("image", "load", archive).check()
    if time.monotonic() - begun < 5:
        assert done.err == ""
    engine("image", "rm", "example.com/big:1").check()
    command = " ".join(map(str, engine.argv("image", "load", "-")))
    done = subprocess.run(["sh", "-c", f"({slowly(archive, 12)}) | {command}"], capture_output=True, text=True, timeout=60, check=True)
    lines = done.stderr.splitlines()
    assert 1 <= len(lines) <= 3 and all(line.startswith("reading  ") and "/s" in line for line in lines), done.stderr


@pytest.mark.parametrize("verb", ["save", "verify", "extract", "convert"])
def test_fast_work_says_nothing(engine, archive, workdir, verb):
    """Nor does it leave anything on a terminal."""
    engine("image", "load", archive).check()
    words = {"save": ("-o", workdir / "out.tar", "example.com/big:1"), "verify": ("example.com/big:1",), "extract": ("example.com/big:1", workdir / "out"), "convert": ("example.com/big:1", workdir / "out.aci")}[verb]
    begun = time.monotonic()
    done = engine("image", verb, *words).check()
    if time.monotonic() - begun < 5:
        assert done.err == ""
