"""Snapshots of the whole running lab: disks and memory of all VMs, taken while all are paused.

Internal qcow2 snapshots (virDomainSnapshotCreateXML) hold the machine state too. All VMs are paused
before the first and resumed after the last, so that the cluster never sees its peer stand still.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import libvirt

from harness.crashpoints import die_here_if_asked
from harness.errors import HarnessError
from harness.lab.machine import Machine, in_parallel

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

HEALTHY = "healthy"


def pause_all(machines: Sequence[Machine]) -> None:
    """Pause every running VM, at the same time."""
    in_parallel({m.name: m.domain.suspend for m in machines})


def resume_all(machines: Sequence[Machine]) -> None:
    """Resume every paused VM, at the same time."""
    in_parallel({m.name: partial(_resume, m) for m in machines})


def _resume(machine: Machine) -> None:
    if machine.domain.info()[0] == libvirt.VIR_DOMAIN_PAUSED:
        machine.domain.resume()


def take(machines: Sequence[Machine], name: str) -> None:
    """Snapshot all machines under ``name``; they run on afterwards.

    Raises:
        HarnessError: libvirt refused.
    """
    xml = f"<domainsnapshot><name>{name}</name></domainsnapshot>"
    pause_all(machines)
    die_here_if_asked("snapshot")
    try:
        in_parallel({m.name: partial(m.domain.snapshotCreateXML, xml) for m in machines})
    except libvirt.libvirtError as error:
        raise HarnessError(f"the snapshot {name!r} failed: {error}") from error
    finally:
        resume_all(machines)


def revert(machines: Sequence[Machine], name: str) -> None:
    """Put all machines, running or not, back to snapshot ``name`` and let them run.

    Raises:
        HarnessError: there is no such snapshot, or libvirt refused.
    """

    def back(machine: Machine) -> None:
        machine.guest.forget()
        domain = machine.domain
        domain.revertToSnapshot(
            domain.snapshotLookupByName(name), libvirt.VIR_DOMAIN_SNAPSHOT_REVERT_PAUSED
        )

    try:
        in_parallel({m.name: partial(back, m) for m in machines})
    except libvirt.libvirtError as error:
        raise HarnessError(f"cannot revert to snapshot {name!r}: {error}") from error
    die_here_if_asked("revert")
    resume_all(machines)


def export_xml(machines: Sequence[Machine], folder: Path, name: str) -> None:
    """Save domain and snapshot XML, with which ``import_xml`` tells another daemon of them."""
    for machine in machines:
        domain = machine.domain
        snapshot = domain.snapshotLookupByName(name)
        text = snapshot.getXMLDesc(libvirt.VIR_DOMAIN_SNAPSHOT_XML_SECURE)
        (folder / f"{machine.name}-{name}.snapshot.xml").write_text(text, encoding="utf-8")
        xml = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE)
        (folder / f"{machine.name}.domain.xml").write_text(xml, encoding="utf-8")


def import_xml(machines: Sequence[Machine], folder: Path, name: str) -> None:
    """Define the domains of a formed cluster and the snapshot that their disks hold."""
    for machine in machines:
        xml = (folder / f"{machine.name}.domain.xml").read_text(encoding="utf-8")
        domain = machine.host.connection.defineXML(xml)
        text = (folder / f"{machine.name}-{name}.snapshot.xml").read_text(encoding="utf-8")
        domain.snapshotCreateXML(text, libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_REDEFINE)
