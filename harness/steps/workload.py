"""Steps about the initiator's writes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_bdd import given, parsers, when

from harness.steps.words import GRACE_S
from harness.workload.fio import FILE_JOB, RAW_JOBS

if TYPE_CHECKING:
    from harness.scenario import Scenario


@given("the initiator writes to both raw LUNs and to a file")
def writes(run: Scenario) -> None:
    """Starts fio on both raw LUNs and on a file in the formatted LUN; waits for first writes."""
    run.start_workload()


@given(
    parsers.re(
        r"the initiator writes to both raw LUNs and to a file, flushing every (?P<count>[1-9]\d*) "
        r"writes, and only what was flushed has to survive"
    ),
    converters={"count": int},
)
def writes_and_flushes(run: Scenario, count: int) -> None:
    """The same with flushes; where no node survives, disks promise only what was flushed."""
    run.expect.durable = "flushed"
    run.start_workload((*(replace(job, flush_every=count) for job in RAW_JOBS), FILE_JOB))


@when("the writes go on again")
def writes_go_on(run: Scenario) -> None:
    """Waits until 100 more writes of each raw LUN were acknowledged."""
    run.wait_writes_resume(run.expect.max_stall_s + GRACE_S)


@when(
    parsers.re(r"(?P<count>\d+) more writes of each raw LUN were acknowledged"),
    converters={"count": int},
)
def more_writes(run: Scenario, count: int) -> None:
    """Waits for a number of further writes, seen by the initiator's own counters."""
    run.wait_writes_resume(run.expect.max_stall_s + GRACE_S + count / 10, count)
