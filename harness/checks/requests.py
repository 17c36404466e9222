"""Block requests of the initiator's kernel: what it was asked, and what it was answered."""

from __future__ import annotations

import errno
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harness.checks.filejob import against_the_trace
from harness.checks.history import LATE_NS, TOLERANCE_NS, Writes, acknowledged
from harness.checks.jobs import has_workload, headers_of, log_rows, result_of
from harness.checks.moments import in_time
from harness.checks.registry import (
    MAX_LISTED,
    CannotJudgeError,
    Finding,
    check,
    doubting,
    found,
    remember,
)
from harness.checks.verdict import Verdict
from harness.evidence.blocks import BLOCK_SIZE
from harness.evidence.timeline import Channel
from harness.history.model import NEVER

if TYPE_CHECKING:
    import numpy.typing as npt

    from harness.evidence.model import Evidence, Job, Seen

_SECTORS = BLOCK_SIZE // 512
_NOT_KNOWN = (errno.EOPNOTSUPP, errno.EREMOTEIO)  # of BLK_STS_NOTSUPP, BLK_STS_TARGET


@dataclass(slots=True)
class Request:
    """One request, from its first issue to its last answer.

    Attributes:
        disk: "major:minor".
        op: "read", "write", "flush" or "other".
        fua: written through.
        sector, sectors: where, in sectors of 512 bytes.
        issue_ns: first issue, on the initiator's wall clock.
        issued: where the timeline tells of it.
        issues: how often it was issued; the kernel issues it again when a session is back.
        done_ns: last answer; None where there was none.
        answered: where the timeline tells of that.
        error: negative errno, 0 for success; None where there was no answer.
        taken_back: the block layer has it back and did not issue it again yet.
    """

    disk: str
    op: str
    fua: bool
    sector: int
    sectors: int
    issue_ns: int
    issued: Seen
    issues: int = 1
    done_ns: int | None = None
    answered: Seen | None = None
    error: int | None = None
    taken_back: bool = False

    @property
    def end(self) -> int:
        """The sector behind its last one."""
        return self.sector + self.sectors

    @property
    def succeeded(self) -> bool:
        """Whether it was answered, and without an error."""
        return self.done_ns is not None and not self.error

    def __str__(self) -> str:
        return f"{self.op} of {self.sectors} sectors at {self.sector} of {self.disk}"


@dataclass(frozen=True, slots=True)
class Requests:
    """All of a scenario.

    Attributes:
        all: in order of their first issue.
        strangers: answers to what was never seen to be issued.
        refused: errors for what was never issued at all: the disk is offline.
    """

    all: tuple[Request, ...]
    strangers: tuple[Seen, ...]
    refused: tuple[Seen, ...]


@remember
def requests_of(evidence: Evidence) -> Requests:
    """Pair issues, requeues and answers.

    A request is known by disk, operation, sector and length: two reads of one sector may be under
    way at once, one longer than the other. An issue of one that is under way is the same one
    again, also if it had been taken back (block_rq_requeue) and others were merged into it since.
    An answer to its first part only leaves the rest of it under way. One for no sector at all is no
    answer, but for a flush: the SCSI layer is about to try again, or the flush around a write is
    over (blk_update_request() of block/blk-mq.c, scsi_io_completion() of drivers/scsi/scsi_lib.c).
    """
    under_way: defaultdict[tuple[str, str, int], list[Request]] = defaultdict(list)
    everything: list[Request] = []
    strangers: list[Seen] = []
    refused: list[Seen] = []
    events = evidence.select(
        Channel.BLOCK, "issue", "complete", "requeue", source=evidence.scenario.initiator
    )
    for seen in events:
        kind, data = seen.event.kind, seen.event.data
        key = (seen.text("disk"), seen.text("op"), seen.integer("sector"))
        sectors, now = seen.integer("sectors"), seen.integer("guest_ns")
        end, there = key[2] + sectors, under_way[key]
        request = next((one for one in there if one.end == end), None)
        if kind == "requeue":
            if request is not None:
                request.taken_back = True
        elif kind == "issue":
            request = request or next((one for one in there if one.taken_back), None)
            if request is not None:
                request.issues += 1
                request.taken_back = False
                continue
            request = Request(*key[:2], bool(data.get("fua")), key[2], sectors, now, seen)
            there.append(request)
            everything.append(request)
        elif not there and seen.integer("error"):
            # scsi_queue_rq() of scsi_lib.c: the disk is offline, nothing was issued.
            refused.append(seen)
        elif not sectors and key[1] != "flush":
            continue  # no answer to anything
        elif not there:
            strangers.append(seen)
        else:
            # Not as long as any: rather the first part of a longer one.
            request = request or max(there, key=lambda one: one.end)
            there[:] = [one for one in there if one is not request]
            request.error = request.error or seen.integer("error")
            if end < request.end and sectors:
                under_way[key[0], key[1], end].append(request)
            else:
                request.done_ns, request.answered = now, seen
    return Requests(tuple(everything), tuple(strangers), tuple(refused))


