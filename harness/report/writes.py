"""The initiator's writes on the run's clock: from fio's latency logs, else from block counters.

fio stamps completions with the guest's wall clock, in milliseconds; the ``clock`` events of the
initiator map it to the run's clock. fio writes its logs when a job ends, so a job that was killed
or hangs leaves none: then the counters of the initiator's disks say how many writes completed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.checks.clocks import clock_map
from harness.evidence.model import EvidenceError
from harness.evidence.timeline import Channel
from harness.fio_parser import FioParseError, read_log, read_result
from harness.report.text import one_line

if TYPE_CHECKING:
    import numpy.typing as npt

    from harness.evidence.model import Job
    from harness.report.load import LenientEvidence

    Times = npt.NDArray[np.int64]

# Completion stamps below this (2001, in ms) count from the job's start, not from the epoch.
_EPOCH_MS = 1_000_000_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Writes:
    """What is known of the acknowledged writes.

    Attributes:
        done_ns: completions on the run's clock, shape (writes,), ascending.
        latency_ns: latency of each, same shape.
        job: index into ``jobs`` of each, same shape.
        jobs: names of the jobs that left logs.
        counted: (t_ns, writes completed since the sample before) from the initiator's counters.
        total: acknowledged writes; None where nothing says.
        source: where ``total`` is from, in words.
        notes: what could not be read.
    """

    done_ns: Times
    latency_ns: Times
    counted: tuple[tuple[int, int], ...] = ()
    total: int | None = None
    source: str = ""
    notes: tuple[str, ...] = field(default=())
    job: npt.NDArray[np.uint8] = field(default_factory=lambda: np.empty(0, np.uint8))
    jobs: tuple[str, ...] = ()

    @property
    def logged(self) -> bool:
        """Whether there are latency logs with writes in them."""
        return len(self.done_ns) > 0


@dataclass(frozen=True, slots=True)
class Columns:
    """Writes by pixel column; every write counts in exactly one. All arrays of one shape.

    Attributes:
        index: number of the column, ascending; columns without a write are absent.
        low, middle, high: smallest, median and largest latency of the column, ns.
        size: how many writes.
    """

    index: Times
    low: Times
    middle: Times
    high: Times
    size: Times


def load_writes(evidence: LenientEvidence) -> Writes:
    """The writes of all jobs of a scenario. Never raises on bad evidence: see ``notes``."""
    notes: list[str] = []
    done: list[Times] = []
    latencies: list[Times] = []
    names: list[str] = []
    complete = True
    for job in evidence.scenario.jobs:
        table = _job_log(evidence, job, notes)
        if table is None:
            complete = False
            continue
        writes = table[table["ddir"] == 1]
        done.append(_on_run_clock(evidence, writes["time_ms"].astype(np.int64), notes))
        latencies.append(writes["value"].astype(np.int64))
        names.append(one_line(job.name, 60))
    done_ns = np.concatenate(done) if done else np.empty(0, np.int64)
    latency_ns = np.concatenate(latencies) if latencies else np.empty(0, np.int64)
    order = np.argsort(done_ns, kind="stable")
    counted = tuple(_counted(evidence))
    total, source = _total(evidence, len(done_ns) if done and complete else None, counted)
    job_of = np.repeat(np.minimum(np.arange(len(done)), 255), [len(one) for one in done])
    return Writes(
        done_ns[order],
        latency_ns[order],
        counted,
        total,
        source,
        tuple(dict.fromkeys(notes)),
        job_of.astype(np.uint8)[order],
        tuple(names),
    )


def columns(writes: Writes, start_ns: int, end_ns: int, width: int) -> Columns:
    """Writes completed in ``start_ns`` (incl.) to ``end_ns`` (excl.), in ``width`` columns."""
    inside = (writes.done_ns >= start_ns) & (writes.done_ns < end_ns)
    done, value = writes.done_ns[inside], writes.latency_ns[inside]
    index = ((done - start_ns) / max(end_ns - start_ns, 1) * width).astype(np.int64)
    order = np.lexsort((value, index))
    index, value = index[order], value[order]
    kinds, first, size = np.unique(index, return_index=True, return_counts=True)
    if not len(kinds):
        return Columns(*(np.empty(0, np.int64) for _ in range(5)))
    middle = value[first + (size - 1) // 2]
    return Columns(kinds, value[first], middle, value[first + size - 1], size.astype(np.int64))


def rates(writes: Writes, start_ns: int, end_ns: int, bin_ns: int) -> npt.NDArray[np.float64]:
    """Acknowledged writes per second in each bin of ``bin_ns`` from ``start_ns`` on."""
    bins = max(-(-(end_ns - start_ns) // bin_ns), 1)
    if writes.logged:
        index, weight = (writes.done_ns - start_ns) // bin_ns, np.ones(len(writes.done_ns))
    else:
        table = np.array(writes.counted, np.int64).reshape(-1, 2)
        index, weight = (table[:, 0] - start_ns) // bin_ns, table[:, 1].astype(np.float64)
    inside = (index >= 0) & (index < bins)
    summed = np.bincount(index[inside], weights=weight[inside], minlength=bins)
    return summed.astype(np.float64) / (bin_ns / 1e9)


def slowest(writes: Writes) -> tuple[int, int] | None:
    """(issue, completion) on the run's clock of the write that took longest; None without logs."""
    if not writes.logged:
        return None
    at = int(np.argmax(writes.latency_ns))
    done_ns = int(writes.done_ns[at])
    return done_ns - int(writes.latency_ns[at]), done_ns


