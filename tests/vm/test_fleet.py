"""Two clusters at once: on one host, and on two, of which one dies half way.

Emulated on two cores they run by the timing profile tcg-shared; that they do not fence falsely is
part of what is asked. The other host is a private one that is reached by qemu+ssh
(tests/vm/test_remote_host.py). Three GiB of memory for each cluster.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from harness.evidence.attempts import superseded
from harness.fleet.parts import parts_of
from harness.lab.host import kill_warden
from harness.lab.paths import PROJECT
from harness.report.fleet import PLACE
from harness.timing import share_cores
from harness.waiting import wait_until
from tests.vm.conftest import HostState
from tests.vm.test_remote_host import far

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.vm.test_remote_host import Far

__all__ = ["far"]

pytestmark = [pytest.mark.vm, pytest.mark.nightly]

_CUT = "The drbd and mgmt links are cut during writes [silently]"
_SCENARIOS = (
    _CUT,  # who is fenced is decided by the head start
    "The mgmt link is cut during writes [silently]",
    "The drbd link is cut during writes [silently]",
    "The passive node loses power during writes",
)


def told(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def by_name(folders: list[Path]) -> dict[str, list[Path]]:
    """Evidence folders by the name of their scenario."""
    found: dict[str, list[Path]] = {}
    for folder in folders:
        found.setdefault(str(told(folder / "scenario.json")["name"]), []).append(folder)
    return found


def evidence(run: Path) -> dict[str, list[Path]]:
    return by_name([path.parent for path in run.glob("evidence/*/scenario.json")])


def check_one_report(run: Path) -> None:
    """One folder, one page, one verdict for each scenario, nothing that was not gathered."""
    assert sorted(evidence(run)) == sorted(_SCENARIOS)
    assert all(len(folders) == 1 for folders in evidence(run).values())
    for (folder,) in evidence(run).values():
        assert told(folder / "verdict.json")["verdict"] == "VALID", folder.name
    page = (run / "index.html").read_text(encoding="utf-8")
    assert all(name in page for name in _SCENARIOS)
    assert parts_of(run) == []


def places(run: Path) -> Counter[str]:
    """How many scenarios each worker ran to their end."""
    found = [told(folder / PLACE) for (folder,) in evidence(run).values()]
    return Counter(f"{one['worker']} on {one['host']}" for one in found)


def test_two_clusters_on_one_host(
    harness: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    """The acceptance of both at once, in one report; nobody is fenced who should not be."""
    before, run = HostState.now(), tmp_path / "run"
    done = harness("run", "-n", "2", "--folder", str(run), *_SCENARIOS, timeout_s=7200)
    assert done.returncode == 0
    check_one_report(run)
    assert len(places(run)) == 2, "each cluster had its share"
    facts = told(run / "run.json")
    emulated = facts["accelerator"] == "tcg"
    shared = emulated and share_cores(2, len(os.sched_getaffinity(0)))
    assert facts["timing"]["name"] == ("tcg-shared" if shared else facts["accelerator"])
    spans = [_span(folder) for (folder,) in evidence(run).values()]
    at_once = [(a, b) for a in spans for b in spans if a is not b and a[0] < b[1] and b[0] < a[1]]
    assert at_once, "they ran at the same time"
    assert HostState.now() == before


def _span(folder: Path) -> tuple[int, int]:
    span = told(folder / "span.json")
    return int(span["from_ns"]), int(span["to_ns"])


def test_two_hosts_of_which_one_is_killed_half_way(far: Far, tmp_path: Path) -> None:
    """What it ran is given to the other one: nothing is lost, and nothing is run three times."""
    run = tmp_path / "run"
    pool = tmp_path / "pool.toml"
    pool.write_text(
        '[[host]]\nname = "here"\nslots = 1\n'
        f'[[host]]\nname = "far"\nuri = "{far.uri}"\nslots = 1\n',
        encoding="utf-8",
    )
    log = tmp_path / "log"
    own = {
        **os.environ, "PYTHONPATH": str(PROJECT), "FAILOVER_HARNESS_CACHE": str(far.folder / "c"),
    }  # fmt: skip
    with log.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(
            ["nsenter", "-t", str(far.host.pid), "-n", "--", sys.executable, "-m", "harness",
             "run", "--pool", str(pool), "--folder", str(run), *_SCENARIOS],
            cwd=PROJECT, env=own, stdin=subprocess.DEVNULL, stdout=file, stderr=file,
        )  # fmt: skip
    try:
        wait_until(
            "a fault there has bitten", lambda: _bitten(run, "far", process, log), deadline_s=3600
        )
        time.sleep(2.0)
        kill_warden(far.folder / "machine")  # all of it: libvirtd, VMs, sshd
        code = process.wait(timeout=7200)
    finally:
        process.kill()
        process.wait()
        print(log.read_text(encoding="utf-8"))
    assert code == 0
    check_one_report(run)
    assert all(place.endswith("on here") for place in places(run)) or len(places(run)) == 2
    fleet = told(run / "fleet.json")
    (lost,) = fleet["lost"]
    assert lost["host"] == "far"
    assert [one["begun"] for one in fleet["given_back"]] == [True]
    attempts = Counter(
        name for name, folders in by_name(superseded(run)).items() for _folder in folders
    )
    attempts.update(evidence(run).keys())
    assert set(attempts) == set(_SCENARIOS), "nothing is lost"
    assert max(attempts.values()) == 2, "one was run again, and none of them three times"
    assert sum(attempts.values()) == len(_SCENARIOS) + 1
    assert "far" in (run / "index.html").read_text(encoding="utf-8")


def _bitten(run: Path, host: str, process: subprocess.Popen[bytes], log: Path) -> str:
    """What is missing until a scenario on a host has had its fault."""
    assert process.poll() is None, log.read_text(encoding="utf-8")[-3000:]
    for part in parts_of(run):
        if part.host != host:
            continue
        for timeline in part.folder.glob("evidence/*/timeline.jsonl"):
            if '"kind":"bitten"' in timeline.read_text(encoding="utf-8"):
                return ""
    return f"a fault on {host}"
