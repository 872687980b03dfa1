"""A repository's REST server, asked for what restic itself has no command for (restic's "REST Backend")."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import unquote

from drkit.errors import ToolFailed
from drkit.tools.deadline import within

if TYPE_CHECKING:
    import httpx

_SECONDS = 20.0


def request(
    method: str, address: str, path: str, credentials: Mapping[str, str], content: bytes | None = None
) -> httpx.Response:
    """The server's answer for a path below `address` (`rest:` is cut off); raises ToolFailed without one."""
    import httpx

    found = re.fullmatch(r"(?:rest:)?(https?://)(?:([^/@]*)@)?(.*)", address)
    if found is None:
        raise ToolFailed("the address of its server is not understood")
    user, _, password = (found[2] or "").partition(":")
    user = unquote(user) or credentials.get("RESTIC_REST_USERNAME", "")
    password = unquote(password) or credentials.get("RESTIC_REST_PASSWORD", "")
    try:
        return within(
            _SECONDS,
            lambda: httpx.request(
                method,
                f"{found[1]}{found[3].rstrip('/')}/{path}",
                content=content,
                auth=(user, password) if user else None,
                verify=credentials.get("RESTIC_CACERT") or True,
                timeout=_SECONDS,
            ),
        )
    except (httpx.HTTPError, OSError) as error:
        raise ToolFailed(f"its server did not answer: {error}") from None
