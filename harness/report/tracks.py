"""States over time, for the picture: role, connection and disk per node and resource; VMs.

From events2, the kernel's messages and samples, as far as each goes. A state ends where its VM
does: what a node that is gone last said is not its state any more.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.checks.kernel import boots, kernel_messages
from harness.checks.roles import SKEW_NS, is_deadly
from harness.evidence.timeline import Channel
from harness.report.text import shorten

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.evidence.model import Evidence

OFF = "off"
UNKNOWN = "unknown"
TWO_PRIMARIES = "two Primaries"
ASPECTS = ("role", "connection", "disk")

_NOISE_NS = 300_000_000  # A B A within this is two witnesses out of step
_KERNEL = re.compile(r"\b(role|conn|disk)\( (\w+) -> (\w+) \)")
_KERNEL_ASPECT = {"role": "role", "conn": "connection", "disk": "disk"}
_IDLE_REPLICATION = ("Established", "Off", "")
_CALM_CONNECTION = ("Connected", UNKNOWN)
VM_STATES = {
    "started": "on",
    "resumed": "on",
    "stopped": OFF,
    "crashed": OFF,
    "shutdown": OFF,
    "suspended": "paused",
}

_NOT_A_NEW_LIFE = ("suspended", "resumed")
_LONGEST_STATE = 60  # characters: what a guest calls its state is as long as it likes
_SAME_CHANGE_NS = 10_000_000_000  # two witnesses tell of one change within this

Key = tuple[str, str, str]  # aspect, node, resource


@dataclass(frozen=True, slots=True)
class Span:
    """A state that lasted from ``start_ns`` to ``end_ns`` (ns, run's clock)."""

    start_ns: int
    end_ns: int
    state: str


@dataclass(frozen=True, slots=True)
class Signal:
    """A witness's word on a state (ns, run's clock); ``before``: the state until then, if told."""

    t_ns: int
    state: str
    before: str | None


@dataclass(frozen=True, slots=True)
class Track:
    """The states of one aspect of one or more resources on one node, in order, without gaps.

    Attributes:
        aspect: ``role``, ``connection``, ``disk``, ``vm``, or one of harness.report.serving and
            harness.report.membership.
        node: a machine, or what else the row is of.
        resources: which resources, or links; empty where it is of the machine.
    """

    aspect: str
    node: str
    resources: tuple[str, ...]
    spans: tuple[Span, ...]


def drbd_tracks(evidence: Evidence, start_ns: int, end_ns: int) -> list[Track]:
    """Role, connection and disk of each node and resource between two moments."""
    signals = _signals(evidence)
    lives = {node: lives_of(evidence, node) for node in evidence.scenario.nodes}
    tracks = []
    for aspect in ASPECTS:
        for node in evidence.scenario.nodes:
            for resource in evidence.scenario.resources:
                told = sorted(signals[aspect, node, resource], key=lambda s: s.t_ns)
                spans = spans_of(while_alive(told, lives[node]), initial_of(told), start_ns, end_ns)
                tracks.append(Track(aspect, node, (resource,), spans))
    return tracks


def vm_tracks(evidence: Evidence, start_ns: int, end_ns: int) -> list[Track]:
    """On, off or paused, of every VM."""
    tracks = []
    for vm in evidence.vms:
        steps = [
            (seen.t_ns, VM_STATES[seen.text("event")])
            for seen in evidence.select(Channel.DOMAIN, "lifecycle", source=vm)
            if seen.text("event") in VM_STATES
        ]
        tracks.append(Track("vm", vm, (), spans_of(steps, "on", start_ns, end_ns)))
    return tracks


def merged(tracks: Iterable[Track], tolerance_ns: int) -> list[Track]:
    """Tracks of one node and aspect that say the same (changes within ``tolerance_ns``) as one."""
    groups: dict[tuple[str, str], list[Track]] = defaultdict(list)
    for track in tracks:
        group = groups[track.aspect, track.node]
        for at, other in enumerate(group):
            if _same(track, other, tolerance_ns):
                group[at] = Track(
                    other.aspect, other.node, other.resources + track.resources, other.spans
                )
                break
        else:
            group.append(track)
    return [track for group in groups.values() for track in group]


def overlaps(tracks: Iterable[Track]) -> list[Track]:
    """Where one resource is Primary on two nodes at once, for longer than streams differ."""
    holders: dict[str, list[tuple[str, Span]]] = defaultdict(list)
    for track in tracks:
        if track.aspect == "role":
            for resource in track.resources:
                holders[resource] += [
                    (track.node, span) for span in track.spans if span.state == "Primary"
                ]
    found = []
    for resource, held in holders.items():
        spans = [
            Span(max(a.start_ns, b.start_ns), min(a.end_ns, b.end_ns), TWO_PRIMARIES)
            for at, (one, a) in enumerate(held)
            for other, b in held[at + 1 :]
            if one != other and min(a.end_ns, b.end_ns) - max(a.start_ns, b.start_ns) > SKEW_NS
        ]
        if spans:
            found.append(Track("role", "both", (resource,), tuple(spans)))
    return found


def _same(one: Track, other: Track, tolerance_ns: int) -> bool:
    return len(one.spans) == len(other.spans) and all(
        a.state == b.state and abs(a.start_ns - b.start_ns) <= tolerance_ns
        for a, b in zip(one.spans, other.spans, strict=True)
    )


def _signals(evidence: Evidence) -> dict[Key, list[Signal]]:
    signals: dict[Key, list[Signal]] = defaultdict(list)
    replication: dict[tuple[str, str], str] = {}
    connection: dict[tuple[str, str], str] = {}
    for seen in evidence.select(Channel.EVENTS2, "exists", "create", "change"):
        fields = seen.event.data.get("fields")
        if not isinstance(fields, dict):
            continue
        node, what = seen.source, seen.text("object")
        dumped = seen.event.kind == "exists"
        for resource in evidence.scenario.devices.meant(fields):
            for object_, key, aspect in (("resource", "role", "role"), ("device", "disk", "disk")):
                if what == object_ and key in fields:
                    state = str(fields[key])
                    signals[aspect, node, resource].append(
                        Signal(seen.t_ns, state, state if dumped else None)
                    )
            if what == "connection" and "connection" in fields:
                connection[node, resource] = str(fields["connection"])
            elif what == "peer-device" and "replication" in fields:
                replication[node, resource] = str(fields["replication"])
            else:
                continue
            state = connection.get((node, resource), UNKNOWN)
            syncing = replication.get((node, resource), "")
            if state in _CALM_CONNECTION and syncing not in _IDLE_REPLICATION:
                state = syncing
            signals["connection", node, resource].append(
                Signal(seen.t_ns, state, state if dumped else None)
            )
    for message in kernel_messages(evidence):
        for short, old, new in _KERNEL.findall(message.text):
            where = _KERNEL_ASPECT[short], message.node, message.resource
            signals[where].append(Signal(message.t_ns, new, old))
    for sample in evidence.samples("drbd"):
        for resource, stated in sample.value.items() if isinstance(sample.value, dict) else ():
            for aspect, key in (("role", "role"), ("connection", "cs"), ("disk", "disk")):
                found = stated.get(key) if isinstance(stated, dict) else None
                if isinstance(found, str):
                    at = aspect, sample.node, str(resource)
                    signals[at].append(Signal(sample.seen.t_ns, found, found))
    return signals


def initial_of(signals: list[Signal]) -> str:
    """The state before the first signal, as the first witnesses have it."""
    for signal in signals:
        if signal.t_ns > signals[0].t_ns + _SAME_CHANGE_NS:
            break
        if signal.before is not None:
            return signal.before
    return UNKNOWN


def lives_of(evidence: Evidence, node: str) -> list[tuple[int, str]]:
    """(t_ns, off or unknown): when a VM died, and when it was there again."""
    steps = [
        (seen.t_ns, OFF if VM_STATES[seen.text("event")] == OFF else UNKNOWN)
        for seen in evidence.select(Channel.DOMAIN, "lifecycle", source=node)
        if seen.text("event") in VM_STATES and seen.text("event") not in _NOT_A_NEW_LIFE
    ]
    steps += [
        (seen.t_ns, OFF)
        for seen in evidence.select(Channel.FAULT, "bitten")
        if seen.text("target") == node and is_deadly(seen.text("kind"))
    ]
    steps += [(seen.t_ns, UNKNOWN) for seen in boots(evidence, node)]
    return sorted(steps)


def while_alive(signals: list[Signal], lives: list[tuple[int, str]]) -> list[tuple[int, str]]:
    """Both together; what was still in a dead VM's stream is left out."""
    steps = [(t_ns, state, True) for t_ns, state in lives]
    steps += [(signal.t_ns, signal.state, False) for signal in signals]
    kept: list[tuple[int, str]] = []
    alive = True
    for t_ns, state, vital in sorted(steps, key=lambda step: step[0]):
        if vital:
            alive = state != OFF
        if vital or alive:
            kept.append((t_ns, state))
    return kept


def spans_of(
    steps: list[tuple[int, str]], initial: str, start_ns: int, end_ns: int
) -> tuple[Span, ...]:
    """Spans that cover ``start_ns`` to ``end_ns``, beginning with ``initial``."""
    spans: list[Span] = []
    state, since = shorten(initial, _LONGEST_STATE), start_ns
    for t_ns, told in steps:
        new = shorten(told, _LONGEST_STATE)
        if new == state:
            continue
        until = min(max(t_ns, start_ns), end_ns)
        if until > since:
            spans.append(Span(since, until, state))
        state, since = new, max(until, since)
    spans.append(Span(since, end_ns, state))
    return _without_noise(spans)


def _without_noise(spans: list[Span]) -> tuple[Span, ...]:
    kept: list[Span] = []
    for span in spans:
        if kept and span.state == kept[-1].state:
            kept[-1] = Span(kept[-1].start_ns, span.end_ns, span.state)
        elif (
            len(kept) > 1
            and span.state == kept[-2].state
            and kept[-1].end_ns - kept[-1].start_ns < _NOISE_NS
        ):
            kept.pop()
            kept[-1] = Span(kept[-1].start_ns, span.end_ns, span.state)
        else:
            kept.append(span)
    return tuple(span for span in kept if span.end_ns > span.start_ns)
