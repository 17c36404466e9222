"""The job that writes to a file: its log against the requests that the kernel traced."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from harness.checks.history import LATE_NS, TOLERANCE_NS
from harness.checks.jobs import log_rows, result_of
from harness.checks.registry import CannotJudgeError

if TYPE_CHECKING:
    from harness.checks.requests import Request
    from harness.evidence.model import Evidence, Job


def against_the_trace(
    evidence: Evidence, job: Job, disks: dict[str, str], requests: list[Request]
) -> tuple[int, list[str]]:
    """How many writes of a file job were compared, and what does not agree.

    Which block of the disk a write of the file went to is not known here, and what else was written
    there (the journal and the tables of its file system) is not in fio's log. So each logged write
    needs no more than an answered one of its own, within the acknowledgement's time: the clock of
    the log is the trace's. Writes that neither log nor count has are not missed: that takes the
    stamps on the disk, which nobody reads for this job yet.
    """
    rows = log_rows(evidence, job)
    if rows is None:
        raise CannotJudgeError("no latency log")
    texts: list[str] = []
    counted = result_of(evidence, job).write.total_ios
    if len(rows) != counted:
        texts.append(f"{job.name}: the log has {len(rows)} writes, fio counted {counted}")
    mine = _disks_of(evidence, job, disks)
    done = np.sort(rows["time_ms"].astype(np.int64)) * 1_000_000
    order = np.argsort(rows["time_ms"], kind="stable")
    issue = done - rows["value"].astype(np.int64)[order]
    free = sorted(
        (r.done_ns, r.issue_ns)
        for r in requests
        if r.disk in mine and r.op == "write" and r.succeeded and r.done_ns is not None
    )
    without = 0
    for issued_ns, done_ns in zip(issue.tolist(), done.tolist(), strict=True):
        for n, (answered_ns, asked_ns) in enumerate(free):
            if answered_ns > done_ns + TOLERANCE_NS:
                without += 1
                break
            # fio logs late, never early (LATE_NS): its issue time may be that much too late.
            if asked_ns >= issued_ns - LATE_NS - TOLERANCE_NS:
                del free[n]
                break
        else:
            without += 1
    if without:
        texts.append(f"{job.name}: {without} acknowledged writes without a request")
    return len(rows), texts


def _disks_of(evidence: Evidence, job: Job, disks: dict[str, str]) -> set[str]:
    """Where the file is: a file job names no LUN, it has one that no other job writes to.

    Raises:
        CannotJudgeError: there is none.
    """
    others = {one.lun for one in evidence.scenario.jobs if one.lun is not None}
    luns = [job.lun] if job.lun is not None else [lun for lun in disks if lun not in others]
    found = {disks[lun] for lun in luns if lun in disks}
    if not found:
        raise CannotJudgeError("which disk its file is on is not known")
    return found
