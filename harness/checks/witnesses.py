"""Were we watching: each stream told this scenario from end to end, and none broke unexplained."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from harness.checks.fencelog import fence_reports
from harness.checks.jobs import has_workload
from harness.checks.moments import untimely, untimely_samples
from harness.checks.registry import Finding, check, found
from harness.checks.roles import deaths, kills
from harness.checks.silence import silences
from harness.checks.verdict import Verdict
from harness.evidence.timeline import Channel

if TYPE_CHECKING:
    from harness.evidence.model import Evidence, Seen

_NEAR_NS = 60_000_000_000  # a stream breaks within this of what killed its VM
_PROGRESS_NS = 30_000_000_000  # the counters come twice a second
# Streams of which a line may be torn where its VM died. None of block: it may be a write's.
_MAY_TEAR = (Channel.JOURNAL, Channel.EVENTS2)


def expected_streams(evidence: Evidence) -> list[tuple[str, Channel]]:
    """(source, channel) of every stream a scenario must have."""
    streams = [
        (vm, channel) for vm in evidence.vms for channel in (Channel.JOURNAL, Channel.CONSOLE)
    ]
    streams += [(node, Channel.EVENTS2) for node in evidence.scenario.nodes]
    return [*streams, (evidence.scenario.initiator, Channel.BLOCK)]


@check("witnesses", "Every witness was watching all the time")
def witnesses(evidence: Evidence) -> Finding:
    """Journals, consoles, both events2 and the initiator's block told all of this scenario.

    The nonce at the beginning proves that what follows was not buffered before the fork, the one
    at the end (``end-nonce``, the same on all streams) that the stream still told what its VM
    said. In between a stream may break only because its VM went down (lifecycle, a proven fault,
    a fencing, or a new boot_id), and must open again; and only there a line may be torn: of any
    other that cannot be read nobody knows what it said. Of the initiator's block requests none may
    be missing: no line is garbled, and the guest's service did not start anew. The initiator's
    counters come all through the faults, and no witness on the host died. The nonce at the end
    comes when all faults are over, and every sample is of the moment that it says
    (harness.checks.moments). What has to be heard in between is, and nobody says that something was
    dropped (harness.checks.silence); fence_virtd alone may have nothing to say, as nobody need ask
    it within a short scenario. A job that the workload started is one of the scenario's.
    Silence of a witness that was not listening proves nothing: INCONCLUSIVE.
    """
    problems, refs, when, judged = [], [], [], 0
    ends: dict[str, list[Seen]] = {}
    for source, channel in expected_streams(evidence):
        nonce = evidence.nonces.get((source, channel))
        if nonce is None:
            problems.append(f"{channel} of {source}: no nonce")
            continue
        judged += 1
        refs.append(nonce.ref)
        closing = evidence.select(channel, "end-nonce", source=source)
        for seen in closing:
            ends.setdefault(seen.text("nonce"), []).append(seen)
        if not closing:
            problems.append(f"{channel} of {source}: no nonce at the end")
        elif early := untimely(evidence, "after", closing[-1]):
            problems.append(f"{channel} of {source}: its nonce at the end {early}")
            refs.append(closing[-1].ref)
        garbled = [
            seen
            for seen in evidence.select(channel, "garbled", source=source)
            if channel not in _MAY_TEAR or not _explained(evidence, source, seen)
        ]
        if garbled:
            problems.append(f"{channel} of {source}: {len(garbled)} garbled lines")
            refs.append(garbled[0].ref)
        for text, seen in (
            *_lost_events(evidence, source, channel),
            *_restarts(evidence, source, channel, closing),
            *_breaks(evidence, source, channel),
        ):
            problems.append(text)
            refs.append(seen.ref)
            when.append(seen.t_ns)
    if len(ends) > 1 or "" in ends:
        where = [f"{told[0].event.channel} of {told[0].source}" for told in ends.values()]
        problems.append(f"{len(ends)} different nonces at the end, as on {' and '.join(where)}")
        refs += [told[0].ref for told in ends.values()]
    for text, place in (*untimely_samples(evidence), *silences(evidence)):
        problems.append(text)
        refs += [] if place is None else [place.ref]
        when += [] if place is None else [place.t_ns]
    problems += _jobs_left_out(evidence)
    for text, at in _silence_of_progress(evidence):
        problems.append(text)
        when.append(at)
    for seen in evidence.timeline:
        if seen.event.kind == "witness-died":
            problems.append(f"{seen.event.channel}: its witness died: {seen.text('reason')[:120]}")
            refs.append(seen.ref)
            when.append(seen.t_ns)
    return found(
        problems,
        expected="a nonce at both ends of each stream, and no break but by a VM going down",
        fine=f"{judged} streams carried both nonces and told everything",
        operations=judged,
        otherwise=Verdict.INCONCLUSIVE,
        when_ns=when,
        evidence=refs,
    )


def _jobs_left_out(evidence: Evidence) -> list[str]:
    """Jobs that the workload started and scenario.json does not have: nobody judges them."""
    known = {job.name for job in evidence.scenario.jobs}
    started = [
        str(name)
        for seen in evidence.select(Channel.WORKLOAD, "start")
        for name in seen.event.data.get("jobs") or ()
    ]
    return [f"job {name} was started and is not known" for name in started if name not in known]


def _lost_events(evidence: Evidence, source: str, channel: Channel) -> list[tuple[str, Seen]]:
    """Events that the kernel numbered and events2 never told, or that its tracer says it lost.

    events2 says by how much each event's number differs from the expected one. Let the numbers be
    s_0 … s_n: the differences s_i - s_(i-1) - 1 add up to s_n - s_0 - n, which is how many numbers
    between the first and the last were never told. Events that only overtook each other add up to
    nothing, or to less if the very first came too early. Each start of events2 (``dump-end``)
    counts anew.
    """
    lost: list[tuple[str, Seen]] = [
        (f"{channel} of {source} lost {seen.event.data.get('count')} events", seen)
        for seen in evidence.select(channel, "lost-events", source=source)
    ]
    sums: list[tuple[int, Seen]] = []
    for seen in evidence.select(channel, "skipped", "dump-end", source=source):
        if seen.event.kind == "dump-end":
            sums.append((0, seen))
        else:
            so_far = sums.pop()[0] if sums else 0
            sums.append((so_far + int(seen.event.data["count"]), seen))
    for count, last in sums:
        if count > 0:
            lost.append((f"{channel} of {source} lost {count} events", last))
    return lost


def _restarts(
    evidence: Evidence, source: str, channel: Channel, closing: tuple[Seen, ...]
) -> list[tuple[str, Seen]]:
    """Starts of what sends a stream, after its first nonce and before its last.

    The host does not notice otherwise: the port stays open. Also where the whole VM started anew:
    then its kernel traced nothing meanwhile.
    """
    return [
        (f"{channel} of {source} was started anew: what happened meanwhile is lost", seen)
        for seen in evidence.select(channel, "restarted", source=source)
        if not closing or seen.line < closing[-1].line
    ]


def _breaks(evidence: Evidence, source: str, channel: Channel) -> list[tuple[str, Seen]]:
    """Breaks of a stream that its VM does not explain, or that never ended."""
    broke = []
    events = evidence.select(channel, "lost", "open", source=source)
    for n, seen in enumerate(events):
        if seen.event.kind != "lost":
            continue
        reason = seen.text("reason")[:120]
        reopened = any(later.event.kind == "open" for later in events[n + 1 :])
        if not _explained(evidence, source, seen):
            broke.append((f"{channel} of {source} broke while its VM lived: {reason}", seen))
        elif not reopened:
            broke.append((f"{channel} of {source} broke and never opened again: {reason}", seen))
    return broke


def _silence_of_progress(evidence: Evidence) -> list[tuple[str, int]]:
    """(what, from when) the initiator's counters did not come though a workload ran.

    They must come from before the first fault until after the last heal; without a fault, from
    the workload's start until it is asked to stop.
    """
    if not has_workload(evidence):
        return []
    begins = evidence.select(Channel.FAULT, "inject") or evidence.select(Channel.WORKLOAD, "start")
    ends = evidence.select(Channel.FAULT, "healed", "heal") or evidence.select(
        Channel.WORKLOAD, "stop-asked", "exit"
    )
    name = f"{Channel.PROGRESS} of {evidence.scenario.initiator}"
    told = [
        s.t_ns for s in evidence.select(Channel.PROGRESS, "io", source=evidence.scenario.initiator)
    ]
    if not told:
        return [(f"{name}: nothing", evidence.scenario.started_ns)]
    begin = begins[0].t_ns if begins else told[0]
    end = ends[-1].t_ns if ends else told[-1]
    late_ns = 0 if evidence.select(Channel.FAULT, "inject") else _PROGRESS_NS
    silent = []
    if told[0] > begin + late_ns:
        silent.append((f"{name}: nothing before the fault", begin))
    if told[-1] < end - late_ns:
        silent.append((f"{name}: nothing after the heal", told[-1]))
    for before, after in pairwise(told):
        if after - before > _PROGRESS_NS and after > begin and before < end:
            silent.append((f"{name}: nothing for {(after - before) / 1e9:.0f} s", before))
    return silent


def _explained(evidence: Evidence, vm: str, lost: Seen) -> bool:
    """Whether a stream broke, or a line of it was torn, since its VM went down."""
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
