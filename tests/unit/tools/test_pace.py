"""A limit on bytes a second: what is let through takes at least its time."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from drkit.tools.pace import Pace


def test_all_threads_share_one_limit() -> None:
    pace = Pace(1 << 20)
    began = time.monotonic()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: pace.take(1 << 16), range(8)))
    assert time.monotonic() - began >= 0.5


def test_without_a_limit_nothing_waits() -> None:
    Pace(None).take(1 << 50)
