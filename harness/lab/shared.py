"""An existing libvirt daemon of this machine as the lab's host (``--connect``).

The VMs, and fence_virtd, run beside whatever else that daemon and this host have. So every name,
MAC and subnet comes from a slot that nothing else uses, only objects of the lab's own are made
(bridges known by their MAC, domains by their disks, rules by their table's name), and
``remove_shared`` finds and removes them, after a ``kill -9`` too.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import signal
import subprocess
import xml.etree.ElementTree as ET
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import libvirt
from pyroute2 import NetlinkError

from harness.errors import BadInputError, HarnessError, MissingEnvironmentError
from harness.lab.bridges import addresses_in_use, has_bridges, make_bridges, remove_bridges
from harness.lab.fencing import CONF
from harness.lab.labhost import LabHost, ensure_event_loop
from harness.lab.topology import SLOTS, Topology
from harness.remote.shell import ssh_address

if TYPE_CHECKING:
    from harness.lab.paths import Cache

FACTS = "shared.json"
_FOLDERS = ("disks", "ch", "console")


class SharedHost(LabHost):
    """A lab on an existing daemon. Use ``start`` or ``attach``, and ``stop`` at the end."""

    private = False

    def __init__(
        self, folder: Path, cache: Cache, topology: Topology, connection: libvirt.virConnect
    ) -> None:
        self.folder = folder
        self.topology = topology
        self.connection = connection
        self.lab_path = str(folder)
        self.cache_path = str(cache.root)
        self.fence_uri = _Facts.load(folder).uri

    @classmethod
    def start(cls, folder: Path, cache: Cache, uri: str) -> SharedHost:
        """Take a free slot and make its bridges, for the lab in the existing, empty ``folder``.

        Raises:
            BadInputError: the daemon is on another machine.
            MissingEnvironmentError: not root, or the daemon refuses.
            HarnessError: no slot is free.
        """
        if os.geteuid() != 0:
            raise MissingEnvironmentError(
                "a lab needs root for bridges and rules", hint="run through sudo"
            )
        connection = connect_to(uri)
        for name in _FOLDERS:
            (folder / name).mkdir(exist_ok=True, mode=0o700)
        _let_qemu_in(connection, folder, cache)
        for slot in range(SLOTS):
            topology = Topology(slot)
            if _taken(connection, topology):
                continue
            # Noted before anything is made: whoever finds the folder can undo it.
            _Facts(uri, slot).save(folder)
            try:
                make_bridges(topology, mac_of(folder))
            except NetlinkError as error:
                remove_bridges(topology, mac_of(folder))
                if error.code != errno.EEXIST:
                    raise HarnessError(f"the lab's bridges cannot be made: {error}") from error
                continue
            return cls(folder, cache, topology, connection)
        raise HarnessError(
            f"no free slot: of fh0 to fh{SLOTS - 1} each has a name or a subnet that is in use",
            hint="harness status lists the labs; harness gc removes abandoned ones",
        )

    @classmethod
    def attach(cls, folder: Path, cache: Cache) -> SharedHost:
        """The lab in ``folder``.

        Raises:
            MissingEnvironmentError: its daemon refuses.
        """
        facts = _Facts.load(folder)
        return cls(folder, cache, Topology(facts.slot), connect_to(facts.uri))

    @property
    def pid(self) -> int:
        """This process: the VMs' network is the host's own."""
        return os.getpid()

    @property
    def uri(self) -> str:
        """The daemon's."""
        return self.fence_uri

    @property
    def qemu_logs(self) -> str:
        """Where a system daemon keeps them."""
        return "/var/log/libvirt/qemu/"

    def inside(self, *command: str) -> list[str]:
        """As it is: nothing has to be entered."""
        return [*command]

    def stop(self) -> None:
        """Remove domains, fence device, rules and bridges of this lab."""
        remove_shared(self.folder)
        with contextlib.suppress(libvirt.libvirtError):
            self.connection.close()


def connect_to(uri: str) -> libvirt.virConnect:
    """A connection to an existing daemon of this machine.

    Raises:
        BadInputError: it is on another machine, where bridges and sockets cannot be reached.
        MissingEnvironmentError: it refuses.
    """
    ensure_event_loop()
    if ssh_address(uri) is not None:
        raise BadInputError(
            f"{uri} is on another machine, and what is asked for needs a libvirt of this one",
            hint="run it there; harness run, up and explore take such a URI (docs/remote-host.md)",
        )
    try:
        return libvirt.open(uri)
    except libvirt.libvirtError as error:
        raise MissingEnvironmentError(
            f"libvirt at {uri} refuses: {error}", hint="is it running? virsh -c URI version"
        ) from error


def is_shared(folder: Path) -> bool:
    """Whether the lab in ``folder`` is one on an existing daemon."""
    return (folder / FACTS).exists()


