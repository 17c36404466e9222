"""Domains are found by their guests' cards; whatever a lab needs and they lack is said."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Any

import libvirt
import pytest

from harness.adopt.attaching import fitting, rendered_files
from harness.adopt.domains import FoundCard, bridge_of, read_domain, read_domains
from harness.adopt.found import Adoption, adopt_found, load_adoption
from harness.cluster.secrets import new_secrets
from harness.errors import BadInputError, HarnessError
from harness.lab.topology import Link, Topology
from tests.adopt.conftest import (
    FIXTURES,
    NAMES,
    captured,
    domains,
    endpoints,
    guest_cards,
    planned,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from harness.adopt.plan import Plan

URI = "qemu:///system"
# As libvirt names the bridges of networks that nobody gave one a name for.
BRIDGES = {
    "fh0-control": "virbr1", "fh0-mgmt": "virbr2", "fh0-drbd": "virbr3", "fh0-data": "virbr4",
    "fh0-fence": "virbr5",
}  # fmt: skip


def bridge(card: FoundCard) -> str:
    return BRIDGES.get(card.network, card.bridge)


def adopted(plan: Plan, texts: dict[str, str] | None = None, **guests: Any) -> Adoption:
    told = texts or {name: captured(name, plan.accelerator) for name in NAMES}
    found = [read_domain(text) for text in told.values()]
    cards = guest_cards(plan) | guests
    return adopt_found(plan, URI, endpoints(plan), cards, found, bridge)


@pytest.mark.parametrize("accelerator", ["tcg", "kvm"])
def test_what_vagrant_made_is_a_lab(accelerator: Any) -> None:
    adoption = adopted(planned(accelerator))
    assert adoption.bridges[Link.DATA] == "virbr4"
    assert adoption.accelerator == accelerator
    alpha = adoption.machines["alpha"]
    assert alpha.disks["r1"] == "/var/lib/libvirt/images/fh0-alpha-vdc.qcow2"
    assert alpha.sockets["events2"].endswith("/ch/alpha-events2")
    assert set(adoption.machines["client"].sockets) == {"console", "journal", "progress", "block"}
    topology = adoption.topology
    assert topology.bridge(Link.DRBD) == "virbr3"
    assert topology.machine("bravo").card(Link.DRBD).tap == "fh0b-drbd"
    # What the seeds gave is as it was.
    assert topology.vip == Topology(0).vip
    assert topology.machines == Topology(0).machines, "taps are named as the lab's are"


def test_it_is_kept_and_read_again(plan: Plan, tmp_path: Path) -> None:
    assert load_adoption(tmp_path) is None
    adoption = adopted(plan)
    (tmp_path / "adopted.json").write_text(adoption.model_dump_json())
    assert load_adoption(tmp_path) == adoption
    (tmp_path / "adopted.json").write_text('{"schema_version": 2}')
    assert load_adoption(tmp_path) is None


def test_domains_are_known_by_cards_whatever_they_are_called(plan: Plan) -> None:
    """Others, even with our ports, are nobody's business."""
    other = captured("alpha").replace("52:54:00:f0", "52:54:00:f1")
    texts = {"other": other, **{name: captured(name) for name in reversed(NAMES)}}
    assert adopted(plan, texts) == adopted(plan)
    # The names of its network and tap are taken as libvirt has them, never made up.
    for word in ("fh0-data", "fh0a-data"):
        texts["alpha"] = texts["alpha"].replace(f"'{word}'", "'whatever'")
    texts = {k: v.replace("network='fh0-data'", "network='whatever'") for k, v in texts.items()}
    BRIDGES["whatever"] = "br7"
    try:
        adoption = adopted(plan, texts)
    finally:
        del BRIDGES["whatever"]
    assert adoption.bridges[Link.DATA] == "br7"
    assert adoption.topology.machine("alpha").card(Link.DATA).tap == "whatever"


