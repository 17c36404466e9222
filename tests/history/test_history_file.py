"""The file format: what is written is read back, and anything else is refused."""

from __future__ import annotations

import contextlib
import itertools
import json
import random
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.history import store
from harness.history.model import NEVER, Flushes, History, HistoryError, Kind, Outcome
from tests.history import scenes

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def history() -> History:
    ops = scenes.many(scenes.right_block, random.Random(7), 50)
    flushes = Flushes(np.array([5, 9]), np.array([8, int(NEVER)]), np.array([0, 2], dtype=np.uint8))
    return scenes.history(ops, uncertainty=3, flushes=flushes)


def same(one: History, other: History) -> bool:
    columns = ("block", "kind", "outcome", "flags", "wrote", "issue_ns", "done_ns")
    return (
        all(np.array_equal(getattr(one, name), getattr(other, name)) for name in columns)
        and np.array_equal(one.flushes.issue_ns, other.flushes.issue_ns)
        and np.array_equal(one.flushes.outcome, other.flushes.outcome)
        and (one.block_size, one.uncertainty_ns) == (other.block_size, other.uncertainty_ns)
    )


def test_what_is_written_is_read_back(history: History, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "lun1.history.npz"
    store.save(history, path)
    assert same(store.load(path), history)
    assert [found.name for found in path.parent.iterdir()] == [path.name]


def test_an_empty_history_is_one(tmp_path: Path) -> None:
    empty = scenes.history([])
    store.save(empty, tmp_path / "h.npz")
    assert len(store.load(tmp_path / "h.npz")) == 0
    assert list(empty.chunks()) == []


@settings(
    max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(data=st.data())
def test_a_damaged_file_is_refused_or_the_same(
    data: st.DataObject, history: History, tmp_path: Path
) -> None:
    path = tmp_path / "h.npz"
    store.save(history, path)
    raw = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(raw) - 1))
    if data.draw(st.booleans()):
        raw[at] ^= data.draw(st.integers(1, 255))
    else:
        del raw[at:]
    path.write_bytes(raw)
    found = None
    with contextlib.suppress(HistoryError):
        found = store.load(path)
    # Some bytes say nothing, like a time stamp of the archive.
    assert found is None or same(found, history)


@settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(raw=st.binary(max_size=300))
def test_any_bytes_are_refused(raw: bytes, tmp_path: Path) -> None:
    path = tmp_path / "h.npz"
    path.write_bytes(raw)
    with pytest.raises(HistoryError):
        store.load(path)


def rewrite(path: Path, **changes: object) -> None:
    """The same file with another ``meta``, or with a column replaced or (None) left out."""
    with np.load(path) as archive:
        columns = {name: archive[name] for name in archive.files}
    meta = json.loads(columns["meta"].tobytes())
    for name, value in changes.items():
        if name in meta:
            meta[name] = value
        elif value is None:
            del columns[name]
        else:
            columns[name] = np.asarray(value)
    columns["meta"] = np.frombuffer(json.dumps(meta).encode(), dtype=np.uint8)
    np.savez(path, **columns)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"format": "a shopping list"}, "not a history"),
        ({"version": 99}, "version 99 of the format; this harness reads up to"),
        ({"version": "1"}, "version '1'"),
        ({"version": 0}, "version 0"),
        ({"block_size": 0}, "blocks of 0 bytes"),
        ({"uncertainty_ns": -1}, "uncertainty of -1 ns"),
        ({"done_ns": None}, "there is no done_ns"),
        ({"flush_done_ns": None}, "there is no flush_done_ns"),
        ({"block": np.zeros(3, np.uint8)}, "block is uint8"),
        ({"done_ns": np.zeros(3, np.int64)}, "done_ns has shape (3,)"),
        ({"flush_done_ns": np.zeros(1, np.int64)}, "different lengths"),
    ],
)
def test_what_is_wrong_is_named(
    changes: dict[str, object], says: str, history: History, tmp_path: Path
) -> None:
    path = tmp_path / "h.npz"
    store.save(history, path)
    rewrite(path, **changes)
    with pytest.raises(HistoryError) as refused:
        store.load(path)
    assert says in str(refused.value)


def test_an_older_version_is_migrated(
    history: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "h.npz"
    store.save(history, path)

    def from_current(meta: dict[str, object], columns: dict[str, np.ndarray]) -> None:
        meta["uncertainty_ns"] = 4
        columns["flags"] = columns["flags"] | 1

    monkeypatch.setitem(store.MIGRATIONS, store.VERSION, from_current)
    monkeypatch.setattr(store, "VERSION", store.VERSION + 1)
    found = store.load(path)
    assert found.uncertainty_ns == 4
    assert np.all(found.flags == history.flags | 1)


@pytest.mark.parametrize(
    ("op", "says"),
    [
        (scenes.Made(0, True, 0, 10, 5), "answered before it was issued"),
        (scenes.Made(0, False, -3, 10, 15), "a read names -3"),
        (scenes.Made(0, False, 7, 10, 15), "a read names operation 7"),
        (scenes.Made(1, False, 0, 10, 15), "another block|no write of its block"),
        (scenes.Made(0, False, 0, 10, 15, Outcome.FAILED), "returns nothing"),
        (scenes.Made(0, True, 1, 10, int(NEVER)), "unknown and answered"),
    ],
)
def test_operations_that_cannot_be(op: scenes.Made, says: str) -> None:
    first = scenes.Made(0, True, 0, 1, 2)
    with pytest.raises(HistoryError, match=says):
        scenes.history([first, op])


def test_order_and_places_are_checked(history: History) -> None:
    history.issue_ns[history.block == 0] = history.issue_ns[history.block == 0][::-1]
    history.block[0], history.block[-1] = history.block[-1], history.block[0]
    with pytest.raises(HistoryError, match="sorted"):
        history.check()


def test_chunks_are_whole_blocks_and_everything() -> None:
    ops = scenes.many(scenes.right_block, random.Random(8), 300)
    history = scenes.history(ops)
    for size in (1, 7, 100, 10**6):
        pieces = list(history.chunks(size))
        assert [pieces[0].start, pieces[-1].stop] == [0, len(history)]
        for one, other in itertools.pairwise(pieces):
            assert one.stop == other.start
            assert history.block[one.stop - 1] != history.block[other.start]
    assert len(list(history.chunks(1))) == 300
    assert int((history.kind == Kind.WRITE).sum()) > 300
