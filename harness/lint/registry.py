"""The list of rules: what each is called, how grave its findings are, and how it is run.

A rule is a function that looks at a cluster; its docstring is the reason, which is what a reader of
a finding gets to see. The decorator ``rule`` enters it in ``ALL_RULES``.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, TypeVar

from harness.lint.model import Cluster, Piece, Place, State

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class Severity(StrEnum):
    """How grave a finding is.

    ERROR: one failure, or one wrong word, loses data or the service. WARNING: it works, until
    something else is wrong as well. NOTE: it could be better.
    """

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class Source(StrEnum):
    """Who asks for it."""

    POST = "the post"
    SEEN = "experience"
    DOCS = "documentation"


@dataclass(frozen=True, slots=True)
class Found:
    """One finding."""

    rule: str
    severity: Severity
    place: Place
    what: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one rule.

    Attributes:
        missing: what could not be judged, and for want of what.
        seen: how many things it looked at.
    """

    rule: Rule
    found: tuple[Found, ...]
    missing: tuple[str, ...]
    seen: int


@dataclass(slots=True)
class Look:
    """What a rule works with: the cluster, and where it says what it sees."""

    cluster: Cluster
    rule: Rule
    found: list[Found] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    seen: int = 0

    def need(self, piece: Piece[T]) -> T | None:
        """The piece's content; None, and noted as missing, where it cannot be had."""
        if piece.state is State.READ:
            return piece.value
        match piece.state:
            case State.UNREADABLE:
                why = f"{piece.name} cannot be read"
            case State.ABSENT:
                why = f"there is no {piece.name}"
            case _:
                why = f"{piece.name} was not collected"
        self.lacks(why)
        return None

    def lacks(self, what: str) -> None:
        """Something could not be judged."""
        if what not in self.missing:
            self.missing.append(what)

    def saw(self) -> None:
        """One thing was looked at, and judged."""
        self.seen += 1

    def report(self, place: Place, what: str, severity: Severity | None = None) -> None:
        """Something is wrong; said once, however often it is met (by each resource, say)."""
        self.seen += 1
        found = Found(self.rule.slug, severity or self.rule.severity, place, what)
        if found not in self.found:
            self.found.append(found)


@dataclass(frozen=True, slots=True)
class Rule:
    """One entry of the registry.

    Attributes:
        severity: of its findings, unless one says otherwise.
        reason: why the post, or experience, asks for it.
    """

    slug: str
    title: str
    severity: Severity
    source: Source
    reason: str
    function: Callable[[Look], None]

    def run(self, cluster: Cluster) -> Outcome:
        """Look; a rule that looked at nothing was not judged."""
        look = Look(cluster, self)
        self.function(look)
        if not look.seen and not look.missing:
            look.lacks("there is nothing that it applies to")
        return Outcome(self, tuple(look.found), tuple(look.missing), look.seen)


ALL_RULES: dict[str, Rule] = {}


def rule(
    slug: str, title: str, severity: Severity, source: Source
) -> Callable[[Callable[[Look], None]], Callable[[Look], None]]:
    """Enter the decorated function in ``ALL_RULES`` under ``slug``."""

    def register(function: Callable[[Look], None]) -> Callable[[Look], None]:
        if slug in ALL_RULES:
            raise ValueError(f"two rules are called {slug!r}")
        reason = " ".join((inspect.getdoc(function) or "").split())
        ALL_RULES[slug] = Rule(slug, title, severity, source, reason, function)
        return function

    return register
