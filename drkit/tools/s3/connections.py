"""Connections that are cut when drkit is interrupted: who waits for an answer would wait for a minute.

Only what reads is cut. What changes something goes on to its end, or its outcome would not be known.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Any
from weakref import WeakSet

from botocore import awsrequest

from drkit.tools.process import stopping

_open: WeakSet[Any] = WeakSet()
_lock = threading.Lock()


class _Cut:
    """What both kinds of connections of boto3's have beside what is theirs."""

    sock: socket.socket | None
    reading = False
    # The connection lets go of it where an answer says that it is the last one, and that is still read.
    stream: socket.socket | None = None

    def connect(self) -> None:
        super().connect()  # type: ignore[misc]
        self.stream = self.sock
        with _lock:
            _open.add(self)

    def putrequest(self, method: str, *arguments: Any, **more: Any) -> Any:
        self.reading = method == "GET"
        return super().putrequest(method, *arguments, **more)  # type: ignore[misc]


class _Plain(_Cut, awsrequest.AWSHTTPConnection):  # type: ignore[misc]
    pass


class _Tls(_Cut, awsrequest.AWSHTTPSConnection):  # type: ignore[misc]
    pass


class _PlainPool(awsrequest.AWSHTTPConnectionPool):  # type: ignore[misc]
    ConnectionCls = _Plain


class _TlsPool(awsrequest.AWSHTTPSConnectionPool):  # type: ignore[misc]
    ConnectionCls = _Tls


def cut_when_interrupted(api: Any) -> None:
    """Let what this client of boto3's reads end at once when drkit is interrupted."""
    api._endpoint.http_session._pool_classes_by_scheme.update(http=_PlainPool, https=_TlsPool)


def _cut(_grace: float) -> None:
    with _lock:
        streams = [each.stream for each in _open if each.reading and each.stream is not None]
    for stream in streams:
        with contextlib.suppress(OSError):
            # Not SSLSocket's own: it takes from the thread that reads what it reads with.
            socket.socket.shutdown(stream, socket.SHUT_RDWR)


stopping.register(_cut)
