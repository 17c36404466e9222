"""Evidence in, verdicts out: pure functions on an evidence folder (docs/evidence.md)."""

from harness.checks.judging import judge, judge_one
from harness.checks.keeping import judge_and_keep
from harness.checks.registry import ALL_CHECKS, Check
from harness.checks.verdict import CheckResult, ScenarioVerdict, Verdict, VerdictError

__all__ = [
    "ALL_CHECKS",
    "Check",
    "CheckResult",
    "ScenarioVerdict",
    "Verdict",
    "VerdictError",
    "judge",
    "judge_and_keep",
    "judge_one",
]
