"""What a run did not test: scenarios of the features that it has no evidence of, and why.

The features that lie beside the harness are read, as they are now, and compared with what there is
evidence of. What the run's last part had chosen it has written down (``selection.json``), and what
ended it; of everything else tags and the commands of the run's parts tell why. Where the run has
nothing in common with these features (a suite of somebody's own, a drawn schedule) only what was
chosen is told of.
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
SELECTION = "selection.json"
"""As ``harness.nightly.selection`` writes it."""
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
    begun = {loaded.scenario.name for loaded in run.scenarios}
    begun |= {attempt.scenario for attempt in run.pending}
    groups = _chosen(run, begun)
    told = {name for _why, names in groups for name in names}
    known = list(known_scenarios(sorted(features.glob("*.feature"))))
    if not (begun | told) & {one.name for one in known}:
        where = "by what the run had chosen" if groups else ""
        return Untested(tuple(groups), where)
    missing = [one for one in known if one_line(one.name) not in told and one.name not in begun]
    commands = run_commands(read_json(run.folder / "run.json"))
    everything = any(_ALL.search(command) for command in commands)
    nightly = [one for one in missing if "nightly" in one.tags and not everything]
    others = [one for one in missing if one not in nightly]
    if others:
        why = "not selected by the run's command, or not begun before the run ended"
        groups.append((why, tuple(one_line(one.name) for one in others)))
    if nightly:
        why = "not selected: tagged @nightly, which runs with --all, in a nightly run, or by name"
        groups.append((why, tuple(one_line(one.name) for one in nightly)))
    return Untested(tuple(groups), f"by the {len(known)} scenarios of {features.name}/ as they are")


def _chosen(run: LoadedRun, begun: set[str]) -> list[tuple[str, tuple[str, ...]]]:
    """What was chosen by the run's last part, and not begun; by reason."""
    told = read_json(run.folder / SELECTION)
    left_out = [name for name in _names(told.get("left_out")) if name not in begun]
    waiting = [
        name for name in _names(told.get("chosen")) if name not in begun and name not in left_out
    ]
    ended = told.get("ended")
    why = one_line(str(ended), 300) if isinstance(ended, str) and ended else "it was stopped"
    groups = []
    if waiting:
        why = f"chosen, and not begun before the run ended: {why}"
        groups.append((why, tuple(one_line(name) for name in waiting)))
    if left_out:
        why = "chosen, and left out as it would not have ended in time (--budget)"
        groups.append((why, tuple(one_line(name) for name in left_out)))
    return groups


def _names(told: object) -> list[str]:
    return [one for one in (told if isinstance(told, list) else []) if isinstance(one, str)]
