"""Commands in guests, over the control link that no scenario cuts."""
