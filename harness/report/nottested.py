"""What a run did not test: scenarios of the features that it has no evidence of, and why.

A run's folder does not say what was chosen. So the features that lie beside the harness are read,
as they are now, and compared with what there is evidence of; tags and the commands of the run's
parts tell why. Where the run has nothing in common with these features (a suite of somebody's own,
a drawn schedule) nothing is said.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.evidence.files import read_json
from harness.report.features import known_scenarios
from harness.report.load import run_commands
from harness.report.text import one_line

if TYPE_CHECKING:
    from harness.report.load import LoadedRun

FEATURES = Path(__file__).resolve().parents[2] / "features"
_ALL = re.compile(r"(?:^|\s)(?:--all\b|nightly\b)")


@dataclass(frozen=True, slots=True)
class Untested:
    """What there is no evidence of.

    Attributes:
        groups: (reason, names), the reasons in the order in which they are told.
        where: what this rests on; empty where nothing can be said.
    """

    groups: tuple[tuple[str, tuple[str, ...]], ...] = ()
    where: str = ""

    @property
    def count(self) -> int:
        """How many scenarios."""
        return sum(len(names) for _, names in self.groups)


def not_begun(run: LoadedRun, features: Path = FEATURES) -> Untested:
    """Every scenario of ``features`` that the run has no evidence of, with the reason."""
    known = list(known_scenarios(sorted(features.glob("*.feature"))))
    begun = {loaded.scenario.name for loaded in run.scenarios}
    if not begun & {one.name for one in known}:
        return Untested()
    begun |= {attempt.scenario for attempt in run.pending}
    missing = [one for one in known if one.name not in begun]
    commands = run_commands(read_json(run.folder / "run.json"))
    everything = any(_ALL.search(command) for command in commands)
    nightly = [one for one in missing if "nightly" in one.tags and not everything]
    others = [one for one in missing if one not in nightly]
    groups = []
    if others:
        why = "not selected by the run's command, or not begun before the run ended"
        groups.append((why, tuple(one_line(one.name) for one in others)))
    if nightly:
        why = "not selected: tagged @nightly, which runs with --all, in a nightly run, or by name"
        groups.append((why, tuple(one_line(one.name) for one in nightly)))
    return Untested(tuple(groups), f"by the {len(known)} scenarios of {features.name}/ as they are")
