"""What took how long on this host, from the evidence of scenarios: pure functions.

Each gives what a timeout of the timing profile stands against. What a fault itself keeps waiting
(a fence device that is made slow) is no measure of a host, and is left out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.checks.verdict import ScenarioVerdict, VerdictError
from harness.evidence.phases import Phase
from harness.evidence.timeline import Channel

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from harness.evidence.model import Evidence, Seen

# pacemaker-controld 2.1: controld_execd.c, do_lrm_rsc_op() and log_executor_event().
_ASKED = re.compile(r"Requesting local execution of (?P<op>\w+) operation for (?P<id>\S+) on \S+")
_RESULT = re.compile(r"Result of (?P<op>\w+) operation for (?P<id>\S+) on \S+: (?P<how>.+)")
# drbd 8.4: drbd_nl.c, conn_khelper().
_HELPER = re.compile(
    r"drbd (?P<resource>\S+): helper command: \S+ fence-peer \S+(?P<ended> exit code \d+)?"
)
# open-iscsi 2.1: the kernel's iscsi_conn_error_event() and session_recovery_timedout(), iscsid's
# session_conn_recovered().
_CONNECTION_LOST = re.compile(r"connection\d+:\d+: detected conn error")
_CONNECTION_BACK = re.compile(r"connection\d+:\d+ is operational after recovery")
_GIVEN_UP = re.compile(r"session\d+: session recovery timed out after")
_LISTENING = re.compile(r"^Server listening on ")
# corosync 3.1: main.c and totemsrp.c. It warns when three quarters of the token's time are over.
_NOT_SCHEDULED = re.compile(r"not scheduled (?:\(@\d+\) )?for (?P<ms>[\d.]+) ms")
_STARTING = re.compile(r"Corosync Cluster Engine \S+ starting up")
_MEMBER = re.compile(r"A new membership \(\S+\) was formed")
_LATE = re.compile(r"Token has not been received in (?P<ms>\d+) ms")
_TIMED_OUT = re.compile(r"token timed out \((?P<ms>\d+)ms\)")
_NO_PING_ACK = re.compile(r"PingAck did not arrive in time")
# A membership forms anew, and a node's own backlog of journal entries is told, for so long after
# a fault has healed.
_AFTER_NS = 15_000_000_000


@dataclass(frozen=True, slots=True)
class Took:
    """Something that a timeout stands against, and how long it took.

    Attributes:
        seconds: of its whole time.
        where: scenario and place in its evidence.
        over: a timeout ran out on it, so that ``seconds`` may be less than it would have taken.
        allowed_s: what is allowed in this place, where that is not the profile's to say.
    """

    seconds: float
    where: str
    over: bool = False
    allowed_s: float | None = None


@dataclass(frozen=True, slots=True)
class Broken:
    """While something was broken, ns on the run's clock.

    A fault from its injection until it had healed; a machine that was off (``down``), whoever did
    that, from its stop until its start.
    """

    kind: str
    machine: str
    from_ns: int
    to_ns: int


def broken(evidence: Evidence) -> list[Broken]:
    """What was broken in a scenario, by its beginning; what never healed lasts to the end."""
    open_ones: dict[str, Seen] = {}
    found = []

    def ended(begun: Seen, t_ns: int) -> None:
        found.append(Broken(begun.text("kind"), begun.text("machine"), begun.t_ns, t_ns))

    for seen in evidence.select(Channel.FAULT):
        if seen.event.kind == "inject":
            open_ones[seen.text("id")] = seen
        elif seen.event.kind == "healed" and (begun := open_ones.pop(seen.text("id"), None)):
            ended(begun, seen.t_ns)
    for begun in open_ones.values():
        ended(begun, evidence.end_ns)
    return sorted([*found, *_down(evidence)], key=lambda one: one.from_ns)


def _down(evidence: Evidence) -> Iterator[Broken]:
    """While machines were off: a node that was fenced leaves its peer without a token as well."""
    since: dict[str, int] = {}
    for seen in evidence.select(Channel.DOMAIN, "lifecycle"):
        if seen.text("event") in ("stopped", "crashed"):
            since.setdefault(seen.source, seen.t_ns)
        elif seen.text("event") == "started" and seen.source in since:
            yield Broken("down", seen.source, since.pop(seen.source), seen.t_ns)
    for machine, from_ns in since.items():
        yield Broken("down", machine, from_ns, evidence.end_ns)


def operations(evidence: Evidence, names: Collection[str], but: str = "") -> list[Took]:
    """How long Pacemaker's operations on resources took, by the clocks of their nodes.

    Args:
        names: ``start``, ``stop``, ``promote``, …
        but: a pattern of resources whose operations have another timeout than the profile's.
    """
    asked: dict[tuple[str, str, str, str], int] = {}
    found = []
    for seen, stamp_us in _journal(evidence, evidence.scenario.nodes):
        message = seen.text("message")
        if match := _ASKED.search(message):
            asked[_key(seen, match)] = stamp_us
        elif match := _RESULT.search(message):
            begun_us = asked.pop(_key(seen, match), None)
            if begun_us is None or match["op"] not in names:
                continue
            if not (but and re.fullmatch(but, match["id"])):
                over = match["how"].lower().startswith("timed out")
                found.append(_took(evidence, seen, (stamp_us - begun_us) / 1e6, over=over))
    return found


def handlers(evidence: Evidence) -> list[Took]:
    """How long calls of DRBD's fence-peer handler took: writes are frozen meanwhile."""
    begun: dict[tuple[str, str, str], tuple[int, int]] = {}
    found = []
    slow = _by_the_scenario(evidence)
    for seen, stamp_us in _journal(evidence, evidence.scenario.nodes):
        if not (match := _HELPER.search(seen.text("message"))):
            continue
        key = seen.source, seen.text("boot_id"), match["resource"]
        if not match["ended"]:
            begun[key] = stamp_us, seen.t_ns
        elif (start := begun.pop(key, None)) and not _within(slow, start[1], seen.t_ns):
            found.append(_took(evidence, seen, (stamp_us - start[0]) / 1e6))
    return found


