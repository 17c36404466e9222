"""Steps that spoil, cut and mend links: which faults they mean, and in which order."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from pytest_bdd.steps import step_function_context_registry

import harness.steps.faults as steps
from harness.errors import BadInputError, HarnessError
from harness.faults.cuts import CarrierCut, Direction, SilentCut
from harness.faults.fence_device import FenceBlocked
from harness.faults.flapping import Flapping
from harness.faults.impair import Corruption, Duplication, Latency, Loss, Rate, Reordering
from harness.faults.mtu import SmallPort, WrongMtu
from harness.lab.topology import Link, Topology

if TYPE_CHECKING:
    from harness.faults.fault import Fault

DATA, DRBD, MGMT = Link.DATA, Link.DRBD, Link.MGMT


class Run:
    """What these steps ask of a scenario; bravo is the active node."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.active: dict[str, Fault] = {}
        self.injected: list[Fault] = []
        self.faults = self
        machines = {p.name: SimpleNamespace(name=p.name) for p in Topology().machines}
        self.lab = SimpleNamespace(
            topology=Topology(),
            nodes=[machines["alpha"], machines["bravo"]],
            initiator=machines["client"],
        )

    def node(self, word: str) -> str:
        return {"active": "bravo", "passive": "alpha"}.get(word, word)

    def inject(self, fault: Fault) -> str:
        fault_id = f"f{len(self.injected) + 1}"
        self.injected.append(fault)
        self.active[fault_id] = fault
        self.log.append(f"inject {fault.target}")
        return fault_id

    def hold(self, seconds: float) -> None:
        self.log.append(f"hold {seconds}")

    def heal(self, fault_id: str) -> None:
        self.log.append(f"heal {self.active.pop(fault_id).target}")

    def step(self, text: str) -> Run:
        """Do what a When line says."""
        found = []
        for value in list(vars(steps).values()):
            function = getattr(value, "_get_wrapped_function", lambda value=value: value)()
            context = step_function_context_registry.get(function) if callable(function) else None
            if context is not None and context.parser.is_matching(text):
                found.append(context)
        (context,) = found
        arguments: dict[str, Any] = dict(context.parser.parse_arguments(text) or {})
        for name, convert in context.converters.items():
            arguments[name] = convert(arguments[name])
        context.step_func(run=self, **arguments)
        return self


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("the drbd link of alpha loses 5 % of its frames until healed", Loss("alpha", DRBD, 5)),
        (
            "the data link of the initiator sends 10 % of its frames twice until healed",
            Duplication("client", DATA, 10),
        ),
        (
            "the drbd link of the active node sends 25 % of its frames ahead of others until "
            "healed",
            Reordering("bravo", DRBD, 25),
        ),
        (
            "the mgmt link of the passive node damages 1 % of its frames until healed",
            Corruption("alpha", MGMT, 1),
        ),
        (
            "the drbd link of the active node is delayed by 200 ms until healed",
            Latency("bravo", DRBD, 200, 0),
        ),
        (
            "the drbd link of bravo is delayed by 100 ms, give or take 50 ms, until healed",
            Latency("bravo", DRBD, 100, 50),
        ),
        ("the drbd link of bravo is limited to 2 Mbit/s until healed", Rate("bravo", DRBD, 2)),
        (
            "the drbd link of the passive node has an MTU of 1500 bytes until healed",
            WrongMtu("alpha", DRBD, 1500),
        ),
        (
            "the data link of alpha ends at a switch port with an MTU of 1500 bytes until healed",
            SmallPort("alpha", DATA, 1500),
        ),
    ],
)
def test_a_bad_link(text: str, fault: Fault) -> None:
    run = Run().step(text)
    assert run.injected == [fault]
    assert list(run.active.values()) == [fault], "a later step heals it"


def test_both_nodes_links_are_spoilt_one_after_the_other() -> None:
    run = Run().step("the drbd link of both nodes loses 5 % of its frames until healed")
    assert run.injected == [Loss("alpha", DRBD, 5), Loss("bravo", DRBD, 5)]


