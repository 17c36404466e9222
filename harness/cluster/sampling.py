"""State samples for the timeline: how things stood before the fault and after the heal."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from harness.cluster import observe
from harness.cluster.form import resources_missing
from harness.cluster.render import lun_link
from harness.errors import HarnessError
from harness.evidence.timeline import Channel
from harness.lab.machine import in_parallel
from harness.lab.topology import LUN_OF, RESOURCES

if TYPE_CHECKING:
    from harness.evidence.timeline import TimelineWriter
    from harness.lab.lab import Lab
    from harness.lab.machine import Machine
    from harness.lab.shape import Shape


def add_sample(writer: TimelineWriter, what: str, when: str, node: str, value: Any) -> None:
    """One ``state``/``sample`` event (shapes: docs/evidence.md)."""
    source = node if node not in ("cluster", "lab") else "host"
    data = {"what": what, "when": when, "node": node, "value": value}
    writer.add(source, Channel.STATE, "sample", data)


def sample_cluster(lab: Lab, writer: TimelineWriter, when: str) -> observe.ClusterView | None:
    """Sample everything of the cluster; what cannot be asked is left out and noted.

    Returns the view of the first node that answered, None if none did.
    """
    shape = lab.topology.shape
    in_parallel({m.name: partial(_sample_node, m, shape, writer, when) for m in lab.nodes})
    for machine in lab.nodes:
        try:
            view = observe.cluster_view(machine.guest, shape)
            add_sample(writer, "membership", when, "cluster", view.membership)
            instances = {
                r: {"promoted": view.promoted[r], "unpromoted": view.unpromoted[r]}
                for r in RESOURCES
            }
            add_sample(writer, "instances", when, "cluster", instances)
            add_sample(writer, "failed_actions", when, "cluster", view.failures)
            resources = {name: state for name, (state, _node) in view.group.items()}
            group = {"node": view.active_node, "resources": resources}
            add_sample(writer, "group", when, "cluster", group)
            constraints = observe.fence_constraints(machine.guest)
            add_sample(writer, "fence_constraints", when, "cluster", constraints)
            history = observe.fence_history(machine.guest)
            add_sample(writer, "fence_history", when, "cluster", history)
            return view
        except HarnessError as error:
            add_sample(writer, "unreachable", when, machine.name, error.message)
    return None


def sample_disks(lab: Lab, writer: TimelineWriter, when: str) -> None:
    """Which disk each LUN is on the initiator, and what the target says that it is.

    ``disks``: "major:minor" by LUN. ``identities``: the device identification page (SPC-4, page
    83h), asked of the target anew by scsi_id(8). A LUN that is no disk is left out of both.
    """
    initiator = lab.initiator
    words = " ".join(f"{lun}={lun_link(lab.topology, lun)}" for lun in LUN_OF.values())
    told = initiator.guest.run(
        f"for w in {words}; do d=$(readlink -f ${{w#*=}}); "
        'echo "${w%%=*} $(cat /sys/class/block/${d##*/}/dev) '
        '$(/lib/udev/scsi_id --page=0x83 --whitelisted --device=$d)"; done 2>/dev/null; true',
        timeout_s=60,
    ).stdout
    rows = [line.split() for line in told.splitlines()]
    rows = [row for row in rows if len(row) == 3]
    add_sample(writer, "disks", when, initiator.name, {lun: disk for lun, disk, _id in rows})
    add_sample(writer, "identities", when, initiator.name, {lun: id_ for lun, _disk, id_ in rows})


def _sample_node(machine: Machine, shape: Shape, writer: TimelineWriter, when: str) -> None:
    try:
        add_sample(writer, "drbd", when, machine.name, observe.drbd_state(machine.guest))
        gi = observe.generation_identifiers(machine.guest, shape)
        add_sample(writer, "gi", when, machine.name, gi)
    except HarnessError as error:
        add_sample(writer, "unreachable", when, machine.name, error.message)


def _out_of_sync(lab: Lab) -> str:
    """Resources that are not connected and up to date on a node, in words; empty if all are."""
    wrong = []
    for machine in lab.nodes:
        state = observe.drbd_state(machine.guest)
        for resource in RESOURCES:
            seen = state.get(resource)
            if seen is None:
                wrong.append(f"{machine.name}: {resource} is down")
            elif (seen["cs"], seen["disk"]) != ("Connected", "UpToDate"):
                wrong.append(f"{machine.name}: {resource} is {seen['cs']}/{seen['disk']}")
    return "; ".join(wrong)


CONSTRAINTS_LEFT = "fence constraints left"
"""How ``settle_missing`` begins where everything else is whole."""


def settle_missing(lab: Lab) -> str:
    """What keeps the cluster from being whole after a heal; empty if nothing does."""
    try:
        out_of_sync = _out_of_sync(lab)
    except HarnessError as error:
        return error.message
    if out_of_sync:
        return out_of_sync
    whole = resources_missing(lab)
    if whole:
        return whole
    constraints = observe.fence_constraints(lab.nodes[0].guest)
    return f"{CONSTRAINTS_LEFT}: {', '.join(constraints)}" if constraints else ""
