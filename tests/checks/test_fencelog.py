"""The fencer's lines, as several versions of Pacemaker print them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.checks.fencelog import parse_operation


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
