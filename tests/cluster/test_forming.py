"""Forming: what DRBD has to say before it counts as connected and in sync."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from harness.cluster.form import _unlike
from tests.faults.answering import FakeGuest, proc_drbd

if TYPE_CHECKING:
    from harness.lab.machine import Machine


def node(said: str) -> Machine:
    guest = FakeGuest()
    guest.answer("/proc/drbd", said)
    return cast("Machine", SimpleNamespace(name="alpha", guest=guest))


@pytest.mark.parametrize("field", ["cs", "disk", "oos_kib"])
def test_a_resource_that_drbd_does_not_tell_of_is_not_as_it_should_be(field: str) -> None:
    """Without the module there is none that is not connected: that is no connection."""
    missing = [f"alpha {name} is not told of" for name in ("r0", "r1", "r2")]
    assert _unlike(node(""), field, "whatever") == missing
    some = proc_drbd().split(" 2: ", 1)[0]
    assert missing[2] in _unlike(node(some), field, "whatever")


def test_what_is_as_it_should_be_is_not_named() -> None:
    said = proc_drbd(r1="Inconsistent").replace("oos:0", "oos:4", 1)
    assert _unlike(node(said), "cs", "Connected") == []
    assert _unlike(node(said), "disk", "UpToDate") == ["alpha r1 is Inconsistent"]
    assert _unlike(node(said), "oos_kib", 0) == ["alpha r0 is 4"]
