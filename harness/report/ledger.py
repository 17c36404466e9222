"""A ledger: what was judged, a line of JSON each, kept when the evidence is not.

A run's evidence takes hundreds of megabytes, what it came to a few hundred bytes. A ledger can be
under version control, so that figures of many runs, on several machines, add up over months and
anyone can add them up again. It only ever grows: a line that is there is never replaced, as trying
again until it is green would prove nothing.
"""

from __future__ import annotations

import fcntl
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from harness.errors import BadInputError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


class Line(BaseModel):
    """A line of a ledger; what is judged is told apart by ``key``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @property
    def key(self) -> tuple[object, ...]:
        """What the line is of; there is one line of each."""
        raise NotImplementedError


L = TypeVar("L", bound=Line)


def read_ledger(path: Path, kind: type[L]) -> list[L]:
    """The lines of a ledger, in the order in which they came; none where there is no such file.

    Raises:
        BadInputError: a line is not of this kind, or of what another line is of already.
    """
    if not path.exists():
        return []
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInputError(f"{path} cannot be read: {error}") from error
    found: dict[tuple[object, ...], L] = {}
    # By this sign alone: what splitlines() takes for an end of line may stand in a name.
    for number, raw in enumerate(text.removesuffix("\n").split("\n") if text else [], 1):
        try:
            line = kind.model_validate_json(raw)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "line"
            hint = "a ledger has one JSON object on each line; is it another kind of ledger?"
            if number > text.count("\n"):
                hint = "its end is missing: a process was killed as it wrote it. Remove that line"
            raise BadInputError(
                f"{path}, line {number}: {where}: {first['msg']}", hint=hint
            ) from error
        if line.key in found:
            raise BadInputError(f"{path}, line {number}: it says a second time what it is of")
        found[line.key] = line
    return list(found.values())


def needs_ledger(path: Path, kind: type[L]) -> list[L]:
    """The lines of a ledger that has to be there: of one that is not, nothing can be told.

    Raises:
        BadInputError: there is no such file, or it is no such ledger.
    """
    if not path.exists():
        raise BadInputError(
            f"there is no ledger {path}", hint="it begins with the first run that is added to it"
        )
    return read_ledger(path, kind)


def record(path: Path, lines: Iterable[L], kind: type[L]) -> list[L]:
    """Add to a ledger what it does not have yet, and give all of its lines.

    Processes may do so at the same time.

    Raises:
        BadInputError: the file is no such ledger, or it says something else of the same.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Opened for appending, so that a kill -9 leaves at worst a last line that is not whole.
        file = path.open("a", encoding="utf-8")
    except OSError as error:
        raise BadInputError(f"{path} cannot be written: {error}") from error
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        everything = read_ledger(path, kind)
        known = {line.key: line for line in everything}
        for line in lines:
            before = known.get(line.key)
            if before is None:
                known[line.key] = line
                everything.append(line)
                file.write(line.model_dump_json() + "\n")
            elif before != line:
                raise BadInputError(
                    f"{path} says something else of {line.key}: {before.model_dump_json()}",
                    hint="a run that was judged again by other code does not count anew",
                )
    return everything
