"""README and docs/ compared with the code: what they name exists, and what exists is documented."""
