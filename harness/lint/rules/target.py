"""Rules on the iSCSI target: who configures it, what it serves, and to whom."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.lint.formats.cib import INFINITY
from harness.lint.formats.network import address
from harness.lint.formats.text import seconds
from harness.lint.model import Place, State
from harness.lint.registry import Look, Severity, Source, rule
from harness.lint.rules.resources import LUN, TARGET, primitive_place
from harness.lint.wiring import ends, floating

if TYPE_CHECKING:
    from harness.lint.formats.cib import Cib, Primitive
    from harness.lint.model import Machine

_SHORTEST_S = 60.0
# The unit is tgt in Debian, tgtd in others.
_DAEMON = re.compile(r"(?:systemd|service|lsb):tgtd?(?:\.service)?|ocf:[\w-]+:tgtd?")


@rule("no-own-luns", "The target's own configuration has no LUNs", Severity.ERROR, Source.POST)
def no_own_luns(look: Look) -> None:
    """Pacemaker makes target and LUNs on the node that serves. What the target's own configuration
    has as well is served at boot on both, and holds DRBD's devices open or is refused."""
    for node in look.cluster.nodes:
        if all(piece.state is State.MISSING for piece in node.own_targets):
            look.need(node.own_targets[0])
        for piece in node.own_targets:
            if piece.state is State.UNREADABLE:
                look.need(piece)
            for lun in piece.value or []:
                look.report(Place(piece.name, lun.line), lun.what)
            if piece.state in (State.READ, State.ABSENT):
                look.saw()


@rule("explicit-implementation", "Target and LUNs name their implementation", Severity.WARNING,
      Source.DOCS)  # fmt: skip
def explicit_implementation(look: Look) -> None:
    """Left to itself, the agent takes the first implementation whose tool it finds: iet, tgt, lio,
    lio-t. Where the nodes do not have the same tools installed, the LUNs' identity changes with the
    node, and tgt buffers writes."""
    cib = look.need(look.cluster.cib)
    if cib is None:
        return
    known: dict[str, str] = {}
    for primitive in (*cib.of_agent(TARGET), *cib.of_agent(LUN)):
        given = primitive.param("implementation")
        if given is None:
            look.report(primitive_place(look, primitive), "no implementation is given")
        else:
            known.setdefault(given, primitive.id)
        look.saw()
    if len(known) > 1:
        first, second = list(known.items())[:2]
        text = f"{second[0]}, but {first[1]} is {first[0]}"
        place = primitive_place(look, cib.primitives[second[1]])
        look.report(place, text, Severity.ERROR)


@rule("target-daemon", "tgt's daemon runs where the group starts", Severity.ERROR, Source.DOCS)
def target_daemon(look: Look) -> None:
    """The agents of tgt configure a daemon, and fail without it. It has to run on both nodes before
    the group starts there: as a clone that the group is placed with and starts after. (Enabled at
    boot it is in no order with Pacemaker: left-to-pacemaker.)"""
    cib = look.need(look.cluster.cib)
    if cib is None:
        return
    look.saw()
    clones = {
        clone.id
        for primitive in cib.primitives.values()
        if _DAEMON.fullmatch(primitive.agent) and (clone := cib.clone_of(primitive.id)) is not None
    }
    for target in filter(_is_tgt, cib.of_agent(TARGET)):
        place, group = primitive_place(look, target), cib.group_of(target.id)
        own = {target.id} if group is None else {target.id, group.id}
        placed = {
            primary.id
            for one in cib.colocations
            if one.score >= INFINITY
            for dependent, primary in one.pairs
            if dependent.id in own
        }
        first = {
            before.id
            for one in cib.orders
            if one.mandatory
            for before, then in one.pairs
            if then.id in own
        }
        if not clones:
            look.report(place, "no clone runs its daemon, tgtd")
        elif not clones & placed:
            look.report(place, f"nothing places it with {', '.join(sorted(clones))}")
        elif not clones & first:
            look.report(place, f"nothing starts it after {', '.join(sorted(clones))}")


@rule("explicit-portal", "The portal is the floating address", Severity.ERROR, Source.SEEN)
def explicit_portal(look: Look) -> None:
    """The agent's default, 0.0.0.0:3260, makes no portal at all with LIO (connection refused), and
    with others one on every link. tgt listens on every address whatever is said."""
    cib = look.need(look.cluster.cib)
    if cib is None:
        return
    addresses = {where for _name, where in floating(cib)}
    for target in cib.of_agent(TARGET):
        place = primitive_place(look, target)
        if _is_tgt(target):
            look.saw()
            continue
        portals = (target.param("portals") or "").split()
        if not portals:
            look.report(place, "no portals are given: 0.0.0.0:3260")
        for portal in portals:
            host = portal.rsplit(":", 1)[0] if portal.count(":") != 1 else portal.split(":")[0]
            where = address(host.strip("[]"))
            if where is None or where.is_unspecified:
                look.report(place, f"portal {portal}")
            elif where not in addresses:
                look.report(place, f"portal {portal} is on no floating address of this cluster")
        look.saw()


