"""drkit's scheduler with a clock that a test can set: days pass when a file says so.

`python -m tests.e2e.leaping CONFIG FILE`: the file has the number of days that the clock is ahead.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from drkit import logs
from drkit.cli.run import Options, Run
from drkit.cli.unattended import run_scheduler


def main(config: str, file: str) -> None:
    def clock() -> datetime:
        return datetime.now(UTC) + timedelta(days=float(Path(file).read_text()))

    logs.set_up("scheduler", verbose=False)
    run_scheduler(Run(Options(Path(config), verbose=False)), clock)


if __name__ == "__main__":
    main(*sys.argv[1:])
