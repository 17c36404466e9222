"""Rules on DRBD's configuration (drbd.conf(5)), of 8.4 as of 9."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from harness.lint.model import Place
from harness.lint.registry import Look, Severity, Source, rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.lint.formats.drbd_conf import DrbdConfig, DrbdResource, Option
    from harness.lint.model import Machine

_LEAST_PATIENCE_DS = 5
# Retransmissions after 0.2, 0.4, 0.8 and 1.6 s: tcp(7), TCP_RTO_MIN of the kernel.
_LEAST_CONFIRMATION_DS = 30
_AFTER_SB = ("after-sb-0pri", "after-sb-1pri", "after-sb-2pri")


def resources(look: Look) -> Iterator[tuple[Machine, DrbdConfig, DrbdResource]]:
    """Every resource of every node; where there is none, that is said."""
    for node in look.cluster.nodes:
        config = look.need(node.drbd)
        if config is None:
            continue
        if not config.resources:
            look.lacks(f"{node.drbd.name} defines no resource")
        for resource in config.resources.values():
            yield node, config, resource


def place_of(config: DrbdConfig, option: Option, resource: DrbdResource) -> Place:
    """Where an option of a resource is: in the resource, or in what all have in common."""
    shared = any(option is one for options in config.common.values() for one in options)
    return Place(option.file, option.line, "common" if shared else f"resource {resource.name}")


def place(resource: DrbdResource) -> Place:
    """Where a resource is."""
    return Place(resource.file, resource.line, f"resource {resource.name}")


def _each(config: DrbdConfig, resource: DrbdResource, *names: str) -> list[Option]:
    return [option for name in names for option in config.option(resource, name)]


def _number(option: Option) -> int | None:
    """What an option says, its first nine digits; None where it is no number."""
    value = option.value
    return int(value[:9]) if value.isascii() and value.isdigit() else None


@rule("drbd-agrees", "All nodes have the same DRBD resources", Severity.ERROR, Source.DOCS)
def drbd_agrees(look: Look) -> None:
    """Each node lives by its own files. Where one differs, its role, not its configuration, decides
    which of the two is in force."""
    configs = [(node, look.need(node.drbd)) for node in look.cluster.nodes]
    known = [(node, config) for node, config in configs if config is not None]
    for (first, one), (second, other) in itertools.pairwise(known):
        for name in sorted(one.resources.keys() | other.resources.keys()):
            mine, theirs = one.resources.get(name), other.resources.get(name)
            if mine is None or theirs is None:
                where = place(mine or theirs)  # type: ignore[arg-type]
                lacks = second if theirs is None else first
                look.report(where, f"{lacks.name} has no resource {name}")
                continue
            keys = {*one.common, *other.common, *mine.options, *theirs.options}
            for key in sorted(keys):
                values = [
                    sorted(option.value for option in config.option(resource, key))
                    for config, resource in ((one, mine), (other, theirs))
                ]
                if values[0] != values[1]:
                    options = other.option(theirs, key) or one.option(mine, key)
                    # Never a secret's value.
                    said = [", ".join(one) or "not set" for one in values]
                    text = f"{key} is {said[0]} on {first.name}, {said[1]} on {second.name}"
                    if "secret" in key:
                        text = f"{key} is another than on {first.name}"
                    look.report(place_of(other, options[0], theirs), text)
            if _wires(mine) != _wires(theirs) or mine.minors != theirs.minors:
                look.report(
                    place(theirs), f"other hosts, addresses or devices than on {first.name}"
                )
            look.saw()
    if len(known) == 1 and len(look.cluster.nodes) == 1:
        look.lacks("the DRBD configuration of a second node")


def _wires(resource: DrbdResource) -> dict[str, list[str]]:
    return {host: [o.value for o in options] for host, options in resource.addresses.items()}


@rule("protocol-c", "DRBD replicates synchronously", Severity.ERROR, Source.SEEN)
def protocol_c(look: Look) -> None:
    """With protocol A, a write is acknowledged once it is in the send buffer, with B once the peer
    has it in memory: what was acknowledged is lost with the node, or with both. DRBD 8.4 refuses A
    together with fencing resource-and-stonith (error 154). Only C keeps the promise that a failover
    is transparent."""
    for _node, config, resource in resources(look):
        for option in _each(config, resource, "net/protocol"):
            if option.value != "C":
                look.report(place_of(config, option, resource), f"protocol {option.value}")
        look.saw()


@rule("drbd-fencing", "DRBD fences its peer before it writes alone", Severity.ERROR, Source.SEEN)
def drbd_fencing(look: Look) -> None:
    """Without fencing (dont-care, the default) nothing keeps a peer whose data grow old from being
    promoted. With resource-only, the Primary goes on writing while its handler runs, and what it
    acknowledges is lost if the peer wins. resource-and-stonith freezes writes until the peer is out
    of the way."""
    for _node, config, resource in resources(look):
        # In "disk" with 8.4, in "net" with 9.
        options = _each(config, resource, "disk/fencing", "net/fencing")
        if not options:
            look.report(place(resource), "fencing is not set: dont-care")
        for option in options:
            if option.value != "resource-and-stonith":
                look.report(place_of(config, option, resource), f"fencing {option.value}")
        look.saw()


@rule(
    "no-automatic-recovery", "DRBD never resolves a split-brain by itself", Severity.ERROR,
    Source.SEEN,
)  # fmt: skip
def no_automatic_recovery(look: Look) -> None:
    """Any after-sb policy but disconnect throws one side's acknowledged writes away as soon as the
    nodes see each other again, and with them the evidence. Whose writes are discarded is an
    operator's decision."""
    for _node, config, resource in resources(look):
        for name in _AFTER_SB:
            for option in _each(config, resource, f"net/{name}"):
                if option.value != "disconnect":
                    look.report(place_of(config, option, resource), f"{name} {option.value}")
        for option in _each(config, resource, "net/rr-conflict"):
            if option.value not in ("disconnect", "retry-connect"):
                look.report(place_of(config, option, resource), f"rr-conflict {option.value}")
        look.saw()


