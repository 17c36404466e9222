"""All witnesses of one lab: virtio-serial streams, libvirt events, fence_virtd's log, the VIP.

They run for the lab's whole life; ``switch`` points them to the timeline of the scenario that
is running, and what arrives between scenarios is dropped.
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any

import libvirt

from harness.evidence.timeline import Channel, TimelineWriter
from harness.evidence.witness import Witnesses
from harness.lab.vcpus import CpuWatch

if TYPE_CHECKING:
    from harness.lab.lab import Lab

# virDomainEventType (libvirt-domain.h)
_EVENTS = (
    "defined",
    "undefined",
    "started",
    "suspended",
    "resumed",
    "stopped",
    "shutdown",
    "pmsuspended",
    "crashed",
)
# virDomainEventStoppedDetailType
_STOPPED = ("shutdown", "destroyed", "crashed", "migrated", "saved", "failed", "from-snapshot")


class LabWitnesses:
    """Starts all witnesses of a lab; ``close`` ends them."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._writer: TimelineWriter | None = None
        self._machine = {m.plan.domain: m.name for m in lab.machines.values()}
        self._stop = threading.Event()
        self._streams = Witnesses(lab.streams(), self._add)
        self._callback = lab.host.connection.domainEventRegisterAny(
            None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, self._lifecycle, None
        )
        lab.host.connection.registerCloseCallback(self._libvirt_gone, None)
        self._vip = lab.host.watch_vip(
            lambda ip, mac: self._add("host", Channel.ARP, "claim", {"ip": ip, "mac": mac}),
            lambda reason: self._died(Channel.ARP, reason),
        )
        self._cpus = CpuWatch(
            lab.machines.values(),
            lambda name, sample: self._add(name, Channel.HOST, "cpu", {"threads": sample}),
            lambda reason: self._died(Channel.HOST, reason),
        )
        lab.host.when_cut_off(lambda reason: self._died(Channel.FENCE, reason))
        self._tail = threading.Thread(target=self._fence_log, name="fence-log", daemon=True)
        self._tail.start()

    def switch(self, writer: TimelineWriter | None) -> None:
        """Send what arrives from now on to ``writer``; None drops it."""
        self._writer = writer

    def close(self) -> None:
        """End all witnesses."""
        self._stop.set()
        self._cpus.close()
        self._vip.close()
        self._streams.close()
        with contextlib.suppress(libvirt.libvirtError):
            self._lab.host.connection.unregisterCloseCallback()
            self._lab.host.connection.domainEventDeregisterAny(self._callback)
        self._tail.join()

    def _add(self, source: str, channel: Channel, kind: str, data: dict[str, Any]) -> None:
        writer = self._writer
        if writer is not None:
            writer.add(source, channel, kind, data)

    def _died(self, channel: Channel, reason: str) -> None:
        """A witness on the host ended: from now on its silence proves nothing."""
        self._add("host", channel, "witness-died", {"reason": reason})

    def _libvirt_gone(self, _conn: object, reason: int, _opaque: object) -> None:
        # virConnectCloseReason (libvirt-host.h): error, end of file, keepalive, client.
        self._died(Channel.DOMAIN, f"the connection to libvirtd closed, reason {reason}")

    def _lifecycle(
        self, _conn: object, domain: libvirt.virDomain, event: int, detail: int, _opaque: object
    ) -> None:
        name = _EVENTS[event] if event < len(_EVENTS) else str(event)
        known = _STOPPED if name == "stopped" else ()
        text = known[detail] if detail < len(known) else str(detail)
        source = self._machine.get(domain.name(), domain.name())
        self._add(source, Channel.DOMAIN, "lifecycle", {"event": name, "detail": text})

    def _fence_log(self) -> None:
        try:
            self._follow_fence_log()
        except OSError as error:
            self._died(Channel.FENCE, str(error))

    def _follow_fence_log(self) -> None:
        path = self._lab.folder / "fence.log"
        position = path.stat().st_size if path.exists() else 0
        while not self._stop.wait(0.1):
            if not path.exists() or path.stat().st_size <= position:
                continue
            with path.open("rb") as file:
                file.seek(position)
                chunk = file.read()
            end = chunk.rfind(b"\n") + 1
            position += end
            for line in chunk[:end].decode("utf-8", "replace").splitlines():
                if line.strip():
                    self._add("host", Channel.FENCE, "line", {"text": line[:500]})
