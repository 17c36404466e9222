"""Runs with several workers, each a process: what is run where, and one run in the end."""

from __future__ import annotations

import os
import re
import signal
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from harness.errors import ExitCode
from harness.evidence.attempts import superseded
from harness.evidence.files import read_json
from harness.fleet.parts import parts_of
from harness.report.fleet import fleet_notes
from harness.running import NO_MATCH, NOTHING_LEFT
from tests.fleet.fleet import Ended, Fleet, short_folder, wait_gone

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

short = pytest.fixture(short_folder)


@pytest.fixture
def fleet(tmp_path: Path, short: Path) -> Fleet:
    return Fleet(tmp_path, short)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Fleet, Ended]]:
    """A run of five scenarios on two clusters in which nothing is lost."""
    for cache in short_folder():
        fleet = Fleet(tmp_path_factory.mktemp("whole"), cache)
        fleet.scenarios("The link", "Short", "The link!", "Long", "Bad")
        fleet.behave(
            **{
                # Two names, one folder's name; and each worker has one of them.
                "The link": {"meet": 2},
                "The link!": {"meet": 2},
                "Bad": {"verdict": "INVALID"},
                "lab private": {"left": ["alpha: rules: a rule is left over"]},
            }
        )
        fleet.measured(**{"The link": 90, "Short": 10, "The link!": 80, "Long": 70, "Bad": 20})
        fleet.options(folder=None, fresh=True)
        yield fleet, fleet.pytest("-n", "2")


Whole = tuple[Fleet, Ended]


def test_two_workers_make_one_run(whole: Whole) -> None:
    fleet, ended = whole
    assert fleet.evidence() == {
        "The link": "VALID", "The link!": "VALID", "Short": "VALID", "Long": "VALID",
        "Bad": "INVALID",
    }  # fmt: skip
    assert ended.code == pytest.ExitCode.TESTS_FAILED
    assert len(Counter(one["pid"] for one in fleet.did("begin"))) == 2
    assert max(Counter(fleet.begun()).values()) == 1
    assert not (fleet.run / ".workers").exists()
    assert superseded(fleet.run) == []
    told = fleet.json("run.json")
    assert told["run"] == "run"
    assert sorted(part["worker"] for part in told["parts"]) == ["gw0", "gw1"]
    assert told["started_ns"] < min(part["started_ns"] for part in told["parts"])
    assert (told["host"], told["kept"]) == ("private", None)


def test_names_that_look_alike_keep_their_folders_apart(whole: Whole) -> None:
    fleet, _ = whole
    slugs = {}
    for folder in (fleet.run / "evidence").glob("the-link*"):
        told = [read_json(folder / f"{name}.json")["slug"] for name in ("scenario", "verdict")]
        assert told == [folder.name] * 2
        slugs[folder.name] = read_json(folder / "scenario.json")["name"]
    assert slugs.keys() == {"the-link", "the-link-2"}
    assert set(slugs.values()) == {"The link", "The link!"}


def test_the_longest_is_begun_first_and_one_at_a_time(whole: Whole) -> None:
    fleet, ended = whole
    told = re.findall(r"▶ gw\d on private, slot \d: (.+) \(about", ended.said)
    assert told == ["The link", "The link!", "Long", "Bad", "Short"]
    # A worker begins nothing before it has ended what it did.
    for pid in {one["pid"] for one in fleet.did("begin")}:
        ends = [one["t_ns"] for one in fleet.did("end") if one["pid"] == pid]
        begins = [one["t_ns"] for one in fleet.did("begin") if one["pid"] == pid]
        assert all(end < begin for end, begin in zip(ends, begins[1:], strict=False))


def test_the_report_tells_where_each_ran_and_nothing_of_other_labs(whole: Whole) -> None:
    fleet, ended = whole
    page = (fleet.run / "index.html").read_text()
    for folder in (fleet.run / "evidence").glob("*/"):
        place = read_json(folder / "worker.json")
        assert f"{place['worker']} on private, slot {place['slot']}" in page
    assert "Clusters at once: gw0 on private, slot " in ended.said
    # A lab that came and went beside it is no left-over; what is in the own lab is.
    residue = fleet.json("residue.json")["parts"]
    assert residue[0]["differences"] == [], "this host, before the first lab and after the last"
    assert [part["differences"] for part in residue[1:]] == [
        ["alpha: rules: a rule is left over"]
    ] * 2
    assert "Left behind on this host and in the lab: 1 thing" in ended.said
    assert fleet.labs() == []
    assert len(fleet.did("closed")) == 2


def test_one_of_them_forms_the_cluster_anew_and_the_other_clones_it(whole: Whole) -> None:
    fleet, _ = whole
    assert [lab["fresh"] for lab in fleet.did("lab")] == [True, False]


