"""A kernel that makes no user namespaces: what needs one fails in words, everything else works."""

import pytest

from lib import cgroups

pytestmark = pytest.mark.needs("no-userns")


def test_user_namespace_is_refused(runtime, bundle):
    """A configuration that wants a user namespace is an error that says how to allow them, and nothing is left."""
    bundle.userns()
    runtime.run(bundle).fails("user namespace", "max_user_namespaces", rc=1)
    assert cgroups.named(bundle.id) == []


def test_others_work(runtime, bundle):
    """Without one, containers run as ever."""
    with runtime.running(bundle.sh("sleep 1000")):
        assert runtime.exec(bundle.id, "readlink", "/proc/self/ns/user").check().out.startswith("user:")
