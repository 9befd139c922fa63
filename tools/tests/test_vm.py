"""tests/vm/run: whatever a guest does, its tests have run or the row has failed. qemu is a script here."""

import os
import pathlib
import subprocess
import sys
import textwrap

import pytest

TOP = pathlib.Path(__file__).resolve().parents[2]

# What the stand-in has of qemu's command line: the file of the first serial line, and the disk for the results.
PREAMBLE = """\
#!/usr/bin/python3
import io, re, sys, tarfile, time
console = next(a for a in sys.argv if a.startswith("file:") and a.endswith("console.txt"))[5:]
disks = re.findall(r"file=([^,]+)", " ".join(a for a in sys.argv if "if=none" in a))
def say(text): print(text, flush=True)
def log(text): open(console, "a").write(text + "\\n")
def results(**files):
    with tarfile.open(disks[2], "w") as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo("./" + name.replace("_", "."))
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text.encode()))
def given(name):
    return tarfile.open(disks[1]).extractfile(name).read().decode()
"""


@pytest.fixture
def boot(tmp_path):
    """boot(script, *arguments) -> (finished process, directory of the results)."""
    (tmp_path / "image").mkdir()
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "coop").write_text("a program\n")

    def run(script, *arguments, row="main", **env):
        qemu = tmp_path / "qemu"
        qemu.write_text(PREAMBLE + textwrap.dedent(script))
        qemu.chmod(0o755)
        settings = {
            **os.environ, "COOPER_VM_QEMU": str(qemu), "COOPER_VM_IMAGE": str(tmp_path / "image"), "COOPER_BIN_DIR": str(programs),
            "COOPER_VM_TIMEOUT": "60", **env,
        }  # fmt: skip
        argv = [sys.executable, TOP / "tests/vm/run", row, tmp_path / "results", *arguments]
        return subprocess.run(argv, env=settings, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60), tmp_path / "results"

    return run


@pytest.mark.parametrize("status", [0, 1])
def test_results(boot, status):
    """What the guest wrote comes out, its output is shown, and its status is ours."""
    done, results = boot(f"say('one test'); results(pytest_xml='<x/>', status='{status}')")
    assert done.returncode == status, done.stderr
    assert done.stdout == "one test\n"
    assert (results / "pytest.xml").read_text() == "<x/>"
    assert (results / "status").read_text() == str(status)


@pytest.mark.parametrize("arguments,expected", [([], "-m\0guest\0"), (["-k", "a b"], "-k\0a b\0")])
def test_second_disk(boot, arguments, expected):
    """The guest gets the tests, the programs, what to run, and what it must have."""
    done, _ = boot(
        """
        say(given("arguments").replace("\\0", "|"))
        say(given("environment"))
        say(given("build/release/bin/coop"))
        say(given("tests/integration/pytest.ini")[:8])
        results(status="0")
        """,
        *arguments,
    )
    assert done.returncode == 0, done.stderr
    assert expected.replace("\0", "|") in done.stdout
    assert "cgroup2 systemd apparmor" in done.stdout
    assert "a program" in done.stdout and "[pytest]" in done.stdout


@pytest.mark.parametrize(
    "script,words",
    [
        ("log('Kernel panic - not syncing: oops'); sys.exit(0)", ["Kernel panic", "before it ran anything"]),
        ("say('tests...'); log('the last words')", ["the last words", "no status"]),
        ("say('tests...'); sys.exit(3)", ["status 3"]),
        ("say('tests...'); results(pytest_xml='<x/>')", ["no status"]),
    ],
)
def test_lost_guest(boot, script, words):
    """A guest that ends without results has failed, and the console says more."""
    done, results = boot(script)
    assert done.returncode == 1
    for word in words:
        assert word in done.stderr
    assert (results / "status").read_text() == "1\n"


@pytest.mark.parametrize("script,words", [("say('tests...'); time.sleep(60)", "has not ended after 2 s"), ("time.sleep(60)", "has not booted after 1 s")])
def test_hanging_guest(boot, script, words):
    """A guest that hangs is ended by a time limit."""
    done, _ = boot(script, COOPER_VM_TIMEOUT="2", COOPER_VM_BOOT_TIMEOUT="1")
    assert done.returncode == 1
    assert words in done.stderr


def test_unknown_row(boot):
    """A row that is not in the table is named, with those that are."""
    done, _ = boot("", row="vax")
    assert done.returncode == 1
    assert "vax" in done.stderr and "main" in done.stderr
