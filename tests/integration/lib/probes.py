"""Static helper programs (tests/probes/*.c), compiled on first use and cached by content."""

import functools
import hashlib
import os
import tempfile

from lib import paths, proc

FLAGS = ["-static", "-O1", "-Wall", "-Wextra", "-Werror", "-std=gnu11"]


@functools.lru_cache(maxsize=None)
def path(name):
    """Host path of the compiled probe."""
    source = paths.PROBE_SOURCES / f"{name}.c"
    key = hashlib.sha256(source.read_bytes() + repr(FLAGS).encode()).hexdigest()[:16]
    folder = paths.cache_dir() / "probes"
    folder.mkdir(exist_ok=True)
    target = folder / f"{name}-{key}"
    if not target.exists():
        handle, temporary = tempfile.mkstemp(dir=folder)
        os.close(handle)
        proc.run("gcc", *FLAGS, "-o", temporary, source, timeout=120).check()
        os.chmod(temporary, 0o755)
        os.rename(temporary, target)
    return target


def names():
    """All probes in the source tree."""
    return sorted(p.stem for p in paths.PROBE_SOURCES.glob("*.c"))
