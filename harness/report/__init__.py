"""Evidence and verdicts in; HTML, files for machines and terminal lines out: pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.report import page
from harness.report.junit import write_junit
from harness.report.machine import write_machine_files
from harness.report.terminal import summary_lines

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["summary_lines", "write_junit", "write_report"]


def write_report(run_folder: Path) -> Path:
    """Write the page of a run folder, and then what machines read: one is never without the other.

    Returns:
        The path of the page.

    Raises:
        OSError: a file cannot be written.
    """
    path = page.write_report(run_folder)
    write_machine_files(run_folder)
    return path
