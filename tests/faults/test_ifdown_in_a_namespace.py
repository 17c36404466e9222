"""ifdown, ifup and the way to a fence device for real: a network namespace stands in for a node.

Needs root (namespaces), ip(8) and nsenter(1); no VM.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from harness.faults.fence_device import FenceUnreachable, give_way_back
from harness.faults.interface import InterfaceDown
from harness.lab.topology import Link, Topology
from tests.faults.namespaces import own_netns

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.lab.lab import Lab

TOPOLOGY = Topology()
DEVICE = TOPOLOGY.host_address(Link.FENCE)


@pytest.fixture
def node() -> Iterator[Lab]:
    """alpha, with its drbd and mgmt cards and the default route; nobody is at the other ends."""
    if os.geteuid() != 0 or shutil.which("ip") is None or shutil.which("nsenter") is None:
        pytest.skip("needs root, ip and nsenter")
    process = own_netns()
    if process is None:
        pytest.skip("no network namespace may be made here")

    def run(command: str, *, check: bool = True, **_options: Any) -> SimpleNamespace:
        if command.startswith("ping"):
            command = "true"  # who would answer?
        elif command.startswith(("stonith_admin", "cibadmin")):
            command = f"""echo '<nvpair id="a" name="ipaddr" value="{DEVICE}"/>'"""
        done = subprocess.run(
            ["nsenter", "-t", str(process.pid), "-n", "--", "sh", "-c", command],
            capture_output=True,
            text=True,
            check=False,
        )
        assert not check or done.returncode == 0, f"{command}: {done.stderr}"
        return SimpleNamespace(stdout=done.stdout, exit_code=done.returncode)

    try:
        for link in (Link.DRBD, Link.MGMT, Link.FENCE):
            address = TOPOLOGY.machine("alpha").card(link).address
            run(f"ip link add {link} type veth peer name to-{link}; ip link set to-{link} up")
            run(f"ip link set {link} up mtu 1400; ip address add {address}/24 brd + dev {link}")
        gateway = TOPOLOGY.host_address(Link.MGMT)
        run(f"ip route add default via {gateway} dev mgmt proto static")
        machine = SimpleNamespace(guest=SimpleNamespace(run=run), running=lambda: True)
        lab = SimpleNamespace(topology=TOPOLOGY, machines={"alpha": machine}, nodes=[machine])
        yield cast("Lab", lab)
    finally:
        process.kill()
        process.wait()


def told(node: Lab, command: str) -> str:
    return str(node.machines["alpha"].guest.run(command).stdout)


@pytest.mark.parametrize("link", [Link.DRBD, Link.MGMT])
def test_ifdown_takes_what_ifup_gives_back(node: Lab, link: Link) -> None:
    before = {what: told(node, f"ip -4 {what} show") for what in ("address", "route")}
    fault = InterfaceDown("alpha", link)
    assert fault.bitten(node) == ""
    fault.inject(node)
    assert fault.bitten(node) == f"{link} of alpha is down and has no address"
    assert fault.healed(node) == ""
    assert ("default" in told(node, "ip route show")) == (link is Link.DRBD)
    fault.heal(node)
    assert fault.healed(node).startswith(f"{link} of alpha has ")
    assert fault.bitten(node) == ""
    assert {what: told(node, f"ip -4 {what} show") for what in ("address", "route")} == before
    assert "mtu 1400" in told(node, f"ip link show {link}")


def test_a_node_without_a_way_reaches_no_fence_device(node: Lab) -> None:
    fault = FenceUnreachable(("alpha",))
    before = told(node, "ip route show")
    fault.prepare(node)
    fault.inject(node)
    assert fault.gone(node) == f"no way to {DEVICE} from alpha"
    assert "unreachable" in told(node, f"ip route get {DEVICE} 2>&1; true").lower() or (
        "No route to host" in told(node, f"ip route get {DEVICE} 2>&1; true")
    )
    fault.heal(node)
    assert fault.gone(node) == ""
    give_way_back(node, "alpha")
    assert told(node, "ip route show") == before
