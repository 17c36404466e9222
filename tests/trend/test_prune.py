"""Pruning: what goes first, what stays, and what is never touched."""

from __future__ import annotations

import os
import re
import time
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from harness.cli import app
from harness.errors import HarnessError
from harness.report.trend.pruning import Limits, Removal, Stored, What, plan, remove
from tests.trend.build import DAY_NS, INCONCLUSIVE, INVALID, VALID, Came, began_ns, stored

if TYPE_CHECKING:
    from pathlib import Path

    from harness.checks.verdict import Verdict

NOW_NS = 100 * DAY_NS


def command(name: str, *arguments: object) -> str:
    result = CliRunner().invoke(app, [name, *map(str, arguments)])
    if result.exception is not None:
        raise result.exception
    return result.output


def old(reports: Path, *verdicts: Verdict, known: bool = True) -> list[Path]:
    """Runs of one night after another, long ago; each with evidence of about 100 KB."""
    runs = []
    for night, verdict in enumerate(verdicts):
        run = stored(reports, night, {"power off": Came(verdict)})
        (run / "evidence/power-off/console.log").write_bytes(b"x" * 100_000)
        runs.append(run)
    if known:
        command("trend", reports)
    for run in runs:
        age(run)
    return runs


def age(run: Path) -> None:
    past = time.time() - 100_000
    for path in (run, *run.rglob("*")):
        os.utime(path, (past, past), follow_symlinks=False)


def pruned(run: Path) -> bool:
    """Whether only the evidence is gone."""
    gone = not (run / "evidence").exists()
    assert not gone or {"run.json", "verdicts.json", "index.html", "pruned.json"} <= set(
        os.listdir(run)
    )
    return gone


def test_nothing_is_removed_unless_it_is_asked_for(tmp_path: Path) -> None:
    runs = old(tmp_path, VALID, VALID, VALID)
    said = command("prune", tmp_path, "--keep", 1)
    assert "would remove evidence of night-00" in said
    assert "--remove does it" in said
    assert not any(pruned(run) for run in runs)


def test_by_number_failures_three_times_as_many(tmp_path: Path) -> None:
    runs = old(tmp_path, INVALID, VALID, INVALID, INCONCLUSIVE, VALID, VALID)
    said = command("prune", tmp_path, "--keep", 1, "--remove")
    # Three newer ones are the limit for what failed.
    assert [pruned(run) for run in runs] == [True, True, True, False, True, False]
    assert "removed evidence of night-00" in said
    freed = re.search(r"([\d.]+) KiB of ([\d.]+) (?:KiB|MiB) removed", said)
    assert freed is not None
    assert float(freed[1]) > 4 * 97


def test_the_trend_outlives_the_evidence(tmp_path: Path) -> None:
    runs = old(tmp_path, *[VALID] * 4)
    command("prune", tmp_path, "--keep", 1, "--remove")
    said = command("trend", tmp_path)
    assert "4 runs in the database (0 new)" in said
    assert "note" not in said
    assert all(f"{run.name}/index.html" in (tmp_path / "index.html").read_text() for run in runs)
    for run in runs:
        age(run)
    command("prune", tmp_path, "--keep", 1, "--whole", "--remove")
    assert [run.exists() for run in runs] == [False, False, False, True]
    text = (tmp_path / "index.html").read_text()
    assert "night-00" in text
    assert "night-00/index.html" not in text, "written anew: no link leads nowhere"
    assert "4 runs in the database (0 new)" in command("trend", tmp_path)


def test_by_age() -> None:
    ages = ((95, True), (80, True), (40, False), (20, False), (1, False))
    runs = [a_run(days, failed) for days, failed in ages]
    chosen = plan(runs, Limits(older_than_s=30 * 86_400), NOW_NS)
    assert [(one.run, one.what) for one in chosen] == [
        (runs[0], What.EVIDENCE),
        (runs[2], What.EVIDENCE),
    ]
    assert chosen[0].why == "95 days old"
    whole = plan(runs, Limits(older_than_s=30 * 86_400, whole=True), NOW_NS)
    assert {one.what for one in whole} == {What.WHOLE}


def a_run(days: float, failed: bool, *, spared: str = "", evidence: int = 100) -> Stored:
    from pathlib import Path

    name = Path(f"run-{days}")
    return Stored(name, NOW_NS - round(days * DAY_NS), evidence, 10, failed, spared)


@pytest.mark.parametrize(
    ("quota", "expected"),
    [
        (550, []),
        (549, [(4, "evidence")]),
        (350, [(4, "evidence"), (2, "evidence")]),
        (250, [(4, "evidence"), (2, "evidence"), (5, "evidence")]),
        (150, [(4, "evidence"), (2, "evidence"), (5, "evidence"), (3, "evidence")]),
        (149, [(4, "whole run"), (2, "evidence"), (5, "evidence"), (3, "evidence")]),
        (1, [(4, "whole run"), (2, "whole run"), (5, "whole run"), (3, "whole run")]),
    ],
)
def test_by_quota_evidence_first_and_failures_last(
    quota: int, expected: list[tuple[int, str]]
) -> None:
    """Five runs of 110 bytes each, those of day 5 and 3 failed; the newest stays whatever comes."""
    runs = [a_run(days, days in (5, 3)) for days in (5, 4, 3, 2, 1)]
    chosen = plan(runs, Limits(quota_bytes=quota), NOW_NS)
    days = [round((NOW_NS - one.run.started_ns) / DAY_NS) for one in chosen]
    assert list(zip(days, [str(one.what) for one in chosen], strict=True)) == expected


