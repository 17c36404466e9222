"""Steps that judge: each names a few checks of harness.checks.

The first of them ends the scenario (heal, settle, stop the writes, collect). At the end all checks
are judged, whether a step names them or not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_bdd import then

from harness.scenario import Scenario  # noqa: TC001  (pytest resolves it)

if TYPE_CHECKING:
    from collections.abc import Callable

STEPS = {
    "there was no split-brain": (
        "split-brain-messages",
        "generation-ids",
        "forked-generations",
        "dual-primary",
        "dual-vip",
        "fence-before-promotion",
        "writes-alone",
        "outdated-promotion",
    ),
    "nobody served while nobody may": ("no-service",),
    "Pacemaker did nothing in maintenance mode": ("maintenance",),
    "the split-brain was noticed, and the discarded writes are named": (
        "split-brain-detected",
        "discarded-writes",
        "dual-vip",
    ),
    "the dead fence device was told of": ("fence-device-told",),
    "ifdown did more than a cut does": ("ifdown",),
    "the failover was transparent": (
        "io-errors",
        "block-requests",
        "device-identity",
        "stall",
        "fsck",
        "files",
    ),
    "the initiator saw no error": ("io-errors", "block-requests"),
    "no acknowledged write was lost": ("lost-writes", "linearizable", "torn-blocks"),
    "no flushed write was lost": ("flushed-writes", "linearizable", "torn-blocks"),
    "both replicas are identical": (
        "replica-digests",
        "replica-sweep",
        "offline-metadata",
        "replicas-up-to-date",
    ),
    "the resync went on where it was broken off": ("resync-goes-on",),
    "the file system is clean and its files are intact": ("fsck", "files"),
    "the longest stall is within its bound": ("stall",),
    "exactly the expected failovers and fencings happened": ("failovers", "fencings"),
    "the cluster is whole again": (
        "connections",
        "replicas-up-to-date",
        "instances",
        "fence-constraints",
        "failed-actions",
        "membership",
        "settled",
    ),
    "every reboot ended in time": ("reboot",),
    "no frame was too large": ("jumbo",),
}


def _judges(checks: tuple[str, ...]) -> Callable[[Scenario], None]:
    def judged(run: Scenario) -> None:
        run.require(checks)

    judged.__doc__ = "Judges: " + ", ".join(checks) + "."
    return judged


# At module level: pytest-bdd registers a step in the namespace that calls its decorator.
for _text, _checks in STEPS.items():
    then(_text)(_judges(_checks))
