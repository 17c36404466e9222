"""The life of a fault: plan → inject → prove that it bit → … → heal → prove that it healed.

Every stage goes to the timeline when it happens. A fault that did not bite ends the scenario there
and then: nothing that follows could say anything of the cluster. The judge makes it INCONCLUSIVE.

A proof asks the machines, never the injection: whatever it compares with is looked up beforehand,
in ``prepare``. So that this is more than a promise, a whole run can be made in which nothing is
injected and all else is as ever (``harness run --without-injecting``): no proof may be found.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import libvirt

from harness.crashpoints import die_here_if_asked
from harness.errors import HarnessError, InconclusiveError
from harness.evidence.phases import Phase, marked
from harness.evidence.timeline import Channel, TimelineWriter
from harness.faults.journal import Undo, UndoJournal
from harness.lab.machine import in_parallel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.lab.lab import Lab


class Fault(ABC):
    """One way to break the lab.

    Attributes:
        kind: what it does, e.g. ``cut-carrier``.
    """

    kind: str

    @property
    @abstractmethod
    def target(self) -> str:
        """To what, in words, e.g. ``drbd link of alpha``."""

    @abstractmethod
    def undo(self) -> list[Undo]:
        """How to undo it, as data for the journal."""

    def prepare(self, lab: Lab) -> None:  # noqa: B027  (most need nothing)
        """Ask what has to be known beforehand, so that ``inject`` takes no time.

        What ``bitten`` compares with belongs here: it has to be right where nothing is injected.
        """

    @abstractmethod
    def inject(self, lab: Lab) -> None:
        """Break it."""

    @abstractmethod
    def bitten(self, lab: Lab) -> str:
        """The proof that it bit, in words; empty if there is none (yet).

        It has to come from the machines: nothing that ``inject`` notes may be one, or part of one.
        """

    @abstractmethod
    def heal(self, lab: Lab) -> None:
        """Undo it."""

    @abstractmethod
    def healed(self, lab: Lab) -> str:
        """The proof that it healed, in words; empty if there is none (yet)."""

    def facts(self) -> dict[str, str]:
        """More about the fault for the timeline, e.g. the machine that lost power."""
        return {}


@dataclass(slots=True)
class MachineFault(Fault):
    """A fault of one machine, which the judge is told of.

    Its roles may end here, and what its kernel says may be our doing.
    """

    machine: str

    @property
    def target(self) -> str:
        """The machine."""
        return self.machine

    def facts(self) -> dict[str, str]:
        """The machine, for the judge."""
        return {"machine": self.machine}


def needs_own_resource(lab: Lab, device: str) -> None:
    """What is broken of one device must not be that of others.

    Raises:
        HarnessError: the device shares its connection and its role with others.
    """
    if (volume := lab.topology.shape.name_of(device)) != device:
        raise HarnessError(
            f"{device} is {volume}: it has neither connection nor role of its own",
            hint="what breaks those of one device wants a resource for each (drbd.volumes = false)",
        )


# How long to look for the proof that something bit, in seconds.
BITE_DEADLINE_S = 45.0
# How long to look for the proof that a fault healed that never bit: there may be nothing to heal.
_NEVER_BITTEN_S = 15.0


class FaultRunner:
    """Injects and heals faults on one lab, with journal, proof and timeline.

    Args:
        bite_deadline_s, heal_deadline_s: how long to look for the proofs, in seconds.
        injecting: False leaves out every injection, and nothing else, to test the proofs.
    """

    def __init__(
        self,
        lab: Lab,
        writer: TimelineWriter,
        *,
        bite_deadline_s: float = BITE_DEADLINE_S,
        heal_deadline_s: float = 240.0,
        injecting: bool = True,
    ) -> None:
        self._lab = lab
        self._writer = writer
        self._journal = UndoJournal(lab.folder / "undo.jsonl")
        self._bite_deadline_s = bite_deadline_s
        self._heal_deadline_s = heal_deadline_s
        self.injecting = injecting
        self._active: dict[str, Fault] = {}
        self._bitten: set[str] = set()
        self._count = 0

    @property
    def active(self) -> dict[str, Fault]:
        """Faults that are injected and not healed, by id."""
        return dict(self._active)

    def inject(self, fault: Fault) -> str:
        """Inject and look for the proof that it bit; returns the fault's id.

        Raises:
            InconclusiveError: there is none.
        """
        return self.inject_together([fault])[0]

    def inject_together(self, faults: Sequence[Fault]) -> list[str]:
        """Inject several at the same moment, then look for each one's proof; returns their ids.

        Raises:
            InconclusiveError: one of them has none.
        """
        ids = []
        for fault in faults:
            self._count += 1
            fault_id = f"f{self._count}-{fault.kind}"
            self._journal.plan(fault_id, fault.undo())
            self._say("plan", fault_id, fault, "")
            ids.append(fault_id)
        die_here_if_asked("journal")
        for fault in faults:
            fault.prepare(self._lab)
        injections = {}
        for fault_id, fault in zip(ids, faults, strict=True):
            self._active[fault_id] = fault
            self._say("inject", fault_id, fault, "")
            injections[fault_id] = partial(fault.inject, self._lab)
        try:
            if not self.injecting:
                pass
            elif len(injections) == 1:
                # In this thread, so that Ctrl-C ends it.
                faults[0].inject(self._lab)
            else:
                in_parallel(injections)
        except Exception as error:
            for fault_id, fault in zip(ids, faults, strict=True):
                self._say("not-bitten", fault_id, fault, f"the injection failed: {error}")
            raise
        unproved = []
        for fault_id, fault in zip(ids, faults, strict=True):
            proof = self._look_for(fault.bitten, self._bite_deadline_s)
            kind = "bitten" if proof else "not-bitten"
            self._say(kind, fault_id, fault, proof or "no proof found")
            if proof:
                self._bitten.add(fault_id)
            else:
                unproved.append(f"{fault.kind} of {fault.target}")
        die_here_if_asked("fault")
        if unproved:
            raise InconclusiveError(f"did not bite: {'; '.join(unproved)}")
        return ids

    def heal(self, fault_id: str) -> None:
        """Heal one fault and look for the proof."""
        self.heal_together([fault_id])

    def heal_together(self, fault_ids: Sequence[str]) -> None:
        """Heal several at the same moment, then look for each one's proof."""
        faults = {fault_id: self._active[fault_id] for fault_id in fault_ids}
        with marked(self._writer, Phase.FAULT):
            for fault_id, fault in faults.items():
                self._still_bitten(fault_id, fault)
        for fault_id, fault in faults.items():
            self._say("heal", fault_id, fault, "")
        die_here_if_asked("heal")
        if len(faults) == 1:
            # In this thread, so that Ctrl-C ends it.
            self._heal(*next(iter(faults.items())))
        else:
            in_parallel({i: partial(self._heal, i, fault) for i, fault in faults.items()})
        for fault_id, fault in faults.items():
            bit = fault_id in self._bitten
            deadline_s = self._heal_deadline_s if bit else _NEVER_BITTEN_S
            proof = self._look_for(fault.healed, min(deadline_s, self._heal_deadline_s))
            kind = "healed" if proof else "not-healed"
            self._say(kind, fault_id, fault, proof or "no proof found")
            if proof:
                self._journal.done(fault_id)
            del self._active[fault_id]

    def _heal(self, fault_id: str, fault: Fault) -> None:
        try:
            fault.heal(self._lab)
        except (HarnessError, libvirt.libvirtError):
            # Of what never bit there may be nothing to take away. The journal stays open then, so
            # that what there was of it after all is undone before the next scenario.
            if fault_id in self._bitten:
                raise

    def _still_bitten(self, fault_id: str, fault: Fault) -> None:
        """Was it there until the end? A cut that ended by itself was shorter than it says."""
        try:
            proof = fault.bitten(self._lab)
        except (HarnessError, libvirt.libvirtError) as error:
            text = error.message if isinstance(error, HarnessError) else str(error)
            self._say("still-unknown", fault_id, fault, text)
            return
        self._say("still-bitten" if proof else "no-longer-bitten", fault_id, fault, proof)

    def heal_kind(self, kind: type[Fault]) -> int:
        """Heal every fault of this class, last first; returns how many there were."""
        own = [fault_id for fault_id, fault in self._active.items() if isinstance(fault, kind)]
        for fault_id in reversed(own):
            self.heal(fault_id)
        return len(own)

    def heal_all(self) -> None:
        """Heal whatever is still injected, last first."""
        for fault_id in reversed(list(self._active)):
            self.heal(fault_id)

    def _say(self, kind: str, fault_id: str, fault: Fault, proof: str) -> None:
        data = {"id": fault_id, "fault": fault.kind, "kind": fault.kind, "target": fault.target}
        self._writer.add("host", Channel.FAULT, kind, {**data, "proof": proof, **fault.facts()})

    def _look_for(self, proof: object, deadline_s: float) -> str:
        assert callable(proof)
        deadline = time.monotonic() + deadline_s
        while True:
            try:
                found = str(proof(self._lab))
            except (HarnessError, libvirt.libvirtError):
                found = ""
            if found or time.monotonic() > deadline:
                return found
            time.sleep(0.25)
