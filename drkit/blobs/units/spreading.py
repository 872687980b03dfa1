"""One run of units on the workers of a cluster, from the first to the last that is certain."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from drkit import __version__, config
from drkit.blobs.units import canary, messages, worker
from drkit.blobs.units.canary import Canary
from drkit.blobs.units.dispatch import Dispatch, Failed, Order, Rules
from drkit.blobs.units.spool import Planned, Spool
from drkit.blobs.units.unit import DONE, Done, Outcome, Unit
from drkit.blobs.units.work import Work
from drkit.errors import ClusterFailed
from drkit.progress import Meter
from drkit.tools.cluster import Answer, Cluster, Function
from drkit.tools.process import stopping

log = logging.getLogger(__name__)

# How often the scheduler is asked for its workers, and how long an answer is waited for before that.
_LOOK_SECONDS = 1.0
_WAIT_SECONDS = 0.2
# So many units of which nothing can be read may come before the first that can.
_BARREN = 256
_HINT = "see the logs of the workers; `--cluster local` does without the cluster this once"
_HUNG = "if they are only slow, give them longer: slow_after in [cluster]"


class Spreading:
    """The state of one run; `path` is a new file for what must be remembered."""

    def __init__(
        self,
        engine: Cluster,
        settings: config.Cluster,
        work: Work,
        path: Path,
        meter: Meter,
        perform: Function,
    ) -> None:
        self.units = 0
        self.set_aside: list[str] = []
        self._engine = engine
        self._settings = settings
        self._work = work
        self._place = work.place(files=settings.credentials == "files")
        self._meter = meter
        self._perform = perform
        self._spool = Spool(path)
        self._dispatch = Dispatch(Rules(slow_after=settings.slow_after.total_seconds()))
        self._sizes: dict[int, int] = {}
        # Of a service that repeats itself nobody learns which blob is asked for with a wrong size.
        self._dice = random.SystemRandom()
        self._last: Canary | None = None
        # Units of which no blob can be read here wait for another's canary; without any this machine does
        # them.
        self._barren: list[Unit] = []
        self._more = True
        self._looked = self._seen = 0.0

    @property
    def workers(self) -> int:
        """How many workers have done something that counts."""
        return len(set(self._dispatch.done.values()))

    def close(self) -> None:
        """Close the file."""
        self._spool.close()

    def worker_of(self, unit: Unit) -> str | None:
        """Who has done a unit; None where this machine has."""
        return self._dispatch.done.get(unit.number)

    def results(self) -> Iterator[tuple[Unit, dict[int, Outcome]]]:
        """Every unit with what came of it, when the run has ended well."""
        return self._spool.results()

    def run(self, units: Iterator[Unit]) -> None:
        """Have every unit done by a worker that is trusted.

        Raises ClusterFailed where one fails three times, or where no worker comes; ClusterUnreachable.
        """
        self._seen = time.monotonic()
        while self._more or not self._dispatch.is_whole:
            stopping.stop_if_asked()
            self._look_at_workers()
            self._fill(units)
            answer = self._engine.answer(_WAIT_SECONDS)
            while answer is not None:
                self._take(answer)
                self._fill(units)
                answer = self._engine.answer(0)
            self._refuse(self._dispatch.failed or self._dispatch.hanging(time.monotonic()))

    def _fill(self, units: Iterator[Unit]) -> None:
        """Give every worker as much as it has room for: an answer is waited for only then."""
        self._give()
        while self._more and self._dispatch.hungry:
            stopping.stop_if_asked()
            unit = next(units, None)
            if unit is None:
                self._more = False
                self._do_barren()
            else:
                self._plan(unit)
            self._give()

    def _look_at_workers(self) -> None:
        now = time.monotonic()
        if now - self._looked < _LOOK_SECONDS:
            return
        self._looked = now
        there = {worker.address: worker.threads for worker in self._engine.workers()}
        for gone in self._dispatch.workers - there.keys():
            log.warning("the worker %s has gone: its units are done elsewhere", gone)
            for order in self._dispatch.lose(gone, "it has gone"):
                self._engine.end(order)
        for address, threads in there.items():
            # One more than it can do at once, so that none of its threads waits for us.
            self._dispatch.join(address, threads + 1)
        if self._dispatch.workers:
            self._seen = now
        elif self.set_aside or now - self._seen > self._settings.worker_wait.total_seconds():
            which = f": {'; '.join(self.set_aside[:3])}" if self.set_aside else ""
            raise ClusterFailed(
                f"the scheduler at {self._engine.address.scheduler} has no worker that can be used{which}",
                hint="start workers with the same drkit as this machine has; see docs/cluster.md",
            )

    def _plan(self, unit: Unit) -> None:
        planted = self._canary(unit)
        if planted is None:
            self._barren.append(unit)
            if len(self._barren) >= _BARREN:
                self._do_barren()
            return
        self.units += 1
        self._sizes[unit.number] = unit.bytes
        self._spool.add(unit, planted)
        self._dispatch.add(unit.number, unit.bytes)
        waiting, self._barren = self._barren, []
        for each in waiting:
            self._plan(each)

    def _canary(self, unit: Unit) -> Canary | None:
        """One of the unit's own blobs; of another's, where this unit has none that can be read."""
        found = canary.plant(unit, self._work.head, self._dice)
        if found is not None:
            self._last = found
        elif self._last is not None:
            found = self._last._replace(position=self._dice.randrange(len(unit.items) + 1))
        return found

    def _do_barren(self) -> None:
        """Do what nobody can be checked by: what has two bytes or more, and can be read, is not in there."""
        waiting, self._barren = self._barren, []
        for unit in waiting:
            self.units += 1
            self._spool.keep(unit, worker.do(self._work, unit.items, stopping.stop_if_asked, self._meter.add))

    def _give(self) -> None:
        while (order := self._dispatch.next(time.monotonic())) is not None:
            planned = self._spool.get(order.unit)
            message = messages.ask(self._place, planned.canary.planted(planned.unit))
            self._engine.begin(order, self._perform, message, order.worker)

    def _take(self, answer: Answer) -> None:
        order = answer.call
        assert isinstance(order, Order)
        if not self._dispatch.is_running(order):
            return
        planned = self._spool.get(order.unit)
        if answer.error:
            if answer.unknown:
                self._set_aside(order.worker, f"it lacks drkit {__version__}, or part of it: {answer.error}")
            else:
                self._dispatch.fail(order, answer.error)
            return
        try:
            said = messages.replied(answer.data, len(planned.unit.items) + 1)
        except ValueError as error:
            self._dispatch.fail(order, f"its answer is none: {error}")
            return
        if said.refused:
            self._set_aside(order.worker, f"it has drkit {said.refused}, and this machine {__version__}")
        elif said.failed:
            self._dispatch.fail(order, said.failed)
        else:
            self._judge(order, planned, dict(said.found))

    def _judge(self, order: Order, planned: Planned, found: dict[int, Outcome]) -> None:
        position = planned.canary.position
        if not planned.canary.is_answered(found.pop(position, DONE)):
            self._mistrust(order, planned)
            return
        own = {place - (place > position): each for place, each in found.items()}
        if not self._stands(planned.unit, own):
            self._set_aside(
                order.worker,
                "a blob that it has stored is not there, as this machine sees it; nothing that it did counts",
            )
            return
        self._spool.found(order.unit, own)
        for other in self._dispatch.finish(order, time.monotonic()):
            self._engine.end(other)
        self._meter.add(self._sizes[order.unit])

    def _stands(self, unit: Unit, found: Mapping[int, Outcome]) -> bool:
        """Whether this machine sees what was made of one of the blobs, any of them."""
        made = [(each, found.get(place, DONE)) for place, each in enumerate(unit.items)]
        done = [(each, outcome) for each, outcome in made if isinstance(outcome, Done)]
        return not done or self._work.stands(*self._dice.choice(done))

    def _mistrust(self, order: Order, planned: Planned) -> None:
        """A worker has not read what this machine has read; unless that has changed since."""
        if not canary.still_holds(planned.canary, self._work.head):
            self._last = None
            self._spool.add(planned.unit, self._canary(planned.unit) or planned.canary)
            self._dispatch.fail(order, "the blob that was planted has changed meanwhile")
            # Who does it as well was asked about the old one.
            for other in self._dispatch.withdraw(order.unit):
                self._engine.end(other)
            return
        self._set_aside(
            order.worker,
            "it answered wrongly for a planted blob, as who reads other storage; nothing that it did counts",
        )

    def _set_aside(self, worker: str, why: str) -> None:
        """Give nothing to a worker any more, and what it has done to others."""
        said = f"the worker {worker} was set aside: {why}"
        log.warning("%s", said)
        self.set_aside.append(said)
        for order in self._dispatch.set_aside(worker):
            self._engine.end(order)
        for unit in self._dispatch.take_back(worker):
            self._meter.add(-self._sizes[unit])
            self._dispatch.add(unit, self._sizes[unit])

    def _refuse(self, failed: Failed | None) -> None:
        if failed is None:
            return
        unit = self._spool.get(failed.unit).unit
        raise ClusterFailed(
            f"{unit.name} failed {len(failed.reasons)} times, at last: {failed.reasons[-1]}",
            hint=f"{_HUNG}; {_HINT}" if failed.hung else _HINT,
        )
