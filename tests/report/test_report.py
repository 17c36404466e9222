"""The report: complete, harmless and self-contained, whatever the run folder holds."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from harness.checks.verdict import Verdict
from harness.evidence.timeline import Channel
from harness.report import summary_lines, write_junit
from harness.report.load import LenientEvidence, load_run
from harness.report.logs import MOST_LINES
from harness.report.writes import columns, load_writes, rates
from tests.report import build, scenes
from tests.report.pages import page_of, scene_of

if TYPE_CHECKING:
    from pathlib import Path


def test_green_failover(run: Path) -> None:
    scenes.green(run)
    index, _ = page_of(run)
    for said in ("Power off the active node", "TCG", "8.4.11", "1 VALID", "98.6 s of 180.0 s"):
        assert said in index
    text, page = scene_of(run)
    assert "failover time 98.6 s · bound 180.0 s" in text
    assert page.tags.count("svg") > 1
    for said in (
        "Power off the active node",
        "$ </span>harness run --only power-off-active",
        "5 VALID",
        "SyncTarget",
        "fencing succeeded",
        "node lost",
        "another MAC answers for the VIP",
        "Given a healthy cluster with alpha active",
        "power-cut: alpha",
    ):
        assert said in text
    assert 'class="finding' not in text
    assert "No stall beyond the bound" in text
    # Every write of the logs is counted in the head line, none is averaged away.
    logged = sum(
        len(p.read_text().splitlines()) for p in (run / "evidence").glob("*/fio/*_lat.1.log")
    )
    assert f"{logged:,}" in text
    assert f"{logged:,}" in index


def test_what_bravo_said_last_does_not_outlive_alpha(run: Path) -> None:
    scenes.green(run)
    text, _ = scene_of(run)
    assert "alpha r0 role: Primary\n" in text
    assert re.search(r"alpha r0 role: off\n\+0\.[0-9] s to \+20\.4 s", text)
    assert "(role, 2)" not in text


def test_red_is_loud_and_first(run: Path) -> None:
    scenes.green(run)
    scenes.red(run)
    index, _ = page_of(run)
    assert index.index("Cut replication and management together") < index.index("Power off the")
    assert "r1: Primary on alpha and bravo for 248.0 s" in index
    assert "<title>INVALID" in index
    text, _ = scene_of(run, "replication-and-management-cut")
    assert text.count('class="finding INVALID"') == 3
    assert text.count('class="finding INCONCLUSIVE"') == 1
    assert "<title>VALID" in scene_of(run)[0]
    assert "(role, 2)" in text
    assert "bound 75.0 s, exceeded" in text
    assert "r1: Primary on alpha and bravo for 248.0 s" in text
    assert "mgmt link of bravo × 4" in text
    assert "<title>INVALID" in text


def test_inconclusive_is_as_loud(run: Path) -> None:
    scenes.inconclusive(run)
    index, _ = page_of(run)
    text, _ = scene_of(run, "loss-on-replication")
    for one in (index, text):
        assert "<title>INCONCLUSIVE" in one
        assert 'class="verdict INCONCLUSIVE"' in one
    assert 'class="finding INCONCLUSIVE"' in text
    assert "did not bite" in text
    assert "Not tested, or not judged" in index
    assert "not bitten: no proof found" in index


def test_half_written_run(run: Path) -> None:
    scenes.half_written(run)
    assert "there is no verdict.json" in page_of(run)[0]
    text, _ = scene_of(run, "pause-active")
    assert "there is no verdict.json" in text
    assert "the last line of timeline.jsonl is torn" in text
    assert "not healed" in text
    assert "paused" in text
    # The initiator's counters stand in for the logs that fio never wrote.
    assert "longest stall 35.0 s" in text
    assert "2,100" in text


def test_empty_run(tmp_path: Path) -> None:
    text, _ = page_of(tmp_path)
    assert 'class="verdict INCONCLUSIVE"' in text
    assert "no scenario left evidence" in text
    assert summary_lines(tmp_path)[-1].startswith("INCONCLUSIVE")
    suite = ET.parse(write_junit(tmp_path)).getroot()[0]
    assert suite.get("errors") == "1"


def test_a_verdict_that_its_checks_deny_is_not_valid(run: Path) -> None:
    path = scenes.red(run).path / "verdict.json"
    raw = json.loads(path.read_text())
    path.write_text(json.dumps(raw | {"verdict": "VALID"}))
    assert load_run(run).verdict is Verdict.INVALID
    assert "cannot be trusted" in page_of(run)[0]


def test_a_pass_judged_on_nothing_is_none(run: Path) -> None:
    folder = scenes.power_off(run)
    folder.check("empty", "Judged on nothing", operations=0)
    folder.save()
    assert load_run(run).verdict is Verdict.INCONCLUSIVE
    assert "nothing to judge on" in page_of(run)[0]


def test_two_scenarios_of_one_name(run: Path) -> None:
    scenes.power_off(run, "one").save()
    scenes.power_off(run, "one!").save()
    page_of(run)


def test_many_writes_stay_small(run: Path) -> None:
    scenes.power_off(run, writes=170_000).save()
    writes = load_writes(LenientEvidence(run / "evidence" / "power-off-active"))
    assert len(writes.done_ns) > 100_000
    text, _ = scene_of(run)
    assert len(text) < 5_000_000


def test_no_write_is_lost_on_the_way_to_the_picture(run: Path) -> None:
    folder = scenes.green(run)
    writes = load_writes(LenientEvidence(folder.path))
    start_ns, end_ns = int(writes.done_ns[0]), int(writes.done_ns[-1]) + 1
    found = columns(writes, start_ns, end_ns, 700)
    assert int(found.size.sum()) == len(writes.done_ns)
    assert int(found.high.max()) == int(writes.latency_ns.max())
    assert int(found.low.min()) == int(writes.latency_ns.min())
    per_second = rates(writes, start_ns, end_ns, 1_000_000_000)
    assert per_second.sum() == pytest.approx(len(writes.done_ns))
    # On the run's clock, not on the guest's, which is 832 s behind.
    assert abs(start_ns - build.at(-30)) < 1_000_000_000


def test_the_clock_may_drift(run: Path) -> None:
    folder = scenes.green(run)
    before = load_writes(LenientEvidence(folder.path)).done_ns
    drift = build.OFFSET_NS + 300_000_000
    more = {"node": "client", "boot_id": "b", "offset_ns": drift, "uncertainty_ns": 1}
    folder.add(260, "host", Channel.CLOCK, "offset", **more)
    folder.save()
    moved = before - load_writes(LenientEvidence(folder.path)).done_ns
    assert 0 <= int(moved[0]) < 20_000_000
    assert 250_000_000 < int(moved[-1]) < 300_000_000


def test_the_log_is_bounded_and_keeps_what_is_grave(run: Path) -> None:
    folder = scenes.power_off(run)
    for n in range(MOST_LINES):
        folder.kernel(5 + n / 1000, "bravo", f"random chatter {n} END")
    folder.check("x", "Something", Verdict.INVALID)
    folder.save()
    text, _ = scene_of(run)
    assert text.count('<tr class="k') == MOST_LINES
    assert "lines left out" in text
    assert text.count("random chatter") < MOST_LINES
    # What is left out is in the whole log beside it.
    whole = (run / "scenarios/power-off-active.log").read_text()
    assert whole.count("random chatter") == MOST_LINES
    assert 'href="power-off-active.log"' in text
    assert "Operation &#39;reboot&#39; targeting alpha" in text
    assert "domain stopped destroyed" in text


def test_summary_lines(run: Path) -> None:
    scenes.green(run)
    scenes.red(run)
    scenes.half_written(run)
    lines = summary_lines(run)
    assert lines[0].startswith("INVALID")
    assert "failover time 87.5 s of 75.0 s, failovers 1 (expected 0)" in lines[0]
    assert any("expected at most 75 s; seen 87.5 s" in line for line in lines)
    assert sum(line.startswith("VALID") for line in lines) == 1
    assert lines[-1] == "INVALID: 3 scenarios (1 INVALID, 1 INCONCLUSIVE, 1 VALID)"


def test_junit(run: Path) -> None:
    scenes.green(run)
    scenes.red(run)
    scenes.inconclusive(run)
    suite = ET.parse(write_junit(run)).getroot()[0]
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("3", "1", "1")
    found = {case.get("name", "")[:3]: [child.tag for child in case] for case in suite}
    assert found == {
        "Cut": ["failure", "system-out"],
        "Fiv": ["error", "system-out"],
        "Pow": ["system-out"],
    }
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert "Never two Primaries" in failure.get("message", "")


def test_writes_that_cannot_be_placed_are_said_to_be_so(run: Path) -> None:
    folder = scenes.green(run)
    folder.events = [event for event in folder.events if event[1]["channel"] != Channel.CLOCK]
    folder.save(judged=False)
    (folder.path / "verdict.json").unlink()
    text, _ = scene_of(run)
    assert "clock was never measured" in text
    assert "it cannot be placed" in text


def test_a_scenario_without_fault_and_workload(run: Path) -> None:
    expect = {"failovers": 0, "fencings": 0, "max_stall_s": 0.0, "workload": False}
    folder = build.Folder(run, "control", "Nothing happens", fault=False, fenced=[], **expect)
    folder.check("faults", "Every fault bit and healed")
    folder.save()
    text, _ = scene_of(run, "control")
    assert "seconds; 0 is the scenario&#39;s start" in text
    assert "not measured" in text
    assert "no bound stated" not in text


@pytest.mark.parametrize("workload", [True, False])
def test_counters_that_stand_still_are_a_stall_where_somebody_was_to_write(
    run: Path, *, workload: bool
) -> None:
    expect = {"failovers": 0, "fencings": 0, "max_stall_s": 15.0, "workload": workload}
    folder = build.Folder(run, "control", "A little is written", fault=False, fenced=[], **expect)
    for seconds, write_ios in ((0, 10), (1, 12), (18, 15)):
        folder.add(
            seconds, "client", Channel.PROGRESS, "io", disk="sda", write_ios=write_ios, in_flight=0
        )
    folder.check("membership", "All nodes are members")
    folder.save()
    text, _ = scene_of(run, "control")
    assert ("17.0 s of 15.0 s" in text) is workload
    assert ("not measured" in text) is not workload
    page_of(run)
    assert ('class="bar over"' in (run / "index.html").read_text()) is workload


def test_the_summary_says_at_most_where_fewer_will_do(run: Path) -> None:
    folder = scenes.green(run).path
    scenario = json.loads((folder / "scenario.json").read_text())
    scenario["expect"] |= {"failovers": 7, "fewer_failovers": True}
    (folder / "scenario.json").write_text(json.dumps(scenario))
    assert "(expected at most 7)" in "\n".join(summary_lines(run))
    scenario["expect"]["fewer_failovers"] = False
    (folder / "scenario.json").write_text(json.dumps(scenario))
    assert "(expected 7)" in "\n".join(summary_lines(run))
    scenario["expect"] |= {"fencings": 9, "fewer_fencings": True}
    (folder / "scenario.json").write_text(json.dumps(scenario))
    assert "(expected at most 9)" in "\n".join(summary_lines(run))


def test_fewer_than_at_most_is_nothing_amiss(run: Path) -> None:
    folder = scenes.green(run).path
    scenario = json.loads((folder / "scenario.json").read_text())

    def amounts(expected: int, *, fewer: bool) -> str:
        scenario["expect"] |= {"failovers": expected, "fewer_failovers": fewer}
        (folder / "scenario.json").write_text(json.dumps(scenario))
        page_of(run)
        return (run / "index.html").read_text()

    amiss = '<span class="off">1</span> <span class="muted small">expected '
    fine = '<span>1</span> <span class="muted small">expected '
    assert f"{amiss}7<" in amounts(7, fewer=False)
    assert f"{fine}at most 7<" in amounts(7, fewer=True)
    assert f"{amiss}at most 0<" in amounts(0, fewer=True), "more is"
