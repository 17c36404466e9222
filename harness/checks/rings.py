"""Corosync's links ("rings"): a cut of one is noticed, and it comes back without anybody's help."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.checks.faults import by_id
from harness.checks.profile import timing_of
from harness.checks.registry import CannotJudgeError, Finding, check, found, remember
from harness.checks.roles import deaths
from harness.evidence.timeline import Channel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.evidence.model import Evidence, Seen

# libknet 1.25 as corosync logs it: "[KNET  ] link: host: 2 link: 0 is down" (_link_down() of
# links.c), "[KNET  ] rx: host: 2 link: 0 is up" (of threads_rx.c).
_STATE = re.compile(
    r"\[KNET\s*\] \w+: host: (?P<host>\d+) link: (?P<link>\d+) is (?P<is>up|down)\b"
)
_RINGS = ("mgmt", "drbd")  # of a run that kept no configuration
_CUTS = ("cut-carrier", "cut-silent")
_LATE_NS = 10_000_000_000  # how much later than it happened a guest under load may tell


def _numbers(evidence: Evidence) -> dict[str, str]:
    """Corosync's number of each link of ours: its place (vagrant/cluster/corosync.conf.j2)."""
    config = evidence.run.config.get("corosync", {}) if evidence.run is not None else {}
    rings = config.get("rings", _RINGS) if isinstance(config, dict) else _RINGS
    return {str(link): str(number) for number, link in enumerate(rings)}


@remember
def _told(evidence: Evidence) -> list[tuple[Seen, str, str, bool]]:
    """(where, host, link, is up) of all that Corosync said of its links, in order of arrival."""
    return [
        (seen, match["host"], match["link"], match["is"] == "up")
        for seen in evidence.select(Channel.JOURNAL, "entry")
        if seen.source in evidence.scenario.nodes and seen.text("identifier") == "corosync"
        for match in [_STATE.search(seen.text("message"))]
        if match
    ]


def _lasting_cuts(evidence: Evidence) -> Iterator[tuple[str, Seen, int]]:
    """(link, proof, until) of cuts of Corosync's links that it has to have noticed.

    Until both ends of it are there no longer, or it was healed; ns on the run's clock.
    """
    least_ns = timing_of(evidence).peer_noticed_s * 1e9
    down = [d.t_ns for node in evidence.scenario.nodes for d in deaths(evidence, node)]
    for events in by_id(evidence).values():
        kinds = {seen.event.kind: seen for seen in events}
        bitten, heal = kinds.get("bitten"), kinds.get("heal")
        if bitten is None or heal is None or bitten.text("kind") not in _CUTS:
            continue
        cut, _, whose = bitten.text("target").partition(" link of ")
        until_ns = min([heal.t_ns, *(t_ns for t_ns in down if t_ns >= bitten.t_ns)])
        if until_ns - bitten.t_ns < least_ns or not _of_nodes(evidence, whose):
            continue
        for link in cut.split(" and "):
            if link in _numbers(evidence):
                yield link, bitten, until_ns


def _of_nodes(evidence: Evidence, whose: str) -> bool:
    return any(node in re.split(r", | and ", whose) for node in evidence.scenario.nodes)


def _of_rings(evidence: Evidence) -> bool:
    """Whether the scenario did something to a link that Corosync uses."""
    for seen in evidence.select(Channel.FAULT, "inject"):
        links, found_one, whose = seen.text("target").partition(" link of ")
        if (
            found_one
            and _numbers(evidence).keys() & set(links.split(" and "))
            and _of_nodes(evidence, whose)
        ):
            return True
    return False


@remember
def _entries(evidence: Evidence) -> list[Seen]:
    return [
        seen
        for seen in evidence.select(Channel.JOURNAL, "entry")
        if seen.source in evidence.scenario.nodes
    ]


def _boots(evidence: Evidence) -> dict[str, list[str]]:
    """The boots that each node's journal is of, in order."""
    boots: dict[str, dict[str, None]] = {node: {} for node in evidence.scenario.nodes}
    for seen in _entries(evidence):
        boots[seen.source].setdefault(seen.text("boot_id"))
    return {node: list(known) for node, known in boots.items()}


def _still_down(evidence: Evidence, numbers: set[str]) -> list[tuple[str, Seen | None]]:
    """What each node's last boot said last of each link, where that is not that it is up."""
    problems: list[tuple[str, Seen | None]] = []
    for node, boots in _boots(evidence).items():
        if not boots:
            continue
        last = {
            (link, host): (seen, is_up)
            for seen, host, link, is_up in _told(evidence)
            if seen.source == node and seen.text("boot_id") == boots[-1]
        }
        problems += [
            (f"{node}: link {link} to host {host} is still down", seen)
            for (link, host), (seen, is_up) in sorted(last.items(), key=lambda item: item[0])
            if not is_up
        ]
        # One that was there before has not come up by itself since this boot.
        missing = numbers - {link for link, _host in last} if len(boots) > 1 else set()
        problems += [(f"{node}: link {link} never came up again", None) for link in sorted(missing)]
    return problems


@check(
    "corosync-links",
    "Corosync's links failed with their networks, and came back",
    applies=_of_rings,
    predicts=True,
)
def corosync_links(evidence: Evidence) -> Finding:
    """A link of Corosync that went down is up in the end; one whose network was cut went down.

    The post's words: no manual intervention is needed to recover a failed ring. knet says ``link: …
    is down`` when its pings are not answered any more, and ``is up`` when they are again. The last
    word of each node's last boot on each link has to be the latter, though the node is a member
    with one of the two already: the next cut would find it without the other.

    A cut that lasted for so long that Corosync has to have noticed (as DRBD: ``peer_noticed_s``),
    and did not, is none, or Corosync does not use the link: INCONCLUSIVE. With a single link there
    is nothing to tell which one it is.
    """
    told = _told(evidence)
    numbers = _numbers(evidence)
    down = _still_down(evidence, set(numbers.values()))
    refs = [seen.ref for _text, seen in down if seen is not None]
    cuts = list(_lasting_cuts(evidence)) if len(numbers) > 1 else []
    for link, bitten, until_ns in cuts:
        noticed = [
            seen
            for seen, _host, number, is_up in told
            if number == numbers[link]
            and not is_up
            and bitten.t_ns - _LATE_NS <= seen.t_ns <= until_ns + _LATE_NS
        ]
        refs += [seen.ref for seen in noticed]
        if not noticed and not down:
            raise CannotJudgeError(
                f"{bitten.text('target')} was cut for {(until_ns - bitten.t_ns) / 1e9:.0f} s, "
                f"and Corosync never missed its link {numbers[link]} ({link})"
            )
    downs = sum(not is_up for _seen, _host, _link, is_up in told)
    return found(
        [text for text, _seen in down],
        expected="every link up in the end, and those down meanwhile whose network was cut",
        fine=f"{downs} times a link was called down, all are up in the end",
        operations=len(_entries(evidence)),
        when_ns=[seen.t_ns for _text, seen in down if seen is not None],
        evidence=refs,
        details={"lasting cuts": len(cuts), "down": downs},
    )
