"""Harbor's parts as processes of this machine, where its programs are installed.

Each has what docker would give it: the sandbox's network, process numbers and mounts of its own, limits, and
none of root's powers. It does not see production's files, nor anybody's sockets in /run: a name service's
would be a way out. It ends with drkit, even where that is killed; and bears the sandbox's name in its
environment, by which the next drill finds what should be left all the same.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from drkit.errors import ToolFailed
from drkit.files import make_directory
from drkit.sandbox import labelled
from drkit.sandbox.harbor import network
from drkit.sandbox.harbor.box import write
from drkit.sandbox.harbor.plan import CACHE_PORT, HARBOR, Part, Places
from drkit.sandbox.harbor.programs import Programs
from drkit.sandbox.hiding import Hidden
from drkit.tools.process.command import Command
from drkit.tools.process.server import Server

_SOCKETS = Path("/run")
_PROCESSORS = 2
# Of a file that a part writes, its log for example.
_LARGEST_FILE = 256 << 20
_START_SECONDS = 60.0
_PAUSE_SECONDS = 0.1


class Processes:
    """The processes of one sandbox; `hidden` is what they do not see of this machine."""

    def __init__(self, programs: Programs, sandbox: Path, places: Places, hidden: Hidden) -> None:
        self._programs = programs
        self._sandbox = sandbox
        self._places = places
        self._servers: dict[str, Server] = {}
        self._holder: Server | None = None
        self._layers = ""
        if sandbox.resolve().is_relative_to(_SOCKETS.resolve()):
            raise ToolFailed(
                f"Harbor's programs see nothing of {_SOCKETS}, and the sandbox {sandbox} is there",
                hint="set directory in [drill] to another path",
            )
        elsewhere = (path for path in hidden.paths if not path.is_relative_to(_SOCKETS.resolve()))
        self._hidden = Hidden((*elsewhere, _SOCKETS.resolve()))

    def begin(self, cache: Part, directory: Path) -> int:
        """Make a network, and start the cache in it."""
        ready, log = directory / "ready", directory / "network.log"
        words = ("unshare", "--net", "--", sys.executable, "-I", str(Path(network.__file__)), str(ready))
        self._holder = Server(Command(words, labelled.environment(self._sandbox)), log)
        end = time.monotonic() + _START_SECONDS
        while not ready.exists():
            if not self._holder.running or time.monotonic() > end:
                raise ToolFailed(f"there is no network for Harbor's sandbox: {self._holder.last_words()}")
            time.sleep(_PAUSE_SECONDS)
        self.start(cache, directory)
        return self._holder.pid

    def give_images(self, layers: str, owner: Path) -> None:
        """Keep it for the registry, which mounts it for itself."""
        if "\\" in layers or layers.count(",") != 2 or ":" in layers:
            raise ToolFailed(
                f"nothing can be laid over {owner}: there is a special character in it",
                hint="set directory in [drill] to another path",
            )
        self._layers = layers

    def start(self, part: Part, directory: Path) -> None:
        """Write its files, which a part before it of that name may have had, and start it."""
        for place in map(Path, part.empty_directories):
            make_directory(place.parent, 0o711, exist_ok=True)
            place.mkdir(exist_ok=True)
            os.chown(place, HARBOR, HARBOR)
        for file in part.files:
            target = Path(file.target)
            make_directory(target.parent, 0o711, exist_ok=True)
            target.unlink(missing_ok=True)
            write(target, file.data, file.owner)
        temporary = directory / "tmp"
        temporary.mkdir()
        os.chown(temporary, HARBOR, HARBOR)
        server = Server(self._command(part, temporary), directory / "log")
        self._servers[part.name] = server
        self._prove_hidden(server)

    def remove(self, name: str) -> None:
        """End a process, and all that it started: it is the first of its own process numbers."""
        self._servers.pop(name).stop()

    def ended(self) -> Mapping[str, int]:
        """As the kernel says."""
        codes = {name: server.exit_code for name, server in self._servers.items()}
        return {name: code for name, code in codes.items() if code is not None}

    def words(self, name: str) -> str:
        """The end of its log."""
        return self._servers[name].last_words()

    def stop(self) -> None:
        """End everything, the network last, and see that nothing bears the sandbox's name any more."""
        for server in reversed(self._servers.values()):
            server.stop()
        if self._holder is not None:
            self._holder.stop()
        labelled.release(self._sandbox)

    def _command(self, part: Part, temporary: Path) -> Command:
        assert self._holder is not None
        processors = sorted(os.sched_getaffinity(0))[:_PROCESSORS]
        limits = (f"--data={part.memory}", f"--fsize={_LARGEST_FILE}", "--core=0")
        rights = ("--clear-groups", "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all")
        around = (
            *("nsenter", f"--net=/proc/{self._holder.pid}/ns/net", "--"),
            *("taskset", "--cpu-list", ",".join(map(str, processors))),
            *("prlimit", *limits, "--"),
            *("unshare", "--pid", "--fork", "--kill-child=KILL", "--mount-proc", "--"),
            # The tie to what started it does not outlive the change of its user.
            *("setpriv", f"--reuid={HARBOR}", f"--regid={HARBOR}", *rights, "--pdeathsig=KILL", "--"),
        )
        program, words = self._program(part.name)
        return Command(
            (*around, str(program), *words),
            {**part.environment, "TMPDIR": str(temporary), **labelled.environment(self._sandbox)},
            # Core looks for its migrations and views where it is.
            directory=program.parent if part.name == "core" else temporary,
            mounts=(*self._hidden.mounts, *self._storage(part)),
            called=part.name,
            # Nothing of it is kept; and the process that waits for it would let no other signal through.
            end_signal=signal.SIGKILL,
        )

    def _storage(self, part: Part) -> Iterator[tuple[str, ...]]:
        if part.storage:
            place = Path(self._places.storage)
            place.mkdir(exist_ok=True)
            yield ("mount", "-t", "overlay", "-o", self._layers, "overlay", str(place))

    def _program(self, name: str) -> tuple[Path, tuple[str, ...]]:
        programs, places = self._programs, self._places
        match name:
            case "cache":
                alone = ("--bind", "127.0.0.1", "--protected-mode", "no", "--save", "", "--appendonly", "no")
                return programs.cache, ("--port", str(CACHE_PORT), *alone, "--dir", places.cache)
            case "registry":
                return programs.registry, ("serve", f"{places.registry}/config.yml")
            case "jobservice":
                assert programs.jobservice is not None
                return programs.jobservice, ("-c", f"{places.jobs}/config.yml")
            case _:
                return programs.core, ()

    def _prove_hidden(self, server: Server) -> None:
        """See that its mounts are in place, once it has come so far; raises ToolFailed."""
        end = time.monotonic() + _START_SECONDS
        while server.running:
            try:
                return self._hidden.prove(server.pid)
            except ToolFailed:
                if time.monotonic() > end:
                    raise
                time.sleep(_PAUSE_SECONDS)
        return None