def longest_pause(writes: Writes) -> tuple[int, int] | None:
    """Longest time in which the initiator's counters did not move between two that did."""
    moved = [t_ns for t_ns, delta in writes.counted if delta > 0]
    gaps = [(b - a, a, b) for a, b in pairwise(moved)]
    if writes.counted and moved and writes.counted[-1][0] > moved[-1]:
        last = writes.counted[-1][0]
        gaps.append((last - moved[-1], moved[-1], last))
    longest = max(gaps, default=None)
    return (longest[1], longest[2]) if longest else None


def _job_log(evidence: LenientEvidence, job: Job, notes: list[str]) -> npt.NDArray[Any] | None:
    if job.lat_log is None:
        notes.append(f"job {job.name} has no latency log (it never ended)")
        return None
    try:
        log = read_log(evidence.path(job.lat_log), allow_torn=True)
    except FileNotFoundError:
        notes.append(f"{job.lat_log} is missing (fio writes it when the job ends)")
    except (FioParseError, EvidenceError, OSError) as error:
        folder = f"{evidence.folder.resolve()}/"
        notes.append(one_line(str(error)).replace(folder, "").replace(f"{evidence.folder}/", ""))
    else:
        if log.torn:
            notes.append(f"the last line of {job.lat_log} is torn")
        return log.rows
    return None


def _on_run_clock(evidence: LenientEvidence, time_ms: Times, notes: list[str]) -> Times:
    """Guest wall-clock milliseconds as ns on the run's clock."""
    if len(time_ms) and int(time_ms.max()) < _EPOCH_MS:
        starts = evidence.select(Channel.WORKLOAD, "start")
        notes.append("the latency logs count from the job's start: placed by the workload's start")
        base = starts[0].t_ns if starts else evidence.scenario.started_ns
        return base + time_ms * 1_000_000
    try:
        clock = clock_map(evidence, evidence.scenario.initiator)
    except EvidenceError as error:
        notes.append(one_line(str(error)))
        clock = None
    if clock is None:
        notes.append("the initiator's clock was never measured: its writes may lie apart in time")
        return time_ms * 1_000_000
    return clock.to_run(time_ms * 1_000_000)


def _counted(evidence: LenientEvidence) -> list[tuple[int, int]]:
    last: dict[str, int] = {}
    found = []
    for seen in evidence.select(Channel.PROGRESS, "io"):
        ios = seen.event.data.get("write_ios")
        if not isinstance(ios, int):
            continue
        disk = seen.text("disk")
        before = last.get(disk)
        last[disk] = ios
        if before is not None and ios >= before:
            found.append((seen.t_ns, ios - before))
    return found


def _total(
    evidence: LenientEvidence, logged: int | None, counted: tuple[tuple[int, int], ...]
) -> tuple[int | None, str]:
    if logged is not None:
        return logged, "fio's latency logs"
    results = 0
    try:
        for job in evidence.scenario.jobs:
            result = read_result(evidence.path(job.result))
            results += sum(part.write.total_ios for part in result.jobs)
        if evidence.scenario.jobs:
            return results, "fio's results"
    except (FioParseError, EvidenceError, OSError):
        pass
    if counted:
        return sum(delta for _, delta in counted), "the initiator's block counters"
    return None, ""
