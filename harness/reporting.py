"""From stored evidence to verdicts and reports. Needs no VM and no libvirt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.checks import Verdict, VerdictError, judge_and_keep
from harness.checks.verdict import read_run_verdicts, write_run_verdicts
from harness.errors import ExitCode
from harness.evidence.attempts import superseded
from harness.report import summary_lines, write_junit, write_report
from harness.report.earlier import earlier_attempts
from harness.report.leftovers import left_behind

if TYPE_CHECKING:
    from pathlib import Path


def judge_again(folder: Path) -> None:
    """Judge every scenario of a stored run again, and what was judged of its earlier attempts."""
    for evidence in sorted((folder / "evidence").iterdir()):
        if evidence.is_dir():
            # Also where scenario.json is gone: an old verdict must not stand for it.
            judge_and_keep(evidence)
    for attempt in superseded(folder):
        if (attempt / "verdict.json").exists():
            judge_and_keep(attempt)


def report(folder: Path) -> int:
    """Write HTML, JUnit and verdicts.json of a run and print its verdicts.

    Returns:
        The exit code that it stands for.
    """
    path = write_report(folder)
    write_junit(folder)
    read = read_run_verdicts(folder)
    write_run_verdicts(folder, read)
    print()
    for line in summary_lines(folder):
        print(line)
    print(f"Report: {path}")
    verdicts = [one.verdict for one in read.values() if not isinstance(one, VerdictError)]
    whole = bool(verdicts) and len(verdicts) == len(read)
    # Whatever came of trying again: what was once seen red counts.
    verdicts += [one.verdict for one in earlier_attempts(folder) if one.verdict is not None]
    if Verdict.INVALID in verdicts:
        return int(ExitCode.INVALID)
    if not whole or left_behind(folder):
        # What is left behind is no finding about the cluster: it is ours.
        return int(ExitCode.HARNESS_ERROR)
    return int(ExitCode.INCONCLUSIVE if Verdict.INCONCLUSIVE in verdicts else ExitCode.VALID)
