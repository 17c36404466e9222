"""Membership, quorum and knet links over time, as each node's Corosync tells them."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING

from harness.evidence.files import read_json
from harness.evidence.timeline import Channel
from harness.report.tracks import (
    UNKNOWN,
    Signal,
    Track,
    initial_of,
    lives_of,
    spans_of,
    while_alive,
)

if TYPE_CHECKING:
    from harness.evidence.model import Evidence

MEMBER, LINK = "member", "link"
TOGETHER = "all members"
ALONE = "alone"
NO_QUORUM = "no quorum"
UP, DOWN = "up", "down"

# corosync 3: vsf_quorum.c's log_view_list() and quorum_api_set_quorum(); totemknet.c.
_MEMBERS = re.compile(r"\[QUORUM\] Members\[(?P<count>\d{1,3})\]")
_QUORATE = re.compile(r"\[QUORUM\] This node is within the (?P<non>non-)?primary component")
_LINK = re.compile(
    r"\[KNET  \] (?:link: host: (?P<down>\d{1,3}) link: (?P<d>\d{1,2}) is down"
    r"|rx: host: (?P<up>\d{1,3}) link: (?P<u>\d{1,2}) is up)"
)


def member_tracks(evidence: Evidence, start_ns: int, end_ns: int) -> list[Track]:
    """Of each node: whether its Corosync sees all nodes, only itself, or has no quorum."""
    tracks = []
    online = _online_before(evidence)
    for node in evidence.scenario.nodes:
        signals = _member_signals(evidence, node)
        steps = while_alive(signals, lives_of(evidence, node))
        initial = TOGETHER if online else UNKNOWN
        if signals or online:
            tracks.append(Track(MEMBER, node, (), spans_of(steps, initial, start_ns, end_ns)))
    return tracks


def link_tracks(evidence: Evidence, start_ns: int, end_ns: int) -> list[Track]:
    """Of each node and knet link: up or down. Links of which nothing was told are left out."""
    names = _ring_names(evidence)
    tracks = []
    for node in evidence.scenario.nodes:
        told: dict[int, list[Signal]] = defaultdict(list)
        for seen in evidence.select(Channel.JOURNAL, "entry", source=node):
            match = _LINK.search(seen.text("message"))
            if match is not None:
                up = match["up"] is not None
                state, before = (UP, DOWN) if up else (DOWN, UP)
                told[int(match["u"] if up else match["d"])].append(Signal(seen.t_ns, state, before))
        lives = lives_of(evidence, node)
        for number, signals in sorted(told.items()):
            name = names[number] if number < len(names) else f"link {number}"
            # What is told after a boot says nothing of the time before it.
            first_boot = min((t_ns for t_ns, _ in lives), default=end_ns)
            initial = initial_of(signals) if signals[0].t_ns < first_boot else UNKNOWN
            steps = while_alive(signals, lives)
            tracks.append(Track(LINK, node, (name,), spans_of(steps, initial, start_ns, end_ns)))
    return tracks


def _member_signals(evidence: Evidence, node: str) -> list[Signal]:
    signals = []
    together: bool | None = None
    quorate = True
    for seen in evidence.select(Channel.JOURNAL, "entry", source=node):
        message = seen.text("message")
        if (match := _MEMBERS.search(message)) is not None:
            together = int(match["count"]) >= len(evidence.scenario.nodes)
        elif (match := _QUORATE.search(message)) is not None:
            quorate = match["non"] is None
        else:
            continue
        if not quorate:
            state = NO_QUORUM
        elif together is None:
            continue
        else:
            state = TOGETHER if together else ALONE
        signals.append(Signal(seen.t_ns, state, None))
    return signals


def _online_before(evidence: Evidence) -> bool:
    """Whether crm_mon had all nodes online before anything was broken."""
    for sample in evidence.samples("membership", "before"):
        value = sample.value
        if isinstance(value, dict) and value:
            return all(value.get(node) == "online" for node in evidence.scenario.nodes)
    return False


def _ring_names(evidence: Evidence) -> list[str]:
    """Names of the knet links in order of their numbers, where the run says its configuration."""
    config = read_json(evidence.folder.parent.parent / "run.json").get("config")
    corosync = config.get("corosync") if isinstance(config, dict) else None
    rings = corosync.get("rings") if isinstance(corosync, dict) else None
    return [str(ring) for ring in rings[:8]] if isinstance(rings, list) else []
