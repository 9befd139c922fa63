"""Tar archives byte by byte: what no archiver would write."""

import base64

BLOCK = 512
END = bytes(2 * BLOCK)
KINDS = {"file": b"0", "hardlink": b"1", "symlink": b"2", "char": b"3", "block": b"4", "directory": b"5", "fifo": b"6"}


def padded(data):
    """Bytes and the zeros up to the next block."""
    return data + bytes(-len(data) % BLOCK)


def octal(number, width):
    """A number as tar writes it; bytes are taken as they are."""
    if isinstance(number, bytes):
        return number.ljust(width, b"\0")[:width]
    return f"{number:0{width - 1}o}".encode()[-(width - 1) :] + b"\0"


def base256(number, width):
    """A number in GNU's binary form, which has no end."""
    return ((number & ((1 << (8 * width - 1)) - 1)) | (1 << (8 * width - 1))).to_bytes(width, "big")


def header(name, size=0, kind=b"0", link=b"", mode=0o644, uid=0, gid=0, mtime=1_000_000_000, magic=b"ustar\x0000", major=0, minor=0, prefix=b"", tail=None, checksum=None):
    """One header block. Numbers may be bytes; tail is what stands after the device numbers; checksum may be a lie."""
    name, link, prefix = (text.encode() if isinstance(text, str) else text for text in (name, link, prefix))
    block = b"".join(
        (name.ljust(100, b"\0")[:100], octal(mode, 8), octal(uid, 8), octal(gid, 8), octal(size, 12), octal(mtime, 12), b" " * 8,
         kind, link.ljust(100, b"\0")[:100], magic.ljust(8, b"\0"), bytes(64), octal(major, 8), octal(minor, 8))
    )
    block += (prefix if tail is None else tail).ljust(BLOCK - len(block), b"\0")
    total = sum(block) if checksum is None else checksum
    return block[:148] + b"%06o\0 " % total + block[156:]


def member(name, data=b"", kind="file", size=None, **fields):
    """A header and its data; size may be a lie."""
    return header(name, len(data) if size is None else size, KINDS.get(kind, kind), **fields) + padded(data)


def records(values):
    """Records of a pax header, from (key, value) pairs: a key may come twice."""
    out = b""
    for key, value in values:
        key, value = (text.encode() if isinstance(text, str) else text for text in (key, value))
        body = b" " + key + b"=" + value + b"\n"
        length = len(body) + 1
        while length != len(body) + len(str(length)):
            length = len(body) + len(str(length))
        out += str(length).encode() + body
    return out


def pax(kind=b"x", **values):
    """A pax header; a dot in a key is written as two underscores."""
    return pax_of([(key.replace("__", "."), value) for key, value in values.items()], kind)


def pax_of(values, kind=b"x"):
    """A pax header of (key, value) pairs."""
    return member("PaxHeader", records(values), kind)


def long_name(name, kind=b"L"):
    """GNU's header of a long name (L) or link target (K)."""
    name = name.encode() if isinstance(name, str) else name
    return member("././@LongLink", name + b"\0", kind, magic=b"ustar  \0")


def xattr(name, value):
    """A pax record of an extended attribute in libarchive's form, which takes every byte."""
    return (f"LIBARCHIVE.xattr.{name}", base64.b64encode(value).rstrip(b"="))


def gnu_sparse(name, parts, real_size, data, extension=b""):
    """A sparse file in GNU's old format: parts are (offset, size)."""
    fields = b"".join(octal(offset, 12) + octal(size, 12) for offset, size in parts[:4]).ljust(96, b"\0")
    tail = bytes(41) + fields + (b"\1" if extension else b"\0") + octal(real_size, 12)
    return header(name, len(data), b"S", magic=b"ustar  \0", tail=tail) + extension + padded(data)


def archive(*members):
    """Members and the end mark."""
    return b"".join(members) + END
