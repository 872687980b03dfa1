"""Which bytes a request asks for (RFC 9110, 14.2): pure."""

from __future__ import annotations

import re

_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


def start_of(header: str | None, size: int) -> tuple[int, int] | None:
    """First byte and the one after the last, of a `Range` header for something of this size.

    None where there is no such header, or one that a server may pass over (RFC 9110, 14.2); raises
    ValueError where no byte of it is there.
    """
    found = _RANGE.fullmatch(header or "")
    if not found:
        return None
    first = int(found[1])
    end = min(int(found[2]) + 1, size) if found[2] else size
    if first >= end:
        raise ValueError(header)
    return first, end
