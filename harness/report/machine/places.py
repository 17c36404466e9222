"""Where a scenario stands: its feature file and line, for annotations.

The evidence has names only, so the features at hand are searched; what is not found there has no
place, which is no error: a run may be looked at far from the code that made it.
"""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from harness.report.features import Known, known_scenarios

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from harness.evidence.model import Scenario

_EXAMPLE = re.compile(r" \[[^\[\]]*\]$")  # what an outline's name has for each of its examples


class Places:
    """Scenarios of feature files, by feature and name.

    Args:
        project: its ``features`` folder is searched, and paths in a scenario's own command are
            relative to it.
    """

    def __init__(self, project: Path) -> None:
        self._project = project
        self._known: dict[tuple[str, str], Known] = {}
        self._add(sorted((project / "features").rglob("*.feature")))

    def of(self, scenario: Scenario) -> Known | None:
        """Where a scenario stands; None where the features at hand do not have it."""
        if (found := self._find(scenario)) is None and (own := self._own_file(scenario)):
            self._add([own])
            found = self._find(scenario)
        return found

    def _find(self, scenario: Scenario) -> Known | None:
        for name in (scenario.name, _EXAMPLE.sub("", scenario.name)):
            if found := self._known.get((scenario.feature, name)):
                return found
        return None

    def _own_file(self, scenario: Scenario) -> Path | None:
        """The feature file that its command names; only within the project."""
        try:
            words = shlex.split(scenario.reproduce)
        except ValueError:
            return None
        for word in words:
            if word.endswith(".feature") and "\0" not in word:
                path = (self._project / word).resolve()
                if path.is_relative_to(self._project.resolve()) and path.is_file():
                    return path
        return None

    def _add(self, paths: Iterable[Path]) -> None:
        for one in known_scenarios(paths):
            for name in (one.name, one.outline):
                self._known.setdefault((one.feature, name), one)
