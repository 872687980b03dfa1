"""Alarms: what is told to whom, and what is remembered of it."""
