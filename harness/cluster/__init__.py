"""The system under test: its configuration, how it is formed, and how it looks from outside."""
