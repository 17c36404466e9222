"""The state after the heal: everything is back where a healthy cluster has it.

The end is when all faults are over (harness.checks.moments): an earlier sample is INCONCLUSIVE.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.checks.moments import in_time
from harness.checks.registry import CannotJudgeError, Finding, check, found
from harness.checks.split_brain import divergence
from harness.evidence.timeline import Channel

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.evidence.model import Evidence, Sample

UP_TO_DATE = "UpToDate"
_MOMENTS = {"before": "before the fault", "after": "at the end"}


def ends_healthy(what: str) -> Callable[[Evidence], bool]:
    """Applies where the scenario broke or loaded something, or where the state was sampled."""

    def applies(evidence: Evidence) -> bool:
        expect = evidence.scenario.expect
        return expect.fault or expect.workload or bool(evidence.samples(what, "after"))

    return applies


def last_of(evidence: Evidence, what: str, when: str = "after") -> list[Sample]:
    """The last sample of each node at the end (or ``before`` the fault).

    Raises:
        CannotJudgeError: there is none, or it is of another moment.
    """
    samples = list(evidence.latest(what, when).values())
    if not samples:
        raise CannotJudgeError(f"no {what} sample {_MOMENTS[when]}")
    return [in_time(evidence, sample) for sample in samples]


def drbd_states(
    evidence: Evidence, when: str = "after"
) -> list[tuple[Sample, str, dict[str, Any]]]:
    """(sample, resource, state) of every resource on both nodes at the end (or ``before``).

    Raises:
        CannotJudgeError: a node or a resource was not sampled, or at another moment.
    """
    samples = evidence.latest("drbd", when)
    states = []
    for node in evidence.scenario.nodes:
        if node not in samples:
            raise CannotJudgeError(f"no drbd sample of {node} {_MOMENTS[when]}")
        value = in_time(evidence, samples[node]).value
        for resource in evidence.scenario.resources:
            state = value.get(resource) if isinstance(value, dict) else None
            if not isinstance(state, dict):
                raise CannotJudgeError(f"{samples[node].seen.ref}: no state of {resource}")
            states.append((samples[node], resource, state))
    return states


@check("connections", "All DRBD connections are back", applies=ends_healthy("drbd"))
def connections(evidence: Evidence) -> Finding:
    """After the heal every resource is Connected on both nodes.

    StandAlone is what split-brain leaves behind, but not only split-brain: a connection that
    could not be bound anew ends there too. So StandAlone with identifiers that did not diverge
    is named as a connection that gave up. Source: cs of drbdsetup status, drbd 8.4 user guide.
    """
    try:
        split = divergence(evidence)
    except CannotJudgeError:
        split = set()
    problems, bad = [], []
    states = drbd_states(evidence)
    for sample, resource, state in states:
        cs = state.get("cs")
        if cs == "Connected":
            continue
        bad.append(sample)
        text = f"{sample.node} {resource}: {cs}"
        if cs == "StandAlone" and resource in split:
            text += " (identifiers diverged: split-brain)"
        elif cs == "StandAlone":
            text += " (no divergence: the connection gave up; not split-brain)"
        problems.append(text)
    return found(
        problems,
        expected="Connected everywhere",
        fine="Connected everywhere",
        operations=len(states),
        when_ns={sample.seen.t_ns for sample in bad},
        evidence=[sample.seen.ref for sample in bad or [s for s, _, _ in states]],
    )


def not_up_to_date(state: dict[str, Any]) -> str:
    """What is wrong with a replica's state; empty where nothing is."""
    wrong = [
        f"{key} {state.get(key)}" for key in ("disk", "peer_disk") if state.get(key) != UP_TO_DATE
    ]
    if state.get("oos_kib") != 0:
        wrong.append(f"{state.get('oos_kib')} KiB out of sync")
    if state.get("suspended") is not False:
        wrong.append("I/O suspended")
    return ", ".join(wrong)


