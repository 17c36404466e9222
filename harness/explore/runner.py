"""Runs one feature file after the other on one lab, each from the healthy snapshot."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import libvirt
import pytest

from harness.checks.verdict import ScenarioVerdict, Verdict, VerdictError
from harness.errors import HarnessError
from harness.evidence.files import read_json, write_json
from harness.progress import console
from harness.resuming import RUN
from harness.running import run_feature
from harness.session import LabSession

if TYPE_CHECKING:
    from pathlib import Path

    from harness.session import RunOptions

# So many scenarios in a row that could not be run are no accident.
_MOST_TROUBLES = 3


@dataclass(frozen=True, slots=True)
class Ran:
    """One feature file that was run.

    Attributes:
        evidence: its evidence folder.
        verdict: what was judged.
        seconds: how long it took, with the lab's start where it needed one.
    """

    evidence: Path
    verdict: ScenarioVerdict
    seconds: float


class Runner(Protocol):
    """Whatever can run a feature file of one scenario."""

    def run(self, feature: Path) -> Ran:
        """Run it and judge it.

        Raises:
            HarnessError: it could not be run at all.
        """

    def close(self) -> None:
        """Nothing more is run."""


class LabRunner:
    """Runs features on a lab of its own, which is started when the first one needs it.

    A lab on which the harness met trouble is thrown away: what follows begins on a new one.

    Args:
        options: of the run that all of them belong to; its ``folder`` is set.
    """

    def __init__(self, options: RunOptions) -> None:
        assert options.folder is not None
        self._options = options
        self._folder = options.folder
        self._session: LabSession | None = None
        self._troubles = 0

    def run(self, feature: Path) -> Ran:
        """Run a feature file on the lab.

        Raises:
            HarnessError: the lab does not come up, the file is no feature of one scenario, or
                several runs in a row ended in trouble of the harness.
            KeyboardInterrupt: the user ended it.
        """
        began = time.monotonic()
        session = self._session or self._start()
        before = self._folders()
        code = run_feature(session, feature)
        if code == int(pytest.ExitCode.INTERRUPTED):
            raise KeyboardInterrupt
        new = sorted(self._folders() - before)
        if len(new) != 1:
            raise HarnessError(
                f"{feature.name}: {len(new)} scenarios were run (pytest ended with {code})",
                hint="harness run --suite FILE --list says what is wrong with a feature",
            )
        evidence = self._folder / "evidence" / new[0]
        try:
            verdict = ScenarioVerdict.load(evidence / "verdict.json")
        except (OSError, VerdictError) as error:
            verdict = ScenarioVerdict(new[0], error=f"not judged: {error}")
        self._note_trouble(verdict)
        return Ran(evidence, verdict, time.monotonic() - began)

    def close(self) -> None:
        """End the lab, or keep it, as the options say."""
        if self._session is not None:
            session, self._session = self._session, None
            session.close()

    def _note_trouble(self, verdict: ScenarioVerdict) -> None:
        if verdict.error is None:
            self._troubles = 0
            return
        # A violation that was seen all the same is a finding; a cluster that is wrong on purpose
        # makes trouble again and again.
        self._troubles = 0 if verdict.verdict is Verdict.INVALID else self._troubles + 1
        if self._troubles >= _MOST_TROUBLES:
            raise HarnessError(
                f"{self._troubles} runs in a row could not be judged, the last one: "
                f"{verdict.error}",
                hint="harness doctor; what was seen is in the evidence folders",
            )
        if self._options.lab is None:
            console.print("• A new lab for what follows", markup=False)
            self.close()

    def _start(self) -> LabSession:
        session = LabSession(self._options)
        path = self._folder / RUN
        started = read_json(path).get("started_ns")
        try:
            session.start()
        except (libvirt.libvirtError, OSError, subprocess.SubprocessError) as error:
            session.close()
            raise HarnessError(f"the lab did not come up: {error}") from error
        except BaseException:
            session.close()
            raise
        if isinstance(started, int):
            # A later lab is of the same run: it began when the first one did.
            write_json(path, read_json(path) | {"started_ns": started})
        self._session = session
        return session

    def _folders(self) -> set[str]:
        root = self._folder / "evidence"
        return {path.name for path in root.iterdir()} if root.is_dir() else set()
