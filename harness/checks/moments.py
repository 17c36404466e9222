"""When the states were sampled: before the first fault, and after all of them were over.

A sample says ``before`` or ``after``; that is the harness's word, and its stamp is the proof. What
was looked at while a fault was there says nothing about the start, and nothing about the end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.checks.registry import CannotJudgeError
from harness.evidence.timeline import Channel

if TYPE_CHECKING:
    from harness.evidence.model import Evidence, Sample, Seen

# What is sampled as the scenario begins and ends. Steps sample others, as ``after``: after what
# they did, in the middle of the scenario.
_OF_START_AND_END = (
    "disks", "drbd", "failed_actions", "fence_constraints", "fence_history", "files", "fsck", "gi",
    "group", "identities", "instances", "membership", "residue",
)  # fmt: skip


def begun_ns(evidence: Evidence) -> int | None:
    """When the first fault was injected, ns on the run's clock; None where there was none."""
    return min((seen.t_ns for seen in evidence.select(Channel.FAULT, "inject")), default=None)


def over_ns(evidence: Evidence) -> int | None:
    """When everything that a scenario does was over, ns on the run's clock; None: it did nothing.

    The last that is told of a fault is that it healed, or did not. The workload is asked to stop
    when all is healed, so that some writes follow the heal.
    """
    ends = [
        *evidence.select(Channel.FAULT),
        *evidence.select(Channel.WORKLOAD, "stop-asked"),
    ]
    return max((seen.t_ns for seen in ends), default=None)


def untimely(evidence: Evidence, when: str, seen: Seen) -> str:
    """Why what was looked at then is not of that moment; empty where it is.

    Args:
        when: ``before`` the first fault, or ``after`` the last one.
        seen: where the timeline tells of it.
    """
    begun, over = begun_ns(evidence), over_ns(evidence)
    if when == "before" and begun is not None and seen.t_ns >= begun:
        return f"is of {(seen.t_ns - begun) / 1e9:.1f} s after the first fault was injected"
    if when == "after" and over is not None and seen.t_ns < over:
        return f"is of {(over - seen.t_ns) / 1e9:.1f} s before all was healed and the writes ended"
    return ""


def in_time(evidence: Evidence, sample: Sample) -> Sample:
    """The sample, if it is of the moment that it says.

    Raises:
        CannotJudgeError: it is of another one.
    """
    text = untimely(evidence, sample.when, sample.seen)
    if text:
        raise CannotJudgeError(f"{sample.seen.ref}: {sample.what} {sample.when} {text}")
    return sample


def untimely_samples(evidence: Evidence) -> list[tuple[str, Seen]]:
    """Every sample of the start or the end that is not of that moment."""
    told: list[tuple[str, Seen]] = []
    for seen in evidence.select(Channel.STATE, "sample"):
        what, when = seen.text("what"), seen.text("when")
        if what in _OF_START_AND_END and (text := untimely(evidence, when, seen)):
            told.append((f"{what} {when} {text}", seen))
    return told
