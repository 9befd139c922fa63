"""AppArmor profiles of tests."""

import pytest

from lib import proc

# In the base configuration's root file system a program may do what it likes, but for one file.
PROFILE = """
profile {name} flags=(attach_disconnected,mediate_deleted) {{
  capability, network, signal, ptrace, umount, mount, unix, file,
  deny /etc/forbidden rw,
}}
"""


@pytest.fixture
def profile(unique, workdir):
    """A loaded profile that denies /etc/forbidden."""
    name = unique("profile")
    source = workdir / "profile"
    source.write_text(PROFILE.format(name=name))
    proc.run("apparmor_parser", "--skip-cache", "--replace", source).check()
    yield name
    proc.run("apparmor_parser", "--remove", source).check()
