"""A private PostgreSQL of a major version that this machine lacks: from an image, without any network.

Its data and socket are below the sandbox, mounted under the same path, so that whoever works with a sandbox
of this machine's own programs can work with this one.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import time
from collections.abc import Iterator
from pathlib import Path

from drkit.errors import DatabaseUnreachable, DockerLacks, ToolFailed, ToolMissing
from drkit.sandbox import postgres as sandbox_postgres
from drkit.tools import docker
from drkit.tools.docker import Container
from drkit.tools.postgres import sessions
from drkit.tools.postgres.programs import Programs
from drkit.tools.postgres.targets import Target

# docker's label of every container and volume of a drill; its value is the drill's id.
LABEL = "drkit.drill"
# Another one, of what can be removed before the rest.
PART = "drkit.part"
_MARK = "container"
_PATIENCE_SECONDS = 120.0
# Whom nothing belongs to, where the user of [drill] is not on this machine either.
_NOBODY = 65534

# $1 is the major version, $2 the directory, $3 the superuser; what follows goes to the server.
_FIND = """\
for bin in "/usr/lib/postgresql/$1/bin" "/usr/pgsql/$1/bin" "/usr/pgsql-$1/bin" /usr/local/bin /usr/bin; do
  case $("$bin/postgres" --version 2>/dev/null) in
    *" $1."*|*" $1 "*|*" $1"|*" $1beta"*|*" $1rc"*) break ;;
  esac
  bin=
done
[ -n "$bin" ] && [ -x "$bin/initdb" ] && [ -x "$bin/pg_restore" ] || exit 1
"""
_SERVE = (
    _FIND
    + """\
echo "$bin" >"$2/bin"
data=$2/data superuser=$3; shift 3
set -e
"$bin/initdb" --pgdata="$data" --username="$superuser" --auth=trust --encoding=UTF8 --no-locale --no-sync >&2
exec "$bin/postgres" -D "$data" "$@"
"""
)


def look(image: str, major: int) -> None:
    """See that the image is here and has that major version; raises ToolMissing, ToolFailed."""
    try:
        docker.ask("image", "inspect", "--format={{.Id}}", image)
    except DockerLacks:
        raise ToolMissing(
            f"there is no image {image} on this machine",
            hint=f"docker pull {image}, or see database_image in [drill]",
        ) from None
    isolated = ("--network=none", "--pull=never", "--entrypoint=sh")
    try:
        docker.ask("run", "--rm", *isolated, image, "-c", _FIND, "sh", str(major))
    except ToolFailed:
        raise ToolMissing(
            f"the image {image} has no PostgreSQL {major}",
            hint=f"name one that has it as database_image in [drill], or install postgresql-{major}",
        ) from None


@contextlib.contextmanager
def running(
    image: str, major: int, directory: Path, user: str, superuser: str
) -> Iterator[tuple[Target, Programs]]:
    """A server below `directory`, which is `<sandbox>/<name>`, for as long as the block lasts.

    As root, the server runs as `user`, or as nobody where there is no such user. Raises ConfigError, and
    ToolFailed, also where the container is still there after the end.
    """
    sandbox = directory.parent
    uid, gid = _ids(user)
    home = sandbox_postgres.make_home(directory, (uid, gid) if os.geteuid() == 0 else None)
    passwd = directory / "passwd"
    # initdb wants to know what its user is called.
    passwd.write_text(f"root:x:0:0::/:/bin/sh\nsandbox:x:{uid}:{gid}::/:/bin/sh\n", encoding="utf-8")
    passwd.chmod(0o644)
    mark(sandbox)
    mounts = (f"--volume={directory}:{directory}", f"--volume={passwd}:/etc/passwd:ro")
    isolated = ("--network=none", "--pull=never", "--shm-size=256m", f"--user={uid}:{gid}", "--entrypoint=sh")
    words = (*isolated, f"--label={LABEL}={sandbox.name}", *mounts, image, "-c", _SERVE, "sh")
    try:
        settings = sandbox_postgres.arguments(home)
        started = docker.ask("run", "--detach", *words, str(major), str(home), superuser, *settings).strip()
        target = sandbox_postgres.reached(home, superuser)
        _wait(started, image, target)
        place = Path((home / "bin").read_text(encoding="utf-8").strip())
        # As we are, for what was fetched for the restore is open to us alone.
        prefix = Container(started, image, "").prefix(f"--user={os.geteuid()}:{os.getegid()}")
        yield target, Programs(major, place, prefix, docker.environment())
    finally:
        release(sandbox)


def mark(sandbox: Path) -> None:
    """Say for the sweep that from here on there may be containers."""
    (sandbox / _MARK).touch()


def release(sandbox: Path, part: str = "") -> None:
    """Remove the containers and volumes of a drill, or of a part of it, and see that they are gone.

    Raises ToolFailed.
    """
    if not (sandbox / _MARK).exists():
        return
    labels = [f"--filter=label={LABEL}={sandbox.name}", *([f"--filter=label={PART}={part}"] if part else [])]
    kinds = {
        "containers": (("ps", "--all", "--quiet", "--no-trunc"), ("rm", "--force", "--volumes")),
        "volumes": (("volume", "ls", "--quiet"), ("volume", "rm", "--force")),
    }
    for what, (listing, removing) in kinds.items():
        found = docker.ask(*listing, *labels, tidying=True).split()
        if not found:
            continue
        docker.ask(*removing, *found, tidying=True)
        if docker.ask(*listing, *labels, tidying=True).split():
            raise ToolFailed(
                f"{what} of the drill {sandbox.name} are still there",
                hint=f"docker {' '.join(listing)} --filter label={LABEL}={sandbox.name}",
            )
    if not part:
        (sandbox / _MARK).unlink()


def _ids(user: str) -> tuple[int, int]:
    if os.geteuid() != 0:
        return os.geteuid(), os.getegid()
    try:
        account = pwd.getpwnam(user)
    except KeyError:
        return _NOBODY, _NOBODY
    return account.pw_uid, account.pw_gid


def _wait(container: str, image: str, target: Target) -> None:
    end = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            with sessions.connect(target):
                return
        except DatabaseUnreachable:
            state = docker.ask("inspect", "--format={{.State.Running}}", container).strip()
            if state != "true" or time.monotonic() > end:
                words = docker.logs(container)
                raise ToolFailed(f"the sandbox's PostgreSQL did not start from {image}: {words}") from None
            time.sleep(0.1)
