"""A container registry over HTTP and HTTPS, to be pushed to (OCI distribution specification 1.1)."""
