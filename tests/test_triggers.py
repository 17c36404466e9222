"""Which event pulls a trigger, how soon the fault follows it, and waits that end without it."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from harness import triggers as module
from harness.evidence.timeline import Channel, Event
from harness.lab.topology import Topology
from harness.scenario import Scenario, ScenarioInfo
from harness.timing import TCG
from harness.triggers import Pulled, Triggers, Watch

if TYPE_CHECKING:
    from pathlib import Path


class Writer:
    """Keeps what is noted."""

    def __init__(self) -> None:
        self.notes: list[tuple[Channel, str, dict[str, Any]]] = []

    def add(self, _source: str, channel: Channel, kind: str, data: dict[str, Any]) -> None:
        self.notes.append((channel, kind, data))


@pytest.fixture
def writer() -> Writer:
    return Writer()


@pytest.fixture
def triggers(writer: Writer) -> Triggers:
    return Triggers(cast("Any", writer))


def test_the_event_that_completes_it_counts_and_no_later_one() -> None:
    left = ["r0", "r1"]
    watch = Watch("all Primary", lambda: ", ".join(left))
    assert watch.look(10) == "r0, r1"
    left.clear()
    assert watch.look(11) == ""
    left.append("r0")
    assert watch.look(12) == "", "it was reached once"
    assert watch.reached_ns == 11


def test_the_event_is_dated_though_the_wait_looks_later(triggers: Triggers) -> None:
    """Events come in other threads; the waiting one only finds out."""
    there = threading.Event()

    def comes() -> None:
        there.set()
        triggers.look(4711)

    threading.Timer(0.05, comes).start()
    triggers.wait("x", lambda: "" if there.is_set() else "not yet", 5, interval_s=0.3)
    assert triggers.take() == Pulled("x", 4711)
    assert triggers.take() is None, "it is for one fault only"


def test_what_was_there_before_counts_from_now(
    triggers: Triggers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "now_ns", lambda: 99)
    triggers.wait("x", lambda: "", 5)
    assert triggers.take() == Pulled("x", 99)


def test_an_earlier_trigger_is_forgotten(triggers: Triggers) -> None:
    triggers.wait("x", lambda: "", 5)
    triggers.forget()
    assert triggers.take() is None
    triggers.wait("x", lambda: "", 5)
    with pytest.raises(AssertionError, match=r"y: not within 0 s; still missing: all of it"):
        triggers.wait("y", lambda: "all of it", 0.01)
    assert triggers.take() is None


def test_a_wait_with_patience_goes_on_and_says_that_it_missed(
    triggers: Triggers, writer: Writer
) -> None:
    triggers.wait("x", lambda: "all of it", 500, most_s=0.05)
    assert triggers.take() is None
    ((channel, kind, data),) = writer.notes
    assert (channel, kind, data["trigger"]) == (Channel.STATE, "trigger-missed", "x")
    assert 0 < data["seconds"] < 5
    triggers.look(5)
    assert triggers.take() is None, "the wait is over"


def test_what_asks_a_guest_is_not_asked_at_every_event(triggers: Triggers) -> None:
    asked: list[int] = []

    def missing() -> str:
        asked.append(1)
        triggers.look(5)
        return "" if len(asked) > 2 else "not yet"

    triggers.wait("x", missing, 5, streamed=False, interval_s=0.01)
    assert len(asked) == 3
    assert triggers.take() is not None


def test_meanwhile_may_end_the_wait(triggers: Triggers) -> None:
    def meanwhile() -> None:
        raise AssertionError("fio ended by itself")

    with pytest.raises(AssertionError, match="fio ended by itself"):
        triggers.wait("x", lambda: "writes", 500, meanwhile=meanwhile)
    triggers.wait("x", lambda: "", 5, meanwhile=meanwhile)


def scenario(folder: Path) -> Scenario:
    lab = SimpleNamespace(
        folder=folder, machines={}, nodes=[], initiator=SimpleNamespace(name="client"),
        topology=Topology(),
    )  # fmt: skip
    witnesses = SimpleNamespace(switch=lambda _writer: None)
    info = ScenarioInfo("s", "S", "f", [], [], "")
    return Scenario(cast("Any", lab), cast("Any", witnesses), TCG, folder, info)


class Faults:
    """Injects into the timeline only."""

    def __init__(self, run: Scenario) -> None:
        self._run = run

    def inject_together(self, faults: list[Any]) -> list[str]:
        for number, _fault in enumerate(faults, start=1):
            self._run.writer.add("host", Channel.FAULT, "inject", {"id": f"f{number}"})
        return [f"f{number}" for number, _fault in enumerate(faults, start=1)]


def test_a_reaction_is_measured_from_the_event_to_the_injection(tmp_path: Path) -> None:
    run = scenario(tmp_path)
    run.faults = cast("Any", Faults(run))
    seen: list[Event] = []
    run.writer.subscribe(seen.append)
    run.inject(cast("Any", object()))
    assert not [e for e in seen if e.kind == "reaction"], "nothing triggered it"
    for writes in (0, 30):
        data = {"disk": "lun1", "write_ios": writes, "write_bytes": 4096 * writes}
        if writes:
            threading.Timer(0.1, run.writer.add, ("client", Channel.PROGRESS, "io", data)).start()
        else:
            run.writer.add("client", Channel.PROGRESS, "io", data)
    run.wait_writes_resume(5, 30)
    run.inject_together([object(), object()])  # type: ignore[list-item]
    (reaction,) = [e for e in seen if e.kind == "reaction"]
    io = [e for e in seen if e.channel is Channel.PROGRESS][-1]
    inject = [e for e in seen if e.kind == "inject"][-1]
    assert reaction.channel is Channel.STATE
    assert reaction.data["trigger_ns"] == io.t_ns
    assert reaction.data["inject_ns"] == inject.t_ns
    assert reaction.data["seconds"] == round((inject.t_ns - io.t_ns) / 1e9, 3)
    assert reaction.data["fault"] == "f1"
    run.inject(cast("Any", object()))
    assert len([e for e in seen if e.kind == "reaction"]) == 1


def test_time_that_was_let_pass_is_no_reaction(tmp_path: Path) -> None:
    run = scenario(tmp_path)
    run.wait_streamed("x", lambda: "")
    run.hold(0)
    assert run.triggers.take() is None
