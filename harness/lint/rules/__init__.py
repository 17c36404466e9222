"""The rules, by theme. Importing this package enters all of them in the registry, in this order."""

from harness.lint.registry import ALL_RULES
from harness.lint.rules import (
    boot,
    constraints,
    drbd,
    fencing,
    files,
    handlers,
    initiator,
    links,
    multipath,
    quorum,
    resources,
    rings,
    target,
)

THEMES = (
    files, rings, quorum, links, drbd, handlers, fencing, resources, constraints, target, boot,
    initiator, multipath,
)  # fmt: skip

_order = [theme.__name__ for theme in THEMES]
_sorted = sorted(ALL_RULES.values(), key=lambda rule: _order.index(rule.function.__module__))
ALL_RULES.clear()
ALL_RULES.update({rule.slug: rule for rule in _sorted})
