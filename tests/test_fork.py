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


def test_what_can_be_read_is_read_though_a_node_does_not_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log: list[str] = []
    run = scenario(tmp_path, log, answers=True)

    def calm(_now: Any) -> None:
        raise DeadlineError("bravo did not come back")

    def last_state() -> None:
        log.append("state")
        raise DeadlineError("alpha does not say how it is")

    monkeypatch.setattr(run, "_calm", calm)
    monkeypatch.setattr(run, "_last_state", last_state)
    monkeypatch.setattr(run, "_replicas", lambda: log.append("replicas"))
    monkeypatch.setattr(run, "_last_nonce", lambda: log.append("nonce"))
    with pytest.raises(DeadlineError, match="bravo did not come back"):
        run.finish()
    assert log == ["state", "replicas", "nonce"]
    run.finish()
    assert log == ["state", "replicas", "nonce"], "once"
