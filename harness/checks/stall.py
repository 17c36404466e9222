"""How long writes stood still, and whether they went on at all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.checks.clocks import ClockMap, clock_map
from harness.checks.jobs import has_workload, log_rows
from harness.checks.registry import CannotJudgeError, Finding, check, found
from harness.checks.verdict import Verdict
from harness.evidence.timeline import Channel

if TYPE_CHECKING:
    from harness.evidence.model import Evidence, Job, Seen


@dataclass(frozen=True, slots=True)
class Stall:
    """A long standstill of one job: ``kind`` latency, gap, end, or progress (sampled)."""

    job: str
    kind: str
    start_ns: int  # run clock; guest clock where the offset is not known
    end_ns: int
    judged: int  # completions or samples

    @property
    def seconds(self) -> float:
        """Its length."""
        return (self.end_ns - self.start_ns) / 1e9


@check("stall", "Writes never stood still for longer than allowed", applies=has_workload)
def stall(evidence: Evidence) -> Finding:
    """The longest write and the longest gap between acknowledgements are within the bound.

    A frozen device shows as a long latency (a write waits) or as a gap (nothing completes); the
    larger of both is the blackout that an application sees. So does the time from a job's last
    acknowledgement until the workload was asked to stop, less the uncertainty of the two clocks.
    A job without a latency log (fio was killed) is judged on the initiator's I/O counters. A
    workload that got stuck and never ended is over any bound. A log without a single write says
    nothing, and where nobody tells when the workload was asked to stop its writes may have ended at
    any time before: INCONCLUSIVE.
    """
    bound_s = evidence.scenario.expect.max_stall_s
    clock = clock_map(evidence, evidence.scenario.initiator)
    stuck = _stuck_since(evidence)
    stalls = stalls_of(evidence)
    doubts = _unknown(evidence, clock)
    if not stalls and stuck is None:
        raise CannotJudgeError("; ".join(doubts) or "no job has a latency log or progress samples")
    problems = [f"{s.job}: {s.seconds:.1f} s ({s.kind})" for s in stalls if s.seconds > bound_s]
    longest = max(stalls, key=lambda s: s.seconds, default=None)
    when: list[int] = []
    refs = [job.lat_log for job in evidence.scenario.jobs if job.lat_log]
    details: dict[str, Any] = {
        "bound_s": bound_s,
        "clock": "run" if clock is not None else "guest",
        "per_job": [
            {"job": s.job, "kind": s.kind, "seconds": s.seconds, "start_ns": s.start_ns,
             "end_ns": s.end_ns}
            for s in stalls
        ],
    }  # fmt: skip
    if longest is not None:
        when = [longest.start_ns, longest.end_ns] if clock or longest.kind == "progress" else []
        details["blackout"] = details["per_job"][stalls.index(longest)]
    if stuck is not None:
        event, since_ns = stuck
        seconds = (evidence.end_ns - since_ns) / 1e9
        problems.insert(0, f"stuck and never ended: no write completed for {seconds:.1f} s")
        refs, when = [event.ref, *refs], [since_ns, evidence.end_ns]
        details["blackout"] = {
            "job": "", "kind": "stuck", "seconds": seconds, "start_ns": since_ns,
            "end_ns": evidence.end_ns,
        }  # fmt: skip
    return found(
        problems or doubts,
        otherwise=Verdict.INVALID if problems else Verdict.INCONCLUSIVE,
        expected=f"at most {bound_s:g} s",
        fine=f"at most {longest.seconds if longest else 0:.1f} s",
        operations=sum(s.judged for s in stalls) + (stuck is not None),
        when_ns=when,
        evidence=refs,
        details=details,
    )


def stalls_of(evidence: Evidence) -> list[Stall]:
    """The longest standstills of every job, one of each kind."""
    clock = clock_map(evidence, evidence.scenario.initiator)
    return [stall for job in evidence.scenario.jobs for stall in _stalls(evidence, job, clock)]


def standstills(evidence: Evidence, least_s: float) -> list[tuple[int, int]]:
    """(from, to) on the run's clock, ns: whenever a job's log has no completion for ``least_s``."""
    clock = clock_map(evidence, evidence.scenario.initiator)
    still: list[tuple[int, int]] = []
    for job in evidence.scenario.jobs if clock is not None else ():
        rows = log_rows(evidence, job)
        if rows is None or clock is None or not len(rows):
            continue
        done = np.sort(rows["time_ms"].astype(np.int64)) * 1_000_000
        at = np.flatnonzero(np.diff(done) > least_s * 1e9)
        still += [(clock.one(int(done[i])), clock.one(int(done[i + 1]))) for i in at]
    return sorted(still)


def _unknown(evidence: Evidence, clock: ClockMap | None) -> list[str]:
    """What a standstill could hide in."""
    unknown = []
    if _stop_asked(evidence) is None:
        unknown.append("when the workload was asked to stop is not known, so its end is not either")
    for job in evidence.scenario.jobs:
        rows = log_rows(evidence, job)
        if rows is not None and not len(rows):
            unknown.append(f"{job.name}: its log has no write at all")
        elif rows is not None and clock is None and _stop_asked(evidence) is not None:
            unknown.append(f"{job.name}: its last write cannot be dated, the clock is not known")
    return unknown


def _stop_asked(evidence: Evidence) -> int | None:
    asked = evidence.select(Channel.WORKLOAD, "stop-asked")
    return asked[0].t_ns if asked else None


def _stalls(evidence: Evidence, job: Job, clock: ClockMap | None) -> list[Stall]:
    rows = log_rows(evidence, job)
    if rows is None:
        return _progress_stalls(evidence, job)
    if not len(rows):
        return []
    done = np.sort(rows["time_ms"].astype(np.int64)) * 1_000_000
    slowest = int(rows["value"].argmax())
    end = int(rows["time_ms"][slowest]) * 1_000_000
    spans = [("latency", end - int(rows["value"][slowest]), end)]
    if len(done) > 1:
        at = int(np.diff(done).argmax())
        spans.append(("gap", int(done[at]), int(done[at + 1])))

    def run(guest_ns: int) -> int:
        return clock.one(guest_ns) if clock is not None else guest_ns

    # The length is the guest's; a drifting offset must not change it.
    stalls = [
        Stall(job.name, kind, run(start), run(start) + end - start, len(rows) if n == 0 else 0)
        for n, (kind, start, end) in enumerate(spans)
    ]
    asked_ns = _stop_asked(evidence)
    if clock is not None and asked_ns is not None:
        last_ns = run(int(done[-1])) + clock.uncertainty_ns
        if last_ns < asked_ns:
            stalls.append(Stall(job.name, "end", last_ns, asked_ns, 0))
    return stalls


def _progress_stalls(evidence: Evidence, job: Job) -> list[Stall]:
    """Longest time in which a busy disk's counter of writes did not change, from samples."""
    others = {other.lun for other in evidence.scenario.jobs if other.lun is not None}
    samples = [
        seen
        for seen in _progress(evidence, job.lun)
        # A file job names no LUN: its disk is the one that no other job writes to.
        if job.lun is not None or seen.text("disk") not in others
    ]
    if len({seen.text("disk") for seen in samples}) > 1:
        raise CannotJudgeError(f"{job.name}: which disk it writes to is not known")
    starts = evidence.select(Channel.WORKLOAD, "start")
    exits = evidence.select(Channel.WORKLOAD, "exit")
    samples = [
        s
        for s in samples
        if (not starts or s.t_ns >= starts[0].t_ns) and (not exits or s.t_ns <= exits[-1].t_ns)
    ]
    if len(samples) < 2:
        return []
    best = (samples[0].t_ns, samples[0].t_ns)
    changed, busy = samples[0], False
    for sample in samples[1:]:
        busy = busy or sample.integer("in_flight") > 0
        # A disk that is still busy at its last sample stands still until then.
        if busy and sample.t_ns - changed.t_ns > best[1] - best[0]:
            best = (changed.t_ns, sample.t_ns)
        if sample.integer("write_ios") != changed.integer("write_ios"):
            changed, busy = sample, False
    return [Stall(job.name, "progress", *best, judged=len(samples))]


