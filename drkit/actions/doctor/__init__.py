"""`drkit doctor`: everything that is looked at before anything runs."""
