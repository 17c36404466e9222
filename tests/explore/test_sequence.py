"""Whether the cluster went the same way: real runs of one scenario, and changes of them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.evidence.model import Evidence
from harness.explore.pace import moments, paces
from harness.explore.sequence import compare, sequence_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.explore.sequence import Tracks

FIXTURES = Path(__file__).parent / "fixtures"

Line = dict[str, Any]


def test_two_power_cuts() -> None:
    tracks = sequence_of(Evidence(FIXTURES / "two-power-cuts-first"))
    for resource in ("r0", "r1", "r2"):
        assert tracks[f"active {resource} role"] == ("Primary", "down", "Secondary", "Primary")
        assert tracks[f"passive {resource} role"] == ("Secondary", "Primary", "down", "Secondary")
        assert tracks[f"active {resource} disk"] == (
            "UpToDate", "down", "Inconsistent", "UpToDate",
        )  # fmt: skip
        assert tracks[f"passive {resource} connection"] == (
            "Connected", "not connected", "Connected", "down", "not connected", "Connected",
        )  # fmt: skip
    assert tracks["passive sees active"] == ("lost", "member")
    assert tracks["fencings"] == ("active", "passive")
    assert tracks["lun2 of the group"] == ("passive", "active")
    assert tracks["pb of the group"] == ("passive", "active")


def test_the_same_scenario_of_another_day_is_the_same_sequence() -> None:
    """Two runs with different nodes' timing, boots and message orders."""
    one, two = (FIXTURES / f"two-power-cuts-{name}" for name in ("first", "second"))
    comparison = compare([sequence_of(Evidence(one)), sequence_of(Evidence(two))])
    assert (comparison.runs, comparison.same, comparison.differences) == (2, 2, {})


def test_a_connection_that_is_given_up_is_told_where_it_differs() -> None:
    cut, lost = (
        sequence_of(Evidence(FIXTURES / "cut")),
        sequence_of(Evidence(FIXTURES / "cut-without-address")),
    )
    comparison = compare([cut, lost, cut])
    assert (comparison.runs, comparison.same) == (3, 2)
    ((number, lines),) = comparison.differences.items()
    assert number == 2
    (line,) = [line for line in lines if line.startswith("active r1 connection")]
    assert "StandAlone" in line
    assert "mostly Connected → not connected → Connected (from the third state on)" in line
    assert not [line for line in lines if "role" in line]


@pytest.fixture
def changed(tmp_path: Path) -> Callable[[str, Callable[[list[Line]], list[Line]]], Evidence]:
    """A real run's evidence whose lines were changed."""

    def change(name: str, how: Callable[[list[Line]], list[Line]]) -> Evidence:
        folder = tmp_path / f"{name}{len(list(tmp_path.iterdir()))}"
        shutil.copytree(FIXTURES / name, folder)
        path = folder / "timeline.jsonl"
        lines = how([json.loads(line) for line in path.read_text().splitlines()])
        told = [json.dumps({**line, "n": n}) for n, line in enumerate(lines, start=1)]
        path.write_text("\n".join(told) + "\n")
        scenario = json.loads((folder / "scenario.json").read_text())
        (folder / "scenario.json").write_text(json.dumps(scenario | {"events": len(told)}))
        return Evidence(folder)

    return change


def test_time_and_the_order_between_nodes_are_of_no_account(
    changed: Callable[..., Evidence],
) -> None:
    def slower(lines: list[Line]) -> list[Line]:
        return [{**line, "t_ns": line["t_ns"] * 3} for line in lines]

    def bravo_late(lines: list[Line]) -> list[Line]:
        """Lines of bravo that come up to 20 lines later than others, in their own order."""
        keyed = [(n + 20 * (line["source"] == "bravo"), line) for n, line in enumerate(lines)]
        return [line for _n, line in sorted(keyed, key=lambda one: one[0])]

    usual = sequence_of(Evidence(FIXTURES / "standby"))
    assert sequence_of(changed("standby", slower)) == usual
    assert sequence_of(changed("standby", bravo_late)) == usual


def test_which_name_a_lost_connection_has_for_a_moment_is_of_no_account(
    changed: Callable[..., Evidence],
) -> None:
    def otherwise(lines: list[Line]) -> list[Line]:
        text = json.dumps(lines).replace('"NetworkFailure"', '"Timeout"')
        return list(json.loads(text.replace('"BrokenPipe"', '"Timeout"')))

    for name in ("cut", "power-cut"):
        usual = sequence_of(Evidence(FIXTURES / name))
        assert sequence_of(changed(name, otherwise)) == usual


