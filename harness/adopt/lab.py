"""A lab of machines that somebody else made: the same as any other, but that nothing of it is ours.

What the lab made itself elsewhere is there already (disks, domains, links), and what it would
remove at its end stays. Its own are the fence device and what lies in its folder.
"""

from __future__ import annotations

import contextlib
import os
import signal
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import TYPE_CHECKING

import libvirt

from harness.adopt.asking import Endpoint, guest_at
from harness.errors import HarnessError
from harness.lab import snapshot
from harness.lab.fencing import CONF
from harness.lab.lab import Lab
from harness.lab.lease import try_lease
from harness.lab.machine import Machine
from harness.lab.shared import SharedHost, connect_to

if TYPE_CHECKING:
    from harness.adopt.found import Adoption
    from harness.cluster.secrets import Secrets
    from harness.lab.lease import Lease
    from harness.lab.paths import Cache
    from harness.lab.topology import Link


class AdoptedHost(SharedHost):
    """The daemon that the machines are on. Nothing there is ours but the fence device."""

    def __init__(self, folder: Path, cache: Cache, adoption: Adoption) -> None:
        self.folder = folder
        self.topology = adoption.topology
        self.connection = connect_to(adoption.uri)
        self.lab_path = str(folder)
        self.cache_path = str(cache.root)
        self.fence_uri = adoption.uri

    def stop(self) -> None:
        """End the fence device; machines and links stay."""
        end_fence_device(self.folder)
        with contextlib.suppress(libvirt.libvirtError):
            self.connection.close()


class ForeignMachine(Machine):
    """A machine whose domain is somebody else's: its cards are changed as they are found."""

    def set_carrier(self, link: Link, up: bool) -> None:
        """Plug the cable of one card in or out, in the definition too.

        Raises:
            KeyError: the machine has no card on that link.
            libvirt.libvirtError: libvirt refused.
        """
        mac = self.plan.card(link).mac
        self._plug(mac, up, libvirt.VIR_DOMAIN_AFFECT_CONFIG)
        if self.running():
            try:
                self._plug(mac, up, libvirt.VIR_DOMAIN_AFFECT_LIVE)
            except libvirt.libvirtError:
                # It went down in between (fenced, say): its definition is what counts then.
                if self.running():
                    raise

    def _plug(self, mac: str, up: bool, where: int) -> None:
        inactive = where == libvirt.VIR_DOMAIN_AFFECT_CONFIG
        flags = libvirt.VIR_DOMAIN_XML_INACTIVE if inactive else 0
        xml = card_with_carrier(self.domain.XMLDesc(flags), mac, up=up)
        self.domain.updateDeviceFlags(xml, where)


def card_with_carrier(domain_xml: str, mac: str, *, up: bool) -> str:
    """The card of a domain with its link state set, everything else as it is.

    Raises:
        HarnessError: the domain has no such card.
    """
    for card in ET.fromstring(domain_xml).iterfind("devices/interface"):
        found = card.find("mac")
        if found is not None and found.get("address", "").lower() == mac:
            link = card.find("link")
            if link is None:
                link = ET.SubElement(card, "link")
            link.set("state", "up" if up else "down")
            return ET.tostring(card, encoding="unicode")
    raise HarnessError(f"libvirt tells of no card {mac}")


class AdoptedLab(Lab):
    """The lab. Use ``open`` and, at the end, ``destroy``, which lets go of it."""

    def __init__(
        self,
        cache: Cache,
        host: AdoptedHost,
        lease: Lease,
        adoption: Adoption,
        secrets: Secrets,
    ) -> None:
        super().__init__(cache, host.folder, host, lease)
        self.adoption = adoption
        self.secrets = secrets
        self.fit: dict[str, dict[str, tuple[bytes, int]]] = {}
        """By machine and path in the guest: what its seed could not know yet, and its mode."""

    @classmethod
    def open(cls, cache: Cache, folder: Path, adoption: Adoption, secrets: Secrets) -> AdoptedLab:
        """Take the machines, and nobody else until it is let go.

        Args:
            folder: the lab's own; it is made where there is none.
            secrets: what the machines' seeds were made with.

        Raises:
            HarnessError: another process has them, or the daemon refuses.
        """
        lease = try_lease(cache.leases / "vagrant.lock")
        if lease is None:
            raise HarnessError("these machines are in use by another run", hint="wait for it")
        try:
            lay_out(folder, adoption)
            secrets.write_files(folder)
            lab = cls(cache, AdoptedHost(folder, cache, adoption), lease, adoption, secrets)
            lab.open_machines(secrets.ssh_private, secrets.host_keys)
            return lab
        except BaseException:
            lease.release()
            raise

    def open_machines(self, private_key: str, host_keys: dict[str, tuple[str, str]]) -> None:
        """Make the machines' handles. The guests answer where they were found."""
        if (private_key, host_keys) != (self.secrets.ssh_private, self.secrets.host_keys):
            raise HarnessError("other keys than these machines' seeds have")
        for plan in self.topology.machines:
            own = self.adoption.machines[plan.name]
            guest = guest_at(plan.name, Endpoint(own.address, own.port), self.secrets)
            self.machines[plan.name] = ForeignMachine(plan, self.host, guest)

    def make_disks(self, image_key: str) -> None:
        """They are there."""

    def define(self, accelerator: str, image_key: str) -> None:
        """They are."""

    def fit_guests(self) -> None:
        """Give the guests what their seeds could not know: what their domains are called."""
        for machine in self.machines.values():
            for path, (content, mode) in self.fit.get(machine.name, {}).items():
                machine.guest.run(f"install -m {mode:04o} /dev/stdin {path}", stdin=content)

    def start_fence_device(self) -> None:
        """Start fence_virtd on the fence link; one that a killed run left is ended first."""
        end_fence_device(self.folder)
        super().start_fence_device()

    def destroy(self) -> None:
        """Let go of it: the machines stay as they are."""
        self._close_guests()
        self.host.stop()
        self._lease.release()

    def has_snapshot(self, name: str = snapshot.HEALTHY) -> bool:
        """Whether these very machines are there, and all have a snapshot of that name."""
        try:
            for machine in self.machines.values():
                domain = self.host.connection.lookupByName(machine.plan.domain)
                if domain.UUIDString() != self.adoption.machines[machine.name].uuid:
                    return False  # made anew
                domain.snapshotLookupByName(name)
        except libvirt.libvirtError:
            return False
        return True


def end_fence_device(folder: Path) -> None:
    """kill -9 of this lab's fence_virtd, known by the configuration file that it was started with.

    Its PID file may be of an earlier boot of this host.
    """
    mark = os.fsencode(folder / CONF)
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if mark in (entry / "cmdline").read_bytes().split(b"\0"):
                    os.kill(int(entry.name), signal.SIGKILL)


def lay_out(folder: Path, adoption: Adoption) -> None:
    """Links in the lab's folder to what lies elsewhere, where a lab of our own would have it."""
    for name, machine in adoption.machines.items():
        places = {folder / "console" / f"{name}.log": machine.log}
        for serial, file in machine.disks.items():
            places[folder / "disks" / f"{name}-{serial}.qcow2"] = file
        for stream, path in machine.sockets.items():
            places[folder / "ch" / f"{name}-{stream}"] = path
        for place, target in places.items():
            place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            place.unlink(missing_ok=True)
            place.symlink_to(target)
