"""Where no node survives: what was flushed has to be there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from harness.checks.histories import histories_of
from harness.checks.jobs import has_raw_workload, raw_jobs
from harness.checks.promised import as_promised, cut_ns, only_flushed
from harness.checks.registry import MAX_LISTED, Finding, check, found
from harness.checks.verdict import Verdict
from harness.history.floor import flush_floor
from harness.history.model import Kind
from harness.history.violation import describe

if TYPE_CHECKING:
    from harness.evidence.model import Evidence


def _applies(evidence: Evidence) -> bool:
    return only_flushed(evidence) and has_raw_workload(evidence)


@check("flushed-writes", "No flushed write is lost", applies=_applies)
def flushed_writes(evidence: Evidence) -> Finding:
    """What a flush had made durable before power was cut at every node is there at the end.

    A disk acknowledges a write when it is in its cache, a flush when everything before it is on
    the medium (SBC-3, SYNCHRONIZE CACHE). As long as one node lives, DRBD keeps what was
    acknowledged; where none does, only what was flushed is promised. The cut is that of the first
    node, so that nothing counts as flushed that was not. Property and proof: harness.history.floor.
    """
    problems: list[str] = []
    refs: list[str] = []
    durable = 0
    cut = cut_ns(evidence)
    histories, unknown = histories_of(evidence)
    doubts = list(unknown)
    for job, history in histories:
        kept = as_promised(evidence, history)
        flushed = int(np.sum((kept.kind == Kind.WRITE) & (kept.done_ns <= cut)))
        durable += flushed
        if not flushed:
            doubts.append(f"{job.name}: nothing was flushed before power was cut")
        judgement = flush_floor(history, cut)
        if judgement.total:
            told = dict.fromkeys(describe(history, one) for one in judgement.violations)
            text = "; ".join(list(told)[:3])
            problems.append(f"{job.name}: {judgement.total} violations: {text}")
            refs += [f"{job.headers}:{int(block)}" for block in judgement.bad_blocks[:MAX_LISTED]]
    return found(
        problems or doubts,
        otherwise=Verdict.INVALID if problems else Verdict.INCONCLUSIVE,
        expected="each block holds its last flushed write, or a later one",
        fine=f"all {durable} flushed writes accounted for",
        operations=durable,
        evidence=refs or [job.headers or "" for job in raw_jobs(evidence)],
        details={"flushed": durable},
    )
