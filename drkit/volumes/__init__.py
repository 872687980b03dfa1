"""A frozen view of a directory."""
