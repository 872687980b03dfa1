"""Real registries beside Harbor: brought up, pushed to, backed up meanwhile, drilled, lost, restored."""
