"""WARNINGs of guests' kernels: which are known, by their trace, and why they spoil no verdict."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.evidence.model import Seen
    from harness.evidence.timeline import Channel

# __warn() of kernel/panic.c, Linux 6.1: "WARNING: CPU: %d PID: %d at %s:%d %pS".
WARNING = re.compile(r"\bWARNING: CPU: \d+ PID: \d+ at (?:\S+:\d+ )?(?P<function>[\w.]+)?")
# What follows it: show_trace_log_lvl() of arch/x86/kernel/dumpstack.c ("? " marks what is no frame
# for certain), print_oops_end_marker() of kernel/panic.c.
_FRAME = re.compile(r"^\s*(?P<function>[\w.]+)\+0x[0-9a-f]+/0x[0-9a-f]+(?: \[\w+\])?$")
_END = re.compile(r"-{3}\[ end trace |-{4,}\[ cut here \]")
_MOST_LINES = 200  # of the same kernel's, from the WARNING to the end of its trace


@dataclass(frozen=True, slots=True)
class KnownWarning:
    """A WARNING that is a documented defect, and that takes nothing from what was measured.

    Attributes:
        function: who warned: the WARNING's own line names it.
        frames: what has to stand in its trace; the same function warns of other callers too.
        what: in a few words, for the verdict.
    """

    function: str
    frames: frozenset[str]
    what: str


KNOWN = (
    # w_after_conn_state_ch() of drivers/block/drbd/drbd_state.c, Linux 6.1: after the fence-peer
    # handler's success it walks over the connection's devices under rcu_read_lock(), and
    # drbd_uuid_new_current() (drbd_main.c) writes the new identifier to the disk there and waits
    # for it (drbd_md_sync()). rcu_note_context_switch() of kernel/rcu/tree_plugin.h warns of such a
    # sleep, once in a boot. It spoils no verdict: with preemptible RCU, as here, that same function
    # notes the sleeper next, and grace periods wait for it. So what the lock protects stays, the
    # identifier gets to the disk, and no write is touched. docs/findings.md has a row of it.
    KnownWarning(
        "rcu_note_context_switch",
        frozenset({"w_after_conn_state_ch", "drbd_uuid_new_current", "drbd_md_sync"}),
        "DRBD sleeps under rcu_read_lock in drbd_uuid_new_current",
    ),
)


def known_warnings(lines: Sequence[tuple[Seen, str]]) -> dict[str, KnownWarning]:
    """The known ones among a VM's kernel lines (``vm_kernel_lines``), by the line's reference."""
    known = {}
    for number, (seen, text) in enumerate(lines):
        match = WARNING.search(text)
        if match is None:
            continue
        after = lines[number + 1 : number + 1 + _MOST_LINES]
        frames = _frames(after, seen.event.channel)
        for one in KNOWN:
            if match["function"] == one.function and one.frames <= frames:
                known[seen.ref] = one
    return known


def _frames(lines: Sequence[tuple[Seen, str]], channel: Channel) -> set[str]:
    frames: set[str] = set()
    for seen, text in lines:
        if seen.event.channel is not channel or _END.search(text):
            break
        if frame := _FRAME.match(text):
            frames.add(frame["function"])
    return frames
