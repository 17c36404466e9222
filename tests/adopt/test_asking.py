"""Guests are known by their host keys; what they and ssh tell is read strictly."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING, Any

import paramiko
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from harness.adopt.asking import (
    Endpoint,
    GuestCard,
    ask_cards,
    host_key,
    read_cards,
    read_ssh_config,
    who_answers,
)
from harness.cluster.secrets import Secrets
from harness.errors import BadInputError, DeadlineError, HarnessError
from tests.adopt.conftest import FIXTURES, NAMES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def secrets(**keys: str) -> Secrets:
    host_keys = {name: ("private", f"ssh-ed25519 {key} {name}") for name, key in keys.items()}
    return Secrets("d", "Zg==", "Yw==", "private", "public", host_keys)


OURS = secrets(alpha="AAA", bravo="BBB", client="CCC")


def test_vagrant_s_own_words() -> None:
    text = (FIXTURES / "vagrant-ssh-config.txt").read_text()
    expected = [Endpoint("10.77.0.11"), Endpoint("10.77.0.12"), Endpoint("127.0.0.1", 2222)]
    assert read_ssh_config(text) == expected
    assert str(expected[0]) == "10.77.0.11"
    assert str(expected[2]) == "127.0.0.1 port 2222"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no host in that configuration"),
        ("Host *\n  User root\n", "no host in that configuration"),
        ("Host a\n  HostName h\n  User vagrant\n", "a: user vagrant"),
        ("Host a\n  HostName h\n  User root\n  Port http\n", "a: port http"),
        ("HostName", "no configuration of ssh"),
    ],
)
def test_what_nobody_can_connect_by_is_said(text: str, says: str) -> None:
    with pytest.raises(BadInputError, match=says):
        read_ssh_config(text)


def test_each_guest_is_known_by_its_key_wherever_it_answers() -> None:
    keys = {"h1": "CCC", "h2": "AAA", "h3": "BBB"}
    found = who_answers(
        [Endpoint(host) for host in keys], OURS, deadline_s=5, ask=lambda e: keys[e.address]
    )
    assert found == {
        "client": Endpoint("h1"), "alpha": Endpoint("h2"), "bravo": Endpoint("h3"),
    }  # fmt: skip


def test_it_waits_until_all_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _s: None)
    asked: list[str] = []

    def ask(endpoint: Endpoint) -> str:
        asked.append(endpoint.address)
        if endpoint.address == "BBB" and asked.count("BBB") < 3:
            raise HarnessError(f"{endpoint} does not answer SSH: refused")
        return endpoint.address

    where = [Endpoint(host) for host in ("AAA", "BBB", "CCC")]
    assert sorted(who_answers(where, OURS, deadline_s=5, ask=ask)) == sorted(NAMES)
    assert asked == ["AAA", "BBB", "CCC", "BBB", "BBB"], "who has answered is not asked again"


def test_who_does_not_answer_is_named() -> None:
    def ask(_endpoint: Endpoint) -> str:
        raise HarnessError("10.77.0.12 does not answer SSH: refused")

    with pytest.raises(DeadlineError, match=r"10\.77\.0\.12 does not answer") as error:
        who_answers([Endpoint("10.77.0.12")], OURS, deadline_s=0, ask=ask)
    assert "vagrant status" in error.value.hint


def test_a_stranger_is_no_machine_of_ours() -> None:
    with pytest.raises(BadInputError, match=r"guest at h1 is none of the machines"):
        who_answers([Endpoint("h1")], OURS, deadline_s=5, ask=lambda _e: "DDD")
    with pytest.raises(BadInputError, match="nobody answers as bravo or client"):
        who_answers([Endpoint("h1")], OURS, deadline_s=5, ask=lambda _e: "AAA")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[Endpoint, str]]:
    """An SSH server with an ed25519 host key: where it is, and the key."""
    path = tmp_path / "key"
    path.write_bytes(
        Ed25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.OpenSSH,
            serialization.NoEncryption(),
        )
    )
    key = paramiko.Ed25519Key.from_private_key_file(str(path))
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        try:
            sock, _address = listener.accept()
        except OSError:
            return
        transport = paramiko.Transport(sock)
        transport.add_server_key(key)
        transport.start_server(server=paramiko.ServerInterface())
        transport.join(20)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield Endpoint("127.0.0.1", listener.getsockname()[1]), key.get_base64()
    listener.close()


def test_the_host_key_is_asked_of_the_server(server: tuple[Endpoint, str]) -> None:
    endpoint, key = server
    assert host_key(endpoint) == key


def test_a_closed_port_and_another_service_are_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        endpoint = Endpoint("127.0.0.1", listener.getsockname()[1])
        with pytest.raises(HarnessError, match="does not answer SSH"):
            host_key(endpoint, timeout_s=0.5)
    with pytest.raises(HarnessError, match="does not answer SSH"):
        host_key(endpoint, timeout_s=0.5)


def test_cards_of_iproute2() -> None:
    cards = read_cards((FIXTURES / "ip-addr-alpha.json").read_text())
    assert cards == [
        GuestCard("control", "52:54:00:f0:00:0b", 1500, ("10.77.0.11",)),
        GuestCard("mgmt", "52:54:00:f0:01:0b", 1500, ("10.77.1.11",)),
        GuestCard("drbd", "52:54:00:f0:02:0b", 9000, ("10.77.2.11",)),
        GuestCard("data", "52:54:00:f0:03:0b", 9000, ("10.77.3.11", "10.77.3.100")),
        GuestCard("fence", "52:54:00:f0:04:0b", 1500, ("10.77.4.11",)),
    ]


class Guest:
    def run(self, command: str, *, timeout_s: float) -> Any:
        assert command == "ip -j addr show"
        return type("Result", (), {"stdout": (FIXTURES / "ip-addr-alpha.json").read_text()})


def test_a_guest_is_asked_for_them() -> None:
    guest: Any = Guest()
    assert [card.name for card in ask_cards({"alpha": guest})["alpha"]][:2] == ["control", "mgmt"]


@pytest.mark.parametrize("text", ["", "{}", "[1]", '[{"ifname": "a"}]', "null"])
def test_what_a_guest_says_is_not_believed_as_it_is(text: str) -> None:
    if text == "{}":
        assert read_cards(text) == [], "no card at all"
        return
    with pytest.raises(HarnessError, match="ip tells no cards"):
        read_cards(text)
