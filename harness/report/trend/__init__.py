"""The history of all runs: a small database beside them, a page, a gate, what may be removed."""
