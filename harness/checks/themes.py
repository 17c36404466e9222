"""Imports every module of checks; the order of ``ALL_CHECKS`` is the order in reports."""

from harness.checks import (  # noqa: F401  (imported for what they register)
    alarms,
    dual,
    endstate,
    failover,
    faults,
    fencing,
    histories,
    machines,
    offline,
    phases,
    promotion,
    replicas,
    requests,
    spanning,
    split_brain,
    stall,
    start,
    system,
    witnesses,
    writes,
)
from harness.checks.registry import ALL_CHECKS

# First whether the evidence counts, then integrity, then transparency, then the end state.
ORDER = (
    "witnesses",
    "healthy-start",
    "faults",
    "machines",
    "spanning-writes",
    "split-brain-messages",
    "generation-ids",
    "forked-generations",
    "offline-metadata",
    "dual-primary",
    "dual-vip",
    "fence-before-promotion",
    "writes-alone",
    "outdated-promotion",
    "lost-writes",
    "linearizable",
    "torn-blocks",
    "replica-digests",
    "replica-sweep",
    "fsck",
    "files",
    "io-errors",
    "block-requests",
    "device-identity",
    "kernel-alarms",
    "stall",
    "failovers",
    "fencings",
    "failover-phases",
    "active-node",
    "settled",
    "connections",
    "replicas-up-to-date",
    "instances",
    "fence-constraints",
    "failed-actions",
    "membership",
    "jumbo",
    "reboot",
)

if set(ORDER) != set(ALL_CHECKS):
    raise ImportError(f"ORDER and the registry differ: {set(ORDER) ^ set(ALL_CHECKS)}")
for _slug in ORDER:
    ALL_CHECKS[_slug] = ALL_CHECKS.pop(_slug)
