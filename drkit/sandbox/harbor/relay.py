"""The one way between a sandbox's network and this machine: two sockets, by name; a program of its own.

It runs in the network of the containers, which has nothing but its loopback. There it listens for core, which
wants PostgreSQL at an address, and hands that on to the socket of the sandbox's server; and it listens at a
socket in the sandbox's directory, and hands what drkit asks there on to core. Nothing else comes in or out.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Awaitable, Callable

_PIECE = 1 << 16
_Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def main(words: list[str]) -> None:
    """`DATABASE_SOCKET DATABASE_PORT API_SOCKET API_PORT`; runs until it is ended."""
    database, database_port, api, api_port = words
    os.umask(0o077)
    asyncio.run(_serve(database, int(database_port), api, int(api_port)))


async def _serve(database: str, database_port: int, api: str, api_port: int) -> None:
    to_database = _relay(lambda: asyncio.open_unix_connection(database))
    to_core = _relay(lambda: asyncio.open_connection("127.0.0.1", api_port))
    inside = await asyncio.start_server(to_database, "127.0.0.1", database_port)
    outside = await asyncio.start_unix_server(to_core, api)
    await asyncio.gather(inside.serve_forever(), outside.serve_forever())


def _relay(
    reach: Callable[[], Awaitable[_Streams]],
) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await reach()
        except OSError:
            # As if nobody were there: nobody is.
            writer.close()
            return
        try:
            await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
        finally:
            far_writer.close()
            writer.close()

    return serve


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One direction, to its end; then the other side is told that nothing more comes."""
    with contextlib.suppress(OSError):
        while piece := await reader.read(_PIECE):
            writer.write(piece)
            await writer.drain()
    with contextlib.suppress(OSError):
        if writer.can_write_eof():
            writer.write_eof()


if __name__ == "__main__":
    main(sys.argv[1:])
