"""Rules on multipath: between paths it has to be quick, without any it has to wait.

Sources: multipath.conf(5) and the built-in table of multipath-tools 0.9.4 (`multipath -t`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.lint.formats.host import starts_at_boot
from harness.lint.model import Place, State
from harness.lint.registry import Look, Severity, Source, rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.lint.formats.multipath_conf import Said
    from harness.lint.model import Machine

_QUEUES = re.compile(r"\bqueue_if_no_path\b")
_LONGEST_S = 30


def uses_multipath(machine: Machine) -> bool:
    """Whether an initiator runs multipathd."""
    return starts_at_boot(machine.units.value or {}, "multipathd.service")


def _confs(look: Look) -> Iterator[tuple[Machine, list[Said]]]:
    """The initiators that use multipath, with what their configuration says."""
    for machine in look.cluster.initiators:
        if not uses_multipath(machine):
            if machine.units.state in (State.MISSING, State.UNREADABLE):
                look.need(machine.units)
            else:
                look.saw()
            continue
        # Without a file its built-in table is in force.
        conf = [] if machine.multipath.state is State.ABSENT else look.need(machine.multipath)
        if conf is not None:
            yield machine, conf
            look.saw()


def _last(conf: list[Said], key: str) -> Said | None:
    return next((one for one in reversed(conf) if one.key == key), None)


@rule("multipath-queues", "Without a path, I/O waits", Severity.ERROR, Source.DOCS)
def multipath_queues(look: Look) -> None:
    """A failover leaves the initiator without any path for a while. With no_path_retry queue its
    I/O waits for one; with fail, or so many retries (12 is built in for LIO), it fails to the
    application once they are used up, whatever replacement_timeout says."""
    for machine, conf in _confs(look):
        retry, features = _last(conf, "no_path_retry"), _last(conf, "features")
        if retry is None and features is not None and _QUEUES.search(features.value):
            continue
        if retry is None or retry.value != "queue":
            said = "is not set" if retry is None else f"is {retry.value}"
            line = retry.line if retry is not None else None
            look.report(Place(machine.multipath.name, line), f"no_path_retry {said}")


@rule("path-timeout", "A dead path is given up soon", Severity.WARNING, Source.DOCS)
def path_timeout(look: Look) -> None:
    """With multipath a session should give its I/O back within seconds, so that it can go another
    way. multipathd sets that from fast_io_fail_tmo, 5 s by default; off leaves what iscsid.conf
    says, which is minutes where somebody thought of a single path."""
    for machine, conf in _confs(look):
        given = _last(conf, "fast_io_fail_tmo")
        if given is None:
            continue
        number = int(given.value) if re.fullmatch(r"\d{1,9}", given.value, re.ASCII) else None
        if number is None or number > _LONGEST_S:
            place = Place(machine.multipath.name, given.line)
            look.report(place, f"fast_io_fail_tmo is {given.value}")
