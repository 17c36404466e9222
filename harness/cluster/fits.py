"""What of a configuration goes with what: choices that each are right, and not together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.lab.guests import guest_names, load_guest
from harness.lab.image import recipe_packages

if TYPE_CHECKING:
    from harness.cluster.config import ClusterConfig, Target


def check_fits(config: ClusterConfig) -> None:
    """Whether the parts of a configuration go together.

    Raises:
        ValueError: they do not; says which, in a line.
    """
    if config.drbd.volumes and config.pacemaker.colocation == "post":
        raise ValueError(
            "drbd.volumes goes with one promotable clone; colocation post has one for each of "
            "three resources"
        )
    if config.target.implementation == "tgt":
        _tgt(config.target)
        needs_packages(config, "target.implementation tgt", "tgt")
    if config.corosync.qdevice != "none":
        needs_packages(config, "corosync.qdevice", "corosync-qdevice", "corosync-qnetd")
    elif config.corosync.qdevice_prefers_serving:
        raise ValueError("corosync.qdevice_prefers_serving needs a corosync.qdevice")
    if config.initiator.multipath:
        if config.target.implementation != "lio-t":
            raise ValueError("initiator.multipath knows LIO's LUNs, not those of tgt")
        needs_packages(config, "initiator.multipath", "multipath-tools")


def needs_packages(config: ClusterConfig, what: str, *packages: str) -> None:
    """Whether the guests have what a choice needs.

    Raises:
        ValueError: their profile lacks a package; names the profiles that have all.
    """
    name = config.guest.name
    if set(packages) <= set(recipe_packages(load_guest(name))):
        return
    fit = [
        other for other in guest_names() if set(packages) <= set(recipe_packages(load_guest(other)))
    ]
    raise ValueError(
        f"{what} needs {', '.join(packages)} in the guests, which {name} lacks; "
        f"guest.name may be {' or '.join(fit) or 'none of those that there are'}"
    )


def _tgt(target: Target) -> None:
    """What LIO can and tgt cannot (agents of resource-agents 4.12)."""
    reference = type(target)()
    for key, why in (
        ("backstore", "tgt has no fileio backstore"),
        ("allowed_initiators", "its agent lets initiators in by address"),
        ("allowed_initiators_on", "its agent lets initiators in by address"),
        ("serial_on", "its LUNs are known by scsi_id"),
    ):
        if getattr(target, key) != getattr(reference, key):
            raise ValueError(f"target.{key} does not go with tgt: {why}")
