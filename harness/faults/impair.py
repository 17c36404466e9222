"""Links that are bad rather than cut, made inside the guests: latency and a wrong MTU.

In the guest, because the host's kernel may lack ``sch_netem``; a machine that boots anew has lost
the impairment, which the proof before the heal tells.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.faults.fault import Fault
from harness.faults.journal import Undo
from harness.lab.topology import MTU, Link

if TYPE_CHECKING:
    from harness.lab.lab import Lab

_HEADERS = 28  # IPv4 and ICMP
_RTT = re.compile(r"= [\d.]+/([\d.]+)/")  # iputils ping: rtt min/avg/max/mdev


@dataclass(slots=True)
class Latency(Fault):
    """Delays every frame that a machine sends on a link (``tc qdisc … netem delay``)."""

    machine: str
    link: Link
    delay_ms: int
    kind: str = "latency"

    @property
    def target(self) -> str:  # type: ignore[override]
        """Which frames, by how much."""
        return f"{self.link} link of {self.machine}, {self.delay_ms} ms"

    def undo(self) -> list[Undo]:
        """Remove the queueing discipline."""
        return [Undo("qdisc-delete", {"machine": self.machine, "link": str(self.link)})]

    def inject(self, lab: Lab) -> None:
        """Add the queueing discipline; the limit holds a second of small frames."""
        lab.machines[self.machine].guest.run(
            f"tc qdisc replace dev {self.link} root netem delay {self.delay_ms}ms limit 20000"
        )

    def bitten(self, lab: Lab) -> str:
        """A ping takes at least so long."""
        average = _ping_ms(lab, self.machine, self.link)
        return f"a ping takes {average:.0f} ms" if average >= self.delay_ms else ""

    def heal(self, lab: Lab) -> None:
        """Remove the queueing discipline."""
        remove_qdisc(lab, self.machine, self.link)

    def healed(self, lab: Lab) -> str:
        """The discipline is gone, and something answers."""
        shown = lab.machines[self.machine].guest.run(f"tc qdisc show dev {self.link}").stdout
        average = _ping_ms(lab, self.machine, self.link)
        if "netem" in shown or average < 0:
            return ""
        return f"no netem on {self.link} of {self.machine}, a ping takes {average:.0f} ms"


def remove_qdisc(lab: Lab, machine: str, link: str) -> None:
    """Remove a link's queueing discipline; it need not be there."""
    lab.machines[machine].guest.run(f"tc qdisc del dev {link} root", check=False, timeout_s=20)


@dataclass(slots=True)
class WrongMtu(Fault):
    """Gives one machine's card another MTU than the rest of its link has."""

    machine: str
    link: Link
    mtu: int
    kind: str = "wrong-mtu"

    @property
    def target(self) -> str:  # type: ignore[override]
        """Which card, and which MTU."""
        return f"{self.link} link of {self.machine}, {self.mtu} bytes"

    def undo(self) -> list[Undo]:
        """Give it the right one."""
        return [Undo("mtu", {"machine": self.machine, "link": str(self.link)})]

    def inject(self, lab: Lab) -> None:
        """Set it."""
        set_mtu(lab, self.machine, self.link, self.mtu)

    def bitten(self, lab: Lab) -> str:
        """A full frame does not pass, a small one does."""
        full = _ping(lab, self.machine, self.link, MTU[self.link] - _HEADERS)
        small = _ping(lab, self.machine, self.link, 56)
        return "a full frame does not pass, a small one does" if small and not full else ""

    def heal(self, lab: Lab) -> None:
        """Give it the right one."""
        set_mtu(lab, self.machine, self.link, MTU[self.link])

    def healed(self, lab: Lab) -> str:
        """A full frame passes."""
        payload = MTU[self.link] - _HEADERS
        return f"{payload} bytes pass" if _ping(lab, self.machine, self.link, payload) else ""


def set_mtu(lab: Lab, machine: str, link: str, mtu: int) -> None:
    """Set the MTU of a card."""
    lab.machines[machine].guest.run(f"ip link set dev {link} mtu {mtu}", timeout_s=20)


def _other_end(lab: Lab, machine: str, link: Link) -> str:
    if link is Link.DRBD:
        return lab.topology.peer(machine).card(link).address
    return lab.topology.host_address(link)


def _ping(lab: Lab, machine: str, link: Link, payload: int) -> bool:
    target = _other_end(lab, machine, link)
    command = f"ping -M do -s {payload} -c 1 -W 3 -I {link} {target}"
    return lab.machines[machine].guest.run(command, timeout_s=20, check=False).exit_code == 0


def _ping_ms(lab: Lab, machine: str, link: Link) -> float:
    """Average round trip of three pings, in ms; -1 if nothing answers."""
    command = f"ping -c 3 -i 0.3 -W 5 -I {link} {_other_end(lab, machine, link)}"
    shown = lab.machines[machine].guest.run(command, timeout_s=40, check=False).stdout
    found = _RTT.search(shown)
    return float(found.group(1)) if found else -1.0
