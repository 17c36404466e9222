"""docs/configuration.md: every key that there is, with a value that is taken, and the defaults."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING

from harness.cluster.config import ClusterConfig, load_config
from harness.lab.paths import PROJECT
from harness.timing import PROFILES

if TYPE_CHECKING:
    from pathlib import Path

PAGE = (PROJECT / "docs" / "configuration.md").read_text(encoding="utf-8")
(BLOCK,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
EXAMPLES = {("target", "allowed_initiators_on"), ("target", "serial_on"), ("guest", "mtu")}


def test_the_block_is_one_that_is_taken(tmp_path: Path) -> None:
    (tmp_path / "variant.toml").write_text(BLOCK, encoding="utf-8")
    load_config(tmp_path / "variant.toml", PROFILES["tcg"])


def test_every_key_is_there_with_its_default() -> None:
    told = tomllib.loads(BLOCK)
    defaults = ClusterConfig().model_dump(mode="json", exclude={"timing", "files"})
    for table, keys in defaults.items():
        assert keys.keys() == told[table].keys(), table
        for key, value in keys.items():
            assert told[table][key] == value or (table, key) in EXAMPLES, f"{table}.{key}"


def test_the_timeouts_are_those_of_the_profiles() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \| (\d+) \|", PAGE, re.MULTILINE)
    for profile, column in (("kvm", 1), ("tcg", 2)):
        known = PROFILES[profile].model_dump(exclude={"name"})
        assert {row[0]: float(row[column]) for row in rows} == known
