"""Stored runs judged again by checks that were mended, and what keeps evidence from counting."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from harness import resuming
from harness.checks import CheckResult, ScenarioVerdict, Verdict
from harness.cli import app
from harness.cluster.config import load_config
from harness.errors import BadInputError
from harness.evidence.files import write_json
from harness.mutants import again
from harness.mutants.again import judge_again
from harness.mutants.campaign import STATE, Campaign
from harness.mutants.ledger import Tried, controlled, reference_digest, scores
from harness.mutants.model import load_mutant
from harness.mutants.score import Fate
from harness.report.ledger import read_ledger
from harness.report.tally import Judged, judged_in
from harness.report.texts import Text
from harness.resuming import CODES, FEATURES, code_hash, made_alike, made_hash
from harness.timing import PROFILES
from tests.mutants.test_mutants import INVALID, UNCLEAR, VALID, verdict, written

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from harness.mutants.model import Mutant

OLD = "01d"
TEXT = Text(("Given the healthy cluster",), frozenset({"short"}))
TEXTS = {"A scenario": TEXT}


@pytest.fixture
def codes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Evidence of the code ``01d`` was made as this code makes it; of ``0ther`` it was not."""
    write_json(tmp_path / "codes.json", {OLD: made_hash(), "0ther": "f00"})
    monkeypatch.setattr(resuming, "CODES", tmp_path / "codes.json")


def of_scenario(run: Path, steps: tuple[str, ...] = TEXT.steps) -> None:
    """What the evidence says of its scenario."""
    told = {"name": "A scenario", "gherkin": list(steps), "tags": sorted(TEXT.tags)}
    write_json(run / "evidence" / "s" / "scenario.json", told)


def stored(folder: Path, mutant: Mutant, code: str = OLD, runs: Sequence[str] = ("1", "2")) -> Path:
    """A campaign of other checks, by which nothing was caught."""
    for label in runs:
        run = folder / mutant.name / label
        verdict(run, stall=VALID)
        of_scenario(run)
        (run / mutant.path.name).write_bytes(mutant.path.read_bytes())
    write_json(folder / STATE, {"code": code, "begun_ns": 7, "formed": []})
    return folder


def mended(monkeypatch: pytest.MonkeyPatch, seen: Verdict = INVALID) -> None:
    """The check of this code sees something else."""
    result = CheckResult("stall", "t", seen, "-", "300 s", operations=1)
    monkeypatch.setattr(again, "judge", lambda folder: ScenarioVerdict(folder.name, (result,)))


@pytest.mark.usefixtures("codes")
def test_a_mended_check_is_asked_of_what_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mutant, ledger = written(tmp_path), tmp_path / "ledger"
    folder = stored(tmp_path / "runs", mutant)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    mended(monkeypatch)
    score = judge_again(mutant, folder, TEXTS, ledger)
    assert (score.caught, len(score.tries)) == (2, 2)
    lines = read_ledger(ledger, Tried)
    assert [(one.code, one.made, one.label, one.campaign) for one in lines] == [
        (code_hash(), OLD, "1", 7), (code_hash(), OLD, "2", 7),
    ]  # fmt: skip
    assert {path: path.read_bytes() for path in before} == before, "nothing is changed"
    (again_score,) = scores([mutant], lines, code_hash())
    assert again_score.perfect
    # Again: the same lines. By checks that see something else: it may not be said of this code.
    judge_again(mutant, folder, TEXTS, ledger)
    assert read_ledger(ledger, Tried) == lines
    mended(monkeypatch, VALID)
    with pytest.raises(BadInputError, match="says something else"):
        judge_again(mutant, folder, TEXTS, ledger)


