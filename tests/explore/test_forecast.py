"""What the forecast allows, and what it expects: by cases that a person can follow."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.explore.schedule import Step
from harness.explore.vocabulary import KINDS, check, end_problems, problems
from harness.timing import RECOVERY

WRITES = Step("writes", number=100)
SETTLED = Step("settled")
GONE = Step("fence-gone", how="the fence device is down")
FOUND = Step("found-failed")
DRIFT = Step("clock-drift", "passive", "gains")


def cut(kind: str, node: str = "both", how: str = "silently") -> Step:
    return Step(kind, node, how)


def heal(what: str, node: str = "both") -> Step:
    return Step("link-heal", node, what=what)


POWER_CUT = (Step("power-off", "active"), WRITES, Step("power-on", "active"))


@pytest.mark.parametrize(
    "steps",
    [
        POWER_CUT,
        (*POWER_CUT, SETTLED, Step("power-off", "passive"), WRITES),
        # What hurts a node that is out already hurts nobody else.
        (cut("drbd-cut"), Step("power-off", "passive"), WRITES),
        (cut("data-cut", "active"), WRITES, Step("power-off", "active"), WRITES),
        (Step("standby", "passive"), WRITES, cut("drbd-cut"), WRITES),
        # Links that carry Corosync, one after the other, and both.
        (cut("mgmt-cut"), cut("drbd-cut"), WRITES, heal("the drbd link"), SETTLED),
        (cut("mgmt-cut"), heal("the mgmt link"), cut("drbd-cut")),
        # A slow fence device.
        (Step("fence-hang"), cut("corosync-cut"), Step("alone", number=10), Step("fence-heal")),
        # Without Corosync a node is written to until it is fenced.
        (Step("corosync-frozen", "active"), Step("promoted", "passive"), WRITES, SETTLED),
        (Step("corosync-killed", "passive"), Step("fencing-ordered", "passive"), WRITES),
        # Triggers follow what sets them off.
        (Step("power-off", "active"), Step("fencing-ordered", "active"),
         Step("data-slow", "passive"), WRITES),
        (Step("standby", "active"), Step("emptied", "active"), cut("mgmt-cut"),
         Step("left", "active"), WRITES),
        (Step("invalidated", "passive"), Step("half-copied", "passive", what="r1", number=30),
         cut("drbd-cut"), WRITES, heal("the drbd link"), Step("copied", "passive")),
        (Step("maintenance"), cut("mgmt-cut"), Step("maintenance-heal")),
        # Both links in one direction, and a node that was away and has joined again.
        (cut("corosync-cut", "active", "silently, outbound only,"), WRITES),
        (Step("reset", "passive"), WRITES, SETTLED, cut("corosync-cut"), WRITES),
        # A fence device that is gone, from when that was told on, and a clock that drifts.
        (GONE, FOUND, cut("mgmt-cut"), WRITES, Step("data-slow", "active"), Step("fence-heal"),
         Step("cleaned-up")),
        (GONE, FOUND, WRITES, cut("drbd-cut"), WRITES, Step("fence-heal")),
        (DRIFT, cut("drbd-cut"), WRITES, Step("clock-heal", "passive")),
    ],
)  # fmt: skip
def test_what_the_cluster_is_designed_to_survive(steps: tuple[Step, ...]) -> None:
    assert check(steps)[1] == []


@pytest.mark.parametrize(
    ("steps", "why"),
    [
        # Both nodes.
        ((cut("drbd-cut"), WRITES, Step("power-off", "active")),
         "step 3: the passive node is cut off already"),
        ((*POWER_CUT, Step("power-off", "passive")),
         "step 4: the active node is stale already"),
        ((Step("invalidated", "passive"), Step("reset", "active")), "is resyncing already"),
        ((cut("data-cut", "passive"), Step("standby", "active")),
         "is without data link already"),
        # What does not answer.
        ((Step("power-off", "passive"), WRITES, cut("drbd-cut")),
         "the passive node does not answer"),
        ((Step("reset", "active"), WRITES, Step("slow-disk", "active")), "does not answer"),
        ((Step("reset", "active"), WRITES, Step("answers", "active"), Step("standby", "active")),
         "may not have joined yet"),
        # The same link twice.
        ((cut("drbd-cut"), WRITES, Step("drbd-bad", "active", "loses 5 % of its frames")),
         "the drbd link is broken already"),
        ((Step("replication-cut", what="r1"), WRITES, cut("drbd-cut")), "is broken already"),
        ((cut("mgmt-cut", "active"), cut("mgmt-cut", "passive")), "mgmt link is broken already"),
        # Corosync.
        ((cut("mgmt-cut"), Step("drbd-bad", "active", "loses 5 % of its frames")),
         "the only link that Corosync has"),
        ((Step("drbd-bad", "active", "loses 5 % of its frames"), cut("mgmt-cut")),
         "other link does not work well"),
        ((cut("data-cut", "active"), cut("corosync-cut")), "is not done with what came before"),
        ((*POWER_CUT, Step("slow-disk", "passive"), SETTLED), "a resync would take too long"),
        # Something is under way.
        ((cut("drbd-cut"), heal("the drbd link")), "is not done with what came before"),
        ((Step("power-off", "active"), Step("power-on", "active")), "not done with"),
        ((Step("power-off", "passive"), SETTLED), "not done with"),
        # Nothing to heal, nothing that sets it off.
        ((heal("the drbd link"),), "there is nothing to heal"),
        ((Step("power-on", "active"),), "there is nothing to heal"),
        ((Step("fencing-ordered", "active"),), "nothing sets it off"),
        ((Step("power-off", "active"), Step("fencing-ordered", "passive")), "nothing sets it off"),
        ((Step("disk-errors", "passive", what="r1"), Step("diskless", "passive", what="r2")),
         "nothing sets it off"),
        # Special cases.
        ((Step("clock-jump", "active", "back"), Step("power-off", "active")), "a clock is wrong"),
        ((Step("invalidated", "passive"), Step("power-off", "passive")), "is resyncing"),
        ((Step("iscsid-stopped", "initiator"), Step("power-off", "active")),
         "the initiator cannot log in again"),
        ((Step("fence-hang"), Step("long-pause", "active", number=60)), "would hang too long"),
        ((Step("corosync-frozen", "active"), WRITES, SETTLED), "may not have noticed yet"),
        ((Step("corosync-frozen", "active"), Step("fencing-ordered", "active"), WRITES),
         "may not have noticed yet"),
        ((Step("corosync-killed", "passive"), WRITES), "may not have noticed yet"),
        ((Step("corosync-killed", "passive"),), "nothing waits for it"),
        ((Step("standby", "active"), Step("left", "active"), Step("corosync-frozen", "active")),
         "not certain who serves"),
        ((Step("fence-hang"), Step("corosync-frozen", "passive")), "nobody would be fenced"),
        ((Step("fence-hang"), cut("corosync-cut"), WRITES), "everybody waits for the fence device"),
        ((Step("fence-hang"),), "the fence device hangs still"),
        ((Step("standby", "active"),), "nothing waits for it"),
        ((Step("standby", "active"), Step("left", "passive")), "nobody is being emptied"),
        ((cut("mgmt-cut"), Step("maintenance")), "nothing is broken"),
        ((Step("maintenance"), cut("drbd-cut")), "in maintenance mode"),
        ((cut("spare-cut", "active"),), "would not reach the node that serves"),
        ((Step("what"),), "there is no kind 'what'"),
        # One that is just joining has a vote, and does not know yet who serves.
        ((Step("reset", "passive"), WRITES, Step("answers", "passive"), cut("corosync-cut")),
         "the passive node may not have joined yet"),
        ((cut("drbd-cut"), Step("power-off", "passive"), WRITES, Step("power-on", "passive"),
          WRITES, cut("mgmt-cut")), "the passive node may not have joined yet"),
        ((Step("reset", "passive"), WRITES, Step("answers", "passive"),
          Step("clock-jump", "active", "back")), "the passive node may not have joined yet"),
        # A fence device that is gone has to be missed, and nobody may need it, nor later on.
        ((GONE,), "the fence device is gone still"),
        ((GONE, WRITES), "nobody has found the fence device failed yet"),
        ((GONE, cut("drbd-cut")), "nobody has found the fence device failed yet"),
        ((GONE, FOUND, FOUND), "no fence device is gone, or that was told"),
        ((FOUND,), "no fence device is gone"),
        ((Step("cleaned-up"),), "nothing has failed"),
        ((GONE, FOUND, Step("fence-heal")), "not done with what came before"),
        ((GONE, FOUND, WRITES, Step("power-off", "passive")), "the fence device is gone"),
        ((GONE, FOUND, WRITES, cut("mgmt-cut"), cut("drbd-cut")), "the fence device was gone"),
        ((GONE, FOUND, WRITES, Step("standby", "passive")), "the fence device is gone"),
        ((GONE, FOUND, WRITES, Step("fence-heal"), Step("reset", "passive")),
         "the fence device was gone"),
        ((GONE, FOUND, WRITES, cut("drbd-cut"), WRITES, Step("fence-heal"),
          heal("the drbd link"), SETTLED), "what failed has to be cleaned up first"),
        ((Step("standby", "passive"), WRITES, GONE), "the passive node is on standby"),
        ((Step("fence-hang"), GONE), "would hang too long"),
        ((GONE, FOUND, WRITES, Step("fence-hang")), "the fence device is gone"),
        # What a clock gained stays.
        ((DRIFT, Step("clock-jump", "active", "back")), "a clock is wrong already"),
        ((Step("clock-jump", "active", "back"), DRIFT), "a clock is wrong already"),
        ((DRIFT, Step("clock-heal", "passive"), Step("power-off", "active")),
         "a clock has drifted"),
        ((DRIFT, cut("corosync-cut")), "a clock has drifted"),
    ],
)  # fmt: skip
def test_what_is_too_much(steps: tuple[Step, ...], why: str) -> None:
    found = check(steps)[1]
    assert any(why in problem for problem in found), found


def test_one_at_a_time_is_the_limit_that_beyond_lifts() -> None:
    steps = (cut("drbd-cut"), WRITES, Step("power-off", "active"), Step("alone", number=10),
             Step("power-on", "active"))  # fmt: skip
    assert check(steps)[1]
    forecast, found = check(steps, beyond=True)
    assert found == []
    assert forecast.stuck
    # Nobody can write before it is healed, so nothing may wait for writes.
    assert check((*steps, WRITES), beyond=True)[1] == [
        "step 6: nobody can serve before something is healed",
        "step 6: nobody can serve before something is healed",
    ]
    # Never both without power, whatever is lifted.
    both = (Step("power-off", "passive"), WRITES, Step("power-off", "active"))
    assert check(both, beyond=True)[1] == ["step 3: the passive node cannot fence it"]


def bound(*steps: Step) -> tuple[int, int, float]:
    forecast, found = check(steps)
    assert found == []
    return forecast.failovers, forecast.fencings, forecast.bound_s("tcg")


def test_bounds_follow_from_what_may_stand_still() -> None:
    tcg = RECOVERY["tcg"]
    busy = tcg.disturbed
    assert bound(Step("power-off", "active"), WRITES) == (1, 1, busy + tcg.failover)
    assert bound(Step("power-off", "passive"), WRITES) == (0, 1, busy + tcg.fencing)
    assert bound(cut("drbd-cut"), WRITES) == (0, 0, busy + tcg.freeze)
    assert bound(Step("standby", "active"), Step("left", "active"), WRITES) == (
        1, 0, busy + tcg.move,
    )  # fmt: skip
    assert bound(cut("mgmt-cut"), WRITES) == (0, 0, busy + tcg.disturbed)
    assert bound(cut("data-cut", "active"), WRITES) == (1, 0, busy + tcg.ping_rule)
    # The length of a cut of the initiator is part of it.
    assert bound(Step("initiator-cut", "initiator", "silently", number=30)) == (
        0, 0, busy + 30 + tcg.login,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("feature", "name", "recovery"),
    [
        ("links", "The drbd link is cut during writes", "freeze"),
        ("links", "The mgmt link is cut during writes", "disturbed"),
        ("links", "The drbd and mgmt links are cut during writes", "fencing"),
        ("links", "The data link of the active node is cut during writes", "ping_rule"),
        ("power", "The active node loses power during writes", "failover"),
        ("standby", "The active node is put on standby, and taken off it", "move"),
    ],
)
def test_recoveries_are_those_of_the_features(feature: str, name: str, recovery: str) -> None:
    """What is drawn is judged as strictly as what was written, and no more."""
    text = Path(f"features/{feature}.feature").read_text(encoding="utf-8")
    of_it = text.partition(f": {name}\n")[2]
    bounds = re.search(r"no stall above (\d+) s \((\d+) s with KVM\)", of_it)
    assert bounds is not None
    tcg, kvm = (getattr(RECOVERY[profile], recovery) for profile in ("tcg", "kvm"))
    assert tcg == float(bounds[1])
    assert recovery == "disturbed" or kvm == float(bounds[2])


def test_what_writes_have_proved_to_be_over_is_not_added_to_what_follows() -> None:
    tcg = RECOVERY["tcg"]
    one = (cut("drbd-cut"), WRITES, heal("the drbd link"), SETTLED)
    twice = (*one, cut("drbd-cut"), WRITES)
    assert bound(*twice)[2] == bound(*one)[2]
    # Without a proof in between both may stand still in one go.
    together = (cut("drbd-cut"), Step("power-off", "passive"), WRITES)
    assert bound(*together)[2] == tcg.disturbed + tcg.freeze + tcg.fencing
    # What is there all the time disturbs all the time.
    disturbed = (Step("slow-disk", "passive"), WRITES, cut("drbd-cut"), WRITES)
    assert bound(*disturbed)[2] == 2 * tcg.disturbed + tcg.freeze


def test_both_links_between_the_nodes_are_one_fencing_of_the_node_that_does_not_serve() -> None:
    assert bound(cut("corosync-cut"), WRITES)[:2] == (0, 1)
    assert bound(cut("mgmt-cut"), cut("drbd-cut"), WRITES)[:2] == (0, 1)
    after_failover = (cut("data-cut", "active"), WRITES, cut("mgmt-cut"), cut("drbd-cut"), WRITES)
    forecast, found = check(after_failover)
    assert found == []
    assert (forecast.failovers, forecast.fencings) == (1, 1)
    assert forecast.serving == "passive"
    assert forecast.power["active"] == "booting"


def test_the_time_that_the_fence_device_hangs_is_added() -> None:
    quick = bound(cut("corosync-cut"), WRITES)[2]
    slow = bound(
        Step("fence-hang"), cut("corosync-cut"), Step("alone", number=10), Step("fence-heal"),
        WRITES,
    )[2]  # fmt: skip
    assert quick + 10 <= slow <= quick + 40


def test_the_derivation_adds_up_to_the_bound() -> None:
    forecast, _found = check((cut("mgmt-cut"), cut("drbd-cut"), WRITES))
    lines = forecast.derivation()
    assert sum(float(line.split()[0]) for line in lines) == forecast.bound_s("tcg")
    assert any("both links between the nodes are cut" in line for line in lines)


def test_a_schedule_may_end_with_what_the_heal_at_its_end_puts_right() -> None:
    forecast, found = check((cut("data-cut", "active"),))
    assert found == []
    assert forecast.under_way
    assert end_problems(forecast) == []
    assert problems(forecast, SETTLED)


def test_kinds_say_what_they_are() -> None:
    for name, kind in KINDS.items():
        assert name == kind.name
        assert kind.seconds >= 0
        assert kind.weight > 0
