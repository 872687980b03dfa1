"""Files that are replaced whole, so that no reader ever sees half of one."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def replace_file(path: Path, text: str, *, mode: int = 0o644) -> None:
    """Write `text` beside `path` and rename it over; raises OSError and then leaves `path` as it was.

    The name in between begins with a dot and ends in `.tmp`: nobody takes it for the file itself.
    """
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            # After a power cut a renamed file without its data would be an empty one.
            os.fsync(stream.fileno())
            os.fchmod(stream.fileno(), mode)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
