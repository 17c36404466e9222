"""DRBD's kernel messages, from the serial console and from the journal, each counted once.

Owns their parsing. The console and the journal are two witnesses of one printk buffer, so the
same text seen on both within a window is one message, dated by whichever arrived first.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.checks.registry import remember
from harness.evidence.timeline import Channel

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.evidence.model import Evidence, Seen

PAIR_WINDOW_NS = 30_000_000_000  # how far two witnesses of one message may lie apart

# printk's own decoration: level, time stamp, caller id (CONFIG_PRINTK_CALLER). On a console it
# may follow a login prompt or colours that did not end their line.
_DECORATION = re.compile(
    r"^(?:.*?(?=\[\s*\d+\.\d{6}\]))?(?:<\d+>)?\s*"
    r"(?:\[\s*\d+\.\d{6}\]\s*)?(?:\[\s*[TC]\d+\]\s*)?"
)
# 8.4 of Linux 6.1: drbd_info(device, ...) prints "block drbdN: ", drbd_info(connection, ...)
# "drbd NAME: " (drivers/block/drbd/drbd_int.h). 8.4 of Linux 6.12 prints "drbd NAME/VOLUME drbdN: "
# of a device (drbd_polymorph_printk.h), and so does 9.x, which may name the peer after that.
OF_DRBD = (
    r"(?:block drbd(?P<minor>\d{1,7})|"
    r"drbd (?P<resource>[\w.-]+)(?:/(?P<volume>\d{1,7}) drbd\d{1,7})?)"
)
"""How a message of DRBD's begins, before its colon: a regular expression."""
_PREFIX = re.compile(rf"^{OF_DRBD}(?: [\w.-]+)?: (?P<text>.*)$")
_BANNER = re.compile(r"^Linux version \d")
_ROLE = re.compile(r"(?:^|\s)role\( (?P<old>\w+) -> (?P<new>\w+) \)")


@dataclass(frozen=True, slots=True)
class KernelMessage:
    """One message of a node's DRBD.

    Attributes:
        t_ns: earliest arrival, ns on the run's clock; the message is not younger than that.
        node: who printed it.
        text: what follows the prefix.
        resource: the device that it is about; empty where the minor is not known.
        refs: where it stands in the timeline.
        journal: (boot_id, monotonic_us) of the journal's copy; None where there is none.
    """

    t_ns: int
    node: str
    text: str
    resource: str
    refs: tuple[str, ...]
    journal: tuple[str, int] | None = None

    @property
    def new_role(self) -> str | None:
        """The new role where the message is a role change."""
        match = _ROLE.search(self.text)
        return match["new"] if match else None


def vm_kernel_lines(evidence: Evidence, vm: str) -> list[tuple[Seen, str]]:
    """A VM's console and its journal's kernel entries, without their printk decoration."""
    lines = [
        (seen, _undecorated(seen.text("text")))
        for seen in evidence.select(Channel.CONSOLE, "line", source=vm)
    ]
    lines += [
        (seen, _undecorated(seen.text("message")))
        for seen in evidence.select(Channel.JOURNAL, "entry", source=vm)
        if seen.text("transport") == "kernel"
    ]
    return lines


@remember
def kernel_lines(evidence: Evidence) -> list[tuple[Seen, str]]:
    """Every kernel line of the nodes (console and journal), with its printk decoration removed."""
    return [line for node in evidence.scenario.nodes for line in vm_kernel_lines(evidence, node)]


@remember
def kernel_messages(evidence: Evidence) -> list[KernelMessage]:
    """Every DRBD message of the nodes, once for each device, by time of first arrival.

    What a connection says is said of each device that is a volume of its resource.
    """
    names, devices = minor_names(evidence), evidence.scenario.devices
    by_text: dict[tuple[str, str, str], dict[Channel, list[KernelMessage]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for seen, line in kernel_lines(evidence):
        match = _PREFIX.match(line)
        if match is None:
            continue
        meant = (
            devices.of(match["resource"], match["volume"] or "")
            if match["resource"]
            else (names.get(int(match["minor"]), ""),)
        )
        for resource in meant or ("",):
            message = KernelMessage(
                seen.t_ns, seen.source, match["text"], resource, (seen.ref,), journal_stamp(seen)
            )
            by_text[seen.source, line, resource][seen.event.channel].append(message)
    merged = [
        message
        for copies in by_text.values()
        for message in pair(copies[Channel.CONSOLE], copies[Channel.JOURNAL])
    ]
    return sorted(merged, key=lambda message: message.t_ns)


def pair(first: list[KernelMessage], second: list[KernelMessage]) -> Iterable[KernelMessage]:
    """Merge two witnesses' copies of one text, each in order of time: one message per pair."""
    i = j = 0
    while i < len(first) and j < len(second):
        a, b = first[i], second[j]
        if abs(a.t_ns - b.t_ns) <= PAIR_WINDOW_NS:
            yield replace(
                a, t_ns=min(a.t_ns, b.t_ns), refs=a.refs + b.refs, journal=a.journal or b.journal
            )
            i, j = i + 1, j + 1
        elif a.t_ns < b.t_ns:
            yield a
            i += 1
        else:
            yield b
            j += 1
    yield from first[i:]
    yield from second[j:]


def boots(evidence: Evidence, node: str) -> list[Seen]:
    """Where a node's kernel started anew on its console."""
    return [
        seen
        for seen in evidence.select(Channel.CONSOLE, "line", source=node)
        if _BANNER.match(_undecorated(seen.text("text")))
    ]


def streams_judged(evidence: Evidence) -> int:
    """How much the nodes' kernel streams said: their nonces and lines. 0 means: nothing seen."""
    nonces = sum(
        source in evidence.scenario.nodes and channel is not Channel.EVENTS2
        for source, channel in evidence.nonces
    )
    return nonces + len(kernel_lines(evidence))


def minor_names(evidence: Evidence) -> dict[int, str]:
    """DRBD minor to device: from events2's devices, else in the order of the devices."""
    names = dict(enumerate(evidence.scenario.resources))
    for seen in evidence.select(Channel.EVENTS2):
        fields = seen.event.data.get("fields")
        if seen.text("object") != "device" or not isinstance(fields, dict):
            continue
        minor = str(fields.get("minor", ""))
        for name in evidence.scenario.devices.meant(fields):
            if minor.isascii() and minor.isdigit() and name in evidence.scenario.resources:
                names[int(minor)] = name
    return names


def _undecorated(text: str) -> str:
    text = text.rstrip("\r\n")
    return text[_DECORATION.match(text).end() :]  # type: ignore[union-attr]


def journal_stamp(seen: Seen) -> tuple[str, int] | None:
    """(boot_id, monotonic_us) of a journal entry; None of anything else."""
    boot_id, monotonic = seen.text("boot_id"), seen.event.data.get("monotonic_us")
    if seen.event.channel is not Channel.JOURNAL or not boot_id or not isinstance(monotonic, int):
        return None
    return boot_id, monotonic
