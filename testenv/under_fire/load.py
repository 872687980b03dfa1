"""Everything that happens to the registry at once, in threads that end when they are told to."""

from __future__ import annotations

import contextlib
import datetime
import threading
from random import Random
from typing import TYPE_CHECKING

import psycopg

from testenv import people
from testenv import site as sites
from testenv.filling import BucketRestore
from testenv.under_fire import migrations
from testenv.under_fire.clients import PROJECTS, Client
from testenv.under_fire.collector import Collector
from testenv.under_fire.core import Core
from testenv.under_fire.traffic import Traffic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from testenv.site import Site

_CLIENTS = 3
_WINDOW = 2.0


class Load:
    """Clients, a collector and migrations; `what` went wrong in a thread is raised when the load ends."""

    def __init__(self, site: Site, traffic: Traffic, seed: int) -> None:
        self._site, self.traffic, self._seed = site, traffic, seed
        # What else happens keeps step with backups, so that on a slow machine not every one is disturbed.
        self.backup_seconds = 3.0
        self._over = threading.Event()
        self._failures: list[BaseException] = []
        self._threads: list[threading.Thread] = []

    def start(self, *, collector: bool, migrator: bool) -> None:
        """Start the threads."""
        make_projects(self._site)
        work: list[Callable[[Random], None]] = [self._client] * _CLIENTS
        work += [self._collector] * collector + [self._migrator] * migrator
        for number, run in enumerate(work):
            random = Random(f"{self._seed} {number}")
            thread = threading.Thread(target=self._guarded, args=(run, random), name=f"load-{number}")
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """End all threads, and raise what one of them met."""
        self._over.set()
        for thread in self._threads:
            thread.join()
        if self._failures:
            raise self._failures[0]

    @property
    def failed(self) -> bool:
        """Whether a thread has ended before its time."""
        return bool(self._failures)

    def pause(self, seconds: float) -> None:
        """Let it go on for a while; shorter if a thread fails."""
        self._over.wait(seconds)

    def _guarded(self, run: Callable[[Random], None], random: Random) -> None:
        try:
            run(random)
        except BaseException as error:  # noqa: BLE001 - it is raised again by `stop`
            self._failures.append(error)
            self._over.set()

    def _client(self, random: Random) -> None:
        with Core(self._site, self.traffic) as core:
            client = Client(core, random, f"{self._seed}-{random.random()}")
            while not self._over.wait(random.uniform(0.02, 0.2)):
                self._attempt(client.act)

    def _collector(self, random: Random) -> None:
        with Collector(self._site, self.traffic, window=_WINDOW, pause=0.002) as collector:
            while not self._over.wait(random.uniform(2.0, 6.0) * self.backup_seconds):
                if self._attempt(collector.collect):
                    self.traffic.count("garbage collections")

    def _migrator(self, random: Random) -> None:
        with sites.connect(self._site) as connection:
            connection.autocommit = True
            while not self._over.wait(random.uniform(1.0, 5.0) * self.backup_seconds):
                # Some wait for their locks as long as it takes, as Harbor's own do; some hold them for long.
                patience = random.choice(("0", "0", "1s"))
                hold = random.choice((0.0, 0.0, 0.3, 1.5))

                def act(hold: float = hold, patience: str = patience) -> None:
                    migrations.migrate(connection, hold=hold, patience=patience)

                if self._attempt(act):
                    self.traffic.count("schema changes")

    def _attempt(self, act: Callable[[], object]) -> bool:
        """Whether it was done: deadlocks and locks that do not come are part of such a life."""
        try:
            act()
        except psycopg.OperationalError as error:
            if error.sqlstate is None:
                raise
            self.traffic.count(f"given up: {type(error).__name__}")
            return False
        return True


@contextlib.contextmanager
def under_load(site: Site, seed: int = 1, *, collector: bool = True, migrator: bool = True) -> Iterator[Load]:
    """A site that is busy until the block ends."""
    load = Load(site, Traffic(), seed)
    load.start(collector=collector, migrator=migrator)
    try:
        yield load
    finally:
        load.stop()


def make_projects(site: Site) -> None:
    """The projects that clients push to, where they are not there yet."""
    with sites.connect(site) as connection:
        now = datetime.datetime.now(datetime.UTC)
        filling = BucketRestore(
            connection, Random("projects"), now, site.planted["secret key"], dict(site.planted)
        )
        for name in PROJECTS:
            if not connection.execute("SELECT 1 FROM project WHERE name = %s", (name,)).fetchone():
                people.project(filling, name, [1], [], 0)
