"""systemd as systemctl shows it."""

import subprocess


def show(unit, *names):
    """{property: value} of a unit."""
    run = subprocess.run(["systemctl", "show", unit, *[f"--property={name}" for name in names]], stdout=subprocess.PIPE, text=True, check=True)
    return dict(line.split("=", 1) for line in run.stdout.splitlines())


def exists(unit):
    """True while systemd has the unit loaded."""
    return show(unit, "LoadState")["LoadState"] == "loaded"


def use(bundle, prefix, parent="system.slice"):
    """Give the bundle a unit of the session; returns its name. The leak check sees its group."""
    bundle.linux["cgroupsPath"] = f"{parent}:{prefix}:{bundle.id}"
    return f"{prefix}-{bundle.id}.scope"
