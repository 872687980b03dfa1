"""Image blobs in a bucket: copied to the vault, and brought back from there."""
