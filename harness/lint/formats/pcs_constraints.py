"""Constraints as ``pcs constraint`` makes them: locations, orders, colocations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.lint.formats import cib as model
from harness.lint.formats.cib import Part
from harness.lint.formats.pcs_words import loose, pairs, sections
from harness.lint.formats.text import FormatError, is_false

if TYPE_CHECKING:
    from harness.lint.formats.cib import Cib

_ROLES = ("promoted", "unpromoted", "master", "slave", "started", "stopped")
_ACTIONS = ("start", "stop", "promote", "demote")
_COMPARING = ("eq", "ne", "lt", "gt", "lte", "gte")


def role_word(word: str) -> str:
    """A role as Pacemaker writes it.

    Raises:
        FormatError: it is none.
    """
    if word.lower() not in _ROLES:
        raise FormatError(f"no role: {word}")
    return word.capitalize()


def location(cib: Cib, resource: str, rest: list[str], line: int) -> None:
    """Where a resource may be: ``pcs constraint location RESOURCE …``.

    Raises:
        FormatError: it is not understood.
    """
    match rest:
        case ["prefers" | "avoids" as kind, *nodes] if nodes:
            for word in nodes:
                node, _, score = word.partition("=")
                number = model.score_of(score or "INFINITY")
                if number is None:
                    raise FormatError(f"no score: {score}")
                number = -number if kind == "avoids" else number
                own = f"location-{resource}-{node}-{number}"
                cib.locations.append(model.Location(own, resource, number, node, line=line))
        case ["rule", *words]:
            cib.locations.append(_ruled(resource, words, line))
        case [name, placed, node, *more] if resource == "add" and len(more) <= 1:
            number = model.score_of(more[0] if more else "INFINITY")
            if number is None:
                raise FormatError(f"no score: {more[0]}")
            placed = placed.removeprefix("resource%")
            cib.locations.append(model.Location(name, placed, number, node, line=line))
        case _:
            raise FormatError("neither prefers, avoids nor a rule")


def _ruled(resource: str, words: list[str], line: int) -> model.Location:
    at = next((n for n, word in enumerate(words) if "=" not in word), len(words))
    options, expression = pairs(words[:at]), words[at:]
    attributes = [
        expression[n + 1] if word in ("defined", "not_defined") else word
        for n, word in enumerate(expression[:-1])
        if word in ("defined", "not_defined") or expression[n + 1] in _COMPARING
    ]
    if not attributes:
        raise FormatError("a rule that looks at no attribute of a node")
    by = options.get("score-attribute")
    score = model.score_of(options.get("score", "INFINITY")) if by is None else None
    if by is None and score is None:
        raise FormatError(f"no score: {options.get('score')}")
    role = model.role_of(role_word(options["role"])) if "role" in options else None
    name = options.get("constraint-id", f"location-{resource}")
    attributes = list(dict.fromkeys(attributes))
    scored = (by,) if by is not None else ()
    return model.Location(name, resource, score, None, tuple(attributes), scored, role, line)


def _sets(words: list[str], meant: str) -> tuple[list[model.ResourceSet], dict[str, str]]:
    """``set A B role=… set C setoptions score=…``: the sets, and the constraint's options."""
    parts = sections(words, ("set", "setoptions"))
    if parts[0][1] or any(kind == "setoptions" for kind, _ in parts[:-1]):
        raise FormatError("sets, and their options last")
    options = pairs(parts.pop()[1]) if parts[-1][0] == "setoptions" else {}
    made = []
    for _, own in parts[1:]:
        names, told = loose(own)
        what = told.get(meant)
        if what is not None and meant == "role":
            what = model.role_of(role_word(what))
        if not names:
            raise FormatError("a set of nothing")
        sequential = not is_false(told.get("sequential", "true"))
        made.append(model.ResourceSet(tuple(Part(one, what) for one in names), sequential))
    if sum(len(one.parts) for one in made) < 2:
        raise FormatError("a constraint of fewer than two resources")
    return made, options


def order(cib: Cib, words: list[str], line: int) -> None:
    """``pcs constraint order …``.

    Raises:
        FormatError: it is not understood.
    """
    if words[:1] == ["add"]:
        words = words[1:]
    if words[:1] == ["set"]:
        made, options = _sets(words, "action")
        found, name = model.ordered(made), "order_set"
    else:
        names, options = loose(words)
        if names.count("then") != 1:
            raise FormatError("first one thing, then another")
        at = names.index("then")
        first, then = (_acted(one) for one in (names[:at], names[at + 1 :]))
        found, name = ((first, then),), f"order-{first.id}-{then.id}"
    kind, score = options.get("kind"), model.score_of(options.get("score"))
    mandatory = model.is_mandatory(kind, score)
    cib.orders.append(model.Order(options.get("id", name), mandatory, found, line))


def _acted(words: list[str]) -> Part:
    match words:
        case [action, name] if action in _ACTIONS:
            return Part(name, action)
        case [name]:
            return Part(name, "start")
        case _:
            raise FormatError(f"neither a resource nor an action and one: {' '.join(words)}")


def colocation(cib: Cib, words: list[str], line: int) -> None:
    """``pcs constraint colocation …``.

    Raises:
        FormatError: it is not understood.
    """
    if words[:1] == ["set"]:
        made, options = _sets(words, "role")
        found, name = model.colocated(made), "colocation_set"
    else:
        names, options = loose(words[1:] if words[:1] == ["add"] else words)
        if names.count("with") != 1:
            raise FormatError("one resource with another")
        at = names.index("with")
        own, other = names[:at], names[at + 1 :]
        if len(other) > 1 and model.score_of(other[-1]) is not None:
            options = {"score": other.pop()} | options
        dependent, primary = _instances(own), _instances(other)
        found = ((dependent, primary),)
        name = f"colocation-{dependent.id}-{primary.id}"
    score = model.score_of(options.get("score", "INFINITY"))
    if score is None:
        raise FormatError(f"no score: {options['score']}")
    cib.colocations.append(model.Colocation(options.get("id", name), score, found, line))


def _instances(words: list[str]) -> Part:
    match words:
        case [role, name]:
            return Part(name, model.role_of(role_word(role)))
        case [name]:
            return Part(name)
        case _:
            raise FormatError(f"neither a resource nor a role and one: {' '.join(words)}")
