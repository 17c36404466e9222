"""Links of Corosync that stay down, and cuts that Corosync never noticed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.checks import judge_one
from harness.evidence.model import RunInfo
from tests.checks.build import healthy

if TYPE_CHECKING:
    from pathlib import Path

    from harness.checks import CheckResult
    from tests.checks.build import Folder

# Debian 12: Corosync 3.1.7 with libknet 1.25, 2026-11-27.
UP = "  [KNET  ] rx: host: {} link: {} is up"
DOWN = "  [KNET  ] link: host: {} link: {} is down"
HOSTS = {"alpha": "2", "bravo": "1"}  # the number of its peer, as each node says it


def cut(kind: str = "cut-carrier", target: str = "mgmt link of alpha and bravo") -> Folder:
    """Nobody loses power: a link is cut from 20 to 50 s, and both links were up long before:
    nothing is told of them, as no line from before the witness' nonce is read."""
    folder = healthy()
    folder.drop(lambda event: event.channel in ("fault", "domain", "fence"))
    folder.drop(lambda event: "Linux version" in str(event.data))
    folder.drop(lambda event: event.data.get("boot_id") == "alpha-boot-2")
    fault = {"fault": kind, "kind": kind, "target": target, "id": "f1"}
    for t_s, event in ((20, "inject"), (20.5, "bitten"), (50, "heal"), (51, "healed")):
        folder.add(t_s, "host", "fault", event, **fault, proof="seen")
    return folder


def say(folder: Folder, t_s: float, node: str, text: str, link: str, boot: str = "1") -> None:
    words = text.format(HOSTS[node], link)
    folder.journal(t_s, node, words, identifier="corosync", transport="syslog", boot=boot)


def judged(folder: Folder, path: Path) -> CheckResult:
    return judge_one(folder.save(path), "corosync-links")


def fails(folder: Folder, link: str = "0", *, back: tuple[str, ...] = ("alpha", "bravo")) -> Folder:
    for node in HOSTS:
        say(folder, 22, node, DOWN, link)
        if node in back:
            say(folder, 53, node, UP, link)
    return folder


def test_a_link_that_fails_and_recovers(tmp_path: Path) -> None:
    result = judged(fails(cut()), tmp_path)
    assert (str(result.verdict), result.details) == ("VALID", {"lasting cuts": 1, "down": 2})


def test_a_link_that_stays_down_for_one_of_them(tmp_path: Path) -> None:
    result = judged(fails(cut(), back=("alpha",)), tmp_path)
    assert (str(result.verdict), result.seen) == (
        "INVALID", "bravo: link 0 to host 1 is still down"
    )  # fmt: skip
    assert len(result.when_ns) == 1


def test_a_long_cut_that_corosync_never_noticed_is_none(tmp_path: Path) -> None:
    result = judged(cut(), tmp_path / "silent")
    assert (str(result.verdict), result.seen) == (
        "INCONCLUSIVE",
        "mgmt link of alpha and bravo was cut for 30 s, "
        "and Corosync never missed its link 0 (mgmt)",
    )
    # It missed the other one.
    assert str(judged(fails(cut(), "1"), tmp_path / "other").verdict) == "INCONCLUSIVE"
    both = cut("cut-silent", "drbd and mgmt link of alpha")
    assert "link 1 (drbd)" in judged(fails(both), tmp_path / "both").seen


def of_rings(*rings: str) -> RunInfo:
    config = {"corosync": {"rings": rings}}
    return RunInfo(run="r", started_ns=1, accelerator="tcg", harness="0", config=config)


def test_with_a_single_link_nobody_knows_which_it_is(tmp_path: Path) -> None:
    of_rings("mgmt").save(tmp_path / "run.json")
    assert str(judged(cut(), tmp_path / "evidence" / "a").verdict) == "VALID"


def test_a_link_has_the_number_of_its_place_in_the_configuration(tmp_path: Path) -> None:
    of_rings("drbd", "mgmt").save(tmp_path / "run.json")
    missed = judged(fails(cut(), "0"), tmp_path / "evidence" / "a")
    assert "never missed its link 1 (mgmt)" in missed.seen
    assert str(judged(fails(cut(), "1"), tmp_path / "evidence" / "b").verdict) == "VALID"


def test_a_short_cut_need_not_be_noticed(tmp_path: Path) -> None:
    folder = cut()
    folder.drop(lambda event: event.kind == "heal")
    fault = {"fault": "cut", "kind": "cut-carrier", "target": "mgmt link of alpha", "id": "f1"}
    folder.add(25, "host", "fault", "heal", **fault)
    assert str(judged(folder, tmp_path).verdict) == "VALID"


def test_who_booted_has_to_have_both_again(tmp_path: Path) -> None:
    folder = fails(cut("cut-silent", "drbd and mgmt link of alpha"))
    for node in HOSTS:
        say(folder, 22, node, DOWN, "1")
        say(folder, 53, node, UP, "1")
    assert str(judged(folder, tmp_path / "stayed").verdict) == "VALID"
    say(folder, 70, "alpha", UP, "1", boot="2")
    result = judged(folder, tmp_path / "half")
    assert (str(result.verdict), result.seen) == ("INVALID", "alpha: link 0 never came up again")
    say(folder, 71, "alpha", UP, "0", boot="2")
    assert str(judged(folder, tmp_path / "booted").verdict) == "VALID"


def test_until_a_node_went_down_it_was_not_long_enough(tmp_path: Path) -> None:
    folder = cut("cut-silent", "mgmt link of alpha")
    folder.add(30, "alpha", "domain", "lifecycle", event="stopped", detail="failed")
    assert str(judged(folder, tmp_path).verdict) == "VALID"


@pytest.mark.parametrize("target", ["data link of alpha", "data link of client", "alpha"])
def test_what_is_none_of_corosync_s_does_not_concern_it(tmp_path: Path, target: str) -> None:
    result = judged(cut(target=target), tmp_path)
    assert "does not apply" in result.seen
