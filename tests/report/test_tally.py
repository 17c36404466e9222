"""Runs added up: by code, and never more than was judged."""

from __future__ import annotations

import hashlib
import itertools
import json
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from harness import resuming
from harness.checks import CheckResult, ScenarioVerdict, Verdict, judge_and_keep
from harness.cli import app
from harness.evidence.files import write_json
from harness.lab.paths import PROJECT
from harness.report import texts
from harness.report.ledger import read_ledger
from harness.report.tally import CodeTally, Judged, judged_in, markdown_lines, tally_lines
from harness.report.tally import tally as tally_of
from harness.report.texts import Text, text_of
from tests.checks.build import healthy

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

VALID, INVALID, INCONCLUSIVE = Verdict.VALID, Verdict.INVALID, Verdict.INCONCLUSIVE
STARTS = itertools.count(1_700_000_000_000_000_000)


def tally(folders: Iterable[Path]) -> tuple[list[CodeTally], list[str]]:
    judged, notes = judged_in(folders)
    return tally_of(judged), notes


def run(
    folder: Path,
    verdicts: dict[str, Verdict | None],
    stall_s: float = 12.0,
    code: str = "c0de",
    **more: object,
) -> Path:
    (folder / "evidence").mkdir(parents=True)
    facts = {"code": code, "accelerator": "tcg", "command": "harness run", **more}
    (folder / "run.json").write_text(json.dumps(facts))
    for name, verdict in verdicts.items():
        evidence = folder / "evidence" / name.lower()
        evidence.mkdir()
        started_ns = next(STARTS)
        (evidence / "scenario.json").write_text(
            json.dumps({"name": name, "started_ns": started_ns, "gherkin": [name], "tags": []})
        )
        if verdict is not None:
            details = {"bound_s": 45.0, "per_job": [{"seconds": 3.0}, {"seconds": stall_s}]}
            check = CheckResult("stall", "t", verdict, "e", "s", operations=1, details=details)
            ScenarioVerdict(name.lower(), (check,)).save(evidence / "verdict.json")
    return folder


def test_runs_of_one_code(tmp_path: Path) -> None:
    first = run(tmp_path / "1", {"Power": VALID, "Links": VALID}, 12.0)
    second = run(tmp_path / "2", {"Power": VALID, "Links": VALID}, 20.5)
    (own,), notes = tally([first, second])
    assert not notes
    assert own.scenarios["Power"].verdicts == {VALID: 2}
    assert own.scenarios["Power"].stalls_s == [12.0, 20.5]
    assert own.all_valid(2)
    assert not own.all_valid(3)
    lines = tally_lines([own], notes)
    assert lines[0].startswith("code c0de, configuration ")
    assert lines[0].endswith(", tcg: 2 runs")
    assert "12.0 to 20.5" in lines[2]
    result = CliRunner().invoke(app, ["tally", str(first), str(second), "--times", "2"])
    assert result.exit_code == 0
    assert CliRunner().invoke(app, ["tally", str(first), "--times", "2"]).exit_code == 1


@pytest.mark.parametrize("bad", [INVALID, INCONCLUSIVE, None])
def test_anything_but_valid_counts(tmp_path: Path, bad: Verdict | None) -> None:
    folders = [run(tmp_path / "1", {"Power": VALID}), run(tmp_path / "2", {"Power": bad})]
    (own,), _notes = tally(folders)
    assert not own.all_valid(1)
    assert own.scenarios["Power"].runs == 2
    assert own.scenarios["Power"].verdicts[bad or INCONCLUSIVE] == 1
    assert CliRunner().invoke(app, ["tally", *map(str, folders)]).exit_code == 1


def test_another_code_is_never_added(tmp_path: Path) -> None:
    folders = [
        run(tmp_path / "1", {"Power": VALID}),
        run(tmp_path / "2", {"Power": VALID}, code="x"),
    ]
    found, _notes = tally(folders)
    assert [one.scenarios["Power"].runs for one in found] == [1, 1]
    result = CliRunner().invoke(app, ["tally", *map(str, folders)])
    assert result.exit_code == 1
    assert "not all runs are of the same code, configuration" in result.output


@pytest.mark.parametrize(
    "other", [{"config": {"drbd": {"protocol": "A"}}}, {"command": "harness run --max-stall 900"}]
)
def test_another_configuration_is_never_added(tmp_path: Path, other: dict[str, Any]) -> None:
    folders = [run(tmp_path / "1", {"P": VALID}), run(tmp_path / "2", {"P": INVALID}, **other)]
    found, _notes = tally(folders)
    assert [one.scenarios["P"].verdicts for one in found] == [{VALID: 1}, {INVALID: 1}]


