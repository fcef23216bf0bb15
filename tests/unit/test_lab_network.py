"""Which network a lab may use."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

import pytest

from provision.lab import LabError, network
from provision.lab.network import Network

LAB = "a1b2c3"
SUBNET = IPv4Network("10.233.7.0/24")
# Lines of `ip -json -4 route show table all`, iproute2 6.1.
UPLINK = [
    {"dst": "default", "gateway": "192.0.2.1", "dev": "eth0", "flags": []},
    {"dst": "192.0.2.0/24", "dev": "eth0", "protocol": "kernel", "scope": "link", "prefsrc": "192.0.2.2", "flags": []},
    {"type": "local", "dst": "127.0.0.0/8", "dev": "lo", "table": "local", "scope": "host", "flags": []},
]


@pytest.mark.parametrize(
    ("route", "reason"),
    [
        pytest.param({"dst": "10.233.7.0/24", "dev": "docker0"}, "a route to 10.233.7.0/24 by docker0", id="route"),
        pytest.param({"dst": "10.0.0.0/8", "dev": "tun0"}, "a route to 10.0.0.0/8 by tun0", id="a wider route"),
        pytest.param(
            {"type": "local", "dst": "10.233.7.5", "dev": "eth1"}, "local route to 10.233.7.5 by eth1", id="an address"
        ),
        pytest.param({"dst": "10.233.7.11", "dev": "pla1b2c3-123456"}, "", id="this lab's own node"),
        pytest.param({"dst": "10.233.8.0/24", "dev": "docker0"}, "", id="a neighbour"),
    ],
)
def test_a_network_is_taken_when_somebody_else_has_a_route_into_it(route: dict[str, str], reason: str) -> None:
    assert network.taken(SUBNET, LAB, [*UPLINK, route]) == reason


@pytest.mark.parametrize("text", ["8.8.8.0/24", "10.233.7.0/28", "fd00::/64", "10.233.7.1/24", "here"])
def test_a_network_that_does_not_do_is_refused_with_its_name(text: str) -> None:
    with pytest.raises(LabError, match=text):
        network.parse_subnet(text)


def test_addresses_are_given_in_order_and_never_twice() -> None:
    net = Network(lab=LAB, subnet=SUBNET)
    first = net.next_address([])
    second = net.next_address([first])
    assert (first, second) == (IPv4Address("10.233.7.11"), IPv4Address("10.233.7.12"))
    assert net.next_address([second]) == first
    with pytest.raises(LabError, match="All addresses"):
        net.next_address(SUBNET)


def test_two_labs_begin_their_search_at_different_networks() -> None:
    assert network.candidates("000001")[0] != network.candidates("000002")[0]


def test_names_in_the_kernel_fit_and_differ() -> None:
    names = {network.interface(LAB, node) for node in ("a", "b", "a-node-of-20-letters")}
    assert len(names) == 3
    assert all(len(name) <= 15 for name in names)


def test_a_firewall_that_drops_forwarded_packets_is_named() -> None:
    chain = {"family": "ip", "table": "filter", "name": "FORWARD", "hook": "forward", "policy": "drop"}
    assert network.obstacle({"nftables": [{"metainfo": {}}, {"chain": chain}]}) == "ip filter FORWARD"
    assert network.obstacle({"nftables": [{"chain": {**chain, "policy": "accept"}}]}) == ""
