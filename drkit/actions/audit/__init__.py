"""`drkit audit`."""
