"""Counting frames on a real bridge: network namespaces stand in for machines. Needs root, no VM."""

from __future__ import annotations

import json
import os
import shutil
import socket
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from bench.wire import Wire
from harness.errors import HarnessError
from harness.lab.counters import LinkCounter, Passed, parse_statistics
from harness.lab.netns import run_in_netns
from harness.lab.topology import Link, Topology
from tests.faults.namespaces import own_netns, run_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.lab.labhost import LabHost

TOPOLOGY = Topology()
LINK = Link.DRBD
CARDS = {name: TOPOLOGY.machine(name).card(LINK) for name in ("alpha", "bravo")}
AMOUNT = 1 << 20


def test_statistics_of_ip() -> None:
    said = '[{"ifname":"t","stats64":{"rx":{"bytes":1,"packets":2},"tx":{"bytes":90,"packets":3}}}]'
    assert parse_statistics(said) == Passed(3, 90)
    for wrong in ("", "[]", "{}", '[{"stats64":{}}]', '[{"stats64":{"tx":{"packets":"a"}}}]'):
        with pytest.raises(HarnessError, match="ip tells no statistics"):
            parse_statistics(wrong)


def test_sums() -> None:
    assert Passed(5, 500) - Passed(2, 100) * 1.5 == Passed(2, 350)
    assert Passed(10, 1000).on_wire == 1240


@pytest.fixture(scope="module")
def machines() -> Iterator[dict[str, int]]:
    """The processes of the lab's and of the two nodes' namespaces, on one bridge."""
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
        lab, bridge = pids["lab"], TOPOLOGY.bridge(LINK)
        run_in(lab, "ip", "link", "add", "name", bridge, "type", "bridge", "forward_delay", "0")
        run_in(lab, "ip", "link", "set", bridge, "mtu", "9000", "up")
        for name, card in CARDS.items():
            run_in(lab, "ip", "link", "add", card.tap, "mtu", "9000", "type", "veth", "peer",
                   "name", str(LINK), "mtu", "9000", "netns", str(pids[name]))  # fmt: skip
            run_in(lab, "ip", "link", "set", card.tap, "master", bridge, "up")
            run_in(pids[name], "ip", "link", "set", LINK, "up")
            run_in(pids[name], "ip", "address", "add", f"{card.address}/24", "dev", LINK)
        yield pids
    finally:
        for process in processes.values():
            if process is not None:
                process.kill()
                process.wait()


def counter(pids: dict[str, int]) -> LinkCounter:
    host = SimpleNamespace(run=lambda *command: run_in(pids["lab"], *command), topology=TOPOLOGY)
    return LinkCounter(cast("LabHost", host), LINK)


def send(pids: dict[str, int]) -> None:
    """A megabyte from alpha to bravo, over TCP."""
    server = run_in_netns(
        pids["bravo"], lambda: socket.create_server((CARDS["bravo"].address, 7788))
    )
    address = (CARDS["bravo"].address, 7788)
    near = run_in_netns(pids["alpha"], lambda: socket.create_connection(address, 5))
    far, _peer = server.accept()
    sender = threading.Thread(target=near.sendall, args=(b"x" * AMOUNT,))
    sender.start()
    far.settimeout(10)
    left = AMOUNT
    while left:
        left -= len(far.recv(1 << 16))
    sender.join()
    for one in (near, far, server):
        one.close()


@pytest.mark.parametrize("mtu", [1500, 9000])
def test_each_segment_is_counted_as_a_frame(machines: dict[str, int], mtu: int) -> None:
    for name in CARDS:
        run_in(machines[name], "ip", "link", "set", "dev", LINK, "mtu", str(mtu))
    link, wire = counter(machines), Wire(mtu)
    needed = wire.frames(AMOUNT)
    before = link.passed()
    send(machines)
    merged = link.passed() - before
    assert merged.frames < needed / 2, "packets of several segments pass a bridge as one"
    with link.counted():
        before = link.passed()
        send(machines)
        passed = link.passed() - before
    # All of the data, in full frames but for some, and acknowledgements in the other direction.
    assert needed <= passed.frames <= 2 * needed + 20
    assert passed.octets / passed.frames <= mtu + 14
    least = wire.on_wire(AMOUNT)
    assert least <= passed.on_wire <= least + 100 * (passed.frames - needed + 10)
    shown = json.loads(run_in(machines["lab"], "ip", "-j", "-d", "link", "show", link.taps[0]))
    assert shown[0]["gso_max_size"] == 65536
