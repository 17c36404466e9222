"""Replication is lost only where its link is cut, and then once: no disconnect, no flapping."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from harness.checks.faults import by_id
from harness.checks.kernel import kernel_messages, streams_judged
from harness.checks.profile import timing_of
from harness.checks.registry import CannotJudgeError, Finding, check, found
from harness.checks.roles import deaths, primary_intervals
from harness.evidence.timeline import Channel

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.checks.kernel import KernelMessage
    from harness.evidence.model import Evidence, Seen

# enum drbd_conns (drbd.h, 8.4). Established: both ends have shaken hands. Lost: why it ended. A
# handshake that fails (from WFReportParams) is no loss: there was nothing to lose.
_ESTABLISHED = (
    "Connected|StartingSync[ST]|WFBitMap[ST]|WFSyncUUID|Sync(?:Source|Target)|PausedSync[ST]"
    "|Verify[ST]|Ahead|Behind"
)
_LOST = "Timeout|BrokenPipe|NetworkFailure|ProtocolError|TearDown|Unconnected|Disconnecting"
_LOSS = re.compile(rf"(?:^|\s)conn\( (?:{_ESTABLISHED}) -> (?P<why>{_LOST}) \)")
# drbd_khelper() and conn_try_outdate_peer() of drbd_nl.c (8.4).
_CALLED = re.compile(r"^helper command: \S+ fence-peer(?: \S+)?$")

_CUTS = ("cut-carrier", "cut-silent")
# Faults that DRBD is to bear: TCP reorders and waits. Loss, damage, a wrong MTU and a low rate (its
# queue can hold a keep-alive for long) are not among them: they can be as bad as a cut.
_BORNE = ("latency", "duplication", "reordering")
_FLAPPING = "flapping"
_TIMES = re.compile(r", (\d+) times,")


def _of_links_alone(evidence: Evidence) -> bool:
    """Whether nothing but links was broken, in ways that say how often replication may be lost."""
    injected = evidence.select(Channel.FAULT, "inject")
    kinds = {seen.text("kind") for seen in injected}
    went_down = any(deaths(evidence, node) for node in evidence.scenario.nodes)
    return bool(kinds) and kinds <= {*_CUTS, *_BORNE, _FLAPPING} and not went_down


def _cuts(seen: Seen) -> int:
    """How often a fault cut the drbd link.

    Raises:
        CannotJudgeError: it comes and goes, and its event does not say how often.
    """
    kind, target = seen.text("kind"), seen.text("target")
    links = target.partition(" link of ")[0].split(" and ")
    if "drbd" not in links or kind in _BORNE:
        return 0
    if kind != _FLAPPING:
        return 1
    times = _TIMES.search(target)
    if times is None:
        raise CannotJudgeError(f"{seen.ref}: {target!r} does not say how often")
    return int(times[1])


def _long_cuts(evidence: Evidence) -> list[str]:
    """Cuts of the drbd link that lasted so long that DRBD has to have noticed, in words."""
    told = []
    noticed_ns = timing_of(evidence).peer_noticed_s * 1e9
    for events in by_id(evidence).values():
        kinds = {seen.event.kind: seen for seen in events}
        bitten, heal = kinds.get("bitten"), kinds.get("heal")
        if bitten is None or heal is None or bitten.text("kind") not in _CUTS:
            continue
        if _cuts(bitten) and heal.t_ns - bitten.t_ns >= noticed_ns:
            told.append(f"{bitten.text('target')} for {(heal.t_ns - bitten.t_ns) / 1e9:.0f} s")
    return told


def _count(messages: Iterable[KernelMessage]) -> Counter[tuple[str, str]]:
    """By node and resource, how often it was said.

    Console and journal tell of everything. Where their copies of a message arrived too far apart to
    be known as one, it stands there twice: so what one of them told is counted, the larger of both.
    """
    journal: Counter[tuple[str, str]] = Counter()
    console: Counter[tuple[str, str]] = Counter()
    for message in messages:
        key = (message.node, message.resource)
        journal[key] += message.journal is not None
        console[key] += message.journal is None or len(message.refs) > 1
    return journal | console


@check(
    "lost-peer",
    "DRBD lost its peer only where their link was cut",
    applies=_of_links_alone,
    predicts=True,
)
def lost_peer(evidence: Evidence) -> Finding:
    """A connection ends at most once for each cut, and its fence-peer handler is called once.

    Judged where links alone were broken: cut, flapping, late, with frames twice or in another
    order. DRBD says ``conn( Connected -> NetworkFailure )`` or the like when it gives up its peer,
    and calls the fence-peer handler of the Primary, which sets the constraint. Each cut of the drbd
    link allows a node one such end of each resource's connection: it cannot be made anew before the
    link is back. A delay allows none. More of either means that the connection came back and went
    again, or that constraints come and go, while nothing new had happened. Calls count where one
    node was Primary all the time: a promotion without the peer calls the handler, too. And of a
    link that flaps each time that it is back may end in the middle of a handshake: no connection
    was lost then, but where the handler had not told yet that the peer is outdated, it is called
    again (drbd_disconnect() of drbd_receiver.c, 8.4).

    A cut that lasted for so long that DRBD has to have noticed (``Timing.peer_noticed_s``), and did
    not, is none: INCONCLUSIVE, whatever was proved of it.
    """
    injected = evidence.select(Channel.FAULT, "inject")
    allowed = sum(_cuts(seen) for seen in injected)
    flaps = sum(_cuts(seen) for seen in injected if seen.text("kind") == _FLAPPING)
    lost = [m for m in kernel_messages(evidence) if _LOSS.search(m.text)]
    called = [m for m in kernel_messages(evidence) if _CALLED.match(m.text)]
    losses, calls = _count(lost), _count(called)
    steady = {
        (intervals[0].node, resource)
        for resource, intervals in primary_intervals(evidence).items()
        if len(intervals) == 1 and intervals[0].closed_by == "open"
    }
    lost_by = {resource for _node, resource in losses}
    if (cuts := _long_cuts(evidence)) and (kept := set(evidence.scenario.resources) - lost_by):
        raise CannotJudgeError(
            f"cut: {', '.join(cuts)}; nobody lost its peer of {', '.join(sorted(kept))}"
        )
    problems: list[str] = []
    bad: list[KernelMessage] = []
    for key in sorted(losses.keys() | calls.keys()):
        name = " ".join(key)
        if losses[key] > allowed:
            problems.append(f"{name}: lost its peer {losses[key]} times, {_cut_words(allowed)}")
            bad += [m for m in lost if (m.node, m.resource) == key]
        if key in steady and calls[key] > losses[key] + flaps:
            problems.append(
                f"{name}: fence-peer was called {calls[key]} times, "
                f"the peer was lost {losses[key]} times"
            )
            bad += [m for m in called if (m.node, m.resource) == key]
    most = max(losses.values(), default=0)
    return found(
        problems,
        expected="no more losses of the peer than cuts of the drbd link, one call for each at most",
        fine=f"no connection was lost more than {most} times, {_cut_words(allowed)}",
        operations=streams_judged(evidence),
        when_ns=[message.t_ns for message in bad],
        evidence=[ref for message in bad or [*lost, *called] for ref in message.refs],
        details={"cuts": allowed, "losses": {" ".join(k): n for k, n in sorted(losses.items())}},
    )


def _cut_words(cuts: int) -> str:
    return f"the drbd link was cut {cuts} times" if cuts else "the drbd link was never cut"
