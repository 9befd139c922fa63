"""What a directory tree looks like, for comparing two of them."""

import hashlib
import os
import pathlib
import stat


def describe(root, times=True):
    """Path -> everything of the file that an image can say."""
    found, links = {}, {}

    def visit(path, name):
        info = os.lstat(path)
        kind = stat.S_IFMT(info.st_mode)
        record = {"kind": kind, "uid": info.st_uid, "gid": info.st_gid}
        if times and kind != stat.S_IFDIR:
            record["mtime"] = int(info.st_mtime)  # many archivers keep whole seconds
        if kind == stat.S_IFLNK:
            record["target"] = os.readlink(path)
        else:
            record["mode"] = stat.S_IMODE(info.st_mode)
        if kind == stat.S_IFREG:
            record["size"] = info.st_size
            record["content"] = hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()
        if kind in (stat.S_IFCHR, stat.S_IFBLK):
            record["device"] = info.st_rdev
        if kind != stat.S_IFDIR and info.st_nlink > 1:
            record["same as"] = links.setdefault(info.st_ino, name)
        names = [n for n in os.listxattr(path, follow_symlinks=False) if not n.startswith("trusted.cooper.")]
        record["xattrs"] = {n: os.getxattr(path, n, follow_symlinks=False) for n in names}
        found[name] = record
        if kind == stat.S_IFDIR:
            for child in sorted(os.listdir(path)):
                visit(os.path.join(path, child), f"{name}/{child}")

    visit(str(root), "")
    # The root itself is each tool's own.
    del found[""]
    return found


def differences(left, right):
    """Lines naming every path that differs, for assertions."""
    return [f"{name}: {left.get(name)} != {right.get(name)}" for name in sorted(set(left) | set(right)) if left.get(name) != right.get(name)]
