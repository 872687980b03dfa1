"""Telling services of the web how a run goes: pings when it starts and ends, and its result to a webhook."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from drkit import logs
from drkit.actions.alarms.settings import AlarmSettings
from drkit.actions.alarms.targets import Delivery, side_by_side
from drkit.errors import ConfigError
from drkit.tools import webhook

log = logging.getLogger(__name__)

_TEXT, _JSON = "text/plain; charset=utf-8", "application/json"


class Started:
    """The ping that a run has started, under way beside the run."""

    def __init__(self, settings: AlarmSettings, verb: str) -> None:
        self._thread: threading.Thread | None = None
        self._settings = settings
        file = settings.ping.files.get(verb)
        if file:
            self._thread = threading.Thread(target=self._ping, args=(verb, file), daemon=True)
            self._thread.start()

    def _ping(self, verb: str, file: Path) -> None:
        ended = _ping(self._settings, verb, file, "start", b"")
        if ended.why:
            log.warning("the %s that it starts: %s", ended.target, ended.why)

    def wait(self) -> None:
        """Wait until it has arrived or failed, so that the end is not told before the start."""
        if self._thread:
            self._thread.join(self._settings.patience)


def tell_of_end(
    settings: AlarmSettings, verb: str, exit_code: int, result: Callable[[], Mapping[str, Any]]
) -> list[Delivery]:
    """Ping that a run has ended, with its exit code and the last lines of its log, and send its result."""
    work: list[Callable[[], Delivery]] = []
    hook = settings.notify.webhook_file
    if verb in settings.ping.files:
        work.append(lambda: ping_end(settings, verb, exit_code))
    if hook:
        body = webhook.as_json(result())
        work.append(lambda: _post(settings, hook, body))
    return side_by_side(work)


def ping_end(settings: AlarmSettings, verb: str, exit_code: int) -> Delivery:
    """Ping that a run has ended, if anybody waits for that."""
    file = settings.ping.files.get(verb)
    if file is None:
        return Delivery("nobody")
    return _ping(settings, verb, file, str(exit_code), logs.tail().encode("utf-8", "backslashreplace"))


def tell_of_status(settings: AlarmSettings, *, green: bool, said: str) -> list[Delivery]:
    """Ping whether the site is green; also that somebody still looks at it."""
    file = settings.ping.status
    if file is None:
        return []
    return [
        _ping(settings, "status", file, "0" if green else "1", logs.redact(said).encode("utf-8", "replace"))
    ]


def try_out(settings: AlarmSettings) -> list[Callable[[], Delivery]]:
    """A trial of each: pings that are neither good nor bad (`/log`), and a result that says what it is."""
    work: list[Callable[[], Delivery]] = []
    for verb, file in settings.ping.files.items():
        work.append(partial(_ping, settings, verb, file, "log", b"drkit notify --test"))
    if hook := settings.notify.webhook_file:
        trial = {"schema": 1, "command": "notify", "ok": True, "result": {"test": True}, "error": None}
        body = webhook.as_json({**trial, "site": settings.site})
        work.append(lambda: _post(settings, hook, body))
    return work


def _ping(settings: AlarmSettings, verb: str, file: Path, step: str, body: bytes) -> Delivery:
    name = f"ping of {verb}"
    try:
        address = webhook.read_address(file)
    except ConfigError as error:
        return Delivery(name, error.message)
    why = webhook.send(address, address.below(step), body, _TEXT, settings.patience)
    return Delivery(f"{name} at {address.shown}", why or "")


def _post(settings: AlarmSettings, file: Path, body: bytes) -> Delivery:
    try:
        address = webhook.read_address(file)
    except ConfigError as error:
        return Delivery("webhook", error.message)
    why = webhook.send(address, address.url, body, _JSON, settings.patience)
    return Delivery(f"webhook at {address.shown}", why or "")
