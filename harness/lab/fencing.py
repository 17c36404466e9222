"""The fence device: a real fence_virtd inside the lab, listening on the fence link."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from harness.errors import HarnessError
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


# The PID that it noted, if that is it still: fence_virtd, started with this lab's configuration. An
# old file may hold a number that another process has now; to kill(1), -1 is everybody.
_OWN_PID = """\
pid=$(cat -- "$1" 2> /dev/null) || exit 0
case $pid in '' | 0* | *[!0-9]*) exit 0 ;; esac
test "$(cat "/proc/$pid/comm" 2> /dev/null)" = fence_virtd || exit 0
tr '\\0' '\\n' 2> /dev/null < "/proc/$pid/cmdline" | grep -qxF -e "$2" || exit 0
"""


def signal_fence_device(host: LabHost, name: str) -> None:
    """Send fence_virtd a signal, by name (``STOP``, ``CONT``).

    Raises:
        HarnessError: this lab's does not run.
    """
    if _of_own(host, f'kill -{name} "$pid" && echo done') != "done":
        raise HarnessError(
            f"the lab's fence_virtd does not run: {host.lab_path}/{_PID} is none of it",
            hint="its words are in fence.log of the lab",
        )


def fence_device_state(host: LabHost) -> str:
    """State of fence_virtd's process as the kernel tells it (proc(5)); empty if it does not run."""
    return _of_own(host, 'grep ^State: "/proc/$pid/status" || true').partition(":")[2].strip()


def _of_own(host: LabHost, then: str) -> str:
    """What a shell says that does something with ``$pid``; nothing where it does not run."""
    files = f"{host.lab_path}/{_PID}", f"{host.lab_path}/{CONF}"
    return host.run("sh", "-c", _OWN_PID + then, "sh", *files).strip()
