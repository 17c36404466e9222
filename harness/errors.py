"""The errors a user can meet, and the exit codes that go with them.

An error the user can meet is one line that says what happened, plus a hint with the likely
remedy. Everything else is a bug in the harness and keeps its traceback.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of ``harness``; clear of pytest's own 2 to 5."""

    VALID = 0
    INVALID = 1
    INCONCLUSIVE = 10
    HARNESS_ERROR = 20
    MISSING_ENVIRONMENT = 21


class HarnessError(Exception):
    """One clear line, a hint, and an exit code.

    Args:
        message: what happened, one line.
        hint: the likely remedy, one line; empty if there is none to give.
    """

    exit_code: ExitCode = ExitCode.HARNESS_ERROR

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} (hint: {self.hint})" if self.hint else self.message


class MissingEnvironmentError(HarnessError):
    """The host lacks something: rights, a program, disk, memory, a reachable mirror."""

    exit_code = ExitCode.MISSING_ENVIRONMENT


class BadInputError(HarnessError):
    """The user's configuration, feature or command line cannot be used as it is."""

    exit_code = ExitCode.MISSING_ENVIRONMENT


class InconclusiveError(HarnessError):
    """A fault that did not bite, a witness that broke: nothing can be said of the cluster."""

    exit_code = ExitCode.INCONCLUSIVE


class DeadlineError(HarnessError):
    """A wait ended without its event; the message says what was still missing."""
