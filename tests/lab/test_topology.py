"""The plan: two labs differ in every name and address, and every name fits where it has to."""

from __future__ import annotations

import ipaddress
from itertools import chain
from pathlib import Path

import pytest

from harness.evidence.timeline import Channel, read_timeline
from harness.lab.topology import LUN_OF, MTU, RESOURCES, Link, Role, Topology

SLOTS = range(16)
TAKEOVER = Path(__file__).parents[1] / "evidence" / "fixtures" / "takeover.jsonl"
IFNAMSIZ = 15  # linux/if.h: 16 with the terminating zero


def names(topology: Topology) -> dict[str, list[str]]:
    """Everything of a lab that is global in a network: kind to values."""
    cards = list(chain.from_iterable(plan.cards for plan in topology.machines))
    bridges = [topology.bridge(link) for link in Link]
    hosts = [topology.host_address(link) for link in Link]
    return {
        "mac": [card.mac for card in cards],
        "address": [*(card.address for card in cards), *hosts, topology.vip],
        "device": [*(card.tap for card in cards), *bridges],
        "domain": [plan.domain for plan in topology.machines],
        "subnet": [topology.subnet(link) for link in Link],
    }


@pytest.mark.parametrize("kind", ["mac", "address", "device", "domain", "subnet"])
def test_labs_in_one_network_never_share(kind: str) -> None:
    values = list(chain.from_iterable(names(Topology(slot))[kind] for slot in SLOTS))
    assert len(values) == len(set(values))


@pytest.mark.parametrize("slot", [*SLOTS, 9, 15])
def test_device_names_fit_the_kernel(slot: int) -> None:
    devices = names(Topology(slot))["device"]
    assert max(map(len, devices)) <= IFNAMSIZ
    assert not [name for name in devices if set(name) & set("/: \t")]


@pytest.mark.parametrize("slot", [*SLOTS, 15])
def test_addresses_lie_in_their_link_s_subnet(slot: int) -> None:
    topology = Topology(slot)
    for link in Link:
        network = ipaddress.ip_network(f"{topology.subnet(link)}.0/24")
        assert network.is_private
        assert ipaddress.ip_address(topology.host_address(link)) in network
        for plan in topology.machines:
            for card in plan.cards:
                assert (ipaddress.ip_address(card.address) in network) == (card.link is link)
    assert topology.vip.startswith(topology.subnet(Link.DATA) + ".")


@pytest.mark.parametrize("slot", SLOTS)
def test_macs_are_locally_administered_unicast(slot: int) -> None:
    for mac in names(Topology(slot))["mac"]:
        octets = [int(part, 16) for part in mac.split(":")]
        assert len(octets) == 6
        assert mac == mac.lower()  # as /sys and libvirt print it
        assert octets[0] & 0b11 == 0b10


def test_the_initiator_reaches_the_cluster_over_the_data_link_alone() -> None:
    topology = Topology()
    assert [card.link for card in topology.initiator.cards] == [Link.CONTROL, Link.DATA]
    for node in topology.nodes:
        assert {card.link for card in node.cards} == set(Link)
    with pytest.raises(KeyError, match="client has no card on the drbd link"):
        topology.initiator.card(Link.DRBD)


def test_machines_by_name_and_peer() -> None:
    topology = Topology(3)
    assert topology.machine("bravo").domain == "fh3-bravo"
    assert topology.peer("alpha").name == "bravo"
    assert topology.peer("bravo").name == "alpha"
    assert [plan.role for plan in topology.machines] == [Role.NODE, Role.NODE, Role.INITIATOR]
    with pytest.raises(KeyError):
        topology.machine("charlie")


def test_every_link_has_an_mtu_and_every_resource_a_lun_of_its_own() -> None:
    assert set(MTU) == set(Link)
    assert tuple(LUN_OF) == RESOURCES
    assert len(set(LUN_OF.values())) == len(RESOURCES)


def test_the_plan_is_the_one_that_real_claims_of_the_vip_came_from() -> None:
    """Slot 0's addresses are in every cached cluster: changing them silently orphans those."""
    claims = [e.data for e in read_timeline(TAKEOVER) if e.channel is Channel.ARP]
    topology = Topology()
    assert {claim["ip"] for claim in claims} == {topology.vip}
    owners = list(dict.fromkeys(claim["mac"] for claim in claims))
    assert owners == [topology.machine(n).card(Link.DATA).mac for n in ("bravo", "alpha")]
