"""Which of the lab's devices DRBD means, when it names a resource or a volume of one.

What is judged is a device: it has replicas, generation identifiers, a disk, a LUN. Roles and
connections are a DRBD resource's, and so those of each device that is a volume of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Devices:
    """The devices of a scenario.

    Attributes:
        volumes: device to ``RESOURCE/VOLUME``; empty where each is a resource of its own name.
    """

    volumes: Mapping[str, str] = field(default_factory=dict)

    def of(self, resource: str, volume: str = "") -> tuple[str, ...]:
        """The devices that a resource's volume is, or all of the resource where none is named.

        A resource that is not known is its own only device.
        """
        if not self.volumes:
            return (resource,)
        wanted = f"{resource}/{volume}"
        return tuple(
            device
            for device, there in self.volumes.items()
            if there == wanted or (not volume and there.startswith(wanted))
        )

    def meant(self, fields: Mapping[str, Any]) -> tuple[str, ...]:
        """The devices that an event of events2 is about, by its fields."""
        return self.of(str(fields.get("name", "")), str(fields.get("volume", "")))

    def resource_of(self, device: str) -> str:
        """The DRBD resource that a device belongs to."""
        return self.volumes.get(device, device).rpartition("/")[0] or device
