"""Synthetic evidence folders: a healthy failover after a power-off of alpha, to be defaced.

Times are seconds after the scenario's start on the run's clock. The initiator's wall clock stands
832 s behind it (after a revert it does), fio's header clock is another one again.
"""

from __future__ import annotations

import functools
import json
import pickle
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.drbd_metadata import Flags
from harness.evidence.blocks import BLOCK_SIZE, Digests, Headers, write_digests, write_headers
from harness.evidence.replica import Facts
from tests.checks.fio_files import OFFSET_NS, Write, fio_result, log_row, stamp, stamped

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NODES = ("alpha", "bravo")
RESOURCES = ("r0", "r1")
VIP = "10.77.0.10"
MACS = {"alpha": "52:54:00:00:00:0a", "bravo": "52:54:00:00:00:0b"}
GI = {  # at the end, when bravo is the active one
    "alpha": "AAAAAAAAAAAAAAA0:0000000000000000:9999999999999990:8888888888888880:1:1:0:1:0:0:0",
    "bravo": "AAAAAAAAAAAAAAA1:0000000000000000:9999999999999990:8888888888888880:1:1:1:1:0:0:0",
}
DISKS = {"lun0": "8:0", "lun1": "8:16"}
FILE_DISK = {"lun2": "8:32"}  # of the file job, where there is one
CURRENT = 0xAAAAAAAAAAAAAAA0
OPERATION = "Operation 'reboot' targeting {} by {} for pacemaker-controld.683@{}: OK (complete)"


@dataclass
class Happened:
    """One event to be."""

    t_s: float
    source: str
    channel: str
    kind: str
    data: dict[str, Any]


