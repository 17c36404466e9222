"""The state before the fault: what starts ill proves nothing by ending ill, or well."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.checks.endstate import (
    drbd_states,
    instance_problems,
    last_of,
    left_over,
    not_online,
    not_up_to_date,
)
from harness.checks.registry import Finding, check, found
from harness.checks.verdict import Verdict

if TYPE_CHECKING:
    from harness.evidence.model import Evidence

_SAMPLED = ("instances", "group", "fence_constraints", "failed_actions", "membership")


@check("healthy-start", "The cluster was healthy before the fault")
def healthy_start(evidence: Evidence) -> Finding:
    """Before anything was broken the cluster was as it must be at the end.

    Connected and UpToDate on both nodes, one promoted instance by the group and one unpromoted,
    no fence constraint, no failed action, both nodes online; all of it looked at before the first
    fault was injected (harness.checks.moments). A cluster that was ill before the fault, or of
    which this is not known, says nothing about the fault: INCONCLUSIVE.
    """
    states = drbd_states(evidence, "before")
    problems = []
    for sample, resource, state in states:
        cs = state.get("cs")
        wrong = [] if cs == "Connected" else [str(cs)]
        wrong += [text for text in (not_up_to_date(state),) if text]
        if wrong:
            problems.append(f"{sample.node} {resource}: {', '.join(wrong)}")
    problems += instance_problems(evidence, "before")[0]
    for what, thing in (
        ("fence_constraints", "fence constraint"),
        ("failed_actions", "failed action"),
    ):
        problems += [f"{thing} {text}" for text in left_over(evidence, what, "before")]
    problems += not_online(evidence, "before")
    samples = [sample for what in _SAMPLED for sample in last_of(evidence, what, "before")]
    samples += {sample.node: sample for sample, _, _ in states}.values()
    return found(
        problems,
        expected="a healthy cluster before the fault",
        fine="healthy",
        operations=len(samples),
        otherwise=Verdict.INCONCLUSIVE,
        when_ns=[sample.seen.t_ns for sample in samples] if problems else (),
        evidence=[sample.seen.ref for sample in samples],
    )
