"""A run's own comparison: this host before and after it, and its lab at the first and the last."""

from __future__ import annotations

import json
import subprocess
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from harness import leaving
from harness.errors import HarnessError
from harness.lab.traces import running_beside
from harness.leaving import Leftovers, changes

if TYPE_CHECKING:
    from pathlib import Path

    from harness.lab.traces import Running


class PrivateHost:
    """Stands for the private host that a lab is on."""

    pid = 1


class World:
    """A host and a lab as the harness sees them."""

    def __init__(self) -> None:
        self.host: dict[str, list[Any]] = {
            "mounts": ["/: ext4, rw"], "rules": [], "links": [], "qdiscs": [],
        }  # fmt: skip
        self.lab: dict[str, dict[str, list[Any]]] = {
            "alpha": {"qdiscs": ["lo: noqueue"]},
            "lab": {"rules": []},
        }
        self.running: list[Running] = []
        self.did: list[str] = []
        self.broken = False
        self.read = False  # somebody reads the ports of the witnesses

    def streams(self) -> list[Any]:
        return []

    def revert(self) -> None:
        self.did.append("revert")
        if self.broken:
            raise HarnessError("libvirt is gone")


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> World:
    world = World()

    boot_id = tmp_path / "boot_id"
    boot_id.write_text("boot-1\n")
    monkeypatch.setattr(leaving, "_BOOT_ID", boot_id)
    monkeypatch.setattr(leaving, "_END_S", 0.0)
    monkeypatch.setattr(leaving, "_SETTLE_S", 0.0)
    monkeypatch.setattr(leaving, "PrivateHost", PrivateHost)
    monkeypatch.setattr(leaving, "host_traces", lambda: json.loads(json.dumps(world.host)))
    monkeypatch.setattr(leaving, "residue", lambda _lab: json.loads(json.dumps(world.lab)))
    monkeypatch.setattr(leaving, "running_beside", lambda _pid: world.running)
    monkeypatch.setattr(leaving, "undo_open_faults", lambda _lab: world.did.append("undo"))
    return world


def lab(world: World) -> Any:
    return SimpleNamespace(
        host=PrivateHost(), machines={}, revert=world.revert, streams=world.streams
    )


def part(folder: Path, number: int = -1) -> dict[str, Any]:
    told = json.loads((folder / "residue.json").read_text())["parts"][number]
    assert isinstance(told, dict)
    return told


def test_a_run_that_leaves_nothing_says_so(world: World, tmp_path: Path) -> None:
    left = Leftovers(tmp_path)
    left.before_the_lab()
    left.with_the_lab(lab(world))
    assert part(tmp_path)["differences"] is None, "nobody has looked at the end yet"
    left.of_the_lab(lab(world), 60)
    assert world.did == ["undo", "revert"], "as a scenario would begin"
    left.of_the_host()
    told = part(tmp_path)
    assert told["differences"] == []
    assert told["host"] == {"before": world.host, "after": world.host}
    assert told["lab"] == {"before": world.lab, "after": world.lab}


def test_what_is_left_is_told_of_host_lab_and_guests(world: World, tmp_path: Path) -> None:
    process = subprocess.Popen(["sleep", "60"])
    try:
        left = Leftovers(tmp_path)
        left.before_the_lab()
        left.with_the_lab(lab(world))
        world.host["mounts"].append("/mnt: tmpfs, rw")
        world.lab["lab"] = {"rules": ["table bridge fh0_cut_alpha_drbd_both"]}
        del world.lab["alpha"]
        world.running = [one for one in running_beside(process.pid) if one.pid == process.pid]
        left.of_the_lab(lab(world), 60)
        left.of_the_host()
    finally:
        process.kill()
        process.wait()
    assert part(tmp_path)["differences"] == [
        "host: mounts: /mnt: tmpfs, rw is left over",
        f"host: of the lab there still runs sleep ({process.pid})",
        "alpha: does not answer",
        "lab: rules: table bridge fh0_cut_alpha_drbd_both is left over",
    ]


