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
from drkit.blobs.units.appeal import Appeal
from drkit.blobs.units.spreading import Spreading
from drkit.blobs.units.unit import DONE, Outcome, Unit, cut
from drkit.blobs.units.work import Work
from drkit.model import Shared
from drkit.progress import Meter
from drkit.tools import cluster
from drkit.tools.parallel import for_each
from drkit.tools.process import stopping

# Small ones keep all threads busy to the end; big ones cost a cluster nothing but their beginning.
_LOCAL_UNIT = 16 << 20
CLUSTER_UNIT = 1 << 30
# Is told of each blob what came of it: once, and only when that is certain.
Settle = Callable[[Entry, Outcome], object]


class Executor(Protocol):
    """Somebody who does work on blobs."""

    @property
    def shared(self) -> Shared | None:
        """Who else had a part in it; None where this process did all."""

    def run(self, entries: Iterable[Entry], work: Work, settle: Settle, meter: Meter) -> None:
        """Do it with every blob, sorted by digest. It ends well only if it was done with all of them.

        Raises what the work raises; ClusterFailed, ClusterUnreachable.
        """


@dataclass(frozen=True)
class Threads:
    """So many threads of this process, each with a unit of its own."""

    count: int
    shared: Shared | None = None

    def run(self, entries: Iterable[Entry], work: Work, settle: Settle, meter: Meter) -> None:
        """See Executor: here each blob is told of as soon as it is done, for that stays so whatever comes."""

        def one(unit: Unit) -> None:
            worker.do(work, unit.items, stopping.stop_if_asked, meter.add, settle=settle)

        for_each(cut(entries, _LOCAL_UNIT), one, self.count)


@dataclass
class Spread:
    """The workers of a cluster; `directory` is the run's own."""

    settings: config.Cluster
    directory: Path
    unit: int = CLUSTER_UNIT
    perform: cluster.Function = worker.perform
    shared: Shared | None = field(default=None, init=False)

    def run(self, entries: Iterable[Entry], work: Work, settle: Settle, meter: Meter) -> None:
        """See Executor: here blobs are told of when all units are done, by workers that are trusted."""
        units = cut(entries, self.unit)
        first = next(units, None)
        if first is None:
            return
        assert self.settings.scheduler is not None
        address = cluster.Address(
            self.settings.scheduler, self.settings.ca_file, self.settings.cert_file, self.settings.key_file
        )
        path = self.directory / "units.db"
        path.unlink(missing_ok=True)
        with (
            cluster.connected(address) as engine,
            contextlib.closing(
                Spreading(engine, self.settings, work, path, meter, self.perform)
            ) as spreading,
        ):
            spreading.run(itertools.chain([first], units))
            appeal = Appeal(work)
            for unit, found in spreading.results():
                by = spreading.worker_of(unit)
                for position, entry in enumerate(unit.items):
                    settle(entry, appeal.outcome(entry, found.get(position, DONE), by))
            said = (*spreading.set_aside, *appeal.sentences)
            self.shared = Shared(self.settings.scheduler, spreading.workers, spreading.units, said)
        path.unlink()


def executor(settings: config.Cluster, threads: int, directory: Path) -> Executor:
    """The cluster where one is configured, else threads of this process."""
    return Spread(settings, directory) if settings.scheduler else Threads(threads)
