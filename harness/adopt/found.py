"""Which of libvirt's domains the machines of a plan are, and whether they are what a lab needs.

A domain is a guest's if it has the very cards that the guest has. Then each thing that a scenario
does from outside needs its place: taps and bridges to cut at, sockets and a log to listen to, disks
to read, a snapshot to go back to.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from harness.errors import BadInputError
from harness.lab.topology import MTU, Card, Link, MachinePlan, Topology

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from harness.adopt.asking import Endpoint, GuestCard
    from harness.adopt.domains import FoundCard, FoundDomain
    from harness.adopt.plan import MachineTold, Plan

ADOPTED = "adopted.json"
SEED = "seed"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class AdoptedMachine(_Part):
    """One machine: where it answers, and what libvirt has of it.

    Attributes:
        taps: by link, the tap that its card there has whenever it runs.
        disks: by serial number, the image of a backing disk.
        sockets: by stream of the witnesses, where QEMU listens.
        log: of the serial console.
    """

    domain: str
    uuid: str
    address: str
    port: int
    taps: dict[Link, str]
    disks: dict[str, str]
    sockets: dict[str, str]
    log: str


class Adoption(_Part):
    """What was found (``adopted.json``)."""

    schema_version: Literal[1] = 1
    uri: str
    slot: int
    accelerator: Literal["kvm", "tcg"]
    bridges: dict[Link, str]
    machines: dict[str, AdoptedMachine]

    @property
    def topology(self) -> AdoptedTopology:
        """The plan of these machines."""
        return AdoptedTopology(
            self.slot,
            bridges=self.bridges,
            taps={name: one.taps for name, one in self.machines.items()},
            domains={name: one.domain for name, one in self.machines.items()},
        )


def load_adoption(folder: Path) -> Adoption | None:
    """What was found the last time; None if nothing was, or nothing that can be read."""
    try:
        return Adoption.model_validate_json((folder / ADOPTED).read_text(encoding="utf-8"))
    except (OSError, ValidationError):
        return None


@dataclass(frozen=True)
class AdoptedTopology(Topology):
    """Addresses as the seeds gave them; bridges, taps and domains as libvirt has them."""

    bridges: Mapping[Link, str] = field(default_factory=dict)
    taps: Mapping[str, Mapping[Link, str]] = field(default_factory=dict)
    domains: Mapping[str, str] = field(default_factory=dict)

    def owns(self, text: str) -> bool:
        """Whether a line tells of something of these machines: by the very names they have."""
        taps = (tap for own in self.taps.values() for tap in own.values())
        names = [*self.bridges.values(), *taps]
        return Topology(self.slot).owns(text) or any(
            re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w.-])", text) for name in names if name
        )

    def bridge(self, link: Link) -> str:
        """The bridge of the link's network, whatever it is called."""
        return self.bridges[link]

    @cached_property
    def machines(self) -> tuple[MachinePlan, ...]:
        """Both nodes, then the initiator."""

        def fitted(name: str, card: Card) -> Card:
            return dataclasses.replace(card, tap=self.taps[name][card.link])

        return tuple(
            dataclasses.replace(
                plan,
                domain=self.domains[plan.name],
                cards=tuple(fitted(plan.name, card) for card in plan.cards),
            )
            for plan in Topology(self.slot).machines
        )


