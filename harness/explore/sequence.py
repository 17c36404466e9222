"""What happened in a scenario as sequences that can be compared with those of another run of it.

Pure functions of an evidence folder. Times are told apart from the sequences, which are compared
without them; so is the order between tracks.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, NamedTuple

from harness.checks.fencelog import fence_reports
from harness.evidence.pacemaker import OK
from harness.evidence.timeline import Channel
from harness.explore.doom import doomed

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from harness.evidence.devices import Devices
    from harness.evidence.model import Evidence, Seen
    from harness.explore.doom import End

Tracks = dict[str, tuple[str, ...]]
"""By name of a track (``active r1 role``): its states, one after the other."""


class Told(NamedTuple):
    """A state of a track, and when it was told (arrival, ns on the run's clock)."""

    state: str
    t_ns: int


Timed = dict[str, tuple[Told, ...]]
"""As ``Tracks``, with times."""

# node_update_cache.c and log_executor_event() of pacemaker-controld 2.1.
_MEMBER = re.compile(r"\bNode (?P<node>[\w.-]+) state is now (?P<state>member|lost)\b")
_STARTED = re.compile(
    rf"Result of start operation for (?P<id>\w+?)(?::\d+)? on (?P<node>[\w.-]+): {OK}"
)

# Which field of which object of events2 a track follows.
_FOLLOWED = {"resource": "role", "connection": "connection", "device": "disk"}

# enum drbd_conns of 8.4, as events2 of drbd-utils 9.22 names them: not connected, and why or how
# far on the way. Which of them is met depends on who notices first, and how, within milliseconds.
_NOT_CONNECTED = frozenset(
    ("Disconnecting", "Unconnected", "Timeout", "BrokenPipe", "NetworkFailure", "ProtocolError",
     "TearDown", "Connecting", "WFConnection", "WFReportParams")
)  # fmt: skip
# enum drbd_disk_state: on the way to a state, or not decided yet. Consistent becomes UpToDate or
# Outdated as soon as the peer is heard, or fenced.
_ON_THE_WAY = frozenset(("Attaching", "Negotiating", "Failed", "Detaching", "Consistent"))
_DOWN = "down"
# Outdated while connected: a step of the handshake, where a resync follows it.
_IN_HANDSHAKE = "Outdated, connected"
# Tracks of events rather than states: the same one twice is two.
_REPEATING = (" of the group", "fencings")


def sequence_of(evidence: Evidence) -> Tracks:
    """What ``timed_sequence_of`` tells, without the times."""
    timed = timed_sequence_of(evidence)
    return {name: tuple(one.state for one in states) for name, states in timed.items()}


def timed_sequence_of(evidence: Evidence) -> Timed:
    """The sequence of DRBD's roles, connections and disks, of membership, moves and fencings.

    One track for each node, resource and aspect, each a sequence of states without repetitions:

    * ``NODE RESOURCE role``, ``… connection`` and ``… disk``, as the node's own events2 tells them;
      ``down`` where the resource is not there, or the node is not. Nodes are called ``active`` and
      ``passive``, as they were at the beginning.
    * ``NODE sees PEER``: member or lost, as the node's controller tells it.
    * ``MEMBER of the group``: the nodes on which it was started, one after the other.
    * ``fencings``: who was fenced, one after the other.

    Within a track the order is that of one witness, a kernel or a controller, which tells what
    happened to one thing; there it has a meaning, and is compared. Between tracks it has none:
    their witnesses are two machines whose streams reach the host independently (seconds apart,
    under load), Pacemaker starts and stops independent things in any order, and three resources
    that lose one link notice it in the order of their timers. What must be ordered across nodes,
    a fencing before a promotion for example, is for the checks, which know of clocks.

    Left out are states in which a thing only is on its way, and which of several names a lost
    connection has for a moment: they depend on milliseconds, and each ends in a state that is told.
    And left out is what a node tells from when its fencing was ordered, or its power cut, until it
    is gone, and that it missed its peer just before: whether it notices at all is a race of its
    timers with the one that ends it (``harness.explore.doom``).
    """
    told: dict[str, list[Told]] = {}
    for node in evidence.scenario.nodes:
        ends = doomed(evidence, node)
        _follow_drbd(evidence, node, told, ends)
        _follow_journal(evidence, node, told, ends)
    told["fencings"] = [
        Told(report.target, report.t_ns) for report in fence_reports(evidence) if report.success
    ]
    roles = _roles(evidence)
    tracks = {}
    for name, states in sorted(told.items()):
        words = " ".join(roles.get(word, word) for word in name.split())
        tracks[words] = tuple(
            one._replace(state=roles.get(one.state, one.state)) for one in _settle(name, states)
        )
    return tracks


def _roles(evidence: Evidence) -> dict[str, str]:
    """By name of a node: what it was at the beginning. Which one that is, differs by snapshot."""
    samples = evidence.samples("group", "before")
    value = samples[-1].value if samples else None
    active = value.get("node") if isinstance(value, dict) else None
    nodes = evidence.scenario.nodes
    if active not in nodes:
        return {}
    return {node: "active" if node == active else "passive" for node in nodes}


def _follow_drbd(
    evidence: Evidence, node: str, told: dict[str, list[Told]], ends: Sequence[End]
) -> None:
    names = [
        f"{node} {resource} {aspect}"
        for resource in evidence.scenario.resources
        for aspect in _FOLLOWED.values()
    ]
    for name in names:
        told[name] = []
    events = [*evidence.select(Channel.EVENTS2, source=node)]
    events += evidence.select(Channel.DOMAIN, "lifecycle", source=node)
    for seen in sorted(events, key=lambda one: one.line):
        kind = seen.event.kind
        stopped = seen.event.channel is Channel.DOMAIN and seen.text("event") in (
            "stopped",
            "crashed",
        )
        if stopped or kind == "lost":
            for name in names:
                if any(end.around(seen.t_ns) for end in ends):
                    _forget(told[name], _NOT_CONNECTED)
                told[name].append(Told(_DOWN, seen.t_ns))
        elif any(end.holds(seen.t_ns) for end in ends):
            continue
        elif kind in ("exists", "create", "change", "destroy"):
            _follow_object(seen, node, evidence.scenario.devices, told)


def _forget(states: list[Told], symptoms: Collection[str]) -> None:
    """Take away that a peer was missed, where it is the last that a node told."""
    while states and states[-1].state in symptoms:
        states.pop()


def _follow_object(seen: Seen, node: str, devices: Devices, told: dict[str, list[Told]]) -> None:
    fields: Any = seen.event.data.get("fields")
    aspect = _FOLLOWED.get(seen.text("object"))
    if aspect is None or not isinstance(fields, dict):
        return
    for name in devices.meant(fields):
        track = told.get(f"{node} {name} {aspect}")
        if track is None:
            continue
        if seen.event.kind == "destroy":
            # A connection is destroyed when it is given up, too; the disk tells which it was.
            track.append(Told(_DOWN, seen.t_ns))
        elif isinstance(fields.get(aspect), str):
            state = str(fields[aspect])
            if aspect == "disk" and state == "Outdated":
                connection = told[f"{node} {name} connection"]
                if connection and connection[-1].state == "Connected":
                    state = _IN_HANDSHAKE
            track.append(Told(state, seen.t_ns))


def _follow_journal(
    evidence: Evidence, node: str, told: dict[str, list[Told]], ends: Sequence[End]
) -> None:
    samples = evidence.samples("group", "before")
    value = samples[-1].value if samples else None
    members = value.get("resources") if isinstance(value, dict) else None
    seeing = [f"{node} sees {peer}" for peer in evidence.scenario.nodes if peer != node]
    left = list(ends)
    for seen in evidence.select(Channel.JOURNAL, "entry", source=node):
        while left and left[0].to_ns < seen.t_ns:
            left.pop(0)
            for name in seeing:
                _forget(told.get(name, []), ("lost",))
        if seen.text("identifier") != "pacemaker-controld":
            continue
        if any(end.holds(seen.t_ns) for end in ends):
            continue
        message = seen.text("message")
        member, started = _MEMBER.search(message), _STARTED.search(message)
        if member and member["node"] != node:
            name = f"{node} sees {member['node']}"
            told.setdefault(name, []).append(Told(member["state"], seen.t_ns))
        # Told by the node itself: no other one tells of it too.
        if started and started["node"] == node and started["id"] in (members or {}):
            name = f"{started['id']} of the group"
            told.setdefault(name, []).append(Told(node, seen.t_ns))
    for name in seeing if left else ():
        _forget(told.get(name, []), ("lost",))


def _settle(name: str, states: Sequence[Told]) -> list[Told]:
    """A track without what is only on its way, and without repetitions."""
    found: list[Told] = []
    for number, one in enumerate(states):
        state = "not connected" if one.state in _NOT_CONNECTED else one.state
        following = states[number + 1].state if number + 1 < len(states) else ""
        before = found[-1].state if found else ""
        if state == _IN_HANDSHAKE:
            # 8.4 tells of a change with the state of the moment at which its worker gets to it: on
            # a busy node what was between a connection and its resync is not told.
            if following == "Inconsistent":
                continue
            state = "Outdated"
        if state in _ON_THE_WAY or _comes_or_goes(state, following, before):
            continue
        # A member that is started again where it was has moved, too; a state that is told again
        # has not changed.
        if name.endswith(_REPEATING) or before != state:
            found.append(Told(state, one.t_ns))
    return found


def _comes_or_goes(state: str, following: str, before: str) -> bool:
    """Whether a state is only met while a resource is taken down, or is set up.

    It is then Diskless and StandAlone for a moment; otherwise either says that something is wrong.
    """
    if state in ("Diskless", "StandAlone"):
        return following in (_DOWN, *([""] if state == "Diskless" else [])) or (
            before == _DOWN and following != ""
        )
    return state == "not connected" and following == _DOWN


@dataclass(frozen=True, slots=True)
class Comparison:
    """Several runs of one scenario, by their sequences.

    Attributes:
        runs: how many.
        same: how many have the sequence that most of them have.
        differences: of each other run, by its number from 1: one line for each track that differs.
    """

    runs: int
    same: int
    differences: Mapping[int, tuple[str, ...]]


def compare(sequences: Sequence[Tracks]) -> Comparison:
    """In how many runs the sequence is the same, and what differs where it is not.

    The sequence that most runs have is what the others are compared with; of several that are
    equally frequent, the one that was met first.
    """
    keys = [tuple(sorted(tracks.items())) for tracks in sequences]
    if not keys:
        return Comparison(0, 0, {})
    (usual, count) = Counter(keys).most_common(1)[0]
    differences = {
        number: tuple(_differences(dict(usual), dict(key)))
        for number, key in enumerate(keys, start=1)
        if key != usual
    }
    return Comparison(len(keys), count, differences)


def _differences(usual: Tracks, other: Tracks) -> list[str]:
    lines = []
    for name in sorted(usual.keys() | other.keys()):
        mine, theirs = usual.get(name, ()), other.get(name, ())
        if mine == theirs:
            continue
        at = next(
            n for n, (one, two) in enumerate(zip_longest(mine, theirs), start=1) if one != two
        )
        lines.append(
            f"{name}: {_said(theirs)}, mostly {_said(mine)} (from the {_nth(at)} state on)"
        )
    return lines


def _said(states: tuple[str, ...]) -> str:
    return " → ".join(states) or "nothing"


def _nth(number: int) -> str:
    return {1: "first", 2: "second", 3: "third"}.get(number, f"{number}th")
