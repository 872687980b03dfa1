"""`drkit drill`: a point restored into a sandbox, and what that proves."""
