"""A further repository in a configuration that is there: made like the first, with a password of its own."""

from __future__ import annotations

import secrets as random_secrets
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from drkit import config
from drkit.config import edit
from drkit.errors import ConfigError, Failure, UsageError
from drkit.files import write_new
from drkit.logs import redact, register_secret
from drkit.points.catalog import open_catalog
from drkit.state.directory import State
from drkit.tools.restic import repository as restic

_NAME = "offsite"
# An hour after the backup that `init` plans; a time that every day has once.
_AT = "17 5 * * *"
# A copy and a day later than what `init` demands of backups.
_RPO = "50h"


@dataclass(frozen=True)
class FurtherRepository:
    """What was added to the configuration; the password file must be kept outside this machine, too."""

    config: Path
    name: str
    url: str
    password_file: Path
    scheduled: str | None = None
    warnings: tuple[str, ...] = ()


def add(path: Path, url: str, credentials: Path | None = None) -> FurtherRepository:
    """Make a repository with the chunker parameters of the first, and name it in the configuration.

    Raises UsageError where it is one of them already, ConfigError, and the repositories' errors; then nothing
    is changed, but that what was made in another place is not taken back.
    """
    restic.require(restic.version())
    settings = config.load_config(path)
    if "://" not in url and ":" not in url:
        url = str(Path(url).absolute())
    known = next((each for each in settings.repositories if each.url == url), None)
    if known is not None:
        raise UsageError(f"{redact(url)} is the repository {known.name} already", hint="name another place")
    State(settings.site.state).prepare()
    name = _free_name(settings)
    password_file = path.absolute().parent / f"{name}.password"
    entry = {"name": name, "url": url, "password_file": str(password_file)}
    if credentials is not None:
        entry["credentials_file"] = str(credentials.absolute())
    if settings.objectives.rpo:
        entry["rpo"] = _RPO
    text = edit.with_repository(path.read_text(encoding="utf-8-sig"), entry)
    planned = settings.schedule.backup is not None and settings.schedule.copy_ is None
    if planned:
        text = edit.with_job(text, "copy", _AT)
    wanted = config.parse_config(text, str(path))
    with ExitStack() as stack:
        try:
            write_new(password_file, register_secret(random_secrets.token_urlsafe(32)) + "\n")
        except OSError as error:
            raise ConfigError(
                f"cannot write {password_file}: {error.strerror}", hint="a password is never written over"
            ) from None
        stack.callback(password_file.unlink, missing_ok=True)
        first = open_catalog(settings).repository
        made = open_catalog(wanted, name).repository
        made.initialise_like(first)
        # From here on the password opens something.
        stack.pop_all()
    edit.write(path, text)
    warnings = tuple(open_at_once(made))
    return FurtherRepository(path, name, redact(url), password_file, _AT if planned else None, warnings)


def open_at_once(repository: restic.Repository) -> Iterator[str]:
    """Replace the key file of a repository whose password was made by drkit; a warning if that failed."""
    try:
        repository.open_at_once()
    except Failure as error:
        yield f"opening the repository takes restic half a second: its key file stays: {error.message}"


def _free_name(settings: config.Config) -> str:
    names = {each.name for each in settings.repositories}
    number = next(n for n in range(1, len(names) + 2) if _called(n) not in names)
    return _called(number)


def _called(number: int) -> str:
    return _NAME if number == 1 else f"{_NAME}-{number}"
