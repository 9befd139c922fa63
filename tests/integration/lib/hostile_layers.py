"""Layers that mean harm. Each lies on top of BASE, and is refused or contained."""

import dataclasses
import gzip
import os
import stat
import tarfile
import typing

from lib.layouts import directory, entry, gzipped, hardlink, layer, symlink, zstd
from lib.rawtar import BLOCK, archive, base256, gnu_sparse, header, long_name, member, octal, pax, pax_of, xattr

BASE = layer(
    directory("etc"), entry("etc/passwd", b"root:x:0:0::/:/bin/sh\n"), directory("d"), entry("d/f", b"lower"), directory("d/sub"), entry("d/sub/g", b"lower"),
    directory("usr"), directory("usr/bin"), symlink("bin", "usr/bin"), symlink("abs", "/"), symlink("up", ".."), symlink("host-etc", "/etc"), entry("victim", b"lower"),
)  # fmt: skip


@dataclasses.dataclass
class Refused:
    """Words of the one sentence that says why."""

    words: tuple
    limit_mib: int = 64
    or_held: bool = False  # by file systems that can


@dataclasses.dataclass
class Contained:
    """What must hold of the tree afterwards."""

    check: typing.Callable = lambda tree: None
    limit_mib: int = 64


@dataclasses.dataclass
class Case:
    """One or more layers, how the last of them is compressed, and what becomes of them."""

    layers: typing.Callable
    packed: typing.Callable | None
    outcome: typing.Any


CASES = {}


def case(name, outcome, *layers, packed=None):
    """Layers are lists of members, or functions that return bytes."""
    assert name not in CASES, name

    def made():
        return [one() if callable(one) else layer(*one) for one in layers]

    CASES[name] = Case(made, packed, outcome)


def refused(*words, **more):
    """The outcome of a case."""
    return Refused(words, **more)


def small(data):
    """gzip at its fastest."""
    return gzip.compress(data, 1, mtime=0)


def read(tree, name):
    """Bytes of a file, which must not be a link."""
    path = os.path.join(tree, name)
    assert not os.path.islink(path), path
    with open(path, "rb") as file:
        return file.read()


def holds(**files):
    """Files with exactly these bytes; two underscores are a slash; None: not there."""

    def check(tree):
        for name, data in files.items():
            path = name.replace("__", "/")
            if data is None:
                assert not os.path.lexists(tree / path), path
            else:
                assert read(tree, path) == data, path

    return Contained(check)


def that(holds_of):
    """The outcome of a case: it is contained and this is true of its tree."""

    def check(tree):
        assert holds_of(tree), sorted(os.listdir(tree))

    return Contained(check)


# --- paths that lead out ---------------------------------------------------------------

