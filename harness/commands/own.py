"""A cluster of one's own: its files mapped onto the lab, and run there."""

from __future__ import annotations

import copy
import dataclasses
import math
from pathlib import Path  # noqa: TC003  (typer needs it at run time)
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.commands.cache import newest_kernel
from harness.errors import BadInputError

if TYPE_CHECKING:
    from harness.lab.paths import Cache
    from harness.lint.onto_lab import Sheet


def configure(
    folder: Annotated[
        Path, typer.Option("--from", help="Files collected from real machines: docs/linting.md.")
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Write the configuration there; without it, to the terminal.",
            show_default=False,
        ),
    ] = None,
    accelerator: Annotated[
        str, typer.Option(help="For which guests: kvm, or tcg (emulation: longer timeouts).")
    ] = "kvm",
) -> None:
    """Map a cluster of your own onto the lab: its configuration as a file that harness run takes.

    Says what the lab can be given of it, where that was read, and what the lab
    does not have. harness run --config FOLDER does the same and runs it.
    """
    from harness.lint.onto_lab.telling import as_toml, summary_lines

    sheet = mapped(folder, accelerator)
    if output is None:
        print(as_toml(sheet), end="")
        return
    write_configuration(sheet, output)
    print(*summary_lines(sheet), sep="\n")
    print(f"Configuration: {output}")


def mapped(folder: Path, accelerator: str) -> Sheet:
    """The mapping of a folder of collected files, with the timeouts that such guests need.

    What the lab does not take (a value that it has no room for, timeouts that undercut each other)
    is moved to what was left, with the reason.

    Raises:
        BadInputError: no such folder or accelerator, or not the files of two nodes.
    """
    from harness.cluster.config import ClusterConfig
    from harness.lab.topology import MTU
    from harness.lint import cluster_of, read_folder
    from harness.lint.onto_lab import onto_lab
    from harness.timing import PROFILES

    if accelerator not in PROFILES:
        raise BadInputError(f"no accelerator {accelerator!r}", hint=" or ".join(PROFILES))
    profile = PROFILES[accelerator]
    reference = ClusterConfig(timing=profile).model_dump(mode="json")
    mtu = {str(link): size for link, size in MTU.items()}
    sheet = onto_lab(cluster_of(read_folder(folder)), reference, mtu)
    _scale(sheet, PROFILES["kvm"].model_dump(), profile.model_dump())
    _fit(sheet)
    return sheet


def _scale(sheet: Sheet, real: dict[str, Any], here: dict[str, Any]) -> None:
    """Timeouts of real machines as guests need them that are slower, each class by itself."""
    for key, setting in list(sheet.settings.items()):
        if key[0] != "timing" or here[key[1]] == real[key[1]]:
            continue
        value = math.ceil(setting.value * here[key[1]] / real[key[1]])
        there = f"{setting.value} there; longer for slower guests"
        note = f"{setting.note}; {there}" if setting.note else there
        sheet.settings[key] = dataclasses.replace(setting, value=value, note=note)


def _fit(sheet: Sheet) -> None:
    """Move to what was left whatever the lab's configuration does not take."""
    from harness.lint.model import Place

    while (wrong := _refused(sheet)) is not None:
        where, why = wrong
        named = [key for key in sheet.settings if where and where[: len(key)] == key]
        # Where two undercut each other, the error names neither: one without which it is another.
        culprit = next(
            (key for key in named or sheet.settings if _refused(sheet, without=key) != wrong), None
        )
        if culprit is None:
            raise BadInputError(f"the lab does not take this configuration: {why}")
        setting = sheet.settings.pop(culprit)
        place = setting.place or Place("default")
        sheet.leave(place, f"{setting.name} = {setting.value}", f"the lab does not take it: {why}")


def _refused(
    sheet: Sheet, without: tuple[str, ...] | None = None
) -> tuple[tuple[str, ...], str] | None:
    """Where and why the configuration is refused; None where it is taken."""
    from pydantic import ValidationError

    from harness.cluster.config import ClusterConfig

    try:
        ClusterConfig.model_validate(nested(sheet, without=without))
    except ValidationError as error:
        first = error.errors()[0]
        return tuple(str(part) for part in first["loc"]), str(first["msg"])
    return None


def nested(sheet: Sheet, *, without: tuple[str, ...] | None = None) -> dict[str, Any]:
    """The configuration as nested values: the reference with the mapped settings on top.

    ``without``: but for this one.
    """
    data = copy.deepcopy(dict(sheet.reference))
    for key, setting in sheet.settings.items():
        if key == without:
            continue
        inner = data
        for part in key[:-1]:
            inner = inner.setdefault(part, {})
        inner[key[-1]] = setting.value
    return data


def prepare(source: Path, run_folder: Path, place: Cache, accelerator: str) -> Path:
    """Map a folder for a run, and say in the run's folder and on the terminal how that went.

    Returns:
        The configuration file, ``configuration.toml`` in the run's folder.

    Raises:
        BadInputError: as ``mapped``; or the run that goes on there is of another configuration.
    """
    from harness.evidence.files import write_json
    from harness.lab.accelerator import probe_kvm
    from harness.lint.onto_lab.telling import as_toml, left_lines, summary_lines
    from harness.progress import console
    from harness.report.workedon import MAPPING

    if accelerator == "auto":
        accelerator = probe_kvm(kernel=newest_kernel(place), cache=place.root).kind
    sheet = mapped(source, accelerator)
    path = run_folder / "configuration.toml"
    run_folder.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        write_configuration(sheet, path)
    elif path.read_text(encoding="utf-8") != as_toml(sheet):
        raise BadInputError(
            f"{run_folder} holds a run of another configuration than {source}",
            hint="start a new run, or give it the files of that one",
        )
    told = {
        "source": source.resolve().name,
        "accelerator": accelerator,
        "settings": len(sheet.settings),
        "left": left_lines(sheet),
    }
    write_json(run_folder / MAPPING, told)
    for line in summary_lines(sheet):
        console.print(f"• {line}", markup=False, highlight=False)
    return path


def write_configuration(sheet: Sheet, path: Path) -> None:
    """Write the configuration file.

    Raises:
        BadInputError: it cannot be written.
    """
    from harness.evidence.files import write_whole
    from harness.lint.onto_lab.telling import as_toml

    try:
        write_whole(path, as_toml(sheet))
    except OSError as error:
        raise BadInputError(f"cannot write {path}: {error.strerror}") from error
