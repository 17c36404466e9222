"""Parts of a run's folder: each worker works in one of its own, as if it were a run.

``<run>/.workers/<started_ns>-gw0/`` has what a run's folder has (``run.json``, ``evidence/``,
``residue.json``), and ``part.json``: who works there. A worker holds a lock on its part until it
ends, whatever ends it, so that nobody takes away what is still being written.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from harness.errors import BadInputError, DeadlineError
from harness.evidence.files import read_json, write_json
from harness.lab.lease import is_held, try_lease
from harness.report.fleet import WORKERS
from harness.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from harness.lab.lease import Lease

PART = "part.json"
LOST = "lost.json"
"""In a part: why its worker could not go on, ``{"why": str, "host": bool, "code": int}``."""
LOG = "worker.log"
_LOCK = "worker.lock"
# A worker whose controller was killed interrupts itself after 5 s, and ends 10 s later, whatever
# it does (execnet's WorkerGateway).
_END_S = 60.0


@dataclass(frozen=True, slots=True)
class Part:
    """A worker's part of a run.

    Attributes:
        folder: where it works.
        worker: xdist's name of it.
        host: name of its host in the pool.
        slot: number of its slot there.
        began_ns: when the run, or the part of it that this worker is of, began.
    """

    folder: Path
    worker: str
    host: str
    slot: int
    began_ns: int

    @classmethod
    def make(cls, run: Path, worker: str, host: str, slot: int, now: tuple[int, int]) -> Part:
        """A new part of a run; ``now``: when the run began, and now, ns on its clock."""
        began_ns, now_ns = now
        part = cls(run / WORKERS / f"{now_ns}-{worker}", worker, host, slot, began_ns)
        part.folder.mkdir(parents=True)
        told = asdict(part) | {"folder": part.folder.name}
        write_json(part.folder / PART, told)
        return part

    @property
    def name(self) -> str:
        """Its folder's name; no two parts of a run have the same."""
        return self.folder.name

    @property
    def place(self) -> dict[str, Any]:
        """What is noted of it with all that was made there."""
        return {"worker": self.worker, "host": self.host, "slot": self.slot, "part": self.name}

    def lock(self) -> Lease | None:
        """Hold it, for as long as the worker lives; None if somebody does already."""
        return try_lease(self.folder / _LOCK)

    @property
    def pid(self) -> int:
        """Its worker's process, while that holds the part; else 0."""
        pid = read_json(self.folder / PART).get("pid")
        return pid if isinstance(pid, int) and self._held() else 0

    def wait_for_end(self, deadline_s: float = _END_S) -> bool:
        """Wait until its worker has ended; whether it did."""
        try:
            wait_until(f"{self.worker} ends", self._held, deadline_s=deadline_s)
        except DeadlineError:
            return False
        return True

    def _held(self) -> str:
        return "it still runs" if is_held(self.folder / _LOCK) else ""

    def lost(self) -> dict[str, Any]:
        """Why its worker could not go on; empty where it did not say."""
        return read_json(self.folder / LOST)


def parts_of(run: Path) -> list[Part]:
    """The parts of a run that were not gathered whole, the oldest first."""
    found = []
    for folder in sorted((run / WORKERS).glob("*/")):
        told = read_json(folder / PART)
        number = {key: told.get(key) for key in ("slot", "began_ns")}
        slot, began_ns = (value if isinstance(value, int) else 0 for value in number.values())
        worker, host = str(told.get("worker", "?")), str(told.get("host", "?"))
        found.append(Part(folder, worker, host, slot, began_ns))
    return found


def hold_run(run: Path) -> Lease:
    """Be the only one that hands out a run's scenarios.

    Raises:
        BadInputError: another process does.
    """
    lease = try_lease(run / WORKERS / "run.lock")
    if lease is None:
        raise BadInputError(
            f"{run} is being worked on by another process", hint="wait for it, or end it"
        )
    return lease
