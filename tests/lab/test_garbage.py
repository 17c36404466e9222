"""Garbage collection and the cache's folders, on folders that look like labs; no lab is started."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.errors import BadInputError, ExitCode, HarnessError
from harness.lab import host as host_module
from harness.lab.gc import collect_garbage
from harness.lab.host import PrivateHost, Warden, kill_warden, read_warden
from harness.lab.lab import KEPT, Lab
from harness.lab.lease import is_held, try_lease
from harness.lab.paths import Cache, default_cache

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def cache() -> Iterator[Cache]:
    # Not tmp_path: it is too long for the sockets below a cache.
    with tempfile.TemporaryDirectory(prefix="fh-", dir="/tmp") as root:
        yield Cache(Path(root))


@pytest.fixture(autouse=True)
def no_events(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here may start libvirt's event loop."""

    def refuse() -> None:
        raise AssertionError("a lab was opened")

    monkeypatch.setattr(host_module, "ensure_event_loop", refuse)


def make_lab(cache: Cache, name: str, *, kept: bool = False) -> Path:
    folder = cache.labs / name
    (folder / "disks").mkdir(parents=True)
    (folder / "disks" / "alpha-root.qcow2").write_bytes(b"QFI\xfb")
    if kept:
        (folder / KEPT).write_text(json.dumps({"why": "asked for", "uri": "qemu+unix://"}))
    return folder


def start_ticks(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19])


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "60"])
    yield process
    process.kill()
    process.wait()


# --------------------------------------------------------------------------------- garbage


def test_only_what_is_neither_owned_nor_kept_goes(cache: Cache) -> None:
    abandoned = make_lab(cache, "lab0")
    kept = make_lab(cache, "lab1", kept=True)
    owned = make_lab(cache, "lab2")
    owned_and_kept = make_lab(cache, "lab3", kept=True)
    leases = [try_lease(cache.leases / f"{folder.name}.lock") for folder in (owned, owned_and_kept)]
    assert collect_garbage(cache) == ["lab lab0"]
    assert [f.exists() for f in (abandoned, kept, owned, owned_and_kept)] == [
        False, True, True, True,
    ]  # fmt: skip
    # With --all the kept one goes too, but never one that is in use.
    assert collect_garbage(cache, kept_too=True) == ["lab lab1"]
    assert [f.exists() for f in (kept, owned, owned_and_kept)] == [False, True, True]
    for lease in leases:
        assert lease is not None
        lease.release()
    assert collect_garbage(cache) == ["lab lab2"]
    assert collect_garbage(cache, kept_too=True) == ["lab lab3"]
    assert collect_garbage(cache) == []


def test_half_built_entries_go_unless_they_are_being_built(cache: Cache) -> None:
    built = cache.images / "0123456789abcdef"
    broken = cache.images / ".building-0123456789abcdef.x7z"
    going_on = cache.images / ".building-fedcba9876543210.abc"
    cluster = cache.clusters / ".building-aaaaaaaaaaaaaaaa"
    whole_cluster = cache.clusters / "aaaaaaaaaaaaaaaa"
    for folder in (built, broken, going_on, cluster, whole_cluster):
        (folder / "sub").mkdir(parents=True)
    (cache.images / "build-0123456789abcdef.log").write_text("log")
    # The name under which ensure_image builds.
    lease = try_lease(cache.leases / "image-fedcba9876543210.lock")
    assert lease is not None
    assert collect_garbage(cache) == [
        "half-built image 0123456789abcdef",
        "half-built cluster aaaaaaaaaaaaaaaa",
    ]
    assert sorted(p.name for p in cache.images.iterdir()) == [
        ".building-fedcba9876543210.abc", "0123456789abcdef", "build-0123456789abcdef.log",
    ]  # fmt: skip
    assert [p.name for p in cache.clusters.iterdir()] == ["aaaaaaaaaaaaaaaa"]
    lease.release()


def test_an_empty_cache_has_no_garbage_and_stays_empty(cache: Cache) -> None:
    assert collect_garbage(cache) == []
    assert list(cache.root.iterdir()) == []


def test_the_lab_s_processes_end_before_its_files(
    cache: Cache, sleeper: subprocess.Popen[bytes]
) -> None:
    folder = make_lab(cache, "lab0")
    warden = {"pid": sleeper.pid, "start_ticks": start_ticks(sleeper.pid)}
    (folder / "warden.json").write_text(json.dumps(warden))
    seen = []

    def between() -> None:
        seen.append((Warden(**warden).alive(), folder.exists(), is_held(lock)))

    lock = cache.leases / "lab0.lock"
    assert collect_garbage(cache, between=between) == ["lab lab0"]
    assert seen == [(False, True, True)]
    assert not is_held(lock)


def test_an_interrupted_collection_is_finished_by_the_next(cache: Cache) -> None:
    make_lab(cache, "lab0")

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        collect_garbage(cache, between=interrupt)
    assert collect_garbage(cache) == ["lab lab0"]


# --------------------------------------------------------------------------------- wardens


def test_a_warden_is_alive_only_while_it_is_that_very_process(
    sleeper: subprocess.Popen[bytes],
) -> None:
    warden = Warden(sleeper.pid, start_ticks(sleeper.pid))
    assert warden.alive()
    assert not Warden(sleeper.pid, warden.start_ticks - 1).alive()
    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    assert not warden.alive(), "a zombie runs nothing any more"
    sleeper.wait()
    assert not warden.alive()


