"""The ledger: what was judged, kept when the runs are not."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from harness.cli import app
from harness.errors import BadInputError
from harness.report.ledger import Line, needs_ledger, read_ledger, record
from harness.report.tally import Judged, judged_in
from harness.resuming import code_hash
from tests.report.test_tally import INCONCLUSIVE, INVALID, VALID, run

if TYPE_CHECKING:
    from pathlib import Path


class Of(Line):
    name: str
    value: int

    @property
    def key(self) -> tuple[object, ...]:
        return (self.name,)


A, B = Of(name="a", value=1), Of(name="b", value=2)


def test_what_is_there_is_not_added_again(tmp_path: Path) -> None:
    path = tmp_path / "below" / "ledger"
    assert read_ledger(path, Of) == []
    assert record(path, [A, A], Of) == [A]
    assert record(path, [A, B], Of) == [A, B] == read_ledger(path, Of)
    assert path.read_text().count("\n") == 2


def test_it_says_one_thing_of_one(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    record(path, [A], Of)
    before = path.read_bytes()
    with pytest.raises(BadInputError, match="says something else"):
        record(path, [Of(name="a", value=3)], Of)
    assert path.read_bytes() == before
    path.write_bytes(before * 2)
    with pytest.raises(BadInputError, match="line 2: it says a second time"):
        read_ledger(path, Of)


@pytest.mark.parametrize(
    "text", ["{", "[]", "", '{"name": "c"}', '{"name": "c", "value": 1, "more": 2}', "\ufeff"]
)
def test_a_line_that_is_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "ledger"
    record(path, [A], Of)
    path.write_text(path.read_text() + text + "\n")
    before = path.read_bytes()
    with pytest.raises(BadInputError, match="line 2"):
        record(path, [B], Of)
    assert path.read_bytes() == before


def test_a_line_that_a_kill_cut_is_told(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    record(path, [A, B], Of)
    path.write_text(path.read_text()[:-5])
    with pytest.raises(BadInputError, match="line 2") as raised:
        read_ledger(path, Of)
    assert "Remove that line" in raised.value.hint


def test_what_only_looks_like_an_end_of_line(tmp_path: Path) -> None:
    odd = Of(name="a\u2028b\x85c", value=1)
    record(tmp_path / "ledger", [odd, B], Of)
    assert read_ledger(tmp_path / "ledger", Of) == [odd, B]


def test_no_file_of_text(tmp_path: Path) -> None:
    (tmp_path / "ledger").write_bytes(b"\xff\xfe")
    with pytest.raises(BadInputError, match="cannot be read"):
        read_ledger(tmp_path / "ledger", Of)
    with pytest.raises(BadInputError, match="cannot be written"):
        record(tmp_path, [A], Of)
    with pytest.raises(BadInputError, match="cannot be written"):
        record(tmp_path / "ledger" / "below", [A], Of)
    with pytest.raises(BadInputError, match="there is no ledger"):
        needs_ledger(tmp_path / "none", Of)


def test_runs_add_up_that_are_not_here_any_more(tmp_path: Path) -> None:
    ledger, code = tmp_path / "ledger", code_hash()
    first = run(tmp_path / "1", {"Power": VALID, "Links": VALID}, 12.0, code)
    asked = ["tally", str(first), "--ledger", str(ledger), "--times"]
    assert CliRunner().invoke(app, [*asked, "1"]).exit_code == 0
    assert CliRunner().invoke(app, [*asked, "2"]).exit_code == 1
    shutil.rmtree(first)
    second = run(tmp_path / "2", {"Power": VALID, "Links": VALID}, 20.5, code)
    result = CliRunner().invoke(
        app, ["tally", str(second), "--ledger", str(ledger), "--times", "2"]
    )
    assert result.exit_code == 0, result.output
    assert "tcg: 2 runs" in result.output
    assert "12.0 to 20.5" in result.output
    table = CliRunner().invoke(app, ["tally", "--ledger", str(ledger), "--markdown"])
    assert "| Power | 2 VALID | 12.0, 16.2, 20.5 |" in table.output
    assert "average seconds" not in table.output
    result = CliRunner().invoke(app, ["tally", "--ledger", str(ledger), "--times", "2"])
    assert result.exit_code == 0, result.output
    third = run(tmp_path / "3", {"Power": INVALID}, 9.0, code)
    CliRunner().invoke(app, ["tally", str(third), "--ledger", str(ledger)])
    shutil.rmtree(third)
    # Once it is in the ledger, nothing makes it go away.
    assert CliRunner().invoke(app, ["tally", "--ledger", str(ledger)]).exit_code == 1
    assert len(read_ledger(ledger, Judged)) == 5


def test_other_code_is_kept_and_not_counted(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    old = run(tmp_path / "1", {"Power": INVALID}, code="01d")
    new = run(tmp_path / "2", {"Power": VALID}, code=code_hash())
    result = CliRunner().invoke(app, ["tally", str(old), "--ledger", str(ledger)])
    assert result.exit_code == 1
    assert "nothing was judged" in result.output
    result = CliRunner().invoke(app, ["tally", str(new), "--ledger", str(ledger)])
    assert result.exit_code == 0, result.output
    assert "not counted: what 1 other" in result.output
    assert len(read_ledger(ledger, Judged)) == 2


def test_what_has_no_verdict_is_a_note_not_a_line(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    folder = run(tmp_path / "1", {"Power": VALID, "Links": None}, code=code_hash())
    judged, _notes = judged_in([folder])
    assert {one.scenario: one.verdict for one in judged} == {"Power": VALID, "Links": INCONCLUSIVE}
    result = CliRunner().invoke(app, ["tally", str(folder), "--ledger", str(ledger)])
    assert result.exit_code == 1
    assert "no verdict that can be read" in result.output
    assert [one.scenario for one in read_ledger(ledger, Judged)] == ["Power"]


def test_nothing_asked(tmp_path: Path) -> None:
    assert CliRunner().invoke(app, ["tally"]).exit_code != 0