def connect_to_host_of(folder: Path) -> libvirt.virConnect:
    """A connection to the daemon that the lab in ``folder`` is on.

    Raises:
        MissingEnvironmentError: it refuses.
    """
    return connect_to(_Facts.load(folder).uri)


def mac_of(folder: Path) -> str:
    """The MAC address of this lab's bridges: locally administered, derived from its folder."""
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()
    return ":".join(["02", *(digest[n : n + 2] for n in range(0, 10, 2))])


def remove_shared(folder: Path) -> None:
    """Remove what the lab in ``folder`` made outside of it; what is gone already is fine.

    Raises:
        MissingEnvironmentError: its daemon refuses, so its domains could not be removed.
    """
    facts = _Facts.load(folder)
    topology = Topology(facts.slot)
    connection = connect_to(facts.uri)
    for plan in topology.machines:
        with contextlib.suppress(libvirt.libvirtError):
            _remove_domain(connection.lookupByName(plan.domain), folder)
    _kill_fence_device(folder)
    if has_bridges(topology, mac_of(folder)):
        # The slot is ours, and so are the rules that carry its name. They go first: after a
        # kill -9 in between, the bridges still tell whose they are.
        _remove_tables(topology)
        remove_bridges(topology, mac_of(folder))
    connection.close()


@dataclass(frozen=True, slots=True)
class _Facts:
    """What is noted of a lab on an existing daemon, before anything of it is made."""

    uri: str
    slot: int

    @classmethod
    def load(cls, folder: Path) -> _Facts:
        try:
            raw = json.loads((folder / FACTS).read_text(encoding="utf-8"))
            return cls(str(raw["uri"]), int(raw["slot"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise HarnessError(f"{folder / FACTS} cannot be read: {error}") from error

    def save(self, folder: Path) -> None:
        """At once or not at all."""
        partial = folder / f"{FACTS}.new"
        partial.write_text(json.dumps(asdict(self)), encoding="utf-8")
        partial.rename(folder / FACTS)


def _taken(connection: libvirt.virConnect, topology: Topology) -> bool:
    """Whether somebody has a domain of one of these names, or an address in these subnets."""
    if addresses_in_use(topology):
        return True
    names = {domain.name() for domain in connection.listAllDomains()}
    return any(plan.domain in names for plan in topology.machines)


def _let_qemu_in(connection: libvirt.virConnect, folder: Path, cache: Cache) -> None:
    """Let the daemon's QEMU reach disks, sockets and images, if it does not run as root.

    libvirt gives it the disks; folders above them it only has to pass through, and it makes the
    sockets itself.
    """
    owner = qemu_owner(connection.getCapabilities())
    if owner is None or owner[0] == 0:
        return
    for name in ("ch", "console"):
        os.chown(folder / name, *owner)
    above = [folder, folder / "disks", cache.root, cache.labs, cache.images]
    images = [image for image in cache.images.glob("[!.]*") if image.is_dir()]
    for path in (*above, *images):
        if path.is_dir():
            path.chmod(path.stat().st_mode | 0o011)


def qemu_owner(capabilities: str) -> tuple[int, int] | None:
    """User and group that a daemon's QEMU runs as; None if it does not say.

    From ``<secmodel><model>dac</model><baselabel type='kvm'>+64055:+64055</baselabel>``
    (https://libvirt.org/formatcaps.html).
    """
    for model in ET.fromstring(capabilities).iterfind("host/secmodel"):
        if model.findtext("model") == "dac":
            for label in model.iterfind("baselabel"):
                user, _, group = (label.text or "").partition(":")
                if user.lstrip("+").isdigit() and group.lstrip("+").isdigit():
                    return int(user), int(group)
    return None


def _remove_domain(domain: libvirt.virDomain, folder: Path) -> None:
    xml = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
    sources = [source.get("file", "") for source in ET.fromstring(xml).iterfind(".//disk/source")]
    if not any(Path(source).is_relative_to(folder / "disks") for source in sources):
        return  # somebody else's domain of the same name
    if domain.isActive():
        domain.destroy()
    flags = libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
    domain.undefineFlags(flags | libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE)


def _kill_fence_device(folder: Path) -> None:
    """fence_virtd of this lab is known by the configuration file it was started with."""
    mark = os.fsencode(folder / CONF)
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            if mark in (entry / "cmdline").read_bytes().split(b"\0"):
                os.kill(int(entry.name), signal.SIGKILL)


def _remove_tables(topology: Topology) -> None:
    listed = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True)
    for line in listed.stdout.splitlines():
        _word, family, name = line.split()
        if name.startswith(f"{topology.prefix}_"):
            subprocess.run(["nft", "delete", "table", family, name], check=True)
