"""A lab: one host with its machines, its name leased, its folder under the cache.

A lab belongs to the process that made it (it holds the lab's lock) unless it was kept on purpose;
whatever is neither owned nor kept is garbage (harness.lab.gc).
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from functools import partial
from typing import TYPE_CHECKING

from harness.errors import HarnessError
from harness.evidence.files import read_json, write_json
from harness.evidence.timeline import Channel
from harness.evidence.witness import Stream
from harness.lab import snapshot
from harness.lab.elsewhere import is_elsewhere
from harness.lab.fencing import start_fence_device
from harness.lab.host import PrivateHost, kill_warden, read_warden
from harness.lab.lease import Lease, try_lease
from harness.lab.machine import STREAMS, Machine, domain_xml, in_parallel
from harness.lab.remote import RemoteHost
from harness.lab.remote_objects import is_remote, remove_remote
from harness.lab.shape import Shape
from harness.lab.shared import SharedHost, connect_to_host_of, is_shared, remove_shared
from harness.lab.topology import BACKING_BYTES, RESOURCES, Link, Role
from harness.remote.ssh import Guest

if TYPE_CHECKING:
    from pathlib import Path

    from harness.lab.labhost import LabHost
    from harness.lab.paths import Cache


def end_host(folder: Path) -> None:
    """End the host of the lab in ``folder``, whichever kind, whatever state it is in.

    Raises:
        MissingEnvironmentError: the existing daemon, or the other host, that it was on refuses, so
            nothing was removed.
    """
    if is_remote(folder):
        remove_remote(folder)
    elif is_shared(folder):
        remove_shared(folder)
    else:
        kill_warden(folder)


def attach_host(cache: Cache, folder: Path) -> LabHost:
    """The running host of the lab in ``folder``.

    Raises:
        HarnessError: nothing runs there, or its daemon refuses.
    """
    if is_remote(folder):
        return RemoteHost.attach(folder)
    return SharedHost.attach(folder, cache) if is_shared(folder) else PrivateHost.attach(folder)


def start_host(cache: Cache, folder: Path, connect: str) -> LabHost:
    """An empty host for the lab in the existing, empty ``folder``.

    Raises:
        HarnessError: it does not start.
    """
    if connect and is_elsewhere(connect):
        return RemoteHost.start(folder, cache, connect)
    if connect:
        return SharedHost.start(folder, cache, connect)
    return PrivateHost.start(folder, cache)


def host_runs(folder: Path) -> bool:
    """Whether the lab in ``folder`` can be attached to."""
    if is_remote(folder):
        try:
            RemoteHost.attach(folder).elsewhere.close()
        except HarnessError:
            return False
        return True
    if is_shared(folder):
        try:
            connect_to_host_of(folder).close()
        except HarnessError:
            return False
        return True
    warden = read_warden(folder)
    return warden is not None and warden.alive()


_MOST_LABS = 32
KEPT = "kept.json"
SHAPE = "shape.json"
"""What the cluster of a lab is like, for whoever attaches to it."""


class Lab:
    """A running lab. Use ``Lab.create`` or ``Lab.attach``, and ``destroy`` at the end."""

    def __init__(self, cache: Cache, folder: Path, host: LabHost, lease: Lease) -> None:
        self.cache = cache
        self.folder = folder
        self.host = host
        self.topology = host.topology
        if told := read_json(folder / SHAPE):
            try:
                self._shape(Shape.of(told))
            except ValueError as error:
                raise HarnessError(
                    f"{folder.name}: {error}", hint="another version made it: harness down"
                ) from error
        self.machines: dict[str, Machine] = {}
        self._lease = lease

    def _shape(self, shape: Shape) -> None:
        self.topology = dataclasses.replace(self.topology, shape=shape)
        # Cards may depend on it.
        self.host.topology = self.topology

    def take_shape(self, shape: Shape) -> None:
        """Note what the cluster that is, or will be, formed here is like."""
        write_json(self.folder / SHAPE, shape.told())
        self._shape(shape)

    @property
    def name(self) -> str:
        """The leased name."""
        return self.folder.name

    @classmethod
    def create(cls, cache: Cache, connect: str = "") -> Lab:
        """Lease a name and start an empty host under it.

        Args:
            cache: where labs live.
            connect: URI of an existing libvirt daemon, here or on another host; empty for a private
                one.

        Raises:
            HarnessError: no name is free, or the host does not start.
        """
        for number in range(_MOST_LABS):
            folder = cache.labs / f"lab{number}"
            lease = try_lease(cache.leases / f"{folder.name}.lock")
            if lease is None:
                continue
            if folder.exists():
                # Kept on purpose, or left by a run that was killed: gc decides, not we.
                lease.release()
                continue
            folder.mkdir(parents=True, mode=0o700)
            try:
                return cls(cache, folder, start_host(cache, folder, connect), lease)
            except BaseException:
                end_host(folder)
                shutil.rmtree(folder, ignore_errors=True)
                lease.release()
                raise
        raise HarnessError(
            f"all {_MOST_LABS} lab names are in use", hint="harness gc removes abandoned labs"
        )

    @classmethod
    def attach(cls, cache: Cache, name: str) -> Lab:
        """Take over a kept lab.

        Raises:
            HarnessError: there is none of that name, or another process uses it.
        """
        folder = cache.labs / name
        if not folder.is_dir():
            raise HarnessError(f"no lab called {name}", hint="harness status lists the labs")
        lease = try_lease(cache.leases / f"{name}.lock")
        if lease is None:
            raise HarnessError(f"{name} is in use by another run", hint="wait for it, or end it")
        try:
            return cls(cache, folder, attach_host(cache, folder), lease)
        except BaseException:
            lease.release()
            raise

    def open_machines(self, private_key: str, host_keys: dict[str, tuple[str, str]]) -> None:
        """Make the machines' handles; the domains may not be defined yet."""
        for plan in self.topology.machines:
            address = plan.card(Link.CONTROL).address
            guest = Guest(
                plan.name,
                partial(self.host.socket_to, address, 22),
                private_key,
                host_keys[plan.name][1],
            )
            self.machines[plan.name] = Machine(plan, self.host, guest)

    @property
    def nodes(self) -> list[Machine]:
        """The two cluster nodes."""
        return [m for m in self.machines.values() if m.plan.role is Role.NODE]

    @property
    def initiator(self) -> Machine:
        """The iSCSI initiator."""
        return self.machines[self.topology.initiator.name]

    def streams(self) -> list[Stream]:
        """The witness streams of all machines, not connected yet."""
        return [
            Stream(machine.name, channel, partial(self.host.dial, f"{machine.name}-{channel}"))
            for machine in self.machines.values()
            for channel in (Channel.CONSOLE, *map(Channel, STREAMS[machine.plan.role]))
        ]

    def make_disks(self, image_key: str) -> None:
        """Fresh overlay and backing disks for every machine."""
        base = f"{self.host.cache_path}/images/{image_key}/base.qcow2"
        for plan in self.topology.machines:
            root = f"{self.host.lab_path}/disks/{plan.name}-root.qcow2"
            self.host.run(
                "qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "qcow2", root
            )
            if plan.role is Role.NODE:
                for resource in RESOURCES:
                    path = f"{self.host.lab_path}/disks/{plan.name}-{resource}.qcow2"
                    self.host.run(
                        "qemu-img", "create", "-q", "-f", "qcow2", path, str(BACKING_BYTES)
                    )
        for disk in (self.folder / "disks").iterdir():
            disk.chmod(0o600)

    def define(self, accelerator: str, image_key: str) -> None:
        """Define all domains, persistent: fencing has to find a domain that was killed."""
        for machine in self.machines.values():
            xml = domain_xml(machine.plan, self.host, accelerator, image_key)
            self.host.connection.defineXML(xml)

    def fit_guests(self) -> None:
        """Change what seeds brought to the guests, before the cluster reads it: nothing here."""

    def power_on_all(self) -> None:
        """Start every machine."""
        in_parallel({m.name: m.power_on for m in self.machines.values()})

    def start_fence_device(self) -> None:
        """Start fence_virtd on the fence link."""
        start_fence_device(self.host)

    def revert(self, name: str = snapshot.HEALTHY) -> None:
        """Put all machines back to a snapshot."""
        snapshot.revert(list(self.machines.values()), name)

    def keep(self, why: str) -> None:
        """Let the lab outlive this process; ``harness down`` ends it."""
        note = {"why": why, "uri": self.host.uri}
        (self.folder / KEPT).write_text(json.dumps(note), encoding="utf-8")
        self._close_guests()
        self._lease.release()

    def destroy(self) -> None:
        """End the lab and remove its folder; never raises for what is gone already."""
        self._close_guests()
        self.host.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
        self._lease.release()

    def _close_guests(self) -> None:
        """Threads may wait for them still, and Python waits for its threads when it ends."""
        for machine in self.machines.values():
            machine.guest.close()
