"""Steps about the cluster as a whole: the healthy start, what is expected, waiting."""

from __future__ import annotations

import contextlib
import time
from functools import partial
from typing import TYPE_CHECKING

from pytest_bdd import given, parsers, then, when

from harness.checks.no_service import BEGIN as NO_SERVICE_BEGIN
from harness.checks.no_service import END as NO_SERVICE_END
from harness.cluster.operator import clean_up
from harness.cluster.sampling import add_sample
from harness.errors import DeadlineError, HarnessError, InconclusiveError
from harness.evidence.phases import Phase, marked
from harness.evidence.timeline import Channel
from harness.faults.maintenance import Maintenance
from harness.lab.topology import MTU, Link
from harness.steps.words import NODE, machines
from harness.timing import bound_s

if TYPE_CHECKING:
    from harness.remote.ssh import Guest
    from harness.scenario import Scenario

# IPv4 (20) and ICMP (8) headers, RFC 791 and RFC 792.
_HEADERS = 28


@given("the healthy cluster")
def healthy_cluster(run: Scenario) -> None:
    """Forks the scenario from the healthy snapshot; all witnesses start afresh."""
    run.fork()


@given(
    parsers.re(
        r"(?P<most>at most )?(?P<failovers>\d+) failovers?, "
        r"(?P<few>at most )?(?P<fencings>\d+) fencings? and "
        r"no stall above (?P<tcg>\d+) s \((?P<kvm>\d+) s with KVM\) are expected"
    ),
    converters={"failovers": int, "fencings": int, "tcg": float, "kvm": float},
)
def expected(
    run: Scenario,
    most: str | None,
    failovers: int,
    few: str | None,
    fencings: int,
    tcg: float,
    kvm: float,
) -> None:
    """Fixes how many failovers and fencings must happen, and the bound of the longest stall."""
    run.expectations(
        failovers, fencings, tcg, kvm, fewer_failovers=bool(most), fewer_fencings=bool(few)
    )


@given(parsers.re(f"{NODE} is the one to be fenced"))
def to_be_fenced(run: Scenario, who: str) -> None:
    """Says which node must be fenced; without it only the number counts."""
    run.expect.fenced = list(machines(run, who))


@given(parsers.re(f"{NODE} is the one that serves at the end"))
def to_serve(run: Scenario, who: str) -> None:
    """Says on which node the group must run at the end."""
    run.expect.active = machines(run, who)[0]


@given(
    parsers.re(
        r"a split-brain of (?P<resource>r\d) is made, and the passive node's writes are "
        r"the ones to be discarded"
    )
)
def split_brain_is_made(run: Scenario, resource: str) -> None:
    """Says of which resource a split-brain will be forced, so that its traces are not held against
    the cluster."""
    run.expect.split_brain = {"resource": resource, "victim": run.node("passive")}


@when(
    parsers.re(r"nobody serves for (?P<tcg>\d+) s \((?P<kvm>\d+) s with KVM\)"),
    converters={"tcg": float, "kvm": float},
)
def nobody_serves(run: Scenario, tcg: float, kvm: float) -> None:
    """Lets time pass in which no node may be promoted; one that is is judged at the end."""
    run.writer.add("host", Channel.STATE, NO_SERVICE_BEGIN, {})
    run.hold(bound_s(run.timing, tcg=tcg, kvm=kvm))
    run.writer.add("host", Channel.STATE, NO_SERVICE_END, {})


@when(parsers.re(r"the replicas of (?P<resource>r\d) have met again"))
def met_again(run: Scenario, resource: str) -> None:
    """Waits until they are connected, or a node refuses and stands alone, as streamed."""
    run.wait_met(resource, run.timing.settle_deadline_s)


@when("the cluster is put into maintenance mode until healed")
def maintenance(run: Scenario) -> None:
    """Tells Pacemaker to watch and do nothing; what it does all the same is judged at the end."""
    run.inject(Maintenance())


