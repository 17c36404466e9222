"""What libvirt tells of domains and networks, as far as an adoption looks at it.

libvirt's own words (https://libvirt.org/formatdomain.html, formatnetwork.html); nothing is taken
from a name.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass
from typing import TYPE_CHECKING

import libvirt

from harness.errors import HarnessError

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class FoundCard:
    """A card: what it is plugged into (a network, else a bridge), and its tap's lasting name."""

    mac: str
    network: str
    bridge: str
    tap: str


@dataclass(frozen=True, slots=True)
class FoundDisk:
    """A disk: its target, serial number, image, and how QEMU opens that."""

    device: str
    serial: str
    file: str
    format: str
    cache: str
    readonly: bool


@dataclass(frozen=True, slots=True)
class FoundDomain:
    """A domain as it is defined: what it has again when it was fenced.

    Attributes:
        kind: libvirt's type, ``kvm`` or ``qemu``.
        ports: sockets of virtio-serial ports, by their name in the guest.
        console: socket of the virtio console; empty if there is none.
        log: of the serial console; empty if there is none.
    """

    name: str
    uuid: str
    kind: str
    cards: tuple[FoundCard, ...]
    disks: tuple[FoundDisk, ...]
    ports: dict[str, str]
    console: str
    log: str

    @property
    def macs(self) -> frozenset[str]:
        """Of all its cards."""
        return frozenset(card.mac for card in self.cards)


def read_domain(xml: str) -> FoundDomain:
    """A domain's definition (``virDomainGetXMLDesc``, inactive).

    Raises:
        HarnessError: it is none.
    """
    try:
        root = ET.fromstring(xml)
    except ET.ParseError as error:
        raise HarnessError(f"libvirt tells no domain: {error}") from error
    devices = root.find("devices")
    if root.tag != "domain" or devices is None:
        raise HarnessError("libvirt tells no domain")
    return FoundDomain(
        name=root.findtext("name", ""),
        uuid=root.findtext("uuid", ""),
        kind=root.get("type", ""),
        cards=tuple(
            FoundCard(
                mac=_get(card, "mac", "address").lower(),
                network=_get(card, "source", "network"),
                bridge=_get(card, "source", "bridge"),
                tap=_get(card, "target", "dev"),
            )
            for card in devices.iterfind("interface")
        ),
        disks=tuple(
            FoundDisk(
                device=_get(disk, "target", "dev"),
                serial=disk.findtext("serial", ""),
                file=_get(disk, "source", "file"),
                format=_get(disk, "driver", "type"),
                cache=_get(disk, "driver", "cache"),
                readonly=disk.find("readonly") is not None,
            )
            for disk in devices.iterfind("disk")
            if disk.get("device", "disk") == "disk"
        ),
        ports={
            _get(port, "target", "name"): _bound(port)
            for port in devices.iterfind("channel")
            if _get(port, "target", "type") == "virtio"
        },
        console=next(
            (
                _bound(console)
                for console in devices.iterfind("console")
                if _get(console, "target", "type") == "virtio"
            ),
            "",
        ),
        log=next((_get(one, "log", "file") for one in devices.iterfind("serial")), ""),
    )


def read_domains(connection: libvirt.virConnect) -> list[FoundDomain]:
    """All domains that are defined."""
    flags = libvirt.VIR_DOMAIN_XML_INACTIVE
    return [
        read_domain(domain.XMLDesc(flags))
        for domain in connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_PERSISTENT)
    ]


def bridge_of(connection: libvirt.virConnect) -> Callable[[FoundCard], str]:
    """Tells the bridge that a card's tap is a port of; empty where libvirt knows none."""

    def ask(card: FoundCard) -> str:
        if not card.network:
            return card.bridge
        try:
            return str(connection.networkLookupByName(card.network).bridgeName())
        except libvirt.libvirtError:
            return ""

    return ask


def _get(element: ET.Element, child: str, attribute: str) -> str:
    found = element.find(child)
    return "" if found is None else found.get(attribute, "")


def _bound(device: ET.Element) -> str:
    """The path of a socket that QEMU listens on, at each start the same; else nothing."""
    if device.get("type") != "unix" or _get(device, "source", "mode") != "bind":
        return ""
    return _get(device, "source", "path")
