"""multipath.conf(5): what it says for the disks of an iSCSI target."""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.lint.formats.text import FormatError

_DEEPEST = 4
# A keyword, and what is behind it: a word, or text in quotes.
_PAIR = re.compile(r'(?P<key>[a-z_0-9]{1,64})\s+(?:"(?P<quoted>[^"]*)"|(?P<word>[^\s"{}]+))')
# A # or ! outside of quotes begins a comment (alloc_strvec() of libmultipath/parser.c).
_COMMENT = re.compile(r'^((?:[^"#!]|"[^"]*")*)[#!].*$')
_WORDS = re.compile(r'[{}]|(?:"[^"]*"|[^{}"])+')
# Vendors that LIO and tgt call themselves by; a section's own is a regular expression.
_TARGETS = ("LIO-ORG", "IET")


@dataclass(frozen=True, slots=True)
class Said:
    """One setting.

    Attributes:
        section: ``defaults``, ``overrides``, or ``device`` where the device is a target's.
    """

    section: str
    key: str
    value: str
    line: int


def parse_multipath(text: str) -> list[Said]:
    """The settings that count for a target's disks, the one that wins last.

    ``defaults`` lose against a ``device``, that against ``overrides``; within a section the last
    one wins.

    Raises:
        FormatError: a line that is neither, or braces that do not match.
    """
    sections: list[tuple[str, int]] = []
    inside: list[Said] = []  # of the device section that is open
    found: dict[str, list[Said]] = {"defaults": [], "device": [], "overrides": []}
    for number, raw in enumerate(text.split("\n"), 1):
        for word in _WORDS.findall(_COMMENT.sub(r"\1", raw)):
            said = word.strip()
            if not said:
                continue
            if said == "{":
                if not sections or sections[-1][0].startswith("/"):
                    raise FormatError("a { without a section", number)
                continue
            if said == "}":
                if not sections:
                    raise FormatError("a } that closes nothing", number)
                _close(sections.pop()[0], inside, found)
            elif re.fullmatch(r"[a-z_]+", said):
                if len(sections) >= _DEEPEST:
                    raise FormatError("sections are nested too deeply", number)
                sections.append((said, number))
                if said == "device":
                    inside = []
            else:
                # What is behind it on the line is passed over, with a warning.
                pair = _PAIR.match(said)
                if pair is None or not sections:
                    raise FormatError(f"no setting in a section: {said}", number)
                value = pair["quoted"] if pair["word"] is None else pair["word"]
                one = Said(sections[-1][0], pair["key"], value, number)
                if one.section == "device":
                    inside.append(one)
                elif one.section in found:
                    found[one.section].append(one)
    if sections:
        raise FormatError(f"section {sections[-1][0]} is not closed", sections[-1][1])
    return [*found["defaults"], *found["device"], *found["overrides"]]


def _close(section: str, inside: list[Said], found: dict[str, list[Said]]) -> None:
    """A device's settings count where it is a target's, and it is none that is left out."""
    if section != "device":
        return
    vendor = next((one.value for one in inside if one.key == "vendor"), "")
    settings = [one for one in inside if one.key not in ("vendor", "product")]
    try:
        is_target = any(re.search(vendor, name) for name in _TARGETS)
    except re.error:
        is_target = vendor in _TARGETS
    if vendor and settings and is_target:
        found["device"] += settings
