"""Where guests answer SSH, which machine of the plan each is, and what cards it has.

A guest is known by its host key: the seeds gave each its own, so that no name and no address has to
be believed.
"""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import paramiko

from harness.errors import BadInputError, HarnessError
from harness.remote.ssh import Guest
from harness.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from harness.cluster.secrets import Secrets

_ANSWER_S = 20.0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where an SSH server listens."""

    address: str
    port: int = 22

    def __str__(self) -> str:
        return self.address if self.port == 22 else f"{self.address} port {self.port}"


@dataclass(frozen=True, slots=True)
class GuestCard:
    """A card as its guest sees it; addresses are IPv4, without a prefix length."""

    name: str
    mac: str
    mtu: int
    addresses: tuple[str, ...]


def read_ssh_config(text: str) -> list[Endpoint]:
    """The hosts of a configuration of ssh(1), such as ``vagrant ssh-config`` prints.

    Raises:
        BadInputError: it has none, or one that nobody could connect to as root.
    """
    try:
        config = paramiko.SSHConfig.from_text(text)
    except (paramiko.ConfigParseError, ValueError) as error:
        raise BadInputError(f"no configuration of ssh: {error}") from error
    found = []
    for name in sorted(config.get_hostnames() - {"*"}):
        host = config.lookup(name)
        if host.get("user", "root") != "root":
            raise BadInputError(
                f"{name}: user {host['user']}, but the guests let only root in",
                hint="vagrant/Vagrantfile sets config.ssh.username; is it another one?",
            )
        try:
            found.append(Endpoint(host["hostname"], int(host.get("port", "22"))))
        except ValueError:
            raise BadInputError(f"{name}: port {host['port']}?") from None
    if not found:
        raise BadInputError(
            "no host in that configuration of ssh", hint="vagrant ssh-config > FILE"
        )
    return found


def host_key(endpoint: Endpoint, timeout_s: float = _ANSWER_S) -> str:
    """The server's ed25519 host key, base64.

    Raises:
        HarnessError: nobody answers there, or no SSH server does.
    """
    try:
        sock = socket.create_connection((endpoint.address, endpoint.port), timeout_s)
        transport = paramiko.Transport(sock)
        try:
            transport.banner_timeout = transport.handshake_timeout = timeout_s
            transport.get_security_options().key_types = ["ssh-ed25519"]
            transport.start_client(timeout=timeout_s)
            return transport.get_remote_server_key().get_base64()
        finally:
            transport.close()
    except (OSError, EOFError, paramiko.SSHException) as error:
        raise HarnessError(f"{endpoint} does not answer SSH: {error}") from error


def who_answers(
    endpoints: Iterable[Endpoint],
    secrets: Secrets,
    *,
    deadline_s: float,
    ask: Callable[[Endpoint], str] = host_key,
) -> dict[str, Endpoint]:
    """By machine of the plan: where it answers. Waits until each does.

    Raises:
        DeadlineError: one does not within ``deadline_s`` seconds.
        BadInputError: a guest answers that is none of them.
    """
    names = {public.split()[1]: name for name, (_, public) in secrets.host_keys.items()}
    found: dict[str, Endpoint] = {}
    left = list(endpoints)

    def missing() -> str:
        why = []
        for endpoint in tuple(left):
            try:
                key = ask(endpoint)
            except HarnessError as error:
                why.append(error.message)
                continue
            left.remove(endpoint)
            if key not in names:
                raise BadInputError(
                    f"the guest at {endpoint} is none of the machines that were prepared",
                    hint="it has another host key; vagrant destroy && vagrant up makes them anew",
                )
            found[names[key]] = endpoint
        silent = sorted(names.values() - found.keys())
        if silent and not left:
            raise BadInputError(f"nobody answers as {' or '.join(silent)}")
        return "; ".join(why)

    wait_until(
        "the guests answer",
        missing,
        deadline_s=deadline_s,
        interval_s=1.0,
        hint="vagrant status; are they up?",
    )
    return found


def guest_at(name: str, endpoint: Endpoint, secrets: Secrets) -> Guest:
    """The command line of a guest."""

    def dial(timeout_s: float) -> socket.socket:
        return socket.create_connection((endpoint.address, endpoint.port), timeout_s)

    return Guest(name, dial, secrets.ssh_private, secrets.host_keys[name][1])


def read_cards(text: str) -> list[GuestCard]:
    """``ip -j addr show`` (iproute2): all cards but the loopback, with their IPv4 addresses.

    Raises:
        HarnessError: not such a document.
    """
    try:
        raw: Any = json.loads(text)
        return [
            GuestCard(
                name=str(one["ifname"]),
                mac=str(one["address"]).lower(),
                mtu=int(one["mtu"]),
                addresses=tuple(
                    str(inet["local"]) for inet in one["addr_info"] if inet["family"] == "inet"
                ),
            )
            for one in raw
            if one.get("link_type") != "loopback"
        ]
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise HarnessError(f"ip tells no cards: {text[:200]!r}") from error


def ask_cards(guests: Mapping[str, Guest]) -> dict[str, list[GuestCard]]:
    """By machine: the cards that it has."""
    # Without -4, which leaves out cards that have no address of that family.
    ask = partial(_ask, "ip -j addr show")
    return {name: read_cards(ask(guest)) for name, guest in guests.items()}


def _ask(command: str, guest: Guest) -> str:
    return guest.run(command, timeout_s=60).stdout
