"""What passes on a link, counted on the host: frames and bytes that its machines' taps deliver.

Each frame is counted where it leaves the bridge for the machine that it is for. A guest hands over
several segments in one (TSO), and a bridge passes such a packet on whole, so that a tap would count
one large frame where a wire has many. While ``counted`` lasts, the taps take no packet of several
segments (gso_max_size, ip-link(8)), and the kernel cuts them first.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.errors import HarnessError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.lab.labhost import LabHost
    from harness.lab.topology import Link

# Frame check sequence, preamble and start delimiter, gap: what a tap does not count (IEEE 802.3).
UNCOUNTED = 4 + 8 + 12
# Bytes; below any packet of two full segments, above the least that the kernel takes.
_NO_MORE_THAN = 1400
_USUAL = 65536


@dataclass(frozen=True, slots=True)
class Passed:
    """Frames and their bytes, without check sequence, preamble and gap."""

    frames: float
    octets: float

    def __sub__(self, other: Passed) -> Passed:
        return Passed(self.frames - other.frames, self.octets - other.octets)

    def __mul__(self, factor: float) -> Passed:
        return Passed(self.frames * factor, self.octets * factor)

    @property
    def on_wire(self) -> float:
        """Bytes that a wire would be occupied for."""
        return self.octets + UNCOUNTED * self.frames


def parse_statistics(text: str) -> Passed:
    """``ip -j -s link show dev TAP``: what was sent to the machine behind it.

    Raises:
        HarnessError: not such a document.
    """
    try:
        raw: Any = json.loads(text)
        sent = raw[0]["stats64"]["tx"]
        return Passed(int(sent["packets"]), int(sent["bytes"]))
    except (ValueError, LookupError, TypeError) as error:
        raise HarnessError(f"ip tells no statistics: {text[:200]!r}") from error


class LinkCounter:
    """Counts what passes on one link of a lab."""

    def __init__(self, host: LabHost, link: Link) -> None:
        self._host = host
        self.taps = [
            card.tap
            for machine in host.topology.machines
            for card in machine.cards
            if card.link == link
        ]

    def passed(self) -> Passed:
        """All that was delivered to the link's machines since they were started."""
        counts = [
            parse_statistics(self._host.run("ip", "-j", "-s", "link", "show", "dev", tap))
            for tap in self.taps
        ]
        return Passed(sum(c.frames for c in counts), sum(c.octets for c in counts))

    @contextlib.contextmanager
    def counted(self) -> Iterator[None]:
        """While it lasts, frames are counted as they would be on a wire."""
        try:
            self._limit(_NO_MORE_THAN)
            yield
        finally:
            self._limit(_USUAL)

    def _limit(self, size: int) -> None:
        for tap in self.taps:
            self._host.run("ip", "link", "set", "dev", tap, "gso_max_size", str(size))
