"""What /proc tells of a process: its name, its state, and the start that tells it from others."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class Stat(NamedTuple):
    """Fields of /proc/PID/stat (proc(5)).

    Attributes:
        name: the command's name, which may hold anything.
        state: one letter; Z and X for what has ended.
        start_ticks: when it started, in clock ticks since the boot: a PID is used again, not both.
    """

    name: str
    state: str
    start_ticks: int


def stat_of(pid: int) -> Stat | None:
    """What there is of a process in the PID namespace of /proc; None if there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name is in brackets and may hold brackets.
    head, rest = text.rsplit(")", 1)
    fields = rest.split()
    return Stat(head.partition("(")[2], fields[0], int(fields[19]))
