"""References, records and states, and the command that keeps a run."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

from harness import cli
from harness.checks import CheckResult, ScenarioVerdict, Verdict
from harness.cluster.config import ClusterConfig
from harness.commands import seed as command
from harness.points import (
    Kind,
    Known,
    Point,
    PointsError,
    Record,
    RecordError,
    Reference,
    State,
    read_points,
    record_of,
    resolve,
    state_of,
    unknown,
    why,
    with_states,
)
from harness.points.resolving import sections

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DOCUMENT = """\
# Title

| point | stands for it | state |
|---|---|---|
| one \\| two | `scenario: A cut` and `check: stall` | passed |
| `code` here is no reference | `lint: order` | not in the last full run |
"""
CONFIG = ClusterConfig().model_dump(mode="json", exclude={"timing"})
VALID, INVALID, UNCLEAR = Verdict.VALID, Verdict.INVALID, Verdict.INCONCLUSIVE
KNOWN = Known(
    scenarios=frozenset(("A cut [by carrier]", "A cut [silently]", "Power", "Power off")),
    checks=frozenset(("stall", "jumbo")),
    rules={"order": True, "colocation": False},
    mutants={"no-order": "Power"},
    measurements={"Done": "12 s", "Open": "Not yet measured on VMs."},
)


def test_a_document_is_read() -> None:
    points = read_points(DOCUMENT)
    assert [(point.text, point.state, point.line) for point in points] == [
        ("one | two", "passed", 5),
        ("`code` here is no reference", "not in the last full run", 6),
    ]
    assert points[0].references == (
        Reference(Kind.SCENARIO, "A cut"),
        Reference(Kind.CHECK, "stall"),
    )
    assert str(points[0].references[0]) == "scenario: A cut"


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("| point |", "| points |", "no table with the columns"),
        (" and `check: stall`", " | x", "line 5: 4 cells"),
        ("`lint: order`", "the lint", "line 6: nothing stands for it"),
        ("`lint: order`", "`lints: order`", "line 6: no reference: lints: order"),
        ("`lint: order`", "`order`", "line 6: no reference: order"),
        ("`lint: order`", "`lint: `", "line 6: no reference"),
    ],
)
def test_a_document_that_is_wrong(old: str, new: str, says: str) -> None:
    with pytest.raises(PointsError, match=says):
        read_points(DOCUMENT.replace(old, new))


def test_states_are_written_in_the_last_column_only() -> None:
    points = read_points(DOCUMENT)
    written = with_states(DOCUMENT, points, ["failed in the last full run", "passed"])
    assert [point.state for point in read_points(written)] == [
        "failed in the last full run",
        "passed",
    ]
    assert with_states(written, read_points(written), [p.state for p in points]) == DOCUMENT


def test_what_does_not_exist() -> None:
    references = [
        Reference(kind, name)
        for kind in Kind
        for name in ("A cut", "Power", "stall", "order", "Done", "no-order", "A c")
    ]
    found = unknown([Point("x", tuple(references), "", 7)], KNOWN)
    exist = {
        "scenario: A cut", "scenario: Power", "check: stall", "lint: order", "measurement: Done",
        "mutant: no-order",
    }  # fmt: skip
    assert set(found) == {f"line 7: there is no {one}" for one in map(str, references)
                          if one not in exist}  # fmt: skip


def record(**verdicts: Verdict) -> Record:
    names = {"carrier": "A cut [by carrier]", "silent": "A cut [silently]", "power": "Power"}
    return Record("r", "c", "tcg", "2026-11-26", {names[k]: v for k, v in verdicts.items()})


@pytest.mark.parametrize(
    ("kept", "state"),
    [
        (record(carrier=VALID, silent=VALID), State.PASSED),
        (record(carrier=VALID), State.ABSENT),
        (record(), State.ABSENT),
        (record(carrier=VALID, silent=UNCLEAR), State.ABSENT),
        (record(carrier=INVALID, silent=UNCLEAR), State.FAILED),
        (record(carrier=INVALID), State.FAILED),
    ],
)
def test_all_examples_of_an_outline_have_to_pass(kept: Record, state: State) -> None:
    assert resolve(Reference(Kind.SCENARIO, "A cut"), KNOWN, kept) is state


def test_a_name_that_begins_another_is_not_its_outline() -> None:
    assert KNOWN.examples("Power") == ["Power"]
    assert KNOWN.examples("A cut [silently]") == ["A cut [silently]"]
    kept = record(power=VALID)
    assert resolve(Reference(Kind.SCENARIO, "Power"), KNOWN, kept) is State.PASSED
    assert resolve(Reference(Kind.MUTANT, "no-order"), KNOWN, kept) is State.PASSED
    assert resolve(Reference(Kind.MUTANT, "no-order"), KNOWN, record(power=INVALID)) is State.FAILED


@pytest.mark.parametrize(
    ("counts", "state"),
    [
        ({VALID: 3}, State.PASSED),
        ({VALID: 3, UNCLEAR: 1}, State.PASSED),
        ({UNCLEAR: 1}, State.ABSENT),
        ({}, State.ABSENT),
        ({VALID: 3, INVALID: 1}, State.FAILED),
    ],
)
def test_a_check_has_to_be_valid_somewhere_and_invalid_nowhere(
    counts: dict[Verdict, int], state: State
) -> None:
    kept = Record(scenarios={"Power": VALID}, checks={"stall": counts})
    assert resolve(Reference(Kind.CHECK, "stall"), KNOWN, kept) is state


def test_rules_and_measurements_need_no_run() -> None:
    def of(kind: Kind, name: str) -> State:
        return resolve(Reference(kind, name), KNOWN, Record())

    assert of(Kind.LINT, "order") is State.PASSED
    assert of(Kind.LINT, "colocation") is State.FAILED
    assert of(Kind.MEASUREMENT, "Done") is State.PASSED
    assert of(Kind.MEASUREMENT, "Open") is State.UNMEASURED


def test_the_worst_reference_is_the_point_s_state() -> None:
    references = (
        Reference(Kind.LINT, "order"),
        Reference(Kind.MEASUREMENT, "Open"),
        Reference(Kind.SCENARIO, "Power"),
    )
    assert state_of(Point("x", references, "", 1), KNOWN, Record()) is State.ABSENT
    assert state_of(Point("x", references, "", 1), KNOWN, record(power=INVALID)) is State.FAILED
    assert state_of(Point("x", references[:2], "", 1), KNOWN, Record()) is State.UNMEASURED


def test_what_keeps_a_reference_from_having_passed() -> None:
    def of(kind: Kind, name: str, kept: Record) -> list[str]:
        return why(Reference(kind, name), KNOWN, kept)

    mixed = record(carrier=VALID, silent=UNCLEAR, power=INVALID)
    assert of(Kind.SCENARIO, "A cut", mixed) == ["INCONCLUSIVE: A cut [silently]"]
    assert of(Kind.SCENARIO, "Power off", mixed) == ["not run: Power off"]
    assert of(Kind.MUTANT, "no-order", mixed) == ["INVALID: Power"]
    failed = Record(checks={"stall": {VALID: 9, INVALID: 1}}, failures={"stall": ("Power",)})
    assert of(Kind.CHECK, "stall", failed) == ["INVALID in Power"]
    unclear = Record(checks={"stall": {UNCLEAR: 2}})
    assert of(Kind.CHECK, "stall", unclear) == ["INCONCLUSIVE wherever it applied (2)"]
    (older,) = of(Kind.CHECK, "jumbo", failed)
    assert "judged before there was this check (harness recheck judges them again)" in older
    assert "has a finding" in of(Kind.LINT, "colocation", failed)[0]
    assert of(Kind.MEASUREMENT, "Open", failed) == ["docs/measurements.md says so"]
    for kind, name in ((Kind.LINT, "order"), (Kind.MEASUREMENT, "Done")):
        assert of(kind, name, failed) == []
    assert of(Kind.SCENARIO, "A cut [by carrier]", mixed) == []


def test_sections_of_a_document() -> None:
    assert sections("# A\none\n## B\ntwo\nthree\n### C d\n") == {
        "A": "\none\n",
        "B": "\ntwo\nthree\n",
        "C d": "",
    }


# -------------------------------------------------------------------------------------- records


def stored_run(folder: Path, verdicts: dict[str, Verdict], **facts: Any) -> Path:
    """A run's folder with these scenarios, each with one check of its verdict."""
    folder.mkdir()
    told = {"code": "abc", "accelerator": "tcg", "config": CONFIG, "command": "harness run --all"}
    (folder / "run.json").write_text(json.dumps({**told, **facts}))
    for number, (name, verdict) in enumerate(verdicts.items()):
        evidence = folder / "evidence" / f"s{number}"
        evidence.mkdir(parents=True)
        (evidence / "scenario.json").write_text(json.dumps({"name": name}))
        result = CheckResult("stall", "Stall", verdict, "-", "-", operations=1)
        ScenarioVerdict(f"s{number}", (result,)).save(evidence / "verdict.json")
    return folder