OUT = refused("leads out of the root")
case("dotdot", OUT, [entry("../escaped", b"x")])
case("dotdot-deep", OUT, [entry("a/../../escaped", b"x")])
case("dotdot-directory", OUT, [directory("../escaped")])
case("dotdot-alone", OUT, [directory("..")])
case("dotdot-node", OUT, [entry("../escaped", type=tarfile.CHRTYPE, devmajor=1, devminor=3)])
case("dotdot-by-pax", OUT, lambda: archive(pax(path="../escaped"), member("fine")))
case("dotdot-by-gnu", OUT, lambda: archive(long_name("../escaped"), member("fine")))
case("dotdot-by-prefix", OUT, lambda: archive(member("escaped", prefix="a/../..")))
case("dotdot-by-sparse-name", OUT, lambda: archive(pax_of([("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.name", "../escaped"), ("GNU.sparse.realsize", "0")]), member("fine", b"0\n".ljust(BLOCK, b"\0"))))
case("pax-after-gnu", OUT, lambda: archive(long_name("fine"), pax(path="../escaped"), member("fine")))
case("gnu-after-pax", OUT, lambda: archive(pax(path="fine"), long_name("../escaped"), member("fine")))
case("pax-twice", OUT, lambda: archive(pax_of([("path", "fine"), ("path", "../escaped")]), member("fine")))
case("global-pax-is-no-name", holds(fine=b"x", escaped=None), lambda: archive(pax(b"g", path="../escaped", linkpath="/etc/shadow"), member("fine", b"x")))
case("empty-pax-name-takes-it-back", holds(fine=b"x"), lambda: archive(pax_of([("path", "../escaped"), ("path", "")]), member("fine", b"x")))
case("symlinked-parent", OUT, [symlink("out", "../../../../.."), entry("out/tmp/escaped", b"x")])
case("symlinked-parent-of-below", OUT, [entry("up/escaped", b"x")])
case("symlink-chain", OUT, [symlink("a", "b"), symlink("b", "../.."), entry("a/escaped", b"x")])
case("symlink-from-deep", OUT, [symlink("d/sub/out", "../../../x"), entry("d/sub/out/escaped", b"x")])
case("directory-becomes-symlink", OUT, [directory("d2"), entry("d2/x"), symlink("d2", "../.."), entry("d2/escaped", b"x")])
case("directory-of-below-becomes-symlink", OUT, [symlink("d", ".."), entry("d/escaped", b"x")])
case("directory-through-symlink", OUT, [directory("up/escaped")])
case("whiteout-through-symlink", OUT, [entry("up/.wh.victim")])
case("opaque-through-symlink", OUT, [entry("up/.wh..wh..opq")])
case("hardlink-out", refused("hard link to", "leads out of the root"), [hardlink("h", "../../../../../../etc/hostname")])
case("hardlink-out-by-pax", refused("leads out of the root"), lambda: archive(pax(linkpath="../../etc/hostname"), member("h", kind="hardlink", link="fine")))
case("hardlink-out-by-gnu", refused("leads out of the root"), lambda: archive(long_name("../../etc/hostname", b"K"), member("h", kind="hardlink", link="fine")))
case("hardlink-through-symlink", OUT, [hardlink("h", "up/etc/hostname")])
case("hardlink-to-store", refused("leads out of the root"), [hardlink("h", "../tree.json")])
case("hardlink-missing", refused("'nowhere'", "does not exist"), [hardlink("h", "nowhere")])
case("hardlink-to-directory", refused("is a directory"), [hardlink("h", "etc")])
case("hardlink-to-root", refused("cannot lead to the root"), [hardlink("h", "/")])
case("hardlink-to-itself", refused("to itself"), [hardlink("victim", "./victim")])
case("hardlink-over-its-parent", refused("would replace the directory"), [hardlink("d", "d/f")])
case("hardlink-to-whiteout", refused("does not exist"), [entry(".wh.victim"), hardlink("h", ".wh.victim")])
case("hardlink-empty", refused("cannot lead to the root"), lambda: archive(member("h", kind="hardlink")))
case("symlink-loop", refused("too many levels"), [symlink("a", "b"), symlink("b", "a"), entry("a/x")])
case("symlink-to-itself", refused("too many levels"), [symlink("a", "a"), entry("a/x")])
case("symlink-chain-long", refused("too many levels"), [*(symlink(f"l{i}", f"l{i + 1}") for i in range(50)), directory("l50"), entry("l0/x")])
case("symlink-empty", refused("without a target"), lambda: archive(member("s", kind="symlink")))
case("symlink-too-long", refused("longer than 4095"), lambda: archive(long_name("x/" * 2047 + "y" * 200, b"K"), member("s", kind="symlink")))
case("root-as-symlink", refused("root can only be a directory"), [symlink(".", "/")])
case("root-as-file", refused("root can only be a directory"), [entry("./", b"x", type=tarfile.REGTYPE)])
case("root-as-hardlink", refused("root can only be a directory"), lambda: archive(member("/", kind="hardlink", link="victim")))
case("empty-name", refused("root can only be a directory"), lambda: archive(member("", b"x")))
case("file-as-parent", refused("'victim' is not a directory"), [entry("victim/x")])


def swapped_in_tree(tree):
    """What was written through an absolute link is in the image, nowhere else."""
    assert read(tree, "etc/escaped") == b"x"
    assert os.readlink(tree / "host-etc") == "/etc"


case("absolute", holds(tmp__escaped=b"x"), [entry("/tmp/escaped", b"x")])
case("absolute-slashes", holds(tmp__escaped=b"x"), [entry("///tmp//.//escaped", b"x")])
case("symlink-absolute", Contained(swapped_in_tree), [entry("host-etc/escaped", b"x")])
case("symlink-absolute-dotdot", OUT, [symlink("s", "/../etc"), entry("s/escaped", b"x")])
case("hardlink-through-absolute-symlink", that(lambda tree: (tree / "h").samefile(tree / "etc/passwd")), [hardlink("h", "abs/etc/passwd")])
case("hardlink-absolute", that(lambda tree: (tree / "h").samefile(tree / "etc/passwd")), [hardlink("h", "/etc/passwd")])
case("symlink-out-unused", that(lambda tree: os.readlink(tree / "s") == "../../../../etc/shadow"), [symlink("s", "../../../../etc/shadow")])

