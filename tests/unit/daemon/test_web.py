"""The status page over HTTP: what each path answers, how rarely it looks, and where it listens."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from drkit.config.fields import Listen, listening
from drkit.daemon.published import Published
from drkit.daemon.web import Limits, Service, serving
from drkit.errors import ConfigError, ToolFailed

HOUR = timedelta(hours=1)
ORDINARY = Limits()


class Looking:
    """Writes what a look writes, and counts how often; `wait` holds it up, `broken` makes it fail."""

    def __init__(self, directory: Path, *, green: bool = True) -> None:
        self.directory = directory
        self.green = green
        self.times = 0
        self.broken = False
        self.wait = threading.Event()
        self.wait.set()

    def __call__(self) -> None:
        self.times += 1
        self.wait.wait()
        if self.broken:
            raise ToolFailed("it cannot look")
        self.directory.mkdir(exist_ok=True)
        (self.directory / "metrics.prom").write_text("drkit_green 1.0\n")
        (self.directory / "status.html").write_text("<!doctype html>")
        red = [] if self.green else ["the newest recovery point is too old"]
        (self.directory / "status.json").write_text(json.dumps({"green": self.green, "red": red}))

    def published(self, every: timedelta = HOUR) -> Published:
        return Published(self.directory, every, self)

    def make_old(self, seconds: float) -> None:
        at = time.time() - seconds
        os.utime(self.directory / "status.json", (at, at))


@contextmanager
def client(listen: Listen, published: Published, limits: Limits = ORDINARY) -> Iterator[httpx.Client]:
    with serving(listen, published, limits):
        path = str(listen) if isinstance(listen, Path) else None
        base = "http://drkit" if path else f"http://{listen[0]}:{listen[1]}"  # type: ignore[index]  # a pair
        with httpx.Client(base_url=base, transport=httpx.HTTPTransport(uds=path), timeout=30) as found:
            yield found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def looking(tmp_path: Path) -> Looking:
    return Looking(tmp_path / "published")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "s.sock"


def test_each_path_on_a_port(looking: Looking) -> None:
    with client(("127.0.0.1", free_port()), looking.published()) as web:
        assert web.get("/").text == "<!doctype html>"
        assert web.get("/").headers["content-type"] == "text/html; charset=utf-8"
        assert web.get("/metrics").text == "drkit_green 1.0\n"
        assert web.get("/metrics").headers["content-type"].startswith("text/plain; version=0.0.4")
        assert (web.get("/status").status_code, web.get("/status").json()["green"]) == (200, True)
        assert web.get("/healthz").json() == {"alive": True, "green": True, "red": [], "at": None}
        assert web.head("/").text == ""
        assert web.get("/../etc/passwd").status_code == web.get("/x").status_code == 404
        assert web.post("/").status_code == 501
    assert looking.times == 1, "a scrape looks at no repository"


def test_red_is_503_at_the_verdict_and_not_where_it_would_restart_the_daemon(
    looking: Looking, path: Path
) -> None:
    looking.green = False
    published = looking.published()
    with client(path, published) as web:
        verdict = web.get("/status")
        assert (verdict.status_code, verdict.json()["red"]) == (503, ["the newest recovery point is too old"])
        health = web.get("/healthz")
        assert (health.status_code, health.json()["green"]) == (200, False)
        assert health.json()["red"] == ["the newest recovery point is too old"]
        published.beat(-121)
        assert web.get("/healthz").status_code == 503, "the loop goes round no more"
        published.beat()
        assert web.get("/healthz").status_code == 200


def test_what_nobody_could_look_at_is_not_green(looking: Looking, path: Path) -> None:
    looking.broken = True
    with client(path, looking.published()) as web:
        assert web.get("/").status_code == web.get("/metrics").status_code == 503
        verdict = web.get("/status")
        assert (verdict.status_code, verdict.json()["green"]) == (503, False)
        assert "never looked at" in verdict.json()["verdict"]
        assert looking.times == 1, "what fails is not tried at each request"


def test_what_was_green_is_unknown_when_looks_fail(looking: Looking, path: Path) -> None:
    looking()
    looking.broken = True
    looking.make_old(2 * 3600)
    with client(path, looking.published()) as web:
        assert web.get("/status").status_code == 200, "one look that fails is no alarm"
        looking.make_old(4 * 3600)
        verdict = web.get("/status")
        assert (verdict.status_code, verdict.json()["green"]) == (503, False)
        assert verdict.json()["verdict"].startswith("unknown: the last look is 144")
        assert web.get("/healthz").json()["green"] is None
        assert web.get("/").status_code == 200, "the page tells its age itself"


def test_it_is_looked_at_anew_when_somebody_asks_and_it_is_old(looking: Looking, path: Path) -> None:
    looking()
    looking.green = False
    with client(path, looking.published()) as web:
        assert web.get("/status").status_code == 200
        looking.make_old(3601)
        assert web.get("/healthz").status_code == 200
        assert looking.times == 1, "nobody has asked for it"
        assert web.get("/status").status_code == 503
        assert looking.times == 2


def test_those_who_ask_at_once_wait_for_one_look(looking: Looking, path: Path) -> None:
    looking.wait.clear()
    found: list[int] = []
    with client(path, looking.published()) as web:
        askers = [threading.Thread(target=lambda: found.append(web.get("/").status_code)) for _ in range(5)]
        for asker in askers:
            asker.start()
        while not looking.times:
            time.sleep(0.01)
        looking.wait.set()
        for asker in askers:
            asker.join()
    assert (found, looking.times) == ([200] * 5, 1)


def test_a_socket_of_a_killed_daemon_is_taken_over_and_no_other(looking: Looking, path: Path) -> None:
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with client(path, looking.published()) as web:
        assert web.get("/").status_code == 200
        assert path.stat().st_mode & 0o777 == 0o666
        with pytest.raises(ConfigError, match=r"cannot be served at .*: Address already in use"):
            serving(path, looking.published()).__enter__()
    assert not path.exists()
    path.write_text("somebody's")
    with pytest.raises(ConfigError, match="it is there, and no socket"):
        serving(path, looking.published()).__enter__()
    assert path.read_text() == "somebody's"


def test_who_holds_every_connection_keeps_nobody_out(looking: Looking, path: Path) -> None:
    """Anybody on this machine may connect and send nothing, or a byte at a time."""
    with client(path, looking.published(), Limits(connections=4, long=0.0)) as web, ExitStack() as stack:
        for number in range(8):
            idle = stack.enter_context(socket.socket(socket.AF_UNIX))
            idle.connect(str(path))
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                idle.sendall(b"GET / HTTP/1.1\r\nX: y"[: number + 1])
        assert web.get("/healthz").status_code == 200


def test_who_sends_too_slowly_is_let_go(looking: Looking, path: Path) -> None:
    with client(path, looking.published(), Limits(longest=0.0)), socket.socket(socket.AF_UNIX) as slow:
        slow.connect(str(path))
        slow.settimeout(60)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            slow.sendall(b"GET / HT")
            assert slow.recv(1) == b""


def test_what_else_is_asked(looking: Looking, path: Path) -> None:
    with client(path, looking.published()) as web:
        head = web.head("/")
        assert (head.status_code, head.content) == (200, b"")
        assert int(head.headers["content-length"]) == len(web.get("/").content)
        for strange in ("//etc/passwd", "/../status.json", "/%2e%2e/status.json", "/status.json", "/status/"):
            assert web.get(strange).status_code == 404
        assert web.post("/", content=b"x").status_code == 501


def test_a_port_that_is_taken(looking: Looking) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ConfigError) as caught:
            serving(("127.0.0.1", port), looking.published()).__enter__()
    assert caught.value.message == (
        f"the status page cannot be served at 127.0.0.1:{port}: Address already in use"
    )


def test_what_cannot_be_served_is_told_once_and_tried_again(looking: Looking, path: Path) -> None:
    path.parent.mkdir()
    path.write_text("in the way")
    with ExitStack() as stack:
        service = Service(path, looking.published(), stack)
        with pytest.raises(ConfigError, match="no socket"):
            service.keep()
        service.keep()
        path.unlink()
        service.keep()
        service.keep()
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(path))) as web:
            assert web.get("http://drkit/healthz").status_code == 200
    assert not path.exists()


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("127.0.0.1:9190", ("127.0.0.1", 9190)),
        ("localhost:80", ("127.0.0.1", 80)),
        ("[::1]:9190", ("::1", 9190)),
        ("unix:/run/drkit/status.sock", Path("/run/drkit/status.sock")),
    ],
)
def test_where_it_may_listen(text: str, meaning: Listen) -> None:
    assert listening(text) == meaning


@pytest.mark.parametrize(
    "text",
    [
        "0.0.0.0:9190",
        "192.0.2.1:80",
        ":9190",
        "9190",
        "127.0.0.1",
        "127.0.0.1:0",
        "127.0.0.1:65536",
        "[::]:80",
        "unix:status.sock",
        "unix:/" + "x" * 107,
        "registry.example.com:80",
        "",
    ],
)
def test_where_it_may_not(text: str) -> None:
    with pytest.raises(ValueError, match=r"address of this machine|path of a socket"):
        listening(text)
