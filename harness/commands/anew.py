"""When a nightly run begins anew, although there is one of the same code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from harness.progress import console

if TYPE_CHECKING:
    from pathlib import Path

    from harness.session import RunOptions

AnewOption = Annotated[
    bool,
    typer.Option(
        "--anew",
        help="Put the run of this code aside, as it is, and begin another. Packages that were "
        "updated do that by themselves.",
    ),
]


def make_way(options: RunOptions, folder: Path, *, anew: bool) -> None:
    """Put a run in ``folder`` aside that is to be no more, or that nothing can be added to.

    Args:
        anew: whatever it was made with.

    Raises:
        BadInputError: a worker still works on it.
        HarnessError: the guest image, whose packages are looked at, cannot be built.
    """
    from harness.cluster.formed import qemu_version
    from harness.cluster.inventory import packages_of, versions_of
    from harness.fleet.gathering import gather_rest
    from harness.lab.image import ensure_image
    from harness.resuming import RUN, make_room, put_run_aside
    from harness.where import elsewhere

    if not (folder / RUN).exists():
        return
    gather_rest(folder)
    if anew:
        said = f"{folder.name} is {put_run_aside(folder).name} now"
    else:
        image = ensure_image(options.cache, options.image)
        with elsewhere(options) as there:
            qemu = qemu_version() if there is None else there.qemu()
        now = {"versions": versions_of(image, qemu), "packages": packages_of(image)}
        said = make_room(folder, now)
    if said:
        console.print(f"• {said}", markup=False)
