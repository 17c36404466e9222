"""A lab on an existing daemon: it takes what is free, and removes what is its own and no more.

libvirt's test driver plays the existing daemon, network namespaces the existing host.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import libvirt
import pytest
from pyroute2 import IPRoute, NetlinkError

from harness.errors import BadInputError, HarnessError, MissingEnvironmentError
from harness.lab import shared
from harness.lab.bridges import addresses_in_use, has_bridges, make_bridges, remove_bridges
from harness.lab.gc import collect_garbage
from harness.lab.lab import KEPT, host_runs
from harness.lab.machine import domain_xml
from harness.lab.netns import run_in_netns
from harness.lab.paths import Cache
from harness.lab.shared import SharedHost, mac_of, qemu_owner, remove_shared
from harness.lab.topology import SLOTS, Link, Topology

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

URI = "test:///default"


class Network:
    """The host's bridges, by slot; and slots whose subnet somebody else uses."""

    def __init__(self) -> None:
        self.bridges: dict[int, str] = {}
        self.routed: set[int] = set()
        self.freed_rules: list[int] = []

    def make(self, topology: Topology, mac: str) -> None:
        if topology.slot in self.bridges:
            raise NetlinkError(errno.EEXIST, "File exists")
        self.bridges[topology.slot] = mac

    def has(self, topology: Topology, mac: str) -> bool:
        return self.bridges.get(topology.slot) == mac

    def remove_rules(self, topology: Topology) -> None:
        """While a bridge still says whose they are."""
        assert topology.slot in self.bridges
        self.freed_rules.append(topology.slot)

    def remove(self, topology: Topology, mac: str) -> list[str]:
        if self.bridges.get(topology.slot) != mac:
            return []
        del self.bridges[topology.slot]
        return [topology.bridge(Link.DATA)]


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Network:
    net = Network()
    monkeypatch.setattr(shared, "make_bridges", net.make)
    monkeypatch.setattr(shared, "has_bridges", net.has)
    monkeypatch.setattr(shared, "remove_bridges", net.remove)
    monkeypatch.setattr(
        shared, "addresses_in_use", lambda t: ["10.0.0.1"] if t.slot in net.routed else []
    )
    monkeypatch.setattr(shared, "_remove_tables", net.remove_rules)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return net


@pytest.fixture
def daemon() -> Iterator[libvirt.virConnect]:
    """Open as long as the test: what others define on the same URI stays."""
    libvirt.registerErrorHandler(lambda _context, _error: None, None)
    connection = libvirt.open(URI)
    yield connection
    connection.close()
    libvirt.registerErrorHandler(None, None)


@pytest.fixture
def cache() -> Iterator[Cache]:
    """At a short path: unix sockets live below it."""
    with tempfile.TemporaryDirectory() as path:
        yield Cache(Path(path))


def folder(cache: Cache, name: str = "lab0") -> Path:
    made = cache.labs / name
    made.mkdir(parents=True, mode=0o700)
    return made


def define(host: SharedHost, machine: int = 0) -> libvirt.virDomain:
    text = domain_xml(host.topology.machines[machine], host, "tcg", "key")
    return host.connection.defineXML(text.replace("<domain type='qemu'>", "<domain type='test'>"))


def names(connection: libvirt.virConnect) -> set[str]:
    return {domain.name() for domain in connection.listAllDomains()}


def test_it_takes_the_first_slot_that_nothing_else_uses(
    network: Network, daemon: libvirt.virConnect, cache: Cache
) -> None:
    network.routed = {0}
    network.bridges = {1: "02:00:00:00:00:01"}
    other = SharedHost.start(folder(cache), cache, URI)
    assert other.topology.slot == 2
    domain = define(other)
    network.bridges.pop(2)  # the name of a domain alone must keep another lab away
    second = SharedHost.start(folder(cache, "lab1"), cache, URI)
    assert second.topology.slot == 3
    assert network.bridges == {1: "02:00:00:00:00:01", 3: mac_of(second.folder)}
    assert second.lab_path == str(second.folder)
    assert second.inside("nft", "list") == ["nft", "list"]
    second.stop()
    assert domain.name() in names(daemon)
    other.stop()
    assert names(daemon) == {"test"}, "the driver's own"
    assert network.bridges == {1: "02:00:00:00:00:01"}


