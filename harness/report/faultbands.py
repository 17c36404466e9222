"""The faults of a scenario as bands: inject, bitten, heal, healed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.checks.faults import by_id
from harness.report.text import one_line

if TYPE_CHECKING:
    from harness.evidence.model import Evidence


@dataclass(frozen=True, slots=True)
class Band:
    """One fault; all times are ns on the run's clock, None where it did not get so far.

    Attributes:
        name: kind and target, in words.
        inject_ns: from here on it may have bitten.
        proof: what proved that it bit; empty where nothing did.
    """

    name: str
    inject_ns: int
    bitten_ns: int | None
    heal_ns: int | None
    healed_ns: int | None
    proof: str

    def end_ns(self, otherwise: int) -> int:
        """Where the band ends: healed, else ``otherwise``."""
        return otherwise if self.healed_ns is None else self.healed_ns

    @property
    def fate(self) -> str:
        """What became of it, in a few words; empty where it bit and healed."""
        if self.bitten_ns is None:
            return "did not bite"
        return "not healed" if self.healed_ns is None else ""


def bands(evidence: Evidence) -> list[Band]:
    """Every injected fault, by time."""
    found = []
    for key, events in by_id(evidence).items():
        first = {seen.event.kind: seen for seen in reversed(events)}
        inject = first.get("inject")
        if inject is None:
            continue
        times = {kind: seen.t_ns for kind, seen in first.items()}
        bitten = first.get("bitten")
        name = f"{inject.text('fault') or inject.text('kind') or key}: {inject.text('target')}"
        found.append(
            Band(
                one_line(name, 80),
                inject.t_ns,
                times.get("bitten"),
                times.get("heal"),
                times.get("healed"),
                one_line(bitten.text("proof"), 200) if bitten else "",
            )
        )
    return sorted(found, key=lambda band: band.inject_ns)
