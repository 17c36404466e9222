"""Every rule on a configuration that it is there to find, and on the one that is right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.cluster.config import ClusterConfig
from harness.cluster.lintable import configured_files
from harness.lint import ALL_RULES, cluster_of, lint
from harness.lint.folder import ABSENT, Files
from harness.timing import KVM, TCG
from tests.lint.cases import (
    CASES,
    COROSYNC,
    CRM,
    GLOBAL,
    ISCSID,
    UNITS,
    Case,
    both,
    change,
    interfaces,
)
from tests.lint.reference import edit, outcome, reference

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.timing import Timing


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in CASES])
def test_what_a_rule_finds(case: Case) -> None:
    files = reference()
    case.change(files)
    found = outcome(files, case.rule).found
    fitting = [one for one in found if case.says in one.what]
    assert fitting, [f"{one.place}: {one.what}" for one in found]
    assert {one.severity for one in fitting} == {case.severity}
    if case.at:
        assert case.at in [str(one.place)[: len(case.at)] for one in fitting]


def test_every_rule_has_been_red() -> None:
    assert {case.rule for case in CASES} == set(ALL_RULES)


@pytest.mark.parametrize("timing", [TCG, KVM], ids=["tcg", "kvm"])
def test_the_reference_configuration_is_clean(timing: Timing) -> None:
    for one in lint(cluster_of(configured_files(ClusterConfig(timing=timing)))):
        assert not one.found, [f"{f.place}: {f.what}" for f in one.found]
        assert not one.missing
        assert one.seen, one.rule.slug


@pytest.mark.parametrize("rule", ALL_RULES)
def test_nothing_collected_is_never_taken_as_fine(rule: str) -> None:
    """Of two nodes only their names are known: no rule may be content with that."""
    files: Files = {name: {"drbd.conf": b""} for name in ("alpha", "bravo")}
    if rule == "readable":
        # All that is there can be read, which is all that it says.
        assert not outcome(files, rule).missing
        return
    got = outcome(files, rule)
    assert not got.found
    assert got.missing


@pytest.mark.parametrize("rule", ALL_RULES)
def test_a_rule_says_why(rule: str) -> None:
    assert len(ALL_RULES[rule].reason) > 60
    assert ALL_RULES[rule].reason.endswith((".", ".)", '"'))
    assert "\n" not in ALL_RULES[rule].reason


@pytest.mark.parametrize(
    ("rule", "harmless"),
    [
        # knet's ports may be next to each other, and are by default.
        ("port-distance", change(COROSYNC, "    token:", "    interface {\n        linknumber: 1\n"
                                 "        mcastport: 5406\n    }\n    token:")),
        ("port-distance", interfaces("mcastport: 5405", "mcastport: 5407")),
        ("port-distance", interfaces("ttl: 1", "ttl: 1")),
        ("netmtu", change(COROSYNC, "token: 3000", "token: 3000\n    knet_mtu: 0")),
        ("netmtu", interfaces("ttl: 1", "netmtu: 8982")),
        ("rrp-mode", interfaces("ttl: 1", "ttl: 1")),
        # A handler of DRBD 9 has another name, and its fencing is in another section.
        ("drbd-fencing", both(change(GLOBAL, "fencing resource-and-stonith;", ""),
                              change(GLOBAL, "net {", "net { fencing resource-and-stonith;"))),
        ("fence-handlers", both(change(GLOBAL, "crm-fence-peer.sh", "crm-fence-peer.9.sh"),
                                change(GLOBAL,
                                "after-resync-target /usr/lib/drbd/crm-unfence-peer.sh",
                                       "unfence-peer /usr/lib/drbd/crm-unfence-peer.9.sh"))),
        ("address-without-carrier",
         change("networkd/10-drbd.network", "IgnoreCarrierLoss=yes", "#")),
        ("fencing-delay", both(change(CRM, "priority-fencing-delay=20s", ""),
                               change(CRM, "pcmk_host_list=bravo",
                                      "pcmk_host_list=bravo pcmk_delay_base=5s"))),
        ("fence-devices", change(CRM, "pcmk_host_list=bravo", "pcmk_host_map=bravo:fh0-bravo")),
        ("portblock-agent", both(change("portblock.txt", "[0-9a-z]*", "${1}"),
                                 change("portblock.txt", "v1.8.9", "v1.8.11"))),
        ("replacement-timeout", change(ISCSID, "replacement_timeout = 420",
                                       "replacement_timeout = -1")),
        ("every-resource-managed", change(CRM, "path=/dev/drbd1", "path=/dev/drbd/by-res/r1/0")),
        ("order", change(CRM, "order group_after_promote Mandatory:",
             "order group_after_promote inf:")),
        ("ping-rule", change(CRM, "pingd: defined pingd",
                             "-inf: not_defined pingd or pingd lte 0")),
    ],
)  # fmt: skip
def test_what_is_as_good(rule: str, harmless: Callable[[Files], None]) -> None:
    files = reference()
    harmless(files)
    got = outcome(files, rule)
    assert not got.found, [one.what for one in got.found]
    assert got.seen


@pytest.mark.parametrize(
    ("rule", "change_", "lacks"),
    [
        ("rings-on-different-subnets", change(COROSYNC, "ring1_addr: 10.77.2.11",
             "ring1_addr: drbd-a"),
         "no address is known of drbd-a"),
        ("rings-on-different-cards", change(COROSYNC, "ring1_addr: 10.77.2.11",
             "ring1_addr: 9.9.9.9"),
         "no card of alpha has the address 9.9.9.9"),
        ("redundant-rings", both(change(COROSYNC, "name: alpha", "name: nobody"),
                                 change(COROSYNC, "_addr: 10.77.1.11", "_addr: 10.9.1.11"),
                                 change(COROSYNC, "_addr: 10.77.2.11", "_addr: 10.9.2.11")),
         "has no entry for alpha"),
        ("same-mtu", change("networkd/10-data.network", "MTUBytes=9000", "#"),
         "does not say its MTU"),
        ("drbd-agrees", lambda files: files.pop("bravo") and None, "of a second node"),
        ("multipath-queues", lambda files: files["client"].pop(UNITS) and None,
         "client/unit-files.txt was not collected"),
        ("portblock-agent", both(change("portblock.txt", "[0-9a-z]*", "${1}"),
                                 change("portblock.txt", "iptables v1.8.9 (nf_tables)\n", "")),
         "does not say the version of iptables"),
        ("scsi-timer", lambda files: files.pop("client") and None, "nothing that it applies to"),
        ("no-own-luns", lambda files: [own.pop(ABSENT) for own in files.values()] and None,
         "saveconfig.json was not collected"),
        ("stonith-enabled", lambda files: [own.pop(CRM, 0) for own in files.values()] and None,
         "alpha/cib.xml was not collected"),
        ("readable", change(CRM, "clone msg dg", "clone msg"), ""),
    ],
)  # fmt: skip
def test_what_cannot_be_judged_is_said(
    rule: str, change_: Callable[[Files], None], lacks: str
) -> None:
    files = reference()
    change_(files)
    got = outcome(files, rule)
    if lacks:
        assert any(lacks in one for one in got.missing), got.missing
    else:
        assert got.found


def test_a_ring_may_be_given_by_name() -> None:
    files = reference()
    edit(files, COROSYNC, "ring1_addr: 10.77.2.1", "ring1_addr: drbd-1")
    edit(files, "hosts", "127.0.0.1 localhost", "10.77.2.11 drbd-11\n10.77.2.12 drbd-12")
    got = outcome(files, "rings-on-different-subnets")
    assert (got.found, got.missing, got.seen) == ((), (), 2)
