"""Images in OCI layouts, one a repository: captured, and proved to be whole."""
