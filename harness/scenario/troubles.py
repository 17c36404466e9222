"""Trouble of the harness or the lab that must not keep the rest from being done."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import libvirt

from harness.errors import HarnessError

if TYPE_CHECKING:
    from collections.abc import Iterator


class Troubles:
    """What went wrong with the harness or the lab while something else went on all the same."""

    def __init__(self) -> None:
        self._first: HarnessError | None = None

    @contextlib.contextmanager
    def kept(self) -> Iterator[None]:
        """Keep what goes wrong inside; only the first is told in the end."""
        try:
            yield
        except HarnessError as error:
            self._first = self._first or error
        except (OSError, ValueError, libvirt.libvirtError) as error:
            self._first = self._first or HarnessError(f"{type(error).__name__}: {error}")

    def raise_first(self) -> None:
        """Raise the first trouble, if there was any."""
        if self._first is not None:
            raise self._first