@rule("same-identity", "A LUN is the same device on both nodes", Severity.ERROR, Source.SEEN)
def same_identity(look: Look) -> None:
    """The initiator knows a LUN by its serial number (scsi_sn). Where the nodes give it another
    one, a failover puts another device under an open file system. Without one, the agent makes a
    hash of the resource's name, which is the same on both: only a note."""
    _by_node(look, LUN, "scsi_sn")
    _by_node(look, LUN, "product_id")
    cib = look.cluster.cib.value
    if cib is None:
        return
    numbers: dict[tuple[str | None, str], str] = {}
    for lun in cib.of_agent(LUN):
        serial = lun.param("scsi_sn")
        if serial is None:
            text = "no scsi_sn: a hash of the resource's name"
            look.report(primitive_place(look, lun), text, Severity.NOTE)
            continue
        key = (lun.param("target_iqn"), serial)
        other = numbers.setdefault(key, lun.id)
        if other != lun.id:
            look.report(primitive_place(look, lun), f"the same scsi_sn as {other}: {serial}")


@rule("same-initiators", "Both nodes let the same initiators in", Severity.ERROR, Source.SEEN)
def same_initiators(look: Look) -> None:
    """A target that does not know the initiator refuses its login. Nobody notices before the
    failover. allowed_initiators belongs to the target; with LIO an empty list is demo mode. With
    tgt the agent takes addresses, or ALL: a name that it is given lets nobody in."""
    _by_node(look, TARGET, "allowed_initiators")
    cib = look.cluster.cib.value
    if cib is None:
        return
    for target in cib.of_agent(TARGET):
        allowed = (target.param("allowed_initiators") or "").split()
        for machine in look.cluster.initiators:
            names = look.need(machine.initiator_names)
            if _is_tgt(target):
                _let_in_by_address(look, target, machine, allowed)
                continue
            for name in names or []:
                if allowed and name not in allowed:
                    text = f"{machine.name}, {name}, is not let in"
                    look.report(primitive_place(look, target), text)


def _is_tgt(target: Primitive) -> bool:
    return target.param("implementation") == "tgt"


def _let_in_by_address(look: Look, target: Primitive, machine: Machine, allowed: list[str]) -> None:
    """tgt's agent binds initiators by --initiator-address (iSCSITarget of 4.12)."""
    if not allowed or "ALL" in allowed or look.need(machine.cards) is None:
        return
    own = {str(end.interface.ip) for end in ends(machine)}
    if not own & set(allowed):
        text = f"{machine.name} has none of the addresses that are let in: {', '.join(allowed)}"
        look.report(primitive_place(look, target), text)


def _by_node(look: Look, agent: str, name: str) -> None:
    """A parameter that has to be one value: no rule may give a node its own."""
    cib: Cib | None = look.need(look.cluster.cib)
    if cib is None:
        return
    for primitive in cib.of_agent(agent):
        sets = primitive.everywhere(name)
        values = {one.values[name] for one in sets}
        if len(values) > 1:
            nodes = ", ".join(one.node or "some" for one in sets if one.ruled)
            text = f"{name} is not the same everywhere (a rule for {nodes})"
            look.report(primitive_place(look, primitive), text)
        look.saw()


@rule("no-page-cache", "LUNs are not served through a page cache", Severity.ERROR, Source.SEEN)
def no_page_cache(look: Look) -> None:
    """fileio, and tgt without direct or sync, acknowledge a write once it is in the serving node's
    memory, long before DRBD has seen it: when that node loses power, seconds of acknowledged writes
    are gone."""
    cib = look.need(look.cluster.cib)
    if cib is None:
        return
    for lun in cib.of_agent(LUN):
        place = primitive_place(look, lun)
        if lun.param("liot_bstype") == "fileio":
            look.report(place, "liot_bstype=fileio")
        if lun.param("implementation") == "tgt" and not _writes_through(lun):
            look.report(place, "tgt without tgt_bsoflags=direct or sync")
        look.saw()


def _writes_through(lun: Primitive) -> bool:
    flags = (lun.param("tgt_bsoflags") or "").replace(",", " ").replace("|", " ").split()
    return bool({"direct", "sync"} & set(flags))


@rule("patient-operations", "Target and LUNs get time to start and stop", Severity.WARNING,
      Source.SEEN)  # fmt: skip
def patient_operations(look: Look) -> None:
    """Pacemaker's default of 20 s is short, and so are the 10 s that the LUN's agent advises:
    targetcli is called several times for each. A stop that times out gets its node fenced."""
    cib = look.need(look.cluster.cib)
    if cib is None:
        return
    default = cib.operation_defaults.get("timeout")
    for primitive in (*cib.of_agent(TARGET), *cib.of_agent(LUN)):
        for operation in ("start", "stop"):
            given = primitive.timeout(operation) or default
            length = seconds(given) if given is not None else None
            if length is None or length < _SHORTEST_S:
                text = f"{operation} gets {given or 'the default of 20 s'}"
                look.report(primitive_place(look, primitive), text)
        look.saw()
