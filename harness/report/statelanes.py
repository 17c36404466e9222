"""The lanes of states: moments of the cluster, roles, connections, disks and VMs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from harness.report.membership import ALONE, DOWN, LINK, MEMBER, NO_QUORUM, TOGETHER, UP
from harness.report.serving import (
    ALL_UP,
    BEING_FENCED,
    CALM,
    FENCE_BAD,
    FENCE_OK,
    FENCING,
    LOGGED_IN,
    LOST,
    NO_ANSWER,
    PORTAL,
    SESSION,
    VIP,
)
from harness.report.svg import LEFT, RIGHT, el, label, line, rect, text_width, title
from harness.report.text import relative, seconds
from harness.report.tracks import OFF, TWO_PRIMARIES, UNKNOWN

if TYPE_CHECKING:
    from harness.report.moments import Moment
    from harness.report.svg import Axis
    from harness.report.tracks import Span, Track

ROW = 13
_MARK = 6.5  # half of a marker
_MARK_ROWS = 4
NAMES = {
    "role": "role",
    "connection": "connection",
    "disk": "disk",
    MEMBER: "membership",
    LINK: "knet link",
    FENCING: "fencing",
    VIP: "address",
    PORTAL: "portal, LUNs",
    SESSION: "session",
    "vm": "machine",
}


@dataclass(frozen=True, slots=True)
class Look:
    """How a state is drawn: CSS class, letter where the name does not fit, thin where calm."""

    class_: str
    letter: str
    calm: bool = False


_OFF = Look("s-off", "off", True)
_UNKNOWN = Look("s-unknown", "?")
LOOKS: dict[str, dict[str, Look]] = {
    "role": {
        "Primary": Look("s-primary", "P"),
        "Secondary": Look("s-secondary", "S", True),
        TWO_PRIMARIES: Look("s-bad", "2"),
    },
    "connection": {
        "Connected": Look("s-good", "C", True),
        "StandAlone": Look("s-bad", "A"),
        "SyncSource": Look("s-sync", "→"),
        "SyncTarget": Look("s-sync", "←"),
        "PausedSyncS": Look("s-sync", "→"),
        "PausedSyncT": Look("s-sync", "←"),
        "VerifyS": Look("s-sync", "V"),
        "VerifyT": Look("s-sync", "V"),
        "WFConnection": Look("s-warn", "W"),
        "Connecting": Look("s-warn", "W"),
    },
    "disk": {
        "UpToDate": Look("s-good", "U", True),
        "Outdated": Look("s-warn", "O"),
        "Inconsistent": Look("s-bad", "I"),
        "Failed": Look("s-bad", "F"),
        "Diskless": Look("s-bad", "D"),
        "Consistent": Look("s-sync", "C"),
    },
    "vm": {
        "on": Look("s-good", "on", True),
        "paused": Look("s-warn", "‖"),
        OFF: Look("s-dead", "off"),
    },
    MEMBER: {
        TOGETHER: Look("s-good", "2", True),
        ALONE: Look("s-warn", "1"),
        NO_QUORUM: Look("s-bad", "N"),
    },
    LINK: {UP: Look("s-good", "up", True), DOWN: Look("s-warn", "D")},
    FENCING: {
        CALM: Look("s-off", "", True),
        BEING_FENCED: Look("s-warn", "f"),
        FENCE_OK: Look("s-dead", "F"),
        FENCE_BAD: Look("s-bad", "X"),
    },
    VIP: {NO_ANSWER: Look("s-bad", "–")},
    PORTAL: {CALM: Look("s-off", "", True), ALL_UP: Look("s-primary", "up")},
    SESSION: {LOGGED_IN: Look("s-good", "L", True), LOST: Look("s-bad", "X")},
}
_OTHER = {
    "connection": Look("s-warn", "…"),
    "disk": Look("s-sync", "…"),
    PORTAL: Look("s-sync", "…"),
}


def look(aspect: str, state: str) -> Look:
    """How ``state`` of ``aspect`` is drawn."""
    if state in LOOKS[aspect]:
        return LOOKS[aspect][state]
    if state == OFF:
        return _OFF
    if aspect == VIP and state != UNKNOWN:
        return Look("s-primary", state[:1])  # the node that answers
    # A state that no witness told, and one that this module does not know, look alike.
    return _UNKNOWN if state == UNKNOWN else _OTHER.get(aspect, _UNKNOWN)


def state_lane(tracks: list[Track], total: int, axis: Axis, y: float) -> tuple[Markup, float]:
    """One row per track, under the name of their aspect; returns the markup and its height.

    Args:
        total: how many resources there are; a row of all of them is labelled as such.
    """
    if not tracks:
        return Markup(""), 0
    parts = [label(LEFT - 8, y + 8, NAMES[tracks[0].aspect], "t lane", "end")]
    top = y + 13
    for number, track in enumerate(tracks):
        row = top + number * ROW
        parts.append(label(LEFT - 8, row + 9, row_name(track, total), "t row", "end"))
        parts.append(line(LEFT, row + 6, RIGHT, row + 6, "rail"))
        parts.append(_row(track, axis, row))
    return Markup("").join(parts), 13 + len(tracks) * ROW + 3


def row_name(track: Track, total: int) -> str:
    """``alpha r1``; ``alpha`` where the row stands for every resource."""
    if not track.resources:
        return track.node
    if len(track.resources) == total and total > 1:
        return f"{track.node} · all {total}"
    return f"{track.node} {' '.join(track.resources)}"


def span_tip(track: Track, span: Span, zero_ns: int) -> str:
    """A state in words: whose, what, from when to when."""
    of = " ".join(track.resources)
    return (
        f"{track.node} {of} {NAMES[track.aspect]}: {span.state}\n"
        f"{relative(span.start_ns, zero_ns)} to {relative(span.end_ns, zero_ns)} "
        f"({seconds((span.end_ns - span.start_ns) / 1e9)})"
    )


def _row(track: Track, axis: Axis, y: float) -> Markup:
    parts = []
    for span in track.spans:
        how = look(track.aspect, span.state)
        x0, x1 = axis.x(span.start_ns), axis.x(span.end_ns)
        width = max(x1 - x0, 1.2)
        height, inset = (3.0, 4.5) if how.calm else (11.0, 0.5)
        if track.aspect == "role" and how.calm and span.state != OFF:
            height, inset = 7.0, 2.5
        tip = span_tip(track, span, axis.zero_ns)
        box = rect(x0, y + inset, width, height, f"state {how.class_}")
        hit = rect(x0, y, width, ROW - 1, "tip")
        parts.append(el("g", title(tip), box, hit))
        text = span.state if width > text_width(span.state, 9) + 6 else how.letter
        if not how.calm and width > text_width(text, 9) + 3:
            parts.append(label(x0 + 3, y + 9, text, f"t on-state {how.class_}-t"))
        elif span.state == OFF and width > 20:
            parts.append(label(x0 + 3, y + 9, text, "t off-t"))
    return Markup("").join(parts)


def moment_lane(moments: list[Moment], axis: Axis, y: float) -> tuple[Markup, float]:
    """Markers with letters; those that would cover each other go to further rows."""
    shown = [moment for moment in moments if axis.shows(moment.t_ns)]
    if not shown:
        return Markup(""), 0
    ends = [-1e9] * _MARK_ROWS
    parts: list[Markup] = []
    used = 1
    for moment in shown:
        x = axis.x(moment.t_ns)
        free = [at for at in range(_MARK_ROWS) if ends[at] + 0.5 <= x - _MARK]
        row = free[0] if free else min(range(_MARK_ROWS), key=ends.__getitem__)
        ends[row] = x + _MARK
        used = max(used, row + 1)
        parts.append(_marker(moment, axis, x, y + 7 + row * 15))
    head = label(LEFT - 8, y + 10, "cluster events", "t lane", "end")
    return head + Markup("").join(parts), used * 15 + 3


def _marker(moment: Moment, axis: Axis, x: float, y: float) -> Markup:
    sort = moment.sort
    tip = (
        f"{relative(moment.t_ns, axis.zero_ns)} {sort.meaning}: {moment.text}\n"
        f"seen at {moment.source}"
    )
    if sort.grave:
        d = _MARK
        shape = el(
            "path",
            d=f"M{x:.1f} {y - d}L{x + d:.1f} {y}L{x:.1f} {y + d}L{x - d:.1f} {y}Z",
            class_="mark grave",
        )
    else:
        shape = el("circle", cx=x, cy=y, r=_MARK - 0.7, class_="mark")
    letter = label(x, y + 3, sort.letter, "t mark-t" + (" grave-t" if sort.grave else ""), "middle")
    return el("g", title(tip), shape, letter)
