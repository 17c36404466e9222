"""A daemon that was killed is started again by who watches over it, not by the scenario."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.checks.faults import by_id
from harness.checks.registry import Finding, check, found
from harness.checks.roles import deaths
from harness.checks.verdict import Verdict
from harness.evidence.timeline import Channel

if TYPE_CHECKING:
    from harness.evidence.model import Evidence, Seen

KIND = "daemon-killed"
# Those that somebody watches over. Nobody starts Corosync again: its unit has no Restart.
_WATCHED = "pacemaker"
# pcmk_process_exit() of daemons/pacemakerd/pcmkd_subdaemons.c, Pacemaker 2.1 and 3.0; it finds a
# daemon that somebody else started first, too.
_SUBDAEMON = re.compile(
    r"\bRespawning (?:failed child process: )?(?P<one>pacemaker-\w+)"
    r"|\bstrict respawning of a child process (?P<other>pacemaker-\w+)"
)
# service_enter_restart() of src/core/service.c, systemd 252.
_UNIT = re.compile(r"^(?P<unit>[\w-]+)\.service: Scheduled restart job, restart counter is at \d+")
_UNITS = {"pacemakerd": "pacemaker"}
# Who is healed before that may have been as quick: nothing was to be seen.
_PATIENCE_NS = 20_000_000_000
_LATE_NS = 5_000_000_000


def _watched(evidence: Evidence) -> list[tuple[str, str, Seen, int]]:
    """(daemon, machine, injection, until) of each that was killed and left alone for a while."""
    found_ones = []
    for events in by_id(evidence).values():
        kinds = {seen.event.kind: seen for seen in events}
        if "bitten" not in kinds or kinds["bitten"].text("kind") != KIND:
            continue
        inject = kinds["inject"] if "inject" in kinds else kinds["bitten"]
        daemon, _, machine = inject.text("target").partition(" of ")
        until_ns = kinds["heal"].t_ns if "heal" in kinds else evidence.end_ns
        if not daemon.startswith(_WATCHED) or until_ns - inject.t_ns < _PATIENCE_NS:
            continue
        # A node that was fenced for it has answered otherwise.
        if not any(inject.t_ns <= death.t_ns <= until_ns for death in deaths(evidence, machine)):
            found_ones.append((daemon, machine, inject, until_ns))
    return found_ones


def _starts(seen: Seen, daemon: str) -> bool:
    message, by = seen.text("message"), seen.text("identifier")
    if by == "pacemakerd":
        match = _SUBDAEMON.search(message)
        return match is not None and daemon in match.groups()
    unit = _UNIT.match(message) if by == "systemd" else None
    return unit is not None and unit["unit"] == _UNITS.get(daemon, daemon)


def _kills_one(evidence: Evidence) -> bool:
    return any(seen.text("kind") == KIND for seen in evidence.select(Channel.FAULT, "inject"))


@check("respawned", "A killed daemon was started again by itself", applies=_kills_one)
def respawned(evidence: Evidence) -> Finding:
    """Who watches over a daemon that was killed says that it starts it again, before it is healed.

    Healing starts whatever does not run, so that in the end it says nothing. pacemakerd tells which
    of its daemons it respawns, systemd which unit it restarts. Corosync has nobody who does, and a
    node that is fenced for its daemon boots instead: neither is judged. Nor is what was healed
    within 20 s. Without a word the daemon may have been gone all the time while nothing needed it:
    another test than the one meant, INCONCLUSIVE.
    """
    killed = _watched(evidence)
    problems: list[str] = []
    refs: list[str] = []
    when: list[int] = []
    for daemon, machine, inject, until_ns in killed:
        told = [
            seen
            for seen in evidence.select(Channel.JOURNAL, "entry", source=machine)
            if inject.t_ns <= seen.t_ns <= until_ns + _LATE_NS and _starts(seen, daemon)
        ]
        refs += [seen.ref for seen in told] or [inject.ref]
        if not told:
            seconds = (until_ns - inject.t_ns) / 1e9
            problems.append(f"nobody told that it started {daemon} of {machine} in {seconds:.0f} s")
            when.append(inject.t_ns)
    return found(
        problems,
        otherwise=Verdict.INCONCLUSIVE,
        expected="a word that it is started again, before it is healed",
        fine=", ".join(f"{daemon} of {machine}" for daemon, machine, *_ in killed)
        or "none that anybody was to start again",
        operations=sum(
            seen.source in evidence.vms for seen in evidence.select(Channel.JOURNAL, "entry")
        ),
        when_ns=when,
        evidence=refs,
    )