@pytest.mark.parametrize(
    "text",
    [
        "the drbd link of the initiator loses 5 % of its frames until healed",
        "the mgmt link of the initiator has an MTU of 1400 bytes until healed",
        "the drbd link of the initiator flaps 3 times, 1 s down and 1 s up",
    ],
)
def test_a_link_that_a_machine_has_not(text: str) -> None:
    with pytest.raises(BadInputError, match=r"client has no (drbd|mgmt) link"):
        Run().step(text)


@pytest.mark.parametrize(
    "text",
    [
        "the drbd link of alpha loses 0 % of its frames until healed",
        "the drbd link of alpha loses 100 % of its frames until healed",
        "the drbd link of alpha loses 05 % of its frames until healed",
        "the drbd link of alpha looses 5 % of its frames until healed",
        "the drbd links of alpha loses 5 % of its frames until healed",
        "the drbd and mgmt links of alpha flaps 3 times, 1 s down and 1 s up",
        "the drbd link of alpha is delayed by 10 ms, give or take 5 ms until healed",
        "the drbd link of alpha is limited to 0.5 Mbit/s until healed",
        "the drbd link of alpha is limited to 0 Mbit/s until healed",
        "the drbd link of alpha flaps 0 times, 1 s down and 1 s up",
        "the fence link of alpha is whole again",
    ],
)
def test_misspelt_lines_are_unknown(text: str) -> None:
    with pytest.raises(ValueError, match="not enough values"):
        Run().step(text)


def test_a_link_flaps_and_is_left_up() -> None:
    run = Run().step("the drbd link of both nodes flaps 20 times, 5 s down and 3 s up")
    assert run.injected == [Flapping(("alpha", "bravo"), DRBD, 20, 5, 3)]
    assert run.active == {}


def test_links_are_cut_in_turn_and_never_two_at_a_time() -> None:
    run = Run().step(
        "the mgmt and drbd links of both nodes are cut by carrier in turn, 2 times for 20 s each, "
        "10 s apart"
    )
    mgmt, drbd = (f"{link} link of alpha and bravo" for link in ("mgmt", "drbd"))
    once = [
        f"inject {mgmt}", "hold 20", f"heal {mgmt}", "hold 10",
        f"inject {drbd}", "hold 20", f"heal {drbd}", "hold 10",
    ]  # fmt: skip
    assert run.log == once * 2


def test_links_are_cut_silently_in_turn() -> None:
    run = Run().step(
        "the mgmt and drbd links of alpha are cut silently, inbound only, in turn, 1 times for "
        "5 s each, 1 s apart"
    )
    assert run.injected == [
        SilentCut(("alpha",), (MGMT,), Direction.IN),
        SilentCut(("alpha",), (DRBD,), Direction.IN),
    ]


@pytest.mark.parametrize("how", ["by carrier", "silently"])
def test_one_of_the_cut_links_is_mended(how: str) -> None:
    run = Run()
    run.step(f"the data link of the active node is cut {how} until healed")
    run.step(f"the drbd link of the active node is cut {how} until healed")
    run.inject(FenceBlocked(("alpha", "bravo")))
    run.step("the data link of the active node is whole again")
    left = [fault.target for fault in run.active.values()]
    assert left == ["drbd link of bravo", "the fence device"]
    run.step("the data and drbd links of both nodes are whole again")
    assert [fault.target for fault in run.active.values()] == ["the fence device"]


@pytest.mark.parametrize(
    "fault",
    [
        CarrierCut(("bravo",), MGMT),
        CarrierCut(("alpha", "bravo"), DATA),
        SilentCut(("bravo",), (DATA, DRBD)),
        Loss("bravo", DATA, 5),
    ],
)
def test_what_is_more_than_those_links_is_left_alone(fault: Fault) -> None:
    run = Run()
    run.inject(fault)
    with pytest.raises(HarnessError, match="the data link of the active node: not cut before"):
        run.step("the data link of the active node is whole again")
    assert list(run.active.values()) == [fault]
