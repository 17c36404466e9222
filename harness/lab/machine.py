"""One VM of the lab: its domain, its power, its links' carrier."""

from __future__ import annotations

import os
import select
import signal
import threading
from typing import TYPE_CHECKING

import libvirt
from jinja2 import Environment, PackageLoader, StrictUndefined
from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from harness.errors import HarnessError
from harness.lab.topology import MTU, RESOURCES, Link, MachinePlan, Role

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.lab.labhost import LabHost
    from harness.lab.volatile import VolatileDisks
    from harness.remote.ssh import Guest

# Streams over virtio-serial, besides the console; names of the ports in the guest.
STREAMS = {Role.NODE: ("journal", "events2"), Role.INITIATOR: ("journal", "progress", "block")}

# Kernel parameters that only an emulated guest gets. QEMU translates a code page once per
# virtual address: with random addresses every process is translated anew, and a page that many
# processes ran carries a list of translations so long that clearing it (a byte at a time, a walk
# of the list each) held a CPU for seconds, ten of them together, and a node was fenced for it.
# A page walk of five levels only costs time. docs/measurements.md has the figures.
EMULATED_PARAMETERS = ("norandmaps", "no5lvl")
# An emulated node has one CPU. With two, QEMU 7.2 may keep a stale translation where one CPU
# patches code that the other one is just translating. The kernel patches itself whenever a packet
# filter or a time stamp on packets comes or goes, which portblock and ping do: both CPUs then hit,
# for ever, a breakpoint that is no longer there, and the node was fenced. docs/measurements.md has
# the registers.
_NODE_CPUS = {"kvm": 2, "qemu": 1}
# … and every emulated guest has a slot for one CPU more, which stays empty. For a machine that can
# never have a second CPU, QEMU leaves out memory barriers and the atomicity of atomic instructions
# (accel/tcg: CF_PARALLEL is "max_cpus > 1"). Its device threads run beside the CPU all the same,
# and a notification is lost: a node's card then sent nothing more ("transmit queue 0 timed out").
_EMULATED_SLOTS = 2
_DEATH_S = 20.0  # a killed process has to end, and to let go of its disks
# CPU features that an emulated guest is better off without: with "fast" string instructions kernel
# and libc clear and copy byte by byte, which is what QEMU then does; else eight at a time.
EMULATED_WITHOUT = ("erms", "fsrm")


def guest_disk(resource: str) -> str:
    """Name of a resource's backing disk in its node, for libvirt and for the guest's kernel.

    The root is ``vda``; the kernel names virtio disks in the order of their slots, which is that
    of the domain's XML.
    """
    return f"vd{'bcd'[RESOURCES.index(resource)]}"


def domain_xml(plan: MachinePlan, host: LabHost, accelerator: str, image_key: str) -> str:
    """libvirt domain XML of a machine; paths are those that the host's daemon sees."""
    topology, lab = host.topology, host.lab_path
    disks = [
        {
            "format": "qcow2",
            "path": f"{lab}/disks/{plan.name}-root.qcow2",
            "target": "vda",
            "serial": "root",
            "readonly": False,
        }
    ]
    if plan.role is Role.NODE:
        disks += [
            {
                "format": "qcow2",
                "path": f"{lab}/disks/{plan.name}-{resource}.qcow2",
                "target": guest_disk(resource),
                "serial": resource,
                "readonly": False,
            }
            for resource in RESOURCES
        ]
    disks.append(
        {
            "format": "raw",
            "path": f"{lab}/disks/{plan.name}-seed.img",
            "target": "vde" if plan.role is Role.NODE else "vdb",
            "serial": "seed",
            "readonly": True,
        }
    )
    environment = Environment(
        loader=PackageLoader("harness.lab"), undefined=StrictUndefined, autoescape=True
    )
    kind = "kvm" if accelerator == "kvm" else "qemu"
    return environment.get_template("domain.xml.j2").render(
        plan=plan,
        accelerator=kind,
        parameters=() if kind == "kvm" else EMULATED_PARAMETERS,
        without=EMULATED_WITHOUT,
        vcpus=_NODE_CPUS[kind] if plan.role is Role.NODE else 1,
        slots=_EMULATED_SLOTS,
        image=f"{host.cache_path}/images/{image_key}",
        disks=disks,
        bridge=topology.bridge,
        mtu=MTU,
        sockets=f"{lab}/ch",
        consoles=f"{lab}/console",
        streams=STREAMS[plan.role],
    )