def disks_of(evidence: Evidence) -> dict[str, str]:
    """The disk of each LUN on the initiator, as "major:minor".

    Raises:
        CannotJudgeError: it was not asked (then), or a LUN came back as another disk.
    """
    found_disks: dict[str, str] = {}
    for when in ("before", "after"):
        sample = evidence.latest("disks", when).get(evidence.scenario.initiator)
        if sample is None or not isinstance(sample.value, dict):
            raise CannotJudgeError(f"which disks the LUNs are was not asked {when} the fault")
        in_time(evidence, sample)
        told = {str(lun): str(disk) for lun, disk in sample.value.items()}
        if found_disks and told != found_disks:
            raise CannotJudgeError(f"the LUNs were {found_disks} and became {told}")
        found_disks = told
    return found_disks


@check("device-identity", "Each LUN is the same device before and after", applies=has_workload)
def device_identity(evidence: Evidence) -> Finding:
    """Whichever node serves, a LUN identifies itself to the initiator in the same way.

    The device identification (SPC-4, page 83h) is what multipath, cluster software and file
    systems know a disk by. If it differs by node, a failover gives the initiator another disk
    under an open file system, or none. It is asked anew of the target before and after. Two LUNs
    that identify themselves alike are one disk to all of these.
    """
    told: dict[str, dict[str, object]] = {}
    refs: list[str] = []
    for when in ("before", "after"):
        sample = evidence.latest("identities", when).get(evidence.scenario.initiator)
        if sample is None or not isinstance(sample.value, dict):
            raise CannotJudgeError(f"how the LUNs identify themselves was not asked {when}")
        told[when] = in_time(evidence, sample).value
        refs.append(sample.seen.ref)
        silent = sorted(set(evidence.scenario.luns) - set(sample.value))
        if when == "before" and silent:
            raise CannotJudgeError(f"{', '.join(silent)} did not identify itself before")
    problems = [
        f"{lun}: {told['before'].get(lun, 'no answer')} before, "
        f"{told['after'].get(lun, 'no answer')} after"
        for lun in evidence.scenario.luns
        if told["before"].get(lun) != told["after"].get(lun) or not told["after"].get(lun)
    ]
    for when, by_lun in told.items():
        luns_by: dict[object, list[str]] = {}
        for lun in evidence.scenario.luns:
            if lun in by_lun:
                luns_by.setdefault(by_lun[lun], []).append(lun)
        problems += [
            f"{' and '.join(luns)} are both {identity} {when}"
            for identity, luns in luns_by.items()
            if len(luns) > 1
        ]
    return found(
        problems,
        expected="the same identification before and after, and each its own",
        fine=f"{len(evidence.scenario.luns)} LUNs identify themselves as before",
        operations=len(evidence.scenario.luns),
        evidence=refs,
    )


@check(
    "block-requests", "The initiator's kernel was answered, and agrees with fio",
    applies=has_workload,
)  # fmt: skip
def block_requests(evidence: Evidence) -> Finding:
    """Every read, write and flush of a LUN was answered without error; raw jobs' are fio's own.

    fio's logs lack what failed and whatever precedes a hang; the tracepoints of the initiator's
    kernel (block_rq_issue, block_rq_complete: include/trace/events/block.h) tell of both. An
    answer with an error is one that the SCSI layer no longer tries again; it is INVALID, as is a
    request that nobody has answered when the workload is over. And the two witnesses must agree:
    per block as many successful writes as fio has acknowledgements, each within its
    acknowledgement's time (the log's clock is the trace's); of a job that writes to a file at least
    as many (harness.checks.filejob). Where they do not, one of the histories is not complete:
    INCONCLUSIVE, unless fio died of an error and left no log of what was under way.

    What neither reads, writes nor flushes but has a place on the disk (a discard, say) counts as
    well: a target may not know such a request (EOPNOTSUPP, EREMOTEIO), but must not fail in it.
    Commands that others send by themselves (udev's inquiries) have no place, and may fail.
    """
    disks = disks_of(evidence)
    requests = requests_of(evidence)
    problems: list[str] = []
    doubts: list[str] = []
    when: list[int] = []
    refs: list[str] = []
    luns = {disk: lun for lun, disk in disks.items()}
    of_luns = [r for r in requests.all if r.disk in luns and _of_the_disk(r.op, r.sectors)]
    for request in of_luns:
        if request.error and not (request.op == "other" and -request.error in _NOT_KNOWN):
            problems.append(f"{luns[request.disk]}: errno {-request.error} for a {request}")
        elif request.done_ns is None:
            problems.append(f"{luns[request.disk]}: no answer to a {request}")
        else:
            continue
        seen = request.answered or request.issued
        when.append(seen.t_ns)
        refs.append(seen.ref)
    for seen in requests.refused:
        # Of what was not issued the trace does not tell whether it has a place.
        if seen.text("disk") in luns and seen.text("op") != "other":
            error, lun = -seen.integer("error"), luns[seen.text("disk")]
            problems.append(f"{lun}: errno {error} for a {seen.text('op')} that was never issued")
            when.append(seen.t_ns)
            refs.append(seen.ref)
    strangers = [
        s for s in requests.strangers if s.text("disk") in luns and s.text("op") == "write"
    ]
    if strangers:
        doubts.append(f"{len(strangers)} answers to writes that were not seen to be issued")
        refs += [seen.ref for seen in strangers[:MAX_LISTED]]
    compared = 0
    for job in evidence.scenario.jobs:
        compare = _against_the_log if job.kind == "raw" else against_the_trace
        with doubting(doubts, job.name, evidence):
            count, texts = compare(evidence, job, disks, of_luns)
            compared += count
            doubts += texts
    again = sum(request.issues > 1 for request in of_luns)
    return found(
        problems or doubts,
        otherwise=Verdict.INVALID if problems else Verdict.INCONCLUSIVE,
        expected="an answer without error to every request, and fio's acknowledgements among them",
        fine=f"{len(of_luns)} requests answered ({again} issued again), {compared} of them fio's",
        operations=len(of_luns),
        when_ns=when,
        evidence=refs,
        details={"requests": len(of_luns), "issued_again": again, "compared": compared},
    )


