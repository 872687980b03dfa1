"""PostgreSQL: sessions, and its own programs."""
