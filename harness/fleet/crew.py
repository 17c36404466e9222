"""The workers of a run: who has which slot, what each of them does, and what of it was lost."""

from __future__ import annotations

import contextlib
import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

import libvirt

from harness.errors import HarnessError
from harness.evidence.clock import now_ns
from harness.fleet.gathering import gather_part
from harness.fleet.journal import Journal
from harness.fleet.parts import Part
from harness.fleet.worker import INPUT, told
from harness.lab.gc import collect_garbage
from harness.progress import console
from harness.report.text import duration
from harness.resuming import by_name, done_before, verdict_of

if TYPE_CHECKING:
    from pathlib import Path

    from xdist.workermanage import WorkerController

    from harness.fleet.pool import Pool, Slot
    from harness.fleet.scheduling import Task
    from harness.lab.paths import Cache
    from harness.session import RunOptions


def say(text: str) -> None:
    """A line on the controller's terminal."""
    console.print(text, markup=False)


def remove_labs(cache: Cache) -> None:
    """Remove labs that nobody holds any more, and say what could not be removed."""
    try:
        for what in collect_garbage(cache):
            say(f"• removed {what}")
    except (HarnessError, libvirt.libvirtError, OSError) as error:
        say(f"• an abandoned lab is still there: {error}")


@dataclass(slots=True)
class Member:
    """A worker as the controller knows it.

    Attributes:
        slot, part: None where there was no slot left for it.
        over: it has ended, or was lost.
        began_ns: when it was given what it does now; 0 before the first.
    """

    node: WorkerController
    slot: Slot | None = None
    part: Part | None = None
    over: bool = False
    began_ns: int = 0

    def __str__(self) -> str:
        return f"{self.node.gateway.id} on {self.slot}"

    def busy(self) -> bool:
        """Whether it has a lab, or may have one: its process outlives that, and waits for xdist."""
        return (
            self.part is not None
            and not self.over
            and not self.node.channel.isclosed()
            and self.part.pid != 0
        )


class Crew:
    """What the scheduler asks of the workers (its ``Fleet``), and what becomes of them.

    Args:
        options: of the run; ``folder`` is its folder.
        began_ns: when the run, or this part of it, began.
        lab_s: how long a lab takes until its first scenario begins, in seconds.

    Attributes:
        codes: exit codes that workers gave as the reason why they were lost.
    """

    def __init__(self, options: RunOptions, pool: Pool, began_ns: int, lab_s: float) -> None:
        assert options.folder is not None
        self.codes: list[int] = []
        self._run = options.folder
        self._options = options
        self._pool = pool
        self._began_ns = began_ns
        self._lab_s = lab_s
        self._members: dict[str, Member] = {}
        self._given_back: set[str] = set()

    @property
    def members(self) -> list[Member]:
        """All workers that were ever started."""
        return list(self._members.values())

    def join(self, node: WorkerController) -> None:
        """Give a worker that is about to start its slot and its part, if there is a slot."""
        worker = node.gateway.id
        member = self._members[worker] = Member(node, self._pool.assign())
        if member.slot is None:
            return
        host = member.slot.host
        moments = self._began_ns, now_ns()
        member.part = Part.make(self._run, worker, host.name, member.slot.number, moments)
        options = dataclasses.replace(
            self._options,
            cache=host.cache,
            connect=host.connect,
            folder=member.part.folder,
            # What is to be run was chosen already, once for all workers.
            resume=False,
            again=False,
            budget_s=None,
            only=(),
            tags=(),
            themes=(),
            everything=True,
        )
        node.workerinput[INPUT] = told(member.part, options)

    # ------------------------------------------------------------------ asked by the scheduler

    def has_cluster(self, worker: str) -> bool:
        """Whether a worker has a slot."""
        return self._members[worker].slot is not None and not self._members[worker].over

    def someone_can_work(self) -> bool:
        """Whether there is a worker with a slot, or one is being started."""
        return any(self.has_cluster(worker) for worker in self._members)

    def fits(self, worker: str, task: Task) -> bool:
        """Whether a scenario can be expected to end in time."""
        return self.has_time(task, with_lab=not self._members[worker].began_ns)

    def has_time(self, task: Task, *, with_lab: bool = False) -> bool:
        """Whether there is time for a scenario. ``with_lab``: and for a lab before it."""
        budget_s = self._options.budget_s
        spent_s = (now_ns() - self._began_ns) / 1e9 + (self._lab_s if with_lab else 0.0)
        return budget_s is None or spent_s + task.seconds <= budget_s

    def begins(self, worker: str, task: Task) -> None:
        """A worker was given a scenario."""
        self._members[worker].began_ns = now_ns()
        say(f"▶ {self._members[worker]}: {task.name} (about {duration(task.seconds)})")

    def ended(self, worker: str, task: Task) -> None:
        """A worker has ended a scenario, and goes on: what it did before that one is complete."""
        member = self._members[worker]
        assert member.part is not None
        took = duration((now_ns() - member.began_ns) / 1e9)
        last = _evidence(member.part, task)
        verdict = verdict_of(last) if last is not None else None
        say(f"■ {worker}: {verdict or 'no verdict'}: {task.name} ({took})")
        # What cannot be moved now is moved when the run ends.
        with contextlib.suppress(OSError):
            gather_part(self._run, member.part, but=last)

    def judged(self, worker: str, task: Task) -> bool:
        """Whether there is a verdict of what a worker was doing when it was lost."""
        part = self._members[worker].part
        return part is not None and task.name in done_before(part.folder, (), again=False)

    # ------------------------------------------------------------------ told by xdist

    def leaves(self, node: WorkerController, error: object | None) -> None:
        """A worker has ended: its slot is free; or, with an error, lost with it."""
        member = self._members[node.gateway.id]
        if member.over or member.slot is None:
            return
        member.over = True
        if error is None:
            self._pool.give_back(member.slot)
        else:
            self._lose(member, member.slot)

    def _lose(self, member: Member, slot: Slot) -> None:
        """Take the slot of a worker that was lost out of the pool, and remove its lab."""
        assert member.part is not None
        member.part.wait_for_end()
        lost = member.part.lost()
        why = str(lost.get("why", "its process ended without a word"))
        # On a libvirt that was there before, all labs go with it; a private one is one lab's own.
        self._pool.retire(slot, with_host=bool(lost.get("host") and slot.host.connect))
        if isinstance(code := lost.get("code"), int):
            self.codes.append(code)
        say(f"✗ {member} was lost: {why}")
        Journal(self._run).lost(member.part.place, why)
        remove_labs(slot.host.cache)

    def give_back(self, node: WorkerController, task: Task) -> bool:
        """Whether a scenario that a lost worker was doing is to be run again: once, and no more.

        One that was not begun is not counted: each time, a slot is gone.
        """
        member = self._members[node.gateway.id]
        assert member.part is not None
        begun = _evidence(member.part, task) is not None
        if begun and task.nodeid in self._given_back:
            say(f"✗ lost a second time, and not run again: {task.name}")
            return False
        if begun:
            self._given_back.add(task.nodeid)
        Journal(self._run).given_back(task.name, member.part.place, begun=begun)
        say(f"↺ given back by {node.gateway.id}: {task.name}")
        return True


def _evidence(part: Part, task: Task) -> Path | None:
    """The newest evidence that a worker has of a scenario."""
    found = [folder for name, folder in by_name(part.folder) if name == task.name]
    return max(found, key=lambda folder: folder.stat().st_ctime_ns, default=None)
