"""`drkit keys`: who can open the secrets."""
