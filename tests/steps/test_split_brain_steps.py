"""A split-brain that has to be noticed on both nodes, and a resource that is taken down by hand."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest

from harness.evidence.timeline import Channel, Event
from tests.steps.test_steps_break_things import Run, do, tell

UNRESOLVED = "block drbd1: Split-Brain detected but unresolved, dropping connection!"
STEP = "both nodes have noticed the split-brain of r1"


def says(run: Run, node: str, message: str) -> None:
    data = {"message": message, "transport": "kernel"}
    run.live.feed(Event(time.monotonic_ns(), node, Channel.JOURNAL, "entry", data))


def connection(run: Run, node: str, state: str) -> None:
    tell(run, node, f"change connection name:r1 peer-node-id:0 conn-name:x connection:{state}")


class Guest:
    """A node on which somebody connects; DRBD then tells what it made of it."""

    def __init__(self, run: Run, name: str, told: list[tuple[str, str]]) -> None:
        self.run_of, self.name, self.told, self.ran = run, name, told, list[str]()

    def run(self, command: str, **_options: Any) -> None:
        self.ran.append(command)
        for node, message in self.told:
            says(self.run_of, node, message)


def scene(told: list[tuple[str, str]]) -> tuple[Run, dict[str, Guest]]:
    """alpha stands alone and has noticed; bravo waits for a connection and has not."""
    run = Run()
    guests = {name: Guest(run, name, told) for name in ("alpha", "bravo")}
    for machine in run.lab.nodes:
        machine.guest = guests[machine.name]
    connection(run, "alpha", "StandAlone")
    connection(run, "bravo", "Connecting")
    says(run, "alpha", UNRESOLVED)
    return run, guests


def test_a_node_that_was_hung_up_on_is_called_again() -> None:
    handler = "block drbd1: helper command: /sbin/drbdadm initial-split-brain minor-1"
    run, guests = scene([("bravo", handler)])
    do(run, STEP)
    assert guests["alpha"].ran == ["drbdadm connect r1"]
    assert guests["bravo"].ran == []


def test_nobody_is_called_where_both_noticed() -> None:
    run, guests = scene([])
    says(run, "bravo", UNRESOLVED)
    do(run, STEP)
    assert guests["alpha"].ran == []


@pytest.mark.parametrize(
    "message",
    [
        "block drbd0: Split-Brain detected but unresolved, dropping connection!",
        "block drbd1: Split-Brain detected, 1 primaries, automatically solved. Sync from peer node",
        "block drbd1: helper command: /sbin/drbdadm fence-peer minor-1",
    ],
)
def test_one_that_never_notices_is_left_to_the_check(message: str) -> None:
    run, guests = scene([("bravo", message)])
    do(run, STEP)
    assert guests["alpha"].ran == ["drbdadm connect r1"] * 4


def test_where_a_policy_made_them_one_nobody_waits() -> None:
    run, guests = scene([])
    for node in ("alpha", "bravo"):
        connection(run, node, "Connected")
    do(run, STEP)
    assert guests["alpha"].ran == []


def test_the_resource_is_taken_down_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[tuple[object, ...]] = []
    monkeypatch.setattr("harness.steps.split_brain.take_down", lambda *args: called.append(args))
    run = Run()
    run.timing = SimpleNamespace(fence_handler_timeout_s=60)
    do(run, "r1 is taken down on both nodes")
    assert called == [(run.lab, "alpha", "r1", 60)]
