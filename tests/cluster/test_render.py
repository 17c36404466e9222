"""Rendered files say what the configuration says: read back by parsers of their formats."""

from __future__ import annotations

import base64
import configparser
import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import jinja2
import pytest

from harness.cluster import render
from harness.cluster.config import ClusterConfig
from harness.cluster.render import Seed, lun_link, render_seeds, write_seed_image
from harness.cluster.secrets import Secrets
from harness.lab.topology import LUN_OF, MTU, RESOURCES, Link, Role, Topology
from harness.timing import KVM, TCG

if TYPE_CHECKING:
    from pathlib import Path

TOPOLOGY = Topology(1)
SECRETS = Secrets(
    drbd="drbd-shared-secret",
    fence=base64.b64encode(b"fence" * 10).decode(),
    corosync=base64.b64encode(b"corosync" * 32).decode(),
    ssh_private="PRIVATE KEY OF THE LAB\n",
    ssh_public="ssh-ed25519 LAB lab\n",
    host_keys={n: (f"PRIVATE {n}\n", f"ssh-ed25519 {n}\n") for n in ("alpha", "bravo", "client")},
)


def seeds(**parts: Any) -> dict[str, Seed]:
    return render_seeds(ClusterConfig(**parts), TOPOLOGY, SECRETS)


def text(seed: Seed, path: str) -> str:
    """A file as the guest has it after both trees were applied."""
    files = {**seed.base.files, **seed.cluster.files}
    return files[path][0].decode()


# What has to be configured for a template to be used, where the reference does without.
NEEDED_BY: dict[str, dict[str, Any]] = {
    "volumes.res.j2": {"drbd": {"volumes": True}},
    "multipath.conf.j2": {
        "initiator": {"multipath": True},
        "guest": {"name": "debian12-multipath"},
    },
    "qnetd.default.j2": {
        "corosync": {"qdevice": "ffsplit"},
        "guest": {"name": "debian12-qnetd"},
    },
    "tgt.crm.j2": {"target": {"implementation": "tgt"}, "guest": {"name": "debian12-tgt"}},
}


# ------------------------------------------------------------------------------ little parsers


def braces(source: str) -> dict[str, Any]:
    """``name { key value; … }`` (drbd.conf(5)) as nested dictionaries; strict."""
    tokens = re.findall(r'"[^"]*"|[{};]|[^\s{};"]+', re.sub(r"#.*", "", source))
    position = 0

    def block(depth: int) -> dict[str, Any]:
        nonlocal position
        result: dict[str, Any] = {}
        words: list[str] = []
        while position < len(tokens):
            token = tokens[position]
            position += 1
            if token == "{":
                assert words
                key = " ".join(words)
                assert key not in result, key
                result[key] = block(depth + 1)
                words = []
            elif token == ";":
                assert len(words) > 1, words
                assert words[0] not in result, words
                result[words[0]] = " ".join(words[1:]).strip('"')
                words = []
            elif token == "}":
                assert depth > 0
                assert not words, words
                return result
            else:
                words.append(token)
        assert depth == 0
        assert not words, words
        return result

    return block(0)


def corosync(source: str) -> dict[str, list[dict[str, Any]]]:
    """corosync.conf(5): section to its occurrences; strict."""
    stack: list[dict[str, Any]] = [{}]
    for line in filter(None, map(str.strip, source.splitlines())):
        if line.startswith("#"):
            continue
        if line.endswith(" {"):
            child: dict[str, Any] = {}
            stack[-1].setdefault(line[:-2], []).append(child)
            stack.append(child)
        elif line == "}":
            stack.pop()
        else:
            key, value = line.split(": ")
            assert key not in stack[-1], key
            stack[-1][key] = value
    assert len(stack) == 1
    return stack[0]


