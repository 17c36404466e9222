"""Faults leave nothing: what a scenario found, it has to leave, once all is healed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.checks.endstate import ends_healthy
from harness.checks.moments import in_time
from harness.checks.registry import CannotJudgeError, Finding, check, found
from harness.checks.verdict import Verdict
from harness.evidence.timeline import Channel

if TYPE_CHECKING:
    from harness.evidence.model import Evidence, Sample

BESIDE = "lab"
# What a machine keeps by itself, whatever becomes of the cluster: it has to be as it was there.
_OWN = ("qdiscs", "links", "files", "drbd", "properties", "clock")
# What may follow the role: rules of portblock, mounts of the kernel's target. A node that takes
# over gets what the other one had, and keeps it where it is not rebooted.
_OF_A_ROLE = ("rules", "mounts")
_OF_ALL = ("qdiscs", "links", "rules", "mounts", "processes")
_OF_GUESTS = ("files",)
_OF_NODES = ("drbd", "properties")
# Not looked at by harnesses before November 2026: of their evidence it is said that nobody did.
_LATER_OF_ALL = ("addresses",)
_LATER_OF_GUESTS = ("clock",)
DAEMON_S = 30
"""A process that the first look finds may be a monitor's, which ends by itself. What has lived for
so many seconds is a daemon, and has to be there at the end."""


@check("residue", "The faults left nothing behind", applies=ends_healthy("residue"))
def residue(evidence: Evidence) -> Finding:
    """When all is healed, guests and host show what they showed before anything was broken.

    Compared: queueing disciplines, links (MTU, carrier), addresses, rules of the packet filter,
    mounts, files of the harness's, the rate of the clock, options of DRBD's in force, the cluster's
    options and constraints, processes; in each guest, and beside the VMs. It is looked at before
    the next revert, which would hide it.

    * What a machine keeps for itself is the same as it was there.
    * Rules and mounts may follow the roles, which the nodes may have exchanged: a node has none
      that neither node had, and lacks none that both had.
    * An address may have gone to the other node. A node has none that neither node had, and lacks
      none of its own that its peer has not got.
    * A process is known by its name and its unit. One is left over if neither node had such a one,
      and it was begun before the last fault was healed: what is younger is of no fault. One is
      missing if both nodes had one that had lived for 30 s, and there is none. One that a signal
      has stopped must not be there at all. Processes of the kernel's own do not count.

    What nobody looked at, or could not look at as the tool failed, or not before the first fault
    and after the last one, leaves nothing to compare: INCONCLUSIVE. Addresses and the clock's rate
    are not in evidence of older harnesses: where neither look has them, the result says so.
    """
    before, after = (evidence.latest("residue", when) for when in ("before", "after"))
    wanted = [*evidence.vms, BESIDE]
    missing = [f"{name} {when}" for when, have in (("before", before), ("at the end", after))
               for name in wanted if name not in have]  # fmt: skip
    if missing:
        raise CannotJudgeError(f"nothing is known of {', '.join(missing)}")
    problems: list[str] = []
    doubts: list[str] = []
    judged, bad = 0, []
    for name in wanted:
        for sample in (before[name], after[name]):
            in_time(evidence, sample)
            other = after[name] if sample is before[name] else before[name]
            if unseen := _unseen(evidence, sample, other):
                doubts.append(f"{name}: nobody looked at {', '.join(unseen)} {sample.when}")
        told = _differences(evidence, name, before, after)
        judged += sum(len(_section(after[name], section)) for section in after[name].value)
        problems += [f"{name}: {text}" for text in told]
        bad += [before[name], after[name]] if told else []
    never = sorted({
        section
        for sample in (*before.values(), *after.values())
        for section in _later(evidence, sample)
        if section not in sample.value
    })  # fmt: skip
    unlooked = f"; nobody looked at {' and '.join(never)}" if never else ""
    return found(
        problems or doubts,
        otherwise=Verdict.INVALID if problems else Verdict.INCONCLUSIVE,
        expected="the same as before",
        fine=f"the same as before, {judged} things in {len(wanted)} places{unlooked}",
        operations=judged,
        when_ns=[sample.seen.t_ns for sample in bad],
        evidence=[sample.seen.ref for sample in bad or [*before.values(), *after.values()]],
    )


def _unseen(evidence: Evidence, sample: Sample, other: Sample) -> list[str]:
    """Sections that a sample lacks: whoever looks tells of each, and be it that it is empty.

    Args:
        other: the other look at the same place; what it has, this one has to have as well.
    """
    wanted = list(_OF_ALL)
    wanted += _OF_GUESTS if sample.node in evidence.vms else ()
    wanted += _OF_NODES if sample.node in evidence.scenario.nodes else ()
    there, others = (one.value if isinstance(one.value, dict) else {} for one in (sample, other))
    wanted += [section for section in _later(evidence, sample) if section in others]
    return [section for section in wanted if section not in there]


def _later(evidence: Evidence, sample: Sample) -> tuple[str, ...]:
    """Sections that only evidence of newer harnesses has."""
    return _LATER_OF_ALL + (_LATER_OF_GUESTS if sample.node in evidence.vms else ())


def _differences(
    evidence: Evidence, name: str, before: dict[str, Sample], after: dict[str, Sample]
) -> list[str]:
    """What one machine has, or lacks, at the end."""
    nodes = evidence.scenario.nodes
    alike = [before[node] for node in nodes] if name in nodes else [before[name]]
    told: list[str] = []
    for section in (*_OWN, *_OF_A_ROLE):
        own = [before[name]] if section in _OWN else alike
        if not _looked(section, after[name], *own):
            continue
        here = set(_section(after[name], section))
        there = [set(_section(sample, section)) for sample in own]
        # What a boot cleans up of the harness's own files is no loss.
        wanted = set.intersection(*there) if section != "files" else set()
        told += [f"{section}: {text} is left over" for text in sorted(here - set.union(*there))]
        told += [f"{section}: {text} is gone" for text in sorted(wanted - here)]
    others = [after[node] for node in nodes if node != name] if name in nodes else []
    told += _address_differences(after[name], before[name], alike, others)
    if not _looked("processes", after[name], *alike):
        return told
    known = [_processes(sample) for sample in alike]
    oldest_s = _oldest_s(evidence, after[name])
    return told + process_differences(_processes(after[name]), known, oldest_s)


def _address_differences(
    after: Sample, before: Sample, alike: list[Sample], others: list[Sample]
) -> list[str]:
    """Addresses that nobody had before, and own ones that nobody has any more."""
    if not _looked("addresses", after, before, *alike, *others):
        return []
    here, there, known, elsewhere = (
        set[str]().union(*(_section(sample, "addresses") for sample in samples))
        for samples in ([after], [before], alike, others)
    )
    told = [f"addresses: {text} is left over" for text in sorted(here - known)]
    return told + [f"addresses: {text} is gone" for text in sorted(there - here - elsewhere)]


def process_differences(
    now: list[dict[str, Any]], known: list[list[dict[str, Any]]], oldest_s: float
) -> list[str]:
    """What is wrong with the processes that are there now.

    Args:
        now: what there is.
        known: what there was, on each machine that this one is like.
        oldest_s: what is younger, in seconds, was begun when all was healed.
    """
    names = {_key(one) for there in known for one in there}
    here = {_key(one) for one in now}
    told = [f"processes: {_named(one)} is stopped" for one in now if one.get("stopped")]
    told += [
        f"processes: {_named(one)} is left over, {one['age_s']} s old"
        for one in now
        if _key(one) not in names and one["age_s"] >= oldest_s
    ]
    daemons = [{_key(one) for one in there if one["age_s"] >= DAEMON_S} for there in known]
    gone = sorted(set.intersection(*daemons) - here)
    told += [f"processes: {name} ({unit}) is gone" for unit, name in gone]
    return list(dict.fromkeys(told))


def _oldest_s(evidence: Evidence, after: Sample) -> float:
    """How old a process may be that was begun after the last fault was healed, at the end."""
    healed = evidence.select(Channel.FAULT, "healed", "not-healed")
    since_ns = max((seen.t_ns for seen in healed), default=evidence.scenario.started_ns)
    return max(0.0, (after.seen.t_ns - since_ns) / 1e9)


def _key(process: dict[str, Any]) -> tuple[str, str]:
    return str(process["unit"]), str(process["name"])


def _named(process: dict[str, Any]) -> str:
    unit, name = _key(process)
    return f"{name} ({unit})"


def _processes(sample: Sample) -> list[dict[str, Any]]:
    there = _section(sample, "processes")
    for one in there:
        if not isinstance(one, dict) or not isinstance(one.get("age_s"), int):
            raise CannotJudgeError(f"{sample.seen.ref}: not a process: {one!r:.80}")
        if not {"name", "unit"} <= one.keys():
            raise CannotJudgeError(f"{sample.seen.ref}: a process without a name: {one!r:.80}")
    return there


def _looked(section: str, *samples: Sample) -> bool:
    """Whether each of them has the section: what nobody looked at is no difference, but a doubt."""
    return all(not isinstance(one.value, dict) or section in one.value for one in samples)


def _section(sample: Sample, section: str) -> list[Any]:
    """What a sample has in a section; one that is not looked at on such a machine is empty."""
    there = sample.value.get(section, []) if isinstance(sample.value, dict) else None
    if not isinstance(there, list):
        raise CannotJudgeError(f"{sample.seen.ref}: no {section}")
    return there
