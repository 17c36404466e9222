"""Who was Primary when: intervals per node and resource, from all witnesses.

Every stamp is an arrival on the host, so an upper bound of the change; the earliest witness of a
change is the tightest. Streams of two VMs may reach the host out of order by ``SKEW_NS``; claims
about order across VMs must allow for that.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.checks.forced import was_forced
from harness.checks.kernel import boots, kernel_messages
from harness.checks.registry import remember
from harness.evidence.timeline import Channel

if TYPE_CHECKING:
    from harness.evidence.model import Evidence, Seen

SKEW_NS = 1_000_000_000
_SAME_CHANGE_NS = 10_000_000_000  # console and events2 tell the same change within this
_AFTERLIFE_NS = 2_000_000_000  # what was in a stream's buffer when its VM died
_DEADLY_KINDS = ("power_off", "power_cut", "poweroff", "reset", "panic", "kernel_panic")
_DEADLY_EVENTS = ("stopped", "crashed", "shutdown")


@dataclass(frozen=True, slots=True)
class Signal:
    """A witness's word that a node has (or has not) a device Primary."""

    t_ns: int
    primary: bool
    refs: tuple[str, ...]
    change: bool  # a change, not the restatement of a role
    journal: tuple[str, int] | None = None  # (boot_id, monotonic_us)


@dataclass(frozen=True, slots=True)
class Interval:
    """A node had a resource Primary from ``start`` to ``end_ns``.

    Attributes:
        closed_by: ``demoted``, ``died`` (power off, reset, fence), or ``open`` at the end.
        end: the demotion's signal; None where there was no demotion.
    """

    node: str
    resource: str
    start: Signal
    end_ns: int
    closed_by: str
    refs: tuple[str, ...]
    end: Signal | None = None


@dataclass(frozen=True, slots=True)
class Death:
    """A node's VM ended or started anew."""

    t_ns: int
    ref: str


def deaths(evidence: Evidence, node: str) -> list[Death]:
    """When a VM died, from libvirt's lifecycle, from proven faults, and from its next boot."""
    found = [
        Death(seen.t_ns, seen.ref)
        for seen in evidence.select(Channel.DOMAIN, "lifecycle", source=node)
        if seen.text("event") in _DEADLY_EVENTS
    ]
    found += [
        Death(seen.t_ns, seen.ref)
        for seen in evidence.select(Channel.FAULT, "bitten")
        if kills(seen, node)
    ]
    found += [Death(seen.t_ns, seen.ref) for seen in boots(evidence, node)]
    return sorted(found, key=lambda death: death.t_ns)


def is_deadly(kind: str) -> bool:
    """Whether a fault of this kind ends the run of a VM's kernel."""
    return kind.lower().replace("-", "_") in _DEADLY_KINDS


def kills(fault: Seen, vm: str) -> bool:
    """Whether a fault event ends the run of this VM's kernel."""
    return (fault.text("machine") or fault.text("target")) == vm and is_deadly(fault.text("kind"))


def revived(evidence: Evidence, node: str, from_ns: int, to_ns: int) -> bool:
    """Whether a VM that died at ``from_ns`` was running a new kernel before ``to_ns``."""
    anew = evidence.select(Channel.DOMAIN, "lifecycle", source=node)
    starts = [seen.t_ns for seen in anew if seen.text("event") == "started"]
    starts += [seen.t_ns for seen in boots(evidence, node)]
    return any(from_ns <= t_ns <= to_ns for t_ns in starts)


@remember
def primary_intervals(evidence: Evidence) -> dict[str, list[Interval]]:
    """By device: Primary intervals of both nodes, by start. Open ones last to the end.

    The kernel tells the role of each device, events2 that of a resource: Primary while any of its
    volumes is (conn_highest_role() of 8.4). So each volume counts as Primary as soon as one of both
    says so.
    """
    messages = defaultdict(list)
    for message in kernel_messages(evidence):
        if message.new_role is not None:
            signal = Signal(
                message.t_ns, message.new_role == "Primary", message.refs, True, message.journal
            )
            messages[message.node, message.resource].append(signal)
    intervals: dict[str, list[Interval]] = {}
    for resource in evidence.scenario.resources:
        found: list[Interval] = []
        for node in evidence.scenario.nodes:
            told = _events2_signals(evidence, node, resource)
            signals = _merge(messages[node, resource], [s for s in told if s.change])
            signals += [s for s in told if not s.change] + _sampled(evidence, node, resource)
            found += _intervals(evidence, node, resource, signals)
        intervals[resource] = sorted(found, key=lambda interval: interval.start.t_ns)
    return intervals


