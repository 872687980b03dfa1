"""Calls with a limit on how long they take in all."""

from __future__ import annotations

import socket
import threading
import urllib.request
from collections.abc import Iterator

import pytest

from drkit.tools import notify
from drkit.tools.deadline import within


@pytest.fixture
def dribbling() -> Iterator[int]:
    """A server that answers each request with a byte now and then, and never to the end."""
    over = threading.Event()

    def dribble(connection: socket.socket) -> None:
        with connection:
            for byte in b"HTTP/1.1 200 OK\r\n" + b"X" * 10_000:
                if over.wait(0.1):
                    return
                try:
                    connection.send(bytes([byte]))
                except OSError:
                    return

    def serve() -> None:
        while not over.is_set():
            try:
                connection, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=dribble, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        over.set()
        server.shutdown(socket.SHUT_RDWR)
    thread.join()


def test_what_it_returns_and_raises() -> None:
    assert within(60, lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        within(60, lambda: 1 // 0)


def test_a_server_that_sends_a_byte_now_and_then(dribbling: int) -> None:
    address = f"http://127.0.0.1:{dribbling}/"
    with pytest.raises(TimeoutError, match="no answer within 1 seconds"):
        within(1, lambda: urllib.request.urlopen(address, timeout=30))


def test_no_message_is_waited_for_without_end(dribbling: int) -> None:
    _where, why = notify.send(f"json://127.0.0.1:{dribbling}/", "backup failed", "exit code 3", 1.0)
    assert why
