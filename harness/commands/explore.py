"""The commands ``harness explore`` and ``harness replay``."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.commands.cache import CacheOption, ConnectOption, cache_at
from harness.commands.guest import GuestOption, guest_of
from harness.commands.rootless import RootlessOption, enter
from harness.errors import BadInputError, HarnessError
from harness.lab.paths import PROJECT, REPORTS
from harness.progress import console

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from harness.explore.exploration import Exploration
    from harness.lab.paths import Cache
    from harness.session import RunOptions

    CheckHost = Callable[[Cache, str], None]

SCHEDULES = PROJECT / "scenarios" / "schedules"
_DURATION = re.compile(r"^(?:(\d+)h)?(?:(\d+)m(?:in)?)?(?:(\d+)s?)?$")
_MOST_SEED = 1 << 32
_OF_ONE_RESOURCE = "replication-cut"

ConfigOption = Annotated[
    Path | None, typer.Option(help="TOML file that overrides the cluster's configuration.")
]
AcceleratorOption = Annotated[str, typer.Option(help="auto, kvm or tcg (emulation).")]
FolderOption = Annotated[
    Path | None,
    typer.Option(help="Where the run lands; one that was begun there goes on where it was."),
]
LabOption = Annotated[str | None, typer.Option("--lab", help="Name of a kept lab: harness status.")]


def duration_s(text: str) -> float:
    """Seconds of ``30m``, ``1h30m``, ``90s`` or ``90``.

    Raises:
        BadInputError: it is none of these.
    """
    match = _DURATION.match(text.strip())
    if match is None or not any(match.groups()):
        raise BadInputError(f"{text!r} is no duration", hint="30m, 1h30m or 90s")
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return 3600.0 * hours + 60.0 * minutes + seconds


def explore_hash() -> str:
    """Hash of everything that a schedule and its result depend on, how it is drawn included."""
    from harness.session import code_hash

    digest = hashlib.sha256(code_hash().encode())
    for path in sorted((PROJECT / "harness" / "explore").glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def config_hash(config: Path | None, guest: str = "") -> str:
    """Hash of a configuration on such guests; ``reference`` where it changes nothing.

    Raises:
        BadInputError: the file cannot be read, or is no configuration that these guests can have.
    """
    from harness.cluster.config import load_config
    from harness.timing import PROFILES

    loaded = load_config(config, PROFILES["tcg"], guest_name=guest)
    if loaded == load_config(None, PROFILES["tcg"]):
        return "reference"
    return hashlib.sha256(loaded.model_dump_json().encode()).hexdigest()[:16]


def check_drawable(config: Path | None, left_out: Collection[str]) -> None:
    """Whether all that may be drawn can be done to such a cluster.

    Raises:
        BadInputError: it cannot; or the configuration is none.
    """
    from harness.cluster.config import load_config
    from harness.timing import PROFILES

    volumes = load_config(config, PROFILES["tcg"]).shape.volumes
    if volumes and _OF_ONE_RESOURCE not in left_out:
        raise BadInputError(
            f"{_OF_ONE_RESOURCE} is of one resource's connection; drbd.volumes has one for all",
            hint=f"--without {_OF_ONE_RESOURCE}",
        )


def register(app: typer.Typer, check_host: CheckHost) -> None:
    """Add both commands; ``check_host`` stops on a host that cannot run a lab."""

    @app.command()
    def explore(
        seed: Annotated[
            int | None,
            typer.Option(min=0, max=_MOST_SEED, help="Of all draws; one is chosen if none is."),
        ] = None,
        budget: Annotated[
            str, typer.Option(help="No schedule begins after so long: 30m, 1h30m, 90s.")
        ] = "30m",
        shrink_budget: Annotated[
            str, typer.Option(help="The same for shrinking a schedule that fails; 0: no shrinking.")
        ] = "1h",
        beyond: Annotated[
            bool,
            typer.Option(
                "--beyond", help="More than the cluster is designed to survive: both nodes out."
            ),
        ] = False,
        without: Annotated[
            list[str] | None,
            typer.Option(help="A kind of step that is not drawn; may be repeated. --kinds: all."),
        ] = None,
        keep_going: Annotated[
            bool, typer.Option("--keep-going", help="Do not end with the first that fails.")
        ] = False,
        count: Annotated[int, typer.Option(min=0, help="At most so many schedules.")] = 0,
        list_only: Annotated[
            bool, typer.Option("--list", help="Print the schedules (--count, or 1), run none.")
        ] = False,
        kinds: Annotated[
            bool, typer.Option("--kinds", help="List the kinds of steps and stop.")
        ] = False,
        config: ConfigOption = None,
        guest: GuestOption = "",
        folder: FolderOption = None,
        coverage: Annotated[
            Path, typer.Option(help="The file that keeps coverage over explorations.")
        ] = REPORTS / "coverage.json",
        accelerator: AcceleratorOption = "auto",
        connect: ConnectOption = "",
        lab: LabOption = None,
        rootless: RootlessOption = False,
        cache: CacheOption = None,
    ) -> None:
        """Search beyond the written scenarios: draw schedules of overlapping faults, run them.

        Each is a feature file below scenarios/schedules that harness replay runs
        again. It keeps within what the cluster is designed to survive, so that
        whatever check fails is a finding. One that fails is shrunk to a minimal one.
        The same seed draws the same schedules; docs/exploring.md says how to read
        them.
        """
        from harness.explore.coverage import CoverageStore
        from harness.explore.exploration import Exploration, Plan
        from harness.explore.records import Settings
        from harness.explore.runner import LabRunner
        from harness.explore.vocabulary import KINDS
        from harness.session import new_run_folder

        if kinds:
            for kind in KINDS.values():
                print(f"{kind.name:18} {kind.group}")
            return
        left_out = tuple(sorted(set(without or ())))
        if unknown := sorted(set(left_out) - set(KINDS)):
            raise BadInputError(
                f"there is no kind {', '.join(unknown)}", hint="harness explore --kinds lists them"
            )
        guest_of(guest, config)
        check_drawable(config, left_out)
        plan = Plan(
            duration_s(budget),
            duration_s(shrink_budget),
            keep_going=keep_going,
            count=count,
            config=str(config) if config else "",
        )
        hashed, chosen = config_hash(config, guest), _seed(seed, folder)
        settings = Settings(chosen, beyond, left_out, hashed, explore_hash())
        if list_only:
            _list(settings, max(count, 1), CoverageStore(coverage))
            return
        options = _options(
            cache, config, guest, accelerator, connect, lab, rootless, check_host, seed=chosen
        )
        target = folder.resolve() if folder is not None else new_run_folder()
        console.print(
            f"Seed {chosen}: {_again(chosen, budget, beyond, config, guest, connect)}", markup=False
        )
        runner = LabRunner(_with_folder(options, target))
        try:
            exploration = Exploration(
                settings,
                plan,
                target,
                runner,
                schedules=SCHEDULES,
                shown="scenarios/schedules",
                store=CoverageStore(coverage),
                say=lambda line: console.print(line, markup=False),
            )
            exploration.run()
        finally:
            runner.close()
            _remove_if_empty(target)
        raise typer.Exit(_tell(exploration))

    @app.command()
    def replay(
        feature: Annotated[Path, typer.Argument(help="A feature file with one scenario.")],
        times: Annotated[int, typer.Option(min=1, help="How often it is run.")] = 1,
        timing: Annotated[
            bool, typer.Option("--timing", help="Tell when each thing happened, too.")
        ] = False,
        config: ConfigOption = None,
        guest: GuestOption = "",
        folder: FolderOption = None,
        accelerator: AcceleratorOption = "auto",
        connect: ConnectOption = "",
        lab: LabOption = None,
        rootless: RootlessOption = False,
        cache: CacheOption = None,
    ) -> None:
        """Run a saved schedule, or any feature file of one scenario, exactly as it is written.

        With --times the runs are compared: roles, connections and disks of DRBD,
        membership and moves as a sequence for each node and resource, and what
        differs where they do. With --timing it tells when each of these happened, in
        seconds from the first fault, and how far that lies apart.
        """
        from harness.explore.replay import Origin, check_feature, lines, timing_lines
        from harness.explore.replay import replay as replay_it
        from harness.explore.runner import LabRunner
        from harness.reporting import report
        from harness.session import new_run_folder

        file = feature.resolve()
        check_feature(file)
        guest_of(guest, config)
        digest = hashlib.sha256(file.read_bytes()).hexdigest()[:16]
        origin = Origin(digest, explore_hash(), config_hash(config, guest))
        options = _options(cache, config, guest, accelerator, connect, lab, rootless, check_host)
        target = folder.resolve() if folder is not None else new_run_folder()
        runner = LabRunner(_with_folder(options, target))
        try:
            comparison = replay_it(
                file,
                times,
                origin,
                target,
                runner,
                say=lambda line: console.print(line, markup=False),
            )
        finally:
            runner.close()
            _remove_if_empty(target)
        code = report(target)
        for line in (*lines(comparison), *(timing_lines(target) if timing else ())):
            print(line)
        raise typer.Exit(code)


def _seed(wanted: int | None, folder: Path | None) -> int:
    """The seed that is asked for; else that of the exploration in the folder; else a new one."""
    from harness.explore.records import load

    if wanted is not None:
        return wanted
    found = load(folder) if folder is not None else None
    return found.settings.seed if found is not None else secrets.randbelow(1_000_000)


def _again(
    seed: int, budget: str, beyond: bool, config: Path | None, guest: str, connect: str
) -> str:
    more = (" --beyond" if beyond else "") + (f" --config {config}" if config else "")
    more += f" --guest {guest}" if guest else ""
    more += f" --connect {connect}" if connect else ""
    return f"harness explore --seed {seed} --budget {budget}{more}"


def _options(
    cache: Path | None,
    config: Path | None,
    guest: str,
    accelerator: str,
    connect: str,
    lab: str | None,
    rootless: bool,
    check_host: CheckHost,
    seed: int | None = None,
) -> RunOptions:
    from harness.session import RunOptions

    if accelerator not in ("auto", "kvm", "tcg"):
        raise BadInputError(f"no accelerator {accelerator!r}", hint="auto, kvm or tcg")
    options = RunOptions(
        cache=cache_at(cache),
        config=config,
        guest=guest,
        accelerator=accelerator,
        connect=connect,
        lab=lab,
        everything=True,
        seed=seed,
    )
    enter(rootless, connect=connect, lab=options.cache.labs / lab if lab else None)
    check_host(options.cache, connect)
    return options


def _with_folder(options: RunOptions, folder: Path) -> RunOptions:
    import dataclasses

    return dataclasses.replace(options, folder=folder)


def _remove_if_empty(folder: Path) -> None:
    import contextlib

    with contextlib.suppress(OSError):
        folder.rmdir()  # nothing was begun


def _list(settings: Any, count: int, store: Any) -> None:
    """Print the first schedules, drawn with the coverage there is; they would differ later on."""
    from harness.explore.draw import draw
    from harness.explore.feature import Origin, render

    try:
        seen = store.seen(settings.config)
    except ValueError as error:
        raise BadInputError(str(error), hint="name another file with --coverage") from error
    for number in range(1, count + 1):
        schedule = draw(
            settings.seed, number, seen, beyond=settings.beyond, without=settings.without
        )
        print(render(schedule, Origin(settings.code), f"{schedule.stem}.feature"))


def _tell(exploration: Exploration) -> int:
    """Coverage, every doubt, and the report; the exit code."""
    from harness.explore.coverage import table
    from harness.reporting import report

    records = exploration.records
    if not records.entries:
        raise HarnessError("no schedule was run", hint="a longer --budget")
    own = Counter(cell for entry in records.entries for cell in entry.cells)
    path = exploration.write_coverage()
    code = report(exploration.folder)
    print()
    print(f"Coverage of {len(records.entries)} schedules, {len(own)} cells ({path}):")
    print(*table(own), sep="\n")
    reactions = sorted(one for entry in records.entries for one in entry.reactions)
    if reactions:
        middle = reactions[len(reactions) // 2]
        print(f"Reaction to a trigger: median {middle:.2f} s, longest {reactions[-1]:.2f} s")
    for entry in records.entries:
        for doubt in entry.doubts if entry.verdict == "INCONCLUSIVE" else ():
            print(f"INCONCLUSIVE schedule {entry.number}: {doubt[:300]}")
    for one in records.shrinkings:
        steps = len(next(e.steps for e in records.entries if e.number == one.number))
        print(
            f"Schedule {one.number} fails {one.check}: from {steps} steps to {len(one.best)}"
            f"{'' if one.done else ' so far'}: harness replay {one.file}"
        )
    return code
