"""What journals are read for is found in Pacemaker 3.0's words as it is in those of 2.1.

The words of 2.1 are in the tests of each reader; here is one journal of 3.0 for all of them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.checks import (
    alarms,
    crashed,
    fencelog,
    handover,
    maintenance,
    phases,
    refusals,
)
from harness.cluster import form
from harness.evidence.livestate import LiveSigns, Sign
from harness.evidence.timeline import Channel, Event
from harness.explore import coverage, sequence
from harness.qualify import measuring
from harness.report import membership, moments, serving

if TYPE_CHECKING:
    import re

FIXTURE = Path("tests/evidence/fixtures/pacemaker-3.0.journal")
LINES = [json.loads(line) for line in FIXTURE.read_text(encoding="utf-8").splitlines()]


def messages(scene: str) -> list[str]:
    found = [line["message"] for line in LINES if line["scene"] == scene]
    assert found
    return found


def groups(pattern: re.Pattern[str], scene: str, *names: str) -> list[tuple[str, ...]]:
    return [
        tuple(match[name] for name in names)
        for message in messages(scene)
        if (match := pattern.search(message))
    ]


GROUP = ["pb", "vip", "tgt", "lun0", "lun1", "lun2", "pu"]


def test_starts_and_promotions_that_went_well() -> None:
    started = [(one, "alpha") for one in GROUP]
    assert groups(phases._LUN_STARTED, "takeover", "node") == [("alpha",)] * 3
    assert groups(sequence._STARTED, "takeover", "id", "node") == started
    told = [("start", *one) for one in started]
    assert groups(serving._RESULT, "takeover", "what", "id", "node") == told
    assert groups(coverage._RESULT, "takeover", "what", "id", "node") == told
    assert groups(coverage._INITIATING, "takeover", "what", "id", "node") == told
    journal = form._Journal()
    for message in messages("takeover"):
        journal("alpha", Channel.JOURNAL, "entry", {"message": message})
    assert journal.started == ["d0", "d1", "d2", *GROUP]


def test_what_went_well_is_no_failure_and_what_was_refused_is_one() -> None:
    signs = LiveSigns()
    for t_ns, line in enumerate(LINES, 1):
        data = {"message": line["message"]}
        signs.feed(Event(t_ns, line["node"], Channel.JOURNAL, "entry", data))
    for name in (*GROUP, "d0", "d1", "d2"):
        assert not signs.told(Sign.START_FAILED, "alpha", 0, name)
    assert signs.told(Sign.FENCE_ORDERED, "bravo", 0)
    assert not signs.told(Sign.FENCE_ORDERED, "alpha", 0)
    assert signs.told(Sign.LUN_STARTING, "alpha", 0)
    assert signs.told(Sign.EMPTIED, "alpha", 0)
    assert groups(refusals._NOT_PROMOTED, "refused", "node") == [("bravo",)]
    assert not groups(refusals._NOT_PROMOTED, "takeover", "node")
    assert any(refusals._NO_QUORUM in message for message in messages("alone"))
    for scene in ("alone", "takeover", "refused"):
        assert any(refusals._SCHEDULED in message for message in messages(scene))


def test_a_fencing_from_its_order_to_its_end() -> None:
    assert groups(phases._LOST, "takeover", "node") == [("bravo",)] * 4
    assert ("bravo",) in groups(fencelog.UNCLEAN, "takeover", "node")
    assert groups(coverage._FENCING, "takeover", "node") == [("bravo",)]
    assert groups(maintenance._FENCING, "takeover", "what") == [
        ("fencing (reboot) targeting node bravo",)
    ]
    (operation,) = [
        match for message in messages("takeover") if (match := fencelog._OPERATION.match(message))
    ]
    assert (operation["action"], operation["target"], operation["delegate"]) == (
        "reboot", "bravo", "alpha",
    )  # fmt: skip
    assert fencelog._OK.match(operation["result"])
    asked = [
        match["n"]
        for message in messages("takeover")
        for pattern, sort, _ in moments._JOURNAL
        if sort is moments.FENCE_ASKED and (match := pattern.search(message))
    ]
    assert asked == ["bravo", "bravo"]
    assert groups(fencelog._MEMBER, "takeover", "node") == [("bravo",)] * 4
    assert groups(sequence._MEMBER, "takeover", "node", "state")[-1] == ("bravo", "member")


def test_a_standby() -> None:
    assert groups(handover._DEMOTED, "standby", "node") == [("alpha",)]
    stopping = groups(alarms._STOPPING, "standby", "primitive", "node")
    assert ("d0", "alpha") in stopping
    results = groups(measuring._RESULT, "standby", "op", "id", "how")
    assert ("demote", "d0", "OK") in results


@pytest.mark.parametrize(
    ("at", "name"),
    # SIGKILL is sent by others, SIGSEGV is its own doing.
    [(0, None), (2, "pacemaker-attrd")],
)
def test_a_daemon_that_ends(at: int, name: str | None) -> None:
    message = messages("daemons and a link")[at]
    assert "terminated with signal" in message
    assert crashed.crashed_daemon(message.strip().removeprefix("warning: ")) == name


def test_links_and_members() -> None:
    assert groups(membership._LINK, "daemons and a link", "down", "d", "up", "u") == [
        ("1", "1", None, None), (None, None, "1", "1"),
    ]  # fmt: skip
    assert groups(membership._MEMBERS, "takeover", "count") == [("1",), ("2",)]
    assert groups(membership._MEMBERS, "alone", "count") == [("1",)]


def test_the_constraints_of_the_handler() -> None:
    told = groups(refusals.PLACED, "fence-peer", "id")
    assert set(told) == {("drbd-fence-by-handler-r0-msg",)}
