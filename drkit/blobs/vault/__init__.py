"""The vault that keeps a bucket's blobs: who works in it, what it has, what may go."""
