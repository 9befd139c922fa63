"""Images that are one file: squashfs, erofs, and SIF files whose every field a test may bend."""

import os
import pathlib
import struct

from lib import proc

PARTITION, LABELS, DEFFILE, OCI_ROOT_INDEX = 0x4004, 0x4003, 0x4001, 0x400A
SQUASHFS, EXT3, ENCRYPTED = 1, 2, 5
SYSTEM, PRIMARY, DATA, OVERLAY = 1, 2, 3, 4
TABLE_AT, DATA_AT = 4096, 36864
HEADER, DESCRIPTOR = "<32s10s3s3s16s8q", "<i?3I7q128s384s"

ACTION = 'for script in /.singularity.d/env/*.sh; do [ -f "$script" ] && . "$script"; done\n'


def squashfs(tree, target, *flags):
    """Pack a directory; what is there already is replaced."""
    proc.run("mksquashfs", tree, target, "-noappend", "-no-progress", "-quiet", "-comp", "gzip", *flags, timeout=60).check()
    return pathlib.Path(target)


def erofs(tree, target):
    """Pack a directory."""
    proc.run("mkfs.erofs", "--quiet", target, tree, timeout=60).check()
    return pathlib.Path(target)


def add_actions(tree, runscript="echo run: $GREETING $*", environment="export GREETING=hello"):
    """Put into a root file system what Apptainer puts into its images; runscript None: none."""
    own = pathlib.Path(tree) / ".singularity.d"
    (own / "actions").mkdir(parents=True)
    (own / "env").mkdir()
    (own / "env" / "90-environment.sh").write_text(environment + "\n")
    scripts = {"actions/exec": ACTION + 'exec "$@"\n', "actions/run": ACTION + 'exec /.singularity.d/runscript "$@"\n'}
    if runscript is not None:
        scripts["runscript"] = runscript + "\n"
    for name, text in scripts.items():
        (own / name).write_text("#!/bin/sh\n" + text)
        (own / name).chmod(0o755)
    return tree


def entry(data, kind=PARTITION, fstype=SQUASHFS, part=PRIMARY, arch=b"02", **bent):
    """One data object for sif(); bent: offset, size."""
    return {"data": data, "kind": kind, "extra": struct.pack("<ii3s", fstype, part, arch), **bent}


def sif(target, *entries, arch=b"02", **bent):
    """Write a SIF file; bent: version, total, table_at, table_size."""
    at, table, data = DATA_AT, b"", b""
    for number, one in enumerate(entries, 1):
        size = len(one["data"])
        offset = one.get("offset", at + len(data))
        table += struct.pack(
            DESCRIPTOR, one["kind"], True, number, 0xF0000001, 0, offset, one.get("size", size), size, 0, 0, 0, 0, b"object", one["extra"]
        )  # fmt: skip
        data += one["data"] + bytes(-size % 4096)
    header = struct.pack(
        HEADER, b"#!/usr/bin/env run-singularity\n", b"SIF_MAGIC", bent.get("version", b"01"), arch, os.urandom(16), 0, 0, 0,
        bent.get("total", len(entries)), bent.get("table_at", TABLE_AT), bent.get("table_size", len(table)), at, len(data),
    )  # fmt: skip
    target = pathlib.Path(target)
    target.write_bytes(header.ljust(TABLE_AT, b"\0") + table.ljust(at - TABLE_AT, b"\0") + data)
    return target


def loops(path):
    """Loop devices that hold a file, by the name it had."""
    found = []
    for entry_ in pathlib.Path("/sys/block").glob("loop*/loop/backing_file"):
        try:
            if entry_.read_text().strip().removesuffix(" (deleted)") == str(path):
                found.append(entry_.parts[3])
        except OSError:
            continue
    return found
