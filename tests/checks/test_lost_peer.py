"""Replication that is lost more often than its link is cut, and handlers that are called again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.checks import judge_one
from harness.checks.profile import timing_of
from harness.evidence.files import write_json
from harness.evidence.model import Evidence
from harness.timing import KVM, TCG
from tests.checks.build import healthy

if TYPE_CHECKING:
    from pathlib import Path

    from harness.checks import CheckResult
    from tests.checks.build import Folder

LOST = "drbd {}: peer( Secondary -> Unknown ) conn( Connected -> {} ) pdsk( UpToDate -> DUnknown )"
CALLED = "drbd {}: helper command: /sbin/drbdadm fence-peer {}"
DRBD = "drbd link of alpha and bravo"


def links_alone(*faults: tuple[str, str], moved: bool = False) -> Folder:
    """Nobody loses power; so many faults of these kinds and targets, 10 s each.

    alpha is Primary all the time, unless the resources move to bravo.
    """
    folder = healthy()
    folder.drop(lambda event: event.channel in ("fault", "domain", "fence"))
    folder.drop(lambda event: "Linux version" in str(event.data))
    if not moved:
        folder.drop(lambda event: 31 <= event.t_s < 31.5 and event.source == "bravo")
        folder.drop(lambda event: event.data.get("what") == "drbd" and event.t_s > 31)
    for number, (kind, target) in enumerate(faults):
        fault = {"fault": kind, "kind": kind, "target": target, "id": f"f{number}"}
        for t_s, event in ((0, "inject"), (1, "bitten"), (9, "heal"), (10, "healed")):
            folder.add(20 + 15 * number + t_s, "host", "fault", event, **fault, proof="seen")
    return folder


def lose(folder: Folder, t_s: float, resource: str, why: str = "NetworkFailure") -> None:
    """alpha, the Primary, loses its peer and has it fenced."""
    folder.kernel(t_s, "alpha", LOST.format(resource, why))
    folder.kernel(t_s + 0.1, "alpha", CALLED.format(resource, resource))
    folder.kernel(t_s + 2, "alpha", CALLED.format(resource, resource) + " exit code 4 (0x400)")


def judged(folder: Folder, path: Path) -> CheckResult:
    return judge_one(folder.save(path), "lost-peer")


def test_one_loss_for_each_cut(tmp_path: Path) -> None:
    folder = links_alone(("cut-carrier", DRBD), ("cut-silent", f"data and {DRBD}, inbound only"))
    for t_s in (25, 40):
        lose(folder, t_s, "r0", "Timeout")
    lose(folder, 41, "r1")
    folder.kernel(28, "alpha", "drbd r0: conn( WFReportParams -> NetworkFailure )")
    result = judged(folder, tmp_path)
    assert (str(result.verdict), result.seen) == (
        "VALID", "no connection was lost more than 2 times, the drbd link was cut 2 times",
    )  # fmt: skip
    assert result.details == {"cuts": 2, "losses": {"alpha r0": 2, "alpha r1": 1}}
    assert result.operations > 0


@pytest.mark.parametrize(
    ("kind", "target"),
    [("latency", "drbd link of alpha, 200 ms late"), ("cut-carrier", "mgmt link of alpha")],
)
def test_a_delay_is_no_cut_and_nor_is_a_cut_of_another_link(
    tmp_path: Path, kind: str, target: str
) -> None:
    folder = links_alone((kind, target))
    assert str(judged(folder, tmp_path / "kept").verdict) == "VALID"
    lose(folder, 25, "r1")
    result = judged(folder, tmp_path / "lost")
    assert (str(result.verdict), result.seen) == (
        "INVALID", "alpha r1: lost its peer 1 times, the drbd link was never cut"
    )  # fmt: skip
    assert len(result.when_ns) == 1
    assert len(result.evidence) == 2, "console and journal"


@pytest.mark.parametrize("state", ["SyncTarget", "VerifyS", "PausedSyncS", "WFBitMapT"])
def test_a_loss_in_the_middle_of_a_resync_is_one(tmp_path: Path, state: str) -> None:
    folder = links_alone(("cut-carrier", DRBD))
    lose(folder, 25, "r0")
    folder.kernel(31, "alpha", f"block drbd0: conn( {state} -> BrokenPipe )")
    result = judged(folder, tmp_path)
    assert "alpha r0: lost its peer 2 times, the drbd link was cut 1 times" in result.seen


def test_a_handler_that_is_called_again_while_nothing_new_happened(tmp_path: Path) -> None:
    folder = links_alone(("cut-carrier", DRBD))
    lose(folder, 25, "r0")
    folder.kernel(27, "alpha", CALLED.format("r0", "r0"))
    result = judged(folder, tmp_path)
    assert str(result.verdict) == "INVALID"
    assert result.seen == "alpha r0: fence-peer was called 2 times, the peer was lost 1 times"


def test_a_long_cut_that_nobody_noticed_is_no_cut(tmp_path: Path) -> None:
    def cut(target: str, seconds: float) -> Folder:
        folder = links_alone()
        fault = {"fault": "cut", "kind": "cut-silent", "target": target, "id": "f0"}
        for t_s, event in ((19, "inject"), (20, "bitten"), (20 + seconds, "heal")):
            folder.add(t_s, "host", "fault", event, **fault, proof="frames dropped: 41")
        return folder

    for name, folder in (("short", cut(DRBD, 26)), ("other", cut("mgmt link of alpha", 45))):
        assert str(judged(folder, tmp_path / name).verdict) == "VALID"
    folder = cut(DRBD, 45)
    lose(folder, 27, "r0")
    result = judged(folder, tmp_path / "half")
    assert (str(result.verdict), result.seen) == (
        "INCONCLUSIVE", f"cut: {DRBD} for 45 s; nobody lost its peer of r1"
    )  # fmt: skip
    lose(folder, 28, "r1")
    assert str(judged(folder, tmp_path / "noticed").verdict) == "VALID"


def test_a_promotion_without_the_peer_calls_the_handler_too(tmp_path: Path) -> None:
    folder = links_alone(("cut-carrier", DRBD), moved=True)
    lose(folder, 25, "r0")
    for t_s in (29, 30):
        folder.kernel(t_s, "bravo", CALLED.format("r0", "r0"))
    assert str(judged(folder, tmp_path).verdict) == "VALID"


@pytest.mark.parametrize(("losses", "verdict"), [(20, "VALID"), (21, "INVALID")])
def test_a_link_that_flaps_is_cut_each_time(tmp_path: Path, losses: int, verdict: str) -> None:
    folder = links_alone(("flapping", f"{DRBD}, 20 times, 5 s down, 5 s up"))
    for number in range(losses):
        lose(folder, 21 + 3 * number, "r0")
    assert str(judged(folder, tmp_path).verdict) == verdict


@pytest.mark.parametrize(("again", "verdict"), [(20, "VALID"), (21, "INVALID")])
def test_a_flap_in_the_middle_of_a_handshake_calls_the_handler_again(
    tmp_path: Path, again: int, verdict: str
) -> None:
    """Each time that the link is back may end before the peers have shaken hands."""
    folder = links_alone(("flapping", f"{DRBD}, 20 times, 1 s down, 1 s up"))
    for number in range(5):
        lose(folder, 21 + number, "r0")
    for number in range(again):
        broken_off = "drbd r0: conn( WFReportParams -> NetworkFailure )"
        folder.kernel(26.2 + number, "alpha", broken_off)
        folder.kernel(26.3 + number, "alpha", CALLED.format("r0", "r0"))
    result = judged(folder, tmp_path)
    assert str(result.verdict) == verdict, result.seen


def test_how_soon_a_loss_is_noticed_follows_from_the_profile(tmp_path: Path) -> None:
    def cut(folder: Folder, seconds: float) -> Folder:
        fault = {"fault": "cut", "kind": "cut-silent", "target": DRBD, "id": "f0"}
        for t_s, event in ((19, "inject"), (20, "bitten"), (20 + seconds, "heal")):
            folder.add(t_s, "host", "fault", event, **fault, proof="frames dropped: 41")
        return folder

    patient = TCG.model_copy(update={"drbd_ping_int_s": 10})
    assert (TCG.peer_noticed_s, patient.peer_noticed_s) == (27, 42)
    for name, timing, verdict in (("tcg", TCG, "INCONCLUSIVE"), ("patient", patient, "VALID")):
        run: dict[str, object] = {"run": "r", "started_ns": 1, "accelerator": "tcg"}
        run |= {"harness": "h", "timing": timing.model_dump()}
        folder = tmp_path / name
        folder.mkdir()
        write_json(folder / "run.json", run)
        found = judged(cut(links_alone(), 30), folder / "scenarios" / "one")
        assert str(found.verdict) == verdict


def test_a_run_of_an_older_profile_is_judged_by_its_accelerator(tmp_path: Path) -> None:
    run = {"run": "r", "started_ns": 1, "accelerator": "kvm", "harness": "h", "timing": {"a": 1}}
    write_json(tmp_path / "run.json", run)
    links_alone().save(tmp_path / "scenarios" / "one")
    assert timing_of(Evidence(tmp_path / "scenarios" / "one")) == KVM
    links_alone().save(tmp_path / "elsewhere" / "scenarios" / "one")
    assert timing_of(Evidence(tmp_path / "elsewhere" / "scenarios" / "one")) == TCG


def test_a_link_of_which_is_not_known_how_often_it_flapped(tmp_path: Path) -> None:
    result = judged(links_alone(("flapping", DRBD)), tmp_path)
    assert str(result.verdict) == "INCONCLUSIVE"
    assert "does not say how often" in result.seen


def test_copies_that_arrive_too_far_apart_are_one_loss(tmp_path: Path) -> None:
    folder = links_alone(("cut-carrier", DRBD))
    text = LOST.format("r0", "Timeout")
    folder.add(25, "alpha", "console", "line", text=f"[  125.000000] {text}")
    folder.journal(85, "alpha", text, identifier="kernel", transport="kernel")
    assert str(judged(folder, tmp_path).verdict) == "VALID"


def test_it_is_asked_only_where_links_alone_were_broken(tmp_path: Path) -> None:
    beside = links_alone(("latency", DRBD), ("slow-disk", "disk of alpha"))
    lossy = links_alone(("loss", "drbd link of alpha, 20 % of its frames are lost"))
    folders = {"power": healthy(), "none": links_alone(), "beside": beside, "lossy": lossy}
    for name, folder in folders.items():
        assert "does not apply" in judged(folder, tmp_path / name).seen
