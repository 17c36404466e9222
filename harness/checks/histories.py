"""Histories of the raw LUNs, from all witnesses: who wrote what when, and who read it last."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import numpy as np

from harness.checks.clocks import ClockMap, clock_map
from harness.checks.fencelog import fence_reports
from harness.checks.history import Writes, acknowledged, fates
from harness.checks.jobs import has_raw_workload, headers_of, log_rows, raw_jobs
from harness.checks.promised import as_promised
from harness.checks.registry import (
    MAX_LISTED,
    CannotJudgeError,
    Finding,
    check,
    doubting,
    remember,
)
from harness.checks.replicas import facts_of, pending_resync
from harness.checks.requests import Request, disks_of, expand, requests_of
from harness.checks.verdict import Verdict
from harness.drbd_metadata import Flags
from harness.evidence.blocks import Headers, read_headers
from harness.history.model import FOREIGN, INITIAL, NEVER, Flag, Flushes, History, Kind, Outcome
from harness.history.sweep import sweep
from harness.history.violation import describe
from harness.history.zones import zombies, zones

if TYPE_CHECKING:
    import numpy.typing as npt

    from harness.evidence.model import Evidence, Job

_READ_AFTER_NS = 1_000_000_000


@remember
def histories_of(evidence: Evidence) -> tuple[tuple[tuple[Job, History], ...], tuple[str, ...]]:
    """The raw jobs that have a history, with it; and why others have none, a line for each."""
    made: list[tuple[Job, History]] = []
    doubts: list[str] = []
    for job in raw_jobs(evidence):
        with doubting(doubts, job.name, evidence):
            made.append((job, history_of(evidence, job)))
    return tuple(made), tuple(doubts)


def history_of(evidence: Evidence, job: Job) -> History:
    """All operations on the LUN of a raw job, on the run's clock.

    Writes last as the initiator's kernel saw them: from the first issue of their request to its
    answer; failed and unanswered ones are among them. Which write a block holds in the end, its
    stamp says: the n-th successful write of a block is the n-th that fio logged, and the stamp
    names one of those (harness.checks.history). Everybody who can read at the end is a reader:
    the initiator, and each node's backing disk. Blocks that nobody wrote are left out.

    Raises:
        CannotJudgeError: fio's log and the trace do not have the same writes, a clock was not
            measured, or a stamp cannot be told.
        OSError, ValueError: a file is missing or damaged.
    """
    rows, clock = log_rows(evidence, job), clock_map(evidence, evidence.scenario.initiator)
    if rows is None:
        raise CannotJudgeError(f"{job.name}: no latency log")
    if clock is None:
        raise CannotJudgeError(f"the clock of {evidence.scenario.initiator} was not measured")
    disk = disks_of(evidence).get(job.lun or "")
    if disk is None:
        raise CannotJudgeError(f"{job.name}: {job.lun} is no disk of the initiator")
    readers = _readers(evidence, job)
    count = len(readers[0].records)
    logged = acknowledged(rows, job.block_size, count)
    requests = [request for request in requests_of(evidence).all if request.disk == disk]
    writes = [request for request in requests if request.op == "write"]
    block, issue, done, fua = expand([r for r in writes if r.succeeded])
    if not np.array_equal(block, logged.block):
        raise CannotJudgeError(f"{job.name}: fio logged other writes than the kernel answered")
    open_block, open_issue, open_done, open_fua = expand([r for r in writes if not r.succeeded])
    may_read = [np.ones(count, dtype=bool), *_readable(evidence, job, count)]
    read_block, wrote = _final_reads(readers, may_read, logged, len(block), open_block)
    # All reads happened after everything else, one after the other.
    last = int(max(done.max(initial=0), open_issue.max(initial=0), issue.max(initial=0)))
    read_ns = np.full(len(read_block), last + _READ_AFTER_NS + 2 * clock.uncertainty_ns)
    answered = open_done < NEVER
    return History.build(
        block=np.concatenate([block, open_block, read_block]),
        kind=np.concatenate(
            [np.full(len(block) + len(open_block), Kind.WRITE), np.full(len(wrote), Kind.READ)]
        ),
        outcome=np.concatenate(
            [
                np.full(len(block), Outcome.ACKNOWLEDGED),
                np.where(answered, Outcome.FAILED, Outcome.UNKNOWN),
                np.full(len(wrote), Outcome.ACKNOWLEDGED),
            ]
        ),
        wrote=np.concatenate([np.full(len(block) + len(open_block), INITIAL), wrote]),
        issue_ns=np.concatenate(
            [clock.to_run(issue), clock.to_run(open_issue), clock.to_run(read_ns)]
        ),
        done_ns=np.concatenate(
            [
                clock.to_run(done),
                np.where(answered, clock.to_run(np.where(answered, open_done, last)), NEVER),
                clock.to_run(read_ns + 1),
            ]
        ),
        flags=np.concatenate([fua, open_fua, np.zeros(len(wrote), np.int64)]) * int(Flag.FUA),
        flushes=_flushes(requests, clock),
        uncertainty_ns=clock.uncertainty_ns,
    )


def _readers(evidence: Evidence, job: Job) -> list[Headers]:
    """What the initiator read, then what each backing disk holds."""
    names = [f"replicas/{job.resource}.{node}.headers.bin" for node in evidence.scenario.nodes]
    return [headers_of(evidence, job), *(read_headers(evidence.path(name)) for name in names)]


def _readable(evidence: Evidence, job: Job, count: int) -> list[npt.NDArray[np.bool_]]:
    """Which of the LUN's blocks may be read from each node's backing disk; shape (count,) each.

    All, but those that a resync would copy to a replica that is apart and outdated: DRBD promotes
    none that says so itself, and one that its peer has had outdated is kept from it by the
    constraint of the fence-peer handler (``fence-constraints``, ``outdated-promotion``). A replica
    that neither of them holds for outdated may serve next, apart or not. The flags tell the states
    of both disks: MDF_WAS_UP_TO_DATE and MDF_PEER_OUT_DATED, __drbd_set_state() of 8.4.
    Where the metadata cannot be read, nothing says that a replica may not be.

    Raises:
        CannotJudgeError: each of them is held for outdated: what excuses the bad one would excuse
            the good one as well, and nobody would be left who reads those blocks from a disk.
    """
    readable = {node: np.ones(count, dtype=bool) for node in evidence.scenario.nodes}
    resource = job.resource or ""
    outdated: list[str] = []
    apart = np.zeros(count, dtype=bool)
    with contextlib.suppress(OSError, ValueError):
        facts = facts_of(evidence, resource)
        apart = pending_resync(evidence, resource, np.zeros(count, dtype=np.uint32))
        for node, own in facts.items():
            told = any(one.flags & Flags.PEER_OUTDATED for n, one in facts.items() if n != node)
            if told or not own.flags & Flags.WAS_UP_TO_DATE:
                readable[node] &= ~apart
                outdated.append(node)
    if len(outdated) == len(readable) and apart.any():
        raise CannotJudgeError(
            f"{job.name}: both replicas of {resource} are held for outdated, and "
            f"{int(apart.sum())} blocks of them differ"
        )
    return list(readable.values())


def _final_reads(
    readers: list[Headers],
    may_read: list[npt.NDArray[np.bool_]],
    logged: Writes,
    acknowledged_writes: int,
    open_block: npt.NDArray[np.int64],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Block and ``wrote`` of every final read, by index into the writes as put together."""
    blocks: list[npt.NDArray[np.int64]] = []
    wrote: list[npt.NDArray[np.int64]] = []
    for headers, mask in zip(readers, may_read, strict=True):
        index = np.flatnonzero(mask[logged.block])
        if not len(index):
            continue
        fate = fates(logged.only(index), headers, unacknowledged=bool(len(open_block)))
        found = np.where(fate.found >= 0, index[fate.found], FOREIGN)
        told = np.where(fate.no_header, INITIAL, found)
        for at in np.flatnonzero(fate.pending):
            unanswered = np.flatnonzero(open_block == fate.block[at])
            if len(unanswered):
                told[at] = acknowledged_writes + int(unanswered[-1])
        blocks.append(fate.block)
        wrote.append(told)
    if not blocks:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    return np.concatenate(blocks), np.concatenate(wrote)


