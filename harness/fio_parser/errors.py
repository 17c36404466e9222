"""The one error this package raises about content."""

from __future__ import annotations


class FioParseError(ValueError):
    """Input that is not what fio writes, and where.

    Args:
        reason: what is wrong, one line.
        path: the file, if it came from one.
        line: line number from 1, for text.
        offset: byte offset from 0, for binaries.
    """

    def __init__(
        self,
        reason: str,
        *,
        path: str | None = None,
        line: int | None = None,
        offset: int | None = None,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.path = path
        self.line = line
        self.offset = offset

    def __str__(self) -> str:
        where = [] if self.path is None else [self.path]
        if self.line is not None:
            where.append(f"line {self.line}")
        if self.offset is not None:
            where.append(f"byte {self.offset}")
        return f"{', '.join(where)}: {self.reason}" if where else self.reason
