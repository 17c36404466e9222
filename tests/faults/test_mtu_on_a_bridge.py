"""What a small MTU does to TCP on a real bridge: network namespaces stand in for the machines.

A veth of the kernel, unlike a virtio card, does mind its own MTU when a frame arrives; so the cards
here keep theirs or change it where that makes no difference. Needs root, ip(8), nsenter(1); no VM.
"""

from __future__ import annotations

import os
import shutil
import socket
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from harness.faults.mtu import SmallPort, WrongMtu
from harness.lab.netns import run_in_netns
from harness.lab.topology import MTU, Link, Topology
from tests.faults.namespaces import own_netns, run_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.lab.lab import Lab

TOPOLOGY = Topology()
LINK = Link.DRBD
BRIDGE = TOPOLOGY.bridge(LINK)
CARDS = {name: TOPOLOGY.machine(name).card(LINK) for name in ("alpha", "bravo")}
PORT = 7788
# One write of 4 KiB with DRBD's header: more than a small segment, less than a large one.
WRITE = b"w" * 4136
# So long nothing arrives where a segment is stuck; TCP sends it again after 0.2 s and 0.4 s.
STUCK_S = 0.7


class Bench:
    """The drbd link of a lab, and what faults ask of one."""

    def __init__(self, pids: dict[str, int]) -> None:
        self.pids = pids
        self._server = run_in_netns(
            pids["bravo"], lambda: socket.create_server((CARDS["bravo"].address, PORT))
        )
        machines = {
            name: SimpleNamespace(
                running=lambda: True,
                guest=SimpleNamespace(
                    run=lambda command, name=name, **_: run_in(pids[name], *command.split())
                ),
            )
            for name in CARDS
        }
        host = SimpleNamespace(run=lambda *command: run_in(pids["lab"], *command))
        self.lab = cast("Lab", SimpleNamespace(topology=TOPOLOGY, machines=machines, host=host))

    def connect(self) -> Connection:
        """A connection from alpha to bravo."""
        address = (CARDS["bravo"].address, PORT)
        near = run_in_netns(self.pids["alpha"], lambda: socket.create_connection(address, 5))
        far, _peer = self._server.accept()
        return Connection(near, far)

    def close(self) -> None:
        self._server.close()


class Connection:
    def __init__(self, near: socket.socket, far: socket.socket) -> None:
        self.near, self.far = near, far
        near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    @property
    def segment(self) -> int:
        """How much the near end puts into one segment, bytes."""
        return self.near.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG)

    def passes(self, data: bytes, within_s: float = 3.0) -> bool:
        """Whether all of it arrives in time."""
        self.near.sendall(data)
        self.far.settimeout(within_s)
        left = len(data)
        try:
            while left:
                left -= len(self.far.recv(left))
        except TimeoutError:
            return False
        return True

    def close(self) -> None:
        self.near.close()
        self.far.close()


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    for tool in ("unshare", "nsenter", "ip"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    processes = {name: own_netns() for name in ("lab", *CARDS)}
    try:
        pids = {name: p.pid for name, p in processes.items() if p is not None}
        if len(pids) < len(processes):
            pytest.skip("no network namespaces here")
        lab, mtu = pids["lab"], str(MTU[LINK])
        run_in(lab, "ip", "link", "add", "name", BRIDGE, "type", "bridge", "forward_delay", "0")
        run_in(lab, "ip", "link", "set", BRIDGE, "mtu", mtu, "up")
        for name, card in CARDS.items():
            run_in(lab, "ip", "link", "add", card.tap, "mtu", mtu, "type", "veth", "peer", "name",
                   str(LINK), "mtu", mtu, "netns", str(pids[name]))  # fmt: skip
            run_in(lab, "ip", "link", "set", card.tap, "master", BRIDGE, "up")
            run_in(pids[name], "ip", "link", "set", LINK, "up")
            run_in(pids[name], "ip", "address", "add", f"{card.address}/24", "dev", LINK)
        bench = Bench(pids)
        yield bench
        bench.close()
    finally:
        for process in processes.values():
            if process is not None:
                process.kill()
                process.wait()


def bridge_mtu(bench: Bench) -> str:
    shown = run_in(bench.pids["lab"], "ip", "link", "show", BRIDGE).split()
    return shown[shown.index("mtu") + 1]


def test_behind_a_small_port_every_connection_stalls_until_it_is_healed(bench: Bench) -> None:
    before = bench.connect()
    assert before.passes(WRITE)
    assert before.segment > len(WRITE)
    fault = SmallPort("bravo", LINK, 1500)
    fault.inject(bench.lab)
    try:
        assert bridge_mtu(bench) == "9000", "the other ports are as before"
        assert before.passes(b"a ping"), "what is small passes: the peer looks alive"
        assert not before.passes(WRITE, STUCK_S)
        anew = bench.connect()
        assert anew.segment > len(WRITE), "both cards say that they take it"
        assert not anew.passes(WRITE, STUCK_S)
        anew.close()
    finally:
        fault.heal(bench.lab)
    # TCP goes on by itself: its next try is as far away as the stall was long.
    before.far.settimeout(5)
    assert before.far.recv(1)
    before.close()


def test_behind_a_small_card_a_new_connection_works(bench: Bench) -> None:
    before = bench.connect()
    assert before.passes(WRITE)
    fault = WrongMtu("bravo", LINK, 1500)
    fault.inject(bench.lab)
    try:
        assert before.segment > len(WRITE), "TCP does not ask again"
        assert not before.passes(WRITE, STUCK_S)
        anew = bench.connect()
        assert anew.segment < 1500
        assert anew.passes(WRITE)
        assert anew.passes(WRITE * 100), "many segments at once, that a card would cut"
    finally:
        fault.heal(bench.lab)
    assert anew.passes(WRITE), "it goes on as it began"
    assert anew.segment < 1500
    anew.close()
    before.close()


def test_a_small_card_of_the_one_that_writes_stalls_nothing(bench: Bench) -> None:
    """It knows its own MTU, and cuts smaller."""
    before = bench.connect()
    assert before.passes(WRITE)
    fault = WrongMtu("alpha", LINK, 1500)
    fault.inject(bench.lab)
    try:
        assert before.passes(WRITE)
        assert before.passes(WRITE * 100)
        assert before.segment < 1500
    finally:
        fault.heal(bench.lab)
    before.close()
