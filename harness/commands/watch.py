"""``harness watch``: look at a run while it goes on."""

from __future__ import annotations

import threading
from pathlib import Path  # noqa: TC003  (typer needs it at run time)
from typing import Annotated

import typer

from harness.commands.stored import newest_run
from harness.errors import BadInputError
from harness.lab.paths import REPORTS


def watch(
    run_folder: Annotated[
        Path | None,
        typer.Argument(help="reports/<run>; by default the run that was begun last."),
    ] = None,
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1; 0 takes any that is free.")] = 8573,
) -> None:
    """Serve a run that goes on, and its report as far as it has come, on loopback.

    Shows the scenario, its step, the faults that are active, the writes per
    second, the longest stall so far and what both nodes are. Reads the run's
    evidence and nothing else: the guests do not notice. Ctrl-C ends it; the run
    goes on.
    """
    from harness.report.live.serve import WatchServer

    folder = run_folder or _newest()
    if not folder.is_dir():
        raise BadInputError(f"there is no folder {folder}", hint="harness watch reports/<run>")
    try:
        server = WatchServer(folder, port)
    except OSError as error:
        raise BadInputError(
            f"port {port} of 127.0.0.1 cannot be had: {error.strerror}",
            hint="harness watch --port 0 takes any that is free",
        ) from error
    try:
        print(f"{folder} is shown at {server.url} (Ctrl-C ends)", flush=True)
        threading.Event().wait()
    except KeyboardInterrupt:
        print()
    finally:
        server.close()


def _newest() -> Path:
    newest = newest_run()
    if newest is None:
        raise BadInputError(
            f"there is no run in {REPORTS}", hint="harness run begins one; or name its folder"
        )
    return newest
