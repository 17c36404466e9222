"""Binds the acceptance features: what must hold of the reference cluster."""

from pytest_bdd import scenarios

# One call for each, the control first: a single call would sort them by their titles.
for feature in (
    "control.feature",
    "links.feature",
    "power.feature",
    "recovery.feature",
    "maintenance.feature",
):
    scenarios(feature)
