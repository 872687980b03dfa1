"""`drkit init`: a configuration that works, and the keys that it needs.

The plan is made first and in full; files are written only when nothing can go wrong any more, and nothing
that exists is ever written over.
"""

from __future__ import annotations

import secrets as random_secrets
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from drkit import config
from drkit.actions import undo
from drkit.actions.init import bucket, further
from drkit.actions.init import plan as planning
from drkit.actions.init import text as init_text
from drkit.actions.init.further import FurtherRepository
from drkit.actions.init.plan import (
    BUCKET_CREDENTIALS,
    DATABASE_PASSWORD,
    IDENTITY,
    RESTIC_PASSWORD,
    FurtherDatabase,
    InitOptions,
    Plan,
)
from drkit.blobs.ends import place_of_vault
from drkit.database import locked
from drkit.errors import ConfigError, DrkitError, Failure, RepositoryMissing
from drkit.files import make_directory, write_new
from drkit.harbor import tables
from drkit.logs import register_secret
from drkit.model import clock_changes, utc_now
from drkit.model.needed import Needed
from drkit.points.catalog import open_catalog
from drkit.state.directory import State
from drkit.tools import age
from drkit.tools.postgres import sessions, targets
from drkit.tools.restic import repository as restic

# Databases of Notary, which left Harbor in 2.9.
_NOTARY = ("notaryserver", "notarysigner")


@dataclass(frozen=True)
class InitResult:
    """What was written, and what the user must do with it."""

    config: Path
    site: str
    database: str | None
    blobs: str | None
    vault: str | None
    secret_paths: tuple[Path, ...]
    secret_purposes: tuple[Needed, ...]
    repository: str
    repository_made: bool
    written: tuple[Path, ...]
    keep_outside: tuple[Path, ...]
    warnings: tuple[str, ...]
    # Where points are copied to, if that was asked for.
    further: FurtherRepository | None = None


def init(options: InitOptions) -> InitResult:
    """Write the configuration, the restic password and an age identity, and make the repository.

    Raises UsageError where something is missing, ConfigError, DatabaseUnreachable, those of
    buckets, the repository's.
    """
    restic.require(restic.version())
    plan = planning.plan(options)
    if plan.output.exists():
        raise ConfigError(
            f"{plan.output} exists already",
            hint="edit it, or name another file with --output; nothing was changed",
        )
    warnings = list(plan.warnings)
    if plan.database:
        plan, more = _try_database(plan)
        warnings += more
    if isinstance(plan.blobs, config.BucketBlobs) and plan.vault:
        warnings += bucket.look(plan.blobs, plan.bucket_credentials, plan.vault)
    identity, recipient = _identity(plan)
    text = init_text.render(plan, recipient)
    settings = config.parse_config(text, str(plan.output))
    warnings += clock_changes.warnings(settings.schedule.jobs, settings.schedule.zone, utc_now())
    with ExitStack() as stack:
        written = _write_keys(plan, identity, stack)
        undo.tree(stack, settings.site.state)
        State(settings.site.state).prepare()
        _write_private(plan.output, text, stack, mode=0o640)
        written.append(plan.output)
        # Last, for what was made somewhere else is not easily taken back.
        made = _make_repository(settings)
        # From here on the password opens something, whatever ends this run.
        stack.pop_all()
    if made and plan.directory / RESTIC_PASSWORD in written:
        warnings += further.open_at_once(open_catalog(settings).repository)
    result = InitResult(
        config=plan.output,
        site=plan.site,
        database=plan.database,
        blobs=plan.blobs.where if plan.blobs else None,
        vault=place_of_vault(plan.vault).where if plan.vault else None,
        secret_paths=plan.secret_paths,
        secret_purposes=plan.secrets,
        repository=plan.repository,
        repository_made=made,
        written=tuple(written),
        keep_outside=tuple(_keep_outside(plan)),
        warnings=tuple(warnings),
    )
    if options.copy_to is None:
        return result
    try:
        added = further.add(plan.output, options.copy_to, options.copy_credentials)
    except Failure as error:
        # The rest is there, and stays.
        error.result = result
        raise
    outside = (*result.keep_outside, added.password_file)
    return replace(
        result, further=added, keep_outside=outside, written=(*result.written, added.password_file)
    )


