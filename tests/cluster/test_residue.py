"""What is asked of each guest, and how a cluster's configuration is compared."""

from __future__ import annotations

import re
import subprocess
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from harness.cluster.residue import CLOCK, properties, residue, sample_residue
from harness.errors import HarnessError
from harness.evidence.timeline import TimelineWriter, read_timeline
from harness.lab.topology import Role
from harness.lab.traces import LOOK

if TYPE_CHECKING:
    from pathlib import Path

# cibadmin -Q --scope configuration of pacemaker 2.1.5, shortened.
CIB = """\
<configuration>
  <crm_config>
    <cluster_property_set id="cib-bootstrap-options">
      <nvpair id="cib-bootstrap-options-stonith-enabled" name="stonith-enabled" value="true"/>
      <nvpair id="cib-bootstrap-options-last-lrm-refresh" name="last-lrm-refresh" value="1764"/>
    </cluster_property_set>
  </crm_config>
  <nodes>
    <node id="1" uname="alpha"><instance_attributes id="nodes-1">
      <nvpair id="nodes-1-standby" name="standby" value="on"/>
    </instance_attributes></node>
  </nodes>
  <constraints>
    <rsc_location rsc="msg" id="drbd-fence-by-handler-r0-msg">
      <rule role="Master" score="-INFINITY" id="drbd-fence-by-handler-r0-rule-msg"/>
    </rsc_location>
  </constraints>
</configuration>
"""


def test_options_and_constraints_are_plain_lines() -> None:
    assert properties(CIB) == [
        "cib-bootstrap-options-stonith-enabled: stonith-enabled=true",
        "drbd-fence-by-handler-r0-msg: rsc_location rsc=msg",
        "drbd-fence-by-handler-r0-rule-msg: rule role=Master score=-INFINITY",
        "nodes-1-standby: standby=on",
    ]


def test_a_cluster_manager_that_does_not_answer_is_a_difference() -> None:
    said = "cibadmin: Could not connect to the CIB API: Transport endpoint is not connected\n"
    assert properties(said) == [said.strip()]
    assert properties("") == []


class Guest:
    def __init__(self, *, answers: bool = True) -> None:
        self.asked: list[str] = []
        self._answers = answers

    def run(self, command: str, **_options: Any) -> SimpleNamespace:
        self.asked.append(command)
        if not self._answers:
            raise HarnessError("it does not answer")
        text = "== qdiscs\nqdisc noqueue 0: dev lo root refcnt 2\n"
        return SimpleNamespace(stdout=text + ("== properties\n" + CIB) * ("cibadmin" in command))


def lab(*silent: str) -> Any:
    roles = {"alpha": Role.NODE, "bravo": Role.NODE, "client": Role.INITIATOR}
    machines = {
        name: SimpleNamespace(
            name=name, plan=SimpleNamespace(role=role), guest=Guest(answers=name not in silent)
        )
        for name, role in roles.items()
    }
    host = SimpleNamespace(private=True, run=lambda *_command: "== rules\n== processes\n")
    return SimpleNamespace(machines=machines, host=host)


def test_a_cluster_manager_that_fails_is_not_looked_at() -> None:
    """A text that is the same before and after would be no difference."""
    said = "cibadmin: Could not connect to the CIB API\n== failed\n"
    there = lab()
    for machine in there.machines.values():
        machine.guest = SimpleNamespace(
            run=lambda _command, **_options: SimpleNamespace(
                stdout=f"== drbd\n== failed\n== rules\n== properties\n{said}"
            )
        )
    assert residue(there)["alpha"] == {"rules": []}


def test_how_fast_a_clock_runs_is_asked_of_the_kernel() -> None:
    """The question for real: whoever keeps this machine's time, the kernel tells its tick."""
    done = subprocess.run(["sh", "-c", LOOK + CLOCK], capture_output=True, text=True, check=True)
    assert re.fullmatch(r"== clock\nfrequency -?\d+ tick (9|10)\d{3}\n", done.stdout)


def test_every_guest_is_asked_once_and_the_cluster_only_of_nodes() -> None:
    there = lab()
    found = residue(there)
    assert list(found) == ["alpha", "bravo", "client", "lab"]
    assert found["alpha"]["properties"] == properties(CIB)
    assert "properties" not in found["client"]
    assert found["lab"] == {"rules": [], "processes": []}
    for machine in there.machines.values():
        (asked,) = machine.guest.asked
        assert "/run/lab-*" in asked
        assert asked.endswith("true"), "a folder that is not there is no failure"


def test_who_does_not_answer_is_left_out(tmp_path: Path) -> None:
    writer = TimelineWriter(tmp_path / "timeline.jsonl")
    sample_residue(lab("bravo"), writer, "after")
    events = read_timeline(writer.path)
    assert [(e.source, e.data["node"], e.data["when"]) for e in events] == [
        ("alpha", "alpha", "after"), ("client", "client", "after"), ("host", "lab", "after"),
    ]  # fmt: skip
    assert {e.data["what"] for e in events} == {"residue"}
