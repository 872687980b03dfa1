"""drkit unattended: the scheduler, and timers of the system."""
