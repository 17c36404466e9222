"""Strict readers for what fio leaves behind: results, logs, verify headers, verify states.

Self-contained: the standard library and numpy only. See README.md for the API.
"""

from __future__ import annotations

from .errors import FioParseError
from .headers import (
    HEADER_DTYPE,
    HEADER_MAGIC,
    HeaderTable,
    VerifyType,
    check_payloads,
    parse_headers,
)
from .hist import HistTable, parse_hist_log, read_hist_log
from .logs import LOG_DTYPE, LogTable, parse_log, read_log
from .model import DiskUtil, FioResult, IoStats, JobResult, LatencySummary, SyncStats
from .result import parse_result, parse_results, read_result, read_results
from .verify_state import VerifyState, parse_verify_state, read_verify_state

__all__ = [
    "HEADER_DTYPE",
    "HEADER_MAGIC",
    "LOG_DTYPE",
    "DiskUtil",
    "FioParseError",
    "FioResult",
    "HeaderTable",
    "HistTable",
    "IoStats",
    "JobResult",
    "LatencySummary",
    "LogTable",
    "SyncStats",
    "VerifyState",
    "VerifyType",
    "check_payloads",
    "parse_headers",
    "parse_hist_log",
    "parse_log",
    "parse_result",
    "parse_results",
    "parse_verify_state",
    "read_hist_log",
    "read_log",
    "read_result",
    "read_results",
    "read_verify_state",
]
