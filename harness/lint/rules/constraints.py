"""Rules on where things run, and in which order: colocation, order, and the ping rule."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.lint.formats.cib import INFINITY
from harness.lint.registry import Look, Severity, Source, rule
from harness.lint.rules.resources import drbd_clones, serving_groups
from harness.lint.wiring import cib_place

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.lint.formats.cib import Cib, Clone, Group

PING = "ocf:pacemaker:ping"
_WATCHES = (PING, "ocf:heartbeat:ethmonitor", "ocf:pacemaker:pingd", "ocf:heartbeat:pingd")
# DRBD's agent gives the node with good data this promotion score (resource agent drbd, 8.4 and 9).
_DRBD_SCORE = 10_000


def _each_pair(look: Look, judge: Callable[[Look, Cib, Group, Clone], None]) -> None:
    """Judge every group that serves together with every clone of DRBD."""
    cib = look.need(look.cluster.cib)
    if cib is None:
        return
    for group in serving_groups(cib):
        for clone in drbd_clones(cib):
            judge(look, cib, group, clone)
            look.saw()


@rule("colocation", "The group is where DRBD is promoted", Severity.ERROR, Source.POST)
def colocation(look: Look) -> None:
    """The group has to be placed with the promoted instances, of every DRBD resource, always: a LUN
    cannot be opened on a Secondary. The direction counts. "colocation c inf: GROUP CLONE:Promoted"
    places the group where a promotion is right; the other way round, as in the post's one set of
    masters and group, the promotion has to follow the group, and one left-over fence constraint
    blocks everything."""
    _each_pair(look, _judge_colocation)


def _judge_colocation(look: Look, cib: Cib, group: Group, clone: Clone) -> None:
    right = False
    turned = []
    for one in cib.colocations:
        place = cib_place(look, f"colocation {one.id}", one.line)
        for dependent, primary in one.pairs:
            if (dependent.id, primary.id) == (clone.id, group.id):
                turned.append(place)
            if (dependent.id, primary.id) != (group.id, clone.id):
                continue
            right = True
            if primary.what != "Promoted":
                look.report(place, f"with any instance of {clone.id}, not the promoted one")
            elif one.score < INFINITY:
                look.report(place, f"score {one.score}: a wish, where it has to be inf")
    # Beside a right one as well: the two together go round in a circle.
    for place in turned:
        text = f"{clone.id} is placed with {group.id}: it has to be the other way round"
        look.report(place, text)
    if not right and not turned:
        text = f"nothing places it with the promoted {clone.id}"
        look.report(cib_place(look, f"group {group.id}", group.line), text)


@rule("order", "The group starts after DRBD's promotion", Severity.ERROR, Source.POST)
def order(look: Look) -> None:
    """Colocation does not order. Without a mandatory order, target and LUNs start while DRBD is
    still Secondary, and fail; and on the way down DRBD may be demoted under open LUNs."""
    _each_pair(look, _judge_order)


def _judge_order(look: Look, cib: Cib, group: Group, clone: Clone) -> None:
    for one in cib.orders:
        place = cib_place(look, f"order {one.id}", one.line)
        for first, then in one.pairs:
            if (first.id, then.id) == (group.id, clone.id):
                look.report(place, f"{group.id} before {clone.id}: the wrong way round")
                return
            if (first.id, then.id) != (clone.id, group.id):
                continue
            if first.what != "promote":
                look.report(
                    place, f"after {first.what or 'start'} of {clone.id}, not after promote"
                )
            elif then.what not in (None, "start"):
                text = f"before {then.what} of {group.id}: say {group.id}:start"
                look.report(place, text)
            elif not one.mandatory:
                look.report(place, "it is advisory, and has to be Mandatory")
            return
    text = f"nothing makes it wait for the promotion of {clone.id}"
    look.report(cib_place(look, f"group {group.id}", group.line), text)


def _watchers(cib: Cib) -> dict[str, str]:
    """The node attributes that somebody keeps about the network, and the resource that does."""
    found = {}
    for agent in _WATCHES:
        for primitive in cib.of_agent(agent):
            default = "pingd" if "ping" in agent else f"ethmonitor-{primitive.param('interface')}"
            name = primitive.param("name") or default
            found[name] = primitive.id
    return found


@rule("ping-rule", "A dead data link moves the group", Severity.ERROR, Source.SEEN)
def ping_rule(look: Look) -> None:
    """Corosync runs over the other two links: with the data link dead, Pacemaker sees a healthy
    node, and the group stays where nobody can reach it. It takes a clone that watches the link
    (ping, ethmonitor) and a location rule on its attribute."""
    cib = look.need(look.cluster.cib)
    if cib is None:
        return
    watchers = _watchers(cib)
    for group in serving_groups(cib):
        moved = {group.id, *group.members, *(clone.id for clone in drbd_clones(cib))}
        rules = [
            location
            for location in cib.locations
            if location.resource in moved
            and set(watchers) & {*location.attributes, *location.scored_by}
        ]
        place = cib_place(look, f"group {group.id}", group.line)
        if not watchers:
            look.report(place, "nothing watches the data link")
        elif not rules:
            look.report(place, f"no location rule looks at {', '.join(watchers)}")
        for name in {
            watchers[attribute]
            for location in rules
            for attribute in (*location.attributes, *location.scored_by)
            if attribute in watchers
        }:
            if cib.clone_of(name) is None:
                where = cib_place(look, f"primitive {name}", cib.primitives[name].line)
                look.report(where, "it runs on one node only: it has to be a clone")
        look.saw()


@rule("ping-multiplier", "The ping rule outweighs what holds the group", Severity.WARNING,
      Source.DOCS)  # fmt: skip
def ping_multiplier(look: Look) -> None:
    """A score that is added where the link works moves the group only if it is more than everything
    that holds it: the stickiness of each resource that would move, and DRBD's promotion score of
    10,000."""
    cib = look.need(look.cluster.cib)
    if cib is None:
        return
    default = _number(cib.resource_defaults.get("resource-stickiness", "0"))
    scored = {name for location in cib.locations for name in location.scored_by}
    pings = [one for one in cib.of_agent(PING) if (one.param("name") or "pingd") in scored]
    for ping in pings:
        hosts = len((ping.param("host_list") or "").split())
        for group in serving_groups(cib):
            members = [
                *group.members,
                *(m for c in drbd_clones(cib) for m in cib.members(c.id)),
            ]
            holds = _DRBD_SCORE + sum(
                _number(cib.primitives[member].meta.get("resource-stickiness", str(default)))
                for member in members
            )
            gained = _number(ping.param("multiplier") or "1") * max(hosts, 1)
            if gained <= holds:
                text = f"a working link counts {gained}, what holds {group.id} about {holds}"
                look.report(cib_place(look, f"primitive {ping.id}", ping.line), text)
            look.saw()
    if not pings:
        # Nothing is added up: a missing rule is another rule's, one with -inf needs no multiplier.
        look.saw()


def _number(text: str) -> int:
    if text.strip().upper() in ("INFINITY", "INF"):
        return INFINITY
    return int(text) if re.fullmatch(r"-?\d{1,9}", text, re.ASCII) else 0
