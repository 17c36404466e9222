"""What a scenario broke and somebody has to have said: a dead fence device; what ifdown does."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.checks.faults import by_id
from harness.checks.fencelog import fence_reports
from harness.checks.kernel import kernel_messages, streams_judged
from harness.checks.profile import timing_of
from harness.checks.registry import Finding, check, found
from harness.checks.verdict import Verdict
from harness.evidence.livestate import DEVICE_FAILED
from harness.evidence.timeline import Channel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.evidence.model import Evidence, Seen

_GONE = ("fence-down", "fence-unreachable")
_IFDOWN = "ifdown"
_LATE_NS = 10_000_000_000  # how much later than the heal what was tried before may be told
# prepare_listen_socket(), drbd_try_connect() and print_state_change() of 8.4.
_GAVE_UP = re.compile(r"bind before \w+ failed, err = -\d+|conn\( \w+ -> StandAlone \)")


def _spans(evidence: Evidence, *kinds: str) -> Iterator[tuple[Seen, int, int]]:
    """(proof, from, to) of every fault of these kinds that bit, ns on the run's clock."""
    for events in by_id(evidence).values():
        told = {seen.event.kind: seen for seen in events}
        bitten = told.get("bitten")
        if bitten is not None and bitten.text("kind") in kinds:
            heal = told.get("heal")
            yield bitten, told["inject"].t_ns, heal.t_ns if heal is not None else evidence.end_ns


def _has(*kinds: str) -> Callable[[Evidence], bool]:
    return lambda evidence: any(
        seen.text("kind") in kinds for seen in evidence.select(Channel.FAULT, "inject")
    )


@check(
    "fence-device-told",
    "Pacemaker told that the fence device was dead",
    applies=_has(*_GONE),
    predicts=True,
)
def fence_device_told(evidence: Evidence) -> Finding:
    """While the fence device was gone, a monitor or start of it failed, or a fencing did.

    A cluster that can fence nobody serves as ever until it has to; if nothing asks the device
    meanwhile, nobody hears of it before the node that should take over refuses to. Pacemaker says
    ``Result of monitor operation for fence_… on …: error`` (controld), or the fencer that an
    operation failed. Of a device that was gone for less than it takes to be asked, silence says
    nothing: INCONCLUSIVE.
    """
    problems: list[str] = []
    refs: list[str] = []
    when: list[int] = []
    long, operations = False, 0
    asked_ns = timing_of(evidence).fence_asked_s * 1e9
    for bitten, from_ns, to_ns in _spans(evidence, *_GONE):
        told = [
            seen.ref
            for node in evidence.scenario.nodes
            for seen in evidence.select(Channel.JOURNAL, "entry", source=node)
            if from_ns <= seen.t_ns <= to_ns + _LATE_NS
            and DEVICE_FAILED.search(seen.text("message"))
        ]
        told += [
            ref
            for report in fence_reports(evidence)
            if not report.success and from_ns <= report.t_ns <= to_ns + _LATE_NS
            for ref in report.refs
        ]
        operations += 1
        refs += told or [bitten.ref]
        if not told:
            problems.append(
                f"{bitten.text('target')} was gone for {(to_ns - from_ns) / 1e9:.0f} s, "
                "and nobody said so"
            )
            when += [from_ns, to_ns]
            long = long or to_ns - from_ns >= asked_ns
    return found(
        problems,
        expected="a monitor, a start or a fencing that failed meanwhile",
        fine=f"{len(refs)} times told",
        operations=operations,
        otherwise=Verdict.INVALID if long else Verdict.INCONCLUSIVE,
        when_ns=when,
        evidence=refs,
    )


@check("ifdown", "ifdown did more than a cut does", applies=_has(_IFDOWN), predicts=True)
def ifdown(evidence: Evidence) -> Finding:
    """A node whose drbd card was taken down with ifdown gives its connections up for good.

    With a cable pulled a node keeps its address: DRBD waits (WFConnection), and connects when the
    cable is back. Without the address it cannot bind: ``bind before listen failed, err = -99``, and
    the connection is StandAlone until an administrator makes it anew. That is the difference that
    the post warns of; were there none, ifdown would do for a cut.
    """
    problems: list[str] = []
    refs: list[str] = []
    messages = kernel_messages(evidence)
    for bitten, from_ns, to_ns in _spans(evidence, _IFDOWN):
        link, _, node = bitten.text("target").partition(" link of ")
        own = [
            m
            for m in messages
            if m.node == node and from_ns <= m.t_ns <= to_ns + _LATE_NS and _GAVE_UP.search(m.text)
        ]
        refs += [ref for m in own for ref in m.refs] or [bitten.ref]
        if link == "drbd" and not own:
            problems.append(f"DRBD on {node} only waited, as it does after a cut")
    return found(
        problems,
        expected="connections that are given up where the address is gone",
        fine="DRBD could not bind, and gave its connections up",
        operations=streams_judged(evidence),
        evidence=refs,
    )
