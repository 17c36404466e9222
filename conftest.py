"""Registers the harness: its plugin brings the options, the lab and the step vocabulary."""

pytest_plugins = ["harness.plugin"]
