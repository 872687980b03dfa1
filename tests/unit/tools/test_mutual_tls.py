"""TLS by certificates made for one time: the client and the server know each other, and nobody else."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from drkit.tools import mutual_tls
from drkit.tools.mutual_tls import MutualTls
from drkit.tools.registry import Client, Loopback


@pytest.fixture
def tls(tmp_path: Path) -> MutualTls:
    return mutual_tls.make(tmp_path, "drkit")


@pytest.fixture
def server(tls: MutualTls) -> Iterator[tuple[int, list[str]]]:
    """The port of a server that demands a certificate; and the names that clients have shown."""
    shown: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            peer = self.connection.getpeercert()
            shown.append(dict(pair[0] for pair in peer["subject"])["commonName"])
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(tls.authority))
    context.load_cert_chain(tls.certificate, tls.key)
    context.verify_mode = ssl.CERT_REQUIRED
    found = HTTPServer(("127.0.0.1", 0), Handler)
    found.socket = context.wrap_socket(found.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=found.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield found.server_address[1], shown
    found.shutdown()
    found.server_close()
    thread.join()


def test_each_knows_the_other(server: tuple[int, list[str]], tls: MutualTls) -> None:
    port, shown = server
    with Client(Loopback(port, tls.client)) as client:
        assert client.answers()
    assert shown == ["drkit"]


def test_somebody_elses_certificates_open_nothing(
    server: tuple[int, list[str]], tls: MutualTls, tmp_path: Path
) -> None:
    port, shown = server
    (tmp_path / "other").mkdir()
    other = mutual_tls.make(tmp_path / "other", "drkit")
    nameless = ssl.create_default_context(cafile=str(tls.authority))
    for context in (other.client, nameless):
        with Client(Loopback(port, context)) as client:
            assert not client.answers()
    assert shown == []


def test_keys_are_for_their_owner_alone(tls: MutualTls, tmp_path: Path) -> None:
    assert tls.key.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["authority.crt", "server.crt", "server.key"]
