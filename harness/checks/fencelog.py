"""Fencings as Pacemaker reports them (journal, history) and as fence_virtd does them."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.checks.registry import CannotJudgeError, remember
from harness.evidence.timeline import Channel

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.evidence.model import Evidence, Sample, Seen

_SAME_OPERATION_NS = 30_000_000_000  # two nodes report one operation within this
POWER_ACTIONS = ("reboot", "off")

# remote_op_done() of pacemaker 2.1.x (daemons/fenced/fenced_remote.c); older ones say "on" for
# "by". A journal entry may keep the level ("notice: ") and the detail after " | ".
_OPERATION = re.compile(
    r"^(?:\s*(?:notice|info|warning|error): )?\s*Operation '(?P<action>[\w-]+)' "
    r"targeting (?P<target>[\w.-]+) (?:by|on) (?P<delegate>.{1,128}?) "
    r"for (?P<client>[^:\s]{1,256})(?P<merged> \(merged\))?: (?P<result>.{1,512}?)"
    r"(?: \| .*)?$"
)
_OK = re.compile(r"^OK(?: \(.*\))?$")
_FENCER_IDENTIFIERS = ("pacemaker-fenced", "stonith-ng")
# unpack.c and pcmk_sched_fencing.c of 2.1.x.
UNCLEAN = re.compile(r"(?:Cluster node|Node) (?P<node>[\w.-]+) (?:will be fenced\b|is unclean\b)")

_MEMBER = re.compile(r"\bNode (?P<node>[\w.-]+) state is now member\b")  # membership.c
_DEMOTE = re.compile(r"Initiating demote operation [\w.:-]+_demote_\d+ on (?P<node>[\w.-]+)")

# fence_virtd's libvirt backend (server/libvirt.c), before it touches the domain.
_POWER_ACTION = re.compile(r"ENTER libvirt_(?:reboot|off) (?P<domain>\S+) (?P<request>\d+)")


@dataclass(frozen=True, slots=True)
class FenceReport:
    """One fencing operation, as reported in a journal.

    Attributes:
        t_ns: earliest arrival on the host.
        reporter: the node in whose journal it stands (the earliest of them).
        success: whether the result is OK.
        stamps: (boot_id, monotonic_us) by reporting node.
        refs: where it stands in the timeline.
    """

    t_ns: int
    reporter: str
    action: str
    target: str
    client: str
    success: bool
    stamps: tuple[tuple[str, tuple[str, int]], ...]
    refs: tuple[str, ...]

    def stamp(self, node: str) -> tuple[str, int] | None:
        """(boot_id, monotonic_us) in the journal of ``node``."""
        return dict(self.stamps).get(node)


def parse_operation(message: str) -> tuple[str, str, str, bool, bool] | None:
    """(action, target, client, success, merged) of a fencer's line; None for other lines."""
    match = _OPERATION.match(message)
    if match is None:
        return None
    success = bool(_OK.match(match["result"]))
    return match["action"], match["target"], match["client"], success, bool(match["merged"])


@remember
def fence_reports(evidence: Evidence) -> list[FenceReport]:
    """Fencing operations that the journals report, each once, in order of arrival.

    Merged duplicates (a second client waiting for a running operation) are left out: they are
    not fencings of their own.
    """
    reports: list[FenceReport] = []
    for node in evidence.scenario.nodes:
        for seen in evidence.select(Channel.JOURNAL, "entry", source=node):
            if seen.text("identifier") not in _FENCER_IDENTIFIERS:
                continue
            parsed = parse_operation(seen.text("message"))
            if parsed is None or parsed[4] or parsed[0] not in POWER_ACTIONS:
                continue
            action, target, client, success, _ = parsed
            boot_id, monotonic = seen.text("boot_id"), seen.event.data.get("monotonic_us")
            stamp = ((node, (boot_id, monotonic)),) if isinstance(monotonic, int) else ()
            report = FenceReport(
                seen.t_ns, node, action, target, client, success, stamp, (seen.ref,)
            )
            _add(reports, report)
    return sorted(reports, key=lambda report: report.t_ns)


