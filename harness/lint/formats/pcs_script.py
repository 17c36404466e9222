"""A script of ``pcs`` commands: what they make of a cluster that has nothing yet.

Written for pcs 0.10 and 0.11 (pcs(8)), with what 0.9 called otherwise: ``resource master``, roles
Master and Slave. Everything is understood or an error: a constraint that was overlooked would make
another cluster. What looks at a cluster or at its state only, sets up its network or its daemons,
and what crm shell's reader passes over as well (tags, ACLs, alerts, fencing levels) is passed over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.lint.formats import cib as model
from harness.lint.formats.cib import Cib, Clone, Group, Operation, Primitive, Values
from harness.lint.formats.pcs_constraints import colocation, location, order, role_word
from harness.lint.formats.pcs_words import commands, loose, pairs, sections
from harness.lint.formats.text import FormatError

if TYPE_CHECKING:
    from harness.lint.formats.pcs_words import Command

_PASSED_OVER = frozenset((
    "cluster", "host", "auth", "status", "config", "node", "quorum", "qdevice", "booth", "alert",
    "tag", "acl", "client", "dr", "pcsd",
))  # fmt: skip
# Of resource, stonith, property and constraint: what only looks, or at the state alone.
_LOOKS = frozenset((
    "status", "config", "show", "list", "describe", "agents", "providers", "standards", "cleanup",
    "refresh", "failcount", "relations", "debug-start", "debug-stop", "debug-monitor",
    "debug-promote", "debug-demote", "utilization", "ref", "level", "fence", "confirm", "history",
    "sbd", "update-scsi-devices",
))  # fmt: skip
_OF_CREATE = ("op", "meta", "clone", "promotable", "master", "group", "before", "after")
_STOPPED = ("target-role", "Stopped")


def parse_pcs(text: str) -> Cib:
    """The configuration that a script makes.

    Raises:
        FormatError: something is not understood; ``others`` of it has the rest of that.
    """
    cib = Cib()
    found, wrong = commands(text)
    for command in found:
        try:
            _command(cib, command)
        except FormatError as error:
            said = f"{' '.join(command.words[:4])}: {error}"
            wrong.append(FormatError(said, command.line))
    if not wrong:
        try:
            model.check_names(cib)
        except FormatError as error:
            wrong.append(error)
    if wrong:
        first, *others = sorted(wrong, key=lambda one: one.line or 0)
        first.others = tuple((one.line, str(one)) for one in others)
        raise first
    return cib


def _command(cib: Cib, command: Command) -> None:
    line = command.line
    match command.words:
        case [word, *_] if word in _PASSED_OVER:
            return
        case [_]:
            return  # shows what there is
        case _ if command.unknown:
            raise FormatError(f"no option that is known: {' '.join(command.unknown)}")
        case ["resource" | "stonith", "create", name, agent, *rest]:
            fences = command.words[0] == "stonith"
            full = f"stonith:{agent.removeprefix('stonith:')}" if fences else model.agent_of(agent)
            _create(cib, command, name, full, rest)
        case ["resource" | "stonith", "op", "add", name, *rest]:
            _primitive(cib, name).operations += _operations(rest)
        case ["resource", "op", "defaults", *rest]:
            _defaults(cib.operation_defaults, rest)
        case ["resource", "defaults", *rest]:
            _defaults(cib.resource_defaults, rest)
        case ["resource", "group", "add", group, *members]:
            _into_group(cib, group, members, command)
        case ["resource", "clone" | "promotable" as kind, child, *rest]:
            _clone(cib, child, f"{child}-clone", rest, promotable=kind == "promotable", line=line)
        case ["resource", "master", *rest]:
            names, options = loose(rest)
            if len(names) not in (1, 2):
                raise FormatError("a resource, or a name and a resource")
            own = names[0] if len(names) == 2 else f"{names[0]}-master"
            told = [f"{name}={value}" for name, value in options.items()]
            _clone(cib, names[-1], own, told, promotable=True, line=line)
        case ["resource" | "stonith", "meta", name, *rest]:
            _change(_meta_of(cib, name), pairs(rest))
        case ["resource" | "stonith", "update", name, *rest]:
            _update(cib, name, rest)
        case ["resource" | "stonith", "disable", *names]:
            for name in names:
                _change(_meta_of(cib, name), dict([_STOPPED]))
        case ["resource" | "stonith", "enable", *names]:
            for name in names:
                _meta_of(cib, name).pop(_STOPPED[0], None)
        case ["property", "set", *rest] if "--node" not in command.options:
            _change(cib.properties, pairs(rest))
        case ["property", "unset", *names]:
            for name in names:
                cib.properties.pop(name, None)
        case ["constraint", "location", resource, *rest]:
            location(cib, resource.removeprefix("resource%"), rest, line)
        case ["constraint", "order", *rest]:
            order(cib, rest, line)
        case ["constraint", "colocation", *rest]:
            colocation(cib, rest, line)
        case ["resource" | "stonith" | "property" | "constraint", word, *_] if word in _LOOKS:
            return
        case _:
            raise FormatError("not understood")


def _create(cib: Cib, command: Command, name: str, agent: str, rest: list[str]) -> None:
    if name in cib.primitives or name in cib.groups or name in cib.clones:
        raise FormatError(f"two resources are called {name}")
    parts = sections(rest, _OF_CREATE)
    own = Primitive(name, agent, command.line)
    if params := pairs(parts[0][1]):
        own.params.append(Values(params))
    group = command.options.get("--group")
    around: list[tuple[str, list[str]]] = []
    cloned: tuple[str, list[str]] | None = None
    for kind, words in parts[1:]:
        if kind == "op":
            own.operations += _operations(words)
        elif kind == "meta" and cloned is not None:
            cloned[1].extend(words)
        elif kind == "meta":
            own.meta.update(pairs(words))
        elif kind == "group":
            group = _single(words)
        elif kind in ("before", "after"):
            around.append((f"--{kind}", words))
        elif cloned is not None:
            raise FormatError("a clone of a clone")
        else:
            cloned = kind, list(words)
    if "--disabled" in command.options:
        own.meta.update([_STOPPED])
    if cloned is not None and group is not None:
        raise FormatError("a clone that is in a group")
    cib.primitives[name] = own
    if group is not None:
        places = {kind: _single(words) for kind, words in around} | command.options
        _placed(cib, group, [name], places, command.line)
    elif cloned is not None:
        kind, words = cloned
        default = f"{name}-master" if kind == "master" else f"{name}-clone"
        _clone(cib, name, default, words, promotable=kind != "clone", line=command.line)


def _single(words: list[str]) -> str:
    if len(words) != 1:
        raise FormatError(f"one name has to stand there: {' '.join(words) or 'nothing'}")
    return words[0]


def _operations(words: list[str]) -> list[Operation]:
    """``monitor interval=10s timeout=30 start timeout=60``: a word without a value begins one."""
    told: list[tuple[str, list[str]]] = []
    for word in words:
        if "=" not in word:
            told.append((word, []))
        elif not told:
            raise FormatError(f"{word} belongs to no operation")
        else:
            told[-1][1].append(word)
    made = []
    for name, options in told:
        values = pairs(options)
        role = model.role_of(role_word(values["role"])) if "role" in values else None
        made.append(Operation(name, values.get("interval", "0"), values.get("timeout"), role))
    return made


def _primitive(cib: Cib, name: str) -> Primitive:
    if name not in cib.primitives:
        raise FormatError(f"there is no resource {name}")
    return cib.primitives[name]


def _meta_of(cib: Cib, name: str) -> dict[str, str]:
    own: Primitive | Group | Clone | None = (
        cib.primitives.get(name) or cib.groups.get(name) or cib.clones.get(name)
    )
    if own is None:
        raise FormatError(f"there is no resource {name}")
    return own.meta


def _change(into: dict[str, str], values: dict[str, str]) -> None:
    """Set them; what is set to nothing is removed."""
    for name, value in values.items():
        if value:
            into[name] = value
        else:
            into.pop(name, None)


def _defaults(into: dict[str, str], rest: list[str]) -> None:
    """``[update] name=value…``, or ``set create meta name=value…`` without a rule."""
    if rest and rest[0] in ("config", "show"):
        return
    if rest[:2] == ["set", "create"]:
        parts = sections(rest[2:], ("meta", "rule"))
        if [kind for kind, _ in parts] != ["", "meta"]:
            raise FormatError("defaults with a rule")
        rest = parts[1][1]
    elif rest and rest[0] == "update":
        rest = rest[1:]
    _change(into, pairs(rest))


def _update(cib: Cib, name: str, rest: list[str]) -> None:
    own = _primitive(cib, name)
    for kind, words in sections(rest, ("op", "meta")):
        if kind == "meta":
            _change(own.meta, pairs(words))
        elif kind == "op":
            for new in _operations(words):
                # As pcs does: an operation of that name is replaced, if there is just one.
                same = [one for one in own.operations if one.name == new.name]
                if len(same) > 1:
                    raise FormatError(f"{name} has several operations {new.name}")
                own.operations = [one for one in own.operations if one not in same] + [new]
        elif words:
            if not own.params:
                own.params.append(Values({}))
            _change(own.params[0].values, pairs(words))


def _into_group(cib: Cib, group: str, members: list[str], command: Command) -> None:
    if not members:
        raise FormatError("a group of nothing")
    for member in members:
        _primitive(cib, member)
    _placed(cib, group, members, command.options, command.line)


def _placed(cib: Cib, name: str, members: list[str], options: dict[str, str], line: int) -> None:
    """Put resources into a group, at its end or beside one of its members."""
    if name in cib.primitives or name in cib.clones:
        raise FormatError(f"{name} is no group")
    for other in cib.groups.values():
        other.members = tuple(one for one in other.members if one not in members)
    there = list(cib.groups[name].members) if name in cib.groups else []
    at = len(there)
    for option, further in (("--before", 0), ("--after", 1)):
        if beside := options.get(option):
            if beside not in there:
                raise FormatError(f"group {name} has no member {beside}")
            at = there.index(beside) + further
    there[at:at] = members
    if name in cib.groups:
        cib.groups[name].members = tuple(there)
    else:
        cib.groups[name] = Group(name, tuple(there), line)
    for empty in [one.id for one in cib.groups.values() if not one.members]:
        del cib.groups[empty]


def _clone(
    cib: Cib, child: str, default: str, words: list[str], *, promotable: bool, line: int
) -> None:
    names, options = loose([word for word in words if word != "meta"])
    if len(names) > 1:
        raise FormatError(f"a clone has one name: {' '.join(names)}")
    name = names[0] if names else default
    if child not in cib.primitives and child not in cib.groups:
        raise FormatError(f"there is no resource {child}")
    if name in cib.primitives or name in cib.groups or name in cib.clones:
        raise FormatError(f"two resources are called {name}")
    if promotable:
        options = {"promotable": "true"} | options
    meant = promotable or model.is_promotable(options)
    cib.clones[name] = Clone(name, child, meant, line, options)
