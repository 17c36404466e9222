"""What every reader shares: the error, and bytes that have to be text."""

from __future__ import annotations

import re

LONGEST = 4 << 20
"""Bytes of the largest file that is read; real ones have some kilobytes."""

# systemd.time(7) and Pacemaker (crm_get_msec) both know these; Pacemaker's bare number is seconds.
_UNITS = {
    "us": 1e-6, "usec": 1e-6, "ms": 1e-3, "msec": 1e-3, "": 1.0, "s": 1.0, "sec": 1.0,
    "second": 1.0, "seconds": 1.0, "m": 60.0, "min": 60.0, "minute": 60.0, "minutes": 60.0,
    "h": 3600.0, "hr": 3600.0, "hour": 3600.0, "hours": 3600.0,
}  # fmt: skip
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)\s*([a-z]*)", re.ASCII)


class FormatError(ValueError):
    """A file that is not what its name says, or that its own program would refuse.

    Args:
        what: what is wrong, one line.
        line: where, or None if no line can be named.
        file: in which of several files that are read together; else empty.

    Attributes:
        others: (line, what is wrong) of further places of the same file, where all of them are
            told.
    """

    def __init__(self, what: str, line: int | None = None, file: str = "") -> None:
        super().__init__(" ".join(what.split())[:300])
        self.line = line
        self.file = file
        self.others: tuple[tuple[int | None, str], ...] = ()


def decode(raw: bytes) -> str:
    """The text of a configuration file.

    Raises:
        FormatError: it is not UTF-8, holds a NUL, or is larger than ``LONGEST``.
    """
    if len(raw) > LONGEST:
        raise FormatError(f"{len(raw)} bytes are no configuration file")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise FormatError("not UTF-8 text", line) from error
    if (at := text.find("\0")) >= 0:
        raise FormatError("a NUL character", text[:at].count("\n") + 1)
    return text


def seconds(text: str) -> float | None:
    """A duration in seconds: ``60``, ``60s``, ``1min``, ``100ms``; None if it is none."""
    match = _DURATION.fullmatch(text.strip().lower())
    if match is None or match[2] not in _UNITS:
        return None
    return float(match[1]) * _UNITS[match[2]]


def is_true(text: str) -> bool:
    """Whether a setting says yes, in the words of Pacemaker (crm_is_true) and systemd."""
    return text.strip().lower() in ("1", "yes", "y", "true", "on", "t")


def is_false(text: str) -> bool:
    """Whether a setting says no."""
    return text.strip().lower() in ("0", "no", "n", "false", "off", "f")
