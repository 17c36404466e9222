"""The workarounds of the guests' images, on what they mend."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from harness.lab.image import RECIPE

# Of drbd-utils 9.22.0-1.1 (Debian 13); crm-fence-peer.9.sh has the same, word for word.
GUESS = Path("tests/lab/fixtures/guess_if_pacemaker_will_fence-9.22.txt").read_text()
PATCH = RECIPE / "patch-crm-fence-peer"

# As `cibadmin -Q` of Pacemaker 3.0.0 had them: a member; a node that is gone; one that was fenced.
MEMBER = (
    '<node_state id="2" uname="bravo" in_ccm="1795803264" crmd="1795803264" '
    'crm-debug-origin="controld_update_resource_history" join="member" expected="member">'
)
GONE = (
    '<node_state id="2" uname="bravo" in_ccm="0" crmd="0" '
    'crm-debug-origin="do_state_transition" join="down" expected="member">'
)
FENCED = GONE.replace('expected="member"', 'expected="down"')


def old(state: str) -> str:
    """The same as Pacemaker until 2.1.6 has it."""
    for new, word in (
        ('in_ccm="1795803264"', 'in_ccm="true"'), ('crmd="1795803264"', 'crmd="online"'),
        ('in_ccm="0"', 'in_ccm="false"'), ('crmd="0"', 'crmd="offline"'),
    ):  # fmt: skip
        state = state.replace(new, word)
    return state


def script(folder: Path, text: str = GUESS) -> Path:
    path = folder / "crm-fence-peer.sh"
    path.write_text(f"#!/bin/bash\n{text}\n")
    return path


def guess(path: Path, state: str) -> list[str]:
    """What the handler makes of the peer: will it be fenced, its controller, its membership."""
    program = (
        f'source {path}; stonith_enabled=true startup_fencing=true node_state="$1"; '
        "guess_if_pacemaker_will_fence; echo $will_fence $crmd $in_ccm"
    )
    done = subprocess.run(
        ["bash", "-c", program, "-", state], capture_output=True, text=True, check=True
    )
    return done.stdout.split()


STATES = [
    (MEMBER, ["false", "online", "true"]),
    (GONE, ["true", "offline", "false"]),
    (FENCED, ["false", "offline", "false"]),
    ("", ["true"]),
]


def test_the_handler_as_it_is_takes_neither_a_member_nor_a_fenced_node_for_what_it_is(
    tmp_path: Path,
) -> None:
    """So it polls until its timeout: it only ends where no fencing is to be waited for."""
    path = script(tmp_path)
    for state, meaning in STATES:
        assert guess(path, old(state)) == meaning
    assert [guess(path, state)[0] for state in (MEMBER, FENCED)] == ["true", "true"]


@pytest.mark.parametrize(("state", "meaning"), STATES)
def test_the_mended_one_knows_both_ways_to_write_a_membership(
    tmp_path: Path, state: str, meaning: list[str]
) -> None:
    path = script(tmp_path)
    subprocess.run([PATCH, path], check=True)
    assert guess(path, state) == guess(path, old(state)) == meaning


@pytest.mark.parametrize(
    "text",
    [
        GUESS.replace("guess_if_pacemaker_will_fence", "guess"),
        GUESS.replace("\tdone\n", "\n\tdone # x\n"),
        # Not twice.
        GUESS.replace("\tdone\n", "\tdone\n\tdone\n"),
        "",
    ],
    ids=["renamed", "otherwise", "two-loops", "empty"],
)
def test_what_it_does_not_know_is_not_left_unpatched_in_silence(tmp_path: Path, text: str) -> None:
    done = subprocess.run([PATCH, script(tmp_path, text)], capture_output=True, text=True)
    assert done.returncode != 0
    assert "is not what this patch knows" in done.stderr


def test_a_script_that_was_mended_already_is_not_mended_again(tmp_path: Path) -> None:
    path = script(tmp_path)
    subprocess.run([PATCH, path], check=True)
    assert subprocess.run([PATCH, path], capture_output=True).returncode != 0


def test_the_workaround_mends_the_handlers_of_both_drbds(tmp_path: Path) -> None:
    folder = tmp_path / "usr/lib/drbd"
    folder.mkdir(parents=True)
    nine = script(folder).rename(folder / "crm-fence-peer.9.sh")
    eight = script(folder)
    subprocess.run([RECIPE / "workarounds/crm-fence-peer", tmp_path], check=True)
    for path in (eight, nine):
        assert guess(path, MEMBER) == ["false", "online", "true"]
    nine.unlink()
    done = subprocess.run([RECIPE / "workarounds/crm-fence-peer", tmp_path], capture_output=True)
    assert done.returncode != 0
