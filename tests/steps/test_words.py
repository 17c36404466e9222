"""Words that steps share: who, which links, how; and the faults that they mean."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from harness.errors import BadInputError
from harness.faults.cuts import CarrierCut, Direction, SilentCut
from harness.lab.topology import Link, Topology
from harness.steps.words import HOW, LINKS, NODE, WHO, cuts, links, machines

if TYPE_CHECKING:
    from harness.scenario import Scenario

DATA, DRBD, MGMT = Link.DATA, Link.DRBD, Link.MGMT


def run_on(active: str = "bravo") -> Scenario:
    """What steps ask a scenario: which machine is meant by a word."""
    topology = Topology()
    roles = {"active": active, "passive": topology.peer(active).name}
    machines = {plan.name: SimpleNamespace(name=plan.name) for plan in topology.machines}
    lab = SimpleNamespace(
        topology=topology,
        nodes=[machines["alpha"], machines["bravo"]],
        initiator=machines["client"],
    )
    return cast("Scenario", SimpleNamespace(lab=lab, node=lambda word: roles.get(word, word)))


@pytest.mark.parametrize(
    ("who", "expected"),
    [
        ("both nodes", ("alpha", "bravo")),
        ("the active node", ("bravo",)),
        ("the passive node", ("alpha",)),
        ("alpha", ("alpha",)),
        ("bravo", ("bravo",)),
        ("the initiator", ("client",)),
    ],
)
def test_who(who: str, expected: tuple[str, ...]) -> None:
    assert re.fullmatch(WHO, who)
    assert machines(run_on("bravo"), who) == expected
    single = len(expected) == 1 and who != "the initiator"
    assert bool(re.fullmatch(NODE, who)) == single


def test_active_and_passive_follow_the_roles() -> None:
    assert machines(run_on("alpha"), "the active node") == ("alpha",)
    assert machines(run_on("alpha"), "the passive node") == ("bravo",)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("all links", (DATA, DRBD, MGMT)),
        ("the data link", (DATA,)),
        ("the drbd and mgmt links", (DRBD, MGMT)),
        ("the mgmt and drbd links", (MGMT, DRBD)),
        ("the data and drbd and mgmt links", (DATA, DRBD, MGMT)),
    ],
)
def test_which_links(text: str, expected: tuple[Link, ...]) -> None:
    assert re.fullmatch(LINKS, text)
    assert links(text) == expected


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (WHO, "the activ node"),
        (WHO, "charlie"),
        (WHO, "the nodes"),
        (NODE, "both nodes"),
        (NODE, "the initiator"),
        (LINKS, "the fence link"),
        (LINKS, "the control link"),
        (LINKS, "the links"),
        (LINKS, "drbd link"),
        (LINKS, "the drbd, mgmt links"),
        (HOW, "by force"),
        (HOW, "silently, outbound only"),
        (HOW, "by carrier, outbound only,"),
    ],
)
def test_misspelt_words_are_unknown(pattern: str, text: str) -> None:
    assert not re.fullmatch(pattern, text)


def test_by_carrier_every_link_is_a_fault_of_its_own() -> None:
    assert cuts(run_on(), "the drbd and mgmt links", "both nodes", "by carrier") == [
        CarrierCut(("alpha", "bravo"), DRBD),
        CarrierCut(("alpha", "bravo"), MGMT),
    ]


@pytest.mark.parametrize(
    ("how", "direction"),
    [
        ("silently", Direction.BOTH),
        ("silently, outbound only,", Direction.OUT),
        ("silently, inbound only,", Direction.IN),
    ],
)
def test_silently_all_links_are_cut_at_once(how: str, direction: Direction) -> None:
    assert re.fullmatch(HOW, how)
    assert cuts(run_on("bravo"), "all links", "the active node", how) == [
        SilentCut(("bravo",), (DATA, DRBD, MGMT), direction)
    ]


@pytest.mark.parametrize("how", ["by carrier", "silently"])
def test_a_link_that_a_machine_has_not_cannot_be_cut(how: str) -> None:
    with pytest.raises(BadInputError, match="client has no drbd or mgmt link") as error:
        cuts(run_on(), "all links", "the initiator", how)
    assert "data link only" in error.value.hint
    assert len(cuts(run_on(), "the data link", "the initiator", how)) == 1
