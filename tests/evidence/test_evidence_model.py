"""Loading an evidence folder: strict where the harness wrote, streams begin at their nonce."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from harness.evidence.model import Evidence, EvidenceError, Job, RunInfo, Scenario
from harness.evidence.timeline import Channel, TimelineWriter

if TYPE_CHECKING:
    from pathlib import Path

SCENARIO: dict[str, Any] = {
    "slug": "s", "name": "S", "feature": "f", "tags": [], "started_ns": 1, "ended_ns": None,
    "outcome": "finished", "error": None, "touched": False, "reproduce": "", "gherkin": [],
    "expect": {"failovers": 0, "fencings": 0, "max_stall_s": 45, "active": None,
               "min_spanning_writes": 0, "workload": False, "fault": False, "fenced": [],
               "fewer_failovers": False, "fewer_fencings": True, "durable": "flushed",
               "split_brain": {"resource": "r1", "victim": "bravo"}},
    "jobs": [{"name": "raw1", "kind": "raw", "lun": "lun1", "resource": "r1", "block_size": 4096,
              "json": "fio/raw1.json", "lat_log": None, "headers": None}],
    "luns": {"lun1": {"resource": "r1", "bytes": 4096}},
    "nodes": ["alpha", "bravo"], "initiator": "client", "resources": ["r1"],
    "volumes": {"r1": "r0/1"}, "vip": "10.0.0.1",
    "events": 0,
}  # fmt: skip


def test_a_scenario_round_trips(tmp_path: Path) -> None:
    (tmp_path / "scenario.json").write_text(json.dumps(SCENARIO))
    scenario = Scenario.load(tmp_path / "scenario.json")
    assert scenario.expect.max_stall_s == 45.0
    assert scenario.jobs[0].result == "fio/raw1.json"
    scenario.save(tmp_path / "again.json")
    again = json.loads((tmp_path / "again.json").read_text())
    assert again == SCENARIO


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"started_ns": "1"}, "started_ns"),
        ({"outcome": "fine"}, "outcome"),
        ({"expect": {**SCENARIO["expect"], "failovers": -1}}, "expect.failovers"),
        ({"expect": {**SCENARIO["expect"], "fault": None}}, "expect.fault"),
        ({"luns": {"lun1": {"resource": "r1", "bytes": 0}}}, "luns.lun1.bytes"),
    ],
)
def test_what_is_no_scenario(tmp_path: Path, change: dict[str, Any], where: str) -> None:
    (tmp_path / "scenario.json").write_text(json.dumps(SCENARIO | change))
    with pytest.raises(EvidenceError, match=f"scenario.json: {where}"):
        Scenario.load(tmp_path / "scenario.json")


def test_a_job_can_be_made_by_name() -> None:
    job = Job(name="a", kind="file", json="fio/a.json")
    assert job.model_dump(by_alias=True)["json"] == "fio/a.json"


def _folder(tmp_path: Path, events: list[tuple[str, str, str, dict[str, Any]]]) -> Evidence:
    folder = tmp_path / "run" / "evidence" / "s"
    folder.mkdir(parents=True)
    (folder / "scenario.json").write_text(json.dumps(SCENARIO))
    writer = TimelineWriter(folder / "timeline.jsonl")
    for n, (source, channel, kind, data) in enumerate(events):
        writer.add(source, Channel(channel), kind, data, t_ns=n)
    writer.close()
    return Evidence(folder)


def test_a_stream_begins_at_the_shared_nonce(tmp_path: Path) -> None:
    evidence = _folder(
        tmp_path,
        [
            ("alpha", "console", "nonce", {"nonce": "old"}),
            ("alpha", "console", "line", {"text": "before"}),
            ("alpha", "console", "nonce", {"nonce": "new"}),
            ("bravo", "console", "nonce", {"nonce": "new"}),
            ("bravo", "events2", "nonce", {"nonce": "boot"}),
            ("alpha", "console", "line", {"text": "after"}),
            ("client", "console", "line", {"text": "no nonce"}),
            ("alpha", "state", "sample", {"what": "gi", "when": "after", "node": "alpha"}),
        ],
    )
    lines = evidence.select(Channel.CONSOLE, "line")
    assert [(seen.text("text"), seen.line, seen.ref) for seen in lines] == [
        ("after", 6, "timeline.jsonl:6")
    ]
    assert set(evidence.nonces) == {("alpha", Channel.CONSOLE), ("bravo", Channel.CONSOLE)}
    assert list(evidence.latest("gi", "after")) == ["alpha"]
    assert evidence.latest("gi", "before") == {}


def _entry(boot: str, monotonic_us: int) -> tuple[str, str, str, dict[str, Any]]:
    data = {"message": str(monotonic_us), "boot_id": boot, "monotonic_us": monotonic_us}
    return "alpha", "journal", "entry", data


NONCE = ("alpha", "journal", "nonce", {"nonce": "n"})


@pytest.mark.parametrize(
    ("events", "kept"),
    [
        # The guest's journal service starts again: the whole boot is told once more.
        ([NONCE, *(_entry("b", m) for m in (5, 7, 5, 7, 8, 5, 7, 8, 9))], ["5", "7", "8", "9"]),
        # So are the entries from before the nonce.
        ([_entry("b", 3), _entry("b", 4), NONCE, *(_entry("b", m) for m in (5, 3, 4, 5, 6))],
         ["5", "6"]),
        # The nonce's own stamp counts where it has one.
        ([("alpha", "journal", "nonce", {"nonce": "n", "boot_id": "b", "monotonic_us": 6}),
          *(_entry("b", m) for m in (5, 6, 7))], ["7"]),
        # Several entries of one stamp are no replay, and another boot has its own clock.
        ([NONCE, *(_entry("b", m) for m in (5, 5, 6)), _entry("c", 1)], ["5", "5", "6", "1"]),
        # What is left from before a revert says nothing of the guest's clock at the nonce.
        ([_entry("b", 900_000_000), NONCE, _entry("b", 5)], ["5"]),
    ],
)  # fmt: skip
def test_a_journal_told_again_counts_once(
    tmp_path: Path, events: list[tuple[str, str, str, dict[str, Any]]], kept: list[str]
) -> None:
    evidence = _folder(tmp_path, events)
    entries = evidence.select(Channel.JOURNAL, "entry")
    assert [seen.text("message") for seen in entries] == kept


def test_a_run_is_optional_but_strict(tmp_path: Path) -> None:
    evidence = _folder(tmp_path, [])
    assert evidence.run is None
    run = RunInfo(run="r", started_ns=1, accelerator="tcg", harness="0.1")
    run.save(tmp_path / "run" / "run.json")
    assert Evidence(evidence.folder).run == run
    (tmp_path / "run" / "run.json").write_text('{"run": "r"}')
    with pytest.raises(EvidenceError, match=r"run\.json: started_ns"):
        _ = Evidence(evidence.folder).run


def test_paths_stay_in_the_folder(tmp_path: Path) -> None:
    evidence = _folder(tmp_path, [])
    assert evidence.path("fio/a.json") == evidence.folder.resolve() / "fio/a.json"
    for bad in ("../x", "/etc/passwd", "fio/../../x"):
        with pytest.raises(EvidenceError, match="leads out"):
            evidence.path(bad)


def test_integers_are_integers(tmp_path: Path) -> None:
    evidence = _folder(tmp_path, [("host", "clock", "offset", {"offset_ns": "5", "b": True})])
    seen = evidence.timeline[0]
    for key in ("offset_ns", "b", "missing"):
        with pytest.raises(EvidenceError, match="not an integer"):
            seen.integer(key)
