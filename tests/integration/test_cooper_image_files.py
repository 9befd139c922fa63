"""Images that are one file of the host: squashfs, erofs and SIF, run where they lie."""

import hashlib
import json
import os
import pathlib
import shutil
import signal

import pytest

from lib import image_files, mountinfo, proc, rootfs
from lib.cooper import busybox_layout, cooper, cooper_session, engine_dir, new_engine  # noqa: F401

pytestmark = pytest.mark.needs("root", "cooper", "isolation", "squashfs")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder with image.sqfs, image.sif (with actions of Apptainer) and plain.sif (without)."""
    folder = tmp_path_factory.mktemp("files")
    tree = rootfs.make_busybox(folder / "tree")
    os.mknod(tree / "probe/null", 0o20666, os.makedev(1, 3))
    image_files.squashfs(tree, folder / "image.sqfs")
    image_files.sif(folder / "plain.sif", image_files.entry((folder / "image.sqfs").read_bytes()))
    image_files.add_actions(tree)
    packed = image_files.squashfs(tree, folder / "with-actions").read_bytes()
    labels = image_files.entry(b"{}", image_files.LABELS)
    image_files.sif(folder / "image.sif", labels, image_files.entry(packed))
    yield folder
    shutil.rmtree(folder)


def no_loops(path):
    """The kernel unmounts a moment after the last process."""
    proc.until(lambda: not image_files.loops(path), 10, 0.02, "loop devices that go away")


@pytest.mark.parametrize("name", ["image.sqfs", "image.sif", "plain.sif"])
def test_command(cooper, files, name):
    """A command runs in the file system of the file, which stays as it is; nothing of it is left behind."""
    before = hashlib.sha256((files / name).read_bytes()).digest()
    script = "cat /etc/passwd | head -n1; echo mine > /etc/new; rm /etc/group; ls /etc"
    result = cooper("run", "--rm", files / name, "sh", "-c", script).check()
    assert result.lines[0] == "root:x:0:0:root:/root:/bin/sh" and "new" in result.lines and "group" not in result.lines
    assert hashlib.sha256((files / name).read_bytes()).digest() == before
    no_loops(files / name)


def test_relative_path(cooper, files):
    """Paths are those of the caller; a name without './' is one of the store."""
    assert cooper("run", "--rm", "./image.sqfs", "echo", "here", cwd=files).check().out == "here\n"
    (files / "sub").mkdir()
    assert cooper("run", "--rm", "../image.sqfs", "echo", "up", cwd=files / "sub").check().out == "up\n"
    assert "is not in the store" in cooper("run", "--rm", "image.sqfs", "true", cwd=files).check(125).err


def test_mounts(cooper, files):
    """The squashfs is below an overlay without set-user-ID programs and devices; the host sees neither."""
    with cooper.running("one", image=files / "image.sif"):
        root = mountinfo.at(mountinfo.read(cooper.pid("one")), "/")
        assert root.fstype == "overlay" and {"rw", "nosuid", "nodev"} <= root.options
        assert not any(m.fstype == "squashfs" for m in mountinfo.read(cooper.pid("one")))
        assert not any(m.fstype in ("squashfs", "overlay") for m in mountinfo.read() if "cooperit" in m.point)
        device = image_files.loops(files / "image.sif")
        assert len(device) == 1
        assert pathlib.Path(f"/sys/block/{device[0]}/ro").read_text() == "1\n"
        assert pathlib.Path(f"/sys/block/{device[0]}/loop/autoclear").read_text() == "1\n"
        refused = cooper("exec", "one", "sh", "-c", "echo x > /probe/null")
        assert refused.rc != 0 and "ermission denied" in refused.err
    no_loops(files / "image.sif")


def test_read_only(cooper, files):
    """--read-only holds for the overlay."""
    script = "touch /etc/x; touch /tmp/y && echo tmp"
    result = cooper("run", "--rm", "--read-only", files / "image.sqfs", "sh", "-c", script)
    assert result.out == "tmp\n" and "Read-only file system" in result.err


def test_runscript(cooper, files):
    """Without a command the image's runscript runs, with the environment of the image; a command gets that too."""
    assert cooper("run", "--rm", files / "image.sif").check().out == "run: hello\n"
    assert cooper("run", "--rm", files / "image.sif", "sh", "-c", "echo $GREETING").check().out == "hello\n"
    direct = cooper("run", "--rm", "--entrypoint", "sh", files / "image.sif", "-c", "echo [$GREETING]")
    assert direct.check().out == "[]\n"
    result = cooper("run", "--rm", files / "plain.sif").check(125)
    assert "no command to run" in result.err and "give one after the image" in result.err


def test_verbs(cooper, files):
    """ps, inspect, exec, logs, stop and rm know such a container."""
    path = files / "image.sif"
    with cooper.running("web", image=path, command=("sh", "-c", "echo out; sleep 1000")):
        assert str(path) in cooper("ps").check().out
        record = cooper.inspect("web")
        assert record["image"] == str(path) and record["image_id"] == "" and record["state"] == "running"
        proc.until(lambda: cooper("logs", "web").check().out == "out\n", what="output")
        assert cooper("exec", "web", "head", "-c5", "/etc/passwd").check().out == "root:"
        cooper("stop", "-t", "0", "web").check()
        assert cooper.state("web") == "exited"
        no_loops(path)
    assert cooper("inspect", "web").rc != 0


