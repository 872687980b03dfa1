"""A registry under fire: clients, garbage collection and migrations never stop, while backups are taken.

Every point that was sealed is then looked at by somebody who knows nothing of how it was made.
"""
