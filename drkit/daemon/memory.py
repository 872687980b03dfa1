"""When each job last ran, in a file of the state directory: what was missed is told by it after a restart."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from errno import EDQUOT, ENOSPC
from pathlib import Path

from pydantic import TypeAdapter

from drkit.daemon.planner import LastRun
from drkit.errors import ConfigError
from drkit.files import make_directory, replace_file

log = logging.getLogger(__name__)

STATE_FILE = "schedule.json"
_LAST_RUNS = TypeAdapter(dict[str, LastRun])


@dataclass
class Memory:
    """The last run of each job. On a full disk it is kept in memory, and written when there is room again."""

    path: Path
    runs: dict[str, LastRun] = field(default_factory=dict)
    _written: bool = True
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def read(self) -> dict[str, LastRun] | None:
        """What the file says; None where there is none, or none that can be read."""
        try:
            return _LAST_RUNS.validate_json(self.path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            log.warning("cannot read from %s what was missed: a new one is made", self.path)
            return None

    def begin(self, runs: Mapping[str, LastRun]) -> None:
        """Start from these; raises ConfigError where the file cannot be, but not for want of room."""
        self.runs = dict(runs)
        try:
            make_directory(self.path.parent, 0o700, exist_ok=True)
            self._write()
        except OSError as error:
            if error.errno not in (ENOSPC, EDQUOT):
                raise ConfigError(
                    f"cannot write {self.path}: {error.strerror}", hint="see [site] state"
                ) from None
            self._complain(error)

    def keep(self, runs: Mapping[str, LastRun]) -> None:
        """Go on from these."""
        with self._lock:
            self._keep(runs)

    def _keep(self, runs: Mapping[str, LastRun]) -> None:
        self.runs = dict(runs)
        try:
            self._write()
        except OSError as error:
            self._complain(error)

    def note(self, job: str, run: LastRun) -> None:
        """Note that a job has run, unless it is on the schedule no more."""
        with self._lock:
            if job in self.runs:
                # A new one, for another thread may be reading.
                self._keep({**self.runs, job: run})

    def _complain(self, error: OSError) -> None:
        self._written = False
        log.error("cannot note down in %s what has run: %s", self.path, error.strerror)

    def retry(self) -> None:
        """Write what could not be written before, if that is possible by now."""
        if self._written:
            return
        try:
            with self._lock:
                self._write()
        except OSError:
            return
        log.info("%s can be written again", self.path)

    def _write(self) -> None:
        replace_file(self.path, _LAST_RUNS.dump_json(self.runs, indent=1).decode() + "\n")
        self._written = True
