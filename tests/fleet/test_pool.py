"""The pool: what its file may say, and that a slot is never given to two."""

from __future__ import annotations

import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from harness.errors import BadInputError, MissingEnvironmentError
from harness.fleet.pool import MOST, Pool, one_host, read_pool
from harness.lab.lease import is_held
from harness.lab.paths import PROJECT, Cache

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cache:
    # Nothing here has sockets, for which the path would have to be short.
    monkeypatch.setattr("harness.lab.paths._MAX_ROOT", 500)
    return Cache(tmp_path / "cache")


def written(folder: Path, text: str) -> Path:
    path = folder / "pool.toml"
    path.write_text(text)
    return path


def test_a_file_names_hosts_with_their_capacity(tmp_path: Path, cache: Cache) -> None:
    path = written(
        tmp_path,
        '[[host]]\nslots = 2\n[[host]]\nuri = "qemu:///system"\nslots = 3\nname = "the old one"\n'
        f'cache = "{tmp_path}/other"\n',
    )
    one, two = read_pool(path, cache)
    assert (one.name, one.connect, one.slots, one.cache) == ("private", "", 2, cache)
    assert (two.name, two.connect, two.slots) == ("the old one", "qemu:///system", 3)
    assert two.cache == Cache(tmp_path / "other")
    assert Pool((one, two)).capacity == 5
    assert Pool((one, two)).caches == [one.cache, two.cache]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "host: Field required"),
        ("host = []", "host: List should have at least 1 item"),
        ("[[host]]", "host.0.slots: Field required"),
        ("[[host]]\nslots = 0", "host.0.slots: Input should be greater than or equal to 1"),
        (f"[[host]]\nslots = {MOST + 1}", "host.0.slots: Input should be less than or equal to 16"),
        ('[[host]]\nslots = "2"', "host.0.slots: Input should be a valid integer"),
        ("[[host]]\nslots = 1.0", "host.0.slots: Input should be a valid integer"),
        ("[[host]]\nslots = true", "host.0.slots: Input should be a valid integer"),
        ("[[host]]\nslots = 1\nurl = ''", "host.0.url: Extra inputs are not permitted"),
        ("[[hosts]]\nslots = 1", "host: Field required"),
        ("[[host]]\nslots = 1\nuri = ''", "host.0.uri: String should have at least 1 character"),
        ("[[host]]\nslots = 1\n[[host]]\nslots = 1", "two hosts are called private"),
        ("[[host", "is not TOML"),
        ('[[host]]\nslots = 1\nuri = "qemu+tls://far/system"', "far/system is on another machine"),
    ],
)
def test_what_makes_no_sense_is_one_line_with_a_hint(
    tmp_path: Path, cache: Cache, text: str, told: str
) -> None:
    path = written(tmp_path, text)
    with pytest.raises(BadInputError) as caught:
        read_pool(path, cache)
    assert told in caught.value.message
    assert str(path) in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_file_that_cannot_be_read_is_told(
    tmp_path: Path, cache: Cache, content: bytes | None
) -> None:
    path = tmp_path / "pool.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadInputError, match=r"pool\.toml") as caught:
        read_pool(path, cache)
    assert caught.value.hint


def test_this_machine_s_own_name_is_here(tmp_path: Path, cache: Cache) -> None:
    path = written(tmp_path, f'[[host]]\nslots = 1\nuri = "qemu://{socket.gethostname()}/system"')
    assert read_pool(path, cache)[0].slots == 1


def test_slots_are_spread_over_the_hosts(tmp_path: Path, cache: Cache) -> None:
    text = '[[host]]\nname = "a"\nslots = 4\n[[host]]\nname = "b"\nslots = 2\n'
    pool = Pool(read_pool(written(tmp_path, text), cache))
    assert pool.take(3) == 3
    names = [str(slot) for _ in range(3) if (slot := pool.assign())]
    assert names == ["a, slot 0", "b, slot 0", "a, slot 1"]


