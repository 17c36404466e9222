"""``harness lint``: a configuration judged without running it."""

from __future__ import annotations

import json
from pathlib import Path  # noqa: TC003  (typer needs it at run time)
from typing import TYPE_CHECKING, Annotated

import typer

from harness.commands.cache import CacheOption, cache_at
from harness.errors import BadInputError

if TYPE_CHECKING:
    from harness.lint import Files


def lint(
    config: Annotated[
        Path | None,
        typer.Option(help="Judge our own configuration with this TOML file's overrides."),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(
            "--from", help="Judge files collected from real machines: see docs/linting.md."
        ),
    ] = None,
    lab: Annotated[
        str | None,
        typer.Option("--lab", help="Collect from a kept lab's machines, and judge those."),
    ] = None,
    accelerator: Annotated[
        str, typer.Option(help="Whose timeouts our own configuration has: kvm or tcg.")
    ] = "tcg",
    collector: Annotated[
        bool, typer.Option("--collector", help="Print the script that collects on a machine.")
    ] = False,
    rules: Annotated[
        bool, typer.Option("--rules", help="Print the rules as a table (Markdown).")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Findings as JSON.")] = False,
    cache: CacheOption = None,
) -> None:
    """Judge a configuration by what the post and experience ask of it; needs no VM.

    Without options: our own, as it would be rendered.

    For a cluster of your own: run what --collector prints on each machine,
    put their folders side by side, and give the folder around them to --from.

    Exit codes: 1 an error was found; 10 something could not be judged, as a
    file is missing; else 0. Warnings and notes do not count.
    """
    from harness.lint import cluster_of
    from harness.lint import lint as judge
    from harness.lint.telling import as_json as told_as_json
    from harness.lint.telling import exit_code, lines, rule_table

    if sum((config is not None, folder is not None, lab is not None)) > 1:
        raise BadInputError("--config, --from and --lab are three different things to judge")
    if collector:
        from harness.cluster.lintable import COLLECTOR

        print(COLLECTOR.read_text(encoding="utf-8"), end="")
        return
    if rules:
        print(*rule_table(), sep="\n")
        return
    outcomes = judge(cluster_of(_files(config, folder, lab, accelerator, cache)))
    if as_json:
        print(json.dumps(told_as_json(outcomes), indent=1))
    else:
        print(*lines(outcomes), sep="\n")
    raise typer.Exit(int(exit_code(outcomes)))


def _files(
    config: Path | None, folder: Path | None, lab: str | None, accelerator: str, cache: Path | None
) -> Files:
    from harness.cluster.config import load_config
    from harness.cluster.lintable import collected_files, configured_files
    from harness.commands.kept import kept_lab
    from harness.commands.rootless import reenter
    from harness.lint import read_folder
    from harness.timing import PROFILES

    if folder is not None:
        return read_folder(folder)
    if lab is not None:
        reenter(cache_at(cache).labs / lab)
        with kept_lab(cache_at(cache), lab) as opened:
            return collected_files(opened)
    if accelerator not in PROFILES:
        raise BadInputError(f"no accelerator {accelerator!r}", hint=" or ".join(PROFILES))
    return configured_files(load_config(config, PROFILES[accelerator]))