def test_a_process_that_got_a_dead_warden_s_pid_is_not_killed(
    tmp_path: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    stale = {"pid": sleeper.pid, "start_ticks": start_ticks(sleeper.pid) - 1}
    (tmp_path / "warden.json").write_text(json.dumps(stale))
    (tmp_path / "unshare.pid").write_text(str(sleeper.pid))
    kill_warden(tmp_path)
    assert sleeper.poll() is None


def test_the_launcher_of_this_lab_and_of_no_other_is_killed(tmp_path: Path) -> None:
    """A lab that was killed before its warden had said who it is."""
    ours, other = tmp_path / "lab1", tmp_path / "lab10"
    command = [sys.executable, "-c", "import time; time.sleep(60)", "harness.lab.warden"]
    processes = {folder: subprocess.Popen([*command, str(folder)]) for folder in (ours, other)}
    try:
        for folder in processes:
            folder.mkdir()
        (other / "unshare.pid").write_text(str(processes[ours].pid))
        kill_warden(other)
        assert processes[ours].poll() is None
        (ours / "unshare.pid").write_text(str(processes[ours].pid))
        kill_warden(ours)
        assert processes[ours].poll() is not None
        assert processes[other].poll() is None
    finally:
        for process in processes.values():
            process.kill()
            process.wait()


@pytest.mark.parametrize(
    "text", [None, "", "{", "{}", '{"pid": 7}', '{"pid": "x", "start_ticks": 1}']
)
def test_a_warden_that_did_not_get_that_far_is_none(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "warden.json").write_text(text)
    assert read_warden(tmp_path) is None
    kill_warden(tmp_path)


def test_what_was_never_started_cannot_be_attached(cache: Cache) -> None:
    with pytest.raises(HarnessError, match="no lab called lab7") as error:
        Lab.attach(cache, "lab7")
    assert error.value.hint
    make_lab(cache, "lab0", kept=True)
    with pytest.raises(HarnessError, match="no lab runs in"):
        Lab.attach(cache, "lab0")
    assert not is_held(cache.leases / "lab0.lock"), "a failed attach keeps no lease"
    lease = try_lease(cache.leases / "lab0.lock")
    assert lease is not None
    with pytest.raises(HarnessError, match="in use by another run"):
        Lab.attach(cache, "lab0")
    lease.release()


def test_commands_run_in_the_lab_s_namespaces() -> None:
    host = object.__new__(PrivateHost)
    host.folder, host.warden = Path("/x/lab0"), Warden(4711, 1)
    assert host.inside("nft", "-f", "-") == [
        "nsenter", "-t", "4711", "-m", "-n", "-p", "--", "nft", "-f", "-",
    ]  # fmt: skip
    assert host.uri == "qemu+unix:///system?socket=/x/lab0/sockets/libvirt-sock"


def test_last_words_are_the_last_line_of_the_first_log_that_has_any(tmp_path: Path) -> None:
    missing, empty, full = (tmp_path / name for name in ("missing", "empty", "full"))
    empty.write_text("\n\n")
    full.write_bytes(b"first\nlibvirtd: \xff cannot bind\n\n")
    assert host_module._last_words(missing, empty, full) == "libvirtd: \ufffd cannot bind"
    assert host_module._last_words(missing, empty) == "no output"
    full.write_text("x" * 5000)
    assert len(host_module._last_words(full)) == 300


# ----------------------------------------------------------------------------------- paths


def test_the_cache_s_folders_all_lie_below_its_root() -> None:
    cache = Cache(Path("/c"))
    folders = [cache.images, cache.clusters, cache.labs, cache.packages, cache.leases]
    assert len(set(folders)) == 5
    assert {folder.parent for folder in folders} == {Path("/c")}


def test_a_cache_path_that_is_too_long_for_sockets_is_refused() -> None:
    root = Path("/" + "x" * 59)
    # unix(7): sun_path has 108 bytes; virtio sockets are the longest paths below a lab.
    longest = Cache(root).labs / "lab31" / "ch" / "client-progress"
    assert len(bytes(longest)) < 108
    with pytest.raises(BadInputError, match="longer than 60 bytes") as error:
        Cache(Path("/" + "x" * 60))
    assert error.value.exit_code is ExitCode.MISSING_ENVIRONMENT
    assert "--cache" in error.value.hint
    with pytest.raises(BadInputError, match="longer than 60 bytes"):
        Cache(Path("/" + "ä" * 31))


@pytest.mark.parametrize("root", ["/run", "/run/user/0/cache", "/proc/1"])
def test_a_cache_that_the_lab_would_cover_is_refused(root: str) -> None:
    with pytest.raises(BadInputError, match="cannot lie at") as error:
        Cache(Path(root))
    assert "--cache" in error.value.hint
    assert Cache(Path(f"/var{root}")).root == Path(f"/var{root}")


def test_the_default_cache_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAILOVER_HARNESS_CACHE", "/somewhere")
    assert default_cache().root == Path("/somewhere")
    monkeypatch.delenv("FAILOVER_HARNESS_CACHE")
    assert default_cache().root == Path("/var/cache/failover-harness")
