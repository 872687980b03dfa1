#!/usr/bin/env bash
# Python 3.11.2 (Debian 12's): a process that looks at the stacks of its threads by sys._current_frames(), while other
# threads begin and end, stands still for ever.
#
# sys._current_frames() holds a lock of the interpreter's while it makes its answer, and what it makes may set off the
# garbage collector, which may let another thread run. One that begins or ends a thread then waits for that lock and
# keeps the interpreter to itself meanwhile: none of the two goes on, nor does any other thread. 3.11.9 mends it.
#
# A worker of Dask's does that a hundred times a second, for its profiler, while a function that it calls may well
# begin threads. It was seen on a machine under load: the worker answered nobody any more, and did not end either.
#
# Needs Python 3.11 before 3.11.9 as python3; takes a minute at most.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat >"$work/look.py" <<'PYTHON'
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor


class Rubbish:
    """For the garbage collector, which lets others run when it takes it."""

    def __init__(self):
        self.itself = self

    def __del__(self):
        time.sleep(0)


def begin_and_end():
    while True:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: [Rubbish() for _ in range(20)], range(8)))


for _ in range(2):
    threading.Thread(target=begin_and_end, daemon=True).start()
until = time.monotonic() + 40
while time.monotonic() < until:
    sys._current_frames()
    time.sleep(0.002)
os._exit(0)
PYTHON
python3 --version
code=0
timeout --signal=KILL 55 python3 "$work/look.py" || code=$?
if [ "$code" = 137 ]; then
    echo "it stood still"
else
    echo "it ran to its end (exit code $code)"
    exit 1
fi
