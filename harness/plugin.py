"""The pytest plugin: one lab per run, one evidence folder per scenario, verdicts at the end.

Only tests that bind a scenario (pytest-bdd) touch a lab; every other test is left alone.
"""

from __future__ import annotations

import dataclasses
import difflib
import subprocess
import sys
import types
from pathlib import Path
from typing import TYPE_CHECKING, Any

import libvirt
import pytest

from harness.checks import Verdict, judge, judge_and_keep
from harness.errors import ExitCode, HarnessError, InconclusiveError
from harness.evidence.attempts import INTERRUPTED
from harness.evidence.clock import now_ns
from harness.evidence.timeline import Channel
from harness.nightly.budget import LENGTHS, assumed_s, plan
from harness.nightly.durations import LAB
from harness.progress import console
from harness.resuming import check_code, done_before
from harness.session import LabSession, RunOptions, default_options, durations_of
from harness.steps.lint import lint_items, scenario_name, scenario_template, unused_steps

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_bdd.parser import Feature, Step
    from pytest_bdd.parser import Scenario as GherkinScenario

    from harness.scenario import Scenario

pytest_plugins = [
    "harness.steps.cluster",
    "harness.steps.disks",
    "harness.steps.faults",
    "harness.steps.fencing",
    "harness.steps.healing",
    "harness.steps.nodes",
    "harness.steps.split_brain",
    "harness.steps.standby",
    "harness.steps.triggers",
    "harness.steps.verdicts",
    "harness.steps.workload",
]

OPTIONS = pytest.StashKey[RunOptions]()
SESSION = pytest.StashKey[LabSession]()
LEFT_OUT = pytest.StashKey[list[str]]()
"""Names of scenarios that were chosen and not begun, as they would not have ended in time."""
MATCHED = pytest.StashKey[int]()
"""How many scenarios were asked for, whether or not they are still to be run."""
_BEGAN_NS = pytest.StashKey[int]()
SHARED = pytest.StashKey[LabSession]()
"""A run that was begun outside of pytest, and goes on after it: its lab is used and left alone."""
_GHERKIN = pytest.StashKey[tuple[Any, Any]]()
_RUN = pytest.StashKey[Any]()
_TROUBLE = pytest.StashKey[str]()
_UNPROVED = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    """Options for a run that was started by pytest itself rather than by ``harness run``."""
    config.stash.setdefault(OPTIONS, default_options())
    config.stash[LEFT_OUT] = []
    config.stash[_BEGAN_NS] = now_ns()


class FeatureFile(pytest.Module):
    """A feature file that was named on the command line: it binds itself."""

    def _getobj(self) -> Any:
        module = types.ModuleType(self.path.stem)
        text = f"from pytest_bdd import scenarios\nscenarios({str(self.path)!r})\n"
        # pytest-bdd puts its tests in the namespace of the module that calls it.
        exec(compile(text, f"{self.path} (bound)", "exec"), module.__dict__)
        return module


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """A feature outside of features/ can be run by its path, without a module that binds it."""
    if file_path.suffix == ".feature" and parent.session.isinitpath(file_path):
        collector: pytest.Collector = FeatureFile.from_parent(parent, path=file_path)
        return collector
    return None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Unknown, ambiguous, misspelt or unused steps end the run before any VM starts."""
    problems = lint_items(items)
    if any(scenario_template(item) for item in items):
        problems += unused_steps()
    if problems:
        raise pytest.UsageError("\n".join(problems))
    options = config.stash[OPTIONS]
    if options.everything and not _narrowed(options):
        return
    chosen = [item for item in items if scenario_template(item) and _wanted(item, options)]
    config.stash[MATCHED] = len(chosen)
    names = {scenario_name(item) for item in chosen}
    for only in options.only:
        if not any(name == only or name.startswith(f"{only} [") for name in names):
            known = sorted({scenario_name(i) for i in items if scenario_template(i)})
            near = difflib.get_close_matches(only, known, n=1, cutoff=0.3)
            hint = near[0] if near else "harness run --list --all"
            raise pytest.UsageError(f"no scenario called {only!r} (hint: {hint})")
    try:
        chosen = _in_time(_not_done(chosen, names, options), config)
    except HarnessError as error:
        raise pytest.UsageError(str(error)) from error
    config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
    items[:] = chosen


def _not_done(items: list[pytest.Item], names: set[str], options: RunOptions) -> list[pytest.Item]:
    """Without what the run that is resumed has judged, and what a run without faults cannot try."""
    if not options.injecting:
        idle = [item for item in items if item.get_closest_marker("control")]
        console.print(f"• {len(idle)} scenarios inject nothing: left out", markup=False)
        items = [item for item in items if item not in idle]
    if not options.resume or options.folder is None:
        return items
    check_code(options.folder)
    done = done_before(options.folder, names, again=options.again)
    if done & names:
        text = f"• {len(done & names)} scenarios were judged in this run already: not run again"
        console.print(text, markup=False)
    return [item for item in items if scenario_name(item) not in done]


def _in_time(items: list[pytest.Item], config: pytest.Config) -> list[pytest.Item]:
    """What fits into the budget, in the order in which it is due."""
    options = config.stash[OPTIONS]
    if options.budget_s is None:
        return items
    durations = durations_of(options)
    planned = plan({scenario_name(i): length_of(i) for i in items}, durations, options.budget_s)
    if planned.left_out:
        text = f"• {len(planned.left_out)} scenarios do not fit into the budget: left out"
        console.print(text, markup=False)
        config.stash[LEFT_OUT] += planned.left_out
    order = {name: number for number, name in enumerate(planned.chosen)}
    fitting = [item for item in items if scenario_name(item) in order]
    return sorted(fitting, key=lambda item: order[scenario_name(item)])


def length_of(item: pytest.Item) -> str:
    """A scenario's tag of its length; empty if it has none."""
    return next((tag for tag in LENGTHS if item.get_closest_marker(tag)), "")


