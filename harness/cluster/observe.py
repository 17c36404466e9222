"""How the cluster looks from outside: parsers of what its own tools print, and the questions.

Shapes are those of the ``state`` samples in docs/evidence.md. Guest output is untrusted: what
does not parse raises ``ObservationError`` with the text.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.errors import HarnessError
from harness.lab.shape import REFERENCE, RESOURCES, Shape

if TYPE_CHECKING:
    from harness.remote.ssh import Guest


class ObservationError(HarnessError):
    """A tool in a guest printed what this parser does not know."""


# /proc/drbd of 8.4 (drivers/block/drbd/drbd_proc.c): " 0: cs:Connected ro:Primary/Secondary …"
_MINOR = re.compile(
    r"^\s*(?P<minor>\d+): cs:(?P<cs>\w+)"
    r"(?: ro:(?P<ro>\w+)/(?P<pro>\w+) ds:(?P<ds>\w+)/(?P<pds>\w+) [ABC ]? ?(?P<flags>[\w-]+))?"
)
_OOS = re.compile(r"\boos:(\d+)")


# Not there without the module; that it cannot be read is another matter.
_PROC_DRBD = "[ ! -e /proc/drbd ] || cat /proc/drbd"


def parse_proc_drbd(text: str) -> dict[str, dict[str, Any]]:
    """/proc/drbd as ``{resource: {cs, role, peer_role, disk, peer_disk, suspended, oos_kib}}``.

    Raises:
        ObservationError: a configured minor without its counters line.
    """
    result: dict[str, dict[str, Any]] = {}
    current: dict[str, Any] | None = None
    for line in text.splitlines():
        match = _MINOR.match(line)
        if match:
            if current is not None and current["cs"] != "Unconfigured":
                raise ObservationError(f"/proc/drbd: a minor without counters: {text[-200:]!r}")
            number = int(match["minor"])
            name = RESOURCES[number] if number < len(RESOURCES) else f"minor{number}"
            current = {
                "cs": match["cs"],
                "role": match["ro"] or "Unknown",
                "peer_role": match["pro"] or "Unknown",
                "disk": match["ds"] or "Unknown",
                "peer_disk": match["pds"] or "Unknown",
                # r = running, s = suspended (drbd_proc.c)
                "suspended": bool(match["flags"]) and match["flags"].startswith("s"),
                "oos_kib": 0,
            }
            result[name] = current
        elif current is not None and (oos := _OOS.search(line)):
            current["oos_kib"] = int(oos[1])
            current = None
    if current is not None and current["cs"] != "Unconfigured":
        raise ObservationError(f"/proc/drbd ends within a minor: {text[-200:]!r}")
    return result


def drbd_state(guest: Guest) -> dict[str, dict[str, Any]]:
    """The DRBD state of one node; empty if the module is not loaded."""
    return parse_proc_drbd(guest.run(_PROC_DRBD, timeout_s=30).stdout)


# drbd_syncer_progress() of drbd_proc.c (8.4).
_SYNCED = re.compile(r"\bsync'ed:\s*(\d{1,3}(?:\.\d)?)%")


def parse_resync(text: str) -> dict[str, float]:
    """How much of a running resync is done, in percent, by resource, from /proc/drbd."""
    done: dict[str, float] = {}
    name = ""
    for line in text.splitlines():
        minor, synced = _MINOR.match(line), _SYNCED.search(line)
        if minor:
            number = int(minor["minor"])
            name = RESOURCES[number] if number < len(RESOURCES) else ""
        elif synced and name:
            done[name] = float(synced[1])
    return done


def resync_percent(guest: Guest) -> dict[str, float]:
    """How much of each resync of one node is done, in percent; resources without one are left out.

    Raises:
        HarnessError: the node does not answer.
    """
    return parse_resync(guest.run(_PROC_DRBD, timeout_s=30).stdout)


def generation_identifiers(guest: Guest, shape: Shape) -> dict[str, str]:
    """``drbdadm get-gi`` of every device."""
    command = "; ".join(f"echo {r} $(drbdadm get-gi {shape.name_of(r)} 2>&1)" for r in RESOURCES)
    lines = guest.run(command, timeout_s=60).stdout.splitlines()
    return dict(line.split(" ", 1) for line in lines if " " in line)


@dataclass(frozen=True, slots=True)
class ClusterView:
    """What crm_mon shows.

    Attributes:
        membership: node to online, offline, unclean, standby or pending.
        dc: the designated coordinator, or None.
        quorum: whether the partition has quorum.
        promoted, unpromoted: device (r0…) to the nodes with such an instance of its resource.
        group: resource id to (state, node) for the members of DATA_GROUP.
        failures: failed actions, as text.
    """

    membership: dict[str, str]
    dc: str | None
    quorum: bool
    promoted: dict[str, list[str]]
    unpromoted: dict[str, list[str]]
    group: dict[str, tuple[str, str | None]]
    failures: list[str]

    @property
    def active_node(self) -> str | None:
        """The node on which every member of DATA_GROUP is started, if there is one."""
        nodes = {node for _state, node in self.group.values()}
        started = all(state == "Started" for state, _node in self.group.values())
        return next(iter(nodes)) if started and len(nodes) == 1 and self.group else None


def parse_crm_mon(text: str, shape: Shape = REFERENCE) -> ClusterView:
    """``crm_mon --output-as=xml -1 -r -f`` (Pacemaker 2.1, crm_mon.rng).

    Raises:
        ObservationError: not such a document.
    """
    try:
        root = ET.fromstring(text)
    except (ET.ParseError, UnicodeError) as error:
        raise ObservationError(f"crm_mon printed no XML: {error}: {text[:200]!r}") from error
    _succeeded("crm_mon", root)
    if root.find("nodes") is None:
        raise ObservationError(f"crm_mon shows no nodes: {text[:200]!r}")
    membership = {node.get("name", "?"): _membership(node) for node in root.iterfind("nodes/node")}
    dc = root.find("summary/current_dc")
    promoted: dict[str, list[str]] = {r: [] for r in RESOURCES}
    unpromoted: dict[str, list[str]] = {r: [] for r in RESOURCES}
    for resource in root.iterfind("resources/clone//resource"):
        if resource.get("resource_agent") != "ocf:linbit:drbd":
            continue
        devices = shape.devices_of(resource.get("id", "").split(":")[0])
        if not devices:
            raise ObservationError(f"crm_mon shows an unknown DRBD resource: {resource.attrib}")
        node = resource.find("node")
        if node is None:
            continue
        role = resource.get("role", "")
        side = promoted if role in ("Promoted", "Master") else unpromoted
        if role in ("Promoted", "Master", "Unpromoted", "Slave", "Started"):
            for device in devices:
                side[device].append(node.get("name", "?"))
    group: dict[str, tuple[str, str | None]] = {}
    for resource in root.iterfind("resources/group[@id='DATA_GROUP']/resource"):
        node = resource.find("node")
        where = node.get("name") if node is not None else None
        good = resource.get("failed") == "false" and resource.get("blocked", "false") == "false"
        role = resource.get("role", "?") if good else "Failed"
        group[resource.get("id", "?")] = (role, where)
    failures = _not_running(root) + [
        f"{f.get('op_key', f.get('id', '?'))} on {f.get('node')}: {f.get('exitstatus')} "
        f"{f.get('exitreason', '')}".strip()
        for f in root.iterfind("failures/failure")
    ]
    return ClusterView(
        membership=membership,
        dc=dc.get("name") if dc is not None and dc.get("present") == "true" else None,
        quorum=dc is not None and dc.get("with_quorum") == "true",
        promoted=promoted,
        unpromoted=unpromoted,
        group=group,
        failures=failures,
    )


def _succeeded(tool: str, root: ET.Element) -> None:
    """What a tool of Pacemaker's says of itself (``status`` of pacemaker-result, status.rng).

    A document without what was asked for may mean that there is none, or that the tool failed.

    Raises:
        ObservationError: it failed, or does not say.
    """
    status = root.find("status")
    if status is None:
        raise ObservationError(f"{tool} does not say whether it succeeded")
    if status.get("code") != "0":
        told = [status.get("message", ""), *(one.text or "" for one in status.iter("error"))]
        text = ": ".join(" ".join(part.split()) for part in told if part.strip())
        raise ObservationError(f"{tool} failed: {text or 'without a word'}"[:300])


def _exited_well(tool: str, code: int) -> None:
    if code != 0:
        raise ObservationError(f"{tool} ended with exit code {code}")


def _not_running(root: ET.Element) -> list[str]:
    """Any resource that is failed or blocked, and fence devices that do not run."""
    wrong = []
    for resource in root.iterfind("resources//resource"):
        name, role = resource.get("id", "?"), resource.get("role", "?")
        if resource.get("failed") == "true" or resource.get("blocked") == "true":
            wrong.append(f"{name} is failed or blocked")
        elif resource.get("resource_agent", "").startswith("stonith:") and role != "Started":
            wrong.append(f"fence device {name} is {role}")
    return wrong


def _membership(node: ET.Element) -> str:
    if node.get("unclean") == "true":
        return "unclean"
    if node.get("pending") == "true":
        return "pending"
    if node.get("standby") == "true":
        return "standby"
    return "online" if node.get("online") == "true" else "offline"


def cluster_view(guest: Guest, shape: Shape) -> ClusterView:
    """crm_mon as one node sees it.

    Raises:
        ObservationError: Pacemaker does not run there (yet).
    """
    result = guest.run("crm_mon --output-as=xml -1 -r -f", timeout_s=60, check=False)
    view = parse_crm_mon(result.stdout, shape)
    _exited_well("crm_mon", result.exit_code)
    return view


_CONSTRAINT = re.compile(r'id="(drbd-fence-by-handler-[\w.-]+)"')


def fence_constraints(guest: Guest) -> list[str]:
    """Ids of the constraints that crm-fence-peer.sh left in the CIB."""
    text = guest.run("cibadmin -Q --scope constraints", timeout_s=60).stdout
    if "<constraints" not in text:
        raise ObservationError(f"cibadmin shows no constraints: {text[:200]!r}")
    return sorted({i for i in _CONSTRAINT.findall(text) if "-rule-" not in i and "-expr-" not in i})


def parse_fence_history(text: str) -> list[dict[str, str]]:
    """``stonith_admin --history '*' --output-as=xml`` as a list of events, newest first.

    Raises:
        ObservationError: not such a document, or it tells that nobody could be asked: that is not
            the same as that nobody was fenced.
    """
    try:
        root = ET.fromstring(text)
    except (ET.ParseError, UnicodeError) as error:
        raise ObservationError(f"stonith_admin printed no XML: {error}: {text[:200]!r}") from error
    _succeeded("stonith_admin", root)
    return [
        {
            "target": event.get("target", ""),
            "action": event.get("action", ""),
            "state": event.get("status", ""),
            "delegate": event.get("delegate", ""),
            "client": event.get("client", ""),
            "completed": event.get("completed", ""),
        }
        for event in root.iter("fence_event")
    ]


def fence_history(guest: Guest) -> list[dict[str, str]]:
    """Pacemaker's own history of fencing, as one node knows it.

    Raises:
        ObservationError: its fencer could not be asked.
    """
    result = guest.run(
        "stonith_admin --history '*' --output-as=xml --verbose", timeout_s=60, check=False
    )
    history = parse_fence_history(result.stdout)
    _exited_well("stonith_admin", result.exit_code)
    return history
