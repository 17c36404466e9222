"""Going on with a run: what of it counts, what is run again, and what may be added to it at all.

A run may be made in parts, and be killed at any moment. Its parts are added up only where they are
of the same code, configuration, packages and kind of emulation. A scenario that was judged is done,
whatever the verdict: trying again until it is green would prove nothing. One that was cut short is
begun anew, and others are when that is asked for; what was judged of them still counts.
"""

from __future__ import annotations

import hashlib
import json
import time
from typing import TYPE_CHECKING, Any

from harness.checks.verdict import ScenarioVerdict, Verdict, VerdictError
from harness.errors import BadInputError
from harness.evidence.attempts import SUPERSEDED, cut_short
from harness.evidence.clock import now_ns
from harness.evidence.files import read_json
from harness.lab.guests import guest_names, load_guest
from harness.lab.paths import PROJECT

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

RUN = "run.json"

_NO_PART_OF_A_RESULT = (
    "harness/report", "harness/mutants", "harness/cli.py", "harness/commands", "harness/nightly",
    "harness/lint", "harness/cluster/lintable.py", "harness/points", "harness/explore",
    "harness/variants",
    # Starts runs as anybody would and reads their evidence afterwards: no verdict knows of it.
    "harness/qualify",
    # After the last verdict; and what of a run counts, where the hash itself is.
    "harness/leaving.py", "harness/resuming.py",
    # Which worker runs a scenario, and when: each has a lab, a cluster and a folder of its own.
    "harness/fleet",
    # Machines that Vagrant makes, and how the harness finds its way to them: no lab of its own uses
    # any of it. A run on such machines has a hash of these in its fact "host", so that its parts
    # are merged at the same code only, and never with those of another kind of lab.
    "harness/box", "harness/adopt", "vagrant/Vagrantfile", "vagrant/lab.rb", "vagrant/box",
    # What Vagrant keeps of its machines, beside the Vagrantfile.
    "vagrant/.vagrant",
    # Of a guest's profile only what its image is made of (below), not what is told of it: that
    # scenarios ran on it is written down after they did.
    "vagrant/guests",
)  # fmt: skip
# By folder: which files of it count. Beside what binds the features, scenarios/ holds what others
# are made with and what they found: a mutant is its own run's configuration, for one.
_PARTS = {"harness": "*", "features": "*", "scenarios": "*.py", "vagrant": "*"}
# Facts of run.json that all parts of a run have in common, and what they are called.
_SAME = {
    "code": "code",
    "accelerator": "accelerator",
    "host": "libvirt",
    "config": "configuration of the cluster",
    "timing": "timing",
    "versions": "versions of packages",
    "max_stall_s": "--max-stall",
    "injecting": "injection of faults",
}


_FEW = 4  # of what differs; the message is one line

# What only reads evidence. It can be changed and asked again of evidence that is there.
_JUDGING = ("harness/checks", "harness/history")
# A scenario that is written anew says nothing of the others' evidence. Each evidence folder has the
# text of its own, and is not judged again where that reads otherwise now (harness.report.texts).
_TEXTS = ("features",)
FEATURES = PROJECT / "features"
"""The scenarios that are here."""
CODES = PROJECT / "docs" / "ledgers" / "codes.json"
"""By code hash, the ``made_hash`` of that code: which evidence was made alike."""


def code_hash() -> str:
    """Hash of everything that a result depends on: results of other code are never merged.

    How results are shown and which are made when is not among it, nor what judges a configuration
    without running it, nor what a run as a whole is seen to have left behind: that is looked for
    when the last verdict has been given (what a fault left behind is the check ``residue``).
    """
    return _hash_without(_NO_PART_OF_A_RESULT)


def made_hash() -> str:
    """Hash of what evidence depends on: as ``code_hash`` but for what only reads evidence.

    Nor are the features among it: which scenario it is of, evidence says itself. A scenario is
    judged while it runs, too; that decides when it is called red, not what is written down of it.
    """
    return _hash_without((*_NO_PART_OF_A_RESULT, *_JUDGING, *_TEXTS))


def made_alike(code: str) -> bool:
    """Whether evidence that was made by code of this hash is such as this code makes."""
    return code == code_hash() or read_json(CODES).get(code) == made_hash()


def check_made_alike(folder: Path, code: str) -> None:
    """See to it that evidence in ``folder``, made by code of this hash, may be judged by this code.

    Raises:
        BadInputError: it is not such as this code makes.
    """
    if not made_alike(code):
        raise BadInputError(
            f"{folder}: its evidence was made by other code ({code}) than this",
            hint="docs/mutants.md: judging again",
        )


def _hash_without(parts: Collection[str]) -> str:
    digest = hashlib.sha256()
    apart = tuple(PROJECT / part for part in parts)
    for top, pattern in _PARTS.items():
        if top in parts:
            continue
        for path in sorted((PROJECT / top).rglob(pattern)):
            if any(path.is_relative_to(part) for part in apart):
                continue
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(str(path.relative_to(PROJECT)).encode() + b"\0" + path.read_bytes())
    for name in guest_names():
        digest.update(load_guest(name).digest().encode())
    return digest.hexdigest()[:16]


def check_code(folder: Path) -> None:
    """See to it that a run of this code may go on in ``folder``.

    Raises:
        BadInputError: the run there was made by other code, or cannot be read.
    """
    if (folder / RUN).exists() and read_json(folder / RUN).get("code") != code_hash():
        raise BadInputError(
            f"{folder} holds results of other code than this",
            hint="start a new run, or check out the code of that one",
        )


