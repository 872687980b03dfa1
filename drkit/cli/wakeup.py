"""A signal always reaches Python's handler, whatever the main thread waits for.

Python runs handlers in the main thread alone. Where that waits for a lock, a signal wakes it only in the
midst of the wait: one that comes on the way into it (which takes its time on a busy machine, for another
thread must first get the processor), or that the kernel gives to another thread, is noticed when the wait is
over. drkit waits for threads, and these for programs that take hours.
"""

from __future__ import annotations

import os
import signal
import threading
import time

# Its usual meaning is of no use here, and whoever has no handler for it ignores it.
_WAKE = signal.SIGURG
_PAUSES_SECONDS = (0.1, 0.4, 1.5)


def ensure() -> None:
    """From now on; more than once is as good as once. To be called by the main thread."""
    if signal.getsignal(_WAKE) is _awake:
        return
    signal.signal(_WAKE, _awake)
    came, come = os.pipe()
    # Python writes the number of each signal there at once, in whichever thread it is.
    os.set_blocking(come, False)
    signal.set_wakeup_fd(come, warn_on_full_buffer=False)
    threading.Thread(target=_wake, args=(came,), name="wakeup", daemon=True).start()


def _awake(_number: int, _frame: object) -> None:
    """To be interrupted is enough: then all handlers run whose signals have come."""


def _wake(came: int) -> None:
    main = threading.main_thread().ident
    assert main is not None
    while number := os.read(came, 1):
        if number[0] == _WAKE:
            continue
        for pause in _PAUSES_SECONDS:
            time.sleep(pause)
            signal.pthread_kill(main, _WAKE)
