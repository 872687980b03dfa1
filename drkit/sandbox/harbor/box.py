"""Harbor's containers in a sandbox: no network but their own loopback, limits, and gone at the end."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from drkit import tidying
from drkit.errors import CoreRefuses, DockerLacks, ToolFailed
from drkit.files import make_directory
from drkit.sandbox import container as containers
from drkit.sandbox.harbor import relay
from drkit.sandbox.harbor.isolation import packets_out, ways_out
from drkit.sandbox.harbor.plan import API_PORT, DATABASE_PORT, HARBOR, Container, Plan
from drkit.tools import docker
from drkit.tools.harbor_core import Core
from drkit.tools.process import stopping
from drkit.tools.process.command import Command
from drkit.tools.process.server import Server

# docker's label of what belongs to Harbor, beside that of the drill.
PART = "harbor"
_STORAGE = "/storage"
# A core that migrates a large database takes its time; one that hangs is not waited for for ever.
CORE_SECONDS = 600.0
_START_SECONDS = 60.0
_PAUSE_SECONDS = 0.2
_LAST_LINES = 5
_PROCESSORS = 2
# What docker's volume options would take for their own.
_SPECIAL = ',:\\"'


class Box:
    """The containers of one plan; `sandbox` is the drill's own directory, `database` the server's socket."""

    def __init__(self, plan: Plan, sandbox: Path, storage: Path, database: Path) -> None:
        self._plan = plan
        self._sandbox = sandbox
        self._storage = storage
        self._database = database
        self._directory = sandbox / "harbor"
        self._ids: dict[str, str] = {}
        self._pid = 0
        self._relay: Server | None = None
        self._starts = 0

    def core(self, host: str) -> Core:
        """How core is asked, whether or not it answers."""
        return Core(self._directory / "api.sock", host)

    def start(self, core: Core) -> None:
        """Start everything and wait until core answers.

        Raises CoreRefuses where core ends by itself, ToolFailed where anything else does not come up.
        """
        containers.mark(self._sandbox)
        # Harbor's user passes through it to its own files, and sees nothing else.
        make_directory(self._directory, 0o711)
        self._run(self._plan.cache, "none")
        self._all_run()
        self._pid = int(docker.ask("inspect", "--format={{.State.Pid}}", self._ids["cache"]).strip())
        self.prove_isolated()
        self._start_relay()
        self._mount_images()
        self._run(self._plan.registry, self._shared)
        self.start_core(self._plan.core, core)

    def start_core(self, container: Container, core: Core) -> None:
        """Start a core, in the place of one that runs, and wait until it answers; raises as `start`."""
        if "core" in self._ids:
            docker.ask("rm", "--force", "--volumes", self._ids.pop("core"))
        self._run(container, self._shared)
        end = time.monotonic() + CORE_SECONDS
        while not self._answers(core):
            self._all_run()
            if time.monotonic() > end:
                raise ToolFailed(
                    f"core does not answer after {CORE_SECONDS:.0f} seconds: {self._words('core')}"
                )
            time.sleep(_PAUSE_SECONDS)

    def prove_isolated(self) -> None:
        """See that the containers' network leads nowhere, and that nothing has left it; raises ToolFailed."""
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
        containers.release(self._sandbox, PART)

    @property
    def _shared(self) -> str:
        return f"container:{self._ids['cache']}"

    def _run(self, container: Container, network: str) -> None:
        words = self._words_for(container, network)
        try:
            # Cut off in between, docker's daemon would make a container that nobody knows of.
            with tidying.undisturbed():
                made = docker.ask("create", *words, tidying=True).strip()
            stopping.stop_if_asked()
        except DockerLacks as error:
            raise ToolFailed(f"there is no image {container.image} any more: {error.message}") from None
        self._ids[container.name] = made
        docker.ask("start", made)

    def _words_for(self, container: Container, network: str) -> list[str]:
        self._starts += 1
        directory = self._directory / f"{container.name}-{self._starts}"
        make_directory(directory, 0o711)
        words = [
            f"--name=drkit-{self._sandbox.name}-{container.name}-{self._starts}",
            *self._labels,
            f"--network={network}",
            *("--pull=never", "--restart=no", "--no-healthcheck", "--pids-limit=1024"),
            f"--cpus={min(_PROCESSORS, os.cpu_count() or 1)}",
            *(f"--memory={container.memory}", f"--memory-swap={container.memory}"),
            # The files are drkit's own: no label of SELinux's would let a container read them.
            *("--cap-drop=ALL", "--security-opt=no-new-privileges", "--security-opt=label=disable"),
            *(f"--cap-add={name}" for name in container.capabilities),
            *("--log-driver=json-file", "--log-opt=max-size=8m"),
            *(f"--tmpfs={place}:mode=1777" for place in container.empty_directories),
        ]
        for number, file in enumerate(container.files):
            source = directory / f"file-{number}"
            _write(source, file.data, file.owner)
            words.append(f"--mount=type=bind,source={source},target={file.target},readonly")
        if container.storage:
            words.append(f"--mount=type=volume,source={self._volume},target={_STORAGE},volume-nocopy")
        if container.environment:
            variables = directory / "environment"
            lines = "".join(f"{name}={value}\n" for name, value in container.environment.items())
            _write(variables, lines.encode(), os.geteuid())
            words.append(f"--env-file={variables}")
        return [*words, container.image]

    @property
    def _labels(self) -> tuple[str, str]:
        return f"--label={containers.LABEL}={self._sandbox.name}", f"--label={containers.PART}={PART}"

    @property
    def _volume(self) -> str:
        return f"drkit-{self._sandbox.name}-images"

    def _mount_images(self) -> None:
        """Let docker lay a writable layer over the restored images, which nobody can write to through it."""
        upper, work = self._directory / "upper", self._directory / "work"
        about = self._storage.stat()
        for path in (upper, work):
            path.mkdir()
            # The root of what is seen is the upper one's.
            os.chown(path, about.st_uid, about.st_gid)
            path.chmod(about.st_mode & 0o7777)
        if any(letter in f"{self._storage}{upper}" for letter in _SPECIAL):
            raise ToolFailed(
                f"docker mounts nothing from {self._storage}: there is a special character in it",
                hint="set directory in [drill] to another path",
            )
        layers = f"o=lowerdir={self._storage},upperdir={upper},workdir={work}"
        options = ("--driver=local", "--opt=type=overlay", "--opt=device=overlay", f"--opt={layers}")
        docker.ask("volume", "create", *self._labels, *options, self._volume)

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
        """Raise CoreRefuses where core has ended, ToolFailed where another container has."""
        states = docker.ask("inspect", "--format={{.State.Running}} {{.State.ExitCode}}", *self._ids.values())
        for name, state in zip(self._ids, states.splitlines(), strict=True):
            runs, code = state.split()
            if runs != "true":
                said = f"{name} ended with exit code {code}: {self._words(name)}"
                raise CoreRefuses(said) if name == "core" else ToolFailed(f"the sandbox's {said}")

    def _words(self, name: str) -> str:
        return docker.logs(self._ids[name], _LAST_LINES) or "it said nothing"


@contextlib.contextmanager
def prepared(plan: Plan, sandbox: Path, storage: Path, database: Path) -> Iterator[Box]:
    """A box for as long as the block lasts, in which nothing runs yet; raises ToolFailed at its end."""
    box = Box(plan, sandbox, storage, database)
    try:
        yield box
    finally:
        with tidying.undisturbed():
            box.stop()


def _write(path: Path, data: bytes, owner: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        os.fchown(file.fileno(), owner, owner if owner == HARBOR else -1)
