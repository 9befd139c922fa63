"""The installed library: a program that knows only what is installed builds, runs containers and gets typed failures."""

import json
import os
import subprocess

import pytest

from lib import cgroups, paths, proc
from lib import libcontainer as lc
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
    """Build one of examples/ (or another source, by its path) against the prefix, by pkg-config."""
    source = paths.REPOSITORY / "examples" / name
    out = installed / (source.name.replace(".", "-") + ("-static" if static else ""))
    environ = {**os.environ, "PKG_CONFIG_PATH": str(installed / "lib/pkgconfig")}
    words = subprocess.run(["pkg-config", "--cflags", "--libs", "cooper"], env=environ, capture_output=True, text=True, check=True).stdout.split()
    if static:
        words = [w for w in words if w != "-lcooper"] + [str(installed / "lib/libcooper.a"), "-lstdc++", "-lm", "-Wl,--gc-sections"]
    proc.run(compiler, *flags, source, *words, "-o", out, timeout=180).check()
    return out


def start(program, installed, *args, **options):
    """Run it with the installed shared object."""
    environ = {"PATH": os.environ["PATH"], "LD_LIBRARY_PATH": str(installed / "lib")}
    return proc.run(program, *args, env=environ, **options)


@pytest.mark.needs("gcc", "root")
@pytest.mark.guest
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


# STATE ID CONFIG FILE NEW-CONFIG...: prints FILE of a running container, and after each new configuration.
SETTER = r"""
#include <cooper/cooper.h>
#include <signal.h>
#include <stdio.h>

static void show(const char* path) {
  char text[4096];
  FILE* file = fopen(path, "r");
  size_t n = file == NULL ? 0 : fread(text, 1, sizeof text, file);
  fwrite(text, 1, n, stdout);
  puts("--");
  if (file != NULL) fclose(file);
}

int main(int argc, char** argv) {
  const char* const args[] = {"sleep", "1000", NULL};
  cooper_factory* factory = NULL;
  cooper_container* container = NULL;
  cooper_process* process = NULL;
  cooper_process_options options = COOPER_PROCESS_OPTIONS_INIT;
  cooper_error error = {0};
  int status = 0;
  options.args = args;
  if (cooper_factory_open(argv[1], &factory, &error) == COOPER_OK &&
      cooper_factory_create(factory, argv[2], argv[3], &container, &error) == COOPER_OK &&
      cooper_container_start(container, &options, &process, &error) == COOPER_OK) {
    show(argv[4]);
    for (int i = 5; i < argc && cooper_container_set(container, argv[i], &error) == COOPER_OK; ++i) show(argv[4]);
    (void)cooper_container_signal(container, SIGKILL, NULL);
    (void)cooper_process_wait(process, &status, NULL);
  }
  if (error.code != COOPER_OK) fprintf(stderr, "%s\n", error.message);
  (void)cooper_container_destroy(container, NULL);
  cooper_process_free(process);
  cooper_container_free(container);
  cooper_factory_free(factory);
  return error.code != COOPER_OK;
}
"""


@pytest.mark.needs("gcc", "root", "memory-limits")
@pytest.mark.guest
def test_set_changes_limits(installed, box, workdir):
    """Set: limits of a running container are those of the new configuration."""
    (workdir / "setter.c").write_text(SETTER)
    program = compile_example(installed, workdir / "setter.c", "cc", "-Wall", "-Wextra", "-Werror")
    limits = []
    for mebibytes in (32, 64, 48):
        box.config["cgroups"]["memory"] = mebibytes << 20
        limits.append(box.write().read_text())
    file = cgroups.home(box.cgroup, "memory") / ("memory.limit_in_bytes" if cgroups.is_v1() else "memory.max")
    out = start(program, installed, workdir / "state", box.id, limits[0], file, *limits[1:]).check().out
    assert [int(part) for part in out.split("--\n")[:-1]] == [32 << 20, 64 << 20, 48 << 20]


