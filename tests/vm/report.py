"""The report on the machine's second serial line, which the host reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_LINE = Path("/dev/ttyS1")


def tell(**what: Any) -> None:
    """A line of the report, as JSON."""
    with _LINE.open("w", encoding="utf-8") as line:
        line.write(json.dumps(what) + "\n")


def say(text: str) -> None:
    """Something that is worth knowing and may be either way."""
    tell(said=text)
