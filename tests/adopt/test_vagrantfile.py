"""What Vagrant makes is what the lab's own domains are, but for what is listed here."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING, Any

import pytest

from harness.adopt.domains import FoundDomain, read_domain
from harness.lab.paths import VAGRANT
from harness.lab.topology import MTU, Link, Topology
from tests.adopt.conftest import FIXTURES, NAMES, captured, planned

if TYPE_CHECKING:
    from harness.adopt.plan import Accelerated

EACH = pytest.mark.parametrize("name", NAMES)
BOTH = pytest.mark.parametrize("accelerator", ["tcg", "kvm"])


def own(name: str, accelerator: Accelerated) -> str:
    """The lab's definition today."""
    return next(one.domain for one in planned(accelerator).machines if one.name == name)


def shape(xml: str) -> dict[str, Any]:
    """What a guest and the harness can tell a machine by, but its disks, cards and sockets."""
    root = ET.fromstring(xml)
    memory, vcpu, kind = root.find("memory"), root.find("vcpu"), root.find("os/type")
    assert memory is not None
    assert vcpu is not None
    assert kind is not None
    unit = {"KiB": 1, "MiB": 1024}[memory.get("unit", "KiB")]
    cpu = root.find("cpu")
    assert cpu is not None
    balloon, rng = root.find("devices/memballoon"), root.find("devices/rng")
    assert balloon is not None
    assert rng is not None
    return {
        "type": root.get("type"),
        "memory_kib": int(memory.text or "") * unit,
        "cpus": (vcpu.get("current", vcpu.text), vcpu.text),
        "machine": (kind.get("arch"), kind.get("machine"), kind.text),
        "boot": [root.findtext(f"os/{part}") for part in ("kernel", "initrd", "cmdline")],
        "features": [one.tag for one in root.iterfind("features/*")],
        "cpu": (cpu.get("mode"), sorted(str(sorted(one.attrib.items())) for one in cpu)),
        "clock": [one.get("offset") for one in root.iterfind("clock")],
        "ends": [root.findtext(f"on_{how}") for how in ("poweroff", "reboot", "crash")],
        "balloon": balloon.get("model"),
        "rng": rng.get("model"),
        "graphics": [one.tag for one in root.iterfind("devices/graphics")],
    }


@EACH
@BOTH
def test_a_machine_is_the_lab_s(name: str, accelerator: Accelerated) -> None:
    assert shape(captured(name, accelerator)) == shape(own(name, accelerator))


@EACH
@BOTH
def test_its_witnesses_are_the_lab_s(name: str, accelerator: Accelerated) -> None:
    theirs, ours = read_domain(captured(name, accelerator)), read_domain(own(name, accelerator))
    assert theirs.ports == ours.ports
    assert (theirs.console, theirs.log) == (ours.console, ours.log)
    assert theirs.name == ours.name, "by which it is fenced"


def disks(domain: FoundDomain) -> list[Any]:
    return [
        (disk.device, disk.serial, disk.format, disk.cache, disk.readonly)
        for disk in domain.disks
        if disk.device != "vda"
    ]


@EACH
@BOTH
def test_its_disks_are_the_lab_s_but_for_their_folder(name: str, accelerator: Accelerated) -> None:
    theirs, ours = read_domain(captured(name, accelerator)), read_domain(own(name, accelerator))
    assert disks(theirs) == disks(ours)
    assert [d.file for d in theirs.disks if d.serial == "seed"] == [
        d.file for d in ours.disks if d.serial == "seed"
    ]
    # The root has no serial number: nobody asks for it by one.
    root, wanted = theirs.disks[0], ours.disks[0]
    assert (root.device, root.serial) == ("vda", "")
    assert (root.format, root.cache, root.readonly) == (wanted.format, wanted.cache, False)


@EACH
def test_its_cards_are_the_lab_s_on_networks_of_libvirt(name: str) -> None:
    theirs, ours = read_domain(captured(name)), read_domain(own(name, "tcg"))
    assert [(c.mac, c.tap) for c in theirs.cards] == [(c.mac, c.tap) for c in ours.cards]
    assert [c.network for c in theirs.cards] == [c.bridge for c in ours.cards]
    sizes = {
        mac.get("address"): mtu.get("size")
        for card in ET.fromstring(captured(name)).iterfind("devices/interface")
        if (mac := card.find("mac")) is not None and (mtu := card.find("mtu")) is not None
    }
    machine = Topology(0).machine(name)
    for card in machine.cards:
        # The provider's own network has the default, which is that link's.
        expected = None if card.link is Link.CONTROL else str(MTU[card.link])
        assert sizes.get(card.mac) == expected


@pytest.mark.parametrize("link", list(Link))
def test_a_network_is_a_link_that_leads_nowhere_else(link: Link) -> None:
    topology = Topology(0)
    root = ET.parse(FIXTURES / f"network-{topology.bridge(link)}.xml").getroot()
    assert root.findtext("name") == topology.bridge(link)
    assert root.find("forward") is None, "isolated"
    address = root.find("ip")
    if link is Link.DRBD:
        assert address is None, "between the nodes alone"
    else:
        assert address is not None
        assert address.get("address") == topology.host_address(link)
        assert address.get("netmask") == "255.255.255.0"
        assert (address.find("dhcp") is not None) == (link is Link.CONTROL)
    bridge, mtu = root.find("bridge"), root.find("mtu")
    assert bridge is not None
    assert bridge.get("stp") == ("on" if link is Link.CONTROL else "off")
    size = None if link is Link.CONTROL else str(MTU[link])
    assert (mtu.get("size") if mtu is not None else None) == size


def test_what_vagrant_libvirt_cannot_do_is_what_lab_rb_does() -> None:
    """Should the provider learn one of these, the hook can lose it."""
    before = read_domain((FIXTURES / "alpha-unfitted.xml").read_text())
    after = read_domain(captured("alpha"))
    assert (before.console, before.log) == ("", "")
    assert "seed" not in {disk.serial for disk in before.disks}
    assert [card.tap for card in before.cards[1:]] == [card.tap for card in after.cards[1:]]
    assert before.cards[0].tap != after.cards[0].tap
    cpus = [ET.fromstring(text).findtext("vcpu") for text in (
        (FIXTURES / "alpha-unfitted.xml").read_text(), captured("alpha"),
    )]  # fmt: skip
    assert cpus == ["1", "2"]


def test_the_vagrantfile_takes_everything_from_the_plan() -> None:
    """No address, size or name of the lab's is written there a second time."""
    text = (VAGRANT / "Vagrantfile").read_text() + (VAGRANT / "lab.rb").read_text()
    for forbidden in ("10.77", "52:54", "fh0", "9000", "1024", "virtio-r0", "events2"):
        assert forbidden not in text
