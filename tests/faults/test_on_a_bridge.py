"""Cuts and the VIP's watch on a real bridge: network namespaces stand in for the machines.

Needs root (namespaces), ip(8), nft(8) and nsenter(1); no VM.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import struct
import subprocess
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from harness.faults.cuts import Direction, SilentCut
from harness.lab.arp import VipWatch
from harness.lab.netns import connect, run_in_netns
from harness.lab.topology import Link, Topology
from tests.faults.namespaces import own_netns, run_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.lab.lab import Lab
    from harness.lab.labhost import LabHost

TOPOLOGY = Topology()
BRIDGE = TOPOLOGY.bridge(Link.DATA)
HOST = TOPOLOGY.host_address(Link.DATA)
CARDS = {name: TOPOLOGY.machine(name).card(Link.DATA) for name in ("alpha", "bravo")}
ADDRESSES = {"lab": HOST, **{name: card.address for name, card in CARDS.items()}}
BRIDGE_MAC = "52:54:00:f0:03:01"
PORT = 7000


class Bench:
    """The data link of a lab: its bridge, and alpha and bravo at their taps' places."""

    def __init__(self, pids: dict[str, int]) -> None:
        self.pids = pids
        self.lab = cast("Lab", SimpleNamespace(topology=TOPOLOGY, host=self))
        self._sockets = {
            name: run_in_netns(pid, lambda name=name: self._udp(name))  # type: ignore[misc]
            for name, pid in pids.items()
        }

    @staticmethod
    def _udp(name: str) -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((ADDRESSES[name], PORT))
        sock.setblocking(False)
        return sock

    def run(self, *command: str, input_text: str | None = None) -> str:
        """What ``LabHost.run`` does."""
        return run_in(self.pids["lab"], *command, input_text=input_text)

    def passing(self, expected: set[tuple[str, str]]) -> set[tuple[str, str]]:
        """Every (sender, receiver) between whom a datagram arrives.

        Looks for 0.1 s, and longer only while one of those ``expected`` has not arrived.
        """
        mark = os.urandom(8)
        for sender, sock in self._sockets.items():
            for receiver, address in ADDRESSES.items():
                if receiver != sender:
                    sock.sendto(mark + sender.encode(), (address, PORT))
        arrived: set[tuple[str, str]] = set()
        deadline = time.monotonic() + 2
        while True:
            time.sleep(0.1)
            for receiver, sock in self._sockets.items():
                with contextlib.suppress(BlockingIOError):
                    while data := sock.recv(100):
                        if data[:8] == mark:
                            arrived.add((data[8:].decode(), receiver))
            if arrived >= expected or time.monotonic() > deadline:
                return arrived

    def send(self, sender: str, receiver: str) -> None:
        """One datagram."""
        self._sockets[sender].sendto(b"one", (ADDRESSES[receiver], PORT))

    def close(self) -> None:
        for sock in self._sockets.values():
            sock.close()


