"""What serves the initiator, over time: fencing, address, portal with its LUNs, session.

Each lane has one sort of witness: fencing the reports of Pacemaker, the address who answers for it
on the data link, the portal the results that Pacemaker tells of each start and stop, the session
the initiator's kernel and iscsid.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

from harness.evidence.pacemaker import OK
from harness.evidence.timeline import Channel
from harness.report.moments import FENCE_ASKED, FENCE_FAILED, FENCED
from harness.report.tracks import (
    OFF,
    UNKNOWN,
    Signal,
    Track,
    lives_of,
    spans_of,
    while_alive,
)

if TYPE_CHECKING:
    from harness.evidence.model import Evidence, Seen
    from harness.report.moments import Moment

FENCING, VIP, PORTAL, SESSION = "fencing", "vip", "portal", "session"
CALM = "none"
BEING_FENCED = "being fenced"
FENCE_OK, FENCE_BAD = "fenced", "fencing failed"
NO_ANSWER = "no answer"
ALL_UP = "up"
LOGGED_IN, LOST = "logged in", "lost"

# pacemaker-controld 2.1: log_executor_event().
_RESULT = re.compile(
    rf"Result of (?P<what>start|stop) operation for (?P<id>[\w.:-]+) on (?P<node>[\w.-]+): {OK}"
)
# open-iscsi 2.1: iscsid's initiator.c; the kernel's libiscsi.c and scsi_transport_iscsi.c.
_BACK = re.compile(r"onnection\d+:\d+ .*is operational\b")
_GONE = re.compile(
    r"connection\d+:\d+: (?:detected conn error|ping timeout)"
    r"|Kernel reported iSCSI connection \d+:\d+ error|session\d+: session recovery timed out"
)
_ASKED_EVERY_NS = 1_000_000_000  # harness.watching asks once a second
_SILENT_NS = 5 * _ASKED_EVERY_NS
_FENCED_FOR_NS = 1_000_000_000  # how long "fenced" is drawn: it is a moment
_MOST_IDS = 64


def fencing_tracks(
    evidence: Evidence, happened: list[Moment], start_ns: int, end_ns: int
) -> list[Track]:
    """Of each node that somebody wanted to fence: from the request until its report."""
    tracks = []
    for node in evidence.scenario.nodes:
        steps: list[tuple[int, str]] = []
        for moment in happened:
            if not moment.text.endswith(f" of {node}"):
                continue
            if moment.sort is FENCE_ASKED:
                steps.append((moment.t_ns, BEING_FENCED))
            elif moment.sort is FENCED:
                steps += [(moment.t_ns, FENCE_OK), (moment.t_ns + _FENCED_FOR_NS, CALM)]
            elif moment.sort is FENCE_FAILED:
                steps.append((moment.t_ns, FENCE_BAD))
        if steps:
            steps.sort(key=lambda step: step[0])
            tracks.append(Track(FENCING, node, (), spans_of(steps, CALM, start_ns, end_ns)))
    return tracks


def vip_tracks(evidence: Evidence, start_ns: int, end_ns: int) -> list[Track]:
    """Who answers for the address; nobody, where it was asked for and nothing came."""
    vip = evidence.scenario.vip
    claims = [seen for seen in evidence.select(Channel.ARP, "claim") if seen.text("ip") == vip]
    if not claims:
        return []
    owners = _owners(evidence, claims)

    def owner(seen: Seen) -> str:
        mac = seen.text("mac").lower()
        return owners.get(mac, mac)

    steps = [(claims[0].t_ns, owner(claims[0]))]
    for one, then in pairwise(claims):
        if then.t_ns - one.t_ns > _SILENT_NS:
            steps.append((one.t_ns + _ASKED_EVERY_NS, NO_ANSWER))
        steps.append((then.t_ns, owner(then)))
    if end_ns - claims[-1].t_ns > _SILENT_NS and evidence.end_ns - claims[-1].t_ns > _SILENT_NS:
        steps.append((claims[-1].t_ns + _ASKED_EVERY_NS, NO_ANSWER))
    return [Track(VIP, vip, (), spans_of(steps, UNKNOWN, start_ns, end_ns))]


def portal_tracks(evidence: Evidence, start_ns: int, end_ns: int) -> list[Track]:
    """Of each node: how many of the group's resources (address, target, LUNs) it has started."""
    samples = evidence.samples("group")
    ids: set[str] = set()
    for sample in samples:
        resources = sample.value.get("resources") if isinstance(sample.value, dict) else None
        ids |= set(list(resources)[:_MOST_IDS]) if isinstance(resources, dict) else set()
    if not ids:
        return []
    before: object = next((s.value for s in samples if s.when == "before"), None)
    at_first = before.get("node") if isinstance(before, dict) else None
    told = _results(evidence, ids)
    tracks = []
    for node in evidence.scenario.nodes:
        up = set(ids) if node == at_first else set()
        initial = _amount(len(up), len(ids)) if at_first else UNKNOWN
        lives = lives_of(evidence, node)
        signals = []
        # A node that died runs nothing, and what it ran is not told to have stopped.
        events = [(t_ns, "life", state) for t_ns, state in lives]
        events += [(t_ns, what, id_) for t_ns, where, what, id_ in told if where == node]
        for t_ns, what, id_ in sorted(events):
            if what == "life":
                up = set()
                continue
            up = up | {id_} if what == "start" else up - {id_}
            signals.append(Signal(t_ns, _amount(len(up), len(ids)), None))
        steps = while_alive(signals, [(t, OFF if s == OFF else _amount(0, 1)) for t, s in lives])
        tracks.append(Track(PORTAL, node, (), spans_of(steps, initial, start_ns, end_ns)))
    return tracks


