"""Rules on links: who configures them, what runs over them, how large their frames are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.lint.formats.host import starts_at_boot
from harness.lint.formats.network import address
from harness.lint.model import Place
from harness.lint.registry import Look, Severity, Source, rule
from harness.lint.wiring import (
    End,
    Network,
    cib_place,
    ends,
    floating,
    network_of,
    replication_ends,
    rings,
)

if TYPE_CHECKING:
    from harness.lint.formats.network import Card
    from harness.lint.model import Machine

_JUMBO = 9000
# What takes an interface down when its cable is pulled.
_WATCHERS = ("ifplugd.service", "netplugd.service", "netplug.service")


@rule("no-network-manager", "NetworkManager does not run on a node", Severity.ERROR, Source.POST)
def no_network_manager(look: Look) -> None:
    """NetworkManager does an ifdown when a cable is pulled. Corosync then binds anew, whatever else
    has the address fails, and the whole cluster may have to be restarted."""
    for node in look.cluster.nodes:
        units = look.need(node.units)
        if units is None:
            continue
        if starts_at_boot(units, "NetworkManager.service"):
            look.report(Place(node.units.name, None, "NetworkManager.service"), "it is enabled")
        look.saw()


def _cluster_ends(look: Look, node: Machine) -> dict[str, tuple[str, End]] | None:
    """The cards that the cluster runs over, by name: what for, and one of its ends."""
    found: dict[str, tuple[str, End]] = {}
    own_rings = rings(look, node)
    if own_rings is None or look.need(node.cards) is None:
        return None
    for one in own_rings:
        if one.end is not None:
            found.setdefault(one.end.card.name, (f"ring {one.ring.number}", one.end))
    for place, end in replication_ends(look, node) or []:
        found.setdefault(end.card.name, (place.element, end))
    cib = look.cluster.cib.value
    for _name, where in floating(cib) if cib is not None else []:
        for end in ends(node):
            if where in end.interface.network:
                found.setdefault(end.card.name, ("the floating address", end))
    return found


@rule(
    "address-without-carrier",
    "A link's address outlasts a pulled cable",
    Severity.ERROR,
    Source.SEEN,
)
def address_without_carrier(look: Look) -> None:
    """With systemd-networkd's defaults a static address goes with the carrier. DRBD then cannot
    bind to it ("bind before listen failed"), gives up on both nodes and stays StandAlone after the
    cable is back. IgnoreCarrierLoss=yes keeps the address, ConfigureWithoutCarrier=yes gives it to
    a node that boots meanwhile. It is today's form of the post's warning of ifdown."""
    for node in look.cluster.nodes:
        cluster = _cluster_ends(look, node)
        configured = look.need(node.configured)
        if cluster is None or configured is None:
            continue
        for what, end in cluster.values():
            card = configures(configured, end)
            if card is None:
                look.lacks(f"{node.name}: no file that configures {end.card.name} ({what})")
                continue
            place = Place(card.file, card.line or None, f"{what} of {node.name}")
            if not card.keeps_address:
                look.report(place, "the address goes with the carrier (IgnoreCarrierLoss)")
            elif not card.without_carrier:
                text = "no address at a boot without carrier (ConfigureWithoutCarrier)"
                look.report(place, text, Severity.WARNING)
            look.saw()
        units = node.units.value or {}
        for watcher in _WATCHERS:
            if starts_at_boot(units, watcher):
                look.report(Place(node.units.name, None, watcher), "it does an ifdown")


def configures(configured: list[Card], end: End) -> Card | None:
    """The configured card that gives an end its address."""
    return next((c for c in configured if any(a.ip == end.interface.ip for a in c.addresses)), None)


@rule("default-route", "The default route is on the management link", Severity.ERROR, Source.POST)
def default_route(look: Look) -> None:
    """The management link leads to the gateway. A default route over the data or the DRBD link lets
    traffic that does not belong there go over it, and ends with it."""
    cib = look.need(look.cluster.cib)
    for node in look.cluster.nodes:
        routes = look.need(node.default_routes)
        if routes is None or look.need(node.cards) is None or cib is None:
            continue
        replicates = {end.card.name for _place, end in replication_ends(look, node) or []}
        serves = {
            end.card.name
            for _name, where in floating(cib)
            for end in ends(node)
            if where in end.interface.network
        }
        if len(serves) > 1:
            # A second path of the initiator's may well be on management: links-apart tells of it.
            found = rings(look, node) or []
            serves -= {one.end.card.name for one in found if one.end is not None}
        for name in routes:
            if name in replicates | serves:
                link = "DRBD" if name in replicates else "data"
                look.report(
                    _of_card(node, name), f"{node.name}: default route over the {link} link"
                )
        if not routes:
            place = Place(node.default_routes.name)
            look.report(place, f"{node.name} has no default route", Severity.NOTE)
        look.saw()


def _of_card(node: Machine, name: str) -> Place:
    card = next((c for c in node.cards.value or [] if c.name == name), None)
    return Place(card.file if card else node.cards.name, None, f"card {name}")


def _links(look: Look) -> dict[Network, list[End]]:
    """All links that more than one machine is on, by their network."""
    found: dict[Network, list[End]] = {}
    for machine in look.cluster.machines:
        if look.need(machine.cards) is None:
            continue
        for end in ends(machine):
            found.setdefault(end.interface.network, []).append(end)
    return {n: e for n, e in found.items() if len({end.machine.name for end in e}) > 1}


@rule("same-mtu", "All ends of a link have the same MTU", Severity.ERROR, Source.POST)
def same_mtu(look: Look) -> None:
    """Jumbo frames need every card and switch on the way. Where one end is smaller, small frames
    pass, so that everything looks well, and the first large write stalls."""
    for network, link in _links(look).items():
        sizes: dict[int, list[End]] = {}
        for end in link:
            if end.card.mtu is None:
                look.lacks(f"{end.place}: it does not say its MTU")
            else:
                sizes.setdefault(end.card.mtu, []).append(end)
        if len(sizes) > 1:
            # The odd one out; of two, the smaller.
            fewest = min(sizes.items(), key=lambda one: (len(one[1]), one[0]))[1]
            said = ", ".join(
                f"{end.machine.name} {size}" for size, ends_ in sizes.items() for end in ends_
            )
            look.report(fewest[0].place, f"MTUs on {network}: {said}")
        look.seen += bool(sizes)


@rule("jumbo-frames", "The data and DRBD links carry jumbo frames", Severity.NOTE, Source.POST)
def jumbo_frames(look: Look) -> None:
    """A block of 4 KiB fits one frame of 9,000 bytes and needs three of 1,500: fewer headers, and
    fewer packets to handle. docs/measurements.md has the arithmetic."""
    cib = look.cluster.cib.value
    for node in look.cluster.nodes:
        replicates = [end for _place, end in replication_ends(look, node) or []]
        addresses = floating(cib) if cib is not None else []
        serves = [
            end for _n, where in addresses for end in ends(node) if where in end.interface.network
        ]
        told = set()
        for end in (*replicates, *serves):
            if end.card.mtu is None:
                look.lacks(f"{end.place}: it does not say its MTU")
            elif end.card.mtu < _JUMBO and end.card.name not in told:
                told.add(end.card.name)
                text = f"{node.name}: MTU {end.card.mtu} on {end.interface.network}"
                look.report(end.place, text)
            else:
                look.saw()


@rule("links-apart", "Data, DRBD and management have links of their own", Severity.WARNING,
      Source.POST)  # fmt: skip
def links_apart(look: Look) -> None:
    """Each kind of traffic has a link, so that none holds up another: Corosync runs on management,
    which carries little, and on DRBD's direct connection, not on the data link. Replication does
    not share a link with iSCSI."""
    cib = look.need(look.cluster.cib)
    if cib is None:
        return
    served = {n for _id, where in floating(cib) if (n := network_of(look, where)) is not None}
    if not served:
        look.lacks("the network that the floating address is on")
        return
    for node in look.cluster.nodes:
        for place, end in replication_ends(look, node) or []:
            if end.interface.network in served:
                look.report(place, f"DRBD replicates over the data link, {end.interface.network}")
            look.saw()
        for one in rings(look, node) or []:
            if one.end is not None and one.end.interface.network in served:
                look.report(one.place, f"ring {one.ring.number} is on the data link")
            look.saw()


@rule("floating-address", "The floating address is on a link of both nodes", Severity.ERROR,
      Source.DOCS)  # fmt: skip
def floating_address(look: Look) -> None:
    """A node without a card in the network of the floating address cannot take it over."""
    cib = look.need(look.cluster.cib)
    if cib is None:
        return
    for name, where in floating(cib):
        for node in look.cluster.nodes:
            if look.need(node.cards) is None:
                continue
            if not any(where in end.interface.network for end in ends(node)):
                text = f"{node.name} has no card in the network of {where}"
                look.report(cib_place(look, f"primitive {name}"), text)
            look.saw()
    for primitive in cib.primitives.values():
        given = primitive.param("ip") or ""
        if primitive.agent.startswith("ocf:heartbeat:IPaddr") and (
            address(given.split("/")[0]) is None
        ):
            place = cib_place(look, f"primitive {primitive.id}", primitive.line)
            look.report(place, f"ip={given} is no address")
