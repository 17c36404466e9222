"""One run's folder: its parts, its scenarios' whole time, and earlier evidence set aside."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from harness import session
from harness.evidence.model import SpanFile
from harness.evidence.phases import SPAN, span_of
from harness.lab.image import Image, ImageOptions
from harness.session import LabSession, RunOptions, durations_of
from harness.timing import PROFILES, TCG

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Scenario:
    """What a session makes of the real one."""

    def __init__(
        self, _lab: object, _witnesses: object, _timing: object, folder: Path, info: Any,
        *, max_stall_s: float | None, injecting: bool,
    ) -> None:  # fmt: skip
        self.folder, self.info = folder, info
        self.max_stall_s, self.injecting = max_stall_s, injecting
        self.started_ns = next(NOW)
        told = {"name": info.name, "outcome": "running"}
        (folder / "scenario.json").write_text(json.dumps(told))


NOW: Iterator[int] = iter(())


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    global NOW
    NOW = iter(range(1000, 100_000, 100))
    monkeypatch.setattr(session, "Scenario", Scenario)
    monkeypatch.setattr(session, "now_ns", lambda: next(NOW))


def opened(folder: Path, **options: Any) -> LabSession:
    cache: Any = SimpleNamespace(root=folder / "cache")
    own = LabSession(RunOptions(cache=cache, folder=folder, **options))
    own.lab, own.witnesses = SimpleNamespace(), SimpleNamespace()  # type: ignore[assignment]
    own.timing, own.accelerator = PROFILES["tcg"], "tcg"
    return own


@pytest.mark.usefixtures("clock")
def test_a_scenario_s_time_lasts_until_the_next_one_begins(tmp_path: Path) -> None:
    own = opened(tmp_path)
    first: Any = own.scenario("First", "f", [], [])
    own.judged(first, 5000, 6000, whole=True)
    assert span_of(first.folder) == SpanFile(
        from_ns=1000, to_ns=6000, judged_from_ns=5000, judged_to_ns=6000
    ), "already, so that a kill costs nothing"
    second: Any = own.scenario("Second", "f", [], [])
    assert span_of(first.folder) == SpanFile(
        from_ns=1000, to_ns=6000, judged_from_ns=5000, judged_to_ns=6000
    ), "never before it was judged, whatever the clock says"
    own.judged(second, 1150, 1160, whole=False)
    third: Any = own.scenario("Third", "f", [], [])
    span = span_of(second.folder)
    assert span is not None
    assert (span.from_ns, span.to_ns) == (second.started_ns, third.started_ns)
    own.lab, own.witnesses = None, None
    own.close()
    assert not (third.folder / SPAN).exists(), "it was never judged"


@pytest.mark.usefixtures("clock")
def test_the_last_one_s_time_lasts_until_the_run_ends(tmp_path: Path) -> None:
    own = opened(tmp_path)
    only: Any = own.scenario("Only", "f", [], [])
    own.judged(only, 1010, 1020, whole=True)
    own.lab, own.witnesses = None, None
    own.close()
    span = span_of(only.folder)
    assert span is not None
    assert span.to_ns == 1100


@pytest.mark.usefixtures("clock")
def test_how_long_it_took_is_kept_unless_nothing_was_injected(tmp_path: Path) -> None:
    for injecting in (True, False):
        folder = tmp_path / f"run-{injecting}"
        own = opened(folder, injecting=injecting)
        scenario: Any = own.scenario("One", "f", [], [])
        assert scenario.injecting is injecting
        own.judged(scenario, scenario.started_ns + 1, scenario.started_ns + 9 * 10**9, whole=True)
        assert (folder / "cache/durations.json").exists() is injecting
    known = own.durations
    assert known.accelerator == "tcg"


@pytest.mark.usefixtures("clock")
def test_only_a_run_that_goes_on_sets_aside_what_there_was(tmp_path: Path) -> None:
    for number in range(2):
        opened(tmp_path).scenario("The link", "f", [], [])
        assert len(list((tmp_path / "evidence").iterdir())) == number + 1
    assert sorted(p.name for p in (tmp_path / "evidence").iterdir()) == ["the-link", "the-link-2"]
    scenario: Any = opened(tmp_path, resume=True).scenario("The link", "f", [], [])
    assert scenario.folder.name == "the-link"
    assert [p.name for p in (tmp_path / "evidence").iterdir()] == ["the-link"]
    assert len(list((tmp_path / "superseded").iterdir())) == 2


def test_a_run_tells_of_all_its_parts(tmp_path: Path) -> None:
    first = {"started_ns": 5, "command": "harness run", "cluster": {"how": "formed"}, "code": "c"}
    own = opened(tmp_path, resume=True)
    told = own._in_parts(dict(first))
    assert told["started_ns"] == 5
    (tmp_path / "run.json").write_text(json.dumps(told))
    second = first | {"started_ns": 9, "command": "harness run --again"}
    told = own._in_parts(second)
    assert told["started_ns"] == 5, "that of its first part"
    assert [part["started_ns"] for part in told["parts"]] == [5, 9]
    assert told["command"] == "harness run --again"
    assert opened(tmp_path)._in_parts(second)["parts"] == [
        {key: second[key] for key in ("started_ns", "command", "cluster")}
    ], "a run that is not resumed is its own only part"


def test_a_cluster_with_other_timeouts_takes_another_time(tmp_path: Path) -> None:
    """--config may change the timing: what was measured with it is kept apart."""
    own = tmp_path / "own.toml"
    own.write_text("[timing]\nboot_deadline_s = 200\n")
    cache: Any = SimpleNamespace(root=tmp_path)
    plain, other = (
        durations_of(RunOptions(cache=cache, accelerator="tcg", config=config))
        for config in (None, own)
    )
    assert plain.key != other.key
    other.note("One", 77.0, 1)
    known = durations_of(RunOptions(cache=cache, accelerator="tcg", config=own)).expected("One")
    assert known is not None
    assert known.source == "measured here"
    assert durations_of(RunOptions(cache=cache, accelerator="tcg")).last_ns("One") == 0


def test_the_versions_of_what_matters_are_told_whatever_the_guest_calls_it(
    tmp_path: Path,
) -> None:
    own = opened(tmp_path)
    own.timing = TCG
    (tmp_path / "packages.txt").write_text(
        "linux-image-6.8.0-151-generic 6.8.0-151.151\nlinux-image-virtual 6.8\nfio 3.36\n"
        "resource-agents-base 1:4.13.0\nbash 5\n"
    )
    versions = own._facts(Image(tmp_path), {}, "QEMU 7")["versions"]
    assert versions.items() >= {
        "kernel": "6.8.0-151.151", "fio": "3.36", "resource-agents-base": "1:4.13.0",
    }.items()  # fmt: skip
    assert "bash" not in versions


@pytest.mark.parametrize(
    ("configured", "asked", "guest"),
    [
        ("", "", "debian12"),
        ("debian13", "", "debian13"),
        ("", "debian13", "debian13"),
        ("debian13", "debian12", "debian12"),
    ],
)
def test_the_image_is_that_of_the_guest_that_was_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, configured: str, asked: str, guest: str
) -> None:
    """By the command line, else by the configuration; its other options stay as they are."""

    class EnoughError(Exception):
        pass

    def ensure_image(_cache: object, options: ImageOptions) -> None:
        assert options == ImageOptions(guest, mirror="m", offline=True)
        raise EnoughError

    monkeypatch.setattr(session, "ensure_image", ensure_image)
    monkeypatch.setattr(session, "collect_garbage", lambda _cache: None)
    config = tmp_path / "own.toml"
    config.write_text(f"[guest]\nname = '{configured}'\n" if configured else "")
    own = LabSession(
        RunOptions(
            cache=SimpleNamespace(root=tmp_path),  # type: ignore[arg-type]
            folder=tmp_path / "run",
            image=ImageOptions(mirror="m", offline=True),
            config=config,
            guest=asked,
        )
    )
    with pytest.raises(EnoughError):
        own.start()
    again = own._reproduce("A name", None)
    assert ("--guest" in again) == bool(asked), "what was asked for is asked for again"
