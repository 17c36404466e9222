"""When things happened in several runs of one scenario: how far the same moment lies apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.evidence.timeline import Channel
from harness.explore.sequence import timed_sequence_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from harness.evidence.model import Evidence

Moments = dict[tuple[str, int, str], float]
"""By track, place in it and state: seconds from the first injection until it was told."""


@dataclass(frozen=True, slots=True)
class Pace:
    """A moment of several runs.

    Attributes:
        what: the track and the state that begins.
        runs: how many runs it is of.
        least_s, median_s, most_s: seconds from the first injection.
    """

    what: str
    runs: int
    least_s: float
    median_s: float
    most_s: float

    def __str__(self) -> str:
        apart = f"{self.least_s:.1f} to {self.most_s:.1f} s" if self.runs > 1 else "one run"
        return f"{self.median_s:7.1f} s  {self.what} ({apart})"


def moments(evidence: Evidence) -> Moments:
    """Every change of a track that came after the first injection; empty where there is none.

    Raises:
        EvidenceError: the evidence is damaged.
    """
    injected = [seen.t_ns for seen in evidence.select(Channel.FAULT, "inject")]
    if not injected:
        return {}
    begun_ns = min(injected)
    return {
        (name, number, one.state): (one.t_ns - begun_ns) / 1e9
        for name, states in timed_sequence_of(evidence).items()
        for number, one in enumerate(states)
        if one.t_ns >= begun_ns
    }


def paces(runs: Sequence[Moments]) -> list[Pace]:
    """Each moment that every run has, by its median.

    Runs that went another way have moments of their own: give those of one sequence only.
    """
    if not runs:
        return []
    shared = set.intersection(*(set(run) for run in runs))
    found = [_pace(key, (run[key] for run in runs)) for key in shared]
    return sorted(found, key=lambda one: (one.median_s, one.what))


def _pace(key: tuple[str, int, str], seconds: Iterable[float]) -> Pace:
    name, _number, state = key
    times = sorted(seconds)
    # Of an even number the later one: what was waited for in half of the runs.
    return Pace(f"{name}: {state}", len(times), times[0], times[len(times) // 2], times[-1])
