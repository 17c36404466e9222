"""The command line: ``harness`` and its commands. Each command's own help teaches it."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import sys
from pathlib import Path  # noqa: TC003  (typer needs it at run time)
from typing import TYPE_CHECKING, Annotated

import typer

from harness.commands.adopt import adopt
from harness.commands.bundle import bundle
from harness.commands.cache import CacheOption, ConnectOption, newest_kernel
from harness.commands.cache import cache_at as _cache
from harness.commands.choosing import (
    AgainOption,
    BudgetOption,
    ListOption,
    TagOption,
    ThemeOption,
    check_accelerator,
    seconds,
    tags,
    themes,
)
from harness.commands.clusters import ClustersOption, PoolOption, at_once, check_clusters
from harness.commands.explore import register as register_explore
from harness.commands.guest import GuestOption  # noqa: TC001  (typer needs it at run time)
from harness.commands.image import image
from harness.commands.kept import kept_lab as _lab
from harness.commands.kept import lab_name as _lab_name
from harness.commands.lint import lint
from harness.commands.mutants import register as register_mutants
from harness.commands.nightly import register as register_nightly
from harness.commands.own import configure, mapped, prepare
from harness.commands.prune import prune
from harness.commands.qualify import register as register_qualify
from harness.commands.report import report as report_command
from harness.commands.rootless import RootlessOption, ask_inside, enter, reenter
from harness.commands.seed import seed
from harness.commands.stored import needs_run as _needs_run
from harness.commands.tally import tally
from harness.commands.trend import trend
from harness.commands.variants import register as register_variants
from harness.commands.watch import watch
from harness.errors import BadInputError, ExitCode, HarnessError
from harness.lab.paths import PROJECT, Cache
from harness.progress import console

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.lab.doctor import Finding
    from harness.lab.topology import MachinePlan
    from harness.session import RunOptions

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Breaks a two-node DRBD/iSCSI cluster on real VMs while an initiator writes, and proves "
    "from evidence that there was no split-brain and that the failover was transparent.",
    epilog="Exit codes: 0 valid, 1 invalid, 10 inconclusive, 20 error of the harness, "
    "21 something is missing.",
)

LabOption = Annotated[str | None, typer.Option("--lab", help="Name of a kept lab: harness status.")]


app.command()(adopt)
app.command()(bundle)
app.command()(configure)
app.command()(image)
app.command()(lint)
app.command(name="report")(report_command)
app.command()(seed)
app.command()(tally)
app.command()(watch)
app.command()(trend)
app.command()(prune)


@app.command()
def doctor(
    connect: ConnectOption = "", rootless: RootlessOption = False, cache: CacheOption = None
) -> None:
    """Check this host: virtualisation that truly works, tools, rights, memory, disk."""
    from harness.lab.doctor import exit_code, render

    enter(rootless, connect=connect)
    findings = _findings(_cache(cache), connect)
    render(findings, console)
    raise typer.Exit(int(exit_code(findings)))


@app.command()
def run(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Scenarios to run; by default all that are not tagged @nightly."),
    ] = None,
    scenario: Annotated[
        list[str] | None,
        typer.Option("--scenario", help="The same as a name without it; may be repeated."),
    ] = None,
    tag: TagOption = None,
    theme: ThemeOption = None,
    everything: Annotated[bool, typer.Option("--all", help="Also those tagged @nightly.")] = False,
    budget: BudgetOption = "",
    keep: Annotated[str, typer.Option(help="Keep the lab: never, on-failure or always.")] = "never",
    fresh: Annotated[bool, typer.Option("--fresh", help="Form the cluster anew.")] = False,
    connect: ConnectOption = "",
    lab: LabOption = None,
    max_stall: Annotated[
        float | None, typer.Option(help="Your bound on the longest stall, in seconds.")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            help="TOML file that overrides the cluster's configuration; or a folder of files "
            "collected from a cluster of your own (docs/own-cluster.md)."
        ),
    ] = None,
    guest: GuestOption = "",
    accelerator: Annotated[str, typer.Option(help="auto, kvm or tcg (emulation).")] = "auto",
    mirror: Annotated[str, typer.Option(help="Mirror for the guest image.")] = "",
    proxy: Annotated[str, typer.Option(help="HTTP proxy for the guest image's packages.")] = "",
    offline: Annotated[
        bool, typer.Option("--offline", help="Use only packages downloaded before.")
    ] = False,
    suite: Annotated[Path, typer.Option(help="File or folder that binds the features.")] = PROJECT
    / "scenarios",
    folder: Annotated[Path | None, typer.Option(help="Where the run lands.")] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Go on with the run in this folder (or begin it).")
    ] = None,
    again: AgainOption = False,
    clusters: ClustersOption = None,
    pool: PoolOption = None,
    list_only: ListOption = False,
    without_injecting: Annotated[
        bool,
        typer.Option(
            "--without-injecting",
            help="A test of the harness: do everything but inject. Nothing may be proved then, so "
            "every scenario has to be INCONCLUSIVE.",
        ),
    ] = False,
    rootless: RootlessOption = False,
    cache: CacheOption = None,
) -> None:
    """Run scenarios on a lab and write the failover report."""
    from harness.cluster.config import load_config
    from harness.lab.image import ImageOptions
    from harness.running import list_scenarios
    from harness.session import Keep, RunOptions
    from harness.timing import PROFILES

    check_accelerator(accelerator)
    if keep not in list(Keep):
        raise BadInputError(f"--keep {keep!r}?", hint="never, on-failure or always")
    if not suite.exists():
        raise BadInputError(f"no such file or folder: {suite}", hint="--suite names a test module")
    only = (*(names or ()), *(scenario or ()))
    options = RunOptions(
        cache=_cache(cache),
        image=ImageOptions(mirror=mirror, proxy=proxy, offline=offline),
        guest=guest,
        config=config,
        accelerator=accelerator,
        connect=connect,
        lab=lab,
        fresh=fresh,
        keep=Keep(keep),
        max_stall_s=max_stall,
        folder=resume.resolve() if resume is not None else None,
        resume=resume is not None,
        again=again,
        injecting=not without_injecting,
        budget_s=seconds(budget),
        only=only,
        tags=tags(tag),
        themes=themes(theme),
        everything=everything,
    )
    # A malformed configuration is told at once, and --list is a way to check one.
    folder_of_files = config is not None and config.is_dir()
    if config is not None and folder_of_files:
        mapped(config, "kvm")
    load_config(None if folder_of_files else config, PROFILES["tcg"], guest_name=guest)
    if list_only:
        raise typer.Exit(list_scenarios(options, suite))
    enter(rootless, connect=connect, lab=options.cache.labs / lab if lab else None)
    if folder is not None and not options.resume:
        options = dataclasses.replace(options, folder=folder.resolve())
    raise typer.Exit(_run(options, suite, clusters, pool))


def _run(
    options: RunOptions,
    suite: Path,
    clusters: int | None = None,
    pool: Path | None = None,
    before: Callable[[RunOptions, Path], None] = lambda _options, _folder: None,
) -> int:
    """Run on this host, if it can; the exit code.

    Args:
        before: what is to be done with the run's folder first.
    """
    from harness.qualify.stamps import note, take_back
    from harness.running import run_scenarios
    from harness.session import new_run_folder

    checked = check_clusters(options, clusters, pool, _check_host)
    target = options.folder or new_run_folder()
    own = options.config
    if own is not None and own.is_dir():
        path = prepare(own, target, options.cache, options.accelerator)
        options = dataclasses.replace(options, config=path)
    before(options, target)
    note(options.cache, target)
    try:
        with at_once(checked, target):
            code = run_scenarios(dataclasses.replace(options, folder=target), suite)
    finally:
        take_back(target)
    with contextlib.suppress(OSError):
        target.rmdir()  # a run that ended before it began has nothing in it
    return code


@app.command()
def up(
    fresh: Annotated[bool, typer.Option("--fresh", help="Form the cluster anew.")] = False,
    config: Annotated[Path | None, typer.Option(help="TOML file with overrides.")] = None,
    guest: GuestOption = "",
    accelerator: Annotated[str, typer.Option(help="auto, kvm or tcg.")] = "auto",
    connect: ConnectOption = "",
    rootless: RootlessOption = False,
    cache: CacheOption = None,
) -> None:
    """Start a lab with a healthy cluster and keep it, for working with it by hand."""
    from harness.session import Keep, LabSession, RunOptions

    enter(rootless, connect=connect)
    place = _cache(cache)
    _check_host(place, connect)
    session = LabSession(
        RunOptions(
            cache=place,
            config=config,
            guest=guest,
            accelerator=accelerator,
            connect=connect,
            fresh=fresh,
            keep=Keep.ALWAYS,
        )
    )
    try:
        session.start()
    finally:
        session.close()


@app.command()
def status(
    lab: Annotated[str | None, typer.Option("--lab", help="Only this one.")] = None,
    cache: CacheOption = None,
) -> None:
    """List the labs on this host and what their machines do."""
    from harness.lab.lab import KEPT, host_runs
    from harness.lab.lease import holder, is_held

    place = _cache(cache)
    labs = sorted(place.labs.iterdir()) if place.labs.is_dir() else []
    labs = [folder for folder in labs if lab in (None, folder.name)]
    if not labs:
        console.print("No labs. Start one with: harness up")
    for folder in labs:
        if ask_inside(folder, "status", "--lab", folder.name, "--cache", str(place.root)):
            continue
        lock = place.leases / f"{folder.name}.lock"
        if is_held(lock):
            state = f"in use by {holder(lock)}"
        elif (folder / KEPT).exists():
            state = "kept" if host_runs(folder) else "kept, but not running"
        else:
            state = "abandoned (harness gc removes it)"
        console.print(f"{folder.name}: {state}", markup=False, soft_wrap=True)
        if state == "kept":
            with _lab(place, folder.name) as opened:
                for machine in opened.machines.values():
                    power = "running" if machine.running() else "off"
                    console.print(f"  {machine.name:8} {power}", markup=False)
                console.print(f"  libvirt: {opened.host.uri}", markup=False)


# The options of a guest's command are not ours: crm_mon -1rf.
@app.command(context_settings={"ignore_unknown_options": True})
def ssh(
    node: Annotated[str, typer.Argument(help="alpha, bravo or client")],
    command: Annotated[list[str] | None, typer.Argument(help="Command; a shell if none.")] = None,
    lab: LabOption = None,
    cache: CacheOption = None,
) -> None:
    """A shell in a guest, or one command.

    Options that are not below go to the command: harness ssh alpha crm_mon -1rf.
    After -- all of them do: harness ssh alpha -- crm_mon --help.
    """
    from harness.lab.lab import attach_host
    from harness.lab.topology import Link

    place = _cache(cache)
    folder = place.labs / _lab_name(place, lab)
    reenter(folder)
    host = attach_host(place, folder)
    address = host.topology.machine(_plan(node).name).card(Link.CONTROL).address
    arguments = [*host.shell_in(address), *(command or [])]
    os.execvp(arguments[0], arguments)


@app.command(name="console")
def console_command(
    node: Annotated[str, typer.Argument(help="alpha, bravo or client")],
    lines: Annotated[int, typer.Option(help="How many lines to show first.")] = 40,
    lab: LabOption = None,
    cache: CacheOption = None,
) -> None:
    """Follow a guest's serial console."""
    from harness.lab.remote import RemoteHost
    from harness.lab.remote_objects import is_remote

    place = _cache(cache)
    folder = place.labs / _lab_name(place, lab)
    log = f"console/{_plan(node).name}.log"
    tail = ["tail", "-n", str(lines), "-F", str(folder / log)]
    if is_remote(folder):
        tail = RemoteHost.attach(folder).follow(log, lines)
    os.execvp(tail[0], tail)