def recorded(folder: Path, names: set[str]) -> Record:
    return record_of(folder, names, reference=CONFIG, today="2026-11-27")


def test_a_record_of_a_run(tmp_path: Path) -> None:
    run = stored_run(tmp_path / "nightly", {"A": VALID, "B": INVALID})
    kept = recorded(run, {"A", "B"})
    assert kept == Record(
        "nightly", "abc", "tcg", "2026-11-27", {"A": VALID, "B": INVALID},
        {"stall": {VALID: 1, INVALID: 1}}, {"stall": ("B",)},
    )  # fmt: skip
    assert kept.full
    part = recorded(run, {"A", "B", "C"})
    assert (part.missing, part.full) == (("C",), False)
    assert not Record().full
    kept.save(tmp_path / "kept.json")
    assert Record.load(tmp_path / "kept.json") == kept
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["kept.json"]


def test_a_scenario_without_a_verdict_is_inconclusive(tmp_path: Path) -> None:
    run = stored_run(tmp_path / "run", {"A": VALID, "B": VALID})
    (run / "evidence/s1/verdict.json").write_text("{")
    assert recorded(run, {"A", "B"}).scenarios == {"A": VALID, "B": UNCLEAR}


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ({"config": {**CONFIG, "drbd": {"protocol": "A"}}}, "not a run of the reference"),
        ({"command": "harness run --max-stall 5"}, "a bound of its own"),
    ],
)
def test_a_run_that_says_nothing_of_the_reference(
    tmp_path: Path, facts: dict[str, Any], says: str
) -> None:
    run = stored_run(tmp_path / "run", {"A": VALID}, **facts)
    with pytest.raises(RecordError, match=says):
        recorded(run, {"A"})


