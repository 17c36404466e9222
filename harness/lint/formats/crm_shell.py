"""What ``crm configure show`` prints, which is also what ``crm configure load`` takes.

Words are cut as crmsh cuts them (shlex); a line that ends with a backslash goes on in the next.
Statements that say nothing about resources or constraints are passed over; unknown ones are an
error, so that nothing is overlooked.
"""

from __future__ import annotations

import re
import shlex

from harness.lint.formats import cib as model
from harness.lint.formats.cib import Cib, Clone, Group, Operation, Part, Primitive, Values
from harness.lint.formats.text import FormatError

_PASSED_OVER = frozenset(
    ("tag", "user", "role", "acl_target", "acl_group", "fencing_topology", "rsc_ticket", "alert",
     "bundle", "set")
)  # fmt: skip
# What begins a new part of a primitive, group or clone.
_PARTS = ("params", "meta", "op", "operations", "utilization")
_KINDS = ("mandatory", "optional", "serialize")
_OPERATORS = ("eq", "ne", "lt", "gt", "lte", "gte")
# What makes shlex do more than cut at its whitespace, and what is between that.
_QUOTING = re.compile(r"[\"'\\]")
_WORD = re.compile(r"[^ \t\r\n]+")


def parse_crm(text: str) -> Cib:
    """The configuration in crm shell's notation.

    Raises:
        FormatError: an unknown statement, or one that is not whole.
    """
    cib = Cib()
    templates: dict[str, Primitive] = {}
    for line, words in _statements(text):
        try:
            _statement(cib, templates, words, line)
        except FormatError as error:
            raise FormatError(str(error), error.line or line) from error
    model.check_names(cib)
    return cib


def _statements(text: str) -> list[tuple[int, list[str]]]:
    found: list[tuple[int, list[str]]] = []
    joined, begun = "", 1
    for number, raw in enumerate(text.split("\n"), 1):
        if not joined:
            begun = number
        if raw.rstrip().endswith("\\"):
            joined += raw.rstrip()[:-1] + " "
            continue
        joined += raw
        if joined.strip() and not joined.lstrip().startswith("#"):
            try:
                words = _words(joined)
            except ValueError as error:
                raise FormatError(str(error), begun) from error
            if words:
                found.append((begun, words))
        joined = ""
    if joined.strip():
        raise FormatError("the last line goes on in a next one that is not there", begun)
    return found


def _words(text: str) -> list[str]:
    """As ``shlex.split``, which looks at each character by itself where few need it.

    Raises:
        ValueError: a quotation that does not end.
    """
    return shlex.split(text) if _QUOTING.search(text) else _WORD.findall(text)


def _statement(cib: Cib, templates: dict[str, Primitive], words: list[str], line: int) -> None:
    match words:
        case ["node", *rest]:
            names = [word for word in rest if word != "$id" and not word.startswith("$id=")]
            numbered = len(names) > 1 and re.fullmatch(r"\d+:", names[0])
            if not names:
                raise FormatError("a node without a name")
            cib.nodes.append((names[1] if numbered else names[0]).split(":")[0])
        case ["primitive", name, agent, *rest]:
            cib.primitives[_new(cib, name)] = _primitive(templates, name, agent, rest, line)
        case ["rsc_template", name, agent, *rest]:
            templates[name] = _primitive({}, name, agent, rest, line)
        case ["group", name, *rest]:
            members, options = _until_part(rest)
            meta = _parts(options)[1]
            cib.groups[_new(cib, name)] = Group(name, tuple(members), line, meta)
        case ["clone" | "ms" | "master" as kind, name, child, *rest]:
            meta = _parts(rest)[1]
            promotable = kind != "clone" or model.is_promotable(meta)
            cib.clones[_new(cib, name)] = Clone(name, child, promotable, line, meta)
        case ["colocation" | "collocation" | "colocate", name, score, *rest]:
            _colocation(cib, name, score, rest, line)
        case ["order", name, *rest]:
            _order(cib, name, rest, line)
        case ["location", name, resource, *rest]:
            _location(cib, name, resource, rest, line)
        case ["property", *rest]:
            _pairs_into(cib.properties, rest)
        case ["rsc_defaults", *rest]:
            _pairs_into(cib.resource_defaults, rest)
        case ["op_defaults", *rest]:
            _pairs_into(cib.operation_defaults, rest)
        case [kind, *_] if kind in _PASSED_OVER:
            return
        case ["xml", *_]:
            raise FormatError("a statement in XML: give the whole CIB in XML (cibadmin -Q)")
        case [kind, *_]:
            raise FormatError(f"no statement of crm shell that is whole: {kind}")


def _new(cib: Cib, name: str) -> str:
    if name in cib.primitives or name in cib.groups or name in cib.clones:
        raise FormatError(f"two resources are called {name}")
    return name


def _primitive(
    templates: dict[str, Primitive], name: str, agent: str, rest: list[str], line: int
) -> Primitive:
    params, meta, operations = _parts(rest)
    if not agent.startswith("@"):
        return Primitive(name, model.agent_of(agent), line, params, meta, operations)
    if agent[1:] not in templates:
        raise FormatError(f"{name} has a template that is not there: {agent[1:]}")
    template = templates[agent[1:]]
    return Primitive(
        name,
        template.agent,
        line,
        params + template.params,
        {**template.meta, **meta},
        operations + template.operations,
    )


def _until_part(words: list[str]) -> tuple[list[str], list[str]]:
    """The words before the first part, and the rest."""
    at = next((n for n, word in enumerate(words) if word in _PARTS), len(words))
    return words[:at], words[at:]