# --- swaps -----------------------------------------------------------------------------


def link_replaced(tree):
    """A file of a link's name replaces the link and leaves its target alone."""
    assert read(tree, "host-etc") == b"new" and read(tree, "etc/passwd").startswith(b"root")


case("file-over-symlink", Contained(link_replaced), [entry("host-etc", b"new")])
case("file-over-symlink-to-file", holds(s=b"new", victim=b"lower"), [symlink("s", "victim"), entry("s", b"new")])
case("file-over-hardlink", holds(h=b"new", victim=b"lower"), [hardlink("h", "victim"), entry("h", b"new")])
case("hardlink-to-symlink-then-file", holds(h=b"new", etc__passwd=b"root:x:0:0::/:/bin/sh\n"), [symlink("s", "/etc/passwd"), hardlink("h", "s"), entry("h", b"new")])
case("directory-symlink-file", holds(d=b"new"), [directory("d"), symlink("d", "/etc"), entry("d", b"new")])
case("swaps-between-layers", holds(d__x=b"3", d__f=None, etc__x=None), [symlink("d", "/etc")], [entry("d", b"2")], [directory("d"), entry("d/x", b"3")])
case("symlink-then-directory-between-layers", holds(host__x=b"2", etc__x=None), [symlink("host", "/etc")], [directory("host"), entry("host/x", b"2")])
case("duplicates-last-wins", holds(a=b"3"), [entry("a", b"1"), entry("./a", b"2"), entry("/a", b"3")])
case("directory-of-open-walk-removed", holds(d__sub__h=b"2"), [entry("d/sub/x", b"1"), symlink("d/sub", "../etc"), directory("d/sub"), entry("d/sub/h", b"2")])
case("directory-removed-under-link", holds(usr__bin__x=None), [entry("bin/x", b"1"), entry("usr", b"file")][:1] + [symlink("usr", "etc")])
case("fifo-then-file", holds(p=b"x"), [entry("p", type=tarfile.FIFOTYPE), entry("p", b"x")])

# --- whiteouts -------------------------------------------------------------------------

case("whiteout-nothing", refused("whiteout of no file"), [entry(".wh.")])
case("whiteout-dot", refused("whiteout of no file"), [entry(".wh..")])
case("whiteout-dotdot", refused("whiteout of no file"), [entry(".wh...")])
case("whiteout-outside", OUT, [entry("../.wh.blobs")])
case("whiteout-missing", holds(victim=b"lower"), [entry(".wh.nothing"), entry("no/where/.wh.x")])
case("whiteout-absolute-symlink", holds(etc__passwd=None), [entry("abs/etc/.wh.passwd")])
case("whiteout-of-symlink", that(lambda tree: (not os.path.lexists(tree / "host-etc") and (tree / "etc/passwd").exists())), [entry(".wh.host-etc")])
case("whiteout-with-data", holds(victim=None), [entry(".wh.victim", b"x" * 1000)])
case("whiteout-as-directory", holds(victim=None), [directory(".wh.victim")])
case("whiteout-as-hardlink", holds(victim=None), [hardlink(".wh.victim", "etc/passwd")])
case("whiteout-before-and-after", holds(victim=b"new"), [entry(".wh.victim"), entry("victim", b"new"), entry(".wh.victim")])
case("whiteout-of-own-directory", holds(d__new=b"x", d__f=None), [entry("d/new", b"x"), entry(".wh.d")])
case("whiteout-meta", holds(victim=b"lower"), [entry(".wh..wh.aufs"), entry(".wh..wh.plnk/1.2", b"x"), entry(".wh..wh.orph")])
case("opaque-root", that(lambda tree: sorted(os.listdir(tree)) == ["new"]), [entry(".wh..wh..opq"), entry("new", b"x")])
case("opaque-after", that(lambda tree: sorted(os.listdir(tree / "d")) == ["new"]), [entry("d/new", b"x"), entry("d/.wh..wh..opq")])
case("opaque-as-directory", that(lambda tree: os.listdir(tree / "d") == []), [directory("d/.wh..wh..opq")])
case("opaque-with-data", that(lambda tree: os.listdir(tree / "d") == []), [entry("d/.wh..wh..opq", b"x" * 700)])
case("opaque-as-symlink", that(lambda tree: os.listdir(tree / "d") == []), [symlink("d/.wh..wh..opq", "/etc")])
case("opaque-missing", holds(victim=b"lower"), [entry("nowhere/.wh..wh..opq")])
case("opaque-through-absolute-symlink", that(lambda tree: os.listdir(tree / "etc") == []), [entry("host-etc/.wh..wh..opq")])
case("whiteout-in-a-path", holds(victim=b"lower"), [entry(".wh.victim/x", b"x")])

