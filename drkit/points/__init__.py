"""Recovery points: what the repository has of them, which seal counts, which are kept."""
