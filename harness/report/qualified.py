"""Whether the host of a run is a qualified one (docs/qualifying.md): the stamp, and words for it.

``harness qualify`` keeps a stamp for each kind of emulation in the cache of its host. The commands
that run something put what is valid there into the run's folder (``qualification.json``), and a
report tells of what lies in the folder: written elsewhere, it tells the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from harness.evidence.files import read_json
from harness.report.fleet import clusters_at_once
from harness.report.text import date, one_line

if TYPE_CHECKING:
    from pathlib import Path

NOTED = "qualification.json"
"""In a run's folder: what was known of its host when it was begun, or went on."""

Kind = Literal["kvm", "tcg"]
_Word = Annotated[str, Field(max_length=400)]
_Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_MOST = 3  # reasons that are told where there is room for one line
_PRIVATE = "private"


class _Stored(BaseModel):
    model_config = ConfigDict(
        frozen=True, strict=True, extra="forbid", use_attribute_docstrings=True
    )


class Fingerprint(_Stored):
    """What a host is, as far as timing and emulation depend on it; no name and no address."""

    cpu: _Word
    """The processor's model."""
    cores: int
    """Logical processors that are there."""
    memory_gib: int
    """Rounded: what a kernel keeps for itself differs from boot to boot."""
    virtual: bool
    """It is a virtual machine itself."""
    kernel: _Word
    qemu: _Word
    libvirt: _Word

    def differing(self, other: Fingerprint) -> list[str]:
        """What is not as it was on ``other``, in words."""
        return [
            f"{name}: {getattr(self, name)}, then {getattr(other, name)}"
            for name in type(self).model_fields
            if getattr(self, name) != getattr(other, name)
        ]


class Part(_Stored):
    """One part of a qualification."""

    name: Literal["doctor", "scenarios", "mutants", "calibration"]
    passed: bool
    said: tuple[_Word, ...]
    """What came of it, one line each."""


Outcome = Literal["enough", "small", "ran out", "silent", "missing", "not measured"]


class Margin(_Stored):
    """One class of timeout: what it allows, against what was measured on the host."""

    name: _Word
    outcome: Outcome
    """``silent``: it is only told where it is late, and never was. ``missing``: the scenarios have
    it, and nothing of it was told. ``not measured``: nothing in them measures it."""
    allowed_s: _Seconds | None
    """By the timing profile, in seconds; null where nothing was measured that it stands against."""
    measured_s: _Seconds | None
    """The longest, or what came nearest to what is allowed."""
    margin: _Seconds | None
    """Allowed divided by measured; at least that where it is ``silent``."""
    required: _Seconds
    """The least margin that is enough."""
    count: int
    """How often it was measured."""
    where: _Word
    """Scenario and line of its timeline."""
    said: _Word

    @property
    def bad(self) -> bool:
        """Whether the host is not qualified for it."""
        return self.outcome in ("small", "ran out", "missing")


class Before(_Stored):
    """An earlier qualification of the same host."""

    when_ns: int
    code: _Word
    qualified: bool


class Stamp(_Stored):
    """What a qualification came to."""

    format: Literal["failover-harness qualification"] = "failover-harness qualification"
    schema_version: Literal[1] = 1
    when_ns: int
    """Its end, ns since the epoch."""
    seconds: _Seconds
    """From its begin to its end; with interruptions, all of them."""
    code: _Word
    """Hash of everything that a result depends on."""
    made: _Word
    """Hash of what evidence depends on."""
    accelerator: Kind
    proof: Literal["kernel", "boot sector", "none"]
    """What was booted under KVM to see whether it truly works."""
    timing: _Word
    """Name of the timing profile."""
    host: Fingerprint
    parts: tuple[Part, ...]
    margins: tuple[Margin, ...]
    failover: dict[_Word, _Seconds]
    """The longest that each phase of a failover took, in seconds; nothing is judged by it."""
    qualified: bool
    why_not: tuple[_Word, ...]
    before: tuple[Before, ...]
    """Earlier ones of this host with this accelerator, the oldest first."""

    @model_validator(mode="after")
    def _why_if_not(self) -> Self:
        if self.qualified is bool(self.why_not):
            raise ValueError("a host is qualified exactly if nothing says why not")
        return self


