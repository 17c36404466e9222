"""On which host a run's lab is made, and under what its guests run there."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from harness.errors import BadInputError
from harness.lab.accelerator import probe_kvm
from harness.lab.elsewhere import Elsewhere, control_of, is_elsewhere
from harness.progress import console

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.lab.image import Image
    from harness.session import RunOptions


@contextlib.contextmanager
def elsewhere(options: RunOptions) -> Iterator[Elsewhere | None]:
    """The host that a run's lab will be on, if it is another one, as long as it is asked.

    Raises:
        MissingEnvironmentError: it cannot be reached.
    """
    if not is_elsewhere(options.connect):
        yield None
        return
    there = Elsewhere.open(options.connect, control_of(options.cache.root, options.connect))
    try:
        yield there
    finally:
        there.close()


def choose_accelerator(options: RunOptions, image: Image, there: Elsewhere | None = None) -> str:
    """``kvm`` where it truly works and is wanted, else ``tcg``.

    Args:
        image: its kernel is booted.
        there: the host that the lab will be on, if it is another one.

    Raises:
        BadInputError: KVM was demanded and does not work there.
    """
    if options.accelerator == "tcg":
        return "tcg"
    if there is None:
        where, found = "here", probe_kvm(kernel=image.kernel, cache=options.cache.root)
    else:
        lock = options.cache.leases / f"there-{image.key}"
        there.provide(image.folder, image.key, lock)
        where, found = f"on {there.shell.name}", there.probe_kvm(image.key)
    if options.accelerator == "kvm" and found.kind != "kvm":
        raise BadInputError(
            f"KVM was asked for and does not work {where}: {found.reason}",
            hint="use --accelerator auto, or see harness doctor",
        )
    if found.kind != "kvm":
        console.print(
            f"• No usable KVM ({found.reason}): emulation, 5 to 10 times slower", markup=False
        )
    return found.kind
