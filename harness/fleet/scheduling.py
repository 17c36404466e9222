"""Who runs what next: the longest scenario first, one at a time, so that all end together.

Which takes how long is measured (harness.nightly.durations). A worker is given a scenario when it
has nothing to do, and never a second one to wait for behind the first; the rule is the greedy one
of Graham (1969): at worst 4/3 - 1/(3 N) of the shortest time in which N workers can be done.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from xdist.workermanage import WorkerController


@dataclass(frozen=True, slots=True)
class Task:
    """A scenario that is to be run.

    Attributes:
        nodeid: pytest's name of it.
        name: the scenario's.
        seconds: how long to reckon with.
    """

    nodeid: str
    name: str
    seconds: float


class Fleet(Protocol):
    """What the scheduler has to ask and to tell."""

    def has_cluster(self, worker: str) -> bool:
        """Whether a worker has a slot."""

    def someone_can_work(self) -> bool:
        """Whether there is a worker with a slot, or one is being started."""

    def fits(self, worker: str, task: Task) -> bool:
        """Whether a scenario can be expected to end in time."""

    def begins(self, worker: str, task: Task) -> None:
        """A worker was given a scenario."""

    def ended(self, worker: str, task: Task) -> None:
        """A worker has ended a scenario, and goes on."""

    def judged(self, worker: str, task: Task) -> bool:
        """Whether there is a verdict of what a worker was doing when it was lost."""


@dataclass(slots=True)
class _Worker:
    indices: Mapping[str, int] | None = None
    running: Task | None = None


def longest_first(tasks: Sequence[Task]) -> list[Task]:
    """The order in which they are begun; of those that take equally long, as they came."""
    return sorted(tasks, key=lambda task: -task.seconds)


def makespan_s(tasks: Sequence[Task], clusters: int) -> float:
    """How long so many clusters can be expected to take for them in that order, in seconds."""
    busy = [0.0] * clusters
    for task in longest_first(tasks):
        busy[busy.index(min(busy))] += task.seconds
    return max(busy)


class LongestFirst:
    """A scheduler of xdist (its protocol ``Scheduling``)."""

    def __init__(self, tasks: Sequence[Task], fleet: Fleet) -> None:
        self._fleet = fleet
        self._waiting = longest_first(tasks)
        self._workers: dict[WorkerController, _Worker] = {}
        self._by_id = {task.nodeid: task for task in tasks}

    @property
    def nodes(self) -> list[WorkerController]:
        """The workers that take part."""
        return list(self._workers)

    @property
    def collection_is_completed(self) -> bool:
        """What there is to run is known from the beginning: no worker waits for another."""
        return True

    @property
    def has_pending(self) -> bool:
        """Whether anything is still to be run, or running."""
        return bool(self._waiting) or any(one.running for one in self._workers.values())

    @property
    def tests_finished(self) -> bool:
        """Whether nothing more will be run."""
        return not self.has_pending or not self._fleet.someone_can_work()

    @property
    def waiting(self) -> list[Task]:
        """What nobody has begun."""
        return list(self._waiting)

    def add_node(self, node: WorkerController) -> None:
        """A worker is there; what it has collected comes later."""
        self._workers[node] = _Worker()
        if not self._fleet.has_cluster(node.gateway.id):
            node.shutdown()

    def add_node_collection(self, node: WorkerController, collection: Sequence[str]) -> None:
        """What a worker calls its tests by number."""
        self._workers[node].indices = {nodeid: at for at, nodeid in enumerate(collection)}

    def schedule(self) -> None:
        """Give every worker something to do that has nothing."""
        for node in self.nodes:
            self._hand_out(node)

    def mark_test_complete(
        self, node: WorkerController, item_index: int, duration: float = 0
    ) -> None:
        """A worker has ended what it was given."""
        worker = self._workers[node]
        if worker.running is not None:
            self._fleet.ended(node.gateway.id, worker.running)
            worker.running = None
        self._hand_out(node)

    def mark_test_pending(self, item: str) -> None:
        """A scenario was given back: it comes before all others."""
        self._waiting.insert(0, self._by_id[item])
        self.schedule()

    def remove_pending_tests_from_node(
        self, node: WorkerController, indices: Sequence[int]
    ) -> None:
        """Nothing waits at a worker that could be taken away."""
        raise NotImplementedError

    def remove_node(self, node: WorkerController) -> str | None:
        """A worker has ended, or was lost; what it was doing then, unless that was judged."""
        task = self._workers.pop(node).running
        if task is None or self._fleet.judged(node.gateway.id, task):
            return None
        return task.nodeid

    def _hand_out(self, node: WorkerController) -> None:
        """Give a worker the longest scenario that is left; end it if there is none."""
        worker, name = self._workers[node], node.gateway.id
        if worker.running is not None or worker.indices is None or node.shutting_down:
            return
        for task in self._waiting:
            if task.nodeid in worker.indices and self._fleet.fits(name, task):
                self._waiting.remove(task)
                worker.running = task
                self._fleet.begins(name, task)
                node.send_runtest_some([worker.indices[task.nodeid]])
                return
        # Its cluster would only take memory and time from the others.
        node.shutdown()
