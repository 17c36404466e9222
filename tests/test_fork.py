"""The beginning of a scenario: revert, then wait until the guests answer, then ask them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from harness.errors import DeadlineError
from harness.lab.topology import Topology
from harness.scenario import Scenario, ScenarioInfo
from harness.timing import TCG

if TYPE_CHECKING:
    from pathlib import Path


class Guest:
    """A guest that answers, or does not within any deadline."""

    def __init__(self, name: str, log: list[str], *, answers: bool) -> None:
        self.name, self.log, self.answers = name, log, answers

    def wait_ready(self, deadline_s: float) -> None:
        assert deadline_s >= 30
        self.log.append(f"wait {self.name}")
        if not self.answers:
            raise DeadlineError(f"{self.name} did not answer")

    def run(self, command: str, **_options: Any) -> SimpleNamespace:
        self.log.append(f"ask {self.name}")
        raise DeadlineError("enough for this test")


def scenario(folder: Path, log: list[str], *, answers: bool) -> Scenario:
    guests = {n: Guest(n, log, answers=answers or n != "bravo") for n in ("alpha", "bravo")}
    machines = {n: SimpleNamespace(name=n, guest=guest) for n, guest in guests.items()}
    lab = SimpleNamespace(
        folder=folder,
        machines=machines,
        nodes=list(machines.values()),
        initiator=SimpleNamespace(name="client"),
        topology=Topology(),
        revert=lambda: log.append("revert"),
    )
    witnesses = SimpleNamespace(switch=lambda _writer: log.append("switch"))
    info = ScenarioInfo("s", "S", "f", [], [], "")
    return Scenario(cast("Any", lab), cast("Any", witnesses), TCG, folder, info)


def test_guests_are_asked_only_when_they_answer(tmp_path: Path) -> None:
    log: list[str] = []
    with pytest.raises(DeadlineError, match="enough"):
        scenario(tmp_path, log, answers=True).fork()
    assert log[:2] == ["revert", "switch"]
    assert sorted(log[2:4]) == ["wait alpha", "wait bravo"]
    assert sorted(log[4:6]) == ["ask alpha", "ask bravo"]


def test_a_guest_that_never_answers_is_named(tmp_path: Path) -> None:
    log: list[str] = []
    with pytest.raises(DeadlineError, match="bravo did not answer"):
        scenario(tmp_path, log, answers=False).fork()
    assert not [line for line in log if line.startswith("ask")]


class Faults:
    """Two faults, the last of which cannot be healed."""

    def __init__(self, log: list[str]) -> None:
        self.active = {"f1": object(), "f2": object()}
        self._log = log

    def heal(self, fault_id: str) -> None:
        self._log.append(f"heal {fault_id}")
        if fault_id == "f2":
            raise DeadlineError("bravo did not come back")


class Jobs:
    """A workload that ends, or that cannot even be asked to."""

    stuck = False

    def __init__(self, log: list[str], *, ends: bool) -> None:
        self.running, self._log, self._ends = True, log, ends

    def stop(self, _deadline_s: float) -> None:
        self._log.append("stop")
        if not self._ends:
            raise DeadlineError("the initiator does not answer")
        self.running = False

    def collect(self, _folder: Path) -> None:
        self._log.append("logs")

    def describe(self) -> None: ...

    jobs = ()


@pytest.mark.parametrize("ends", [True, False])
def test_what_can_be_read_is_read_though_a_node_does_not_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends: bool
) -> None:
    log: list[str] = []
    run = scenario(tmp_path, log, answers=True)

    def last_state() -> None:
        log.append("state")
        raise OSError("alpha does not say how it is")

    monkeypatch.setattr("harness.scenario.ending.sample_residue", lambda *_args: log.append("left"))
    run.faults = cast("Any", Faults(log))
    run.workload = cast("Any", Jobs(log, ends=ends))
    for name, said in (("_sample_files", "files"), ("_replicas", "replicas"),
                       ("_last_nonce", "nonce"), ("measure_clocks", "clocks")):  # fmt: skip
        monkeypatch.setattr(run, name, lambda said=said: log.append(said))
    monkeypatch.setattr(run, "settle", lambda: "")
    monkeypatch.setattr(run, "wait_writes_resume", lambda *_args: None)
    monkeypatch.setattr(run, "_last_state", last_state)
    with pytest.raises(DeadlineError, match="bravo did not come back"):
        run.finish()
    # What a fault left is looked for before the file system is taken away to be checked.
    read = ["left", "logs", "files", "state", "replicas"] if ends else ["left", "logs", "state"]
    waits = ["wait alpha", "wait bravo"]
    assert log == ["heal f2", "heal f1", "stop", "clocks", *waits, *read, "nonce"]
    assert '"outcome": "running"' in (tmp_path / "scenario.json").read_text()
    run.finish()
    assert log[-1] == "nonce", "once"
    assert len(log) == 7 + len(read)