@pytest.mark.usefixtures("daemon")
def test_without_a_free_slot_it_says_so(network: Network, cache: Cache) -> None:
    network.routed = set(range(SLOTS))
    with pytest.raises(HarnessError, match="no free slot"):
        SharedHost.start(folder(cache), cache, URI)


def test_somebody_else_s_domain_of_the_same_name_stays(
    network: Network, daemon: libvirt.virConnect, cache: Cache, tmp_path: Path
) -> None:
    host = SharedHost.start(folder(cache), cache, URI)
    elsewhere = tmp_path / "elsewhere"
    host.lab_path = str(elsewhere)
    theirs = define(host)
    host.lab_path = str(host.folder)
    ours = define(host, 1)
    ours.create()
    remove_shared(host.folder)
    assert names(daemon) == {"test", theirs.name()}
    assert network.bridges == {}
    assert network.freed_rules == [host.topology.slot]
    theirs.undefine()


@pytest.mark.usefixtures("daemon")
def test_rules_of_a_slot_that_is_somebody_else_s_stay(network: Network, cache: Cache) -> None:
    host = SharedHost.start(folder(cache), cache, URI)
    network.bridges[host.topology.slot] = "02:00:00:00:00:07"
    remove_shared(host.folder)
    assert network.freed_rules == []
    assert network.bridges == {host.topology.slot: "02:00:00:00:00:07"}


def test_gc_removes_an_abandoned_lab_and_leaves_a_kept_one(
    network: Network, daemon: libvirt.virConnect, cache: Cache
) -> None:
    define(SharedHost.start(folder(cache), cache, URI))
    kept = SharedHost.start(folder(cache, "lab1"), cache, URI)
    (kept.folder / KEPT).write_text("{}")
    assert collect_garbage(cache) == ["lab lab0"]
    assert names(daemon) == {"test"}
    assert set(network.bridges) == {kept.topology.slot}
    assert host_runs(kept.folder)
    assert not (cache.labs / "lab0").exists()


@pytest.mark.usefixtures("network", "daemon")
def test_a_daemon_that_refuses_keeps_nothing_else_from_being_removed(cache: Cache) -> None:
    first = SharedHost.start(folder(cache), cache, URI).folder
    facts = (first / shared.FACTS).read_text()
    (first / shared.FACTS).write_text(facts.replace(URI, "test:///no/such/file"))
    folder(cache, "lab1")  # a private one whose start was cut short
    with pytest.raises(MissingEnvironmentError, match="refuses"):
        collect_garbage(cache)
    assert first.exists(), "what is left can be found again"
    assert not (cache.labs / "lab1").exists()
    assert not host_runs(first)


@pytest.mark.parametrize(
    ("uri", "error"),
    [
        ("qemu+ssh://elsewhere.example/system", BadInputError),
        ("test:///no/such/file", MissingEnvironmentError),
        ("no-such-driver:///", MissingEnvironmentError),
    ],
)
@pytest.mark.usefixtures("network")
def test_a_bad_uri_is_one_line_and_leaves_nothing(
    uri: str, error: type[HarnessError], cache: Cache
) -> None:
    place = folder(cache)
    with pytest.raises(error) as caught:
        SharedHost.start(place, cache, uri)
    assert caught.value.hint
    assert "\n" not in caught.value.message
    assert not (place / shared.FACTS).exists()


def test_only_root_can(monkeypatch: pytest.MonkeyPatch, cache: Cache) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(MissingEnvironmentError, match="root"):
        SharedHost.start(folder(cache), cache, URI)


def test_qemu_s_user_is_read_from_the_capabilities() -> None:
    labels = "<baselabel type='kvm'>+64055:+64056</baselabel>"
    text = (
        "<capabilities><host><secmodel><model>apparmor</model></secmodel>"
        f"<secmodel><model>dac</model><doi>0</doi>{labels}</secmodel></host></capabilities>"
    )
    assert qemu_owner(text) == (64055, 64056)
    assert qemu_owner("<capabilities><host/></capabilities>") is None


