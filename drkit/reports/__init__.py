"""Results and reports, as JSON and as pages."""
