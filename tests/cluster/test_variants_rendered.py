"""What the guests get of variants of the cluster: read back by parsers of the files' formats."""

from __future__ import annotations

import dataclasses
import re
import subprocess
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from harness.adopt.plan import refuse_second_path
from harness.cluster.config import load_config
from harness.cluster.lintable import configured_files
from harness.cluster.render import lun_link, render_seeds
from harness.errors import BadInputError
from harness.faults.daemons import units_of
from harness.lab.paths import PROJECT
from harness.lab.shape import Shape
from harness.lab.topology import LUN_OF, RESOURCES, Link, Topology
from harness.lint import Severity, cluster_of, lint
from harness.lint.formats.multipath_conf import parse_multipath
from harness.timing import TCG
from harness.variants.model import load_variants
from harness.workload.fio import RAW_JOBS, Job
from tests.cluster.test_render import SECRETS, TOPOLOGY, braces, corosync, crm, seeds, text

if TYPE_CHECKING:
    from pathlib import Path

    from harness.cluster.config import ClusterConfig
    from harness.variants.model import Variant

VOLUMES: dict[str, Any] = {"drbd": {"volumes": True}}


def configured(tmp_path: Path, toml: str) -> ClusterConfig:
    path = tmp_path / "variant.toml"
    path.write_text(toml, encoding="utf-8")
    return load_config(path, TCG)


def refused(tmp_path: Path, toml: str, says: str) -> None:
    with pytest.raises(BadInputError, match=says) as caught:
        configured(tmp_path, toml)
    assert "\n" not in caught.value.message
    assert caught.value.hint


# ------------------------------------------------------------------------------------- volumes


def test_one_resource_has_all_disks_as_volumes() -> None:
    for name in ("alpha", "bravo"):
        seed = seeds(**VOLUMES)[name]
        files = [path for path in seed.base.files if path.endswith(".res")]
        assert files == ["/etc/drbd.d/r0.res"]
        ((kind, resource),) = braces(text(seed, files[0])).items()
        assert kind == "resource r0"
        for minor, disk in enumerate(RESOURCES):
            assert resource[f"volume {minor}"] == {
                "device": f"/dev/drbd{minor}",
                "disk": f"/dev/disk/by-id/virtio-{disk}",
                "meta-disk": "internal",
            }
        addresses = [resource[f"on {plan.name}"] for plan in TOPOLOGY.nodes]
        assert addresses == [
            {"address": f"{plan.card(Link.DRBD).address}:7780"} for plan in TOPOLOGY.nodes
        ]


def test_one_promotable_clone_of_it_and_a_lun_for_each_volume() -> None:
    statements = crm(text(seeds(**VOLUMES)["alpha"], "/etc/lab/cluster.crm"))
    assert "drbd_resource=r0" in statements["d0"][1]
    assert not {"d1", "d2", "dg"} & statements.keys()
    assert statements["msg"][1][0] == "d0"
    assert {"promotable=true", "notify=true"} <= set(statements["msg"][1])
    for minor in range(len(RESOURCES)):
        assert f"path=/dev/drbd{minor}" in statements[f"lun{minor}"][1]
    assert statements["group_with_promoted"][1] == ["inf:", "DATA_GROUP", "msg:Promoted"]
    assert statements["data_link_works"][1][0] == "msg"


def test_the_shape_goes_with_the_configuration(tmp_path: Path) -> None:
    assert configured(tmp_path, "").shape == Shape()
    assert configured(tmp_path, "[drbd]\nvolumes = true\n").shape == Shape(volumes=True)


def test_the_post_s_colocation_needs_three_resources(tmp_path: Path) -> None:
    toml = '[drbd]\nvolumes = true\n[pacemaker]\ncolocation = "post"\n'
    refused(tmp_path, toml, "one promotable clone")


# ----------------------------------------------------------------------------------------- tgt


TGT: dict[str, Any] = {"target": {"implementation": "tgt"}, "guest": {"name": "debian12-tgt"}}


