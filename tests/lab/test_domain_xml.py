"""Domain XML: well-formed, valid for libvirt, and what the machine's role asks for."""

from __future__ import annotations

import threading
import xml.etree.ElementTree as ET
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import libvirt
import pytest

from harness.evidence.timeline import Channel
from harness.lab.machine import STREAMS, Machine, domain_xml, in_parallel
from harness.lab.topology import MTU, RESOURCES, Link, MachinePlan, Role, Topology

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.lab.labhost import LabHost

TOPOLOGY = Topology(2)
HOST = cast(
    "LabHost",
    SimpleNamespace(topology=TOPOLOGY, lab_path="/run/lab", cache_path="/run/cache"),
)
PLANS = pytest.mark.parametrize("plan", TOPOLOGY.machines, ids=lambda p: p.name)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """libvirt prints its errors to stderr unless somebody takes them."""
    libvirt.registerErrorHandler(lambda _context, _error: None, None)
    yield
    libvirt.registerErrorHandler(None, None)


def parsed(plan: MachinePlan, accelerator: str = "tcg") -> ET.Element:
    return ET.fromstring(domain_xml(plan, HOST, accelerator, "0123456789abcdef"))


@PLANS
def test_the_domain_is_the_planned_machine(plan: MachinePlan) -> None:
    root = parsed(plan)
    assert root.findtext("name") == plan.domain
    memory = root.find("memory")
    assert memory is not None
    assert (memory.text, memory.get("unit")) == (str(plan.memory_mib), "MiB")
    assert root.findtext("os/kernel") == "/run/cache/images/0123456789abcdef/vmlinuz"
    cmdline = (root.findtext("os/cmdline") or "").split()
    assert f"systemd.hostname={plan.name}" in cmdline
    # The last console= is the one that /dev/console is; the kernel prints to both.
    assert [w for w in cmdline if w.startswith("console=")] == ["console=ttyS0", "console=hvc0"]
    # A killed or crashed machine must stay off: fencing decides when it comes back.
    assert root.findtext("on_crash") == "destroy"
    assert root.findtext("on_reboot") == "restart"


@PLANS
@pytest.mark.parametrize(
    ("accelerator", "kind", "cpu"),
    [("kvm", "kvm", "host-passthrough"), ("tcg", "qemu", "maximum")],
)
def test_the_accelerator(plan: MachinePlan, accelerator: str, kind: str, cpu: str) -> None:
    root = parsed(plan, accelerator)
    assert root.get("type") == kind
    found = root.find("cpu")
    assert found is not None
    assert found.get("mode") == cpu
    cpus = 2 if kind == "kvm" and plan.role is Role.NODE else 1
    # An emulated machine that can never have a second CPU is emulated without memory barriers.
    vcpu = root.find("vcpu")
    assert vcpu is not None
    assert int(vcpu.get("current", vcpu.text or "")) == cpus
    assert int(vcpu.text or "") == (cpus if kind == "kvm" else 2)
    # What only emulation needs, a guest with KVM is left alone with.
    cmdline = set((root.findtext("os/cmdline") or "").split())
    slow = {"norandmaps", "no5lvl"}
    assert cmdline & slow == (set() if accelerator == "kvm" else slow)
    disabled = {(f.get("name"), f.get("policy")) for f in found.findall("feature")}
    slow_strings = {("erms", "disable"), ("fsrm", "disable")}
    assert disabled == (set() if accelerator == "kvm" else slow_strings)


