"""What the guests get of variants of the cluster: read back by parsers of the files' formats."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.cluster.config import load_config
from harness.cluster.lintable import configured_files
from harness.errors import BadInputError
from harness.lab.shape import Shape
from harness.lab.topology import RESOURCES, Link
from harness.lint import Severity, cluster_of, lint
from harness.timing import TCG
from harness.variants.model import load_variants
from tests.cluster.test_render import TOPOLOGY, braces, crm, seeds, text

if TYPE_CHECKING:
    from pathlib import Path

    from harness.cluster.config import ClusterConfig
    from harness.variants.model import Variant

VOLUMES = {"drbd": {"volumes": True}}


def configured(tmp_path: Path, toml: str) -> ClusterConfig:
    path = tmp_path / "variant.toml"
    path.write_text(toml, encoding="utf-8")
    return load_config(path, TCG)


def refused(tmp_path: Path, toml: str, says: str) -> None:
    with pytest.raises(BadInputError, match=says) as caught:
        configured(tmp_path, toml)
    assert "\n" not in caught.value.message
    assert caught.value.hint


# ------------------------------------------------------------------------------------- volumes


def test_one_resource_has_all_disks_as_volumes() -> None:
    for name in ("alpha", "bravo"):
        seed = seeds(**VOLUMES)[name]
        files = [path for path in seed.base.files if path.endswith(".res")]
        assert files == ["/etc/drbd.d/r0.res"]
        ((kind, resource),) = braces(text(seed, files[0])).items()
        assert kind == "resource r0"
        for minor, disk in enumerate(RESOURCES):
            assert resource[f"volume {minor}"] == {
                "device": f"/dev/drbd{minor}",
                "disk": f"/dev/disk/by-id/virtio-{disk}",
                "meta-disk": "internal",
            }
        addresses = [resource[f"on {plan.name}"] for plan in TOPOLOGY.nodes]
        assert addresses == [
            {"address": f"{plan.card(Link.DRBD).address}:7780"} for plan in TOPOLOGY.nodes
        ]


def test_one_promotable_clone_of_it_and_a_lun_for_each_volume() -> None:
    statements = crm(text(seeds(**VOLUMES)["alpha"], "/etc/lab/cluster.crm"))
    assert "drbd_resource=r0" in statements["d0"][1]
    assert not {"d1", "d2", "dg"} & statements.keys()
    assert statements["msg"][1][0] == "d0"
    assert {"promotable=true", "notify=true"} <= set(statements["msg"][1])
    for minor in range(len(RESOURCES)):
        assert f"path=/dev/drbd{minor}" in statements[f"lun{minor}"][1]
    assert statements["group_with_promoted"][1] == ["inf:", "DATA_GROUP", "msg:Promoted"]
    assert statements["data_link_works"][1][0] == "msg"


def test_the_shape_goes_with_the_configuration(tmp_path: Path) -> None:
    assert configured(tmp_path, "").shape == Shape()
    assert configured(tmp_path, "[drbd]\nvolumes = true\n").shape == Shape(volumes=True)


def test_the_post_s_colocation_needs_three_resources(tmp_path: Path) -> None:
    toml = '[drbd]\nvolumes = true\n[pacemaker]\ncolocation = "post"\n'
    refused(tmp_path, toml, "one promotable clone")


# ---------------------------------------------------------------------------------------- lint

# What is to be found in a variant: it is the point of it, and no mistake of the rule's. Nothing in
# all others.
FOUND = {
    "masters-of-the-post": {"colocation", "one-promotable-clone"},
    "ring-on-drbd-alone": {"redundant-rings"},
    "ring-on-mgmt-alone": {"redundant-rings"},
    "without-ping-rule": {"ping-rule"},
}


@pytest.mark.parametrize("variant", [pytest.param(one, id=one.name) for one in load_variants()])
def test_a_lint_finds_in_a_variant_what_it_gives_up_and_nothing_else(variant: Variant) -> None:
    outcomes = lint(cluster_of(configured_files(load_config(variant.path, TCG))))
    found = {
        one.rule
        for outcome in outcomes
        for one in outcome.found
        if one.severity in (Severity.ERROR, Severity.WARNING)
    }
    assert found == FOUND.get(variant.name, set())


def test_what_a_lint_finds_is_told_of_variants_that_there_are() -> None:
    assert FOUND.keys() <= {one.name for one in load_variants()}
