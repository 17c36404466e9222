"""Which of the cluster's networks stands for which of the lab's links; MTUs, lasting addresses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.lint.formats.host import starts_at_boot
from harness.lint.model import Place
from harness.lint.rules.links import configures
from harness.lint.wiring import cib_place, ends, floating, network_of, replication_ends, rings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.lint.onto_lab.sheet import Sheet
    from harness.lint.wiring import End, Network

DATA, DRBD, MGMT = "data", "drbd", "mgmt"
# ip-link(8): what a card has where nobody says anything.
_DEFAULT_MTU = 1500
_LEAST, _MOST = 576, 9000

Wires = dict["Network", str]
"""The lab's link that each network of the cluster stands for."""


def links_of(sheet: Sheet) -> Wires:
    """Tell the networks apart by what runs over them.

    Replication makes the DRBD link, the floating address the data link, a ring that is on neither
    the management link.
    """
    wires: Wires = {}
    look = sheet.look
    for node in sheet.cluster.nodes:
        for place, end in replication_ends(look, node) or []:
            _give(sheet, wires, end.interface.network, DRBD, place)
    cib = sheet.cluster.cib.value
    for name, where in floating(cib) if cib is not None else []:
        network = network_of(look, where)
        if network is not None:
            _give(sheet, wires, network, DATA, cib_place(look, f"primitive {name}"))
    for node in sheet.cluster.nodes:
        for ring in rings(look, node) or []:
            if ring.end is not None and ring.end.interface.network not in wires:
                _give(sheet, wires, ring.end.interface.network, MGMT, ring.place)
    return wires


def _give(sheet: Sheet, wires: Wires, network: Network, link: str, place: Place) -> None:
    known = wires.get(network)
    if known is None and link not in wires.values():
        wires[network] = link
    elif known is None:
        sheet.leave(place, f"network {network}", f"the lab has one {link} link, and that is taken")
    elif known != link:
        sheet.leave(
            place,
            f"network {network} for {link} as well as for {known}",
            f"the lab has a link of its own for each: {link} and {known} never fail together there",
        )


def map_links(sheet: Sheet, wires: Wires) -> None:
    """MTUs, and whether an address outlasts its carrier."""
    keeps = []
    for machine in sheet.cluster.machines:
        name = sheet.names.get(machine.name)
        if name is None:
            sheet.leave(Place(machine.name), "a further initiator", "the lab has one")
            continue
        if sheet.look.need(machine.cards) is None:
            continue
        for end, link in _of_lab(wires, ends(machine)):
            mtu = end.card.mtu or _DEFAULT_MTU
            if not _LEAST <= mtu <= _MOST:
                least = f"the lab's cards have {_LEAST} to {_MOST}"
                sheet.leave(end.place, f"MTU {mtu} on the {link} link", least)
            elif mtu != sheet.mtu[link]:
                sheet.set(f"guest.mtu.{name}.{link}", mtu, end.place)
            configured = configures(machine.configured.value or [], end)
            if configured is not None and configured.keeps_address is not None:
                place = Place(configured.file, configured.line or None, f"card {configured.name}")
                keeps.append((configured.keeps_address, place))
        if starts_at_boot(machine.units.value or {}, "NetworkManager.service"):
            keeps.append((False, Place(machine.units.name, None, "NetworkManager.service")))
            sheet.leave(
                Place(machine.units.name, None, "NetworkManager.service"),
                "NetworkManager",
                "the lab has systemd-networkd; an address that goes with its carrier stands for it",
            )
    if keeps:
        sheet.take("guest.keep_address_without_carrier", keeps)
    else:
        sheet.assume("no file that says whether an address outlasts its carrier")


def _of_lab(wires: Wires, found: Iterator[End]) -> Iterator[tuple[End, str]]:
    for end in found:
        link = wires.get(end.interface.network)
        if link is not None:
            yield end, link
