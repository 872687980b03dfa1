"""Harbor in a sandbox: no network but its own loopback, limits, and gone at the end.

What is done is the same whether its parts are containers or processes of this machine; how a part is started
and ended, a runner knows.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

from drkit import tidying
from drkit.errors import CoreRefuses, ToolFailed
from drkit.files import make_directory
from drkit.sandbox.harbor import relay
from drkit.sandbox.harbor.isolation import packets_out, ways_out
from drkit.sandbox.harbor.plan import API_PORT, DATABASE_PORT, HARBOR, Part, Plan
from drkit.tools.harbor_core import Core
from drkit.tools.process import stopping
from drkit.tools.process.command import Command
from drkit.tools.process.server import Server

_START_SECONDS = 60.0
_PAUSE_SECONDS = 0.2


class Runner(Protocol):
    """Starts the parts of Harbor; every method raises ToolFailed."""

    def begin(self, cache: Part, directory: Path) -> int:
        """Start the cache in a new network; returns a process that has that network, by its number here."""

    def give_images(self, layers: str, owner: Path) -> None:
        """Let the registry see the restored images, below a layer of the sandbox's own.

        `layers` are overlayfs's options.
        """

    def start(self, part: Part, directory: Path) -> None:
        """Start a part in that network; `directory` is its own, for its files."""

    def remove(self, name: str) -> None:
        """End a part, and leave nothing of it."""

    def ended(self) -> Mapping[str, int]:
        """The parts that have ended by themselves, with their exit codes."""

    def words(self, name: str) -> str:
        """The last words of a part, without secrets."""

    def stop(self) -> None:
        """End everything, and see that it is gone."""


class Box:
    """Harbor by one plan; `sandbox` is the drill's own directory, `database` the server's socket.

    A core that migrates a large database takes its time; one that hangs is waited for so many seconds.
    """

    def __init__(
        self, runner: Runner, plan: Plan, sandbox: Path, storage: Path, database: Path, patience: float
    ) -> None:
        self._runner = runner
        self._plan = plan
        self._directory = sandbox / "harbor"
        self._storage = storage
        self._database = database
        self._patience = patience
        self._started: set[str] = set()
        self._pid = 0
        self._relay: Server | None = None
        self._starts = 0

    @property
    def has_jobs(self) -> bool:
        """Whether there is a jobservice to start."""
        return self._plan.jobs is not None

    def core(self, host: str) -> Core:
        """How core is asked, whether or not it answers."""
        return Core(self._directory / "api.sock", host)

    def start(self, core: Core) -> None:
        """Start cache, registry and core, and wait until core answers.

        Raises CoreRefuses where core ends by itself, ToolFailed where anything else does not come up.
        """
        # Harbor's user passes through it to its own files, and sees nothing else.
        make_directory(self._directory, 0o711)
        self._pid = self._runner.begin(self._plan.cache, self._own_directory("cache"))
        self._started.add("cache")
        self._all_run()
        self.prove_isolated()
        self._start_relay()
        self._runner.give_images(self._layers(), self._storage)
        self._start(self._plan.registry)
        self.start_core(self._plan.core, core)

    def start_core(self, part: Part, core: Core) -> None:
        """Start a core, in the place of one that runs, and wait until it answers; raises as `start`."""
        if part.name in self._started:
            self._remove(part.name)
        self._start(part)
        end = time.monotonic() + self._patience
        while not self._answers(core):
            self._all_run()
            if time.monotonic() > end:
                raise ToolFailed(
                    f"core does not answer after {self._patience:.0f} seconds: {self._said('core')}",
                    hint="where a migration takes so long, set harbor_timeout in [drill]",
                )
            time.sleep(_PAUSE_SECONDS)

    def start_jobs(self) -> None:
        """Start jobservice, which waits for core by itself; raises ToolFailed."""
        assert self._plan.jobs is not None
        self._start(self._plan.jobs)

    def stop_jobs(self) -> None:
        """End jobservice alone; raises ToolFailed."""
        assert self._plan.jobs is not None
        self._remove(self._plan.jobs.name)

    def look(self) -> None:
        """See that all that was started still runs; raises CoreRefuses or ToolFailed where it does not."""
        self._all_run()

    def prove_isolated(self) -> None:
        """See that the network leads nowhere, and that nothing has left it; raises ToolFailed."""
        of_process = Path(f"/proc/{self._pid}/net")
        try:
            routes, addresses, devices = (
                (of_process / name).read_text() for name in ("route", "if_inet6", "dev")
            )
        except OSError as error:
            raise ToolFailed(f"cannot look at the network of the sandbox: {error.strerror}") from None
        out = ways_out(routes, addresses)
        if out:
            raise ToolFailed(f"the network of Harbor's sandbox has a way out: {', '.join(out)}")
        if packets := packets_out(devices):
            raise ToolFailed(f"{packets} packets have left the network of Harbor's sandbox")

    def stop(self) -> None:
        """Remove everything and see that it is gone; raises ToolFailed."""
        if self._relay is not None:
            self._relay.stop()
        self._runner.stop()

    def _start(self, part: Part) -> None:
        self._runner.start(part, self._own_directory(part.name))
        self._started.add(part.name)

    def _remove(self, name: str) -> None:
        self._started.discard(name)
        self._runner.remove(name)

    def _own_directory(self, name: str) -> Path:
        self._starts += 1
        directory = self._directory / f"{name}-{self._starts}"
        make_directory(directory, 0o711)
        return directory

    def _layers(self) -> str:
        """A writable layer over the restored images, which nobody can write to through it."""
        upper, work = self._directory / "upper", self._directory / "work"
        about = self._storage.stat()
        for path in (upper, work):
            path.mkdir()
            # The root of what is seen is the upper one's.
            os.chown(path, about.st_uid, about.st_gid)
            path.chmod(about.st_mode & 0o7777)
        return f"lowerdir={self._storage},upperdir={upper},workdir={work}"

    def _start_relay(self) -> None:
        socket = self._directory / "api.sock"
        program = (sys.executable, "-I", str(Path(relay.__file__)))
        words = (str(self._database), str(DATABASE_PORT), str(socket), str(API_PORT))
        command = Command(("nsenter", f"--net=/proc/{self._pid}/ns/net", *program, *words))
        self._relay = Server(command, self._directory / "relay.log")
        end = time.monotonic() + _START_SECONDS
        while not socket.exists():
            if not self._relay.running or time.monotonic() > end:
                raise ToolFailed(f"nothing leads into Harbor's sandbox: {self._relay.last_words()}")
            time.sleep(_PAUSE_SECONDS)

    def _answers(self, core: Core) -> bool:
        stopping.stop_if_asked()
        try:
            return core.ask("GET", "/api/v2.0/ping").status == 200
        except ToolFailed:
            return False

    def _all_run(self) -> None:
        """Raise CoreRefuses where core or jobservice has ended, ToolFailed where another part has."""
        for name, code in self._runner.ended().items():
            if name in self._started:
                said = f"{name} ended with exit code {code}: {self._said(name)}"
                own = name in ("core", "jobservice")
                raise CoreRefuses(said) if own else ToolFailed(f"the sandbox's {said}")

    def _said(self, name: str) -> str:
        return self._runner.words(name) or "it said nothing"


@contextlib.contextmanager
def prepared(box: Box) -> Iterator[Box]:
    """A box, in which nothing runs yet, for as long as the block lasts; raises ToolFailed at its end."""
    try:
        yield box
    finally:
        with tidying.undisturbed():
            box.stop()


def write(path: Path, data: bytes, owner: int) -> None:
    """Write a file that its owner alone may read."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        os.fchown(file.fileno(), owner, owner if owner == HARBOR else -1)