def test_qemu_that_is_not_root_may_pass_and_make_sockets(
    monkeypatch: pytest.MonkeyPatch, cache: Cache
) -> None:
    owned: list[tuple[str, int, int]] = []
    monkeypatch.setattr(os, "chown", lambda p, u, g: owned.append((p.name, u, g)))
    monkeypatch.setattr(shared, "qemu_owner", lambda _text: (64055, 64055))
    place = folder(cache)
    for name in ("disks", "ch", "console"):
        (place / name).mkdir(mode=0o700)
    image = cache.images / "0123"
    image.mkdir(parents=True, mode=0o700)
    connection: Any = type("", (), {"getCapabilities": lambda _self: ""})()
    shared._let_qemu_in(connection, place, cache)
    assert owned == [("ch", 64055, 64055), ("console", 64055, 64055)]
    for path in (place, place / "disks", image):
        assert path.stat().st_mode & 0o777 == 0o711


@pytest.fixture
def elsewhere() -> Iterator[Callable[[Callable[[], Any]], Any]]:
    """Calls functions in a network namespace of their own."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("needs root and unshare(1)")
    process = subprocess.Popen(["unshare", "--net", "sleep", "60"], stdin=subprocess.DEVNULL)
    try:
        here = os.readlink("/proc/self/ns/net")
        deadline = time.monotonic() + 5
        while os.readlink(f"/proc/{process.pid}/ns/net") == here:
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.skip("no network namespaces here")
            time.sleep(0.01)
        yield lambda action: run_in_netns(process.pid, action)
    finally:
        process.kill()
        process.wait()


def test_bridges_are_known_by_their_mac(elsewhere: Callable[[Callable[[], Any]], Any]) -> None:
    mine, theirs = Topology(3), "02:00:00:00:00:07"

    def links() -> dict[str, str]:
        with IPRoute() as ip:
            return {
                str(link.get_attr("IFLA_IFNAME")): str(link.get_attr("IFLA_ADDRESS"))
                for link in ip.get_links()
            }

    assert elsewhere(lambda: addresses_in_use(mine)) == []
    elsewhere(lambda: make_bridges(mine, "02:aa:00:00:00:01"))
    seen = elsewhere(links)
    assert {seen[mine.bridge(link)] for link in Link} == {"02:aa:00:00:00:01"}
    assert mine.host_address(Link.DATA) in elsewhere(lambda: addresses_in_use(mine))
    with pytest.raises(NetlinkError) as taken:
        elsewhere(lambda: make_bridges(mine, theirs))
    assert taken.value.code == errno.EEXIST
    assert not elsewhere(lambda: has_bridges(mine, theirs))
    assert elsewhere(lambda: has_bridges(mine, "02:aa:00:00:00:01"))
    assert elsewhere(lambda: remove_bridges(mine, theirs)) == []
    assert len(elsewhere(lambda: remove_bridges(mine, "02:aa:00:00:00:01"))) == len(Link)
    assert set(elsewhere(links)) == {"lo"}


def test_a_bridge_keeps_its_mac_when_machines_come_and_go(
    elsewhere: Callable[[Callable[[], Any]], Any],
) -> None:
    topology = Topology(3)

    def macs_of_the_bridge() -> list[str]:
        make_bridges(topology)
        bridge = topology.bridge(Link.DATA)
        seen = []
        with IPRoute() as ip:

            def look() -> None:
                (index,) = ip.link_lookup(ifname=bridge)
                (found,) = ip.get_links(index)
                seen.append(str(found.get_attr("IFLA_ADDRESS")))

            look()
            # A port with the lowest address that there can be: a bridge without one of its own
            # takes it on, and drops it with the port.
            ip.link("add", ifname="port", kind="veth", peer="other")
            (port,) = ip.link_lookup(ifname="port")
            ip.link("set", index=port, address="02:00:00:00:00:01")
            ip.link("set", index=port, master=ip.link_lookup(ifname=bridge)[0], state="up")
            look()
            ip.link("del", index=port)
            look()
        return seen

    wanted = topology.bridge_mac(Link.DATA)
    assert elsewhere(macs_of_the_bridge) == [wanted] * 3
    cards = {card.mac for plan in topology.machines for card in plan.cards}
    bridges = {topology.bridge_mac(link) for link in Link}
    assert len(bridges) == len(Link)
    assert not cards & bridges
