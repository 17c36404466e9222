"""Links that are bad rather than cut: frames late, lost, in disorder, twice, damaged, or too many.

netem (tc-netem(8)) does it to the frames that a machine *sends* on one card, inside the guest,
because the host's kernel may lack ``sch_netem``. A machine that boots anew has lost it with its
kernel. A frame is what the kernel hands to the card: of a large write that is up to 64 KiB, which
the card would cut into segments (TSO), and which netem loses or keeps as a whole.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.cluster.observe import ObservationError
from harness.errors import HarnessError
from harness.faults.fault import Fault
from harness.faults.journal import Undo
from harness.faults.pings import Pings, ping
from harness.lab.topology import MTU, Link

if TYPE_CHECKING:
    from harness.lab.lab import Lab

# Frames that netem may hold back; its default of 1,000 would drop what it only has to delay.
_LIMIT = 20_000
# So few frames dropped may be chance, and so many pings are expected to be hit by each proof.
_LEAST_DROPPED = 3
_HIT = 4
_HEADERS = 28  # bytes: IPv4 and ICMP
_ETHERNET = 14  # bytes
# How long the frames that are not sent at once are held back where the order is to change. Pings
# are sent every 20 ms for a proof, so one that goes at once overtakes some of them.
_HELD_MS = 50

# Said with every proof: it is not the host that does it.
_WHERE = "done inside the guest, by netem on its card"

# iproute2 6.1, tc -s qdisc show dev …
_NETEM = re.compile(
    r"^qdisc netem \S+ root .*\n\s*Sent \d+ bytes (\d+) pkt \(dropped (\d+),", re.MULTILINE
)


@dataclass(slots=True)
class Netem(Fault):
    """Does something to frames that a machine sends on a link."""

    machine: str
    link: Link
    _boot_id: str = field(default="", init=False)
    _hit: int = field(default=0, init=False)  # pings that show the effect, in all proofs

    @property
    @abstractmethod
    def words(self) -> str:
        """What happens to the frames, in words."""

    @property
    @abstractmethod
    def options(self) -> str:
        """The same as tc-netem(8) has it."""

    @property
    def pings(self) -> str:
        """Options of the ping that measures the effect."""
        return "-c 3 -i 0.3"

    @abstractmethod
    def effect(self, pings: Pings, sent: int, dropped: int) -> str:
        """What proves the effect: pings just made, frames that netem sent and dropped so far."""

    @property
    def target(self) -> str:
        """Which frames, and what happens to them."""
        return f"{self.link} link of {self.machine}, {self.words}"

    def undo(self) -> list[Undo]:
        """Remove the queueing discipline."""
        return [Undo("qdisc-delete", {"machine": self.machine, "link": str(self.link)})]

    def prepare(self, lab: Lab) -> None:
        """Which boot it is.

        Raises:
            HarnessError: the card has a netem already, and would lose it to this one.
        """
        if _netem(lab, self.machine, self.link) is not None:
            raise HarnessError(
                f"the {self.link} link of {self.machine} is bad already",
                hint="heal it first, or say this of another machine or link",
            )
        self._boot_id = lab.machines[self.machine].guest.boot_id()

    def inject(self, lab: Lab) -> None:
        """Add the queueing discipline."""
        lab.machines[self.machine].guest.run(
            f"tc qdisc replace dev {self.link} root netem {self.options} limit {_LIMIT}"
        )

    def bitten(self, lab: Lab) -> str:
        """netem is there, and pings or its counters show what it does.

        What was seen of the effect once counts until the end: with few pings, chance may spare all
        of them, and a discipline that is still there goes on as before.

        Raises:
            HarnessError: the machine runs another boot. It was the fault until then.
        """
        if self._boot_id and lab.machines[self.machine].guest.boot_id() != self._boot_id:
            raise HarnessError(f"{self.machine} booted anew, without netem")
        pings = ping(lab, self.machine, self.link, self.pings)
        counters = _netem(lab, self.machine, self.link)
        told = self.effect(pings, *counters) if counters is not None else ""
        return f"{told} ({_WHERE})" if told else ""

    def heal(self, lab: Lab) -> None:
        """Remove the queueing discipline."""
        remove_qdisc(lab, self.machine, self.link)

    def healed(self, lab: Lab) -> str:
        """The discipline is gone, and something answers."""
        pings = ping(lab, self.machine, self.link, "-c 3 -i 0.3")
        if _netem(lab, self.machine, self.link) is not None or not pings.received:
            return ""
        took = f"a ping takes {pings.average_ms:.0f} ms"
        return f"no netem on {self.link} of {self.machine}, {took}"


@dataclass(slots=True)
class Latency(Netem):
    """Delays every frame; with jitter each by another time, evenly around the delay.

    Frames then overtake each other as well: netem sends what is due first.
    """

    delay_ms: int
    jitter_ms: int = 0
    kind: str = "latency"

    @property
    def words(self) -> str:
        """By how much."""
        return f"{self.delay_ms} ms" + (f" ± {self.jitter_ms} ms" if self.jitter_ms else "")

    @property
    def options(self) -> str:
        """Delay and jitter."""
        return f"delay {self.delay_ms}ms" + (f" {self.jitter_ms}ms" if self.jitter_ms else "")

    @property
    def pings(self) -> str:
        """Three, or enough of them to see how much they differ."""
        return "-c 20 -i 0.1" if self.jitter_ms else "-c 3 -i 0.3"

    def effect(self, pings: Pings, sent: int, dropped: int) -> str:
        """Pings take that long, and differ by as much as half the width of the jitter."""
        if pings.average_ms < self.delay_ms - self.jitter_ms:
            return ""
        if not self.jitter_ms:
            return f"a ping takes {pings.average_ms:.0f} ms"
        quick, slow = min(pings.times_ms, default=0), max(pings.times_ms, default=0)
        told = f"pings take {quick:.0f} to {slow:.0f} ms, {pings.average_ms:.0f} ms on average"
        return told if slow - quick >= self.jitter_ms else ""


@dataclass(slots=True)
class _Some(Netem):
    """Does it to some of the frames, by chance."""

    percent: int

    @property
    def pings(self) -> str:
        """So many that some of them are hit, yet no more than take ten seconds or so."""
        return f"-c {min(400, max(20, _HIT * 100 // self.percent))} -i 0.02"


@dataclass(slots=True)
class Loss(_Some):
    """Loses some frames."""

    kind: str = "loss"

    @property
    def words(self) -> str:
        """How many."""
        return f"{self.percent} % lost"

    @property
    def options(self) -> str:
        """Their share."""
        return f"loss {self.percent}%"

    def effect(self, pings: Pings, sent: int, dropped: int) -> str:
        """Some frames were dropped by netem: of all, not only of the pings."""
        told = f"netem dropped {dropped} of {sent + dropped} frames"
        lost = f"{pings.lost} of the last {pings.sent} pings were not answered"
        return f"{told}; {lost}" if dropped >= _LEAST_DROPPED else ""


@dataclass(slots=True)
class Duplication(_Some):
    """Sends some frames twice."""

    kind: str = "duplication"

    @property
    def words(self) -> str:
        """How many."""
        return f"{self.percent} % twice"

    @property
    def options(self) -> str:
        """Their share."""
        return f"duplicate {self.percent}%"

    def effect(self, pings: Pings, sent: int, dropped: int) -> str:
        """Pings were answered twice: the other end got them twice."""
        self._hit += pings.duplicates
        return f"{self._hit} pings were answered twice" if self._hit else ""


@dataclass(slots=True)
class Reordering(_Some):
    """Sends some frames at once and the others a little later."""

    kind: str = "reordering"

    @property
    def words(self) -> str:
        """How many overtake others, and by how much."""
        return f"{self.percent} % {_HELD_MS} ms before the others"

    @property
    def options(self) -> str:
        """How long most are held back, and the share of those that are not."""
        return f"delay {_HELD_MS}ms reorder {self.percent}%"

    def effect(self, pings: Pings, sent: int, dropped: int) -> str:
        """Answers came in another order than the pings were sent."""
        self._hit += pings.overtaken
        return f"{self._hit} pings overtook earlier ones" if self._hit else ""


@dataclass(slots=True)
class Corruption(_Some):
    """Flips one bit in some frames, after their checksums were made.

    Whoever gets one sees it by a checksum and drops it: IP's, TCP's, ICMP's, or that of Corosync's
    signature. DRBD notices lost segments, not wrong data.
    """

    kind: str = "corruption"

    @property
    def words(self) -> str:
        """How many."""
        return f"{self.percent} % damaged"

    @property
    def options(self) -> str:
        """Their share."""
        return f"corrupt {self.percent}%"

    def effect(self, pings: Pings, sent: int, dropped: int) -> str:
        """Pings were sent, not dropped by netem, and not answered: their checksum was wrong.

        Only among others that were: where none is answered, the link is cut.
        """
        self._hit += pings.lost if pings.received else 0
        told = f"{self._hit} pings were not answered, while netem dropped {dropped} frames"
        return told if self._hit > dropped else ""


@dataclass(slots=True)
class Rate(Netem):
    """Sends no more than so many megabits (10^6) each second."""

    mbit_s: int
    kind: str = "rate"

    @property
    def words(self) -> str:
        """How many."""
        return f"{self.mbit_s} Mbit/s"

    @property
    def options(self) -> str:
        """The rate."""
        return f"rate {self.mbit_s}mbit"

    @property
    def pings(self) -> str:
        """Full frames."""
        return f"-c 5 -i 0.3 -s {MTU[self.link] - _HEADERS}"

    def effect(self, pings: Pings, sent: int, dropped: int) -> str:
        """Not even the quickest full frame takes less than its bits take at that rate."""
        least_ms = (MTU[self.link] + _ETHERNET) * 8 / (self.mbit_s * 1000)
        quick = min(pings.times_ms, default=0)
        if quick < least_ms:
            return ""
        return f"a full frame takes {quick:.1f} ms, at {self.mbit_s} Mbit/s {least_ms:.1f} ms"


def remove_qdisc(lab: Lab, machine: str, link: str) -> None:
    """Remove a link's queueing discipline; it need not be there."""
    lab.machines[machine].guest.run(f"tc qdisc del dev {link} root", check=False, timeout_s=20)


def _netem(lab: Lab, machine: str, link: Link) -> tuple[int, int] | None:
    """Frames that a card's netem has sent and dropped so far; None without a netem.

    Raises:
        ObservationError: tc tells of no discipline at all, which every card has, or of a netem in
            words that are not known: neither says that there is none.
    """
    shown = lab.machines[machine].guest.run(f"tc -s qdisc show dev {link}", timeout_s=20).stdout
    found = _NETEM.search(shown)
    if found is None and (not shown.startswith("qdisc ") or "qdisc netem " in shown):
        raise ObservationError(
            f"{machine}: tc does not tell the discipline of {link}: {shown!r:.200}"
        )
    return (int(found[1]), int(found[2])) if found else None
