"""The installed library: a program that knows only what is installed builds, runs containers and gets typed failures."""

import json
import os
import subprocess

import pytest

from lib import paths, proc
from lib.libcontainer import box, lc_engine, make_container  # noqa: F401


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A prefix with everything that `cmake --install` puts there."""
    build = paths.bin_dir().parent
    if not (build / "lib" / "libcooper.so").exists():
        pytest.skip(f"no libcooper in {build}")
    prefix = tmp_path_factory.mktemp("prefix")
    proc.run("cmake", "--install", build, "--prefix", prefix, timeout=120).check()
    return prefix


def compile_example(installed, name, compiler, *flags, static=False):
    """Build one of examples/ against the prefix, by pkg-config."""
    out = installed / (name.replace(".", "-") + ("-static" if static else ""))
    environ = {**os.environ, "PKG_CONFIG_PATH": str(installed / "lib/pkgconfig")}
    words = subprocess.run(["pkg-config", "--cflags", "--libs", "cooper"], env=environ, capture_output=True, text=True, check=True).stdout.split()
    if static:
        words = [w for w in words if w != "-lcooper"] + [str(installed / "lib/libcooper.a"), "-lstdc++", "-lm", "-Wl,--gc-sections"]
    proc.run(compiler, *flags, paths.REPOSITORY / "examples" / name, *words, "-o", out, timeout=180).check()
    return out


def start(program, installed, *args, **options):
    """Run it with the installed shared object."""
    environ = {"PATH": os.environ["PATH"], "LD_LIBRARY_PATH": str(installed / "lib")}
    return proc.run(program, *args, env=environ, **options)


@pytest.mark.needs("gcc", "root", "cgroup1-freezer")
def test_cxx_example(installed, box, workdir):
    """Factory, Container, Process from C++: hooks of the program, status, processes, pause, a joining process, the exit status, destroy."""
    program = compile_example(installed, "libcooper.cpp", "c++", "-std=c++17", "-Wall", "-Wextra", "-Werror")
    result = start(program, installed, workdir / "state", box.id, box.write(), "sh", "-c", "sleep 1; exit 5")
    assert result.rc == 5, result
    lines = result.out.splitlines()
    state = json.loads(lines[0].removeprefix("prestart "))
    assert state["id"] == box.id and state["pid"] > 0 and state["root"] == str(box.rootfs)
    assert lines[1].startswith("status 1, ") and lines[2] == "status 3" and "joined" in lines and lines[-1] == "poststop"
    assert os.listdir(workdir / "state") == []


@pytest.mark.needs("gcc", "root")
def test_c_example(installed, box, workdir):
    """The C interface, by the shared object and by the archive; failures have their codes."""
    box.namespaces("NEWNS", "NEWUTS", "NEWIPC", "NEWNET")  # process 1 of a PID namespace cannot kill itself
    config = box.write().read_text()
    for static in (False, True):
        program = compile_example(installed, "libcooper.c", "cc", "-Wall", "-Wextra", "-Werror", static=static)
        assert start(program, installed, workdir / "state", box.id, config, "/bin/sh", "-c", "exit 7").rc == 7
        assert start(program, installed, workdir / "state", box.id, config, "/bin/sh", "-c", "kill -KILL $$").rc == 137
        fails = lambda code, *args: start(program, installed, workdir / "state", *args).fails(code)  # noqa: B023, E731
        assert fails("invalid id format", "../x", config, "true").rc == 2
        assert fails("configuration invalid", box.id, "{}", "true").rc == 7
        assert fails("process not executed", box.id, config, "no-such-program").rc == 8
    assert os.listdir(workdir / "state") == []


@pytest.mark.needs("gcc", "root")
def test_only_the_interface_is_visible(installed):
    """The shared object exports the C interface and nothing else, and needs no C++ library."""
    listed = proc.run("nm", "-D", "--defined-only", installed / "lib/libcooper.so").check().lines
    names = {line.split()[-1].split("@")[0] for line in listed}
    assert names and all(name.startswith("cooper_") for name in names), sorted(names)[:20]
    needed = proc.run("readelf", "-d", installed / "lib/libcooper.so").check().out
    assert "libstdc++" not in needed and "libcrypto" not in needed