def test_tgt_s_daemon_is_where_the_group_is_and_before_it() -> None:
    statements = crm(text(seeds(**TGT)["alpha"], "/etc/lab/cluster.crm"))
    assert statements["tgtd"][1][0] == "systemd:tgt"
    assert statements["tgtd_everywhere"] == ("clone", ["tgtd", "meta", "interleave=true"])
    assert statements["group_with_daemon"][1] == ["inf:", "DATA_GROUP", "tgtd_everywhere"]
    assert statements["group_after_daemon"][1] == [
        "Mandatory:", "tgtd_everywhere:start", "DATA_GROUP:start",
    ]  # fmt: skip
    assert "tgtd" not in statements["DATA_GROUP"][1], "a daemon of both nodes"


def test_tgt_s_agents_get_what_they_need() -> None:
    """resource-agents 4.12: initiators by address, LUN 0 is tgt's own, O_DIRECT, an identity."""
    source = text(seeds(**TGT)["alpha"], "/etc/lab/cluster.crm")
    statements = crm(source)
    words = statements["tgt"][1]
    address = TOPOLOGY.initiator.card(Link.DATA).address
    assert {"implementation=tgt", "tid=1", f"allowed_initiators={address}"} <= set(words)
    assert "portals=" not in source, "tgt's agent ignores it, and warns"
    assert "lio-t" not in source
    for minor in range(len(RESOURCES)):
        wanted = {
            "implementation=tgt", f"lun={minor + 1}", f"path=/dev/drbd{minor}",
            "tgt_bsoflags=direct", f"scsi_id=failover{minor}", f"scsi_sn=failover{minor}",
        }  # fmt: skip
        assert wanted <= set(statements[f"lun{minor}"][1])


def test_a_lun_of_tgt_is_known_by_the_identifier_that_tgt_makes() -> None:
    """As ``iscsi-inq`` of libiscsi showed page 83h of tgtd 1.0.85 for scsi_id=failover1."""
    page = "60000000000000000000000" + "fa0000e01"
    topology = dataclasses.replace(TOPOLOGY, shape=Shape(tgt=True))
    assert lun_link(topology, "lun1") == f"/dev/disk/by-id/scsi-3{page}"
    client = seeds(**TGT)["client"]
    assert f"lun1=/dev/disk/by-id/scsi-3{page}" in text(client, "/etc/lab/progress.env")
    assert 'ATTR{vendor}=="IET*"' in text(client, "/etc/udev/rules.d/60-scsi-timeout.rules")


_TGT = '[guest]\nname = "debian12-tgt"\n[target]\nimplementation = "tgt"\n'


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ('[target]\nimplementation = "tgt"\n',
         "needs tgt in the guests, which debian12 lacks; guest.name may be debian12-tgt"),
        (_TGT + 'backstore = "fileio"\n', "target.backstore does not go with tgt"),
        (_TGT + 'allowed_initiators = ["iqn.2026-11.com.example:x"]\n', "initiators in by address"),
        (_TGT + 'allowed_initiators_on.bravo = ["x"]\n', "target.allowed_initiators_on does not"),
        (_TGT + 'serial_on.bravo = "x"\n', "target.serial_on does not go with tgt"),
        ('[target]\nimplementation = "iet"\n', "target.implementation: "),
    ],
)  # fmt: skip
def test_what_does_not_go_with_tgt(tmp_path: Path, toml: str, says: str) -> None:
    refused(tmp_path, toml, says)


# ---------------------------------------------------------------------------------- third vote


def third_vote(**more: Any) -> dict[str, Any]:
    return {"corosync": {"qdevice": "ffsplit", **more}, "guest": {"name": "debian12-qnetd"}}


