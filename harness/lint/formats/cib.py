"""Pacemaker's configuration as both of its notations say it: XML, and crm shell's.

Roles are Promoted and Unpromoted, whichever words the source uses; constraints with resource sets
are broken down to pairs, so that a rule need not know in which form they were written.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

from harness.lint.formats.text import FormatError, is_true

INFINITY = 1_000_000
_ROLES = {"Master": "Promoted", "Slave": "Unpromoted"}


@dataclass(frozen=True, slots=True)
class Values:
    """One set of attributes.

    Attributes:
        values: name to value.
        node: the only node that it is for, by a rule; None for all.
        ruled: some rule says when it applies.
    """

    values: dict[str, str]
    node: str | None = None
    ruled: bool = False


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a resource; durations as written."""

    name: str
    interval: str = "0"
    timeout: str | None = None
    role: str | None = None


@dataclass(slots=True)
class Primitive:
    """A resource; ``line`` is 0 where the source has no lines worth naming (XML)."""

    id: str
    agent: str
    line: int = 0
    params: list[Values] = field(default_factory=list)
    meta: dict[str, str] = field(default_factory=dict)
    operations: list[Operation] = field(default_factory=list)

    def param(self, name: str) -> str | None:
        """The value that no rule restricts; None if there is none."""
        found = [one.values[name] for one in self.params if name in one.values and not one.ruled]
        return found[0] if found else None

    def everywhere(self, name: str) -> list[Values]:
        """All sets that have a value of that name, those with rules too."""
        return [one for one in self.params if name in one.values]

    def timeout(self, operation: str) -> str | None:
        """The timeout of an operation, as written; None if it has none of its own."""
        found = [o.timeout for o in self.operations if o.name == operation and o.timeout]
        return found[0] if found else None


@dataclass(slots=True)
class Group:
    """Resources that start in their order on one node."""

    id: str
    members: tuple[str, ...]
    line: int = 0
    meta: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Clone:
    """A resource or a group on several nodes, promotable or not."""

    id: str
    child: str
    promotable: bool
    line: int = 0
    meta: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Part:
    """A resource as a constraint names it, with the role or the action that it means."""

    id: str
    what: str | None = None


@dataclass(frozen=True, slots=True)
class Colocation:
    """``pairs``: (the one that is placed, the one that it is placed with), by the constraint."""

    id: str
    score: int
    pairs: tuple[tuple[Part, Part], ...]
    line: int = 0


@dataclass(frozen=True, slots=True)
class Order:
    """``pairs``: (first, then), each with its action; ``mandatory`` as against advisory."""

    id: str
    mandatory: bool
    pairs: tuple[tuple[Part, Part], ...]
    line: int = 0


@dataclass(frozen=True, slots=True)
class Location:
    """Where a resource may be.

    Attributes:
        node: the node of the short form; None where rules say it.
        attributes: the node attributes that its rules look at.
        scored_by: attributes that are the score themselves.
        role: of the instances that are meant; None for all.
    """

    id: str
    resource: str
    score: int | None
    node: str | None = None
    attributes: tuple[str, ...] = ()
    scored_by: tuple[str, ...] = ()
    role: str | None = None
    line: int = 0


@dataclass(slots=True)
class Cib:
    """The configuration part of a CIB."""

    nodes: list[str] = field(default_factory=list)
    properties: dict[str, str] = field(default_factory=dict)
    resource_defaults: dict[str, str] = field(default_factory=dict)
    operation_defaults: dict[str, str] = field(default_factory=dict)
    primitives: dict[str, Primitive] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    clones: dict[str, Clone] = field(default_factory=dict)
    colocations: list[Colocation] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)
    locations: list[Location] = field(default_factory=list)

    def of_agent(self, agent: str) -> list[Primitive]:
        """Primitives of an agent, e.g. ``ocf:linbit:drbd``, in the order of the source."""
        return [one for one in self.primitives.values() if one.agent == agent]

    def members(self, name: str) -> tuple[str, ...]:
        """The primitives that a resource stands for: itself, a group's, a clone's."""
        if name in self.clones:
            return self.members(self.clones[name].child)
        if name in self.groups:
            return self.groups[name].members
        return (name,)

    def clone_of(self, primitive: str) -> Clone | None:
        """The clone that a primitive is in, by itself or with its group."""
        return next((c for c in self.clones.values() if primitive in self.members(c.id)), None)

    def group_of(self, primitive: str) -> Group | None:
        """The group that a primitive is in."""
        return next((g for g in self.groups.values() if primitive in g.members), None)


