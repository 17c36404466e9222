"""Failover times of a run as a distribution: every one of them, split by phase, and the median."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from harness.report.blackouts import LETTERS, MEANING, by_phase
from harness.report.interval import LEAST, spread
from harness.report.svg import el, label, line, nice_step, rect, text_width, title
from harness.report.text import plural, seconds, shorten

if TYPE_CHECKING:
    from harness.checks.verdict import Verdict
    from harness.report.blackouts import Blackout
    from harness.report.interval import Spread

_WIDTH, _LEFT, _RIGHT = 960, 372, 900
_ROW = 20


@dataclass(frozen=True, slots=True)
class PhaseLine:
    """One phase over all failovers."""

    letter: str
    name: str
    meaning: str
    look: str
    spread: Spread


@dataclass(frozen=True, slots=True)
class Distribution:
    """Failover times of a run.

    Attributes:
        svg: a bar of phases for each failover, the longest first; None without any.
        rows: (scenario, address, verdict, from node, to node, seconds) of each, in that order.
        unmeasured: scenarios in which a failover was expected and no blackout was measured.
        why_no_interval: empty where there is one.
    """

    overall: Spread | None
    phases: tuple[PhaseLine, ...]
    svg: Markup | None
    rows: tuple[tuple[str, str, Verdict, str, str, float], ...]
    unmeasured: int
    why_no_interval: str


def distribution(found: list[tuple[str, str, Verdict, Blackout]], unmeasured: int) -> Distribution:
    """The distribution of (scenario, address, verdict, blackout).

    All of them count, whatever the verdict: leaving out what took too long would flatter.
    """
    ordered = sorted(found, key=lambda one: -one[3].seconds)
    overall = spread([one[3].seconds for one in ordered])
    return Distribution(
        overall,
        tuple(
            PhaseLine(LETTERS[p], str(p), MEANING[p], f"bp-{LETTERS[p]}", told)
            for p, told in by_phase(one[3] for one in ordered)
        ),
        _picture(ordered, overall) if overall is not None else None,
        tuple((n, href, v, b.old, b.new, b.seconds) for n, href, v, b in ordered),
        unmeasured,
        f"no interval: {plural(overall.n, 'failover')}, and it takes {LEAST} to enclose a median "
        "with 95 %"
        if overall is not None and overall.low is None
        else "",
    )


def _picture(found: list[tuple[str, str, Verdict, Blackout]], overall: Spread) -> Markup:
    longest = max(overall.largest, 1e-3)
    step = nice_step(longest / 8)

    def x(value: float) -> float:
        return _LEFT + (_RIGHT - _LEFT) * value / longest

    top = 34.0
    bottom = top + len(found) * _ROW
    parts: list[Markup] = []
    number = 0
    while (value := number * step) <= longest * 1.001:
        parts.append(line(x(value), top - 4, x(value), bottom, "grid"))
        parts.append(label(x(value), bottom + 13, f"{value:g} s", "t tick", "middle"))
        number += 1
    for at, (name, _, verdict, blackout) in enumerate(found):
        parts.append(_bar(name, verdict, blackout, top + at * _ROW, x))
    parts.append(_median(overall, top, bottom, x))
    return el(
        "svg",
        Markup("").join(parts),
        viewBox=f"0 0 {_WIDTH} {bottom + 22:.0f}",
        role="img",
        aria_label=f"Failover times: {plural(overall.n, 'failover')}, median "
        f"{seconds(overall.median)}, longest {seconds(overall.largest)}",
        class_="picture failovers",
    )


def _bar(name: str, verdict: Verdict, blackout: Blackout, y: float, x: object) -> Markup:
    assert callable(x)
    parts = [
        label(_LEFT - 8, y + 12, shorten(name, 72), "t row name", "end"),
        label(x(blackout.seconds) + 6, y + 12, seconds(blackout.seconds), "t tick"),
    ]
    begun = blackout.start_ns
    for one in blackout.phases:
        x0, x1 = x((one.start_ns - begun) / 1e9), x((one.end_ns - begun) / 1e9)
        letter = LETTERS[one.phase]
        tip = f"{one.phase}: {seconds(one.seconds)}\n{MEANING[one.phase]}\n{name} ({verdict})"
        box = rect(x0, y + 2, x1 - x0, _ROW - 5, f"bp bp-{letter}")
        inside = [box]
        if x1 - x0 > text_width(letter, 9) + 4:
            inside.append(label((x0 + x1) / 2, y + 12.5, letter, "t on-state", "middle"))
        parts.append(el("g", title(tip), *inside))
    return Markup("").join(parts)


def _median(overall: Spread, top: float, bottom: float, x: object) -> Markup:
    assert callable(x)
    at = x(overall.median)
    parts = [line(at, top - 10, at, bottom, "guide strong")]
    text = f"median {seconds(overall.median)}"
    if overall.low is not None and overall.high is not None:
        x0, x1 = x(overall.low), x(overall.high)
        parts.append(rect(x0, top - 10, max(x1 - x0, 1.5), 5, "interval"))
        text += f" ({seconds(overall.low)} to {seconds(overall.high)})"
    half = text_width(text, 11) / 2
    middle = min(max(at, _LEFT + half), _RIGHT - half)
    parts.append(label(middle, top - 16, text, "t stall-name", "middle"))
    return Markup("").join(parts)