# --- names -----------------------------------------------------------------------------

case("nul-in-pax-name", refused("NUL"), lambda: archive(pax(path=b"fine\0../escaped"), member("fine")))
case("nul-in-pax-link", refused("NUL"), lambda: archive(pax(linkpath=b"fine\0x"), member("s", kind="symlink")))
case("nul-in-gnu-name", holds(fine=b"x"), lambda: archive(long_name(b"fine\0../escaped"), member("other", b"x")))
case("name-4096", refused("longer than 4095"), lambda: archive(pax(path="x/" * 2048), member("fine")))
case("name-4096-gnu", refused("longer than 4095"), lambda: archive(long_name("y" * 4096), member("fine")))
case("name-gnu-endless", refused("longer than 4095"), lambda: archive(long_name("y" * 100_000), member("fine")))
case("component-256", refused("name too long"), lambda: archive(pax(path="z" * 256), member("fine")))
case("component-255", that(lambda tree: (tree / ("z" * 255)).exists()), lambda: archive(pax(path="z" * 255), member("fine")))
case("path-too-deep", refused("deeper than 400"), [entry("q/" * 1000 + "f")])
case("path-deep", that(lambda tree: read(tree, "q/" * 390 + "f") == b"x"), [entry("q/" * 390 + "f", b"x")])
case("path-deep-behind-link", that(lambda tree: read(tree, "q/" * 390 + "r/" * 390 + "f") == b"x"), lambda: layer(directory("q/" * 390), symlink("l", "q/" * 390 + "."), entry("l/" + "r/" * 390 + "f", b"x")))
case("not-utf8", that(lambda tree: os.listdir(os.fsencode(tree / "n")) == [b"\xff\xfe\x80"]), lambda: archive(member(b"n/\xff\xfe\x80", b"x")))
case("not-utf8-refused", refused("\\xff\\xfe"), lambda: archive(member(b"../\xff\xfe\x80", b"x")))
case("control-characters-refused", refused("\\x1b[2J\\x0a"), lambda: archive(member(b"../\x1b[2J\nerror: all is well\r", b"x")))
case("control-characters", that(lambda tree: (tree / "\x1b]0;x\x07\n").exists()), lambda: archive(member(b"\x1b]0;x\x07\n", b"x")))
case("right-to-left-refused", refused("leads out"), lambda: archive(member("../\u202egnp.exe", b"x")))
case("case-twins", holds(Etc__passwd=b"x", etc__passwd=b"root:x:0:0::/:/bin/sh\n"), [entry("Etc/passwd", b"x")])
case("unicode-twins", that(lambda tree: (read(tree, "caf\u00e9"), read(tree, "cafe\u0301")) == (b"1", b"2")), [entry("caf\u00e9", b"1"), entry("cafe\u0301", b"2")])
case("unicode-dots", that(lambda tree: read(tree, "\uff0e\uff0e/escaped") == b"x"), [entry("\uff0e\uff0e/escaped", b"x")])
case("overlong-utf8-slash", that(lambda tree: os.path.exists(os.fsencode(tree) + b"/..\xc0\xafescaped")), lambda: archive(member(b"..\xc0\xafescaped", b"x")))
case("backslashes", holds(**{"..\\escaped": b"x"}), [entry("..\\escaped", b"x")])

# --- kinds, modes, owners --------------------------------------------------------------


def mode_of(tree, name):
    return stat.S_IMODE(os.lstat(tree / name).st_mode)


def nodes_there(tree):
    """Devices are made as images say: a container's device rules decide, and nobody on the host gets at the store."""
    assert os.lstat(tree / "mem").st_rdev == os.makedev(1, 1) and os.lstat(tree / "sda").st_rdev == os.makedev(8, 0)
    assert stat.S_ISFIFO(os.lstat(tree / "pipe").st_mode)
    assert stat.S_IMODE(os.stat(tree.parent.parent).st_mode) == 0o700


