"""The registry's service around a restore: stopped and started by the site's own commands.

A command's exit code is not believed where what it did can be looked at: a database in which somebody is
still at work has not been left.
"""

from __future__ import annotations

import logging
import shlex
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from drkit.config import Restore
from drkit.database import swap
from drkit.errors import DatabaseBusy, DatabaseUnreachable, DrkitError, Interrupted, ToolFailed
from drkit.stopwatch import Stopwatch
from drkit.tools.postgres import sessions
from drkit.tools.postgres.targets import Target
from drkit.tools.process import execute
from drkit.tools.process.command import Command, Completed, failure, find_program
from drkit.tools.process.stopping import stop_if_asked

log = logging.getLogger(__name__)

_PATIENCE_SECONDS = 10.0
_LOOK_AGAIN_SECONDS = 0.5
_SHOWN_LINES = 200


def require(commands: Restore) -> None:
    """Raise ToolMissing where a command of [restore] names a program that is not there."""
    for name, command in (("stop", commands.stop), ("start", commands.start)):
        if command:
            find_program(shlex.split(command)[0], hint=f"see {name} in [restore]")


@dataclass
class Service:
    """Stops and starts a service; `state` says what has become of it, nothing where it was let be."""

    stop_command: str
    start_command: str
    stopwatch: Stopwatch
    state: str = field(default="", init=False)

    def stop(self, databases: Sequence[Target]) -> None:
        """Run the stop command, if there is one, and see that nobody is in the databases any more.

        Raises ToolFailed, DatabaseBusy: nothing has begun then but stopping.
        """
        if not self.stop_command:
            return
        self.state = "it may be stopped in part"
        with self.stopwatch.stage("stop the service"):
            try:
                _run("stop", self.stop_command)
                for database in databases:
                    _see_that_it_is_left(database)
            except DrkitError as error:
                hint = error.hint or "see stop in [restore]"
                raise type(error)(
                    f"{error.message}; nothing was restored, and the service may be stopped in part",
                    hint=f"{hint}; {self.back}" if self.back else hint,
                ) from None
        self.state = "it is stopped"

    def start(self) -> None:
        """Run the start command, if there is one, now that everything is back; raises ToolFailed."""
        if not self.start_command:
            return
        with self.stopwatch.stage("start the service"):
            try:
                _run("start", self.start_command)
            except (ToolFailed, Interrupted) as error:
                raise type(error)(
                    f"everything is back, but the service does not start: {error.message}",
                    hint=f"see what it says, then run it again: {self.start_command}",
                ) from None
        self.state = "it was stopped and is started again" if self.state else "it was started"

    @property
    def back(self) -> str:
        """How it is started."""
        return f"`{self.start_command}` starts it" if self.start_command else ""


def _run(name: str, command: str) -> None:
    """Run it to its end, and show what it says. Raises ToolFailed.

    A service that it leaves behind may hold its output for ever: that goes to a file, which nobody waits for.
    """
    words = shlex.split(command)
    together = ("sh", "-c", 'exec "$@" 2>&1', "sh", find_program(words[0]), *words[1:])
    with tempfile.TemporaryFile() as output:
        done = execute.into_file(Command(together, called=words[0]), output)
        output.seek(0)
        lines = output.read(1 << 20).decode("utf-8", "replace").splitlines()
    for line in lines[:_SHOWN_LINES]:
        log.warning("%s: %s", name, line)
    if done.code != 0:
        raise failure(Command(tuple(words)), Completed(done.code, b"", "\n".join(lines)))


def _see_that_it_is_left(database: Target) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    try:
        with sessions.connect(swap.maintenance(database)) as session:
            while left := swap.connected(session, database.database):
                if time.monotonic() > deadline:
                    who = "; ".join(one.said for one in left)
                    raise DatabaseBusy(
                        f"the stop command ended well, but {database.where} is still in use: {who}",
                        hint="let it stop these too, or leave out stop: a restore then ends their sessions",
                    )
                stop_if_asked()
                time.sleep(_LOOK_AGAIN_SECONDS)
    except DatabaseUnreachable as error:
        raise DatabaseUnreachable(
            f"after the stop command of [restore] the database server does not answer: {error.message}",
            hint="a restore needs the server: stop what uses it, and not the server itself",
        ) from None