@remember
def own_intervals(evidence: Evidence) -> dict[str, list[Interval]]:
    """``primary_intervals`` without what a scenario forced behind the cluster's back."""
    return {
        resource: [
            one
            for one in intervals
            if not was_forced(evidence, one.node, resource, one.start.t_ns, one.end_ns)
        ]
        for resource, intervals in primary_intervals(evidence).items()
    }


@remember
def signals_judged(evidence: Evidence) -> int:
    """How many role reports there are at all, samples included."""
    return sum(
        len(_events2_signals(evidence, node, resource)) + len(_sampled(evidence, node, resource))
        for node in evidence.scenario.nodes
        for resource in evidence.scenario.resources
    ) + sum(message.new_role is not None for message in kernel_messages(evidence))


def holders(intervals: list[Interval]) -> list[Interval]:
    """The first interval of each new holder: A A B B A gives A B A."""
    changes: list[Interval] = []
    for interval in intervals:
        if not changes or changes[-1].node != interval.node:
            changes.append(interval)
    return changes


def _events2_signals(evidence: Evidence, node: str, resource: str) -> list[Signal]:
    signals: list[Signal] = []
    for seen in evidence.select(
        Channel.EVENTS2, "exists", "create", "change", "destroy", source=node
    ):
        role = _role(evidence, seen, resource)
        if role is not None:
            signals.append(
                Signal(seen.t_ns, role == "Primary", (seen.ref,), seen.event.kind == "change")
            )
    return signals


def _role(evidence: Evidence, seen: Seen, resource: str) -> str | None:
    fields = seen.event.data.get("fields")
    if seen.text("object") != "resource" or not isinstance(fields, dict):
        return None
    if resource not in evidence.scenario.devices.meant(fields):
        return None
    if seen.event.kind == "destroy":
        return "destroyed"
    role = fields.get("role")
    return role if isinstance(role, str) else None


def _sampled(evidence: Evidence, node: str, resource: str) -> list[Signal]:
    signals = []
    for sample in evidence.samples("drbd"):
        state = sample.value.get(resource) if isinstance(sample.value, dict) else None
        role = state.get("role") if isinstance(state, dict) else None
        if sample.node == node and isinstance(role, str):
            signals.append(Signal(sample.seen.t_ns, role == "Primary", (sample.seen.ref,), False))
    return signals


def _merge(kernel: list[Signal], told: list[Signal]) -> list[Signal]:
    """One signal per change where both witnesses told it, dated by the earlier one."""
    merged: list[Signal] = []
    for primary in (True, False):
        rest = [signal for signal in told if signal.primary is primary]
        for signal in (s for s in kernel if s.primary is primary):
            while rest and rest[0].t_ns < signal.t_ns - _SAME_CHANGE_NS:
                merged.append(rest.pop(0))
            if rest and rest[0].t_ns <= signal.t_ns + _SAME_CHANGE_NS:
                twin = rest.pop(0)
                earliest = min(signal.t_ns, twin.t_ns)
                refs = signal.refs + twin.refs
                merged.append(Signal(earliest, primary, refs, True, signal.journal))
            else:
                merged.append(signal)
        merged += rest
    return merged


def _intervals(
    evidence: Evidence, node: str, resource: str, signals: list[Signal]
) -> list[Interval]:
    ends = deaths(evidence, node)
    steps: list[tuple[int, Signal | Death]] = [(s.t_ns, s) for s in signals]
    steps += [(death.t_ns, death) for death in ends]
    steps.sort(key=lambda step: step[0])
    found: list[Interval] = []
    start: Signal | None = None
    died_ns: int | None = None
    for t_ns, step in steps:
        if isinstance(step, Death):
            if start is not None:
                refs = (*start.refs, step.ref)
                found.append(Interval(node, resource, start, t_ns, "died", refs))
            start, died_ns = None, t_ns
        elif step.primary:
            late = died_ns is not None and t_ns - died_ns <= _AFTERLIFE_NS
            if start is None and not late:
                start = step
        elif start is not None:
            refs = start.refs + step.refs
            found.append(Interval(node, resource, start, t_ns, "demoted", refs, step))
            start = None
    if start is not None:
        end_ns = max(evidence.end_ns, start.t_ns)
        found.append(Interval(node, resource, start, end_ns, "open", start.refs))
    return found