def odd_bits(tree):
    assert mode_of(tree, "su") == 0o4755 and os.lstat(tree / "su").st_uid == 1000
    assert mode_of(tree, "dir") == 0o7777 and mode_of(tree, "pipe") == 0o6644 and mode_of(tree, "null") == 0o4666
    assert os.lstat(tree / "link").st_uid == 4242


case("nodes", Contained(nodes_there), [entry("mem", type=tarfile.CHRTYPE, devmajor=1, devminor=1), entry("sda", type=tarfile.BLKTYPE, devmajor=8), entry("pipe", type=tarfile.FIFOTYPE)])
case("overlay-whiteout-node", that(lambda tree: not os.path.lexists(tree / "victim")), [entry("victim", type=tarfile.CHRTYPE)])
case("node-numbers-too-large", refused("device number"), lambda: archive(member("n", kind="char", major=0o7777777)))
case("node-through-symlink", OUT, [entry("up/sda", type=tarfile.BLKTYPE, devmajor=8)])
case("setuid-in-odd-places", Contained(odd_bits), [entry("su", b"x", mode=0o4755, uid=1000), directory("dir", mode=0o7777), entry("pipe", type=tarfile.FIFOTYPE, mode=0o6644), entry("null", type=tarfile.CHRTYPE, devmajor=1, devminor=3, mode=0o4666), entry("link", type=tarfile.SYMTYPE, linkname="su", mode=0o6777, uid=4242)])
case("mode-of-all-ones", that(lambda tree: mode_of(tree, "f") == 0o7777), lambda: archive(member("f", b"x", mode=b"7777777\0")))
case("root-without-permissions", that(lambda tree: mode_of(tree, ".") == 0), [directory("./", mode=0, uid=1000)])
for letter in "ADMNQ~":
    case(f"unknown-type-{letter}", refused("unknown type"), lambda letter=letter: archive(member("x", kind=letter.encode())))
case("contiguous-is-a-file", holds(x=b"data"), lambda: archive(member("x", b"data", kind=b"7")))
case("type-nul-with-slash", that(lambda tree: (tree / "x").is_dir()), lambda: archive(member("x/", kind=b"\0")))
case("uid-negative", refused("out of range"), lambda: archive(member("x", uid=base256(-1, 8))))
case("uid-keep", refused("out of range"), lambda: archive(pax(uid="4294967295"), member("x")))
case("uid-33-bits", refused("out of range"), lambda: archive(pax(gid="4294967296"), member("x")))
case("uid-no-number", refused("no number"), lambda: archive(pax(uid="0x0"), member("x")))
case("mtime-endless", that(lambda tree: (tree / "x").exists()), lambda: archive(member("x", mtime=base256(1 << 62, 12))))
case("mtime-negative", that(lambda tree: os.lstat(tree / "x").st_mtime == -1.5), lambda: archive(pax(mtime="-1.5"), member("x")))
case("mtime-no-number", refused("no time"), lambda: archive(pax(mtime="nan"), member("x")))
case("mtime-overflow", refused("no time"), lambda: archive(pax(mtime="99999999999999999999"), member("x")))

# --- sizes, check sums, truncation -----------------------------------------------------