def test_what_other_checks_judged_is_judged_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resuming, "CODES", tmp_path / "codes.json")
    folder = run(tmp_path / "1", {"Power": VALID, "Links": VALID, "Cut": VALID}, code="0ld")
    two_primaries = healthy()
    two_primaries.role(70, "alpha", "Primary", boot="2")
    whole = two_primaries.save(folder / "evidence/whole")
    check = CheckResult("stall", "t", VALID, "e", "as others saw it", operations=1)
    ScenarioVerdict("whole", (check,)).save(whole / "verdict.json")
    before = (whole / "verdict.json").read_bytes()
    ledger = tmp_path / "l.jsonl"
    asked = ["tally", str(folder), "--rejudge", "--ledger", str(ledger)]
    refused = CliRunner().invoke(app, asked)
    assert "made by other code (0ld)" in str(refused.exception)
    write_json(tmp_path / "codes.json", {"0ld": resuming.made_hash()})
    scenario = json.loads((whole / "scenario.json").read_text())
    name = scenario["name"]
    here = {one: Text((one,), frozenset()) for one in ("Power", "Links")}
    here |= {"Cut": Text(("It says something else now",), frozenset())}
    own = text_of(scenario)
    assert own is not None
    monkeypatch.setattr(texts, "texts_in", lambda _folder: here | {name: own})
    assert CliRunner().invoke(app, asked).exit_code == 1
    assert (whole / "verdict.json").read_bytes() == before
    lines = {one.scenario: one for one in read_ledger(ledger, Judged)}
    # There is nothing in the evidence of these two that could have been judged.
    assert {one: lines[one].verdict for one in lines} == {
        name: INVALID, "Power": INCONCLUSIVE, "Links": INCONCLUSIVE,
    }  # fmt: skip
    assert (lines[name].code, lines[name].made) == (resuming.code_hash(), "0ld")
    judge_and_keep(whole)
    kept = (whole / "verdict.json").read_bytes()
    assert lines[name].sha256 == hashlib.sha256(kept).hexdigest()


def test_a_run_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "1/evidence").mkdir(parents=True)
    (tmp_path / "1/run.json").write_text("[]")
    found, notes = tally([tmp_path / "1"])
    assert found == []
    assert "no run.json" in notes[0]


def test_files_beside_the_runs_are_left_out(tmp_path: Path) -> None:
    folder = run(tmp_path / "1", {"Power": VALID})
    (tmp_path / "trend.sqlite").write_bytes(b"")
    (tmp_path / "index.html").write_text("")
    result = CliRunner().invoke(app, ["tally", *map(str, sorted(tmp_path.iterdir()))])
    assert result.exit_code == 0, result.output
    assert "tcg: 1 run\n" in result.output
    (tmp_path / "empty").mkdir()
    result = CliRunner().invoke(app, ["tally", str(folder), str(tmp_path / "empty")])
    assert result.exit_code == 1
    assert "not the folder of a run" in str(result.exception)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "read: Expecting value"),
        ("{}", "read: it has no 'command'"),
        ("[]", "read: it is no object of a run"),
        (None, "read: No such file or directory"),
    ],
)
def test_what_is_wrong_with_run_json_is_told_in_words(
    tmp_path: Path, text: str | None, says: str
) -> None:
    if text is not None:
        (tmp_path / "run.json").write_text(text)
    assert says in judged_in([tmp_path])[1][0]


LEDGERS = PROJECT / "docs" / "ledgers"


def test_the_table_of_the_measurements_is_that_of_the_ledger() -> None:
    """Nobody writes its figures by hand: they are of the lines, and told as they are there."""
    (own,) = tally_of(read_ledger(LEDGERS / "acceptance.jsonl", Judged))
    table = markdown_lines(own)
    document = (PROJECT / "docs" / "measurements.md").read_text(encoding="utf-8")
    assert "\n".join(table) in document
    assert len(table) == 2 + 16


def test_a_table_tells_of_what_went_wrong_and_what_was_not_measured() -> None:
    def came(number: int, verdict: Verdict, checks: int, stall_s: float | None) -> Judged:
        return Judged(
            code="c", configuration="d", accelerator="tcg", run=f"r{number}", scenario="a | b",
            started_ns=number, verdict=verdict, checks=checks, operations=1, stall_s=stall_s,
            bound_s=None, phases_s=None, sha256="x",
        )  # fmt: skip

    (own,) = tally_of(
        [came(1, Verdict.VALID, 37, 4.0), came(2, Verdict.INVALID, 36, 9.0),
         came(3, Verdict.VALID, 37, None)]
    )  # fmt: skip
    assert markdown_lines(own)[2] == (
        "| a \\| b | 2 VALID, 1 INVALID | 4.0, 6.5, 9.0 | – | 36 to 37 | – |"
    )