def test_where_all_was_judged_no_worker_is_started_and_the_run_is_reported_again(
    whole: Whole,
) -> None:
    fleet, _ = whole
    labs = len(fleet.did("lab"))
    fleet.options(resume=True, everything=True)
    ended = fleet.harness("2")
    assert ended.code == ExitCode.INVALID
    assert NOTHING_LEFT in ended.said
    assert len(fleet.did("lab")) == labs
    assert not (fleet.run / ".workers").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"only": ["Nope"]}, "no scenario called 'Nope'"),
        ({"themes": ["nope"]}, NO_MATCH),
        ({"budget_s": 5.0}, NOTHING_LEFT),
        ({"lab": "lab0"}, "--lab lab0 is one lab"),
    ],
)
def test_where_nothing_can_be_run_no_worker_is_started(
    fleet: Fleet, options: dict[str, Any], said: str
) -> None:
    fleet.scenarios("One")
    fleet.options(**options)
    ended = fleet.harness("2")
    assert ended.code == ExitCode.MISSING_ENVIRONMENT
    assert said in ended.said
    assert "INTERNALERROR" not in ended.said
    assert fleet.did("lab") == []
    assert not fleet.run.exists(), "a run that ended before it began has nothing in it"


def test_a_feature_that_cannot_be_read_starts_no_worker(fleet: Fleet) -> None:
    (fleet.folder / "story.feature").write_text("Scenario without a feature\n")
    ended = fleet.harness("2")
    assert ended.code == ExitCode.HARNESS_ERROR
    assert "1 error during collection" in ended.said
    assert fleet.did("lab") == []


def test_what_a_lost_worker_did_is_run_once_more_and_never_a_third_time(fleet: Fleet) -> None:
    fleet.scenarios("Victim", "Judged", "Twice", "Good")
    fleet.behave(
        Victim={"kill": 0.1}, Judged={"kill_judged": True}, Twice={"kill": 0.1, "times": 2}
    )
    pool = fleet.folder / "pool.toml"
    pool.write_text('[[host]]\nname = "one"\nslots = 3\n[[host]]\nname = "two"\nslots = 3\n')
    ended = fleet.harness("2", str(pool))
    assert Counter(fleet.begun()) == {"Victim": 2, "Judged": 1, "Twice": 2, "Good": 1}
    assert fleet.evidence() == {"Victim": "VALID", "Judged": "VALID", "Good": "VALID", "Twice": ""}
    assert ended.code == ExitCode.HARNESS_ERROR
    assert "not judged: Twice" in ended.said
    told = fleet.json("fleet.json")
    assert len(told["lost"]) == 4
    assert sorted(one["scenario"] for one in told["given_back"]) == ["Twice", "Victim"]
    attempts = [read_json(path / "scenario.json")["name"] for path in superseded(fleet.run)]
    assert sorted(attempts) == ["Twice", "Victim"]
    assert fleet.labs() == [], "of a worker that was killed too"
    page = (fleet.run / "index.html").read_text()
    victim = next(note for note in fleet_notes(fleet.run) if "Victim" in note)
    assert victim in page
    assert victim.startswith("given back: Victim: begun on gw")
    assert "run again on gw" in victim
    # Each time, another slot of the pool took the place of the one that was lost.
    used = [(one["host"], one["slot"]) for one in told["lost"]]
    assert len(set(used)) == 4


def test_a_host_that_dies_gives_its_scenario_back_and_gets_nothing_more(fleet: Fleet) -> None:
    fleet.scenarios("First", "Second", "Third", "Fourth")
    fleet.behave(First={"meet": 2}, Second={"meet": 2})
    pool = fleet.folder / "pool.toml"
    pool.write_text(
        '[[host]]\nslots = 1\n[[host]]\nuri = "test:///dies"\nslots = 3\nname = "dying"\n'
    )
    fleet.measured(First=90, Second=80, Third=20, Fourth=10)
    # Whoever runs on that libvirt sees it die in the middle of its first scenario.
    (fleet.folder / "dying").write_text("test:///dies")
    ended = fleet.harness("2", str(pool))
    assert ended.code == ExitCode.VALID
    assert set(fleet.evidence().values()) == {"VALID"}
    assert sorted(Counter(fleet.begun()).values()) == [1, 1, 1, 2]
    (lost,) = fleet.json("fleet.json")["lost"]
    assert (lost["host"], lost["why"]) == ("dying", "the connection to its libvirt is lost")
    (given,) = fleet.json("fleet.json")["given_back"]
    assert given["begun"] is True
    labs = [lab["connect"] for lab in fleet.did("lab")]
    assert labs.count("test:///dies") == 1, "its other two slots went with it"
    (aside,) = superseded(fleet.run)
    assert read_json(aside / "scenario.json")["given_up"].endswith("libvirt went away")
    assert not (aside / "verdict.json").exists(), "it says nothing of the cluster"


