"""From configuration values to files in the guests: one seed disk per machine.

A seed has two trees: ``base`` is applied at boot, ``cluster`` when DRBD has been initialised and
verified and Corosync may be configured.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from harness.cluster.config import UNPATCHED
from harness.errors import HarnessError
from harness.lab.image import RECIPE
from harness.lab.paths import VAGRANT
from harness.lab.topology import LUN_OF, MTU, RESOURCES, Link, MachinePlan, Role, Topology
from harness.timing import FENCE_MONITOR_S

if TYPE_CHECKING:
    from harness.cluster.config import ClusterConfig
    from harness.cluster.secrets import Secrets
    from harness.lab.shape import Shape

TEMPLATES = VAGRANT / "cluster"
# What a node starts at boot once it is formed; the image's recipe leaves them off.
AT_BOOT = ("corosync", "pacemaker")
_SEED_MIB = 4
_TRACER = "/usr/local/lib/lab/block"
_HEX = "0123456789abcdef"


@dataclass(slots=True)
class Tree:
    """Files of one tree: absolute path in the guest to (content, mode)."""

    files: dict[str, tuple[bytes, int]] = field(default_factory=dict)

    def add(self, path: str, content: str | bytes, mode: int = 0o644) -> None:
        """Add or replace one file."""
        self.files[path] = (content.encode() if isinstance(content, str) else content, mode)

    def write(self, folder: Path) -> None:
        """Lay the tree out below ``folder``."""
        for path, (content, mode) in self.files.items():
            target = folder / path.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
            target.chmod(mode)


@dataclass(slots=True)
class Seed:
    """What makes the common image one particular machine."""

    base: Tree = field(default_factory=Tree)
    cluster: Tree = field(default_factory=Tree)


def lun_link(topology: Topology, lun: str) -> str:
    """The initiator's stable name of a LUN: of dm-multipath's device, where there is one."""
    if topology.shape.multipath:
        return f"/dev/mapper/{lun}"
    return f"/dev/disk/by-id/scsi-{lun_identifier(topology, lun)}"


def lun_identifier(topology: Topology, lun: str) -> str:
    """The NAA identifier of a LUN, as scsi_id(8) tells it; multipath.conf(5) calls it wwid.

    LIO builds that from its OUI (6001405) and the hexadecimal digits of the unit serial
    (target_core_spc.c, spc_parse_naa_6h_vendor_specific), tgt from the LUN's scsi_id, with 0 for
    each letter that is no digit (update_vpd_83() of usr/spc.c, seen with 1.0.85). The cluster
    sets both to the same value on both nodes.
    """
    name = f"failover{lun.removeprefix('lun')}"
    if topology.shape.tgt:
        digits = "".join(c if c in _HEX else "0" for c in name)
        return f"36{digits:0>31}"
    digits = "".join(c for c in name if c in _HEX)
    return "3" + f"6001405{digits}".ljust(32, "0")


def render_seeds(config: ClusterConfig, topology: Topology, secrets: Secrets) -> dict[str, Seed]:
    """The seed of every machine, by name."""
    topology = dataclasses.replace(topology, shape=config.shape)
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, keep_trailing_newline=True
    )
    values = {
        "topology": topology,
        "timing": config.timing,
        "drbd": config.drbd,
        "corosync": config.corosync,
        "pacemaker": config.pacemaker,
        "target": config.target,
        "initiator": config.initiator,
        "secrets": secrets,
        "resources": RESOURCES,
        "drbd_resources": config.shape.drbd_resources,
        "portals": _portals(topology),
        # Above the summed stickiness of everything that has to move: the group's seven members,
        # the three DRBD resources and their promotion score of 10000.
        "fence_monitor_s": FENCE_MONITOR_S,
        "ping_multiplier": 20000 + 20 * config.pacemaker.resource_stickiness,
    }

    def template(name: str, **more: object) -> str:
        return environment.get_template(name).render(**values, **more)

    hosts = "127.0.0.1 localhost\n" + "".join(
        f"{plan.card(Link.MGMT).address} {plan.name}\n" for plan in topology.nodes
    )
    seeds = {}
    for plan in topology.machines:
        seed = Seed()
        private, public = secrets.host_keys[plan.name]
        seed.base.add("/etc/hosts", hosts)
        seed.base.add("/etc/ssh/ssh_host_ed25519_key", private, 0o600)
        seed.base.add("/etc/ssh/ssh_host_ed25519_key.pub", public)
        seed.base.add("/root/.ssh/authorized_keys", secrets.ssh_public, 0o600)
        seed.base.add("/etc/lab/cards", "".join(f"{c.mac} {c.link}\n" for c in plan.cards))
        # With plain strings as keys, which a plan has.
        mtus: dict[str, dict[str, int]] = {
            m: {str(k): v for k, v in c.items()} for m, c in config.guest.mtu.items()
        }
        own_mtu = mtus.get(plan.name, {})
        for card in plan.cards:
            outside = plan.role is Role.NODE and card.link is Link.MGMT
            gateway = topology.host_address(Link.MGMT) if outside else ""
            seed.base.add(
                f"/etc/systemd/network/10-{card.link}.network",
                template(
                    "card.network.j2",
                    card=card,
                    mtu=own_mtu.get(card.link, MTU[card.link]),
                    gateway=gateway,
                    keep_address=config.guest.keep_address_without_carrier,
                ),
            )
        if plan.role is Role.NODE:
            _node(seed, template, secrets, plan, config.shape)
        else:
            _initiator(seed, template, config, topology)
        for scope in (plan.name, "nodes" if plan.role is Role.NODE else "initiator"):
            for path, content in config.files.get(scope, {}).items():
                tree = seed.cluster if path in seed.cluster.files else seed.base
                tree.add(path, content, tree.files.get(path, (b"", 0o644))[1])
        seeds[plan.name] = seed
    if not config.guest.portblock_patched:
        for plan in topology.nodes:
            seeds[plan.name].base.add(UNPATCHED, "")
    return seeds


def _portals(topology: Topology) -> str:
    """The target's portals as one word of crm shell."""
    words = " ".join(f"{address}:3260" for _link, address in topology.portals)
    return f'"{words}"' if " " in words else words


