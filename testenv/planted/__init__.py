"""Single faults planted at random in what a recovery needs, and drills that must not overlook one.

Each is met by a drill on the host that made the points, by one on a bare host, and by a judge that reads the
repository with restic alone. It knows drkit as a command.
"""
