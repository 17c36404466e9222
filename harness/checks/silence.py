"""What a witness that was there did not tell: silence where something has to be heard, and losses.

A stream with a nonce at both ends may have told nothing in between, and a log daemon may have
dropped what it should have passed on. Whatever cannot be otherwise is demanded here.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

from harness.checks.jobs import has_workload
from harness.checks.kernel import kernel_messages
from harness.checks.moments import over_ns
from harness.evidence.timeline import Channel

if TYPE_CHECKING:
    from harness.evidence.model import Evidence, Seen

# server_driver_message() of systemd's journald-kmsg.c (dev_kmsg_record) and journald-rate-limit's
# callers in journald-server.c: what journald itself did not get, or did not keep.
_JOURNALD_LOST = re.compile(r"^(?:Missed \d+ kernel messages|Suppressed \d+ messages from )")
_JOURNALD = "systemd-journald"
# kernel/printk/printk.c, console_emit_next_record() (6.1) and console_prepend_dropped() since.
_PRINTK_LOST = re.compile(r"\*\* \d+ printk messages dropped \*\*")
_OFF = ("stopped", "crashed")

Told = list[tuple[str, "Seen | None"]]


def silences(evidence: Evidence) -> Told:
    """(what was not heard, or lost; where the timeline shows it, if anywhere)."""
    told: Told = []
    for vm in evidence.vms:
        told += _nothing_in_the_journal(evidence, vm)
        told += _nothing_on_the_console(evidence, vm)
        told += _dropped(evidence, vm)
        told += _taken_for_repeated(evidence, vm)
    for node in evidence.scenario.nodes:
        told += _nothing_of_events2(evidence, node)
    return told + _pauses_not_heard_of(evidence) + _of_no_resource(evidence)


def _between(evidence: Evidence, channel: Channel, vm: str, *kinds: str) -> list[Seen] | None:
    """What a stream told between its nonces; None where it does not have both."""
    closing = evidence.select(channel, "end-nonce", source=vm)
    if (vm, channel) not in evidence.nonces or not closing:
        return None
    return [s for s in evidence.select(channel, *kinds, source=vm) if s.line < closing[-1].line]


def _nothing_in_the_journal(evidence: Evidence, vm: str) -> Told:
    """A node's events2 starts anew after its nonce, and fio's units start: systemd tells of both.

    An initiator without a workload may have nothing to say.
    """
    if vm not in evidence.scenario.nodes and not has_workload(evidence):
        return []
    told = _between(evidence, Channel.JOURNAL, vm, "entry")
    return [(f"journal of {vm}: nothing but nonces", None)] if told == [] else []


def _nothing_on_the_console(evidence: Evidence, vm: str) -> Told:
    """The console and the journal have one printk buffer: both tell, or neither does.

    Only all of it: what the kernel says while it boots comes before the console is there.
    """
    lines = _between(evidence, Channel.CONSOLE, vm, "line")
    entries = _between(evidence, Channel.JOURNAL, vm, "entry") or []
    of_the_kernel = [seen for seen in entries if seen.text("transport") == "kernel"]
    if lines != [] or not of_the_kernel:
        return []
    text = f"console of {vm}: nothing, but its journal has {len(of_the_kernel)} kernel messages"
    return [(text, of_the_kernel[0])]


def _nothing_of_events2(evidence: Evidence, node: str) -> Told:
    """After its nonce events2 starts anew, and tells first of each resource that there is.

    Where several devices are volumes of one resource: of each volume.
    """
    told = _between(evidence, Channel.EVENTS2, node, "exists")
    if told is None:
        return []
    devices = evidence.scenario.devices
    named = {
        device
        for s in told
        if isinstance(fields := s.event.data.get("fields"), dict)
        and (not devices.volumes or s.text("object") == "device")
        for device in devices.meant(fields)
    }
    missing = [name for name in evidence.scenario.resources if name not in named]
    return [(f"events2 of {node}: nothing of {', '.join(missing)}", None)] if missing else []


def _dropped(evidence: Evidence, vm: str) -> Told:
    """What journald and the kernel's console say themselves that they lost."""
    lost = [
        seen
        for seen in evidence.select(Channel.JOURNAL, "entry", source=vm)
        if seen.text("identifier") == _JOURNALD and _JOURNALD_LOST.match(seen.text("message"))
    ]
    lost += [
        seen
        for seen in evidence.select(Channel.CONSOLE, "line", source=vm)
        if _PRINTK_LOST.search(seen.text("text"))
    ]
    return [
        (f"{s.event.channel} of {vm}: {(s.text('message') or s.text('text')).strip()[:80]}", s)
        for s in lost
    ]


def _taken_for_repeated(evidence: Evidence, vm: str) -> Told:
    """Entries that were left out as told before (``Evidence.select``), and had not been.

    A journal that tells its boot again repeats what was told; what lay before the nonce need not
    have been. One stamp that is far ahead makes all that follows look older, and be left out.
    """
    nonce = evidence.nonces.get((vm, Channel.JOURNAL))
    if nonce is None:
        return []
    kept = {seen.line for seen in evidence.select(Channel.JOURNAL, "entry", source=vm)}
    begins: dict[str, int] = {}
    told: set[tuple[str, int, str]] = set()
    left_out: list[Seen] = []
    for seen in evidence.timeline:
        if seen.event.channel is not Channel.JOURNAL or seen.source != vm:
            continue
        stamp, boot = seen.event.data.get("monotonic_us"), seen.text("boot_id")
        if type(stamp) is not int or (seen.event.kind != "entry" and seen is not nonce):
            continue
        key = (boot, stamp, seen.text("message"))
        if seen.line <= nonce.line:
            begins[boot] = stamp
        elif seen.line in kept:
            # The boot that ran at the nonce told nothing before it: what is older lay before it.
            begins.setdefault(boot, stamp if not begins else -1)
        elif stamp > begins.get(boot, -1) and key not in told:
            left_out.append(seen)
        told.add(key)
    if not left_out:
        return []
    text = f"journal of {vm}: {len(left_out)} entries look repeated, and were not told before"
    return [(text, left_out[0])]


def _pauses_not_heard_of(evidence: Evidence) -> Told:
    """Every VM that runs is paused while the replicas are read, and libvirt's lifecycle tells.

    At the end of a scenario, when all else is over (harness.cluster.offline); so whoever heard
    nothing of it heard of no fencing and no crash before. A VM that is off is not paused.
    """
    if not any(evidence.folder.glob("replicas/*.digests.bin")):
        return []
    over = over_ns(evidence)
    told: Told = []
    for vm in evidence.vms:
        words = evidence.select(Channel.DOMAIN, "lifecycle", source=vm)
        paused = [
            one
            for one, then in pairwise(words)
            if (one.text("event"), then.text("event")) == ("suspended", "resumed")
            and (over is None or one.t_ns >= over)
        ]
        off = bool(words) and words[-1].text("event") in _OFF
        if not paused and not off:
            told.append((f"lifecycle of {vm}: no word of its pause at the end", None))
    return told


def _of_no_resource(evidence: Evidence) -> Told:
    """Kernel messages of a DRBD device that no events2 names: whose roles these are, none knows."""
    strange = [m for m in kernel_messages(evidence) if not m.resource]
    if not strange:
        return []
    first = strange[0]
    line = int(first.refs[0].rpartition(":")[2])
    text = (
        f"kernel of {first.node}: {len(strange)} messages of an unknown device, {first.text[:60]}"
    )
    return [(text, evidence.timeline[line - 1])]
