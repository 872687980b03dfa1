"""What moves and what does not, of real processes."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from datetime import timedelta

import pytest

from drkit.errors import ToolFailed
from drkit.tools.process import execute
from drkit.tools.process.command import Command, Completed
from drkit.tools.process.stalling import Signs

NOTHING = Signs(frozenset({1}), 0, 0.0)


@pytest.mark.parametrize(
    ("found", "moved"),
    [
        (NOTHING, False),
        # The status line of an idle restic, keep-alives.
        (Signs(frozenset({1}), 30_000, 1.0), False),
        (Signs(frozenset({1}), 100_000, 0.0), True),
        (Signs(frozenset({1}), 0, 10.0), True),
        (Signs(frozenset({1, 2}), 0, 0.0), True),
    ],
)
def test_what_is_movement(found: Signs, moved: bool) -> None:
    assert found.differ(NOTHING, 60.0) is moved


def test_idling_for_long_is_no_movement() -> None:
    assert not Signs(frozenset({1}), 0, 10.0).differ(NOTHING, 1200.0)


def limited(script: str, seconds: float) -> Command:
    limit = timedelta(seconds=seconds)
    return Command(("sh", "-c", script), called="restic", about="prune on /backup", stall_limit=limit)


def test_one_that_moves_nothing_is_told_of_and_ended(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ToolFailed) as caught:
        execute.run(limited("exec sleep 600", 2))
    assert caught.value.message.startswith("restic prune on /backup made no progress for 0:0")
    assert caught.value.message.endswith(", and was ended")
    assert "restic prune on /backup has made no progress for" in caplog.messages[0]


def test_words_are_no_movement() -> None:
    """A restic whose server is frozen says the same figures twice a second."""
    script = "exec python3 -c 'import time\nwhile True: print(\"x\" * 2000, flush=True); time.sleep(0.05)'"
    said = execute.lines(limited(script, 4), ended=lambda _done: None)
    with pytest.raises(ToolFailed, match="made no progress"):
        deque(said, maxlen=0)


def test_one_that_works_in_silence_is_not_ended() -> None:
    script = "for i in $(seq 40); do head -c 200000 /dev/zero > /dev/null; sleep 0.2; done"
    assert execute.run(limited(script, 5)).code == 0


def test_one_that_waits_for_us_is_not_ended() -> None:
    """Its output is not taken for a while, or its input not given."""
    ended: list[Completed] = []
    pieces = execute.chunks(limited("head -c 3000000 /dev/zero", 3), ended=ended.append)
    next(pieces)
    time.sleep(5)
    deque(pieces, maxlen=0)

    def slow() -> Iterator[bytes]:
        yield b"a"
        time.sleep(5)
        yield b"b"

    assert list(execute.lines(limited("exec cat", 3), stdin=slow(), ended=ended.append)) == [b"ab"]
    assert [done.code for done in ended] == [0, 0]
