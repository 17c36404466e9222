"""What is known about a scenario, and what it says must happen."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Expectations:
    """What a scenario says must happen; see ``expect`` in docs/evidence.md."""

    failovers: int = 0
    fencings: int = 0
    max_stall_s: float = 0.0
    active: str | None = None
    min_spanning_writes: int = 1000
    workload: bool = False
    fault: bool = False
    fenced: list[str] = field(default_factory=list)
    fewer_failovers: bool = False
    fewer_fencings: bool = False
    split_brain: dict[str, str] | None = None
    durable: str = "acknowledged"


@dataclass(slots=True)
class ScenarioInfo:
    """What is known about a scenario before it runs."""

    slug: str
    name: str
    feature: str
    tags: list[str]
    gherkin: list[str]
    reproduce: str