@app.command()
def snapshot(
    name: Annotated[str, typer.Argument(help="The snapshot's name.")],
    revert: Annotated[
        bool, typer.Option("--revert", help="Go back to the one of that name.")
    ] = False,
    lab: LabOption = None,
    cache: CacheOption = None,
) -> None:
    """Take a snapshot of a kept lab's running VMs, or go back to one ("healthy" always exists)."""
    from harness.lab import snapshot as snapshots

    place = _cache(cache)
    reenter(place.labs / _lab_name(place, lab))
    with _lab(place, _lab_name(place, lab)) as opened:
        machines = list(opened.machines.values())
        if revert:
            snapshots.revert(machines, name)
        else:
            snapshots.take(machines, name)


@app.command()
def down(lab: LabOption = None, cache: CacheOption = None) -> None:
    """End a kept lab and remove everything of it."""
    from harness.lab.gc import remove_lab
    from harness.lab.lab import Lab, host_runs

    place = _cache(cache)
    name = _lab_name(place, lab)
    if not (place.labs / name).is_dir():
        raise HarnessError(f"no lab called {name}", hint="harness status lists the labs")
    reenter(place.labs / name)
    if not host_runs(place.labs / name):
        # Kept, but its processes are gone (a reboot, say): only its files are left.
        remove_lab(place, name)
        return
    Lab.attach(place, name).destroy()


