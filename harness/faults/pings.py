"""Pings over a link, and what their answers tell of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from harness.faults.cuts import PING_CODES, other_end

if TYPE_CHECKING:
    from harness.lab.lab import Lab
    from harness.lab.topology import Link

# iputils 20221126: one line for each answer, then "10 packets transmitted, 9 received, +2
# duplicates, 10% packet loss"; an answer that came twice ends with "(DUP!)".
_ANSWER = re.compile(r"^\d+ bytes from \S+ icmp_seq=(\d+) ttl=\d+ time=([\d.]+) ms$", re.MULTILINE)
_SUMMARY = re.compile(r"^(\d+) packets transmitted, (\d+) received(?:, \+(\d+) dup)?", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Pings:
    """What became of some pings.

    Attributes:
        sent, received: how many, without duplicates.
        duplicates: answers beyond the first to the same ping.
        order: sequence numbers of the first answers, as they arrived.
        times_ms: round trips of the same, ms.
    """

    sent: int
    received: int
    duplicates: int
    order: tuple[int, ...]
    times_ms: tuple[float, ...]

    @property
    def lost(self) -> int:
        """How many were not answered."""
        return self.sent - self.received

    @property
    def overtaken(self) -> int:
        """How often an answer came after that to a later ping."""
        return sum(later < earlier for earlier, later in pairwise(self.order))

    @property
    def average_ms(self) -> float:
        """Average round trip, ms; -1 if nothing answered."""
        return sum(self.times_ms) / len(self.times_ms) if self.times_ms else -1.0


def read_pings(said: str) -> Pings:
    """What ``ping`` (iputils) said; nothing was sent if it says none of what it should."""
    answers = _ANSWER.findall(said)
    summary = _SUMMARY.search(said)
    sent, received, twice = (int(count or 0) for count in summary.groups()) if summary else (0,) * 3
    return Pings(
        sent,
        received,
        twice,
        tuple(int(number) for number, _ms in answers),
        tuple(float(ms) for _number, ms in answers),
    )


def ping(lab: Lab, machine: str, link: Link, options: str) -> Pings:
    """Ping the other end of a link from a machine, with these options of iputils' ping.

    Raises:
        HarnessError: ping did not ask at all.
    """
    command = f"ping -n {options} -W 5 -I {link} {other_end(lab, machine, link)}"
    guest = lab.machines[machine].guest
    return read_pings(guest.run(command, timeout_s=60, codes=PING_CODES).stdout)
