"""What was promoted: never a replica that DRBD itself knew to be behind."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.checks.kernel import boots, kernel_messages, streams_judged
from harness.checks.registry import Finding, check, found

if TYPE_CHECKING:
    from harness.evidence.model import Evidence

_DISK = re.compile(r"(?:^|\s)disk\( (?P<old>\w+) -> (?P<new>\w+) \)")
# drbd_set_role() of drbd_nl.c (8.4): a promotion with --force.
_FORCED = "Forced to consider local data as UpToDate!"
# enum drbd_disk_state (drbd.h). Consistent becomes UpToDate by the promotion itself, once the
# peer is fenced or outdated.
_GOOD = ("UpToDate", "Consistent")


@check("outdated-promotion", "No outdated data was promoted")
def outdated_promotion(evidence: Evidence) -> Finding:
    """Whenever a node becomes Primary, its disk is UpToDate, or Consistent and then UpToDate.

    DRBD refuses to promote anything less unless it is forced, and says so. The state of the disk
    is the one that the promotion's own message tells, else that of the last message of the same
    boot; where no message told one, it is what it was before the fault, which ``healthy-start``
    judges. Texts: print_state_change() of drbd_state.c, drbd_set_role() of drbd_nl.c (8.4).
    """
    problems: list[str] = []
    refs: list[str] = []
    when: list[int] = []
    promotions = 0
    state: dict[tuple[str, str], str] = {}
    starts = sorted((seen.t_ns, node) for node in evidence.scenario.nodes
                    for seen in boots(evidence, node))  # fmt: skip
    for message in kernel_messages(evidence):
        while starts and starts[0][0] <= message.t_ns:
            _t_ns, node = starts.pop(0)
            state = {key: disk for key, disk in state.items() if key[0] != node}
        key = (message.node, message.resource)
        disk = _DISK.search(message.text)
        told = None
        if _FORCED in message.text:
            told = "promoted by force"
        elif message.new_role == "Primary":
            promotions += 1
            was = disk["old"] if disk else state.get(key, "UpToDate")
            if was not in _GOOD:
                told = f"promoted with a disk that was {was}"
        if told:
            problems.append(f"{message.resource}: {message.node} {told}")
            refs += message.refs
            when.append(message.t_ns)
        if disk:
            state[key] = disk["new"]
    return found(
        problems,
        expected="a disk that is UpToDate, or Consistent, at each promotion",
        fine=f"{promotions} promotions, each of good data",
        operations=streams_judged(evidence),
        when_ns=when,
        evidence=refs,
    )
