"""The merged log of a scenario's page: all machines' lines on one clock, in one table.

Bounded: where there is more than fits, the graver lines stay and the gaps say how many are gone.
The whole log lies beside the page (harness.report.fulllog).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.evidence.timeline import Channel
from harness.report.text import clock, one_line, relative

if TYPE_CHECKING:
    from harness.evidence.model import Seen
    from harness.report.load import LenientEvidence

MOST_LINES = 3000
LONGEST_LINE = 300  # characters
GRAVE = 2  # up to this rank a line is among what is printed
_CLUSTER = ("pacemaker", "corosync", "crm-", "drbd", "fence", "stonith", "iscsi", "multipath")
_FENCING_WORDS = ("fence", "fencing", "stonith", "state is now", "split-brain", "promot", "link:")
# Of a console, where a reboot alone prints hundreds of lines, what matters most here.
_TELLING = re.compile(
    r"drbd|error|fail|warn|BUG:|panic|Oops|hung|block(?:ed)? for|link (?:is )?(?:down|up)|"
    r"connection\d+:\d+|Linux version",
    re.IGNORECASE,
)
_ENOUGH = 2000  # characters of a line that are looked at to rank it
_BEFORE_NS, _AFTER_NS = 15_000_000_000, 60_000_000_000  # around the faults: told before the rest


@dataclass(frozen=True, slots=True)
class LogRow:
    """One line.

    Attributes:
        at_s: seconds from the first fault.
        rank: 0 is the gravest; from 3 on it is ordinary talk.
        line: number of the line in timeline.jsonl, from 1.
        gap: how many lines were left out before it.
    """

    at_s: float
    time: str
    clock: str
    source: str
    channel: str
    text: str
    rank: int
    line: int
    gap: int = 0


@dataclass(frozen=True, slots=True)
class Log:
    """The lines, and how many there are besides.

    Attributes:
        after: how many were left out after the last line.
        cut: how many of the lines are shown in part.
    """

    rows: tuple[LogRow, ...]
    left_out: int
    after: int
    cut: int

    @property
    def sources(self) -> list[str]:
        """Every source, in order of their names."""
        return sorted({row.source for row in self.rows})

    @property
    def channels(self) -> list[str]:
        """Every channel, in order of their names."""
        return sorted({row.channel for row in self.rows})


def merged_log(evidence: LenientEvidence, most: int = MOST_LINES) -> Log:
    """What the machines said, from the scenario's own beginning on.

    Args:
        most: how many lines at most.
    """
    zero_ns = evidence.zero_ns
    consoles = {seen.source for seen in evidence.select(Channel.CONSOLE, "line")}
    healed = [seen.t_ns for seen in evidence.select(Channel.FAULT, "healed", "not-healed")]
    from_ns, to_ns = zero_ns - _BEFORE_NS, max([zero_ns, *healed[-1:]]) + _AFTER_NS
    ranked: list[tuple[int, int, Seen, str]] = []
    previous_arp = ""
    own = (seen for channel in Channel for seen in evidence.select(channel))
    for seen in sorted(own, key=lambda one: (one.t_ns, one.line)):
        if seen.event.channel is Channel.ARP:
            if seen.text("mac") == previous_arp:
                continue
            previous_arp = seen.text("mac")
        found = _line(seen, consoles)
        if found is not None:
            order = found[0] if from_ns <= seen.t_ns <= to_ns else found[0] + 2
            ranked.append((order, found[0], seen, found[1]))
    # Stable: within a rank the earlier lines win.
    kept = sorted(range(len(ranked)), key=lambda place: ranked[place][0])[:most]
    rows, before, cut = [], -1, 0
    for place in sorted(kept):
        _, rank, seen, text = ranked[place]
        shown = one_line(text[: 8 * LONGEST_LINE], LONGEST_LINE)
        cut += shown.endswith("…")
        rows.append(
            LogRow(
                round((seen.t_ns - zero_ns) / 1e9, 3),
                relative(seen.t_ns, zero_ns),
                clock(seen.t_ns),
                one_line(seen.source, 40),
                str(seen.event.channel),
                shown,
                rank,
                seen.line,
                place - before - 1,
            )
        )
        before = place
    after = len(ranked) - 1 - before if rows else 0
    return Log(tuple(rows), len(ranked) - len(rows), after, cut)


def whole_line(seen: Seen) -> str:
    """An event of any channel in words, as long as it is; untrusted text, lines and all."""
    found = _line(seen, set())
    if found is not None:
        return found[1]
    words = " ".join(f"{key}={value}" for key, value in seen.event.data.items())
    return f"{seen.event.kind} {words}"


def describe(seen: Seen) -> str:
    """The same on one line, of a few hundred characters at most."""
    return one_line(whole_line(seen)[: 8 * LONGEST_LINE], LONGEST_LINE)


def _line(seen: Seen, consoles: set[str]) -> tuple[int, str] | None:
    """(rank, text) of an event; None for what does not belong into a log."""
    kind = seen.event.kind
    match seen.event.channel:
        case Channel.FAULT:
            what = f"{kind}: {seen.text('fault') or seen.text('kind')} {seen.text('target')}"
            return 0, f"{what} {seen.text('proof')}".strip()
        case Channel.DOMAIN:
            return 0, f"domain {seen.text('event')} {seen.text('detail')}".strip()
        case Channel.WORKLOAD:
            code = seen.event.data.get("exit_code")
            return 0, f"fio {kind}{'' if code is None else f' {code}'} {seen.text('text')}".strip()
        case Channel.STEP:
            words = f"{kind} {seen.text('keyword').strip()} {seen.text('text')}"
            return 1, f"{words} {seen.text('error')}".strip()
        case Channel.ARP:
            return 1, f"{seen.text('ip')} is at {seen.text('mac')}"
        case Channel.FENCE:
            return 1, seen.text("text")
        case Channel.CONSOLE if kind == "line":
            text = seen.text("text")
            return 2 if _TELLING.search(text[:_ENOUGH]) else 4, text
        case Channel.JOURNAL if kind == "entry":
            return _entry(seen, consoles)
        case Channel.EVENTS2 if kind in ("change", "call", "response"):
            return 3, seen.text("raw")
        case Channel.STATE if kind not in ("sample", "reaction"):
            return 1, f"{kind} {seen.text('text') or seen.text('trigger')}".strip()
        case Channel.PHASE if kind == "begin":
            return 3, f"the harness begins: {seen.text('phase')}"
        case _ if kind in ("lost", "open", "witness-died", "garbled"):
            reason = seen.text("reason") or seen.text("text")
            return 1, f"witness {kind} {reason}".strip()
        case _:
            return None


def _entry(seen: Seen, consoles: set[str]) -> tuple[int, str] | None:
    if seen.text("transport") == "kernel" and seen.source in consoles:
        return None  # the console has it
    identifier, message = seen.text("identifier"), seen.text("message")
    priority = seen.event.data.get("priority")
    grave = isinstance(priority, int) and priority <= 4
    cluster = identifier.startswith(_CLUSTER)
    head = message[:_ENOUGH].lower()
    if cluster and any(word in head for word in _FENCING_WORDS):
        rank = 1
    elif grave:
        rank = 2
    elif cluster:
        rank = 3
    else:
        rank = 5
    return rank, f"{identifier}: {message}"