def _node(seed: Seed, template: object, secrets: Secrets, plan: MachinePlan, shape: Shape) -> None:
    assert callable(template)
    seed.base.add("/etc/drbd.d/global_common.conf", template("drbd-global.conf.j2"), 0o600)
    if shape.volumes:
        (resource,) = shape.drbd_resources
        seed.base.add(f"/etc/drbd.d/{resource}.res", template("volumes.res.j2", resource=resource))
    for minor, resource in enumerate(() if shape.volumes else RESOURCES):
        seed.base.add(
            f"/etc/drbd.d/{resource}.res",
            template("resource.res.j2", resource=resource, minor=minor),
        )
    seed.cluster.add("/etc/corosync/corosync.conf", template("corosync.conf.j2"))
    seed.cluster.add("/etc/corosync/authkey", base64.b64decode(secrets.corosync), 0o400)
    seed.cluster.add("/etc/cluster/fence_xvm.key", base64.b64decode(secrets.fence), 0o600)
    # Its detail log costs an emulated node more than it tells; the journal has every notice.
    seed.cluster.add("/etc/default/pacemaker", "PCMK_logfile=none\n")
    seed.cluster.add("/etc/lab/cluster.crm", template("cluster.crm.j2"), 0o600)


def _initiator(seed: Seed, template: object, config: ClusterConfig, topology: Topology) -> None:
    assert callable(template)
    seed.base.add("/etc/iscsi/initiatorname.iscsi", f"InitiatorName={config.initiator.iqn}\n")
    seed.base.add("/etc/iscsi/iscsid.conf", template("iscsid.conf.j2"), 0o600)
    seed.base.add("/etc/udev/rules.d/60-scsi-timeout.rules", template("scsi-timeout.rules.j2"))
    if topology.shape.multipath:
        identifiers = {lun: lun_identifier(topology, lun) for lun in LUN_OF.values()}
        seed.base.add("/etc/multipath.conf", template("multipath.conf.j2", identifiers=identifiers))
        seed.base.add(_TRACER, _tracer_of_mapped_disks(), 0o755)
    if topology.shape.third_vote:
        seed.base.add("/etc/default/corosync-qnetd", template("qnetd.default.j2"))
    luns = " ".join(f"{lun}={lun_link(topology, lun)}" for lun in LUN_OF.values())
    seed.base.add("/etc/lab/progress.env", f"LUNS={luns}\n")


def _tracer_of_mapped_disks() -> str:
    """The image's tracer of block requests, of device-mapper's disks in place of SCSI's.

    What fio is answered is what dm-multipath answers; which path it took, and how often it was
    tried, is below that. The kernel gives device-mapper the major number that is free.
    """
    text = (RECIPE / "overlay" / _TRACER.lstrip("/")).read_text(encoding="utf-8")
    of_scsi = "'dev >= 0x800000 && dev < 0x900000'"
    begin = "echo 0 > tracing_on\n"
    if text.count(of_scsi) != 1 or text.count(begin) != 1:
        raise HarnessError(f"the recipe's {_TRACER} is not as expected: no filter by SCSI's major")
    major = "modprobe dm-mod\nmajor=$(awk '$2 == \"device-mapper\" { print $1 }' /proc/devices)\n"
    # dev_t within the kernel: 20 bits of minor number (include/linux/kdev_t.h).
    mapped = '"dev >= $((major << 20)) && dev < $(((major + 1) << 20))"'
    return text.replace(begin, major + begin).replace(of_scsi, mapped)


def write_seed_image(seed: Seed, path: Path) -> None:
    """One seed as a small ext2 image, made without mounting anything.

    Raises:
        subprocess.CalledProcessError: mke2fs failed.
    """
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".seed-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        for tree, sub in ((seed.base, "base"), (seed.cluster, "cluster")):
            (folder / sub).mkdir()
            tree.write(folder / sub)
        path.unlink(missing_ok=True)
        subprocess.run(
            ["mke2fs", "-q", "-t", "ext2", "-d", str(folder), str(path), f"{_SEED_MIB}M"],
            check=True,
            capture_output=True,
        )
        path.chmod(0o600)


def config_key(config: ClusterConfig, topology: Topology) -> str:
    """Hash of everything that the formed cluster depends on besides image and QEMU.

    How long the harness waits is nothing that the cluster knows of.
    """
    told = config.model_dump(mode="json")
    told["timing"] = {
        name: value for name, value in told["timing"].items() if not name.endswith("_deadline_s")
    }
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode())
    digest.update(repr(topology.machines).encode())
    for path in sorted(TEMPLATES.iterdir()):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]
