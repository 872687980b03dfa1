"""S3: a bucket, its listings, and blobs that are stored whole or not at all."""