@dataclass
class Folder:
    """An evidence folder that is not written yet; change what you like, then ``save``."""

    scenario: dict[str, Any]
    events: list[Happened]
    writes: dict[str, list[Write]]  # by job
    blocks: int = 64
    on_disk: dict[str, dict[int, Write | None]] = field(default_factory=dict)  # overrides
    deface: list[Callable[[str, np.ndarray[Any, np.dtype[np.void]]], None]] = field(
        default_factory=list
    )
    crcs: dict[tuple[str, str], np.ndarray[Any, np.dtype[np.uint32]]] = field(default_factory=dict)
    facts: dict[tuple[str, str], Facts] = field(default_factory=dict)  # by resource and node
    deface_replica: list[
        Callable[[str, str, np.ndarray[Any, np.dtype[np.void]]], np.ndarray[Any, Any] | None]
    ] = field(default_factory=list)
    errors: dict[str, int] = field(default_factory=dict)
    total_ios: dict[str, int] = field(default_factory=dict)

    def add(self, t_s: float, source: str, channel: str, kind: str, /, **data: Any) -> None:
        """One more event."""
        self.events.append(Happened(t_s, source, channel, kind, data))

    def kernel(self, t_s: float, node: str, text: str, boot: str = "1") -> None:
        """A kernel message, on the console and (0.2 s later) in the journal."""
        self.add(t_s, node, "console", "line", text=f"[{t_s + 100:12.6f}] {text}\r")
        self.journal(t_s + 0.2, node, text, identifier="kernel", transport="kernel", boot=boot)

    def journal(
        self,
        t_s: float,
        node: str,
        message: str,
        identifier: str = "pacemaker-fenced",
        transport: str = "journal",
        boot: str = "1",
    ) -> None:
        """A journal entry."""
        self.add(
            t_s,
            node,
            "journal",
            "entry",
            message=message,
            identifier=identifier,
            transport=transport,
            priority=5,
            unit="",
            boot_id=f"{node}-boot-{boot}",
            realtime_us=int((t_s + 1e9) * 1e6),
            monotonic_us=int((t_s + 100) * 1e6),
        )

    def role(self, t_s: float, node: str, role: str, boot: str = "1") -> None:
        """A role change of every resource, told by all three witnesses."""
        old = "Secondary" if role == "Primary" else "Primary"
        for minor, resource in enumerate(RESOURCES):
            self.kernel(t_s, node, f"block drbd{minor}: role( {old} -> {role} )", boot=boot)
            fields = {"name": resource, "role": role, "suspended": "no"}
            self.add(t_s + 0.1, node, "events2", "change", object="resource", fields=fields, raw="")

    def sample(self, t_s: float, what: str, when: str, node: str, value: Any) -> None:
        """A state sample."""
        self.add(t_s, "host", "state", "sample", what=what, when=when, node=node, value=value)

    def drop(self, unwanted: Callable[[Happened], bool]) -> None:
        """Remove events."""
        self.events = [event for event in self.events if not unwanted(event)]

    def value(self, what: str, when: str, node: str | None = None) -> Any:
        """The (mutable) value of a sample."""
        return next(
            e.data["value"]
            for e in self.events
            if e.data.get("what") == what
            and e.data.get("when") == when
            and node in (None, e.data["node"])
        )

    def save(self, folder: Path) -> Path:
        """Write everything; returns the folder."""
        folder.mkdir(parents=True, exist_ok=True)
        scenario = self.scenario | {"events": len(self.events)}
        (folder / "scenario.json").write_text(json.dumps(scenario))
        with (folder / "timeline.jsonl").open("w") as file:
            for number, event in enumerate(sorted(self.events, key=lambda e: e.t_s), start=1):
                line = {
                    "n": number,
                    "t_ns": stamp(event.t_s),
                    "source": event.source,
                    "channel": event.channel,
                    "kind": event.kind,
                    "data": event.data,
                }
                file.write(json.dumps(line) + "\n")
        for job in self.scenario["jobs"]:
            self._save_job(folder, job)
        for (resource, node), crc in self.crcs.items():
            path = folder / f"replicas/{resource}.{node}.digests.bin"
            write_digests(path, Digests(BLOCK_SIZE, crc))
        for (resource, node), facts in self.facts.items():
            facts.save(folder / f"replicas/{resource}.{node}.metadata.json")
        return folder

    def _save_job(self, folder: Path, job: dict[str, Any]) -> None:
        name, writes = job["name"], self.writes[job["name"]]
        (folder / "fio").mkdir(exist_ok=True)
        if job["lat_log"]:
            rows = sorted(log_row(write) for write in writes)
            text = "".join(f"{t}, {lat}, 1, 4096, {offset}, 0\n" for t, lat, offset in rows)
            (folder / job["lat_log"]).write_text(text)
        total = self.total_ios.get(name, len(writes))
        (folder / job["json"]).write_text(fio_result(name, total, self.errors.get(name, 0)))
        if job["headers"]:
            records = stamped(writes, self.on_disk.get(name, {}), self.blocks)
            for deface in self.deface:
                deface(name, records)
            write_headers(folder / job["headers"], Headers(BLOCK_SIZE, records))
            for node in NODES:
                kept: np.ndarray[Any, Any] | None = records.copy()
                for change in self.deface_replica:
                    kept = None if kept is None else change(job["resource"], node, kept)
                if kept is not None:
                    path = folder / f"replicas/{job['resource']}.{node}.headers.bin"
                    path.parent.mkdir(exist_ok=True)
                    write_headers(path, Headers(BLOCK_SIZE, kept))


def healthy(seed: int = 1) -> Folder:
    """A folder of one's own; see ``_healthy``."""
    # Copied from what was made once: hundreds of tests begin with one.
    folder: Folder = pickle.loads(_pickled(seed))
    return folder


@functools.cache
def _pickled(seed: int) -> bytes:
    return pickle.dumps(_healthy(seed))


