"""A cluster that cannot become whole by itself any more is not waited for until the deadline."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from harness import settling
from harness.cluster import sampling
from harness.errors import DeadlineError
from harness.settling import Patience, wait_whole
from harness.timing import TCG

if TYPE_CHECKING:
    from collections.abc import Callable


class Clock:
    """Seconds that pass only when somebody waits."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_patience_counts_without_a_break() -> None:
    clock = Clock()
    patience = Patience(10, clock)
    for second in (0, 5, 10):
        clock.now = second
        patience.check("StandAlone")
    clock.now = 11
    patience.check("")
    for second in (12, 22):
        clock.now = second
        patience.check("StandAlone")
    clock.now = 22.5
    with pytest.raises(DeadlineError, match=r"StandAlone, for 10 s; no more is waited for it"):
        patience.check("StandAlone")


class Drbd:
    """What LiveDrbd says; whole after ``whole_at`` seconds, given up or not until then."""

    def __init__(self, clock: Clock, whole_at: float, *, given_up: bool) -> None:
        self.clock, self.whole_at, self.given_up = clock, whole_at, given_up

    def missing(self, _nodes: Any, _resources: Any) -> str:
        return "" if self.clock.now >= self.whole_at else "alpha: r1 is StandAlone/UpToDate"

    def cut_off(self, nodes: Any, resources: Any) -> list[str]:
        return ["alpha: r1"] if self.given_up and self.missing(nodes, resources) else []


@pytest.fixture
def wait(monkeypatch: pytest.MonkeyPatch) -> Callable[..., float]:
    """Wait for a cluster; the seconds it took."""

    def run(
        *, drbd_s: float = 0, given_up: bool = False, whole: Callable[[float], str] = lambda _s: ""
    ) -> float:
        clock = Clock()

        def wait_until(
            what: str, missing: Callable[[], str], *, deadline_s: float, interval_s: float
        ) -> float:
            began = clock.now
            while text := missing():
                if clock.now - began > deadline_s:
                    raise DeadlineError(f"{what}: not within {deadline_s:.0f} s: {text}")
                clock.now += interval_s
            return clock.now - began

        monkeypatch.setattr(settling, "wait_until", wait_until)
        monkeypatch.setattr(settling, "Patience", lambda seconds: Patience(seconds, clock))
        monkeypatch.setattr(sampling, "settle_missing", lambda _lab: whole(clock.now))
        lab = SimpleNamespace(nodes=[SimpleNamespace(name="alpha"), SimpleNamespace(name="bravo")])
        drbd = Drbd(clock, drbd_s, given_up=given_up)
        try:
            wait_whole(cast("Any", lab), cast("Any", drbd), TCG, 420)
        except DeadlineError as error:
            raise DeadlineError(f"{error.message} after {clock.now:.0f} s") from error
        return clock.now

    return run


def test_a_slow_resync_is_waited_for(wait: Callable[..., float]) -> None:
    assert wait(drbd_s=400) >= 400
    with pytest.raises(DeadlineError, match="not within 420 s"):
        wait(drbd_s=500)


def test_a_connection_that_was_given_up_is_not(wait: Callable[..., float]) -> None:
    # 1.5 times the handler's 60 s.
    with pytest.raises(DeadlineError, match=r"given up: alpha: r1 is StandAlone.* after 9\d s"):
        wait(drbd_s=500, given_up=True)
    assert wait(drbd_s=80, given_up=True) >= 80


def test_a_constraint_that_stays_is_not(wait: Callable[..., float]) -> None:
    left = "fence constraints left: drbd-fence-by-handler-r0-msg"
    with pytest.raises(DeadlineError, match=r"handler-r0-msg, for 9\d s.* after 9\d s"):
        wait(whole=lambda _s: left)
    assert wait(whole=lambda s: left if s < 60 else "") >= 60
    # Other things that are missing first are waited for as before.
    assert wait(whole=lambda s: "DATA_GROUP: tgt Stopped" if s < 300 else "") >= 300
