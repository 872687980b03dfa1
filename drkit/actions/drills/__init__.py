"""`drkit drills`: the history of drills, one again, and a period's summary for the auditor."""
