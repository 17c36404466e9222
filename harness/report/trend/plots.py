"""Small pictures of the trend: one for each scenario, its longest stalls over the runs, as SVG."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harness.checks.verdict import Verdict
from harness.report.svg import el, label, line, nice_step, rect
from harness.report.text import seconds
from harness.report.trend.gate import run_text

if TYPE_CHECKING:
    from markupsafe import Markup

    from harness.report.trend.analysis import Analysis
    from harness.report.trend.model import RunLine, ScenarioLine

WIDTH, HEIGHT = 270, 118
_LEFT, _RIGHT, _TOP, _BOTTOM = 36, 262, 10, 96
_BAND = 3  # values: fewer say nothing of a spread
SHOWN = 60
"""How many runs a picture shows, the newest ones."""


@dataclass(frozen=True, slots=True)
class Band:
    """What is usual: the geometric mean, and twice the standard deviation of logarithms about it.

    Of the runs before a change, where there is one; else of all before the last one. Seconds.
    """

    low_s: float
    mean_s: float
    high_s: float
    runs: int


def band(values: list[float]) -> Band | None:
    """The band of some stalls, seconds; None with fewer than three."""
    if len(values) < _BAND:
        return None
    logs = np.log(values)
    mean, spread = float(logs.mean()), 2 * float(logs.std(ddof=1))
    return Band(math.exp(mean - spread), math.exp(mean), math.exp(mean + spread), len(values))


def usual(analysis: Analysis, name: str) -> Band | None:
    """The band of a scenario, or None with too few runs."""
    row = analysis.stalls_s[analysis.names.index(name)]
    found = analysis.longer_of(name)
    until = len(analysis.runs) - 1 if found is None else found.since
    own = row[:until]
    return band([float(value) for value in own[np.isfinite(own)]])


def picture(analysis: Analysis, name: str) -> Markup | None:
    """The stalls of a scenario over the runs; None where none was measured."""
    row = analysis.stalls_s[analysis.names.index(name)]
    if not np.isfinite(row).any():
        return None
    first = max(len(analysis.runs) - SHOWN, 0)
    lines = dict(analysis.lines(name))
    own = usual(analysis, name)
    top = float(np.nanmax(row[first:])) if np.isfinite(row[first:]).any() else 1.0
    top = max(top, own.high_s if own is not None and own.high_s < 3 * top else 0.0, 1e-3)
    bounds = [one.bound_s for one in lines.values() if one.bound_s]
    bound = bounds[-1] if bounds else None
    if bound is not None and bound <= 1.5 * top:
        top = max(top, bound)
    top *= 1.08
    count = len(analysis.runs) - first
    step = (_RIGHT - _LEFT) / max(count, 1)

    def x(index: int) -> float:
        return _LEFT + (index - first + 0.5) * step

    def y(value_s: float) -> float:
        return _BOTTOM - (_BOTTOM - _TOP) * min(value_s / top, 1.0)

    parts: list[Markup] = []
    if own is not None:
        upper, lower = y(own.high_s), y(own.low_s)
        tip = (
            f"usual: {seconds(own.low_s)} to {seconds(own.high_s)}, "
            f"{own.runs} runs about {seconds(own.mean_s)}"
        )
        parts.append(rect(_LEFT, upper, _RIGHT - _LEFT, lower - upper, "band", tip))
        parts.append(line(_LEFT, y(own.mean_s), _RIGHT, y(own.mean_s), "usual"))
    tick = nice_step(top / 3)
    for number in range(int(top / tick) + 1):
        at = y(number * tick)
        parts.append(line(_LEFT, at, _RIGHT, at, "grid"))
        parts.append(label(_LEFT - 4, at + 3, f"{number * tick:g}", "t", "end"))
    if bound is not None and bound <= top:
        parts.append(line(_LEFT, y(bound), _RIGHT, y(bound), "bound"))
        parts.append(label(_RIGHT, y(bound) - 2, "bound", "t", "end"))
    found = analysis.longer_of(name)
    if found is not None and found.since >= first:
        at = x(found.since) - step / 2
        parts.append(line(at, _TOP, at, _BOTTOM, "since"))
    for index, one in lines.items():
        if index < first:
            continue
        value = row[index]
        at_y = y(float(value)) if math.isfinite(value) else _BOTTOM - 4
        parts.append(_mark(x(index), at_y, one, analysis.runs[index]))
    parts.append(label(_LEFT, HEIGHT - 8, f"{count} runs, the last one at the right", "t"))
    said = f"{name}: longest stalls in seconds over {count} runs"
    return el(
        "svg", *parts, viewBox=f"0 0 {WIDTH} {HEIGHT}", class_="small-multiple", role="img",
        aria_label=said,
    )  # fmt: skip


def _mark(x: float, y: float, one: ScenarioLine, run: RunLine) -> Markup:
    """A sign for each verdict: a disc, a cross, a question mark."""
    # Short: there are as many of them as cells in the grid, which tell the rest.
    took = seconds(one.stall_s) if one.stall_s is not None else "no stall measured"
    tip = el("title", f"{one.verdict}: {took} in {run_text(run)}")
    match one.verdict:
        case Verdict.VALID:
            return el("circle", tip, cx=x, cy=y, r=3.2, class_="m VALID")
        case Verdict.INVALID:
            path = f"M{x - 3.5:.1f} {y - 3.5:.1f}l7 7m0 -7l-7 7"
            return el("path", tip, d=path, class_="m INVALID")
        case _:
            return el("text", tip, "?", x=x, y=y + 4, class_="m INCONCLUSIVE", text_anchor="middle")


def cell_text(one: ScenarioLine, run: RunLine) -> str:
    """Everything that is kept of a scenario in a run, in words."""
    parts = [f"{one.verdict} in {run_text(run)}"]
    if one.stall_s is not None:
        name = "failover time" if one.failovers else "longest stall"
        bound = f" of at most {seconds(one.bound_s)}" if one.bound_s else ""
        parts.append(f"{name} {seconds(one.stall_s)}{bound}")
    if one.phases:
        told = " + ".join(f"{phase} {seconds(took)}" for phase, took in one.phases.items())
        parts.append(f"its phases: {told}")
    for value, what in ((one.failovers, "failovers"), (one.fencings, "fencings")):
        if value is not None:
            parts.append(f"{value} {what}")
    if one.writes is not None:
        parts.append(f"{one.writes:,} acknowledged writes")
    if one.seconds is not None:
        parts.append(f"took {seconds(one.seconds)}")
    if len(one.attempts) > 1:
        parts.append(f"attempts: {', '.join(one.attempts)}")
    bad = [check.check for check in one.checks if check.verdict is not Verdict.VALID]
    if one.checks:
        parts.append(
            f"{len(one.checks)} checks" + (f", not VALID: {', '.join(bad)}" if bad else "")
        )
    if one.why:
        parts.append(one.why)
    return "; ".join(parts)
