"""Mutants: what their files must say, how a run is judged, and how a campaign goes on."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.checks import CheckResult, ScenarioVerdict, Verdict
from harness.errors import BadInputError
from harness.lab.paths import PROJECT, Cache
from harness.mutants import campaign as campaigns
from harness.mutants.campaign import Campaign, run_options
from harness.mutants.model import MUTANTS, Mutant, check_scenarios, load_mutant, load_mutants
from harness.mutants.score import Fate, Score, Trial, judge_trial, lines
from harness.running import scenario_names
from harness.session import RunOptions
from harness.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Sequence

VALID, INVALID, UNCLEAR = Verdict.VALID, Verdict.INVALID, Verdict.INCONCLUSIVE
FILE = """
[mutant]
title = "something is wrong"
why = "because it was planted, for a test"
scenario = "A scenario"
caught_by = ["stall", "io-errors"]
{more}
[pacemaker]
portblock = false
"""


@pytest.fixture
def mutant(tmp_path: Path) -> Mutant:
    return written(tmp_path)


def written(folder: Path, more: str = "") -> Mutant:
    path = folder / "wrong.toml"
    path.write_text(FILE.format(more=more))
    return load_mutant(path)


def verdict(run: Path, *, error: str | None = None, **checks: Verdict) -> None:
    """Leave a verdict in a run's folder."""
    results = tuple(
        CheckResult(
            check=slug.replace("_", "-"),
            title=slug,
            verdict=said,
            expected="-",
            seen=f"{slug} saw it",
            operations=3,
        )
        for slug, said in checks.items()
    )
    folder = run / "evidence" / "s"
    folder.mkdir(parents=True)
    ScenarioVerdict("s", results, error).save(folder / "verdict.json")


def test_every_mutant_names_a_scenario_that_there_is() -> None:
    mutants = load_mutants()
    assert len(mutants) >= 13
    names = scenario_names(
        RunOptions(cache=Cache(Path("/nonexistent")), everything=True), PROJECT / "scenarios"
    )
    check_scenarios(mutants, names)
    assert {path.stem for path in MUTANTS.iterdir()} == {one.name for one in mutants}


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("[mutant]", "[mutand]", "mutand"),
        ('title = "something is wrong"', "", "mutant.title: Field required"),
        ('"stall", "io-errors"', "", "mutant.caught_by"),
        ("io-errors", "io-horrors", "there is no check io-horrors"),
        ("portblock = false", "portblock = true", "changes nothing"),
        ("portblock = false", "postblock = false", "pacemaker.postblock"),
        ("[pacemaker]", "[pacemaker", "is not TOML"),
        ("{more}", "runs = 0", "mutant.runs"),
        ("{more}", "because = '('", "mutant.because: .* is no regular expression"),
        ("{more}", "colour = 'red'", "mutant.colour"),
    ],
)
def test_a_file_that_is_wrong(tmp_path: Path, old: str, new: str, says: str) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(FILE.replace(old, new).replace("{more}", ""))
    with pytest.raises(BadInputError, match=says.replace("[", r"\[")):
        load_mutant(path)


