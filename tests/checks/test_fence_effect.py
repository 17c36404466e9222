"""Fencings that did what they said, and stops that none of them explains."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.checks.fence_effect import outages, successful_fencings
from harness.evidence.model import Evidence
from tests.checks.build import OPERATION, Folder, healthy
from tests.checks.fio_files import stamp
from tests.checks.planting import INCONCLUSIVE, INVALID, outcome, with_samples

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def lifecycle(f: Folder, vm: str, *told: tuple[float, str, str]) -> None:
    for t_s, event, detail in told:
        f.add(t_s, vm, "domain", "lifecycle", event=event, detail=detail)


def fenced_earlier(f: Folder, by_s: float) -> None:
    """The fencing, as the fencer and fence_virtd tell it, earlier than what libvirt tells."""
    for event in f.events:
        text = str(event.data.get("message", event.data.get("text", "")))
        if "Operation 'reboot'" in text or "ENTER libvirt_reboot" in text:
            event.t_s -= by_s
            if "monotonic_us" in event.data:
                event.data["monotonic_us"] -= int(by_s * 1e6)


def the_device_lied(f: Folder) -> None:
    """OK at 10 s; alpha serves on until its power goes at 20 s, and nobody is fenced again."""
    f.drop(lambda e: "will be fenced" in str(e.data.get("message")))
    fenced_earlier(f, 18)


def the_device_lied_and_alpha_stays_off(f: Folder) -> None:
    the_device_lied(f)
    f.drop(lambda e: e.data.get("event") == "started" or "Linux version" in str(e.data.get("text")))
    lifecycle(f, "alpha", (55.2, "started", "booted"))


def one_that_killed_nobody(f: Folder) -> None:
    f.journal(40, "alpha", OPERATION.format("bravo", "alpha", "alpha"), boot="2")
    f.add(39.9, "host", "fence", "line", text="ENTER libvirt_reboot fh0-bravo 9")
    f.scenario["expect"] |= {"fencings": 2, "fenced": []}
    f.value("fence_history", "after").append(
        {"target": "bravo", "action": "reboot", "state": "success", "delegate": "alpha",
         "client": "pacemaker-controld.683", "completed": "2026-11-25 14:01:00Z"}
    )  # fmt: skip


def a_crash_soon_after_the_fencing(f: Folder) -> None:
    lifecycle(f, "alpha", (60, "crashed", "0"), (61, "started", "booted"))


def a_crash_before_the_fault(f: Folder) -> None:
    lifecycle(f, "alpha", (8, "crashed", "0"), (9, "started", "booted"))


def a_crash_between_the_fault_and_the_fencing(f: Folder) -> None:
    lifecycle(f, "alpha", (23, "started", "booted"), (25, "stopped", "failed"))


def a_shutdown_that_nobody_asked_for(f: Folder) -> None:
    """In the time of a reboot that was asked for, and it stays off."""
    lifecycle(f, "alpha", (85, "stopped", "shutdown"))


def two_shutdowns_of_one_reboot(f: Folder) -> None:
    lifecycle(
        f, "alpha",
        (74, "stopped", "shutdown"), (75, "started", "booted"),
        (80, "stopped", "shutdown"), (81, "started", "booted"),
    )  # fmt: skip


def a_shutdown_long_before_the_reboot(f: Folder) -> None:
    lifecycle(f, "alpha", (64, "stopped", "shutdown"), (65, "started", "booted"))


def the_reboot_that_was_asked_for(f: Folder) -> None:
    """``with_samples`` has one of alpha that took 20 s and was sampled at 91 s."""
    lifecycle(f, "alpha", (74, "stopped", "shutdown"), (75, "started", "booted"))


def alpha_ran_when_it_was_fenced(f: Folder) -> None:
    """Powered on again before it was fenced, as measured: two stops, two causes."""
    f.drop(lambda e: e.channel == "domain" and e.data["event"] == "started")
    lifecycle(
        f, "alpha", (24, "started", "booted"), (27.15, "shutdown", "2"),
        (27.16, "stopped", "destroyed"), (27.5, "resumed", "0"), (27.5, "started", "booted"),
    )  # fmt: skip


def the_log_of_the_device_came_late(f: Folder) -> None:
    """Its target is off, so it answers at once; the report overtakes the log."""
    f.drop(lambda e: e.channel == "domain" and e.data["event"] == "started")
    lifecycle(f, "alpha", (55.2, "started", "booted"))
    for event in f.events:
        if "ENTER" in str(event.data.get("text")):
            event.t_s = 28.02


def libvirt_was_not_listened_to(f: Folder) -> None:
    f.drop(lambda e: e.channel == "domain")
    f.add(15, "host", "domain", "witness-died", reason="the connection to libvirtd closed")


@pytest.mark.parametrize(
    ("plant", "slugs"),
    [
        (the_device_lied, {"fencings"}),  # alpha boots anew before bravo is promoted
        (the_device_lied_and_alpha_stays_off, {"fencings", "fence-before-promotion"}),
        (one_that_killed_nobody, {"fencings"}),
        (a_crash_soon_after_the_fencing, {"machines"}),
        (a_crash_before_the_fault, {"machines"}),
        (a_crash_between_the_fault_and_the_fencing, {"machines"}),
        (a_shutdown_that_nobody_asked_for, {"machines"}),
        (two_shutdowns_of_one_reboot, {"machines"}),
        (a_shutdown_long_before_the_reboot, {"machines"}),
        (the_reboot_that_was_asked_for, set()),
        (alpha_ran_when_it_was_fenced, set()),
        (the_log_of_the_device_came_late, set()),
    ],
)
def test_what_a_cause_explains(
    tmp_path: Path, plant: Callable[[Folder], None], slugs: set[str]
) -> None:
    folder = with_samples(healthy())
    plant(folder)
    told = outcome(folder, tmp_path)
    judged = ("fencings", "fence-before-promotion", "machines")
    assert {s: told[s] for s in judged if s in told} == dict.fromkeys(slugs, INVALID)


def test_without_libvirt_nobody_knows(tmp_path: Path) -> None:
    folder = with_samples(healthy())
    libvirt_was_not_listened_to(folder)
    assert outcome(folder, tmp_path)["fencings"] is INCONCLUSIVE


def test_one_that_was_asked_for_again_has_two_spans(tmp_path: Path) -> None:
    folder = healthy()
    folder.add(22, "host", "fence", "line", text="ENTER libvirt_reboot fh0-alpha 4")
    (fencing,) = successful_fencings(Evidence(folder.save(tmp_path)))
    assert fencing.spans == ((stamp(21), stamp(29)), (stamp(26), stamp(29)))
    assert fencing.killed is True


def test_a_report_that_came_long_after_its_fencing(tmp_path: Path) -> None:
    """What counts is when fence_virtd was asked."""
    folder = healthy()
    fenced_earlier(folder, -57)
    for event in folder.events:
        if "ENTER" in str(event.data.get("text")):
            event.t_s = 27
    evidence = Evidence(folder.save(tmp_path))
    (fencing,) = successful_fencings(evidence)
    assert fencing.killed is True
    assert fencing.spans[0][1] == stamp(58)
    assert [(o.stop.t_ns, o.until_ns) for o in outages(evidence)["alpha"]] == [
        (stamp(20.3), stamp(27))
    ]