def check_mergeable(folder: Path, facts: dict[str, Any], *, apart: Collection[str] = ()) -> None:
    """See to it that a part with these facts (of run.json) may be added to the run in ``folder``.

    Args:
        apart: facts that may differ all the same.

    Raises:
        BadInputError: something differs that a result depends on.
    """
    if not (folder / RUN).exists():
        return
    before = read_json(folder / RUN)
    # As they come back from the disk.
    now = json.loads(json.dumps(facts))
    differing = [
        what
        for key, what in _SAME.items()
        if key not in apart and key != "versions" and before.get(key) != now.get(key)
    ]
    updated = [] if "versions" in apart else updates(before, now)
    if updated:
        differing.append(f"{_SAME['versions']} ({_few(updated)})")
    if differing:
        raise BadInputError(
            f"{folder} holds results with other {' and '.join(differing)}",
            hint="begin another run (harness nightly --anew puts this one aside), or make this "
            "part as that one was made",
        )


def updates(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What has another version than in a run that is to go on, one line each, by name.

    Packages of the host that no result is known to depend on may be others.

    Args:
        before: the run's run.json.
        now: the same facts as they are now.
    """
    lines: dict[str, str] = {}
    for there, here in (
        (before.get("versions"), now.get("versions")),
        (_guests(before), _guests(now)),
    ):
        was, is_now = (one if isinstance(one, dict) else {} for one in (there, here))
        for name in sorted(was.keys() | is_now.keys()):
            if was.get(name) != is_now.get(name):
                line = f"{name}: {was.get(name, 'none')} there, {is_now.get(name, 'none')} now"
                lines.setdefault(name, line)
    return list(lines.values())


def _guests(facts: dict[str, Any]) -> object:
    packages = facts.get("packages")
    return packages.get("guests") if isinstance(packages, dict) else None


def _few(lines: list[str]) -> str:
    more = [f"and {len(lines) - _FEW} more"] if len(lines) > _FEW else []
    return "; ".join([*lines[:_FEW], *more])


def put_run_aside(folder: Path) -> Path:
    """Rename a run that nothing can be added to any more, so that its name is free; where it is.

    Nothing of it is lost: its report, its evidence and its place in the trend stay.
    """
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    aside = folder.with_name(f"{folder.name}-until-{stamp}")
    folder.rename(aside)
    return aside


def make_room(folder: Path, facts: dict[str, Any]) -> str:
    """Put a run aside that was made with other versions of packages; why, in words, or nothing.

    An update of the host or of the guests must not end all further nights: at the same code they
    would go on with that run, which no part of theirs may be added to.

    Args:
        facts: ``versions`` and ``packages`` as they are now.
    """
    before = read_json(folder / RUN)
    updated = updates(before, facts) if before else []
    if not updated:
        return ""
    aside = put_run_aside(folder)
    return (
        f"{folder.name} was made with other versions of packages ({_few(updated)}): it is "
        f"{aside.name} now, and another run begins"
    )


def done_before(folder: Path, chosen: Collection[str], *, again: bool) -> set[str]:
    """Names of the scenarios that need not be run in ``folder`` again: those that were judged.

    Args:
        chosen: the scenarios that are wanted now.
        again: of these, run those again that were not VALID.
    """
    done = set()
    for name, evidence in by_name(folder):
        verdict = None if cut_short(evidence) else verdict_of(evidence)
        if verdict is Verdict.VALID or (verdict is not None and not (again and name in chosen)):
            done.add(name)
    return done


def set_aside(folder: Path, name: str) -> None:
    """Make room for a scenario that begins: earlier evidence of it goes below ``superseded/``.

    Nothing is lost: what was judged of it still counts, and the report tells of every attempt.
    """
    for known, evidence in by_name(folder):
        if known == name:
            put_aside(folder, evidence)


def set_aside_fragments(folder: Path) -> None:
    """The same for evidence of which not even the name is known: it was killed at its first step.

    A verdict without it would be kept where it is: that is damage, which the report has to show.
    """
    for evidence in sorted((folder / "evidence").glob("*/")):
        if not read_json(evidence / "scenario.json").get("name") and verdict_of(evidence) is None:
            put_aside(folder, evidence)


def set_aside_unknown(folder: Path, known: Collection[str]) -> None:
    """The same for all evidence but that in the folders ``known``: it was begun and not noted."""
    for evidence in sorted((folder / "evidence").glob("*/")):
        if evidence.name not in known:
            put_aside(folder, evidence)


def by_name(folder: Path) -> list[tuple[str, Path]]:
    """(name, folder) of all evidence of a run whose name is known."""
    found = []
    for path in sorted((folder / "evidence").glob("*/scenario.json")):
        name = read_json(path).get("name")
        if isinstance(name, str) and name:
            found.append((name, path.parent))
    return found


def verdict_of(evidence: Path) -> Verdict | None:
    """The verdict that was stored; None where there is none that can be read."""
    try:
        return ScenarioVerdict.load(evidence / "verdict.json").verdict
    except (OSError, VerdictError):
        return None


def put_aside(folder: Path, evidence: Path) -> None:
    """Move an evidence folder below ``superseded/`` of the run in ``folder``."""
    aside = folder / SUPERSEDED
    aside.mkdir(exist_ok=True)
    evidence.rename(aside / f"{evidence.name}-{now_ns()}")
