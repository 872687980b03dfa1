"""A child that keeps running beside us: a sandbox's PostgreSQL or registry."""

from __future__ import annotations

import logging
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from drkit.logs import redact
from drkit.tools.process import children, stopping
from drkit.tools.process.command import Command
from drkit.tools.process.stalling import StallWatch

log = logging.getLogger(__name__)

_spawner = ThreadPoolExecutor(1, thread_name_prefix="spawner")
# More of its log is not looked at for its last words.
_TAIL = 16 << 10


class Server:
    """One such child; it runs until `stop`, or until drkit ends."""

    def __init__(self, command: Command, log_file: Path, grace: float = stopping.GRACE_SECONDS) -> None:
        self._grace = grace
        self._end_signal = command.end_signal
        self._owner = command.owner() if command.owner else None
        with log_file.open("ab") as output:
            # The kernel ties a child to the thread that started it: this one lives as long as drkit does.
            nothing = children.NOTHING
            starting = _spawner.submit(children.start, command, nothing, output, output, owner=self._owner)
            self._process = starting.result()
        self.pid = self._process.pid
        self.program = command.program
        self.log_file = log_file
        # One that runs on and on need not move anything.
        unlimited = replace(command, stall_limit=None)
        self._watch = StallWatch(unlimited, self._process, self._owner, self.last_words)

    @property
    def running(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """How it has ended (negative: by that signal), None as long as it runs."""
        return self._process.poll()

    def last_words(self) -> str:
        """The end of its log, for an error message."""
        with self.log_file.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL))
            tail = file.read().decode("utf-8", "replace").strip().splitlines()[-3:]
        return redact(" / ".join(tail))

    def stop(self) -> None:
        """End it: by its command's signal, after `grace` seconds by force; returns when it is gone."""
        if self.running:
            self._process.send_signal(self._end_signal)
            if not children.wait(self._process, self._grace):
                log.warning("%s did not end within %.0f seconds: killed", self.program, self._grace)
        children.kill(self._process)
        self._watch.over()
        if self._owner:
            self._owner.ended(self._process.returncode)
