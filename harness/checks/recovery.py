"""A split-brain that the scenario forced: was it noticed, and are the discarded writes known."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.checks.forced import was_expected
from harness.checks.kernel import kernel_messages, streams_judged
from harness.checks.registry import CannotJudgeError, Finding, check, found
from harness.checks.roles import SKEW_NS
from harness.checks.verdict import Verdict
from harness.evidence.blocks import BLOCK_SIZE, read_digests
from harness.evidence.timeline import Channel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.checks.kernel import KernelMessage
    from harness.evidence.model import Evidence, SplitBrain

# drbd_sync_handshake() of drbd_receiver.c (8.4).
_UNRESOLVED = "Split-Brain detected but unresolved, dropping connection!"
# drbd_khelper() of drbd_nl.c (8.4), from within the same handshake.
_HANDLER = re.compile(r"^helper command: \S+ (?:initial-)?split-brain\b")
_BY_ITSELF = re.compile(r"Split-Brain detected, \d+ primaries, automatically solved\b")
_BY_HAND = re.compile(
    r"Split-Brain detected, manually solved\b(?:\. Sync from (?P<source>this|peer) node)?"
)
# enum drbd_conns: a handshake that the other end broke off.
_HUNG_UP = re.compile(
    r"(?:^|\s)conn\( WFReportParams -> (?:TearDown|BrokenPipe|NetworkFailure|ProtocolError|Timeout"
    r"|Disconnecting|Unconnected) \)"
)


def _is_forced(evidence: Evidence) -> bool:
    return evidence.scenario.expect.split_brain is not None


def _split(evidence: Evidence) -> SplitBrain:
    split = evidence.scenario.expect.split_brain
    if split is None:
        raise CannotJudgeError("no split-brain was forced")
    return split


def _stages(evidence: Evidence) -> tuple[int, int]:
    """When the split-brain was proved, and when its recovery was begun, ns on the run's clock.

    Raises:
        CannotJudgeError: one of them never happened.
    """
    own = [
        seen
        for seen in evidence.select(Channel.FAULT, "bitten", "heal")
        if was_expected(evidence, seen)
    ]
    for kind, what in (("bitten", "that there was a split-brain"), ("heal", "of a recovery")):
        if not any(seen.event.kind == kind for seen in own):
            raise CannotJudgeError(f"there is no proof {what}")
    bitten, heal = ([s.t_ns for s in own if s.event.kind == k] for k in ("bitten", "heal"))
    return bitten[0], heal[0]


@check(
    "split-brain-detected",
    "The forced split-brain was noticed, and resolved by nobody but the operator",
    applies=_is_forced,
)
def split_brain_detected(evidence: Evidence) -> Finding:
    """DRBD refuses to connect the two histories until an operator says whose to discard.

    When the replicas meet, a node calls its handlers (``helper command: … initial-split-brain``),
    prints ``Split-Brain detected but unresolved`` and drops the connection. One of the two has to
    stand in the log of **each** node, before the recovery was begun: a node that only lost its
    connection once more tells its administrator nothing. An automatic policy (after-sb-0pri,
    after-sb-1pri, after-sb-2pri) prints ``automatically solved`` instead and throws away one side's
    acknowledged writes without anybody's asking. Only after the recovery was begun may it be
    solved: ``manually solved``, and by what the survivor holds. A node that tells neither of a
    split-brain nor of a handshake that was broken off was perhaps never there: INCONCLUSIVE.
    Without a proof that there was a split-brain, and that somebody tried to heal it, silence says
    nothing. Texts: drbd_receiver.c of 8.4.
    """
    split = _split(evidence)
    resource = split.resource
    bitten, healing = _stages(evidence)
    own = [message for message in kernel_messages(evidence) if message.resource == resource]
    refused = [message for message in own if _UNRESOLVED in message.text]
    noticed = [m for m in own if _UNRESOLVED in m.text or _HANDLER.match(m.text)]
    by_itself = [message for message in own if _BY_ITSELF.search(message.text)]
    by_hand = [message for message in own if _BY_HAND.search(message.text)]
    problems = [f"{message.node}: {message.text}" for message in by_itself]
    early = [message for message in by_hand if message.t_ns < healing - SKEW_NS]
    problems += [f"{message.node}: solved before the recovery was begun" for message in early]
    wrong = [message for message in by_hand if _keeps_the_victim_s(message, split.victim)]
    problems += [f"{message.node}: {message.text}: the victim's were kept" for message in wrong]
    doubts: list[str] = []
    if not by_itself and not early:
        solved_ns = min((m.t_ns for m in by_hand), default=evidence.end_ns)
        met = [m for m in own if bitten - SKEW_NS <= m.t_ns <= solved_ns]
        if not any(_UNRESOLVED in m.text for m in met):
            problems.append("no node refused to connect before it was solved")
        told = {m.node for m in noticed if bitten - SKEW_NS <= m.t_ns <= min(solved_ns, healing)}
        met_it = {m.node for m in noticed} | {m.node for m in met if _HUNG_UP.search(m.text)}
        nodes = evidence.scenario.nodes
        problems += [f"{node} never noticed" for node in nodes if node in met_it - told]
        doubts = [
            f"{node} did not tell that it met its peer before it was solved"
            for node in nodes
            if node not in met_it
        ]
        if not by_hand:
            problems.append("nobody solved it by hand")
    aware = sorted({message.node for message in noticed})
    return found(
        problems or doubts,
        otherwise=Verdict.INVALID if problems else Verdict.INCONCLUSIVE,
        expected=f"a refusal to connect {resource}, noticed on both nodes, then a solution by hand",
        fine=f"{resource}: noticed by {' and '.join(aware)}, then solved by hand",
        operations=streams_judged(evidence),
        when_ns=[message.t_ns for message in by_itself + early + wrong],
        evidence=[ref for m in (by_itself + early + wrong or noticed + by_hand) for ref in m.refs],
        details={"noticed_by": aware, "refused_by": sorted({m.node for m in refused})},
    )


def _keeps_the_victim_s(message: KernelMessage, victim: str) -> bool:
    """Whether a node says that the data of the node that was to discard its own is the source."""
    match = _BY_HAND.search(message.text)
    wanted = "peer" if message.node == victim else "this"
    return match is not None and match["source"] not in (None, wanted)


@check("discarded-writes", "The discarded writes are named, and they alone", applies=_is_forced)
def discarded_writes(evidence: Evidence) -> Finding:
    """What the victim wrote alone is gone from both replicas after the recovery.

    The scenario notes each block that it wrote on the victim and the CRC-32 of what it wrote
    (sample ``forced_writes``); both replicas, read outside of the guests at the end, must hold
    something else there. That nothing but these is gone is for ``lost-writes`` and
    ``linearizable``: the initiator wrote to the other side all the time.
    """
    split = _split(evidence)
    sample = evidence.latest("forced_writes", "during").get(split.victim)
    value = sample.value if sample is not None else None
    written = value.get("blocks") if isinstance(value, dict) else None
    if sample is None or not isinstance(written, list) or not written:
        raise CannotJudgeError(f"what {split.victim} wrote alone was not noted")
    pairs = [(int(one["block"]), int(one["crc32"], 16)) for one in written]
    problems, refs = [], [sample.seen.ref]
    for node in evidence.scenario.nodes:
        path = f"replicas/{split.resource}.{node}.digests.bin"
        digests = read_digests(evidence.path(path)).crc
        kept = [block for block, crc in pairs if int(digests[block]) == crc]
        if kept:
            problems.append(f"{node} still holds {len(kept)} of them, block {kept[0]} first")
            refs += [f"{path}:{block}" for block in kept]
    blocks = [block for block, _ in pairs]
    lun = _lun_of(evidence, split.resource)
    return found(
        problems,
        expected=f"none of the {len(pairs)} writes that {split.victim} made alone",
        fine=f"{len(pairs)} writes of {split.victim} to {split.resource}{lun} discarded: "
        f"blocks {_ranges(blocks)} of {BLOCK_SIZE} bytes",
        operations=2 * len(pairs),
        when_ns=[sample.seen.t_ns] if problems else (),
        evidence=refs,
        details={
            "discarded": [
                {
                    "node": split.victim,
                    "resource": split.resource,
                    "offset_bytes": block * BLOCK_SIZE,
                    "bytes": BLOCK_SIZE,
                    "crc32": f"{crc:08x}",
                }
                for block, crc in pairs
            ]
        },
    )


def _lun_of(evidence: Evidence, resource: str) -> str:
    """`` (lun1)`` where the scenario says which LUN a resource is; the initiator knows that."""
    luns = [name for name, lun in evidence.scenario.luns.items() if lun.resource == resource]
    return f" ({luns[0]})" if luns else ""


def _ranges(blocks: Sequence[int]) -> str:
    """``3-4, 8``: every number, neighbours together."""
    ordered = sorted(set(blocks))
    begins = [b for i, b in enumerate(ordered) if not i or ordered[i - 1] != b - 1]
    ends = [b for i, b in enumerate(ordered) if i + 1 == len(ordered) or ordered[i + 1] != b + 1]
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in zip(begins, ends, strict=True))
