"""What gets protected: databases, blobs, secrets."""
