"""What a schedule does to the cluster at worst: an abstract run, one step after the other.

From it follow the limits that a schedule has to keep, and what it may expect: how many failovers
and fencings at most, and how long writes may stand still. The forecast knows what is certain after
each step and no more: between a fault and the next proof that writes went on something is *under
way*, and only what cannot turn it into anything else is allowed meanwhile.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.explore.schedule import ACTIVE, BOTH, INITIATOR, NODES, PASSIVE, Step
from harness.timing import PROFILES, RECOVERY

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

UP, BOOTING, OFF = "up", "booting", "off"
DOWN, CUT, DATA, STANDBY, RESYNC, DISK, STALE = (
    "down", "cut off", "without data link", "on standby", "resyncing", "without a disk", "stale",
)  # fmt: skip
"""Why a node cannot take over, or could not at once."""

# What the initiator waits for at most, less what a bound should stay away from it; seconds.
_MARGIN_S = {"tcg": 20.0, "kvm": 15.0}
LONGEST_S = {
    name: PROFILES[name].replacement_timeout_s - margin for name, margin in _MARGIN_S.items()
}
"""No bound of a stall is longer; after ``replacement_timeout`` the initiator gives up."""

LIMITS = (
    "at most one node is out of service, or not up to date, at any time",
    "a node is taken away only while the other one runs",
    "nothing is done to a node or a link that does not answer",
    "each link is broken in one way at a time",
    "while one of Corosync's two links is cut, the other one works well or is cut too; then the "
    "node that does not serve is fenced, and it has to be clear which one that is",
    "while the group moves, the nodes go on seeing each other",
    "nobody is fenced while a clock is wrong or data is copied, nor in a schedule after a clock "
    "drifted or the fence device was gone",
    "the nodes do not lose sight of each other while one of them may be joining",
    "the fence device hangs for half a minute at most",
    "where Corosync fails, the next step waits until the cluster has taken notice: writes go on "
    "until the node is fenced, and prove nothing before",
    "no standstill adds up to more than the initiator waits for",
)
"""In words, for the head of a schedule and for docs/exploring.md."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the bound of a stall: what it is for, and seconds by profile."""

    what: str
    tcg: float
    kvm: float


@dataclass(frozen=True, slots=True)
class Broken:
    """A fault that is there until it is healed.

    Attributes:
        step: what broke it.
        holds: the cluster cannot be whole before it is healed.
        needs: nodes that have to answer so that it can be healed with proof.
    """

    step: Step
    holds: bool
    needs: tuple[str, ...]


def other(node: str) -> str:
    """The other node."""
    return PASSIVE if node == ACTIVE else ACTIVE


def who(node: str) -> str:
    """As a step says it."""
    named = {BOTH: "both nodes", INITIATOR: "the initiator"}
    return named.get(node, f"the {node} node")


def members(node: str) -> tuple[str, ...]:
    """The nodes that are meant; none for the initiator."""
    return NODES if node == BOTH else (node,) if node in NODES else ()


