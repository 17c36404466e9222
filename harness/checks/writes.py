"""Acknowledged writes: none lost, none torn, no I/O error at the initiator."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.checks.clocks import ClockMap, clock_map
from harness.checks.history import Fate, Writes, acknowledged, fates
from harness.checks.jobs import (
    has_raw_workload,
    has_workload,
    headers_of,
    log_rows,
    raw_jobs,
    result_of,
)
from harness.checks.registry import MAX_LISTED, CannotJudgeError, Finding, check, doubting, found
from harness.checks.verdict import Verdict
from harness.evidence.blocks import BLOCK_SIZE, STATUS_GOOD, STATUS_NO_HEADER, STATUS_TORN
from harness.evidence.timeline import Channel
from harness.fio_parser import parse_headers

if TYPE_CHECKING:
    from harness.evidence.model import Evidence, Job


@dataclass(slots=True)
class _JobFinding:
    writes: int = 0
    problems: list[str] = field(default_factory=list)
    incomplete: list[str] = field(default_factory=list)
    when_ns: list[int] = field(default_factory=list)
    evidence: list[str] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)


def _acknowledged_must_survive(evidence: Evidence) -> bool:
    return has_raw_workload(evidence) and evidence.scenario.expect.durable == "acknowledged"


@check("lost-writes", "No acknowledged write is lost", applies=_acknowledged_must_survive)
def lost_writes(evidence: Evidence) -> Finding:
    """Every block holds its last acknowledged write (or a later one that was in flight).

    fio logs each acknowledgement and stamps each block with the issue time of its write, on a
    clock that differs from the log's by one constant per job. With at most one write outstanding
    per block (serialize_overlap=1), the block's header must name the last acknowledged write: an
    earlier one, or none, means that every acknowledged write after it is lost. Values are unique,
    so this is the whole of linearizability for a final read. The log must be complete (as many
    writes as fio counted); losses that an incomplete log proves are losses all the same. Sources:
    fill_hdr() in fio's verify.c, "Log File Formats" in fio's HOWTO. Where only what was flushed has
    to survive, ``flushed-writes`` judges instead.
    """
    jobs = raw_jobs(evidence)
    clock = clock_map(evidence, evidence.scenario.initiator)
    named = [job.headers for job in jobs if job.headers is not None]
    if len(set(named)) < len(named):
        raise CannotJudgeError("two jobs wrote to one LUN: their histories cannot be told apart")
    findings: dict[str, _JobFinding] = {}
    unreadable: list[str] = []
    for job in jobs:
        with doubting(unreadable, job.name, evidence):
            findings[job.name] = _judge_job(evidence, job, clock)
    problems = [text for one in findings.values() for text in one.problems]
    doubts = unreadable + [text for one in findings.values() for text in one.incomplete]
    writes = sum(one.writes for one in findings.values())
    verdict = Verdict.INVALID if problems else Verdict.INCONCLUSIVE if doubts else Verdict.VALID
    return Finding(
        verdict,
        expected="each block holds its last acknowledged write",
        seen="; ".join(problems + doubts) or f"all {writes} acknowledged writes accounted for",
        operations=writes,
        when_ns=tuple(sorted(t for one in findings.values() for t in one.when_ns)),
        evidence=tuple(
            ref for one in findings.values() if one.problems or not problems for ref in one.evidence
        ),
        details={name: one.details for name, one in findings.items()},
    )


def _judge_job(evidence: Evidence, job: Job, clock: ClockMap | None) -> _JobFinding:
    result, rows, headers = (
        result_of(evidence, job),
        log_rows(evidence, job),
        headers_of(evidence, job),
    )
    if rows is None:
        raise CannotJudgeError("no latency log")
    finding = _JobFinding(writes=len(rows))
    if len(rows) != result.write.total_ios:
        finding.incomplete.append(
            f"{job.name}: the log has {len(rows)} writes, fio counted {result.write.total_ios}"
        )
    if not len(rows):
        return finding
    writes = acknowledged(rows, job.block_size, len(headers.records))
    unacknowledged = result.error != 0 or bool(finding.incomplete)
    fate = fates(writes, headers, unacknowledged=unacknowledged)
    # A header that no logged write explains proves nothing where the log is incomplete.
    doubtful = fate.foreign & bool(finding.incomplete)
    lost = np.flatnonzero((fate.lost > 0) & ~doubtful)
    finding.details = {
        "writes": len(rows),
        "blocks": len(fate.block),
        "blocks_lost": len(lost),
        "writes_lost": int(fate.lost[lost].sum()),
        "ambiguous": int(fate.ambiguous.sum()),
        "pending": int(fate.pending.sum()),
        "clock_constant_ns": fate.constant_ns,
        "clock_worst_ns": fate.worst_ns,
        "clock_agreeing": fate.agreeing,
        "listed": [_lost_block(writes, fate, int(i), clock) for i in lost[:MAX_LISTED]],
    }
    finding.evidence = [job.lat_log or "", job.headers or "", job.result]
    if len(lost):
        _describe(finding, job, writes, fate, lost, clock)
    return finding


def _describe(
    finding: _JobFinding,
    job: Job,
    writes: Writes,
    fate: Fate,
    lost: np.ndarray[Any, np.dtype[np.intp]],
    clock: ClockMap | None,
) -> None:
    first = finding.details["listed"][0]
    kinds = [
        f"{int(mask[lost].sum())} {text}"
        for mask, text in (
            (fate.found >= 0, "hold an earlier write"),
            (fate.no_header, "hold no header"),
            (fate.foreign, "hold a header of no acknowledged write"),
        )
        if mask[lost].any()
    ]
    finding.problems.append(
        f"{job.name}: {finding.details['writes_lost']} acknowledged writes lost in {len(lost)} "
        f"blocks ({', '.join(kinds)}); first: block {first['block']} at byte {first['offset']}, "
        f"{first['lost']} lost, found {first['found']}"
    )
    finding.evidence = [f"{job.headers}:{int(fate.block[i])}" for i in lost[:MAX_LISTED]]
    finding.evidence.append(job.lat_log or "")
    if clock is not None:
        done = clock.to_run(writes.done_ns[fate.last[lost]])
        finding.when_ns = [int(done.min()), int(done.max())]
        finding.details["lost_from_ns"], finding.details["lost_to_ns"] = finding.when_ns


def _lost_block(writes: Writes, fate: Fate, i: int, clock: ClockMap | None) -> dict[str, Any]:
    def moment(guest_ns: int) -> int:
        return guest_ns if clock is None else clock.one(guest_ns)

    last, there = int(fate.last[i]), int(fate.found[i])
    if there >= 0:
        what = "an earlier write"
    elif fate.no_header[i]:
        what = "no header"
    else:
        what = "a header of no acknowledged write"
    return {
        "block": int(fate.block[i]),
        "offset": int(fate.block[i]) * BLOCK_SIZE,
        "lost": int(fate.lost[i]),
        "found": what,
        "found_issued_ns": moment(int(writes.issue_ns[there])) if there >= 0 else None,
        "last_issued_ns": moment(int(writes.issue_ns[last])),
        "last_acknowledged_ns": moment(int(writes.done_ns[last])),
        "clock": "guest" if clock is None else "run",
    }


@check("torn-blocks", "No block is torn", applies=has_raw_workload)
def torn_blocks(evidence: Evidence) -> Finding:
    """No block holds part of one write and part of another.

    Inside 4 KiB a write is all or nothing. fio's header carries a CRC of itself and is followed
    by the CRC of the payload; a mixture of two writes fails one of them. Where the payload was
    not checked (status 3) only the header speaks; a job of which no payload was checked at all
    makes this INCONCLUSIVE. A header whose magic is there but whose own CRC fails counts as torn.
    """
    problems: list[str] = []
    doubts: list[str] = []
    refs: list[str] = []
    judged = checked = 0
    for job in raw_jobs(evidence):
        with doubting(doubts, job.name, evidence):
            records = headers_of(evidence, job).records
            table = parse_headers(
                records.tobytes(), block_size=BLOCK_SIZE, record_size=records.dtype.itemsize
            )
            there = records["status"] != STATUS_NO_HEADER
            payload = records["status"] == STATUS_TORN
            torn = np.flatnonzero(payload | (there & ~table.present))
            judged += int(there.sum())
            of_job = int((payload | (records["status"] == STATUS_GOOD)).sum())
            checked += of_job
            if not of_job:
                doubts.append(f"{job.name}: no payload was checked")
            if len(torn):
                problems.append(
                    f"{job.name}: {len(torn)} torn blocks, {int(payload.sum())} by their payload; "
                    f"first: block {int(torn[0])}"
                )
                refs += [f"{job.headers}:{int(block)}" for block in torn[:MAX_LISTED]]
    return found(
        problems or doubts,
        otherwise=Verdict.INVALID if problems else Verdict.INCONCLUSIVE,
        expected="header and payload of each block match their CRCs",
        fine=f"{judged} headers match their CRC, and {checked} payloads that were checked",
        operations=judged,
        evidence=refs or [job.headers or "" for job in raw_jobs(evidence)],
        details={"headers": judged, "payloads_checked": checked},
    )


@check("io-errors", "No I/O error reached the initiator", applies=has_workload)
def io_errors(evidence: Evidence) -> Finding:
    """Every fio job ended with error 0.

    A failover is transparent only if the initiator's writes wait and succeed. fio's JSON gives
    the errno that ended a job (and the count of those it passed over).
    """
    problems: list[str] = []
    doubts: list[str] = []
    refs, judged = [], 0
    for job in evidence.scenario.jobs:
        with doubting(doubts, job.name, evidence):
            result = result_of(evidence, job)
            judged += result.write.total_ios + result.read.total_ios
            refs.append(job.result)
            if result.error or result.total_errors:
                passed = f" ({result.total_errors} in all)" if result.total_errors else ""
                problems.append(f"{job.name}: errno {result.error}{passed}")
    exits = evidence.select(Channel.WORKLOAD, "exit")
    return found(
        problems or doubts,
        otherwise=Verdict.INVALID if problems else Verdict.INCONCLUSIVE,
        expected="error 0 for each job",
        fine=f"error 0 for {len(evidence.scenario.jobs)} jobs",
        operations=judged,
        when_ns=[seen.t_ns for seen in exits] if problems else (),
        evidence=refs,
    )
