"""A cluster as the post describes it (Corosync 1, RRP, ifupdown, ``ms``), judged today."""

from __future__ import annotations

from harness.lint import ALL_RULES, Files, cluster_of
from tests.lint.reference import fixture

COROSYNC = """\
totem {
    version: 2
    rrp_mode: active
    # Management link
    interface {
        ringnumber: 0
        bindnetaddr: 192.168.1.0
        mcastport: 5405
    }
    # DRBD link
    interface {
        ringnumber: 1
        netmtu: 8982
        bindnetaddr: 10.0.0.0
        mcastport: 5410
    }
}
quorum {
    provider: corosync_votequorum
    two_node: 1
}
"""
DRBD = """\
common { protocol C; }
resource r0 {
    on alpha { device /dev/drbd0; disk /dev/sdb1; address 10.0.0.1:7788; meta-disk internal; }
    on bravo { device /dev/drbd0; disk /dev/sdb1; address 10.0.0.2:7788; meta-disk internal; }
}
resource r1 {
    on alpha { device /dev/drbd1; disk /dev/sdb2; address 10.0.0.1:7789; meta-disk internal; }
    on bravo { device /dev/drbd1; disk /dev/sdb2; address 10.0.0.2:7789; meta-disk internal; }
}
"""
INTERFACES = """\
auto eth0 eth1 eth2
iface eth0 inet static
    address 192.168.1.{n}
    netmask 255.255.255.0
    gateway 192.168.1.254
iface eth1 inet static
    address 10.0.0.{n}/24
    mtu 9000
"""


def post() -> Files:
    return {
        name: {
            "corosync.conf": COROSYNC.encode(),
            "drbd.d/all.res": DRBD.encode(),
            "interfaces": INTERFACES.format(n=number).encode(),
            "crm.txt": fixture("crm-of-the-post.txt").encode(),
        }
        for number, name in ((1, "alpha"), (2, "bravo"))
    }


def said(rule: str) -> list[str]:
    outcome = ALL_RULES[rule].run(cluster_of(post()))
    assert outcome.seen, rule
    return [one.what for one in outcome.found]


def test_the_post_follows_its_own_list() -> None:
    for rule in (
        "redundant-rings",
        "at-most-two-rings",
        "one-address-family",
        "rings-on-different-subnets",
        "rings-on-different-cards",
        "port-distance",
        "rrp-mode",
        "netmtu",
        "address-without-carrier",
        "protocol-c",
        "one-primary",
        "same-mtu",
    ):
        assert said(rule) == [], rule


def test_what_experience_adds() -> None:
    assert set(said("drbd-fencing")) == {"fencing is not set: dont-care"}
    assert "no fence-peer handler" in said("fence-handlers")
    assert said("fencing-delay") == ["no priority-fencing-delay, and no delay of any fence device"]
    assert said("quorum-policy") == ["no-quorum-policy=ignore"]
    assert said("nothing-left-over") == ["DRBD_R0_MS may not be promoted everywhere"]
    # The fence device is for both nodes, by its map.
    assert said("fence-devices") == []


def test_a_group_that_serves_no_target_is_not_judged_as_one() -> None:
    """What the post prints of its configuration has no target in it: nothing to say of it."""
    for rule in ("colocation", "order", "portblock", "ping-rule"):
        outcome = ALL_RULES[rule].run(cluster_of(post()))
        assert not outcome.found
        assert outcome.missing == ("there is nothing that it applies to",), rule


def test_its_colocation_and_its_order_with_a_target_in_the_group() -> None:
    files = post()
    target = (
        "primitive TGT iSCSITarget params iqn=iqn.2012-01.com.example:x\n"
        "primitive LUN0 iSCSILogicalUnit params target_iqn=iqn.2012-01.com.example:x lun=0 "
        "path=/dev/drbd0\n"
    )
    for own in files.values():
        text = (
            own["crm.txt"].decode().replace("group DATA_GROUP VIP", "group DATA_GROUP VIP TGT LUN0")
        )
        own["crm.txt"] = (target + text).encode()
    cluster = cluster_of(files)
    assert [one.what for one in ALL_RULES["colocation"].run(cluster).found] == [
        f"{clone} is placed with DATA_GROUP: it has to be the other way round"
        for clone in ("DRBD_R0_MS", "DRBD_R1_MS")
    ]
    assert not ALL_RULES["order"].run(cluster).found
    (one,) = ALL_RULES["one-promotable-clone"].run(cluster).found
    assert one.what == "2 promotable clones serve one group: DRBD_R0_MS, DRBD_R1_MS"
