"""What an initiator is set to: open-iscsi's settings, its records, and SCSI command timers."""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.lint.formats.text import FormatError


@dataclass(frozen=True, slots=True)
class Given:
    """A setting and where it is."""

    value: str
    line: int


def parse_iscsid(text: str) -> dict[str, Given]:
    """iscsid.conf, or ``iscsiadm -m node -o show``: ``name = value``, the last one counts.

    Raises:
        FormatError: a line that is none.
    """
    found: dict[str, Given] = {}
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        key, equals, value = line.partition("=")
        if not equals or not key.strip():
            raise FormatError(f"not name = value: {line}", number)
        found[key.strip()] = Given(value.strip(), number)
    return found


def parse_node_records(text: str) -> list[dict[str, Given]]:
    """``iscsiadm -m node -o show``: each target that the initiator knows.

    Raises:
        FormatError: a record that does not end, or a line that is no setting.
    """
    records: list[dict[str, Given]] = []
    inside: list[str] | None = None
    begun = 0
    for number, line in enumerate(text.split("\n"), 1):
        if line.startswith("# BEGIN RECORD"):
            if inside is not None:
                raise FormatError("a record within a record", number)
            inside, begun = [], number
        elif line.startswith("# END RECORD"):
            if inside is None:
                raise FormatError("the end of no record", number)
            record = parse_iscsid("\n" * begun + "\n".join(inside))
            records.append(record)
            inside = None
        elif inside is not None:
            inside.append(line)
        elif line.strip() and not line.startswith("#"):
            raise FormatError(f"outside of a record: {line}", number)
    if inside is not None:
        raise FormatError("a record that does not end", begun)
    return records


def parse_initiator_names(text: str) -> list[str]:
    """initiatorname.iscsi: the initiator's IQN.

    Raises:
        FormatError: there is none.
    """
    names = [given.value for key, given in parse_iscsid(text).items() if key == "InitiatorName"]
    if not names or not names[0]:
        raise FormatError("no InitiatorName")
    return names


@dataclass(frozen=True, slots=True)
class Timer:
    """A SCSI command timer that is in force or will be set.

    Attributes:
        seconds: how long a command may take.
        what: the disk, or the rule.
        line: where.
    """

    seconds: int
    what: str
    line: int


_TIMER = re.compile(r"(\S{1,64}) (\S.{0,30}?) (\d{1,9})", re.ASCII)
_ASSIGNED = re.compile(r"""(\w+)(?:\{([^}]*)\})?\s*(==|!=|:=|\+=|-=|=)\s*"([^"]*)\"""")


def parse_timers(text: str) -> list[Timer]:
    """``disk vendor seconds`` of each SCSI disk, as the collector notes them: those of a target.

    Raises:
        FormatError: another line.
    """
    timers = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        match = _TIMER.fullmatch(line.strip())
        if match is None:
            raise FormatError(f"no disk, vendor and seconds: {line}", number)
        if match[2].strip() in ("LIO-ORG", "IET"):
            timers.append(Timer(int(match[3]), match[1], number))
    return timers


def parse_udev_timers(text: str) -> list[Timer]:
    """udev rules (udev(7)) that set the timer of a target's disks.

    Raises:
        FormatError: a timer that is no number.
    """
    timers = []
    for number, line in enumerate(text.replace("\\\n", " ").split("\n"), 1):
        if line.lstrip().startswith("#"):
            continue
        parts = _ASSIGNED.findall(line)
        timeout = [
            value
            for key, attribute, operator, value in parts
            if key == "ATTR" and operator in ("=", ":=") and attribute.split("/")[-1] == "timeout"
        ]
        vendors = [
            value
            for key, attribute, operator, value in parts
            if key in ("ATTR", "ATTRS") and operator == "==" and attribute == "vendor"
        ]
        if not timeout or any(not vendor.startswith(("LIO-ORG", "IET", "*")) for vendor in vendors):
            continue
        if not re.fullmatch(r"\d{1,9}", timeout[0], re.ASCII):
            raise FormatError(f"no seconds: {timeout[0]}", number)
        timers.append(Timer(int(timeout[0]), "udev rule", number))
    return timers
