"""Credentials in a file of `KEY=value` lines, such as AWS_ACCESS_KEY_ID=..."""

from __future__ import annotations

import re
from pathlib import Path

from drkit.errors import ConfigError
from drkit.logs import register_secret


def read_credentials(path: Path | None) -> dict[str, str]:
    """The `KEY=value` lines of a file; empty lines and `#` comments are passed over. Raises ConfigError."""
    if path is None:
        return {}
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ConfigError(
            f"cannot read the credentials file {path}: {why}", hint="see credentials_file"
        ) from None
    found = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        key, equals, value = line.strip().removeprefix("export ").partition("=")
        if not equals or not re.fullmatch(r"[A-Z_][A-Z0-9_]*", key):
            raise ConfigError(
                f"{path}, line {number}: not KEY=value", hint="for example AWS_ACCESS_KEY_ID=..."
            )
        found[key] = register_secret(value.strip().strip("'\""))
    return found
