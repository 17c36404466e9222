"""Which of the planted misconfigurations can be seen without running them, and by which rule."""

from __future__ import annotations

import pytest

from harness.cluster.config import load_config
from harness.cluster.lintable import configured_files
from harness.lint import ALL_RULES, Severity, cluster_of, lint
from harness.lint.telling import exit_code
from harness.mutants.model import MUTANTS, Mutant, load_mutants
from harness.timing import PROFILES

# The rule that finds it, or why no file shows it. A new mutant needs a line here.
SEEN_BY = {
    "acl-on-one-node": "same-initiators",
    "address-lost-with-carrier": "address-without-carrier",
    "automatic-split-brain-recovery": "no-automatic-recovery",
    "buffered-target": "no-page-cache",
    "colocation-of-the-post": "colocation",
    "fencing-dont-care": "drbd-fencing",
    "fencing-resource-only": "drbd-fencing",
    "impatient-replication": "drbd-patience",
    "mtu-on-one-node": "same-mtu",
    "no-colocation": "colocation",
    "no-fence-monitor": "fence-monitor",
    "no-fence-peer-handler": "fence-handlers",
    "no-fencing-delay": "fencing-delay",
    "no-flushes": "disks-are-flushed",
    "no-order": "order",
    "no-ping-rule": "ping-rule",
    "no-portblock": "portblock",
    "no-unfence-handler": "fence-handlers",
    "no-wait-for-all": "waits-for-all",
    "protocol-a": "protocol-c",
    "reversed-colocation": "colocation",
    "scsi-timer-30s": "scsi-timer",
    "serial-on-one-node": "same-identity",
    "short-replacement-timeout": "replacement-timeout",
    "single-ring-drbd": "redundant-rings",
    "single-ring-mgmt": "redundant-rings",
    "stonith-disabled": "stonith-enabled",
    "unpatched-portblock": "portblock-agent",
}
# What is wrong is one thing, and other rules keep quiet, but where it takes two: the post's form;
# a lone node that DRBD's own fencing would still stop; a protocol that DRBD refuses with fencing.
ALSO = {
    "colocation-of-the-post": {"one-promotable-clone"},
    "no-wait-for-all": {"drbd-fencing"},
    "protocol-a": {"drbd-fencing"},
}
# Name to the reason why it is not visible statically. None so far.
NOT_IN_ANY_FILE: dict[str, str] = {}


def test_every_mutant_is_accounted_for() -> None:
    assert {path.stem for path in MUTANTS.glob("*.toml")} == SEEN_BY.keys() | NOT_IN_ANY_FILE.keys()
    assert not SEEN_BY.keys() & NOT_IN_ANY_FILE.keys()
    assert set(SEEN_BY.values()) <= set(ALL_RULES)


@pytest.mark.parametrize("mutant", [pytest.param(one, id=one.name) for one in load_mutants()])
def test_a_mutant_is_found_by_its_rule(mutant: Mutant) -> None:
    config = load_config(mutant.path, PROFILES["tcg"])
    outcomes = lint(cluster_of(configured_files(config)))
    errors = {
        found.rule
        for outcome in outcomes
        for found in outcome.found
        if found.severity is Severity.ERROR
    }
    if mutant.name in NOT_IN_ANY_FILE:
        assert not errors
        return
    assert SEEN_BY[mutant.name] in errors
    assert int(exit_code(outcomes)) == 1
    assert errors - {SEEN_BY[mutant.name]} == ALSO.get(mutant.name, set())
