"""The doctor about another host, through a real sshd."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import libvirt
import pytest

from harness.lab.connected import check
from harness.lab.doctor import real_host
from tests.sshd.test_remote_lab import Daemon

if TYPE_CHECKING:
    from pathlib import Path

    from tests.sshd.farhost import FarHost

pytestmark = pytest.mark.sshd


@pytest.fixture
def found(far: FarHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    daemon = Daemon()
    monkeypatch.setattr(libvirt, "open", lambda _uri: daemon)
    return lambda: {one.check: one for one in check(real_host(), far.uri, tmp_path)}


def test_it_is_asked_about_that_host(found: Any) -> None:
    told = found()
    assert told["connection"].ok == "ok"
    assert "on far.example" in told["connection"].seen
    own = {name.partition(": ")[2]: one for name, one in told.items() if name != "connection"}
    assert all(name.startswith("far.example: ") for name in told if name != "connection")
    assert own["python3"].ok == "ok"
    assert own["libvirt's drivers"].ok == "ok"
    for tool in ("qemu-img", "nft", "ip", "fence_virtd"):
        assert own[tool].ok == "ok"
    assert own["memory"].seen.endswith("GiB available")
    assert int(own["CPU cores"].seen) >= 1
    assert own["firewall"].ok == "ok"


def test_its_firewall_is_that_host_s(found: Any, far: FarHost) -> None:
    far.run("nft", "add table bridge strict")
    hook = "type filter hook forward priority 0; policy drop;"
    far.run("nft", f"add chain bridge strict f {{ {hook} }}")
    try:
        assert "bridge strict f" in found()["far.example: firewall"].seen
    finally:
        far.run("nft", "delete table bridge strict")
    assert found()["far.example: firewall"].ok == "ok"
