"""The plan that the captured domains were made of, and what guests of it tell."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.adopt.asking import Endpoint, GuestCard
from harness.adopt.domains import FoundDomain, read_domain
from harness.adopt.plan import Plan, plan_of
from harness.cluster.config import load_config
from harness.lab.paths import Cache
from harness.lab.topology import Topology
from harness.timing import PROFILES

if TYPE_CHECKING:
    from harness.adopt.plan import Accelerated

FIXTURES = Path(__file__).parent / "fixtures"
CACHE = Cache(Path("/var/cache/failover-harness"))
NAMES = ("alpha", "bravo", "client")


def planned(accelerator: Accelerated = "tcg") -> Plan:
    """As it was when the fixtures were captured (fixtures/README.md)."""
    config = load_config(None, PROFILES[accelerator])
    return plan_of(CACHE, "e47c8ca1be59355c", Topology(0), accelerator, config)


def captured(name: str, accelerator: Accelerated = "tcg") -> str:
    return (FIXTURES / accelerator / f"{name}.xml").read_text()


def domains(accelerator: Accelerated = "tcg") -> list[FoundDomain]:
    return [read_domain(captured(name, accelerator)) for name in NAMES]


def guest_cards(plan: Plan) -> dict[str, list[GuestCard]]:
    """What guests with the plan's seeds tell of their cards."""
    return {
        one.name: [GuestCard(card.link, card.mac, card.mtu, (card.address,)) for card in one.cards]
        for one in plan.machines
    }


def endpoints(plan: Plan) -> dict[str, Endpoint]:
    return {one.name: Endpoint(one.address) for one in plan.machines}


@pytest.fixture
def plan() -> Plan:
    return planned()
