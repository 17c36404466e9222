"""Network namespaces that stand in for machines."""

from __future__ import annotations

import os
import subprocess
import time


def run_in(pid: int, *command: str, input_text: str | None = None) -> str:
    done = subprocess.run(
        ["nsenter", "-t", str(pid), "-n", "--", *command],
        input=input_text,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


def own_netns() -> subprocess.Popen[bytes] | None:
    """A process in a network namespace of its own; None where that is not allowed."""
    process = subprocess.Popen(
        ["unshare", "--net", "sleep", "120"], stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL
    )
    here = os.readlink("/proc/self/ns/net")
    deadline = time.monotonic() + 5
    while process.poll() is None and time.monotonic() < deadline:
        if os.readlink(f"/proc/{process.pid}/ns/net") != here:
            return process
        time.sleep(0.01)
    process.kill()
    process.wait()
    return None
