"""The whole merged log of a scenario as a text file beside its page.

One line per event, on the run's clock. Guests' text in it has no terminal sequences and no control
characters, so that it may be looked at in a terminal; only single requests of the block layer and
I/O counters are left to timeline.jsonl.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from harness.evidence.timeline import Channel
from harness.report.logs import whole_line
from harness.report.text import clean, clock, relative, shorten

if TYPE_CHECKING:
    from pathlib import Path

    from harness.report.load import LenientEvidence

_LONGEST = 65_536  # characters of a line
_NOT_IN_A_LOG = (Channel.PROGRESS, Channel.BLOCK, Channel.HOST)


def write_full_log(evidence: LenientEvidence, path: Path) -> None:
    """Write the log, whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(
            "# All machines on one clock: seconds from the first fault, UTC, line of"
            " timeline.jsonl, source, channel, text.\n"
            "# Requests of the block layer, I/O counters and what the host gave the VMs are in"
            " timeline.jsonl only.\n"
        )
        for seen in evidence.timeline:
            if seen.event.channel in _NOT_IN_A_LOG:
                continue
            text = whole_line(seen)
            if len(text) > _LONGEST:
                more = f" ({len(text):,} characters, whole in timeline.jsonl:{seen.line})"
                text = shorten(text[: _LONGEST + 1], _LONGEST) + more
            text = " ⏎ ".join(clean(text).splitlines())
            at = relative(seen.t_ns, evidence.zero_ns)
            file.write(
                f"{at:>12} {clock(seen.t_ns)} {seen.line:>7} {clean(seen.source):<7} "
                f"{seen.event.channel:<8} {text}\n"
            )
    os.replace(temporary, path)
