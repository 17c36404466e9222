"""What a run leaves behind: this host before and after it, and its lab at the first and the last.

Written to ``residue.json`` of the run, one entry for each of its parts. Within a scenario it is the
check ``residue`` that looks, before the next revert.
"""

from __future__ import annotations

import contextlib
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import libvirt

from harness.checks.residue import DAEMON_S, process_differences
from harness.cluster.residue import residue
from harness.errors import HarnessError
from harness.evidence.clock import now_ns
from harness.evidence.files import read_json, write_json
from harness.evidence.witness import Witnesses
from harness.faults.undo import undo_open_faults
from harness.lab.host import PrivateHost
from harness.lab.machine import in_parallel
from harness.lab.traces import HOST_SECTIONS, host_traces, running_beside
from harness.waiting import wait_until

if TYPE_CHECKING:
    from harness.lab.lab import Lab
    from harness.lab.traces import Running, Traces

RESIDUE = "residue.json"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_END_S = 10.0  # processes of a lab that is removed end at once, but not in no time
# The witness services in the guests start again once their ports are read: a second or two in a
# guest, up to 15 s under emulation (residue.json of 27 runs, lab-events2.service).
_SETTLE_S = 60.0


class Leftovers:
    """Compares before and after, of one part of a run, in the run's folder."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / RESIDUE
        self._part: dict[str, Any] = {}
        self._earlier: list[dict[str, Any]] = []
        self._processes: list[Running] = []

    def before_the_lab(self) -> None:
        """Look at this host, on which there is no lab of this run yet."""
        told = read_json(self._path).get("parts")
        self._earlier = [part for part in told or [] if isinstance(part, dict)]
        self._part = {
            "started_ns": now_ns(),
            "boot_id": _BOOT_ID.read_text().strip(),
            "host": {"before": host_traces(), "after": None},
            "lab": {"before": None, "after": None},
            # None: nobody looked at the end, as the run was cut short or its lab is kept.
            "differences": None,
        }
        self._save()

    def with_the_lab(self, lab: Lab) -> None:
        """Look at the lab, in which nothing has been broken yet."""
        self._part["lab"]["before"] = residue(lab)
        self._save()

    def of_the_lab(self, lab: Lab, answer_s: float) -> None:
        """Look at the lab after its last scenario, back at the snapshot; it is removed next.

        Its guests may take ``answer_s`` seconds to answer after the revert.

        The first look was taken with the ports of the witnesses open. So is this one, as a service
        whose port nobody reads does not get beyond its shell.
        """
        streams = Witnesses(lab.streams(), lambda *_event: None)
        try:
            with contextlib.suppress(HarnessError, OSError, libvirt.libvirtError):
                undo_open_faults(lab)
                lab.revert()
                in_parallel(
                    {m.name: partial(m.guest.wait_ready, answer_s) for m in lab.machines.values()}
                )
            with contextlib.suppress(HarnessError):
                wait_until(
                    "the lab is as it was before", partial(self._settle, lab), deadline_s=_SETTLE_S
                )
        finally:
            streams.close()
        if isinstance(lab.host, PrivateHost):
            self._processes = running_beside(lab.host.pid)
        self._save()

    def of_the_host(self) -> None:
        """Look at this host after the lab was removed, and say what differs."""
        with contextlib.suppress(HarnessError):
            wait_until("the lab's processes ended", self._alive, deadline_s=_END_S)
        self._part["host"]["after"] = host_traces()
        before, after = self._host_before(), self._part["host"]["after"]
        told = [f"host: {text}" for text in changes(before, after)]
        told += [
            f"host: {section}: nobody could look"
            for section in HOST_SECTIONS
            if section not in before and section not in after
        ]
        if alive := self._alive():
            told.append(f"host: of the lab there still runs {alive}")
        self._part["differences"] = told + self._of_the_lab()
        self._save()

    def _settle(self, lab: Lab) -> str:
        """Look once more; what still differs."""
        self._part["lab"]["after"] = residue(lab)
        return "; ".join(self._of_the_lab())

    def _of_the_lab(self) -> list[str]:
        """What differs in the lab between the first look and the last."""
        before, after = self._part["lab"]["before"], self._part["lab"]["after"]
        if before is None or after is None:
            return []
        told = [f"{name}: does not answer" for name in sorted(before.keys() - after.keys())]
        told += [f"{name}: did not answer before" for name in sorted(after.keys() - before.keys())]
        return told + [
            f"{name}: {text}"
            for name in sorted(before.keys() & after.keys())
            for text in changes(before[name], after[name])
        ]

    def _host_before(self) -> Traces:
        """This host before the run's first part; before this one, where it has booted since."""
        first = self._earlier[0] if self._earlier else self._part
        if first.get("boot_id") != self._part["boot_id"]:
            first = self._part
        before = first["host"]["before"] if isinstance(first.get("host"), dict) else None
        return before if isinstance(before, dict) else self._part["host"]["before"]

    def _alive(self) -> str:
        return ", ".join(f"{one.name} ({one.pid})" for one in self._processes if one.alive())

    def _save(self) -> None:
        write_json(self._path, {"schema": 1, "parts": [*self._earlier, self._part]})


def changes(before: Traces, after: Traces) -> list[str]:
    """What is there now and was not, and the other way round, in words.

    Processes that live for less than half a minute come and go (see the check ``residue``).
    """
    told: list[str] = []
    for section in sorted(before.keys() ^ after.keys()):
        when = "before" if section in after else "at the end"
        told.append(f"{section}: nobody could look {when}")
    for section in sorted((before.keys() & after.keys()) - {"processes"}):
        there, here = (set(traces.get(section, [])) for traces in (before, after))
        told += [f"{section}: {text} is left over" for text in sorted(here - there)]
        told += [f"{section}: {text} is gone" for text in sorted(there - here)]
    if "processes" not in before or "processes" not in after:
        return told
    return told + process_differences(after["processes"], [before["processes"]], DAEMON_S)
