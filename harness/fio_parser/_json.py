"""Typed access to decoded JSON: every miss is a FioParseError that names the key's path."""

from __future__ import annotations

import math
from typing import Any

from .errors import FioParseError


class Node:
    """A decoded JSON object and where it stands.

    Args:
        data: the object.
        where: keys that lead to it, for messages, e.g. ``jobs[0].write``.
        path: the file, if any.
        line: the line on which the outermost object starts.
    """

    def __init__(self, data: dict[str, Any], where: str, path: str | None, line: int) -> None:
        self.data = data
        self.where = where
        self.path = path
        self.line = line

    def fail(self, key: str, reason: str) -> FioParseError:
        """The error to raise about ``key``."""
        name = f"{self.where}.{key}" if self.where else key
        return FioParseError(f"{name}: {reason}", path=self.path, line=self.line)

    def has(self, key: str) -> bool:
        """Whether the object has the key."""
        return key in self.data

    def get(self, key: str) -> Any:
        """The value, whatever it is."""
        if key not in self.data:
            raise self.fail(key, "missing")
        return self.data[key]

    def integer(self, key: str, *, low: int = 0) -> int:
        """An integer of at least ``low``; true and 1.0 are none."""
        value = self.get(key)
        if type(value) is not int:
            raise self.fail(key, f"not an integer: {_short(value)}")
        if value < low:
            raise self.fail(key, f"below {low}: {value}")
        return value

    def number(self, key: str) -> float:
        """A finite number."""
        value = self.get(key)
        if type(value) not in (int, float):
            raise self.fail(key, f"not a number: {_short(value)}")
        try:
            result = float(value)
        except OverflowError:
            result = math.inf
        if not math.isfinite(result):
            raise self.fail(key, f"not finite: {_short(value)}")
        return result

    def string(self, key: str) -> str:
        """A string."""
        value = self.get(key)
        if not isinstance(value, str):
            raise self.fail(key, f"not a string: {_short(value)}")
        return value

    def node(self, key: str) -> Node:
        """An object."""
        return self._child(key, self.get(key))

    def nodes(self, key: str) -> list[Node]:
        """A list of objects."""
        value = self.get(key)
        if not isinstance(value, list):
            raise self.fail(key, f"not a list: {_short(value)}")
        return [self._child(f"{key}[{index}]", item) for index, item in enumerate(value)]

    def strings(self) -> dict[str, str]:
        """The whole object as strings; whole numbers (a server's port) are spelled out."""
        result = {}
        for key, value in self.data.items():
            if type(value) is int:
                value = repr(value)
            if not isinstance(value, str):
                raise self.fail(key, f"not a string: {_short(value)}")
            result[key] = value
        return result

    def _child(self, key: str, value: Any) -> Node:
        if not isinstance(value, dict):
            raise self.fail(key, f"not an object: {_short(value)}")
        return Node(value, f"{self.where}.{key}" if self.where else key, self.path, self.line)


def _short(value: Any) -> str:
    # ascii() keeps hostile content on one line; integers can be too long to print at all.
    try:
        text = ascii(value)
    except (ValueError, RecursionError):
        text = type(value).__name__
    return text if len(text) <= 40 else text[:37] + "..."
