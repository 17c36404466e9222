"""A card that is taken down from inside its machine, as ``ifdown`` does it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.faults.cuts import link_works
from harness.faults.fault import Fault
from harness.faults.journal import Undo
from harness.lab.topology import Link

if TYPE_CHECKING:
    from harness.lab.lab import Lab


@dataclass(slots=True)
class InterfaceDown(Fault):
    """Takes a card's address away and sets it down, as ifdown(8) does: no simulation of a cut.

    It exists only to show what the post says of it. With a cable pulled, addresses, sockets and
    routes stay, and whoever waits goes on when it is back. Here the machine itself no longer has
    the address: what is bound to it fails at once, on that machine alone (DRBD cannot bind and
    gives its connections up), and it takes an administrator to make them anew.
    """

    machine: str
    link: Link
    kind: str = "ifdown"

    @property
    def target(self) -> str:
        """Which card."""
        return f"{self.link} link of {self.machine}"

    def undo(self) -> list[Undo]:
        """Take the card up, with its address."""
        return [Undo("ifup", {"machine": self.machine, "link": str(self.link)})]

    def inject(self, lab: Lab) -> None:
        """What ifdown does: ``ip addr flush``, ``ip link set … down`` (ifupdown, inet.defn)."""
        lab.machines[self.machine].guest.run(
            f"ip -4 address flush dev {self.link}; ip link set dev {self.link} down", timeout_s=30
        )

    def bitten(self, lab: Lab) -> str:
        """The machine says that the card is not up and has no address."""
        up, addresses = _card(lab, self.machine, self.link)
        down = not up and not addresses
        return f"{self.link} of {self.machine} is down and has no address" if down else ""

    def heal(self, lab: Lab) -> None:
        """Take the card up, with its address."""
        take_up(lab, self.machine, self.link)

    def healed(self, lab: Lab) -> str:
        """It has its address, and reaches the other end."""
        up, addresses = _card(lab, self.machine, self.link)
        wanted = lab.topology.machine(self.machine).card(self.link).address
        if not up or wanted not in addresses:
            return ""
        works = link_works(lab, self.machine, self.link)
        return f"{self.link} of {self.machine} has {wanted}; {works}" if works else ""


def _card(lab: Lab, name: str, link: Link) -> tuple[bool, list[str]]:
    """Whether a card is set up, and its IPv4 addresses (ip-address(8), -o)."""
    guest = lab.machines[name].guest
    told = guest.run(
        f"ip -o link show dev {link}; ip -o -4 address show dev {link}", timeout_s=30
    ).stdout
    flags = re.search(r"<([^>]*)>", told)
    up = flags is not None and "UP" in flags[1].split(",")
    return up, re.findall(r"\binet (\d+(?:\.\d+){3})/", told)


def take_up(lab: Lab, name: str, link: Link) -> None:
    """What ifup does: the card up, its address, and the default route where it is the way out."""
    address = lab.topology.machine(name).card(link).address
    command = f"ip link set dev {link} up; ip address replace {address}/24 brd + dev {link}"
    if link is Link.MGMT:
        gateway = lab.topology.host_address(Link.MGMT)
        command += f"; ip route replace default via {gateway} dev {link} proto static"
    lab.machines[name].guest.run(command, timeout_s=30)
