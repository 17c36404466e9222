"""Rules on Corosync's rings; with Corosync 3 they are called links, and knet carries them.

Sources: the post's list (from Red Hat's cluster administration manual, on RRP), corosync.conf(5)
and votequorum(5) of Corosync 3.1.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from harness.lint.formats import corosync_conf
from harness.lint.formats.corosync_conf import DEFAULT_PORT, Section, is_knet
from harness.lint.formats.text import FormatError
from harness.lint.model import Place
from harness.lint.registry import Look, Severity, Source, rule
from harness.lint.wiring import RingEnd, rings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.lint.formats.network import Card
    from harness.lint.model import Machine

_MOST = 2


def confs(look: Look) -> Iterator[tuple[Machine, Section]]:
    """Each node with its corosync.conf, as far as it is known."""
    for node in look.cluster.nodes:
        conf = look.need(node.corosync)
        if conf is not None:
            yield node, conf


def place_of(node: Machine, line: int | None = None, element: str = "") -> Place:
    """A line of a node's corosync.conf."""
    return Place(node.corosync.name, line, element)


@rule("redundant-rings", "Corosync has two rings", Severity.ERROR, Source.POST)
def redundant_rings(look: Look) -> None:
    """With one ring, the failure of one link parts the cluster: a node is fenced, or both serve.
    With two, Corosync still sees the other node over the ring that is left."""
    for node in look.cluster.nodes:
        found = rings(look, node)
        if found is None:
            continue
        if len({end.ring.number for end in found}) < _MOST:
            place = found[0].place if found else place_of(node)
            look.report(place, f"{node.name} is on {len(found)} ring(s)")
        look.saw()


@rule("at-most-two-rings", "Corosync has two rings at most", Severity.ERROR, Source.POST)
def at_most_two_rings(look: Look) -> None:
    """RRP is made for two rings. knet takes up to eight links (corosync.conf(5)), so a third is
    only a warning there: one more thing to keep apart from the others, which this design does not
    need."""
    for node, conf in confs(look):
        found = rings(look, node)
        if found is None:
            continue
        if len(found) > _MOST:
            severity = Severity.WARNING if is_knet(conf) else Severity.ERROR
            look.report(found[_MOST].place, f"{node.name} is on {len(found)} rings", severity)
        look.saw()


@rule("corosync-agrees", "All nodes have the same corosync.conf", Severity.ERROR, Source.DOCS)
def corosync_agrees(look: Look) -> None:
    """Corosync does not compare the nodes' files. Where they differ, each node lives by its own
    timeouts, rings or votes, which shows when a link fails."""
    known = list(confs(look))
    for (first, one), (second, other) in itertools.pairwise(known):
        difference = _first_difference(one, other)
        if difference is not None:
            line, what = difference
            look.report(place_of(second, line), f"not as in {first.corosync.name}: {what}")
        look.saw()
    if len(known) == 1 and len(look.cluster.nodes) == 1:
        look.lacks("the corosync.conf of a second node")


def _first_difference(one: Section, other: Section) -> tuple[int, str] | None:
    for key in sorted(one.settings.keys() | other.settings.keys()):
        mine, theirs = one.settings.get(key), other.settings.get(key)
        # Where it binds to is each node's own in files without a node list.
        if key == "bindnetaddr":
            continue
        if (mine and mine.value) != (theirs and theirs.value):
            said = theirs.value if theirs is not None else "not set"
            return (theirs.line if theirs else other.line), f"{key} is {said}"
    for mine_, theirs_ in itertools.zip_longest(one.sections, other.sections):
        if mine_ is None or theirs_ is None or mine_.name != theirs_.name:
            found = theirs_ or other
            return found.line, f"section {(theirs_ or mine_ or other).name}"
        if (deeper := _first_difference(mine_, theirs_)) is not None:
            return deeper
    return None


