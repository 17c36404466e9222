"""What machines read of a run: JUnit, Cucumber JSON and run-report.json, all from the evidence."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import jsonschema
import pytest

from harness import cli
from harness.checks.verdict import Verdict
from harness.evidence.timeline import Channel
from harness.lab.paths import PROJECT
from harness.report import write_junit, write_report
from harness.report.machine import write_machine_files
from harness.report.machine.runjson import schema
from tests.report import build, scenes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PUBLISHED = PROJECT / "docs" / "schemas" / "run-report-1.schema.json"
HOSTILE = "<script>alert(1)</script> \x1b[31mred\x1b[0m \x00 \u202e ]]> ::error::x \ud800"


def hostile(run: Path) -> None:
    """A scenario whose every text is meant to hurt."""
    folder = scenes.power_off(run)
    text = HOSTILE.replace("\ud800", "")  # scenario.json with it is not one
    folder.scenario |= {"name": text, "feature": text, "tags": [text], "reproduce": text}
    folder.step(260, 1, "Then", HOSTILE, error=HOSTILE)
    folder.check("c", HOSTILE, Verdict.INVALID, expected=HOSTILE, seen=HOSTILE * 1000,
                 evidence=(HOSTILE,), when_ns=tuple(range(1000)))  # fmt: skip
    folder.save()


def damaged(run: Path) -> None:
    """Nothing of it can be read."""
    scenes.green(run)
    (run / "run.json").write_text("{")
    for name in ("scenario.json", "timeline.jsonl", "verdict.json"):
        (run / "evidence" / "power-off-active" / name).write_bytes(b"\xff\x00{")


def empty(_run: Path) -> None:
    """No scenario at all."""


RUNS = pytest.mark.parametrize(
    "make",
    [scenes.green, scenes.red, scenes.inconclusive, scenes.half_written, hostile, damaged, empty],
    ids=lambda make: make.__name__,
)


def told(run: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """cucumber.json and run-report.json of a run."""
    features, report = write_machine_files(run)
    return json.loads(features.read_text()), json.loads(report.read_text())


def elements(features: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [element for feature in features for element in feature["elements"]]


def green(element: dict[str, Any]) -> bool:
    """As report tools see it."""
    return all(step["result"]["status"] == "passed" for step in element["steps"])


def junit_green(run: Path) -> bool:
    suite = ET.parse(write_junit(run)).getroot()[0]
    cases = suite.findall("testcase")
    bad = [
        case for case in cases if case.find("failure") is not None or case.find("error") is not None
    ]
    counted = int(suite.get("failures", "")) + int(suite.get("errors", ""))
    assert len(bad) == counted
    assert len(cases) == int(suite.get("tests", ""))
    assert suite.get("skipped") == "0"
    assert suite.find("testcase/skipped") is None
    return not bad


# --------------------------------------------------------------------------------- run-report.json


@RUNS
def test_every_run_keeps_the_published_schema(run: Path, make: Callable[[Path], Any]) -> None:
    make(run)
    features, report = told(run)
    published = json.loads(PUBLISHED.read_text())
    jsonschema.Draft202012Validator.check_schema(published)
    jsonschema.validate(report, published)
    assert report["schema_version"] == 1
    assert features or not report["scenarios"]
    # No text that a terminal or a browser would take for more.
    for text in (json.dumps(report), json.dumps(features)):
        for sign in ("\\u001b", "\\u0000", "\\u202e", "\\ud800"):
            assert sign not in text


def test_the_schema_is_that_of_the_code() -> None:
    """Written by: harness report --schema."""
    assert json.loads(PUBLISHED.read_text()) == schema()


def test_the_schema_tells_a_wrong_document(run: Path) -> None:
    scenes.red(run)
    _, report = told(run)
    published = json.loads(PUBLISHED.read_text())
    for wrong in (
        report | {"verdict": "GREEN"},
        report | {"schema_version": 2},
        {name: value for name, value in report.items() if name != "scenarios"},
    ):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, published)
    # A later reader's fields are none of an older one's business.
    jsonschema.validate(report | {"more": 1}, published)


def test_what_a_run_report_tells(run: Path) -> None:
    scenes.green(run)
    scenes.red(run)
    _, report = told(run)
    assert (report["run"], report["verdict"], report["code"]) == ("run-1", "INVALID", "c0de")
    assert report["counts"] == {"VALID": 1, "INVALID": 1, "INCONCLUSIVE": 0}
    one, other = sorted(report["scenarios"], key=lambda scenario: scenario["verdict"])
    assert one["observed"]["longest_stall_s"] == pytest.approx(87.5)
    assert one["expected"]["max_stall_s"] == 75
    assert any("INVALID No acknowledged write is lost" in reason for reason in one["reasons"])
    assert [fault["stage"] for fault in one["faults"]][:3] == ["inject", "bitten", "inject"]
    assert (other["reasons"], other["observed"]["failovers"]) == ([], 1)
    statuses = {step["text"]: step["status"] for step in other["steps"]}
    assert statuses["alpha loses power"] == "passed"
    took = {step["text"]: step["seconds"] for step in other["steps"]}
    assert took["bravo takes over"] == pytest.approx(120)


def test_a_number_that_json_does_not_have(run: Path) -> None:
    path = run / "run.json"
    path.write_text(path.read_text().replace("3000", "NaN"))
    scenes.green(run)
    features, report = write_machine_files(run)
    json.loads(report.read_text(), parse_constant=pytest.fail)
    assert json.loads(report.read_text())["timing"]["corosync_token_ms"] == "nan"
    assert features.exists()


# --------------------------------------------------------------------------------- cucumber.json


def test_cucumber_json_has_what_report_tools_read(run: Path) -> None:
    scenes.green(run)
    (feature,) = told(run)[0]
    assert (feature["name"], feature["keyword"]) == ("Power failures", "Feature")
    (element,) = feature["elements"]
    assert element["type"] == "scenario"
    assert [tag["name"] for tag in element["tags"]] == ["@power", "@failover"]
    *steps, verdict = element["steps"]
    assert [step["keyword"] for step in steps] == ["Given ", "And ", "When ", "Then ", "And "]
    lost = steps[2]
    assert lost["name"] == "alpha loses power"
    assert lost["result"] == {"status": "passed", "duration": 8_000_000_000}
    assert (verdict["keyword"], verdict["name"]) == ("Verdict ", "VALID")
    (text,) = verdict["embeddings"]
    said = base64.b64decode(text["data"]).decode()
    assert "failover time 98.6 s of 180.0 s" in said
    assert "reproduce: harness run --only power-off-active --seed 7" in said
    assert green(element)
    for step in element["steps"]:
        assert isinstance(step["line"], int)
        assert isinstance(step["result"]["duration"], int)


def test_invalid_is_failed_with_its_checks(run: Path) -> None:
    scenes.red(run)
    (element,) = elements(told(run)[0])
    failed = {
        step["name"]: step for step in element["steps"] if step["result"]["status"] == "failed"
    }
    assert {"alpha loses power", "No acknowledged write is lost", "INVALID"} <= failed.keys()
    assert "never took over" in failed["alpha loses power"]["result"]["error_message"]
    said = failed["No acknowledged write is lost"]["result"]["error_message"]
    assert said.startswith("INVALID: expected every acknowledged write on both replicas; seen 3 of")
    assert "@INVALID" in [tag["name"] for tag in element["tags"]]


def test_inconclusive_never_looks_passed(run: Path) -> None:
    scenes.inconclusive(run)
    (element,) = elements(told(run)[0])
    last = element["steps"][-1]
    assert (last["name"], last["result"]["status"]) == ("INCONCLUSIVE", "failed")
    assert last["result"]["error_message"].startswith("INCONCLUSIVE: ")
    assert "@INCONCLUSIVE" in [tag["name"] for tag in element["tags"]]
    assert not junit_green(run)


def test_what_was_not_run_is_skipped_and_what_never_ended_failed(run: Path) -> None:
    folder = scenes.power_off(run)
    folder.events = [
        (t, event)
        for t, event in folder.events
        if event["channel"] != Channel.STEP or t < build.at(7)
    ]
    folder.save()
    (element,) = elements(told(run)[0])
    statuses = [step["result"]["status"] for step in element["steps"]]
    assert statuses[:5] == ["passed", "passed", "failed", "skipped", "skipped"]


@RUNS
def test_no_format_is_greener_than_the_verdict(run: Path, make: Callable[[Path], Any]) -> None:
    make(run)
    features, report = told(run)
    valid = report["verdict"] == "VALID"
    assert junit_green(run) == valid
    assert (bool(features) and all(green(one) for one in elements(features))) == valid


# --------------------------------------------------------------------- what is wrong with the run


def test_what_is_left_behind_is_an_error(run: Path) -> None:
    scenes.green(run)
    assert junit_green(run)
    part = {"differences": ["host: bridge fh0-data is there"]}
    (run / "residue.json").write_text(json.dumps({"schema": 1, "parts": [part]}))
    assert not junit_green(run)
    features, report = told(run)
    assert report["left_behind"] == ["host: bridge fh0-data is there"]
    bad = [one for one in elements(features) if not green(one)]
    assert [one["name"] for one in bad] == ["nothing is left behind"]
    assert "bridge fh0-data" in bad[0]["steps"][0]["result"]["error_message"]


@pytest.mark.parametrize("verdict", [Verdict.INVALID, Verdict.INCONCLUSIVE, None])
def test_a_scenario_that_was_never_begun_again_is_a_case(
    run: Path, verdict: Verdict | None
) -> None:
    scenes.green(run)
    folder = scenes.power_off(run, "other")
    folder.scenario |= {"name": "Another", "outcome": "finished" if verdict else "running"}
    folder.check("stall", "Writes never stood still", verdict or Verdict.VALID)
    folder.save(judged=verdict is not None)
    (run / "superseded").mkdir()
    folder.path.rename(run / "superseded" / "other-1")
    suite = ET.parse(write_junit(run)).getroot()[0]
    wanted = ("1", "0") if verdict is Verdict.INVALID else ("0", "1")
    assert (suite.get("failures"), suite.get("errors")) == wanted
    features, report = told(run)
    assert [one["name"] for one in elements(features) if not green(one)] == ["Another"]
    (pending,) = report["pending"]
    assert (pending["scenario"], pending["place"]) == ("Another", "superseded/other-1")
    assert pending["verdict"] == (verdict and str(verdict))


# ------------------------------------------------------------------------------------------ files


def test_they_are_written_with_the_report(run: Path) -> None:
    scenes.green(run)
    assert write_report(run) == run / "index.html"
    assert {path.name for path in run.glob("*.json")} >= {"cucumber.json", "run-report.json"}
    assert not list(run.glob("*.tmp"))


def test_the_schema_can_be_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["harness", "report", "--schema"])
    monkeypatch.setattr("signal.signal", lambda *_: None)
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert not end.value.code
    assert capsys.readouterr().out == PUBLISHED.read_text()
