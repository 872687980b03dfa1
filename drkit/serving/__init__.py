"""A read-only registry straight from a recovery point."""