def _narrowed(options: RunOptions) -> bool:
    return bool(
        options.only
        or options.tags
        or options.themes
        or options.resume
        or options.budget_s is not None
        or not options.injecting
    )


def _wanted(item: pytest.Item, options: RunOptions) -> bool:
    name = scenario_name(item)
    named = any(name == only or name.startswith(f"{only} [") for only in options.only)
    tagged = any(item.get_closest_marker(tag.replace("-", "_")) for tag in options.tags)
    themed = any(
        item.get_closest_marker(f"theme_{theme.replace('-', '_')}") for theme in options.themes
    )
    if not (options.only or options.tags or options.themes):
        return options.everything or item.get_closest_marker("nightly") is None
    return (
        (named or not options.only)
        and (tagged or not options.tags)
        and (themed or not options.themes)
    )


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> bool | None:
    """A scenario that could not end within the budget is not begun, and said to be left out."""
    options = item.config.stash[OPTIONS]
    if options.budget_s is None or scenario_template(item) is None:
        return None
    name = scenario_name(item)
    spent_s = (now_ns() - item.config.stash[_BEGAN_NS]) / 1e9
    session = item.config.stash.get(SESSION, None)
    lab_s = durations_of(options).lab_s() if session is None else 0.0
    takes_s = assumed_s(name, length_of(item), durations_of(options))
    if spent_s + lab_s + takes_s <= options.budget_s:
        return None
    item.config.stash[LEFT_OUT].append(name)
    console.print(f"• not begun, as the time is over: {name}", markup=False)
    return True


@pytest.hookimpl(tryfirst=True)
def pytest_bdd_apply_tag(tag: str, function: Any) -> bool:
    """Every tag of a feature becomes a marker, whether pyproject.toml registers it or not."""
    mark = pytest.Mark(tag.replace("-", "_"), (), {}, _ispytest=True)
    pytest.MarkDecorator(mark, _ispytest=True)(function)
    return True


@pytest.fixture(scope="session")
def lab_session(request: pytest.FixtureRequest) -> Iterator[LabSession]:
    """The run's lab, started when the first scenario needs it."""
    shared = request.config.stash.get(SHARED, None)
    if shared is not None:
        request.config.stash[SESSION] = shared
        yield shared
        return
    session, began_ns = LabSession(request.config.stash[OPTIONS]), request.config.stash[_BEGAN_NS]
    request.config.stash[SESSION] = session
    try:
        try:
            session.start()
        except HarnessError as error:
            # Trouble before the first scenario: one line, and no scenario can be run.
            pytest.exit(str(error), returncode=int(error.exit_code))
        except (libvirt.libvirtError, OSError, subprocess.SubprocessError) as error:
            text = f"the lab did not come up: {error}"
            pytest.exit(text, returncode=int(ExitCode.HARNESS_ERROR))
        session.durations.note(LAB, (now_ns() - began_ns) / 1e9, began_ns)
        yield session
    finally:
        session.close()