def crm(source: str) -> dict[str, tuple[str, list[str]]]:
    """crm shell's configuration: id to (kind, its other words); one statement a line."""
    result: dict[str, tuple[str, list[str]]] = {}
    for line in source.splitlines():
        kind, name, *words = line.split()
        if kind == "rsc_defaults":
            name, words = "rsc_defaults", [name, *words]
        name = name.rstrip(":")
        assert kind in (
            "property", "rsc_defaults", "primitive", "location", "group", "clone", "colocation",
            "order",
        )  # fmt: skip
        assert name not in result, name
        result[name] = (kind, words)
    return result


def operations(words: list[str]) -> list[tuple[str, dict[str, str]]]:
    """The ``op`` parts of a primitive."""
    found: list[tuple[str, dict[str, str]]] = []
    rest = iter(words)
    for word in rest:
        if word == "op":
            found.append((next(rest), {}))
        elif found:
            key, value = word.split("=", 1)
            found[-1][1][key] = value
    return found


# ------------------------------------------------------------------------------------- drbd


@pytest.mark.parametrize("timing", [KVM, TCG], ids=lambda t: t.name)
def test_drbd_has_the_reference_s_values(timing: Any) -> None:
    common = braces(text(seeds(timing=timing)["alpha"], "/etc/drbd.d/global_common.conf"))
    assert common["global"] == {"usage-count": "no"}
    net, disk = common["common"]["net"], common["common"]["disk"]
    assert (net["timeout"], net["ping-int"], net["ping-timeout"], net["connect-int"]) == tuple(
        str(value)
        for value in (
            timing.drbd_timeout_ds,
            timing.drbd_ping_int_s,
            timing.drbd_ping_timeout_ds,
            timing.drbd_connect_int_s,
        )
    )
    assert net["protocol"] == "C"
    assert net["shared-secret"] == SECRETS.drbd
    assert disk.items() >= {
        "fencing": "resource-and-stonith", "on-io-error": "detach", "disk-flushes": "yes",
        "md-flushes": "yes",
    }.items()  # fmt: skip
    handlers = common["common"]["handlers"]
    assert handlers["fence-peer"] == (
        f"/usr/lib/drbd/crm-fence-peer.sh --dc-timeout {timing.fence_dc_timeout_s} "
        f"--timeout {timing.fence_handler_timeout_s}"
    )
    assert handlers["after-resync-target"] == "/usr/lib/drbd/crm-unfence-peer.sh"


def test_drbd_variants() -> None:
    drbd = {
        "protocol": "A", "fencing": "dont-care", "on_io_error": "pass_on", "disk_flushes": False,
        "md_flushes": False, "ko_count": 0, "fence_peer": False, "unfence_peer": False,
        "after_sb_0pri": "discard-zero-changes", "after_sb_1pri": "consensus",
        "after_sb_2pri": "violently-as0p",
    }  # fmt: skip
    common = braces(text(seeds(drbd=drbd)["bravo"], "/etc/drbd.d/global_common.conf"))["common"]
    assert common["handlers"] == {}
    assert common["disk"].items() >= {
        "fencing": "dont-care", "on-io-error": "pass_on", "disk-flushes": "no", "md-flushes": "no",
    }.items()  # fmt: skip
    net = common["net"]
    assert net["protocol"] == "A"
    assert net["ko-count"] == "0"
    assert [net[f"after-sb-{n}pri"] for n in range(3)] == [
        "discard-zero-changes", "consensus", "violently-as0p",
    ]  # fmt: skip


def test_each_handler_can_be_left_out_alone() -> None:
    for left_out, stays in (
        ("fence_peer", {"after-resync-target"}),
        ("unfence_peer", {"fence-peer"}),
    ):
        path = "/etc/drbd.d/global_common.conf"
        common = braces(text(seeds(drbd={left_out: False})["alpha"], path))
        assert set(common["common"]["handlers"]) == stays


