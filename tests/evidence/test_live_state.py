"""DRBD's state while a scenario runs, from events2 alone: captured streams and changes of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.evidence.livestate import Live, LiveDrbd, LiveSigns, Sign
from harness.evidence.timeline import Channel, Event, read_timeline
from harness.evidence.witness import parse_line
from harness.lab.topology import RESOURCES

FIXTURES = Path(__file__).parent / "fixtures"
BEGIN = read_timeline(FIXTURES / "streams-begin.jsonl")
TAKEOVER = read_timeline(FIXTURES / "takeover.jsonl")


def event(node: str, kind: str, channel: Channel = Channel.EVENTS2, **data: Any) -> Event:
    return Event(t_ns=0, source=node, channel=channel, kind=kind, data=data)


def said(node: str, line: str) -> Event:
    """An events2 line as the witness turns it into an event."""
    ((kind, data),) = parse_line(Channel.EVENTS2, line.encode())
    return event(node, kind, **data)


def dump(node: str, resource: str) -> list[Event]:
    """How events2 tells what exists when it begins (as in streams-begin.jsonl)."""
    return [
        said(node, f"exists resource name:{resource} role:Secondary suspended:no"),
        said(node, f"exists connection name:{resource} conn-name:peer connection:Connected "
                   "role:Primary"),
        said(node, f"exists device name:{resource} volume:0 minor:0 disk:UpToDate"),
        said(node, f"exists peer-device name:{resource} conn-name:peer volume:0 "
                   "replication:Established peer-disk:UpToDate"),
    ]  # fmt: skip


def live(*events: Event) -> LiveDrbd:
    state = LiveDrbd()
    for one in events:
        state.feed(one)
    return state


WHOLE = [one for node in ("alpha", "bravo") for r in ("r0", "r1") for one in dump(node, r)]


def missing(*more: Event) -> str:
    """What two nodes with two resources miss after ``more``."""
    return live(*WHOLE, *more).missing(("alpha", "bravo"), ("r0", "r1"))


def test_nothing_heard_is_down_and_never_whole() -> None:
    assert live().missing(["alpha"], ["r0", "r1"]) == "alpha: r0 is down; alpha: r1 is down"
    # A dump that has only come to the resource's own line yet.
    begun = live(dump("alpha", "r0")[0])
    assert begun.missing(["alpha"], ["r0"]) == "alpha: r0 is no connection/no disk"


def test_a_captured_dump_is_a_whole_node() -> None:
    state = live(*BEGIN)
    assert state.missing(["alpha"], RESOURCES) == ""
    # What bravo dumped was left out of the fixture: its dump is empty there.
    assert "bravo: r0 is down" in state.missing(["alpha", "bravo"], RESOURCES)


def test_a_captured_takeover_is_not_whole() -> None:
    state = live(*BEGIN, *TAKEOVER)
    wrong = state.missing(["alpha", "bravo"], RESOURCES)
    for resource in RESOURCES:
        assert f"bravo: {resource} is down" in wrong, "its power was cut"
        assert f"alpha: {resource} is " in wrong
        assert f"alpha: {resource} is Connected/" not in wrong


def test_all_nodes_and_resources_that_are_asked_for_count() -> None:
    assert missing() == ""
    state = live(*WHOLE)
    assert state.missing(["alpha"], ["r2"]) == "alpha: r2 is down"
    assert state.missing([], ["r2"]) == ""
    # Resources may come from a generator: every node is asked for all of them.
    assert state.missing(iter(["alpha", "bravo"]), iter(["r0", "r2"])) == (
        "alpha: r2 is down; bravo: r2 is down"
    )


@pytest.mark.parametrize(
    ("line", "seen"),
    [
        ("change connection name:r1 connection:WFConnection", "WFConnection/UpToDate"),
        ("change connection name:r1 conn-name:peer connection:StandAlone", "StandAlone/UpToDate"),
        ("change device name:r1 volume:0 minor:1 disk:Inconsistent", "Connected/Inconsistent"),
        ("change device name:r1 volume:0 minor:1 disk:Diskless", "Connected/Diskless"),
    ],
)  # fmt: skip
def test_a_change_counts_for_its_node_and_resource_until_the_next(line: str, seen: str) -> None:
    assert missing(said("bravo", line)) == f"bravo: r1 is {seen}"
    stamped = said("bravo", f"2026-11-25T13:51:15.1+00:00 {line}")
    assert missing(stamped) == f"bravo: r1 is {seen}"
    good = "connection:Connected disk:UpToDate"
    thing = line.split()[1]
    assert missing(stamped, said("bravo", f"change {thing} name:r1 {good}")) == ""


@pytest.mark.parametrize(
    "line",
    [
        # A role may change without anything being missing, and the peer's disk is the peer's.
        "change resource name:r1 role:Primary",
        "change peer-device name:r1 conn-name:peer volume:0 peer-disk:Outdated",
        "change peer-device name:r1 disk:Failed connection:NetworkFailure",
        "change path name:r1 connection:StandAlone",
        "call helper name:r1 helper:before-resync-target disk:Failed",
        "response helper name:r1 helper:before-resync-target status:0",
        "exists -",
        "what is this",
    ],
)
def test_what_says_nothing_of_connection_and_disk_changes_nothing(line: str) -> None:
    assert missing(said("bravo", line)) == ""


def test_only_events2_counts() -> None:
    fields = {"name": "r1", "disk": "Failed"}
    for channel in set(Channel) - {Channel.EVENTS2}:
        assert missing(event("bravo", "change", channel, object="device", fields=fields)) == ""
        assert missing(event("bravo", "lost", channel)) == ""
        assert missing(event("bravo", "nonce", channel, nonce="1")) == ""


@pytest.mark.parametrize("kind", ["lost", "nonce"])
def test_what_was_known_of_a_node_is_void_when_its_stream_ends_or_begins(kind: str) -> None:
    void = event("bravo", kind)
    assert missing(void) == "bravo: r0 is down; bravo: r1 is down"
    assert missing(void, *dump("bravo", "r1")) == "bravo: r0 is down"
    assert missing(void, *dump("bravo", "r1"), *dump("bravo", "r0")) == ""


def test_the_last_nonce_leaves_what_is_known() -> None:
    assert missing(said("bravo", "nonce end-82eb47a9783ee6d5")) == ""
    assert missing(said("bravo", "nonce 82eb47a9783ee6d5")) != ""


def test_a_resource_that_is_taken_down_is_down() -> None:
    # Its parts go first, then the resource itself.
    down = [
        said("bravo", f"destroy {what} name:r1")
        for what in ("peer-device", "connection", "device", "resource")
    ]
    assert missing(*down) == "bravo: r1 is down"
    assert missing(*down, *down) == "bravo: r1 is down"
    assert missing(*down, *dump("bravo", "r1")) == ""


@pytest.mark.parametrize(
    "data",
    [{}, {"object": "device"}, {"object": "device", "fields": {}}, {"fields": {"name": "r1"}}],
)
def test_an_event_without_its_fields_is_passed_over(data: dict[str, Any]) -> None:
    assert missing(event("bravo", "change", **data)) == ""


def test_resources_that_are_not_in_a_state_are_named() -> None:
    state = live(*WHOLE)
    assert state.not_in("UpToDate", "bravo", ("r0", "r1")) == ""
    assert state.not_in("Secondary", "bravo", ("r0", "r1")) == ""
    assert state.not_in("Primary", "bravo", ("r0",)) == "bravo: r0 is Secondary"
    state.feed(said("bravo", "change device name:r1 volume:0 minor:1 disk:Inconsistent"))
    assert state.not_in("Inconsistent", "bravo", ("r1",)) == ""
    assert state.not_in("Inconsistent", "bravo", iter(("r0", "r1", "r2"))) == (
        "bravo: r0 is UpToDate, r2 is down"
    )
    state.feed(event("bravo", "lost"))
    assert state.not_in("Inconsistent", "bravo", ("r1",)) == "bravo: r1 is down"


def journal(node: str, message: str, t_ns: int = 5) -> Event:
    return Event(t_ns, node, Channel.JOURNAL, "entry", {"message": message})


@pytest.mark.parametrize(
    ("message", "sign", "node", "resource"),
    [
        # As in journals of real nodes (pacemaker 2.1.5), but for the failures.
        (" notice: Initiating stop operation pu_stop_0 locally on alpha", Sign.EMPTIED, "alpha",
         ""),
        (" notice: Initiating demote operation d2_demote_0 on alpha", Sign.EMPTIED, "alpha", ""),
        (" notice: Result of start operation for d1 on alpha: error (failed to attach)",
         Sign.START_FAILED, "alpha", "d1"),
        (" notice: Result of start operation for d1:0 on alpha: Timed Out after 4m",
         Sign.START_FAILED, "alpha", "d1"),
        (" error: Could not write CIB to /var/lib/pacemaker/cib/cib.WB: No space left on device",
         Sign.NO_SPACE, "bravo", ""),
        (" error: Disabling CIB disk writes after failure", Sign.NO_SPACE, "bravo", ""),
    ],
)  # fmt: skip
def test_a_sign_is_told_of_a_node_since_a_moment(
    message: str, sign: Sign, node: str, resource: str
) -> None:
    signs = LiveSigns()
    assert not signs.told(sign, node, 0, resource)
    signs.feed(journal("bravo", message))
    assert signs.told(sign, node, 5, resource)
    assert not signs.told(sign, node, 6, resource), "that was before"
    assert not signs.told(sign, "client", 0, resource)
    assert not signs.told(sign, node, 0, "d0")
    for other in set(Sign) - {sign}:
        assert not signs.told(other, node, 0, resource)
    signs.feed(journal("bravo", message, 9))
    assert signs.told(sign, node, 6, resource)


@pytest.mark.parametrize(
    "message",
    [
        " notice: Initiating start operation d0:1_start_0 on bravo",
        " notice: Initiating monitor operation d0_monitor_23000 on bravo",
        " notice: Result of start operation for d1 on alpha: ok",
        " notice: Result of stop operation for d1 on alpha: error",
        "There is space left on the device",
    ],
)
def test_what_is_no_sign(message: str) -> None:
    signs = LiveSigns()
    signs.feed(journal("alpha", message))
    signs.feed(journal("bravo", message))
    for sign in Sign:
        for node in ("alpha", "bravo"):
            assert not signs.told(sign, node, 0)
            assert not signs.told(sign, node, 0, "d1")


def test_only_journals_tell_signs() -> None:
    signs = LiveSigns()
    for channel in Channel:
        signs.feed(event("alpha", "line", channel, text="No space left on device"))
    signs.feed(event("alpha", "nonce", Channel.JOURNAL, nonce="1"))
    assert not signs.told(Sign.NO_SPACE, "alpha", 0)


def test_all_of_it_is_fed_from_one_timeline() -> None:
    state = Live()
    assert state.injected_ns == 0
    for one in WHOLE:
        state.feed(one)
    state.feed(journal("alpha", "No space left on device", 7))
    for kind, t_ns in (("inject", 8), ("bitten", 9)):
        state.feed(Event(t_ns, "host", Channel.FAULT, kind, {}))
    assert state.drbd.missing(("alpha", "bravo"), ("r0", "r1")) == ""
    assert state.injected_ns == 8
    assert not state.signs.told(Sign.NO_SPACE, "alpha", state.injected_ns)
    state.feed(journal("alpha", "No space left on device", 10))
    assert state.signs.told(Sign.NO_SPACE, "alpha", state.injected_ns)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("change connection name:r1 connection:StandAlone", ["bravo: r1"]),
        ("destroy connection name:r1", ["bravo: r1"]),
        ("change connection name:r1 connection:Connecting", []),
        ("destroy device name:r1 volume:0", []),
        ("destroy resource name:r1", []),
    ],
)
def test_what_will_not_connect_by_itself(line: str, found: list[str]) -> None:
    state = live(*WHOLE, said("bravo", line))
    assert state.cut_off(iter(("alpha", "bravo")), iter(("r0", "r1"))) == found


def test_states_are_copies() -> None:
    state = live(*WHOLE)
    told = state.states()
    assert told["alpha", "r1"] == {
        "role": "Secondary", "connection": "Connected", "disk": "UpToDate",
    }  # fmt: skip
    told["alpha", "r1"]["disk"] = "Failed"
    assert state.states()["alpha", "r1"]["disk"] == "UpToDate"
