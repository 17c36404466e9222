"""Whether two Primary intervals of one resource really overlap, or only their arrivals do."""

from __future__ import annotations

import re
from bisect import bisect_right
from enum import Enum, auto
from typing import TYPE_CHECKING

from harness.checks.kernel import journal_stamp
from harness.checks.registry import remember
from harness.checks.roles import SKEW_NS
from harness.evidence.pacemaker import OK
from harness.evidence.timeline import Channel

if TYPE_CHECKING:
    from harness.checks.roles import Interval
    from harness.evidence.model import Evidence

_LATE_NS = 2_500_000_000  # a clean handover's two stamps may arrive crossed by this
# A journal entry that arrives this long after its VM went on was not stamped before it stood still.
_RESUMED_NS = 5_000_000_000
_NEAR_NS = 120_000_000_000  # what Pacemaker says of a handover stands within this of it

# pacemaker-controld 2.1: log_executor_event() and te_rsc_command().
_DEMOTED = re.compile(rf"Result of demote operation for \S+ on (?P<node>[\w.-]+): {OK}")
_PROMOTING = re.compile(r"Initiating promote operation \S+ (?:locally )?on (?P<node>[\w.-]+)")


class Overlap(Enum):
    """What is known of two intervals."""

    NONE = auto()
    DOUBTFUL = auto()  # within what the witnesses' clocks can tell
    REAL = auto()


def overlap(evidence: Evidence, first: Interval, second: Interval) -> tuple[Overlap, int]:
    """How two nodes' Primary intervals (by start) overlap, and for how long their arrivals do.

    Arrivals of two VMs may be crossed by a second, under load by more. Where the first node was
    demoted and the second promoted within 2.5 s of arrival, the guests' own clocks decide: each
    boot's monotonic clock is mapped on the host's by its quickest entry, whose delay is least. It
    stands still while the VM is suspended, so each stretch between two pauses has a map of its own;
    what arrives within 5 s of a pause's end may be of before it, and decides nothing.
    Failing that, Pacemaker's order: the journal of the node that was demoted (the controller)
    tells the result of the demotion before it initiates the promotion.
    """
    crossed_ns = min(first.end_ns, second.end_ns) - second.start.t_ns
    if first.node == second.node or crossed_ns <= 0:
        return Overlap.NONE, 0
    # What the stamps would have to be wrong by for there to be no overlap.
    shift_ns = min(first.end_ns - second.start.t_ns, second.end_ns - first.start.t_ns)
    clean = first.end is not None and second.start.change
    if clean and shift_ns <= _LATE_NS:
        if _ordered_by_pacemaker(evidence, first, second):
            return Overlap.NONE, crossed_ns
        gap_ns = _gap_ns(evidence, first, second)
        if gap_ns is not None and gap_ns >= 0:
            return Overlap.NONE, crossed_ns
        real = gap_ns is not None and gap_ns < -SKEW_NS
        return (Overlap.REAL if real else Overlap.DOUBTFUL), crossed_ns
    return (Overlap.REAL if shift_ns > SKEW_NS else Overlap.DOUBTFUL), crossed_ns


@remember
def _pauses(evidence: Evidence) -> dict[str, list[tuple[int, bool]]]:
    """By VM: when libvirt told that it was suspended (True) or went on (False), run's clock, ns."""
    return {
        vm: [
            (seen.t_ns, seen.text("event") == "suspended")
            for seen in evidence.select(Channel.DOMAIN, "lifecycle", source=vm)
            if seen.text("event") in ("suspended", "resumed")
        ]
        for vm in evidence.vms
    }


def _stretch(evidence: Evidence, vm: str, t_ns: int) -> int:
    """Which of a VM's stretches, from one pause's begin or end to the next, a moment lies in."""
    return bisect_right(_pauses(evidence).get(vm, []), t_ns, key=lambda told: told[0])


@remember
def boot_offsets(evidence: Evidence) -> dict[tuple[str, str, int], int]:
    """Host clock minus monotonic clock, ns, by VM, boot and stretch: the least that was seen.

    An entry that was stamped before a pause and arrives after it has an offset that is too large by
    its delay, as any late one: the guest's clock did not count the pause.
    """
    offsets: dict[tuple[str, str, int], int] = {}
    for seen in evidence.select(Channel.JOURNAL, "entry"):
        stamp = journal_stamp(seen)
        if stamp is not None:
            key = (seen.source, stamp[0], _stretch(evidence, seen.source, seen.t_ns))
            offset_ns = seen.t_ns - stamp[1] * 1000
            offsets[key] = min(offset_ns, offsets.get(key, offset_ns))
    return offsets


@remember
def _drifting(evidence: Evidence) -> set[str]:
    """Nodes whose clocks, the monotonic one too, were made to go too fast or too slow."""
    return {
        seen.text("machine")
        for seen in evidence.select(Channel.FAULT, "inject")
        if seen.text("kind") == "clock-drift"
    }


def _gap_ns(evidence: Evidence, first: Interval, second: Interval) -> int | None:
    """From the demotion to the promotion by the guests' clocks; negative: they overlap."""
    moments = []
    if _drifting(evidence) & {first.node, second.node}:
        return None  # Its offset is another one from second to second.
    for node, signal in ((first.node, first.end), (second.node, second.start)):
        stamp = signal.journal if signal is not None else None
        if signal is None or stamp is None:
            return None
        stretch = _stretch(evidence, node, signal.t_ns)
        offset_ns = boot_offsets(evidence).get((node, stamp[0], stretch))
        if offset_ns is None:
            return None
        if stretch:
            changed_ns, suspended = _pauses(evidence)[node][stretch - 1]
            if suspended or signal.t_ns - changed_ns <= _RESUMED_NS:
                return None
        moments.append(stamp[1] * 1000 + offset_ns)
    return moments[1] - moments[0]


def _ordered_by_pacemaker(evidence: Evidence, first: Interval, second: Interval) -> bool:
    demoted: list[tuple[str, int]] = []
    promoting: list[tuple[str, int]] = []
    for seen in evidence.select(Channel.JOURNAL, "entry", source=first.node):
        stamp = journal_stamp(seen)
        near = abs(seen.t_ns - second.start.t_ns) <= _NEAR_NS
        if stamp is None or not near or seen.text("identifier") != "pacemaker-controld":
            continue
        result = _DEMOTED.search(seen.text("message"))
        order = _PROMOTING.search(seen.text("message"))
        if result and result["node"] == first.node:
            demoted.append(stamp)
        elif order and order["node"] == second.node:
            promoting.append(stamp)
    if not demoted or not promoting:
        return False
    one_boot = len({boot for boot, _ in demoted + promoting}) == 1
    return one_boot and max(at for _, at in demoted) <= min(at for _, at in promoting)
