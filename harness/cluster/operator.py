"""What an operator tells the cluster: cluster-wide properties, and to forget what failed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.errors import HarnessError
from harness.lint.formats.text import is_false, is_true

if TYPE_CHECKING:
    from harness.lab.lab import Lab


def on_any_node(lab: Lab, command: str, timeout_s: float = 120.0) -> str:
    """Run a command of the cluster's on the first node on which it works; its standard output.

    Raises:
        HarnessError: it works on none; why not on the last one.
    """
    trouble = HarnessError("no node runs")
    for machine in lab.nodes:
        if not machine.running():
            continue
        try:
            return machine.guest.run(command, timeout_s=timeout_s).stdout
        except HarnessError as error:
            trouble = error
    raise trouble


def clean_up(lab: Lab) -> None:
    """Let Pacemaker forget every failed action and look anew (crm_resource(8))."""
    on_any_node(lab, "crm_resource --cleanup")


def set_maintenance(lab: Lab, *, on: bool) -> None:
    """Put the cluster into maintenance mode, or take it out of it."""
    value = "-v true" if on else "-D"
    on_any_node(lab, f"crm_attribute -t crm_config -n maintenance-mode {value}")


def in_maintenance(lab: Lab) -> bool:
    """Whether the cluster is in maintenance mode, as the first node that answers has it.

    Raises:
        HarnessError: no node answers, or one answers with neither.
    """
    told = on_any_node(lab, "crm_attribute -t crm_config -n maintenance-mode -G -q -d false")
    if not is_true(told) and not is_false(told):
        raise HarnessError(f"crm_attribute tells no maintenance-mode: {told!r:.80}")
    return is_true(told)
