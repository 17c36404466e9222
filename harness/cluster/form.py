"""Forming the cluster cold: from blank disks to a logged-in initiator, in the seed's order.

DRBD is initialised and verified in both directions first, then demoted and taken down, the primary
last; only then is Corosync configured.
"""

from __future__ import annotations

import re
import shlex
from functools import partial
from typing import TYPE_CHECKING, Any

from harness.cluster import observe
from harness.cluster.render import lun_link, render_seeds, write_seed_image
from harness.crashpoints import die_here_if_asked
from harness.errors import HarnessError
from harness.evidence.pacemaker import OK
from harness.evidence.timeline import Channel
from harness.evidence.witness import Witnesses
from harness.lab.machine import in_parallel
from harness.lab.topology import LUN_OF, RESOURCES
from harness.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.cluster.config import ClusterConfig
    from harness.cluster.secrets import Secrets
    from harness.lab.lab import Lab
    from harness.lab.machine import Machine

MOUNT_POINT = "/srv/lun0"


def form_cluster(
    lab: Lab,
    config: ClusterConfig,
    secrets: Secrets,
    *,
    accelerator: str,
    image_key: str,
    note: Callable[[str], None],
) -> None:
    """Boot the machines of an empty lab and form the cluster; ``note`` hears what is done now.

    Raises:
        DeadlineError: a guest did not boot or a state was not reached; says what was missing.
        GuestCommandError: a command in a guest failed.
    """
    note("preparing disks")
    secrets.write_files(lab.folder)
    lab.host.publish("fence.key")
    lab.open_machines(secrets.ssh_private, secrets.host_keys)
    lab.make_disks(image_key)
    seeds = render_seeds(config, lab.topology, secrets)
    for name, seed in seeds.items():
        write_seed_image(seed, lab.folder / "disks" / f"{name}-seed.img")
        lab.host.publish(f"disks/{name}-seed.img")
    lab.define(accelerator, image_key)
    lab.start_fence_device()
    note("booting alpha, bravo and client")
    lab.power_on_all()
    die_here_if_asked("boot")
    deadline = config.timing.boot_deadline_s
    in_parallel({m.name: partial(m.guest.wait_ready, deadline) for m in lab.machines.values()})
    # Somebody has to read the witness streams meanwhile, else their writers in the guests would
    # be snapshotted with a backlog that every later scenario had to read first.
    told = _Journal()
    drain = Witnesses(lab.streams(), told)
    try:
        _drbd_first(lab, config, note)
        _cluster_services(lab, config, note, told)
        connect_initiator(lab, config, note)
    finally:
        drain.close()


# controld_execd.c of Pacemaker 2.1 and 3.0: the result of each operation, on its node.
_STARTED = re.compile(rf"Result of (?:start|promote) operation for (\S+) on \S+: {OK}")


class _Journal:
    """Listens to the nodes' journals: what Pacemaker has started, without asking it."""

    def __init__(self) -> None:
        self.started: list[str] = []

    def __call__(self, _source: str, channel: Channel, _kind: str, data: dict[str, Any]) -> None:
        """An event of any stream."""
        message = str(data.get("message", "")) if channel is Channel.JOURNAL else ""
        if match := _STARTED.search(message):
            self.started.append(match[1])

    def missing(self, resource: str) -> str:
        """What is waited for, until ``resource`` was started."""
        last = f" (last started: {self.started[-1]})" if self.started else ""
        return "" if resource in self.started else f"the start of {resource}{last}"


def _on_nodes(lab: Lab, command: str, timeout_s: float) -> None:
    in_parallel({m.name: partial(m.guest.run, command, timeout_s=timeout_s) for m in lab.nodes})


