"""Where a scenario's time went: a bar of its phases, and how long each took in all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.evidence.phases import MEANING, Phase, seconds_by_phase, spans
from harness.report.text import relative, seconds

if TYPE_CHECKING:
    from harness.report.load import LenientEvidence


@dataclass(frozen=True, slots=True)
class Segment:
    """One stretch of the bar, in the order in which things went.

    Attributes:
        look: its class.
        percent: of the whole time.
        tip: what it is, when, and how long.
    """

    look: str
    percent: float
    tip: str


@dataclass(frozen=True, slots=True)
class PhaseRow:
    """One phase in all."""

    look: str
    name: str
    meaning: str
    took: str
    percent: float


@dataclass(frozen=True, slots=True)
class PhaseBar:
    """All of a scenario's time."""

    segments: tuple[Segment, ...]
    rows: tuple[PhaseRow, ...]
    total: str
    seconds: dict[Phase, float]


def phase_bar(evidence: LenientEvidence) -> PhaseBar | None:
    """The bar of a scenario; None where it took no time that is known."""
    found = spans(evidence)
    total_ns = sum(span.to_ns - span.from_ns for span in found)
    if total_ns <= 0:
        return None
    by_phase = seconds_by_phase(found)
    return PhaseBar(
        tuple(
            Segment(
                _look(span.phase),
                100 * (span.to_ns - span.from_ns) / total_ns,
                f"{span.phase} at {relative(span.from_ns, evidence.zero_ns)}, "
                f"{seconds(span.seconds)}",
            )
            for span in found
        ),
        tuple(
            PhaseRow(
                _look(phase), str(phase), MEANING[phase], seconds(took), 100e9 * took / total_ns
            )
            for phase, took in by_phase.items()
        ),
        seconds(total_ns / 1e9),
        by_phase,
    )


def _look(phase: Phase) -> str:
    return f"ph-{phase.name.lower()}"
