"""The beginning: fork from the snapshot, nonces through every witness, clocks, the workload."""

from __future__ import annotations

import secrets
from functools import partial
from typing import TYPE_CHECKING

from harness.cluster import sampling
from harness.cluster.form import view_missing
from harness.cluster.residue import sample_residue
from harness.errors import HarnessError
from harness.evidence.block_trace import TRACE_INSTANCE
from harness.evidence.clock import now_ns
from harness.evidence.phases import Phase, marked
from harness.evidence.timeline import Channel
from harness.evidence.witness import NONCE_MARK
from harness.faults.undo import undo_open_faults
from harness.lab.machine import in_parallel
from harness.scenario.waits import Waits
from harness.timing import bound_s
from harness.workload.files import write_files
from harness.workload.fio import FILE_JOB, RAW_JOBS, Job, Workload

if TYPE_CHECKING:
    from harness.lab.machine import Machine


class Beginning(Waits):
    """Puts the lab back to the healthy snapshot, and says what is expected."""

    def fork(self) -> None:
        """Put the lab back to the healthy snapshot and start all witnesses afresh."""
        with marked(self.writer, Phase.REVERT):
            undo_open_faults(self.lab)
            self.lab.revert()
            self._witnesses.switch(self.writer)
            # Busy with what the revert upset (timers, sessions), a guest may not answer at once.
            answer_s = self.timing.answer_deadline_s
            in_parallel(
                {m.name: partial(m.guest.wait_ready, answer_s) for m in self.lab.machines.values()}
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
