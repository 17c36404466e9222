"""What the timing profile allows on this host, against what was measured: pure functions.

A margin is what is allowed divided by the longest that was measured. It has to be 1.7 at least
(``REQUIRED``): of the same stall on the same quiet host at the same code, the longest that was seen
was 1.7 times the shortest (docs/measurements.md: 95.9 and 56.5 s). What was measured once or a few
times may take that much longer in another night, and must not run into its timeout then.

Of Corosync's token only its lateness is told, from three quarters of its time on. So it must not be
told at all while nothing is broken, which is a margin of 4/3 at least; more cannot be known.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from harness.qualify import measuring
from harness.report.qualified import Margin
from harness.report.text import plural

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from harness.evidence.model import Evidence
    from harness.qualify.measuring import Took
    from harness.report.qualified import Outcome
    from harness.timing import Timing

    Measure = Callable[[Evidence], list[Took]]

REQUIRED = 1.7
TOKEN_WARNING = 0.75
"""Corosync tells of a token that is late by this share of its time (token_warning's default)."""
UNBROKEN_S = 120.0
"""For so long nothing must have been broken before silence means anything, in seconds."""


@dataclass(frozen=True, slots=True)
class Timeout:
    """A class of timeout.

    Attributes:
        name: for people.
        of: the field of the timing profile; empty where the limit is not in it.
        measure: what stands against it in a scenario; None where nothing tells.
        scale: seconds of one unit of the field.
        late_only: only what comes near the limit is told, so that silence is good.
        required: the least margin that is enough.
        wanted: the chosen scenarios have it: nothing told of it means that it was not understood.
        why_not: why it is not measured, or not in every qualification.
    """

    name: str
    of: str
    measure: Measure | None = None
    scale: float = 1.0
    late_only: bool = False
    required: float = REQUIRED
    wanted: bool = False
    why_not: str = ""

    def allowed_s(self, timing: Timing) -> float | None:
        """The limit in seconds; None where each place has its own."""
        return float(getattr(timing, self.of)) * self.scale if self.of else None


# DRBD's start and ping's stop have timeouts of their own (vagrant/cluster/cluster.crm.j2), fence
# devices Pacemaker's default.
_START_APART, _STOP_APART = r"d\d+|fence_\w+", r"ping|fence_\w+"

TIMEOUTS = (
    Timeout(
        "a guest answers after a revert", "answer_deadline_s", measuring.reverts, wanted=True
    ),
    Timeout("a machine boots", "boot_deadline_s", measuring.boots, wanted=True),
    Timeout(
        "a node reboots cleanly", "reboot_deadline_s", measuring.reboots,
        why_not="no scenario of a qualification reboots a node",
    ),
    Timeout(
        "Corosync's token", "corosync_token_ms", measuring.late_tokens, scale=1e-3, late_only=True,
        required=1 / TOKEN_WARNING,
    ),
    Timeout(
        "DRBD's keep-alive", "drbd_ping_timeout_ds", measuring.late_pings, scale=0.1,
        late_only=True, required=1.0,
    ),
    Timeout(
        "DRBD's fence-peer handler", "fence_handler_timeout_s", measuring.handlers, wanted=True
    ),
    Timeout(
        "promote", "promote_timeout_s", partial(measuring.operations, names=("promote",)),
        wanted=True,
    ),
    Timeout(
        "start", "start_timeout_s",
        partial(measuring.operations, names=("start",), but=_START_APART), wanted=True,
    ),
    Timeout(
        "stop and demote", "stop_timeout_s",
        partial(measuring.operations, names=("stop", "demote"), but=_STOP_APART), wanted=True,
    ),
    Timeout(
        "monitor", "monitor_timeout_s", partial(measuring.operations, names=("monitor",)),
        wanted=True,
    ),
    Timeout("the session comes back", "replacement_timeout_s", measuring.sessions, wanted=True),
    Timeout("the initiator's SCSI timer", "scsi_timeout_s", measuring.standstills, wanted=True),
    Timeout("the cluster settles", "settle_deadline_s", measuring.settling, wanted=True),
    Timeout("a scenario's bound on the stall", "", measuring.stalls, wanted=True),
    Timeout(
        "forming the cluster", "form_deadline_s",
        why_not="it is a limit of each wait, and only the sum of them is told",
    ),
    Timeout(
        "DRBD's net timeout", "drbd_timeout_ds", scale=0.1,
        why_not="nothing tells how long the peer took to answer a request",
    ),
    Timeout(
        "crm-fence-peer.sh waits for a DC", "fence_dc_timeout_s",
        why_not="it is part of the handler's time, and not told by itself",
    ),
)  # fmt: skip
NO_TIMEOUT = {
    "name": "the profile's",
    "drbd_ping_int_s": "an interval",
    "drbd_connect_int_s": "an interval",
    "monitor_interval_s": "an interval",
    "priority_fencing_delay_s": "a head start: nothing runs out of it",
}
"""Fields of the profile that are no limits, and what they are."""


@dataclass(slots=True)
class Seen:
    """What was measured so far; scenarios are added one by one, as each timeline is long."""

    took: dict[str, list[Took]] = field(default_factory=dict)
    unbroken_s: float = 0.0
    failover: dict[str, float] = field(default_factory=dict)

    def add(self, evidence: Evidence) -> None:
        """Measure a scenario.

        Raises:
            EvidenceError, TimelineError, OSError: its evidence cannot be read.
        """
        for one in TIMEOUTS:
            if one.measure is not None:
                self.took.setdefault(one.name, []).extend(one.measure(evidence))
        self.unbroken_s += measuring.unbroken_s(evidence)
        for phases in measuring.failovers(evidence):
            for phase, seconds in phases.items():
                self.failover[phase] = max(seconds, self.failover.get(phase, 0.0))


def measured(evidences: Iterable[Evidence]) -> Seen:
    """What all of these scenarios tell."""
    seen = Seen()
    for evidence in evidences:
        seen.add(evidence)
    return seen


def margins(seen: Seen, timing: Timing) -> list[Margin]:
    """Every class of timeout, with its margin where it was measured."""
    return [_margin(one, seen, timing) for one in TIMEOUTS]


def objections(found: Iterable[Margin]) -> list[str]:
    """Why the host is not qualified by these margins, one line each; empty where it is."""
    return [f"{one.name}: {one.said}" for one in found if one.bad]


def _margin(timeout: Timeout, seen: Seen, timing: Timing) -> Margin:
    took = seen.took.get(timeout.name, [])
    limit_s = timeout.allowed_s(timing)
    if not took:
        return _unmeasured(timeout, seen, limit_s)
    # What ran out is nearest to its limit, whatever it says that it took.
    worst = max(took, key=lambda one: (one.over, one.seconds / (_limit(one, limit_s) or 1e-9)))
    allowed_s = _limit(worst, limit_s)
    number = f"{plural(len(took), 'time')}, at worst {worst.seconds:.1f} s of {allowed_s:.1f} s"
    outcome: Outcome
    if worst.over:
        ratio, outcome = None, "ran out"
        said = f"it ran out ({worst.where}); allowed were {allowed_s:.1f} s"
    else:
        ratio = round(allowed_s / max(worst.seconds, 1e-3), 3)
        # A warning means that its time was over by the share at which Corosync warns, or more.
        small = ratio < timeout.required or timeout.late_only
        outcome = "small" if small else "enough"
        said = f"{number}: a margin of {ratio:.2f}"
        if small:
            at_least = "more than" if timeout.late_only else "at least"
            said += f", where {at_least} {timeout.required:.2f} is wanted ({worst.where})"
    return _told(timeout, outcome, said, allowed_s, worst, ratio, len(took))


def _unmeasured(timeout: Timeout, seen: Seen, allowed_s: float | None) -> Margin:
    if timeout.late_only and seen.unbroken_s >= UNBROKEN_S:
        said = f"never told to be late in {seen.unbroken_s:.0f} s in which nothing was broken"
        return _told(timeout, "silent", said, allowed_s, None, round(timeout.required, 3), 0)
    if timeout.late_only:
        said = f"nothing was broken for {seen.unbroken_s:.0f} s only: {UNBROKEN_S:.0f} s are wanted"
        return _told(timeout, "missing", said, allowed_s, None, None, 0)
    if timeout.wanted:
        said = "nothing was told of it, though the scenarios have it"
        return _told(timeout, "missing", said, allowed_s, None, None, 0)
    return _told(timeout, "not measured", timeout.why_not, allowed_s, None, None, 0)


def _limit(took: Took, limit_s: float | None) -> float:
    """What is allowed in this place, in seconds."""
    return limit_s if took.allowed_s is None and limit_s is not None else took.allowed_s or 0.0


def _told(
    timeout: Timeout,
    outcome: Outcome,
    said: str,
    allowed_s: float | None,
    worst: Took | None,
    ratio: float | None,
    count: int,
) -> Margin:
    return Margin(
        name=timeout.name,
        outcome=outcome,
        allowed_s=allowed_s,
        measured_s=round(worst.seconds, 3) if worst is not None else None,
        margin=ratio,
        required=round(timeout.required, 3),
        count=count,
        where=worst.where if worst is not None else "",
        said=said,
    )
