"""Faults leave nothing: what is left over, what is gone, and what may come and go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from harness.checks import Verdict, judge_one
from tests.checks.build import Folder, healthy, process
from tests.checks.planting import INCONCLUSIVE, INVALID

if TYPE_CHECKING:
    from pathlib import Path


def left(folder: Folder, path: Path) -> str:
    """What the check sees of a folder that is not as it was."""
    result = judge_one(folder.save(path), "residue")
    assert result.verdict is INVALID
    assert result.expected == "the same as before"
    assert len(result.evidence) == 2 * len({text.split(":")[0] for text in result.seen.split("; ")})
    return result.seen


def at_the_end(folder: Folder, machine: str, section: str) -> list[Any]:
    there = folder.value("residue", "after", machine).setdefault(section, [])
    assert isinstance(there, list)
    return there


@pytest.mark.parametrize(
    ("machine", "section", "what"),
    [
        ("alpha", "qdiscs", "drbd: netem root limit 20000 delay 200ms"),
        ("bravo", "links", "drbd: mtu 1500, UP LOWER_UP"),
        ("client", "links", "data: mtu 9000, UP"),
        ("lab", "rules", "table bridge fh0_cut_alpha_drbd_both"),
        ("client", "mounts", "/mnt: ext4, rw"),
        ("alpha", "files", "/var/.lab-filler.0"),
        ("bravo", "drbd", "resync-rate 512k"),
        ("alpha", "addresses", "data: inet 10.77.1.77/24"),
        ("lab", "addresses", "fh0-mgmt: inet 10.77.3.9/24"),
        ("client", "clock", "frequency 0 tick 10100"),
        ("alpha", "properties", "cib-bootstrap-options-maintenance-mode: maintenance-mode=true"),
    ],
)
def test_what_was_not_there_before_is_left_over(
    tmp_path: Path, machine: str, section: str, what: str
) -> None:
    folder = healthy()
    at_the_end(folder, machine, section).append(what)
    assert left(folder, tmp_path) == f"{machine}: {section}: {what} is left over"


def test_a_healed_folder_says_how_much_was_compared(tmp_path: Path) -> None:
    result = judge_one(healthy().save(tmp_path), "residue")
    assert result.verdict is Verdict.VALID
    assert result.seen.startswith("the same as before, ")
    assert result.operations > 20


def test_what_is_gone_is_told(tmp_path: Path) -> None:
    folder = healthy()
    at_the_end(folder, "alpha", "qdiscs").clear()
    at_the_end(folder, "bravo", "mounts").remove("/: ext4, rw")
    assert left(folder, tmp_path).split("; ") == [
        "alpha: qdiscs: data: fq_codel root is gone", "bravo: mounts: /: ext4, rw is gone",
    ]  # fmt: skip


def test_an_address_may_be_with_the_other_node_and_nowhere_else(tmp_path: Path) -> None:
    """bravo has taken over, and the VIP with it; its own address nobody else may have."""
    folder = healthy()
    assert "data: inet vip/24" in at_the_end(folder, "bravo", "addresses")
    assert "data: inet vip/24" not in at_the_end(folder, "alpha", "addresses")
    at_the_end(folder, "bravo", "addresses").remove("data: inet vip/24")
    at_the_end(folder, "bravo", "addresses").remove("data: inet bravo/24")
    at_the_end(folder, "lab", "addresses").clear()
    assert left(folder, tmp_path).split("; ") == [
        "alpha: addresses: data: inet vip/24 is gone",
        "bravo: addresses: data: inet bravo/24 is gone",
        "lab: addresses: fh0-data: inet 10.77.1.1/24 is gone",
    ]


def test_a_clock_that_still_runs_fast_is_left_over(tmp_path: Path) -> None:
    folder = healthy()
    at_the_end(folder, "alpha", "clock")[:] = ["frequency 6553600 tick 10000"]
    assert left(folder, tmp_path) == (
        "alpha: clock: frequency 6553600 tick 10000 is left over; "
        "alpha: clock: frequency 0 tick 10000 is gone"
    )


@pytest.mark.parametrize(("section", "machine"), [("addresses", "lab"), ("clock", "client")])
def test_what_only_one_look_has_cannot_be_compared(
    tmp_path: Path, section: str, machine: str
) -> None:
    folder = healthy()
    del folder.value("residue", "after", machine)[section]
    result = judge_one(folder.save(tmp_path), "residue")
    assert result.verdict is INCONCLUSIVE
    assert result.seen == f"{machine}: nobody looked at {section} after"


def test_what_older_harnesses_did_not_look_at_is_named(tmp_path: Path) -> None:
    folder = healthy()
    for when in ("before", "after"):
        for machine in ("alpha", "bravo", "client", "lab"):
            for section in ("addresses", "clock"):
                folder.value("residue", when, machine).pop(section, None)
    result = judge_one(folder.save(tmp_path), "residue")
    assert result.verdict is Verdict.VALID
    assert result.seen.endswith("; nobody looked at addresses and clock")


def test_rules_and_mounts_go_with_the_role(tmp_path: Path) -> None:
    """bravo has taken over: it has what alpha had. Neither has what nobody had."""
    folder = healthy()
    assert "/sys/kernel/config: configfs, rw" in at_the_end(folder, "bravo", "mounts")
    assert "/sys/kernel/config: configfs, rw" not in at_the_end(folder, "alpha", "mounts")
    at_the_end(folder, "alpha", "mounts").append("/sys/kernel/config: configfs, rw")
    assert judge_one(folder.save(tmp_path / "kept"), "residue").verdict is Verdict.VALID
    what = "table ip filter / chain INPUT / tcp dport 3260 drop"
    at_the_end(folder, "bravo", "rules").append(what)
    assert left(folder, tmp_path / "dropped") == f"bravo: rules: {what} is left over"


@pytest.mark.parametrize(
    ("one", "says"),
    [
        # Healed at 60 s, looked at at 90 s: what is younger than 30 s is of no fault.
        (process("python3", 55, "lab-hog.service"), "python3 (lab-hog.service) is left over, 55 s"),
        (process("dd", 30, "ssh.service"), "dd (ssh.service) is left over, 30 s old"),
        (process("crm_resource", 29, "ssh.service"), ""),
        # One of that name and unit was there before.
        (process("crm_mon", 400, "ssh.service"), "crm_mon (ssh.service) is left over"),
        (process("ping", 400, "ssh.service"), ""),
        (process("ping", 400, "lab-hog.service"), "ping (lab-hog.service) is left over"),
        (process("corosync", 600, "corosync.service", stopped=True), "corosync.service) is stop"),
    ],
)
def test_processes_that_are_left_over(tmp_path: Path, one: dict[str, Any], says: str) -> None:
    folder = healthy()
    there = at_the_end(folder, "alpha", "processes")
    if one["stopped"]:
        there[:] = [other for other in there if other["name"] != one["name"]]
    there.append(one)
    if says:
        assert says in left(folder, tmp_path)
    else:
        assert judge_one(folder.save(tmp_path), "residue").verdict is Verdict.VALID


@pytest.mark.parametrize(("age_s", "says"), [(30, "is gone"), (29, "")])
def test_a_daemon_that_both_nodes_had_is_missed(tmp_path: Path, age_s: int, says: str) -> None:
    folder = healthy()
    for node in ("alpha", "bravo"):
        folder.value("residue", "before", node)["processes"].append(process("watchdog-mux", age_s))
    at_the_end(folder, "bravo", "processes").append(process("watchdog-mux", 3))
    if says:
        assert (
            left(folder, tmp_path)
            == "alpha: processes: watchdog-mux (watchdog-mux.service) is gone"
        )
    else:
        assert judge_one(folder.save(tmp_path), "residue").verdict is Verdict.VALID


def test_what_only_one_node_had_may_be_gone(tmp_path: Path) -> None:
    folder = healthy()
    folder.value("residue", "before", "alpha")["processes"].append(process("dc-only", 500))
    assert judge_one(folder.save(tmp_path), "residue").verdict is Verdict.VALID


def test_a_scenario_without_a_fault_leaves_no_process_of_its_own(tmp_path: Path) -> None:
    folder = healthy()
    folder.drop(lambda e: e.channel == "fault")
    at_the_end(folder, "client", "processes").append(process("fio", 85, "ssh.service"))
    assert judge_one(folder.save(tmp_path / "young"), "residue").verdict is Verdict.VALID
    at_the_end(folder, "client", "processes").append(process("fio", 90, "ssh.service"))
    assert "client: processes: fio (ssh.service) is left over" in left(folder, tmp_path / "old")


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("machine", ["alpha", "client", "lab"])
def test_what_nobody_looked_at_is_not_known(tmp_path: Path, machine: str, when: str) -> None:
    folder = healthy()
    folder.drop(
        lambda e: (
            (e.data.get("what"), e.data.get("when"), e.data.get("node"))
            == ("residue", when, machine)
        )
    )
    result = judge_one(folder.save(tmp_path), "residue")
    assert result.verdict is INCONCLUSIVE
    assert machine in result.seen


@pytest.mark.parametrize("value", [None, [], {"qdiscs": 1}, {"processes": ["sshd"]},
                                   {"processes": [{"age_s": 4}]}])  # fmt: skip
def test_what_cannot_be_read_is_not_known(tmp_path: Path, value: object) -> None:
    folder = healthy()
    for event in folder.events:
        if event.data.get("what") == "residue" and event.data["node"] == "alpha":
            event.data["value"] = value
    assert judge_one(folder.save(tmp_path), "residue").verdict is INCONCLUSIVE
