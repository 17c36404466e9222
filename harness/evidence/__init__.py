"""What was seen: one append-only timeline per scenario, on one clock, written as it happens."""