def test_drbd_resources_replicate_over_their_own_link_and_ports() -> None:
    rendered = seeds()
    addresses = set()
    for minor, resource in enumerate(RESOURCES):
        path = f"/etc/drbd.d/{resource}.res"
        assert text(rendered["alpha"], path) == text(rendered["bravo"], path)
        parsed = braces(text(rendered["alpha"], path))[f"resource {resource}"]
        assert parsed["device"] == f"/dev/drbd{minor}"
        # By the disk's serial (harness.lab.machine), not by the order in which disks appear.
        assert parsed["disk"] == f"/dev/disk/by-id/virtio-{resource}"
        for node in TOPOLOGY.nodes:
            address = parsed[f"on {node.name}"]["address"]
            assert address.startswith(node.card(Link.DRBD).address + ":")
            addresses.add(address)
    assert len(addresses) == 2 * len(RESOURCES)


# --------------------------------------------------------------------------------- corosync


def test_corosync_has_both_rings_in_order() -> None:
    rendered = seeds()
    source = text(rendered["alpha"], "/etc/corosync/corosync.conf")
    assert source == text(rendered["bravo"], "/etc/corosync/corosync.conf")
    conf = corosync(source)
    (totem,) = conf["totem"]
    assert totem["token"] == str(TCG.corosync_token_ms)
    assert totem["link_mode"] == "passive"
    assert (totem["crypto_cipher"], totem["crypto_hash"]) == ("aes256", "sha256")
    nodes = conf["nodelist"][0]["node"]
    assert [
        (node["name"], node["nodeid"], node["ring0_addr"], node["ring1_addr"]) for node in nodes
    ] == [
        (plan.name, str(number), plan.card(Link.MGMT).address, plan.card(Link.DRBD).address)
        for number, plan in enumerate(TOPOLOGY.nodes, start=1)
    ]
    # Without the line votequorum's two_node turns wait_for_all on.
    assert conf["quorum"] == [{"provider": "corosync_votequorum", "two_node": "1"}]


def test_corosync_variants() -> None:
    variant = {"rings": ("drbd",), "link_mode": "rr", "wait_for_all": False}
    conf = corosync(text(seeds(corosync=variant)["alpha"], "/etc/corosync/corosync.conf"))
    assert conf["totem"][0]["link_mode"] == "rr"
    assert conf["quorum"][0]["wait_for_all"] == "0"
    for node, plan in zip(conf["nodelist"][0]["node"], TOPOLOGY.nodes, strict=True):
        assert node["ring0_addr"] == plan.card(Link.DRBD).address
        assert "ring1_addr" not in node


# -------------------------------------------------------------------------------- pacemaker

ALL_OFF = {
    "stonith_enabled": False, "portblock": False, "ping_rule": False, "order": False,
    "colocation": "none", "priority_fencing_delay": False, "fence_monitor": False,
}  # fmt: skip
PACEMAKERS: list[dict[str, Any]] = [
    {},
    {"portblock": False},
    {"ping_rule": False},
    {"order": False},
    {"colocation": "promoted-with-group"},
    {"colocation": "none"},
    {"stonith_enabled": False},
    {"priority_fencing_delay": False},
    {"fence_monitor": False},
    {"resource_stickiness": 5000},
    ALL_OFF,
]


def cib(pacemaker: dict[str, Any], **parts: Any) -> dict[str, tuple[str, list[str]]]:
    return crm(text(seeds(pacemaker=pacemaker, **parts)["alpha"], "/etc/lab/cluster.crm"))


