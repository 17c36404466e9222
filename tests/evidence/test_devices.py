"""Which device DRBD means: a resource's, or a volume of one."""

from __future__ import annotations

import pytest

from harness.evidence.devices import Devices
from harness.evidence.livestate import LiveDrbd
from tests.evidence.test_live_state import event, said

THREE = Devices({"r0": "r0/0", "r1": "r0/1", "r2": "r0/2"})
ALL = ("r0", "r1", "r2")


@pytest.mark.parametrize(
    ("resource", "volume", "devices"),
    [("r0", "", ALL), ("r0", "0", ("r0",)), ("r0", "2", ("r2",)), ("r0", "3", ()), ("r1", "", ()),
     ("r", "", ())],
)  # fmt: skip
def test_of_one_resource_with_volumes(resource: str, volume: str, devices: tuple[str, ...]) -> None:
    assert THREE.of(resource, volume) == devices


def test_by_default_a_resource_is_its_only_device() -> None:
    assert Devices().of("r1", "0") == Devices().of("r1") == ("r1",)
    assert Devices().resource_of("r1") == "r1"
    assert [THREE.resource_of(device) for device in ALL] == ["r0", "r0", "r0"]


def test_roles_and_connections_are_those_of_each_volume() -> None:
    state = LiveDrbd(THREE)
    for line in (
        "exists resource name:r0 role:Secondary suspended:no",
        "exists connection name:r0 conn-name:peer connection:Connected role:Primary",
        *(f"exists device name:r0 volume:{n} minor:{n} disk:UpToDate" for n in range(3)),
    ):
        state.feed(said("alpha", line))
    assert state.missing(["alpha"], ALL) == ""
    state.feed(said("alpha", "change device name:r0 volume:1 minor:1 disk:Inconsistent"))
    assert state.missing(["alpha"], ALL) == "alpha: r1 is Connected/Inconsistent"
    state.feed(said("alpha", "change resource name:r0 role:Primary"))
    assert state.not_in("Primary", "alpha", ALL) == ""
    state.feed(said("alpha", "destroy connection name:r0 conn-name:peer"))
    assert state.cut_off(["alpha"], ALL) == ["alpha: r0", "alpha: r1", "alpha: r2"]
    state.feed(said("alpha", "destroy device name:r0 volume:2 minor:2"))
    assert state.not_in("UpToDate", "alpha", ALL) == "alpha: r1 is Inconsistent, r2 is down"
    state.feed(event("alpha", "lost", reason="end of stream"))
    assert state.states() == {}
