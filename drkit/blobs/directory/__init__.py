"""Image blobs in a directory: captured, listed, put back."""
