"""Words of Pacemaker's journals that are not the same in all versions, as regular expressions."""

from __future__ import annotations

# services_ocf_exitcode_str() of lib/services: "ok" in 2.1.5 and 2.1.6, "OK" in 3.0.
OK = r"(?i:ok)\b"
"""The end of log_executor_event()'s ``Result of … operation for …: `` where it went well."""

# te_fence_node() of pacemaker-controld: "of node" in 2.1.5, "targeting node" in 2.1.6 and 3.0.
FENCING = r"Requesting (?P<what>fencing \(\w+\) (?:of|targeting) node (?P<node>[\w.-]+))"
"""What the DC says before it has a node fenced; groups ``what`` and ``node``."""
