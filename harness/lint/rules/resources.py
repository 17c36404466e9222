"""Rules on what Pacemaker manages: DRBD's resources, and the group that serves."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.lint.formats.text import is_true
from harness.lint.model import Place
from harness.lint.registry import Look, Severity, Source, rule
from harness.lint.wiring import cib_place

if TYPE_CHECKING:
    from harness.lint.formats.cib import Cib, Clone, Group, Primitive

DRBD = "ocf:linbit:drbd"
LUN = "ocf:heartbeat:iSCSILogicalUnit"
TARGET = "ocf:heartbeat:iSCSITarget"
PORTBLOCK = "ocf:heartbeat:portblock"
ADDRESSES = ("ocf:heartbeat:IPaddr2", "ocf:heartbeat:IPaddr")
_MINOR = re.compile(r"/dev/drbd(\d{1,7})", re.ASCII)
_BY_RES = re.compile(r"/dev/drbd/by-res/([^/]+)(?:/\d+)?", re.ASCII)


def primitive_place(look: Look, primitive: Primitive) -> Place:
    """Where a primitive is."""
    return cib_place(look, f"primitive {primitive.id}", primitive.line)


def serving_groups(cib: Cib) -> list[Group]:
    """The groups with a target or a LUN in them."""
    wanted = {one.id for agent in (LUN, TARGET) for one in cib.of_agent(agent)}
    return [group for group in cib.groups.values() if wanted & set(group.members)]


def drbd_clones(cib: Cib) -> list[Clone]:
    """The clones that DRBD's resources are in, each once."""
    found = (cib.clone_of(primitive.id) for primitive in cib.of_agent(DRBD))
    return list({clone.id: clone for clone in found if clone is not None}.values())


@rule("every-resource-managed", "Pacemaker runs every DRBD resource", Severity.ERROR, Source.POST)
def every_resource_managed(look: Look) -> None:
    """A LUN needs its DRBD resource promoted on the node that serves. One that Pacemaker does not
    know stays where it is, or down; and each resource has to be on both nodes, as a promotable
    clone that tells DRBD's agent what happens (notify=true)."""
    cib = look.need(look.cluster.cib)
    if cib is None:
        return
    known = {one.param("drbd_resource"): one for one in cib.of_agent(DRBD)}
    names: dict[str, None] = {}
    minors: dict[int, str] = {}
    for node in look.cluster.nodes:
        config = look.need(node.drbd)
        for resource in config.resources.values() if config is not None else []:
            names[resource.name] = None
            minors |= dict.fromkeys(resource.minors, resource.name)
    for name in names:
        if name not in known:
            look.report(cib_place(look, "resources"), f"nothing manages the DRBD resource {name}")
        look.saw()
    for name_, primitive in known.items():
        where = primitive_place(look, primitive)
        clone = cib.clone_of(primitive.id)
        if names and name_ not in names:
            look.report(where, f"there is no DRBD resource {name_}")
        if clone is None or not clone.promotable:
            look.report(where, "it is in no promotable clone")
        elif not is_true(clone.meta.get("notify", "false")):
            look.report(cib_place(look, f"clone {clone.id}", clone.line), "notify is not true")
        look.saw()
    for lun in cib.of_agent(LUN):
        _serves_a_resource(look, lun, set(known), names, minors)


def _serves_a_resource(
    look: Look,
    lun: Primitive,
    managed: set[str | None],
    names: dict[str, None],
    minors: dict[int, str],
) -> None:
    path = lun.param("path") or ""
    by_minor, by_name = _MINOR.fullmatch(path), _BY_RES.fullmatch(path)
    if by_minor is None and by_name is None:
        look.report(primitive_place(look, lun), f"path={path} is no DRBD device")
    elif names:
        served = by_name[1] if by_name is not None else minors.get(int(by_minor[1]))  # type: ignore[index]
        if served is None or served not in managed:
            look.report(primitive_place(look, lun), f"path={path}: no managed DRBD resource")
    look.saw()


