"""Containers, by docker's own command line (docs.docker.com: docker inspect, docker exec).

A program inside a container does not end with the `docker exec` that started it; see `attended`.
"""

from __future__ import annotations

import contextlib
import difflib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from drkit.errors import ConfigError, DockerLacks, ToolFailed
from drkit.logs import redact
from drkit.tools.process import execute
from drkit.tools.process.command import Command, Completed, failure, find_program

# How docker's client finds its server, when it is not where it usually is.
_OWN_SETTINGS = ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY")

# Its daemon may hang; to pull an image it prints and reads as long as it moves.
_STALL_LIMIT = timedelta(minutes=10)
# What the daemon does at once, if it does anything.
_SHORT_LIMIT = timedelta(minutes=1)

# Inside the container: a secret is read from the first line of standard input, so that it stands in no
# argument list and no file, and only the program's own environment holds it. Its name is the first word.
_WITH_SECRET = """\
IFS= read -r secret || exit 1
name=$1; shift
[ -z "$secret" ] || export "$name=$secret"
exec "$@"
"""

# The same, and the program ends as soon as standard input does: then whoever wanted its output has gone.
# The shell waits for all that it started. An orphan would become a child of the container's first process,
# and where that is PostgreSQL, as in Harbor's image, it takes an unknown child that a signal ended for one of
# its own that crashed, and throws everybody out (CleanupBackend in PostgreSQL's postmaster.c).
_ATTENDED = """\
IFS= read -r secret || exit 1
name=$1; shift
exec 3<&0 </dev/null
( exec 3<&-; [ -z "$secret" ] || export "$name=$secret"; exec "$@" ) &
program=$!
{ while read -r _; do :; done; kill "$program"; } <&3 >/dev/null 2>&1 &
watch=$!
exec 3<&-
wait "$program"
code=$?
kill "$watch" 2>/dev/null
wait "$watch" 2>/dev/null
exit "$code"
"""


@dataclass(frozen=True)
class Container:
    """A running container; `address` is where this machine reaches what it listens on."""

    id: str
    name: str
    address: str

    def prefix(self, *options: str) -> tuple[str, ...]:
        """The words before a program that make it run inside, with our standard input as its own."""
        return ("docker", "exec", "--interactive", "--env=LC_ALL=C", *options, self.id)

    def with_secret(self, name: str) -> tuple[str, ...]:
        """Likewise; the first line of standard input becomes the variable `name` of the program."""
        return (*self.prefix(), "sh", "-c", _WITH_SECRET, "sh", name)

    @contextlib.contextmanager
    def attended(self, name: str, secret: str) -> Iterator[tuple[str, ...]]:
        """Likewise, but the secret is given here, and the program ends when its client or this process does.

        Standard input is a pipe whose only other end is ours: when we die, or the client does, it ends, and a
        shell inside ends the program. For one command, within the block.
        """
        reading, writing = os.pipe()
        try:
            os.write(writing, f"{secret}\n".encode())
            # By its path in /proc, because whoever starts the client may close what it inherits.
            here = ("sh", "-c", 'exec "$@" <"$0"', f"/proc/{os.getpid()}/fd/{reading}")
            yield (*here, *self.prefix(), "sh", "-c", _ATTENDED, "sh", name)
        finally:
            os.close(writing)
            os.close(reading)

    def run(self, script: str, *words: str) -> str:
        """What a small shell script says inside; raises ToolFailed."""
        return ask("exec", self.id, "sh", "-c", script, "sh", *words)


def environment() -> dict[str, str]:
    """What docker's client needs of our environment."""
    return {name: os.environ[name] for name in _OWN_SETTINGS if name in os.environ}


def find(name: str) -> Container:
    """The running container of that name.

    Raises ToolMissing without docker, ConfigError where there is no such container, ToolFailed where it does
    not run, has no address, or docker does not answer.
    """
    try:
        said = ask("inspect", "--type=container", name)
    except DockerLacks:
        raise _not_there(name) from None
    try:
        (about,) = json.loads(said)
        return _container(name, about)
    except (ValueError, KeyError, TypeError):
        raise ToolFailed(f"docker's answer about {name} is not understood: {said.strip()[:60]!r}") from None


