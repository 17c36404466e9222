"""A run on adopted machines: as any other, but that the lab is there before and after it."""

from __future__ import annotations

import hashlib
import shlex
from typing import TYPE_CHECKING

import pytest

from harness.adopt import SYSTEM
from harness.cluster.formed import qemu_version
from harness.errors import ExitCode
from harness.evidence.files import write_json, write_whole
from harness.lab.image import Image
from harness.lab.paths import PROJECT, VAGRANT
from harness.reporting import report
from harness.resuming import RUN
from harness.running import NO_MATCH, run_feature
from harness.session import LabSession, RunOptions
from harness.watching import LabWitnesses

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.adopt.lab import AdoptedLab
    from harness.adopt.plan import Plan

_CODE = (PROJECT / "harness" / "adopt", PROJECT / "harness" / "box", VAGRANT / "box")
_FILES = (VAGRANT / "Vagrantfile", VAGRANT / "lab.rb")


def adopting_hash() -> str:
    """Hash of what makes and finds such machines, which is no part of ``code_hash``."""
    digest = hashlib.sha256()
    for path in sorted([*_FILES, *(p for top in _CODE for p in top.rglob("*"))]):
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(str(path.relative_to(PROJECT)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


class AdoptedSession(LabSession):
    """One run.

    Args:
        options: of the run; its lab, accelerator and configuration are those of the machines.
        plan: what the machines were prepared as.
        attach: gives the lab.
    """

    def __init__(self, options: RunOptions, plan: Plan, attach: Callable[[], AdoptedLab]) -> None:
        super().__init__(options)
        self._plan = plan
        self._attach = attach

    def start(self) -> None:
        """Attach, and write down what the run is on.

        Raises:
            HarnessError: the machines are not what was prepared, or do not answer.
        """
        self._leftovers.before_the_lab()
        config = self._plan.cluster_config
        self.accelerator, self.timing = self._plan.accelerator, config.timing
        lab = self._attach()
        self.lab = lab
        # What they have, not what today's recipe would give them.
        asked = lab.nodes[0].guest.run("dpkg-query -W -f '${Package} ${Version}\\n'").stdout
        write_whole(lab.folder / "packages.txt", asked)
        told = config.model_dump(mode="json", exclude={"timing"})
        facts = self._facts(Image(lab.folder), told, qemu_version())
        facts["host"] = f"adopted {adopting_hash()}"
        self.witnesses = LabWitnesses(lab)
        self._leftovers.with_the_lab(lab)
        cluster = {"how": "adopted", "seconds": 0.0, "entry": ""}
        write_json(self.folder / RUN, self._in_parts(facts | {"cluster": cluster}))

    def _reproduce(self, name: str, file: Path | None) -> str:
        """The command that runs just this scenario again."""
        where = [] if self.options.connect in ("", SYSTEM) else ["--connect", self.options.connect]
        return shlex.join([".venv/bin/harness", "adopt", "--run", name, *where])


def run_adopted(session: AdoptedSession, suite: Path) -> int:
    """Run scenarios on the machines, report, and give the exit code.

    Raises:
        HarnessError: there is no lab.
        KeyboardInterrupt: the user ended it.
    """
    try:
        session.start()
        code = run_feature(session, suite)
    finally:
        session.close()
    if code == int(pytest.ExitCode.INTERRUPTED):
        raise KeyboardInterrupt
    if not (session.folder / "evidence").is_dir():
        print(NO_MATCH)
        return int(ExitCode.MISSING_ENVIRONMENT)
    meant = report(session.folder)
    # Every scenario that was begun has a verdict; pytest knows of those that were not.
    cut_short = meant == ExitCode.VALID and code != 0
    return int(ExitCode.HARNESS_ERROR if cut_short else meant)
