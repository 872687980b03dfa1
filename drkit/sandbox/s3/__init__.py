"""Images of a vault as the sandbox's registry sees them: a bucket of its own that can only be read."""
