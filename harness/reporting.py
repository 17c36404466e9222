"""From stored evidence to verdicts and reports. Needs no VM and no libvirt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.checks import Verdict, VerdictError, judge_and_keep
from harness.checks.verdict import read_run_verdicts, write_run_verdicts
from harness.errors import ExitCode
from harness.report import summary_lines, write_junit, write_report

if TYPE_CHECKING:
    from pathlib import Path


def judge_again(folder: Path) -> None:
    """Judge every scenario of a stored run again."""
    for evidence in sorted((folder / "evidence").iterdir()):
        if evidence.is_dir():
            # Also where scenario.json is gone: an old verdict must not stand for it.
            judge_and_keep(evidence)


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
    if Verdict.INVALID in verdicts:
        return int(ExitCode.INVALID)
    if len(verdicts) < len(read) or not verdicts:
        return int(ExitCode.HARNESS_ERROR)
    return int(ExitCode.INCONCLUSIVE if Verdict.INCONCLUSIVE in verdicts else ExitCode.VALID)
