"""Who may write: never a replica that is behind, never alone before the peer is out of the way."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.checks.forced import was_forced
from harness.checks.kernel import KernelMessage, boots, kernel_messages, streams_judged
from harness.checks.registry import Finding, check, found

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.evidence.model import Evidence

# print_state_change() of drbd_state.c (8.4): "conn( … ) pdsk( … -> … )", what changed alone.
_CHANGE = re.compile(r"(?:^|\s)(?P<what>conn|disk|pdsk)\( (?P<old>\w+) -> (?P<new>\w+) \)")
# drbd_set_role() of drbd_nl.c (8.4): a promotion with --force.
_FORCED = "Forced to consider local data as UpToDate!"
_NEW_GENERATION = re.compile(r"^new current UUID [0-9A-Fa-f]{16}:")
# enum drbd_disk_state (drbd.h). Consistent becomes UpToDate by the promotion itself, once the
# peer is fenced or outdated.
_GOOD = ("UpToDate", "Consistent")
# What the peer's disk may be when this node begins to write alone: known not to be promotable.
_OUT_OF_THE_WAY = ("Outdated", "Inconsistent", "Failed", "Diskless")
# enum drbd_conns: states in which a node reads from its peer what it lacks itself.
_REACHES_PEER = ("Connected", "SyncTarget", "PausedSyncT", "VerifyS", "VerifyT")

Known = dict[str, str]
"""What a node said last of a resource: ``conn``, ``disk``, ``pdsk``."""


def _in_order(evidence: Evidence) -> list[KernelMessage]:
    """DRBD's messages by arrival, and in the order of the timeline where they arrived together."""
    return sorted(
        kernel_messages(evidence),
        key=lambda m: (m.t_ns, min(int(ref.rsplit(":", 1)[1]) for ref in m.refs)),
    )


def _told(evidence: Evidence) -> Iterator[tuple[KernelMessage, Known, Known]]:
    """Every message, with what was known of its resource on that node before it, and after it.

    A boot makes void what was known of the node.
    """
    known: dict[tuple[str, str], Known] = {}
    starts = sorted(
        (seen.t_ns, node) for node in evidence.scenario.nodes for seen in boots(evidence, node)
    )
    for message in _in_order(evidence):
        while starts and starts[0][0] <= message.t_ns:
            _t_ns, node = starts.pop(0)
            for key in [key for key in known if key[0] == node]:
                del known[key]
        before = known.get((message.node, message.resource), {})
        changes = list(_CHANGE.finditer(message.text))
        # What a message says that a state was, it was, whatever was told before.
        before = before | {change["what"]: change["old"] for change in changes}
        after = before | {change["what"]: change["new"] for change in changes}
        known[message.node, message.resource] = after
        yield message, before, after


def _forced(evidence: Evidence, message: KernelMessage) -> bool:
    at_ns = message.t_ns
    return was_forced(evidence, message.node, message.resource, at_ns, at_ns)


@check("writes-alone", "Nobody writes alone before the peer is fenced or outdated")
def writes_alone(evidence: Evidence) -> Finding:
    """A node begins a generation of its own only when the peer's replica cannot be promoted.

    DRBD prints ``new current UUID`` when a Primary goes on without its peer. By then the peer has
    to be known as Outdated (its fence-peer handler said so, or it went in peace) or worse: then
    nobody can promote it until it was resynchronised. With the peer's disk unknown, both sides
    could be acknowledging writes, whether or not that came to anything this time. What a scenario
    forced is left out. Text: drbd_uuid_new_current() of drbd_main.c (8.4).
    """
    problems: list[str] = []
    refs: list[str] = []
    when: list[int] = []
    born = 0
    for message, _before, known in _told(evidence):
        if not _NEW_GENERATION.match(message.text) or _forced(evidence, message):
            continue
        born += 1
        disk = known.get("pdsk", "UpToDate")
        if disk not in _OUT_OF_THE_WAY:
            problems.append(
                f"{message.resource}: {message.node} went on alone while its peer's disk was {disk}"
            )
            refs += message.refs
            when.append(message.t_ns)
    return found(
        problems,
        expected="a peer that is Outdated or worse whenever a node goes on alone",
        fine=f"{born} times a node went on alone, each time after its peer was out of the way",
        operations=streams_judged(evidence),
        when_ns=when,
        evidence=refs,
    )


@check("outdated-promotion", "No outdated data was promoted")
def outdated_promotion(evidence: Evidence) -> Finding:
    """Whenever a node becomes Primary, its disk is UpToDate, or Consistent and then UpToDate.

    DRBD refuses to promote anything less unless it is forced, and says so; but for a node that
    is connected to a peer whose disk is UpToDate: it reads there what it lacks. The state of the
    disk is the one that the promotion's own message tells, else that of the last message of the
    same boot; where no message told one, it is what it was before the fault, which
    ``healthy-start`` judges. Texts: drbd_set_role() of drbd_nl.c (8.4).
    """
    problems: list[str] = []
    refs: list[str] = []
    when: list[int] = []
    promotions = 0
    for message, known, _after in _told(evidence):
        if _forced(evidence, message):
            continue
        told = None
        if _FORCED in message.text:
            told = "promoted by force"
        elif message.new_role == "Primary":
            promotions += 1
            was = known.get("disk", "UpToDate")
            reads_there = known.get("conn") in _REACHES_PEER and known.get("pdsk") == "UpToDate"
            if was not in _GOOD and not reads_there:
                told = f"promoted with a disk that was {was}"
        if told:
            problems.append(f"{message.resource}: {message.node} {told}")
            refs += message.refs
            when.append(message.t_ns)
    return found(
        problems,
        expected="a disk that is UpToDate, or Consistent, at each promotion",
        fine=f"{promotions} promotions, each of good data",
        operations=streams_judged(evidence),
        when_ns=when,
        evidence=refs,
    )
