"""Attempts before the last one, and what a run left behind: in every report, and in its verdict."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest

from harness import reporting
from harness.checks.verdict import Verdict, read_run_verdicts, write_run_verdicts
from harness.errors import ExitCode
from harness.report import summary_lines, write_junit
from harness.report.earlier import earlier_attempts
from harness.report.load import load_run
from harness.report.tally import judged_in, tally
from tests.report import build, scenes
from tests.report.pages import page_of, scene_of

if TYPE_CHECKING:
    from pathlib import Path

NAME = "Power off the active node"


def attempt(run: Path, number: int, verdict: Verdict | None, *, outcome: str = "finished") -> None:
    """An attempt at the power-off scenario that was set aside."""
    folder = scenes.power_off(run, f"power-off-active-{number}")
    folder.scenario["name"] = NAME
    folder.scenario["outcome"] = outcome
    folder.scenario["started_ns"] = build.at(-1000 + number)
    if verdict is not None:
        folder.check("stall", "Writes never stood still for longer than allowed", verdict)
    folder.save(judged=verdict is not None)
    (run / "superseded").mkdir(exist_ok=True)
    folder.path.rename(run / "superseded" / folder.path.name)


def last(run: Path, verdict: Verdict = Verdict.VALID) -> None:
    folder = scenes.power_off(run)
    folder.scenario["name"] = NAME
    folder.check("stall", "Writes never stood still for longer than allowed", verdict)
    folder.save()


@pytest.mark.parametrize(
    ("earlier", "overall", "code"),
    [
        ([], Verdict.VALID, ExitCode.VALID),
        ([Verdict.VALID], Verdict.VALID, ExitCode.VALID),
        ([None], Verdict.VALID, ExitCode.VALID),
        ([Verdict.INCONCLUSIVE], Verdict.INCONCLUSIVE, ExitCode.INCONCLUSIVE),
        ([Verdict.INVALID], Verdict.INVALID, ExitCode.INVALID),
        ([Verdict.INVALID, Verdict.INCONCLUSIVE, None], Verdict.INVALID, ExitCode.INVALID),
    ],
)
def test_what_was_once_red_is_not_green_for_being_tried_again(
    run: Path,
    earlier: list[Verdict | None],
    overall: Verdict,
    code: ExitCode,
    capsys: pytest.CaptureFixture[str],
) -> None:
    last(run)
    for number, verdict in enumerate(earlier):
        attempt(run, number, verdict, outcome="running" if verdict is None else "finished")
    loaded = load_run(run)
    assert loaded.verdict is overall
    assert loaded.count(overall) == 1
    assert reporting.report(run) == code
    said = capsys.readouterr().out
    assert f"{overall:<12}  {NAME}" in said
    if earlier:
        assert f"attempt {len(earlier) + 1} of this run came to VALID; before it:" in said
    for number, verdict in enumerate(earlier):
        assert f"(superseded/power-off-active-{number})" in said
        assert f"{verdict or 'cut short'} 2025-11-25" in said


def test_every_report_tells_of_an_earlier_attempt(run: Path) -> None:
    last(run)
    attempt(run, 0, Verdict.INVALID)
    text, _ = page_of(run)
    assert "<title>INVALID" in text
    scene, _ = scene_of(run)
    assert "<title>INVALID" in scene
    assert "is that of attempt 2 in this run" in scene
    for one in (text, scene):
        assert "Writes never stood still for longer than allowed (superseded/" in one
    assert "Not tested, or not judged" in text
    suite = ET.parse(write_junit(run)).getroot()[0]
    assert (suite.get("failures"), suite.get("errors")) == ("1", "0")
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert "earlier attempt: INVALID" in str(failure.get("message"))
    path = write_run_verdicts(run, read_run_verdicts(run))
    (told,) = json.loads(path.read_text())["earlier"]
    assert (told["place"], told["verdict"]) == ("superseded/power-off-active-0", "INVALID")
    (own,) = tally(judged_in([run])[0])
    assert own.scenarios[NAME].verdicts == {Verdict.VALID: 1, Verdict.INVALID: 1}


def test_what_was_cut_short_is_told_and_counts_for_nothing(run: Path) -> None:
    last(run)
    attempt(run, 0, Verdict.INCONCLUSIVE, outcome="running")
    (told,) = earlier_attempts(run)
    assert told.verdict is None
    assert told.why == "it never ended"
    assert load_run(run).verdict is Verdict.VALID
    path = write_run_verdicts(run, read_run_verdicts(run))
    assert json.loads(path.read_text())["earlier"] == []
    (own,) = tally(judged_in([run])[0])
    assert own.scenarios[NAME].verdicts == {Verdict.VALID: 1}


def test_what_was_broken_when_it_was_killed_counts(run: Path) -> None:
    """Somebody judged it later (harness recheck), and an invariant was broken by then."""
    last(run)
    attempt(run, 0, Verdict.INVALID, outcome="running")
    (told,) = earlier_attempts(run)
    assert told.verdict is Verdict.INVALID
    path = write_run_verdicts(run, read_run_verdicts(run))
    assert [one["verdict"] for one in json.loads(path.read_text())["earlier"]] == ["INVALID"]
    (own,) = tally(judged_in([run])[0])
    assert own.scenarios[NAME].verdicts == {Verdict.VALID: 1, Verdict.INVALID: 1}


def test_an_attempt_that_was_never_begun_again_is_not_forgotten(run: Path) -> None:
    """Killed between setting it aside and beginning anew."""
    scenes.red(run)
    attempt(run, 0, Verdict.INVALID)
    loaded = load_run(run)
    assert [one.scenario for one in loaded.pending] == [NAME]
    assert any(note.startswith(f"not begun again: {NAME}: INVALID") for note in loaded.notes)
    assert loaded.verdict is Verdict.INVALID


def test_a_verdict_that_cannot_be_trusted_does_not_vanish(run: Path) -> None:
    last(run)
    attempt(run, 0, Verdict.INVALID)
    (run / "superseded/power-off-active-0/verdict.json").write_text("{")
    assert load_run(run).verdict is Verdict.INCONCLUSIVE
    assert "cannot be trusted" in "\n".join(summary_lines(run))


def residue(run: Path, *differences: list[str] | None) -> None:
    parts: list[dict[str, Any]] = [{"differences": told} for told in differences]
    (run / "residue.json").write_text(json.dumps({"schema": 1, "parts": parts}))


@pytest.mark.parametrize(
    ("parts", "says", "code"),
    [
        ([[]], "nothing", ExitCode.VALID),
        ([None, []], "nothing, as far as 1 of 2 parts looked", ExitCode.VALID),
        ([None], "not known: it was cut short, or its lab was kept", ExitCode.VALID),
        ([["host: mounts: /mnt: tmpfs, rw is left over"], []], "1 thing", ExitCode.HARNESS_ERROR),
    ],
)
def test_what_a_run_left_behind_is_told_and_is_no_pass(
    run: Path,
    parts: list[list[str] | None],
    says: str,
    code: ExitCode,
    capsys: pytest.CaptureFixture[str],
) -> None:
    last(run)
    residue(run, *parts)
    assert reporting.report(run) == code
    said = capsys.readouterr().out
    assert f"Left behind on this host and in the lab: {says}\n" in said
    assert ("left behind: host: mounts: /mnt" in said) == (code != ExitCode.VALID)
    text, _ = page_of(run)
    assert f"<dt>left behind</dt><dd>{says}</dd>" in text


def test_a_finding_about_the_cluster_counts_before_what_was_left_behind(run: Path) -> None:
    last(run, Verdict.INVALID)
    residue(run, ["lab: rules: x is left over"])
    assert reporting.report(run) == ExitCode.INVALID


def test_a_run_in_which_nothing_was_injected_says_so(run: Path) -> None:
    last(run, Verdict.INCONCLUSIVE)
    facts = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(facts | {"injecting": False}))
    assert "nothing was broken in this run" in page_of(run)[0]


def test_where_the_time_went_is_a_bar_and_a_legend(run: Path) -> None:
    folder = scenes.power_off(run)
    folder.check("stall", "Stall")
    folder.save()
    text, _ = scene_of(run)
    assert text.count('class="phases"') == 1
    for name in ("revert", "load before", "fault", "reaction", "heal", "verification", "harness"):
        assert f"></i>{name} <b>" in text
    widths = [float(part.split("%")[0]) for part in text.split('style="width:')[1:]
              if '%" title="' in part[:20]]  # fmt: skip
    assert sum(widths) == pytest.approx(100, abs=0.1)
    index, _ = page_of(run)
    assert "<dt>of a scenario&#39;s time, on average</dt><dd>harness " in index


def test_a_tally_tells_where_the_time_goes(run: Path) -> None:
    from harness.report.tally import tally_lines

    last(run)
    judged, notes = judged_in([run])
    found = tally(judged)
    lines = tally_lines(found, notes)
    head = next(line for line in lines if line.startswith("average seconds:"))
    assert head.split()[2:] == ["revert", "load", "before", "fault", "reaction", "heal",
                                "verification", "harness", "all", "scenario"]  # fmt: skip
    row = next(line for line in lines if line.endswith("all of them")).split()
    assert sum(map(float, row[:7])) == pytest.approx(float(row[7]), abs=0.5)


def test_a_run_without_injecting_is_never_added_to_others(tmp_path: Path) -> None:
    for name, more in (("a", {}), ("b", {"injecting": False})):
        build.run_json(tmp_path / name)
        path = tmp_path / name / "run.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | more))
        (tmp_path / name / "evidence/s").mkdir(parents=True)
    judged, _notes = judged_in([tmp_path / "a", tmp_path / "b"])
    assert len(tally(judged)) == 2