def test_clusters_that_share_cores_are_counted_by_machine(tmp_path: Path, cache: Cache) -> None:
    """Two libvirts of this machine have the same cores; another host has its own."""
    far = "qemu+ssh://far.example/system"
    text = (
        '[[host]]\nslots = 1\n[[host]]\nuri = "qemu:///system"\nslots = 1\n'
        f'[[host]]\nuri = "{far}"\nname = "far"\nslots = 2\n'
    )
    asked: list[str] = []

    def cores(here: int, there: int) -> Callable[[str], int]:
        def tell(uri: str) -> int:
            asked.append(uri)
            return there if uri else here

        return tell

    pool = Pool(read_pool(written(tmp_path, text), cache))
    pool.take(4)
    assert pool.crowded(cores(4, 4)) == ""
    assert set(asked) == {"", far}
    assert pool.crowded(cores(2, 4)) == "2 clusters on 2 cores (private)"
    assert pool.crowded(cores(2, 2)) == (
        "2 clusters on 2 cores (private) and 2 clusters on 2 cores (far)"
    )
    pool.close()
    one = Pool(read_pool(written(tmp_path, text), cache))
    one.take(2)
    assert [slot.host.name for slot in one._held] == ["private", "qemu:///system"]
    assert one.crowded(cores(3, 1)) == "2 clusters on 3 cores (private)"
    one.close()


def test_two_runs_share_a_pool(tmp_path: Path, cache: Cache) -> None:
    hosts = read_pool(written(tmp_path, "[[host]]\nslots = 3\n"), cache)
    one, two, three = Pool(hosts), Pool(hosts), Pool(hosts)
    assert one.take(2) == 2
    assert two.take(2) == 1, "what is left"
    with pytest.raises(MissingEnvironmentError, match="all 3 slots of the pool are in use"):
        three.take(1)
    one.close()
    assert three.take(3) == 2


def test_a_run_without_a_pool_s_file_takes_slots_that_others_see(cache: Cache) -> None:
    first, second = (Pool(one_host("", cache, 2)) for _ in range(2))
    assert (first.take(2), second.take(2)) == (2, 2), "nobody said that there are not as many"
    slots = [pool.assign() for pool in (first, first, second, second)]
    assert [slot.number for slot in slots if slot is not None] == [0, 1, 2, 3]


def test_more_than_there_are_is_refused(cache: Cache) -> None:
    with pytest.raises(BadInputError, match="3 clusters are wanted, and the pool has 2 slots"):
        Pool(one_host("", cache, 2)).take(3)


def test_a_lost_slot_is_replaced_by_another_one_of_the_pool(tmp_path: Path, cache: Cache) -> None:
    pool = Pool(read_pool(written(tmp_path, "[[host]]\nslots = 3\n"), cache))
    assert pool.take(2) == 2
    first, second = pool.assign(), pool.assign()
    assert first is not None
    assert second is not None
    pool.retire(first, with_host=False)
    assert not is_held(first.host.lock(first.number)), "others may try it"
    third = pool.assign()
    assert third is not None
    assert third.number == 2
    assert pool.assign() is None
    pool.give_back(second)
    assert pool.assign() is second


def test_a_lost_host_gives_nothing_more(tmp_path: Path, cache: Cache) -> None:
    text = '[[host]]\nname = "a"\nslots = 3\n[[host]]\nname = "b"\nslots = 3\n'
    pool = Pool(read_pool(written(tmp_path, text), cache))
    assert pool.take(4) == 4
    first = pool.assign()
    assert first is not None
    assert first.host.name == "a"
    pool.retire(first, with_host=True)
    rest = []
    while (slot := pool.assign()) is not None:
        rest.append(slot.host.name)
    assert rest == ["b"] * 3


HOLDER = """
import sys, time
from pathlib import Path
from harness.fleet.pool import Pool, read_pool
from harness.lab import paths
paths._MAX_ROOT = 500
pool = Pool(read_pool(Path(sys.argv[1]), paths.Cache(Path(sys.argv[2]))))
print(pool.take(2), flush=True)
time.sleep(100)
"""


def test_a_run_that_is_killed_holds_nothing(tmp_path: Path, cache: Cache) -> None:
    path = written(tmp_path, "[[host]]\nslots = 2\n")
    with subprocess.Popen(
        [sys.executable, "-B", "-c", HOLDER, str(path), str(cache.root)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=PROJECT,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "2\n"
        pool = Pool(read_pool(path, cache))
        with pytest.raises(MissingEnvironmentError):
            pool.take(1)
        other.kill()
        other.wait(30)
        assert pool.take(2) == 2
