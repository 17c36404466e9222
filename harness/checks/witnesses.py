"""Were we watching: every stream belonged to this scenario, and none broke unexplained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.checks.fencelog import fence_reports
from harness.checks.registry import Finding, check, found
from harness.checks.roles import deaths, kills
from harness.checks.verdict import Verdict
from harness.evidence.timeline import Channel

if TYPE_CHECKING:
    from harness.evidence.model import Evidence, Seen

_NEAR_NS = 60_000_000_000  # a stream breaks within this of what killed its VM


def expected_streams(evidence: Evidence) -> list[tuple[str, Channel]]:
    """(source, channel) of every stream a scenario must have."""
    streams = [
        (vm, channel) for vm in evidence.vms for channel in (Channel.JOURNAL, Channel.CONSOLE)
    ]
    return streams + [(node, Channel.EVENTS2) for node in evidence.scenario.nodes]


@check("witnesses", "Every witness was watching all the time")
def witnesses(evidence: Evidence) -> Finding:
    """Journal and console of each VM and events2 of each node carried this scenario's nonce.

    The nonce proves that what follows was not buffered before the fork. A stream may break only
    because its VM went down (lifecycle, a proven fault, a fencing, or a new boot_id), and must
    open again. Silence of a witness that was not listening proves nothing: INCONCLUSIVE.
    """
    problems, refs, when, judged = [], [], [], 0
    for source, channel in expected_streams(evidence):
        nonce = evidence.nonces.get((source, channel))
        if nonce is None:
            problems.append(f"{channel} of {source}: no nonce")
            continue
        judged += 1
        refs.append(nonce.ref)
        events = evidence.select(channel, "lost", "open", source=source)
        for n, seen in enumerate(events):
            if seen.event.kind != "lost":
                continue
            reason = seen.text("reason")[:120]
            reopened = any(later.event.kind == "open" for later in events[n + 1 :])
            if not _explained(evidence, source, seen):
                problems.append(f"{channel} of {source} broke while its VM lived: {reason}")
            elif not reopened:
                problems.append(f"{channel} of {source} broke and never opened again: {reason}")
            else:
                continue
            refs.append(seen.ref)
            when.append(seen.t_ns)
    return found(
        problems,
        expected="a nonce in each stream, and no break but by a VM going down",
        fine=f"{judged} streams carried their nonce and told everything",
        operations=judged,
        otherwise=Verdict.INCONCLUSIVE,
        when_ns=when,
        evidence=refs,
    )


def _explained(evidence: Evidence, vm: str, lost: Seen) -> bool:
    ends = [death.t_ns for death in deaths(evidence, vm)]
    ends += [
        seen.t_ns for seen in evidence.select(Channel.FAULT, "inject", "bitten") if kills(seen, vm)
    ]
    ends += [r.t_ns for r in fence_reports(evidence) if r.success and r.target == vm]
    if any(abs(t_ns - lost.t_ns) <= _NEAR_NS for t_ns in ends):
        return True
    return _boot_changed(evidence, vm, lost)


def _boot_changed(evidence: Evidence, vm: str, lost: Seen) -> bool:
    before, after = "", ""
    for seen in evidence.select(Channel.JOURNAL, "entry", source=vm):
        if seen.line < lost.line:
            before = seen.text("boot_id") or before
        elif not after:
            after = seen.text("boot_id")
    return bool(before and after and before != after)
