"""Evidence and verdicts in; HTML, JUnit and terminal lines out: pure functions on a run folder."""

from harness.report.junit import write_junit
from harness.report.page import write_report
from harness.report.terminal import summary_lines

__all__ = ["summary_lines", "write_junit", "write_report"]
