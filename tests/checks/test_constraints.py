"""A handler that calls the peer outdated and leaves it free to be promoted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.checks import judge_one
from tests.checks.build import healthy

if TYPE_CHECKING:
    from pathlib import Path

    from harness.checks import CheckResult
    from tests.checks.build import Folder

# Debian 12: DRBD 8.4.11 of Linux 6.1.0-50, crm-fence-peer.sh of drbd-utils 9.22, 2026-11-27.
CALLED = "drbd {0}: helper command: /sbin/drbdadm fence-peer {0}"
RETURNED = "drbd {}: fence-peer helper returned {}"
PLACED = (
    "INFO peer is reachable, my disk is UpToDate: placed constraint 'drbd-fence-by-handler-{}-msg'"
)


def handled(
    folder: Folder, t_s: float, resource: str, told: str, code: str = "4 (peer was fenced)"
) -> None:
    """bravo's handler is called, says something 5 s later, and returns."""
    folder.kernel(t_s, "bravo", CALLED.format(resource))
    if told:
        folder.journal(t_s + 5, "bravo", told, identifier="crm-fence-peer.sh")
    folder.kernel(t_s + 5.1, "bravo", RETURNED.format(resource, code))


def judged(folder: Folder, path: Path) -> CheckResult:
    return judge_one(folder.save(path), "constraint-placed")


def test_each_has_its_constraint(tmp_path: Path) -> None:
    folder = healthy()
    handled(folder, 40, "r0", PLACED.format("r0"))
    handled(folder, 41, "r1", PLACED.format("r1"))
    again = "INFO suitable constraint already placed: 'drbd-fence-by-handler-r0-msg'"
    handled(folder, 60, "r0", again)
    result = judged(folder, tmp_path)
    assert (str(result.verdict), result.details) == ("VALID", {"outdated": 3})
    assert len(result.evidence) >= 6


@pytest.mark.parametrize(
    "told",
    [
        "",
        PLACED.format("r1"),
        "WARNING DATA INTEGRITY at RISK: could not place the fencing constraint!",
    ],
)
def test_a_handler_that_only_says_so(tmp_path: Path, told: str) -> None:
    folder = healthy()
    handled(folder, 40, "r0", told)
    result = judged(folder, tmp_path)
    assert (str(result.verdict), result.seen) == (
        "INVALID",
        "r0: the handler of bravo called its peer outdated, and put no constraint on it",
    )
    assert len(result.when_ns) == 1
    assert result.evidence


def test_the_constraint_of_an_earlier_call_is_not_this_one_s(tmp_path: Path) -> None:
    folder = healthy()
    handled(folder, 25, "r0", PLACED.format("r0"))
    handled(folder, 60, "r0", "")
    assert str(judged(folder, tmp_path).verdict) == "INVALID"


def test_who_did_not_hear_the_call_looks_back_from_the_return(tmp_path: Path) -> None:
    folder = healthy()
    folder.journal(38, "bravo", PLACED.format("r0"), identifier="crm-fence-peer.sh")
    folder.kernel(40, "bravo", RETURNED.format("r0", "4 (peer was fenced)"))
    assert str(judged(folder, tmp_path).verdict) == "VALID"


@pytest.mark.parametrize(
    "code", ["7 (peer was stonithed)", "5 (peer is unreachable, assumed dead)"]
)
def test_of_a_peer_that_is_down_none_is_wanted(tmp_path: Path, code: str) -> None:
    folder = healthy()
    handled(folder, 40, "r0", "", code)
    assert str(judged(folder, tmp_path).verdict) == "VALID"


def test_what_nobody_streamed_says_nothing(tmp_path: Path) -> None:
    folder = healthy()
    folder.drop(lambda event: event.channel in ("console", "journal"))
    assert str(judged(folder, tmp_path).verdict) == "INCONCLUSIVE"
