"""One file per verb: a plan that can be shown, then the doing."""
