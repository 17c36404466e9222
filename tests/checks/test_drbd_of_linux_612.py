"""DRBD 8.4.11 of Linux 6.12 begins what it says of a device with "drbd r0/0 drbd0: ".

In 6.1 that was "block drbd0: ". The fixture has the formats of the module of Debian 13's kernel
(``strings`` of drbd.ko, linux-image-6.12.118+deb13-cloud-amd64), without printk's level.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.checks import alarms, judge_one, kernel, provoked, refusals, split_brain
from tests.checks.build import healthy

FORMATS = Path("tests/checks/fixtures/drbd-printk-6.12.txt").read_text().splitlines()
OF_DEVICE, OF_CONNECTION = "drbd %s/%u drbd%u: ", "drbd %s: "
NEW, OLD = "drbd r1/0 drbd1: ", "block drbd1: "


def said(format_: str) -> str:
    """A format with something in each of its places."""
    text = format_.replace(OF_DEVICE, NEW).replace(OF_CONNECTION, "drbd r1: ")
    return re.sub(r"%l*[ux]", "3", re.sub(r"%d", "100", text.replace("%s", "word")))


def test_the_resource_and_the_text_of_every_message_are_found() -> None:
    assert {f.startswith(OF_DEVICE) for f in FORMATS} == {True, False}
    for format_ in FORMATS:
        match = kernel._PREFIX.match(said(format_))
        assert match is not None, format_
        assert match["resource"] == "r1"
        assert not match["text"].startswith("drbd"), format_


def test_a_split_brain_is_known_by_its_words() -> None:
    texts = [said(format_) for format_ in FORMATS]
    for pattern in split_brain._MESSAGES[:1] + split_brain._MESSAGES[2:]:
        assert any(pattern.search(text) for text in texts), pattern.pattern


@pytest.mark.parametrize("prefix", [OLD, NEW, "drbd r1: "])
def test_a_device_is_known_by_either_name(prefix: str) -> None:
    match = provoked._OF_DRBD.match(f"{prefix}Local IO failed in drbd_endio. Detaching...")
    assert match is not None
    assert (match["minor"], match["resource"]) == (
        ("1", None) if prefix == OLD else (None, "r1")
    )  # fmt: skip
    match = alarms._DETACHED.search(f"{prefix}disk( UpToDate -> Failed ) ")
    assert match is not None
    assert (match["minor"], match["resource"]) == (
        ("1", None) if prefix == OLD else (None, "r1")
    )  # fmt: skip
    refused = f"{prefix}State change failed: Need access to UpToDate data"
    assert refusals._NO_DATA.match(refused)


@pytest.mark.parametrize("prefix", [OLD, NEW])
def test_a_planned_stop_is_no_alarm(tmp_path: Path, prefix: str) -> None:
    folder = healthy()
    text = " notice: Initiating stop operation d1_stop_0 on bravo"
    folder.journal(79, "alpha", text, identifier="pacemaker-controld", boot="2")
    folder.kernel(80, "bravo", f"{prefix}disk( UpToDate -> Failed ) ")
    assert str(judge_one(folder.save(tmp_path), "kernel-alarms").verdict) == "VALID"
    folder.kernel(81, "bravo", f"{prefix}ASSERTION device->open_cnt == 0 FAILED in drbd_open")
    assert str(judge_one(folder.save(tmp_path / "b"), "kernel-alarms").verdict) == "INVALID"