@pytest.mark.usefixtures("codes")
def test_a_scenario_that_says_something_else_has_no_such_evidence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mutant, ledger = written(tmp_path), tmp_path / "ledger"
    folder = stored(tmp_path / "runs", mutant, runs=("1", "2", "3"))
    of_scenario(folder / mutant.name / "2", (*TEXT.steps, "And 1 failover is expected"))
    (folder / mutant.name / "3/evidence/s/scenario.json").unlink()
    mended(monkeypatch)
    score = judge_again(mutant, folder, TEXTS, ledger)
    assert [trial.label for trial in score.trials] == ["1"]
    assert [line.label for line in read_ledger(ledger, Tried)] == ["1"]


@pytest.mark.usefixtures("codes")
def test_runs_of_one_try_stay_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mutant = written(tmp_path, "runs = 3\nprobability = 0.5")
    folder = stored(tmp_path / "runs", mutant, runs=("1.1", "1.2", "2.1", "10.1"))
    (folder / mutant.name / "3.1").mkdir()
    mended(monkeypatch)
    score = judge_again(mutant, folder, TEXTS)
    assert [[trial.label for trial in one] for one in score.tries] == [
        ["1.1", "1.2"], ["2.1"], ["10.1"],
    ]  # fmt: skip
    assert {trial.fate for trial in score.trials} == {Fate.CAUGHT}


@pytest.mark.usefixtures("codes")
@pytest.mark.parametrize("code", ["0ther", "unknown"])
def test_evidence_that_other_code_made_is_not_judged(tmp_path: Path, code: str) -> None:
    mutant = written(tmp_path)
    with pytest.raises(BadInputError, match=f"made by other code .{code}."):
        judge_again(mutant, stored(tmp_path / "runs", mutant, code), TEXTS)


@pytest.mark.usefixtures("codes")
@pytest.mark.parametrize(
    ("old", "new", "counts"),
    [
        ("because it was planted", "as it was planted", True),
        ('["stall", "io-errors"]', '["stall"]', True),
        ('scenario = "A scenario"', 'scenario = "Another one"', False),
        ("portblock = false", "portblock = false\norder = false", False),
    ],
)
def test_how_it_is_told_may_change_and_what_was_run_may_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str, *, counts: bool
) -> None:
    mutant = written(tmp_path)
    folder = stored(tmp_path / "runs", mutant)
    text = mutant.path.read_text()
    assert old in text
    mutant.path.write_text(text.replace(old, new))
    mended(monkeypatch)
    if counts:
        assert judge_again(load_mutant(mutant.path), folder, TEXTS).caught == 2
        return
    with pytest.raises(BadInputError, match="another version"):
        judge_again(load_mutant(mutant.path), folder, TEXTS)


def test_a_folder_without_a_campaign(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="holds no campaign"):
        judge_again(written(tmp_path), tmp_path, TEXTS)


@pytest.mark.usefixtures("codes")
def test_the_command_runs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_arguments: object) -> None:
        raise AssertionError("a run was started")

    mutant, ledger = written(tmp_path), tmp_path / "ledger"
    folder = stored(tmp_path / "runs", mutant)
    monkeypatch.setattr("harness.mutants.model.load_mutants", lambda _names: [mutant])
    monkeypatch.setattr(Campaign, "mutant", never)
    asked_for: list[Path] = []

    def texts(features: Path) -> dict[str, Text]:
        asked_for.append(features)
        return TEXTS

    monkeypatch.setattr("harness.report.texts.texts_in", texts)
    mended(monkeypatch)
    asked = ["mutants", "--rejudge", str(folder), "--ledger", str(ledger)]
    result = CliRunner().invoke(app, asked)
    assert result.exit_code == 0, result.output
    assert asked_for == [FEATURES], "read once, however many mutants there are"
    assert "Score: 1 of 1 mutants" in result.output
    mended(monkeypatch, UNCLEAR)
    ledger.unlink()
    assert CliRunner().invoke(app, asked).exit_code == 1
    result = CliRunner().invoke(app, ["mutants", "--rejudge", str(tmp_path / "none")])
    assert isinstance(result.exception, BadInputError)