@PLANS
def test_disks_by_role(plan: MachinePlan) -> None:
    disks = parsed(plan).findall("devices/disk")
    serials = [disk.findtext("serial") for disk in disks]
    backing = RESOURCES if plan.role is Role.NODE else ()
    assert serials == ["root", *backing, "seed"]
    targets = [cast("ET.Element", disk.find("target")).get("dev") for disk in disks]
    assert targets == [f"vd{letter}" for letter in "abcdefgh"[: len(disks)]]
    for disk, serial in zip(disks, serials, strict=True):
        seed = serial == "seed"
        assert (disk.find("readonly") is not None) == seed
        driver = cast("ET.Element", disk.find("driver"))
        assert driver.get("type") == ("raw" if seed else "qcow2")
        # Writes must reach the host's kernel before they are acknowledged: kill -9 is the fault.
        assert driver.get("cache") == "none"
        source = cast("ET.Element", disk.find("source")).get("file")
        assert source == f"/run/lab/disks/{plan.name}-{serial}.{'img' if seed else 'qcow2'}"


@PLANS
def test_cards_are_those_of_the_plan(plan: MachinePlan) -> None:
    interfaces = parsed(plan).findall("devices/interface")
    seen = [
        tuple(
            cast("ET.Element", interface.find(tag)).get(attribute)
            for tag, attribute in (
                ("mac", "address"), ("source", "bridge"), ("target", "dev"), ("mtu", "size"),
            )
        )
        for interface in interfaces
    ]  # fmt: skip
    assert seen == [
        (card.mac, TOPOLOGY.bridge(card.link), card.tap, str(MTU[card.link])) for card in plan.cards
    ]


@PLANS
def test_streams_are_those_that_the_host_reads(plan: MachinePlan) -> None:
    root = parsed(plan)
    ports = {
        cast("ET.Element", channel.find("target")).get("name"): cast(
            "ET.Element", channel.find("source")
        ).get("path")
        for channel in root.findall("devices/channel")
    }
    own = {"events2"} if plan.role is Role.NODE else {"progress", "block"}
    expected = {"journal", *own}
    assert ports == {f"lab.{name}": f"/run/lab/ch/{plan.name}-{name}" for name in expected}
    assert all(Channel(name) for name in STREAMS[plan.role])
    console = root.find("devices/console/source")
    assert console is not None
    # Lab.streams connects to <machine>-<channel>.
    assert console.get("path") == f"/run/lab/ch/{plan.name}-{Channel.CONSOLE}"
    log = root.find("devices/serial/log")
    assert log is not None
    assert (log.get("file"), log.get("append")) == (f"/run/lab/console/{plan.name}.log", "on")


def test_names_are_escaped() -> None:
    evil = 'a\'><disk file="/etc/shadow"/>&'
    plan = replace(TOPOLOGY.machines[0], name=evil, domain=f"fh0-{evil}")
    text = domain_xml(plan, HOST, "tcg", "key'&<")
    root = ET.fromstring(text)
    assert root.findtext("name") == f"fh0-{evil}"
    assert root.findtext("os/initrd") == "/run/cache/images/key'&</initrd.img"
    sources = [s.get("file") for s in root.findall("devices/disk/source")]
    assert sources[0] == f"/run/lab/disks/{evil}-root.qcow2"
    assert len(sources) == 5
    assert root.find(".//serial/disk") is None