def _healthy(seed: int) -> Folder:
    """Power-off of alpha at 20 s, fenced at 28 s, bravo takes over at 31 s, healed at 60 s."""
    folder = Folder(_scenario(), [], {f"raw{n}": _workload(seed + n) for n in range(2)})
    rng = np.random.default_rng(seed)
    for resource in RESOURCES:
        crc = rng.integers(0, 2**32, size=folder.blocks, dtype=np.uint32)
        folder.crcs |= {(resource, node): crc.copy() for node in NODES}
        folder.facts |= {(resource, node): _in_sync(node, folder.blocks) for node in NODES}
    for vm in (*NODES, "client"):
        for channel in ("console", "journal"):
            folder.add(-5, vm, channel, "open")
            folder.add(0, vm, channel, "nonce", nonce="n1")
            folder.add(94, vm, channel, "end-nonce", nonce="end-e1")
        folder.journal(0.5, vm, "something", identifier="x")
        folder.add(1, vm, "console", "line", text="[   90.000000] something else\r")
    folder.add(0, "client", "block", "nonce", nonce="n1")
    folder.add(94, "client", "block", "end-nonce", nonce="end-e1")
    block_requests(folder)
    for when, t_s in (("before", 0.6), ("after", 91)):
        folder.sample(t_s, "disks", when, "client", dict(DISKS))
        identities = {lun: f"36001405f{lun}" for lun in DISKS}
        folder.sample(t_s, "identities", when, "client", identities)
    for node in NODES:
        folder.add(0, node, "events2", "nonce", nonce="n1")
        folder.add(94, node, "events2", "end-nonce", nonce="end-e1")
        for minor, resource in enumerate(RESOURCES):
            device = {"name": resource, "volume": "0", "minor": str(minor)}
            folder.add(0.1, node, "events2", "exists", object="device", fields=device, raw="")
            role = {"name": resource, "role": "Primary" if node == "alpha" else "Secondary"}
            folder.add(0.1, node, "events2", "exists", object="resource", fields=role, raw="")
    _samples(folder, 0.5, "before", active="alpha", fenced=0)
    for t_s in (0.2, 85.0):
        folder.add(
            t_s, "host", "clock", "offset", node="client", boot_id="client-boot-1",
            offset_ns=OFFSET_NS, uncertainty_ns=400_000,
        )  # fmt: skip
    folder.add(1.5, "host", "workload", "start", jobs=["raw0", "raw1"], exit_code=None, text="")
    for t_s in (*range(1, 20, 3), *range(34, 95, 3)):
        mac = MACS["alpha" if t_s < 20 else "bravo"]
        folder.add(t_s, "host", "arp", "claim", ip=VIP, mac=mac)
    progress(folder)
    _fault(folder)
    folder.add(80.5, "host", "workload", "stop-asked")
    folder.add(81, "host", "workload", "exit", jobs=["raw0", "raw1"], exit_code=0, text="")
    for vm in (*NODES, "client"):  # while the replicas are read
        for t_s, event in ((92, "suspended"), (92.5, "resumed")):
            folder.add(t_s, vm, "domain", "lifecycle", event=event, detail="0")
    _samples(folder, 90, "after", active="bravo", fenced=1)
    return folder


def block_requests(folder: Folder) -> None:
    """What the initiator's kernel traced of the writes that fio logged."""
    folder.drop(lambda e: e.channel == "block" and e.kind in ("issue", "complete"))
    disks = list((DISKS | FILE_DISK).values())
    for disk, writes in zip(disks, folder.writes.values(), strict=False):
        for write in writes:
            for t_s, kind in (
                (write.issue_s + 0.0002, "issue"),
                (write.issue_s + write.latency_s - 0.0002, "complete"),
            ):
                error = {"error": 0} if kind == "complete" else {}
                folder.add(
                    t_s, "client", "block", kind, disk=disk, op="write", fua=False,
                    sector=write.block * 8, sectors=8, guest_ns=stamp(t_s) + OFFSET_NS, **error,
                )  # fmt: skip


def _in_sync(node: str, blocks: int) -> Facts:
    flags = Flags.CONSISTENT | Flags.WAS_UP_TO_DATE | Flags.CONNECTED
    active = node == "bravo"
    return Facts(
        blocks=blocks,
        current=CURRENT | active,
        bitmap=0,
        history=(0x9999999999999990, 0x8888888888888880),
        flags=flags | Flags.PRIMARY if active else flags,
        clean=not active,
        dirty=0,
        extents=(0,) if active else (),
        may_differ=((0, blocks),) if active else (),
    )