def _drbd_first(lab: Lab, config: ClusterConfig, note: Callable[[str], None]) -> None:
    """Metadata, connection, equal generation, then a write in each direction."""
    first, second = lab.nodes
    deadline = config.timing.form_deadline_s
    shape = lab.topology.shape
    volumes = [shape.volume_of(device) for device in RESOURCES]
    note(f"initialising DRBD {', '.join(map(shape.name_of, RESOURCES))}")
    create = " && ".join(f"drbdadm create-md --force {r}" for r in shape.drbd_resources)
    _on_nodes(lab, f"modprobe drbd && {create} && drbdadm up all", deadline)

    def not_yet(field: str, value: str) -> str:
        return ", ".join(text for m in lab.nodes for text in _unlike(m, field, value))

    wait_until("DRBD connected", lambda: not_yet("cs", "Connected"), deadline_s=deadline)
    # Blank disks are equal already: declare it, instead of a full initial sync.
    first.guest.run(
        " && ".join(f"drbdadm new-current-uuid --clear-bitmap {volume}" for volume in volumes)
    )
    wait_until("DRBD UpToDate", lambda: not_yet("disk", "UpToDate"), deadline_s=deadline)
    note("verifying DRBD in both directions")
    for writer, reader in ((first, second), (second, first)):
        mark = f"written on {writer.name}"
        for step, machine in (("write", writer), ("read", reader)):
            machine.guest.run("drbdadm primary all")
            for minor, _resource in enumerate(RESOURCES):
                device = f"/dev/drbd{minor}"
                if step == "write":
                    machine.guest.run(
                        f"printf %s {shlex.quote(mark)} | dd of={device} bs=4k conv=sync "
                        "oflag=direct,sync status=none iflag=fullblock"
                    )
                else:
                    seen = machine.guest.run(
                        f"dd if={device} bs=4k count=1 iflag=direct status=none | tr -d '\\0'"
                    ).stdout
                    if seen != mark:
                        raise HarnessError(
                            f"{machine.name} reads {seen[:40]!r} from {device}, not {mark!r}: "
                            "DRBD does not replicate"
                        )
            if step == "read" and writer is second:
                machine.guest.run("drbdadm verify all")
                wait_until(
                    "DRBD online verify", lambda: not_yet("cs", "Connected"), deadline_s=deadline
                )
            machine.guest.run("drbdadm secondary all")
    if out_of_sync := _unlike(first, "oos_kib", 0):
        raise HarnessError(f"DRBD online verify: out-of-sync KiB: {', '.join(out_of_sync)}")
    note("taking DRBD down, the last primary last")
    second.guest.run("drbdadm down all")
    first.guest.run("drbdadm down all")


def _unlike(machine: Machine, field: str, value: object) -> list[str]:
    """Resources of a node whose state (observe.drbd_state) is another, in words.

    One that DRBD does not tell of is one of them: of no resource at all each would be as wanted.
    """
    states = observe.drbd_state(machine.guest)
    told = {name: states.get(name, {}).get(field, "not told of") for name in RESOURCES}
    return [f"{machine.name} {name} is {now}" for name, now in told.items() if now != value]


def _cluster_services(
    lab: Lab, config: ClusterConfig, note: Callable[[str], None], told: _Journal
) -> None:
    """Corosync and Pacemaker on both nodes, then the resources."""
    first = lab.nodes[0]
    deadline = config.timing.form_deadline_s
    note("starting Corosync and Pacemaker")
    # The image's recipe leaves them off.
    units = lab.topology.shape.cluster_units
    at_boot = f"systemctl enable -q {' '.join(units)}"
    _on_nodes(lab, f"/usr/local/lib/lab/apply-cluster && {at_boot}", deadline)
    lab.fit_guests()
    if lab.topology.shape.third_vote:
        lab.initiator.guest.run("systemctl enable -q --now corosync-qnetd", timeout_s=120)
    _on_nodes(lab, " && ".join(f"systemctl start {unit}" for unit in units), deadline)

    def nodes_missing() -> str:
        try:
            view = observe.cluster_view(first.guest, lab.topology.shape)
        except observe.ObservationError as error:
            return error.message
        away = [f"{n} is {s}" for n, s in view.membership.items() if s != "online"]
        if len(view.membership) < len(lab.nodes):
            away.append(f"only {len(view.membership)} node(s) known")
        if lab.topology.shape.third_vote and not view.quorum:
            away.append("no quorum")
        return ", ".join(away) or ("" if view.dc else "no DC elected")

    die_here_if_asked("forming")
    wait_until("both nodes online", nodes_missing, deadline_s=deadline, note=note, interval_s=4)
    note("loading the resources")
    # The initiator is let in, and its LUNs named, by the node that is as all others.
    odd = sorted({*config.target.serial_on, *config.target.allowed_initiators_on})
    for name in odd:
        first.guest.run(f"crm node standby {name}", timeout_s=deadline)
    first.guest.run("crm configure load update /etc/lab/cluster.crm", timeout_s=deadline)
    last = f"lun{len(RESOURCES) - 1}"
    if config.pacemaker.portblock:
        last = "pu2" if config.initiator.multipath else "pu"
    hint = "harness ssh alpha crm_mon -1rf, in a lab kept with: harness up"
    if not config.pacemaker.order:
        _start_group_by_hand(lab, deadline, note)
    wait_until(
        "the group started",
        lambda: told.missing(last),
        deadline_s=deadline + config.timing.start_timeout_s,
        note=note,
        hint=hint,
    )
    for name in odd:
        first.guest.run(f"crm node online {name}", timeout_s=deadline)
    wait_until(
        "all resources started",
        partial(resources_missing, lab),
        deadline_s=deadline,
        interval_s=5,
        note=note,
        hint=hint,
    )


