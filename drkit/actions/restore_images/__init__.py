"""`drkit restore POINT --image PATTERN`: images back into a registry that runs."""
