"""The end: heal, let the cluster settle, collect what is only on the guests, and judge."""

from __future__ import annotations

import contextlib
from functools import partial
from typing import TYPE_CHECKING

from harness.checks import ScenarioVerdict, Verdict, judge
from harness.cluster import sampling
from harness.cluster.offline import read_replicas
from harness.cluster.residue import sample_residue
from harness.errors import HarnessError, InconclusiveError
from harness.evidence.phases import Phase, marked
from harness.evidence.timeline import Channel
from harness.progress import stage
from harness.scenario.beginning import Beginning
from harness.scenario.troubles import Troubles
from harness.workload.files import check_file_system, check_files

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.progress import Stage


class Ending(Beginning):
    """Ends a scenario, whatever became of it; the last nonces are sent as the first ones were."""

    def finish(self) -> None:
        """Heal, let the cluster settle, stop the workload, collect everything; once."""
        if self.finished:
            return
        self.finished = True
        trouble = Troubles()
        with (
            stage("Heal, let the last writes land, and wait until the cluster is whole") as now,
            marked(self.writer, Phase.HEAL),
        ):
            self._calm(now, trouble)
        with (
            stage("Read fio's logs, the files, both replicas and the last state") as now,
            marked(self.writer, Phase.VERIFICATION),
        ):
            self._collect(now, trouble)
        # A node that does not come back, say: what can be read is worth most just then.
        trouble.raise_first()
        self._save("finished", None)

    def _calm(self, now: Stage, trouble: Troubles) -> None:
        """Heal, stop the workload, let the cluster settle; each whatever became of the others."""
        for fault_id in reversed(list(self.faults.active)):
            with trouble.kept():
                self.faults.heal(fault_id)
        if self.workload is not None:
            # Some writes have to be acknowledged after the heal; then the initiator rests, which
            # lets emulated nodes settle sooner.
            now.note("fio ends")
            with trouble.kept(), contextlib.suppress(AssertionError):
                self.wait_writes_resume(self.timing.replacement_timeout_s, 20)
            with marked(self.writer, Phase.VERIFICATION):
                with trouble.kept():
                    self.workload.stop(self.timing.replacement_timeout_s)
                with trouble.kept():
                    self.measure_clocks()
        now.note("both nodes are whole again")
        for machine in self.lab.nodes:
            with trouble.kept():
                machine.guest.wait_ready(self.timing.boot_deadline_s)
        with trouble.kept():
            self.settle()

    def _collect(self, now: Stage, trouble: Troubles) -> None:
        """Fetch what is only on the guests, each thing for itself.

        Files and replicas only when the writes have ended: they would tell of a moment that
        nobody chose.
        """
        quiet = self.workload is None or not (self.workload.running or self.workload.stuck)
        # Before the file system is taken away to be checked, and long before a revert hides it.
        parts: dict[str, Callable[[], None]] = {
            "what is left": partial(sample_residue, self.lab, self.writer, "after")
        }
        if self.workload is not None:
            parts["fio's logs"] = partial(self.workload.collect, self.folder)
            if quiet:
                parts["file system"] = self._sample_files
        parts["last state"] = self._last_state
        if self.workload is None or not self.workload.running:
            parts["replicas"] = self._replicas
        parts["last nonces"] = self._last_nonce
        for what, part in parts.items():
            now.note(what)
            with trouble.kept():
                part()

    def _sample_files(self) -> None:
        fsck = check_file_system(self.lab)
        sampling.add_sample(self.writer, "fsck", "after", "client", fsck)
        files = check_files(self.lab, self._files)
        sampling.add_sample(self.writer, "files", "after", "client", files)

    def _last_state(self) -> None:
        sampling.sample_cluster(self.lab, self.writer, "after")
        sampling.sample_disks(self.lab, self.writer, "after")

    def _replicas(self) -> None:
        try:
            read_replicas(self.lab, self.folder)
        except HarnessError as error:
            # The judge finds the files missing and says so.
            self.writer.add("host", Channel.STATE, "replicas-unread", {"text": str(error)})

    def require(self, slugs: tuple[str, ...]) -> None:
        """Judge what was seen so far by these checks.

        Raises:
            AssertionError: one of them is INVALID, with expected and seen.
            InconclusiveError: one could not be judged, or was not run.
        """
        self.finish()
        results = {result.check: result for result in self._judge().checks}
        bad: list[str] = []
        unclear: list[str] = []
        for slug in slugs:
            result = results.get(slug)
            if result is None:
                unclear.append(f"{slug} was not run")
            elif result.verdict is not Verdict.VALID:
                text = f"{result.title}: expected {result.expected}; seen {result.seen}"
                (bad if result.verdict is Verdict.INVALID else unclear).append(text)
        if bad:
            raise AssertionError("\n".join(bad))
        if unclear:
            raise InconclusiveError("; ".join(unclear))

    def _judge(self) -> ScenarioVerdict:
        """The verdict on what there is; the same again as long as nothing was sampled since.

        Each ``Then`` asks, and judging a long scenario takes seconds. At the scenario's end it is
        judged anew in any case.
        """
        if self._judged is None:
            with marked(self.writer, Phase.VERIFICATION):
                self._judged = judge(self.folder)
        return self._judged

    def close(self, error: str | None = None) -> None:
        """End the evidence, whatever happened; ``error`` is trouble of the harness's own."""
        if error is not None:
            self._save("error", error)
        for machine in self.lab.machines.values():
            log = self.lab.folder / "console" / f"{machine.name}.log"
            target = self.folder / "console" / f"{machine.name}.log"
            target.parent.mkdir(exist_ok=True)
            if log.exists():
                # The serial log goes on over all scenarios: its last 512 KiB are enough here.
                with log.open("rb") as file:
                    file.seek(max(0, log.stat().st_size - (1 << 19)))
                    target.write_bytes(file.read())
        self._cancel()
        self._witnesses.switch(None)
        self.writer.close()
