"""What each second of a scenario went into: the phases of a scenario, from its own timeline.

The phases partition the time from a scenario's start to the start of the next one. Whatever has no
label of its own is the harness's: nothing can be forgotten by not being named.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from harness.evidence.model import TIMELINE, EvidenceError, Scenario, SpanFile
from harness.evidence.timeline import Channel, Event

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from harness.evidence.model import Evidence
    from harness.evidence.timeline import TimelineWriter

SPAN = "span.json"


class Phase(StrEnum):
    """What a scenario's time goes into."""

    REVERT = "revert"
    LOAD = "load before"
    FAULT = "fault"
    REACTION = "reaction"
    HEAL = "heal"
    VERIFICATION = "verification"
    HARNESS = "harness"


MEANING = {
    Phase.REVERT: "the lab goes back to its snapshot, until every guest answers",
    Phase.LOAD: "the workload starts and runs, before anything is broken",
    Phase.FAULT: "something is broken and proved to be, and lasts as long as the scenario says",
    Phase.REACTION: "waiting for what the cluster and the initiator do about it",
    Phase.HEAL: "it is healed and proved to be, and the cluster becomes whole, under load",
    Phase.VERIFICATION: "the load ends, evidence is collected, and the checks judge it",
    Phase.HARNESS: "whatever is none of these",
}


@dataclass(frozen=True, slots=True)
class Span:
    """Some time that one phase took, ns on the run's clock."""

    phase: Phase
    from_ns: int
    to_ns: int

    @property
    def seconds(self) -> float:
        """Its length."""
        return (self.to_ns - self.from_ns) / 1e9


@contextmanager
def marked(writer: TimelineWriter, phase: Phase) -> Iterator[None]:
    """Say on the timeline that what is done inside belongs to ``phase``; they may be nested."""
    writer.add("host", Channel.PHASE, "begin", {"phase": str(phase)})
    try:
        yield
    finally:
        writer.add("host", Channel.PHASE, "end", {"phase": str(phase)})


@dataclass(slots=True)
class _Now:
    """What is going on, as far as the events so far tell."""

    marks: list[Phase] = field(default_factory=list)
    in_step: bool = False
    loading: bool = False
    broken: bool = False
    verifying: bool = False
    injecting: set[str] = field(default_factory=set)
    active: set[str] = field(default_factory=set)
    healing: set[str] = field(default_factory=set)

    @property
    def phase(self) -> Phase:
        """A mark counts before all; then what is done to a fault; then whether there is one."""
        if self.marks:
            return self.marks[-1]
        if self.injecting:
            return Phase.FAULT
        if self.healing:
            return Phase.HEAL
        if not self.in_step:
            return Phase.HARNESS
        if self.active:
            return Phase.REACTION
        if self.verifying:
            return Phase.VERIFICATION
        if self.broken:
            return Phase.HEAL
        return Phase.LOAD if self.loading else Phase.HARNESS

    def take(self, event: Event) -> None:
        """Take one event in."""
        match event.channel:
            case Channel.PHASE:
                self._mark(event)
            case Channel.STEP:
                self.in_step = event.kind == "begin"
            case Channel.FAULT:
                self._fault(event.kind, str(event.data.get("id")))
            case Channel.WORKLOAD if event.kind == "start":
                self.loading = True
            case _:
                pass

    def _mark(self, event: Event) -> None:
        if event.kind == "end":
            if self.marks:
                self.marks.pop()
            return
        try:
            phase = Phase(str(event.data.get("phase")))
        except ValueError:
            phase = Phase.HARNESS  # of a newer harness: not ours to name
        self.marks.append(phase)
        self.loading |= phase is Phase.LOAD
        self.broken |= phase is Phase.FAULT
        self.verifying |= phase is Phase.VERIFICATION

    def _fault(self, kind: str, fault_id: str) -> None:
        for stage in (self.injecting, self.active, self.healing):
            stage.discard(fault_id)
        self.broken = True
        if kind in ("plan", "inject"):
            self.injecting.add(fault_id)
        elif kind in ("bitten", "not-bitten"):
            self.active.add(fault_id)
        elif kind not in ("healed", "not-healed"):
            self.healing.add(fault_id)


def span_of(folder: Path) -> SpanFile | None:
    """span.json of an evidence folder; None where there is none that can be read."""
    try:
        return SpanFile.load(folder / SPAN)
    except (OSError, EvidenceError):
        return None


def spans(evidence: Evidence) -> tuple[Span, ...]:
    """The scenario's whole time, in order and without a gap, by phase.

    From its start to where span.json says that it ended; without that, to its last event: a run
    that was killed, or one of an older harness.

    Raises:
        TimelineError, EvidenceError, OSError: the evidence cannot be read.
    """
    events = (seen.event for seen in evidence.timeline)
    whole = span_of(evidence.folder)
    return _partition(evidence.scenario.started_ns, events, evidence.end_ns, whole)


def spans_of(folder: Path) -> tuple[Span, ...]:
    """The same, of an evidence folder of which nothing else is of interest: it is not validated.

    A timeline has a hundred thousand lines, of which a hundred are about this.

    Raises:
        EvidenceError, OSError: scenario.json or the timeline cannot be read.
    """
    scenario = Scenario.load(folder / "scenario.json")
    events, end_ns = list[Event](), scenario.ended_ns or scenario.started_ns
    with (folder / TIMELINE).open(encoding="utf-8", errors="replace") as file:
        whole_line = ""
        for line in file:
            if not line.endswith("\n"):
                break  # torn: the harness was killed
            whole_line = line
            if any(mark in line for mark in _MARKS) and (event := _event(line)) is not None:
                events.append(event)
        last = _event(whole_line)
    if last is not None:
        end_ns = max(end_ns, last.t_ns)
    return _partition(scenario.started_ns, events, end_ns, span_of(folder))


def seconds_by_phase(found: Iterable[Span]) -> dict[Phase, float]:
    """Seconds of each phase, all of them named, in the order of ``Phase``; see ``spans``."""
    total = dict.fromkeys(Phase, 0.0)
    for span in found:
        total[span.phase] += span.seconds
    return total


_TELLING = (Channel.PHASE, Channel.STEP, Channel.FAULT, Channel.WORKLOAD)
_MARKS = tuple(f'"channel":"{channel}"' for channel in _TELLING)


def _event(line: str) -> Event | None:
    try:
        raw = json.loads(line)
        return Event(
            int(raw["t_ns"]), "", Channel(raw["channel"]), str(raw["kind"]), dict(raw["data"])
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _partition(
    started_ns: int, events: Iterable[Event], end_ns: int, whole: SpanFile | None
) -> tuple[Span, ...]:
    at_ns, now, found = started_ns, _Now(), list[Span]()

    def until(t_ns: int, phase: Phase) -> None:
        nonlocal at_ns
        if t_ns <= at_ns:
            return
        if found and found[-1].phase is phase:
            found[-1] = Span(phase, found[-1].from_ns, t_ns)
        else:
            found.append(Span(phase, at_ns, t_ns))
        at_ns = t_ns

    for event in events:
        if event.channel in _TELLING:
            until(event.t_ns, now.phase)
            now.take(event)
    # What follows the last of these is nobody's: the evidence is being closed.
    until(end_ns, Phase.HARNESS)
    if whole is not None:
        until(whole.judged_from_ns, Phase.HARNESS)
        until(whole.judged_to_ns, Phase.VERIFICATION)
        until(whole.to_ns, Phase.HARNESS)
    return tuple(found)