@pytest.mark.parametrize("pacemaker", PACEMAKERS, ids=lambda p: ",".join(p) or "reference")
def test_the_cluster_s_configuration_is_whole_in_every_variant(pacemaker: dict[str, Any]) -> None:
    statements = cib(pacemaker)
    kinds = {name: kind for name, (kind, _words) in statements.items()}
    for name, (kind, words) in statements.items():
        if kind == "group":
            members = words[: words.index("meta")] if "meta" in words else words
            assert all(kinds.get(member) == "primitive" for member in members), (name, members)
        elif kind == "clone":
            assert kinds.get(words[0]) in ("group", "primitive")
        elif kind in ("colocation", "order"):
            referred = [word.split(":")[0] for word in words[1:]]
            assert all(kinds.get(r) in ("group", "clone") for r in referred), (name, words)
        elif kind == "location":
            assert kinds.get(words[0]) in ("primitive", "clone")
        elif kind == "primitive":
            # Equal intervals of two monitors of one resource are refused by Pacemaker.
            intervals = [o["interval"] for n, o in operations(words) if n == "monitor"]
            asked = not name.startswith("fence_") or pacemaker.get("fence_monitor", True)
            assert len(intervals) == len(set(intervals)) >= int(asked)
            assert asked or not intervals
            for operation, options in operations(words):
                assert int(options["timeout"]) > 0, (name, operation)
    settings = {**ClusterConfig().pacemaker.model_dump(), **pacemaker}
    portblock = ["pb"] if settings["portblock"] else []
    group = statements["DATA_GROUP"][1]
    assert group == [
        *portblock, "vip", "tgt", "lun0", "lun1", "lun2", *(["pu"] if portblock else []),
        "meta", "priority=10",
        # Without an order, forming starts the group once DRBD is promoted.
        *([] if settings["order"] else ["target-role=Stopped"]),
    ]  # fmt: skip
    assert ("pb" in statements, "pu" in statements) == (settings["portblock"],) * 2
    assert ("ping" in statements) == ("data_link_works" in statements) == settings["ping_rule"]
    assert ("group_after_promote" in statements) == settings["order"]
    properties = statements["cib-bootstrap-options"][1]
    assert f"stonith-enabled={str(settings['stonith_enabled']).lower()}" in properties
    delay = f"priority-fencing-delay={TCG.priority_fencing_delay_s}s"
    assert (delay in properties) == settings["priority_fencing_delay"]
    assert statements["rsc_defaults"][1] == [
        f"resource-stickiness={settings['resource_stickiness']}"
    ]


def test_the_two_colocations_are_the_two_orders() -> None:
    """The dependent comes first: with the wrong order the promotion follows the group."""
    right = cib({})["group_with_promoted"]
    assert right == ("colocation", ["inf:", "DATA_GROUP", "msg:Promoted"])
    wrong = cib({"colocation": "promoted-with-group"})
    assert wrong["promoted_with_group"] == ("colocation", ["inf:", "msg:Promoted", "DATA_GROUP"])
    assert "group_with_promoted" not in wrong
    assert not [n for n, (k, _w) in cib({"colocation": "none"}).items() if k == "colocation"]


def test_the_posts_own_form_has_three_clones_in_one_set() -> None:
    statements = cib({"colocation": "post"})
    masters = [f"ms{n}:Promoted" for n in range(3)]
    assert statements["DRBD_with_DATA"] == ("colocation", ["inf:", *masters, "DATA_GROUP"])
    promotes = [f"ms{n}:promote" for n in range(3)]
    order = ("order", ["Mandatory:", *promotes, "DATA_GROUP:start"])
    assert statements["DATA_after_DRBD"] == order
    assert [statements[f"ms{n}"][1][0] for n in range(3)] == ["d0", "d1", "d2"]
    assert [statements[f"data_link_works_{n}"][1][0] for n in range(3)] == ["ms0", "ms1", "ms2"]
    assert "dg" not in statements
    assert "msg" not in statements
    assert "DATA_after_DRBD" not in cib({"colocation": "post", "order": False})


def test_a_fileio_backstore_is_asked_for_on_every_lun() -> None:
    statements = cib({}, target={"backstore": "fileio"})
    assert all("liot_bstype=fileio" in statements[f"lun{n}"][1] for n in range(3))
    assert "liot_bstype" not in str(cib({}))


@pytest.mark.parametrize("stickiness", [0, 200, 100_000])
def test_the_ping_rule_outweighs_everything_that_holds_the_group(stickiness: int) -> None:
    words = cib({"resource_stickiness": stickiness})["ping"][1]
    (multiplier,) = [int(w.split("=")[1]) for w in words if w.startswith("multiplier=")]
    # Seven members, three DRBD resources, and DRBD's promotion score.
    assert multiplier > 10_000 + stickiness * (7 + 3)
    assert f"host_list={TOPOLOGY.host_address(Link.DATA)}" in words