@app.command()
def gc(
    kept_too: Annotated[bool, typer.Option("--all", help="Kept labs as well.")] = False,
    rootless: RootlessOption = False,
    cache: CacheOption = None,
) -> None:
    """Find and remove what an aborted run left: VMs, namespaces, daemons, files."""
    from harness.crashpoints import die_here_if_asked
    from harness.lab.gc import collect_garbage

    enter(rootless)
    removed = collect_garbage(
        _cache(cache), kept_too=kept_too, between=lambda: die_here_if_asked("gc")
    )
    for what in removed:
        console.print(f"removed {what}", markup=False)
    if not removed:
        console.print("nothing to remove")


@app.command()
def steps() -> None:
    """List the Gherkin vocabulary with what each step does."""
    from harness.steps.vocabulary import vocabulary

    for line in vocabulary():
        print(line)


@app.command()
def recheck(run_folder: Annotated[Path, typer.Argument(help="reports/<run>")]) -> None:
    """Judge a stored run again and rewrite its report; no VM is needed."""
    from harness.reporting import judge_again, report

    _needs_run(run_folder)
    judge_again(run_folder)
    raise typer.Exit(report(run_folder))


def _findings(place: Cache, connect: str) -> list[Finding]:
    """What the doctor finds on this host, with the newest guest kernel for the KVM probe."""
    from harness.lab.doctor import run_doctor

    return run_doctor(place.root, newest_kernel(place), connect=connect or None)


