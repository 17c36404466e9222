"""The lab's plan: links, machines, cards and addresses, all derived from a slot number.

Two labs in one network (``--connect``) take different slots and so differ in every name, MAC and
subnet. A private lab has a network of its own and always uses slot 0's addresses, so that every
private lab can start from the same formed cluster.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from harness.lab.shape import LUN_OF as LUN_OF
from harness.lab.shape import REFERENCE, Shape
from harness.lab.shape import RESOURCES as RESOURCES


class Link(StrEnum):
    """The links of the lab. Scenarios cut the first three and may block ``fence``."""

    DATA = "data"
    DRBD = "drbd"
    MGMT = "mgmt"
    FENCE = "fence"
    CONTROL = "control"


# Bytes. Jumbo frames on the data and DRBD links, as in the cluster the project grew from.
MTU = {Link.DATA: 9000, Link.DRBD: 9000, Link.MGMT: 1500, Link.FENCE: 1500, Link.CONTROL: 1500}

_SUBNET = {Link.CONTROL: 0, Link.MGMT: 1, Link.DRBD: 2, Link.DATA: 3, Link.FENCE: 4}


class Role(StrEnum):
    """What a machine is for."""

    NODE = "node"
    INITIATOR = "initiator"


@dataclass(frozen=True, slots=True)
class Card:
    """One network card of a machine.

    Attributes:
        link: the link it is on; also the interface's name in the guest.
        mac: its MAC address.
        address: its IPv4 address, without the prefix length (always 24).
        tap: the name of its tap device on the host's side.
    """

    link: Link
    mac: str
    address: str
    tap: str


@dataclass(frozen=True, slots=True)
class MachinePlan:
    """One machine of the lab.

    Attributes:
        name: its name in features, in the guest and in the cluster.
        domain: its libvirt domain's name; also its port name at the fence device.
        memory_mib: its memory in MiB.
    """

    name: str
    domain: str
    role: Role
    memory_mib: int
    cards: tuple[Card, ...]

    def card(self, link: Link) -> Card:
        """The card on ``link``.

        Raises:
            KeyError: the machine is not on that link.
        """
        for card in self.cards:
            if card.link == link:
                return card
        raise KeyError(f"{self.name} has no card on the {link} link")


# Bounded by the byte of the MAC address that is the slot's.
SLOTS = 16
# Bytes of each backing disk; DRBD's internal metadata takes the last 100 KiB or so of it.
BACKING_BYTES = 65 << 20


@dataclass(frozen=True)
class Topology:
    """The whole plan for one slot, and the shape of the cluster that is on it."""

    slot: int = 0
    shape: Shape = REFERENCE

    def __post_init__(self) -> None:
        if not 0 <= self.slot < SLOTS:
            raise ValueError(f"slots are 0 to {SLOTS - 1}")

    def subnet(self, link: Link) -> str:
        """The first three octets of the link's subnet, e.g. ``10.77.3``."""
        return f"10.{77 + self.slot}.{_SUBNET[link]}"

    def host_address(self, link: Link) -> str:
        """The lab's own address on the link: gateway, ping target, fence device."""
        return f"{self.subnet(link)}.1"

    @property
    def vip(self) -> str:
        """The portal's floating address on the data link."""
        return self.portals[0][1]

    @property
    def portals(self) -> tuple[tuple[Link, str], ...]:
        """Link and floating address of each of the target's portals; the first is ``vip``."""
        links = (Link.DATA, Link.MGMT) if self.shape.multipath else (Link.DATA,)
        return tuple((link, f"{self.subnet(link)}.100") for link in links)

    @property
    def prefix(self) -> str:
        """What every name of the lab begins with."""
        return f"fh{self.slot}"

    def owns(self, text: str) -> bool:
        """Whether a line of a listing of the host's tells of something of the lab's."""
        return self.prefix in text

    def bridge(self, link: Link) -> str:
        """The bridge of the link (at most 15 characters, IFNAMSIZ)."""
        return f"{self.prefix}-{link}"

    def bridge_mac(self, link: Link) -> str:
        """The bridge's own MAC address, as a card of host number 1 would have it.

        Without one of its own a bridge has the lowest of its ports', and another one as soon as
        that machine loses power: the others then talk to nobody until they ask anew.
        """
        return self._mac(link, 1)

    @cached_property
    def machines(self) -> tuple[MachinePlan, ...]:
        """Both nodes, then the initiator."""
        node_links = (Link.CONTROL, Link.MGMT, Link.DRBD, Link.DATA, Link.FENCE)
        paths = tuple(link for link, _address in self.portals)
        return (
            self._machine("alpha", Role.NODE, 11, node_links, 1024),
            self._machine("bravo", Role.NODE, 12, node_links, 1024),
            self._machine("client", Role.INITIATOR, 21, (Link.CONTROL, *paths), 768),
        )

    @property
    def nodes(self) -> tuple[MachinePlan, ...]:
        """The two cluster nodes."""
        return tuple(plan for plan in self.machines if plan.role is Role.NODE)

    @property
    def initiator(self) -> MachinePlan:
        """The iSCSI initiator."""
        return next(plan for plan in self.machines if plan.role is Role.INITIATOR)

    def machine(self, name: str) -> MachinePlan:
        """The machine called ``name``.

        Raises:
            KeyError: there is none of that name.
        """
        for plan in self.machines:
            if plan.name == name:
                return plan
        raise KeyError(name)

    def peer(self, node: str) -> MachinePlan:
        """The other node."""
        return next(plan for plan in self.nodes if plan.name != node)

    def _mac(self, link: Link, host: int) -> str:
        # 52:54:00 is the prefix QEMU uses for its virtual cards.
        return f"52:54:00:{0xF0 + self.slot % 16:02x}:{_SUBNET[link]:02x}:{host:02x}"

    def _machine(
        self, name: str, role: Role, host: int, links: tuple[Link, ...], memory_mib: int
    ) -> MachinePlan:
        cards = tuple(
            Card(
                link=link,
                mac=self._mac(link, host),
                address=f"{self.subnet(link)}.{host}",
                tap=f"{self.prefix}{name[0]}-{link}",
            )
            for link in links
        )
        return MachinePlan(name, f"{self.prefix}-{name}", role, memory_mib, cards)
