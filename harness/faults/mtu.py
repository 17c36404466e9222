"""Frames that are too large for one end of a link, and vanish there without a word.

TCP never hears of it: each end tells its segment size when it connects (RFC 9293, 3.7.1), by the
MTU that its own card has then, and between two machines on one link there is no router that could
complain (RFC 1191). So a connection that was made before stalls at its first large segment, in the
direction of the end that is too small; what is small still passes.

A virtio card takes whatever arrives, whatever its MTU is. So that one end is really too small, the
tap that feeds it gets the MTU too: a bridge drops what is larger than the port it would leave by.
It lets pass what a card is still to cut (TSO), several segments in one; a write of 4 KiB by
itself is none of these.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.faults.cuts import PING_CODES
from harness.faults.fault import Fault
from harness.faults.journal import Undo
from harness.lab.topology import MTU, Link

if TYPE_CHECKING:
    from harness.lab.lab import Lab

_HEADERS = 28  # bytes: IPv4 and ICMP


@dataclass(slots=True)
class SmallPort(Fault):
    """Gives the switch's port that leads to one machine a smaller MTU than the link has.

    Both cards keep theirs, so that a new connection agrees on large segments again, and stalls as
    the one before. What the machine itself sends is not held up.
    """

    machine: str
    link: Link
    mtu: int
    kind: str = "small-port"

    @property
    def target(self) -> str:
        """Which end, and which MTU."""
        return f"{self.link} link of {self.machine}, {self.mtu} bytes"

    def undo(self) -> list[Undo]:
        """Give the port the right one."""
        return [Undo("port-mtu", {"machine": self.machine, "link": str(self.link)})]

    def inject(self, lab: Lab) -> None:
        """Set it."""
        set_port_mtu(lab, self.machine, self.link, self.mtu)

    def bitten(self, lab: Lab) -> str:
        """A full frame to the machine is not answered, a small one is."""
        source = _opposite(lab, self.machine)
        full = _passes(lab, source, self.machine, self.link, MTU[self.link] - _HEADERS)
        small = _passes(lab, source, self.machine, self.link, 56)
        if full or not small:
            return ""
        return f"from {source} to {self.machine} a full frame does not pass, a small one does"

    def heal(self, lab: Lab) -> None:
        """Give it the right one."""
        set_port_mtu(lab, self.machine, self.link, MTU[self.link])

    def healed(self, lab: Lab) -> str:
        """A full frame passes in both directions."""
        source, payload = _opposite(lab, self.machine), MTU[self.link] - _HEADERS
        both = ((source, self.machine), (self.machine, source))
        if not all(_passes(lab, a, b, self.link, payload) for a, b in both):
            return ""
        return f"{payload} bytes pass between {source} and {self.machine}"


@dataclass(slots=True)
class WrongMtu(SmallPort):
    """Gives one machine's card another MTU than the rest of its link has, in both directions.

    A connection that is made from then on agrees on small segments, and works.
    """

    kind: str = "wrong-mtu"

    def undo(self) -> list[Undo]:
        """Give port and card the right one."""
        step = {"machine": self.machine, "link": str(self.link)}
        return [Undo("port-mtu", step), Undo("mtu", step)]

    def inject(self, lab: Lab) -> None:
        """Set it at the port, then at the card."""
        set_port_mtu(lab, self.machine, self.link, self.mtu)
        set_mtu(lab, self.machine, self.link, self.mtu)

    def heal(self, lab: Lab) -> None:
        """Give both the right one."""
        set_port_mtu(lab, self.machine, self.link, MTU[self.link])
        set_mtu(lab, self.machine, self.link, MTU[self.link])


def set_mtu(lab: Lab, machine: str, link: Link, mtu: int) -> None:
    """Set the MTU of a card."""
    lab.machines[machine].guest.run(f"ip link set dev {link} mtu {mtu}", timeout_s=20)


def set_port_mtu(lab: Lab, machine: str, link: Link, mtu: int) -> None:
    """Set the MTU of the bridge's port that leads to a card; a machine that is off has none.

    The bridge keeps its own, which was set by hand; QEMU makes a new port with the right one.
    """
    if lab.machines[machine].running():
        tap = lab.topology.machine(machine).card(link).tap
        lab.host.run("ip", "link", "set", "dev", tap, "mtu", str(mtu))


def _opposite(lab: Lab, machine: str) -> str:
    """Another machine on the same link: the other node, or a node for the initiator."""
    return next(plan.name for plan in lab.topology.nodes if plan.name != machine)


def _passes(lab: Lab, source: str, machine: str, link: Link, payload: int) -> bool:
    target = lab.topology.machine(machine).card(link).address
    command = f"ping -M do -s {payload} -c 1 -W 3 -I {link} {target}"
    return lab.machines[source].guest.run(command, timeout_s=20, codes=PING_CODES).exit_code == 0