@pytest.mark.parametrize("algorithm", ["ffsplit", "lms"])
def test_a_third_vote_takes_the_place_of_two_node(algorithm: str) -> None:
    rendered = seeds(**third_vote(qdevice=algorithm))
    for node in ("alpha", "bravo"):
        (quorum,) = corosync(text(rendered[node], "/etc/corosync/corosync.conf"))["quorum"]
        assert "two_node" not in quorum, "Corosync does not start with both"
        # Else the arbiter's vote would do for the node that is waited for.
        assert (quorum["expected_votes"], quorum["wait_for_all"]) == ("3", "1")
        (device,) = quorum["device"]
        assert (device["model"], device["votes"]) == ("net", "1")
        assert "heuristics" not in device
        assert device["net"] == [
            {"host": TOPOLOGY.initiator.card(Link.DATA).address, "algorithm": algorithm,
             "tls": "off"}
        ]  # fmt: skip
    options = text(rendered["client"], "/etc/default/corosync-qnetd")
    address = TOPOLOGY.initiator.card(Link.DATA).address
    assert f'COROSYNC_QNETD_OPTIONS="-4 -l {address} -s off"' in options
    assert "/etc/default/corosync-qnetd" not in rendered["alpha"].base.files
    assert "/etc/default/corosync-qnetd" not in seeds()["client"].base.files


def test_the_finding_s_corosync_conf_is_the_variant_s_but_for_what_it_shows() -> None:
    finding = load_config(
        PROJECT / "scenarios" / "findings" / "third-vote-without-expected-votes.toml", TCG
    )
    here = finding.files["nodes"]["/etc/corosync/corosync.conf"]
    seed = render_seeds(finding.model_copy(update={"files": {}}), Topology(0), SECRETS)["alpha"]
    shown = corosync(text(seed, "/etc/corosync/corosync.conf"))
    assert shown["quorum"][0].pop("expected_votes") == "3"
    assert corosync(here) == shown
    found = [
        one.what for outcome in lint(cluster_of(configured_files(finding))) for one in outcome.found
    ]
    assert len(found) == 2
    assert all("expected_votes is not set: 3 are to be waited for" in text for text in found)


def test_the_node_that_serves_may_win_a_tie() -> None:
    rendered = seeds(**third_vote(qdevice_prefers_serving=True))
    (quorum,) = corosync(text(rendered["bravo"], "/etc/corosync/corosync.conf"))["quorum"]
    (heuristics,) = quorum["device"][0]["heuristics"]
    assert heuristics["mode"] == "sync"
    command = heuristics["exec_serving"].split()
    assert command[0].startswith("/"), "no shell looks for it"
    shown = {
        True: " 0: cs:Connected ro:Primary/Secondary ds:UpToDate/UpToDate C r-----",
        False: " 0: cs:Connected ro:Secondary/Primary ds:UpToDate/UpToDate C r-----",
    }
    for serves, line in shown.items():
        found = subprocess.run(command[:-1], input=line, text=True, check=False)
        assert (found.returncode == 0) is serves


def test_without_waiting_for_all_it_says_so() -> None:
    rendered = seeds(**third_vote(wait_for_all=False))
    (quorum,) = corosync(text(rendered["alpha"], "/etc/corosync/corosync.conf"))["quorum"]
    assert quorum["wait_for_all"] == "0"


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ('[corosync]\nqdevice = "lms"\n', "needs corosync-qdevice, corosync-qnetd in the guests"),
        ("[corosync]\nqdevice_prefers_serving = true\n", "needs a corosync.qdevice"),
        ('[corosync]\nqdevice = "last"\n', "corosync.qdevice: "),
    ],
)
def test_a_third_vote_that_cannot_be(tmp_path: Path, toml: str, says: str) -> None:
    refused(tmp_path, toml, says)


def test_the_nodes_start_the_device_between_corosync_and_pacemaker(tmp_path: Path) -> None:
    shape = configured(
        tmp_path, '[guest]\nname = "debian12-qnetd"\n[corosync]\nqdevice = "lms"\n'
    ).shape
    assert shape.cluster_units == ("corosync", "corosync-qdevice", "pacemaker")
    assert Shape().cluster_units == ("corosync", "pacemaker")
    assert units_of("corosync", shape) == shape.cluster_units, "it ends with Corosync"
    assert units_of("pacemakerd", shape) == ("pacemaker",)


