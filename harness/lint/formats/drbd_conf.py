"""drbd.conf(5), of DRBD 8.3 to 9: statements, and what a resource is set to.

All files of a node are read as one configuration; ``include`` is not followed, since the folder
has the included files too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from harness.lint.formats.text import FormatError

_TOKEN = re.compile(r'"(?:[^"\\\n]|\\.)*"|#[^\n]*|[{};]|\n|[^\s{};"#]+|[^\S\n]+|"')
_DEEPEST = 12
_ADDRESS = re.compile(r"\[?([0-9a-fA-F.:]+?)\]?:(\d{1,5})", re.ASCII)
_MINOR = re.compile(r"(?:/dev/)?drbd(\d{1,7})", re.ASCII)
# Options of 8.3 that switch one off (drbd.conf-8.3(5)), and what 8.4 says instead.
_SWITCHED_OFF = {"no-disk-flushes": "disk-flushes", "no-md-flushes": "md-flushes",
                 "no-disk-barrier": "disk-barrier"}  # fmt: skip
_FAMILIES = ("ipv4", "ipv6", "ssocks", "sdp", "sci")
_OPTION_SECTIONS = ("net", "disk", "handlers", "options", "startup", "syncer")


@dataclass(frozen=True, slots=True)
class Statement:
    """``words;``, or ``words { children }``."""

    words: tuple[str, ...]
    line: int
    children: tuple[Statement, ...] | None = None


def parse_drbd(text: str) -> tuple[Statement, ...]:
    """The statements of one file.

    Raises:
        FormatError: braces or quotes that do not match, a statement without an end, or too deep.
    """
    line = 1
    stack: list[tuple[tuple[str, ...], int, list[Statement]]] = [((), 1, [])]
    words: list[str] = []
    begun = 1
    for match in _TOKEN.finditer(text):
        token = match[0]
        if token == "\n":
            line += 1
        elif token.isspace() or token.startswith("#"):
            continue
        elif token == '"':
            raise FormatError("a quote that is not closed", line)
        elif token == "{":
            if not words:
                raise FormatError("a section without a name", line)
            if len(stack) > _DEEPEST:
                raise FormatError("sections are nested too deeply", line)
            stack.append((tuple(words), begun, []))
            words = []
        elif token == "}":
            if words:
                raise FormatError(f"no ; after {' '.join(words)}", begun)
            if len(stack) == 1:
                raise FormatError("a } that closes nothing", line)
            name, opened, children = stack.pop()
            stack[-1][2].append(Statement(name, opened, tuple(children)))
        elif token == ";":
            if words:  # drbdadm takes an empty statement too
                stack[-1][2].append(Statement(tuple(words), begun))
            words = []
        else:
            if not words:
                begun = line
            words.append(token[1:-1] if token.startswith('"') else token)
    if words:
        raise FormatError(f"no ; after {' '.join(words)}", begun)
    if len(stack) > 1:
        raise FormatError(f"section {' '.join(stack[-1][0])} is not closed", stack[-1][1])
    return tuple(stack[0][2])


@dataclass(frozen=True, slots=True)
class Option:
    """What an option is set to, and where."""

    value: str
    file: str
    line: int


@dataclass(slots=True)
class DrbdResource:
    """One resource.

    Attributes:
        addresses: host to the addresses it replicates over; floating ones under "".
        minors: numbers of its devices.
    """

    name: str
    file: str
    line: int
    options: dict[str, list[Option]] = field(default_factory=dict)
    addresses: dict[str, list[Option]] = field(default_factory=dict)
    minors: list[int] = field(default_factory=list)


@dataclass(slots=True)
class DrbdConfig:
    """All resources of a node, each with what it takes from ``common``."""

    resources: dict[str, DrbdResource] = field(default_factory=dict)
    common: dict[str, list[Option]] = field(default_factory=dict)

    def option(self, resource: DrbdResource, name: str) -> list[Option]:
        """What the resource has for ``section/option``; more than one where its parts differ.

        Its own replace those of ``common``. Empty where nobody says.
        """
        return resource.options.get(name) or self.common.get(name, [])


def drbd_config(files: dict[str, str]) -> DrbdConfig:
    """The configuration that the files of one node make, by name.

    Raises:
        FormatError: one of them (``file``) cannot be read, or two resources have one name.
    """
    config = DrbdConfig()
    for file, text in sorted(files.items()):
        try:
            for statement in parse_drbd(text):
                _top(config, statement, file)
        except FormatError as error:
            raise FormatError(str(error), error.line, file) from error
    return config


def _top(config: DrbdConfig, statement: Statement, file: str) -> None:
    match statement.words:
        case ("include", _) | ("global",) | ("skip", *_) | ("template-file", *_):
            return
        case ("common",):
            _options(statement, file, config.common)
        case ("resource", name, *_):
            if name in config.resources:
                raise FormatError(f"resource {name} is defined twice", statement.line)
            resource = DrbdResource(name, file, statement.line)
            config.resources[name] = resource
            _options(statement, file, resource.options)
            _hosts(statement, file, resource, "")
        case words:
            raise FormatError(f"{words[0]} does not belong here", statement.line)


def _options(section: Statement, file: str, into: dict[str, list[Option]]) -> None:
    """Options of a section and of whatever it holds (volumes, connections, hosts)."""
    for child in section.children or ():
        if child.children is None:
            if child.words[0] == "protocol" and len(child.words) == 2:  # 8.3
                into.setdefault("net/protocol", []).append(Option(child.words[1], file, child.line))
            continue
        name = child.words[0]
        # "disk /dev/sda { … }" of DRBD 9 names a disk and sets its options.
        if name not in _OPTION_SECTIONS:
            _options(child, file, into)
            continue
        for statement in child.children:
            key, *values = statement.words
            value = " ".join(values) or "yes"
            if key in _SWITCHED_OFF:
                key, value = _SWITCHED_OFF[key], "no"
            into.setdefault(f"{name}/{key}", []).append(Option(value, file, statement.line))


def _hosts(section: Statement, file: str, resource: DrbdResource, host: str) -> None:
    """Addresses and devices of a section and of what it holds."""
    for child in section.children or ():
        words = child.words
        match words:
            case ("on", *names) if child.children is not None and names:
                for name in names:
                    _hosts(child, file, resource, name)
            case ("host", name, *rest) if "address" in rest:
                _address(rest[rest.index("address") + 1 :], child.line, file, resource, name)
            case ("floating", *rest):
                _address(rest, child.line, file, resource, "")
                _hosts(child, file, resource, "")
            case ("address", *rest) if child.children is None:
                _address(rest, child.line, file, resource, host)
            case ("device", *rest) if child.children is None:
                _device(rest, child.line, resource)
            case _ if child.children is not None and words[0] not in _OPTION_SECTIONS:
                _hosts(child, file, resource, host)


def _address(words: list[str], line: int, file: str, resource: DrbdResource, host: str) -> None:
    if words and words[0] in _FAMILIES:
        words = words[1:]
    match = _ADDRESS.fullmatch(words[0]) if words else None
    if match is None:
        raise FormatError(f"no address and port: {' '.join(words)}", line)
    resource.addresses.setdefault(host, []).append(Option(match[1], file, line))


def _device(words: list[str], line: int, resource: DrbdResource) -> None:
    if "minor" in words[:-1]:
        number = words[words.index("minor") + 1]
    else:
        match = _MINOR.fullmatch(words[0]) if words else None
        number = match[1] if match else ""
    if not re.fullmatch(r"\d{1,7}", number, re.ASCII):
        raise FormatError(f"no minor number: device {' '.join(words)}", line)
    if int(number) not in resource.minors:
        resource.minors.append(int(number))
