"""Evidence that tells how long things took, for the tests of calibration; and a made-up host."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from harness.checks import CheckResult, ScenarioVerdict, Verdict
from harness.lab.doctor import Finding
from harness.report.qualified import Fingerprint, Margin, Part, Stamp
from harness.timing import TCG
from tests.checks.build import Folder, healthy
from tests.checks.fio_files import stamp as at

if TYPE_CHECKING:
    from pathlib import Path

HOST = Fingerprint(
    cpu="A Processor", cores=4, memory_gib=31, virtual=False, kernel="Linux 6.1 x86_64",
    qemu="7.2.22", libvirt="9.0.0",
)  # fmt: skip
FINDINGS = [
    Finding("root", "ok", "running as root"),
    Finding("KVM", "warn", "/dev/kvm does not exist (0.0 s)", "slower"),
]
# On the unused clock of a guest that booted again, 30 s after its domain was started.
BOOT_S = 30.0


def timed() -> Folder:
    """The healthy failover, with all that a calibration looks for.

    alpha loses power at 20 s, is started again at 27 s and listens at 57 s, bravo calls the handler
    (2 s), promotes (4 s), starts (3 s for each LUN), and the session is back after 13 s.
    """
    folder = healthy()
    controld = {"identifier": "pacemaker-controld"}
    for t_s, text in (
        (24.0, "Requesting local execution of promote operation for d0 on bravo"),
        (28.0, "Result of promote operation for d0 on bravo: ok"),
        (31.2, "Requesting local execution of start operation for lun0 on bravo"),
        (34.2, "Result of start operation for lun0 on bravo: ok"),
        (35.0, "Requesting local execution of start operation for d1 on bravo"),
        (50.0, "Result of start operation for d1 on bravo: ok"),
        (50.5, "Requesting local execution of monitor operation for vip on bravo"),
        (51.5, "Result of monitor operation for vip on bravo: ok"),
        (52.0, "Requesting local execution of stop operation for lun0 on bravo"),
        (59.0, "Result of stop operation for lun0 on bravo: ok"),
    ):
        folder.journal(t_s, "bravo", f" notice: {text}", **controld)
    kernel = {"identifier": "kernel", "transport": "kernel"}
    helper = "drbd r0: helper command: /sbin/drbdadm fence-peer r0"
    folder.journal(25.0, "bravo", helper, **kernel)
    folder.journal(27.0, "bravo", f"{helper} exit code 7 (0x700)", **kernel)
    folder.journal(21.9, "client", " connection1:0: detected conn error (1022)", **kernel)
    folder.journal(27 + BOOT_S, "alpha", "Server listening on 0.0.0.0 port 22.", "sshd", boot="2")
    for t_s, kind, phase in (
        (-8, "begin", "revert"), (-1, "end", "revert"),
        (78, "begin", "heal"), (80, "begin", "verification"), (82, "end", "verification"),
        (89, "end", "heal"),
    ):  # fmt: skip
        folder.add(t_s, "host", "phase", kind, phase=phase)
    return folder


def saved(folder: Folder, path: Path, *, stall_s: float = 16.0) -> Path:
    """Write it, and the verdict that a calibration reads of it."""
    folder.save(path)
    blackout = {"start_ns": at(19.5), "end_ns": at(19.5) + round(stall_s * 1e9), "kind": "write"}
    verdict(path, stall_s=stall_s, details={"blackout": blackout})
    return path


def verdict(
    folder: Path,
    said: Verdict = Verdict.VALID,
    *,
    check: str = "stall",
    stall_s: float = 1.0,
    details: dict[str, Any] | None = None,
) -> None:
    """Leave a verdict of one check in an evidence folder."""
    folder.mkdir(parents=True, exist_ok=True)
    result = CheckResult(
        check=check, title=check, verdict=said, expected="-", seen=f"{stall_s} s", operations=7,
        details=details or {},
    )  # fmt: skip
    phases = CheckResult(
        check="failover-phases", title="-", verdict=said, expected="-", seen="-", operations=7,
        details={"failovers": [{"phases": {"detected": 6.5, "promoted": 3.0}}]},
    )  # fmt: skip
    ScenarioVerdict(folder.name, (result, phases), None).save(folder / "verdict.json")


def stamp(**other: Any) -> Stamp:
    """A stamp of ``HOST``; qualified, unless ``why_not`` says otherwise."""
    margin = Margin(
        name="start", outcome="enough", allowed_s=90.0, measured_s=30.0, margin=3.0, required=1.7,
        count=4, where="a/timeline.jsonl:7", said="4 times",
    )  # fmt: skip
    why_not = other.get("why_not", ())
    told = {
        "when_ns": 1_764_000_000_000_000_000, "seconds": 1800.0, "code": "c0de", "made": "made",
        "accelerator": "tcg", "proof": "none", "timing": "tcg", "host": HOST,
        "parts": (Part(name="mutants", passed=not why_not, said=("both <caught>",)),),
        "margins": (margin,), "failover": {"detected": 6.5}, "qualified": not why_not,
        "why_not": why_not, "before": (),
    }  # fmt: skip
    return Stamp.model_validate(told | other)


def run_json(run: Path, **other: Any) -> None:
    """run.json of a run with the timing of emulation."""
    run.mkdir(parents=True, exist_ok=True)
    told = {"run": run.name, "started_ns": at(-60), "accelerator": "tcg", "harness": "0",
            "timing": TCG.model_dump(), "host": "private"}  # fmt: skip
    (run / "run.json").write_text(json.dumps(told | other))