def _fault(folder: Folder) -> None:
    fault = {"fault": "power-off", "kind": "power-off", "target": "alpha", "id": "f1-power-off"}
    for t_s, kind in ((20, "plan"), (20, "inject"), (20.6, "bitten"), (55, "heal"), (60, "healed")):
        folder.add(t_s, "host", "fault", kind, **fault, proof="seen")
    folder.add(20.3, "alpha", "domain", "lifecycle", event="stopped", detail="failed")
    for channel in ("console", "journal", "events2"):
        folder.add(20.4, "alpha", channel, "lost", reason="end of stream")
        folder.add(30.5, "alpha", channel, "open")
    folder.journal(
        26, "bravo", "Cluster node alpha will be fenced: peer is no longer part of the cluster",
        identifier="pacemaker-schedulerd",
    )  # fmt: skip
    folder.journal(
        24, "bravo", " notice: Node alpha state is now lost", identifier="pacemaker-controld"
    )
    for t_s, resource in ((33, "vip"), (34.2, "lun0"), (34.6, "lun1")):
        folder.journal(
            t_s, "bravo", f" notice: Result of start operation for {resource} on bravo: ok",
            identifier="pacemaker-controld",
        )  # fmt: skip
    folder.journal(
        34.9, "client", "connection1:0 is operational after recovery (5 attempts)",
        identifier="iscsid",
    )  # fmt: skip
    folder.add(27, "alpha", "domain", "lifecycle", event="started", detail="booted")
    folder.journal(28, "bravo", OPERATION.format("alpha", "bravo", "bravo"))
    folder.role(31, "bravo", "Primary")
    for minor, resource in enumerate(RESOURCES):
        folder.kernel(31.05, "bravo", f"drbd {resource}: pdsk( DUnknown -> Outdated )")
        folder.kernel(
            31.1, "bravo",
            f"block drbd{minor}: new current UUID AAAAAAAAAAAAAAA1:9999999999999990:"
            "8888888888888880:7777777777777770",
        )  # fmt: skip
    folder.add(32, "alpha", "console", "line", text="[    0.000000] Linux version 6.1.0-9-cloud")
    folder.add(45, "alpha", "events2", "nonce", nonce="boot")
    folder.journal(45, "alpha", "something", identifier="x", boot="2")
    for t_s, text in (
        (12, "Request 5 seqno 4 src 10.77.4.11 target fh0-bravo"),
        (27, "Request 2 seqno 5 src 10.77.4.12 target fh0-alpha"),
        (27, "ENTER libvirt_reboot fh0-alpha 5"),
    ):
        folder.add(t_s, "host", "fence", "line", text=text)


def progress(folder: Folder, stop_s: float = 80.0) -> None:
    """The initiator's counters every second; nothing more is written after ``stop_s``."""
    folder.drop(lambda e: e.channel == "progress")
    for t_s in range(2, 95):
        for disk in ("lun0", "lun1"):
            folder.add(
                t_s, "client", "progress", "io", disk=disk, write_ios=10 * int(min(t_s, stop_s)),
                write_bytes=0, in_flight=4 if t_s < 80 or stop_s < 80 else 0, guest_ns=0,
            )  # fmt: skip


def _samples(folder: Folder, t_s: float, when: str, active: str, fenced: int) -> None:
    passive = next(node for node in NODES if node != active)
    for node in NODES:
        mine = {"role": "Primary", "peer_role": "Secondary"}
        theirs = {"role": "Secondary", "peer_role": "Primary"}
        state = {
            "cs": "Connected", "disk": "UpToDate", "peer_disk": "UpToDate", "suspended": False,
            "oos_kib": 0, **(mine if node == active else theirs),
        }  # fmt: skip
        folder.sample(t_s, "drbd", when, node, {r: dict(state) for r in RESOURCES})
        gi = GI["bravo" if node == active else "alpha"]
        folder.sample(t_s, "gi", when, node, dict.fromkeys(RESOURCES, gi))
    folder.sample(
        t_s, "instances", when, active,
        {r: {"promoted": [active], "unpromoted": [passive]} for r in RESOURCES},
    )  # fmt: skip
    group = {"node": active, "resources": {"pb": "Started", "vip": "Started"}}
    folder.sample(t_s, "group", when, active, group)
    folder.sample(t_s, "membership", when, active, dict.fromkeys(NODES, "online"))
    folder.sample(t_s, "failed_actions", when, active, [])
    folder.sample(t_s, "fence_constraints", when, active, [])
    for machine in (*NODES, "client", "lab"):
        folder.sample(t_s, "residue", when, machine, _traces(machine, active, when))
    entry = {
        "target": "alpha", "action": "reboot", "state": "success", "delegate": "bravo",
        "client": "pacemaker-controld.683", "completed": "2026-11-25 14:00:00Z",
    }  # fmt: skip
    folder.sample(t_s, "fence_history", when, active, [dict(entry) for _ in range(fenced)])


def process(name: str, age_s: int, unit: str = "", *, stopped: bool = False) -> dict[str, Any]:
    """One process as a residue sample has it."""
    return {"name": name, "unit": unit or f"{name}.service", "age_s": age_s, "stopped": stopped}


