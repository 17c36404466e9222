"""Scripts of pcs: what they make, and that everything else of them is told."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from harness.cluster.config import ClusterConfig
from harness.commands.own import mapped, nested
from harness.lint import cluster_of
from harness.lint.formats.cib import Cib, Group, Location, Operation, Order, Part
from harness.lint.formats.crm_shell import parse_crm
from harness.lint.formats.pcs_script import parse_pcs
from harness.lint.formats.text import FormatError
from harness.lint.model import State
from harness.lint.onto_lab.telling import left_lines
from harness.timing import PROFILES
from tests.lint.reference import lay_out, reference
from tests.lint.test_cib_formats import plain
from tests.lint.test_onto_lab import POST

if TYPE_CHECKING:
    from pathlib import Path

    from harness.lint.onto_lab import Sheet

TIMES = "start timeout=60 stop timeout=60 monitor interval=10s timeout=30"
DRBD = (
    "op monitor interval=11s role=Master timeout=30 op monitor interval=13s role=slave timeout=30 "
    "start timeout=240 promote timeout=90 demote timeout=60 op stop timeout=60"
)
FENCE = (
    "fence_virt ipaddr=10.77.4.1 ipport=1229 key_file=/etc/cluster/fence_xvm.key port=fh0-{0} "
    "pcmk_host_list={0} pcmk_host_check=static-list op monitor interval=120s timeout=30"
)
LUN = (
    "ocf:heartbeat:iSCSILogicalUnit implementation=lio-t lun={0} path=/dev/drbd{0} "
    "target_iqn=iqn.2026-11.com.example:failover scsi_sn=failover{0} product_id=failover{0}"
)
# The reference configuration (crm-reference.txt of the fixtures), as somebody with pcs writes it.
REFERENCE = f"""\
#!/bin/sh -e
set -eu
pcs property set stonith-enabled=true priority-fencing-delay=5s
sudo pcs resource defaults resource-stickiness=200   # as in 0.10
pcs stonith create fence_alpha {FENCE.format("alpha")} --force
pcs constraint location fence_alpha avoids alpha
pcs stonith create fence_bravo {FENCE.format("bravo")}; pcs constraint location \\
    fence_bravo avoids bravo=INFINITY
pcs -f drbd.xml resource create d0 ocf:linbit:drbd drbd_resource=r0 {DRBD} --group=dg
pcs -f drbd.xml resource create d1 ocf:linbit:drbd drbd_resource=r1 {DRBD} group dg
pcs -f drbd.xml resource create d2 ocf:linbit:drbd drbd_resource=r2 {DRBD} --group dg --after d1
pcs -f drbd.xml resource promotable dg msg notify=true interleave=true
pcs cluster cib-push drbd.xml --config
pcs resource create pb ocf:heartbeat:portblock protocol=tcp portno=3260 ip=10.77.3.100 \\
    action=block op {TIMES} --group DATA_GROUP --wait=60
pcs resource create pu portblock protocol=tcp portno=3260 ip=10.77.3.100 action=unblock op {TIMES}
pcs resource create vip IPaddr2 ip=10.77.3.100 cidr_netmask=24 nic=data op {TIMES} --disabled
pcs resource create tgt iSCSITarget implementation=lio-t iqn=iqn.2026-11.com.example:failover \\
    portals=10.77.3.100:3260 allowed_initiators="iqn.2026-11.com.example:client" op {TIMES} && \\
    pcs resource enable vip
pcs resource create lun0 {LUN.format(0)} op {TIMES}
pcs resource create lun1 {LUN.format(1)} op {TIMES}
pcs resource create lun2 {LUN.format(2)} op {TIMES}
pcs resource group add DATA_GROUP pu
pcs resource group add DATA_GROUP vip tgt lun0 lun1 lun2 --before pu
pcs resource meta DATA_GROUP priority=10
pcs constraint colocation add DATA_GROUP with Promoted msg INFINITY id=group_with_promoted
pcs constraint order promote msg then start DATA_GROUP id=group_after_promote
pcs resource create ping ocf:pacemaker:ping host_list=10.77.3.1 multiplier=24000 dampen=5s \\
    attempts=2 timeout=2 op {TIMES} clone ping_everywhere
pcs constraint location msg rule role=Promoted score-attribute=pingd \\
    constraint-id=data_link_works defined pingd
