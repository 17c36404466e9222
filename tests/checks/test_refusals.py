"""What proves that a node refuses to serve, and what does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.checks import judge_one
from tests.checks.build import healthy
from tests.checks.planting import with_samples

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.checks.build import Folder

CONTROLD, SCHEDULERD = "pacemaker-controld", "pacemaker-schedulerd"
# As on real nodes (drbd-utils 9.22, pacemaker 2.1.5).
PLACED = "INFO peer is reachable, my disk is UpToDate: placed constraint '{}'"
ALREADY = "INFO suitable constraint already placed: '{}'"
REMOVED = "INFO Removed constraint '{}'"
R0, R1 = ("drbd-fence-by-handler-r0-msg", "drbd-fence-by-handler-r1-msg")
CALCULATED = (
    "notice: Calculated transition 3, saving inputs in /var/lib/pacemaker/pengine/pe-input-2"
)
FAILED = "Operation 'reboot' targeting {} by {} for pacemaker-controld.683@bravo: {}"
NO_DATA = "block drbd0: State change failed: Need access to UpToDate data"
REFUSED = (
    "notice: Result of promote operation for d0 on {}: error (Refusing to be promoted to Primary "
    "without access to UpToDate data)"
)


def silent(*, fenced: bool = True) -> Folder:
    """From 21.5 to 29.5 s nobody serves, and nobody says why; alpha lost its power at 20 s."""
    folder = with_samples(healthy())
    folder.drop(lambda e: "lack of quorum" in str(e.data))
    if not fenced:
        folder.drop(lambda e: "Operation 'reboot'" in str(e.data))
    return folder


def says(t_s: float, node: str, text: str, identifier: str) -> Callable[[Folder], None]:
    return lambda folder: folder.journal(t_s, node, text, identifier)


def kernel(t_s: float, node: str, text: str) -> Callable[[Folder], None]:
    return lambda folder: folder.journal(t_s, node, text, "kernel", "kernel")


def placed(text: str, name: str, node: str = "alpha") -> Callable[[Folder], None]:
    return says(18, node, text.format(name), "crm-fence-peer.sh")


RAN = says(25, "bravo", CALCULATED, SCHEDULERD)


@pytest.mark.parametrize(
    "plants",
    [
        [says(28, "bravo", FAILED.format("alpha", "bravo", "Timer expired"), "pacemaker-fenced")],
        [says(28, "bravo", FAILED.format("alpha", "<no-one>", "No such device"),
              "pacemaker-fenced")],
        [],  # the scheduler said at 26 s that alpha will be fenced, and nothing came of it
    ],
    ids=["failed", "no device", "pending"],
)  # fmt: skip
def test_a_fencing_that_failed_or_is_pending(
    tmp_path: Path, plants: list[Callable[[Folder], None]]
) -> None:
    folder = silent(fenced=False)
    for plant in plants:
        plant(folder)
    found = judge_one(folder.save(tmp_path), "no-service")
    assert (str(found.verdict), found.seen) == ("VALID", "nobody served for 8 s")
    assert len(found.evidence) > 2, "where it was said"


def test_a_fencing_that_succeeded_in_the_end_is_no_refusal(tmp_path: Path) -> None:
    folder = silent()
    failed = FAILED.format("alpha", "bravo", "Timer expired")
    says(25, "bravo", failed, "pacemaker-fenced")(folder)
    found = judge_one(folder.save(tmp_path), "no-service")
    assert str(found.verdict) == "INCONCLUSIVE"


@pytest.mark.parametrize(
    ("plants", "verdict"),
    [
        ([placed(PLACED, R0), RAN], "VALID"),
        ([placed(ALREADY, R1), RAN], "VALID"),
        ([placed(PLACED, R0)], "INCONCLUSIVE"),  # nobody was asked to promote
        ([placed(PLACED, R0), says(19, "bravo", CALCULATED, SCHEDULERD)], "INCONCLUSIVE"),
        ([placed(PLACED, R0), says(25, "bravo", CALCULATED, "cron")], "INCONCLUSIVE"),
        ([placed(PLACED, R0, "bravo"), RAN], "INCONCLUSIVE"),  # it may serve itself
        ([placed(PLACED, R0), says(25.5, "bravo", REMOVED.format(R0), "crm-unfence-peer.sh"), RAN],
         "INCONCLUSIVE"),
        ([placed(PLACED, R0), says(25.5, "bravo", REMOVED.format(R1), "crm-unfence-peer.sh"), RAN],
         "VALID"),
        ([says(18, "alpha", PLACED.format(R0), "logger"), RAN], "INCONCLUSIVE"),
        ([says(30, "alpha", PLACED.format(R0), "crm-fence-peer.sh"), RAN], "INCONCLUSIVE"),
    ],
)  # fmt: skip
def test_a_constraint_of_the_peer_s(
    tmp_path: Path, plants: list[Callable[[Folder], None]], verdict: str
) -> None:
    folder = silent()
    for plant in plants:
        plant(folder)
    assert str(judge_one(folder.save(tmp_path), "no-service").verdict) == verdict


@pytest.mark.parametrize(
    ("plant", "verdict"),
    [
        (kernel(25, "bravo", NO_DATA), "VALID"),
        (kernel(25, "bravo", NO_DATA.replace("block drbd0", "drbd r0")), "VALID"),
        (kernel(25, "bravo", f"lab: {NO_DATA}"), "INCONCLUSIVE"),
        (kernel(19, "bravo", NO_DATA), "INCONCLUSIVE"),  # before the fault
        (says(25, "bravo", NO_DATA, "logger"), "INCONCLUSIVE"),  # not the kernel's word
        (kernel(25, "bravo", NO_DATA.replace("Need access to", "Peer has")), "INCONCLUSIVE"),
        (says(25, "bravo", REFUSED.format("bravo"), CONTROLD), "VALID"),
        (says(25, "bravo", REFUSED.format("alpha"), CONTROLD), "INCONCLUSIVE"),
        (says(25, "bravo", REFUSED.format("bravo"), "logger"), "INCONCLUSIVE"),
        (says(25, "bravo", "Result of promote operation for d0 on bravo: ok", CONTROLD),
         "INCONCLUSIVE"),
        # A promotion that fails for another reason may be a broken agent.
        (says(25, "bravo", "Result of promote operation for d0 on bravo: Timed Out after 120s",
              CONTROLD), "INCONCLUSIVE"),
    ],
)  # fmt: skip
def test_a_promotion_that_drbd_refused(
    tmp_path: Path, plant: Callable[[Folder], None], verdict: str
) -> None:
    folder = silent()
    plant(folder)
    assert str(judge_one(folder.save(tmp_path), "no-service").verdict) == verdict


def paused(*events: tuple[float, str]) -> Folder:
    """alpha is Primary all along, and libvirt tells these events of it; nobody is fenced."""
    folder = silent(fenced=False)
    folder.drop(lambda e: e.source == "alpha" and e.channel == "domain")
    folder.drop(lambda e: e.kind in ("lost", "open") or "Linux version" in str(e.data.get("text")))
    folder.drop(lambda e: e.data.get("boot_id") == "alpha-boot-2" or "role(" in str(e.data))
    folder.drop(lambda e: e.channel == "events2" and e.kind == "change")
    for event in folder.events:
        if event.channel == "fault":
            event.data["kind"] = "pause"
    for t_s, event_name in events:
        folder.add(t_s, "alpha", "domain", "lifecycle", event=event_name, detail="0")
    return folder


@pytest.mark.parametrize(
    ("events", "verdict", "says"),
    [
        ([(20.3, "suspended"), (30, "resumed")], "VALID", "nobody served"),
        ([(0.1, "resumed"), (20.3, "suspended")], "VALID", "nobody served"),
        ([], "INVALID", "alpha was Primary of r0"),
        ([(20.3, "suspended"), (21, "resumed")], "INVALID", "alpha was Primary of r0"),
        ([(20.3, "suspended"), (25, "resumed")], "INVALID", "alpha was Primary of r0"),
        ([(22, "suspended")], "INVALID", "alpha was Primary of r0"),
    ],
)
def test_a_primary_that_stands_still_serves_nobody(
    tmp_path: Path, events: list[tuple[float, str]], verdict: str, says: str
) -> None:
    found = judge_one(paused(*events).save(tmp_path), "no-service")
    assert str(found.verdict) == verdict
    assert says in found.seen


def test_nobody_else_is_promoted_meanwhile(tmp_path: Path) -> None:
    folder = paused((20.3, "suspended"), (30, "resumed"))
    folder.role(25, "bravo", "Primary")
    found = judge_one(folder.save(tmp_path), "no-service")
    assert str(found.verdict) == "INVALID"
    assert "bravo was Primary of r0 4 s into it" in found.seen
    assert "alpha" not in found.seen