@check("replicas-up-to-date", "Both replicas are UpToDate", applies=ends_healthy("drbd"))
def replicas_up_to_date(evidence: Evidence) -> Finding:
    """After the heal both sides are UpToDate, nothing is out of sync, no I/O is suspended.

    Each node tells its own disk state and what it knows of its peer's; both must say UpToDate,
    with 0 KiB out of sync (oos of /proc/drbd).
    """
    states = drbd_states(evidence)
    wrong = {
        sample.node + " " + resource: (sample, not_up_to_date(state))
        for sample, resource, state in states
    }
    problems = [f"{name}: {text}" for name, (_, text) in wrong.items() if text]
    bad = [sample for sample, text in wrong.values() if text]
    return found(
        problems,
        expected="UpToDate/UpToDate, 0 KiB out of sync, not suspended",
        fine="UpToDate/UpToDate, 0 KiB out of sync, not suspended",
        operations=len(states),
        when_ns={sample.seen.t_ns for sample in bad},
        evidence=[sample.seen.ref for sample in bad or [s for s, _, _ in states]],
    )


@check(
    "instances",
    "One promoted and one unpromoted instance per resource, beside the group",
    applies=ends_healthy("instances"),
)
def instances(evidence: Evidence) -> Finding:
    """Each resource ends with one promoted and one unpromoted instance, promoted by the group.

    What ``crm_mon -r1f`` shows: a missing unpromoted instance is how a split-brain or a refused
    replica looks to Pacemaker, and a promoted instance on another node than the group means that
    the LUNs are served from where the data is not writable. The group has all the members that it
    had before: no scenario takes one from it.
    """
    problems, samples, node = instance_problems(evidence)
    return found(
        problems,
        expected="one promoted instance by the group, one unpromoted, for each resource",
        fine=f"promoted on {node} by the group, unpromoted on the other node",
        operations=(len(samples) - 1) * len(evidence.scenario.resources),
        when_ns=[sample.seen.t_ns for sample in samples[:-1]] if problems else (),
        evidence=[sample.seen.ref for sample in samples],
    )


def instance_problems(
    evidence: Evidence, when: str = "after"
) -> tuple[list[str], list[Sample], str | None]:
    """(what is wrong, samples of instances and then of the group, the group's node).

    Raises:
        CannotJudgeError: there is no sample.
    """
    samples, groups = last_of(evidence, "instances", when), last_of(evidence, "group", when)
    group = groups[-1].value if isinstance(groups[-1].value, dict) else {}
    problems = [
        f"{name} is {state}"
        for name, state in sorted(_members(groups[-1]).items())
        if state != "Started"
    ]
    was = {
        name for sample in evidence.latest("group", "before").values() for name in _members(sample)
    }
    problems += [
        f"{name} is gone from the group" for name in sorted(was - set(_members(groups[-1])))
    ]
    if not _members(groups[-1]):
        problems.append("the group has no members")
    nodes = sorted(evidence.scenario.nodes)
    for sample in samples:
        value = sample.value if isinstance(sample.value, dict) else {}
        for resource in evidence.scenario.resources:
            there = value.get(resource)
            there = there if isinstance(there, dict) else {}
            promoted, unpromoted = (
                list(there.get("promoted", [])),
                list(there.get("unpromoted", [])),
            )
            if len(promoted) != 1 or sorted(promoted + unpromoted) != nodes:
                problems.append(f"{resource}: promoted on {promoted}, unpromoted on {unpromoted}")
            elif promoted[0] != group.get("node"):
                problems.append(
                    f"{resource}: promoted on {promoted[0]}, the group on {group.get('node')}"
                )
    return list(dict.fromkeys(problems)), [*samples, groups[-1]], group.get("node")


def _members(group: Sample) -> dict[str, Any]:
    """State by member of a sampled group."""
    there = group.value.get("resources") if isinstance(group.value, dict) else None
    return there if isinstance(there, dict) else {}


