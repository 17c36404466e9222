"""One scenario on a lab: fork from the healthy snapshot, break, heal, collect, judge.

The evidence folder is made first and written to as things happen. Nothing here decides whether the
cluster behaved: that is for harness.checks, which reads the folder afterwards.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import time
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import libvirt

from harness.checks import ScenarioVerdict, Verdict, judge
from harness.cluster import sampling
from harness.cluster.form import view_missing
from harness.cluster.offline import read_replicas
from harness.cluster.residue import sample_residue
from harness.errors import DeadlineError, HarnessError, InconclusiveError
from harness.evidence.block_trace import TRACE_INSTANCE
from harness.evidence.clock import now_ns
from harness.evidence.livestate import Live
from harness.evidence.phases import Phase, marked
from harness.evidence.timeline import Channel, Event, TimelineWriter
from harness.evidence.witness import NONCE_MARK
from harness.faults.fault import BITE_DEADLINE_S, FaultRunner
from harness.faults.undo import undo_open_faults
from harness.lab.machine import in_parallel
from harness.lab.topology import BACKING_BYTES, LUN_OF, RESOURCES
from harness.progress import stage
from harness.settling import wait_whole
from harness.timing import bound_s
from harness.triggers import Triggers
from harness.waiting import wait_until
from harness.workload.files import check_file_system, check_files, write_files
from harness.workload.fio import FILE_JOB, RAW_JOBS, Job, Workload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from harness.faults.fault import Fault
    from harness.lab.lab import Lab
    from harness.lab.machine import Machine
    from harness.progress import Stage
    from harness.timing import Timing
    from harness.watching import LabWitnesses


# How often the initiator is asked whether fio still lives, while writes stand still, in seconds.
_ASK_FIO_S = 15.0
# How long a guest may take to answer after a revert, in seconds.
_ANSWER_S = 60.0
# A cluster that was not whole in time once is INVALID for it; so long it is given the next time.
_AGAIN_S = 60.0


@dataclass(slots=True)
class Expectations:
    """What a scenario says must happen; see ``expect`` in docs/evidence.md."""

    failovers: int = 0
    fencings: int = 0
    max_stall_s: float = 0.0
    active: str | None = None
    min_spanning_writes: int = 1000
    workload: bool = False
    fault: bool = False
    fenced: list[str] = field(default_factory=list)
    fewer_failovers: bool = False
    fewer_fencings: bool = False
    split_brain: dict[str, str] | None = None
    durable: str = "acknowledged"


@dataclass(slots=True)
class ScenarioInfo:
    """What is known about a scenario before it runs."""

    slug: str
    name: str
    feature: str
    tags: list[str]
    gherkin: list[str]
    reproduce: str


class Troubles:
    """What went wrong with the harness or the lab while something else went on all the same."""

    def __init__(self) -> None:
        self._first: HarnessError | None = None

    @contextlib.contextmanager
    def kept(self) -> Iterator[None]:
        """Keep what goes wrong inside; only the first is told in the end."""
        try:
            yield
        except HarnessError as error:
            self._first = self._first or error
        except (OSError, ValueError, libvirt.libvirtError) as error:
            self._first = self._first or HarnessError(f"{type(error).__name__}: {error}")

    def raise_first(self) -> None:
        """Raise the first trouble, if there was any."""
        if self._first is not None:
            raise self._first


class Scenario:
    """A scenario that is being run. ``fork`` first, ``finish`` at the end, ``close`` always."""

    def __init__(
        self,
        lab: Lab,
        witnesses: LabWitnesses,
        timing: Timing,
        folder: Path,
        info: ScenarioInfo,
        *,
        max_stall_s: float | None = None,
        injecting: bool = True,
    ) -> None:
        self.lab = lab
        self.timing = timing
        self.folder = folder
        self.info = info
        self.expect = Expectations()
        self.writer = TimelineWriter(folder / "timeline.jsonl")
        self.faults = FaultRunner(
            lab,
            self.writer,
            heal_deadline_s=timing.boot_deadline_s + timing.settle_deadline_s,
            injecting=injecting,
        )
        self.workload: Workload | None = None
        self.finished = False
        self._witnesses = witnesses
        self._user_max_stall_s = max_stall_s
        self._files: dict[str, str] = {}
        self.started_ns = now_ns()
        self._roles: dict[str, str] = {}
        self._seen: list[Event] = []
        self._judged: ScenarioVerdict | None = None
        self._touched = False
        self._unsettled = False
        self.live = Live()
        self.triggers = Triggers(self.writer)
        self._cancel = self.writer.subscribe(self._listen)
        self._save("running", None)

    # ------------------------------------------------------------------ before

    def fork(self) -> None:
        """Put the lab back to the healthy snapshot and start all witnesses afresh."""
        with marked(self.writer, Phase.REVERT):
            undo_open_faults(self.lab)
            self.lab.revert()
            self._witnesses.switch(self.writer)
            # Busy with what the revert upset (timers, sessions), a guest may not answer at once.
            in_parallel(
                {m.name: partial(m.guest.wait_ready, _ANSWER_S) for m in self.lab.machines.values()}
            )
        nonce = secrets.token_hex(8)
        self._send_nonce(nonce)
        self.measure_clocks()
        view = sampling.sample_cluster(self.lab, self.writer, "before")
        active = view.active_node if view is not None else None
        if active is None:
            raise HarnessError(
                "the snapshot's cluster has no active node after the revert",
                hint="harness run --fresh forms it anew",
            )
        assert view is not None
        sampling.sample_disks(self.lab, self.writer, "before")
        sample_residue(self.lab, self.writer, "before")
        if unwell := view_missing(view, [m.name for m in self.lab.nodes]):
            raise HarnessError(
                f"the snapshot's cluster is not healthy after the revert: {unwell}",
                hint="harness run --fresh forms it anew",
            )
        passive = self.lab.topology.peer(active).name
        self._roles = {"active": active, "passive": passive}
        self.wait_for(
            "nonces of all witness streams", partial(self._nonces_missing, nonce), deadline_s=60
        )

    def _send_nonce(self, nonce: str) -> None:
        """Send a nonce down every stream of every machine."""
        script = (
            f"echo {nonce} > /run/lab-nonce; echo '{NONCE_MARK}{nonce}' > /dev/kmsg; "
            f"logger -t lab '{NONCE_MARK}{nonce}'"
        )
        restart = "; systemctl restart lab-events2"
        mark = f"; echo '{NONCE_MARK}{nonce}' > {TRACE_INSTANCE}/trace_marker"
        in_parallel(
            {
                m.name: partial(
                    m.guest.run, script + (restart if m in self.lab.nodes else mark), timeout_s=90
                )
                for m in self.lab.machines.values()
            }
        )

    def _last_nonce(self) -> None:
        """Every stream has to carry a second nonce, else it had fallen silent: the judge looks."""
        nonce = f"end-{secrets.token_hex(8)}"
        try:
            self._send_nonce(nonce)
            self.wait_for("the last nonce", partial(self._nonces_missing, nonce), deadline_s=60)
        except HarnessError as error:
            self.writer.add("host", Channel.STATE, "no-last-nonce", {"text": error.message})

    def _nonces_missing(self, nonce: str) -> str:
        wanted = {
            (m.name, c)
            for m in self.lab.machines.values()
            for c in (Channel.CONSOLE, Channel.JOURNAL)
        }
        wanted |= {(m.name, Channel.EVENTS2) for m in self.lab.nodes}
        wanted.add((self.lab.initiator.name, Channel.BLOCK))
        got = {(e.source, e.channel) for e in self._seen if e.data.get("nonce") == nonce}
        return ", ".join(sorted(f"{name} {channel}" for name, channel in wanted - got))

    def measure_clocks(self) -> None:
        """Measure every guest's clock against the run's; one that does not answer is left out."""

        def measure(machine: Machine) -> None:
            try:
                offset, uncertainty = machine.guest.clock_offset(now_ns)
                boot_id = machine.guest.boot_id()
            except HarnessError:
                return
            data = {
                "node": machine.name,
                "boot_id": boot_id,
                "offset_ns": offset,
                "uncertainty_ns": uncertainty,
            }
            self.writer.add(machine.name, Channel.CLOCK, "offset", data)

        in_parallel({m.name: partial(measure, m) for m in self.lab.machines.values()})

    def node(self, word: str) -> str:
        """The node meant by ``alpha``, ``bravo``, ``active`` or ``passive`` (at the fork).

        Raises:
            HarnessError: it is none of these.
        """
        name = self._roles.get(word, word)
        if name not in {m.name for m in self.lab.machines.values()}:
            raise HarnessError(f"unknown node {word!r}", hint="alpha, bravo, active or passive")
        return name

    def start_workload(self, jobs: tuple[Job, ...] = (*RAW_JOBS, FILE_JOB)) -> None:
        """Write files of known content, then start fio and wait for its first writes."""
        self.expect.workload = True
        with marked(self.writer, Phase.LOAD):
            self._files = write_files(self.lab)
            self.workload = Workload(self.lab, jobs, self.writer)
            self._save("running", None)
            self.workload.start()

    def expectations(
        self,
        failovers: int,
        fencings: int,
        tcg_stall_s: float,
        kvm_stall_s: float,
        *,
        fewer_failovers: bool = False,
        fewer_fencings: bool = False,
    ) -> None:
        """Fix the expectations before anything is broken; a user's own bound wins."""
        self.expect.fewer_failovers = fewer_failovers
        self.expect.fewer_fencings = fewer_fencings
        bound = bound_s(self.timing, tcg=tcg_stall_s, kvm=kvm_stall_s)
        self.expect.failovers = failovers
        self.expect.fencings = fencings
        own = self._user_max_stall_s
        self.expect.max_stall_s = bound if own is None else own
        self._save("running", None)

    # ------------------------------------------------------------------ during

    def inject(self, fault: Fault) -> str:
        """Break something; returns the fault's id. Measures the reaction to a trigger, if any."""
        return self.inject_together([fault])[0]

    def inject_together(self, faults: Sequence[Fault]) -> list[str]:
        """Break several things at the same moment; returns the faults' ids."""
        self.expect.fault = self._touched = True
        pulled = self.triggers.take()
        ids = self.faults.inject_together(faults)
        if pulled is not None:
            self.triggers.reacted(pulled, ids[0], self.live.injected_ns)
        return ids

    def hold(self, seconds: float) -> None:
        """Let the faults last ``seconds`` more: the duration is part of the fault."""
        if self.faults.active:
            phase = Phase.FAULT
        else:
            phase = Phase.HEAL if self.expect.fault else Phase.LOAD
        with marked(self.writer, phase):
            time.sleep(seconds)
        self.triggers.forget()

    def order(self, machine: Machine, command: str, begun: Callable[[], str]) -> str:
        """Give an operator's order to a guest, and look for the proof that it is being obeyed.

        For what is no fault and hurts all the same. Like a fault's injection it is left out in a
        run without injecting, and the proof is not told.

        Args:
            begun: the proof in words; empty where there is none yet.

        Returns:
            the proof; empty if none was found in time.
        """
        self._touched = True
        with marked(self.writer, Phase.FAULT):
            if self.faults.injecting:
                machine.guest.run(command, check=False)
            deadline = time.monotonic() + BITE_DEADLINE_S
            while not (proof := begun()) and time.monotonic() < deadline:
                time.sleep(0.25)
        return proof

    def wait_for(self, what: str, missing: Any, deadline_s: float, interval_s: float = 0.2) -> None:
        """Wait for a state of the timeline; ``missing`` says what is still missing.

        Raises:
            DeadlineError: with what was missing.
        """
        wait_until(what, missing, deadline_s=deadline_s, interval_s=interval_s)

    def wait_writes_resume(self, deadline_s: float, writes: int = 100) -> None:
        """Wait until ``writes`` more writes of every raw LUN are done than were done now.

        Seen by the initiator's counters, which stream to the host: no node is asked. Writes that do
        not go on are a finding about the cluster, which the checks explain, not trouble of ours.

        Raises:
            AssertionError: they did not within ``deadline_s`` seconds, or fio ended by itself.
        """
        begun = self.live.progress.raw()

        def missing() -> str:
            now = self.live.progress.raw()
            late = [
                f"{lun} {done - begun.get(lun, (0, 0))[0]}/{writes}"
                for lun, (done, _bytes) in now.items()
                if done - begun.get(lun, (0, 0))[0] < writes
            ]
            return "writes of " + ", ".join(late) if late or not now else ""

        self.wait_written("the writes go on", missing, deadline_s)

    def wait_written(
        self,
        what: str,
        missing: Callable[[], str],
        deadline_s: float,
        most_s: float | None = None,
    ) -> None:
        """Wait for writes of the workload; ``missing`` says which have not come yet.

        Args:
            most_s: go on after so many seconds even if they have not come.

        Raises:
            AssertionError: not within ``deadline_s`` seconds, or fio ended by itself.
        """
        ask_again_at = time.monotonic() + _ASK_FIO_S

        def ask_fio() -> None:
            nonlocal ask_again_at
            if self.workload is not None and time.monotonic() > ask_again_at:
                # The initiator only: it is not under test, and a dead fio never writes again.
                ask_again_at = time.monotonic() + _ASK_FIO_S
                if ended := self.workload.ended():
                    raise AssertionError(ended)

        self.triggers.wait(
            what, missing, deadline_s, most_s=most_s, meanwhile=ask_fio, interval_s=0.2
        )

    def wait_met(self, resource: str, deadline_s: float) -> None:
        """Wait until the replicas of ``resource`` met: connected, or one refused and stands alone.

        Neither is trouble of ours, nor is that it takes too long: the checks say what it means.
        """
        nodes = [m.name for m in self.lab.nodes]

        def missing() -> str:
            states = {self.live.drbd.connection(node, resource) for node in nodes}
            met = "StandAlone" in states or states == {"Connected"}
            return "" if met else f"{resource} is {' and '.join(sorted(states))}"

        with contextlib.suppress(DeadlineError):
            self.wait_for(f"the replicas of {resource} met", missing, deadline_s)

    def wait_streamed(
        self, what: str, missing: Callable[[], str], most_s: float | None = None
    ) -> None:
        """Wait for what the nodes stream; ``missing`` says what has not been told yet.

        What never comes is a finding about the cluster, or a trigger that was not pulled; the
        checks judge what there is all the same.

        Args:
            most_s: go on after so many seconds even if it has not come.

        Raises:
            AssertionError: not within the stall's bound and the time to become whole again.
        """
        deadline_s = self.expect.max_stall_s + self.timing.settle_deadline_s
        self.triggers.wait(what, missing, deadline_s, most_s=most_s)

    def wait_asking(
        self, what: str, missing: Callable[[], str], most_s: float | None = None
    ) -> None:
        """As ``wait_streamed``, for what no stream tells: ``missing`` asks, twice a second."""
        deadline_s = self.expect.max_stall_s + self.timing.settle_deadline_s
        self.triggers.wait(what, missing, deadline_s, most_s=most_s, streamed=False, interval_s=0.5)

    def settle(self) -> str:
        """Wait until the cluster is whole again; returns what was missing at the deadline."""
        allowed_s = _AGAIN_S if self._unsettled else self.timing.settle_deadline_s
        self.triggers.forget()
        try:
            wait_whole(self.lab, self.live.drbd, self.timing, allowed_s)
        except DeadlineError as error:
            # A finding for the judge, not trouble of the harness.
            self._unsettled = True
            self.writer.add("host", Channel.STATE, "not-settled", {"text": error.message})
            return error.message
        return ""

    # ------------------------------------------------------------------- after

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

    # ----------------------------------------------------------------- private

    def _listen(self, event: Event) -> None:
        self.live.feed(event)
        if event.kind in ("nonce", "end-nonce"):
            self._seen.append(event)
        elif event.channel is Channel.STATE:
            self._judged = None
        self.triggers.look(event.t_ns)

    def _save(self, outcome: str, error: str | None) -> None:
        """Write scenario.json; by rename, so that a reader never finds half of it."""
        jobs = self.workload.jobs if self.workload is not None else ()
        data = {
            "slug": self.info.slug,
            "name": self.info.name,
            "feature": self.info.feature,
            "tags": self.info.tags,
            "started_ns": self.started_ns,
            "ended_ns": None if outcome == "running" else now_ns(),
            "outcome": outcome,
            "error": error,
            "touched": self._touched,
            "reproduce": self.info.reproduce,
            "gherkin": self.info.gherkin,
            "expect": asdict(self.expect),
            "jobs": [job.describe() for job in jobs],
            "luns": {
                lun: {"resource": resource, "bytes": BACKING_BYTES}
                for resource, lun in LUN_OF.items()
            },
            "nodes": [m.name for m in self.lab.nodes],
            "initiator": self.lab.initiator.name,
            "resources": list(RESOURCES),
            "vip": self.lab.topology.vip,
            "events": self.writer.written,
        }
        partial_path = self.folder / "scenario.json.new"
        partial_path.write_text(json.dumps(data, indent=1), encoding="utf-8")
        partial_path.rename(self.folder / "scenario.json")
