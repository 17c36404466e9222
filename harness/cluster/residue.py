"""What a fault could leave behind in a lab: asked of every guest, and beside the VMs.

One command for each guest, before anything is broken and after all is healed; what differs is for
harness.checks.residue. That has to be asked before the next revert, which hides all of it.
"""

from __future__ import annotations

import contextlib
import xml.etree.ElementTree as ET
from functools import partial
from typing import TYPE_CHECKING

from harness.cluster.form import MOUNT_POINT
from harness.cluster.sampling import add_sample
from harness.errors import HarnessError
from harness.lab.machine import in_parallel
from harness.lab.topology import Role
from harness.lab.traces import (
    ADDRESSES,
    PROCESSES,
    SCRIPT,
    lab_traces,
    parse_traces,
    sections,
)

if TYPE_CHECKING:
    from harness.evidence.timeline import TimelineWriter
    from harness.lab.lab import Lab
    from harness.lab.machine import Machine
    from harness.lab.traces import Traces

BESIDE = "lab"
"""Name of what is beside the VMs, where a machine's name stands otherwise."""

# Whatever faults put into a guest has "lab-" in its name.
_FILES = f"""\
echo '== files'
for f in /run/lab-* /var/.lab-* {MOUNT_POINT}/.lab-*; do if [ -e "$f" ]; then echo "$f"; fi; done
"""
# adjtimex(2) with modes 0 changes nothing: by how much the clock is made to run faster or slower.
# struct timex on 64 bits: freq is at byte 16, tick at 88.
CLOCK = """\
look clock python3 -I -S -c 'import ctypes, struct
t = ctypes.create_string_buffer(256)
if ctypes.CDLL(None).adjtimex(t) < 0: raise SystemExit(1)
print("frequency", *struct.unpack_from("q", t, 16), "tick", *struct.unpack_from("q", t, 88))'
"""
# drbdsetup(8): options as they are in force, which an operator or a fault may have set anew.
_OF_A_NODE = """\
look drbd drbdsetup show
look properties cibadmin -Q --scope configuration
"""
# Written by tools that ask Pacemaker to look anew, with the time: crm_resource(8), crmsh.
_TIME_STAMP = "last-lrm-refresh"


def sample_residue(lab: Lab, writer: TimelineWriter, when: str) -> None:
    """Sample ``residue`` of every guest and beside the VMs; who does not answer is left out."""
    for name, traces in residue(lab).items():
        add_sample(writer, "residue", when, name, traces)


def residue(lab: Lab) -> dict[str, Traces]:
    """By machine, and ``lab`` for what is beside the VMs."""
    found: dict[str, Traces] = {}

    def ask(machine: Machine) -> None:
        try:
            found[machine.name] = guest_traces(machine)
        except HarnessError:
            return

    in_parallel({machine.name: partial(ask, machine) for machine in lab.machines.values()})
    with contextlib.suppress(HarnessError):
        found[BESIDE] = lab_traces(lab.host)
    return dict(sorted(found.items()))


def guest_traces(machine: Machine) -> Traces:
    """What there is in one guest.

    Raises:
        HarnessError: it does not answer.
    """
    node = machine.plan.role is Role.NODE
    script = SCRIPT + ADDRESSES + PROCESSES + _FILES + CLOCK + (_OF_A_NODE if node else "")
    text = machine.guest.run(script + "true", timeout_s=90).stdout
    found = parse_traces(text)
    if "properties" in found:
        found["properties"] = properties("\n".join(sections(text)["properties"]))
    return found


def properties(text: str) -> list[str]:
    """A cluster's configuration (``cibadmin -Q --scope configuration``) as plain lines.

    Each option as ``id: name=value``, each constraint with its attributes. What is no XML stays as
    it is.
    """
    try:
        root = ET.fromstring(text)
    except (ET.ParseError, UnicodeError):
        return sorted(line.strip() for line in text.splitlines())
    found = [
        f"{pair.get('id')}: {pair.get('name')}={pair.get('value')}"
        for pair in root.iter("nvpair")
        if pair.get("name") != _TIME_STAMP
    ]
    for constraint in root.iterfind("constraints/*"):
        for one in constraint.iter():
            told = " ".join(f"{k}={v}" for k, v in sorted(one.attrib.items()) if k != "id")
            found.append(f"{one.get('id')}: {one.tag} {told}".strip())
    return sorted(found)