def test_each_node_is_fenced_by_its_domain_and_never_by_itself() -> None:
    statements = cib({})
    for plan in TOPOLOGY.nodes:
        kind, words = statements[f"fence_{plan.name}"]
        assert (kind, words[0]) == ("primitive", "stonith:fence_virt")
        assert f"port={plan.domain}" in words
        assert f"pcmk_host_list={plan.name}" in words
        assert f"ipaddr={TOPOLOGY.host_address(Link.FENCE)}" in words
        assert statements[f"fence_{plan.name}_elsewhere"][1] == [
            f"fence_{plan.name}", "-inf:", plan.name,
        ]  # fmt: skip


def test_the_target_serves_each_drbd_device_as_the_lun_of_its_number() -> None:
    iqns = ("iqn.2026-11.com.example:a", "iqn.2026-11.com.example:b")
    target = {"iqn": "iqn.2026-11.com.example:t", "allowed_initiators": iqns}
    source = text(seeds(target=target)["bravo"], "/etc/lab/cluster.crm")
    assert f'allowed_initiators="{" ".join(iqns)}"' in source
    assert f"portals={TOPOLOGY.vip}:3260" in source
    statements = crm(source)
    for minor, resource in enumerate(RESOURCES):
        words = statements[LUN_OF[resource]][1]
        assert f"path=/dev/drbd{minor}" in words
        assert f"lun={minor}" in words
        assert "target_iqn=iqn.2026-11.com.example:t" in words
        # The name that the initiator knows the LUN by comes from the serial.
        (serial,) = [w.split("=")[1] for w in words if w.startswith("scsi_sn=")]
        digits = "".join(c for c in serial if c in "0123456789abcdef")
        assert lun_link(TOPOLOGY, LUN_OF[resource]).startswith(
            f"/dev/disk/by-id/scsi-36001405{digits}0"
        )
        drbd = statements[f"d{minor}"][1]
        assert f"drbd_resource={resource}" in drbd
        promote = [o for n, o in operations(drbd) if n == "promote"]
        assert promote == [{"timeout": str(TCG.promote_timeout_s)}]


def test_a_node_may_let_others_in_and_call_its_luns_otherwise() -> None:
    target = {
        "allowed_initiators_on": {"bravo": ("iqn.2026-11.com.example:stranger",)},
        "serial_on": {"bravo": "other"},
    }
    statements = crm(text(seeds(target=target)["alpha"], "/etc/lab/cluster.crm"))
    told = " ".join(statements["tgt"][1])
    rule = 'params 2: rule #uname eq bravo allowed_initiators="iqn.2026-11.com.example:stranger"'
    assert f" {rule} params 1: implementation=lio-t " in told
    assert told.count("allowed_initiators=") == 2
    told = " ".join(statements["lun1"][1])
    assert " params 2: rule #uname eq bravo scsi_sn=other1 params 1: implementation=" in told
    # And the reference says nothing by node.
    assert "rule #uname" not in text(seeds()["alpha"], "/etc/lab/cluster.crm")


def test_a_card_with_an_mtu_of_its_own() -> None:
    found = seeds(guest={"mtu": {"bravo": {"drbd": 1500}}})
    for name, link, mtu in (
        ("bravo", "drbd", 1500),
        ("alpha", "drbd", 9000),
        ("bravo", "data", 9000),
    ):
        parser = configparser.ConfigParser(strict=False)
        parser.read_string(text(found[name], f"/etc/systemd/network/10-{link}.network"))
        assert parser["Link"]["MTUBytes"] == str(mtu)


# ------------------------------------------------------------------------------ all machines


