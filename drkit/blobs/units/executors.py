"""Two ways to do the same units: in threads of this process, or on the workers of a cluster."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from drkit import config
from drkit.blobs.inventory import Entry
from drkit.blobs.units import worker
from drkit.blobs.units.sources import Source
from drkit.blobs.units.spreading import Spreading
from drkit.blobs.units.unit import Unit, Wrong, cut
from drkit.progress import Meter
from drkit.tools import cluster
from drkit.tools.parallel import for_each
from drkit.tools.process import stopping

# Small ones keep all threads busy to the end; big ones cost a cluster nothing but their beginning.
_LOCAL_UNIT = 64 << 20
CLUSTER_UNIT = 1 << 30
# Is told of each blob what is wrong with it, or None: once, and only when that is certain.
Settle = Callable[[Entry, Wrong | None], object]


@dataclass(frozen=True)
class Shared:
    """Who did the work: how many workers, and in a sentence each those that were not used, or not trusted."""

    scheduler: str
    workers: int
    units: int
    set_aside: tuple[str, ...] = ()


class Executor(Protocol):
    """Somebody who reads blobs."""

    @property
    def shared(self) -> Shared | None:
        """Who else had a part in it; None where this process did all."""

    def read(self, entries: Iterable[Entry], source: Source, settle: Settle, meter: Meter) -> None:
        """Read blobs, sorted by digest, to their end. Nothing is told unless everything was read.

        Raises what the source raises; ClusterFailed, ClusterUnreachable.
        """


@dataclass(frozen=True)
class Threads:
    """So many threads of this process, each with a unit of its own."""

    count: int
    shared: Shared | None = None

    def read(self, entries: Iterable[Entry], source: Source, settle: Settle, meter: Meter) -> None:
        """See Executor: here each blob is told of as soon as it is read, for that stays so whatever comes."""

        def one(unit: Unit) -> None:
            worker.look(source, unit.items, stopping.stop_if_asked, meter.add, settle)

        for_each(cut(entries, _LOCAL_UNIT), one, self.count)


@dataclass
class Spread:
    """The workers of a cluster; `directory` is the run's own."""

    settings: config.Cluster
    directory: Path
    unit: int = CLUSTER_UNIT
    perform: cluster.Function = worker.perform
    shared: Shared | None = field(default=None, init=False)

    def read(self, entries: Iterable[Entry], source: Source, settle: Settle, meter: Meter) -> None:
        """See Executor."""
        units = cut(entries, self.unit)
        first = next(units, None)
        if first is None:
            return
        assert self.settings.scheduler is not None
        address = cluster.Address(
            self.settings.scheduler, self.settings.ca_file, self.settings.cert_file, self.settings.key_file
        )
        path = self.directory / "units.db"
        with (
            cluster.connected(address) as engine,
            contextlib.closing(
                Spreading(engine, self.settings, source, path, meter, self.perform)
            ) as spreading,
        ):
            spreading.run(itertools.chain([first], units))
            for unit, wrong in spreading.results():
                for position, entry in enumerate(unit.items):
                    settle(entry, wrong.get(position))
            self.shared = Shared(
                self.settings.scheduler, spreading.workers, spreading.units, tuple(spreading.set_aside)
            )
        path.unlink()


def executor(settings: config.Cluster, threads: int, directory: Path) -> Executor:
    """The cluster where one is configured, else threads of this process."""
    return Spread(settings, directory) if settings.scheduler else Threads(threads)
