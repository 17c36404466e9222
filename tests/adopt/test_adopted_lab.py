"""A lab of foreign machines: their cards stay as they are, and nothing of them is removed."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import libvirt
import pytest

from harness.adopt import attaching
from harness.adopt import lab as module
from harness.adopt.attaching import differing_files, rendered_files
from harness.adopt.found import Adoption, adopt_found
from harness.adopt.lab import AdoptedLab, ForeignMachine, card_with_carrier, end_fence_device
from harness.cluster.render import render_seeds
from harness.cluster.secrets import Secrets, new_secrets
from harness.errors import HarnessError
from harness.lab import nbd
from harness.lab.fencing import CONF
from harness.lab.lease import is_held
from harness.lab.paths import Cache
from harness.lab.topology import Link, Topology
from tests.adopt.conftest import NAMES, captured, domains, endpoints, guest_cards, planned

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.lab.labhost import LabHost

URI = "test:///default"
LIVE, CONFIG = libvirt.VIR_DOMAIN_AFFECT_LIVE, libvirt.VIR_DOMAIN_AFFECT_CONFIG


class FakeDomain:
    """A domain that tells other things of itself while it runs, as libvirt does."""

    def __init__(self, *, on: bool = True, falls: bool = False, refuses: bool = False) -> None:
        self.on, self.falls, self.refuses = on, falls, refuses
        self.updates: list[tuple[str, int]] = []

    def isActive(self) -> int:
        return int(self.on)

    def XMLDesc(self, flags: int) -> str:
        text = captured("alpha")
        if flags & libvirt.VIR_DOMAIN_XML_INACTIVE:
            return text
        return text.replace("network='fh0-data'", "network='fh0-data' portid='p' bridge='virbr4'")

    def updateDeviceFlags(self, xml: str, flags: int) -> None:
        if flags & LIVE and self.falls:
            self.on = False
        if self.refuses or (flags & LIVE and not self.on):
            raise libvirt.libvirtError("Requested operation is not valid: domain is not running")
        self.updates.append((xml, flags))


def alpha(domain: FakeDomain) -> ForeignMachine:
    plan = Topology(0).machine("alpha")

    class Connection:
        def lookupByName(self, name: str) -> Any:
            assert name == plan.domain
            return domain

    host = type("Host", (), {"connection": Connection()})()
    return ForeignMachine(plan, cast("LabHost", host), cast("Any", None))


def element(xml: str, mac: str) -> ET.Element:
    (found,) = [
        card
        for card in ET.fromstring(xml).iterfind("devices/interface")
        if cast("ET.Element", card.find("mac")).get("address") == mac
    ]
    return found


@pytest.mark.parametrize("up", [True, False])
def test_a_cable_is_pulled_at_the_very_card_that_libvirt_has(up: bool) -> None:
    """libvirt refuses an update that differs in anything but what may change live."""
    domain = FakeDomain()
    machine = alpha(domain)
    machine.set_carrier(Link.DATA, up=up)
    assert [flags for _xml, flags in domain.updates] == [CONFIG, LIVE]
    mac = machine.plan.card(Link.DATA).mac
    for (xml, flags), inactive in zip(domain.updates, (2, 0), strict=True):
        update, defined = ET.fromstring(xml), element(domain.XMLDesc(inactive), mac)
        state = update.find("link")
        assert state is not None
        assert state.get("state") == ("up" if up else "down")
        update.remove(state)
        assert ET.canonicalize(ET.tostring(update), strip_text=True) == ET.canonicalize(
            ET.tostring(defined), strip_text=True
        ), flags


def test_a_state_that_is_there_is_changed_not_told_twice() -> None:
    text = captured("alpha")
    mac = Topology(0).machine("alpha").card(Link.DATA).mac
    card = ET.fromstring(card_with_carrier(text, mac, up=False))
    again = text.replace(
        "<source network='fh0-data'/>", "<source network='fh0-data'/><link state='down'/>"
    )
    states = ET.fromstring(card_with_carrier(again, mac, up=True)).findall("link")
    assert [one.get("state") for one in states] == ["up"]
    assert len(card.findall("link")) == 1
    with pytest.raises(HarnessError, match="no card 52:54:00:00:00:00"):
        card_with_carrier(text, "52:54:00:00:00:00", up=True)


@pytest.mark.parametrize(
    ("domain", "flags"),
    [(FakeDomain(on=False), [CONFIG]), (FakeDomain(falls=True), [CONFIG])],
    ids=["off", "goes down meanwhile"],
)
def test_a_cable_stays_out_when_the_domain_starts_again(
    domain: FakeDomain, flags: list[int]
) -> None:
    alpha(domain).set_carrier(Link.DRBD, up=False)
    assert [seen for _xml, seen in domain.updates] == flags


def test_a_cable_that_cannot_be_moved_is_an_error() -> None:
    with pytest.raises(libvirt.libvirtError):
        alpha(FakeDomain(refuses=True)).set_carrier(Link.DRBD, up=True)


# ------------------------------------------------------------------ the lab


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Secrets:
    return new_secrets(Topology(0), tmp_path_factory.mktemp("keys"))


@pytest.fixture
def cache() -> Iterator[Cache]:
    with tempfile.TemporaryDirectory(prefix="fh-", dir="/tmp") as root:
        yield Cache(Path(root))


@pytest.fixture
def daemon() -> Iterator[libvirt.virConnect]:
    libvirt.registerErrorHandler(lambda _context, _error: None, None)
    connection = libvirt.open(URI)
    made = [
        connection.defineXML(captured(name).replace("<domain type='qemu'>", "<domain type='test'>"))
        for name in NAMES
    ]
    yield connection
    for domain in made:
        for snapshot in domain.listAllSnapshots():
            snapshot.delete()
        domain.undefine()
    connection.close()
    libvirt.registerErrorHandler(None, None)


@pytest.fixture
def adoption() -> Adoption:
    plan = planned()
    return adopt_found(
        plan, URI, endpoints(plan), guest_cards(plan), domains(), lambda card: f"br-{card.network}"
    )


@pytest.mark.usefixtures("daemon")
def test_it_is_a_lab_like_any_other(cache: Cache, adoption: Adoption, secrets: Secrets) -> None:
    folder = cache.root / "vagrant" / "lab"
    lab = AdoptedLab.open(cache, folder, adoption, secrets)
    assert [machine.name for machine in lab.nodes] == ["alpha", "bravo"]
    assert lab.initiator.domain.name() == "fh0-client"
    assert lab.topology.bridge(Link.DATA) == "br-fh0-data"
    # What scenarios look for in a lab's folder is there.
    for stream in lab.streams():
        target = adoption.machines[stream.source].sockets[str(stream.channel)]
        assert os.readlink(folder / "ch" / f"{stream.source}-{stream.channel}") == target
    disk = lab.folder / "disks" / "bravo-r2.qcow2"
    assert os.readlink(disk) == "/var/lib/libvirt/images/fh0-bravo-vdd.qcow2"
    assert nbd.outside(lab.machines["bravo"], "r2") == disk
    assert os.readlink(lab.folder / "console" / "client.log").endswith("/console/client.log")
    assert (folder / "fence.key").stat().st_mode & 0o777 == 0o600
    with pytest.raises(HarnessError, match="need a private lab"):
        nbd.need_private_lab(lab.machines["alpha"], "failing disks")
    # Forming has nothing to make.
    lab.make_disks("key")
    lab.define("tcg", "key")
    assert os.readlink(disk) == "/var/lib/libvirt/images/fh0-bravo-vdd.qcow2"
    with pytest.raises(HarnessError, match="in use by another run"):
        AdoptedLab.open(cache, folder, adoption, secrets)
    lab.destroy()
    assert not is_held(cache.leases / "vagrant.lock")
    again = AdoptedLab.open(cache, folder, adoption, secrets)
    again.destroy()


def test_what_is_let_go_of_is_still_there(
    daemon: libvirt.virConnect, cache: Cache, adoption: Adoption, secrets: Secrets
) -> None:
    before = {domain.name() for domain in daemon.listAllDomains()}
    lab = AdoptedLab.open(cache, cache.root / "lab", adoption, secrets)
    lab.destroy()
    assert {domain.name() for domain in daemon.listAllDomains()} == before


def test_a_snapshot_is_of_these_very_machines(
    daemon: libvirt.virConnect, cache: Cache, adoption: Adoption, secrets: Secrets
) -> None:
    lab = AdoptedLab.open(cache, cache.root / "lab", adoption, secrets)
    xml = "<domainsnapshot><name>healthy</name></domainsnapshot>"
    try:
        assert not lab.has_snapshot()
        for name in ("fh0-alpha", "fh0-bravo"):
            daemon.lookupByName(name).snapshotCreateXML(xml)
        assert not lab.has_snapshot(), "of two of them"
        daemon.lookupByName("fh0-client").snapshotCreateXML(xml)
        assert lab.has_snapshot()
        one = adoption.machines["client"].model_copy(update={"uuid": "another"})
        other = adoption.model_copy(update={"machines": {**adoption.machines, "client": one}})
        lab.adoption = other
        assert not lab.has_snapshot(), "they were made anew"
    finally:
        lab.destroy()


@pytest.mark.usefixtures("daemon")
def test_a_lab_that_cannot_be_opened_is_let_go_of(
    cache: Cache, adoption: Adoption, secrets: Secrets, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_uri: str) -> Any:
        raise HarnessError("refused")

    monkeypatch.setattr(module, "connect_to", refuse)
    with pytest.raises(HarnessError, match="refused"):
        AdoptedLab.open(cache, cache.root / "lab", adoption, secrets)
    assert not is_held(cache.leases / "vagrant.lock")


def test_only_this_lab_s_fence_device_is_ended(tmp_path: Path) -> None:
    """Known by its configuration file, as a PID may be another's by now."""
    ours, others = tmp_path / "a", tmp_path / "b"
    running = [
        subprocess.Popen(["sh", "-c", "sleep 60; :", "fence_virtd", "-f", str(folder / CONF)])
        for folder in (ours, others)
    ]
    try:
        end_fence_device(ours)
        assert running[0].wait(10) == -9
        time.sleep(0.1)
        assert running[1].poll() is None
    finally:
        for process in running:
            process.kill()
            process.wait()


