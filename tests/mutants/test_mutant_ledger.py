"""Campaigns add up in a ledger: of the same code and of a mutant's file as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from typer.testing import CliRunner

from harness.cli import app
from harness.mutants import campaign as campaigns
from harness.mutants.campaign import Campaign
from harness.mutants.ledger import Tried, scores
from harness.report.ledger import read_ledger
from harness.resuming import code_hash
from tests.mutants.test_mutants import INVALID, VALID, verdict, written

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pytest

    from harness.checks import Verdict
    from harness.mutants.model import Mutant


def campaign(folder: Path, ledger: Path, stalls: Sequence[Verdict]) -> Campaign:
    """A campaign whose runs have these verdicts of the check "stall", one after the other."""
    left = iter(stalls)

    def start(arguments: Sequence[str]) -> int:
        where = folder.__class__(arguments[arguments.index("--folder") + 1])
        verdict(where, stall=next(left))
        return 0

    return Campaign(folder, resume=True, ledger=ledger, start=start)


def fates(mutant: Mutant, ledger: Path) -> tuple[int, int]:
    (score,) = scores([mutant], read_ledger(ledger, Tried), code_hash())
    return score.caught, len(score.tries)


def test_campaigns_add_up(tmp_path: Path) -> None:
    mutant, ledger = written(tmp_path), tmp_path / "ledger"
    campaign(tmp_path / "1", ledger, [INVALID, INVALID]).mutant(mutant, 2)
    assert fates(mutant, ledger) == (2, 2)
    # Going on adds what is new, and nothing twice.
    campaign(tmp_path / "1", ledger, [INVALID]).mutant(mutant, 3)
    assert fates(mutant, ledger) == (3, 3)
    campaign(tmp_path / "2", ledger, [VALID]).mutant(mutant, 1)
    assert fates(mutant, ledger) == (3, 4)


def test_of_this_code_and_this_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mutant, ledger = written(tmp_path), tmp_path / "ledger"
    monkeypatch.setattr(campaigns, "code_hash", lambda: "01d")
    campaign(tmp_path / "1", ledger, [INVALID]).mutant(mutant, 1)
    monkeypatch.undo()
    assert fates(mutant, ledger) == (0, 0)
    campaign(tmp_path / "2", ledger, [INVALID]).mutant(mutant, 1)
    assert fates(mutant, ledger) == (1, 1)
    changed = written(tmp_path, "because = 'something'")
    assert fates(changed, ledger) == (0, 0)


def test_a_toss_of_a_coin_is_one_try(tmp_path: Path) -> None:
    mutant, ledger = written(tmp_path, "runs = 3\nprobability = 0.5"), tmp_path / "ledger"
    campaign(tmp_path / "1", ledger, [VALID, VALID, INVALID]).mutant(mutant, 1)
    assert fates(mutant, ledger) == (1, 1)
    campaign(tmp_path / "2", ledger, [VALID, VALID, VALID]).mutant(mutant, 1)
    assert fates(mutant, ledger) == (1, 2)


def test_a_run_without_a_verdict_is_run_again(tmp_path: Path) -> None:
    mutant, ledger = written(tmp_path), tmp_path / "ledger"
    Campaign(tmp_path / "1", ledger=ledger, start=lambda _arguments: 20).mutant(mutant, 1)
    assert read_ledger(ledger, Tried) == []
    campaign(tmp_path / "1", ledger, [INVALID]).mutant(mutant, 1)
    assert fates(mutant, ledger) == (1, 1)


def test_the_score_of_a_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mutant, ledger = written(tmp_path), tmp_path / "ledger"
    monkeypatch.setattr("harness.mutants.model.load_mutants", lambda _names: [mutant])
    asked = ["mutants", "--score", "--ledger", str(ledger), "--times"]
    ledger.touch()
    result = CliRunner().invoke(app, [*asked, "1"])
    assert result.exit_code == 1
    assert "UNTRIED wrong (expected: stall or io-errors)" in result.output
    assert "Tried less than 1 times: wrong" in result.output
    monkeypatch.setattr(campaigns, "code_hash", lambda: "01d")
    campaign(tmp_path / "0", ledger, [INVALID]).mutant(mutant, 1)
    monkeypatch.setattr(campaigns, "code_hash", code_hash)
    result = CliRunner().invoke(app, [*asked, "1"])
    assert result.exit_code == 1
    assert "Not counted: 1 run of other code" in result.output
    campaign(tmp_path / "1", ledger, [INVALID]).mutant(mutant, 1)
    result = CliRunner().invoke(app, [*asked, "1"])
    assert result.exit_code == 0, result.output
    assert "Score: 1 of 1 mutants" in result.output
    assert CliRunner().invoke(app, [*asked, "2"]).exit_code == 1
    campaign(tmp_path / "2", ledger, [VALID]).mutant(mutant, 1)
    assert CliRunner().invoke(app, [*asked, "1"]).exit_code == 1
    assert CliRunner().invoke(app, ["mutants", "--score"]).exit_code != 0
