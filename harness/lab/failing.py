"""Disks that return errors when they are told to.

A backing disk is an image file with two block nodes of QEMU on it: the format (qcow2), which the
guest's device is on, and below it the file. While the machine runs the file is taken out from under
the format and an NBD server put in its place, which serves the very same file through nbdkit's
error filter (nbdkit-error-filter(1)): each request is answered with EIO as long as a switch, a file
beside the disk, is there. QEMU hands such an error to the guest, which is its default for virtio
disks but for "no space" (``werror``, ``rerror`` of qemu(1)).

All data stays in the one image, whoever serves it. So a machine that loses its power meanwhile, or
is fenced, finds its disk as it left it, only that it is sound: unlike the overlays of a volatile
cache there is nothing to merge, and nothing that is missing from the plain disk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.errors import HarnessError
from harness.lab.nbd import end_servers, inside, need_private_lab, outside, remove_files, serve
from harness.lab.qmp import ask, file_node, guest_node
from harness.lab.topology import BACKING_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.lab.machine import Machine

_SERVER = "errors-nbd"
# An NBD export cannot grow, a qcow2 file does: room for the data twice (what a snapshot holds is
# not overwritten) and the image's own tables. A sparse end of the file costs nothing.
_IMAGE_BYTES = 3 * BACKING_BYTES + (64 << 20)
# As the domain has them (cache='none', discard='unmap'): a reopen resets what it does not name.
_OPTIONS = {"cache": {"direct": True, "no-flush": False}, "discard": "unmap"}


class FailingDisks:
    """Some of a running machine's backing disks, served so that they can be made to fail."""

    def __init__(self, machine: Machine, resources: Sequence[str]) -> None:
        self._machine = machine
        self._resources = tuple(resources)
        self._nodes: dict[str, tuple[str, str]] = {}  # by resource: format, file
        self._pid = 0

    def attach(self) -> None:
        """Put the servers under the disks; nothing fails yet.

        Raises:
            HarnessError: nbdkit is not installed, QEMU refused, or the lab is not a private one.
        """
        need_private_lab(self._machine, "failing disks")
        self._pid = self._machine.qemu_pid()
        for resource in self._resources:
            image = inside(self._machine, resource)
            switch = inside(self._machine, resource, "errors")
            nodes = guest_node(self._machine, image), file_node(self._machine, image)
            self._machine.host.run("truncate", "-s", f">{_IMAGE_BYTES}", image)
            server = serve(
                self._machine, resource, _SERVER,
                ["--filter=error", "file", image, "error-rate=100%", f"error-file={switch}"],
            )  # fmt: skip
            name = f"errors-{resource}"
            ask(
                self._machine,
                "blockdev-add",
                {"node-name": name, "driver": "nbd", "server": server, "export": "", **_OPTIONS},
            )
            self._nodes[resource] = nodes
            self._put_under(nodes[0], name)

    def switch(self, *, on: bool) -> None:
        """From now on every request fails, or none does."""
        for resource in self._resources:
            path = outside(self._machine, resource, "errors")
            if on:
                path.touch(mode=0o600)
            else:
                path.unlink(missing_ok=True)

    def in_use(self) -> bool:
        """Whether the QEMU that they were put under still runs: a new one uses the plain files."""
        try:
            return bool(self._nodes) and self._machine.qemu_pid() == self._pid
        except HarnessError:
            return False

    def detach(self) -> None:
        """Put the plain files back under the disks, if they are not there already.

        Raises:
            HarnessError: QEMU refused.
        """
        self.switch(on=False)
        if self.in_use():
            for resource, (format_node, file_below) in self._nodes.items():
                # It has grown behind this node's back, which would read zeros from beyond the end
                # that it knows. To the size that it has: nothing changes but what the node knows.
                size = outside(self._machine, resource).stat().st_size
                ask(self._machine, "block_resize", {"node-name": file_below, "size": size})
                self._put_under(format_node, file_below)
                ask(self._machine, "blockdev-del", {"node-name": f"errors-{resource}"})
        self._nodes.clear()
        end_servers(self._machine, _SERVER)
        remove_files(self._machine, _SERVER)

    def _put_under(self, format_node: str, below: str) -> None:
        """Let the image's format use another node for the file; QEMU drains and flushes before."""
        options = {
            "node-name": format_node, "driver": "qcow2", "read-only": False, "backing": None,
            "file": below, **_OPTIONS,
        }  # fmt: skip
        ask(self._machine, "blockdev-reopen", {"options": [options]})
