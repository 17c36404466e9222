"""Faults where the devices are volumes of one DRBD resource: by which name, or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.errors import HarnessError
from harness.faults.disks import attach_again
from harness.faults.replicas import DamagedMetadata, Invalidated
from harness.faults.replication import ReplicationCut
from harness.faults.split_brain import ForcedSplitBrain
from harness.lab.shape import Shape
from harness.lab.topology import Topology
from tests.faults.answering import FakeLab, proc_drbd

if TYPE_CHECKING:
    from pathlib import Path

    from harness.faults.fault import Fault


@pytest.fixture
def fake(tmp_path: Path) -> FakeLab:
    lab = FakeLab(tmp_path)
    lab.topology = Topology(shape=Shape(volumes=True))
    return lab


@pytest.mark.parametrize(
    "fault", [ReplicationCut("r1"), ForcedSplitBrain("bravo", "r1", 16), ReplicationCut("r0")]
)
def test_what_is_the_resource_s_cannot_be_broken_of_one_volume(fault: Fault, fake: FakeLab) -> None:
    with pytest.raises(HarnessError, match=r"r[01] is r0/[01]: it has neither") as caught:
        fault.prepare(fake.as_lab)
    assert "drbd.volumes = false" in caught.value.hint
    ran = [*fake.machines["alpha"].guest.ran, *fake.machines["bravo"].guest.ran]
    assert not [command for command in ran if "drbdadm" in command]


def test_everything_else_is_asked_for_by_volume(fake: FakeLab) -> None:
    guest = fake.machines["bravo"].guest
    guest.answer("/proc/drbd", proc_drbd(r1="none"))
    guest.answer("dump-md", ("No valid meta data found", 20))
    damaged = DamagedMetadata("bravo", "r1")
    damaged.inject(fake.as_lab)
    damaged.heal(fake.as_lab)
    assert "of=$d" in guest.ran[-3]
    assert "virtio-r1;" in guest.ran[-3], "the disk is called as ever"
    assert guest.ran[-2].startswith("drbdadm dump-md r0/1 ")
    assert guest.ran[-1] == "drbdadm create-md --force r0/1"
    Invalidated("bravo", 1024).inject(fake.as_lab)
    assert "for r in r0/0 r0/1 r0/2; do drbdadm invalidate $r" in guest.ran[-1]
    guest.answer("/proc/drbd", proc_drbd(r2="Diskless"))
    attach_again(fake.as_lab.machines["bravo"], ("r1", "r2"), fake.topology.shape)
    assert guest.ran[-1] == "drbdadm attach r0/2"
