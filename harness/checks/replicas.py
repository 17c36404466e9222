"""Both backing disks, byte by byte: the replicas as two extra readers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from harness.checks.registry import MAX_LISTED, Finding, check, doubting, found
from harness.checks.verdict import Verdict
from harness.drbd_metadata import Flags
from harness.evidence.blocks import BLOCK_SIZE, read_digests
from harness.evidence.replica import Facts

if TYPE_CHECKING:
    import numpy.typing as npt

    from harness.evidence.model import Evidence, Sample

_LEAST_SHARE = 0.95  # of a LUN's bytes; DRBD's metadata takes the rest


def replicas_read(evidence: Evidence) -> bool:
    """Whether the replicas were, or should have been, read: at the end of every scenario."""
    return evidence.scenario.outcome == "finished" or any(
        evidence.folder.glob("replicas/*.digests.bin")
    )


def _written(evidence: Evidence) -> set[str]:
    """Resources that a job wrote to; a file job names none: it has what the others leave."""
    scenario = evidence.scenario
    named = {job.resource for job in scenario.jobs if job.resource is not None}
    named |= {scenario.luns[job.lun].resource for job in scenario.jobs if job.lun in scenario.luns}
    rest = {lun.resource for lun in scenario.luns.values()} - named
    nameless = any(job.resource is None and job.lun is None for job in scenario.jobs)
    return named | (rest if nameless and len(rest) == 1 else set())


def facts_of(evidence: Evidence, resource: str) -> dict[str, Facts]:
    """DRBD's metadata on each node's backing disk.

    Raises:
        ReplicaError: a file is not what it says.
        FileNotFoundError: a file is not there.
    """
    return {
        node: Facts.load(evidence.path(f"replicas/{resource}.{node}.metadata.json"))
        for node in evidence.scenario.nodes
    }


def pending_resync(
    evidence: Evidence, resource: str, like: npt.NDArray[np.uint32]
) -> npt.NDArray[np.bool_]:
    """Blocks that may rightly differ, as the replicas are apart; of the shape of ``like``.

    They are apart where a node's disk says so, and that node does not say Connected: a disk that
    contradicts its node excuses nothing.
    """
    excused = np.zeros(len(like), dtype=bool)
    facts = facts_of(evidence, resource)
    told = evidence.latest("drbd", "after")
    apart = [
        node
        for node, one in facts.items()
        if not one.flags & Flags.CONNECTED and _connection(told.get(node), resource) != "Connected"
    ]
    if not apart:
        return excused
    for one in facts.values():
        mask = one.excused()[: len(like)]
        excused[: len(mask)] |= mask
    return excused


def _connection(sample: Sample | None, resource: str) -> object:
    """How a node says it is connected; None where it does not say."""
    value = sample.value if sample is not None else None
    state = value.get(resource) if isinstance(value, dict) else None
    return state.get("cs") if isinstance(state, dict) else None


@check("replica-digests", "Both replicas hold the same bytes", applies=replicas_read)
def replica_digests(evidence: Evidence) -> Finding:
    """Every 4 KiB block below DRBD's size has the same CRC-32 on both nodes' backing disks.

    Equal identifiers and UpToDate are DRBD's opinion; this compares the bytes, read outside of the
    guests. The digests cover la_size only, so any difference is silent divergence (one bit flip in
    2^32 blocks would pass), unless the replicas are disconnected (by the disk and by the node) and
    a resync would copy that block: by the bitmap of either, or by the activity log of a Primary
    that did not shut down. A different length means that the two nodes disagree on the size.
    Digests of fewer blocks than the superblock says that there are (la_size; internal metadata
    begins at a multiple of 4 KiB, so that no block is a shorter one), that leave out more than a
    twentieth of the LUN, or that are the same for every block though a job wrote there, are not of
    the data: INCONCLUSIVE.
    """
    problems: list[str] = []
    doubts: list[str] = []
    refs: list[str] = []
    compared = 0
    sizes = {lun.resource: lun.bytes for lun in evidence.scenario.luns.values()}
    written = _written(evidence)
    details: dict[str, object] = {}
    for resource in evidence.scenario.resources:
        names = [f"replicas/{resource}.{node}.digests.bin" for node in evidence.scenario.nodes]
        with doubting(doubts, resource, evidence):
            ours, theirs = (read_digests(evidence.path(name)).crc for name in names)
            may_differ = pending_resync(evidence, resource, ours)
            refs += names
            compared += min(len(ours), len(theirs))
            if len(ours) != len(theirs):
                problems.append(f"{resource}: {len(ours)} and {len(theirs)} blocks")
                continue
            for node, one in facts_of(evidence, resource).items():
                if len(ours) != one.blocks:
                    doubts.append(
                        f"{resource}: digests of {len(ours)} of {one.blocks} blocks of {node}"
                    )
            if len(ours) * BLOCK_SIZE < _LEAST_SHARE * sizes.get(resource, 0):
                doubts.append(
                    f"{resource}: {len(ours)} blocks cover {len(ours) * BLOCK_SIZE} of "
                    f"{sizes[resource]} bytes"
                )
            if resource in written and len(np.unique(ours)) <= 1 and len(np.unique(theirs)) <= 1:
                doubts.append(f"{resource}: every block has the same digest, but a job wrote there")
            differing = np.flatnonzero((ours != theirs) & ~may_differ)
            if len(differing):
                first = [int(block) for block in differing[:MAX_LISTED]]
                problems.append(f"{resource}: {len(differing)} blocks differ, first {first[0]}")
                details[resource] = {"differing": len(differing), "first": first}
                refs += [f"{names[0]}:{block}" for block in first]
    return found(
        problems or doubts,
        otherwise=Verdict.INVALID if problems else Verdict.INCONCLUSIVE,
        expected="no block differs",
        fine=f"{compared} blocks are equal",
        operations=compared,
        evidence=refs,
        details=details,
    )
