"""How a cluster with one DRBD resource of three volumes looks from outside."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from types import SimpleNamespace
from typing import Any, cast

import pytest

from harness.cluster.form import view_missing
from harness.cluster.observe import ObservationError, generation_identifiers, parse_crm_mon
from harness.lab.shape import Shape
from harness.lab.topology import RESOURCES
from tests.cluster.test_observe import CRM_MON

VOLUMES = Shape(volumes=True)


def one_resource() -> ET.Element:
    """The captured document, with a clone of d0 in place of one of the group of three."""
    root = ET.fromstring(CRM_MON)
    for clone in root.iterfind("resources/clone"):
        for group in clone.findall("group"):
            for resource in group.findall("resource"):
                if (resource.get("id") or "").split(":")[0] == "d0":
                    clone.append(resource)
            clone.remove(group)
    return root


def test_each_volume_is_where_the_resource_is() -> None:
    seen = parse_crm_mon(ET.tostring(one_resource(), encoding="unicode"), VOLUMES)
    assert seen.promoted == {r: ["bravo"] for r in RESOURCES}
    assert seen.unpromoted == {r: ["alpha"] for r in RESOURCES}
    assert view_missing(seen, ["alpha", "bravo"]) == ""


def test_a_cluster_of_another_shape_is_not_taken_for_it() -> None:
    with pytest.raises(ObservationError, match="unknown DRBD resource"):
        parse_crm_mon(CRM_MON, VOLUMES)
    seen = parse_crm_mon(ET.tostring(one_resource(), encoding="unicode"))
    assert "r1 promoted on no node" in view_missing(seen, ["alpha", "bravo"])


def test_generation_identifiers_are_asked_by_volume() -> None:
    asked: list[str] = []

    def run(command: str, **_options: Any) -> SimpleNamespace:
        asked.append(command)
        return SimpleNamespace(stdout="r0 A:0:0:0:1\nr1 B:0:0:0:1\nr2 C:0:0:0:1\n")

    guest = cast("Any", SimpleNamespace(run=run))
    assert generation_identifiers(guest, VOLUMES)["r1"] == "B:0:0:0:1"
    assert "echo r1 $(drbdadm get-gi r0/1 2>&1)" in asked[0]
    generation_identifiers(guest, Shape())
    assert "echo r1 $(drbdadm get-gi r1 2>&1)" in asked[1]