def test_the_checks_are_no_part_of_how_evidence_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    before = code_hash(), made_hash()
    assert before[0] != before[1]
    parts = resuming._NO_PART_OF_A_RESULT
    monkeypatch.setattr(resuming, "_NO_PART_OF_A_RESULT", (*parts, "harness/checks/stall.py"))
    assert code_hash() != before[0]
    assert made_hash() == before[1]
    monkeypatch.setattr(resuming, "_NO_PART_OF_A_RESULT", (*parts, "harness/faults/power.py"))
    assert made_hash() != before[1]
    # Nor are the scenarios: evidence says itself which one it is of.
    monkeypatch.setattr(resuming, "_NO_PART_OF_A_RESULT", (*parts, "features/links.feature"))
    assert code_hash() != before[0]
    assert made_hash() == before[1]
    assert made_alike(code_hash())
    assert not made_alike("unknown")


def test_the_codes_in_the_documents_are_hashes() -> None:
    told = json.loads(CODES.read_text())
    assert told
    assert all(len(text) == 16 and int(text, 16) for pair in told.items() for text in pair)


def judged(folder: Path, scenario: str, seen: Verdict, **config: object) -> list[Judged]:
    """What the tally says of a run of ``scenario``."""
    verdict(folder, stall=seen)
    write_json(folder / "evidence" / "s" / "scenario.json", {"name": scenario, "started_ns": 1})
    own = load_config(None, PROFILES["tcg"])
    facts: dict[str, object] = {"code": code_hash(), "accelerator": "tcg", "command": "harness run"}
    facts |= {"config": own.model_dump(mode="json", exclude={"timing"})}
    write_json(folder / "run.json", facts | {"timing": own.timing.model_dump()} | config)
    return judged_in([folder])[0]


def test_a_scenario_has_to_be_valid_without_the_mutant(tmp_path: Path) -> None:
    mutant, code = written(tmp_path), code_hash()
    good = judged(tmp_path / "1", "A scenario", VALID)
    assert good[0].configuration == reference_digest("tcg")
    assert controlled([mutant], good, code) == []
    assert controlled([mutant], [], code) == ["No control: A scenario"]
    assert controlled([mutant], good, "another") == ["No control: A scenario"]
    own = judged(tmp_path / "2", "A scenario", VALID, config={"pacemaker": "other"})
    other = judged(tmp_path / "3", "Another one", VALID)
    assert controlled([mutant], [*own, *other], code) == ["No control: A scenario"]
    bad = judged(tmp_path / "4", "A scenario", UNCLEAR)
    assert controlled([mutant, mutant], [*good, *bad], code) == [
        "Not VALID in 1 of 2 controls: A scenario"
    ]


def test_the_score_asks_for_controls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mutant, ledger, controls = written(tmp_path), tmp_path / "ledger", tmp_path / "controls"
    monkeypatch.setattr("harness.mutants.model.load_mutants", lambda _names: [mutant])

    def start(arguments: Sequence[str]) -> int:
        verdict(tmp_path.__class__(arguments[arguments.index("--folder") + 1]), stall=INVALID)
        return 1

    Campaign(tmp_path / "runs", ledger=ledger, start=start).mutant(mutant, 1)
    asked = ["mutants", "--score", "--ledger", str(ledger)]
    result = CliRunner().invoke(app, asked)
    assert result.exit_code == 0
    assert "was not asked (hint: --controls)" in result.output
    asked += ["--controls", str(controls)]
    controls.touch()
    result = CliRunner().invoke(app, asked)
    assert (result.exit_code, "No control: A scenario" in result.output) == (1, True)
    (line,) = judged(tmp_path / "1", "A scenario", VALID)
    controls.write_text(line.model_dump_json() + "\n")
    assert CliRunner().invoke(app, asked).exit_code == 0
    (red,) = judged(tmp_path / "2", "A scenario", INVALID)
    (tmp_path / "nightly").write_text(red.model_dump_json() + "\n")
    asked += ["--controls", str(tmp_path / "nightly")]
    result = CliRunner().invoke(app, asked)
    assert (result.exit_code, "Not VALID in 1 of 2 controls" in result.output) == (1, True)
