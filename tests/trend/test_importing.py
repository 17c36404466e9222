"""Run folders taken in: what counts as a run, what is kept of it, and every run only once."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

from harness.checks.verdict import ScenarioVerdict
from harness.evidence.files import read_json, write_json
from harness.report.trend.extract import Stage, read_run, stage_of
from harness.report.trend.importing import Imported, import_runs
from harness.report.trend.store import opened
from tests.report.build import run_json
from tests.report.scenes import power_off
from tests.trend.build import (
    INCONCLUSIVE,
    INVALID,
    VALID,
    Came,
    evidence,
    judged,
    slug_of,
    stored,
)

if TYPE_CHECKING:
    from pathlib import Path

    from harness.report.trend.model import RunLine

TWO = {"power off": Came(VALID, 31.5), "link cut": Came(INVALID, 12.0)}


def taken_in(reports: Path, *more: Path) -> tuple[Imported, list[RunLine]]:
    with opened(reports / "trend.sqlite") as store:
        return import_runs(store, reports, more), store.runs()


def test_what_is_kept_of_a_run(tmp_path: Path) -> None:
    run = stored(tmp_path, 3, TWO, seed=7)
    done, (line,) = taken_in(tmp_path)
    assert (done.new, done.notes) == (["night-03"], [])
    facts = read_json(run / "run.json")
    assert (line.name, line.started_ns, line.folder) == (
        "night-03",
        facts["started_ns"],
        "night-03",
    )
    assert (line.accelerator, line.profile, line.code, line.seed) == ("tcg", "tcg", "c0de", 7)
    assert line.versions == facts["versions"]
    assert line.verdict is INVALID
    off, cut = line.scenario("power off"), line.scenario("link cut")
    assert off is not None
    assert cut is not None
    assert (off.verdict, off.bound_s) == (VALID, 180.0)
    assert off.stall_s == pytest.approx(31.5)
    assert (off.failovers, off.fencings, off.seconds) == (1, 1, 120.0)
    assert off.phases == {"detected": pytest.approx(7.875), "promoted": pytest.approx(23.625)}
    assert {check.check: check.verdict for check in off.checks}["stall"] is VALID
    assert (off.why, cut.why) == ("", "No acknowledged write is lost: 8 are lost")
    assert [check.seen for check in cut.checks if check.verdict is INVALID] == ["8 are lost"]


def test_evidence_of_a_whole_scenario(tmp_path: Path) -> None:
    """The scene that the tests of the report have: writes are counted from fio's logs."""
    run = tmp_path / "run-1"
    run_json(run)
    scene = power_off(run)
    scene.save()
    judged(run)
    _, (line,) = taken_in(tmp_path)
    (own,) = line.scenarios
    assert own.name == scene.scenario["name"]
    assert own.writes == 7675
    assert own.verdict is ScenarioVerdict.load(scene.path / "verdict.json").verdict


def test_only_once_and_again_when_it_was_judged_again(tmp_path: Path) -> None:
    run = stored(tmp_path, 0, TWO)
    taken_in(tmp_path)
    done, lines = taken_in(tmp_path)
    assert (done.new, done.again, done.known, len(lines)) == ([], [], 1, 1)
    evidence(run, "link cut", Came(VALID, 12.0), 5)
    judged(run)
    done, (line,) = taken_in(tmp_path)
    assert (done.new, done.again) == ([], ["night-00"])
    assert line.verdict is VALID


def test_a_copy_of_a_run_is_the_same_run(tmp_path: Path) -> None:
    run = stored(tmp_path / "reports", 0, TWO)
    copy = tmp_path / "artefact"
    shutil.copytree(run, copy)
    done, lines = taken_in(tmp_path / "reports", copy)
    assert (done.new, done.known, len(lines)) == (["night-00"], 1, 1)
    other = stored(tmp_path / "elsewhere", 1, TWO)
    _, lines = taken_in(tmp_path / "reports", other)
    assert [line.folder for line in lines] == ["night-00", str(other.resolve())]


def test_what_is_not_finished_waits(tmp_path: Path) -> None:
    goes_on = stored(tmp_path, 0, TWO)
    (goes_on / "evidence/third").mkdir()
    killed = stored(tmp_path, 1, TWO)
    (killed / "verdicts.json").unlink()
    empty = stored(tmp_path, 2, {})
    for folder in (goes_on, killed, empty):
        assert stage_of(folder) is Stage.UNFINISHED
    done, lines = taken_in(tmp_path)
    assert [name for name, _ in done.unfinished] == ["night-00", "night-01", "night-02"]
    assert lines == []
    (goes_on / "evidence/third").rmdir()
    done, lines = taken_in(tmp_path)
    assert done.new == ["night-00"]


