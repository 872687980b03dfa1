"""drkit measured against what an administrator would do by hand, on the same registry in the same run."""
