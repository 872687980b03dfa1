"""Image blobs: which must be there, and which are."""
