"""`drkit init`: a configuration that works, and the keys that it needs."""
