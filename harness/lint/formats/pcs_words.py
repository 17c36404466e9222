"""Commands of pcs as a script has them: words, sections, options.

A script is read, never run: what a shell would put together (variables, substitutions, redirected
output) is refused, since nobody here knows what it stands for.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

from harness.lint.formats.text import FormatError

# Of the shell's own, what says nothing of a cluster.
_SHELL = ("set", "exit", "true", ":")
_SEPARATORS = (";", "&&")
_PUNCTUATION = ";&|<>"
# Options of pcs that may stand anywhere (pcs(8)): of the command's way, not of what it makes.
_FLAGS = frozenset((
    "--", "--force", "--wait", "--debug", "--skip-offline", "--no-default-ops", "--future",
    "--agent-validation", "--yes", "--no-watchdog-validation", "--no-expire-check", "--autocorrect",
    "--safe", "--full", "--all",
))  # fmt: skip
_WITH_VALUE = ("-f", "--file", "--request-timeout", "--wait")
_OPTION = re.compile(r"-[A-Za-z]|--[a-z].*")
# What a command means by them is looked at where it is read.
_MEANT = ("--disabled", "--group", "--before", "--after", "--node")


@dataclass(frozen=True, slots=True)
class Command:
    """One command of pcs.

    Attributes:
        words: behind ``pcs``, without options.
        options: those that say what is made, by name; empty text for one without a value.
        unknown: options that are not known here.
        line: where it begins, from 1.
    """

    words: tuple[str, ...]
    options: dict[str, str]
    unknown: tuple[str, ...]
    line: int


def commands(text: str) -> tuple[list[Command], list[FormatError]]:
    """All commands of a script, and what of it is none that can be read."""
    found: list[Command] = []
    wrong: list[FormatError] = []
    for line, joined in _lines(text):
        try:
            for words in _simple(joined):
                command = _command(words, line)
                if command is not None:
                    found.append(command)
        except ValueError as error:
            wrong.append(FormatError(str(error), line))
    return found, wrong


def _lines(text: str) -> list[tuple[int, str]]:
    """Lines with those that a backslash joins to them, and where each begins."""
    found: list[tuple[int, str]] = []
    joined, begun = "", 1
    for number, raw in enumerate(text.split("\n"), 1):
        if not joined:
            begun = number
        if raw.rstrip().endswith("\\") and not raw.lstrip().startswith("#"):
            joined += raw.rstrip()[:-1] + " "
            continue
        joined += raw
        found.append((begun, joined))
        joined = ""
    if joined.strip():
        found.append((begun, joined))
    return [(line, one) for line, one in found if one.strip()]


def _simple(text: str) -> list[list[str]]:
    """The simple commands of a line, as a shell would cut it.

    Raises:
        ValueError: a quotation that does not end, or what only a shell can put together.
    """
    if text.lstrip().startswith("#"):
        return []
    lexer = shlex.shlex(text, posix=True, punctuation_chars=_PUNCTUATION)
    lexer.whitespace_split = True
    words = list(lexer)
    if any(sign in word for word in words for sign in "$`"):
        raise FormatError("a variable or a substitution of the shell: write what it stands for")
    simple: list[list[str]] = [[]]
    for word in words:
        if word in _SEPARATORS:
            simple.append([])
        elif word and all(sign in _PUNCTUATION for sign in word):
            raise FormatError(f"{word} is for a shell: only commands of pcs can be read")
        else:
            simple[-1].append(word)
    return [one for one in simple if one]


def _command(words: list[str], line: int) -> Command | None:
    """A command of pcs; None for what says nothing of a cluster.

    Raises:
        FormatError: it is neither.
    """
    if words[0] == "sudo":
        words = words[1:]
    if not words or words[0] in _SHELL:
        return None
    if words[0].rpartition("/")[2] != "pcs":
        raise FormatError(f"no command of pcs: {' '.join(words)}")
    plain: list[str] = []
    options: dict[str, str] = {}
    unknown: list[str] = []
    rest = iter(words[1:])
    for word in rest:
        name, equals, value = word.partition("=")
        if word in _FLAGS or (equals and name in _WITH_VALUE):
            continue
        if word in _WITH_VALUE:
            next(rest, None)
        elif name in _MEANT:
            options[name] = value if equals or name == "--disabled" else next(rest, "")
        elif _OPTION.fullmatch(name):
            unknown.append(word)
        else:
            plain.append(word)
    return Command(tuple(plain), options, tuple(unknown), line) if plain else None


def pairs(words: list[str] | tuple[str, ...]) -> dict[str, str]:
    """Words that are all ``name=value``.

    Raises:
        FormatError: one of them is not.
    """
    told: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise FormatError(f"{word} stands where name=value has to")
        told[name] = value
    return told


def loose(words: list[str]) -> tuple[list[str], dict[str, str]]:
    """The words before the first ``name=value``, and these.

    Raises:
        FormatError: a word without a value comes after one with it.
    """
    at = next((n for n, word in enumerate(words) if "=" in word), len(words))
    return words[:at], pairs(words[at:])


def sections(words: list[str], names: tuple[str, ...]) -> list[tuple[str, list[str]]]:
    """(keyword, words behind it); what stands before the first keyword has an empty one."""
    found: list[tuple[str, list[str]]] = [("", [])]
    for word in words:
        if word in names:
            found.append((word, []))
        else:
            found[-1][1].append(word)
    return found
