"""restic: its commands, its output, its locks."""
