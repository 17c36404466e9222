"""What is done to the cluster while it serves: faults, and an operator's orders."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from harness.evidence.phases import Phase, marked
from harness.faults.fault import BITE_DEADLINE_S
from harness.scenario.core import Core

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from harness.faults.fault import Fault
    from harness.lab.machine import Machine


class Doing(Core):
    """Breaks things, lets time pass, gives orders."""

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