@when("the failed actions are cleaned up")
def cleaned_up(run: Scenario) -> None:
    """What an operator does after a repair: Pacemaker forgets what failed, and looks anew."""
    clean_up(run.lab)


@when(parsers.re(r"the cluster is left alone for (?P<seconds>\d+) s"), converters={"seconds": int})
def left_alone(run: Scenario, seconds: int) -> None:
    """Lets time pass: the control, or a fault's duration."""
    run.hold(seconds)


@when("the cluster has settled")
@when("the cluster has settled again")
def settled(run: Scenario) -> None:
    """Waits until both nodes are members, DRBD is connected and the group runs."""
    for machine in run.lab.nodes:
        machine.guest.wait_ready(run.timing.boot_deadline_s)
    run.settle()


@when(parsers.re(f"{NODE} is rebooted cleanly"))
def rebooted(run: Scenario, who: str) -> None:
    """``systemctl reboot``: everything has to stop in order; a hang is the seed's classic."""
    (name,) = machines(run, who)
    machine = run.lab.machines[name]
    guest = machine.guest
    before = guest.boot_id()
    started = time.monotonic()
    deadline = run.timing.reboot_deadline_s
    begun = run.order(machine, "systemctl reboot", partial(_goes_down, guest, before))
    value = {
        "node": name,
        "seconds": None,
        "begun": begun,
        "boot_id_before": before,
        "boot_id_after": "",
        "deadline_s": deadline,
    }
    if not begun:
        add_sample(run.writer, "reboot", "after", name, value)
        raise InconclusiveError(f"{name} did not begin to go down")

    def missing() -> str:
        try:
            value["boot_id_after"] = guest.boot_id()
        except HarnessError:
            return f"{name} does not answer"
        return "" if value["boot_id_after"] != before else f"{name} has not gone down yet"

    try:
        run.wait_for(f"{name} rebooted", missing, deadline, 1.0)
        value["seconds"] = round(time.monotonic() - started, 1)
    except DeadlineError:
        # The judge says what a reboot that hangs means; the sample says that it did.
        guest.forget()
    add_sample(run.writer, "reboot", "after", name, value)


def _goes_down(guest: Guest, before: str) -> str:
    """What proves that a guest is on its way down, or was: systemd's own word, or another boot.

    That it does not answer proves nothing. ``stopping``: systemctl(1), is-system-running.
    """
    with contextlib.suppress(HarnessError):
        state = guest.run("systemctl is-system-running", check=False, timeout_s=20).stdout.strip()
        if state == "stopping":
            return "systemd is stopping"
        now = guest.boot_id()
        return f"boot id {now}, before {before}" if now != before else ""
    return ""


@then(parsers.re(r"jumbo frames pass unfragmented on the (?P<link>data|drbd) link"))
def jumbo(run: Scenario, link: str) -> None:
    """``ping -M do`` with the largest payload, from each machine on the link to each other."""
    with marked(run.writer, Phase.VERIFICATION):
        _ping_jumbo(run, link)


def _ping_jumbo(run: Scenario, link: str) -> None:
    size = MTU[Link(link)] - _HEADERS
    plans = [m for m in run.lab.machines.values() if any(c.link == link for c in m.plan.cards)]
    for source in plans:
        for other in plans:
            if other is source:
                continue
            address = other.plan.card(Link(link)).address
            # The first packet may wait for ARP and for the path MTU to be learnt.
            ping = f"ping -M do -c 3 -W 5 -s {size} -I {link} {address}"
            result = source.guest.run(ping, check=False, timeout_s=60)
            value = {
                "link": link,
                "from": source.name,
                "to": other.name,
                "payload_bytes": size,
                "fragmented": False,
                "exit_code": result.exit_code,
                "text": (result.stdout + result.stderr)[-600:],
            }
            add_sample(run.writer, "jumbo", "after", source.name, value)
