"""How a node is reached and how it gets out: a network name space, a veth pair, one route, one nft table per lab."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import time
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, ip_network
from typing import Any

from provision.lab import program
from provision.lab.error import InputError, LabError
from provision.model import Frozen, digest

FIRST_NODE = 11
_ECHO_REQUEST, _ECHO_REPLY = 8, 0


class Network(Frozen):
    """`lab` is the short name that marks everything of a lab in the kernel: 6 hexadecimal digits."""

    lab: str
    subnet: IPv4Network

    @property
    def gateway(self) -> IPv4Address:
        return self.subnet[1]

    def next_address(self, used: Iterable[IPv4Address]) -> IPv4Address:
        taken = set(used)
        free = (self.subnet[n] for n in range(FIRST_NODE, self.subnet.num_addresses - 1) if self.subnet[n] not in taken)
        address = next(free, None)
        if address is None:
            raise LabError(f"All addresses of {self.subnet} are used by nodes of this lab; take some down.")
        return address


def table(lab: str) -> str:
    return f"provision_lab_{lab}"


def namespace(lab: str, node: str) -> str:
    return f"provision-{lab}-{node}"


def interface(lab: str, node: str) -> str:
    # IFNAMSIZ leaves 15 characters.
    return f"{_prefix(lab)}{digest(node)[:6]}"


def parse_subnet(text: str) -> IPv4Network:
    try:
        subnet = ip_network(text)
    except ValueError as error:
        raise InputError(f"{text!r} is not a network such as 10.233.7.0/24: {error}.") from error
    if not isinstance(subnet, IPv4Network) or not subnet.is_private or subnet.prefixlen > 27:
        raise InputError(f"{text} does not do for a lab: it takes a private IPv4 network of at least a /27.")
    return subnet


def candidates(lab: str) -> tuple[IPv4Network, ...]:
    """Networks to try when the user names none: an order that differs per lab, so that two labs seldom meet."""
    start = int(lab, 16) % 256
    octets = [(start + step) % 256 for step in range(256)]
    return tuple(IPv4Network(f"{prefix}.{octet}.0/24") for prefix in ("10.233", "172.29") for octet in octets)


def taken(subnet: IPv4Network, lab: str, routes: Iterable[dict[str, Any]]) -> str:
    """Why the network cannot be used (a route or an interface's address of somebody else lies in it), or ''.

    `routes` as `ip -json route show table all` prints them; addresses show up there as local routes.
    """
    for route in routes:
        where = str(route.get("dst", "default"))
        device = str(route.get("dev", "?"))
        if where == "default" or device.startswith(_prefix(lab)) or ":" in where:
            continue
        if ip_network(where, strict=False).overlaps(subnet):
            return f"{route.get('type', 'a')} route to {where} by {device}"
    return ""


def choose(lab: str, asked: IPv4Network | None) -> Network:
    """The network asked for, or the first candidate nobody uses; LabError when it is taken."""
    routes: list[dict[str, Any]] = json.loads(program.run("ip", "-json", "-4", "route", "show", "table", "all") or "[]")
    if asked is not None:
        if reason := taken(asked, lab, routes):
            raise LabError(f"The network {asked} is taken on this machine ({reason}); give the lab another one.")
        return Network(lab=lab, subnet=asked)
    free = next((subnet for subnet in candidates(lab) if not taken(subnet, lab, routes)), None)
    if free is None:
        raise LabError("No free network was found for the lab; name one with PROVISION_LAB_NETWORK, e.g. 10.99.0.0/24.")
    return Network(lab=lab, subnet=free)


def answering(addresses: Iterable[IPv4Address], seconds: float = 0.3) -> frozenset[IPv4Address]:
    """Those where somebody answers a ping. (A TCP connection proves nothing: some gateways accept them all.)"""
    asked = frozenset(addresses)
    if not asked:
        return asked
    found: set[IPv4Address] = set()
    tag = os.getpid() & 0xFFFF
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as sock:
        for address in asked:
            with contextlib.suppress(OSError):  # no route: nobody can be there
                sock.sendto(_echo_request(tag), (str(address), 0))
        deadline = time.monotonic() + seconds
        while found != asked and (left := deadline - time.monotonic()) > 0:
            sock.settimeout(left)
            try:
                packet, (sender, _) = sock.recvfrom(256)
            except TimeoutError:
                break
            kind, _code, _sum, echoed = struct.unpack_from("!BBHH", packet, (packet[0] & 0xF) * 4)
            if kind == _ECHO_REPLY and echoed == tag:
                found.add(IPv4Address(sender))
    return asked & found


def connect(network: Network, node: str, address: IPv4Address) -> None:
    """Name space, veth pair, addresses and routes of one node; expects that `disconnect` was called before."""
    space, outside = namespace(network.lab, node), interface(network.lab, node)
    mtu = _uplink_mtu()
    program.run("ip", "netns", "add", space)
    program.run(
        *("ip", "-batch", "-"),
        stdin=f"link add {outside} mtu {mtu} type veth peer name host0 mtu {mtu} netns {space}\n"
        f"address add {network.gateway}/32 dev {outside}\n"
        f"link set {outside} up\n"
        f"route add {address}/32 dev {outside}\n",
    )
    program.run(
        *("ip", "-netns", space, "-batch", "-"),
        stdin="link set lo up\n"
        f"address add {address}/32 dev host0\n"
        "link set host0 up\n"
        f"route add {network.gateway}/32 dev host0\n"
        f"route add default via {network.gateway}\n",
    )


def disconnect(lab: str, node: str) -> None:
    outside = interface(lab, node)
    if program.succeeds("ip", "link", "show", outside):
        program.run("ip", "link", "delete", outside)
    if namespace(lab, node) in _namespaces():
        program.run("ip", "netns", "delete", namespace(lab, node))


def open_way_out(network: Network) -> None:
    """Address translation for what leaves the lab's network; replaced as one transaction."""
    head = f"table ip {table(network.lab)}"
    program.run(
        *("nft", "-f", "-"),
        stdin=f"{head}\ndelete {head}\n{head} {{\n  chain postrouting {{\n"
        "    type nat hook postrouting priority srcnat;\n"
        f'    ip saddr {network.subnet} oifname != "{_prefix(network.lab)}*" masquerade\n'
        "  }\n}\n",
    )


def close_way_out(lab: str) -> None:
    if program.succeeds("nft", "list", "table", "ip", table(lab)):
        program.run("nft", "delete", "table", "ip", table(lab))


def obstacle(chains: dict[str, Any]) -> str:
    """A firewall chain that drops forwarded packets by default, or ''; `chains` as `nft -j list chains` prints them."""
    for item in chains.get("nftables", []):
        chain = item.get("chain", {})
        if chain.get("hook") == "forward" and chain.get("policy") == "drop" and chain.get("family") in ("ip", "inet"):
            return f"{chain['family']} {chain['table']} {chain['name']}"
    return ""


def firewall_chains() -> dict[str, Any]:
    chains: dict[str, Any] = json.loads(program.run("nft", "--json", "list", "chains"))
    return chains


def nodes_connected(lab: str) -> tuple[str, ...]:
    """Names of nodes of this lab that have a network name space, whoever made it."""
    mark = f"provision-{lab}-"
    return tuple(space.removeprefix(mark) for space in _namespaces() if space.startswith(mark))


def _prefix(lab: str) -> str:
    return f"pl{lab}-"


def _namespaces() -> tuple[str, ...]:
    spaces: list[dict[str, Any]] = json.loads(program.run("ip", "-json", "netns", "list") or "[]")
    return tuple(str(space["name"]) for space in spaces)


def _uplink_mtu() -> int:
    routes: list[dict[str, Any]] = json.loads(program.run("ip", "-json", "-4", "route", "show", "default") or "[]")
    if not routes:
        return 1500
    links: list[dict[str, Any]] = json.loads(program.run("ip", "-json", "link", "show", "dev", str(routes[0]["dev"])))
    return int(links[0]["mtu"])


def _echo_request(tag: int) -> bytes:
    head = struct.pack("!BBHHH", _ECHO_REQUEST, 0, 0, tag, 1)
    total = sum(struct.unpack("!4H", head))
    checksum = ~((total >> 16) + (total & 0xFFFF)) & 0xFFFF
    return struct.pack("!BBHHH", _ECHO_REQUEST, 0, checksum, tag, 1)
