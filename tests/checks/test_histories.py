"""Histories put together from fio's log, the kernel's requests, stamps and replicas."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from harness.checks import Verdict, judge_one
from harness.checks.histories import history_of
from harness.checks.registry import CannotJudgeError
from harness.checks.requests import requests_of
from harness.drbd_metadata import Flags
from harness.evidence.model import Evidence
from harness.history.model import NEVER, Kind, Outcome
from harness.history.sweep import sweep
from harness.history.zones import zones
from tests.checks.build import DISKS, Folder, healthy
from tests.checks.fio_files import OFFSET_NS, Write, stamp
from tests.checks.planting import INVALID, with_samples

if TYPE_CHECKING:
    from pathlib import Path

    from harness.checks.requests import Request
    from harness.history.model import History


def of(folder: Folder, path: Path, name: str = "raw1") -> History:
    evidence = Evidence(folder.save(path))
    return history_of(evidence, next(j for j in evidence.scenario.jobs if j.name == name))


def traced(
    f: Folder, t_s: float, kind: str, block: int, *, error: int | None = None, op: str = "write"
) -> None:
    more = {} if error is None else {"error": error}
    f.add(
        t_s, "client", "block", kind, disk=DISKS["lun1"], op=op, fua=False, sector=8 * block,
        sectors=8, guest_ns=stamp(t_s) + OFFSET_NS, **more,
    )  # fmt: skip


def test_everything_is_in_it(tmp_path: Path) -> None:
    folder = healthy()
    history = of(folder, tmp_path)
    writes = history.kind == Kind.WRITE
    logged = folder.writes["raw1"]
    assert int(writes.sum()) == len(logged)
    assert len(history) - len(logged) == 3 * len({w.block for w in logged})
    assert (history.outcome == Outcome.ACKNOWLEDGED).all()
    assert (history.wrote >= 0).all()
    # On the run's clock, as the kernel saw it.
    first = min(logged, key=lambda w: w.issue_s)
    assert abs(int(history.issue_ns.min()) - stamp(first.issue_s + 0.0002)) < 1_000_000
    assert sweep(history).total == zones(history).total == 0
    assert sweep(history).operations == len(history)


def test_a_write_that_failed_may_be_on_the_disk(tmp_path: Path) -> None:
    """fio did not log it; the kernel was told of an error, and the stamp is its."""
    folder = healthy()
    late = Write(7, 82.0, 0.5)
    folder.on_disk["raw1"] = {7: late}
    traced(folder, 82.0, "issue", 7)
    traced(folder, 82.5, "complete", 7, error=-5)
    history = of(folder, tmp_path)
    (failed,) = np.flatnonzero(history.outcome == Outcome.FAILED)
    reads = np.flatnonzero((history.block == 7) & (history.kind == Kind.READ))
    assert (history.wrote[reads] == failed).all()
    assert sweep(history).total == zones(history).total == 0


def test_a_write_that_was_never_answered(tmp_path: Path) -> None:
    folder = healthy()
    traced(folder, 82.0, "issue", 7)
    history = of(folder, tmp_path)
    (unknown,) = np.flatnonzero(history.outcome == Outcome.UNKNOWN)
    assert history.done_ns[unknown] == NEVER
    assert zones(history).total == 0


def test_flushes(tmp_path: Path) -> None:
    folder = healthy()
    for t_s, op, kind in ((30.0, "flush", "issue"), (30.2, "flush", "complete")):
        folder.add(t_s, "client", "block", kind, disk=DISKS["lun1"], op=op, fua=False, sector=0,
                   sectors=0, guest_ns=stamp(t_s) + OFFSET_NS, error=0)  # fmt: skip
    flushes = of(folder, tmp_path).flushes
    assert len(flushes.issue_ns) == 1
    assert int(flushes.done_ns[0] - flushes.issue_ns[0]) == pytest.approx(2e8, abs=1e6)


def test_a_request_in_two_answers_that_was_issued_twice(tmp_path: Path) -> None:
    folder = healthy()
    more = {"disk": "8:64", "op": "write", "fua": False, "guest_ns": 1}
    for t_s, kind, sector, sectors in (
        (10, "issue", 0, 64), (11, "requeue", 0, 64), (12, "issue", 0, 64),
        (13, "complete", 0, 24), (14, "complete", 24, 40),
    ):  # fmt: skip
        folder.add(t_s, "client", "block", kind, sector=sector, sectors=sectors, error=0, **more)
    found = [r for r in requests_of(Evidence(folder.save(tmp_path))).all if r.disk == "8:64"]
    assert [(r.issues, r.error, r.done_ns) for r in found] == [(2, 0, 1)]


def told(folder: Folder, path: Path, op: str, *lines: tuple[str, int, int, int]) -> list[Request]:
    """Requests of a trace: kind, sector, sectors and error of each line, 0.1 s apart."""
    for number, (kind, sector, sectors, error) in enumerate(lines, start=1):
        folder.add(
            number / 10, "client", "block", kind, disk="8:64", op=op, fua=False, sector=sector,
            sectors=sectors, guest_ns=number, error=error,
        )  # fmt: skip
    found = requests_of(Evidence(folder.save(path)))
    assert (found.strangers, found.refused) == ((), ())
    return [request for request in found.all if request.disk == "8:64"]


def test_two_reads_of_one_sector_are_told_apart_by_their_length(tmp_path: Path) -> None:
    short, long = told(
        healthy(), tmp_path, "read",
        ("issue", 16, 8, 0), ("issue", 16, 64, 0), ("requeue", 16, 64, 0), ("issue", 16, 64, 0),
        ("complete", 16, 64, 0), ("complete", 16, 8, -5),
    )  # fmt: skip
    assert (short.sectors, short.issues, short.done_ns, short.error) == (8, 1, 6, -5)
    assert (long.sectors, long.issues, long.done_ns, long.error) == (64, 2, 5, 0)


def test_the_first_part_of_the_longer_of_two_reads(tmp_path: Path) -> None:
    short, long = told(
        healthy(), tmp_path, "read",
        ("issue", 0, 8, 0), ("issue", 0, 64, 0), ("complete", 0, 24, 0), ("requeue", 24, 40, 0),
        ("issue", 24, 40, 0), ("complete", 0, 8, 0), ("complete", 24, 40, 0),
    )  # fmt: skip
    assert (short.issues, short.done_ns) == (1, 6)
    assert (long.issues, long.done_ns) == (2, 7)


def test_a_request_that_grew_while_it_was_taken_back_is_the_same(tmp_path: Path) -> None:
    (request,) = told(
        healthy(), tmp_path, "write",
        ("issue", 0, 8, 0), ("requeue", 0, 8, 0), ("issue", 0, 16, 0), ("complete", 0, 16, 0),
    )  # fmt: skip
    assert (request.issues, request.done_ns, request.error) == (2, 4, 0)


def test_an_answer_for_nothing_is_none(tmp_path: Path) -> None:
    """The SCSI layer tells of the error with which it takes a request back, and tries again."""
    folder = healthy()
    more = {"disk": "8:64", "op": "write", "fua": False, "guest_ns": 1, "sector": 0}
    folder.add(10, "client", "block", "issue", sectors=8, **more)
    folder.add(11, "client", "block", "complete", sectors=0, error=-5, **more)
    folder.add(12, "client", "block", "issue", sectors=8, **more)
    folder.add(13, "client", "block", "complete", sectors=8, error=0, **more)
    found = [r for r in requests_of(Evidence(folder.save(tmp_path))).all if r.disk == "8:64"]
    assert [(r.issues, r.error) for r in found] == [(2, 0)]


def test_a_lun_that_fio_and_the_kernel_tell_apart(tmp_path: Path) -> None:
    folder = healthy()
    folder.writes["raw1"].pop(5)
    with pytest.raises(CannotJudgeError, match="other writes than the kernel"):
        of(folder, tmp_path)


def _old_on_alpha(folder: Folder, path: Path) -> Path:
    """The initiator reads the newest write of block 9, alpha's backing disk has an older one."""
    own = sorted((w for w in folder.writes["raw1"] if w.block == 9), key=lambda w: w.issue_s)
    older = healthy()
    older.on_disk["raw1"] = {9: own[-2]}
    stale = Evidence(older.save(path / "older"))
    target = folder.save(path / "e")
    headers = stale.path("replicas/r1.alpha.headers.bin").read_bytes()
    (target / "replicas/r1.alpha.headers.bin").write_bytes(headers)
    return target


