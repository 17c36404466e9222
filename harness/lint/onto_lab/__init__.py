"""A foreign cluster's files, mapped onto the lab: what the lab can be given of them, and what not.

The files are those that ``harness lint --from`` judges (docs/linting.md). What comes out is a
configuration of the lab (docs/configuration.md), each setting with the place that it was read at,
and a list of everything that the lab does not have, each with the reason. Nothing is left out in
silence: a run says something of a foreign cluster only as far as it was mapped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.errors import BadInputError
from harness.lint.onto_lab import initiator, links, membership, pacemaker, replication, target
from harness.lint.onto_lab.sheet import Left, Setting, Sheet

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from harness.lint.model import Cluster

__all__ = ["Left", "Setting", "Sheet", "onto_lab"]

NODES = ("alpha", "bravo")
INITIATOR = "client"


def onto_lab(cluster: Cluster, reference: Mapping[str, Any], mtu: Mapping[str, int]) -> Sheet:
    """Map a cluster onto the lab.

    Args:
        cluster: what was collected of it.
        reference: the lab's reference configuration, as nested values.
        mtu: the MTU of each of the lab's links, in bytes: ``data``, ``drbd``, ``mgmt``.

    Raises:
        BadInputError: it has not two nodes.
    """
    if len(cluster.nodes) != len(NODES):
        theirs = ", ".join(node.name for node in cluster.nodes)
        raise BadInputError(
            f"the lab has two nodes, this cluster {len(cluster.nodes)}: {theirs}",
            hint="a third machine that only votes has no place in the lab; leave its folder out",
        )
    names = dict(zip((node.name for node in cluster.nodes), NODES, strict=True))
    for initiator_machine in cluster.initiators[:1]:
        names[initiator_machine.name] = INITIATOR
    sheet = Sheet(cluster, reference, mtu, names)
    for place, why in cluster.unreadable:
        sheet.leave(place, "the whole file", f"it cannot be read: {why}")
    wires = links.links_of(sheet)
    links.map_links(sheet, wires)
    replication.map_replication(sheet)
    membership.map_membership(sheet, wires)
    pacemaker.map_pacemaker(sheet)
    target.map_target(sheet)
    initiator.map_initiator(sheet)
    for wanted in sheet.look.missing:
        sheet.assume(wanted)
    return sheet