@rule("one-primary", "Only one node may be Primary", Severity.ERROR, Source.POST)
def one_primary(look: Look) -> None:
    """The cluster is active-passive. allow-two-primaries takes away DRBD's own refusal to be
    Primary on both nodes, the last thing that stands between a mistake and two histories."""
    for _node, config, resource in resources(look):
        for option in _each(config, resource, "net/allow-two-primaries"):
            if option.value not in ("no", "false"):
                look.report(place_of(config, option, resource), "allow-two-primaries")
        look.saw()


@rule("disks-are-flushed", "DRBD flushes its backing disks", Severity.ERROR, Source.SEEN)
def disks_are_flushed(look: Look) -> None:
    """With disk-flushes or md-flushes off, what lies in a disk's volatile cache counts as written.
    After a power cut it is gone, DRBD believes that the peers are equal, and nobody is told. Right
    only where every cache has a battery."""
    for _node, config, resource in resources(look):
        for name in ("disk-flushes", "md-flushes"):
            for option in _each(config, resource, f"disk/{name}"):
                if option.value not in ("yes", "true"):
                    look.report(place_of(config, option, resource), f"{name} {option.value}")
        look.saw()


@rule("detach-on-error", "A failing disk is detached", Severity.WARNING, Source.DOCS)
def detach_on_error(look: Look) -> None:
    """detach, the default of 8.4 and 9, goes on with the peer's data when the own disk fails.
    pass_on hands the error to the initiator though the other replica is well."""
    for _node, config, resource in resources(look):
        for option in _each(config, resource, "disk/on-io-error"):
            if option.value != "detach":
                look.report(place_of(config, option, resource), f"on-io-error {option.value}")
        look.saw()


@rule("drbd-timeouts", "DRBD's timeout is below its intervals", Severity.ERROR, Source.DOCS)
def drbd_timeouts(look: Look) -> None:
    """timeout, in tenths of a second, has to be below ping-int and connect-int (drbd.conf(5)), else
    a peer that is only idle counts as dead."""
    defaults = {"timeout": 60, "ping-int": 10, "connect-int": 10}
    for _node, config, resource in resources(look):
        values = dict(defaults)
        where = place(resource)
        for name in defaults:
            for option in _each(config, resource, f"net/{name}"):
                here = place_of(config, option, resource)
                number = _number(option)
                if number is None:
                    look.report(here, f"{name} {option.value}: no number")
                    continue
                values[name] = number
                where = here if name == "timeout" else where
        shortest = min(values["ping-int"], values["connect-int"])
        if values["timeout"] >= 10 * shortest:
            text = f"timeout {values['timeout']} (tenths) is not below {shortest} s"
            look.report(where, text)
        look.saw()


@rule("drbd-patience", "DRBD gives its peer time to answer", Severity.ERROR, Source.DOCS)
def drbd_patience(look: Look) -> None:
    """ping-timeout, in tenths of a second, is how late the answer to a keep-alive may be; 5 is the
    default. timeout, in tenths as well, times ko-count is how late the confirmation of a write may
    be (drbd.conf(5)); TCP alone needs 3 s to get over four lost frames. With less, a peer that is
    slow for a moment counts as lost: the writes freeze until it is fenced or outdated, again and
    again."""
    for _node, config, resource in resources(look):
        for option in _each(config, resource, "net/ping-timeout"):
            number = _number(option)
            if number is None:
                text = f"ping-timeout {option.value}: no number"
            elif number < _LEAST_PATIENCE_DS:
                text = f"ping-timeout {option.value} (tenths) is below {_LEAST_PATIENCE_DS}"
            else:
                continue
            look.report(place_of(config, option, resource), text)
        _confirmation(look, config, resource)
        look.saw()


def _confirmation(look: Look, config: DrbdConfig, resource: DrbdResource) -> None:
    """How late a write may be confirmed; ko-count 0 is for ever (drbd.conf(5))."""
    values = {"timeout": 60, "ko-count": 7}
    where = place(resource)
    for name in values:
        for option in _each(config, resource, f"net/{name}"):
            here = place_of(config, option, resource)
            number = _number(option)
            if number is not None:
                values[name], where = number, here
            elif name == "ko-count":  # what timeout is not, the rule on timeouts says
                look.report(here, f"ko-count {option.value}: no number")
    timeout, count = values["timeout"], values["ko-count"]
    if count and timeout * count < _LEAST_CONFIRMATION_DS:
        text = (
            f"timeout {timeout} (tenths) times ko-count {count} is below {_LEAST_CONFIRMATION_DS}"
        )
        look.report(where, text)