def test_an_old_block_on_one_replica_alone(tmp_path: Path) -> None:
    """It is connected and up to date; that bravo's activity log has all blocks excuses nothing."""
    target = _old_on_alpha(with_samples(healthy()), tmp_path)
    result = judge_one(target, "linearizable")
    assert result.verdict is INVALID
    assert "block 9: a read returned an older write" in result.seen
    assert judge_one(target, "lost-writes").verdict is not INVALID


def _apart(
    f: Folder, *, alpha: Flags = Flags.WAS_UP_TO_DATE, bravo: Flags, pending: tuple[int, int]
) -> None:
    """Not connected, by disks and nodes: what else the flags say, what a resync would copy."""
    for node, flags in (("alpha", alpha), ("bravo", bravo | Flags.WAS_UP_TO_DATE)):
        f.value("drbd", "after", node)["r1"]["cs"] = "WFConnection"
        facts = f.facts["r1", node]
        f.facts["r1", node] = replace(facts, flags=Flags.CONSISTENT | flags, may_differ=())
    f.facts["r1", "bravo"] = replace(f.facts["r1", "bravo"], may_differ=(pending,))


@pytest.mark.parametrize(
    ("alpha", "bravo", "pending", "verdict"),
    [
        (Flags.WAS_UP_TO_DATE, Flags.PEER_OUTDATED, (8, 4), Verdict.VALID),  # by its peer's word
        (Flags(0), Flags(0), (8, 4), Verdict.VALID),  # by its own
        (Flags.WAS_UP_TO_DATE, Flags.PEER_OUTDATED, (20, 4), INVALID),  # nothing would copy it
        (Flags.WAS_UP_TO_DATE, Flags(0), (8, 4), INVALID),  # it may serve next
    ],
)
def test_an_old_block_on_a_replica_that_is_apart(
    tmp_path: Path, alpha: Flags, bravo: Flags, pending: tuple[int, int], verdict: Verdict
) -> None:
    folder = healthy()
    _apart(folder, alpha=alpha, bravo=bravo, pending=pending)
    target = _old_on_alpha(folder, tmp_path)
    assert judge_one(target, "linearizable").verdict is verdict


def test_a_replica_without_metadata_is_a_reader(tmp_path: Path) -> None:
    folder = healthy()
    del folder.facts["r1", "bravo"]
    assert judge_one(_old_on_alpha(folder, tmp_path), "linearizable").verdict is INVALID


def test_what_the_initiator_reads_is_judged_on_replicas_apart_as_well(tmp_path: Path) -> None:
    """All three read an older write; the one that is outdated is left out, the others are not."""
    folder = healthy()
    _apart(folder, bravo=Flags.PEER_OUTDATED, pending=(0, 64))
    own = sorted((w for w in folder.writes["raw1"] if w.block == 9), key=lambda w: w.issue_s)
    folder.on_disk["raw1"] = {9: own[-2]}
    target = folder.save(tmp_path)
    assert judge_one(target, "linearizable").verdict is INVALID
    assert judge_one(target, "lost-writes").verdict is INVALID