def test_what_is_spared_counts_and_stays() -> None:
    runs = [a_run(3, False, spared="it may be going on"), a_run(2, False), a_run(1, False)]
    chosen = plan(runs, Limits(quota_bytes=1, keep=1), NOW_NS)
    assert [one.run for one in chosen] == [runs[1]]


def test_a_run_that_goes_on_is_never_touched(tmp_path: Path) -> None:
    writing, changed, working, quiet, _ = runs = old(tmp_path, *[VALID] * 5)
    (changed / "evidence/power-off/timeline.jsonl").write_text("{}")
    before = os.getcwd()
    with (writing / "evidence/power-off/console.log").open("ab"):
        os.chdir(working)
        try:
            said = command("prune", tmp_path, "--keep", 1, "--whole", "--remove")
        finally:
            os.chdir(before)
    assert [run.exists() for run in runs] == [True, True, True, False, True]
    assert quiet.name in said
    for run in (writing, changed, working):
        assert re.search(rf"spared {run.name}, .*: it may be going on", said)


def test_what_began_again_after_the_plan_is_left_alone(tmp_path: Path) -> None:
    run, other = old(tmp_path, VALID, VALID)
    own = Stored(run, began_ns(0), 1, 1, False, "")
    (run / "run.json").touch()
    assert not remove(Removal(own, What.WHOLE, ""))
    assert run.exists()
    stranger = Stored(other, 12345, 1, 1, False, "")
    assert not remove(Removal(stranger, What.WHOLE, "")), "another run of the same name"


def test_a_run_that_is_not_taken_in_stays_unless_told(tmp_path: Path) -> None:
    runs = old(tmp_path, VALID, VALID, VALID, known=False)
    said = command("prune", tmp_path, "--quota", "0.01M", "--remove")
    assert all(run.exists() for run in runs)
    assert not any(pruned(run) for run in runs)
    assert said.count("not in the database as it is") == 3
    assert "still more than the quota of 10.2 KiB" in said
    command("prune", tmp_path, "--keep", 1, "--unrecorded-too", "--remove")
    assert [pruned(run) for run in runs] == [False, False, False], "kept as failures are"
    command("prune", tmp_path, "--quota", "0.01M", "--unrecorded-too", "--remove")
    assert [run.exists() for run in runs] == [False, False, True]


def test_one_that_was_judged_again_since_is_not_taken_in(tmp_path: Path) -> None:
    run, _ = old(tmp_path, VALID, VALID)
    (run / "verdicts.json").write_text((run / "verdicts.json").read_text() + " ")
    age(run)
    assert "not in the database as it is" in command("prune", tmp_path, "--keep", 1, "--remove")
    assert not pruned(run)


def test_what_is_no_run_is_never_touched(tmp_path: Path) -> None:
    runs = old(tmp_path / "reports", VALID, VALID)
    reports = tmp_path / "reports"
    strangers = [reports / "campaign/mutant", reports / "notes", tmp_path / "outside"]
    for folder in strangers:
        folder.mkdir(parents=True)
        (folder / "keep").write_text("me")
    (reports / "notes/run.json").write_text("{}")
    (reports / "README.md").write_text("x")
    age(reports / "notes")
    (reports / "link").symlink_to(runs[0])
    (runs[0] / "evidence/outside").symlink_to(tmp_path / "outside")
    age(runs[0])
    options = ("--keep", 1, "--quota", "0.001M", "--unrecorded-too", "--whole", "--remove")
    command("prune", reports, *options)
    assert not runs[0].exists()
    assert all((folder / "keep").read_text() == "me" for folder in strangers)
    assert (reports / "README.md").exists()
    assert (reports / "link").is_symlink()


def test_a_removal_that_was_killed_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, third = old(tmp_path, VALID, VALID, VALID)

    def killed(path: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("harness.report.trend.pruning.shutil.rmtree", killed)
        with pytest.raises(BaseException):  # noqa: B017, PT011  (click turns it into its own)
            command("prune", tmp_path, "--keep", 2, "--remove")
        age(first)
        with pytest.raises(BaseException):  # noqa: B017, PT011
            command("prune", tmp_path, "--keep", 1, "--whole", "--remove")
    said = command("trend", tmp_path)
    assert "(0 new)" in said, "half of a run is not taken for a whole one"
    command("prune", tmp_path, "--keep", 1, "--whole", "--remove")
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == [third.name]
    assert not second.exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "no limit is given"),
        (["--older-than", "soon"], "--older-than 'soon'"),
        (["--quota", "20"], "--quota '20'"),
    ],
)
def test_mistakes_are_told_with_a_hint(tmp_path: Path, arguments: list[str], told: str) -> None:
    with pytest.raises(HarnessError, match=told) as raised:
        command("prune", tmp_path, *arguments)
    assert raised.value.hint
