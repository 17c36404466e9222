"""How long scenarios take: what was measured here, what is shipped, and what is not known."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from harness.lab.paths import PROJECT, Cache
from harness.nightly import durations
from harness.nightly.durations import SHIPPED, Durations, Source, shipped_names
from harness.running import scenario_names
from harness.session import RunOptions
from harness.timing import PROFILES

KEY = Durations(Path("/nonexistent"), "tcg").key
POWER = "The active node loses power during writes"


def test_what_was_measured_here_counts_before_what_is_shipped(tmp_path: Path) -> None:
    known = Durations(tmp_path, "tcg")
    shipped = known.expected(POWER)
    assert shipped is not None
    assert shipped.source is Source.SHIPPED
    assert known.last_ns(POWER) == 0
    for number, seconds in enumerate((100.0, 300.0, 120.0), start=1):
        known.note(POWER, seconds, number)
    assert known.expected(POWER) == durations.Expected(120.0, Source.HERE), "the median"
    again = Durations(tmp_path, "tcg")
    assert again.expected(POWER) == known.expected(POWER)
    assert again.last_ns(POWER) == 3


def test_only_the_last_runs_are_kept(tmp_path: Path) -> None:
    known = Durations(tmp_path, "tcg")
    for number in range(9):
        known.note(POWER, 1000.0 if number < 4 else 50.0, number)
    stored = json.loads((tmp_path / "durations.json").read_text())
    assert stored[known.key][POWER] == {"seconds": [50.0] * 5, "last_ns": 8}


def test_a_run_that_says_nothing_of_its_length_was_a_run(tmp_path: Path) -> None:
    known = Durations(tmp_path, "tcg")
    known.note("Never measured", None, 7)
    assert known.expected("Never measured") is None
    assert known.last_ns("Never measured") == 7


def test_kinds_of_emulation_are_kept_apart(tmp_path: Path) -> None:
    Durations(tmp_path, "kvm").note(POWER, 40.0, 1)
    expected = Durations(tmp_path, "tcg").expected(POWER)
    assert expected is not None
    assert expected.source is Source.SHIPPED
    assert Durations(tmp_path).accelerator == "kvm", "that of the last run here"
    Durations(tmp_path, "tcg").note(POWER, 140.0, 2)
    assert Durations(tmp_path).accelerator == "tcg"
    known = Durations(tmp_path, "kvm").expected(POWER)
    assert known is not None
    assert known.seconds == 40.0


@pytest.mark.parametrize(("usable", "kind"), [(True, "kvm"), (False, "tcg")])
def test_before_the_first_run_the_host_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, usable: bool, kind: str
) -> None:
    monkeypatch.setattr("os.access", lambda path, _mode: path == "/dev/kvm" and usable)
    assert Durations(tmp_path).accelerator == kind


def test_an_example_is_expected_to_take_as_long_as_the_others(tmp_path: Path) -> None:
    known = Durations(tmp_path, "tcg")
    known.note("The link flaps [1]", 90.0, 1)
    known.note("The link flaps [5]", 110.0, 2)
    assert known.expected("The link flaps [15]") == durations.Expected(100.0, Source.ALIKE)
    assert known.expected("The link flaps") is None, "that one has no example"
    assert known.expected("The link falls [1]") is None


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", '{"tcg": []}', '{"tcg": {"X": 4}}', '{"tcg": {"X": {"seconds": [true, -1]}}}'],
)
def test_a_cache_that_cannot_be_read_knows_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "durations.json").write_text(text)
    known = Durations(tmp_path, "tcg")
    assert known.expected("X") is None
    assert known.last_ns("X") == 0
    known.note("X", 12.0, 1)
    assert Durations(tmp_path, "tcg").expected("X") is not None


def test_a_cache_that_cannot_be_written_is_no_trouble(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    known = Durations(tmp_path / "file" / "below", "tcg")
    known.note(POWER, 12.0, 1)
    assert known.last_ns(POWER) == 0


def test_runs_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    def note(name: str) -> None:
        for number in range(5):
            Durations(tmp_path, "tcg").note(name, 10.0, number)

    threads = [threading.Thread(target=note, args=(f"S{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stored = json.loads((tmp_path / "durations.json").read_text())
    assert {name: len(one["seconds"]) for name, one in stored[KEY].items()} == {
        "S0": 5, "S1": 5, "S2": 5, "S3": 5,
    }  # fmt: skip


def test_other_timeouts_are_kept_apart_and_tell_something_all_the_same(tmp_path: Path) -> None:
    """After a profile was changed nothing is known for sure, and more than what came along."""
    quicker = PROFILES["tcg"].model_copy(update={"corosync_token_ms": 1000})
    Durations(tmp_path, "tcg", quicker).note(POWER, 77.0, 5)
    known = Durations(tmp_path, "tcg")
    assert known.expected(POWER) == durations.Expected(77.0, Source.OTHER_TIMING)
    assert known.last_ns(POWER) == 0, "it was not run with this timing yet"
    known.note(POWER, 90.0, 6)
    assert known.expected(POWER) == durations.Expected(90.0, Source.HERE)
    again = Durations(tmp_path, "tcg", quicker).expected(POWER)
    assert again == durations.Expected(77.0, Source.HERE)
    kvm = Durations(tmp_path, "kvm").expected(POWER)
    assert kvm is None or kvm.source is Source.SHIPPED


def test_what_an_older_harness_has_kept_counts_as_other_timing(tmp_path: Path) -> None:
    old = {"schema": 1, "last": "tcg", "tcg": {POWER: {"seconds": [111.0], "last_ns": 4}}}
    (tmp_path / "durations.json").write_text(json.dumps(old))
    known = Durations(tmp_path)
    assert known.accelerator == "tcg"
    assert known.expected(POWER) == durations.Expected(111.0, Source.OTHER_TIMING)
    known.note("Another", 12.0, 5)
    assert Durations(tmp_path).expected(POWER) == known.expected(POWER), "it is kept"


def test_until_the_first_scenario_it_takes_as_long_as_it_took(tmp_path: Path) -> None:
    known = Durations(tmp_path, "tcg")
    assert known.lab_s() == 60.0
    known.note(durations.LAB, 22.0, 1)
    assert known.lab_s() == 22.0


def test_what_is_shipped_is_of_scenarios_that_there_are() -> None:
    everything = RunOptions(cache=Cache(Path("/nonexistent")), everything=True)
    names = set(scenario_names(everything, PROJECT / "scenarios"))
    for kind, shipped in shipped_names().items():
        assert shipped <= names, kind
    stored = json.loads(SHIPPED.read_text())
    assert all(10 < seconds < 3600 for seconds in stored["tcg"].values())
