"""linux.netDevices: interfaces of the host that become the container's."""

import json
import os

import pytest

from lib import proc

pytestmark = [pytest.mark.needs("root"), pytest.mark.skipif(not os.path.exists("/usr/sbin/ip") and not os.path.exists("/sbin/ip"), reason="'ip' is not installed (apt-get install iproute2)")]


class Host:
    """A network namespace that plays the host: the runtime runs inside."""

    def __init__(self):
        self._holder = proc.Background("unshare", "--net", "sleep", "1000")
        self._holder.__enter__()
        mine = os.readlink("/proc/self/ns/net")
        proc.until(lambda: os.readlink(f"/proc/{self.pid}/ns/net") != mine)

    @property
    def pid(self):
        return self._holder.pid

    def close(self):
        self._holder.__exit__(None, None, None)

    def __call__(self, *argv, **options):
        """Run something there."""
        return proc.run("nsenter", "--net=" + f"/proc/{self.pid}/ns/net", *argv, **options)

    def links(self):
        """Names of its interfaces."""
        return {l["ifname"] for l in json.loads(self("ip", "-j", "link").check().out)}


@pytest.fixture
def host():
    """A host with a veth pair left - right, left with addresses."""
    there = Host()
    try:
        there("ip", "link", "add", "left", "mtu", "1400", "type", "veth", "peer", "name", "right").check()
        there("ip", "link", "set", "left", "address", "02:00:00:00:00:07").check()
        there("ip", "addr", "add", "192.0.2.5/24", "broadcast", "192.0.2.255", "dev", "left").check()
        there("ip", "addr", "add", "2001:db8::5/64", "dev", "left").check()
        there("ip", "link", "set", "left", "up").check()
        there("ip", "link", "set", "right", "up").check()
        yield there
    finally:
        there.close()


def run(runtime, host, bundle, *verb):
    """The runtime, with 'host' as its network."""
    bundle.save()
    return host(*runtime.argv(*(verb or ("run", "--bundle", bundle.path, bundle.id))), env=runtime.environ)


def shown(result):
    """{name: link} of an `ip -o addr`-like listing by busybox."""
    return result.check().out


SCRIPT = "ip addr; ip link"


def test_moved(runtime, bundle, host):
    """A device moves with its MTU, MAC and addresses, and is up."""
    bundle.linux["netDevices"] = {"left": {}}
    out = shown(run(runtime, host, bundle.sh(SCRIPT)))
    assert "left" in out and "inet 192.0.2.5/24 brd 192.0.2.255" in out and "2001:db8::5/64" in out
    assert "02:00:00:00:00:07" in out and "mtu 1400" in out
    line = next(l for l in out.splitlines() if "left" in l)
    assert ",UP" in line or "<UP" in line


@pytest.mark.parametrize("name,became", [("eth0", "eth0"), ("ctr%d", "ctr0")])
def test_renamed(runtime, bundle, host, name, became):
    """A new name, or a pattern of which the kernel makes one."""
    bundle.linux["netDevices"] = {"left": {"name": name}}
    out = shown(run(runtime, host, bundle.sh(SCRIPT)))
    assert f"{became}" in out and "left" not in out
    assert "192.0.2.5/24" in out


def test_name_is_taken(runtime, bundle, host):
    """A name that exists in a joined namespace is an error, and the device stays where it was."""
    other = Host()
    try:
        other("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth1").check()
        bundle.namespace("network", f"/proc/{other.pid}/ns/net")
        bundle.linux["netDevices"] = {"left": {"name": "eth0"}}
        run(runtime, host, bundle).fails("network device 'left'", "'eth0' exists there already", rc=1)
        assert "left" in host.links()
        bundle.linux["netDevices"] = {"left": {"name": "eth%d"}}
        run(runtime, host, bundle).check()
        assert "eth2" in other.links() and "left" not in host.links()
    finally:
        other.close()


def test_name_of_the_host_is_taken(runtime, bundle, host):
    """A device whose own name exists in the container's namespace can move under a new one."""
    other = Host()
    try:
        other("ip", "link", "add", "left", "type", "veth", "peer", "name", "x").check()
        bundle.namespace("network", f"/proc/{other.pid}/ns/net")
        bundle.linux["netDevices"] = {"left": {"name": "eth9"}}
        run(runtime, host, bundle).check()
        assert {"left", "x", "eth9"} <= other.links()
    finally:
        other.close()


def test_missing(runtime, bundle, host):
    """A device that does not exist fails the start by name; those moved before it come back."""
    bundle.linux["netDevices"] = {"left": {"name": "a"}, "nosuch": {}}
    run(runtime, host, bundle).fails("network device 'nosuch'", rc=1)
    assert "left" in host.links()
    out = host("ip", "addr", "show", "left").check().out
    assert "192.0.2.5/24" in out and "2001:db8::5/64" in out and "mtu 1400" in out


def test_failing_start_gives_it_back(runtime, bundle, host):
    """A start that fails later leaves the host's devices on the host."""
    bundle.linux["netDevices"] = {"left": {"name": "a"}}
    bundle.hook("createContainer", "/bin/false")
    run(runtime, host, bundle).fails("hook", rc=1)
    assert "left" in host.links()


def test_user_namespace(runtime, bundle, host):
    """Also into the network namespace of a container with a user namespace."""
    bundle.userns()
    bundle.linux["netDevices"] = {"left": {"name": "eth0"}}
    assert "192.0.2.5/24" in shown(run(runtime, host, bundle.sh(SCRIPT)))


def test_sysctl_of_the_device(runtime, bundle, host):
    """Sysctls may name the device."""
    bundle.linux["netDevices"] = {"left": {"name": "eth0"}}
    bundle.linux["sysctl"] = {"net.ipv4.conf.eth0.forwarding": "1"}
    bundle.sh("cat /proc/sys/net/ipv4/conf/eth0/forwarding")
    assert run(runtime, host, bundle).check().out == "1\n"


def test_no_namespace(runtime, bundle, host):
    """Without a network namespace of the container, and in the host's own, it is an error."""
    bundle.linux["netDevices"] = {"left": {}}
    bundle.namespace("network", absent=True)
    run(runtime, host, bundle).fails("/linux/netDevices", rc=1)
    bundle.namespace("network", f"/proc/{host.pid}/ns/net")
    run(runtime, host, bundle).fails("in the caller's network", rc=1)
    assert "left" in host.links()


@pytest.mark.parametrize("devices", [{"lo": {}}, {"a/b": {}}, {"left": {"name": "a%s"}}, {"left": {"name": "x" * 16}}, {"left": {"name": "e"}, "right": {"name": "e"}}])
def test_bad_names(runtime, bundle, devices):
    """Names that cannot be are refused before anything is done."""
    bundle.linux["netDevices"] = devices
    runtime.run(bundle).fails("/linux/netDevices", rc=1)
