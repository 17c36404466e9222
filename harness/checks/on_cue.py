"""Whether the moment that a scenario waited for was still there when its fault bit."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.checks.registry import Finding, check, found
from harness.checks.verdict import Verdict
from harness.evidence.livestate import LiveDrbd, LiveSigns, Sign
from harness.evidence.timeline import Channel

if TYPE_CHECKING:
    from harness.evidence.model import Evidence, Seen

# What the steps of harness.steps.triggers and harness.steps.disks say that they wait for. Of these
# the moment can be over again; of the others ("the writes go on") it cannot, or it does not matter.
_COPIED = re.compile(r"^(?P<which>\w+) of (?P<node>[\w.-]+) is copied to \d+ %$")
_PROMOTED = re.compile(r"^(?P<node>[\w.-]+) promoted, no LUN started$")
_IN_STATE = re.compile(
    r"^(?P<which>all resources|r\d+(?: and r\d+)*) of (?P<node>[\w.-]+): (?P<state>\w+)$"
)


def _reactions(evidence: Evidence) -> list[Seen]:
    return [
        seen
        for seen in evidence.select(Channel.STATE, "reaction")
        if any(p.match(seen.text("trigger")) for p in (_COPIED, _PROMOTED, _IN_STATE))
    ]


@check(
    "on-cue",
    "The faults came at the moment that they waited for",
    applies=lambda evidence: bool(_reactions(evidence)),
)
def on_cue(evidence: Evidence) -> Finding:
    """What a fault waited for was still so when it was proved to have bitten.

    A scenario that cuts a link in the middle of a resync proves nothing about that if the resync
    was over by then, however well it ends. Judged by what the nodes had streamed up to the proof:
    a resource that was to be copied to some part is not ``UpToDate`` yet; a role or a state of a
    disk is still the one that was waited for; no LUN was being started on a node that had promoted.
    A moment that was over is INCONCLUSIVE, as a fault that did not bite: it was another test.
    """
    problems: list[str] = []
    late: list[Seen] = []
    reactions = _reactions(evidence)
    for seen in reactions:
        if text := _over(evidence, seen, _bitten_ns(evidence, seen)):
            problems.append(f"{seen.text('trigger')}: {text} when {seen.text('fault')} bit")
            late.append(seen)
    return found(
        problems,
        expected="what was waited for is still so when the fault bites",
        fine=", ".join(seen.text("trigger") for seen in reactions),
        operations=len(reactions),
        otherwise=Verdict.INCONCLUSIVE,
        when_ns=[seen.t_ns for seen in late],
        evidence=[seen.ref for seen in late or reactions],
    )


def _bitten_ns(evidence: Evidence, reaction: Seen) -> int:
    """When the fault of a reaction was proved, or came where it was not (``faults`` tells)."""
    proofs = [
        seen.t_ns
        for seen in evidence.select(Channel.FAULT, "bitten")
        if seen.text("id") == reaction.text("fault")
    ]
    return min(proofs, default=reaction.t_ns)


def _over(evidence: Evidence, reaction: Seen, until_ns: int) -> str:
    """Why the moment was over by then, in words; empty where it was still there."""
    trigger = reaction.text("trigger")
    if match := _COPIED.match(trigger):
        still = _drbd(evidence, until_ns).not_in("UpToDate", match["node"], [match["which"]])
        if still.endswith(" is down"):  # or nobody told
            return still
        return "" if still else "everything was copied"
    if match := _IN_STATE.match(trigger):
        which = match["which"]
        resources = (
            evidence.scenario.resources if which == "all resources" else which.split(" and ")
        )
        return _drbd(evidence, until_ns).not_in(match["state"], match["node"], resources)
    if match := _PROMOTED.match(trigger):
        signs = LiveSigns()
        for seen in evidence.timeline:
            if seen.t_ns <= until_ns:
                signs.feed(seen.event)
        begun_ns = min((s.t_ns for s in evidence.select(Channel.FAULT, "inject")), default=until_ns)
        if signs.told(Sign.LUN_STARTING, match["node"], begun_ns):
            return "a LUN was being started"
    return ""


def _drbd(evidence: Evidence, until_ns: int) -> LiveDrbd:
    """What DRBD had told by then."""
    live = LiveDrbd(evidence.scenario.devices)
    for seen in evidence.timeline:
        if seen.t_ns <= until_ns:
            live.feed(seen.event)
    return live
