"""docs/guests.md: every key of a profile, and a row for each that there is."""

from __future__ import annotations

import re
import tomllib

from harness.lab import guests as module
from harness.lab.guests import WORKAROUNDS, guest_names, load_guest
from harness.lab.paths import PROJECT

PAGE = (PROJECT / "docs" / "guests.md").read_text(encoding="utf-8")
(BLOCK,) = re.findall(r"```toml\n(extends .*?)```", PAGE, re.DOTALL)


def test_the_block_is_one_that_is_taken_and_has_every_key() -> None:
    told = module._Told.model_validate(tomllib.loads(BLOCK))
    assert told.model_fields_set == set(module._Told.model_fields)
    assert told.packages.model_fields_set == set(module.Packages.model_fields)


def test_every_profile_with_packages_of_its_own_has_a_row() -> None:
    rows = set(re.findall(r"^\| `([\w-]+)` \|", PAGE, re.MULTILINE))
    assert rows <= set(guest_names())
    for name in set(guest_names()) - rows:
        told = module._read(name)
        assert told.extends in rows, f"{name} has no row and extends none that has one"
        assert not told.workarounds, f"{name} mends something: it needs a row"


def test_every_workaround_is_told_of_and_used() -> None:
    there = {path.name for path in WORKAROUNDS.iterdir()}
    assert there == {key for name in guest_names() for key in load_guest(name).workarounds}
    for name in there:
        assert f"* `{name}` (" in PAGE
