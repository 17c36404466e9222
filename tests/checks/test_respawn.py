"""A daemon that only the scenario started again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.checks import judge_one
from tests.checks.build import healthy

if TYPE_CHECKING:
    from pathlib import Path

    from harness.checks import CheckResult
    from tests.checks.build import Folder

# Of the sources of Pacemaker 2.1.5 and systemd 252; not yet seen in a run of this check.
SUBDAEMON = " notice: Respawning pacemaker-controld subdaemon after unexpected exit"
SURVIVED = " warning: One-off suppressing strict respawning of a child process pacemaker-controld, "
UNIT = "pacemaker.service: Scheduled restart job, restart counter is at 1."


def killed(daemon: str, seconds: float = 40) -> Folder:
    """Nobody loses power; a daemon of alpha is killed at 20 s and healed so much later."""
    folder = healthy()
    folder.drop(lambda event: event.channel in ("fault", "domain", "fence"))
    folder.drop(lambda event: "Linux version" in str(event.data))
    fault = {
        "fault": "daemon-killed", "kind": "daemon-killed", "target": f"{daemon} of alpha",
        "machine": "alpha", "id": "f1",
    }  # fmt: skip
    end = 20 + seconds
    for t_s, event in ((20, "inject"), (20.5, "bitten"), (end, "heal"), (end + 1, "healed")):
        folder.add(t_s, "host", "fault", event, **fault, proof="seen")
    return folder


def judged(folder: Folder, path: Path) -> CheckResult:
    return judge_one(folder.save(path), "respawned")


@pytest.mark.parametrize(
    ("daemon", "by", "message"),
    [
        ("pacemaker-controld", "pacemakerd", SUBDAEMON),
        ("pacemaker-controld", "pacemakerd", SURVIVED),
        ("pacemakerd", "systemd", UNIT),
    ],
)
def test_somebody_starts_it_again(tmp_path: Path, daemon: str, by: str, message: str) -> None:
    folder = killed(daemon)
    folder.journal(22, "alpha", message, identifier=by)
    result = judged(folder, tmp_path / "told")
    assert (str(result.verdict), result.seen) == ("VALID", f"{daemon} of alpha")
    for name, t_s, node, who in (
        ("before", 19, "alpha", by), ("late", 70, "alpha", by), ("other", 22, "bravo", by),
        ("nobody", 22, "alpha", "crm_mon"),
    ):  # fmt: skip
        folder = killed(daemon)
        folder.journal(t_s, node, message, identifier=who)
        result = judged(folder, tmp_path / name)
        assert (str(result.verdict), result.seen) == (
            "INCONCLUSIVE", f"nobody told that it started {daemon} of alpha in 40 s"
        )  # fmt: skip


def test_another_one_s_start_is_not_its_own(tmp_path: Path) -> None:
    folder = killed("pacemaker-attrd")
    folder.journal(22, "alpha", SUBDAEMON, identifier="pacemakerd")
    folder.journal(22, "alpha", UNIT, identifier="systemd")
    assert str(judged(folder, tmp_path).verdict) == "INCONCLUSIVE"


def test_what_nobody_was_to_start_again(tmp_path: Path) -> None:
    for name, folder in (("c", killed("corosync")), ("soon", killed("pacemakerd", 10))):
        result = judged(folder, tmp_path / name)
        assert (str(result.verdict), result.seen) == (
            "VALID", "none that anybody was to start again"
        )  # fmt: skip
    folder = killed("pacemakerd")
    folder.add(35, "alpha", "domain", "lifecycle", event="stopped", detail="failed")
    assert str(judged(folder, tmp_path / "fenced").verdict) == "VALID"
