"""Readers of all other files, on real ones and on what their programs would refuse."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.lint.formats import cib as model
from harness.lint.formats.corosync_conf import is_knet, node_sections, parse_corosync, rings_of
from harness.lint.formats.drbd_conf import drbd_config, parse_drbd
from harness.lint.formats.host import parse_portblock, parse_saveconfig, parse_unit_files
from harness.lint.formats.initiator import (
    parse_initiator_names,
    parse_iscsid,
    parse_node_records,
    parse_timers,
    parse_udev_timers,
)
from harness.lint.formats.network import (
    parse_hosts,
    parse_interfaces,
    parse_ip_address,
    parse_ip_route,
    parse_network_file,
)
from harness.lint.formats.text import FormatError, decode, seconds
from tests.lint.reference import fixture, reference

if TYPE_CHECKING:
    from collections.abc import Callable

# ----------------------------------------------------------------------------- corosync and DRBD


def test_corosync_as_rendered() -> None:
    conf = parse_corosync(reference()["bravo"]["corosync.conf"].decode())
    assert is_knet(conf)
    assert [
        [(ring.number, ring.address) for ring in rings_of(conf, node)]
        for node in node_sections(conf)
    ] == [[(0, "10.77.1.11"), (1, "10.77.2.11")], [(0, "10.77.1.12"), (1, "10.77.2.12")]]


def test_corosync_of_the_post_has_its_rings_in_interfaces() -> None:
    conf = parse_corosync(
        "totem {\n version: 2\n rrp_mode: active\n interface {\n  ringnumber: 0\n"
        "  bindnetaddr: 192.168.1.0\n  mcastport: 5405\n }\n interface {\n  ringnumber: 1\n"
        "  bindnetaddr: 10.0.0.0\n  netmtu: 8982\n  mcastport: 5410\n }\n}\n"
    )
    assert not is_knet(conf)
    assert [(ring.number, ring.address, ring.of_network) for ring in rings_of(conf, None)] == [
        (0, "192.168.1.0", True),
        (1, "10.0.0.0", True),
    ]


@pytest.mark.parametrize(
    ("text", "says", "line"),
    [
        ("totem { version: 2\n}", "a section begins with a name", 1),
        ("totem {\nversion 2\n}", "neither a section nor key: value", 2),
        ("totem {\n", "section totem is not closed", 1),
        ("}\n", "closes nothing", 1),
        ("{\n}", "a section begins with a name", 1),
        ("a {\n" * 12, "nested too deeply", 9),
        ("token:\n", "neither", 1),
    ],
)
def test_what_corosync_would_not_take(text: str, says: str, line: int) -> None:
    with pytest.raises(FormatError, match=says) as error:
        parse_corosync(text)
    assert error.value.line == line


def test_drbd_as_rendered() -> None:
    own = reference()["alpha"]
    files = {n: c.decode() for n, c in own.items() if n.startswith("drbd.d/")}
    config = drbd_config(files)
    assert list(config.resources) == ["r0", "r1", "r2"]
    resource = config.resources["r1"]
    (fencing,) = config.option(resource, "disk/fencing")
    assert (fencing.value, fencing.file, fencing.line) == (
        "resource-and-stonith", "drbd.d/global_common.conf", 8,
    )  # fmt: skip
    (handler,) = config.option(resource, "handlers/fence-peer")
    assert handler.value == "/usr/lib/drbd/crm-fence-peer.sh --dc-timeout 45 --timeout 60"
    assert resource.minors == [1]
    assert {host: [o.value for o in found] for host, found in resource.addresses.items()} == {
        "alpha": ["10.77.2.11"],
        "bravo": ["10.77.2.12"],
    }


def test_drbd_9_and_8_3() -> None:
    config = drbd_config({"a.res": """
        common { net { after-sb-0pri disconnect; } }
        resource nine {
          volume 0 { device minor 7; disk /dev/sda7 { on-io-error pass_on; } meta-disk internal; }
          on alpha { node-id 0; address ipv6 [fd00::1]:7000; }
          connection { host alpha address 10.0.0.1:7001; host bravo address 10.0.0.2:7001;
                       net { protocol A; } }
        }
        resource eight-three {  # as the post's
          protocol C;
          net { allow-two-primaries; }
          disk { no-disk-flushes; }
          floating 10.0.0.3:7002;
          device /dev/drbd3; disk "/dev/sdb";
        }"""})  # fmt: skip
    nine, old = config.resources["nine"], config.resources["eight-three"]
    assert [o.value for o in config.option(nine, "net/protocol")] == ["A"]
    assert [o.value for o in config.option(nine, "disk/on-io-error")] == ["pass_on"]
    assert [o.value for o in config.option(nine, "net/after-sb-0pri")] == ["disconnect"]
    assert {h: [o.value for o in found] for h, found in nine.addresses.items()} == {
        "alpha": ["fd00::1", "10.0.0.1"],
        "bravo": ["10.0.0.2"],
    }
    assert (nine.minors, old.minors) == ([7], [3])
    assert [o.value for o in config.option(old, "net/protocol")] == ["C"]
    assert [o.value for o in config.option(old, "net/allow-two-primaries")] == ["yes"]
    assert [o.value for o in config.option(old, "disk/disk-flushes")] == ["no"]
    assert [o.value for o in old.addresses[""]] == ["10.0.0.3"]


@pytest.mark.parametrize(
    ("text", "says", "line"),
    [
        ("resource r0 {", "section resource r0 is not closed", 1),
        ("resource r0 {\n device /dev/drbd0 }", "no ; after device /dev/drbd0", 2),
        ("}", "closes nothing", 1),
        ('a "b', "a quote that is not closed", 1),
        ("{ }", "without a name", 1),
        ("x { " * 14, "nested too deeply", 1),
        ("bogus { }", "bogus does not belong here", 1),
        ("resource a { }\nresource a { }", "resource a is defined twice", 2),
        ("resource a {\n on x { address here; } }", "no address and port: here", 2),
        ("resource a {\n device /dev/sda; }", "no minor number", 2),
        ("common", "no ; after common", 1),
    ],
)
def test_what_drbdadm_would_not_take(text: str, says: str, line: int) -> None:
    with pytest.raises(FormatError, match=says) as error:
        drbd_config({"x.res": text})
    assert (error.value.line, error.value.file) == (line, "x.res")


def test_statements_keep_their_lines() -> None:
    (one,) = parse_drbd("# c\nresource r0 {\n\n  disk\n   /dev/x;\n}\n")
    assert one.line == 2
    assert one.children is not None
    assert [(child.words, child.line) for child in one.children] == [(("disk", "/dev/x"), 4)]


# ------------------------------------------------------------------------------------- networks


def test_ip_of_a_real_machine() -> None:
    cards = {card.name: card for card in parse_ip_address(fixture("ip-addr.json"), "f")}
    assert "lo" not in cards
    assert [str(one) for one in cards["eth0"].addresses] == ["10.77.1.11/24", "fd00::11/64"]
    assert (cards["eth1"].mtu, cards["eth0"].mtu) == (9000, 1500)
    # A veth's "link" is its peer, not what it sends over.
    assert cards["eth0"].below is None
    assert parse_ip_route(fixture("ip-route.json")) == ["eth0"]


def test_a_network_file_with_a_drop_in() -> None:
    card = parse_network_file(
        {
            "10.network": "[Match]\nName=eth1\n[Link]\nMTUBytes=9K\n[Network]\n"
            "Address=10.0.0.1/24\nConfigureWithoutCarrier=yes\n",
            "10.network.d/x.conf": "[Network]\nAddress=\nAddress=10.0.0.2/24\nGateway=10.0.0.9\n"
            "IgnoreCarrierLoss=3s\n",
        }
    )
    assert card is not None
    assert [str(one) for one in card.addresses] == ["10.0.0.2/24"]
    assert (card.mtu, card.default_route, card.without_carrier) == (9216, True, True)
    assert card.keeps_address is False
    assert (card.file, card.line) == ("10.network.d/x.conf", 3)


@pytest.mark.parametrize(
    ("settings", "keeps"),
    [
        ("", False),
        ("ConfigureWithoutCarrier=yes", True),
        ("ConfigureWithoutCarrier=yes\nIgnoreCarrierLoss=no", False),
        ("IgnoreCarrierLoss=yes", True),
        ("IgnoreCarrierLoss=1", True),
        ("IgnoreCarrierLoss=10s", False),
        ("IgnoreCarrierLoss=infinite", True),
        ("[Link]\nActivationPolicy=always-up", True),
    ],
)
def test_whether_the_address_outlasts_the_carrier(settings: str, keeps: bool) -> None:
    card = parse_network_file({"a": f"[Match]\nName=x\n[Network]\n{settings}\n"})
    assert card is not None
    assert card.keeps_address is keeps


def test_a_default_route_by_a_section_of_its_own() -> None:
    def has_one(text: str) -> bool:
        card = parse_network_file({"a": f"[Match]\nName=x\n{text}"})
        assert card is not None
        return card.default_route

    assert has_one("[Route]\nGateway=10.0.0.1\n")
    assert has_one("[Route]\nDestination=0.0.0.0/0\nGateway=10.0.0.1\n")
    assert not has_one("[Route]\nDestination=10.9.0.0/16\nGateway=10.0.0.1\n")
    assert parse_network_file({"a": "[Match]\nType=ether\n"}) is None


def test_interfaces_of_ifupdown() -> None:
    cards = {card.name: card for card in parse_interfaces(
        "auto lo eth0\niface lo inet loopback\niface eth0 inet static\n  address 10.0.0.1\n"
        "  netmask 255.255.255.0\n  gateway 10.0.0.9\niface eth1 inet static\n"
        "  address 10.0.1.1/24\n  mtu 9000\niface eth1 inet6 static\n  address fd00::1/64\n"
        "iface eth1.5 inet manual\n  vlan-raw-device eth1\n", "f")}  # fmt: skip
    assert {name: [str(one) for one in card.addresses] for name, card in cards.items()} == {
        "eth0": ["10.0.0.1/24"],
        "eth1": ["10.0.1.1/24", "fd00::1/64"],
        "eth1.5": [],
    }
    assert (cards["eth0"].default_route, cards["eth1"].default_route) == (True, False)
    assert (cards["eth1"].mtu, cards["eth1.5"].below) == (9000, "eth1")
    assert cards["eth0"].keeps_address


# ----------------------------------------------------------------------------------- the others


def test_units_of_a_real_image() -> None:
    units = parse_unit_files(fixture("unit-files.txt"))
    assert units["drbd.service"] == "disabled"
    assert units["dbus-org.freedesktop.login1.service"] == "alias"
    assert len(units) == 230


def test_settings_of_debian_s_open_iscsi() -> None:
    conf = parse_iscsid(fixture("iscsid-debian.conf"))
    key = "node.session.timeo.replacement_timeout"
    assert (conf[key].value, conf[key].line) == ("120", 116)
    (record,) = parse_node_records(fixture("iscsi-nodes.txt"))
    assert record[key].value == "120"
    text = fixture("iscsi-nodes.txt").splitlines()
    assert text[record[key].line - 1].startswith(key)


def test_the_portblock_agents() -> None:
    shipped = f"iptables v1.8.9 (nf_tables)\n{fixture('portblock-4.12.txt')}"
    agent = parse_portblock(shipped)
    assert (agent.takes_numbers, agent.iptables) == (False, "1.8.9")
    # As since resource-agents 4.14, and as our recipe patches it.
    for prot in ("${prot}", "[0-9a-z]*"):
        assert parse_portblock(shipped.replace("${1}", prot)).takes_numbers


def test_timers() -> None:
    rules = parse_udev_timers(
        '# ATTR{timeout}="1"\nSUBSYSTEM=="scsi", ATTR{vendor}=="QEMU*", ATTR{timeout}="9"\n'
        'ACTION=="add", SUBSYSTEM=="scsi", \\\n  ATTR{vendor}=="LIO-ORG", ATTR{timeout}="180"\n'
        'SUBSYSTEM=="block", ATTR{device/timeout}="200"\nATTR{timeout}=="30"\n'
    )
    assert [timer.seconds for timer in rules] == [180, 200]
    (timer,) = parse_timers("sda LIO-ORG 180\nsdb QEMU HARDDISK 30\n")
    assert (timer.what, timer.seconds) == ("sda", 180)


@pytest.mark.parametrize(
    ("read", "text", "says"),
    [
        (parse_unit_files, "", "not one unit"),
        (parse_unit_files, "a.service perhaps", "no unit and its state"),
        (parse_saveconfig, "[]", "not an object"),
        (parse_saveconfig, "{", "no JSON"),
        (parse_saveconfig, '{"targets": [1]}', "targets is no list of objects"),
        (parse_saveconfig, '{"targets": [{"tpgs": {}}]}', "tpgs is no list"),
        (parse_iscsid, "node.startup", "not name = value"),
        (parse_node_records, "# BEGIN RECORD 2\na = 1", "does not end"),
        (parse_node_records, "# END RECORD", "the end of no record"),
        (parse_node_records, "a = 1", "outside of a record"),
        (parse_initiator_names, "InitiatorName=", "no InitiatorName"),
        (parse_timers, "sda", "no disk, vendor and seconds"),
        (parse_udev_timers, 'ATTR{timeout}="soon"', "no seconds: soon"),
        (parse_portblock, "x", "not active_grep_pat"),
        (parse_hosts, "alpha 10.0.0.1", "no address: alpha"),
        (parse_ip_route, "{}", "not a list of objects"),
        (parse_ip_route, '[{"dst":"default"}]', "over no card"),
        (lambda t: parse_ip_address(t, "f"), '[{"ifname":"a"}]', "without a name or an MTU"),
        (lambda t: parse_ip_address(t, "f"),
         '[{"ifname":"a","mtu":1,"addr_info":[{"local":"x","prefixlen":1}]}]', "no address: x/1"),
        (lambda t: parse_interfaces(t, "f"), "mtu 9", "outside of a stanza"),
        (lambda t: parse_interfaces(t, "f"), "iface a inet static\nmtu large", "no MTU: large"),
        (lambda t: parse_network_file({"a": t}), "Name=x", "neither a section nor a setting"),
        (lambda t: parse_network_file({"a": t}), "[Match]\nName=x\n[Link]\nMTUBytes=big", "no MTU"),
        (lambda t: parse_network_file({"a": t}), "[Match]\nName=x\n[Network]\nAddress=here",
         "no address: here"),
        (lambda t: parse_network_file({"a": t}), "[Match]\nName=\\", "goes on in a next one"),
    ],
)  # fmt: skip
def test_what_else_is_refused(read: Callable[[str], object], text: str, says: str) -> None:
    with pytest.raises(FormatError, match=says):
        read(text)


@pytest.mark.parametrize(
    ("raw", "says"), [(b"\xff", "not UTF-8"), (b"a\n\0", "NUL"), (b"x" * (5 << 20), "no config")]
)
def test_bytes_that_are_no_text(raw: bytes, says: str) -> None:
    with pytest.raises(FormatError, match=says):
        decode(raw)


def test_durations_and_scores() -> None:
    assert [seconds(t) for t in ("60", "60s", "1min", "100ms", "2 h", "soon", "")] == [
        60, 60, 60, 0.1, 7200, None, None,
    ]  # fmt: skip
    assert [model.score_of(t) for t in ("inf", "-INFINITY", "Mandatory", "200", "-5", "pingd")] == [
        10**6, -(10**6), 10**6, 200, -5, None,
    ]  # fmt: skip
