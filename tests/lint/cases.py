"""What each rule is there to find: one change of the reference configuration for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.lint import Severity
from tests.lint.reference import add, edit

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.lint import Files

E, W, N = Severity.ERROR, Severity.WARNING, Severity.NOTE


@dataclass(frozen=True)
class Case:
    """One thing that is wrong: what is changed, and what the rule then says."""

    rule: str
    says: str
    change: Callable[[Files], None]
    severity: Severity = E
    at: str = ""

    @property
    def name(self) -> str:
        return f"{self.rule}: {self.says}"


def change(name: str, old: str, new: str, *machines: str) -> Callable[[Files], None]:
    return lambda files: edit(files, name, old, new, *machines)


def added(name: str, content: str, *machines: str) -> Callable[[Files], None]:
    return lambda files: add(files, name, content, *machines)


def both(*changes: Callable[[Files], None]) -> Callable[[Files], None]:
    def all_of(files: Files) -> None:
        for one in changes:
            one(files)

    return all_of


COROSYNC, CRM, GLOBAL = "corosync.conf", "crm.txt", "drbd.d/global_common.conf"
UNITS, ISCSID = "unit-files.txt", "iscsid.conf"
RRP = change(COROSYNC, "transport: knet", "transport: udpu\n    rrp_mode: passive")


def interfaces(first: str, second: str) -> Callable[[Files], None]:
    """RRP with two interface sections."""
    sections = "".join(
        f"    interface {{\n        ringnumber: {n}\n        {text}\n    }}\n"
        for n, text in enumerate((first, second))
    )
    return both(RRP, change(COROSYNC, "    token:", f"{sections}    token:"))


TGT = change(CRM, "implementation=lio-t iqn", "implementation=tgt tid=1 iqn")
DAEMON = change(
    CRM,
    "clone ping_everywhere ping",
    "clone ping_everywhere ping\nprimitive tgtd systemd:tgt\nclone ts tgtd",
)
MULTIPATHD = added(UNITS, "multipathd.service enabled enabled\n", "client")


def multipath(conf: str) -> Callable[[Files], None]:
    """The initiator uses multipath, with this configuration."""
    return both(MULTIPATHD, added("multipath.conf", conf, "client"))


CASES = [
    Case("readable", "neither a section nor key: value", change(COROSYNC, "version: 2", "version"),
         at="alpha/corosync.conf:2"),
    # ------------------------------------------------------------------------------------ rings
    Case("redundant-rings", "alpha is on 1 ring(s)",
         change(COROSYNC, "ring1_addr: 10.77.2.11", "# none"),
         at="alpha/corosync.conf:14 (ring 0)"),
    Case("at-most-two-rings", "alpha is on 3 rings",
         change(COROSYNC, "nodeid: 1", "nodeid: 1\n        ring2_addr: 10.77.3.11"), W),
    Case("at-most-two-rings", "alpha is on 3 rings",
         both(RRP, change(COROSYNC, "nodeid: 1", "nodeid: 1\n        ring2_addr: 10.77.3.11"))),
    Case("corosync-agrees", "not as in alpha/corosync.conf: token is 5000",
         change(COROSYNC, "token: 3000", "token: 5000", "bravo"), at="bravo/corosync.conf:6"),
    Case("corosync-agrees", "section quorum",
         change(COROSYNC, "logging {", "quorum {", "bravo")),
    Case("one-address-family", "alpha has rings of IPv4 and of IPv6",
         both(change(COROSYNC, "ring1_addr: 10.77.2.1", "ring1_addr: fd00::1"),
              change("networkd/10-drbd.network", "Address=10.77.2.1", "Address=fd00::1")), W),
    Case("one-address-family", "alpha has rings of IPv4 and of IPv6",
         both(RRP, change(COROSYNC, "ring1_addr: 10.77.2.1", "ring1_addr: fd00::1"))),
    Case("one-address-family", "ring 1 has ends of IPv4 and of IPv6",
         change(COROSYNC, "ring1_addr: 10.77.2.12", "ring1_addr: fd00::12")),
    Case("rings-on-different-subnets", "alpha: rings 0 and 1 are both on 10.77.2.0/24",
         both(change(COROSYNC, "ring0_addr: 10.77.1.", "ring0_addr: 10.77.2.1"),
              change("networkd/10-mgmt.network", "Address=10.77.1.", "Address=10.77.2.1"))),
    Case("rings-on-different-subnets", "are both on 10.77.2.0/23",
         both(change("networkd/10-mgmt.network", "Address=10.77.1.11/24", "Address=10.77.3.1/23"),
              change("networkd/10-drbd.network", "/24", "/23", "alpha"),
              change(COROSYNC, "ring0_addr: 10.77.1.11", "ring0_addr: 10.77.3.1"))),
    Case("rings-on-different-cards", "alpha: rings 0 and 1 both go over eth1",
         added("ip-addr.json", '[{"ifname":"eth1","mtu":9000,"addr_info":[]},'
               '{"ifname":"eth1.7","link":"eth1","linkinfo":{"info_kind":"vlan"},"mtu":9000,'
               '"addr_info":[{"local":"10.77.1.11","prefixlen":24}]},'
               '{"ifname":"eth1.8","link":"eth1","linkinfo":{"info_kind":"vlan"},"mtu":9000,'
               '"addr_info":[{"local":"10.77.2.11","prefixlen":24}]}]', "alpha")),
    Case("port-distance", "ports 5405 of ring 0 and 5406 of ring 1",
         interfaces("mcastport: 5405", "mcastport: 5406")),
    Case("port-distance", "ports 5405 of ring 0 and 5405 of ring 1",
         interfaces("mcastaddr: 239.255.1.1", "mcastaddr: 239.255.1.1")),
    Case("rrp-mode", "rrp_mode: active does nothing with knet",
         change(COROSYNC, "link_mode: passive", "link_mode: passive\n    rrp_mode: active"), W),
    Case("rrp-mode", "rrp_mode is none with 2 rings",
         change(COROSYNC, "transport: knet", "transport: udpu\n    rrp_mode: none")),
    Case("rrp-mode", "rrp_mode is not set with 2 rings",
         change(COROSYNC, "transport: knet", "transport: udp")),
    Case("netmtu", "netmtu: 8982 is set by hand",
         change(COROSYNC, "token: 3000", "token: 3000\n    netmtu: 8982"), W),
    Case("netmtu", "netmtu 8982 is more than the card's MTU, [1500]",
         interfaces("netmtu: 8982", "mcastport: 5410")),
    Case("waits-for-all", "wait_for_all is switched off",
         change(COROSYNC, "two_node: 1", "two_node: 1\n    wait_for_all: 0")),
    Case("waits-for-all", "two_node is not set", change(COROSYNC, "two_node: 1", "votes: 1")),
    Case("waits-for-all", "two_node with a quorum device: Corosync does not start",
         change(COROSYNC, "two_node: 1", "two_node: 1\n    device {\n        model: net\n    }"),
         at="alpha/corosync.conf:26 (quorum)"),
    Case("waits-for-all", "wait_for_all is not set, and no two_node brings it",
         change(COROSYNC, "two_node: 1", "device {\n        model: net\n    }")),
    Case("waits-for-all", "expected_votes is not set: 3 are to be waited for",
         change(COROSYNC, "two_node: 1",
                "wait_for_all: 1\n    device {\n        model: net\n        votes: 1\n    }")),
    Case("waits-for-all", "expected_votes is 2: 3 are to be waited for",
         change(COROSYNC, "two_node: 1", "expected_votes: 2\n    wait_for_all: 1\n"
                "    device {\n        model: net\n    }")),
    Case("waits-for-all", "quorum.provider is not set",
         change(COROSYNC, "provider: corosync_votequorum", "expected_votes: 2")),
    # ------------------------------------------------------------------------------------ links
    Case("no-network-manager", "it is enabled", both(
        change(UNITS, "pacemaker.service", "NetworkManager.service enabled -\npacemaker.service")),
        at="alpha/unit-files.txt (NetworkManager.service)"),
    Case("address-without-carrier", "the address goes with the carrier",
         change("networkd/10-drbd.network", "IgnoreCarrierLoss=yes", "IgnoreCarrierLoss=5s",
         "bravo"),
         at="bravo/networkd/10-drbd.network:8 (ring 1 of bravo)"),
    Case("address-without-carrier", "no address at a boot without carrier",
         change("networkd/10-data.network", "ConfigureWithoutCarrier=yes", "#"), W),
    Case("address-without-carrier", "it does an ifdown",
         change(UNITS, "pacemaker.service", "ifplugd.service enabled -\npacemaker.service")),
    Case("default-route", "alpha: default route over the DRBD link",
         both(change("networkd/10-mgmt.network", "Gateway=", "#"),
              change("networkd/10-drbd.network", "[Network]", "[Network]\nGateway=10.77.2.1"))),
    Case("default-route", "bravo: default route over the data link",
         change("networkd/10-data.network", "[Network]", "[Network]\nGateway=10.77.3.1", "bravo")),
    Case("default-route", "alpha has no default route",
         change("networkd/10-mgmt.network", "Gateway=", "#"), N),
    Case("same-mtu", "MTUs on 10.77.3.0/24: alpha 9000, bravo 9000, client 1500",
         change("networkd/10-data.network", "MTUBytes=9000", "MTUBytes=1500", "client"),
         at="client/networkd/10-data.network:8"),
    Case("jumbo-frames", "alpha: MTU 1500 on 10.77.2.0/24",
         change("networkd/10-drbd.network", "MTUBytes=9000", "MTUBytes=1500"), N),
    Case("links-apart", "DRBD replicates over the data link",
         both(*(change(f"drbd.d/r{n}.res", "address 10.77.2.", "address 10.77.3.")
                for n in range(3))), W),
    Case("links-apart", "ring 0 is on the data link",
         change(COROSYNC, "ring0_addr: 10.77.1.", "ring0_addr: 10.77.3."), W),
    Case("floating-address", "bravo has no card in the network of 10.77.3.100",
         change("networkd/10-data.network", "Address=10.77.3.12", "Address=10.88.3.12")),
    Case("floating-address", "ip=vip is no address", change(CRM, " ip=10.77.3.100 cidr",
                                                          " ip=vip cidr")),
    # ------------------------------------------------------------------------------------- DRBD
    Case("drbd-agrees", "net/ko-count is 7 on alpha, 3 on bravo",
         change(GLOBAL, "ko-count 7", "ko-count 3", "bravo"),
         at="bravo/drbd.d/global_common.conf:22 (common)"),
    Case("drbd-agrees", "shared-secret is another than on alpha",
         change(GLOBAL, 'shared-secret "-"', 'shared-secret "x"', "bravo")),
    Case("drbd-agrees", "bravo has no resource r2",
         lambda files: files["bravo"].__delitem__("drbd.d/r2.res")),
    Case("drbd-agrees", "other hosts, addresses or devices than on alpha",
         change("drbd.d/r1.res", "10.77.2.11", "10.77.2.99", "bravo")),
    Case("protocol-c", "protocol A", change(GLOBAL, "protocol C", "protocol A")),
    Case("protocol-c", "protocol B",
         change("drbd.d/r1.res", "meta-disk internal;", "meta-disk internal; protocol B;"),
         at="alpha/drbd.d/r1.res:4 (resource r1)"),
    Case("drbd-fencing", "fencing is not set: dont-care",
         change(GLOBAL, "fencing resource-and-stonith;", "")),
    Case("drbd-fencing", "fencing resource-only",
         change(GLOBAL, "fencing resource-and-stonith", "fencing resource-only")),
    Case("no-automatic-recovery", "after-sb-1pri consensus",
         change(GLOBAL, "after-sb-1pri disconnect", "after-sb-1pri consensus")),
    Case("no-automatic-recovery", "rr-conflict violently",
         change(GLOBAL, "rr-conflict disconnect", "rr-conflict violently")),
    Case("one-primary", "allow-two-primaries",
         change(GLOBAL, "protocol C;", "protocol C; allow-two-primaries;")),
    Case("disks-are-flushed", "md-flushes no", change(GLOBAL, "md-flushes yes", "md-flushes no")),
    Case("disks-are-flushed", "disk-flushes no",
         change(GLOBAL, "disk-flushes yes", "no-disk-flushes")),
    Case("detach-on-error", "on-io-error pass_on",
         change(GLOBAL, "on-io-error detach", "on-io-error pass_on"), W),
    Case("drbd-timeouts", "timeout 60 (tenths) is not below 5 s",
         change(GLOBAL, "timeout 40", "timeout 60")),
    Case("drbd-timeouts", "ping-int soon: no number", change(GLOBAL, "ping-int 5",
         "ping-int soon")),
    Case("drbd-patience", "ping-timeout 4 (tenths) is below 5",
         change(GLOBAL, "ping-timeout 20", "ping-timeout 4")),
    Case("drbd-patience", "ping-timeout soon: no number",
         change(GLOBAL, "ping-timeout 20", "ping-timeout soon")),
    Case("drbd-patience", "timeout 4 (tenths) times ko-count 7 is below 30",
         change(GLOBAL, "timeout 40", "timeout 4")),
    Case("drbd-patience", "ko-count often: no number",
         change(GLOBAL, "ko-count 7", "ko-count often")),
    # --------------------------------------------------------------------------------- handlers
    Case("fence-handlers", "no fence-peer handler", change(GLOBAL, 'fence-peer "', '# "'),
         at="alpha/drbd.d/r0.res:1 (resource r0)"),
    Case("fence-handlers", "no handler takes the fence constraint back",
         change(GLOBAL, "after-resync-target", "split-brain")),
    Case("fence-handlers", "crm-unfence-peer.sh does not take back what crm-fence-peer.9.sh places",
         change(GLOBAL, "crm-fence-peer.sh", "crm-fence-peer.9.sh")),
    Case("fence-handlers", "fence-peer obliterate.sh is none that is known here",
         change(GLOBAL, "crm-fence-peer.sh", "obliterate.sh"), W),
    Case("handler-patience", "--dc-timeout 90 is more than --timeout 60",
         change(GLOBAL, "--dc-timeout 45", "--dc-timeout 90"), W),
    Case("handler-patience", "promote times out after 120, the handler after 120 s",
         change(GLOBAL, "--timeout 60", "--timeout 120")),
    Case("handler-patience", "no timeout for promote", change(CRM, "op promote timeout=120", ""),
         W),
    # ------------------------------------------------------------------------------ fencing
    Case("stonith-enabled", "stonith-enabled=false",
         change(CRM, "stonith-enabled=true", "stonith-enabled=false")),
    Case("fence-devices", "no fence device is for bravo",
         change(CRM, "pcmk_host_list=bravo", "pcmk_host_list=charlie")),
    Case("fence-devices", "fence_alpha, which fences alpha, may run on no other node",
         change(CRM, "fence_alpha_elsewhere fence_alpha -inf: alpha",
                "fence_alpha_elsewhere fence_alpha -inf: bravo")),
    Case("fence-monitor", "fence_bravo has no monitor",
         change(CRM, "pcmk_host_list=bravo pcmk_host_check=static-list op monitor interval=120s",
                "pcmk_host_list=bravo pcmk_host_check=static-list op start interval=0s")),
    Case("fence-monitor", "fence_alpha has no monitor",
         change(CRM, "pcmk_host_list=alpha pcmk_host_check=static-list op monitor interval=120s",
                "pcmk_host_list=alpha pcmk_host_check=static-list op monitor interval=0")),
    Case("fencing-delay", "no priority-fencing-delay, and no delay of any fence device",
         change(CRM, "priority-fencing-delay=20s", "")),
    Case("fencing-delay", "without a resource that has a priority", change(CRM, "priority=10\n",
         "\n")),
    Case("fencing-delay", "20s is less than twice pcmk_delay_max (18 s)",
         change(CRM, "pcmk_host_list=bravo", "pcmk_host_list=bravo pcmk_delay_max=18s")),
    Case("fencing-delay", "only a random delay",
         both(change(CRM, "priority-fencing-delay=20s", ""),
              change(CRM, "pcmk_host_list=bravo", "pcmk_host_list=bravo pcmk_delay_max=8s")), W),
    Case("fencing-delay", "soon is no delay",
         change(CRM, "priority-fencing-delay=20s", "priority-fencing-delay=soon")),
    Case("quorum-policy", "no-quorum-policy=ignore",
         change(CRM, "stonith-enabled=true", "stonith-enabled=true no-quorum-policy=ignore")),
    Case("nothing-left-over", "msg may not be promoted everywhere",
         lambda files: edit(files, CRM, "clone ping_everywhere ping\n",
                            "clone ping_everywhere ping\nlocation drbd-fence-by-handler-r0-msg msg "
                            "rule $role=Master -inf: #uname ne alpha\n"), W,
         at="alpha/crm.txt:24 (location drbd-fence-by-handler-r0-msg)"),
    Case("in-charge", "maintenance-mode is on",
         change(CRM, "stonith-enabled=true", "stonith-enabled=true maintenance-mode=true"), W),
    Case("in-charge", "it is not managed", change(CRM, "priority=10", "is-managed=false"), W),
    # -------------------------------------------------------------------------------- resources
    Case("every-resource-managed", "nothing manages the DRBD resource r1",
         change(CRM, "drbd_resource=r1", "drbd_resource=r9")),
    Case("every-resource-managed", "there is no DRBD resource r9",
         change(CRM, "drbd_resource=r1", "drbd_resource=r9")),
    Case("every-resource-managed", "path=/dev/drbd7: no managed DRBD resource",
         change(CRM, "path=/dev/drbd1", "path=/dev/drbd7")),
    Case("every-resource-managed", "path=/dev/sda is no DRBD device",
         change(CRM, "path=/dev/drbd1", "path=/dev/sda")),
    Case("every-resource-managed", "it is in no promotable clone",
         change(CRM, "promotable=true", "promotable=false")),
    Case("every-resource-managed", "notify is not true", change(CRM, "notify=true",
         "notify=false")),
    Case("group-order", "the target starts before the address",
         change(CRM, "DATA_GROUP pb vip tgt", "DATA_GROUP pb tgt vip")),
    Case("group-order", "a LUN starts before its target",
         change(CRM, "tgt lun0 lun1", "lun0 tgt lun1")),
    Case("group-order", "it has no address", change(CRM, "DATA_GROUP pb vip tgt",
                                                   "DATA_GROUP pb tgt")),
    Case("group-order", "it is in no group", change(CRM, "lun1 lun2 pu", "lun1 pu"), W),
    Case("portblock", "no portblock that blocks", change(CRM, "action=block", "action=unblock")),
    Case("portblock", "the port is blocked after something is served already",
         change(CRM, "DATA_GROUP pb vip", "DATA_GROUP vip pb")),
    Case("portblock", "the port is open before all LUNs are there",
         change(CRM, "lun1 lun2 pu", "lun1 pu lun2")),
    Case("portblock-agent", "iptables 1.8.9, and an agent that looks for the protocol's name",
         change("portblock.txt", "[0-9a-z]*", "${1}")),
    Case("portblock-agent", "iptables 1.8.10, and an agent that looks for the protocol's name",
         both(change("portblock.txt", "[0-9a-z]*", "${1}"),
              change("portblock.txt", "v1.8.9", "v1.8.10"))),
    # ------------------------------------------------------------------------------ constraints
    Case("one-promotable-clone", "2 promotable clones serve one group: msg, other",
         change(CRM, "group dg d0 d1 d2", "clone other d2 meta promotable=true\ngroup dg d0 d1")),
    Case("colocation", "nothing places it with the promoted msg",
         change(CRM, "colocation group_with_promoted inf: DATA_GROUP msg:Promoted\n", "")),
    Case("colocation", "msg is placed with DATA_GROUP: it has to be the other way round",
         change(CRM, "inf: DATA_GROUP msg:Promoted", "inf: msg:Promoted DATA_GROUP")),
    Case("colocation", "with any instance of msg, not the promoted one",
         change(CRM, "inf: DATA_GROUP msg:Promoted", "inf: DATA_GROUP msg")),
    Case("colocation", "score 500: a wish", change(CRM, "inf: DATA_GROUP", "500: DATA_GROUP")),
    Case("order", "nothing makes it wait for the promotion of msg",
         change(CRM, "order group_after_promote Mandatory: msg:promote DATA_GROUP:start\n", "")),
    Case("order", "it is advisory", change(CRM, "Mandatory: msg", "Optional: msg")),
    Case("order", "after start of msg, not after promote", change(CRM, "msg:promote", "msg:start")),
    Case("order", "the wrong way round",
         change(CRM, "msg:promote DATA_GROUP:start", "DATA_GROUP:start msg:promote")),
    Case("order", "before promote of DATA_GROUP: say DATA_GROUP:start",
         change(CRM, "msg:promote DATA_GROUP:start", "msg:promote DATA_GROUP")),
    Case("ping-rule", "nothing watches the data link", change(CRM, "ocf:pacemaker:ping ",
                                                             "ocf:heartbeat:Dummy ")),
    Case("ping-rule", "no location rule looks at pingd", change(CRM, "pingd: defined pingd",
                                                               "other: defined other")),
    Case("ping-rule", "it runs on one node only", change(CRM, "clone ping_everywhere ping\n", "")),
    Case("ping-multiplier", "a working link counts 1000, what holds DATA_GROUP about 12000",
         change(CRM, "multiplier=24000", "multiplier=1000"), W),
    # ----------------------------------------------------------------------------------- target
    Case("no-own-luns", "backstore block/lun0",
         added("saveconfig.json", '{"storage_objects": [{"plugin": "block", "name": "lun0"}]}',
               "bravo"), at="bravo/saveconfig.json"),
    Case("no-own-luns", "target iqn.x with 2 LUNs",
         added("saveconfig.json", '{"targets": [{"wwn": "iqn.x", "tpgs": [{"luns": [{}, {}]}]}]}',
               "alpha")),
    Case("no-own-luns", "Lun 0 Path=/dev/drbd0",
         added("ietd.conf", "Target iqn.x\n    Lun 0 Path=/dev/drbd0\n", "alpha"),
         at="alpha/ietd.conf:2"),
    Case("explicit-implementation", "no implementation is given",
         change(CRM, "implementation=lio-t iqn", "iqn"), W),
    Case("explicit-implementation", "tgt, but tgt is lio-t",
         change(CRM, "implementation=lio-t target_iqn", "implementation=tgt target_iqn")),
    Case("target-daemon", "no clone runs its daemon", TGT),
    Case("target-daemon", "nothing places it with ts", both(TGT, DAEMON)),
    Case("target-daemon", "nothing starts it after ts",
         both(TGT, DAEMON, change(CRM, "clone ts tgtd",
                                  "clone ts tgtd\ncolocation x inf: DATA_GROUP ts"))),
    Case("explicit-portal", "no portals are given", change(CRM, " portals=10.77.3.100:3260", "")),
    Case("explicit-portal", "portal 0.0.0.0:3260", change(CRM, "portals=10.77.3.100",
         "portals=0.0.0.0")),
    Case("explicit-portal", "portal 10.77.3.9:3260 is on no floating address",
         change(CRM, "portals=10.77.3.100", "portals=10.77.3.9")),
    Case("same-identity", "scsi_sn is not the same everywhere (a rule for bravo)",
         change(CRM, "params implementation=lio-t target_iqn",
                "params 2: rule #uname eq bravo scsi_sn=x "
                "params 1: implementation=lio-t target_iqn")),
    Case("same-identity", "the same scsi_sn as lun0: failover0",
         change(CRM, "scsi_sn=failover1", "scsi_sn=failover0")),
    Case("same-identity", "no scsi_sn", change(CRM, "scsi_sn=failover1 ", ""), N),
    Case("same-initiators", "allowed_initiators is not the same everywhere",
         change(CRM, "params implementation=lio-t iqn",
                "params 2: rule #uname eq bravo allowed_initiators=x "
                "params 1: implementation=lio-t iqn")),
    Case("same-initiators", "client, iqn.2026-11.com.example:other, is not let in",
         change("initiatorname.iscsi", ":client", ":other")),
    Case("same-initiators",
         "client has none of the addresses that are let in: iqn.2026-11.com.example:client",
         change(CRM, "implementation=lio-t iqn", "implementation=tgt tid=1 iqn")),
    Case("no-page-cache", "liot_bstype=fileio",
         change(CRM, "path=/dev/drbd0", "path=/dev/drbd0 liot_bstype=fileio")),
    Case("no-page-cache", "tgt without tgt_bsoflags",
         change(CRM, "implementation=lio-t target_iqn", "implementation=tgt target_iqn")),
    Case("patient-operations", "start gets 10s", change(CRM, "op start timeout=90 op stop",
                                                       "op start timeout=10s op stop"), W),
    Case("patient-operations", "stop gets the default of 20 s",
         change(CRM, "op stop timeout=90 ", ""), W),
    # -------------------------------------------------------------------------------- multipath
    Case("multipath-queues", "no_path_retry is not set", MULTIPATHD, at="client/multipath.conf"),
    Case("multipath-queues", "no_path_retry is 12",
         multipath("defaults {\n no_path_retry 12\n}\n"),
         at="client/multipath.conf:2"),
    Case("multipath-queues", "no_path_retry is fail",
         multipath("overrides {\n no_path_retry fail\n}\ndevices {\n device {\n"
                   ' vendor "LIO-ORG"\n no_path_retry queue\n }\n}\n')),
    Case("path-timeout", "fast_io_fail_tmo is off",
         multipath("defaults {\n fast_io_fail_tmo off\n}\n"), W),
    Case("path-timeout", "fast_io_fail_tmo is 300",
         multipath("defaults {\n fast_io_fail_tmo 300\n}\n"), W),
    # ------------------------------------------------------------------------------------- boot
    Case("left-to-pacemaker", "enabled: it brings DRBD up",
         change(UNITS, "drbd.service disabled", "drbd.service enabled", "bravo"),
         at="bravo/unit-files.txt (drbd.service)"),
    Case("left-to-pacemaker", "enabled: it restores LIO's own configuration",
         change(UNITS, "rtslib-fb-targetctl.service disabled",
         "rtslib-fb-targetctl.service enabled")),
    Case("cluster-at-boot", "it is disabled",
         change(UNITS, "pacemaker.service enabled", "pacemaker.service disabled"), W),
    Case("cluster-at-boot", "it is not installed",
         change(UNITS, "corosync.service enabled -\n", ""), W),
    # -------------------------------------------------------------------------------- initiator
    Case("replacement-timeout", "5 s: a failover may take 147 s",
         change(ISCSID, "replacement_timeout = 420", "replacement_timeout = 5"),
         at="client/iscsid.conf:4"),
    Case("replacement-timeout", "120 s, the default:",
         change(ISCSID, "node.session.timeo.replacement_timeout = 420\n", "")),
    Case("replacement-timeout", "120 s:",
         added("iscsi-nodes.txt", "# BEGIN RECORD 2.1.8\nnode.name = x\n"
               "node.session.timeo.replacement_timeout = 120\n# END RECORD\n", "client"),
         at="client/iscsi-nodes.txt:3"),
    Case("replacement-timeout", "long is no number",
         change(ISCSID, "replacement_timeout = 420", "replacement_timeout = long")),
    Case("scsi-timer", "30 s; 147 s are needed",
         change("udev/60-scsi-timeout.rules", '="540"', '="30"'),
         at="client/udev/60-scsi-timeout.rules:2"),
    Case("scsi-timer", "no udev rule sets the timer",
         change("udev/60-scsi-timeout.rules", "LIO-ORG", "QEMU")),
    Case("scsi-timer", "30 s for sdb; 147 s are needed",
         added("scsi-timers.txt", "sda LIO-ORG 540\nsdb LIO-ORG 30\nsdc QEMU 30\n", "client"),
         at="client/scsi-timers.txt:2"),
    Case("dead-portal", "0", change(ISCSID, "noop_out_interval = 5", "noop_out_interval = 0"), W),
]  # fmt: skip
