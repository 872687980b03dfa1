"""The vault: the bucket that keeps the blobs of another, and whatever works in it."""
