"""Registers the harness: its plugin brings the options, the lab and the step vocabulary.

The second one is for ``pytest -n N scenarios``: a cluster for each worker, and one run in the end.
"""

pytest_plugins = ["harness.plugin", "harness.fleet.plugin"]
