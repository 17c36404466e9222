"""Parts of a run become one run, whatever was killed and when; nothing is lost or told twice."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.checks.verdict import CheckResult, ScenarioVerdict, Verdict
from harness.errors import BadInputError
from harness.evidence.attempts import superseded
from harness.evidence.files import read_json, write_json
from harness.fleet import parts
from harness.fleet.gathering import finish_part, gather, gather_part, gather_rest
from harness.fleet.journal import Journal
from harness.fleet.parts import Part, hold_run, parts_of
from harness.fleet.worker import give_up
from harness.report.fleet import fleet_notes, place_of
from harness.resuming import check_mergeable, done_before

if TYPE_CHECKING:
    from collections.abc import Callable

FACTS: dict[str, Any] = {
    "run": "x", "accelerator": "tcg", "host": "private", "harness": "0", "timing": {},
    "versions": {}, "kept": None, "code": "c", "command": "harness run -n 2",
}  # fmt: skip


def part_of(run: Path, worker: str, began_ns: int, host: str = "private", **facts: Any) -> Part:
    """A part as a worker leaves it."""
    part = Part.make(run, worker, host, int(worker[2:]), (1000, began_ns))
    told = FACTS | {"host": host, "started_ns": began_ns, "cluster": {"how": "restored"}} | facts
    write_json(part.folder / "run.json", told)
    return part


def ran(
    folder: Path,
    slug: str,
    name: str,
    started_ns: int,
    verdict: Verdict | None = Verdict.VALID,
    **scenario: Any,
) -> Path:
    """Evidence; a verdict of None is a scenario that was killed."""
    evidence = folder / "evidence" / slug
    evidence.mkdir(parents=True)
    outcome = "running" if verdict is None else "finished"
    told = {"slug": slug, "name": name, "started_ns": started_ns, "outcome": outcome, "error": None}
    write_json(evidence / "scenario.json", told | scenario)
    (evidence / "timeline.jsonl").write_text(f"{started_ns}\n")
    if verdict is not None:
        result = CheckResult("stall", "Stall", verdict, "short", "seen", operations=1)
        ScenarioVerdict(slug, (result,)).save(evidence / "verdict.json")
    return evidence


def story(run: Path) -> None:
    """Two workers; one died, and the other did again what that one had begun."""
    one, two = part_of(run, "gw0", 2000), part_of(run, "gw1", 2100, kept="lab1")
    ran(one.folder, "first", "First", 2200)
    ran(one.folder, "victim", "Victim", 2300, None)
    ran(one.folder, "the-link", "The link", 2250)
    ran(two.folder, "the-link", "The link!", 2210, Verdict.INVALID)
    ran(two.folder, "victim", "Victim", 2400)
    (two.folder / "evidence/nameless").mkdir()
    (two.folder / "trouble").mkdir()
    (two.folder / "trouble/libvirtd.log").write_text("oh")
    (one.folder / "worker.log").write_text("hello")
    for part, differences in ((one, None), (two, ["host: rules: a is gone", "alpha: left"])):
        residue = {
            "host": {"before": {"rules": ["a"]}, "after": {"rules": []}},
            "differences": differences,
        }
        write_json(part.folder / "residue.json", {"schema": 1, "parts": [residue]})


def told(run: Path) -> dict[str, Any]:
    """What a run comes to, without the moments at which things were put aside."""
    return {
        "evidence": {
            path.name: (read_json(path / "scenario.json").get("name"), place_of(path))
            for path in (run / "evidence").glob("*/")
        },
        "slugs": {
            path.parent.name: read_json(path)["slug"]
            for path in (run / "evidence").glob("*/verdict.json")
        },
        "aside": sorted(
            (path.name.rpartition("-")[0], (path / "timeline.jsonl").exists())
            for path in superseded(run)
        ),
        "run": read_json(run / "run.json"),
        "residue": read_json(run / "residue.json"),
        "others": sorted(
            path.relative_to(run).as_posix()
            for top in ("trouble", "workers", ".workers")
            for path in (run / top).rglob("*")
            if path.is_file() and not path.name.endswith(".lock")
        ),
    }


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    story(folder)
    return folder


def test_two_parts_are_one_run(run: Path) -> None:
    gather(run)
    came = told(run)
    assert came["evidence"] == {
        "first": ("First", "gw0 on private, slot 0"),
        "the-link": ("The link", "gw0 on private, slot 0"),
        "the-link-2": ("The link!", "gw1 on private, slot 1"),
        "victim": ("Victim", "gw1 on private, slot 1"),
    }
    assert all(slug == folder for folder, slug in came["slugs"].items())
    assert came["aside"] == [("nameless", False), ("victim", True)]
    assert (came["run"]["run"], came["run"]["started_ns"]) == ("run", 1000)
    assert [part["worker"] for part in came["run"]["parts"]] == ["gw0", "gw1"]
    assert came["run"]["kept"] == "lab1"
    assert [part["differences"] for part in came["residue"]["parts"]] == [None, ["alpha: left"]]
    assert came["others"] == ["trouble/2100-gw1/libvirtd.log", "workers/2000-gw0.log"]
    assert parts_of(run) == []


def test_whoever_is_killed_in_the_middle_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At every single step that changes anything on the disk."""
    whole = tmp_path / "whole" / "run"
    story(whole)
    gather(whole)
    expected = told(whole)
    steps = 0
    while True:
        run = tmp_path / f"killed-{steps}" / "run"
        story(run)
        with monkeypatch.context() as patched:
            left = killed_after(patched, steps)
            try:
                gather(run)
            except KeyboardInterrupt:
                pass
            else:
                break
            assert left() < 0
        gather(run)
        assert told(run) == expected, f"after {steps} steps"
        steps += 1
    assert steps > 20


