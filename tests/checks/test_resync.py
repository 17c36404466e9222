"""A resync that is broken off by the death of the node that copies."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.checks import judge_one
from tests.checks.build import healthy
from tests.checks.planting import outcome

if TYPE_CHECKING:
    from pathlib import Path

    from tests.checks.build import Folder

BEGAN = "block drbd{}: Began resync as SyncTarget (will sync {} KB [{} bits set])."


def broken_off(first: int = 66520, second: int = 41000, *, machine: str = "alpha") -> Folder:
    """alpha has to copy everything from 12 s on, loses its power at 20 s, and copies the rest."""
    folder = healthy()
    fault = {"fault": "invalidated", "kind": "invalidated", "target": "data of alpha", "id": "f0",
             "machine": machine}  # fmt: skip
    for t_s, kind in ((12, "inject"), (12.5, "bitten"), (70, "heal"), (71, "healed")):
        folder.add(t_s, "host", "fault", kind, **fault, proof="alpha: r0, r1 Inconsistent")
    for minor in range(2):
        folder.kernel(12.2, "alpha", BEGAN.format(minor, first, first // 4))
        folder.kernel(62, "alpha", BEGAN.format(minor, second, second // 4), boot="2")
    return folder


def test_what_was_copied_is_not_copied_again(tmp_path: Path) -> None:
    assert outcome(broken_off(), tmp_path) == {}
    result = judge_one(tmp_path, "resync-goes-on")
    assert result.seen == "r0: 41000 KiB after 66520 KiB; r1: 41000 KiB after 66520 KiB"
    assert len(result.evidence) == 8, "console and journal, twice of each resource"


@pytest.mark.parametrize("second", [66520, 70000])
def test_a_resync_that_begins_anew(tmp_path: Path, second: int) -> None:
    result = judge_one(broken_off(second=second).save(tmp_path), "resync-goes-on")
    assert str(result.verdict) == "INVALID"
    assert f"r1: {second} KiB after 66520 KiB were to be copied by alpha" in result.seen


@pytest.mark.parametrize(("t_s", "moment"), [(12.2, "before"), (62, "after")])
def test_a_resync_that_was_never_told_of(tmp_path: Path, t_s: float, moment: str) -> None:
    folder = broken_off()
    folder.drop(lambda e: "drbd1: Began" in str(e.data) and abs(e.t_s - t_s) < 1)
    result = judge_one(folder.save(tmp_path), "resync-goes-on")
    assert str(result.verdict) == "INCONCLUSIVE"
    assert f"began no resync of r1 {moment} it went down" in result.seen


def test_it_is_asked_of_a_node_that_went_down_meanwhile(tmp_path: Path) -> None:
    for name, folder in (("none", healthy()), ("other", broken_off(machine="bravo"))):
        result = judge_one(folder.save(tmp_path / name), "resync-goes-on")
        assert "does not apply" in result.seen