class Machine:
    """A VM: its plan, its domain and its command line."""

    def __init__(self, plan: MachinePlan, host: LabHost, guest: Guest) -> None:
        self.plan = plan
        self.host = host
        self.guest = guest
        self.volatile: VolatileDisks | None = None

    @property
    def name(self) -> str:
        """The machine's name in features and in the cluster."""
        return self.plan.name

    @property
    def domain(self) -> libvirt.virDomain:
        """The libvirt domain.

        Raises:
            HarnessError: it is not defined.
        """
        try:
            return self.host.connection.lookupByName(self.plan.domain)
        except libvirt.libvirtError as error:
            raise HarnessError(f"no domain {self.plan.domain}: {error}") from error

    def running(self) -> bool:
        """Whether the domain is active (paused counts)."""
        return bool(self.domain.isActive())

    def paused(self) -> bool:
        """Whether its CPUs are paused (not: whether it is off)."""
        return bool(self.domain.state()[0] == libvirt.VIR_DOMAIN_PAUSED)

    def pause(self) -> None:
        """Let its CPUs stand still."""
        self.domain.suspend()

    def resume(self) -> None:
        """Let its CPUs go on."""
        self.domain.resume()

    def power_on(self) -> None:
        """Start the domain unless it runs already."""
        if not self.running():
            self.guest.forget()
            try:
                self.domain.create()
            except libvirt.libvirtError as error:
                raise HarnessError(
                    f"{self.name} cannot be powered on: {error}",
                    hint=f"QEMU's log: {self.host.qemu_logs}",
                ) from error

    def qemu_pid(self) -> int:
        """The host's PID of this domain's QEMU.

        Raises:
            HarnessError: the domain does not run.
        """
        pid = self.host.qemu_pid(self.plan.domain)
        if pid is None:
            raise HarnessError(f"{self.name} has no QEMU process: it is powered off")
        return pid

    def kill(self) -> int:
        """kill -9 QEMU: a power cut as the guest sees it. Returns the PID that was killed.

        Nothing is flushed, unlike virDomainDestroy, which sends SIGTERM first. What the guest
        flushed is there afterwards; of the rest, what lies in clusters that the image had already
        (docs/architecture.md), unless its disks have a volatile cache (harness.lab.volatile).
        """
        pid = self.qemu_pid()
        if self.volatile is None:
            self.host.kill(pid)
            self.guest.forget()
            return pid
        fd = os.pidfd_open(pid)
        try:
            self.volatile.wait_unflushed()
            signal.pidfd_send_signal(fd, signal.SIGKILL)
            # A pidfd is readable once its process has ended: pidfd_open(2).
            select.select([fd], [], [], _DEATH_S)
        finally:
            os.close(fd)
        self.volatile.lose()
        self.volatile = None
        self.guest.forget()
        return pid

    def wait_off(self, deadline_s: float = 30.0) -> None:
        """Wait until libvirt knows that the domain is off.

        Raises:
            HarnessError: it still runs after ``deadline_s`` seconds.
        """
        retrying = Retrying(
            stop=stop_after_delay(deadline_s),
            wait=wait_fixed(0.05),
            retry=retry_if_result(bool),
            retry_error_callback=lambda _state: True,
        )
        if retrying(self.running):
            raise HarnessError(f"{self.name} still runs {deadline_s:.0f} s after it was killed")

    def reset(self) -> None:
        """Press the reset button."""
        self.guest.forget()
        self.domain.reset()

    def set_carrier(self, link: Link, up: bool) -> None:
        """Plug the cable of one card in or out; the guest sees its carrier change.

        In the definition too: a cable stays out when fencing destroys and starts the domain.

        Raises:
            KeyError: the machine has no card on that link.
        """
        card = self.plan.card(link)
        xml = (
            f"<interface type='bridge'><mac address='{card.mac}'/>"
            f"<source bridge='{self._bridge(link)}'/><target dev='{card.tap}'/>"
            f"<model type='virtio'/><mtu size='{MTU[link]}'/>"
            f"<link state='{'up' if up else 'down'}'/></interface>"
        )
        flags = libvirt.VIR_DOMAIN_AFFECT_CONFIG
        if self.running():
            flags |= libvirt.VIR_DOMAIN_AFFECT_LIVE
        try:
            self.domain.updateDeviceFlags(xml, flags)
        except libvirt.libvirtError:
            if self.running():
                raise
            # It went down in between (fenced, say): its definition is what counts then.
            self.domain.updateDeviceFlags(xml, libvirt.VIR_DOMAIN_AFFECT_CONFIG)

    def _bridge(self, link: Link) -> str:
        return f"{self.plan.domain.rsplit('-', 1)[0]}-{link}"


def in_parallel(actions: Mapping[str, object]) -> None:
    """Run the actions in threads of their own; the first failure is raised after all ended."""
    failures: list[BaseException] = []

    def guarded(action: object) -> None:
        assert callable(action)
        try:
            action()
        except BaseException as error:
            failures.append(error)

    threads = [
        threading.Thread(target=guarded, args=(action,), name=name)
        for name, action in actions.items()
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