# ------------------------------------------------------------------ attaching


def test_the_guests_files_are_compared_with_what_is_rendered(
    secrets: Secrets, tmp_path: Path
) -> None:
    plan = planned()
    wanted = rendered_files(plan, secrets)
    assert "/etc/corosync/corosync.conf" in wanted["alpha"]
    assert "/etc/iscsi/iscsid.conf" in wanted["client"]
    seed = render_seeds(plan.cluster_config, plan.topology, secrets)["alpha"]
    seed.base.write(tmp_path)
    seed.cluster.write(tmp_path)
    (tmp_path / "etc/hosts").write_text("127.0.0.1 localhost\n")
    (tmp_path / "etc/cluster/fence_xvm.key").unlink()
    paths = [path.lstrip("/") for path in wanted["alpha"]]
    done = subprocess.run(
        ["sha256sum", "--", *paths], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    told = "".join(f"{line[:66]}/{line[66:]}\n" for line in done.stdout.splitlines())
    assert differing_files(wanted["alpha"], told) == ["/etc/cluster/fence_xvm.key", "/etc/hosts"]
    assert differing_files(wanted["alpha"], "") == sorted(wanted["alpha"])


class Guest:
    def __init__(self, answer: str) -> None:
        self.answer = answer

    def run(self, _command: str, **_more: Any) -> Any:
        return type("Result", (), {"stdout": self.answer})


def lab_of(*answers: str) -> Any:
    machines = [
        type("Machine", (), {"name": name, "guest": Guest(answer)})()
        for name, answer in zip(NAMES, answers, strict=False)
    ]
    return type("Lab", (), {"nodes": machines, "secrets": "the secrets"})()


def test_the_guests_are_told_what_their_seeds_could_not_know(
    cache: Cache, adoption: Adoption, secrets: Secrets, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = AdoptedLab.open(cache, cache.root / "vagrant" / "lab", adoption, secrets)
    asked: list[tuple[str, str, bytes]] = []
    for machine in lab.machines.values():
        run = lambda command, stdin, name=machine.name: asked.append((name, command, stdin))  # noqa: E731
        monkeypatch.setattr(machine.guest, "run", run)
    lab.fit_guests()
    assert asked == []
    lab.fit = {"bravo": {"/etc/lab/cluster.crm": (b"text", 0o640)}, "client": {}}
    lab.fit_guests()
    assert asked == [("bravo", "install -m 0640 /dev/stdin /etc/lab/cluster.crm", b"text")]
    lab.destroy()


def test_blank_nodes_are_formed_and_others_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    formed: list[Any] = []
    monkeypatch.setattr(
        attaching, "form_cluster", lambda *told, **more: formed.append((told, more))
    )
    plan = planned()
    attaching._form(lab_of("yes\n", "yes\n"), plan)
    assert formed == []
    with pytest.raises(HarnessError, match="only one of the nodes was formed"):
        attaching._form(lab_of("no\n", "yes\n"), plan)
    assert formed == []
    lab = lab_of("no\n", "no\n")
    attaching._form(lab, plan)
    ((told, more),) = formed
    assert told == (lab, plan.cluster_config, "the secrets")
    assert (more["accelerator"], more["image_key"]) == ("tcg", plan.image)


def test_this_host_has_to_be_on_every_link_but_drbd_s(monkeypatch: pytest.MonkeyPatch) -> None:
    topology = Topology(0)
    here = [topology.host_address(link) for link in Link if link is not Link.DRBD]
    monkeypatch.setattr(attaching, "addresses_in_use", lambda _t: here)
    attaching._check_host(topology)
    here.remove(topology.host_address(Link.FENCE))
    with pytest.raises(HarnessError, match=r"does not have the address 10\.77\.4\.1 \(fence\)"):
        attaching._check_host(topology)
