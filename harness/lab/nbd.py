"""NBD servers (nbdkit) beside a machine's backing disks: what QEMU's own drivers cannot do.

All that belongs to a server lies beside the disk it is for, ``NAME-RESOURCE.ENDING``: its socket
(``nbd`` of a volatile cache, ``errors-nbd`` of a failing disk), its PID (the same with ``-pid``),
and what its filters read and write.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.errors import HarnessError
from harness.lab.topology import RESOURCES
from harness.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from harness.lab.machine import Machine

_DEADLINE_S = 30.0
# By server: what belongs to it.
_FILES = {
    "nbd": ("nbd", "nbd-pid", "volatile.qcow2", "log"),
    "errors-nbd": ("errors-nbd", "errors-nbd-pid", "errors"),
}


def inside(machine: Machine, resource: str, ending: str = "qcow2") -> str:
    """A file beside the machine's backing disk of ``resource``, as the lab's daemons see it."""
    return f"{machine.host.lab_path}/disks/{machine.name}-{resource}.{ending}"


def outside(machine: Machine, resource: str, ending: str = "qcow2") -> Path:
    """The same file as this process sees it."""
    return machine.host.folder / "disks" / f"{machine.name}-{resource}.{ending}"


def need_private_lab(machine: Machine, what: str) -> None:
    """An existing daemon's QEMU may not use our sockets, and nothing may outlive a lab there.

    Raises:
        HarnessError: the VMs are an existing daemon's.
    """
    if not machine.host.private:
        raise HarnessError(f"{what} need a private lab", hint="run this scenario without --connect")


def serve(machine: Machine, resource: str, name: str, arguments: list[str]) -> dict[str, str]:
    """Start nbdkit for one disk and wait until it listens.

    Args:
        name: of the server, ``nbd`` or ``errors-nbd``: the ending of its socket.
        arguments: nbdkit's: filters, plugin and their parameters.

    Returns:
        its address, as QEMU's nbd driver wants it (SocketAddress of qemu-qmp-ref(7)).

    Raises:
        HarnessError: it does not listen; nbdkit may not be installed.
    """
    socket, pid = inside(machine, resource, name), inside(machine, resource, f"{name}-pid")
    scratch = f"{machine.host.lab_path}/disks"
    machine.host.spawn(
        ["env", f"TMPDIR={scratch}", "nbdkit", "--foreground", "--unix", socket,
         "--pidfile", pid, *arguments],
        "nbdkit",
    )  # fmt: skip
    ready = outside(machine, resource, f"{name}-pid")
    try:
        wait_until(
            "nbdkit serves",
            lambda: "" if ready.exists() else f"the server of {resource}",
            deadline_s=_DEADLINE_S,
        )
    except HarnessError as error:
        raise HarnessError(
            f"no NBD server: {error.message}",
            hint=f"apt-get install nbdkit; its words are in {machine.host.folder}/nbdkit.log",
        ) from error
    return {"type": "unix", "path": socket}


def end_servers(machine: Machine, *names: str) -> None:
    """kill -9 of the machine's servers of these names (of all), as far as there are any."""
    for resource in RESOURCES:
        for name in names or _FILES:
            pid = inside(machine, resource, f"{name}-pid")
            machine.host.run("sh", "-c", f'test ! -e {pid} || kill -9 "$(cat {pid})" || true')


def remove_files(machine: Machine, *names: str) -> bool:
    """Remove what belongs to the servers of these names (of all); whether there was anything."""
    there = False
    for resource in RESOURCES:
        for name in names or _FILES:
            for ending in _FILES[name]:
                path = outside(machine, resource, ending)
                there = there or path.exists()
                path.unlink(missing_ok=True)
    return there