def test_a_configuration_alone_is_no_mutant(tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text("[pacemaker]\nportblock = false\n")
    with pytest.raises(BadInputError, match=r"no table \[mutant\]"):
        load_mutant(path)


def test_names_are_known(mutant: Mutant, tmp_path: Path) -> None:
    assert load_mutants(["wrong"], tmp_path) == load_mutants(folder=tmp_path) == [mutant]
    with pytest.raises(BadInputError, match="no mutant right"):
        load_mutants(["right"], tmp_path)
    with pytest.raises(BadInputError, match="no scenario 'A scenario'"):
        check_scenarios([mutant], ["Another"])


@pytest.mark.parametrize(
    ("checks", "fate", "said"),
    [
        ({"stall": INVALID, "machines": INVALID}, Fate.CAUGHT, "stall saw it"),
        ({"io_errors": INVALID, "stall": UNCLEAR}, Fate.CAUGHT, "io_errors saw it"),
        ({"machines": INVALID, "stall": VALID}, Fate.MISSED, "machines instead"),
        ({"machines": VALID, "stall": VALID}, Fate.MISSED, "every check was VALID"),
        ({"machines": VALID, "stall": UNCLEAR}, Fate.UNJUDGED, "INCONCLUSIVE: stall: stall saw it"),
    ],
)
def test_only_its_own_check_catches_a_mutant(
    mutant: Mutant, tmp_path: Path, checks: dict[str, Verdict], fate: Fate, said: str
) -> None:
    verdict(tmp_path / "run", **checks)
    trial = judge_trial(mutant, "1", tmp_path / "run")
    assert (trial.fate, trial.said) == (fate, said)
    assert set(trial.by) <= {"stall", "io-errors"}
    assert (trial.others == ("machines",)) == (checks.get("machines") is INVALID)


@pytest.mark.parametrize(("because", "fate"), [("stall saw", "caught"), ("^saw", "missed")])
def test_a_check_that_something_else_turned_does_not_count(
    mutant: Mutant, tmp_path: Path, because: str, fate: str
) -> None:
    verdict(tmp_path / "run", stall=INVALID)
    trial = judge_trial(mutant.model_copy(update={"because": because}), "1", tmp_path / "run")
    assert trial.fate == fate
    assert (trial.by, trial.others) == ((("stall",), ()) if fate == "caught" else ((), ("stall",)))


def test_trouble_of_the_harness_catches_nothing(mutant: Mutant, tmp_path: Path) -> None:
    assert judge_trial(mutant, "1", tmp_path / "none").said == "0 verdicts in the run"
    verdict(tmp_path / "run", error="the lab went away", machines=VALID)
    trial = judge_trial(mutant, "1", tmp_path / "run")
    assert (trial.fate, trial.said) == (Fate.UNJUDGED, "the lab went away")
    (tmp_path / "run/evidence/s/verdict.json").write_text("{")
    assert judge_trial(mutant, "1", tmp_path / "run").fate is Fate.UNJUDGED


class Runs:
    """Stands for ``harness run``: leaves the next verdict, remembers what it was asked."""

    def __init__(self, *outcomes: dict[str, Verdict] | None) -> None:
        self.outcomes = list(outcomes)
        self.asked: list[list[str]] = []

    def __call__(self, arguments: Sequence[str]) -> int:
        self.asked.append(list(arguments))
        outcome = self.outcomes.pop(0)
        if outcome is not None:
            verdict(Path(arguments[arguments.index("--folder") + 1]), **outcome)
        return 0


def test_a_campaign_tries_and_counts(mutant: Mutant, tmp_path: Path) -> None:
    runs = Runs({"machines": VALID}, {"stall": INVALID}, {"stall": VALID}, None)
    campaign = Campaign(tmp_path / "c", ["--accelerator", "tcg"], start=runs)
    assert campaign.control("A scenario").valid
    score = campaign.mutant(mutant, 3)
    assert [trial.fate for trial in score.trials] == [Fate.CAUGHT, Fate.MISSED, Fate.UNJUDGED]
    assert (score.caught, len(score.tries), score.perfect) == (1, 3, False)
    assert runs.asked[0][:2] == ["run", "A scenario"]
    assert "--config" not in runs.asked[0]
    assert runs.asked[1][4:] == ["--config", str(mutant.path), "--accelerator", "tcg"]
    told = lines([score])
    assert told[0].startswith("MISSED  wrong: 1 of 3, by stall (expected: stall or io-errors)")
    assert told[-1] == "Score: 0 of 1 mutants"
    assert "run 3 unjudged: 0 verdicts in the run" in "\n".join(told)


def test_all_runs_of_a_campaign_are_at_the_same_place(mutant: Mutant, tmp_path: Path) -> None:
    """The control says nothing of a mutant that was tried on another libvirt."""
    place = Cache(Path("/var/c"))
    assert run_options(place, "auto") == ("--cache", "/var/c", "--accelerator", "auto")
    there = run_options(place, "auto", "qemu+ssh://host.example/system")
    runs = Runs({"machines": VALID}, {"stall": INVALID})
    campaign = Campaign(tmp_path / "c", there, start=runs)
    campaign.control("A scenario")
    campaign.mutant(mutant, 1)
    for asked in runs.asked:
        assert asked[-2:] == ["--connect", "qemu+ssh://host.example/system"]


def test_a_campaign_on_other_guests_is_another_one(mutant: Mutant, tmp_path: Path) -> None:
    there = run_options(Cache(Path("/var/c")), "auto", guest="debian13")
    runs = Runs({"machines": VALID}, {"stall": INVALID})
    campaign = Campaign(tmp_path / "c", there, guest="debian13", start=runs)
    campaign.control("A scenario")
    campaign.mutant(mutant, 1)
    for asked in runs.asked:
        assert asked[-2:] == ["--guest", "debian13"]
    with pytest.raises(BadInputError, match="--guest debian13, not with the guests of each"):
        Campaign(tmp_path / "c", resume=True)
    with pytest.raises(BadInputError, match="not with --guest debian12"):
        Campaign(tmp_path / "c", guest="debian12", resume=True)
    Campaign(tmp_path / "c", guest="debian13", resume=True)


def test_it_goes_on_where_it_was(
    mutant: Mutant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Campaign(tmp_path / "c", start=Runs({"machines": VALID}, {"stall": INVALID}))
    first.control("A scenario")
    first.mutant(mutant, 1)
    again = Runs({"stall": INVALID})
    resumed = Campaign(tmp_path / "c", resume=True, start=again)
    assert resumed.control("A scenario").said == "VALID"
    assert resumed.mutant(mutant, 2).perfect
    assert len(again.asked) == 1
    with pytest.raises(BadInputError, match="holds a campaign"):
        Campaign(tmp_path / "c", start=again)
    monkeypatch.setattr(campaigns, "code_hash", lambda: "another")
    with pytest.raises(BadInputError, match="other code"):
        Campaign(tmp_path / "c", resume=True, start=again)


def test_a_toss_of_a_coin(tmp_path: Path) -> None:
    mutant = written(tmp_path, "runs = 3\nprobability = 0.6")
    lucky, unlucky = {"stall": INVALID}, {"machines": VALID}
    runs = Runs(unlucky, lucky, unlucky, unlucky, unlucky)
    score = Campaign(tmp_path / "c", start=runs).mutant(mutant, 2)
    assert [[trial.label for trial in trials] for trials in score.tries] == [
        ["1.1", "1.2"],
        ["2.1", "2.2", "2.3"],
    ]
    assert (score.caught, score.perfect) == (1, False)
    assert "3 runs each, a run catches it with probability 0.6" in lines([score])[0]


def test_a_mutants_cluster_is_removed_after_its_last_try(mutant: Mutant, tmp_path: Path) -> None:
    # Not below tmp_path: pytest's paths are too long for the sockets of a cache.
    with tempfile.TemporaryDirectory() as place:
        clusters_are_removed(mutant, tmp_path, Cache(Path(place)))


def clusters_are_removed(mutant: Mutant, tmp_path: Path, cache: Cache) -> None:
    formed, restored = "0123456789abcdef", "fedcba9876543210"
    for entry in (formed, restored):
        (cache.clusters / entry).mkdir(parents=True)
    runs = Runs({"stall": INVALID}, {"stall": INVALID})

    def run(arguments: Sequence[str]) -> int:
        assert (cache.clusters / formed).exists(), "the next try needs it"
        number = len(runs.asked)
        folder = Path(arguments[arguments.index("--folder") + 1])
        cluster = {"how": ("formed", "restored")[number], "entry": (formed, restored)[number]}
        (folder / "run.json").write_text(json.dumps({"cluster": cluster}))
        return runs(arguments)

    assert Campaign(tmp_path / "c", cache=cache, start=run).mutant(mutant, 2).perfect
    assert [path.name for path in cache.clusters.iterdir()] == [restored]


def test_nothing_tried_is_nothing_caught(mutant: Mutant) -> None:
    assert not Score(mutant, ()).perfect
    caught = Trial("wrong", "1", Fate.CAUGHT, ("stall",), (), "seen")
    assert Score(mutant, ((caught,),)).perfect
    assert lines([Score(mutant, ((caught,),))])[-1] == "Score: 1 of 1 mutants"


def test_a_control_that_is_not_valid_says_so(tmp_path: Path) -> None:
    campaign = Campaign(tmp_path / "c", start=Runs({"stall": INVALID}, None))
    assert campaign.control("A scenario").said == "INVALID"
    assert not campaign.control("A scenario").valid
    assert campaign.control("Another").said == "no verdict"


_CHILD = """
import pathlib, signal, sys, time
signal.signal(signal.SIGTERM, signal.default_int_handler)
folder = pathlib.Path(sys.argv[1])
try:
    (folder / "begun").touch()
    time.sleep(600)
except KeyboardInterrupt:
    time.sleep(1)  # longer than subprocess.run would wait
    (folder / "cleaned").touch()
    sys.exit(20)
"""
_PARENT = """
import signal, sys
from harness.mutants.campaign import run_to_its_end
signal.signal(signal.SIGTERM, signal.default_int_handler)
run_to_its_end([sys.executable, "-c", sys.argv[1], sys.argv[2]])
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_campaign_lets_its_run_clean_up(tmp_path: Path, number: int) -> None:
    """It was killed once a quarter of a second after the interrupt, and its lab was left."""
    parent = subprocess.Popen(
        [sys.executable, "-c", _PARENT, _CHILD, str(tmp_path)],
        cwd=PROJECT,
        stderr=subprocess.DEVNULL,
        # SIGINT may be ignored where tests run in the background, and is inherited so.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler) and None,
    )
    wait_until("the child", lambda: "" if (tmp_path / "begun").exists() else "it", deadline_s=60)
    parent.send_signal(number)
    assert parent.wait(60) != 0
    assert (tmp_path / "cleaned").exists()