def session_tracks(evidence: Evidence, start_ns: int, end_ns: int) -> list[Track]:
    """The initiator's iSCSI session: logged in, or lost."""
    client = evidence.scenario.initiator
    signals = []
    for channel, key in ((Channel.CONSOLE, "text"), (Channel.JOURNAL, "message")):
        for seen in evidence.select(channel, source=client):
            text = seen.text(key)
            if _BACK.search(text):
                signals.append(Signal(seen.t_ns, LOGGED_IN, None))
            elif _GONE.search(text):
                signals.append(Signal(seen.t_ns, LOST, None))
    signals.sort(key=lambda signal: signal.t_ns)
    # Its LUNs told their identity before anything was broken: so there was a session.
    answered = bool(evidence.samples("identities", "before"))
    if not signals and not answered:
        return []
    steps = while_alive(signals, lives_of(evidence, client))
    initial = LOGGED_IN if answered else UNKNOWN
    return [Track(SESSION, client, (), spans_of(steps, initial, start_ns, end_ns))]


def _owners(evidence: Evidence, claims: list[Seen]) -> dict[str, str]:
    """Node by MAC: who had the group when it was asked, and who answered last before that."""
    owners = {}
    for sample in evidence.samples("group"):
        node = sample.value.get("node") if isinstance(sample.value, dict) else None
        last = [seen for seen in claims if seen.t_ns <= sample.seen.t_ns]
        if isinstance(node, str) and last:
            owners[last[-1].text("mac").lower()] = node
    return owners


def _results(evidence: Evidence, ids: set[str]) -> list[tuple[int, str, str, str]]:
    """(t_ns, node, start or stop, id) of every start and stop of the group's resources."""
    found = []
    for seen in evidence.select(Channel.JOURNAL, "entry"):
        if seen.source in evidence.scenario.nodes:
            match = _RESULT.search(seen.text("message"))
            if match is not None and match["id"] in ids:
                found.append((seen.t_ns, match["node"], match["what"], match["id"]))
    return found


def _amount(number: int, of: int) -> str:
    if number >= of:
        return ALL_UP
    return f"{number} of {of}" if number else CALM
