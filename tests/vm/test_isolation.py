"""Nobody outside of the lab's namespaces can reach a guest, the fence device or libvirt."""

from __future__ import annotations

import ipaddress
import os
import re
import stat
import subprocess
from typing import TYPE_CHECKING

import pytest

from harness.lab.fencing import signal_fence_device, start_fence_device
from harness.lab.lab import Lab
from harness.lab.paths import default_cache
from harness.lab.topology import Link
from harness.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from harness.lab.labhost import LabHost

pytestmark = pytest.mark.vm


@pytest.fixture
def lab() -> Iterator[Lab]:
    """An empty lab: its host, bridges and daemons, without VMs."""
    made = Lab.create(default_cache())
    try:
        yield made
    finally:
        made.destroy()


def test_the_lab_has_no_way_out_and_the_host_none_in(lab: Lab) -> None:
    """Read from both namespaces' tables; nothing is sent anywhere."""
    outside = subprocess.run(["ip", "-o", "-4", "addr"], capture_output=True, text=True, check=True)
    routes = subprocess.run(["ip", "route"], capture_output=True, text=True, check=True).stdout
    links = os.listdir("/sys/class/net")
    for link in Link:
        net = ipaddress.ip_network(f"{lab.topology.subnet(link)}.0/24")
        assert lab.topology.bridge(link) not in links
        for found in re.findall(r"\d+\.\d+\.\d+\.\d+", outside.stdout):
            assert ipaddress.ip_address(found) not in net
        assert not re.search(rf"^{re.escape(str(net))}", routes, re.MULTILINE)
    # Inside there is no interface but the lab's own, hence no route to anywhere else.
    inside = lab.host.run("ip", "-o", "link")
    names = {line.split(": ")[1].split("@")[0] for line in inside.splitlines()}
    assert names == {"lo", *(lab.topology.bridge(link) for link in Link)}
    assert "default" not in lab.host.run("ip", "route")


def test_libvirt_and_the_fence_device_listen_only_inside(lab: Lab) -> None:
    """libvirtd on a unix socket only; fence_virtd on the fence link's address only."""
    (lab.folder / "fence.key").write_bytes(os.urandom(64))
    before = _tcp_listeners(None)
    _start_fence_device(lab)
    try:
        inside = _tcp_listeners(lab.host)
        assert inside == {f"{lab.topology.host_address(Link.FENCE)}:1229"}
        assert _tcp_listeners(None) == before
    finally:
        signal_fence_device(lab.host, "KILL")


def _start_fence_device(lab: Lab) -> None:
    start_fence_device(lab.host)
    wait_until(
        "fence_virtd listens",
        lambda: "" if _tcp_listeners(lab.host) else "a listener",
        deadline_s=20,
        interval_s=0.1,
    )


def _tcp_listeners(host: LabHost | None) -> set[str]:
    command = ["ss", "-H", "-l", "-t", "-n"]
    if host is not None:
        text = host.run(*command)
    else:
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return {line.split()[3] for line in text.splitlines()}


def test_only_root_reads_keys_sockets_and_disks(lab: Lab) -> None:
    """The lab's folder is closed, and what is secret in it is so by itself as well."""
    assert _mode(lab.folder) == 0o700
    assert _mode(lab.folder / "sockets" / "libvirt-sock") == 0o700
    for entry in default_cache().clusters.glob("*"):
        assert _mode(entry) == 0o700
        for path in (entry / "secrets.json", *(entry / "disks").iterdir()):
            assert _mode(path) == 0o600, path


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)