def killed_after(monkeypatch: pytest.MonkeyPatch, steps: int) -> Callable[[], int]:
    """Be killed instead of the next step."""
    left = steps

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def step(*arguments: Any, **more: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                raise KeyboardInterrupt
            return real(*arguments, **more)

        return step

    monkeypatch.setattr(os, "replace", counted(os.replace))
    monkeypatch.setattr(Path, "rename", counted(Path.rename))
    monkeypatch.setattr(shutil, "rmtree", counted(shutil.rmtree))
    return lambda: left


def test_what_is_still_written_to_stays(run: Path) -> None:
    one = parts_of(run)[0]
    gather_part(run, one, but=one.folder / "evidence/victim")
    assert sorted(path.name for path in (run / "evidence").iterdir()) == ["first", "the-link"]
    assert (one.folder / "evidence/victim").is_dir()
    assert read_json(run / "run.json")["parts"][0]["worker"] == "gw0"


def test_a_part_whose_worker_lives_is_waited_for(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = parts_of(run)[0]
    lease = one.lock()
    assert lease is not None
    assert one.lock() is None
    monkeypatch.setattr(parts.Part.wait_for_end, "__defaults__", (0.1,))
    with pytest.raises(BadInputError, match=r"gw0 of .* still runs") as caught:
        gather(run)
    assert caught.value.hint
    assert (one.folder / "evidence/first").is_dir()
    lease.release()
    gather(run)
    assert parts_of(run) == []


def test_a_run_that_is_worked_on_is_nobody_else_s(run: Path) -> None:
    lease = hold_run(run)
    with pytest.raises(BadInputError, match="is being worked on by another process"):
        gather_rest(run)
    assert len(parts_of(run)) == 2
    lease.release()
    gather_rest(run)
    assert not (run / ".workers").exists()
    gather_rest(run)


def test_an_attempt_that_was_tried_again_later_counts_and_is_no_longer_the_run_s(
    tmp_path: Path,
) -> None:
    """harness run --again: what there was is set aside by what came after, in whichever order."""
    for order in ((0, 1), (1, 0)):
        run = tmp_path / f"run{order[0]}"
        ran(run, "link", "Link", 100, Verdict.INVALID)
        made = [part_of(run, "gw0", 2000), part_of(run, "gw1", 2001)]
        ran(made[0].folder, "link", "Link", 2100, None)
        ran(made[1].folder, "link", "Link", 2200)
        for number in order:
            gather_part(run, made[number])
            finish_part(run, made[number])
        (only,) = (run / "evidence").iterdir()
        assert read_json(only / "scenario.json")["started_ns"] == 2200
        aside = [read_json(path / "scenario.json")["started_ns"] for path in superseded(run)]
        assert sorted(aside) == [100, 2100]


def test_a_run_goes_on_after_its_parts_were_gathered(run: Path) -> None:
    gather(run)
    assert done_before(run, {"First", "The link!"}, again=True) == {"First", "The link", "Victim"}
    more = part_of(run, "gw0", 9000, host="qemu:///system")
    ran(more.folder, "the-link", "The link!", 9100)
    gather(run)
    facts = read_json(run / "run.json")
    assert len(facts["parts"]) == 3
    assert facts["host"] == "private, qemu:///system"
    assert facts["started_ns"] == 1000
    # With one lab it goes on only on the libvirt that it is of.
    with pytest.raises(BadInputError, match="other libvirt"):
        check_mergeable(run, FACTS | {"host": "private"})
    check_mergeable(run, json.loads(json.dumps(facts)) | {"host": "private"}, apart=("host",))
    with pytest.raises(BadInputError, match="other accelerator"):
        check_mergeable(run, facts | {"accelerator": "kvm"}, apart=("host",))


@pytest.mark.parametrize(
    ("scenario", "verdict", "given_up"),
    [
        ({"outcome": "error", "error": "libvirt is gone"}, Verdict.INCONCLUSIVE, True),
        ({"outcome": "running"}, None, True),
        ({"outcome": "finished"}, Verdict.INCONCLUSIVE, False),
        ({"outcome": "finished"}, Verdict.VALID, False),
        ({"outcome": "error", "error": "libvirt is gone"}, Verdict.INVALID, False),
    ],
)
def test_only_what_says_nothing_is_given_up(
    tmp_path: Path, scenario: dict[str, Any], verdict: Verdict | None, given_up: bool
) -> None:
    evidence = ran(tmp_path, "one", "One", 1, verdict, touched=True, **scenario)
    before = (evidence / "scenario.json").read_bytes()
    assert give_up(evidence) is given_up
    assert (done_before(tmp_path, {"One"}, again=False) == set()) is given_up
    assert (evidence / "verdict.json").exists() is (verdict is not None and not given_up)
    if scenario.get("error") and given_up:
        assert read_json(evidence / "scenario.json")["given_up"] == "libvirt is gone"
    else:
        assert (evidence / "scenario.json").read_bytes() == before


def test_a_report_of_a_run_that_is_not_gathered_says_so(run: Path) -> None:
    (note,) = fleet_notes(run)
    assert note.startswith("2 parts of this run's workers are not in this report")
    gather(run)
    assert fleet_notes(run) == []


def test_what_was_given_back_is_told_with_where_it_ran_then(tmp_path: Path) -> None:
    """And where nobody could run it again, its own attempt is not taken for another one."""
    for again in (True, False):
        run = tmp_path / f"run-{again}"
        one = part_of(run, "gw0", 2000)
        ran(one.folder, "victim", "Victim", 2100, None)
        Journal(run).lost(one.place, "killed")
        Journal(run).given_back("Victim", one.place, begun=True)
        if again:
            ran(part_of(run, "gw1", 2001).folder, "victim", "Victim", 2200)
        gather(run)
        then = "run again on gw1 on private, slot 1" if again else "not run again"
        assert fleet_notes(run) == [
            "gw0 on private was lost: killed",
            f"given back: Victim: begun on gw0 on private, which was lost; {then}",
        ]


def test_what_became_of_workers_is_told_whatever_the_file_says(tmp_path: Path) -> None:
    write_json(tmp_path / "fleet.json", {"lost": [7, {"worker": "gw0\x1b[31m"}], "given_back": 3})
    assert fleet_notes(tmp_path) == ["gw0 on ? was lost: ?"]
    (tmp_path / "fleet.json").write_text("{")
    assert fleet_notes(tmp_path) == []
