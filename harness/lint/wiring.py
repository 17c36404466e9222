"""Who is wired to what: rings, replication addresses and floating addresses, found on the cards."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.lint.formats import corosync_conf
from harness.lint.formats.network import Address, Card, Interface, address
from harness.lint.formats.text import FormatError
from harness.lint.model import Place

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.lint.formats.cib import Cib
    from harness.lint.formats.corosync_conf import Ring, Section
    from harness.lint.model import Machine
    from harness.lint.registry import Look

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class End:
    """One machine's end of a link."""

    machine: Machine
    card: Card
    interface: Interface

    @property
    def place(self) -> Place:
        """Where the card is configured, or seen."""
        return Place(self.card.file, self.card.line or None, f"card {self.card.name}")


@dataclass(frozen=True, slots=True)
class RingEnd:
    """One node's end of a ring; ``end`` is None where its card is not known."""

    ring: Ring
    place: Place
    address: Address | None
    end: End | None


def own_section(conf: Section, node: Machine) -> Section | None:
    """The entry of a node in its node list; by its name, else by one of its addresses."""
    entries = corosync_conf.node_sections(conf)
    for entry in entries:
        if corosync_conf.node_name(entry) == node.name:
            return entry
    own = {str(one.ip) for card in node.cards.value or [] for one in card.addresses}
    for entry in entries:
        if any(ring.address in own for ring in corosync_conf.rings_of(conf, entry)):
            return entry
    return None


def rings(look: Look, node: Machine) -> list[RingEnd] | None:
    """The rings of a node, as far as they can be found; None, and noted, where they cannot.

    A rule that gets None must not judge this node.
    """
    conf = look.need(node.corosync)
    if conf is None:
        return None
    entry = own_section(conf, node)
    if entry is None and corosync_conf.node_sections(conf):
        look.lacks(f"{node.corosync.name} has no entry for {node.name} in its node list")
        return None
    try:
        found = corosync_conf.rings_of(conf, entry)
    except FormatError as error:
        look.lacks(f"{node.corosync.name}:{error.line}: {error}")
        return None
    return [_ring_end(node, ring) for ring in found]


def _ring_end(node: Machine, ring: Ring) -> RingEnd:
    place = Place(node.corosync.name, ring.line, f"ring {ring.number}")
    found = address(ring.address)
    if found is None and node.hosts.value is not None:
        known = node.hosts.value.get(ring.address, [])
        found = known[0] if known else None
    end = None if found is None else end_with(node, found)
    if end is None and found is not None and ring.of_network:
        end = next((e for e in ends(node) if e.interface.network.network_address == found), None)
        found = end.interface.ip if end is not None else found
    return RingEnd(ring, place, found, end)


def ends(machine: Machine) -> Iterator[End]:
    """All ends of a machine's links: each address of each card."""
    for card in machine.cards.value or []:
        for one in card.addresses:
            yield End(machine, card, one)


def end_with(machine: Machine, wanted: Address) -> End | None:
    """The end that has an address."""
    return next((end for end in ends(machine) if end.interface.ip == wanted), None)


def replication_ends(look: Look, node: Machine) -> list[tuple[Place, End]] | None:
    """The ends that a node's DRBD resources replicate over; None, and noted, if unknown."""
    config = look.need(node.drbd)
    if config is None or look.need(node.cards) is None:
        return None
    found = []
    for resource in config.resources.values():
        own = resource.addresses.get(node.name) or resource.addresses.get("", [])
        for option in own:
            place = Place(option.file, option.line, f"resource {resource.name}")
            wanted = address(option.value)
            end = end_with(node, wanted) if wanted is not None else None
            if end is not None:
                found.append((place, end))
    if not found:
        look.lacks(f"no card of {node.name} has an address that DRBD replicates over")
        return None
    return found


def floating(cib: Cib) -> list[tuple[str, Address]]:
    """The floating addresses: id of the resource and its address."""
    found = []
    for agent in ("ocf:heartbeat:IPaddr2", "ocf:heartbeat:IPaddr"):
        for primitive in cib.of_agent(agent):
            where = address((primitive.param("ip") or "").split("/")[0])
            if where is not None:
                found.append((primitive.id, where))
    return found


def network_of(look: Look, wanted: Address) -> Network | None:
    """The network of a card of any node that an address lies in."""
    for node in look.cluster.nodes:
        for end in ends(node):
            if wanted in end.interface.network:
                return end.interface.network
    return None


def cib_place(look: Look, element: str, line: int = 0) -> Place:
    """An element of the CIB."""
    return Place(look.cluster.cib.name, line or None, element)