def test_a_run_in_parts_is_one_run(tmp_path: Path) -> None:
    run = stored(tmp_path, 0, {"power off": Came()})
    _, (line,) = taken_in(tmp_path)
    assert len(line.scenarios) == 1
    evidence(run, "link cut", Came(), line.ended_ns + 10**12)
    assert stage_of(run) is Stage.UNFINISHED
    judged(run)
    _, (whole,) = taken_in(tmp_path)
    assert len(whole.scenarios) == 2
    assert whole.started_ns == line.started_ns
    assert whole.ended_ns > line.ended_ns


def test_what_is_no_run_is_passed_by(tmp_path: Path) -> None:
    (tmp_path / "campaign/mutant/1").mkdir(parents=True)
    shutil.copytree(stored(tmp_path / "x", 0, TWO), tmp_path / "campaign/mutant/1/run")
    (tmp_path / "link").symlink_to(tmp_path / "x/night-00")
    (tmp_path / "file").write_text("")
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "run.json").write_text('{"run": "x", "started_ns": "y"}')
    done, lines = taken_in(tmp_path)
    assert lines == []
    assert done.notes == [f"{broken}: its run.json cannot be read"]


def test_a_run_json_of_another_shape_is_told(tmp_path: Path) -> None:
    stored(tmp_path, 0, TWO, accelerator="xen")
    stored(tmp_path, 1, TWO)
    done, lines = taken_in(tmp_path)
    assert [line.name for line in lines] == ["night-01"], "one that is bad keeps out no other"
    assert len(done.notes) == 1
    assert "night-00: not taken in" in done.notes[0]


def test_earlier_attempts_count(tmp_path: Path) -> None:
    run = stored(tmp_path, 0, {"power off": Came(VALID)})
    evidence(run, "power off", Came(INVALID), 1, "superseded/power-off-1")
    evidence(run, "link cut", Came(INCONCLUSIVE), 1, "superseded/link-cut-1")
    killed = Came(None, None, {"outcome": "running"})
    evidence(run, "power off", killed, 2, "superseded/power-off-2")
    judged(run)
    _, (line,) = taken_in(tmp_path)
    off, cut = line.scenario("power off"), line.scenario("link cut")
    assert off is not None
    assert cut is not None
    assert (off.verdict, off.attempts) == (INVALID, (INVALID, VALID))
    assert "INVALID" in off.why
    assert (cut.verdict, cut.attempts) == (INCONCLUSIVE, (INCONCLUSIVE,))
    assert "not begun again" in cut.why


def test_a_stall_that_nobody_judged_is_none(tmp_path: Path) -> None:
    stored(tmp_path, 0, {"power off": Came(VALID, None)})
    _, (line,) = taken_in(tmp_path)
    assert line.scenarios[0].stall_s is None


def test_a_scenario_that_a_run_has_twice(tmp_path: Path) -> None:
    run = stored(tmp_path, 0, {"power off": Came(VALID, 20.0)})
    evidence(run, "power off", Came(INVALID, 30.0), 1, "evidence/power-off-2")
    judged(run)
    _, (line,) = taken_in(tmp_path)
    (own,) = line.scenarios
    assert (own.verdict, own.slug, len(own.attempts)) == (INVALID, "power-off-2", 2)
    assert own.stall_s == pytest.approx(25.0)


def test_what_was_drawn_has_no_history(tmp_path: Path) -> None:
    stored(tmp_path, 0, {"schedule 17": Came(more={"tags": ["explored"]}), "power off": Came()})
    _, (line,) = taken_in(tmp_path)
    assert [one.name for one in line.scenarios] == ["power off"]


@pytest.mark.parametrize(
    ("other", "same"),
    [
        ({"code": "other", "versions": {"kernel": "6.12"}}, True),
        ({"config": {"drbd": {"protocol": "A"}}}, True),  # a default: code
        ({"config": {"x": 1}, "command": "harness run --config a.toml"}, False),
        ({"config": {"x": 1}, "parts": [{"command": "harness run --config=a.toml"}]}, False),
        ({"timing": {"name": "kvm"}}, False),
        ({"accelerator": "kvm"}, False),
        ({"host": "qemu:///system"}, False),
        ({"max_stall_s": 60.0}, False),
    ],
)
def test_what_can_be_compared(tmp_path: Path, other: dict[str, object], same: bool) -> None:
    stored(tmp_path, 0, TWO)
    stored(tmp_path, 1, TWO, **other)
    _, lines = taken_in(tmp_path)
    assert (lines[0].series == lines[1].series) is same


def test_guests_words_are_made_harmless(tmp_path: Path) -> None:
    name = "power \x1b[31moff\x00"
    run = stored(tmp_path, 0, {})
    folder = evidence(run, "power off", Came(), 1)
    raw = json.loads((folder / "scenario.json").read_text())
    write_json(folder / "scenario.json", raw | {"name": name, "feature": "F" * 5000})
    assert slug_of("power off") == folder.name
    judged(run)
    (own,) = read_run(run, "x").scenarios
    assert "\x1b" not in own.name
    assert "\x00" not in own.name
    assert len(own.feature) <= 120
