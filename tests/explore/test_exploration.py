"""An exploration from end to end, with verdicts by a rule: what is run, kept, resumed, shrunk."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.errors import BadInputError
from harness.explore.coverage import Cell, CoverageStore, pack
from harness.explore.draw import draw
from harness.explore.exploration import Exploration, Plan
from harness.explore.observing import Observed
from harness.explore.records import Records, Settings, load, violated
from harness.explore.vocabulary import KINDS
from tests.explore.fakes import (
    INCONCLUSIVE,
    INVALID,
    VALID,
    FakeRunner,
    steps_of,
    verdict,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.explore.fakes import Rule

SETTINGS = Settings(seed=11, code="c0de")
PLAN = Plan(budget_s=300, shrink_budget_s=3600)

CELL: Cell = ("power-off server", "connected", "serving")


def fine(_lines: list[str]) -> dict[str, Any]:
    return {}


def cut_fails(lines: list[str]) -> dict[str, Any]:
    """What a configuration without an unfence handler does: any cut of replication is too much."""
    hurt = any("drbd" in line and " cut " in line for line in lines)
    hurt |= any("replication of" in line and " cut " in line for line in lines)
    return {"settled": INVALID, "fence-constraints": INVALID} if hurt else {"stall": VALID}


def long_fails(lines: list[str]) -> dict[str, Any]:
    """Whatever is long enough: takes many tries to shrink."""
    return {"dual-vip": INVALID} if len(lines) >= 4 else {}


class Told:
    """An exploration that was begun, and what it said."""

    def __init__(self, exploration: Exploration, runner: FakeRunner, said: list[str]) -> None:
        self.exploration, self.runner, self.said = exploration, runner, said

    @property
    def records(self) -> Records:
        return self.exploration.records


@pytest.fixture
def explore(tmp_path: Path) -> Callable[..., Told]:
    """Begin an exploration below ``tmp_path``; ``run`` it, or not."""

    def begin(
        rule: Rule = fine,
        *,
        settings: Settings = SETTINGS,
        plan: Plan = PLAN,
        name: str = "run",
        cells: tuple[Cell, ...] = (CELL,),
        run: bool = True,
        **more: Any,
    ) -> Told:
        folder = tmp_path / name
        runner = FakeRunner(folder, rule, **more)
        said: list[str] = []
        exploration = Exploration(
            settings,
            plan,
            folder,
            runner,
            schedules=tmp_path / "schedules",
            shown="scenarios/schedules",
            store=CoverageStore(tmp_path / "coverage.json"),
            say=said.append,
            look=lambda _folder: Observed(cells, (0.5,), ()),
        )
        if run:
            exploration.run()
        return Told(exploration, runner, said)

    return begin


def test_schedules_are_run_until_the_budget_is_over(explore: Callable[..., Told]) -> None:
    told = explore(seconds=70)
    # 4 × 70 s are less than 300 s, 5 × 70 s are not: the fifth begins and no sixth.
    assert [entry.number for entry in told.records.entries] == [1, 2, 3, 4, 5]
    assert len(told.runner.ran) == 5
    assert {entry.verdict for entry in told.records.entries} == {VALID}
    assert told.said[0].startswith("◆ Schedule 1 of seed 11: ")
    assert "0.0 of 5.0 min" in told.said[0]
    assert told.said[1] == "◆ Schedule 1 of seed 11: VALID"
    limited = explore(plan=replace(PLAN, count=2), name="other")
    assert len(limited.runner.ran) == 2


def test_every_schedule_is_saved_and_is_what_is_run(
    explore: Callable[..., Told], tmp_path: Path
) -> None:
    told = explore()
    saved = sorted((tmp_path / "schedules").iterdir())
    assert sorted(told.runner.files) == saved
    for entry, lines in zip(told.records.entries, told.runner.ran, strict=True):
        assert entry.file == f"scenarios/schedules/{Path(entry.file).name}"
        path = tmp_path / "schedules" / Path(entry.file).name
        assert steps_of(path) == lines == [KINDS[step.kind].text(step) for step in entry.steps]
        assert f"harness replay {entry.file}" in path.read_text()


def test_the_draw_sees_what_was_seen_before(explore: Callable[..., Told], tmp_path: Path) -> None:
    told = explore()
    seen: Counter[Cell] = Counter()
    for entry in told.records.entries:
        assert entry.steps == draw(11, entry.number, seen).steps
        seen.update(entry.cells)
    assert CoverageStore(tmp_path / "coverage.json").seen("reference") == seen
    # Another exploration goes on from there, and its folder says from where.
    again = explore(name="second", settings=replace(SETTINGS, seed=12))
    assert again.records.before == seen
    assert again.records.entries[0].steps == draw(12, 1, seen).steps
    stored = json.loads((tmp_path / "second" / "explore.json").read_text())
    assert stored["coverage_before"] == [[*CELL, seen[CELL]]]
    # Of another configuration nothing is known.
    other = explore(name="third", settings=replace(SETTINGS, config="abc"))
    assert other.records.before == Counter()


def test_coverage_is_written_as_it_comes(explore: Callable[..., Told], tmp_path: Path) -> None:
    """For the report, and for whoever looks while it goes on or after it was killed."""
    told = explore(plan=replace(PLAN, count=2), name="own")
    stored = json.loads((tmp_path / "own" / "coverage.json").read_text())
    assert stored["schedules"] == 2
    counts = Counter(cell for entry in told.records.entries for cell in entry.cells)
    assert stored["cells"] == pack(counts)
    assert stored["drbd"][0] == "connected"


def test_what_was_done_is_not_run_again(explore: Callable[..., Told]) -> None:
    first = explore(plan=replace(PLAN, budget_s=120))
    assert len(first.runner.ran) == 2
    again = explore(plan=replace(PLAN, budget_s=120))
    assert again.runner.ran == []
    assert again.records.entries == first.records.entries
    longer = explore()
    assert len(longer.runner.ran) == 3
    whole = explore(name="at once")
    assert [e.steps for e in longer.records.entries] == [e.steps for e in whole.records.entries]


def test_what_was_interrupted_is_run_again_and_kept_apart(
    explore: Callable[..., Told], tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        explore(dies_at=3)
    root = tmp_path / "run"
    assert len(list((root / "evidence").iterdir())) == 3
    told = explore()
    assert len(told.runner.ran) == 3
    assert len(list((root / "superseded").iterdir())) == 1
    names = {path.name for path in (root / "evidence").iterdir()}
    assert names == told.records.evidence()
    assert len(names) == 5


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"seed": 12}, "its seed differ"),
        ({"code": "other"}, "its code differ"),
        ({"beyond": True}, "its beyond differ"),
        ({"config": "abc"}, "its config differ"),
        ({"without": ("panic",)}, "its without differ"),
    ],
)
def test_another_exploration_is_not_gone_on_with(
    explore: Callable[..., Told], change: dict[str, Any], says: str
) -> None:
    explore()
    with pytest.raises(BadInputError, match=says):
        explore(settings=replace(SETTINGS, **change), run=False)


def test_a_folder_of_another_run_is_left_alone(
    explore: Callable[..., Told], tmp_path: Path
) -> None:
    evidence = tmp_path / "run" / "evidence" / "mine"
    evidence.mkdir(parents=True)
    with pytest.raises(BadInputError, match="a run that is no exploration"):
        explore(run=False)
    assert evidence.is_dir()


def test_records_that_were_tampered_with_are_noticed(
    explore: Callable[..., Told], tmp_path: Path
) -> None:
    explore()
    path = tmp_path / "run" / "explore.json"
    raw = json.loads(path.read_text())
    raw["schedules"][1]["steps"] = raw["schedules"][0]["steps"]
    path.write_text(json.dumps(raw))
    with pytest.raises(BadInputError, match="schedule 2 is another one than the seed draws"):
        explore()
    path.write_text("{")
    with pytest.raises(BadInputError, match=r"explore\.json cannot be read"):
        explore(run=False)


def test_coverage_that_cannot_be_read_is_told_at_once(
    explore: Callable[..., Told], tmp_path: Path
) -> None:
    (tmp_path / "coverage.json").write_text("what")
    with pytest.raises(BadInputError, match=r"coverage\.json"):
        explore(run=False)


def test_a_failing_schedule_is_shrunk_and_ends_it(
    explore: Callable[..., Told], tmp_path: Path
) -> None:
    told = explore(cut_fails)
    *valid, failed = told.records.entries
    assert {entry.verdict for entry in valid} <= {VALID}
    assert failed.invalid == ["fence-constraints", "settled"], "what says most comes first"
    assert len(failed.steps) >= 6
    (shrinking,) = told.records.shrinkings
    assert (shrinking.number, shrinking.check) == (failed.number, "fence-constraints")
    assert shrinking.done
    assert len(shrinking.best) <= 3
    minimal = tmp_path / "schedules" / Path(shrinking.file).name
    assert cut_fails(steps_of(minimal))["fence-constraints"] == INVALID
    assert f"Schedule {failed.number} of seed 11, minimal" in minimal.read_text()
    assert f"from {len(failed.steps)} steps to {len(shrinking.best)}" in told.said[-1]
    assert f"in {len(shrinking.tries)} tries" in told.said[-1]
    # Each candidate is a run with its own file and evidence.
    assert len(told.runner.ran) == len(told.records.entries) + len(shrinking.tries)
    assert len({one.file for one in shrinking.tries}) == len(shrinking.tries)


def test_only_the_same_check_counts(explore: Callable[..., Told]) -> None:
    """Half a schedule may fail as well, for another reason."""

    def rule(lines: list[str]) -> dict[str, Any]:
        if any(" cut " in line and "drbd" in line for line in lines) and len(lines) >= 5:
            return {"fence-constraints": INVALID}
        return {"dual-primary": INVALID} if len(lines) < 3 else {}

    told = explore(rule)
    (shrinking,) = told.records.shrinkings
    assert shrinking.check == "fence-constraints"
    assert len(shrinking.best) == 5
    others = [one for one in shrinking.tries if one.verdict == INVALID and not one.fails]
    assert others, "some of them failed otherwise"


def test_trouble_of_the_harness_s_own_is_no_failure(explore: Callable[..., Told]) -> None:
    """A candidate that ended in trouble may look like anything."""
    told = explore(cut_fails, errors=lambda lines: "the lab went away" if len(lines) < 6 else None)
    (shrinking,) = told.records.shrinkings
    assert len(shrinking.best) >= 6
    assert all(len(one.steps) >= 6 for one in shrinking.tries if one.fails)


def test_what_made_trouble_from_the_start_may_make_trouble(explore: Callable[..., Told]) -> None:
    """Two primaries, say: whoever is to stop its writes hangs, in every candidate that fails."""
    told = explore(
        cut_fails, errors=lambda lines: "fio hangs" if "settled" in cut_fails(lines) else None
    )
    failed = told.records.entries[-1]
    assert "trouble: fio hangs" in failed.doubts
    (shrinking,) = told.records.shrinkings
    assert shrinking.done
    assert len(shrinking.best) <= 3
    assert all(one.fails for one in shrinking.tries if one.verdict == INVALID)


def test_shrinking_has_a_budget_and_goes_on_with_more(explore: Callable[..., Told]) -> None:
    short = explore(long_fails, plan=replace(PLAN, shrink_budget_s=130))
    (first,) = short.records.shrinkings
    assert not first.done
    assert len(first.tries) == 3
    assert "the budget was over before the search" in short.said[-1]
    assert first.file, "what was found so far is saved"
    more = explore(long_fails)
    (second,) = more.records.shrinkings
    assert second.done
    assert second.tries[:3] == first.tries
    assert len(more.runner.ran) == len(second.tries) - 3, "what was tried is not tried again"
    assert explore(long_fails).runner.ran == []


def test_an_interrupted_shrinking_goes_on_where_it_was(explore: Callable[..., Told]) -> None:
    whole = explore(long_fails, name="whole")
    (wanted,) = whole.records.shrinkings
    dies_at = len(whole.records.entries) + len(wanted.tries)
    assert len(wanted.tries) > 1
    with pytest.raises(KeyboardInterrupt):
        explore(long_fails, dies_at=dies_at)
    told = explore(long_fails)
    (own,) = told.records.shrinkings
    assert len(told.runner.ran) == 1
    assert (own.best, own.done) == (wanted.best, True)


def test_no_shrinking_without_a_budget_for_it(explore: Callable[..., Told]) -> None:
    told = explore(cut_fails, plan=replace(PLAN, shrink_budget_s=0))
    assert told.records.shrinkings == []
    assert told.records.entries[-1].verdict == INVALID


def test_going_on_shrinks_each_check_once(explore: Callable[..., Told]) -> None:
    told = explore(cut_fails, plan=replace(PLAN, keep_going=True, budget_s=600))
    failed = [entry for entry in told.records.entries if entry.verdict == INVALID]
    assert len(told.records.entries) == 10
    assert len(failed) > 1
    assert len(told.records.shrinkings) == 1
    assert [line for line in told.said if line.endswith("fence-constraints was shrunk before")]


def test_an_inconclusive_schedule_is_explained_and_does_not_end_it(
    explore: Callable[..., Told],
) -> None:
    told = explore(lambda _lines: {"witnesses": INCONCLUSIVE})
    assert len(told.records.entries) == 5
    assert told.records.shrinkings == []
    for entry in told.records.entries:
        assert entry.doubts == ["witnesses: witnesses saw it"]
    assert "INCONCLUSIVE: witnesses: witnesses saw it" in told.said[1]


def test_records_are_read_as_they_were_written(
    explore: Callable[..., Told], tmp_path: Path
) -> None:
    told = explore(cut_fails)
    read = load(tmp_path / "run")
    assert read == told.records
    assert load(tmp_path) is None
    assert read is not None
    assert read.entries[0].reactions == [0.5]


def test_what_says_most_is_the_check_that_is_shrunk_for() -> None:
    checks = {"stall": INVALID, "settled": INVALID, "connections": INVALID, "dual-vip": VALID}
    assert violated(verdict("s", checks)) == ["connections", "stall", "settled"]
    assert violated(verdict("s", {"settled": INVALID})) == ["settled"]
    assert violated(verdict("s", {})) == []
