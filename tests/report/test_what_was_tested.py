"""What a run was made with, and what it did not test."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from harness.cluster.config import ClusterConfig
from harness.report.features import known_scenarios
from harness.report.load import load_run
from harness.report.machine.runjson import run_report
from harness.report.nottested import FEATURES, not_begun
from harness.report.workedon import differences, reference
from tests.report import scenes
from tests.report.pages import page_of

if TYPE_CHECKING:
    from pathlib import Path

FEATURE = """@acceptance @theme-power
Feature: Power
  Words: of no account.

  @short
  Scenario: Power off the active node in the middle of writes
    Given a healthy cluster
  @nightly
  Scenario Outline: Cut <what>
    Given a table
      | x | y |
    Examples:
      | what | how      |
      | drbd | silently |
      | mgmt | slowly   |

  Scenario: Never begun
    Given nothing
"""


@pytest.fixture
def features(tmp_path: Path) -> Path:
    """A folder with one feature."""
    folder = tmp_path / "features"
    folder.mkdir()
    (folder / "power.feature").write_text(FEATURE)
    return folder


def told(run: Path, **more: Any) -> None:
    path = run / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | more))


def test_the_reference_is_what_the_harness_forms() -> None:
    assert reference() == ClusterConfig().model_dump(mode="json", exclude={"timing"})


def test_differences_by_name() -> None:
    here = reference()
    assert differences(reference(), here) == []
    here["drbd"]["protocol"] = "A"
    del here["corosync"]["link_mode"]
    here["files"] = {"x": "<b>"}
    found = {one.name: (one.reference, one.here) for one in differences(reference(), here)}
    assert found == {
        "drbd.protocol": ('"C"', '"A"'),
        "corosync.link_mode": ('"passive"', "–"),
        "files.x": ("–", '"<b>"'),
    }


def test_the_page_tells_of_them(run: Path) -> None:
    scenes.power_off(run, writes=300).save()
    assert "not told by run.json" in page_of(run)[0]
    told(run, config=reference())
    assert "the reference: nothing differs" in page_of(run)[0]
    told(run, config=reference() | {"files": {"<i>": 1}})
    text, _ = page_of(run)
    assert "differs from the reference in 1 value" in text
    assert "files.&lt;i&gt;" in text
    assert "files.<i>" not in text


def test_scenarios_by_name_and_tag(features: Path) -> None:
    found = {one.name: one.tags for one in known_scenarios(sorted(features.glob("*.feature")))}
    assert found == {
        "Power off the active node in the middle of writes": {"acceptance", "theme-power", "short"},
        "Cut <what> [drbd, silently]": {"acceptance", "theme-power", "nightly"},
        "Cut <what> [mgmt, slowly]": {"acceptance", "theme-power", "nightly"},
        "Never begun": {"acceptance", "theme-power"},
    }


def test_our_own_features_are_read_as_pytest_reads_them() -> None:
    names = [one.name for one in known_scenarios(sorted(FEATURES.glob("*.feature")))]
    assert "The drbd link is cut during writes [silently]" in names
    assert len(names) == len(set(names))
    assert len(names) > 50


def test_what_was_not_begun_and_why(run: Path, features: Path) -> None:
    scenes.power_off(run, writes=300).save()
    found = not_begun(load_run(run), features)
    assert [len(names) for _, names in found.groups] == [1, 2]
    assert found.groups[0][1] == ("Never begun",)
    assert "not begun before the run ended" in found.groups[0][0]
    assert "@nightly" in found.groups[1][0]
    # In a run of all of them nothing was left out for being nightly.
    told(run, parts=[{"command": "harness nightly --budget 2h"}])
    (group,) = not_begun(load_run(run), features).groups
    assert len(group[1]) == 3


def test_of_a_suite_of_somebody_elses_nothing_is_said(run: Path, features: Path) -> None:
    scenes.inconclusive(run)
    assert not_begun(load_run(run), features).groups == ()
    page_of(run)


def test_verdicts_by_feature_and_theme(run: Path) -> None:
    folder = scenes.power_off(run, writes=300)
    folder.scenario["tags"] = ["@theme-power", "@short"]
    folder.save()
    red = scenes.red(run).path / "scenario.json"
    red.write_text(json.dumps(json.loads(red.read_text()) | {"tags": ["theme-links"]}))
    text, _ = page_of(run)
    assert text.index("By feature") < text.index("Link failures</td>") < text.index("By theme")
    assert text.index("links</td>") < text.index("power</td>"), "the worst first"
    assert "short</td>" not in text


def test_what_was_chosen_and_never_begun_has_its_reason(run: Path, features: Path) -> None:
    scenes.power_off(run, writes=300).save()
    path = run / "selection.json"

    def chose(**more: Any) -> None:
        begun = "Power off the active node in the middle of writes"
        chosen = [begun, "Cut <what> [mgmt, slowly]", "Of <my> own"]
        left_out = ["Never begun"]
        path.write_text(json.dumps({"schema": 1, "chosen": chosen, "left_out": left_out} | more))

    chose(ended="the lab did not come up:\nno memory")
    first, late, nightly = not_begun(load_run(run), features).groups
    assert first == (
        "chosen, and not begun before the run ended: the lab did not come up: no memory",
        ("Cut <what> [mgmt, slowly]", "Of <my> own"),
    )
    assert late == (
        "chosen, and left out as it would not have ended in time (--budget)", ("Never begun",),
    )  # fmt: skip
    assert nightly[1] == ("Cut <what> [drbd, silently]",)
    chose()
    assert not_begun(load_run(run), features).groups[0][0].endswith("ended: it was stopped")
    text, _ = page_of(run)
    assert "Of &lt;my&gt; own" in text
    # On paper other details that are closed are left out; these tell what was not tested.
    assert text.count('<details class="told">') == 2
    hidden, shown = (text.index(f"details{one}:not([open])") for one in ("", ".told"))
    assert hidden < shown, "of two rules that fit, the later one counts"
    report = run_report(load_run(run)).model_dump()
    assert {"scenario": "Never begun", "why": late[0]} in report["not_begun"]
    for odd in ("[]", "{", '{"chosen": 4, "left_out": [4]}'):
        path.write_text(odd)
        assert len(not_begun(load_run(run), features).groups) == 2, "as without"


def test_the_page_names_every_package_once_asked(run: Path) -> None:
    scenes.power_off(run, writes=300).save()
    assert "packages in the guests" not in page_of(run)[0]
    told(run, packages={"host": {"(running kernel)": "6.1.0-28"}, "guests": {"a": "1", "<b>": "2"}})
    text, _ = page_of(run)
    assert text.index("2 packages in the guests, all from one image") < text.index(
        "1 package on this host"
    )
    assert "&lt;b&gt;" in text
    assert "<b>2" not in text
    report = run_report(load_run(run)).model_dump()
    assert report["packages"]["host"] == {"(running kernel)": "6.1.0-28"}