def test_user_and_volume(cooper, files):
    """Users are those of the image; an empty volume gets what the image has in its place."""
    out = cooper("run", "--rm", "--user", "user", "-v", "/home", files / "image.sqfs", "sh", "-c", "id -u; stat -c %u /home/user").check()
    assert out.lines == ["1000", "1000"]
    assert "not in the image's /etc/passwd" in cooper("run", "--rm", "--user", "nix", files / "image.sqfs", "true").check(125).err


def test_mounts_of_apptainer(cooper, files, tmp_path):
    """What Apptainer shows of the host by itself is not there: /tmp, the home, the caller's directory, users; /proc and /sys are the container's. Its words show it."""
    home = tmp_path / "me"
    home.mkdir()
    (home / "mark").write_text("of the host\n")
    passwd = (files / "tree/etc/passwd").read_text()
    script = (f"ls {tmp_path}; ls -A /tmp; pwd; echo $HOME; echo $MARK; echo $$; ls /proc | grep -c '^[0-9]'; touch /sys/x; "
              "grep -c 'host-only-name' /etc/hosts; cat /etc/passwd")  # fmt: skip
    environ = {"MARK": "of the caller", "HOME": str(home)}
    out = cooper("run", "--rm", files / "image.sif", "sh", "-c", script, cwd=home, env=environ)
    assert out.lines[:3] == ["/", "/root", ""] and out.out.endswith(passwd) and int(out.lines[4]) < 9, out
    assert "No such file" in out.err and "Read-only file system" in out.err
    binds = ("--bind", f"{home}:/data:ro,{tmp_path}", "--home", f"{home}:/home/me", "--pwd", "/data", "--contain", "--cleanenv", "--env", "MARK=x")
    script = f"pwd; cat mark {home}/mark $HOME/mark; echo $HOME $MARK; touch /data/x; touch /home/me/new"
    out = cooper("run", "--rm", *binds, "--mount", f"type=bind,source={home},destination=/m,ro", files / "image.sif", "sh", "-c", script + "; cat /m/mark")
    assert out.lines == ["/data", *["of the host"] * 3, "/home/me x", "of the host"] and "Read-only" in out.err, out
    assert (home / "new").exists() and not (home / "x").exists()


def test_two_at_once(cooper, files):
    """Two containers of one file write apart."""
    with cooper.running("a", image=files / "image.sif"), cooper.running("b", image=files / "image.sif"):
        cooper("exec", "a", "touch", "/etc/only-a").check()
        assert cooper("exec", "b", "test", "-e", "/etc/only-a").rc == 1
    no_loops(files / "image.sif")


def test_file_removed_while_it_runs(cooper, files, tmp_path):
    """The container keeps the file it was started with."""
    path = shutil.copy(files / "image.sif", tmp_path / "gone.sif")
    with cooper.running("gone", image=path):
        path.unlink()
        assert cooper("exec", "gone", "cat", "/etc/passwd").check().lines[0].startswith("root:")
    no_loops(path)


def test_file_changed_before_it_runs(cooper, files, tmp_path):
    """A prepared pod does not run with another file, nor with one that was written to."""
    path = shutil.copy(files / "image.sif", tmp_path / "other.sif")
    for change in (lambda: shutil.copy(files / "plain.sif", path), lambda: os.utime(path, ns=(1, 1)), path.unlink):
        pod = cooper("pod", "prepare", path, "--", "true").check().out.strip()
        change()
        result = cooper("pod", "run-prepared", pod)
        assert result.rc == 125 and ("has changed" in result.err or "no such file" in result.err), result.err
        cooper("pod", "rm", pod).check()
    no_loops(path)


def test_not_ours(cooper, files, tmp_path):
    """Whose file it is and what its mode says does not matter to root."""
    path = shutil.copy(files / "image.sif", tmp_path / "theirs.sif")
    os.chown(path, 1000, 1000)
    path.chmod(0o400)
    assert cooper("run", "--rm", path).check().out == "run: hello\n"


def test_pod(cooper, files):
    """Apps of a pod may be files, beside images of the store."""
    out = cooper("pod", "run", files / "image.sif", "--", "echo", "file", "---", "busybox", "--", "echo", "store").check().out
    assert "file" in out and "store" in out


def test_killed_monitor(cooper, files):
    """Neither mounts nor loop devices survive a monitor and its guardian that are killed."""
    with cooper.running("victim", image=files / "image.sif"):
        monitor = cooper.monitor("victim")
        guardian = int(pathlib.Path(f"/proc/{monitor}/stat").read_text().rsplit(")", 1)[1].split()[1])
        os.kill(guardian, signal.SIGKILL)
        os.kill(monitor, signal.SIGKILL)
        cooper("pod", "gc", "--grace-period", "0").check()
        no_loops(files / "image.sif")


