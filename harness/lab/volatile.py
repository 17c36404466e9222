"""Disks with a volatile write cache: what the guest did not flush is gone when its power is.

QEMU's own disks lie in files of the host, whose page cache outlives a killed QEMU: what was written
to clusters that the image has already is there after a power cut. So each disk gets an overlay
(qcow2) behind an NBD server,
``nbdkit --filter=cache cache=writeback``, which holds writes in a scratch file until a flush comes
(nbdkit-cache-filter(1)). A power cut kills both; what the server had not written yet is lost, and
the overlay is merged into the disk. ``--filter=log`` in front of it tells what was asked for.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.errors import HarnessError
from harness.lab.nbd import end_servers, inside, need_private_lab, outside, remove_files, serve
from harness.lab.qmp import ask, guest_node
from harness.lab.topology import BACKING_BYTES, RESOURCES
from harness.waiting import wait_until

if TYPE_CHECKING:
    from harness.lab.machine import Machine

# An NBD export cannot grow, a qcow2 file does: room for all data and the image's own tables.
_OVERLAY_BYTES = BACKING_BYTES + (64 << 20)
_SERVER = "nbd"
# nbdkit-log-filter(1): a request's line, and the line of its answer, which has dots before it.
_REQUEST = re.compile(r" connection=\d+ (?P<op>Write|Zero|Trim|Flush) id=")
_WRITTEN_THROUGH = " fua=1"


@dataclass(frozen=True, slots=True)
class Traffic:
    """What went through a volatile cache.

    Attributes:
        writes: requests that change data.
        flushes: requests to make it last.
        unflushed: writes that were asked for after the last flush and not written through.
    """

    writes: int
    flushes: int
    unflushed: int


def parse_traffic(text: str) -> Traffic:
    """The log of ``nbdkit --filter=log`` (nbdkit-log-filter(1)); a torn last line is left out."""
    writes = flushes = unflushed = 0
    for line in text.splitlines():
        request = _REQUEST.search(line)
        if request is None:
            continue
        if request["op"] == "Flush":
            flushes += 1
            unflushed = 0
            continue
        writes += 1
        unflushed += _WRITTEN_THROUGH not in line
    return Traffic(writes, flushes, unflushed)


class VolatileDisks:
    """The backing disks of a machine that runs, with volatile write caches.

    Everything lies beside the disks: ``NAME-RESOURCE.volatile.qcow2`` and the server's socket,
    PID and log.
    """

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._host = machine.host
        self.lost: dict[str, Traffic] = {}
        """By resource, once the power was cut: what went through, and what of it was lost."""

    def attach(self) -> None:
        """Put a cache before every backing disk of the running machine.

        Raises:
            HarnessError: nbdkit is not installed, QEMU refused, or the lab is not a private one.
        """
        need_private_lab(self._machine, "volatile caches")
        for resource in RESOURCES:
            overlay = inside(self._machine, resource, "volatile.qcow2")
            disk = inside(self._machine, resource)
            run = self._host.run
            run("qemu-img", "create", "-q", "-f", "qcow2", "-b", disk, "-F", "qcow2", overlay)
            run("truncate", "-s", str(_OVERLAY_BYTES), overlay)
            server = self._serve(resource, overlay)
            below = {"driver": "nbd", "server": server, "export": ""}
            name = f"volatile-{resource}"
            node = guest_node(self._machine, disk)
            self._ask(
                "blockdev-add",
                {"node-name": name, "driver": "qcow2", "file": below, "backing": None},
            )
            self._ask("blockdev-snapshot", {"node": node, "overlay": name})

    def attached(self) -> bool:
        """Whether the guest's disks are the overlays now.

        Raises:
            HarnessError: QEMU does not say: neither that they are nor that they are not.
        """
        nodes = {one["inserted"]["node-name"] for one in self._ask("query-block", {})
                 if "inserted" in one}  # fmt: skip
        return nodes >= {f"volatile-{resource}" for resource in RESOURCES}

    def traffic(self) -> dict[str, Traffic]:
        """What went through the caches so far, by resource."""
        return {
            r: parse_traffic(outside(self._machine, r, "log").read_text("utf-8")) for r in RESOURCES
        }

    def wait_unflushed(self, deadline_s: float = 10.0) -> None:
        """Wait until some disk has writes that it has not flushed: a cut then loses something.

        Returns at the deadline too: then nothing was lost, which the proof tells.
        """
        with contextlib.suppress(HarnessError):
            wait_until(
                "writes that are not flushed",
                lambda: "" if any(t.unflushed for t in self.traffic().values()) else "any",
                deadline_s=deadline_s,
                interval_s=0.005,
            )

    def lose(self) -> None:
        """The power is gone: end the servers with what they hold, and merge what was flushed.

        Call it when QEMU is dead.
        """
        self._end_servers()
        self.lost = self.traffic()
        for resource in RESOURCES:
            overlay = inside(self._machine, resource, "volatile.qcow2")
            self._host.run("qemu-img", "commit", "-q", "-f", "qcow2", overlay)
        remove_files(self._machine, _SERVER)

    def detach(self) -> None:
        """Merge everything while the machine runs, as if there had been no caches.

        Raises:
            HarnessError: QEMU refused.
        """
        for resource in RESOURCES:
            job = {"job-id": f"merge-{resource}", "device": f"volatile-{resource}"}
            self._ask("block-commit", job)
        wait_until("the disks are merged", self._unmerged, deadline_s=120, interval_s=0.5)
        for resource in RESOURCES:
            self._ask("job-complete", {"id": f"merge-{resource}"})
        wait_until(
            "the disks are the plain ones",
            lambda: "block jobs" if self._ask("query-block-jobs", {}) else "",
            deadline_s=60,
        )
        for resource in RESOURCES:
            self._ask("blockdev-del", {"node-name": f"volatile-{resource}"})
        self._end_servers()
        remove_files(self._machine, _SERVER)

    def _unmerged(self) -> str:
        jobs = self._ask("query-block-jobs", {})
        return ", ".join(job["device"] for job in jobs if not job["ready"])

    def _serve(self, resource: str, overlay: str) -> dict[str, str]:
        log = inside(self._machine, resource, "log")
        return serve(
            self._machine, resource, _SERVER,
            ["--filter=log", "--filter=cache", "file", overlay, "cache=writeback",
             "cache-min-block-size=4096", f"logfile={log}"],
        )  # fmt: skip

    def _end_servers(self) -> None:
        end_servers(self._machine, _SERVER)

    def _ask(self, command: str, arguments: dict[str, Any]) -> Any:
        return ask(self._machine, command, arguments)
