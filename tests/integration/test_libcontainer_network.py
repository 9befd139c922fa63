"""Networks of a libcontainer configuration: what the kernel has afterwards, on both ends."""

import json
import os
import pathlib
import re

import pytest

from lib import proc
from lib.libcontainer import box, lc_engine, make_container  # noqa: F401


@pytest.fixture
def bridge(unique):
    """A bridge with the address 10.77.0.1 on the host."""
    name = f"cb{os.getpid()}"[:15]
    proc.run("ip", "link", "add", name, "type", "bridge").check()
    try:
        proc.run("ip", "addr", "add", "10.77.0.1/24", "dev", name).check()
        proc.run("ip", "-6", "addr", "add", "fd77::1/64", "dev", name, "nodad")
        proc.run("ip", "link", "set", name, "up").check()
        yield name
    finally:
        proc.run("ip", "link", "del", name).check()


def veth(bridge, **more):
    """A complete veth network."""
    return {
        "type": "veth", "name": "eth0", "bridge": bridge, "host_interface_name": f"ch{os.getpid()}"[:15], "mac_address": "02:42:0a:4d:00:02",
        "address": "10.77.0.2/24", "gateway": "10.77.0.1", "ipv6_address": "fd77::2/64", "ipv6_gateway": "fd77::1",
        "mtu": 1400, "txqueuelen": 321, **more,
    }  # fmt: skip


def host_links():
    """Names of the host's interfaces."""
    return set(os.listdir("/sys/class/net"))


def test_veth_on_a_bridge(box, bridge):
    """name, bridge, MAC, addresses, gateways, MTU, txqueuelen, hairpin: each is in the kernel, on both ends where it belongs."""
    box.config["networks"].append(veth(bridge, hairpin_mode=True))
    host = box.config["networks"][1]["host_interface_name"]
    with box.running():
        port = pathlib.Path("/sys/class/net") / host
        assert (port / "mtu").read_text().strip() == "1400"
        assert (port / "tx_queue_len").read_text().strip() == "321"
        assert (port / "master").resolve().name == bridge
        assert (port / "brport/hairpin_mode").read_text().strip() == "1"
        show = box.exec("sh", "-c", "cat /sys/class/net/eth0/mtu /sys/class/net/eth0/tx_queue_len; ip addr show eth0; ip route; ip -6 route").check().out
        assert show.split()[:2] == ["1400", "321"]
        assert "02:42:0a:4d:00:02" in show and "10.77.0.2/24" in show and "fd77::2/64" in show
        assert re.search(r"default via 10\.77\.0\.1 dev eth0", show)
        assert re.search(r"default via fd77::1 dev eth0", show)
        assert box.exec("ping", "-c", "1", "-W", "5", "10.77.0.1").rc == 0
        counters = json.loads(box.verb("stats").check().out)["interfaces"]
        assert counters[0]["name"] == host and counters[0]["tx_bytes"] > 0
    assert host not in host_links()


def test_loopback(box):
    """loopback: up when asked for, down otherwise."""
    assert "LOOPBACK,UP" in box.output("ip link show lo")
    box.config["networks"] = []
    assert "LOOPBACK,UP" not in box.output("ip link show lo")


def test_routes(box, bridge):
    """routes: destination, source and gateway, by interface."""
    box.config["networks"].append(veth(bridge, gateway="", ipv6_gateway=""))
    box.config["routes"] = [
        {"destination": "192.168.9.0/24", "source": "10.77.0.2", "gateway": "10.77.0.1", "interface_name": "eth0"},
        {"gateway": "10.77.0.1", "interface_name": "eth0"},
        {"destination": "fd99::/64", "gateway": "fd77::1", "interface_name": "eth0"},
    ]
    out = box.output("ip route; ip -6 route")
    assert re.search(r"192\.168\.9\.0/24 via 10\.77\.0\.1 dev eth0\s+src 10\.77\.0\.2", out)
    assert "default via 10.77.0.1 dev eth0" in out
    assert re.search(r"fd99::/64 via fd77::1 dev eth0", out)


def test_pair_without_a_bridge(box):
    """A pair needs no bridge, and no name for the host's end."""
    before = host_links()
    box.config["networks"].append({"type": "veth", "name": "eth0", "address": "10.78.0.2/24"})
    with box.running():
        assert len(host_links() - before) == 1
        assert "10.78.0.2/24" in box.exec("ip", "addr", "show", "eth0").check().out
    assert host_links() == before


def test_two_interfaces(box, bridge):
    """Several networks in one container."""
    box.config["networks"] += [veth(bridge), {"type": "veth", "name": "eth1", "address": "10.79.0.2/24"}]
    out = box.output("ip -o link")
    assert "eth0" in out and "eth1" in out


@pytest.mark.parametrize("user_namespace", [False, True])
def test_user_namespace(box, bridge, user_namespace):
    """Networks work in a user namespace as well."""
    os.chmod(box.folder, 0o755)
    box.config["networks"].append(veth(bridge))
    if user_namespace:
        box.config["namespaces"].append({"type": "NEWUSER"})
        for kind in ("uid_mappings", "gid_mappings"):
            box.config[kind] = [{"container_id": 0, "host_id": 100000, "size": 65536}]
    assert "10.77.0.2/24" in box.output("ip addr show eth0")


def test_failures_leave_nothing(box, bridge):
    """A bridge that is not there, an address twice, a name that is taken, a program that is not there: no interface is left."""
    before = host_links()
    box.config["networks"].append(veth("no-bridge"))
    box.run("true").fails("no-bridge", rc=1)
    assert host_links() == before
    box.config["networks"][1] = veth(bridge, host_interface_name=bridge)
    box.run("true").fails(bridge, "exist", rc=1)
    box.config["networks"][1] = veth(bridge, gateway="10.99.0.1")
    box.run("true").fails("default route", rc=1)
    assert host_links() == before
    box.config["networks"][1] = veth(bridge)
    box.run("no-such-program").fails("not found", rc=1)
    assert host_links() == before
    box.config["networks"][1] = veth(bridge, address="10.77.0.2")
    box.run("true").fails("/networks/1/address", rc=1)
    box.verb("state").fails("does not exist")
