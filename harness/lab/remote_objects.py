"""What a lab has on another host, and what is noted of it: made, found again, removed.

Every object is the lab's own, and is known as such: bridges by their MAC, networks by their UUID,
domains by their disks, rules by their table's name, fence_virtd by its configuration.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shlex
import socket
import xml.etree.ElementTree as ET
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import libvirt

from harness.errors import HarnessError, MissingEnvironmentError
from harness.lab.elsewhere import ROOT, Elsewhere
from harness.lab.fencing import CONF
from harness.lab.remote_links import addresses_in_use, remove_links
from harness.lab.shared import mac_of, qemu_owner
from harness.lab.topology import Topology

if TYPE_CHECKING:
    from pathlib import Path

FACTS = "remote.json"
_PID = re.compile(r"^/proc/(\d+)/cmdline$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Facts:
    """What is noted of a lab on another host, before anything of it is made there."""

    uri: str
    slot: int
    place: str

    @classmethod
    def load(cls, folder: Path) -> Facts:
        """What was noted in a lab's folder.

        Raises:
            HarnessError: nothing that can be read, or no lab of ours.
        """
        try:
            raw = json.loads((folder / FACTS).read_text(encoding="utf-8"))
            facts = cls(str(raw["uri"]), int(raw["slot"]), str(raw["place"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise HarnessError(f"{folder / FACTS} cannot be read: {error}") from error
        if not re.fullmatch(rf"{ROOT}/labs/[\w.-]+", facts.place):
            raise HarnessError(f"{folder / FACTS}: no lab of ours lies at {facts.place}")
        return facts

    def save(self, folder: Path) -> None:
        """At once or not at all."""
        partial = folder / f"{FACTS}.new"
        partial.write_text(json.dumps(asdict(self)), encoding="utf-8")
        partial.rename(folder / FACTS)


def is_remote(folder: Path) -> bool:
    """Whether the lab in ``folder`` is one on another host."""
    return (folder / FACTS).exists()


def remove_remote(folder: Path) -> None:
    """Remove what the lab in ``folder`` has on its host; what is gone already is fine.

    Raises:
        MissingEnvironmentError: that host refuses, so that nothing could be removed.
    """
    there = Elsewhere.open(Facts.load(folder).uri, folder / "ssh")
    try:
        remove_all(folder, there)
    finally:
        there.close()


def forget_disks(entry: Path) -> None:
    """Remove the disks that a formed cluster has on another host, if it has.

    A host that cannot be reached keeps them: the same cluster, formed again there, replaces them.
    """
    try:
        uri = str(json.loads((entry / FACTS).read_text(encoding="utf-8"))["uri"])
        target = kept_at(entry.name, entry)
    except (OSError, ValueError, KeyError, TypeError):
        return
    with contextlib.suppress(MissingEnvironmentError):
        there = Elsewhere.open(uri, entry.parent / f".ssh-{entry.name}")
        try:
            there.shell.run("rm", "-rf", target)
        finally:
            there.close()


def remove_all(folder: Path, there: Elsewhere) -> None:
    """As ``remove_remote``, with connections that are there."""
    facts = Facts.load(folder)
    topology = Topology(facts.slot)
    for plan in topology.machines:
        with contextlib.suppress(libvirt.libvirtError):
            _remove_domain(there.connection.lookupByName(plan.domain), facts.place)
    for pid in processes(there, f"{facts.place}/{CONF}"):
        with contextlib.suppress(HarnessError):
            there.shell.run("kill", "-9", str(pid))
    remove_links(there, topology, mac_of(folder))
    there.shell.run("rm", "-rf", facts.place)


def _remove_domain(domain: libvirt.virDomain, place: str) -> None:
    xml = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
    sources = [source.get("file", "") for source in ET.fromstring(xml).iterfind(".//disk/source")]
    if not any(source.startswith(f"{place}/disks/") for source in sources):
        return  # somebody else's domain of the same name
    if domain.isActive():
        domain.destroy()
    flags = libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
    domain.undefineFlags(flags | libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE)


def processes(there: Elsewhere, mark: str) -> list[int]:
    """Processes there with this text in their command line; not the ones that look for it."""
    pattern = f"[{mark[0]}]{re.escape(mark[1:])}"
    script = f"grep -lsa -e {shlex.quote(pattern)} /proc/[0-9]*/cmdline || true"
    return [int(pid) for pid in _PID.findall(there.shell.run("sh", "-c", script))]


def taken(there: Elsewhere, topology: Topology) -> bool:
    """Whether somebody has a domain of one of these names there, or an address in its subnets."""
    if addresses_in_use(there, topology):
        return True
    names = {domain.name() for domain in there.connection.listAllDomains()}
    return any(plan.domain in names for plan in topology.machines)


def make_folders(there: Elsewhere, place: str) -> None:
    """The lab's folders there, which QEMU's account may pass through."""
    there.shell.run("mkdir", "-p", "-m", "0711", ROOT, f"{ROOT}/labs", place, f"{place}/disks")
    there.shell.run("mkdir", "-p", "-m", "0700", f"{place}/ch", f"{place}/console")
    owner = qemu_owner(there.connection.getCapabilities())
    if owner is not None and owner[0] != 0:
        there.shell.run("chown", f"{owner[0]}:{owner[1]}", f"{place}/ch", f"{place}/console")


def name_of(folder: Path, uri: str) -> str:
    """The lab's name there: others, from other machines, may have a lab0 there as well."""
    try:
        with open("/etc/machine-id", encoding="ascii") as file:
            machine = file.read().strip()
    except OSError:
        machine = socket.gethostname()
    digest = hashlib.sha256(f"{machine}\0{uri}\0".encode() + os.fsencode(folder)).hexdigest()
    return f"{folder.name}-{digest[:8]}"


def kept_at(name: str, folder: Path) -> str:
    """Where the disks of a formed cluster lie there: by the keys that their guests know."""
    keys = hashlib.sha256((folder / "secrets.json").read_bytes()).hexdigest()
    return f"{ROOT}/clusters/{name}-{keys[:12]}"
