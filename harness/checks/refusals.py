"""What says that a node would have served and refuses to: words of its scheduler, its fencer, its
resource agents, or a constraint on it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.checks.fencelog import UNCLEAN, fence_reports
from harness.checks.kernel import OF_DRBD
from harness.evidence.pacemaker import OK
from harness.evidence.timeline import Channel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.evidence.model import Evidence, Seen

# pcmk 2.1, cluster_status() of lib/pengine/status.c: a scheduler that runs and may do nothing.
_NO_QUORUM = "resource management disabled due to lack of quorum"
# log_executor_event() of pacemaker-controld 2.1, on the node that was to be promoted, with the
# reason that linbit's agent of drbd-utils 9.22 gives; and DRBD's own word (drbd_strings.c of 8.4).
_NOT_PROMOTED = re.compile(
    rf"Result of promote operation for \S+ on (?P<node>[\w.-]+): (?!{OK}).*"
    r"\bwithout access to UpToDate data\b"
)
_NO_DATA = re.compile(rf"^{OF_DRBD}: State change failed: Need access to UpToDate data")
# A scheduler that ran: pcmk__log_transition_summary() and its caller of 2.1.
_SCHEDULED = "Calculated transition "
# crm-fence-peer.sh of drbd-utils 9.22: the constraint forbids the role on every node but its own.
PLACED = re.compile(
    r"(?:placed constraint|suitable constraint already placed:) '(?P<id>drbd-fence-by-handler-\S+)'"
)
_REMOVED = re.compile(r"Removed constraint '(?P<id>drbd-fence-by-handler-\S+)'")


def refusals(evidence: Evidence, since_ns: int, until_ns: int) -> list[Seen]:
    """What says so between two moments of the run's clock, where it was said.

    1. A scheduler that lacks quorum says that it may manage nothing (wait_for_all).
    2. A node whose peer is unclean waits for the peer's fencing. Its fencer reports that it failed;
       or its scheduler calls the peer unclean, and until the end no fencing of it succeeded.
    3. DRBD, or its resource agent, refuses the promotion that it was asked for: no good data.
    4. A peer put a constraint on it that nobody has removed, and its scheduler ran since: it was
       asked, and had nothing to promote.
    """
    return [
        seen
        for node in evidence.scenario.nodes
        for seen in (
            *_by_scheduler(evidence, node, since_ns, until_ns),
            *_by_drbd(evidence, node, since_ns, until_ns),
            *_by_fencer(evidence, node, since_ns, until_ns),
            *_by_constraint(evidence, node, since_ns, until_ns),
        )
    ]


def _entries(evidence: Evidence, node: str, since_ns: int, until_ns: int) -> Iterator[Seen]:
    for seen in evidence.select(Channel.JOURNAL, "entry", source=node):
        if since_ns <= seen.t_ns <= until_ns:
            yield seen


def _by_scheduler(evidence: Evidence, node: str, since_ns: int, until_ns: int) -> Iterator[Seen]:
    for seen in _entries(evidence, node, since_ns, until_ns):
        if _NO_QUORUM in seen.text("message"):
            yield seen


def _by_drbd(evidence: Evidence, node: str, since_ns: int, until_ns: int) -> Iterator[Seen]:
    for seen in _entries(evidence, node, since_ns, until_ns):
        message = seen.text("message")
        if seen.text("transport") == "kernel":
            if _NO_DATA.search(message):
                yield seen
            continue
        refused = _NOT_PROMOTED.search(message)
        by_pacemaker = seen.text("identifier").startswith("pacemaker-")
        if by_pacemaker and refused and refused["node"] == node:
            yield seen


def _by_fencer(evidence: Evidence, node: str, since_ns: int, until_ns: int) -> Iterator[Seen]:
    reports = [r for r in fence_reports(evidence) if r.t_ns <= until_ns and r.target != node]
    succeeded = [r.t_ns for r in reports if r.success and r.t_ns >= since_ns]
    if succeeded:
        return
    failed = {ref for r in reports if not r.success and r.t_ns >= since_ns for ref in r.refs}
    for seen in _entries(evidence, node, since_ns, until_ns):
        unclean = UNCLEAN.search(seen.text("message"))
        pending = unclean is not None and unclean["node"] != node
        by_pacemaker = seen.text("identifier").startswith("pacemaker-")
        if seen.ref in failed or (pending and by_pacemaker):
            yield seen


def _by_constraint(evidence: Evidence, node: str, since_ns: int, until_ns: int) -> Iterator[Seen]:
    standing: dict[str, Seen] = {}
    for seen in evidence.select(Channel.JOURNAL, "entry"):
        if seen.t_ns > until_ns or seen.source not in evidence.scenario.nodes:
            continue
        if not seen.text("identifier").startswith(("crm-fence-peer", "crm-unfence-peer")):
            continue
        message = seen.text("message")
        placed, removed = PLACED.search(message), _REMOVED.search(message)
        if placed:
            standing[placed["id"]] = seen
        elif removed:
            standing.pop(removed["id"], None)
    on_it = [seen for seen in standing.values() if seen.source != node]
    ran = [
        seen
        for seen in _entries(evidence, node, since_ns, until_ns)
        if _SCHEDULED in seen.text("message")
        and seen.text("identifier").startswith("pacemaker-schedulerd")
    ]
    if on_it and ran:
        yield from on_it
        yield ran[0]
