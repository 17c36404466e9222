"""What is drawn: the same for the same seed, known steps only, and never beyond the limits."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache

import pytest

from harness.explore.draw import FEWEST, MOST, draw
from harness.explore.feature import scenario_lines
from harness.explore.forecast import LONGEST_S
from harness.explore.schedule import Schedule, Step, from_json, to_json
from harness.explore.vocabulary import KINDS, Group, check, labels, take, text
from harness.steps.vocabulary import matching

SEEDS = 2000


def drawn(beyond: bool = False) -> tuple[Schedule, ...]:
    return _drawn(beyond)


@cache
def _drawn(beyond: bool) -> tuple[Schedule, ...]:
    count = SEEDS // 4 if beyond else SEEDS
    return tuple(draw(seed, 1 + seed % 3, beyond=beyond) for seed in range(count))


def lines_of(schedule: Schedule) -> list[str]:
    forecast, problems = check(schedule.steps, beyond=schedule.beyond)
    assert problems == [], schedule
    return scenario_lines(schedule, forecast)


def test_the_same_seed_number_and_coverage_draw_the_same_schedule() -> None:
    seen = {("power-off server", "connected", "serving"): 3}
    assert draw(7, 2, seen) == draw(7, 2, seen)
    assert draw(7, 2).steps != draw(7, 3).steps
    assert draw(7, 2).steps != draw(8, 2).steps


@pytest.mark.parametrize("beyond", [False, True])
def test_every_line_of_every_schedule_is_exactly_one_step(beyond: bool) -> None:
    lines = {line for schedule in drawn(beyond) for line in lines_of(schedule)}
    for line in lines:
        keyword, words = line.split(" ", 1)
        kinds = [keyword.lower()] if keyword != "And" else ["given", "when", "then"]
        found = [name for kind in kinds for name in matching(kind, words)]
        assert len(found) == 1, f"{line}: {found or 'unknown'}"


@pytest.mark.parametrize("beyond", [False, True])
def test_length_and_bounds(beyond: bool) -> None:
    for schedule in drawn(beyond):
        forecast, problems = check(schedule.steps, beyond=beyond)
        assert problems == []
        assert FEWEST <= len(schedule.steps) <= MOST
        assert forecast.bound_s("tcg") <= LONGEST_S["tcg"]
        assert forecast.bound_s("kvm") <= LONGEST_S["kvm"]
        assert forecast.bound_s("kvm") <= forecast.bound_s("tcg")
        groups = {KINDS[step.kind].group for step in schedule.steps}
        assert groups & {Group.DISTURBANCE, Group.OUTAGE}


NODE = r"the (active|passive) node"
ENDS = re.compile(
    rf"^(?:corosync of )?{NODE} (?:loses power|is reset|panics|is killed|stands still until healed"
    r"|is paused for \d\d s)$"
)
CUT = re.compile(rf"^(.*) of (both nodes|{NODE}|the initiator) (?:is|are) cut .* until healed$")
WHOLE = re.compile(rf"^(.*) of (both nodes|{NODE}|the initiator) (?:is|are) whole again$")
PROOF = re.compile(r"^(\d+ more writes of each raw LUN were acknowledged|1 MiB more .*)$")


def links(words: str) -> set[str]:
    return (
        {"data", "drbd", "mgmt"}
        if words == "all links"
        else set(re.findall("data|drbd|mgmt", words))
    )


def test_no_link_is_cut_twice_and_none_is_healed_that_is_not() -> None:
    """Read from the text alone, as somebody would who knows nothing of the forecast."""
    for schedule in drawn():
        cut: set[tuple[str, str]] = set()
        for line in map(text, schedule.steps):
            match = CUT.match(line) or WHOLE.match(line)
            if match is None:
                continue
            ends = (
                [match[2]] if match[2] != "both nodes" else ["the active node", "the passive node"]
            )
            mine = {(link, end) for link in links(match[1]) for end in ends}
            if "cut" in line:
                assert not mine & cut, schedule
                cut |= mine
            else:
                assert mine <= cut, schedule
                cut -= mine


def test_a_node_that_is_off_is_left_alone_until_it_is_on() -> None:
    for schedule in drawn():
        off: set[str] = set()
        for line in map(text, schedule.steps):
            match = re.search(NODE, line)
            node = match[1] if match else ""
            if line.endswith("alone is powered on again"):
                assert node in off, schedule
                off.discard(node)
            elif line.endswith("loses power"):
                assert not off, schedule
                off.add(node)
            elif node in off:
                assert line.startswith(("a fencing of", "acknowledgement")), (line, schedule)
            elif "both nodes" in line or line == "the cluster has settled":
                assert not off, (line, schedule)


def test_the_second_node_is_killed_only_after_the_cluster_has_settled() -> None:
    for schedule in drawn():
        hurt = ""
        for line in map(text, schedule.steps):
            match = ENDS.match(line)
            if match is not None:
                assert hurt in ("", match[1]), schedule
                hurt = match[1]
            elif line == "the cluster has settled":
                hurt = ""


def test_where_corosync_fails_nothing_comes_before_the_cluster_has_noticed() -> None:
    """Writes go on at that node for half a minute, and would prove nothing."""
    met = set()
    for schedule in drawn():
        told = [text(step) for step in schedule.steps]
        for number, line in enumerate(told):
            if not line.startswith("corosync of the"):
                continue
            following = told[number + 1]
            noticed = re.match(
                rf"{NODE} has promoted all|a fencing of {NODE} was ordered", following
            )
            assert noticed, schedule
            met.add(following.split()[2])
    assert met == {"node", "of"}, "at the node that serves and at the other one"


def test_nothing_is_healed_that_the_cluster_may_not_have_noticed() -> None:
    """Between a cut of the drbd link and its heal writes have to go on."""
    for schedule in drawn():
        open_cut = False
        for step in schedule.steps:
            if step.kind in ("drbd-cut", "corosync-cut", "spare-cut"):
                open_cut = True
            elif PROOF.match(text(step)):
                open_cut = False
            elif step.kind == "link-heal" and "drbd" in step.what:
                assert not open_cut, schedule


def test_beyond_the_design_both_nodes_are_out_and_service_comes_back_by_a_heal() -> None:
    stuck = [s for s in drawn(True) if check(s.steps, beyond=True)[0].stuck]
    assert len(stuck) > len(drawn(True)) / 20
    for schedule in stuck:
        assert check(schedule.steps)[1], "it is not within the design"
        lines = lines_of(schedule)
        assert lines.index("And everything is healed") < lines.index("And the writes go on again")
    assert not [s for s in drawn() if check(s.steps)[0].stuck]


def test_every_kind_is_drawn() -> None:
    counts = Counter(step.kind for schedule in drawn() for step in schedule.steps)
    assert set(counts) == set(KINDS)


def test_what_mutants_break_is_hurt_often_without_any_tailoring() -> None:
    """Most schedules have somebody fenced, as that is what most of a cluster is for."""
    forecasts = [check(schedule.steps)[0] for schedule in drawn()]
    assert sum(one.fencings > 0 for one in forecasts) > 0.5 * len(forecasts)
    assert sum(one.failovers > 0 for one in forecasts) > 0.2 * len(forecasts)


def test_kinds_that_are_left_out_are_not_drawn() -> None:
    without = ("drbd-cut", "power-off", "mgmt-cut")
    for seed in range(100):
        kinds = {step.kind for step in draw(seed, 1, without=without).steps}
        assert not kinds & set(without)
    with pytest.raises(ValueError, match="no schedule can be drawn"):
        draw(1, 1, without=tuple(KINDS))
    waits = tuple(name for name, k in KINDS.items() if k.group in (Group.DISTURBANCE, Group.OUTAGE))
    with pytest.raises(ValueError, match="no schedule can be drawn"):
        draw(1, 1, without=waits)


def cells(schedule: Schedule) -> list[tuple[str, str, str]]:
    from harness.explore.forecast import Forecast

    forecast, found = Forecast(), []
    for step in schedule.steps:
        found += [(label, forecast.drbd, forecast.phase) for label in labels(forecast, step)]
        take(forecast, step)
    return found


def test_what_was_not_seen_is_preferred() -> None:
    """A long exploration that counts what it expects meets more of it than one that does not."""
    blind: Counter[tuple[str, str, str]] = Counter()
    seen: Counter[tuple[str, str, str]] = Counter()
    for number in range(1, 121):
        blind.update(cells(draw(5, number)))
        seen.update(cells(draw(5, number, seen)))
    assert len(seen) > 1.08 * len(blind)
    # What was seen a hundred times is avoided where there is something else.
    worn = dict.fromkeys([cell for cell in seen if cell[0].startswith("power-off")], 100)
    some = Counter(s.kind for n in range(60) for s in draw(6, n).steps)
    fewer = Counter(s.kind for n in range(60) for s in draw(6, n, worn).steps)
    assert fewer["power-off"] < some["power-off"] / 2


def test_steps_are_stored_and_read() -> None:
    for schedule in drawn()[:50]:
        assert from_json(to_json(schedule.steps)) == schedule.steps
    wrong: tuple[object, ...] = ({}, [{"kind": "x", "colour": "red"}], [{}])
    for raw in wrong:
        with pytest.raises(ValueError, match="not a"):
            from_json(raw)


def test_files_of_different_schedules_have_different_names() -> None:
    one = Schedule(1, 2, (Step("power-off", "active"),))
    others = [
        Schedule(1, 2, (Step("power-off", "passive"),)),
        Schedule(1, 2, one.steps, beyond=True),
        Schedule(1, 2, one.steps, label="try 3"),
        Schedule(2, 2, one.steps),
    ]
    assert len({s.stem for s in (one, *others)}) == 5
    assert one.stem.startswith("1-002-")
    assert others[2].stem.startswith("1-002-try-3-")
    assert others[2].name == "Schedule 2 of seed 1, try 3"
