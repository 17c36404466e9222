"""Whole scenarios for the tests of the report: a green one, a red one, and less clear ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.checks.verdict import Verdict
from harness.evidence.timeline import Channel
from tests.report.build import MACS, RESOURCES, VIP, Folder, at

if TYPE_CHECKING:
    from pathlib import Path

_OP = "Operation 'reboot' targeting"
_WANTS = "wants to fence (reboot)"
_SPLIT = "Split-Brain detected but unresolved, dropping connection!"


def power_off(
    run: Path, slug: str = "power-off-active", *, fence: bool = True, writes: int = 12_000
) -> Folder:
    """Power off the active node: fencing, failover to the peer, return of the node."""
    f = Folder(run, slug, "Power off the active node in the middle of writes")
    f.add(-32, "client", Channel.WORKLOAD, "start", jobs=["raw0", "raw1", "raw2"])
    f.step(-39, 2, "Given", "a healthy cluster with alpha active")
    f.step(-34, 30, "And", "the initiator writes to every LUN")
    f.step(-0.5, 8, "When", "alpha loses power")
    f.step(8, 120, "Then", "bravo takes over")
    f.step(250, 0.2, "And", "no acknowledged write is lost")
    f.fault(
        "power-cut",
        "alpha",
        ("plan", -0.1),
        ("inject", 0),
        ("bitten", 0.7),
        ("heal", 150),
        ("healed", 196),
    )
    f.add(0.3, "alpha", Channel.DOMAIN, "lifecycle", event="stopped", detail="destroyed")
    for channel in (Channel.CONSOLE, Channel.JOURNAL, Channel.EVENTS2):
        f.add(0.4, "alpha", channel, "lost", reason="end of stream")
    for n, r in enumerate(RESOURCES):
        f.kernel(
            4.2 + n / 10,
            "bravo",
            f"drbd {r}: PingAck did not arrive in time.",
            f"drbd {r}: peer( Primary -> Unknown ) conn( Connected -> NetworkFailure ) "
            "pdsk( UpToDate -> DUnknown )",
        )
        f.events2(4.6, "bravo", "change", "connection", name=r, connection="WFConnection")
    f.journal(8.1, "bravo", "pacemaker-controld", "Node alpha state is now lost")
    f.journal(8.2, "bravo", "pacemaker-attrd", "Node alpha state is now lost")
    f.journal(
        8.3, "bravo", "corosync", "[TOTEM ] A new membership (2.1a) was formed. Members left: 1"
    )
    f.journal(8.4, "bravo", "corosync", "[KNET  ] link: host: 1 link: 0 is down")
    f.journal(8.4, "bravo", "corosync", "[KNET  ] link: host: 1 link: 1 is down")
    f.journal(
        8.9,
        "bravo",
        "pacemaker-schedulerd",
        "Cluster node alpha will be fenced: peer is no longer part of the cluster",
        p=4,
    )
    f.journal(
        9.2,
        "bravo",
        "pacemaker-fenced",
        f"Client pacemaker-controld.412 {_WANTS} alpha using any device",
    )
    if fence:
        f.add(20, "host", Channel.FENCE, "line", text="Rebooting domain alpha")
        f.add(20.4, "alpha", Channel.DOMAIN, "lifecycle", event="started", detail="booted")
        f.journal(
            21,
            "bravo",
            "pacemaker-fenced",
            f"{_OP} alpha by bravo for pacemaker-controld.412@bravo: OK",
        )
    for n, r in enumerate(RESOURCES):
        f.events2(29 + n * 4, "bravo", "call", "helper", name=r, helper="fence-peer")
        f.events2(
            31 + n * 4, "bravo", "response", "helper", name=r, helper="fence-peer", status="7"
        )
        f.kernel(
            33 + n * 4,
            "bravo",
            f"block drbd{n}: role( Secondary -> Primary )",
            f"block drbd{n}: new current UUID 1A2B:3C4D:5E6F:7081",
        )
        f.events2(33.2 + n * 4, "bravo", "change", "resource", name=r, role="Primary")
    f.add(63, "host", Channel.ARP, "claim", ip=VIP, mac=MACS["bravo"])
    if fence:
        f.kernel(24, "alpha", "Linux version 6.1.0-44-cloud-amd64")
        for n in range(240):
            f.kernel(24 + n / 12, "alpha", f"pci 0000:00:{n:02x}.0: [1af4:1000] type 00")
        f.journal(70, "bravo", "pacemaker-controld", "Node alpha state is now member")
    for n, r in enumerate(RESOURCES):
        f.kernel(
            110 + n,
            "alpha",
            f"block drbd{n}: disk( Diskless -> Attaching )",
            f"block drbd{n}: disk( Attaching -> UpToDate )",
        )
        f.kernel(110.2 + n, "alpha", f"drbd {r}: conn( StandAlone -> WFConnection )")
        f.events2(113 + n * 6, "bravo", "change", "connection", name=r, connection="Connected")
        for node, kind in (("bravo", "SyncSource"), ("alpha", "SyncTarget")):
            f.kernel(114 + n * 6, node, f"block drbd{n}: conn( WFBitMapS -> {kind} )")
            f.kernel(128 + n * 18, node, f"block drbd{n}: conn( {kind} -> Connected )")
            f.events2(128 + n * 18, node, "change", "connection", name=r, connection="Connected")
        f.kernel(
            114 + n * 6,
            "alpha",
            f"block drbd{n}: disk( UpToDate -> Inconsistent )",
            f"block drbd{n}: role( Unknown -> Secondary )",
        )
        f.kernel(128 + n * 18, "alpha", f"block drbd{n}: disk( Inconsistent -> UpToDate )")
    f.add(240, "client", Channel.WORKLOAD, "exit", jobs=["raw0", "raw1", "raw2"], exit_code=0)
    for n in range(3):
        f.writes(f"raw{n}", -30, 240, (0.05, 98.2 + n / 5), writes // 3)
    f.check(
        "lost-writes",
        "No acknowledged write is lost",
        operations=12_000,
        seen="11,840 acknowledged writes, all there",
        evidence=("fio/raw0_lat.1.log",),
    )
    f.check(
        "stall",
        "No stall beyond the bound",
        operations=11_840,
        expected="at most 180 s",
        seen="98.6 s",
        details={"blackout": {"kind": "latency", "start_ns": at(0.0), "end_ns": at(98.6)}},
    )
    f.check(
        "failovers",
        "Exactly the expected failovers",
        expected="1 failovers",
        seen="1 failovers of each of 3 resources, and of the VIP",
        when_ns=(at(33), at(37), at(41)),
        evidence=("timeline.jsonl:40", "timeline.jsonl:41"),
        details={"by_resource": {"r0": 1, "r1": 1, "r2": 1}, "vip_moves": 1},
    )
    f.check(
        "fencings",
        "Exactly the expected fencings",
        expected="1 fencings (alpha × 1)",
        seen="1 in the journals (alpha × 1)",
        when_ns=(at(21),),
        details={"journal": {"alpha": 1}, "history": {"alpha": 1}},
    )
    f.check("dual-primary", "Never two Primaries of one resource", operations=31)
    return f


def green(run: Path) -> Folder:
    """A failover as it should be."""
    folder = power_off(run)
    folder.save()
    return folder


def red(run: Path) -> Folder:
    """Both nodes Primary, a lost write, a stall beyond the bound."""
    f = Folder(
        run,
        "replication-and-management-cut",
        "Cut replication and management together",
        failovers=0,
        fencings=1,
        max_stall_s=75.0,
        active="alpha",
        fenced=["bravo"],
    )
    f.scenario["feature"] = "Link failures"
    f.add(-30, "client", Channel.WORKLOAD, "start", jobs=["raw1"])
    f.step(-39, 2, "Given", "a healthy cluster with alpha active")
    f.step(-1, 1, "When", "alpha loses power", error="AssertionError: bravo never took over")
    f.fault(
        "cut-carrier",
        "drbd link of alpha",
        ("inject", 0),
        ("bitten", 1.2),
        ("heal", 90),
        ("healed", 97),
    )
    for n in range(4):
        f.fault(
            "cut-silent",
            "mgmt link of bravo",
            ("inject", 1.5 + 24 * n),
            ("bitten", 3 + 24 * n),
            ("heal", 14 + 24 * n),
            ("healed", 17 + 24 * n),
            id_=f"f{n + 2}",
        )
    f.kernel(
        6,
        "alpha",
        "drbd r1: conn( Connected -> NetworkFailure )",
        "drbd r1: conn( NetworkFailure -> WFConnection )",
    )
    f.kernel(
        6,
        "bravo",
        "drbd r1: conn( Connected -> NetworkFailure )",
        "drbd r1: conn( NetworkFailure -> WFConnection )",
    )
    f.kernel(22, "bravo", "block drbd1: role( Secondary -> Primary )")
    f.kernel(98, "alpha", f"block drbd1: {_SPLIT}", "drbd r1: conn( WFReportParams -> StandAlone )")
    f.kernel(98, "bravo", f"block drbd1: {_SPLIT}", "drbd r1: conn( WFReportParams -> StandAlone )")
    f.add(
        60,
        "client",
        Channel.CONSOLE,
        "line",
        text="blk_update_request: I/O error, dev sdb, sector 4096",
    )
    f.add(23, "host", Channel.ARP, "claim", ip=VIP, mac=MACS["bravo"])
    f.add(24, "host", Channel.ARP, "claim", ip=VIP, mac=MACS["alpha"])
    f.journal(
        7,
        "alpha",
        "pacemaker-fenced",
        f"Client pacemaker-controld.9 {_WANTS} bravo using any device",
    )
    f.journal(
        19,
        "alpha",
        "pacemaker-fenced",
        f"{_OP} bravo by alpha for pacemaker-controld.9@alpha: No route to host (-113)",
        p=3,
    )
    f.add(150, "client", Channel.WORKLOAD, "exit", jobs=["raw1"], exit_code=1, text="fio: err=5")
    f.writes("raw1", -28, 150, (4.0, 91.5), 6000)
    f.check(
        "dual-primary",
        "Never two Primaries of one resource",
        Verdict.INVALID,
        operations=12,
        expected="at most one Primary of each resource at any time",
        seen="r1: Primary on alpha and bravo for 248.0 s",
        when_ns=(at(22), at(270)),
        evidence=("timeline.jsonl:20", "timeline.jsonl:21", "timeline.jsonl:99999"),
        details={"overlaps": [{"resource": "r1", "from_ns": at(22), "to_ns": at(270)}]},
    )
    f.check(
        "lost-writes",
        "No acknowledged write is lost",
        Verdict.INVALID,
        operations=5000,
        expected="every acknowledged write on both replicas",
        seen="3 of 5,000 acknowledged writes are gone: lun1 blocks 12, 97, 388",
        when_ns=(at(41.2), at(43), at(47.7)),
        evidence=("fio/raw1_lat.1.log:1204",),
    )
    f.check(
        "stall",
        "No stall beyond the bound",
        Verdict.INVALID,
        operations=4000,
        expected="at most 75 s",
        seen="87.5 s",
        when_ns=(at(4), at(91.5)),
        details={"blackout": {"start_ns": at(4), "end_ns": at(91.5)}, "seconds": 87.5},
    )
    f.check(
        "fencings",
        "Exactly the expected fencings",
        Verdict.INCONCLUSIVE,
        operations=4,
        expected="1 fencings (bravo × 1)",
        seen="no fence history at the end; the journals report 0 fencings",
    )
    f.check("faults", "Every fault bit and healed", operations=5)
    f.save()
    return f


def inconclusive(run: Path) -> Folder:
    """A fault that never bit: nothing can be said."""
    f = Folder(
        run,
        "loss-on-replication",
        "Five percent loss on the replication link",
        failovers=0,
        fencings=0,
        max_stall_s=45.0,
        fenced=[],
    )
    f.scenario["feature"] = "Link failures"
    f.add(-30, "client", Channel.WORKLOAD, "start", jobs=["raw1"])
    f.fault("loss", "drbd link", ("inject", 0), ("heal", 60), ("healed", 61))
    f.add(
        45,
        "host",
        Channel.FAULT,
        "not-bitten",
        id="f1",
        fault="loss",
        kind="loss",
        target="drbd link",
        proof="no proof found",
    )
    f.add(120, "client", Channel.WORKLOAD, "exit", jobs=["raw1"], exit_code=0)
    f.writes("raw1", -28, 120, None, 5000)
    f.check(
        "faults",
        "Every fault bit and healed",
        Verdict.INCONCLUSIVE,
        operations=1,
        expected="proof for each fault that it bit and that it healed",
        seen="loss: not bitten: no proof found",
        when_ns=(at(0),),
    )
    f.check("lost-writes", "No acknowledged write is lost", operations=5000)
    f.save()
    return f


def half_written(run: Path) -> Folder:
    """A harness that was killed: no verdict, no fio log, a torn timeline, still running."""
    f = Folder(run, "pause-active", "Pause the active node for a minute")
    f.scenario |= {"outcome": "running", "ended_ns": None}
    f.add(-20, "client", Channel.WORKLOAD, "start", jobs=["raw1"])
    f.step(-39, 2, "Given", "a healthy cluster with alpha active")
    f.add(-1, "host", Channel.STEP, "begin", keyword="When", text="alpha loses power")
    f.fault("pause", "alpha", ("plan", -0.2), ("inject", 0), ("bitten", 0.4))
    f.add(0.2, "alpha", Channel.DOMAIN, "lifecycle", event="suspended", detail="paused")
    for n in range(140):
        t = -20 + n / 2
        f.add(
            t,
            "client",
            Channel.PROGRESS,
            "io",
            disk="lun1",
            in_flight=8,
            guest_ns=1,
            write_bytes=1,
            write_ios=min(n, 41) * 30 + max(n - 110, 0) * 30,
        )
    f.job("raw1", "fio/raw1_lat.1.log")
    f.save(judged=False, torn=True)
    return f
