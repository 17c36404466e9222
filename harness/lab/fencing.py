"""The fence device: a real fence_virtd inside the lab, listening on the fence link."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from harness.lab.topology import Link

if TYPE_CHECKING:
    from pathlib import Path

    from harness.lab.labhost import LabHost

PORT = 1229
CONF = "fence_virt.conf"
_PID = "fence_virtd.pid"


def start_fence_device(host: LabHost) -> None:
    """Start fence_virtd with the lab's key (``fence.key``); its log is ``fence.log``."""
    config = f"""\
fence_virtd {{ listener = "tcp"; backend = "libvirt"; }}
listeners {{ tcp {{
    address = "{host.topology.host_address(Link.FENCE)}"; port = "{PORT}"; family = "ipv4";
    hash = "sha256"; auth = "sha256"; key_file = "{host.lab_path}/fence.key";
}} }}
backends {{ libvirt {{ uri = "{host.fence_uri}"; }} }}
"""
    path: Path = host.folder / CONF
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        file.write(config)
    host.publish(CONF)
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
        f"{host.lab_path}/{CONF}",
    ]
    host.spawn([*command, "-p", f"{host.lab_path}/{_PID}"], "fence")


def signal_fence_device(host: LabHost, name: str) -> None:
    """Send fence_virtd a signal, by name (``STOP``, ``CONT``).

    Raises:
        HarnessError: it does not run.
    """
    host.run("sh", "-c", f'kill -{name} "$(cat {host.lab_path}/{_PID})"')


def fence_device_state(host: LabHost) -> str:
    """State of fence_virtd's process as the kernel tells it (proc(5)); empty if it does not run."""
    script = f'grep ^State: "/proc/$(cat {host.lab_path}/{_PID})/status" || true'
    return host.run("sh", "-c", script).partition(":")[2].strip()
