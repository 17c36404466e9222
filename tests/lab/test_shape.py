"""The shape of a cluster: names of its devices, and that a lab that is kept knows it again."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from harness.errors import HarnessError
from harness.lab.lab import SHAPE, Lab
from harness.lab.shape import RESOURCES, Shape
from harness.lab.topology import Topology

if TYPE_CHECKING:
    from pathlib import Path

VOLUMES = Shape(volumes=True)


def lab(folder: Path) -> Lab:
    host: Any = SimpleNamespace(topology=Topology(3))
    return Lab(cast("Any", None), folder, host, cast("Any", None))


def test_by_default_each_device_is_a_resource() -> None:
    shape = Shape()
    assert shape.drbd_resources == RESOURCES
    assert [shape.name_of(r) for r in RESOURCES] == list(RESOURCES)
    assert [shape.volume_of(r) for r in RESOURCES] == ["r0/0", "r1/0", "r2/0"]
    assert [shape.primitive_of(r) for r in RESOURCES] == ["d0", "d1", "d2"]
    assert [shape.devices_of(d) for d in ("d1", "d3", "vip")] == [("r1",), (), ()]
    assert shape.volumes_told() == {}


def test_the_devices_of_one_resource() -> None:
    assert VOLUMES.drbd_resources == ("r0",)
    assert [VOLUMES.name_of(r) for r in RESOURCES] == ["r0/0", "r0/1", "r0/2"]
    assert {VOLUMES.primitive_of(r) for r in RESOURCES} == {"d0"}
    assert [VOLUMES.devices_of(d) for d in ("d0", "d1")] == [RESOURCES, ()]
    assert VOLUMES.volumes_told() == {"r0": "r0/0", "r1": "r0/1", "r2": "r0/2"}


def test_whoever_attaches_to_a_lab_knows_its_shape(tmp_path: Path) -> None:
    first = lab(tmp_path)
    assert first.topology.shape == Shape()
    first.take_shape(VOLUMES)
    for one in (first, lab(tmp_path)):
        assert one.topology.shape == VOLUMES
        assert one.topology.slot == 3
        assert one.topology.machines == Topology(3).machines
    first.take_shape(Shape())
    assert lab(tmp_path).topology.shape == Shape()


@pytest.mark.parametrize("told", [{"volume": True}, {"volumes": "yes"}, {"volumes": 1}])
def test_something_else_is_no_shape(told: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="no shape of a cluster"):
        Shape.of(told)


def test_a_shape_that_cannot_be_read_is_an_error_of_the_lab(tmp_path: Path) -> None:
    (tmp_path / SHAPE).write_text('{"volumes": 3}')
    with pytest.raises(HarnessError, match="no shape of a cluster: volumes"):
        lab(tmp_path)
