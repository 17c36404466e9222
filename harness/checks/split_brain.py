"""Split-brain as DRBD itself tells it: kernel messages, generation identifiers, forks."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING

from harness.checks.forced import expected_split, was_forced
from harness.checks.kernel import kernel_messages, streams_judged
from harness.checks.registry import CannotJudgeError, Finding, check, found
from harness.checks.verdict import Verdict

if TYPE_CHECKING:
    from harness.evidence.model import Evidence

# drivers/block/drbd/drbd_receiver.c of 8.4 (drbd_sync_handshake, drbd_asb_recover_*).
_MESSAGES = (
    re.compile(r"Split-Brain detected\b"),  # unresolved, automatically solved, manually solved
    re.compile(r"helper command: \S+ (?:initial-)?split-brain\b"),
    re.compile(r"uuid_compare\(\)=-?100\b"),  # rules 90 and 100: both have new data
    re.compile(r"uuid_compare\(\)=-?1000\b|Unrelated data, aborting!"),
    re.compile(r"I shall become SyncTarget, but I am primary!"),
)
# drbd_print_uuids(): "%s %016llX:%016llX:%016llX:%016llX", current, bitmap, history.
_NEW_CURRENT = re.compile(
    r"^new current UUID ([0-9A-Fa-f]{16}):([0-9A-Fa-f]{16}):[0-9A-Fa-f]{16}:[0-9A-Fa-f]{16}$"
)
# drbdadm get-gi: four identifiers, then flags.
_GI = re.compile(
    r"^([0-9A-Fa-f]{16}):([0-9A-Fa-f]{16}):([0-9A-Fa-f]{16}):([0-9A-Fa-f]{16})(?::.*)?$"
)
_UNSET = (0, 4)  # no identifier; UUID_JUST_CREATED (drbd.h)


@check("split-brain-messages", "No split-brain message in either kernel log")
def split_brain_messages(evidence: Evidence) -> Finding:
    """Neither node's DRBD ever speaks of split-brain.

    Whenever two replicas connect, DRBD compares their generation identifiers and prints the
    outcome before anything else; a split-brain that a policy then resolves is printed as well.
    So on a connection that came back, silence means that there was none. Texts: drbd_receiver.c
    of 8.4. Console and journal copies of one message count once. Of a resource whose split-brain
    the scenario forced, ``split-brain-detected`` judges the messages.
    """
    hits = [
        message
        for message in kernel_messages(evidence)
        if not expected_split(evidence, message.resource, message.t_ns)
        and any(pattern.search(message.text) for pattern in _MESSAGES)
    ]
    return found(
        [f"{m.node} {m.resource}: {m.text}" for m in hits],
        expected="no message about split-brain",
        fine="no message about split-brain",
        operations=streams_judged(evidence),
        when_ns=[m.t_ns for m in hits],
        evidence=[ref for m in hits for ref in m.refs],
        details={"messages": len(hits)},
    )


@check("generation-ids", "Generation identifiers of the replicas have not diverged")
def generation_ids(evidence: Evidence) -> Finding:
    """At the end neither replica has a generation that the other does not know.

    With masked identifiers (bit 0 only says "was Primary"): diverged iff the currents differ and
    neither is the other's bitmap or in its history. A replica that only fell behind has its
    current in the other's bitmap or history; if neither has, each wrote after they parted.
    Identifiers 0 and 4 (just created) say nothing: of a resource that has none INCONCLUSIVE.
    Source: drbd_uuid_compare(), domain rules of DRBD 8.4's user guide, "Generation Identifiers".
    """
    samples = evidence.latest("gi", "after")
    missing = [node for node in evidence.scenario.nodes if node not in samples]
    if missing:
        raise CannotJudgeError(f"no generation identifiers of {', '.join(missing)} at the end")
    problems, judged, unset = [], 0, []
    for resource in evidence.scenario.resources:
        pair = [
            _identifiers(samples[node].value, node, resource) for node in evidence.scenario.nodes
        ]
        if any(current in _UNSET for current, *_ in pair):
            unset.append(resource)
            continue
        judged += 1
        if diverged(*pair):
            problems.append(
                f"{resource}: {' and '.join(f'{ids[0]:016X}' for ids in pair)} diverged"
            )
    doubts = [f"{resource}: a replica has no generation" for resource in unset]
    return found(
        problems or doubts,
        otherwise=Verdict.INVALID if problems else Verdict.INCONCLUSIVE,
        expected="one history per resource",
        fine=f"one history for each of {judged} resources",
        operations=judged,
        when_ns=[samples[node].seen.t_ns for node in evidence.scenario.nodes] if problems else (),
        evidence=[samples[node].seen.ref for node in evidence.scenario.nodes],
        details={"just_created": unset},
    )


def identifiers_at_the_end(evidence: Evidence, node: str, resource: str) -> tuple[int, ...]:
    """What ``drbdadm get-gi`` of ``node`` said at the end: current, bitmap, history, bit 0 masked.

    Raises:
        CannotJudgeError: it was not asked, or did not answer.
    """
    sample = evidence.latest("gi", "after").get(node)
    if sample is None:
        raise CannotJudgeError(f"no generation identifiers of {node} at the end")
    return _identifiers(sample.value, node, resource)


def diverged(ours: tuple[int, ...], theirs: tuple[int, ...]) -> bool:
    """Whether (current, bitmap, history…) of two replicas, masked, have diverged."""
    current, *past = ours
    peer_current, *peer_past = theirs
    return current != peer_current and current not in peer_past and peer_current not in past


def divergence(evidence: Evidence) -> set[str]:
    """Resources whose identifiers diverged at the end, as far as samples tell."""
    samples = evidence.latest("gi", "after")
    if any(node not in samples for node in evidence.scenario.nodes):
        return set()
    found_diverged = set()
    for resource in evidence.scenario.resources:
        pair = [
            _identifiers(samples[node].value, node, resource) for node in evidence.scenario.nodes
        ]
        if all(ids[0] not in _UNSET for ids in pair) and diverged(*pair):
            found_diverged.add(resource)
    return found_diverged


def _identifiers(value: object, node: str, resource: str) -> tuple[int, ...]:
    text = value.get(resource) if isinstance(value, dict) else None
    match = _GI.match(text) if isinstance(text, str) else None
    if match is None:
        raise CannotJudgeError(f"{node}: no generation identifiers of {resource} in {text!r:.80}")
    return tuple(int(part, 16) & ~1 for part in match.groups())


@check("forked-generations", "The nodes never began two generations from the same parent")
def forked_generations(evidence: Evidence) -> Finding:
    """Never do both nodes start a new generation from the same parent.

    A node prints ``new current UUID X:P:…`` when it begins to write without its peer; P, its
    bitmap identifier, is the generation both shared. Two different X from one P on two nodes are
    two histories, even where an automatic policy discards one of them before anybody looks. Of a
    parent that is not set nobody knows whether it was the same: where both nodes begin from one,
    INCONCLUSIVE.
    Source: drbd_uuid_new_current() and drbd_print_uuids(), drbd_main.c of 8.4. What a
    scenario forced a node to begin is left out.
    """
    children = defaultdict(list)
    for message in kernel_messages(evidence):
        match = _NEW_CURRENT.match(message.text)
        at_ns = message.t_ns
        forced = was_forced(evidence, message.node, message.resource, at_ns, at_ns)
        if match and not forced:
            current, parent = (int(part, 16) & ~1 for part in match.groups())
            # 0 and 4 both say that there is none.
            parent = 0 if parent in _UNSET else parent
            children[message.resource, parent].append((message, current))
    problems: list[str] = []
    doubts: list[str] = []
    refs: list[str] = []
    when: list[int] = []
    for (resource, parent), born in children.items():
        if len({m.node for m, _ in born}) > 1 and len({current for _, current in born}) > 1:
            (problems if parent else doubts).append(
                f"{resource}: from {parent:016X} came "
                + " and ".join(f"{current:016X} on {m.node}" for m, current in born)
            )
            refs += [ref for m, _ in born for ref in m.refs]
            when += [m.t_ns for m, _ in born]
    return found(
        problems or doubts,
        otherwise=Verdict.INVALID if problems else Verdict.INCONCLUSIVE,
        expected="at most one new generation from each parent",
        fine=f"{sum(map(len, children.values()))} new generations, no fork",
        operations=streams_judged(evidence),
        when_ns=when,
        evidence=refs,
    )
