"""`drkit restore`: a recovery point back for real."""
