"""What everybody has who plays a part of Harbor's: connections to storage and database."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from testenv import Site
from testenv import site as sites
from testenv.push import Pusher


class Connected:
    """One thread's connections; a context manager."""

    def __init__(self, site: Site) -> None:
        self._pusher = Pusher(site.registry_url)
        self.connection = sites.connect(site)
        self.connection.autocommit = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pusher.__exit__(kind, error, trace)
        self.connection.close()
