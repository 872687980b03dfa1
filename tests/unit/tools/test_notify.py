"""Messages to people, sent to a real server on this machine."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from drkit import logs
from drkit.errors import ConfigError
from drkit.tools import notify
from drkit.tools.notify import read_urls


def tell(urls: list[str], title: str, body: str) -> list[tuple[str, str | None]]:
    """To each: where it went, and why it did not arrive."""
    return [notify.send(url, title, body) for url in urls]


TOKEN = "tk3AbCdEfGhIjKlMnOpQrStUvWxYz"


@dataclass
class Receiver:
    """A server that keeps what it is told; `answer` is the status that it answers with."""

    port: int
    messages: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    answer: int = 200


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            state.messages.append(json.loads(body))
            state.paths.append(self.path)
            self.send_response(state.answer)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state = Receiver(server.server_port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_message_arrives(receiver: Receiver) -> None:
    assert tell([f"json://127.0.0.1:{receiver.port}/drkit"], "backup failed", "exit code 3") == [
        (f"json://127.0.0.1:{receiver.port}/drkit", None)
    ]
    assert [(message["title"], message["message"]) for message in receiver.messages] == [
        ("backup failed", "exit code 3")
    ]
    assert receiver.paths == ["/drkit"]


def test_secrets_are_taken_out_of_the_message(receiver: Receiver) -> None:
    logs.register_secret("hunter2hunter2")
    tell(
        [f"json://127.0.0.1:{receiver.port}"],
        "no login with hunter2hunter2",
        "s3://key:hunter2hunter2@bucket",
    )
    (message,) = receiver.messages
    assert message["title"] == "no login with ***"
    assert message["message"] == "s3://key:***@bucket"


def test_one_that_fails_does_not_stop_the_others(receiver: Receiver) -> None:
    bad = f"json://drkit:pa55-word@127.0.0.1:1/{TOKEN}"
    good = f"json://127.0.0.1:{receiver.port}"
    failed, sent = tell([bad, good], "title", "body")
    assert failed == (
        "json://drkit:***@127.0.0.1:1/***",
        "A Connection error occurred sending JSON notification to 127.0.0.1.",
    )
    assert sent == (good, None)
    assert len(receiver.messages) == 1


def test_a_server_that_refuses(receiver: Receiver) -> None:
    receiver.answer = 500
    url = f"json://127.0.0.1:{receiver.port}/{TOKEN}"
    ((where, why),) = tell([url], "title", "body")
    assert where == f"json://127.0.0.1:{receiver.port}/***"
    assert why is not None
    assert "500" in why
    assert TOKEN not in why


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("nosuch://host/path", "nosuch://..."),
        ("no address at all", "an address without a scheme"),
        ("", "an address without a scheme"),
    ],
)
def test_an_address_that_apprise_does_not_know(url: str, shown: str) -> None:
    assert tell([url], "title", "body") == [(shown, "it is not an address that apprise knows")]


def test_what_is_said_of_one_is_not_said_of_another_that_fails_at_the_same_time(receiver: Receiver) -> None:
    receiver.answer = 500
    urls = ["json://127.0.0.1:1/", f"json://127.0.0.1:{receiver.port}/"] * 4
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda url: notify.send(url, "title", "body")[1] or "", urls))
    assert ["500" in why for why in found] == [False, True] * 4


@pytest.mark.parametrize(
    ("url", "secret"),
    [
        ("mailto://me:s3cret%20word@example.com", "s3cret word"),
        ("mailto://me:s3cret%20word@example.com", "s3cret%20word"),
        ("json://me:sl/ash-word@example.com", "sl/ash-word"),
        ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ", "TIiajkdnlazkcOXrIdevi7FQ"),
        ("tgram://1234567:AAH-token_Of1234567890abcd/12315544", "AAH-token_Of1234567890abcd"),
        ("gotify://push.example.com/AbCdEfGhIjKlMn1", "AbCdEfGhIjKlMn1"),
        ("ntfys://ntfy.example.com/alerts?token=tk_abc", "tk_abc"),
    ],
)  # fmt: skip
def test_the_secrets_of_an_address_are_known_from_then_on(tmp_path: Path, url: str, secret: str) -> None:
    path = tmp_path / "urls"
    path.write_text(url + "\n")
    read_urls(path)
    assert logs.redact(f"it is {secret}!") == "it is ***!"


def test_names_that_are_no_secrets_stay_readable(tmp_path: Path) -> None:
    path = tmp_path / "urls"
    path.write_text("json://registry-server-01.example.com:8080/notifications/backup-alerts\n")
    read_urls(path)
    words = "registry-server-01 example com 8080 notifications backup-alerts"
    assert logs.redact(words) == words


def test_a_file_of_addresses(tmp_path: Path) -> None:
    path = tmp_path / "urls"
    path.write_text("# whom to tell\n\n  json://one  \njson://two\n  # json://three\n")
    assert read_urls(path) == ("json://one", "json://two")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read_urls(tmp_path / "none")
    assert caught.value.message.startswith(f"cannot read the addresses in {tmp_path}/none: ")
    assert caught.value.hint == "see [notify]"
