"""From machines that run to a lab: found, formed if they are blank, compared, snapshotted."""

from __future__ import annotations

import hashlib
import shlex
from functools import partial
from typing import TYPE_CHECKING

from harness.adopt.asking import Endpoint, ask_cards, guest_at, who_answers
from harness.adopt.domains import bridge_of, read_domains
from harness.adopt.found import ADOPTED, adopt_found, load_adoption
from harness.adopt.lab import AdoptedLab
from harness.adopt.plan import SECRETS, Plan, load_plan, state_folder
from harness.cluster.form import form_cluster, resources_missing
from harness.cluster.render import render_seeds
from harness.cluster.secrets import Secrets
from harness.errors import BadInputError, HarnessError
from harness.evidence.files import write_whole
from harness.lab import snapshot
from harness.lab.bridges import addresses_in_use
from harness.lab.machine import in_parallel
from harness.lab.shared import connect_to
from harness.lab.topology import Link, Topology
from harness.progress import stage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.adopt.found import Adoption
    from harness.lab.paths import Cache
    from harness.remote.ssh import Guest

_ANEW = "vagrant destroy && vagrant up makes them anew"
# apply-cluster of the image puts it there, in the middle of forming; no package has such a file.
_FORMED = "/etc/cluster/fence_xvm.key"


def attach(cache: Cache, uri: str, endpoints: Sequence[Endpoint] = ()) -> AdoptedLab:
    """The lab that Vagrant's machines are, with a healthy cluster and its snapshot.

    Args:
        uri: of the libvirt daemon that they are on.
        endpoints: where the guests answer SSH; by default on their control links.

    Raises:
        BadInputError: nothing was prepared, or the machines are not what was.
        HarnessError: they do not answer, or the cluster does not become whole.
    """
    folder = state_folder(cache)
    plan = load_plan(folder)
    secrets = Secrets.load(folder / SECRETS)
    earlier = load_adoption(folder)
    if earlier is not None and earlier.uri == uri:
        _back_to_healthy(cache, earlier, secrets)
    adoption = find(plan, secrets, uri, endpoints)
    lab = AdoptedLab.open(cache, folder / "lab", adoption, secrets)
    try:
        lab.take_shape(plan.cluster_config.shape)
        lab.fit = fitting(plan, secrets, lab.topology)
        lab.start_fence_device()
        if not lab.has_snapshot():
            _form(lab, plan)
        wanted = rendered_files(plan, secrets, lab.topology)
        _check_files(wanted, {m.name: m.guest for m in lab.machines.values()})
        if not lab.has_snapshot():
            if missing := resources_missing(lab):
                raise HarnessError(f"the cluster is not whole: {missing}", hint=_ANEW)
            with stage("Taking the healthy snapshot"):
                snapshot.take(list(lab.machines.values()), snapshot.HEALTHY)
    except BaseException:
        lab.destroy()
        raise
    write_whole(folder / ADOPTED, adoption.model_dump_json(indent=1) + "\n")
    return lab


def find(plan: Plan, secrets: Secrets, uri: str, endpoints: Sequence[Endpoint] = ()) -> Adoption:
    """Ask guests and libvirt which machines are the plan's.

    Raises:
        as ``attach``.
    """
    where = list(endpoints) or [Endpoint(machine.address) for machine in plan.machines]
    with stage("Looking for the machines"):
        answering = who_answers(where, secrets, deadline_s=plan.boot_timeout_s)
        guests = {name: guest_at(name, at, secrets) for name, at in answering.items()}
        try:
            cards = ask_cards(guests)
        finally:
            for guest in guests.values():
                guest.forget()
        connection = connect_to(uri)
        try:
            bridge = bridge_of(connection)
            found = adopt_found(plan, uri, answering, cards, read_domains(connection), bridge)
        finally:
            connection.close()
    _check_host(Topology(plan.slot))
    return found


