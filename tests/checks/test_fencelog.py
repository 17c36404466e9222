"""The fencer's lines, as several versions of Pacemaker print them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.checks import judge_one
from harness.checks.fencelog import parse_operation
from tests.checks.build import healthy

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (  # pacemaker 2.1.5, Debian 12
            "Operation 'reboot' targeting alpha by bravo for pacemaker-controld.683@bravo: "
            "OK (complete)",
            ("reboot", "alpha", "pacemaker-controld.683@bravo", True, False),
        ),
        (  # 2.0
            " notice: Operation 'off' targeting alpha on bravo for "
            "pacemaker-controld.26190@bravo.a127b270: OK",
            ("off", "alpha", "pacemaker-controld.26190@bravo.a127b270", True, False),
        ),
        (
            "Operation 'reboot' targeting alpha by bravo for stonith_admin.9@bravo (merged): OK",
            ("reboot", "alpha", "stonith_admin.9@bravo", True, True),
        ),
        (
            "Operation 'reboot' targeting alpha by unknown node for pacemaker-controld.1@bravo: "
            "No such device (No device configured) | id=1a2b3c4d",
            ("reboot", "alpha", "pacemaker-controld.1@bravo", False, False),
        ),
        (
            "Operation 'reboot' targeting alpha by bravo for pacemaker-controld.1@bravo: "
            "Timer expired (OK is not what it said)",
            ("reboot", "alpha", "pacemaker-controld.1@bravo", False, False),
        ),
        ("Operation 'reboot' targeting alpha using fence-alpha returned 0", None),
        ("Requesting that bravo perform 'reboot' action targeting alpha", None),
        ("Peer alpha was terminated (reboot) by bravo on behalf of x.1@bravo: OK", None),
    ],
)
def test_operations(message: str, expected: object) -> None:
    assert parse_operation(message) == expected


@given(st.text(max_size=100))
def test_other_text_is_no_operation(text: str) -> None:
    parse_operation("Operation '" + text)
    assert parse_operation(text) is None or "Operation '" in text


@pytest.mark.parametrize(
    ("order", "by", "at_s", "verdict"),
    [
        ("Initiating demote operation d0_demote_0 on alpha", "bravo", 19, "VALID"),
        ("Initiating demote operation d0_demote_0 on alpha", "bravo", 14, "INVALID"),
        ("Initiating demote operation d0_demote_0 locally on alpha", "alpha", 19, "INVALID"),
        ("Initiating demote operation d0_demote_0 on bravo", "bravo", 19, "INVALID"),
        ("Initiating stop operation d0_stop_0 on alpha", "bravo", 19, "INVALID"),
        ("", "bravo", 19, "INVALID"),
    ],
)
def test_who_was_called_unclean_and_demotes_when_ordered_needs_no_fencing(
    tmp_path: Path, order: str, by: str, at_s: float, verdict: str
) -> None:
    """As when the active node's controller was killed: the peer's scheduler called it unclean,
    it joined again a second later, and the peer ordered the group to move."""
    folder = healthy()
    folder.drop(lambda e: e.channel in ("fault", "domain", "fence") or e.kind in ("lost", "open"))
    folder.drop(lambda e: "Linux version" in str(e.data) or ("nonce" in e.kind and e.t_s == 45))
    folder.drop(lambda e: "Operation 'reboot'" in str(e.data) or "boot-2" in str(e.data))
    folder.drop(lambda e: "alpha will be fenced" in str(e.data) or "now lost" in str(e.data))
    text = "warning: Cluster node alpha will be fenced: peer process is no longer available"
    folder.journal(16, "bravo", text, identifier="pacemaker-schedulerd")
    if order:
        folder.journal(at_s, by, f" notice: {order}", identifier="pacemaker-controld")
    folder.role(21, "alpha", "Secondary")
    finding = judge_one(folder.save(tmp_path), "fence-before-promotion")
    assert str(finding.verdict) == verdict, finding.seen
