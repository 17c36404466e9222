"""The links of a lab on another host: bridges there, and libvirt's networks over them.

The networks are what libvirt knows them by, and reserve the names: two labs that reach for the same
slot at once cannot both have it. The bridges are made as in a private lab, not by libvirt: those of
its own networks come with rules of its own, which would need a firewall of a certain kind there.
"""

from __future__ import annotations

import contextlib
import json
import shlex
import uuid
from typing import TYPE_CHECKING, Any

import libvirt

from harness.errors import HarnessError
from harness.lab.topology import MTU, Link

if TYPE_CHECKING:
    from harness.lab.elsewhere import Elsewhere
    from harness.lab.topology import Topology


def make_links(there: Elsewhere, topology: Topology, mac: str) -> bool:
    """Make networks and bridges; False, with nothing left, if somebody has one of the names.

    Args:
        mac: the MAC address of all bridges, by which they are known.

    Raises:
        HarnessError: that host or its libvirt refuses.
    """
    try:
        if not all(_declare(there.connection, topology.bridge(link), mac) for link in Link):
            _undeclare(there.connection, topology, mac)
            return False
        there.shell.run("sh", "-e", stdin=_script(topology, mac).encode())
    except HarnessError as error:
        remove_links(there, topology, mac)
        if "File exists" in error.message:
            return False
        raise
    return True


def remove_links(there: Elsewhere, topology: Topology, mac: str) -> None:
    """Remove the bridges that have this MAC address, the rules over them, and our networks."""
    ours = [
        name
        for name, address in _bridges(there).items()
        if address == mac and name in {topology.bridge(link) for link in Link}
    ]
    if ours:
        # The slot is ours, and so are the rules that carry its name. They go first: after a kill -9
        # in between, the bridges still tell whose they are.
        for line in there.shell.run("nft", "list", "tables").splitlines():
            _word, family, name = line.split()
            if name.startswith(f"{topology.prefix}_"):
                there.shell.run("nft", "delete", "table", family, name)
    for name in ours:
        there.shell.run("ip", "link", "del", "dev", name)
    _undeclare(there.connection, topology, mac)


def addresses_in_use(there: Elsewhere, topology: Topology) -> list[str]:
    """Addresses of that host that lie in one of the topology's subnets."""
    prefixes = tuple(f"{topology.subnet(link)}." for link in Link)
    return [
        str(address.get("local", ""))
        for card in _asked(there, "ip", "-j", "address", "show")
        for address in card.get("addr_info", [])
        if str(address.get("local", "")).startswith(prefixes)
    ]


def _uuid(name: str, mac: str) -> str:
    """A network's UUID, by which it is known as ours."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{mac} {name}"))


def _declare(connection: libvirt.virConnect, name: str, mac: str) -> bool:
    """Tell libvirt of a network over the bridge of that name; False if there is one."""
    if name in {network.name() for network in connection.listAllNetworks()}:
        return False
    try:
        connection.networkCreateXML(
            f"<network><name>{name}</name><uuid>{_uuid(name, mac)}</uuid><forward mode='bridge'/>"
            f"<bridge name='{name}'/></network>"
        )
    except libvirt.libvirtError as error:
        if "already exists" in str(error):
            return False  # another lab was quicker
        raise HarnessError(
            f"libvirt makes no network {name}: {error}",
            hint="a lab on another host takes libvirt's network driver there",
        ) from error
    return True


def _undeclare(connection: libvirt.virConnect, topology: Topology, mac: str) -> None:
    for link in Link:
        with contextlib.suppress(libvirt.libvirtError):
            connection.networkLookupByUUIDString(_uuid(topology.bridge(link), mac)).destroy()


def _script(topology: Topology, mac: str) -> str:
    """As harness.lab.bridges makes them."""
    lines = []
    for link in Link:
        name = topology.bridge(link)
        lines += [
            f"ip link add name {name} address {mac} type bridge forward_delay 0 mcast_snooping 0",
            f"ip link set dev {name} mtu {MTU[link]} up",
        ]
        if link is not Link.DRBD:  # a direct connection between the nodes
            lines.append(f"ip address add {topology.host_address(link)}/24 dev {name}")
    return "\n".join(lines) + "\n"


def _bridges(there: Elsewhere) -> dict[str, str]:
    """Name and MAC address of every bridge there."""
    cards = _asked(there, "ip", "-j", "link", "show", "type", "bridge")
    return {str(card.get("ifname")): str(card.get("address")) for card in cards}


def _asked(there: Elsewhere, *command: str) -> list[dict[str, Any]]:
    """What ip(8) tells, as JSON; iproute2 prints nothing at all where there is nothing.

    Raises:
        HarnessError: it is no such document.
    """
    text = there.shell.run(*command)
    try:
        told = json.loads(text or "[]")
        return [one for one in told if isinstance(one, dict)]
    except (ValueError, TypeError) as error:
        raise HarnessError(
            f"{shlex.join(command)} on {there.shell.name} tells {text[:100]!r}"
        ) from error