@rule("one-promotable-clone", "DRBD's resources are promoted together", Severity.ERROR, Source.SEEN)
def one_promotable_clone(look: Look) -> None:
    """Several promotable clones can be promoted on different nodes, and one group cannot be with
    all of them. A promotable clone *of a group* of all DRBD resources was right in all cases that
    were simulated; three clones in the post's colocation were not."""
    cib = look.need(look.cluster.cib)
    if cib is None:
        return
    clones = drbd_clones(cib)
    if len(clones) > 1 and serving_groups(cib):
        second = clones[1]
        names = ", ".join(clone.id for clone in clones)
        text = f"{len(clones)} promotable clones serve one group: {names}"
        look.report(cib_place(look, f"clone {second.id}", second.line), text)
    if clones:
        look.saw()


def _position(cib: Cib, group: Group, *agents: str) -> list[int]:
    return [
        number
        for number, member in enumerate(group.members)
        if cib.primitives[member].agent in agents
    ]


@rule("group-order", "The group starts address, target, LUNs", Severity.ERROR, Source.SEEN)
def group_order(look: Look) -> None:
    """A group starts its members in their order. The target binds its portal to the floating
    address, which has to be there, and LUNs belong to a target."""
    cib = look.need(look.cluster.cib)
    if cib is None:
        return
    groups = serving_groups(cib)
    for group in groups:
        place = cib_place(look, f"group {group.id}", group.line)
        vips = _position(cib, group, *ADDRESSES)
        targets, luns = _position(cib, group, TARGET), _position(cib, group, LUN)
        for what, positions in (("address", vips), ("target", targets), ("LUN", luns)):
            if not positions:
                look.report(place, f"it has no {what}")
        if vips and targets and min(vips) > min(targets):
            look.report(place, "the target starts before the address that its portal is on")
        if targets and luns and min(luns) < max(targets):
            look.report(place, "a LUN starts before its target")
        look.saw()
    for agent in (LUN, TARGET):
        for primitive in cib.of_agent(agent):
            if cib.group_of(primitive.id) is None:
                look.report(primitive_place(look, primitive), "it is in no group", Severity.WARNING)


@rule("portblock", "The portal is closed until its LUNs are there", Severity.ERROR, Source.SEEN)
def portblock(look: Look) -> None:
    """Without portblock the initiator logs in as soon as the target listens, finds LIO's
    placeholder instead of its LUN, and the error reaches the application. The group has to begin
    with the port's block and to end with its unblock."""
    cib = look.need(look.cluster.cib)
    if cib is None:
        return
    for group in serving_groups(cib):
        place = cib_place(look, f"group {group.id}", group.line)
        actions = {
            cib.primitives[group.members[number]].param("action"): number
            for number in _position(cib, group, PORTBLOCK)
        }
        served = _position(cib, group, TARGET, LUN, *ADDRESSES)
        if "block" not in actions or "unblock" not in actions:
            look.report(place, "no portblock that blocks, and one that unblocks")
        elif served and actions["block"] > min(served):
            look.report(place, "the port is blocked after something is served already")
        elif served and actions["unblock"] < max(served):
            look.report(place, "the port is open before all LUNs are there")
        look.saw()


# The versions that print protocols as numbers (netfilter bug 1729; seen of these two, and of 1.8.11
# that it does not).
_NUMBERS = ("1.8.9", "1.8.10")


@rule("portblock-agent", "portblock finds its own rule again", Severity.ERROR, Source.SEEN)
def portblock_agent(look: Look) -> None:
    """iptables 1.8.9 and 1.8.10 print the protocol as 6 where the agent, before resource-agents
    4.14, looks for tcp. It never finds its own DROP rule and never removes it: the group is green
    and port 3260 is dead. Debian 12 has both."""
    cib = look.cluster.cib.value
    if cib is not None and not cib.of_agent(PORTBLOCK):
        look.saw()
        return
    for node in look.cluster.nodes:
        agent = look.need(node.portblock)
        if agent is None:
            continue
        if agent.takes_numbers or agent.iptables not in (None, *_NUMBERS):
            look.saw()
        elif agent.iptables is None:
            look.lacks(f"{node.portblock.name} does not say the version of iptables")
        else:
            text = f"iptables {agent.iptables}, and an agent that looks for the protocol's name"
            look.report(Place(node.portblock.name), text)
