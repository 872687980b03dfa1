"""Tar archives as streams, and what every reader takes for the same."""
