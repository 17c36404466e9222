"""Nothing that an evidence folder can contain makes the judge crash, or pass."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.checks import (
    ALL_CHECKS,
    CheckResult,
    ScenarioVerdict,
    Verdict,
    VerdictError,
    judge,
    judge_one,
)
from tests.checks.build import healthy

if TYPE_CHECKING:
    from pathlib import Path

    from tests.checks.build import Folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return healthy().save(tmp_path_factory.mktemp("healthy"))


def result(verdict: Verdict, operations: int = 1) -> CheckResult:
    return CheckResult("c", "C", verdict, "e", "s", (1,), ("f:1",), operations, {"a": [1]})


@pytest.mark.parametrize(
    ("checks", "error", "expected"),
    [
        ([], None, Verdict.INCONCLUSIVE),
        ([result(Verdict.VALID)], None, Verdict.VALID),
        ([result(Verdict.VALID, 0)], None, Verdict.INCONCLUSIVE),
        ([result(Verdict.INVALID, 0)], None, Verdict.INCONCLUSIVE),
        ([result(Verdict.VALID)], "trouble", Verdict.INCONCLUSIVE),
        ([result(Verdict.VALID), result(Verdict.INCONCLUSIVE)], None, Verdict.INCONCLUSIVE),
        ([result(Verdict.INVALID), result(Verdict.INCONCLUSIVE)], "x", Verdict.INVALID),
    ],
)
def test_how_results_combine(
    checks: list[CheckResult], error: str | None, expected: Verdict
) -> None:
    assert ScenarioVerdict("s", tuple(checks), error).verdict is expected


def test_a_verdict_survives_the_disk(folder: Path, tmp_path: Path) -> None:
    verdict = judge(folder)
    verdict.save(tmp_path / "verdict.json")
    loaded = ScenarioVerdict.load(tmp_path / "verdict.json")
    assert json.dumps(loaded.to_json()) == json.dumps(verdict.to_json())
    assert loaded.verdict is Verdict.VALID
    assert judge(folder).to_json() == verdict.to_json()


def test_a_verdict_that_its_checks_deny_is_refused(folder: Path, tmp_path: Path) -> None:
    raw = judge(folder).to_json() | {"verdict": "INVALID"}
    (tmp_path / "verdict.json").write_text(json.dumps(raw))
    with pytest.raises(VerdictError, match="its checks say VALID"):
        ScenarioVerdict.load(tmp_path / "verdict.json")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": 2}', '{"schema":1,"slug":"s"}'])
def test_what_is_no_verdict_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "verdict.json").write_text(text)
    with pytest.raises(VerdictError):
        ScenarioVerdict.load(tmp_path / "verdict.json")


@pytest.mark.parametrize(("outcome", "error"), [("error", "SSH died"), ("running", None)])
def test_a_scenario_that_did_not_finish_is_never_valid(
    tmp_path: Path, outcome: str, error: str | None
) -> None:
    built = healthy()
    built.scenario |= {"outcome": outcome, "error": error}
    verdict = judge(built.save(tmp_path))
    assert verdict.verdict is Verdict.INCONCLUSIVE
    assert (error or "never ended") in (verdict.error or "")
    assert verdict.count(Verdict.VALID) == len(verdict.checks)


def test_predictions_of_a_scenario_that_was_killed_had_no_time_to_come(tmp_path: Path) -> None:
    """An invariant needs no end; that something was to happen yet is no defect."""
    folder = healthy()
    folder.scenario["expect"]["failovers"] = 2
    assert judge_one(folder.save(tmp_path / "whole"), "failovers").verdict is Verdict.INVALID
    folder.scenario |= {"outcome": "running", "ended_ns": None}
    found = judge_one(folder.save(tmp_path / "killed"), "failovers")
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "never ended" in found.seen
    folder.scenario |= {"outcome": "error", "error": "interrupted", "touched": True}
    found = judge_one(folder.save(tmp_path / "interrupted"), "failovers")
    assert found.verdict is Verdict.INCONCLUSIVE


def test_an_empty_folder(tmp_path: Path) -> None:
    verdict = judge(tmp_path)
    assert verdict.verdict is Verdict.INCONCLUSIVE
    assert str(tmp_path) not in (verdict.error or "")


@pytest.mark.parametrize("how", ["missing", "empty", "cut", "noise"])
def test_any_damaged_file_is_inconclusive(tmp_path: Path, how: str) -> None:
    """But never a crash, never a pass, and nowhere the folder's own path."""
    whole = healthy().save(tmp_path / "whole")
    names = [path.relative_to(whole) for path in whole.rglob("*") if path.is_file()]
    assert len(names) == 20
    for name in names:
        victim = whole / name
        content = victim.read_bytes()
        if how == "missing":
            victim.unlink()
        else:
            damaged = {"empty": b"", "cut": content[: len(content) // 2], "noise": b"\xff" * 99}
            victim.write_bytes(damaged[how])
        verdict = judge(whole)
        victim.write_bytes(content)  # whole again for the next
        if (how, name.name) == ("cut", "timeline.jsonl"):
            # What was seen by then is judged; that it is not all, no check can know.
            assert verdict.verdict is not Verdict.VALID
        else:
            assert verdict.verdict is Verdict.INCONCLUSIVE, (how, name, verdict)
        assert str(tmp_path) not in json.dumps(verdict.to_json())
    assert judge(whole).verdict is Verdict.VALID


def test_a_torn_last_line_is_dropped(folder: Path, tmp_path: Path) -> None:
    built = healthy().save(tmp_path)
    with (built / "timeline.jsonl").open("a") as file:
        file.write('{"t_ns": 17640')
    assert judge(built).verdict is Verdict.VALID


def test_judge_one(folder: Path) -> None:
    assert judge_one(folder, "lost-writes").verdict is Verdict.VALID
    assert judge_one(folder, "jumbo").verdict is Verdict.INCONCLUSIVE  # not sampled
    with pytest.raises(KeyError, match="lost-writes"):
        judge_one(folder, "lost-wirtes")


def test_paths_that_lead_out_of_the_folder(tmp_path: Path) -> None:
    built = healthy()
    folder = built.save(tmp_path / "in")
    raw = json.loads((folder / "scenario.json").read_text())
    raw["jobs"][0]["json"] = "../../etc/passwd"
    (folder / "scenario.json").write_text(json.dumps(raw))
    assert "leads out" in judge_one(folder, "io-errors").seen


def test_the_registry_documents_itself() -> None:
    for slug, entry in ALL_CHECKS.items():
        assert slug == entry.slug
        assert entry.title
        assert len(entry.description.splitlines()) >= 1, slug


GARBAGE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_garbage_from_guests_never_crashes_the_judge(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    built = healthy()
    for _ in range(data.draw(st.integers(1, 6))):
        event = built.events[data.draw(st.integers(0, len(built.events) - 1))]
        keys = sorted(event.data) or ["text"]
        garbage: Any = data.draw(GARBAGE)
        event.data[data.draw(st.sampled_from(keys))] = garbage
    verdict = judge(built.save(tmp_path_factory.mktemp("g")))
    assert len(verdict.checks) >= 20


def _step(folder: Folder, t_s: float, keyword: str, status: str) -> None:
    data = {"keyword": keyword, "text": "the moment comes", "error": None, "status": status}
    if status == "failed":
        data["error"] = "it never came"
    folder.add(t_s, "host", "step", "begin", **data | {"status": "running"})
    folder.add(t_s + 1, "host", "step", "end", **data)


@pytest.mark.parametrize(
    ("keywords", "error"),
    [
        (["When"], "When the moment comes: it never came"),
        (["Given", "And"], "And the moment comes: it never came"),
        (["When", "But"], "But the moment comes: it never came"),
        (["Given", "When", "Then"], None),
        (["When", "Then", "And"], None),
    ],
)
def test_a_step_that_failed_is_no_pass_unless_it_judges(
    tmp_path: Path, keywords: list[str], error: str | None
) -> None:
    folder = healthy()
    for number, keyword in enumerate(keywords):
        last = number == len(keywords) - 1
        _step(folder, 80 + 2 * number, keyword, "failed" if last else "passed")
    verdict = judge(folder.save(tmp_path))
    assert verdict.error == error
    assert verdict.verdict is (Verdict.VALID if error is None else Verdict.INCONCLUSIVE)


def test_a_failed_step_does_not_hide_what_is_wrong(tmp_path: Path) -> None:
    folder = healthy()
    _step(folder, 80, "When", "failed")
    folder.kernel(40, "bravo", "BUG: unable to handle page fault for address: 0")
    verdict = judge(folder.save(tmp_path))
    assert (verdict.verdict, verdict.error) == (Verdict.INVALID, None)
