"""PostgreSQL databases: locked, hashed, dumped, loaded, swapped."""