@PLANS
@pytest.mark.parametrize("accelerator", ["kvm", "tcg"])
def test_libvirt_s_own_schema_accepts_it(plan: MachinePlan, accelerator: str) -> None:
    """libvirt's test driver lives in this process and knows the one domain type ``test``."""
    connection = libvirt.open("test:///default")
    try:
        text = domain_xml(plan, HOST, accelerator, "key")
        kind = parsed(plan, accelerator).get("type")
        text = text.replace(f"<domain type='{kind}'>", "<domain type='test'>")
        flags = libvirt.VIR_DOMAIN_DEFINE_VALIDATE
        domain = connection.defineXMLFlags(text, flags)
        assert domain.name() == plan.domain
        seen = ET.fromstring(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
        assert len(seen.findall("devices/interface")) == len(plan.cards)
        with pytest.raises(libvirt.libvirtError):
            connection.defineXMLFlags(text.replace("<rng ", "<rgn "), flags)
    finally:
        connection.close()


LIVE, CONFIG = libvirt.VIR_DOMAIN_AFFECT_LIVE, libvirt.VIR_DOMAIN_AFFECT_CONFIG


class FakeDomain:
    """A domain that runs or not; ``falls`` goes down between the question and the update."""

    def __init__(self, *, on: bool = True, falls: bool = False, refuses: bool = False) -> None:
        self.on, self.falls, self.refuses = on, falls, refuses
        self.updates: list[tuple[str, int]] = []

    def isActive(self) -> int:
        on = self.on
        self.on = on and not self.falls
        return int(on)

    def updateDeviceFlags(self, xml: str, flags: int) -> None:
        if self.refuses or (flags & LIVE and not self.on):
            raise libvirt.libvirtError("Requested operation is not valid: domain is not running")
        self.updates.append((xml, flags))


def bravo(domain: FakeDomain) -> Machine:
    plan = TOPOLOGY.machine("bravo")
    host = SimpleNamespace(connection=SimpleNamespace(lookupByName={plan.domain: domain}.get))
    return Machine(plan, cast("Any", host), cast("Any", None))


@pytest.mark.parametrize(
    ("domain", "flags"),
    [
        (FakeDomain(), LIVE | CONFIG),
        (FakeDomain(on=False), CONFIG),
        (FakeDomain(falls=True), CONFIG),
    ],
    ids=["runs", "off", "goes down meanwhile"],
)
def test_a_cable_stays_as_it_is_when_the_domain_starts_again(
    domain: FakeDomain, flags: int
) -> None:
    """Fencing destroys and starts a domain: a cut must not end with that."""
    bravo(domain).set_carrier(Link.DRBD, up=False)
    assert [seen for _xml, seen in domain.updates] == [flags]


def test_a_cable_that_cannot_be_moved_at_all_is_an_error() -> None:
    with pytest.raises(libvirt.libvirtError):
        bravo(FakeDomain(refuses=True)).set_carrier(Link.DRBD, up=True)


@pytest.mark.parametrize("up", [True, False])
@pytest.mark.parametrize("link", [Link.DATA, Link.DRBD, Link.MGMT])
def test_a_cable_is_pulled_at_exactly_the_card_that_was_defined(link: Link, up: bool) -> None:
    """libvirt refuses an update that differs in anything but what may change live."""
    plan = TOPOLOGY.machine("bravo")
    domain = FakeDomain()
    bravo(domain).set_carrier(link, up=up)
    ((xml, flags),) = domain.updates
    assert flags == LIVE | CONFIG
    update = ET.fromstring(xml)
    state = update.find("link")
    assert state is not None
    assert state.get("state") == ("up" if up else "down")
    update.remove(state)
    (defined,) = [
        interface
        for interface in parsed(plan).findall("devices/interface")
        if cast("ET.Element", interface.find("mac")).get("address") == plan.card(link).mac
    ]

    def shape(element: ET.Element) -> object:
        return (element.tag, element.attrib, sorted((c.tag, c.attrib) for c in element))

    assert str(shape(update)) == str(shape(defined))


def test_a_link_that_the_machine_has_not_cannot_be_cut() -> None:
    machine = Machine(TOPOLOGY.initiator, cast("Any", None), cast("Any", None))
    with pytest.raises(KeyError, match="client has no card on the mgmt link"):
        machine.set_carrier(Link.MGMT, up=False)


def test_in_parallel_ends_all_actions_before_it_raises() -> None:
    gate = threading.Event()
    ended: list[str] = []

    def fail() -> None:
        gate.set()
        raise ValueError("first")

    def finish() -> None:
        assert gate.wait(10), "the actions did not run at the same time"
        ended.append("finish")

    with pytest.raises(ValueError, match="first"):
        in_parallel({"a": finish, "b": fail, "c": finish})
    assert ended == ["finish", "finish"]
