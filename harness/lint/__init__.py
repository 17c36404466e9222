"""A configuration judged by what the post and experience ask of it, without running it.

Files in, findings out: pure functions on what was collected (docs/linting.md). Knows of no lab.
"""

from harness.lint.folder import Files, cluster_of, read_folder
from harness.lint.model import Cluster, Place
from harness.lint.registry import ALL_RULES, Found, Outcome, Rule, Severity
from harness.lint.rules import THEMES

__all__ = [
    "ALL_RULES",
    "Cluster",
    "Files",
    "Found",
    "Outcome",
    "Place",
    "Rule",
    "Severity",
    "cluster_of",
    "lint",
    "read_folder",
]

assert THEMES  # importing them enters their rules


def lint(cluster: Cluster) -> list[Outcome]:
    """What every rule says of the cluster, in the order of the registry."""
    return [rule.run(cluster) for rule in ALL_RULES.values()]
