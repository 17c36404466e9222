"""The lost-write check on random histories, on fio's own output, and on clocks that mislead."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.checks.history import Fate, acknowledged, fates
from harness.checks.registry import CannotJudgeError
from harness.evidence.blocks import BLOCK_SIZE, Headers, read_headers
from harness.fio_parser import LOG_DTYPE, read_log, read_result
from tests.checks.fio_files import Write, log_row, reseal, stamped

if TYPE_CHECKING:
    import numpy.typing as npt

# fio of Debian 12 and of Debian 13 on a local file, job.fio.
FIO = tuple(Path(__file__).parent / "fixtures" / version for version in ("fio-3.33", "fio-3.39"))
BLOCKS = 24


def rows_of(writes: list[Write]) -> npt.NDArray[np.void]:
    rows = np.zeros(len(writes), dtype=LOG_DTYPE)
    for row, write in zip(rows, writes, strict=True):
        row["time_ms"], row["value"], row["offset"] = log_row(write)
    rows["ddir"], rows["block_size"] = 1, BLOCK_SIZE
    rng = np.random.default_rng(len(writes))
    shuffled: npt.NDArray[np.void] = rows[rng.permutation(len(rows))]
    return shuffled


def judged(
    writes: list[Write],
    on_disk: dict[int, Write | None] | None = None,
    records: npt.NDArray[np.void] | None = None,
    *,
    unacknowledged: bool = False,
) -> Fate:
    if records is None:
        records = stamped(writes, on_disk or {}, BLOCKS)
    history = acknowledged(rows_of(writes), BLOCK_SIZE, BLOCKS)
    return fates(history, Headers(BLOCK_SIZE, records), unacknowledged=unacknowledged)


@st.composite
def histories(draw: st.DrawFn) -> list[Write]:
    """Correct histories: one write outstanding per block, many at once; stalls; any rate."""
    seed = draw(st.integers(0, 2**32 - 1))
    count = draw(st.integers(30, 400))
    gap_s = draw(st.sampled_from([0.0005, 0.005, 0.05, 1.0]))
    latency_s = draw(st.sampled_from([0.0002, 0.003, 0.4]))
    periodic = draw(st.booleans())
    stalls = draw(st.integers(0, 2))
    rng = np.random.default_rng(seed)
    free = np.zeros(BLOCKS)
    now, writes = 1.0, []
    stalled = set(rng.integers(0, count, size=stalls).tolist())
    for n in range(count):
        now += gap_s if periodic else float(rng.exponential(gap_s))
        block = n % BLOCKS if periodic else int(rng.integers(0, BLOCKS))
        latency = latency_s * float(rng.uniform(0.5, 1.5)) + (30.0 if n in stalled else 0.0)
        # serialize_overlap: a write to a block begins after the one before it has ended
        now = max(now, float(free[block]) + 0.02)
        writes.append(Write(block, now, latency))
        free[block] = now + latency
    return writes


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(histories())
def test_a_correct_history_is_never_flagged(writes: list[Write]) -> None:
    fate = judged(writes)
    assert fate.lost.sum() == 0
    assert not fate.foreign.any()
    assert fate.worst_ns <= 1_500_000


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(histories(), st.data())
def test_a_dropped_last_write_is_always_flagged(writes: list[Write], data: st.DataObject) -> None:
    block = data.draw(st.sampled_from(sorted({w.block for w in writes})))
    mine = [w for w in writes if w.block == block]
    back = data.draw(st.integers(1, len(mine)))
    fate = judged(writes, {block: mine[-1 - back] if back < len(mine) else None})
    lost = dict(zip(fate.block.tolist(), fate.lost.tolist(), strict=True))
    assert lost.pop(block) == back
    assert set(lost.values()) <= {0}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(histories(), st.floats(0.1, 0.9))
def test_a_lost_burst_is_always_flagged(writes: list[Write], share: float) -> None:
    """Whatever was issued after a moment is gone, however much that is."""
    kept = writes[: max(int(len(writes) * share), 1)]
    on_disk: dict[int, Write | None] = dict.fromkeys(w.block for w in writes)
    on_disk |= {w.block: w for w in kept}
    fate = judged(writes, on_disk)
    assert fate.lost.sum() == len(writes) - len(kept)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(histories(), st.data())
def test_a_foreign_header_is_flagged_or_not_judged(
    writes: list[Write], data: st.DataObject
) -> None:
    block = data.draw(st.sampled_from(sorted({w.block for w in writes})))
    strange = Write(block, writes[-1].issue_s + 1000.0, 0.001)
    fate = judged(writes, {block: strange})
    assert fate.foreign.sum() == 1
    assert fate.lost.sum() == sum(w.block == block for w in writes)


def periodic_writes(rounds: int) -> list[Write]:
    """Every block in turn, exactly every 10 ms: offsets to earlier rounds fit just as well."""
    return [Write(n % BLOCKS, 1.0 + n * 0.01, 0.001) for n in range(rounds * BLOCKS)]


def test_a_periodic_workload_is_mapped_by_its_sequence_numbers() -> None:
    writes = periodic_writes(3)
    assert judged(writes).lost.sum() == 0
    lost_round: dict[int, Write | None] = {w.block: w for w in writes[BLOCKS : 2 * BLOCKS]}
    assert judged(writes, lost_round).lost.sum() == BLOCKS


def test_without_sequence_numbers_a_periodic_workload_cannot_be_judged() -> None:
    writes = periodic_writes(3)
    records = stamped(writes, {}, BLOCKS)
    records["numberio"] = 60000
    reseal(records)
    with pytest.raises(CannotJudgeError, match="fit equally well"):
        judged(writes, records=records)


def test_rivals_just_beyond_the_window_are_both_heard() -> None:
    """Rounds 20.15 ms apart, three headers left: found by hypothesis."""
    writes = [Write(n % BLOCKS, 1.0 + n // BLOCKS * 0.02015 + n % BLOCKS * 0.0005, 0.0002)
              for n in range(2 * BLOCKS)]  # fmt: skip
    on_disk: dict[int, Write | None] = dict.fromkeys(range(BLOCKS))
    on_disk |= {w.block: w for w in writes[:3]}
    assert judged(writes, on_disk).lost.sum() == 2 * BLOCKS - 3


def test_everything_lost_needs_no_clock() -> None:
    writes = periodic_writes(2)
    fate = judged(writes, dict.fromkeys(range(BLOCKS)))
    assert fate.lost.sum() == len(writes)
    assert fate.constant_ns is None


def test_writes_in_flight_together_may_land_in_either_order() -> None:
    rest = [Write(n % 20, 1.0 + n * 0.0137, 0.001) for n in range(100)]
    first, second = Write(22, 5.0, 1.0), Write(22, 5.5, 0.1)
    writes = [*rest, first, second]
    assert judged(writes, {22: first}).lost.sum() == 0
    assert judged(writes, {22: second}).lost.sum() == 0
    assert judged(writes, {22: None}).lost.sum() == 2


def test_a_later_write_without_acknowledgement_may_be_there() -> None:
    writes = [Write(n % 20, 1.0 + n * 0.0137, 0.001) for n in range(100)]
    later = Write(3, 60.0, 0.001)
    fate = judged(writes, {3: later}, unacknowledged=True)
    assert (fate.lost.sum(), fate.pending.sum()) == (0, 1)
    zombie = Write(3, 0.5, 0.001)  # issued before the last acknowledged one
    assert judged(writes, {3: zombie}, unacknowledged=True).lost.sum() == 5


def test_two_writes_within_the_tolerance_are_counted_as_ambiguous() -> None:
    rest = [Write(n % 20, 1.0 + n * 0.0137, 0.001) for n in range(100)]
    close = [Write(22, 5.0, 0.001), Write(22, 5.003, 0.001)]
    assert judged([*rest, *close]).ambiguous.sum() == 1


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [("offset", -1, "without offset"), ("offset", 100, "unaligned"), ("block_size", 8192, "4096"),
     ("offset", BLOCKS * BLOCK_SIZE, "outside"), ("value", -5, "negative")],
)  # fmt: skip
def test_rows_that_cannot_be(field: str, value: int, message: str) -> None:
    rows = rows_of(periodic_writes(1))
    rows[field][3] = value
    with pytest.raises(CannotJudgeError, match=message):
        acknowledged(rows, BLOCK_SIZE, BLOCKS)


def _of_fio(folder: Path) -> tuple[Any, Headers]:
    headers = read_headers(folder / "lun1.headers.bin")
    rows = read_log(folder / "raw1_lat.1.log").rows
    assert len(rows) == read_result(folder / "raw1.json").job("raw1").write.total_ios
    return acknowledged(rows, BLOCK_SIZE, len(headers.records)), headers


@pytest.mark.parametrize("fio", FIO, ids=lambda path: path.name)
def test_what_fio_wrote_is_all_there(fio: Path) -> None:
    assert read_result(fio / "raw1.json").version == fio.name
    writes, headers = _of_fio(fio)
    fate = fates(writes, headers, unacknowledged=False)
    assert (fate.lost.sum(), len(fate.block), fate.agreeing) == (0, 64, 1.0)
    assert fate.worst_ns < 1_000_000


@pytest.mark.parametrize("fio", FIO, ids=lambda path: path.name)
def test_an_old_block_of_fio_is_flagged(fio: Path) -> None:
    """The header of an earlier write of block 9, as fio would have left it."""
    writes, headers = _of_fio(fio)
    fate = fates(writes, headers, unacknowledged=False)
    assert fate.constant_ns is not None
    index = np.flatnonzero(writes.block == 9)
    records = headers.records.copy()
    old_ns = int(writes.issue_ns[index[-3]]) + fate.constant_ns
    records["time_sec"][9], records["time_nsec"][9] = divmod(old_ns, 10**9)
    reseal(records)
    lost = fates(writes, Headers(BLOCK_SIZE, records), unacknowledged=False)
    assert (lost.lost[9], lost.lost.sum()) == (2, 2)
