"""`drkit init`: a configuration that works, and the keys that it needs.

The plan is made first and in full; files are written only when nothing can go wrong any more, and nothing
that exists is ever written over.
"""

from __future__ import annotations

import os
import secrets as random_secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from drkit import config
from drkit.actions import init_bucket, init_text
from drkit.actions import init_plan as planning
from drkit.actions.init_plan import (
    BUCKET_CREDENTIALS,
    DATABASE_PASSWORD,
    IDENTITY,
    RESTIC_PASSWORD,
    Plan,
    Wishes,
)
from drkit.catalog import open_catalog
from drkit.errors import ConfigError, RepositoryMissing
from drkit.harbor import tables
from drkit.harbor.installation import Needed
from drkit.logs import register_secret
from drkit.model.point import BucketPlace
from drkit.sources import database
from drkit.state import State
from drkit.tools import age, postgres, restic


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


def init(wishes: Wishes) -> InitResult:
    """Write the configuration, the restic password and an age identity, and make the repository.

    Raises UsageError where something is missing, ConfigError, DatabaseUnreachable, those of
    buckets, the repository's.
    """
    restic.require(restic.version())
    plan = planning.plan(wishes)
    if plan.output.exists():
        raise ConfigError(
            f"{plan.output} exists already",
            hint="edit it, or name another file with --output; nothing was changed",
        )
    warnings = list(plan.warnings)
    if plan.database:
        warnings += _try_database(plan)
    if isinstance(plan.blobs, config.BucketBlobs) and plan.vault:
        warnings += init_bucket.look(plan.blobs, plan.bucket_credentials, plan.vault)
    written = list(_write_keys(plan))
    recipient = age.recipients_of(age.read_identities(plan.directory / IDENTITY))[0]
    text = init_text.render(plan, recipient)
    settings = config.parse_config(text, str(plan.output))
    State(settings.site.state).prepare()
    made = _make_repository(settings)
    _write_private(plan.output, text, mode=0o640)
    written.append(plan.output)
    return InitResult(
        config=plan.output,
        site=plan.site,
        database=plan.database,
        blobs=plan.blobs.where if plan.blobs else None,
        vault=_place(plan.vault) if plan.vault else None,
        secret_paths=plan.secret_paths,
        secret_purposes=plan.secrets,
        repository=plan.repository,
        repository_made=made,
        written=tuple(written),
        keep_outside=tuple(_keep_outside(plan)),
        warnings=tuple(warnings),
    )


def _place(vault: config.Vault) -> str:
    return BucketPlace(vault.bucket, vault.prefix, vault.endpoint).where


def _keep_outside(plan: Plan) -> Iterator[Path]:
    yield plan.directory / RESTIC_PASSWORD
    yield plan.directory / IDENTITY
    if plan.vault and plan.vault.credentials_file:
        yield plan.vault.credentials_file


def _try_database(plan: Plan) -> list[str]:
    """Connect once, so that what is written is known to work; returns warnings."""
    entry = config.Database(name="registry", dsn=plan.dsn, container=plan.container)
    target = replace(database.target_of(entry), password=plan.password)
    with postgres.connect(target) as session:
        if tables.is_harbor(session):
            return []
        return [f"{target.where} has none of Harbor's tables, so images cannot be compared with it"]


def _write_keys(plan: Plan) -> Sequence[Path]:
    plan.directory.mkdir(mode=0o750, parents=True, exist_ok=True)
    identity, recipient = age.generate()
    contents = {
        RESTIC_PASSWORD: register_secret(random_secrets.token_urlsafe(32)) + "\n",
        IDENTITY: f"# public key: {recipient}\n{identity}\n",
    }
    if plan.password is not None:
        contents[DATABASE_PASSWORD] = plan.password + "\n"
    if plan.bucket_credentials:
        lines = (f"{key}={value}\n" for key, value in plan.bucket_credentials.items())
        contents[BUCKET_CREDENTIALS] = "".join(lines)
    written = []
    for name, content in contents.items():
        path = plan.directory / name
        if not path.exists():
            _write_private(path, content)
            written.append(path)
    return written


def _write_private(path: Path, content: str, mode: int = 0o600) -> None:
    try:
        with os.fdopen(
            os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8"
        ) as file:
            file.write(content)
    except OSError as error:
        raise ConfigError(
            f"cannot write {path}: {error.strerror}", hint="name another file with --output"
        ) from None


def _make_repository(settings: config.Config) -> bool:
    """Make the repository if it is not there; True if it was made."""
    repository = open_catalog(settings).repository
    try:
        repository.open()
    except RepositoryMissing:
        repository.initialise()
        return True
    return False
