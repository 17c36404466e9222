"""Evidence of a scenario that is being written, event by event."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from harness.checks.verdict import CheckResult, ScenarioVerdict, Verdict
from harness.evidence.timeline import Channel, TimelineWriter
from tests.report.build import at

if TYPE_CHECKING:
    from pathlib import Path


class Growing:
    """A scenario that is being written."""

    def __init__(self, run: Path, slug: str = "s1", name: str = "The node loses power") -> None:
        self.path = run / "evidence" / slug
        self.writer = TimelineWriter(self.path / "timeline.jsonl")
        self.told: dict[str, Any] = {
            "name": name, "feature": "Power", "started_ns": at(-40), "outcome": "running",
            "nodes": ["alpha", "bravo"],
        }  # fmt: skip
        self.save()

    def save(self, **changes: Any) -> None:
        self.told |= changes
        (self.path / "scenario.json").write_text(json.dumps(self.told))

    def add(self, t_s: float, source: str, channel: Channel, kind: str, /, **data: Any) -> None:
        self.writer.add(source, channel, kind, data, t_ns=at(t_s))

    def io(self, t_s: float, **writes: int) -> None:
        for disk, count in writes.items():
            self.add(t_s, "client", Channel.PROGRESS, "io", disk=disk, write_ios=count)

    def role(self, t_s: float, node: str, resource: str, role: str) -> None:
        fields = {"name": resource, "role": role}
        self.add(t_s, node, Channel.EVENTS2, "change", object="resource", fields=fields)

    def fault(self, t_s: float, kind: str, name: str = "power-off", target: str = "alpha") -> None:
        told = {"id": "f1", "fault": name, "target": target}
        self.add(t_s, "host", Channel.FAULT, kind, **told)

    def step(self, t_s: float, keyword: str, text: str) -> None:
        self.add(t_s, "host", Channel.STEP, "begin", keyword=keyword, text=text)

    def judge(self, verdict: Verdict = Verdict.VALID, seen: str = "s") -> None:
        """The scenario ends and is judged."""
        self.save(outcome="finished")
        result = CheckResult("stall", "Stall", verdict, "e", seen, operations=1)
        ScenarioVerdict(self.path.name, (result,)).save(self.path / "verdict.json")
