"""Who may write: never a replica that is behind, never alone before the peer is out of the way."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.checks.kernel import KernelMessage, boots, kernel_messages, streams_judged
from harness.checks.registry import Finding, check, found

if TYPE_CHECKING:
    from harness.evidence.model import Evidence

_DISK = re.compile(r"(?:^|\s)disk\( (?P<old>\w+) -> (?P<new>\w+) \)")
# drbd_set_role() of drbd_nl.c (8.4): a promotion with --force.
_FORCED = "Forced to consider local data as UpToDate!"
# enum drbd_disk_state (drbd.h). Consistent becomes UpToDate by the promotion itself, once the
# peer is fenced or outdated.
_GOOD = ("UpToDate", "Consistent")


_PEER_DISK = re.compile(r"(?:^|\s)pdsk\( \w+ -> (?P<new>\w+) \)")
_NEW_GENERATION = re.compile(r"^new current UUID [0-9A-Fa-f]{16}:")
# What the peer's disk may be when this node begins to write alone: known not to be promotable.
_OUT_OF_THE_WAY = ("Outdated", "Inconsistent", "Failed", "Diskless")


def _in_order(evidence: Evidence) -> list[KernelMessage]:
    """DRBD's messages by arrival, and in the order of the timeline where they arrived together."""
    return sorted(
        kernel_messages(evidence),
        key=lambda m: (m.t_ns, min(int(ref.rsplit(":", 1)[1]) for ref in m.refs)),
    )


def _forget(
    state: dict[tuple[str, str], str], starts: list[tuple[int, str]], until_ns: int
) -> None:
    """Drop what was known of a node before its boots until ``until_ns``."""
    while starts and starts[0][0] <= until_ns:
        _t_ns, node = starts.pop(0)
        for key in [key for key in state if key[0] == node]:
            del state[key]


@check("writes-alone", "Nobody writes alone before the peer is fenced or outdated")
def writes_alone(evidence: Evidence) -> Finding:
    """A node begins a generation of its own only when the peer's replica cannot be promoted.

    DRBD prints ``new current UUID`` when a Primary goes on without its peer. By then the peer has
    to be known as Outdated (its fence-peer handler said so, or it went in peace) or worse: then
    nobody can promote it until it was resynchronised. With the peer's disk unknown, both sides
    could be acknowledging writes, whether or not that came to anything this time. Texts:
    drbd_uuid_new_current() of drbd_main.c, print_state_change() of drbd_state.c (8.4).
    """
    problems: list[str] = []
    refs: list[str] = []
    when: list[int] = []
    born = 0
    peer_disk: dict[tuple[str, str], str] = {}
    starts = _boots(evidence)
    for message in _in_order(evidence):
        _forget(peer_disk, starts, message.t_ns)
        key = (message.node, message.resource)
        if told := _PEER_DISK.search(message.text):
            peer_disk[key] = told["new"]
        if not _NEW_GENERATION.match(message.text):
            continue
        born += 1
        disk = peer_disk.get(key, "UpToDate")
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


def _boots(evidence: Evidence) -> list[tuple[int, str]]:
    return sorted(
        (seen.t_ns, node) for node in evidence.scenario.nodes for seen in boots(evidence, node)
    )


@check("outdated-promotion", "No outdated data was promoted")
def outdated_promotion(evidence: Evidence) -> Finding:
    """Whenever a node becomes Primary, its disk is UpToDate, or Consistent and then UpToDate.

    DRBD refuses to promote anything less unless it is forced, and says so. The state of the disk
    is the one that the promotion's own message tells, else that of the last message of the same
    boot; where no message told one, it is what it was before the fault, which ``healthy-start``
    judges. Texts: print_state_change() of drbd_state.c, drbd_set_role() of drbd_nl.c (8.4).
    """
    problems: list[str] = []
    refs: list[str] = []
    when: list[int] = []
    promotions = 0
    state: dict[tuple[str, str], str] = {}
    starts = _boots(evidence)
    for message in _in_order(evidence):
        _forget(state, starts, message.t_ns)
        key = (message.node, message.resource)
        disk = _DISK.search(message.text)
        told = None
        if _FORCED in message.text:
            told = "promoted by force"
        elif message.new_role == "Primary":
            promotions += 1
            was = disk["old"] if disk else state.get(key, "UpToDate")
            if was not in _GOOD:
                told = f"promoted with a disk that was {was}"
        if told:
            problems.append(f"{message.resource}: {message.node} {told}")
            refs += message.refs
            when.append(message.t_ns)
        if disk:
            state[key] = disk["new"]
    return found(
        problems,
        expected="a disk that is UpToDate, or Consistent, at each promotion",
        fine=f"{promotions} promotions, each of good data",
        operations=streams_judged(evidence),
        when_ns=when,
        evidence=refs,
    )
