"""What somebody is told who got something wrong: one sentence, one hint, the right exit code."""
