"""QEMU's own monitor, for what libvirt has no word for (qemu-qmp-ref(7))."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import libvirt
import libvirt_qemu

from harness.errors import HarnessError

if TYPE_CHECKING:
    from harness.lab.machine import Machine


def ask(machine: Machine, command: str, arguments: dict[str, Any]) -> Any:
    """One QMP command of the machine's QEMU; returns what it answered.

    Raises:
        HarnessError: QEMU refused, or the machine does not run.
    """
    text = json.dumps({"execute": command, "arguments": arguments})
    try:
        answer = json.loads(libvirt_qemu.qemuMonitorCommand(machine.domain, text, 0))
    except libvirt.libvirtError as error:
        raise HarnessError(f"QEMU of {machine.name}: {command}: {error}") from error
    if "error" in answer:
        raise HarnessError(f"QEMU of {machine.name}: {command}: {answer['error'].get('desc')}")
    return answer["return"]


def guest_node(machine: Machine, path: str) -> str:
    """Name of the block node that a disk of the guest is on: the format's, above the file.

    Args:
        path: of the disk's image, as QEMU sees it.

    Raises:
        HarnessError: no disk of the machine is on that image.
    """
    for device in ask(machine, "query-block", {}):
        inserted = device.get("inserted", {})
        if inserted.get("file") == path:
            return str(inserted["node-name"])
    raise HarnessError(f"{machine.name} has no disk {path}")


def file_node(machine: Machine, path: str) -> str:
    """Name of the block node that is the image's file itself, below the format.

    Raises:
        HarnessError: QEMU has no such file open.
    """
    for node in ask(machine, "query-named-block-nodes", {"flat": True}):
        if node.get("drv") == "file" and node.get("file") == path:
            return str(node["node-name"])
    raise HarnessError(f"QEMU of {machine.name} has no file {path}")