def _traces(machine: str, active: str, when: str) -> dict[str, list[Any]]:
    """What there is on a machine: a node that has served has rules and mounts of the target's."""
    if machine == "lab":
        daemons = [process(name, 700, "-") for name in ("fence_virtd", "libvirtd", "qemu")]
        return {
            "qdiscs": ["fh0a-data: fq_codel root"], "links": ["fh0a-data: mtu 9000, UP LOWER_UP"],
            "rules": [], "mounts": ["/run/lab: ext4, rw"], "processes": daemons,
            "addresses": ["fh0-data: inet 10.77.1.1/24"],
        }  # fmt: skip
    served = machine == active
    common: dict[str, list[Any]] = {
        "qdiscs": ["data: fq_codel root"],
        "links": ["data: mtu 9000, UP LOWER_UP"],
        "mounts": ["/: ext4, rw", *(["/sys/kernel/config: configfs, rw"] if served else [])],
        "rules": ["table ip filter", "table ip filter / chain INPUT"] if served else [],
        "files": ["/run/lab-nonce"] if when == "before" else [],
        "addresses": [f"data: inet {machine}/24", *(["data: inet vip/24"] if served else [])],
        "clock": ["frequency 0 tick 10000"],
        # A monitor that one look or the other happens to find.
        "processes": [process("sshd", 90, "ssh.service"),
                      process("ping" if when == "before" else "crm_mon", 2, "ssh.service")],
    }  # fmt: skip
    if machine == "client":
        return common | {"processes": [process("iscsid", 600), *common["processes"]]}
    # The one that was fenced is younger than the other.
    age_s = 35 if (machine, when) == ("alpha", "after") else 600
    return common | {
        "drbd": ["resource r0 {", "}"],
        "properties": ["cib-bootstrap-options-stonith-enabled: stonith-enabled=true"],
        "processes": [process("corosync", age_s), process("pacemakerd", age_s - 1),
                      *common["processes"]],
    }  # fmt: skip


def _workload(seed: int) -> list[Write]:
    """About 1.3 writes/s from 2 s to 80 s, none completing between 20 s and 35 s.

    Hundreds of tests judge them, so there are no more than it takes for most blocks to be written,
    and for half of these to be written again. The last before the fault is half a second before
    it: the standstill begins with it.
    """
    rng = np.random.default_rng(seed)
    writes: list[Write] = []
    free = dict.fromkeys(range(64), 0.0)  # at most one write outstanding per block
    issued_s = np.sort(rng.uniform(2, 80, size=100))
    issued_s[np.searchsorted(issued_s, 20) - 1] = 19.5
    for issue_s in issued_s:
        block, done = int(rng.integers(0, 64)), float(issue_s + rng.uniform(0.001, 0.02))
        if 20 <= done < 35:
            done = 35 + float(rng.uniform(0, 0.5))
        if free[block] < issue_s:
            writes.append(Write(block, float(issue_s), done - float(issue_s)))
            free[block] = done
    return writes


def _scenario() -> dict[str, Any]:
    jobs = [
        {
            "name": f"raw{n}", "kind": "raw", "lun": f"lun{n}", "resource": f"r{n}",
            "block_size": 4096, "json": f"fio/raw{n}.json", "lat_log": f"fio/raw{n}_lat.1.log",
            "headers": f"fio/lun{n}.headers.bin",
        }
        for n in range(2)
    ]  # fmt: skip
    return {
        "slug": "power-off-active", "name": "Power off the active node", "feature": "power.feature",
        "tags": [], "started_ns": stamp(0), "ended_ns": stamp(95), "outcome": "finished",
        "error": None, "reproduce": "harness run", "gherkin": [],
        "expect": {
            "failovers": 1, "fencings": 1, "max_stall_s": 30, "active": "bravo",
            "min_spanning_writes": 100, "workload": True, "fault": True, "fenced": ["alpha"],
        },
        "jobs": jobs,
        "luns": {f"lun{n}": {"resource": f"r{n}", "bytes": 64 * BLOCK_SIZE} for n in range(2)},
        "nodes": list(NODES), "initiator": "client", "resources": list(RESOURCES), "vip": VIP,
    }  # fmt: skip
