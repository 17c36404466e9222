"""The database: what goes in comes out, one writer, older schemas, and files that are none."""

from __future__ import annotations

import dataclasses
import sqlite3
from typing import TYPE_CHECKING

import pytest

from harness.errors import ExitCode, HarnessError
from harness.report.trend import store as storing
from harness.report.trend.model import CheckLine
from harness.report.trend.store import opened
from tests.trend.build import INVALID, VALID, line, run_line

if TYPE_CHECKING:
    from pathlib import Path

WHOLE = run_line(
    1,
    line(
        "power off",
        INVALID,
        attempts=(INVALID, VALID),
        phases={"detected": 3.5, "promoted": 12.25},
        fencings=1,
        writes=1810,
        seconds=140.5,
        why="8 are lost",
        checks=(CheckLine("lost-writes", INVALID, "8 are lost"), CheckLine("stall", VALID)),
    ),
    line("left alone", stall_s=None, bound_s=None, failovers=None),
    seed=2**80,
    verdict=INVALID,
)


def test_what_goes_in_comes_out(tmp_path: Path) -> None:
    path = tmp_path / "trend.sqlite"
    other = run_line(0, line("power off"))
    with opened(path) as store, store.writing():
        store.put(WHOLE)
        store.put(other)
    with opened(path) as store:
        assert store.runs() == [other, WHOLE], "the oldest first"
        assert store.digests() == {(run.name, run.started_ns): run.digest for run in (other, WHOLE)}


def test_a_run_that_was_judged_again_takes_its_place(tmp_path: Path) -> None:
    path = tmp_path / "trend.sqlite"
    again = dataclasses.replace(WHOLE, digest="other", scenarios=(line("power off"),))
    with opened(path) as store:
        for run in (WHOLE, again):
            with store.writing():
                store.put(run)
        assert store.runs() == [again]
    rows = sqlite3.connect(path).execute("SELECT count(*) FROM check_result").fetchone()
    assert rows == (0,), "nothing is left of the rows before"


def test_all_of_a_run_or_nothing(tmp_path: Path) -> None:
    path = tmp_path / "trend.sqlite"
    broken = dataclasses.replace(WHOLE, scenarios=(line("a"), line("a")))
    with opened(path) as store, store.writing():
        store.put(WHOLE)
    with pytest.raises(HarnessError), opened(path) as store, store.writing():
        store.put(broken)
    with opened(path) as store:
        assert store.runs() == [WHOLE]


def test_an_older_schema_is_migrated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "trend.sqlite"
    with opened(path) as store, store.writing():
        store.put(WHOLE)
    newer = (*storing.MIGRATIONS, "ALTER TABLE run ADD COLUMN note TEXT NOT NULL DEFAULT 'x'")
    monkeypatch.setattr(storing, "MIGRATIONS", newer)
    with opened(path) as store:
        assert store.runs() == [WHOLE]
    database = sqlite3.connect(path)
    assert database.execute("SELECT note FROM run").fetchall() == [("x",)]
    assert database.execute("PRAGMA user_version").fetchone() == (len(newer),)


def test_a_migration_that_fails_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "trend.sqlite"
    with opened(path) as store, store.writing():
        store.put(WHOLE)
    before = path.read_bytes()
    bad = (*storing.MIGRATIONS, "ALTER TABLE run ADD COLUMN note TEXT; nonsense")
    monkeypatch.setattr(storing, "MIGRATIONS", bad)
    with pytest.raises(HarnessError), opened(path):
        pass
    monkeypatch.undo()
    with opened(path) as store:
        assert store.runs() == [WHOLE]
    assert path.read_bytes() == before


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "trend.sqlite"
    with opened(path):
        pass
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(HarnessError, match="newer harness") as raised, opened(path):
        pass
    assert raised.value.hint


def test_a_foreign_database_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "trend.sqlite"
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE run (id INTEGER)")
    database.close()
    before = path.read_bytes()
    with pytest.raises(HarnessError, match="something else"), opened(path):
        pass
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"not a database" * 100, None])
def test_a_damaged_one_is_one_line_with_a_hint(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "trend.sqlite"
    if content is None:
        with opened(path) as store, store.writing():
            store.put(WHOLE)
        whole = path.read_bytes()
        content = whole[:4096] + b"\xff" * (len(whole) - 4096)
    path.write_bytes(content)
    with pytest.raises(HarnessError, match="damaged") as raised, opened(path) as store:
        store.runs()
    assert "\n" not in str(raised.value)
    assert "makes a new one" in raised.value.hint
    assert raised.value.exit_code is ExitCode.HARNESS_ERROR


def test_a_row_of_something_else_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "trend.sqlite"
    with opened(path) as store, store.writing():
        store.put(WHOLE)
    database = sqlite3.connect(path)
    database.execute("UPDATE scenario SET verdict = 'PERHAPS'")
    database.commit()
    database.close()
    with pytest.raises(HarnessError, match="damaged"), opened(path) as store:
        store.runs()


def test_one_writer_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "trend.sqlite"
    monkeypatch.setattr(storing, "_WAIT_S", 0.05)
    with opened(path) as first, first.writing():
        # Before anything is written: what one reads to decide by must hold while it writes.
        with (
            pytest.raises(HarnessError, match="being written by another") as raised,
            opened(path) as second,
            second.writing(),
        ):
            pass
        first.put(WHOLE)
    assert raised.value.hint
    with opened(path) as store:
        assert store.runs() == [WHOLE]


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    with (
        pytest.raises(HarnessError, match="cannot be written") as raised,
        opened(tmp_path / "gone" / "trend.sqlite"),
    ):
        pass
    assert "rights" in raised.value.hint
