"""`drkit expire`: retention, in the repository and in the vault."""
