"""A run while it goes on: read from its growing evidence, shown on the terminal or on loopback."""
