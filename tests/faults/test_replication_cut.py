"""Rules on the lab's bridges: one resource's replication, and the way to the fence device."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from harness.faults.fence_device import FenceBlocked
from harness.faults.journal import UndoJournal
from harness.faults.replication import ReplicationCut
from harness.faults.undo import undo_open_faults
from tests.faults.answering import FakeLab

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def fake(tmp_path: Path) -> FakeLab:
    return FakeLab(tmp_path)


class Bridges:
    """Tables of rules by name, and what nft lists of one."""

    def __init__(self) -> None:
        self.tables: dict[str, str] = {}
        self.packets = 0

    def run(self, *command: str, input_text: str | None = None) -> str:
        match command[1:]:
            case ("-f", "-"):
                self.tables[str(input_text).split()[2]] = str(input_text)
            case ("list", "tables"):
                return "".join(f"table bridge {name}\n" for name in self.tables)
            case ("list", "table", "bridge", name):
                counted = f"counter packets {self.packets} bytes 60 drop"
                return self.tables[name].replace("counter drop", counted)
            case ("delete", "table", "bridge", name):
                del self.tables[name]
        return ""


def test_one_resource_s_replication_is_cut_in_both_directions(fake: FakeLab) -> None:
    fault, fake.host = ReplicationCut("r1"), Bridges()
    assert fault.bitten(fake.as_lab) == ""
    fault.inject(fake.as_lab)
    (rules,) = fake.host.tables.values()
    for tap in ("fh0a-drbd", "fh0b-drbd"):
        for end in ("sport", "dport"):
            assert f'iifname "{tap}" tcp {end} 7781 counter drop' in rules
    assert fault.bitten(fake.as_lab) == "", "nothing was dropped"
    fake.host.packets = 3
    assert fault.bitten(fake.as_lab) == "12 frames of r1 dropped"
    assert fault.healed(fake.as_lab) == ""
    UndoJournal(fake.folder / "undo.jsonl").plan("f1", fault.undo())
    assert undo_open_faults(fake.as_lab) == ["f1"]
    assert fault.healed(fake.as_lab) == "rules removed"
    assert fault.kind.startswith("cut-"), "the judge asks whether a cut lasted"
    fault.inject(fake.as_lab)
    fault.heal(fake.as_lab)
    assert fake.host.tables == {}


@pytest.mark.skipif(shutil.which("nft") is None, reason="nft is not installed")
def test_the_kernel_takes_the_rules(fake: FakeLab) -> None:
    script = ReplicationCut("r2").ruleset(fake.as_lab)
    command = ["unshare", "-r", "-n", "nft", "-f", "-"]
    done = subprocess.run(command, input=script, capture_output=True, text=True, check=False)
    if "Operation not permitted" in done.stderr:
        pytest.skip("no namespace of one's own here")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_fence_device_works_again_though_the_dead_node_cannot_say_so(fake: FakeLab) -> None:
    fault, fake.host = FenceBlocked(("alpha", "bravo")), Bridges()
    fault.inject(fake.as_lab)
    fake.machines["alpha"].state = "off"
    assert fault.healed(fake.as_lab) == ""
    fault.heal(fake.as_lab)
    fake.bravo.answer("ping", 1)
    assert fault.healed(fake.as_lab) == ""
    fake.bravo.answer("ping", 0)
    assert fault.healed(fake.as_lab) == "rules removed; bravo pings 10.77.4.1 over fence"
    fake.machines["bravo"].state = "off"
    assert fault.healed(fake.as_lab) == "", "nobody was there to try"