case("size-negative", refused("negative"), lambda: archive(header("x", base256(-512, 12))))
case("size-base256-overflow", refused("no number"), lambda: archive(header("x", b"\x80" + b"\xff" * 11)))
case("size-not-octal", refused("no number"), lambda: archive(header("x", b"99999999999\0")))
case("size-8-eib", refused("out of range"), lambda: archive(header("x", base256((1 << 63) - 1, 12))))
case("size-pax-overflow", refused("no number"), lambda: archive(pax(size="18446744073709551616"), member("x")))
case("size-pax-huge", refused("truncated"), lambda: archive(pax(size=str(1 << 50)), member("x", b"data")))
case("size-of-directory-is-none", holds(after=b"x"), lambda: archive(header("dir", 512, b"5"), member("after", b"x")))
case("size-of-symlink-is-none", holds(after=b"x"), lambda: archive(header("s", 1024, b"2", link="x"), member("after", b"x")))
case("checksum-lie", refused("check sum"), lambda: archive(member("x", b"data"), header("y", checksum=1)))
case("checksum-of-nothing", refused("check sum"), lambda: archive(header("x", checksum=0)))
case("truncated-header", refused("truncated inside a header"), lambda: member("x", b"data") + header("y")[:300])
case("truncated-data", refused("truncated"), lambda: member("x", b"data" * 500)[:1000])
# umoci insert ends its layers so; that nothing is missing their digest tells.
case("truncated-padding", holds(x=b"data"), lambda: member("x", b"data")[: BLOCK + 100])
case("truncated-pax", refused("truncated"), lambda: pax(path="x" * 2000)[:1000])
case("truncated-after-pax", refused("ends after an extended header"), lambda: archive(pax(path="x")))
case("truncated-after-gnu-name", refused("ends after an extended header"), lambda: long_name("x"))
case("zero-block-inside", refused("single zero block"), lambda: archive(member("x"), bytes(BLOCK), member("y")))
case("garbage-at-the-end", holds(x=b"data", y=None), lambda: archive(member("x", b"data")) + member("y") + b"garbage" * 999)
case("garbage-only", refused("checksum"), lambda: b"garbage!" * 640)
case("empty-layer-of-no-bytes", holds(victim=b"lower"), lambda: b"")

# --- pax ---------------------------------------------------------------------------------

case("pax-length-lie", refused("bad pax record"), lambda: archive(member("p", b"999 path=x\n", b"x"), member("x")))
case("pax-length-zero", refused("bad pax record"), lambda: archive(member("p", b"0 path=x\n", b"x"), member("x")))
case("pax-length-overflow", refused("bad pax record"), lambda: archive(member("p", b"99999999999999999999999 path=x\n", b"x"), member("x")))
case("pax-no-key", refused("without a key"), lambda: archive(member("p", b"6 abc\n", b"x"), member("x")))
case("pax-header-too-large", refused("larger than 1.00 MiB"), lambda: archive(pax(comment="x" * (2 << 20)), member("x")))
case("pax-headers-endless", refused("extended headers", "1.00 MiB"), lambda: archive(b"".join(pax_of([(f"SCHILY.xattr.user.{i}-{j}", b"v" * 60_000) for j in range(16)]) for i in range(90)), member("x")), packed=small)
case("pax-globals-endless", holds(x=b"data"), lambda: archive(pax(b"g", comment="x" * 1_000_000) * 70, member("x", b"data")), packed=small)

# --- attributes --------------------------------------------------------------------------


def no_overlay(tree):
    """Nothing that overlayfs or the host's security modules would listen to."""
    for path in (tree / "x", tree / "dir"):
        assert not [n for n in os.listxattr(path) if "overlay" in n or n in ("security.selinux", "security.ima")], path


SPEAKING = [xattr(f"{space}.overlay.{word}", b"y") for space in ("trusted", "user") for word in ("opaque", "redirect", "metacopy", "origin", "whiteout")]
SPEAKING += [("SCHILY.xattr.security.selinux", "system_u:object_r:shadow_t:s0\0"), ("SCHILY.xattr.security.ima", "x")]
case("xattrs-that-speak-to-overlayfs", Contained(no_overlay), lambda: archive(pax_of(SPEAKING), member("x", b"data"), pax_of(SPEAKING), member("dir", kind="directory")))
case("xattr-65-kib", refused("larger than 64 KiB"), lambda: archive(pax_of([xattr("user.big", b"x" * 66_000)]), member("x")))
case("xattr-64-kib", refused("attributes", or_held=True), lambda: archive(pax_of([xattr("user.big", b"x" * 65_536)]), member("x")))
case("xattrs-by-the-thousand", refused("attributes", or_held=True), lambda: archive(pax_of([(f"SCHILY.xattr.user.n{i}", "v") for i in range(20_000)]), member("x")))
case("xattrs-of-many-directories", refused("attributes", "directories"), lambda: archive(*(pax_of([(f"SCHILY.xattr.user.n{j}", b"v" * 60_000) for j in range(16)]) + member(f"dir{i}", kind="directory") for i in range(75))), packed=small)
case("xattr-name-empty", refused("bad name of an extended attribute"), lambda: archive(pax_of([("SCHILY.xattr.", "x")]), member("x")))
case("xattr-name-nul", refused("bad name of an extended attribute"), lambda: archive(pax_of([(b"SCHILY.xattr.user.a\0b", "x")]), member("x")))
case("xattr-name-percent", refused("bad extended attribute"), lambda: archive(pax_of([("LIBARCHIVE.xattr.user.%zz", "eA")]), member("x")))
case("xattr-of-no-namespace", that(lambda tree: os.listxattr(tree / "x") == []), lambda: archive(pax_of([("SCHILY.xattr.evil", "x"), ("SCHILY.xattr.system.evil", "x")]), member("x")))
case("xattr-user-on-symlink", that(lambda tree: os.listxattr(tree / "s", follow_symlinks=False) == []), lambda: archive(pax_of([("SCHILY.xattr.user.a", "x")]), member("s", kind="symlink", link="/etc/passwd")))
case("capability-malformed", refused("security.capability"), lambda: archive(pax_of([("SCHILY.xattr.security.capability", "x")]), member("x")))
case("acl-malformed", refused("posix_acl_access", or_held=True), lambda: archive(pax_of([("SCHILY.xattr.system.posix_acl_access", "malformed")]), member("x")))
case("acl-malformed-of-directory", refused("posix_acl_default", or_held=True), lambda: archive(pax_of([("SCHILY.xattr.system.posix_acl_default", "malformed")]), member("x", kind="directory")))

