"""The reference configuration's files, to change one thing in."""

from __future__ import annotations

import functools
from pathlib import Path

from harness.cluster.config import ClusterConfig
from harness.cluster.lintable import configured_files
from harness.lint import ALL_RULES, Found, Outcome, cluster_of
from harness.lint.folder import ABSENT, Files
from harness.timing import PROFILES

FIXTURES = Path(__file__).parent / "fixtures"


def fixture(name: str) -> str:
    """A file as a real program wrote it (fixtures/ORIGIN.md)."""
    return (FIXTURES / name).read_text(encoding="utf-8")


@functools.cache
def _reference(profile: str) -> Files:
    return configured_files(ClusterConfig(timing=PROFILES[profile]))


def reference(profile: str = "tcg") -> Files:
    """A copy to change, with the timeouts of such guests."""
    return {machine: dict(own) for machine, own in _reference(profile).items()}


def edit(files: Files, name: str, old: str, new: str, *machines: str) -> None:
    """Replace in a file of some machines (all that have it); it has to be there."""
    changed = 0
    for machine in machines or tuple(files):
        content = files[machine].get(name, b"").decode()
        if old in content:
            files[machine][name] = content.replace(old, new).encode()
            changed += 1
    assert changed, f"{old!r} is in no {name}"


def add(files: Files, name: str, content: str, *machines: str) -> None:
    for machine in machines:
        files[machine][name] = content.encode()
        gone = [n for n in files[machine][ABSENT].decode().split() if not name.startswith(n)]
        files[machine][ABSENT] = "".join(f"{n}\n" for n in gone).encode()


def lay_out(files: Files, folder: Path) -> Path:
    """Write the files as ``harness lint --from`` takes them; the folder."""
    for machine, own in files.items():
        for name, content in own.items():
            path = folder / machine / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    return folder


def outcome(files: Files, rule: str) -> Outcome:
    return ALL_RULES[rule].run(cluster_of(files))


def found(files: Files, rule: str) -> tuple[Found, ...]:
    return outcome(files, rule).found
