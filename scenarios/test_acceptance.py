"""Binds the acceptance features: what must hold of the reference cluster."""

from pytest_bdd import scenarios

scenarios(
    "control.feature",
    "links.feature",
    "power.feature",
    "recovery.feature",
    "maintenance.feature",
)