def _check_host(place: Cache, connect: str) -> None:
    """Stop, with every failing line and its remedy, on a host that cannot run a lab."""
    from harness.lab.doctor import exit_code, render

    findings = _findings(place, connect)
    if exit_code(findings) is not ExitCode.VALID:
        render([finding for finding in findings if finding.ok == "fail"], console)
        raise typer.Exit(int(ExitCode.MISSING_ENVIRONMENT))


register_nightly(app, _run)
register_explore(app, _check_host)
register_mutants(app, _check_host)
register_variants(app, _check_host)
register_qualify(app, _check_host, _findings)


def _plan(node: str) -> MachinePlan:
    from harness.lab.topology import Topology

    try:
        return Topology(0).machine(node)
    except KeyError:
        raise BadInputError(f"no machine called {node!r}", hint="alpha, bravo or client") from None


def main() -> None:
    """Entry point: errors that a user can meet are one line, with a hint and an exit code."""
    # SIGTERM and SIGHUP unwind like Ctrl-C does, so that a lab is removed.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        app()
    except HarnessError as error:
        console.print(f"error: {error.message}", markup=False, style="bold red")
        if error.hint:
            console.print(f"hint: {error.hint}", markup=False)
        sys.exit(int(error.exit_code))
    except KeyboardInterrupt:
        console.print("interrupted; nothing is left behind")
        sys.exit(int(ExitCode.HARNESS_ERROR))
    except BrokenPipeError:
        sys.exit(0)
