"""One scenario on a lab: fork from the healthy snapshot, break, heal, collect, judge.

The evidence folder is made first and written to as things happen. Nothing here decides whether the
cluster behaved: that is for harness.checks, which reads the folder afterwards.
"""

from __future__ import annotations

from harness.scenario.doing import Doing
from harness.scenario.ending import Ending
from harness.scenario.model import Expectations as Expectations
from harness.scenario.model import ScenarioInfo as ScenarioInfo


class Scenario(Doing, Ending):
    """A scenario that is being run. ``fork`` first, ``finish`` at the end, ``close`` always."""