def test_dry_run(cooper, files):
    """The plan names the file; nothing is left of looking at it."""
    plan = cooper("run", "--dry-run", files / "image.sif").check().out
    assert f"squashfs in {files / 'image.sif'}" in plan
    assert not cooper.pods()
    no_loops(files / "image.sif")


def test_other_architecture(cooper, files, tmp_path):
    """A warning says that programs may not run here."""
    packed = (files / "image.sqfs").read_bytes()
    path = image_files.sif(tmp_path / "arm.sif", image_files.entry(packed, arch=b"04"))
    assert "is for linux/arm64" in cooper("run", "--rm", path, "true").check().err


BENT = {
    "no-partition": (dict(part=image_files.DATA), {}, "no primary system partition"),
    "ext3": (dict(fstype=image_files.EXT3), {}, "ext3"),
    "encrypted": (dict(fstype=image_files.ENCRYPTED), {}, "encrypted"),
    "oci-sif": (dict(kind=image_files.OCI_ROOT_INDEX), {}, "OCI-SIF"),
    "version": ({}, dict(version=b"99"), "version"),
    "count": ({}, dict(total=1 << 62), "descriptors"),
    "negative-table": ({}, dict(table_at=-1), "beyond the end"),
    "beyond-end": (dict(size=1 << 40), {}, "beyond the end"),
    "negative": (dict(offset=-4096), {}, "beyond the end"),
    "over-header": (dict(offset=0), {}, "over the header"),
    "not-squashfs": (dict(offset=image_files.DATA_AT + 4096, size=4096), {}, "no squashfs"),
}


@pytest.mark.parametrize("case", BENT)
def test_hostile_sif(cooper, files, tmp_path, case):
    """Every lie of a header is refused with a reason, and leaves nothing."""
    bend, header, words = BENT[case]
    path = image_files.sif(tmp_path / "bad.sif", image_files.entry((files / "image.sqfs").read_bytes(), **bend), **header)
    result = cooper("run", "--rm", path, "true").check(125)
    assert words in result.err and str(path) in result.err
    assert not cooper.pods() and not image_files.loops(path)


def test_hostile_squashfs(cooper, files, tmp_path):
    """What the kernel refuses is an error of one sentence; so is what is cut off, and no image at all."""
    good = (files / "image.sqfs").read_bytes()
    path = tmp_path / "bad.sqfs"
    for data, words in (
        (good[:8192], "cut off"),
        (good[:32] + b"\xff" * 8 + good[40:], "mount the squashfs"),  # the place of its root
        (good[:20] + b"\x63\x00" + good[22:], "mount the squashfs"),  # compression 99
        (b"nothing", "neither a squashfs"),
    ):
        path.write_bytes(data)
        result = cooper("run", "--rm", path, "true").check(125)
        assert words in result.err, result.err
    no_loops(path)
    assert "a directory" in cooper("run", "--rm", tmp_path, "true").check(125).err
    assert "no such file" in cooper("run", "--rm", tmp_path / "none.sif", "true").check(125).err


@pytest.mark.needs("mkfs.erofs")
def test_erofs(cooper, files):
    """erofs files run too, where the kernel can without a loop device."""
    path = image_files.erofs(files / "tree", files / "image.erofs")
    with cooper.running("ero", image=path):
        assert mountinfo.at(mountinfo.read(cooper.pid("ero")), "/").fstype == "overlay"
        assert cooper("exec", "ero", "cat", "/etc/passwd").check().lines[0].startswith("root:")
    no_loops(path)


def test_policy(new_engine, files, workdir):
    """policy.json is asked before anything is mounted, by kind and path of the file, links resolved."""
    engine = new_engine(load=False)
    policy = workdir / "policy.json"
    engine.config.write_text(f'signature_policy = "{policy}"\n' + engine.config.read_text())
    accept, reject = [{"type": "insecureAcceptAnything"}], [{"type": "reject"}]
    policy.write_text(json.dumps({"default": reject, "transports": {"sif": {str(files.resolve() / "plain.sif"): accept}}}))
    (workdir / "link").symlink_to(files / "plain.sif")
    for name in (files / "plain.sif", workdir / "link"):
        engine("run", "--rm", name, "true").check()
    for name in ("image.sif", "image.sqfs"):
        engine("run", "--rm", files / name, "true").fails("refused by policy", str(policy), name, rc=125)
        engine("pod", "prepare", files / name, "--", "true").fails("refused by policy")
    policy.write_text(json.dumps({"default": accept, "transports": {"squashfs": {"": reject}}}))
    engine("run", "--rm", files / "image.sif", "true").check()
    engine("run", "--rm", files / "image.sqfs", "true").fails("(squashfs: default)", rc=125)
    assert "squashfs: default" in engine("image", "policy", f"squashfs:{files}/image.sqfs").check().out
    assert engine.pods() == []
    policy.write_text("{")
    engine("run", "--rm", files / "image.sif", "true").fails(str(policy), rc=125)