pcs status --full
"""


def mapped_with(files: dict[str, dict[str, bytes]], folder: Path) -> Sheet:
    return mapped(lay_out(files, folder), "kvm")


def told(sheet: Sheet) -> tuple[dict[tuple[str, ...], object], list[str]]:
    """What the lab is given, and what it does not have; without the places."""
    values = {name: setting.value for name, setting in sheet.settings.items()}
    lines = [re.sub(r"(?:crm|pcs)\.txt(?::\d+)?", "CIB", line) for line in left_lines(sheet)]
    return values, sorted(lines)


def test_the_reference_in_pcs_is_the_reference(tmp_path: Path) -> None:
    files = reference("kvm")
    for own in files.values():
        if own.pop("crm.txt", None) is not None:
            own["pcs.txt"] = REFERENCE.encode()
    sheet = mapped_with(files, tmp_path)
    assert left_lines(sheet) == []
    assert ClusterConfig.model_validate(nested(sheet)) == ClusterConfig(timing=PROFILES["kvm"])


def test_both_notations_make_the_same_of_the_reference() -> None:
    crm = plain(parse_crm(reference("kvm")["alpha"]["crm.txt"].decode()))
    pcs = plain(parse_pcs(REFERENCE))
    # pcs makes up names of its own for a location.
    for one in (crm, pcs):
        for location in one["locations"]:
            location["id"] = "" if location["node"] else location["id"]
        one["locations"].sort(key=str)
        for primitive in one["primitives"].values():
            primitive["operations"].sort(key=str)
    assert pcs == crm


def test_the_example_of_the_post_is_the_same_in_pcs(tmp_path: Path) -> None:
    """docs/examples/the-post/pcs.txt says of itself where it is to be put."""
    folder = tmp_path / "post"
    shutil.copytree(POST, folder)
    crm = told(mapped(folder, "kvm"))
    (folder / "iscsi1" / "crm.txt").unlink()
    shutil.move(folder / "pcs.txt", folder / "iscsi1" / "pcs.txt")
    pcs = told(mapped(folder, "kvm"))
    assert pcs == crm
    assert pcs[0]["pacemaker", "colocation"] == "post"
    assert not any("could not be read" in line or "not understood" in line for line in pcs[1])


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("pcs constraint ticket add T A loss-policy=fence", "not understood"),
        ("pcs resource bundle create B container docker image=x", "not understood"),
        ("pcs resource delete A", "not understood"),
        ("pcs resource move A alpha", "not understood"),
        ("pcs constraint delete location-A", "not understood"),
        ("pcs constraint location A prefers alpha=lots", "no score: lots"),
        ("pcs constraint location A rule score=5 date in_range 2026 to 2027", "no attribute"),
        ("pcs constraint location A somewhere", "neither prefers, avoids nor a rule"),
        ("pcs constraint colocation add A B", "one resource with another"),
        ("pcs constraint colocation add boss A with B", "no role: boss"),
        ("pcs constraint colocation set A", "fewer than two"),
        ("pcs constraint order A then then B", "first one thing"),
        ("pcs constraint order explode A then B", "neither a resource nor an action"),
        ("pcs resource create C Dummy op timeout=3", "belongs to no operation"),
        ("pcs resource create C Dummy value", "value stands where name=value has to"),
        ("pcs resource create A Dummy", "two resources are called A"),
        ("pcs resource create C Dummy --group g clone", "a clone that is in a group"),
        ("pcs resource group add g", "a group of nothing"),
        ("pcs resource group add g nowhere", "there is no resource nowhere"),
        ("pcs resource group add g A --after B", "has no member B"),
        ("pcs resource clone nowhere", "there is no resource nowhere"),
        ("pcs resource defaults set create meta a=1 rule resource ::Dummy", "with a rule"),
        ("pcs property set --node alpha a=1", "not understood"),
        ("pcs property set a", "stands where name=value has to"),
        ("pcs resource create C Dummy --promiscuous", "no option that is known: --promiscuous"),
        ("crm configure property a=1", "no command of pcs: crm configure"),
        ("IP=10.0.0.1", "no command of pcs: IP=10.0.0.1"),
        ("pcs resource create C Dummy ip=$IP", "a variable or a substitution of the shell"),
        ("pcs resource create C Dummy ip=`hostname -I`", "a variable or a substitution"),
        ("pcs resource config > before.txt", "> is for a shell"),
        ("pcs property set a='b", "No closing quotation"),
    ],
)
def test_what_is_not_understood_is_told(script: str, says: str) -> None:
    text = f"pcs resource create A Dummy\npcs resource create B Dummy\n\n{script}\n"
    with pytest.raises(FormatError, match=re.escape(says)) as caught:
        parse_pcs(text)
    assert caught.value.line == 4
    assert caught.value.others == ()


def test_all_of_it_is_told_and_none_of_it_is_mapped(tmp_path: Path) -> None:
    """A constraint that was overlooked would make another cluster."""
    files = reference("kvm")
    bad = "pcs constraint ticket add T vip\npcs resource move vip alpha\n"
    for own in files.values():
        if own.pop("crm.txt", None) is not None:
            own["pcs.txt"] = (REFERENCE + bad).encode()
    cluster = cluster_of(files)
    assert cluster.cib.state is State.UNREADABLE
    last = REFERENCE.count("\n")
    assert [(place.line, why) for place, why in cluster.unreadable] == [
        (last + 1, "constraint ticket add T: not understood"),
        (last + 2, "resource move vip alpha: not understood"),
    ]
    lines = left_lines(mapped_with(files, tmp_path))
    assert sum("not understood" in line for line in lines) == 2


def made(script: str) -> Cib:
    return parse_pcs(f"pcs resource create A Dummy\npcs resource create B Dummy\n{script}")


def test_operations_and_values_are_changed() -> None:
    cib = made(
        "pcs resource update A x=1 y=2 meta migration-threshold=3 op monitor interval=5\n"
        "pcs resource op add A start timeout=9s\npcs resource update A y= op monitor timeout=4\n"
        "pcs resource disable B\npcs resource op defaults timeout=70\n"
        "pcs property set a=1 b=2\npcs property set a=\npcs property unset b\n"
        "pcs resource defaults update resource-stickiness=5\n"
        "pcs resource defaults set create id=s meta migration-threshold=1\n"
    )
    own = cib.primitives["A"]
    assert own.param("x") == "1"
    assert own.param("y") is None
    assert own.meta == {"migration-threshold": "3"}
    assert own.operations == [Operation("start", "0", "9s"), Operation("monitor", "0", "4")]
    assert cib.primitives["B"].meta == {"target-role": "Stopped"}
    assert cib.operation_defaults == {"timeout": "70"}
    assert cib.properties == {}
    assert cib.resource_defaults == {"resource-stickiness": "5", "migration-threshold": "1"}


@pytest.mark.parametrize(
    ("script", "name", "promotable", "meta"),
    [
        ("resource clone A", "A-clone", False, {}),
        ("resource clone A own clone-max=2", "own", False, {"clone-max": "2"}),
        ("resource clone A promotable=true", "A-clone", True, {"promotable": "true"}),
        ("resource promotable A meta notify=true", "A-clone", True,
         {"promotable": "true", "notify": "true"}),
        ("resource master A", "A-master", True, {"promotable": "true"}),
        ("resource master own A master-max=1", "own", True,
         {"promotable": "true", "master-max": "1"}),
        ("resource create C Dummy promotable own meta notify=true", "own", True,
         {"promotable": "true", "notify": "true"}),
        ("resource create C Dummy meta a=1 clone", "C-clone", False, {}),
        ("resource create C Dummy master notify=true", "C-master", True,
         {"promotable": "true", "notify": "true"}),
    ],
)  # fmt: skip
def test_clones(script: str, name: str, promotable: bool, meta: dict[str, str]) -> None:
    (clone,) = made(f"pcs {script}").clones.values()
    assert (clone.id, clone.promotable, clone.meta) == (name, promotable, meta)


def test_a_resource_leaves_its_group_for_another() -> None:
    cib = made("pcs resource group add one A B\npcs resource group add two B\n"
               "pcs resource group add two A --before B")  # fmt: skip
    assert cib.groups == {"two": Group("two", ("A", "B"), 4)}


def test_constraints_by_the_words_of_older_versions() -> None:
    cib = made(
        "pcs constraint colocation add slave A with master B 100\n"
        "pcs constraint colocation add A with B -INFINITY\n"
        "pcs constraint order A then stop B kind=Optional\n"
        "pcs constraint order set A B sequential=false set C action=promote setoptions id=o\n"
        "pcs constraint location add here A alpha 50\n"
        "pcs constraint location A prefers alpha=5 bravo\n"
        "pcs constraint location B rule score=-INFINITY not_defined pingd or pingd lt 1\n"
    )
    assert [(one.score, one.pairs) for one in cib.colocations] == [
        (100, ((Part("A", "Unpromoted"), Part("B", "Promoted")),)),
        (-1_000_000, ((Part("A"), Part("B")),)),
    ]
    first, second = cib.orders
    assert first == Order("order-A-B", False, ((Part("A", "start"), Part("B", "stop")),), 5)
    assert second.pairs == (
        (Part("A"), Part("C", "promote")), (Part("B"), Part("C", "promote")),
    )  # fmt: skip
    assert [(one.resource, one.node, one.score) for one in cib.locations] == [
        ("A", "alpha", 50), ("A", "alpha", 5), ("A", "bravo", 1_000_000), ("B", None, -1_000_000),
    ]  # fmt: skip
    assert cib.locations[-1] == Location(
        "location-B", "B", -1_000_000, None, ("pingd",), (), None, 9
    )


WORDS = st.sampled_from(
    ["pcs", "resource", "create", "constraint", "set", "then", "with", "A", "a=1", "op", "meta",
     "clone", "--group", "rule", "\\\n", ";", "'", "#", "order", "colocation", "location"]
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(text=st.text(max_size=200) | st.lists(WORDS, max_size=14).map(" ".join))
@example("pcs resource create A Dummy op a=1")
@example("pcs constraint order set setoptions")
def test_any_text_is_a_cluster_or_refused(text: str) -> None:
    try:
        cib = parse_pcs(text)
    except FormatError:
        return
    assert isinstance(cib, Cib)