class Noted(_Stored):
    """``qualification.json``."""

    schema_version: Literal[1] = 1
    host: Fingerprint
    """The host as it was when the run was begun, or went on."""
    stamps: tuple[Stamp, ...]
    """Those that are valid for it, by kind of emulation."""
    changed: dict[Kind, tuple[_Word, ...]]
    """Where there is a stamp that is not: what has changed since."""


class Told(_Stored):
    """What a report tells of the host's qualification."""

    state: Literal["qualified", "not qualified", "changed", "never", "unreadable"]
    text: str
    """One line."""
    stamp: Stamp | None = None
    same_code: bool = False
    """The stamp is of the same code as the run."""


def qualification(run_folder: Path) -> Told | None:
    """What lies in a run's folder of its host's qualification; None where nobody noted anything.

    A run that was begun without the command (pytest by itself), or before there was such a thing.
    """
    if not (run_folder / NOTED).exists():
        return None
    try:
        noted = Noted.model_validate_json((run_folder / NOTED).read_bytes())
    except (OSError, ValidationError) as error:
        first = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        return Told(state="unreadable", text=one_line(f"not known: {NOTED}: {first}"))
    run = read_json(run_folder / "run.json")
    kind = run.get("accelerator")
    for stamp in noted.stamps:
        if stamp.accelerator == kind:
            return _told(stamp, run, _unlike(run_folder, run.get("host")))
    if changes := noted.changed.get("kvm" if kind == "kvm" else "tcg"):
        text = f"has changed since it was qualified (harness qualify): {'; '.join(changes)}"
        return Told(state="changed", text=one_line(text, 400))
    other = f"; it was with {noted.stamps[0].accelerator.upper()}" if noted.stamps else ""
    kinds = f" with {str(kind).upper()}" if noted.stamps and kind in ("kvm", "tcg") else ""
    return Told(state="never", text=f"has not been qualified{kinds} (harness qualify){other}")


def qualification_line(run_folder: Path) -> str:
    """The same as a sentence; empty where nobody noted anything."""
    told = qualification(run_folder)
    if told is None:
        return ""
    verb = {"qualified": "was ", "not qualified": "is ", "unreadable": "is "}.get(told.state, "")
    return f"This host {verb}{told.text}"


def _told(stamp: Stamp, run: dict[str, Any], unlike: list[str]) -> Told:
    same = stamp.code == run.get("code")
    of_code = "this run's code" if same else f"code {stamp.code}, other code than this run's"
    if not stamp.qualified:
        why = "; ".join(stamp.why_not[:_MOST])
        more = f"; and {len(stamp.why_not) - _MOST} more" if len(stamp.why_not) > _MOST else ""
        text = f"not qualified ({date(stamp.when_ns)}, {of_code}): {why}{more}"
        return Told(state="not qualified", text=one_line(text, 600), stamp=stamp, same_code=same)
    failed = sum(not one.qualified and one.code == stamp.code for one in stamp.before)
    tries = f", at attempt {failed + 1} with that code" if failed else ""
    begun_ns = run.get("started_ns")
    if isinstance(begun_ns, int) and begun_ns < stamp.when_ns:
        tries += ", after this run was begun"
    apart = f"; it was {' and '.join(unlike)}" if unlike else ""
    text = f"qualified on {date(stamp.when_ns)} with {of_code}{tries}{apart}"
    return Told(state="qualified", text=one_line(text, 600), stamp=stamp, same_code=same)


def _unlike(run_folder: Path, host: object) -> list[str]:
    """How a run differs from what a host is qualified with, where that matters to timing."""
    unlike = []
    if isinstance(host, str) and set(host.split(", ")) != {_PRIVATE}:
        unlike.append(f"with a private lab, and this run's was on {host}")
    if clusters_at_once(run_folder):
        unlike.append("with one cluster at a time, and this run had several")
    return unlike