@pytest.mark.needs("gcc", "root", "cgroup1-devices")
def test_set_writes_what_was_asked(installed, box, workdir):
    """New limits of a running container: its device rules are those of the new configuration, and no others."""
    (workdir / "setter.c").write_text(SETTER)
    program = compile_example(installed, workdir / "setter.c", "cc", "-Wall", "-Wextra", "-Werror")
    allowed = []
    for devices in ([lc.char("", 1, 3)], [lc.char("", 1, 3, "r"), lc.char("", 1, 5)], [], [lc.char("", 1, 9)]):
        box.config["cgroups"]["allowed_devices"] = devices
        allowed.append(box.write().read_text())
    file = cgroups.directory("devices", box.cgroup) / "devices.list"
    out = start(program, installed, workdir / "state", box.id, allowed[0], file, *allowed[1:]).check().out
    assert [sorted(part.split("\n")[:-1]) for part in out.split("--\n")[:-1]] == [["c 1:3 rwm"], ["c 1:3 r", "c 1:5 rwm"], [], ["c 1:9 rwm"]]
    assert os.listdir(workdir / "state") == []


# STATE ID CONFIG NEW-CONFIG...: starts a container, and after each new configuration prints code, status and message, then the stored state.
CHANGER = r"""
#include <cooper/cooper.h>
#include <signal.h>
#include <stdio.h>

int main(int argc, char** argv) {
  const char* const args[] = {"sleep", "1000", NULL};
  cooper_factory* factory = NULL;
  cooper_container* container = NULL;
  cooper_process* process = NULL;
  cooper_process_options options = COOPER_PROCESS_OPTIONS_INIT;
  cooper_error error = {0};
  cooper_status status = COOPER_RUNNING;
  char path[4096], text[65536];
  options.args = args;
  if (cooper_factory_open(argv[1], &factory, &error) == COOPER_OK &&
      cooper_factory_create(factory, argv[2], argv[3], &container, &error) == COOPER_OK &&
      cooper_container_start(container, &options, &process, &error) == COOPER_OK) {
    for (int i = 4; i < argc; ++i) {
      cooper_code code = cooper_container_set(container, argv[i], &error);
      (void)cooper_container_status(container, &status, NULL);
      printf("%d %d %s\x1f", code, status, error.message);
      snprintf(path, sizeof path, "%s/%s/state.json", argv[1], argv[2]);
      FILE* file = fopen(path, "r");
      size_t n = file == NULL ? 0 : fread(text, 1, sizeof text, file);
      fwrite(text, 1, n, stdout);
      putchar('\x1e');
      if (file != NULL) fclose(file);
    }
    (void)cooper_container_resume(container, NULL);
    (void)cooper_container_signal(container, SIGKILL, NULL);
    (void)cooper_process_wait(process, NULL, NULL);
  } else {
    fprintf(stderr, "%s\n", error.message);
  }
  (void)cooper_container_destroy(container, NULL);
  cooper_process_free(process);
  cooper_container_free(container);
  cooper_factory_free(factory);
  return 0;
}
"""


@pytest.mark.needs("gcc", "root")
@pytest.mark.guest
def test_set_checks_and_freezes(installed, box, workdir):
    """Set: what create refuses is refused; a running container is frozen and goes on as `freezer` says; the stored state says so."""
    (workdir / "changer.c").write_text(CHANGER)
    program = compile_example(installed, workdir / "changer.c", "cc", "-Wall", "-Wextra", "-Werror")
    (workdir / "link").symlink_to(box.folder)
    configs = [box.write().read_text()]
    for change in ({"rootfs": str(workdir / "nowhere")}, {"rootfs": str(workdir / "link" / "rootfs")}):
        configs.append(json.dumps(box.config | change))
    for word in ("FROZEN", "THAWED"):
        box.config["cgroups"] |= {"freezer": word, "cpu_shares": 512}
        configs.append(box.write().read_text())
    out = start(program, installed, workdir / "state", box.id, *configs).check().out
    said = [part.split("\x1f") for part in out.split("\x1e")[:-1]]
    assert [words.split()[0] for words, _ in said] == ["7", "7", "0", "0"]
    assert "nowhere" in said[0][0] and "symbolic link" in said[1][0]
    assert [words.split()[1] for words, _ in said] == ["1", "1", "3", "1"]
    assert [json.loads(state)["config"]["cgroups"]["freezer"] for _, state in said[2:]] == ["FROZEN", "THAWED"]
    assert json.loads(said[2][1])["config"]["cgroups"]["cpu_shares"] == 512
    assert os.listdir(workdir / "state") == []