def names() -> tuple[str, ...]:
    """The names of all running containers; raises ToolMissing, ToolFailed."""
    return tuple(sorted(ask("ps", "--format={{.Names}}").split()))


def _container(name: str, about: dict[str, Any]) -> Container:
    state = about["State"]
    if not state["Running"] or state.get("Paused"):
        raise ToolFailed(
            f"the container {name} does not run: it is {state['Status']}",
            hint=f"docker {'unpause' if state.get('Paused') else 'start'} {name}",
        )
    address = "127.0.0.1" if about["HostConfig"]["NetworkMode"] == "host" else _address(about)
    if not address:
        mode = about["HostConfig"]["NetworkMode"]
        raise ToolFailed(
            f"the container {name} has no address that this machine could reach (network mode: {mode})",
            hint="give its database's address as dsn instead of container",
        )
    return Container(about["Id"], name, address)


def _address(about: dict[str, Any]) -> str:
    networks = about["NetworkSettings"]["Networks"].values()
    found = [network[key] for key in ("IPAddress", "GlobalIPv6Address") for network in networks]
    return next((str(address) for address in found if address), "")


def _not_there(name: str) -> ConfigError:
    running = names()
    near = difflib.get_close_matches(name, running, n=1)
    some = ", ".join(running[:10]) or "none"
    return ConfigError(
        f"there is no container {name} on this machine",
        hint=f"did you mean {near[0]}?" if near else f"running here: {some}; see container in [[database]]",
    )


def is_local() -> bool:
    """Whether its daemon is on this machine; raises ToolMissing, ToolFailed."""
    host = ask("context", "inspect", "--format={{.Endpoints.docker.Host}}", stall_limit=_SHORT_LIMIT)
    return host.strip().startswith("unix://")


def images() -> tuple[str, ...]:
    """The names of all images that have one, as in `postgres:15`; raises ToolMissing, ToolFailed."""
    listed = ask("image", "ls", "--format={{.Repository}}:{{.Tag}}", stall_limit=_SHORT_LIMIT).split()
    return tuple(sorted({name for name in listed if "<none>" not in name}))


def logs(container: str, lines: int = 3) -> str:
    """The last words of a container, for an error message."""
    words = ("docker", "logs", f"--tail={lines}", container)
    done = execute.run(Command(words, environment(), stall_limit=_STALL_LIMIT))
    return redact(" / ".join(f"{done.text}{done.stderr}".strip().splitlines()[-lines:]))


def ask(*words: str, tidying: bool = False, stall_limit: timedelta = _STALL_LIMIT) -> str:
    """What docker's client says; raises ToolMissing, DockerLacks, ToolFailed.

    What is `tidying` is done even while drkit is being interrupted.
    """
    program = find_program("docker", hint="install it, or give the database's address as dsn")
    command = Command((program, *words), environment(), stall_limit=stall_limit, tidying=tidying)
    done = execute.run(command)
    judge(command, done)
    return done.text


def judge(command: Command, done: Completed) -> None:
    """Raise ToolFailed, in words of our own where docker itself is out of reach, unless it went well.

    DockerLacks where it has nothing of that name: docker's words are all that tells.
    """
    if done.code == 0:
        return
    if "permission denied" in done.stderr and "sock" in done.stderr:
        raise ToolFailed(
            "this user may not speak with docker: its socket refuses the connection",
            hint="run drkit as root, or put its user into the group docker (which is as good as root)",
        )
    if re.search(r"cannot connect to the docker daemon|error during connect", done.stderr, re.IGNORECASE):
        raise ToolFailed(
            "docker does not answer: is its daemon running?", hint="systemctl start docker; see DOCKER_HOST"
        )
    if re.search(r"no such (object|container|image)", done.stderr, re.IGNORECASE):
        raise DockerLacks(failure(command, done).message)
    raise failure(command, done)
