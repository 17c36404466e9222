"""A mutant: a configuration that is wrong on purpose, and what must notice."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path  # noqa: TC003  (pydantic needs it at run time)
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from harness.checks import ALL_CHECKS
from harness.cluster.config import load_config
from harness.errors import BadInputError
from harness.lab.paths import PROJECT
from harness.timing import PROFILES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.cluster.config import ClusterConfig

MUTANTS = PROJECT / "scenarios" / "mutants"


class Mutant(BaseModel):
    """The table ``[mutant]`` of a mutant's file; everything else of the file is configuration.

    Attributes:
        name: the file's name without its ending.
        path: the file, which is also what ``harness run --config`` takes.
        title: what is wrong, in one line.
        why: what goes wrong with it in a real cluster, and why that check sees it.
        scenario: name of the scenario that must fail, with its example in brackets.
        caught_by: checks of which one must be INVALID. Any other check may be as well, but none of
            them counts.
        because: a regular expression that what the check saw must match (re.search); for a check
            that something else might turn as well. Empty where any reason will do.
        probability: how likely one run is to catch it; below 1 for a toss of a coin.
        runs: so many runs count as one try; it is caught if one of them catches it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    path: Path
    title: Annotated[str, Field(min_length=10)]
    why: Annotated[str, Field(min_length=20)]
    scenario: Annotated[str, Field(min_length=3)]
    caught_by: Annotated[tuple[str, ...], Field(min_length=1)]
    because: str = ""
    probability: Annotated[float, Field(gt=0, le=1)] = 1.0
    runs: Annotated[int, Field(ge=1, le=20)] = 1

    @property
    def configuration(self) -> ClusterConfig:
        """The cluster that its file describes, with the timing of emulation."""
        return load_config(self.path, PROFILES["tcg"])

    @field_validator("because")
    @classmethod
    def _is_a_pattern(cls, value: str) -> str:
        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f"{value!r} is no regular expression: {error}") from error
        return value


def load_mutant(path: Path) -> Mutant:
    """Read one mutant.

    Raises:
        BadInputError: no such file, not TOML, a key or a check that does not exist, or a
            configuration that is the reference one: nothing to catch.
    """
    # The configuration first: it has the clearest words for a file that cannot be read.
    config = load_config(path, PROFILES["tcg"])
    table = tomllib.loads(path.read_text(encoding="utf-8")).get("mutant")
    if not isinstance(table, dict):
        raise BadInputError(f"{path} has no table [mutant]", hint="docs/mutants.md shows one")
    try:
        mutant = Mutant.model_validate({**table, "name": path.stem, "path": path})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "mutant"
        raise BadInputError(
            f"{path}: mutant.{where}: {first['msg']}", hint="docs/mutants.md lists the keys"
        ) from error
    if unknown := sorted(set(mutant.caught_by) - set(ALL_CHECKS)):
        raise BadInputError(
            f"{path}: there is no check {', '.join(unknown)}",
            hint=f"the checks are: {', '.join(ALL_CHECKS)}",
        )
    if config == load_config(None, PROFILES["tcg"]):
        raise BadInputError(f"{path} changes nothing: it is the reference configuration")
    return mutant


def load_mutants(names: Iterable[str] = (), folder: Path = MUTANTS) -> list[Mutant]:
    """The mutants of a folder, by name; all where none is named.

    Raises:
        BadInputError: there is no mutant of a name, or one of them is malformed.
    """
    paths = {path.stem: path for path in sorted(folder.glob("*.toml"))}
    wanted = tuple(names)
    if unknown := [name for name in wanted if name not in paths]:
        raise BadInputError(
            f"there is no mutant {', '.join(unknown)}", hint=f"there are: {', '.join(paths)}"
        )
    return [load_mutant(paths[name]) for name in (wanted or paths)]


def check_scenarios(mutants: Iterable[Mutant], names: Iterable[str]) -> None:
    """Whether the scenarios that the mutants name are among ``names``.

    Raises:
        BadInputError: one is not.
    """
    known = set(names)
    for mutant in mutants:
        if mutant.scenario not in known:
            raise BadInputError(
                f"{mutant.path}: there is no scenario {mutant.scenario!r}",
                hint="harness run --list --all",
            )