def _flushes(requests: list[Request], clock: ClockMap) -> Flushes:
    own = sorted(
        (r for r in requests if r.op == "flush"), key=lambda r: (r.issue_ns, r.done_ns or 0)
    )
    if not own:
        return Flushes.none()
    answered = np.array([r.done_ns is not None for r in own])
    failed = np.array([bool(r.error) for r in own])
    done = clock.to_run(np.array([r.done_ns or r.issue_ns for r in own], dtype=np.int64))
    outcome = np.where(failed, Outcome.FAILED, Outcome.ACKNOWLEDGED)
    return Flushes(
        issue_ns=clock.to_run(np.array([r.issue_ns for r in own], dtype=np.int64)),
        done_ns=np.where(answered, done, NEVER),
        outcome=np.where(answered, outcome, Outcome.UNKNOWN).astype(np.uint8),
    )


@check(
    "linearizable", "Every block's history is linearizable, both replicas being readers",
    applies=has_raw_workload,
)  # fmt: skip
def linearizable(evidence: Evidence) -> Finding:
    """The writes of each block and its final reads can be put in one order that time allows.

    The linear sweep judges blocks whose writes follow one another, the zones check all of them
    (harness.history.sweep and .zones have the proofs); both must agree that there is no
    violation. A write that a node had in flight when it was fenced, and that shows up although it
    was never acknowledged, or comes back over its successor, is a zombie: judged against each
    fencing's success. Other than ``lost-writes`` this rests on the kernel's times, which are exact,
    and has each replica read for itself, but for what a resync would copy to one that is outdated:
    nobody may read that. Where only what was flushed has to survive, a write that
    was acknowledged but not flushed before power was cut is as good as unanswered.
    """
    problems: list[str] = []
    refs: list[str] = []
    operations = 0
    details: dict[str, object] = {}
    fences = [report for report in fence_reports(evidence) if report.success]
    histories, doubts = histories_of(evidence)
    for job, whole in histories:
        history = as_promised(evidence, whole)
        operations += len(history)
        judgements = {"sweep": sweep(history), "zones": zones(history)}
        for number, fence in enumerate(fences, start=1):
            judgements[f"zombies of fencing {number}"] = zombies(history, fence.t_ns)
        details[job.name] = {
            "operations": len(history),
            "violations": {name: one.total for name, one in judgements.items()},
        }
        told: dict[str, None] = {}
        for judgement in judgements.values():
            told |= dict.fromkeys(describe(history, one) for one in judgement.violations)
        if told or any(one.total for one in judgements.values()):
            most = max(one.total for one in judgements.values())
            problems.append(f"{job.name}: {most} violations: {'; '.join(list(told)[:3])}")
            bad = np.unique(np.concatenate([one.bad_blocks for one in judgements.values()]))
            refs += [f"{job.headers}:{int(block)}" for block in bad[:MAX_LISTED]]
    doubtful = Verdict.INCONCLUSIVE if doubts else Verdict.VALID
    return Finding(
        verdict=Verdict.INVALID if problems else doubtful,
        expected="an order of all operations that time allows",
        seen="; ".join(problems or doubts) or f"{operations} operations, each block in one order",
        operations=operations,
        evidence=tuple(refs),
        details=details,
    )