@pytest.mark.parametrize("keep", [True, False])
def test_cards_are_found_by_mac_and_have_their_mtu(keep: bool) -> None:
    rendered = seeds(guest={"keep_address_without_carrier": keep})
    for plan in TOPOLOGY.machines:
        for card in plan.cards:
            parser = configparser.ConfigParser(strict=True, interpolation=None)
            parser.optionxform = str  # type: ignore[assignment,method-assign]
            parser.read_string(
                text(rendered[plan.name], f"/etc/systemd/network/10-{card.link}.network")
            )
            assert parser["Match"]["MACAddress"] == card.mac
            assert parser["Link"]["MTUBytes"] == str(MTU[card.link])
            network = parser["Network"]
            assert network["Address"] == f"{card.address}/24"
            gateway = TOPOLOGY.host_address(Link.MGMT) if card.link is Link.MGMT else None
            assert network.get("Gateway") == gateway
            for key in ("ConfigureWithoutCarrier", "IgnoreCarrierLoss", "KeepConfiguration"):
                assert (key in network) == keep, key
        names = dict(
            line.split() for line in text(rendered[plan.name], "/etc/lab/cards").splitlines()
        )
        assert names == {card.mac: str(card.link) for card in plan.cards}


def test_the_initiator_s_timeouts_and_names() -> None:
    initiator = {"login_timeout_s": 7, "noop_interval_s": 0, "noop_timeout_s": 9}
    client = seeds(initiator=initiator, timing=KVM)["client"]
    lines = text(client, "/etc/iscsi/iscsid.conf").splitlines()
    conf = dict(line.split(" = ") for line in lines)
    assert len(conf) == len(lines)
    assert conf["node.session.timeo.replacement_timeout"] == str(KVM.replacement_timeout_s)
    assert conf["node.conn[0].timeo.login_timeout"] == "7"
    assert conf["node.conn[0].timeo.noop_out_interval"] == "0"
    assert conf["node.conn[0].timeo.noop_out_timeout"] == "9"
    rule = text(client, "/etc/udev/rules.d/60-scsi-timeout.rules")
    assert f'ATTR{{timeout}}="{KVM.scsi_timeout_s}"' in rule
    name = text(client, "/etc/iscsi/initiatorname.iscsi")
    allowed = ClusterConfig().target.allowed_initiators
    assert name == f"InitiatorName={allowed[0]}\n", "the target would refuse its own initiator"
    luns = text(client, "/etc/lab/progress.env")
    assert (
        luns == "LUNS=" + " ".join(f"{n}={lun_link(TOPOLOGY, n)}" for n in LUN_OF.values()) + "\n"
    )


def test_only_nodes_know_the_cluster_s_secrets_and_no_file_of_them_is_open() -> None:
    rendered = seeds()
    secret = {
        "drbd": SECRETS.drbd.encode(),
        "fence": base64.b64decode(SECRETS.fence),
        "corosync": base64.b64decode(SECRETS.corosync),
        **{f"host {n}": pair[0].encode() for n, pair in SECRETS.host_keys.items()},
        "lab": SECRETS.ssh_private.encode(),
    }
    holders: dict[str, set[str]] = {name: set() for name in secret}
    for machine, seed in rendered.items():
        for tree in (seed.base, seed.cluster):
            for path, (content, mode) in tree.files.items():
                assert path.startswith("/")
                for name, value in secret.items():
                    if value in content:
                        holders[name].add(machine)
                        assert mode & 0o077 == 0, f"{path} of {machine} is open"
    nodes = {"alpha", "bravo"}
    assert holders == {
        "drbd": nodes, "fence": nodes, "corosync": nodes, "lab": set(),
        **{f"host {n}": {n} for n in rendered},
    }  # fmt: skip


