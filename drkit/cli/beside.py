"""What runs beside the schedule while a configuration is in force: reviews, and pages to be looked at."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from drkit.daemon.beside import Periodic

if TYPE_CHECKING:
    from drkit.config import Config


@contextlib.contextmanager
def services(settings: Config, config_path: Path) -> Iterator[Sequence[Periodic]]:
    """Start it; what is given is to be done periodically, until the scheduler or its configuration ends.

    Raises DrkitError where it cannot start: that is told, and the schedule is kept all the same.
    """
    del settings, config_path
    yield ()
