"""The fio jobs of a scenario: results, logs and headers, read for the checks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.checks.registry import CannotJudgeError
from harness.evidence.blocks import Headers, read_headers
from harness.fio_parser import read_log, read_result

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from harness.evidence.model import Evidence, Job
    from harness.fio_parser import JobResult

WRITE = 1  # ddir in fio's logs


def result_of(evidence: Evidence, job: Job) -> JobResult:
    """fio's own result of a job.

    Raises:
        CannotJudgeError: fio's result does not know the job.
        FileNotFoundError, FioParseError: there is no (whole) result.
    """
    try:
        return read_result(evidence.path(job.result)).job(job.name)
    except KeyError:
        raise CannotJudgeError(f"{job.result}: no job {job.name!r}") from None


def log_rows(evidence: Evidence, job: Job) -> npt.NDArray[np.void] | None:
    """Rows (LOG_DTYPE) of the acknowledged writes in a job's latency log; None without a log.

    Raises:
        FioParseError: the log is damaged.
    """
    if job.lat_log is None or not evidence.path(job.lat_log).exists():
        return None
    rows = read_log(evidence.path(job.lat_log)).rows
    written: npt.NDArray[np.void] = rows[rows["ddir"] == WRITE]
    return written


def headers_of(evidence: Evidence, job: Job) -> Headers:
    """The verify headers of a job's LUN.

    Raises:
        CannotJudgeError: none were read.
        BlocksError: the file is damaged.
    """
    if job.headers is None:
        raise CannotJudgeError(f"{job.name}: no headers were read back from {job.lun}")
    return read_headers(evidence.path(job.headers))


def raw_jobs(evidence: Evidence) -> list[Job]:
    """Jobs that write to a LUN directly."""
    return [job for job in evidence.scenario.jobs if job.kind == "raw"]


def has_workload(evidence: Evidence) -> bool:
    """Whether there should be, or is, a workload."""
    return evidence.scenario.expect.workload or bool(evidence.scenario.jobs)


def has_raw_workload(evidence: Evidence) -> bool:
    """Whether there is a raw job, or should be some job and is none."""
    return bool(raw_jobs(evidence)) or (
        evidence.scenario.expect.workload and not evidence.scenario.jobs
    )
