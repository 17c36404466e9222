"""Coverage of an exploration and the likeness of replays, on the page of their run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from harness.report.explored import covered, replayed
from tests.report import scenes
from tests.report.pages import page_of

if TYPE_CHECKING:
    from pathlib import Path

COVERAGE = {
    "schema": 1, "schedules": 3, "drbd": ["connected", "alone"],
    "phases": ["serving", "fencing"],
    "cells": [["power-off server", "connected", "serving", 2],
              ["cut-silent drbd", "alone", "serving", 1],
              ["cut-silent drbd", "connected", "fencing", 1]],
    "before": [],
}  # fmt: skip
REPLAY = {
    "schema": 1, "of": 10, "same": 9, "runs": [], "sequences": [],
    "differences": {"4": ["fencings: nothing, mostly active (from the first state on)"]},
    "timing": [{"what": "passive r1 role: Primary", "runs": 9, "least_s": 30.5, "median_s": 41.0,
                "most_s": 55.25}],
}  # fmt: skip


@pytest.fixture
def run(tmp_path: Path) -> Path:
    scenes.green(tmp_path / "run")
    return tmp_path / "run"


def put(run: Path, name: str, value: Any) -> None:
    (run / name).write_text(value if isinstance(value, str) else json.dumps(value))


def test_a_run_of_scenarios_has_neither(run: Path) -> None:
    assert (covered(run), replayed(run)) == (None, None)
    text, _page = page_of(run)
    assert "<h3>Coverage</h3>" not in text
    assert "<h3>Replays</h3>" not in text


def test_faults_by_the_states_in_which_they_found_the_cluster(run: Path) -> None:
    put(run, "coverage.json", COVERAGE)
    told = covered(run)
    assert told is not None
    assert told.columns == (
        ("connected", "serving"),
        ("connected", "fencing"),
        ("alone", "serving"),
    )
    assert told.rows == (("cut-silent drbd", (0, 1, 1)), ("power-off server", (2, 0, 0)))
    text, _page = page_of(run)
    assert "3 schedules, 3 cells" in text
    assert "<td>power-off server</td>" in text


def test_an_exploration_that_has_just_begun(run: Path) -> None:
    put(run, "coverage.json", COVERAGE | {"schedules": 0, "cells": []})
    assert "no fault was injected yet" in page_of(run)[0]


def test_how_alike_replays_were(run: Path) -> None:
    put(run, "replay.json", REPLAY)
    text, _page = page_of(run)
    assert "9 of 10 replays" in text
    assert "replay 4 differs" in text
    assert "mostly active (from the first state on)" in text
    assert "passive r1 role: Primary" in text


def test_one_replay_is_like_itself(run: Path) -> None:
    put(run, "replay.json", REPLAY | {"of": 1, "same": 1})
    assert replayed(run) is None


def test_many_differences_are_counted(run: Path) -> None:
    differences = {str(n): [f"track {n} {m}" for m in range(15)] for n in range(3)}
    put(run, "replay.json", REPLAY | {"differences": differences})
    told = replayed(run)
    assert told is not None
    assert [len(lines) for _number, lines in told.differences] == [15, 5, 0]
    assert told.more == 25


@pytest.mark.parametrize("text", ["{", "[]", '{"of": "many"}', '{"cells": 7}', "\x00"])
def test_what_cannot_be_read_is_told_of(run: Path, text: str) -> None:
    put(run, "coverage.json", text)
    put(run, "replay.json", text)
    page, _parsed = page_of(run)
    assert "coverage.json cannot be read" in page
    assert "replay.json cannot be read" in page


def test_what_a_guest_may_have_written_is_escaped(run: Path) -> None:
    evil = "<script>alert(1)</script>"
    put(run, "coverage.json", COVERAGE | {"cells": [[evil, evil, evil, 1]]})
    put(run, "replay.json", REPLAY | {"differences": {evil: [evil]}})
    assert evil not in page_of(run)[0]
