"""What single samples prove: file system, files, jumbo frames, reboots."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.checks.registry import CannotJudgeError, Finding, check, found

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.evidence.model import Evidence, Sample


def _ordered(what: str, step: str) -> Callable[[Evidence], bool]:
    """Applies where it was sampled, and where a step of the scenario asks for it."""
    return lambda evidence: (
        bool(evidence.samples(what)) or any(step in line for line in evidence.scenario.gherkin)
    )


def _with_files(what: str) -> Callable[[Evidence], bool]:
    """Applies where it was sampled, and where a job wrote to a file system."""
    return lambda evidence: (
        bool(evidence.samples(what)) or any(job.kind == "file" for job in evidence.scenario.jobs)
    )


def _judge_samples(
    evidence: Evidence, what: str, expected: str, problem: Callable[[dict[str, Any]], str | None]
) -> Finding:
    samples = evidence.samples(what)
    problems: list[str] = []
    bad: list[Sample] = []
    for sample in samples:
        if not isinstance(sample.value, dict):
            raise CannotJudgeError(f"{sample.seen.ref}: {what} is not an object")
        text = problem(sample.value)
        if text is not None:
            problems.append(text)
            bad.append(sample)
    return found(
        problems,
        expected=expected,
        fine=f"so in {len(samples)} of {len(samples)} samples",
        operations=len(samples),
        when_ns=[sample.seen.t_ns for sample in bad],
        evidence=[sample.seen.ref for sample in bad or samples],
    )


def _excerpt(value: object) -> str:
    return " ".join(str(value).split())[:200]


@check("fsck", "The file system on the LUN is clean", applies=_with_files("fsck"))
def fsck(evidence: Evidence) -> Finding:
    """A forced fsck of the unmounted file system exits with 0: no error, nothing corrected.

    fsck(8): exit code 0 is "no errors", 1 "errors corrected", 4 "errors left".
    """
    return _judge_samples(
        evidence,
        "fsck",
        "fsck exits with 0",
        lambda v: (
            None
            if v.get("exit_code") == 0
            else f"fsck exited with {v.get('exit_code')}: {_excerpt(v.get('text'))}"
        ),
    )


@check("files", "Files read back as they were written", applies=_with_files("files"))
def files(evidence: Evidence) -> Finding:
    """Each file's SHA-256, read back at the end, is the one taken when it was written."""

    def problem(value: dict[str, Any]) -> str | None:
        expected, seen = value.get("expected"), value.get("seen")
        if not isinstance(expected, dict) or not isinstance(seen, dict) or not expected:
            raise CannotJudgeError("a files sample lists no files")
        wrong = [path for path in expected if seen.get(path) != expected[path]]
        if not wrong:
            return None
        missing = sum(path not in seen for path in wrong)
        return f"{len(wrong)} of {len(expected)} files differ ({missing} missing): {wrong[0]}"

    return _judge_samples(evidence, "files", "equal SHA-256 of every file", problem)


@check(
    "jumbo",
    "Full frames pass unfragmented",
    applies=_ordered("jumbo", "jumbo frames pass unfragmented on the "),
)
def jumbo(evidence: Evidence) -> Finding:
    """A ping with the link's full payload and "do not fragment" is answered.

    ``ping -M do -s MTU-28``: it can only pass if every interface on the way has that MTU.
    """

    def problem(value: dict[str, Any]) -> str | None:
        if value.get("exit_code") == 0:
            return None
        return (
            f"{value.get('payload_bytes')} bytes from {value.get('from')} to {value.get('to')} "
            f"over {value.get('link')}: ping exited with {value.get('exit_code')}"
        )

    return _judge_samples(evidence, "jumbo", "ping exits with 0", problem)


@check(
    "reboot",
    "A reboot ends within its deadline",
    applies=_ordered("reboot", " is rebooted cleanly"),
    predicts=True,
)
def reboot(evidence: Evidence) -> Finding:
    """A clean reboot comes back within its deadline, with a new boot_id.

    A changed /proc/sys/kernel/random/boot_id proves that the kernel really started anew.
    """

    def problem(value: dict[str, Any]) -> str | None:
        seconds, deadline = value.get("seconds"), value.get("deadline_s")
        if not isinstance(deadline, (int, float)):
            raise CannotJudgeError("a reboot sample has no deadline")
        node = value.get("node")
        if not isinstance(seconds, (int, float)):
            return f"{node} did not come back within {deadline:.0f} s"
        if seconds > deadline:
            return f"{node} took {seconds:.0f} s, allowed {deadline:.0f} s"
        before, after = value.get("boot_id_before"), value.get("boot_id_after")
        if not before or not after or before == after:
            return f"{node} did not reboot: boot_id {after}"
        return None

    return _judge_samples(evidence, "reboot", "back in time, with a new boot_id", problem)
