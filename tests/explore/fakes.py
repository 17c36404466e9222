"""A runner that runs nothing: verdicts follow from a rule about the lines of the scenario."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.checks.verdict import CheckResult, ScenarioVerdict, Verdict
from harness.explore.feature import AFTER, BEFORE
from harness.explore.runner import Ran

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Rule = Callable[[list[str]], dict[str, Verdict]]

VALID, INVALID, INCONCLUSIVE = Verdict.VALID, Verdict.INVALID, Verdict.INCONCLUSIVE


def steps_of(feature: Path) -> list[str]:
    """The lines of a schedule's own steps, without their keywords."""
    lines = [line.strip() for line in feature.read_text().splitlines()]
    begin = lines.index(f"When {BEFORE} more writes of each raw LUN were acknowledged")
    end = lines.index(f"And {AFTER} more writes of each raw LUN were acknowledged", begin + 1)
    own = [line.removeprefix("And ") for line in lines[begin + 1 : end]]
    while own and own[-1] in (
        "everything is healed", "the writes go on again", "the failed actions are cleaned up",
    ):  # fmt: skip
        own.pop()
    return own


def verdict(slug: str, checks: dict[str, Verdict], error: str | None = None) -> ScenarioVerdict:
    results = tuple(
        CheckResult(name, name, said, "-", f"{name} saw it", operations=1)
        for name, said in {"witnesses": VALID, **checks}.items()
    )
    return ScenarioVerdict(slug, results, error)


class FakeRunner:
    """Judges by a rule; remembers what it was asked to run."""

    def __init__(
        self,
        folder: Path,
        rule: Rule = lambda _lines: {},
        *,
        seconds: float = 60.0,
        dies_at: int = 0,
        errors: Callable[[list[str]], str | None] = lambda _lines: None,
    ) -> None:
        self.folder = folder
        self.ran: list[list[str]] = []
        self.files: list[Path] = []
        self._rule = rule
        self._seconds = seconds
        self._dies_at = dies_at
        self._errors = errors

    def run(self, feature: Path) -> Ran:
        lines = steps_of(feature)
        evidence = self.folder / "evidence" / self._slug(feature)
        evidence.mkdir(parents=True)
        if len(self.ran) + 1 == self._dies_at:
            raise KeyboardInterrupt
        self.ran.append(lines)
        self.files.append(feature)
        judged = verdict(evidence.name, self._rule(lines), self._errors(lines))
        judged.save(evidence / "verdict.json")
        return Ran(evidence, judged, self._seconds)

    def _slug(self, feature: Path) -> str:
        root = self.folder / "evidence"
        there = {path.name for path in root.iterdir()} if root.is_dir() else set()
        number = 1
        while (slug := f"{feature.stem}-run{number}") in there:
            number += 1
        return slug

    def close(self) -> None:
        self.closed = True
