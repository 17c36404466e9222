"""Leases: one holder at a time, across processes, and none after its holder's end."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from harness.lab.lease import is_held, locked, try_lease

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOLDER = """
import subprocess, sys
from pathlib import Path
from harness.lab.lease import try_lease
lease = try_lease(Path(sys.argv[1]))
child = subprocess.Popen(["sleep", "30"], stdout=subprocess.DEVNULL) if sys.argv[2] else None
print("refused" if lease is None else "held", child.pid if child else "", flush=True)
sys.stdin.read()
"""


class Holder:
    """Another process that takes the lease and keeps it until it is told to end, or killed."""

    def __init__(self, path: Path, *, with_child: bool = False) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(path), "yes" if with_child else ""],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.said, *child = self.process.stdout.readline().split()
        self.child = int(child[0]) if child else 0

    def kill(self) -> None:
        self.process.kill()
        assert self.process.wait(10) == -signal.SIGKILL

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "leases" / "lab0.lock"


@pytest.fixture
def holder(path: Path) -> Iterator[Holder]:
    holder = Holder(path)
    yield holder
    holder.close()


def test_a_lease_is_exclusive_within_a_process_too(path: Path) -> None:
    lease = try_lease(path)
    assert lease is not None
    assert try_lease(path) is None
    assert is_held(path)
    lease.release()
    assert not is_held(path)
    again = try_lease(path)
    assert again is not None
    # Released twice: the second must not give away what somebody else took meanwhile.
    lease.release()
    assert is_held(path)
    again.release()


def test_nobody_holds_a_lease_that_was_never_taken(path: Path) -> None:
    assert not is_held(path)
    assert not path.exists(), "asking must not make the file"


def test_another_process_s_lease_is_respected_until_kill_9(path: Path, holder: Holder) -> None:
    assert holder.said == "held"
    assert is_held(path)
    assert try_lease(path) is None
    holder.kill()
    lease = try_lease(path)
    assert lease is not None
    second = Holder(path)
    assert second.said == "refused"
    second.close()
    lease.release()


def test_a_daemon_does_not_keep_its_dead_owner_s_lease(path: Path) -> None:
    holder = Holder(path, with_child=True)
    try:
        assert holder.said == "held"
        holder.kill()
        assert not is_held(path)
    finally:
        subprocess.run(["kill", str(holder.child)], check=False)
        holder.close()


def test_locked_waits_for_its_turn_and_gives_it_back_after_an_error(path: Path) -> None:
    order: list[str] = []

    def second() -> None:
        with locked(path):
            order.append("second")

    def fail_while_the_other_waits() -> None:
        with locked(path):
            worker.start()
            worker.join(0.3)
            order.append("first")
            raise ValueError("within")

    worker = threading.Thread(target=second)
    with pytest.raises(ValueError, match="within"):
        fail_while_the_other_waits()
    worker.join(10)
    assert order == ["first", "second"]
    assert not is_held(path)


def test_a_lock_file_is_the_user_s_own(path: Path) -> None:
    lease = try_lease(path)
    assert lease is not None
    lease.release()
    assert path.stat().st_mode & 0o777 == 0o600