# STATE ID CONFIG: what is missing in a call, and what is called after the end; prints the codes.
CALLER = r"""
#include <cooper/cooper.h>
#include <stdio.h>
#include <string.h>

static int removed = 0;

static int poststop(void* data, const char* state) {
  (void)data, (void)state;
  ++removed;
  return 0;
}

static cooper_error error;

static void null(cooper_code code) {
  printf("%d%s ", code, strstr(error.message, "must not be NULL") == NULL ? "?" : "");
}

int main(int argc, char** argv) {
  const char* const args[] = {"true", NULL};
  cooper_factory* factory = NULL;
  cooper_container* container = NULL;
  cooper_process* process = NULL;
  cooper_process_options options = COOPER_PROCESS_OPTIONS_INIT;
  cooper_hooks hooks = {NULL, NULL, poststop, NULL};
  cooper_events* events = NULL;
  pid_t* pids = NULL;
  if (argc != 4) return 125;
  null(cooper_factory_open(NULL, &factory, &error));
  null(cooper_factory_open(argv[1], NULL, &error));
  null(cooper_factory_open_with(argv[1], NULL, &factory, &error));
  if (cooper_factory_open(argv[1], &factory, &error) != COOPER_OK) return 1;
  null(cooper_factory_create(factory, argv[2], NULL, &container, &error));
  null(cooper_factory_create(factory, NULL, argv[3], &container, &error));
  null(cooper_factory_create(factory, argv[2], argv[3], NULL, &error));
  null(cooper_factory_load(factory, NULL, &container, &error));
  if (cooper_factory_create(factory, argv[2], argv[3], &container, &error) != COOPER_OK) return 2;
  null(cooper_container_set(container, NULL, &error));
  null(cooper_container_config(container, NULL, &error));
  null(cooper_container_state(container, NULL, &error));
  null(cooper_container_stats(container, NULL, &error));
  null(cooper_container_status(container, NULL, &error));
  null(cooper_container_processes(container, &pids, NULL, &error));
  null(cooper_container_start(container, NULL, &process, &error));
  options.args = args;
  options.extra_fd_count = 1;
  null(cooper_container_start(container, &options, &process, &error));
  options.extra_fd_count = 0;
  null(cooper_container_start(container, &options, NULL, &error));
  null(cooper_container_checkpoint(container, NULL, &error));
  null(cooper_container_restore(container, NULL, &process, &error));
  null(cooper_container_notify_oom(container, NULL, &error));
  null(cooper_container_pause(NULL, &error));
  null(cooper_process_wait(NULL, NULL, &error));
  null(cooper_events_wait(events, NULL, NULL));
  cooper_container_set_hooks(container, &hooks);
  cooper_container_set_hooks(container, NULL);
  cooper_container_set_hooks(container, &hooks);
  printf("\n%d ", cooper_container_destroy(container, &error));
  printf("%d ", cooper_container_destroy(container, &error));
  printf("%d ", cooper_container_start(container, &options, &process, &error));
  printf("%d ", cooper_container_set(container, argv[3], &error));
  printf("%d\n", removed);
  cooper_container_free(container);
  cooper_factory_free(factory);
  return 0;
}
"""


@pytest.mark.needs("gcc", "root")
def test_wrong_calls(installed, box, workdir):
    """NULL where there must be something is an answer, not an end; a container that was destroyed is not there any more."""
    (workdir / "caller.c").write_text(CALLER)
    program = compile_example(installed, workdir / "caller.c", "cc", "-Wall", "-Wextra", "-Werror")
    first, second = start(program, installed, workdir / "state", box.id, box.write().read_text()).check().lines
    assert first.split() == ["7"] * 22
    assert second.split() == ["0", "3", "3", "3", "1"]
    assert os.listdir(workdir / "state") == []


