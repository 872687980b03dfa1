"""Requests to services of the web, real ones on this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from drkit import logs
from drkit.errors import ConfigError
from drkit.tools import webhook
from drkit.tools.webhook import read_address
from tests.web import Service

SECRET = "3f0c2a9e-1b2c-4d5e-8f90-aabbccddeeff"


def address(directory: Path, *lines: str) -> webhook.Address:
    file = directory / "address"
    file.write_text("\n".join(lines))
    return read_address(file)


def send(where: webhook.Address, seconds: float = 30.0) -> str | None:
    return webhook.send(where, where.below("3"), b"the tail", "text/plain", seconds)


def test_what_is_sent_arrives_with_its_headers(tmp_path: Path) -> None:
    with Service() as service:
        where = address(
            tmp_path, "# whom", f"{service.url}/ping/{SECRET}?rid=1", "Authorization: Bearer xyzzy99"
        )
        assert send(where) is None
    (asked,) = service.asked
    assert asked.path == f"/ping/{SECRET}/3?rid=1"
    assert asked.body == b"the tail"
    assert asked.headers["Authorization"] == "Bearer xyzzy99"
    assert logs.redact(f"{SECRET} Bearer xyzzy99") == "*** ***"
    assert SECRET not in repr(where) + where.shown


def test_what_may_work_a_moment_later_is_tried_again(tmp_path: Path) -> None:
    with Service(503, 429) as service:
        assert send(address(tmp_path, service.url)) is None
    assert len(service.asked) == 3


def test_what_is_refused_is_not(tmp_path: Path) -> None:
    with Service(404) as service:
        assert send(address(tmp_path, service.url)) == f"{service.url} answered 404"
    assert len(service.asked) == 1


def test_nobody_waits_for_a_service_that_hangs(tmp_path: Path) -> None:
    with Service(hangs=True) as service:
        assert send(address(tmp_path, service.url), 0.5)


def test_nor_for_the_end_of_what_it_answers(tmp_path: Path) -> None:
    with Service(endless=True) as service:
        assert send(address(tmp_path, service.url)) is None


def test_an_address_that_has_moved_gets_nothing_elsewhere(tmp_path: Path) -> None:
    """What is sent may be for this service alone; who has moved it says so in the file."""
    with Service(301) as service:
        assert send(address(tmp_path, f"{service.url}/{SECRET}")) == f"{service.url} answered 301"
    assert len(service.asked) == 1


def test_a_service_that_is_away(tmp_path: Path) -> None:
    why = send(address(tmp_path, f"http://127.0.0.1:1/{SECRET}"))
    assert why
    assert SECRET not in why


@pytest.mark.parametrize(
    "text", ["", "no address", "http://", "ftp://x/y", "http://h:99999/", "http://h/\nno header"]
)
def test_what_is_no_address(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError):
        address(tmp_path, text)
