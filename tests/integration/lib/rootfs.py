"""Root file systems for the tests: a small one from busybox, and a real Debian one."""

import contextlib
import fcntl
import functools
import hashlib
import os
import pathlib
import shutil

from lib import paths, proc

BUSYBOX = "/bin/busybox"
DEBIAN_VARIANT = "minbase"
DEBIAN_PACKAGES = ()

_PASSWD = """root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/bin/false
user:x:1000:1000:a user:/home/user:/bin/sh
nobody:x:65534:65534:nobody:/nonexistent:/bin/false
"""
_GROUP = "root:x:0:\ndaemon:x:1:\ntty:x:5:\naudio:x:29:user\nuser:x:1000:\nnogroup:x:65534:\n"


@functools.lru_cache(maxsize=1)
def applets():
    """Applet paths of the host's static busybox, such as bin/ls."""
    listed = proc.run(BUSYBOX, "--list-full").check().lines
    return tuple(a for a in listed if a.startswith(("bin/", "sbin/", "usr/bin/", "usr/sbin/")) and a != "bin/busybox")


def make_busybox(target):
    """Fill target (created) with a busybox root file system; a few milliseconds."""
    top = str(target)
    for name in ("bin", "sbin", "usr/bin", "usr/sbin", "etc", "proc", "sys", "dev", "tmp", "run", "var", "root", "home/user", "probe"):
        os.makedirs(f"{top}/{name}", exist_ok=True)
    shutil.copy2(BUSYBOX, f"{top}/bin/busybox")
    for applet in applets():
        with contextlib.suppress(FileExistsError):
            os.symlink("/bin/busybox", f"{top}/{applet}")
    target = pathlib.Path(target)
    (target / "etc/passwd").write_text(_PASSWD)
    (target / "etc/group").write_text(_GROUP)
    (target / "tmp").chmod(0o1777)
    os.chown(target / "home/user", 1000, 1000)
    return target


@contextlib.contextmanager
def _locked(path):
    with open(path, "w", encoding="utf-8") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _debian_source():
    """(suite, mirror) of the Debian that this machine installs from."""
    listed = proc.run("apt-get", "indextargets", "--format", "$(ORIGIN) $(COMPONENT) $(RELEASE) $(CODENAME) $(REPO_URI)").check().lines
    codename = next(l.split("=")[1].strip('"') for l in pathlib.Path("/etc/os-release").read_text().splitlines() if l.startswith("VERSION_CODENAME="))
    for line in listed:
        words = line.split(" ")
        if words[:2] == ["Debian", "main"] and words[-2] == codename:
            return codename, words[-1]
    raise AssertionError(f"no Debian source for {codename} in apt's lists (apt-get update?)\n" + "\n".join(listed[:5]))


def debian(packages=DEBIAN_PACKAGES):
    """Directory holding 'rootfs' and 'rootfs.tar' of a Debian made by mmdebstrap.

    Made once (30-60 s, needs the Debian mirror) and kept in the cache under a key of
    suite, variant and package list. The tree is shared: mount it read-only or as an
    overlay's lower layer, never write to it.
    """
    suite, mirror = _debian_source()
    wish = repr((suite, DEBIAN_VARIANT, sorted(packages)))
    folder = paths.cache_dir() / f"debian-{hashlib.sha256(wish.encode()).hexdigest()[:12]}"
    with _locked(f"{folder}.lock"):
        if (folder / "done").exists():
            return folder
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        options = [f"--variant={DEBIAN_VARIANT}", "--mode=root", "--skip=output/dev"]
        if packages:
            options.append("--include=" + ",".join(sorted(packages)))
        proc.run("mmdebstrap", *options, suite, folder / "rootfs.tar", mirror, timeout=400).check()
        (folder / "rootfs").mkdir()
        proc.run("tar", "-C", folder / "rootfs", "-xpf", folder / "rootfs.tar", "--exclude=./dev/*", timeout=120).check()
        (folder / "done").write_text(wish)
    return folder
