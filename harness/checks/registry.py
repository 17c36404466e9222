"""The list of checks: what each is called, when it applies, and how it is run.

A check is a function from the evidence to a ``Finding``; its docstring gives the property, a
proof sketch and the source. The decorator ``check`` enters it in ``ALL_CHECKS``.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import weakref
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from harness.checks.verdict import CheckResult, Verdict
from harness.evidence.model import EvidenceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from harness.evidence.model import Evidence

T = TypeVar("T")

MAX_LISTED = 20  # of anything that is listed in details or evidence; counts are always complete


class CannotJudgeError(ValueError):
    """The evidence lacks what a check needs; the check becomes INCONCLUSIVE with this text."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check function returns; the registry adds slug and title (see CheckResult)."""

    verdict: Verdict
    expected: str
    seen: str
    operations: int
    when_ns: tuple[int, ...] = ()
    evidence: tuple[str, ...] = ()
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Check:
    """One entry of the registry."""

    slug: str
    title: str
    description: str
    applies: Callable[[Evidence], bool]
    function: Callable[[Evidence], Finding]
    predicts: bool = False
    """What it expects follows from the faults; it need not hold of a healthy cluster."""

    def run(self, evidence: Evidence) -> CheckResult:
        """Judge; whatever goes wrong inside is INCONCLUSIVE, never a pass and never a crash."""
        try:
            finding = self.function(evidence)
        except Exception as error:
            return self.inconclusive(one_line(error, evidence.folder))
        return CheckResult(
            check=self.slug,
            title=self.title,
            verdict=finding.verdict,
            expected=finding.expected,
            seen=finding.seen,
            when_ns=finding.when_ns,
            evidence=tuple(dict.fromkeys(finding.evidence)),
            operations=finding.operations,
            details=finding.details,
        ).earned()

    def inconclusive(self, seen: str) -> CheckResult:
        """The result when the check could not be run."""
        return CheckResult(
            check=self.slug,
            title=self.title,
            verdict=Verdict.INCONCLUSIVE,
            expected="evidence that this check can read",
            seen=seen,
        )


ALL_CHECKS: dict[str, Check] = {}


def always(_: Evidence) -> bool:
    """For checks that apply to every scenario."""
    return True


def check(
    slug: str,
    title: str,
    *,
    applies: Callable[[Evidence], bool] = always,
    predicts: bool = False,
) -> Callable[[Callable[[Evidence], Finding]], Callable[[Evidence], Finding]]:
    """Enter the decorated function in ``ALL_CHECKS`` under ``slug``.

    Args:
        applies: whether it is run on a scenario at all.
        predicts: what it expects follows from the faults: where one of them did not bite, its
            INVALID says nothing of the cluster, and becomes INCONCLUSIVE.
    """

    def register(function: Callable[[Evidence], Finding]) -> Callable[[Evidence], Finding]:
        if slug in ALL_CHECKS:
            raise ValueError(f"two checks are called {slug!r}")
        description = inspect.getdoc(function) or ""
        ALL_CHECKS[slug] = Check(slug, title, description, applies, function, predicts)
        return function

    return register


def remember(function: Callable[[Evidence], T]) -> Callable[[Evidence], T]:
    """Compute ``function`` once per evidence folder; callers must not change what it returns."""
    known: weakref.WeakKeyDictionary[Evidence, T] = weakref.WeakKeyDictionary()

    @functools.wraps(function)
    def remembered(evidence: Evidence) -> T:
        if evidence not in known:
            known[evidence] = function(evidence)
        return known[evidence]

    return remembered


def found(
    problems: Iterable[str],
    *,
    expected: str,
    fine: str,
    operations: int,
    otherwise: Verdict = Verdict.INVALID,
    when_ns: Iterable[int] = (),
    evidence: Iterable[str] = (),
    details: dict[str, Any] | None = None,
) -> Finding:
    """VALID with ``fine`` where there are no problems; else ``otherwise`` naming them."""
    listed = list(problems)
    more = f" (and {len(listed) - MAX_LISTED} more)" if len(listed) > MAX_LISTED else ""
    return Finding(
        verdict=otherwise if listed else Verdict.VALID,
        expected=expected,
        seen="; ".join(listed[:MAX_LISTED]) + more if listed else fine,
        operations=operations,
        when_ns=tuple(sorted(when_ns)),
        evidence=tuple(evidence),
        details=details or {},
    )


@contextlib.contextmanager
def doubting(doubts: list[str], what: str, evidence: Evidence) -> Iterator[None]:
    """Judge one of several: what cannot be read is a doubt about it, and the others still count.

    So that a violation that one job, resource or node shows is not lost over another's damaged
    file. Leaves the block at the first such error, with a line that begins with ``what`` in
    ``doubts``.
    """
    try:
        yield
    except (OSError, ValueError) as error:
        doubts.append(f"{what}: {one_line(error, evidence.folder)}")


def one_line(error: BaseException, folder: Path) -> str:
    """What went wrong, on one line, with paths relative to the evidence folder."""
    if isinstance(error, FileNotFoundError) and error.filename is not None:
        said = f"no file {error.filename}"
    elif isinstance(error, (CannotJudgeError, EvidenceError)):
        said = str(error)
    else:
        said = f"{type(error).__name__}: {error}"
    said = " ".join(said.split()).replace(f"{folder.resolve()}/", "")
    return said.replace(f"{folder}/", "")[:500]