CUT_NS = 1795668340669854217
"""When bravo's power was cut in the fixture ``power-cut``; it was gone 0.3 s later."""


def told_by_bravo(*said: tuple[float, str]) -> Callable[[list[Line]], list[Line]]:
    """bravo tells more, so many seconds after its power was cut: of r1 (events2), or of alpha."""

    def line(after_s: float, what: str) -> Line:
        t_ns = CUT_NS + int(after_s * 1e9)
        base: Line = {"n": 0, "t_ns": t_ns, "source": "bravo"}
        if " " in what:
            data: Line = {"message": what, "identifier": "pacemaker-controld", "boot_id": "b"}
            data |= {"unit": "", "transport": "syslog", "priority": 5}
            more: Line = {"realtime_us": t_ns // 1000, "monotonic_us": 90_700_000}
            return {**base, "channel": "journal", "kind": "entry", "data": {**data, **more}}
        aspect = {"Primary": "role", "Secondary": "role", "Inconsistent": "disk"}.get(
            what, "connection"
        )
        object_ = {"role": "resource", "disk": "device"}.get(aspect, "connection")
        data = {"object": object_, "fields": {"name": "r1", aspect: what}}
        return {**base, "channel": "events2", "kind": "change", "data": data}

    def how(lines: list[Line]) -> list[Line]:
        more = [line(after_s, what) for after_s, what in said]
        return sorted([*lines, *more], key=lambda one: int(one["t_ns"]))

    return how


@pytest.mark.parametrize(
    "said",
    [
        [(0.05, "NetworkFailure")],
        [(0.05, "Timeout"), (0.06, "Connecting")],
        [(-4.0, "NetworkFailure")],  # it noticed in time: its links were cut before
        [(-4.0, "Connecting"), (0.05, "StandAlone")],
        [(0.05, "Secondary"), (0.05, "Inconsistent")],
        [(1.5, "NetworkFailure")],  # what was in the stream's buffer
        [(-4.0, " notice: Node alpha state is now lost")],
        [(0.05, " notice: Node alpha state is now lost")],
        [(0.05, " notice: Result of start operation for tgt on bravo: ok")],
    ],
)
def test_what_a_node_tells_that_is_about_to_end_is_of_no_account(
    changed: Callable[..., Evidence], said: list[tuple[float, str]]
) -> None:
    """Its timers race with the one that ends it."""
    usual = sequence_of(Evidence(FIXTURES / "power-cut"))
    assert sequence_of(changed("power-cut", told_by_bravo(*said))) == usual


def lines_of(name: str) -> list[Line]:
    told = (FIXTURES / name / "timeline.jsonl").read_text()
    return [json.loads(line) for line in told.splitlines()]


def outdated(seen: dict[str, Any]) -> bool:
    fields = seen.get("data", {}).get("fields") or {}
    return bool(seen["channel"] == "events2" and fields.get("disk") == "Outdated")


def test_how_far_a_handshake_was_when_somebody_looked_is_of_no_account(
    changed: Callable[..., Evidence],
) -> None:
    """On the way from a connection to its resync a replica is Outdated for some milliseconds.

    8.4 tells of a change when its worker gets to it, with the state of that moment: on a busy node
    what was in between is not told.
    """
    usual = sequence_of(Evidence(FIXTURES / "cut"))
    assert sum(map(outdated, lines_of("cut"))) >= 3, "it was told in this run"
    unseen = changed("cut", lambda lines: [one for one in lines if not outdated(one)])
    assert sequence_of(unseen) == usual
    # The resync itself is of account: it says that data was missing.
    assert "Inconsistent" in usual["passive r1 disk"]


def test_a_replica_that_was_outdated_before_it_was_connected_differs(
    changed: Callable[..., Evidence],
) -> None:
    """Somebody declared it outdated, which keeps it from being promoted."""

    def earlier(lines: list[Line]) -> list[Line]:
        moved = [{**one, "t_ns": one["t_ns"] - 20_000_000_000} if outdated(one) else one
                 for one in lines]  # fmt: skip
        return sorted(moved, key=lambda one: int(one["t_ns"]))

    tracks = sequence_of(changed("cut", earlier))
    assert tracks["passive r1 disk"] == ("UpToDate", "Outdated", "Inconsistent", "UpToDate")
    assert tracks != sequence_of(Evidence(FIXTURES / "cut"))


@pytest.mark.parametrize(
    ("said", "track"),
    [
        ([(-4.0, "Secondary"), (-3.0, "Primary")], "active r1 role"),
        ([(-4.0, "Inconsistent")], "active r1 disk"),
        ([(-4.0, "Timeout"), (-2.0, "Connected")], "active r1 connection"),
        ([(-4.0, " notice: Node alpha state is now lost"),
          (-2.0, " notice: Node alpha state is now member")], "active sees passive"),
        ([(-4.0, " notice: Result of start operation for tgt on bravo: ok")], "tgt of the group"),
    ],
)  # fmt: skip
def test_what_it_told_before_counts(
    changed: Callable[..., Evidence], said: list[tuple[float, str]], track: str
) -> None:
    usual = sequence_of(Evidence(FIXTURES / "power-cut"))
    other = sequence_of(changed("power-cut", told_by_bravo(*said)))
    (lines,) = compare([usual, other]).differences.values()
    assert [line.split(":")[0] for line in lines] == [track]


def test_from_the_order_of_its_fencing_on_a_node_is_about_to_end(
    changed: Callable[..., Evidence],
) -> None:
    """A node that lives, and is fenced six seconds after the order."""

    def fenced(*said: tuple[float, str]) -> Callable[[list[Line]], list[Line]]:
        def how(lines: list[Line]) -> list[Line]:
            kept = [line for line in lines if line["data"].get("id") != "f2-power-off"]
            order = next(line for line in kept if "Requesting fencing" in json.dumps(line))
            rest = [line for line in kept if line is not order]
            early = {**order, "t_ns": CUT_NS - 6 * 10**9}
            return told_by_bravo(*said)(sorted([*rest, early], key=lambda one: int(one["t_ns"])))

        return how

    usual = sequence_of(changed("power-cut", fenced()))
    assert sequence_of(changed("power-cut", fenced((-5.0, "Secondary")))) == usual
    assert sequence_of(changed("power-cut", fenced((-7.0, "Secondary")))) != usual


def without(lines: list[Line], said: str) -> list[Line]:
    wanted = said.split(" & ")
    return [line for line in lines if not all(text in json.dumps(line) for text in wanted)]


@pytest.mark.parametrize(
    ("said", "track"),
    [
        ("Node bravo state is now lost", "passive sees active"),
        ("Result of start operation for tgt on alpha", "tgt of the group"),
        ('"source": "alpha" & "name": "r1", "role": "Primary"', "passive r1 role"),
        ("Operation 'reboot' targeting bravo", "fencings"),
    ],
)
def test_what_did_not_happen_differs(
    changed: Callable[..., Evidence], said: str, track: str
) -> None:
    usual = sequence_of(Evidence(FIXTURES / "power-cut"))
    other = sequence_of(changed("power-cut", lambda lines: without(lines, said)))
    (lines,) = compare([usual, other]).differences.values()
    assert [line.split(":")[0] for line in lines] == [track]


def test_a_member_that_is_started_twice_has_moved_twice(changed: Callable[..., Evidence]) -> None:
    def twice(lines: list[Line]) -> list[Line]:
        found = []
        for line in lines:
            found.append(line)
            if "Result of start operation for tgt on alpha" in json.dumps(line):
                data = {**line["data"], "monotonic_us": line["data"]["monotonic_us"] + 1}
                found.append({**line, "data": data})
        return found

    tracks = sequence_of(changed("power-cut", twice))
    assert tracks["tgt of the group"] == ("passive", "passive")


def test_the_most_frequent_is_what_others_are_compared_with() -> None:
    a: Tracks = {"x": ("1", "2")}
    b: Tracks = {"x": ("1", "3")}
    c: Tracks = {"x": ("1",), "y": ("4",)}
    comparison = compare([a, b, b, c])
    assert comparison.same == 2
    assert comparison.differences == {
        1: ("x: 1 → 2, mostly 1 → 3 (from the second state on)",),
        4: (
            "x: 1, mostly 1 → 3 (from the second state on)",
            "y: 4, mostly nothing (from the first state on)",
        ),
    }
    assert compare([]).runs == 0


def test_when_things_happened_is_told_from_the_first_injection_on() -> None:
    first, second = (
        moments(Evidence(FIXTURES / f"two-power-cuts-{n}")) for n in ("first", "second")
    )
    key = ("passive r1 role", 1, "Primary")
    told = paces([first, second])
    (pace,) = [one for one in told if one.what == "passive r1 role: Primary"]
    assert {pace.least_s, pace.most_s} == {first[key], second[key]}
    assert pace.median_s == pace.most_s
    assert [one.median_s for one in told] == sorted(one.median_s for one in told)
    assert all(seconds >= 0 for seconds in first.values())
    assert ("passive r1 role", 0, "Secondary") not in first, "it was so before"
    assert paces([]) == []
