"""`drkit copy`: recovery points, and the blobs of a bucket, in further places."""