def test_a_machine_is_fenced_by_whatever_its_domain_is_called(plan: Plan, tmp_path: Path) -> None:
    """The seed was made before: what it says is put right before the cluster reads it."""
    texts = {name: captured(name) for name in NAMES}
    texts["alpha"] = texts["alpha"].replace("<name>fh0-alpha", "<name>vagrant_alpha")
    topology = adopted(plan, texts).topology
    assert topology.machine("alpha").domain == "vagrant_alpha"
    assert topology.machine("bravo").domain == "fh0-bravo"
    secrets = new_secrets(topology, tmp_path)
    changed = fitting(plan, secrets, topology)
    assert {name: list(files) for name, files in changed.items()} == {
        "alpha": ["/etc/lab/cluster.crm"],
        "bravo": ["/etc/lab/cluster.crm"],
        "client": [],
    }
    text, mode = changed["bravo"]["/etc/lab/cluster.crm"]
    assert b"port=vagrant_alpha pcmk_host_list=alpha" in text
    assert b"port=fh0-bravo pcmk_host_list=bravo" in text
    assert mode
    wanted = rendered_files(plan, secrets, topology)
    assert wanted != rendered_files(plan, secrets), "and is what the files are compared with"
    same = adopted(plan).topology
    assert fitting(plan, secrets, same) == {"alpha": {}, "bravo": {}, "client": {}}


def test_what_is_theirs_on_the_host_is_known_by_the_names_they_have(plan: Plan) -> None:
    texts = {name: captured(name) for name in NAMES}
    texts["alpha"] = texts["alpha"].replace("'fh0a-data'", "'vnet3'")
    topology = adopted(plan, texts).topology
    for line in ("virbr4: mtu 9000, UP", "vnet3: mtu 9000, UP LOWER_UP", "fh0_cut / chain c"):
        assert topology.owns(line), line
    for line in ("virbr40: mtu 1500, UP", "vnet31: fq_codel", "eth0: mtu 1500", "a.vnet3: x"):
        assert not topology.owns(line), line


def test_each_machine_needs_exactly_one_domain(plan: Plan) -> None:
    texts = {name: captured(name) for name in NAMES}
    with pytest.raises(BadInputError, match="bravo: 0 domains have its cards"):
        adopted(plan, {k: v for k, v in texts.items() if k != "bravo"})
    with pytest.raises(BadInputError, match="bravo: 2 domains have its cards"):
        adopted(plan, {**texts, "twin": texts["bravo"]})


NONE = ""
WRONG = [
    (r"<domain type='qemu'>", "<domain type='kvm'>", "is of type kvm, its timeouts are for qemu"),
    (r"<target dev='fh0a-drbd'/>", NONE, "the tap of its card drbd has another name at each start"),
    (r"<serial>r2</serial>", "<serial>r3</serial>", "no disk with the serial number r2"),
    (r"<target dev='vdd'", "<target dev='vdf'", "the disk r2 is vdf, not vdd"),
    (r"(?s)(vda.*?)cache='none'", r"\1cache='writeback'", "the disk r0 has cache=writeback"),
    (r"<serial>seed</serial>", NONE, "no seed disk"),
    (r"<readonly/>", NONE, "no snapshot can hold its disk vde, as that is raw"),
    (r"name='lab.events2'", "name='lab.other'", "its port lab.events2 has no socket"),
    (r"mode='bind'( path='[^']*alpha-journal')", r"mode='connect'\1", "lab.journal has no socket"),
    (r" path='[^']*alpha-console'", NONE, "its virtio console has no socket"),
    (r"<target type='virtio' port='1'/>", NONE, "its virtio console has no socket"),
    (r"<log file=.*?/>", NONE, "its serial console has no log"),
    (
        r"network='fh0-data'",
        "network='fh0-drbd'",
        "the data link is no bridge of its own: virbr3, ",
    ),
    (r"network='fh0-fence'", "network='gone'", "the fence link is no bridge of its own"),
]


