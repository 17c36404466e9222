"""The lanes of I/O: faults, the longest stall, latency of every write, writes per second."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup

from harness.report.svg import (
    LEFT,
    PLOT,
    RIGHT,
    Axis,
    el,
    label,
    line,
    nice_step,
    rect,
    text_width,
    title,
)
from harness.report.text import count, latency, relative, seconds, shorten
from harness.report.writes import columns, rates

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from harness.report.facts import Facts
    from harness.report.faultbands import Band
    from harness.report.writes import Columns, Writes

LATENCY_HEIGHT = 132
RATE_HEIGHT = 58
_ROW = 25
_HELD_NS = 1_000_000_000  # writes that took longer are drawn from issue to completion
_MOST_HELD = 60
_TIP_WIDTH = 12
_MEDIAN_WIDTH = 4


def fault_rows(bands: list[Band]) -> list[list[Band]]:
    """Bands of the same fault on one row (a flapping link), in order of first injection."""
    rows: dict[str, list[Band]] = {}
    for band in bands:
        rows.setdefault(band.name, []).append(band)
    return list(rows.values())


def fault_lane(rows: list[list[Band]], axis: Axis, y: float) -> tuple[Markup, float]:
    """One row per fault: its name over its bars; returns the markup and its height."""
    parts = []
    for number, row in enumerate(rows):
        top = y + number * _ROW
        times = f" × {len(row)}" if len(row) > 1 else ""
        letter = chr(ord("A") + number % 26)
        fates = ", ".join(dict.fromkeys(band.fate for band in row if band.fate))
        text = f"{letter}  {row[0].name}{times}" + (f" — {fates}" if fates else "")
        text = shorten(text, int(PLOT / 5.6))
        x = min(axis.x(row[0].inject_ns), RIGHT - text_width(text))
        parts.append(label(max(x, LEFT), top + 10, text, "t fault-name"))
        for band in row:
            parts.append(_fault_bar(band, axis, top + 14))
    height = len(rows) * _ROW
    if rows:
        parts.append(label(LEFT - 8, y + 21, "faults", "t lane", "end"))
    return Markup("").join(parts), height


def _fault_bar(band: Band, axis: Axis, y: float) -> Markup:
    end_ns = band.end_ns(axis.end_ns)
    bitten_ns = end_ns if band.bitten_ns is None else band.bitten_ns
    heal_ns = end_ns if band.heal_ns is None else band.heal_ns
    told = [f"{band.name}"]
    for name, t_ns in (
        ("inject", band.inject_ns),
        ("bitten", band.bitten_ns),
        ("heal", band.heal_ns),
        ("healed", band.healed_ns),
    ):
        told.append(f"{name} {relative(t_ns, axis.zero_ns) if t_ns is not None else '—'}")
    if band.proof:
        told.append(f"proof: {band.proof}")
    x0, x1 = axis.x(band.inject_ns), axis.x(min(bitten_ns, heal_ns))
    x2, x3 = axis.x(heal_ns), axis.x(end_ns)
    return el(
        "g",
        title("\n".join(told)),
        rect(x0, y, max(x3 - x0, 1.5), 8, "fault-edge"),
        rect(x1, y, x2 - x1, 8, "fault-bar"),
    )


def shading(rows: list[list[Band]], axis: Axis, top: float, bottom: float) -> Markup:
    """The faults as shaded bands behind all lanes, from ``top`` to ``bottom``."""
    parts = []
    for row in rows:
        for band in row:
            x0, x1 = axis.x(band.inject_ns), axis.x(band.end_ns(axis.end_ns))
            parts.append(rect(x0, top, max(x1 - x0, 1.5), bottom - top, "fault-shade"))
            parts.append(line(x0, top, x0, bottom, "fault-line"))
            if band.healed_ns is not None:
                parts.append(line(x1, top, x1, bottom, "fault-line"))
    return Markup("").join(parts)


def stall_lane(facts: Facts, axis: Axis, y: float) -> tuple[Markup, float]:
    """The longest stall as a bracket with its seconds, over the bound as a thin track."""
    stall = facts.stall
    if stall is None:
        return Markup(""), 0
    x0, x1 = axis.x(stall.start_ns), axis.x(stall.end_ns)
    text = f"{facts.stall_name} {seconds(stall.seconds)}"
    bound = "no bound stated"
    parts = [label(LEFT - 8, y + 22, "stall", "t lane", "end")]
    if not axis.overlaps(stall.start_ns, stall.end_ns):
        where = f"{text}, on the initiator's own clock: it cannot be placed"
        return parts[0] + label(LEFT + 4, y + 22, where, "t empty"), 30
    if facts.bound_s is not None:
        bound = f"bound {seconds(facts.bound_s)}" + (", exceeded" if facts.over_bound else "")
        xb = axis.x(stall.start_ns + facts.bound_s * 1e9)
        parts.append(rect(x0, y + 17, xb - x0, 4, "bound"))
        if stall.start_ns + facts.bound_s * 1e9 <= axis.end_ns:
            parts.append(line(xb, y + 13, xb, y + 25, "bound-mark"))
    x1 = max(x1, x0 + 1)
    bad = " over" if facts.over_bound else ""
    path = f"M{x0:.1f} {y + 25} V{y + 19} H{x1:.1f} V{y + 25}"
    tip = (
        f"{text}, {bound}\nfrom {relative(stall.start_ns, axis.zero_ns)} "
        f"to {relative(stall.end_ns, axis.zero_ns)}\nmeasured by {stall.source}"
    )
    parts.append(el("path", title(tip), d=path, class_=f"bracket{bad}"))
    whole = f"{text} · {bound}"
    half = text_width(whole, 11) / 2
    middle = min(max((x0 + x1) / 2, LEFT + half), RIGHT - half)
    parts.append(label(middle, y + 10, whole, f"t stall-name{bad}", "middle"))
    return Markup("").join(parts), 30


def stall_guides(facts: Facts, axis: Axis, top: float, bottom: float) -> Markup:
    """The bracket's ends as dashed lines over the lanes of I/O."""
    if facts.stall is None or not axis.overlaps(facts.stall.start_ns, facts.stall.end_ns):
        return Markup("")
    ends = (axis.x(facts.stall.start_ns), axis.x(facts.stall.end_ns))
    return Markup("").join(line(x, top, x, bottom, "guide") for x in ends)


