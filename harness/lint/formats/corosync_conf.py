"""corosync.conf(5): sections, settings and the rings that they make.

Strict as Corosync's own parser (coroparse.c): nothing but blanks follows a ``{``, every other line
is ``key: value``, a comment or a ``}``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from harness.lint.formats.text import FormatError

_DEEPEST = 8
_RING = re.compile(r"ring(\d{1,2})_addr", re.ASCII)
DEFAULT_PORT = 5405


@dataclass(frozen=True, slots=True)
class Setting:
    """One ``key: value``."""

    value: str
    line: int


@dataclass(slots=True)
class Section:
    """One ``name { … }``; the file itself is one without a name.

    A key that is given twice keeps its last value, as in Corosync.
    """

    name: str
    line: int
    settings: dict[str, Setting] = field(default_factory=dict)
    sections: list[Section] = field(default_factory=list)

    def all(self, name: str) -> list[Section]:
        """The sections of that name directly below this one."""
        return [section for section in self.sections if section.name == name]

    def find(self, path: str) -> Setting | None:
        """``section.key``, the last of all sections of that name; ``key`` for one of its own."""
        name, _, key = path.rpartition(".")
        if not name:
            return self.settings.get(key)
        found = [section.settings.get(key) for section in self.all(name)]
        return next((setting for setting in reversed(found) if setting is not None), None)


def parse_corosync(text: str) -> Section:
    """The whole file.

    Raises:
        FormatError: Corosync would not take it.
    """
    stack = [Section("", 1)]
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        if line == "}":
            if len(stack) == 1:
                raise FormatError("a } that closes nothing", number)
            stack.pop()
        elif "{" in line and ":" not in line.split("{", 1)[0]:
            name, _, rest = line.partition("{")
            if not name.strip() or rest.strip():
                raise FormatError(f"a section begins with a name and ends with {{: {line}", number)
            if len(stack) > _DEEPEST:
                raise FormatError("sections are nested too deeply", number)
            section = Section(name.strip(), number)
            stack[-1].sections.append(section)
            stack.append(section)
        else:
            key, colon, value = line.partition(":")
            if not colon or not key.strip() or not value.strip():
                raise FormatError(f"neither a section nor key: value: {line}", number)
            stack[-1].settings[key.strip()] = Setting(value.strip(), number)
    if len(stack) > 1:
        raise FormatError(f"section {stack[-1].name} is not closed", stack[-1].line)
    return stack[0]


@dataclass(frozen=True, slots=True)
class Ring:
    """One of the rings (Corosync 3: links) that a node is on.

    Attributes:
        number: its number.
        address: the node's address or name on it; a network address where only that is said.
        line: where.
        of_network: ``address`` is a bindnetaddr, which may be a network's.
    """

    number: int
    address: str
    line: int
    of_network: bool = False


def node_sections(conf: Section) -> list[Section]:
    """The nodes of the node list."""
    return [node for nodes in conf.all("nodelist") for node in nodes.all("node")]


def node_name(node: Section) -> str:
    """What a node of the list is called; its first address where it has no name."""
    for key in ("name", "ring0_addr"):
        if (setting := node.settings.get(key)) is not None:
            return setting.value
    return ""


def rings_of(conf: Section, node: Section | None) -> list[Ring]:
    """The rings of a node; of any node where the file has no node list (bindnetaddr).

    Raises:
        FormatError: a ring's number is none.
    """
    if node is not None:
        found = [
            Ring(int(match[1]), setting.value, setting.line)
            for key, setting in node.settings.items()
            if (match := _RING.fullmatch(key))
        ]
        return sorted(found, key=lambda ring: ring.number)
    found = []
    for position, interface in enumerate(interfaces(conf)):
        bound = interface.settings.get("bindnetaddr")
        if bound is not None:
            number = link_number(interface, position)
            found.append(Ring(number, bound.value, bound.line, of_network=True))
    return sorted(found, key=lambda ring: ring.number)


def interfaces(conf: Section) -> list[Section]:
    """The ``interface`` sections of ``totem``."""
    return [section for totem in conf.all("totem") for section in totem.all("interface")]


def link_number(interface: Section, position: int) -> int:
    """Which ring an ``interface`` section is about; its position where it does not say.

    Raises:
        FormatError: the number is none.
    """
    setting = interface.settings.get("linknumber") or interface.settings.get("ringnumber")
    return position if setting is None else number_of(setting)


def number_of(setting: Setting) -> int:
    """The number that a setting has to be.

    Raises:
        FormatError: it is none.
    """
    if not re.fullmatch(r"\d{1,9}", setting.value, re.ASCII):
        raise FormatError(f"not a number: {setting.value}", setting.line)
    return int(setting.value)


def is_knet(conf: Section) -> bool:
    """Whether the transport is knet: Corosync 3's default, where nothing of RRP is said."""
    transport = conf.find("totem.transport")
    if transport is not None:
        return transport.value == "knet"
    if conf.find("totem.rrp_mode") is not None:
        return False
    old = ("bindnetaddr", "mcastaddr", "broadcast")
    return not any(key in section.settings for section in interfaces(conf) for key in old)
