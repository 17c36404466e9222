"""The merged log around the fault: consoles, journals, fencing, faults, steps, in one table.

Bounded: where there is more than fits, the graver lines stay and the gaps say how many are gone.
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

MOST_LINES = 400
_BEFORE_NS = 15_000_000_000
_AFTER_NS = 30_000_000_000
_CLUSTER = ("pacemaker", "corosync", "crm-", "drbd", "fence", "stonith", "iscsi", "multipath")
_FENCING_WORDS = ("fence", "fencing", "stonith", "state is now", "split-brain", "promot", "link:")
# Of a console, where a reboot alone prints hundreds of lines, what matters most here.
_TELLING = re.compile(
    r"drbd|error|fail|warn|BUG:|panic|Oops|hung|block(?:ed)? for|link (?:is )?(?:down|up)|"
    r"connection\d+:\d+|Linux version",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class LogRow:
    """One line of the excerpt.

    Attributes:
        rank: 0 is the gravest; from 3 on it is ordinary talk.
        line: number of the line in timeline.jsonl, from 1.
        gap: how many lines were left out before it.
    """

    time: str
    clock: str
    source: str
    channel: str
    text: str
    rank: int
    line: int
    gap: int = 0


@dataclass(frozen=True, slots=True)
class Excerpt:
    """The excerpt, and how many lines of the same stretch were left out."""

    rows: tuple[LogRow, ...]
    left_out: int
    from_text: str
    to_text: str


def excerpt(
    evidence: LenientEvidence, end_ns: int | None = None, most: int = MOST_LINES
) -> Excerpt:
    """What the machines said from shortly before the fault to shortly after ``end_ns``.

    Args:
        end_ns: end of what is of interest (ns, run's clock); the last heal where None.
        most: how many lines at most.
    """
    zero_ns = evidence.zero_ns
    healed = [seen.t_ns for seen in evidence.select(Channel.FAULT, "healed", "not-healed")]
    last_ns = max([*healed[-1:], end_ns or 0, zero_ns]) + _AFTER_NS
    first_ns = zero_ns - _BEFORE_NS
    consoles = {seen.source for seen in evidence.select(Channel.CONSOLE, "line")}
    ranked = []
    previous_arp = ""
    for seen in evidence.timeline:
        if not first_ns <= seen.t_ns <= last_ns:
            continue
        if seen.event.channel is Channel.ARP:
            if seen.text("mac") == previous_arp:
                continue
            previous_arp = seen.text("mac")
        found = _line(seen, consoles)
        if found is not None:
            ranked.append((found[0], seen, found[1]))
    # Stable: within a rank the earlier lines, which are nearer to the fault, win.
    kept = sorted(sorted(ranked, key=lambda item: item[0])[:most], key=lambda i: i[1].line)
    places = {seen.line: place for place, (_, seen, _) in enumerate(ranked)}
    rows, before = [], -1
    for rank, seen, text in kept:
        place = places[seen.line]
        rows.append(
            LogRow(
                relative(seen.t_ns, zero_ns),
                clock(seen.t_ns),
                seen.source,
                str(seen.event.channel),
                one_line(text),
                rank,
                seen.line,
                place - before - 1,
            )
        )
        before = place
    return Excerpt(
        tuple(rows),
        len(ranked) - len(kept),
        relative(first_ns, zero_ns),
        relative(last_ns, zero_ns),
    )


def describe(seen: Seen) -> str:
    """An event of any channel in words, one line of untrusted text."""
    data = seen.event.data
    text = _line(seen, set())
    if text is not None:
        return one_line(text[1])
    words = " ".join(f"{key}={value}" for key, value in data.items())
    return one_line(f"{seen.event.kind} {words}")


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
            return 2 if _TELLING.search(text) else 4, text
        case Channel.JOURNAL if kind == "entry":
            return _entry(seen, consoles)
        case Channel.EVENTS2 if kind in ("change", "call", "response"):
            return 3, seen.text("raw")
        case _ if kind in ("lost", "open"):
            return 1, f"witness {kind} {seen.text('reason')}".strip()
        case _:
            return None


def _entry(seen: Seen, consoles: set[str]) -> tuple[int, str] | None:
    if seen.text("transport") == "kernel" and seen.source in consoles:
        return None  # the console has it
    identifier, message = seen.text("identifier"), seen.text("message")
    priority = seen.event.data.get("priority")
    grave = isinstance(priority, int) and priority <= 4
    cluster = identifier.startswith(_CLUSTER)
    if cluster and any(word in message.lower() for word in _FENCING_WORDS):
        rank = 1
    elif grave:
        rank = 2
    elif cluster:
        rank = 3
    else:
        return None
    return rank, f"{identifier}: {message}"
