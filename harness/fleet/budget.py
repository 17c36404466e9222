"""Which scenarios fit into a given time when several clusters share the work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.fleet.scheduling import makespan_s

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.fleet.scheduling import Task


def within(
    tasks: Sequence[Task], last_ns: Mapping[str, int], clusters: int, budget_s: float
) -> tuple[list[Task], list[Task]]:
    """(what fits, what does not): as harness.nightly.budget has it, with more than one cluster.

    What was not run here for longest comes first. It fits if so many clusters can be expected to
    be done in time with it and all that was chosen before it, in the order in which they will run.

    Args:
        last_ns: by scenario's name, when it was last run here; 0 for never.
        budget_s: the time that is left when the labs are up, in seconds.
    """
    chosen: list[Task] = []
    left_out: list[Task] = []
    for task in sorted(tasks, key=lambda task: last_ns[task.name]):
        fits = makespan_s([*chosen, task], clusters) <= budget_s
        (chosen if fits else left_out).append(task)
    return chosen, left_out