def _add(reports: list[FenceReport], new: FenceReport) -> None:
    for i, old in enumerate(reports):
        same = (old.action, old.target, old.client, old.success) == (
            new.action,
            new.target,
            new.client,
            new.success,
        )
        told = any(node == new.reporter for node, _ in old.stamps) or old.reporter == new.reporter
        if same and not told and abs(old.t_ns - new.t_ns) <= _SAME_OPERATION_NS:
            reports[i] = replace(
                old,
                t_ns=min(old.t_ns, new.t_ns),
                stamps=old.stamps + new.stamps,
                refs=old.refs + new.refs,
            )
            return
    reports.append(new)


def called_unclean_since(evidence: Evidence, peer: str, at_ns: int) -> int | None:
    """Since when (arrival, ns) Pacemaker calls ``peer`` unclean at ``at_ns``; None: it does not.

    Whoever schedules may say it again and again; the first time counts. ``Node PEER state is now
    member`` takes it back: the peer came back and told its state.
    """
    since: int | None = None
    words = [
        seen
        for seen in evidence.select(Channel.JOURNAL, "entry")
        if seen.source in evidence.scenario.nodes
        and seen.source != peer
        and seen.t_ns <= at_ns
        and seen.text("identifier").startswith("pacemaker-")
    ]
    for seen in words:
        message = seen.text("message")
        unclean, member = UNCLEAN.search(message), _MEMBER.search(message)
        if member and member["node"] == peer:
            since = None
        elif unclean and unclean["node"] == peer and since is None:
            since = seen.t_ns
    return since


def ordered_demotion(evidence: Evidence, peer: str, since_ns: int, until_ns: int) -> bool:
    """Whether another node's controller ordered ``peer`` to demote in between (arrivals, ns).

    What it has to do on an unclean node it does not order: fencing stands for it (pseudo actions of
    Pacemaker's scheduler). So whom it orders is clean for it again, and has answered it.
    """
    return any(
        order["node"] == peer
        for seen in evidence.select(Channel.JOURNAL, "entry")
        if seen.source in evidence.scenario.nodes
        and seen.source != peer
        and since_ns <= seen.t_ns <= until_ns
        and seen.text("identifier") == "pacemaker-controld"
        for order in [_DEMOTE.search(seen.text("message"))]
        if order
    )


def power_actions(evidence: Evidence) -> dict[str, list[Seen]]:
    """What fence_virtd was made to do to each node's power, from its log, each request once."""
    actions: dict[str, list[Seen]] = {node: [] for node in evidence.scenario.nodes}
    requests = set()
    for seen in evidence.select(Channel.FENCE):
        match = _POWER_ACTION.search(seen.text("text"))
        if match is None or match.groups() in requests:
            continue
        requests.add(match.groups())
        for node, of_node in actions.items():
            if match["domain"] == node or match["domain"].endswith(f"-{node}"):
                of_node.append(seen)
    return actions


def history_fencings(before: Iterable[Sample], after: Iterable[Sample]) -> Counter[str]:
    """Who was fenced how often, by Pacemaker's history: after minus before.

    Each operation is counted once, however many nodes know of it.

    Raises:
        CannotJudgeError: a sample is not a fence history.
    """
    new = _operations(after)
    new.subtract(_operations(before))
    targets: Counter[str] = Counter()
    for (target, *_), count in new.items():
        targets[target] += max(count, 0)
    return +targets


def _operations(samples: Iterable[Sample]) -> Counter[tuple[str, ...]]:
    union: Counter[tuple[str, ...]] = Counter()
    for sample in samples:
        if not isinstance(sample.value, list):
            raise CannotJudgeError(f"{sample.seen.ref}: not a fence history")
        here: Counter[tuple[str, ...]] = Counter()
        for entry in sample.value:
            if not isinstance(entry, dict) or not isinstance(entry.get("target"), str):
                raise CannotJudgeError(f"{sample.seen.ref}: not a fence history entry")
            if entry.get("state") == "success" and entry.get("action") in POWER_ACTIONS:
                keys = ("target", "action", "client", "completed")
                here[tuple(str(entry.get(key)) for key in keys)] += 1
        union |= here
    return union
