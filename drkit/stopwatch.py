"""How long the stages of a drill or restore take, on the monotonic clock; stages may overlap."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from drkit.model import Stage
from drkit.progress import Listener, Update


class Stopwatch:
    """Runs from the moment it is made; stages are recorded from any thread."""

    def __init__(self, listener: Listener) -> None:
        self._started = time.monotonic()
        self._stages: list[Stage] = []
        self._listener = listener

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return round(time.monotonic() - self._started, 3)

    @property
    def stages(self) -> tuple[Stage, ...]:
        """In the order in which they began."""
        return tuple(sorted(self._stages, key=lambda stage: stage.started))

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stretch, also one that ends in an error."""
        began = self.seconds
        self._listener(Update(name))
        try:
            yield
        finally:
            self._stages.append(Stage(name, began, round(self.seconds - began, 3)))
            self._listener(Update(name, finished=True))