def left_over(evidence: Evidence, what: str, when: str = "after") -> list[str]:
    """Everything in the lists that were last sampled as ``what``.

    Raises:
        CannotJudgeError: there is no sample, or one is not a list.
    """
    return _listed(last_of(evidence, what, when))


def _listed(samples: list[Sample]) -> list[str]:
    left: list[str] = []
    for sample in samples:
        if not isinstance(sample.value, list):
            raise CannotJudgeError(f"{sample.seen.ref}: {sample.what} is not a list")
        left += [str(item) for item in sample.value]
    return list(dict.fromkeys(left))


def _nothing_left(samples: list[Sample], thing: str) -> Finding:
    return found(
        _listed(samples),
        expected=f"no {thing}",
        fine=f"no {thing}",
        operations=len(samples),
        when_ns=[sample.seen.t_ns for sample in samples if sample.value],
        evidence=[sample.seen.ref for sample in samples],
    )


@check(
    "fence-constraints", "No fence constraint is left", applies=ends_healthy("fence_constraints")
)
def fence_constraints(evidence: Evidence) -> Finding:
    """After the heal no ``drbd-fence-by-handler-*`` constraint is left in the CIB.

    crm-fence-peer.sh adds one per resource while the peer may be stale and crm-unfence-peer.sh
    removes it after the resync. One that stays forbids the next failover.
    """
    return _nothing_left(last_of(evidence, "fence_constraints"), "fence constraint")


@check("failed-actions", "No failed action in Pacemaker", applies=ends_healthy("failed_actions"))
def failed_actions(evidence: Evidence) -> Finding:
    """At the end ``crm_mon`` lists no failed resource or fencing action.

    Where it was asked more than once, no answer lists one: whoever cleans up does so before the
    end, and what one node lists another one has to know as well.
    """
    last_of(evidence, "failed_actions")
    samples = [in_time(evidence, one) for one in evidence.samples("failed_actions", "after")]
    return _nothing_left(samples, "failed action")


@check("membership", "Both nodes are online", applies=ends_healthy("membership"))
def membership(evidence: Evidence) -> Finding:
    """At the end every node that was asked sees both nodes online (not standby, not unclean)."""
    samples, problems = last_of(evidence, "membership"), not_online(evidence)
    return found(
        problems,
        expected="both nodes online",
        fine="both nodes online",
        operations=len(samples),
        when_ns=[sample.seen.t_ns for sample in samples] if problems else (),
        evidence=[sample.seen.ref for sample in samples],
    )


def not_online(evidence: Evidence, when: str = "after") -> list[str]:
    """Which node is not online, as every node that was asked sees it.

    Raises:
        CannotJudgeError: there is no sample.
    """
    problems = []
    for sample in last_of(evidence, "membership", when):
        value = sample.value if isinstance(sample.value, dict) else {}
        for node in evidence.scenario.nodes:
            if value.get(node) != "online":
                by = f" as {sample.node} sees it" if sample.node else ""
                problems.append(f"{node} is {value.get(node)}{by}")
    return problems


@check("settled", "The cluster became whole again in time")
def settled(evidence: Evidence) -> Finding:
    """Nothing was missing when the time to become whole again was over.

    The harness waits for the cluster (UpToDate, connected, both nodes members, group started)
    before it samples the end state, and says at its deadline what is missing (``not-settled``).
    What becomes whole later, while the rest is collected, did not do so in time.
    """
    missing = evidence.select(Channel.STATE, "not-settled")
    samples = [
        seen for seen in evidence.select(Channel.STATE, "sample") if seen.text("when") == "after"
    ]
    return found(
        [seen.text("text")[:500] or "not whole, without saying why" for seen in missing],
        expected="whole within the deadline",
        fine="whole within the deadline",
        operations=len(samples) + len(missing),
        when_ns=[seen.t_ns for seen in missing],
        evidence=[seen.ref for seen in missing or samples],
    )
