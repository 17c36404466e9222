"""Rules on the files themselves."""

from __future__ import annotations

from harness.lint.registry import Look, Severity, Source, rule


@rule("readable", "Every file can be read", Severity.ERROR, Source.DOCS)
def readable(look: Look) -> None:
    """A file that this lint cannot read is one that its program may refuse as well, or that says
    something nobody expected. Whatever depends on it is not judged."""
    for place, why in look.cluster.unreadable:
        look.report(place, why)
    for machine in look.cluster.machines:
        look.seen += bool(machine.name)
