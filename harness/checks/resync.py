"""A resync that was broken off goes on where it was."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.checks.kernel import kernel_messages
from harness.checks.registry import CannotJudgeError, Finding, check, found
from harness.checks.roles import deaths
from harness.evidence.timeline import Channel

if TYPE_CHECKING:
    from harness.checks.kernel import KernelMessage
    from harness.evidence.model import Evidence

KIND = "invalidated"
"""Kind of the fault that makes a node copy all its data anew."""

# drbd_start_resync() of drbd_worker.c (8.4).
_BEGAN = re.compile(r"Began resync as SyncTarget \(will sync (?P<kib>\d+) KB \[\d+ bits set\]\)")


def _broken_off(evidence: Evidence) -> dict[str, int]:
    """Nodes that went down while they copied all their data anew, and when: ns, run's clock."""
    nodes: dict[str, int] = {}
    for seen in evidence.select(Channel.FAULT, "bitten"):
        node = seen.text("machine")
        if seen.text("kind") != KIND or node not in evidence.scenario.nodes:
            continue
        healed = [
            other.t_ns
            for other in evidence.select(Channel.FAULT, "healed", "not-healed")
            if other.text("id") == seen.text("id")
        ]
        end_ns = min(healed, default=evidence.end_ns)
        during = [d.t_ns for d in deaths(evidence, node) if seen.t_ns <= d.t_ns <= end_ns]
        if during:
            nodes[node] = during[0]
    return nodes


@check(
    "resync-goes-on",
    "A resync that was broken off went on where it was",
    applies=lambda evidence: bool(_broken_off(evidence)),
    predicts=True,
)
def resync_goes_on(evidence: Evidence) -> Finding:
    """A node that goes down while it copies everything has less to copy when it is back.

    When a resync begins, the node says how much it will copy: all bits of both nodes' bitmaps. What
    was copied is cleared in both; on the disk of the node that went down whenever an extent of
    16 MiB is complete (BM_EXT_SHIFT, update_on_disk_bitmap() of 8.4). So if one was, the resync
    after the boot is shorter than the one before it, for each resource. As long or longer means
    that it began anew. A node that never said so leaves nothing to compare: INCONCLUSIVE.
    """
    problems: list[str] = []
    told: list[str] = []
    refs: list[str] = []
    when: list[int] = []
    for node, died_ns in _broken_off(evidence).items():
        for resource in evidence.scenario.resources:
            began = [
                (message, match)
                for message in kernel_messages(evidence)
                if (message.node, message.resource) == (node, resource)
                and (match := _BEGAN.search(message.text))
            ]
            before: list[tuple[KernelMessage, int]] = []
            after: list[tuple[KernelMessage, int]] = []
            for message, match in began:
                (before if message.t_ns <= died_ns else after).append((message, int(match["kib"])))
            if not before or not after:
                moment = "before" if not before else "after"
                raise CannotJudgeError(
                    f"{node} began no resync of {resource} {moment} it went down"
                )
            (first, first_kib), (second, second_kib) = before[-1], after[0]
            text = f"{resource}: {second_kib} KiB after {first_kib} KiB"
            told.append(text)
            refs += [*first.refs, *second.refs]
            if second_kib >= first_kib:
                problems.append(f"{text} were to be copied by {node}")
                when.append(second.t_ns)
    return found(
        problems,
        expected="less to copy than before",
        fine="; ".join(told),
        operations=len(told),
        when_ns=when,
        evidence=refs,
    )
