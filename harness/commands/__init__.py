"""Commands of ``harness`` in modules of their own; harness.cli registers them."""
