"""Where a scenario's time went: every second has one label, and what has none is the harness's."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.evidence.model import Evidence, SpanFile
from harness.evidence.phases import (
    MEANING,
    SPAN,
    Phase,
    marked,
    seconds_by_phase,
    span_of,
    spans,
    spans_of,
)
from harness.evidence.timeline import TimelineWriter, read_timeline

if TYPE_CHECKING:
    from pathlib import Path

T0 = 1_764_000_000_000_000_000
Happened = tuple[float, str, str, dict[str, Any]]


def at(seconds: float) -> int:
    return T0 + round(seconds * 1e9)


def folder_of(path: Path, events: list[Happened], end_s: float, whole: SpanFile | None) -> Path:
    """An evidence folder: (seconds after the start, channel, kind, data)."""
    path.mkdir(parents=True, exist_ok=True)
    scenario = {
        "slug": "s", "name": "S", "feature": "f", "started_ns": T0, "ended_ns": at(end_s),
        "outcome": "finished", "nodes": ["alpha", "bravo"], "initiator": "client",
        "resources": ["r0"], "vip": "10.0.0.1",
        "expect": {"failovers": 0, "fencings": 0, "max_stall_s": 0, "workload": True,
                   "fault": True},
    }  # fmt: skip
    (path / "scenario.json").write_text(json.dumps(scenario))
    with (path / "timeline.jsonl").open("w") as file:
        for number, (seconds, channel, kind, data) in enumerate(events, start=1):
            line = {"n": number, "t_ns": at(seconds), "source": "host", "channel": channel,
                    "kind": kind, "data": data}  # fmt: skip
            # As TimelineWriter writes it: the quick reader looks for its very characters.
            file.write(json.dumps(line, separators=(",", ":")) + "\n")
    if whole is not None:
        whole.save(path / SPAN)
    return path


def step(begin: float, end: float, *inside: Happened) -> list[Happened]:
    return [(begin, "step", "begin", {}), *inside, (end, "step", "end", {})]


def mark(phase: str, begin: float, end: float, *inside: Happened) -> list[Happened]:
    data = {"phase": phase}
    return [(begin, "phase", "begin", data), *inside, (end, "phase", "end", data)]


def fault(kind: str, t_s: float, fault_id: str = "f1") -> Happened:
    return (t_s, "fault", kind, {"id": fault_id})


# A cut for so long, as Scenario and FaultRunner tell of it, with some noise between.
CUT: list[Happened] = [
    *step(0, 7, *mark("revert", 0.5, 5), (6, "journal", "entry", {"phase": "fault"})),
    *step(7.5, 20, *mark("load before", 7.5, 20, (9, "workload", "start", {}))),
    *step(20, 25),
    *step(25, 72, fault("plan", 25), fault("inject", 25.5), fault("bitten", 27),
          *mark("fault", 27, 57), *mark("fault", 57, 58, fault("still-bitten", 58)),
          fault("heal", 58), fault("healed", 60)),
    *step(72, 80),
    *step(80, 100, *mark("heal", 80, 90, *mark("verification", 82, 85)),
          *mark("verification", 90, 99)),
]  # fmt: skip
WHOLE = SpanFile(from_ns=T0, to_ns=at(110), judged_from_ns=at(102), judged_to_ns=at(108))


def test_every_second_of_a_cut_has_its_label(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, CUT, 99, WHOLE)
    found = spans(Evidence(folder))
    assert seconds_by_phase(found) == pytest.approx(
        {
            "revert": 4.5,
            "load before": 17.5,
            "fault": 33.0,  # until it bit, as long as it was to last, and the proof that it did
            "reaction": 0.0,
            "heal": 2 + 12 + 8 + 2 + 5,  # the heal, the rest of the step, the writes, the end
            # The load's end, the collection, the rest of the step; and the judging, after all that.
            "verification": 3 + 9 + 1 + 6,
            # The rest of the fork, between two steps, until it is judged, until the next one.
            "harness": 0.5 + 2 + 0.5 + 2 + 2,
        }
    )
    assert spans_of(folder) == found, "the quick reader sees the same"


def test_the_phases_come_in_order(tmp_path: Path) -> None:
    found = spans(Evidence(folder_of(tmp_path, CUT, 99, WHOLE)))
    assert [str(one.phase) for one in found] == [
        "harness", "revert", "harness", "load before", "fault", "heal", "verification", "heal",
        "verification", "harness", "verification", "harness",
    ]  # fmt: skip


def test_waiting_while_something_is_broken_is_the_reaction(tmp_path: Path) -> None:
    events: list[Happened] = [
        (0, "workload", "start", {}),
        *step(0, 10),
        *step(10, 12, fault("plan", 10), fault("bitten", 12)),
        *step(12, 52),  # the writes go on
        *step(52, 60, fault("heal", 53), fault("healed", 59)),
        *step(60, 65, fault("plan", 60, "f2"), fault("not-bitten", 64, "f2")),
        *step(65, 66),
    ]
    found = seconds_by_phase(spans(Evidence(folder_of(tmp_path, events, 66, None))))
    assert found == pytest.approx(
        {"revert": 0, "load before": 10, "fault": 2 + 4, "reaction": 40 + 1 + 1 + 1,
         "heal": 6 + 1, "verification": 0, "harness": 0}
    )  # fmt: skip


def test_one_fault_is_healed_while_another_one_is_still_there(tmp_path: Path) -> None:
    events: list[Happened] = [
        *step(0, 4, fault("plan", 0), fault("bitten", 2), fault("plan", 2, "f2"),
              fault("bitten", 4, "f2")),
        *step(4, 9, fault("still-bitten", 5), fault("healed", 8)),
        *step(9, 20),
    ]  # fmt: skip
    found = seconds_by_phase(spans(Evidence(folder_of(tmp_path, events, 20, None))))
    assert (found[Phase.FAULT], found[Phase.HEAL], found[Phase.REACTION]) == (4, 3, 13)


def test_an_operator_s_order_is_a_fault_though_nothing_is_injected(tmp_path: Path) -> None:
    """After a clean reboot the cluster becomes whole: that is healing, not load before."""
    events: list[Happened] = [
        (0, "workload", "start", {}),
        *step(0, 5),
        *step(5, 60, *mark("fault", 5, 8)),
        *step(60, 70),
    ]
    found = seconds_by_phase(spans(Evidence(folder_of(tmp_path, events, 70, None))))
    assert (found[Phase.LOAD], found[Phase.FAULT], found[Phase.HEAL]) == (5, 3, 62)


def test_a_scenario_that_was_killed_is_labelled_as_far_as_it_got(tmp_path: Path) -> None:
    events: list[Happened] = [
        *step(0, 5, *mark("revert", 0, 5)),
        (5, "step", "begin", {}),
        fault("plan", 6),
        (9, "journal", "entry", {}),
    ]
    folder = folder_of(tmp_path, events, 0, None)
    with (folder / "timeline.jsonl").open("a") as file:
        file.write('{"n":7,"t_ns":17')
    found = seconds_by_phase(spans(Evidence(folder)))
    assert found[Phase.REVERT] == 5
    assert sum(found.values()) == 9
    assert seconds_by_phase(spans_of(folder)) == found


def test_a_label_of_a_newer_harness_is_the_harness_s(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, step(0, 9, *mark("coffee", 2, 8)), 9, None)
    assert seconds_by_phase(spans(Evidence(folder)))[Phase.HARNESS] == 9


@pytest.mark.parametrize("text", ["", "{", "[]", '{"from_ns": 1}'])
def test_a_span_that_cannot_be_read_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / SPAN).write_text(text)
    assert span_of(tmp_path) is None
    assert span_of(tmp_path / "nowhere") is None


def test_marks_are_closed_whatever_happens_inside(tmp_path: Path) -> None:
    writer = TimelineWriter(tmp_path / "timeline.jsonl")

    def broken() -> None:
        with marked(writer, Phase.HEAL):
            with marked(writer, Phase.VERIFICATION):
                pass
            raise ValueError("x")

    with pytest.raises(ValueError, match="x"):
        broken()
    told = [(event.kind, event.data["phase"]) for event in read_timeline(writer.path)]
    assert told == [
        ("begin", "heal"), ("begin", "verification"), ("end", "verification"), ("end", "heal"),
    ]  # fmt: skip


def test_every_phase_is_explained() -> None:
    assert set(MEANING) == set(Phase)


_KINDS = {
    "step": ("begin", "end"),
    "phase": ("begin", "end"),
    "fault": ("plan", "inject", "bitten", "not-bitten", "still-bitten", "heal", "healed"),
    "workload": ("start", "exit"),
    "journal": ("entry",),
}
_events = st.lists(
    st.sampled_from([(c, k) for c, kinds in _KINDS.items() for k in kinds]).flatmap(
        lambda pair: st.tuples(
            st.floats(0, 100),
            st.just(pair[0]),
            st.just(pair[1]),
            st.fixed_dictionaries(
                {"id": st.sampled_from(["f1", "f2"]), "phase": st.sampled_from([*Phase, "?"])}
            ),
        )
    ),
    max_size=30,
)


@given(events=_events, end_s=st.floats(0, 120))
def test_the_phases_are_a_partition_of_all_the_time(
    tmp_path_factory: pytest.TempPathFactory, events: list[Happened], end_s: float
) -> None:
    """Whatever the timeline says: no gap, no overlap, from the start to the end of the span."""
    folder = tmp_path_factory.mktemp("s")
    ordered = sorted(events, key=lambda event: event[0])
    last_s = max([end_s, *(event[0] for event in ordered)])
    whole = SpanFile(
        from_ns=T0, to_ns=at(last_s + 3), judged_from_ns=at(last_s), judged_to_ns=at(last_s + 2)
    )
    found = spans(Evidence(folder_of(folder, ordered, end_s, whole)))
    assert found[0].from_ns == T0
    assert found[-1].to_ns == at(last_s + 3)
    for one, following in pairwise(found):
        assert one.to_ns == following.from_ns
        assert one.phase is not following.phase
    assert all(one.to_ns > one.from_ns for one in found)
    assert spans_of(folder) == found
