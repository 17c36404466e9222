"""Replaying one file: so many runs, what they have in common, and going on where it was."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from harness.errors import BadInputError
from harness.explore import replay as module
from harness.explore.feature import Origin as DrawnBy
from harness.explore.feature import write
from harness.explore.replay import Origin, lines, replay, timing_lines
from harness.explore.schedule import Schedule, Step
from tests.explore.fakes import FakeRunner

if TYPE_CHECKING:
    from pathlib import Path

    from harness.explore.pace import Moments
    from harness.explore.sequence import Tracks

ORIGIN = Origin("file", "code", "reference")
USUAL: Tracks = {"active r1 role": ("Primary",), "fencings": ()}
OTHER: Tracks = {"active r1 role": ("Primary", "Secondary"), "fencings": ()}


@pytest.fixture
def feature(tmp_path: Path) -> Path:
    steps = (Step("power-off", "active"), Step("writes", number=100))
    return write(Schedule(1, 1, steps), DrawnBy("c"), tmp_path / "schedules", "x")


@pytest.fixture(autouse=True)
def sequences(monkeypatch: pytest.MonkeyPatch) -> dict[str, Tracks]:
    """What the evidence of a run tells, by the end of its folder's name; USUAL where it says no."""
    told: dict[str, Tracks] = {}

    def read(folder: Path) -> tuple[Tracks, Moments]:
        name = folder.name.rpartition("-")[2]
        return told.get(name, USUAL), {("active r1 role", 1, "Primary"): float(name[3:])}

    monkeypatch.setattr(module, "_read", read)
    return told


def test_it_is_run_so_often_and_compared(
    feature: Path, tmp_path: Path, sequences: dict[str, Tracks]
) -> None:
    sequences["run3"] = OTHER
    runner = FakeRunner(tmp_path / "r")
    said: list[str] = []
    comparison = replay(feature, 4, ORIGIN, tmp_path / "r", runner, said.append)
    assert runner.files == [feature] * 4
    assert said[-1] == f"◆ {feature.name}: replay 4 of 4"
    assert (comparison.runs, comparison.same) == (4, 3)
    assert lines(comparison) == [
        "The same sequence in 3 of 4 replays",
        "  replay 3 differs:",
        "    active r1 role: Primary → Secondary, mostly Primary (from the second state on)",
    ]
    stored = json.loads((tmp_path / "r" / "replay.json").read_text())
    assert (stored["same"], stored["of"]) == (3, 4)
    assert list(stored["differences"]) == ["3"]
    assert stored["sequences"][2]["active r1 role"] == ["Primary", "Secondary"]
    assert [one["verdict"] for one in stored["runs"]] == ["VALID"] * 4


def test_what_there_is_so_far_is_written_after_each_replay(
    feature: Path, tmp_path: Path, sequences: dict[str, Tracks]
) -> None:
    folder = tmp_path / "r"
    sequences["run2"] = OTHER
    with pytest.raises(KeyboardInterrupt):
        replay(feature, 5, ORIGIN, folder, FakeRunner(folder, dies_at=4))
    stored = json.loads((folder / "replay.json").read_text())
    assert (stored["same"], stored["of"], list(stored["differences"])) == (2, 3, ["2"])


def test_when_it_happened_is_told_of_the_replays_that_went_the_usual_way(
    feature: Path, tmp_path: Path, sequences: dict[str, Tracks]
) -> None:
    """The n-th replay promoted after n seconds; the fourth one went another way."""
    folder = tmp_path / "r"
    assert timing_lines(folder) == []
    sequences["run4"] = OTHER
    replay(feature, 4, ORIGIN, folder, FakeRunner(folder))
    assert timing_lines(folder) == [
        "Seconds from the first fault, median of 3 replays (shortest to longest):",
        "      2.0 s  active r1 role: Primary (1.0 to 3.0 s)",
    ]


def test_one_replay_has_nothing_to_be_compared_with(feature: Path, tmp_path: Path) -> None:
    comparison = replay(feature, 1, ORIGIN, tmp_path / "r", FakeRunner(tmp_path / "r"))
    assert lines(comparison) == []


def test_it_goes_on_where_it_was(
    feature: Path, tmp_path: Path, sequences: dict[str, Tracks]
) -> None:
    folder = tmp_path / "r"
    with pytest.raises(KeyboardInterrupt):
        replay(feature, 5, ORIGIN, folder, FakeRunner(folder, dies_at=3))
    sequences["run2"] = OTHER
    runner = FakeRunner(folder)
    assert replay(feature, 5, ORIGIN, folder, runner).same == 4
    assert len(runner.ran) == 3
    assert len(list((folder / "superseded").iterdir())) == 1
    nothing = FakeRunner(folder)
    assert replay(feature, 5, ORIGIN, folder, nothing).runs == 5
    assert nothing.ran == []


@pytest.mark.parametrize("part", ["feature", "code", "config"])
def test_results_of_something_else_are_never_compared(
    feature: Path, tmp_path: Path, part: str
) -> None:
    folder = tmp_path / "r"
    replay(feature, 1, ORIGIN, folder, FakeRunner(folder))
    with pytest.raises(BadInputError, match="another feature, code or configuration"):
        replay(feature, 2, replace(ORIGIN, **{part: "x"}), folder, FakeRunner(folder))
    other = tmp_path / "other"
    (other / "evidence").mkdir(parents=True)
    with pytest.raises(BadInputError, match="a run that is no replay"):
        replay(feature, 1, ORIGIN, other, FakeRunner(other))
    (folder / "replay.json").write_text("[]")
    with pytest.raises(BadInputError, match="cannot be read"):
        replay(feature, 2, ORIGIN, folder, FakeRunner(folder))


def test_evidence_that_cannot_be_read_differs_from_all_others(
    feature: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    folder = tmp_path / "r"
    comparison = replay(feature, 2, ORIGIN, folder, FakeRunner(folder))
    assert comparison.same == 1
    assert "cannot be read" in "\n".join(lines(comparison))
