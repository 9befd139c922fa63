"""A bundle: a root file system and a config.json, with short ways to change both."""

import json
import os
import pathlib
import shutil

from lib import config, probes, rootfs


class Bundle:
    """A bundle directory. Change .config freely; Runtime writes it before each use."""

    def __init__(self, path, container_id, tree=None):
        self.path = pathlib.Path(path)
        self.path.mkdir(parents=True, exist_ok=True)
        self.id = container_id
        self.rootfs = self.path / "rootfs"
        self.config = config.default()
        if tree is None:
            rootfs.make_busybox(self.rootfs)
        else:
            self.config["root"]["path"] = str(tree)
            self.rootfs = pathlib.Path(tree)

    @property
    def process(self):
        """config.process"""
        return self.config["process"]

    @property
    def linux(self):
        """config.linux"""
        return self.config["linux"]

    @property
    def resources(self):
        """config.linux.resources"""
        return self.linux.setdefault("resources", {})

    @property
    def mounts(self):
        """config.mounts"""
        return self.config["mounts"]

    def args(self, *argv):
        """Set process.args."""
        self.process["args"] = [str(a) for a in argv]
        return self

    def sh(self, script):
        """Run a shell script as the process."""
        return self.args("sh", "-c", script)

    def env(self, **values):
        """Append environment variables."""
        self.process["env"] += [f"{k}={v}" for k, v in values.items()]
        return self

    def probe(self, name):
        """Put a compiled probe into the root file system; returns its path inside."""
        target = self.rootfs / "probe" / name
        if not target.exists():
            target.parent.mkdir(exist_ok=True)
            shutil.copy2(probes.path(name), target)
        return f"/probe/{name}"

    def writable(self):
        """Make the root file system writable for the process."""
        self.config["root"]["readonly"] = False
        return self

    def caps(self, *names, sets=("bounding", "effective", "permitted")):
        """Replace the capability sets named in sets; the others become empty."""
        self.process["capabilities"] = {s: list(names) for s in sets}
        return self

    def add_mount(self, destination, fstype, source, *options):
        """Append to mounts[]."""
        self.mounts.append(config.mount(destination, fstype, source, *options))
        return self

    def mount_for(self, destination):
        """The entry of mounts[] with this destination."""
        return next(m for m in self.mounts if m["destination"] == destination)

    def drop_mount(self, destination):
        """Remove entries of mounts[] with this destination."""
        self.config["mounts"] = [m for m in self.mounts if m["destination"] != destination]
        return self

    def namespace(self, kind, path=None, absent=False):
        """Make a namespace new (default), joined by path, or absent (inherited)."""
        listed = [n for n in self.linux["namespaces"] if n["type"] != kind]
        if not absent:
            listed.append({"type": kind, **({"path": str(path)} if path else {})})
        self.linux["namespaces"] = listed
        return self

    def userns(self, host_id=100000, size=65536):
        """Add a user namespace mapping 0.. to host_id.., and give it the root file system."""
        self.namespace("user")
        for kind in ("uidMappings", "gidMappings"):
            self.linux[kind] = [{"containerID": 0, "hostID": host_id, "size": size}]
        for folder, names, files in os.walk(self.rootfs):
            for name in names + files + ["."]:
                item = os.path.join(folder, name)
                info = os.lstat(item)
                if info.st_uid < size:
                    os.lchown(item, info.st_uid + host_id, info.st_gid + host_id)
        for part in (self.path, *self.path.parents):
            if part == pathlib.Path("/"):
                break
            if os.stat(part).st_uid == os.geteuid():
                os.chmod(part, os.stat(part).st_mode | 0o011)
        return self

    def hook(self, kind, *argv, env=None, timeout=None):
        """Append a hook of this kind; argv[0] is the program's absolute path."""
        entry = {"path": str(argv[0]), "args": [str(a) for a in argv]}
        if env is not None:
            entry["env"] = env
        if timeout is not None:
            entry["timeout"] = timeout
        self.config.setdefault("hooks", {}).setdefault(kind, []).append(entry)
        return self

    def save(self):
        """Write config.json."""
        text = self.config if isinstance(self.config, str) else json.dumps(self.config, indent=1)
        (self.path / "config.json").write_text(text, encoding="utf-8")
        return self
