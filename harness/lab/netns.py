"""Sockets inside another network namespace.

A socket belongs to the namespace it was made in and stays usable from anywhere. setns(2) changes
the calling thread only, so a short-lived thread enters the namespace, makes the socket and ends.
"""

from __future__ import annotations

import ctypes
import os
import socket
import threading
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
_CLONE_NEWNET = 0x40000000  # linux/sched.h


def run_in_netns(pid: int, action: Callable[[], T]) -> T:
    """Run ``action`` in the network namespace of process ``pid`` and return its result.

    Raises:
        OSError: the namespace cannot be entered; and whatever ``action`` raises.
    """
    result: list[T] = []
    failure: list[BaseException] = []

    def enter() -> None:
        try:
            fd = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
            try:
                libc = ctypes.CDLL(None, use_errno=True)
                if libc.setns(fd, _CLONE_NEWNET) != 0:
                    code = ctypes.get_errno()
                    raise OSError(code, f"setns: {os.strerror(code)}")
            finally:
                os.close(fd)
            result.append(action())
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=enter, name="netns")
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return result[0]


def connect(pid: int, address: str, port: int, timeout_s: float) -> socket.socket:
    """A TCP connection made inside the namespace of ``pid``.

    Raises:
        OSError: no connection within ``timeout_s`` seconds.
    """
    return run_in_netns(pid, lambda: socket.create_connection((address, port), timeout_s))