def test_a_controller_that_was_killed_loses_nothing(fleet: Fleet) -> None:
    fleet.scenarios("Quick", "Slow", "Later", "Last")
    fleet.behave(Quick={"meet": 2}, Slow={"seconds": 3000}, Later={"seconds": 3000})
    fleet.measured(Quick=90, Slow=80, Later=70, Last=10)
    process = fleet.start("-n", "2", "story.feature")
    fleet.wait_for("begin", 3)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert parts_of(fleet.run), "nobody could gather them"
    fleet.options(resume=True)
    fleet.behave()
    # At once: its workers still end what they do.
    ended = fleet.pytest("-n", "2")
    assert ended.code == pytest.ExitCode.OK, ended.said
    assert Counter(fleet.begun()) == {"Quick": 1, "Slow": 2, "Later": 2, "Last": 1}
    assert set(fleet.evidence().values()) == {"VALID"}
    assert len(fleet.evidence()) == 4
    assert len(superseded(fleet.run)) == 2
    assert len(fleet.json("run.json")["parts"]) >= 3
    closed = [one["interrupted"] for one in fleet.did("closed")]
    assert closed.count(True) == 2, "the first two saw by themselves that they are alone"
    assert fleet.labs() == []
    wait_gone([one["pid"] for one in fleet.did("lab")])


def test_ctrl_c_ends_all_labs(fleet: Fleet) -> None:
    fleet.scenarios("One", "Two", "Three")
    fleet.behave(One={"seconds": 3000}, Two={"seconds": 3000})
    fleet.measured(One=90, Two=80, Three=10)
    process = fleet.start("-n", "2", "story.feature")
    begun = fleet.wait_for("begin", 2)
    os.kill(process.pid, signal.SIGINT)
    ended = fleet.end(process)
    assert ended.code == pytest.ExitCode.INTERRUPTED
    assert "a worker does not end" not in ended.said, "they are told, and need no killing"
    assert fleet.labs() == []
    assert [one["interrupted"] for one in fleet.did("closed")] == [True, True]
    assert fleet.evidence() == {"One": "", "Two": ""}
    wait_gone([one["pid"] for one in begun])


def test_a_lab_that_does_not_come_up_costs_its_slot_and_no_scenario(fleet: Fleet) -> None:
    fleet.scenarios("One", "Two")
    pool = fleet.folder / "pool.toml"
    pool.write_text('[[host]]\nslots = 1\n[[host]]\nuri = "test:///bad"\nslots = 1\n')
    wait = {"troubles": 1}
    fleet.behave(
        **{"One": wait, "Two": wait, "lab test:///bad": {"trouble": "libvirt is not installed"}}
    )
    ended = fleet.harness("2", str(pool))
    assert ended.code == ExitCode.VALID, ended.said
    assert Counter(fleet.begun()) == {"One": 1, "Two": 1}
    (lost,) = fleet.json("fleet.json")["lost"]
    assert lost["why"] == "its lab did not come up: libvirt is not installed (hint: none)"


def test_where_no_lab_comes_up_the_run_says_why(fleet: Fleet) -> None:
    fleet.scenarios("One", "Two")
    fleet.behave(**{"lab private": {"trouble": "libvirt is not installed"}})
    ended = fleet.harness("2")
    assert ended.code == ExitCode.MISSING_ENVIRONMENT
    assert "libvirt is not installed" in ended.said
    assert fleet.begun() == []


def test_a_lab_that_is_unlike_the_others_gets_nothing(fleet: Fleet) -> None:
    fleet.scenarios("One", "Two")
    fleet.behave(**{"One": {"labs": 2}, "Two": {"labs": 2}, "lab test:///old": {"kernel": "5.10"}})
    pool = fleet.folder / "pool.toml"
    pool.write_text('[[host]]\nslots = 1\n[[host]]\nuri = "test:///old"\nslots = 1\n')
    ended = fleet.harness("2", str(pool))
    assert ended.code == ExitCode.VALID, ended.said
    assert Counter(fleet.begun()) == {"One": 1, "Two": 1}
    (lost,) = fleet.json("fleet.json")["lost"]
    assert "holds results with other versions of packages" in lost["why"]
    (given,) = fleet.json("fleet.json")["given_back"]
    assert given["begun"] is False
    (note,) = (note for note in fleet_notes(fleet.run) if note.startswith("given back"))
    assert "not begun on gw" in note
    assert len({part["host"] for part in fleet.json("run.json")["parts"]}) == 2


def test_a_budget_is_for_all_clusters_together_and_labs_can_be_kept(fleet: Fleet) -> None:
    fleet.scenarios("One", "Two", "Three", "Four", "Five")
    fleet.behave(One={"meet": 2}, Two={"meet": 2})
    fleet.options(budget_s=3000, keep="always")
    # By the clock there is time enough; by what was measured, for two on each cluster.
    fleet.measured(**{"One": 1401, "Two": 1401, "Three": 1400, "Four": 1400, "Five": 1400,
                      "(the lab)": 10})  # fmt: skip
    ended = fleet.harness("2")
    assert ended.code == ExitCode.VALID, ended.said
    assert sorted(fleet.evidence()) == ["Four", "One", "Three", "Two"]
    assert "left out, as the time was over: Five" in ended.said
    assert fleet.labs() == ["lab0", "lab1"]
    assert sorted(fleet.json("run.json")["kept"].split(", ")) == ["lab0", "lab1"]
    assert fleet.json("residue.json")["parts"][0]["differences"] is None, "they are still there"
    assert "• Labs are kept: " in ended.said
