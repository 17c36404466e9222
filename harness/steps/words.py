"""Words that several steps share: who, which links, how a link is cut."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.errors import BadInputError
from harness.faults.cuts import CarrierCut, Direction, SilentCut
from harness.lab.topology import RESOURCES, Link

if TYPE_CHECKING:
    from harness.faults.fault import Fault
    from harness.scenario import Scenario

# As regular expressions, so that a misspelt word is an unknown step before any VM starts.
WHO = r"(?P<who>both nodes|the (?:active|passive) node|alpha|bravo|the initiator)"
NODE = r"(?P<who>the (?:active|passive) node|alpha|bravo)"
NODES = r"(?P<who>both nodes|the (?:active|passive) node|alpha|bravo)"
LINKS = r"(?P<links>all links|the (?:data|drbd|mgmt)(?: and (?:data|drbd|mgmt))* links?)"
LINK = r"(?P<link>the (?:data|drbd|mgmt) link)"
RESOURCE = r"(?P<resource>r[0-2])"
SOME_RESOURCES = r"(?P<which>all resources|r[0-2](?: and r[0-2])*)"
DISKS = r"(?P<which>all disks|the disk of r[0-2])"
HOW = r"(?P<how>by carrier|silently|silently, outbound only,|silently, inbound only,)"
PERCENT = r"(?P<percent>[1-9]\d?) %"
# At the end of a step that waits: it goes on after that time, whether or not its state has come.
PATIENCE = r"(?:, or (?P<most>[1-9]\d*) s have passed)?"

# Seconds that a wait for writes lasts beyond the bound of the stall: a stall that is too long is a
# finding of the check, with its length, so the wait has to outlast it.
GRACE_S = 120.0


def patience_s(most: str | None) -> float | None:
    """The seconds of PATIENCE; None where a step has none."""
    return float(most) if most else None


def machines(run: Scenario, who: str) -> tuple[str, ...]:
    """The machines meant by ``both nodes``, ``the active node``, ``the initiator`` or a name."""
    if who == "both nodes":
        return tuple(machine.name for machine in run.lab.nodes)
    if who == "the initiator":
        return (run.lab.initiator.name,)
    return (run.node(who.removeprefix("the ").removesuffix(" node")),)


def resources(text: str) -> tuple[str, ...]:
    """The resources meant by ``all resources``, ``all disks``, ``r1 and r2`` or a disk of one."""
    return RESOURCES if text.startswith("all ") else tuple(re.findall(r"\br\d", text))


def links(text: str) -> tuple[Link, ...]:
    """The links meant by ``all links`` or ``the drbd and mgmt links``."""
    if text == "all links":
        return (Link.DATA, Link.DRBD, Link.MGMT)
    return tuple(Link(word) for word in re.findall(r"data|drbd|mgmt", text))


def cards(run: Scenario, which: str, who: str) -> tuple[tuple[str, ...], tuple[Link, ...]]:
    """The machines and the links that are meant.

    Raises:
        BadInputError: a machine is not on one of the links.
    """
    names, wanted = machines(run, who), links(which)
    for name in names:
        have = {card.link for card in run.lab.topology.machine(name).cards}
        if lacking := [link for link in wanted if link not in have]:
            raise BadInputError(
                f"{name} has no {' or '.join(lacking)} link",
                hint="the initiator is on the data link only",
            )
    return names, wanted


def cuts(run: Scenario, which: str, who: str, how: str) -> list[Fault]:
    """The faults that cut these links of these machines in this way.

    Raises:
        BadInputError: a machine is not on one of the links.
    """
    names, cut_links = cards(run, which, who)
    if how == "by carrier":
        return [CarrierCut(names, link) for link in cut_links]
    direction = (
        Direction.OUT if "outbound" in how else Direction.IN if "inbound" in how else Direction.BOTH
    )
    return [SilentCut(names, cut_links, direction)]