def test_a_folder_that_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"no run\.json that can be read"):
        recorded(tmp_path, set())


@pytest.mark.parametrize(
    "raw",
    ["", "[]", "{}", '{"schema": 2}', '{"schema": 1}',
     '{"schema":1,"run":1,"code":"","accelerator":"","recorded":"","scenarios":{},"checks":{},'
     '"missing":[]}',
     '{"schema":1,"run":"","code":"","accelerator":"","recorded":"","scenarios":{"a":"GOOD"},'
     '"checks":{},"missing":[]}'],
)  # fmt: skip
def test_what_is_no_record(tmp_path: Path, raw: str) -> None:
    (tmp_path / "kept.json").write_text(raw)
    with pytest.raises(RecordError):
        Record.load(tmp_path / "kept.json")


# ---------------------------------------------------------------------------------- the command


@pytest.fixture
def harness(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., tuple[int, str]]:
    """``harness seed`` on a small document and a record of its own."""
    document, kept = tmp_path / "docs" / "seed.md", tmp_path / "docs" / "kept.json"
    document.parent.mkdir()
    document.write_text(DOCUMENT)
    Record().save(kept)
    monkeypatch.setattr(command, "PROJECT", tmp_path)
    monkeypatch.setattr(command, "DOCUMENT", document)
    monkeypatch.setattr(command, "RECORD", kept)
    monkeypatch.setattr(command, "what_there_is", lambda: KNOWN)

    def run(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["harness", "seed", *arguments])
        with pytest.raises(SystemExit) as end:
            cli.main()
        said = capsys.readouterr()
        return int(end.value.code or 0), said.out + said.err

    return run


def test_before_anything_is_recorded(harness: Callable[..., tuple[int, str]]) -> None:
    code, said = harness()
    assert code == 10
    assert "not in the last full run     one | two\n" in said
    assert "scenario: A cut: not in the last full run" in said
    assert "passed                       `code` here is no reference\n" in said
    assert "No run is recorded yet" in said


def test_a_run_is_looked_at_and_kept_when_asked(
    harness: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    run = stored_run(tmp_path / "mine", dict.fromkeys(sorted(KNOWN.scenarios), VALID))
    code, said = harness(str(run))
    assert code == 0
    assert "Run mine of code abc, tcg" in said
    assert "4 scenarios, full" in said
    assert (tmp_path / "docs/seed.md").read_text() == DOCUMENT
    code, said = harness(str(run), "--record")
    assert (code, "recorded in docs/kept.json and docs/seed.md" in said) == (0, True)
    assert Record.load(tmp_path / "docs/kept.json").full
    states = [point.state for point in read_points((tmp_path / "docs/seed.md").read_text())]
    assert states == ["passed", "passed"]
    assert harness()[0] == 0


def test_a_run_that_failed(harness: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    run = stored_run(tmp_path / "mine", {"A cut [silently]": INVALID})
    code, said = harness(str(run))
    assert code == 1
    assert "failed in the last full run  one | two" in said
    assert "check: stall: failed in the last full run" in said
    assert "INVALID in A cut [silently]" in said
    assert "not run: A cut [by carrier]" in said
    assert "3 scenarios missing" in said


def test_mistakes(harness: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    code, said = harness("--record")
    assert (code, "--record of which run?" in said) == (21, True)
    code, said = harness(str(tmp_path / "nothing"))
    assert code == 21
    assert "is not the folder of a run" in " ".join(said.split())
    (tmp_path / "torn" / "evidence").mkdir(parents=True)
    (tmp_path / "torn" / "run.json").touch()
    code, said = harness(str(tmp_path / "torn"))
    assert code == 21
    assert "no run.json that can be read: Expecting value" in " ".join(said.split())
    (tmp_path / "docs/seed.md").write_text(DOCUMENT.replace("A cut", "A cat"))
    code, said = harness()
    assert (code, "there is no scenario: A cat" in said) == (21, True)
