"""What the backing disks say, read outside of the guests, against what was said while they ran."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from harness.checks.jobs import has_raw_workload, headers_of, raw_jobs
from harness.checks.moments import in_time
from harness.checks.registry import MAX_LISTED, Finding, check, doubting, found
from harness.checks.replicas import facts_of, replicas_read
from harness.checks.split_brain import diverged, identifiers_at_the_end
from harness.checks.verdict import Verdict
from harness.drbd_metadata import JUST_CREATED, Flags
from harness.evidence.blocks import STATUS_NO_HEADER, STATUS_TORN, read_headers

if TYPE_CHECKING:
    import numpy.typing as npt

    from harness.evidence.model import Evidence
    from harness.evidence.replica import Facts

_NAMES = ("current", "bitmap", "history", "older history")
# As dt_print_uuids() of drbd-utils prints them behind the identifiers.
_FLAGS = (
    Flags.CONSISTENT,
    Flags.WAS_UP_TO_DATE,
    Flags.PRIMARY,
    Flags.CONNECTED,
    Flags.FULL_SYNC,
    Flags.PEER_OUTDATED,
    Flags.CRASHED_PRIMARY,
)
_MASK = ~1  # bit 0 of an identifier says whether the node was Primary


@check("offline-metadata", "On disk, DRBD's metadata tells of one history", applies=replicas_read)
def offline_metadata(evidence: Evidence) -> Finding:
    """The superblocks of both backing disks say what the nodes said, and not of split-brain.

    Diverged identifiers are split-brain whoever notices; identifiers (current, bitmap, history) or
    flags other than the nodes told at the end mean that one of the two answers is wrong, and which
    one cannot be known: that is a finding in itself. So is a disk that says Primary of a node that
    says it is not, or Connected likewise. Two connected replicas in sync have the same generation,
    none that the peer lacks (no bitmap identifier, no bit set), and both are consistent and up to
    date. Source: drbd_uuid_compare() and drbd_md_sync() of 8.4, which after_state_ch() calls after
    every change of state, so that the disk does not lag; dt_print_uuids() of drbd-utils for the
    order of the flags that ``drbdadm get-gi`` prints. Two disks that have no generation yet do not
    agree on one: INCONCLUSIVE.
    """
    problems: list[str] = []
    doubts: list[str] = []
    refs: list[str] = []
    for resource in evidence.scenario.resources:
        with doubting(doubts, resource, evidence):
            facts = facts_of(evidence, resource)
            refs += [f"replicas/{resource}.{node}.metadata.json" for node in facts]
            problems += _disks_differ(resource, facts)
            doubts += [
                f"{resource} of {node}: the disk has no generation"
                for node, one in facts.items()
                if one.current & _MASK in (0, JUST_CREATED)
            ]
            for node, one in facts.items():
                problems += [f"{resource} of {node}: {text}" for text in _not_in_sync(one)]
                with doubting(doubts, resource, evidence):
                    problems += [
                        f"{resource} of {node}: the disk says {text}"
                        for text in _other_than_told(evidence, node, resource, one)
                    ]
    return found(
        problems or doubts,
        otherwise=Verdict.INVALID if problems else Verdict.INCONCLUSIVE,
        expected="one generation, nothing to resync, and what the nodes said",
        fine=f"{len(refs)} superblocks agree with each other and with the nodes",
        operations=len(refs),
        evidence=refs,
    )


def _disks_differ(resource: str, facts: dict[str, Facts]) -> list[str]:
    """What the two superblocks say of each other."""
    ours, theirs = facts.values()
    problems = []
    new = JUST_CREATED in (ours.current, theirs.current)
    if diverged(_identifiers(ours), _identifiers(theirs)) and not new:
        problems.append(f"{resource}: split-brain on disk: {_pair(facts)}")
    elif ours.current & _MASK != theirs.current & _MASK:
        problems.append(f"{resource}: two generations on disk: {_pair(facts)}")
    if ours.blocks != theirs.blocks:
        problems.append(f"{resource}: {ours.blocks} and {theirs.blocks} blocks")
    return problems


def _other_than_told(evidence: Evidence, node: str, resource: str, disk: Facts) -> list[str]:
    """What the disk says, and what the node said instead.

    Raises:
        CannotJudgeError: the node did not say, or not at the end.
    """
    sample = evidence.latest("gi", "after").get(node)
    if sample is not None:
        in_time(evidence, sample)
    online = identifiers_at_the_end(evidence, node, resource)
    told = [
        f"{name} {here:016X}, the node said {there:016X}"
        for name, here, there in zip(_NAMES, _identifiers(disk), online, strict=True)
        if here != there
    ]
    if sample is not None:
        for flag, text in zip(_FLAGS, sample.value[resource].split(":")[4:], strict=False):
            if (text == "1") != bool(disk.flags & flag):
                told.append(f"{_word(flag, disk)}, the node said flag {text}")
    return told + _other_state(evidence, node, resource, disk)


def _other_state(evidence: Evidence, node: str, resource: str, disk: Facts) -> list[str]:
    """The same of what a node said of its role and its connection; nothing where it said nothing.

    A node that is down, or that has its resource down, leaves on its disk what it was last.
    """
    sample = evidence.latest("drbd", "after").get(node)
    state = sample.value.get(resource) if sample and isinstance(sample.value, dict) else None
    if not isinstance(state, dict):
        return []
    told = []
    role, connection = state.get("role"), state.get("cs")
    if (role == "Primary") != bool(disk.flags & Flags.PRIMARY):
        told.append(f"{_word(Flags.PRIMARY, disk)}, the node said {role}")
    # Set as well while it copies (cs above WFReportParams, __drbd_set_state() of 8.4).
    if connection == "Connected" and not disk.flags & Flags.CONNECTED:
        told.append(f"{_word(Flags.CONNECTED, disk)}, the node said {connection}")
    return told


def _word(flag: Flags, disk: Facts) -> str:
    return f"{'' if disk.flags & flag else 'not '}{flag.name}"


def _identifiers(facts: Facts) -> tuple[int, ...]:
    return tuple(one & _MASK for one in (facts.current, facts.bitmap, *facts.history))


def _pair(facts: dict[str, Facts]) -> str:
    return " and ".join(f"{one.current:016X}:{one.bitmap:016X} on {n}" for n, one in facts.items())


def _not_in_sync(facts: Facts) -> list[str]:
    problems = []
    if facts.bitmap & _MASK:
        problems.append(f"a generation that the peer lacks since {facts.bitmap:016X}")
    if facts.dirty:
        problems.append(f"{facts.dirty} blocks that the peer lacks")
    if not facts.flags & Flags.CONSISTENT or not facts.flags & Flags.WAS_UP_TO_DATE:
        problems.append(f"flags {facts.flags!s}: not consistent and up to date")
    return problems


@check("replica-sweep", "Both replicas hold what the initiator reads", applies=has_raw_workload)
def replica_sweep(evidence: Evidence) -> Finding:
    """Each replica, as one more reader, returns for every block what the initiator read last.

    The initiator reads through the active node only. The stamp of each block (fio's header, whose
    issue time and number name one write) must be the same on both backing disks: a block that
    only one replica has would be lost, or come back, at the next failover. With ``lost-writes``,
    which judges what the initiator read, each replica alone is then a correct last reader. A
    torn payload on a replica is told here as well.
    """
    problems: list[str] = []
    doubts: list[str] = []
    refs: list[str] = []
    compared = 0
    for job in raw_jobs(evidence):
        for node in evidence.scenario.nodes:
            name, where = f"replicas/{job.resource}.{node}.headers.bin", f"{job.resource} of {node}"
            with doubting(doubts, where, evidence):
                read = headers_of(evidence, job).records
                there = read_headers(evidence.path(name)).records
                refs.append(name)
                compared += min(len(read), len(there))
                for what, blocks in _differing(read, there):
                    problems.append(
                        f"{where}: {what} in {len(blocks)} blocks, first {int(blocks[0])}"
                    )
                    refs += [f"{name}:{int(block)}" for block in blocks[:MAX_LISTED]]
    return found(
        problems or doubts,
        otherwise=Verdict.INVALID if problems else Verdict.INCONCLUSIVE,
        expected="the same stamp in every block",
        fine=f"{compared} stamps are the initiator's",
        operations=compared,
        evidence=refs,
    )


def _differing(
    read: npt.NDArray[np.void], there: npt.NDArray[np.void]
) -> list[tuple[str, npt.NDArray[np.intp]]]:
    """Kinds of blocks in which a replica (``there``) is not what the initiator read."""
    count = min(len(read), len(there))
    theirs, mine = there[:count], read[:count]
    stamped = (mine["status"] != STATUS_NO_HEADER) | (theirs["status"] != STATUS_NO_HEADER)
    other = np.zeros(count, dtype=bool)
    for name in ("magic", "offset", "time_sec", "time_nsec", "numberio", "crc32"):
        other |= theirs[name] != mine[name]
    torn = (theirs["status"] == STATUS_TORN) & (mine["status"] != STATUS_TORN)
    found_kinds = [
        ("another write", np.flatnonzero(other & stamped)),
        ("a torn block", np.flatnonzero(torn)),
    ]
    if len(there) < len(read):
        found_kinds.append(("nothing", np.arange(len(there), len(read))))
    return [(what, blocks) for what, blocks in found_kinds if len(blocks)]
