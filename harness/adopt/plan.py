"""What Vagrant is to make: the lab's own machines, told in what a Vagrantfile can set.

Everything comes from the domains that the lab itself would define (harness.lab.machine), so that
nothing is said twice: a change of the lab's machines is one of Vagrant's at the next ``vagrant up``
from nothing.
"""

from __future__ import annotations

import json
import os
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

from pydantic import BaseModel, ConfigDict, ValidationError

from harness.box import box_name, make_box
from harness.cluster.config import ClusterConfig, load_config
from harness.cluster.render import render_seeds, write_seed_image
from harness.cluster.secrets import Secrets, new_secrets
from harness.errors import BadInputError, HarnessError
from harness.evidence.files import write_whole
from harness.lab.bridges import addresses_in_use
from harness.lab.image import ImageOptions, ensure_image, recipe_key
from harness.lab.lease import locked
from harness.lab.machine import domain_xml
from harness.lab.topology import BACKING_BYTES, MTU, SLOTS, Link, MachinePlan, Topology
from harness.timing import PROFILES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.lab.image import Image
    from harness.lab.labhost import LabHost
    from harness.lab.paths import Cache

LAB = "lab.json"
SECRETS = "secrets.json"
Accelerated = Literal["kvm", "tcg"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CardPlan(_Part):
    """A network card; ``host`` is the host's own address on the link, empty where it has none."""

    link: Link
    network: str
    mac: str
    address: str
    host: str
    tap: str
    mtu: int


class DiskPlan(_Part):
    """A backing disk: the guest's name for it, its serial number, its size."""

    device: str
    serial: str
    size_mib: int


class PortPlan(_Part):
    """A port of the witnesses: its name in the guest, its socket on the host."""

    name: str
    path: str


class MachineTold(_Part):
    """One machine.

    Attributes:
        domain: the lab's own definition of it (libvirt domain XML), for what vagrant-libvirt has no
            option for.
        address: on the control link.
    """

    name: str
    domain: str
    memory_mib: int
    cpus: int
    kernel: str
    initrd: str
    parameters: str
    address: str
    cards: tuple[CardPlan, ...]
    disks: tuple[DiskPlan, ...]
    ports: tuple[PortPlan, ...]


class Plan(_Part):
    """All that the Vagrantfile reads, and what an adoption has to find again.

    Attributes:
        image: hash of the recipe that the box was made of.
        accelerator: for which guests: what they run under and how long their timeouts are.
        slot: of the topology; every name, MAC address and subnet follows from it.
        config: of the cluster, which the seeds were rendered from.
        prefix: what a domain's name begins with; the machine's name follows.
    """

    schema_version: Literal[1] = 1
    image: str
    box: str
    box_file: str
    accelerator: Accelerated
    slot: int
    config: dict[str, Any]
    ssh_key: str
    boot_timeout_s: int
    prefix: str
    machines: tuple[MachineTold, ...]

    @property
    def topology(self) -> Topology:
        """Names, MACs and addresses as the seeds have them."""
        return Topology(self.slot)

    @property
    def cluster_config(self) -> ClusterConfig:
        """The configuration that the seeds were rendered from."""
        return ClusterConfig.model_validate(self.config)


def state_folder(cache: Cache) -> Path:
    """Where everything about Vagrant's machines is kept."""
    return cache.root / "vagrant"


def load_plan(folder: Path) -> Plan:
    """What was prepared in ``folder``.

    Raises:
        BadInputError: nothing was, or it is of another version of the harness.
    """
    path = folder / LAB
    try:
        return Plan.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadInputError(
            f"no machines were prepared: there is no {path}",
            hint="cd vagrant && vagrant up (docs/vagrant.md); or another --cache",
        ) from None
    except (OSError, ValidationError) as error:
        raise BadInputError(
            f"{path} cannot be read: {str(error).splitlines()[0]}",
            hint="vagrant destroy, then harness adopt --forget, then vagrant up",
        ) from error


def prepare(
    cache: Cache,
    choose: Callable[[Image], Accelerated],
    config_file: Path | None = None,
    *,
    guest: str = "",
    owner: tuple[int, int] | None = None,
    say: Callable[[str], None] = print,
) -> Plan:
    """Image, box, keys and seeds for the machines that Vagrant is about to make.

    What was prepared before stays: machines may run that were made of it.

    Args:
        choose: what the guests of this image run under here.
        config_file: overrides of the cluster's configuration, or None.
        guest: name of the guests' profile, whatever the file says; empty for what it says.
        owner: user and group that QEMU runs as, if not root.

    Raises:
        BadInputError: what was prepared before is of another image or configuration.
        HarnessError: the image cannot be built, or no slot is free.
    """
    folder = state_folder(cache)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with locked(cache.leases / "vagrant-plan.lock"):
        if (folder / LAB).exists():
            return _same_as_before(load_plan(folder), config_file, guest)
        told = load_config(config_file, PROFILES["tcg"], guest_name=guest)
        refuse_second_path(told)
        image = ensure_image(cache, ImageOptions(guest=told.guest.name))
        accelerator = choose(image)
        config = load_config(config_file, PROFILES[accelerator], guest_name=guest)
        topology = _free_slot()
        _let_pass(cache, folder, image, owner)
        secrets = _secrets(folder, topology)
        for name, seed in render_seeds(config, topology, secrets).items():
            write_seed_image(seed, folder / "disks" / f"{name}-seed.img")
        box_file = folder / f"{box_name(image.key)}.box"
        say(f"writing the box {box_file}")
        make_box(image, box_file)
        plan = plan_of(cache, image.key, topology, accelerator, config)
        write_whole(folder / LAB, json.dumps(plan.model_dump(mode="json"), indent=1) + "\n")
        return plan


def refuse_second_path(config: ClusterConfig) -> None:
    """A plan's machines have the reference's cards.

    Raises:
        BadInputError: the initiator is to have another one.
    """
    if config.shape.multipath:
        raise BadInputError(
            "initiator.multipath needs a card of the client on mgmt, which Vagrant's machines lack",
            hint="harness run --config makes machines that have it",
        )


@dataclass(frozen=True, slots=True)
class _Paths:
    """What ``domain_xml`` asks of a host."""

    topology: Topology
    lab_path: str
    cache_path: str


def plan_of(
    cache: Cache,
    image_key: str,
    topology: Topology,
    accelerator: Accelerated,
    config: ClusterConfig,
) -> Plan:
    """The plan itself, of what is there already."""
    folder = state_folder(cache)
    # domain_xml() needs no more of a host than these three.
    host = cast("LabHost", _Paths(topology, str(folder), str(cache.root)))
    return Plan(
        image=image_key,
        box=box_name(image_key),
        box_file=str(folder / f"{box_name(image_key)}.box"),
        accelerator=accelerator,
        slot=topology.slot,
        config=config.model_dump(mode="json"),
        ssh_key=str(folder / "ssh_key"),
        boot_timeout_s=int(2 * config.timing.boot_deadline_s),
        prefix=f"{topology.prefix}-",
        machines=tuple(
            _told(plan, topology, domain_xml(plan, host, accelerator, image_key))
            for plan in topology.machines
        ),
    )


def _told(plan: MachinePlan, topology: Topology, xml: str) -> MachineTold:
    root = ET.fromstring(xml)
    vcpu = root.find("vcpu")
    assert vcpu is not None
    devices = [
        (disk.findtext("serial", ""), target.get("dev", ""))
        for disk in root.iterfind("devices/disk")
        if (target := disk.find("target")) is not None
    ]
    return MachineTold(
        name=plan.name,
        domain=xml,
        memory_mib=plan.memory_mib,
        cpus=int(vcpu.get("current", vcpu.text or "")),
        kernel=root.findtext("os/kernel", ""),
        initrd=root.findtext("os/initrd", ""),
        parameters=root.findtext("os/cmdline", ""),
        address=plan.card(Link.CONTROL).address,
        cards=tuple(
            CardPlan(
                link=card.link,
                network=topology.bridge(card.link),
                mac=card.mac,
                address=card.address,
                # As on the lab's own bridges: the DRBD link is between the nodes alone.
                host="" if card.link is Link.DRBD else topology.host_address(card.link),
                tap=card.tap,
                mtu=MTU[card.link],
            )
            for card in plan.cards
        ),
        disks=tuple(
            DiskPlan(device=device, serial=serial, size_mib=BACKING_BYTES >> 20)
            for serial, device in devices
            if serial not in ("root", "seed")
        ),
        ports=tuple(
            PortPlan(name=target.get("name", ""), path=source.get("path", ""))
            for port in root.iterfind("devices/channel")
            if (target := port.find("target")) is not None
            and (source := port.find("source")) is not None
        ),
    )


def _same_as_before(plan: Plan, config_file: Path | None, guest: str) -> Plan:
    """What was prepared, if it is what would be prepared now.

    Raises:
        BadInputError: it is not.
    """
    told = load_config(config_file, PROFILES[plan.accelerator], guest_name=guest)
    config = told.model_dump(mode="json")
    differing = [
        what
        for what, same in (
            ("recipe of the image", plan.image == recipe_key(ImageOptions(guest=told.guest.name))),
            ("configuration of the cluster", plan.config == config),
        )
        if not same
    ]
    if differing:
        raise BadInputError(
            f"the machines were prepared with another {' and another '.join(differing)}",
            hint="vagrant destroy, then harness adopt --forget, then vagrant up",
        )
    return plan


def _free_slot() -> Topology:
    """The first slot whose subnets nobody on this host is in.

    Raises:
        HarnessError: there is none.
    """
    for slot in range(SLOTS):
        topology = Topology(slot)
        if not addresses_in_use(topology):
            return topology
    raise HarnessError(
        f"no free slot: this host has an address in each subnet of fh0 to fh{SLOTS - 1}",
        hint="harness status lists the labs; vagrant global-status the machines",
    )


def _secrets(folder: Path, topology: Topology) -> Secrets:
    secrets = new_secrets(topology, folder)
    secrets.save(folder / SECRETS)
    secrets.write_files(folder)
    return secrets


def _let_pass(cache: Cache, folder: Path, image: Image, owner: tuple[int, int] | None) -> None:
    """Let a daemon's QEMU, which need not be root, reach what lies here.

    libvirt hands over the files themselves (seeds, kernel); above them QEMU only passes through.
    """
    for name in ("disks", "ch", "console"):
        (folder / name).mkdir(exist_ok=True, mode=0o700)
    if owner is None or owner[0] == 0:
        return
    for name in ("ch", "console"):
        os.chown(folder / name, *owner)
    for path in (cache.root, cache.images, image.folder, folder, folder / "disks"):
        path.chmod(path.stat().st_mode | 0o011)
