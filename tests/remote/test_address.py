"""Where a libvirt URI leads: to this machine, to another by SSH, or where no lab can be."""

from __future__ import annotations

import socket

import pytest

from harness.errors import BadInputError
from harness.remote.shell import SshAddress, ssh_address


@pytest.mark.parametrize(
    "uri",
    [
        "qemu:///system",
        "qemu+unix:///system?socket=/run/s",
        "test:///default",
        "qemu+ssh://localhost/system",
        f"qemu+ssh://root@{socket.gethostname()}/system",
        f"qemu://{socket.gethostname()}/system",
    ],
)
def test_of_this_machine(uri: str) -> None:
    assert ssh_address(uri) is None


def test_all_that_a_uri_can_say() -> None:
    uri = "qemu+ssh://me@far.example:2222/system?keyfile=/k%20y&no_verify=1&command=/opt/ssh"
    assert ssh_address(uri) == SshAddress(
        host="far.example",
        port=2222,
        user="me",
        keyfile="/k y",
        verify=False,
        program="/opt/ssh",
        driver="qemu:///system",
    )


def test_what_it_does_not_say_is_left_to_ssh() -> None:
    assert ssh_address("qemu+ssh://far/system") == SshAddress(
        host="far", port=None, user="", keyfile="", verify=True, program="ssh",
        driver="qemu:///system",
    )  # fmt: skip


def test_a_port_makes_it_another_machine_whatever_its_name() -> None:
    """A container, or a tunnel."""
    address = ssh_address("qemu+ssh://root@127.0.0.1:2222/system")
    assert address is not None
    assert (address.host, address.port) == ("127.0.0.1", 2222)
    assert ssh_address("qemu+ssh://localhost:2222/system") is not None
    six = ssh_address("qemu+ssh://[fd00::1]/system")
    assert six is not None
    assert six.host == "fd00::1"


@pytest.mark.parametrize(
    "uri",
    ["qemu://far/system", "qemu+tls://far/system", "qemu+tcp://far:16509/system",
     "qemu+libssh2://far/system", "qemu+ssh://far:x/system", "qemu+ssh://far:99999/system",
     "qemu+ssh://[fd00::1/system"],
)  # fmt: skip
def test_what_leads_nowhere_is_one_line_with_a_hint(uri: str) -> None:
    with pytest.raises(BadInputError) as caught:
        ssh_address(uri)
    assert uri in caught.value.message
    assert "\n" not in caught.value.message
    assert "qemu+ssh://host/system" in caught.value.hint
