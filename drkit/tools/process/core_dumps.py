"""No core file of drkit, nor of what it starts: one would hold every key that was opened in memory."""

from __future__ import annotations

import contextlib
import resource

# One byte: too little for a file, and the one limit at which the kernel gives a core to no program either,
# as it would at zero (core(5); do_coredump in Linux's fs/coredump.c).
_LIMIT = 1


def forbid() -> None:
    """Let no crash write this process's memory to a disk, nor that of a child, whatever is done with cores.

    (PR_SET_DUMPABLE would be another way, but children could not open our /proc/PID/fd any more.)
    """
    _, highest = resource.getrlimit(resource.RLIMIT_CORE)
    limit = _LIMIT if highest == resource.RLIM_INFINITY else min(_LIMIT, highest)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CORE, (limit, highest))
