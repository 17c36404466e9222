"""Daemons of the cluster that crash: what the kernel, pacemakerd and systemd say of that."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.evidence.timeline import Channel

if TYPE_CHECKING:
    from harness.evidence.model import Seen

_OURS = r"corosync|pacemaker[\w-]*|iscsid|drbd\w*|fence_\w+"
# By the kernel: show_signal_msg() of arch/x86/mm/fault.c, and show_signal() of
# arch/x86/kernel/traps.c, Linux 6.1. It knows the first 15 characters of a name (TASK_COMM_LEN).
_BY_KERNEL = re.compile(
    rf"^(?:(?P<faulted>{_OURS})\[\d+\]: segfault at [0-9a-f]+ ip "
    rf"|traps: (?P<trapped>{_OURS})\[\d+\] .*\bip:[0-9a-f]+ )"
)
_COMM_LENGTH = 15
# pcmk_child_exit() of daemons/pacemakerd/pcmkd_subdaemons.c, Pacemaker 2.1, and
# unit_log_process_exit() of src/core/unit.c, systemd 252.
_BY_PACEMAKERD = re.compile(r"(?P<name>[\w-]+)\[\d+\] terminated with signal (?P<signal>\d+) ")
_BY_SYSTEMD = re.compile(
    r"^(?P<name>corosync|pacemaker|iscsid)\.service: Main process exited, "
    r"code=(?:killed|dumped), status=(?P<signal>\d+)/"
)
_UNITS = {"pacemaker": "pacemakerd"}  # by unit: the main process, where it is called otherwise
# Those of signal(7) that a process gets for what it does itself: SIGILL, SIGTRAP (abort of GLib),
# SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGSYS. Others are sent: SIGKILL by a scenario, by the
# out-of-memory killer (which the kernel tells) and by pacemakerd to who does not answer it.
_OWN_SIGNALS = frozenset({4, 5, 6, 7, 8, 11, 31})


def crashed_daemon(text: str) -> str | None:
    """The (shortened) name of the daemon that crashed by a line of the kernel, or of another."""
    if match := _BY_KERNEL.match(text):
        return match["faulted"] or match["trapped"]
    match = _BY_SYSTEMD.match(text) or _BY_PACEMAKERD.search(text)
    if match is None or int(match["signal"]) not in _OWN_SIGNALS:
        return None
    return _UNITS.get(match["name"], match["name"])[:_COMM_LENGTH]


def is_daemon(shortened: str, name: str) -> bool:
    """Whether ``crashed_daemon`` may mean the daemon of this name."""
    return name[:_COMM_LENGTH] == shortened


def told_of_a_crash(seen: Seen) -> bool:
    """Whether a journal entry is pacemakerd's or systemd's word that a daemon crashed."""
    by = {"pacemakerd": _BY_PACEMAKERD, "systemd": _BY_SYSTEMD}.get(seen.text("identifier"))
    if seen.event.channel is not Channel.JOURNAL or seen.text("transport") == "kernel":
        return False
    text = seen.text("message")
    return by is not None and by.search(text) is not None and crashed_daemon(text) is not None
