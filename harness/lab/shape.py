"""What of a cluster's configuration whoever deals with the formed cluster has to know.

Most of a configuration matters to the guests alone. What is here decides how a thing is called when
it is asked for: by which name drbdadm knows a device, and the initiator a LUN.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, Self

# The lab's replicated devices: each is a backing disk of both nodes, of that serial number, and
# /dev/drbd0, 1, 2. By default each is a DRBD resource of that name, too.
RESOURCES = ("r0", "r1", "r2")
# r0 is partitioned and formatted by the initiator; r1 and r2 stay raw for block histories.
LUN_OF = {"r0": "lun0", "r1": "lun1", "r2": "lun2"}


@dataclass(frozen=True, slots=True)
class Shape:
    """How a cluster is built, as far as names depend on it; the defaults are the reference.

    Attributes:
        volumes: the devices are volumes 0, 1, 2 of one DRBD resource, called r0.
        tgt: the iSCSI target is tgt, not LIO.
        third_vote: corosync-qnetd on the initiator has one.
        multipath: the initiator has a card on mgmt, too, and a path to a second portal there.
    """

    volumes: bool = False
    tgt: bool = False
    third_vote: bool = False
    multipath: bool = False

    @classmethod
    def of(cls, told: dict[str, Any]) -> Self:
        """From ``asdict``; what is not told is as in the reference.

        Raises:
            ValueError: something else than a shape.
        """
        types = {field.name: type(field.default) for field in fields(cls)}
        for name, value in told.items():
            if type(value) is not types.get(name):
                raise ValueError(f"no shape of a cluster: {name}")
        return cls(**told)

    def told(self) -> dict[str, Any]:
        """As plain values, for ``of``."""
        return asdict(self)

    @property
    def drbd_resources(self) -> tuple[str, ...]:
        """DRBD's resources."""
        return RESOURCES[:1] if self.volumes else RESOURCES

    def resource_of(self, device: str) -> str:
        """The DRBD resource that a device belongs to."""
        return RESOURCES[0] if self.volumes else device

    def primitive_of(self, device: str) -> str:
        """Pacemaker's name of that resource (vagrant/cluster/cluster.crm.j2)."""
        return f"d{RESOURCES.index(self.resource_of(device))}"

    def volume_of(self, device: str) -> str:
        """``RESOURCE/VOLUME``, as drbdadm(8) takes it."""
        number = RESOURCES.index(device) if self.volumes else 0
        return f"{self.resource_of(device)}/{number}"

    def name_of(self, device: str) -> str:
        """The shortest name that drbdadm knows a device by."""
        return self.volume_of(device) if self.volumes else device

    def devices_of(self, primitive: str) -> tuple[str, ...]:
        """The devices that one of Pacemaker's DRBD resources runs; none of any other."""
        return tuple(device for device in RESOURCES if self.primitive_of(device) == primitive)

    @property
    def cluster_units(self) -> tuple[str, ...]:
        """What a node starts at boot once it is formed, in this order."""
        qdevice = ("corosync-qdevice",) if self.third_vote else ()
        return ("corosync", *qdevice, "pacemaker")

    @property
    def initiator_units(self) -> tuple[str, ...]:
        """What the initiator starts at boot once the cluster is formed."""
        return ("multipathd",) * self.multipath + ("corosync-qnetd",) * self.third_vote

    def volumes_told(self) -> dict[str, str]:
        """``volumes`` of scenario.json: each device's volume; empty where each is a resource."""
        return {device: self.volume_of(device) for device in RESOURCES} if self.volumes else {}


REFERENCE = Shape()