# ----------------------------------------------------------------------------------- multipath

MULTIPATH: dict[str, Any] = {
    "initiator": {"multipath": True},
    "guest": {"name": "debian12-multipath"},
}
TWO_PATHS = dataclasses.replace(TOPOLOGY, shape=Shape(multipath=True))


def test_the_initiator_has_a_card_for_each_portal_and_all_else_is_as_ever() -> None:
    assert TWO_PATHS.portals == (
        (Link.DATA, TOPOLOGY.vip), (Link.MGMT, f"{TOPOLOGY.subnet(Link.MGMT)}.100"),
    )  # fmt: skip
    assert TWO_PATHS.vip == TOPOLOGY.vip
    assert TWO_PATHS.nodes == TOPOLOGY.nodes
    before = TOPOLOGY.initiator.cards
    assert TWO_PATHS.initiator.cards[: len(before)] == before
    (more,) = TWO_PATHS.initiator.cards[len(before) :]
    assert more.link is Link.MGMT
    seed = seeds(**MULTIPATH)["client"]
    assert f"{more.mac} mgmt\n" in text(seed, "/etc/lab/cards")
    network = text(seed, "/etc/systemd/network/10-mgmt.network")
    assert f"Address={more.address}/24" in network
    assert "Gateway" not in network, "the nodes' default route is none of the client's"


def test_each_portal_has_its_address_and_is_blocked_by_itself() -> None:
    statements = crm(text(seeds(**MULTIPATH)["bravo"], "/etc/lab/cluster.crm"))
    members = statements["DATA_GROUP"][1]
    assert members[: members.index("meta")] == [
        "pb", "pb2", "vip", "vip2", "tgt", "lun0", "lun1", "lun2", "pu", "pu2",
    ]  # fmt: skip
    words = " ".join(statements["tgt"][1])
    addresses = [address for _link, address in TWO_PATHS.portals]
    assert f'portals="{addresses[0]}:3260 {addresses[1]}:3260"' in words
    for suffix, (link, address) in zip(("", "2"), TWO_PATHS.portals, strict=True):
        assert {f"ip={address}", f"nic={link}"} <= set(statements[f"vip{suffix}"][1])
        assert {f"ip={address}", "action=block"} <= set(statements[f"pb{suffix}"][1])
        assert {f"ip={address}", "action=unblock"} <= set(statements[f"pu{suffix}"][1])
    without = crm(text(seeds(**MULTIPATH, pacemaker={"portblock": False})["bravo"],
                       "/etc/lab/cluster.crm"))["DATA_GROUP"][1]  # fmt: skip
    assert without[: without.index("meta")] == ["vip", "vip2", "tgt", "lun0", "lun1", "lun2"]


def test_without_a_path_i_o_waits_and_a_dead_path_is_given_up_soon() -> None:
    client = seeds(initiator={"multipath": True, "path_timeout_s": 7}, guest=MULTIPATH["guest"])[
        "client"
    ]
    conf = text(client, "/etc/multipath.conf")
    told = {one.key: one.value for one in parse_multipath(conf)}
    assert (told["no_path_retry"], told["fast_io_fail_tmo"]) == ("queue", "7")
    assert told["prio_args"] == f"preferredip={TOPOLOGY.vip}", "jumbo frames, and not mgmt"
    assert "node.session.timeo.replacement_timeout = 7\n" in text(client, "/etc/iscsi/iscsid.conf")
    # Of one path it stays what it is, and there is no such file.
    assert "/etc/multipath.conf" not in seeds()["client"].base.files
    assert seeds(initiator={"path_timeout_s": 7})["client"].base.files == (
        seeds()["client"].base.files
    )