def _start_group_by_hand(lab: Lab, deadline_s: float, note: Callable[[str], None]) -> None:
    """Without an order the group cannot be trusted to wait: by hand, once all are promoted.

    Left to itself it starts its LUNs on Secondaries, on one node after the other, and such a
    cluster never forms. One that lost its order while it ran is what there is to see.
    """

    first = lab.nodes[0]

    def not_promoted() -> str:
        try:
            promoted = observe.cluster_view(first.guest, lab.topology.shape).promoted
        except observe.ObservationError as error:
            return error.message
        return ", ".join(r for r in RESOURCES if len(promoted[r]) != 1)

    wait_until("all promoted", not_promoted, deadline_s=deadline_s, note=note, interval_s=4)
    first.guest.run("crm resource start DATA_GROUP", timeout_s=deadline_s)


def resources_missing(lab: Lab) -> str:
    """What keeps the cluster from being whole, in words; empty if nothing does."""
    try:
        view = observe.cluster_view(lab.nodes[0].guest, lab.topology.shape)
    except HarnessError as error:
        return error.message
    return view_missing(view, [m.name for m in lab.nodes])


def view_missing(view: observe.ClusterView, nodes: list[str]) -> str:
    """As ``resources_missing``, of a view that was taken already."""
    wrong = [
        f"{node} is {view.membership.get(node, 'unknown')}"
        for node in nodes
        if view.membership.get(node) != "online"
    ]
    for resource in RESOURCES:
        if len(view.promoted[resource]) != 1:
            wrong.append(f"{resource} promoted on {view.promoted[resource] or 'no node'}")
        if len(view.unpromoted[resource]) != 1:
            wrong.append(f"{resource} unpromoted on {view.unpromoted[resource] or 'no node'}")
    if not view.group:
        wrong.append("DATA_GROUP not there")
    elif view.active_node is None:
        stopped = [
            f"{name} {state}" for name, (state, _) in view.group.items() if state != "Started"
        ]
        wrong.append("DATA_GROUP: " + (", ".join(stopped) or "spread over nodes"))
    return "; ".join(wrong)


def connect_initiator(lab: Lab, config: ClusterConfig, note: Callable[[str], None]) -> None:
    """Discovery, login, one LUN partitioned, formatted and mounted; two stay raw."""
    guest = lab.initiator.guest
    note("logging in with the initiator")
    portal, *others = (f"{address}:3260" for _link, address in lab.topology.portals)
    if config.initiator.multipath:
        # Before there is a disk that it is to take.
        guest.run("systemctl enable -q --now multipathd", timeout_s=120)
    guest.run(
        f"systemctl start iscsid && iscsiadm -m discovery -t sendtargets -p {portal} && "
        f"iscsiadm -m node -T {config.target.iqn} -p {portal} --login",
        timeout_s=120,
    )
    for other in others:
        # The target told of all its portals.
        guest.run(f"iscsiadm -m node -T {config.target.iqn} -p {other} --login", timeout_s=120)
    links = [lun_link(lab.topology, lun) for lun in LUN_OF.values()]
    wait_until(
        "the LUNs' names on the initiator",
        lambda: guest.run(
            f"for l in {' '.join(links)}; do [ -b $l ] || echo $l; done; true"
        ).stdout.replace("\n", " "),
        deadline_s=60,
    )
    note("partitioning and formatting lun0")
    disk = lun_link(lab.topology, "lun0")
    # The kernel makes no partitions of device-mapper's disks.
    partitioned = f"kpartx -u -p -part {disk} && " if config.initiator.multipath else ""
    guest.run(
        f"echo 'type=83' | sfdisk -q --wipe always {disk} && {partitioned}udevadm settle && "
        f"mkfs.ext4 -q -E lazy_itable_init=0,lazy_journal_init=0 {disk}-part1 && "
        f"mkdir -p {MOUNT_POINT} && mount {disk}-part1 {MOUNT_POINT}",
        timeout_s=180,
    )
    guest.run("systemctl restart lab-progress")