@pytest.mark.parametrize(("pattern", "new", "says"), WRONG, ids=[w[2] for w in WRONG])
def test_what_a_lab_needs_and_they_lack_is_said(
    plan: Plan, pattern: str, new: str, says: str
) -> None:
    texts = {name: captured(name) for name in NAMES}
    changed, count = re.subn(pattern, new, texts["alpha"])
    assert count
    with pytest.raises(BadInputError) as error:
        adopted(plan, {**texts, "alpha": changed})
    assert says in error.value.message
    assert "\n" not in error.value.message
    assert "bravo:" not in error.value.message, "only what is wrong is told"


def test_a_bridge_that_is_two_links_is_none(plan: Plan) -> None:
    texts = {
        name: captured(name).replace("network='fh0-mgmt'", "network='fh0-data'") for name in NAMES
    }
    with pytest.raises(BadInputError, match="virbr4 is more than one link"):
        adopted(plan, texts)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"name": "eth1"}, "its card 52:54:00:f0:01:0b is not called mgmt"),
        ({"addresses": ("10.77.1.99",)}, "its card mgmt does not have 10.77.1.11"),
        ({"mtu": 1400}, "its card mgmt has an MTU of 1400, not 1500"),
    ],
)
def test_cards_have_to_be_as_the_seeds_made_them(
    plan: Plan, change: dict[str, Any], says: str
) -> None:
    cards = guest_cards(plan)["alpha"]
    cards[1] = dataclasses.replace(cards[1], **change)
    with pytest.raises(BadInputError, match=says):
        adopted(plan, alpha=cards)


def test_an_mtu_of_the_configuration_is_expected(plan: Plan) -> None:
    config = plan.config | {"guest": {**plan.config["guest"], "mtu": {"alpha": {"mgmt": 1400}}}}
    other = plan.model_copy(update={"config": config})
    with pytest.raises(BadInputError, match="MTU of 1500, not 1400"):
        adopted(other)
    cards = guest_cards(plan)["alpha"]
    cards[1] = dataclasses.replace(cards[1], mtu=1400)
    assert adopted(other, alpha=cards)


@pytest.fixture
def daemon() -> Iterator[libvirt.virConnect]:
    """libvirt's test driver, with what was captured defined in it."""
    libvirt.registerErrorHandler(lambda _context, _error: None, None)
    connection = libvirt.open("test:///default")
    made: list[Any] = []
    for path in sorted(FIXTURES.glob("network-*.xml")):
        made.append(connection.networkDefineXML(path.read_text()))
    for name in NAMES:
        text = captured(name).replace("<domain type='qemu'>", "<domain type='test'>")
        made.append(connection.defineXML(text))
    yield connection
    for one in made:
        one.undefine()
    connection.close()
    libvirt.registerErrorHandler(None, None)


def test_libvirt_is_asked_for_domains_and_bridges(daemon: libvirt.virConnect, plan: Plan) -> None:
    found = [dataclasses.replace(one, kind="qemu") for one in read_domains(daemon)]
    assert {one.name for one in found} > {"fh0-alpha", "fh0-bravo", "fh0-client"}
    ask = bridge_of(daemon)
    adoption = adopt_found(plan, URI, endpoints(plan), guest_cards(plan), found, ask)
    assert adoption.machines == adopted(plan).machines
    for link, name in adoption.bridges.items():
        assert daemon.networkLookupByName(f"fh0-{link}").bridgeName() == name
    assert ask(FoundCard("m", "", "br0", "t")) == "br0", "a card may be on a bridge itself"
    assert ask(FoundCard("m", "no such network", "", "t")) == ""


@pytest.mark.parametrize("text", ["", "<domain", "<network/>", "<domain/>"])
def test_what_is_no_domain_is_an_error(text: str) -> None:
    with pytest.raises(HarnessError, match="libvirt tells no domain"):
        read_domain(text)


def test_captured_domains_differ_in_nothing_but_their_machine() -> None:
    assert len({domain.macs for domain in domains()}) == len(NAMES)
