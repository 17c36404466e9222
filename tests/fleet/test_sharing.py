"""Clusters that share cores have a timing of their own, the same in all parts of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from harness.errors import BadInputError
from harness.evidence.files import write_json
from harness.fleet import controller as module
from harness.fleet.controller import Controller
from harness.fleet.pool import Pool, one_host
from harness.lab.paths import Cache
from harness.session import LabSession, RunOptions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cache:
    monkeypatch.setattr("harness.lab.paths._MAX_ROOT", 500)
    return Cache(tmp_path / "cache")


@pytest.fixture
def sharing(
    cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[int, int, str], bool]:
    """Whether so many clusters on so many cores share them, in a run that had this timing."""

    def ask(clusters: int, cores: int, before: str) -> bool:
        monkeypatch.setattr(module, "cores_of", lambda _uri: cores)
        made = object.__new__(Controller)
        pool = Pool(one_host("", cache, clusters))
        pool.take(clusters)
        told: Any = made
        told._pool, told._run = pool, tmp_path
        told._options = RunOptions(cache=cache, resume=bool(before))
        write_json(tmp_path / "run.json", {"timing": {"name": before}})
        try:
            return made._sharing()
        finally:
            pool.close()

    return ask


def test_by_clusters_and_cores(sharing: Callable[[int, int, str], bool]) -> None:
    assert not sharing(1, 1, "")
    assert not sharing(2, 4, "")
    assert sharing(2, 2, "")


def test_a_run_goes_on_as_it_was_begun(sharing: Callable[[int, int, str], bool]) -> None:
    assert sharing(1, 8, "tcg-shared"), "with one cluster, on more cores: it still is the same run"
    assert not sharing(2, 4, "tcg")
    assert sharing(2, 2, "kvm"), "which guests under KVM do not mind"


def test_a_run_of_one_cluster_does_not_go_on_with_two_that_would_fence_falsely(
    sharing: Callable[[int, int, str], bool],
) -> None:
    with pytest.raises(BadInputError, match="2 clusters on 2 cores") as caught:
        sharing(2, 2, "tcg")
    assert "-n" in caught.value.hint


def test_without_n_a_run_that_shared_goes_on_with_the_same_timing(
    cache: Cache, tmp_path: Path
) -> None:
    write_json(tmp_path / "run.json", {"timing": {"name": "tcg-shared"}})
    assert LabSession(RunOptions(cache=cache, folder=tmp_path, resume=True))._shared_before()
    assert not LabSession(RunOptions(cache=cache, folder=tmp_path))._shared_before()
    write_json(tmp_path / "run.json", {"timing": {"name": "tcg"}})
    assert not LabSession(RunOptions(cache=cache, folder=tmp_path, resume=True))._shared_before()
