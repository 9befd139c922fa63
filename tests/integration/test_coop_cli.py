"""The command line beside the container verbs: spec, features, usage errors, plans."""

import json
import os
import re
import xml.etree.ElementTree

import pytest

from lib import cgroups, paths, proc

only_coop = pytest.mark.differs(runc="has no plans", crun="has no plans")


def test_spec(runtime, bundle, workdir):
    """spec writes a config.json that run accepts once the terminal is switched off."""
    (bundle.path / "config.json").unlink(missing_ok=True)
    runtime("spec", "--bundle", bundle.path).check()
    written = json.loads((bundle.path / "config.json").read_text())
    assert written["process"]["args"] == ["sh"]
    assert written["process"]["terminal"] is True
    assert written["root"] == {"path": "rootfs", "readonly": True}
    assert {n["type"] for n in written["linux"]["namespaces"]} >= {"pid", "network", "ipc", "uts", "mount"}
    assert [m["destination"] for m in written["mounts"]] == ["/proc", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue", "/sys", "/sys/fs/cgroup"]
    written["process"].update(terminal=False, args=["echo", "from spec"])
    written["linux"]["cgroupsPath"] = bundle.linux["cgroupsPath"]
    bundle.config = written
    assert runtime.output(bundle) == "from spec\n"


def test_spec_in_cwd(runtime, workdir):
    """Without --bundle it is written to the current directory."""
    runtime("spec", cwd=workdir).check()
    assert json.loads((workdir / "config.json").read_text())["ociVersion"].startswith("1.")


def test_spec_refuses_to_overwrite(runtime, workdir):
    """An existing config.json stays."""
    (workdir / "config.json").write_text("mine")
    runtime("spec", "--bundle", workdir).fails("config.json", rc=1)
    assert (workdir / "config.json").read_text() == "mine"


def test_spec_rootless(runtime, workdir):
    """--rootless: a user namespace with the caller as root, no network namespace, no resources, /sys bound."""
    runtime("spec", "--rootless", "--bundle", workdir).check()
    config = json.loads((workdir / "config.json").read_text())
    kinds = {n["type"] for n in config["linux"]["namespaces"]}
    assert "user" in kinds and "network" not in kinds
    assert config["linux"]["uidMappings"] == [{"containerID": 0, "hostID": os.geteuid(), "size": 1}]
    assert not config["linux"].get("resources")
    assert next(m for m in config["mounts"] if m["destination"] == "/sys")["source"] == "/sys"


@pytest.mark.differs(crun="1.8 has no features command")
def test_features(runtime):
    """features prints the document of the specification."""
    text = json.loads(runtime("features").check().out)
    assert text["ociVersionMin"] == "1.0.0"
    assert text["ociVersionMax"].startswith("1.")
    assert set(text["hooks"]) >= {"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"}
    assert set(text["mountOptions"]) >= {"ro", "rw", "bind", "rbind", "nosuid", "nodev", "noexec", "rprivate", "rslave", "rro", "tmpcopyup"}
    assert set(text["linux"]["namespaces"]) >= {"pid", "network", "mount", "ipc", "uts", "user", "cgroup"}
    assert "CAP_SYS_ADMIN" in text["linux"]["capabilities"]
    assert text["linux"]["cgroup"]["v1"] is True
    assert text["linux"]["seccomp"]["enabled"] is True
    assert "SCMP_ACT_ERRNO" in text["linux"]["seccomp"]["actions"]
    assert "SCMP_CMP_MASKED_EQ" in text["linux"]["seccomp"]["operators"]
    assert "SCMP_ARCH_X86_64" in text["linux"]["seccomp"]["archs"]


def test_features_are_true(runtime, bundle, workdir):
    """Every mount option that features lists is accepted (or refused by the kernel, never unknown to the runtime)."""
    if runtime.kind != "coop":
        pytest.skip("looks at coop's own words")
    (workdir / "data").mkdir()
    for option in json.loads(runtime("features").check().out)["mountOptions"]:
        if option in ("remount", "idmap", "ridmap"):
            continue
        trial = [option] if option in ("tmpcopyup",) else ["rbind", option]
        bundle.mounts.append({"destination": "/mnt", "type": "tmpfs" if option == "tmpcopyup" else "bind", "source": str(workdir / "data"), "options": trial})
        result = runtime.run(bundle)
        bundle.mounts.pop()
        assert result.rc == 0 or "invalid argument" in result.err.lower(), f"{option}\n{result}"


def test_version(runtime):
    """--version names the program and the specification's version."""
    for flag in ("--version", "-v"):
        out = runtime(flag).check().out
        assert " version " in out.splitlines()[0]
        assert "spec: 1." in out
        commit = [line for line in out.splitlines() if line.startswith("commit: ")]
        if runtime.kind == "coop" and commit:  # sources in a repository
            assert re.fullmatch("commit: [0-9a-f]{40}(-dirty)?", commit[0])
            assert json.loads(runtime("features").check().out)["annotations"]["org.cooper.commit"] == commit[0].split()[1]


@pytest.mark.differs(crun="1.8 has no features command", runc="1.1 does not list them")
def test_features_annotations(runtime):
    """Every member is there once; the annotations that change what a runtime does are listed."""
    seen = []
    json.loads(runtime("features").check().out, object_pairs_hook=lambda pairs: seen.append([key for key, _ in pairs]) or dict(pairs))
    assert all(len(set(keys)) == len(keys) for keys in seen)
    text = json.loads(runtime("features").out)
    assert set(text["potentiallyUnsafeConfigAnnotations"]) == {"org.criu.config", "org.systemd.property.", "run.oci.keep_original_groups"}


@pytest.mark.differs(crun="no --rootless with a value", runc="1.1 takes any word for most commands")
def test_rootless_words(runtime):
    """--rootless takes every word for true and false, and auto; others are an error."""
    for word in ("true", "1", "T", "false", "0", "auto"):
        runtime("list", "-q", flags=("--rootless", word)).check()
    runtime("list", "-q", flags=("--rootless", "maybe")).fails("maybe", rc=1)


@pytest.mark.parametrize("args", [("help",), ("--help",), ("-h",), ("run", "--help"), ("exec", "-h")])
@pytest.mark.differs(crun="no help command")
def test_help(runtime, args):
    """Help is printed on standard output, exit 0."""
    assert "usage" in runtime(*args).check().out.lower()


@pytest.mark.parametrize("args", [("no-such-command",), ("run", "--no-such-flag", "x"), ("--no-such-flag",)])
def test_usage_errors(runtime, args):
    """Unknown commands and flags: exit 1, and the word is named."""
    result = runtime(*args)
    assert result.rc != 0
    assert args[-1].split("x")[0].strip("-") in (result.err + result.out) or "no-such" in (result.err + result.out)


@pytest.mark.parametrize("command", ["create", "run", "start", "state", "kill", "delete", "pause", "resume", "ps"])
def test_missing_id(runtime, command):
    """A verb without its id: exit 1."""
    assert runtime(command).rc == 1


@pytest.mark.parametrize("command", ["create", "start", "state", "pause", "resume"])
@pytest.mark.differs(crun="ignores the rest")
def test_too_many_arguments(runtime, command):
    """A verb with more than its id: exit 1."""
    assert runtime(command, "one", "two").rc == 1


@pytest.mark.parametrize("root", ["", "/"])
@pytest.mark.differs(crun="takes them", runc="1.1 takes them")
def test_bad_state_root(runtime, bundle, root):
    """--root '' and --root / are refused."""
    from lib import proc

    bundle.save()
    result = proc.run(runtime.binary, "--root", root, "run", "--bundle", bundle.path, bundle.id, env=runtime.environ)
    assert result.rc == 1, result
    assert not os.path.exists(f"/{bundle.id}")


def test_flags_with_equals(runtime, bundle):
    """--flag=value and --flag value are the same; -flag (one dash) works as in runc's parser."""
    bundle.args("echo", "x").save()
    assert runtime("run", f"--bundle={bundle.path}", bundle.id).check().out == "x\n"


@pytest.mark.differs(crun="no --rootless with a value")
def test_global_flags_of_callers(runtime, bundle, workdir):
    """The global flags that podman, containerd and docker pass are known."""
    bundle.save()
    for flags in (("--debug",), ("--systemd-cgroup=false",), ("--rootless", "false"), ("--log", workdir / "l", "--log-format", "json")):
        runtime("run", "--bundle", bundle.path, bundle.id, flags=flags).check()


@pytest.mark.skipif(os.path.isdir("/run/systemd/system"), reason="systemd runs here")
@pytest.mark.differs(runc="another message", crun="another message")
def test_systemd_cgroup_without_systemd(runtime, bundle):
    """--systemd-cgroup where systemd does not run: one sentence says so, whatever cgroupsPath is."""
    for path in ("system.slice:coopit:x", bundle.linux["cgroupsPath"]):
        bundle.linux["cgroupsPath"] = path
        result = runtime.run(bundle.sh("true"), flags=("--systemd-cgroup",))
        assert result.rc == 1
        assert "systemd does not run on this host" in result.err and "cgroupfs" in result.err
        assert len(result.err.splitlines()) == 1


def dry(runtime, bundle, form="text"):
    """The output of run --dry-run."""
    bundle.save()
    return runtime("run", f"--dry-run={form}", "--bundle", bundle.path, bundle.id).check().out


@only_coop
class TestPlan:
    """run --dry-run prints the ordered kernel steps and does nothing."""

    def test_text(self, runtime, bundle):
        """Text: one step a line, in an order the kernel can take."""
        text = dry(runtime, bundle)
        steps = [line.split()[2] for line in text.splitlines()]
        places = [steps.index(word) for word in ("clone", "mount-root", "pivot-root", "readonly-root", "set-credentials", "exec")]
        assert places == sorted(places)
        assert steps[-1] == "exec"
        for mount in bundle.mounts:
            assert mount["destination"] in text
        for path in bundle.linux["readonlyPaths"] + bundle.linux["maskedPaths"]:
            assert path in text

    def test_json(self, runtime, bundle):
        """JSON: a record with the list of steps; each says who takes it and what it is, in the order of the text."""
        plan = json.loads(dry(runtime, bundle, "json"))
        assert plan["id"] == bundle.id
        assert len(plan["steps"]) > 20
        assert {step["actor"] for step in plan["steps"]} == {"parent", "child"}
        names = [step["step"] for step in plan["steps"]]
        assert len(set(names)) > 10
        text, place = dry(runtime, bundle), 0
        for name in names:
            place = text.find(name, place)
            assert place >= 0, f"{name} is not in its place in the text"

    def test_default_is_text(self, runtime, bundle):
        """--dry-run alone prints the text."""
        bundle.save()
        assert runtime("run", "--dry-run", "--bundle", bundle.path, bundle.id).check().out == dry(runtime, bundle)
        runtime("run", "--dry-run=xml", "--bundle", bundle.path, bundle.id).fails("xml", rc=1)

    def test_no_effect(self, runtime, bundle, workdir):
        """Nothing is made: no state, no cgroup, no file in the root file system, no hook runs."""
        bundle.add_mount("/new/point", "tmpfs", "tmpfs").hook("createRuntime", "/bin/touch", workdir / "touched")
        dry(runtime, bundle)
        assert not runtime.has_state(bundle.id)
        assert cgroups.named(bundle.id) == []
        assert not (bundle.rootfs / "new").exists()
        assert not (workdir / "touched").exists()

    def test_is_repeatable(self, runtime, bundle):
        """The same configuration gives the same plan."""
        assert dry(runtime, bundle) == dry(runtime, bundle)


@only_coop
class TestTraceTiming:
    """run --trace-timing says when each step of the start ran."""

    def test_json_holds_every_step_of_the_plan(self, runtime, bundle, workdir):
        """The steps are those of the plan; all were reached, each after the start of those before it in its process."""
        plan = json.loads(dry(runtime, bundle, "json"))
        file = workdir / "times.json"
        runtime.run(bundle, f"--trace-timing={file}").check()
        times = json.loads(file.read_text())
        assert [step["step"].split()[0] for step in times["steps"]] == [step["step"] for step in plan["steps"]]
        for actor in ("parent", "child"):
            begins = [step["begin"] for step in times["steps"] if step["actor"] == actor]
            assert begins == sorted(begins)
        assert [mark["what"] for mark in times["marks"]][0] == "begin"
        lasted = times["marks"][-1]["at"]
        assert all(0 < step["begin"] <= lasted for step in times["steps"])

    def test_picture(self, runtime, bundle, workdir):
        """A file named .svg is an SVG document with a bar for each step."""
        file = workdir / "times.svg"
        runtime.run(bundle, f"--trace-timing={file}").check()
        root = xml.etree.ElementTree.parse(file).getroot()
        assert root.tag.endswith("svg")
        bars = [node for node in root if node.tag.endswith("rect")]
        assert len(bars) > len(json.loads(dry(runtime, bundle, "json"))["steps"])

    def test_text_goes_to_standard_error(self, runtime, bundle):
        """Alone it prints lines on standard error; the container's own output and status are untouched."""
        bundle.args("/bin/sh", "-c", "echo out; exit 3")
        result = runtime.run(bundle, "--trace-timing")
        assert (result.rc, result.out) == (3, "out\n")
        assert "pivot-root" in result.err and "ms" in result.err

    def test_a_file_that_cannot_be_written_is_a_warning(self, runtime, bundle, workdir):
        """The container has run by then: its status counts."""
        result = runtime.run(bundle, f"--trace-timing={workdir}/nowhere/times.txt").check()
        assert "--trace-timing" in result.err

    def test_follows_the_config(self, runtime, bundle):
        """What is asked for shows up as a step, and only then."""
        before = dry(runtime, bundle)
        assert "barrel" not in before and "/data/extra" not in before
        bundle.config["hostname"] = "barrel"
        bundle.add_mount("/data/extra", "tmpfs", "tmpfs", "size=1m")
        bundle.linux["sysctl"] = {"net.ipv4.ip_forward": "1"}
        after = dry(runtime, bundle)
        assert "barrel" in after and "/data/extra" in after and "ip_forward" in after
        assert len(after.splitlines()) > len(before.splitlines())

    def test_errors(self, runtime, bundle):
        """A configuration that run refuses is refused."""
        bundle.linux["namespaces"].append({"type": "colour"})
        bundle.save()
        runtime("run", "--dry-run", "--bundle", bundle.path, bundle.id).fails("colour", rc=1)

    def test_executor_walks_the_plan(self, runtime, bundle, workdir):
        """Every mount point of the plan, and no other, is in the container's mountinfo."""
        from lib import mountinfo

        plan = json.loads(dry(runtime, bundle, "json"))
        planned = {v for step in plan["steps"] for v in flat(step) if isinstance(v, str) and v.startswith("/")}
        mounts = mountinfo.parse(runtime.output(bundle.args("cat", "/proc/self/mountinfo")))
        points = {m.point for m in mounts} - {"/"}
        strangers = {p for p in points if not any(p == q or p.startswith(q + "/") for q in planned)}
        assert not strangers


def flat(value):
    """Every scalar in a JSON value."""
    if isinstance(value, dict):
        for child in value.values():
            yield from flat(child)
    elif isinstance(value, list):
        for child in value:
            yield from flat(child)
    else:
        yield value


@only_coop
def test_order_of_functions_is_current(runtime):
    """What a start calls lies together in the program: most names of the file for the linker are there, and near each other."""
    order = paths.REPOSITORY / "src/bin/coop.order"
    if not order.exists():
        pytest.skip("the sources are not here")
    listed = order.read_text().split()
    found = {line.split()[-1]: int(line.split()[0], 16) for line in proc.run("nm", "--defined-only", runtime.binary).out.splitlines()}
    if not found:
        pytest.skip("coop has no symbols")
    known = sorted(found[name] for name in listed if name in found)
    assert len(known) > 0.8 * len(listed), "run tools/order-functions on a release build"
    if proc.run("readelf", "-p", ".comment", runtime.binary).out.count("LLD"):
        middle = known[len(known) // 20 : -len(known) // 20]
        assert middle[-1] - middle[0] < 1_500_000, "the linker did not follow src/bin/coop.order"


@only_coop
def test_help_after_values(runtime):
    """--help is asked for behind flags with values, too; as a value, or behind the program, it is not."""
    for words in (("exec", "-e", "A=b", "--help"), ("ps", "-f", "json", "--help"), ("exec", "--user", "0", "-h")):
        assert "--help" not in runtime(*words).check().err
    runtime("exec", "-e", "--help").fails(rc=255)


@only_coop
def test_debug_tells_the_steps(runtime, bundle, workdir):
    """--debug: the steps of the plan, as --dry-run has them."""
    bundle.args("true").save()
    runtime("--debug", "--log", workdir / "log", "run", "--bundle", bundle.path, bundle.id).check()
    text = (workdir / "log").read_text()
    assert "level=debug" in text and "pivot-root" in text
    steps = [line for line in dry(runtime, bundle).splitlines() if line.lstrip()[:1].isdigit()]
    assert steps and not [step for step in steps if f'step="{step.split(chr(34))[0]}' not in text]
