"""Timing profiles: which is used when, and what clusters that share cores are given."""

from __future__ import annotations

import re
from typing import Any

import pytest

from harness.cluster.config import load_config
from harness.cluster.render import config_key
from harness.lab.paths import PROJECT
from harness.lab.topology import Topology
from harness.lint import ALL_RULES, cluster_of, lint
from harness.timing import (
    KVM,
    RECOVERY,
    TCG,
    TCG_SHARED,
    Timing,
    bound_s,
    profile_of,
    share_cores,
)
from tests.lint.reference import reference


@pytest.mark.parametrize(
    ("accelerator", "sharing", "profile"),
    [("kvm", False, KVM), ("kvm", True, KVM), ("tcg", False, TCG), ("tcg", True, TCG_SHARED)],
)
def test_which_profile_is_used(accelerator: str, sharing: bool, profile: Timing) -> None:
    assert profile_of(accelerator, sharing=sharing) is profile


@pytest.mark.parametrize(
    ("clusters", "cores", "shared"),
    [(1, 1, False), (1, 2, False), (2, 2, True), (2, 3, True), (2, 4, False), (3, 4, True)],
)
def test_emulated_clusters_share_cores_where_each_has_less_than_two(
    clusters: int, cores: int, shared: bool
) -> None:
    """One cluster shares with nobody, however few cores there are."""
    assert share_cores(clusters, cores) is shared


def test_the_head_start_is_longer_than_what_was_seen_to_be_too_short() -> None:
    """8.0 s later on a busy host, and not within 13 s beside a second lab (measurements.md)."""
    assert TCG_SHARED.priority_fencing_delay_s >= 20
    assert TCG_SHARED.priority_fencing_delay_s >= 2 * TCG.priority_fencing_delay_s
    assert TCG_SHARED.corosync_token_ms == 2 * TCG.corosync_token_ms
    assert TCG_SHARED.drbd_ping_timeout_ds >= 2 * TCG.drbd_ping_timeout_ds


def test_every_class_of_timeout_keeps_its_place() -> None:
    """Of each two that are ordered for one cluster, the same is longer for several."""
    one, many = (
        {name: seconds(name, value) for name, value in timing.model_dump(exclude={"name"}).items()}
        for timing in (TCG, TCG_SHARED)
    )
    assert all(many[name] >= 2 * one[name] for name in one)
    ordered = (
        ("drbd_timeout_ds", "drbd_ping_int_s"),
        ("drbd_ping_timeout_ds", "drbd_ping_int_s"),
        ("fence_dc_timeout_s", "fence_handler_timeout_s"),
        ("fence_handler_timeout_s", "promote_timeout_s"),
        ("replacement_timeout_s", "scsi_timeout_s"),
        ("corosync_token_ms", "priority_fencing_delay_s"),
        ("priority_fencing_delay_s", "fence_dc_timeout_s"),
    )
    for shorter, longer in ordered:
        assert one[shorter] < one[longer], (shorter, longer)
        assert many[shorter] < many[longer], (shorter, longer)


def seconds(name: str, value: Any) -> float:
    return float(value) / {"ms": 1000, "ds": 10}.get(name.rpartition("_")[2], 1)


def test_bounds_are_scaled_and_stay_within_what_the_initiator_waits() -> None:
    assert bound_s(KVM, tcg=180, kvm=45) == 45
    assert bound_s(TCG, tcg=180, kvm=45) == 180
    assert bound_s(TCG_SHARED, tcg=180, kvm=45) == 360
    stated = [
        float(bound)
        for path in (PROJECT / "features").glob("*.feature")
        for bound in re.findall(r"no stall above (\d+) s", path.read_text(encoding="utf-8"))
    ]
    assert stated
    most = max(max(stated), *RECOVERY["tcg"].model_dump().values())
    assert bound_s(TCG_SHARED, tcg=most, kvm=1) < TCG_SHARED.replacement_timeout_s
    # The node that is lost is fenced after the head start: there is room for it.
    failover = bound_s(TCG_SHARED, tcg=RECOVERY["tcg"].failover, kvm=1)
    assert failover > RECOVERY["tcg"].failover + TCG_SHARED.priority_fencing_delay_s


def test_a_formed_cluster_is_of_its_profile_by_name_too() -> None:
    """Else a cluster of one would be restored where several share the cores."""
    keys = {
        config_key(load_config(None, timing), Topology())
        for timing in (KVM, TCG, TCG_SHARED, TCG.model_copy(update={"name": "tcg-shared"}))
    }
    assert len(keys) == 4


def test_nothing_is_to_be_said_against_it_that_is_not_against_one_cluster_s() -> None:
    def said(profile: str) -> list[tuple[str, int]]:
        return [(one.rule.slug, len(one.found)) for one in lint(cluster_of(reference(profile)))]

    assert said("tcg-shared") == said("tcg")
    assert len(said("tcg")) == len(ALL_RULES)