def _known(look: Look, node: Machine) -> list[RingEnd] | None:
    """The node's rings, all with an address; None, and noted, where one has none."""
    found = rings(look, node)
    if found is None:
        return None
    for end in found:
        if end.address is None:
            look.lacks(f"{end.place}: no address is known of {end.ring.address}")
            return None
    return found


@rule("one-address-family", "All rings use one address family", Severity.ERROR, Source.POST)
def one_address_family(look: Look) -> None:
    """RRP cannot mix IPv4 and IPv6. knet can, as long as each link is of one family at all its ends
    (corosync.conf(5), ip_version): a warning there, as nobody expects it when a link is looked for.
    """
    by_ring: dict[int, list[RingEnd]] = {}
    for node, conf in confs(look):
        found = _known(look, node)
        if found is None:
            continue
        families = {end.address.version for end in found if end.address is not None}
        if len(families) > 1:
            severity = Severity.WARNING if is_knet(conf) else Severity.ERROR
            look.report(found[-1].place, f"{node.name} has rings of IPv4 and of IPv6", severity)
        for end in found:
            by_ring.setdefault(end.ring.number, []).append(end)
        look.saw()
    for number, ends in by_ring.items():
        versions = {end.address.version for end in ends if end.address is not None}
        if len(versions) > 1:
            look.report(ends[-1].place, f"ring {number} has ends of IPv4 and of IPv6")


def _on_cards(look: Look, node: Machine) -> list[RingEnd] | None:
    """The node's rings, all with their card; None, and noted, where one has none."""
    found = _known(look, node)
    if found is None or look.need(node.cards) is None:
        return None
    for end in found:
        if end.end is None:
            look.lacks(f"{end.place}: no card of {node.name} has the address {end.ring.address}")
            return None
    return found


@rule(
    "rings-on-different-subnets", "The rings are on different subnets", Severity.ERROR, Source.POST
)
def rings_on_different_subnets(look: Look) -> None:
    """With two cards on one subnet the kernel sends everything over one of them: what looks like
    two rings fails with one cable."""
    for node in look.cluster.nodes:
        found = _on_cards(look, node)
        if found is None:
            continue
        for one, other in itertools.combinations(found, 2):
            assert one.end is not None
            assert other.end is not None
            if one.end.interface.network.overlaps(other.end.interface.network):
                look.report(
                    other.place,
                    f"{node.name}: rings {one.ring.number} and {other.ring.number} are both on "
                    f"{other.end.interface.network}",
                )
        look.saw()


@rule("rings-on-different-cards", "The rings are on different cards", Severity.ERROR, Source.POST)
def rings_on_different_cards(look: Look) -> None:
    """Two rings over one card, or over two VLANs of one card, fail together. (Switches cannot be
    seen from here: they should be two as well.)"""
    for node in look.cluster.nodes:
        found = _on_cards(look, node)
        if found is None:
            continue
        cards = {card.name: card for card in node.cards.value or []}
        for one, other in itertools.combinations(found, 2):
            assert one.end is not None
            assert other.end is not None
            wires = [_lowest(end.card.name, cards) for end in (one.end, other.end)]
            if wires[0] == wires[1]:
                look.report(
                    other.place,
                    f"{node.name}: rings {one.ring.number} and {other.ring.number} both go over "
                    f"{wires[0]}",
                )
        look.saw()


def _lowest(name: str, cards: dict[str, Card]) -> str:
    """The card that a VLAN and the like sends over in the end."""
    for _ in cards:
        card = cards.get(name)
        if card is None or card.below is None:
            break
        name = card.below
    return name


