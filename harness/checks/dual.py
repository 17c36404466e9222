"""Two at once: two Primaries of one resource, two owners of the VIP."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

from harness.checks.clocks import clock_map
from harness.checks.faults import fault_window
from harness.checks.handover import Overlap, overlap
from harness.checks.jobs import has_workload
from harness.checks.profile import timing_of
from harness.checks.registry import CannotJudgeError, Finding, check, found
from harness.checks.roles import holders, own_intervals, signals_judged
from harness.checks.stall import stalls_of, standstills
from harness.checks.verdict import Verdict
from harness.evidence.model import WITNESS_CHANNELS
from harness.evidence.timeline import Channel

if TYPE_CHECKING:
    from harness.evidence.model import Evidence, Seen

_MAC = re.compile(r"^[0-9a-f]{2}(?::[0-9a-f]{2}){5}$")
_SAME_PROBE_NS = 2_000_000_000
_CLAIM_NS = 10_000_000_000  # somebody asks every second
_STANDSTILL_S = 5.0


@check("dual-primary", "Never two Primaries of one resource")
def dual_primary(evidence: Evidence) -> Finding:
    """No resource is Primary on both nodes at the same time.

    Each node's Primary intervals come from events2, the kernel's role changes and samples; an
    interval ends with the demotion or with the VM's death, and lasts to the end of the scenario
    where neither was seen. Stamps are arrivals, so an overlap longer than the streams' skew
    (1 s) is real: INVALID. A shorter one cannot be told from late arrival: INCONCLUSIVE. A clean
    demotion and promotion whose arrivals are crossed by less than 2.5 s are put in order by the
    guests' own clocks or by Pacemaker's operations, where one of them can (see ``overlap``: a clock
    stands still while its VM is suspended).
    A Primary that the scenario forced (``expect.split_brain``) is not the cluster's doing.
    """
    problems: list[str] = []
    doubtful: list[str] = []
    refs: list[str] = []
    when: list[int] = []
    details = []
    for resource, intervals in own_intervals(evidence).items():
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

    Somebody asks every second, so the claims themselves prove that the watch went on. Where none
    comes for 10 s though the service was up (outside of a fault until its longest stall is over,
    and outside of any standstill of the writes), nobody may have listened: INCONCLUSIVE.
    """
    claims = vip_claims(evidence)
    moves = vip_moves(claims)
    failed_over = max((len(holders(i)) - 1 for i in own_intervals(evidence).values()), default=0)
    close = [(a, b) for a, b in moves if b.t_ns - a.t_ns <= _SAME_PROBE_NS]
    dual = len(moves) > 1 and len(moves) > failed_over
    silent = _silences([seen.t_ns for seen, _ in claims], evidence)
    if dual:
        problems = [
            f"{len(moves)} changes of MAC with {max(failed_over, 0)} failovers of the roles; "
            f"{len(close)} times both answered within 2 s"
        ]
        when = [seen.t_ns for move in moves for seen in move]
    else:
        problems = [f"nobody claimed the VIP for {(b - a) / 1e9:.0f} s" for a, b in silent]
        when = [t_ns for silence in silent for t_ns in silence]
    return found(
        problems,
        expected="one owner at a time, claiming all the time",
        fine=f"{len({mac for _, mac in claims})} owners, one after the other, {len(moves)} moves",
        operations=len(claims),
        otherwise=Verdict.INVALID if dual else Verdict.INCONCLUSIVE,
        when_ns=when,
        evidence=[seen.ref for move in moves[:10] for seen in move],
        details={"moves": len(moves), "role_failovers": failed_over, "close": len(close)},
    )


def _silences(claims_ns: list[int], evidence: Evidence) -> list[tuple[int, int]]:
    """(from, to) of each time without a claim that an outage of the service does not explain."""
    begin = min((seen.t_ns for seen in evidence.nonces.values()), default=0)
    begin = max(begin, evidence.scenario.started_ns)
    last = [s.t_ns for c in WITNESS_CHANNELS for s in evidence.select(c, "end-nonce")]
    end = max(last, default=evidence.scenario.ended_ns or evidence.end_ns)
    moments = [begin, *(t for t in claims_ns if begin < t < end), end]
    outages = _outages(evidence)
    silent = []
    for before, after in pairwise(moments):
        since = before
        for down, up in outages:
            if down <= since + _CLAIM_NS and up > since:
                since = max(since, min(up, after))
        if after - since > _CLAIM_NS:
            silent.append((since, after))
    return silent


def _outages(evidence: Evidence) -> list[tuple[int, int]]:
    """When the service may have been down, by begin.

    From the first injection to the end of the longest stall, and each standstill of a job's
    writes (a planned move has no injection). Without a workload: until the heal, and around each
    change of roles.
    """
    injects = evidence.select(Channel.FAULT, "inject")
    if has_workload(evidence):
        known = clock_map(evidence, evidence.scenario.initiator) is not None
        kinds = ("progress", "latency", "gap") if known else ("progress",)
        stalls = [stall for stall in stalls_of(evidence) if stall.kind in kinds]
        longest = max(stalls, key=lambda stall: stall.seconds, default=None)
        outages = standstills(evidence, _STANDSTILL_S)
        if injects and longest is not None:
            outages.append((injects[0].t_ns, longest.end_ns))
        return sorted(outages)
    window = fault_window(evidence)
    outages = [window] if window is not None else []
    take_over_ns = int(timing_of(evidence).take_over_s * 1e9)
    for intervals in own_intervals(evidence).values():
        outages += [
            (min(before.end_ns, after.start.t_ns), after.start.t_ns + take_over_ns)
            for before, after in pairwise(holders(intervals))
        ]
    return sorted(outages)
