"""Whether the workload was there: before, during and after the fault, and whole in its logs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from harness.checks.clocks import ClockMap, clock_map
from harness.checks.faults import fault_window
from harness.checks.jobs import log_rows, result_of
from harness.checks.registry import CannotJudgeError, Finding, check, found
from harness.checks.verdict import Verdict

if TYPE_CHECKING:
    import numpy.typing as npt

    from harness.evidence.model import Evidence, Job
    from harness.fio_parser import JobResult


def _spans(evidence: Evidence) -> bool:
    return evidence.scenario.expect.workload and evidence.scenario.expect.fault


@check("spanning-writes", "The workload wrote before, during and after the fault", applies=_spans)
def spanning_writes(evidence: Evidence) -> Finding:
    """Enough writes were acknowledged, by each job before the fault, during it and after the heal.

    Writes that end before the fault or begin after it prove nothing of it. So each job must have
    writes acknowledged before the first injection, issued or in flight between it and the last
    heal, and acknowledged after that; the raw jobs together must reach the scenario's minimum.
    A job that stood in its flush (fsync) from before the injection until after the heal had that in
    flight, the whole time. Each log must be whole: as many writes as fio counted (fio logs no
    flushes, and counts them apart). Else the scenario did not test what it says: INCONCLUSIVE.
    """
    wanted = evidence.scenario.expect.min_spanning_writes
    window = fault_window(evidence)
    clock = clock_map(evidence, evidence.scenario.initiator)
    if window is None:
        raise CannotJudgeError("no fault was injected and healed")
    if clock is None:
        raise CannotJudgeError("the initiator's clock was never measured against the host's")
    problems: list[str] = []
    per_job: dict[str, dict[str, int]] = {}
    total = 0
    for job in evidence.scenario.jobs:
        rows = log_rows(evidence, job)
        if rows is None:
            problems.append(f"{job.name}: no latency log")
            continue
        result = result_of(evidence, job)
        counted = result.write.total_ios
        if len(rows) != counted:
            problems.append(f"{job.name}: the log has {len(rows)} writes, fio counted {counted}")
        total += len(rows) if job.kind == "raw" else 0
        counts = per_job[job.name] = {"total": len(rows), **_counts(rows, clock, window)}
        problems += [
            f"{job.name}: no write {what}"
            for key, what in (
                ("before", "acknowledged before the fault"),
                ("during", "in flight during the fault"),
                ("after", "acknowledged after the heal"),
            )
            if counts[key] == 0
            and not (key == "during" and _in_its_flush(result, counts["before"], window))
        ]
    if not evidence.scenario.jobs:
        problems.append("there is no job")
    if total < wanted and _any_raw(evidence.scenario.jobs):
        problems.insert(0, f"{total} acknowledged writes of raw LUNs")
    return found(
        problems,
        expected=f"at least {wanted} acknowledged writes, of each job before, during and after",
        fine=f"{total} acknowledged writes of raw LUNs; "
        + "; ".join(
            f"{name}: {counts['before']} before, {counts['during']} during, {counts['after']} after"
            for name, counts in per_job.items()
        ),
        operations=sum(counts["total"] for counts in per_job.values()),
        otherwise=Verdict.INCONCLUSIVE,
        when_ns=window,
        evidence=[job.lat_log for job in evidence.scenario.jobs if job.lat_log],
        details={"total": total, "per_job": per_job},
    )


def _counts(rows: npt.NDArray[np.void], clock: ClockMap, window: tuple[int, int]) -> dict[str, int]:
    inject_ns, healed_ns = window
    done: npt.NDArray[np.int64] = rows["time_ms"].astype(np.int64) * 1_000_000
    issued = clock.to_run(done - rows["value"].astype(np.int64))
    done = clock.to_run(done)
    return {
        "before": int((done < inject_ns - clock.uncertainty_ns).sum()),
        "during": int(((done >= inject_ns) & (issued <= healed_ns)).sum()),
        "after": int((done > healed_ns + clock.uncertainty_ns).sum()),
    }


def _in_its_flush(result: JobResult, before: int, window: tuple[int, int]) -> bool:
    """Whether a job was in a flush all the time: its turn had come, and one took that long."""
    every = result.job_options.get("fsync", "0")
    if not every.isdigit() or int(every) == 0 or before == 0 or before % int(every):
        return False
    return result.sync.lat_ns.max >= window[1] - window[0]


def _any_raw(jobs: list[Job]) -> bool:
    return any(job.kind == "raw" for job in jobs)