def test_a_lun_is_the_disk_of_device_mapper_that_has_its_identifier() -> None:
    client = seeds(**MULTIPATH)["client"]
    pairs = re.findall(r"wwid (\w+)\n\s+alias (\w+)\n", text(client, "/etc/multipath.conf"))
    one_path = {lun: lun_link(TOPOLOGY, lun) for lun in LUN_OF.values()}
    assert {alias: f"/dev/disk/by-id/scsi-{wwid}" for wwid, alias in pairs} == one_path
    for lun in LUN_OF.values():
        assert lun_link(TWO_PATHS, lun) == f"/dev/mapper/{lun}"
        assert f"{lun}=/dev/mapper/{lun}" in text(client, "/etc/lab/progress.env")


@pytest.mark.parametrize("job", RAW_JOBS)
def test_fio_writes_to_device_mapper_s_disks(job: Job) -> None:
    lab = cast("Any", SimpleNamespace(topology=TWO_PATHS))
    assert f"--filename=/dev/mapper/{job.lun} " in job.command(lab)


def test_what_is_traced_are_device_mapper_s_disks(tmp_path: Path) -> None:
    """The rendered tracer's filters, in a shell, with the major numbers that a kernel told."""
    content, mode = seeds(**MULTIPATH)["client"].base.files["/usr/local/lib/lab/block"]
    assert mode == 0o755
    script = content.decode()
    assert "0x800000" not in script
    devices = tmp_path / "devices"
    devices.write_text("Character devices:\n 10 misc\n\nBlock devices:\n  8 sd\n"
                       "253 device-mapper\n254 virtblk\n")  # fmt: skip
    assigned = next(line for line in script.splitlines() if line.startswith("major="))
    (shown,) = re.findall(r'echo ("dev >= .*?") >', script)
    told = subprocess.run(
        ["sh", "-euc", f"{assigned.replace('/proc/devices', str(devices))}\necho {shown}"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert told == f"dev >= {253 << 20} && dev < {254 << 20}\n"
    assert "/usr/local/lib/lab/block" not in seeds()["client"].base.files


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ("[initiator]\nmultipath = true\n", "needs multipath-tools in the guests"),
        (_TGT + "[initiator]\nmultipath = true\n", "LIO's LUNs, not those of tgt"),
        ("[initiator]\npath_timeout_s = 0\n", "initiator.path_timeout_s: "),
    ],
)
def test_multipath_that_cannot_be(tmp_path: Path, toml: str, says: str) -> None:
    refused(tmp_path, toml, says)


def test_vagrant_s_client_has_no_card_for_a_second_path(tmp_path: Path) -> None:
    config = configured(
        tmp_path, '[guest]\nname = "debian12-multipath"\n[initiator]\nmultipath = true\n'
    )
    with pytest.raises(BadInputError, match="which Vagrant's machines lack") as caught:
        refuse_second_path(config)
    assert caught.value.hint
    refuse_second_path(configured(tmp_path, ""))


# ---------------------------------------------------------------------------------------- lint

# What is to be found in a variant: it is the point of it, and no mistake of the rule's. Nothing in
# all others.
FOUND = {
    "masters-of-the-post": {"colocation", "one-promotable-clone"},
    "multipath": {"links-apart"},
    "tgt-without-portblock": {"portblock"},
    "ring-on-drbd-alone": {"redundant-rings"},
    "ring-on-mgmt-alone": {"redundant-rings"},
    "without-ping-rule": {"ping-rule"},
}


@pytest.mark.parametrize("variant", [pytest.param(one, id=one.name) for one in load_variants()])
def test_a_lint_finds_in_a_variant_what_it_gives_up_and_nothing_else(variant: Variant) -> None:
    outcomes = lint(cluster_of(configured_files(load_config(variant.path, TCG))))
    found = {
        one.rule
        for outcome in outcomes
        for one in outcome.found
        if one.severity in (Severity.ERROR, Severity.WARNING)
    }
    assert found == FOUND.get(variant.name, set())


def test_what_a_lint_finds_is_told_of_variants_that_there_are() -> None:
    assert FOUND.keys() <= {one.name for one in load_variants()}
