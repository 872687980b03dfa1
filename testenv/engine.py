"""A docker engine of one's own, with PostgreSQL in containers that publish no port: as Harbor runs its own.

It has its own socket, data and bridge, touches no firewall rule, and is gone afterwards with all that it
made. Needs root.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import SystemRandom

from testenv import engine_image, processes
from testenv.processes import ServerError

_HOME = Path("/var/tmp")
_PREFIX = "drkit-engine-"
_PATIENCE = 60.0


@dataclass(frozen=True)
class Engine:
    """A running dockerd; its files are below `root`."""

    root: Path
    pid: int

    @property
    def host(self) -> str:
        """The value of DOCKER_HOST for it."""
        return f"unix://{self.root}/docker.sock"

    def docker(self, *words: str, stdin: bytes | Path | None = None) -> str:
        """What docker's client says; ServerError if it fails."""
        with contextlib.ExitStack() as stack:
            source = stack.enter_context(stdin.open("rb")) if isinstance(stdin, Path) else None
            done = subprocess.run(
                ["docker", *words],
                input=stdin if isinstance(stdin, bytes) else None,
                stdin=None if isinstance(stdin, bytes) else source or subprocess.DEVNULL,
                capture_output=True,
                env={**os.environ, "DOCKER_HOST": self.host},
                check=False,
            )
        if done.returncode != 0:
            raise ServerError(f"docker {words[0]} failed: {done.stderr.decode(errors='replace').strip()}")
        return done.stdout.decode(errors="replace").strip()

    def image(self, major: int) -> str:
        """The name of an image with that PostgreSQL major; built where this engine has none yet."""
        name = f"drkit-postgres:{major}"
        if not self.docker("images", "--quiet", name):
            programs = f"/usr/lib/postgresql/{major}/bin"
            settings = (
                f"ENV PATH={programs}:/usr/local/bin:/usr/bin:/bin",
                "ENV PGDATA=/tmp/data",
                "USER postgres",
                'ENTRYPOINT ["/entry"]',
            )
            changes = [word for setting in settings for word in ("--change", setting)]
            self.docker("import", *changes, str(engine_image.archive(major, self.root)), name)
        return name

    def postgres(self, name: str, major: int, password: str) -> str:
        """Run a PostgreSQL like Harbor's own: no port published, everybody else needs the password.

        Returns the container's address.
        """
        self.docker("run", "--detach", "--shm-size=128m", f"--name={name}", self.image(major))
        statement = f"ALTER ROLE postgres PASSWORD '{password}'"
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                self.sql(name, statement)
                break
            except ServerError as error:
                if time.monotonic() > deadline or self.docker("ps", "--quiet", f"--filter=name={name}") == "":
                    raise ServerError(f"{name} does not start: {error}\n{self._log(name)}") from None
                time.sleep(0.1)
        address = self.docker("inspect", "--format={{.NetworkSettings.IPAddress}}", name)
        _must_be_reachable(address)
        return address

    def sql(self, name: str, text: str | Path, database: str = "postgres") -> str:
        """Run SQL inside a container, as its superuser."""
        given = text if isinstance(text, Path) else text.encode()
        words = ("psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-h", "/tmp", "-U", "postgres", "-d", database)
        return self.docker("exec", "--interactive", name, *words, stdin=given)

    def logs(self, name: str) -> str:
        """All that a container has said."""
        with (self.root / "logs").open("w+b") as file:
            words = ["docker", "logs", name]
            environment = {**os.environ, "DOCKER_HOST": self.host}
            subprocess.run(words, stdout=file, stderr=file, env=environment, check=True)
            file.seek(0)
            return file.read().decode(errors="replace")

    def _log(self, name: str) -> str:
        with contextlib.suppress(ServerError):
            return self.logs(name)[-2000:]
        return ""


