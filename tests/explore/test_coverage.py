"""In which state each fault bit: from real evidence that was cut down, and from changes of it."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.evidence.model import Evidence
from harness.explore.coverage import CoverageStore, cells_of, pack, table, unpack
from harness.explore.observing import observe

if TYPE_CHECKING:
    from collections.abc import Callable

FIXTURES = Path(__file__).parent / "fixtures"
QUIET = ("connected", "serving")

Line = dict[str, Any]


@pytest.mark.parametrize(
    ("name", "faults"),
    [
        ("standby", ["standby server"]),
        ("power-cut", ["latency drbd server", "power-off server"]),
        ("cut", ["cut-carrier drbd both"]),
        # Each time it is the node that serves: the second is the one that took over.
        ("two-power-cuts-first", ["power-off server", "power-off server"]),
    ],
)
def test_faults_of_real_runs(name: str, faults: list[str]) -> None:
    assert cells_of(Evidence(FIXTURES / name)) == [(fault, *QUIET) for fault in faults]


@pytest.fixture
def changed(tmp_path: Path) -> Callable[..., Evidence]:
    """A real run's evidence with more lines in it."""

    def change(name: str, *more: tuple[float, Line]) -> Evidence:
        folder = tmp_path / name
        shutil.copytree(FIXTURES / name, folder)
        path = folder / "timeline.jsonl"
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        zero = lines[0]["t_ns"]
        for t_s, line in more:
            lines.append({**line, "t_ns": zero + int(t_s * 1e9)})
        lines.sort(key=lambda line: line["t_ns"])
        told = [json.dumps({**line, "n": n}) for n, line in enumerate(lines, start=1)]
        path.write_text("\n".join(told) + "\n")
        return Evidence(folder)

    return change


def inject(kind: str, target: str) -> Line:
    data = {"id": "f9", "fault": kind, "kind": kind, "target": target, "proof": ""}
    return {"source": "host", "channel": "fault", "kind": "inject", "data": data}


@pytest.mark.parametrize(
    ("t_s", "state"),
    [
        # The active node (bravo) is emptied from 25.9 s on, demoted at 42 s; alpha is promoted at
        # 61 s and has started everything at 92 s; bravo comes back, r0 first, from 104 s on.
        (20, ("connected", "serving")),
        (30, ("connected", "stopping")),
        (45, ("connected", "promoting")),
        (55, ("alone", "promoting")),
        (62, ("alone", "starting")),
        (95, ("alone", "serving")),
        (108, ("resync", "serving")),
        (134, ("connected", "serving")),
    ],
)
def test_a_fault_in_the_middle_of_a_planned_move(
    changed: Callable[..., Evidence], t_s: float, state: tuple[str, str]
) -> None:
    evidence = changed("standby", (t_s, inject("cut-silent", "mgmt link of alpha")))
    (cell,) = [cell for cell in cells_of(evidence) if cell[0].startswith("cut")]
    assert cell[1:] == state


@pytest.mark.parametrize(
    ("t_s", "phase"), [(36, "promoting"), (45, "fencing"), (56, "promoting"), (70, "starting")]
)
def test_a_fault_in_the_middle_of_a_failover(
    changed: Callable[..., Evidence], t_s: float, phase: str
) -> None:
    evidence = changed("power-cut", (t_s, inject("latency", "data link of alpha, 50 ms")))
    assert cells_of(evidence)[-1] == ("latency data " + ("spare" if t_s < 59 else "server"),
                                      "alone", phase)  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "target", "label"),
    [
        ("cut-silent", "drbd and mgmt link of alpha and bravo", "cut-silent drbd+mgmt both"),
        ("cut-silent", "drbd link of alpha, inbound only", "cut-silent drbd spare one-way"),
        ("cut-carrier", "data link of client", "cut-carrier data initiator"),
        ("cut-replication", "replication of r1", "cut-replication"),
        ("loss", "drbd link of bravo, 5 % lost", "loss drbd server"),
        ("daemon-killed", "corosync of bravo", "daemon-killed corosync server"),
        ("daemon-stopped", "iscsid of client", "daemon-stopped iscsid initiator"),
        ("fence-hangs", "the fence device", "fence-hangs fence device"),
        ("fence-down", "the fence device", "fence-down fence device"),
        ("fence-unreachable", "the fence device, from alpha and bravo", "fence-unreachable both"),
        ("clock-drift", "clock of alpha, +5 %", "clock-drift spare"),
        ("slow-disk", "disks of alpha, 20 requests a second", "slow-disk spare"),
        ("disk-errors", "disks of r1 on alpha", "disk-errors spare"),
        ("invalidated", "data of alpha, copied anew at 1024 KiB/s", "invalidated spare"),
        ("clock-jump", "clock of bravo, +3600 s", "clock-jump server"),
        ("maintenance", "the cluster", "maintenance"),
        ("pause", "alpha", "pause spare"),
    ],
)
def test_faults_are_named_by_what_they_hit(
    changed: Callable[..., Evidence], kind: str, target: str, label: str
) -> None:
    assert cells_of(changed("cut", (15, inject(kind, target))))[0] == (label, *QUIET)


