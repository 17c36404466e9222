"""Were the faults real: each one bit, and each one healed."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from harness.checks.registry import Finding, check, found
from harness.checks.roles import deaths, is_deadly
from harness.checks.verdict import Verdict
from harness.evidence.timeline import Channel

if TYPE_CHECKING:
    from harness.evidence.model import Evidence, Seen


_ASKED_OF_GUESTS = ("cut-carrier",)
"""Cuts that a guest tells of, which may not answer; of the others the host's own rules tell."""


def by_id(evidence: Evidence) -> dict[str, list[Seen]]:
    """Fault events by fault id (by slug where an event has none), in order of arrival."""
    faults: dict[str, list[Seen]] = defaultdict(list)
    for seen in evidence.select(Channel.FAULT):
        key = seen.event.data.get("id")
        faults[str(key) if key not in (None, "") else seen.text("fault")].append(seen)
    return dict(faults)


def without_bite(evidence: Evidence) -> list[str]:
    """What was injected or ordered and is not proved to have been there, in words.

    Faults without a ``bitten``, and clean reboots that never began: what a scenario predicts from
    them says nothing. An invariant is not concerned, it holds whatever was or was not broken.
    """
    names = []
    for key, events in by_id(evidence).items():
        kinds = {seen.event.kind: seen for seen in events}
        if "inject" in kinds and "bitten" not in kinds:
            names.append(kinds["inject"].text("fault") or key)
    for sample in evidence.samples("reboot"):
        if isinstance(sample.value, dict) and sample.value.get("begun") == "":
            names.append(f"reboot of {sample.value.get('node')}")
    return names


def fault_window(evidence: Evidence) -> tuple[int, int] | None:
    """(first inject, last healed) in ns on the run's clock; None without both."""
    injects = [seen.t_ns for seen in evidence.select(Channel.FAULT, "inject")]
    healed = [seen.t_ns for seen in evidence.select(Channel.FAULT, "healed")]
    return (injects[0], healed[-1]) if injects and healed else None


def _has_faults(evidence: Evidence) -> bool:
    return evidence.scenario.expect.fault or bool(evidence.select(Channel.FAULT))


def _ended_with_its_machine(evidence: Evidence, kinds: dict[str, Seen]) -> bool:
    """Whether the machine that a fault was in went down between its proof and its heal."""
    machine, bitten = kinds["inject"].text("machine"), kinds.get("bitten")
    gone = kinds.get("no-longer-bitten")
    if machine not in evidence.vms or bitten is None or gone is None:
        return False
    ends = deaths(evidence, machine)
    return any(bitten.t_ns <= death.t_ns <= gone.t_ns for death in ends)


def _ended_early(evidence: Evidence, kinds: dict[str, Seen]) -> str:
    if is_deadly(kinds["inject"].text("kind")) or _ended_with_its_machine(evidence, kinds):
        return ""
    gone = kinds.get("no-longer-bitten")
    if gone is not None:
        return f"the fault ended by itself before it was healed: {gone.text('proof')[:200]}"
    cut = kinds["inject"].text("kind").startswith("cut-")
    unknown = kinds.get("still-unknown")
    if cut and unknown is not None and kinds["inject"].text("kind") not in _ASKED_OF_GUESTS:
        return f"not known whether it lasted until it was healed: {unknown.text('proof')[:200]}"
    if cut and "still-bitten" not in kinds and unknown is None:
        return "no proof that it lasted until it was healed"
    return ""


@check("faults", "Every fault bit and healed", applies=_has_faults)
def faults(evidence: Evidence) -> Finding:
    """Each injected fault has a proof that it bit and a proof that it healed.

    A cut must still be there when it is about to be healed (``still-bitten``): one that ended by
    itself left the cluster alone for an unknown time. ``still-unknown`` is accepted where a guest
    would have to tell: it could not be asked, and nobody took the cut away. Of a cut by rules on
    the host, which can always be asked, it is not. A machine that lost its
    power or was reset needs no such proof: it is down once, and a fencing may power it on. What
    was done inside of one machine (``machine`` of the fault) ends with that machine's run: where it
    went down meanwhile (fenced for what was done to it, say), the fault did not end by itself, and
    whether it had to go down is for ``machines`` and ``fencings``. A proof is what a machine was
    seen to say: one without a word is none. What was planned, or has bitten, and of which no
    injection is told may have been there at any time, or never.

    A cluster that was never hurt proves nothing by surviving, and one that is still hurt cannot
    be judged on its end state. So a missing proof is INCONCLUSIVE: it says nothing against the
    cluster, and nothing for it.
    """
    problems, refs, when, injected = [], [], [], 0
    for key, events in by_id(evidence).items():
        kinds = {seen.event.kind: seen for seen in events}
        if "inject" not in kinds:
            told = ", ".join(kinds)
            problems.append(f"{events[0].text('fault') or key}: no injection, but {told}")
            when.append(events[0].t_ns)
            refs += [seen.ref for seen in events]
            continue
        injected += 1
        name = kinds["inject"].text("fault") or key
        for wanted, denied, what in (
            ("bitten", "not-bitten", "bit"),
            ("healed", "not-healed", "healed"),
        ):
            if denied in kinds:
                problems.append(f"{name}: not {what}: {kinds[denied].text('proof')[:200]}")
            elif wanted not in kinds:
                problems.append(f"{name}: no proof that it {what}")
            elif not kinds[wanted].text("proof").strip():
                problems.append(f"{name}: the proof that it {what} is empty")
            else:
                continue
            when.append(kinds["inject"].t_ns)
            refs += [seen.ref for seen in events]
        text = _ended_early(evidence, kinds)
        if text:
            problems.append(f"{name}: {text}")
            when.append(kinds["inject"].t_ns)
            refs += [seen.ref for seen in events]
    return found(
        problems,
        expected="proof for each fault that it bit and that it healed",
        fine=f"{injected} faults bit and healed",
        operations=injected,
        otherwise=Verdict.INCONCLUSIVE,
        when_ns=when,
        evidence=refs or [seen.ref for seen in evidence.select(Channel.FAULT, "bitten", "healed")],
    )
