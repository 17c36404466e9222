"""``harness adopt``: machines that Vagrant made, taken as a lab."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path  # noqa: TC003  (typer needs it at run time)
from typing import TYPE_CHECKING, Annotated

import typer

from harness.adopt import SYSTEM
from harness.commands.cache import CacheOption, cache_at
from harness.commands.guest import GuestOption, guest_of
from harness.errors import BadInputError, MissingEnvironmentError
from harness.lab.paths import PROJECT

if TYPE_CHECKING:
    from harness.adopt.asking import Endpoint
    from harness.adopt.plan import Accelerated
    from harness.lab.image import Image
    from harness.lab.paths import Cache


def adopt(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="With --run: scenarios; by default all that are not @nightly."),
    ] = None,
    run: Annotated[
        bool, typer.Option("--run", help="Then run scenarios, and write the failover report.")
    ] = False,
    everything: Annotated[bool, typer.Option("--all", help="Also those tagged @nightly.")] = False,
    folder: Annotated[Path | None, typer.Option(help="Where the run lands.")] = None,
    connect: Annotated[
        str, typer.Option(help="URI of the libvirt daemon that the machines are on.")
    ] = SYSTEM,
    ssh_config: Annotated[
        Path | None,
        typer.Option(
            help="Where the guests answer, as vagrant ssh-config prints it; - reads it from "
            "standard input. Without it: on their control link.",
            show_default=False,
        ),
    ] = None,
    prepare: Annotated[
        bool,
        typer.Option("--prepare", help="Before vagrant up, which does it: box, keys and seeds."),
    ] = False,
    config: Annotated[
        Path | None, typer.Option(help="With --prepare: TOML file with overrides.")
    ] = None,
    guest: GuestOption = "",
    accelerator: Annotated[
        str, typer.Option(help="With --prepare: auto, kvm or tcg (emulation).")
    ] = "auto",
    forget: Annotated[
        bool, typer.Option("--forget", help="After vagrant destroy: remove what was prepared.")
    ] = False,
    cache: CacheOption = None,
) -> None:
    """Attach to the machines of vagrant up: find them, form the cluster, take the snapshot.

    Guests are known by their host keys, domains by the guests' cards, links by
    the networks those are on. What a lab needs and these machines lack is said.
    Where all is as before, nothing is done but to go back to the snapshot.
    docs/vagrant.md explains it.
    """
    place = cache_at(cache)
    if prepare + forget + run > 1:
        raise BadInputError("one of --prepare, --run and --forget", hint="harness adopt --help")
    if names and not run:
        raise BadInputError("names of scenarios go with --run", hint='harness adopt --run "A name"')
    if guest and not prepare:
        raise BadInputError(
            "--guest goes with --prepare: machines that are there have their guests",
            hint="harness adopt --forget, then --prepare --guest",
        )
    if prepare:
        _prepare(place, connect, config, guest, accelerator)
    elif forget:
        _forget(place, connect)
    else:
        _attach(place, connect, ssh_config, tuple(names or ()), run, everything, folder)


def _prepare(place: Cache, connect: str, config: Path | None, guest: str, accelerator: str) -> None:
    from harness.adopt.plan import prepare
    from harness.lab.shared import connect_to, qemu_owner

    if accelerator not in ("auto", "kvm", "tcg"):
        raise BadInputError(f"no accelerator {accelerator!r}", hint="auto, kvm or tcg")

    def choose(image: Image) -> Accelerated:
        from harness.session import RunOptions, choose_accelerator

        options = RunOptions(cache=place, accelerator=accelerator)
        return "kvm" if choose_accelerator(options, image) == "kvm" else "tcg"

    guest_of(guest, config)
    connection = connect_to(connect)
    try:
        owner = qemu_owner(connection.getCapabilities())
    finally:
        connection.close()
    plan = prepare(place, choose, config, guest=guest, owner=owner)
    print(f"Prepared: {', '.join(one.name for one in plan.machines)} ({plan.accelerator})")


def _forget(place: Cache, connect: str) -> None:
    from harness.adopt.domains import read_domains
    from harness.adopt.lab import end_fence_device
    from harness.adopt.plan import LAB, load_plan, state_folder
    from harness.lab.shared import connect_to

    state = state_folder(place)
    if not state.is_dir():
        print("nothing was prepared")
        return
    if (state / LAB).exists():
        macs = {card.mac for one in load_plan(state).machines for card in one.cards}
        connection = connect_to(connect)
        try:
            left = sorted(d.name for d in read_domains(connection) if d.macs & macs)
        finally:
            connection.close()
        if left:
            raise BadInputError(f"there still are {', '.join(left)}", hint="vagrant destroy")
    end_fence_device(state / "lab")
    shutil.rmtree(state)
    print(f"removed {state}")


def _attach(
    place: Cache,
    connect: str,
    ssh_config: Path | None,
    names: tuple[str, ...],
    run: bool,
    everything: bool,
    folder: Path | None,
) -> None:
    from harness.adopt.attaching import attach
    from harness.adopt.plan import load_plan, state_folder

    endpoints = _endpoints(ssh_config)
    plan = load_plan(state_folder(place))
    if os.geteuid() != 0:
        raise MissingEnvironmentError(
            "cuts and the fence device need root", hint="run through sudo"
        )
    if not run:
        lab = attach(place, connect, endpoints)
        try:
            for machine in lab.machines.values():
                print(f"{machine.name}: domain {machine.plan.domain}")
            for link, bridge in lab.adoption.bridges.items():
                print(f"{link}: bridge {bridge}")
        finally:
            lab.destroy()
        return
    from harness.adopt.session import AdoptedSession, run_adopted
    from harness.report.live.terminal import shown_live
    from harness.session import RunOptions, new_run_folder

    target = folder.resolve() if folder is not None else new_run_folder()
    options = RunOptions(
        cache=place,
        accelerator=plan.accelerator,
        connect=connect,
        folder=target,
        only=names,
        everything=everything,
    )
    session = AdoptedSession(options, plan, lambda: attach(place, connect, endpoints))
    with shown_live(target):
        code = run_adopted(session, PROJECT / "scenarios")
    raise typer.Exit(code)


def _endpoints(ssh_config: Path | None) -> list[Endpoint]:
    from harness.adopt.asking import read_ssh_config

    if ssh_config is None:
        return []
    try:
        text = sys.stdin.read() if str(ssh_config) == "-" else ssh_config.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInputError(f"{ssh_config} cannot be read: {error}") from error
    return read_ssh_config(text)
