"""What a scenario says that it is doing, and what it leaves out in a run without injecting."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from harness.checks import CheckResult, ScenarioVerdict, Verdict
from harness.errors import InconclusiveError
from harness.evidence.timeline import Channel, read_timeline
from harness.lab.topology import Topology
from harness.scenario import Scenario, ScenarioInfo
from harness.steps import cluster
from harness.timing import TCG

if TYPE_CHECKING:
    from pathlib import Path


class Guest:
    """A node that may be told to reboot, and says how it is."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.state, self.boot = "running", "old"
        self.obeys = True

    def boot_id(self) -> str:
        return self.boot

    def forget(self) -> None: ...

    def run(self, command: str, **_options: Any) -> SimpleNamespace:
        self.ran.append(command)
        if command == "systemctl reboot" and self.obeys:
            self.state = "stopping"
        elif self.state == "stopping":
            # The second time that it is asked, it has booted.
            told, self.state, self.boot = self.state, "running", "new"
            return SimpleNamespace(stdout=f"{told}\n", exit_code=1)
        return SimpleNamespace(stdout=f"{self.state}\n", exit_code=0)


def scenario(folder: Path, *, injecting: bool = True) -> Scenario:
    machines = {n: SimpleNamespace(name=n, guest=Guest()) for n in ("alpha", "bravo")}
    lab: Any = SimpleNamespace(
        folder=folder, machines=machines, nodes=list(machines.values()),
        initiator=SimpleNamespace(name="client"), topology=Topology(),
    )  # fmt: skip
    witnesses: Any = SimpleNamespace(switch=lambda _writer: None)
    info = ScenarioInfo("s", "S", "f", [], [], "")
    return Scenario(lab, witnesses, TCG, folder, info, injecting=injecting)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scenario:
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    return scenario(tmp_path)


def phases(run: Scenario) -> list[str]:
    events = read_timeline(run.folder / "timeline.jsonl")
    return [
        str(event.data["phase"])
        for event in events
        if event.channel is Channel.PHASE and event.kind == "begin"
    ]


def test_a_time_that_passes_is_the_fault_s_as_long_as_there_is_one(run: Scenario) -> None:
    run.hold(1)
    run.faults._active["f1"] = Any  # type: ignore[assignment]
    run.expect.fault = True
    run.hold(1)
    run.faults._active.clear()
    run.hold(1)
    assert phases(run) == ["load before", "fault", "heal"]


def test_a_reboot_that_begins_is_waited_for(run: Scenario) -> None:
    run._roles = {"active": "alpha", "passive": "bravo"}
    cluster.rebooted(run, "the active node")
    (sample,) = [
        event.data["value"]
        for event in read_timeline(run.folder / "timeline.jsonl")
        if event.data.get("what") == "reboot"
    ]
    assert sample["begun"] == "systemd is stopping"
    assert (sample["boot_id_before"], sample["boot_id_after"]) == ("old", "new")
    assert sample["seconds"] is not None
    assert phases(run) == ["fault"]
    run._save("finished", None)
    assert '"touched": true' in (run.folder / "scenario.json").read_text()


@pytest.mark.parametrize("injecting", [True, False])
def test_a_reboot_that_does_not_begin_says_nothing_of_the_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, injecting: bool
) -> None:
    """Whether it was not ordered, or not obeyed: the proof cannot tell, and is not told."""
    monkeypatch.setattr("harness.scenario.doing.BITE_DEADLINE_S", 0.3)
    run = scenario(tmp_path, injecting=injecting)
    guest: Any = run.lab.machines["alpha"].guest
    guest.obeys = False
    with pytest.raises(InconclusiveError, match="alpha did not begin to go down"):
        cluster.rebooted(run, "alpha")
    assert ("systemctl reboot" in guest.ran) is injecting
    assert guest.ran.count("systemctl is-system-running") > 1
    (sample,) = [
        event.data["value"]
        for event in read_timeline(run.folder / "timeline.jsonl")
        if event.data.get("what") == "reboot"
    ]
    assert (sample["begun"], sample["seconds"]) == ("", None)


def test_what_is_there_is_judged_once_until_something_is_sampled(
    run: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each ``Then`` asks: judging a long scenario for each of them would take minutes."""
    asked: list[Path] = []

    def judge(folder: Path) -> ScenarioVerdict:
        asked.append(folder)
        result = CheckResult("stall", "Stall", Verdict.VALID, "e", "s", operations=1)
        return ScenarioVerdict("s", (result,))

    monkeypatch.setattr("harness.scenario.ending.judge", judge)
    run.finished = True
    run.require(("stall",))
    run.writer.add("alpha", Channel.JOURNAL, "entry", {})
    run.writer.add("host", Channel.STEP, "end", {})
    run.require(("stall",))
    assert len(asked) == 1
    run.writer.add("host", Channel.STATE, "sample", {"what": "jumbo"})
    run.require(("stall",))
    assert len(asked) == 2
    with pytest.raises(InconclusiveError, match="fsck was not run"):
        run.require(("stall", "fsck"))
    assert phases(run) == ["verification", "verification"]


def test_nothing_was_touched_before_something_is_broken(run: Scenario) -> None:
    run._save("error", "the fork failed")
    assert '"touched": false' in (run.folder / "scenario.json").read_text()