def latency_lane(facts: Facts, axis: Axis, y: float) -> tuple[Markup, float]:
    """Latency of every write, log scale: per column the range, the median and the maximum.

    Returns the markup and the lane's height.
    """
    writes, bottom = facts.writes, y + LATENCY_HEIGHT
    parts = [label(LEFT - 8, y - 9, "write latency", "t lane", "end")]
    found = columns(writes, axis.start_ns, axis.end_ns, PLOT)
    if not len(found.index):
        why = "no latency log: fio writes it when a job ends, so a job that hung leaves none"
        return parts[0] + label(LEFT + 4, y - 9, why, "t empty"), 0
    parts.append(line(LEFT, bottom, RIGHT, bottom, "base"))
    # At least 1 ms to 100 s: pictures of different scenarios can be compared.
    low = min(math.floor(math.log10(max(int(found.low.min()), 10_000))), 6)
    top_ns = max(int(found.high.max()), round((facts.bound_s or 0) * 1e9))
    high = max(math.log10(top_ns * 1.3 + 1), 11)

    def height(ns: int) -> float:
        share = (math.log10(max(ns, 1)) - low) / (high - low)
        return bottom - LATENCY_HEIGHT * min(max(share, 0), 1)

    for power in range(low, math.floor(high) + 1):
        level = height(10**power)
        parts.append(line(LEFT, level, RIGHT, level, "grid"))
        parts.append(label(LEFT - 8, level + 3, latency(10**power), "t tick", "end"))
    if facts.bound_s:
        level = height(round(facts.bound_s * 1e9))
        parts.append(line(LEFT, level, RIGHT, level, "bound-line"))
        text = f"bound {seconds(facts.bound_s)}"
        parts.append(label(RIGHT - 3, level - 3, text, "t tick", "end"))
    levels = np.array([[height(int(v)) for v in part] for part in (found.low, found.high)])
    parts.append(_ranges(found, levels))
    coarse = columns(writes, axis.start_ns, axis.end_ns, PLOT // _MEDIAN_WIDTH)
    medians = "".join(
        f"M{LEFT + int(i) * _MEDIAN_WIDTH} {height(int(v)):.1f}h{_MEDIAN_WIDTH}"
        for i, v in zip(coarse.index, coarse.middle, strict=True)
    )
    parts.append(el("path", d=medians, class_="median"))
    dots = "".join(
        f"M{LEFT + int(i) + 0.5} {y1:.1f}h0"
        for i, v, m, y1 in zip(found.index, found.high, found.middle, levels[1], strict=True)
        if int(v) > 4 * int(m)
    )
    if dots:
        parts.append(el("path", d=dots, class_="outlier"))
    parts.append(_held(writes, axis, height))
    return Markup("").join(parts), LATENCY_HEIGHT


def _ranges(found: Columns, levels: npt.NDArray[np.float64]) -> Markup:
    """Vertical strokes from the smallest to the largest latency, darker where more writes are."""
    cuts = np.quantile(found.size, [1 / 3, 2 / 3])
    shade = np.searchsorted(cuts, found.size)
    parts = []
    for level in range(3):
        path = "".join(
            f"M{LEFT + int(i) + 0.5} {y0 + 0.5:.1f}V{y1 - 0.5:.1f}"
            for i, s, y0, y1 in zip(found.index, shade, levels[0], levels[1], strict=True)
            if s == level
        )
        if path:
            parts.append(el("path", d=path, class_=f"range range{level}"))
    return Markup("").join(parts)


def _held(writes: Writes, axis: Axis, height: Callable[[int], float]) -> Markup:
    """The writes that were held longest, as lines from issue to completion."""
    order = np.argsort(writes.latency_ns)[::-1][:_MOST_HELD]
    parts = []
    for at in order:
        took, done = int(writes.latency_ns[at]), int(writes.done_ns[at])
        if took < max(_HELD_NS, 4 * axis.ns_per_unit) or not axis.shows(done):
            continue
        level = height(took)
        tip = (
            f"a write of {latency(took)}: issued {relative(done - took, axis.zero_ns)}, "
            f"acknowledged {relative(done, axis.zero_ns)}"
        )
        x0, x1 = axis.x(done - took), axis.x(done)
        path = f"M{x0:.1f} {level:.1f}H{x1:.1f}"
        parts.append(
            el(
                "g",
                title(tip),
                el("path", d=path, class_="held"),
                el("circle", cx=x1, cy=level, r=2.2, class_="held-end"),
            )
        )
    return Markup("").join(parts)


def rate_lane(writes: Writes, axis: Axis, y: float) -> Markup:
    """Acknowledged writes per second as steps; where there were none the base line is marked."""
    bottom = y + RATE_HEIGHT
    parts = [
        label(LEFT - 8, y - 9, "writes/s", "t lane", "end"),
        line(LEFT, bottom, RIGHT, bottom, "base"),
    ]
    if not writes.logged and not writes.counted:
        parts.append(label((LEFT + RIGHT) / 2, y + 34, "no writes known", "t empty", "middle"))
        return Markup("").join(parts)
    bin_ns = max(1_000_000_000, round(axis.ns_per_unit))
    found = rates(writes, axis.start_ns, axis.end_ns, bin_ns)
    if len(found) > 1:
        found = found[:-1]  # the last bin is cut off by the end
    peak = max(float(found.max()), 1.0)
    step = nice_step(peak / 3)
    for number in range(1, 4):
        if step * number <= peak * 1.05:
            level = bottom - RATE_HEIGHT * min(step * number / peak, 1)
            parts.append(line(LEFT, level, RIGHT, level, "grid"))
            parts.append(label(LEFT - 8, level + 3, f"{step * number:g}", "t tick", "end"))
    parts.append(label(LEFT - 8, bottom + 3, "0", "t tick", "end"))
    path = f"M{LEFT} {bottom}"
    for number, value in enumerate(found):
        x1 = axis.x(axis.start_ns + (number + 1) * bin_ns)
        path += f"V{bottom - RATE_HEIGHT * value / peak:.1f}H{x1:.1f}"
    parts.append(el("path", d=path + f"V{bottom}Z", class_="rate"))
    parts.append(_silences(found, axis, bottom, bin_ns))
    if not writes.logged:
        text = "from the initiator's block counters"
        parts.append(label(LEFT + 4, y - 9, text, "t empty"))
    return Markup("").join(parts)


def _silences(found: npt.NDArray[np.float64], axis: Axis, y: float, bin_ns: int) -> Markup:
    busy = np.flatnonzero(found > 0)
    parts = []
    for before, after in pairwise(busy):
        if after - before > 2:
            start = axis.start_ns + (int(before) + 1) * bin_ns
            end = axis.start_ns + int(after) * bin_ns
            tip = f"about {seconds((end - start) / 1e9)} without an acknowledged write"
            x0, x1 = axis.x(start), axis.x(end)
            parts.append(rect(x0, y - 3, x1 - x0, 3, "silence", tip))
    return Markup("").join(parts)


def tips(writes: Writes, axis: Axis, top: float, bottom: float) -> Markup:
    """Invisible strips over the lanes of I/O that tell their writes as tooltips."""
    if not writes.logged:
        return Markup("")
    strips = PLOT // _TIP_WIDTH
    found = columns(writes, axis.start_ns, axis.end_ns, strips)
    span = (axis.end_ns - axis.start_ns) / strips
    parts = []
    for at, low, middle, high, size in zip(
        found.index, found.low, found.middle, found.high, found.size, strict=True
    ):
        start = axis.start_ns + int(int(at) * span)
        tip = (
            f"{relative(start, axis.zero_ns)} to {relative(int(start + span), axis.zero_ns)}: "
            f"{count(int(size))} writes ({int(size) / span * 1e9:.0f}/s)\n"
            f"min {latency(int(low))} · median {latency(int(middle))} · max {latency(int(high))}"
        )
        x0 = axis.x(start)
        parts.append(rect(x0, top, axis.x(start + span) - x0, bottom - top, "tip", tip))
    return Markup("").join(parts)