def adopt_found(
    plan: Plan,
    uri: str,
    endpoints: Mapping[str, Endpoint],
    cards: Mapping[str, list[GuestCard]],
    domains: Iterable[FoundDomain],
    bridge: Callable[[FoundCard], str],
) -> Adoption:
    """The machines of the plan among libvirt's domains.

    Args:
        endpoints, cards: by machine, where its guest answers and what cards it told of.
        bridge: tells the bridge of a card (harness.adopt.domains.bridge_of).

    Raises:
        BadInputError: one is not found, or lacks what a lab needs; says everything that is wrong.
    """
    wrong: list[str] = []
    known = list(domains)
    machines: dict[str, AdoptedMachine] = {}
    on: dict[Link, dict[str, str]] = {link: {} for link in Link}
    for told in plan.machines:
        name = told.name
        macs = frozenset(card.mac for card in cards[name])
        own = [domain for domain in known if domain.macs == macs]
        if len(own) != 1:
            wrong.append(f"{name}: {len(own)} domains have its cards ({', '.join(sorted(macs))})")
            continue
        (domain,) = own
        wrong += [f"{name}: {text}" for text in _lacking(plan, told, domain, cards[name])]
        by_mac = {card.mac: card for card in domain.cards}
        for card in told.cards:
            if card.mac in by_mac:
                on[card.link][name] = bridge(by_mac[card.mac])
        machines[name] = AdoptedMachine(
            domain=domain.name,
            uuid=domain.uuid,
            address=endpoints[name].address,
            port=endpoints[name].port,
            taps={card.link: by_mac[card.mac].tap for card in told.cards if card.mac in by_mac},
            disks={disk.serial: disk.file for disk in domain.disks if disk.serial},
            sockets={
                "console": domain.console,
                **{port.partition(".")[2]: path for port, path in domain.ports.items()},
            },
            log=domain.log,
        )
    wrong += _of_links(on)
    if wrong:
        raise BadInputError(
            f"these machines cannot be a lab: {'; '.join(wrong)}",
            hint="docs/vagrant.md tells what each is for; vagrant/Vagrantfile makes them so",
        )
    return Adoption(
        uri=uri,
        slot=plan.slot,
        accelerator=plan.accelerator,
        bridges={link: next(iter(there.values())) for link, there in on.items()},
        machines=machines,
    )


def _lacking(
    plan: Plan, told: MachineTold, domain: FoundDomain, cards: list[GuestCard]
) -> list[str]:
    """What is wrong with one domain, in words."""
    wrong = []
    kind = "kvm" if plan.accelerator == "kvm" else "qemu"
    if domain.kind != kind:
        wrong.append(f"its domain is of type {domain.kind}, its timeouts are for {kind}")
    wrong += _of_cards(plan, told, domain, cards)
    disks = {disk.serial: disk for disk in domain.disks}
    for disk in told.disks:
        found = disks.get(disk.serial)
        if found is None or not found.file:
            wrong.append(f"no disk with the serial number {disk.serial}")
        elif found.device != disk.device:
            wrong.append(f"the disk {disk.serial} is {found.device}, not {disk.device}")
        elif found.cache != "none":
            wrong.append(f"the disk {disk.serial} has cache={found.cache or 'default'}, not none")
    if SEED not in disks:
        wrong.append("no seed disk")
    wrong += [
        f"no snapshot can hold its disk {disk.device}, as that is {disk.format}"
        for disk in domain.disks
        if not disk.readonly and disk.format != "qcow2"
    ]
    wrong += [
        f"its port {port.name} has no socket of a lasting path"
        for port in told.ports
        if not domain.ports.get(port.name)
    ]
    if not domain.console:
        wrong.append("its virtio console has no socket of a lasting path")
    if not domain.log:
        wrong.append("its serial console has no log")
    return wrong


def _of_cards(
    plan: Plan, told: MachineTold, domain: FoundDomain, cards: list[GuestCard]
) -> list[str]:
    wrong = []
    by_name = {card.name: card for card in cards}
    by_mac = {card.mac: card for card in domain.cards}
    mtus = {str(name): dict(one) for name, one in plan.cluster_config.guest.mtu.items()}
    own_mtus = {str(link): mtu for link, mtu in mtus.get(told.name, {}).items()}
    for card in told.cards:
        mtu = own_mtus.get(card.link, MTU[card.link])
        seen = by_name.get(card.link)
        if seen is None or seen.mac != card.mac:
            wrong.append(f"its card {card.mac} is not called {card.link}")
        elif card.address not in seen.addresses:
            wrong.append(f"its card {card.link} does not have {card.address}")
        elif seen.mtu != mtu:
            wrong.append(f"its card {card.link} has an MTU of {seen.mtu}, not {mtu}")
        elif card.mac in by_mac and not by_mac[card.mac].tap:
            wrong.append(f"the tap of its card {card.link} has another name at each start")
    return wrong


def _of_links(on: Mapping[Link, Mapping[str, str]]) -> list[str]:
    """What is wrong with the bridges: by link and machine."""
    wrong = []
    for link, there in on.items():
        bridges = sorted(set(there.values()))
        if len(bridges) != 1 or not bridges[0]:
            wrong.append(f"the {link} link is no bridge of its own: {', '.join(bridges) or 'none'}")
    names = [next(iter(there.values())) for there in on.values() if there]
    twice = sorted({name for name in names if name and names.count(name) > 1})
    wrong += [f"{name} is more than one link" for name in twice]
    return wrong
