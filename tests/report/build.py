"""Builds synthetic run folders for the tests of the report, as docs/evidence.md has them.

Times are seconds from the first fault's injection; the guests' clocks stand 832 s behind the
run's, as they do after a revert.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.checks.verdict import CheckResult, ScenarioVerdict, Verdict
from harness.evidence.timeline import Channel

if TYPE_CHECKING:
    from pathlib import Path

ZERO_NS = 1_764_076_800_000_000_000
OFFSET_NS = -832_000_000_000
NODES = ("alpha", "bravo")
RESOURCES = ("r0", "r1", "r2")
VIP = "10.99.3.100"
MACS = {"alpha": "52:54:00:00:00:0a", "bravo": "52:54:00:00:00:0b"}


def at(seconds: float) -> int:
    """Run-clock ns of seconds from the injection."""
    return ZERO_NS + round(seconds * 1e9)


class Folder:
    """One scenario's evidence folder, in the making."""

    def __init__(self, run: Path, slug: str, name: str, **expect: Any) -> None:
        self.path = run / "evidence" / slug
        self.path.mkdir(parents=True, exist_ok=True)
        self.slug = slug
        self.events: list[tuple[int, dict[str, Any]]] = []
        self.checks: list[CheckResult] = []
        self.scenario: dict[str, Any] = {
            "slug": slug,
            "name": name,
            "feature": "Power failures",
            "tags": ["@power", "@failover"],
            "started_ns": at(-40),
            "ended_ns": at(290),
            "outcome": "finished",
            "error": None,
            "reproduce": f"harness run --only {slug} --seed 7",
            "gherkin": [
                "Given a healthy cluster with alpha active",
                "And the initiator writes to every LUN",
                "When alpha loses power",
                "Then bravo takes over",
                "And no acknowledged write is lost",
            ],
            "expect": {
                "failovers": 1,
                "fencings": 1,
                "max_stall_s": 180.0,
                "active": "bravo",
                "min_spanning_writes": 1,
                "workload": True,
                "fault": True,
                "fenced": ["alpha"],
            }
            | expect,
            "jobs": [],
            "luns": {"lun1": {"resource": "r1", "bytes": 1 << 28}},
            "nodes": list(NODES),
            "initiator": "client",
            "resources": list(RESOURCES),
            "vip": VIP,
        }
        for vm in (*NODES, "client"):
            self.add(-39, vm, Channel.CONSOLE, "nonce", nonce="n1")
            self.add(-39, vm, Channel.JOURNAL, "nonce", nonce="n1")
            self.add(
                -39,
                "host",
                Channel.CLOCK,
                "offset",
                node=vm,
                boot_id="b",
                offset_ns=OFFSET_NS,
                uncertainty_ns=2_000_000,
            )
        for node in NODES:
            self.add(-39, node, Channel.EVENTS2, "nonce", nonce="n1")
            self.add(
                -38,
                "host",
                Channel.STATE,
                "sample",
                what="drbd",
                when="before",
                node=node,
                value={r: self.drbd(node) for r in RESOURCES},
            )
        self.add(-37, "host", Channel.ARP, "claim", ip=VIP, mac=MACS["alpha"])

    @staticmethod
    def drbd(node: str) -> dict[str, Any]:
        """A healthy state as sampled, with alpha active."""
        role = "Primary" if node == "alpha" else "Secondary"
        return {
            "cs": "Connected",
            "role": role,
            "peer_role": "?",
            "disk": "UpToDate",
            "peer_disk": "UpToDate",
            "suspended": False,
            "oos_kib": 0,
        }

    def add(self, seconds: float, source: str, channel: Channel, kind: str, /, **data: Any) -> None:
        """An event of the timeline."""
        t_ns = at(seconds)
        self.events.append(
            (t_ns, {"t_ns": t_ns, "source": source, "channel": channel, "kind": kind, "data": data})
        )

    def kernel(self, seconds: float, node: str, *lines: str) -> None:
        """Lines of a kernel on the console."""
        for line in lines:
            self.add(seconds, node, Channel.CONSOLE, "line", text=f"[  123.456789] {line}")

    def journal(
        self, seconds: float, node: str, identifier: str, *messages: str, p: int = 5
    ) -> None:
        """Journal entries."""
        for message in messages:
            self.add(
                seconds,
                node,
                Channel.JOURNAL,
                "entry",
                message=message,
                priority=p,
                identifier=identifier,
                unit="pacemaker.service",
                transport="syslog",
                boot_id="b",
                realtime_us=1,
                monotonic_us=1,
            )

    def events2(self, seconds: float, node: str, kind: str, object_: str, **fields: str) -> None:
        """A line of events2."""
        raw = f"{kind} {object_} " + " ".join(f"{k}:{v}" for k, v in fields.items())
        self.add(seconds, node, Channel.EVENTS2, kind, object=object_, fields=fields, raw=raw)

    def step(self, seconds: float, took: float, keyword: str, text: str, error: str = "") -> None:
        """A step of the scenario."""
        self.add(seconds, "host", Channel.STEP, "begin", keyword=keyword, text=text)
        self.add(
            seconds + took,
            "host",
            Channel.STEP,
            "end",
            keyword=keyword,
            text=text,
            status="failed" if error else "passed",
            error=error or None,
        )

    def fault(self, kind: str, target: str, *times: tuple[str, float], id_: str = "f1") -> None:
        """A fault's stages: (stage, seconds)."""
        for stage, seconds in times:
            proof = f"proof of {stage}" if stage in ("bitten", "healed") else ""
            self.add(
                seconds,
                "host",
                Channel.FAULT,
                stage,
                id=id_,
                fault=kind,
                kind=kind,
                target=target,
                proof=proof,
            )

    def writes(
        self, job: str, start: float, end: float, stall: tuple[float, float] | None, count: int
    ) -> None:
        """A latency log of ``count`` writes, none of them acknowledged within the stall."""
        rng = np.random.default_rng(len(job) + count)
        done = np.sort(rng.uniform(start, end, count))
        latency = rng.lognormal(np.log(9e6), 0.55, count)
        if stall:
            inside = (done > stall[0]) & (done <= stall[1])
            keep = ~inside
            held = np.flatnonzero(inside)[:8]
            done[held] = stall[1] + rng.uniform(0, 0.4, len(held))
            latency[held] = (done[held] - stall[0] + rng.uniform(0, 0.3, len(held))) * 1e9
            keep[held] = True
            done, latency = done[keep], latency[keep]
        order = np.argsort(done)
        ms = ((ZERO_NS + OFFSET_NS) / 1e6 + done[order] * 1e3).astype(np.int64)
        name = f"fio/{job}_lat.1.log"
        path = self.path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(
            "".join(
                f"{t}, {int(ns)}, 1, 4096, {4096 * (n % 1024)}, 0\n"
                for n, (t, ns) in enumerate(zip(ms.tolist(), latency[order].tolist(), strict=True))
            )
        )
        self.job(job, name)

    def job(self, job: str, log: str | None) -> None:
        """A job in scenario.json."""
        self.scenario["jobs"].append(
            {
                "name": job,
                "kind": "raw",
                "lun": "lun1",
                "resource": "r1",
                "block_size": 4096,
                "json": f"fio/{job}.json",
                "lat_log": log,
                "headers": None,
            }
        )

    def check(self, slug: str, title: str, verdict: Verdict = Verdict.VALID, **more: Any) -> None:
        """A result for verdict.json."""
        fine: dict[str, Any] = {"expected": "as it should be", "seen": "as it should be"}
        more = fine | {"operations": 42} | more
        self.checks.append(CheckResult(check=slug, title=title, verdict=verdict, **more))

    def save(self, *, judged: bool = True, torn: bool = False) -> None:
        """Write scenario.json, timeline.jsonl and, where judged, verdict.json."""
        (self.path / "scenario.json").write_text(json.dumps(self.scenario))
        self.events.sort(key=lambda event: event[0])
        lines = "".join(json.dumps(event) + "\n" for _, event in self.events)
        (self.path / "timeline.jsonl").write_text(lines + ('{"t_ns": 17640' if torn else ""))
        if judged:
            verdict = ScenarioVerdict(self.slug, tuple(self.checks), self.scenario["error"])
            verdict.save(self.path / "verdict.json")


def run_json(run: Path) -> None:
    """run.json of a run under emulation."""
    run.mkdir(parents=True, exist_ok=True)
    (run / "run.json").write_text(
        json.dumps(
            {
                "run": run.name,
                "started_ns": at(-60),
                "accelerator": "tcg",
                "timing": {"name": "tcg", "corosync_token_ms": 3000, "replacement_timeout_s": 300},
                "versions": {
                    "drbd": "8.4.11",
                    "pacemaker": "2.1.5",
                    "corosync": "3.1.7",
                    "fio": "3.33",
                    "qemu": "7.2.19",
                },
                "harness": "0.1.0",
                "seed": 7,
                "command": "harness run features/power.feature",
                "kept": None,
                "code": "c0de",
            }
        )
    )
