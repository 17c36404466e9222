"""What was mapped so far, and what not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harness.lint.model import Place
from harness.lint.registry import ALL_RULES, Look, Outcome, Rule, Severity, Source

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.lint.model import Cluster


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of the lab.

    Attributes:
        key: where in the configuration, e.g. ``("drbd", "protocol")``.
        value: as the configuration takes it; durations of ``timing`` as the files have them.
        place: where it was read; None where a default applies, as no file says it.
        note: what else is to be known of it, one line; often empty.
    """

    key: tuple[str, ...]
    value: Any
    place: Place | None
    note: str = ""

    @property
    def name(self) -> str:
        """The key in one word."""
        return ".".join(self.key)


@dataclass(frozen=True, slots=True)
class Left:
    """Something that the lab does not have.

    Attributes:
        place: where it was read.
        what: the setting, as it was written.
        why: what the lab has in its place, or why it has none.
    """

    place: Place
    what: str
    why: str


Given = tuple[Any, Place | None]
"""A value and where it was read."""


@dataclass(slots=True)
class Sheet:
    """The mapping, as it grows.

    Attributes:
        reference: the lab's reference configuration, as nested values.
        mtu: of each of the lab's links, bytes.
        names: the cluster's machines to the lab's.
        assumed: what was not collected, so that the lab keeps its own; one line each.
        look: collects what was needed and is missing.
    """

    cluster: Cluster
    reference: Mapping[str, Any]
    mtu: Mapping[str, int]
    names: Mapping[str, str]
    settings: dict[tuple[str, ...], Setting] = field(default_factory=dict)
    left: list[Left] = field(default_factory=list)
    assumed: list[str] = field(default_factory=list)
    look: Look = field(init=False)

    def __post_init__(self) -> None:
        """A rule of the lint that judges nothing, to look with."""
        rule = Rule("onto-lab", "-", Severity.NOTE, Source.DOCS, "-", lambda _look: None)
        self.look = Look(self.cluster, rule)

    def set(self, name: str, value: Any, place: Place | None, note: str = "") -> None:
        """Give the lab a setting."""
        key = tuple(name.split("."))
        self.settings[key] = Setting(key, value, place, note)

    def take(self, name: str, given: Sequence[Given]) -> None:
        """Give the lab a setting that several places have a say in: resources, nodes.

        The lab has one for all of them. Where they differ it gets the one that is not the
        reference's, as that is the one to look at.
        """
        usual = self.usual(tuple(name.split(".")))
        odd = [one for one in given if one[0] != usual]
        self._take(name, given, (odd or given)[:1])

    def take_least(self, name: str, given: Sequence[Given]) -> None:
        """The same of numbers, where the least is the one that shows: the shortest patience."""
        self._take(name, given, sorted(given, key=lambda one: one[0])[:1])

    def _take(self, name: str, given: Sequence[Given], chosen: Sequence[Given]) -> None:
        if not chosen:
            return
        value, place = chosen[0]
        different = list(dict.fromkeys(str(one[0]) for one in given))
        note = f"{', '.join(different)} in different places" if len(different) > 1 else ""
        self.set(name, value, place, note)

    def usual(self, key: tuple[str, ...]) -> Any:
        """What the reference has; None for what it has only where something differs, by machine."""
        found: Any = self.reference
        for part in key:
            found = found.get(part) if isinstance(found, dict) else None
        return found

    def leave(self, place: Place, what: str, why: str) -> None:
        """Say of something that the lab does not have it; once, where both nodes have it."""
        if all(
            (what, why) != (one.what, one.why) or not self._alike(place, one.place)
            for one in self.left
        ):
            self.left.append(Left(place, what, why))

    def _alike(self, one: Place, other: Place) -> bool:
        """Whether both are the same place, if on another machine."""
        files = [place.file.partition("/")[2] or place.file for place in (one, other)]
        return (files[0], one.element) == (files[1], other.element)

    def assume(self, what: str) -> None:
        """Say of something that it is not known, so that the lab keeps its own."""
        if what not in self.assumed:
            self.assumed.append(what)

    def judge(self, rule: str) -> Outcome:
        """What a rule of the lint says; what it misses counts as assumed."""
        outcome = ALL_RULES[rule].run(self.cluster)
        for what in outcome.missing:
            self.assume(what)
        return outcome