def _keep_outside(plan: Plan) -> Iterator[Path]:
    yield plan.directory / RESTIC_PASSWORD
    yield plan.directory / IDENTITY
    if plan.vault and plan.vault.credentials_file:
        yield plan.vault.credentials_file


def _try_database(plan: Plan) -> tuple[Plan, list[str]]:
    """Connect once, so that what is written is known to work; with what else is found there, and warnings."""
    entry = config.Database(name="registry", dsn=plan.dsn, container=plan.container)
    target = replace(locked.target_of(entry), password=plan.password)
    warnings = []
    with sessions.connect(target) as session:
        if not tables.is_harbor(session):
            warnings.append(
                f"{target.where} has none of Harbor's tables, so images cannot be compared with it"
            )
        beside = _notary_beside(plan, session)
    further = []
    for found in (*plan.further, *beside):
        try:
            reached = config.Database(name=found.name, dsn=found.dsn, container=found.container)
            password = plan.password if found.password is None else found.password
            with sessions.connect(replace(locked.target_of(reached), password=password)):
                further.append(found)
        except DrkitError as error:
            warnings.append(f"database {found.name} is not protected: {error.message}")
    return replace(plan, further=tuple(further)), warnings


def _notary_beside(plan: Plan, session: sessions.Session) -> list[FurtherDatabase]:
    """Notary's databases (Harbor to 2.8) on Harbor's own server, of which harbor.yml says nothing."""
    rows = session.rows(
        "SELECT datname FROM pg_database WHERE datname = ANY(%s) ORDER BY 1", (list(_NOTARY),)
    )
    named = {each.name for each in plan.further}
    return [
        FurtherDatabase(name, targets.with_database(plan.dsn or "user=postgres", name), plan.container)
        for (name,) in rows
        if name not in named
    ]


def _identity(plan: Plan) -> tuple[str | None, str]:
    """The text of a new identity, and its recipient; None and that of the one that is there already."""
    path = plan.directory / IDENTITY
    if path.exists():
        return None, age.recipients_of(age.read_identities(path))[0]
    identity, recipient = age.generate()
    return f"# public key: {recipient}\n{identity}\n", recipient


def _write_keys(plan: Plan, identity: str | None, stack: ExitStack) -> list[Path]:
    undo.directory(stack, plan.directory)
    make_directory(plan.directory, 0o750, exist_ok=True)
    contents = {RESTIC_PASSWORD: register_secret(random_secrets.token_urlsafe(32)) + "\n"}
    if identity is not None:
        contents[IDENTITY] = identity
    if plan.password is not None:
        contents[DATABASE_PASSWORD] = plan.password + "\n"
    for each in plan.further:
        if each.password is not None:
            contents[each.password_file] = each.password + "\n"
    if plan.bucket_credentials:
        lines = (f"{key}={value}\n" for key, value in plan.bucket_credentials.items())
        contents[BUCKET_CREDENTIALS] = "".join(lines)
    written = []
    for name, content in contents.items():
        path = plan.directory / name
        if not path.exists():
            _write_private(path, content, stack)
            written.append(path)
    return written


def _write_private(path: Path, content: str, stack: ExitStack, mode: int = 0o600) -> None:
    try:
        write_new(path, content, mode=mode)
    except OSError as error:
        raise ConfigError(
            f"cannot write {path}: {error.strerror}", hint="name another file with --output"
        ) from None
    stack.callback(path.unlink, missing_ok=True)


def _make_repository(settings: config.Config) -> bool:
    """Make the repository if it is not there; True if it was made."""
    repository = open_catalog(settings).repository
    try:
        repository.open()
    except RepositoryMissing:
        repository.initialise()
        return True
    return False
