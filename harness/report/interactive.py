"""What the zoomable view of a scenario draws, as data; the script that draws it is in assets/.

All times are seconds from the first fault. Texts are cleaned here and never become markup there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from harness.report.blackouts import LETTERS, MEANING
from harness.report.faultbands import bands
from harness.report.iolanes import fault_rows
from harness.report.packing import pack
from harness.report.picture import lanes_of, zero_name
from harness.report.statelanes import NAMES, look, row_name
from harness.report.text import date, one_line, seconds

if TYPE_CHECKING:
    from harness.report.blackouts import Blackout
    from harness.report.facts import Facts
    from harness.report.faultbands import Band
    from harness.report.load import LenientEvidence
    from harness.report.picture import Picture
    from harness.report.tracks import Track

_MOST_SPANS = 20_000  # of all lanes; the static picture has them all
_MOST_MARKS = 2_000


@dataclass(frozen=True, slots=True)
class Interactive:
    """Data of the zoomable view.

    Attributes:
        data: what is drawn, for a JSON block.
        writes: the writes for a block of their own; empty where there is no log of any.
    """

    data: dict[str, Any]
    writes: Markup


def interactive(
    evidence: LenientEvidence, facts: Facts, picture: Picture, outages: list[Blackout]
) -> Interactive:
    """The data of the zoomable view of a scenario."""
    axis = picture.axis
    zero_ns = axis.zero_ns
    packed = pack(facts.writes, zero_ns)
    shown = [moment for moment in picture.moments if axis.shows(moment.t_ns)][:_MOST_MARKS]
    data: dict[str, Any] = {
        "from": _s(axis.start_ns, zero_ns),
        "to": _s(axis.end_ns, zero_ns),
        "zero": f"0 is {zero_name(evidence)}, {date(zero_ns)}",
        "zeroMs": zero_ns // 1_000_000,
        "bound": facts.bound_s,
        "stall": _stall(facts, zero_ns),
        "writes": packed.head if packed is not None else None,
        "counted": [] if packed is not None else _counted(facts, zero_ns),
        "faults": [_fault(row, number, zero_ns) for number, row in enumerate(_faults(evidence))],
        "blackouts": [_blackout(one, zero_ns) for one in outages],
        "marks": [
            {
                "t": _s(moment.t_ns, zero_ns),
                "letter": moment.sort.letter,
                "grave": moment.sort.grave,
                "tip": f"{moment.sort.meaning}: {moment.text}\nseen at {moment.source}",
            }
            for moment in shown
        ],
        "lanes": _lanes(evidence, lanes_of(picture.tracks, axis), zero_ns),
        "single": _lanes(evidence, lanes_of(picture.tracks, axis, together=False), zero_ns),
    }
    return Interactive(data, Markup(packed.blob) if packed is not None else Markup(""))


def _s(t_ns: int, zero_ns: int) -> float:
    return round((t_ns - zero_ns) / 1e9, 4)


def _stall(facts: Facts, zero_ns: int) -> dict[str, Any] | None:
    stall = facts.stall
    if stall is None:
        return None
    bound = "no bound stated" if facts.bound_s is None else f"bound {seconds(facts.bound_s)}"
    over = ", exceeded" if facts.over_bound else ""
    return {
        "from": _s(stall.start_ns, zero_ns),
        "to": _s(stall.end_ns, zero_ns),
        "text": f"{facts.stall_name} {seconds(stall.seconds)} · {bound}{over}",
        "tip": f"measured by {stall.source}",
        "over": facts.over_bound,
    }


def _counted(facts: Facts, zero_ns: int) -> list[list[float]]:
    return [[_s(t_ns, zero_ns), number] for t_ns, number in facts.writes.counted]


def _faults(evidence: LenientEvidence) -> list[list[Band]]:
    return fault_rows(bands(evidence))


def _fault(row: list[Band], number: int, zero_ns: int) -> dict[str, Any]:
    def s(t_ns: int | None) -> float | None:
        return None if t_ns is None else _s(t_ns, zero_ns)

    fates = ", ".join(dict.fromkeys(band.fate for band in row if band.fate))
    return {
        "letter": chr(ord("A") + number % 26),
        "name": row[0].name + (f" — {fates}" if fates else ""),
        "bars": [
            {
                "inject": s(band.inject_ns),
                "bitten": s(band.bitten_ns),
                "heal": s(band.heal_ns),
                "healed": s(band.healed_ns),
                "tip": f"{band.name}\nproof: {band.proof}" if band.proof else band.name,
            }
            for band in row
        ],
    }


def _blackout(one: Blackout, zero_ns: int) -> list[dict[str, Any]]:
    return [
        {
            "from": _s(part.start_ns, zero_ns),
            "to": _s(part.end_ns, zero_ns),
            "letter": LETTERS[part.phase],
            "tip": f"{part.phase}: {seconds(part.seconds)}\n{MEANING[part.phase]}",
        }
        for part in one.phases
        if part.end_ns > part.start_ns
    ]


def _lanes(
    evidence: LenientEvidence, lanes: list[list[Track]], zero_ns: int
) -> list[dict[str, Any]]:
    total = len(evidence.scenario.resources)
    left = _MOST_SPANS
    told = []
    for rows in lanes:
        drawn = []
        for track in rows:
            spans = []
            for span in track.spans[: max(left, 0)]:
                how = look(track.aspect, span.state)
                spans.append(
                    [
                        _s(span.start_ns, zero_ns),
                        _s(span.end_ns, zero_ns),
                        how.class_,
                        one_line(how.letter, 8),
                        int(how.calm),
                        one_line(span.state, 60),
                    ]
                )
            left -= len(spans)
            drawn.append({"label": one_line(row_name(track, total), 60), "spans": spans})
        told.append({"name": NAMES[rows[0].aspect], "rows": drawn})
    return told