def _progress(evidence: Evidence, lun: str | None) -> list[Seen]:
    return [
        seen
        for seen in evidence.select(Channel.PROGRESS, "io", source=evidence.scenario.initiator)
        if lun is None or seen.text("disk") == lun
    ]


def _stuck_since(evidence: Evidence) -> tuple[Seen, int] | None:
    """(the event, when the last write completed) of a workload that never ended.

    fio writes its log when a job ends, so a log is the proof that it did; an ``exit`` event may
    only say that nobody waited any longer.
    """
    stuck = evidence.select(Channel.WORKLOAD, "stuck")
    if not stuck:
        return None
    exited = any(seen.line > stuck[-1].line for seen in evidence.select(Channel.WORKLOAD, "exit"))
    if exited and all(_left_a_log(evidence, job) for job in evidence.scenario.jobs):
        return None
    last: dict[str, Seen] = {}
    changed_ns: dict[str, int] = {}
    for seen in _progress(evidence, None):
        disk, before = seen.text("disk"), last.get(seen.text("disk"))
        if before is not None and seen.integer("write_ios") != before.integer("write_ios"):
            changed_ns[disk] = seen.t_ns
        last[disk] = seen
    hanging = [t_ns for disk, t_ns in changed_ns.items() if last[disk].integer("in_flight") > 0]
    return stuck[-1], min(hanging or changed_ns.values(), default=stuck[-1].t_ns)


def _left_a_log(evidence: Evidence, job: Job) -> bool:
    if job.lat_log is None:
        return False
    path = evidence.path(job.lat_log)
    return path.exists() and path.stat().st_size > 0
