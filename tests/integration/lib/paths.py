"""Where things are. Everything can be moved by environment variables (see README.md)."""

import os
import pathlib

HERE = pathlib.Path(__file__).resolve().parent.parent
REPOSITORY = HERE.parent.parent
PROBE_SOURCES = HERE.parent / "probes"


def bin_dir():
    """Directory of the programs under test."""
    return pathlib.Path(os.environ.get("COOPER_BIN_DIR", REPOSITORY / "build/release/bin")).resolve()


def cache_dir():
    """Things made once and kept between sessions (compiled probes, root file systems, images)."""
    path = pathlib.Path(os.environ.get("COOPER_TEST_CACHE", REPOSITORY / "build/test-cache"))
    path.mkdir(parents=True, exist_ok=True)
    return path.resolve()


def runtime_binary():
    """The OCI runtime under test: COOP_BINARY (for stand-ins), else coop of COOPER_BIN_DIR."""
    override = os.environ.get("COOP_BINARY")
    return pathlib.Path(override) if override else bin_dir() / "coop"


def monitor_binary():
    """The container monitor under test: CONMON_BINARY (for a stand-in), else conmon of COOPER_BIN_DIR."""
    override = os.environ.get("CONMON_BINARY")
    return pathlib.Path(override) if override else bin_dir() / "conmon"


def runtime_kind():
    """'coop', or 'runc' / 'crun' when a stand-in is used to check the tests themselves."""
    name = runtime_binary().resolve().name
    return name if name in ("runc", "crun") else "coop"
