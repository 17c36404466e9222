"""open-iscsi's patience and the SCSI command timers, onto the lab's one initiator."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.lint.formats.host import starts_at_boot
from harness.lint.model import Place, State

if TYPE_CHECKING:
    from harness.lint.model import Machine
    from harness.lint.onto_lab.sheet import Sheet

# Setting, the lab's key, open-iscsi's own default (usr/config.h).
_SETTINGS = (
    ("node.session.timeo.replacement_timeout", "timing.replacement_timeout_s", 120),
    ("node.conn[0].timeo.login_timeout", "initiator.login_timeout_s", 15),
    ("node.conn[0].timeo.noop_out_interval", "initiator.noop_interval_s", 5),
    ("node.conn[0].timeo.noop_out_timeout", "initiator.noop_timeout_s", 5),
)
# A negative replacement_timeout waits for ever, 0 fails at once; the lab's is a number of seconds.
_FOR_EVER_S = 86_400
# sd.h of Linux, SD_TIMEOUT.
_DEFAULT_TIMER_S = 30


def map_initiator(sheet: Sheet) -> None:
    """Map the first initiator; the lab has no other."""
    if not sheet.cluster.initiators:
        sheet.assume("no initiator's files: it has the lab's own patience")
        allowed = sheet.settings.get(("target", "allowed_initiators"))
        if allowed is not None and allowed.value:
            # It would not be let in under its own name.
            note = "the first one that the target lets in"
            sheet.set("initiator.iqn", allowed.value[0], allowed.place, note)
        return
    machine = sheet.cluster.initiators[0]
    names = sheet.look.need(machine.initiator_names)
    if names:
        sheet.set("initiator.iqn", names[0], Place(machine.initiator_names.name))
    if starts_at_boot(machine.units.value or {}, "multipathd.service"):
        place = Place(machine.units.name, None, "multipathd.service")
        sheet.leave(place, "multipath", "the lab's initiator has one path and no multipath")
    _patience(sheet, machine)
    _timer(sheet, machine)


def _patience(sheet: Sheet, machine: Machine) -> None:
    if records := machine.records.value:
        settings, file = records[0], machine.records.name
    elif (conf := sheet.look.need(machine.iscsid)) is not None:
        # A record is made from these when a target is found, and counts from then on.
        settings, file = conf, machine.iscsid.name
    else:
        return
    for name, key, default in _SETTINGS:
        given = settings.get(name)
        place = Place(file, given.line, name) if given is not None else None
        text = given.value if given is not None else str(default)
        if not re.fullmatch(r"-?\d{1,9}", text, re.ASCII):
            sheet.leave(Place(file, given.line if given else None), text, "it is no number")
            continue
        number, note = int(text), ""
        if key.startswith("timing.") and number < 0:
            number, note = _FOR_EVER_S, "for ever, there"
        elif key.startswith("timing.") and number == 0:
            number, note = 1, "0, there: at once"
        sheet.set(key, number, place, note)


def _timer(sheet: Sheet, machine: Machine) -> None:
    timers = machine.timers.value
    if timers:
        least = min(timers, key=lambda timer: timer.seconds)
        place = Place(machine.timers.name, least.line)
        sheet.set("timing.scsi_timeout_s", max(1, least.seconds), place)
        return
    none = machine.timer_rules.state is State.ABSENT
    rules = [] if none else sheet.look.need(machine.timer_rules)
    if rules is None:
        return
    if rules:
        # The last rule that fits wins.
        file, timer = rules[-1]
        sheet.set("timing.scsi_timeout_s", max(1, timer.seconds), Place(file, timer.line))
    else:
        sheet.set("timing.scsi_timeout_s", _DEFAULT_TIMER_S, None, "the kernel's own")
