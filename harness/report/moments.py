"""What happened to the cluster, as moments for the picture: fencing, membership, VIP, handlers.

From journals, consoles, events2 and the data link. Every node's daemons tell of the same event
several times; each is shown once.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.checks.fencelog import fence_reports
from harness.evidence.timeline import Channel
from harness.report.text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.evidence.model import Evidence, Seen

_ONCE_NS = 15_000_000_000  # the same event told again within this is one event


@dataclass(frozen=True, slots=True)
class Sort:
    """A sort of moment: the letter of its marker and what that means."""

    letter: str
    meaning: str
    grave: bool = False  # drawn as a diamond


FENCE_ASKED = Sort("f", "fencing requested", True)
FENCED = Sort("F", "fencing succeeded", True)
FENCE_FAILED = Sort("X", "fencing failed", True)
LOST = Sort("L", "node lost", True)
JOINED = Sort("J", "node joined")
VIP = Sort("V", "another MAC answers for the VIP")
LINK = Sort("K", "knet link down or up")
HANDLER = Sort("H", "DRBD fence-peer / unfence handler")
CONSTRAINT = Sort("C", "fence constraint placed or removed")
SPLIT = Sort("!", "split-brain message", True)
IO_ERROR = Sort("E", "I/O error at the initiator", True)
WITNESS = Sort("W", "witness stream lost")
WORKLOAD = Sort("•", "workload starts or ends")
SORTS = (
    FENCE_ASKED, FENCED, FENCE_FAILED, LOST, JOINED, VIP, LINK, HANDLER, CONSTRAINT, SPLIT,
    IO_ERROR, WITNESS, WORKLOAD,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Moment:
    """One marker: when (ns, run's clock), who said so, what sort, and one line."""

    t_ns: int
    source: str
    sort: Sort
    text: str


_JOURNAL = (
    # pacemaker-fenced 2.1: handle_request() and initiate_remote_stonith_op().
    (re.compile(r"wants to fence \((?P<w>[\w-]+)\) (?P<n>[\w.-]+)"), FENCE_ASKED, "{w} of {n}"),
    (
        re.compile(r"Requesting peer fencing \((?P<w>[\w-]+)\) targeting (?P<n>[\w.-]+)"),
        FENCE_ASKED,
        "{w} of {n}",
    ),
    (re.compile(r"\bNode (?P<n>[\w.-]+) state is now lost\b"), LOST, "{n}"),
    (re.compile(r"\bNode (?P<n>[\w.-]+) state is now member\b"), JOINED, "{n}"),
    # corosync 3's totemknet.c through its logger.
    (
        re.compile(r"link: host: (?P<n>\d+) link: (?P<w>\d+) is down"),
        LINK,
        "link {w} to host {n} down",
    ),
    (
        re.compile(r"rx: host: (?P<n>\d+) link: (?P<w>\d+) is up"),
        LINK,
        "link {w} to host {n} up",
    ),
    (
        re.compile(r"placed constraint '?(?P<n>drbd-fence-by-handler-[\w.-]+)"),
        CONSTRAINT,
        "placed {n}",
    ),
    (
        re.compile(r"[Rr]emoved constraint '?(?P<n>drbd-fence-by-handler-[\w.-]+)"),
        CONSTRAINT,
        "removed {n}",
    ),
)
_HANDLERS = ("fence-peer", "unfence-peer", "after-resync-target")
_BLOCK_ERROR = re.compile(r"\bI/O error, dev \w+|Buffer I/O error")


def moments(evidence: Evidence) -> list[Moment]:
    """All moments of a scenario, by time; each once."""
    found = [
        *_from_journals(evidence),
        *_fencings(evidence),
        *_vip(evidence),
        *_helpers(evidence),
        *_lines(evidence),
        *_streams(evidence),
    ]
    return _once(sorted(found, key=lambda moment: moment.t_ns))


def _from_journals(evidence: Evidence) -> Iterator[Moment]:
    for seen in evidence.select(Channel.JOURNAL, "entry"):
        if seen.source not in evidence.scenario.nodes:
            continue
        message = seen.text("message")
        for pattern, sort, text in _JOURNAL:
            match = pattern.search(message)
            if match is not None:
                yield Moment(seen.t_ns, seen.source, sort, text.format(**match.groupdict()))


def _fencings(evidence: Evidence) -> Iterator[Moment]:
    for report in fence_reports(evidence):
        sort = FENCED if report.success else FENCE_FAILED
        yield Moment(report.t_ns, report.reporter, sort, f"{report.action} of {report.target}")


def _vip(evidence: Evidence) -> Iterator[Moment]:
    owner = None
    for seen in evidence.select(Channel.ARP, "claim"):
        mac = seen.text("mac").lower()
        if seen.text("ip") == evidence.scenario.vip and mac != owner:
            if owner is not None:
                yield Moment(seen.t_ns, seen.source, VIP, f"VIP now at {mac}, before at {owner}")
            owner = mac


def _helpers(evidence: Evidence) -> Iterator[Moment]:
    for seen in evidence.select(Channel.EVENTS2, "call", "response"):
        fields = seen.event.data.get("fields")
        if not isinstance(fields, dict) or fields.get("helper") not in _HANDLERS:
            continue
        what = f"{fields['helper']} {fields.get('name', '')}"
        if seen.event.kind == "call":
            yield Moment(seen.t_ns, seen.source, HANDLER, f"{what} called")
        else:
            status = fields.get("status", "?")
            yield Moment(seen.t_ns, seen.source, HANDLER, f"{what} returned {status}")


def _lines(evidence: Evidence) -> Iterator[Moment]:
    for seen in evidence.select(Channel.CONSOLE, "line"):
        text = seen.text("text")
        if seen.source == evidence.scenario.initiator:
            if _BLOCK_ERROR.search(text):
                yield Moment(seen.t_ns, seen.source, IO_ERROR, "the kernel reports an I/O error")
        elif "Split-Brain detected" in text:
            yield Moment(seen.t_ns, seen.source, SPLIT, "DRBD says Split-Brain detected")


def _streams(evidence: Evidence) -> Iterator[Moment]:
    for channel in (Channel.CONSOLE, Channel.JOURNAL, Channel.EVENTS2, Channel.PROGRESS):
        for seen in evidence.select(channel, "lost"):
            reason = seen.text("reason")
            yield Moment(seen.t_ns, seen.source, WITNESS, f"streams of {seen.source}: {reason}")
    for seen in evidence.select(Channel.WORKLOAD):
        yield Moment(seen.t_ns, seen.source, WORKLOAD, _workload(seen))


def _workload(seen: Seen) -> str:
    jobs = seen.event.data.get("jobs")
    names = ", ".join(str(job) for job in jobs) if isinstance(jobs, list) else str(jobs or "")
    code = seen.event.data.get("exit_code")
    text = f"fio {seen.event.kind} {names}" + ("" if code is None else f", exit code {code}")
    return f"{text} {seen.text('text')}".strip()


def _once(found: list[Moment]) -> list[Moment]:
    kept: list[Moment] = []
    last: dict[tuple[str, str], int] = {}
    for moment in found:
        key = moment.sort.letter, moment.text
        if moment.t_ns - last.get(key, -_ONCE_NS - 1) > _ONCE_NS:
            kept.append(Moment(moment.t_ns, moment.source, moment.sort, one_line(moment.text, 200)))
        last[key] = moment.t_ns
    return kept
