"""What a fault could leave on a machine, as plain lists that can be compared."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from harness.lab.shared import SharedHost
from harness.lab.topology import Topology
from harness.lab.traces import (
    ADDRESSES,
    PROCESSES,
    SCRIPT,
    Running,
    addresses,
    host_traces,
    lab_traces,
    parse_traces,
    running_beside,
)

CAPTURED = Path("tests/lab/fixtures/traces-debian-12.txt").read_text(encoding="utf-8")


def test_what_differs_from_one_look_to_the_next_is_left_out() -> None:
    found = parse_traces(CAPTURED)
    assert found == {
        "qdiscs": [
            "drbd: netem root limit 20000 delay 200ms",
            "eth0: pfifo_fast root bands 3 priomap 1 2 2 2 1 2 0 0 1 1 1 1 1 1 1 1",
            "lo: noqueue root",
        ],
        "links": [
            "br0: mtu 1500, DOWN",
            "eth0: mtu 1400, UP",
            "lo: mtu 65536, UP LOWER_UP",
            "v1: mtu 9000, UP LOWER_UP",
        ],
        "rules": [
            "table bridge fh0_cut",
            "table bridge fh0_cut / chain forward",
            'table bridge fh0_cut / chain forward / iifname "fh0a-drbd" counter',
            'table bridge fh0_cut / chain forward / iifname "fh0a-drbd" drop',
            "table bridge fh0_cut / chain forward / type filter hook forward priority -300; "
            "policy accept;",
            "table ip filter",
            "table ip filter / chain INPUT",
            "table ip filter / chain INPUT / ip saddr 10.0.0.1 tcp dport 3260 counter drop",
            "table ip filter / chain INPUT / type filter hook input priority filter; "
            "policy accept;",
        ],
        "mounts": ["/: ext4, rw", "/mnt/with\\040space: tmpfs, ro", "/sys: sysfs, rw"],
        # Neither the kernel's own nor one that has ended.
        "processes": [
            {"name": "tmux: server", "unit": "-", "age_s": 0, "stopped": False},
            {"name": "corosync", "unit": "corosync.service", "age_s": 405, "stopped": True},
            {"name": "systemd", "unit": "init.scope", "age_s": 69650, "stopped": False},
            {"name": "sshd", "unit": "session-N.scope", "age_s": 1, "stopped": False},
            {"name": "sshd", "unit": "ssh.service", "age_s": 410, "stopped": False},
        ],
        "files": ["/run/lab-nonce"],
    }


def test_what_cannot_be_read_stays_as_it_is() -> None:
    """So that it is a difference where it was not there before."""
    text = (
        "nobody asked\n== qdiscs\nqdisc what\n== links\nCannot open\n== mounts\nx\n== processes\ny"
    )
    assert parse_traces(text) == {
        "qdiscs": ["qdisc what"], "links": ["Cannot open"], "mounts": ["x"], "processes": [],
    }  # fmt: skip


def test_the_script_is_understood_here() -> None:
    """Run for real: every section is there, and this very process is found."""
    done = subprocess.run(
        ["sh", "-c", SCRIPT + ADDRESSES + PROCESSES], capture_output=True, text=True, check=True
    )
    found = parse_traces(done.stdout)
    assert set(found) == {"qdiscs", "links", "rules", "mounts", "addresses", "processes"}
    assert "lo: inet 127.0.0.1/8" in found["addresses"]
    assert any(one.startswith("lo: mtu 65536") for one in found["links"])
    assert any(one.startswith("/: ") for one in found["mounts"])
    assert "sh" in {one["name"] for one in found["processes"]}
    assert not {one["name"] for one in found["processes"]} & {"kthreadd", "ksoftirqd/0"}


@pytest.mark.parametrize("name", ["tc", "ip", "nft", "ps"])
def test_a_tool_that_fails_has_not_looked(tmp_path: Path, name: str) -> None:
    """What it would have told is missing, not empty: an empty list is equal to an empty list."""
    (tmp_path / name).write_text("#!/bin/sh\nprintf 'a line of it, and no end'\nexit 1\n")
    (tmp_path / name).chmod(0o755)
    done = subprocess.run(
        ["sh", "-c", SCRIPT + ADDRESSES + PROCESSES], capture_output=True, text=True, check=True,
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
    )  # fmt: skip
    found = parse_traces(done.stdout)
    sections = {"tc": ["qdiscs"], "ip": ["links", "addresses"], "nft": ["rules"],
                "ps": ["processes"]}  # fmt: skip
    every = {"qdiscs", "links", "rules", "mounts", "addresses", "processes"}
    assert set(found) == every - {*sections[name]}
    assert not any("a line of it" in str(there) for there in found.values())


# ip -o address show of iproute2 6.1.
ADDRESSES_OF_ALPHA = """\
1: lo    inet 127.0.0.1/8 scope host lo\\       valid_lft forever preferred_lft forever
2: data    inet 10.77.1.11/24 brd 10.77.1.255 scope global data\\       valid_lft forever preferred_lft forever
2: data    inet 10.77.1.100/24 brd 10.77.1.255 scope global secondary data\\       valid_lft forever preferred_lft forever
2: data    inet6 fe80::5054:ff:fe00:1/64 scope link \\       valid_lft forever preferred_lft forever
3: drbd    inet6 fd00::1/64 scope global tentative \\       valid_lft forever preferred_lft forever
"""  # noqa: E501


def test_addresses_are_those_that_somebody_set() -> None:
    assert addresses([*ADDRESSES_OF_ALPHA.splitlines(), "Cannot open netlink socket"]) == [
        "Cannot open netlink socket", "data: inet 10.77.1.100/24", "data: inet 10.77.1.11/24",
        "drbd: inet6 fd00::1/64", "lo: inet 127.0.0.1/8",
    ]  # fmt: skip


def test_cables_of_this_machine_are_nobody_s_doing() -> None:
    found = host_traces()
    assert found["links"]
    assert not any("LOWER_UP" in one for one in found["links"])
    assert "processes" not in found


def test_rules_that_cannot_be_seen_are_not_said_to_be_none(tmp_path: Path) -> None:
    """In a user namespace nft(8) may not look at the host's: "Operation not permitted"."""
    for name, script in (("nft", "echo no >&2; exit 1"), ("tc", "exit 0"), ("ip", "exit 0")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    done = subprocess.run(
        ["/bin/sh", "-c", SCRIPT],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "rules" not in parse_traces(done.stdout), "who did not look says nothing"
    (tmp_path / "nft").write_text("#!/bin/sh\nexit 0\n")
    done = subprocess.run(
        ["/bin/sh", "-c", SCRIPT],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert parse_traces(done.stdout)["rules"] == [], "there are none"


def test_beside_the_vms_of_another_daemon_only_the_lab_s_own_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []
    host: Any = SharedHost.__new__(SharedHost)
    host.topology = Topology(0)

    def run(_host: object, *command: str) -> str:
        asked.append(command[-1])
        return CAPTURED.replace("v1@v0", "fh0a-data")

    monkeypatch.setattr(SharedHost, "run", run)
    found = lab_traces(host)
    assert asked == [SCRIPT + ADDRESSES], "its processes are not ours"
    assert found["links"] == ["fh0a-data: mtu 9000, UP LOWER_UP"]
    assert len(found["rules"]) == 5
    assert found["mounts"] == []
    private = cast("Any", SimpleNamespace(private=True, run=lambda *_command: CAPTURED))
    assert lab_traces(private) == parse_traces(CAPTURED)


def test_a_process_is_known_by_its_start() -> None:
    process = subprocess.Popen(["sleep", "60"])
    try:
        (own,) = [one for one in running_beside(process.pid) if one.pid == process.pid]
        assert own.name == "sleep"
        assert own.alive()
        assert not Running(own.pid, own.start_ticks + 1, own.name).alive(), "another one, same PID"
    finally:
        process.kill()
        process.wait()
    assert not own.alive()
    assert running_beside(process.pid) == []
