"""The images of recovery points: found, compared, and opened to be read."""
