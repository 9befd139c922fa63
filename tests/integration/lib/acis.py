"""Images of the App Container specification made by hand."""

import bz2
import gzip
import hashlib
import json
import lzma
import shutil

from lib.layouts import directory, entry, layer, symlink

PACKERS = {"": bytes, "gzip": lambda data: gzip.compress(data, mtime=0), "bzip2": bz2.compress, "xz": lzma.compress}
LINUX = {"os": "linux", "arch": "amd64"}
APPLETS = ("cat", "env", "id", "ls", "pwd", "sh", "touch", "true")


def manifest(name, labels=None, **members):
    """An image manifest; labels default to those of this machine."""
    labels = {"version": "1", **LINUX} if labels is None else labels
    return {"acKind": "ImageManifest", "acVersion": "0.8.11", "name": name, "labels": [{"name": k, "value": v} for k, v in labels.items()], **members}


def app(*command, user="0", group="0", **members):
    """The app section of a manifest."""
    return {"exec": list(command), "user": user, "group": group, **members}


def below(members):
    """Members of a root file system as they are in an ACI."""
    out = []
    for info, data in members:
        info.name = f"rootfs/{info.name}"
        if info.islnk():
            info.linkname = f"rootfs/{info.linkname}"
        out.append((info, data))
    return out


def aci(document, *members, compress=""):
    """Bytes of an ACI whose files are these members of its root file system."""
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    return PACKERS[compress](layer(entry("manifest", text), directory("rootfs"), *below(members)))


def image_id(data):
    """The id of an ACI: of the archive as it is without compression."""
    return "sha512:" + hashlib.sha512(data).hexdigest()


def busybox_files():
    """A root file system with a shell."""
    with open(shutil.which("busybox"), "rb") as file:
        program = file.read()
    return (
        directory("bin"),
        entry("bin/busybox", program, mode=0o755),
        *(symlink(f"bin/{name}", "busybox") for name in APPLETS),
        directory("etc"),
        entry("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nworker:x:1234:77:worker:/home/worker:/bin/sh\n"),
        entry("etc/group", b"root:x:0:\nstaff:x:50:\n"),
    )
