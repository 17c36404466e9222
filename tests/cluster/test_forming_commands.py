"""What forming asks of the machines, by the cluster's shape: the reference's as it ever was."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from harness.cluster import form
from harness.cluster.config import ClusterConfig
from harness.lab.shape import Shape
from harness.lab.topology import Topology
from tests.cluster.test_observe import CRM_MON
from tests.faults.answering import FakeGuest, proc_drbd

MULTIPATH = ClusterConfig.model_validate(
    {"initiator": {"multipath": True}, "guest": {"name": "debian12-multipath"}}
)
THIRD_VOTE = ClusterConfig.model_validate(
    {"corosync": {"qdevice": "lms"}, "guest": {"name": "debian12-qnetd"}}
)


def lab(shape: Shape) -> tuple[Any, dict[str, FakeGuest]]:
    """Two nodes and an initiator that answer as a cluster that is whole."""
    guests = {name: FakeGuest() for name in ("alpha", "bravo", "client")}
    machines = {name: SimpleNamespace(name=name, guest=guest) for name, guest in guests.items()}
    there = SimpleNamespace(
        topology=Topology(shape=shape),
        nodes=[machines["alpha"], machines["bravo"]],
        initiator=machines["client"],
        fit_guests=lambda: None,
    )
    for name in ("alpha", "bravo"):
        healthy = proc_drbd().replace("ro:Secondary/Primary", "ro:Secondary/Secondary")
        guests[name].answer("cat /proc/drbd", healthy)
        guests[name].answer("crm_mon", CRM_MON)
    return there, guests


def drbd_commands(shape: Shape) -> list[str]:
    there, guests = lab(shape)
    written: list[str] = []

    def copy(command: str) -> str:
        if "printf %s" in command:
            written.append(command.split("'")[1])
            return ""
        return written[-1]

    for name in ("alpha", "bravo"):
        guests[name].answer("dd ", cast("Any", copy))
    noted: list[str] = []
    form._drbd_first(there, ClusterConfig(), noted.append)
    assert "DRBD" in noted[0]
    return guests["alpha"].ran


@pytest.mark.parametrize(
    ("shape", "create", "generation"),
    [
        (Shape(),
         "drbdadm create-md --force r0 && drbdadm create-md --force r1 && "
         "drbdadm create-md --force r2",
         "drbdadm new-current-uuid --clear-bitmap r0/0 && "
         "drbdadm new-current-uuid --clear-bitmap r1/0 && "
         "drbdadm new-current-uuid --clear-bitmap r2/0"),
        (Shape(volumes=True),
         "drbdadm create-md --force r0",
         "drbdadm new-current-uuid --clear-bitmap r0/0 && "
         "drbdadm new-current-uuid --clear-bitmap r0/1 && "
         "drbdadm new-current-uuid --clear-bitmap r0/2"),
    ],
)  # fmt: skip
def test_drbd_is_made_by_its_resources_and_declared_equal_by_its_volumes(
    shape: Shape, create: str, generation: str
) -> None:
    ran = drbd_commands(shape)
    assert ran[0] == f"modprobe drbd && {create} && drbdadm up all"
    assert generation in ran
    assert [f"/dev/drbd{n}" in " ".join(ran) for n in range(4)] == [True, True, True, False]


def started(config: ClusterConfig) -> tuple[list[str], list[str]]:
    there, guests = lab(config.shape)
    told = form._Journal()
    told.started += ["pu", "pu2"]
    form._cluster_services(there, config, lambda _note: None, told)
    return guests["alpha"].ran, guests["client"].ran


def test_the_reference_s_services() -> None:
    node, client = started(ClusterConfig())
    assert node[0] == ("/usr/local/lib/lab/apply-cluster && systemctl enable -q corosync pacemaker")
    assert node[1] == "systemctl start corosync && systemctl start pacemaker"
    assert client == []


def test_a_third_vote_is_there_before_anybody_asks_for_it() -> None:
    node, client = started(THIRD_VOTE)
    assert node[0].endswith("systemctl enable -q corosync corosync-qdevice pacemaker")
    assert node[1] == (
        "systemctl start corosync && systemctl start corosync-qdevice && systemctl start pacemaker"
    )
    assert client == ["systemctl enable -q --now corosync-qnetd"]


def login(config: ClusterConfig) -> list[str]:
    there, guests = lab(config.shape)
    form.connect_initiator(there, config, lambda _note: None)
    return guests["client"].ran


def test_the_reference_s_initiator() -> None:
    first, _names, disk, last = login(ClusterConfig())
    link = "/dev/disk/by-id/scsi-36001405fae0000000000000000000000"
    assert first == (
        "systemctl start iscsid && iscsiadm -m discovery -t sendtargets -p 10.77.3.100:3260 && "
        "iscsiadm -m node -T iqn.2026-11.com.example:failover -p 10.77.3.100:3260 --login"
    )
    assert disk.startswith(
        f"echo 'type=83' | sfdisk -q --wipe always {link} && udevadm settle && mkfs.ext4 "
    )
    assert last == "systemctl restart lab-progress"


def test_two_paths_are_logged_in_to_and_the_map_has_its_partition_made() -> None:
    daemon, first, second, _names, disk, _last = login(MULTIPATH)
    assert daemon == "systemctl enable -q --now multipathd"
    assert first.endswith("-p 10.77.3.100:3260 --login")
    assert second == (
        "iscsiadm -m node -T iqn.2026-11.com.example:failover -p 10.77.1.100:3260 --login"
    )
    assert disk.startswith(
        "echo 'type=83' | sfdisk -q --wipe always /dev/mapper/lun0 && "
        "kpartx -u -p -part /dev/mapper/lun0 && udevadm settle && mkfs.ext4 "
    )
    assert " /dev/mapper/lun0-part1 && " in disk