def _parts(words: list[str]) -> tuple[list[Values], dict[str, str], list[Operation]]:
    """Parameters, meta attributes and operations."""
    params: list[Values] = []
    meta: dict[str, str] = {}
    operations: list[Operation] = []
    before, words = _until_part(words)
    # "primitive x ocf:… a=b" without the word params is taken too.
    if loose := _pairs(before):
        params.append(Values(loose))
    while words:
        kind = words[0]
        inside, words = _until_part(words[1:])
        if kind == "params":
            params.append(_values(inside))
        elif kind == "meta":
            meta.update(_pairs(inside))
        elif kind == "op":
            if not inside:
                raise FormatError("an operation without a name")
            pairs = _pairs(inside[1:])
            operations.append(
                Operation(
                    inside[0],
                    pairs.get("interval", "0"),
                    pairs.get("timeout"),
                    model.role_of(pairs.get("role")),
                )
            )
    # A set with a rule is looked at before the one without.
    return sorted(params, key=lambda one: one.node is None), meta, operations


def _values(words: list[str]) -> Values:
    ruled = "rule" in words
    node = None
    if ruled:
        at = words.index("rule")
        said = [word for word in words[at + 1 :] if "=" not in word]
        if said[:2] == ["#uname", "eq"] and len(said) == 3:
            node = said[2]
    return Values(_pairs(words), node, ruled)


def _pairs(words: list[str]) -> dict[str, str]:
    """The words that are ``name=value``."""
    pairs: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if equals and name and not name.startswith("$"):
            pairs.setdefault(name, value)
    return pairs


def _pairs_into(into: dict[str, str], words: list[str]) -> None:
    for name, value in _pairs(words).items():
        into.setdefault(name, value)


def _part(word: str, *, action: bool) -> Part:
    name, _, what = word.partition(":")
    if not name:
        raise FormatError(f"no resource: {word}")
    return Part(name, (what or None) if action else model.role_of(what or None))


def _sets(words: list[str], *, action: bool) -> tuple[tuple[tuple[Part, Part], ...], bool]:
    """The pairs of a constraint's resources, and whether it had sets at all.

    As crmsh makes them: neighbours with one role or action are one set, brackets make one whose
    members do not depend on each other; two resources without brackets are a plain pair.
    """
    sets: list[model.ResourceSet] = []
    run: list[Part] = []
    bracket: list[Part] | None = None

    def close_run() -> None:
        nonlocal run
        if run:
            sets.append(model.ResourceSet(tuple(run)))
            run = []

    for word in words:
        if word in ("(", "["):
            close_run()
            if bracket is not None:
                raise FormatError("brackets in brackets")
            bracket = []
        elif word in (")", "]"):
            if not bracket:
                raise FormatError("brackets around nothing")
            sets.append(model.ResourceSet(tuple(bracket), sequential=False))
            bracket = None
        elif "=" in word:
            continue
        elif bracket is not None:
            bracket.append(_part(word, action=action))
        else:
            part = _part(word, action=action)
            if run and run[-1].what != part.what:
                close_run()
            run.append(part)
    if bracket is not None:
        raise FormatError("a bracket that is not closed")
    close_run()
    parts = [part for one in sets for part in one.parts]
    if len(parts) < 2:
        raise FormatError("a constraint of fewer than two resources")
    if len(parts) == 2 and all(one.sequential for one in sets):
        return ((parts[0], parts[1]),), False
    return (model.ordered(sets) if action else model.colocated(sets)), True


def _colocation(cib: Cib, name: str, score: str, words: list[str], line: int) -> None:
    number = model.score_of(score.rstrip(":"))
    if number is None:
        raise FormatError(f"no score: {score}")
    pairs, _ = _sets([w for w in words if not w.startswith("node-attribute=")], action=False)
    cib.colocations.append(model.Colocation(name, number, pairs, line))


def _order(cib: Cib, name: str, words: list[str], line: int) -> None:
    kind: str | None = None
    score: int | None = None
    if words and words[0].endswith(":"):
        said = words.pop(0)[:-1]
        if said.lower() in _KINDS:
            kind = said
        elif (score := model.score_of(said)) is None:
            raise FormatError(f"neither a kind nor a score: {said}")
    pairs, sets = _sets(words, action=True)
    if not sets:
        # What is not said for the second is the same as for the first (Pacemaker Explained).
        ((first, then),) = pairs
        pairs = ((first, Part(then.id, then.what or first.what)),)
    cib.orders.append(model.Order(name, model.is_mandatory(kind, score), pairs, line))


def _location(cib: Cib, name: str, resource: str, words: list[str], line: int) -> None:
    """``location id rsc [role=…] score: node``, or with rules."""
    role = model.role_of(_pairs(words).get("role"))
    if "rule" not in words:
        plain = [word for word in words if "=" not in word]
        if len(plain) != 2 or not plain[0].endswith(":"):
            raise FormatError("a location that names no node and has no rule")
        score = model.score_of(plain[0][:-1])
        cib.locations.append(model.Location(name, resource, score, plain[1], role=role, line=line))
        return
    attributes: list[str] = []
    scored_by: list[str] = []
    first_score: int | None = None
    rest = words[words.index("rule") :]
    for position, word in enumerate(rest):
        if word.startswith("$role="):
            role = model.role_of(word.removeprefix("$role="))
        elif word.endswith(":") and len(word) > 1:
            score = model.score_of(word[:-1])
            if score is None:
                scored_by.append(word[:-1])
            elif first_score is None:
                first_score = score
        elif word in ("defined", "not_defined") and position + 1 < len(rest):
            attributes.append(rest[position + 1])
        elif position + 1 < len(rest) and rest[position + 1] in _OPERATORS:
            attributes.append(word)
    cib.locations.append(
        model.Location(
            name,
            resource,
            first_score,
            None,
            tuple(dict.fromkeys(attributes)),
            tuple(scored_by),
            role,
            line,
        )
    )