@pytest.fixture
def run(request: pytest.FixtureRequest, lab_session: LabSession) -> Scenario:
    """The scenario that is running, as steps see it."""
    feature, gherkin = request.node.stash[_GHERKIN]
    lines = [f"{step.keyword} {step.name}" for step in gherkin.steps]
    tags = sorted(set(feature.tags) | set(gherkin.tags))
    name = scenario_name(request.node)
    file = Path(feature.filename).resolve()
    scenario = lab_session.scenario(name, feature.name, tags, lines, file)
    request.node.stash[_RUN] = scenario
    return scenario


@pytest.hookimpl
def pytest_bdd_before_scenario(
    request: pytest.FixtureRequest, feature: Feature, scenario: GherkinScenario
) -> None:
    """Remember the scenario's text for its evidence folder."""
    request.node.stash[_GHERKIN] = (feature, scenario)
    console.print(f"▶ {feature.name}: {scenario_name(request.node)}", markup=False)


def _say(request: pytest.FixtureRequest, kind: str, step: Step, error: str | None = None) -> None:
    run = request.node.stash.get(_RUN, None)
    if run is not None:
        data = {"keyword": step.keyword, "text": step.name, "error": error}
        data["status"] = "failed" if error else ("passed" if kind == "end" else "running")
        run.writer.add("host", Channel.STEP, kind, data)


@pytest.hookimpl
def pytest_bdd_before_step_call(request: pytest.FixtureRequest, step: Step) -> None:
    """Note that a step begins."""
    _say(request, "begin", step)
    console.print(f"  {step.keyword} {step.name}", markup=False)


@pytest.hookimpl
def pytest_bdd_after_step(request: pytest.FixtureRequest, step: Step) -> None:
    """Note that a step passed."""
    _say(request, "end", step)


@pytest.hookimpl
def pytest_bdd_step_error(
    request: pytest.FixtureRequest, step: Step, exception: BaseException
) -> None:
    """Note that a step failed; what is neither a finding nor inconclusive is the harness's own."""
    text = str(exception).strip().splitlines()[0] if str(exception).strip() else repr(exception)
    _say(request, "end", step, text)
    known = isinstance(exception, AssertionError | InconclusiveError)
    request.node.stash[_UNPROVED if known else _TROUBLE] = f"{step.keyword} {step.name}: {text}"


@pytest.hookimpl
def pytest_bdd_after_scenario(request: pytest.FixtureRequest) -> None:
    """Collect, judge by all checks, and fail the test unless the verdict is VALID."""
    run = request.node.stash.get(_RUN, None)
    if run is None:
        return
    if isinstance(sys.exc_info()[1], KeyboardInterrupt):
        # Ctrl-C: end now. Healing and settling would take minutes, and the lab goes anyway.
        request.config.stash[SESSION].interrupted = True
        run.close(INTERRUPTED)
        return
    trouble = request.node.stash.get(_TROUBLE, None)
    if trouble is None:
        try:
            run.finish()
        except HarnessError as error:
            trouble = str(error)
    unproved = request.node.stash.get(_UNPROVED, None)
    if trouble is None and unproved and judge(run.folder).verdict is Verdict.VALID:
        # A step could not be proved although every check that was run holds: never a pass.
        trouble = unproved
    run.close(trouble)
    session = request.config.stash[SESSION]
    closed_ns = now_ns()
    verdict = judge_and_keep(run.folder)
    # What could not be judged may have ended early: it tells when it was run, not how long.
    whole = trouble is None and verdict.verdict is not Verdict.INCONCLUSIVE
    session.judged(run, closed_ns, now_ns(), whole=whole)
    session.failed |= verdict.verdict is not Verdict.VALID
    console.print(f"■ {verdict.verdict}: {run.info.name}", markup=False)
    if verdict.verdict is not Verdict.VALID:
        bad = [r for r in verdict.checks if r.verdict is not Verdict.VALID]
        lines = [f"{r.verdict} {r.check}: expected {r.expected}; seen {r.seen}" for r in bad]
        text = "\n".join([f"{verdict.verdict}: {run.info.name}", *lines])
        if trouble:
            text += f"\ntrouble of the harness: {trouble}"
        pytest.fail(text, pytrace=False)


def with_options(config: pytest.Config, **changes: Any) -> None:
    """Change the run's options (``harness run`` and tests)."""
    config.stash[OPTIONS] = dataclasses.replace(config.stash[OPTIONS], **changes)


__all__ = ["lab_session", "run", "with_options"]
