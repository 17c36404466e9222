"""The fence device: a real fence_virtd inside the lab, listening on the fence link."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from harness.lab.topology import Link, Topology

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from harness.lab.host import PrivateHost

PORT = 1229


def start_fence_device(host: PrivateHost, topology: Topology) -> subprocess.Popen[bytes]:
    """Start fence_virtd with the lab's key (``fence.key``); its log is ``fence.log``."""
    config = f"""\
fence_virtd {{ listener = "tcp"; backend = "libvirt"; }}
listeners {{ tcp {{
    address = "{topology.host_address(Link.FENCE)}"; port = "{PORT}"; family = "ipv4";
    hash = "sha256"; auth = "sha256"; key_file = "/run/lab/fence.key";
}} }}
backends {{ libvirt {{ uri = "qemu:///system"; }} }}
"""
    path: Path = host.folder / "fence_virt.conf"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        file.write(config)
    # stdbuf: its log is a witness, so each line has to leave its buffer at once.
    command = [
        "stdbuf",
        "-oL",
        "-eL",
        "fence_virtd",
        "-F",
        "-d",
        "5",
        "-f",
        "/run/lab/fence_virt.conf",
    ]
    return host.spawn([*command, "-p", "/run/fence_virtd.pid"], "fence")
