"""Two at once: two Primaries of one resource, two owners of the VIP."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

from harness.checks.handover import Overlap, overlap
from harness.checks.registry import CannotJudgeError, Finding, check, found
from harness.checks.roles import holders, primary_intervals, signals_judged
from harness.checks.verdict import Verdict
from harness.evidence.timeline import Channel

if TYPE_CHECKING:
    from harness.evidence.model import Evidence, Seen

_MAC = re.compile(r"^[0-9a-f]{2}(?::[0-9a-f]{2}){5}$")
_SAME_PROBE_NS = 2_000_000_000


@check("dual-primary", "Never two Primaries of one resource")
def dual_primary(evidence: Evidence) -> Finding:
    """No resource is Primary on both nodes at the same time.

    Each node's Primary intervals come from events2, the kernel's role changes and samples; an
    interval ends with the demotion or with the VM's death, and lasts to the end of the scenario
    where neither was seen. Stamps are arrivals, so an overlap longer than the streams' skew
    (1 s) is real: INVALID. A shorter one cannot be told from late arrival: INCONCLUSIVE. A clean
    demotion and promotion whose arrivals are crossed by less than 2.5 s are put in order by the
    guests' own clocks or by Pacemaker's operations, where one of them can (see ``overlap``).
    """
    problems: list[str] = []
    doubtful: list[str] = []
    refs: list[str] = []
    when: list[int] = []
    details = []
    for resource, intervals in primary_intervals(evidence).items():
        for n, first in enumerate(intervals):
            for second in intervals[n + 1 :]:
                kind, overlap_ns = overlap(evidence, first, second)
                if kind is Overlap.NONE:
                    continue
                text = (
                    f"{resource}: Primary on {first.node} and {second.node} "
                    f"for {overlap_ns / 1e9:.1f} s"
                )
                (problems if kind is Overlap.REAL else doubtful).append(text)
                refs += [*first.refs, *second.refs]
                when += [second.start.t_ns, second.start.t_ns + overlap_ns]
                details.append({"resource": resource, "from_ns": when[-2], "to_ns": when[-1]})
    return found(
        problems or [f"{text}, within the streams' skew" for text in doubtful],
        expected="at most one Primary of each resource at any time",
        fine="at most one Primary of each resource at any time",
        operations=signals_judged(evidence),
        otherwise=Verdict.INVALID if problems else Verdict.INCONCLUSIVE,
        when_ns=when,
        evidence=refs,
        details={"overlaps": details},
    )


def vip_claims(evidence: Evidence) -> list[tuple[Seen, str]]:
    """(event, MAC) of every claim of the VIP, in order of arrival.

    Raises:
        CannotJudgeError: a claim whose MAC is not one.
    """
    claims = []
    for seen in evidence.select(Channel.ARP, "claim"):
        if seen.text("ip") != evidence.scenario.vip:
            continue
        mac = seen.text("mac").lower().replace("-", ":")
        if not _MAC.match(mac):
            raise CannotJudgeError(f"{seen.ref}: {mac[:40]!r} is not a MAC")
        claims.append((seen, mac))
    return claims


def vip_moves(claims: list[tuple[Seen, str]]) -> list[tuple[Seen, Seen]]:
    """Neighbouring claims by different MACs: the last of the old, the first of the new."""
    return [(a, b) for (a, old), (b, new) in pairwise(claims) if old != new]


@check("dual-vip", "Never two owners of the VIP")
def dual_vip(evidence: Evidence) -> Finding:
    """The VIP is never claimed by two machines at the same time.

    With one owner at a time the claims' MACs form one run per owner, and a change of owner is a
    failover. More changes than the roles failed over (A, B, A without a failover back; both
    answering one probe again and again) need two owners at once. One change alone is never
    counted: the old owner's last answer and the new one's first may lie close.
    """
    claims = vip_claims(evidence)
    moves = vip_moves(claims)
    failed_over = max(
        (len(holders(i)) - 1 for i in primary_intervals(evidence).values()), default=0
    )
    close = [(a, b) for a, b in moves if b.t_ns - a.t_ns <= _SAME_PROBE_NS]
    dual = len(moves) > 1 and len(moves) > failed_over
    return found(
        [
            f"{len(moves)} changes of MAC with {max(failed_over, 0)} failovers of the roles; "
            f"{len(close)} times both answered within 2 s"
        ]
        if dual
        else [],
        expected="one owner at a time",
        fine=f"{len({mac for _, mac in claims})} owners, one after the other, {len(moves)} moves",
        operations=len(claims),
        when_ns=[seen.t_ns for move in moves for seen in move] if dual else (),
        evidence=[seen.ref for move in moves[:10] for seen in move],
        details={"moves": len(moves), "role_failovers": failed_over, "close": len(close)},
    )
