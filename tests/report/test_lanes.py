"""Lanes of membership, links, fencing, address, portal and session: what is witnessed, no more."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from harness.evidence.timeline import Channel
from harness.report.load import LenientEvidence
from harness.report.membership import link_tracks, member_tracks
from harness.report.moments import moments
from harness.report.serving import fencing_tracks, portal_tracks, session_tracks, vip_tracks
from harness.report.tracks import Span, Track, spans_of, vm_tracks
from tests.report.build import MACS, VIP, Folder, at
from tests.report.pages import scene_of

if TYPE_CHECKING:
    from pathlib import Path

_START, _END = at(-20), at(100)
IDS = ("vip", "tgt", "lun0")


@pytest.fixture
def folder(run: Path) -> Folder:
    """A scenario in which alpha serves."""
    f = Folder(run, "lanes", "Lanes")
    group = {"node": "alpha", "resources": dict.fromkeys(IDS, "Started")}
    f.add(-30, "host", Channel.STATE, "sample", what="group", when="before", node="cluster",
          value=group)  # fmt: skip
    f.add(-30, "host", Channel.STATE, "sample", what="membership", when="before", node="cluster",
          value={"alpha": "online", "bravo": "online"})  # fmt: skip
    f.add(-30, "host", Channel.STATE, "sample", what="identities", when="before", node="client",
          value={"lun0": "x"})  # fmt: skip
    return f


def told(track: Track) -> list[tuple[str, float]]:
    """(state, when it ends) of each span, in seconds."""
    return [(span.state, round((span.end_ns - at(0)) / 1e9, 1)) for span in track.spans]


def evidence(folder: Folder) -> LenientEvidence:
    folder.save(judged=False)
    return LenientEvidence(folder.path)


def test_membership_and_quorum(folder: Folder) -> None:
    folder.journal(5, "bravo", "corosync", "  [QUORUM] Members[1]: 2")
    folder.journal(
        6, "bravo", "corosync",
        "  [QUORUM] This node is within the non-primary component and will NOT provide any service",
    )  # fmt: skip
    folder.journal(
        40, "bravo", "corosync",
        "  [QUORUM] This node is within the primary component and will provide service.",
        "  [QUORUM] Members[2]: 1 2",
    )  # fmt: skip
    folder.add(10, "alpha", Channel.DOMAIN, "lifecycle", event="stopped", detail="x")
    alpha, bravo = member_tracks(evidence(folder), _START, _END)
    assert told(alpha) == [("all members", 10), ("off", 100)]
    assert told(bravo)[:3] == [("all members", 5), ("alone", 6), ("no quorum", 40)]
    assert told(bravo)[-1] == ("all members", 100)


def test_links_by_name_and_only_where_something_was_told(folder: Folder, run: Path) -> None:
    info = json.loads((run / "run.json").read_text())
    info["config"] = {"corosync": {"rings": ["mgmt", "drbd"]}}
    (run / "run.json").write_text(json.dumps(info))
    folder.journal(3, "alpha", "corosync", "  [KNET  ] link: host: 2 link: 1 is down")
    folder.journal(30, "alpha", "corosync", "  [KNET  ] rx: host: 2 link: 1 is up")
    (track,) = link_tracks(evidence(folder), _START, _END)
    assert (track.node, track.resources) == ("alpha", ("drbd",))
    assert told(track) == [("up", 3), ("down", 30), ("up", 100)]


def test_a_link_that_is_up_after_a_boot_says_nothing_of_before(folder: Folder) -> None:
    folder.add(0, "alpha", Channel.DOMAIN, "lifecycle", event="stopped", detail="x")
    folder.add(20, "alpha", Channel.DOMAIN, "lifecycle", event="started", detail="x")
    folder.journal(40, "alpha", "corosync", "  [KNET  ] rx: host: 2 link: 0 is up")
    (track,) = link_tracks(evidence(folder), _START, _END)
    assert told(track) == [("unknown", 0), ("off", 20), ("unknown", 40), ("up", 100)]


def test_fencing_from_request_to_report(folder: Folder) -> None:
    folder.journal(
        5,
        "bravo",
        "pacemaker-fenced",
        "Client pacemaker-controld.4 wants to fence (reboot) alpha using any device",
    )
    folder.journal(
        12,
        "bravo",
        "pacemaker-fenced",
        "Operation 'reboot' targeting alpha by bravo for pacemaker-controld.4@bravo: OK",
    )
    one = evidence(folder)
    (track,) = fencing_tracks(one, moments(one), _START, _END)
    assert track.node == "alpha"
    assert told(track) == [("none", 5), ("being fenced", 12), ("fenced", 13), ("none", 100)]


def test_who_answers_for_the_address(folder: Folder) -> None:
    for second in range(-37, 0):
        folder.add(second, "host", Channel.ARP, "claim", ip=VIP, mac=MACS["alpha"])
    for second in range(30, 101):
        folder.add(second, "host", Channel.ARP, "claim", ip=VIP, mac=MACS["bravo"])
    folder.add(10, "host", Channel.ARP, "claim", ip="10.0.0.1", mac="52:54:00:00:00:99")
    (track,) = vip_tracks(evidence(folder), _START, _END)
    # Whose MAC bravo's is nobody said: no sample of the group came after it.
    assert told(track) == [("alpha", 0), ("no answer", 30), (MACS["bravo"], 100)]


def test_portal_and_luns(folder: Folder) -> None:
    def result(seconds: float, what: str, id_: str, node: str) -> None:
        text = f" notice: Result of {what} operation for {id_} on {node}: ok"
        folder.journal(seconds, node, "pacemaker-controld", text)

    folder.add(2, "alpha", Channel.DOMAIN, "lifecycle", event="stopped", detail="x")
    for n, id_ in enumerate(IDS):
        result(20 + n, "start", id_, "bravo")
    result(25, "start", "ping", "bravo")
    result(60, "stop", "lun0", "bravo")
    folder.add(70, "alpha", Channel.DOMAIN, "lifecycle", event="started", detail="x")
    result(80, "start", "vip", "alpha")
    alpha, bravo = portal_tracks(evidence(folder), _START, _END)
    # What it ran before it lost its power it does not run after.
    assert told(alpha) == [("up", 2), ("off", 70), ("none", 80), ("1 of 3", 100)]
    assert told(bravo) == [
        ("none", 20), ("1 of 3", 21), ("2 of 3", 22), ("up", 60), ("2 of 3", 100)
    ]  # fmt: skip


def test_the_session(folder: Folder) -> None:
    folder.add(
        8,
        "client",
        Channel.CONSOLE,
        "line",
        text="[1.2]  connection1:0: detected conn error (1022)",
    )
    folder.journal(
        9, "client", "iscsid", "Kernel reported iSCSI connection 1:0 error (1022 - x) state (3)"
    )
    folder.journal(
        50, "client", "iscsid", "connection1:0 is operational after recovery (9 attempts)"
    )
    (track,) = session_tracks(evidence(folder), _START, _END)
    assert told(track) == [("logged in", 8), ("lost", 50), ("logged in", 100)]


def test_nothing_told_is_nothing_shown(run: Path) -> None:
    f = Folder(run, "silent", "Silent")
    f.events = [event for event in f.events if event[1]["channel"] != Channel.ARP]
    one = evidence(f)
    assert member_tracks(one, _START, _END) == []
    assert link_tracks(one, _START, _END) == []
    assert fencing_tracks(one, moments(one), _START, _END) == []
    assert vip_tracks(one, _START, _END) == []
    assert portal_tracks(one, _START, _END) == []
    assert session_tracks(one, _START, _END) == []


def test_a_change_after_the_picture_does_not_empty_it(folder: Folder) -> None:
    assert spans_of([(50, "b")], "a", 0, 40) == (Span(0, 40, "a"),)
    assert spans_of([(-5, "b"), (10, "c"), (90, "d")], "a", 0, 40) == (
        Span(0, 10, "b"), Span(10, 40, "c")
    )  # fmt: skip
    folder.add(150, "client", Channel.DOMAIN, "lifecycle", event="suspended", detail="x")
    client = vm_tracks(evidence(folder), _START, _END)[-1]
    assert told(client) == [("on", 100)]


def test_every_lane_is_in_both_pictures(folder: Folder, run: Path) -> None:
    folder.journal(3, "alpha", "corosync", "  [KNET  ] link: host: 2 link: 1 is down")
    folder.journal(
        5,
        "bravo",
        "pacemaker-fenced",
        "Client pacemaker-controld.4 wants to fence (reboot) alpha using any device",
    )
    folder.save(judged=False)
    text, page = scene_of(run, "lanes")
    names = ["role", "connection", "disk", "membership", "knet link", "fencing", "address",
             "portal, LUNs", "session", "machine"]  # fmt: skip
    assert [lane["name"] for lane in page.json["lanes"]] == names
    assert [lane["name"] for lane in page.json["single"]] == names
    for name in names:
        assert f'class="t lane" text-anchor="end">{name}</text>' in text
    roles = {lane["name"]: len(lane["rows"]) for lane in page.json["single"]}
    assert roles["role"] == 6