def _check_host(topology: Topology) -> None:
    """This host has to be the gateway, the ping target and the fence device.

    Raises:
        BadInputError: it is not on one of the links.
    """
    here = set(addresses_in_use(topology))
    missing = [
        f"{topology.host_address(link)} ({link})"
        for link in Link
        if link is not Link.DRBD and topology.host_address(link) not in here
    ]
    if missing:
        raise BadInputError(
            f"this host does not have the address {', '.join(missing)}",
            hint="the harness has to run where the machines' networks are",
        )


def _back_to_healthy(cache: Cache, earlier: Adoption, secrets: Secrets) -> None:
    """Undo whatever the last scenario left: a machine that is off could not be asked."""
    lab = AdoptedLab.open(cache, state_folder(cache) / "lab", earlier, secrets)
    try:
        if lab.has_snapshot():
            with stage("Going back to the healthy snapshot"):
                lab.start_fence_device()
                lab.revert()
    finally:
        lab.destroy()


def _form(lab: AdoptedLab, plan: Plan) -> None:
    """Form the cluster, as in a lab of our own, if the nodes are blank.

    Raises:
        HarnessError: it could not be formed, or somebody began with it.
    """
    command = f"test -e {_FORMED} && echo yes || echo no"
    formed = {m.name: m.guest.run(command).stdout.strip() == "yes" for m in lab.nodes}
    if all(formed.values()):
        return
    if any(formed.values()):
        raise HarnessError("only one of the nodes was formed", hint=_ANEW)
    with stage("Forming the cluster cold (about 3 minutes under emulation)") as progress:
        form_cluster(
            lab,
            plan.cluster_config,
            lab.secrets,
            accelerator=plan.accelerator,
            image_key=plan.image,
            note=progress.note,
        )


def _check_files(wanted: Mapping[str, Mapping[str, str]], guests: Mapping[str, Guest]) -> None:
    """See to it that the guests have the very files that the plan's configuration renders.

    Raises:
        BadInputError: one differs, or is missing.
    """
    told: dict[str, str] = {}

    def ask(name: str) -> None:
        paths = " ".join(shlex.quote(path) for path in wanted[name])
        told[name] = guests[name].run(f"sha256sum -- {paths}", check=False).stdout

    with stage("Comparing the machines' files with the configuration"):
        in_parallel({name: partial(ask, name) for name in guests})
    wrong = [
        f"{name}: {path}" for name in guests for path in differing_files(wanted[name], told[name])
    ]
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise BadInputError(
            f"files differ from what was prepared: {', '.join(wrong[:3])}{more}", hint=_ANEW
        )


def rendered_files(
    plan: Plan, secrets: Secrets, topology: Topology | None = None
) -> dict[str, dict[str, str]]:
    """By machine and path in the guest: SHA-256 of what belongs there, hexadecimal.

    Args:
        topology: of the machines that were found; by default as the seeds have it.
    """
    seeds = render_seeds(plan.cluster_config, topology or Topology(plan.slot), secrets)
    return {
        name: {
            path: hashlib.sha256(content).hexdigest()
            for tree in (seed.base, seed.cluster)
            for path, (content, _mode) in tree.files.items()
        }
        for name, seed in seeds.items()
    }


def fitting(
    plan: Plan, secrets: Secrets, topology: Topology
) -> dict[str, dict[str, tuple[bytes, int]]]:
    """By machine and path: what its seed has otherwise, as that was made before its domain was.

    The fence device knows a machine by its domain's name, which is whatever it was called.
    """
    planned = render_seeds(plan.cluster_config, Topology(plan.slot), secrets)
    found = render_seeds(plan.cluster_config, topology, secrets)
    return {
        name: {
            path: told
            for path, told in seed.cluster.files.items()
            if told != planned[name].cluster.files.get(path)
        }
        for name, seed in found.items()
    }


def differing_files(wanted: Mapping[str, str], told: str) -> list[str]:
    """Paths whose digest ``sha256sum`` did not tell, or told another of."""
    seen = {}
    for line in told.splitlines():
        digest, _space, path = line.partition("  ")
        seen[path] = digest
    return sorted(path for path, digest in wanted.items() if seen.get(path) != digest)
