"""A schedule: steps of faults and operations, each of them one line of a scenario."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

ACTIVE, PASSIVE, BOTH, INITIATOR = "active", "passive", "both", "initiator"
NODES = (ACTIVE, PASSIVE)


@dataclass(frozen=True, slots=True)
class Step:
    """One line between a schedule's beginning and its end.

    Attributes:
        kind: name of its kind (harness.explore.kinds).
        node: whom it is about: ``active`` and ``passive`` are the roles at the beginning; ``both``,
            ``initiator``, or empty.
        how: in which way, in the vocabulary's own words.
        what: of which thing: a resource, or what happens to a link.
        number: seconds, writes, percent or MiB, as the kind has it; 0 where it has none.
    """

    kind: str
    node: str = ""
    how: str = ""
    what: str = ""
    number: int = 0


@dataclass(frozen=True, slots=True)
class Schedule:
    """Steps, and where they come from.

    Attributes:
        seed, number: the draw that made it.
        beyond: whether it may demand more than the cluster is designed to survive.
        label: empty for a schedule as it was drawn, else what was made of it (``try 4``).
    """

    seed: int
    number: int
    steps: tuple[Step, ...]
    beyond: bool = False
    label: str = ""

    @property
    def name(self) -> str:
        """The scenario's name."""
        return f"Schedule {self.number} of seed {self.seed}" + (
            f", {self.label}" if self.label else ""
        )

    @property
    def digest(self) -> str:
        """Eight hexadecimal digits that stand for its steps and limits."""
        said = json.dumps([self.beyond, [asdict(step) for step in self.steps]], sort_keys=True)
        return hashlib.sha256(said.encode()).hexdigest()[:8]

    @property
    def stem(self) -> str:
        """Its file's name without the ending."""
        label = "".join(c if c.isalnum() else "-" for c in self.label)
        return "-".join(
            part for part in (f"{self.seed}-{self.number:03}", label, self.digest) if part
        )


def to_json(steps: tuple[Step, ...]) -> list[dict[str, Any]]:
    """Steps as ``json.dumps`` takes them; what is empty is left out."""
    return [{key: value for key, value in asdict(step).items() if value} for step in steps]


def from_json(raw: object) -> tuple[Step, ...]:
    """Steps as ``to_json`` wrote them.

    Raises:
        ValueError: it is not a list of steps.
    """
    if not isinstance(raw, list):
        raise ValueError("not a list of steps")
    try:
        return tuple(Step(**one) for one in raw)
    except TypeError as error:
        raise ValueError(f"not a step: {error}") from error