@rule("port-distance", "The rings' ports are at least two apart", Severity.ERROR, Source.POST)
def port_distance(look: Look) -> None:
    """With udp and udpu, Corosync receives on mcastport and sends from mcastport - 1
    (corosync.conf(5)): rings whose ports are next to each other, or equal with one multicast
    address, disturb each other. knet uses one port for each link, by default 5405 plus the link's
    number, and binds it to the link's own address: there the distance does not matter."""
    for node, conf in confs(look):
        if is_knet(conf):
            look.saw()
            continue
        ports: list[tuple[int, int, str, int]] = []  # ring, port, multicast group, line
        try:
            for position, section in enumerate(corosync_conf.interfaces(conf)):
                number = corosync_conf.link_number(section, position)
                given = section.settings.get("mcastport")
                port = corosync_conf.number_of(given) if given is not None else DEFAULT_PORT
                address = section.settings.get("mcastaddr")
                line = given.line if given is not None else section.line
                # Without one, Corosync makes up another for each ring.
                group = address.value if address is not None else f"that of ring {number}"
                ports.append((number, port, group, line))
        except FormatError as error:
            look.lacks(f"{node.corosync.name}:{error.line}: {error}")
            continue
        for first, second in itertools.combinations(ports, 2):
            distance = abs(first[1] - second[1])
            if distance == 1 or (distance == 0 and first[2] == second[2]):
                text = f"ports {first[1]} of ring {first[0]} and {second[1]} of ring {second[0]}"
                look.report(place_of(node, second[3], "interface"), text)
        look.saw()


@rule("rrp-mode", "Two rings are used as two", Severity.ERROR, Source.POST)
def rrp_mode(look: Look) -> None:
    """rrp_mode none, which is the default, uses one ring only: with two it has to be passive or
    active. Corosync 3 has no rrp_mode any more; with knet it is link_mode, of which every value
    uses both links, and a leftover rrp_mode does nothing."""
    for node, conf in confs(look):
        mode = conf.find("totem.rrp_mode")
        if is_knet(conf):
            if mode is not None:
                text = f"rrp_mode: {mode.value} does nothing with knet (link_mode does)"
                look.report(place_of(node, mode.line, "totem"), text, Severity.WARNING)
        else:
            found = rings(look, node)
            if found is None:
                continue
            if len(found) > 1 and (mode is None or mode.value not in ("active", "passive")):
                said = f"rrp_mode is {mode.value if mode else 'not set'} with {len(found)} rings"
                look.report(place_of(node, mode.line if mode else None, "totem"), said)
        look.saw()


@rule("netmtu", "Corosync's frames fit the link", Severity.WARNING, Source.POST)
def netmtu(look: Look) -> None:
    """The post sets netmtu to 8982 for its jumbo frames. With udp and udpu it must fit the card,
    else Corosync's large packets vanish. knet finds the MTU of each link by itself (knet_mtu 0): a
    number that is set by hand is one more thing that can be wrong."""
    for node, conf in confs(look):
        if is_knet(conf):
            for key in ("netmtu", "knet_mtu"):
                setting = conf.find(f"totem.{key}")
                if setting is not None and setting.value != "0":
                    text = f"{key}: {setting.value} is set by hand; knet finds it by itself"
                    look.report(place_of(node, setting.line, "totem"), text)
            look.saw()
            continue
        found = rings(look, node)
        if found is None:
            continue
        sizes = {e.ring.number: e.end.card.mtu if e.end is not None else None for e in found}
        try:
            for section, number in _with_netmtu(conf):
                setting = section.settings["netmtu"]
                value = corosync_conf.number_of(setting)
                known = [size for ring, size in sizes.items() if number in (ring, None)]
                if not known or None in known:
                    look.lacks(f"{node.corosync.name}:{setting.line}: the MTU of the ring's card")
                elif value > min(size for size in known if size is not None):
                    text = f"netmtu {value} is more than the card's MTU, {known}"
                    look.report(place_of(node, setting.line, section.name), text, Severity.ERROR)
        except FormatError as error:
            look.lacks(f"{node.corosync.name}:{error.line}: {error}")
        look.saw()


def _with_netmtu(conf: Section) -> Iterator[tuple[Section, int | None]]:
    """Sections with a netmtu, and the ring that it is for; None for all."""
    for totem in conf.all("totem"):
        if "netmtu" in totem.settings:
            yield totem, None
    for position, section in enumerate(corosync_conf.interfaces(conf)):
        if "netmtu" in section.settings:
            yield section, corosync_conf.link_number(section, position)
