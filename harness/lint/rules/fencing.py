"""Rules on Pacemaker's fencing and quorum (pacemaker-schedulerd(7), pacemaker-fenced(7))."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.lint.formats.text import is_false, is_true, seconds
from harness.lint.registry import Look, Severity, Source, rule
from harness.lint.wiring import cib_place

if TYPE_CHECKING:
    from harness.lint.formats.cib import Cib, Primitive

_BY_HANDLER = "drbd-fence-by-handler-"


@rule("stonith-enabled", "Pacemaker fences", Severity.ERROR, Source.SEEN)
def stonith_enabled(look: Look) -> None:
    """Without fencing, a node that cannot be seen is taken for dead: two Primaries, two owners of
    the floating address, two generations of data from one parent. It is on by default."""
    cib = look.need(look.cluster.cib)
    if cib is None:
        return
    for name in ("stonith-enabled", "fencing-enabled"):
        value = cib.properties.get(name, "true")
        if is_false(value):
            look.report(cib_place(look, f"property {name}"), f"{name}={value}")
        look.saw()


def fence_devices(cib: Cib) -> list[Primitive]:
    """All fence devices."""
    return [one for one in cib.primitives.values() if one.agent.startswith("stonith:")]


def _node_names(look: Look, cib: Cib) -> list[str]:
    return cib.nodes or [node.name for node in look.cluster.nodes]


def _covers(device: Primitive, node: str) -> bool:
    """Whether a fence device is for a node; one without a list asks the device itself."""
    listed = re.split(r"[\s,;]+", device.param("pcmk_host_list") or "")
    mapped = [
        pair.partition(":")[0] for pair in re.split(r"[;\s]+", device.param("pcmk_host_map") or "")
    ]
    named = [name for name in (*listed, *mapped) if name]
    return node in named if named else True


@rule("fence-devices", "Every node can be fenced", Severity.ERROR, Source.DOCS)
def every_node_can_be_fenced(look: Look) -> None:
    """A node that no device can fence stays unclean when it is lost, and the survivor must not take
    over: the outage lasts until somebody comes."""
    cib = look.need(look.cluster.cib)
    if cib is None:
        return
    devices = fence_devices(cib)
    for node in _node_names(look, cib):
        covering = [device for device in devices if _covers(device, node)]
        if not covering:
            look.report(cib_place(look, "resources"), f"no fence device is for {node}")
        for device in covering:
            banned = [
                one.node
                for one in cib.locations
                if one.resource == device.id and one.score is not None and one.score < 0
            ]
            others = [name for name in _node_names(look, cib) if name != node]
            if others and all(name in banned for name in others):
                text = f"{device.id}, which fences {node}, may run on no other node"
                look.report(cib_place(look, f"primitive {device.id}", device.line), text)
        look.saw()


@rule("fence-monitor", "Fence devices are asked if they are there", Severity.ERROR, Source.DOCS)
def fence_devices_are_monitored(look: Look) -> None:
    """A device that nobody asks may have been dead for months, and the node that should take over
    finds that out when it must not. A monitor, once in some minutes, tells an administrator."""
    cib = look.need(look.cluster.cib)
    if cib is None:
        return
    for device in fence_devices(cib):
        if not any(one.name == "monitor" and seconds(one.interval) for one in device.operations):
            place = cib_place(look, f"primitive {device.id}", device.line)
            look.report(place, f"{device.id} has no monitor")
        look.saw()


@rule("fencing-delay", "One node shoots first", Severity.ERROR, Source.SEEN)
def fencing_delay(look: Look) -> None:
    """When the nodes lose sight of each other, both order the other's fencing at once: both go
    down, or the one that serves. priority-fencing-delay gives the node with the more important
    resources a head start, which takes a priority other than 0, and at least twice pcmk_delay_max
    where that is set too. A pcmk_delay_base of one device does it as well, but does not know who
    serves."""
    cib = look.need(look.cluster.cib)
    if cib is None:
        return
    given = cib.properties.get("priority-fencing-delay")
    delay = seconds(given) if given is not None else 0.0
    if given is not None and not delay:
        look.report(cib_place(look, "property priority-fencing-delay"), f"{given} is no delay")
        return
    statics = [_seconds(device.param("pcmk_delay_base")) for device in fence_devices(cib)]
    randoms = [_seconds(device.param("pcmk_delay_max")) for device in fence_devices(cib)]
    if delay:
        metas = [
            one.meta
            for source in (cib.primitives, cib.groups, cib.clones)
            for one in source.values()
        ]
        if not any(_number(meta.get("priority", "0")) for meta in (*metas, cib.resource_defaults)):
            text = "priority-fencing-delay without a resource that has a priority"
            look.report(cib_place(look, "property priority-fencing-delay"), text)
        if randoms and delay < 2 * max(randoms):
            text = f"{given} is less than twice pcmk_delay_max ({max(randoms):g} s)"
            look.report(cib_place(look, "property priority-fencing-delay"), text)
    elif len(set(statics)) < 2 and not any(randoms):
        look.report(
            cib_place(look, "property cib-bootstrap-options"),
            "no priority-fencing-delay, and no delay of any fence device",
        )
    elif any(randoms):
        look.report(
            cib_place(look, "property cib-bootstrap-options"),
            "only a random delay decides who is fenced",
            Severity.WARNING,
        )
    look.saw()


def _seconds(text: str | None) -> float:
    # "alpha:5s;bravo:0s" since Pacemaker 2.1.2: the largest.
    found = [seconds(part.rpartition(":")[2]) for part in re.split(r"[;\s]+", text or "0")]
    return max((one for one in found if one is not None), default=0.0)


def _number(text: str) -> int:
    return int(text) if re.fullmatch(r"-?\d{1,9}", text, re.ASCII) else 0


@rule("quorum-policy", "Without quorum nothing runs", Severity.ERROR, Source.SEEN)
def quorum_policy(look: Look) -> None:
    """no-quorum-policy=ignore was needed for two nodes before Corosync had two_node. Today it
    undoes wait_for_all: a node that boots alone serves whatever it has."""
    cib = look.need(look.cluster.cib)
    if cib is None:
        return
    value = cib.properties.get("no-quorum-policy", "stop")
    if value == "ignore":
        text = "no-quorum-policy=ignore"
        look.report(cib_place(look, "property no-quorum-policy"), text)
    look.saw()


@rule("nothing-left-over", "No fence constraint is left over", Severity.WARNING, Source.SEEN)
def nothing_left_over(look: Look) -> None:
    """crm-fence-peer.sh forbids the other node's promotion while it may have old data, and the
    constraint goes after the resync. One that stands in a healthy cluster means that the next
    failover has nowhere to go."""
    cib = look.need(look.cluster.cib)
    if cib is None:
        return
    for location in cib.locations:
        if location.id.startswith(_BY_HANDLER):
            place = cib_place(look, f"location {location.id}", location.line)
            look.report(place, f"{location.resource} may not be promoted everywhere")
    look.saw()


@rule("in-charge", "Pacemaker is in charge", Severity.WARNING, Source.DOCS)
def in_charge(look: Look) -> None:
    """In maintenance mode, or with resources that are not managed, Pacemaker watches a failure and
    does nothing."""
    cib = look.need(look.cluster.cib)
    if cib is None:
        return
    for name in ("maintenance-mode", "stop-all-resources"):
        if is_true(cib.properties.get(name, "false")):
            look.report(cib_place(look, f"property {name}"), f"{name} is on")
    for kind, source in (("primitive", cib.primitives), ("group", cib.groups),
                         ("clone", cib.clones)):  # fmt: skip
        for one in source.values():
            if is_false(one.meta.get("is-managed", "true")):
                look.report(cib_place(look, f"{kind} {one.id}", one.line), "it is not managed")
            if is_true(one.meta.get("maintenance", "false")):
                look.report(cib_place(look, f"{kind} {one.id}", one.line), "it is in maintenance")
    if is_false(cib.resource_defaults.get("is-managed", "true")):
        look.report(cib_place(look, "rsc_defaults"), "is-managed is off")
    look.saw()
