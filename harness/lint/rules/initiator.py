"""Rules on the initiator: it has to be more patient than a failover is long."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.lint.formats import corosync_conf
from harness.lint.formats.text import FormatError, seconds
from harness.lint.model import Place
from harness.lint.registry import Look, Severity, Source, rule
from harness.lint.rules.handlers import HANDLER_TIMEOUT
from harness.lint.rules.multipath import uses_multipath

if TYPE_CHECKING:
    from harness.lint.formats.initiator import Given
    from harness.lint.model import Machine

_REPLACEMENT = "node.session.timeo.replacement_timeout"
_INTERVAL = "node.conn[0].timeo.noop_out_interval"
_TIMEOUT = "node.conn[0].timeo.noop_out_timeout"
# open-iscsi's own (usr/config.h), and the kernel's for SCSI disks (sd.h, SD_TIMEOUT).
_DEFAULT_REPLACEMENT = 120
_DEFAULT_NOOP = 5
_DEFAULT_TIMER = 30
# Where the cluster's own timeouts do not say more.
_LEAST_S = 120.0


def longest_takeover(look: Look) -> float:
    """How long a failover may take by the cluster's own timeouts, in seconds.

    The loss is noticed (token and consensus), the other node fenced (with its head start), DRBD
    promoted (with the handler's patience below that of the promotion): after that the cluster
    itself would call it failed.
    """
    token = 3.0
    for node in look.cluster.nodes:
        conf = node.corosync.value
        given = conf.find("totem.token") if conf is not None else None
        try:
            token = max(token, corosync_conf.number_of(given) / 1000 if given is not None else 0.0)
        except FormatError:
            continue
    handler = promote = delay = 0.0
    for node in look.cluster.nodes:
        config = node.drbd.value
        for resource in config.resources.values() if config is not None else []:
            assert config is not None
            for option in config.option(resource, "handlers/fence-peer"):
                if match := HANDLER_TIMEOUT.search(option.value):
                    handler = max(handler, float(match[1]))
    cib = look.cluster.cib.value
    if cib is not None:
        for primitive in cib.of_agent("ocf:linbit:drbd"):
            promote = max(promote, seconds(primitive.timeout("promote") or "0") or 0.0)
        delay = seconds(cib.properties.get("priority-fencing-delay", "0")) or 0.0
    return max(_LEAST_S, 2.2 * token + delay + max(handler, promote))


def _number(given: Given | None, default: int) -> int | None:
    if given is None:
        return default
    return int(given.value) if re.fullmatch(r"-?\d{1,9}", given.value, re.ASCII) else None


def _settings(look: Look, machine: Machine) -> list[tuple[str, dict[str, Given]]]:
    """iscsid.conf, and each target's record, which is what counts once it exists."""
    found = []
    conf = look.need(machine.iscsid)
    if conf is not None:
        found.append((machine.iscsid.name, conf))
    found += [(machine.records.name, record) for record in machine.records.value or []]
    return found


@rule("replacement-timeout", "The initiator outlasts a failover", Severity.ERROR, Source.SEEN)
def replacement_timeout(look: Look) -> None:
    """While the session is gone the initiator holds I/O for replacement_timeout seconds, then fails
    it to the application. It has to be longer than a failover may take by the cluster's own
    timeouts; a negative value waits for ever. With multipath it is the other way round: see
    multipath-queues and path-timeout."""
    needed = longest_takeover(look)
    for machine in look.cluster.initiators:
        if uses_multipath(machine):
            look.saw()
            continue
        for file, settings in _settings(look, machine):
            given = settings.get(_REPLACEMENT)
            value = _number(given, _DEFAULT_REPLACEMENT)
            place = Place(file, given.line if given is not None else None, _REPLACEMENT)
            if value is None:
                look.report(place, f"{given.value if given else ''} is no number")
            elif 0 <= value <= needed:
                said = f"{value} s" + ("" if given is not None else ", the default")
                text = f"{said}: a failover may take {needed:.0f} s by the cluster's own timeouts"
                look.report(place, text)
            look.saw()


@rule("scsi-timer", "The SCSI timer outlasts a failover", Severity.ERROR, Source.SEEN)
def scsi_timer(look: Look) -> None:
    """While the serving node freezes its writes (its peer is being fenced), the session lives and
    commands are not answered. After 30 s, the default of a SCSI disk, the initiator resets the LUN
    and in the end takes the disk offline: an I/O error where a wait would have done."""
    needed = longest_takeover(look)
    for machine in look.cluster.initiators:
        timers = machine.timers.value
        if timers:
            for timer in timers:
                if timer.seconds <= needed:
                    text = f"{timer.seconds} s for {timer.what}; {needed:.0f} s are needed"
                    look.report(Place(machine.timers.name, timer.line), text)
                look.saw()
            continue
        rules = look.need(machine.timer_rules)
        if rules is None:
            continue
        if not rules:
            text = f"no udev rule sets the timer of the target's disks: {_DEFAULT_TIMER} s"
            look.report(Place(machine.timer_rules.name), text)
        # The last rule that fits wins.
        for file, timer in rules[-1:]:
            if timer.seconds <= needed:
                text = f"{timer.seconds} s; {needed:.0f} s are needed"
                look.report(Place(file, timer.line), text)
            look.saw()


@rule("dead-portal", "The initiator notices a dead portal", Severity.WARNING, Source.DOCS)
def dead_portal(look: Look) -> None:
    """With the pings of the session switched off, a target that is gone without a word is noticed
    only when TCP gives up, after a quarter of an hour: the initiator does not log in anew at the
    node that took over."""
    for machine in look.cluster.initiators:
        for file, settings in _settings(look, machine):
            for key in (_INTERVAL, _TIMEOUT):
                given = settings.get(key)
                value = _number(given, _DEFAULT_NOOP)
                place = Place(file, given.line if given is not None else None, key)
                if value is None or value <= 0 or value > 60:
                    look.report(place, f"{given.value if given else value}")
            look.saw()
