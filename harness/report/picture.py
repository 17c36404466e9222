"""The picture of a scenario: all lanes over one time axis, as inline SVG."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from harness.evidence.timeline import Channel
from harness.report.faultbands import bands
from harness.report.iolanes import (
    RATE_HEIGHT,
    fault_lane,
    fault_rows,
    latency_lane,
    rate_lane,
    shading,
    stall_guides,
    stall_lane,
    tips,
)
from harness.report.membership import link_tracks, member_tracks
from harness.report.moments import SORTS, WITNESS, WORKLOAD, Moment, moments
from harness.report.serving import fencing_tracks, portal_tracks, session_tracks, vip_tracks
from harness.report.statelanes import NAMES, moment_lane, state_lane
from harness.report.svg import LEFT, WIDTH, Axis, el, label, line
from harness.report.text import date
from harness.report.tracks import ASPECTS, Track, drbd_tracks, merged, overlaps, vm_tracks

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.report.facts import Facts
    from harness.report.faultbands import Band
    from harness.report.load import LenientEvidence

_BEFORE_NS = 20_000_000_000
_MARGIN = 0.02


@dataclass(frozen=True, slots=True)
class Picture:
    """The picture and what its legend and its table of events need.

    Attributes:
        states: (aspect, state) that occur in it.
        tracks: every track of it, not merged.
        marks: (letter, meaning, grave) of the markers in it.
    """

    svg: Markup
    axis: Axis
    moments: tuple[Moment, ...]
    states: tuple[tuple[str, str], ...]
    tracks: tuple[Track, ...]
    marks: tuple[tuple[str, str, bool], ...]


def draw(evidence: LenientEvidence, facts: Facts, name: str) -> Picture | None:
    """The picture; None where no time is known at all.

    Args:
        name: what it shows, for those who cannot see it.
    """
    happened = moments(evidence)
    faults = fault_rows(bands(evidence))
    axis = _axis(
        evidence,
        facts,
        [band.end_ns(band.inject_ns) for row in faults for band in row]
        + [moment.t_ns for moment in happened if moment.sort not in (WITNESS, WORKLOAD)],
    )
    if axis is None:
        return None
    tracks = all_tracks(evidence, happened, axis.start_ns, axis.end_ns)
    body, y = _lanes(evidence, facts, axis, faults, happened, tracks)
    states = {(t.aspect, span.state): None for t in tracks for span in t.spans}
    letters = {m.sort.letter for m in happened if axis.shows(m.t_ns)}
    svg = el(
        "svg",
        body,
        viewBox=f"0 0 {WIDTH} {y:.0f}",
        role="img",
        aria_label=name,
        class_="picture",
    )
    return Picture(
        svg,
        axis,
        tuple(happened),
        tuple(states),
        tuple(tracks),
        tuple((s.letter, s.meaning, s.grave) for s in SORTS if s.letter in letters),
    )


def _lanes(
    evidence: LenientEvidence,
    facts: Facts,
    axis: Axis,
    faults: list[list[Band]],
    happened: list[Moment],
    tracks: list[Track],
) -> tuple[Markup, float]:
    """Everything in the picture, and its height."""
    top = 18.0
    front, height = fault_lane(faults, axis, top + 4)
    y = top + height + (10 if height else 4)
    stall, height = stall_lane(facts, axis, y)
    y += height + 18
    io_top = y
    lane, height = latency_lane(facts, axis, y)
    parts = [front, stall, lane]
    y += height + 26
    parts.append(rate_lane(facts.writes, axis, y))
    io_bottom = y + RATE_HEIGHT
    parts.append(tips(facts.writes, axis, io_top, io_bottom))
    y = io_bottom + 10
    lane, height = moment_lane(happened, axis, y)
    parts.append(lane)
    y += height + (8 if height else 0)
    total = len(evidence.scenario.resources)
    for rows in lanes_of(tracks, axis):
        lane, height = state_lane(rows, total, axis, y)
        parts.append(lane)
        y += height + 5
    ticks = [
        line(x, top, x, y, "zero" if text == "0" else "grid")
        + label(x, at, text, "t tick", "middle")
        for x, text in axis.ticks()
        for at in (top - 6, y + 12)
    ]
    note = f"seconds; 0 is {zero_name(evidence)}, {date(axis.zero_ns)}"
    ticks.append(label(LEFT, y + 26, note, "t tick"))
    back = shading(faults, axis, top, y) + Markup("").join(ticks)
    guides = stall_guides(facts, axis, io_top - 14, io_bottom)
    return back + guides + Markup("").join(parts), y + 32


def all_tracks(
    evidence: LenientEvidence, happened: list[Moment], start_ns: int, end_ns: int
) -> list[Track]:
    """Every state that a witness tells of, between two moments."""
    tracks = drbd_tracks(evidence, start_ns, end_ns)
    return [
        *tracks,
        *overlaps(tracks),
        *member_tracks(evidence, start_ns, end_ns),
        *link_tracks(evidence, start_ns, end_ns),
        *fencing_tracks(evidence, happened, start_ns, end_ns),
        *vip_tracks(evidence, start_ns, end_ns),
        *portal_tracks(evidence, start_ns, end_ns),
        *session_tracks(evidence, start_ns, end_ns),
        *vm_tracks(evidence, start_ns, end_ns),
    ]


def lanes_of(tracks: Iterable[Track], axis: Axis, *, together: bool = True) -> list[list[Track]]:
    """The rows of each lane, in the order of the picture.

    Args:
        together: rows of one node that say the same, as far as the picture can tell, as one.
    """
    tolerance_ns = round(max(2 * axis.ns_per_unit, 1e9))
    every = list(tracks)
    lanes = []
    for aspect in NAMES:
        lane = [track for track in every if track.aspect == aspect]
        lanes.append(merged(lane, tolerance_ns) if together and aspect in ASPECTS else lane)
    return [lane for lane in lanes if lane]


def zero_name(evidence: LenientEvidence) -> str:
    """What 0 s on the axis is, in words."""
    if evidence.select(Channel.FAULT, "inject"):
        return "the first fault's injection"
    if evidence.select(Channel.WORKLOAD, "start"):
        return "the workload's start"
    return "the scenario's start"


def _axis(evidence: LenientEvidence, facts: Facts, happened: list[int]) -> Axis | None:
    """From a little before the workload or the fault to a little after the last thing shown."""
    zero_ns = evidence.zero_ns
    starts = [zero_ns]
    ends = [zero_ns + 1_000_000_000, *happened]
    workload = [seen.t_ns for seen in evidence.select(Channel.WORKLOAD)]
    starts += workload[:1]
    ends += workload[-1:]
    if facts.writes.logged:
        starts.append(int(facts.writes.done_ns[0]))
        ends.append(int(facts.writes.done_ns[-1]))
    elif facts.writes.counted:
        starts.append(facts.writes.counted[0][0])
        ends.append(facts.writes.counted[-1][0])
    if facts.stall is not None:
        starts.append(facts.stall.start_ns)
        ends.append(facts.stall.end_ns)
    if evidence.scenario.outcome == "running" and evidence.timeline:
        ends.append(evidence.timeline[-1].t_ns)
    # A damaged stamp must not squeeze the picture to nothing: the scenario bounds it.
    first_ns = min(evidence.scenario.started_ns or zero_ns, zero_ns) - _BEFORE_NS
    last_ns = max(evidence.end_ns, zero_ns + 1_000_000_000)
    start_ns = max(min(starts), first_ns)
    end_ns = max(min(max(ends), last_ns), start_ns + 1_000_000_000)
    if zero_ns <= 0:
        return None
    margin = round((end_ns - start_ns) * _MARGIN)
    return Axis(start_ns - margin, end_ns + margin, zero_ns)