def test_a_variant_s_files_replace_and_add() -> None:
    files = {
        "alpha": {"/etc/corosync/corosync.conf": "mine", "/etc/new": "alpha's"},
        "nodes": {"/etc/hosts": "both", "/etc/drbd.d/global_common.conf": "both"},
        "initiator": {"/etc/iscsi/iscsid.conf": "client's"},
    }
    rendered = seeds(files=files)
    reference = seeds()
    assert rendered["alpha"].cluster.files["/etc/corosync/corosync.conf"] == (b"mine", 0o644)
    assert "/etc/corosync/corosync.conf" not in rendered["alpha"].base.files
    assert rendered["alpha"].base.files["/etc/new"] == (b"alpha's", 0o644)
    assert "/etc/new" not in rendered["bravo"].base.files
    for node in ("alpha", "bravo"):
        assert rendered[node].base.files["/etc/hosts"] == (b"both", 0o644)
        # The mode stays: a replaced file with a secret in it is no more open than before.
        assert rendered[node].base.files["/etc/drbd.d/global_common.conf"] == (b"both", 0o600)
    assert text(rendered["client"], "/etc/iscsi/iscsid.conf") == "client's"
    assert text(rendered["client"], "/etc/hosts") == text(reference["client"], "/etc/hosts")
    assert rendered["bravo"].cluster.files == reference["bravo"].cluster.files, (
        "alpha's files are alpha's alone"
    )


def test_the_unpatched_portblock_is_marked_on_nodes_only() -> None:
    marked = {n for n, s in seeds(guest={"portblock_patched": False}).items()
              if "/etc/lab/unpatched-portblock" in s.base.files}  # fmt: skip
    assert marked == {plan.name for plan in TOPOLOGY.machines if plan.role is Role.NODE}
    assert not [n for n, s in seeds().items() if "/etc/lab/unpatched-portblock" in s.base.files]


def test_a_template_with_an_unknown_value_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    templates = tmp_path / "cluster"
    shutil.copytree(render.TEMPLATES, templates)
    monkeypatch.setattr(render, "TEMPLATES", templates)
    for path in sorted(templates.iterdir()):
        source = path.read_text()
        path.write_text(source + "{{ timing.no_such_timeout }}")
        with pytest.raises(jinja2.UndefinedError, match="no_such_timeout"):
            seeds(**NEEDED_BY.get(path.name, {}))
        path.write_text(source)
    seeds()


def test_every_file_is_rendered_completely() -> None:
    for machine, seed in seeds().items():
        for path, (content, _mode) in {**seed.base.files, **seed.cluster.files}.items():
            assert b"{{" not in content, (machine, path)
            assert b"{%" not in content, (machine, path)
            assert b"None" not in content, (machine, path)


@pytest.mark.skipif(
    shutil.which("mke2fs") is None or shutil.which("debugfs") is None, reason="needs e2fsprogs"
)
def test_the_seed_image_holds_both_trees_with_their_modes(tmp_path: Path) -> None:
    image = tmp_path / "alpha-seed.img"
    image.write_bytes(b"of an earlier lab" * 1000)
    seed = seeds()["alpha"]
    write_seed_image(seed, image)
    assert image.stat().st_mode & 0o777 == 0o600
    assert image.stat().st_size == 4 << 20
    assert [p.name for p in tmp_path.iterdir()] == [image.name], "nothing is left lying about"
    files = [("base", p, f) for p, f in seed.base.files.items()]
    files += [("cluster", p, f) for p, f in seed.cluster.files.items()]
    # debugfs takes its commands from a file: one run for all.
    commands = "".join(
        f'dump "/{tree}{path}" {tmp_path}/out{n}\nstat "/{tree}{path}"\n'
        for n, (tree, path, _file) in enumerate(files)
    )
    script = tmp_path / "commands"
    script.write_text(commands)
    done = subprocess.run(
        ["debugfs", "-f", str(script), str(image)], capture_output=True, text=True, check=True
    )
    modes = [int(mode, 8) for mode in re.findall(r"Mode: +(\d+)", done.stdout)]
    assert modes == [mode for _tree, _path, (_content, mode) in files]
    for number, (_tree, path, (content, _mode)) in enumerate(files):
        assert (tmp_path / f"out{number}").read_bytes() == content, path
