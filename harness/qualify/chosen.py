"""What a host is tried with: one scenario of each theme, and two mutants.

A theme's scenario is the shortest of those that were run by the project itself
(scenarios/durations.json), unless the reason says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Chosen:
    """A scenario that a host is tried with.

    Attributes:
        theme: of the catalogue (docs/catalogue.md).
        scenario: its name, with its example in brackets.
        reason: why this one of its theme.
    """

    theme: str
    scenario: str
    reason: str


SCENARIOS = (
    Chosen(
        "control",
        "The cluster is left alone during writes",
        "the noise floor: whether Corosync's token is late, and writes stand, with nothing broken",
    ),
    Chosen(
        "control",
        "Jumbo frames pass unfragmented end to end",
        "half a minute; without it the mutant mtu-on-one-node would have no control",
    ),
    Chosen(
        "links",
        "The drbd link is cut during writes [by carrier]",
        "15 s longer than a cut of the mgmt link; it has DRBD's fence-peer handler in it, and is "
        "the control of the mutant fencing-dont-care",
    ),
    Chosen(
        "power",
        "The active node loses power during writes",
        "the shortest with a failover: detection, fencing, promotion, target, session, boot",
    ),
    Chosen(
        "storage",
        "The passive node loses power, and with it the cache of its disks",
        "the shortest that was run; it needs nbdkit and QEMU's QMP",
    ),
    Chosen(
        "node",
        "The clock of the active node jumps by an hour during writes [forward]",
        "short by its tag, as none of this theme was measured; whatever the host's clock source "
        "is, timers must not follow",
    ),
    Chosen(
        "daemons",
        "pacemakerd is killed on the active node during writes",
        "short by its tag, as none of this theme was measured; nothing else may happen",
    ),
    Chosen(
        "fencing",
        "The drbd and mgmt links are cut while the fence device is slow",
        "the shortest that was run: a fencing through fence_virtd, and patience above it",
    ),
    Chosen(
        "recovery",
        "Both nodes write to r1, and the passive node's writes are discarded",
        "the shortest that was run",
    ),
    Chosen(
        "maintenance",
        "The active node is put on standby, and taken off it",
        "the shortest that was run: the only one here in which the group is stopped in order",
    ),
)  # fmt: skip

MUTANTS = ("mtu-on-one-node", "fencing-dont-care")
"""The first needs no load and takes half a minute, the second sees DRBD itself. Both were caught
three times of three by their one check (docs/measurements.md)."""


def names() -> tuple[str, ...]:
    """The scenarios' names, as ``harness run`` takes them."""
    return tuple(one.scenario for one in SCENARIOS)
