"""Pacemaker's properties, constraints and timeouts, onto the shapes that the lab's CIB can have."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.lint.formats.cib import INFINITY
from harness.lint.formats.text import is_true, seconds
from harness.lint.rules.constraints import PING
from harness.lint.rules.resources import (
    ADDRESSES,
    DRBD,
    LUN,
    PORTBLOCK,
    TARGET,
    drbd_clones,
    primitive_place,
    serving_groups,
)
from harness.lint.wiring import cib_place

if TYPE_CHECKING:
    from harness.lint.formats.cib import Cib, Group, Primitive
    from harness.lint.onto_lab.sheet import Given, Sheet

_STICKINESS = "resource-stickiness"
_DELAY = "priority-fencing-delay"
# Mapped, what Pacemaker writes by itself, or what has no bearing on a failover.
_PROPERTIES = {"stonith-enabled", _DELAY, "cluster-infrastructure", "cluster-name", "dc-version",
               "have-watchdog", "last-lrm-refresh"}  # fmt: skip
_AGENTS = {DRBD, LUN, TARGET, PORTBLOCK, PING, *ADDRESSES}
_MOST_STICKINESS = 1_000_000


def map_pacemaker(sheet: Sheet) -> None:
    """Map the CIB."""
    cib = sheet.look.need(sheet.cluster.cib)
    if cib is None:
        return
    _properties(sheet, cib)
    _shape(sheet, cib)
    _timeouts(sheet, cib)
    _portblock(sheet, cib)
    # These two find out more than that something is there: what leads nowhere is as good as none.
    for rule, name in (("ping-rule", "pacemaker.ping_rule"), ("order", "pacemaker.order")):
        outcome = sheet.judge(rule)
        if outcome.seen:
            first = outcome.found[0] if outcome.found else None
            place = first.place if first else cib_place(sheet.look, "constraints")
            sheet.set(name, first is None, place, first.what if first else "")
    _others(sheet, cib)


def _properties(sheet: Sheet, cib: Cib) -> None:
    place = cib_place(sheet.look, "cluster properties")
    fences = is_true(cib.properties.get("stonith-enabled", "true"))
    sheet.set("pacemaker.stonith_enabled", fences, place)
    devices = [one for one in cib.primitives.values() if one.agent.startswith("stonith:")]
    if fences and not devices:
        sheet.leave(place, "no fence device", "the lab has one for each node: harness lint tells")
    if devices:
        asked = [
            any(one.name == "monitor" and seconds(one.interval) for one in device.operations)
            for device in devices
        ]
        sheet.set("pacemaker.fence_monitor", all(asked), place)
    delay = seconds(cib.properties.get(_DELAY, "0")) or 0.0
    sheet.set("pacemaker.priority_fencing_delay", delay > 0, place)
    if delay > 0:
        sheet.set("timing.priority_fencing_delay_s", max(1, round(delay)), place)
    given = cib.resource_defaults.get(_STICKINESS, "0")
    if given.upper() in ("INFINITY", "INF"):
        given = str(_MOST_STICKINESS)
    where = cib_place(sheet.look, "rsc_defaults")
    if re.fullmatch(r"\d{1,7}", given, re.ASCII):
        sheet.set("pacemaker.resource_stickiness", int(given), where)
    else:
        sheet.leave(where, f"{_STICKINESS} {given}", "the lab's is a number, 0 or more")
    for name, value in cib.properties.items():
        if name not in _PROPERTIES:
            sheet.leave(place, f"{name}={value}", "the lab has Pacemaker's default")
    for name, value in cib.resource_defaults.items():
        if name != _STICKINESS:
            sheet.leave(where, f"{name}={value}", "the lab has Pacemaker's default")


def _shape(sheet: Sheet, cib: Cib) -> None:
    """How the group and DRBD's promotion are placed: one of the lab's four ways."""
    clones = [clone.id for clone in drbd_clones(cib)]
    groups = serving_groups(cib)
    place = cib_place(sheet.look, "constraints")
    if not clones or not groups:
        what = "no promotable clone of DRBD" if not clones else "no group with a target"
        sheet.leave(place, what, "the lab has a group that serves, and DRBD promoted below it")
        return
    for other in groups[1:]:
        sheet.leave(cib_place(sheet.look, f"group {other.id}", other.line),
                    f"group {other.id}", "the lab has one group that serves")  # fmt: skip
    found, where = _colocated(sheet, cib, groups[0], clones)
    value = {"right": "group-with-promoted", "none": "none"}.get(
        found, "post" if len(clones) > 1 else "promoted-with-group"
    )
    if found == "right" and len(clones) > 1:
        sheet.leave(
            place, f"{len(clones)} promotable clones: {', '.join(clones)}",
            "the lab has one, of a group of all DRBD resources, but for the post's colocation",
        )  # fmt: skip
    line = next((one.line for one in cib.colocations if one.id == where), 0)
    sheet.set(
        "pacemaker.colocation", value,
        cib_place(sheet.look, f"colocation {where}", line) if where else place,
    )  # fmt: skip


def _colocated(sheet: Sheet, cib: Cib, group: Group, clones: list[str]) -> tuple[str, str]:
    """``right``, ``turned`` or ``none``, and the id of the constraint that makes it so."""
    right, turned = dict[str, str](), dict[str, str]()
    for one in cib.colocations:
        for dependent, primary in one.pairs:
            if dependent.id == group.id and primary.id in clones and primary.what == "Promoted":
                # A wish that something else may outweigh is none that the lab has.
                if one.score >= INFINITY:
                    right[primary.id] = one.id
                else:
                    place = cib_place(sheet.look, f"colocation {one.id}", one.line)
                    sheet.leave(place, f"score {one.score}", "the lab has inf, or no colocation")
            if primary.id == group.id and dependent.id in clones:
                turned[dependent.id] = one.id
    if turned:
        return "turned", next(iter(turned.values()))
    if right.keys() == set(clones):
        return "right", next(iter(right.values()))
    return "none", next(iter(right.values()), "")


def _timeouts(sheet: Sheet, cib: Cib) -> None:
    """The shortest timeout of each kind: it is the one that a slow failover meets first."""
    served = [cib.primitives[member] for group in serving_groups(cib) for member in group.members]
    for name, primitives, operation in (
        ("timing.start_timeout_s", served, "start"),
        ("timing.stop_timeout_s", served, "stop"),
        ("timing.monitor_timeout_s", served, "monitor"),
        ("timing.promote_timeout_s", cib.of_agent(DRBD), "promote"),
    ):
        given = _durations(sheet, cib, primitives, operation)
        sheet.take_least(name, given)
        if not given:
            sheet.assume(f"no resource says how long its {operation} may take")
    intervals: list[Given] = []
    for primitive in served:
        for one in primitive.operations:
            interval = seconds(one.interval) if one.name == "monitor" else None
            if interval:
                where = primitive_place(sheet.look, primitive)
                intervals.append((max(1, round(interval)), where))
    sheet.take_least("timing.monitor_interval_s", intervals)


def _durations(sheet: Sheet, cib: Cib, primitives: list[Primitive], operation: str) -> list[Given]:
    found: list[Given] = []
    for primitive in primitives:
        text = primitive.timeout(operation) or cib.operation_defaults.get("timeout")
        duration = seconds(text) if text else None
        if duration:
            where = primitive_place(sheet.look, primitive)
            found.append((max(1, round(duration)), where))
    return found


def _portblock(sheet: Sheet, cib: Cib) -> None:
    used = cib.of_agent(PORTBLOCK)
    actions = {one.param("action") for one in used}
    both = {"block", "unblock"} <= actions
    place = primitive_place(sheet.look, used[0]) if used else None
    sheet.set("pacemaker.portblock", both, place)
    if used and not both:
        assert place is not None
        sheet.leave(place, "portblock with one action alone", "the lab has both, or none")
    if used:
        outcome = sheet.judge("portblock-agent")
        for found in outcome.found[:1]:
            sheet.leave(
                found.place,
                found.what,
                "the lab's is mended: with this one the first start leaves the port shut, and no "
                "cluster comes to be that could fail over",
            )


def _others(sheet: Sheet, cib: Cib) -> None:
    for primitive in cib.primitives.values():
        if primitive.agent in _AGENTS or primitive.agent.startswith("stonith:"):
            continue
        place = primitive_place(sheet.look, primitive)
        sheet.leave(place, f"{primitive.id}, a {primitive.agent}", "the lab does not have it")
    known = {*cib.groups, *cib.clones, *cib.primitives}
    for one in cib.locations:
        device = cib.primitives.get(one.resource)
        if device is not None and device.agent.startswith("stonith:"):
            continue
        if one.node is not None and one.resource in known:
            place = cib_place(sheet.look, f"location {one.id}", one.line)
            what = f"{one.resource} prefers {one.node} with {one.score}"
            sheet.leave(place, what, "in the lab both nodes are alike")
