"""Both backing disks, byte by byte: the replicas as two extra readers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from harness.checks.registry import MAX_LISTED, Finding, check, found
from harness.evidence.blocks import read_digests

if TYPE_CHECKING:
    from harness.evidence.model import Evidence


def _replicas_read(evidence: Evidence) -> bool:
    return evidence.scenario.expect.workload or any(evidence.folder.glob("replicas/*.digests.bin"))


@check("replica-digests", "Both replicas hold the same bytes", applies=_replicas_read)
def replica_digests(evidence: Evidence) -> Finding:
    """Every 4 KiB block below DRBD's size has the same CRC-32 on both nodes' backing disks.

    Equal identifiers and UpToDate are DRBD's opinion; this compares the bytes. Both digests are
    taken at rest and cover la_size only, so any difference is silent divergence (one bit flip in
    2^32 blocks would pass). A different length means that the two nodes disagree on the size.
    """
    problems, refs, compared = [], [], 0
    details: dict[str, object] = {}
    for resource in evidence.scenario.resources:
        names = [f"replicas/{resource}.{node}.digests.bin" for node in evidence.scenario.nodes]
        ours, theirs = (read_digests(evidence.path(name)).crc for name in names)
        refs += names
        compared += min(len(ours), len(theirs))
        if len(ours) != len(theirs):
            problems.append(f"{resource}: {len(ours)} and {len(theirs)} blocks")
            continue
        differing = np.flatnonzero(ours != theirs)
        if len(differing):
            first = [int(block) for block in differing[:MAX_LISTED]]
            problems.append(f"{resource}: {len(differing)} blocks differ, first {first[0]}")
            details[resource] = {"differing": len(differing), "first": first}
            refs += [f"{names[0]}:{block}" for block in first]
    return found(
        problems,
        expected="no block differs",
        fine=f"{compared} blocks are equal",
        operations=compared,
        evidence=refs,
        details=details,
    )