# ROOT SYSTEMD TMPFS ID CONFIG: opens a factory, makes a container, which is not started, and loads it; prints its configuration.
OPENER = r"""
#include <cooper/cooper.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char** argv) {
  cooper_factory_options options = COOPER_FACTORY_OPTIONS_INIT;
  cooper_factory* factory = NULL;
  cooper_container* container = NULL;
  cooper_container* loaded = NULL;
  cooper_error error = {0};
  char* json = NULL;
  if (argc != 6) return 125;
  options.systemd_cgroups = atoi(argv[2]);
  options.tmpfs_root = atoi(argv[3]);
  if (cooper_factory_open_with(argv[1], &options, &factory, &error) == COOPER_OK &&
      cooper_factory_create(factory, argv[4], argv[5], &container, &error) == COOPER_OK &&
      cooper_factory_load(factory, argv[4], &loaded, &error) == COOPER_OK &&
      cooper_container_config(loaded, &json, &error) == COOPER_OK)
    printf("%s %s %s\n%s\n", cooper_factory_type(factory), cooper_container_id(container), cooper_container_id(loaded), json);
  if (error.code != COOPER_OK) fprintf(stderr, "%s; %s\n", error.message, error.hint);
  cooper_free(json);
  cooper_container_free(loaded);
  cooper_container_free(container);
  cooper_factory_free(factory);
  return (int)error.code;
}
"""


@pytest.mark.needs("gcc", "root")
def test_factory_calls(installed, box, workdir):
    """Create, Load, Type, ID, Config: what was made is loaded under its id, with its configuration; an id is in use once."""
    (workdir / "opener.c").write_text(OPENER)
    program = compile_example(installed, workdir / "opener.c", "cc", "-Wall", "-Wextra", "-Werror")
    words = (workdir / "state", 0, 0, "made", box.write().read_text())
    first, _, config = start(program, installed, *words).check().out.partition("\n")
    assert first == "libcontainer made made"
    assert json.loads(config)["rootfs"] == str(box.rootfs) and json.loads(config)["hostname"] == "integration"
    assert start(program, installed, *words).fails("exists").rc == 1


@pytest.mark.needs("gcc", "root")
def test_factory_options(installed, box, workdir):
    """TmpfsRoot mounts a tmpfs on the root once; SystemdCgroups is refused where systemd does not run; Cgroupfs is the usual way."""
    (workdir / "opener.c").write_text(OPENER)
    program = compile_example(installed, workdir / "opener.c", "cc", "-Wall", "-Wextra", "-Werror")
    root, config = workdir / "state", box.write().read_text()
    mounts = lambda: [line for line in open("/proc/self/mountinfo", encoding="utf-8") if line.split()[4] == str(root)]  # noqa: E731
    assert start(program, installed, root, 0, 0, "plain", config).rc == 0 and not mounts()
    proc.run("rm", "-r", root).check()
    for ident in ("first", "second"):
        assert start(program, installed, root, 0, 1, ident, config).rc == 0
        assert len(mounts()) == 1 and " - tmpfs " in mounts()[0]
    assert sorted(os.listdir(root)) == ["first", "second"]
    proc.run("umount", root).check()
    assert os.listdir(root) == []
    if not os.path.isdir("/run/systemd/system"):
        result = start(program, installed, root, 1, 0, "third", config)
        assert result.rc == 10 and "systemd does not run" in result.err and "cgroupfs" in result.err
        assert os.listdir(root) == []


@pytest.mark.needs("gcc", "root")
def test_only_the_interface_is_visible(installed):
    """The shared object exports the C interface and nothing else, and needs no C++ library."""
    listed = proc.run("nm", "-D", "--defined-only", installed / "lib/libcooper.so").check().lines
    names = {line.split()[-1].split("@")[0] for line in listed}
    assert names and all(name.startswith("cooper_") for name in names), sorted(names)[:20]
    needed = proc.run("readelf", "-d", installed / "lib/libcooper.so").check().out
    assert "libstdc++" not in needed and "libcrypto" not in needed
