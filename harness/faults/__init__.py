"""What we break: every fault injects, proves that it bit, heals, and proves that it healed."""