def _of_the_disk(operation: str, sectors: int) -> bool:
    """Whether a request is one of the disk's blocks, not a command that somebody sent by himself.

    blk_rq_trace_nr_sectors() of include/linux/blktrace_api.h: such a command is traced with none.
    """
    return operation != "other" or sectors > 0


def _against_the_log(
    evidence: Evidence, job: Job, disks: dict[str, str], requests: list[Request]
) -> tuple[int, list[str]]:
    """How many writes of a job were compared, and what does not agree."""
    rows = log_rows(evidence, job)
    if rows is None:
        raise CannotJudgeError("no latency log")
    if job.lun is None or job.lun not in disks:
        raise CannotJudgeError(f"{job.lun} is no disk of the initiator")
    logged = acknowledged(rows, job.block_size, len(headers_of(evidence, job).records))
    mine = [r for r in requests if r.disk == disks[job.lun] and r.op == "write"]
    block, issue, done, _fua = expand([r for r in mine if r.succeeded])
    texts: list[str] = []
    counts = np.zeros(1 + int(max(block.max(initial=0), logged.block.max(initial=0))), np.int64)
    np.add.at(counts, logged.block, 1)
    np.subtract.at(counts, block, 1)
    died = result_of(evidence, job).error != 0
    for sign, text in ((1, "acknowledged writes without a request"),
                       (-1, "answered writes that fio did not log")):  # fmt: skip
        blocks = np.flatnonzero(counts * sign > 0)
        if len(blocks) and not (sign < 0 and died):
            number = int(np.abs(counts[blocks]).sum())
            texts.append(f"{job.name}: {number} {text}, first in block {int(blocks[0])}")
    if not texts and not died:
        texts += _times(job, logged, issue, done)
    return len(logged.block), texts


def expand(requests: list[Request]) -> tuple[npt.NDArray[np.int64], ...]:
    """(block, issue, done, fua) of every block that requests cover, sorted by block and issue.

    ``done`` is NEVER where there was no answer.
    """
    if not requests:
        return tuple(np.empty(0, dtype=np.int64) for _ in range(4))
    table = [
        (block, r.issue_ns, int(NEVER) if r.done_ns is None else r.done_ns, int(r.fua))
        for r in requests
        for block in range(r.sector // _SECTORS, -(-r.end // _SECTORS))
    ]
    return tuple(np.array(sorted(table), dtype=np.int64).T)


def _times(
    job: Job, logged: Writes, issue: npt.NDArray[np.int64], done: npt.NDArray[np.int64]
) -> list[str]:
    """Acknowledgements whose request lies outside of them; both are sorted alike."""
    # fio logs late, never early (LATE_NS): its issue time may be that much too late.
    outside = (issue < logged.issue_ns - LATE_NS - TOLERANCE_NS) | (
        done > logged.done_ns + TOLERANCE_NS
    )
    if not outside.any():
        return []
    first = int(np.argmax(outside))
    return [
        f"{job.name}: {int(outside.sum())} acknowledgements do not enclose their request, first "
        f"in block {int(logged.block[first])}"
    ]