class Forecast:
    """The state after some steps.

    Attributes:
        serving: which node serves; None while that is not certain.
        heir: which node will serve when what is under way is over.
        power: of each node: up, booting (it will answer by itself), off.
        out: of each node: why it could not take over.
        broken: faults that have to be healed, by key, in order of injection.
        taken: links that are broken, by name, and by which fault.
        under_way: the cluster reacts; whether it is done is not known yet.
        emptying: a node that has to be left before anything else is certain.
        stuck: nobody can serve before something is healed.
        unnoticed: what has to be waited for next (a key of ``fresh``), as writes go on at the node
            that will be fenced and prove nothing until then; empty if nothing has.
        told, uncleaned: a fence device that is gone was found failed; what failed of it is there.
        unfenceable: why nobody may be fenced any more, until the schedule ends; empty if one may.
        fresh: what the last injection sets off, for triggers: ``ordered`` and ``promoting`` and
            ``emptying``, with the node it is about.
        failovers, fencings: how many there may be.
    """

    def __init__(self, *, beyond: bool = False) -> None:
        self.beyond = beyond
        self.serving: str | None = ACTIVE
        self.last = ACTIVE
        self.heir: str | None = None
        self.power = dict.fromkeys(NODES, UP)
        self.out: dict[str, set[str]] = {node: set() for node in NODES}
        self.broken: dict[str, Broken] = {}
        self.taken: dict[str, str] = {}
        self.under_way = False
        self.emptying: str | None = None
        self.stuck = False
        self.awaiting_fence = False
        self.hung_s = 0.0
        self.told = self.uncleaned = False
        self.unfenceable = self.unnoticed = ""
        self.fresh: dict[str, str] = {}
        self.failovers = self.fencings = 0
        self.reboots = False
        self.seconds = 0.0
        self._disturbing: dict[str, str] = {}
        self._segment: list[Part] = []
        self._worst: dict[str, list[Part]] = {"tcg": [], "kvm": []}

    def copy(self) -> Forecast:
        """One that goes on from here without changing this one."""
        twin = copy.copy(self)
        twin.power, twin.broken, twin.taken = dict(self.power), dict(self.broken), dict(self.taken)
        twin.out = {node: set(why) for node, why in self.out.items()}
        twin.fresh, twin._disturbing = dict(self.fresh), dict(self._disturbing)
        twin._segment, twin._worst = list(self._segment), dict(self._worst)
        return twin

    # ------------------------------------------------------------------ what is

    @property
    def spare(self) -> str | None:
        """The node that does not serve; None while that is not certain."""
        return None if self.serving is None else other(self.serving)

    @property
    def split(self) -> bool:
        """Whether both of Corosync's links are cut."""
        return all(self.is_cut(link) for link in ("drbd", "mgmt"))

    def is_cut(self, link: str) -> bool:
        """Whether no frame passes on a link between the nodes."""
        broken = self.broken.get(self.taken.get(link, ""))
        return (
            broken is not None
            and broken.step.kind.endswith("-cut")
            and (broken.step.kind != "replication-cut")
        )

    def has(self, kind: str, node: str = "") -> bool:
        """Whether a fault of this kind (at this node) is there."""
        for one in self.broken.values():
            if one.step.kind == kind and node in ("", one.step.node):
                return True
        return False

    @property
    def drbd(self) -> str:
        """What coverage is expected to call DRBD's state now (harness.explore.coverage)."""
        why = self.out[ACTIVE] | self.out[PASSIVE]
        if DISK in why:
            return "diskless"
        if RESYNC in why or STALE in why:
            return "resync"
        alone = {DOWN, STANDBY} & why or self.is_cut("drbd") or self.has("replication-cut")
        return "alone" if alone else "connected"

    @property
    def phase(self) -> str:
        """What coverage is expected to call the resources' phase now."""
        for fact, phase in (("reached", ""), ("ordered", "fencing"), ("emptying", "stopping")):
            if fact in self.fresh:
                return phase or self.fresh[fact]
        return "serving"

    def scope(self, node: str) -> str:
        """Whom a fault is about, as coverage calls it."""
        if node in NODES:
            return "server" if node == (self.serving or self.last) else "spare"
        return node

    # ----------------------------------------------------------------- problems

    def not_up(self, *nodes: str) -> Iterator[str]:
        """Nodes that do not answer."""
        for node in nodes:
            if self.power[node] != UP:
                yield f"{who(node)} does not answer"

    def not_free(self, *links: str) -> Iterator[str]:
        """Links that are broken already."""
        for link in links:
            if link in self.taken:
                yield f"the {link} link is broken already"

    def not_alone(self, node: str) -> Iterator[str]:
        """Whether the other node is out of service already."""
        if self.out[other(node)] and not self.beyond:
            yield f"{who(other(node))} is {', '.join(sorted(self.out[other(node)]))} already"

    def not_whole(self, node: str) -> Iterator[str]:
        """Whether a node is out of service, or something is under way."""
        if self.out[node]:
            yield f"{who(node)} is {', '.join(sorted(self.out[node]))}"
        yield from self.not_calm()

    def not_calm(self) -> Iterator[str]:
        """Whether something is under way."""
        if self.under_way:
            yield "the cluster is not done with what came before"

    def not_known(self) -> Iterator[str]:
        """Whether it is not certain who serves."""
        if self.serving is None:
            yield "it is not certain who serves"

    def no_login(self) -> Iterator[str]:
        """Whether the initiator could not log in again."""
        if self.has("iscsid-stopped"):
            yield "the initiator cannot log in again"

    def not_to_be_killed(self, node: str) -> Iterator[str]:
        """What speaks against a node's end, or its fencing."""
        yield from self.not_up(node)
        if self.power[other(node)] != UP:
            yield f"{who(other(node))} cannot fence it"
        yield from self.not_alone(node)
        if node == self.serving:
            yield from self.no_login()
        if self.has("clock-jump"):
            yield "a clock is wrong"
        if self.unfenceable:
            yield self.unfenceable
        if {RESYNC, DISK} & self.out[node]:
            yield f"{who(node)} is {', '.join(sorted(self.out[node]))}"
        if self.under_way and not self.out[node]:
            yield "the cluster is not done with what came before"

    # ------------------------------------------------------------------- effects

    def stall(self, what: str, recovery: str = "", *, seconds: float = 0.0) -> None:
        """Writes may stand still for it: so many seconds, and a recovery (harness.timing)."""
        tcg = getattr(RECOVERY["tcg"], recovery) if recovery else 0.0
        kvm = getattr(RECOVERY["kvm"], recovery) if recovery else 0.0
        self._segment.append(Part(what, seconds + tcg, seconds + kvm))

    def break_it(
        self,
        key: str,
        step: Step,
        *,
        links: Iterable[str] = (),
        holds: bool = False,
        needs: Iterable[str] = (),
        disturbs: str = "",
    ) -> None:
        """Something is broken until it is healed."""
        self.broken[key] = Broken(step, holds, tuple(needs))
        for link in links:
            self.taken[link] = key
        if disturbs:
            self._disturbing[key] = disturbs
            self.stall(disturbs, "disturbed")

    def heal_it(self, key: str) -> Broken:
        """It is healed; whoever was out for it has to become whole yet."""
        self._disturbing.pop(key, None)
        self.taken = {link: by for link, by in self.taken.items() if by != key}
        return self.broken.pop(key)

    def back(self, node: str, reason: str) -> None:
        """One reason why a node could not take over is gone; what it missed is not."""
        if reason in self.out[node]:
            self.out[node].discard(reason)
            self.out[node].add(STALE)

    def lose(self, node: str, what: str, power: str = BOOTING) -> None:
        """A node ends, or is cut off from its peer: it is fenced, and its peer serves on."""
        self.fencings += 1
        orphaned = bool(self.out[other(node)]) and self.serving in (node, None)
        if node == self.serving:
            self.move_from(node, what, "failover")
        else:
            self.stall(what, "failover" if self.serving is None else "fencing")
        self.out[node].add(DOWN)
        self.power[node] = power
        self.under_way = True
        self.fresh = {"ordered": node} | ({"promoting": self.heir} if self.heir else {})
        if self.has("fence-hang"):
            self.awaiting_fence = True
        if orphaned:
            self.get_stuck()

    def move_from(self, node: str, what: str, recovery: str) -> None:
        """The group leaves a node."""
        self.failovers += 1
        self.serving, self.last, self.heir = None, node, other(node)
        self.stall(what, recovery)
        self.under_way = True

    def get_stuck(self) -> None:
        """Nobody can serve before something is healed; only beyond the design."""
        if self.stuck:
            return
        self.stuck = True
        self.serving = self.heir = self.emptying = None
        # Who takes over in the end is not certain.
        self.failovers += 1
        self.fencings += 1
        self.stall("nobody can serve until a node is back", "boot")

    def proved(self) -> None:
        """Writes went on: what was under way is over."""
        if self.emptying is not None or self.stuck or self.awaiting_fence:
            return
        self._close()
        self._segment = [
            Part(what, RECOVERY["tcg"].disturbed, RECOVERY["kvm"].disturbed)
            for what in self._disturbing.values()
        ]
        self.arrived()

    def arrived(self) -> None:
        """The node that was to serve does."""
        self.under_way = False
        self.emptying = None
        self.fresh = {}
        if self.heir is not None:
            self.serving = self.last = self.heir
            self.heir = None

    def settled(self) -> None:
        """Everything is whole."""
        self.out = {node: set() for node in NODES}
        self.power = dict.fromkeys(NODES, UP)
        self.fresh = {}

    def pass_time(self, seconds: float, itself: float) -> None:
        """A step took so long, with all that it set off, and its own line so long.

        Where nobody can serve, writes stand still meanwhile.
        """
        self.seconds += seconds
        if self.has("fence-hang"):
            self.hung_s += itself
        if self.stuck or self.awaiting_fence:
            self.stall("the time until it is healed", seconds=itself)

    # -------------------------------------------------------------------- bounds

    def _close(self) -> None:
        for profile, worst in self._worst.items():
            if _sum(self._segment, profile) > _sum(worst, profile):
                self._worst[profile] = self._segment

    def _longest(self, profile: str) -> list[Part]:
        worst = self._worst[profile]
        return max(worst, self._segment, key=lambda parts: _sum(parts, profile))

    def bound_s(self, profile: str) -> int:
        """The bound of the longest stall, whole seconds.

        What may stand still between two proofs that writes went on, added up; the longest of these
        sums, and what a cluster that is merely busy needs.
        """
        parts = self._longest(profile)
        return math.ceil(_sum(parts, profile) + RECOVERY[profile].disturbed)

    def derivation(self) -> list[str]:
        """How the bound came about, one line for each part."""
        busy = Part("a cluster that is busy", RECOVERY["tcg"].disturbed, RECOVERY["kvm"].disturbed)
        parts = [busy, *self._longest("tcg")]
        return [f"{part.tcg:g} s ({part.kvm:g} s with KVM): {part.what}" for part in parts]

    def too_long(self) -> Iterator[str]:
        """Whether the initiator would have given up by then."""
        for profile, most in LONGEST_S.items():
            if self.bound_s(profile) > most:
                yield f"writes may stand still for {self.bound_s(profile)} s ({profile})"


def _sum(parts: list[Part], profile: str) -> float:
    return sum(part.tcg if profile == "tcg" else part.kvm for part in parts)
