"""Backup and disaster recovery for self-hosted container registries, proven by restoring."""

__version__ = "0.1.0"
