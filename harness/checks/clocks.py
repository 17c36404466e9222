"""Guest wall clocks mapped on the run's clock, from measured offsets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harness.evidence.timeline import Channel

if TYPE_CHECKING:
    import numpy.typing as npt

    from harness.evidence.model import Evidence


@dataclass(frozen=True, slots=True)
class ClockMap:
    """Maps a guest's CLOCK_REALTIME to the run's clock.

    Attributes:
        guest_ns: guest time of each offset sample, ns since the epoch, ascending.
        offset_ns: guest minus run, ns, at each of them; interpolated between.
        uncertainty_ns: the largest uncertainty of the samples.
    """

    guest_ns: npt.NDArray[np.int64]
    offset_ns: npt.NDArray[np.int64]
    uncertainty_ns: int

    def to_run(self, guest_ns: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Run-clock times of guest times."""
        base = int(self.guest_ns[0])  # float64 cannot hold ns since the epoch, differences can
        offsets = np.interp(
            guest_ns - base, self.guest_ns - base, self.offset_ns - self.offset_ns[0]
        )
        mapped: npt.NDArray[np.int64] = (
            guest_ns - self.offset_ns[0] - np.rint(offsets).astype(np.int64)
        )
        return mapped

    def one(self, guest_ns: int) -> int:
        """Run-clock time of one guest time."""
        return int(self.to_run(np.array([guest_ns], dtype=np.int64))[0])


def clock_map(evidence: Evidence, node: str) -> ClockMap | None:
    """The map for ``node``; None where its offset was never measured."""
    samples = []
    for seen in evidence.select(Channel.CLOCK, "offset"):
        if seen.text("node") == node:
            offset = seen.integer("offset_ns")
            samples.append((seen.t_ns + offset, offset, seen.integer("uncertainty_ns")))
    if not samples:
        return None
    samples.sort()
    guest, offset_ns, uncertainty = (
        np.array(column, dtype=np.int64) for column in zip(*samples, strict=True)
    )
    return ClockMap(guest, offset_ns, int(uncertainty.max()))
