"""The state directory, and what is written down there."""
