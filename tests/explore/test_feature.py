"""A schedule as a file: complete, readable, and run by the code that runs every other feature."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from harness.errors import BadInputError, ExitCode
from harness.explore.draw import draw
from harness.explore.feature import AFTER, BEFORE, Origin, render, scenario_lines, write
from harness.explore.replay import check_feature
from harness.explore.schedule import Schedule, Step
from harness.explore.vocabulary import check, text
from harness.lab.paths import PROJECT, Cache
from harness.running import list_scenarios, scenario_names
from harness.session import RunOptions

STEPS = (
    Step("fence-hang"),
    Step("fence-heal"),
    Step("reboot", "passive"),
    Step("writes", number=150),
)
OPTIONS = RunOptions(cache=Cache(Path("/nonexistent")), everything=True)


def test_a_file_says_where_it_comes_from_what_it_expects_and_how_to_run_it() -> None:
    schedule = Schedule(42, 3, (Step("power-off", "active"), Step("writes", number=100)))
    told = render(schedule, Origin("c0de", "m.toml", "abc"), "scenarios/schedules/x.feature")
    lines = told.splitlines()
    assert lines[0] == "# Schedule 3 of seed 42: drawn by harness explore, code c0de."
    assert "# Configuration: m.toml. Coverage before it: abc." in lines
    assert (
        "# Again: .venv/bin/harness replay scenarios/schedules/x.feature --config m.toml" in lines
    )
    assert "    180 s (45 s with KVM): the active node loses power" in lines
    given = lines.index("    Given the healthy cluster")
    assert lines[given + 1] == (
        "    And at most 1 failover, at most 1 fencing and no stall above 195 s (50 s with KVM) "
        "are expected"
    )
    assert lines[given + 3] == f"    When {BEFORE} more writes of each raw LUN were acknowledged"
    assert lines[given + 4] == "    And the active node loses power"
    assert lines[given + 6 : given + 8] == [
        "    And everything is healed",
        f"    And {AFTER} more writes of each raw LUN were acknowledged",
    ]
    assert "    And the writes go on again" not in lines, "that was proved by its last step"


def test_what_is_under_way_at_its_end_is_waited_for_before_it_is_healed() -> None:
    told = render(Schedule(1, 1, (Step("drbd-cut", "both", "silently"),)), Origin("c"), "x")
    lines = [line.strip() for line in told.splitlines()]
    assert lines.index("And the writes go on again") + 1 == lines.index("And everything is healed")


def test_what_failed_for_want_of_a_fence_device_is_cleaned_up() -> None:
    """Pacemaker never starts one again by itself that could not be started."""
    gone = (Step("fence-gone", how="both nodes have no way to the fence device"),
            Step("found-failed"), Step("writes", number=100), Step("fence-heal"))  # fmt: skip
    schedule = Schedule(1, 1, gone)
    lines = scenario_lines(schedule, check(gone)[0])
    at = lines.index("And the fence device answers again")
    assert lines[at + 1] == "And the failed actions are cleaned up"
    done = (*gone, Step("cleaned-up"))
    lines = scenario_lines(Schedule(1, 1, done), check(done)[0])
    assert lines.count("And the failed actions are cleaned up") == 1


def test_a_reboot_is_judged_and_nothing_is_healed_where_nothing_is_broken() -> None:
    told = render(Schedule(1, 1, STEPS), Origin("c"), "x")
    assert "    And every reboot ended in time\n" in told
    assert "everything is healed" not in told


def test_a_schedule_beyond_its_limits_is_not_written(tmp_path: Path) -> None:
    bad = Schedule(1, 1, (Step("power-on", "active"),))
    with pytest.raises(ValueError, match="there is nothing to heal"):
        write(bad, Origin("c"), tmp_path, "x")
    assert list(tmp_path.iterdir()) == []


def test_files_bind_themselves_and_pass_the_lint(tmp_path: Path) -> None:
    """By pytest and pytest-bdd as they run every feature; no lab is started to list."""
    for seed in range(6):
        schedule = draw(seed, 1, beyond=seed == 5)
        path = write(schedule, Origin("c"), tmp_path, "somewhere")
        assert path.name == f"{schedule.stem}.feature"
        assert check_feature(path) == schedule.name
        assert scenario_names(OPTIONS, path) == [schedule.name]
        content = path.read_text()
        for step in schedule.steps:
            assert f" {text(step)}\n" in content


def test_a_file_that_was_edited_wrongly_is_found_before_any_lab(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = write(Schedule(1, 1, STEPS), Origin("c"), tmp_path, "x")
    path.write_text(path.read_text().replace("is rebooted cleanly", "is rebooted quickly"))
    with redirect_stdout(io.StringIO()):
        assert list_scenarios(OPTIONS, path) == ExitCode.MISSING_ENVIRONMENT
    assert "unknown step: And the passive node is rebooted quickly" in capfd.readouterr().err
    with pytest.raises(BadInputError, match=r"\.feature:\d+: unknown step: And the passive node"):
        check_feature(path)


def test_saved_schedules_are_not_part_of_any_other_run(tmp_path: Path) -> None:
    """Only a file that is named is bound; a folder's schedules are not."""
    write(Schedule(1, 1, STEPS), Origin("c"), tmp_path, "x")
    assert scenario_names(OPTIONS, tmp_path) == []
    assert "Schedule" not in "".join(scenario_names(OPTIONS, PROJECT / "scenarios"))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "has 0 scenarios|is no feature"),
        ("Feature: x\n", "has 0 scenarios"),
        ("Scenario: x\n", "is no feature"),
        ("Feature: x\n  Scenario: a\n    Given y\n  Scenario: b\n    Given y\n", "has 2 scenarios"),
        (
            "Feature: x\n  Scenario Outline: a\n    Given <y>\n    Examples:\n      | y |\n"
            "      | z |\n",
            "a table of examples",
        ),
        ("Feature: x\n  Scenario: a\n    Given y\n", "unknown step: Given y"),
    ],
)
def test_what_cannot_be_replayed(tmp_path: Path, content: str, says: str) -> None:
    path = tmp_path / "x.feature"
    path.write_text(content)
    with pytest.raises(BadInputError, match=says):
        check_feature(path)
