"""The constraint that keeps a peer out: whoever says that its peer is outdated has put it there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.checks.kernel import kernel_messages, streams_judged
from harness.checks.refusals import PLACED
from harness.checks.registry import Finding, check, found
from harness.checks.roles import SKEW_NS
from harness.evidence.timeline import Channel

if TYPE_CHECKING:
    from harness.checks.kernel import KernelMessage
    from harness.evidence.model import Evidence, Seen

# drbd_khelper() and conn_try_outdate_peer() of drbd_nl.c (8.4).
_CALLED = re.compile(r"^helper command: \S+ fence-peer(?: \S+)?$")
_OUTDATED = re.compile(r"^fence-peer helper returned 4 \(")
# What two streams of a node tell of one moment arrives this much apart under load.
_LATE_NS = 10 * SKEW_NS
# Where nobody heard the call: no handler takes longer.
_LONGEST_NS = 180 * SKEW_NS


def _placed(evidence: Evidence, node: str, device: str, from_ns: int, to_ns: int) -> list[Seen]:
    name = evidence.scenario.devices.resource_of(device)
    return [
        seen
        for seen in evidence.select(Channel.JOURNAL, "entry", source=node)
        if from_ns <= seen.t_ns <= to_ns
        and seen.text("identifier").startswith("crm-fence-peer")
        and (match := PLACED.search(seen.text("message")))
        and match["id"].startswith(f"drbd-fence-by-handler-{name}-")
    ]


@check("constraint-placed", "Whose peer is outdated has put a constraint on it")
def constraint_placed(evidence: Evidence) -> Finding:
    """Each time a fence-peer handler calls the peer outdated, it has put a constraint on it.

    A Primary that lost its peer goes on alone once its handler returns 4 ("peer was fenced"): from
    then on the peer's data is old, and the peer, cut off, does not know. What keeps it from being
    promoted is the constraint alone (``drbd-fence-by-handler-…``), which crm-fence-peer.sh tells
    the journal that it placed, or found there. A handler that says so without one lets a node take
    over with old data as soon as the Primary is gone. (After 7, "peer was stonithed", the peer was
    down, and boots without quorum.) A handler that was never called has said nothing: that one was
    where a link was cut is for ``lost-peer``, that nobody goes on without is for ``writes-alone``.
    """
    messages = kernel_messages(evidence)
    problems: list[str] = []
    refs: list[str] = []
    bad: list[KernelMessage] = []
    told = 0
    for message in messages:
        if not _OUTDATED.match(message.text):
            continue
        told += 1
        calls = [
            m.t_ns
            for m in messages
            if (m.node, m.resource) == (message.node, message.resource)
            and m.t_ns <= message.t_ns
            and _CALLED.match(m.text)
        ]
        from_ns = max(calls, default=message.t_ns - _LONGEST_NS) - _LATE_NS
        there = _placed(evidence, message.node, message.resource, from_ns, message.t_ns + _LATE_NS)
        refs += [ref for seen in there for ref in (seen.ref, *message.refs)]
        if not there:
            bad.append(message)
            problems.append(
                f"{message.resource}: the handler of {message.node} called its peer outdated, "
                "and put no constraint on it"
            )
    return found(
        problems,
        expected="a constraint on each peer that a fence-peer handler calls outdated",
        fine=f"{told} times a handler called the peer outdated, each time with a constraint on it",
        operations=streams_judged(evidence),
        when_ns=[message.t_ns for message in bad],
        evidence=[ref for message in bad for ref in message.refs] or refs,
        details={"outdated": told},
    )