def sessions(evidence: Evidence) -> list[Took]:
    """How long the initiator's session was away each time, by the initiator's clock."""
    lost: tuple[int, int] | None = None
    found = []
    slow = _by_the_scenario(evidence)
    for seen, stamp_us in _journal(evidence, [evidence.scenario.initiator]):
        message = seen.text("message")
        if _CONNECTION_LOST.search(message):
            lost = lost or (stamp_us, seen.t_ns)
        elif lost is not None and (over := _GIVEN_UP.search(message) is not None):
            found.append(_took(evidence, seen, (stamp_us - lost[0]) / 1e6, over=over))
        elif lost is not None and _CONNECTION_BACK.search(message):
            if not _within(slow, lost[1], seen.t_ns):
                found.append(_took(evidence, seen, (stamp_us - lost[0]) / 1e6))
            lost = None
    return found


def boots(evidence: Evidence) -> list[Took]:
    """From each power-on of a machine until its SSH server listens, by arrival on the host."""
    on: dict[str, Seen] = {}
    found = []
    events = evidence.select(Channel.DOMAIN, "lifecycle")
    entries = (s for s in evidence.select(Channel.JOURNAL, "entry") if _is_listening(s))
    for seen in sorted((*events, *entries), key=lambda one: one.line):
        if seen.event.channel is Channel.JOURNAL:
            if begun := on.pop(seen.source, None):
                found.append(_took(evidence, seen, (seen.t_ns - begun.t_ns) / 1e9))
        elif seen.text("event") == "started":
            on[seen.source] = seen
        elif seen.text("event") == "stopped":
            on.pop(seen.source, None)
    return found


def reboots(evidence: Evidence) -> list[Took]:
    """How long clean reboots took that a scenario asked for; one that did not end is over."""
    found = []
    for sample in evidence.samples("reboot"):
        told = sample.value if isinstance(sample.value, dict) else {}
        seconds, allowed = told.get("seconds"), told.get("deadline_s")
        if isinstance(seconds, int | float):
            found.append(_took(evidence, sample.seen, float(seconds)))
        elif isinstance(allowed, int | float):
            found.append(_took(evidence, sample.seen, float(allowed), over=True))
    return found


def reverts(evidence: Evidence) -> list[Took]:
    """From the order to go back to the snapshot until every guest answers."""
    return _marks(evidence, Phase.REVERT)


def settling(evidence: Evidence) -> list[Took]:
    """From the end of the writes until the cluster was whole: what is waited for at the end."""
    over = bool(evidence.select(Channel.STATE, "not-settled"))
    last = _marks(evidence, Phase.HEAL)[-1:]
    return [Took(one.seconds, one.where, over) for one in last]


def standstills(evidence: Evidence) -> list[Took]:
    """The longest time without an acknowledged write, as the check ``stall`` found it.

    What is allowed there is not the scenario's bound, but a timer's.
    """
    verdict = verdict_at(evidence)
    result = verdict.result("stall") if verdict is not None else None
    blackout = result.details.get("blackout") if result is not None else None
    if not isinstance(blackout, dict):
        return []
    start, end = blackout.get("start_ns"), blackout.get("end_ns")
    if type(start) is not int or type(end) is not int:
        return []
    return [Took((end - start) / 1e9, evidence.folder.name)]


def stalls(evidence: Evidence) -> list[Took]:
    """The same against the bound that the scenario states."""
    bound_s = evidence.scenario.expect.max_stall_s
    return [Took(one.seconds, one.where, allowed_s=bound_s) for one in standstills(evidence)]


def failovers(evidence: Evidence) -> list[dict[str, float]]:
    """Seconds by phase of each failover, as the check ``failover-phases`` found them."""
    verdict = verdict_at(evidence)
    result = verdict.result("failover-phases") if verdict is not None else None
    told = result.details.get("failovers") if result is not None else None
    found = []
    for one in told if isinstance(told, list) else []:
        phases = one.get("phases") if isinstance(one, dict) else None
        if isinstance(phases, dict):
            numbers = {str(k): float(v) for k, v in phases.items() if isinstance(v, int | float)}
            found.append(numbers)
    return found


