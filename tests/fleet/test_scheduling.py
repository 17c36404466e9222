"""Who is given what: the longest first, one at a time, and what a lost worker did once more."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from harness.fleet.budget import within
from harness.fleet.scheduling import LongestFirst, Task, longest_first, makespan_s


def tasks(**seconds: float) -> list[Task]:
    return [Task(f"t::{name}", name, one) for name, one in seconds.items()]


class Node:
    """A worker as xdist has it."""

    def __init__(self, name: str) -> None:
        self.gateway = SimpleNamespace(id=name)
        self.sent: list[int] = []
        self.shutting_down = False

    def send_runtest_some(self, indices: list[int]) -> None:
        self.sent += indices

    def shutdown(self) -> None:
        self.shutting_down = True


@dataclass
class Fleet:
    """Workers that all have a cluster, and as much time as they want."""

    without: set[str] = field(default_factory=set)
    judged_by: set[str] = field(default_factory=set)
    too_long: set[str] = field(default_factory=set)
    alive: bool = True
    done: list[str] = field(default_factory=list)

    def has_cluster(self, worker: str) -> bool:
        return worker not in self.without

    def someone_can_work(self) -> bool:
        return self.alive

    def fits(self, worker: str, task: Task) -> bool:
        return task.name not in self.too_long

    def begins(self, worker: str, task: Task) -> None:
        pass

    def ended(self, worker: str, task: Task) -> None:
        self.done.append(task.name)

    def judged(self, worker: str, task: Task) -> bool:
        return worker in self.judged_by


class Run:
    """A scheduler with workers that have collected."""

    def __init__(self, todo: list[Task], workers: int, **fleet: Any) -> None:
        self.fleet = Fleet(**fleet)
        self.scheduler = LongestFirst(todo, self.fleet)
        # Workers collect in an order of their own, and more than is wanted.
        self.collected = ["t::other", *sorted(task.nodeid for task in todo)]
        self.nodes = [Node(f"gw{number}") for number in range(workers)]
        for node in self.nodes:
            self.add(node)

    def add(self, node: Node) -> None:
        self.scheduler.add_node(node)
        self.scheduler.add_node_collection(node, self.collected)
        self.scheduler.schedule()

    def has(self, node: Node) -> list[str]:
        return [self.collected[index].removeprefix("t::") for index in node.sent]

    def ends(self, node: Node) -> None:
        self.scheduler.mark_test_complete(node, node.sent[-1])


def test_each_is_given_one_and_the_longest_first() -> None:
    run = Run(tasks(a=10, b=40, c=30, d=20), 2)
    one, two = run.nodes
    assert (run.has(one), run.has(two)) == (["b"], ["c"])
    run.ends(two)
    run.ends(two)
    assert (run.has(one), run.has(two)) == (["b"], ["c", "d", "a"])
    run.ends(two)
    assert two.shutting_down, "its cluster would only be in the way"
    assert not one.shutting_down
    assert not run.scheduler.tests_finished
    run.ends(one)
    assert run.scheduler.tests_finished
    assert run.fleet.done == ["c", "d", "a", "b"]


def test_of_equally_long_ones_the_first_comes_first() -> None:
    assert [one.name for one in longest_first(tasks(a=5, b=7, c=5, d=7))] == ["b", "d", "a", "c"]


@pytest.mark.parametrize(
    ("seconds", "clusters", "expected", "best"),
    [
        ([5, 5, 4, 4, 3, 3, 3], 3, 11, 9),  # the worst case for three: Graham's own
        ([10], 4, 10, 10),
        ([1, 1, 1, 1], 2, 2, 2),
        ([8, 1, 1], 1, 10, 10),
        ([3, 3, 2, 2, 2], 2, 7, 6),
    ],
)
def test_how_long_it_takes(
    seconds: list[float], clusters: int, expected: float, best: float
) -> None:
    todo = tasks(**{f"t{number}": one for number, one in enumerate(seconds)})
    assert makespan_s(todo, clusters) == expected
    assert makespan_s(todo, clusters) <= (4 / 3 - 1 / (3 * clusters)) * best + 1e-9


def test_what_a_lost_worker_did_comes_before_all_others() -> None:
    run = Run(tasks(a=40, b=30, c=20), 1)
    (one,) = run.nodes
    assert run.scheduler.remove_node(one) == "t::a"
    run.scheduler.mark_test_pending("t::a")
    two = Node("gw1")
    run.add(two)
    assert run.has(two) == ["a"]


def test_what_was_judged_already_is_not_given_back() -> None:
    run = Run(tasks(a=40, b=30), 1, judged_by={"gw0"})
    assert run.scheduler.remove_node(run.nodes[0]) is None
    two = Node("gw1")
    run.add(two)
    assert run.has(two) == ["b"]


def test_a_worker_without_a_cluster_is_given_nothing() -> None:
    run = Run(tasks(a=40, b=30), 2, without={"gw1"})
    assert run.nodes[1].shutting_down
    assert run.has(run.nodes[1]) == []


def test_where_nobody_can_work_it_is_over_and_what_is_left_is_known() -> None:
    run = Run(tasks(a=40, b=30), 1)
    run.scheduler.remove_node(run.nodes[0])
    run.fleet.alive = False
    assert run.scheduler.tests_finished
    assert [task.name for task in run.scheduler.waiting] == ["b"]


def test_what_does_not_fit_any_more_is_not_begun_and_a_shorter_one_is() -> None:
    run = Run(tasks(a=40, b=30, c=20), 1, too_long={"a", "b"})
    (one,) = run.nodes
    assert run.has(one) == ["c"]
    run.ends(one)
    assert one.shutting_down
    assert [task.name for task in run.scheduler.waiting] == ["a", "b"]


def test_a_worker_that_collected_nothing_is_ended() -> None:
    run = Run(tasks(a=40), 0)
    node = Node("gw0")
    run.scheduler.add_node(node)
    run.scheduler.schedule()
    assert not node.shutting_down, "it is still busy with that"
    run.scheduler.add_node_collection(node, [])
    run.scheduler.schedule()
    assert node.shutting_down


def test_two_clusters_have_twice_the_time_and_what_is_due_comes_first() -> None:
    todo = tasks(a=60, b=60, c=60, d=30)
    last = {"a": 4, "b": 1, "c": 2, "d": 3}
    for clusters, names in ((1, ["b", "d"]), (2, ["b", "c", "d"]), (3, ["b", "c", "d", "a"])):
        chosen, left_out = within(todo, last, clusters, 100)
        assert [task.name for task in chosen] == names
        assert {task.name for task in left_out} == {"a", "b", "c", "d"} - set(names)
    assert within(todo, last, 2, -5) == ([], sorted(todo, key=lambda task: last[task.name]))
