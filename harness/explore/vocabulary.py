"""Imports every module of kinds: the whole of what a schedule is made of."""

from harness.explore import (  # noqa: F401  (imported for what they register)
    aftermath,
    disturbances,
    links,
    moments,
    operations,
    outages,
    repairs,
)
from harness.explore.kinds import (
    KINDS,
    Group,
    Kind,
    check,
    end_problems,
    labels,
    may,
    problems,
    take,
    text,
)

__all__ = [
    "KINDS", "Group", "Kind", "check", "end_problems", "labels", "may", "problems", "take",
    "text",
]  # fmt: skip