ALL = {(a, b) for a in ADDRESSES for b in ADDRESSES if a != b}


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    for tool in ("unshare", "nsenter", "ip", "nft"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    processes = {name: own_netns() for name in ADDRESSES}
    try:
        pids = {name: p.pid for name, p in processes.items() if p is not None}
        if len(pids) < len(processes):
            pytest.skip("no network namespaces here")
        lab = pids["lab"]
        run_in(lab, "ip", "link", "add", BRIDGE, "type", "bridge", "forward_delay", "0")
        run_in(lab, "ip", "address", "add", f"{HOST}/24", "dev", BRIDGE)
        run_in(lab, "ip", "link", "set", BRIDGE, "up")
        for name, card in CARDS.items():
            guest = pids[name]
            run_in(lab, "ip", "link", "add", card.tap, "type", "veth", "peer", "name", "data",
                   "address", card.mac, "netns", str(guest))  # fmt: skip
            run_in(lab, "ip", "link", "set", card.tap, "master", BRIDGE, "up")
            run_in(guest, "ip", "link", "set", "data", "up")
            run_in(guest, "ip", "address", "add", f"{card.address}/24", "dev", "data")
        # ARP must not mix the directions up: everybody knows everybody.
        run_in(lab, "ip", "link", "set", BRIDGE, "address", BRIDGE_MAC)
        macs = {"lab": BRIDGE_MAC, **{name: card.mac for name, card in CARDS.items()}}
        for here, pid in pids.items():
            device = BRIDGE if here == "lab" else "data"
            for there, address in ADDRESSES.items():
                if there != here:
                    run_in(pid, "ip", "neigh", "replace", address, "lladdr", macs[there],
                           "dev", device, "nud", "permanent")  # fmt: skip
        bench = Bench(pids)
        deadline = time.monotonic() + 5
        while bench.passing(set()) != ALL:
            assert time.monotonic() < deadline, "the bridge does not forward"
        yield bench
        bench.close()
    finally:
        for process in processes.values():
            if process is not None:
                process.kill()
                process.wait()


def dropped(proof: str) -> int:
    """How many frames of alpha's card a proof tells of."""
    if not proof:
        return 0
    assert proof.startswith("frames dropped: fh0a-data ")
    return int(proof.rsplit(" ", 1)[1])


@pytest.mark.parametrize(
    ("direction", "lost"),
    [
        (Direction.OUT, {("alpha", "bravo"), ("alpha", "lab")}),
        (Direction.IN, {("bravo", "alpha"), ("lab", "alpha")}),
        (
            Direction.BOTH,
            {("alpha", "bravo"), ("alpha", "lab"), ("bravo", "alpha"), ("lab", "alpha")},
        ),
    ],
)
def test_frames_vanish_in_the_direction_that_was_asked_for(
    bench: Bench, direction: Direction, lost: set[tuple[str, str]]
) -> None:
    cut = SilentCut(("alpha",), (Link.DATA,), direction)
    cut.inject(bench.lab)
    try:
        # IPv6 and ARP send frames of their own accord: some may be dropped before ours.
        before = dropped(cut.bitten(bench.lab))
        assert bench.passing(ALL - lost) == ALL - lost
        # Each lost datagram is one frame.
        assert dropped(cut.bitten(bench.lab)) - before >= len(lost)
        link = run_in(bench.pids["alpha"], "ip", "link", "show", "data")
        assert "LOWER_UP" in link, "a silent cut tells nobody"
    finally:
        cut.heal(bench.lab)
    assert bench.passing(ALL) == ALL
    assert "table bridge" not in bench.run("nft", "list", "tables")


def test_both_nodes_cut_off_and_one_cut_healed_alone(bench: Bench) -> None:
    both = SilentCut(("alpha", "bravo"), (Link.DATA,))
    one = SilentCut(("alpha",), (Link.DATA,), Direction.OUT)
    both.inject(bench.lab)
    one.inject(bench.lab)
    try:
        assert bench.passing(set()) == set()
        assert "fh0a-data" in both.bitten(bench.lab)
        both.heal(bench.lab)
        left = ALL - {("alpha", "bravo"), ("alpha", "lab")}
        assert bench.passing(left) == left
    finally:
        one.heal(bench.lab)
    assert bench.passing(ALL) == ALL


def test_a_frame_between_two_cut_nodes_is_a_proof_for_both(bench: Bench) -> None:
    """A passive node may say nothing for long but to its peer."""
    both = SilentCut(("alpha", "bravo"), (Link.DATA,))

    def counts() -> dict[str, int]:
        words = both.bitten(bench.lab).removeprefix("frames dropped: ").split(", ")
        return {tap: int(count) for tap, count in (word.split() for word in words if word)}

    both.inject(bench.lab)
    try:
        bench.passing(set())
        before = counts()
        for _ in range(5):
            bench.send("bravo", "alpha")
        after = counts()
        for tap in ("fh0a-data", "fh0b-data"):
            assert after[tap] - before[tap] >= 5
    finally:
        both.heal(bench.lab)


def test_nft_takes_a_ruleset_of_every_link_and_machine(bench: Bench) -> None:
    """The taps need not exist: a machine may be off while its links are cut."""
    for direction in Direction:
        cut = SilentCut(("alpha", "bravo"), (Link.DATA, Link.DRBD, Link.MGMT), direction)
        bench.run("nft", "-c", "-f", "-", input_text=cut.ruleset(bench.lab))
    assert bench.run("nft", "list", "ruleset") == "", "-c only checks"


# ----------------------------------------------------------------------------- the VIP's watch


class Claims:
    """What the watch told, with a way to wait for it."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []
        self._changed = threading.Condition()

    def __call__(self, ip: str, mac: str) -> None:
        with self._changed:
            self.seen.append((ip, mac))
            self._changed.notify_all()

    def wait(self, ready: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(ready, 5), self.seen


def test_the_watch_sees_who_answers_for_the_vip_and_who_announces_it(bench: Bench) -> None:
    host = cast("LabHost", SimpleNamespace(pid=bench.pids["lab"]))
    alpha, bravo = (CARDS[name].mac for name in ("alpha", "bravo"))
    vip = f"{TOPOLOGY.vip}/32"
    claims = Claims()
    watch = VipWatch(host, TOPOLOGY, claims)
    try:
        time.sleep(0.3)
        assert claims.seen == [], "nobody has it, and the watch's own question is no claim"
        run_in(bench.pids["alpha"], "ip", "address", "add", vip, "dev", "data")
        claims.wait(lambda: (TOPOLOGY.vip, alpha) in claims.seen)
        # Gratuitous ARP, as IPaddr2 sends it, is seen at once, not at the next question.
        run_in_netns(bench.pids["bravo"], lambda: announce("data", bravo))
        claims.wait(lambda: (TOPOLOGY.vip, bravo) in claims.seen)
        assert {mac for _ip, mac in claims.seen} == {alpha, bravo}
    finally:
        watch.close()
        run_in(bench.pids["alpha"], "ip", "address", "del", vip, "dev", "data")
    count = len(claims.seen)
    time.sleep(0.3)
    assert len(claims.seen) == count


def announce(device: str, mac: str) -> None:
    source = bytes.fromhex(mac.replace(":", ""))
    address = socket.inet_aton(TOPOLOGY.vip)
    body = struct.pack("!HHBBH6s4s6s4s", 1, 0x0800, 6, 4, 1, source, address, b"\0" * 6, address)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
        sock.bind((device, 0x0806))
        sock.send(b"\xff" * 6 + source + b"\x08\x06" + body)


# --------------------------------------------------------------------------------- namespaces


def test_a_socket_made_in_a_namespace_works_from_outside_and_the_caller_stays(bench: Bench) -> None:
    before = os.readlink("/proc/thread-self/ns/net")

    def listen() -> socket.socket:
        return socket.create_server((ADDRESSES["alpha"], 22))

    with run_in_netns(bench.pids["alpha"], listen) as server:
        server.settimeout(5)
        with connect(bench.pids["bravo"], ADDRESSES["alpha"], 22, 5.0) as client:
            sock, (peer, _port) = server.accept()
            with sock:
                assert peer == ADDRESSES["bravo"]
                client.sendall(b"ping")
                assert sock.recv(4) == b"ping"
    with pytest.raises(ConnectionRefusedError):
        connect(bench.pids["bravo"], ADDRESSES["alpha"], 22, 5.0)
    assert os.readlink("/proc/thread-self/ns/net") == before
    assert not Path(f"/sys/class/net/{BRIDGE}").exists()


def test_what_an_action_raises_is_raised(bench: Bench) -> None:
    def fail() -> None:
        raise LookupError("within")

    with pytest.raises(LookupError, match="within"):
        run_in_netns(bench.pids["lab"], fail)


def test_a_process_that_is_gone_has_no_namespace() -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    with pytest.raises(OSError, match="No such file"):
        run_in_netns(process.pid, lambda: None)
