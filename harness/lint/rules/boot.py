"""Rules on what starts at boot: Pacemaker starts things, systemd starts Pacemaker."""

from __future__ import annotations

from harness.lint.formats.host import starts_at_boot
from harness.lint.model import Place
from harness.lint.registry import Look, Severity, Source, rule

# What Pacemaker is to start, on one node only or in its own order.
_NOT = (
    ("drbd.service", "it brings DRBD up before, and beside, Pacemaker"),
    ("rtslib-fb-targetctl.service", "it restores LIO's own configuration"),
    ("target.service", "it restores LIO's own configuration"),
    ("tgt.service", "it starts another target"),
    ("tgtd.service", "it starts another target"),
    ("iscsitarget.service", "it starts another target"),
)
_MUST = ("corosync.service", "pacemaker.service")


@rule("left-to-pacemaker", "Pacemaker starts DRBD and the target", Severity.ERROR, Source.POST)
def left_to_pacemaker(look: Look) -> None:
    """What systemd starts at boot is there on both nodes, in no order with Pacemaker: DRBD's
    service may wait for a peer or promote, a target's service serves LUNs of its own. In the post
    the order at shutdown made reboots hang; with these services off, Pacemaker stops everything
    before it ends itself."""
    for node in look.cluster.nodes:
        units = look.need(node.units)
        if units is None:
            continue
        for unit, why in _NOT:
            if starts_at_boot(units, unit):
                look.report(Place(node.units.name, None, unit), f"enabled: {why}")
        look.saw()


@rule("cluster-at-boot", "Corosync and Pacemaker start at boot", Severity.WARNING, Source.POST)
def cluster_at_boot(look: Look) -> None:
    """A node that comes back after a power cut is a spare again only if its cluster services start.
    Some leave that to an operator on purpose; then the cluster has no spare until somebody
    comes."""
    for node in look.cluster.nodes:
        units = look.need(node.units)
        if units is None:
            continue
        for unit in _MUST:
            if unit not in units:
                look.report(Place(node.units.name, None, unit), "it is not installed")
            elif not starts_at_boot(units, unit):
                look.report(Place(node.units.name, None, unit), f"it is {units[unit]}")
        look.saw()