def check_names(cib: Cib) -> None:
    """Whether everything that groups and clones are made of exists.

    Raises:
        FormatError: it does not.
    """
    for group in cib.groups.values():
        for member in group.members:
            if member not in cib.primitives:
                raise FormatError(f"group {group.id} has no member {member}", group.line or None)
    for clone in cib.clones.values():
        if clone.child not in cib.primitives and clone.child not in cib.groups:
            raise FormatError(f"clone {clone.id} of nothing: {clone.child}", clone.line or None)


def agent_of(text: str) -> str:
    """An agent's whole name: class ocf and provider heartbeat go without saying."""
    words = text.split(":")
    if len(words) == 1:
        return f"ocf:heartbeat:{text}"
    if len(words) == 2 and words[0] not in ("stonith", "systemd", "lsb", "service", "ocf"):
        return f"ocf:{text}"
    return text


def role_of(text: str | None) -> str | None:
    """A role in today's words (Pacemaker 2.1); None for what means any instance."""
    if text is None or text == "Started":
        return None
    return _ROLES.get(text, text)


def score_of(text: str | None) -> int | None:
    """A score as a number, cut at plus and minus infinity; None for a node attribute's name."""
    if text is None:
        return None
    word = text.strip().lower()
    sign = -1 if word.startswith("-") else 1
    word = word.lstrip("+-")
    if word in ("inf", "infinity", "mandatory"):
        return sign * INFINITY
    if not word.isascii() or not word.isdigit() or len(word) > 9:
        return None
    return max(-INFINITY, min(INFINITY, sign * int(word)))


def is_mandatory(kind: str | None, score: int | None) -> bool:
    """Whether an order is one that must be kept: kind, or the score of older versions."""
    if kind is not None:
        return kind.lower() in ("mandatory", "serialize")
    return score is None or score > 0


def is_promotable(meta: dict[str, str]) -> bool:
    """Whether a clone has promotable instances."""
    return is_true(meta.get("promotable", "false"))


@dataclass(frozen=True, slots=True)
class ResourceSet:
    """A set of a constraint: which resources, whether one after the other."""

    parts: tuple[Part, ...]
    sequential: bool = True


def colocated(sets: list[ResourceSet]) -> tuple[tuple[Part, Part], ...]:
    """What a colocation of sets places with what.

    Members of a set are placed with the one before them, a whole set with the set that comes
    *after* it in the constraint (Pacemaker Explained, "Colocating Sets of Resources"; the
    scheduler's unpack_colocation_set walks the sets like that). So the set that is written last
    is placed first.
    """
    pairs = [
        (later, earlier)
        for one in sets
        if one.sequential
        for earlier, later in itertools.pairwise(one.parts)
    ]
    for dependent, primary in itertools.pairwise(sets):
        pairs += itertools.product(dependent.parts, primary.parts)
    return tuple(pairs)


def ordered(sets: list[ResourceSet]) -> tuple[tuple[Part, Part], ...]:
    """What an order of sets starts before what: each set before the next one."""
    pairs = [pair for one in sets if one.sequential for pair in itertools.pairwise(one.parts)]
    for first, then in itertools.pairwise(sets):
        pairs += itertools.product(first.parts, then.parts)
    return tuple(pairs)