@contextlib.contextmanager
def running() -> Iterator[Engine]:
    """An engine for as long as the block lasts; what killed ones left is removed first."""
    if os.geteuid() != 0:
        raise ServerError("an engine of one's own needs root")
    for program in ("dockerd", "docker", "mmdebstrap", "ip"):
        if shutil.which(program) is None:
            raise ServerError(f"{program} is not installed: run testenv/install")
    for path in _HOME.glob(f"{_PREFIX}*"):
        if not Path(f"/proc/{path.name.removeprefix(_PREFIX)}").exists():
            _remove(path)
    root = _HOME / f"{_PREFIX}{os.getpid()}"
    root.mkdir(mode=0o711)
    try:
        engine = _start(root)
        try:
            yield engine
        finally:
            # A server that is asked to end would wait for its clients.
            left = engine.docker("ps", "--all", "--quiet").split()
            if left:
                engine.docker("rm", "--force", "--volumes", *left)
    finally:
        _remove(root)


def _start(root: Path) -> Engine:
    bridge = _bridge(root)
    subnet = _free_subnet()
    _ip("link", "add", bridge, "type", "bridge")
    _ip("addr", "add", f"{subnet[1]}/{subnet.prefixlen}", "dev", bridge)
    _ip("link", "set", bridge, "up")
    log = root / "dockerd.log"
    engine = Engine(
        root,
        processes.spawn(
            [
                "dockerd", f"--data-root={root}/data", f"--exec-root={root}/exec",
                f"--pidfile={root}/docker.pid", f"--host=unix://{root}/docker.sock", f"--bridge={bridge}",
                "--iptables=false", "--ip6tables=false", "--ip-masq=false", "--ip-forward=false",
                f"--containerd-namespace={root.name}", f"--containerd-plugins-namespace={root.name}-plugins",
            ],
            log=log, pid_file=root / "dockerd.pid", cwd=root,
        ),
    )  # fmt: skip
    processes.wait_until(lambda: _answers(engine), pid=engine.pid, log=log, seconds=_PATIENCE)
    return engine


def _answers(engine: Engine) -> bool:
    try:
        return bool(engine.docker("version", "--format={{.Server.Version}}"))
    except ServerError:
        return False


def _remove(root: Path) -> None:
    """End the engine and everything in it, and remove its data and its bridge."""

    def belonging() -> list[int]:
        mark = f"{root}/".encode()
        found = []
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                if mark in entry.read_bytes() and int(entry.parent.name) != os.getpid():
                    found.append(int(entry.parent.name))
        return found

    with contextlib.suppress(OSError, ValueError):
        daemon = int((root / "dockerd.pid").read_text())
        processes.stop(lambda: [daemon] if daemon in belonging() else [], polite=signal.SIGTERM)
    processes.stop(belonging, polite=signal.SIGKILL)
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for mount in sorted((m for m in mounts if m.startswith(f"{root}/")), reverse=True):
        subprocess.run(["umount", "--lazy", mount], check=True)
    shutil.rmtree(root)
    if Path(f"/sys/class/net/{_bridge(root)}").exists():
        _ip("link", "del", _bridge(root))


def _bridge(root: Path) -> str:
    """A name for the bridge; an interface's name has 15 characters at most."""
    return f"drk{root.name.removeprefix(_PREFIX)}"


def _free_subnet() -> ipaddress.IPv4Network:
    taken = [
        ipaddress.ip_network(line.split()[0], strict=False)
        for line in _ip("-4", "route", "show").splitlines()
        if line[0].isdigit()
    ]
    while True:
        found = ipaddress.IPv4Network(
            f"10.{SystemRandom().randrange(190, 250)}.{SystemRandom().randrange(256)}.0/24"
        )
        if not any(found.overlaps(other) for other in taken if isinstance(other, ipaddress.IPv4Network)):
            return found


def _must_be_reachable(address: str) -> None:
    """Fail here, with a sentence, where the network of containers does not work."""
    import socket

    try:
        socket.create_connection((address, 5432), timeout=10).close()
    except OSError as error:
        raise ServerError(
            f"containers cannot be reached over the network here ({address}): {error}"
        ) from None


def _ip(*words: str) -> str:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ServerError(
            f"cannot set up a network for containers: ip {' '.join(words)}: {done.stderr.strip()}"
        )
    return done.stdout
