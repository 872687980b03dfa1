"""`drkit backup`: one recovery point, from the lock to the seal."""
