"""`restic copy`: snapshots of one repository into another, in one process with the secrets of both.

restic gives a copy another id, and keeps the first one as its `original`, the tags, the time, and the hash of
everything in it. What is there already it leaves out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from urllib.parse import quote

from drkit.errors import ConfigError
from drkit.logs import redact
from drkit.progress import Listener, Update
from drkit.tools.process import execute
from drkit.tools.process.command import Command, Completed
from drkit.tools.restic import locking
from drkit.tools.restic.access import Access

_SAVED = re.compile(rb"snapshot [0-9a-f]+ saved")
_SHARE = re.compile(rb"\[[\d:]+\]\s+([\d.]+)%")
_REST = "rest:"
_REST_USER, _REST_PASSWORD = "RESTIC_REST_USERNAME", "RESTIC_REST_PASSWORD"


def copy(source: Access, target: Access, snapshots: Sequence[str], stage: str, listener: Listener) -> None:
    """Copy snapshots, by their ids in the source and in their order; whoever calls looks what is there then.

    Raises ConfigError where both need the same credentials with other values, and the errors of Access.
    """
    if not snapshots:
        return
    command = command_for(source, target, snapshots)
    where = f"{redact(source.url)} or {redact(target.url)}"
    done, total = 0, len(snapshots)
    listener(Update(stage, 0, total, "items"))

    def ended(completed: Completed) -> None:
        target.judge(command, completed, where=where)

    for line in execute.lines(command, ended=ended):
        share = 0.0
        if _SAVED.match(line):
            done += 1
        elif found := _SHARE.match(line):
            share = float(found[1]) / 100
        listener(Update(stage, min(done + share, total), total, "items"))
    listener(Update(stage, finished=True))


def command_for(source: Access, target: Access, snapshots: Sequence[str]) -> Command:
    """restic with the secrets of both; raises as `copy`."""
    wait = max(source.lock_wait, target.lock_wait)
    # For what it looks at before: the password file.
    source.command("snapshots")
    # restic has one limit for both ends.
    limits = [limit for limit in (source.download_limit, target.download_limit) if limit]
    paced = replace(target, download_limit=min(limits, default=None))
    command = paced.command("copy", *snapshots, wait=wait)
    urls = (source.url, target.url)
    limit = max(source.stall_limit, target.stall_limit) + (wait or timedelta(0))
    # Of the source alone: restic always locks what it writes to.
    unlocked = ("--no-lock",) if source.read_only else ()
    return replace(
        joined(command, source, target),
        arguments=(*command.arguments, *unlocked),
        owner=partial(locking.own, target.records, urls, ("copy",)),
        stall_limit=limit,
        about=f"copy from {redact(source.url)} to {redact(target.url)}",
    )


def joined(command: Command, source: Access, target: Access) -> Command:
    """A command on the target that has the secrets of the source as well; raises ConfigError as `copy`."""
    environment = {
        **command.environment,
        **_credentials(source, target),
        "RESTIC_FROM_REPOSITORY": _with_login(source),
        "RESTIC_FROM_PASSWORD_FILE": str(source.password_file),
        "RESTIC_REPOSITORY": _with_login(target),
    }
    for name in (_REST_USER, _REST_PASSWORD):
        environment.pop(name, None)
    return replace(command, environment=environment)


def _credentials(source: Access, target: Access) -> Mapping[str, str]:
    """restic takes the credentials of both from the same variables."""
    for name in source.credentials.keys() & target.credentials.keys():
        if source.credentials[name] != target.credentials[name] and not name.startswith("RESTIC_REST_"):
            raise ConfigError(
                f"{redact(source.url)} and {redact(target.url)} need different values of {name}, and restic"
                " takes one for both when it copies",
                hint="give one user access to both, or reach one of them by rclone: with its own credentials",
            )
    return {**source.credentials, **target.credentials}


def _with_login(access: Access) -> str:
    """The address of a REST server with its login: in the environment restic has one for both."""
    user = access.credentials.get(_REST_USER, "")
    scheme, slashes, rest = access.url.removeprefix(_REST).partition("://")
    if not access.url.startswith(_REST) or not slashes or not user or "@" in rest.partition("/")[0]:
        return access.url
    login = f"{quote(user, safe='')}:{quote(access.credentials.get(_REST_PASSWORD, ''), safe='')}"
    return f"{_REST}{scheme}://{login}@{rest}"