def late_tokens(evidence: Evidence) -> list[Took]:
    """Whenever Corosync's token was late while nothing was broken, or its process stood still.

    What Corosync does not tell (less than three quarters of the token's time) is not here. Nor is
    what it says of itself before it is a member: nobody waits for its token then. (Two labs side by
    side on two emulated cores: 2.6 to 3.6 s each time between its start and its first membership.)
    """
    whole = broken(evidence)
    # A machine that is paused or frozen on purpose says so as well.
    stopped = {one.machine for one in whole if one.kind in ("pause", "daemon-frozen")}
    starting: set[str] = set()
    found = []
    for seen, _stamp_us in _journal(evidence, evidence.scenario.nodes):
        if seen.text("identifier") != "corosync":
            continue
        message = seen.text("message")
        if _STARTING.search(message):
            starting.add(seen.source)
        elif _MEMBER.search(message):
            starting.discard(seen.source)
        elif match := _NOT_SCHEDULED.search(message):
            if seen.source not in stopped | starting:
                found.append(_took(evidence, seen, float(match["ms"]) / 1e3))
        elif not _within(whole, seen.t_ns, seen.t_ns, after_ns=_AFTER_NS):
            if match := _TIMED_OUT.search(message):
                found.append(_took(evidence, seen, int(match["ms"]) / 1e3, over=True))
            elif match := _LATE.search(message):
                found.append(_took(evidence, seen, int(match["ms"]) / 1e3))
    return found


def late_pings(evidence: Evidence) -> list[Took]:
    """Whenever DRBD gave its peer up for a keep-alive without an answer, with nothing broken."""
    whole = broken(evidence)
    return [
        _took(evidence, seen, 0.0, over=True)
        for seen, _stamp_us in _journal(evidence, evidence.scenario.nodes)
        if _NO_PING_ACK.search(seen.text("message"))
        and not _within(whole, seen.t_ns, seen.t_ns, after_ns=_AFTER_NS)
    ]


def unbroken_s(evidence: Evidence) -> float:
    """For how long nothing was broken and the nodes' journals were read, in seconds."""
    nonces = [evidence.nonces.get((node, Channel.JOURNAL)) for node in evidence.scenario.nodes]
    if not nonces or any(nonce is None for nonce in nonces):
        return 0.0
    at_ns = max(nonce.t_ns for nonce in nonces if nonce is not None)
    total_ns = 0
    for one in broken(evidence):
        total_ns += max(0, one.from_ns - at_ns)
        at_ns = max(at_ns, one.to_ns + _AFTER_NS)
    return (total_ns + max(0, evidence.end_ns - at_ns)) / 1e9


def verdict_at(evidence: Evidence) -> ScenarioVerdict | None:
    """The verdict that was stored; None where there is none that can be read."""
    try:
        return ScenarioVerdict.load(evidence.folder / "verdict.json")
    except (OSError, VerdictError):
        return None


def _journal(evidence: Evidence, sources: Collection[str]) -> Iterator[tuple[Seen, int]]:
    """Entries of these machines' journals with the guest's own stamp, in order of arrival."""
    for seen in evidence.select(Channel.JOURNAL, "entry"):
        stamp_us = seen.event.data.get("monotonic_us")
        if seen.source in sources and type(stamp_us) is int:
            yield seen, stamp_us


def _key(seen: Seen, match: re.Match[str]) -> tuple[str, str, str, str]:
    return seen.source, seen.text("boot_id"), match["op"], match["id"]


def _is_listening(seen: Seen) -> bool:
    return seen.text("identifier") == "sshd" and bool(_LISTENING.search(seen.text("message")))


def _marks(evidence: Evidence, phase: Phase) -> list[Took]:
    """Outermost times of a phase, from the end of the last other one that lay inside."""
    stack: list[tuple[str, int]] = []
    inner_ns = 0
    found = []
    for seen in evidence.select(Channel.PHASE, "begin", "end"):
        if seen.event.kind == "begin":
            stack.append((seen.text("phase"), seen.t_ns))
        elif stack:
            name, begun_ns = stack.pop()
            if not stack and name == phase:
                took_ns = seen.t_ns - max(begun_ns, inner_ns)
                found.append(_took(evidence, seen, took_ns / 1e9))
            inner_ns = seen.t_ns
    return found


def _by_the_scenario(evidence: Evidence) -> list[Broken]:
    """While the fence device was slow or blocked: whoever waits for it, waits for the scenario."""
    return [one for one in broken(evidence) if one.kind.startswith("fence-")]


def _within(times: list[Broken], from_ns: int, to_ns: int, after_ns: int = 0) -> bool:
    return any(one.from_ns <= to_ns and from_ns <= one.to_ns + after_ns for one in times)


def _took(evidence: Evidence, seen: Seen, seconds: float, *, over: bool = False) -> Took:
    return Took(max(0.0, seconds), f"{evidence.folder.name}/{seen.ref}", over)
