"""What every stage of a scenario works with: its lab, faults, workload, timeline and folder."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from harness.errors import HarnessError
from harness.evidence.clock import now_ns
from harness.evidence.devices import Devices
from harness.evidence.livestate import Live
from harness.evidence.timeline import Channel, Event, TimelineWriter
from harness.faults.fault import FaultRunner
from harness.lab.topology import BACKING_BYTES, LUN_OF, RESOURCES
from harness.scenario.model import Expectations, ScenarioInfo
from harness.triggers import Triggers

if TYPE_CHECKING:
    from pathlib import Path

    from harness.checks import ScenarioVerdict
    from harness.lab.lab import Lab
    from harness.timing import Timing
    from harness.watching import LabWitnesses
    from harness.workload.fio import Workload


class Core:
    """State that is kept from the fork to the end, and written to scenario.json as it changes."""

    def __init__(
        self,
        lab: Lab,
        witnesses: LabWitnesses,
        timing: Timing,
        folder: Path,
        info: ScenarioInfo,
        *,
        max_stall_s: float | None = None,
        injecting: bool = True,
    ) -> None:
        self.lab = lab
        self.timing = timing
        self.folder = folder
        self.info = info
        self.expect = Expectations()
        self.writer = TimelineWriter(folder / "timeline.jsonl")
        self.faults = FaultRunner(
            lab,
            self.writer,
            heal_deadline_s=timing.boot_deadline_s + timing.settle_deadline_s,
            injecting=injecting,
        )
        self.workload: Workload | None = None
        self.finished = False
        self._witnesses = witnesses
        self._user_max_stall_s = max_stall_s
        self._files: dict[str, str] = {}
        self.started_ns = now_ns()
        self._roles: dict[str, str] = {}
        self._seen: list[Event] = []
        self._judged: ScenarioVerdict | None = None
        self._touched = False
        self._unsettled = False
        self.live = Live(Devices(lab.topology.shape.volumes_told()))
        self.triggers = Triggers(self.writer)
        self._cancel = self.writer.subscribe(self._listen)
        self._save("running", None)

    def node(self, word: str) -> str:
        """The node meant by ``alpha``, ``bravo``, ``active`` or ``passive`` (at the fork).

        Raises:
            HarnessError: it is none of these.
        """
        name = self._roles.get(word, word)
        if name not in {m.name for m in self.lab.machines.values()}:
            raise HarnessError(f"unknown node {word!r}", hint="alpha, bravo, active or passive")
        return name

    def _listen(self, event: Event) -> None:
        self.live.feed(event)
        if event.kind in ("nonce", "end-nonce"):
            self._seen.append(event)
        elif event.channel is Channel.STATE:
            self._judged = None
        self.triggers.look(event.t_ns)

    def _save(self, outcome: str, error: str | None) -> None:
        """Write scenario.json; by rename, so that a reader never finds half of it."""
        jobs = self.workload.jobs if self.workload is not None else ()
        data = {
            "slug": self.info.slug,
            "name": self.info.name,
            "feature": self.info.feature,
            "tags": self.info.tags,
            "started_ns": self.started_ns,
            "ended_ns": None if outcome == "running" else now_ns(),
            "outcome": outcome,
            "error": error,
            "touched": self._touched,
            "reproduce": self.info.reproduce,
            "gherkin": self.info.gherkin,
            "expect": asdict(self.expect),
            "jobs": [job.describe() for job in jobs],
            "luns": {
                lun: {"resource": resource, "bytes": BACKING_BYTES}
                for resource, lun in LUN_OF.items()
            },
            "nodes": [m.name for m in self.lab.nodes],
            "initiator": self.lab.initiator.name,
            "resources": list(RESOURCES),
            "volumes": self.lab.topology.shape.volumes_told(),
            "vip": self.lab.topology.vip,
            "events": self.writer.written,
        }
        partial_path = self.folder / "scenario.json.new"
        partial_path.write_text(json.dumps(data, indent=1), encoding="utf-8")
        partial_path.rename(self.folder / "scenario.json")