def test_the_last_look_waits_for_services_whose_ports_are_read_again(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A formed cluster kept drbdsetup running for minutes; a revert starts its service anew."""

    class Reading:
        def __init__(self, streams: list[Any], _add: object) -> None:
            assert streams == []
            world.read = True

        def close(self) -> None:
            world.read = False

    def events2(name: str, age_s: int) -> dict[str, Any]:
        return {"name": name, "unit": "lab-events2.service", "age_s": age_s, "stopped": False}

    looks: list[bool] = []

    def look(_lab: object) -> dict[str, Any]:
        looks.append(world.read)
        begun = len(looks) == 1 or (world.read and len(looks) > 2)
        process = events2("drbdsetup-84", 271) if begun else events2("sh", 3)
        return {"bravo": {"processes": [process]}, "lab": {}}

    monkeypatch.setattr(leaving, "Witnesses", Reading)
    monkeypatch.setattr(leaving, "residue", look)
    monkeypatch.setattr(leaving, "_SETTLE_S", 30.0)
    left = Leftovers(tmp_path)
    left.before_the_lab()
    left.with_the_lab(lab(world))
    left.of_the_lab(lab(world), 60)
    left.of_the_host()
    assert looks == [False, True, True], "once before; at the end until it is as it was"
    assert not world.read
    assert part(tmp_path)["differences"] == []


def test_a_service_that_does_not_come_back_is_told(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = iter([[{"name": "iscsid", "unit": "u", "age_s": 271, "stopped": False}], []])
    monkeypatch.setattr(
        leaving, "residue", lambda _lab: {"client": {"processes": next(looks)}, "lab": {}}
    )
    left = Leftovers(tmp_path)
    left.before_the_lab()
    left.with_the_lab(lab(world))
    left.of_the_lab(lab(world), 60)
    left.of_the_host()
    assert part(tmp_path)["differences"] == ["client: processes: iscsid (u) is gone"]


def test_a_lab_that_cannot_be_reverted_is_looked_at_all_the_same(
    world: World, tmp_path: Path
) -> None:
    left = Leftovers(tmp_path)
    left.before_the_lab()
    left.with_the_lab(lab(world))
    world.broken = True
    left.of_the_lab(lab(world), 60)
    left.of_the_host()
    assert part(tmp_path)["differences"] == []


def test_a_later_part_is_compared_with_the_beginning_of_the_first(
    world: World, tmp_path: Path
) -> None:
    """A part that was killed left something; the next one finds it there, and tells of it."""
    killed = Leftovers(tmp_path)
    killed.before_the_lab()
    world.host["rules"].append("table bridge fh0_cut")
    second = Leftovers(tmp_path)
    second.before_the_lab()
    second.of_the_host()
    assert part(tmp_path, 0)["differences"] is None
    assert part(tmp_path, 1)["differences"] == ["host: rules: table bridge fh0_cut is left over"]


def test_a_host_that_has_booted_since_begins_anew(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Leftovers(tmp_path).before_the_lab()
    booted = tmp_path / "booted"
    booted.write_text("boot-2\n")
    monkeypatch.setattr(leaving, "_BOOT_ID", booted)
    world.host["mounts"].append("/data: ext4, rw")
    second = Leftovers(tmp_path)
    second.before_the_lab()
    second.of_the_host()
    assert part(tmp_path)["differences"] == []


def test_monitors_come_and_go_daemons_do_not() -> None:
    def one(name: str, age_s: int, *, stopped: bool = False) -> dict[str, Any]:
        return {"name": name, "unit": f"{name}.service", "age_s": age_s, "stopped": stopped}

    before = {"processes": [one("corosync", 400), one("iscsid", 300), one("crm_mon", 2)]}
    after = {"processes": [one("corosync", 420, stopped=True), one("ping", 3), one("nbdkit", 31)]}
    assert changes(before, after) == [
        "processes: corosync (corosync.service) is stopped",
        "processes: nbdkit (nbdkit.service) is left over, 31 s old",
        "processes: iscsid (iscsid.service) is gone",
    ]


def test_what_nobody_could_look_at_is_told(world: World, tmp_path: Path) -> None:
    """A tool that fails both times would else be no difference."""
    del world.host["rules"]
    left = Leftovers(tmp_path)
    left.before_the_lab()
    left.with_the_lab(lab(world))
    del world.host["mounts"]
    world.lab["alpha"] = {}
    world.lab["bravo"] = {"qdiscs": []}
    left.of_the_lab(lab(world), 60)
    left.of_the_host()
    assert part(tmp_path)["differences"] == [
        "host: mounts: nobody could look at the end", "host: rules: nobody could look",
        "bravo: did not answer before", "alpha: qdiscs: nobody could look at the end",
    ]  # fmt: skip
