"""What `drkit restore` would do, and what is in the way; looked at before anything is touched."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from drkit import config
from drkit.actions import restore_target
from drkit.catalog import open_catalog, pick
from drkit.errors import ConfigError, TargetNotEmpty, UsageError
from drkit.model import DatabaseEvidence, Manifest, Part
from drkit.sources import clients, database, database_swap, placing
from drkit.sources.bucket.ends import place_of_blobs
from drkit.tools import postgres, restic
from drkit.tools.postgres import Session, Target

What = Literal["database", "blobs", "secrets"]


@dataclass(frozen=True)
class Wishes:
    """What the command line says."""

    point: str
    only: What | None = None
    root: Path | None = None
    database_dsn: str | None = None
    replace: bool = False
    identity: Path | None = None


@dataclass(frozen=True)
class RestoreStep:
    """One thing that a restore will do; `present` says what is there now, `blocked` whether that stops it.

    `source` says where the bytes come from, if not from the repository; what goes `in_bucket` cannot be set
    aside.
    """

    kind: What
    name: str
    what: str
    target: str
    bytes: int
    present: str
    blocked: bool
    source: str = ""
    in_bucket: bool = False


@dataclass(frozen=True)
class RestorePlan:
    """Everything that a restore will do."""

    point: str
    site: str
    manifest: Manifest
    steps: tuple[RestoreStep, ...]
    wishes: Wishes


def plan(settings: config.Config, wishes: Wishes) -> RestorePlan:
    """What would be restored, and what is in the way.

    Raises NoSuchPoint, UsageError, DatabaseUnreachable, and TargetNotEmpty (with the plan) if something is in
    the way and `replace` is not wished for.
    """
    restic.require(restic.version())
    catalog = open_catalog(settings)
    point, _ = pick(wishes.point, catalog.points(locked=True))
    manifest = catalog.manifest_of(point)
    steps = tuple(_steps(settings, manifest, wishes))
    if not steps:
        raise UsageError(f"point {point.id} has no {wishes.only}", hint="`drkit show` tells what is in it")
    found = RestorePlan(point.id, manifest.site, manifest, steps, wishes)
    blocked = [step for step in steps if step.blocked]
    if blocked:
        what = "; ".join(f"{step.what} ({step.present} at {step.target})" for step in blocked)
        hint = "--replace sets it aside under another name; nothing was changed"
        if any(step.in_bucket for step in blocked):
            hint = "objects cannot be set aside: name another bucket or root in [blobs]; nothing was changed"
        raise TargetNotEmpty(f"the target is not empty: {what}", hint=hint, result=found)
    return found


def _steps(settings: config.Config, manifest: Manifest, wishes: Wishes) -> Iterator[RestoreStep]:
    wanted: tuple[What, ...] = (wishes.only,) if wishes.only else ("database", "blobs", "secrets")
    if "database" in wanted:
        _refuse_one_name_for_many(manifest, wishes)
        for evidence in manifest.databases:
            yield _database_step(settings, manifest, evidence, wishes)
    if "blobs" in wanted and (part := manifest.images):
        yield _blobs_step(settings, manifest, part, wishes)
    if "secrets" in wanted and (part := manifest.part("secrets")):
        paths = [placing.below(wishes.root, file.path) for file in manifest.secret_files]
        there = [path for path in paths if path.is_symlink() or path.exists()]
        present = f"{len(there)} of the files, such as {there[0]}" if there else ""
        where = str(wishes.root or "their old places")
        yield _step("secrets", "secrets", f"{len(paths)} secret files", where, part.bytes, present, wishes)


def _refuse_one_name_for_many(manifest: Manifest, wishes: Wishes) -> None:
    if wishes.database_dsn is None or len(manifest.databases) < 2:
        return
    if "dbname" in postgres.target(wishes.database_dsn, None).settings:
        names = ", ".join(evidence.name for evidence in manifest.databases)
        raise UsageError(
            f"--database-dsn names one database, and this point has {len(manifest.databases)}: {names}",
            hint="leave dbname out: each gets the name that it had",
        )


def _step(
    kind: What, name: str, what: str, target: str, size: int, present: str, wishes: Wishes
) -> RestoreStep:
    blocked = bool(present) and not wishes.replace
    return RestoreStep(kind, name, what, target, size, present or "nothing", blocked)


def blobs_target(settings: config.Config, manifest: Manifest, wishes: Wishes) -> Path | config.BucketBlobs:
    """Where the blobs go: below --root, else where the configuration has them, else where they were."""
    return restore_target.target(settings, manifest, wishes.root)


def _blobs_step(settings: config.Config, manifest: Manifest, part: Part, wishes: Wishes) -> RestoreStep:
    to = blobs_target(settings, manifest, wishes)
    source = restore_target.look_at_vault(settings, manifest)
    present = restore_target.obstacles(to, manifest.id)
    where = str(to) if isinstance(to, Path) else place_of_blobs(to).where
    step = _step("blobs", "blobs", "image blobs", where, part.bytes, present, wishes)
    in_bucket = isinstance(to, config.BucketBlobs)
    # Nothing in a bucket can be renamed: what is there stays, whatever is wished.
    blocked = step.blocked or (bool(present) and in_bucket)
    return replace(step, blocked=blocked, source=source, in_bucket=in_bucket)


def database_entry(
    settings: config.Config, evidence: DatabaseEvidence, wishes: Wishes
) -> config.Database | None:
    """The configuration's database of that name, unless --database-dsn names a server of its own."""
    if wishes.database_dsn is not None:
        return None
    return next((entry for entry in settings.databases if entry.name == evidence.name), None)


def database_target(settings: config.Config, evidence: DatabaseEvidence, wishes: Wishes) -> Target:
    """The database to make: by --database-dsn, else by the configuration; raises ConfigError."""
    entry = next((entry for entry in settings.databases if entry.name == evidence.name), None)
    if wishes.database_dsn is None:
        if entry is None:
            raise ConfigError(
                f"the configuration does not say where the database {evidence.name} goes",
                hint="--database-dsn 'host=... user=...' names it; the password comes from PGPASSFILE",
            )
        return database.target_of(entry)
    target = postgres.target(wishes.database_dsn, entry.password_file if entry else None)
    return target if "dbname" in target.settings else target.with_database(evidence.shape.database)


def _database_step(
    settings: config.Config, manifest: Manifest, evidence: DatabaseEvidence, wishes: Wishes
) -> RestoreStep:
    target = database_target(settings, evidence, wishes)
    if len(target.database.encode()) > database_swap.NAME_BYTES:
        raise UsageError(
            f"PostgreSQL would cut the name of the database {target.database}",
            hint=f"a name has {database_swap.NAME_BYTES} bytes at most",
        )
    with postgres.connect(database_swap.maintenance(target)) as session:
        server = session.server_version // 10_000
        present = _present(session, target)
    clients.look_for_loader(database_entry(settings, evidence, wishes), evidence.archive_major, server)
    part = manifest.part("database", evidence.name)
    size = part.bytes if part else 0
    return _step("database", evidence.name, f"database {evidence.name}", target.where, size, present, wishes)


def _present(session: Session, target: Target) -> str:
    """What is in the way of a database, in a word or two; empty where nothing is."""
    if not database_swap.exists(session, target.database):
        return ""
    if not database_swap.admits(session, target.database):
        # Perhaps a restore was killed just when it put another in its place.
        return "a database that lets nobody in"
    objects = database_swap.objects(target)
    return f"{objects} tables and other objects" if objects else ""