# --- sparse files ------------------------------------------------------------------------


def sparse_1(parts, real_size, data, name="s"):
    """pax 1.0, with a map before the data."""
    text = "".join(f"{n}\n" for n in (len(parts), *(n for part in parts for n in part))).encode()
    body = text.ljust(-(-len(text) // BLOCK) * BLOCK, b"\0") + data
    return pax_of([("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.name", name), ("GNU.sparse.realsize", str(real_size))]) + member("GNUSparseFile.0/s", body)


def sparse_01(form, parts, real_size, data):
    """pax 0.0 and 0.1."""
    if form == 0:
        numbers = [pair for offset, size in parts for pair in (("GNU.sparse.offset", str(offset)), ("GNU.sparse.numbytes", str(size)))]
    else:
        numbers = [("GNU.sparse.map", ",".join(f"{o},{s}" for o, s in parts))]
    return pax_of([("GNU.sparse.size", str(real_size)), ("GNU.sparse.numblocks", str(len(parts))), *numbers, ("GNU.sparse.name", "s")]) + member("GNUSparseFile.0/s", data)


HOLE = 32 << 20


def holed(tree):
    """Two pieces in much of nothing."""
    info = os.lstat(tree / "s")
    assert info.st_size == HOLE and info.st_blocks < 1000
    with open(tree / "s", "rb") as file:
        assert file.read(4) == b"head"
        file.seek(HOLE // 2)
        assert file.read(4) == b"tail"


HOLED = [(0, 4), (HOLE // 2, 4)]
FORMS = {
    "gnu": lambda parts, size, data: gnu_sparse("s", parts, size, data),
    "0.0": lambda parts, size, data: sparse_01(0, parts, size, data),
    "0.1": lambda parts, size, data: sparse_01(1, parts, size, data),
    "1.0": sparse_1,
}
for form, make in FORMS.items():
    case(f"sparse-{form}", Contained(holed), lambda make=make: archive(make(HOLED, HOLE, b"headtail")))
    case(f"sparse-{form}-overlapping", refused("parts of a sparse file"), lambda make=make: archive(make([(0, 4), (2, 4)], HOLE, b"headtail")))
    case(f"sparse-{form}-outside", refused("parts of a sparse file"), lambda make=make: archive(make([(0, 4), (100, 4)], 50, b"headtail")))
    case(f"sparse-{form}-more-than-there-is", refused("do not add up"), lambda make=make: archive(make([(0, 4), (100, 400)], 1000, b"headtail")))
    case(f"sparse-{form}-half-a-number-space", refused("", or_held=True), lambda make=make: archive(make(HOLED, (1 << 62) - 1 if make is not FORMS["gnu"] else base256((1 << 62) - 1, 12), b"headtail")))
case("sparse-8-eib", refused("out of range"), lambda: archive(sparse_1(HOLED, (1 << 63) - 1, b"headtail")))
case("sparse-offset-overflow", refused("parts of a sparse file"), lambda: archive(sparse_1([(0, 4), ((1 << 64) - 2, 4)], HOLE, b"headtail")))
case("sparse-too-many-parts", refused("too many parts"), lambda: archive(pax_of([("GNU.sparse.major", "1"), ("GNU.sparse.realsize", "10")]), member("s", b"99999999\n".ljust(BLOCK, b"\0"))))
case("sparse-map-no-number", refused("bad number"), lambda: archive(pax_of([("GNU.sparse.major", "1"), ("GNU.sparse.realsize", "10")]), member("s", b"x".ljust(BLOCK, b"\0"))))
case("sparse-map-longer-than-file", refused("longer than its file"), lambda: archive(pax_of([("GNU.sparse.major", "1"), ("GNU.sparse.realsize", "10")]), member("s", b"999\n" + b"1\n" * 254)))
case("sparse-without-size", refused("without its size"), lambda: archive(pax_of([("GNU.sparse.major", "1")]), member("s", b"0\n".ljust(BLOCK, b"\0"))))
case("sparse-odd-map", refused("odd number"), lambda: archive(pax_of([("GNU.sparse.map", "1,2,3"), ("GNU.sparse.size", "5")]), member("s")))
case("sparse-gnu-endless-extension", refused("too many parts"), lambda: archive(gnu_sparse("s", [(i, 0) for i in range(4)], 10, b"", ((octal(5, 12) + octal(0, 12)) * 21 + b"\1").ljust(BLOCK, b"\0") * 4000)), packed=small)
case("sparse-in-ustar", refused("not in GNU format"), lambda: archive(header("s", 0, b"S")))

# --- compression -------------------------------------------------------------------------

ZEROS = 128 << 20


def bomb():
    """A file of zeros that compresses to nearly nothing."""
    return archive(member("zeros", bytes(ZEROS)))


def members_of_gzip(data):
    """The same bytes in three gzip members, and empty ones between them."""
    third = len(data) // 3
    return b"".join(gzip.compress(data[at : at + third + 3], mtime=0) + gzip.compress(b"", mtime=0) * 50 for at in range(0, len(data), third + 3))


FEW = [entry("x", b"data" * 5000)]
case("gzip-bomb", that(lambda tree: os.lstat(tree / "zeros").st_size == ZEROS), bomb, packed=small)
case("zstd-bomb", that(lambda tree: os.lstat(tree / "zeros").st_size == ZEROS), bomb, packed=zstd)
case("gzip-many-members", holds(x=b"data" * 5000), FEW, packed=members_of_gzip)
case("gzip-truncated", refused("truncated"), FEW, packed=lambda data: gzipped(data)[:-10])
case("gzip-wrong-crc", refused("corrupt"), FEW, packed=lambda data: gzipped(data)[:-8] + b"lies" + gzipped(data)[-4:])
case("gzip-wrong-length", refused("corrupt"), FEW, packed=lambda data: gzipped(data)[:-4] + b"lies")
case("gzip-garbage-after", refused("followed by other bytes"), FEW, packed=lambda data: gzipped(data) + b"garbage")
case("gzip-second-member-broken", refused("corrupt"), FEW, packed=lambda data: gzipped(data) + b"\x1f\x8b\x08\xff" + b"garbage" * 9)
case("gzip-reserved-block", refused("corrupt"), FEW, packed=lambda data: gzipped(data)[:10] + b"\x07" + gzipped(data)[11:])
case("zstd-truncated", refused("truncated"), FEW, packed=lambda data: zstd(data)[:-5])
case("zstd-wrong-checksum", refused("corrupt"), FEW, packed=lambda data: zstd(data)[:-4] + b"lies")
case("zstd-skippable-frames", holds(x=b"data" * 5000), FEW, packed=lambda data: b"\x50\x2a\x4d\x18\x04\0\0\0skip" + zstd(data) + b"\x5f\x2a\x4d\x18\0\0\0\0")
case("zstd-skippable-endless", refused("truncated"), FEW, packed=lambda data: zstd(data) + b"\x50\x2a\x4d\x18\xff\xff\xff\xff")
case("zstd-window-2-gib", refused("window of more than 128 MiB"), FEW, packed=lambda data: b"\x28\xb5\x2f\xfd\x00\xa8" + zstd(data)[6:])
case("bzip2", refused("bzip2 compression is not supported"), FEW, packed=lambda data: b"BZh91AY&SY" + data)
case("compressed-twice", refused("uncompressed", "digest"), FEW, packed=lambda data: gzipped(gzipped(data)))
