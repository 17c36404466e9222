"""Commands and connections on another host, through ssh(1) and a real sshd."""

from __future__ import annotations

import dataclasses
import subprocess
from typing import TYPE_CHECKING

import pytest

from harness.errors import HarnessError, MissingEnvironmentError
from harness.remote.shell import HostShell, ssh_address
from tests.sshd.farhost import FarHost, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.sshd


@pytest.fixture
def shell(far: FarHost, tmp_path: Path) -> Iterator[HostShell]:
    address = ssh_address(far.uri)
    assert address is not None
    made = HostShell(address, tmp_path / "ssh")
    made.open()
    yield made
    made.close()


def test_a_command_runs_there_as_it_is_written(far: FarHost, shell: HostShell) -> None:
    assert shell.run("readlink", "/proc/self/ns/net") == far.run("readlink", "/proc/self/ns/net")
    nasty = ["a b", "'", '"', "$HOME", "*", "", "\\", ";id", "ä"]
    assert shell.run("printf", "%s\\n", *nasty).splitlines() == nasty
    assert shell.read("cat", stdin=bytes(range(256))) == bytes(range(256))


def test_all_of_it_is_one_connection(far: FarHost, shell: HostShell) -> None:
    before = far.log().count("Accepted publickey")
    for _ in range(3):
        shell.run("true")
    assert far.log().count("Accepted publickey") == before


def test_what_fails_there_says_what_it_said(shell: HostShell) -> None:
    with pytest.raises(HarnessError, match=r"sh failed on far.example with exit code 3: no way"):
        shell.run("sh", "-c", "echo no way >&2; exit 3")


def test_a_key_that_is_not_accepted_is_one_line_with_what_to_type(
    far: FarHost, tmp_path: Path
) -> None:
    address = ssh_address(f"{far.uri}&keyfile={far.folder}/other_key")
    assert address is not None
    (tmp_path / "ssh").write_text(
        f'#!/bin/sh\nexec /usr/bin/ssh -F {tmp_path}/config "$@"\n', encoding="utf-8"
    )
    config = (far.folder / "ssh_config").read_text(encoding="utf-8")
    lines = [line for line in config.splitlines() if "IdentityFile" not in line]
    (tmp_path / "config").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (tmp_path / "ssh").chmod(0o755)
    other = dataclasses.replace(address, program=str(tmp_path / "ssh"))
    with pytest.raises(MissingEnvironmentError, match=r"no SSH to far.example: .*denied") as caught:
        HostShell(other, tmp_path / "control").open()
    assert "root@far.example true" in caught.value.hint
    assert "\n" not in caught.value.message


def test_a_host_whose_key_is_not_known_is_refused(far: FarHost, tmp_path: Path) -> None:
    address = ssh_address(far.uri)
    assert address is not None
    stranger = dataclasses.replace(address, host="stranger.example")
    (tmp_path / "ssh").write_text(
        f'#!/bin/sh\nexec /usr/bin/ssh -F {tmp_path}/config "$@"\n', encoding="utf-8"
    )
    config = (far.folder / "ssh_config").read_text(encoding="utf-8")
    (tmp_path / "config").write_text(config.replace("Host far.example", "Host *"), "utf-8")
    (tmp_path / "ssh").chmod(0o755)
    strange = dataclasses.replace(stranger, program=str(tmp_path / "ssh"))
    with pytest.raises(MissingEnvironmentError, match="Host key verification failed"):
        HostShell(strange, tmp_path / "control").open()


def test_a_connection_that_the_host_makes(far: FarHost, shell: HostShell) -> None:
    """To an address that only that host has; and one that nobody answers on ends."""
    far.run("ip", "link", "add", "name", "far0", "type", "bridge")
    far.run("ip", "address", "add", "10.99.0.1/24", "dev", "far0")
    far.run("ip", "link", "set", "dev", "far0", "up")
    script = (
        "import socket; s = socket.create_server(('10.99.0.1', 7)); print('there', flush=True); "
        "c, _ = s.accept(); c.sendall(c.recv(99).upper())"
    )
    server = subprocess.Popen(
        [*far.enter(), "python3", "-c", script], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL
    )
    try:
        assert server.stdout is not None
        assert server.stdout.readline() == b"there\n"
        with shell.connect("10.99.0.1", 7) as sock:
            sock.settimeout(20)
            sock.sendall(b"echo")
            assert sock.recv(99) == b"ECHO"
        with shell.connect("10.99.0.1", 8) as sock:
            sock.settimeout(20)
            assert sock.recv(99) == b""
    finally:
        server.kill()
        server.wait()
        far.run("ip", "link", "del", "dev", "far0")


def test_nothing_is_left_after_it_is_closed(far: FarHost, tmp_path: Path) -> None:
    address = ssh_address(far.uri)
    assert address is not None
    shell = HostShell(address, tmp_path / "ssh")
    shell.open()
    sock = shell.connect("127.0.0.1", 9)
    assert (tmp_path / "ssh").exists()
    shell.close()
    sock.close()
    assert not (tmp_path / "ssh").exists()
    mark = f"ControlPath={tmp_path}/ssh"

    def gone() -> bool:
        listed = subprocess.run(["ps", "-e", "-o", "args="], capture_output=True, text=True)
        return mark not in listed.stdout

    until("every ssh ended", gone)