@pytest.mark.parametrize(
    ("t_s", "text", "label"),
    [
        (20, "the passive node is rebooted cleanly", "reboot spare"),
        (20, "the active node is rebooted cleanly", "reboot server"),
        (20, "bravo is rebooted cleanly", "reboot server"),
        # After the move it is the other way round.
        (134, "the passive node is rebooted cleanly", "reboot server"),
        (134, "alpha is rebooted cleanly", "reboot server"),
        (134, "the active node is rebooted cleanly", "reboot spare"),
    ],
)
def test_a_clean_reboot_counts(
    changed: Callable[..., Evidence], t_s: float, text: str, label: str
) -> None:
    step = {"source": "host", "channel": "step", "kind": "begin", "data": {"text": text}}
    assert (label, *QUIET) in cells_of(changed("standby", (t_s, step)))


def test_a_connection_that_was_given_up_and_a_disk_that_is_gone() -> None:
    (cell,) = cells_of(Evidence(FIXTURES / "cut-without-address"))
    assert cell == ("cut-carrier drbd both", *QUIET)


def test_states_of_disks_and_connections(changed: Callable[..., Evidence]) -> None:
    def told(thing: str, **fields: str) -> Line:
        data = {"object": thing, "fields": {"name": "r1", **fields}}
        return {"source": "alpha", "channel": "events2", "kind": "change", "data": data}

    fault = inject("pause", "alpha")
    evidence = changed(
        "cut",
        (14, told("device", disk="Diskless")),
        (15, fault),
        (16, told("connection", connection="StandAlone")),
        (17, fault),
    )
    assert [cell[1] for cell in cells_of(evidence)][:2] == ["diskless", "stand-alone"]


def test_what_cannot_be_read_was_not_seen(tmp_path: Path) -> None:
    assert observe(tmp_path).cells == ()
    (tmp_path / "scenario.json").write_text("{")
    (tmp_path / "timeline.jsonl").write_text("?\n")
    assert observe(tmp_path).cells == ()


def test_reactions_and_what_was_missed(changed: Callable[..., Evidence]) -> None:
    def state(kind: str, **data: object) -> Line:
        return {"source": "host", "channel": "state", "kind": kind, "data": data}

    evidence = changed(
        "cut",
        (20, state("reaction", trigger="x", seconds=0.25)),
        (21, state("reaction", trigger="x", seconds="soon")),
        (22, state("trigger-missed", trigger="a fencing of alpha was ordered", seconds=60)),
    )
    seen = observe(evidence.folder)
    assert seen.reactions == (0.25,)
    assert seen.missed == ("a fencing of alpha was ordered",)
    assert len(seen.cells) == 1


CELLS = [("power-off server", "connected", "serving"), ("pause spare", "alone", "fencing")]


def test_counts_are_stored_and_read() -> None:
    counts = Counter({CELLS[0]: 2, CELLS[1]: 1})
    assert unpack(json.loads(json.dumps(pack(counts)))) == counts
    wrong: tuple[object, ...] = (None, 3, [["a", "b"]], [["a", "b", "c", "many"]])
    for raw in wrong:
        with pytest.raises(ValueError, match="not a count"):
            unpack(raw)


def test_the_store_counts_nothing_twice(tmp_path: Path) -> None:
    store = CoverageStore(tmp_path / "deep" / "coverage.json")
    assert store.seen("reference") == Counter()
    store.put("one", "reference", CELLS[:1])
    store.put("one", "reference", CELLS)
    store.put("one", "reference", CELLS)
    store.put("two", "reference", CELLS[:1])
    store.put("three", "another", CELLS[:1] * 9)
    assert store.seen("reference") == Counter({CELLS[0]: 2, CELLS[1]: 1})
    assert store.seen("reference", but="one") == Counter({CELLS[0]: 1})
    assert store.seen("another") == Counter({CELLS[0]: 9})
    assert [path.name for path in store.path.parent.iterdir()] == ["coverage.json"]


@pytest.mark.parametrize("content", ["", "[]", '{"schema": 9}', '{"schema": 1, "runs": {"a": 1}}'])
def test_a_file_that_is_none_of_coverage(tmp_path: Path, content: str) -> None:
    path = tmp_path / "coverage.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"coverage\.json"):
        CoverageStore(path).seen("reference")


def test_the_table_has_a_line_for_each_fault_and_a_column_for_each_state() -> None:
    lines = table(Counter({CELLS[0]: 12, CELLS[1]: 1}))
    assert len(lines) == 4
    assert lines[0].split() == ["connected", "alone"]
    assert lines[1].split() == ["fault", "serving", "fencing"]
    assert lines[2].split() == ["pause", "spare", "·", "1"]
    assert lines[3].split() == ["power-off", "server", "12", "·"]
    assert len({len(line) for line in lines}) == 1
    assert table({}) == ["no fault was injected yet"]
